//! Looking: history, provenance, what a run did, why, and verify with its repair.

use super::app::{TestApp, card};
use super::{ICLOUD, card_of, rest, run_with, text};

#[tokio::test(flavor = "multi_thread")]
async fn rule_19_every_value_and_every_run_tells_where_it_comes_from() {
    let app = TestApp::new().await;
    app.cli(&["users", "add", "bob@example.com", "--name", "Bob Example"]).json();
    let device = app.device(ICLOUD);
    device.add(card("u1", "Given1", "Example"));
    device.add(card("u2", "Given2", "Example"));
    app.connect(ICLOUD, &[]);
    let id = app.person("Given1 Example");
    app.cli(&["people", "edit", &id, "--note", "by Ann", "--as", "ann@example.com"]).json();
    device.replace(&device.find("u1")[0], "u1@example.com", "new@example.com").unwrap();
    app.refresh(ICLOUD);

    let shown = app.cli(&["people", "show", &id, "--provenance"]).json();
    let of = |field: &str| {
        let rows = shown["provenance"].as_array().unwrap();
        rows.iter().find(|row| row["field"] == field).unwrap_or_else(|| panic!("no {field}: {shown}")).clone()
    };
    assert_eq!((text(&of("note")["by"]), &of("note")["run"]), ("Ann Example", &serde_json::Value::Null));
    assert_eq!(text(&of("emails")["by"]), ICLOUD);
    assert_eq!(of("emails")["run"], run_with(&app, "updated", 1).as_str());
    assert_eq!(of("given")["run"], run_with(&app, "added", 2).as_str());
    assert!(of("given")["at"].as_i64() < of("emails")["at"].as_i64());
    assert!(app.plain(&["people", "show", &id, "--provenance"]).out.contains("Ann Example"));

    let history = app.cli(&["people", "history", &id]).json();
    let newest = &history[0]["changes"];
    let said: Vec<String> = newest.as_array().unwrap().iter().map(|c| format!("{} {}", c["side"], c["does"])).collect();
    assert!(history.as_array().unwrap().len() >= 3, "{history}");
    assert!(said.iter().any(|s| s.contains("changed")), "{said:?}");
    assert!(app.plain(&["people", "history", &id]).out.contains("note: (nothing) -> by Ann"));

    // A run, record by record and field by field; and only for whom they are.
    let run = app.cli(&["runs", "show", &run_with(&app, "added", 2)]).json();
    let added: Vec<&serde_json::Value> =
        run["history"].as_array().unwrap().iter().flat_map(|row| row["changes"].as_array().unwrap()).collect();
    let people = added.iter().filter(|c| c["side"] == "here" && c["does"] == "added");
    let mut names: Vec<&str> = people.map(|c| text(&c["name"])).collect();
    names.sort_unstable();
    assert_eq!(names, ["Given1 Example", "Given2 Example"], "{run}");
    assert!(added.iter().any(|c| c["fields"].as_array().unwrap().iter().any(|f| f["field"] == "emails")));
    assert!(app.plain(&["runs", "show", &run_with(&app, "updated", 1)]).out.contains("new@example.com"));
    assert_eq!(app.cli(&["people", "history", &id, "--as", "bob@example.com"]).code, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn why_says_what_stays_here_what_waits_and_what_to_do() {
    let app = TestApp::new().await;
    let device = app.device(ICLOUD);
    for n in 0..3 {
        device.add(card(&format!("u{n}"), &format!("Given{n}"), "Example"));
    }
    app.connect(ICLOUD, &["--map", "note=in"]);
    let id = app.person("Given0 Example");
    app.cli(&["people", "edit", &id, "--note", "only here"]).json();
    rest(&app, &[ICLOUD]);
    let why = app.cli(&["why", &id]).json();
    assert_eq!((&why[0]["link"], &why[0]["origin"]), (&"live".into(), &"theirs".into()), "{why}");
    assert_eq!(why[0]["stays"][0]["field"], "note", "{why}");
    assert!(text(&why[0]["stays"][0]["why"]).contains("mapping"), "{why}");
    assert!(app.plain(&["why", &id]).out.contains("stays here: note only here"));
    // By the record it is the same.
    let by_record = app.cli(&["why", text(&why[0]["remote"])]).json();
    assert_eq!(by_record[0]["person"], why[0]["person"]);
    for n in 1..3 {
        device.delete(&device.find(&format!("u{n}"))[0]).unwrap();
    }
    device.delete(&device.find("u0")[0]).unwrap();
    assert_eq!(app.cli(&["refresh", ICLOUD, "--wait"]).code, 3);
    let why = app.cli(&["why", &app.person("Given1 Example")]).json();
    assert!(text(&why[0]["todo"][0]).contains("held confirm"), "{why}");
    assert!(why[0]["held"].is_string(), "{why}");
    assert_eq!(app.cli(&["why", "nobody"]).code, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_repairs_by_the_ordinary_plan_alone() {
    let mut app = TestApp::new().await;
    let device = app.device(ICLOUD);
    for n in 0..6 {
        device.add(card(&format!("u{n}"), &format!("Given{n}"), "Example"));
    }
    app.connect(ICLOUD, &[]);
    let id = app.person("Given0 Example");
    let mark = app.icloud.mark();
    // The store is damaged: what was seen of one record is not what is there, and one link has lost sight of its record.
    app.stop();
    {
        let store = rusqlite::Connection::open(app.path("contactd.db")).unwrap();
        let wrong = "UPDATE seen SET body = replace(body, 'Given0', 'Damaged') WHERE body LIKE '%Given0%'";
        assert_eq!(store.execute(wrong, []).unwrap(), 1);
        assert_eq!(store.execute("DELETE FROM seen WHERE body LIKE '%Given1%'", []).unwrap(), 1);
    }
    app.start();
    rest(&app, &[ICLOUD]);
    let found = app.cli(&["verify", ICLOUD]);
    assert_eq!(found.code, 1);
    let found: serde_json::Value = serde_json::from_str(&found.out).unwrap();
    let says: Vec<&str> = found["differences"].as_array().unwrap().iter().map(|d| text(&d["says"])).collect();
    assert!(says.iter().any(|s| s.contains("stored otherwise than it is there")), "{found}");
    assert!(says.iter().any(|s| s.contains("not known here yet")), "{found}");
    assert!(found.to_string().contains("Damaged"), "field by field: {found}");
    assert_eq!(found.get("repaired"), None);

    let repaired = app.cli(&["verify", ICLOUD, "--repair"]).json();
    assert_eq!(repaired["repaired"], true);
    rest(&app, &[ICLOUD]);
    let verified = app.cli(&["verify", ICLOUD]).json();
    assert_eq!(verified, serde_json::json!({"compared": 6, "differences": []}));
    assert_eq!(card_of(&app, &id)["given"], "Given0");
    assert_eq!(app.people().len(), 6);
    assert_eq!(app.icloud.ask(|journal| journal.writes(mark)), 0, "nothing was written there");
}
