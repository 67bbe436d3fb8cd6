//! People, users, accounts: what is looked up by those who ask.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use super::super::driver::{Driver, Rows, Stmt, Value};
use super::super::{Account, PersonQuery, StoreError};
use super::access::{may_see, roles_above};
use super::rows::{self, account_columns, link_columns};
use super::words::{Place, of_query};
use super::{SqlStore, args, at_most, find};
use crate::card::photo::Blob;
use crate::crm::person::{Person, VisibleTo};
use crate::crm::users::{Directory, Role, User};
use crate::ids::{AccountId, PersonId, UserId};
use crate::sync::view::Link;

/// All users and roles.
pub(super) async fn directory(store: &SqlStore<impl Driver>) -> Result<Directory, StoreError> {
    let users = Stmt::new("SELECT u.doc FROM users u", Vec::new());
    let roles = Stmt::new("SELECT r.doc FROM roles r", Vec::new());
    match store.run(vec![users, roles]).await?.as_slice() {
        [users, roles] => directory_of([users], [roles]),
        _ => Err(StoreError::Broken("fewer answers than statements".to_owned())),
    }
}

/// From the documents of users and roles.
pub(super) fn directory_of<'a>(
    users: impl IntoIterator<Item = &'a Rows>,
    roles: impl IntoIterator<Item = &'a Rows>,
) -> Result<Directory, StoreError> {
    let mut directory = Directory::default();
    for mut row in users.into_iter().flat_map(Rows::iter) {
        let user: User = row.json()?;
        directory.users.insert(user.id, user);
    }
    for mut row in roles.into_iter().flat_map(Rows::iter) {
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
/// People, in order of id.
pub(super) async fn people(store: &SqlStore<impl Driver>, query: &PersonQuery) -> Result<Vec<Person>, StoreError> {
    match query.text.as_deref().map(of_query) {
        None => listed(store, query).await,
        // Text in which no word is, as `-`, finds nobody.
        Some(words) if words.is_empty() => Ok(Vec::new()),
        Some(words) => find::found(store, query, words).await,
    }
}

/// All people of a kind.
pub(super) async fn listed(store: &SqlStore<impl Driver>, query: &PersonQuery) -> Result<Vec<Person>, StoreError> {
    let PersonQuery { viewer, text: _, owner, trashed, after, limit } = query;
    if let (Some(viewer), None) = (viewer, owner)
        && let Some(ways) = ways(store, *viewer).await?
    {
        return shown(store, query, *viewer, &ways).await;
    }
    let after = after.map(|id| id.to_string()).unwrap_or_default();
    let sql = match (owner, trashed) {
        (None, false) => anyone!("live"),
        (None, true) => anyone!("trashed"),
        (Some(_), false) => owned!("live"),
        (Some(_), true) => owned!("trashed"),
    };
    let found = store.one(Stmt::new(sql, args![*viewer, after, *owner, at_most(*limit)])).await?;
    found.iter().map(|mut row| row.json()).collect()
}

pub(super) fn ids(rows: &Rows) -> Result<Vec<String>, StoreError> {
    rows.iter().map(|mut row| Ok(row.text()?.to_owned())).collect()
}

/// Where the people stand whom somebody may see, in the words of [`crate::crm::access::decide`].
struct Ways {
    /// Whose people are seen whatever they say: one's own, and those of users whom one follows and so sees.
    all_of: BTreeSet<String>,
    /// Whose people are seen that are visible to the owner's role.
    role_of: Vec<String>,
    /// Whose people are seen that are visible to the owner's role and below.
    below: Vec<String>,
    /// Whether people are seen that are visible to the company.
    company: bool,
}

/// Where those stand who are asked for, each place as its words begin; `None` = everywhere.
pub(super) async fn places(
    store: &SqlStore<impl Driver>,
    query: &PersonQuery,
) -> Result<Option<Vec<String>>, StoreError> {
    if let Some(owner) = query.owner {
        return Ok(Some(vec![Place::Of(&owner.to_string()).start()]));
    }
    let Some(viewer) = query.viewer else { return Ok(None) };
    let Some(ways) = ways(store, viewer).await? else { return Ok(None) };
    let Ways { all_of, role_of, below, company } = &ways;
    let other = |owner: &&String| !all_of.contains(*owner);
    let mut places: Vec<String> = all_of.iter().map(|owner| Place::Of(owner).start()).collect();
    places.extend(role_of.iter().filter(other).map(|owner| Place::Role(owner).start()));
    places.extend(below.iter().filter(other).map(|owner| Place::Below(owner).start()));
    places.extend(company.then(|| Place::Company.start()));
    places.push(Place::Followed(&viewer.to_string()).start());
    Ok(Some(places))
}

/// More owners than that are not asked one by one: of all people, so many are seen then that one comes upon them soon.
const OWNERS: usize = 64;

const VIEWER: &str = "SELECT u.admin, u.restricted FROM users u WHERE u.id = $1 AND u.active";
const FOLLOWED: &str = "SELECT w.followed FROM users u JOIN user_follows w ON w.follower = u.id \
     WHERE u.id = $1 AND u.sees_followed LIMIT $2";
const SAME_ROLE: &str = "SELECT o.id FROM users u JOIN users o ON o.role = u.role WHERE u.id = $1 LIMIT $2";
const ROLES_ABOVE: &str =
    concat!(roles_above!("$1"), " SELECT o.id FROM above b JOIN users o ON o.role = b.id LIMIT $2");

/// Where to look for whom the user may see; `None` = everywhere.
async fn ways(store: &SqlStore<impl Driver>, user: UserId) -> Result<Option<Ways>, StoreError> {
    let mut batch = vec![Stmt::new(VIEWER, args![user])];
    batch.extend([FOLLOWED, SAME_ROLE, ROLES_ABOVE].map(|sql| Stmt::new(sql, args![user, at_most(OWNERS + 1)])));
    let answers = store.run(batch).await?;
    let [viewer, owners @ ..] = answers.as_slice() else {
        return Err(StoreError::Broken("fewer answers than statements".to_owned()));
    };
    let (mut all_of, nobody) = (BTreeSet::new(), Vec::new());
    let Some(mut row) = viewer.first() else {
        return Ok(Some(Ways { all_of, role_of: nobody.clone(), below: nobody, company: false }));
    };
    let (admin, restricted) = (row.bool()?, row.bool()?);
    if admin {
        return Ok(None);
    }
    all_of.insert(user.to_string());
    if restricted {
        return Ok(Some(Ways { all_of, role_of: nobody.clone(), below: nobody, company: false }));
    }
    let [followed, role_of, below] = owners else {
        return Err(StoreError::Broken("fewer answers than statements".to_owned()));
    };
    let (followed, role_of, below) = (ids(followed)?, ids(role_of)?, ids(below)?);
    if [&followed, &role_of, &below].into_iter().any(|owners| owners.len() > OWNERS) {
        return Ok(None);
    }
    all_of.extend(followed);
    Ok(Some(Ways { all_of, role_of, below, company: true }))
}

/// The first of each way, by id alone, so that the indexes answer: `$1` the state, `$2` after whom.
const OWNED: &str =
    "SELECT p.id FROM persons p WHERE p.state = $1 AND p.id > $2 AND p.owner = $3 ORDER BY p.id LIMIT $4";
const OWNED_AND_VISIBLE: &str = "SELECT p.id FROM persons p WHERE p.state = $1 AND p.id > $2 AND p.owner = $3 \
     AND p.visible_to = $4 AND p.visible_to <> 'owner' ORDER BY p.id LIMIT $5";
const COMPANY: &str = "SELECT p.id FROM persons p WHERE p.state = $1 AND p.id > $2 AND p.visible_to = 'company' \
     ORDER BY p.id LIMIT $3";
const FOLLOWING: &str = "SELECT f.person FROM followers f JOIN persons p ON p.id = f.person WHERE p.state = $1 \
     AND f.person > $2 AND f.follower = $3 ORDER BY f.person LIMIT $4";
/// What was found is shown if the policy itself, at that moment, says so.
static SHOWN: LazyLock<String> = LazyLock::new(|| {
    let text = concat!(
        roles_above!("$1"),
        " SELECT p.id, p.doc FROM persons p WHERE p.state = $2 AND p.id IN (<ids>) \
         AND (CAST(<owner> AS TEXT) IS NULL OR p.owner = <owner>) AND (",
        "CAST($1 AS TEXT) IS NULL OR ",
        may_see!("$1"),
        ")"
    );
    text.replace("<ids>", &placeholders(3)).replace("<owner>", &format!("${}", 3 + AT_ONCE))
});
/// As many are looked at by one statement.
pub(super) const AT_ONCE: usize = 50;

/// As many as that, the first of them with this number.
pub(super) fn placeholders(first: usize) -> String {
    let all: Vec<String> = (first..first + AT_ONCE).map(|n| format!("${n}")).collect();
    all.join(", ")
}

/// Those whom the user may see, way by way: who sees few of many is not made to wait for all of them to be looked at.
async fn shown(
    store: &SqlStore<impl Driver>,
    query: &PersonQuery,
    viewer: UserId,
    ways: &Ways,
) -> Result<Vec<Person>, StoreError> {
    let state = state_of(query);
    let after = query.after.map(|id| id.to_string()).unwrap_or_default();
    let head = |more: Vec<Value>| args![state, after.as_str()].into_iter().chain(more).collect::<Vec<_>>();
    let limit = at_most(query.limit);
    let mut batch = vec![Stmt::new(FOLLOWING, head(args![viewer, limit]))];
    batch.extend(ways.all_of.iter().map(|owner| Stmt::new(OWNED, head(args![owner.as_str(), limit]))));
    for (owners, visible_to) in [(&ways.role_of, VisibleTo::OwnerRole), (&ways.below, VisibleTo::OwnerRoleAndBelow)] {
        let of = |owner: &String| Stmt::new(OWNED_AND_VISIBLE, head(args![owner.as_str(), visible_to.as_str(), limit]));
        batch.extend(owners.iter().filter(|owner| !ways.all_of.contains(*owner)).map(of));
    }
    if ways.company {
        batch.push(Stmt::new(COMPANY, head(args![limit])));
    }
    let mut found: BTreeSet<String> = BTreeSet::new();
    for rows in &store.run(batch).await? {
        for mut row in rows.iter() {
            found.insert(row.text()?.to_owned());
        }
    }
    let found: Vec<String> = found.into_iter().take(query.limit).collect();
    documents(store, query, &found).await
}

/// These people, as far as they are asked for and may be seen; in order.
pub(super) async fn documents(
    store: &SqlStore<impl Driver>,
    query: &PersonQuery,
    ids: &[String],
) -> Result<Vec<Person>, StoreError> {
    let page = |ids: &[String]| {
        let last = ids.last().cloned().unwrap_or_default();
        let ids = ids.iter().cloned().chain(std::iter::repeat(last)).take(AT_ONCE);
        let mut args = args![query.viewer, state_of(query)];
        args.extend(ids.map(Value::from));
        args.extend(args![query.owner]);
        Stmt::new(&SHOWN, args)
    };
    let answers = store.run(ids.chunks(AT_ONCE).map(page).collect()).await?;
    let mut people: BTreeMap<String, Person> = BTreeMap::new();
    for mut row in answers.iter().flat_map(Rows::iter) {
        people.insert(row.text()?.to_owned(), row.json()?);
    }
    Ok(people.into_values().collect())
}

fn state_of(query: &PersonQuery) -> &'static str {
    if query.trashed { "trashed" } else { "live" }
}
