//! Storing what a page showed: [`super::super::Change::Observe`].
//!
//! What stood in the rows before was read; each statement says which version that was, and misses if another commit came
//! in between. A row's version grows, and it becomes unsettled, only when something changed that matters: what kind it is,
//! its content, groups, collection, identity. A new etag, time or spelling of the original bytes doesn't.

use std::collections::BTreeMap;

use super::super::driver::{Row, Stmt};
use super::super::{Kind, StoreError};
use super::args;
use super::derive::{add_seen_keys, difference, hash, keys};
use super::rows::{SeenRow, json, parse};
use super::words::{Word, kind_word};
use crate::card::field::Field;
use crate::ids::{AccountId, CollectionId, RemoteId, Timestamp};
use crate::sync::view::Seen;

/// What a row was before this commit.
#[derive(Clone, Debug)]
pub(super) struct Old {
    /// Whether it is there, with content.
    pub(super) present: bool,
    version: i64,
    digest: i64,
    keys: Vec<(i64, i64)>,
}

const OLD: &str = "SELECT s.version, s.digest, s.kind, s.body FROM seen s WHERE s.account = $1 AND s.remote = $2";
const LINKED: &str = "SELECT 1 FROM links l WHERE l.account = $1 AND l.remote = $2 AND l.rank < 2 \
     UNION ALL SELECT 1 FROM links l WHERE l.account = $1 AND l.remote = $2 AND l.rank = 2";

/// Reads what the row is.
pub(super) fn old(account: AccountId, remote: &RemoteId) -> Stmt {
    Stmt::new(OLD, args![account, remote])
}

/// Reads whether a link, of any state, names the record.
pub(super) fn linked(account: AccountId, remote: &RemoteId) -> Stmt {
    Stmt::new(LINKED, args![account, remote])
}

impl Old {
    /// The row was unsettled by a change of the same commit, which counts its version on.
    pub(super) fn grow(&mut self) {
        self.version += 1;
    }

    /// Reads the answer to [`old`].
    pub(super) fn read(row: &mut Row<'_>) -> Result<Self, StoreError> {
        let (version, digest) = (row.int()?, row.int()?);
        let kind = Kind::of(row.text()?)?;
        let body = row.maybe_text()?;
        let keys = match (kind, body) {
            (Kind::Present, Some(body)) => keys(&parse(body)?),
            (_, _) => Vec::new(),
        };
        Ok(Self { present: kind == Kind::Present, version, digest, keys })
    }
}

const ADD: &str = "INSERT INTO seen (account, remote, collection, kind, etag, generation, written, version, unsettled, \
     digest, body_hash, token, uid, modified, body, times, groups_in, formerly, detail, raw) VALUES \
     ($1, $2, $3, $4, $5, $6, $7, 1, TRUE, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)";
/// A generation never goes back: who only corrects what is known of a row says nothing about a listing. Nor does what can't be
/// read lose its identity, by which it is found again under another id.
const CHANGE: &str = "UPDATE seen SET collection = $1, kind = $2, etag = $3, \
     generation = CASE WHEN $4 > generation THEN $4 ELSE generation END, \
     written = COALESCE($5, written), version = version + 1, unsettled = TRUE, digest = $6, body_hash = $7, \
     token = CASE WHEN $2 = 'unreadable' THEN token ELSE $8 END, \
     uid = CASE WHEN $2 = 'unreadable' THEN uid ELSE $9 END, modified = $10, body = $11, times = $12, groups_in = $13, formerly = $14, detail = $15, raw = $16 \
     WHERE account = $17 AND remote = $18 AND version = $19";
/// The identity stays with a tombstone, so that the record can be found again under another id.
const BURY: &str = "UPDATE seen SET kind = 'gone', etag = NULL, generation = $1, written = COALESCE($2, written), \
     version = version + 1, unsettled = TRUE, digest = $3, body_hash = NULL, modified = NULL, body = NULL, times = NULL, \
     groups_in = NULL, formerly = NULL, detail = NULL, raw = NULL WHERE account = $4 AND remote = $5 AND version = $6";
const REFRESH: &str = "UPDATE seen SET etag = $1, \
     generation = CASE WHEN $2 > generation THEN $2 ELSE generation END, written = COALESCE($3, written), modified = $4, \
     times = $5, raw = $6 WHERE account = $7 AND remote = $8 AND version = $9";
const DROP_KEY: &str = "DELETE FROM seen_keys WHERE account = $1 AND hash = $2 AND strength = $3 AND remote = $4";
const STALE: &str = "the record was observed anew";

/// A page, as [`super::super::Change::Observe`] describes it.
pub(super) struct Page<'a> {
    pub account: AccountId,
    pub collection: &'a CollectionId,
    pub generation: i64,
    /// When we wrote the records ourselves, if they are the echo of that.
    pub written: Option<Timestamp>,
}

impl Page<'_> {
    /// The statements for one row. Gives back what the row is afterwards.
    pub(super) fn row(
        &self,
        seen: &Seen,
        times: &BTreeMap<Field, Timestamp>,
        old: Option<&Old>,
        linked: bool,
        stmts: &mut Vec<Stmt>,
    ) -> Result<Option<Old>, StoreError> {
        let id = seen.id();
        let row = SeenRow::new(seen)?;
        if row.kind == Kind::Gone && old.is_none() && !linked {
            return Ok(None);
        }
        let collection = seen.at().map_or(self.collection, |at| &at.collection);
        let digest = digest(collection, &row);
        let changed = old.is_none_or(|old| old.digest != digest);
        let times = if times.is_empty() || row.kind == Kind::Gone { None } else { Some(json(times)?) };
        let etag = seen.at().and_then(|at| at.etag.as_ref());
        let keys = match (seen, changed, old) {
            (Seen::Present(record), true, _) => keys(&record.body),
            (Seen::Present(_), false, Some(old)) => old.keys.clone(),
            (_, _, _) => Vec::new(),
        };
        let body_hash = row.body.as_deref().map(|body| hash([body]));
        let kind = kind_word(row.kind);
        let stmt = match old {
            None => {
                let SeenRow { kind: _, body, groups, formerly, modified, token, uid, detail, raw } = row;
                Stmt::new(
                    ADD,
                    args![
                        self.account,
                        id,
                        collection,
                        kind,
                        etag,
                        self.generation,
                        self.written,
                        digest,
                        body_hash,
                        token,
                        uid,
                        modified,
                        body,
                        times,
                        groups,
                        formerly,
                        detail,
                        raw
                    ],
                )
            }
            Some(old) if changed && row.kind == Kind::Gone => {
                Stmt::new(BURY, args![self.generation, self.written, digest, self.account, id, old.version]).must(STALE)
            }
            Some(old) if changed => {
                let SeenRow { kind: _, body, groups, formerly, modified, token, uid, detail, raw } = row;
                Stmt::new(
                    CHANGE,
                    args![
                        collection,
                        kind,
                        etag,
                        self.generation,
                        self.written,
                        digest,
                        body_hash,
                        token,
                        uid,
                        modified,
                        body,
                        times,
                        groups,
                        formerly,
                        detail,
                        raw,
                        self.account,
                        id,
                        old.version
                    ],
                )
                .must(STALE)
            }
            Some(old) => {
                let SeenRow { modified, raw, .. } = row;
                Stmt::new(
                    REFRESH,
                    args![etag, self.generation, self.written, modified, times, raw, self.account, id, old.version],
                )
                .must(STALE)
            }
        };
        stmts.push(stmt);
        let (added, removed) = difference(old.map_or(&[], |old| &old.keys), &keys);
        stmts.extend(removed.iter().map(|key| Stmt::new(DROP_KEY, args![self.account, key.0, key.1, id])));
        if !added.is_empty() {
            stmts.extend(add_seen_keys(&self.account.into(), id, &added));
        }
        let version = old.map_or(0, |old| old.version) + i64::from(changed);
        Ok(Some(Old { present: matches!(seen, Seen::Present(_)), version, digest, keys }))
    }
}

/// A hash over all whose change matters.
fn digest(collection: &CollectionId, row: &SeenRow) -> i64 {
    // A tombstone is the same wherever the record was.
    let collection = if row.kind == Kind::Gone { "" } else { collection.as_str() };
    let token = row.token.map(|token| token.to_string());
    let parts = [
        Some(kind_word(row.kind)),
        Some(collection),
        row.body.as_deref(),
        row.groups.as_deref(),
        row.formerly.as_deref(),
        token.as_deref(),
        row.uid.as_deref(),
        row.detail.as_deref(),
    ];
    hash(parts.into_iter().map(Option::unwrap_or_default))
}

const TOUCH: &str = "UPDATE seen SET generation = $1 WHERE account = $2 AND remote = $3";

/// The row is still as it was.
pub(super) fn touch(account: AccountId, remote: &RemoteId, generation: i64) -> Stmt {
    Stmt::new(TOUCH, args![generation, account, remote])
}
