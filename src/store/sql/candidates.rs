//! Who could be the same as a record that no link speaks for (rule 13).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::super::driver::{Driver, Stmt};
use super::super::{Candidate, StoreError};
use super::access::{may_see, roles_above};
use super::rows::parse;
use super::{SqlStore, args, at_most};
use crate::crm::access::{Item, no_wider};
use crate::crm::person::VisibleTo;
use crate::ids::{AccountId, PersonId, RemoteId, UserId};
use crate::sync::settings::Settings;

/// The keys of the records that ask, as far as any person has them: in a first sync they are few, or none.
const ASKING: &str = "SELECT k.hash, k.strength, k.remote FROM seen s \
     JOIN seen_keys k ON k.account = s.account AND k.remote = s.remote \
     WHERE s.account = $1 AND s.unsettled AND s.kind = 'present' \
     AND NOT EXISTS (SELECT 1 FROM links l WHERE l.account = $1 AND l.remote = s.remote AND l.rank < 2) \
     AND NOT EXISTS (SELECT 1 FROM links l WHERE l.account = $1 AND l.remote = s.remote AND l.rank = 2 \
     AND l.state <> 'deleted') AND EXISTS (SELECT 1 FROM person_keys m WHERE m.hash = k.hash \
     AND m.strength = k.strength) ORDER BY k.hash, k.strength, k.remote";
/// Who shares a key; nobody if more records do than may. Counted no further than needed: a key that a thousand share costs
/// no more than one that a dozen share.
const SHARING: &str = "SELECT m.person FROM person_keys m WHERE m.hash = $1 AND m.strength = $2 \
     AND (SELECT COUNT(*) FROM (SELECT 1 FROM seen_keys r WHERE r.account = $3 AND r.hash = $1 AND r.strength = $2 \
     LIMIT $4) c) < $4 LIMIT $4";
/// A person, if it may be matched. One whose record was made one with another's there is, should it come back as a record.
const MATCHABLE: &str = concat!(
    roles_above!("$1"),
    " SELECT p.owner, p.visible_to FROM persons p WHERE p.id = $2 AND p.state = 'live' AND NOT EXISTS \
     (SELECT 1 FROM links l WHERE l.person = p.id AND l.account = $3 AND l.state <> 'deleted' AND NOT \
     (l.state = 'unlinked' AND EXISTS (SELECT 1 FROM links o WHERE o.account = l.account AND o.remote = l.remote \
     AND o.id <> l.id AND o.rank < 2))) AND ",
    may_see!("$1")
);
/// Pairs of which somebody has said that they are not the same.
const DISMISSED: &str = "SELECT d.remote, d.person FROM dismissed d WHERE d.account = $1";
const FOLLOWERS: &str = "SELECT f.follower FROM followers f WHERE f.person = $1 ORDER BY f.follower";
/// Records that equal one that we made, for a person who has records here and in another account of the same user. Links
/// are found by their records in two indexes, of those that are open and of those that ended, and only where it is said
/// which.
const COPIES: &str = "SELECT DISTINCT s.remote, m.person FROM seen s JOIN accounts h ON h.id = s.account \
     JOIN accounts a ON a.user_id = h.user_id \
     JOIN seen t ON t.account = a.id AND t.body_hash = s.body_hash AND t.kind = 'present' \
     JOIN links m ON m.account = t.account AND m.remote = t.remote AND m.rank < 2 AND m.rank = 0 \
     AND m.origin = 'ours' \
     JOIN links l ON l.account = s.account AND l.person = m.person AND l.rank = 0 \
     WHERE s.account = $1 AND s.unsettled AND s.kind = 'present' \
     AND NOT EXISTS (SELECT 1 FROM links o WHERE o.account = s.account AND o.remote = s.remote AND o.rank < 2) \
     AND NOT EXISTS (SELECT 1 FROM links o WHERE o.account = s.account AND o.remote = s.remote AND o.rank = 2) \
     AND EXISTS (SELECT 1 FROM links e JOIN accounts b ON b.id = e.account WHERE e.person = m.person \
     AND e.account <> s.account AND e.rank = 0 AND b.user_id = h.user_id) ORDER BY s.remote, m.person";
/// How many keys or people are asked about at a time.
const PAGE: usize = 1000;

/// All candidates of the account, sorted.
pub(super) async fn candidates(
    store: &SqlStore<impl Driver>,
    account: AccountId,
    popular: usize,
) -> Result<Vec<Candidate>, StoreError> {
    let of = Stmt::new("SELECT a.user_id, a.settings FROM accounts a WHERE a.id = $1", args![account]);
    let of = store.one(of).await?;
    let Some(mut row) = of.first() else { return Ok(Vec::new()) };
    let user: UserId = row.id()?;
    let settings: Settings = row.json()?;

    let rows = store.one(Stmt::new(ASKING, args![account])).await?;
    let mut asking: BTreeMap<(i64, i64), Vec<RemoteId>> = BTreeMap::new();
    for mut row in rows.iter() {
        let key = (row.int()?, row.int()?);
        asking.entry(key).or_default().push(RemoteId::from(row.text()?));
    }
    drop(rows);
    let mut shared = shared(store, account, popular, asking).await?;
    let rows = store.one(Stmt::new(DISMISSED, args![account])).await?;
    for mut row in rows.iter() {
        let remote = RemoteId::from(row.text()?);
        shared.remove(&(row.id()?, remote));
    }
    drop(rows);

    if shared.is_empty() {
        return Ok(Vec::new());
    }
    // Who would see more than before is asked of everybody there is: only where there is something to ask about.
    let directory = super::people::directory(store).await?;
    let people: BTreeSet<PersonId> = shared.keys().map(|(person, _)| *person).collect();
    let people: Vec<PersonId> = people.into_iter().collect();
    let mut narrow: HashMap<PersonId, bool> = HashMap::new();
    let mut known: HashMap<(UserId, VisibleTo, Vec<UserId>), bool> = HashMap::new();
    for page in people.chunks(PAGE) {
        let matchable = |person: &PersonId| Stmt::new(MATCHABLE, args![user, *person, account]);
        let followers = |person: &PersonId| Stmt::new(FOLLOWERS, args![*person]);
        let answers =
            store.run(page.iter().flat_map(|person| [matchable(person), followers(person)]).collect()).await?;
        for (person, answers) in page.iter().zip(answers.chunks_exact(2)) {
            let Some(mut row) = answers[0].first() else { continue };
            let owner: UserId = row.id()?;
            let visible_to: VisibleTo = parse(&format!("\"{}\"", row.text()?))?;
            let followers = answers[1].iter().map(|mut row| row.id()).collect::<Result<Vec<UserId>, _>>()?;
            let wide = known.entry((owner, visible_to, followers));
            let item = |(owner, visible_to, followers): &(UserId, VisibleTo, Vec<UserId>)| {
                no_wider(
                    Item { owner: *owner, visible_to: *visible_to, followers },
                    user,
                    settings.visible_to,
                    &directory,
                )
            };
            narrow.insert(*person, *wide.or_insert_with_key(item));
        }
    }
    let candidate = |((person, remote), strength): ((PersonId, RemoteId), i64)| {
        let narrow = *narrow.get(&person)?;
        Some(Candidate { remote, person, strength: u8::try_from(strength).unwrap_or(u8::MAX), narrow })
    };
    let mut candidates: Vec<Candidate> = shared.into_iter().filter_map(candidate).collect();
    candidates.sort_unstable();
    Ok(candidates)
}

/// Records that equal one that we made elsewhere, for a person who has a record here already.
pub(super) async fn copies(
    store: &SqlStore<impl Driver>,
    account: AccountId,
) -> Result<Vec<(RemoteId, PersonId)>, StoreError> {
    let answers = store.run(vec![Stmt::new(COPIES, args![account]), Stmt::new(DISMISSED, args![account])]).await?;
    let read = |mut row: super::super::driver::Row<'_>| Ok((RemoteId::from(row.text()?), row.id()?));
    let [copies, dismissed] = answers.as_slice() else {
        return Err(StoreError::Broken("fewer answers than statements".to_owned()));
    };
    let dismissed = dismissed.iter().map(read).collect::<Result<BTreeSet<(RemoteId, PersonId)>, StoreError>>()?;
    let mut found = copies.iter().map(read).collect::<Result<Vec<_>, StoreError>>()?;
    found.retain(|pair| !dismissed.contains(pair));
    Ok(found)
}

/// Who shares a key with which record, and the strongest key that they share.
async fn shared(
    store: &SqlStore<impl Driver>,
    account: AccountId,
    popular: usize,
    asking: BTreeMap<(i64, i64), Vec<RemoteId>>,
) -> Result<BTreeMap<(PersonId, RemoteId), i64>, StoreError> {
    let more = at_most(popular).saturating_add(1);
    let keys: Vec<((i64, i64), Vec<RemoteId>)> = asking.into_iter().collect();
    let mut shared = BTreeMap::new();
    for page in keys.chunks(PAGE) {
        let sharing = |(key, _): &((i64, i64), _)| Stmt::new(SHARING, args![key.0, key.1, account, more]);
        let answers = store.run(page.iter().map(sharing).collect()).await?;
        for (((_, strength), records), rows) in page.iter().zip(&answers) {
            if rows.touched > popular as u64 {
                continue;
            }
            for mut row in rows.iter() {
                let person: PersonId = row.id()?;
                for remote in records {
                    let best = shared.entry((person, remote.clone())).or_insert(*strength);
                    *best = (*best).min(*strength);
                }
            }
        }
    }
    Ok(shared)
}
