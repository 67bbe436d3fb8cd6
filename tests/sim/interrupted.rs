//! Crash at every step (I5): each scenario runs; runs again and must be quiet; then is interrupted at every commit and every
//! send, resumed, and must end the same.

use contactd::card::Item;
use contactd::ids::GroupId;
use contactd::sync::settings::{GuardSettings, Scope, Settings};

use super::history::card;
use super::kinds::{carddav, odd, plain};
use super::world::{GROUP, HOUR, World};
use crate::crash::Stop;

/// A card without what is no promise: the order of its lists.
fn told(card: &contactd::card::Card) -> String {
    let mut card = card.clone();
    card.emails.sort();
    card.phones.sort();
    serde_json::to_string(&card).unwrap()
}

/// What both sides hold in the end, without the ids that differ from run to run.
fn outcome(world: &World) -> String {
    let mut people: Vec<String> =
        world.people().iter().map(|p| format!("{} {} {:?}", p.is_live(), told(&p.card), p.visible_to)).collect();
    people.sort();
    let mut cards: Vec<String> = world.cards_there(0).values().map(told).collect();
    cards.sort();
    let members = world.sites[0].fake.server.lock().unwrap().rosters.values().map(|r| r.members.len()).sum::<usize>();
    format!("{people:#?}\n{cards:#?}\n{members}")
}

fn rest(world: &mut World) {
    for _ in 0..12 {
        world.hand.pass(25 * HOUR);
        let report = world.sync(0).unwrap();
        if report.tally.is_quiet() && !report.unfinished {
            return;
        }
    }
    panic!("not at rest: {:?}", world.last);
}

/// A book and a CRM that have met, with edits, creates and deletes waiting on both sides.
fn prepared(kind: usize) -> World {
    let mut world = World::new(5);
    let ann = world.user("ann");
    let (caps, manner) = [carddav, odd, plain][kind]();
    let scope = if kind == 2 { Scope::All } else { Scope::Group(GroupId(GROUP.into())) };
    let guard = GuardSettings { on: false, ..GuardSettings::default() };
    world.account(ann, caps, manner, Settings { scope, guard, ..Settings::default() });
    let ids: Vec<String> = ["A", "B", "C", "D"].iter().map(|n| world.create_there(0, &card(n))).collect();
    for name in ["K", "L", "M"] {
        world.create_person(ann, card(name));
    }
    world.sync(0).unwrap();
    rest(&mut world);
    let find = |world: &World, name: &str| {
        world.people().into_iter().find(|p| p.card.display.as_deref() == Some(name)).unwrap().id
    };
    world.edit_there(0, &ids[0], |c| c.note = Some("there".into()));
    let (a, b, k, l) = (find(&world, "A"), find(&world, "B"), find(&world, "K"), find(&world, "L"));
    world.edit_person(a, |c| c.emails.push(Item::new("here@example.com")));
    world.edit_person(b, |c| c.suffix = Some("Jr.".into()));
    world.edit_person(k, |c| c.emails[0].value = "k2@example.com".into());
    world.delete_there(0, &ids[2]);
    world.trash_person(l, ann);
    world.create_there(0, &card("E"));
    world.create_person(ann, card("N"));
    world
}

#[test]
fn i5_interrupted_at_every_commit_and_every_send_it_ends_the_same() {
    for kind in 0..3 {
        let mut whole = prepared(kind);
        let before = whole.driver.commits();
        whole.sync(0).unwrap();
        let commits = whole.driver.commits() - before;
        rest(&mut whole);
        let expected = outcome(&whole);
        assert!(commits > 3, "the scenario has steps to be interrupted at");

        for n in 0..=u32::try_from(commits).unwrap() {
            for stop in [Stop::Before(n), Stop::After(n)] {
                let mut world = prepared(kind);
                world.driver.stop(stop);
                let _ = world.sync(0);
                world.restart();
                rest(&mut world);
                assert!(
                    outcome(&world) == expected,
                    "kind {kind}, {stop:?}\n{}\nexpected\n{expected}",
                    outcome(&world)
                );
            }
        }
        let sends = 8;
        for n in 0..sends {
            for stored in [false, true] {
                let mut world = prepared(kind);
                world.sites[0].fake.server.lock().unwrap().faults.crash_at_send = Some((n, stored));
                let _ = world.sync(0);
                world.sites[0].fake.server.lock().unwrap().faults.crash_at_send = None;
                world.restart();
                rest(&mut world);
                assert_eq!(outcome(&world), expected, "kind {kind}, send {n}, stored {stored}");
            }
        }
    }
}

#[test]
fn i5_a_first_meeting_interrupted_at_every_commit_ends_the_same() {
    let begin = || {
        let mut world = World::new(6);
        let ann = world.user("ann");
        let (caps, manner) = carddav();
        world.account(ann, caps, manner, Settings::default());
        for name in ["A", "B", "C"] {
            world.create_there(0, &card(name));
        }
        for name in ["B", "K"] {
            world.create_person(ann, card(name));
        }
        world
    };
    let mut whole = begin();
    let before = whole.driver.commits();
    whole.sync(0).unwrap();
    let commits = u32::try_from(whole.driver.commits() - before).unwrap();
    rest(&mut whole);
    let expected = outcome(&whole);
    assert_eq!((whole.people().len(), whole.cards_there(0).len()), (4, 4), "B was matched, K pushed");
    for n in 0..=commits {
        for stop in [Stop::Before(n), Stop::After(n)] {
            let mut world = begin();
            world.driver.stop(stop);
            let _ = world.sync(0);
            world.restart();
            rest(&mut world);
            assert_eq!(outcome(&world), expected, "{stop:?}");
        }
    }
}
