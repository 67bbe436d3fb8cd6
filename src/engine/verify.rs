//! A full comparison: everything in an address book is read again, and every difference is named.
//!
//! Owns: what counts as a difference, and what a repair marks to be looked at again. Must not: change anything of a person or
//! a record, neither here nor there: a repair is the ordinary plan of the next run.

use std::collections::BTreeSet;

use super::change::Look;
use super::plan::Decided;
use super::preview::Preview;
use super::{Engine, Handle, SyncError};
use crate::crm::person::PersonState;
use crate::ids::{PersonId, RemoteId};
use crate::provider::{Fetched, From, Next, Provider};
use crate::store::{Account, Change, CollectionState, Commit, SubjectKey};
use crate::sync::operation::{self, FieldDiff};
use crate::sync::plan::Step;
use crate::sync::reconcile::{Facts, Meeting, reconcile};
use crate::sync::view::{LinkState, RemoteRef, Seen, Subject};

/// What a comparison found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// How many records were read and compared.
    pub compared: u64,
    /// Each difference.
    pub differences: Vec<Difference>,
}

/// A difference between an address book and what we know of it, or between the two sides of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The record; `None` = the person has none there yet.
    pub remote: Option<RemoteId>,
    /// Its person, if it is linked.
    pub person: Option<PersonId>,
    /// In a sentence.
    pub says: String,
    /// How the record differs: from what we know of it, or from what would be sent.
    pub there: Vec<FieldDiff>,
    /// What would change of the person.
    pub here: Vec<FieldDiff>,
}

impl Difference {
    fn of(remote: RemoteId, says: &str) -> Self {
        let remote = Some(remote);
        Self { remote, person: None, says: says.to_owned(), there: Vec::new(), here: Vec::new() }
    }
}

impl Engine {
    /// Reads the whole address book and compares it with what is stored. Whoever calls holds the account, so that no run
    /// is under way.
    ///
    /// # Errors
    /// When the provider or the store fails, or the handle says stop.
    pub async fn verify(
        &self,
        account: &Account,
        provider: &dyn Provider,
        handle: &Handle,
    ) -> Result<Verified, SyncError> {
        let look = self.look(account, provider.capabilities()).await?;
        let facts = look.facts(&account.settings);
        let mut verified = Verified::default();
        for collection in &look.collections {
            let there = self.listed(account, provider, collection, &facts, handle, &mut verified).await?;
            self.unlisted(account, collection, &there, &mut verified).await?;
        }
        self.unsent(account, &look, handle, &mut verified).await?;
        Ok(verified)
    }

    /// Compares everything that a full listing shows. Which records those were.
    async fn listed(
        &self,
        account: &Account,
        provider: &dyn Provider,
        collection: &CollectionState,
        facts: &Facts<'_>,
        handle: &Handle,
        verified: &mut Verified,
    ) -> Result<BTreeSet<RemoteId>, SyncError> {
        let batch = usize::from(provider.capabilities().fetch_batch).clamp(1, self.options.page.max(1));
        let mut there = BTreeSet::new();
        let mut page = None;
        loop {
            let from = page.as_ref().map_or(From::Start, From::Page);
            let changes = provider.changes(&collection.id, from).await?;
            let refs: Vec<RemoteRef> = changes.listed.into_iter().map(|row| row.at).collect();
            self.compare(account, changes.seen, facts, &mut there, verified).await?;
            for refs in refs.chunks(batch) {
                if handle.is_stopped() {
                    return Err(SyncError::Stopped);
                }
                let mut seen = Vec::new();
                for (at, fetched) in refs.iter().zip(provider.fetch(refs).await?) {
                    there.insert(at.id.clone());
                    match fetched {
                        Fetched::There(record, _) => seen.push(record),
                        Fetched::Gone => {}
                        Fetched::Unknown => {
                            let says = "it is listed, and the server does not show it";
                            verified.differences.push(Difference::of(at.id.clone(), says));
                        }
                    }
                }
                self.compare(account, seen, facts, &mut there, verified).await?;
                handle.tell(|progress| progress.read = verified.compared);
            }
            match changes.next {
                Next::Page(token) => page = Some(token),
                Next::Done(_) => return Ok(there),
            }
        }
    }

    async fn compare(
        &self,
        account: &Account,
        seen: Vec<Seen>,
        facts: &Facts<'_>,
        there: &mut BTreeSet<RemoteId>,
        verified: &mut Verified,
    ) -> Result<(), SyncError> {
        if seen.is_empty() {
            return Ok(());
        }
        let keys: Vec<SubjectKey> = seen.iter().map(|s| SubjectKey::Record(s.id().clone())).collect();
        for (now, subject) in seen.into_iter().zip(self.store.subjects(account.id, &keys).await?) {
            verified.compared += 1;
            there.insert(now.id().clone());
            let person = subject.person.as_ref().map(|person| person.person.id);
            if let Some(found) = difference(&now, subject, facts) {
                verified.differences.push(Difference { person, ..found });
            }
        }
        Ok(())
    }

    /// What we know of a collection and the listing did not name.
    async fn unlisted(
        &self,
        account: &Account,
        collection: &CollectionState,
        there: &BTreeSet<RemoteId>,
        verified: &mut Verified,
    ) -> Result<(), SyncError> {
        let mut after = None;
        loop {
            let page = self.options.page.max(1);
            let known = self.store.listing(account.id, &collection.id, after.as_ref(), page).await?;
            let Some(last) = known.last() else { return Ok(()) };
            after = Some(last.id.clone());
            for row in known.into_iter().filter(|row| !there.contains(&row.id)) {
                verified.differences.push(Difference::of(row.id, "it is known here, and no longer listed there"));
            }
        }
    }

    /// People of the account's user who would be sent, or whose record we know nothing of.
    async fn unsent(
        &self,
        account: &Account,
        look: &Look<'_>,
        handle: &Handle,
        verified: &mut Verified,
    ) -> Result<(), SyncError> {
        let facts = look.facts(&account.settings);
        look.each_person(handle, |subject| {
            let Some(person) = subject.person.as_ref().map(|facts| facts.person.id) else { return };
            let remote = subject.link.as_ref().and_then(|link| link.remote.clone());
            let says = match (&subject.link, &subject.seen) {
                (None, _) => "it would be sent there by the next run",
                (Some(link), None) if link.state == LinkState::Live && remote.is_some() && !subject.blocked => {
                    "it is linked, and nothing is known of its record; the next full listing shows it"
                }
                _ => return,
            };
            let decision = reconcile(&subject, Meeting::Alone, &facts);
            let creates = decision.steps.iter().any(|step| matches!(step, Step::CreateRemote(_)));
            if creates || subject.link.is_some() {
                let (there, here) = (Vec::new(), Vec::new());
                verified.differences.push(Difference {
                    remote,
                    person: Some(person),
                    says: says.to_owned(),
                    there,
                    here,
                });
            }
        })
        .await
    }

    /// Marks what differs so that the next run reads and judges it anew, by its ordinary plan: the books are listed in full,
    /// these records are fetched again whatever their version says, and these people are looked at. Whoever calls holds the
    /// account.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn repair(&self, account: &Account, verified: &Verified) -> Result<(), SyncError> {
        if verified.differences.is_empty() {
            return Ok(());
        }
        let mut commit = Commit::new(None, self.now());
        for mut collection in self.store.collections(account.id).await? {
            (collection.cursor, collection.listing) = (None, None);
            commit.changes.push(Change::PutCollection(account.id, collection));
        }
        let ids: Vec<RemoteId> = verified.differences.iter().filter_map(|d| d.remote.clone()).collect();
        for stored in self.store.seen(account.id, &ids).await?.into_iter().flatten() {
            let id = stored.seen.id().clone();
            if let Some(unversioned) = without_version(stored.seen) {
                let collection = unversioned.at().map(|at| at.collection.clone());
                commit.changes.extend(collection.map(|collection| Change::Observe {
                    account: account.id,
                    collection,
                    generation: 0,
                    rows: vec![(unversioned, stored.times)],
                    echo: false,
                }));
            }
            commit.changes.push(Change::UnsettleRecord(account.id, id));
        }
        let people: BTreeSet<PersonId> = verified.differences.iter().filter_map(|d| d.person).collect();
        commit.changes.extend(people.into_iter().map(|person| Change::UnsettlePerson(account.id, person)));
        self.store.commit(commit).await?;
        Ok(())
    }
}

/// The observation as if the record's version were not known, so that it is fetched again.
fn without_version(mut seen: Seen) -> Option<Seen> {
    match &mut seen {
        Seen::Present(record) => record.at.etag = None,
        Seen::Outside { at, .. } | Seen::Unreadable(at, _) => at.etag = None,
        Seen::Roster(_) | Seen::Gone(_) => return None,
    }
    Some(seen)
}

/// How the record as it is now differs from what is stored, or its two sides from each other.
fn difference(now: &Seen, subject: Subject, facts: &Facts<'_>) -> Option<Difference> {
    let id = now.id().clone();
    let purged = subject.person.as_ref().is_some_and(|p| matches!(p.person.state, PersonState::Purged { .. }));
    let known = subject.seen.as_ref().map(|stored| &stored.seen);
    let says = match (now, known) {
        (Seen::Gone(_), _) => return None,
        (Seen::Unreadable(_, why), _) => return Some(Difference::of(id, &format!("it can't be read: {why}"))),
        (_, None | Some(Seen::Gone(_))) => "it is there, and not known here yet; the next run reads it",
        // Of what lies outside the sync group no content is kept, nor of who was removed for good.
        (_, Some(Seen::Outside { .. })) | (Seen::Roster(_), _) | (Seen::Outside { .. }, _) => return None,
        (Seen::Present(_), Some(Seen::Present(_))) if purged => return None,
        (Seen::Present(now), Some(Seen::Present(known))) => {
            let there = operation::diff(&known.body, &now.body);
            let says = match (now.at.etag == known.at.etag, there.is_empty()) {
                (true, false) => "it is stored otherwise than it is there, under the same version",
                (false, false) => "it was changed there since the last run",
                (_, true) => return unsettled(id, subject, facts),
            };
            return Some(Difference { there, ..Difference::of(id, says) });
        }
        (Seen::Present(_), Some(_)) => "it can be read now; the next run does",
    };
    Some(Difference::of(id, says))
}

/// What the next run would do about a record that is as we know it.
fn unsettled(id: RemoteId, subject: Subject, facts: &Facts<'_>) -> Option<Difference> {
    subject.link.as_ref()?;
    let decision = reconcile(&subject, Meeting::Alone, facts);
    let still = |step: &Step| {
        matches!(step, Step::Rebase(_) | Step::State(_) | Step::Conflict(_) | Step::Moot(_) | Step::Forget)
    };
    if decision.steps.iter().all(still) {
        return None;
    }
    let mut words = Preview::default();
    words.add(Decided { key: SubjectKey::Record(id.clone()), subject, decision });
    let (here, there) = words.rows.pop().map(|row| (row.here, row.there)).unwrap_or_default();
    Some(Difference { here, there, ..Difference::of(id, "its two sides differ; the next run settles it") })
}
