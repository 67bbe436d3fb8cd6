//! The tables of a PostgreSQL store.
//!
//! Owns: asking for them. Must not: look beyond our own schema.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::super::StoreError;
use super::super::copy::{self, Catalog, Table};
use super::super::driver::{Driver, Rows, Stmt};
use super::{Postgres, Snapshot};

const COLUMNS: &str = "SELECT CAST(c.relname AS TEXT), CAST(a.attname AS TEXT), \
     COALESCE(CAST(array_position(CAST(i.indkey AS SMALLINT[]), a.attnum) AS BIGINT) + 1, 0) \
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = current_schema() \
     JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
     LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary WHERE c.relkind = 'r' ORDER BY c.relname, a.attnum";
const NAMES: &str = "SELECT DISTINCT CAST(c.relname AS TEXT), CAST(p.relname AS TEXT) FROM pg_constraint k \
     JOIN pg_namespace n ON n.oid = k.connamespace AND n.nspname = current_schema() \
     JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class p ON p.oid = k.confrelid WHERE k.contype = 'f'";

async fn tables(driver: &impl Driver) -> Result<BTreeMap<String, Table>, StoreError> {
    let answers = driver.run(vec![Stmt::new(COLUMNS, Vec::new()), Stmt::new(NAMES, Vec::new())]).await?;
    let none = Rows::default();
    copy::tables(answers.first().unwrap_or(&none), answers.get(1).unwrap_or(&none))
}

#[async_trait]
impl Catalog for Postgres {
    async fn tables(&self) -> Result<BTreeMap<String, Table>, StoreError> {
        tables(self).await
    }
}

#[async_trait]
impl Catalog for Snapshot {
    async fn tables(&self) -> Result<BTreeMap<String, Table>, StoreError> {
        tables(self).await
    }
}
