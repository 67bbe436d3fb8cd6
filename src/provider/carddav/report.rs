//! What changed in an address book: listings, `sync-collection`, and the cursor between them.
//!
//! Owns: icloud-carddav.md §3.1 and §3.2. The token is taken *before* a listing, so nothing can fall between. What a
//! listing lacks is only ever a candidate: what can't be true (an empty answer, a place that is no address book) is an
//! error.

use reqwest::StatusCode;
use serde::{Deserialize, Serialize};

use super::fault::Fault;
use super::href;
use super::href::Spelling;
use super::requests::{BOOK, MEMBER, propfind, sync_collection};
use super::settings::Book;
use super::xml::{self, Row, Tail};
use crate::ids::{CollectionId, Cursor, Etag, PageToken, RemoteId, Timestamp};
use crate::provider::http::message::{Incoming, Request};
use crate::provider::http::{Door, Reading, Streamed};
use crate::provider::{Changes, From, Listed, Next};
use crate::sync::retry::Resend;
use crate::sync::view::{RemoteRef, Seen};

/// Bodies of listings: 50,000 rows have some 15 MB.
const LISTING_LIMIT: u64 = 256 * 1024 * 1024;
/// A server that never comes to an end is not believed.
const MOST_ROUNDS: u32 = 1_000;
/// After an answer with rows that could not be used, everything is listed again this soon.
const SOON_AUDIT: i64 = 86_400_000;

/// The cursor, and with `round` the page token: our own JSON, opaque to others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    /// The form of this record.
    v: u8,
    /// The server's sync token (RFC 6578); `None` = it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// The server's tag of the whole book; tells only whether anything changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ctag: Option<String>,
    /// When everything was last listed.
    audit: Timestamp,
    /// Whether rows were seen since that could not be used.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    odd: bool,
    /// In a page token: whether it belongs to a full listing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    full: bool,
    /// In a page token: how many pages came before.
    #[serde(default, skip_serializing_if = "is_zero")]
    round: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

impl Place {
    fn parse(text: &str) -> Result<Self, Fault> {
        let place: Option<Self> = serde_json::from_str(text).ok();
        place.filter(|place| place.v == 1).ok_or(Fault::Relist("the stored place in the listing can't be read"))
    }

    fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default() // plain data; an empty text is refused by `parse`
    }

    fn next(self, truncated: bool, round: u32, full: bool) -> Result<Next, Fault> {
        if !truncated {
            return Ok(Next::Done(Cursor(Self { round: 0, full: false, ..self }.text())));
        }
        if round >= MOST_ROUNDS {
            return Err(Fault::Relist("the server's listing does not come to an end"));
        }
        Ok(Next::Page(PageToken(Self { round: round + 1, full, ..self }.text())))
    }
}

/// What is known of a book before it is listed.
#[derive(Debug, Default)]
struct Head {
    token: Option<String>,
    ctag: Option<String>,
    syncs: bool,
}

/// A time source and how often everything is listed again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Audit {
    pub now: Timestamp,
    pub every: i64,
}

/// What changed, and how the server spells names.
pub(super) struct Told {
    pub changes: Changes,
    pub spelling: Spelling,
}

/// One page of changes.
pub(super) async fn changes(door: &Door, book: &Book, from: From<'_>, audit: Audit) -> Result<Told, Fault> {
    match from {
        From::Start => full(door, book, audit).await,
        From::Page(page) => {
            let place = Place::parse(page.as_str())?;
            sync(door, book, place).await
        }
        From::Cursor(cursor) => {
            let place = Place::parse(cursor.as_str())?;
            let age = audit.now.since(place.audit);
            // A clock that was set back counts as due.
            if age < 0 || age >= if place.odd { SOON_AUDIT.min(audit.every) } else { audit.every } {
                return Err(Fault::Relist("it is time to compare everything"));
            }
            if place.token.is_some() { sync(door, book, place).await } else { poll(door, book, place).await }
        }
    }
}

/// Everything: the token first, then the listing.
async fn full(door: &Door, book: &Book, audit: Audit) -> Result<Told, Fault> {
    let head = head(door, book).await?;
    let listing = rows(door, propfind(book.url.clone(), 1, MEMBER), book).await?;
    let place = Place {
        v: 1,
        token: head.token.filter(|_| head.syncs),
        ctag: head.ctag,
        audit: audit.now,
        odd: listing.odd,
        full: false,
        round: 0,
    };
    if listing.truncated {
        if !head.syncs {
            return Err(Fault::Implausible("the server shows only a part of the address book"));
        }
        // Such servers come to the end only by their own report, from an empty token (icloud-carddav.md §3.1).
        return sync(door, book, Place { token: Some(String::new()), full: true, round: 1, ..place }).await;
    }
    if listing.members == 0 && !listing.itself {
        return Err(Fault::Implausible("the server shows neither records nor the address book itself"));
    }
    if listing.listed.is_empty() && listing.members > listing.gone.len() {
        return Err(Fault::Implausible("the server tells no versions of its records"));
    }
    listing.into_told(place, true)
}

/// Whether there is anything new, for servers that can't tell what.
async fn poll(door: &Door, book: &Book, place: Place) -> Result<Told, Fault> {
    let head = head(door, book).await?;
    if head.syncs && head.token.is_some() {
        return Err(Fault::Relist("the server has learnt to tell what changed"));
    }
    if place.ctag.is_none() || head.ctag != place.ctag {
        return Err(Fault::Relist("the address book has changed"));
    }
    Listing::of(book).into_told(place, false)
}

/// What changed since the token.
async fn sync(door: &Door, book: &Book, place: Place) -> Result<Told, Fault> {
    let token = place.token.clone().ok_or(Fault::Relist("the stored place has no token"))?;
    let listing = match rows(door, sync_collection(book.url.clone(), &token), book).await {
        Ok(listing) => listing,
        Err(Fault::Status { status: 400 | 403 | 409 | 410 | 412, .. }) => {
            return Err(Fault::Relist("the server no longer knows the sync token"));
        }
        Err(Fault::Status { conditions, .. }) if conditions.iter().any(|name| name == "valid-sync-token") => {
            return Err(Fault::Relist("the server no longer knows the sync token"));
        }
        Err(Fault::Status { status: 405 | 415 | 501, .. }) => {
            return Err(Fault::Relist("the server no longer tells what changed"));
        }
        Err(Fault::Http(error @ crate::provider::http::message::HttpError::Content { .. })) => {
            tracing::debug!(%error, "a sync answer that can't be read");
            return Err(Fault::Relist("the server's answer could not be read"));
        }
        Err(fault) => return Err(fault),
    };
    let Some(new) = listing.token.clone() else {
        return Err(Fault::Relist("the server's answer has no new sync token"));
    };
    if listing.truncated && new == token {
        return Err(Fault::Relist("the server's listing does not move on"));
    }
    let (full, odd) = (place.full, place.odd || listing.odd);
    listing.into_told(Place { token: Some(new), odd, ..place }, full)
}

/// Token and tag of a book; an error if it is none any more.
async fn head(door: &Door, book: &Book) -> Result<Head, Fault> {
    let answer = door.send(&propfind(book.url.clone(), 0, BOOK), Resend::Safe).await?;
    if answer.status != StatusCode::MULTI_STATUS {
        return Err(Fault::of(&answer).await);
    }
    let mut head = None;
    let read = xml::read_whole(&answer.body, |row| {
        if row.good && row.props.is_addressbook {
            head = Some(Head {
                // Where a server does not say which reports it knows, a token says enough.
                syncs: row.props.reports.is_empty() || row.props.reports.iter().any(|name| name == "sync-collection"),
                token: row.props.sync_token,
                ctag: row.props.ctag,
            });
        }
    });
    read.await.map_err(|_| Fault::Implausible("the server's answer is not that of an address book"))?;
    head.ok_or(Fault::Implausible("the place where the address book was is no address book"))
}

/// Whether the book is still there and still one: without that, "not found" says nothing about a record.
pub(super) async fn is_alive(door: &Door, book: &Book) -> Result<(), Fault> {
    head(door, book).await.map(|_| ())
}

/// The rows of one answer, as far as they concern the book's members.
struct Listing {
    book: Book,
    spelling: Spelling,
    listed: Vec<Listed>,
    gone: Vec<RemoteId>,
    members: usize,
    /// Whether the collection's own row was there.
    itself: bool,
    truncated: bool,
    odd: bool,
    token: Option<String>,
}

impl Listing {
    fn of(book: &Book) -> Self {
        Self {
            book: book.clone(),
            spelling: book.spelling.clone(),
            listed: Vec::new(),
            gone: Vec::new(),
            members: 0,
            itself: false,
            truncated: false,
            odd: false,
            token: None,
        }
    }

    /// Takes one row in.
    fn take(&mut self, base: &url::Url, row: Row) {
        let Some(url) = href::resolve(base, &row.href) else {
            self.odd = true;
            return;
        };
        let collection = self.book.id.as_str();
        let path = href::canonical(url.path());
        if row.is_truncation() {
            self.truncated = true;
            return;
        }
        if href::same(&path, collection) {
            self.itself = true; // iCloud shows it without a slash and with an etag (fact 2)
            return;
        }
        if !href::is_member(collection, &path) || row.props.is_collection {
            return;
        }
        self.members += 1;
        self.spelling.learn(url.path());
        let mut id = RemoteId(path);
        if row.is_gone() {
            self.gone.push(id);
        } else if let Some(mut etag) = row.props.etag {
            // There may be very many of them, and they were read with room to grow.
            etag.shrink_to_fit();
            id.0.shrink_to_fit();
            let modified = row.props.modified.as_deref().and_then(modified);
            let at = RemoteRef { collection: CollectionId(collection.to_owned()), id, etag: Some(Etag(etag)) };
            self.listed.push(Listed { at, modified });
        } else {
            // A status of its own, or no version told: nothing can be concluded (icloud-carddav.md §3.1).
            self.odd = true;
        }
    }

    fn into_told(mut self, place: Place, full: bool) -> Result<Told, Fault> {
        // Zimbra and DavMail name a record twice (icloud-carddav.md §2.1).
        self.listed.sort_by(|a, b| a.at.id.cmp(&b.at.id));
        self.listed.dedup_by(|a, b| a.at.id == b.at.id);
        let listed = &self.listed;
        self.gone.retain(|id| listed.binary_search_by(|row| row.at.id.cmp(id)).is_err());
        let round = place.round;
        let seen = self.gone.into_iter().map(Seen::Gone).collect();
        let next = place.next(self.truncated, round, full)?;
        let changes = Changes { full, seen, listed: self.listed, blobs: Vec::new(), next };
        Ok(Told { changes, spelling: self.spelling })
    }
}

/// `getlastmodified` (RFC 4918 §15.7).
pub(super) fn modified(text: &str) -> Option<Timestamp> {
    let time = jiff::fmt::rfc2822::parse(text.trim()).ok()?;
    Some(Timestamp(time.timestamp().as_millisecond()))
}

/// Reads an answer row by row as it comes.
async fn rows(door: &Door, request: Request, book: &Book) -> Result<Listing, Fault> {
    let read = |incoming: Incoming| -> Reading<'_, Listing> {
        Box::pin(async move {
            let mut listing = Listing::of(book);
            let base = incoming.url.clone();
            let tail: Tail = xml::read(incoming, |row| listing.take(&base, row)).await?;
            listing.token = tail.sync_token;
            Ok(listing)
        })
    };
    match door.stream(&request.limit(LISTING_LIMIT), read).await? {
        Streamed::Read(listing) => Ok(listing),
        Streamed::Other(answer) => Err(Fault::of(&answer).await),
    }
}
