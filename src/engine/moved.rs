//! Records that go on under another id (rule 9): told so by the provider, known again by UID, token or content.
//!
//! Owns: how a link follows its record. What is gone from one place is looked for elsewhere before that counts as a deletion.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::{Running, SyncError};
use crate::card::field::Field;
use crate::card::{Card, normalize};
use crate::ids::{RemoteId, Token};
use crate::provider::Fetched;
use crate::store::{Change, Commit, Expect, Identity, Kind, Known, SubjectKey};
use crate::sync::diff::Diff;
use crate::sync::operation::Effect;
use crate::sync::view::{Link, LinkState, RemoteRecord, RemoteRef, Seen, StoredSeen, Subject};

fn earlier_names(subject: &Subject) -> &[RemoteId] {
    match subject.seen.as_ref().map(|stored| &stored.seen) {
        Some(Seen::Present(record)) => &record.formerly,
        _ => &[],
    }
}

/// What else is there, by what is being read.
pub(super) struct Others {
    /// The records that stand on the same page.
    pub(super) page: BTreeSet<RemoteId>,
    /// The generation, while a listing in full is under way: what it has named is there.
    pub(super) listing: Option<i64>,
}

impl Running<'_> {
    /// Under which ids the record was known. Where a user made one record of several, each of them is named: the one that left
    /// its token there comes first, then the one whose name it still has, then the one of which it has the most, since the
    /// record goes on being that one.
    ///
    /// A name that was told before, and one that the same listing gives to a record, is that record's own by now.
    pub(super) async fn formers(
        &self,
        record: &RemoteRecord,
        before: Option<&RemoteRecord>,
        others: &Others,
    ) -> Result<Vec<RemoteId>, SyncError> {
        let told = |id: &RemoteId| {
            *id == record.at.id || before.is_some_and(|b| b.formerly.contains(id)) || others.page.contains(id)
        };
        let mut formers: Vec<RemoteId> = record.formerly.iter().filter(|id| !told(id)).cloned().collect();
        if let Some(generation) = others.listing.filter(|_| !formers.is_empty()) {
            let known = self.store().known(self.account.id, &formers).await?;
            let listed = |known: &Option<Known>| {
                known.as_ref().is_some_and(|k| k.kind != Kind::Gone && k.generation == generation)
            };
            let all = formers.into_iter().zip(known);
            formers = all.filter(|(_, known)| !listed(known)).map(|(id, _)| id).collect();
        }
        if !formers.is_empty()
            && let Some(marked) = self.marked_as(record).await?.filter(|id| !formers.contains(id))
        {
            formers.push(marked);
        }
        if formers.len() > 1 {
            let keys: Vec<SubjectKey> = formers.iter().cloned().map(SubjectKey::Record).collect();
            let mut subjects = self.store().subjects(self.account.id, &keys).await?;
            // What one of its names was known by already was told before, under that name.
            let passed_on: BTreeSet<RemoteId> = subjects.iter().flat_map(earlier_names).cloned().collect();
            let mut old = formers.iter().map(|id| passed_on.contains(id));
            subjects.retain(|_| !old.next().unwrap_or(false));
            formers.retain(|id| !passed_on.contains(id));
            let name = normalize::display_name(&record.body);
            let marked = |link: &Link| record.token.is_some() && record.token == link.token;
            let same = |link: &Link| normalize::display_name(&link.base.theirs) == name;
            // Whoever renamed it left something of it.
            let shared = |link: &Link| {
                let said = |field: &Field| record.body.has(*field) && link.base.theirs.same(&record.body, *field);
                Field::ALL.iter().filter(|field| said(field)).count()
            };
            let others = subjects.iter().map(|subject| {
                let link = subject.link.as_ref();
                (!link.is_some_and(marked), !link.is_some_and(same), Reverse(link.map_or(0, shared)))
            });
            let mut ranked: Vec<(_, RemoteId)> = others.zip(formers).collect();
            ranked.sort_by_key(|(others, _)| *others);
            formers = ranked.into_iter().map(|(_, id)| id).collect();
        }
        Ok(formers)
    }

    /// The id of the record that was made under the token that this one carries, where that is not shown any more.
    async fn marked_as(&self, record: &RemoteRecord) -> Result<Option<RemoteId>, SyncError> {
        let ours = self.store().tokens(self.account.id, record.token.as_slice()).await?;
        let Some((_, link)) = ours.into_iter().next() else { return Ok(None) };
        let link = self.store().link(link).await?.filter(|link| link.state.is_open());
        let Some(id) = link.and_then(|link| link.remote).filter(|id| *id != record.at.id) else { return Ok(None) };
        let seen = self.store().seen(self.account.id, std::slice::from_ref(&id)).await?;
        let shown = matches!(seen.into_iter().next().flatten(), Some(StoredSeen { seen: Seen::Present(_), .. }));
        Ok((!shown).then_some(id))
    }

    /// The record was known under another id: the link moves with its base, in whatever state. One that ended with its record
    /// does so too (the record was not deleted, it had moved), and one that was unlinked stays so. Where another link speaks
    /// for the record already, a user has made one record of two there: that deletes nobody, so that this link only ends.
    /// `body` is what the record says, where it may be a union of several.
    pub(super) async fn follow_former(
        &mut self,
        former: &RemoteId,
        now: &RemoteId,
        token: Option<Token>,
        body: Option<&Card>,
        commit: &mut Commit,
        effects: &mut Vec<Effect>,
    ) -> Result<(), SyncError> {
        if former == now {
            return Ok(());
        }
        let keys = [SubjectKey::Record(former.clone()), SubjectKey::Record(now.clone())];
        let mut subjects = self.store().subjects(self.account.id, &keys).await?.into_iter();
        let before = subjects.next().unwrap_or_default();
        let (moves, stays) = (before.link, subjects.next().and_then(|subject| subject.link));
        // Under its former id it is nobody any more, whether or not the provider says that too.
        if let Some(at) = before.seen.as_ref().and_then(|stored| stored.seen.at()) {
            commit.changes.push(Change::Observe {
                account: self.account.id,
                collection: at.collection.clone(),
                generation: self.generation(&at.collection).await?,
                rows: vec![(Seen::Gone(former.clone()), BTreeMap::new())],
                echo: false,
            });
        }
        let Some(mut link) = moves.filter(|l| l.remote.as_ref() == Some(former)) else { return Ok(()) };
        // One that had become redundant does not make its person out of whom it was united with there. A suffix or a title
        // makes nobody another.
        let named = |body: &Card| {
            let (base, name) = (&link.base.theirs, [Field::Given, Field::Family]);
            normalize::display_name(body) == normalize::display_name(base)
                || (name.iter().any(|field| body.has(*field)) && name.iter().all(|field| base.same(body, *field)))
        };
        if link.state == LinkState::Redundant && body.is_some_and(|body| !named(body)) {
            return Ok(());
        }
        let speaks = |other: &Link| other.id != link.id && other.state.is_open() && other.remote.as_ref() == Some(now);
        let comes = |change: &Change| matches!(change, Change::PutLink(other) if speaks(other));
        // One that we are just making is spoken for, too.
        let made = token.is_some_and(|token| link.token != Some(token) && self.creating.contains(&token));
        let taken = made || stays.as_ref().is_some_and(speaks) || commit.changes.iter().any(comes);
        if taken && !link.state.is_open() {
            return Ok(());
        }
        if taken {
            let state = Diff::new(Some(link.state), Some(LinkState::Unlinked));
            effects.push(Effect::Link { link: link.id, account: link.account, person: link.person, state });
            link.state = LinkState::Unlinked;
            commit.changes.push(Change::PutLink(Box::new(link)));
            return Ok(());
        }
        commit.changes.push(Change::PutLink(Box::new(Link { remote: Some(now.clone()), ..link })));
        commit.changes.push(Change::PutDuplicates(self.account.id, now.clone(), Vec::new()));
        commit.changes.push(Change::UnsettleRecord(self.account.id, now.clone()));
        Ok(())
    }

    /// The first of these records that is there. One alone is taken as it was seen; of several, some may be names under which
    /// a listing met a record that was on the move.
    async fn still_there(&mut self, found: Vec<RemoteId>) -> Result<Option<RemoteId>, SyncError> {
        if found.len() < 2 {
            return Ok(found.into_iter().next());
        }
        let seen = self.store().seen(self.account.id, &found).await?;
        let refs: Vec<RemoteRef> = seen.iter().flatten().filter_map(|stored| stored.seen.at().cloned()).collect();
        let fetched = self.provider.fetch(&refs).await?;
        let mut there = None;
        for (at, fetched) in refs.into_iter().zip(fetched) {
            if !matches!(fetched, Fetched::Gone) {
                there.get_or_insert(at.id);
                continue;
            }
            let mut commit = self.commit();
            commit.changes.push(Change::Observe {
                account: self.account.id,
                generation: self.generation(&at.collection).await?,
                collection: at.collection,
                rows: vec![(Seen::Gone(at.id), BTreeMap::new())],
                echo: false,
            });
            self.store_all(commit, Vec::new()).await?;
        }
        Ok(there)
    }

    /// Links whose record is gone: before that counts, it is looked for under a new id (rule 9). By what it carries first, and
    /// only then by content: what says the same as one lost record may carry the UID of another.
    pub(super) async fn find_lost(&mut self) -> Result<(), SyncError> {
        let mut lost = self.store().lost(self.account.id).await?;
        // One that ended, or is redundant, is so under the new id too; its UID alone tells, since a record that says the same
        // may be somebody's new start.
        let open = |link: &Link| matches!(link.state, LinkState::Live | LinkState::Left | LinkState::Frozen);
        let rests = |link: &Link| !open(link);
        lost.retain(|link| link.state != LinkState::Paused);
        let gone: Vec<RemoteId> = lost.iter().filter_map(|link| link.remote.clone()).collect();
        let known = self.store().identities(self.account.id, &gone).await?;
        let uid = |known: Option<Identity>| known.and_then(|identity| identity.uid);
        let uids: BTreeMap<RemoteId, Option<String>> = gone.into_iter().zip(known.into_iter().map(uid)).collect();
        let mut by_content = Vec::new();
        for link in lost {
            let uid = link.remote.as_ref().and_then(|remote| uids.get(remote).cloned().flatten());
            let found = if rests(&link) {
                let named = self.store().by_uid(self.account.id, uid.as_slice()).await?;
                let keys: Vec<SubjectKey> = named.into_iter().map(|(_, id)| SubjectKey::Record(id)).collect();
                let free =
                    self.store().subjects(self.account.id, &keys).await?.into_iter().filter(|s| s.link.is_none());
                free.filter_map(|subject| Some(subject.seen?.seen.id().clone())).collect()
            } else {
                self.store().refind(self.account.id, link.token, uid.as_deref(), &Card::default()).await?
            };
            if !self.goes_on(&link, found).await? && open(&link) {
                by_content.push(link);
            }
        }
        for link in by_content {
            let found = self.store().refind(self.account.id, None, None, &link.base.theirs).await?;
            self.goes_on(&link, found).await?;
        }
        Ok(())
    }

    /// The link moves to the first of these records that is there. Says whether any is.
    async fn goes_on(&mut self, link: &Link, found: Vec<RemoteId>) -> Result<bool, SyncError> {
        let found: Vec<RemoteId> = found.into_iter().filter(|id| Some(id) != link.remote.as_ref()).collect();
        let Some(new) = self.still_there(found).await? else { return Ok(false) };
        let mut commit = self.commit();
        commit.expect.push(Expect::Unlinked(self.account.id, new.clone()));
        commit.changes.push(Change::PutLink(Box::new(Link { remote: Some(new.clone()), ..link.clone() })));
        commit.changes.push(Change::PutDuplicates(self.account.id, new.clone(), Vec::new()));
        commit.changes.push(Change::UnsettleRecord(self.account.id, new));
        self.store_all(commit, Vec::new()).await?;
        Ok(true)
    }
}
