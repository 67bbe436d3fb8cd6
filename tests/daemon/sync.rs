//! What a sync does, seen from both ends: the mock's journal and the daemon's answers.

use std::io::{Read, Write};
use std::time::Duration;

use mock_providers::faults::{Fault, Match};

use crate::app::{PASSWORD, TestApp, card, ran};
use crate::{ICLOUD, until};

#[tokio::test(flavor = "multi_thread")]
async fn both_ways_and_then_quiet() {
    let app = TestApp::new().await;
    let device = app.device(ICLOUD);
    for n in 0..20 {
        device.add(card(&format!("u{n}"), &format!("Given{n}"), "Example"));
    }
    let added = app.add(ICLOUD).json();
    assert_eq!((&added["how"], &added["account"]["state"]), (&"new".into(), &"setup".into()));
    let preview = app.cli(&["preview", ICLOUD]).json();
    assert_eq!(preview["here"]["added"], 20, "{preview}");
    assert!(app.people().is_empty(), "a preview imports nobody");

    let done = app.cli(&["account", "start", ICLOUD, "--yes"]).json();
    assert_eq!(done["tally"]["here"]["added"], 20, "{done}");
    assert_eq!(app.people().len(), 20);

    // Each side's edit arrives at the other.
    let name = device.find("u3").remove(0);
    device.replace(&name, "EMAIL;", "NOTE:met in Example Town\r\nEMAIL;").unwrap();
    let five = app.person("Given5 Example");
    app.cli(&["people", "edit", &five, "--note", "likes tea", "--phone", "mobile=+1 212 555 0105"]).json();
    app.cli(&["people", "add", "--given", "New", "--family", "Person", "--owner", "ann@example.com"]).json();
    let tally = app.refresh(ICLOUD);
    assert_eq!(tally["here"]["updated"], 1, "{tally}");
    assert_eq!((&tally["there"]["updated"], &tally["there"]["added"]), (&1.into(), &1.into()), "{tally}");
    let three = app.cli(&["people", "show", &app.person("Given3 Example")]).json();
    assert_eq!(three["person"]["card"]["note"], "met in Example Town");
    let text = device.text(&device.find("u5")[0]).unwrap();
    assert!(text.contains("likes tea") && text.contains("555"), "{text}");
    assert_eq!(device.len(), 21);

    // Nothing new: one request, and nothing is written anywhere.
    app.refresh(ICLOUD);
    let verified = app.cli(&["verify", ICLOUD]).json();
    assert_eq!(verified, serde_json::json!({"compared": 21, "differences": []}));
    let mark = app.icloud.mark();
    let tally = app.refresh(ICLOUD);
    assert_eq!(
        tally,
        serde_json::json!({"here": {"added":0,"updated":0,"deleted":0}, "there": {"added":0,"updated":0,"deleted":0}, "conflicts":0, "held":0, "failed":0})
    );
    assert_eq!(app.icloud.ask(|journal| (journal.writes(mark), journal.since(mark).count())), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn people_who_are_here_already_are_sent_to_a_new_account() {
    let app = TestApp::new().await;
    app.cli(&["people", "add", "--given", "Here", "--family", "Before", "--owner", "ann@example.com"]).json();
    app.add(ICLOUD).json();
    let preview = app.cli(&["preview", ICLOUD]).json();
    assert_eq!(preview["there"]["added"], 1, "{preview}");
    let done = app.cli(&["account", "start", ICLOUD, "--yes"]).json();
    assert_eq!(done["tally"]["there"]["added"], 1, "{done}");
    assert_eq!(app.device(ICLOUD).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_comes_soon_in_mid_run_and_the_next_start_goes_on() {
    let mut app = TestApp::new().await;
    let device = app.device(ICLOUD);
    device.seed(7, 300);
    app.add(ICLOUD).json();
    // An answer that never seems to come: the run is in the middle of a request.
    app.icloud.fault(Match::method("REPORT"), Fault::Delay(40_000));
    let starting = app.spawn(&["account", "start", ICLOUD, "--yes", "--json"]);
    while !app.icloud.ask(|journal| journal.records().any(|record| record.method == "REPORT")) {
        tokio::task::yield_now().await;
    }
    let (status, took) = app.stop();
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    let ran = ran(&starting.wait_with_output().unwrap());
    assert!(ran.code != 0, "{ran:?}");

    app.icloud.faults(mock_providers::faults::Faults::heal);
    app.start();
    app.cli(&["account", "start", ICLOUD, "--yes"]).json();
    assert_eq!(app.people().len(), device.len() - device.groups().len());
    assert!(app.icloud.ask(|journal| journal.writes(mock_providers::journal::Mark::default())) == 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_doubles_nothing() {
    let mut app = TestApp::new().await;
    app.connect(ICLOUD, &[]);
    for n in 0..5 {
        let given = format!("Given{n}");
        app.cli(&["people", "add", "--given", &given, "--family", "Example", "--owner", "ann@example.com"]).json();
    }
    // The records are stored there, and the answer never comes.
    app.icloud.fault(Match::method("PUT"), Fault::Delay(60_000));
    let mut refresh = app.spawn(&["refresh", ICLOUD, "--wait"]);
    while app.icloud.ask(|journal| journal.creates(mock_providers::journal::Mark::default())) == 0 {
        tokio::task::yield_now().await;
    }
    app.kill();
    refresh.wait().unwrap();
    app.icloud.faults(mock_providers::faults::Faults::heal);
    app.start();
    app.refresh(ICLOUD);
    assert_eq!(app.device(ICLOUD).len(), 5);
    assert_eq!(app.people().len(), 5);
    assert_eq!(app.icloud.ask(|journal| journal.creates(mock_providers::journal::Mark::default())), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_refresh_and_reload() {
    let app = TestApp::new().await;
    let device = app.device(ICLOUD);
    app.connect(ICLOUD, &[]);
    device.add(card("u1", "One", "Example"));
    app.signal("USR1");
    until(|| app.people().len() == 1).await;

    device.add(card("u2", "Two", "Example"));
    std::fs::write(app.path("contactd.toml"), "[sync]\ninterval = \"soon\"\n").unwrap();
    app.signal("HUP");
    app.wait_for("READY=1");
    assert!(app.log().contains("stays as it was"), "what can't be read changes nothing");
    app.configure("30s");
    app.signal("HUP");
    app.wait_for("READY=1");
    // Once the run that the signal asked for is over, the next one has its time.
    until(|| app.cli(&["status"]).json()["accounts"][0]["account"]["next"].is_i64()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_is_refused() {
    let mut app = TestApp::new().await;
    let second = ran(&app.start_another());
    assert_eq!(second.code, 1);
    assert!(second.err.contains("in use by another contactd"), "{}", second.err);
    assert_eq!(app.cli(&["status"]).code, 0, "the first one goes on");
    assert!(app.stop().0.success());
    let alone = app.cli(&["status"]);
    assert_eq!(alone.code, 4);
    assert!(alone.err.contains("systemctl start contactd"), "{}", alone.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn held_deletions_wait_for_their_answer() {
    let app = TestApp::new().await;
    let device = app.device(ICLOUD);
    let names: Vec<String> =
        (0..40).map(|n| device.add(card(&format!("u{n}"), &format!("Given{n}"), "Example"))).collect();
    app.connect(ICLOUD, &[]);
    device.delete_many(&names[..30]);
    let ran = app.cli(&["refresh", ICLOUD, "--wait"]);
    assert_eq!(ran.code, 3, "something waits for a person");
    assert_eq!(app.people().len(), 40);
    let held = app.cli(&["held", "list"]).json();
    assert_eq!(held.as_array().unwrap().len(), 30);

    let ids: Vec<&str> = held.as_array().unwrap().iter().map(|h| h["id"].as_str().unwrap()).collect();
    app.cli(&[&["held", "confirm"], &ids[..10]].concat()).json();
    app.cli(&[&["held", "reject"], &ids[10..]].concat()).json();
    app.refresh(ICLOUD);
    assert_eq!(app.people().len(), 30, "ten were confirmed");
    assert_eq!(device.len(), 30, "twenty were put back");
    assert_eq!(app.cli(&["held", "list"]).json().as_array().unwrap().len(), 0);
    assert_eq!(app.cli(&["people", "list", "--trash"]).json().as_array().unwrap().len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn adding_the_same_mailbox_again_creates_nothing() {
    let app = TestApp::new().await;
    let device = app.device(ICLOUD);
    device.seed(3, 30);
    app.connect(ICLOUD, &[]);
    let (people, cards) = (app.people().len(), device.len());
    let id = app.cli(&["account", "show", ICLOUD]).json()["id"].clone();
    assert_eq!(app.add(ICLOUD).json()["how"], "signed_in");
    app.cli(&["account", "remove", ICLOUD, "--yes"]).json();
    assert_eq!(app.people().len(), people);
    let again = app.add(ICLOUD).json();
    assert_eq!((&again["how"], &again["account"]["id"]), (&"returned".into(), &id));
    let done = app.cli(&["account", "start", ICLOUD, "--yes"]).json();
    assert_eq!(done["tally"]["here"]["added"], 0, "{done}");
    assert_eq!(done["tally"]["there"]["added"], 0, "{done}");
    assert_eq!((app.people().len(), device.len()), (people, cards));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_way_writes_nothing_and_two_way_asks_first() {
    let app = TestApp::new().await;
    let device = app.device(ICLOUD);
    device.add(card("u1", "One", "Example"));
    device.add(card("u2", "Two", "Example"));
    app.connect(ICLOUD, &["--direction", "one_way"]);
    let mark = app.icloud.mark();
    app.cli(&["people", "edit", &app.person("One Example"), "--note", "only here"]).json();
    app.cli(&["people", "delete", &app.person("Two Example")]).json();
    app.refresh(ICLOUD);
    assert_eq!(app.icloud.ask(|journal| journal.writes(mark)), 0);

    let asked = app.cli(&["account", "set", ICLOUD, "--direction", "two_way"]);
    assert_eq!(asked.code, 3, "{asked:?}");
    let asked = asked.json();
    assert_eq!((&asked["changed"], asked["asks"].as_array().unwrap().len()), (&false.into(), 1), "{asked}");
    assert_eq!(asked["preview"]["there"]["updated"], 1, "{asked}");
    app.cli(&["account", "set", ICLOUD, "--direction", "two_way", "--agree-present", "--yes"]).json();
    app.refresh(ICLOUD);
    assert_eq!(app.icloud.ask(|journal| journal.writes(mark)), 0, "the present was agreed on");
    app.cli(&["people", "edit", &app.person("One Example"), "--title", "Engineer"]).json();
    app.refresh(ICLOUD);
    let why = app.cli(&["why", &app.person("One Example")]);
    assert!(device.text(&device.find("u1")[0]).unwrap().contains("Engineer"), "{why:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_never_started_does_not_start_by_a_pause() {
    let app = TestApp::new().await;
    app.device(ICLOUD).add(card("u1", "One", "Example"));
    app.add(ICLOUD).json();
    app.cli(&["preview", ICLOUD]).json();
    assert_eq!(app.cli(&["account", "pause", ICLOUD]).json()["state"], "paused");
    assert_eq!(app.cli(&["refresh", ICLOUD, "--wait"]).code, 1);
    assert_eq!(app.cli(&["account", "resume", ICLOUD]).json()["state"], "setup");
    app.cli(&["account", "start", ICLOUD, "--yes"]).json();
    app.cli(&["account", "pause", ICLOUD]).json();
    assert_eq!(app.cli(&["account", "resume", ICLOUD]).json()["state"], "active");
    assert_eq!(app.people().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_as_scope_and_its_change() {
    let app = TestApp::new().await;
    let device = app.device(ICLOUD);
    for n in 0..6 {
        device.add(card(&format!("u{n}"), &format!("Given{n}"), "Example"));
    }
    device.add_group("g1", "Customers", &["u0", "u1", "u2"]);
    device.add_group("g2", "Friends", &["u2", "u3"]);
    app.connect(ICLOUD, &["--group", "Customers"]);
    assert_eq!(app.people().len(), 3);
    assert_eq!(app.cli(&["account", "show", ICLOUD]).json()["group"], "Customers");
    let shown = app.cli(&["account", "set", ICLOUD, "--group", "Friends"]);
    assert_eq!(shown.code, 3, "it asks first: {shown:?}");
    app.cli(&["account", "set", ICLOUD, "--group", "Friends", "--yes"]).json();
    app.refresh(ICLOUD);
    assert_eq!(app.people().len(), 4, "nobody is lost, one came in");
    assert_eq!(device.len(), 8);
    let why = app.cli(&["why", &app.person("Given0 Example")]).json();
    assert!(why[0]["says"].as_str().unwrap().contains("outside the sync group"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_asks_for_a_person() {
    let app = TestApp::new().await;
    let device = app.device(ICLOUD);
    app.connect(ICLOUD, &[]);
    device.revoke_password();
    let ran = app.cli(&["refresh", ICLOUD, "--wait"]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert_eq!(app.cli(&["account", "show", ICLOUD]).json()["state"], "reconnect");
    assert_eq!(app.cli(&["doctor"]).code, 1);
    device.set_password(PASSWORD);
    assert_eq!(app.add(ICLOUD).json()["how"], "signed_in");
    assert_eq!(app.cli(&["account", "show", ICLOUD]).json()["state"], "active");
    app.refresh(ICLOUD);
    assert_eq!(app.cli(&["doctor"]).code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_sees_only_what_it_may() {
    let app = TestApp::new().await;
    app.cli(&["users", "add", "bob@example.com", "--name", "Bob Example"]).json();
    let person = app.cli(&["people", "add", "--given", "Private", "--owner", "ann@example.com"]).json();
    let id = person["person"]["id"].as_str().unwrap();
    let bob = |args: &[&str]| app.cli(&[args, &["--as", "bob@example.com"]].concat());
    assert_eq!(bob(&["people", "list"]).json().as_array().unwrap().len(), 0);
    assert_eq!(bob(&["people", "show", id]).code, 1);
    assert_eq!(bob(&["people", "edit", id, "--note", "x"]).code, 1);
    assert_eq!(bob(&["users", "add", "eve@example.com", "--name", "Eve Example"]).code, 1);
    app.cli(&["people", "follow", id, "bob@example.com"]).json();
    assert_eq!(bob(&["people", "list"]).json().as_array().unwrap().len(), 1);
    bob(&["people", "edit", id, "--note", "seen by Bob"]).json();
    app.add(ICLOUD).json();
    assert_eq!(bob(&["account", "list"]).json().as_array().unwrap().len(), 0);
    assert_eq!(bob(&["account", "show", ICLOUD]).code, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_stay_secret_and_keys_rotate() {
    let mut app = TestApp::new().await;
    app.connect(ICLOUD, &[]);
    let before = std::fs::read(app.path("key")).unwrap();
    assert_eq!(app.cli(&["config", "rotate-key"]).json()["sealed"], 1);
    assert_ne!(std::fs::read(app.path("key")).unwrap(), before);
    app.refresh(ICLOUD);
    assert!(app.stop().0.success());
    app.start();
    app.refresh(ICLOUD);
    app.stop();
    for entry in std::fs::read_dir(app.dir.path()).unwrap() {
        let path = entry.unwrap().path();
        let Ok(bytes) = std::fs::read(&path) else { continue };
        let found = bytes.windows(PASSWORD.len()).any(|window| window == PASSWORD.as_bytes());
        assert!(!found, "the password stands in {}", path.display());
    }
    assert!(!app.log().contains("ann@"), "no address in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_names_every_difference_and_changes_nothing() {
    let app = TestApp::new().await;
    let device = app.device(ICLOUD);
    let names: Vec<String> =
        (0..5).map(|n| device.add(card(&format!("u{n}"), &format!("Given{n}"), "Example"))).collect();
    app.connect(ICLOUD, &[]);
    device.replace(&names[0], "Given0", "Changed").unwrap();
    device.delete(&names[1]).unwrap();
    device.add(card("u9", "Given9", "Example"));
    app.cli(&["people", "edit", &app.person("Given2 Example"), "--note", "new"]).json();
    let mark = app.icloud.mark();
    let ran = app.cli(&["verify", ICLOUD]);
    assert_eq!(ran.code, 1);
    let verified: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(verified["differences"].as_array().unwrap().len(), 4, "{verified}");
    assert_eq!(app.icloud.ask(|journal| journal.writes(mark)), 0);
    assert_eq!(app.people().len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tcp_there_is_health_and_nothing_else() {
    let mut app = TestApp::new().await;
    app.connect(ICLOUD, &[]);
    app.stop();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = std::fs::read_to_string(app.path("contactd.toml")).unwrap();
    std::fs::write(app.path("contactd.toml"), format!("{config}[http]\nlisten = [\"{free}\"]\n")).unwrap();
    app.start();
    let get = |path: &str| {
        let mut stream = std::net::TcpStream::connect(free).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(get("/healthz").starts_with("HTTP/1.1 200") && get("/readyz").ends_with("ready\n"));
    let metrics = get("/metrics");
    assert!(metrics.contains("contactd_account_active{account=") && !metrics.contains("ann@"), "{metrics}");
    assert!(get("/api/v1/status").starts_with("HTTP/1.1 404"));
}

/// A card must have an `FN`, and some have none: what we write there is nothing that anybody has said.
#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_name_gets_none_by_an_edit() {
    let app = TestApp::new().await;
    let device = app.device(ICLOUD);
    let nameless = |uid: &str, more: &str| {
        device.add(format!("BEGIN:VCARD\r\nVERSION:3.0\r\nN:;;;;\r\n{more}\r\nUID:{uid}\r\nEND:VCARD\r\n"));
    };
    nameless("phone", "TEL;type=CELL:+1 212 555 0101");
    nameless("mail", "EMAIL:ann@example.com");
    nameless("company", "ORG:Example Inc;");
    nameless("place", "ADR:;;1 Main St;Example Town;;;");
    nameless("empty", "FN:\r\nADR:;;2 Main St;Example Town;;;");
    app.connect(ICLOUD, &[]);
    let cards = || {
        let mut cards: Vec<serde_json::Value> =
            app.people().into_iter().map(|mut person| person["person"]["card"].take()).collect();
        cards.iter_mut().for_each(|card| card["note"] = serde_json::Value::Null);
        cards.sort_by_key(ToString::to_string);
        cards
    };
    let before = cards();
    assert_eq!(before.len(), 5, "{before:?}");
    assert_eq!(before.iter().filter(|card| card["display"].is_null()).count(), 2, "{before:?}");
    for person in app.people() {
        app.cli(&["people", "edit", person["person"]["id"].as_str().unwrap(), "--note", "likes tea"]).json();
    }
    let tally = app.refresh(ICLOUD);
    assert_eq!(tally["there"]["updated"], 5, "{tally}");
    for uid in ["phone", "mail", "company", "place"] {
        let text = device.text(&device.find(uid)[0]).unwrap();
        assert!(text.contains("likes tea") && text.contains("\r\nFN:") && !text.contains("FN:\r\n"), "{text}");
    }
    // The echo, and another listing from the start, show nobody anything new.
    for _ in 0..2 {
        let tally = app.refresh(ICLOUD);
        assert_eq!((&tally["here"]["updated"], &tally["there"]["updated"]), (&0.into(), &0.into()), "{tally}");
        assert_eq!(cards(), before);
        device.expire_tokens();
    }
    assert_eq!(app.cli(&["verify", ICLOUD]).json()["differences"], serde_json::json!([]));
}
