//! Two people become one: shown first, done in one commit, and undone like anything else.
//!
//! Owns: [`Engine::preview_merge`] and [`Engine::merge_people`]. The other person goes into the trash with its content and
//! history; its links, open intents, conflicts and held deletions go to the survivor. What the survivor says afterwards is
//! decided by `sync::unite`. Must not: ask a provider anything; the records follow with the next runs.

use std::collections::{BTreeMap, BTreeSet};

use super::Engine;
use super::hold::{Refusal, in_name_of, may, user_of};
use crate::crm::person::{Person, PersonState};
use crate::ids::{AccountId, LinkId, OpId, PersonId, Revision, UserId};
use crate::store::{Change, Commit, Expect, StoreError, SubjectKey};
use crate::sync::diff::Diff;
use crate::sync::operation::{Actor, Effect, FieldDiff, Operation, PersonChange};
use crate::sync::plan::Clash;
use crate::sync::view::{Intent, Link, LinkState, Send};
use crate::sync::{operation, undo, unite};

/// How often it is done again when somebody was first.
const TRIES: usize = 3;

/// What merging two people does, or did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merge {
    /// The survivor, as it is afterwards.
    pub survivor: Person,
    /// The other one, as it is before.
    pub other: Person,
    /// What changes of the survivor.
    pub fields: Vec<FieldDiff>,
    /// Values of both that differ: the survivor's stand, the other's stay in its history.
    pub clashes: Vec<Clash>,
    /// The other's own fields that the survivor has with other values.
    pub custom: Vec<(String, String)>,
    /// Followers for whom there is no room.
    pub dropped: Vec<UserId>,
    /// What becomes of links: which, in which account, and its state afterwards.
    pub links: Vec<(LinkId, AccountId, LinkState)>,
    /// The accounts that must not run while it is done.
    pub touches: BTreeSet<AccountId>,
    /// The operation by which it is undone, once it is done.
    pub operation: Option<OpId>,
}

impl Engine {
    /// What merging the other person into the survivor would do.
    ///
    /// # Errors
    /// When the actor may not see one of them, or they can't be merged.
    pub async fn preview_merge(&self, survivor: PersonId, other: PersonId, actor: Actor) -> Result<Merge, Refusal> {
        Ok(self.union(survivor, other, actor).await?.merge)
    }

    /// Merges the other person into the survivor. `turns` are the accounts that the caller holds already.
    ///
    /// # Errors
    /// As [`Engine::preview_merge`]; or when an account that it concerns is being synced.
    pub async fn merge_people(
        &self,
        survivor: PersonId,
        other: PersonId,
        actor: Actor,
        turns: &BTreeSet<AccountId>,
    ) -> Result<Merge, Refusal> {
        let accounts = self.union(survivor, other, actor).await?.merge.touches;
        self.holding(
            accounts,
            turns,
            Box::pin(async {
                let mut tries = 0;
                loop {
                    match self.merge_once(survivor, other, actor).await {
                        Err(Refusal::Store(StoreError::Stale(_))) if tries < TRIES => tries += 1,
                        done => return done,
                    }
                }
            }),
        )
        .await
    }

    /// The merge that took a person's links away, if they have not come back since. Who is brought back from the trash gets
    /// back what went to the other person by an undo of the merge: a restored person without its links would be made anew in
    /// every address book, beside the record that it had there.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn merge_of(&self, person: PersonId) -> Result<Option<OpId>, StoreError> {
        let merges = |effect: &Effect| {
            let merged = matches!(effect, Effect::Person { change: PersonChange::MergedInto(_), .. });
            merged && effect.person() == person
        };
        let history = self.store.history(person, usize::MAX).await?;
        let Some(merge) = history.into_iter().find(|operation| operation.effects.iter().any(merges)) else {
            return Ok(None);
        };
        let Some(whole) = self.store.operation(merge.id).await? else { return Ok(None) };
        for effect in &whole.effects {
            if let Effect::Relinked { link, person: Diff { before, after }, .. } = effect
                && *before == person
                && before != after
                && self.store.link(*link).await?.is_some_and(|link| link.person != person)
            {
                return Ok(Some(merge.id));
            }
        }
        Ok(None)
    }

    async fn merge_once(&self, survivor: PersonId, other: PersonId, actor: Actor) -> Result<Merge, Refusal> {
        let Union { mut merge, before, links, intents } = self.union(survivor, other, actor).await?;
        let now = self.now();
        let mut commit = Commit::new(None, now);
        for person in [&before, &merge.other] {
            commit.expect.push(Expect::Person(person.id, person.revision));
            commit.expect.extend(user_of(actor).map(|user| Expect::Access(user, person.id)));
        }
        let mut effects = Vec::new();
        for change in undo::changes(&before, &merge.survivor) {
            effects.push(Effect::Person { person: survivor, link: None, change });
        }
        effects.push(Effect::Person { person: survivor, link: None, change: PersonChange::Absorbed(other) });
        effects.push(Effect::Person { person: other, link: None, change: PersonChange::MergedInto(survivor) });
        merge.survivor.revision = Revision(before.revision.0 + 1);
        merge.survivor.updated = now;
        let trashed = Person {
            revision: Revision(merge.other.revision.0 + 1),
            state: PersonState::Trashed { at: now, by: Some(in_name_of(actor, &merge.other)) },
            updated: now,
            ..merge.other.clone()
        };
        for (link, state) in &links {
            commit.expect.push(Expect::Link(link.id, link.state));
            let moved = Link { person: survivor, state: *state, ..link.clone() };
            effects.push(Effect::Relinked {
                link: link.id,
                account: link.account,
                person: Diff::new(link.person, survivor),
                state: Diff::new(link.state, *state),
            });
            commit.changes.push(Change::PutLink(Box::new(moved)));
            commit.changes.push(Change::UnsettlePerson(link.account, survivor));
            commit.changes.extend(link.remote.clone().map(|r| Change::UnsettleRecord(link.account, r)));
        }
        let moved: BTreeSet<LinkId> = links.iter().filter(|(l, _)| l.person == other).map(|(l, _)| l.id).collect();
        commit.changes.extend(follow(intents, survivor));
        commit.changes.extend(self.left_behind(&moved, other, survivor, &links).await?);
        // The people last: their new versions mark the links as they are then.
        commit.changes.push(Change::PutPerson(Box::new(merge.survivor.clone())));
        commit.changes.push(Change::PutPerson(Box::new(trashed)));
        let operation = Operation { id: self.new_id(), at: now, actor, why: "people merged".to_owned(), effects };
        merge.operation = Some(operation.id);
        commit.operation = Some(operation);
        self.store.commit(commit).await?;
        Ok(merge)
    }

    /// Conflicts and held deletions go with their links; what failed of the other one is nobody's any more.
    pub(super) async fn left_behind(
        &self,
        moved: &BTreeSet<LinkId>,
        from: PersonId,
        to: PersonId,
        links: &[(Link, LinkState)],
    ) -> Result<Vec<Change>, StoreError> {
        let mut changes = Vec::new();
        let accounts: BTreeSet<AccountId> =
            links.iter().filter(|(l, _)| moved.contains(&l.id)).map(|(l, _)| l.account).collect();
        for account in accounts {
            for mut conflict in self.store.conflicts(Some(account), usize::MAX).await? {
                if moved.contains(&conflict.link) {
                    conflict.person = to;
                    changes.push(Change::PutConflict(Box::new(conflict)));
                }
            }
            for mut held in self.store.held(Some(account)).await? {
                if moved.contains(&held.link) && held.answer.is_none() {
                    held.person = to;
                    changes.push(Change::PutHeld(Box::new(held)));
                }
            }
            changes.push(Change::Unfail(account, SubjectKey::Person(from)));
        }
        Ok(changes)
    }

    /// Everything that the merge is made of, as it is now.
    async fn union(&self, survivor: PersonId, other: PersonId, actor: Actor) -> Result<Union, Refusal> {
        if survivor == other {
            return Err(Refusal::Cannot("these are the same person; give two different ones".to_owned()));
        }
        let directory = self.store.directory().await?;
        let read = async |id: PersonId| -> Result<Person, Refusal> {
            let missing = || Refusal::Missing(format!("there is no person '{id}', or you may not see it"));
            let person = self.store.person(id).await?.ok_or_else(missing)?;
            if !may(actor, &person, &directory) {
                return Err(missing());
            }
            if person.is_live() {
                return Ok(person);
            }
            Err(Refusal::Cannot(format!("{id} is in the trash; restore it first")))
        };
        let (before, other) = (read(survivor).await?, read(other).await?);
        let united = unite::unite(&before, &other, &directory);
        let mut all: BTreeMap<LinkId, Link> = BTreeMap::new();
        let (own, others) = (self.store.links_of(before.id).await?, self.store.links_of(other.id).await?);
        all.extend(own.iter().chain(&others).map(|link| (link.id, link.clone())));
        let states = unite::links(&own, &others);
        let links: Vec<(Link, LinkState)> =
            states.into_iter().filter_map(|(id, state)| Some((all.remove(&id)?, state))).collect();
        let accounts: BTreeSet<AccountId> = own.iter().chain(&others).map(|link| link.account).collect();
        let mut intents = Vec::new();
        for account in accounts.iter().copied() {
            let open = self.store.intents(account).await?;
            let creates = |person| open.iter().any(|i| i.person == person && i.what == Send::Create);
            if creates(before.id) && creates(other.id) {
                let says = "both are just being created in one account; sync it first, then merge them";
                return Err(Refusal::Cannot(says.to_owned()));
            }
            intents.extend(open.into_iter().filter(|intent| intent.person == other.id));
        }
        let merge = Merge {
            fields: operation::diff(&before.card, &united.survivor.card),
            survivor: united.survivor,
            clashes: united.clashes,
            custom: united.custom,
            dropped: united.dropped,
            links: links.iter().map(|(link, state)| (link.id, link.account, *state)).collect(),
            other,
            touches: accounts,
            operation: None,
        };
        Ok(Union { merge, before, links, intents })
    }
}

/// Open intents follow their links.
pub(super) fn follow(intents: Vec<Intent>, to: PersonId) -> impl Iterator<Item = Change> {
    intents.into_iter().map(move |intent| Change::MoveIntent(Box::new(Intent { person: to, ..intent })))
}

struct Union {
    merge: Merge,
    /// The survivor as it is.
    before: Person,
    /// Links that change, each with its state afterwards, in order.
    links: Vec<(Link, LinkState)>,
    intents: Vec<Intent>,
}
