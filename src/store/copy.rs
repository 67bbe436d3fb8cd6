//! All of a store into another one, whatever databases the two are in: row by row, and compared afterwards.
//!
//! Owns: the order of tables, pages, hashes, and the mark on a store that is not complete yet. Must not: know what a table
//! is for; what there is is asked of the database. Start reading at [`copy`].

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::StoreError;
use super::driver::{Driver, Rows, Stmt, Value};
use super::sql;

/// A database that can say which tables it has.
#[async_trait]
pub trait Catalog: Driver {
    /// Its tables, by name.
    async fn tables(&self) -> Result<BTreeMap<String, Table>, StoreError>;
}

/// A table, as far as its rows can be carried elsewhere by it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Its columns.
    pub columns: Vec<String>,
    /// Those of its key, in order.
    pub key: Vec<String>,
    /// The tables whose rows its own name.
    pub names: Vec<String>,
}

/// What was copied of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Its name.
    pub table: String,
    /// How many rows.
    pub rows: u64,
    /// A hash over all of them, in order of their key; the same in both stores.
    pub hash: String,
}

/// How many rows are carried at a time.
const PAGE: i64 = 100;
/// The tables about the store itself.
const VERSIONS: &str = "schema_version";
const DERIVED: &str = "derived_version";

/// Copies everything into a store that has nothing yet, and compares both: how many rows, and a hash over them, per table.
/// Until that is done the new store is marked, and no daemon starts on it.
///
/// # Errors
/// When there is something in the target, the source is of another version, either fails, or what arrived is not what
/// was sent.
pub async fn copy(
    from: &impl Catalog,
    to: &impl Catalog,
    mut tell: impl FnMut(&Copied),
) -> Result<Vec<Copied>, StoreError> {
    sql::is_current(from).await?;
    empty(to).await?;
    sql::make(to).await?;
    let tables = from.tables().await?;
    if to.tables().await?.iter().map(shape).ne(tables.iter().map(shape)) {
        return Err(StoreError::Broken("the two stores have different tables; the target must be new".to_owned()));
    }
    to.run(vec![Stmt::new(sql::UNFINISHED, Vec::new()), Stmt::new("DELETE FROM derived_version", Vec::new())]).await?;
    let mut all = Vec::new();
    for name in order(&tables)? {
        if name == VERSIONS {
            continue;
        }
        let statements = Statements::new(&name, &tables[&name]);
        let sent = walk(from, &name, &statements, Some(to)).await?;
        let arrived = walk(to, &name, &statements, None).await?;
        if sent != arrived {
            return Err(StoreError::Broken(format!(
                "table {name}: {} rows were sent and {} have arrived, or not as they were; the target is of no use: empty it",
                sent.rows, arrived.rows
            )));
        }
        tell(&sent);
        all.push(sent);
    }
    to.run(vec![Stmt::new(sql::FINISHED, Vec::new())]).await?;
    Ok(all)
}

/// A table's name and columns, in whatever order.
fn shape<'a>((name, table): (&'a String, &'a Table)) -> (&'a str, Vec<&'a str>) {
    let mut columns: Vec<&str> = table.columns.iter().map(String::as_str).collect();
    columns.sort_unstable();
    (name, columns)
}

/// Refuses a store that holds anything.
async fn empty(store: &impl Catalog) -> Result<(), StoreError> {
    for name in store.tables().await?.into_keys().filter(|name| name != VERSIONS && name != DERIVED) {
        let found = store.run(vec![Stmt::new(kept(format!("SELECT 1 FROM {name} LIMIT 1")), Vec::new())]).await?;
        if found.first().is_some_and(|rows| rows.touched > 0) {
            return Err(StoreError::Broken(format!(
                "there is something in the target already (in table {name}); name an empty database, or a file that is not \
                 there"
            )));
        }
    }
    Ok(())
}

/// The tables, each after those whose rows it names.
fn order(tables: &BTreeMap<String, Table>) -> Result<Vec<String>, StoreError> {
    let mut done: Vec<String> = Vec::new();
    while done.len() < tables.len() {
        let ready = |(name, table): &(&String, &Table)| {
            !done.contains(name) && table.names.iter().all(|other| other == *name || done.contains(other))
        };
        let next = tables.iter().find(ready).map(|(name, _)| name.clone());
        done.push(next.ok_or_else(|| StoreError::Broken("tables that name each other in a circle".to_owned()))?);
    }
    Ok(done)
}

/// What is asked of one table.
struct Statements {
    width: usize,
    /// Where in a row the key stands.
    key: Vec<usize>,
    first: &'static str,
    next: &'static str,
    put: &'static str,
}

impl Statements {
    fn new(name: &str, table: &Table) -> Self {
        let columns = table.columns.join(", ");
        // A table without a key has a row or two.
        let by = if table.key.is_empty() { &table.columns } else { &table.key };
        let key = by.iter().filter_map(|key| table.columns.iter().position(|column| column == key)).collect();
        let by_list = by.join(", ");
        let marks = |from: usize, n: usize| (from..from + n).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ");
        let after = marks(1, by.len());
        let limit = by.len() + 1;
        Self {
            width: table.columns.len(),
            key,
            first: kept(format!("SELECT {columns} FROM {name} ORDER BY {by_list} LIMIT $1")),
            next: kept(format!(
                "SELECT {columns} FROM {name} WHERE ({by_list}) > ({after}) ORDER BY {by_list} LIMIT ${limit}"
            )),
            put: kept(format!("INSERT INTO {name} ({columns}) VALUES ({})", marks(1, table.columns.len()))),
        }
    }
}

/// A statement's text for the rest of the program, which here is one command: there are three per table.
fn kept(text: String) -> &'static str {
    text.leak()
}

/// Reads a table from its first row to its last, and puts its rows into another store, if there is one.
async fn walk(
    from: &impl Driver,
    name: &str,
    statements: &Statements,
    to: Option<&dyn Driver>,
) -> Result<Copied, StoreError> {
    let mut hasher = blake3::Hasher::new();
    let mut rows = 0;
    let mut after: Option<Vec<Value>> = None;
    loop {
        let stmt = match after {
            None => Stmt::new(statements.first, vec![PAGE.into()]),
            Some(mut after) => {
                after.push(PAGE.into());
                Stmt::new(statements.next, after)
            }
        };
        let page = from.run(vec![stmt]).await?.pop().unwrap_or_default();
        for value in &page.values {
            hash(&mut hasher, value);
        }
        rows += page.touched;
        let last = page.values.chunks(statements.width.max(1)).next_back();
        after = last.map(|row| statements.key.iter().map(|at| row[*at].clone()).collect());
        let is_last = page.touched < PAGE.unsigned_abs();
        if let Some(to) = to {
            put(to, statements, page).await?;
        }
        if is_last {
            return Ok(Copied { table: name.to_owned(), rows, hash: hasher.finalize().to_hex()[..16].to_owned() });
        }
    }
}

async fn put(to: &dyn Driver, statements: &Statements, page: Rows) -> Result<(), StoreError> {
    let mut values = page.values.into_iter();
    let mut batch = Vec::new();
    loop {
        let row: Vec<Value> = values.by_ref().take(statements.width).collect();
        if row.is_empty() {
            break;
        }
        batch.push(Stmt::new(statements.put, row));
    }
    if batch.is_empty() { Ok(()) } else { to.run(batch).await.map(drop) }
}

/// A value as it is the same in every database: SQLite says 1 for yes.
fn hash(hasher: &mut blake3::Hasher, value: &Value) {
    let mut part = |kind: u8, bytes: &[u8]| {
        hasher.update(&[kind]);
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    match value {
        Value::Null => part(0, &[]),
        Value::Text(text) => part(1, text.as_bytes()),
        Value::Int(number) => part(2, &number.to_le_bytes()),
        Value::Bool(yes) => part(2, &i64::from(*yes).to_le_bytes()),
        Value::Bytes(bytes) => part(3, bytes),
    }
}

/// The tables of a catalogue, from rows of (table, column, its place in the key or 0), and of (table, table that it names).
pub(super) fn tables(columns: &Rows, names: &Rows) -> Result<BTreeMap<String, Table>, StoreError> {
    let mut tables: BTreeMap<String, Table> = BTreeMap::new();
    let mut keys: BTreeMap<String, BTreeMap<i64, String>> = BTreeMap::new();
    for mut row in columns.iter() {
        let (table, column, place) = (row.text()?.to_owned(), row.text()?.to_owned(), row.int()?);
        if place > 0 {
            keys.entry(table.clone()).or_default().insert(place, column.clone());
        }
        tables.entry(table).or_default().columns.push(column);
    }
    for (table, key) in keys {
        tables.entry(table).or_default().key = key.into_values().collect();
    }
    for mut row in names.iter() {
        tables.entry(row.text()?.to_owned()).or_default().names.push(row.text()?.to_owned());
    }
    Ok(tables)
}
