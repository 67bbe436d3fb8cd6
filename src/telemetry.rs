//! The log: how it is set up, and what its fields are called.
//!
//! Owns: the subscriber and the names of fields ([`fields`]). Must not: be given a name, number or address of a person, or
//! a secret: a line says which account, person or run by id.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// The names of fields: one name per thing.
pub mod fields {
    /// An account, by id.
    pub const ACCOUNT: &str = "account.id";
    /// A person, by id.
    pub const PERSON: &str = "person.id";
    /// An operation, by id.
    pub const OPERATION: &str = "op.id";
    /// A run, by id.
    pub const RUN: &str = "run.id";
    /// What started a run.
    pub const TRIGGER: &str = "trigger";
    /// What went wrong.
    pub const ERROR: &str = "error";
}

/// What is logged can be changed while the daemon runs.
pub type Reload = tracing_subscriber::reload::Handle<EnvFilter, tracing_subscriber::Registry>;

/// Sends the log to standard error, as JSON or as text.
///
/// # Errors
/// When the filter can't be read; it says which directive.
pub fn init(json: bool, colours: bool, filter: &str) -> Result<Reload, BadFilter> {
    let (filter, reload) = tracing_subscriber::reload::Layer::new(parse(filter)?);
    let registry = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    // A second subscriber (tests that start two daemons in one process) is left out.
    let _ = if json {
        registry.with(lines.json().flatten_event(true).with_current_span(false)).try_init()
    } else {
        registry.with(lines.with_ansi(colours).with_target(false)).try_init()
    };
    Ok(reload)
}

/// Reads directives such as `info,contactd::provider=debug`.
///
/// # Errors
/// When a directive can't be read.
pub fn parse(filter: &str) -> Result<EnvFilter, BadFilter> {
    EnvFilter::builder().parse(filter).map_err(|error| BadFilter(error.to_string()))
}

/// The filter can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "log.filter: {0}; it must be a level (error, warn, info, debug, trace) or directives such as \"info,contactd::provider=debug\""
)]
pub struct BadFilter(String);
