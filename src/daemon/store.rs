//! Which store the daemon works on, and what follows from it: by whose clock, and under which name.
//!
//! Owns: opening it, and finding its password. Must not: know what is in it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tracing::warn;

use super::DaemonError;
use crate::clock::{System, World};
use crate::config::{Config, StoreUrl};
use crate::secret::Secret;
use crate::store::postgres::{Postgres, PostgresSettings, Purpose, SharedClock};
use crate::store::sql::SqlStore;
use crate::store::sqlite::Sqlite;
use crate::store::{Store, StoreError};
use crate::telemetry::fields;

/// The credential that systemd may hand over.
const CREDENTIAL: &str = "contactd-store-password";

/// The store, and how the daemon is to behave on it.
pub(super) struct Opened {
    pub(super) store: Arc<dyn Store>,
    /// The clock by which leases are taken, and with them everything else.
    pub(super) world: Arc<dyn World>,
    /// The daemon's name among those that share the store.
    pub(super) holder: String,
    /// By how much daemons that share the store may differ in time.
    pub(super) margin: Duration,
    /// Keeps the clock right.
    pub(super) keeper: Option<JoinHandle<()>>,
}

/// Opens the store that the configuration names.
pub(super) async fn open(config: &Config, credentials: Option<&Path>) -> Result<Opened, DaemonError> {
    match &config.store.url {
        StoreUrl::Sqlite(path) => {
            let store = SqlStore::open(Sqlite::open(path)?).await?;
            // A file has one daemon at a time, so that what a crashed one held is free at once.
            store.free_leases().await?;
            Ok(Opened {
                store: Arc::new(store),
                world: Arc::new(System),
                holder: name(),
                margin: Duration::ZERO,
                keeper: None,
            })
        }
        StoreUrl::Postgres(settings) => {
            let settings = with_password(settings, &config.store.password_file, credentials)?;
            let database = Postgres::open(&settings, config.store.connections, Purpose::Share).await?;
            let clock = Arc::new(SharedClock::new(database.clone()).await?);
            let keeper = tokio::spawn(keep(Arc::clone(&clock)));
            Ok(Opened {
                store: Arc::new(SqlStore::open(database).await?),
                world: clock,
                holder: name(),
                margin: Duration::from_millis(SharedClock::MARGIN.unsigned_abs()),
                keeper: Some(keeper),
            })
        }
    }
}

/// The settings with the password: systemd's credential, else the file, else what stands in the URL.
pub(crate) fn with_password(
    settings: &PostgresSettings,
    file: &Path,
    credentials: Option<&Path>,
) -> Result<PostgresSettings, DaemonError> {
    let handed = credentials.map(|folder| folder.join(CREDENTIAL)).filter(|path| path.exists());
    let (path, ours) = match handed {
        Some(path) => (path, false),
        None if file.as_os_str().is_empty() => return Ok(settings.clone()),
        None => (PathBuf::from(file), true),
    };
    let failed = |why: String| {
        DaemonError::Store(StoreError::Broken(format!("the password of the store in {} {why}", path.display())))
    };
    let text = std::fs::read_to_string(&path).map_err(|error| failed(format!("can't be read: {error}")))?;
    let text = zeroize::Zeroizing::new(text);
    // Who can read systemd's is systemd's business.
    if ours {
        let mode = std::fs::metadata(&path).map_err(|error| failed(error.to_string()))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(failed(format!("can be read by others; run `chmod 600 {}`", path.display())));
        }
    }
    let password = text.lines().next().unwrap_or_default();
    if password.is_empty() {
        return Err(failed("is empty".to_owned()));
    }
    Ok(settings.clone().with_password(&Secret::from(password)))
}

/// A name that no other process has, on whatever machine, nor this one after a restart.
fn name() -> String {
    // systemd may hide the first from us.
    let names = ["/proc/sys/kernel/hostname", "/etc/hostname"];
    let host = names.into_iter().find_map(|name| std::fs::read_to_string(name).ok()).unwrap_or_default();
    let host = if host.trim().is_empty() { "host" } else { host.trim() };
    let random = uuid::Uuid::new_v4().simple().to_string();
    format!("{host}/{}/{}", std::process::id(), &random[..8])
}

/// Reads the database's clock again and again.
async fn keep(clock: Arc<SharedClock>) {
    let mut every = tokio::time::interval(SharedClock::EVERY);
    loop {
        every.tick().await;
        if let Err(error) = clock.set().await {
            warn!({ fields::ERROR } = %error, "the time of the database was not read; it goes on as it was");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_processes_hold_a_lease_under_one_name() {
        let (one, other) = (name(), name());
        assert!(one != other && one.contains(&format!("/{}/", std::process::id())), "{one} {other}");
    }

    #[test]
    fn a_password_comes_from_a_credential_or_a_file_that_nobody_else_can_read() {
        let dir = tempfile::tempdir().unwrap();
        let settings: PostgresSettings = "postgres://ann@localhost/crm".parse().unwrap();
        let file = dir.path().join("password");
        std::fs::write(&file, "geheim\n").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        let refused = with_password(&settings, &file, None).unwrap_err().to_string();
        assert!(refused.contains("chmod 600") && !refused.contains("geheim"), "{refused}");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(with_password(&settings, &file, None).unwrap().has_password());
        assert!(!with_password(&settings, Path::new(""), Some(dir.path())).unwrap().has_password());
        std::fs::write(dir.path().join(CREDENTIAL), "").unwrap();
        let refused = with_password(&settings, &file, Some(dir.path())).unwrap_err().to_string();
        assert!(refused.contains("is empty"), "{refused}");
    }

    #[test]
    fn names_are_never_the_same() {
        assert_ne!(name(), name());
    }
}
