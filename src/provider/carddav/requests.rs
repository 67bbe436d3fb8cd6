//! The requests that we send, as text. Every element carries a prefix: iCloud refuses bodies that mix prefixed and
//! default namespaces (icloud-carddav.md §0, fact 4). `DAV:limit` is never sent: two servers answer it with loss
//! (fact 7).

use std::fmt::Write as _;

use reqwest::header::HeaderName;
use reqwest::{Method, Url};

use crate::provider::http::message::Request;

const XML: &str = "application/xml; charset=utf-8";

/// What is asked about a place that could be anything: a root, a principal, a home or a book.
pub(super) const WHAT_IS_IT: &str = "<D:resourcetype/><D:current-user-principal/><C:addressbook-home-set/>\
    <D:displayname/><D:current-user-privilege-set/><D:supported-report-set/><D:sync-token/><CS:getctag/>";
/// What is asked about each member of a home, and about a book before it is listed.
pub(super) const BOOK: &str = "<D:resourcetype/><D:displayname/><D:current-user-privilege-set/>\
    <D:supported-report-set/><D:sync-token/><CS:getctag/>";
/// What is asked about each member of a book.
pub(super) const MEMBER: &str = "<D:getetag/><D:getlastmodified/><D:resourcetype/>";

fn method(name: &'static [u8]) -> Method {
    // Both names are plain letters, which every method may be made of.
    Method::from_bytes(name).unwrap_or(Method::GET)
}

/// `PROPFIND` (RFC 4918 §9.1).
pub(super) fn propfind(url: Url, depth: u8, props: &str) -> Request {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:propfind xmlns:D=\"DAV:\" \
         xmlns:C=\"urn:ietf:params:xml:ns:carddav\" xmlns:CS=\"http://calendarserver.org/ns/\">\
         <D:prop>{props}</D:prop></D:propfind>"
    );
    with_depth(Request::new(method(b"PROPFIND"), url).body(XML, body), depth)
}

/// `sync-collection` (RFC 6578 §3.2): what changed since the token; with an empty one, everything.
pub(super) fn sync_collection(book: Url, token: &str) -> Request {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:sync-collection xmlns:D=\"DAV:\">\
         <D:sync-token>{}</D:sync-token><D:sync-level>1</D:sync-level>\
         <D:prop><D:getetag/><D:getlastmodified/></D:prop></D:sync-collection>",
        escaped(token)
    );
    with_depth(Request::new(method(b"REPORT"), book).body(XML, body), 0)
}

/// `addressbook-multiget` (RFC 6352 §8.7). The paths as the server spells them, never whole URLs (fact 3). No version
/// is asked for: sabre would convert, with losses (fact 16).
pub(super) fn multiget<'a>(book: Url, paths: impl Iterator<Item = &'a str>, depth: u8) -> Request {
    let mut body = String::from(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<C:addressbook-multiget xmlns:D=\"DAV:\" \
         xmlns:C=\"urn:ietf:params:xml:ns:carddav\"><D:prop><D:getetag/><D:getlastmodified/><C:address-data/></D:prop>",
    );
    for path in paths {
        let _ = write!(body, "<D:href>{}</D:href>", escaped(path)); // writing to a String can't fail
    }
    body.push_str("</C:addressbook-multiget>");
    with_depth(Request::new(method(b"REPORT"), book).body(XML, body), depth)
}

/// `addressbook-query` for one UID (RFC 6352 §8.6): only to find out who holds a UID that we may not use.
pub(super) fn query_uid(book: Url, uid: &str) -> Request {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<C:addressbook-query xmlns:D=\"DAV:\" \
         xmlns:C=\"urn:ietf:params:xml:ns:carddav\"><D:prop><D:getetag/></D:prop><C:filter>\
         <C:prop-filter name=\"UID\"><C:text-match collation=\"i;unicode-casemap\" match-type=\"contains\">{}\
         </C:text-match></C:prop-filter></C:filter></C:addressbook-query>",
        escaped(uid)
    );
    with_depth(Request::new(method(b"REPORT"), book).body(XML, body), 1)
}

fn with_depth(request: Request, depth: u8) -> Request {
    request.header(HeaderName::from_static("depth"), if depth == 0 { "0" } else { "1" })
}

/// Text within XML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
