//! The log of operations, and what it counts.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::super::driver::{Driver, Row, Stmt};
use super::super::{Counts, Recent, StoreError};
use super::dashboard::hour_of;
use super::rows::json;
use super::{SqlStore, args, at_most};
use crate::ids::{AccountId, LinkId, OpId, PersonId, RunId, Timestamp};
use crate::sync::operation::{Actor, Effect, Operation, PersonChange, RemoteChange};
use crate::sync::plan::Deletion;

/// What an operation counts, per account: each person once in the CRM, if a run of that account changed it, and each
/// record once in the address book. Bringing back from the trash is adding; deleting outweighs adding, adding outweighs
/// changing.
pub fn counts(operation: &Operation) -> BTreeMap<AccountId, Recent> {
    let mut all: BTreeMap<AccountId, Recent> = BTreeMap::new();
    for ((account, side, what, _), n) in tally(operation, &BTreeSet::new()) {
        let recent = all.entry(account).or_default();
        let counts = match side {
            Side::Local => &mut recent.local,
            Side::Remote => &mut recent.remote,
        };
        *what.of(counts) += n;
    }
    all
}

/// A side of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    Local,
    Remote,
}

impl Side {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Remote => "remote",
        }
    }
}

/// What happened to a record; the later outweighs the earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    Updated,
    Added,
    Deleted,
}

impl What {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Updated => "updated",
            Self::Added => "added",
            Self::Deleted => "deleted",
        }
    }

    fn of(self, counts: &mut Counts) -> &mut u64 {
        match self {
            Self::Updated => &mut counts.updated,
            Self::Added => &mut counts.added,
            Self::Deleted => &mut counts.deleted,
        }
    }
}

/// Deletions that a person has confirmed, by link and by the side that loses something.
pub(super) type Confirmed = BTreeSet<(LinkId, Deletion)>;

/// Account, side, what, and whether a person confirmed it.
pub(super) type Counted = (AccountId, Side, What, bool);

/// What an operation counts, by all that a tally tells apart.
pub(super) fn tally(operation: &Operation, confirmed: &Confirmed) -> BTreeMap<Counted, u64> {
    let mut records: BTreeMap<(AccountId, Side, Uuid), (What, bool)> = BTreeMap::new();
    for effect in &operation.effects {
        let (key, what, link) = match (effect, operation.actor) {
            (Effect::Person { person, link, change }, Actor::Run { account, .. }) => {
                let what = match change {
                    PersonChange::Created(_) | PersonChange::Restored => What::Added,
                    PersonChange::Trashed => What::Deleted,
                    PersonChange::Edited(_)
                    | PersonChange::Owner(_)
                    | PersonChange::VisibleTo(_)
                    | PersonChange::Followers(_)
                    | PersonChange::MergedInto(_)
                    | PersonChange::Absorbed(_)
                    | PersonChange::Custom { .. } => What::Updated,
                    PersonChange::Purged => continue,
                };
                ((account, Side::Local, person.0), what, link.map(|link| (link, Deletion::Local)))
            }
            (Effect::Remote { link, account, change, .. }, _) => {
                let what = match change {
                    RemoteChange::Created(_) => What::Added,
                    RemoteChange::Deleted { .. } => What::Deleted,
                    RemoteChange::Updated(_) | RemoteChange::Joined(_) | RemoteChange::Left(_) => What::Updated,
                    RemoteChange::NotTaken { .. } => continue,
                };
                ((*account, Side::Remote, link.0), what, Some((*link, Deletion::Remote)))
            }
            (Effect::Person { .. } | Effect::Link { .. } | Effect::Relinked { .. }, _) => continue,
        };
        let said = what == What::Deleted && link.is_some_and(|link| confirmed.contains(&link));
        let entry = records.entry(key).or_insert((what, said));
        *entry = (entry.0.max(what), entry.1 || said);
    }
    let mut tally = BTreeMap::new();
    for ((account, side, _), (what, said)) in records {
        *tally.entry((account, side, what, said)).or_default() += 1;
    }
    tally
}

/// The deletions of an operation, which a person may have confirmed.
pub(super) fn deletions(operation: &Operation) -> Vec<(LinkId, Deletion)> {
    let deletion = |effect: &Effect| match effect {
        Effect::Person { link: Some(link), change: PersonChange::Trashed, .. } => Some((*link, Deletion::Local)),
        Effect::Remote { link, change: RemoteChange::Deleted { .. }, .. } => Some((*link, Deletion::Remote)),
        Effect::Person { .. } | Effect::Remote { .. } | Effect::Link { .. } | Effect::Relinked { .. } => None,
    };
    operation.effects.iter().filter_map(deletion).collect()
}

const ADD: &str = "INSERT INTO operations (id, at, actor, run, why) VALUES ($1, $2, $3, $4, $5)";
const ADD_EFFECTS: &str = "INSERT INTO effects (op, person, doc) VALUES ($1, $2, $3)";
const ADD_TALLY: &str = "INSERT INTO tallies (account, at, op, side, kind, confirmed, n, run) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";

/// One whose hour was added up already adds itself to it.
const ADD_LATE: &str = "INSERT INTO hours (hour, side, kind, n) SELECT CAST($1 AS BIGINT), CAST($2 AS TEXT), \
     CAST($3 AS TEXT), CAST($4 AS BIGINT) FROM hours_until d WHERE d.until > $5 \
     ON CONFLICT (hour, side, kind) DO UPDATE SET n = hours.n + excluded.n";

/// The statements that store an operation with its tallies.
pub(super) fn store(operation: &Operation, confirmed: &Confirmed) -> Result<Vec<Stmt>, StoreError> {
    let Operation { id, at, actor, why, effects } = operation;
    if effects.is_empty() {
        return Ok(Vec::new());
    }
    let run = match actor {
        Actor::Run { run, .. } => Some(*run),
        Actor::User(_) | Actor::Operator | Actor::Daemon => None,
    };
    let mut stmts = vec![Stmt::new(ADD, args![*id, *at, json(actor)?, run, why.as_str()])];
    let mut of: BTreeMap<PersonId, Vec<(usize, &Effect)>> = BTreeMap::new();
    for (place, effect) in effects.iter().enumerate() {
        of.entry(effect.person()).or_default().push((place, effect));
    }
    for (person, effects) in of {
        stmts.push(Stmt::new(ADD_EFFECTS, args![*id, person, json(&effects)?]));
    }
    for ((account, side, what, said), n) in tally(operation, confirmed) {
        let n = i64::try_from(n).unwrap_or(i64::MAX);
        stmts.push(Stmt::new(ADD_TALLY, args![account, *at, *id, side.word(), what.word(), said, n, run]));
        stmts.push(Stmt::new(ADD_LATE, args![hour_of(at.0), side.word(), what.word(), n, *at]));
    }
    Ok(stmts)
}

fn head(row: &mut Row<'_>) -> Result<Operation, StoreError> {
    Ok(Operation {
        id: row.id()?,
        at: Timestamp(row.int()?),
        actor: row.json()?,
        why: row.text()?.to_owned(),
        effects: Vec::new(),
    })
}

/// What concerns the person, newest first.
pub(super) async fn history(
    store: &SqlStore<impl Driver>,
    person: PersonId,
    limit: usize,
) -> Result<Vec<Operation>, StoreError> {
    const SQL: &str = "SELECT o.id, o.at, o.actor, o.why, e.doc FROM effects e JOIN operations o ON o.id = e.op \
         WHERE e.person = $1 ORDER BY e.op DESC LIMIT $2";
    let rows = store.one(Stmt::new(SQL, args![person, at_most(limit)])).await?;
    let read = |mut row: Row<'_>| {
        let mut operation = head(&mut row)?;
        let effects: Vec<(usize, Effect)> = row.json()?;
        operation.effects = effects.into_iter().map(|(_, effect)| effect).collect();
        Ok(operation)
    };
    rows.iter().map(read).collect()
}

/// The operations of a run, oldest first.
pub(super) async fn operations(
    store: &SqlStore<impl Driver>,
    run: RunId,
    after: Option<OpId>,
    limit: usize,
) -> Result<Vec<Operation>, StoreError> {
    const SQL: &str = "SELECT o.id, o.at, o.actor, o.why FROM operations o \
         WHERE o.run = $1 AND o.id > $2 ORDER BY o.id LIMIT $3";
    let after = after.map(|id| id.to_string()).unwrap_or_default();
    let rows = store.one(Stmt::new(SQL, args![run, after, at_most(limit)])).await?;
    let mut operations = rows.iter().map(|mut row| head(&mut row)).collect::<Result<Vec<_>, _>>()?;
    with_effects(store, &mut operations).await?;
    Ok(operations)
}

/// Reads the effects of these operations, in order.
pub(super) async fn with_effects(
    store: &SqlStore<impl Driver>,
    operations: &mut [Operation],
) -> Result<(), StoreError> {
    const SQL: &str = "SELECT e.doc FROM effects e WHERE e.op = $1";
    let answers = store.run(operations.iter().map(|operation| Stmt::new(SQL, args![operation.id])).collect()).await?;
    for (operation, rows) in operations.iter_mut().zip(&answers) {
        let mut effects: Vec<(usize, Effect)> = Vec::new();
        for mut row in rows.iter() {
            effects.extend(row.json::<Vec<(usize, Effect)>>()?);
        }
        effects.sort_by_key(|(place, _)| *place);
        operation.effects = effects.into_iter().map(|(_, effect)| effect).collect();
    }
    Ok(())
}

/// One operation.
pub(super) async fn operation(store: &SqlStore<impl Driver>, id: OpId) -> Result<Option<Operation>, StoreError> {
    const SQL: &str = "SELECT o.id, o.at, o.actor, o.why FROM operations o WHERE o.id = $1";
    let rows = store.one(Stmt::new(SQL, args![id])).await?;
    let mut operations = rows.iter().map(|mut row| head(&mut row)).collect::<Result<Vec<_>, _>>()?;
    with_effects(store, &mut operations).await?;
    Ok(operations.pop())
}

/// All operations since that time. Ids are in the order of time, so that those before are passed over by the index.
pub(super) async fn since(
    store: &SqlStore<impl Driver>,
    since: Timestamp,
    after: Option<OpId>,
    limit: usize,
) -> Result<Vec<Operation>, StoreError> {
    let millis = u128::try_from(since.0).unwrap_or(0);
    let first = OpId(Uuid::from_u128(millis << 80));
    all(store, Some(after.map_or(first, |after| after.max(first))), limit).await
}

/// All operations in pages, for recounting.
pub(super) async fn all(
    store: &SqlStore<impl Driver>,
    after: Option<OpId>,
    limit: usize,
) -> Result<Vec<Operation>, StoreError> {
    const SQL: &str = "SELECT o.id, o.at, o.actor, o.why FROM operations o WHERE o.id > $1 ORDER BY o.id LIMIT $2";
    let after = after.map(|id| id.to_string()).unwrap_or_default();
    let rows = store.one(Stmt::new(SQL, args![after, at_most(limit)])).await?;
    let mut operations = rows.iter().map(|mut row| head(&mut row)).collect::<Result<Vec<_>, _>>()?;
    with_effects(store, &mut operations).await?;
    Ok(operations)
}
