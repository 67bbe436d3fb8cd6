//! An authorization server: the code flow with PKCE, refreshing, JWT bearers, revoking, ID tokens.
//!
//! Owns: who has granted what to whom, and every token. Must not: open sockets, read a clock, or know a provider's addresses;
//! whoever mounts it passes the time in and turns a [`Refusal`] into the provider's words. Built from `google.md` 1, RFC 6749,
//! RFC 7636, RFC 7523 and OpenID Connect Core; what another provider does differently is a switch in [`Settings`].
//! Start reading at [`Server`].

mod authorize;
mod jwt;
mod refusal;
pub mod settings;
mod token;

use std::collections::{BTreeMap, BTreeSet};

pub use jwt::{PublishedKey, public_key_pem};
pub use refusal::Refusal;
pub use settings::{Client, Consent, Kind, Settings, User};

use crate::people::Dice;

/// Days in milliseconds.
pub(crate) const DAY: u64 = 24 * 60 * 60 * 1000;

/// A code on its way from the browser to the client.
#[derive(Clone, Debug)]
struct Code {
    client: String,
    user: String,
    redirect_uri: String,
    scopes: BTreeSet<String>,
    challenge: Option<(Method, String)>,
    nonce: Option<String>,
    refresh: bool,
    until: u64,
}

/// How a code challenge was made (RFC 7636 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    S256,
    Plain,
}

/// What an access token is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The user's e-mail address.
    pub user: String,
    /// The client.
    pub client: String,
    /// What was granted, by full names.
    pub scopes: BTreeSet<String>,
    /// When it ends, in milliseconds since 1970.
    pub until: u64,
}

/// What a refresh token is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Refresh {
    client: String,
    user: String,
    scopes: BTreeSet<String>,
    issued: u64,
    used: u64,
    number: u64,
}

/// The authorization server.
#[derive(Debug)]
pub struct Server {
    /// Its switches.
    pub settings: Settings,
    dice: Dice,
    key: PublishedKey,
    codes: BTreeMap<String, Code>,
    access: BTreeMap<String, Access>,
    refresh: BTreeMap<String, Refresh>,
    /// What each user has granted to each client so far.
    granted: BTreeMap<(String, String), BTreeSet<String>>,
    issued: u64,
}

impl Server {
    /// A server where nobody has granted anything.
    #[must_use]
    pub fn new(settings: Settings, seed: u64) -> Self {
        Self {
            settings,
            dice: Dice::new(seed),
            key: PublishedKey::new(),
            codes: BTreeMap::new(),
            access: BTreeMap::new(),
            refresh: BTreeMap::new(),
            granted: BTreeMap::new(),
            issued: 0,
        }
    }

    /// What an access token is good for, if it still is.
    #[must_use]
    pub fn bearer(&self, token: &str, now: u64) -> Option<&Access> {
        self.access.get(token).filter(|access| access.until > now)
    }

    /// An access token without any ceremony, as if the user had consented long ago.
    pub fn mint_access(&mut self, client: &str, user: &str, scopes: &[&str], now: u64) -> String {
        self.issue_access(client, user, &full_names(scopes.iter().copied()), now)
    }

    /// A refresh token without any ceremony.
    pub fn mint_refresh(&mut self, client: &str, user: &str, scopes: &[&str], now: u64) -> String {
        let scopes = full_names(scopes.iter().copied());
        self.granted.entry((client.to_owned(), user.to_owned())).or_default().extend(scopes.iter().cloned());
        self.issue_refresh(client, user, &scopes, now)
    }

    /// The user takes everything back that they granted, to whichever client.
    pub fn revoke_user(&mut self, user: &str) {
        self.access.retain(|_, access| access.user != user);
        self.refresh.retain(|_, refresh| refresh.user != user);
        self.granted.retain(|(_, whose), _| whose != user);
    }

    /// The user changes the password: refresh tokens with a scope of `settings.password_scopes` die (`google.md` 1.5).
    pub fn change_password(&mut self, user: &str) {
        let touchy = &self.settings.password_scopes;
        self.refresh.retain(|_, one| one.user != user || one.scopes.is_disjoint(touchy));
    }

    /// Ends every access token; refresh tokens live on.
    pub fn expire_access(&mut self) {
        self.access.clear();
    }

    /// How many refresh tokens of a user are alive.
    #[must_use]
    pub fn live_refresh_tokens(&self, user: &str) -> usize {
        self.refresh.values().filter(|one| one.user == user).count()
    }

    /// Random text that looks like a token.
    fn random(&mut self, prefix: &str, words: usize) -> String {
        let mut text = prefix.to_owned();
        for _ in 0..words {
            text.push_str(&format!("{:016x}", self.dice.roll()));
        }
        text
    }

    fn issue_access(&mut self, client: &str, user: &str, scopes: &BTreeSet<String>, now: u64) -> String {
        let token = self.random("ya29.", 12);
        let until = now + self.settings.access_seconds * 1000;
        let (client, user, scopes) = (client.to_owned(), user.to_owned(), scopes.clone());
        self.access.insert(token.clone(), Access { user, client, scopes, until });
        token
    }

    /// A new refresh token; beyond the limit the oldest of this user and client dies silently (`google.md` 1.5).
    fn issue_refresh(&mut self, client: &str, user: &str, scopes: &BTreeSet<String>, now: u64) -> String {
        let token = self.random("1//0", 6);
        self.issued += 1;
        let (client, user, scopes, number) = (client.to_owned(), user.to_owned(), scopes.clone(), self.issued);
        let same = |one: &Refresh| one.client == client && one.user == user;
        let mut alive: Vec<(u64, String)> =
            self.refresh.iter().filter(|(_, one)| same(one)).map(|(token, one)| (one.number, token.clone())).collect();
        alive.sort();
        let most = self.settings.refresh_tokens_per_user.max(1);
        for (_, oldest) in alive.iter().take((alive.len() + 1).saturating_sub(most)) {
            self.refresh.remove(oldest);
        }
        self.refresh.insert(token.clone(), Refresh { client, user, scopes, issued: now, used: now, number });
        token
    }

    fn user(&self, email: &str) -> Option<&User> {
        self.settings.users.iter().find(|user| user.email.eq_ignore_ascii_case(email))
    }
}

/// Scopes by their full names: `email` and `profile` have a second one.
fn full_names<'a>(scopes: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    let full = |scope: &str| match scope {
        "email" | "profile" => format!("https://www.googleapis.com/auth/userinfo.{scope}"),
        other => other.to_owned(),
    };
    scopes.into_iter().map(full).collect()
}

/// The value of a parameter that may be given once.
fn one<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}
