//! IO. What a database must do for [`super::sql::SqlStore`]: run a batch of statements, all of them or none.
//!
//! Owns: [`Driver`], [`Stmt`], [`Value`], [`Rows`]. Must not: know what the statements mean. Start reading at [`Driver`].

use std::any::Any;
use std::sync::Arc;

use async_trait::async_trait;

use super::StoreError;

/// Runs batches of statements.
#[async_trait]
pub trait Driver: Send + Sync + 'static {
    /// Runs the batch as one transaction: all of it takes effect, durably, or none of it does. One answer per statement.
    ///
    /// Batches are serialisable: what a statement of a batch reads still holds when the batch commits (SQLite has one
    /// writer; PostgreSQL needs `ISOLATION LEVEL SERIALIZABLE`, and its failure to serialise is [`StoreError::Busy`]).
    /// A batch of reads sees one state. Where a statement touches or returns another number of rows than it expects, or
    /// breaks a rule of uniqueness, the batch is [`StoreError::Stale`]. Text compares by its bytes (collation `C`).
    ///
    /// A future that is dropped does not stop a batch that has begun.
    async fn run(&self, batch: Vec<Stmt>) -> Result<Vec<Rows>, StoreError>;

    /// What was deleted is not to be found in the database's files any more, as far as it can see to that at once.
    async fn wipe(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Waits until nobody else brings the schema up to date, and keeps others from it until the answer is dropped. A file
    /// has one daemon at a time, so that there is nobody to wait for.
    async fn alone(&self) -> Result<Alone, StoreError> {
        Ok(Alone(None))
    }
}

/// Nobody else brings the schema up to date as long as this lives.
pub struct Alone(#[allow(dead_code, reason = "held, not used")] Option<Box<dyn Any + Send>>);

impl Alone {
    /// As long as that lives.
    pub fn new(held: impl Any + Send) -> Self {
        Self(Some(Box::new(held)))
    }
}

impl std::fmt::Debug for Alone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Alone")
    }
}

#[async_trait]
impl Driver for Box<dyn Driver> {
    async fn run(&self, batch: Vec<Stmt>) -> Result<Vec<Rows>, StoreError> {
        (**self).run(batch).await
    }
    async fn wipe(&self) -> Result<(), StoreError> {
        (**self).wipe().await
    }
    async fn alone(&self) -> Result<Alone, StoreError> {
        (**self).alone().await
    }
}

#[async_trait]
impl<D: Driver + ?Sized> Driver for Arc<D> {
    async fn run(&self, batch: Vec<Stmt>) -> Result<Vec<Rows>, StoreError> {
        (**self).run(batch).await
    }
    async fn wipe(&self) -> Result<(), StoreError> {
        (**self).wipe().await
    }
    async fn alone(&self) -> Result<Alone, StoreError> {
        (**self).alone().await
    }
}

/// One statement with its arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct Stmt {
    /// The text. Placeholders are `$1`, `$2` …, in order of first appearance.
    pub sql: &'static str,
    /// Their values.
    pub args: Vec<Value>,
    /// How many rows must be touched, or returned by a query; `None` = any number.
    pub expect: Option<u64>,
    /// What to say when they aren't.
    pub missed: &'static str,
}

impl Stmt {
    /// A statement that may touch any number of rows.
    pub fn new(sql: &'static str, args: Vec<Value>) -> Self {
        Self { sql, args, expect: None, missed: "" }
    }

    /// The same, which must touch or return exactly one row; otherwise the batch is stale, for this reason.
    #[must_use]
    pub fn must(mut self, missed: &'static str) -> Self {
        self.expect = Some(1);
        self.missed = missed;
        self
    }

    /// Whether `$1`, `$2` … first appear in this order: SQLite counts by appearance, PostgreSQL by number. Drivers insist on
    /// it in debug builds, where every statement of the tests comes by, whole.
    pub fn counts_in_order(&self) -> bool {
        let mut next = 1usize;
        self.sql.match_indices('$').all(|(at, _)| {
            let digits = self.sql[at + 1..].split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
            let number: usize = digits.parse().unwrap_or(0);
            next += usize::from(number == next);
            number < next
        })
    }

    /// Whether it only reads. Statements that write never begin with `SELECT` or `WITH`.
    pub fn reads(&self) -> bool {
        self.sql.starts_with("SELECT") || self.sql.starts_with("WITH")
    }
}

/// A value on its way into or out of the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing.
    Null,
    /// Text, ids and JSON documents.
    Text(String),
    /// A number, or a time in ms.
    Int(i64),
    /// Yes or no. SQLite gives it back as a number.
    Bool(bool),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}
impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}
impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}
impl From<bool> for Value {
    fn from(yes: bool) -> Self {
        Self::Bool(yes)
    }
}
impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}
impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// What one statement gave: rows of a query, or how many rows it touched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// How many columns each row has.
    pub width: usize,
    /// The values, row after row.
    pub values: Vec<Value>,
    /// How many rows were touched; for a query, how many it returned.
    pub touched: u64,
}

impl Rows {
    /// The rows, each to be read from its first column to its last.
    pub fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        // A width of none has no values either.
        self.values.chunks(self.width.max(1)).map(|values| Row { values, at: 0 })
    }

    /// The first row.
    pub fn first(&self) -> Option<Row<'_>> {
        self.iter().next()
    }
}

/// One row, read column by column. A value of another kind than asked for is [`StoreError::Broken`].
#[derive(Clone, Debug)]
pub struct Row<'a> {
    values: &'a [Value],
    at: usize,
}

impl<'a> Row<'a> {
    fn next(&mut self) -> Result<&'a Value, StoreError> {
        let value = self.values.get(self.at).ok_or_else(|| self.wrong("a value"))?;
        self.at += 1;
        Ok(value)
    }

    fn wrong(&self, wanted: &str) -> StoreError {
        StoreError::Broken(format!("column {} of a row of {} is not {wanted}", self.at, self.values.len()))
    }

    /// Leaves out so many columns.
    pub fn skip(&mut self, columns: usize) {
        self.at += columns;
    }

    /// Whether the next column holds nothing; doesn't move on.
    pub fn is_null(&self) -> bool {
        matches!(self.values.get(self.at), Some(Value::Null) | None)
    }

    /// Text, or nothing.
    pub fn maybe_text(&mut self) -> Result<Option<&'a str>, StoreError> {
        match self.next()? {
            Value::Null => Ok(None),
            Value::Text(text) => Ok(Some(text)),
            Value::Int(_) | Value::Bool(_) | Value::Bytes(_) => Err(self.wrong("text")),
        }
    }

    /// Text.
    pub fn text(&mut self) -> Result<&'a str, StoreError> {
        self.maybe_text()?.ok_or_else(|| self.wrong("text"))
    }

    /// A number, or nothing.
    pub fn maybe_int(&mut self) -> Result<Option<i64>, StoreError> {
        match self.next()? {
            Value::Null => Ok(None),
            Value::Int(number) => Ok(Some(*number)),
            Value::Text(_) | Value::Bool(_) | Value::Bytes(_) => Err(self.wrong("a number")),
        }
    }

    /// A number.
    pub fn int(&mut self) -> Result<i64, StoreError> {
        self.maybe_int()?.ok_or_else(|| self.wrong("a number"))
    }

    /// A number that counts something.
    pub fn count(&mut self) -> Result<u64, StoreError> {
        u64::try_from(self.int()?).map_err(|_| self.wrong("a count"))
    }

    /// Yes or no.
    pub fn bool(&mut self) -> Result<bool, StoreError> {
        match self.next()? {
            Value::Bool(yes) => Ok(*yes),
            Value::Int(number @ (0 | 1)) => Ok(*number == 1),
            Value::Null | Value::Int(_) | Value::Text(_) | Value::Bytes(_) => Err(self.wrong("yes or no")),
        }
    }

    /// Bytes, or nothing.
    pub fn maybe_bytes(&mut self) -> Result<Option<&'a [u8]>, StoreError> {
        match self.next()? {
            Value::Null => Ok(None),
            Value::Bytes(bytes) => Ok(Some(bytes)),
            Value::Text(_) | Value::Int(_) | Value::Bool(_) => Err(self.wrong("bytes")),
        }
    }

    /// Bytes.
    pub fn bytes(&mut self) -> Result<&'a [u8], StoreError> {
        self.maybe_bytes()?.ok_or_else(|| self.wrong("bytes"))
    }

    /// An id as text.
    pub fn id<T: std::str::FromStr>(&mut self) -> Result<T, StoreError> {
        self.text()?.parse().map_err(|_| self.wrong("an id"))
    }

    /// An id as text, or nothing.
    pub fn maybe_id<T: std::str::FromStr>(&mut self) -> Result<Option<T>, StoreError> {
        self.maybe_text()?.map(|text| text.parse().map_err(|_| self.wrong("an id"))).transpose()
    }

    /// A JSON document.
    pub fn json<T: serde::de::DeserializeOwned>(&mut self) -> Result<T, StoreError> {
        self.maybe_json()?.ok_or_else(|| self.wrong("a document"))
    }

    /// A JSON document, or nothing.
    pub fn maybe_json<T: serde::de::DeserializeOwned>(&mut self) -> Result<Option<T>, StoreError> {
        // What the parser says may quote the document: only where it stopped is told.
        let parse = |text| serde_json::from_str(text);
        self.maybe_text()?.map(parse).transpose().map_err(|error: serde_json::Error| {
            self.wrong(&format!("a document of that kind (stopped at byte {})", error.column()))
        })
    }
}
