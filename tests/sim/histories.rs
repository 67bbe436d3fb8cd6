//! The histories of `reconciliation.md`, part D, by number: each breaks engines which get a rule wrong. Those that need no
//! store or provider stand beside the code of `sync`; those that need undo or merging of people come with these.

use contactd::card::{Card, Item};
use contactd::crm::person::{PersonState, VisibleTo};
use contactd::ids::{GroupId, PersonId};
use contactd::store::{AccountState, Change, Expect, Store};
use contactd::sync::plan::Deletion;
use contactd::sync::settings::{DeletePolicy, Direction, GuardSettings, OnLeave, Scope, Settings};
use contactd::sync::view::{Answer, LinkState};

use super::history::card;
use super::kinds::{carddav, odd, plain};
use super::world::{GROUP, HOUR, MINUTE, World, now};

fn open_guard() -> Settings {
    Settings {
        guard: GuardSettings { on: false, ..GuardSettings::default() },
        visible_to: VisibleTo::Company,
        ..Settings::default()
    }
}

fn rest(world: &mut World) {
    for _ in 0..12 {
        let mut quiet = true;
        for site in 0..world.sites.len() {
            world.hand.pass(25 * HOUR);
            let report = world.sync(site).unwrap();
            quiet &= report.tally.is_quiet() && !report.unfinished;
        }
        if quiet {
            return;
        }
    }
    panic!("not at rest: {:?}", world.last);
}

fn named(world: &World, name: &str) -> Vec<contactd::crm::person::Person> {
    world.people().into_iter().filter(|p| p.card.display.as_deref() == Some(name)).collect()
}

fn only(world: &World, name: &str) -> contactd::crm::person::Person {
    let mut found = named(world, name);
    assert_eq!(found.len(), 1, "people called {name}");
    found.remove(0)
}

fn there(world: &World, site: usize, name: &str) -> Vec<String> {
    world.cards_there(site).into_iter().filter(|(_, c)| c.display.as_deref() == Some(name)).map(|(id, _)| id).collect()
}

fn state(world: &World, person: PersonId, site: usize) -> Option<LinkState> {
    let links = now(world.store.links_of(person)).unwrap();
    links.into_iter().filter(|l| l.account == world.sites[site].id).map(|l| l.state).next_back()
}

fn one_site(settings: Settings) -> World {
    let mut world = World::new(1);
    let ann = world.user("ann");
    let (caps, manner) = carddav();
    world.account(ann, caps, manner, settings);
    world
}

#[test]
fn h02_the_echo_of_a_patch_shows_somebody_elses_edit() {
    let mut world = World::new(2);
    let ann = world.user("ann");
    let (caps, manner) = odd();
    world.account(ann, caps, manner, open_guard());
    let id = world.create_there(0, &card("Ann"));
    rest(&mut world);
    let person = only(&world, "Ann").id;
    world.edit_person(person, |c| c.phones.push(Item::new("+1 212 555 0100")));
    // No guard on updates here: the e-mail changes between our pull and our PATCH. The fake's clock can't do that, so the
    // edit is made while the pull's answer is unknown: the run fetches nothing new, and the echo is the first to show it.
    world.sites[0].fake.server.lock().unwrap().faults.lose_after = 1;
    world.sync(0).unwrap();
    world.edit_there(0, &id, |c| c.emails[0].value = "new@example.com".into());
    rest(&mut world);
    let person = only(&world, "Ann");
    assert_eq!(person.card.emails[0].value, "new@example.com");
    assert_eq!(person.card.phones.len(), 1);
}

#[test]
fn h06_mass_deletions_are_held_however_they_come() {
    // 8 of 10 at once; pages of 7 here.
    let mut world = one_site(Settings::default());
    let ids: Vec<String> = (0..30).map(|i| world.create_there(0, &card(&format!("P{i}")))).collect();
    rest(&mut world);
    for id in &ids[..24] {
        world.delete_there(0, id);
    }
    rest(&mut world);
    assert_eq!(world.people().iter().filter(|p| p.is_live()).count(), 30, "nothing is trashed");
    assert_eq!(now(world.store.held(None)).unwrap().len(), 24);

    // A few every quarter of an hour: the day's are counted together. And so are those before a crash.
    let mut world = one_site(Settings::default());
    let ids: Vec<String> = (0..50).map(|i| world.create_there(0, &card(&format!("P{i}")))).collect();
    rest(&mut world);
    for id in &ids[..6] {
        world.delete_there(0, id);
    }
    world.driver.stop(crate::crash::Stop::After(3));
    let _ = world.sync(0);
    world.restart();
    for part in ids[6..24].chunks(6) {
        for id in part {
            world.delete_there(0, id);
        }
        world.hand.pass(15 * MINUTE);
        world.sync(0).unwrap();
    }
    let trashed = world.people().iter().filter(|p| !p.is_live()).count();
    assert!(trashed <= 10, "{trashed} of 50 went in a day");
    assert!(!now(world.store.held(None)).unwrap().is_empty());
}

#[test]
fn rule_10_held_deletions_are_confirmed_or_rejected() {
    for answer in [Answer::Confirmed, Answer::Rejected] {
        let mut world = one_site(Settings::default());
        let ids: Vec<String> = (0..10).map(|i| world.create_there(0, &card(&format!("P{i}")))).collect();
        rest(&mut world);
        for id in &ids[..8] {
            world.delete_there(0, id);
        }
        rest(&mut world);
        let held = now(world.store.held(None)).unwrap();
        assert_eq!(held.len(), 8);
        assert!(held.iter().all(|h| h.deletion == Deletion::Local && h.why == "guard"));
        for one in &held[..5] {
            world.commit(vec![Change::AnswerHeld(one.id, answer)], Vec::new()).unwrap();
        }
        rest(&mut world);
        let trashed = world.people().iter().filter(|p| !p.is_live()).count();
        match answer {
            Answer::Confirmed => assert_eq!((trashed, world.cards_there(0).len()), (5, 2)),
            Answer::Rejected => assert_eq!((trashed, world.cards_there(0).len()), (0, 7), "pushed again"),
        }
        assert_eq!(now(world.store.held(None)).unwrap().len(), 3, "the others still wait");
    }
}

#[test]
fn h08_a_label_taken_off_is_a_leaving() {
    for (caps, manner) in [carddav(), odd(), plain()] {
        let mut world = World::new(8);
        let ann = world.user("ann");
        world.account(ann, caps, manner, Settings { scope: Scope::Group(GroupId(GROUP.into())), ..open_guard() });
        let id = world.create_there(0, &card("Ann"));
        rest(&mut world);
        world.set_member(0, &id, false);
        rest(&mut world);
        let person = only(&world, "Ann");
        assert!(person.is_live());
        assert_eq!(state(&world, person.id, 0), Some(LinkState::Left));
        // Coming back resumes the same link.
        world.edit_there(0, &id, |c| c.note = Some("met in Rome".into()));
        world.set_member(0, &id, true);
        rest(&mut world);
        let person = only(&world, "Ann");
        assert_eq!(person.card.note.as_deref(), Some("met in Rome"));
        assert_eq!(state(&world, person.id, 0), Some(LinkState::Live));
        assert_eq!(now(world.store.links_of(person.id)).unwrap().len(), 1);
    }
}

#[test]
fn h09_a_record_under_a_new_id_is_the_same_person() {
    for (tells, (caps, manner)) in [(false, carddav()), (true, plain()), (true, odd())] {
        let mut world = World::new(9);
        let ann = world.user("ann");
        world.account(ann, caps, manner, open_guard());
        let id = world.create_there(0, &card("Ann"));
        world.create_there(0, &card("Bob"));
        rest(&mut world);
        let before = only(&world, "Ann");
        world.rename_there(0, &id, tells);
        rest(&mut world);
        let after = only(&world, "Ann");
        assert_eq!((after.id, after.owner, after.is_live()), (before.id, before.owner, true));
        assert_eq!(now(world.store.links_of(after.id)).unwrap().len(), 1);
    }
}

#[test]
fn h09_two_records_that_a_user_made_one_of_are_still_two_people() {
    let mut world = World::new(9);
    let ann = world.user("ann");
    let (caps, manner) = plain();
    world.account(ann, caps, manner, open_guard());
    let (kept, gone) = (world.create_there(0, &card("Ann")), world.create_there(0, &card("Bob")));
    world.create_there(0, &card("Carl"));
    rest(&mut world);
    // The provider says that the one was known under the other's id, too.
    world.edit_there(0, &kept, |c| c.emails.push(Item::new("bob@example.com")));
    world.delete_there(0, &gone);
    {
        let mut server = world.sites[0].fake.server.lock().unwrap();
        let time = server.now;
        let none = mock_providers::book::Condition::None;
        server.book.edit(&kept, none, time, |entry| entry.former.push(gone.clone())).unwrap();
    }
    rest(&mut world);
    let (ann, bob) = (only(&world, "Ann"), only(&world, "Bob"));
    assert!(ann.is_live() && bob.is_live(), "nobody was deleted");
    assert_eq!(ann.card.emails.len(), 2);
    assert_eq!(
        (state(&world, ann.id, 0), state(&world, bob.id, 0)),
        (Some(LinkState::Live), Some(LinkState::Unlinked))
    );
    assert_eq!(world.cards_there(0).len(), 2, "nothing is created again");
}

#[test]
fn h11_a_record_that_listings_do_not_show_yet_is_not_swept() {
    let mut world = one_site(open_guard());
    let ann = world.users[0];
    rest(&mut world);
    world.sites[0].fake.server.lock().unwrap().book.set_lag(mock_providers::book::Lag::Forever);
    world.create_person(ann, card("Ann"));
    world.sync(0).unwrap();
    world.sites[0].fake.server.lock().unwrap().book.expire_cursors();
    world.hand.pass(HOUR);
    world.sync(0).unwrap();
    world.sites[0].fake.server.lock().unwrap().book.set_lag(mock_providers::book::Lag::None);
    rest(&mut world);
    assert!(only(&world, "Ann").is_live());
    assert_eq!(there(&world, 0, "Ann").len(), 1);
}

#[test]
fn h15_a_person_restored_after_its_record_was_deleted_comes_back() {
    let mut world = one_site(open_guard());
    let ann = world.users[0];
    let person = world.create_person(ann, card("Ann"));
    world.create_person(ann, card("Bob"));
    rest(&mut world);
    world.trash_person(person, ann);
    world.sites[0].fake.server.lock().unwrap().faults.lose_after = 1;
    world.sync(0).unwrap();
    assert!(there(&world, 0, "Ann").is_empty(), "the delete landed, its answer was lost");
    world.restore_person(person);
    rest(&mut world);
    assert!(only(&world, "Ann").is_live());
    assert_eq!(there(&world, 0, "Ann").len(), 1);
}

#[test]
fn h16_a_record_edited_between_our_pull_and_our_delete_is_not_destroyed() {
    for (caps, manner) in [carddav(), odd()] {
        let mut world = World::new(16);
        let ann = world.user("ann");
        world.account(ann, caps, manner, open_guard());
        let id = world.create_there(0, &card("Ann"));
        world.create_there(0, &card("Bob"));
        rest(&mut world);
        let person = only(&world, "Ann").id;
        world.trash_person(person, ann);
        // The pull sees nothing of the edit: changes lag, a look at the record by id does not.
        world.sites[0].fake.server.lock().unwrap().book.set_lag(mock_providers::book::Lag::Forever);
        world.edit_there(0, &id, |c| c.note = Some("do not lose this".into()));
        world.sync(0).unwrap();
        assert_eq!(there(&world, 0, "Ann").len(), 1);
        world.sites[0].fake.server.lock().unwrap().book.set_lag(mock_providers::book::Lag::None);
        rest(&mut world);
        let person = only(&world, "Ann");
        assert!(person.is_live(), "edit beats delete");
        assert_eq!(person.card.note.as_deref(), Some("do not lose this"));
    }
}

#[test]
fn h17_nobody_empties_a_colleagues_phone() {
    let mut world = World::new(17);
    let (alice, bob) = (world.user("ann"), world.user("bob"));
    let (caps, manner) = plain();
    world.account(bob, caps, manner, Settings { visible_to: VisibleTo::Company, ..open_guard() });
    // Bob deletes what his book matched: Alice's person stays.
    let person = world.create_person(alice, card("Ann"));
    let id = world.create_there(0, &card("Ann"));
    world.create_there(0, &card("Other"));
    rest(&mut world);
    assert_eq!(only(&world, "Ann").id, person);
    assert_eq!(state(&world, person, 0), Some(LinkState::Live));
    world.delete_there(0, &id);
    rest(&mut world);
    assert!(only(&world, "Ann").is_live());
    // Bob trashes one that Alice brought from her own phone: her record stays.
    let mut world = World::new(17);
    let (alice, bob) = (world.user("ann"), world.user("bob"));
    let (caps, manner) = plain();
    world.account(alice, caps, manner, Settings { visible_to: VisibleTo::Company, ..open_guard() });
    world.create_there(0, &card("Ann"));
    world.create_there(0, &card("Other"));
    rest(&mut world);
    world.trash_person(only(&world, "Ann").id, bob);
    rest(&mut world);
    assert_eq!(there(&world, 0, "Ann").len(), 1);
}

#[test]
fn h18_who_was_let_go_is_not_created_again() {
    // Out of the label.
    let mut world = one_site(Settings { scope: Scope::Group(GroupId(GROUP.into())), ..open_guard() });
    let id = world.create_there(0, &card("Ann"));
    rest(&mut world);
    world.set_member(0, &id, false);
    rest(&mut world);
    assert_eq!(there(&world, 0, "Ann").len(), 1);
    // Deleted with policy `unlink`.
    let mut world = one_site(Settings { deletes: DeletePolicy::Unlink, ..open_guard() });
    let id = world.create_there(0, &card("Ann"));
    rest(&mut world);
    world.delete_there(0, &id);
    rest(&mut world);
    assert!(only(&world, "Ann").is_live());
    assert!(there(&world, 0, "Ann").is_empty());
}

#[test]
fn h19_h20_a_create_whose_answer_was_lost_is_found_again() {
    for (lag, (caps, manner)) in [(false, carddav()), (false, odd()), (true, odd()), (false, plain()), (true, plain())]
    {
        let mut world = World::new(19);
        let ann = world.user("ann");
        let settings = open_guard();
        let caps = contactd::sync::caps::Capabilities { settle: if lag { 2 * HOUR } else { 0 }, ..caps };
        world.account(ann, caps, manner, settings);
        rest(&mut world);
        let person = world.create_person(ann, card("Ann"));
        {
            let mut server = world.sites[0].fake.server.lock().unwrap();
            server.faults.lose_after = 1;
            if lag {
                server.book.set_lag(mock_providers::book::Lag::Millis(HOUR as u64));
            }
        }
        for _ in 0..6 {
            world.sync(0).unwrap();
            world.hand.pass(20 * MINUTE);
        }
        // Edited while nobody knows whether it is there.
        world.edit_person(person, |c| c.note = Some("later".into()));
        for _ in 0..30 {
            world.sync(0).unwrap();
            world.hand.pass(20 * MINUTE);
        }
        rest(&mut world);
        assert_eq!(there(&world, 0, "Ann").len(), 1, "one record");
        assert_eq!(only(&world, "Ann").id, person, "one person");
        let creates = world.sites[0].fake.server.lock().unwrap().creates.clone();
        assert_eq!(creates.values().sum::<u32>(), 1);
        let record = world.cards_there(0).into_values().find(|c| c.display.as_deref() == Some("Ann")).unwrap();
        assert_eq!(record.note.as_deref(), Some("later"));
    }
}

#[test]
fn h22_what_is_in_question_is_neither_pushed_nor_imported() {
    let mut world = one_site(open_guard());
    let ann = world.users[0];
    world.create_person(ann, card("Ann"));
    world.create_person(ann, card("Ann"));
    world.create_there(0, &card("Ann"));
    rest(&mut world);
    assert_eq!(named(&world, "Ann").len(), 2, "not imported");
    assert_eq!(there(&world, 0, "Ann").len(), 1, "not pushed");
}

#[test]
fn h23_a_value_removed_while_the_create_was_open_does_not_come_back() {
    let mut world = one_site(open_guard());
    let ann = world.users[0];
    rest(&mut world);
    let mut with_phone = card("Ann");
    with_phone.phones.push(Item::new("+1 212 555 0100"));
    let person = world.create_person(ann, with_phone);
    world.sites[0].fake.server.lock().unwrap().faults.lose_after = 1;
    world.sync(0).unwrap();
    world.edit_person(person, |c| c.phones.clear());
    rest(&mut world);
    assert!(only(&world, "Ann").card.phones.is_empty());
    let record = world.cards_there(0).into_values().find(|c| c.display.as_deref() == Some("Ann")).unwrap();
    assert!(record.phones.is_empty());
}

#[test]
fn h24_a_purged_person_is_not_resurrected() {
    let mut world = one_site(Settings { direction: Direction::OneWay, ..open_guard() });
    let ann = world.users[0];
    let id = world.create_there(0, &card("Ann"));
    rest(&mut world);
    let mut person = only(&world, "Ann");
    world.trash_person(person.id, ann);
    rest(&mut world);
    person = now(world.store.person(person.id)).unwrap().unwrap();
    person.state = PersonState::Purged { at: world.time() };
    person.card = Card::default();
    let effect = contactd::sync::operation::Effect::Person {
        person: person.id,
        link: None,
        change: contactd::sync::operation::PersonChange::Purged,
    };
    world.put_person(person, effect);
    world.edit_there(0, &id, |c| c.note = Some("still here".into()));
    rest(&mut world);
    assert!(named(&world, "Ann").is_empty());
}

#[test]
fn h26_a_record_whose_joining_was_cut_short_is_joined_later() {
    for cut in 0..2 {
        let mut world = one_site(Settings { scope: Scope::Group(GroupId(GROUP.into())), ..open_guard() });
        let ann = world.users[0];
        rest(&mut world);
        world.create_person(ann, card("Ann"));
        world.sites[0].fake.server.lock().unwrap().faults.crash_at_send = Some((1, cut == 1));
        let _ = world.sync(0);
        world.restart();
        rest(&mut world);
        let ids = there(&world, 0, "Ann");
        assert_eq!(ids.len(), 1);
        let server = world.sites[0].fake.server.lock().unwrap();
        assert_eq!(server.rosters["group.vcf"].members.len(), 1, "cut {cut}");
        drop(server);
        assert_eq!(state(&world, only(&world, "Ann").id, 0), Some(LinkState::Live));
    }
}

#[test]
fn h28_a_person_that_goes_to_a_colleague_stays_where_it_was_and_no_longer_flows() {
    let mut world = World::new(28);
    let (alice, bob) = (world.user("ann"), world.user("bob"));
    let (caps, manner) = plain();
    world.account(bob, caps, manner, Settings { visible_to: VisibleTo::Owner, ..open_guard() });
    let id = world.create_there(0, &card("Ann"));
    rest(&mut world);
    let mut person = only(&world, "Ann");
    person.owner = alice;
    person.visible_to = VisibleTo::Owner;
    let change = contactd::sync::operation::PersonChange::Owner(contactd::sync::diff::Diff::new(bob, alice));
    let pid = person.id;
    world.put_person(person, contactd::sync::operation::Effect::Person { person: pid, link: None, change });
    world.edit_person(pid, |c| c.note = Some("secret".into()));
    world.edit_there(0, &id, |c| c.suffix = Some("Jr.".into()));
    rest(&mut world);
    assert_eq!(world.cards_there(0)[&id].note, None);
    assert_eq!(only(&world, "Ann").card.suffix, None);
    assert_eq!(state(&world, pid, 0), Some(LinkState::Frozen));
    // Access regained: it resumes, and both edits meet.
    let mut person = only(&world, "Ann");
    person.visible_to = VisibleTo::Company;
    let change = contactd::sync::operation::PersonChange::VisibleTo(contactd::sync::diff::Diff::new(
        VisibleTo::Owner,
        VisibleTo::Company,
    ));
    world.put_person(person, contactd::sync::operation::Effect::Person { person: pid, link: None, change });
    rest(&mut world);
    assert_eq!(world.cards_there(0)[&id].note.as_deref(), Some("secret"));
    assert_eq!(only(&world, "Ann").card.suffix.as_deref(), Some("Jr."));
}

#[test]
fn h29_a_private_contact_is_not_merged_into_a_widely_visible_person() {
    let mut world = World::new(29);
    let (alice, bob) = (world.user("ann"), world.user("bob"));
    let (caps, manner) = plain();
    world.account(bob, caps, manner, Settings { visible_to: VisibleTo::Owner, ..open_guard() });
    let person = world.create_person(alice, card("Ann")); // visible to the company
    let mut private = card("Ann");
    private.note = Some("private".into());
    world.create_there(0, &private);
    rest(&mut world);
    assert_eq!(state(&world, person, 0), None);
    assert_eq!(now(world.store.person(person)).unwrap().unwrap().card.note, None);
}

#[test]
fn rule_11_one_way_never_writes() {
    for (caps, manner) in [carddav(), odd(), plain()] {
        let mut world = World::new(11);
        let ann = world.user("ann");
        world.account(ann, caps, manner, Settings { direction: Direction::OneWay, ..open_guard() });
        world.sites[0].fake.server.lock().unwrap().forbid_writes = true;
        let id = world.create_there(0, &card("Ann"));
        world.create_there(0, &card("Bob"));
        rest(&mut world);
        let person = only(&world, "Ann").id;
        world.create_person(ann, card("Carl"));
        world.edit_person(person, |c| c.note = Some("ours".into()));
        rest(&mut world);
        assert_eq!(only(&world, "Ann").card.note.as_deref(), Some("ours"), "stays until the field changes there");
        world.edit_there(0, &id, |c| c.note = Some("theirs".into()));
        rest(&mut world);
        assert_eq!(only(&world, "Ann").card.note.as_deref(), Some("theirs"));
        let conflicts = now(world.store.conflicts(None, 10)).unwrap();
        assert_eq!(conflicts.len(), 1, "ours is kept in the list");
        world.edit_person(person, |c| c.suffix = Some("Jr.".into()));
        world.delete_there(0, &id);
        rest(&mut world);
        assert!(!only(&world, "Ann").is_live(), "a provider's delete trashes the person, edits or not");
        assert!(world.sites[0].fake.server.lock().unwrap().violations.is_empty());
    }
}

#[test]
fn rule_09_an_empty_listing_deletes_nothing() {
    for (caps, manner) in [carddav(), odd(), plain()] {
        let mut world = World::new(9);
        let ann = world.user("ann");
        world.account(ann, caps, manner, open_guard());
        for i in 0..10 {
            world.create_there(0, &card(&format!("P{i}")));
        }
        rest(&mut world);
        let mut server = world.sites[0].fake.server.lock().unwrap();
        server.book.expire_cursors();
        server.faults.empty_listing = 1;
        drop(server);
        let told = world.sync(0).unwrap_err().to_string();
        assert!(told.contains("shows itself empty"), "{told}");
        rest(&mut world);
        assert_eq!(world.people().iter().filter(|p| p.is_live()).count(), 10);
    }
}

#[test]
fn rule_09_another_mailbox_behind_the_account_stops_it() {
    let mut world = one_site(open_guard());
    for i in 0..4 {
        world.create_there(0, &card(&format!("P{i}")));
    }
    rest(&mut world);
    world.sites[0].fake.subject = "somebody else".into();
    let mut server = world.sites[0].fake.server.lock().unwrap();
    server.book = mock_providers::book::Book::default();
    server.book.expire_cursors();
    drop(server);
    assert!(world.sync(0).is_err());
    assert_eq!(world.people().iter().filter(|p| p.is_live()).count(), 4);
    let account = now(world.store.account(world.sites[0].id)).unwrap().unwrap();
    assert!(matches!(account.state, AccountState::Error { .. }), "{:?}", account.state);
}

#[test]
fn rule_08_leaving_can_count_as_a_deletion() {
    let mut world =
        one_site(Settings { scope: Scope::Group(GroupId(GROUP.into())), on_leave: OnLeave::Delete, ..open_guard() });
    let id = world.create_there(0, &card("Ann"));
    world.create_there(0, &card("Bob"));
    rest(&mut world);
    world.set_member(0, &id, false);
    rest(&mut world);
    assert!(!only(&world, "Ann").is_live());
    // Nothing happened to the record; and coming back restores the person.
    assert_eq!(there(&world, 0, "Ann").len(), 1);
    world.set_member(0, &id, true);
    rest(&mut world);
    assert!(only(&world, "Ann").is_live());
}

#[test]
fn rule_18_quiet_at_rest_costs_one_request() {
    let mut world = one_site(Settings::default());
    for i in 0..20 {
        world.create_there(0, &card(&format!("P{i}")));
    }
    rest(&mut world);
    let before = world.sites[0].fake.server.lock().unwrap().requests;
    world.sync(0).unwrap();
    assert_eq!(world.sites[0].fake.server.lock().unwrap().requests - before, 1);
}

/// The group's card is not in any listing, though its members are: nobody has left it. After a while its user is asked.
#[test]
fn rule_08_a_group_that_no_listing_names_is_doubted_and_then_asked_about() {
    let mut world =
        one_site(Settings { scope: Scope::Group(GroupId(GROUP.into())), on_leave: OnLeave::Delete, ..open_guard() });
    let ann = world.users[0];
    let id = world.create_person(ann, card("Ann"));
    let hide = |world: &World, times| world.sites[0].fake.server.lock().unwrap().faults.hide_groups = times;
    hide(&world, 3);
    // Whoever belongs there is not made while nobody can tell who is there.
    for _ in 0..2 {
        world.hand.pass(HOUR);
        let told = world.sync(0).unwrap_err().to_string();
        assert!(told.contains("has shown the sync group 'crm' yet"), "{told}");
        assert!(world.cards_there(0).is_empty());
    }
    hide(&world, 0);
    rest(&mut world);
    assert_eq!((there(&world, 0, "Ann").len(), state(&world, id, 0)), (1, Some(LinkState::Live)));
    // Known once, a card that a listing leaves out is asked for by its name, and missed by nobody.
    hide(&world, 100);
    world.sites[0].fake.server.lock().unwrap().book.expire_cursors();
    rest(&mut world);
    assert_eq!((state(&world, id, 0), only(&world, "Ann").is_live()), (Some(LinkState::Live), true));
    // Never shown for hours, it is as good as gone.
    let mut world = one_site(Settings { scope: Scope::Group(GroupId(GROUP.into())), ..open_guard() });
    hide(&world, 100);
    assert!(world.sync(0).is_err());
    world.hand.pass(7 * HOUR);
    let told = world.sync(0).unwrap_err().to_string();
    assert!(told.contains("choose another one, or everything"), "{told}");
    assert!(matches!(world.account_of(0).state, AccountState::Error { .. }));
}

#[test]
fn rule_16_a_refused_page_restarts_the_listing_and_fetches_nothing_twice() {
    let mut world = World::new(16);
    let ann = world.user("ann");
    let (caps, manner) = plain();
    world.account(ann, caps, manner, Settings::default());
    for i in 0..23 {
        world.create_there(0, &card(&format!("P{i}")));
    }
    world.sites[0].fake.server.lock().unwrap().faults.refuse_page = 1;
    rest(&mut world);
    assert_eq!(world.people().len(), 23);
}

#[test]
fn rule_22_what_was_planned_without_access_is_not_sent() {
    let mut world = World::new(22);
    let (ann, bob) = (world.user("ann"), world.user("bob"));
    let person = world.create_person(ann, card("Ann"));
    let mut narrow = now(world.store.person(person)).unwrap().unwrap();
    narrow.visible_to = VisibleTo::Owner;
    let change = contactd::sync::operation::PersonChange::VisibleTo(contactd::sync::diff::Diff::new(
        VisibleTo::Company,
        VisibleTo::Owner,
    ));
    world.put_person(narrow, contactd::sync::operation::Effect::Person { person, link: None, change });
    let refused = world.commit_if(
        vec![Expect::Access(bob, person)],
        Vec::new(),
        Vec::new(),
        contactd::sync::operation::Actor::Operator,
    );
    assert!(refused.is_err());
    world
        .commit_if(
            vec![Expect::Access(ann, person)],
            Vec::new(),
            Vec::new(),
            contactd::sync::operation::Actor::Operator,
        )
        .unwrap();
}

#[test]
fn rule_09_a_record_that_moved_and_left_the_group_at_once_is_the_same() {
    let mut world = one_site(Settings { scope: Scope::Group(GroupId(GROUP.into())), ..open_guard() });
    let id = world.create_there(0, &card("Ann"));
    rest(&mut world);
    world.rename_there(0, &id, false);
    let moved = there(&world, 0, "Ann").remove(0);
    world.set_member(0, &moved, false);
    let ann = only(&world, "Ann").id;
    world.edit_person(ann, |c| c.note = Some("edited meanwhile".into()));
    rest(&mut world);
    assert_eq!(there(&world, 0, "Ann"), [moved], "no second record beside it");
    assert_eq!(state(&world, ann, 0), Some(LinkState::Left));
}
