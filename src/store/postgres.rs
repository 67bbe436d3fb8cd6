//! IO. The driver for PostgreSQL: one database, several daemons.
//!
//! Owns: connections, transactions and when one is run again. Must not: know what a statement means. Start reading at
//! [`Postgres::run`], then `Inner::attempt`.
//!
//! A batch is a value, so that one of which nothing was stored for certain can be run again as it is: when another
//! transaction was in the way, or the server went away before it was asked to commit. Once `COMMIT` has been sent only its
//! answer tells; without one the batch is never repeated here, and the error says that it may have been stored. The engine
//! is at home with that: its run ends, and the next one decides from what is stored then.
//!
//! The statements of a batch are sent one behind the other without waiting for answers, and `COMMIT` when all have come.

mod catalog;
mod clock;
mod error;
mod settings;
mod snapshot;
mod tls;
mod value;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::{ClientWrapper, Hook, HookError, Manager, ManagerConfig, Object, Pool, PoolError, Runtime};
use futures_util::TryStreamExt;
use futures_util::future::{Either, select};
use tokio::runtime::Handle;
use tokio::time::Instant;
use tokio_postgres::{NoTls, Statement};

use self::error::{Failed, at_commit, before_commit};
use super::StoreError;
use super::driver::{Alone, Driver, Rows, Stmt};

pub use self::clock::SharedClock;
pub use self::settings::{BadUrl, PostgresSettings};
pub use self::snapshot::Snapshot;

/// How long a batch is tried again before it is given up as busy. Longer than a server takes to start again, shorter than
/// a lease.
const PATIENCE: Duration = Duration::from_secs(10);
/// The first wait before that; doubles up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(4);
const LONGEST_WAIT: Duration = Duration::from_millis(400);
/// How many statements are on their way at once.
const IN_FLIGHT: usize = 64;

/// What every connection starts with. A daemon that is stopped in the middle of a batch must not hold what others wait
/// for, so the server ends its transaction; an intent must be on the disk before its request is sent.
const SESSION: &str = "SET idle_in_transaction_session_timeout = '5s'; SET lock_timeout = '8s'; SET jit = off; \
     SELECT set_config('synchronous_commit', 'on', FALSE) WHERE current_setting('synchronous_commit') = 'off'";
/// Who has a connection has this lock, together with all others who have one, unless somebody has the store alone.
const PRESENT: &str =
    "SELECT pg_try_advisory_lock_shared(hashtextextended('contactd store ' || coalesce(current_schema(), ''), 0))";
const NOBODY_ELSE: &str =
    "SELECT pg_try_advisory_lock(hashtextextended('contactd store ' || coalesce(current_schema(), ''), 0))";
/// Whoever brings the schema up to date.
const STARTING: &str =
    "SELECT pg_advisory_lock(hashtextextended('contactd start ' || coalesce(current_schema(), ''), 0))";

const IN_USE: &str = "a daemon uses this store, or it is being moved; stop every contactd that does, then try again";

/// What a store is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To serve, together with other daemons.
    Share,
    /// To have it alone: refused while a daemon uses it, and every daemon is refused meanwhile.
    Alone,
}

/// A store in PostgreSQL. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Postgres {
    inner: Arc<Inner>,
    /// Where batches run, so that one that has begun is finished although nobody waits for it any more.
    runtime: Handle,
}

#[derive(Debug)]
struct Inner {
    pool: Pool,
    crossed: AtomicU64,
    /// Holds the lock that keeps daemons out, as long as it lives.
    _alone: Option<Hidden>,
}

/// A connection that is kept for the lock that it has.
struct Hidden(#[allow(dead_code, reason = "held, not used")] ClientWrapper);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a connection")
    }
}

impl Postgres {
    /// Opens the store, with at most so many connections. Must be called within a runtime, which has to live as long as the
    /// store.
    ///
    /// # Errors
    /// When the database can't be reached or used, or is not to be had for this purpose.
    pub async fn open(settings: &PostgresSettings, connections: usize, purpose: Purpose) -> Result<Self, StoreError> {
        let alone = match purpose {
            Purpose::Share => None,
            Purpose::Alone => Some(alone(settings).await?),
        };
        let pool = pool(settings, connections, purpose == Purpose::Share)?;
        let inner = Arc::new(Inner { pool, crossed: AtomicU64::new(0), _alone: alone });
        let opened = Self { inner, runtime: Handle::current() };
        opened.look().await?;
        Ok(opened)
    }

    /// How often a batch had to be run again since another transaction was in the way.
    pub fn crossed(&self) -> u64 {
        self.inner.crossed.load(Ordering::Relaxed)
    }

    /// Milliseconds since 1970 by the database's clock.
    async fn time(&self) -> Result<i64, StoreError> {
        let sql = "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)";
        let rows = self.run(vec![Stmt::new(sql, Vec::new())]).await?;
        rows.first().and_then(Rows::first).ok_or_else(|| StoreError::Broken("no time".to_owned()))?.int()
    }

    /// Whether the database is as we need it.
    async fn look(&self) -> Result<(), StoreError> {
        // What a locale does is asked, not its name: there are three kinds of providers, and names lie.
        const FACTS: &str = "SELECT 'B' < 'a' AND lower(chr(196)) = chr(196), pg_encoding_to_char(d.encoding), \
             CAST(current_setting('server_version_num') AS BIGINT), current_schema() IS NOT NULL \
             FROM pg_database d WHERE d.datname = current_database()";
        let rows = self.run(vec![Stmt::new(FACTS, Vec::new())]).await?;
        let mut row = rows.first().and_then(Rows::first).ok_or_else(|| StoreError::Broken("no database".to_owned()))?;
        if !row.bool()? || row.text()? != "UTF8" {
            return Err(StoreError::Broken(
                "the database sorts text by the rules of a language, or not in UTF-8, where we need plain bytes: create it \
                 with `createdb --template=template0 --encoding=UTF8 --locale=C NAME`"
                    .to_owned(),
            ));
        }
        let version = row.int()?;
        if version < 130_000 {
            return Err(StoreError::Broken(format!(
                "the server is PostgreSQL {}; 13 is the oldest that we know, and 15 the one that is tested",
                version / 10_000
            )));
        }
        if !row.bool()? {
            return Err(StoreError::Broken(
                "the database has no schema for us: look at search_path, and at the rights of the user in store.url"
                    .to_owned(),
            ));
        }
        Ok(())
    }
}

#[async_trait]
impl Driver for Postgres {
    async fn run(&self, batch: Vec<Stmt>) -> Result<Vec<Rows>, StoreError> {
        debug_assert!(batch.iter().all(Stmt::counts_in_order), "placeholders must first appear in order");
        let inner = Arc::clone(&self.inner);
        let work = self.runtime.spawn(async move { inner.run(&batch).await });
        work.await.unwrap_or_else(|_| Err(StoreError::Broken("the runtime of the store has ended".to_owned())))
    }

    async fn alone(&self) -> Result<Alone, StoreError> {
        let inner = Arc::clone(&self.inner);
        let work = self.runtime.spawn(async move {
            let client = Object::take(inner.get().await.map_err(Failed::into_error)?);
            // Whoever is before us may have years of words to derive.
            let locked = client.batch_execute(&format!("SET lock_timeout = 0; {STARTING}")).await;
            locked.map_err(|error| before_commit(&error, STARTING).into_error())?;
            Ok(Alone::new(client))
        });
        work.await.unwrap_or_else(|_| Err(StoreError::Broken("the runtime of the store has ended".to_owned())))
    }
}

impl Inner {
    /// Runs the batch until its outcome is certain, or patience ends.
    async fn run(&self, batch: &[Stmt]) -> Result<Vec<Rows>, StoreError> {
        let deadline = Instant::now() + PATIENCE;
        let mut wait = FIRST_WAIT;
        loop {
            let failed = match self.attempt(batch).await {
                Ok(rows) => return Ok(rows),
                Err(failed @ (Failed::For(_) | Failed::Unknown(_))) => return Err(failed.into_error()),
                Err(failed) => failed,
            };
            if let Failed::Crossed(_) = failed {
                self.crossed.fetch_add(1, Ordering::Relaxed);
            }
            if Instant::now() + wait > deadline {
                return Err(failed.into_error());
            }
            // Two who were in each other's way must not meet again at once.
            let share = f64::from(uuid::Uuid::new_v4().as_bytes()[0]) / 255.0;
            tokio::time::sleep(wait.mul_f64(0.5 + share)).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    async fn get(&self) -> Result<Object, Failed> {
        self.pool.get().await.map_err(|error| match error {
            PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => {
                before_commit(&error, "connect")
            }
            PoolError::PostCreateHook(HookError::Message(_)) => Failed::For(StoreError::Busy(IN_USE.to_owned())),
            PoolError::Timeout(_) => Failed::Away("every connection is in use; see store.connections".to_owned()),
            PoolError::Closed | PoolError::NoRuntimeSpecified => Failed::Away("the store is closed".to_owned()),
        })
    }

    async fn attempt(&self, batch: &[Stmt]) -> Result<Vec<Rows>, Failed> {
        let client = self.get().await?;
        let reads = batch.iter().all(Stmt::reads);
        let begin = match batch {
            [_] if reads => None,
            _ if reads => Some("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"),
            _ => Some("BEGIN ISOLATION LEVEL SERIALIZABLE, READ WRITE"),
        };
        let mut outcome = pipeline(&client, begin, batch).await;
        if begin.is_some() {
            outcome = match outcome {
                Ok(rows) => match client.batch_execute("COMMIT").await {
                    Ok(()) => Ok(rows),
                    // What only reads has its answers already.
                    Err(_) if reads => Ok(rows),
                    Err(error) => Err(at_commit(&error)),
                },
                Err(failed) => {
                    // If this fails too, the connection is closed, and the server does the same by itself.
                    let _ = client.batch_execute("ROLLBACK").await;
                    Err(failed)
                }
            };
        }
        if let Err(Failed::Away(_) | Failed::Unknown(_)) = outcome {
            drop(Object::take(client));
        }
        outcome
    }
}

type Answer<'c> = Pin<Box<dyn Future<Output = Result<Rows, Failed>> + Send + 'c>>;

/// Sends the statements in order and collects what they give. The first that fails, or misses what it expects, ends it.
async fn pipeline(client: &ClientWrapper, begin: Option<&'static str>, batch: &[Stmt]) -> Result<Vec<Rows>, Failed> {
    let mut answers = Vec::with_capacity(batch.len());
    let mut flight: VecDeque<(Option<&Stmt>, Answer<'_>)> = VecDeque::new();
    if let Some(begin) = begin {
        flight.push_back((None, sent(Box::pin(plain(client, begin))).await));
    }
    for stmt in batch {
        let answer: Answer<'_> = if is_plain(stmt) {
            Box::pin(plain(client, stmt.sql))
        } else {
            // What was asked before is read meanwhile: a long answer that nobody reads holds up all that come after it.
            let mut preparing = std::pin::pin!(client.prepare_cached(stmt.sql));
            let prepared = loop {
                let Some((_, first)) = flight.front_mut() else { break preparing.as_mut().await };
                match select(preparing.as_mut(), first.as_mut()).await {
                    Either::Left((prepared, _)) => break prepared,
                    Either::Right((answer, _)) => {
                        if let Some((stmt, _)) = flight.pop_front() {
                            land(stmt, answer?, &mut answers)?;
                        }
                    }
                }
            };
            match prepared {
                Ok(prepared) => Box::pin(execute(client, prepared, stmt)),
                Err(error) => {
                    // Where an earlier statement has failed, this one only says so.
                    while let Some((stmt, answer)) = flight.pop_front() {
                        land(stmt, answer.await?, &mut answers)?;
                    }
                    return Err(before_commit(&error, stmt.sql));
                }
            }
        };
        flight.push_back((Some(stmt), sent(answer).await));
        while flight.len() >= IN_FLIGHT
            && let Some((stmt, answer)) = flight.pop_front()
        {
            land(stmt, answer.await?, &mut answers)?;
        }
    }
    while let Some((stmt, answer)) = flight.pop_front() {
        land(stmt, answer.await?, &mut answers)?;
    }
    Ok(answers)
}

/// Sends what the future is about, which it does when it is polled first, and gives it back to be waited for.
async fn sent(mut answer: Answer<'_>) -> Answer<'_> {
    let first = std::future::poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx))).await;
    match first {
        Poll::Ready(done) => Box::pin(std::future::ready(done)),
        Poll::Pending => answer,
    }
}

fn land(stmt: Option<&Stmt>, rows: Rows, answers: &mut Vec<Rows>) -> Result<(), Failed> {
    let Some(stmt) = stmt else { return Ok(()) };
    match stmt.expect {
        Some(expected) if expected != rows.touched => Err(Failed::For(StoreError::Stale(stmt.missed))),
        Some(_) | None => {
            answers.push(rows);
            Ok(())
        }
    }
}

/// Whether it is part of the schema, which can't be prepared.
fn is_plain(stmt: &Stmt) -> bool {
    let writes = ["INSERT", "UPDATE", "DELETE"].iter().any(|verb| stmt.sql.starts_with(verb));
    stmt.args.is_empty() && !stmt.reads() && !writes
}

async fn plain(client: &ClientWrapper, sql: &str) -> Result<Rows, Failed> {
    client.batch_execute(sql).await.map_err(|error| before_commit(&error, sql))?;
    Ok(Rows::default())
}

async fn execute(client: &ClientWrapper, prepared: Statement, stmt: &Stmt) -> Result<Rows, Failed> {
    let failed = |error| before_commit(&error, stmt.sql);
    let width = value::width(&prepared);
    if width == 0 {
        let touched = client.execute_raw(&prepared, &stmt.args).await.map_err(failed)?;
        return Ok(Rows { width, values: Vec::new(), touched });
    }
    let mut rows = Rows { width, ..Rows::default() };
    let mut stream = std::pin::pin!(client.query_raw(&prepared, &stmt.args).await.map_err(failed)?);
    while let Some(row) = stream.try_next().await.map_err(failed)? {
        value::read(&row, &mut rows.values).map_err(failed)?;
        rows.touched += 1;
    }
    Ok(rows)
}

fn pool(settings: &PostgresSettings, connections: usize, present: bool) -> Result<Pool, StoreError> {
    let how = ManagerConfig::default();
    let config = settings.config.clone();
    let manager = match tls::connector(settings)? {
        Some(tls) => Manager::from_config(config, tls, how),
        None => Manager::from_config(config, NoTls, how),
    };
    let greet = Hook::async_fn(move |client: &mut ClientWrapper, _| {
        Box::pin(async move {
            client.batch_execute(SESSION).await.map_err(HookError::Backend)?;
            if present && !client.query_one(PRESENT, &[]).await.map_err(HookError::Backend)?.get::<_, bool>(0) {
                return Err(HookError::message("in use"));
            }
            Ok(())
        })
    });
    Pool::builder(manager)
        .max_size(connections.max(1))
        .post_create(greet)
        .wait_timeout(Some(PATIENCE))
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|error| StoreError::Broken(format!("no connections: {error}")))
}

/// A connection that keeps daemons out.
async fn alone(settings: &PostgresSettings) -> Result<Hidden, StoreError> {
    let inner = Inner { pool: pool(settings, 1, false)?, crossed: AtomicU64::new(0), _alone: None };
    let client = Object::take(inner.get().await.map_err(Failed::into_error)?);
    let got = client.query_one(NOBODY_ELSE, &[]).await;
    let got: bool = got.map_err(|error| before_commit(&error, NOBODY_ELSE).into_error())?.get(0);
    if got { Ok(Hidden(client)) } else { Err(StoreError::Busy(IN_USE.to_owned())) }
}
