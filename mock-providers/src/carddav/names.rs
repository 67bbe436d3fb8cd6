//! Paths, resource names and sync tokens: how they are written and read.
//!
//! Owns: percent-encoding, the two path layouts, base64 names, the form of tokens. Must not: look at what is stored.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::settings::Layout;
use crate::book::Cursor;

/// What a path means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Root,
    WellKnown,
    Principal(String),
    Home(String),
    Book(String),
    Card(String, String),
    Nothing,
}

impl Target {
    /// Whose data it is.
    pub(super) fn dsid(&self) -> Option<&str> {
        match self {
            Self::Principal(dsid) | Self::Home(dsid) | Self::Book(dsid) | Self::Card(dsid, _) => Some(dsid),
            Self::Root | Self::WellKnown | Self::Nothing => None,
        }
    }
}

/// Reads a path, percent-encoded or not, with or without a last slash.
pub(super) fn target(layout: Layout, path: &str) -> Target {
    let decoded: Vec<String> = path.split('/').filter(|segment| !segment.is_empty()).map(decode).collect();
    let segments: Vec<&str> = decoded.iter().map(String::as_str).collect();
    let own = |dsid: &str| dsid.to_owned();
    match (layout, segments.as_slice()) {
        (_, []) => Target::Root,
        (_, [".well-known", "carddav"]) => Target::WellKnown,
        (Layout::Icloud, [dsid, "principal"]) | (Layout::Generic, ["principals", dsid]) => Target::Principal(own(dsid)),
        (Layout::Icloud, [dsid, "carddavhome"]) | (Layout::Generic, ["addressbooks", dsid]) => Target::Home(own(dsid)),
        (Layout::Icloud, [dsid, "carddavhome", "card"]) | (Layout::Generic, ["addressbooks", dsid, "contacts"]) => {
            Target::Book(own(dsid))
        }
        (Layout::Icloud, [dsid, "carddavhome", "card", name])
        | (Layout::Generic, ["addressbooks", dsid, "contacts", name]) => Target::Card(own(dsid), (*name).to_owned()),
        _ => Target::Nothing,
    }
}

/// The path of an account's principal.
pub(super) fn principal_path(layout: Layout, dsid: &str) -> String {
    match layout {
        Layout::Icloud => format!("/{dsid}/principal/"),
        Layout::Generic => format!("/principals/{dsid}/"),
    }
}

/// The path of an account's home.
pub(super) fn home_path(layout: Layout, dsid: &str) -> String {
    match layout {
        Layout::Icloud => format!("/{dsid}/carddavhome/"),
        Layout::Generic => format!("/addressbooks/{dsid}/"),
    }
}

/// The path of an account's book.
pub(super) fn book_path(layout: Layout, dsid: &str) -> String {
    let name = match layout {
        Layout::Icloud => "card",
        Layout::Generic => "contacts",
    };
    format!("{}{name}/", home_path(layout, dsid))
}

/// Undoes percent-encoding; what is not UTF-8 then stays as it was.
pub(super) fn decode(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let escaped = bytes.get(at + 1..at + 3).and_then(|digits| std::str::from_utf8(digits).ok());
        match escaped.filter(|_| *byte == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(plain) => {
                out.push(plain);
                at += 3;
            }
            None => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

/// Percent-encodes a segment onto a path: all but RFC 3986's unreserved characters, and `@` unless asked.
pub(super) fn encode_onto(path: &mut String, segment: &str, encode_at: bool) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in segment.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || (byte == b'@' && !encode_at);
        if plain {
            path.push(char::from(byte));
        } else {
            path.push('%');
            path.push(char::from(DIGITS[usize::from(byte >> 4)]));
            path.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
}

/// The name that an Apple device gives to a new card: base64 of its UID and `.vcf` (fact 12). For UIDs whose base64 has `/`
/// or `+` the letters of file names are used instead: UNVERIFIED, only UUIDs were seen.
#[must_use]
pub fn device_name(uid: &str) -> String {
    let mut name = URL_SAFE_NO_PAD.encode(uid);
    while !name.len().is_multiple_of(4) {
        name.push('=');
    }
    name.push_str(".vcf");
    name
}

/// Writes a sync token.
pub(super) fn token(uri: bool, dsid: &str, cursor: Cursor) -> String {
    let Cursor { generation, revision } = cursor;
    if uri {
        format!("http://contacts.example.com/ns/sync/{dsid}/{generation}/{revision}")
    } else {
        format!("/{dsid}/card/@G={generation}@S={revision}")
    }
}

/// Reads a sync token of this account.
pub(super) fn read_token(uri: bool, dsid: &str, text: &str) -> Option<Cursor> {
    let (generation, revision) = if uri {
        text.strip_prefix("http://contacts.example.com/ns/sync/")?
            .strip_prefix(dsid)?
            .strip_prefix('/')?
            .split_once('/')?
    } else {
        text.strip_prefix('/')?.strip_prefix(dsid)?.strip_prefix("/card/@G=")?.split_once("@S=")?
    };
    Some(Cursor { generation: generation.parse().ok()?, revision: revision.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::{Layout, Target, decode, device_name, encode_onto, read_token, target, token};
    use crate::book::Cursor;

    #[test]
    fn paths_are_read_in_any_spelling() {
        let card = |name: &str| Target::Card("7".to_owned(), name.to_owned());
        for (path, want) in [
            ("/7/carddavhome/card/u%202%40x.vcf", card("u 2@x.vcf")),
            ("/7/carddavhome/card/u%202@x.vcf", card("u 2@x.vcf")),
            ("/7/carddavhome/card/100%.vcf", card("100%.vcf")),
            ("/7/carddavhome/card", Target::Book("7".to_owned())),
            ("/7/carddavhome/card/", Target::Book("7".to_owned())),
            ("/", Target::Root),
            ("/7/carddavhome/other/", Target::Nothing),
        ] {
            assert_eq!(target(Layout::Icloud, path), want, "{path}");
        }
    }

    #[test]
    fn encoding_is_undone() {
        let mut path = String::new();
        encode_onto(&mut path, "Zoë + 2@x=.vcf", false);
        assert_eq!(path, "Zo%C3%AB%20%2B%202@x%3D.vcf");
        assert_eq!(decode(&path), "Zoë + 2@x=.vcf");
    }

    #[test]
    fn device_names_are_base64() {
        let name = device_name("A58F15FA-76D4-4063-AD8B-BD7EC5F91051");
        assert!(name.starts_with("QTU4RjE1RkEt") && name.len() == 52, "{name}");
    }

    #[test]
    fn tokens_belong_to_an_account() {
        let cursor = Cursor { generation: 1, revision: 23 };
        for uri in [true, false] {
            let text = token(uri, "7", cursor);
            assert_eq!(read_token(uri, "7", &text), Some(cursor));
            assert_eq!(read_token(uri, "8", &text), None);
            assert_eq!(read_token(uri, "7", "data:,1"), None);
        }
    }
}
