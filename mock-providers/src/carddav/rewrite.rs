//! What a server makes of a card that it stores: photos behind URLs, properties in its own order.
//!
//! Owns: `icloud-carddav.md` 4.3 and 6.4; all of it is UNVERIFIED in detail. Must not: refuse a card.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::lines::{Line, fold, unfold};
use super::photos;
use super::settings::Level;
use super::world::{Photo, World};

/// A card as it will be stored.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) content: Vec<u8>,
    pub(super) photo: Option<Photo>,
}

/// Apple's order of properties (S:35); what is not named stands between these and REV.
const ORDER: [&str; 24] = [
    "BEGIN",
    "VERSION",
    "PRODID",
    "N",
    "FN",
    "NICKNAME",
    "X-MAIDENNAME",
    "X-PHONETIC-FIRST-NAME",
    "X-PHONETIC-MIDDLE-NAME",
    "X-PHONETIC-LAST-NAME",
    "ORG",
    "X-PHONETIC-ORG",
    "TITLE",
    "EMAIL",
    "TEL",
    "ADR",
    "NOTE",
    "URL",
    "BDAY",
    "PHOTO",
    "IMPP",
    "X-SOCIALPROFILE",
    "X-ABDATE",
    "X-ABRELATEDNAMES",
];

/// Properties that a server dropping the unknown keeps; labels and members are among the known.
const KNOWN_X: [&str; 14] = [
    "X-MAIDENNAME",
    "X-PHONETIC-FIRST-NAME",
    "X-PHONETIC-MIDDLE-NAME",
    "X-PHONETIC-LAST-NAME",
    "X-PHONETIC-ORG",
    "X-SOCIALPROFILE",
    "X-ABDATE",
    "X-ABRELATEDNAMES",
    "X-ABLABEL",
    "X-ABADR",
    "X-ABSHOWAS",
    "X-ADDRESSBOOKSERVER-KIND",
    "X-ADDRESSBOOKSERVER-MEMBER",
    "X-ALTBDAY",
];

/// Makes the stored form of a card.
pub(super) fn rewrite(world: &World, who: usize, name: &str, sent: &[u8], lines: Vec<Line>, now: u64) -> Stored {
    let rules = world.settings.rewrite;
    let mut lines = lines;
    let before = lines.len();
    let (photo, swapped) = photo(world, who, name, &mut lines);
    if rules.drop_unknown {
        lines.retain(|line| !line.name().starts_with("X-") || KNOWN_X.contains(&line.name().as_str()));
    }
    let changed = swapped || lines.len() != before;
    let content = match rules.level {
        Level::Kept if !changed => sent.to_vec(),
        Level::Kept | Level::Folded => fold(&lines),
        Level::Icloud => fold(&apple(lines, now)),
        Level::Sorted => fold(&sorted(lines)),
    };
    Stored { content, photo }
}

/// Makes the stored form of a card that a device adds: its bytes, but for the photo.
pub(super) fn of_device(world: &World, who: usize, name: &str, card: &[u8]) -> Stored {
    let mut lines = unfold(card);
    match photo(world, who, name, &mut lines) {
        (photo, true) => Stored { content: fold(&lines), photo },
        (photo, false) => Stored { content: card.to_vec(), photo },
    }
}

/// Takes an inline photo out of a card and puts a URL in its place. Says whether a line was changed.
fn photo(world: &World, who: usize, name: &str, lines: &mut Vec<Line>) -> (Option<Photo>, bool) {
    let rules = world.settings.rewrite;
    let Some(at) = lines.iter().position(|line| line.is("PHOTO")).filter(|_| rules.photo_urls) else {
        return (None, false);
    };
    let line = &lines[at];
    let value = line.value_text();
    if line.has_param("VALUE=URI") || value.starts_with("http") {
        let shelf = &world.owners[who].shelf;
        let same = shelf.by_card.get(name).filter(|photo| value.ends_with(&format!("/{}", photo.hash)));
        if rules.keep_photo_urls {
            return (same.cloned(), false);
        }
        lines.remove(at);
        return (None, true);
    }
    let digits: String = value.chars().filter(|letter| !letter.is_ascii_whitespace()).collect();
    let Some(bytes) = STANDARD.decode(digits).ok().filter(|bytes| !bytes.is_empty()) else { return (None, false) };
    let photo = photos::develop(&world.owners[who].login.dsid, name, bytes.into());
    let url = photos::url(world, who, &photo.hash);
    lines[at] = Line::new(format!("PHOTO;VALUE=uri:{url}"));
    (Some(photo), true)
}

/// Apple's order: lines of an `itemN` stay together behind the one that gives the item its meaning.
fn apple(lines: Vec<Line>, now: u64) -> Vec<Line> {
    let rank = |name: &str| match name {
        "REV" => ORDER.len() + 1,
        "UID" => ORDER.len() + 2,
        "END" => ORDER.len() + 3,
        name => ORDER.iter().position(|one| *one == name).unwrap_or(ORDER.len()),
    };
    let minor = |line: &Line| matches!(line.name().as_str(), "X-ABLABEL" | "X-ABADR");
    let mut ranked: Vec<(usize, usize, bool, Line)> = Vec::with_capacity(lines.len());
    let heads: Vec<(String, usize, usize)> = lines
        .iter()
        .enumerate()
        .filter(|(_, line)| !minor(line) && line.text.contains(&b'.'))
        .map(|(at, line)| (line.group(), rank(&line.name()), at))
        .filter(|(group, ..)| !group.is_empty())
        .collect();
    for (at, line) in lines.into_iter().enumerate() {
        let name = line.name();
        if matches!(name.as_str(), "PRODID" | "REV") {
            continue;
        }
        let group = line.group();
        let head = heads.iter().find(|(other, ..)| !group.is_empty() && *other == group);
        let (rank, first) = head.map_or((rank(&name), at), |(_, rank, first)| (*rank, *first));
        ranked.push((rank, first, minor(&line), line));
    }
    let product = Line::new("PRODID:-//Apple Inc.//iCloud Web Address Book//EN");
    ranked.push((rank("PRODID"), 0, false, product));
    let seconds = i64::try_from(now / 1000).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    if let Some(instant) = seconds {
        ranked.push((rank("REV"), 0, false, Line::new(format!("REV:{instant}"))));
    }
    ranked.sort_by_key(|(rank, first, minor, _)| (*rank, *first, *minor));
    ranked.into_iter().map(|(.., line)| line).collect()
}

/// Radicale's way: properties sorted, names in capitals.
fn sorted(lines: Vec<Line>) -> Vec<Line> {
    let mut lines: Vec<Line> = lines
        .into_iter()
        .map(|line| {
            let head = line.head().len();
            let (head, rest) = line.text.split_at(head);
            let name = head.iter().position(|byte| *byte == b';').unwrap_or(head.len());
            let (name, params) = head.split_at(name);
            let (group, bare) = name.split_at(name.iter().rposition(|byte| *byte == b'.').map_or(0, |at| at + 1));
            Line::new([group, &bare.to_ascii_uppercase(), params, rest].concat())
        })
        .collect();
    let rank = |line: &Line| match line.name().as_str() {
        "BEGIN" => 0,
        "VERSION" => 1,
        "END" => 3,
        _ => 2,
    };
    lines.sort_by_key(|line| (rank(line), line.name()));
    lines
}
