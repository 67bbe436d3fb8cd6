//! The program: arguments and configuration, then the daemon or one command.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use contactd::cli::{self, Cli, Command, ConfigCommand, Exit};
use contactd::config::{self, Config, LogFormat};
use contactd::{daemon, maintenance, telemetry};

/// Where the configuration is if nobody says otherwise.
const CONFIG: &str = "/etc/contactd/contactd.toml";

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(exit) => exit.into(),
        Err((exit, says)) => {
            let _ = writeln!(std::io::stderr(), "contactd: {says}");
            exit.into()
        }
    }
}

fn run(cli: Cli) -> Result<Exit, (Exit, String)> {
    let path = cli.config.clone().or_else(|| Path::new(CONFIG).exists().then(|| CONFIG.into()));
    let read = || daemon::doctor::read(path.as_deref(), std::env::vars_os()).map_err(|says| (Exit::Usage, says));
    let failed = |error: std::io::Error| (Exit::Failed, error.to_string());
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed);
    match &cli.command {
        Command::Config(ConfigCommand::Check) => {
            let of = path.as_ref().map_or("no file, the defaults hold".to_owned(), |path| path.display().to_string());
            read().map(|_| say(&format!("the configuration is fine ({of})\n")))
        }
        Command::Config(ConfigCommand::Show) => read().map(|config| say(&config::show(&config))),
        Command::Doctor(doctor) if doctor.live.is_none() => {
            let (check, config) = daemon::doctor::configuration(path.as_deref());
            let socket = cli.socket.clone().or_else(|| config.as_ref().map(|config| config.control.socket.clone()));
            // The socket of another daemon says nothing of this configuration's store.
            let other = cli.socket.is_some();
            let from_here = |runs: bool| match &config {
                Some(config) if !(runs && other) => daemon::doctor::from_here(config, runs),
                _ => Vec::new(),
            };
            let look = cli::doctor(&cli, check, socket.as_deref(), from_here);
            runtime()?.block_on(Box::pin(look)).map_err(|error| (error.exit, error.says))
        }
        // What is only printed needs neither a configuration nor a daemon.
        Command::Completions { .. } | Command::Man { .. } => {
            runtime()?.block_on(Box::pin(cli::run(cli, Path::new("")))).map_err(|error| (error.exit, error.says))
        }
        Command::Serve => serve(read()?, path.as_deref()),
        Command::Store(command) => {
            let config = read()?;
            let done = runtime()?.block_on(Box::pin(maintenance::run(command, &config, cli.json)));
            done.map_err(|error| (Exit::Failed, error.to_string()))
        }
        _ => {
            let socket = match &cli.socket {
                Some(socket) => socket.clone(),
                None => read()?.control.socket.clone(),
            };
            runtime()?.block_on(Box::pin(cli::run(cli, &socket))).map_err(|error| (error.exit, error.says))
        }
    }
}

fn serve(config: Config, path: Option<&Path>) -> Result<Exit, (Exit, String)> {
    let terminal = std::io::stderr().is_terminal();
    let json = match config.log.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !terminal,
    };
    let colours = terminal && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    let log = telemetry::init(json, colours, &config.log.filter).map_err(|error| (Exit::Usage, error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| (Exit::Failed, error.to_string()))?;
    let ended = runtime.block_on(Box::pin(daemon::run(config, path.map(Path::to_path_buf), log)));
    // Nothing that still runs may hold up the end.
    runtime.shutdown_timeout(std::time::Duration::from_millis(500));
    ended.map(|()| Exit::Ok).map_err(|error| (Exit::Failed, error.to_string()))
}

fn say(text: &str) -> Exit {
    let _ = std::io::stdout().write_all(text.as_bytes());
    Exit::Ok
}
