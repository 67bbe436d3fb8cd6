//! The real program, killed while Google carries out a batch whose answer it will never see.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use mock_providers::carddav::settings::Clock as Ticks;
use mock_providers::faults::{Fault, Faults, Match};
use mock_providers::google::{Account, Google, Settings};
use mock_providers::journal::{Journal, Mark};
use mock_providers::oauth::User;
use serde_json::json;

use crate::app::{TestApp, card};
use crate::browser::get;
use crate::lab::{ANN, CLIENT, ICLOUD, USER, nothing, redirected};
use crate::parts::{ended, sent_to};

/// More than a batch holds.
const PEOPLE: usize = 250;
/// As many as a batch holds.
const BATCH: usize = 200;

/// The daemon again, with a client at that Google.
fn restart(app: &mut TestApp, google: &Google) {
    app.stop();
    let (at, secret) = (google.endpoints(), app.path("secret"));
    std::fs::write(&secret, CLIENT.1).unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut config = std::fs::OpenOptions::new().append(true).open(app.path("contactd.toml")).unwrap();
    writeln!(
        config,
        "[google]\nclient_id = \"{}\"\nclient_secret_file = \"{}\"\nauthorize_url = \"{}\"\ntoken_url = \"{}\"\n\
         revoke_url = \"{}\"\nuserinfo_url = \"{}\"\napi_url = \"{}\"",
        CLIENT.0,
        secret.display(),
        at.authorize,
        at.token,
        at.revoke,
        at.userinfo,
        at.people
    )
    .unwrap();
    app.start();
}

fn sign_in(app: &TestApp) {
    let mut child = app.spawn(&["account", "add", ANN, "--user", USER, "--json"]);
    let (url, said) = sent_to(&mut child);
    get(&redirected(&url));
    ended(child, said).json();
}

/// Waits until Google has carried out what is then never answered, and ends the daemon as a power cut would.
async fn killed(app: &mut TestApp, google: &Google, done: impl Fn(&Journal) -> bool) {
    let since = Instant::now();
    while !google.ask(&done) {
        assert!(since.elapsed() < Duration::from_secs(60), "it was never carried out\n{}", app.log());
        tokio::task::yield_now().await;
    }
    app.kill();
    google.faults(Faults::heal);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_killed_in_a_batch_doubles_and_loses_nothing() {
    let mut settings = Settings { clock: Ticks::System, ..Settings::without_quotas() };
    settings.oauth.users = vec![User::new(ANN, "100000000000000000001", "Ann Example")];
    let google = Google::start(settings).await.unwrap();
    let ann: Account = google.account(ANN).unwrap();
    let mut app = TestApp::new().await;
    restart(&mut app, &google);
    // The quick way to many people: another address book of the same user has them.
    let device = app.device(ICLOUD);
    for n in 0..PEOPLE {
        device.add(card(&format!("u{n}"), &format!("Given{n}"), "Example"));
    }
    app.connect(ICLOUD, &[]);
    assert_eq!(app.people().len(), PEOPLE);
    sign_in(&app);

    // In the first batch of creates, and in the second.
    let lost = || Fault::Delay(120_000);
    google.fault(Match::method("POST").path(":batchCreateContacts"), lost());
    let starting = app.spawn(&["account", "start", ANN, "--yes"]);
    killed(&mut app, &google, |journal| journal.creates(Mark::default()) == BATCH).await;
    ended(starting, String::new());
    google.fault(Match::method("POST").path(":batchCreateContacts"), lost());
    app.start();
    let refreshing = app.spawn(&["refresh", ANN, "--wait"]);
    killed(&mut app, &google, |journal| journal.creates(Mark::default()) == PEOPLE).await;
    ended(refreshing, String::new());
    // What is there is known again at once.
    app.start();
    app.refresh(ANN);
    assert_eq!(app.refresh(ANN), nothing());
    let creates = google.ask(|journal| journal.creates(Mark::default()));
    assert_eq!((ann.len(), app.people().len(), creates), (PEOPLE, PEOPLE, PEOPLE));

    // In updates.
    for n in 0..3 {
        let id = app.person(&format!("Given{n} Example"));
        app.cli(&["people", "edit", &id, "--note", "likes tea"]).json();
    }
    let mark = google.mark();
    google.fault(Match::method("POST").path(":batchUpdateContacts"), lost());
    let refreshing = app.spawn(&["refresh", ANN, "--wait"]);
    killed(&mut app, &google, |journal| journal.updates(mark) == 3).await;
    ended(refreshing, String::new());
    app.start();
    app.refresh(ANN);
    let noted = ann.people().iter().filter(|person| person["biographies"][0]["value"] == "likes tea").count();
    assert_eq!((noted, google.ask(|journal| journal.updates(mark))), (3, 3));

    // In deletions.
    for n in 3..6 {
        app.cli(&["people", "delete", &app.person(&format!("Given{n} Example"))]).json();
    }
    google.fault(Match::method("POST").path(":batchDeleteContacts"), lost());
    let refreshing = app.spawn(&["refresh", ANN, "--wait"]);
    killed(&mut app, &google, |journal| journal.deletes(mark) == 3).await;
    ended(refreshing, String::new());
    app.start();
    app.refresh(ANN);
    assert_eq!(app.refresh(ANN), nothing());
    assert_eq!((ann.len(), app.people().len()), (PEOPLE - 3, PEOPLE - 3));
    assert_eq!(app.cli(&["account", "show", ANN]).json()["state"], json!("active"));
    assert_eq!(app.cli(&["verify", ANN]).json()["differences"], json!([]));
}
