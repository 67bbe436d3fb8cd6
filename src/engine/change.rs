//! An account's settings change: what would follow, and the change itself.
//!
//! Owns: the two decisions that a change of settings puts to a person: a new sync group moves the links, and one-way
//! becoming two-way either sends what was edited meanwhile or takes the present as agreed (R8, R11); and that a field which
//! begins to come in meets anew what stood there all along. Must not: ask a provider anything; whoever calls holds the
//! account, so that no run is under way.

use std::collections::BTreeMap;

use super::fetch::Hidden;
use super::membership::Membership;
use super::plan::Decided;
use super::preview::{Preview, Previewed};
use super::{Engine, FAILURES, Handle, SyncError};
use crate::card::field::FieldSet;
use crate::ids::CollectionId;
use crate::store::{Account, Change, CollectionState, Commit, Failure, PersonQuery, SubjectKey};
use crate::sync::caps::{self, Capabilities};
use crate::sync::diff::Diff;
use crate::sync::guard::{Toll, Verdict, judge};
use crate::sync::operation::{Actor, Effect, Operation};
use crate::sync::plan::{Decision, Deletion, Step, Waits};
use crate::sync::reconcile::{Facts, Meeting, deletion_of, reconcile};
use crate::sync::settings::{Direction, Scope, Settings};
use crate::sync::unite;
use crate::sync::view::{Groups, Link, LinkState, Seen, Subject};

/// What becomes of CRM edits that were made while the account was one-way (R11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Present {
    /// They are sent.
    Push,
    /// They stay here; both sides count as agreed as they are.
    Agree,
}

/// What is looked at to judge a change.
pub(super) struct Look<'a> {
    engine: &'a Engine,
    account: &'a Account,
    caps: &'a Capabilities,
    pub(super) collections: Vec<CollectionState>,
    membership: Membership,
    pub(super) failures: Vec<Failure>,
    pub(super) hidden: Hidden,
}

impl Engine {
    /// What would follow if the account had those settings: over everything that is known of it, without asking the
    /// provider. Records that would newly take part are counted; their content is read by the next run.
    ///
    /// # Errors
    /// When the store fails, or the handle says stop.
    pub async fn preview_change(
        &self,
        account: &Account,
        caps: &Capabilities,
        settings: &Settings,
        present: Option<Present>,
        handle: &Handle,
    ) -> Result<Preview, SyncError> {
        let look = self.look(account, caps).await?;
        let facts = look.facts(settings);
        let anew = comes_in(account, settings);
        let mut preview = Preview::default();
        let (mut local, mut remote) = (0, 0);
        look.each(handle, |key, mut subject| {
            if settings.scope != account.settings.scope
                && let Some(row) = look.moved(&subject, &settings.scope, &mut preview)
            {
                preview.rows.extend(row);
                return;
            }
            if present == Some(Present::Agree) {
                agree(&mut subject);
            }
            meet_anew(&mut subject, anew);
            let decision = reconcile(&subject, Meeting::Alone, &facts);
            for side in decision.steps.iter().filter_map(deletion_of) {
                match side {
                    Deletion::Local => local += 1,
                    Deletion::Remote => remote += 1,
                }
            }
            preview.add(Decided { key, subject, decision });
        })
        .await?;
        let done = self.store.guard_facts(account.id, self.now().plus(-24 * 60 * 60 * 1000)).await?;
        let over = |done_there, planned| {
            judge(Toll { live: done.live, done: done_there, planned }, settings.guard) != Verdict::Pass
        };
        preview.held = over(done.local, local) || over(done.remote, remote);
        Ok(preview)
    }

    /// Gives the account those settings, in one commit with what follows for its links.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn change_settings(
        &self,
        account: &Account,
        caps: &Capabilities,
        settings: Settings,
        present: Option<Present>,
        actor: Actor,
    ) -> Result<Account, SyncError> {
        let look = self.look(account, caps).await?;
        let mut commit = Commit::new(None, self.now());
        let mut effects = Vec::new();
        let rescoped = settings.scope != account.settings.scope;
        let moves = rescoped && matches!(settings.scope, Scope::Group(_));
        let anew = comes_in(account, &settings);
        let mut outside: BTreeMap<CollectionId, Vec<_>> = BTreeMap::new();
        if moves || present == Some(Present::Agree) || !anew.is_empty() {
            look.each(&Handle::default(), |key, mut subject| {
                // What is in the new group says a listing; what is not must not count as having left it by then.
                if moves
                    && let (SubjectKey::Record(_), Some(stored)) = (&key, &subject.seen)
                    && let Seen::Present(record) = &stored.seen
                    && !look.inside(&settings.scope, &record.groups, record.uid.as_deref())
                {
                    let (at, groups, uid) = (record.at.clone(), record.groups.clone(), record.uid.clone());
                    let row = (Seen::Outside { at, groups, uid }, stored.times.clone());
                    outside.entry(record.at.collection.clone()).or_default().push(row);
                    commit.changes.push(Change::PutDuplicates(account.id, record.at.id.clone(), Vec::new()));
                }
                let Some(before) = subject.link.clone() else { return };
                if present == Some(Present::Agree) {
                    agree(&mut subject);
                }
                meet_anew(&mut subject, anew);
                let Some(mut link) = subject.link else { return };
                if moves && link.state == LinkState::Live && link.remote.is_some() {
                    link.state = LinkState::Left;
                }
                if link.state != before.state {
                    effects.push(Effect::Link {
                        link: link.id,
                        account: account.id,
                        person: link.person,
                        state: Diff::new(Some(before.state), Some(link.state)),
                    });
                }
                if link != before {
                    commit.changes.push(Change::PutLink(Box::new(link)));
                }
            })
            .await?;
        }
        if rescoped {
            // What lies outside is stored without content, so that everything is listed again under the new group.
            for mut collection in look.collections {
                if let Some(rows) = outside.remove(&collection.id) {
                    let (account, generation) = (account.id, collection.generation);
                    let collection = collection.id.clone();
                    commit.changes.push(Change::Observe { account, collection, generation, rows, echo: false });
                }
                (collection.cursor, collection.listing) = (None, None);
                commit.changes.push(Change::PutCollection(account.id, collection));
            }
        }
        let changed = Account { settings, ..account.clone() };
        commit.put_account(changed.clone());
        commit.changes.push(Change::UnsettleAccount(account.id));
        if !effects.is_empty() {
            let why = "settings changed".to_owned();
            commit.operation = Some(Operation { id: self.new_id(), at: commit.now, actor, why, effects });
        }
        self.store.commit(commit).await?;
        Ok(changed)
    }

    pub(super) async fn look<'a>(
        &'a self,
        account: &'a Account,
        caps: &'a Capabilities,
    ) -> Result<Look<'a>, SyncError> {
        let collections = self.store.collections(account.id).await?;
        let rosters = match caps.membership {
            caps::Membership::Roster => self.store.rosters(account.id).await?,
            caps::Membership::InRecord | caps::Membership::Joined => Vec::new(),
        };
        let failures = self.store.failures(account.id, FAILURES).await?;
        let failing = failures.iter().map(|failure| (&failure.key, failure.attempts));
        let hidden = Hidden::among(&*self.store, account.id, failing).await?;
        Ok(Look { engine: self, account, caps, collections, membership: Membership::new(rosters), failures, hidden })
    }
}

impl Look<'_> {
    pub(super) fn facts<'a>(&'a self, settings: &'a Settings) -> Facts<'a> {
        let complete = !self.collections.is_empty() && self.collections.iter().all(|c| c.listed);
        Facts {
            user: self.account.user,
            settings,
            caps: self.caps,
            complete,
            hides: self.hidden.any,
            strange: self.hidden.strange,
        }
    }

    /// Every record that is not gone, then every person of the account's user that has none; in pages.
    pub(super) async fn each(
        &self,
        handle: &Handle,
        mut see: impl FnMut(SubjectKey, Subject),
    ) -> Result<(), SyncError> {
        let (store, id, page) = (self.engine.store(), self.account.id, self.engine.options.page.max(1));
        for collection in &self.collections {
            let mut after = None;
            loop {
                if handle.is_stopped() {
                    return Err(SyncError::Stopped);
                }
                let known = store.listing(id, &collection.id, after.as_ref(), page).await?;
                let Some(last) = known.last() else { break };
                after = Some(last.id.clone());
                let keys: Vec<SubjectKey> = known.into_iter().map(|k| SubjectKey::Record(k.id)).collect();
                let subjects = store.subjects(id, &keys).await?;
                keys.into_iter().zip(subjects).for_each(|(key, subject)| see(key, subject));
            }
        }
        self.each_person(handle, |subject| {
            let person = subject.person.as_ref().map(|facts| facts.person.id);
            if let (None, Some(person)) = (&subject.link, person) {
                see(SubjectKey::Person(person), subject);
            }
        })
        .await
    }

    /// Every person of the account's user who is in use; in pages.
    pub(super) async fn each_person(&self, handle: &Handle, mut see: impl FnMut(Subject)) -> Result<(), SyncError> {
        let (store, id, page) = (self.engine.store(), self.account.id, self.engine.options.page.max(1));
        let mut query = PersonQuery { owner: Some(self.account.user), limit: page, ..PersonQuery::default() };
        loop {
            if handle.is_stopped() {
                return Err(SyncError::Stopped);
            }
            let people = store.people(&query).await?;
            let Some(last) = people.last() else { return Ok(()) };
            query.after = Some(last.id);
            let keys: Vec<SubjectKey> = people.into_iter().map(|p| SubjectKey::Person(p.id)).collect();
            store.subjects(id, &keys).await?.into_iter().for_each(&mut see);
        }
    }

    fn inside(&self, scope: &Scope, groups: &Groups, uid: Option<&str>) -> bool {
        match scope {
            Scope::All => true,
            Scope::Group(group) => groups.contains(group) || self.membership.of(uid).contains(group),
        }
    }

    /// What a new sync group does to a record that it moves in or out; `None` = it stays where it is.
    fn moved(&self, subject: &Subject, scope: &Scope, preview: &mut Preview) -> Option<Option<Previewed>> {
        let seen = &subject.seen.as_ref()?.seen;
        let inside = |groups, uid| self.inside(scope, groups, uid);
        match seen {
            Seen::Present(record) if !inside(&record.groups, record.uid.as_deref()) => {
                let live = subject.link.as_ref().is_some_and(|l| l.state == LinkState::Live);
                if !live {
                    return Some(None);
                }
                let mut rows = Preview::default();
                let decision = Decision { steps: vec![Step::State(LinkState::Left)], waits: Some(Waits::Left) };
                let key = SubjectKey::Record(record.at.id.clone());
                rows.add(Decided { key, subject: subject.clone(), decision });
                Some(rows.rows.pop())
            }
            Seen::Outside { groups, uid, .. } if inside(groups, uid.as_deref()) => {
                if subject.link.as_ref().is_none_or(|l| !l.state.is_open()) {
                    preview.added_here += 1;
                }
                Some(None)
            }
            Seen::Outside { .. } => Some(None),
            _ => None,
        }
    }
}

/// Takes what both sides say now as agreed: nothing that was edited here meanwhile is sent, and nobody who was trashed
/// here is deleted there (R11).
fn agree(subject: &mut Subject) {
    let (Some(link), Some(person)) = (&mut subject.link, &subject.person) else { return };
    if link.state != LinkState::Live || subject.blocked {
        return;
    }
    if !person.person.is_live() {
        link.state = LinkState::Unlinked;
        return;
    }
    let Link { base, revision, .. } = link;
    if base.ours == person.person.card {
        return;
    }
    *revision = person.person.revision;
    *base = unite::taken_as_agreed(base, &person.person.card);
}

/// The fields that come in by these settings and did not so far.
fn comes_in(account: &Account, settings: &Settings) -> FieldSet {
    settings.mapping.incoming().without(account.settings.mapping.incoming())
}

/// What was sent only, and never taken in, was agreed on by one side: where it differs, both meet anew.
fn meet_anew(subject: &mut Subject, fields: FieldSet) {
    let Some(link) = subject.link.as_mut().filter(|link| link.state.is_open()) else { return };
    for field in fields.and(link.base.mapped).iter() {
        if !link.base.ours.same(&link.base.theirs, field) {
            link.base.mapped.remove(field);
        }
    }
}

/// Whether a change of direction asks what becomes of the edits made here meanwhile.
pub fn asks_about_present(before: &Settings, after: &Settings) -> bool {
    before.direction == Direction::OneWay && after.direction == Direction::TwoWay
}
