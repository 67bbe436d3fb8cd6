//! The arguments of what people do by hand: conflicts, undo, merging, duplicates, the trash.

use clap::{Args, Subcommand, ValueEnum};

use crate::card::field::Field;

/// Conflicts.
#[derive(Debug, Subcommand)]
pub enum ConflictsCommand {
    /// List them, with which value stands
    List {
        /// Only of this account
        account: Option<String>,
    },
    /// Show one with both values, when they were said, and what can be done
    Show {
        /// Its id
        conflict: String,
    },
    /// Choose one of both values, or another one
    Resolve(ResolveArgs),
}

/// A choice.
#[derive(Debug, Args)]
pub struct ResolveArgs {
    /// Its id
    pub conflict: String,
    /// Keep this side's value; of an edit and a deletion, that side's deed
    #[arg(long, value_enum, required_unless_present = "value", conflicts_with = "value")]
    pub keep: Option<KeepArg>,
    /// Another value; empty = none. What has parts (an address) as JSON, as in a person's card
    #[arg(long, allow_hyphen_values = true)]
    pub value: Option<String>,
}

/// Whose value is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KeepArg {
    /// The address book's
    Provider,
    /// The CRM's
    Crm,
}

/// Undo.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["ids", "account", "person"])))]
pub struct UndoArgs {
    /// A run, or operations (an undo and a merge are such), by id
    pub ids: Vec<String>,
    /// What the syncs of this account did; with --since
    #[arg(long, requires = "since")]
    pub account: Option<String>,
    /// Since when: 2026-11-21T20:40:00Z, or 90m, 2h or 3d ago
    #[arg(long, requires = "account")]
    pub since: Option<String>,
    /// What was last done to this person
    #[arg(long)]
    pub person: Option<String>,
    /// Only what was last done to this field of the person
    #[arg(long, requires = "person")]
    pub field: Option<Field>,
    /// Only show what would be done
    #[arg(long, conflicts_with = "yes")]
    pub preview: bool,
    /// Don't ask
    #[arg(long)]
    pub yes: bool,
}

/// Merging two people.
#[derive(Debug, Args)]
pub struct PeopleMerge {
    /// The person who stays
    pub survivor: String,
    /// The person who goes into the trash; its history is kept
    pub other: String,
    /// Only show what would be done
    #[arg(long, conflicts_with = "yes")]
    pub preview: bool,
    /// Don't ask
    #[arg(long)]
    pub yes: bool,
}

/// Possible duplicates.
#[derive(Debug, Subcommand)]
pub enum DuplicatesCommand {
    /// List them
    List {
        /// Only of this account
        account: Option<String>,
    },
    /// The record is that person: both are synced from now on
    Merge {
        /// The account, by address or id
        account: String,
        /// The record
        remote: String,
        /// The person
        person: String,
    },
    /// The record is none of these people, and is imported as somebody new
    Dismiss {
        /// The account, by address or id
        account: String,
        /// The record
        remote: String,
        /// Only not that person
        person: Option<String>,
    },
}

/// The trash.
#[derive(Debug, Subcommand)]
pub enum TrashCommand {
    /// List who is in it
    List {
        /// How many
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Take people out of it
    Restore {
        /// Their ids
        #[arg(required = true)]
        people: Vec<String>,
    },
    /// Remove the content of people for good, now
    Purge(WhichTrash),
}

/// Whom to purge.
#[derive(Debug, Args)]
pub struct WhichTrash {
    /// Their ids
    #[arg(required_unless_present = "all")]
    pub people: Vec<String>,
    /// Everybody who is in the trash
    #[arg(long, conflicts_with = "people")]
    pub all: bool,
    /// Don't ask
    #[arg(long)]
    pub yes: bool,
}
