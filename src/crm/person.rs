//! A CRM record and what belongs to every item: owner, visible-to, followers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::card::Card;
use crate::card::field::Field;
use crate::ids::{PersonId, Revision, Timestamp, UserId};

/// Who may see and edit an item, besides its owner, its followers and admins. From narrow to wide, but for
/// `OwnerRole…`, which compare with the others only through the role tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VisibleTo {
    /// Only the owner (and followers, and admins).
    Owner,
    /// The owner and the item's followers, said so by name (Silver and Gold).
    OwnerAndFollowers,
    /// Everybody with the owner's role.
    OwnerRole,
    /// Everybody with the owner's role or one below it.
    OwnerRoleAndBelow,
    /// Everybody in the company.
    Company,
}

impl VisibleTo {
    /// All of them, from narrow to wide.
    pub const ALL: [Self; 5] =
        [Self::Owner, Self::OwnerAndFollowers, Self::OwnerRole, Self::OwnerRoleAndBelow, Self::Company];

    /// As it is written in settings and in the API: `owner_role`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::OwnerAndFollowers => "owner_and_followers",
            Self::OwnerRole => "owner_role",
            Self::OwnerRoleAndBelow => "owner_role_and_below",
            Self::Company => "company",
        }
    }

    /// As a person would say it: `everybody with the owner's role`.
    pub fn words(self) -> &'static str {
        match self {
            Self::Owner => "its owner only",
            Self::OwnerAndFollowers => "its owner and followers",
            Self::OwnerRole => "everybody with the owner's role",
            Self::OwnerRoleAndBelow => "everybody with the owner's role or one below it",
            Self::Company => "everybody in the company",
        }
    }
}

/// Where a person stands in life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum PersonState {
    /// In use.
    Live,
    /// In the trash: restorable, not shown, no longer pushed.
    Trashed {
        /// Since when.
        at: Timestamp,
        /// Who put it there; `None` = a deletion in an address book, by way of a sync.
        by: Option<UserId>,
    },
    /// Content removed for good; stays as a tombstone, so that nothing resurrects it (reconciliation C, purging).
    Purged {
        /// When.
        at: Timestamp,
    },
}

/// A CRM record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// Its id.
    pub id: PersonId,
    /// Its version; every change makes the next.
    pub revision: Revision,
    /// Its content.
    pub card: Card,
    /// When each field last got its value: by a person's hand, or the provider's time for what a sync brought (R5).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub times: BTreeMap<Field, Timestamp>,
    /// The company's own fields, by name, as text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub custom: BTreeMap<String, String>,
    /// Who owns it.
    pub owner: UserId,
    /// Who else may see and edit it.
    pub visible_to: VisibleTo,
    /// Who follows it; at most [`super::followers::MOST`] besides the owner.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub followers: Vec<UserId>,
    /// Live, trashed or purged.
    pub state: PersonState,
    /// When it came to be.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
}

impl Person {
    /// Whether it is in use.
    pub fn is_live(&self) -> bool {
        self.state == PersonState::Live
    }
}
