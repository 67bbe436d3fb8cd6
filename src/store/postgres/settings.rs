//! Where a PostgreSQL store is, as a URL says it.
//!
//! Owns: reading the URL, and that its password never shows. Must not: connect. What [`tokio_postgres`] does not know
//! itself is read here: how to be sure of the server (`sslmode`, `sslrootcert`).

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use url::Url;

use crate::secret::Secret;

/// How to reach a PostgreSQL store. Shows without its password.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresSettings {
    pub(super) config: Config,
    /// Whose certificates are believed; `None` = those whom the system believes.
    pub(super) root_cert: Option<PathBuf>,
    /// The URL without its password.
    shown: String,
}

/// What is wrong with a URL. Never repeats it: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadUrl(pub &'static str);

/// What may stand behind the `?`, besides `sslmode` and `sslrootcert`.
const KNOWN: &[&str] = &[
    "application_name",
    "channel_binding",
    "connect_timeout",
    "hostaddr",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "load_balance_hosts",
    "options",
    "sslnegotiation",
    "target_session_attrs",
    "tcp_user_timeout",
];

impl PostgresSettings {
    /// The same, with that password in place of the one in the URL, if there is one there.
    #[must_use]
    pub fn with_password(mut self, password: &Secret) -> Self {
        self.config.password(password.expose());
        self
    }

    /// The same, with that schema as the place of everything. For tests: a store as a rule is alone in its database.
    #[must_use]
    pub fn in_schema(mut self, schema: &str) -> Self {
        let options = self.config.get_options().unwrap_or_default();
        let options = format!("{options} -c search_path={schema}");
        self.config.options(options);
        self
    }

    /// Whether a password is in it already.
    pub fn has_password(&self) -> bool {
        self.config.get_password().is_some()
    }
}

impl FromStr for PostgresSettings {
    type Err = BadUrl;

    fn from_str(text: &str) -> Result<Self, BadUrl> {
        let scheme = text.split("://").next().unwrap_or_default();
        if !matches!(scheme, "postgres" | "postgresql") || scheme.len() == text.len() {
            return Err(BadUrl("the scheme is not postgres://"));
        }
        let (before, query) = text.split_once('?').unwrap_or((text, ""));
        let (mut mode, mut root_cert, mut rest) = (None, None, Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or(BadUrl("what stands behind the ? is not name=value"))?;
            match name {
                "sslmode" => mode = Some(value),
                "sslrootcert" => root_cert = Some(PathBuf::from(decoded(value)?)),
                "password" => return Err(BadUrl("a password stands behind the ?, where it would be shown")),
                "host" | "user" | "dbname" | "port" => {
                    return Err(BadUrl("user, host, port and database stand before the ?"));
                }
                name if KNOWN.contains(&name) => rest.push(pair),
                _ => return Err(BadUrl("a word behind the ? is not known")),
            }
        }
        let plain = if rest.is_empty() { before.to_owned() } else { format!("{before}?{}", rest.join("&")) };
        let mut config: Config = plain.parse().map_err(|_| BadUrl("it can't be read as a URL of PostgreSQL"))?;
        if config.get_hosts().is_empty() {
            return Err(BadUrl("it names no host"));
        }
        if config.get_dbname().is_none_or(str::is_empty) {
            return Err(BadUrl("it names no database"));
        }
        if config.get_user().is_none_or(str::is_empty) {
            return Err(BadUrl("it names no user"));
        }
        if root_cert.as_deref().is_some_and(Path::is_relative) {
            return Err(BadUrl("sslrootcert is no absolute path"));
        }
        let near = config.get_hosts().iter().all(is_near);
        config.ssl_mode(match mode {
            Some("disable") => SslMode::Disable,
            // A server that we can't be sure of is no safer than none: each of these is checked in full.
            Some("require" | "verify-ca" | "verify-full") => SslMode::Require,
            Some(_) => return Err(BadUrl("sslmode is none of disable, require and verify-full")),
            // Whoever stands between two machines must not be able to talk us out of it, as with `prefer`.
            None if near && root_cert.is_none() => SslMode::Disable,
            None => SslMode::Require,
        });
        if root_cert.is_some() && config.get_ssl_mode() == SslMode::Disable {
            return Err(BadUrl("sslrootcert says whom to trust, and sslmode=disable to trust everybody"));
        }
        settle(&mut config);
        Ok(Self { shown: without_password(before), config, root_cert })
    }
}

/// A server that does not answer is noticed within a minute, and a dead connection before anybody waits for it.
fn settle(config: &mut Config) {
    if config.get_application_name().is_none() {
        config.application_name("contactd");
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(Duration::from_secs(5));
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(Duration::from_secs(30));
    }
    if config.get_keepalives() && config.get_keepalives_idle() > Duration::from_secs(3600) {
        config.keepalives_idle(Duration::from_secs(30)).keepalives_interval(Duration::from_secs(10));
        config.keepalives_retries(3);
    }
}

/// Whether the host is this machine itself.
fn is_near(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => {
            name.eq_ignore_ascii_case("localhost")
                || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        #[cfg(unix)]
        Host::Unix(_) => true,
    }
}

/// A value as it is meant, without its `%`.
fn decoded(value: &str) -> Result<String, BadUrl> {
    let url = Url::parse(&format!("x:?v={value}")).map_err(|_| BadUrl("sslrootcert can't be read"))?;
    let value = url.query_pairs().next().map(|(_, value)| value.into_owned());
    value.ok_or(BadUrl("sslrootcert can't be read"))
}

/// User, hosts and database. The last `@` ends the login.
fn without_password(before: &str) -> String {
    let Some((scheme, rest)) = before.split_once("://") else { return String::new() };
    match rest.rsplit_once('@') {
        Some((login, place)) => format!("{scheme}://{}@{place}", login.split(':').next().unwrap_or_default()),
        None => before.to_owned(),
    }
}

impl fmt::Display for PostgresSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for PostgresSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_never_show_their_password() {
        // (URL, whether TLS is asked for; or a part of what is said).
        let table = [
            ("postgres://ann:geheim@db.example.com/crm", Ok(true)),
            ("postgresql://ann:geheim@db.example.com:5433/crm?sslmode=disable", Ok(false)),
            ("postgres://ann:geheim@localhost/crm", Ok(false)),
            ("postgres://ann:geheim@127.0.0.1/crm?sslmode=verify-full", Ok(true)),
            ("postgres://ann:geheim@[::1]/crm?sslrootcert=/etc/ca.pem", Ok(true)),
            ("postgres://ann:ge%40heim@%2Frun%2Fpostgresql/crm", Ok(false)),
            ("postgres://ann:geheim@a,b/crm?target_session_attrs=read-write", Ok(true)),
            ("postgres://ann@localhost/crm", Ok(false)),
            ("postgres://ann:geheim@db/crm?sslmode=prefer", Err("sslmode")),
            ("postgres://ann:geheim@db/crm?sslmode=disable&sslrootcert=/a", Err("trust everybody")),
            ("postgres://ann:geheim@db/crm?sslrootcert=ca.pem", Err("absolute")),
            ("postgres://ann@db/crm?password=geheim", Err("behind the ?")),
            ("postgres://ann:geheim@db/crm?host=other", Err("before the ?")),
            ("postgres://ann:geheim@db/crm?pool=geheim", Err("not known")),
            ("postgres://ann:geheim@db", Err("no database")),
            ("postgres:///crm", Err("no host")),
            ("postgres://db/crm", Err("no user")),
            ("postgres:ann:geheim@db/crm", Err("scheme")),
            ("mysql://ann:geheim@db/crm", Err("scheme")),
        ];
        for (text, expected) in table {
            match (text.parse::<PostgresSettings>(), expected) {
                (Ok(settings), Ok(tls)) => {
                    assert_eq!(settings.config.get_ssl_mode() == SslMode::Require, tls, "{text}");
                    let shown = format!("{settings} {settings:?} {:?}", settings.config);
                    assert!(!shown.contains("heim"), "{shown}");
                }
                (Err(BadUrl(said)), Err(part)) => {
                    assert!(said.contains(part) && !said.contains("heim"), "{text}: {said}");
                }
                (got, _) => panic!("{text}: {got:?}"),
            }
        }
        let settings: PostgresSettings = "postgres://ann@localhost/crm".parse().unwrap();
        assert!(!settings.has_password() && settings.with_password(&Secret::from("x")).has_password());
    }
}
