//! What a listing is compared with: collections, rows, rosters, identities.

use super::super::driver::{Driver, Stmt};
use super::super::{CollectionState, Identity, Known, StoreError};
use super::derive::hash;
use super::rows::{self, json, known_columns, seen_columns};
use super::{SqlStore, args, at_most};
use crate::card::Card;
use crate::ids::{AccountId, CollectionId, RemoteId, Timestamp, Token};
use crate::sync::view::{Roster, Seen, StoredSeen};

/// The account's address books.
pub(super) async fn collections(
    store: &SqlStore<impl Driver>,
    account: AccountId,
) -> Result<Vec<CollectionState>, StoreError> {
    const SQL: &str = "SELECT c.id, c.name, c.writable, c.cursor_text, c.generation, c.listing_since, c.listing_page, \
         c.listed, c.doubted FROM collections c WHERE c.account = $1 ORDER BY c.id";
    let found = store.one(Stmt::new(SQL, args![account])).await?;
    found.iter().map(|mut row| rows::collection(&mut row)).collect()
}

/// What is known of these records.
pub(super) async fn known(
    store: &SqlStore<impl Driver>,
    account: AccountId,
    ids: &[RemoteId],
) -> Result<Vec<Option<Known>>, StoreError> {
    const SQL: &str = concat!("SELECT ", known_columns!(), " FROM seen s WHERE s.account = $1 AND s.remote = $2");
    let answers = store.run(ids.iter().map(|id| Stmt::new(SQL, args![account, id])).collect()).await?;
    answers.iter().map(|found| found.first().map(|mut row| rows::known(&mut row)).transpose()).collect()
}

/// What is known of a collection's records, gone ones left out.
pub(super) async fn listing(
    store: &SqlStore<impl Driver>,
    account: AccountId,
    collection: &CollectionId,
    after: Option<&RemoteId>,
    limit: usize,
) -> Result<Vec<Known>, StoreError> {
    const SQL: &str = concat!(
        "SELECT ",
        known_columns!(),
        " FROM seen s WHERE s.account = $1 AND s.remote > $2 AND s.collection = $3 AND s.kind <> 'gone' \
         ORDER BY s.remote LIMIT $4"
    );
    let after = after.map_or("", RemoteId::as_str);
    let found = store.one(Stmt::new(SQL, args![account, after, collection, at_most(limit)])).await?;
    found.iter().map(|mut row| rows::known(&mut row)).collect()
}

/// Rows that a full listing did not name.
pub(super) async fn unnamed(
    store: &SqlStore<impl Driver>,
    account: AccountId,
    collection: &CollectionId,
    generation: i64,
    written_before: Timestamp,
    after: Option<&RemoteId>,
    limit: usize,
) -> Result<Vec<Known>, StoreError> {
    const SQL: &str = concat!(
        "SELECT ",
        known_columns!(),
        " FROM seen s WHERE s.account = $1 AND s.remote > $2 AND s.collection = $3 AND s.kind <> 'gone' \
         AND s.generation < $4 AND (s.written IS NULL OR s.written < $5) ORDER BY s.remote LIMIT $6"
    );
    let after = after.map_or("", RemoteId::as_str);
    let args = args![account, after, collection, generation, written_before, at_most(limit)];
    let found = store.one(Stmt::new(SQL, args)).await?;
    found.iter().map(|mut row| rows::known(&mut row)).collect()
}

/// The observations themselves.
pub(super) async fn seen(
    store: &SqlStore<impl Driver>,
    account: AccountId,
    ids: &[RemoteId],
) -> Result<Vec<Option<StoredSeen>>, StoreError> {
    const SQL: &str = concat!("SELECT ", seen_columns!(), " FROM seen s WHERE s.account = $1 AND s.remote = $2");
    let answers = store.run(ids.iter().map(|id| Stmt::new(SQL, args![account, id])).collect()).await?;
    let read = |found: &super::Rows| match found.first() {
        Some(mut row) => rows::seen(&mut row),
        None => Ok(None),
    };
    answers.iter().map(read).collect()
}

/// Groups that list their members.
pub(super) async fn rosters(store: &SqlStore<impl Driver>, account: AccountId) -> Result<Vec<Roster>, StoreError> {
    const SQL: &str = concat!(
        "SELECT ",
        seen_columns!(),
        " FROM seen s WHERE s.account = $1 AND s.kind = 'roster' ORDER BY s.remote"
    );
    let found = store.one(Stmt::new(SQL, args![account])).await?;
    let mut rosters = Vec::new();
    for mut row in found.iter() {
        if let Some(StoredSeen { seen: Seen::Roster(roster), .. }) = rows::seen(&mut row)? {
            rosters.push(roster);
        }
    }
    Ok(rosters)
}

/// The records with these UIDs.
pub(super) async fn by_uid(
    store: &SqlStore<impl Driver>,
    account: AccountId,
    uids: &[String],
) -> Result<Vec<(String, RemoteId)>, StoreError> {
    const SQL: &str = "SELECT s.remote FROM seen s WHERE s.account = $1 AND lower(s.uid) = $2 AND s.uid IS NOT NULL \
         AND s.kind <> 'gone'";
    with_uid(store, SQL, account, uids).await
}

/// The records with these UIDs that are gone.
pub(super) async fn gone_by_uid(
    store: &SqlStore<impl Driver>,
    account: AccountId,
    uids: &[String],
) -> Result<Vec<(String, RemoteId)>, StoreError> {
    const SQL: &str = "SELECT s.remote FROM seen s WHERE s.account = $1 AND lower(s.uid) = $2 AND s.uid IS NOT NULL \
         AND s.kind = 'gone'";
    with_uid(store, SQL, account, uids).await
}

async fn with_uid(
    store: &SqlStore<impl Driver>,
    sql: &'static str,
    account: AccountId,
    uids: &[String],
) -> Result<Vec<(String, RemoteId)>, StoreError> {
    let ask = |uid: &String| Stmt::new(sql, args![account, uid.to_ascii_lowercase()]);
    let answers = store.run(uids.iter().map(ask).collect()).await?;
    let mut found = Vec::new();
    for (uid, rows) in uids.iter().zip(&answers) {
        found.extend(sorted(rows)?.into_iter().map(|id| (uid.clone(), id)));
    }
    Ok(found)
}

/// Ids in order. Not by the database: asked for an order, SQLite walks through all records in that order instead of
/// looking up the few that are meant.
fn sorted(rows: &super::Rows) -> Result<Vec<RemoteId>, StoreError> {
    let mut ids = rows.iter().map(|mut row| Ok(RemoteId::from(row.text()?))).collect::<Result<Vec<_>, StoreError>>()?;
    ids.sort_unstable();
    Ok(ids)
}

/// What these records carry, or carried, in themselves.
pub(super) async fn identities(
    store: &SqlStore<impl Driver>,
    account: AccountId,
    ids: &[RemoteId],
) -> Result<Vec<Option<Identity>>, StoreError> {
    const SQL: &str = "SELECT s.token, s.uid FROM seen s WHERE s.account = $1 AND s.remote = $2";
    let answers = store.run(ids.iter().map(|id| Stmt::new(SQL, args![account, id])).collect()).await?;
    let read = |found: &super::Rows| {
        let read = |mut row: super::super::driver::Row<'_>| {
            Ok(Identity { token: row.maybe_id()?, uid: row.maybe_text()?.map(str::to_owned) })
        };
        found.first().map(read).transpose()
    };
    answers.iter().map(read).collect()
}

/// Where a lost record could have gone: by token, by UID, by content.
pub(super) async fn refind(
    store: &SqlStore<impl Driver>,
    account: AccountId,
    token: Option<Token>,
    uid: Option<&str>,
    content: &Card,
) -> Result<Vec<RemoteId>, StoreError> {
    macro_rules! free {
        ($column:literal, $kind:literal) => {
            concat!(
                "SELECT s.remote FROM seen s WHERE s.account = $1 AND ",
                $column,
                " = $2 AND s.kind ",
                $kind,
                " AND NOT EXISTS (SELECT 1 FROM links l WHERE l.account = $1 AND l.remote = s.remote AND l.rank < 2)"
            )
        };
    }
    let mut batch = Vec::new();
    batch.extend(token.map(|token| Stmt::new(free!("s.token", "= 'present'"), args![account, token])));
    // It may have moved and left the sync group at once; then its UID is all that is known of it.
    const BY_UID: &str = free!("s.uid IS NOT NULL AND lower(s.uid)", "IN ('present', 'outside')");
    batch.extend(uid.map(|uid| Stmt::new(BY_UID, args![account, uid.to_ascii_lowercase()])));
    // Empty cards are alike and say nothing.
    if *content != Card::default() {
        batch.push(Stmt::new(free!("s.body_hash", "= 'present'"), args![account, hash([json(content)?.as_str()])]));
    }
    let mut found: Vec<RemoteId> = Vec::new();
    for rows in &store.run(batch).await? {
        for id in sorted(rows)? {
            if !found.contains(&id) {
                found.push(id);
            }
        }
    }
    Ok(found)
}
