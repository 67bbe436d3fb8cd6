//! Purging the trash: after its time there, a person's content is removed for good.
//!
//! Owns: who may be purged, and that nothing of the content stays in the person. Must not: touch a link or a provider. A
//! purged person and its links stay as tombstones, so that its record is not imported again (reconciliation C).

use std::collections::{BTreeMap, BTreeSet};

use super::{Engine, SyncError};
use crate::card::Card;
use crate::crm::person::{Person, PersonState};
use crate::ids::{PersonId, Revision, Timestamp};
use crate::store::{AccountState, Change, Commit, Expect, PersonQuery, StoreError};
use crate::sync::operation::{Actor, Effect, Operation, PersonChange};

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
            let Some(last) = page.last().map(|person| person.id) else { return Ok(purged) };
            let due = |person: &Person| matches!(person.state, PersonState::Trashed { at, .. } if at < before);
            let mut due: Vec<Person> = page.into_iter().filter(due).collect();
            if !due.is_empty() {
                let waiting = self.waiting().await?;
                due.retain(|person| !waiting.contains(&person.id));
            }
            let count = due.len();
            match self.purge_all(due).await {
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

    async fn purge_all(&self, people: Vec<Person>) -> Result<(), StoreError> {
        if people.is_empty() {
            return Ok(());
        }
        let mut commit = Commit::new(None, self.now());
        let mut effects = Vec::new();
        for person in people {
            commit.expect.push(Expect::Person(person.id, person.revision));
            effects.push(Effect::Person { person: person.id, link: None, change: PersonChange::Purged });
            commit.changes.push(Change::PutPerson(Box::new(Person {
                revision: Revision(person.revision.0 + 1),
                card: Card::default(),
                times: BTreeMap::new(),
                custom: BTreeMap::new(),
                state: PersonState::Purged { at: commit.now },
                updated: commit.now,
                ..person
            })));
        }
        let why = "purging the trash".to_owned();
        commit.operation = Some(Operation { id: self.new_id(), at: commit.now, actor: Actor::Daemon, why, effects });
        self.store.commit(commit).await
    }
}
