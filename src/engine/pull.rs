//! Pages of a provider become observations.
//!
//! Owns: rules 9, 16 and 17: each page is one commit, the cursor goes with the last one, silence deletes nothing, and what
//! a complete listing lacks is asked for by id before it counts as gone.

use std::collections::{BTreeMap, BTreeSet};

use super::fetch::{Rows, is_unshown};
use super::moved::Others;
use super::{Running, SyncError};
use crate::card::field::Field;
use crate::ids::{CollectionId, RemoteId, Timestamp, Token};
use crate::mutant;
use crate::provider::{Changes, From, Listed, Next, Retry};
use crate::store::{Change, CollectionState, Commit, Kind, Known, SubjectKey};
use crate::sync::operation::Effect;
use crate::sync::settings::Scope;
use crate::sync::view::{RemoteRecord, RemoteRef, Seen, StoredSeen};

/// How often a collection is listed anew within one run when its tokens are refused.
const RELISTS: usize = 2;

/// How long a book in which we know records must show itself empty, or without its sync group, before that is believed,
/// in ms.
const DOUBT: i64 = 6 * 60 * 60 * 1000;

impl Running<'_> {
    pub(super) async fn pull(&mut self) -> Result<(), SyncError> {
        let mut collections = self.store().collections(self.account.id).await?;
        if self.lacks_group() {
            // As after a change of settings: what came before it did not name the card, and no cursor will.
            collections.iter_mut().for_each(|collection| collection.cursor = None);
        }
        // The set of address books is asked for only when one is to be listed in full: at rest a sync costs one request.
        if collections.is_empty() || collections.iter().any(|c| c.cursor.is_none()) {
            collections = self.refresh_collections(collections).await?;
        }
        for collection in collections {
            Box::pin(self.pull_collection(collection)).await?;
        }
        Box::pin(self.ask_again()).await?;
        let collections = self.store().collections(self.account.id).await?;
        if let Some(home) = collections.iter().find(|c| c.writable).or(collections.first()) {
            self.home = home.id.clone();
        }
        self.complete = !collections.is_empty() && collections.iter().all(|c| c.listed);
        if let Scope::Group(group) = &self.account.settings.scope
            && self.complete
            && self.lacks_group()
        {
            // No listing has named its card yet: who is in it is not known, and nobody has left it.
            let since = collections.iter().filter_map(|c| c.doubted).min();
            if !self.doubtful && since.is_some_and(|since| self.now().since(since) >= DOUBT) {
                return Err(no_group(group.as_str()));
            }
            (self.unfinished, self.doubtful) = (true, true);
            self.doubt = Some(format!(
                "no listing of the address book has shown the sync group '{group}' yet, so that nobody can tell who is in it; \
                 it is read again, and if the group is still missing in six hours, another one is asked for"
            ));
        }
        Ok(())
    }

    /// Before anything is listed in full: another mailbox behind the same address is never compared with what we know of
    /// the one before (rule 9).
    async fn same_mailbox(&self) -> Result<(), SyncError> {
        let mailbox = self.provider.check().await?;
        if (&mailbox.tenant, &mailbox.subject) == (&self.account.tenant, &self.account.subject) {
            return Ok(());
        }
        Err(SyncError::Halted(
            "the server shows another mailbox than the one that was connected; if that is meant, remove the account and add it again"
                .to_owned(),
        ))
    }

    /// A sync group that was deleted is not that many leavings (R8). Asked once in a run, before everything is listed and
    /// before the first record that seems to have left is stored.
    async fn group_stands(&mut self) -> Result<(), SyncError> {
        if let Scope::Group(group) = &self.account.settings.scope
            && !self.group_stood
        {
            if self.provider.group_exists(group).await? == Some(false) {
                return Err(no_group(group.as_str()));
            }
            self.group_stood = true;
        }
        Ok(())
    }

    async fn refresh_collections(&mut self, known: Vec<CollectionState>) -> Result<Vec<CollectionState>, SyncError> {
        let mut commit = self.commit();
        let mut all = Vec::new();
        for found in self.provider.collections().await? {
            let state = match known.iter().find(|c| c.id == found.id) {
                Some(state) => CollectionState { name: found.name, writable: found.writable, ..state.clone() },
                None => CollectionState {
                    id: found.id,
                    name: found.name,
                    writable: found.writable,
                    cursor: None,
                    generation: 0,
                    listing: None,
                    listed: false,
                    doubted: None,
                },
            };
            commit.changes.push(Change::PutCollection(self.account.id, state.clone()));
            all.push(state);
        }
        if all.is_empty() {
            return Err(SyncError::Halted("the server shows no address book; nothing was changed".to_owned()));
        }
        self.store_all(commit, Vec::new()).await?;
        Ok(all)
    }

    async fn pull_collection(&mut self, mut collection: CollectionState) -> Result<(), SyncError> {
        let mut relists = 0;
        let mut resumed = matches!(collection.listing, Some((_, Some(_))));
        let mut named = resumed;
        let mut affected = BTreeSet::new();
        loop {
            self.keep_lease().await?;
            // A listing that was cut short on its first page begins anew, under a new generation: what it named then may be
            // gone by now, and its cursor will not tell.
            if collection.cursor.is_none() && !matches!(collection.listing, Some((_, Some(_)))) {
                self.same_mailbox().await?;
                Box::pin(self.group_stands()).await?;
                collection.generation += i64::from(!mutant::on("pull.go_on_under_the_old_generation"));
                collection.listing = Some((self.now(), None));
                let mut commit = self.commit();
                commit.changes.push(Change::PutCollection(self.account.id, collection.clone()));
                self.store_all(commit, Vec::new()).await?;
            }
            let from = match (&collection.listing, &collection.cursor) {
                (Some((_, Some(page))), _) => From::Page(page),
                (None, Some(cursor)) => From::Cursor(cursor),
                _ => From::Start,
            };
            let changes = match self.provider.changes(&collection.id, from).await {
                Ok(changes) => changes,
                Err(error) if error.retry == Retry::Relist && relists < RELISTS => {
                    // What was seen stays, and is not fetched again (rules 16, 17).
                    relists += 1;
                    collection.cursor = None;
                    collection.listing = None;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let next = changes.next.clone();
            let full = collection.listing.is_some();
            named |= !changes.seen.is_empty() || !changes.listed.is_empty();
            self.take_page(&collection, changes, full, &mut affected).await?;
            let mut commit = self.commit();
            match next {
                Next::Page(page) => {
                    match &mut collection.listing {
                        Some((_, at)) => *at = Some(page),
                        // A delta in pages: its pages are worth nothing without the end, so it starts anew after a crash.
                        None => return self.pull_delta_pages(collection, page, affected).await,
                    }
                    commit.changes.push(Change::PutCollection(self.account.id, collection.clone()));
                    self.store_all(commit, Vec::new()).await?;
                }
                Next::Done(cursor) => {
                    let mut cursor = Some(cursor);
                    if let Some((started, _)) = collection.listing {
                        if !named && self.doubts(&mut collection).await? {
                            return Ok(());
                        }
                        // Nor is a cursor worth anything from a listing that left out the card of the sync group: who is in
                        // it would never be told.
                        if self.sweep(&collection, started).await? || self.lacks_group() {
                            cursor = None;
                        }
                    }
                    collection.doubted = self.lacks_group().then(|| collection.doubted.unwrap_or(self.now()));
                    self.regroup(&collection, std::mem::take(&mut affected)).await?;
                    if std::mem::take(&mut self.unshown) {
                        // It may be the new place of a record that is gone from its old one.
                        (self.unfinished, self.doubtful) = (true, true);
                        return Ok(());
                    }
                    let quiet = collection.listing.is_none() && collection.cursor == cursor;
                    collection.listed = true;
                    collection.listing = None;
                    collection.cursor = cursor;
                    if !quiet {
                        commit.changes.push(Change::PutCollection(self.account.id, collection.clone()));
                        self.store_all(commit, Vec::new()).await?;
                    }
                    // What an earlier run began may be old by now: what changed since is asked for at once.
                    if !std::mem::take(&mut resumed) {
                        return Ok(());
                    }
                    named = false;
                }
            }
        }
    }

    /// An empty listing of a book in which we know records is not believed at once: nothing is swept, and the book is listed
    /// anew, until it has been empty for [`DOUBT`] (rule 9). Says whether it is doubted still.
    async fn doubts(&mut self, collection: &mut CollectionState) -> Result<bool, SyncError> {
        let known = self.store().listing(self.account.id, &collection.id, None, 1).await?;
        let now = self.now();
        let since = *collection.doubted.get_or_insert(now);
        if known.is_empty() || now.since(since) >= DOUBT || mutant::on("pull.believe_an_empty_listing") {
            return Ok(false);
        }
        collection.listing = None;
        collection.cursor = None;
        (self.unfinished, self.doubtful) = (true, true);
        self.doubt = Some(format!(
            "the address book '{}' shows itself empty, though contacts of it are known; it is read again, and believed when it \
             has been empty for six hours",
            collection.name
        ));
        let mut commit = self.commit();
        commit.changes.push(Change::PutCollection(self.account.id, collection.clone()));
        self.store_all(commit, Vec::new()).await?;
        Ok(true)
    }

    /// The further pages of a delta. The cursor stays the old one until the last page is stored.
    async fn pull_delta_pages(
        &mut self,
        mut collection: CollectionState,
        first: crate::ids::PageToken,
        mut affected: BTreeSet<String>,
    ) -> Result<(), SyncError> {
        let mut page = first;
        loop {
            self.keep_lease().await?;
            let changes = match self.provider.changes(&collection.id, From::Page(&page)).await {
                Ok(changes) => changes,
                // The next run asks again from the old cursor.
                Err(error) if error.retry == Retry::Relist => {
                    self.unfinished = true;
                    return self.regroup(&collection, affected).await;
                }
                Err(error) => return Err(error.into()),
            };
            let next = changes.next.clone();
            self.take_page(&collection, changes, false, &mut affected).await?;
            match next {
                Next::Page(token) => page = token,
                Next::Done(cursor) => {
                    self.regroup(&collection, affected).await?;
                    if std::mem::take(&mut self.unshown) {
                        // It may be the new place of a record that is gone from its old one.
                        (self.unfinished, self.doubtful) = (true, true);
                        return Ok(());
                    }
                    collection.cursor = Some(cursor);
                    let mut commit = self.commit();
                    commit.changes.push(Change::PutCollection(self.account.id, collection));
                    return self.store_all(commit, Vec::new()).await;
                }
            }
        }
    }

    /// Stores what a page shows; what it only lists is fetched where we don't have it.
    async fn take_page(
        &mut self,
        collection: &CollectionState,
        changes: Changes,
        full: bool,
        affected: &mut BTreeSet<String>,
    ) -> Result<(), SyncError> {
        let Changes { seen, listed, blobs, .. } = changes;
        if !seen.is_empty() {
            let mut rest = seen.into_iter();
            loop {
                let part: Vec<Seen> = rest.by_ref().take(self.engine.options.page).collect();
                if part.is_empty() {
                    break;
                }
                let part = Box::pin(self.confirm_recent(&collection.id, part)).await?;
                Box::pin(self.observe(collection, part, affected)).await?;
            }
        }
        for blob in blobs {
            let mut commit = self.commit();
            commit.changes.push(Change::PutBlob(blob));
            self.store_all(commit, Vec::new()).await?;
        }
        if full {
            self.compare_listing(collection, listed, affected).await
        } else {
            self.compare_delta(collection, listed, affected).await
        }
    }

    /// What a full listing lists, against what we know, both in order of id: pages of what we know, never all of it.
    async fn compare_listing(
        &mut self,
        collection: &CollectionState,
        mut listed: Vec<Listed>,
        affected: &mut BTreeSet<String>,
    ) -> Result<(), SyncError> {
        if listed.is_empty() {
            return Ok(());
        }
        listed.sort_by(|a, b| a.at.id.cmp(&b.at.id));
        let mut known: Vec<Known> = Vec::new();
        let (mut place, mut last, mut ended) = (0, None::<RemoteId>, false);
        let mut todo = Vec::new();
        let mut touched = Vec::new();
        let batch = self.fetch_batch();
        listed.dedup_by(|a, b| a.at.id == b.at.id); // some servers list a record twice
        for row in listed {
            loop {
                while place < known.len() && known[place].id < row.at.id {
                    place += 1;
                }
                if place < known.len() || ended {
                    break;
                }
                known = self.store().listing(self.account.id, &collection.id, last.as_ref(), 2000).await?;
                last = known.last().map(|k| k.id.clone()).or(last);
                (place, ended) = (0, known.is_empty());
            }
            let at_hand = known.get(place).filter(|k| k.id == row.at.id);
            self.sort_out(row, at_hand, &mut todo, &mut touched);
            // Fetched as soon as there are enough: the listing is not kept twice. What was only touched waits for all that is
            // fetched, since lists of members may be among that.
            if todo.len() == batch {
                self.fetch_and_touch(collection, std::mem::take(&mut todo), Vec::new(), true, affected).await?;
            }
        }
        self.fetch_and_touch(collection, todo, touched, true, affected).await
    }

    async fn compare_delta(
        &mut self,
        collection: &CollectionState,
        listed: Vec<Listed>,
        affected: &mut BTreeSet<String>,
    ) -> Result<(), SyncError> {
        let mut rest = listed.into_iter();
        loop {
            let part: Vec<Listed> = rest.by_ref().take(self.engine.options.page).collect();
            if part.is_empty() {
                return Ok(());
            }
            let ids: Vec<RemoteId> = part.iter().map(|l| l.at.id.clone()).collect();
            let known = self.store().known(self.account.id, &ids).await?;
            let (mut todo, mut touched) = (Vec::new(), Vec::new());
            for (row, known) in part.into_iter().zip(&known) {
                self.sort_out(row, known.as_ref(), &mut todo, &mut touched);
            }
            self.fetch_and_touch(collection, todo, touched, false, affected).await?;
        }
    }

    fn sort_out(&self, row: Listed, known: Option<&Known>, todo: &mut Vec<RemoteRef>, touched: &mut Vec<RemoteId>) {
        match known {
            // What could not be read is tried again with every listing.
            Some(known)
                if !matches!(known.kind, Kind::Gone | Kind::Unreadable)
                    && known.etag.is_some()
                    && known.etag == row.at.etag =>
            {
                touched.push(row.at.id);
            }
            _ => todo.push(row.at),
        }
    }

    async fn fetch_and_touch(
        &mut self,
        collection: &CollectionState,
        todo: Vec<RemoteRef>,
        touched: Vec<RemoteId>,
        full: bool,
        affected: &mut BTreeSet<String>,
    ) -> Result<(), SyncError> {
        let batch = self.fetch_batch();
        for refs in todo.chunks(batch) {
            self.keep_lease().await?;
            let rows = self.fetched(refs).await?;
            Box::pin(self.observe(collection, rows, affected)).await?;
        }
        for ids in touched.chunks(self.engine.options.page.max(1) * 4) {
            self.keep_lease().await?;
            if full {
                self.rescope(collection, ids, affected).await?;
                let mut commit = self.commit();
                commit.changes.push(Change::Touch {
                    account: self.account.id,
                    ids: ids.to_vec(),
                    generation: collection.generation,
                });
                self.store_all(commit, Vec::new()).await?;
            }
        }
        Ok(())
    }

    /// After a full listing: what it did not name is asked for by id; only what the provider then says is gone, is gone.
    /// Says whether there is something that it did not name and that was written too lately for this to mean anything: then
    /// its cursor is worth nothing, since it may never tell that this was deleted before.
    async fn sweep(&mut self, collection: &CollectionState, started: Timestamp) -> Result<bool, SyncError> {
        // Where reads don't lag, whatever is stored would have been named; so it is no matter what clocks say.
        let settle = self.provider.capabilities().settle;
        let written_before = if settle == 0 { Timestamp(i64::MAX) } else { started.plus(-settle) };
        let batch = self.fetch_batch();
        let mut after: Option<RemoteId> = None;
        let mut affected = BTreeSet::new();
        loop {
            self.keep_lease().await?;
            let unnamed = self
                .store()
                .unnamed(self.account.id, &collection.id, collection.generation, written_before, after.as_ref(), batch)
                .await?;
            let Some(last) = unnamed.last() else { break };
            after = Some(last.id.clone());
            let refs: Vec<RemoteRef> = unnamed
                .into_iter()
                .map(|k| RemoteRef { collection: collection.id.clone(), id: k.id, etag: k.etag })
                .collect();
            let rows = if mutant::on("pull.unnamed_is_gone") {
                Rows { seen: refs.into_iter().map(|at| Seen::Gone(at.id)).collect(), blobs: Vec::new() }
            } else {
                self.fetched(&refs).await?
            };
            Box::pin(self.observe(collection, rows, &mut affected)).await?;
        }
        self.regroup(collection, affected).await?;
        let (account, id) = (self.account.id, &collection.id);
        let ever = Timestamp(i64::MAX);
        Ok(!self.store().unnamed(account, id, collection.generation, ever, None, 1).await?.is_empty())
    }

    /// A record that we wrote a moment ago may still be shown as it was before: it is asked for by id first.
    async fn confirm_recent(&mut self, of: &CollectionId, seen: Vec<Seen>) -> Result<Rows, SyncError> {
        let settle = self.provider.capabilities().settle;
        if settle == 0 {
            return Ok(Rows { seen, blobs: Vec::new() });
        }
        let ids: Vec<RemoteId> = seen.iter().map(|s| s.id().clone()).collect();
        let known = self.store().known(self.account.id, &ids).await?;
        let now = self.now();
        let (mut rows, mut recent) = (Rows::default(), Vec::new());
        for (seen, known) in seen.into_iter().zip(known) {
            let ours = known.as_ref().is_some_and(|k| k.written.is_some_and(|w| now.since(w) <= settle));
            let same =
                known.as_ref().is_some_and(|k| seen.at().is_some_and(|at| at.etag.is_some() && at.etag == k.etag));
            if !ours || same {
                rows.seen.push(seen);
                continue;
            }
            recent.push(RemoteRef { collection: of.clone(), id: seen.id().clone(), etag: None });
        }
        for refs in recent.chunks(self.fetch_batch()) {
            self.keep_lease().await?;
            let Rows { seen, blobs } = self.fetched(refs).await?;
            rows.seen.extend(seen);
            rows.blobs.extend(blobs);
        }
        Ok(rows)
    }

    /// Stores observations: scoped, with the times of their fields.
    pub(super) async fn observe(
        &mut self,
        collection: &CollectionState,
        rows: Rows,
        affected: &mut BTreeSet<String>,
    ) -> Result<(), SyncError> {
        let Rows { seen, blobs } = rows;
        if seen.is_empty() {
            return Ok(());
        }
        let ids: Vec<RemoteId> = seen.iter().map(|s| s.id().clone()).collect();
        self.handle.tell(|progress| progress.read += ids.len() as u64);
        let before = self.store().seen(self.account.id, &ids).await?;
        let leaves = |(seen, before): (&Seen, &Option<StoredSeen>)| match seen {
            Seen::Present(record) => {
                present(before.as_ref()).is_some() && !self.in_scope(&record.at.id, &record.groups)
            }
            _ => false,
        };
        if !self.group_stood && seen.iter().zip(&before).any(leaves) {
            Box::pin(self.group_stands()).await?;
        }
        let mut commit = self.commit();
        let mut effects = Vec::new();
        commit.changes.extend(blobs.into_iter().map(Change::PutBlob));
        for seen in seen.iter().filter(|seen| !is_unshown(seen)) {
            let key = SubjectKey::Record(seen.id().clone());
            if let Seen::Unreadable(_, why) = seen {
                // It is told, and read again ever more seldom: no listing names it again as long as it does not change.
                commit.changes.push(self.failed(key, why.clone()));
            } else if self.failures.remove(&key).is_some() {
                commit.changes.push(Change::Unfail(self.account.id, key));
            }
        }
        // A record that is new to us may be one that we knew under another id, which is gone by now.
        let new = |(seen, before): (&Seen, &Option<StoredSeen>)| match (seen, before.as_ref().map(|b| &b.seen)) {
            (Seen::Present(record), None | Some(Seen::Gone(_))) => {
                record.uid.clone().map(|uid| (uid, (record.at.id.clone(), record.token)))
            }
            _ => None,
        };
        let new: BTreeMap<String, (RemoteId, Option<Token>)> = seen.iter().zip(&before).filter_map(new).collect();
        if !new.is_empty() {
            let uids: Vec<String> = new.keys().cloned().collect();
            for (uid, former) in self.store().gone_by_uid(self.account.id, &uids).await? {
                if let Some((id, token)) = new.get(&uid) {
                    self.follow_former(&former, id, *token, None, &mut commit, &mut effects).await?;
                }
            }
        }
        let outside =
            |before: &Option<StoredSeen>| matches!(before, Some(StoredSeen { seen: Seen::Outside { .. }, .. }));
        let known_outside = seen.iter().zip(&before).filter(|(_, b)| outside(b)).map(|(seen, _)| seen.id().clone());
        let purged = self.purged(known_outside).await?;
        // Asked only of records that had other names, and few had.
        let moved = seen.iter().any(|seen| matches!(seen, Seen::Present(record) if !record.formerly.is_empty()));
        // Of what can't be read it is not known: it may be gone, and the server not say so.
        let is_there = |seen: &&Seen| moved && matches!(seen, Seen::Present(_) | Seen::Outside { .. });
        let others = Others {
            page: seen.iter().filter(is_there).map(|seen| seen.id().clone()).collect(),
            listing: collection.listing.as_ref().map(|_| collection.generation),
        };
        let mut stored = Vec::with_capacity(seen.len());
        for (mut seen, before) in seen.into_iter().zip(before) {
            if purged.contains(seen.id())
                && let Seen::Present(RemoteRecord { at, groups, uid, .. }) = seen
            {
                seen = Seen::Outside { at, groups, uid };
            }
            if let Some(row) = self.admit(seen, before, &others, &mut commit, &mut effects, affected).await? {
                stored.push(row);
            }
        }
        commit.changes.push(Change::Observe {
            account: self.account.id,
            collection: collection.id.clone(),
            generation: collection.generation,
            rows: stored,
            echo: false,
        });
        self.store_all(commit, effects).await
    }

    /// One observation: what of it is stored.
    async fn admit(
        &mut self,
        seen: Seen,
        before: Option<StoredSeen>,
        others: &Others,
        commit: &mut Commit,
        effects: &mut Vec<Effect>,
        affected: &mut BTreeSet<String>,
    ) -> Result<Option<(Seen, BTreeMap<Field, Timestamp>)>, SyncError> {
        match seen {
            Seen::Present(record) => {
                for former in self.formers(&record, present(before.as_ref()), others).await? {
                    self.follow_former(&former, &record.at.id, record.token, Some(&record.body), commit, effects)
                        .await?;
                }
                if let Some(old) = present(before.as_ref())
                    && let (Some(new_time), Some(old_time)) = (record.modified, old.modified)
                    && new_time < old_time
                {
                    return Ok(None); // an older state of the record, from a lagging replica
                }
                let times = self.times(&record, before.as_ref());
                Ok(Some((self.scoped(record), times)))
            }
            // A list of members is stored only after its members have been looked at again (`regroup`): a run that is cut
            // short in between reads it anew, and misses nobody.
            Seen::Roster(roster) => {
                affected.extend(self.membership.change(&roster.at.id.clone(), Some(roster.clone())));
                if mutant::on("membership.store_the_roster_first") {
                    return Ok(Some((Seen::Roster(roster), BTreeMap::new())));
                }
                self.rosters_due.push(Seen::Roster(roster));
                Ok(None)
            }
            Seen::Gone(id) if self.membership.roster(&id).is_some() => {
                let deleted = self
                    .membership
                    .roster(&id)
                    .filter(|r| self.account.settings.scope == Scope::Group(r.group.clone()));
                if let Some(roster) = deleted {
                    // A deleted label is not that many leavings (R8).
                    return Err(no_group(&roster.name));
                }
                affected.extend(self.membership.change(&id, None));
                self.rosters_due.push(Seen::Gone(id));
                Ok(None)
            }
            // What could be read before and can't be read now keeps what was read: the row says so, its person stays.
            other => Ok(Some((other, before.map(|b| b.times).unwrap_or_default()))),
        }
    }

    /// When each field got its value: the provider's time for what changed since our last look, the old time for the rest.
    fn times(&self, record: &RemoteRecord, before: Option<&StoredSeen>) -> BTreeMap<Field, Timestamp> {
        let now = self.now();
        let modified = record.modified.map(|t| t.min(now));
        let old = present(before);
        let mut times = before.map(|b| b.times.clone()).unwrap_or_default();
        for field in Field::ALL.iter().copied() {
            let changed = match old {
                Some(old) => !old.body.same(&record.body, field),
                None => record.body.has(field),
            };
            if changed {
                match modified {
                    Some(time) => times.insert(field, time),
                    None => times.remove(&field),
                };
            }
        }
        times
    }
}

fn no_group(name: &str) -> SyncError {
    SyncError::Halted(format!(
        "the sync group '{name}' no longer exists in the address book; choose another one, or everything"
    ))
}

fn present(stored: Option<&StoredSeen>) -> Option<&RemoteRecord> {
    match stored.map(|s| &s.seen) {
        Some(Seen::Present(record)) => Some(record),
        _ => None,
    }
}
