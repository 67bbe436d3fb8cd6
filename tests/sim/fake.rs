//! A provider over the mocks' address book, with any capabilities: odd combinations that nobody sells are tested too.
//!
//! Stricter than reality: it refuses a create under a name that exists, an update at another version than it stands at
//! (where it guards), and any write at all when the test forbids them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use contactd::card::field::{Field, FieldValue, Shape};
use contactd::card::{Card, Photo};
use contactd::ids::{CollectionId, Cursor, Etag, GroupId, PageToken, RemoteId, Timestamp, Token};
use contactd::provider::{
    Blob, Changes, Collection, Fetched, Found, From, Group, Listed, Mailbox, Next, Outcome, Provider, ProviderError,
    Retry, Scope, Write, WriteKind,
};
use contactd::sync::caps::{Capabilities, Membership, TokenPlace};
use contactd::sync::merge::{Judged, three_way};
use contactd::sync::plan::Side;
use contactd::sync::view::{RemoteRecord, RemoteRef, Roster, Seen};
use mock_providers::book::{Book, Change, Condition, Cursor as BookCursor, CursorError, Entry, EtagStyle};

use super::cover::hit;
pub use super::manner::{Faults, Manner};
use super::oracle::marks;

pub const COLLECTION: &str = "book";
const TOKEN: &str = "token";

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
    looked: BTreeMap<String, u64>,
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
                if let Some(token) = token {
                    entry.marks.insert(TOKEN.to_owned(), token.to_string());
                }
            })
            .unwrap();
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

    fn token(entry: &Entry) -> Option<Token> {
        entry.marks.get(TOKEN).map(|t| t.parse().unwrap())
    }

    fn record(&self, entry: &Entry) -> RemoteRecord {
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
                let rows = page
                    .changes
                    .iter()
                    .map(|c| match c {
                        Change::Upsert(entry) => server.seen(entry),
                        Change::Delete(gone) => Seen::Gone(gone.id.as_str().into()),
                    })
                    .collect();
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
                    .map(|e| Seen::Present(RemoteRecord { token: Some(*token), ..server.record(e) }))
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

impl Server {
    fn write(&mut self, write: &Write) -> Outcome {
        if self.crashed {
            return Outcome::Unknown;
        }
        if self.now > write.by.0.max(0) as u64 {
            hit("fault: too late to send");
            return Outcome::NotTried;
        }
        if self.forbid_writes {
            self.violations.push(format!("a write in one-way: {:?}", write.what));
        }
        if self.faults.refuse_create > 0 && matches!(write.what, WriteKind::Create { .. }) {
            self.faults.refuse_create -= 1;
            hit("fault: create refused");
            return Outcome::Refused("nothing may be added to this book".to_owned());
        }
        if self.faults.refuse_write > 0 {
            self.faults.refuse_write -= 1;
            hit("fault: write refused");
            return Outcome::Refused("a fault of the test".to_owned());
        }
        if self.faults.lose_before > 0 {
            self.faults.lose_before -= 1;
            hit("fault: write lost");
            return Outcome::Unknown;
        }
        if let Some((left, stored)) = &mut self.faults.crash_at_send {
            if *left == 0 {
                let stored = *stored;
                hit(if stored { "fault: stopped after a send" } else { "fault: stopped before a send" });
                self.faults.crash_at_send = None;
                if stored {
                    self.take(write);
                }
                self.crashed = true;
                return Outcome::Unknown;
            }
            *left -= 1;
        }
        let outcome = self.take(write);
        if self.faults.lose_after > 0 {
            self.faults.lose_after -= 1;
            hit("fault: answer lost");
            return Outcome::Unknown;
        }
        if let Outcome::Landed(RemoteRef { id, etag: None, .. }) = &outcome {
            self.unlooked.insert(id.to_string());
        }
        outcome
    }

    /// A value that the account's user may not see must not come here (I10).
    fn check_forbidden(&mut self, card: &Card) {
        let all = marks(card);
        self.check_marks(&all);
    }

    fn check_marks(&mut self, marks: &BTreeSet<String>) {
        if let Some(secret) = marks.iter().find(|m| self.forbidden.contains(*m)) {
            self.violations.push(format!("I10: {secret} came to a user from whom it is hidden"));
        }
    }

    /// Whoever may not be seen is not sent (rule 22).
    fn check_person(&mut self, card: &Card) {
        if let Some(name) = marks(card).into_iter().find(|mark| self.hidden_people.contains(mark)) {
            self.violations.push(format!("rule 22: {name} was sent to a user who may not see who that is"));
        }
    }

    fn check_picture(&mut self, card: &Card, write: &Write) {
        if card.photo.is_some() && write.photo.is_none() {
            self.violations.push("a picture was to be written without its bytes".to_owned());
        }
    }

    fn stored(&self, id: &str, write: &Write) -> Outcome {
        let record = self.record(self.book.get(id).unwrap());
        // An answer has no pictures with it: one that somebody else has put there is to be read.
        let known = match &write.what {
            WriteKind::Create { .. } => true,
            WriteKind::Update { mask, .. } if mask.contains(Field::Photo) => true,
            _ => write.before.as_ref().is_some_and(|before| before.body.photo == record.body.photo),
        };
        if self.manner.echoes && (record.body.photo.is_none() || known) {
            return Outcome::Stored(record);
        }
        // Who makes something else of what was sent names no version in the answer (RFC 6352 section 6.3.2.3).
        let exact = !self.manner.rewrites && !self.manner.recodes;
        Outcome::Landed(RemoteRef { etag: record.at.etag.filter(|_| exact), ..record.at })
    }

    fn take(&mut self, write: &Write) -> Outcome {
        let now = self.now;
        match &write.what {
            WriteKind::Create { card, groups } => {
                let by_name = self.caps.token == TokenPlace::Name;
                let id = if by_name { write.token.to_string() } else { self.book.mint("r") };
                if self.book.get(&id).is_some() {
                    hit("fault: create met its own record");
                    return self.stored(&id, write); // 412: adopt what is there
                }
                let twin = self.live().find(|e| Self::token(e) == Some(write.token)).map(|e| e.id.clone());
                if let Some(twin) = twin {
                    self.violations.push(format!("rule 14: created again beside {twin}"));
                }
                self.check_picture(card, write);
                self.check_person(card);
                let image = self.image(card);
                self.check_forbidden(&image);
                self.store(&id, &image, Some(write.token));
                let groups = groups.iter().map(|g| g.0.clone()).collect();
                self.book.edit(&id, Condition::None, now, |e| e.groups = groups).unwrap();
                self.writes += 1;
                *self.creates.entry(write.token).or_default() += 1;
                self.stored(&id, write)
            }
            WriteKind::Update { card, mask } => {
                let before = write.before.as_ref().expect("an update names what it changes");
                let id = before.at.id.as_str().to_owned();
                let Some(entry) = self.book.get(&id) else { return Outcome::Missing };
                if self.caps.guards_update && before.at.etag.as_ref().is_some_and(|e| e.as_str() != entry.etag) {
                    return Outcome::Stale;
                }
                let was_there = Self::card(entry);
                let mut now_there = was_there.clone();
                // Without a guard an adapter reads right before it writes, and merges into the lists that it replaces (R4).
                let moved = before.at.etag.as_ref().is_some_and(|e| e.as_str() != entry.etag);
                let image = self.image(card);
                for field in mask.iter().filter(|f| self.caps.writes.contains(*f)) {
                    if moved && field.shape() == Shape::Many {
                        let (mut sent, there) = (before.body.clone(), now_there.clone());
                        sent.set(field, card.get(field));
                        let ours = |_| Judged { side: Side::Ours, ours_at: None, theirs_at: None };
                        let (merged, _) = three_way(&before.body, &sent, &there, &ours);
                        now_there.set(field, self.image(&merged).get(field));
                    } else {
                        now_there.set(field, image.get(field));
                    }
                }
                if mask.contains(Field::Photo) {
                    self.check_picture(card, write);
                }
                // What nobody of ours can have seen, and no guard kept us from.
                let (seen, after) = (marks(&before.body), marks(&now_there));
                let unseen = |mark: &String| !seen.contains(mark) && !after.contains(mark);
                let lost: Vec<String> = marks(&was_there).into_iter().filter(unseen).collect();
                if !lost.is_empty() {
                    hit("fault: overwritten unseen");
                    self.blind.extend(lost);
                }
                if !self.hidden_people.is_empty() {
                    self.check_person(card);
                }
                let new: BTreeSet<String> = after.difference(&marks(&was_there)).cloned().collect();
                self.check_marks(&new);
                self.store(&id, &now_there, None);
                self.writes += 1;
                self.stored(&id, write)
            }
            WriteKind::Delete => {
                let before = write.before.as_ref().expect("a delete names what it deletes");
                let id = before.at.id.as_str().to_owned();
                let Some(entry) = self.book.get(&id) else { return Outcome::Deleted };
                if self.caps.guards_delete && before.at.etag.as_ref().is_some_and(|e| e.as_str() != entry.etag) {
                    return Outcome::Stale;
                }
                let (there, seen) = (marks(&Self::card(entry)), marks(&before.body));
                if !self.caps.guards_delete && self.looked.get(&id) != Some(&self.run) {
                    self.violations.push(format!("R7: {id} was deleted without a guard and without a look"));
                }
                self.blind.extend(there.difference(&seen).cloned());
                self.book.delete(&id, Condition::None, now).unwrap();
                self.writes += 1;
                self.deletes.push(now);
                Outcome::Deleted
            }
            WriteKind::Join(group) | WriteKind::Leave(group) => {
                let joins = matches!(write.what, WriteKind::Join(_));
                let before = write.before.as_ref().expect("joining names the member");
                let id = before.at.id.as_str().to_owned();
                let Some(entry) = self.book.get(&id) else { return Outcome::Missing };
                if self.caps.membership == Membership::Roster {
                    let uid = Self::uid(entry);
                    let Some((card, roster)) = self.rosters.iter_mut().find(|(_, r)| r.group == *group) else {
                        return Outcome::Refused("no such group".into());
                    };
                    let changed = if joins { roster.members.insert(uid) } else { roster.members.remove(&uid) };
                    if changed {
                        let card = card.clone();
                        self.book.touch(&card, now).unwrap();
                        self.writes += 1;
                    }
                } else if entry.groups.contains(&group.0) != joins {
                    self.writes += 1;
                    self.book
                        .edit(&id, Condition::None, now, |e| {
                            if joins {
                                e.groups.insert(group.0.clone())
                            } else {
                                e.groups.remove(&group.0)
                            };
                        })
                        .unwrap();
                }
                self.stored(&id, write)
            }
        }
    }
}
