//! Open intents go to the provider, and are closed with what came of them.
//!
//! Owns: rule 14's other half: the intent stands in the store before the first byte leaves, and is closed in one commit with
//! the echo. An answer that was lost leaves the intent open; `settle` looks for what became of it.

use std::collections::BTreeMap;

use base64::Engine as _;

use super::fetch::Gone;
use super::{Running, SyncError};
use crate::card::Card;
use crate::card::field::FieldSet;
use crate::ids::{LinkId, Timestamp};
use crate::provider::{Blob, Fetched, Outcome, Write, WriteKind};
use crate::store::{Change, Commit, SubjectKey};
use crate::sync::diff::Diff;
use crate::sync::echo::{self, Landed};
use crate::sync::operation::{self, Effect, RemoteChange};
use crate::sync::view::{Groups, Intent, LinkState, RemoteRecord, RemoteRef, Roster, Seen, Send};
use crate::sync::{caps, settings};

/// How often a record is not found that the listings name, before it counts as gone.
const UNLISTED: u32 = 3;

/// When a record is shown that we wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// Right after the write.
    InAnswer,
    /// Right after the write, as another version than the one written: somebody has edited it since.
    Edited,
    /// Some time after it: somebody may have edited it since.
    Later,
}

impl Running<'_> {
    /// Sends intents that have just been stored. What needs a record that does not exist yet comes after its create.
    pub(super) async fn send(&mut self, intents: Vec<Intent>) -> Result<(), SyncError> {
        if intents.is_empty() {
            return Ok(());
        }
        let (joins, rest): (Vec<_>, Vec<_>) =
            intents.into_iter().partition(|i| matches!(i.what, Send::Join(_) | Send::Leave(_)));
        let mut records: BTreeMap<LinkId, RemoteRecord> = BTreeMap::new();
        for batch in rest.chunks(self.batch_size()) {
            Box::pin(self.send_batch(batch, &mut records)).await?;
        }
        self.send_joins(joins, &mut records).await
    }

    fn batch_size(&self) -> usize {
        usize::from(self.provider.capabilities().write_batch).max(1)
    }

    /// Joins go together: three hundred new members of a group are one write where the provider keeps a list of members.
    pub(super) async fn send_joins(
        &mut self,
        joins: Vec<Intent>,
        records: &mut BTreeMap<LinkId, RemoteRecord>,
    ) -> Result<(), SyncError> {
        let mut ready = Vec::new();
        let mut commit = self.commit();
        for mut intent in joins {
            if intent.before.is_none() {
                intent.before = records.get(&intent.link).cloned();
            }
            if intent.before.is_some() {
                ready.push(intent);
            } else if !self.creating.contains(&intent.token) {
                // Its create came to nothing: it is planned anew, with its joining.
                commit.changes.push(Change::CloseIntent(intent.id));
                commit.changes.push(Change::UnsettlePerson(intent.account, intent.person));
            }
            // Otherwise the create is open still, and `settle` takes up the joining with it.
        }
        self.store_all(commit, Vec::new()).await?;
        for batch in ready.chunks(self.engine.options.page.max(1)) {
            Box::pin(self.send_batch(batch, records)).await?;
        }
        Ok(())
    }

    /// Sends one batch and closes what has an answer.
    pub(super) async fn send_batch(
        &mut self,
        batch: &[Intent],
        records: &mut BTreeMap<LinkId, RemoteRecord>,
    ) -> Result<(), SyncError> {
        self.may_send().await?;
        let mut writes = Vec::with_capacity(batch.len());
        for intent in batch {
            writes.push(self.write(intent).await?);
        }
        let mut outcomes = self.provider.write(&writes).await;
        outcomes.resize_with(batch.len(), || Outcome::Unknown);
        drop(writes);

        // What the answers don't show is read again, all of it at once (believe the echo).
        let landed: Vec<RemoteRef> =
            outcomes.iter().filter_map(|o| if let Outcome::Landed(at) = o { Some(at.clone()) } else { None }).collect();
        let mut read =
            if landed.is_empty() { Vec::new() } else { self.provider.fetch(&landed).await.unwrap_or_default() }
                .into_iter();

        let mut commit = self.commit();
        let mut effects = Vec::new();
        let (mut again, mut gone) = (Vec::new(), Vec::new());
        for (intent, outcome) in batch.iter().zip(outcomes) {
            let mut shown = Shown::InAnswer;
            let outcome = match outcome {
                Outcome::Landed(at) => match read.next() {
                    Some(Fetched::There(Seen::Present(record), blobs)) => {
                        commit.changes.extend(blobs.into_iter().map(Change::PutBlob));
                        if at.etag.is_some() && at.etag != record.at.etag {
                            shown = Shown::Edited;
                        }
                        Outcome::Stored(record)
                    }
                    // The write has landed; what it became is pending. The intent stays open, and `settle` reads again.
                    _ => Outcome::Unknown,
                },
                other => other,
            };
            if !matches!(outcome, Outcome::Unknown | Outcome::Landed(_)) {
                self.creating.remove(&intent.token);
            }
            match outcome {
                Outcome::Stored(record) => {
                    records.insert(intent.link, record.clone());
                    Box::pin(self.close_stored(intent, shown, record, &mut commit, &mut effects)).await?;
                }
                Outcome::Partly { record, lacks, why } => {
                    records.insert(intent.link, record.clone());
                    // Of what was not stored nothing is agreed on, so that it is planned anew.
                    let stored = without(intent, lacks);
                    Box::pin(self.close_stored(&stored, Shown::InAnswer, record, &mut commit, &mut effects)).await?;
                    commit.changes.push(Change::UnsettlePerson(intent.account, intent.person));
                    match why {
                        Some(why) => {
                            let change = self.failed(SubjectKey::Person(intent.person), why);
                            commit.changes.push(change);
                        }
                        None => self.unfinished = true,
                    }
                }
                Outcome::Without { record, fields, why } => {
                    records.insert(intent.link, record.clone());
                    let (first, remote) = (effects.len(), Some(record.at.id.clone()));
                    Box::pin(self.close_stored(intent, shown, record, &mut commit, &mut effects)).await?;
                    // What is agreed on is as it is shown, so that it is not sent again; and it is told once.
                    operation::not_taken(&mut effects, first, fields);
                    let (link, account, person) = (intent.link, intent.account, intent.person);
                    let change = RemoteChange::NotTaken { fields: fields.iter().collect(), why };
                    effects.push(Effect::Remote { link, account, person, remote, change });
                    self.tally.failed += 1;
                }
                Outcome::Deleted => self.close_deleted(intent, &mut commit, &mut effects).await?,
                // A joining that came to nothing stays open: scope does not apply to its record until it is done, or a
                // record that never came in would count as one that left.
                Outcome::Refused(reason) if matches!(intent.what, Send::Join(_) | Send::Leave(_)) => {
                    let change = self.failed(SubjectKey::Person(intent.person), reason);
                    commit.changes.push(change);
                }
                Outcome::Stale | Outcome::Missing | Outcome::NotTried
                    if matches!(intent.what, Send::Join(_) | Send::Leave(_)) =>
                {
                    self.unfinished = true;
                }
                Outcome::Stale => {
                    commit.changes.push(Change::CloseIntent(intent.id));
                    commit.changes.push(Change::UnsettlePerson(intent.account, intent.person));
                    again.extend(intent.before.as_ref().map(|b| b.at.clone()));
                }
                Outcome::Missing => {
                    commit.changes.push(Change::CloseIntent(intent.id));
                    commit.changes.push(Change::UnsettlePerson(intent.account, intent.person));
                    // It may have moved since the listing; the next one tells. Only where none ever does it counts as gone.
                    let key = SubjectKey::Person(intent.person);
                    if self.failures.get(&key).copied().unwrap_or(0) < UNLISTED {
                        let reason = "the record was not found, although the server's list has it; the next sync asks for \
                                      the list again";
                        commit.changes.push(self.failed(key, reason.to_owned()));
                        self.unfinished = true;
                    } else {
                        gone.extend(intent.before.as_ref().map(|b| b.at.clone()));
                    }
                }
                Outcome::Refused(reason) => {
                    commit.changes.push(Change::CloseIntent(intent.id));
                    commit.changes.push(Change::UnsettlePerson(intent.account, intent.person));
                    let change = self.failed(SubjectKey::Person(intent.person), reason);
                    commit.changes.push(change);
                }
                Outcome::NotTried => {
                    commit.changes.push(Change::CloseIntent(intent.id));
                    commit.changes.push(Change::UnsettlePerson(intent.account, intent.person));
                    self.unfinished = true;
                }
                Outcome::Unknown if crate::mutant::on("send.forget_what_was_not_answered") => {
                    commit.changes.push(Change::CloseIntent(intent.id));
                    commit.changes.push(Change::UnsettlePerson(intent.account, intent.person));
                }
                Outcome::Unknown | Outcome::Landed(_) => self.unfinished = true,
            }
        }
        self.store_all(commit, effects).await?;
        if !again.is_empty() {
            self.look_again(again, Gone::MayHaveMoved).await?;
        }
        if !gone.is_empty() {
            self.look_again(gone, Gone::IsGone).await?;
        }
        Ok(())
    }

    async fn write(&self, intent: &Intent) -> Result<Write, SyncError> {
        let mut photo: Option<Blob> = None;
        if intent.mask.contains(crate::card::field::Field::Photo)
            && let Some(wanted) = &intent.sent.photo
        {
            photo = self.store().blob(&wanted.hash).await?;
        }
        let what = match &intent.what {
            Send::Create => WriteKind::Create { card: intent.sent.clone(), groups: self.groups_of_new() },
            Send::Update | Send::SetPhoto => WriteKind::Update { card: intent.sent.clone(), mask: intent.mask },
            Send::Delete => WriteKind::Delete,
            Send::Join(group) => WriteKind::Join(group.clone()),
            Send::Leave(group) => WriteKind::Leave(group.clone()),
        };
        Ok(Write {
            what,
            token: intent.token,
            collection: intent.collection.clone(),
            before: intent.before.clone(),
            photo,
            by: self.deadline(),
        })
    }

    /// The groups that a new record is in from the start: the sync group, where a record names its groups.
    fn groups_of_new(&self) -> Groups {
        match (&self.account.settings.scope, self.provider.capabilities().membership) {
            (settings::Scope::Group(group), caps::Membership::InRecord) => Groups::from([group.clone()]),
            _ => Groups::new(),
        }
    }

    /// The provider shows the record as stored: base and observation move, in one commit with the end of the intent.
    pub(super) async fn close_stored(
        &mut self,
        intent: &Intent,
        shown: Shown,
        mut record: RemoteRecord,
        commit: &mut Commit,
        effects: &mut Vec<Effect>,
    ) -> Result<(), SyncError> {
        commit.changes.push(Change::CloseIntent(intent.id));
        if intent.what == Send::Create {
            self.creating.remove(&intent.token);
        }
        let Some(mut link) = self.store().link(intent.link).await? else { return Ok(()) };
        let account = self.account.id;
        let speaks = link.state.speaks();
        let remote = Some(record.at.id.clone());
        match &intent.what {
            Send::Create | Send::Update | Send::SetPhoto => {
                let before = intent.before.as_ref().map(|b| &b.body);
                let landed =
                    Landed { ours: &intent.ours, sent: &intent.sent, before, mask: intent.mask, pairs: &intent.pairs };
                let nothing = Card::default();
                let then = match shown {
                    Shown::InAnswer => None,
                    Shown::Edited | Shown::Later => {
                        Some(echo::as_landed(&intent.sent, before.unwrap_or(&nothing), intent.mask, &record.body))
                    }
                };
                let echo = then.as_ref().unwrap_or(&record.body);
                link.base = echo::settle(&link.base, &landed, echo, self.provider.capabilities());
                link.revision = intent.revision;
                link.remote = remote.clone();
                let change = match (&intent.what, before) {
                    (Send::Create, _) | (_, None) => RemoteChange::Created(intent.sent.clone()),
                    (_, Some(before)) => RemoteChange::Updated(operation::diff(before, &intent.sent)),
                };
                effects.push(Effect::Remote { link: link.id, account, person: link.person, remote, change });
            }
            Send::Join(group) | Send::Leave(group) => {
                let joined = matches!(intent.what, Send::Join(_));
                self.note_membership(group, &record, joined, commit);
                let change =
                    if joined { RemoteChange::Joined(group.clone()) } else { RemoteChange::Left(group.clone()) };
                self.joining.remove(&record.at.id);
                effects.push(Effect::Remote { link: link.id, account, person: link.person, remote, change });
            }
            Send::Delete => return Ok(()),
        }
        // The record takes part whatever its groups say, until its joining is done.
        record.groups.append(&mut self.membership.of(record.uid.as_deref()));
        // What only comes in was not sent, and never agreed on: where it is there already, somebody has put it there.
        let incoming = self.facts().incoming();
        let unasked = incoming.iter().any(|field| !link.base.mapped.contains(field) && record.body.has(field));
        let differs = unasked || echo::edited_there(&link.base, &record.body, incoming);
        // And what is sent since then was not sent with it.
        let holds = |field| matches!(intent.what, Send::Join(_) | Send::Leave(_)) || intent.ours.has(field);
        let unsent = self.facts().outgoing().iter().any(|field| !link.base.mapped.contains(field) && holds(field));
        let times = self.times_after(intent, &record);
        let id = record.at.id.clone();
        let version = self
            .store()
            .seen(account, std::slice::from_ref(&id))
            .await?
            .into_iter()
            .next()
            .flatten()
            .map_or(0, |s| s.version);
        let (collection, generation) = (record.at.collection.clone(), self.generation(&record.at.collection).await?);
        // Where the sync group was changed since, what was made for the former one is not in the new one: it never left it.
        let found_later = matches!(intent.what, Send::Create | Send::Update) && shown == Shown::Later;
        let seen = if found_later { self.scoped(record) } else { Seen::Present(record) };
        let never_in = intent.what == Send::Create && matches!(seen, Seen::Outside { .. });
        if never_in && link.state == LinkState::Live {
            let state = Diff::new(Some(link.state), Some(LinkState::Left));
            effects.push(Effect::Link { link: link.id, account, person: link.person, state });
            link.state = LinkState::Left;
        }
        commit.changes.push(Change::Observe { account, collection, generation, rows: vec![(seen, times)], echo: true });
        commit.changes.push(Change::PutLink(Box::new(link)));
        let edited = if crate::mutant::on("send.settle_whatever_was_edited") { i64::MAX } else { intent.revision.0 };
        // What was sent by an earlier run was decided by that one: why the person was marked since, this one has yet to ask.
        if !unsent && speaks && shown != Shown::Later {
            commit.changes.push(Change::SettlePerson(account, intent.person, crate::ids::Revision(edited)));
        }
        // Where something else changed there meanwhile, the echo is the first to show it: a remote change, to be looked at.
        if differs {
            commit.changes.push(Change::UnsettleRecord(account, id));
        } else {
            commit.changes.push(Change::SettleRecord(account, id, version + 1));
        }
        Ok(())
    }

    /// After our own write, a field that we sent is as old as our value, whatever time the provider gives the record.
    fn times_after(&self, intent: &Intent, record: &RemoteRecord) -> BTreeMap<crate::card::field::Field, Timestamp> {
        let now = self.now();
        let time = record.modified.unwrap_or(now).min(now);
        intent.mask.iter().map(|f| (f, time)).collect()
    }

    pub(super) async fn generation(&self, collection: &crate::ids::CollectionId) -> Result<i64, SyncError> {
        let all = self.store().collections(self.account.id).await?;
        Ok(all.into_iter().find(|c| c.id == *collection).map_or(0, |c| c.generation))
    }

    /// A member list that we changed is known at once; its new version comes with the next pull.
    fn note_membership(
        &mut self,
        group: &crate::ids::GroupId,
        record: &RemoteRecord,
        joined: bool,
        commit: &mut Commit,
    ) {
        let (Some(roster), Some(uid)) = (self.membership.of_group(group), &record.uid) else { return };
        let mut roster: Roster = roster.clone();
        let changed = if joined { roster.members.insert(uid.clone()) } else { roster.members.remove(uid) };
        if !changed {
            return;
        }
        self.membership.change(&roster.at.id.clone(), Some(roster.clone()));
        commit.changes.push(Change::Observe {
            account: self.account.id,
            collection: roster.at.collection.clone(),
            generation: 0,
            rows: vec![(Seen::Roster(roster), BTreeMap::new())],
            echo: true,
        });
    }

    /// We deleted the record: that it is gone is ours, and no remote deletion.
    pub(super) async fn close_deleted(
        &mut self,
        intent: &Intent,
        commit: &mut Commit,
        effects: &mut Vec<Effect>,
    ) -> Result<(), SyncError> {
        commit.changes.push(Change::CloseIntent(intent.id));
        let Some(mut link) = self.store().link(intent.link).await? else { return Ok(()) };
        let Some(before) = &intent.before else { return Ok(()) };
        let account = self.account.id;
        let from = Some(link.state);
        let speaks = link.state.speaks();
        // Whose making was undone stays so: nobody makes a new record of it.
        link.state = if link.state == LinkState::Undone { LinkState::Undone } else { LinkState::Deleted };
        let raw = before.raw.as_ref().map(|raw| base64::engine::general_purpose::STANDARD.encode(raw));
        let change = RemoteChange::Deleted { card: before.body.clone(), raw };
        effects.push(Effect::Remote {
            link: link.id,
            account,
            person: link.person,
            remote: Some(before.at.id.clone()),
            change,
        });
        let state = Diff::new(from, Some(link.state));
        if state.is_changed() {
            effects.push(Effect::Link { link: link.id, account, person: link.person, state });
        }
        commit.changes.push(Change::Observe {
            account,
            collection: before.at.collection.clone(),
            generation: self.generation(&before.at.collection).await?,
            rows: vec![(Seen::Gone(before.at.id.clone()), BTreeMap::new())],
            echo: true,
        });
        commit.changes.push(Change::DropHeld(link.id));
        commit.changes.push(Change::PutLink(Box::new(link)));
        // Where another link speaks for the person, what is to be done about that is not done with this.
        if speaks {
            commit.changes.push(Change::SettlePerson(account, intent.person, intent.revision));
        }
        Ok(())
    }

    /// Reads records again whose version turned out to be old; the next round decides from what they are now.
    pub(super) async fn look_again(&mut self, refs: Vec<RemoteRef>, gone: Gone) -> Result<(), SyncError> {
        let collections = self.store().collections(self.account.id).await?;
        for collection in collections {
            let here: Vec<RemoteRef> = refs.iter().filter(|r| r.collection == collection.id).cloned().collect();
            if !here.is_empty() {
                self.refetch(&collection, &here, gone).await?;
            }
        }
        Ok(())
    }
}

/// The send as if these fields had not been among it.
fn without(intent: &Intent, lacks: FieldSet) -> Intent {
    let mut part = Intent { mask: intent.mask.without(lacks), ..intent.clone() };
    let nothing = Card::default();
    let before = intent.before.as_ref().map_or(&nothing, |before| &before.body);
    lacks.iter().for_each(|field| part.sent.set(field, before.get(field)));
    part
}
