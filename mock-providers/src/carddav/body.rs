//! Reads request bodies: XML into a small tree with namespaces resolved, so that prefixes don't matter.
//!
//! Owns: reading. Must not: write XML (that is `answer.rs`) or know what a request means.

use std::borrow::Cow;

use quick_xml::NsReader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::ResolveResult;

/// `DAV:` (RFC 4918 §5).
pub(super) const DAV: &str = "DAV:";
/// CardDAV (RFC 6352 §4).
pub(super) const CARD: &str = "urn:ietf:params:xml:ns:carddav";
/// The calendar server extensions, home of `getctag`.
pub(super) const CS: &str = "http://calendarserver.org/ns/";

/// Deeper bodies are refused.
const DEPTH: usize = 32;

/// The name of an element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) ns: Cow<'static, str>,
    pub(super) local: Cow<'static, str>,
}

/// An element.
#[derive(Clone, Debug, Default)]
pub(super) struct Element {
    pub(super) name: Name,
    /// Whether it was written with a prefix.
    prefixed: bool,
    attributes: Vec<(String, String)>,
    pub(super) children: Vec<Element>,
    text: String,
}

impl Element {
    /// Whether it is this element.
    pub(super) fn is(&self, ns: &str, local: &str) -> bool {
        self.name.local == local && self.name.ns == ns
    }

    /// The first child of that name.
    pub(super) fn child(&self, ns: &str, local: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.is(ns, local))
    }

    /// All children of that name.
    pub(super) fn all<'a>(&'a self, ns: &'a str, local: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.is(ns, local))
    }

    /// An attribute without namespace.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Its own text, trimmed.
    pub(super) fn text(&self) -> &str {
        self.text.trim()
    }

    /// Whether a CARDDAV root stands on a prefix while DAV elements below it do not (`icloud-carddav.md` fact 4).
    pub(super) fn mixes_namespaces(&self) -> bool {
        fn plain_dav(element: &Element) -> bool {
            (element.name.ns == DAV && !element.prefixed) || element.children.iter().any(plain_dav)
        }
        self.name.ns == CARD && self.prefixed && self.children.iter().any(plain_dav)
    }
}

/// Why a body cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

/// Reads a body. `None` when it is empty.
pub(super) fn read(body: &[u8]) -> Result<Option<Element>, Unreadable> {
    let text = std::str::from_utf8(body).map_err(|_| Unreadable)?;
    if text.trim().is_empty() {
        return Ok(None);
    }
    let mut reader = NsReader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut open: Vec<Element> = Vec::new();
    let mut root = None;
    loop {
        let (resolved, event) = reader.read_resolved_event().map_err(|_| Unreadable)?;
        match event {
            Event::Start(start) => {
                if root.is_some() || open.len() == DEPTH {
                    return Err(Unreadable);
                }
                let element = element(&resolved, &start)?;
                open.push(element);
            }
            Event::End(_) => {
                let done = open.pop().ok_or(Unreadable)?;
                match open.last_mut() {
                    Some(parent) => parent.children.push(done),
                    None => root = Some(done),
                }
            }
            Event::Text(text) => push(&mut open, &text.xml10_content()),
            Event::CData(text) => push(&mut open, &text.xml10_content()),
            Event::GeneralRef(entity) => {
                let resolved = match entity.resolve_char_ref().map_err(|_| Unreadable)? {
                    Some(letter) => letter.to_string(),
                    None => resolve_predefined_entity(&entity.into_inner()).ok_or(Unreadable)?.to_owned(),
                };
                push(&mut open, &resolved);
            }
            Event::DocType(_) => return Err(Unreadable),
            Event::Eof => break,
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
    if open.is_empty() { root.map(Some).ok_or(Unreadable) } else { Err(Unreadable) }
}

fn push(open: &mut [Element], text: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
}

fn element(resolved: &ResolveResult<'_>, start: &BytesStart<'_>) -> Result<Element, Unreadable> {
    let ns = match resolved {
        ResolveResult::Bound(namespace) => known(namespace.0),
        ResolveResult::Unbound => Cow::Borrowed(""),
        ResolveResult::Unknown(_) => return Err(Unreadable),
    };
    let mut attributes = Vec::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|_| Unreadable)?;
        let value = quick_xml::escape::unescape(&attribute.value).map_err(|_| Unreadable)?.into_owned();
        attributes.push((attribute.key.into_inner().to_owned(), value));
    }
    Ok(Element {
        name: Name { ns, local: Cow::Owned(start.local_name().into_inner().to_owned()) },
        prefixed: start.name().prefix().is_some(),
        attributes,
        children: Vec::new(),
        text: String::new(),
    })
}

/// The namespaces met in every element are not copied.
fn known(ns: &str) -> Cow<'static, str> {
    [DAV, CARD, CS].into_iter().find(|one| *one == ns).map_or_else(|| Cow::Owned(ns.to_owned()), Cow::Borrowed)
}

#[cfg(test)]
mod tests {
    use super::{CARD, DAV, read};

    #[test]
    fn prefixes_do_not_matter() {
        for body in [
            r#"<D:propfind xmlns:D="DAV:"><D:prop><D:getetag/></D:prop></D:propfind>"#,
            r#"<propfind xmlns="DAV:"><prop><getetag></getetag></prop></propfind>"#,
            r#"<?xml version="1.0"?><x:propfind xmlns:x="DAV:"><!-- --><prop xmlns="DAV:"><getetag/></prop></x:propfind>"#,
        ] {
            let root = read(body.as_bytes()).unwrap().unwrap();
            let prop = root.child(DAV, "prop").unwrap();
            assert!(root.is(DAV, "propfind") && prop.children[0].is(DAV, "getetag"), "{body}");
        }
    }

    #[test]
    fn text_and_entities_are_read() {
        let body = r#"<href xmlns="DAV:" a="x&lt;y"> /a&amp;b&#x20;<![CDATA[<c>]]> </href>"#;
        let root = read(body.as_bytes()).unwrap().unwrap();
        assert_eq!((root.text(), root.attribute("a")), ("/a&b <c>", Some("x<y")));
    }

    #[test]
    fn what_is_not_well_formed_is_refused() {
        let deep = "<a>".repeat(40);
        for body in ["<a>", "<a></b>", "hello", "<a/><b/>", "<p:a/>", "<!DOCTYPE a><a/>", "<a>&x;</a>", deep.as_str()] {
            assert!(read(body.as_bytes()).is_err(), "{body}");
        }
        assert!(read(b" \n").unwrap().is_none());
    }

    #[test]
    fn mixed_namespaces_are_noticed() {
        let mixed = format!(r#"<C:q xmlns:C="{CARD}" xmlns="DAV:"><prop/></C:q>"#);
        let clean = format!(r#"<C:q xmlns:C="{CARD}" xmlns:D="DAV:"><D:prop/></C:q>"#);
        assert!(read(mixed.as_bytes()).unwrap().unwrap().mixes_namespaces());
        assert!(!read(clean.as_bytes()).unwrap().unwrap().mixes_namespaces());
    }
}
