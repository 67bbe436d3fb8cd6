//! Histories 22 to 31.

use std::collections::BTreeSet;

use super::*;
use crate::sync::pairing::{Candidate, pair};
use crate::sync::plan::{Side, Waits};
use crate::sync::settings::Direction;

fn candidate(remote: &str, person: u128, strength: u8) -> Candidate {
    Candidate { remote: remote.into(), person: PersonId(Uuid::from_u128(person)), strength, narrow: true }
}

#[test]
fn h22_pairing_is_the_same_in_any_order() {
    // r1 "Ann" and r2 "Ann Lee" share a key with P1; r3 fits P2 and P3; r4 is P4 alone.
    let all = [
        candidate("r1", 1, 2),
        candidate("r2", 1, 1),
        candidate("r3", 2, 1),
        candidate("r3", 3, 1),
        candidate("r4", 4, 1),
        candidate("r5", 3, 2),
    ];
    let first = pair(&all);
    for turn in 0..all.len() {
        let mut order = all.to_vec();
        order.rotate_left(turn);
        assert_eq!(pair(&order), first);
        order.reverse();
        assert_eq!(pair(&order), first);
    }
    assert_eq!(first.same.keys().map(RemoteId::as_str).collect::<Vec<_>>(), ["r2", "r4"]);
    // Nothing in question is imported, and nobody in question is pushed.
    assert_eq!(first.in_question.keys().map(RemoteId::as_str).collect::<Vec<_>>(), ["r3", "r5"]);
    let in_question: BTreeSet<_> = [2, 3].map(|n| PersonId(Uuid::from_u128(n))).into();
    assert_eq!(first.people_in_question(), in_question);
    for subject in [
        Subject { seen: Some(stored(record(named("Ann")))), ..Subject::default() },
        Subject { person: Some(person(named("Ann"))), ..Subject::default() },
    ] {
        let mut world = World::new(subject);
        world.meeting = Meeting::InQuestion;
        assert_eq!(world.decide(), Decision { steps: Vec::new(), waits: Some(Waits::Ambiguous) });
    }
}

#[test]
fn h23_what_was_removed_while_the_create_was_open_does_not_come_back() {
    let mut world =
        World::new(Subject { person: Some(person(phones(&["555 0100", "555 0200"]))), ..Subject::default() });
    let decision = world.decide();
    let out = sent(&decision.steps)[0].clone();
    world.card().phones.remove(0);
    // Adopted with the intent's base.
    let landed = Landed { ours: &out.ours, sent: &out.sent, before: None, mask: out.mask, pairs: &out.pairs };
    let base = echo::settle(&Base::default(), &landed, &out.sent, &world.caps);
    world.subject.link = Some(Link { origin: Origin::Ours, ..link(base) });
    world.see(record(out.sent));
    world.run();
    for card in [world.card().clone(), world.body().clone()] {
        assert_eq!(card.phones.iter().map(|p| p.value.as_str()).collect::<Vec<_>>(), ["555 0200"]);
    }
}

#[test]
fn h24_a_purged_person_is_not_resurrected() {
    for body in ["Ann", "Anna"] {
        let mut world = World::new(agreed(&named("Ann")));
        *world.body() = named(body);
        world.subject.person.as_mut().unwrap().person.state = PersonState::Purged { at: Timestamp(9) };
        // Its content, should it still be there, is forgotten; that the record is there is not.
        assert_eq!(world.run(), [Step::Forget]);
        assert_eq!(world.decide(), Decision { steps: Vec::new(), waits: Some(Waits::Purged) });
        world.see(gone());
        world.run();
        assert_eq!(world.state(), Some(LinkState::Deleted));
    }
}

#[test]
fn h25_edits_of_a_redundant_record_reach_the_survivor_and_its_end_is_its_own() {
    let before = Card { emails: emails(&["p2@x.org"]).emails, ..named("Ann") };
    let mut world = World::new(agreed(&before));
    world.subject.link.as_mut().unwrap().state = LinkState::Redundant;
    // The survivor has more than P2 had.
    *world.card() = Card { family: Some("Lee".into()), ..emails(&["p1@x.org", "p2@x.org"]) };
    assert!(!writes(&world.run()));
    world.body().emails[0].value = "new@x.org".into();
    assert!(!writes(&world.run()));
    let list: Vec<_> = world.card().emails.iter().map(|e| e.value.clone()).collect();
    assert_eq!(list, ["p1@x.org", "new@x.org"]);
    assert_eq!(world.card().family.as_deref(), Some("Lee"));
    world.see(gone());
    assert!(!writes(&world.run()));
    assert!(world.live());
    assert_eq!(world.state(), Some(LinkState::Unlinked));
}

#[test]
fn h28_who_goes_to_a_colleague_leaves_the_phone_as_it_is() {
    let mut world = World::new(agreed(&named("Ann")));
    let who = world.subject.person.as_mut().unwrap();
    (who.person.owner, who.access) = (ALICE, false);
    world.card().note = Some("Alice's".into());
    world.body().note = Some("Bob's".into());
    assert!(!writes(&world.run()));
    assert_eq!(world.state(), Some(LinkState::Frozen));
    assert_eq!(world.card().note.as_deref(), Some("Alice's"));
    assert_eq!(world.body().note.as_deref(), Some("Bob's"));
    world.see(gone());
    world.run();
    assert!(world.live());
}

#[test]
fn h29_a_person_who_is_seen_by_more_is_only_proposed() {
    let wide = Candidate { narrow: false, ..candidate("r", 7, 0) };
    let found = pair(&[wide]);
    assert!(found.same.is_empty());
    assert!(found.in_question.contains_key(&RemoteId::from("r")));
}

#[test]
fn h30_one_way_for_half_a_year_is_not_pushed_by_itself() {
    let mut world = World::new(agreed(&named("Ann")));
    world.settings.direction = Direction::OneWay;
    world.card().note = Some("CRM only".into());
    for _ in 0..3 {
        assert!(world.run().is_empty());
    }
    let mut trash = World::new(agreed(&named("Ann")));
    trash.settings.direction = Direction::OneWay;
    trash.subject.person.as_mut().unwrap().person.state = trashed(Some(BOB));
    assert!(trash.run().is_empty());
    // What the preview of the switch shows, and what happens once it is answered with "push".
    (world.settings.direction, trash.settings.direction) = (Direction::TwoWay, Direction::TwoWay);
    assert_eq!(sent(&world.decide().steps)[0].mask, only(&[Field::Note]));
    assert!(matches!(trash.decide().steps[..], [Step::DeleteRemote]));
}

#[test]
fn h31_the_winner_does_not_flip_and_the_conflict_stands_once() {
    let mut world = World::new(agreed(&phones(&["555 0100"])));
    world.card().phones[0].value = "555 0200".into();
    world.body().phones[0].value = "555 0300".into();
    world.body().note = Some("remote".into());
    world.subject.person.as_mut().unwrap().person.times = [(Field::Phones, Timestamp(10))].into();
    world.subject.seen.as_mut().unwrap().times = [(Field::Phones, Timestamp(9)), (Field::Note, Timestamp(11))].into();
    // The local part is stored; then the crash.
    let first = world.decide();
    world.apply(&first, false);
    assert_eq!(world.card().phones[0].value, "555 0200");
    assert_eq!(world.card().note.as_deref(), Some("remote"));
    let second = world.decide();
    let mask = |d: &Decision| sent(&d.steps).first().map(|o| (o.mask, o.sent.clone()));
    assert_eq!(mask(&first), mask(&second));
    assert!(!second.steps.iter().any(|s| matches!(s, Step::Conflict(_))));
    // A later time at the provider changes nothing: its value was dealt with.
    world.subject.seen.as_mut().unwrap().times.insert(Field::Phones, Timestamp(99));
    world.run();
    assert_eq!(world.body().phones[0].value, "555 0200");
    assert_eq!(world.conflicts.len(), 1);
    assert_eq!(world.conflicts[0].stands, Side::Ours);
}
