//! An address book in memory, without a protocol: entries, versions, a change log with tombstones, cursors that expire.
//!
//! Owns: what is stored and since when. Must not: know a protocol, read a clock, draw a random number or do I/O; time comes
//! in as milliseconds and ids are given or counted, so equal calls make equal books. Start reading at [`Book`]; how reading
//! lags behind writing is in `book/lag.rs`, listings and cursors in `book/read.rs`.

mod lag;
mod read;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

pub use lag::Lag;
use lag::Pending;
pub use read::{Change, Changes, Cursor, CursorError, Listing};

/// What a client may store beside the content, such as a token (Google `clientData`, an extended property at Graph and EWS).
pub type Marks = BTreeMap<String, String>;

/// One stored entry, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The id under which it is stored: a file name, a resource name, an item id.
    pub id: String,
    /// The stored bytes, whatever they mean.
    pub content: Bytes,
    /// The version mark, in the form that [`EtagStyle`] asks for, without quotes.
    pub etag: String,
    /// The book's revision at the last change of this entry.
    pub revision: u64,
    /// When it was last changed, in milliseconds since 1970.
    pub modified: u64,
    /// The groups it is in, where groups are not entries themselves.
    pub groups: BTreeSet<String>,
    /// Ids it had before, oldest first.
    pub former: Vec<String>,
    /// Client data.
    pub marks: Marks,
}

/// What remains of a removed entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// The id that is gone.
    pub id: String,
    /// The book's revision at the removal.
    pub revision: u64,
    /// When it was removed, in milliseconds since 1970.
    pub modified: u64,
}

/// How version marks are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EtagStyle {
    /// Base 36 of a strictly growing millisecond stamp, as seen at iCloud (`icloud-carddav.md` 2.1).
    #[default]
    Millis36,
    /// The revision in decimal digits.
    Revision,
    /// A hash of the content: equal bytes, equal mark (sabre, `icloud-carddav.md` 2.1).
    Content,
}

/// What must hold for a write to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition<'a> {
    /// Nothing: write in any case.
    None,
    /// There is no entry of that id.
    IfAbsent,
    /// There is an entry of that id, whatever its version.
    IfPresent,
    /// The entry stands at this etag.
    IfMatch(&'a str),
}

/// Why a write did not happen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no such entry.
    #[error("there is no entry of that id")]
    Missing,
    /// [`Condition::IfAbsent`], but there is one.
    #[error("an entry of that id exists, at {etag}")]
    Exists {
        /// Its etag.
        etag: String,
    },
    /// [`Condition::IfMatch`], but the entry stands at another version.
    #[error("the entry stands at {current}")]
    Stale {
        /// Its etag.
        current: String,
    },
}

/// What a write did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Whether the entry is new.
    pub created: bool,
    /// Its new etag.
    pub etag: String,
    /// The book's revision after it.
    pub revision: u64,
}

/// A state of a book to come back to. The clock, the lag and the stamps for etags are not rolled back: a restored server
/// does not repeat [`EtagStyle::Millis36`], though it does repeat revisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot(Box<Book>);

/// The address book.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Book {
    style: EtagStyle,
    entries: BTreeMap<String, Entry>,
    tombstones: BTreeMap<String, Tombstone>,
    /// The last change of every id, live or gone, by revision.
    log: BTreeMap<u64, String>,
    by_mark: BTreeMap<(String, String), BTreeSet<String>>,
    by_former: BTreeMap<String, String>,
    groups: BTreeMap<String, String>,
    generation: u64,
    revision: u64,
    /// Cursors older than this revision have lost their log.
    floor: u64,
    stamp: u64,
    minted: u64,
    operations: u64,
    now: u64,
    lag: Lag,
    pending: std::collections::VecDeque<Pending>,
    /// What listings still show of entries with pending changes.
    shadow: BTreeMap<String, Option<Entry>>,
}

impl Book {
    /// An empty book.
    #[must_use]
    pub fn new(style: EtagStyle) -> Self {
        Self { style, ..Self::default() }
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The number of changes so far; it goes back with [`Book::restore`].
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The entry of that id, without any lag.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Entry> {
        self.entries.get(id)
    }

    /// All entries by id, without any lag.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// The removal of that id, if it was there and is gone.
    #[must_use]
    pub fn tombstone(&self, id: &str) -> Option<&Tombstone> {
        self.tombstones.get(id)
    }

    /// The entry of that id, or the one that had it before it was renamed.
    #[must_use]
    pub fn resolve(&self, id: &str) -> Option<&Entry> {
        self.get(id).or_else(|| self.by_former.get(id).and_then(|now| self.get(now)))
    }

    /// The entries that carry this mark, by id.
    pub fn find_mark<'a>(&'a self, key: &str, value: &str) -> impl Iterator<Item = &'a Entry> {
        let ids = self.by_mark.get(&(key.to_owned(), value.to_owned()));
        ids.into_iter().flatten().filter_map(|id| self.get(id))
    }

    /// A new id from a counter that never goes back but with [`Book::restore`].
    pub fn mint(&mut self, prefix: &str) -> String {
        self.minted += 1;
        format!("{prefix}{}", self.minted)
    }

    /// Says that an operation takes place at this time: what has waited long enough becomes visible. Writes do it themselves.
    pub fn tick(&mut self, now: u64) {
        self.operations += 1;
        self.now = self.now.max(now);
        self.settle();
    }

    /// Stores content under an id. An entry that was there keeps its groups, marks and former ids.
    ///
    /// # Errors
    /// When the condition does not hold; then nothing has changed.
    pub fn put(
        &mut self,
        id: &str,
        content: impl Into<Bytes>,
        condition: Condition<'_>,
        now: u64,
    ) -> Result<Written, Refused> {
        self.put_with(id, content, condition, now, |_| {})
    }

    /// Stores content under an id and sets groups or marks in the same change.
    ///
    /// # Errors
    /// When the condition does not hold; then nothing has changed.
    pub fn put_with(
        &mut self,
        id: &str,
        content: impl Into<Bytes>,
        condition: Condition<'_>,
        now: u64,
        set: impl FnOnce(&mut Entry),
    ) -> Result<Written, Refused> {
        self.tick(now);
        let before = self.entries.get(id);
        check(before, condition)?;
        let created = before.is_none();
        let mut entry = before.cloned().unwrap_or_else(|| Entry {
            id: id.to_owned(),
            content: Bytes::new(),
            etag: String::new(),
            revision: 0,
            modified: now,
            groups: BTreeSet::new(),
            former: Vec::new(),
            marks: Marks::new(),
        });
        entry.content = content.into();
        set(&mut entry);
        id.clone_into(&mut entry.id);
        let (etag, revision) = self.store(entry, now);
        Ok(Written { created, etag, revision })
    }

    /// Changes groups or marks of an entry, not its content.
    ///
    /// # Errors
    /// When the condition does not hold or there is no such entry.
    pub fn edit(
        &mut self,
        id: &str,
        condition: Condition<'_>,
        now: u64,
        set: impl FnOnce(&mut Entry),
    ) -> Result<Written, Refused> {
        self.tick(now);
        let before = self.entries.get(id);
        check(before, condition)?;
        let mut entry = before.cloned().ok_or(Refused::Missing)?;
        set(&mut entry);
        id.clone_into(&mut entry.id);
        let (etag, revision) = self.store(entry, now);
        Ok(Written { created: false, etag, revision })
    }

    /// Puts an entry into exactly these groups.
    ///
    /// # Errors
    /// When there is no such entry.
    pub fn set_groups(&mut self, id: &str, groups: BTreeSet<String>, now: u64) -> Result<Written, Refused> {
        self.edit(id, Condition::IfPresent, now, |entry| entry.groups = groups)
    }

    /// Puts an entry into exactly these groups without a new version of it, as at providers where that is no change. Returns
    /// whether there is such an entry.
    pub fn set_groups_silently(&mut self, id: &str, groups: BTreeSet<String>) -> bool {
        self.entries.get_mut(id).map(|entry| entry.groups = groups).is_some()
    }

    /// Gives an entry a new version and leaves everything else as it was.
    ///
    /// # Errors
    /// When there is no such entry.
    pub fn touch(&mut self, id: &str, now: u64) -> Result<Written, Refused> {
        self.edit(id, Condition::IfPresent, now, |_| {})
    }

    /// Moves an entry to another id, as a provider does that renumbers. The old id becomes a tombstone.
    ///
    /// # Errors
    /// When there is no entry at the old id or there is one at the new id.
    pub fn rename(&mut self, old: &str, new: &str, keep_former: bool, now: u64) -> Result<Written, Refused> {
        self.tick(now);
        check(self.entries.get(new), Condition::IfAbsent)?;
        let mut entry = self.remove(old, now).ok_or(Refused::Missing)?;
        if keep_former {
            entry.former.push(old.to_owned());
        }
        new.clone_into(&mut entry.id);
        let (etag, revision) = self.store(entry, now);
        Ok(Written { created: true, etag, revision })
    }

    /// Removes an entry and leaves a tombstone.
    ///
    /// # Errors
    /// When the condition does not hold or there is no such entry.
    pub fn delete(&mut self, id: &str, condition: Condition<'_>, now: u64) -> Result<Entry, Refused> {
        self.tick(now);
        check(self.entries.get(id), condition)?;
        self.remove(id, now).ok_or(Refused::Missing)
    }

    /// Removes several entries at once; those that are not there do not count. Returns how many went.
    pub fn delete_many<'a>(&mut self, ids: impl IntoIterator<Item = &'a str>, now: u64) -> usize {
        self.tick(now);
        ids.into_iter().filter(|id| self.remove(id, now).is_some()).count()
    }

    /// Makes or renames a group, for providers whose groups are not entries.
    pub fn define_group(&mut self, id: &str, name: &str) {
        self.groups.insert(id.to_owned(), name.to_owned());
    }

    /// Removes a group and takes its members out of it. Returns how many members it had.
    pub fn remove_group(&mut self, id: &str, now: u64) -> usize {
        self.tick(now);
        self.groups.remove(id);
        let members: Vec<String> =
            self.entries.values().filter(|entry| entry.groups.contains(id)).map(|entry| entry.id.clone()).collect();
        for member in &members {
            if let Some(mut entry) = self.entries.get(member).cloned() {
                entry.groups.remove(id);
                self.store(entry, now);
            }
        }
        members.len()
    }

    /// The groups, by id, with their names.
    #[must_use]
    pub fn groups(&self) -> &BTreeMap<String, String> {
        &self.groups
    }

    /// The state as it is now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(Box::new(self.clone()))
    }

    /// Goes back to an earlier state: later entries, versions and revisions are forgotten, as on a server restored from a
    /// backup. Cursors taken since then point into the future.
    pub fn restore(&mut self, to: &Snapshot) {
        let (stamp, operations, now, lag) = (self.stamp, self.operations, self.now, self.lag);
        self.clone_from(&to.0);
        self.lag = lag;
        self.stamp = stamp;
        self.operations = operations;
        self.now = now;
        self.settle();
    }

    /// Writes an entry as the newest change; its etag, revision and time are set here.
    fn store(&mut self, mut entry: Entry, now: u64) -> (String, u64) {
        self.revision += 1;
        self.stamp = now.max(self.stamp + 1);
        entry.revision = self.revision;
        entry.modified = now;
        entry.etag = match self.style {
            EtagStyle::Millis36 => base36(self.stamp),
            EtagStyle::Revision => self.revision.to_string(),
            EtagStyle::Content => format!("{:016x}", content_hash(&entry.content)),
        };
        let (id, etag, revision) = (entry.id.clone(), entry.etag.clone(), entry.revision);
        if let Some(gone) = self.tombstones.remove(&id) {
            self.log.remove(&gone.revision);
        }
        self.index(&entry);
        let before = self.entries.insert(id.clone(), entry);
        if let Some(before) = &before {
            self.log.remove(&before.revision);
            self.unindex(before, Some(&id));
        }
        self.log.insert(revision, id.clone());
        self.defer(id, before);
        (etag, revision)
    }

    /// Takes an entry out, leaves a tombstone.
    fn remove(&mut self, id: &str, now: u64) -> Option<Entry> {
        let entry = self.entries.remove(id)?;
        self.revision += 1;
        self.stamp = now.max(self.stamp + 1);
        self.log.remove(&entry.revision);
        self.unindex(&entry, None);
        let id = entry.id.clone();
        self.tombstones.insert(id.clone(), Tombstone { id: id.clone(), revision: self.revision, modified: now });
        self.log.insert(self.revision, id.clone());
        self.defer(id, Some(entry.clone()));
        Some(entry)
    }

    fn index(&mut self, entry: &Entry) {
        for (key, value) in &entry.marks {
            self.by_mark.entry((key.clone(), value.clone())).or_default().insert(entry.id.clone());
        }
        for former in &entry.former {
            self.by_former.insert(former.clone(), entry.id.clone());
        }
    }

    /// Takes back what [`Book::index`] noted for an older state, unless the state now stored under `stays` says it again.
    fn unindex(&mut self, before: &Entry, stays: Option<&str>) {
        let now = stays.and_then(|id| self.entries.get(id));
        for (key, value) in &before.marks {
            if now.is_some_and(|now| now.marks.get(key) == Some(value)) {
                continue;
            }
            let slot = (key.clone(), value.clone());
            if let Some(ids) = self.by_mark.get_mut(&slot) {
                ids.remove(&before.id);
                if ids.is_empty() {
                    self.by_mark.remove(&slot);
                }
            }
        }
        for former in &before.former {
            let said_again = now.is_some_and(|now| now.former.contains(former));
            if !said_again && self.by_former.get(former) == Some(&before.id) {
                self.by_former.remove(former);
            }
        }
    }
}

/// Whether a condition holds for what is stored.
fn check(stored: Option<&Entry>, condition: Condition<'_>) -> Result<(), Refused> {
    match (condition, stored) {
        (Condition::None, _) | (Condition::IfAbsent, None) | (Condition::IfPresent, Some(_)) => Ok(()),
        (Condition::IfAbsent, Some(entry)) => Err(Refused::Exists { etag: entry.etag.clone() }),
        (Condition::IfPresent | Condition::IfMatch(_), None) => Err(Refused::Missing),
        (Condition::IfMatch(etag), Some(entry)) if entry.etag == etag => Ok(()),
        (Condition::IfMatch(_), Some(entry)) => Err(Refused::Stale { current: entry.etag.clone() }),
    }
}

/// A short hash of bytes, for comparing, not for security (FNV-1a, 64 bits).
#[must_use]
pub fn content_hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// A number in digits and small letters.
fn base36(mut number: u64) -> String {
    let mut digits = Vec::new();
    while number > 0 || digits.is_empty() {
        // The remainder is below 36, so it is a digit of that base.
        digits.push(char::from_digit((number % 36) as u32, 36).unwrap_or('0'));
        number /= 36;
    }
    digits.iter().rev().collect()
}
