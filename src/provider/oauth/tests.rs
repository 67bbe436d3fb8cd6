//! Asking, exchanging, refreshing and keeping, against an issuer that says exactly what a test tells it to.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use reqwest::Url;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Bearer;
use super::client::{Client, ClientSettings, Given};
use super::fault::OauthError;
use super::google::GOOGLE;
use super::grant::{Grant, UserGrant, missing};
use super::service::{BadKeyFile, ServiceAccount};
use super::tokens::{Replaced, Tokens, Vault, VaultError};
use crate::clock::{Clock, System};
use crate::ids::{AccountId, Timestamp};
use crate::provider::Retry;
use crate::provider::http::address::AddressPolicy;
use crate::provider::http::{Http, HttpSettings};
use crate::secret::Secret;

type Form = BTreeMap<String, String>;

/// An issuer with answers ready, one after the other; without one it stumbles.
#[derive(Clone, Default)]
struct Issuer {
    answers: Arc<Mutex<VecDeque<(u16, Value)>>>,
    asked: Arc<Mutex<Vec<(String, Form)>>>,
}

impl Issuer {
    async fn start(answers: impl IntoIterator<Item = (u16, Value)>) -> (Self, u16) {
        let issuer = Self { answers: Arc::new(Mutex::new(answers.into_iter().collect())), ..Self::default() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let router = Router::new().fallback(Self::answer).with_state(issuer.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (issuer, port)
    }

    async fn answer(State(issuer): State<Self>, to: Uri, body: Bytes) -> (StatusCode, axum::Json<Value>) {
        let form = url::form_urlencoded::parse(&body).into_owned().collect();
        issuer.asked.lock().unwrap().push((to.path().to_owned(), form));
        let (status, body) = issuer.answers.lock().unwrap().pop_front().unwrap_or((500, Value::Null));
        (StatusCode::from_u16(status).unwrap(), axum::Json(body))
    }

    fn asked(&self) -> Vec<(String, Form)> {
        self.asked.lock().unwrap().clone()
    }
}

fn client(port: u16) -> Client {
    let at = |path: &str| Url::parse(&format!("http://127.0.0.1:{port}{path}")).unwrap();
    let settings = ClientSettings {
        id: "us".to_owned(),
        secret: Some(Secret::from("client-geheim")),
        authorize: at("/authorize"),
        token: at("/token"),
        revoke: at("/revoke"),
        userinfo: at("/userinfo"),
        plain_loopback: true,
    };
    let addresses = AddressPolicy { allow_private: true, ..AddressPolicy::default() };
    let http = Http::new(HttpSettings { addresses, ..HttpSettings::default() }, Arc::new(System)).unwrap();
    Client::new(&GOOGLE, settings, http, Arc::new(System))
}

fn good(access: &str, refresh: Option<&str>) -> (u16, Value) {
    let mut body = json!({"access_token": access, "expires_in": 3599, "token_type": "Bearer"});
    if let Some(refresh) = refresh {
        body["refresh_token"] = refresh.into();
    }
    (200, body)
}

fn dead() -> (u16, Value) {
    (400, json!({"error": "invalid_grant", "error_description": "Token has been expired or revoked."}))
}

fn user(refresh: &str) -> Secret {
    let scopes = [GOOGLE.write.to_owned()].into();
    let (id, consented) = (Uuid::nil(), Timestamp(0));
    let refresh = Secret::from(refresh);
    Grant::User(UserGrant { id, refresh, scopes, subject: "1001".to_owned(), consented, expires: None }).to_secret()
}

fn refresh_of(secret: &Secret) -> String {
    let Grant::User(grant) = Grant::of_secret(secret).unwrap() else { panic!("no user's") };
    grant.refresh.expose().to_owned()
}

/// A vault in memory, of which a test can say what another daemon does to it.
#[derive(Default)]
struct Memory {
    stored: Mutex<Option<Secret>>,
    /// Put there by another daemon after so many reads.
    meanwhile: Mutex<Option<(usize, Secret)>>,
    /// How many replacements fail.
    failing: Mutex<usize>,
}

#[async_trait]
impl Vault for Memory {
    async fn load(&self, _: AccountId) -> Result<Option<Secret>, VaultError> {
        let stored = self.stored.lock().unwrap().clone();
        let mut meanwhile = self.meanwhile.lock().unwrap();
        match meanwhile.take() {
            Some((1, other)) => *self.stored.lock().unwrap() = Some(other),
            Some((n, other)) => *meanwhile = Some((n - 1, other)),
            None => {}
        }
        Ok(stored)
    }

    async fn replace(&self, _: AccountId, was: &Secret, now: &Secret) -> Result<Replaced, VaultError> {
        let mut failing = self.failing.lock().unwrap();
        if *failing > 0 {
            *failing -= 1;
            return Err(VaultError { says: "the disk is full".to_owned(), needs_person: false });
        }
        let mut stored = self.stored.lock().unwrap();
        if stored.as_ref().is_none_or(|stored| stored.expose() != was.expose()) {
            return Ok(Replaced::Changed);
        }
        *stored = Some(now.clone());
        Ok(Replaced::Done)
    }
}

fn tokens(port: u16, refresh: &str) -> (Tokens, Arc<Memory>) {
    let vault = Arc::new(Memory { stored: Mutex::new(Some(user(refresh))), ..Memory::default() });
    let account = AccountId::from(Uuid::nil());
    (Tokens::new(account, &client(port), None, Arc::clone(&vault) as Arc<dyn Vault>, Arc::new(System)), vault)
}

#[test]
fn a_user_is_sent_with_everything_that_google_wants() {
    let client = client(1);
    for (write, scope) in [(false, GOOGLE.read), (true, GOOGLE.write)] {
        let asked = client.ask("http://127.0.0.1:4711/", write, "ann@example.com").unwrap();
        let sent: Form = asked.url.query_pairs().into_owned().collect();
        let is = |name: &str, value: &str| assert_eq!(sent.get(name).map(String::as_str), Some(value), "{name}");
        is("response_type", "code");
        is("client_id", "us");
        is("redirect_uri", "http://127.0.0.1:4711/");
        is("scope", &format!("{scope} openid email"));
        is("state", asked.state.expose());
        is("code_challenge_method", "S256");
        is("access_type", "offline");
        is("prompt", "consent");
        is("include_granted_scopes", "true");
        is("login_hint", "ann@example.com");
        assert!(sent["code_challenge"].len() == 43 && asked.state.expose().len() >= 43);
        assert!(!asked.url.as_str().contains("geheim"));
    }
    let again = || client.ask("http://127.0.0.1:1/", true, "a@example.com").unwrap().url;
    assert_ne!(again(), again(), "nothing is used twice");
}

#[tokio::test]
async fn a_code_is_exchanged_with_what_proves_that_we_asked() {
    let mut answer = good("ya29.geheim", Some("1//geheim")).1;
    answer["scope"] = format!("{} openid", GOOGLE.write).into();
    answer["id_token"] = "e30.geheim.x".into();
    answer["refresh_token_expires_in"] = 604_799.into();
    let (issuer, port) = Issuer::start([(200, answer)]).await;
    let client = client(port);
    let asked = client.ask("http://127.0.0.1:4711/", true, "ann@example.com").unwrap();
    let given: Given = client.exchange(&asked, &Secret::from("4/0A")).await.unwrap();
    assert_eq!((given.access.expose(), given.lifetime), ("ya29.geheim", 3_599_000));
    assert_eq!(given.refresh.as_ref().unwrap().expose(), "1//geheim");
    assert_eq!(given.refresh_lifetime, Some(604_799_000));
    assert!(given.scopes.as_ref().unwrap().contains(GOOGLE.write));
    let (path, form) = issuer.asked().pop().unwrap();
    assert_eq!(path, "/token");
    let is = |name: &str, value: &str| assert_eq!(form.get(name).map(String::as_str), Some(value), "{name}");
    is("grant_type", "authorization_code");
    is("code", "4/0A");
    is("client_id", "us");
    is("client_secret", "client-geheim");
    is("redirect_uri", "http://127.0.0.1:4711/");
    let verifier = &form["code_verifier"];
    let challenge = URL_SAFE_NO_PAD.encode(<sha2::Sha256 as sha2::Digest>::digest(verifier));
    assert!(asked.url.as_str().contains(&format!("code_challenge={challenge}")) && verifier.len() >= 43);
    for shown in [format!("{given:?}"), format!("{asked:?}"), format!("{client:?}"), format!("{:?}", client.settings)] {
        assert!(!shown.contains("geheim") && !shown.contains(verifier.as_str()), "{shown}");
        assert!(!shown.contains(asked.state.expose()), "{shown}");
    }
}

#[tokio::test]
async fn what_the_token_endpoint_refuses_is_told_by_what_to_do() {
    let table = [
        (
            400,
            json!({"error": "invalid_grant", "error_description": "Token has been expired or revoked."}),
            "it was revoked",
            Retry::AfterHuman,
        ),
        (
            400,
            json!({"error": "invalid_grant", "error_description": "Bad Request"}),
            "sign in again: `contactd account add`",
            Retry::AfterHuman,
        ),
        (400, json!({"error": "invalid_grant", "error_subtype": "invalid_rapt"}), "session control", Retry::AfterHuman),
        (400, json!({"error": "redirect_uri_mismatch"}), "http.public_url", Retry::AfterHuman),
        (400, json!({"error": "invalid_scope"}), "check google.client_id", Retry::AfterHuman),
        (
            401,
            json!({"error": "invalid_client", "error_description": "geheim"}),
            "check google.client_id",
            Retry::AfterHuman,
        ),
        (401, json!({"error": "deleted_client"}), "make a new one", Retry::AfterHuman),
        (400, json!({"error": "admin_policy_enforced"}), "administrator of the domain", Retry::AfterHuman),
        (400, json!({"error": "geheim"}), "an error that we don't know", Retry::AfterHuman),
        (500, json!({"error": "invalid_grant"}), "500", Retry::Soon),
        (502, json!("geheim"), "502", Retry::Soon),
        (400, json!(7), "can't read", Retry::Soon),
        (200, json!({"token": "geheim"}), "can't read", Retry::Soon),
    ];
    for (status, body, part, retry) in table {
        let (_issuer, port) = Issuer::start([(status, body.clone())]).await;
        let error = client(port).refresh(&Secret::from("1//geheim")).await.unwrap_err();
        let debug = format!("{error:?}");
        let error = crate::provider::ProviderError::from(error);
        let says = format!("{error} {debug}");
        assert!(says.contains(part) && error.retry == retry, "{body}: {says} {:?}", error.retry);
        assert!(!says.contains("geheim"), "{says}");
    }
    let error = client(1).refresh(&Secret::from("1//geheim")).await.unwrap_err();
    assert!(matches!(error, OauthError::Away(_)), "{error:?}");
}

#[tokio::test]
async fn one_fetch_serves_all_who_wait() {
    let (issuer, port) = Issuer::start([good("a1", None), good("a2", None), dead()]).await;
    let (tokens, _) = tokens(port, "r1");
    let all = || async { futures_util::future::join_all((0..20).map(|_| tokens.token())).await };
    assert!(all().await.into_iter().all(|token| token.unwrap().expose() == "a1"));
    assert!(all().await.into_iter().all(|token| token.unwrap().expose() == "a1"));
    assert_eq!(issuer.asked().len(), 1);
    assert_eq!(issuer.asked()[0].1["refresh_token"], "r1");
    // What another has fetched meanwhile is not thrown away with what was refused.
    tokens.refused(&Secret::from("a0")).await;
    assert_eq!(tokens.token().await.unwrap().expose(), "a1");
    tokens.refused(&Secret::from("a1")).await;
    assert!(all().await.into_iter().all(|token| token.unwrap().expose() == "a2"));
    assert_eq!(issuer.asked().len(), 2);
    // One that is dead is told to all who wait, and asked for once.
    tokens.refused(&Secret::from("a2")).await;
    assert!(all().await.into_iter().all(|token| token.unwrap_err().retry == Retry::AfterHuman));
    assert_eq!(issuer.asked().len(), 3);
}

#[tokio::test]
async fn tokens_of_another_consent_are_not_handed_out() {
    let (_issuer, port) = Issuer::start([good("a1", None), good("a2", None)]).await;
    let (tokens, vault) = tokens(port, "r1");
    assert_eq!(tokens.token().await.unwrap().expose(), "a1");
    let Grant::User(mut grant) = Grant::of_secret(&user("r2")).unwrap() else { panic!() };
    grant.id = Uuid::max();
    let grant = Grant::User(grant);
    *vault.stored.lock().unwrap() = Some(grant.to_secret());
    tokens.granted(&grant);
    assert_eq!(tokens.token().await.unwrap().expose(), "a2");
}

#[tokio::test]
async fn a_rotated_token_is_stored_before_anything_else() {
    let (issuer, port) = Issuer::start([good("a1", Some("r2")), good("a2", Some("r3"))]).await;
    let (tokens, vault) = tokens(port, "r1");
    assert_eq!(tokens.token().await.unwrap().expose(), "a1");
    let stored = || refresh_of(vault.stored.lock().unwrap().as_ref().unwrap());
    assert_eq!(stored(), "r2");
    // What can't be stored is kept until it can, and nothing is done with what came along before.
    tokens.refused(&Secret::from("a1")).await;
    *vault.failing.lock().unwrap() = 2;
    for _ in 0..2 {
        let error = tokens.token().await.unwrap_err();
        assert!(error.retry == Retry::Soon && error.to_string().contains("the disk is full"), "{error}");
    }
    assert_eq!((stored(), issuer.asked().len()), ("r2".to_owned(), 2));
    issuer.answers.lock().unwrap().push_back(good("a3", None));
    assert_eq!(tokens.token().await.unwrap().expose(), "a3");
    assert_eq!(stored(), "r3");
    assert_eq!(issuer.asked()[2].1["refresh_token"], "r3");
}

#[tokio::test]
async fn a_run_that_is_broken_off_takes_no_rotated_token_with_it() {
    let (_issuer, port) = Issuer::start([good("a1", Some("r2"))]).await;
    let (tokens, vault) = tokens(port, "r1");
    // Polled once, so that it has begun, and dropped.
    drop(futures_util::poll!(std::pin::pin!(tokens.token())));
    assert_eq!(tokens.token().await.unwrap().expose(), "a1");
    assert_eq!(refresh_of(vault.stored.lock().unwrap().as_ref().unwrap()), "r2");
}

#[tokio::test]
async fn two_daemons_do_not_undo_one_another() {
    // The other one has rotated while we asked: what it stored stands, and ours still serves.
    let (issuer, port) = Issuer::start([good("a1", Some("r2-ours")), good("a2", None)]).await;
    let (ours, vault) = tokens(port, "r1");
    *vault.meanwhile.lock().unwrap() = Some((1, user("r2-theirs")));
    assert_eq!(ours.token().await.unwrap().expose(), "a1");
    assert_eq!(refresh_of(vault.stored.lock().unwrap().as_ref().unwrap()), "r2-theirs");
    ours.refused(&Secret::from("a1")).await;
    assert_eq!(ours.token().await.unwrap().expose(), "a2");
    assert_eq!(issuer.asked()[1].1["refresh_token"], "r2-theirs");

    // At an issuer that takes a refresh token once: the other one was first, and nobody is asked to sign in.
    let (issuer, port) = Issuer::start([dead(), good("a3", None)]).await;
    let (ours, vault) = tokens(port, "r1");
    *vault.meanwhile.lock().unwrap() = Some((1, user("r2-theirs")));
    assert_eq!(ours.token().await.unwrap().expose(), "a3");
    assert_eq!(issuer.asked()[1].1["refresh_token"], "r2-theirs");

    // The account was removed while we asked.
    let (_issuer, port) = Issuer::start([good("a4", Some("r2"))]).await;
    let (ours, vault) = tokens(port, "r1");
    *vault.meanwhile.lock().unwrap() = Some((1, user("gone")));
    ours.token().await.unwrap();
    *vault.stored.lock().unwrap() = None;
    ours.refused(&Secret::from("a4")).await;
    let error = ours.token().await.unwrap_err();
    assert!(error.retry == Retry::AfterHuman && error.to_string().contains("no sign-in is stored"), "{error}");
}

#[test]
fn a_grant_is_read_as_it_was_sealed_and_never_shown() {
    let secret = user("1//geheim");
    let grant = Grant::of_secret(&secret).unwrap();
    assert_eq!(grant.to_secret().expose(), secret.expose());
    assert!(!format!("{grant:?} {grant:#?}").contains("geheim"));
    let delegated = Grant::Delegated { address: "ann@example.com".to_owned(), write: true };
    let again = Grant::of_secret(&delegated.to_secret()).unwrap();
    assert!(again.may_write(&GOOGLE) && !format!("{again:?}").contains("ann"));
    let error = Grant::of_secret(&Secret::from("a-password-geheim")).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("geheim") && error.to_string().contains("contactd account add"));
}

#[test]
fn a_grant_says_what_it_lacks_and_when_it_ends() {
    let table: [(bool, &[&str], bool); 7] = [
        (true, &[GOOGLE.write], true),
        (true, &[GOOGLE.read], false),
        (true, &["openid"], false),
        (true, &[], false),
        (false, &[GOOGLE.read], true),
        (false, &[GOOGLE.write], true),
        (false, &["openid", "https://www.googleapis.com/auth/userinfo.email"], false),
    ];
    for (write, granted, enough) in table {
        let granted = granted.iter().map(|&scope| scope.to_owned()).collect();
        assert_eq!(missing(&GOOGLE, write, &granted).is_empty(), enough, "{write} {granted:?}");
    }
    let week = 7 * 24 * 60 * 60 * 1000;
    let grant = |expires| {
        let Grant::User(grant) = Grant::of_secret(&user("r")).unwrap() else { panic!() };
        Grant::User(UserGrant { consented: Timestamp(1000), expires, ..grant })
    };
    assert_eq!(grant(None).ends(false), None);
    assert_eq!(grant(None).ends(true), Some(Timestamp(1000 + week)));
    assert_eq!(grant(Some(Timestamp(5))).ends(true), Some(Timestamp(5)), "the issuer knows best");
    assert_eq!(Grant::Delegated { address: String::new(), write: true }.ends(true), None);
}

const KEY_FILE: &str = include_str!("../../../tests/golden/oauth/service-account.json");

#[test]
fn an_assertion_says_who_acts_for_whom_and_is_signed() {
    let service = ServiceAccount::read(&Secret::from(KEY_FILE)).unwrap();
    let now = Timestamp(1_700_000_000_500);
    let jwt = service.assertion("ann@example.com", GOOGLE.read, "https://oauth2.example.com/token", now).unwrap();
    let parts: Vec<&str> = jwt.expose().split('.').collect();
    let read = |part: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    assert_eq!(read(parts[0]), json!({"alg": "RS256", "typ": "JWT", "kid": "key-1"}));
    let claims = json!({
        "iss": "contactd@example.iam.gserviceaccount.com", "sub": "ann@example.com", "scope": GOOGLE.read,
        "aud": "https://oauth2.example.com/token", "iat": 1_700_000_000, "exp": 1_700_003_600,
    });
    assert_eq!(read(parts[1]), claims);
    let file: Value = serde_json::from_str(KEY_FILE).unwrap();
    let public = STANDARD.decode(file["public_key_for_the_test"].as_str().unwrap()).unwrap();
    let (signed, signature) = (format!("{}.{}", parts[0], parts[1]), URL_SAFE_NO_PAD.decode(parts[2]).unwrap());
    let known = rustls::crypto::ring::default_provider().signature_verification_algorithms;
    assert!(known.all.iter().any(|how| how.verify_signature(&public, signed.as_bytes(), &signature).is_ok()));
    assert!(!format!("{service:?}").contains("PRIVATE"));
    for (text, error) in [
        ("{}", BadKeyFile::NoKey),
        ("geheim", BadKeyFile::NoKey),
        (&KEY_FILE.replace("service_account\"", "authorized_user\""), BadKeyFile::NoKey),
        (&KEY_FILE.replace("BEGIN", "BEGUN"), BadKeyFile::BadKey),
    ] {
        assert_eq!(ServiceAccount::read(&Secret::from(text)).unwrap_err(), error, "{text}");
    }
}

#[tokio::test]
async fn a_delegation_that_is_missing_is_told_with_what_to_enter() {
    let missing = json!({"error": "unauthorized_client", "error_description": "Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of the scopes requested."});
    let nobody = json!({"error": "invalid_grant", "error_description": "Invalid email or User ID"});
    let (issuer, port) = Issuer::start([(401, missing), (400, nobody), good("a1", None)]).await;
    let service = Arc::new(ServiceAccount::read(&Secret::from(KEY_FILE)).unwrap());
    let grant = Grant::Delegated { address: "ann@example.com".to_owned(), write: true }.to_secret();
    let vault = Arc::new(Memory { stored: Mutex::new(Some(grant)), ..Memory::default() });
    let account = AccountId::from(Uuid::nil());
    let tokens = Tokens::new(account, &client(port), Some(service), vault, Arc::new(System));
    let error = tokens.token().await.unwrap_err();
    let says = error.to_string();
    assert!(error.retry == Retry::AfterHuman && says.contains("1122334455") && says.contains(GOOGLE.write), "{says}");
    let says = tokens.token().await.unwrap_err().to_string();
    assert!(says.contains("no such user"), "{says}");
    assert_eq!(tokens.token().await.unwrap().expose(), "a1");
    let (path, form) = issuer.asked().pop().unwrap();
    assert_eq!((path.as_str(), form["grant_type"].as_str()), ("/token", "urn:ietf:params:oauth:grant-type:jwt-bearer"));
    assert!(form["assertion"].split('.').count() == 3 && System.now().0 > 0);
}

#[tokio::test]
async fn a_token_is_given_back_whether_or_not_it_still_lives() {
    let (issuer, port) =
        Issuer::start([(200, json!({})), (400, json!({"error": "invalid_token"})), (403, json!({}))]).await;
    let client = client(port);
    let token = Secret::from("1//r");
    client.revoke(&token).await.unwrap();
    client.revoke(&token).await.unwrap();
    assert!(client.revoke(&token).await.is_err());
    assert_eq!((issuer.asked()[0].0.as_str(), issuer.asked()[0].1["token"].as_str()), ("/revoke", "1//r"));
}
