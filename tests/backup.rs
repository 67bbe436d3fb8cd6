//! `contactd store` from outside: check, backup, move, and what becomes of a store that was put back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "tests fail by it")]
#![allow(dead_code, reason = "the harness has more than is used here")]

#[path = "common/app.rs"]
mod app;
#[path = "common/ran.rs"]
mod ran;

use app::{TestApp, card};

const ICLOUD: &str = "ann@icloud.com";

fn add_people(app: &TestApp, names: &[&str]) {
    for given in names {
        app.cli(&["people", "add", "--given", given, "--family", "Example", "--owner", "ann@example.com"]).json();
    }
}

/// h32: a backup of last week is put back. What it doesn't know is met again; nothing is deleted, and nothing doubled.
async fn last_week_is_put_back(expired: bool) {
    let mut app = TestApp::new().await;
    let device = app.device(ICLOUD);
    for n in 0..20 {
        device.add(card(&format!("u{n}"), &format!("Given{n}"), "Example"));
    }
    app.connect(ICLOUD, &[]);
    add_people(&app, &["Old"]);
    app.refresh(ICLOUD);
    let backup = app.path("backup.db").display().to_string();
    app.cli(&["store", "backup", &backup]).json();
    assert_eq!(app.plain(&["store", "check", "--url", &format!("sqlite:{backup}")]).code, 0);

    // The week: made, changed and deleted on both sides, and all of it synced.
    add_people(&app, &["New1", "New2"]);
    for n in 20..23 {
        device.add(card(&format!("u{n}"), &format!("Given{n}"), "Example"));
    }
    let three = device.find("u3").remove(0);
    device.replace(&three, "EMAIL;", "NOTE:moved to Example Town\r\nEMAIL;").unwrap();
    app.cli(&["people", "edit", &app.person("Given5 Example"), "--note", "likes tea"]).json();
    device.delete(&device.find("u7")[0]).unwrap();
    app.cli(&["people", "delete", &app.person("Given8 Example")]).json();
    app.refresh(ICLOUD);
    app.refresh(ICLOUD);
    let (there, here) = (device.len(), app.people().len());
    assert_eq!((there, here), (24, 24));
    let mut before: Vec<String> = device.names();
    before.sort();

    // The store of a week ago. The daemon that wrote the other one is gone.
    assert!(app.stop().0.success());
    for name in ["contactd.db", "contactd.db-wal", "contactd.db-shm"] {
        let _ = std::fs::remove_file(app.path(name));
    }
    std::fs::copy(&backup, app.path("contactd.db")).unwrap();
    if expired {
        device.expire_tokens();
    }
    let mark = app.icloud.mark();
    app.start();
    for _ in 0..3 {
        app.refresh(ICLOUD);
    }
    let mut after: Vec<String> = device.names();
    after.sort();
    assert_eq!(after, before, "nothing is deleted there, and nothing doubled");
    assert_eq!(app.icloud.ask(|journal| (journal.creates(mark), journal.deletes(mark))), (0, 0));
    let mut names: Vec<String> =
        app.people().iter().map(|p| p["person"]["card"]["display"].as_str().unwrap_or_default().to_owned()).collect();
    names.sort();
    let all = names.len();
    names.dedup();
    assert_eq!((names.len(), all), (here, here), "{names:?}");
    // The newer content is what stays, on both sides.
    let five = app.cli(&["people", "show", &app.person("Given5 Example")]).json();
    assert_eq!(five["person"]["card"]["note"], "likes tea");
    assert!(device.text(&device.find("u5")[0]).unwrap().contains("likes tea"));
    let verified = app.cli(&["verify", ICLOUD]).json();
    assert_eq!(verified["differences"], serde_json::json!([]), "{verified}");
    assert_eq!(app.plain(&["store", "check"]).code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn h32_a_backup_that_is_put_back_deletes_and_doubles_nothing() {
    last_week_is_put_back(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h32_nor_when_its_cursor_has_expired() {
    last_week_is_put_back(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_moved_whole_or_not_at_all() {
    let mut app = TestApp::new().await;
    app.device(ICLOUD).seed(3, 120);
    app.connect(ICLOUD, &[]);
    let people = app.people().len();
    let from = format!("sqlite:{}", app.path("contactd.db").display());
    let to = format!("sqlite:{}", app.path("moved.db").display());
    // Not while a daemon works on it.
    let refused = app.plain(&["store", "migrate", "--from", &from, "--to", &to]);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("in use by another contactd"), "{refused:?}");
    assert!(app.stop().0.success());
    let moved = app.plain(&["store", "migrate", "--from", &from, "--to", &to]);
    assert_eq!(moved.code, 0, "{moved:?}");
    assert!(moved.out.contains("persons") && moved.out.contains("all of it has arrived"), "{moved:?}");
    // Not a second time over it, nor from nowhere, nor from what can't be read.
    let again = app.plain(&["store", "migrate", "--from", &from, "--to", &to]);
    assert!(again.code == 1 && again.err.contains("something in the target already"), "{again:?}");
    let nowhere = app.plain(&["store", "migrate", "--from", "sqlite:/nowhere/at/all.db", "--to", &to]);
    assert!(nowhere.code == 1 && nowhere.err.contains("is not there"), "{nowhere:?}");
    let secret = app.plain(&["store", "migrate", "--from", "postgres://ann:geheim@db", "--to", &to]);
    assert!(secret.code == 1 && secret.err.contains("no database") && !secret.err.contains("geheim"), "{secret:?}");

    // One that was broken off in the middle is no store.
    std::fs::copy(app.path("moved.db"), app.path("half.db")).unwrap();
    let half = contactd::store::sqlite::Sqlite::inline(&app.path("half.db")).unwrap();
    let mark = "INSERT INTO schema_version (version) VALUES (-1)";
    let stmt = contactd::store::driver::Stmt::new(mark, Vec::new());
    contactd::store::driver::Driver::run(&half, vec![stmt]).await.unwrap();
    let refused = contactd::store::sql::SqlStore::open(half).await.unwrap_err().to_string();
    assert!(refused.contains("begun and not finished"), "{refused}");

    std::fs::rename(app.path("moved.db"), app.path("contactd.db")).unwrap();
    for name in ["contactd.db-wal", "contactd.db-shm"] {
        let _ = std::fs::remove_file(app.path(name));
    }
    app.start();
    assert_eq!(app.people().len(), people);
    let mark = app.icloud.mark();
    app.refresh(ICLOUD);
    assert_eq!(app.icloud.ask(|journal| journal.writes(mark)), 0);
    assert_eq!(app.plain(&["store", "check"]).code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_are_whole_and_private_and_damage_is_found() {
    use std::os::unix::fs::PermissionsExt;
    let mut app = TestApp::new().await;
    app.device(ICLOUD).seed(4, 60);
    app.connect(ICLOUD, &[]);
    let backup = app.path("backup.db").display().to_string();
    assert_eq!(app.plain(&["store", "backup", &backup]).code, 0);
    assert_eq!(std::fs::metadata(&backup).unwrap().permissions().mode() & 0o777, 0o600);
    let again = app.plain(&["store", "backup", &backup]);
    assert!(again.code == 1 && again.err.contains("not overwritten"), "{again:?}");
    assert!(!app.path("backup.db.part").exists());
    assert_eq!(
        app.cli(&["store", "check", "--url", &format!("sqlite:{backup}")]).json()["wrong"],
        serde_json::json!([])
    );
    assert!(app.stop().0.success());
    {
        use contactd::store::driver::{Driver, Stmt};
        let store = contactd::store::sqlite::Sqlite::inline(&app.path("contactd.db")).unwrap();
        store.run(vec![Stmt::new("DELETE FROM words", Vec::new())]).await.unwrap();
    }
    let checked = app.plain(&["store", "check"]);
    assert!(checked.code == 1 && checked.out.contains("a word is missing"), "{checked:?}");
    let missing = app.plain(&["store", "check", "--url", "sqlite:/nowhere/at/all.db"]);
    assert!(missing.code == 1 && missing.err.contains("/nowhere/at/all.db"), "{missing:?}");
}
