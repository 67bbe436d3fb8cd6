//! Undo: of an import, an update, a deletion, one field; shown first, itself undone.

use super::app::{TestApp, card};
use super::{ICLOUD, ME, card_of, rest, run_with, text};

#[tokio::test(flavor = "multi_thread")]
async fn h12_the_wrong_group_is_undone() {
    let app = TestApp::new().await;
    let device = app.device(ICLOUD);
    let uids: Vec<String> = (0..150).map(|n| format!("u{n}")).collect();
    for uid in &uids {
        device.add(card(uid, &format!("Given-{uid}"), "Example"));
    }
    device.add(card("other", "Other", "Example"));
    device.add_group("g1", "Wrong", &uids.iter().map(String::as_str).collect::<Vec<_>>());
    app.connect(ICLOUD, &["--group", "Wrong"]);
    assert_eq!(app.people().len(), 150);
    let (before, mark) = (device.len(), app.icloud.mark());

    // Shown first, and nobody is gone by that.
    let run = run_with(&app, "added", 150);
    let shown = app.cli(&["undo", &run, "--preview"]).json();
    let rows = shown["rows"].as_array().unwrap();
    assert_eq!((rows.len(), &shown["done"]), (150, &false.into()));
    assert!(rows.iter().all(|row| row["does"] == serde_json::json!(["unlink", "delete here"])), "{}", rows[0]);
    assert_eq!(app.people().len(), 150);
    let unanswered = app.plain(&["undo", &run]);
    assert_eq!(unanswered.code, 3, "nobody is there to say yes: {unanswered:?}");

    let done = app.cli(&["undo", &run, "--yes"]).json();
    assert_eq!(app.people().len(), 0);
    rest(&app, &[ICLOUD]);
    // None is gone from the address book, and none comes again, not even by an edit there.
    device.replace(&device.find("u7")[0], "Given-u7", "Edited").unwrap();
    rest(&app, &[ICLOUD]);
    assert_eq!((app.people().len(), device.len()), (0, before));
    assert_eq!(app.icloud.ask(|journal| journal.writes(mark)), 0);

    // The undo is undone by its id: everybody is back, over the same links, with what was edited meanwhile.
    app.cli(&["undo", text(&done["operation"]), "--yes"]).json();
    rest(&app, &[ICLOUD]);
    assert_eq!((app.people().len(), device.len()), (150, before));
    app.person("Edited Example");
    assert_eq!(app.icloud.ask(|journal| journal.writes(mark)), 0);
    let verified = app.cli(&["verify", ICLOUD]).json();
    assert_eq!(verified["differences"].as_array().unwrap().len(), 0, "{verified}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_19_what_we_created_elsewhere_goes_with_it_and_what_others_hold_stays() {
    let app = TestApp::new().await;
    let (icloud, me) = (app.device(ICLOUD), app.device(ME));
    for n in 0..40 {
        me.add(card(&format!("me{n}"), &format!("Mine{n}"), "Example"));
    }
    app.connect(ME, &[]);
    for n in 0..4 {
        icloud.add(card(&format!("u{n}"), &format!("Given{n}"), "Example"));
    }
    app.connect(ICLOUD, &["--push", "linked"]);
    rest(&app, &[ICLOUD, ME]);
    assert_eq!((app.people().len(), me.len()), (44, 44), "the four were sent to the other book");
    // One of them is edited by a person since.
    app.cli(&["people", "edit", &app.person("Given3 Example"), "--note", "met her"]).json();
    rest(&app, &[ICLOUD, ME]);

    let run = run_with(&app, "added", 4);
    let shown = app.cli(&["undo", &run, "--preview"]).json();
    let kept: Vec<_> =
        shown["rows"].as_array().unwrap().iter().filter(|row| !row["notes"].as_array().unwrap().is_empty()).collect();
    assert_eq!(kept.len(), 1, "{shown}");
    assert!(text(&kept[0]["notes"][0]).contains("edited by somebody else since"), "{shown}");
    app.cli(&["undo", &run, "--yes"]).json();
    rest(&app, &[ICLOUD, ME]);
    assert_eq!((icloud.len(), me.len()), (4, 41), "three copies of ours are gone, nothing else is");
    assert_eq!(app.people().len(), 41);
    app.person("Given3 Example");
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_19_an_update_is_sent_back_and_later_edits_survive() {
    let app = TestApp::new().await;
    let device = app.device(ICLOUD);
    device.add(card("u1", "Given1", "Example"));
    app.connect(ICLOUD, &[]);
    let id = app.person("Given1 Example");
    let name = device.find("u1").remove(0);
    device.replace(&name, "EMAIL;", "NOTE:wrong note\r\nEMAIL;").unwrap();
    device.replace(&name, "u1@example.com", "wrong@example.com").unwrap();
    app.refresh(ICLOUD);
    let run = run_with(&app, "updated", 1);
    app.cli(&["people", "edit", &id, "--phone", "mobile=+1 212 555 0105"]).json();
    rest(&app, &[ICLOUD]);

    let shown = app.cli(&["undo", &run, "--preview"]).json();
    assert_eq!(
        shown["rows"][0]["does"],
        serde_json::json!(["change here", "send"]),
        "the preview says that it is sent"
    );
    assert_eq!(shown["rows"][0]["here"].as_array().unwrap().len(), 2, "{shown}");
    let done = app.cli(&["undo", &run, "--yes"]).json();
    rest(&app, &[ICLOUD]);
    let now = card_of(&app, &id);
    assert_eq!(now["emails"][0]["value"], "u1@example.com", "{now}");
    assert!(now.get("note").is_none() && now["phones"].as_array().unwrap().len() == 1, "{now}");
    let there = device.text(&name).unwrap();
    assert!(there.contains("u1@example.com") && there.contains("555") && !there.contains("wrong"), "{there}");

    // And back again.
    app.cli(&["undo", text(&done["operation"]), "--yes"]).json();
    rest(&app, &[ICLOUD]);
    assert!(device.text(&name).unwrap().contains("wrong note"));
    assert_eq!(card_of(&app, &id)["emails"][0]["value"], "wrong@example.com");
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_19_one_field_of_a_person_or_what_was_last_done() {
    let app = TestApp::new().await;
    let added = app.cli(&["people", "add", "--given", "Pat", "--note", "first", "--owner", "ann@example.com"]).json();
    let id = text(&added["person"]["id"]).to_owned();
    app.cli(&["people", "edit", &id, "--note", "second", "--given", "Patricia"]).json();
    app.cli(&["people", "edit", &id, "--family", "Example"]).json();
    app.cli(&["undo", "--person", &id, "--field", "note", "--yes"]).json();
    let now = card_of(&app, &id);
    assert_eq!((&now["note"], &now["given"], &now["family"]), (&"first".into(), &"Patricia".into(), &"Example".into()));
    // The last thing that was done is that undo; undoing it is redo.
    app.cli(&["undo", "--person", &id, "--yes"]).json();
    assert_eq!(card_of(&app, &id)["note"], "second");
    let never = app.cli(&["undo", "--person", &id, "--field", "birthday", "--yes"]);
    assert!(never.code == 1 && never.err.contains("birthday was not changed"), "{never:?}");

    // What was changed again since stays, and it is said.
    let history = app.cli(&["people", "history", &id]).json();
    let says_given = |row: &&serde_json::Value| row["changes"][0]["fields"].to_string().contains("given");
    let edit = history.as_array().unwrap().iter().find(says_given);
    let operation = text(&edit.unwrap()["operation"]).to_owned();
    app.cli(&["people", "edit", &id, "--note", "third"]).json();
    let shown = app.cli(&["undo", &operation, "--yes"]).json();
    let now = card_of(&app, &id);
    assert_eq!((&now["note"], &now["given"]), (&"third".into(), &"Pat".into()));
    assert!(text(&shown["rows"][0]["notes"][0]).contains("changed again since"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_19_a_deletion_is_undone_by_run_or_since_a_time() {
    let app = TestApp::new().await;
    let device = app.device(ICLOUD);
    let names: Vec<String> =
        (0..30).map(|n| device.add(card(&format!("u{n}"), &format!("Given{n}"), "Example"))).collect();
    app.connect(ICLOUD, &[]);
    device.delete(&names[3]).unwrap();
    app.refresh(ICLOUD);
    assert_eq!(app.people().len(), 29);
    app.cli(&["undo", &run_with(&app, "deleted", 1), "--yes"]).json();
    rest(&app, &[ICLOUD]);
    assert_eq!((app.people().len(), device.len()), (30, 30), "restored, and made anew there");

    // Since a time: the first sync is in it too, unless the time says otherwise.
    let start = app.cli(&["runs", "list"]).json();
    let start = start.as_array().unwrap().iter().map(|run| run["ended"].as_i64().unwrap()).max().unwrap();
    let since = jiff::Timestamp::from_millisecond(start + 1).unwrap().to_string();
    device.delete(&names[5]).unwrap();
    device.replace(&names[6], "Given6", "Changed").unwrap();
    app.refresh(ICLOUD);
    let shown = app.cli(&["undo", "--account", ICLOUD, "--since", &since, "--preview"]).json();
    assert_eq!(shown["rows"].as_array().unwrap().len(), 2, "{shown}");
    app.cli(&["undo", "--account", ICLOUD, "--since", &since, "--yes"]).json();
    rest(&app, &[ICLOUD]);
    assert_eq!((app.people().len(), device.len()), (30, 30));
    assert!(device.text(&names[6]).unwrap().contains("Given6"));
    assert_eq!(app.cli(&["undo", "--account", ICLOUD, "--since", "yesterday", "--yes"]).code, 1);
    assert_eq!(app.cli(&["undo", "--account", ICLOUD]).code, 2, "since when?");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_undoes_what_is_not_theirs() {
    let app = TestApp::new().await;
    app.cli(&["users", "add", "bob@example.com", "--name", "Bob Example"]).json();
    app.device(ICLOUD).add(card("u1", "Given1", "Example"));
    app.connect(ICLOUD, &[]);
    let (run, id) = (run_with(&app, "added", 1), app.person("Given1 Example"));
    let bob = |args: &[&str]| app.cli(&[args, &["--as", "bob@example.com"]].concat()).code;
    assert_eq!(bob(&["undo", &run, "--yes"]), 1);
    assert_eq!(bob(&["undo", "--person", &id, "--yes"]), 1);
    assert_eq!(bob(&["undo", "--account", ICLOUD, "--since", "1d", "--yes"]), 1);
    let operation = text(&app.cli(&["people", "history", &id]).json()[0]["operation"]).to_owned();
    assert_eq!(bob(&["undo", &operation, "--yes"]), 1);
    assert_eq!(bob(&["undo", "--person", &id, "--yes"]), 1);
    assert_eq!(app.people().len(), 1);
    // Whom Bob may see and edit, he may undo; Ann's link to her address book is none of his business, and so she stays.
    app.cli(&["people", "follow", &id, "bob@example.com"]).json();
    let shown = app.cli(&["undo", &operation, "--yes", "--as", "bob@example.com"]).json();
    assert!(shown.to_string().contains("somebody else's address book stays"), "{shown}");
    assert_eq!(app.people().len(), 1);
    assert_eq!(app.cli(&["people", "show", &id]).json()["links"][0]["state"], "live");
    app.cli(&["people", "delete", &id]).json();
    assert_eq!(bob(&["trash", "purge", &id, "--yes"]), 1, "that is for its owner");
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_19_what_was_sent_by_mistake_is_taken_back_there_under_the_guard() {
    let app = TestApp::new().await;
    let device = app.device(ICLOUD);
    for n in 0..30 {
        device.add(card(&format!("u{n}"), &format!("Given{n}"), "Example"));
    }
    app.connect(ICLOUD, &[]);
    for n in 0..4 {
        let given = format!("Sent{n}");
        app.cli(&["people", "add", "--given", &given, "--family", "Example", "--owner", "ann@example.com"]).json();
    }
    rest(&app, &[ICLOUD]);
    assert_eq!((app.people().len(), device.len()), (34, 34));
    let runs = app.cli(&["runs", "list"]).json();
    let sent = runs.as_array().unwrap().iter().find(|run| run["tally"]["there"]["added"] == 4).unwrap();
    // One of the four is edited there since: that one stays there.
    let name = device.names().into_iter().find(|name| device.text(name).unwrap().contains("Sent3")).unwrap();
    device.replace(&name, "FN:Sent3 Example", "FN:Sent3 Edited").unwrap();
    app.refresh(ICLOUD);
    let run = text(&sent["id"]).to_owned();
    let shown = app.cli(&["undo", &run, "--preview"]).json();
    let there = shown["rows"].as_array().unwrap().iter().filter(|row| row["does"].to_string().contains("delete there"));
    assert_eq!(there.count(), 3, "{shown}");
    assert!(shown.to_string().contains("edited there since"), "{shown}");
    let done = app.cli(&["undo", &run, "--yes"]).json();
    rest(&app, &[ICLOUD]);
    assert_eq!(app.people().iter().filter(|p| p["person"]["card"]["given"].to_string().contains("Sent")).count(), 4);
    let left = device.names().into_iter().filter(|name| device.text(name).unwrap().contains("N:Example;Sent")).count();
    assert_eq!(left, 1, "three are taken back, the edited one stays");
    rest(&app, &[ICLOUD]);
    assert_eq!((app.people().len(), device.len()), (34, 31), "nobody is gone here, or sent again by itself");
    // Undone in its turn: the three are made again, and the one that stayed is linked again.
    app.cli(&["undo", text(&done["operation"]), "--yes"]).json();
    rest(&app, &[ICLOUD]);
    assert_eq!((app.people().len(), device.len()), (34, 34));
}
