//! What can go wrong with the store.

/// What can go wrong with the store, by what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Someone was first: what the commit expected no longer holds. Reload and decide again. Nothing was written.
    #[error("someone else was first: {0}")]
    Stale(&'static str),
    /// The database is busy or away for the moment; says whether anything can have been written, and what to do. Whoever
    /// decides from what is stored may decide again from what is stored then; nobody may repeat what was decided before.
    #[error("the store is busy: {0}")]
    Busy(String),
    /// The database can't be used: full disk, broken file, wrong version. Stop and tell a person.
    #[error("the store can't be used: {0}")]
    Broken(String),
}
