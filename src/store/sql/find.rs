//! Searches: people by the words that they are found by.
//!
//! Owns: with which word a search begins, and where it looks. Must not: decide who is seen; whoever is found is shown only if
//! [`documents`] says so.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use super::super::driver::{Driver, Stmt};
use super::super::{PersonQuery, StoreError};
use super::people::{AT_ONCE, documents, ids, listed, placeholders, places};
use super::words::{Place, end_of, said_of};
use super::{SqlStore, args, at_most};
use crate::crm::person::Person;
use crate::ids::PersonId;

/// As many words of a query as that are looked for, the longest first.
const WORDS: usize = 4;

/// From which numbers on it is looked for in another way. What is found is the same with any.
#[derive(Clone, Copy)]
struct Limits {
    /// A word that fewer have is looked up, and whoever has it is looked at.
    few: usize,
    /// The same where only some people are asked for: who has the word and is not among them is looked at in vain.
    few_of_some: usize,
    /// So many more for each place that would have to be asked instead: a place costs as much as so many people.
    few_for_place: usize,
    /// Who have a word that fewer have are put in order.
    some: usize,
    /// A word that is no more than so many words in full is looked up as these: who has one of them stands in order already.
    spellings: usize,
    /// A word that more have is not put in order where it can be helped.
    many: usize,
    /// So many people are passed in the hope to come upon those with a word that is not known to be rare, as long as enough of
    /// them have it. They may all stand at the end: a company that was imported last.
    passed: usize,
}
const LIMITS: Limits =
    Limits { few: 1500, few_of_some: 100, few_for_place: 5, some: 8_000, spellings: 8, many: 40_000, passed: 2_000 };

const HOW_MANY: &str = "SELECT COUNT(*) FROM (SELECT 1 FROM words w WHERE w.word >= $1 AND w.word < $2 LIMIT $3) c";
const WITH_WORD: &str =
    "SELECT w.person FROM words w WHERE w.word >= $1 AND w.word < $2 AND w.person > $3 ORDER BY w.person LIMIT $4";
const WITH_EXACTLY: &str =
    "SELECT w.person FROM words w WHERE w.word = $1 AND w.person > $2 ORDER BY w.person LIMIT $3";
/// The same of many words at once; who have them are put in order.
static WITH_ANY: LazyLock<String> = LazyLock::new(|| {
    let (person, most) = (AT_ONCE + 1, AT_ONCE + 2);
    let words = placeholders(1);
    format!(
        "SELECT w.person FROM words w WHERE w.word IN ({words}) AND w.person > ${person} ORDER BY w.person LIMIT ${most}"
    )
});
/// The words that begin so, from one to the next, and one more than are wanted.
const SPELLINGS: &str = "WITH RECURSIVE s(word, n) AS (SELECT MIN(w.word), 0 FROM words w \
     WHERE w.word >= $1 AND w.word < $2 UNION ALL SELECT (SELECT MIN(w.word) FROM words w WHERE w.word > s.word AND w.word < $2), \
     s.n + 1 FROM s WHERE s.word IS NOT NULL AND s.n < $3) SELECT s.word FROM s WHERE s.word IS NOT NULL";
/// Of those, whoever has another word too: the index tells, and nobody's document is read in vain.
const WITH_BOTH: &str = "SELECT w.person FROM words w WHERE w.word >= $1 AND w.word < $2 AND w.person > $3 AND w.person IN \
     (SELECT v.person FROM words v WHERE v.word >= $4 AND v.word < $5 AND v.person > $3) ORDER BY w.person LIMIT $6";

/// Those who have a word that begins with each of these.
pub(super) async fn found(
    store: &SqlStore<impl Driver>,
    query: &PersonQuery,
    words: Vec<String>,
) -> Result<Vec<Person>, StoreError> {
    found_by(LIMITS, store, query, words).await
}

async fn found_by(
    limits: Limits,
    store: &SqlStore<impl Driver>,
    query: &PersonQuery,
    mut words: Vec<String>,
) -> Result<Vec<Person>, StoreError> {
    words.truncate(WORDS);
    let places = places(store, query).await?;
    let few = match &places {
        Some(places) => limits.few.min(limits.few_of_some + limits.few_for_place * places.len()),
        None => limits.few,
    };
    let counts = how_many(store, &words, limits.some.max(few)).await?;
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
    let mut look = look(limits, store, words, &counts, places.as_deref()).await?;
    if !look.many {
        return begun(limits, store, query, &look).await;
    }
    match passed(limits, store, query, &look.words).await? {
        (people, None) => Ok(people),
        (mut people, after) => {
            if places.is_none() {
                let counts = how_many(store, &look.words, limits.many).await?;
                look.begin_with(rarest(&counts, limits.many).unwrap_or_default());
            }
            let limit = query.limit.saturating_sub(people.len());
            people.extend(begun(limits, store, &PersonQuery { after, limit, ..query.clone() }, &look).await?);
            Ok(people)
        }
    }
}

/// With what to look where no word is had by few.
struct Look {
    words: Vec<String>,
    /// Which of them it begins with.
    first: usize,
    /// With what its words begin, in each place.
    starts: Vec<String>,
    /// All its words in full, in each place, if they are few.
    spellings: Option<Vec<String>>,
    /// So many may have it that one comes upon them soon.
    many: bool,
}

impl Look {
    /// Begins with that word everywhere.
    fn begin_with(&mut self, which: usize) {
        self.first = which;
        self.starts = self.words.get(which).cloned().into_iter().collect();
    }
}

/// The one that the fewest have, among those that fewer have than that.
fn rarest(counts: &[u64], most: usize) -> Option<usize> {
    let known = counts.iter().enumerate().filter(|(_, n)| **n < most as u64);
    known.min_by_key(|(_, n)| **n).map(|(which, _)| which)
}

async fn look(
    limits: Limits,
    store: &SqlStore<impl Driver>,
    words: Vec<String>,
    counts: &[u64],
    places: Option<&[String]>,
) -> Result<Look, StoreError> {
    let first = rarest(counts, limits.some);
    let mut look = Look { words, first: 0, starts: Vec::new(), spellings: None, many: false };
    let Some(places) = places else {
        look.begin_with(first.unwrap_or_default());
        if first.is_none() {
            look.many = true;
            for which in 0..look.words.len() {
                look.spellings = spelled(limits, store, &look.words[which]).await?;
                if look.spellings.is_some() {
                    look.begin_with(which);
                    look.many = false;
                    break;
                }
            }
        }
        return Ok(look);
    };
    look.first = first.unwrap_or_default();
    let word = look.words.get(look.first).map(String::as_str).unwrap_or_default();
    look.starts = places.iter().map(|place| format!("{place}{word}")).collect();
    if first.is_none() {
        // In each place one asks for each of them, so that fewer of them are many.
        let fewer = Limits { spellings: limits.spellings / 2, ..limits };
        if let Some(words) = spelled(fewer, store, word).await? {
            let all = places.iter().flat_map(|place| words.iter().map(move |word| format!("{place}{word}")));
            look.spellings = Some(all.collect());
        }
        // Many of all may be few of these. Where there are several places, the company's is the one that holds more than a few
        // users' people.
        let company = Place::Company.start();
        let large = places.iter().zip(&look.starts).filter(|(place, _)| places.len() == 1 || **place == company);
        let large: Vec<String> = large.map(|(_, start)| start.clone()).collect();
        look.many = how_many(store, &large, limits.many).await?.iter().any(|n| *n >= limits.many as u64);
    }
    Ok(look)
}

/// The words that begin so, if they are few.
async fn spelled(
    limits: Limits,
    store: &SqlStore<impl Driver>,
    start: &str,
) -> Result<Option<Vec<String>>, StoreError> {
    let rows = store.one(Stmt::new(SPELLINGS, args![start, end_of(start), at_most(limits.spellings)])).await?;
    let words = ids(&rows)?;
    Ok(Some(words).filter(|words| words.len() <= limits.spellings))
}

/// Another word that not too many have, the rarest: whoever has both is told by the index.
async fn other(limits: Limits, store: &SqlStore<impl Driver>, look: &Look) -> Result<Option<String>, StoreError> {
    let others: Vec<String> =
        look.words.iter().enumerate().filter(|(which, _)| *which != look.first).map(|(_, word)| word.clone()).collect();
    if others.is_empty() {
        return Ok(None);
    }
    let counts = how_many(store, &others, limits.many).await?;
    let known = others.into_iter().zip(counts).filter(|(_, n)| *n < limits.many as u64);
    Ok(known.min_by_key(|(_, n)| *n).map(|(word, _)| word))
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

fn with_exactly(word: &str, after: &str, most: usize) -> Stmt {
    Stmt::new(WITH_EXACTLY, args![word, after, at_most(most)])
}

fn with_any(words: &[String], after: &str, most: usize) -> Stmt {
    let all = words.iter().chain(std::iter::repeat(&words[0])).take(AT_ONCE).map(|word| word.as_str().into());
    Stmt::new(&WITH_ANY, all.chain(args![after, at_most(most)]).collect())
}

fn with_both(start: &str, other: &str, after: &str, most: usize) -> Stmt {
    Stmt::new(WITH_BOTH, args![start, end_of(start), after, other, end_of(other), at_most(most)])
}

/// Those among whose words is one that begins with any of the starts, page by page.
async fn begun(
    limits: Limits,
    store: &SqlStore<impl Driver>,
    query: &PersonQuery,
    look: &Look,
) -> Result<Vec<Person>, StoreError> {
    let Look { words, first: _, starts, spellings, many: _ } = look;
    let page = query.limit.saturating_mul(4).max(AT_ONCE);
    let mut after = query.after.map(|id| id.to_string()).unwrap_or_default();
    let mut people: Vec<Person> = Vec::new();
    // Most who have one word may have the other too, and then the first page is enough.
    let mut another: Option<Option<String>> = None;
    loop {
        let batch = match (&another, spellings) {
            (Some(Some(other)), _) => starts.iter().map(|start| with_both(start, other, &after, page)).collect(),
            (_, Some(words)) if words.len() <= limits.spellings => {
                words.iter().map(|word| with_exactly(word, &after, page)).collect()
            }
            (_, Some(words)) => words.chunks(AT_ONCE).map(|words| with_any(words, &after, page)).collect(),
            _ => starts.iter().map(|start| with_word(start, &after, page)).collect(),
        };
        let answers = store.run(batch).await?;
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
        if another.is_none() {
            another = Some(other(limits, store, look).await?);
        }
    }
}

/// All who are asked for are passed, and those who have the words are taken; with the last one who was passed, if there
/// may be more behind.
async fn passed(
    limits: Limits,
    store: &SqlStore<impl Driver>,
    query: &PersonQuery,
    words: &[String],
) -> Result<(Vec<Person>, Option<PersonId>), StoreError> {
    // Each page of what somebody may see is put together from many places: rather few and large ones.
    let times = if query.viewer.is_some() { 8 } else { 2 };
    let limit = query.limit.saturating_mul(times).clamp(AT_ONCE, 2000).min(limits.passed);
    let mut listing = PersonQuery { text: None, limit, ..query.clone() };
    let mut people: Vec<Person> = Vec::new();
    let mut passed = 0;
    while people.len() < query.limit {
        let page = listed(store, &listing).await?;
        let Some(last) = page.last() else { return Ok((people, None)) };
        listing.after = Some(last.id);
        passed += page.len();
        people.extend(page.into_iter().filter(|person| has(person, words)));
        // So few that a page would not be full by then?
        let hopeless = people.len().saturating_mul(limits.passed) < query.limit.saturating_mul(passed) / 2;
        if people.len() < query.limit && (passed >= limits.passed || hopeless) {
            return Ok((people, listing.after));
        }
    }
    people.truncate(query.limit);
    Ok((people, None))
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
    for some in candidates.chunks(query.limit.clamp(AT_ONCE, 2 * AT_ONCE)) {
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

#[cfg(test)]
mod tests {
    use super::super::words::of_query;
    use super::*;
    use crate::card::Card;
    use crate::crm::access::{Item, decide};
    use crate::crm::person::{PersonState, VisibleTo};
    use crate::crm::users::{Directory, User};
    use crate::ids::{Revision, Timestamp, UserId};
    use crate::store::sqlite::Sqlite;
    use crate::store::{Change, Commit, Store as _};

    /// Every way of looking, since with these limits a few hundred people are many.
    const FEW: Limits =
        Limits { few: 1, few_of_some: 1, few_for_place: 0, some: 1, spellings: 0, many: 1, passed: usize::MAX };
    const WAYS: [Limits; 10] = [
        LIMITS,
        FEW,
        Limits { passed: 30, ..FEW },
        Limits { many: 1000, passed: 30, ..FEW },
        Limits { few: 20, few_of_some: 5, few_for_place: 2, some: 30, many: 60, passed: 50, ..FEW },
        Limits { many: 120, passed: 1, ..FEW },
        Limits { spellings: 2, many: 120, passed: 30, ..FEW },
        Limits { spellings: 30, ..FEW },
        Limits { spellings: 30, many: 1000, ..FEW },
        Limits { some: 1000, ..FEW },
    ];

    fn user(n: u128) -> User {
        User {
            id: UserId::from(uuid::Uuid::from_u128(n)),
            name: format!("User {n}"),
            email: format!("user{n}@example.com"),
            role: None,
            admin: n == 1,
            restricted: n == 2,
            sees_followed_users: false,
            follows: BTreeSet::new(),
            active: true,
        }
    }

    /// Names of few syllables, so that they begin alike; whoever is of the last company came last.
    fn person(n: u128) -> Person {
        let names = ["Ana", "Anna", "Annabel", "Bo", "Bob", "Berta", "An"];
        let given = names[usize::try_from(n % 7).unwrap()];
        let family = names[usize::try_from(n / 7 % 7).unwrap()];
        let middle = (n >= 250).then(|| "Last".to_owned());
        Person {
            id: PersonId::from(uuid::Uuid::from_u128(n << 64 | 1000)),
            revision: Revision(1),
            card: Card {
                given: Some(given.to_owned()),
                middle,
                family: Some(format!("{family}{}", n % 11)),
                ..Card::default()
            },
            times: Default::default(),
            custom: Default::default(),
            owner: user(1 + n % 3).id,
            visible_to: if n.is_multiple_of(5) { VisibleTo::Company } else { VisibleTo::Owner },
            followers: if n.is_multiple_of(13) { vec![user(3).id] } else { Vec::new() },
            state: if n.is_multiple_of(9) {
                PersonState::Trashed { at: Timestamp(0), by: None }
            } else {
                PersonState::Live
            },
            created: Timestamp(0),
            updated: Timestamp(0),
        }
    }

    #[tokio::test]
    async fn every_way_finds_whom_looking_at_everybody_finds() {
        let store = SqlStore::open(Sqlite::memory().unwrap()).await.unwrap();
        let users: Vec<User> = (1..=3).map(user).collect();
        let directory = Directory { users: users.iter().map(|u| (u.id, u.clone())).collect(), ..Directory::default() };
        let all: Vec<Person> = (1..=280).map(person).collect();
        let mut changes: Vec<Change> = users.iter().cloned().map(Change::PutUser).collect();
        changes.extend(all.iter().cloned().map(|one| Change::PutPerson(Box::new(one))));
        store.commit(Commit { changes, ..Commit::new(None, Timestamp(0)) }).await.unwrap();

        let viewers: Vec<Option<UserId>> = users.iter().map(|user| Some(user.id)).chain([None]).collect();
        let mut found_somebody = 0;
        for text in [
            "a",
            "b",
            "an",
            "anna",
            "ann b",
            "bo an",
            "b a",
            "last",
            "last bob",
            "berta3",
            "annabel10 last",
            "x",
            "a x",
        ] {
            let words = of_query(text);
            for (viewer, owner) in viewers.iter().flat_map(|v| [(*v, None), (*v, Some(users[2].id))]) {
                for (trashed, limit) in [(false, 7), (false, 100), (true, 7)] {
                    let seen = |one: &&Person| {
                        let item = Item::from(*one);
                        viewer.is_none_or(|viewer| decide(viewer, item, &directory).allows())
                            && owner.is_none_or(|owner| one.owner == owner)
                            && one.is_live() != trashed
                            && has(one, &words)
                    };
                    let expected: Vec<PersonId> = all.iter().filter(seen).map(|one| one.id).collect();
                    found_somebody += usize::from(!expected.is_empty());
                    for (way, limits) in WAYS.into_iter().enumerate() {
                        let mut query = PersonQuery { viewer, owner, trashed, limit, ..PersonQuery::default() };
                        let mut found: Vec<PersonId> = Vec::new();
                        loop {
                            let page = found_by(limits, &store, &query, words.clone()).await.unwrap();
                            assert!(page.len() <= limit);
                            query.after = page.last().map(|last| last.id);
                            found.extend(page.iter().map(|one| one.id));
                            if page.len() < limit {
                                break;
                            }
                        }
                        assert_eq!(found, expected, "'{text}' for {viewer:?} of {owner:?}, way {way}");
                    }
                }
            }
        }
        assert!(found_somebody > 100, "{found_somebody}");
    }
}
