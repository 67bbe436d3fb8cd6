//! The store as it was at one moment, for reading all of it while daemons write.
//!
//! Owns: one connection and its transaction. Must not: write.

use async_trait::async_trait;
use deadpool_postgres::Object;
use tokio::sync::Mutex;

use super::super::StoreError;
use super::super::driver::{Driver, Rows, Stmt};
use super::error::{Failed, before_commit};
use super::{Inner, PostgresSettings, pipeline, pool};

const BEGIN: &str = "SET idle_in_transaction_session_timeout = 0; BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";

/// One moment of a store in PostgreSQL. What is read belongs together, however long the reading takes.
pub struct Snapshot {
    client: Mutex<Object>,
}

impl Snapshot {
    /// Opens it. The moment is that of the first statement.
    ///
    /// # Errors
    /// When the database can't be reached.
    pub async fn open(settings: &PostgresSettings) -> Result<Self, StoreError> {
        let inner = Inner { pool: pool(settings, 1, false)?, crossed: 0.into(), _alone: None };
        let client = inner.get().await.map_err(Failed::into_error)?;
        client.batch_execute(BEGIN).await.map_err(|error| before_commit(&error, BEGIN).into_error())?;
        Ok(Self { client: Mutex::new(client) })
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Snapshot")
    }
}

#[async_trait]
impl Driver for Snapshot {
    async fn run(&self, batch: Vec<Stmt>) -> Result<Vec<Rows>, StoreError> {
        pipeline(&**self.client.lock().await, None, &batch).await.map_err(Failed::into_error)
    }
}
