//! SQLite in memory, used again for the next world: parsing the statements anew for each would take longer than running
//! them. It can be copied and put back, as from a backup.

use std::cell::RefCell;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use contactd::store::StoreError;
use contactd::store::driver::{Driver, Rows, Stmt};
use contactd::store::sqlite::run_batch;
use rusqlite::Connection;
use rusqlite::types::Value;

use crate::postgres::Inline;

thread_local! {
    /// Databases at rest, empty but for their schema.
    static POOL: RefCell<Vec<Connection>> = const { RefCell::new(Vec::new()) };
}

/// A database that lives in memory and is given back when it is dropped; or PostgreSQL where `CONTACTD_SIM_POSTGRES` is set.
pub struct Memory(Mutex<Option<Connection>>, Option<Inline>);

/// All that stood in it.
pub struct Copy(Vec<(String, Vec<Vec<Value>>)>);

impl Memory {
    pub fn new() -> Self {
        if std::env::var_os("CONTACTD_SIM_POSTGRES").is_some() {
            return Self(Mutex::new(None), Some(Inline::new()));
        }
        Self(Mutex::new(Some(POOL.with_borrow_mut(Vec::pop).unwrap_or_else(fresh))), None)
    }

    fn with<T>(&self, what: impl FnOnce(&mut Connection) -> T) -> T {
        what(self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut().expect("there until it is dropped"))
    }

    /// One column of text of what a question finds.
    pub fn texts(&self, sql: &str) -> Vec<String> {
        if let Some(postgres) = &self.1 {
            // A driver takes statements that live for ever; what a test leaks ends with it.
            let question = Stmt::new(Box::leak(sql.to_owned().into_boxed_str()), Vec::new());
            let rows = super::exec::now(postgres.run(vec![question])).unwrap();
            return rows[0].iter().map(|mut row| row.text().unwrap().to_owned()).collect();
        }
        self.with(|conn| {
            let mut select = conn.prepare_cached(sql).unwrap();
            select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
        })
    }

    /// A backup; none of PostgreSQL, which has its own.
    pub fn copy(&self) -> Option<Copy> {
        if self.1.is_some() {
            return None;
        }
        Some(self.with(|conn| {
            let rows = |table: String| {
                let mut select = conn.prepare(&format!("SELECT * FROM {table}")).unwrap();
                let width = select.column_count();
                let row = |row: &rusqlite::Row<'_>| (0..width).map(|i| row.get(i)).collect::<Result<Vec<Value>, _>>();
                let rows = select.query_map([], row).unwrap().map(Result::unwrap).collect();
                (table, rows)
            };
            Copy(tables(conn).into_iter().map(rows).collect())
        }))
    }

    /// The backup is restored: whatever came after it is forgotten.
    pub fn restore(&self, copy: &Copy) {
        self.with(|conn| {
            wipe(conn).unwrap();
            conn.execute_batch("BEGIN").unwrap();
            for (table, rows) in &copy.0 {
                let Some(first) = rows.first() else { continue };
                let places = vec!["?"; first.len()].join(",");
                let mut insert = conn.prepare(&format!("INSERT INTO {table} VALUES ({places})")).unwrap();
                for row in rows {
                    insert.execute(rusqlite::params_from_iter(row)).unwrap();
                }
            }
            conn.execute_batch("COMMIT").unwrap();
        });
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let conn = self.0.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(conn) = conn
            && !std::thread::panicking()
            && wipe(&conn).is_ok()
        {
            // Gone already where the thread is ending.
            let _ = POOL.try_with(|pool| pool.borrow_mut().push(conn));
        }
    }
}

fn fresh() -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    conn.set_prepared_statement_cache_capacity(512);
    // As the daemon's: plans do not depend on arguments, or each new one would have the statement parsed anew.
    conn.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).unwrap();
    conn.execute_batch("PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; PRAGMA synchronous = OFF;").unwrap();
    conn
}

/// The tables that hold what a world is made of.
fn tables(conn: &Connection) -> Vec<String> {
    let all = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' \
         AND name NOT IN ('schema_version', 'derived_version') ORDER BY name";
    let mut all = conn.prepare_cached(all).unwrap();
    all.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// What refers to what is asked at the end only; to turn that off meanwhile would have every statement parsed anew.
fn wipe(conn: &Connection) -> rusqlite::Result<()> {
    let mut all = String::from("BEGIN;");
    for table in tables(conn) {
        all.push_str(&format!("DELETE FROM {table};"));
    }
    all.push_str("COMMIT");
    conn.execute_batch(&all)
}

#[async_trait]
impl Driver for Memory {
    async fn run(&self, batch: Vec<Stmt>) -> Result<Vec<Rows>, StoreError> {
        match &self.1 {
            Some(postgres) => postgres.run(batch).await,
            None => self.with(|conn| run_batch(conn, &batch)),
        }
    }
}
