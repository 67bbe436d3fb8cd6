//! IO. The driver for SQLite, which is compiled in: one file, one daemon.
//!
//! Owns: opening, locking, binding, classifying errors, and the threads that keep blocking work away from async code.
//! Must not: know what a statement means. Start reading at [`Sqlite`], then [`run_batch`].
//!
//! Every commit is flushed to the disk (`synchronous = FULL`): an intent must not be lost after its request was sent, and
//! a first sync makes its commits in hundreds of records, so that flushing the others too costs nothing that one feels.

mod snapshot;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use async_trait::async_trait;
use rusqlite::config::DbConfig;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, ErrorCode, OpenFlags, ToSql, TransactionBehavior};
use tokio::sync::oneshot;

pub use self::snapshot::{SqliteSnapshot, back_up};

use super::StoreError;
use super::driver::{Driver, Rows, Stmt, Value};

/// How many connections read at the same time.
const READERS: usize = 3;
/// How much each connection keeps in memory, as SQLite counts: in KiB, negative. The system's own cache lies below, so that
/// more gains little; less makes a first sync of 50,000 write pages twice.
const WRITE_CACHE: i64 = -8_000;
const READ_CACHE: i64 = -2_000;
/// The log is written back into the file whenever it holds so many pages: 16 MB. A first sync touches the same pages of its
/// indexes with every commit; written back more often, most of them would be written for nothing.
const LOG_PAGES: i64 = 4_000;
/// How long a connection waits for a lock that something outside the daemon holds (a backup), in ms.
const BUSY_MS: u64 = 5_000;
/// More than there are different statements, so that each is parsed once per connection.
const STATEMENTS: usize = 256;
/// Writes the log back and cuts it, unless somebody reads in it just now; no transaction may be open.
const CUT_LOG: &str = "PRAGMA wal_checkpoint(TRUNCATE)";

/// A store in SQLite. Whoever holds it, holds its file alone.
#[derive(Debug)]
pub struct Sqlite {
    how: How,
}

#[derive(Debug)]
enum How {
    Inline(Inline),
    Threads(Threads),
}

impl Sqlite {
    /// Opens or creates the file; the work is done on threads of its own. For the daemon.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let lock = lock(path)?;
        let writer = connect(path, false)?;
        let readers = (0..READERS).map(|_| connect(path, true)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { how: How::Threads(Threads::start(writer, readers, lock)?) })
    }

    /// Opens or creates the file; the work is done on the calling thread, at once, without a runtime. For the simulator.
    pub fn inline(path: &Path) -> Result<Self, StoreError> {
        let lock = lock(path)?;
        Ok(Self { how: How::Inline(Inline { conn: Mutex::new(connect(path, false)?), _lock: Some(lock) }) })
    }

    /// A store that lives as long as this value; the work is done as by [`Sqlite::inline`]. For tests and the simulator.
    pub fn memory() -> Result<Self, StoreError> {
        let conn = Connection::open_in_memory().and_then(|conn| settle(conn, false));
        let conn = conn.map_err(|error| classify(&error, "open"))?;
        Ok(Self { how: How::Inline(Inline { conn: Mutex::new(conn), _lock: None }) })
    }
}

#[async_trait]
impl Driver for Sqlite {
    async fn run(&self, batch: Vec<Stmt>) -> Result<Vec<Rows>, StoreError> {
        match &self.how {
            // A batch that was interrupted by a panic was rolled back with its transaction.
            How::Inline(inline) => run_batch(&mut inline.conn.lock().unwrap_or_else(PoisonError::into_inner), &batch),
            How::Threads(threads) => threads.run(batch).await,
        }
    }

    /// What was deleted is zeros in the file itself (`secure_delete`); the log that lies beside it still has the pages as
    /// they were, until it is written back and cut.
    async fn wipe(&self) -> Result<(), StoreError> {
        self.run(vec![Stmt::new(CUT_LOG, Vec::new())]).await.map(drop)
    }
}

#[derive(Debug)]
struct Inline {
    conn: Mutex<Connection>,
    _lock: Option<File>,
}

/// One thread writes, a few read; each owns its connection.
#[derive(Debug)]
struct Threads {
    writer: Option<Sender<Job>>,
    readers: Option<Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
    _lock: File,
}

#[derive(Debug)]
struct Job {
    batch: Vec<Stmt>,
    answer: oneshot::Sender<Result<Vec<Rows>, StoreError>>,
}

impl Threads {
    fn start(writer: Connection, readers: Vec<Connection>, lock: File) -> Result<Self, StoreError> {
        let (write, writes) = channel();
        let (read, reads) = channel();
        let mut started = Self { writer: Some(write), readers: Some(read), threads: Vec::new(), _lock: lock };
        started.spawn("store-write", writer, Arc::new(Mutex::new(writes)))?;
        let reads = Arc::new(Mutex::new(reads));
        for reader in readers {
            started.spawn("store-read", reader, Arc::clone(&reads))?;
        }
        Ok(started)
    }

    fn spawn(&mut self, name: &str, mut conn: Connection, jobs: Arc<Mutex<Receiver<Job>>>) -> Result<(), StoreError> {
        let work = move || {
            loop {
                let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
                let Ok(Job { batch, answer }) = job else { return };
                // Whoever asked may have gone away; a batch that has begun is finished all the same.
                let _ = answer.send(run_batch(&mut conn, &batch));
            }
        };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work);
        self.threads.push(thread.map_err(|error| StoreError::Broken(format!("can't start a thread: {error}")))?);
        Ok(())
    }

    async fn run(&self, batch: Vec<Stmt>) -> Result<Vec<Rows>, StoreError> {
        let ended = || StoreError::Broken("a thread of the store has ended; restart the daemon".to_owned());
        let queue = if batch.iter().all(Stmt::reads) { &self.readers } else { &self.writer };
        let (answer, answered) = oneshot::channel();
        queue.as_ref().ok_or_else(ended)?.send(Job { batch, answer }).map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?
    }
}

impl Drop for Threads {
    /// Waits for what has begun, so that the file is at rest before its lock is given up.
    fn drop(&mut self) {
        self.writer = None;
        self.readers = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Takes the advisory lock that tells a second daemon that the file is in use.
fn lock(path: &Path) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let broken = |what: &str, error: &dyn std::fmt::Display| {
        StoreError::Broken(format!(
            "{what} {}: {error}; does its folder exist, and may we write there?",
            name.display()
        ))
    };
    let file = private(&name).map_err(|error| broken("can't open", &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Broken(format!(
            "{} is in use by another contactd (it holds {}); stop that one, or give this one a store of its own",
            path.display(),
            name.display()
        ))),
        Err(TryLockError::Error(error)) => Err(broken("can't lock", &error)),
    }
}

/// Opens or creates a file that only its owner may read: it holds people's data.
fn private(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn connect(path: &Path, read_only: bool) -> Result<Connection, StoreError> {
    let opened = private(path).map_err(|error| error.to_string()).and_then(|_| {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Connection::open_with_flags(path, flags)
            .and_then(|conn| settle(conn, read_only))
            .map_err(|error| classify(&error, "open").to_string())
    });
    opened.map_err(|error| StoreError::Broken(format!("can't open {}: {error}", path.display())))
}

fn settle(conn: Connection, read_only: bool) -> rusqlite::Result<Connection> {
    conn.busy_timeout(std::time::Duration::from_millis(BUSY_MS))?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    conn.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
         PRAGMA temp_store = MEMORY; PRAGMA secure_delete = ON;",
    )?;
    // Otherwise SQLite looks at the arguments for its plans, and parses a statement anew whenever one of them differs: a
    // third of all time that went into the store.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.pragma_update(None, "cache_size", if read_only { READ_CACHE } else { WRITE_CACHE })?;
    conn.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
    if read_only {
        conn.pragma_update(None, "query_only", true)?;
    }
    Ok(conn)
}

/// Runs the batch as [`Driver::run`] says, on the calling thread.
pub fn run_batch(conn: &mut Connection, batch: &[Stmt]) -> Result<Vec<Rows>, StoreError> {
    debug_assert!(batch.iter().all(Stmt::counts_in_order), "placeholders must first appear in order");
    let reads = batch.iter().all(Stmt::reads);
    if let ([only], true) = (batch, reads || batch.iter().all(|stmt| stmt.sql == CUT_LOG)) {
        return Ok(vec![Prepared::new(conn).run(only)?]);
    }
    let behavior = if reads { TransactionBehavior::Deferred } else { TransactionBehavior::Immediate };
    let transaction = conn.transaction_with_behavior(behavior).map_err(|error| classify(&error, "BEGIN"))?;
    let mut prepared = Prepared::new(&transaction);
    let mut answers = Vec::with_capacity(batch.len());
    for stmt in batch {
        answers.push(prepared.run(stmt)?);
    }
    drop(prepared);
    transaction.commit().map_err(|error| classify(&error, "COMMIT"))?;
    Ok(answers)
}

/// The statements of a batch, found by where their text lies: a batch has few texts and many statements.
struct Prepared<'c> {
    conn: &'c Connection,
    open: HashMap<(*const u8, usize), CachedStatement<'c>>,
}

impl<'c> Prepared<'c> {
    fn new(conn: &'c Connection) -> Self {
        Self { conn, open: HashMap::new() }
    }

    fn run(&mut self, stmt: &Stmt) -> Result<Rows, StoreError> {
        let answer = self.execute(stmt).map_err(|error| classify(&error, stmt.sql))?;
        match stmt.expect {
            Some(expected) if expected != answer.touched => Err(StoreError::Stale(stmt.missed)),
            Some(_) | None => Ok(answer),
        }
    }

    fn execute(&mut self, stmt: &Stmt) -> rusqlite::Result<Rows> {
        if stmt.args.is_empty() && stmt.sql.contains("/*sqlite:") {
            // Only the schema has such statements: how a table is kept.
            self.conn.execute_batch(&stmt.sql.replace("/*sqlite:", "").replace("*/", ""))?;
            return Ok(Rows::default());
        }
        match self.open.entry((stmt.sql.as_ptr(), stmt.sql.len())) {
            Entry::Occupied(open) => execute(open.into_mut(), &stmt.args),
            Entry::Vacant(place) => execute(place.insert(self.conn.prepare_cached(stmt.sql)?), &stmt.args),
        }
    }
}

fn execute(prepared: &mut CachedStatement<'_>, args: &[Value]) -> rusqlite::Result<Rows> {
    for (at, value) in args.iter().enumerate() {
        prepared.raw_bind_parameter(at + 1, value)?;
    }
    let width = prepared.column_count();
    if width == 0 {
        let touched = prepared.raw_execute()?;
        return Ok(Rows { width, values: Vec::new(), touched: touched as u64 });
    }
    let mut answer = Rows { width, ..Rows::default() };
    let mut rows = prepared.raw_query();
    while let Some(row) = rows.next()? {
        for column in 0..width {
            answer.values.push(match row.get_ref(column)? {
                ValueRef::Null => Value::Null,
                ValueRef::Integer(number) => Value::Int(number),
                ValueRef::Text(text) => match std::str::from_utf8(text) {
                    Ok(text) => Value::Text(text.to_owned()),
                    Err(error) => return Err(rusqlite::Error::Utf8Error(column, error)),
                },
                ValueRef::Blob(bytes) => Value::Bytes(bytes.to_owned()),
                ValueRef::Real(_) => {
                    let name = row.as_ref().column_name(column)?.to_owned();
                    return Err(rusqlite::Error::InvalidColumnType(column, name, rusqlite::types::Type::Real));
                }
            });
        }
        answer.touched += 1;
    }
    Ok(answer)
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Int(number) => ValueRef::Integer(*number),
            Self::Bool(yes) => ValueRef::Integer(i64::from(*yes)),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// What to do about an error. The text names the statement, never its arguments.
fn classify(error: &rusqlite::Error, sql: &str) -> StoreError {
    let at = sql.split_whitespace().take(8).collect::<Vec<_>>().join(" ");
    let rusqlite::Error::SqliteFailure(failure, _) = error else {
        return StoreError::Broken(format!("{error} (at: {at})"));
    };
    let remedy = match failure.code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::OperationInterrupted => {
            return StoreError::Busy(format!("{error}; nothing was stored: try again (at: {at})"));
        }
        ErrorCode::ConstraintViolation => match failure.extended_code {
            rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE | rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY => {
                return StoreError::Stale("what may stand only once stands already");
            }
            _ => "the change contradicts what is stored; please report it",
        },
        ErrorCode::DiskFull => "the disk is full: make room",
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => "the file is damaged: restore a backup",
        ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied => {
            "the daemon's user must be able to write the file and its folder"
        }
        ErrorCode::SystemIoFailure => "the disk failed: see the system's log",
        _ => "please report it",
    };
    StoreError::Broken(format!("{error}: {remedy} (at: {at})"))
}
