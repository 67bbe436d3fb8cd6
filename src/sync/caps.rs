//! What a provider can do, as data: reconcile asks this and never which provider it is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::card::field::{Field, FieldSet};

/// What a provider can hold and how it behaves (rule 2; reconciliation A).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// Fields that it shows.
    pub reads: FieldSet,
    /// Fields that it takes.
    pub writes: FieldSet,
    /// The most elements of a list that it holds; absent = no limit that we would meet.
    pub most: BTreeMap<Field, u16>,
    /// Lists whose preferred marks it keeps; in others the mark neither comes in nor counts as lost.
    pub keeps_preferred: FieldSet,
    /// Whether a record keeps its id for life.
    pub ids: Ids,
    /// Whether an update can be made to fail when the record has changed since.
    pub guards_update: bool,
    /// Whether a delete can be made to fail when the record has changed since.
    pub guards_delete: bool,
    /// Where our token stands.
    pub token: TokenPlace,
    /// How membership in groups is told and changed.
    pub membership: Membership,
    /// How long after a write a read may still show the state before it, in ms. 0 = never.
    pub settle: i64,
    /// The most writes that one call of `write` takes.
    pub write_batch: u16,
    /// The most records that one call of `fetch` takes.
    pub fetch_batch: u16,
    /// The version of the adapter's converter: a higher one reads the same record better (re-bases quietly).
    pub converter: u16,
}

/// Whether a record keeps its id for life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ids {
    /// For life.
    Stable,
    /// Until it is moved to another folder.
    PerFolder,
}

/// Where our token stands in a created record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenPlace {
    /// In the name that we choose: a second create of the same record is refused (CardDAV).
    Name,
    /// In a property that listings show.
    Listed,
    /// In a property that only `find` shows.
    Hidden,
}

/// How membership in groups is told and changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Membership {
    /// Each record names its groups; a create can put it in them at once.
    InRecord,
    /// Each record names its groups; joining is a write of its own after the create.
    Joined,
    /// Each group lists its members by UID (Apple's group cards); joining is a write of its own.
    Roster,
}

impl Capabilities {
    /// A provider that holds everything and does everything well: the CRM itself, for merges that have no provider.
    pub fn everything() -> Self {
        Self {
            reads: FieldSet::all(),
            writes: FieldSet::all(),
            most: BTreeMap::new(),
            keeps_preferred: FieldSet::all(),
            ids: Ids::Stable,
            guards_update: true,
            guards_delete: true,
            token: TokenPlace::Name,
            membership: Membership::InRecord,
            settle: 0,
            write_batch: 100,
            fetch_batch: 500,
            converter: 0,
        }
    }
}
