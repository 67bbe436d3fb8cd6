//! Recounts what is stored twice, and says what does not agree.

use super::super::StoreError;
use super::super::driver::{Driver, Stmt};
use super::derive::{PERSONS_PAGE, RECORDS_PAGE, hash, keys, keys_of};
use super::log::{self, Confirmed};
use super::rows::parse;
use super::{SqlStore, args, words};
use crate::card::Card;
use crate::crm::person::Person;
use crate::ids::OpId;

const PAGE: usize = 500;
/// More than that is not told: one kind of damage is one thing to mend.
const MOST: usize = 100;

/// Everything that does not agree.
pub(super) async fn check(store: &SqlStore<impl Driver>) -> Result<Vec<String>, StoreError> {
    let mut wrong = Vec::new();
    rules(store, &mut wrong).await?;
    persons(store, &mut wrong).await?;
    records(store, &mut wrong).await?;
    tallies(store, &mut wrong).await?;
    wrong.truncate(MOST);
    Ok(wrong)
}

/// Queries that find nothing in a sound store, with what they find.
const RULES: &[(&str, &str)] = &[
    (
        "a mark for a person that is not there, or of a revision that it has not reached",
        "SELECT d.person FROM dirty d WHERE NOT EXISTS \
         (SELECT 1 FROM persons p WHERE p.id = d.person AND p.revision >= d.revision)",
    ),
    (
        "a mark in an account that is not there",
        "SELECT d.account FROM dirty d WHERE NOT EXISTS (SELECT 1 FROM accounts a WHERE a.id = d.account)",
    ),
    (
        "an intent of another account or person than its link",
        "SELECT i.id FROM intents i JOIN links l ON l.id = i.link WHERE l.account <> i.account OR l.person <> i.person",
    ),
    (
        "an open create whose token is not remembered",
        "SELECT i.id FROM intents i WHERE i.creates AND NOT EXISTS \
         (SELECT 1 FROM tokens t WHERE t.token = i.token AND t.link = i.link)",
    ),
    (
        "words of a person that is not there",
        "SELECT w.person FROM words w WHERE NOT EXISTS (SELECT 1 FROM persons p WHERE p.id = w.person)",
    ),
    (
        "match keys of a person that is not in use",
        "SELECT k.person FROM person_keys k WHERE NOT EXISTS \
         (SELECT 1 FROM persons p WHERE p.id = k.person AND p.state = 'live')",
    ),
    (
        "match keys of a record that is not present",
        "SELECT k.remote FROM seen_keys k WHERE NOT EXISTS \
         (SELECT 1 FROM seen s WHERE s.account = k.account AND s.remote = k.remote AND s.kind = 'present')",
    ),
    (
        "a number of people in sync that is not theirs",
        "SELECT a.id FROM accounts a WHERE COALESCE((SELECT n.people FROM in_sync n WHERE n.account = a.id), 0) <> \
         (SELECT COUNT(*) FROM links l JOIN seen s ON s.account = l.account AND s.remote = l.remote \
         WHERE l.account = a.id AND l.rank < 2 AND l.rank = 0 AND l.state = 'live' AND s.kind = 'present')",
    ),
    (
        "an hour whose sum is not that of its tallies",
        "SELECT CAST(h.hour AS TEXT) FROM hours h WHERE h.n <> (SELECT COALESCE(SUM(t.n), 0) FROM tallies t \
         WHERE t.at >= h.hour AND t.at < h.hour + 3600000 AND t.side = h.side AND t.kind = h.kind)",
    ),
    (
        "tallies of an hour that lacks them",
        "SELECT t.op FROM tallies t WHERE t.at >= (SELECT MIN(h.hour) FROM hours h) \
         AND t.at < (SELECT MAX(d.until) FROM hours_until d) AND NOT EXISTS (SELECT 1 FROM hours h \
         WHERE h.hour = t.at - t.at % 3600000 AND h.side = t.side AND h.kind = t.kind)",
    ),
    (
        "tallies of an operation that is not there",
        "SELECT t.op FROM tallies t WHERE NOT EXISTS (SELECT 1 FROM operations o WHERE o.id = t.op)",
    ),
];

async fn rules(store: &SqlStore<impl Driver>, wrong: &mut Vec<String>) -> Result<(), StoreError> {
    for (what, sql) in RULES {
        let found = store.one(Stmt::new(sql, Vec::new())).await?;
        for mut row in found.iter().take(MOST) {
            wrong.push(format!("{what}: {}", row.text()?));
        }
    }
    Ok(())
}

async fn persons(store: &SqlStore<impl Driver>, wrong: &mut Vec<String>) -> Result<(), StoreError> {
    const COLUMNS: &str = "SELECT p.revision, p.owner, p.state FROM persons p WHERE p.id = $1";
    const KEYS: &str =
        "SELECT k.hash, k.strength FROM person_keys k WHERE k.hash = $1 AND k.strength = $2 AND k.person = $3";
    const WORDS: &str = "SELECT w.word FROM words w WHERE w.word = $1 AND w.person = $2";
    const FOLLOWERS: &str = "SELECT f.follower FROM followers f WHERE f.person = $1";
    let counts =
        [("match keys", "SELECT COUNT(*) FROM person_keys", 0_u64), ("words", "SELECT COUNT(*) FROM words", 0)];
    let mut expected = counts;
    let mut after = String::new();
    loop {
        let page = store.one(Stmt::new(PERSONS_PAGE, args![after.as_str(), PAGE as i64])).await?;
        for mut row in page.iter() {
            after = row.text()?.to_owned();
            let person: Person = row.json()?;
            let (keys, words) = (keys_of(&person), words::of_person(&person));
            expected[0].2 += keys.len() as u64;
            expected[1].2 += words.len() as u64;
            let mut batch = vec![Stmt::new(COLUMNS, args![person.id]), Stmt::new(FOLLOWERS, args![person.id])];
            batch.extend(keys.iter().map(|key| Stmt::new(KEYS, args![key.0, key.1, person.id])));
            let at = batch.len();
            batch.extend(words.into_iter().map(|word| Stmt::new(WORDS, args![word, person.id])));
            let answers = store.run(batch).await?;
            if let Some(mut row) = answers.first().and_then(|rows| rows.first()) {
                let agrees = row.int()? == person.revision.0
                    && row.text()? == person.owner.to_string()
                    && row.text()? == words::person_word(person.state);
                if !agrees {
                    wrong.push(format!("person {after}: its columns differ from its document"));
                }
            }
            let followers: std::collections::BTreeSet<_> = person.followers.iter().collect();
            if answers.get(1).is_some_and(|rows| rows.touched != followers.len() as u64) {
                wrong.push(format!("person {after}: its followers differ from its document"));
            }
            let missing = |rows: &super::Rows| rows.touched == 0;
            if answers.iter().take(at).skip(2).any(missing) {
                wrong.push(format!("person {after}: a match key is missing"));
            }
            if answers.iter().skip(at).any(missing) {
                wrong.push(format!("person {after}: a word is missing"));
            }
        }
        if page.touched < PAGE as u64 {
            break;
        }
    }
    for (what, sql, count) in expected {
        let stored = store.one(Stmt::new(sql, Vec::new()).must("a count")).await?;
        let stored = stored.first().map(|mut row| row.count()).transpose()?.unwrap_or_default();
        if stored != count {
            wrong.push(format!("{stored} {what} of people are stored, and {count} follow from their content"));
        }
    }
    Ok(())
}

async fn records(store: &SqlStore<impl Driver>, wrong: &mut Vec<String>) -> Result<(), StoreError> {
    const KEYS: &str = "SELECT k.hash, k.strength FROM seen_keys k WHERE k.account = $1 AND k.remote = $2 \
         ORDER BY k.hash, k.strength";
    let (mut account, mut after) = (String::new(), String::new());
    loop {
        let page = store.one(Stmt::new(RECORDS_PAGE, args![account.as_str(), after.as_str(), PAGE as i64])).await?;
        for mut row in page.iter() {
            account = row.text()?.to_owned();
            after = row.text()?.to_owned();
            let body = row.text()?;
            if row.int()? != hash([body]) {
                wrong.push(format!("account {account}: a record's hash differs from its content"));
            }
            let card: Card = parse(body)?;
            let stored = store.one(Stmt::new(KEYS, args![account.as_str(), after.as_str()])).await?;
            let stored =
                stored.iter().map(|mut row| Ok((row.int()?, row.int()?))).collect::<Result<Vec<_>, StoreError>>()?;
            if stored != keys(&card) {
                wrong.push(format!("account {account}: a record's match keys differ from its content"));
            }
        }
        if page.touched < PAGE as u64 {
            return Ok(());
        }
    }
}

async fn tallies(store: &SqlStore<impl Driver>, wrong: &mut Vec<String>) -> Result<(), StoreError> {
    const SQL: &str = "SELECT COALESCE(CAST(SUM(t.n) AS BIGINT), 0) FROM tallies t WHERE t.account = $1 AND t.at = $2 \
         AND t.op = $3 AND t.side = $4 AND t.kind = $5";
    const TALLIED: &str = "SELECT COALESCE(CAST(SUM(t.n) AS BIGINT), 0) FROM tallies t";
    let mut after: Option<OpId> = None;
    let mut total = 0_u64;
    loop {
        let page = log::all(store, after, PAGE).await?;
        for operation in &page {
            after = Some(operation.id);
            let counted = log::tally(operation, &Confirmed::new());
            let stmt = |of: &log::Counted| {
                Stmt::new(SQL, args![of.0, operation.at, operation.id, of.1.word(), of.2.word()]).must("a sum")
            };
            let answers = store.run(counted.keys().map(stmt).collect()).await?;
            for (n, rows) in counted.values().zip(&answers) {
                total += n;
                if rows.first().map(|mut row| row.count()).transpose()? != Some(*n) {
                    wrong.push(format!("operation {}: its tallies differ from its effects", operation.id));
                }
            }
        }
        if page.len() < PAGE {
            break;
        }
    }
    let stored = store.one(Stmt::new(TALLIED, Vec::new()).must("a sum")).await?;
    let stored = stored.first().map(|mut row| row.count()).transpose()?.unwrap_or_default();
    if stored != total {
        wrong.push(format!("{stored} changes are tallied, and {total} follow from the operations"));
    }
    Ok(())
}
