//! How stored rows become values and back: the columns of each and the documents in them.
//!
//! Columns are read in the order in which the lists here name them.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::super::driver::{Row, Value};
use super::super::{Account, CollectionState, Kind, Known, StoreError};
use super::words::{Word, fields_of_column};
use crate::card::Card;
use crate::card::field::{Field, FieldSet};
use crate::ids::{
    AccountId, CollectionId, ConflictId, Cursor, Etag, Fence, HeldId, IntentId, LinkId, OpId, PageToken, PersonId,
    RemoteId, Revision, RoleId, RunId, Timestamp, Token, UserId,
};
use crate::sync::view::{
    Base, Groups, Intent, Link, LinkState, Pairs, RemoteRecord, RemoteRef, Roster, Seen, Send, StoredSeen,
};

macro_rules! own_ids {
    ($($name:ident),*) => {$(
        impl From<$name> for Value {
            fn from(id: $name) -> Self { Self::Text(id.to_string()) }
        }
    )*};
}
own_ids!(AccountId, ConflictId, HeldId, IntentId, LinkId, OpId, PersonId, RoleId, RunId, Token, UserId);

macro_rules! remote_ids {
    ($($name:ident),*) => {$(
        impl From<&$name> for Value {
            fn from(id: &$name) -> Self { Self::Text(id.0.clone()) }
        }
    )*};
}
remote_ids!(CollectionId, Cursor, Etag, PageToken, RemoteId);

impl From<Timestamp> for Value {
    fn from(time: Timestamp) -> Self {
        Self::Int(time.0)
    }
}
impl From<Revision> for Value {
    fn from(revision: Revision) -> Self {
        Self::Int(revision.0)
    }
}
impl From<Fence> for Value {
    fn from(fence: Fence) -> Self {
        Self::Int(fence.0)
    }
}

/// A value as a JSON document.
pub(super) fn json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value)
        .map_err(|_| StoreError::Broken(format!("can't write a {}", std::any::type_name::<T>())))
}

/// The columns of an account.
macro_rules! account_columns {
    () => {
        "a.id, a.user_id, a.provider, a.tenant, a.subject, a.address, a.state, a.settings, a.connection, a.created, a.synced, a.revision"
    };
}

/// Reads `account_columns!`.
pub(super) fn account(row: &mut Row<'_>) -> Result<Account, StoreError> {
    Ok(Account {
        id: row.id()?,
        user: row.id()?,
        provider: row.text()?.to_owned(),
        tenant: row.text()?.to_owned(),
        subject: row.text()?.to_owned(),
        address: row.text()?.to_owned(),
        state: row.json()?,
        settings: row.json()?,
        connection: row.json()?,
        created: Timestamp(row.int()?),
        synced: row.maybe_int()?.map(Timestamp),
        revision: Revision(row.int()?),
    })
}

/// Reads the columns of a collection, in the order of the table, without the account.
pub(super) fn collection(row: &mut Row<'_>) -> Result<CollectionState, StoreError> {
    Ok(CollectionState {
        id: CollectionId::from(row.text()?),
        name: row.text()?.to_owned(),
        writable: row.bool()?,
        cursor: row.maybe_text()?.map(Cursor::from),
        generation: row.int()?,
        listing: {
            let since = row.maybe_int()?.map(Timestamp);
            let page = row.maybe_text()?.map(PageToken::from);
            since.map(|since| (since, page))
        },
        listed: row.bool()?,
        doubted: row.maybe_int()?.map(Timestamp),
    })
}

/// The columns of what is known of a row.
macro_rules! known_columns {
    () => {
        "s.remote, s.etag, s.kind, s.generation, s.written"
    };
}

/// Reads `known_columns!`.
pub(super) fn known(row: &mut Row<'_>) -> Result<Known, StoreError> {
    Ok(Known {
        id: RemoteId::from(row.text()?),
        etag: row.maybe_text()?.map(Etag::from),
        kind: Kind::of(row.text()?)?,
        generation: row.int()?,
        written: row.maybe_int()?.map(Timestamp),
    })
}

/// The columns of an observation.
macro_rules! seen_columns {
    () => {
        "s.kind, s.remote, s.collection, s.etag, s.version, s.body, s.times, s.groups_in, s.formerly, s.modified, s.token, \
         s.uid, s.detail, s.raw"
    };
}
/// How many they are.
const SEEN_COLUMNS: usize = 14;

/// What stands in the columns of an observation.
pub(super) struct SeenRow {
    pub kind: Kind,
    pub body: Option<String>,
    pub groups: Option<String>,
    pub formerly: Option<String>,
    pub modified: Option<Timestamp>,
    pub token: Option<Token>,
    pub uid: Option<String>,
    pub detail: Option<String>,
    pub raw: Option<Vec<u8>>,
}

impl SeenRow {
    /// The columns of that observation.
    pub(super) fn new(seen: &Seen) -> Result<Self, StoreError> {
        let groups_of = |groups: &Groups| if groups.is_empty() { Ok(None) } else { json(groups).map(Some) };
        let empty = |kind| Self {
            kind,
            body: None,
            groups: None,
            formerly: None,
            modified: None,
            token: None,
            uid: None,
            detail: None,
            raw: None,
        };
        Ok(match seen {
            Seen::Present(RemoteRecord { at: _, body, groups, modified, token, uid, formerly, raw }) => Self {
                kind: Kind::Present,
                body: Some(json(body)?),
                groups: groups_of(groups)?,
                formerly: if formerly.is_empty() { None } else { Some(json(formerly)?) },
                modified: *modified,
                token: *token,
                uid: uid.clone(),
                detail: None,
                raw: raw.clone(),
            },
            Seen::Outside { at: _, groups, uid } => {
                Self { groups: groups_of(groups)?, uid: uid.clone(), ..empty(Kind::Outside) }
            }
            Seen::Unreadable(_, reason) => Self { detail: Some(reason.clone()), ..empty(Kind::Unreadable) },
            Seen::Roster(roster) => Self {
                uid: roster.uid.clone(),
                // Its version stands in its own column: a new one alone is no change.
                detail: Some(json(&Roster { at: RemoteRef { etag: None, ..roster.at.clone() }, ..roster.clone() })?),
                ..empty(Kind::Roster)
            },
            Seen::Gone(_) => empty(Kind::Gone),
        })
    }
}

/// Reads `seen_columns!`; nothing where an outer join found nothing.
pub(super) fn seen(row: &mut Row<'_>) -> Result<Option<StoredSeen>, StoreError> {
    if row.is_null() {
        row.skip(SEEN_COLUMNS);
        return Ok(None);
    }
    let kind = Kind::of(row.text()?)?;
    let id = RemoteId::from(row.text()?);
    let collection = CollectionId::from(row.text()?);
    let at = RemoteRef { collection, id, etag: row.maybe_text()?.map(Etag::from) };
    let version = row.int()?;
    let body: Option<Card> = row.maybe_json()?;
    let times: BTreeMap<Field, Timestamp> = row.maybe_json()?.unwrap_or_default();
    let groups: Groups = row.maybe_json()?.unwrap_or_default();
    let formerly: Vec<RemoteId> = row.maybe_json()?.unwrap_or_default();
    let modified = row.maybe_int()?.map(Timestamp);
    let token = row.maybe_id()?;
    let uid = row.maybe_text()?.map(str::to_owned);
    let detail = row.maybe_text()?;
    let raw = row.maybe_bytes()?.map(<[u8]>::to_vec);
    let lacks = |what: &str| StoreError::Broken(format!("an observation lacks its {what}"));
    let seen = match kind {
        Kind::Present => {
            let body = body.ok_or_else(|| lacks("content"))?;
            Seen::Present(RemoteRecord { at, body, groups, modified, token, uid, formerly, raw })
        }
        Kind::Outside => Seen::Outside { at, groups, uid },
        Kind::Unreadable => Seen::Unreadable(at, detail.unwrap_or_default().to_owned()),
        Kind::Roster => {
            let roster: Roster = parse(detail.ok_or_else(|| lacks("members"))?)?;
            Seen::Roster(Roster { at, ..roster })
        }
        Kind::Gone => Seen::Gone(at.id),
    };
    Ok(Some(StoredSeen { seen, times, version }))
}

/// Reads a document that was not read as such from its row.
pub(super) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text)
        .map_err(|error| StoreError::Broken(format!("a document of another kind (stopped at byte {})", error.column())))
}

/// The columns of a link.
macro_rules! link_columns {
    () => {
        "l.id, l.account, l.person, l.remote, l.origin, l.state, l.token, l.revision, l.converter, l.mapped, l.pairs, \
         l.base_ours, l.base_theirs"
    };
}
/// How many they are.
const LINK_COLUMNS: usize = 13;

/// Reads `link_columns!`; nothing where an outer join found nothing.
pub(super) fn maybe_link(row: &mut Row<'_>) -> Result<Option<Link>, StoreError> {
    if row.is_null() {
        row.skip(LINK_COLUMNS);
        return Ok(None);
    }
    let (id, account, person) = (row.id()?, row.id()?, row.id()?);
    let remote = row.maybe_text()?.map(RemoteId::from);
    let origin = Word::of(row.text()?)?;
    let state = LinkState::of(row.text()?)?;
    let token = row.maybe_id()?;
    let revision = Revision(row.int()?);
    let converter = u16::try_from(row.int()?).map_err(|_| StoreError::Broken("a converter's number".to_owned()))?;
    let mapped = fields_of_column(row.int()?);
    let pairs: Pairs = row.json()?;
    let ours: Card = row.json()?;
    let theirs = row.maybe_json()?.unwrap_or_else(|| ours.clone());
    let base = Base { ours, theirs, pairs, mapped, converter };
    Ok(Some(Link { id, account, person, remote, origin, state, token, base, revision }))
}

/// Reads `link_columns!`.
pub(super) fn link(row: &mut Row<'_>) -> Result<Link, StoreError> {
    maybe_link(row)?.ok_or_else(|| StoreError::Broken("a row without a link".to_owned()))
}

/// What of an intent is never looked up.
#[derive(Serialize, Deserialize)]
struct IntentDoc {
    what: Send,
    collection: CollectionId,
    ours: Card,
    revision: Revision,
    sent: Card,
    mask: FieldSet,
    #[serde(default)]
    pairs: Pairs,
    #[serde(default)]
    before: Option<BeforeDoc>,
    fence: Fence,
}

/// A remote record but for its original bytes, which have a column.
#[derive(Serialize, Deserialize)]
struct BeforeDoc {
    at: RemoteRef,
    body: Card,
    groups: Groups,
    modified: Option<Timestamp>,
    token: Option<Token>,
    uid: Option<String>,
    formerly: Vec<RemoteId>,
}

/// The document and the original bytes of an intent.
pub(super) fn intent_doc(intent: Intent) -> Result<(String, Option<Vec<u8>>), StoreError> {
    let mut bytes = None;
    let before = intent.before.map(|RemoteRecord { at, body, groups, modified, token, uid, formerly, raw }| {
        bytes = raw;
        BeforeDoc { at, body, groups, modified, token, uid, formerly }
    });
    let doc = IntentDoc {
        what: intent.what,
        collection: intent.collection,
        ours: intent.ours,
        revision: intent.revision,
        sent: intent.sent,
        mask: intent.mask,
        pairs: intent.pairs,
        before,
        fence: intent.fence,
    };
    Ok((json(&doc)?, bytes))
}

/// The columns of an intent.
macro_rules! intent_columns {
    () => {
        "i.id, i.link, i.account, i.person, i.token, i.opened, i.missed, i.doc, i.raw"
    };
}

/// Reads `intent_columns!`.
pub(super) fn intent(row: &mut Row<'_>) -> Result<Intent, StoreError> {
    let (id, link, account, person, token) = (row.id()?, row.id()?, row.id()?, row.id()?, row.id()?);
    let opened = Timestamp(row.int()?);
    let missed = u16::try_from(row.int()?).unwrap_or(u16::MAX);
    let doc: IntentDoc = row.json()?;
    let raw = row.maybe_bytes()?.map(<[u8]>::to_vec);
    let before = doc.before.map(|BeforeDoc { at, body, groups, modified, token, uid, formerly }| RemoteRecord {
        at,
        body,
        groups,
        modified,
        token,
        uid,
        formerly,
        raw,
    });
    Ok(Intent {
        id,
        link,
        account,
        person,
        token,
        what: doc.what,
        collection: doc.collection,
        ours: doc.ours,
        revision: doc.revision,
        sent: doc.sent,
        mask: doc.mask,
        pairs: doc.pairs,
        before,
        opened,
        fence: doc.fence,
        missed,
    })
}

pub(super) use {account_columns, intent_columns, known_columns, link_columns, seen_columns};
