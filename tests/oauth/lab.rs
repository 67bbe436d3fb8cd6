//! A daemon in this process, with an issuer of tokens that does what a test tells it to, and an address book behind it.
//!
//! Owns: the issuer, the book, how users sign in. Must not: judge.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use contactd::ids::{CollectionId, Token};
use contactd::provider::oauth::Bearer;
use contactd::provider::oauth::client::{ClientSettings, Dialect};
use contactd::provider::oauth::google::{GOOGLE, Setup};
use contactd::provider::oauth::service::ServiceAccount;
use contactd::provider::registry::GoogleParts;
use contactd::provider::{
    Blob, Changes, Collection, Fetched, Found, From, Group, Mailbox, Next, Outcome, Provider, ProviderError, Retry,
    Scope, Write as Sent,
};
use contactd::seal::Secret;
use contactd::sync::caps::Capabilities;
use contactd::sync::view::{RemoteRecord, RemoteRef};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::Url;

use crate::browser::{Browser, hidden, location};
use crate::parts::{Parts, Ran, ended};

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
    parts: Parts,
    pub(crate) issuer: Issuer,
}

impl Deref for Lab {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}

impl Lab {
    pub(crate) async fn new() -> Self {
        Self::with(How::default()).await
    }

    /// A daemon with one user, Ann.
    pub(crate) async fn with(how: How) -> Self {
        let issuer = Issuer::start().await;
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
        let (api, book) = (issuer.at("/people"), issuer.clone());
        let parts = Parts::start(Duration::from_secs(2), |registry, listens| {
            let redirect = how.web.then(|| format!("{}/oauth/callback", how.public.unwrap_or(listens)));
            let (domains, testing) = (how.domains, how.testing);
            let setup = Setup { dialect, client, service, domains, testing, redirect, api };
            let open = move |parts: GoogleParts| -> Box<dyn Provider> {
                Box::new(Book { bearer: parts.bearer, issuer: book.clone(), caps: Capabilities::everything() })
            };
            registry.with_google(setup).with_google_adapter(Arc::new(open))
        });
        Self { parts: parts.await, issuer }
    }

    /// `account add` for Ann, up to where she is sent to the issuer.
    pub(crate) fn sent(&self, address: &str, more: &[&str]) -> (Child, Url, String) {
        self.parts.sent(address, "ann@example.com", more)
    }

    /// Ann signs in with her browser.
    pub(crate) fn signs_in(&self, address: &str, more: &[&str], who: Consent) -> Ran {
        let (child, url, said) = self.sent(address, more);
        let browser = Browser::default();
        let url = if url.path().contains("/oauth/start/") { led_on(&browser, &url) } else { url };
        browser.get(&self.issuer.consent(&url, who));
        ended(child, said)
    }

    /// Nothing secret stands in any file or in the log, nor in what was said.
    pub(crate) fn nothing_leaked(&self, said: &[&str]) {
        let secrets = self.issuer.secrets();
        self.nothing_of(&secrets.iter().map(String::as_str).collect::<Vec<_>>(), said);
    }
}

/// Opens the link that a sign-in begins by, and goes on; where to.
pub(crate) fn led_on(browser: &Browser, link: &Url) -> Url {
    let page = browser.get(link);
    location(&browser.post(link, &[("shown", hidden(&page, "shown"))]))
}
