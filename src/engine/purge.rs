//! Purging the trash: after its time there, a person's content is removed for good.
//!
//! Owns: who may be purged, and that nothing of the content stays: not in the person, not in the bases of its links, its
//! conflicts, its operations, what was seen of its records, nor its pictures. Must not: end a link or ask a provider. A purged
//! person and its links stay as tombstones, so that its record is not imported again (reconciliation C). What is kept: ids,
//! the record's own id, UID and groups, and that something was changed, in which field, by whom and when.

use std::collections::{BTreeMap, BTreeSet};

use super::apply::{forget, present};
use super::hold::{Refusal, may, user_of};
use super::{Engine, SyncError};
use crate::card::Card;
use crate::card::field::{Field, FieldValue, Value};
use crate::crm::person::{Person, PersonState};
use crate::ids::{PersonId, Revision, Timestamp};
use crate::store::{AccountState, Change, Commit, Expect, PersonQuery, StoreError, SubjectKey};
use crate::sync::operation::{Actor, Effect, Operation, PersonChange, RemoteChange};

/// How often a page that others have changed meanwhile is read again, before the rest is left for the next time.
const TRIES: usize = 5;

impl Engine {
    /// Removes the content of everybody who went into the trash before that time; says how many that were. Who waits for
    /// something is left for another time: for what became of a send, or for a deletion that was put to a person.
    ///
    /// # Errors
    /// When the store fails; what was purged until then stays purged.
    pub async fn purge(&self, before: Timestamp) -> Result<usize, SyncError> {
        let limit = self.options.page.max(1);
        let (mut after, mut purged, mut tries) = (None, 0, 0);
        loop {
            let query = PersonQuery { trashed: true, after, limit, ..PersonQuery::default() };
            let page = self.store.people(&query).await?;
            let Some(last) = page.last().map(|person| person.id) else {
                if purged > 0 {
                    self.store.wipe().await?;
                }
                return Ok(purged);
            };
            let due = |person: &Person| matches!(person.state, PersonState::Trashed { at, .. } if at < before);
            let mut due: Vec<Person> = page.into_iter().filter(due).collect();
            if !due.is_empty() {
                let waiting = self.waiting().await?;
                due.retain(|person| !waiting.contains(&person.id));
            }
            let count = due.len();
            match self.purge_all(due, Actor::Daemon).await {
                Ok(()) => purged += count,
                // Somebody was first, as by taking a person out of the trash: the page is looked at again.
                Err(StoreError::Stale(_)) if tries < TRIES => {
                    tries += 1;
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
            (after, tries) = (Some(last), 0);
        }
    }

    /// Removes the content of these people, who are in the trash, at once. Gives back who waits for something instead, and
    /// is left as it is.
    ///
    /// # Errors
    /// When one of them may not be seen or is not in the trash, or somebody was first; nothing was removed then.
    pub async fn purge_people(&self, ids: &[PersonId], actor: Actor) -> Result<Vec<PersonId>, Refusal> {
        let directory = self.store.directory().await?;
        let mut people = Vec::with_capacity(ids.len());
        for id in ids.iter().copied().collect::<BTreeSet<_>>() {
            let missing = || Refusal::Missing(format!("there is no person '{id}', or you may not see it"));
            let person = self.store.person(id).await?.ok_or_else(missing)?;
            if !may(actor, &person, &directory) {
                return Err(missing());
            }
            let owner = user_of(actor)
                .is_none_or(|user| user == person.owner || directory.users.get(&user).is_some_and(|user| user.admin));
            match person.state {
                PersonState::Trashed { .. } if !owner => {
                    let says = format!("only its owner or an administrator may remove {id} for good");
                    return Err(Refusal::Cannot(says));
                }
                PersonState::Trashed { .. } => people.push(person),
                PersonState::Purged { .. } => {}
                PersonState::Live => {
                    let says = format!("{id} is not in the trash; move it there first with `contactd people delete`");
                    return Err(Refusal::Cannot(says));
                }
            }
        }
        let waiting = self.waiting().await?;
        let (waits, due): (Vec<Person>, Vec<Person>) = people.into_iter().partition(|p| waiting.contains(&p.id));
        if !due.is_empty() {
            self.purge_all(due, actor).await?;
            self.store.wipe().await?;
        }
        Ok(waits.into_iter().map(|person| person.id).collect())
    }

    /// Who has an open intent, or a held deletion that was not carried out yet: a no to it brings the person back. An
    /// account that was removed never finishes what is open in it, so that nobody waits for that.
    async fn waiting(&self) -> Result<BTreeSet<PersonId>, StoreError> {
        let accounts = self.store.accounts().await?;
        let mut waiting = BTreeSet::new();
        for account in accounts.iter().filter(|account| account.state != AccountState::Removed) {
            waiting.extend(self.store.intents(account.id).await?.into_iter().map(|intent| intent.person));
            waiting.extend(self.store.held(Some(account.id)).await?.into_iter().map(|held| held.person));
        }
        Ok(waiting)
    }

    async fn purge_all(&self, people: Vec<Person>, actor: Actor) -> Result<(), StoreError> {
        if people.is_empty() {
            return Ok(());
        }
        let mut commit = Commit::new(None, self.now());
        let (mut effects, mut dropped) = (Vec::new(), BTreeSet::new());
        for person in people {
            commit.expect.push(Expect::Person(person.id, person.revision));
            effects.push(Effect::Person { person: person.id, link: None, change: PersonChange::Purged });
            let pictures = self.pictures(&person).await?;
            self.forget_records(person.id, &mut commit).await?;
            commit.changes.push(Change::Scrub(person.id));
            commit.changes.push(Change::PutPerson(Box::new(Person {
                revision: Revision(person.revision.0 + 1),
                card: Card::default(),
                times: BTreeMap::new(),
                custom: BTreeMap::new(),
                state: PersonState::Purged { at: commit.now },
                updated: commit.now,
                ..person
            })));
            dropped.extend(pictures);
        }
        // Last: whether somebody else has the same picture is looked up when everything else is gone.
        commit.changes.extend(dropped.into_iter().map(Change::DropBlob));
        let why = "purging the trash".to_owned();
        commit.operation = Some(Operation { id: self.new_id(), at: commit.now, actor, why, effects });
        self.store.commit(commit).await
    }

    /// Of its records only that they are there is remembered, unless they are somebody else's by now.
    async fn forget_records(&self, person: PersonId, commit: &mut Commit) -> Result<(), StoreError> {
        for link in self.store.links_of(person).await? {
            let Some(remote) = link.remote else { continue };
            let found = self.store.subjects(link.account, &[SubjectKey::Record(remote)]).await?;
            for subject in found.iter().filter(|subject| subject.link.as_ref().is_some_and(|l| l.person == person)) {
                commit.changes.extend(present(subject).map(|record| forget(link.account, record)));
            }
        }
        Ok(())
    }

    /// Every picture that the person ever had, as far as we know.
    async fn pictures(&self, person: &Person) -> Result<BTreeSet<String>, StoreError> {
        let mut found = BTreeSet::new();
        let mut of = |card: &Card| found.extend(card.photo.as_ref().map(|photo| photo.hash.clone()));
        of(&person.card);
        for link in self.store.links_of(person.id).await? {
            of(&link.base.ours);
            of(&link.base.theirs);
        }
        let mut diffs = Vec::new();
        for effect in self.store.history(person.id, usize::MAX).await?.into_iter().flat_map(|o| o.effects) {
            match effect {
                Effect::Person { change: PersonChange::Created(card), .. }
                | Effect::Remote { change: RemoteChange::Created(card) | RemoteChange::Deleted { card, .. }, .. } => {
                    of(&card);
                }
                Effect::Person { change: PersonChange::Edited(more), .. }
                | Effect::Remote { change: RemoteChange::Updated(more), .. } => diffs.extend(more),
                Effect::Person { .. } | Effect::Remote { .. } | Effect::Link { .. } | Effect::Relinked { .. } => {}
            }
        }
        for diff in diffs.into_iter().filter(|diff| diff.field == Field::Photo) {
            for value in [diff.value.before, diff.value.after] {
                if let FieldValue::One(Some(Value::Photo(photo))) = value {
                    found.insert(photo.hash);
                }
            }
        }
        Ok(found)
    }
}
