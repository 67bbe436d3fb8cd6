//! A file as it was at one moment, read while a daemon writes; and its tables.
//!
//! Owns: the connection beside the daemon's, and the backup. Must not: write into the file.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use rusqlite::{Connection, OpenFlags};

use super::super::StoreError;
use super::super::copy::{self, Catalog, Table};
use super::super::driver::{Driver, Rows, Stmt};
use super::{Prepared, Sqlite, classify, private, settle};

const COLUMNS: &str = "SELECT m.name, i.name, i.pk FROM sqlite_master m, pragma_table_info(m.name) i \
     WHERE m.type = 'table' AND substr(m.name, 1, 7) <> 'sqlite_' ORDER BY m.name, i.cid";
const NAMES: &str = "SELECT DISTINCT m.name, f.\"table\" FROM sqlite_master m, pragma_foreign_key_list(m.name) f \
     WHERE m.type = 'table'";

async fn tables(driver: &impl Driver) -> Result<BTreeMap<String, Table>, StoreError> {
    let answers = driver.run(vec![Stmt::new(COLUMNS, Vec::new()), Stmt::new(NAMES, Vec::new())]).await?;
    let none = Rows::default();
    copy::tables(answers.first().unwrap_or(&none), answers.get(1).unwrap_or(&none))
}

#[async_trait]
impl Catalog for Sqlite {
    async fn tables(&self) -> Result<BTreeMap<String, Table>, StoreError> {
        tables(self).await
    }
}

/// One moment of a file. Needs no lock: a daemon may be at work.
#[derive(Debug)]
pub struct SqliteSnapshot {
    conn: Mutex<Connection>,
}

impl SqliteSnapshot {
    /// Opens it. The moment is that of the first statement.
    ///
    /// # Errors
    /// When the file is not there, or is no store.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = |error: &rusqlite::Error| {
            StoreError::Broken(format!("can't read {}: {}", path.display(), classify(error, "open")))
        };
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(path, flags).map_err(|error| failed(&error))?;
        let conn = settle(conn, true).map_err(|error| failed(&error))?;
        conn.execute_batch("BEGIN DEFERRED").map_err(|error| failed(&error))?;
        Ok(Self { conn: Mutex::new(conn) })
    }

    /// What the database itself finds wrong with its file.
    ///
    /// # Errors
    /// When it can't look.
    pub fn damage(&self) -> Result<Vec<String>, StoreError> {
        let conn = self.conn.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = |error: rusqlite::Error| classify(&error, "PRAGMA integrity_check");
        let mut stmt = conn.prepare("PRAGMA integrity_check").map_err(failed)?;
        let rows = stmt.query_map([], |row| row.get::<_, String>(0)).map_err(failed)?;
        let found = rows.collect::<Result<Vec<_>, _>>().map_err(failed)?;
        Ok(found.into_iter().filter(|line| line != "ok").collect())
    }
}

#[async_trait]
impl Driver for SqliteSnapshot {
    async fn run(&self, batch: Vec<Stmt>) -> Result<Vec<Rows>, StoreError> {
        let conn = self.conn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut prepared = Prepared::new(&conn);
        batch.iter().map(|stmt| prepared.run(stmt)).collect()
    }
}

#[async_trait]
impl Catalog for SqliteSnapshot {
    async fn tables(&self) -> Result<BTreeMap<String, Table>, StoreError> {
        tables(self).await
    }
}

/// Copies a file as it is at this moment, whoever works on it, into one that is not there yet.
///
/// # Errors
/// When either can't be read or written.
pub fn back_up(path: &Path, to: &Path) -> Result<(), StoreError> {
    let failed = |error: &rusqlite::Error| {
        StoreError::Broken(format!("can't copy {}: {}", path.display(), classify(error, "VACUUM INTO")))
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(|error| failed(&error))?;
    conn.busy_timeout(std::time::Duration::from_secs(30)).map_err(|error| failed(&error))?;
    // Made first, so that nobody else can ever read it; SQLite takes an empty file for none.
    private(to).map_err(|error| StoreError::Broken(format!("can't make {}: {error}", to.display())))?;
    let name = to.to_str().ok_or_else(|| StoreError::Broken("the path is not UTF-8".to_owned()))?;
    conn.execute("VACUUM INTO ?1", [name]).map_err(|error| failed(&error))?;
    Ok(())
}
