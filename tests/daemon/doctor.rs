//! What can be asked without a daemon, and what is said when something is wrong with one.

use crate::ICLOUD;
use crate::app::TestApp;

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_no_daemon_needs_none() {
    let mut app = TestApp::new().await;
    app.stop();
    assert_eq!(app.plain(&["config", "check"]).code, 0);
    assert!(app.plain(&["config", "show"]).out.contains("[sync]"));
    assert!(app.plain(&["completions", "bash"]).out.contains("contactd"));
    assert!(app.plain(&["man"]).out.contains(".TH"));
    assert_eq!(app.plain(&["nonsense"]).code, 2);
    std::fs::write(app.path("contactd.toml"), "[sync]\nintervall = \"5m\"\n").unwrap();
    let check = app.plain(&["config", "check"]);
    assert!(check.code == 2 && check.err.contains("there is no such setting"), "{check:?}");
    // A configuration that is broken keeps nobody from the manual.
    assert_eq!((app.plain(&["man", "account", "add"]).code, app.plain(&["completions", "zsh"]).code), (0, 0));
    app.configure("24h");
    let config = std::fs::read_to_string(app.path("contactd.toml")).unwrap();
    std::fs::write(app.path("contactd.toml"), config.replace("filter = \"debug\"", "filter = \"a=b=c\"")).unwrap();
    let check = app.plain(&["config", "check"]);
    assert!(check.code == 2 && check.err.contains("log.filter"), "{check:?}");
}

/// The checks by name: whether they are well, and what they say.
fn checks(app: &TestApp, code: i32) -> std::collections::BTreeMap<String, (bool, String)> {
    let ran = app.cli(&["doctor"]);
    assert_eq!(ran.code, code, "{ran:?}");
    let checks: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let check = |c: &serde_json::Value| (text(&c["name"]), (c["ok"].as_bool().unwrap(), text(&c["says"])));
    checks.as_array().unwrap().iter().map(check).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_finds_what_is_wrong_without_a_daemon() {
    use std::os::unix::fs::PermissionsExt;
    let mut app = TestApp::new().await;
    let all = checks(&app, 0);
    assert!(all.values().all(|(ok, _)| *ok) && all.contains_key("store folder"), "{all:?}");
    app.stop();
    let mode = |name: &str, mode| {
        std::fs::set_permissions(app.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let wrong = |part: &str| {
        let all = checks(&app, 4);
        let wrong: Vec<_> = all.iter().filter(|(name, (ok, _))| !ok && *name != "daemon").collect();
        assert!(wrong.len() == 1 && wrong[0].1.1.contains(part), "{part}: {wrong:?}");
    };
    let all = checks(&app, 4);
    assert!(!all["daemon"].0 && all["daemon"].1.contains("systemctl start contactd"), "{all:?}");
    assert!(all.iter().all(|(name, (ok, _))| *ok || name == "daemon"), "{all:?}");

    mode("key", 0o644);
    wrong("chmod 600");
    mode("key", 0o600);
    mode("contactd.db", 0o644);
    wrong("chmod 600");
    mode("contactd.db", 0o600);
    std::fs::rename(app.path("key"), app.path("key.away")).unwrap();
    wrong("restore it from its backup");
    assert!(!app.path("key").exists(), "and it makes none");
    std::fs::rename(app.path("key.away"), app.path("key")).unwrap();
    std::fs::rename(app.path("contactd.db"), app.path("db.away")).unwrap();
    std::fs::write(app.path("contactd.db"), "this is no database at all").unwrap();
    mode("contactd.db", 0o600);
    wrong("no SQLite file");
    std::fs::remove_file(app.path("contactd.db")).unwrap();
    assert!(checks(&app, 4)["store"].1.contains("first start"));
    assert!(!app.path("contactd.db").exists(), "and it makes none");
    std::fs::rename(app.path("db.away"), app.path("contactd.db")).unwrap();

    let config = std::fs::read_to_string(app.path("contactd.toml")).unwrap();
    std::fs::write(app.path("contactd.toml"), format!("{config}[sync2]\na = 1\n")).unwrap();
    let all = checks(&app, 1);
    assert!(!all["configuration"].0 && all["configuration"].1.contains("no section [sync2]"), "{all:?}");
    std::fs::write(app.path("contactd.toml"), config).unwrap();

    // A daemon runs, and its socket is gone.
    app.start();
    std::fs::rename(app.path("control.sock"), app.path("sock.away")).unwrap();
    let all = checks(&app, 4);
    assert!(!all["store"].0 && all["store"].1.contains("in use by a contactd"), "{all:?}");
    std::fs::rename(app.path("sock.away"), app.path("control.sock")).unwrap();
    assert!(checks(&app, 0).values().all(|(ok, _)| *ok));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_key_is_said_at_once_and_its_backup_mends_it() {
    let mut app = TestApp::new().await;
    app.connect(ICLOUD, &[]);
    app.stop();
    std::fs::rename(app.path("key"), app.path("key.backup")).unwrap();
    app.start();
    assert!(app.log().contains("does not open the passwords"), "the log says so at the start");
    assert!(!checks(&app, 1)[&format!("account {ICLOUD}")].0);
    app.stop();
    std::fs::rename(app.path("key.backup"), app.path("key")).unwrap();
    app.start();
    assert!(checks(&app, 0).values().all(|(ok, _)| *ok));
    app.refresh(ICLOUD);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_printed_for_people() {
    let app = TestApp::new().await;
    assert!(app.plain(&["config", "check"]).out.contains("contactd.toml"));
    assert!(app.plain(&["status"]).out.contains("contactd account add"));
    assert!(app.plain(&["refresh"]).out.contains("no account is active"));
    assert!(app.plain(&["refresh", "--wait"]).out.contains("no account is active"));
    let help = app.plain(&["users", "add", "--help"]).out;
    let (own, everywhere) = help.split_once("Options of all commands:").unwrap();
    assert!(own.contains("--restricted") && !own.contains("--socket") && everywhere.contains("--socket"), "{help}");
    assert!(!help.contains(app.path("contactd.toml").to_str().unwrap()), "{help}");
    app.device(ICLOUD).add(crate::app::card("u1", "One", "Example"));
    app.connect(ICLOUD, &[]);
    let status = app.plain(&["status"]).out;
    assert!(status.lines().nth(1).unwrap().trim_end().ends_with('Z'), "a time has its zone: {status}");
    let runs = app.cli(&["runs", "list"]).json();
    let shown = app.plain(&["runs", "show", runs[0]["id"].as_str().unwrap()]).out;
    assert!(shown.contains("here: One Example was added"), "{shown}");
    for (args, part) in [
        (&["runs", "show", "x"][..], "is not the id of a run"),
        (&["people", "show", "x"], "is not the id of a person"),
        (&["held", "confirm", "x"], "is not the id of a held"),
        (&["people", "list", "--limit", "0"], "a number from 1"),
        (&["account", "set", ICLOUD, "--map", "note=bad"], "none of both, in, out, off"),
        (&["account", "set", ICLOUD], "say what changes"),
        (&["users", "set", "ann@example.com"], "say what changes"),
        (&["account", "add", "x@example.com", "--user", "ann@example.com", "--password-file", "/no/file"], "/no/file"),
    ] {
        let ran = app.plain(args);
        assert!(ran.code != 0 && ran.err.contains(part), "{args:?}: {ran:?}");
    }
}
