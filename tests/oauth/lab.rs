//! A daemon in this process, with an issuer of tokens that does what a test tells it to, and an address book behind it.
//!
//! Owns: the issuer, the book, the daemon's parts as the daemon puts them together, a user's browser. Must not: judge.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use contactd::api::caller::Peer;
use contactd::api::{self, App};
use contactd::clock::{Clock, Entropy, System, World};
use contactd::crm::edition::Edition;
use contactd::engine::connect::Connector;
use contactd::engine::schedule::{Scheduler, Settings as When};
use contactd::engine::{Engine, Options};
use contactd::ids::{CollectionId, Timestamp, Token};
use contactd::provider::dns::SystemResolver;
use contactd::provider::http::address::AddressPolicy;
use contactd::provider::http::{Http, HttpSettings};
use contactd::provider::oauth::Bearer;
use contactd::provider::oauth::client::{ClientSettings, Dialect};
use contactd::provider::oauth::google::{GOOGLE, Setup};
use contactd::provider::oauth::service::ServiceAccount;
use contactd::provider::registry::{GoogleParts, Registry};
use contactd::provider::{
    Blob, Changes, Collection, Fetched, Found, From, Group, Mailbox, Next, Outcome, Provider, ProviderError, Retry,
    Scope, Write as Sent,
};
use contactd::seal::{Keyring, Secret};
use contactd::store::Store;
use contactd::store::sql::SqlStore;
use contactd::store::sqlite::Sqlite;
use contactd::sync::caps::Capabilities;
use contactd::sync::settings::GuardSettings;
use contactd::sync::view::{RemoteRecord, RemoteRef};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::sync::watch;
use url::Url;

use crate::browser::{Browser, hidden, location};

pub(crate) const WRITE: &str = "https://www.googleapis.com/auth/contacts";
pub(crate) const READ: &str = "https://www.googleapis.com/auth/contacts.readonly";
const KEY_FILE: &str = include_str!("../golden/oauth/service-account.json");

/// Who signs in, and what they allow.
#[derive(Clone)]
pub(crate) struct Consent {
    pub(crate) subject: &'static str,
    pub(crate) email: &'static str,
    /// Other scopes than were asked for.
    pub(crate) scopes: Option<&'static str>,
    pub(crate) refresh: bool,
    pub(crate) id_token: bool,
    pub(crate) lasts: Option<i64>,
}

pub(crate) const ANN: Consent =
    Consent { subject: "1001", email: "ann@gmail.com", scopes: None, refresh: true, id_token: true, lasts: None };

#[derive(Default)]
struct Given {
    /// By code: who, what was asked for, and the challenge.
    codes: BTreeMap<String, (Consent, String, String, String)>,
    /// By refresh token and by access token: whose.
    refresh: BTreeMap<String, &'static str>,
    access: BTreeMap<String, String>,
    revoked: Vec<String>,
    asked: Vec<BTreeMap<String, String>>,
    made: u32,
}

/// The issuer.
#[derive(Clone, Default)]
pub(crate) struct Issuer {
    given: Arc<Mutex<Given>>,
    /// Whether it answers to whoever gives a token back.
    pub(crate) deaf: Arc<AtomicBool>,
    /// Whether the domain's administrator has allowed the service account.
    pub(crate) delegated: Arc<AtomicBool>,
    pub(crate) url: Arc<Mutex<String>>,
}

impl Issuer {
    async fn start() -> Self {
        let issuer = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        *issuer.url.lock().unwrap() = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(Self::answer).with_state(issuer.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        issuer
    }

    fn at(&self, path: &str) -> Url {
        Url::parse(&format!("{}{path}", self.url.lock().unwrap())).unwrap()
    }

    async fn answer(State(issuer): State<Self>, to: Uri, body: Bytes) -> (StatusCode, axum::Json<Value>) {
        let form: BTreeMap<String, String> = url::form_urlencoded::parse(&body).into_owned().collect();
        let (status, body) = match to.path() {
            "/token" => issuer.token(&form),
            "/revoke" if issuer.deaf.load(Ordering::Relaxed) => (403, json!({})),
            "/revoke" => {
                let mut given = issuer.given.lock().unwrap();
                given.refresh.remove(&form["token"]);
                given.revoked.push(form["token"].clone());
                (200, json!({}))
            }
            "/userinfo" => (200, json!({"sub": ANN.subject, "email": ANN.email})),
            _ => (404, json!({})),
        };
        (StatusCode::from_u16(status).unwrap(), axum::Json(body))
    }

    fn token(&self, form: &BTreeMap<String, String>) -> (u16, Value) {
        let mut given = self.given.lock().unwrap();
        given.asked.push(form.clone());
        given.made += 1;
        let access = format!("ya29.geheim-{}", given.made);
        let mut answer = json!({"access_token": access, "expires_in": 3599, "token_type": "Bearer"});
        let refused =
            (400, json!({"error": "invalid_grant", "error_description": "Token has been expired or revoked."}));
        let subject = match form["grant_type"].as_str() {
            "authorization_code" => {
                let Some((who, scopes, challenge, client)) = given.codes.remove(&form["code"]) else { return refused };
                if URL_SAFE_NO_PAD.encode(Sha256::digest(&form["code_verifier"])) != challenge {
                    return refused;
                }
                answer["scope"] = who.scopes.map_or(scopes, str::to_owned).into();
                if who.refresh {
                    let refresh = format!("1//geheim-{}", given.made);
                    given.refresh.insert(refresh.clone(), who.subject);
                    answer["refresh_token"] = refresh.into();
                }
                if who.id_token {
                    let claims = json!({"sub": who.subject, "email": who.email, "aud": client});
                    answer["id_token"] = format!("e30.{}.x", URL_SAFE_NO_PAD.encode(claims.to_string())).into();
                }
                if let Some(lasts) = who.lasts {
                    answer["refresh_token_expires_in"] = lasts.into();
                }
                who.subject.to_owned()
            }
            "refresh_token" => match given.refresh.get(&form["refresh_token"]) {
                Some(subject) => (*subject).to_owned(),
                None => return refused,
            },
            _ if !self.delegated.load(Ordering::Relaxed) => return (401, json!({"error": "unauthorized_client"})),
            _ => {
                let claims = form["assertion"].split('.').nth(1).unwrap();
                let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
                format!("of {}", claims["sub"].as_str().unwrap())
            }
        };
        given.access.insert(access, subject);
        (200, answer)
    }

    /// The user says yes; where the browser is sent to then.
    pub(crate) fn consent(&self, url: &Url, who: Consent) -> Url {
        let asked: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        let mut given = self.given.lock().unwrap();
        given.made += 1;
        let code = format!("4/geheim-{}", given.made);
        let (scopes, challenge) = (asked["scope"].clone(), asked["code_challenge"].clone());
        given.codes.insert(code.clone(), (who, scopes, challenge, asked["client_id"].clone()));
        let mut back = Url::parse(&asked["redirect_uri"]).unwrap();
        back.query_pairs_mut().append_pair("state", &asked["state"]).append_pair("code", &code);
        back
    }

    /// The user takes everything back.
    pub(crate) fn take_back(&self) {
        let mut given = self.given.lock().unwrap();
        given.refresh.clear();
        given.access.clear();
    }

    pub(crate) fn revoked(&self) -> Vec<String> {
        self.given.lock().unwrap().revoked.clone()
    }

    pub(crate) fn live(&self) -> usize {
        self.given.lock().unwrap().refresh.len()
    }

    fn whose(&self, access: &Secret) -> Option<String> {
        self.given.lock().unwrap().access.get(access.expose()).cloned()
    }

    /// Everything that must never be found anywhere.
    fn secrets(&self) -> BTreeSet<String> {
        let given = self.given.lock().unwrap();
        let verifiers = given.asked.iter().filter_map(|form| form.get("code_verifier"));
        verifiers.cloned().chain(["geheim".to_owned()]).collect()
    }
}

/// An empty address book, which the issuer's tokens open.
struct Book {
    bearer: Arc<dyn Bearer>,
    issuer: Issuer,
    caps: Capabilities,
}

impl Book {
    async fn whose(&self) -> Result<String, ProviderError> {
        for _ in 0..2 {
            let token = self.bearer.token().await?;
            if let Some(subject) = self.issuer.whose(&token) {
                return Ok(subject);
            }
            self.bearer.refused(&token).await;
        }
        let source = "Google refuses the token".into();
        Err(ProviderError { scope: Scope::Account, retry: Retry::AfterHuman, doing: "reading", source })
    }
}

#[async_trait]
impl Provider for Book {
    fn capabilities(&self) -> &Capabilities {
        &self.caps
    }
    async fn check(&self) -> Result<Mailbox, ProviderError> {
        Ok(Mailbox { tenant: "google".to_owned(), subject: self.whose().await?, address: None })
    }
    async fn collections(&self) -> Result<Vec<Collection>, ProviderError> {
        Ok(vec![Collection { id: CollectionId::from("all"), name: "Contacts".to_owned(), writable: true }])
    }
    async fn groups(&self) -> Result<Vec<Group>, ProviderError> {
        self.whose().await.map(|_| Vec::new())
    }
    async fn changes(&self, _: &CollectionId, _: From<'_>) -> Result<Changes, ProviderError> {
        self.whose().await?;
        let next = Next::Done("1".to_owned().into());
        Ok(Changes { full: true, seen: Vec::new(), listed: Vec::new(), blobs: Vec::new(), next })
    }
    async fn fetch(&self, of: &[RemoteRef]) -> Result<Vec<Fetched>, ProviderError> {
        Ok(of.iter().map(|_| Fetched::Gone).collect())
    }
    async fn find(&self, _: &CollectionId, tokens: &[Token]) -> Result<Vec<Found>, ProviderError> {
        Ok(tokens.iter().map(|_| Found::NotThere).collect())
    }
    async fn photo(&self, _: &RemoteRecord) -> Result<Option<Blob>, ProviderError> {
        Ok(None)
    }
    async fn write(&self, batch: &[Sent]) -> Vec<Outcome> {
        batch.iter().map(|_| Outcome::NotTried).collect()
    }
}

/// The machine's time, moved on.
#[derive(Default)]
pub(crate) struct Moved(AtomicI64);

impl Moved {
    pub(crate) fn days(&self, days: i64) {
        self.0.fetch_add(days * 24 * 60 * 60 * 1000, Ordering::Relaxed);
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

/// How the daemon is set up.
#[derive(Default)]
pub(crate) struct How {
    pub(crate) web: bool,
    /// Where browsers reach us, if it isn't by the daemon's own port.
    pub(crate) public: Option<&'static str>,
    pub(crate) testing: bool,
    pub(crate) domains: Vec<String>,
    pub(crate) no_client: bool,
    /// Each token is given back by itself.
    pub(crate) one_by_one: bool,
}

pub(crate) struct Lab {
    pub(crate) dir: TempDir,
    pub(crate) issuer: Issuer,
    pub(crate) time: Arc<Moved>,
    pub(crate) listens: SocketAddr,
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
        Self::with(How::default()).await
    }

    /// A daemon with one user, Ann.
    pub(crate) async fn with(how: How) -> Self {
        let everything = "contactd=trace,oauth2=trace,reqwest=trace,hyper=debug";
        let log = tracing_subscriber::fmt().with_env_filter(everything).with_writer(|| &LOG);
        let _ = log.try_init();
        let issuer = Issuer::start().await;
        let dir = tempfile::tempdir().unwrap();
        let time = Arc::new(Moved::default());
        let world: Arc<dyn World> = Arc::clone(&time) as Arc<dyn World>;
        let addresses = AddressPolicy { allow_private: true, ..AddressPolicy::default() };
        let settings = HttpSettings { addresses, patience: Duration::from_secs(2), ..HttpSettings::default() };
        let http = Http::new(settings, Arc::clone(&world)).unwrap();
        let store: Arc<dyn Store> =
            Arc::new(SqlStore::open(Sqlite::open(&dir.path().join("contactd.db")).unwrap()).await.unwrap());
        let engine = Arc::new(Engine::new(store, Arc::clone(&world), "one", Options::default()));
        let tcp = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listens = tcp.local_addr().unwrap();
        let public = how.public.map_or_else(|| format!("http://{listens}"), str::to_owned);
        let client = ClientSettings {
            id: if how.no_client { String::new() } else { "us".to_owned() },
            secret: Some(Secret::from("client-geheim")),
            authorize: issuer.at("/authorize"),
            token: issuer.at("/token"),
            revoke: issuer.at("/revoke"),
            userinfo: issuer.at("/userinfo"),
            plain_loopback: true,
        };
        let service = Some(Arc::new(ServiceAccount::read(&Secret::from(KEY_FILE)).unwrap()));
        let dialect: &'static Dialect =
            if how.one_by_one { Box::leak(Box::new(Dialect { revokes_all: false, ..GOOGLE })) } else { &GOOGLE };
        let redirect = how.web.then(|| format!("{public}/oauth/callback"));
        let setup = Setup {
            dialect,
            client,
            service,
            domains: how.domains,
            testing: how.testing,
            redirect,
            api: issuer.at("/people"),
        };
        let book = issuer.clone();
        let open = move |parts: GoogleParts| -> Box<dyn Provider> {
            Box::new(Book { bearer: parts.bearer, issuer: book.clone(), caps: Capabilities::everything() })
        };
        let resolver = Arc::new(SystemResolver::new(Arc::new(System)).unwrap());
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
            after_edit: Duration::ZERO,
            trash: day,
        };
        let (scheduler, schedule) =
            Scheduler::new(Arc::clone(&engine), Arc::clone(&connector), Arc::new(System), when, cut);
        tokio::spawn(scheduler.run());
        let (edition, guard) = (Edition::Platinum, GuardSettings::default());
        let app = Arc::new(App { engine, connector, schedule, edition, guard, ready: AtomicBool::new(true) });
        let socket = tokio::net::UnixListener::bind(dir.path().join("control.sock")).unwrap();
        let router = api::router(Arc::clone(&app)).into_make_service_with_connect_info::<Peer>();
        tokio::spawn(async move { axum::serve(socket, router).await });
        tokio::spawn(async move { axum::serve(tcp, api::open_router(app)).await });
        let lab = Self { dir, issuer, time, listens, _cut: cut_now };
        lab.cli(&["users", "add", "ann@example.com", "--name", "Ann Example", "--admin"]).json();
        lab
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

    /// Runs a command as it is.
    pub(crate) fn plain(&self, args: &[&str]) -> Ran {
        ended(self.command(args).spawn().unwrap(), String::new())
    }

    /// Runs a command with `--json`.
    pub(crate) fn cli(&self, args: &[&str]) -> Ran {
        self.plain(&[args, &["--json"]].concat())
    }

    /// `account add`, up to where the user is sent to the issuer.
    pub(crate) fn sent(&self, address: &str, more: &[&str]) -> (Child, Url, String) {
        let args = [&["account", "add", address, "--user", "ann@example.com", "--json"], more].concat();
        let mut child = self.command(&args).stdin(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        let mut lines = BufReader::new(child.stderr.as_mut().unwrap());
        let url = loop {
            let before = said.len();
            // One that ends before is not waited for: the test has failed.
            assert!(lines.read_line(&mut said).unwrap() > 0, "it ended: {said}");
            let line = said[before..].trim();
            if line.contains("/authorize?") || line.contains("/oauth/start/") {
                break Url::parse(line).unwrap();
            }
        };
        (child, url, said)
    }

    /// Ann signs in with her browser.
    pub(crate) fn signs_in(&self, address: &str, more: &[&str], who: Consent) -> Ran {
        let (child, url, said) = self.sent(address, more);
        let browser = Browser::default();
        let url = if url.path().contains("/oauth/start/") { led_on(&browser, &url) } else { url };
        browser.get(&self.issuer.consent(&url, who));
        ended(child, said)
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

    /// That stands in no file and not in the log.
    pub(crate) fn nothing_of(&self, secret: &str) {
        let files =
            std::fs::read_dir(self.dir.path()).unwrap().filter_map(|file| std::fs::read(file.unwrap().path()).ok());
        for text in files.chain([LOG.0.lock().unwrap().clone()]) {
            assert!(!text.windows(secret.len()).any(|window| window == secret.as_bytes()));
        }
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
        for secret in self.issuer.secrets() {
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

/// Opens the link that a sign-in begins by, and goes on; where to.
pub(crate) fn led_on(browser: &Browser, link: &Url) -> Url {
    let page = browser.get(link);
    location(&browser.post(link, &[("shown", hidden(&page, "shown"))]))
}
