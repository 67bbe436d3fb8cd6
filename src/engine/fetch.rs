//! Records that are asked for by id.
//!
//! Owns: what a fetch's answers mean, and that what is listed and not shown is asked for again (rules 9, 21).

use std::collections::BTreeSet;

use super::{Running, SyncError};
use crate::ids::{AccountId, RemoteId};
use crate::mutant;
use crate::provider::{Blob, Fetched};
use crate::store::{CollectionState, Store, StoreError, SubjectKey};
use crate::sync::view::{RemoteRef, Seen, StoredSeen};

/// How often a record that is listed and not shown holds its collection's cursor back, before it counts as unreadable.
const UNSHOWN: u32 = 3;

/// How often it is asked for before what is gone is believed to be gone, and not to be that record: about a week.
const HIDDEN: u32 = 14;

/// Why it does, for a person.
const NOT_SHOWN: &str = "the server lists it and does not show it; it is asked for again";

/// What it means that a record which is asked for by id is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Gone {
    /// Nothing yet: it may have moved since the listing, and the next one tells where to (rule 9).
    MayHaveMoved,
    /// It is gone: no listing has ever told where to.
    IsGone,
}

/// A page's rows on their way into the store.
#[derive(Default)]
pub(super) struct Rows {
    pub(super) seen: Vec<Seen>,
    pub(super) blobs: Vec<Blob>,
}

impl Running<'_> {
    /// Fetches records; what the provider does not answer for is left for another time.
    pub(super) async fn fetched(&mut self, refs: &[RemoteRef]) -> Result<Rows, SyncError> {
        let mut rows = Rows::default();
        let mut commit = self.commit();
        for (at, fetched) in refs.iter().zip(self.provider.fetch(refs).await?) {
            match fetched {
                Fetched::There(seen, blobs) => {
                    rows.seen.push(seen);
                    rows.blobs.extend(blobs);
                }
                Fetched::Gone => rows.seen.push(Seen::Gone(at.id.clone())),
                Fetched::Unknown => {
                    // What it listed and does not show is asked for again: the cursor stays. A record that is never shown
                    // must not hold up the others for ever.
                    if mutant::on("pull.skip_what_is_not_shown") {
                        continue;
                    }
                    let key = SubjectKey::Record(at.id.clone());
                    if self.failures.get(&key).copied().unwrap_or(0) < UNSHOWN {
                        self.unshown = true;
                    } else {
                        rows.seen.push(Seen::Unreadable(at.clone(), NOT_SHOWN.to_owned()));
                    }
                    commit.changes.push(self.failed(key, NOT_SHOWN.to_owned()));
                }
            }
        }
        self.store_all(commit, Vec::new()).await?;
        Ok(rows)
    }

    /// Reads these records of a collection again.
    pub(super) async fn refetch(
        &mut self,
        collection: &CollectionState,
        refs: &[RemoteRef],
        gone: Gone,
    ) -> Result<(), SyncError> {
        let batch = self.fetch_batch();
        let mut affected = BTreeSet::new();
        for refs in refs.chunks(batch) {
            let mut rows = self.fetched(refs).await?;
            if gone == Gone::MayHaveMoved {
                let all = rows.seen.len();
                rows.seen.retain(|seen| !matches!(seen, Seen::Gone(_)));
                self.unfinished |= rows.seen.len() < all;
            }
            Box::pin(self.observe(collection, rows, &mut affected)).await?;
        }
        self.regroup(collection, affected).await
    }

    /// What is unreadable, or counts as that because the server did not show it, is asked for again, ever more seldom: no
    /// listing would name it as long as it does not change.
    pub(super) async fn ask_again(&mut self) -> Result<(), SyncError> {
        let due = std::mem::take(&mut self.unshown_due);
        if due.is_empty() {
            return Ok(());
        }
        let rows = self.store().seen(self.account.id, &due).await?;
        let refs = rows.into_iter().flatten().filter_map(|stored| match stored.seen {
            Seen::Unreadable(at, _) => Some(at),
            _ => None,
        });
        let refs: Vec<RemoteRef> = refs.collect();
        for collection in self.store().collections(self.account.id).await? {
            let refs: Vec<RemoteRef> = refs.iter().filter(|at| at.collection == collection.id).cloned().collect();
            if refs.is_empty() {
                continue;
            }
            self.keep_lease().await?;
            self.refetch(&collection, &refs, Gone::IsGone).await?;
        }
        Ok(())
    }

    /// For what is decided from now on.
    pub(super) async fn note_hidden(&mut self) -> Result<(), SyncError> {
        let failing = self.failures.iter().map(|(key, attempts)| (key, *attempts));
        self.hidden = Hidden::among(self.store(), self.account.id, failing).await?;
        Ok(())
    }
}

/// Records that are listed, and not shown or not to be read.
#[derive(Default)]
pub(super) struct Hidden {
    /// There are some: what is gone may go on as one of them, under its new name, or made one with it (rule 9).
    pub(super) any: bool,
    /// One of them is nobody's: whoever was made and not found may be that one, under a new name.
    pub(super) strange: bool,
    /// Records of nobody that carry or say the same as one of them did, and may be that one under a new name: nobody new.
    pub(super) like: BTreeSet<RemoteId>,
}

impl Hidden {
    /// Those among the records that failed, `failing` so often.
    pub(super) async fn among(
        store: &dyn Store,
        account: AccountId,
        failing: impl Iterator<Item = (&SubjectKey, u32)>,
    ) -> Result<Self, StoreError> {
        let lately = |(key, attempts): (&SubjectKey, u32)| {
            (attempts <= HIDDEN && matches!(key, SubjectKey::Record(_))).then(|| key.clone())
        };
        let failing: Vec<SubjectKey> = failing.filter_map(lately).collect();
        let mut hidden = Self::default();
        if failing.is_empty() {
            return Ok(hidden);
        }
        let mut subjects = store.subjects(account, &failing).await?;
        let unread = |stored: &StoredSeen| matches!(stored.seen, Seen::Unreadable(..));
        subjects.retain(|subject| subject.seen.as_ref().is_some_and(unread));
        hidden.any = !subjects.is_empty();
        hidden.strange = subjects.iter().any(|subject| subject.link.is_none());
        for link in subjects.into_iter().filter_map(|subject| subject.link).filter(|link| link.state.is_open()) {
            let known = store.identities(account, link.remote.as_slice()).await?;
            let uid = known.into_iter().flatten().next().and_then(|identity| identity.uid);
            hidden.like.extend(store.refind(account, link.token, uid.as_deref(), &link.base.theirs).await?);
        }
        Ok(hidden)
    }
}

/// Whether this says that a record was listed and not shown.
pub(super) fn is_unshown(seen: &Seen) -> bool {
    matches!(seen, Seen::Unreadable(_, why) if why == NOT_SHOWN)
}
