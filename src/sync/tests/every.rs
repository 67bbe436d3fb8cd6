//! Every combination of the small enums that a decision depends on, against what must never happen.

use super::*;
use crate::sync::plan::Waits;
use crate::sync::settings::{ConflictPolicy, DeletePolicy, Direction, OnLeave};
use crate::sync::view::Answer;

const STATES: [LinkState; 8] = [
    LinkState::Live,
    LinkState::Left,
    LinkState::Unlinked,
    LinkState::Frozen,
    LinkState::Paused,
    LinkState::Redundant,
    LinkState::Undone,
    LinkState::Deleted,
];

/// The person's states: its state, whether an owner's or admin's word stands behind it, whether it was edited.
fn people() -> Vec<(PersonState, bool, bool)> {
    vec![
        (PersonState::Live, false, false),
        (PersonState::Live, false, true),
        (trashed(Some(BOB)), true, false),
        (trashed(Some(ALICE)), false, false),
        (trashed(Some(ALICE)), true, false),
        (trashed(None), false, false),
        (PersonState::Purged { at: Timestamp(9) }, false, false),
    ]
}

fn sights(base: &Card) -> Vec<(&'static str, Option<Seen>)> {
    vec![
        ("never", None),
        ("present", Some(record(base.clone()))),
        ("edited", Some(record(Card { note: Some("theirs".into()), ..base.clone() }))),
        ("outside", Some(outside())),
        ("unreadable", Some(Seen::Unreadable(at("r"), "bad".into()))),
        ("gone", Some(gone())),
    ]
}

/// Calls `check` with every linked subject, and what the provider shows of it.
fn each_linked(mut check: impl FnMut(&mut World, &'static str)) {
    let base = emails(&["a@x.org"]);
    let agreed = Base::shared(&base, FieldSet::all());
    let policies = [DeletePolicy::Propagate, DeletePolicy::Unlink, DeletePolicy::Tag, DeletePolicy::Ask];
    let answers = [None, Some(None), Some(Some(Answer::Confirmed)), Some(Some(Answer::Rejected))];
    for (kind, seen) in sights(&base) {
        for state in STATES {
            // Where nothing is ever deleted, policies and answers can't matter.
            let idle = matches!(state, LinkState::Unlinked | LinkState::Undone | LinkState::Paused);
            let few = if idle || matches!(kind, "never" | "unreadable") { 1 } else { 4 };
            for bits in 0_u32..64 {
                for life in people() {
                    for deletes in &policies[..few] {
                        for held in &answers[..few] {
                            let mut world = linked(&base, &agreed, bits, life);
                            let link = world.subject.link.as_mut().unwrap();
                            link.state = state;
                            world.subject.seen = seen.clone().map(stored);
                            world.subject.held = *held;
                            world.settings.deletes = *deletes;
                            check(&mut world, kind);
                        }
                    }
                }
            }
        }
    }
}

fn linked(base: &Card, agreed: &Base, bits: u32, (life, authority, edited): (PersonState, bool, bool)) -> World {
    let bit = |n: u32| bits >> n & 1 == 1;
    let mut who = person(base.clone());
    who.person.state = life;
    who.trashed_with_authority = authority;
    if edited {
        who.person.card.note = Some("ours".into());
    }
    who.access = !bit(0);
    who.person.owner = if bit(1) { ALICE } else { BOB };
    if bit(2) {
        who.elsewhere.push(elsewhere(ALICE, LinkState::Live));
    }
    let origin = if bit(3) { Origin::Ours } else { Origin::Theirs };
    let link = Some(Link { origin, ..link(agreed.clone()) });
    let mut world = World::new(Subject { link, person: Some(who), ..Subject::default() });
    world.settings.direction = if bit(4) { Direction::OneWay } else { Direction::TwoWay };
    if bit(5) {
        world.settings.on_leave = OnLeave::Delete;
        world.settings.conflicts = ConflictPolicy::Ask;
    }
    world
}

#[test]
fn no_linked_subject_is_ever_treated_wrongly() {
    each_linked(|world, kind| {
        let decision = world.decide();
        let steps = &decision.steps;
        let (subject, settings) = (&world.subject, &world.settings);
        let (who, link) = (subject.person.as_ref().unwrap(), subject.link.as_ref().unwrap());
        let says = || format!("{kind} {link:?} {who:?} {settings:?} {:?} -> {decision:?}", subject.held);
        let two_way = settings.direction == Direction::TwoWay;
        let has = |what: fn(&Step) -> bool| steps.iter().any(what);

        assert!(two_way || !writes(steps), "one-way never writes: {}", says());
        if has(|s| matches!(s, Step::TrashLocal)) {
            let left = kind == "outside" && settings.on_leave == OnLeave::Delete;
            assert!(kind == "gone" || left, "no proof: {}", says());
            assert!(who.person.owner == BOB && who.elsewhere.is_empty(), "not Bob's alone: {}", says());
            assert!(who.person.is_live() && who.access, "{}", says());
            assert!(!(two_way && who.person.card.note.is_some()), "edit beats delete: {}", says());
        }
        if has(|s| matches!(s, Step::DeleteRemote)) {
            let undone = link.state == LinkState::Undone && link.origin == Origin::Ours;
            assert!(undone || matches!(who.person.state, PersonState::Trashed { .. }), "{}", says());
            assert_eq!(kind, "present", "edited, or no longer there: {}", says());
            let by_bob = who.person.state == trashed(Some(BOB));
            let by_sync = who.person.state == trashed(None);
            let own = who.person.owner == BOB && (by_sync || who.trashed_with_authority);
            assert!(link.origin == Origin::Ours || by_bob || own, "not entitled: {}", says());
        }
        if subject.held == Some(None) {
            assert!(!has(|s| matches!(s, Step::TrashLocal | Step::DeleteRemote)), "held: {}", says());
        }
        if subject.held == Some(Some(Answer::Rejected)) {
            assert!(!has(|s| matches!(s, Step::TrashLocal | Step::DeleteRemote)), "rejected: {}", says());
        }
        if !who.access {
            let ends = |s: &Step| {
                matches!(s, Step::State(LinkState::Frozen | LinkState::Deleted | LinkState::Unlinked) | Step::Forget)
            };
            assert!(steps.iter().all(ends), "no access: {}", says());
        }
        if matches!(kind, "unreadable" | "never") {
            let frozen = |s: &Step| matches!(s, Step::State(LinkState::Frozen));
            let again = |s: &Step| matches!(s, Step::CreateRemote(_)) && link.state == LinkState::Deleted;
            assert!(steps.iter().all(|s| frozen(s) || (kind == "never" && again(s))), "{}", says());
        }
        if matches!(who.person.state, PersonState::Purged { .. }) {
            assert!(steps.iter().all(|s| matches!(s, Step::State(_) | Step::Forget)), "purged: {}", says());
        }
        if matches!(link.state, LinkState::Unlinked | LinkState::Undone | LinkState::Paused) {
            // What was undone takes a record of ours with it; nothing else ever comes of these.
            let ours = |s: &Step| link.state == LinkState::Undone && !matches!(s, Step::UpdateLocal { .. });
            assert!(steps.iter().all(|s| *s == Step::Forget || ours(s)), "ended: {}", says());
        }
        if has(|s| matches!(s, Step::CreateRemote(_))) {
            assert!(kind == "gone" || kind == "never", "a second record: {}", says());
            assert!(who.person.is_live() && who.access, "{}", says());
        }
        assert!(!steps.is_empty() || decision.waits.is_some() || kind == "present" || kind == "edited", "{}", says());
    });
}

#[test]
fn what_was_decided_is_decided_once() {
    each_linked(|world, kind| {
        if kind == "never" && world.state() != Some(LinkState::Deleted) {
            return;
        }
        world.run();
        let decision = world.decide();
        let new = |s: &&Step| !matches!(s, Step::Conflict(clash) if world.conflicts.contains(clash));
        assert_eq!(decision.steps.iter().find(new), None, "{kind}");
    });
}

#[test]
fn what_an_open_intent_blocks_stays_as_it_is() {
    each_linked(|world, _| {
        world.subject.blocked = true;
        assert_eq!(world.decide(), Decision { steps: Vec::new(), waits: Some(Waits::OpenIntent) });
    });
}
