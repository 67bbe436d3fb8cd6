//! Reads that lag behind writes, as at providers that answer from a copy.
//!
//! Owns: which changes listings and cursors show already. Must not: change what is stored.

use super::{Book, Entry};

/// How long a change stays hidden from listings and cursors; [`Book::get`] always sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lag {
    /// Changes show at once.
    #[default]
    None,
    /// A change shows after this many further operations ([`Book::tick`] counts them, and so does every write).
    Operations(u64),
    /// A change shows this many milliseconds later.
    Millis(u64),
    /// A change shows when the lag is set to something else.
    Forever,
}

/// A change that is stored and not shown yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pending {
    revision: u64,
    id: String,
    after: Option<Entry>,
    since: (u64, u64),
}

impl Book {
    /// Sets how much reads lag from now on; what waited by the old rule is judged by the new one.
    pub fn set_lag(&mut self, lag: Lag) {
        self.lag = lag;
        self.settle();
    }

    /// The newest revision that listings and cursors know of.
    #[must_use]
    pub fn horizon(&self) -> u64 {
        self.pending.front().map_or(self.revision, |first| first.revision - 1)
    }

    /// What listings still show of entries whose newest change is hidden, where that older state came after a cursor: a list of
    /// changes that holds them is behind a write, and a later one holds the newest state. [`Book::changes`] leaves them out.
    pub fn older_since(&self, since: super::Cursor) -> impl Iterator<Item = &Entry> {
        let window = since.revision + 1..=self.horizon();
        self.shadow.values().flatten().filter(move |entry| window.contains(&entry.revision))
    }

    /// Notes a change just made, so that reads go on showing `before` for a while.
    pub(super) fn defer(&mut self, id: String, before: Option<Entry>) {
        if self.lag == Lag::None {
            return;
        }
        self.shadow.entry(id.clone()).or_insert(before);
        let after = self.entries.get(&id).cloned();
        self.pending.push_back(Pending { revision: self.revision, id, after, since: (self.operations, self.now) });
    }

    /// Shows what has waited long enough, in the order of the changes.
    pub(super) fn settle(&mut self) {
        while let Some(first) = self.pending.front() {
            let (operations, now) = first.since;
            let due = match self.lag {
                Lag::None => true,
                Lag::Operations(wait) => self.operations >= operations + wait,
                Lag::Millis(wait) => self.now >= now + wait,
                Lag::Forever => false,
            };
            if !due {
                return;
            }
            if let Some(shown) = self.pending.pop_front() {
                let last = self.last_change(&shown.id) == Some(shown.revision);
                if last {
                    self.shadow.remove(&shown.id);
                } else {
                    self.shadow.insert(shown.id, shown.after);
                }
            }
        }
    }

    /// What listings show of an id.
    pub(super) fn shown(&self, id: &str) -> Option<&Entry> {
        match self.shadow.get(id) {
            Some(before) => before.as_ref(),
            None => self.entries.get(id),
        }
    }

    fn last_change(&self, id: &str) -> Option<u64> {
        let live = self.entries.get(id).map(|entry| entry.revision);
        live.or_else(|| self.tombstones.get(id).map(|gone| gone.revision))
    }
}
