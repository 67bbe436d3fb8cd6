//! Writes answers: a multistatus in one buffer, in the style of the server played, and the plain replies.
//!
//! Owns: how an answer looks on the wire. Must not: decide what is in it.

use axum::http::StatusCode;
use bytes::Bytes;

use super::body::{CARD, CS, DAV, Name};
use super::lines::{fold, unfold};
use super::settings::{Namespaces, Xml};

/// The namespaces that answers use; others are written where they stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ns {
    Dav,
    Card,
    Cs,
}

impl Ns {
    fn uri(self) -> &'static str {
        match self {
            Self::Dav => DAV,
            Self::Card => CARD,
            Self::Cs => CS,
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Dav => "D",
            Self::Card => "C",
            Self::Cs => "CS",
        }
    }
}

/// An answer before it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Bytes,
}

impl Reply {
    /// A status with an empty body.
    pub(super) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new() }
    }

    /// The same with one more header.
    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// A body of some content type.
    pub(super) fn content(status: u16, kind: &str, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..Self::empty(status).with("content-type", kind) }
    }

    /// A `DAV:error` with one condition (RFC 4918 §16).
    pub(super) fn condition(status: u16, xml: Xml, ns: Ns, condition: &'static str) -> Self {
        let mut writer = Writer::new(xml);
        writer.open(Ns::Dav, "error");
        writer.leaf(ns, condition, "");
        writer.close();
        writer.reply(status)
    }
}

/// Writes XML into one buffer.
#[derive(Debug)]
pub(super) struct Writer {
    buffer: Vec<u8>,
    open: Vec<(Ns, &'static str)>,
    style: Xml,
    row: usize,
    /// Whether each row is written twice.
    pub(super) twice: bool,
}

impl Writer {
    /// An empty document.
    pub(super) fn new(style: Xml) -> Self {
        let buffer = b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_vec();
        Self { buffer, open: Vec::new(), style, row: 0, twice: false }
    }

    /// Opens an element.
    pub(super) fn open(&mut self, ns: Ns, name: &'static str) {
        self.tag(ns, name, &[]);
        self.raw(">");
        self.open.push((ns, name));
    }

    /// Closes the element that was opened last.
    pub(super) fn close(&mut self) {
        if let Some((ns, name)) = self.open.pop() {
            self.end(ns, name);
        }
    }

    /// An element with text, or an empty one.
    pub(super) fn leaf(&mut self, ns: Ns, name: &'static str, text: &str) {
        self.leaf_with(ns, name, &[], text);
    }

    /// An element with attributes and text.
    pub(super) fn leaf_with(&mut self, ns: Ns, name: &'static str, attributes: &[(&str, &str)], text: &str) {
        self.tag(ns, name, attributes);
        if text.is_empty() {
            self.raw("/>");
        } else {
            self.raw(">");
            self.text(text);
            self.end(ns, name);
        }
    }

    /// An empty element of any name, as it was asked for.
    pub(super) fn echo(&mut self, name: &Name) {
        let known = [Ns::Dav, Ns::Card, Ns::Cs].into_iter().find(|ns| ns.uri() == name.ns);
        match (known, self.style.namespaces) {
            (Some(ns), _) => {
                // The tag's name is written as is: it was an element's name when it was read.
                self.tag(ns, &name.local, &[]);
                self.raw("/>");
            }
            (None, Namespaces::Default) => {
                self.raw("<");
                self.raw(&name.local);
                self.raw(" xmlns=\"");
                self.text(&name.ns);
                self.raw("\"/>");
            }
            (None, Namespaces::Prefixed) => {
                self.raw("<x1:");
                self.raw(&name.local);
                self.raw(" xmlns:x1=\"");
                self.text(&name.ns);
                self.raw("\"/>");
            }
        }
    }

    /// A card as the text of an element. XML cannot carry a letter that a fold has split, so such a card is folded anew
    /// (GET gives it as it is); what is no UTF-8 even then is replaced.
    pub(super) fn bytes(&mut self, ns: Ns, name: &'static str, content: &[u8]) {
        self.tag(ns, name, &[]);
        self.raw(">");
        match std::str::from_utf8(content) {
            Ok(text) => self.text(text),
            Err(_) => self.text(&String::from_utf8_lossy(&fold(&unfold(content)))),
        }
        self.end(ns, name);
    }

    /// Opens a `response` for an href.
    pub(super) fn begin_row(&mut self, href: &str) {
        self.row = self.buffer.len();
        self.open(Ns::Dav, "response");
        self.leaf(Ns::Dav, "href", href);
    }

    /// Closes it.
    pub(super) fn end_row(&mut self) {
        self.close();
        if self.twice {
            self.buffer.extend_from_within(self.row..);
        }
    }

    /// A row without properties: an href and a status (RFC 4918 §14.24).
    pub(super) fn status_row(&mut self, href: &str, status: u16) {
        self.begin_row(href);
        self.leaf(Ns::Dav, "status", &status_line(status));
        self.end_row();
    }

    /// A propstat whose properties are written by `props`.
    pub(super) fn propstat(&mut self, status: u16, props: impl FnOnce(&mut Self)) {
        self.open(Ns::Dav, "propstat");
        if self.style.status_first {
            self.leaf(Ns::Dav, "status", &status_line(status));
        }
        self.open(Ns::Dav, "prop");
        props(self);
        self.close();
        if !self.style.status_first {
            self.leaf(Ns::Dav, "status", &status_line(status));
        }
        self.close();
    }

    /// The document as an answer.
    pub(super) fn reply(mut self, status: u16) -> Reply {
        while !self.open.is_empty() {
            self.close();
        }
        Reply::content(status, "text/xml; charset=UTF-8", self.buffer)
    }

    fn tag(&mut self, ns: Ns, name: &str, attributes: &[(&str, &str)]) {
        self.raw("<");
        match self.style.namespaces {
            Namespaces::Default => {
                self.raw(name);
                if self.open.last().is_none_or(|(outer, _)| *outer != ns) {
                    self.raw(" xmlns=\"");
                    self.raw(ns.uri());
                    self.raw("\"");
                }
            }
            Namespaces::Prefixed => {
                self.raw(ns.prefix());
                self.raw(":");
                self.raw(name);
                if self.open.is_empty() {
                    for one in [Ns::Dav, Ns::Card, Ns::Cs] {
                        self.raw(" xmlns:");
                        self.raw(one.prefix());
                        self.raw("=\"");
                        self.raw(one.uri());
                        self.raw("\"");
                    }
                }
            }
        }
        for (key, value) in attributes {
            self.raw(" ");
            self.raw(key);
            self.raw("=\"");
            self.text(value);
            self.raw("\"");
        }
    }

    fn end(&mut self, ns: Ns, name: &str) {
        self.raw("</");
        if self.style.namespaces == Namespaces::Prefixed {
            self.raw(ns.prefix());
            self.raw(":");
        }
        self.raw(name);
        self.raw(">");
    }

    fn raw(&mut self, text: &str) {
        self.buffer.extend_from_slice(text.as_bytes());
    }

    /// Escapes text. Long stretches without anything special are copied whole.
    fn text(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let mut done = 0;
        for (at, byte) in bytes.iter().enumerate() {
            let instead = match byte {
                b'&' => "&amp;",
                b'<' => "&lt;",
                b'>' => "&gt;",
                b'"' if self.style.escape_quotes => "&quot;",
                b'\r' if self.style.cr_as_reference => "&#13;",
                b'\t' | b'\n' | b'\r' => continue,
                0..0x20 if !self.style.raw_control => "",
                _ => continue,
            };
            self.buffer.extend_from_slice(&bytes[done..at]);
            self.buffer.extend_from_slice(instead.as_bytes());
            done = at + 1;
        }
        self.buffer.extend_from_slice(&bytes[done..]);
    }
}

/// The status line of a row.
pub(super) fn status_line(status: u16) -> String {
    let phrase = StatusCode::from_u16(status).ok().and_then(|code| code.canonical_reason());
    format!("HTTP/1.1 {status} {}", phrase.unwrap_or("Unknown"))
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::{Ns, Writer};
    use crate::carddav::body::Name;
    use crate::carddav::settings::{Namespaces, Settings, Xml};

    fn sample(style: Xml) -> String {
        let mut xml = Writer::new(style);
        xml.open(Ns::Dav, "multistatus");
        xml.begin_row("/a&b");
        xml.propstat(200, |xml| {
            xml.leaf(Ns::Dav, "getetag", "\"1\"");
            xml.bytes(Ns::Card, "address-data", b"A:\x01<\r\n");
            xml.open(Ns::Card, "addressbook-home-set");
            xml.leaf(Ns::Dav, "href", "/h/");
            xml.close();
        });
        xml.propstat(404, |xml| xml.echo(&Name { ns: Cow::Borrowed("urn:x"), local: Cow::Borrowed("colour") }));
        xml.end_row();
        let body = xml.reply(207).body;
        String::from_utf8(body.to_vec()).unwrap().lines().skip(1).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn default_namespaces_are_declared_again_where_they_change() {
        let text = sample(Settings::icloud().xml);
        assert_eq!(
            text,
            "<multistatus xmlns=\"DAV:\"><response><href>/a&amp;b</href><propstat><prop><getetag>\"1\"</getetag>\
             <address-data xmlns=\"urn:ietf:params:xml:ns:carddav\">A:&lt;&#13;\n</address-data>\
             <addressbook-home-set xmlns=\"urn:ietf:params:xml:ns:carddav\"><href xmlns=\"DAV:\">/h/</href>\
             </addressbook-home-set></prop><status>HTTP/1.1 200 OK</status></propstat><propstat><prop>\
             <colour xmlns=\"urn:x\"/></prop><status>HTTP/1.1 404 Not Found</status></propstat></response></multistatus>"
        );
    }

    #[test]
    fn prefixes_are_declared_once() {
        let text = sample(Xml { status_first: true, namespaces: Namespaces::Prefixed, ..Settings::generic().xml });
        assert!(text.contains("<D:propstat><D:status>HTTP/1.1 200 OK</D:status><D:prop><D:getetag>&quot;1&quot;"));
        assert!(text.contains("<C:addressbook-home-set><D:href>/h/</D:href>"));
        assert!(text.contains("<x1:colour xmlns:x1=\"urn:x\"/>"));
        assert_eq!(text.matches("xmlns:D=").count(), 1);
    }
}
