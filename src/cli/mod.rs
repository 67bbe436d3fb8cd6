//! The command line: arguments in, requests over the control socket, tables or JSON out.
//!
//! Owns: the commands ([`Cli`]), the client, and how answers look. Must not: know the daemon's inside; it speaks by
//! [`crate::api::types`] alone. Exit codes: 0 done, 1 failed, 2 used wrongly, 3 something waits for a person, 4 the daemon
//! can't be reached.

mod args;
mod client;
mod commands;
mod handles;
mod people;
mod show;
mod sign_in;

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

pub use args::{Cli, Command, ConfigCommand, StoreCommand};

use client::Client;

use crate::api::types::Check;

/// What a command came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Ok,
    /// Failed.
    Failed,
    /// Used wrongly.
    Usage,
    /// Something waits for a person.
    Waits,
    /// The daemon can't be reached.
    Unreachable,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Ok => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Waits => 3,
            Exit::Unreachable => 4,
        })
    }
}

/// Why a command failed: what to say, and the exit code.
#[derive(Debug, thiserror::Error)]
#[error("{says}")]
pub struct CliError {
    /// What went wrong, and what to do next.
    pub says: String,
    /// The exit code.
    pub exit: Exit,
}

impl CliError {
    fn new(exit: Exit, says: impl Into<String>) -> Self {
        Self { says: says.into(), exit }
    }

    fn usage(says: impl Into<String>) -> Self {
        Self::new(Exit::Usage, says)
    }
}

/// How answers are written.
#[derive(Clone, Copy, Debug)]
struct Style {
    json: bool,
    /// Whether somebody looks, so that bars make sense.
    bars: bool,
}

/// Runs a command against the daemon at that socket.
///
/// # Errors
/// When it can't be reached, refuses, or is used wrongly; the error says what to do.
pub async fn run(cli: Cli, socket: &Path) -> Result<Exit, CliError> {
    let style = Style { json: cli.json, bars: std::io::stderr().is_terminal() && !cli.json };
    let client = Client::new(socket, cli.act_as);
    commands::run(cli.command, &client, style).await
}

/// Looks at everything that can be wrong. `config` is what was found about the configuration; `socket` is the daemon's, as
/// far as it is known; `from_here`
/// looks at what can be seen from outside, told whether the daemon answers.
///
/// # Errors
/// When the daemon refuses.
pub async fn doctor(
    cli: &Cli,
    config: Check,
    socket: Option<&Path>,
    from_here: impl FnOnce(bool) -> Vec<Check>,
) -> Result<Exit, CliError> {
    let client = socket.map(|socket| Client::new(socket, cli.act_as.clone()));
    commands::doctor(config, client.as_ref(), from_here, Style { json: cli.json, bars: false }).await
}

/// Says something beside the answer, which stays whole for programs.
fn note(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Prints a text. A pipe whose reader has gone away is no failure.
fn print(text: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    let _ =
        out.write_all(text.as_bytes()).and_then(|()| if text.ends_with('\n') { Ok(()) } else { out.write_all(b"\n") });
}
