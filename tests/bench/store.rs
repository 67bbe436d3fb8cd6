//! The benchmark of the store and of the engine over it, without any server: queries of the dashboard and the lists on up
//! to a million people, syncs that change nothing, and first syncs from a provider in memory.
//!
//!   cargo bench --bench store -- --on sqlite|postgres --part queries|quiet|first [--people N] [--accounts N]
//!       [--workers N] [--plans] [--json] [--drop]
//!
//! Owns: the arguments, and the store that is measured. Must not: measure the making of it. PostgreSQL is the one that
//! `CONTACTD_TEST_POSTGRES` names. docs/benchmarks.md explains the figures.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program: it prints what it measured")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a figure that is not one should not stand")]

mod fill;
mod memory;
mod people;
mod queries;
mod syncs;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use contactd::clock::{Clock as _, System};
use contactd::store::Store;
use contactd::store::driver::Driver;
use contactd::store::postgres::{Postgres, PostgresSettings, Purpose};
use contactd::store::sql::SqlStore;
use contactd::store::sqlite::Sqlite;
use tokio_postgres::NoTls;

use fill::Company;
use queries::Spy;

const USAGE: &str =
    "cargo bench --bench store -- --on sqlite|postgres --part queries|quiet|first [--people N] [--accounts N]
      [--workers N] [--plans] [--json] [--drop]
  --on        which database; PostgreSQL is the one that CONTACTD_TEST_POSTGRES names
  --part      queries: what the dashboard and lists ask, among that many people; fails if one takes more than 10 ms
              quiet: syncs of which nothing comes, of that many accounts
              first: first syncs, of that many accounts with that many people together
  --people    how many people (a million, for queries; ten thousand else)
  --accounts  how many accounts (ten thousand for quiet, one for first)
  --workers   how many accounts at once (1 and 2, one after the other)
  --plans     queries: their plans too
  --json      as JSON instead of a table
  --drop      the store that queries were asked of is not kept for the next time";

struct Arguments {
    sqlite: bool,
    part: String,
    people: Option<u64>,
    accounts: Option<u64>,
    workers: Vec<u64>,
    plans: bool,
    json: bool,
    drop: bool,
}

fn arguments() -> Option<Arguments> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    // Built and started by `cargo test --all-targets`, which is not meant.
    given.iter().any(|argument| argument == "--part").then_some(())?;
    let mut arguments = Arguments {
        sqlite: true,
        part: String::new(),
        people: None,
        accounts: None,
        workers: vec![1, 2],
        plans: false,
        json: false,
        drop: false,
    };
    let mut rest = given.into_iter();
    while let Some(argument) = rest.next() {
        let mut number = || rest.next().and_then(|n| n.parse::<u64>().ok()).expect(USAGE);
        match argument.as_str() {
            "--bench" => {}
            "--people" => arguments.people = Some(number()),
            "--accounts" => arguments.accounts = Some(number()),
            "--workers" => arguments.workers = vec![number()],
            "--plans" => arguments.plans = true,
            "--json" => arguments.json = true,
            "--drop" => arguments.drop = true,
            "--part" => arguments.part = rest.next().expect(USAGE),
            "--on" => {
                arguments.sqlite = match rest.next().as_deref() {
                    Some("sqlite") => true,
                    Some("postgres") => false,
                    _ => panic!("{USAGE}"),
                }
            }
            _ => panic!("{USAGE}"),
        }
    }
    Some(arguments)
}

fn main() {
    let Some(arguments) = arguments() else {
        println!("{USAGE}");
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    let well = runtime.block_on(async {
        match arguments.part.as_str() {
            "queries" => Box::pin(queries(&arguments)).await,
            "quiet" => Box::pin(syncs::quiet(&arguments)).await,
            "first" => Box::pin(syncs::first(&arguments)).await,
            _ => panic!("{USAGE}"),
        }
    });
    if !well {
        std::process::exit(1);
    }
}

/// A database to measure on.
struct Place {
    file: PathBuf,
    schema: String,
    sqlite: bool,
    opened: OnceLock<Postgres>,
}

impl Place {
    fn new(sqlite: bool, name: &str) -> Self {
        let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("bench-{name}.db"));
        Self { file, schema: format!("bench_{}", name.replace('-', "_")), sqlite, opened: OnceLock::new() }
    }

    async fn open(&self) -> Arc<dyn Driver> {
        if self.sqlite {
            return Arc::new(Sqlite::open(&self.file).unwrap());
        }
        sql(&format!("CREATE SCHEMA IF NOT EXISTS {}", self.schema)).await;
        let settings: PostgresSettings = url().parse().unwrap();
        let settings = settings.in_schema(&self.schema);
        let opened = Postgres::open(&settings, 12, Purpose::Share).await.unwrap();
        let _ = self.opened.set(opened.clone());
        Arc::new(opened)
    }

    /// How often a commit was in another one's way, and was made again.
    fn made_again(&self) -> u64 {
        self.opened.get().map_or(0, Postgres::crossed)
    }

    async fn drop(&self) {
        if self.sqlite {
            for more in ["", "-wal", "-shm", ".lock"] {
                let _ = std::fs::remove_file(format!("{}{more}", self.file.display()));
            }
        } else {
            sql(&format!("DROP SCHEMA IF EXISTS {} CASCADE", self.schema)).await;
        }
    }
}

fn url() -> String {
    std::env::var("CONTACTD_TEST_POSTGRES").expect("CONTACTD_TEST_POSTGRES names a database")
}

async fn sql(text: &str) {
    let (client, connection) = tokio_postgres::connect(&url(), NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    client.batch_execute(text).await.unwrap();
    drop(client);
    let _ = connection.await;
}

async fn queries(arguments: &Arguments) -> bool {
    let people = arguments.people.unwrap_or(1_000_000);
    let place = Place::new(arguments.sqlite, &format!("people-{people}"));
    let spy = Spy::over(place.open().await);
    let store = Arc::new(SqlStore::open(Arc::clone(&spy)).await.unwrap());
    let mut company = Company { people, now: System.now() };
    let last = company.account(company.accounts() - 1);
    match store.account(last).await.unwrap().and_then(|account| account.synced) {
        Some(filled) => company.now = filled,
        None => {
            let at_once = if arguments.sqlite { 1 } else { 3 };
            fill::fill(Arc::clone(&store) as Arc<dyn Store>, company, at_once).await;
            if !arguments.sqlite {
                // As the server does by itself a little later.
                sql("VACUUM ANALYZE").await;
            }
        }
    }
    // As the daemon does every hour.
    store.add_up(System.now()).await.unwrap();
    let answers = queries::ask_all(&spy, &store, company).await;
    queries::show(&answers, &spy, arguments.sqlite, arguments.plans, arguments.json).await;
    let slow: Vec<&str> = answers.iter().filter(|a| a.median > queries::LIMIT).map(|a| a.name).collect();
    if !slow.is_empty() {
        eprintln!("over {} ms: {}", queries::LIMIT, slow.join("; "));
    }
    drop(store);
    drop(spy);
    if arguments.drop {
        place.drop().await;
    }
    slow.is_empty()
}
