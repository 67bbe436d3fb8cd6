//! People, users, accounts: what is looked up by those who ask.

use std::collections::BTreeMap;

use super::super::driver::{Driver, Rows, Stmt};
use super::super::{Account, PersonQuery, StoreError};
use super::access::{may_see, roles_above};
use super::rows::{self, account_columns, link_columns};
use super::words::{end_of, of_query};
use super::{SqlStore, args, at_most};
use crate::card::photo::Blob;
use crate::crm::person::Person;
use crate::crm::users::{Directory, Role, User};
use crate::ids::{AccountId, PersonId};
use crate::sync::view::Link;

/// All users and roles.
pub(super) async fn directory(store: &SqlStore<impl Driver>) -> Result<Directory, StoreError> {
    let users = Stmt::new("SELECT u.doc FROM users u", Vec::new());
    let roles = Stmt::new("SELECT r.doc FROM roles r", Vec::new());
    match store.run(vec![users, roles]).await?.as_slice() {
        [users, roles] => directory_of(users, roles),
        _ => Err(StoreError::Broken("fewer answers than statements".to_owned())),
    }
}

/// From the documents of users and roles.
pub(super) fn directory_of(users: &Rows, roles: &Rows) -> Result<Directory, StoreError> {
    let mut directory = Directory::default();
    for mut row in users.iter() {
        let user: User = row.json()?;
        directory.users.insert(user.id, user);
    }
    for mut row in roles.iter() {
        let role: Role = row.json()?;
        directory.roles.insert(role.id, role);
    }
    Ok(directory)
}

/// One account.
pub(super) async fn account(store: &SqlStore<impl Driver>, id: AccountId) -> Result<Option<Account>, StoreError> {
    const SQL: &str = concat!("SELECT ", account_columns!(), " FROM accounts a WHERE a.id = $1");
    let found = store.one(Stmt::new(SQL, args![id])).await?;
    found.first().map(|mut row| rows::account(&mut row)).transpose()
}

/// All accounts.
pub(super) async fn accounts(store: &SqlStore<impl Driver>) -> Result<Vec<Account>, StoreError> {
    const SQL: &str = concat!("SELECT ", account_columns!(), " FROM accounts a ORDER BY a.id");
    let found = store.one(Stmt::new(SQL, Vec::new())).await?;
    found.iter().map(|mut row| rows::account(&mut row)).collect()
}

/// An account's sealed credentials.
pub(super) async fn secret(store: &SqlStore<impl Driver>, id: AccountId) -> Result<Option<Vec<u8>>, StoreError> {
    let found = store.one(Stmt::new("SELECT s.sealed FROM secrets s WHERE s.account = $1", args![id])).await?;
    found.first().map(|mut row| Ok(row.bytes()?.to_vec())).transpose()
}

/// A picture.
pub(super) async fn blob(store: &SqlStore<impl Driver>, hash: &str) -> Result<Option<Blob>, StoreError> {
    const SQL: &str = "SELECT b.hash, b.media_type, b.bytes FROM blobs b WHERE b.hash = $1";
    let found = store.one(Stmt::new(SQL, args![hash])).await?;
    let Some(mut row) = found.first() else { return Ok(None) };
    Ok(Some(Blob { hash: row.text()?.to_owned(), media_type: row.text()?.to_owned(), bytes: row.bytes()?.into() }))
}

/// The hashes behind addresses of pictures.
pub(super) async fn photo_aliases(
    store: &SqlStore<impl Driver>,
    addresses: &[String],
) -> Result<BTreeMap<String, String>, StoreError> {
    const SQL: &str = "SELECT a.hash FROM photo_aliases a WHERE a.address = $1";
    let stmt = |address: &String| Stmt::new(SQL, args![address.as_str()]);
    let answers = store.run(addresses.iter().map(stmt).collect()).await?;
    let mut known = BTreeMap::new();
    for (address, found) in addresses.iter().zip(&answers) {
        if let Some(mut row) = found.first() {
            known.insert(address.clone(), row.text()?.to_owned());
        }
    }
    Ok(known)
}

/// A person.
pub(super) async fn person(store: &SqlStore<impl Driver>, id: PersonId) -> Result<Option<Person>, StoreError> {
    let found = store.one(Stmt::new("SELECT p.doc FROM persons p WHERE p.id = $1", args![id])).await?;
    found.first().map(|mut row| row.json()).transpose()
}

/// All links of a person.
pub(super) async fn links_of(store: &SqlStore<impl Driver>, person: PersonId) -> Result<Vec<Link>, StoreError> {
    const SQL: &str = concat!("SELECT ", link_columns!(), " FROM links l WHERE l.person = $1 ORDER BY l.account, l.id");
    let found = store.one(Stmt::new(SQL, args![person])).await?;
    found.iter().map(|mut row| rows::link(&mut row)).collect()
}

/// A query for people: `$1` the viewer, `$2` after whom, `$3` the owner. Whatever is asked stands in the text, so that
/// each form gets its own way through the indexes.
macro_rules! people {
    ($state:literal, $owner:literal, $text:expr) => {
        concat!(
            roles_above!("$1"),
            " SELECT p.doc FROM persons p WHERE p.state = '",
            $state,
            "' AND p.id > $2 AND ",
            $owner,
            $text,
            " AND (CAST($1 AS TEXT) IS NULL OR ",
            may_see!("$1"),
            ") ORDER BY p.id LIMIT "
        )
    };
}
macro_rules! anyone {
    ($state:literal) => {
        concat!(people!($state, "CAST($3 AS TEXT) IS NULL", ""), "$4")
    };
}
macro_rules! owned {
    ($state:literal) => {
        concat!(people!($state, "p.owner = $3", ""), "$4")
    };
}
macro_rules! found {
    ($state:literal) => {
        concat!(
            people!(
                $state,
                "(CAST($3 AS TEXT) IS NULL OR p.owner = $3)",
                " AND p.id IN (SELECT w.person FROM words w WHERE w.word >= $4 AND w.word < $5) \
                 AND (CAST($6 AS TEXT) IS NULL OR p.id IN \
                 (SELECT w.person FROM words w WHERE w.word >= $6 AND w.word < $7)) \
                 AND (CAST($8 AS TEXT) IS NULL OR p.id IN \
                 (SELECT w.person FROM words w WHERE w.word >= $8 AND w.word < $9)) \
                 AND (CAST($10 AS TEXT) IS NULL OR p.id IN \
                 (SELECT w.person FROM words w WHERE w.word >= $10 AND w.word < $11))"
            ),
            "$12"
        )
    };
}
/// As many words of a query as that are looked for, the longest first.
const WORDS: usize = 4;

/// People, in order of id.
pub(super) async fn people(store: &SqlStore<impl Driver>, query: &PersonQuery) -> Result<Vec<Person>, StoreError> {
    let PersonQuery { viewer, text, owner, trashed, after, limit } = query;
    let after = after.map(|id| id.to_string()).unwrap_or_default();
    let mut args = args![*viewer, after, *owner];
    let words = text.as_deref().map(of_query);
    let sql = match (&words, owner, trashed) {
        // Text in which no word is, as `-`, finds nobody.
        (Some(words), _, _) if words.is_empty() => return Ok(Vec::new()),
        (Some(_), _, false) => found!("live"),
        (Some(_), _, true) => found!("trashed"),
        (None, None, false) => anyone!("live"),
        (None, None, true) => anyone!("trashed"),
        (None, Some(_), false) => owned!("live"),
        (None, Some(_), true) => owned!("trashed"),
    };
    if let Some(words) = words {
        let ranges = words.into_iter().map(Some).chain(std::iter::repeat(None)).take(WORDS);
        for word in ranges {
            let end = word.as_deref().map(end_of);
            args.extend(args![word, end]);
        }
    }
    args.extend(args![at_most(*limit)]);
    let found = store.one(Stmt::new(sql, args)).await?;
    found.iter().map(|mut row| row.json()).collect()
}
