//! A daemon's parts in this process, put together as the daemon does it, with commands against them.
//!
//! Owns: time, the store's folder, the control socket and the open port, what was logged, what must be found nowhere. Must
//! not: know a provider, judge.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
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
use contactd::provider::dns::SystemResolver;
use contactd::provider::http::address::AddressPolicy;
use contactd::provider::http::{Http, HttpSettings};
use contactd::provider::registry::Registry;
use contactd::seal::Keyring;
use contactd::store::Store;
use contactd::store::sql::SqlStore;
use contactd::store::sqlite::Sqlite;
use contactd::sync::settings::GuardSettings;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::watch;
use url::Url;

pub(crate) use crate::ran::Ran;

/// The machine's time, moved on.
#[derive(Default)]
pub(crate) struct Moved(AtomicI64);

impl Moved {
    pub(crate) fn millis(&self, millis: i64) {
        self.0.fetch_add(millis, Ordering::Relaxed);
    }

    pub(crate) fn days(&self, days: i64) {
        self.millis(days * 24 * 60 * 60 * 1000);
    }
}

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

/// A daemon without a provider of its own: what is put in is what it knows.
pub(crate) struct Parts {
    pub(crate) dir: TempDir,
    pub(crate) time: Arc<Moved>,
    /// Its open port.
    pub(crate) listens: SocketAddr,
    _cut: watch::Sender<bool>,
}

impl Parts {
    /// Starts it, with one user, Ann, who is an administrator. Nothing is synced by itself. `registry` puts the provider in,
    /// given where browsers reach the open port.
    pub(crate) async fn start(patience: Duration, registry: impl FnOnce(Registry, &str) -> Registry) -> Self {
        let everything = "contactd=trace,oauth2=trace,reqwest=trace,hyper=debug";
        let log = tracing_subscriber::fmt().with_env_filter(everything).with_writer(|| &LOG);
        let _ = log.try_init();
        let dir = tempfile::tempdir().unwrap();
        let time = Arc::new(Moved::default());
        let world: Arc<dyn World> = Arc::clone(&time) as Arc<dyn World>;
        let addresses = AddressPolicy { allow_private: true, ..AddressPolicy::default() };
        let http = HttpSettings { addresses, patience, ..HttpSettings::default() };
        let http = Http::new(http, Arc::clone(&world)).unwrap();
        let store: Arc<dyn Store> =
            Arc::new(SqlStore::open(Sqlite::open(&dir.path().join("contactd.db")).unwrap()).await.unwrap());
        let engine = Arc::new(Engine::new(store, Arc::clone(&world), "one", Options::default()));
        let tcp = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listens = tcp.local_addr().unwrap();
        let resolver = Arc::new(SystemResolver::new(Arc::new(System)).unwrap());
        let registry = registry(Registry::new(http, resolver, world, true), &format!("http://{listens}"));
        let key = dir.path().join("key");
        let keys = Keyring::load(None, &key).unwrap();
        let connector = Arc::new(Connector::new(Arc::clone(&engine), registry, keys, &key, None));
        let (cut_now, cut) = watch::channel(false);
        let year = Duration::from_secs(365 * 24 * 60 * 60);
        let when = When { interval: year, jitter: Duration::ZERO, concurrency: 2, after_edit: year, trash: year / 12 };
        let (scheduler, schedule) =
            Scheduler::new(Arc::clone(&engine), Arc::clone(&connector), Arc::new(System), when, cut);
        tokio::spawn(scheduler.run());
        let (edition, guard) = (Edition::Platinum, GuardSettings::default());
        let app = Arc::new(App { engine, connector, schedule, edition, guard, ready: AtomicBool::new(true) });
        let socket = tokio::net::UnixListener::bind(dir.path().join("control.sock")).unwrap();
        let router = api::router(Arc::clone(&app)).into_make_service_with_connect_info::<Peer>();
        tokio::spawn(async move { axum::serve(socket, router).await });
        tokio::spawn(async move { axum::serve(tcp, api::open_router(app)).await });
        let parts = Self { dir, time, listens, _cut: cut_now };
        parts.cli(&["users", "add", "ann@example.com", "--name", "Ann Example", "--admin"]).json();
        parts
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
        ended(self.spawn(args), String::new())
    }

    /// Runs a command with `--json`.
    pub(crate) fn cli(&self, args: &[&str]) -> Ran {
        self.plain(&[args, &["--json"]].concat())
    }

    /// `account add`, up to where the user is sent to; with all that it said until then.
    pub(crate) fn sent(&self, address: &str, user: &str, more: &[&str]) -> (Child, Url, String) {
        let args = [&["account", "add", address, "--user", user, "--json"], more].concat();
        let mut child = self.command(&args).stdin(Stdio::piped()).spawn().unwrap();
        let (url, said) = sent_to(&mut child);
        (child, url, said)
    }

    pub(crate) fn account(&self, address: &str) -> Value {
        self.cli(&["account", "show", address]).json()
    }

    pub(crate) fn accounts(&self) -> usize {
        self.cli(&["account", "list"]).json().as_array().unwrap().len()
    }

    /// A request to the API as it stands; its status and body.
    pub(crate) fn api(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let mut socket = UnixStream::connect(self.socket()).unwrap();
        let body = body.to_string();
        let request = format!(
            "{method} /api/v1{path} HTTP/1.1\r\nHost: contactd\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            body.len()
        );
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    /// None of the secrets stands in any file or in the log, nor in what was said.
    pub(crate) fn nothing_of(&self, secrets: &[&str], said: &[&str]) {
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
        for secret in secrets {
            for (name, text) in &texts {
                let found = text.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!found, "{name} has a secret in it");
            }
        }
    }
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
        // One that ends before is not waited for: the test has failed.
        assert!(lines.read_line(&mut said).unwrap() > 0, "it ended: {said}");
        if let Ok(url) = Url::parse(said[before..].trim())
            && url.has_host()
        {
            return (url, said);
        }
    }
}
