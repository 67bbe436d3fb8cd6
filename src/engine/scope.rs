//! Who takes part: the sync group as it is seen at each record, and what follows when it changes.
//!
//! Owns: rule 8's boundary: what comes in is fetched, what goes out loses its content. A list of members is stored only after
//! its members have been looked at again, so that a run that is cut short misses nobody.

use std::collections::{BTreeMap, BTreeSet};

use super::{Running, SyncError};
use crate::crm::person::PersonState;
use crate::ids::{RemoteId, Token};
use crate::store::{Change, CollectionState, Kind, SubjectKey};
use crate::sync::caps;
use crate::sync::settings::Scope;
use crate::sync::view::{RemoteRecord, Seen, Subject};

impl Running<'_> {
    /// The record as it takes part, or only its existence where it is outside the sync group. So is what a trial made: it is
    /// nobody, also while a listing still shows it after its end.
    pub(super) fn scoped(&self, mut record: RemoteRecord) -> Seen {
        record.groups.append(&mut self.membership.of(record.uid.as_deref()));
        if record.token != Some(Token::TRIAL) && self.in_scope(&record.at.id, &record.groups) {
            Seen::Present(record)
        } else {
            Seen::Outside { at: record.at, groups: record.groups, uid: record.uid }
        }
    }

    /// Members whose groups changed with a group card take part, or no longer do.
    pub(super) async fn regroup(
        &mut self,
        collection: &CollectionState,
        affected: BTreeSet<String>,
    ) -> Result<(), SyncError> {
        let uids: Vec<String> = affected.into_iter().collect();
        for uids in uids.chunks(self.engine.options.page.max(1)) {
            let ids: Vec<RemoteId> =
                self.store().by_uid(self.account.id, uids).await?.into_iter().map(|(_, id)| id).collect();
            self.rescope(collection, &ids, &mut BTreeSet::new()).await?;
        }
        // A member that came in and was not shown is listed again with its list only if that is not known yet.
        if self.unshown {
            self.rosters_due.clear();
            return Ok(());
        }
        let rows: Vec<_> = std::mem::take(&mut self.rosters_due).into_iter().map(|r| (r, BTreeMap::new())).collect();
        if rows.is_empty() {
            return Ok(());
        }
        let mut commit = self.commit();
        let (account, generation) = (self.account.id, collection.generation);
        commit.changes.push(Change::Observe {
            account,
            collection: collection.id.clone(),
            generation,
            rows,
            echo: false,
        });
        self.store_all(commit, Vec::new()).await
    }

    /// Looks again whether these records take part; what comes in is fetched, what goes out loses its content.
    pub(super) async fn rescope(
        &mut self,
        collection: &CollectionState,
        ids: &[RemoteId],
        affected: &mut BTreeSet<String>,
    ) -> Result<(), SyncError> {
        if self.account.settings.scope == Scope::All && !self.has_outside(ids).await? {
            return Ok(());
        }
        for ids in ids.chunks(self.engine.options.page.max(1)) {
            let mut come = Vec::new();
            let mut stay = Vec::new();
            for stored in self.store().seen(self.account.id, ids).await?.into_iter().flatten() {
                match stored.seen {
                    Seen::Outside { at, groups, uid } => {
                        let now_in = self.groups_now(groups.clone(), uid.as_deref());
                        if self.in_scope(&at.id, &now_in) {
                            come.push(at);
                        } else if now_in != groups {
                            stay.push((Seen::Outside { at, groups: now_in, uid }, stored.times));
                        }
                    }
                    Seen::Present(mut record) => {
                        let now_in = self.groups_now(record.groups.clone(), record.uid.as_deref());
                        if now_in != record.groups || !self.in_scope(&record.at.id, &now_in) {
                            record.groups = now_in;
                            let seen = if self.in_scope(&record.at.id, &record.groups) {
                                Seen::Present(record)
                            } else {
                                Seen::Outside { at: record.at, groups: record.groups, uid: record.uid }
                            };
                            stay.push((seen, stored.times));
                        }
                    }
                    Seen::Unreadable(..) | Seen::Roster(_) | Seen::Gone(_) => {}
                }
            }
            if !stay.is_empty() {
                let mut commit = self.commit();
                let (account, generation) = (self.account.id, collection.generation);
                commit.changes.push(Change::Observe {
                    account,
                    collection: collection.id.clone(),
                    generation,
                    rows: stay,
                    echo: false,
                });
                self.store_all(commit, Vec::new()).await?;
            }
            let purged = self.purged(come.iter().map(|at| at.id.clone())).await?;
            come.retain(|at| !purged.contains(&at.id));
            let batch = self.fetch_batch();
            for refs in come.chunks(batch) {
                let rows = self.fetched(refs).await?;
                self.observe(collection, rows, affected).await?;
            }
        }
        Ok(())
    }

    /// Which of these records belong to people who were removed for good: of those no content is stored.
    pub(super) async fn purged(
        &self,
        ids: impl IntoIterator<Item = RemoteId>,
    ) -> Result<BTreeSet<RemoteId>, SyncError> {
        let ids: Vec<RemoteId> = ids.into_iter().collect();
        if ids.is_empty() {
            return Ok(BTreeSet::new());
        }
        let keys: Vec<SubjectKey> = ids.iter().cloned().map(SubjectKey::Record).collect();
        let subjects = self.store().subjects(self.account.id, &keys).await?;
        let purged = |subject: &Subject| {
            let state = subject.person.as_ref().map(|facts| facts.person.state);
            matches!(state, Some(PersonState::Purged { .. }))
        };
        Ok(ids.into_iter().zip(subjects).filter(|(_, subject)| purged(subject)).map(|(id, _)| id).collect())
    }

    async fn has_outside(&self, ids: &[RemoteId]) -> Result<bool, SyncError> {
        let known = self.store().known(self.account.id, ids).await?;
        Ok(known.into_iter().flatten().any(|k| k.kind == Kind::Outside))
    }

    /// A record's groups, with those that rosters give it as they are now.
    fn groups_now(&self, stored: crate::sync::view::Groups, uid: Option<&str>) -> crate::sync::view::Groups {
        match self.provider.capabilities().membership {
            caps::Membership::Roster => self.membership.of(uid),
            caps::Membership::InRecord | caps::Membership::Joined => stored,
        }
    }
}
