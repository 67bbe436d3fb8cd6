//! Purging the trash: content goes for good, links stay, and what waits for something is kept (reconciliation C).

use contactd::card::{Card, Item};
use contactd::crm::person::{Person, PersonState, VisibleTo};
use contactd::ids::PersonId;
use contactd::store::{Change, Store};
use contactd::sync::operation::Actor;
use contactd::sync::settings::{DeletePolicy, Direction, GuardSettings, Settings};
use contactd::sync::view::Answer;

use super::history::card;
use super::kinds::carddav;
use super::world::{HOUR, World, now};

fn site(settings: Settings) -> World {
    let mut world = World::new(11);
    let ann = world.user("ann");
    let (caps, manner) = carddav();
    let guard = GuardSettings { on: false, ..GuardSettings::default() };
    world.account(ann, caps, manner, Settings { guard, visible_to: VisibleTo::Company, ..settings });
    world
}

fn sync(world: &mut World) {
    for _ in 0..4 {
        world.hand.pass(25 * HOUR);
        world.sync(0).unwrap();
    }
}

fn find(world: &World, name: &str) -> PersonId {
    world.people().into_iter().find(|p| p.card.display.as_deref() == Some(name)).unwrap().id
}

fn person(world: &World, id: PersonId) -> Person {
    now(world.store.person(id)).unwrap().unwrap()
}

fn purge(world: &World) -> usize {
    now(world.engine.purge(world.time())).unwrap()
}

fn is_purged(world: &World, id: PersonId) -> bool {
    matches!(person(world, id).state, PersonState::Purged { .. })
}

#[test]
fn content_goes_and_nothing_brings_the_person_back() {
    for direction in [Direction::OneWay, Direction::TwoWay] {
        let mut world = site(Settings { direction, deletes: DeletePolicy::Unlink, ..Settings::default() });
        let record = world.create_there(0, &card("Ann"));
        world.create_there(0, &card("Bob"));
        sync(&mut world);
        let (ann, user) = (find(&world, "Ann"), world.users[0]);
        let mut edited = person(&world, ann);
        edited.custom.insert("tier".into(), "gold".into());
        edited.revision.0 += 1;
        world.commit(vec![Change::PutPerson(Box::new(edited))], Vec::new()).unwrap();
        let earlier = world.time();
        world.trash_person(ann, user);
        assert_eq!(now(world.engine.purge(earlier)).unwrap(), 0, "it went into the trash later");
        sync(&mut world);
        assert_eq!(purge(&world), 1, "{direction:?}");
        assert_eq!(purge(&world), 0, "once");

        let after = person(&world, ann);
        assert!(is_purged(&world, ann));
        assert_eq!((after.card, after.times.len(), after.custom.len()), (Card::default(), 0, 0));
        assert_eq!(now(world.store.links_of(ann)).unwrap().len(), 1, "the link stays");
        assert_eq!(now(world.store.history(ann, 1)).unwrap()[0].actor, Actor::Daemon);

        // Its record lives on there: edited, listed anew, deleted and brought back, it is nobody new.
        let quiet = |world: &mut World, what: &str| {
            sync(world);
            assert!(is_purged(world, ann), "{direction:?}: {what}");
            assert_eq!(world.people().len(), 1, "{direction:?}: {what}: Bob alone");
            assert_eq!(now(world.store.check()).unwrap(), [""; 0], "{direction:?}: {what}");
        };
        quiet(&mut world, "as it was");
        world.edit_there(0, &record, |c| c.emails.push(Item::new("new@example.com")));
        quiet(&mut world, "edited");
        assert_eq!(world.cards_there(0).len(), 2, "{direction:?}: nothing is deleted there");
        world.delete_there(0, &record);
        quiet(&mut world, "deleted");
        assert_eq!(world.cards_there(0).len(), 1, "{direction:?}: and nothing created");
    }
}

#[test]
fn it_waits_for_an_open_intent() {
    let mut world = site(Settings::default());
    for name in ["Ann", "Bob"] {
        world.create_there(0, &card(name));
    }
    sync(&mut world);
    let (ann, user) = (find(&world, "Ann"), world.users[0]);
    world.trash_person(ann, user);
    world.sites[0].fake.server.lock().unwrap().faults.lose_after = 1;
    world.sync(0).unwrap();
    assert_eq!(now(world.store.intents(world.sites[0].id)).unwrap().len(), 1, "the answer to the delete was lost");
    assert_eq!(purge(&world), 0);
    assert_eq!(person(&world, ann).card.display.as_deref(), Some("Ann"));
    sync(&mut world);
    assert_eq!(purge(&world), 1);
    sync(&mut world);
    assert!(is_purged(&world, ann));
    assert_eq!((world.people().len(), world.cards_there(0).len()), (1, 1));
}

#[test]
fn it_waits_for_a_held_deletion_until_its_answer_is_carried_out() {
    for answer in [Answer::Confirmed, Answer::Rejected] {
        let mut world = site(Settings { deletes: DeletePolicy::Ask, ..Settings::default() });
        for name in ["Ann", "Bob"] {
            world.create_there(0, &card(name));
        }
        sync(&mut world);
        let (ann, user) = (find(&world, "Ann"), world.users[0]);
        world.trash_person(ann, user);
        sync(&mut world);
        let held = now(world.store.held(None)).unwrap();
        assert_eq!((held.len(), purge(&world)), (1, 0));
        world.commit(vec![Change::AnswerHeld(held[0].id, answer)], Vec::new()).unwrap();
        assert_eq!(purge(&world), 0, "a no is still to bring the person back");
        sync(&mut world);
        match answer {
            Answer::Confirmed => assert_eq!((purge(&world), world.cards_there(0).len()), (1, 1)),
            Answer::Rejected => assert_eq!((purge(&world), world.people().len()), (0, 2)),
        }
    }
}
