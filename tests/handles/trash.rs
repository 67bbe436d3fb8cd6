//! The trash: list, restore, purge. What is purged is nowhere to be found.

use super::app::{TestApp, card};
use super::{ICLOUD, rest, text};

/// Which files of the daemon hold the text.
fn holding(app: &TestApp, marker: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(app.dir.path()).unwrap() {
        let path = entry.unwrap().path();
        let Ok(bytes) = std::fs::read(&path) else { continue };
        if bytes.windows(marker.len()).any(|window| window == marker.as_bytes()) {
            found.push(path.display().to_string());
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_purged_is_nowhere_to_be_found() {
    const MARKER: &str = "Qzxmarkerqzx";
    let mut app = TestApp::new().await;
    let device = app.device(ICLOUD);
    for n in 0..30 {
        device.add(card(&format!("u{n}"), &format!("Given{n}"), "Example"));
    }
    let long = format!("{MARKER} ").repeat(2000);
    let marked = card("secret", MARKER, "Example")
        .replace("EMAIL;", &format!("NOTE:{long}\r\nTEL:+12125550199\r\nX-{MARKER}:kept\r\nEMAIL;"));
    device.add(marked);
    app.connect(ICLOUD, &["--direction", "one_way"]);
    let id = app.person(&format!("{MARKER} Example"));
    // A past to be forgotten: edits on both sides, a conflict, a deletion.
    app.cli(&["people", "edit", &id, "--given", &format!("{MARKER}2")]).json();
    let name = device.find("secret").remove(0);
    device.replace(&name, &format!("N:Example;{MARKER}"), &format!("N:Example;{MARKER}3")).unwrap();
    app.refresh(ICLOUD);
    assert_eq!(app.cli(&["conflicts", "list"]).json().as_array().unwrap().len(), 1);
    app.cli(&["people", "edit", &id, "--company", MARKER]).json();
    let live = app.cli(&["trash", "purge", &id, "--yes"]);
    assert!(live.code == 1 && live.err.contains("not in the trash"), "{live:?}");
    app.cli(&["people", "delete", &id]).json();
    app.refresh(ICLOUD);
    assert_eq!(app.cli(&["trash", "list"]).json().as_array().unwrap().len(), 1);
    assert!(!holding(&app, MARKER).is_empty());

    assert_eq!(app.cli(&["trash", "purge", &id]).code, 3, "it asks first");
    let purged = app.cli(&["trash", "purge", &id, "--yes"]).json();
    assert_eq!(purged, serde_json::json!({"purged": 1, "waiting": []}));
    assert_eq!(app.cli(&["trash", "list"]).json().as_array().unwrap().len(), 0);
    assert_eq!(app.cli(&["trash", "restore", &id]).code, 1);
    assert_eq!(app.cli(&["conflicts", "list"]).json().as_array().unwrap().len(), 0);
    // The record is still there, and changes; nobody comes back, and nothing of it is stored.
    device.replace(&name, "+12125550199", &format!("+12125550198\r\nTITLE:{MARKER}4")).unwrap();
    app.refresh(ICLOUD);
    rest(&app, &[ICLOUD]);
    assert_eq!(app.people().len(), 30);
    assert!(device.text(&name).unwrap().contains(MARKER), "the address book is its user's");
    // That something was done, and when, is still known.
    let history = app.cli(&["people", "history", &id]).json();
    assert!(history.to_string().contains("removed for good") && history.as_array().unwrap().len() >= 5, "{history}");
    assert!(!history.to_string().contains(MARKER), "{history}");
    let why = app.cli(&["why", &id]).json();
    assert!(text(&why[0]["says"]).contains("removed for good"), "{why}");
    app.stop();
    assert_eq!(holding(&app, MARKER), [""; 0]);
    // It starts again, and is sound.
    app.start();
    rest(&app, &[ICLOUD]);
    let verified = app.cli(&["verify", ICLOUD]).json();
    assert_eq!(verified["differences"].as_array().unwrap().len(), 0, "{verified}");
    assert_eq!(app.people().len(), 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trash_is_listed_restored_and_emptied() {
    let app = TestApp::new().await;
    let device = app.device(ICLOUD);
    for n in 0..12 {
        device.add(card(&format!("u{n}"), &format!("Given{n}"), "Example"));
    }
    app.connect(ICLOUD, &[]);
    let ids: Vec<String> = (0..3).map(|n| app.person(&format!("Given{n} Example"))).collect();
    app.cli(&["people", "delete", &ids[0], &ids[1], &ids[2]]).json();
    rest(&app, &[ICLOUD]);
    assert_eq!((app.cli(&["trash", "list"]).json().as_array().unwrap().len(), device.len()), (3, 9));
    app.cli(&["trash", "restore", &ids[0]]).json();
    rest(&app, &[ICLOUD]);
    assert_eq!((app.people().len(), device.len()), (10, 10), "restored, and made anew there");
    let purged = app.cli(&["trash", "purge", "--all", "--yes"]).json();
    assert_eq!(purged["purged"], 2, "{purged}");
    assert_eq!(app.cli(&["trash", "purge", &ids[0], "--yes"]).code, 1);
    rest(&app, &[ICLOUD]);
    assert_eq!((app.people().len(), device.len()), (10, 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn purging_waits_for_held_deletions() {
    let app = TestApp::new().await;
    let device = app.device(ICLOUD);
    let ids: Vec<String> = (0..10)
        .map(|n| {
            device.add(card(&format!("u{n}"), &format!("Given{n}"), "Example"));
            format!("Given{n} Example")
        })
        .collect();
    app.connect(ICLOUD, &[]);
    let ids: Vec<String> = ids.iter().map(|name| app.person(name)).collect();
    for id in &ids[..8] {
        app.cli(&["people", "delete", id]).json();
    }
    assert_eq!(app.cli(&["refresh", ICLOUD, "--wait"]).code, 3, "so many are held");
    let purged = app.cli(&["trash", "purge", "--all", "--yes"]);
    assert_eq!(purged.code, 3);
    let purged = purged.json();
    assert_eq!((&purged["purged"], purged["waiting"].as_array().unwrap().len()), (&0.into(), 8), "{purged}");
    app.cli(&["held", "confirm", "--all", ICLOUD]).json();
    rest(&app, &[ICLOUD]);
    assert_eq!(app.cli(&["trash", "purge", "--all", "--yes"]).json()["purged"], 8);
    assert_eq!(device.len(), 2);
}
