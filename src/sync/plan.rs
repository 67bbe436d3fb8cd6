//! What a sync would do, as a value: shown, counted, guarded, applied.

use serde::{Deserialize, Serialize};

use crate::card::Card;
use crate::card::field::{Field, FieldSet, FieldValue};
use crate::ids::{ConflictId, Timestamp};
use crate::sync::view::{Base, LinkState, Pairs};

/// What to do about one subject, in order; and if nothing, why it is not in sync.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// The steps, in the order in which they are done.
    pub steps: Vec<Step>,
    /// Why something that differs is left as it is. `None` = after the steps both sides agree.
    pub waits: Option<Waits>,
}

/// One thing to do. The engine knows which link, person and record: those of the subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A new person from the record.
    CreateLocal {
        /// The person's card.
        card: Card,
        /// What both agree on afterwards.
        base: Base,
    },
    /// The record is this person: a new link, with what both agree on before anything is sent.
    Match(Base),
    /// The person takes over what changed at the provider.
    UpdateLocal {
        /// The person's card afterwards.
        card: Card,
        /// The fields that change.
        fields: FieldSet,
    },
    /// The person goes into the trash. Subject to the guard.
    TrashLocal,
    /// The person comes back from the trash (edit beats delete).
    RestoreLocal,
    /// A new record from the person, over a new link.
    CreateRemote(Outgoing),
    /// The record takes over what changed in the CRM.
    UpdateRemote(Outgoing),
    /// The record is deleted. Subject to the guard.
    DeleteRemote,
    /// The link's base moves.
    Rebase(Base),
    /// The link's state changes; with `Live` it resumes.
    State(LinkState),
    /// Both sides changed the same thing, or one changed what the other deleted.
    Conflict(Clash),
    /// A conflict that waited for a choice exists no more, or its values are others now.
    Moot(ConflictId),
    /// Nothing of the record is to be remembered but that it is there: its person was removed for good.
    Forget,
    /// The deletion that would follow is put to a person first.
    AskDeletion(Deletion),
    /// The person is tagged as deleted at the provider (policy `tag`).
    Tag,
}

/// What is sent to the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The person's card that goes with it: becomes `base.ours` when it has landed.
    pub ours: Card,
    /// What the provider should show afterwards.
    pub sent: Card,
    /// Which fields of it are sent.
    pub mask: FieldSet,
    /// Which element of `ours` is which of `sent`.
    pub pairs: Pairs,
}

/// A deletion, by the side that would lose something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deletion {
    /// The person would go into the trash.
    Local,
    /// The record would be deleted.
    Remote,
}

/// Two values, or a value and a deletion, of which only one can stand.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Clash {
    /// What it is about.
    pub about: About,
    /// The CRM's value; for a list the element; empty = removed there.
    pub ours: FieldValue,
    /// The provider's value.
    pub theirs: FieldValue,
    /// Which one stands now.
    pub stands: Side,
    /// The CRM's time of the value, where known.
    pub ours_at: Option<Timestamp>,
    /// The provider's time of the value, where known.
    pub theirs_at: Option<Timestamp>,
}

impl Clash {
    /// Whether it is over the same thing and between the same values, whoever stands.
    pub fn is_same(&self, other: &Self) -> bool {
        self.about == other.about && self.ours == other.ours && self.theirs == other.theirs
    }
}

/// What a conflict is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// A field or an element of it.
    Field(Field),
    /// The person was trashed, the record edited.
    TrashedHere,
    /// The record was deleted, the person edited.
    DeletedThere,
}

/// A side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The CRM's.
    Ours,
    /// The provider's.
    Theirs,
    /// Nobody's yet (policy `ask`).
    Undecided,
}

/// Why something that differs is left as it is; what `why` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Waits {
    /// An intent is open: whether an earlier send landed is not known yet.
    OpenIntent,
    /// The record can't be read; its person stays as it is.
    Unreadable,
    /// The record is gone, and may be one that is listed under another name and not shown or not to be read; or it is new,
    /// and may be such a one.
    Hidden,
    /// The record left the sync group.
    Left,
    /// The account's user has lost access to the person.
    Frozen,
    /// A circle was noticed.
    Paused,
    /// The link was ended.
    Ended(LinkState),
    /// A conflict waits for a choice.
    Asked,
    /// A deletion waits for an answer.
    Held,
    /// The account is one-way: what was edited or deleted here stays here.
    OneWay,
    /// The account's first listing is not complete.
    FirstListing,
    /// Several people, or several records, could be the same.
    Ambiguous,
    /// Push is `linked`, or another user owns the person, or nothing of it would stand in the record.
    NotPushed,
    /// The person was purged; the record is not imported again by itself.
    Purged,
    /// Nobody on our side knows the record, and it is outside the sync group.
    Outside,
}
