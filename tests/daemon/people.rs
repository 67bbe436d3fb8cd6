//! People: lists in pages, and edits that find their way by themselves.

use crate::app::{TestApp, card};
use crate::{ICLOUD, until};

#[tokio::test(flavor = "multi_thread")]
async fn edits_here_arrive_there_without_being_asked_for() {
    let mut app = TestApp::new().await;
    let device = app.device(ICLOUD);
    device.add(card("u1", "One", "Example"));
    app.connect(ICLOUD, &[]);
    app.stop();
    let config = std::fs::read_to_string(app.path("contactd.toml")).unwrap();
    std::fs::write(app.path("contactd.toml"), config.replace("after_edit = \"0s\"", "after_edit = \"1s\"")).unwrap();
    app.start();
    let one = app.person("One Example");
    // A run takes along what is edited while it is under way: each edit waits for the end of the run before.
    let ended = || {
        let runs = app.cli(&["runs", "list"]).json();
        runs.as_array().unwrap().iter().filter(|run| run["trigger"] == "edit").count()
    };
    app.cli(&["people", "edit", &one, "--note", "likes tea"]).json();
    until(|| ended() == 1).await;
    assert!(device.text(&device.find("u1")[0]).unwrap().contains("likes tea"));
    app.cli(&["people", "add", "--given", "New", "--owner", "ann@example.com"]).json();
    until(|| ended() == 2).await;
    assert_eq!(device.len(), 2);
    app.cli(&["people", "delete", &one]).json();
    until(|| ended() == 3).await;
    assert_eq!(device.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_say_that_there_is_more_and_go_on() {
    let app = TestApp::new().await;
    for n in 0..5 {
        let given = format!("Given{n}");
        app.cli(&["people", "add", "--given", &given, "--owner", "ann@example.com"]).json();
    }
    let ids = |people: serde_json::Value| -> Vec<String> {
        let id = |person: &serde_json::Value| person["person"]["id"].as_str().unwrap().to_owned();
        people.as_array().unwrap().iter().map(id).collect()
    };
    let all = ids(app.cli(&["people", "list"]).json());
    let first = app.cli(&["people", "list", "--limit", "2"]);
    assert!(first.err.contains(&format!("--after {}", all[1])), "{first:?}");
    let second = app.cli(&["people", "list", "--limit", "2", "--after", &all[1]]);
    let third = app.cli(&["people", "list", "--limit", "1", "--after", &all[3]]);
    assert!(!second.err.is_empty() && third.err.is_empty(), "{second:?} {third:?}");
    assert_eq!([first, second, third].iter().flat_map(|ran| ids(ran.json())).collect::<Vec<_>>(), all);

    // What a run did, in pages too.
    let device = app.device(ICLOUD);
    for n in 0..450 {
        device.add(card(&format!("u{n}"), &format!("There{n}"), "Example"));
    }
    app.connect(ICLOUD, &[]);
    let runs = app.cli(&["runs", "list"]).json();
    let run = runs[0]["id"].as_str().unwrap();
    let whole = app.cli(&["runs", "show", run]).json();
    let operations = whole["operations"].as_array().unwrap();
    assert!(operations.len() > 1 && whole["more_after"].is_null());
    let (mut after, mut pages): (Vec<String>, Vec<serde_json::Value>) = (Vec::new(), Vec::new());
    loop {
        let more: Vec<&str> = after.iter().map(String::as_str).collect();
        let page = app.cli(&[&["runs", "show", run, "--limit", "1"], &more[..]].concat());
        let shown = page.json();
        pages.extend(shown["operations"].as_array().unwrap().iter().cloned());
        let Some(last) = shown["more_after"].as_str() else { break };
        assert!(page.err.contains(&format!("--after {last}")), "{}", page.err);
        after = vec!["--after".to_owned(), last.to_owned()];
    }
    assert_eq!(pages, *operations);
}
