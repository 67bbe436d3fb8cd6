//! What people do by hand: choose in conflicts, undo, merge, look into history, empty the trash.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::PersonShown;
use crate::card::Card;
use crate::card::field::{Field, FieldValue};
use crate::ids::{AccountId, OpId, PersonId, RemoteId, RunId, Timestamp};
use crate::sync::operation::FieldDiff;
use crate::sync::plan::Clash;
use crate::sync::view::LinkState;

/// Whose value is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// The provider's.
    Provider,
    /// The CRM's.
    Crm,
}

/// A choice in a conflict: one of both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Resolve {
    /// One side's value.
    pub keep: Option<Keep>,
    /// A value typed in; empty = nothing. What has parts (an address) as JSON, as in a card.
    pub value: Option<String>,
}

/// What is to be undone: runs or operations by id, an account's syncs since a time, or what was last done to a person.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UndoRequest {
    /// A run, or operations.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
    /// An account, by id or address.
    pub account: Option<String>,
    /// Since when: `2026-11-21T20:40:00Z`, or `90m`, `2h`, `3d` ago.
    pub since: Option<String>,
    /// A person.
    pub person: Option<PersonId>,
    /// Only this field of the person.
    pub field: Option<Field>,
    /// Do it. Without it, only what would be done is said.
    pub confirm: bool,
}

/// What undoing does, or did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndoAnswer {
    /// Whether it was done.
    pub done: bool,
    /// By which it is undone again.
    pub operation: Option<OpId>,
    /// Person by person.
    pub rows: Vec<UndoShown>,
}

/// What undoing does to one person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndoShown {
    /// Whom.
    pub person: PersonId,
    /// The name to show.
    pub name: String,
    /// What is done: `delete here`, `restore here`, `change here`, `unlink`, `link again`, `delete there`, `send`.
    pub does: Vec<String>,
    /// What changes of the person.
    pub here: Vec<FieldDiff>,
    /// Values that were changed again since, and stay.
    pub clashes: Vec<Clash>,
    /// What stays as it is, and why.
    pub notes: Vec<String>,
}

/// Another person to be merged into one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MergeRequest {
    /// The person who goes.
    pub other: PersonId,
    /// Do it. Without it, only what would be done is said.
    #[serde(default)]
    pub confirm: bool,
}

/// What merging two people does, or did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MergeAnswer {
    /// Whether it was done.
    pub done: bool,
    /// By which it is undone.
    pub operation: Option<OpId>,
    /// The survivor as it is afterwards.
    pub survivor: PersonShown,
    /// The other one as it was before.
    pub other: PersonShown,
    /// What changes of the survivor.
    pub fields: Vec<FieldDiff>,
    /// Values of both that differ: the survivor's stand.
    pub clashes: Vec<Clash>,
    /// The other's own fields that the survivor has with other values.
    pub custom: BTreeMap<String, String>,
    /// Followers for whom there is no room.
    pub dropped: Vec<String>,
    /// What becomes of links that change.
    pub links: Vec<MergedLink>,
}

/// A link that changes by a merge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MergedLink {
    /// In which account.
    pub account: AccountId,
    /// That account's address; empty if it is somebody else's.
    pub address: String,
    /// Its state afterwards. `redundant`: what is edited in its record still flows in, and nothing flows out.
    pub state: LinkState,
}

/// A record that could be one of several people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DuplicateShown {
    /// In which account.
    pub account: AccountId,
    /// That account's address.
    pub address: String,
    /// Which record.
    pub remote: RemoteId,
    /// The name in the record.
    pub name: String,
    /// What it says.
    pub card: Option<Card>,
    /// Whom it could be.
    pub people: Vec<CandidateShown>,
}

/// A person who could be a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CandidateShown {
    /// The person.
    pub person: PersonId,
    /// Its name.
    pub name: String,
}

/// An answer to a possible duplicate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DuplicateAnswer {
    /// In which account, by id or address.
    pub account: String,
    /// Which record.
    pub remote: RemoteId,
    /// Which person; for a dismissal none = all of them.
    #[serde(default)]
    pub person: Option<PersonId>,
}

/// Something that was done, as it concerns one person or one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryRow {
    /// The operation; `contactd undo` takes its id.
    pub operation: OpId,
    /// When.
    pub at: Timestamp,
    /// Who, or which account.
    pub by: String,
    /// By which run, if by one.
    pub run: Option<RunId>,
    /// Why: `people edit`, `schedule`, `undo of run …`.
    pub why: String,
    /// What changed.
    pub changes: Vec<ChangeShown>,
}

/// One thing that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeShown {
    /// Of whom.
    pub person: PersonId,
    /// The name to show.
    pub name: String,
    /// `here` (in the CRM), `there` (in an address book) or `link`.
    pub side: String,
    /// In which account, where that matters.
    pub account: Option<String>,
    /// Which record, where that matters.
    pub remote: Option<RemoteId>,
    /// What: `added`, `changed`, `deleted`, `restored`, `live to undone`.
    pub does: String,
    /// Field by field.
    pub fields: Vec<FieldDiff>,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProvenanceRow {
    /// Which field; of the company's own ones the name.
    pub field: String,
    /// What it says.
    pub value: FieldValue,
    /// Who said so, or which account; `None` = from before what is remembered.
    pub by: Option<String>,
    /// By which run, if by one.
    pub run: Option<RunId>,
    /// When.
    pub at: Option<Timestamp>,
    /// In which operation.
    pub operation: Option<OpId>,
}

/// People in the trash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrashRequest {
    /// Exactly these.
    pub people: Vec<PersonId>,
}

/// What became of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeAnswer {
    /// How many were removed for good.
    pub purged: usize,
    /// Who waits for what became of a send, or for the answer to a held deletion.
    pub waiting: Vec<PersonId>,
}
