//! Histories 1 to 18.

use super::*;
use crate::card::Photo;
use crate::card::field::FieldValue;
use crate::sync::merge::{Judged, Rules, merge};
use crate::sync::plan::Side;
use crate::sync::settings::{DeletePolicy, Flow};
use crate::sync::view::{Answer, Withheld};

#[test]
fn h01_a_field_mapped_to_nothing_clears_nothing() {
    let card = Card { note: Some("kept".into()), ..named("Ann") };
    let mut world = World::new(agreed(&card));
    world.settings.mapping.0.insert(Field::Note, Flow::Off);
    // The cursor expired: the record is listed anew, as it is.
    assert!(!writes(&world.run()));
    assert_eq!(world.card().note.as_deref(), Some("kept"));
    assert_eq!(world.body().note.as_deref(), Some("kept"));
    // While it is unmapped, each side does what it wants.
    world.body().note = None;
    world.card().family = Some("Lee".into());
    world.run();
    assert_eq!(world.card().note.as_deref(), Some("kept"));
    assert_eq!(world.body().family.as_deref(), Some("Lee"));
    // Mapped again, both sides meet as for the first time: what was removed meanwhile removes nothing.
    world.settings.mapping.0.clear();
    world.run();
    assert_eq!(world.card().note.as_deref(), Some("kept"));
    assert_eq!(world.body().note.as_deref(), Some("kept"));
}

#[test]
fn h02_an_edit_that_the_echo_shows_first_reaches_the_crm() {
    let card = Card { emails: emails(&["old@x.org"]).emails, ..phones(&["555 0100"]) };
    let mut world = World::new(agreed(&card));
    world.card().phones[0].value = "555 0200".into();
    // The user edits the e-mail between our look and our PATCH: the stored record has both.
    world.keeps = |stored| stored.emails[0].value = "new@x.org".into();
    let decision = world.decide();
    assert_eq!(sent(&decision.steps)[0].mask, only(&[Field::Phones]));
    world.apply(&decision, true);
    world.body().emails[0].value = "new@x.org".into();
    world.keeps = |_| {};
    let steps = world.run();
    assert!(!writes(&steps));
    assert_eq!(world.card().emails[0].value, "new@x.org");
    assert_eq!(world.card().phones[0].value, "555 0200");
}

#[test]
fn h02_so_does_an_edit_of_another_element_of_the_list_that_was_sent() {
    let mut world = World::new(agreed(&emails(&["a@x.org", "b@x.org"])));
    world.card().emails[0].value = "a2@x.org".into();
    world.keeps = |stored| {
        stored.emails[1].value = "b2@x.org".into();
        stored.emails.push(Item::<String>::new("c@x.org"));
    };
    let decision = world.decide();
    world.apply(&decision, true);
    world.keeps = |_| {};
    assert!(!writes(&world.run()));
    let mut list: Vec<_> = world.card().emails.iter().map(|e| e.value.clone()).collect();
    list.sort();
    assert_eq!(list, ["a2@x.org", "b2@x.org", "c@x.org"]);
}

#[test]
fn h03_what_is_saved_while_a_send_is_in_flight_is_pushed_next() {
    let mut world = World::new(agreed(&named("Ann")));
    world.card().note = Some("five".into());
    let decision = world.decide();
    world.card().note = Some("six".into());
    // The echo closes the send of revision 5; the person is at revision 6.
    let sends: Vec<Step> = decision.steps.into_iter().filter(|s| matches!(s, Step::UpdateRemote(_))).collect();
    world.apply(&Decision { steps: sends, waits: None }, true);
    assert_eq!(world.body().note.as_deref(), Some("five"));
    world.run();
    assert_eq!(world.body().note.as_deref(), Some("six"));
    assert!(world.conflicts.is_empty());
}

#[test]
fn h04_what_had_to_make_room_is_not_removed_from_the_person() {
    let mut world =
        World::new(Subject { person: Some(person(emails(&["e1@x", "e2@x", "e3@x", "e4@x"]))), ..Subject::default() });
    world.caps.most.insert(Field::Emails, 3);
    world.run();
    assert_eq!(world.body().emails.len(), 3);
    let withheld = &world.subject.link.as_ref().unwrap().base.pairs.withheld[&Field::Emails];
    assert_eq!(withheld.get(&3), Some(&Withheld::Room));
    // e4 is to be shown now.
    world.card().emails.rotate_right(1);
    world.card().emails[0].preferred = true;
    let decision = world.decide();
    let out = sent(&decision.steps)[0].clone();
    let shown: Vec<_> = out.sent.emails.iter().map(|e| e.value.as_str()).collect();
    assert_eq!(shown, ["e1@x", "e2@x", "e4@x"]);
    world.apply(&decision, false);
    // The answer is lost. The pull shows what was sent, in another order: it has landed.
    let before = world.body().clone();
    let pulled = Card { emails: [2, 0, 1].map(|i: usize| out.sent.emails[i].clone()).to_vec(), ..before.clone() };
    assert!(echo::landed(&out.sent, out.mask, &pulled));
    assert!(!echo::landed(&before, out.mask, &pulled));
    let landed = Landed { ours: &out.ours, sent: &out.sent, before: Some(&before), mask: out.mask, pairs: &out.pairs };
    let link = world.subject.link.as_mut().unwrap();
    link.base = echo::settle(&link.base, &landed, &pulled, &world.caps);
    *world.body() = pulled;
    assert!(!writes(&world.run()));
    assert_eq!(world.card().emails.len(), 4, "e3 stays");
    // A reorder elsewhere doesn't rotate what is shown; what makes room lets the next one in.
    world.card().emails.reverse();
    assert!(!writes(&world.run()));
    world.card().emails.retain(|e| e.value != "e1@x");
    world.run();
    assert_eq!(world.body().emails.len(), 3);
    assert!(world.body().emails.iter().any(|e| e.value == "e3@x"));
}

#[test]
fn h05_a_page_that_lags_is_seen_as_what_it_is() {
    // The engine drops or confirms a lagging page; where it can't tell, at most one change is seen, and nothing circles.
    let mut world = World::new(agreed(&phones(&["555 0100"])));
    world.card().phones[0].value = "555 0200".into();
    world.run();
    let base = world.subject.link.as_ref().unwrap().base.clone();
    assert_eq!((&base.ours.phones, &base.theirs.phones), (&base.theirs.phones, &base.ours.phones));
    assert_eq!(base.theirs.phones[0].value, "555 0200");
    // Confirmed by a fetch: the record is as we left it.
    assert!(world.run().is_empty());
}

#[test]
fn h07_an_unreadable_card_keeps_its_person() {
    let mut world = World::new(agreed(&named("Ann")));
    world.see(Seen::Unreadable(at("r"), "not a vCard".into()));
    assert!(world.run().is_empty());
    assert!(world.live());
}

#[test]
fn h08_a_label_removed_is_a_leaving() {
    let mut world = World::new(agreed(&named("Ann")));
    world.see(outside());
    world.run();
    assert!(world.live());
    assert_eq!(world.state(), Some(LinkState::Left));
}

#[test]
fn h13_a_rewritten_number_that_is_deleted_is_deleted() {
    let there = |world: &mut World| {
        world.keeps = |stored| {
            for phone in &mut stored.phones {
                phone.value = phone.value.replace("555-0100 x5", "5550100;5");
            }
        };
        world.run();
        assert_eq!(world.body().phones[0].value, "5550100;5");
        assert_eq!(world.card().phones[0].value, "555-0100 x5");
    };
    let new = || World::new(Subject { person: Some(person(phones(&["555-0100 x5"]))), ..Subject::default() });
    let mut world = new();
    there(&mut world);
    world.body().phones.clear();
    assert!(!writes(&world.run()));
    assert!(world.card().phones.is_empty());
    let mut world = new();
    there(&mut world);
    world.card().phones.clear();
    world.run();
    assert!(world.body().phones.is_empty());
}

#[test]
fn h14_a_typo_mended_in_a_cut_note_keeps_the_rest() {
    let long = format!("helo, {}", "this goes on. ".repeat(4000));
    let note = |text: &str| Card { note: Some(text.to_owned()), ..named("Ann") };
    let mut world = World::new(Subject { person: Some(person(note(&long))), ..Subject::default() });
    world.keeps = |stored| stored.note.as_mut().unwrap().truncate(4096);
    world.run();
    assert_eq!(world.body().note.as_ref().unwrap().len(), 4096);
    let mended = world.body().note.as_ref().unwrap().replace("helo", "hello");
    world.body().note = Some(mended);
    assert!(!writes(&world.run()));
    assert_eq!(world.card().note.as_deref(), Some(long.replace("helo", "hello").as_str()));
    // Nor does the rest go where the answer to a send was lost.
    let out = Card { note: Some(format!("{long}!")), ..named("Ann") };
    let shown = Card { note: Some(long[..4096].to_owned()), ..named("Ann") };
    let then = echo::as_landed(&out, &named("Ann"), only(&[Field::Note]), &shown);
    assert_eq!(then.note, shown.note);
    let edited = Card { note: Some("something else".into()), ..named("Ann") };
    assert_eq!(echo::as_landed(&out, &named("Ann"), only(&[Field::Note]), &edited).note, out.note);
}

#[test]
fn h14_a_cut_that_can_not_be_told_is_a_conflict() {
    let full = Card { note: Some("one  two  three and four".into()), ..named("Ann") };
    let image = Card { note: Some("ONE TWO".into()), ..named("Ann") };
    let theirs = Card { note: Some("ONE TWO!".into()), ..named("Ann") };
    let base = Base { theirs: image, ..Base::shared(&full, FieldSet::all()) };
    let caps = Capabilities::everything();
    for (side, stands) in [(Side::Theirs, &theirs), (Side::Ours, &full)] {
        let winner = |_| Judged { side, ours_at: None, theirs_at: None };
        let all = FieldSet::all();
        let rules = Rules { incoming: all, outgoing: all, asked: FieldSet::NONE, caps: &caps, winner: &winner };
        let merged = merge(&base, &full, &theirs, &rules);
        assert_eq!(merged.clashes.len(), 1);
        assert_eq!(merged.ours.note, stands.note);
        assert_eq!(merged.theirs.note, stands.note, "what stands is shown");
        let lost = if side == Side::Theirs { &merged.clashes[0].ours } else { &merged.clashes[0].theirs };
        assert!(matches!(lost, FieldValue::One(Some(_))));
        // The crash between the local part and the send.
        let again = merge(&merged.base, &merged.ours, &theirs, &rules);
        assert_eq!((again.send, &again.theirs, again.clashes.len()), (merged.send, &merged.theirs, 0));
    }
}

#[test]
fn h15_a_person_restored_after_the_delete_landed_comes_back() {
    let mut world = World::new(agreed(&named("Ann")));
    world.subject.person.as_mut().unwrap().person.state = trashed(Some(BOB));
    let decision = world.decide();
    assert!(matches!(decision.steps[..], [Step::DeleteRemote]));
    // The delete lands, its answer is lost, the intent stays open; the person is restored meanwhile.
    world.subject.blocked = true;
    world.subject.person.as_mut().unwrap().person.state = PersonState::Live;
    assert!(world.decide().steps.is_empty());
    // Settled: the record is gone, and that is ours.
    world.apply(&decision, true);
    world.subject.blocked = false;
    assert!(writes(&world.run()));
    assert!(world.live());
    assert_eq!(world.body().given.as_deref(), Some("Ann"));
}

#[test]
fn h17_a_colleagues_deletion_takes_nobodys_person_or_record() {
    // Alice owns P; Bob's book shows it; Bob deletes it on his phone.
    let mut world = World::new(agreed(&named("Ann")));
    world.subject.person.as_mut().unwrap().person.owner = ALICE;
    world.see(gone());
    world.run();
    assert!(world.live());
    // Bob trashes it in the CRM. Here the account is Alice's, seen with her eyes: Bob is the colleague.
    let mut world = World::new(agreed(&named("Ann")));
    world.subject.person.as_mut().unwrap().person.state = trashed(Some(ALICE));
    assert!(!writes(&world.run()));
    assert_eq!(world.state(), Some(LinkState::Unlinked));
}

#[test]
fn h18_who_was_taken_out_is_not_created_again_beside_herself() {
    let mut world = World::new(agreed(&named("Ann")));
    world.see(outside());
    assert!(!writes(&world.run()), "out of the label");
    let mut world = World::new(agreed(&named("Ann")));
    world.settings.deletes = DeletePolicy::Unlink;
    world.see(gone());
    assert!(!writes(&world.run()), "deleted with policy unlink");
    world.card().note = Some("edited later".into());
    assert!(!writes(&world.run()));
    // A no to a held deletion pushes the person whose record is gone, once.
    let mut world = World::new(agreed(&named("Ann")));
    world.see(gone());
    world.subject.held = Some(Some(Answer::Rejected));
    let creates = world.run().iter().filter(|s| matches!(s, Step::CreateRemote(_))).count();
    assert_eq!(creates, 1);
}

#[test]
fn a_send_did_not_land_because_there_is_another_picture() {
    let photo = |hash: &str| Some(Photo { hash: hash.into(), media_type: "image/jpeg".into() });
    let before = Card { photo: photo("before"), ..Card::default() };
    let sent = Card { note: Some("call her".to_owned()), photo: photo("ours"), ..Card::default() };
    let mask = only(&[Field::Note, Field::Photo]);
    let shown =
        |note: Option<&str>, hash| Card { note: note.map(str::to_owned), photo: photo(hash), ..Card::default() };
    // A user changed the picture there, and ours did not come: the note would be there.
    assert!(!echo::has_landed(&sent, &before, mask, &shown(None, "theirs")));
    // Ours, made smaller.
    assert!(echo::has_landed(&sent, &before, mask, &shown(Some("call her"), "smaller")));
    assert!(echo::has_landed(&sent, &before, mask, &shown(Some("an edit since"), "ours")));
    // A picture that was not taken says nothing about what came with it.
    let without = |card: Card| Card { photo: None, ..card };
    let (none, some) = (without(before.clone()), without(sent.clone()));
    assert!(echo::has_landed(&sent, &none, mask, &some));
    assert!(!echo::has_landed(&sent, &none, mask, &none));
    // With nothing but the picture, another one is taken for ours made smaller; the one before is not.
    assert!(echo::has_landed(&sent, &before, only(&[Field::Photo]), &shown(None, "smaller")));
    assert!(!echo::has_landed(&sent, &before, only(&[Field::Photo]), &shown(None, "before")));
}

#[test]
fn a_send_did_not_land_because_somebody_else_removed_the_same() {
    let before = Card {
        emails: vec![Item::new("ann@example.com".to_owned())],
        phones: vec![Item::new("+1 212 555 0100".to_owned())],
        ..Card::default()
    };
    // We removed the e-mail and changed the phone; at the provider the e-mail was removed too.
    let sent = Card { phones: vec![Item::new("+1 212 555 0199".to_owned())], ..Card::default() };
    let shown = Card { phones: before.phones.clone(), ..Card::default() };
    let mask = only(&[Field::Emails, Field::Phones]);
    assert!(!echo::has_landed(&sent, &before, mask, &shown));
    assert!(echo::has_landed(&sent, &before, mask, &sent));
    // Removed, and added to: what was to be added is missing.
    let sent = Card { note: Some("call her".to_owned()), ..shown.clone() };
    let mask = only(&[Field::Emails, Field::Note]);
    assert!(!echo::has_landed(&sent, &before, mask, &shown));
    // With nothing but the removal there is no telling, nor any need to.
    assert!(echo::has_landed(&shown, &before, only(&[Field::Emails]), &shown));
}
