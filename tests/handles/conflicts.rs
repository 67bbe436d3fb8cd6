//! Conflicts: policy `ask` gets its way to choose, and what stands can be chosen otherwise later.

use serde_json::Value;

use super::app::{TestApp, card};
use super::{ICLOUD, card_of, rest, text};

/// The one conflict of that person.
fn only(app: &TestApp, person: &str) -> Value {
    let all = app.cli(&["conflicts", "list"]).json();
    let mut found: Vec<_> = all.as_array().unwrap().iter().filter(|c| c["person"] == person).cloned().collect();
    assert_eq!(found.len(), 1, "{all}");
    found.remove(0)
}

fn open(app: &TestApp) -> usize {
    app.cli(&["conflicts", "list"]).json().as_array().unwrap().len()
}

/// Both sides say something else in the note.
fn both_change(app: &TestApp, uid: &str, person: &str, here: &str, there: &str) {
    let device = app.device(ICLOUD);
    let name = device.find(uid).remove(0);
    device.replace(&name, "EMAIL;", &format!("NOTE:{there}\r\nEMAIL;")).unwrap();
    app.cli(&["people", "edit", person, "--note", here]).json();
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_05_ask_waits_for_a_choice() {
    let app = TestApp::new().await;
    let device = app.device(ICLOUD);
    for n in 0..4 {
        device.add(card(&format!("u{n}"), &format!("Given{n}"), "Example"));
    }
    app.connect(ICLOUD, &["--conflicts", "ask"]);
    let ids: Vec<String> = (0..4).map(|n| app.person(&format!("Given{n} Example"))).collect();
    for (n, id) in ids.iter().enumerate() {
        both_change(&app, &format!("u{n}"), id, &format!("here {n}"), &format!("there {n}"));
    }
    let tally = app.refresh(ICLOUD);
    assert_eq!((&tally["conflicts"], open(&app)), (&4.into(), 4));
    // Seen again it is the same one; a later edit takes its side's place; the rest of the record flows.
    assert_eq!(app.refresh(ICLOUD)["conflicts"], 0);
    app.cli(&["people", "edit", &ids[0], "--note", "here and later", "--title", "Engineer"]).json();
    let name = device.find("u0").remove(0);
    device.replace(&name, "there 0", "there and later").unwrap();
    rest(&app, &[ICLOUD]);
    let clash = only(&app, &ids[0])["clash"].clone();
    assert!(
        clash["ours"].to_string().contains("here and later") && clash["theirs"].to_string().contains("there and later")
    );
    assert_eq!(clash["stands"], "undecided");
    assert!(device.text(&name).unwrap().contains("Engineer"));
    let why = app.cli(&["why", &ids[0]]).json();
    assert_eq!(why[0]["conflicts"][0]["id"], only(&app, &ids[0])["id"], "{why}");

    let choose = |n: usize, how: &[&str]| {
        let id = text(&only(&app, &ids[n])["id"]).to_owned();
        app.cli(&[&["conflicts", "resolve", &id], how].concat()).json();
    };
    choose(0, &["--keep", "crm"]);
    choose(1, &["--keep", "provider"]);
    choose(2, &["--value", "both of us"]);
    choose(3, &["--value", ""]);
    assert_eq!(open(&app), 0);
    rest(&app, &[ICLOUD]);
    let note = |n: usize| card_of(&app, &ids[n])["note"].as_str().map(str::to_owned);
    assert_eq!(note(0).as_deref(), Some("here and later"));
    assert_eq!(note(1).as_deref(), Some("there 1"));
    assert_eq!(note(2).as_deref(), Some("both of us"));
    assert_eq!(note(3), None);
    let there = |n: usize| device.text(&device.find(&format!("u{n}"))[0]).unwrap();
    assert!(there(0).contains("here and later") && there(2).contains("both of us") && !there(3).contains("NOTE"));
    assert!(there(1).contains("there 1"));
    assert_eq!(open(&app), 0, "and none comes up again");

    // Both sides come to say the same by themselves: nothing waits any more.
    app.cli(&["people", "edit", &ids[1], "--note", "one"]).json();
    device.replace(&device.find("u1")[0], "there 1", "two").unwrap();
    app.refresh(ICLOUD);
    assert_eq!(open(&app), 1);
    app.cli(&["people", "edit", &ids[1], "--note", "two"]).json();
    rest(&app, &[ICLOUD]);
    assert_eq!(open(&app), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_05_of_two_in_one_list_each_is_chosen_by_itself() {
    let app = TestApp::new().await;
    let device = app.device(ICLOUD);
    let two = card("u1", "Given1", "Example")
        .replace("END:VCARD", "TEL;type=WORK:+12125550101\r\nTEL;type=HOME:+12125550102\r\nEND:VCARD");
    device.add(two);
    app.connect(ICLOUD, &["--conflicts", "ask"]);
    let id = app.person("Given1 Example");
    let name = device.find("u1").remove(0);
    device.replace(&name, "+12125550101", "+12125550201").unwrap();
    device.replace(&name, "+12125550102", "+12125550202").unwrap();
    let mut phones = card_of(&app, &id)["phones"].clone();
    for phone in phones.as_array_mut().unwrap() {
        phone["value"] = text(&phone["value"]).replace("555010", "555030").into();
    }
    app.cli(&["people", "edit", &id, "--field", &format!("phones={phones}")]).json();
    app.refresh(ICLOUD);
    let all = app.cli(&["conflicts", "list"]).json();
    assert_eq!(all.as_array().unwrap().len(), 2, "{all}");
    let of = |end: &str| {
        let found = all.as_array().unwrap().iter().find(|c| c["clash"]["ours"].to_string().contains(end)).unwrap();
        text(&found["id"]).to_owned()
    };
    app.cli(&["conflicts", "resolve", &of("5550301"), "--keep", "crm"]).json();
    rest(&app, &[ICLOUD]);
    assert_eq!(open(&app), 1, "the other one still waits");
    app.cli(&["conflicts", "resolve", &of("5550302"), "--keep", "provider"]).json();
    rest(&app, &[ICLOUD]);
    let there = device.text(&name).unwrap();
    assert!(there.contains("5550301") && there.contains("5550202"), "{there}");
    let here = card_of(&app, &id)["phones"].to_string();
    assert!(here.contains("5550301") && here.contains("5550202"), "{here}");
    assert_eq!(open(&app), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_05_what_stands_is_chosen_otherwise_later() {
    let app = TestApp::new().await;
    let device = app.device(ICLOUD);
    device.add(card("u1", "Given1", "Example"));
    app.connect(ICLOUD, &["--conflicts", "provider"]);
    let id = app.person("Given1 Example");
    both_change(&app, "u1", &id, "here", "there");
    rest(&app, &[ICLOUD]);
    assert_eq!(card_of(&app, &id)["note"], "there");
    let conflict = text(&only(&app, &id)["id"]).to_owned();
    let shown = app.cli(&["conflicts", "show", &conflict]).json();
    assert_eq!(shown["clash"]["stands"], "theirs");
    assert_eq!(app.cli(&["conflicts", "resolve", &conflict]).code, 2, "a choice must be named");
    app.cli(&["conflicts", "resolve", &conflict, "--keep", "crm"]).json();
    rest(&app, &[ICLOUD]);
    assert!(device.text(&device.find("u1")[0]).unwrap().contains("NOTE:here"));
    assert_eq!(app.cli(&["conflicts", "resolve", &conflict, "--keep", "crm"]).code, 1, "it was dealt with");
    assert_eq!(app.cli(&["conflicts", "show", "0193a5b2-7c1e-7000-8000-000000000001"]).code, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_06_an_edit_that_beat_a_deletion_can_be_taken_back() {
    let app = TestApp::new().await;
    let device = app.device(ICLOUD);
    for n in 0..12 {
        device.add(card(&format!("u{n}"), &format!("Given{n}"), "Example"));
    }
    app.connect(ICLOUD, &[]);
    let ids: Vec<String> = (0..4).map(|n| app.person(&format!("Given{n} Example"))).collect();
    for (n, id) in ids.iter().enumerate().take(2) {
        app.cli(&["people", "edit", id, "--note", "edited here"]).json();
        device.delete(&device.find(&format!("u{n}"))[0]).unwrap();
    }
    for (n, id) in ids.iter().enumerate().skip(2) {
        app.cli(&["people", "delete", id]).json();
        device.replace(&device.find(&format!("u{n}"))[0], "EMAIL;", "NOTE:edited there\r\nEMAIL;").unwrap();
    }
    rest(&app, &[ICLOUD]);
    assert_eq!((app.people().len(), device.len(), open(&app)), (12, 12, 4), "every edit won");
    let resolve = |n: usize, keep: &str| {
        let id = text(&only(&app, &ids[n])["id"]).to_owned();
        assert_eq!(app.cli(&["conflicts", "resolve", &id, "--value", "x"]).code, 1, "there is no third way");
        app.cli(&["conflicts", "resolve", &id, "--keep", keep]).json();
    };
    resolve(0, "provider"); // the deletion there
    resolve(1, "crm");
    resolve(2, "crm"); // the deletion here
    resolve(3, "provider");
    rest(&app, &[ICLOUD]);
    assert_eq!((app.people().len(), device.len(), open(&app)), (10, 10, 0));
    assert_eq!(app.cli(&["trash", "list"]).json().as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_11_in_one_way_an_edit_there_of_the_trashed_shows_once() {
    let app = TestApp::new().await;
    let device = app.device(ICLOUD);
    for n in 0..12 {
        device.add(card(&format!("u{n}"), &format!("Given{n}"), "Example"));
    }
    app.connect(ICLOUD, &["--direction", "one_way"]);
    let ids: Vec<String> = (0..2).map(|n| app.person(&format!("Given{n} Example"))).collect();
    for (n, id) in ids.iter().enumerate() {
        app.cli(&["people", "delete", id]).json();
        device.replace(&device.find(&format!("u{n}"))[0], "EMAIL;", "NOTE:edited there\r\nEMAIL;").unwrap();
    }
    assert_eq!(app.refresh(ICLOUD)["conflicts"], 2);
    device.replace(&device.find("u0")[0], "edited there", "edited there again").unwrap();
    assert_eq!(app.refresh(ICLOUD)["conflicts"], 0, "it stands in the list already");
    assert_eq!(open(&app), 2);
    app.cli(&["conflicts", "resolve", text(&only(&app, &ids[0])["id"]), "--keep", "crm"]).json();
    app.cli(&["conflicts", "resolve", text(&only(&app, &ids[1])["id"]), "--keep", "provider"]).json();
    rest(&app, &[ICLOUD]);
    assert_eq!((app.people().len(), open(&app)), (11, 0), "one stays in the trash, one is back");
    assert_eq!(card_of(&app, &ids[1])["note"], "edited there");
    // Only a further edit there shows again.
    device.replace(&device.find("u0")[0], "edited there again", "a third time").unwrap();
    assert_eq!(app.refresh(ICLOUD)["conflicts"], 1);
}
