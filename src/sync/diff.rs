//! A diff is a value, a merge is a value.

use serde::{Deserialize, Serialize};

/// A value on its way from one state to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Diff<T> {
    /// The state before.
    pub before: T,
    /// The state after.
    pub after: T,
}

impl<T> Diff<T> {
    /// From `before` to `after`.
    pub fn new(before: T, after: T) -> Self {
        Self { before, after }
    }
    /// The same change of something derived.
    pub fn map<U>(self, mut f: impl FnMut(T) -> U) -> Diff<U> {
        Diff { before: f(self.before), after: f(self.after) }
    }
    /// The change undone.
    #[must_use]
    pub fn invert(self) -> Self {
        Self { before: self.after, after: self.before }
    }
}

impl<T: PartialEq> Diff<T> {
    /// Whether anything changed.
    pub fn is_changed(&self) -> bool {
        self.before != self.after
    }
}

/// What a three-way merge of one value comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Merged<T> {
    /// Neither side changed it.
    Same,
    /// Only our side changed it, to this.
    TakeOurs(T),
    /// Only their side changed it, to this.
    TakeTheirs(T),
    /// Both changed it to this.
    Both(T),
    /// Both changed it, to different values.
    Conflict {
        /// What our side made of it.
        ours: T,
        /// What their side made of it.
        theirs: T,
    },
}

/// Merges two changes, each judged against its own base only (rule 1).
pub fn merge<T: PartialEq>(ours: Diff<T>, theirs: Diff<T>) -> Merged<T> {
    match (ours.is_changed(), theirs.is_changed()) {
        (false, false) => Merged::Same,
        (true, false) => Merged::TakeOurs(ours.after),
        (false, true) => Merged::TakeTheirs(theirs.after),
        (true, true) if ours.after == theirs.after => Merged::Both(ours.after),
        (true, true) => Merged::Conflict { ours: ours.after, theirs: theirs.after },
    }
}
