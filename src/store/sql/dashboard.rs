//! What is shown and counted: runs, conflicts, held deletions, failures, tallies.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::super::driver::{Driver, Row, Stmt, Value};
use super::super::{Conflict, Counted, Counts, Failure, GuardFacts, HeldDeletion, Recent, Run, StoreError, SubjectKey};
use super::people::{AT_ONCE, placeholders};
use super::words::Word;
use super::{SqlStore, args, at_most};
use crate::ids::{AccountId, ConflictId, Etag, PersonId, RemoteId, Revision, RunId, Timestamp};

const HOUR: i64 = 3_600_000;

/// What the guard asks.
pub(super) async fn guard_facts(
    store: &SqlStore<impl Driver>,
    account: AccountId,
    since: Timestamp,
) -> Result<GuardFacts, StoreError> {
    const SQL: &str = "SELECT (SELECT COUNT(*) FROM links l WHERE l.account = $1 AND l.rank = 0 AND l.state = 'live'), \
         COALESCE(CAST(SUM(CASE WHEN t.side = 'local' THEN t.n ELSE 0 END) AS BIGINT), 0), \
         COALESCE(CAST(SUM(CASE WHEN t.side = 'remote' THEN t.n ELSE 0 END) AS BIGINT), 0) FROM tallies t \
         WHERE t.account = $1 AND t.at >= $2 AND t.kind = 'deleted' AND NOT t.confirmed";
    let rows = store.one(Stmt::new(SQL, args![account, since]).must("one row of sums")).await?;
    let Some(mut row) = rows.first() else { return Ok(GuardFacts::default()) };
    let (live, local, remote) = (row.count()?, row.count()?, row.count()?);
    Ok(GuardFacts { live: live + local + remote, local, remote })
}

/// Runs, newest first.
pub(super) async fn runs(
    store: &SqlStore<impl Driver>,
    account: Option<AccountId>,
    before: Option<RunId>,
    limit: usize,
) -> Result<Vec<Run>, StoreError> {
    macro_rules! runs {
        ($account:literal) => {
            concat!(
                "SELECT r.id, r.account, r.started, r.ended, r.cause, r.tally, r.error FROM runs r WHERE ",
                $account,
                " AND r.id < $2 ORDER BY r.id DESC LIMIT $3"
            )
        };
    }
    let sql = if account.is_some() { runs!("r.account = $1") } else { runs!("CAST($1 AS TEXT) IS NULL") };
    // No id reaches it.
    let before = before.map_or_else(|| "~".to_owned(), |id| id.to_string());
    let rows = store.one(Stmt::new(sql, args![account, before, at_most(limit)])).await?;
    let read = |mut row: Row<'_>| {
        Ok(Run {
            id: row.id()?,
            account: row.id()?,
            started: Timestamp(row.int()?),
            ended: row.maybe_int()?.map(Timestamp),
            trigger: row.text()?.to_owned(),
            tally: row.json()?,
            error: row.maybe_text()?.map(str::to_owned),
        })
    };
    rows.iter().map(read).collect()
}

/// Conflicts that no person has dealt with.
pub(super) async fn conflicts(
    store: &SqlStore<impl Driver>,
    account: Option<AccountId>,
    limit: usize,
) -> Result<Vec<Conflict>, StoreError> {
    macro_rules! conflicts {
        ($account:literal) => {
            concat!(
                "SELECT c.id, c.link, c.account, c.person, c.at, c.clash, c.resolved FROM conflicts c \
                 WHERE NOT c.resolved AND ",
                $account,
                " ORDER BY c.id LIMIT $2"
            )
        };
    }
    let sql = if account.is_some() { conflicts!("c.account = $1") } else { conflicts!("CAST($1 AS TEXT) IS NULL") };
    let rows = store.one(Stmt::new(sql, args![account, at_most(limit)])).await?;
    rows.iter().map(read_conflict).collect()
}

/// One conflict.
pub(super) async fn conflict(store: &SqlStore<impl Driver>, id: ConflictId) -> Result<Option<Conflict>, StoreError> {
    const SQL: &str =
        "SELECT c.id, c.link, c.account, c.person, c.at, c.clash, c.resolved FROM conflicts c WHERE c.id = $1";
    let rows = store.one(Stmt::new(SQL, args![id])).await?;
    rows.first().map(read_conflict).transpose()
}

fn read_conflict(mut row: Row<'_>) -> Result<Conflict, StoreError> {
    Ok(Conflict {
        id: row.id()?,
        link: row.id()?,
        account: row.id()?,
        person: row.id()?,
        at: Timestamp(row.int()?),
        clash: row.json()?,
        resolved: row.bool()?,
    })
}

/// Held deletions.
pub(super) async fn held(
    store: &SqlStore<impl Driver>,
    account: Option<AccountId>,
) -> Result<Vec<HeldDeletion>, StoreError> {
    macro_rules! held {
        ($account:literal) => {
            concat!(
                "SELECT h.id, h.link, h.account, h.person, h.side, h.revision, h.etag, h.at, h.why, h.answer \
                 FROM held h WHERE ",
                $account,
                " ORDER BY h.id"
            )
        };
    }
    let sql = if account.is_some() { held!("h.account = $1") } else { held!("CAST($1 AS TEXT) IS NULL") };
    let rows = store.one(Stmt::new(sql, args![account])).await?;
    let read = |mut row: Row<'_>| {
        Ok(HeldDeletion {
            id: row.id()?,
            link: row.id()?,
            account: row.id()?,
            person: row.id()?,
            deletion: Word::of(row.text()?)?,
            revision: Revision(row.int()?),
            etag: row.maybe_text()?.map(Etag::from),
            at: Timestamp(row.int()?),
            why: row.text()?.to_owned(),
            answer: row.maybe_text()?.map(Word::of).transpose()?,
        })
    };
    rows.iter().map(read).collect()
}

/// Failures of an account, in order of their time.
pub(super) async fn failures(
    store: &SqlStore<impl Driver>,
    account: AccountId,
    limit: usize,
) -> Result<Vec<Failure>, StoreError> {
    const SQL: &str = "SELECT f.what, f.id, f.reason, f.attempts, f.retry_at FROM failures f WHERE f.account = $1 \
         ORDER BY f.retry_at, f.what, f.id LIMIT $2";
    let rows = store.one(Stmt::new(SQL, args![account, at_most(limit)])).await?;
    let read = |mut row: Row<'_>| {
        let key = match row.text()? {
            "record" => SubjectKey::Record(RemoteId::from(row.text()?)),
            _ => SubjectKey::Person(row.id()?),
        };
        Ok(Failure {
            key,
            reason: row.text()?.to_owned(),
            attempts: u32::try_from(row.int()?).unwrap_or(u32::MAX),
            retry_at: Timestamp(row.int()?),
        })
    };
    rows.iter().map(read).collect()
}

/// Records that wait with several candidates.
pub(super) async fn duplicates(
    store: &SqlStore<impl Driver>,
    account: AccountId,
) -> Result<Vec<(RemoteId, Vec<PersonId>)>, StoreError> {
    const SQL: &str = "SELECT d.remote, d.persons FROM duplicates d WHERE d.account = $1 ORDER BY d.remote";
    let rows = store.one(Stmt::new(SQL, args![account])).await?;
    rows.iter().map(|mut row| Ok((RemoteId::from(row.text()?), row.json()?))).collect()
}

/// What the dashboard shows.
pub(super) async fn counted(
    store: &SqlStore<impl Driver>,
    account: Option<AccountId>,
    now: Timestamp,
) -> Result<Counted, StoreError> {
    macro_rules! count {
        ($head:literal, $of:literal) => {
            [concat!($head, $of, " = $1"), concat!($head, "CAST($1 AS TEXT) IS NULL")]
        };
    }
    const COUNTS: [[&str; 2]; 5] = [
        count!("SELECT COALESCE(CAST(SUM(n.people) AS BIGINT), 0) FROM in_sync n WHERE ", "n.account"),
        count!("SELECT COUNT(*) FROM conflicts c WHERE NOT c.resolved AND ", "c.account"),
        count!("SELECT COUNT(*) FROM held h WHERE h.answer IS NULL AND ", "h.account"),
        count!("SELECT COUNT(*) FROM failures f WHERE ", "f.account"),
        count!("SELECT COUNT(*) FROM duplicates d WHERE ", "d.account"),
    ];
    let which = usize::from(account.is_none());
    let stmt = |sql: &[&'static str; 2]| Stmt::new(sql[which], args![account]).must("a count");
    let mut batch: Vec<Stmt> = COUNTS.iter().map(stmt).collect();
    let spans @ [day, week, month] = [24, 7 * 24, 30 * 24].map(|hours: i64| now.plus(-hours * HOUR).0);
    if account.is_some() {
        batch.push(Stmt::new(TALLIES, args![week, day, month, account]));
    } else {
        let full = |since: i64| hour_of(since) + HOUR;
        batch.push(Stmt::new(NOT_IN_HOURS, args![week, day, month]));
        batch.push(Stmt::new(IN_HOURS, args![full(week), full(day), full(month)]));
        batch.extend(spans.map(|since| Stmt::new(IN_PART, args![since, full(since)])));
    }

    let answers = store.run(batch).await?;
    let mut counts = [0_u64; 5];
    for (count, rows) in counts.iter_mut().zip(&answers) {
        *count = rows.first().map(|mut row| row.count()).transpose()?.unwrap_or_default();
    }
    let [in_sync, conflicts, held, failures, duplicates] = counts;
    let mut counted = Counted { in_sync, conflicts, held, failures, duplicates, ..Counted::default() };
    let (whole, parts) = answers[COUNTS.len()..].split_at(if account.is_some() { 1 } else { 2 });
    for mut row in whole.iter().flat_map(super::Rows::iter) {
        let (side, kind) = (row.text()?, row.text()?);
        for at in [2, 1, 0] {
            *place(&mut counted.recent[at], side, kind)? += row.count()?;
        }
    }
    for (recent, rows) in counted.recent.iter_mut().zip(parts) {
        for mut row in rows.iter() {
            let (side, kind) = (row.text()?, row.text()?);
            *place(recent, side, kind)? += row.count()?;
        }
    }
    Ok(counted)
}

/// What stands in five tables of some accounts, [`AT_ONCE`] of them.
static COUNTS_OF_EACH: LazyLock<[String; 5]> = LazyLock::new(|| {
    [
        "SELECT n.account, n.people FROM in_sync n WHERE n.people > 0 AND n.account IN (<ids>)",
        "SELECT c.account, COUNT(*) FROM conflicts c WHERE NOT c.resolved AND c.account IN (<ids>) GROUP BY c.account",
        "SELECT h.account, COUNT(*) FROM held h WHERE h.answer IS NULL AND h.account IN (<ids>) GROUP BY h.account",
        "SELECT f.account, COUNT(*) FROM failures f WHERE f.account IN (<ids>) GROUP BY f.account",
        "SELECT d.account, COUNT(*) FROM duplicates d WHERE d.account IN (<ids>) GROUP BY d.account",
    ]
    .map(|sql| sql.replace("<ids>", &placeholders(1)))
});

/// What the dashboard shows of each of these accounts, [`AT_ONCE`] of them by each statement. Those of which there is nothing
/// to tell are left out.
pub(super) async fn counted_each(
    store: &SqlStore<impl Driver>,
    accounts: &[AccountId],
    now: Timestamp,
) -> Result<BTreeMap<AccountId, Counted>, StoreError> {
    let counts: &'static [String; 5] = &COUNTS_OF_EACH;
    let [day, week, month] = [24, 7 * 24, 30 * 24].map(|hours: i64| now.plus(-hours * HOUR).0);
    let mut batch = Vec::new();
    for some in accounts.chunks(AT_ONCE) {
        let these = || some.iter().chain(std::iter::repeat(&some[0])).take(AT_ONCE).map(|id| Value::from(*id));
        batch.extend(counts.iter().map(|sql| Stmt::new(sql, these().collect())));
        batch.push(Stmt::new(&TALLIES_OF_EACH, args![week, day, month].into_iter().chain(these()).collect()));
    }
    let answers = store.run(batch).await?;
    let mut each: BTreeMap<AccountId, Counted> = BTreeMap::new();
    for (which, rows) in answers.iter().enumerate().map(|(n, rows)| (n % (counts.len() + 1), rows)) {
        for mut row in rows.iter() {
            let Counted { in_sync, conflicts, held, failures, duplicates, recent } = each.entry(row.id()?).or_default();
            match [in_sync, conflicts, held, failures, duplicates].into_iter().nth(which) {
                Some(count) => *count = row.count()?,
                None => {
                    let (side, kind) = (row.text()?, row.text()?);
                    for at in [2, 1, 0] {
                        *place(&mut recent[at], side, kind)? += row.count()?;
                    }
                }
            }
        }
    }
    Ok(each)
}

/// The sums of 30 days, 7 days and 24 hours.
macro_rules! sums {
    ($at:literal, $from:literal) => {
        sums!("", $at, $from)
    };
    ($by:literal, $at:literal, $from:literal) => {
        concat!(
            "SELECT ",
            $by,
            "t.side, t.kind, CAST(SUM(t.n) AS BIGINT), CAST(SUM(CASE WHEN ",
            $at,
            "$1 THEN t.n ELSE 0 END) AS BIGINT), CAST(SUM(CASE WHEN ",
            $at,
            "$2 THEN t.n ELSE 0 END) AS BIGINT) FROM ",
            $from,
            " GROUP BY ",
            $by,
            "t.side, t.kind"
        )
    };
}
const TALLIES: &str = sums!("t.at > ", "tallies t WHERE t.at > $3 AND t.account = $4");
static TALLIES_OF_EACH: LazyLock<String> = LazyLock::new(|| {
    sums!("t.account, ", "t.at > ", "tallies t WHERE t.at > $3 AND t.account IN (<ids>)")
        .replace("<ids>", &placeholders(4))
});
/// Of all accounts: what is not in whole hours yet, what is, and what is of the hour in which a span begins.
const NOT_IN_HOURS: &str =
    sums!("t.at > ", "tallies t WHERE t.at > $3 AND t.at >= COALESCE((SELECT MAX(d.until) FROM hours_until d), 0)");
const IN_HOURS: &str = sums!("t.hour >= ", "hours t WHERE t.hour >= $3");
const IN_PART: &str = "SELECT t.side, t.kind, CAST(SUM(t.n) AS BIGINT) FROM tallies t WHERE t.at > $1 AND t.at < $2 \
     AND t.at < COALESCE((SELECT MAX(d.until) FROM hours_until d), 0) GROUP BY t.side, t.kind";

/// The hour of that time.
pub(super) fn hour_of(at: i64) -> i64 {
    at - at.rem_euclid(HOUR)
}

/// Adds up the hours that have passed. What is counted late adds itself ([`super::log::store`]).
pub(super) async fn add_up(store: &SqlStore<impl Driver>, now: Timestamp) -> Result<(), StoreError> {
    const UNTIL: &str = "SELECT COALESCE(MAX(d.until), 0) FROM hours_until d";
    const ADD_UP: &str = "INSERT INTO hours (hour, side, kind, n) SELECT t.at - t.at % 3600000, t.side, t.kind, \
         CAST(SUM(t.n) AS BIGINT) FROM tallies t WHERE t.at >= $1 AND t.at < $2 \
         GROUP BY t.at - t.at % 3600000, t.side, t.kind";
    const DONE: &str = "INSERT INTO hours_until (one, until) VALUES (1, $1) ON CONFLICT (one) \
         DO UPDATE SET until = excluded.until WHERE hours_until.until = $2";
    const FORGET: &str = "DELETE FROM hours WHERE hour < $1";
    let rows = store.one(Stmt::new(UNTIL, Vec::new())).await?;
    let until = rows.first().map(|mut row| row.int()).transpose()?.unwrap_or_default();
    // The hour that has just ended may still get its last operations.
    let to = hour_of(now.plus(-HOUR).0);
    if until >= to {
        return Ok(());
    }
    let first = hour_of(now.plus(-31 * 24 * HOUR).0);
    let batch = vec![
        Stmt::new(DONE, args![to, until]).must("another daemon has added up"),
        Stmt::new(ADD_UP, args![until.max(first), to]),
        Stmt::new(FORGET, args![first]),
    ];
    match store.run(batch).await {
        Ok(_) | Err(StoreError::Stale(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Where such a count stands.
fn place<'a>(recent: &'a mut Recent, side: &str, kind: &str) -> Result<&'a mut u64, StoreError> {
    let counts: &mut Counts = if side == "local" { &mut recent.local } else { &mut recent.remote };
    match kind {
        "added" => Ok(&mut counts.added),
        "updated" => Ok(&mut counts.updated),
        "deleted" => Ok(&mut counts.deleted),
        other => Err(StoreError::Broken(format!("'{other}' is no kind of change"))),
    }
}
