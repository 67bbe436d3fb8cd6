//! Somebody else's bridge between two address books of one user, which carries over what we wrote (rule 18).

use contactd::card::{Card, Item};
use contactd::crm::person::VisibleTo;
use contactd::store::{Change, Store};
use contactd::sync::settings::{GuardSettings, Settings};
use contactd::sync::view::LinkState;

use super::history::card;
use super::kinds::{carddav, plain};
use super::world::{HOUR, World, now};

fn two_books() -> World {
    let mut world = World::new(18);
    let ann = world.user("ann");
    let settings = Settings {
        guard: GuardSettings { on: false, ..GuardSettings::default() },
        visible_to: VisibleTo::Company,
        ..Settings::default()
    };
    for (caps, manner) in [carddav(), plain()] {
        world.account(ann, caps, manner, settings.clone());
    }
    world
}

/// Both books once, an hour later. Whether anything was done.
fn hour(world: &mut World) -> bool {
    world.hand.pass(HOUR);
    let reports = [world.sync(0).unwrap(), world.sync(1).unwrap()];
    reports.iter().any(|r| !r.tally.is_quiet())
}

fn phone(number: &str) -> impl Fn(&mut Card) + Copy {
    move |c: &mut Card| c.phones = vec![Item::new(number)]
}

/// Each side of the bridge insists on its own spelling.
fn bridge(world: &mut World, spelling: [&str; 2]) {
    for (site, number) in spelling.into_iter().enumerate() {
        for id in world.cards_there(site).into_keys() {
            world.edit_there(site, &id, phone(number));
        }
    }
}

fn states(world: &World) -> Vec<LinkState> {
    let person = world.people()[0].id;
    now(world.store.links_of(person)).unwrap().into_iter().map(|l| l.state).collect()
}

#[test]
fn rule_18_a_value_that_goes_round_is_noticed_and_its_link_paused() {
    let mut world = two_books();
    world.create_there(0, &card("Ann"));
    hour(&mut world);
    assert_eq!(states(&world), [LinkState::Live; 2]);
    let mut hours = 0;
    loop {
        bridge(&mut world, ["+1 212 555 0100", "+1 212 555 0199"]);
        if !hour(&mut world) {
            break;
        }
        hours += 1;
        assert!(hours < 20, "it goes round for ever: {:?}", states(&world));
    }
    assert!(states(&world).contains(&LinkState::Paused), "{:?}", states(&world));
    let requests = |w: &World| w.sites.iter().map(|s| s.fake.server.lock().unwrap().writes).sum::<u64>();
    let before = requests(&world);
    bridge(&mut world, ["+1 212 555 0100", "+1 212 555 0199"]);
    hour(&mut world);
    assert_eq!(requests(&world), before, "nothing is written any more");
}

#[test]
fn rule_18_what_a_user_changes_to_and_fro_is_no_circle() {
    let mut world = two_books();
    let id = world.create_there(0, &card("Ann"));
    hour(&mut world);
    let person = world.people()[0].id;
    for turn in 0..12 {
        world.edit_there(0, &id, phone(["+1 212 555 0100", "+1 212 555 0199"][turn % 2]));
        // Somebody works on the person meanwhile.
        world.edit_person(person, |c| c.note = Some(format!("call {turn}")));
        hour(&mut world);
    }
    assert_eq!(states(&world), [LinkState::Live; 2]);
}

#[test]
fn rule_18_copies_that_a_bridge_makes_of_ours_do_not_multiply() {
    let mut world = two_books();
    world.create_there(0, &card("Ann"));
    world.create_there(0, &card("Bob"));
    hour(&mut world);
    assert_eq!(world.cards_there(1).len(), 2, "both were made in the other book");
    for _ in 0..6 {
        // The bridge knows nothing of the CRM, and carries over each record that it has not carried yet.
        for (from, to) in [(0, 1), (1, 0)] {
            let there = world.cards_there(to).into_values().collect::<Vec<_>>();
            for card in world.cards_there(from).into_values() {
                if there.iter().filter(|c| **c == card).count() < 2 {
                    world.create_there(to, &card);
                }
            }
        }
        hour(&mut world);
    }
    assert_eq!(world.people().len(), 2, "{:?}", world.people());
}

/// A person has looked, and says go on.
#[test]
fn rule_18_a_paused_link_goes_on_when_a_person_says_so() {
    let mut world = two_books();
    let id = world.create_there(0, &card("Ann"));
    hour(&mut world);
    let person = world.people()[0].id;
    for link in now(world.store.links_of(person)).unwrap() {
        let paused = contactd::sync::view::Link { state: LinkState::Paused, ..link };
        world.commit(vec![Change::PutLink(Box::new(paused))], Vec::new()).unwrap();
    }
    world.edit_there(0, &id, phone("+1 212 555 0100"));
    hour(&mut world);
    assert!(world.people()[0].card.phones.is_empty());
    let resumed = now(world.engine.resume_links(person, None, contactd::sync::operation::Actor::Operator)).unwrap();
    assert_eq!(resumed, 2);
    hour(&mut world);
    assert_eq!(world.people()[0].card.phones.len(), 1);
    assert_eq!(states(&world), [LinkState::Live; 2]);
}
