//! Listings in pages, and changes since a cursor in pages.
//!
//! Owns: what a cursor means and when it is refused. Must not: change entries.

use std::ops::Bound;

use super::{Book, Entry, Tombstone};

/// A place in the change log of one book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor {
    /// Which line of cursors it belongs to; [`Book::expire_cursors`] starts a new one.
    pub generation: u64,
    /// The last revision that it has seen.
    pub revision: u64,
}

/// Why a cursor is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// It was good once.
    #[error("the cursor has expired")]
    Expired,
    /// The book never gave it out.
    #[error("the cursor is unknown")]
    Unknown,
    /// It is ahead of the book, which has been rolled back.
    #[error("the cursor is from the future")]
    Future,
}

/// A page of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing<'a> {
    /// The entries, by id.
    pub entries: Vec<&'a Entry>,
    /// The token for the page after it; none on the last.
    pub next: Option<String>,
}

/// One change: the id's newest state, not each step on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// It is there, new or changed.
    Upsert(&'a Entry),
    /// It is gone.
    Delete(&'a Tombstone),
}

impl Change<'_> {
    /// The id that changed.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Upsert(entry) => &entry.id,
            Self::Delete(gone) => &gone.id,
        }
    }
}

/// A page of changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes<'a> {
    /// The changes, oldest first.
    pub changes: Vec<Change<'a>>,
    /// Where to go on from, now or later.
    pub cursor: Cursor,
    /// Whether there is more after this page.
    pub more: bool,
}

impl Book {
    /// A page of the entries by id, as listings show them (see [`super::Lag`]). The page token is the last id of the page
    /// before, so entries that come and go meanwhile shift nothing.
    #[must_use]
    pub fn list(&self, page: Option<&str>, limit: usize) -> Listing<'_> {
        let mut shown = self.shown_after(page);
        let entries: Vec<&Entry> = shown.by_ref().take(limit).collect();
        let more = shown.next().is_some();
        let next = entries.last().filter(|_| more).map(|last| last.id.clone());
        Listing { entries, next }
    }

    /// All entries as listings show them, by id.
    pub fn list_all(&self) -> impl Iterator<Item = &Entry> {
        self.shown_after(None)
    }

    /// The cursor that a client gets who has read everything that is shown.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor { generation: self.generation, revision: self.horizon() }
    }

    /// The start of the log: every entry and every tombstone still known is a change since then.
    #[must_use]
    pub fn beginning(&self) -> Cursor {
        Cursor { generation: self.generation, revision: 0 }
    }

    /// A page of the changes since a cursor.
    ///
    /// # Errors
    /// When the cursor is expired, unknown or from the future.
    pub fn changes(&self, since: Cursor, limit: usize) -> Result<Changes<'_>, CursorError> {
        let horizon = self.horizon();
        if since.generation > self.generation {
            return Err(CursorError::Unknown);
        }
        // Whoever stands at 0 has seen nothing, so a forgotten tombstone is no loss to them.
        if since.generation < self.generation || (since.revision < self.floor && since.revision > 0) {
            return Err(CursorError::Expired);
        }
        if since.revision > self.revision {
            return Err(CursorError::Future);
        }
        // A cursor may stand past the horizon when the lag was set after it was given out.
        let window = (Bound::Excluded(since.revision), Bound::Included(horizon.max(since.revision)));
        let mut rows = if since.revision >= horizon { None } else { Some(self.log.range(window)) };
        let mut changes = Vec::new();
        let mut cursor = Cursor { generation: self.generation, revision: horizon.max(since.revision) };
        let mut more = false;
        for (revision, id) in rows.as_mut().into_iter().flatten() {
            if changes.len() == limit {
                more = true;
                break;
            }
            cursor.revision = *revision;
            let gone = || self.tombstones.get(id).map(Change::Delete);
            changes.extend(self.entries.get(id).map(Change::Upsert).or_else(gone));
        }
        if !more {
            cursor.revision = horizon.max(since.revision);
        }
        Ok(Changes { changes, cursor, more })
    }

    /// Makes every cursor given out so far expired.
    pub fn expire_cursors(&mut self) {
        self.generation += 1;
    }

    /// Forgets the tombstones up to a revision: cursors older than it are expired, younger ones live on.
    pub fn forget_before(&mut self, revision: u64) {
        self.floor = self.floor.max(revision.min(self.revision));
        let floor = self.floor;
        let old: Vec<String> =
            self.tombstones.values().filter(|gone| gone.revision <= floor).map(|gone| gone.id.clone()).collect();
        for id in old {
            if let Some(gone) = self.tombstones.remove(&id) {
                self.log.remove(&gone.revision);
            }
        }
    }

    /// Entries as shown, after an id: the live ones and, merged in by order, the deleted ones that still show.
    fn shown_after(&self, page: Option<&str>) -> impl Iterator<Item = &Entry> {
        let from: (Bound<&str>, Bound<&str>) = (page.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let mut live = self.entries.range::<str, _>(from).map(|(id, _)| id.as_str()).peekable();
        let mut kept = self
            .shadow
            .range::<str, _>(from)
            .filter(|(id, _)| !self.entries.contains_key(id.as_str()))
            .map(|(id, _)| id.as_str())
            .peekable();
        let merged = std::iter::from_fn(move || match (live.peek(), kept.peek()) {
            (Some(one), Some(other)) if other < one => kept.next(),
            (Some(_), _) => live.next(),
            (None, _) => kept.next(),
        });
        merged.filter_map(|id| self.shown(id))
    }
}
