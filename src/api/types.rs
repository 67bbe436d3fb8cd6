//! What goes over the control socket and the HTTP API: shared by the server and the command line.
//!
//! Owns: the shapes of requests and answers. Must not: know the store, the engine or a provider; the pure modules' own
//! types stand for themselves where they are meant for people.

mod adding;
mod handles;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::card::Card;
use crate::card::field::{Field, FieldValue};
use crate::crm::person::{Person, VisibleTo};
use crate::ids::{
    AccountId, ConflictId, GroupId, HeldId, LinkId, OpId, PersonId, RemoteId, RoleId, RunId, Timestamp, UserId,
};
use crate::sync::operation::{FieldDiff, Operation};
use crate::sync::plan::{Clash, Deletion, Waits};
use crate::sync::settings::{ConflictPolicy, DeletePolicy, Direction, Flow, OnLeave, Push, Settings};
use crate::sync::view::{Answer, LinkState, Origin};

pub use adding::*;
pub use handles::*;

/// The header that names the user for whom the caller acts; without it the caller acts as administrator.
pub const AS_HEADER: &str = "x-contactd-as";

/// What every error says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What went wrong, and what to do next.
    pub error: String,
    /// Which kind: `not_found`, `forbidden`, `invalid`, `conflict`, `needs_person`, `provider`, `stopping`, `broken`.
    pub code: String,
}

/// A user to be added.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// The name as shown.
    pub name: String,
    /// The address to sign in with.
    pub email: String,
    /// Its role, by name or id.
    #[serde(default)]
    pub role: Option<String>,
    /// Sees and edits everything.
    #[serde(default)]
    pub admin: bool,
    /// Sees only what it owns or follows.
    #[serde(default)]
    pub restricted: bool,
    /// Has the permission "see all items of other users they are following".
    #[serde(default)]
    pub sees_followed_users: bool,
}

/// A change of a user; what is not named stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UserPatch {
    /// The name as shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The address to sign in with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Its role, by name or id; empty = none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Sees and edits everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin: Option<bool>,
    /// Sees only what it owns or follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restricted: Option<bool>,
    /// Sees all items of users it follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sees_followed_users: Option<bool>,
    /// May act and own accounts; the accounts of one who may not do not sync.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
}

/// A role to be added.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewRole {
    /// Its name as shown.
    pub name: String,
    /// The role above, by name or id.
    #[serde(default)]
    pub parent: Option<String>,
}

/// A role as shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleShown {
    /// Its id.
    pub id: RoleId,
    /// Its name.
    pub name: String,
    /// The name of the role above, if any.
    pub parent: Option<String>,
}

/// A user as shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserShown {
    /// Its id.
    pub id: UserId,
    /// Its name.
    pub name: String,
    /// The address to sign in with.
    pub email: String,
    /// The name of its role.
    pub role: Option<String>,
    /// Sees and edits everything.
    pub admin: bool,
    /// Sees only what it owns or follows.
    pub restricted: bool,
    /// Sees all items of those it follows.
    pub sees_followed_users: bool,
    /// Can sign in and own accounts.
    pub active: bool,
}

/// An account as shown. Credentials are never shown, to nobody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountShown {
    /// Its id.
    pub id: AccountId,
    /// Whose it is.
    pub user: UserId,
    /// That user's name.
    pub user_name: String,
    /// The provider.
    pub provider: String,
    /// The address.
    pub address: String,
    /// `setup`, `active`, `paused`, `reconnect`, `error` or `removed`.
    pub state: String,
    /// Why it is in that state, and what mends it.
    pub reason: Option<String>,
    /// What the user chose.
    pub settings: Settings,
    /// The name of the sync group, as far as it is known; `None` = everything.
    pub group: Option<String>,
    /// When it was added.
    pub created: Timestamp,
    /// When its last successful run ended.
    pub synced: Option<Timestamp>,
    /// When the next run begins.
    pub next: Option<Timestamp>,
}

/// A group as shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupShown {
    /// Its id.
    pub id: GroupId,
    /// Its name.
    pub name: String,
    /// How many are in it, where that is known.
    pub size: Option<u64>,
}

/// An account that was added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountAdded {
    /// The account.
    pub account: AccountShown,
    /// `new`, `returned` (it was removed before) or `signed_in` (it was there).
    pub how: String,
    /// Its groups, to choose the sync group from.
    pub groups: Vec<GroupShown>,
}

/// What becomes of edits that were made here while the account was one-way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PresentChoice {
    /// They are sent.
    Push,
    /// They stay here; both sides count as agreed as they are.
    Agree,
}

/// A change of an account's settings; what is not named stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SettingsPatch {
    /// The sync group by name or id; `all` = everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// One-way or two-way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// Who sees the people whom it brings in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visible_to: Option<VisibleTo>,
    /// Which people are created at the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub push: Option<Push>,
    /// Who wins a conflict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conflicts: Option<ConflictPolicy>,
    /// What a deletion at the provider does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletes: Option<DeletePolicy>,
    /// What leaving the sync group does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_leave: Option<OnLeave>,
    /// Where fields flow.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub mapping: BTreeMap<Field, Flow>,
    /// When deletions are held.
    #[serde(skip_serializing_if = "GuardPatch::is_empty")]
    pub guard: GuardPatch,
    /// Needed when one-way becomes two-way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub present: Option<PresentChoice>,
    /// Make the change. Without it, only what would follow is said.
    pub confirm: bool,
}

/// A change of when deletions are held; what is not named stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GuardPatch {
    /// Whether unusually many are held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on: Option<bool>,
    /// So many in 24 hours always pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_least: Option<u32>,
    /// So many per cent of the account's people may go in 24 hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
}

impl GuardPatch {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What a change of settings does, or did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingsAnswer {
    /// Whether it was made.
    pub changed: bool,
    /// The account, as it is now.
    pub account: AccountShown,
    /// What follows. Empty for an account that was never synced.
    pub preview: PreviewShown,
    /// What has to be decided before it can be made.
    pub asks: Vec<String>,
}

/// How many records changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountsShown {
    /// Created, or restored.
    pub added: u64,
    /// Changed.
    pub updated: u64,
    /// Deleted, or put into the trash.
    pub deleted: u64,
}

/// What a run counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TallyShown {
    /// In the CRM.
    pub here: CountsShown,
    /// In the address book.
    pub there: CountsShown,
    /// Conflicts found.
    pub conflicts: u64,
    /// Deletions put to a person.
    pub held: u64,
    /// Records and writes that failed.
    pub failed: u64,
}

/// What a sync would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewShown {
    /// In the CRM.
    pub here: CountsShown,
    /// In the address book.
    pub there: CountsShown,
    /// Records that would be linked to people who are there already.
    pub linked: u64,
    /// Conflicts.
    pub conflicts: u64,
    /// Possible duplicates, which wait for a person.
    pub undecided: u64,
    /// Whether the deletions would be held by the guard.
    pub held: bool,
    /// Record by record.
    pub rows: Vec<PreviewRow>,
}

/// What would be done for one record or person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewRow {
    /// The name to show.
    pub name: String,
    /// The person, if there is one already.
    pub person: Option<PersonId>,
    /// The record, if there is one already.
    pub remote: Option<RemoteId>,
    /// What would be done: `create here`, `update there`.
    pub does: Vec<String>,
    /// What would change of the person.
    pub here: Vec<FieldDiff>,
    /// What would change of the record.
    pub there: Vec<FieldDiff>,
    /// Conflicts, with who would win.
    pub clashes: Vec<Clash>,
    /// Why it waits, if it does.
    pub waits: Option<Waits>,
}

/// One line of an answer that comes while something is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// How far it is.
    Progress {
        /// `waiting`, `settling`, `reading`, `applying` or `deleting`.
        phase: String,
        /// How many records it has read.
        read: u64,
        /// What it has counted.
        tally: TallyShown,
    },
    /// A run came to its end.
    Done {
        /// Which run.
        run: RunId,
        /// What it counted.
        tally: TallyShown,
        /// Whether something is left for the next run.
        unfinished: bool,
    },
    /// A preview is there.
    Previewed(PreviewShown),
    /// A comparison is there.
    Verified(VerifiedShown),
    /// A trial of an account has looked at one thing.
    Looked(Check),
    /// A trial of an account came to its end.
    Tried {
        /// All that was looked at.
        checks: Vec<Check>,
    },
    /// It ended early.
    Failed(ErrorBody),
}

/// What a full comparison of an account found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifiedShown {
    /// How many records were read again and compared.
    pub compared: u64,
    /// Each difference.
    pub differences: Vec<DifferenceShown>,
    /// Whether the next run, which begins now, was told to read and judge them anew.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repaired: bool,
}

/// A difference between an address book and what we know of it, or between the two sides of a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DifferenceShown {
    /// The record; `None` = the person has none there yet.
    pub remote: Option<RemoteId>,
    /// Its person, if it is linked.
    pub person: Option<PersonId>,
    /// In a sentence.
    pub says: String,
    /// How the record differs: from what is known of it, or from what would be sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub there: Vec<FieldDiff>,
    /// What would change of the person.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub here: Vec<FieldDiff>,
}

/// What the dashboard shows of one account, or of all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountedShown {
    /// People in sync.
    pub in_sync: u64,
    /// Changes in the last 24 hours, here and there.
    pub day: [CountsShown; 2],
    /// In the last 7 days.
    pub week: [CountsShown; 2],
    /// In the last 30 days.
    pub month: [CountsShown; 2],
    /// Conflicts that nobody has dealt with.
    pub conflicts: u64,
    /// Deletions that wait for an answer.
    pub held: u64,
    /// What failed and will be tried again.
    pub failures: u64,
    /// Possible duplicates.
    pub duplicates: u64,
}

/// An account on the dashboard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountStatus {
    /// The account.
    pub account: AccountShown,
    /// Its counts.
    pub counted: CountedShown,
}

/// The dashboard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusShown {
    /// Each account that is not removed, as far as this page goes.
    pub accounts: Vec<AccountStatus>,
    /// All of them together, whatever the page.
    pub all: CountedShown,
    /// The account after which the list goes on, if there are more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more_after: Option<AccountId>,
}

/// A run as shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunShown {
    /// Its id.
    pub id: RunId,
    /// Of which account.
    pub account: AccountId,
    /// That account's address.
    pub address: String,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// What started it.
    pub trigger: String,
    /// What it counted.
    pub tally: TallyShown,
    /// Why it ended early, if it did.
    pub error: Option<String>,
    /// What it did; only where one run is shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<Operation>,
    /// The same for people: record by record, field by field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<HistoryRow>,
    /// The operation after which the list goes on, if there are more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more_after: Option<OpId>,
}

/// A deletion that waits, as shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldShown {
    /// Its id.
    pub id: HeldId,
    /// In which account.
    pub account: AccountId,
    /// That account's address.
    pub address: String,
    /// Of which person.
    pub person: PersonId,
    /// That person's name.
    pub name: String,
    /// Which side would lose something.
    pub deletion: Deletion,
    /// Since when.
    pub at: Timestamp,
    /// Why: `guard` or `policy`.
    pub why: String,
    /// The answer, if it was given and not carried out yet.
    pub answer: Option<Answer>,
}

/// The answer to held deletions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldAnswer {
    /// Exactly these.
    pub ids: Vec<HeldId>,
    /// Do it, or don't and put back what is gone.
    pub answer: Answer,
}

/// A person to be added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPerson {
    /// The content.
    pub card: Card,
    /// Who owns it, by id, e-mail or name; else the user for whom the caller acts.
    #[serde(default)]
    pub owner: Option<String>,
    /// Who else may see it; else the narrowest choice of the edition.
    #[serde(default)]
    pub visible_to: Option<VisibleTo>,
}

/// Paused links of a person are to go on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Resume {
    /// Only in this account, by id or address.
    pub account: Option<String>,
}

/// A change of a person; what is not named stays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PersonPatch {
    /// The revision that the change was made from; refused if somebody was first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    /// Fields by name, each as a whole as in [`Card`]; `null` empties one.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    pub card: serde_json::Map<String, serde_json::Value>,
    /// The company's own fields; `null` removes one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub custom: BTreeMap<String, Option<String>>,
    /// The new owner, by id, e-mail or name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Who else may see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visible_to: Option<VisibleTo>,
}

/// A person as shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonShown {
    /// The person.
    pub person: Person,
    /// Its owner's name.
    pub owner_name: String,
    /// Its followers' names.
    pub follower_names: Vec<String>,
    /// In which accounts it is; only where one person is shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<LinkShown>,
    /// Who may see it, and why; only where one person is shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seen_by: Vec<String>,
    /// Where each value comes from; only where it was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub provenance: Vec<ProvenanceRow>,
}

/// A link as shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkShown {
    /// Its id.
    pub id: LinkId,
    /// In which account.
    pub account: AccountId,
    /// That account's address.
    pub address: String,
    /// Its state.
    pub state: LinkState,
    /// Who created the record.
    pub origin: Origin,
    /// The record, once there is one.
    pub remote: Option<RemoteId>,
}

/// A conflict as shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConflictShown {
    /// Its id.
    pub id: ConflictId,
    /// In which account.
    pub account: AccountId,
    /// That account's address.
    pub address: String,
    /// Of which person.
    pub person: PersonId,
    /// That person's name.
    pub name: String,
    /// Since when.
    pub at: Timestamp,
    /// The two values, and which one stands.
    pub clash: Clash,
}

/// Why a record or a person is, or is not, in sync in one account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhyShown {
    /// In which account.
    pub account: AccountId,
    /// That account's address.
    pub address: String,
    /// Its state.
    pub state: String,
    /// The record, if there is one.
    pub remote: Option<RemoteId>,
    /// The person, if there is one.
    pub person: Option<PersonId>,
    /// The state of the link, if there is one.
    #[serde(default)]
    pub link: Option<LinkState>,
    /// Who created the record, if there is a link.
    #[serde(default)]
    pub origin: Option<Origin>,
    /// In a sentence.
    pub says: String,
    /// What the next run would do.
    pub does: Vec<String>,
    /// Sends of which it is not known whether they landed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub intents: Vec<String>,
    /// Conflicts that nobody has dealt with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conflicts: Vec<ConflictShown>,
    /// A deletion that waits for its answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<HeldId>,
    /// What of the person is not sent there, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stays: Vec<StaysShown>,
    /// What can be done about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub todo: Vec<String>,
}

/// A value that is not sent to an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaysShown {
    /// In which field.
    pub field: Field,
    /// The whole field, or one element of it.
    pub value: FieldValue,
    /// Why, in a sentence.
    pub why: String,
}

/// Where one field flows, as shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MappingRow {
    /// The field.
    pub field: Field,
    /// What is set.
    pub flow: Flow,
    /// What comes of it, given the direction and what the provider holds: `both ways`, `stays here` …
    pub says: String,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What.
    pub name: String,
    /// Whether it is well.
    pub ok: bool,
    /// What was found, and what to do about it.
    pub says: String,
}

/// What a rotation of the key did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotated {
    /// The id of the key that now seals.
    pub key: String,
    /// How many secrets were sealed anew.
    pub sealed: usize,
}
