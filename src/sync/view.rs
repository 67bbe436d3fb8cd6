//! What reconcile may look at: what a provider showed, what the CRM holds, and what both agreed on.
//!
//! Owns: the stored shapes of reconciliation A ([`Seen`], [`Link`], [`Base`], [`Intent`]) and [`Subject`], all of it that
//! concerns one person in one account.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::card::Card;
use crate::card::field::{Field, FieldSet, FieldValue, Shape};
use crate::crm::person::Person;
use crate::ids::{
    AccountId, CollectionId, ConflictId, Etag, Fence, GroupId, IntentId, LinkId, PersonId, RemoteId, Revision,
    Timestamp, Token, UserId,
};
use crate::sync::plan::{About, Clash, Side};

/// The groups that a record is in.
pub type Groups = BTreeSet<GroupId>;

/// Which version of which remote record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteRef {
    /// The address book that it is in.
    pub collection: CollectionId,
    /// Its id there.
    pub id: RemoteId,
    /// Its version; `None` = not told.
    pub etag: Option<Etag>,
}

/// An entry in a remote address book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteRecord {
    /// Which version of which record.
    pub at: RemoteRef,
    /// Its content, unmapped, as the adapter's converter made it.
    pub body: Card,
    /// The groups that it names itself. Those that name it stand in rosters.
    pub groups: Groups,
    /// When it was last changed, as the provider tells.
    pub modified: Option<Timestamp>,
    /// A token in the place where ours would stand. Whether it is one of ours, the store knows.
    pub token: Option<Token>,
    /// The identity that the record carries in itself and keeps when it moves (vCard UID), if it has one.
    pub uid: Option<String>,
    /// Ids under which the provider says it was known before.
    pub formerly: Vec<RemoteId>,
    /// The original bytes, where the adapter needs them to edit in place.
    pub raw: Option<Vec<u8>>,
}

/// Who is in a group, where the provider keeps that with the group (Apple's group cards).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roster {
    /// Which version of which group card.
    pub at: RemoteRef,
    /// The group.
    pub group: GroupId,
    /// Its name.
    pub name: String,
    /// The group's own UID, by which other groups may contain it.
    pub uid: Option<String>,
    /// UIDs of its members, verbatim but for a `urn:uuid:` in front. Some may be unknown to us; they are kept.
    pub members: BTreeSet<String>,
}

/// An observation of a remote record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It is there and takes part.
    Present(RemoteRecord),
    /// It is there, outside the sync group: no content.
    Outside {
        /// Which version of which record.
        at: RemoteRef,
        /// Its groups.
        groups: Groups,
        /// Its own identity.
        uid: Option<String>,
    },
    /// It is there and can't be read; why.
    Unreadable(RemoteRef, String),
    /// It is a group that lists its members.
    Roster(Roster),
    /// The provider named it as removed, or a complete listing lacked it and a fetch of it found nothing (rule 9).
    Gone(RemoteId),
}

impl Seen {
    /// The id of the record.
    pub fn id(&self) -> &RemoteId {
        match self {
            Self::Present(record) => &record.at.id,
            Self::Outside { at, .. } | Self::Unreadable(at, _) => &at.id,
            Self::Roster(roster) => &roster.at.id,
            Self::Gone(id) => id,
        }
    }
    /// Its version, where it has one.
    pub fn at(&self) -> Option<&RemoteRef> {
        match self {
            Self::Present(record) => Some(&record.at),
            Self::Outside { at, .. } | Self::Unreadable(at, _) => Some(at),
            Self::Roster(roster) => Some(&roster.at),
            Self::Gone(_) => None,
        }
    }
}

/// An observation as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSeen {
    /// What was seen.
    pub seen: Seen,
    /// When each field last changed, as far as the provider's times and our looks can tell.
    pub times: BTreeMap<Field, Timestamp>,
    /// Counts the changes of this row; what was planned from one version must not settle a later one.
    pub version: i64,
}

/// What a person and a remote record were when both sides last agreed (rule 1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// The person's card.
    pub ours: Card,
    /// The card as the provider showed it, unmapped.
    pub theirs: Card,
    /// Which element of `ours` is which of `theirs`.
    pub pairs: Pairs,
    /// The fields that were mapped when this was agreed; others have no base.
    pub mapped: FieldSet,
    /// The converter that read `theirs`.
    pub converter: u16,
}

impl Base {
    /// Both sides were this, to the letter, in these fields.
    pub fn shared(card: &Card, mapped: FieldSet) -> Self {
        let mut pairs = Pairs::default();
        for field in mapped.iter() {
            if let FieldValue::Many(elements) = card.get(field)
                && !elements.is_empty()
            {
                let places = 0..u16::try_from(elements.len()).unwrap_or(u16::MAX);
                pairs.both.insert(field, places.map(|i| (i, i)).collect());
            }
        }
        Self { ours: card.clone(), theirs: card.clone(), pairs, mapped, converter: 0 }
    }
}

/// Which element of one card is which of another, per list; and why an element has no partner.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pairs {
    /// Positions in ours and theirs.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub both: BTreeMap<Field, Vec<(u16, u16)>>,
    /// Positions in ours that stay here, and why.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub withheld: BTreeMap<Field, BTreeMap<u16, Withheld>>,
}

impl Pairs {
    /// Says which is which in that field. A scalar is its own pair.
    pub(super) fn set(&mut self, field: Field, both: Vec<(u16, u16)>, withheld: BTreeMap<u16, Withheld>) {
        self.both.remove(&field);
        self.withheld.remove(&field);
        if field.shape() == Shape::One {
            return;
        }
        if !both.is_empty() {
            self.both.insert(field, both);
        }
        if !withheld.is_empty() {
            self.withheld.insert(field, withheld);
        }
    }

    /// Says of that field what the others say.
    pub(super) fn keep(&mut self, others: &Pairs, field: Field) {
        self.set(
            field,
            others.both.get(&field).cloned().unwrap_or_default(),
            others.withheld.get(&field).cloned().unwrap_or_default(),
        );
    }
}

/// Why an element of ours has no partner at the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Withheld {
    /// The provider holds no more; sent when there is room.
    Room,
    /// The provider did not keep it; sent again only when it changes.
    Refused,
}

/// Ties one remote record to one person. Never vanishes; it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its id.
    pub id: LinkId,
    /// The account of the record.
    pub account: AccountId,
    /// The person.
    pub person: PersonId,
    /// The record; `None` while its create is open.
    pub remote: Option<RemoteId>,
    /// Who created the record.
    pub origin: Origin,
    /// Whether anything flows, and if not, why.
    pub state: LinkState,
    /// What a record that we create for it carries; the same for every attempt (rule 14). `None` where the record came
    /// from there.
    pub token: Option<Token>,
    /// What both sides were when they last agreed.
    pub base: Base,
    /// The person's revision at the base.
    pub revision: Revision,
}

/// Who created the remote record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// We did, for a person of the CRM.
    Ours,
    /// It came from there.
    Theirs,
}

/// Whether anything flows over a link, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// Changes flow.
    Live,
    /// The record left the sync group (rule 8); resumes when it comes back.
    Left,
    /// Ended without deleting anything; neither imported nor pushed again by itself.
    Unlinked,
    /// The account's user lost access to the person (rule 22); resumes on regain.
    Frozen,
    /// A circle was noticed (rule 18); waits for a person.
    Paused,
    /// Its person was merged into one that has another link here.
    Redundant,
    /// What made it was undone (rule 19); not imported again until asked.
    Undone,
    /// The record is gone, or we deleted it.
    Deleted,
}

impl LinkState {
    /// Whether the link still speaks for its record and its person in this account: the record is neither imported
    /// nor the person pushed anew beside it.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Live | Self::Left | Self::Frozen | Self::Paused | Self::Redundant)
    }

    /// Whether what is to be done about its person in this account is done through it: it is open, and no other link is
    /// there that its person goes by.
    pub fn speaks(self) -> bool {
        self.is_open() && self != Self::Redundant
    }
}

/// A send that may or may not have happened, stored before it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// Its id.
    pub id: IntentId,
    /// Over which link.
    pub link: LinkId,
    /// The link's account.
    pub account: AccountId,
    /// The link's person.
    pub person: PersonId,
    /// What a created record carries; the same for every attempt.
    pub token: Token,
    /// What is sent.
    pub what: Send,
    /// Into which collection, or in which the record is.
    pub collection: CollectionId,
    /// The person's card when this was planned: becomes `base.ours`.
    pub ours: Card,
    /// The person's revision when this was planned.
    pub revision: Revision,
    /// What the provider should show afterwards.
    pub sent: Card,
    /// Which fields of it are sent.
    pub mask: FieldSet,
    /// Which element of `ours` is which of `sent`.
    pub pairs: Pairs,
    /// What the provider showed before.
    pub before: Option<RemoteRecord>,
    /// When it was stored.
    pub opened: Timestamp,
    /// Under which lease.
    pub fence: Fence,
    /// How often it was looked for and said not to be there (reconciliation B, settling).
    pub missed: u16,
}

/// What an intent sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Send {
    /// A new record.
    Create,
    /// Changes of a record.
    Update,
    /// The end of a record.
    Delete,
    /// Membership in a group.
    Join(GroupId),
    /// The end of a membership.
    Leave(GroupId),
    /// The picture, where it is a write of its own.
    SetPhoto,
}

/// What the rules ask about a person, beyond its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonFacts {
    /// The person itself.
    pub person: Person,
    /// Whether the account's user may see and edit it (decided by `crm::access`).
    pub access: bool,
    /// Whether it was trashed by an admin or by its owner, with the owner's word for all of the owner's accounts.
    pub trashed_with_authority: bool,
    /// Its links in other accounts; and in this one its other open link, if the subject's has ended, and those that were
    /// unlinked or undone and whose records are there still.
    pub elsewhere: Vec<Elsewhere>,
}

/// Another link of the same person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elsewhere {
    /// Which account.
    pub account: AccountId,
    /// Whose account.
    pub user: UserId,
    /// Whether anything flows over it.
    pub state: LinkState,
    /// Who created the record there.
    pub origin: Origin,
}

/// All that concerns one remote record and its person, or one person without a record, in one account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// The link, of any state. A person with several ended links and no open one shows its latest.
    pub link: Option<Link>,
    /// The last observation of the record.
    pub seen: Option<StoredSeen>,
    /// The person.
    pub person: Option<PersonFacts>,
    /// An intent is open for this person in this account: nothing else happens meanwhile.
    pub blocked: bool,
    /// The record carries a token of ours: the link that it was made for, its state and its person.
    pub token_of: Option<(LinkId, LinkState, PersonId)>,
    /// Conflicts over the link that no person has dealt with.
    pub open: Vec<Standing>,
    /// A deletion of this link was put to a person: the answer, or `None` inside while it waits.
    pub held: Option<Option<Answer>>,
}

impl Subject {
    /// Fields with a conflict that waits for a person's choice (policy `ask`).
    pub fn asked(&self) -> FieldSet {
        let field = |standing: &Standing| match (standing.clash.about, standing.clash.stands) {
            (About::Field(field), Side::Undecided) => Some(field),
            _ => None,
        };
        self.open.iter().filter_map(field).collect()
    }
}

/// A conflict that no person has dealt with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its id.
    pub id: ConflictId,
    /// What it is about.
    pub clash: Clash,
}

/// A person's answer to a held deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Do it.
    Confirmed,
    /// Don't; put back what is gone.
    Rejected,
}
