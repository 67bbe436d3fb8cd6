//! What can be looked at without a daemon: the configuration, the key, the store's file or database, and who may read
//! what.
//!
//! Owns: the checks of `contactd doctor` that need no answer from a daemon. Must not: change or create anything that the
//! daemon owns: a key or a store made by the wrong user would keep it from starting.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::store::with_password;
use crate::api::types::Check;
use crate::config::{self, Config, ConfigError, StoreUrl};
use crate::seal::{KeyError, Keyring};
use crate::store::StoreError;
use crate::store::copy::Catalog as _;
use crate::store::postgres::{Postgres, PostgresSettings, Purpose};
use crate::store::sql::SqlStore;
use crate::telemetry;

/// So much must fit beside the store for it to be of use.
const ROOM: usize = 1 << 20;

/// The configuration as the daemon would read it, and what is to be said about it.
pub fn configuration(path: Option<&Path>) -> (Check, Option<Config>) {
    let from = path.map_or_else(|| "no file, so the defaults".to_owned(), |path| path.display().to_string());
    match read(path, std::env::vars_os()) {
        Ok(config) => (check("configuration", Ok(from)), Some(config)),
        Err(says) => (check("configuration", Err(says)), None),
    }
}

/// The configuration, with the filter of the log looked at too.
///
/// # Errors
/// What is wrong with it, in words.
pub fn read(path: Option<&Path>, env: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Config, String> {
    let config = config::load(path, env).map_err(|error: ConfigError| error.to_string())?;
    telemetry::parse(&config.log.filter).map_err(|error| error.to_string())?;
    Ok(config)
}

/// What can be seen from here: of what the daemon does not look at itself, and where none runs, of everything.
pub fn from_here(config: &Config, runs: bool) -> Vec<Check> {
    let key_file = &config.secrets.key_file;
    let google = check("Google", super::google::look(config));
    let mut checks = match &config.store.url {
        StoreUrl::Sqlite(store) if runs => return vec![google, check("store folder", folder(store))],
        StoreUrl::Sqlite(store) => vec![
            check("key file", key(key_file, store.exists())),
            check("store", file(store)),
            check("store folder", folder(store)),
        ],
        StoreUrl::Postgres(_) if runs => return vec![google],
        StoreUrl::Postgres(settings) => {
            let store = database(settings, config);
            let key = key(key_file, store.as_ref().is_ok_and(|(_, has_store)| *has_store));
            vec![check("key file", key), check("store", store.map(|(says, _)| says))]
        }
    };
    checks.push(google);
    checks.push(check("control socket", socket(&config.control.socket)));
    checks
}

fn check(name: &str, found: Result<String, String>) -> Check {
    let (ok, says) = match found {
        Ok(says) => (true, says),
        Err(says) => (false, says),
    };
    Check { name: name.to_owned(), ok, says }
}

fn key(path: &Path, store_exists: bool) -> Result<String, String> {
    match Keyring::read(path) {
        Ok(_) => Ok(format!("{} can be read by its owner alone", path.display())),
        Err(KeyError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => {
            if store_exists {
                let says = "is missing, though there is a store; without it no stored password can be read: restore it from \
                            its backup (nothing is to be done where systemd gives the key as the credential contactd-key)";
                return Err(format!("{} {says}", path.display()));
            }
            Ok(format!("{} is made at the first start", path.display()))
        }
        Err(error) => Err(error.to_string()),
    }
}

/// What the database says, asked as the daemon would ask it, and whether a store is in it. Nothing is made or changed.
fn database(settings: &PostgresSettings, config: &Config) -> Result<(String, bool), String> {
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let settings = with_password(settings, &config.store.password_file, credentials.as_deref());
    let settings = settings.map_err(|error| error.to_string())?;
    let asked = async {
        let database = Postgres::open(&settings, 1, Purpose::Share).await?;
        if !database.tables().await?.contains_key("schema_version") {
            return Ok((format!("{settings} answers; the store in it is made at the first start"), false));
        }
        SqlStore::as_it_is(database).await.map(|_| (format!("{settings} answers, and has the store"), true))
    };
    // A thread of its own: whoever asks may be at work for a runtime already.
    let answered = std::thread::scope(|scope| {
        let ask = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map_err(|error| StoreError::Broken(error.to_string())).and_then(|runtime| runtime.block_on(asked))
        };
        scope.spawn(ask).join()
    });
    let answered =
        answered.unwrap_or_else(|_| Err(StoreError::Broken("it could not be asked; please report it".to_owned())));
    answered.map_err(|error| {
        let says = error.to_string();
        let more = if says.contains("does not support TLS") {
            "; it speaks no TLS, which store.url wants: set `ssl = on` there, or say ?sslmode=disable if the way to it is safe"
        } else if says.contains("certificate") {
            "; store.url must name the host as its certificate does, and with an authority of your own say whose it is: \
             ?sslrootcert=/path/to/ca.pem"
        } else {
            ""
        };
        format!("{settings}: {says}{more}")
    })
}

fn file(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(format!("{shown} is made at the first start"));
        }
        Err(error) => {
            return Err(format!("{shown} can't be looked at: {error}; run this as the daemon's user or by sudo"));
        }
    };
    if !found.is_file() {
        return Err(format!("{shown} is no file; look at store.url"));
    }
    if found.permissions().mode() & 0o077 != 0 {
        return Err(format!("{shown} can be read or changed by others; run `chmod 600 {shown}`"));
    }
    let mut start = [0; 16];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut start));
    match read {
        Ok(()) if start == *b"SQLite format 3\0" => {}
        Ok(()) => return Err(format!("{shown} is no SQLite file; look at store.url, or restore it from its backup")),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return Err(format!("{shown} is cut short; restore it from its backup"));
        }
        Err(error) => return Err(format!("{shown} can't be read: {error}; run this as the daemon's user or by sudo")),
    }
    if in_use(path) {
        return Err(format!(
            "{shown} is in use by a contactd that does not answer at the control socket; it may be starting or stopping, or \
             have another socket (--socket)"
        ));
    }
    Ok(format!("{shown} is there ({} KiB) and nobody uses it", found.len() / 1024))
}

/// Whether a daemon holds the store.
fn in_use(path: &Path) -> bool {
    let lock = PathBuf::from(format!("{}.lock", path.display()));
    File::open(lock).is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)))
}

/// Whether there is room beside the store, and whether who owns the folder may write there.
fn folder(store: &Path) -> Result<String, String> {
    let folder = store.parent().unwrap_or(Path::new("/"));
    let shown = folder.display();
    let found = match fs::metadata(folder) {
        Ok(found) if found.is_dir() => found,
        Ok(_) => return Err(format!("{shown} is no folder; look at store.url")),
        Err(error) => {
            return Err(format!("{shown} can't be looked at: {error}; make it, and give it to the daemon's user"));
        }
    };
    if let Ok(file) = fs::metadata(store)
        && file.uid() != found.uid()
        && found.permissions().mode() & 0o022 == 0
    {
        return Err(format!(
            "{shown} belongs to user {}, and the store to user {}, who can't write there; give both to the daemon's user",
            found.uid(),
            file.uid()
        ));
    }
    let probe = folder.join(format!(".contactd-doctor-{}", std::process::id()));
    let written = OpenOptions::new().write(true).create_new(true).open(&probe).and_then(|mut file| {
        file.write_all(&vec![0; ROOM])?;
        file.sync_all()
    });
    let _ = fs::remove_file(&probe);
    match written {
        Ok(()) => Ok(format!("{shown} can be written to, and has room")),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(format!("we can't write to {shown}; run this as the daemon's user or by sudo"))
        }
        Err(error) => Err(format!("{shown} can't be written to: {error}; make room, or look how it is mounted")),
    }
}

fn socket(path: &Path) -> Result<String, String> {
    let shown = path.display();
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(format!("{shown} is there, left by a daemon; the next one replaces it")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = path.parent().unwrap_or(Path::new("/"));
            let there = if folder.is_dir() { "" } else { ", with its folder," };
            Ok(format!("{shown}{there} is made when the daemon starts"))
        }
        Err(error) => Err(format!("{shown} can't be looked at: {error}; run this as the daemon's user or by sudo")),
    }
}
