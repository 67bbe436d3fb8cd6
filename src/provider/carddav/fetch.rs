//! The cards themselves: multiget in batches that grow while the server answers well (icloud-carddav.md §3.3).
//!
//! Owns: the batch size, the reading of one card into a [`Seen`], and the rule that silence is never "gone": what a
//! multiget leaves out is asked for singly, and "not found" counts only while the book itself is there.

use std::collections::HashMap;

use reqwest::header::{ACCEPT, ETAG, LAST_MODIFIED};
use reqwest::{Method, Url};
use uuid::Uuid;

use super::convert::{self, Read};
use super::fault::Fault;
use super::href;
use super::report::{is_alive, modified};
use super::requests::multiget;
use super::settings::{Book, Flavour, GroupMode};
use super::xml::{self, Row};
use crate::clock::Clock;
use crate::ids::{Etag, GroupId, RemoteId, Timestamp, Token};
use crate::provider::http::message::{Answer, Incoming, Request};
use crate::provider::http::{Door, Reading, Streamed};
use crate::provider::{Blob, Fetched};
use crate::sync::retry::Resend;
use crate::sync::view::{RemoteRecord, RemoteRef, Roster, Seen};

/// Bigger answers are not read: some 100 cards with the biggest pictures that iCloud takes.
const ANSWER_LIMIT: u64 = 64 * 1024 * 1024;
/// One card.
const CARD_LIMIT: u64 = 16 * 1024 * 1024;
/// A batch grows only while its answer stays below this …
const GROW_BELOW_BYTES: usize = 8 * 1024 * 1024;
/// … and comes within this many milliseconds.
const GROW_BELOW_MILLIS: i64 = 4_000;
const FIRST_BATCH: usize = 50;
const MOST: usize = 4_000;

/// How many records are asked for at once; learnt during a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    size: usize,
    most: usize,
}

impl Default for Batch {
    fn default() -> Self {
        Self { size: FIRST_BATCH, most: MOST }
    }
}

impl Batch {
    fn went_well(&mut self, asked: usize, bytes: usize, millis: i64) {
        if bytes >= GROW_BELOW_BYTES || millis >= GROW_BELOW_MILLIS {
            self.size = (asked / 2).clamp(1, self.size);
        } else if asked >= self.size {
            self.size = (self.size * 2).min(self.most);
        }
    }

    /// Trouble: half as many, and never again as many as that.
    fn went_badly(&mut self, asked: usize) {
        self.size = (asked / 2).max(1);
        self.most = (asked - 1).max(1);
    }
}

/// What reading a card needs to know.
pub(super) struct Reader<'a> {
    pub door: &'a Door,
    pub book: &'a Book,
    pub mode: GroupMode,
    pub flavour: Flavour,
    pub clock: &'a dyn Clock,
}

/// What one multiget said.
#[derive(Default)]
struct Page {
    answers: HashMap<RemoteId, Fetched>,
    bytes: usize,
}

impl Reader<'_> {
    /// One answer per id, by id.
    pub(super) async fn fetch(&self, ids: &[RemoteId], batch: &mut Batch) -> Result<HashMap<RemoteId, Fetched>, Fault> {
        let mut found = HashMap::with_capacity(ids.len());
        let mut alive = false;
        let mut rest = ids;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(batch.size.min(rest.len()));
            let begun = self.clock.now();
            match self.page(now).await {
                Ok(page) => {
                    batch.went_well(now.len(), page.bytes, self.clock.now().since(begun));
                    // "Not found" in a report on this very book: it is there.
                    alive = true;
                    found.extend(page.answers);
                }
                Err(fault) if fault.may_be_too_much() && now.len() > 1 => {
                    batch.went_badly(now.len());
                    continue;
                }
                Err(fault) if fault.may_be_too_much() => {}
                Err(fault) => return Err(fault),
            }
            for id in now.iter().filter(|id| !found.contains_key(*id)).cloned().collect::<Vec<_>>() {
                let answer = self.single(&id).await?;
                if matches!(answer, Fetched::Gone) && !alive {
                    is_alive(self.door, self.book).await?;
                    alive = true;
                }
                found.insert(id, answer);
            }
            rest = later;
        }
        Ok(found)
    }

    async fn page(&self, ids: &[RemoteId]) -> Result<Page, Fault> {
        let paths: Vec<String> = ids.iter().map(|id| self.book.spelling.of(id.as_str())).collect();
        // The standard says 0; against iCloud clients are seen to send 1 (icloud-carddav.md §3.3).
        let depth = if self.flavour == Flavour::ICloud { 1 } else { 0 };
        let request = multiget(self.book.url.clone(), paths.iter().map(String::as_str), depth);
        let request = request.limit(ANSWER_LIMIT).quick();
        let read = |incoming: Incoming| -> Reading<'_, Page> {
            Box::pin(async move {
                let mut page = Page::default();
                let base = incoming.url.clone();
                xml::read(incoming, |row| self.take(&mut page, &base, row)).await?;
                Ok(page)
            })
        };
        match self.door.stream(&request, read).await? {
            Streamed::Read(page) => Ok(page),
            Streamed::Other(answer) => Err(Fault::of(&answer).await),
        }
    }

    fn take(&self, page: &mut Page, base: &Url, row: Row) {
        let Some(url) = href::resolve(base, &row.href) else { return };
        let id = RemoteId(href::canonical(url.path()));
        let Some(data) = row.props.data else {
            // Under another spelling it may be there all the same: then it is asked for singly.
            if row.is_gone() && self.book.spelling.all(id.as_str()).len() == 1 {
                page.answers.insert(id, Fetched::Gone);
            }
            return;
        };
        page.bytes += data.len();
        let etag = row.props.etag.map(Etag);
        let modified = row.props.modified.as_deref().and_then(modified);
        let (seen, blobs) = self.observe(id.clone(), etag, modified, data.as_bytes());
        page.answers.insert(id, Fetched::There(seen, blobs));
    }

    /// Asks for one card by GET, under every spelling that the server may mean.
    pub(super) async fn single(&self, id: &RemoteId) -> Result<Fetched, Fault> {
        let mut gone = true;
        for path in self.book.spelling.all(id.as_str()) {
            let answer = self.get(&path).await?;
            match answer.status.as_u16() {
                200..=299 => return Ok(self.answered(id, &answer)),
                401 => return Err(Fault::SignIn),
                404 | 410 => {}
                // The server won't give this one: shown with its reason, retried when it changes.
                403 | 406 | 413 | 415 | 422 | 451 => {
                    let at = self.at(id.clone(), None);
                    let why = format!("the server does not hand it out (status {})", answer.status.as_u16());
                    return Ok(Fetched::There(Seen::Unreadable(at, why), Vec::new()));
                }
                _ => gone = false,
            }
        }
        Ok(if gone { Fetched::Gone } else { Fetched::Unknown })
    }

    /// One card as the server has it now.
    pub(super) async fn get(&self, path: &str) -> Result<Answer, Fault> {
        let mut url = self.book.url.clone();
        url.set_path(path);
        let request = Request::new(Method::GET, url).header(ACCEPT, "text/vcard").limit(CARD_LIMIT);
        Ok(self.door.send(&request, Resend::Safe).await?)
    }

    fn answered(&self, id: &RemoteId, answer: &Answer) -> Fetched {
        let etag = answer.header(ETAG.as_str()).map(|etag| Etag(etag.to_owned()));
        let modified = answer.header(LAST_MODIFIED.as_str()).and_then(modified);
        let (seen, blobs) = self.observe(id.clone(), etag, modified, &answer.body);
        Fetched::There(seen, blobs)
    }

    fn at(&self, id: RemoteId, etag: Option<Etag>) -> RemoteRef {
        RemoteRef { collection: self.book.id.clone(), id, etag }
    }

    /// What a card is.
    pub(super) fn observe(
        &self,
        id: RemoteId,
        etag: Option<Etag>,
        modified: Option<Timestamp>,
        bytes: &[u8],
    ) -> (Seen, Vec<Blob>) {
        let at = self.at(id, etag);
        let raw = with_crlf(bytes);
        match convert::read(&raw) {
            Read::Contact(contact) => {
                let groups = match self.mode {
                    GroupMode::Categories => contact.categories.iter().map(|name| GroupId(name.clone())).collect(),
                    GroupMode::Cards => Default::default(),
                };
                let record = RemoteRecord {
                    at,
                    body: contact.card,
                    groups,
                    modified,
                    token: contact.uid.as_deref().and_then(token_of),
                    uid: contact.uid,
                    formerly: Vec::new(),
                    raw: Some(raw),
                };
                (Seen::Present(record), contact.photo.into_iter().collect())
            }
            Read::Group(group) => {
                let members = group.members.into_iter().collect();
                let named = GroupId(at.id.0.clone());
                (Seen::Roster(Roster { at, group: named, name: group.name, uid: group.uid, members }), Vec::new())
            }
            Read::Opaque(why) => (Seen::Unreadable(at, why), Vec::new()),
        }
    }
}

/// A UID in the place where our token would stand.
pub(super) fn token_of(uid: &str) -> Option<Token> {
    Uuid::try_parse(uid.trim()).ok().map(Token)
}

/// Line ends as vCards have them (RFC 6350 §3.2), whatever XML or the server made of them (icloud-carddav.md §2.1).
pub(super) fn with_crlf(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 40);
    let mut rest = bytes.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        match byte {
            b'\r' => {
                rest.next_if_eq(&b'\n');
                out.extend_from_slice(b"\r\n");
            }
            b'\n' => out.extend_from_slice(b"\r\n"),
            _ => out.push(byte),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_grow_while_all_is_well_and_halve_on_trouble() {
        let mut batch = Batch::default();
        let mut sizes = Vec::new();
        for _ in 0..8 {
            sizes.push(batch.size);
            batch.went_well(batch.size, 1_000, 100);
        }
        assert_eq!(sizes, [50, 100, 200, 400, 800, 1_600, 3_200, 4_000]);
        batch.went_well(4_000, 9 * 1024 * 1024, 100);
        assert_eq!(batch.size, 2_000);
        batch.went_well(2_000, 1_000, 9_000);
        assert_eq!(batch.size, 1_000);
        batch.went_badly(1_000);
        assert_eq!(batch.size, 500);
        for _ in 0..4 {
            batch.went_well(batch.size, 0, 0);
        }
        assert_eq!(batch.size, 999);
        // A short last batch says nothing about bigger ones.
        batch.went_well(3, 0, 0);
        assert_eq!(batch.size, 999);
        for _ in 0..12 {
            batch.went_badly(batch.size);
        }
        assert_eq!(batch.size, 1);
    }

    #[test]
    fn line_ends_become_those_of_vcards() {
        for text in ["A\r\nB\r\n", "A\nB\n", "A\rB\r", "A\r\nB\n"] {
            assert_eq!(with_crlf(text.as_bytes()), b"A\r\nB\r\n", "{text:?}");
        }
        assert_eq!(with_crlf(b"A\n\nB"), b"A\r\n\r\nB");
    }

    #[test]
    fn a_uid_that_is_a_uuid_may_be_a_token() {
        assert!(token_of("6F9619FF-8B86-4D01-B42D-00CF4FC964FF").is_some());
        for other in ["", "kontakt-12", "6d2f0c3a0a1b2c3d"] {
            assert!(token_of(other).is_none(), "{other}");
        }
    }
}
