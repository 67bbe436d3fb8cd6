//! Merging people, and possible duplicates.

use super::app::{TestApp, card};
use super::{ICLOUD, ME, card_of, rest, text};

fn emails(app: &TestApp, person: &str) -> Vec<String> {
    let card = card_of(app, person);
    card["emails"].as_array().into_iter().flatten().map(|e| text(&e["value"]).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn h25_two_records_of_one_account_become_one_person() {
    let app = TestApp::new().await;
    let device = app.device(ICLOUD);
    for n in 1..=12 {
        device.add(card(&format!("u{n}"), &format!("Given{n}"), "Example"));
    }
    app.connect(ICLOUD, &[]);
    let (one, two) = (app.person("Given1 Example"), app.person("Given2 Example"));
    app.cli(&["people", "edit", &two, "--company", "Example Ltd"]).json();
    rest(&app, &[ICLOUD]);
    let mark = app.icloud.mark();
    let shown = app.cli(&["people", "merge", &one, &two, "--preview"]).json();
    assert_eq!((&shown["done"], app.people().len()), (&false.into(), 12));
    assert_eq!(shown["links"][0]["state"], "redundant", "{shown}");
    assert!(!shown["clashes"].as_array().unwrap().is_empty(), "two given names: {shown}");
    let done = app.cli(&["people", "merge", &one, &two, "--yes"]).json();
    assert_eq!(app.people().len(), 11);
    rest(&app, &[ICLOUD]);
    assert_eq!(emails(&app, &one), ["u1@example.com", "u2@example.com"]);
    assert_eq!(card_of(&app, &one)["given"], "Given1");
    assert_eq!(device.len(), 12, "no record is deleted");
    let first = device.text(&device.find("u1")[0]).unwrap();
    assert!(
        first.contains("u2@example.com") && first.contains("Example Ltd"),
        "the survivor's record takes over: {first}"
    );
    let second = device.find("u2").remove(0);
    assert!(!device.text(&second).unwrap().contains("u1@example.com"), "nothing goes into the redundant one");
    let why = app.cli(&["why", &one]).json();
    let states: Vec<_> = why.as_array().unwrap().iter().map(|w| text(&w["link"]).to_owned()).collect();
    assert!(states.contains(&"live".to_owned()) && states.contains(&"redundant".to_owned()), "{why}");
    // Its history is the survivor's too.
    let history = app.cli(&["people", "history", &one]).json().to_string();
    assert!(history.contains("merged with") && history.contains("Example Ltd"), "{history}");

    // Edits of the other record reach the survivor.
    device.replace(&second, "u2@example.com", "new@example.com").unwrap();
    rest(&app, &[ICLOUD]);
    assert_eq!(emails(&app, &one), ["u1@example.com", "new@example.com"]);
    assert_eq!(app.cli(&["conflicts", "list"]).json().as_array().unwrap().len(), 0);

    // Undone: each has its record again, and nobody's edit is lost or sent where it does not belong.
    app.cli(&["undo", text(&done["operation"]), "--yes"]).json();
    rest(&app, &[ICLOUD]);
    assert_eq!(app.people().len(), 12);
    assert_eq!(emails(&app, &two), ["new@example.com"], "what was edited in its record is its own");
    let first = device.text(&device.find("u1")[0]).unwrap();
    assert!(first.contains("u1@example.com") && !first.contains("u2@example.com"), "{first}");
    let again = device.text(&second).unwrap();
    assert!(again.contains("new@example.com") && !again.contains("u1@example.com"), "{again}");
    assert_eq!(app.icloud.ask(|journal| journal.creates(mark)), 0);
    app.cli(&["people", "edit", &two, "--note", "alone again"]).json();
    rest(&app, &[ICLOUD]);
    assert!(device.text(&second).unwrap().contains("alone again"));

    // Merged anew by undoing the undo's place: then the delete of the redundant record ends only its link.
    app.cli(&["people", "merge", &one, &two, "--yes"]).json();
    rest(&app, &[ICLOUD]);
    device.delete(&second).unwrap();
    rest(&app, &[ICLOUD]);
    assert_eq!((app.people().len(), device.len()), (11, 11));
    let survivor = app.cli(&["people", "show", &one]).json();
    assert_eq!(survivor["person"]["state"]["is"], "live", "{survivor}");
}

#[tokio::test(flavor = "multi_thread")]
async fn links_of_other_accounts_go_to_the_survivor_and_back() {
    let app = TestApp::new().await;
    let (icloud, me) = (app.device(ICLOUD), app.device(ME));
    for n in 0..8 {
        icloud.add(card(&format!("i{n}"), &format!("Cloud{n}"), "Example"));
        me.add(card(&format!("m{n}"), &format!("Mine{n}"), "Example"));
    }
    app.connect(ICLOUD, &["--push", "linked"]);
    app.connect(ME, &["--push", "linked"]);
    let (one, two) = (app.person("Cloud1 Example"), app.person("Mine1 Example"));
    let done = app.cli(&["people", "merge", &one, &two, "--yes"]).json();
    rest(&app, &[ICLOUD, ME]);
    let there = |device: &mock_providers::carddav::Device, uid: &str| device.text(&device.find(uid)[0]).unwrap();
    for card in [there(&icloud, "i1"), there(&me, "m1")] {
        assert!(card.contains("i1@example.com") && card.contains("m1@example.com"), "{card}");
        assert!(card.contains("Cloud1"), "{card}");
    }
    app.cli(&["undo", text(&done["operation"]), "--yes"]).json();
    rest(&app, &[ICLOUD, ME]);
    assert!(there(&me, "m1").contains("Mine1") && !there(&me, "m1").contains("i1@example.com"));
    assert!(there(&icloud, "i1").contains("Cloud1") && !there(&icloud, "i1").contains("m1@example.com"));
    assert_eq!((icloud.len(), me.len(), app.people().len()), (8, 8, 16));
    assert_eq!(app.cli(&["people", "merge", &one, &one, "--yes"]).code, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_restored_after_a_merge_gets_the_records_back() {
    let app = TestApp::new().await;
    let device = app.device(ICLOUD);
    for n in 1..=8 {
        device.add(card(&format!("u{n}"), &format!("Given{n}"), "Example"));
    }
    app.connect(ICLOUD, &[]);
    let (one, two) = (app.person("Given1 Example"), app.person("Given2 Example"));
    app.cli(&["people", "merge", &one, &two, "--yes"]).json();
    rest(&app, &[ICLOUD]);
    let mark = app.icloud.mark();
    app.cli(&["trash", "restore", &two]).json();
    rest(&app, &[ICLOUD]);
    assert_eq!((app.people().len(), device.len()), (8, 8), "nobody is made beside the record that there is");
    assert_eq!(app.icloud.ask(|journal| journal.creates(mark)), 0);
    assert_eq!(
        (emails(&app, &one), emails(&app, &two)),
        (vec!["u1@example.com".into()], vec!["u2@example.com".into()])
    );
    app.cli(&["people", "edit", &two, "--note", "back again"]).json();
    rest(&app, &[ICLOUD]);
    assert!(device.text(&device.find("u2")[0]).unwrap().contains("back again"));
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_13_possible_duplicates_are_merged_or_dismissed() {
    let app = TestApp::new().await;
    let device = app.device(ICLOUD);
    let mut twins = Vec::new();
    for uid in ["a", "b"] {
        device.add(card(uid, &format!("Twin-{uid}"), "Example"));
        for note in ["one", "two"] {
            let (given, email) = (format!("Twin-{uid}"), format!("{uid}@example.com"));
            let added = app.cli(&[
                "people",
                "add",
                "--given",
                &given,
                "--family",
                "Example",
                "--email",
                &email,
                "--note",
                note,
                "--owner",
                "ann@example.com",
            ]);
            twins.push(text(&added.json()["person"]["id"]).to_owned());
        }
    }
    app.connect(ICLOUD, &[]);
    assert_eq!((app.people().len(), device.len()), (4, 2), "what is in question is neither imported nor sent");
    let listed = app.cli(&["duplicates", "list"]);
    assert_eq!(listed.code, 3, "something waits for a person");
    let listed = listed.json();
    assert_eq!(listed.as_array().unwrap().len(), 2, "{listed}");
    assert_eq!(listed[0]["people"].as_array().unwrap().len(), 2, "{listed}");
    assert_eq!(app.cli(&["status"]).json()["all"]["duplicates"], 2);
    let remote = |name: &str| {
        let found = listed.as_array().unwrap().iter().find(|d| d["name"] == name).unwrap();
        text(&found["remote"]).to_owned()
    };
    let (a, b) = (remote("Twin-a Example"), remote("Twin-b Example"));
    let why = app.cli(&["why", &a]).json();
    assert!(text(&why[0]["says"]).contains("duplicates list"), "{why}");

    // The record is the second of the first two: it takes over the note, and the other one is sent as somebody else.
    app.cli(&["duplicates", "merge", ICLOUD, &a, &twins[1]]).json();
    rest(&app, &[ICLOUD]);
    assert!(device.text(&device.find("a")[0]).unwrap().contains("NOTE:two"));
    // The other record is neither of them: it is imported, and both are sent.
    app.cli(&["duplicates", "dismiss", ICLOUD, &b]).json();
    rest(&app, &[ICLOUD]);
    assert_eq!(app.cli(&["duplicates", "list"]).json().as_array().unwrap().len(), 0);
    assert_eq!((app.people().len(), device.len()), (5, 5));
    assert_eq!(app.cli(&["duplicates", "dismiss", ICLOUD, &b]).code, 1, "nothing waits there any more");
    rest(&app, &[ICLOUD]);
    assert_eq!((app.people().len(), device.len()), (5, 5), "and it is remembered");
}
