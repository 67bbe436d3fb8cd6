//! The schema's versions, embedded. Forward only: a published file is never changed, a change is the next file.

use super::super::StoreError;
use super::super::driver::{Driver, Stmt};
use super::args;

/// Version 1 is the first.
const MIGRATIONS: &[&str] = &[
    include_str!("../schema/0001_init.sql"),
    include_str!("../schema/0002_account_revision.sql"),
    include_str!("../schema/0003_handles.sql"),
    include_str!("../schema/0004_counts_and_ways.sql"),
    include_str!("../schema/0005_shown.sql"),
];

const VERSIONS: &str = "CREATE TABLE IF NOT EXISTS schema_version (version BIGINT PRIMARY KEY)";

/// Marks a store into which another one is being copied, and takes the mark away.
pub(in crate::store) const UNFINISHED: &str = "INSERT INTO schema_version (version) VALUES (-1)";
pub(in crate::store) const FINISHED: &str = "DELETE FROM schema_version WHERE version = -1";

/// Brings the schema up to date, each version in a transaction of its own.
pub(in crate::store) async fn migrate(driver: &impl Driver) -> Result<(), StoreError> {
    driver.run(vec![Stmt::new(VERSIONS, Vec::new())]).await?;
    let version = version(driver).await?;
    for (number, text) in (1_i64..).zip(MIGRATIONS) {
        if number > version {
            driver.run(steps(number, text)).await?;
        }
    }
    let newest = MIGRATIONS.len();
    if usize::try_from(version).is_ok_and(|version| version <= newest) {
        return Ok(());
    }
    Err(StoreError::Broken(format!(
        "the store has schema version {version}, and this contactd knows versions up to {newest}: a later contactd has used \
         it; install that one again, or restore a backup made before the upgrade"
    )))
}

/// The newest version that the store has seen.
async fn version(driver: &impl Driver) -> Result<i64, StoreError> {
    const CURRENT: &str = "SELECT COALESCE(MAX(version), 0), COALESCE(MIN(version), 0) FROM schema_version";
    let answers = driver.run(vec![Stmt::new(CURRENT, Vec::new())]).await?;
    let Some(mut row) = answers.first().and_then(|rows| rows.first()) else { return Ok(0) };
    let version = row.int()?;
    if row.int()? < 0 {
        return Err(StoreError::Broken(
            "copying another store into this one was begun and not finished: empty it, and copy again".to_owned(),
        ));
    }
    Ok(version)
}

/// Refuses a store that is not of this version.
pub(in crate::store) async fn is_current(driver: &impl Driver) -> Result<(), StoreError> {
    let version = version(driver).await?;
    if usize::try_from(version).is_ok_and(|version| version == MIGRATIONS.len()) {
        return Ok(());
    }
    Err(StoreError::Broken(format!(
        "the store has schema version {version}, and this contactd knows {}; start the daemon of this version on it once, or \
         use the contactd that made it",
        MIGRATIONS.len()
    )))
}

/// The statements of one version. Two daemons that meet here make the version only once.
fn steps(number: i64, text: &'static str) -> Vec<Stmt> {
    let mut steps = vec![
        Stmt::new("INSERT INTO schema_version (version) VALUES ($1)", args![number])
            .must("the schema was just updated"),
    ];
    let statements = text.split(";\n").map(str::trim).filter(|statement| !statement.is_empty());
    steps.extend(statements.map(|statement| Stmt::new(statement, Vec::new())));
    steps
}
