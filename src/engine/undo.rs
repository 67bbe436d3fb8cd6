//! Undo: of a run, of an account's syncs since a time, of what was last done to a person, of an operation; shown first.
//!
//! Owns: which operations are meant, what becomes of links (R19), and the one commit that it is. What becomes of a person is
//! decided by `sync::undo`. Must not: ask a provider anything: what is to be sent, deleted or created again there follows by
//! the next runs, under their rules and the guard. An undo is an operation too, and undone by its id.

use std::collections::{BTreeMap, BTreeSet};

use super::Engine;
use super::hold::{Refusal, in_name_of, may, user_of};
use super::unite::follow;
use crate::card::field::Field;
use crate::crm::person::{Person, PersonState};
use crate::ids::{AccountId, LinkId, OpId, PersonId, Revision, RunId, Timestamp};
use crate::store::{Account, Change, Commit, Expect, StoreError, SubjectKey};
use crate::sync::diff::Diff;
use crate::sync::operation::{Actor, Effect, FieldDiff, Operation, PersonChange, RemoteChange};
use crate::sync::plan::Clash;
use crate::sync::settings::Direction;
use crate::sync::undo::{self, Facts, Stays};
use crate::sync::view::{Link, LinkState, Origin, Seen, Subject};

/// How often it is done again when somebody was first.
const TRIES: usize = 3;
/// How many operations are read at a time.
const PAGE: usize = 200;

/// What is to be undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undo {
    /// What a run did.
    Run(RunId),
    /// What the syncs of an account did since then.
    Since(AccountId, Timestamp),
    /// What was last done to a person, or to one of its fields.
    Person(PersonId, Option<Field>),
    /// Operations, an undo among them.
    Operations(Vec<OpId>),
}

/// What undoing does, or did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UndoPlan {
    /// Each person, in order of id.
    pub rows: Vec<UndoRow>,
    /// The accounts in which something follows.
    pub accounts: BTreeSet<AccountId>,
    /// The accounts that must not run while it is done.
    pub touches: BTreeSet<AccountId>,
    /// The operation by which it is undone again, once it is done.
    pub operation: Option<OpId>,
}

/// What undoing does to one person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UndoRow {
    /// Whom.
    pub person: PersonId,
    /// The name to show.
    pub name: String,
    /// What is done: `delete here`, `restore here`, `change here`, `unlink`, `link again`, `delete there`, `send`.
    pub does: Vec<String>,
    /// What changes of the person.
    pub here: Vec<FieldDiff>,
    /// Values that were changed again since, and stay.
    pub clashes: Vec<Clash>,
    /// What stays as it is, and why; and what else there is to know.
    pub notes: Vec<String>,
}

impl Engine {
    /// What undoing would do, without doing it.
    ///
    /// # Errors
    /// When there is nothing to undo, or nothing that the actor may see.
    pub async fn preview_undo(&self, what: &Undo, actor: Actor) -> Result<UndoPlan, Refusal> {
        Ok(self.turned_back(what, actor).await?.plan)
    }

    /// Undoes it. `turns` are the accounts that the caller holds already.
    ///
    /// # Errors
    /// As [`Engine::preview_undo`]; or when an account that it concerns is being synced.
    pub async fn undo(&self, what: &Undo, actor: Actor, turns: &BTreeSet<AccountId>) -> Result<UndoPlan, Refusal> {
        let accounts = self.turned_back(what, actor).await?.plan.touches;
        self.holding(
            accounts,
            turns,
            Box::pin(async {
                let mut tries = 0;
                loop {
                    match self.undo_once(what, actor).await {
                        Err(Refusal::Store(StoreError::Stale(_))) if tries < TRIES => tries += 1,
                        done => return done,
                    }
                }
            }),
        )
        .await
    }

    async fn undo_once(&self, what: &Undo, actor: Actor) -> Result<UndoPlan, Refusal> {
        let TurnedBack { mut plan, mut commit, effects, .. } = self.turned_back(what, actor).await?;
        if effects.is_empty() {
            return Ok(plan);
        }
        let why = match what {
            Undo::Run(run) => format!("undo of run {run}"),
            Undo::Since(..) => "undo of an account's syncs".to_owned(),
            Undo::Person(..) => "undo".to_owned(),
            Undo::Operations(_) => "undo of an operation".to_owned(),
        };
        let operation = Operation { id: self.new_id(), at: commit.now, actor, why, effects };
        plan.operation = Some(operation.id);
        commit.operation = Some(operation);
        self.store.commit(commit).await?;
        Ok(plan)
    }

    /// Everything that it comes to, as things are now.
    async fn turned_back(&self, what: &Undo, actor: Actor) -> Result<TurnedBack, Refusal> {
        let operations = self.meant(what, actor).await?;
        self.not_merged_on(&operations).await?;
        let directory = self.store.directory().await?;
        let mut back = TurnedBack::new(Commit::new(None, self.now()));
        // The newest first: each finds what the ones after it have left.
        let mut of: BTreeMap<PersonId, Vec<&Effect>> = BTreeMap::new();
        for effect in operations.iter().rev().flat_map(|operation| operation.effects.iter().rev()) {
            of.entry(effect.person()).or_default().push(effect);
        }
        let ids: BTreeSet<OpId> = operations.iter().map(|operation| operation.id).collect();
        let accounts: BTreeSet<AccountId> = operations.iter().filter_map(|o| run_of(o.actor)).collect();
        let only = if let Undo::Person(_, field) = what { *field } else { None };
        let two_way = |account: &Account| account.settings.direction == Direction::TwoWay;
        let all = self.store.accounts().await?;
        let sending = all.iter().filter(|account| two_way(account)).map(|account| account.id).collect();
        let user = user_of(actor).filter(|user| !directory.users.get(user).is_some_and(|user| user.admin));
        let own = |account: &&Account| user.is_none_or(|user| account.user == user);
        let own = all.iter().filter(own).map(|account| account.id).collect();
        let returning = |effect: &Effect| match effect {
            Effect::Relinked { person, .. } => Some(person.before),
            Effect::Person { .. } | Effect::Remote { .. } | Effect::Link { .. } => None,
        };
        let returning = operations.iter().flat_map(|o| &o.effects).filter_map(returning).collect();
        let mut relinked = BTreeMap::new();
        for operation in &operations {
            for effect in &operation.effects {
                if let Effect::Relinked { link, person, .. } = effect {
                    relinked.entry((*link, person.after)).or_insert((operation.at, operation.id));
                }
            }
        }
        let context = Context {
            actor,
            only,
            ids: &ids,
            accounts: &accounts,
            sending: &sending,
            own: &own,
            returning: &returning,
            relinked: &relinked,
        };
        // Whose links go back to somebody else come first: what was edited over them goes back too.
        let mut of: Vec<(PersonId, Vec<&Effect>)> = of.into_iter().collect();
        of.sort_by_key(|(_, effects)| !effects.iter().any(|effect| matches!(effect, Effect::Relinked { .. })));
        for (id, effects) in of {
            let Some(person) = self.store.person(id).await? else { continue };
            if !may(actor, &person, &directory) {
                back.unseen = true;
                continue;
            }
            self.one_person(person, &effects, &context, &mut back).await?;
        }
        if back.plan.rows.is_empty() {
            let says = if back.unseen { "there is nothing of it that you may see" } else { "there is nothing to undo" };
            return Err(Refusal::Missing(says.to_owned()));
        }
        back.plan.rows.sort_by_key(|row| row.person);
        self.make_room(&mut back).await?;
        // Links that end or only listen from now on come first, then those that leave a person: only one may speak for a person
        // in an account at a time.
        back.links.sort_by_key(|(before, after)| (after.state.speaks(), before.person == after.person, after.id));
        let puts = back.links.drain(..).map(|(_, link)| Change::PutLink(Box::new(link)));
        let rest = std::mem::take(&mut back.commit.changes);
        back.commit.changes = puts.chain(rest).collect();
        Ok(back)
    }

    /// A merge is undone while its links are still where it put them: after a further merge, that one comes first.
    async fn not_merged_on(&self, operations: &[Operation]) -> Result<(), Refusal> {
        for operation in operations {
            for effect in &operation.effects {
                let Effect::Relinked { link, person: Diff { before, after }, .. } = effect else { continue };
                let Some(link) = self.store.link(*link).await?.filter(|_| before != after) else { continue };
                let undone_too = |other: &Operation| {
                    let moved = |effect: &Effect| {
                        matches!(effect, Effect::Relinked { link: of, person: Diff { before, .. }, .. }
                            if *of == link.id && before == after)
                    };
                    other.id > operation.id && other.effects.iter().any(moved)
                };
                if link.person == *after || link.person == *before || operations.iter().any(undone_too) {
                    continue;
                }
                let says = format!(
                    "{after} was merged with another person since; undo that merge first (`contactd people history {}` \
                     names it)",
                    link.person
                );
                return Err(Refusal::Cannot(says));
            }
        }
        Ok(())
    }

    /// The operations that are meant, oldest first, with those of their effects that are.
    async fn meant(&self, what: &Undo, actor: Actor) -> Result<Vec<Operation>, Refusal> {
        let mut found = Vec::new();
        match what {
            Undo::Run(run) => loop {
                let after = found.last().map(|operation: &Operation| operation.id);
                let page = self.store.operations(*run, after, PAGE).await?;
                if page.is_empty() {
                    break;
                }
                found.extend(page);
            },
            Undo::Since(account, since) => {
                let mut after = None;
                loop {
                    let page = self.store.operations_since(*since, after, PAGE).await?;
                    let Some(last) = page.last() else { break };
                    after = Some(last.id);
                    found.extend(page.into_iter().filter(|o| o.at >= *since && run_of(o.actor) == Some(*account)));
                }
            }
            Undo::Operations(ids) => {
                for id in ids {
                    let missing =
                        || Refusal::Missing(format!("there is no run or operation {id}; see `contactd runs list`"));
                    found.push(self.store.operation(*id).await?.ok_or_else(missing)?);
                }
                found.sort_by_key(|operation| operation.id);
            }
            Undo::Person(person, field) => found.extend(self.last_of(*person, *field, actor).await?),
        }
        if found.is_empty() {
            let says = match what {
                Undo::Person(_, Some(field)) => format!("{field} was not changed since the person came to be"),
                _ => "there is nothing to undo".to_owned(),
            };
            return Err(Refusal::Missing(says));
        }
        Ok(found)
    }

    /// What was last done to the person, or to one of its fields.
    async fn last_of(
        &self,
        person: PersonId,
        field: Option<Field>,
        actor: Actor,
    ) -> Result<Option<Operation>, Refusal> {
        let missing = || Refusal::Missing(format!("there is no person '{person}', or you may not see it"));
        let found = self.store.person(person).await?.ok_or_else(missing)?;
        if !may(actor, &found, &self.store.directory().await?) {
            return Err(missing());
        }
        let meant = |effect: &Effect| match (effect, field) {
            (Effect::Person { change: PersonChange::Edited(diffs), .. }, Some(field)) => {
                diffs.iter().any(|diff| diff.field == field)
            }
            (Effect::Person { .. }, None) => true,
            _ => false,
        };
        let history = self.store.history(person, usize::MAX).await?;
        let last = history.into_iter().find(|operation| operation.effects.iter().any(meant));
        let joins = |effect: &Effect| {
            matches!(effect, Effect::Person { change: PersonChange::MergedInto(_) | PersonChange::Absorbed(_), .. })
        };
        match last {
            // Of a merge only both sides can be undone.
            Some(last) if field.is_none() && last.effects.iter().any(joins) => {
                Ok(self.store.operation(last.id).await?)
            }
            last => Ok(last),
        }
    }

    async fn one_person(
        &self,
        person: Person,
        effects: &[&Effect],
        context: &Context<'_>,
        back: &mut TurnedBack,
    ) -> Result<(), Refusal> {
        let links = self.store.links_of(person.id).await?;
        back.plan.touches.extend(links.iter().map(|link| link.account));
        let mut row = UndoRow {
            person: person.id,
            name: crate::card::normalize::display_name(&person.card).unwrap_or_default(),
            does: Vec::new(),
            here: Vec::new(),
            clashes: Vec::new(),
            notes: Vec::new(),
        };
        let mut turned = Vec::new();
        if context.only.is_none() {
            self.turn_links(effects, context, &mut turned, back, &mut row).await?;
        }
        let turning: BTreeSet<LinkId> = turned.iter().map(|(link, _): &(Link, Link)| link.id).collect();
        let known_elsewhere = links
            .iter()
            .any(|link| link.origin == Origin::Theirs && link.state.is_open() && !turning.contains(&link.id));
        // Whose record was deleted there, while two people were one.
        let deleted = |link: &&Link| link.state == LinkState::Deleted;
        let goes = |link: &Link| context.relinked.contains_key(&(link.id, person.id));
        let by_sync = matches!(person.state, PersonState::Trashed { by: None, .. });
        let mut ended = links.iter().filter(deleted).map(goes).peekable();
        let trashed_as_both = by_sync && ended.peek().is_some() && ended.all(|goes| goes);
        let facts = Facts {
            now: back.commit.now,
            trashed_as_both,
            by: in_name_of(context.actor, &person),
            edited_since: self.edited_since(&person, effects, context).await?,
            known_elsewhere,
            merged_away: !person.is_live()
                && !context.returning.contains(&person.id)
                && self.merge_of(person.id).await?.is_some_and(|merge| !context.ids.contains(&merge)),
            only: context.only,
        };
        let mut changes: Vec<&PersonChange> = Vec::new();
        for effect in effects {
            match effect {
                Effect::Person { change, .. } => changes.push(change),
                // Whose record we deleted comes back, and the record is made anew.
                Effect::Remote { change: RemoteChange::Deleted { .. }, .. } => changes.push(&PersonChange::Trashed),
                Effect::Remote { change: RemoteChange::Updated(_), .. } => {
                    row.notes
                        .push("what was sent to the address book came from an edit here; undo that edit".to_owned());
                }
                Effect::Remote { .. } | Effect::Link { .. } | Effect::Relinked { .. } => {}
            }
        }
        let mut undone = undo::undo(&person, changes, &facts);
        // What was edited in the records that go back to their person goes with them.
        let returning: BTreeSet<LinkId> =
            turned.iter().filter(|(before, after)| before.person != after.person).map(|(link, _)| link.id).collect();
        if !returning.is_empty() {
            self.bring_along(&returning, effects, context, &mut back.returned).await?;
        }
        if let Some(edits) = back.returned.remove(&person.id) {
            for diffs in &edits {
                undone.person.card = undo::repeated(&undone.person.card, diffs);
            }
        }
        row.notes.extend(undone.stays.iter().map(|stays: &Stays| stays.words().to_owned()));
        row.clashes = undone.clashes;
        let flows = |link: &&Link| {
            link.state.is_open() && !turning.contains(&link.id) && context.sending.contains(&link.account)
        };
        let told: BTreeSet<AccountId> = links.iter().filter(flows).map(|link| link.account).collect();
        put_person(&person, undone.person, told, context.actor, back, &mut row);
        for (before, after) in turned {
            back.put_link(before, after);
        }
        row.notes.sort();
        row.notes.dedup();
        if !row.does.is_empty() || !row.notes.is_empty() {
            back.plan.rows.push(row);
        }
        Ok(())
    }

    /// What becomes of the links that were made, ended by an undo, or moved by a merge.
    async fn turn_links(
        &self,
        effects: &[&Effect],
        context: &Context<'_>,
        turned: &mut Vec<(Link, Link)>,
        back: &mut TurnedBack,
        row: &mut UndoRow,
    ) -> Result<(), Refusal> {
        for effect in effects {
            let (id, account) = match effect {
                Effect::Link { link, account, .. } | Effect::Relinked { link, account, .. } => (*link, *account),
                Effect::Person { .. } | Effect::Remote { .. } => continue,
            };
            if !context.own.contains(&account) && matches!(effect, Effect::Link { .. }) {
                row.notes.push("its link to somebody else's address book stays".to_owned());
                continue;
            }
            back.plan.touches.insert(account);
            let found = self.store.subjects_of_links(account, &[id]).await?;
            let Some(subject) = found.into_iter().next().map(|(_, subject)| subject) else { continue };
            let Some(link) = subject.link.clone() else { continue };
            let before = turned.iter().find(|(_, after)| after.id == id).map_or(&link, |(_, after)| after).clone();
            let Some((mut after, mut does)) = turned_link(effect, &before, &subject) else { continue };
            if after.state == LinkState::Undone
                && after.origin == Origin::Ours
                && self.edited_over(&after, context).await?
            {
                // An edit beats a deletion: the record is its user's by now.
                (after.state, does) = (LinkState::Unlinked, "unlink");
                row.notes.push("its record was edited there since, and stays there".to_owned());
            }
            if let Effect::Relinked { person, .. } = effect
                && before.person != after.person
            {
                let intents = self.store.intents(account).await?.into_iter().filter(|intent| intent.link == id);
                back.commit.changes.extend(follow(intents.collect(), person.before));
                let moved = BTreeSet::from([id]);
                let pair = [(link.clone(), after.state)];
                let left = self.left_behind(&moved, person.after, person.before, &pair).await?;
                back.commit.changes.extend(left.into_iter().filter(|c| !matches!(c, Change::Unfail(..))));
            }
            back.commit.changes.extend(
                subject.open.iter().filter(|_| after.state == LinkState::Undone).map(|s| Change::ResolveConflict(s.id)),
            );
            if after.state == LinkState::Undone {
                back.commit.changes.push(Change::DropHeld(id));
            }
            if !row.does.iter().any(|word| word == does) {
                row.does.push(does.to_owned());
            }
            back.plan.accounts.insert(account);
            match turned.iter_mut().find(|(_, earlier)| earlier.id == id) {
                Some((_, earlier)) => *earlier = after,
                None => turned.push((link, after)),
            }
        }
        Ok(())
    }

    /// What was linked since the operations that are undone stays: a link that comes back beside another one only listens,
    /// and one whose record has another link by now does not come back.
    async fn make_room(&self, back: &mut TurnedBack) -> Result<(), StoreError> {
        for n in 0..back.links.len() {
            let link = back.links[n].1.clone();
            if !link.state.is_open() {
                continue;
            }
            let mut others = self.store.links_of(link.person).await?;
            if let Some(remote) = &link.remote {
                let found = self.store.subjects(link.account, &[SubjectKey::Record(remote.clone())]).await?;
                others.extend(found.into_iter().filter_map(|subject| subject.link));
            }
            // As they will be; of those that come back with it, the ones before it are settled.
            others.retain(|other| back.links.iter().all(|(_, after)| after.id != other.id));
            others.extend(back.links[..n].iter().map(|(_, after)| after.clone()));
            others.retain(|other| other.account == link.account && other.state.is_open());
            let state = &mut back.links[n].1.state;
            if others.iter().any(|other| link.remote.is_some() && other.remote == link.remote) {
                *state = LinkState::Unlinked;
            } else if link.state.speaks()
                && others.iter().any(|other| other.person == link.person && other.state.speaks())
            {
                *state = LinkState::Redundant;
            }
        }
        Ok(())
    }

    /// Whether something that was edited in the record has come in over the link, and is not undone with it.
    async fn edited_over(&self, link: &Link, context: &Context<'_>) -> Result<bool, StoreError> {
        let over = |effect: &Effect| matches!(effect, Effect::Person { link: Some(id), change: PersonChange::Edited(_), .. } if *id == link.id);
        let history = self.store.history(link.person, usize::MAX).await?;
        Ok(history.iter().any(|o| !context.ids.contains(&o.id) && o.effects.iter().any(over)))
    }

    /// Whether somebody else has edited the person since the operations that are undone.
    async fn edited_since(
        &self,
        person: &Person,
        effects: &[&Effect],
        context: &Context<'_>,
    ) -> Result<bool, StoreError> {
        let created = |effect: &&&Effect| matches!(effect, Effect::Person { change: PersonChange::Created(_), .. });
        if effects.iter().find(created).is_none() {
            return Ok(false);
        }
        let history = self.store.history(person.id, usize::MAX).await?;
        let first = history.iter().filter(|operation| context.ids.contains(&operation.id)).map(|o| o.id).min();
        let edits = |effect: &Effect| match effect {
            Effect::Person { change, .. } => matches!(
                change,
                PersonChange::Edited(_)
                    | PersonChange::Custom { .. }
                    | PersonChange::Owner(_)
                    | PersonChange::Absorbed(_)
            ),
            _ => false,
        };
        Ok(history.iter().any(|operation| {
            Some(operation.id) > first
                && !context.ids.contains(&operation.id)
                // What came from the same address book is still there.
                && run_of(operation.actor).is_none_or(|account| !context.accounts.contains(&account))
                && operation.effects.iter().any(edits)
        }))
    }

    /// What was edited, since the merge that is undone, in records that go back to their person.
    async fn bring_along(
        &self,
        returning: &BTreeSet<LinkId>,
        effects: &[&Effect],
        context: &Context<'_>,
        returned: &mut BTreeMap<PersonId, Vec<Vec<FieldDiff>>>,
    ) -> Result<(), StoreError> {
        for effect in effects {
            let Effect::Relinked { link, person: Diff { before, after }, .. } = effect else { continue };
            if !returning.contains(link) || before == after {
                continue;
            }
            let since = context.relinked.get(&(*link, *after));
            let history = self.store.history(*after, usize::MAX).await?.into_iter().rev();
            for operation in history.filter(|operation| since.is_none_or(|since| (operation.at, operation.id) > *since))
            {
                for effect in operation.effects {
                    if let Effect::Person { link: Some(over), change: PersonChange::Edited(diffs), .. } = effect
                        && over == *link
                    {
                        returned.entry(*before).or_default().push(diffs);
                    }
                }
            }
        }
        Ok(())
    }
}

/// What is the same for all people of one undo.
struct Context<'a> {
    actor: Actor,
    only: Option<Field>,
    ids: &'a BTreeSet<OpId>,
    /// The accounts whose runs are undone.
    accounts: &'a BTreeSet<AccountId>,
    /// The accounts that we write to.
    sending: &'a BTreeSet<AccountId>,
    /// The accounts of whoever undoes; all of them for an administrator.
    own: &'a BTreeSet<AccountId>,
    /// The people who get links back.
    returning: &'a BTreeSet<PersonId>,
    /// Since when a person has had a link that goes back now.
    relinked: &'a BTreeMap<(LinkId, PersonId), (Timestamp, OpId)>,
}

/// An undo in the making.
struct TurnedBack {
    plan: UndoPlan,
    commit: Commit,
    effects: Vec<Effect>,
    /// Links as they are, and as they will be.
    links: Vec<(Link, Link)>,
    /// Edits that go back with their records, per person.
    returned: BTreeMap<PersonId, Vec<Vec<FieldDiff>>>,
    /// Whether something was left out that the actor may not see.
    unseen: bool,
}

impl TurnedBack {
    fn new(commit: Commit) -> Self {
        Self {
            plan: UndoPlan::default(),
            commit,
            effects: Vec::new(),
            links: Vec::new(),
            returned: BTreeMap::new(),
            unseen: false,
        }
    }

    fn put_link(&mut self, before: Link, after: Link) {
        let (link, account) = (after.id, after.account);
        self.commit.expect.push(Expect::Link(link, before.state));
        let merged = [before.state, after.state].contains(&LinkState::Redundant);
        self.effects.push(if before.person == after.person && !merged {
            let state = Diff::new(Some(before.state), Some(after.state));
            Effect::Link { link, account, person: after.person, state }
        } else {
            let person = Diff::new(before.person, after.person);
            Effect::Relinked { link, account, person, state: Diff::new(before.state, after.state) }
        });
        self.commit.changes.push(Change::UnsettlePerson(account, after.person));
        if after.state.is_open() {
            let remote = after.remote.clone();
            self.commit.changes.extend(remote.map(|remote| Change::UnsettleRecord(account, remote)));
        }
        self.links.push((before, after));
    }
}

/// The person's next version, if undoing changes it; `told` are the accounts that learn of it.
fn put_person(
    before: &Person,
    mut after: Person,
    told: BTreeSet<AccountId>,
    actor: Actor,
    back: &mut TurnedBack,
    row: &mut UndoRow,
) {
    let changes = undo::changes(before, &after);
    back.commit.expect.push(Expect::Person(before.id, before.revision));
    back.commit.expect.extend(user_of(actor).map(|user| Expect::Access(user, before.id)));
    if changes.is_empty() {
        return;
    }
    for change in &changes {
        let word = match change {
            PersonChange::Trashed => "delete here",
            PersonChange::Restored => "restore here",
            PersonChange::Edited(diffs) => {
                row.here.clone_from(diffs);
                "change here"
            }
            _ => "change here",
        };
        if !row.does.iter().any(|does| does == word) {
            row.does.push(word.to_owned());
        }
    }
    if !told.is_empty() {
        row.does.push(if after.is_live() { "send" } else { "delete there" }.to_owned());
        back.plan.accounts.extend(told);
    }
    after.revision = Revision(before.revision.0 + 1);
    after.updated = back.commit.now;
    let id = before.id;
    back.effects.extend(changes.into_iter().map(|change| Effect::Person { person: id, link: None, change }));
    back.commit.changes.push(Change::PutPerson(Box::new(after)));
}

fn run_of(actor: Actor) -> Option<AccountId> {
    match actor {
        Actor::Run { account, .. } => Some(account),
        Actor::User(_) | Actor::Operator | Actor::Daemon => None,
    }
}

/// The link with the effect taken back, and the word for it; `None` = it stays.
fn turned_link(effect: &Effect, link: &Link, subject: &Subject) -> Option<(Link, &'static str)> {
    let turned = |state| Link { state, ..link.clone() };
    let outside = matches!(subject.seen.as_ref().map(|stored| &stored.seen), Some(Seen::Outside { .. }));
    match effect {
        // It was made: it ends, and its record is neither deleted there, unless we made it, nor imported again.
        Effect::Link { state: Diff { before: None, .. }, .. } => {
            let word = if link.origin == Origin::Ours { "delete there" } else { "unlink" };
            link.state.is_open().then(|| (turned(LinkState::Undone), word))
        }
        // Its making was undone: it is made again.
        Effect::Link { state: Diff { before: Some(before), after: Some(ended) }, .. }
            if link.state == *ended && matches!(ended, LinkState::Undone | LinkState::Unlinked) =>
        {
            let there = matches!(subject.seen.as_ref().map(|stored| &stored.seen), Some(Seen::Present(_)));
            if *ended == LinkState::Unlinked && !there {
                return None;
            }
            let state = match subject.seen.as_ref().map(|stored| &stored.seen) {
                Some(Seen::Present(_) | Seen::Unreadable(..)) => *before,
                Some(Seen::Outside { .. }) => LinkState::Left,
                // Whether its record was made is not known yet, or it is still to be made.
                None if link.remote.is_none() => *before,
                Some(Seen::Gone(_) | Seen::Roster(_)) | None => LinkState::Deleted,
            };
            Some((turned(state), "link again"))
        }
        // Two people became one: the link goes back. One that ended meanwhile stays so.
        Effect::Relinked { person, state, .. } if link.person == person.after => {
            // One whose record is outside the sync group by now did not leave it when it comes back.
            let now = match link.state == state.after {
                true if outside && state.before == LinkState::Live => LinkState::Left,
                true => state.before,
                false => link.state,
            };
            let back = Link { person: person.before, ..turned(now) };
            (back != *link).then_some((back, "link again"))
        }
        _ => None,
    }
}
