//! The journal of requests: what was asked and what it did, so that a test can say "exactly one create".
//!
//! Owns: the record and the questions to it. Must not: keep a credential or a body; a body is only a length and a hash.
//! Start reading at [`Record`].

use std::collections::VecDeque;

use serde::Serialize;

use crate::book::content_hash;

/// How many records are kept; older ones only count in [`Journal::len`].
const KEPT: usize = 200_000;

/// The request headers that are kept. `Authorization` and cookies are never among them.
const HEADERS: [&str; 12] = [
    "accept",
    "accept-encoding",
    "brief",
    "content-length",
    "content-type",
    "depth",
    "expect",
    "host",
    "if-match",
    "if-none-match",
    "prefer",
    "user-agent",
];

/// What a request did to the stored state, whether or not the client ever heard of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It created this id.
    Created(String),
    /// It replaced this id.
    Updated(String),
    /// It removed this id.
    Deleted(String),
    /// It read content: so many entries.
    Read(usize),
    /// It listed versions without content: so many rows.
    Listed(usize),
}

impl Effect {
    /// Whether it changed anything.
    #[must_use]
    pub fn is_write(&self) -> bool {
        matches!(self, Self::Created(_) | Self::Updated(_) | Self::Deleted(_))
    }
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Record {
    /// Its number, from 0.
    pub number: usize,
    /// Who asked; empty when nobody had signed in.
    pub user: String,
    /// Which of the mock's origins was asked, such as `entry`.
    pub origin: &'static str,
    /// The method.
    pub method: String,
    /// The path as it was sent, without the query.
    pub path: String,
    /// The query as it was sent, where it holds no secrets; empty where none is kept.
    pub query: String,
    /// The headers worth keeping, in small letters.
    pub headers: Vec<(String, String)>,
    /// Whether credentials were sent along, of which nothing is kept.
    pub credentials: bool,
    /// The length of the body.
    pub body_length: usize,
    /// [`content_hash`] of the body, in hexadecimal digits.
    pub body_hash: String,
    /// The status that was answered; none when the connection was cut.
    pub status: Option<u16>,
    /// What it did.
    pub effects: Vec<Effect>,
    /// The faults that hit it, by name.
    pub faults: Vec<String>,
    /// What it was charged with, by class, where calls are counted so.
    pub charged: Vec<(&'static str, u32)>,
    /// Whether it was a change that came while another change of the same user was under way.
    pub overlapped: bool,
}

impl Record {
    /// A record of a request, before it is answered.
    pub fn new<'a>(
        origin: &'static str,
        method: &str,
        path: &str,
        headers: impl IntoIterator<Item = (&'a str, &'a str)>,
        body: &[u8],
    ) -> Self {
        let headers: Vec<(&str, &str)> = headers.into_iter().collect();
        let keep = |name: &str| HEADERS.iter().any(|kept| kept.eq_ignore_ascii_case(name));
        Self {
            number: 0,
            user: String::new(),
            origin,
            method: method.to_owned(),
            path: path.to_owned(),
            query: String::new(),
            credentials: headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization")),
            headers: headers
                .into_iter()
                .filter(|(name, _)| keep(name))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect(),
            body_length: body.len(),
            body_hash: format!("{:016x}", content_hash(body)),
            status: None,
            effects: Vec::new(),
            faults: Vec::new(),
            charged: Vec::new(),
            overlapped: false,
        }
    }

    /// The value of a kept header; the name in small letters.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(kept, _)| kept == name).map(|(_, value)| value.as_str())
    }
}

/// A place in the journal, to ask what came after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Mark(usize);

impl From<usize> for Mark {
    fn from(number: usize) -> Self {
        Self(number)
    }
}

/// All requests so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Journal {
    records: VecDeque<Record>,
    count: usize,
}

impl Journal {
    /// Adds a record and numbers it.
    pub fn add(&mut self, mut record: Record) {
        record.number = self.count;
        self.count += 1;
        self.records.push_back(record);
        if self.records.len() > KEPT {
            self.records.pop_front();
        }
    }

    /// How many requests there were.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there was none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The place after the last request.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark(self.count)
    }

    /// All records that are kept, oldest first.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.iter()
    }

    /// The records after a mark, oldest first.
    pub fn since(&self, mark: Mark) -> impl Iterator<Item = &Record> {
        let first = self.count - self.records.len();
        self.records.iter().skip(mark.0.saturating_sub(first))
    }

    /// The records of one method after a mark.
    pub fn asked<'a>(&'a self, mark: Mark, method: &'a str) -> impl Iterator<Item = &'a Record> {
        self.since(mark).filter(move |record| record.method == method)
    }

    /// Everything that requests did after a mark, in order.
    pub fn effects(&self, mark: Mark) -> impl Iterator<Item = &Effect> {
        self.since(mark).flat_map(|record| &record.effects)
    }

    /// How many entries were created after a mark, heard of or not.
    #[must_use]
    pub fn creates(&self, mark: Mark) -> usize {
        self.effects(mark).filter(|effect| matches!(effect, Effect::Created(_))).count()
    }

    /// How many entries were replaced after a mark.
    #[must_use]
    pub fn updates(&self, mark: Mark) -> usize {
        self.effects(mark).filter(|effect| matches!(effect, Effect::Updated(_))).count()
    }

    /// How many entries were removed after a mark.
    #[must_use]
    pub fn deletes(&self, mark: Mark) -> usize {
        self.effects(mark).filter(|effect| matches!(effect, Effect::Deleted(_))).count()
    }

    /// How many changes of any kind were made after a mark.
    #[must_use]
    pub fn writes(&self, mark: Mark) -> usize {
        self.effects(mark).filter(|effect| effect.is_write()).count()
    }

    /// What was charged after a mark in one class of calls.
    #[must_use]
    pub fn charged(&self, mark: Mark, class: &str) -> u32 {
        let charges = self.since(mark).flat_map(|record| &record.charged);
        charges.filter(|(charged, _)| *charged == class).map(|(_, cost)| cost).sum()
    }

    /// The changes after a mark that came while another change of the same user was under way.
    pub fn overlaps(&self, mark: Mark) -> impl Iterator<Item = &Record> {
        self.since(mark).filter(|record| record.overlapped)
    }

    /// Forgets the records; numbers go on.
    pub fn clear(&mut self) {
        self.records.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::{Effect, Journal, Mark, Record};

    fn record(method: &str, effects: Vec<Effect>) -> Record {
        let headers = [("Authorization", "Basic c2VjcmV0"), ("If-Match", "\"1\"")];
        Record { effects, ..Record::new("entry", method, "/a", headers, b"body") }
    }

    #[test]
    fn credentials_and_bodies_are_not_kept() {
        let record = record("PUT", Vec::new());
        assert_eq!(record.headers, [("if-match".to_owned(), "\"1\"".to_owned())]);
        assert!(record.credentials);
        assert_eq!((record.body_length, record.body_hash.len()), (4, 16));
    }

    #[test]
    fn charges_and_overlaps_are_counted() {
        let mut journal = Journal::default();
        journal.add(Record { charged: vec![("read", 1), ("write", 2)], ..record("POST", Vec::new()) });
        let mark = journal.mark();
        journal.add(Record { charged: vec![("write", 3)], overlapped: true, ..record("POST", Vec::new()) });
        assert_eq!((journal.charged(Mark::default(), "write"), journal.charged(mark, "read")), (5, 0));
        assert_eq!(journal.overlaps(Mark::default()).map(|record| record.number).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn questions_start_at_a_mark() {
        let mut journal = Journal::default();
        journal.add(record("PUT", vec![Effect::Created("a".into())]));
        let mark = journal.mark();
        journal.add(record("PUT", vec![Effect::Updated("a".into())]));
        journal.add(record("GET", vec![Effect::Read(1)]));
        journal.add(record("DELETE", vec![Effect::Deleted("a".into())]));
        assert_eq!((journal.creates(Mark::default()), journal.creates(mark)), (1, 0));
        assert_eq!((journal.writes(mark), journal.updates(mark), journal.deletes(mark)), (2, 1, 1));
        assert_eq!(journal.asked(mark, "GET").map(|record| record.number).collect::<Vec<_>>(), [2]);
        journal.clear();
        assert_eq!((journal.len(), journal.writes(mark)), (4, 0));
    }
}
