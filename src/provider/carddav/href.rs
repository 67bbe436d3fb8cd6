//! Names of resources: one canonical form to compare by, and the server's own spelling to ask with.
//!
//! A [`crate::ids::RemoteId`] and a [`crate::ids::CollectionId`] hold the *canonical path*: no scheme and host (iCloud
//! moves accounts between hosts), every segment decoded and encoded again, so that `u 2@x.vcf` is one record whether a
//! server writes `u%202%40x.vcf` (Radicale) or `u%202@x.vcf` (Xandikos). Requests use the server's spelling, which
//! [`Spelling`] learns from its answers, since a server encodes all its names by the same habit
//! (icloud-carddav.md §2.1, "percent-encoding").

use std::fmt::Write as _;

use reqwest::Url;
use serde::{Deserialize, Serialize};

/// Characters that need no encoding in a segment and mean the same either way (RFC 3986 §2.3).
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Characters that may stand in a segment as they are, and that some servers encode (RFC 3986 §3.3).
const OPEN: &[u8] = b"!$&'()*+,;=:@";

/// The path that an `href` means (RFC 4918 §8.3): an absolute path, a relative one, or a whole URL with or without port.
pub(super) fn resolve(base: &Url, href: &str) -> Option<Url> {
    let href = href.trim();
    if href.is_empty() {
        return None;
    }
    let is_url = href.split_once("://").is_some_and(|(scheme, _)| scheme.bytes().all(|b| b.is_ascii_alphabetic()));
    // A relative name with a colon is not a scheme.
    let joined = if is_url || href.starts_with('/') { base.join(href) } else { base.join(&format!("./{href}")) };
    joined.ok()
}

/// The canonical form of a path.
pub(super) fn canonical(path: &str) -> String {
    encode(path, is_unreserved)
}

/// Decodes each segment and encodes it again but for what `plain` lets stand.
fn encode(path: &str, plain: impl Fn(u8) -> bool) -> String {
    let mut out = String::with_capacity(path.len());
    for (n, segment) in path.split('/').enumerate() {
        if n > 0 {
            out.push('/');
        }
        for byte in decoded(segment) {
            if plain(byte) {
                out.push(char::from(byte));
            } else {
                let _ = write!(out, "%{byte:02X}"); // writing to a String can't fail
            }
        }
    }
    out
}

/// The bytes that a segment stands for. A `%` that encodes nothing stands for itself.
fn decoded(segment: &str) -> impl Iterator<Item = u8> + '_ {
    let bytes = segment.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        let byte = *bytes.get(at)?;
        if byte == b'%'
            && let Some(code) = segment.get(at + 1..at + 3)
            && code.bytes().all(|b| b.is_ascii_hexdigit())
            && let Ok(value) = u8::from_str_radix(code, 16)
        {
            at += 3;
            return Some(value);
        }
        at += 1;
        Some(byte)
    })
}

/// The canonical path of a collection: with a slash at its end.
pub(super) fn collection(path: &str) -> String {
    let mut path = canonical(path);
    if !path.ends_with('/') {
        path.push('/');
    }
    path
}

/// Whether two canonical paths name the same thing: a slash at the end makes no difference.
pub(super) fn same(a: &str, b: &str) -> bool {
    a.trim_end_matches('/') == b.trim_end_matches('/')
}

/// Whether a canonical path is directly in a collection, and not the collection itself.
pub(super) fn is_member(collection: &str, path: &str) -> bool {
    path.strip_prefix(collection).is_some_and(|name| {
        let name = name.trim_end_matches('/');
        !name.is_empty() && !name.contains('/')
    })
}

/// How a server spells its names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Spelling {
    /// Characters of [`OPEN`] that it leaves as they are.
    plain: String,
}

impl Spelling {
    /// Learns from a path as the server wrote it. Tells whether that was news.
    pub(super) fn learn(&mut self, path: &str) -> bool {
        let known = self.plain.len();
        for char in path.chars() {
            if char.is_ascii() && OPEN.contains(&(char as u8)) && !self.plain.contains(char) {
                self.plain.push(char);
            }
        }
        self.plain.len() > known
    }

    /// A canonical path as the server spells it.
    pub(super) fn of(&self, canonical: &str) -> String {
        encode(canonical, |byte| is_unreserved(byte) || self.plain.contains(char::from(byte)) && byte.is_ascii())
    }

    /// All the ways in which a server may spell a canonical path, its own first: a name counts as unknown to the server
    /// only when it knows none of them.
    pub(super) fn all(&self, canonical: &str) -> Vec<String> {
        let mut all = vec![self.of(canonical)];
        for other in [canonical.to_owned(), encode(canonical, |byte| is_unreserved(byte) || OPEN.contains(&byte))] {
            if !all.contains(&other) {
                all.push(other);
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_form_for_every_spelling() {
        let base = Url::parse("https://p42.example.com:443/a/card/?x=1").unwrap();
        let path = |href: &str| resolve(&base, href).map(|url| canonical(url.path()));
        let table = [
            ("/a/card/u%202%40x.vcf", "/a/card/u%202%40x.vcf"), // Radicale
            ("/a/card/u%202@x.vcf", "/a/card/u%202%40x.vcf"),   // Xandikos
            ("/a/card/u 2@x.vcf", "/a/card/u%202%40x.vcf"),
            ("u%202@x.vcf", "/a/card/u%202%40x.vcf"),
            ("https://p42.example.com:443/a/card/u%202@x.vcf", "/a/card/u%202%40x.vcf"),
            (" /a/card/%c3%a4.vcf\n", "/a/card/%C3%A4.vcf"),
            ("/a/card/ä.vcf", "/a/card/%C3%A4.vcf"),
            ("/a/card/%7Ex.vcf", "/a/card/~x.vcf"),
            ("/a/card/a%2Fb.vcf", "/a/card/a%2Fb.vcf"), // a slash within a name is no separator
            ("/a/card/100%.vcf", "/a/card/100%25.vcf"),
            ("urn:uuid:1.vcf", "/a/card/urn%3Auuid%3A1.vcf"),
            ("/a/card", "/a/card"),
        ];
        for (href, expected) in table {
            assert_eq!(path(href).as_deref(), Some(expected), "{href}");
            assert_eq!(canonical(expected), expected);
        }
        assert_eq!(path("  "), None);
    }

    proptest::proptest! {
        #[test]
        fn any_name_has_one_form(path in "(/[ -~äß%]{0,8}){1,4}") {
            let form = canonical(&path);
            proptest::prop_assert_eq!(&canonical(&form), &form);
            let mut spelling = Spelling::default();
            spelling.learn(&path);
            for other in spelling.all(&form) {
                proptest::prop_assert_eq!(&canonical(&other), &form);
            }
        }
    }

    #[test]
    fn members_and_the_collection_itself() {
        let book = collection("/1/carddavhome/card");
        assert_eq!(book, "/1/carddavhome/card/");
        assert!(same("/1/carddavhome/card", &book));
        for (path, member) in [
            ("/1/carddavhome/card", false),
            ("/1/carddavhome/card/", false),
            ("/1/carddavhome/card/a.vcf", true),
            ("/1/carddavhome/card/sub/a.vcf", false),
            ("/1/carddavhome/cards/a.vcf", false),
            ("/2/other/a.vcf", false),
        ] {
            assert_eq!(is_member(&book, path), member, "{path}");
        }
    }

    #[test]
    fn the_servers_spelling_is_learnt() {
        let id = "/dav/ann%40example.com/u%202%40x%2Cy.vcf";
        let mut spelling = Spelling::default();
        assert_eq!(spelling.of(id), id);
        assert!(spelling.learn("/dav/ann@example.com/card/"));
        assert!(!spelling.learn("/dav/ann@example.com/card/"));
        assert_eq!(spelling.of(id), "/dav/ann@example.com/u%202@x%2Cy.vcf");
        assert_eq!(
            spelling.all(id),
            ["/dav/ann@example.com/u%202@x%2Cy.vcf", id, "/dav/ann@example.com/u%202@x,y.vcf"]
        );
        assert_eq!(spelling.all("/card/A.vcf"), ["/card/A.vcf"]);
    }
}
