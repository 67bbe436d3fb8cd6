//! Open intents of earlier runs: look first, then decide (reconciliation B, "Settling an open Intent").
//!
//! Owns: recovery. It is the ordinary path: every run begins with it, whoever opened the intents.

use std::collections::{BTreeMap, BTreeSet};

use super::fetch::Gone;
use super::send::Shown;
use super::{Running, SyncError};
use crate::ids::{LinkId, RemoteId, Token};
use crate::provider::{Fetched, Found};
use crate::store::{Change, Commit, Expect, SubjectKey};
use crate::sync::caps::{Membership, TokenPlace};
use crate::sync::diff::Diff;
use crate::sync::echo;
use crate::sync::operation::Effect;
use crate::sync::settings::{Direction, Scope};
use crate::sync::view::{Intent, Link, LinkState, RemoteRecord, RemoteRef, Seen, Send, StoredSeen};

impl Running<'_> {
    pub(super) async fn settle_open(&mut self) -> Result<(), SyncError> {
        let open = self.store().intents(self.account.id).await?;
        if open.is_empty() {
            return Ok(());
        }
        let collections = self.store().collections(self.account.id).await?;
        if let Some(home) = collections.iter().find(|c| c.writable).or(collections.first()) {
            self.home = home.id.clone();
        }
        let (mut creates, mut known, mut joins, mut former) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let two_way = self.account.settings.direction == Direction::TwoWay;
        for intent in open {
            match intent.what {
                Send::Create => {
                    self.creating.insert(intent.token);
                    creates.push(intent);
                }
                Send::Update | Send::Delete | Send::SetPhoto => known.push(intent),
                Send::Join(ref group) if !two_way || self.account.settings.scope != Scope::Group(group.clone()) => {
                    former.push(intent);
                }
                Send::Join(_) | Send::Leave(_) => joins.push(intent),
            }
        }
        self.give_up_joins(former).await?;
        let mut joined_later = BTreeSet::new();
        for join in &joins {
            joined_later.insert(join.link);
            if let Some(remote) = self.store().link(join.link).await?.and_then(|l| l.remote) {
                self.joining.insert(remote);
            }
        }
        let mut records = BTreeMap::new();
        let page = self.engine.options.page.max(1);
        for batch in creates.chunks(page) {
            self.keep_lease().await?;
            Box::pin(self.settle_creates(batch, &joined_later, &mut records)).await?;
        }
        for batch in known.chunks(page) {
            self.keep_lease().await?;
            Box::pin(self.settle_known(batch)).await?;
        }
        joins.retain(|join| self.unfound.iter().all(|create| create.link != join.link));
        Box::pin(self.settle_joins(joins, records)).await
    }

    /// Creates whose record was not under the name that we chose, now that the listing was read: somebody may have given it
    /// another name, which only its UID tells. What is nowhere is sent again.
    pub(super) async fn settle_unfound(&mut self) -> Result<(), SyncError> {
        let unfound = std::mem::take(&mut self.unfound);
        if unfound.is_empty() {
            return Ok(());
        }
        let links: BTreeSet<LinkId> = unfound.iter().map(|intent| intent.link).collect();
        let mut joins = self.store().intents(self.account.id).await?;
        joins.retain(|intent| matches!(intent.what, Send::Join(_) | Send::Leave(_)) && links.contains(&intent.link));
        let joined_later: BTreeSet<LinkId> = joins.iter().map(|join| join.link).collect();
        let mut records = BTreeMap::new();
        for batch in unfound.chunks(self.engine.options.page.max(1)) {
            self.keep_lease().await?;
            let mut there = self.of_tokens(batch).await?;
            let mut commit = self.commit();
            let (mut effects, mut resend) = (Vec::new(), Vec::new());
            for intent in batch {
                match there.remove(&intent.token) {
                    Some(Fetched::There(Seen::Present(record), blobs)) => {
                        commit.changes.extend(blobs.into_iter().map(Change::PutBlob));
                        self.adopt(intent, record, &joined_later, &mut records, &mut commit, &mut effects).await?;
                    }
                    Some(Fetched::Gone) | None if !self.hidden.strange => resend.push(intent.clone()),
                    // It is there, or may be: not to be made a second time.
                    None | Some(_) => self.unfinished = true,
                }
            }
            self.store_all(commit, effects).await?;
            Box::pin(self.resend_creates(resend, &joined_later, &mut records)).await?;
        }
        Box::pin(self.settle_joins(joins, records)).await
    }

    /// What is there of the records that were listed with the UIDs of these creates, whatever their names, inside the sync
    /// group or outside. One that is shown goes before one of which nothing is known, and that before one that is gone.
    async fn of_tokens(&self, creates: &[Intent]) -> Result<BTreeMap<Token, Fetched>, SyncError> {
        let uids: Vec<String> = creates.iter().map(|intent| intent.token.to_string()).collect();
        let named = self.store().by_uid(self.account.id, &uids).await?;
        let ids: Vec<RemoteId> = named.iter().map(|(_, id)| id.clone()).collect();
        let known = self.store().seen(self.account.id, &ids).await?;
        let of: BTreeMap<String, Token> = uids.into_iter().zip(creates.iter().map(|intent| intent.token)).collect();
        let at = |((uid, _), stored): (&(String, RemoteId), &Option<StoredSeen>)| {
            Some((*of.get(uid)?, stored.as_ref()?.seen.at()?.clone()))
        };
        let (tokens, refs): (Vec<Token>, Vec<RemoteRef>) = named.iter().zip(&known).filter_map(at).unzip();
        let mut there: BTreeMap<Token, Fetched> = BTreeMap::new();
        let certain = |fetched: &Fetched| match fetched {
            Fetched::There(..) => 2,
            Fetched::Unknown => 1,
            Fetched::Gone => 0,
        };
        for (refs, tokens) in refs.chunks(self.fetch_batch()).zip(tokens.chunks(self.fetch_batch())) {
            for (token, fetched) in tokens.iter().zip(self.provider.fetch(refs).await?) {
                if there.get(token).is_none_or(|known| certain(known) < certain(&fetched)) {
                    there.insert(*token, fetched);
                }
            }
        }
        Ok(there)
    }

    /// The record of a create whose answer was lost.
    async fn adopt(
        &mut self,
        intent: &Intent,
        record: RemoteRecord,
        joined_later: &BTreeSet<LinkId>,
        records: &mut BTreeMap<LinkId, RemoteRecord>,
        commit: &mut Commit,
        effects: &mut Vec<Effect>,
    ) -> Result<(), SyncError> {
        commit.expect.push(Expect::IntentOpen(intent.id));
        if self.is_taken(intent, &record, commit, effects).await? {
            return Ok(());
        }
        records.insert(intent.link, record.clone());
        if joined_later.contains(&intent.link) {
            self.joining.insert(record.at.id.clone());
        }
        Box::pin(self.close_stored(intent, Shown::Later, record, commit, effects)).await
    }

    /// The sync group was changed since, or nothing is sent any more: nobody comes into that group by us. Who is not in it
    /// has not left it either.
    async fn give_up_joins(&mut self, joins: Vec<Intent>) -> Result<(), SyncError> {
        let mut commit = self.commit();
        let mut effects = Vec::new();
        for join in joins {
            commit.changes.push(Change::CloseIntent(join.id));
            let Some(link) = self.store().link(join.link).await? else { continue };
            let Some(remote) = link.remote.clone().filter(|_| link.state == LinkState::Live) else { continue };
            if self.account.settings.scope != Scope::All {
                let state = Diff::new(Some(link.state), Some(LinkState::Left));
                effects.push(Effect::Link { link: link.id, account: link.account, person: link.person, state });
                commit.changes.push(Change::PutLink(Box::new(Link { state: LinkState::Left, ..link })));
            }
            commit.changes.push(Change::UnsettleRecord(self.account.id, remote));
        }
        self.store_all(commit, effects).await
    }

    /// Whether another link speaks for the record that we made: a user has made one record of it and of another one there.
    /// That deletes nobody: ours only ends.
    async fn is_taken(
        &mut self,
        intent: &Intent,
        record: &RemoteRecord,
        commit: &mut Commit,
        effects: &mut Vec<Effect>,
    ) -> Result<bool, SyncError> {
        let key = [SubjectKey::Record(record.at.id.clone())];
        let found = self.store().subjects(self.account.id, &key).await?;
        let speaks = |link: &Link| link.id != intent.link && link.state.is_open();
        if !found.into_iter().filter_map(|subject| subject.link).any(|link| speaks(&link)) {
            return Ok(false);
        }
        commit.changes.push(Change::CloseIntent(intent.id));
        self.creating.remove(&intent.token);
        if let Some(link) = self.store().link(intent.link).await? {
            let state = Diff::new(Some(link.state), Some(LinkState::Unlinked));
            effects.push(Effect::Link { link: link.id, account: link.account, person: link.person, state });
            let remote = Some(record.at.id.clone());
            commit.changes.push(Change::PutLink(Box::new(Link { state: LinkState::Unlinked, remote, ..link })));
        }
        Ok(true)
    }

    async fn settle_creates(
        &mut self,
        batch: &[Intent],
        joined_later: &BTreeSet<LinkId>,
        records: &mut BTreeMap<LinkId, RemoteRecord>,
    ) -> Result<(), SyncError> {
        let caps = self.provider.capabilities();
        let by_name = caps.token == TokenPlace::Name;
        let settle = if by_name { 0 } else { caps.settle };
        let now = self.now();
        // "Not there" is worth nothing before the provider has had the time to show it; what is there, is.
        let early = |intent: &Intent| now.since(intent.opened) < settle.saturating_mul(i64::from(intent.missed) + 1);
        let mut resend = Vec::new();
        let mut of: BTreeMap<_, Vec<&Intent>> = BTreeMap::new();
        for intent in batch {
            of.entry(&intent.collection).or_default().push(intent);
        }
        for (collection, intents) in of {
            let tokens: Vec<_> = intents.iter().map(|i| i.token).collect();
            let found = self.provider.find(collection, &tokens).await?;
            let mut commit = self.commit();
            let mut effects = Vec::new();
            for (intent, found) in intents.into_iter().zip(found) {
                match found {
                    Found::Records(seen, blobs) => {
                        // Of several with one token the oldest is the record; the others are copies that a user made.
                        let mut there: Vec<RemoteRecord> = seen
                            .into_iter()
                            .filter_map(|s| if let Seen::Present(record) = s { Some(record) } else { None })
                            .collect();
                        there.sort_by(|a, b| (a.modified, &a.at.id).cmp(&(b.modified, &b.at.id)));
                        let Some(record) = there.into_iter().next() else {
                            self.unfinished = true;
                            continue;
                        };
                        commit.changes.extend(blobs.into_iter().map(Change::PutBlob));
                        self.adopt(intent, record, joined_later, records, &mut commit, &mut effects).await?;
                    }
                    // Under another name it is looked for once the listing was read.
                    Found::NotThere if by_name => self.unfound.push(intent.clone()),
                    Found::NotThere if early(intent) => self.unfinished = true,
                    Found::NotThere if intent.missed > 0 || crate::mutant::on("settle.send_again_without_a_look") => {
                        resend.push(intent.clone());
                    }
                    Found::NotThere => {
                        commit.changes.push(Change::MissIntent(intent.id));
                        self.unfinished = true;
                    }
                    Found::Unknown => self.unfinished = true,
                }
            }
            self.store_all(commit, effects).await?;
        }
        Box::pin(self.resend_creates(resend, joined_later, records)).await
    }

    /// Surely not there: sent again, the same content under the same token, if the person still wants the record.
    async fn resend_creates(
        &mut self,
        intents: Vec<Intent>,
        joined_later: &BTreeSet<LinkId>,
        records: &mut BTreeMap<LinkId, RemoteRecord>,
    ) -> Result<(), SyncError> {
        let mut wanted = Vec::new();
        let (mut commit, mut effects) = (self.commit(), Vec::new());
        // What is joined after it was made is planned anew with its joining, where that is not under way.
        let joins = matches!(self.account.settings.scope, Scope::Group(_))
            && self.provider.capabilities().membership != Membership::InRecord;
        for intent in intents {
            if joins && !joined_later.contains(&intent.link) {
                self.close_open(&intent, &mut commit);
                self.creating.remove(&intent.token);
                continue;
            }
            let person = self.store().person(intent.person).await?;
            let live = person.as_ref().is_some_and(crate::crm::person::Person::is_live);
            // Whose link became redundant, or was undone, wants no record there any more.
            let link = self.store().link(intent.link).await?;
            let wants = live && link.as_ref().is_some_and(|l| l.state == LinkState::Live);
            if wants && self.account.settings.direction == Direction::TwoWay {
                commit.expect.push(Expect::Access(self.account.user, intent.person));
                wanted.push(intent);
                continue;
            }
            commit.changes.push(Change::CloseIntent(intent.id));
            self.creating.remove(&intent.token);
            // What somebody has decided of it since stays.
            if let Some(mut link) = link.filter(|link| !live && link.state.speaks()) {
                let (account, person) = (intent.account, intent.person);
                let state = Diff::new(Some(link.state), Some(LinkState::Deleted));
                effects.push(Effect::Link { link: link.id, account, person, state });
                link.state = LinkState::Deleted;
                commit.changes.push(Change::PutLink(Box::new(link)));
            }
            commit.changes.push(Change::UnsettlePerson(intent.account, intent.person));
        }
        // Access is looked at again right before the send (rule 22).
        let access = std::mem::take(&mut commit.expect);
        self.store_all(commit, effects).await?;
        let (mut allowed, mut lost) = (Vec::new(), Vec::new());
        for (intent, access) in wanted.into_iter().zip(access) {
            let mut probe = self.commit();
            probe.expect.push(access);
            // What is sent now may land now: that it was looked for in vain before says nothing about it.
            let intent = Intent { opened: self.now(), missed: 0, ..intent };
            probe.changes.push(Change::CloseIntent(intent.id));
            probe.changes.push(Change::OpenIntent(Box::new(intent.clone())));
            match self.store().commit(probe).await {
                Ok(()) => allowed.push(intent),
                Err(crate::store::StoreError::Stale(_)) => lost.push(intent),
                Err(error) => return Err(error.into()),
            }
        }
        // Whose record is surely not there, and whom the user may not see any more: nothing is under way. The link keeps its
        // token, for when access comes back.
        let mut commit = self.commit();
        for intent in lost {
            self.close_open(&intent, &mut commit);
            self.creating.remove(&intent.token);
        }
        self.store_all(commit, Vec::new()).await?;
        let size = usize::from(self.provider.capabilities().write_batch).max(1);
        for batch in allowed.chunks(size) {
            Box::pin(self.send_batch(batch, records)).await?;
        }
        Ok(())
    }

    async fn settle_known(&mut self, batch: &[Intent]) -> Result<(), SyncError> {
        let refs: Vec<RemoteRef> = batch.iter().filter_map(|i| i.before.as_ref().map(|b| b.at.clone())).collect();
        let fetched = self.provider.fetch(&refs).await?;
        let mut commit = self.commit();
        let mut effects = Vec::new();
        let mut again = Vec::new();
        for (intent, fetched) in batch.iter().filter(|i| i.before.is_some()).zip(fetched) {
            let Some(before) = &intent.before else { continue };
            match (fetched, &intent.what) {
                (Fetched::Gone, Send::Delete) => self.close_deleted(intent, &mut commit, &mut effects).await?,
                (Fetched::There(Seen::Present(record), blobs), Send::Update | Send::SetPhoto) => {
                    commit.changes.extend(blobs.into_iter().map(Change::PutBlob));
                    let unchanged = record.at.etag.is_some() && record.at.etag == before.at.etag;
                    let open = unchanged || !echo::has_landed(&intent.sent, &before.body, intent.mask, &record.body);
                    if open && !crate::mutant::on("settle.an_unknown_update_landed") {
                        // It did not land. What is there now decides, with the person as it is now.
                        self.close_open(intent, &mut commit);
                        again.push(record.at);
                    } else {
                        // It may have landed and been edited since: judged against what we sent, so that nothing which we
                        // changed ourselves comes back as somebody else's change.
                        self.close_stored(intent, Shown::Later, record, &mut commit, &mut effects).await?;
                    }
                }
                // A delete that did not land is planned again, under the rules and the guard as they are now.
                (Fetched::There(..), _) | (Fetched::Gone, _) => {
                    self.close_open(intent, &mut commit);
                    again.push(before.at.clone());
                }
                (Fetched::Unknown, _) => self.unfinished = true,
            }
        }
        self.store_all(commit, effects).await?;
        if !again.is_empty() {
            self.look_again(again, Gone::MayHaveMoved).await?;
        }
        Ok(())
    }

    fn close_open(&self, intent: &Intent, commit: &mut Commit) {
        commit.changes.push(Change::CloseIntent(intent.id));
        commit.changes.push(Change::UnsettlePerson(intent.account, intent.person));
    }

    /// Joining is the same however often it is done; it waits for its record.
    async fn settle_joins(
        &mut self,
        joins: Vec<Intent>,
        mut records: BTreeMap<LinkId, RemoteRecord>,
    ) -> Result<(), SyncError> {
        let mut ready = Vec::new();
        let mut commit = self.commit();
        for join in joins {
            let link = self.store().link(join.link).await?;
            match link {
                Some(link) if link.state.is_open() => {
                    if let Some(remote) = link.remote.as_ref().filter(|_| !records.contains_key(&link.id)) {
                        match self.record_of(remote).await? {
                            Fetched::There(Seen::Present(record), blobs) => {
                                commit.changes.extend(blobs.into_iter().map(Change::PutBlob));
                                records.insert(link.id, record);
                            }
                            Fetched::There(..) | Fetched::Gone => {}
                            Fetched::Unknown => {
                                self.unfinished = true;
                                continue;
                            }
                        }
                    }
                    ready.push(join);
                }
                // Its record is gone, or was never made.
                _ => commit.changes.push(Change::CloseIntent(join.id)),
            }
        }
        self.store_all(commit, Vec::new()).await?;
        self.send_joins(ready, &mut records).await
    }

    /// The record whose joining is open. One that was given another name meanwhile may have been listed as outside the group,
    /// of which only that is stored: it has not left, and is asked for.
    async fn record_of(&self, remote: &RemoteId) -> Result<Fetched, SyncError> {
        let seen = self.store().seen(self.account.id, std::slice::from_ref(remote)).await?;
        Ok(match seen.into_iter().next().flatten().map(|stored| stored.seen) {
            Some(seen @ Seen::Present(_)) => Fetched::There(seen, Vec::new()),
            Some(Seen::Outside { at, .. }) => {
                self.provider.fetch(&[at]).await?.into_iter().next().unwrap_or(Fetched::Unknown)
            }
            Some(Seen::Unreadable(..)) => Fetched::Unknown,
            Some(Seen::Roster(_) | Seen::Gone(_)) | None => Fetched::Gone,
        })
    }
}
