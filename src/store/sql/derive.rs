//! What is derived from content and stored beside it: hashes, match keys, words.
//!
//! When the way of deriving changes, [`VERSION`] grows, and the next start derives everything anew.

use super::super::StoreError;
use super::super::driver::{Driver, Stmt, Value};
use super::rows::parse;
use super::{SqlStore, args, words};
use crate::card::Card;
use crate::card::normalize::{MatchKey, Strength, match_keys};
use crate::crm::person::Person;
use crate::ids::{PersonId, RemoteId};

/// The version of all that is derived here; match keys and words included.
const VERSION: i64 = 2;
/// How many rows are derived anew at a time.
const PAGE: i64 = 500;

/// A hash for a column: the first eight bytes of a BLAKE3.
pub(super) fn hash<'a>(parts: impl IntoIterator<Item = &'a str>) -> i64 {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    let [a, b, c, d, e, f, g, h, ..] = *hasher.finalize().as_bytes();
    i64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// The keys by which a card may be paired with another, as they stand in columns: hash and strength. Sorted.
pub(super) fn keys(card: &Card) -> Vec<(i64, i64)> {
    let column = |key: &MatchKey| (key.hash.cast_signed(), i64::from(strength(key.strength)));
    let mut keys: Vec<_> = match_keys(card).iter().map(column).collect();
    keys.sort_unstable();
    keys
}

/// A strength as its place in order.
fn strength(strength: Strength) -> u8 {
    match strength {
        Strength::EmailName => 0,
        Strength::Email => 1,
        Strength::PhoneName => 2,
    }
}

/// The keys of a person: only one in use has any.
pub(super) fn keys_of(person: &Person) -> Vec<(i64, i64)> {
    if person.is_live() { keys(&person.card) } else { Vec::new() }
}

/// What of `new` is not in `old`, and what of `old` is not in `new`. Both sorted.
pub(super) fn difference<T: Ord + Clone>(old: &[T], new: &[T]) -> (Vec<T>, Vec<T>) {
    let lacks = |all: &[T], one: &T| all.binary_search(one).is_err();
    let added = new.iter().filter(|one| lacks(old, one)).cloned().collect();
    let removed = old.iter().filter(|one| lacks(new, one)).cloned().collect();
    (added, removed)
}

const ADD_WORD: &str = "INSERT INTO words (person, word) VALUES ($1, $2)";
const ADD_WORDS: &str = "INSERT INTO words (person, word) VALUES ($1, $2), ($1, $3), ($1, $4), ($1, $5)";

/// The statements that add these words of a person.
pub(super) fn add_words(person: PersonId, words: Vec<String>) -> impl Iterator<Item = Stmt> {
    let mut words = words.into_iter();
    std::iter::from_fn(move || {
        let mut args = args![person];
        let some = if words.len() < 4 { 1 } else { 4 };
        args.extend(words.by_ref().take(some).map(Value::from));
        match args.len() {
            1 => None,
            2 => Some(Stmt::new(ADD_WORD, args)),
            _ => Some(Stmt::new(ADD_WORDS, args)),
        }
    })
}

const ADD_KEY: &str = "INSERT INTO person_keys (person, hash, strength) VALUES ($1, $2, $3)";
const ADD_KEYS: &str =
    "INSERT INTO person_keys (person, hash, strength) VALUES ($1, $2, $3), ($1, $4, $5), ($1, $6, $7)";

/// The statements that add these keys of a person.
pub(super) fn add_keys(person: PersonId, keys: &[(i64, i64)]) -> impl Iterator<Item = Stmt> {
    in_threes(args![person], ADD_KEY, ADD_KEYS, keys)
}

/// One that stands already, as after damage to the row, is no reason not to mend the row.
const ADD_SEEN_KEY: &str = "INSERT INTO seen_keys (account, remote, hash, strength) VALUES ($1, $2, $3, $4) \
     ON CONFLICT DO NOTHING";
const ADD_SEEN_KEYS: &str = "INSERT INTO seen_keys (account, remote, hash, strength) VALUES ($1, $2, $3, $4), \
     ($1, $2, $5, $6), ($1, $2, $7, $8) ON CONFLICT DO NOTHING";

/// The statements that add these keys of a record.
pub(super) fn add_seen_keys(account: &Value, remote: &RemoteId, keys: &[(i64, i64)]) -> impl Iterator<Item = Stmt> {
    in_threes(vec![account.clone(), Value::from(remote)], ADD_SEEN_KEY, ADD_SEEN_KEYS, keys)
}

/// Three keys in each statement while there are as many, then one: whatever begins with `head`.
fn in_threes(
    head: Vec<Value>,
    one: &'static str,
    three: &'static str,
    keys: &[(i64, i64)],
) -> impl Iterator<Item = Stmt> {
    let of = move |keys: &[(i64, i64)], sql| {
        let mut args = head.clone();
        args.extend(keys.iter().flat_map(|(hash, strength)| [Value::Int(*hash), Value::Int(*strength)]));
        Stmt::new(sql, args)
    };
    let (threes, rest) = keys.as_chunks::<3>();
    let threes: Vec<Stmt> = threes.iter().map(|keys| of(keys, three)).collect();
    let rest: Vec<Stmt> = rest.chunks(1).map(|key| of(key, one)).collect();
    threes.into_iter().chain(rest)
}

/// Derives everything anew if it was derived in another way. A start that is interrupted begins again at the next.
pub(super) async fn refresh(store: &SqlStore<impl Driver>) -> Result<(), StoreError> {
    let version = store.one(Stmt::new("SELECT version FROM derived_version", Vec::new())).await?;
    if version.first().map(|mut row| row.int()).transpose()? == Some(VERSION) {
        return Ok(());
    }
    let clear =
        ["DELETE FROM words", "DELETE FROM person_keys", "DELETE FROM seen_keys", "DELETE FROM derived_version"];
    store.run(clear.into_iter().map(|sql| Stmt::new(sql, Vec::new())).collect()).await?;
    persons(store).await?;
    records(store).await?;
    store.one(Stmt::new("INSERT INTO derived_version (version) VALUES ($1)", args![VERSION])).await.map(drop)
}

/// People, in pages of documents.
pub(super) const PERSONS_PAGE: &str = "SELECT p.id, p.doc FROM persons p WHERE p.id > $1 ORDER BY p.id LIMIT $2";
/// Present records, in pages of documents.
pub(super) const RECORDS_PAGE: &str = "SELECT s.account, s.remote, s.body, s.body_hash FROM seen s \
     WHERE s.kind = 'present' AND (s.account > $1 OR (s.account = $1 AND s.remote > $2)) \
     ORDER BY s.account, s.remote LIMIT $3";

async fn persons(store: &SqlStore<impl Driver>) -> Result<(), StoreError> {
    let mut after = String::new();
    loop {
        let page = store.one(Stmt::new(PERSONS_PAGE, args![after.as_str(), PAGE])).await?;
        let mut batch = Vec::new();
        for mut row in page.iter() {
            after = row.text()?.to_owned();
            let person: Person = row.json()?;
            batch.extend(add_words(person.id, words::of_person(&person)));
            batch.extend(add_keys(person.id, &keys_of(&person)));
        }
        store.run(batch).await?;
        if page.touched < PAGE.unsigned_abs() {
            return Ok(());
        }
    }
}

async fn records(store: &SqlStore<impl Driver>) -> Result<(), StoreError> {
    let (mut account, mut after) = (String::new(), String::new());
    loop {
        let page = store.one(Stmt::new(RECORDS_PAGE, args![account.as_str(), after.as_str(), PAGE])).await?;
        let mut batch = Vec::new();
        for mut row in page.iter() {
            account = row.text()?.to_owned();
            let remote = RemoteId::from(row.text()?);
            let card: Card = parse(row.text()?)?;
            batch.extend(add_seen_keys(&Value::from(account.as_str()), &remote, &keys(&card)));
            after = remote.0;
        }
        store.run(batch).await?;
        if page.touched < PAGE.unsigned_abs() {
            return Ok(());
        }
    }
}
