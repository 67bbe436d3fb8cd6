//! The sections of the configuration, and the kinds of values in them.
//!
//! Owns: what can be set, and its form. Must not: read files or the environment, or know a default: those stand in
//! `config/default.toml` alone.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

use crate::crm::edition::Edition;
use crate::store::postgres::PostgresSettings;
use crate::sync::settings::GuardSettings;

/// Everything that can be set.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The store.
    pub store: Store,
    /// The control socket.
    pub control: Control,
    /// The HTTP API and the web pages.
    pub http: Http,
    /// When and how accounts sync.
    pub sync: Sync,
    /// The key for secrets at rest.
    pub secrets: Secrets,
    /// The CRM.
    pub crm: Crm,
    /// When deletions are held, for accounts that don't say otherwise.
    pub guard: GuardSettings,
    /// Requests to providers.
    pub net: Net,
    /// Signing in at Google.
    pub google: Google,
    /// The log.
    pub log: Log,
}

/// The store.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// Where it is.
    pub url: StoreUrl,
    /// How many connections to a PostgreSQL store at most.
    pub connections: usize,
    /// The file with the password of a PostgreSQL store; empty = none.
    pub password_file: PathBuf,
}

/// The control socket.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// Its path.
    pub socket: PathBuf,
}

/// The HTTP API and the web pages.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Where to listen, besides the control socket.
    pub listen: Vec<SocketAddr>,
    /// Where browsers reach that; empty = nowhere.
    pub public_url: String,
}

/// Signing in at Google.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Google {
    /// Our client's id; empty = none.
    pub client_id: String,
    /// The file with its secret; empty = none.
    pub client_secret_file: PathBuf,
    /// Its type.
    pub client_type: ClientType,
    /// Whether the app is in testing there.
    pub testing: bool,
    /// The file with a service account's key; empty = none.
    pub service_account_file: PathBuf,
    /// The domains over which that has a delegation.
    pub delegated_domains: Vec<String>,
    /// Where users sign in.
    pub authorize_url: WebUrl,
    /// Where tokens are given.
    pub token_url: WebUrl,
    /// Where tokens are given back.
    pub revoke_url: WebUrl,
    /// Where it is asked whose a token is.
    pub userinfo_url: WebUrl,
    /// Where the People API is.
    pub api_url: WebUrl,
}

/// What kind of client ours is, which decides where users come back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientType {
    /// To the machine on which the command runs.
    Desktop,
    /// To the daemon's public address.
    Web,
}

/// An address on the web: `https`, or `http` on this machine itself, so that nobody reads along.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct WebUrl(pub url::Url);

impl fmt::Debug for WebUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for WebUrl {
    type Err = BadValue;
    fn from_str(text: &str) -> Result<Self, BadValue> {
        let url: url::Url = text.parse().map_err(|_| BadValue("it is no address on the web"))?;
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(BadValue("it has a user name or a fragment in it"));
        }
        let here = matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
        match url.scheme() {
            "https" if url.has_host() => Ok(Self(url)),
            "http" if here => Ok(Self(url)),
            "http" => Err(BadValue("without https others can read along")),
            _ => Err(BadValue("it is no address on the web")),
        }
    }
}

/// When and how accounts sync.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sync {
    /// From the end of one sync to the start of the next.
    pub interval: Period,
    /// The most that is added to the interval.
    pub jitter: Period,
    /// From an edit in the CRM to the sync of the accounts concerned; zero = when their interval is over.
    pub after_edit: Period,
    /// How many accounts at once.
    pub concurrency: usize,
    /// How many records of a view at once.
    pub page_size: usize,
    /// How long a daemon has an account to itself without saying so again.
    pub lease: Period,
}

/// The key for secrets at rest.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    /// The file with the keyring.
    pub key_file: PathBuf,
}

/// The CRM.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crm {
    /// Which edition.
    pub edition: Edition,
    /// How long the trash keeps people.
    pub trash_days: u16,
}

/// Requests to providers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Net {
    /// Whether user-given addresses may lead to private and link-local networks.
    pub allow_private: bool,
    /// The `User-Agent`, with `{version}` still in it; see [`Net::user_agent`].
    pub user_agent: String,
    /// How long to wait for a connection.
    pub connect_timeout: Period,
    /// How long a request may take in all.
    pub request_timeout: Period,
    /// The largest body that is read.
    pub max_body: Size,
}

impl Net {
    /// The `User-Agent` to send.
    pub fn user_agent(&self) -> String {
        self.user_agent.replace("{version}", env!("CARGO_PKG_VERSION"))
    }
}

/// The log.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// How lines look.
    pub format: LogFormat,
    /// What is logged.
    pub filter: String,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// For people.
    Text,
    /// For programs: one object per line.
    Json,
}

/// Where the store is.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum StoreUrl {
    /// An SQLite file, by absolute path.
    Sqlite(PathBuf),
    /// A PostgreSQL database.
    Postgres(Box<PostgresSettings>),
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(settings) => write!(f, "{settings}"),
        }
    }
}

impl FromStr for StoreUrl {
    type Err = BadValue;
    fn from_str(text: &str) -> Result<Self, BadValue> {
        if text.starts_with("postgresql:") || text.starts_with("postgres:") {
            let settings: PostgresSettings = PostgresSettings::from_str(text).map_err(|error| BadValue(error.0))?;
            return Ok(Self::Postgres(Box::new(settings)));
        }
        let Some(path) = text.strip_prefix("sqlite:") else { return Err(BadValue("the scheme is not known")) };
        // Both `sqlite:/path` and `sqlite:///path` are common; `sqlite://host/path` means nothing.
        let path = path.strip_prefix("//").unwrap_or(path);
        if !path.starts_with('/') {
            return Err(BadValue(
                "the path is not absolute, so the daemon and the command line could each mean another",
            ));
        }
        if path.ends_with('/') || path.contains(['?', '#']) {
            return Err(BadValue("the path does not name a file"));
        }
        Ok(Self::Sqlite(PathBuf::from(path)))
    }
}

/// A length of time: `90s`, `5m`, `1h 30m`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Period(pub Duration);

impl fmt::Debug for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl FromStr for Period {
    type Err = BadValue;
    fn from_str(text: &str) -> Result<Self, BadValue> {
        // A bare number would be read as nothing, or worse, as another unit than was meant.
        let duration: jiff::SignedDuration = text.parse().map_err(|_| BadValue("it is not a length of time"))?;
        Duration::try_from(duration).map(Self).map_err(|_| BadValue("it is negative"))
    }
}

/// A number of bytes: `512 KiB`, `16 MiB`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Size(pub u64);

impl FromStr for Size {
    type Err = BadValue;
    fn from_str(text: &str) -> Result<Self, BadValue> {
        let split = text.find(|c: char| !c.is_ascii_digit()).ok_or(BadValue("it has no unit"))?;
        let (number, unit) = text.split_at(split);
        let unit: u64 = match unit.trim_start() {
            "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return Err(BadValue("the unit is not known")),
        };
        let number: u64 = number.parse().map_err(|_| BadValue("it is not a number with a unit"))?;
        number.checked_mul(unit).map(Self).ok_or(BadValue("it is too large"))
    }
}

macro_rules! from_text {
    ($($kind:ident)*) => {$(
        impl TryFrom<String> for $kind {
            type Error = BadValue;
            fn try_from(text: String) -> Result<Self, BadValue> {
                text.parse()
            }
        }
    )*};
}
from_text! { StoreUrl Period Size WebUrl }

/// What is wrong with a value. Never repeats it: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadValue(pub &'static str);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods() {
        let table = [
            ("5m", Some(300)),
            ("90s", Some(90)),
            ("1h 30m", Some(5400)),
            ("PT5M", Some(300)),
            ("0s", Some(0)),
            ("5 minutes", Some(300)),
            ("-5m", None),
            ("5", None),
            ("", None),
            ("5 parsecs", None),
        ];
        for (text, seconds) in table {
            assert_eq!(text.parse().ok(), seconds.map(|s| Period(Duration::from_secs(s))), "{text}");
        }
    }

    #[test]
    fn sizes() {
        let table = [
            ("16 MiB", Some(16 << 20)),
            ("16MiB", Some(16 << 20)),
            ("512 KiB", Some(512 << 10)),
            ("7 B", Some(7)),
            ("1 GiB", Some(1 << 30)),
            ("16", None),
            ("16 MB", None),
            ("MiB", None),
            ("-1 MiB", None),
            ("99999999999999999999 GiB", None),
            ("18446744073709551615 GiB", None),
            ("", None),
        ];
        for (text, bytes) in table {
            assert_eq!(text.parse().ok(), bytes.map(Size), "{text}");
        }
    }

    #[test]
    fn web_urls() {
        let table = [
            ("https://accounts.example.com/auth", true),
            ("http://127.0.0.1:8080/token", true),
            ("http://[::1]:8080", true),
            ("http://accounts.example.com/auth", false),
            ("https://u:pw@accounts.example.com", false),
            ("https://accounts.example.com/#x", false),
            ("ftp://accounts.example.com", false),
            ("accounts.example.com", false),
            ("", false),
        ];
        for (text, good) in table {
            let read = text.parse::<WebUrl>();
            assert_eq!(read.is_ok(), good, "{text}");
            assert!(!read.is_err_and(|error| error.to_string().contains("pw")), "{text}");
        }
    }

    #[test]
    fn store_urls() {
        let sqlite = |path: &str| Ok(StoreUrl::Sqlite(PathBuf::from(path)));
        assert_eq!("sqlite:/a/b.db".parse(), sqlite("/a/b.db"));
        assert_eq!("sqlite:///a/b.db".parse(), sqlite("/a/b.db"));
        let table = [
            ("postgresql://u:pw@h", "no database"),
            ("postgres://u@h/db?password=pw", "behind the ?"),
            ("postgres:u:pw@h/db", "scheme"),
            ("mysql://h/db", "scheme"),
            ("/a/b.db", "scheme"),
            ("sqlite:b.db", "absolute"),
            ("sqlite::memory:", "absolute"),
            ("sqlite://host/b.db", "absolute"),
            ("sqlite:/a/", "file"),
            ("sqlite:/a/b.db?mode=ro", "file"),
            ("", "scheme"),
        ];
        for (text, part) in table {
            let said = text.parse::<StoreUrl>().unwrap_err().to_string();
            assert!(said.contains(part) && !said.contains("pw"), "{text}: {said}");
        }
    }
}
