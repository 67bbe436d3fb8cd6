//! A provider over the mocks' address book, with any capabilities: odd combinations that nobody sells are tested too.
//!
//! Stricter than reality: it refuses a create under a name that exists, an update at another version than it stands at
//! (where it guards), and any write at all when the test forbids them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use contactd::card::field::{Field, FieldValue};
use contactd::card::{Card, Photo};
use contactd::ids::{CollectionId, Cursor, Etag, GroupId, PageToken, RemoteId, Timestamp, Token};
use contactd::provider::{
    Blob, Changes, Collection, Fetched, Found, From, Group, Listed, Mailbox, Next, Outcome, Provider, ProviderError,
    Retry, Scope, Write,
};
use contactd::sync::caps::{Capabilities, Membership, TokenPlace};
use contactd::sync::view::{RemoteRecord, RemoteRef, Roster, Seen};
use mock_providers::book::{Book, Change, Condition, Cursor as BookCursor, CursorError, Entry, EtagStyle};

use super::cover::hit;
pub use super::manner::{Faults, Manner};

pub const COLLECTION: &str = "book";
const TOKEN: &str = "token";
/// The mark of a record that cannot be read.
pub const GARBLED: &str = "garbled";

/// The server behind one account.
pub struct Server {
    pub book: Book,
    pub caps: Capabilities,
    pub manner: Manner,
    pub faults: Faults,
    pub now: u64,
    /// Members of each group, where groups list their members.
    pub rosters: BTreeMap<String, Roster>,
    /// Writes that took effect.
    pub writes: u64,
    /// Creates that took effect, per token.
    pub creates: BTreeMap<Token, u32>,
    /// Requests of any kind.
    pub requests: u64,
    /// One-way: any write is a violation.
    pub forbid_writes: bool,
    pub violations: Vec<String>,
    /// Set when the machine has stopped in the middle of a send.
    pub crashed: bool,
    /// Values that must not come here: their people were hidden from this user before they were written.
    pub forbidden: BTreeSet<String>,
    /// Names of those whom this user may not see, and of whom nothing was under way when they were hidden.
    pub hidden_people: BTreeSet<String>,
    /// Values that a write has overwritten which nobody can have seen: where there is no guard, there is no help.
    pub blind: BTreeSet<String>,
    /// Records that we wrote, whose answer named no version, and which we have not looked at since: whatever somebody makes
    /// of what we sent looks like the provider's own.
    pub unlooked: BTreeSet<String>,
    /// What users have deleted, the last one at the end.
    pub thrown_away: Vec<Entry>,
    /// When we deleted records.
    pub deletes: Vec<u64>,
    /// Which run reads and writes; counted by the world.
    pub run: u64,
    /// The run that last asked for a record by id.
    pub looked: BTreeMap<String, u64>,
    /// When the cursors were last made to expire by their age.
    expired: u64,
}

impl Server {
    pub fn new(caps: Capabilities, manner: Manner) -> Self {
        Self {
            book: Book::new(EtagStyle::Revision),
            caps,
            manner,
            faults: Faults::default(),
            now: 0,
            rosters: BTreeMap::new(),
            writes: 0,
            creates: BTreeMap::new(),
            requests: 0,
            forbid_writes: false,
            violations: Vec::new(),
            crashed: false,
            forbidden: BTreeSet::new(),
            hidden_people: BTreeSet::new(),
            blind: BTreeSet::new(),
            unlooked: BTreeSet::new(),
            thrown_away: Vec::new(),
            deletes: Vec::new(),
            run: 0,
            looked: BTreeMap::new(),
            expired: 0,
        }
    }

    /// A server's clock is its own: it does not go back with ours.
    pub fn tell_time(&mut self, now: u64) -> u64 {
        self.now = self.now.max(now);
        self.now
    }

    fn request(&mut self) -> Result<(), ProviderError> {
        self.requests += 1;
        let now = self.now;
        self.book.tick(now);
        if self.manner.cursor_life.is_some_and(|life| now > self.expired + life) {
            hit("fault: cursors expire by age");
            self.expired = now;
            self.book.expire_cursors();
        }
        if self.faults.revoked {
            hit("fault: sign-in revoked");
            return Err(error(Retry::AfterHuman));
        }
        if self.faults.away > 0 {
            self.faults.away -= 1;
            hit("fault: server away");
            return Err(error(Retry::At(Timestamp(now as i64 + 60_000))));
        }
        Ok(())
    }

    /// Takes what blind writes have overwritten.
    pub fn take_blind(&mut self) -> BTreeSet<String> {
        std::mem::take(&mut self.blind)
    }

    pub fn card(entry: &Entry) -> Card {
        serde_json::from_slice(&entry.content).unwrap()
    }

    /// What the server makes of a card that it is given.
    pub fn image(&self, card: &Card) -> Card {
        let mut stored = card.clone();
        for field in Field::ALL.iter().copied() {
            if !self.caps.writes.contains(field) {
                stored.set(field, FieldValue::Many(Vec::new()));
            }
            if let (Some(most), FieldValue::Many(mut list)) = (self.caps.most.get(&field), stored.get(field)) {
                list.truncate(usize::from(*most));
                stored.set(field, FieldValue::Many(list));
            }
        }
        if let Some(note) = &mut stored.note {
            *note = note.chars().take(self.manner.note).collect();
        }
        if self.manner.rewrites {
            stored.emails.iter_mut().for_each(|e| e.value = e.value.to_lowercase());
            stored.phones.iter_mut().for_each(|p| p.value.retain(|c| c != ' '));
        }
        if self.manner.recodes
            && let Some(photo) = &mut stored.photo
            && !photo.hash.ends_with('r')
        {
            photo.hash.push('r');
        }
        if self.manner.reorders {
            stored.emails.reverse();
            stored.phones.reverse();
        }
        for (field, list) in [(Field::Emails, &mut stored.emails), (Field::Phones, &mut stored.phones)] {
            if !self.caps.keeps_preferred.contains(field) {
                list.iter_mut().for_each(|e| e.preferred = false);
            }
        }
        stored
    }

    pub fn store(&mut self, id: &str, card: &Card, token: Option<Token>) {
        let content = serde_json::to_vec(card).unwrap();
        let now = self.now;
        self.book
            .put_with(id, content, Condition::None, now, |entry| {
                entry.marks.remove(GARBLED);
                if let Some(token) = token {
                    entry.marks.insert(TOKEN.to_owned(), token.to_string());
                }
            })
            .unwrap();
    }

    /// What is stored under this name is no contact any more, or one again.
    pub fn garble(&mut self, id: &str, garbled: bool) {
        let now = self.now;
        self.book
            .edit(id, Condition::None, now, |entry| match garbled {
                true => drop(entry.marks.insert(GARBLED.to_owned(), String::new())),
                false => drop(entry.marks.remove(GARBLED)),
            })
            .unwrap();
    }

    /// Names of the records that cannot be read.
    pub fn garbled(&self) -> Vec<String> {
        self.live().filter(|entry| entry.marks.contains_key(GARBLED)).map(|entry| entry.id.clone()).collect()
    }

    /// The record is there again as it was, but for its groups.
    pub fn bring_back(&mut self, entry: &Entry) {
        let (content, now) = (entry.content.clone(), self.now);
        self.book
            .put_with(&entry.id, content, Condition::None, now, |e| {
                e.marks = entry.marks.clone();
                e.former = entry.former.clone();
            })
            .unwrap();
    }

    pub fn token(entry: &Entry) -> Option<Token> {
        entry.marks.get(TOKEN).map(|t| t.parse().unwrap())
    }

    pub fn record(&self, entry: &Entry) -> RemoteRecord {
        let token = Self::token(entry).filter(|_| self.caps.token != TokenPlace::Hidden);
        RemoteRecord {
            at: RemoteRef {
                collection: COLLECTION.into(),
                id: entry.id.as_str().into(),
                etag: (!self.manner.no_etags).then(|| Etag(entry.etag.clone())),
            },
            body: Self::card(entry),
            groups: match self.caps.membership {
                Membership::Roster => Default::default(),
                _ => entry.groups.iter().map(|g| GroupId(g.clone())).collect(),
            },
            modified: self.manner.tells_time.then(|| {
                let modified = entry.modified as i64;
                Timestamp(if self.manner.seconds { modified / 1000 * 1000 } else { modified })
            }),
            token,
            uid: (self.caps.membership == Membership::Roster).then(|| Self::uid(entry)),
            formerly: entry.former.iter().map(|f| RemoteId(f.clone())).collect(),
            raw: None,
        }
    }

    /// A record's identity in itself: made at its birth, kept for life.
    pub fn uid(entry: &Entry) -> String {
        entry
            .marks
            .get("uid")
            .cloned()
            .or_else(|| Self::token(entry).map(|t| t.to_string()))
            .unwrap_or_else(|| entry.id.clone())
    }

    fn seen(&self, entry: &Entry) -> Seen {
        match self.rosters.get(&entry.id) {
            Some(roster) => {
                let mut roster = roster.clone();
                roster.at.etag = Some(Etag(entry.etag.clone()));
                Seen::Roster(roster)
            }
            None if entry.marks.contains_key(GARBLED) => {
                hit("fault: a record that cannot be read");
                Seen::Unreadable(self.record(entry).at, "not a contact".to_owned())
            }
            None => Seen::Present(self.record(entry)),
        }
    }

    pub fn live(&self) -> impl Iterator<Item = &Entry> {
        self.book.entries().filter(|e| !self.rosters.contains_key(&e.id))
    }
}

/// The server as an account's session reaches it.
#[derive(Clone)]
pub struct Fake {
    pub server: Arc<Mutex<Server>>,
    caps: Capabilities,
    pub subject: String,
}

impl Fake {
    pub fn new(caps: Capabilities, manner: Manner, subject: &str) -> Self {
        Self { server: Arc::new(Mutex::new(Server::new(caps.clone(), manner))), caps, subject: subject.to_owned() }
    }
}

/// A picture's bytes; what they are does not matter.
pub fn picture(of: &Photo) -> Blob {
    Blob { hash: of.hash.clone(), media_type: of.media_type.clone(), bytes: of.hash.as_bytes().into() }
}

fn error(retry: Retry) -> ProviderError {
    ProviderError { scope: Scope::Account, retry, doing: "playing a fault", source: "a fault of the test".into() }
}

fn encode(cursor: BookCursor) -> String {
    format!("{}.{}", cursor.generation, cursor.revision)
}

fn decode(text: &str) -> Option<BookCursor> {
    let (generation, revision) = text.split_once('.')?;
    Some(BookCursor { generation: generation.parse().ok()?, revision: revision.parse().ok()? })
}

#[async_trait]
impl Provider for Fake {
    fn capabilities(&self) -> &Capabilities {
        &self.caps
    }

    async fn check(&self) -> Result<Mailbox, ProviderError> {
        Ok(Mailbox { tenant: "fake".into(), subject: self.subject.clone(), address: None })
    }

    async fn collections(&self) -> Result<Vec<Collection>, ProviderError> {
        Ok(vec![Collection { id: COLLECTION.into(), name: "Book".into(), writable: true }])
    }

    async fn groups(&self) -> Result<Vec<Group>, ProviderError> {
        Ok(Vec::new())
    }

    async fn changes(&self, _: &CollectionId, from: From<'_>) -> Result<Changes, ProviderError> {
        let mut server = self.server.lock().unwrap();
        server.request()?;
        if server.crashed {
            return Err(error(Retry::Soon));
        }
        if server.faults.fail_changes > 0 {
            server.faults.fail_changes -= 1;
            hit("fault: changes fail");
            return Err(error(Retry::Soon));
        }
        let limit = server.manner.page;
        // A page token is `l:<cursor at the start>:<last id>` of a listing or `c:<cursor>` within a delta.
        let (full, rows, next): (bool, Vec<Seen>, Next) = match from {
            From::Start | From::Page(_) if !matches!(from, From::Page(p) if p.as_str().starts_with("c:")) => {
                let (start, after) = match from {
                    From::Page(token) => {
                        if server.faults.refuse_page > 0 {
                            server.faults.refuse_page -= 1;
                            hit("fault: page token refused");
                            return Err(error(Retry::Relist));
                        }
                        if server.faults.cut_listing > 0 {
                            server.faults.cut_listing -= 1;
                            hit("fault: listing cut short");
                            return Err(error(Retry::Soon));
                        }
                        let rest = token.as_str().strip_prefix("l:").unwrap();
                        let (start, after) = rest.split_once(':').unwrap();
                        (start.to_owned(), Some(after.to_owned()))
                    }
                    _ => (encode(server.book.cursor()), None),
                };
                if server.faults.empty_listing > 0 {
                    server.faults.empty_listing -= 1;
                    hit("fault: empty listing");
                    (true, Vec::new(), Next::Done(Cursor(start)))
                } else {
                    let page = server.book.list(after.as_deref(), limit);
                    let rows = page.entries.iter().map(|e| server.seen(e)).collect();
                    let next = match page.next {
                        Some(last) => Next::Page(PageToken(format!("l:{start}:{last}"))),
                        None => Next::Done(Cursor(start)),
                    };
                    (true, rows, next)
                }
            }
            From::Cursor(_) | From::Page(_) => {
                let text = match from {
                    From::Cursor(cursor) => cursor.as_str(),
                    From::Page(page) => page.as_str().strip_prefix("c:").unwrap(),
                    From::Start => unreachable!("handled above"),
                };
                let since = decode(text).ok_or_else(|| error(Retry::Relist))?;
                let page = match server.book.changes(since, limit) {
                    Ok(page) => page,
                    Err(CursorError::Expired | CursorError::Unknown | CursorError::Future) => {
                        hit("fault: cursor expired");
                        return Err(error(Retry::Relist));
                    }
                };
                let changed = page.changes.iter().map(|c| match c {
                    Change::Upsert(entry) => server.seen(entry),
                    Change::Delete(gone) => Seen::Gone(gone.id.as_str().into()),
                });
                // What is hidden of a record is its newest state, and not that it is there.
                let older = server.book.older_since(since).filter(|entry| entry.revision <= page.cursor.revision);
                let rows = changed.chain(older.map(|entry| server.seen(entry))).collect();
                let text = encode(page.cursor);
                let next =
                    if page.more { Next::Page(PageToken(format!("c:{text}"))) } else { Next::Done(Cursor(text)) };
                (false, rows, next)
            }
            From::Start => unreachable!("handled above"),
        };
        let mut changes = Changes { full, seen: Vec::new(), listed: Vec::new(), blobs: Vec::new(), next };
        let hide = server.faults.hide_groups > 0 && rows.iter().any(|row| matches!(row, Seen::Roster(_)));
        if hide && full {
            server.faults.hide_groups -= 1;
            hit("fault: group cards left out");
        }
        for row in rows {
            if let Seen::Present(record) = &row {
                changes.blobs.extend(record.body.photo.as_ref().map(picture));
            }
            if hide && full && matches!(row, Seen::Roster(_)) {
                continue;
            }
            match row.at() {
                Some(at) if server.manner.lists_only => changes.listed.push(Listed { at: at.clone(), modified: None }),
                _ => changes.seen.push(row),
            }
        }
        Ok(changes)
    }

    async fn fetch(&self, of: &[RemoteRef]) -> Result<Vec<Fetched>, ProviderError> {
        let mut server = self.server.lock().unwrap();
        server.request()?;
        if server.crashed {
            return Err(error(Retry::Soon));
        }
        if server.faults.fetch_unknown > 0 {
            server.faults.fetch_unknown -= 1;
            hit("fault: fetch answers nothing");
            return Ok(vec![Fetched::Unknown; of.len()]);
        }
        let run = server.run;
        for at in of {
            server.looked.insert(at.id.to_string(), run);
            server.unlooked.remove(at.id.as_str());
        }
        Ok(of
            .iter()
            .map(|at| match server.book.get(at.id.as_str()) {
                Some(entry) => {
                    let seen = server.seen(entry);
                    let blobs = match &seen {
                        Seen::Present(record) => record.body.photo.iter().map(picture).collect(),
                        _ => Vec::new(),
                    };
                    Fetched::There(seen, blobs)
                }
                None => Fetched::Gone,
            })
            .collect())
    }

    async fn find(&self, _: &CollectionId, tokens: &[Token]) -> Result<Vec<Found>, ProviderError> {
        let mut server = self.server.lock().unwrap();
        server.request()?;
        if server.crashed {
            return Err(error(Retry::Soon));
        }
        if server.faults.miss_find > 0 {
            server.faults.miss_find -= 1;
            hit("fault: a search missed what is there");
            return Ok(vec![Found::NotThere; tokens.len()]);
        }
        // A name is looked up where it is stored, and only there; a property where listings show it, which may lag.
        let by_name = server.caps.token == TokenPlace::Name;
        let entries: Vec<&Entry> = if by_name {
            tokens.iter().filter_map(|token| server.book.get(&token.to_string())).collect()
        } else {
            server.book.list_all().collect()
        };
        Ok(tokens
            .iter()
            .map(|token| {
                let there: Vec<Seen> = entries
                    .iter()
                    .filter(|e| Server::token(e) == Some(*token))
                    .map(|e| match server.seen(e) {
                        Seen::Present(record) => Seen::Present(RemoteRecord { token: Some(*token), ..record }),
                        other => other,
                    })
                    .collect();
                if there.is_empty() { Found::NotThere } else { Found::Records(there, Vec::new()) }
            })
            .collect())
    }

    async fn photo(&self, _: &RemoteRecord) -> Result<Option<Blob>, ProviderError> {
        Ok(None)
    }

    async fn write(&self, batch: &[Write]) -> Vec<Outcome> {
        let mut server = self.server.lock().unwrap();
        if server.request().is_err() {
            return vec![Outcome::NotTried; batch.len()];
        }
        batch.iter().map(|write| server.write(write)).collect()
    }
}
