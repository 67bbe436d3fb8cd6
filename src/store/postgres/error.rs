//! What an error of PostgreSQL means for a batch.
//!
//! Owns: [`Failed`], and what is said to a person. Must not: try anything again itself.

use std::error::Error as _;

use tokio_postgres::error::{DbError, SqlState};

use super::super::StoreError;

/// How a batch that did not succeed has ended.
#[derive(Debug)]
pub(super) enum Failed {
    /// For good.
    For(StoreError),
    /// Nothing was stored, for certain: another transaction was in the way. The batch may be run again as it is.
    Crossed(String),
    /// Nothing was stored, for certain: the server went away, or can't be reached. The same, once it is back.
    Away(String),
    /// The server went away while it committed.
    Unknown(String),
}

impl Failed {
    /// What is said once there is no more trying.
    pub(super) fn into_error(self) -> StoreError {
        match self {
            Self::For(error) => error,
            Self::Crossed(why) => StoreError::Busy(format!(
                "other changes were in the way again and again ({why}); nothing was stored: try again"
            )),
            Self::Away(why) => StoreError::Busy(format!(
                "the database does not answer ({why}); nothing was stored: look whether it runs and can be reached, \
                 then try again"
            )),
            Self::Unknown(why) => StoreError::Busy(format!(
                "the database went away while it stored a change ({why}); the change may have been stored or not: look \
                 before you make it again"
            )),
        }
    }
}

/// What went wrong before `COMMIT` was sent. The text names the statement, never its arguments.
pub(super) fn before_commit(error: &tokio_postgres::Error, sql: &str) -> Failed {
    let Some(db) = error.as_db_error() else {
        return if is_ours(error) {
            Failed::For(StoreError::Broken(format!("{}: please report it (at: {})", chain(error), at(sql))))
        } else {
            Failed::Away(chain(error))
        };
    };
    let says = format!("{} {}", db.code().code(), message(db));
    match db.code() {
        &SqlState::T_R_SERIALIZATION_FAILURE
        | &SqlState::T_R_DEADLOCK_DETECTED
        | &SqlState::LOCK_NOT_AVAILABLE
        | &SqlState::OUT_OF_MEMORY => Failed::Crossed(says),
        // Which of our rules of uniqueness it was is told by what the statement is for.
        &SqlState::UNIQUE_VIOLATION => Failed::For(StoreError::Stale("what may stand only once stands already")),
        &SqlState::READ_ONLY_SQL_TRANSACTION => Failed::Away(format!(
            "{says}: this server only follows another; let store.url name the first one, or add \
             target_session_attrs=read-write"
        )),
        // A plan of before a migration. The connection that remembers it is not used again.
        &SqlState::FEATURE_NOT_SUPPORTED if db.message().contains("cached plan") => Failed::Away(says),
        code if is_away(code) => Failed::Away(says),
        code => {
            let remedy = remedy(code);
            Failed::For(StoreError::Broken(format!("{says}: {remedy} (at: {})", at(sql))))
        }
    }
}

/// What went wrong when `COMMIT` was sent. Only an answer is certain.
pub(super) fn at_commit(error: &tokio_postgres::Error) -> Failed {
    match error.as_db_error() {
        Some(db) if !is_away(db.code()) => before_commit(error, "COMMIT"),
        Some(db) => Failed::Unknown(format!("{} {}", db.code().code(), message(db))),
        None => Failed::Unknown(chain(error)),
    }
}

/// The server stops, starts, or has lost us.
fn is_away(code: &SqlState) -> bool {
    let class = &code.code()[..2];
    // 08 connection, 57P administration, 25P03 and 57P05 a session that was idle for too long, 53300 too many connections.
    class == "08"
        || code.code().starts_with("57P")
        || matches!(
            code,
            &SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT
                | &SqlState::TOO_MANY_CONNECTIONS
                | &SqlState::QUERY_CANCELED
        )
}

/// A value that doesn't fit its column, which is our mistake; all else without a code is about the connection.
fn is_ours(error: &tokio_postgres::Error) -> bool {
    let text = error.to_string();
    text.starts_with("error serializing")
        || text.starts_with("error deserializing")
        || text.starts_with("invalid column")
}

fn remedy(code: &SqlState) -> &'static str {
    match &code.code()[..2] {
        "28" => "look at user and password in store.url and store.password_file, and at the server's pg_hba.conf",
        "3D" => "create the database first, as docs/store.md says",
        "42" if code == &SqlState::UNDEFINED_TABLE => {
            "there is no store in that schema: look at the URL, or start the daemon on it once"
        }
        "42" if code == &SqlState::INSUFFICIENT_PRIVILEGE => "the user must own the schema: see docs/store.md",
        "53" => "make room: the disk or the memory of the database is full",
        "58" | "XX" => "the database itself has failed: see its log, and restore a backup if it is damaged",
        _ => "please report it",
    }
}

/// The server's own words, unless they could repeat what somebody's record holds.
fn message(db: &DbError) -> String {
    match &db.code().code()[..2] {
        "21" | "22" | "23" | "44" => "a value that the database does not take".to_owned(),
        _ => db.message().to_owned(),
    }
}

/// The error and what it came from.
pub(super) fn chain(error: &tokio_postgres::Error) -> String {
    if let Some(db) = error.as_db_error() {
        return format!("{} {}", db.code().code(), message(db));
    }
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = inner.source();
    }
    text
}

fn at(sql: &str) -> String {
    sql.split_whitespace().take(8).collect::<Vec<_>>().join(" ")
}
