//! A store of one's own in the PostgreSQL that `CONTACTD_TEST_POSTGRES` names: a schema, dropped at the end.
//!
//! Owns: making and dropping the schema. Must not: be asked for where no such database is named; tests that need it are
//! ignored unless they are asked for, and then fail without it rather than pass.

#![allow(dead_code, reason = "each suite uses a part")]

use std::sync::mpsc;

use async_trait::async_trait;
use contactd::store::StoreError;
use contactd::store::driver::{Driver, Rows, Stmt};
use contactd::store::postgres::{Postgres, PostgresSettings, Purpose};
use tokio::runtime::Runtime;
use tokio_postgres::NoTls;

/// The variable that names the database.
pub(crate) const VARIABLE: &str = "CONTACTD_TEST_POSTGRES";

/// The URL of the database; fails the test without one.
pub(crate) fn url() -> String {
    std::env::var(VARIABLE)
        .unwrap_or_else(|_| panic!("{VARIABLE} must name a database: see tests/e2e/suite_postgres.sh"))
}

/// An empty schema.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(crate) settings: PostgresSettings,
    pub(crate) name: String,
}

impl Schema {
    pub(crate) async fn new() -> Self {
        let name = format!("test_{}", uuid::Uuid::new_v4().simple());
        sql(format!("CREATE SCHEMA {name}")).await;
        let settings: PostgresSettings = url().parse().unwrap();
        Self { settings: settings.in_schema(&name), name }
    }

    /// The URL of a store in this schema, for a configuration.
    pub(crate) fn url(&self) -> String {
        format!("{}?options=-c%20search_path%3D{}", url(), self.name)
    }

    /// A driver for it.
    pub(crate) async fn open(&self) -> Postgres {
        Postgres::open(&self.settings, 4, Purpose::Share).await.unwrap()
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        let sql = sql(format!("DROP SCHEMA IF EXISTS {} CASCADE", self.name));
        let work = std::thread::spawn(|| {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(sql);
        });
        let _ = work.join();
    }
}

/// Runs a statement on the database, outside any store.
pub(crate) async fn sql(text: String) {
    let (client, connection) = tokio_postgres::connect(&url(), NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    client.batch_execute(&text).await.unwrap();
    drop(client);
    let _ = connection.await;
}

/// PostgreSQL as the simulator needs it: the work is done while it is polled, so that a future never waits for anything
/// outside and two runs of one seed are polled alike.
#[derive(Debug)]
pub(crate) struct Inline {
    driver: Postgres,
    runtime: &'static Runtime,
    _schema: Schema,
}

/// Where the work of all inline stores is done.
fn runtime() -> &'static Runtime {
    static RUNTIME: std::sync::OnceLock<Runtime> = std::sync::OnceLock::new();
    RUNTIME.get_or_init(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap())
}

/// Waits on this thread for what is done on another.
fn outside<T: Send + 'static>(runtime: &Runtime, work: impl Future<Output = T> + Send + 'static) -> T {
    let (give, take) = mpsc::channel();
    runtime.spawn(async move { give.send(work.await) });
    take.recv().unwrap()
}

impl Inline {
    pub(crate) fn new() -> Self {
        let runtime = runtime();
        let (schema, driver) = outside(runtime, async {
            let schema = Schema::new().await;
            let driver = Postgres::open(&schema.settings, 1, Purpose::Share).await.unwrap();
            (schema, driver)
        });
        Self { driver, runtime, _schema: schema }
    }
}

#[async_trait]
impl Driver for Inline {
    async fn run(&self, batch: Vec<Stmt>) -> Result<Vec<Rows>, StoreError> {
        let driver = self.driver.clone();
        outside(self.runtime, async move { driver.run(batch).await })
    }
}
