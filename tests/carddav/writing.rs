//! Writes and what became of them (icloud-carddav.md §4, §5.1).

use contactd::card::field::Field;
use contactd::card::{Card, Photo};
use contactd::ids::Timestamp;
use contactd::provider::{Blob, Fetched, Outcome, Provider as _, Write, WriteKind};
use contactd::sync::view::Seen;
use mock_providers::carddav::Settings;
use mock_providers::carddav::settings::{EtagForm, Level};

use super::lab::{Fault, Lab, Match, RetryAfter, card, name_of};

fn person(name: &str) -> Card {
    Card { given: Some(name.to_owned()), display: Some(name.to_owned()), ..Card::default() }
}

fn create(name: &str) -> WriteKind {
    WriteKind::Create { card: person(name), groups: Default::default() }
}

#[tokio::test]
async fn a_create_lands_once_whatever_happens_to_the_answer() {
    for fault in [
        None,
        Some(Fault::CutBefore),
        Some(Fault::CutAfter),
        Some(Fault::ErrorAfter(500)),
        Some(Fault::ErrorAfter(504)),
        Some(Fault::Refuse(502)),
    ] {
        let lab = Lab::icloud().await;
        lab.dav.check().await.unwrap();
        if let Some(fault) = &fault {
            lab.server.fault(Match::method("PUT"), fault.clone());
        }
        let mark = lab.server.mark();
        let outcome = lab.dav.write(&[lab.write(1, create("Ann"), None)]).await.remove(0);
        let Outcome::Landed(at) = &outcome else { panic!("{fault:?}: {outcome:?}") };
        assert_eq!((at.id.clone(), at.etag.clone()), (lab.id(&name_of(1)), None));
        assert_eq!(lab.server.ask(|journal| journal.creates(mark)), 1, "{fault:?}");
        assert_eq!(lab.device.names(), [name_of(1)]);
        // Again, as after a crash: adopted.
        let again = lab.dav.write(&[lab.write(1, create("Ann Lee"), None)]).await.remove(0);
        assert!(matches!(again, Outcome::Landed(_)), "{again:?}");
        assert_eq!(lab.server.ask(|journal| journal.writes(mark)), 1);
        let Fetched::There(Seen::Present(record), _) = lab.fetch(&name_of(1)).await else { panic!() };
        assert_eq!(record.body.given.as_deref(), Some("Ann"));
    }
}

#[tokio::test]
async fn a_lost_connection_leaves_an_open_question() {
    let lab = Lab::icloud().await;
    lab.dav.check().await.unwrap();
    lab.server.faults(|faults| faults.times(100, Match::method("PUT"), Fault::CutBefore));
    let writes: Vec<_> = (1..=4).map(|n| lab.write(n, create("Ann"), None)).collect();
    let outcomes = lab.dav.write(&writes).await;
    assert!(matches!(outcomes[..], [Outcome::Unknown, Outcome::Unknown, Outcome::NotTried, Outcome::NotTried]));
}

#[tokio::test]
async fn someone_elses_record_under_our_name_is_not_adopted() {
    let lab = Lab::icloud().await;
    lab.device.add_as(&name_of(1), card("other", "Other", ""));
    let outcome = lab.dav.write(&[lab.write(1, create("Ann"), None)]).await.remove(0);
    assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
}

#[tokio::test]
async fn a_uid_that_is_taken_leads_to_its_holder() {
    for status in [403, 409] {
        let mut settings = Settings::generic();
        settings.write.uid_conflict = Some(status);
        let lab = Lab::new(settings).await;
        let uid = name_of(1).trim_end_matches(".vcf").to_owned();
        lab.device.add_as("elsewhere.vcf", card(&uid, "Ann", ""));
        let outcome = lab.dav.write(&[lab.write(1, create("Ann"), None)]).await.remove(0);
        let Outcome::Landed(at) = &outcome else { panic!("{status}: {outcome:?}") };
        assert_eq!(at.id, lab.id("elsewhere.vcf"));
        assert_eq!(lab.device.len(), 1);
    }
}

#[tokio::test]
async fn a_server_that_renames_is_followed() {
    let mut settings = Settings::generic();
    settings.write.rename_creates = true;
    let lab = Lab::new(settings).await;
    let outcome = lab.dav.write(&[lab.write(1, create("Ann"), None)]).await.remove(0);
    let Outcome::Landed(at) = &outcome else { panic!("{outcome:?}") };
    assert_eq!(at.id, lab.id(&lab.device.names()[0]));
    assert_ne!(at.id, lab.id(&name_of(1)));
}

#[tokio::test]
async fn an_update_touches_only_what_changed() {
    for fault in [None, Some(Fault::CutBefore), Some(Fault::ErrorAfter(500)), Some(Fault::CutAfter)] {
        let lab = Lab::generic().await;
        let odd = "X-ODD;a=b:kept\r\nitem1.X-ABLabel:_$!<Other>!$_\r\nitem1.EMAIL;type=INTERNET:a@example.com\r\n";
        let name = lab.device.add(card("a", "Ann", odd));
        let before = lab.record(&name).await;
        let card = Card { note: Some("hello".into()), ..before.body.clone() };
        let mask = [Field::Note].into_iter().collect();
        let update = || lab.write(1, WriteKind::Update { card: card.clone(), mask }, Some(before.clone()));
        if let Some(fault) = &fault {
            lab.server.fault(Match::method("PUT"), fault.clone());
        }
        let outcome = lab.dav.write(&[update()]).await.remove(0);
        match &fault {
            // It landed and its answer was lost; the second attempt met its own etag: look, then decide.
            Some(Fault::CutAfter | Fault::ErrorAfter(_)) => assert!(matches!(outcome, Outcome::Unknown), "{outcome:?}"),
            _ => {
                let Outcome::Landed(at) = &outcome else { panic!("{fault:?}: {outcome:?}") };
                // The version that was stored, by which an edit right after it is told from what the server made of ours.
                assert_eq!(*at, lab.record(&name).await.at);
                assert_ne!(at.etag, before.at.etag);
            }
        }
        assert_eq!(lab.record(&name).await.body.note.as_deref(), Some("hello"));
        assert!(lab.device.text(&name).unwrap().contains(odd));
        // From the same base once more: it has changed since.
        assert!(matches!(lab.dav.write(&[update()]).await[0], Outcome::Stale));
        lab.device.delete(&name).unwrap();
        let gone = lab.dav.write(&[update()]).await.remove(0);
        assert!(matches!(gone, Outcome::Missing | Outcome::Stale), "{gone:?}");
    }
}

#[tokio::test]
async fn a_bare_refusal_is_mended_once() {
    let lab = Lab::icloud().await;
    lab.server.settings(|settings| settings.write.need_n = false);
    let name = lab.device.add(card("a", "Ann", "").replace("N:Ann;;;;\r\n", ""));
    let before = lab.record(&name).await;
    lab.server.settings(|settings| settings.write.need_n = true);
    let card = Card { note: Some("hello".into()), ..before.body.clone() };
    let what = WriteKind::Update { card, mask: [Field::Note].into_iter().collect() };
    let outcome = lab.dav.write(&[lab.write(1, what.clone(), Some(before))]).await.remove(0);
    assert!(matches!(outcome, Outcome::Landed(_)), "{outcome:?}");
    // What can't be mended is refused with words for a person.
    let before = lab.record(&name).await;
    lab.server.faults(|faults| faults.times(3, Match::method("PUT"), Fault::Refuse(403)));
    let outcome = lab.dav.write(&[lab.write(1, what, Some(before))]).await.remove(0);
    assert!(matches!(&outcome, Outcome::Refused(why) if why.contains("content")), "{outcome:?}");
}

#[tokio::test]
async fn categories_are_edited_in_the_record() {
    let lab = Lab::generic().await;
    let name = lab.device.add(card("a", "Ann", "CATEGORIES:Friends\r\n"));
    let group = || contactd::ids::GroupId::from("Work");
    let before = lab.record(&name).await;
    let join = lab.write(1, WriteKind::Join(group()), Some(before));
    assert!(matches!(lab.dav.write(&[join]).await[0], Outcome::Landed(_)));
    let before = lab.record(&name).await;
    assert_eq!(before.groups.iter().map(|g| g.as_str()).collect::<Vec<_>>(), ["Friends", "Work"]);
    let leave = lab.write(1, WriteKind::Leave("Friends".into()), Some(before));
    assert!(matches!(lab.dav.write(&[leave]).await[0], Outcome::Landed(_)));
    assert_eq!(lab.record(&name).await.groups.iter().map(|g| g.as_str()).collect::<Vec<_>>(), ["Work"]);
    // A new record is in its groups from the start.
    let what = WriteKind::Create { card: person("Bob"), groups: [group()].into() };
    assert!(matches!(lab.dav.write(&[lab.write(7, what, None)]).await[0], Outcome::Landed(_)));
    assert!(lab.record(&name_of(7)).await.groups.contains(&group()));
}

#[tokio::test]
async fn a_new_picture_goes_up_with_its_bytes() {
    let lab = Lab::icloud().await;
    lab.dav.check().await.unwrap();
    let bytes = [&[0xFF, 0xD8, 0xFF, 0xE0][..], &[7; 500]].concat();
    let blob = Blob::new("image/jpeg", bytes.clone());
    let photo = Photo { hash: blob.hash.clone(), media_type: "image/jpeg".into() };
    let what = WriteKind::Create { card: Card { photo: Some(photo), ..person("Ann") }, groups: Default::default() };
    let write = Write { photo: Some(blob.clone()), ..lab.write(1, what, None) };
    assert!(matches!(lab.dav.write(&[write]).await[0], Outcome::Landed(_)));
    let record = lab.record(&name_of(1)).await;
    assert!(record.body.photo.as_ref().unwrap().hash.starts_with("url:"));
    assert_eq!(lab.dav.photo(&record).await.unwrap().unwrap(), blob);
}

#[tokio::test]
async fn deletes_are_guarded() {
    for (form, level) in
        [(EtagForm::Strong, Level::Icloud), (EtagForm::Weak, Level::Kept), (EtagForm::Unquoted, Level::Kept)]
    {
        let mut settings = Settings::icloud();
        settings.xml.etags = form;
        settings.rewrite.level = level;
        let lab = Lab::new(settings).await;
        let name = lab.device.add(card("a", "Ann", ""));
        let before = lab.record(&name).await;
        lab.device.replace(&name, "FN:Ann", "FN:Ann Lee").unwrap();
        let outcome = lab.dav.write(&[lab.write(1, WriteKind::Delete, Some(before))]).await.remove(0);
        assert!(matches!(outcome, Outcome::Stale), "{form:?}: {outcome:?}");
        assert_eq!(lab.device.len(), 1);
        let before = lab.record(&name).await;
        if form == EtagForm::Weak {
            lab.server.settings(|settings| settings.write.heed_if_match = false);
        }
        let delete = || vec![lab.write(1, WriteKind::Delete, Some(before.clone()))];
        lab.server.fault(Match::method("DELETE"), Fault::CutAfter);
        let outcome = lab.dav.write(&delete()).await.remove(0);
        // With a guard it is sent again and found done; without one the question stays open.
        let expected = if form == EtagForm::Weak { "Unknown" } else { "Deleted" };
        assert_eq!(format!("{outcome:?}"), expected, "{form:?}");
        assert_eq!(lab.device.len(), 0);
        assert!(matches!(lab.dav.write(&delete()).await[0], Outcome::Deleted));
    }
}

#[tokio::test]
async fn a_read_only_book_says_so() {
    let mut settings = Settings::generic();
    settings.listing.read_only = true;
    let lab = Lab::new(settings).await;
    assert!(!lab.dav.collections().await.unwrap()[0].writable);
    let outcome = lab.dav.write(&[lab.write(1, create("Ann"), None)]).await.remove(0);
    let Outcome::Refused(why) = &outcome else { panic!("{outcome:?}") };
    assert!(why.contains("read-only"));
}

#[tokio::test]
async fn one_refused_card_does_not_stop_the_rest() {
    let lab = Lab::icloud().await;
    lab.dav.check().await.unwrap();
    let big = Card { note: Some("x".repeat(300_000)), ..person("Big") };
    let writes = [
        lab.write(1, create("Ann"), None),
        lab.write(2, WriteKind::Create { card: big, groups: Default::default() }, None),
        lab.write(3, create("Bob"), None),
    ];
    let outcomes = lab.dav.write(&writes).await;
    assert!(matches!(outcomes[..], [Outcome::Landed(_), Outcome::Refused(_), Outcome::Landed(_)]), "{outcomes:?}");
    let Outcome::Refused(why) = &outcomes[1] else { panic!() };
    assert!(why.contains("too big"), "{why}");
}

#[tokio::test]
async fn a_book_that_is_not_there_has_lost_no_records() {
    let lab = Lab::generic().await;
    let name = lab.device.add(card("a", "Ann", ""));
    let before = lab.record(&name).await;
    let card = Card { note: Some("hello".into()), ..before.body.clone() };
    let update = WriteKind::Update { card, mask: [Field::Note].into_iter().collect() };
    for what in [update, WriteKind::Delete, create("Bob")] {
        for status in [404, 410, 421] {
            lab.server.faults(|faults| faults.times(9, Match::default(), Fault::Refuse(status)));
            let outcome = lab.dav.write(&[lab.write(1, what.clone(), Some(before.clone()))]).await.remove(0);
            assert!(matches!(outcome, Outcome::NotTried), "{what:?} {status}: {outcome:?}");
            lab.server.faults(|faults| faults.heal());
        }
    }
}

#[tokio::test]
async fn a_wait_ends_the_batch_without_doubt() {
    let lab = Lab::icloud().await;
    lab.dav.check().await.unwrap();
    lab.server.fault(Match::method("PUT"), Fault::Throttle { status: 429, retry_after: RetryAfter::Seconds(900) });
    let writes: Vec<_> = (1..=3).map(|n| lab.write(n, create("Ann"), None)).collect();
    let mark = lab.server.mark();
    let outcomes = lab.dav.write(&writes).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::NotTried)), "{outcomes:?}");
    assert_eq!(lab.asked(mark, ""), 1);
}

#[tokio::test]
async fn many_join_by_one_write() {
    let lab = Lab::icloud().await;
    let group = lab.device.add_group("g", "Board", &["kontakt-12", "leaver"]);
    let id = || contactd::ids::GroupId(lab.id(&group).0);
    let mut writes: Vec<_> = (1..=5).map(|n| lab.write(n, create("Ann"), None)).collect();
    for n in 1..=5 {
        writes.push(lab.write(n, WriteKind::Join(id()), None));
    }
    lab.device.add(card("leaver", "Leaver", ""));
    let leaver = lab.device.find("leaver").remove(0);
    let leaver = lab.record(&leaver).await;
    writes.push(lab.write(9, WriteKind::Leave(id()), Some(leaver)));
    let mark = lab.server.mark();
    let outcomes = lab.dav.write(&writes).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Landed(_))), "{outcomes:?}");
    let Outcome::Landed(at) = &outcomes[7] else { panic!() };
    assert_eq!(at.id.as_str(), id().as_str());
    assert_eq!(lab.server.ask(|journal| (journal.creates(mark), journal.updates(mark))), (5, 1));
    let members = lab.device.members(&group);
    assert_eq!(members.len(), 6);
    assert!(members.contains(&"kontakt-12".to_owned()) && !members.contains(&"leaver".to_owned()));
    // A record that was not created does not join.
    lab.server.faults(|faults| faults.times(4, Match::method("PUT"), Fault::Refuse(415)));
    let late = [lab.write(7, create("Bob"), None), lab.write(7, WriteKind::Join(id()), None)];
    let late = lab.dav.write(&late).await;
    assert!(matches!(late[..], [Outcome::Refused(_), Outcome::NotTried]), "{late:?}");
    lab.server.faults(|faults| faults.heal());
    // Once more changes nothing.
    let mark = lab.server.mark();
    let again = lab.dav.write(&writes[5..]).await;
    assert!(again.iter().all(|outcome| matches!(outcome, Outcome::Landed(_))));
    assert_eq!(lab.asked(mark, "PUT"), 0);
}

#[tokio::test]
async fn a_group_that_others_change_keeps_their_members() {
    let lab = Lab::icloud().await;
    let group = lab.device.add_group("g", "Board", &[]);
    let id = contactd::ids::GroupId(lab.id(&group).0);
    lab.dav.check().await.unwrap();
    // Our first write is refused as outdated, as if someone else had been faster.
    lab.server.fault(Match::method("PUT"), Fault::Refuse(412));
    let outcome = lab.dav.write(&[lab.write(1, WriteKind::Join(id.clone()), None)]).await.remove(0);
    assert!(matches!(outcome, Outcome::Landed(_)), "{outcome:?}");
    lab.server.fault(Match::method("PUT"), Fault::CutAfter);
    let outcome = lab.dav.write(&[lab.write(2, WriteKind::Join(id.clone()), None)]).await.remove(0);
    assert!(matches!(outcome, Outcome::Landed(_)), "{outcome:?}");
    assert_eq!(lab.device.members(&group).len(), 2);
    lab.device.delete(&group).unwrap();
    let outcome = lab.dav.write(&[lab.write(3, WriteKind::Join(id), None)]).await.remove(0);
    assert!(matches!(outcome, Outcome::Missing), "{outcome:?}");
}

/// No send starts unless the lease outlasts it (reconciliation B).
#[tokio::test]
async fn what_comes_too_late_is_not_begun() {
    let lab = Lab::icloud().await;
    lab.dav.check().await.unwrap();
    let mark = lab.server.mark();
    let late = Write { by: Timestamp(0), ..lab.write(1, create("Ann"), None) };
    assert!(matches!(lab.dav.write(&[late]).await[0], Outcome::NotTried));
    assert_eq!(lab.asked(mark, "PUT"), 0);
}
