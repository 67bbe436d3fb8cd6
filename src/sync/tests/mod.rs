//! Tables of the rules that reconcile owns, and the histories that can be told without a provider.

mod edits_and_deletions;
mod every;
mod histories;
mod more_histories;
mod rules;

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::card::field::{Field, FieldSet};
use crate::card::{Card, Item};
use crate::crm::person::{Person, PersonState, VisibleTo};
use crate::ids::{AccountId, LinkId, PersonId, RemoteId, Revision, Timestamp, UserId};
use crate::sync::caps::Capabilities;
use crate::sync::echo::{self, Landed};
use crate::sync::plan::{Clash, Decision, Outgoing, Step};
use crate::sync::reconcile::{Facts, Meeting, reconcile};
use crate::sync::settings::Settings;
use crate::sync::view::{
    Base, Elsewhere, Link, LinkState, Origin, PersonFacts, RemoteRecord, RemoteRef, Seen, StoredSeen, Subject,
};

/// The account's user, and a colleague.
pub(super) const BOB: UserId = UserId(Uuid::from_u128(1));
pub(super) const ALICE: UserId = UserId(Uuid::from_u128(2));

pub(super) fn named(given: &str) -> Card {
    Card { given: Some(given.into()), ..Card::default() }
}

pub(super) fn emails(list: &[&str]) -> Card {
    Card { emails: list.iter().map(|e| Item::<String>::new(*e)).collect(), ..named("Ann") }
}

pub(super) fn phones(list: &[&str]) -> Card {
    Card { phones: list.iter().map(|e| Item::<String>::new(*e)).collect(), ..named("Ann") }
}

pub(super) fn person(card: Card) -> PersonFacts {
    let person = Person {
        id: PersonId(Uuid::from_u128(7)),
        revision: Revision(1),
        card,
        times: BTreeMap::new(),
        custom: BTreeMap::new(),
        owner: BOB,
        visible_to: VisibleTo::Owner,
        followers: Vec::new(),
        state: PersonState::Live,
        created: Timestamp(0),
        updated: Timestamp(5),
    };
    PersonFacts { person, access: true, trashed_with_authority: false, elsewhere: Vec::new() }
}

pub(super) fn trashed(by: Option<UserId>) -> PersonState {
    PersonState::Trashed { at: Timestamp(9), by }
}

pub(super) fn at(id: &str) -> RemoteRef {
    RemoteRef { collection: "book".into(), id: id.into(), etag: None }
}

pub(super) fn record(body: Card) -> Seen {
    Seen::Present(RemoteRecord {
        at: at("r"),
        body,
        groups: Default::default(),
        modified: None,
        token: None,
        uid: None,
        formerly: Vec::new(),
        raw: None,
    })
}

pub(super) fn outside() -> Seen {
    Seen::Outside { at: at("r"), groups: Default::default(), uid: None }
}

pub(super) fn gone() -> Seen {
    Seen::Gone(RemoteId::from("r"))
}

pub(super) fn stored(seen: Seen) -> StoredSeen {
    StoredSeen { seen, times: BTreeMap::new(), version: 1 }
}

pub(super) fn link(base: Base) -> Link {
    Link {
        id: LinkId(Uuid::from_u128(3)),
        account: AccountId(Uuid::from_u128(4)),
        person: PersonId(Uuid::from_u128(7)),
        remote: Some("r".into()),
        origin: Origin::Theirs,
        state: LinkState::Live,
        token: None,
        base,
        revision: Revision(1),
    }
}

pub(super) fn elsewhere(user: UserId, state: LinkState) -> Elsewhere {
    Elsewhere { account: AccountId(Uuid::from_u128(5)), user, state, origin: Origin::Theirs }
}

/// A person and a record that agree on a card.
pub(super) fn agreed(card: &Card) -> Subject {
    Subject {
        link: Some(link(Base::shared(card, FieldSet::all()))),
        seen: Some(stored(record(card.clone()))),
        person: Some(person(card.clone())),
        ..Subject::default()
    }
}

/// The account as the rules see it, and what happens when decisions are carried out: an engine of a few lines.
pub(super) struct World {
    pub(super) settings: Settings,
    pub(super) caps: Capabilities,
    pub(super) complete: bool,
    pub(super) hides: bool,
    pub(super) strange: bool,
    pub(super) subject: Subject,
    pub(super) meeting: Meeting,
    /// What the conflict list shows; the same one again is the same.
    pub(super) conflicts: Vec<Clash>,
    /// What the provider makes of what it is sent.
    pub(super) keeps: fn(&mut Card),
}

impl World {
    pub(super) fn new(subject: Subject) -> Self {
        Self {
            settings: Settings::default(),
            caps: Capabilities::everything(),
            complete: true,
            hides: false,
            strange: false,
            subject,
            meeting: Meeting::Alone,
            conflicts: Vec::new(),
            keeps: |_| {},
        }
    }

    pub(super) fn decide(&self) -> Decision {
        let facts = Facts {
            user: BOB,
            settings: &self.settings,
            caps: &self.caps,
            complete: self.complete,
            hides: self.hides,
            strange: self.strange,
        };
        let decision = reconcile(&self.subject, self.meeting, &facts);
        assert_eq!(decision, reconcile(&self.subject, self.meeting, &facts), "deciding twice");
        decision
    }

    pub(super) fn card(&mut self) -> &mut Card {
        &mut self.subject.person.as_mut().unwrap().person.card
    }

    pub(super) fn body(&mut self) -> &mut Card {
        match &mut self.subject.seen.as_mut().unwrap().seen {
            Seen::Present(record) => &mut record.body,
            other => panic!("no content: {other:?}"),
        }
    }

    pub(super) fn see(&mut self, seen: Seen) {
        self.subject.seen = Some(stored(seen));
    }

    pub(super) fn state(&self) -> Option<LinkState> {
        self.subject.link.as_ref().map(|l| l.state)
    }

    pub(super) fn live(&self) -> bool {
        self.subject.person.as_ref().is_some_and(|p| p.person.is_live())
    }

    /// Carries a decision out; the sends only if asked to. Says whether anything was new.
    pub(super) fn apply(&mut self, decision: &Decision, send: bool) -> bool {
        let mut any = false;
        for step in &decision.steps {
            any |= self.step(step, send);
        }
        any
    }

    fn step(&mut self, step: &Step, send: bool) -> bool {
        match step {
            Step::CreateLocal { card, base } => {
                self.subject.person = Some(person(card.clone()));
                self.subject.link = Some(link(base.clone()));
            }
            Step::Match(base) => self.subject.link = Some(link(base.clone())),
            Step::Rebase(base) => self.subject.link.as_mut().unwrap().base = base.clone(),
            Step::UpdateLocal { card, .. } => *self.card() = card.clone(),
            Step::TrashLocal => self.subject.person.as_mut().unwrap().person.state = trashed(None),
            Step::RestoreLocal => self.subject.person.as_mut().unwrap().person.state = PersonState::Live,
            Step::State(state) => self.subject.link.as_mut().unwrap().state = *state,
            Step::Conflict(clash) => {
                if self.conflicts.contains(clash) {
                    return false;
                }
                self.conflicts.push(clash.clone());
            }
            Step::AskDeletion(_) => self.subject.held = Some(None),
            Step::Tag => {}
            Step::Moot(_) => return false,
            Step::Forget => self.see(outside()),
            Step::CreateRemote(_) | Step::UpdateRemote(_) | Step::DeleteRemote if !send => {}
            Step::CreateRemote(out) => {
                self.subject.link = Some(Link { origin: Origin::Ours, ..link(Base::default()) });
                self.see(record(Card::default()));
                self.send(out, None);
            }
            Step::UpdateRemote(out) => {
                let before = self.body().clone();
                self.send(out, Some(&before));
            }
            Step::DeleteRemote => {
                self.subject.link.as_mut().unwrap().state = LinkState::Deleted;
                self.see(gone());
            }
        }
        true
    }

    fn send(&mut self, out: &Outgoing, before: Option<&Card>) {
        let keeps = self.keeps;
        let mut kept = out.sent.clone();
        keeps(&mut kept);
        for field in out.mask.iter() {
            self.body().set(field, kept.get(field));
        }
        let echo = self.body().clone();
        let landed = Landed { ours: &out.ours, sent: &out.sent, before, mask: out.mask, pairs: &out.pairs };
        let link = self.subject.link.as_mut().unwrap();
        link.base = echo::settle(&link.base, &landed, &echo, &self.caps);
    }

    /// Decides and carries out until nothing is left to do.
    pub(super) fn run(&mut self) -> Vec<Step> {
        let mut done = Vec::new();
        for _ in 0..5 {
            let decision = self.decide();
            let new = self.apply(&decision, true);
            done.extend(decision.steps);
            if !new {
                return done;
            }
        }
        panic!("never quiet: {done:#?}");
    }
}

pub(super) fn sent(steps: &[Step]) -> Vec<&Outgoing> {
    let sent = |s| match s {
        &Step::CreateRemote(ref out) | &Step::UpdateRemote(ref out) => Some(out),
        _ => None,
    };
    steps.iter().filter_map(sent).collect()
}

pub(super) fn writes(steps: &[Step]) -> bool {
    steps.iter().any(|s| matches!(s, Step::CreateRemote(_) | Step::UpdateRemote(_) | Step::DeleteRemote))
}

pub(super) fn only(fields: &[Field]) -> FieldSet {
    fields.iter().copied().collect()
}
