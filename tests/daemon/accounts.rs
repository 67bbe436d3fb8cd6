//! Accounts and users: adding, settings, states, and what is said of them.

use mock_providers::faults::{Fault, Match, RetryAfter};

use crate::ICLOUD;
use crate::app::{PASSWORD, TestApp, card, ran};

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_is_no_sync_and_the_start_is_the_first_one() {
    let app = TestApp::new().await;
    let device = app.device(ICLOUD);
    for n in 0..8 {
        device.add(card(&format!("u{n}"), &format!("Given{n}"), "Example"));
    }
    app.add(ICLOUD).json();
    for _ in 0..2 {
        app.cli(&["preview", ICLOUD]).json();
        assert!(app.cli(&["account", "show", ICLOUD]).json()["synced"].is_null());
    }
    let done = app.cli(&["account", "start", ICLOUD, "--yes"]).json();
    assert_eq!(done["tally"]["here"]["added"], 8, "no other run came before it: {done}");
    let synced = app.cli(&["account", "show", ICLOUD]).json()["synced"].clone();
    assert!(synced.is_i64());
    assert_eq!(app.cli(&["runs", "list"]).json().as_array().unwrap().len(), 1, "and none beside it");
    app.cli(&["preview", ICLOUD]).json();
    assert_eq!(app.cli(&["account", "show", ICLOUD]).json()["synced"], synced);
    // One that was started goes on after a pause, whatever it did.
    app.cli(&["account", "pause", ICLOUD]).json();
    assert_eq!(app.cli(&["account", "resume", ICLOUD]).json()["state"], "active");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guard_of_one_account() {
    let app = TestApp::new().await;
    let device = app.device(ICLOUD);
    let names: Vec<String> =
        (0..20).map(|n| device.add(card(&format!("u{n}"), &format!("Given{n}"), "Example"))).collect();
    app.connect(ICLOUD, &[]);
    let guard = |args: &[&str]| {
        app.cli(&[&["account", "set", ICLOUD, "--yes"], args].concat()).json()["account"]["settings"]["guard"].clone()
    };
    let is =
        |on: bool, at_least: u32, percent: u8| serde_json::json!({"on": on, "at_least": at_least, "percent": percent});
    assert_eq!(guard(&["--guard-at-least", "2", "--guard-percent", "10"]), is(true, 2, 10));
    app.refresh(ICLOUD); // the run that follows a change of settings is over
    device.delete_many(&names[..3]);
    assert_eq!(app.cli(&["refresh", ICLOUD, "--wait"]).code, 3, "three are more than two");
    assert_eq!(app.people().len(), 20);
    app.cli(&["held", "confirm", "--all", ICLOUD]).json();
    app.refresh(ICLOUD);
    assert_eq!(app.people().len(), 17);
    assert_eq!(guard(&["--guard", "off"]), is(false, 2, 10));
    app.refresh(ICLOUD);
    device.delete_many(&names[3..15]);
    assert_eq!(app.cli(&["refresh", ICLOUD, "--wait"]).code, 0);
    assert_eq!(app.people().len(), 5);
    assert_eq!(app.plain(&["account", "set", ICLOUD, "--guard-percent", "101"]).code, 2);
    assert_eq!(app.plain(&["account", "set", ICLOUD, "--guard", "perhaps"]).code, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_set_at_once_do_not_lose_one_another() {
    let app = TestApp::new().await;
    app.connect(ICLOUD, &[]);
    for (push, conflicts) in [("linked", "crm"), ("owned", "ask"), ("linked", "provider")] {
        let one = app.spawn(&["account", "set", ICLOUD, "--push", push, "--yes", "--json"]);
        let other = app.spawn(&["account", "set", ICLOUD, "--conflicts", conflicts, "--yes", "--json"]);
        let [one, other] = [one, other].map(|child| ran(&child.wait_with_output().unwrap()));
        assert_eq!((one.code, other.code), (0, 0), "{one:?} {other:?}");
        let settings = app.cli(&["account", "show", ICLOUD]).json()["settings"].clone();
        assert_eq!((&settings["push"], &settings["conflicts"]), (&push.into(), &conflicts.into()), "{settings}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_in_again_needs_no_server() {
    let app = TestApp::new().await;
    let device = app.device(ICLOUD);
    app.connect(ICLOUD, &[]);
    device.set_password("new-password");
    assert_eq!(app.cli(&["refresh", ICLOUD, "--wait"]).code, 3);
    std::fs::write(app.path("new"), "new-password\n").unwrap();
    let file = app.path("new").display().to_string();
    let add = ["account", "add", ICLOUD, "--user", "ann@example.com", "--password-file", &file];
    assert_eq!(app.cli(&add).json()["how"], "signed_in");
    app.refresh(ICLOUD);
    // Also one that was removed; and one that is paused says so.
    app.cli(&["account", "remove", ICLOUD, "--yes"]).json();
    assert_eq!(app.cli(&add).json()["how"], "returned");
    app.cli(&["account", "start", ICLOUD, "--yes"]).json();
    app.cli(&["account", "pause", ICLOUD]).json();
    let added = app.plain(&add);
    assert!(added.out.contains("paused") && added.out.contains("account resume"), "{added:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_an_account_from_being_added_says_what_to_do() {
    let app = TestApp::new().await;
    std::fs::write(app.path("password"), PASSWORD).unwrap();
    let file = app.path("password").display().to_string();
    let add = |address: &str, more: &[&str]| {
        let user = ["account", "add", address, "--user", "ann@example.com", "--password-file", &file];
        app.plain(&[&user[..], more].concat())
    };
    let server = app.icloud.url();
    let partition = app.icloud.partition_url().replace("http://", "");
    let untrusted = add(ICLOUD, &["--provider", "icloud", "--server", &server]);
    assert!(untrusted.err.contains(&format!("--trust {}", partition.trim_end_matches('/'))), "{untrusted:?}");
    assert!(add("ann@gmail.com", &[]).err.contains("Google is not set up here"));
    let nowhere = add("ann@nobody.invalid", &[]);
    assert!(nowhere.err.contains("--server"), "{nowhere:?}");
    app.icloud.faults(|faults| faults.times(9, Match::default(), Fault::Refuse(501)));
    let rubbish = add("ann@example.com", &["--server", &server]);
    assert!(rubbish.err.contains("none that speaks CardDAV"), "{rubbish:?}");
    assert_eq!(app.cli(&["account", "list"]).json().as_array().unwrap().len(), 0, "nothing is left of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_does_not_get_through_says_so() {
    let app = TestApp::new().await;
    app.connect(ICLOUD, &[]);
    assert!(app.cli(&["account", "show", ICLOUD]).json()["reason"].is_null());
    let wait = Fault::Throttle { status: 503, retry_after: RetryAfter::Seconds(3600) };
    app.icloud.faults(|faults| faults.times(99, Match::default(), wait));
    assert_eq!(app.cli(&["refresh", ICLOUD, "--wait"]).code, 1);
    let status = app.plain(&["status"]).out;
    assert!(status.contains("the last run failed") && status.contains("asks us to wait"), "{status}");
    let account = app.cli(&["account", "show", ICLOUD]).json();
    assert_eq!(account["state"], "active");
    let (next, synced) = (account["next"].as_i64().unwrap(), account["synced"].as_i64().unwrap());
    assert!(next - synced >= 3_590_000, "what the server asked for is kept: {account}");
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_changed_and_deactivated() {
    let app = TestApp::new().await;
    app.cli(&["users", "add", "bob@example.com", "--name", "Bob Example"]).json();
    app.cli(&["roles", "add", "Sales"]).json();
    let set = |args: &[&str]| app.cli(&[&["users", "set", "bob@example.com"], args].concat()).json();
    assert_eq!(set(&["--role", "Sales", "--admin", "yes"])["role"], "Sales");
    let bob = set(&["--name", "Robert Example", "--no-role", "--admin", "no", "--restricted", "yes"]);
    assert_eq!(
        (&bob["name"], &bob["role"], &bob["admin"], &bob["restricted"]),
        (&"Robert Example".into(), &serde_json::Value::Null, &false.into(), &true.into())
    );
    assert_eq!(app.plain(&["users", "set", "bob@example.com", "--email", "ann@example.com"]).code, 1);
    assert_eq!(app.plain(&["users", "set", "bob@example.com", "--name", " "]).code, 1);
    let as_ann = |args: &[&str]| app.plain(&[args, &["--as", "ann@example.com"]].concat());
    assert_eq!(as_ann(&["users", "deactivate", "ann@example.com"]).code, 1, "nobody locks itself out");
    assert_eq!(as_ann(&["users", "deactivate", "bob@example.com"]).code, 0);
    assert_eq!(app.plain(&["people", "list", "--as", "bob@example.com"]).code, 1);

    app.device(ICLOUD).add(card("u1", "One", "Example"));
    app.connect(ICLOUD, &[]);
    app.cli(&["users", "deactivate", "ann@example.com"]).json();
    let refused = app.plain(&["refresh", ICLOUD, "--wait"]);
    assert!(refused.code == 1 && refused.err.contains("users activate"), "{refused:?}");
    assert!(app.plain(&["status"]).out.contains("deactivated"));
    assert_eq!(app.people().len(), 1, "people stay");
    app.cli(&["users", "activate", "ann@example.com"]).json();
    app.refresh(ICLOUD);
}
