//! An account's settings as the rules read them: a snapshot for the length of a run (rule 22).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::card::field::{Field, FieldSet};
use crate::crm::person::VisibleTo;
use crate::ids::GroupId;

/// What a user chose for an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Which records take part.
    pub scope: Scope,
    /// Whether we write to the provider.
    pub direction: Direction,
    /// Who sees the people whom this account brings in.
    pub visible_to: VisibleTo,
    /// Which people are created at the provider.
    pub push: Push,
    /// Who wins a conflict.
    pub conflicts: ConflictPolicy,
    /// What a deletion at the provider does.
    pub deletes: DeletePolicy,
    /// What leaving the sync group does.
    pub on_leave: OnLeave,
    /// Where each field flows; a field that is not named flows both ways.
    pub mapping: Mapping,
    /// When deletions are held.
    pub guard: GuardSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            scope: Scope::All,
            direction: Direction::TwoWay,
            visible_to: VisibleTo::Owner,
            push: Push::Owned,
            conflicts: ConflictPolicy::Latest,
            deletes: DeletePolicy::Propagate,
            on_leave: OnLeave::Keep,
            mapping: Mapping::default(),
            guard: GuardSettings::default(),
        }
    }
}

/// The sync group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Everything in the account.
    All,
    /// The records in this group.
    Group(GroupId),
}

/// Whether we write to the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Into the CRM only; the provider is never written to (rule 11).
    OneWay,
    /// Both ways.
    TwoWay,
}

/// Which people are created at the provider (rule 12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Push {
    /// Those whom the account's user owns.
    Owned,
    /// None; only people who came from there, or were matched, are kept up to date.
    Linked,
}

/// Who wins a conflict (rule 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConflictPolicy {
    /// The provider's value.
    Provider,
    /// The CRM's value.
    Crm,
    /// The later value where both times are known, else the provider's.
    Latest,
    /// Nobody until a person has chosen.
    Ask,
}

/// What a deletion at the provider does to the person (rule 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeletePolicy {
    /// Trashes it, where the account's user owns it and nobody else's account shows it.
    Propagate,
    /// Only ends the link.
    Unlink,
    /// Ends the link and tags the person as deleted there.
    Tag,
    /// Waits for a person's answer.
    Ask,
}

/// What leaving the sync group does (rule 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLeave {
    /// The person stays, the link waits.
    Keep,
    /// The same as a deletion.
    Delete,
}

/// Where one field flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flow {
    /// Both ways.
    Both,
    /// From the provider into the CRM.
    In,
    /// From the CRM to the provider.
    Out,
    /// Not at all.
    Off,
}

/// Where each field flows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mapping(pub BTreeMap<Field, Flow>);

impl Mapping {
    /// Where that field flows.
    pub fn flow(&self, field: Field) -> Flow {
        self.0.get(&field).copied().unwrap_or(Flow::Both)
    }
    /// The fields that flow into the CRM.
    pub fn incoming(&self) -> FieldSet {
        Field::ALL.iter().copied().filter(|f| matches!(self.flow(*f), Flow::Both | Flow::In)).collect()
    }
    /// The fields that flow to the provider.
    pub fn outgoing(&self) -> FieldSet {
        Field::ALL.iter().copied().filter(|f| matches!(self.flow(*f), Flow::Both | Flow::Out)).collect()
    }
}

/// When deletions are held (rule 10): above `max(at_least, share of live links)`, within a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GuardSettings {
    /// Whether the guard is on.
    pub on: bool,
    /// So many deletions a day always pass, unless they would leave none.
    pub at_least: u32,
    /// So many per cent of the account's live links may go in a day.
    pub percent: u8,
}

impl Default for GuardSettings {
    fn default() -> Self {
        Self { on: true, at_least: 5, percent: 20 }
    }
}
