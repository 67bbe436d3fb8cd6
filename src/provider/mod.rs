//! IO. One folder per address book; what all of them must be able to do.
//!
//! Owns: the trait [`Provider`] and what goes in and out of it. Must not: know the store. Adapters never sleep, never
//! retry by hand and never decide anything that a rule decides.

pub mod carddav;
pub mod dns;
pub mod google;
pub mod http;
pub mod oauth;
pub mod registry;

use async_trait::async_trait;

use crate::card::Card;
use crate::card::field::FieldSet;
pub use crate::card::photo::Blob;
use crate::ids::{CollectionId, Cursor, GroupId, PageToken, RemoteId, Timestamp, Token};
use crate::sync::caps::Capabilities;
use crate::sync::view::{Groups, RemoteRecord, RemoteRef, Seen};

/// An account's address book, as reached by one signed-in session.
#[async_trait]
pub trait Provider: Send + Sync {
    /// What it can do.
    fn capabilities(&self) -> &Capabilities;
    /// Whether sign-in works, and whose mailbox it is.
    async fn check(&self) -> Result<Mailbox, ProviderError>;
    /// The address books of the account.
    async fn collections(&self) -> Result<Vec<Collection>, ProviderError>;
    /// The groups that can be chosen as sync group, with their sizes.
    async fn groups(&self) -> Result<Vec<Group>, ProviderError>;
    /// Whether that group still exists, where groups do so apart from their members; `None` = there is no telling.
    async fn group_exists(&self, _: &GroupId) -> Result<Option<bool>, ProviderError> {
        Ok(None)
    }
    /// What changed since the cursor, or everything. Cursor or page token refused: [`Retry::Relist`].
    async fn changes(&self, of: &CollectionId, from: From<'_>) -> Result<Changes, ProviderError>;
    /// The records themselves, one answer per id, in order.
    async fn fetch(&self, of: &[RemoteRef]) -> Result<Vec<Fetched>, ProviderError>;
    /// Records that carry our tokens, one answer per token, in order.
    async fn find(&self, of: &CollectionId, tokens: &[Token]) -> Result<Vec<Found>, ProviderError>;
    /// The picture's bytes; `None` = there is none any more.
    async fn photo(&self, of: &RemoteRecord) -> Result<Option<Blob>, ProviderError>;
    /// Writes; one outcome each, in order. Never an error for the batch: a write whose answer was lost is
    /// [`Outcome::Unknown`], and so is one that was not tried after it.
    async fn write(&self, batch: &[Write]) -> Vec<Outcome>;
    /// The connection with what was found so far, to be stored with the account so that the next run need not look for it
    /// again; `None` = there is nothing to keep.
    fn learnt(&self) -> Option<serde_json::Value> {
        None
    }
}

/// Where to go on reading.
#[derive(Clone, Copy, Debug)]
pub enum From<'a> {
    /// A full listing from its start.
    Start,
    /// A listing, full or not, from its next page.
    Page(&'a PageToken),
    /// What changed since then.
    Cursor(&'a Cursor),
}

/// Whose mailbox it is. Its identity is (provider, tenant, subject), not its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    /// Where subjects are unique: a tenant id, or the server's host.
    pub tenant: String,
    /// The mailbox itself: an account id, a principal's path.
    pub subject: String,
    /// Its address or name, for people.
    pub address: Option<String>,
}

/// An address book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collection {
    /// Its id.
    pub id: CollectionId,
    /// Its name, for people.
    pub name: String,
    /// Whether we may write to it.
    pub writable: bool,
}

/// A group that can be chosen as sync group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its id.
    pub id: GroupId,
    /// Its name, for people.
    pub name: String,
    /// How many records are in it, where that can be told cheaply.
    pub size: Option<u64>,
}

/// A page of what changed.
#[derive(Clone, Debug)]
pub struct Changes {
    /// Whether this belongs to a full listing: what it never names is then a candidate for removal.
    pub full: bool,
    /// Records with their content, and removals that the provider names.
    pub seen: Vec<Seen>,
    /// Records of which only the version is told; the engine fetches those that it doesn't have.
    pub listed: Vec<Listed>,
    /// Pictures that came inline with `seen`.
    pub blobs: Vec<Blob>,
    /// What comes next.
    pub next: Next,
}

/// A record of which only the version is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Which version of which record. The etag is always told.
    pub at: RemoteRef,
    /// When it was last changed, where the listing tells.
    pub modified: Option<Timestamp>,
}

/// What comes after a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// More pages.
    Page(PageToken),
    /// That was the last one.
    Done(Cursor),
}

/// A record that was asked for by id.
#[derive(Clone, Debug)]
pub enum Fetched {
    /// It is there: `Present`, `Roster` or `Unreadable`; with the pictures that came inline.
    There(Seen, Vec<Blob>),
    /// The provider says that it is not there.
    Gone,
    /// It did not say.
    Unknown,
}

/// What a token was found on.
#[derive(Clone, Debug)]
pub enum Found {
    /// These records carry it, as `Present` or `Unreadable`.
    Records(Vec<Seen>, Vec<Blob>),
    /// The provider says that none does.
    NotThere,
    /// It did not say.
    Unknown,
}

/// One write.
#[derive(Clone, Debug)]
pub struct Write {
    /// What an intent says.
    pub what: WriteKind,
    /// The token of the record: for a create its mark, for the others as it was created with, if by us.
    pub token: Token,
    /// The address book to write to.
    pub collection: CollectionId,
    /// The record as last seen, with what the adapter needs to edit it in place; `None` for a create.
    pub before: Option<RemoteRecord>,
    /// The picture's bytes, where `mask` has the photo and the card has one.
    pub photo: Option<Blob>,
    /// It is not begun after this time: [`Outcome::NotTried`] then. The lease under which it is sent outlasts what is begun
    /// before it.
    pub by: Timestamp,
}

/// What to write.
#[derive(Clone, Debug)]
pub enum WriteKind {
    /// A new record.
    Create {
        /// Its content.
        card: Card,
        /// The groups to be in from the start, where membership is `InRecord`.
        groups: Groups,
    },
    /// Changes of a record.
    Update {
        /// What it should show afterwards.
        card: Card,
        /// The fields that are sent; nothing else is touched.
        mask: FieldSet,
    },
    /// The end of a record.
    Delete,
    /// Membership in a group.
    Join(GroupId),
    /// The end of a membership.
    Leave(GroupId),
}

/// What became of a write.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It is stored, as this.
    Stored(RemoteRecord),
    /// It is stored, as this, but for these fields, which surely or maybe are not: they are to be sent again.
    Partly {
        /// As it is shown.
        record: RemoteRecord,
        /// The fields that were not stored.
        lacks: FieldSet,
        /// Why, where the provider refused them; `None` = there was no time, or no answer, for them.
        why: Option<String>,
    },
    /// It is stored, as this, but for these fields, which the provider won't take unless they change: they stay here, and are
    /// not sent again.
    Without {
        /// As it is shown.
        record: RemoteRecord,
        /// The fields that were not taken.
        fields: FieldSet,
        /// Why, for a person.
        why: String,
    },
    /// It is stored; the answer does not show how: read it again. With an etag where the answer names the version that was
    /// stored: if another one is read, somebody has edited it since.
    Landed(RemoteRef),
    /// It is deleted, or was gone already.
    Deleted,
    /// The record has changed since `before`; nothing was written.
    Stale,
    /// The record is not there; nothing was written.
    Missing,
    /// The provider won't take it, now or later, unless it changes; why. Nothing was written.
    Refused(String),
    /// Surely nothing was written, and it may be tried again: the provider asked us to wait, or the batch ended first.
    NotTried,
    /// It may have been written.
    Unknown,
}

/// How much is broken, and when to try again. Nothing else is asked of an adapter's error.
#[derive(Debug, thiserror::Error)]
#[error("{doing}: {source}")]
pub struct ProviderError {
    /// How much is broken.
    pub scope: Scope,
    /// When to try again.
    pub retry: Retry,
    /// What was being done, in words: `listing the address book`.
    pub doing: &'static str,
    /// What went wrong, and what a person can do about it. Never holds a secret or personal data.
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// How much is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One record.
    Record(RemoteId),
    /// One address book.
    Collection(CollectionId),
    /// The account.
    Account,
}

/// When to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// At the next opportunity, with back-off.
    Soon,
    /// Not before then: the provider said so.
    At(Timestamp),
    /// At once, with a full listing: the cursor or page token is no longer known.
    Relist,
    /// When a person has done something (sign in again).
    AfterHuman,
    /// Never.
    Never,
}
