//! The bytes that are sent: new cards, edited cards, edited groups.
//!
//! Owns: which of the converter's and the editor's functions a write needs, and the last resort against a bare 403.
//! Must not: rebuild a stored card from its projection (icloud-carddav.md §6.5).

use std::collections::BTreeMap;

use super::convert::{self, Version};
use super::edit::{self, EditError};
use crate::card::Card;
use crate::card::Item;
use crate::card::field::FieldSet;
use crate::card::vcard::Lines;
use crate::card::vcard::prop::Prop;
use crate::ids::Timestamp;
use crate::provider::Blob;

/// A change of one membership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Membership {
    /// The member's UID.
    pub uid: String,
    /// Whether it shall be in the group afterwards.
    pub join: bool,
}

/// A new card. 3.0, which every server takes (icloud-carddav.md §6.5, 8).
pub(super) fn create(card: &Card, uid: &str, categories: &[&str], photo: Option<&Blob>) -> Result<Vec<u8>, String> {
    let missing: Vec<&&str> =
        categories.iter().filter(|name| !card.categories.iter().any(|item| item.value == **name)).collect();
    if missing.is_empty() {
        return Ok(convert::write_new(card, uid, photo, Version::V3));
    }
    let mut card = card.clone();
    card.categories.extend(missing.into_iter().map(|name| Item::<String>::new(*name)));
    Ok(convert::write_new(&card, uid, photo, Version::V3))
}

/// A stored card with some fields changed, all else as it was.
pub(super) fn update(
    raw: &[u8],
    after: &Card,
    mask: FieldSet,
    photo: Option<&Blob>,
    now: Timestamp,
) -> Result<Vec<u8>, String> {
    edit::edit(raw, after, mask, photo, Some(now)).map_err(|why| why.to_string())
}

/// A stored card with one category more or less; `None` = it is so already.
pub(super) fn categories(raw: &[u8], name: &str, join: bool, now: Timestamp) -> Result<Option<Vec<u8>>, String> {
    let name = [name.to_owned()];
    let (add, remove) = if join { (&name[..], &[][..]) } else { (&[][..], &name[..]) };
    changed(raw, edit::set_categories(raw, add, remove, Some(now)))
}

/// A stored group card with members more and less, as a set; members that we don't know stay (icloud-carddav.md §5.1).
/// Of several changes of one member the last counts. `None` = it is so already.
pub(super) fn members(raw: &[u8], changes: &[Membership], now: Timestamp) -> Result<Option<Vec<u8>>, String> {
    let mut last: BTreeMap<String, &Membership> = BTreeMap::new();
    for change in changes {
        last.insert(change.uid.to_ascii_lowercase(), change);
    }
    let (add, remove): (Vec<_>, Vec<_>) = last.into_values().partition(|change| change.join);
    let uids = |changes: Vec<&Membership>| changes.into_iter().map(|change| change.uid.clone()).collect::<Vec<_>>();
    changed(raw, edit::set_members(raw, &uids(add), &uids(remove), Some(now)))
}

fn changed(raw: &[u8], edited: Result<Vec<u8>, EditError>) -> Result<Option<Vec<u8>>, String> {
    edited.map(|edited| (edited != raw).then_some(edited)).map_err(|why| why.to_string())
}

/// What iCloud is known to insist on (icloud-carddav.md §4.5), only on lines that are ours to change: an `N` where there
/// is none, a `PRODID` that fits its line (it names who wrote last: us), no control characters. `None` = nothing to
/// mend.
pub(super) fn sanitised(raw: &[u8]) -> Option<Vec<u8>> {
    let (lines, _) = Lines::parse(raw).ok()?;
    let mut out = lines.head.to_vec();
    let has_name = lines.lines.iter().any(|line| line.prop == Prop::N);
    let mut mended = !has_name;
    if !has_name {
        out.extend_from_slice(b"N:;;;;\r\n");
    }
    for line in &lines.lines {
        if line.raw.len() > 77 && line.name().eq_ignore_ascii_case("PRODID") {
            out.extend_from_slice(b"PRODID:-//contactd//EN\r\n");
            mended = true;
            continue;
        }
        let keep = |byte: &u8| *byte >= 0x20 && *byte != 0x7F || matches!(byte, b'\t' | b'\r' | b'\n');
        mended |= !line.raw.iter().all(keep);
        out.extend(line.raw.iter().copied().filter(|byte| keep(byte)));
    }
    out.extend_from_slice(lines.tail);
    mended.then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(uid: &str, join: bool) -> Membership {
        Membership { uid: uid.into(), join }
    }

    const GROUP: &str = "BEGIN:VCARD\r\nVERSION:3.0\r\nN:Board\r\nFN:Board\r\nX-ADDRESSBOOKSERVER-KIND:group\r\n\
        X-ADDRESSBOOKSERVER-MEMBER:urn:uuid:AAA\r\nX-ADDRESSBOOKSERVER-MEMBER:urn:uuid:kontakt-12\r\nX-OTHER:1\r\n\
        UID:7D3B\r\nEND:VCARD\r\n";

    #[test]
    fn the_last_word_on_a_member_counts() {
        let after = |changes: &[Membership]| {
            members(GROUP.as_bytes(), changes, Timestamp(0)).unwrap().map(|raw| String::from_utf8(raw).unwrap())
        };
        assert_eq!(after(&[change("aaa", true), change("gone", false)]), None);
        assert_eq!(after(&[change("BBB", true), change("bbb", false)]), None);
        let joined = after(&[change("BBB", true), change("BBB", true), change("AAA", false)]).unwrap();
        assert_eq!(joined.matches("urn:uuid:BBB").count(), 1);
        assert!(!joined.contains("AAA") && joined.contains("kontakt-12") && joined.contains("X-OTHER:1"));
    }

    #[test]
    fn categories_come_and_go() {
        let raw = b"BEGIN:VCARD\r\nVERSION:3.0\r\nN:;Ann;;;\r\nFN:Ann\r\nCATEGORIES:Friends\r\nEND:VCARD\r\n";
        assert_eq!(categories(raw, "Friends", true, Timestamp(0)).unwrap(), None);
        assert_eq!(categories(raw, "Work", false, Timestamp(0)).unwrap(), None);
        let with = categories(raw, "Work, Old", true, Timestamp(0)).unwrap().unwrap();
        assert!(String::from_utf8_lossy(&with).contains("Work\\, Old"));
        let without = categories(&with, "Friends", false, Timestamp(0)).unwrap().unwrap();
        assert!(!String::from_utf8_lossy(&without).contains("Friends"));
    }

    #[test]
    fn only_what_is_wrong_is_mended() {
        let good = "BEGIN:VCARD\r\nVERSION:3.0\r\nN:;Ann;;;\r\nFN:Ann\r\nPRODID:-//x//EN\r\nEND:VCARD\r\n";
        assert_eq!(sanitised(good.as_bytes()), None);
        let long = good.replace("-//x//EN", &format!("-//{}\r\n {}//EN", "x".repeat(65), "y".repeat(30)));
        let bad = long.replace("N:;Ann;;;\r\n", "").replace("FN:Ann", "FN:A\u{1}nn");
        let mended = String::from_utf8(sanitised(bad.as_bytes()).unwrap()).unwrap();
        assert_eq!(
            mended,
            good.replace("N:;Ann;;;\r\n", "")
                .replace("VERSION", "N:;;;;\r\nVERSION")
                .replace("-//x//EN", "-//contactd//EN")
        );
    }
}
