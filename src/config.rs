//! The configuration: defaults < file < environment, checked value by value.
//!
//! Owns: where values come from, what is allowed for each, and how the outcome is shown. Must not: give a default in
//! code (those stand in `config/default.toml`, compiled in), or let a secret out in an error or on the screen. Start
//! reading at [`load`].

mod settings;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::ops::{Deref, RangeInclusive};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ::config::{File, FileFormat, Map, Source, Value, ValueKind};

pub use settings::{
    BadValue, ClientType, Control, Crm, Google, Http, Log, LogFormat, Net, Period, Secrets, Settings, Size, Store,
    StoreUrl, Sync, WebUrl,
};

/// What holds where nothing else is said.
const DEFAULT: &str = include_str!("../config/default.toml");
/// What the names of our environment variables start with.
const PREFIX: &str = "CONTACTD__";

/// The configuration: every setting, and where it was made. Reads like its [`Settings`].
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    settings: Settings,
    values: BTreeMap<String, (ValueKind, Origin)>,
}

impl Deref for Config {
    type Target = Settings;
    fn deref(&self) -> &Settings {
        &self.settings
    }
}

impl Config {
    /// Where a setting was made, by its key: `sync.interval`.
    pub fn origin(&self, key: &str) -> Option<&Origin> {
        self.values.get(key).map(|(_, origin)| origin)
    }
}

/// Where a value was given.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Nowhere; it is the default.
    Default,
    /// In this file.
    File(PathBuf),
    /// In the environment variable of this name.
    Environment(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
        }
    }
}

/// The configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("can't read the configuration file {}: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("{origin} is not valid TOML: {why}")]
    Syntax {
        /// Which file.
        origin: Origin,
        /// Where and why.
        why: String,
    },
    /// Some settings can't be; all of them are told.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Settings(Vec<Problem>),
    /// The defaults and the code don't agree, which is our mistake and caught by a test.
    #[error("the configuration can't be read: {0}")]
    Broken(String),
}

/// What is wrong with one setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} ({origin}): {why}")]
pub struct Problem {
    /// The setting: `sync.interval`.
    pub key: String,
    /// Where it was given.
    pub origin: Origin,
    /// What is wrong, and what is allowed.
    pub why: String,
}

/// Reads the configuration from the defaults, then the file if one is given, then the environment; the later wins.
///
/// # Errors
/// When the file can't be read or is no TOML, a setting is not known, or a value is not allowed. All such settings are
/// told at once, with where they were given and what is allowed.
pub fn load<K, V>(path: Option<&Path>, env: impl IntoIterator<Item = (K, V)>) -> Result<Config, ConfigError>
where
    K: Into<OsString>,
    V: Into<OsString>,
{
    let defaults = flatten(&parse(DEFAULT, &Origin::Default)?);
    let mut problems = Vec::new();
    let mut values: BTreeMap<_, _> =
        defaults.iter().map(|(key, kind)| (key.clone(), (kind.clone(), Origin::Default))).collect();

    let mut given = Vec::new();
    if let Some(path) = path {
        let origin = Origin::File(path.to_path_buf());
        let text =
            fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.to_path_buf(), source })?;
        given.extend(flatten(&parse(&text, &origin)?).into_iter().map(|(key, kind)| (key, kind, origin.clone())));
    }
    given.extend(environment(env, &defaults, &mut problems));

    for (key, kind, origin) in given {
        match check(&key, &kind, &defaults) {
            Ok(()) => drop(values.insert(key, (kind, origin))),
            Err(why) => problems.push(Problem { key, origin, why }),
        }
    }
    if !problems.is_empty() {
        return Err(ConfigError::Settings(problems));
    }
    assemble(values)
}

/// Every setting with its value and where it was made, as TOML with comments. Secrets are hidden.
pub fn show(config: &Config) -> String {
    let mut out = String::new();
    let mut open = "";
    for (key, (kind, origin)) in &config.values {
        let (section, name) = key.split_once('.').unwrap_or(("", key));
        if section != open {
            out += &format!("{}[{section}]\n", if out.is_empty() { "" } else { "\n" });
            open = section;
        }
        out += &format!("{:<48} # {origin}\n", format!("{name} = {}", shown(key, kind)));
    }
    out
}

/// One layer by way of the `config` crate: what was flattened, as it came.
#[derive(Clone, Debug)]
struct Layer(BTreeMap<String, (ValueKind, Origin)>);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + std::marker::Sync> {
        Box::new(self.clone())
    }
    fn collect(&self) -> Result<Map<String, Value>, ::config::ConfigError> {
        let value = |(kind, origin): &(ValueKind, Origin)| Value::new(Some(&origin.to_string()), kind.clone());
        Ok(self.0.iter().map(|(key, of)| (key.clone(), value(of))).collect())
    }
}

fn assemble(values: BTreeMap<String, (ValueKind, Origin)>) -> Result<Config, ConfigError> {
    let settings: Settings = ::config::Config::builder()
        .add_source(Layer(values.clone()))
        .build()
        .and_then(::config::Config::try_deserialize)
        .map_err(|error| ConfigError::Broken(error.to_string()))?;
    let values = values.into_iter().map(|(key, (kind, origin))| (key, (harmless(kind), origin))).collect();
    let config = Config { settings, values };
    if config.google.client_type == ClientType::Web && config.http.public_url.is_empty() {
        let key = "google.client_type".to_owned();
        let origin = config.origin(&key).cloned().unwrap_or(Origin::Default);
        let why =
            "users come back to http.public_url from a client of type \"web\", and that is empty; set it".to_owned();
        return Err(ConfigError::Settings(vec![Problem { key, origin, why }]));
    }
    if config.sync.jitter > config.sync.interval {
        let key = "sync.jitter".to_owned();
        let origin = config.origin(&key).cloned().unwrap_or(Origin::Default);
        let why = format!("it is longer than sync.interval ({:?}); make it shorter", config.sync.interval);
        return Err(ConfigError::Settings(vec![Problem { key, origin, why }]));
    }
    Ok(config)
}

fn parse(text: &str, origin: &Origin) -> Result<Map<String, Value>, ConfigError> {
    File::from_str(text, FileFormat::Toml)
        .collect()
        .map_err(|error| ConfigError::Syntax { origin: origin.clone(), why: syntax(&error) })
}

/// Why the text is no TOML, and where, without the line itself: it may hold a secret.
fn syntax(error: &::config::ConfigError) -> String {
    let lines = error.to_string();
    let shows_text =
        |line: &&str| !line.trim_start().trim_start_matches(|c: char| c.is_ascii_digit()).trim_start().starts_with('|');
    lines.lines().filter(shows_text).map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(": ")
}

/// Values by dotted key. A table without entries stays, so that an unknown section is seen.
fn flatten(table: &Map<String, Value>) -> BTreeMap<String, ValueKind> {
    let mut flat = BTreeMap::new();
    for (key, value) in table {
        match &value.kind {
            ValueKind::Table(inner) if !inner.is_empty() => {
                flat.extend(flatten(inner).into_iter().map(|(rest, kind)| (format!("{key}.{rest}"), kind)));
            }
            kind => drop(flat.insert(key.clone(), kind.clone())),
        }
    }
    flat
}

/// The settings that the environment makes. A variable is text: it is read as what the default of that key is.
fn environment<K: Into<OsString>, V: Into<OsString>>(
    env: impl IntoIterator<Item = (K, V)>,
    defaults: &BTreeMap<String, ValueKind>,
    problems: &mut Vec<Problem>,
) -> Vec<(String, ValueKind, Origin)> {
    let mut given = Vec::new();
    for (name, value) in env {
        let Ok(name) = name.into().into_string() else { continue };
        let Some(rest) = name.strip_prefix(PREFIX) else {
            problems.extend(meant(name, defaults));
            continue;
        };
        let key = rest.to_ascii_lowercase().replace("__", ".");
        let origin = Origin::Environment(name);
        let Ok(text) = value.into().into_string() else {
            problems.push(Problem { key, origin, why: "it is not UTF-8".to_owned() });
            continue;
        };
        let kind = match defaults.get(&key) {
            Some(ValueKind::Boolean(_)) => text.parse().map_or(ValueKind::String(text), ValueKind::Boolean),
            Some(ValueKind::I64(_)) => text.parse().map_or(ValueKind::String(text), ValueKind::I64),
            Some(ValueKind::Array(_)) => {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                ValueKind::Array(parts.map(|part| Value::new(None, part)).collect())
            }
            _ => ValueKind::String(text),
        };
        given.push((key, kind, origin));
    }
    // The environment has no order of its own; problems are told in one.
    given.sort_by(|a, b| a.0.cmp(&b.0));
    given
}

/// A variable that is like one of ours but for its underscores: it would do nothing, and nobody would know why.
fn meant(name: String, defaults: &BTreeMap<String, ValueKind>) -> Option<Problem> {
    let rest = name.strip_prefix("CONTACTD_")?.to_ascii_lowercase();
    let plain = |text: &str| text.replace("__", "_").replace('.', "_");
    let key = defaults.keys().find(|key| plain(key) == plain(&rest))?.clone();
    let why = format!("it does nothing like that; write {PREFIX}{}", key.replace('.', "__").to_ascii_uppercase());
    Some(Problem { key, origin: Origin::Environment(name), why })
}

/// What is wrong with that value, if anything, and what is allowed.
fn check(key: &str, kind: &ValueKind, defaults: &BTreeMap<String, ValueKind>) -> Result<(), String> {
    let rule = RULES.iter().find(|rule| rule.key == key).ok_or_else(|| unknown(key, defaults))?;
    (rule.check)(kind).map_err(|why| format!("{} can't be: {}; it must be {}", shown(key, kind), why, rule.allowed))
}

/// The key is not known: which are.
fn unknown(key: &str, defaults: &BTreeMap<String, ValueKind>) -> String {
    let section = key.split('.').next().unwrap_or(key);
    let inside: Vec<_> = defaults.keys().filter_map(|known| known.strip_prefix(section)?.strip_prefix('.')).collect();
    if inside.is_empty() {
        let mut sections: Vec<_> = defaults.keys().filter_map(|known| known.split('.').next()).collect();
        sections.dedup();
        format!("there is no section [{section}]; the sections are {}", sections.join(", "))
    } else if key == section {
        format!("it is a section; write [{section}] and below it {}", inside.join(", "))
    } else {
        format!("there is no such setting; [{section}] has {}", inside.join(", "))
    }
}

/// What is allowed for one key.
struct Rule {
    key: &'static str,
    allowed: &'static str,
    check: fn(&ValueKind) -> Result<(), &'static str>,
}

/// What is allowed for every key.
const RULES: &[Rule] = &[
    Rule {
        key: "store.url",
        allowed: "'sqlite:' and the absolute path of a file, or 'postgres://USER@HOST/DATABASE'",
        check: |kind| parsed::<StoreUrl>(kind).map(drop),
    },
    Rule { key: "store.connections", allowed: "a number from 2 to 200", check: |kind| number(kind, 2..=200) },
    Rule { key: "store.password_file", allowed: FILE_OR_NONE, check: file_or_none },
    Rule { key: "control.socket", allowed: "an absolute path, in quotes", check: absolute },
    Rule {
        key: "http.listen",
        allowed: r#"a list of addresses with ports, such as ["127.0.0.1:8080", "[::1]:8080"]"#,
        check: |kind| {
            let ValueKind::Array(all) = kind else { return Err("it is not a list") };
            all.iter().try_for_each(|one| {
                text(&one.kind)?.parse::<SocketAddr>().map(drop).map_err(|_| "there is no address with a port")
            })
        },
    },
    Rule {
        key: "http.public_url",
        allowed: r#"an address such as "https://crm.example.com", or nothing between the quotes"#,
        check: |kind| if text(kind)?.is_empty() { Ok(()) } else { parsed::<WebUrl>(kind).map(drop) },
    },
    Rule {
        key: "sync.interval",
        allowed: r#"a length of time from "30s" to "24h""#,
        check: |kind| period(kind, 30..=86_400),
    },
    Rule {
        key: "sync.jitter",
        allowed: r#"a length of time from "0s" to "1h", no longer than sync.interval"#,
        check: |kind| period(kind, 0..=3600),
    },
    Rule {
        key: "sync.after_edit",
        allowed: r#"a length of time from "0s" (never) to "1h""#,
        check: |kind| period(kind, 0..=3600),
    },
    Rule { key: "sync.concurrency", allowed: "a number from 1 to 256", check: |kind| number(kind, 1..=256) },
    Rule { key: "sync.page_size", allowed: "a number from 10 to 5000", check: |kind| number(kind, 10..=5000) },
    Rule { key: "sync.lease", allowed: r#"a length of time from "2s" to "1h""#, check: |kind| period(kind, 2..=3600) },
    Rule { key: "secrets.key_file", allowed: "an absolute path, in quotes", check: absolute },
    Rule {
        key: "crm.edition",
        allowed: r#""silver", "gold" or "platinum""#,
        check: |kind| one_of(kind, &["silver", "gold", "platinum"]),
    },
    Rule { key: "crm.trash_days", allowed: "a number from 1 to 3650", check: |kind| number(kind, 1..=3650) },
    Rule { key: "guard.on", allowed: "true or false", check: boolean },
    Rule { key: "guard.at_least", allowed: "a number from 0 to 1000000", check: |kind| number(kind, 0..=1_000_000) },
    Rule { key: "guard.percent", allowed: "a number from 0 to 100", check: |kind| number(kind, 0..=100) },
    Rule { key: "net.allow_private", allowed: "true or false", check: boolean },
    Rule {
        key: "net.user_agent",
        allowed: "up to 200 visible ASCII characters and spaces, at least one",
        check: |kind| {
            let text = text(kind)?;
            let fits = !text.trim().is_empty() && text.len() <= 200;
            let plain = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
            if fits && plain { Ok(()) } else { Err("it can't be sent") }
        },
    },
    Rule {
        key: "net.connect_timeout",
        allowed: r#"a length of time from "1s" to "2m""#,
        check: |kind| period(kind, 1..=120),
    },
    Rule {
        key: "net.request_timeout",
        allowed: r#"a length of time from "1s" to "10m""#,
        check: |kind| period(kind, 1..=600),
    },
    Rule {
        key: "net.max_body",
        allowed: r#"a size from "64 KiB" to "1 GiB""#,
        check: |kind| within(parsed::<Size>(kind)?.0, 64 << 10..=1 << 30),
    },
    Rule {
        key: "google.client_id",
        allowed: "the client's id as Google shows it, or nothing between the quotes",
        check: |kind| {
            let plain = text(kind)?.bytes().all(|byte| byte.is_ascii_graphic());
            if plain { Ok(()) } else { Err("no id has such characters") }
        },
    },
    Rule { key: "google.client_secret_file", allowed: FILE_OR_NONE, check: file_or_none },
    Rule {
        key: "google.client_type",
        allowed: r#""desktop" or "web""#,
        check: |kind| one_of(kind, &["desktop", "web"]),
    },
    Rule { key: "google.testing", allowed: "true or false", check: boolean },
    Rule { key: "google.service_account_file", allowed: FILE_OR_NONE, check: file_or_none },
    Rule {
        key: "google.delegated_domains",
        allowed: r#"a list of domains, such as ["example.com"]"#,
        check: |kind| {
            let ValueKind::Array(all) = kind else { return Err("it is not a list") };
            all.iter().try_for_each(|one| {
                let domain = text(&one.kind)?;
                let plain = |c: char| c.is_alphanumeric() || ".-".contains(c);
                if domain.contains('.') && domain.chars().all(plain) { Ok(()) } else { Err("there is no domain") }
            })
        },
    },
    Rule { key: "google.authorize_url", allowed: WEB_URL, check: |kind| parsed::<WebUrl>(kind).map(drop) },
    Rule { key: "google.token_url", allowed: WEB_URL, check: |kind| parsed::<WebUrl>(kind).map(drop) },
    Rule { key: "google.revoke_url", allowed: WEB_URL, check: |kind| parsed::<WebUrl>(kind).map(drop) },
    Rule { key: "google.userinfo_url", allowed: WEB_URL, check: |kind| parsed::<WebUrl>(kind).map(drop) },
    Rule { key: "google.api_url", allowed: WEB_URL, check: |kind| parsed::<WebUrl>(kind).map(drop) },
    Rule {
        key: "log.format",
        allowed: r#""auto", "text" or "json""#,
        check: |kind| one_of(kind, &["auto", "text", "json"]),
    },
    Rule {
        key: "log.filter",
        allowed: r#"a level (error, warn, info, debug, trace) or directives such as "info,contactd::provider=debug""#,
        check: |kind| if text(kind)?.trim().is_empty() { Err("it is empty") } else { Ok(()) },
    },
];

const FILE_OR_NONE: &str = "an absolute path, in quotes, or nothing between the quotes";
const WEB_URL: &str = "an address with https, or with http on this machine itself";

fn file_or_none(kind: &ValueKind) -> Result<(), &'static str> {
    if text(kind)?.is_empty() { Ok(()) } else { absolute(kind) }
}

fn text(kind: &ValueKind) -> Result<&str, &'static str> {
    if let ValueKind::String(text) = kind { Ok(text) } else { Err("it is not a text in quotes") }
}

fn parsed<T: FromStr<Err = BadValue>>(kind: &ValueKind) -> Result<T, &'static str> {
    text(kind)?.parse().map_err(|BadValue(why)| why)
}

fn within<T: PartialOrd + Copy>(value: T, range: RangeInclusive<T>) -> Result<(), &'static str> {
    if value < *range.start() {
        Err("it is too small")
    } else if value > *range.end() {
        Err("it is too large")
    } else {
        Ok(())
    }
}

fn period(kind: &ValueKind, seconds: RangeInclusive<u64>) -> Result<(), &'static str> {
    let millis = parsed::<Period>(kind)?.0.as_millis();
    within(millis, u128::from(*seconds.start()) * 1000..=u128::from(*seconds.end()) * 1000)
}

fn number(kind: &ValueKind, range: RangeInclusive<i64>) -> Result<(), &'static str> {
    if let ValueKind::I64(number) = kind { within(*number, range) } else { Err("it is not a whole number") }
}

fn boolean(kind: &ValueKind) -> Result<(), &'static str> {
    if matches!(kind, ValueKind::Boolean(_)) { Ok(()) } else { Err("it is neither") }
}

fn one_of(kind: &ValueKind, choices: &[&str]) -> Result<(), &'static str> {
    if choices.contains(&text(kind)?) { Ok(()) } else { Err("it is not among the choices") }
}

fn absolute(kind: &ValueKind) -> Result<(), &'static str> {
    let text = text(kind)?;
    if text.starts_with('/') && !text.ends_with('/') { Ok(()) } else { Err("it is not the absolute path of a file") }
}

/// A value for the screen, with what nobody should read over a shoulder replaced.
fn shown(key: &str, kind: &ValueKind) -> String {
    if ["password", "secret", "token"].iter().any(|word| key.ends_with(word)) {
        return "\"(hidden)\"".to_owned();
    }
    match kind {
        ValueKind::String(text) => format!("{:?}", without_password(text)),
        ValueKind::Array(all) => {
            format!("[{}]", all.iter().map(|one| shown(key, &one.kind)).collect::<Vec<_>>().join(", "))
        }
        ValueKind::Table(_) => "a section".to_owned(),
        kind => kind.to_string(),
    }
}

/// The value as it may be kept for showing it: once the settings are made, nobody needs the password in a URL.
fn harmless(kind: ValueKind) -> ValueKind {
    if let ValueKind::String(text) = kind { ValueKind::String(without_password(&text)) } else { kind }
}

/// A URL keeps its user and loses its password, wherever the password ends: up to the last `@`. So does what was meant to
/// be one.
fn without_password(text: &str) -> String {
    let text = match text.split_once("password=") {
        Some((before, after)) => {
            let rest = after.find('&').map_or("", |end| &after[end..]);
            format!("{before}password=(hidden){rest}")
        }
        None => text.to_owned(),
    };
    let Some((scheme, rest)) = text.split_once("://").or_else(|| text.split_once(':')) else { return text };
    let between = if text[scheme.len()..].starts_with("://") { "://" } else { ":" };
    let Some((login, host)) = rest.rsplit_once('@') else { return text };
    let Some((user, _)) = login.split_once(':') else { return text };
    format!("{scheme}{between}{user}:(hidden)@{host}")
}
