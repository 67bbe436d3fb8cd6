//! Who could be the same as a record that no link speaks for (rule 13).

use super::super::driver::{Driver, Stmt};
use super::super::{Candidate, StoreError};
use super::access::{may_see, roles_above};
use super::people::directory_of;
use super::{SqlStore, args, at_most};
use crate::crm::access::{Item, no_wider};
use crate::crm::person::VisibleTo;
use crate::ids::{AccountId, PersonId, RemoteId, UserId};
use crate::store::sql::rows::parse;
use crate::sync::settings::Settings;
use std::collections::HashMap;

/// Keys are judged first, each once, and counted no further than needed: a key that a thousand share costs no more than
/// one that a dozen share.
const SQL: &str = concat!(
    roles_above!("$1"),
    ", free AS MATERIALIZED (SELECT k.hash, k.strength, k.remote FROM seen s \
     JOIN seen_keys k ON k.account = s.account AND k.remote = s.remote \
     WHERE s.account = $2 AND s.unsettled AND s.kind = 'present' \
     AND NOT EXISTS (SELECT 1 FROM links l WHERE l.account = $2 AND l.remote = s.remote AND l.rank < 2) \
     AND NOT EXISTS (SELECT 1 FROM links l WHERE l.account = $2 AND l.remote = s.remote AND l.rank = 2 \
     AND l.state <> 'deleted')), \
     rare AS MATERIALIZED (SELECT h.hash, h.strength FROM (SELECT DISTINCT e.hash, e.strength FROM free e) h \
     WHERE (SELECT COUNT(*) FROM (SELECT 1 FROM person_keys m WHERE m.hash = h.hash AND m.strength = h.strength \
     LIMIT $3) c) BETWEEN 1 AND $4 \
     AND (SELECT COUNT(*) FROM (SELECT 1 FROM seen_keys m WHERE m.account = $2 AND m.hash = h.hash \
     AND m.strength = h.strength LIMIT $3) c) <= $4) \
     SELECT e.remote, p.id, MIN(e.strength), p.owner, p.visible_to FROM rare \
     JOIN free e ON e.hash = rare.hash AND e.strength = rare.strength \
     JOIN person_keys m ON m.hash = rare.hash AND m.strength = rare.strength JOIN persons p ON p.id = m.person \
     WHERE p.state = 'live' AND NOT EXISTS (SELECT 1 FROM links l WHERE l.person = p.id AND l.account = $2 \
     AND l.state <> 'deleted') AND ",
    may_see!("$1"),
    " GROUP BY e.remote, p.id, p.owner, p.visible_to"
);

/// All candidates of the account, sorted.
pub(super) async fn candidates(
    store: &SqlStore<impl Driver>,
    account: AccountId,
    popular: usize,
) -> Result<Vec<Candidate>, StoreError> {
    let read = vec![
        Stmt::new("SELECT a.user_id, a.settings FROM accounts a WHERE a.id = $1", args![account]),
        Stmt::new("SELECT u.doc FROM users u", Vec::new()),
        Stmt::new("SELECT r.doc FROM roles r", Vec::new()),
    ];
    let answers = store.run(read).await?;
    let [of, users, roles] = answers.as_slice() else {
        return Err(StoreError::Broken("fewer answers than statements".to_owned()));
    };
    let Some(mut row) = of.first() else { return Ok(Vec::new()) };
    let user: UserId = row.id()?;
    let settings: Settings = row.json()?;
    let directory = directory_of(users, roles)?;

    let most = at_most(popular);
    let rows = store.one(Stmt::new(SQL, args![user, account, most.saturating_add(1), most])).await?;
    let mut found = Vec::new();
    for mut row in rows.iter() {
        let remote = RemoteId::from(row.text()?);
        let person: PersonId = row.id()?;
        let strength = u8::try_from(row.int()?).unwrap_or(u8::MAX);
        let owner: UserId = row.id()?;
        let visible_to: VisibleTo = parse(&format!("\"{}\"", row.text()?))?;
        found.push((remote, person, strength, owner, visible_to));
    }
    let followers = followers(store, found.iter().map(|(_, person, ..)| *person)).await?;
    let mut candidates = Vec::with_capacity(found.len());
    let mut known: HashMap<(UserId, VisibleTo, &[UserId]), bool> = HashMap::new();
    for (remote, person, strength, owner, visible_to) in found {
        let followers = followers.get(&person).map_or(&[][..], Vec::as_slice);
        let item = Item { owner, visible_to, followers };
        let narrow = *known
            .entry((owner, visible_to, followers))
            .or_insert_with(|| no_wider(item, user, settings.visible_to, &directory));
        candidates.push(Candidate { remote, person, strength, narrow });
    }
    candidates.sort_unstable();
    Ok(candidates)
}

/// The followers of these people; nothing for those without.
async fn followers(
    store: &SqlStore<impl Driver>,
    people: impl Iterator<Item = PersonId>,
) -> Result<HashMap<PersonId, Vec<UserId>>, StoreError> {
    const SQL: &str = "SELECT f.follower FROM followers f WHERE f.person = $1 ORDER BY f.follower";
    let people: Vec<PersonId> = people.collect();
    let answers = store.run(people.iter().map(|person| Stmt::new(SQL, args![*person])).collect()).await?;
    let mut of = HashMap::new();
    for (person, rows) in people.into_iter().zip(&answers) {
        let all = rows.iter().map(|mut row| row.id()).collect::<Result<Vec<UserId>, _>>()?;
        if !all.is_empty() {
            of.insert(person, all);
        }
    }
    Ok(of)
}
