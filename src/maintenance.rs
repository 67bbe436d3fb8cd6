//! What is done to a store as a whole, without the daemon: `contactd store check`, `backup` and `migrate`.
//!
//! Owns: these commands. Must not: change a store that somebody uses; what only reads may be done while a daemon works.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cli::{Exit, StoreCommand};
use crate::config::{Config, StoreUrl};
use crate::daemon::DaemonError;
use crate::daemon::store::with_password;
use crate::secret::Secret;
use crate::store::copy::{Copied, copy};
use crate::store::postgres::{Postgres, PostgresSettings, Purpose, Snapshot};
use crate::store::sql::SqlStore;
use crate::store::sqlite::{Sqlite, SqliteSnapshot, back_up};
use crate::store::{Store, StoreError};

/// How many connections a move has.
const CONNECTIONS: usize = 2;

/// What a command came to.
#[derive(Debug, Serialize)]
struct Told {
    /// What does not agree.
    #[serde(skip_serializing_if = "Option::is_none")]
    wrong: Option<Vec<String>>,
    /// What was copied, per table.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tables: Vec<TableTold>,
}

#[derive(Debug, Serialize)]
struct TableTold {
    table: String,
    rows: u64,
    hash: String,
}

/// Does it.
///
/// # Errors
/// When it can't be done; says what to do.
pub async fn run(command: &StoreCommand, config: &Config, json: bool) -> Result<Exit, DaemonError> {
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let with_password = |settings: &PostgresSettings, file: Option<&Path>| match (file, settings.has_password()) {
        (Some(file), _) => with_password(settings, file, None),
        (None, true) => Ok(settings.clone()),
        (None, false) => with_password(settings, &config.store.password_file, credentials.as_deref()),
    };
    match command {
        StoreCommand::Check { url } => {
            let url = url.as_ref().map(read).transpose()?;
            let wrong = match url.as_ref().unwrap_or(&config.store.url) {
                StoreUrl::Sqlite(path) => {
                    let snapshot = SqliteSnapshot::open(path)?;
                    let damage = snapshot.damage()?;
                    if damage.is_empty() { SqlStore::as_it_is(snapshot).await?.check().await? } else { damage }
                }
                StoreUrl::Postgres(settings) => {
                    let snapshot = Snapshot::open(&with_password(settings, None)?).await?;
                    SqlStore::as_it_is(snapshot).await?.check().await?
                }
            };
            let exit = if wrong.is_empty() { Exit::Ok } else { Exit::Failed };
            let words = if wrong.is_empty() { "the store agrees with itself".to_owned() } else { wrong.join("\n") };
            tell(json, &Told { wrong: Some(wrong), tables: Vec::new() }, &words);
            Ok(exit)
        }
        StoreCommand::Backup { path } => {
            let part = part(path)?;
            let made = match &config.store.url {
                StoreUrl::Sqlite(store) => back_up(store, &part).map(|()| Vec::new()).map_err(DaemonError::from),
                StoreUrl::Postgres(settings) => {
                    let settings = with_password(settings, None)?;
                    copied_out(&settings, &part).await.map_err(DaemonError::from)
                }
            };
            let made = made.and_then(|tables| sound(&part).map(|()| tables).map_err(DaemonError::from));
            let tables = made.inspect_err(|_| drop(std::fs::remove_file(&part)))?;
            publish(&part, path)?;
            let words = format!("the store was copied to {}, and the copy is sound", path.display());
            tell(json, &Told { wrong: None, tables: told(tables) }, &words);
            Ok(Exit::Ok)
        }
        StoreCommand::Migrate { from, to, from_password_file, to_password_file } => {
            let (from, to) = (read(from)?, read(to)?);
            let say = |copied: &Copied| {
                if !json {
                    print(&format!("{:20} {:10} rows  {}\n", copied.table, copied.rows, copied.hash));
                }
            };
            if let StoreUrl::Sqlite(path) = &from
                && !path.exists()
            {
                return Err(broken(format!("{} is not there", path.display())));
            }
            let settle = |url: &StoreUrl, file: &Option<PathBuf>| match url {
                StoreUrl::Postgres(settings) => with_password(settings, file.as_deref()).map(Some),
                StoreUrl::Sqlite(_) => Ok(None),
            };
            let (from_settings, to_settings) = (settle(&from, from_password_file)?, settle(&to, to_password_file)?);
            let postgres = |settings: Option<PostgresSettings>| async move {
                let settings = settings.ok_or_else(|| StoreError::Broken("no settings".to_owned()))?;
                Postgres::open(&settings, CONNECTIONS, Purpose::Alone).await
            };
            let tables = match (&from, &to) {
                (StoreUrl::Sqlite(from), StoreUrl::Sqlite(to)) => {
                    copy(&Sqlite::open(from)?, &Sqlite::open(to)?, say).await?
                }
                (StoreUrl::Sqlite(from), StoreUrl::Postgres(_)) => {
                    copy(&Sqlite::open(from)?, &postgres(to_settings).await?, say).await?
                }
                (StoreUrl::Postgres(_), StoreUrl::Sqlite(to)) => {
                    copy(&postgres(from_settings).await?, &Sqlite::open(to)?, say).await?
                }
                (StoreUrl::Postgres(_), StoreUrl::Postgres(_)) => {
                    copy(&postgres(from_settings).await?, &postgres(to_settings).await?, say).await?
                }
            };
            let words = format!(
                "all of it has arrived as it was; set store.url to {to:?}, start the daemon, and keep the old store until \
                 you have seen it work"
            );
            tell(json, &Told { wrong: None, tables: told(tables) }, &words);
            Ok(Exit::Ok)
        }
    }
}

/// A URL from the command line. What is wrong with it is said without repeating it.
fn read(url: &Secret) -> Result<StoreUrl, DaemonError> {
    let said = |error| broken(format!("a URL of a store can't be read: {error}; docs/store.md shows how they look"));
    url.expose().parse().map_err(said)
}

fn told(tables: Vec<Copied>) -> Vec<TableTold> {
    tables.into_iter().map(|Copied { table, rows, hash }| TableTold { table, rows, hash }).collect()
}

fn tell(json: bool, told: &Told, words: &str) {
    if json {
        print(&format!("{}\n", serde_json::to_string_pretty(told).unwrap_or_default()));
    } else {
        print(&format!("{words}\n"));
    }
}

fn print(text: &str) {
    // Whoever reads may have gone.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn broken(why: String) -> DaemonError {
    DaemonError::Store(StoreError::Broken(why))
}

/// Where the backup is written until it is whole.
fn part(path: &Path) -> Result<PathBuf, DaemonError> {
    if path.exists() {
        return Err(broken(format!("{} is there already, and is not overwritten; name another file", path.display())));
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    let part = PathBuf::from(name);
    match std::fs::remove_file(&part) {
        Ok(()) => Ok(part),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(part),
        Err(error) => Err(broken(format!("can't write {}: {error}", part.display()))),
    }
}

/// A PostgreSQL store as it is at this moment, as a file.
async fn copied_out(settings: &PostgresSettings, to: &Path) -> Result<Vec<Copied>, StoreError> {
    let target = Sqlite::open(to)?;
    let tables = copy(&Snapshot::open(settings).await?, &target, |_| ()).await?;
    drop(target);
    let mut lock = to.as_os_str().to_owned();
    lock.push(".lock");
    let _ = std::fs::remove_file(lock);
    Ok(tables)
}

/// Whether the database can read all of its copy.
fn sound(copy: &Path) -> Result<(), StoreError> {
    let damage = SqliteSnapshot::open(copy)?.damage()?;
    if damage.is_empty() {
        Ok(())
    } else {
        Err(StoreError::Broken(format!("the copy is damaged: {}", damage.join("; "))))
    }
}

/// Gives the backup its name once it is on the disk.
fn publish(part: &Path, path: &Path) -> Result<(), DaemonError> {
    let failed = |error: std::io::Error| broken(format!("can't write {}: {error}", path.display()));
    File::open(part).and_then(|file| file.sync_all()).map_err(failed)?;
    // Not over a file that somebody made meanwhile.
    std::fs::hard_link(part, path).and_then(|()| std::fs::remove_file(part)).map_err(failed)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}
