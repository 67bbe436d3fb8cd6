//! A daemon's parts in this process, the mock Google and the mock iCloud beside it, and users who sign in with a browser.
//!
//! Owns: starting all of it, time, commands, what must be found nowhere. Must not: judge.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use contactd::api::caller::Peer;
use contactd::api::{self, App};
use contactd::clock::{Clock, Entropy, System, World};
use contactd::crm::edition::Edition;
use contactd::engine::connect::Connector;
use contactd::engine::schedule::{Scheduler, Settings as When};
use contactd::engine::{Engine, Options};
use contactd::ids::Timestamp;
use contactd::provider::Provider;
use contactd::provider::dns::SystemResolver;
use contactd::provider::google::Google as Contacts;
use contactd::provider::google::settings::GoogleSettings;
use contactd::provider::http::address::AddressPolicy;
use contactd::provider::http::gate::{Gate, Pace};
use contactd::provider::http::{Http, HttpSettings};
use contactd::provider::oauth::client::ClientSettings;
use contactd::provider::oauth::google::{GOOGLE, Setup};
use contactd::provider::registry::{GoogleParts, Registry};
use contactd::seal::{Keyring, Secret};
use contactd::store::Store;
use contactd::store::sql::SqlStore;
use contactd::store::sqlite::Sqlite;
use contactd::sync::settings::GuardSettings;
use mock_providers::carddav::settings::{Account as Mailbox, Clock as Ticks};
use mock_providers::carddav::{self, Device, Icloud};
use mock_providers::google::{Account, Google, Settings};
use mock_providers::journal::Mark;
use mock_providers::oauth::User;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;
use url::Url;

/// Ann's mailbox, and Bob's.
pub(crate) const ANN: &str = "ann.example@gmail.com";
pub(crate) const BOB: &str = "bob.example@gmail.com";
/// Ann's other one.
pub(crate) const ICLOUD: &str = "ann@icloud.com";
/// The users.
pub(crate) const USER: &str = "ann@example.com";
pub(crate) const OTHER: &str = "bob@example.com";
const PASSWORD: &str = "abcd-efgh-ijkl-mnop";
pub(crate) const CLIENT: (&str, &str) = ("mock-desktop.apps.googleusercontent.com", "mock-desktop-secret");
/// What no file, log or answer may hold: tokens of either kind, our client's secret, a password.
const SECRETS: [&str; 4] = ["ya29.", "1//0", CLIENT.1, PASSWORD];
/// A minute and a day in milliseconds.
pub(crate) const MINUTE: i64 = 60_000;
pub(crate) const DAY: i64 = 24 * 60 * MINUTE;

/// The machine's time, moved on.
#[derive(Default)]
struct Moved(AtomicI64);

impl Clock for Moved {
    fn now(&self) -> Timestamp {
        System.now().plus(self.0.load(Ordering::Relaxed))
    }
}

impl Entropy for Moved {
    fn bytes(&self) -> [u8; 16] {
        System.bytes()
    }
}

/// All that was logged by all the daemons of these tests.
struct Log(Mutex<Vec<u8>>);

static LOG: Log = Log(Mutex::new(Vec::new()));

impl Write for &Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub(crate) struct Lab {
    dir: TempDir,
    pub(crate) google: Google,
    pub(crate) icloud: Icloud,
    time: Arc<Moved>,
    _cut: watch::Sender<bool>,
}

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn json(&self) -> Value {
        assert!(self.code == 0 || self.code == 3, "{self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Lab {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// A daemon with two users, Ann and Bob, each with a mailbox at the mock Google, and Ann with one at the mock iCloud.
    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let everything = "contactd=trace,oauth2=trace,reqwest=trace,hyper=debug";
        let log = tracing_subscriber::fmt().with_env_filter(everything).with_writer(|| &LOG);
        let _ = log.try_init();
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

        let dir = tempfile::tempdir().unwrap();
        let time = Arc::new(Moved::default());
        let world: Arc<dyn World> = Arc::clone(&time) as Arc<dyn World>;
        let addresses = AddressPolicy { allow_private: true, ..AddressPolicy::default() };
        let http = HttpSettings { addresses, patience: Duration::from_secs(1), ..HttpSettings::default() };
        let http = Http::new(http, Arc::clone(&world)).unwrap();
        let store: Arc<dyn Store> =
            Arc::new(SqlStore::open(Sqlite::open(&dir.path().join("contactd.db")).unwrap()).await.unwrap());
        let engine = Arc::new(Engine::new(store, Arc::clone(&world), "one", Options::default()));
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
            service: None,
            domains: Vec::new(),
            testing: false,
            redirect: None,
            api: url(&at.people),
        };
        let resolver = Arc::new(SystemResolver::new(Arc::new(System)).unwrap());
        // As the registry does it, without the time between writes that Google's quota wants: it would be waited for.
        let open = |parts: GoogleParts| -> Box<dyn Provider> {
            let settings = GoogleSettings { write_gap: Some(0), ..parts.settings };
            let gate = Arc::new(Gate::new(Pace { write_gap: Duration::ZERO, ..settings.pace() }));
            Box::new(Contacts::new(settings, parts.bearer, parts.http, gate, parts.world))
        };
        let registry =
            Registry::new(http, resolver, world, true).with_google(setup).with_google_adapter(Arc::new(open));
        let key = dir.path().join("key");
        let keys = Keyring::load(None, &key).unwrap();
        let connector = Arc::new(Connector::new(Arc::clone(&engine), registry, keys, &key, None));
        let (cut_now, cut) = watch::channel(false);
        let day = Duration::from_secs(24 * 60 * 60);
        let when = When {
            interval: day * 365,
            jitter: Duration::ZERO,
            concurrency: 2,
            after_edit: day * 365,
            trash: day * 30,
        };
        let (scheduler, schedule) =
            Scheduler::new(Arc::clone(&engine), Arc::clone(&connector), Arc::new(System), when, cut);
        tokio::spawn(scheduler.run());
        let (edition, guard) = (Edition::Platinum, GuardSettings::default());
        let app = Arc::new(App { engine, connector, schedule, edition, guard, ready: AtomicBool::new(true) });
        let socket = tokio::net::UnixListener::bind(dir.path().join("control.sock")).unwrap();
        let router = api::router(app).into_make_service_with_connect_info::<Peer>();
        tokio::spawn(async move { axum::serve(socket, router).await });
        let lab = Self { dir, google, icloud, time, _cut: cut_now };
        lab.cli(&["users", "add", USER, "--name", "Ann Example", "--admin"]).json();
        lab.cli(&["users", "add", OTHER, "--name", "Bob Example"]).json();
        lab
    }

    /// Time goes on, here and there.
    pub(crate) fn later(&self, millis: i64) {
        self.time.0.fetch_add(millis, Ordering::Relaxed);
        self.google.advance(u64::try_from(millis).unwrap());
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("control.sock")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_contactd"));
        command.env_clear().arg("--socket").arg(self.socket()).args(args).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a command in the background.
    pub(crate) fn spawn(&self, args: &[&str]) -> Child {
        self.command(args).spawn().unwrap()
    }

    /// Runs a command as it is.
    pub(crate) fn plain(&self, args: &[&str]) -> Ran {
        ended(self.command(args).spawn().unwrap(), String::new())
    }

    /// Runs a command with `--json`.
    pub(crate) fn cli(&self, args: &[&str]) -> Ran {
        self.plain(&[args, &["--json"]].concat())
    }

    /// `account add`, up to where the user is sent to Google.
    pub(crate) fn sent(&self, address: &str, user: &str, more: &[&str]) -> (Child, Url, String) {
        let args = [&["account", "add", address, "--user", user, "--json"], more].concat();
        let mut child = self.command(&args).stdin(Stdio::piped()).spawn().unwrap();
        let (url, said) = sent_to(&mut child);
        (child, url, said)
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

    pub(crate) fn account(&self, address: &str) -> Value {
        self.cli(&["account", "show", address]).json()
    }

    pub(crate) fn accounts(&self) -> usize {
        self.cli(&["account", "list"]).json().as_array().unwrap().len()
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
        let log = LOG.0.lock().unwrap().clone();
        assert!(!log.is_empty(), "something is logged");
        let mut texts: Vec<(String, Vec<u8>)> =
            said.iter().map(|s| ("said".to_owned(), s.as_bytes().to_vec())).collect();
        texts.push(("the log".to_owned(), log));
        for file in std::fs::read_dir(self.dir.path()).unwrap().map(|file| file.unwrap().path()) {
            if let Ok(bytes) = std::fs::read(&file) {
                texts.push((file.display().to_string(), bytes));
            }
        }
        for secret in SECRETS {
            for (name, text) in &texts {
                let found = text.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!found, "{name} has {secret} in it");
            }
        }
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

/// How a command ended.
pub(crate) fn ended(mut child: Child, mut err: String) -> Ran {
    drop(child.stdin.take());
    let output = child.wait_with_output().unwrap();
    err += &String::from_utf8_lossy(&output.stderr);
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    Ran { code: output.status.code().unwrap_or(-1), out, err }
}

/// Where a command that adds an account sends its user, and all that it said until then.
pub(crate) fn sent_to(child: &mut Child) -> (Url, String) {
    let mut said = String::new();
    let mut lines = BufReader::new(child.stderr.as_mut().unwrap());
    loop {
        let before = said.len();
        assert!(lines.read_line(&mut said).unwrap() > 0, "it ended: {said}");
        let line = said[before..].trim();
        if line.contains("/o/oauth2/v2/auth?") {
            return (Url::parse(line).unwrap(), said);
        }
    }
}

/// What a browser gets from that address, heads and all.
pub(crate) fn get(url: &Url) -> String {
    let mut browser = TcpStream::connect((url.host_str().unwrap(), url.port().unwrap())).unwrap();
    let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
    write!(browser, "GET {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", url.host_str().unwrap()).unwrap();
    let mut page = String::new();
    browser.read_to_string(&mut page).unwrap();
    page
}

/// Where Google sends the browser after its user has said yes, or no.
pub(crate) fn redirected(url: &Url) -> Url {
    let page = get(url);
    let mut heads = page.lines().filter_map(|line| line.split_once(": "));
    let location = heads.find(|(name, _)| name.eq_ignore_ascii_case("location"));
    Url::parse(location.unwrap_or_else(|| panic!("{page}")).1).unwrap()
}
