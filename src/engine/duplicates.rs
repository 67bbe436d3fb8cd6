//! Records that could be one of several people: a person says which, or that it is none of them.
//!
//! Owns: what is shown of them, and the two answers. A record that is somebody is met by that person at the next run, as at a
//! first meeting; one that is nobody is imported as new. Must not: decide who could be the same, which is `sync::pairing`'s.

use std::collections::{BTreeMap, BTreeSet};

use super::hold::{Refusal, may, user_of};
use super::plan::Met;
use super::{Engine, Running, SyncError};
use crate::card::Card;
use crate::crm::person::Person;
use crate::ids::{AccountId, PersonId, RemoteId};
use crate::store::{Change, Commit, Expect};
use crate::sync::diff::Diff;
use crate::sync::operation::{Actor, Effect, Operation};
use crate::sync::view::{Base, Link, LinkState, Origin, Seen};

/// A record that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// In which account.
    pub account: AccountId,
    /// Which record.
    pub remote: RemoteId,
    /// What it says; nothing if it is not there any more.
    pub card: Option<Card>,
    /// Whom it could be, as far as the actor may see them.
    pub people: Vec<Person>,
}

impl Running<'_> {
    /// What waits as possible duplicates is kept as pairing has just found it.
    pub(super) async fn note_duplicates(&mut self, met: &Met) -> Result<(), SyncError> {
        let account = self.account.id;
        let mut noted: BTreeMap<RemoteId, Vec<PersonId>> =
            self.store().duplicates(account).await?.into_iter().collect();
        let mut commit = self.commit();
        for (remote, people) in met.in_question() {
            let people: Vec<PersonId> = people.iter().copied().collect();
            if noted.remove(remote).as_ref() != Some(&people) {
                commit.changes.push(Change::PutDuplicates(account, remote.clone(), people));
            }
        }
        commit.changes.extend(noted.into_keys().map(|gone| Change::PutDuplicates(account, gone, Vec::new())));
        self.store_all(commit, Vec::new()).await
    }
}

impl Engine {
    /// The records of an account that wait.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn duplicates(&self, account: AccountId, actor: Actor) -> Result<Vec<Duplicate>, Refusal> {
        let directory = self.store.directory().await?;
        let waiting = self.store.duplicates(account).await?;
        let ids: Vec<RemoteId> = waiting.iter().map(|(remote, _)| remote.clone()).collect();
        let seen = self.store.seen(account, &ids).await?;
        let mut all = Vec::with_capacity(waiting.len());
        for ((remote, ids), seen) in waiting.into_iter().zip(seen) {
            let mut people = Vec::new();
            for id in ids {
                people.extend(self.store.person(id).await?.filter(|person| may(actor, person, &directory)));
            }
            let card = match seen.map(|stored| stored.seen) {
                Some(Seen::Present(record)) => Some(record.body),
                _ => None,
            };
            all.push(Duplicate { account, remote, card, people });
        }
        Ok(all)
    }

    /// The record is that person: both meet at the next run. `turns` are the accounts that the caller holds already.
    ///
    /// # Errors
    /// When the record doesn't wait, or the person has another record there.
    pub async fn merge_duplicate(
        &self,
        account: AccountId,
        remote: &RemoteId,
        person: PersonId,
        actor: Actor,
        turns: &BTreeSet<AccountId>,
    ) -> Result<(), Refusal> {
        self.waits(account, remote).await?;
        // It may go by another name by now: whoever is linked to the old one would go with it.
        let shown = self.store.seen(account, std::slice::from_ref(remote)).await?.into_iter().next().flatten();
        let Some(shown) = shown.filter(|stored| matches!(stored.seen, Seen::Present(_))) else {
            let says = "that record is not there under this name at present, or can't be read; sync the account, and look \
                        again";
            return Err(Refusal::Cannot(says.to_owned()));
        };
        let missing = || Refusal::Missing(format!("there is no person '{person}', or you may not see it"));
        let found = self.store.person(person).await?.ok_or_else(missing)?;
        if !may(actor, &found, &self.store.directory().await?) {
            return Err(missing());
        }
        if !found.is_live() {
            return Err(Refusal::Cannot("the person is in the trash; restore it first".to_owned()));
        }
        let links = self.store.links_of(person).await?;
        if links.iter().any(|link| link.account == account && link.state.is_open()) {
            let says = "this person has another record in that address book; dismiss the pair, sync, and then merge the \
                        two people with `contactd people merge`";
            return Err(Refusal::Cannot(says.to_owned()));
        }
        if self.store.intents(account).await?.iter().any(|intent| intent.person == person) {
            let says = "whether an earlier send of this person landed is not known yet; sync the account, then merge";
            return Err(Refusal::Cannot(says.to_owned()));
        }
        self.holding([account].into(), turns, async {
            let mut commit = Commit::new(None, self.now());
            commit.expect.push(Expect::Seen(account, remote.clone(), shown.version));
            commit.expect.push(Expect::Unlinked(account, remote.clone()));
            commit.expect.push(Expect::NoOpenLink(account, person));
            commit.expect.push(Expect::Person(person, found.revision));
            commit.expect.extend(user_of(actor).map(|user| Expect::Access(user, person)));
            let link = Link {
                id: self.new_id(),
                account,
                person,
                remote: Some(remote.clone()),
                origin: Origin::Theirs,
                state: LinkState::Live,
                token: None,
                base: Base::default(),
                revision: found.revision,
            };
            let state = Diff::new(None, Some(link.state));
            let effects = vec![Effect::Link { link: link.id, account, person, state }];
            commit.changes.push(Change::PutLink(Box::new(link)));
            commit.changes.push(Change::PutDuplicates(account, remote.clone(), Vec::new()));
            commit.changes.push(Change::UnsettleRecord(account, remote.clone()));
            let (id, why) = (self.new_id(), "duplicate merged".to_owned());
            commit.operation = Some(Operation { id, at: commit.now, actor, why, effects });
            Ok(self.store.commit(commit).await?)
        })
        .await
    }

    /// The record is none of these people, or not that one: they are no candidates for it any more. Once it has none, it is
    /// imported as new.
    ///
    /// # Errors
    /// When the record doesn't wait, or could not be that person anyway.
    pub async fn dismiss_duplicate(
        &self,
        account: AccountId,
        remote: &RemoteId,
        person: Option<PersonId>,
    ) -> Result<(), Refusal> {
        let people = self.waits(account, remote).await?;
        let (dismissed, left): (BTreeSet<PersonId>, BTreeSet<PersonId>) =
            people.into_iter().partition(|id| person.is_none_or(|one| one == *id));
        if dismissed.is_empty() {
            return Err(Refusal::Missing("the record and that person are no possible duplicates".to_owned()));
        }
        let mut commit = Commit::new(None, self.now());
        commit.changes.push(Change::Dismiss(account, remote.clone(), dismissed.iter().copied().collect()));
        commit.changes.push(Change::PutDuplicates(account, remote.clone(), left.into_iter().collect()));
        commit.changes.push(Change::UnsettleRecord(account, remote.clone()));
        // Who was in question was not sent there meanwhile.
        commit.changes.extend(dismissed.into_iter().map(|person| Change::UnsettlePerson(account, person)));
        Ok(self.store.commit(commit).await?)
    }

    async fn waits(&self, account: AccountId, remote: &RemoteId) -> Result<Vec<PersonId>, Refusal> {
        let waiting = self.store.duplicates(account).await?;
        let found = waiting.into_iter().find(|(id, _)| id == remote).map(|(_, people)| people);
        found.ok_or_else(|| {
            Refusal::Missing(format!(
                "no record '{}' waits as a possible duplicate there; see `contactd duplicates list`",
                remote.0
            ))
        })
    }
}
