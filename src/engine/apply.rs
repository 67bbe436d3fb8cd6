//! Decisions become commits: the local part of a page, and the intents of what is to be sent, in one.
//!
//! Owns: how a step changes the store. What would delete something is put aside for `deletions`.

use super::plan::{Decided, Met};
use super::{Running, SyncError};
use crate::card::Card;
use crate::clock::{new_id, new_token};
use crate::crm::person::{Person, PersonState};
use crate::ids::{AccountId, LinkId, PersonId, Revision, Timestamp};
use crate::mutant;
use crate::store::{Change, Conflict, Expect, HeldDeletion, StoreError, SubjectKey};
use crate::sync::caps;
use crate::sync::diff::Diff;
use crate::sync::operation::{self, Effect, FieldDiff, PersonChange};
use crate::sync::plan::{Deletion, Outgoing, Step, Waits};
use crate::sync::reconcile::deletion_of;
use crate::sync::settings::Scope;
use crate::sync::view::{
    Answer, Base, Intent, Link, LinkState, Origin, PersonFacts, RemoteRecord, Seen, Send, Subject,
};

/// A commit in the making, with what follows from it.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) expect: Vec<Expect>,
    pub(super) changes: Vec<Change>,
    pub(super) effects: Vec<Effect>,
    pub(super) intents: Vec<Intent>,
    pub(super) conflicts: u64,
    pub(super) held: u64,
}

impl Running<'_> {
    /// One round over everything that is unsettled. Says whether anything was done, and which subjects wait for
    /// `deletions`.
    pub(super) async fn reconcile_all(&mut self) -> Result<(bool, Vec<SubjectKey>), SyncError> {
        let (mut progress, mut deferred) = (false, Vec::new());
        let mut after: Option<SubjectKey> = None;
        let mut met: Option<Met> = None;
        loop {
            self.keep_lease().await?;
            let now = self.now();
            let page = self.store().unsettled(self.account.id, now, after.as_ref(), self.engine.options.page).await?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            // Pairing is over the whole set, once per round, and only if there is anything unsettled at all.
            let met = match &mut met {
                Some(met) => met,
                none => {
                    let found = self.meet().await?;
                    self.note_duplicates(&found).await?;
                    none.insert(found)
                }
            };
            let decided = self.decide(page, met).await?;
            let (deletions, rest): (Vec<_>, Vec<_>) =
                decided.into_iter().partition(|d| deletes(&d.subject, &d.decision.steps));
            deferred.extend(deletions.into_iter().map(|d| d.key));
            progress |= Box::pin(self.apply(rest)).await?;
        }
        Ok((progress, deferred))
    }

    /// Applies a page: one commit; where someone was first with one of its subjects, one commit each.
    pub(super) async fn apply(&mut self, decided: Vec<Decided>) -> Result<bool, SyncError> {
        if decided.is_empty() {
            return Ok(false);
        }
        match self.apply_together(&decided).await {
            Err(SyncError::Store(StoreError::Stale(_))) if decided.len() > 1 => {}
            Err(SyncError::Store(StoreError::Stale(_))) => {
                self.unfinished = true;
                return Ok(false);
            }
            other => return other,
        }
        let mut progress = false;
        for one in decided {
            self.keep_lease().await?;
            match self.apply_together(std::slice::from_ref(&one)).await {
                Ok(done) => progress |= done,
                // Decided again in the next round, from what is there now. Whether the lease is lost shows at its renewal.
                Err(SyncError::Store(StoreError::Stale(_))) => self.unfinished = true,
                Err(error) => return Err(error),
            }
        }
        Ok(progress)
    }

    async fn apply_together(&mut self, decided: &[Decided]) -> Result<bool, SyncError> {
        let mut batch = Batch::default();
        for one in decided {
            self.put(one, &mut batch)?;
        }
        let progress = !batch.effects.is_empty() || !batch.intents.is_empty();
        let mut commit = self.commit();
        commit.expect = batch.expect;
        if !batch.intents.is_empty() {
            commit.expect.push(Expect::Active(self.account.id));
        }
        commit.changes = batch.changes;
        self.store_all(commit, batch.effects).await?;
        self.tally.conflicts += batch.conflicts;
        self.tally.held += batch.held;
        self.send(batch.intents).await?;
        Ok(progress)
    }

    /// Puts one decision into a commit.
    fn put(&mut self, one: &Decided, batch: &mut Batch) -> Result<(), SyncError> {
        let Decided { key, subject, decision } = one;
        let account = self.account.id;
        let now = self.now();
        let mut state = Target::of(subject);
        if let Some(link) = &subject.link {
            batch.expect.push(Expect::Link(link.id, link.state));
        }
        for step in &decision.steps {
            self.put_step(step, subject, &mut state, now, batch);
        }
        // The person first: its new version marks its links as unsettled, and what is settled here is taken off again after.
        if state.person_changed
            && let Some(person) = &mut state.person
        {
            person.revision = if state.person_is_new { Revision(1) } else { Revision(person.revision.0 + 1) };
            person.updated = now;
            batch.changes.push(Change::PutPerson(Box::new(person.clone())));
        } else if !decision.steps.is_empty()
            && let Some(person) = &state.person
        {
            batch.expect.push(Expect::Person(person.id, person.revision));
        }
        let revision = state.person.as_ref().map_or(Revision(0), |p| p.revision);
        for mut link in state.links {
            if link.state.is_open() {
                link.revision = revision;
            }
            batch.changes.push(Change::PutLink(Box::new(link)));
        }
        for mut intent in state.intents {
            intent.revision = revision;
            if !mutant::on("apply.ignore_access_at_the_intent") {
                batch.expect.push(Expect::Access(self.account.user, intent.person));
            }
            batch.changes.push(Change::OpenIntent(Box::new(intent.clone())));
            if intent.what == Send::Create {
                self.creating.insert(intent.token);
            }
            batch.intents.push(intent);
        }
        batch.effects.extend(state.effects);
        if let (Some(held), Some(link)) = (subject.held, &subject.link) {
            let waits = held.is_none() && decision.waits == Some(Waits::Held);
            // A confirmed deletion of a record is done with when the provider has done it.
            let on_its_way = decision.steps.contains(&Step::DeleteRemote);
            if !waits && !on_its_way {
                batch.changes.push(Change::DropHeld(link.id));
            }
        }
        self.settle_marks(one, state.person.as_ref(), i64::from(state.forgotten), batch);
        // What failed may have done so under the other name of the subject.
        let person = subject.person.as_ref().filter(|_| !Self::of_the_past(one));
        let person = person.map(|facts| SubjectKey::Person(facts.person.id));
        for key in person.iter().chain([key]) {
            if self.failures.remove(key).is_some() {
                batch.changes.push(Change::Unfail(account, key.clone()));
            }
        }
        Ok(())
    }

    /// What needs nothing more is taken off the list of what is unsettled.
    fn settle_marks(&self, one: &Decided, person: Option<&Person>, later: i64, batch: &mut Batch) {
        let Decided { subject, decision, .. } = one;
        let account = self.account.id;
        let stays =
            matches!(decision.waits, Some(Waits::OpenIntent | Waits::FirstListing | Waits::Ambiguous | Waits::Hidden))
                && !mutant::on("apply.settle_what_waits");
        if stays {
            return;
        }
        if let Some(seen) = &subject.seen {
            batch.changes.push(Change::SettleRecord(account, seen.seen.id().clone(), seen.version + later));
        }
        if let Some(person) = person.filter(|_| !Self::of_the_past(one)) {
            batch.changes.push(Change::SettlePerson(account, person.id, person.revision));
        }
    }

    /// Whether the decision is about an ended or redundant link alone: another one may speak for its person, and
    /// what is to be done about that is decided under the person's own key.
    pub(super) fn of_the_past(one: &Decided) -> bool {
        let ended = one.subject.link.as_ref().is_some_and(|link| !link.state.speaks());
        ended && matches!(one.key, SubjectKey::Record(_))
    }

    fn put_step(&self, step: &Step, subject: &Subject, state: &mut Target, now: Timestamp, batch: &mut Batch) {
        let record = present(subject);
        match step {
            Step::CreateLocal { card, base } => {
                let Some(record) = record else { return };
                let person = self.new_person(card, subject, now);
                batch.expect.push(Expect::Unlinked(self.account.id, record.at.id.clone()));
                state.link_to(
                    self.new_link(person.id, Some(record.at.id.clone()), Origin::Theirs, base.clone()),
                    self.account.id,
                );
                let change = PersonChange::Created(card.clone());
                state.effects.push(Effect::Person { person: person.id, link: state.link_id(), change });
                (state.person, state.person_changed, state.person_is_new) = (Some(person), true, true);
            }
            Step::Match(base) => {
                let (Some(record), Some(person)) = (record, &state.person) else { return };
                batch.expect.push(Expect::Unlinked(self.account.id, record.at.id.clone()));
                batch.expect.push(Expect::NoOpenLink(self.account.id, person.id));
                batch.expect.push(Expect::Access(self.account.user, person.id));
                let link = self.new_link(person.id, Some(record.at.id.clone()), Origin::Theirs, base.clone());
                state.link_to(link, self.account.id);
            }
            Step::UpdateLocal { card, fields } => {
                let Some(person) = &mut state.person else { return };
                let diffs: Vec<FieldDiff> = operation::diff(&person.card, card);
                for field in fields.iter() {
                    // The provider's time for what came by a sync; unknown stays unknown (R5).
                    match subject.seen.as_ref().and_then(|s| s.times.get(&field)) {
                        Some(time) => person.times.insert(field, (*time).min(now)),
                        None => person.times.remove(&field),
                    };
                }
                person.card = card.clone();
                state.person_changed = true;
                let (person, link) = (person.id, state.link_id());
                state.effects.push(Effect::Person { person, link, change: PersonChange::Edited(diffs) });
            }
            Step::TrashLocal => state.person_state(PersonState::Trashed { at: now, by: None }, PersonChange::Trashed),
            Step::RestoreLocal => state.person_state(PersonState::Live, PersonChange::Restored),
            Step::Tag => {
                let Some(person) = &mut state.person else { return };
                let before = person.custom.insert(DELETED_IN.to_owned(), self.account.address.clone());
                state.person_changed = true;
                let value = Diff::new(before, Some(self.account.address.clone()));
                let (person, link) = (person.id, state.link_id());
                state.effects.push(Effect::Person {
                    person,
                    link,
                    change: PersonChange::Custom { name: DELETED_IN.to_owned(), value },
                });
            }
            Step::Rebase(base) => {
                if let Some(link) = state.link() {
                    link.base = base.clone();
                }
            }
            Step::State(to) => {
                let account = self.account.id;
                if let Some(link) = state.link() {
                    let (id, person, from) = (link.id, link.person, link.state);
                    link.state = *to;
                    state.effects.push(Effect::Link {
                        link: id,
                        account,
                        person,
                        state: Diff::new(Some(from), Some(*to)),
                    });
                }
            }
            Step::Conflict(clash) => {
                let (Some(link), Some(person)) = (state.link_id(), state.person.as_ref().map(|p| p.id)) else { return };
                batch.conflicts += 1;
                let id = new_id(&*self.engine.world);
                let conflict = Conflict {
                    id,
                    link,
                    account: self.account.id,
                    person,
                    at: now,
                    clash: clash.clone(),
                    resolved: false,
                };
                batch.changes.push(Change::PutConflict(Box::new(conflict)));
            }
            Step::Moot(id) => batch.changes.push(Change::ResolveConflict(*id)),
            Step::Forget => {
                let Some(record) = record else { return };
                state.forgotten = true;
                batch.changes.push(forget(self.account.id, record));
            }
            Step::AskDeletion(deletion) => {
                if let Some(held) = self.held(subject, *deletion, "policy", now) {
                    batch.held += 1;
                    batch.changes.push(Change::PutHeld(Box::new(held)));
                }
            }
            Step::CreateRemote(out) => self.open_create(out, state, now, batch),
            Step::UpdateRemote(out) => {
                let (Some(record), Some(link)) = (record, state.current()) else { return };
                let mut intent = self.intent(link, Send::Update, out, now);
                intent.collection = record.at.collection.clone();
                intent.before = Some(record.clone());
                state.intents.push(intent);
            }
            Step::DeleteRemote => {
                let (Some(record), Some(link)) = (record, state.current()) else { return };
                let nothing = Outgoing {
                    ours: Card::default(),
                    sent: Card::default(),
                    mask: Default::default(),
                    pairs: Default::default(),
                };
                let mut intent = self.intent(link, Send::Delete, &nothing, now);
                intent.collection = record.at.collection.clone();
                intent.before = Some(record.clone());
                state.intents.push(intent);
            }
        }
    }

    fn open_create(&self, out: &Outgoing, state: &mut Target, now: Timestamp, batch: &mut Batch) {
        let Some(person) = state.person.as_ref().map(|p| p.id) else { return };
        let account = self.account.id;
        // A create that was refused or not tried goes on over its link, with its token; an ended link makes way for a new one.
        let again = state.current().is_some_and(|l| l.state == LinkState::Live && l.remote.is_none());
        if !again {
            // A link that ends in this very commit is no obstacle; that it still stands as read is expected already.
            if !state.was_open {
                batch.expect.push(Expect::NoOpenLink(account, person));
            }
            let mut link = self.new_link(person, None, Origin::Ours, Base::default());
            link.token = Some(new_token(&*self.engine.world));
            state.link_to(link, account);
        }
        let Some(link) = state.current() else { return };
        let create = self.intent(link, Send::Create, out, now);
        let join = match (&self.account.settings.scope, self.provider.capabilities().membership) {
            (Scope::Group(group), caps::Membership::Roster | caps::Membership::Joined) => {
                let nothing = Outgoing {
                    ours: Card::default(),
                    sent: Card::default(),
                    mask: Default::default(),
                    pairs: Default::default(),
                };
                Some(self.intent(link, Send::Join(group.clone()), &nothing, now))
            }
            _ => None,
        };
        state.intents.push(create);
        state.intents.extend(join);
    }

    fn intent(&self, link: &Link, what: Send, out: &Outgoing, now: Timestamp) -> Intent {
        Intent {
            id: new_id(&*self.engine.world),
            link: link.id,
            account: link.account,
            person: link.person,
            token: link.token.unwrap_or_else(|| new_token(&*self.engine.world)),
            what,
            collection: self.home.clone(),
            ours: out.ours.clone(),
            revision: link.revision,
            sent: out.sent.clone(),
            mask: out.mask,
            pairs: out.pairs.clone(),
            before: None,
            opened: now,
            fence: self.lease.fence,
            missed: 0,
        }
    }

    fn new_person(&self, card: &Card, subject: &Subject, now: Timestamp) -> Person {
        Person {
            id: new_id(&*self.engine.world),
            revision: Revision(1),
            card: card.clone(),
            times: subject.seen.as_ref().map(|s| s.times.clone()).unwrap_or_default(),
            custom: Default::default(),
            owner: self.account.user,
            visible_to: self.account.settings.visible_to,
            followers: Vec::new(),
            state: PersonState::Live,
            created: now,
            updated: now,
        }
    }

    fn new_link(&self, person: PersonId, remote: Option<crate::ids::RemoteId>, origin: Origin, base: Base) -> Link {
        Link {
            id: new_id(&*self.engine.world),
            account: self.account.id,
            person,
            remote,
            origin,
            state: LinkState::Live,
            token: None,
            base,
            revision: Revision(0),
        }
    }

    /// A deletion to be put to a person.
    pub(super) fn held(
        &self,
        subject: &Subject,
        deletion: Deletion,
        why: &str,
        now: Timestamp,
    ) -> Option<HeldDeletion> {
        let (link, person) = (subject.link.as_ref()?, subject.person.as_ref()?);
        Some(HeldDeletion {
            id: new_id(&*self.engine.world),
            link: link.id,
            account: self.account.id,
            person: link.person,
            deletion,
            revision: person.person.revision,
            etag: subject.seen.as_ref().and_then(|s| s.seen.at()).and_then(|at| at.etag.clone()),
            at: now,
            why: why.to_owned(),
            answer: None,
        })
    }
}

/// The custom field in which policy `tag` notes where a person was deleted.
const DELETED_IN: &str = "deleted_in";

/// What becomes of a subject's person and links while its steps are put into a commit.
struct Target {
    person: Option<Person>,
    person_changed: bool,
    person_is_new: bool,
    /// Links that changed, the current one last.
    links: Vec<Link>,
    untouched: Option<Link>,
    /// Whether the subject's link was open when it was read.
    was_open: bool,
    intents: Vec<Intent>,
    effects: Vec<Effect>,
    /// Whether nothing of the record is remembered any more: its row has a later version then.
    forgotten: bool,
}

impl Target {
    fn of(subject: &Subject) -> Self {
        Self {
            person: subject.person.as_ref().map(|p: &PersonFacts| p.person.clone()),
            person_changed: false,
            person_is_new: false,
            links: Vec::new(),
            untouched: subject.link.clone(),
            was_open: subject.link.as_ref().is_some_and(|l| l.state.is_open()),
            intents: Vec::new(),
            effects: Vec::new(),
            forgotten: false,
        }
    }

    /// The current link, to be changed.
    fn link(&mut self) -> Option<&mut Link> {
        if let Some(link) = self.untouched.take() {
            self.links.push(link);
        }
        self.links.last_mut()
    }

    fn current(&self) -> Option<&Link> {
        self.links.last().or(self.untouched.as_ref())
    }

    fn link_id(&self) -> Option<LinkId> {
        self.current().map(|l| l.id)
    }

    /// A new link becomes the current one.
    fn link_to(&mut self, link: Link, account: AccountId) {
        self.untouched = None;
        self.effects.push(Effect::Link {
            link: link.id,
            account,
            person: link.person,
            state: Diff::new(None, Some(link.state)),
        });
        self.links.push(link);
    }

    fn person_state(&mut self, to: PersonState, change: PersonChange) {
        let link = self.link_id();
        if let Some(person) = &mut self.person {
            person.state = to;
            self.person_changed = true;
            self.effects.push(Effect::Person { person: person.id, link, change });
        }
    }
}

/// The change after which nothing of a record is remembered but that it is there.
pub(super) fn forget(account: AccountId, record: &RemoteRecord) -> Change {
    let seen = Seen::Outside { at: record.at.clone(), groups: record.groups.clone(), uid: record.uid.clone() };
    Change::Observe {
        account,
        collection: record.at.collection.clone(),
        generation: 0,
        rows: vec![(seen, Default::default())],
        echo: false,
    }
}

pub(super) fn present(subject: &Subject) -> Option<&RemoteRecord> {
    match subject.seen.as_ref().map(|s| &s.seen) {
        Some(Seen::Present(record)) => Some(record),
        _ => None,
    }
}

/// Whether the steps would delete something, or overwrite it with nothing: those come last, under the guard.
pub(super) fn deletes(subject: &Subject, steps: &[Step]) -> bool {
    steps.iter().any(|s| deletion(subject, s).is_some())
}

/// Which side would lose something by that step; overwriting with nothing counts (rule 10).
pub(super) fn deletion(subject: &Subject, step: &Step) -> Option<Deletion> {
    match step {
        Step::UpdateLocal { card, .. } => {
            let before = &subject.person.as_ref()?.person.card;
            wiped(before, card).then_some(Deletion::Local)
        }
        Step::UpdateRemote(out) => wiped(&present(subject)?.body, &out.sent).then_some(Deletion::Remote),
        step => deletion_of(step),
    }
}

/// Whether nothing by which a person is known or reached is left of what there was.
fn wiped(before: &Card, after: &Card) -> bool {
    use crate::card::field::Field;
    const KNOWN_BY: [Field; 8] = [
        Field::Given,
        Field::Family,
        Field::Display,
        Field::Organizations,
        Field::Emails,
        Field::Phones,
        Field::Addresses,
        Field::Note,
    ];
    KNOWN_BY.iter().any(|f| before.has(*f)) && !KNOWN_BY.iter().any(|f| after.has(*f))
}

/// Whether a person has confirmed the deletion of this subject.
pub(super) fn confirmed(subject: &Subject) -> bool {
    subject.held == Some(Some(Answer::Confirmed))
}
