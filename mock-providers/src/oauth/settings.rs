//! The switches of the authorization server, with what Google is known to do as their defaults.
//!
//! Owns: the switches. Must not: act on them. Sections are those of `google.md`.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// What kind of application a client is (1.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Installed: any loopback address with any port may be redirected to.
    Desktop,
    /// Behind a public address: exactly the registered ones.
    Web,
    /// A service account, to which an administrator has delegated users (1.6).
    Service {
        /// Its e-mail address, the `iss` of its assertions.
        email: String,
        /// Its public key: PEM of a `PUBLIC KEY` or an `RSA PUBLIC KEY`.
        public_key: String,
        /// What the administrator has delegated to it; with none, delegation is missing.
        scopes: Vec<String>,
    },
}

/// A registered client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Its id.
    pub id: String,
    /// Its secret, which must be sent to the token endpoint if there is one.
    pub secret: Option<String>,
    /// What kind it is.
    pub kind: Kind,
    /// Where a web client may be redirected to.
    pub redirect_uris: Vec<String>,
    /// Whether it was deleted for want of use (1.5).
    pub deleted: bool,
}

impl Client {
    /// An installed application.
    #[must_use]
    pub fn desktop(id: &str, secret: &str) -> Self {
        let (id, secret) = (id.to_owned(), Some(secret.to_owned()));
        Self { id, secret, kind: Kind::Desktop, redirect_uris: Vec::new(), deleted: false }
    }

    /// An application behind a public address.
    #[must_use]
    pub fn web(id: &str, secret: &str, redirect_uris: &[&str]) -> Self {
        let redirect_uris = redirect_uris.iter().map(|uri| (*uri).to_owned()).collect();
        Self { kind: Kind::Web, redirect_uris, ..Self::desktop(id, secret) }
    }

    /// A service account with delegated scopes.
    #[must_use]
    pub fn service(email: &str, public_key: &str, scopes: &[&str]) -> Self {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        let kind = Kind::Service { email: email.to_owned(), public_key: public_key.to_owned(), scopes };
        Self { secret: None, kind, ..Self::desktop(email, "") }
    }
}

/// Somebody who may sign in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The e-mail address.
    pub email: String,
    /// The number that stays when the address changes.
    pub sub: String,
    /// What people call them.
    pub name: String,
}

impl User {
    /// A user.
    #[must_use]
    pub fn new(email: &str, sub: &str, name: &str) -> Self {
        Self { email: email.to_owned(), sub: sub.to_owned(), name: name.to_owned() }
    }
}

/// What the person in front of the browser does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Consent {
    /// Who is signed in; without, the `login_hint`, else the first user.
    pub user: Option<String>,
    /// Whether consent is given at once. Otherwise a page with two links is shown.
    pub auto_approve: bool,
    /// The error that goes back on the redirect instead of a code, such as `access_denied`.
    pub deny: Option<String>,
    /// The error that is shown in the browser, with nothing on the redirect: `org_internal`, `admin_policy_enforced`,
    /// `disallowed_useragent` (1.5; UNVERIFIED which of them redirect).
    pub page_error: Option<String>,
    /// The only scopes that are ticked, whatever was asked for (1.3).
    pub grant_only: Option<Vec<String>>,
}

impl Default for Consent {
    fn default() -> Self {
        Self { user: None, auto_approve: true, deny: None, page_error: None, grant_only: None }
    }
}

/// Whether refreshing gives a new refresh token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rotation {
    /// No: the stored one stays (1.5).
    #[default]
    Never,
    /// Yes, and the old one lives on.
    Keep,
    /// Yes, and the old one dies with it.
    Replace,
}

/// All switches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The issuer named in ID tokens.
    pub issuer: String,
    /// What an assertion may name as `aud`; the address of the token endpoint is always good.
    pub audiences: Vec<String>,
    /// The clients.
    pub clients: Vec<Client>,
    /// Who may sign in.
    pub users: Vec<User>,
    /// What the person in front of the browser does.
    pub consent: Consent,
    /// The scopes that exist.
    pub scopes: BTreeSet<String>,
    /// Scopes that make a refresh token die with the password (1.5).
    pub password_scopes: BTreeSet<String>,
    /// How long an access token lives (1.5).
    pub access_seconds: u64,
    /// What is taken off `expires_in` in the answer: Google says 3599 (1.5).
    pub expires_in_less: u64,
    /// How long a code lives. UNVERIFIED; the standard advises ten minutes at most.
    pub code_seconds: u64,
    /// Whether a client must send a code challenge. Google takes it and does not ask for it (1.2).
    pub require_pkce: bool,
    /// Whether installed applications get a refresh token at every consent (1.3).
    pub desktop_always_refreshes: bool,
    /// Whether no answer to a code holds a refresh token, whatever was asked for.
    pub withhold_refresh: bool,
    /// Whether refreshing gives a new refresh token.
    pub rotation: Rotation,
    /// After how many days without use a refresh token dies: six months (1.5).
    pub idle_days: u64,
    /// After how many days a refresh token dies in any case: 7 for a project in testing (1.5).
    pub testing_days: Option<u64>,
    /// How many refresh tokens a user and client may have (1.5).
    pub refresh_tokens_per_user: usize,
    /// Consent for a limited time: said as `refresh_token_expires_in`, and then kept (1.5).
    pub consent_seconds: Option<u64>,
    /// `error_subtype` of an `invalid_grant`, such as `invalid_rapt` (1.5).
    pub error_subtype: Option<String>,
    /// The status of `invalid_client`. UNVERIFIED for 401 (1.5).
    pub invalid_client_status: u16,
}

impl Default for Settings {
    fn default() -> Self {
        let auth = "https://www.googleapis.com/auth/";
        let names = [
            "contacts",
            "contacts.readonly",
            "contacts.other.readonly",
            "directory.readonly",
            "gmail.readonly",
            "userinfo.email",
            "userinfo.profile",
        ];
        let scopes = names.iter().map(|name| format!("{auth}{name}")).chain(["openid".to_owned()]).collect();
        Self {
            issuer: "https://accounts.google.com".to_owned(),
            audiences: vec!["https://oauth2.googleapis.com/token".to_owned()],
            clients: vec![
                Client::desktop("mock-desktop.apps.googleusercontent.com", "mock-desktop-secret"),
                Client::web(
                    "mock-web.apps.googleusercontent.com",
                    "mock-web-secret",
                    &["https://contactd.example.com/oauth/callback"],
                ),
            ],
            users: vec![
                User::new("ada.example@gmail.com", "100000000000000000001", "Ada Example"),
                User::new("robin.example@example.com", "100000000000000000002", "Robin Example"),
            ],
            consent: Consent::default(),
            scopes,
            password_scopes: BTreeSet::from([format!("{auth}gmail.readonly")]),
            access_seconds: 3600,
            expires_in_less: 1,
            code_seconds: 600,
            require_pkce: false,
            desktop_always_refreshes: true,
            withhold_refresh: false,
            rotation: Rotation::Never,
            idle_days: 182,
            testing_days: None,
            refresh_tokens_per_user: 100,
            consent_seconds: None,
            error_subtype: None,
            invalid_client_status: 401,
        }
    }
}
