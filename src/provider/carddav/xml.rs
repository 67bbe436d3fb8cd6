//! Reads DAV answers as they come: one row in memory at a time.
//!
//! Owns: the names of DAV (RFC 4918, 6352, 6578, 3744, 5397) and the shapes in which servers send them: prefixes of all
//! kinds, `status` before or after `prop`, 404 propstats, rows with both a status and a propstat (icloud-carddav.md
//! §2.1). Must not: know what a row means for the address book.

use std::io;

use bytes::Bytes;
use futures_util::stream::{Stream, StreamExt};
use quick_xml::NsReader;
use quick_xml::events::Event;
use quick_xml::name::{Namespace, ResolveResult};
use tokio::io::AsyncBufRead;
use tokio_util::io::StreamReader;

use crate::provider::http::message::{Incoming, ReadFault};

/// No answer nests deeper.
const DEEPEST: usize = 64;
/// No single text is longer: cards with pictures stay far below.
const LONGEST_TEXT: usize = 32 * 1024 * 1024;

/// What a row says about its resource: the properties with a good status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Props {
    pub etag: Option<String>,
    pub modified: Option<String>,
    /// The card (RFC 6352 §10.4); line ends as XML leaves them.
    pub data: Option<String>,
    pub is_collection: bool,
    pub is_addressbook: bool,
    pub name: Option<String>,
    pub principal: Option<String>,
    pub homes: Vec<String>,
    pub sync_token: Option<String>,
    pub ctag: Option<String>,
    pub reports: Vec<String>,
    /// `None` = not told.
    pub privileges: Option<Vec<String>>,
    pub has_resourcetype: bool,
}

/// One `response` (RFC 4918 §14.24).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Row {
    pub href: String,
    /// The status of the resource itself.
    pub status: Option<u16>,
    /// Whether any propstat had a good status.
    pub good: bool,
    /// The worst status of a propstat that was not good.
    pub bad: Option<u16>,
    pub props: Props,
    /// Names of the conditions in its `error`.
    pub conditions: Vec<String>,
}

impl Row {
    /// Whether the server says that the resource is not there: a status of its own and nothing good beside it.
    pub(super) fn is_gone(&self) -> bool {
        !self.good && matches!(self.status, Some(404 | 410))
    }
    /// Whether the server says that it left rows out (RFC 6578 §3.6).
    pub(super) fn is_truncation(&self) -> bool {
        self.status == Some(507)
    }
}

/// What stands outside the rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tail {
    /// How many rows there were.
    pub rows: usize,
    /// `sync-token` of the answer (RFC 6578 §6.4).
    pub sync_token: Option<String>,
    /// Names of the conditions, if the answer is an `error` (RFC 4918 §14.5).
    pub conditions: Vec<String>,
    /// The `href` in a condition: the other resource of `no-uid-conflict` (RFC 6352 §6.3.2.1).
    pub conflict: Option<String>,
}

/// Reads a coming multistatus.
pub(super) async fn read(incoming: Incoming, row: impl FnMut(Row)) -> Result<Tail, ReadFault> {
    let pieces = incoming.pieces().map(|piece| piece.map(without_controls));
    let tail = parse(reader(pieces), row).await?;
    if tail.root_is_multistatus { Ok(tail.tail) } else { Err(not_dav()) }
}

/// Reads the body of an answer that says no. A body that is not XML says nothing.
pub(super) async fn read_error(body: &Bytes) -> Tail {
    let body = without_controls(body.clone());
    parse(&body[..], |_| {}).await.map(|parsed| parsed.tail).unwrap_or_default()
}

/// Reads a multistatus that is there as a whole.
pub(super) async fn read_whole(body: &Bytes, row: impl FnMut(Row)) -> Result<Tail, ReadFault> {
    let body = without_controls(body.clone());
    let parsed = parse(&body[..], row).await?;
    if parsed.root_is_multistatus { Ok(parsed.tail) } else { Err(not_dav()) }
}

fn not_dav() -> ReadFault {
    ReadFault::Content("this is not the answer of an address book server; check the address".to_owned())
}

fn reader(pieces: impl Stream<Item = io::Result<Bytes>> + Unpin) -> impl AsyncBufRead + Unpin {
    StreamReader::new(pieces)
}

/// Takes out the control characters that make XML ill-formed and that servers send all the same.
fn without_controls(piece: Bytes) -> Bytes {
    let bad = |byte: &u8| matches!(byte, 0..=8 | 0x0B | 0x0C | 0x0E..=0x1F);
    if piece.iter().any(bad) { piece.iter().copied().filter(|byte| !bad(byte)).collect() } else { piece }
}

/// The elements that mean something to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum El {
    Multistatus,
    Response,
    Href,
    Status,
    Propstat,
    Prop,
    Error,
    Etag,
    Modified,
    ResourceType,
    DisplayName,
    Principal,
    SyncToken,
    Reports,
    SupportedReport,
    Report,
    Privileges,
    Privilege,
    AddressData,
    HomeSet,
    NoUidConflict,
    Ctag,
    Other,
}

fn element(namespace: &ResolveResult<'_>, local: &str) -> El {
    let ResolveResult::Bound(Namespace(namespace)) = *namespace else { return El::Other };
    match (namespace, local) {
        ("DAV:", "multistatus") => El::Multistatus,
        ("DAV:", "response") => El::Response,
        ("DAV:", "href") => El::Href,
        ("DAV:", "status") => El::Status,
        ("DAV:", "propstat") => El::Propstat,
        ("DAV:", "prop") => El::Prop,
        ("DAV:", "error") => El::Error,
        ("DAV:", "getetag") => El::Etag,
        ("DAV:", "getlastmodified") => El::Modified,
        ("DAV:", "resourcetype") => El::ResourceType,
        ("DAV:", "displayname") => El::DisplayName,
        ("DAV:", "current-user-principal") => El::Principal,
        ("DAV:", "sync-token") => El::SyncToken,
        ("DAV:", "supported-report-set") => El::Reports,
        ("DAV:", "supported-report") => El::SupportedReport,
        ("DAV:", "report") => El::Report,
        ("DAV:", "current-user-privilege-set") => El::Privileges,
        ("DAV:", "privilege") => El::Privilege,
        ("urn:ietf:params:xml:ns:carddav", "address-data") => El::AddressData,
        ("urn:ietf:params:xml:ns:carddav", "addressbook-home-set") => El::HomeSet,
        ("urn:ietf:params:xml:ns:carddav", "no-uid-conflict") => El::NoUidConflict,
        ("http://calendarserver.org/ns/", "getctag") => El::Ctag,
        _ => El::Other,
    }
}

struct Parsed {
    tail: Tail,
    root_is_multistatus: bool,
}

/// What has been read of the row under way.
#[derive(Default)]
struct State {
    row: Row,
    /// The properties of the propstat under way; merged once its status is known, which may come first or last.
    pending: Props,
    propstat_status: Option<u16>,
    tail: Tail,
}

async fn parse(source: impl AsyncBufRead + Unpin, mut on_row: impl FnMut(Row)) -> Result<Parsed, ReadFault> {
    let mut reader = NsReader::from_reader(source);
    reader.config_mut().expand_empty_elements = true;
    let mut stack: Vec<El> = Vec::new();
    let mut state = State::default();
    let (mut text, mut buffer) = (String::new(), Vec::new());
    let mut root = None;
    loop {
        buffer.clear();
        let (namespace, event) = match reader.read_resolved_event_into_async(&mut buffer).await {
            Ok(read) => read,
            Err(quick_xml::Error::Io(error)) => {
                // Keeps what the error holds: the limit of the body is told by it.
                let error =
                    std::sync::Arc::try_unwrap(error).unwrap_or_else(|e| io::Error::new(e.kind(), e.to_string()));
                return Err(ReadFault::Io(error));
            }
            Err(error) => {
                return Err(ReadFault::Content(format!(
                    "ill-formed XML at byte {}: {error}",
                    reader.buffer_position()
                )));
            }
        };
        match event {
            Event::Start(start) => {
                let local = start.local_name();
                let local: &str = local.as_ref();
                let el = element(&namespace, local);
                if stack.len() >= DEEPEST {
                    return Err(ReadFault::Content("XML that nests too deep".to_owned()));
                }
                root.get_or_insert(el);
                state.open(&stack, el, local);
                stack.push(el);
                text.clear();
            }
            Event::End(_) => {
                let Some(el) = stack.pop() else { continue };
                if state.close(&stack, el, &text) {
                    on_row(std::mem::take(&mut state.row));
                }
                text.clear();
                if stack.is_empty() {
                    let root_is_multistatus = root == Some(El::Multistatus);
                    return Ok(Parsed { tail: state.tail, root_is_multistatus });
                }
            }
            Event::Text(part) => text.push_str(&part.xml10_content()),
            Event::CData(part) => text.push_str(&part.xml10_content()),
            Event::GeneralRef(reference) => match &*reference {
                "lt" => text.push('<'),
                "gt" => text.push('>'),
                "amp" => text.push('&'),
                "quot" => text.push('"'),
                "apos" => text.push('\''),
                _ => match reference.resolve_char_ref() {
                    Ok(Some(char)) if !char.is_control() || matches!(char, '\t' | '\n' | '\r') => text.push(char),
                    _ if reference.is_char_ref() => {} // a control character, as above
                    _ => return Err(ReadFault::Content("XML with entities of its own".to_owned())),
                },
            },
            Event::DocType(_) => return Err(ReadFault::Content("XML with a document type, or a web page".to_owned())),
            Event::Eof => {
                return Err(ReadFault::Io(io::Error::new(io::ErrorKind::UnexpectedEof, "the answer ends too early")));
            }
            // Empty elements come as start and end.
            Event::Empty(_) | Event::Decl(_) | Event::Comment(_) | Event::PI(_) => {}
        }
        if text.len() > LONGEST_TEXT {
            return Err(ReadFault::Content("XML with a text that is too long".to_owned()));
        }
    }
}

impl State {
    /// An element begins within `stack`.
    fn open(&mut self, stack: &[El], el: El, local: &str) {
        match (stack, el) {
            (_, El::Response) => self.row = Row::default(),
            (_, El::Propstat) => (self.pending, self.propstat_status) = (Props::default(), None),
            ([.., El::Prop], El::ResourceType) => self.pending.has_resourcetype = true,
            ([.., El::Prop], El::Privileges) => self.pending.privileges = Some(Vec::new()),
            ([.., El::ResourceType], _) => match local {
                "collection" => self.pending.is_collection = true,
                "addressbook" => self.pending.is_addressbook = true,
                _ => {}
            },
            ([.., El::SupportedReport, El::Report], _) => self.pending.reports.push(local.to_owned()),
            ([.., El::Privileges, El::Privilege], _) => {
                self.pending.privileges.get_or_insert_default().push(local.to_owned());
            }
            ([.., El::Response, El::Error], _) => self.row.conditions.push(local.to_owned()),
            ([El::Error], _) => self.tail.conditions.push(local.to_owned()),
            _ => {}
        }
    }

    /// An element ends within `stack`; tells whether a row is complete.
    fn close(&mut self, stack: &[El], el: El, text: &str) -> bool {
        // An empty property is as good as none (iCloud: displayname).
        let value = || Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned);
        match (stack, el) {
            ([El::Multistatus], El::Response) => {
                self.tail.rows += 1;
                return true;
            }
            ([El::Multistatus], El::SyncToken) => self.tail.sync_token = value(),
            ([.., El::Response], El::Href) => self.row.href = value().unwrap_or_default(),
            ([.., El::Response], El::Status) => self.row.status = status(text),
            ([.., El::Propstat], El::Status) => self.propstat_status = status(text),
            ([.., El::Response], El::Propstat) => {
                let props = std::mem::take(&mut self.pending);
                match self.propstat_status {
                    None | Some(200..=299) => {
                        self.row.good = true;
                        self.row.props.merge(props);
                    }
                    Some(bad) => self.row.bad = Some(self.row.bad.map_or(bad, |known| known.max(bad))),
                }
            }
            ([.., El::Prop], El::Etag) => self.pending.etag = value(),
            ([.., El::Prop], El::Modified) => self.pending.modified = value(),
            ([.., El::Prop], El::DisplayName) => self.pending.name = value(),
            ([.., El::Prop], El::SyncToken) => self.pending.sync_token = value(),
            ([.., El::Prop], El::Ctag) => self.pending.ctag = value(),
            ([.., El::Prop], El::AddressData) => self.pending.data = value().map(|_| text.to_owned()),
            ([.., El::Principal], El::Href) => self.pending.principal = value(),
            ([.., El::HomeSet], El::Href) => self.pending.homes.extend(value()),
            ([.., El::NoUidConflict], El::Href) => self.tail.conflict = value(),
            _ => {}
        }
        false
    }
}

impl Props {
    fn merge(&mut self, other: Self) {
        let Self {
            etag,
            modified,
            data,
            is_collection,
            is_addressbook,
            name,
            principal,
            homes,
            sync_token,
            ctag,
            reports,
            privileges,
            has_resourcetype,
        } = other;
        self.etag = etag.or(self.etag.take());
        self.modified = modified.or(self.modified.take());
        self.data = data.or(self.data.take());
        self.is_collection |= is_collection;
        self.is_addressbook |= is_addressbook;
        self.name = name.or(self.name.take());
        self.principal = principal.or(self.principal.take());
        self.homes.extend(homes);
        self.sync_token = sync_token.or(self.sync_token.take());
        self.ctag = ctag.or(self.ctag.take());
        self.reports.extend(reports);
        self.privileges = privileges.or(self.privileges.take());
        self.has_resourcetype |= has_resourcetype;
    }
}

/// The number in `HTTP/1.1 200 OK`.
fn status(line: &str) -> Option<u16> {
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
#[path = "xml_tests.rs"]
mod tests;
