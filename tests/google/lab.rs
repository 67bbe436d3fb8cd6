//! A daemon's parts in this process, the mock Google and the mock iCloud beside it, and users who sign in with a browser.
//!
//! Owns: starting all of it, and how users sign in. Must not: judge.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use contactd::provider::Provider;
use contactd::provider::google::Google as Contacts;
use contactd::provider::google::settings::GoogleSettings;
use contactd::provider::http::gate::{Gate, Pace};
use contactd::provider::oauth::client::ClientSettings;
use contactd::provider::oauth::google::{GOOGLE, Setup};
use contactd::provider::oauth::service::ServiceAccount;
use contactd::provider::registry::GoogleParts;
use contactd::seal::Secret;
use mock_providers::carddav::settings::{Account as Mailbox, Clock as Ticks};
use mock_providers::carddav::{self, Device, Icloud};
use mock_providers::google::{Account, Google, Settings};
use mock_providers::journal::Mark;
use mock_providers::oauth::{Client, User};
use serde_json::{Value, json};
use url::Url;

use crate::browser::{get, location};
use crate::parts::{Parts, Ran, ended};

/// Ann's mailbox, and Bob's.
pub(crate) const ANN: &str = "ann.example@gmail.com";
pub(crate) const BOB: &str = "bob.example@gmail.com";
/// One in a domain that is reached by a service account, where there is one.
pub(crate) const DELEGATED: &str = "kim@example.org";
/// Ann's other one.
pub(crate) const ICLOUD: &str = "ann@icloud.com";
/// The users.
pub(crate) const USER: &str = "ann@example.com";
pub(crate) const OTHER: &str = "bob@example.com";
const KEY_FILE: &str = include_str!("../golden/oauth/service-account.json");
const PASSWORD: &str = "abcd-efgh-ijkl-mnop";
pub(crate) const CLIENT: (&str, &str) = ("mock-desktop.apps.googleusercontent.com", "mock-desktop-secret");
/// What no file, log or answer may hold: tokens of either kind, our client's secret, a password.
const SECRETS: [&str; 4] = ["ya29.", "1//0", CLIENT.1, PASSWORD];
/// A minute and a day in milliseconds.
pub(crate) const MINUTE: i64 = 60_000;
pub(crate) const DAY: i64 = 24 * 60 * MINUTE;

pub(crate) struct Lab {
    parts: Parts,
    pub(crate) google: Google,
    pub(crate) icloud: Icloud,
}

impl Deref for Lab {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}

impl Lab {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// The same for a domain whose administrator has delegated these scopes to a service account of ours, and a mailbox there.
    pub(crate) async fn delegated(scopes: &[&str]) -> Self {
        let file: Value = serde_json::from_str(KEY_FILE).unwrap();
        let text = |name: &str| file[name].as_str().unwrap();
        let public = format!("-----BEGIN PUBLIC KEY-----\n{}\n", text("public_key_for_the_test"));
        let account = Client::service(text("client_email"), &public, scopes);
        let service = ServiceAccount::read(&Secret::from(KEY_FILE)).unwrap();
        let change = |settings: &mut Settings| {
            settings.oauth.clients.push(account);
            settings.oauth.users.push(User::new(DELEGATED, "100000000000000000003", "Kim Example"));
        };
        Self::put_together(change, Some(Arc::new(service))).await
    }

    /// A daemon with two users, Ann and Bob, each with a mailbox at the mock Google, and Ann with one at the mock iCloud.
    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::put_together(change, None).await
    }

    async fn put_together(change: impl FnOnce(&mut Settings), service: Option<Arc<ServiceAccount>>) -> Self {
        let mut settings = Settings { clock: Ticks::System, ..Settings::without_quotas() };
        settings.oauth.users = vec![
            User::new(ANN, "100000000000000000001", "Ann Example"),
            User::new(BOB, "100000000000000000002", "Bob Example"),
        ];
        change(&mut settings);
        let google = Google::start(settings).await.unwrap();
        let mut settings = carddav::Settings::icloud();
        settings.clock = Ticks::System;
        settings.accounts = vec![Mailbox::new(ICLOUD, PASSWORD, "1001")];
        let icloud = Icloud::start(settings).await.unwrap();
        let at = google.endpoints();
        let url = |text: &str| Url::parse(text).unwrap();
        let client = ClientSettings {
            id: CLIENT.0.to_owned(),
            secret: Some(Secret::from(CLIENT.1)),
            authorize: url(&at.authorize),
            token: url(&at.token),
            revoke: url(&at.revoke),
            userinfo: url(&at.userinfo),
            plain_loopback: true,
        };
        let setup = Setup {
            dialect: &GOOGLE,
            client,
            service,
            domains: vec!["example.org".to_owned()],
            testing: false,
            redirect: None,
            api: url(&at.people),
        };
        // As the registry does it, without the time between writes that Google's quota wants: it would be waited for.
        let open = |parts: GoogleParts| -> Box<dyn Provider> {
            let settings = GoogleSettings { write_gap: Some(0), ..parts.settings };
            let gate = Arc::new(Gate::new(Pace { write_gap: Duration::ZERO, ..settings.pace() }));
            Box::new(Contacts::new(settings, parts.bearer, parts.http, gate, parts.world))
        };
        let parts = Parts::start(Duration::from_secs(1), |registry, _| {
            registry.with_google(setup).with_google_adapter(Arc::new(open))
        });
        let lab = Self { parts: parts.await, google, icloud };
        lab.cli(&["users", "add", OTHER, "--name", "Bob Example"]).json();
        lab
    }

    /// Time goes on, here and there.
    pub(crate) fn later(&self, millis: i64) {
        self.time.millis(millis);
        self.google.advance(u64::try_from(millis).unwrap());
    }

    /// A user signs in with a browser that follows wherever it is sent.
    pub(crate) fn signs_in(&self, address: &str, user: &str, more: &[&str]) -> Ran {
        let (child, url, said) = self.sent(address, user, more);
        get(&redirected(&url));
        ended(child, said)
    }

    /// Connects Ann's mailbox at Google with these settings, and starts it; what the first sync counted.
    pub(crate) fn connect(&self, settings: &[&str]) -> Value {
        self.connect_of(ANN, USER, settings)
    }

    pub(crate) fn connect_of(&self, address: &str, user: &str, settings: &[&str]) -> Value {
        self.signs_in(address, user, &["--provider", "google"]).json();
        if !settings.is_empty() {
            self.cli(&[&["account", "set", address, "--yes"], settings].concat()).json();
        }
        self.cli(&["account", "start", address, "--yes"]).json()["tally"].clone()
    }

    /// Connects Ann's mailbox at the mock iCloud, and starts it.
    pub(crate) fn connect_icloud(&self) -> Value {
        let file = self.dir.path().join("password");
        std::fs::write(&file, format!("{PASSWORD}\n")).unwrap();
        let (server, partition, photo) = (self.icloud.url(), self.icloud.partition_url(), self.icloud.photo_url());
        let (partition, photo) = (partition.replace("http://", ""), photo.replace("http://", ""));
        let file_name = file.display().to_string();
        let add = [
            &["account", "add", ICLOUD, "--user", USER, "--provider", "icloud", "--server", &server][..],
            &["--trust", &partition, "--trust", &photo, "--password-file", &file_name],
        ];
        self.cli(&add.concat()).json();
        std::fs::remove_file(&file).unwrap();
        self.cli(&["account", "start", ICLOUD, "--yes"]).json()["tally"].clone()
    }

    pub(crate) fn device(&self) -> Device {
        self.icloud.device(ICLOUD).unwrap()
    }

    /// Ann's contacts at Google.
    pub(crate) fn ann(&self) -> Account {
        self.google.account(ANN).unwrap()
    }

    /// Syncs Ann's mailbox at Google and waits.
    pub(crate) fn refresh(&self) -> Value {
        self.refresh_of(ANN)
    }

    pub(crate) fn refresh_of(&self, address: &str) -> Value {
        self.cli(&["refresh", address, "--wait"]).json()[0]["tally"].clone()
    }

    pub(crate) fn people(&self) -> Vec<Value> {
        self.cli(&["people", "list", "--limit", "1000"]).json().as_array().unwrap().clone()
    }

    /// The person's id and card, by the name as shown.
    pub(crate) fn person(&self, name: &str) -> (String, Value) {
        let people = self.people();
        let found = people.iter().find(|p| p["person"]["card"]["display"] == name);
        let person = &found.unwrap_or_else(|| panic!("nobody is called {name}: {people:?}"))["person"];
        (person["id"].as_str().unwrap().to_owned(), person["card"].clone())
    }

    /// Somebody new in the CRM, Ann's.
    pub(crate) fn add(&self, given: &str) -> String {
        let owner = ["--family", "Example", "--owner", USER];
        let added = self.cli(&[&["people", "add", "--given", given], &owner[..]].concat()).json();
        added["person"]["id"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn edit(&self, name: &str, more: &[&str]) {
        self.cli(&[&["people", "edit", &self.person(name).0], more].concat()).json();
    }

    /// What requests did after a mark: how many there were, and how many writes.
    pub(crate) fn since(&self, mark: Mark) -> (usize, usize) {
        self.google.ask(|journal| (journal.since(mark).count(), journal.writes(mark)))
    }

    /// The next sync costs one request and writes nothing.
    pub(crate) fn assert_quiet(&self) {
        self.fresh_token();
        let mark = self.google.mark();
        let tally = self.refresh();
        assert_eq!(tally, nothing());
        assert_eq!(self.since(mark), (1, 0), "{:?}", self.paths(mark));
    }

    /// The refresh token is used now, so that this is not counted with what follows.
    pub(crate) fn fresh_token(&self) {
        self.cli(&["groups", ANN]).json();
    }

    /// The paths of the requests after a mark, for messages.
    pub(crate) fn paths(&self, mark: Mark) -> Vec<String> {
        self.google
            .ask(|journal| journal.since(mark).map(|record| format!("{} {}", record.method, record.path)).collect())
    }

    /// Nothing secret stands in any file or in the log, nor in what was said.
    pub(crate) fn nothing_leaked(&self, said: &[&str]) {
        self.nothing_of(&SECRETS, said);
    }
}

/// A tally of nothing at all.
pub(crate) fn nothing() -> Value {
    let none = json!({"added": 0, "updated": 0, "deleted": 0});
    json!({"here": none, "there": none, "conflicts": 0, "held": 0, "failed": 0})
}

/// A contact as the API takes one.
pub(crate) fn contact(given: &str, group: Option<&str>) -> Value {
    let member = |group: &str| json!({"contactGroupMembership": {"contactGroupResourceName": group}});
    let groups: Vec<Value> = ["contactGroups/myContacts"].into_iter().chain(group).map(member).collect();
    json!({
        "names": [{"givenName": given, "familyName": "Example"}],
        "emailAddresses": [{"value": format!("{}@example.com", given.to_lowercase()), "type": "work"}],
        "memberships": groups,
    })
}

/// Where Google sends the browser after its user has said yes, or no.
pub(crate) fn redirected(url: &Url) -> Url {
    location(&get(url))
}
