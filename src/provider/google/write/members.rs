//! Labels and deletions: writes that need no version of the record (google.md §4, §5).
//!
//! Owns: many at once, and what is left for one by one.

use std::collections::{BTreeMap, HashMap};

use super::super::fault::{ApiError, Fault};
use super::super::wire::{self, MOST_DELETED, MOST_MEMBERS};
use super::{LAST_GROUP, NO_BEFORE, NO_GROUP, Run, before};
use crate::ids::GroupId;
use crate::provider::{Fetched, Outcome, WriteKind};
use crate::sync::retry::Resend;
use crate::sync::view::{Groups, RemoteRef, Seen};

impl Run<'_> {
    pub(super) async fn join_all(&mut self) {
        let batch = self.batch;
        let mut changes: BTreeMap<(&GroupId, bool), Vec<usize>> = BTreeMap::new();
        for (n, write) in batch.iter().enumerate() {
            let (group, join) = match &write.what {
                WriteKind::Join(group) => (group, true),
                WriteKind::Leave(group) => (group, false),
                WriteKind::Create { .. } | WriteKind::Update { .. } | WriteKind::Delete => continue,
            };
            match before(write) {
                None => self.refuse(n, NO_BEFORE),
                Some(_) if !wire::is_name(group.as_str(), "contactGroups") => self.refuse(n, NO_GROUP),
                Some(_) => changes.entry((group, join)).or_default().push(n),
            }
        }
        for ((group, join), of) in changes {
            for part in of.chunks(MOST_MEMBERS) {
                let part: Vec<usize> = part.iter().copied().filter(|n| self.due(*n)).collect();
                if !part.is_empty() {
                    self.join(group, join, &part).await;
                }
            }
        }
    }

    /// Puts people into a group, or takes them out of it.
    async fn join(&mut self, group: &GroupId, join: bool, part: &[usize]) {
        let batch = self.batch;
        let of = |n: &usize| batch[*n].before.as_ref();
        let names: Vec<&str> = part.iter().filter_map(of).map(|before| before.at.id.as_str()).collect();
        let members = match self.client.change_members(group, &names, join).await {
            Ok(members) => members,
            Err(Fault::Api(error)) if matches!(error.http, 400 | 404) => {
                self.clear_answer();
                part.iter().for_each(|n| self.refuse(*n, NO_GROUP));
                return;
            }
            Err(Fault::Api(error)) if error.http == 409 => return self.shock(),
            Err(fault) => return self.lost(part.iter().copied(), &fault),
        };
        self.clear_answer();
        // Their etags have moved on: read once, all of them.
        let landed: Vec<RemoteRef> = part.iter().filter_map(of).map(|before| before.at.clone()).collect();
        let read = self.client.fetch(&landed).await.unwrap_or_default();
        let mut read: HashMap<_, _> = landed.iter().map(|at| at.id.clone()).zip(read).collect();
        for n in part {
            let Some(before) = of(n) else { continue };
            let name = before.at.id.as_str();
            if members.missing.contains(name) {
                self.end(*n, Outcome::Missing);
            } else if members.stuck.contains(name) {
                self.refuse(*n, LAST_GROUP);
            } else {
                // A read right after a write may show the state before it (google.md §3.3).
                let mut record = match read.remove(&before.at.id) {
                    Some(Fetched::There(Seen::Present(now), _)) if now.modified >= before.modified => now,
                    _ => before.clone(),
                };
                in_group(&mut record.groups, group, join);
                self.end(*n, Outcome::Stored(record));
            }
        }
    }

    pub(super) async fn delete_all(&mut self) {
        let batch = self.batch;
        let mut of = Vec::new();
        for (n, write) in batch.iter().enumerate() {
            if !matches!(write.what, WriteKind::Delete) {
                continue;
            }
            match before(write) {
                Some(_) => of.push(n),
                None => self.refuse(n, NO_BEFORE),
            }
        }
        for part in of.chunks(MOST_DELETED) {
            let part: Vec<usize> = part.iter().copied().filter(|n| self.due(*n)).collect();
            if part.len() > 1 && self.delete_batch(&part).await {
                continue;
            }
            for n in part {
                if self.due(n) {
                    self.delete(n).await;
                }
            }
        }
    }

    /// Deletes them at once; `false` = refused, and they go one by one: one that is gone already may be why.
    async fn delete_batch(&mut self, part: &[usize]) -> bool {
        let batch = self.batch;
        let names: Vec<&str> =
            part.iter().filter_map(|n| batch[*n].before.as_ref()).map(|before| before.at.id.as_str()).collect();
        match self.client.call(&self.client.api.batch_delete(&names), Resend::Guarded).await {
            Ok(answer) if answer.status.is_success() => {
                self.clear_answer();
                part.iter().for_each(|n| self.end(*n, Outcome::Deleted));
            }
            Ok(answer) => {
                let error = ApiError::of(&answer);
                if !error.concerns_account() && (400..500).contains(&error.http) && error.http != 408 {
                    return false;
                }
                self.lost(part.iter().copied(), &Fault::Api(error));
            }
            Err(fault) => self.lost(part.iter().copied(), &fault),
        }
        true
    }

    async fn delete(&mut self, n: usize) {
        let Some(before) = &self.batch[n].before else { return };
        match self.client.call(&self.client.api.delete(before.at.id.as_str()), Resend::Guarded).await {
            Ok(answer) => match answer.status.as_u16() {
                200..=299 | 404 | 410 => {
                    self.clear_answer();
                    self.end(n, Outcome::Deleted);
                }
                409 => self.shock(),
                400 => self.refuse(n, "Google does not delete this contact"),
                _ => self.lost(std::iter::once(n), &Fault::Api(ApiError::of(&answer))),
            },
            Err(fault) => self.lost(std::iter::once(n), &fault),
        }
    }
}

fn in_group(groups: &mut Groups, group: &GroupId, join: bool) {
    if join {
        groups.insert(group.clone());
    } else {
        groups.remove(group);
    }
}
