//! Searches: people by the words that they are found by.
//!
//! Owns: with which word a search begins, and where it looks. Must not: decide who is seen; whoever is found is shown only if
//! [`documents`] says so.

use std::collections::BTreeSet;

use super::super::driver::{Driver, Stmt};
use super::super::{PersonQuery, StoreError};
use super::people::{AT_ONCE, documents, ids, listed, places};
use super::words::{end_of, said_of};
use super::{SqlStore, args, at_most};
use crate::crm::person::Person;

/// As many words of a query as that are looked for, the longest first.
const WORDS: usize = 4;
/// A word that fewer have is looked up, and whoever has it is looked at.
const FEW: usize = 1500;
/// The same where only some people are asked for: who has the word and is not among them is looked at in vain.
const FEW_OF_SOME: usize = 100;
/// A word that more have is not looked up at all: one comes upon them soon.
const MANY: usize = 40_000;

const HOW_MANY: &str = "SELECT COUNT(*) FROM (SELECT 1 FROM words w WHERE w.word >= $1 AND w.word < $2 LIMIT $3) c";
const WITH_WORD: &str =
    "SELECT w.person FROM words w WHERE w.word >= $1 AND w.word < $2 AND w.person > $3 ORDER BY w.person LIMIT $4";

/// Those who have a word that begins with each of these.
pub(super) async fn found(
    store: &SqlStore<impl Driver>,
    query: &PersonQuery,
    mut words: Vec<String>,
) -> Result<Vec<Person>, StoreError> {
    words.truncate(WORDS);
    let places = places(store, query).await?;
    let few = if places.is_some() { FEW_OF_SOME } else { FEW };
    let counts = how_many(store, &words, few).await?;
    let rare: Vec<&String> =
        words.iter().zip(&counts).filter(|(_, n)| **n < few as u64).map(|(word, _)| word).collect();
    if !rare.is_empty() {
        let after = query.after.map(|id| id.to_string()).unwrap_or_default();
        let mut candidates: Option<BTreeSet<String>> = None;
        let batch = rare.into_iter().map(|word| with_word(word, &after, few)).collect();
        for rows in &store.run(batch).await? {
            let ids: BTreeSet<String> = ids(rows)?.into_iter().collect();
            candidates = Some(match candidates {
                Some(known) => known.intersection(&ids).cloned().collect(),
                None => ids,
            });
        }
        return looked_at(store, query, candidates.unwrap_or_default(), &words).await;
    }
    match starts(store, &words, places.as_deref()).await? {
        Some(starts) => begun(store, query, &words, &starts).await,
        None => passed(store, query, &words).await,
    }
}

/// The beginnings of words with which to look: of the rarest word, in each place. `None` = so many have it that one comes
/// upon them soon.
async fn starts(
    store: &SqlStore<impl Driver>,
    words: &[String],
    places: Option<&[String]>,
) -> Result<Option<Vec<String>>, StoreError> {
    let counts = how_many(store, words, MANY).await?;
    let rarest = words.iter().zip(&counts).filter(|(_, n)| **n < MANY as u64).min_by_key(|(_, n)| **n);
    match (rarest.map(|(word, _)| word), places) {
        (rarest, None) => Ok(rarest.map(|word| vec![word.clone()])),
        (rarest, Some(places)) => {
            let Some(word) = rarest.or(words.first()) else { return Ok(None) };
            let starts: Vec<String> = places.iter().map(|place| format!("{place}{word}")).collect();
            // Many of all may be few of these.
            if rarest.is_none() && how_many(store, &starts, MANY).await?.iter().sum::<u64>() >= MANY as u64 {
                return Ok(None);
            }
            Ok(Some(starts))
        }
    }
}

/// How many have a word that begins with each of these, counted no further than that.
async fn how_many(store: &SqlStore<impl Driver>, starts: &[String], most: usize) -> Result<Vec<u64>, StoreError> {
    let count =
        |start: &String| Stmt::new(HOW_MANY, args![start.as_str(), end_of(start), at_most(most)]).must("a count");
    let answers = store.run(starts.iter().map(count).collect()).await?;
    answers.iter().map(|rows| rows.first().map_or(Ok(0), |mut row| row.count())).collect()
}

fn with_word(start: &str, after: &str, most: usize) -> Stmt {
    Stmt::new(WITH_WORD, args![start, end_of(start), after, at_most(most)])
}

/// Those among whose words is one that begins with any of `starts`, page by page.
async fn begun(
    store: &SqlStore<impl Driver>,
    query: &PersonQuery,
    words: &[String],
    starts: &[String],
) -> Result<Vec<Person>, StoreError> {
    let page = query.limit.saturating_mul(4).max(AT_ONCE);
    let mut after = query.after.map(|id| id.to_string()).unwrap_or_default();
    let mut people: Vec<Person> = Vec::new();
    loop {
        let answers = store.run(starts.iter().map(|start| with_word(start, &after, page)).collect()).await?;
        // Several words of one person may begin so, and one may stand in several places.
        let mut those = BTreeSet::new();
        // As far as every place has been looked through.
        let mut until: Option<String> = None;
        for rows in &answers {
            let ids = ids(rows)?;
            if let Some(last) = ids.last().filter(|_| ids.len() >= page)
                && until.as_ref().is_none_or(|until| last < until)
            {
                until = Some(last.clone());
            }
            those.extend(ids);
        }
        if let Some(until) = &until {
            those.retain(|id| id <= until);
        }
        let left = query.limit.saturating_sub(people.len());
        people.extend(looked_at(store, &PersonQuery { limit: left, ..query.clone() }, those, words).await?);
        match until {
            Some(until) if people.len() < query.limit => after = until,
            _ => return Ok(people),
        }
    }
}

/// All who are asked for are passed, and those who have the words are taken.
async fn passed(
    store: &SqlStore<impl Driver>,
    query: &PersonQuery,
    words: &[String],
) -> Result<Vec<Person>, StoreError> {
    // Each page of what somebody may see is put together from many places: rather few and large ones.
    let times = if query.viewer.is_some() { 8 } else { 2 };
    let limit = query.limit.saturating_mul(times).clamp(AT_ONCE, 2000);
    let mut listing = PersonQuery { text: None, limit, ..query.clone() };
    let mut people: Vec<Person> = Vec::new();
    while people.len() < query.limit {
        let page = listed(store, &listing).await?;
        let Some(last) = page.last() else { break };
        listing.after = Some(last.id);
        people.extend(page.into_iter().filter(|person| has(person, words)));
    }
    people.truncate(query.limit);
    Ok(people)
}

/// Those of these people who are asked for, and have the words.
async fn looked_at(
    store: &SqlStore<impl Driver>,
    query: &PersonQuery,
    candidates: BTreeSet<String>,
    words: &[String],
) -> Result<Vec<Person>, StoreError> {
    let candidates: Vec<String> = candidates.into_iter().collect();
    let mut people = Vec::new();
    for some in candidates.chunks(query.limit.clamp(AT_ONCE, 8 * AT_ONCE)) {
        let page = documents(store, query, some).await?;
        people.extend(page.into_iter().filter(|person| has(person, words)));
        if people.len() >= query.limit {
            people.truncate(query.limit);
            break;
        }
    }
    Ok(people)
}

/// Whether a word of the person begins with each of these.
fn has(person: &Person, words: &[String]) -> bool {
    let own = said_of(person);
    words.iter().all(|word| own.iter().any(|own| own.starts_with(word.as_str())))
}
