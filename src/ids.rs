//! Identifiers and [`Timestamp`]: newtypes, so that one kind can never stand where another belongs.
//!
//! Owns: the shapes of ids. Must not: make them (that takes time and randomness, see [`crate::clock`]).
//! Ids that we make are UUIDs in time order (RFC 9562 §5.7, version 7); ids that a provider makes are opaque text.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! own_ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { fmt::Display::fmt(&self.0, f) }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, concat!(stringify!($name), "({})"), self.0) }
        }
        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self { Self(id) }
        }
        impl FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                Uuid::try_parse(text).map(Self).map_err(|_| BadId { kind: stringify!($name), text: text.to_owned() })
            }
        }
    )*};
}

macro_rules! remote_ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// The provider's own text, verbatim.
            pub fn as_str(&self) -> &str { &self.0 }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.0) }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, concat!(stringify!($name), "({:?})"), self.0) }
        }
        impl From<&str> for $name {
            fn from(text: &str) -> Self { Self(text.to_owned()) }
        }
        impl From<String> for $name {
            fn from(text: String) -> Self { Self(text) }
        }
    )*};
}

own_ids! {
    /// A CRM record. Unlike a [`RemoteId`] it stays the same however many address books show the person.
    PersonId;
    /// Someone who signs in to the CRM; owns people and accounts.
    UserId;
    /// A place in the tree of roles.
    RoleId;
    /// A user's connected mailbox. Stays the same when the mailbox is re-added (rule 15).
    AccountId;
    /// Ties one remote record to one person. Never reused: a record created anew gets a new link.
    LinkId;
    /// A send that may or may not have happened. One link can have had many.
    IntentId;
    /// An entry in the log of what was done.
    OpId;
    /// One execution of a sync.
    RunId;
    /// A clash of two values, or of an edit and a delete, that a person can look at.
    ConflictId;
    /// A deletion that waits for a yes or no.
    HeldId;
    /// Travels with a record that we create, so that it can be found again when the answer was lost (rule 14).
    /// Unlike an [`IntentId`] it is the same for every attempt at the same record.
    Token;
}

impl Token {
    /// On the contact that a trial of an account makes and removes again. The same for every trial, so that the next one finds
    /// what a broken one left; of version 8, so that none that we make at random or in time order is ever this one.
    pub const TRIAL: Self = Self(Uuid::from_u128(0xc017_ac7d_0000_8000_8000_7472_6961_6c00));
}

remote_ids! {
    /// An address book or contact folder inside an account, as the provider names it.
    CollectionId;
    /// A record as its provider names it (href, resourceName, item id). Unique within the account.
    RemoteId;
    /// A provider's mark for one version of a record, verbatim. Says nothing about order.
    Etag;
    /// A provider's change token for one collection (sync-token, syncToken, deltaLink, SyncState). Opaque.
    Cursor;
    /// Where the next page of a listing starts. Unlike a [`Cursor`] it is worthless once the listing is complete.
    PageToken;
    /// What a user calls a label, folder, category or list, as the provider names it.
    GroupId;
}

/// The text is not an id of that kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not the id of a {}; it should look like 0193a5b2-7c1e-7000-8000-000000000001", .kind.to_lowercase().trim_end_matches("id"))]
pub struct BadId {
    /// Which kind was expected.
    pub kind: &'static str,
    /// What was given.
    pub text: String,
}

/// A point in time: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// This time and so many milliseconds more; saturates.
    #[must_use]
    pub fn plus(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to this; negative if `earlier` is later.
    pub fn since(self, earlier: Timestamp) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl FromStr for Timestamp {
    type Err = BadTime;
    /// RFC 3339, e.g. `2026-11-21T20:40:00Z`.
    fn from_str(text: &str) -> Result<Self, BadTime> {
        let read = text.parse::<jiff::Timestamp>();
        read.map(|time| Self(time.as_millisecond())).map_err(|_| BadTime(text.to_owned()))
    }
}

/// The text is no point in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no time: expected RFC 3339, such as 2026-11-21T20:40:00Z")]
pub struct BadTime(pub String);

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC, e.g. `2026-11-21T20:40:00Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => fmt::Display::fmt(&time, f),
            Err(_) => write!(f, "{}ms", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Counts the versions of a person, from 1. Higher is later; gaps mean nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub i64);

/// Grows each time a lease changes hands; a commit under an older fence is refused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fence(pub i64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_their_text() {
        let id = PersonId(Uuid::from_u128(0x0193_a5b2_7c1e_7000_8000_0000_0000_0001));
        assert_eq!(id.to_string().parse::<PersonId>(), Ok(id));
        assert!("ann".parse::<PersonId>().unwrap_err().to_string().contains("'ann' is not the id of a person;"));
    }

    #[test]
    fn times_print_as_rfc_3339() {
        assert_eq!(Timestamp(1_795_293_632_000).to_string(), "2026-11-21T20:40:32Z");
        assert_eq!("2026-11-21T20:40:32Z".parse(), Ok(Timestamp(1_795_293_632_000)));
        assert!("soon".parse::<Timestamp>().is_err());
    }
}
