//! A full comparison: everything in an address book is read again, and every difference is named.
//!
//! Owns: what counts as a difference. Must not: change anything, neither here nor there.

use std::collections::BTreeSet;

use super::{Engine, Handle, SyncError};
use crate::card::field::FieldSet;
use crate::ids::{PersonId, RemoteId};
use crate::provider::{Fetched, From, Next, Provider};
use crate::store::{Account, CollectionState, SubjectKey};
use crate::sync::plan::Step;
use crate::sync::reconcile::{Facts, Meeting, reconcile};
use crate::sync::view::{RemoteRef, Seen, Subject};

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
    /// The record.
    pub remote: RemoteId,
    /// Its person, if it is linked.
    pub person: Option<PersonId>,
    /// In a sentence.
    pub says: String,
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
                        Fetched::Unknown => verified.differences.push(Difference {
                            remote: at.id.clone(),
                            person: None,
                            says: "it is listed, and the server does not show it".to_owned(),
                        }),
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
            if let Some(says) = difference(&now, &subject, facts) {
                let person = subject.person.as_ref().map(|person| person.person.id);
                verified.differences.push(Difference { remote: now.id().clone(), person, says });
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
                let says = "it is known here, and no longer listed there".to_owned();
                verified.differences.push(Difference { remote: row.id, person: None, says });
            }
        }
    }
}

/// How the record as it is now differs from what is stored, or its two sides from each other.
fn difference(now: &Seen, subject: &Subject, facts: &Facts<'_>) -> Option<String> {
    let known = subject.seen.as_ref().map(|stored| &stored.seen);
    let says = match (now, known) {
        (Seen::Gone(_), _) => return None,
        (Seen::Unreadable(_, why), _) => return Some(format!("it can't be read: {why}")),
        (_, None | Some(Seen::Gone(_))) => "it is there, and not known here yet; the next run reads it",
        // Of what lies outside the sync group no content is kept.
        (_, Some(Seen::Outside { .. })) | (Seen::Roster(_), _) | (Seen::Outside { .. }, _) => return None,
        (Seen::Present(now), Some(Seen::Present(known))) => {
            let same = FieldSet::all().iter().all(|field| now.body.same(&known.body, field));
            match (now.at.etag == known.at.etag, same) {
                (true, false) => "it is stored otherwise than it is there, under the same version",
                (false, false) => "it was changed there since the last run",
                (_, true) => return unsettled(subject, facts),
            }
        }
        (Seen::Present(_), Some(_)) => "it can be read now; the next run does",
    };
    Some(says.to_owned())
}

/// What the next run would do about a record that is as we know it.
fn unsettled(subject: &Subject, facts: &Facts<'_>) -> Option<String> {
    subject.link.as_ref()?;
    let decision = reconcile(subject, Meeting::Alone, facts);
    let moves = |step: &Step| !matches!(step, Step::Rebase(_) | Step::State(_) | Step::Conflict(_));
    decision.steps.iter().any(moves).then(|| "its two sides differ; the next run settles it".to_owned())
}
