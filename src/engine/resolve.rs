//! A person deals with a conflict: one of both values, or one typed in.
//!
//! Owns: [`Engine::resolve_conflict`]. Where a value stands already, another one is an ordinary edit. Where nobody has decided
//! (policy `ask`), the choice moves the base too, so that the next plan finds the other side dealt with. Of an edit and a
//! deletion either is chosen as such: the person goes into the trash, comes back, or stays.

use std::collections::BTreeSet;

use super::hold::{Refusal, in_name_of, may, user_of};
use super::{Engine, apply};
use crate::card::Card;
use crate::card::field::Field;
use crate::crm::person::{Person, PersonState};
use crate::ids::{AccountId, ConflictId, Revision};
use crate::store::{Change, Commit, Conflict, Expect, StoreError};
use crate::sync::caps::Capabilities;
use crate::sync::conflict;
use crate::sync::echo;
use crate::sync::merge::{self, Choice, Judged, Rules};
use crate::sync::operation::{Actor, Effect, Operation};
use crate::sync::plan::{About, Clash, Side};
use crate::sync::reconcile::Facts;
use crate::sync::undo;
use crate::sync::view::{Link, LinkState, RemoteRecord, Subject};

/// How often it is done again when somebody was first.
const TRIES: usize = 3;

impl Engine {
    /// Deals with a conflict. `caps` are those of the account's provider; `turns` the accounts that the caller holds already.
    /// Gives back the person as it is then.
    ///
    /// # Errors
    /// When there is no such conflict for that actor, it was dealt with, its values are others by now, or the account is
    /// being synced.
    pub async fn resolve_conflict(
        &self,
        id: ConflictId,
        choice: &Choice,
        caps: &Capabilities,
        actor: Actor,
        turns: &BTreeSet<AccountId>,
    ) -> Result<Person, Refusal> {
        let missing = || Refusal::Missing(format!("there is no conflict {id}; see `contactd conflicts list`"));
        let account = self.store.conflict(id).await?.ok_or_else(missing)?.account;
        self.holding(
            [account].into(),
            turns,
            Box::pin(async {
                let mut tries = 0;
                loop {
                    match self.resolve(id, choice, caps, actor).await {
                        Err(Refusal::Store(StoreError::Stale(_))) if tries < TRIES => tries += 1,
                        other => return other,
                    }
                }
            }),
        )
        .await
    }

    async fn resolve(
        &self,
        id: ConflictId,
        choice: &Choice,
        caps: &Capabilities,
        actor: Actor,
    ) -> Result<Person, Refusal> {
        let missing = || Refusal::Missing(format!("there is no conflict {id}; see `contactd conflicts list`"));
        let conflict = self.store.conflict(id).await?.ok_or_else(missing)?;
        let before = self.store.person(conflict.person).await?.ok_or_else(missing)?;
        if !may(actor, &before, &self.store.directory().await?) {
            return Err(missing());
        }
        if conflict.resolved {
            return Err(Refusal::Cannot(
                "this conflict was dealt with already; see `contactd conflicts list`".to_owned(),
            ));
        }
        let account = self.store.account(conflict.account).await?.ok_or_else(missing)?;
        let found = self.store.subjects_of_links(account.id, &[conflict.link]).await?;
        let subject = found.into_iter().next().map(|(_, subject)| subject).unwrap_or_default();
        let facts = Facts {
            user: account.user,
            settings: &account.settings,
            caps,
            complete: true,
            hides: false,
            strange: false,
        };
        if subject.blocked {
            let says = "whether an earlier send landed is not known yet; sync the account, then choose";
            return Err(Refusal::Cannot(says.to_owned()));
        }
        let mut after = before.clone();
        let link = self.chosen(&conflict, choice, &subject, &mut after, &facts, actor).await?;

        let now = self.now();
        for field in Field::ALL.iter().copied().filter(|f| !after.card.same(&before.card, *f)) {
            after.times.insert(field, now);
        }
        let effects: Vec<Effect> = undo::changes(&before, &after)
            .into_iter()
            .map(|change| Effect::Person { person: before.id, link: None, change })
            .collect();
        let mut commit = Commit::new(None, now);
        commit.expect.push(Expect::Person(before.id, before.revision));
        commit.expect.extend(user_of(actor).map(|user| Expect::Access(user, before.id)));
        if let Some(link) = &subject.link {
            commit.expect.push(Expect::Link(link.id, link.state));
        }
        if let Some(seen) = &subject.seen {
            commit.expect.push(Expect::Seen(account.id, seen.seen.id().clone(), seen.version));
        }
        after.revision = Revision(before.revision.0 + 1);
        after.updated = now;
        // A new version in any case: what was planned from the one before is planned again.
        commit.changes.push(Change::PutPerson(Box::new(after.clone())));
        commit.changes.extend(link.map(|link| Change::PutLink(Box::new(link))));
        commit.changes.push(Change::ResolveConflict(id));
        if !effects.is_empty() {
            let (id, why) = (self.new_id(), "conflict resolved".to_owned());
            commit.operation = Some(Operation { id, at: now, actor, why, effects });
        }
        self.store.commit(commit).await?;
        Ok(after)
    }

    /// What the choice makes of the person, and of the link if that changes too.
    async fn chosen(
        &self,
        conflict: &Conflict,
        choice: &Choice,
        subject: &Subject,
        after: &mut Person,
        facts: &Facts<'_>,
        actor: Actor,
    ) -> Result<Option<Link>, Refusal> {
        let clash = &conflict.clash;
        let linked = subject.link.as_ref().zip(apply::present(subject));
        let linked = linked.filter(|(link, _)| link.state == LinkState::Live);
        let trash = PersonState::Trashed { at: self.now(), by: Some(in_name_of(actor, after)) };
        match (clash.about, choice) {
            (About::Field(field), _) => {
                if !after.is_live() {
                    return Err(Refusal::Cannot("the person is in the trash; restore it first".to_owned()));
                }
                if clash.stands != Side::Undecided {
                    after.card = conflict::edited(&after.card, clash, choice);
                    self.own_picture(field, after).await?;
                    return Ok(None);
                }
                let Some((link, record)) = linked else {
                    // The link has ended meanwhile: what is chosen is an edit here and no more.
                    after.card = conflict::edited(&after.card, clash, choice);
                    self.own_picture(field, after).await?;
                    return Ok(None);
                };
                let chosen = decided(link, &after.card, record, clash, choice, facts);
                let Some(chosen) = chosen else {
                    let says = "its values are others by now; sync the account, and look at `contactd conflicts list`";
                    return Err(Refusal::Cannot(says.to_owned()));
                };
                after.card = chosen.ours;
                self.own_picture(field, after).await?;
                let mut base = chosen.base;
                if base.ours.photo == base.theirs.photo {
                    base.ours.photo.clone_from(&after.card.photo);
                }
                Ok(Some(Link { base, ..link.clone() }))
            }
            (_, Choice::Value(_)) => {
                let says = "this is a choice between an edit and a deletion; say --keep provider or --keep crm";
                Err(Refusal::Cannot(says.to_owned()))
            }
            // The record was deleted there; here the edit stands.
            (About::DeletedThere, Choice::Theirs) => {
                if after.is_live() {
                    after.state = trash;
                }
                Ok(None)
            }
            (About::DeletedThere, Choice::Ours) => Ok(None),
            (About::TrashedHere, Choice::Theirs) => {
                if matches!(after.state, PersonState::Trashed { .. }) {
                    after.state = PersonState::Live;
                }
                Ok(None)
            }
            (About::TrashedHere, Choice::Ours) => {
                if after.is_live() {
                    after.state = trash;
                }
                // What was edited there is known, and changes nothing.
                let seen =
                    linked.filter(|(link, record)| echo::edited_there(&link.base, &record.body, facts.incoming()));
                Ok(seen.map(|(link, record)| {
                    let mut link = link.clone();
                    link.base.theirs = record.body.clone();
                    link
                }))
            }
        }
    }

    /// On our side a picture is its bytes, never an address of somebody else's.
    async fn own_picture(&self, field: Field, person: &mut Person) -> Result<(), Refusal> {
        let Some(photo) = person.card.photo.as_mut().filter(|p| field == Field::Photo && p.hash.starts_with("url:"))
        else {
            return Ok(());
        };
        let known = self.store.photo_aliases(std::slice::from_ref(&photo.hash)).await?;
        match known.get(&photo.hash) {
            Some(hash) => photo.hash.clone_from(hash),
            None => {
                let says = "the provider's picture was not fetched yet; sync the account, then choose";
                return Err(Refusal::Cannot(says.to_owned()));
            }
        }
        Ok(())
    }
}

/// One clash decided, as things are now.
fn decided(
    link: &Link,
    card: &Card,
    record: &RemoteRecord,
    clash: &Clash,
    choice: &Choice,
    facts: &Facts<'_>,
) -> Option<merge::Chosen> {
    let winner = |_| Judged { side: Side::Undecided, ours_at: None, theirs_at: None };
    let (incoming, outgoing) = (facts.incoming(), facts.outgoing());
    let rules = Rules { incoming, outgoing, asked: Default::default(), caps: facts.caps, winner: &winner };
    merge::choose(&link.base, card, &record.body, clash, choice, &rules)
}
