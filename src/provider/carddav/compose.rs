//! The bytes that are sent: new cards, edited cards, edited groups.
//!
//! Owns: which of the converter's and the editor's functions a write needs, and the last resort against a bare 403.
//! Must not: rebuild a stored card from its projection (icloud-carddav.md §6.5).

use super::convert::{self, Version};
use crate::card::Card;
use crate::card::Item;
use crate::card::field::FieldSet;
use crate::card::vcard::Lines;
use crate::card::vcard::line::Line;
use crate::card::vcard::prop::Prop;
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
    before: &Card,
    after: &Card,
    mask: FieldSet,
    photo: Option<&Blob>,
) -> Result<Vec<u8>, String> {
    let _ = (raw, before, after, mask, photo);
    Err("editing is not wired yet".to_owned())
}

/// A stored card with one category more or less; `None` = it is so already.
pub(super) fn categories(raw: &[u8], name: &str, join: bool) -> Result<Option<Vec<u8>>, String> {
    let _ = (raw, name, join);
    Err("editing is not wired yet".to_owned())
}

/// A stored group card with members more and less, as a set; members that we don't know stay (icloud-carddav.md §5.1).
/// `None` = it is so already.
pub(super) fn members(raw: &[u8], changes: &[Membership]) -> Result<Option<Vec<u8>>, String> {
    let (lines, _) = Lines::parse(raw).map_err(|why| format!("the group's card can't be read: {why}"))?;
    let is_member = |line: &Line<'_>| matches!(line.prop, Prop::AppleMember | Prop::Member);
    let uid_of = |line: &Line<'_>| bare(&String::from_utf8_lossy(&line.value)).to_owned();
    let wanted = |uid: &str| changes.iter().rev().find(|change| same_uid(&change.uid, uid)).map(|change| change.join);
    let mut out = lines.head.to_vec();
    let mut changed = false;
    let mut present: Vec<String> = Vec::new();
    let mut last = None;
    for line in &lines.lines {
        if is_member(line) {
            let uid = uid_of(line);
            if wanted(&uid) == Some(false) {
                changed = true;
                continue;
            }
            present.push(uid);
        }
        out.extend_from_slice(line.raw);
        if is_member(line) {
            last = Some(out.len());
        }
    }
    let four = lines.version == Version::V4;
    let mut added = Vec::new();
    for change in changes.iter().filter(|change| wanted(&change.uid) == Some(true)) {
        if !present.iter().any(|uid| same_uid(uid, &change.uid)) {
            present.push(change.uid.clone());
            let name = if four { "MEMBER" } else { "X-ADDRESSBOOKSERVER-MEMBER" };
            fold(&mut added, &format!("{name}:urn:uuid:{}", change.uid));
        }
    }
    if added.is_empty() && !changed {
        return Ok(None);
    }
    let at = last.unwrap_or(out.len());
    out.splice(at..at, added);
    out.extend_from_slice(if lines.tail.is_empty() { b"END:VCARD\r\n" } else { lines.tail });
    Ok(Some(out))
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

/// A UID without the scheme that some write in front (icloud-carddav.md §5.1).
fn bare(uid: &str) -> &str {
    let uid = uid.trim();
    match uid.get(..9) {
        Some(scheme) if scheme.eq_ignore_ascii_case("urn:uuid:") => &uid[9..],
        _ => uid,
    }
}

fn same_uid(a: &str, b: &str) -> bool {
    bare(a).eq_ignore_ascii_case(bare(b))
}

/// A line in pieces of at most 75 octets, cut between characters (RFC 6350 §3.2).
fn fold(out: &mut Vec<u8>, line: &str) {
    let mut room = 75;
    for char in line.chars() {
        if char.len_utf8() > room {
            out.extend_from_slice(b"\r\n ");
            room = 74;
        }
        room -= char.len_utf8();
        out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
    }
    out.extend_from_slice(b"\r\n");
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
    fn members_change_as_a_set_and_the_rest_stays() {
        let after = |changes: &[Membership]| {
            members(GROUP.as_bytes(), changes).unwrap().map(|raw| String::from_utf8(raw).unwrap())
        };
        assert_eq!(after(&[change("aaa", true), change("gone", false)]), None);
        let joined = after(&[change("BBB", true), change("BBB", true), change("AAA", false)]).unwrap();
        assert_eq!(
            joined,
            GROUP
                .replace("urn:uuid:AAA\r\nX-ADDRESSBOOKSERVER-MEMBER:", "")
                .replace("kontakt-12\r\n", "kontakt-12\r\nX-ADDRESSBOOKSERVER-MEMBER:urn:uuid:BBB\r\n")
        );
        assert_eq!(after(&[change("BBB", true), change("bbb", false)]), None);
        let four = GROUP.replace("3.0", "4.0").replace("X-ADDRESSBOOKSERVER-", "");
        let joined = members(four.as_bytes(), &[change("C", true)]).unwrap().unwrap();
        assert!(String::from_utf8(joined).unwrap().contains("\r\nMEMBER:urn:uuid:C\r\n"));
    }

    #[test]
    fn a_first_member_and_a_long_one() {
        let empty = "BEGIN:VCARD\r\nVERSION:3.0\r\nN:x\r\nX-ADDRESSBOOKSERVER-KIND:group\r\nEND:VCARD\r\n";
        let uid = "u".repeat(100);
        let raw = String::from_utf8(members(empty.as_bytes(), &[change(&uid, true)]).unwrap().unwrap()).unwrap();
        assert!(raw.lines().all(|line| line.len() <= 75) && raw.ends_with("END:VCARD\r\n"), "{raw}");
        assert_eq!(members(raw.as_bytes(), &[change(&uid, true)]).unwrap(), None);
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
