//! People who do not exist: a seeded, endless, believable address book as vCards in Apple's dialect, and broken cards too.
//!
//! Owns: made-up contact data and its own small random numbers. Must not: reach anybody; numbers come from ranges reserved
//! for fiction and addresses from `example.com` and `example.org` (RFC 2606). The same seed gives the same bytes.
//! Start reading at [`vcards`].

mod broken;
mod pictures;
mod tables;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub use broken::broken;
pub use pictures::{jpeg, png};
use tables::{CULTURES, Culture};

/// A small random number generator (splitmix64). Not for secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dice(u64);

impl Dice {
    /// Dice that fall the same way for the same seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 when `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        // The remainder is below a usize, so nothing is cut off.
        (self.roll() % end.max(1) as u64) as usize
    }

    /// True in so many of a hundred cases.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of several; the tables are never empty.
    fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }
}

/// So many cards, each with its UID: people and companies, and every now and then a group of some of those before it.
pub fn vcards(seed: u64, n: usize) -> impl Iterator<Item = (String, Vec<u8>)> {
    let mut dice = Dice::new(seed);
    let mut recent: VecDeque<String> = VecDeque::new();
    (0..n).map(move |at| {
        let uid = uid(&mut dice, at);
        if at % 60 == 59 {
            let members: Vec<&str> = recent.iter().filter(|_| dice.chance(40)).map(String::as_str).collect();
            let title = dice.pick(&tables::GROUPS);
            return (uid.clone(), group(&uid, title, members));
        }
        let card = person(&mut dice, &uid, at);
        recent.push_back(uid.clone());
        if recent.len() > 60 {
            recent.pop_front();
        }
        (uid, card)
    })
}

/// A group card (`icloud-carddav.md` 5.1). Its N is the title alone, for Apple shows empty parts literally (4.5).
#[must_use]
pub fn group<'a>(uid: &str, title: &str, members: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let mut card = Card::new();
    card.line("PRODID:-//Apple Inc.//iOS 19.1//EN");
    card.line(&format!("N:{}", escape(title)));
    card.line(&format!("FN:{}", escape(title)));
    card.line("X-ADDRESSBOOKSERVER-KIND:group");
    for member in members {
        card.line(&format!("X-ADDRESSBOOKSERVER-MEMBER:urn:uuid:{member}"));
    }
    card.line("REV:2026-01-05T10:00:00Z");
    card.line(&format!("UID:{uid}"));
    card.end()
}

/// A `PHOTO` line with the picture inside, not folded.
#[must_use]
pub fn photo_line(bytes: &[u8]) -> String {
    let kind = if bytes.starts_with(b"\x89PNG") { "PNG" } else { "JPEG" };
    format!("PHOTO;ENCODING=b;TYPE={kind}:{}", STANDARD.encode(bytes))
}

/// A card being written.
struct Card {
    text: Vec<u8>,
    items: usize,
    /// Whether folds may split a letter, as is seen in the wild (6.1).
    rough: bool,
}

impl Card {
    fn new() -> Self {
        Self { text: b"BEGIN:VCARD\r\nVERSION:3.0\r\n".to_vec(), items: 0, rough: false }
    }

    /// A line, folded at 75 octets.
    fn line(&mut self, text: &str) {
        let mut rest = text;
        let mut room = 75;
        let bytes = text.as_bytes();
        if self.rough {
            self.text.extend_from_slice(&bytes[..bytes.len().min(75)]);
            for piece in bytes.get(75..).unwrap_or_default().chunks(74) {
                self.text.extend_from_slice(b"\r\n ");
                self.text.extend_from_slice(piece);
            }
        } else {
            while rest.len() > room {
                let cut = (0..=room).rev().find(|at| rest.is_char_boundary(*at)).unwrap_or(room);
                self.text.extend_from_slice(&rest.as_bytes()[..cut]);
                self.text.extend_from_slice(b"\r\n ");
                rest = &rest[cut..];
                room = 74;
            }
            self.text.extend_from_slice(rest.as_bytes());
        }
        self.text.extend_from_slice(b"\r\n");
    }

    /// A property with a label of its own.
    fn item(&mut self, property: &str, label: &str) {
        self.items += 1;
        let number = self.items;
        self.line(&format!("item{number}.{property}"));
        self.line(&format!("item{number}.X-ABLabel:{label}"));
    }

    fn end(mut self) -> Vec<u8> {
        self.line("END:VCARD");
        self.text
    }
}

/// Escapes text for a value (RFC 2426 §5).
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n").replace(',', "\\,").replace(';', "\\;")
}

/// A UID: mostly an Apple UUID, rarely one of the other forms seen (6.1).
fn uid(dice: &mut Dice, at: usize) -> String {
    let (a, b) = (dice.roll(), dice.roll());
    let uuid = format!(
        "{:08X}-{:04X}-4{:03X}-{:04X}-{:012X}",
        a >> 32,
        (a >> 16) & 0xffff,
        a & 0xfff,
        0x8000 | (b >> 48) & 0x3fff,
        b & 0xffff_ffff_ffff
    );
    match dice.below(100) {
        0..3 => uuid.to_lowercase(),
        3 => format!("{:x}", b),
        4 => format!("kontakt-{at}-{:x}", b & 0xffff),
        _ => uuid,
    }
}

/// A person or a company.
fn person(dice: &mut Dice, uid: &str, at: usize) -> Vec<u8> {
    let culture = CULTURES[dice.below(CULTURES.len())];
    let mut card = Card::new();
    card.rough = dice.chance(3);
    card.line(dice.pick(&["PRODID:-//Apple Inc.//iOS 19.1//EN", "PRODID:-//Apple Inc.//macOS 26.1//EN"]));
    let company = dice.pick(&tables::COMPANIES);
    let mail_name = if dice.chance(7) {
        card.line("N:;;;;");
        card.line(&format!("FN:{}", escape(company)));
        card.line(&format!("ORG:{};", escape(company)));
        card.line("X-ABShowAs:COMPANY");
        format!("info{at}")
    } else {
        let roman = name(dice, &mut card, culture);
        if dice.chance(55) {
            let department = if dice.chance(30) { dice.pick(&tables::DEPARTMENTS) } else { "" };
            card.line(&format!("ORG:{};{department}", escape(company)));
            card.line(&format!("TITLE:{}", escape(dice.pick(&tables::TITLES))));
        }
        roman
    };
    emails(dice, &mut card, &mail_name, at);
    phones(dice, &mut card, culture);
    address(dice, &mut card, culture);
    if dice.chance(30) {
        card.line(&format!("NOTE:{}", escape(dice.pick(&tables::NOTES))));
    }
    if dice.chance(15) {
        card.item(&format!("URL;type=pref:https\\://{mail_name}.example.org/"), "_$!<HomePage>!$_");
    }
    dates(dice, &mut card);
    if dice.chance(10) {
        let picture = if dice.chance(50) { png(dice.roll()) } else { jpeg(dice.roll()) };
        card.line(&photo_line(&picture));
    }
    extras(dice, &mut card, &mail_name);
    let (month, day) = (1 + dice.below(12), 1 + dice.below(28));
    card.line(&format!("REV:2025-{month:02}-{day:02}T08:30:00Z"));
    card.line(&format!("UID:{uid}"));
    card.end()
}

/// Writes the name; returns what an e-mail address makes of it.
fn name(dice: &mut Dice, card: &mut Card, culture: &Culture) -> String {
    let (given, given_roman) = culture.given[dice.below(culture.given.len())];
    let (family, family_roman) = culture.family[dice.below(culture.family.len())];
    let middle = if dice.chance(12) { culture.given[dice.below(culture.given.len())].0 } else { "" };
    let prefix = if dice.chance(6) { dice.pick(&["Dr.", "Prof. Dr.", "Mme", "Sra."]) } else { "" };
    let suffix = if dice.chance(4) { dice.pick(&["Jr.", "III", "MBA, PhD"]) } else { "" };
    card.line(&format!("N:{family};{given};{middle};{prefix};{}", escape(suffix)));
    let whole = match (culture.family_first, middle) {
        (true, _) if given != given_roman => format!("{family}{given}"),
        (true, _) => format!("{family} {given}"),
        (false, "") => format!("{given} {family}"),
        (false, middle) => format!("{given} {middle} {family}"),
    };
    card.line(&format!("FN:{whole}"));
    if dice.chance(12) {
        card.line(&format!("NICKNAME:{}", dice.pick(&tables::NICKNAMES)));
    }
    if culture.phonetic {
        card.line(&format!("X-PHONETIC-FIRST-NAME:{given_roman}"));
        card.line(&format!("X-PHONETIC-LAST-NAME:{family_roman}"));
    }
    format!("{}.{}", given_roman.to_lowercase(), family_roman.to_lowercase()).replace([' ', '\''], "")
}

fn emails(dice: &mut Dice, card: &mut Card, name: &str, at: usize) {
    let count = [0, 1, 1, 1, 1, 2, 2, 3][dice.below(8)];
    for number in 0..count {
        let domain = dice.pick(&["example.com", "example.org", "mail.example.com", "work.example.org"]);
        let address = match number {
            0 => format!("{name}@{domain}"),
            1 => format!("{name}{at}@{domain}"),
            _ => format!("{}+news@{domain}", name.to_uppercase()),
        };
        let pref = if number == 0 { ";type=pref" } else { "" };
        match dice.below(12) {
            0 => card.item(&format!("EMAIL;type=INTERNET{pref}:{address}"), "_$!<Other>!$_"),
            1 => card.item(&format!("EMAIL;type=INTERNET{pref}:{address}"), "Büro, 2. Stock"),
            2 => card.line(&format!("email;TYPE=internet,home{}:{address}", pref.to_uppercase())),
            3..8 => card.line(&format!("EMAIL;type=INTERNET;type=WORK{pref}:{address}")),
            _ => card.line(&format!("EMAIL;type=INTERNET;type=HOME{pref}:{address}")),
        }
    }
}

/// A number nobody has: 555-01xx in North America, the ranges for drama in Britain, Germany, France and Sweden.
fn phone(dice: &mut Dice, culture: &Culture) -> String {
    let two = dice.below(100);
    let three = dice.below(1000);
    match (culture.country_code, dice.below(3)) {
        ("gb", 0) => format!("020 7946 0{three:03}"),
        ("gb", 1) => format!("+44 7700 900{three:03}"),
        ("gb", _) => format!("+44 (0) 20 7946 0{three:03}"),
        ("de", 0) => format!("030 23125 {three:03}"),
        ("de", 1) => format!("+49 171 39200{two:02}"),
        ("de", _) => format!("+49 (0)30/23125-{three:03}"),
        ("fr", 0) => format!("01 99 00 {:02} {two:02}", dice.below(100)),
        ("fr", _) => format!("+33 6 39 98 {:02} {two:02}", dice.below(100)),
        ("se", 0) => format!("031-390 06 {:02}", two % 50),
        ("se", _) => format!("+46 70 174 06 {:02}", 5 + two % 90),
        (_, form) => {
            let area = dice.pick(&["202", "212", "305", "312", "415", "503", "617", "808", "907", "416", "604"]);
            match (form, dice.below(4)) {
                (0, _) => format!("+1{area}55501{two:02}"),
                (1, 0) => format!("({area}) 555-01{two:02} ext. {}", 1 + dice.below(99)),
                (1, _) => format!("({area}) 555-01{two:02}"),
                (_, 0) => format!("001.{area}.555.01{two:02}"),
                (_, 1) => format!("{area}-555-01{two:02}"),
                _ => format!("+1 {area} 555 01{two:02}"),
            }
        }
    }
}

fn phones(dice: &mut Dice, card: &mut Card, culture: &Culture) {
    let count = [0, 1, 1, 1, 2, 2, 3, 4][dice.below(8)];
    for number in 0..count {
        let value = phone(dice, culture);
        let pref = if number == 0 { ";type=pref" } else { "" };
        match dice.below(10) {
            0 => card.line(&format!("TEL;type=IPHONE;type=CELL;type=VOICE{pref}:{value}")),
            1..4 => card.line(&format!("TEL;type=CELL;type=VOICE{pref}:{value}")),
            4 => card.line(&format!("TEL;type=MAIN{pref}:{value}")),
            5 => card.line(&format!("TEL;type=WORK;type=FAX{pref}:{value}")),
            6 => card.item(&format!("TEL{pref}:{value}"), dice.pick(&["Ferienhaus", "実家", "", "_$!<Assistant>!$_"])),
            7 => card.line(&format!("TEL;type=HOME;type=VOICE{pref}:{value}")),
            _ => card.line(&format!("TEL;type=WORK;type=VOICE{pref}:{value}")),
        }
    }
}

fn address(dice: &mut Dice, card: &mut Card, culture: &Culture) {
    if !dice.chance(45) {
        return;
    }
    let (street, city, region, code) = culture.places[dice.below(culture.places.len())];
    let house = 1 + dice.below(180);
    let street =
        if dice.chance(20) { format!("{street} {house}\\n2. OG / Apt {house}") } else { format!("{street} {house}") };
    card.items += 1;
    let (number, kind) = (card.items, dice.pick(&["HOME", "WORK"]));
    card.line(&format!("item{number}.ADR;type={kind};type=pref:;;{street};{city};{region};{code};{}", culture.country));
    card.line(&format!("item{number}.X-ABADR:{}", culture.country_code));
}

fn dates(dice: &mut Dice, card: &mut Card) {
    let (year, month, day) = (1940 + dice.below(75), 1 + dice.below(12), 1 + dice.below(28));
    match dice.below(12) {
        0..3 => card.line(&format!("BDAY:{year}-{month:02}-{day:02}")),
        3 => card.line(&format!("BDAY;value=date:{year}-{month:02}-{day:02}")),
        4 | 5 => card.line(&format!("BDAY;X-APPLE-OMIT-YEAR=1604:1604-{month:02}-{day:02}")),
        6 => card.item(&format!("X-ABDATE;type=pref:{year}-{month:02}-{day:02}"), "_$!<Anniversary>!$_"),
        7 => card.item(&format!("X-ABDATE;X-APPLE-OMIT-YEAR=1604:1604-{month:02}-{day:02}"), "Namenstag"),
        _ => {}
    }
}

/// What few cards have, and what a client that does not know it must leave alone.
fn extras(dice: &mut Dice, card: &mut Card, name: &str) {
    match dice.below(24) {
        0 => card.line(&format!("IMPP;X-SERVICE-TYPE=Jabber;type=HOME;type=pref:xmpp:{name}@example.org")),
        1 => card.line(&format!("X-SOCIALPROFILE;type=twitter;x-user={name}:http://social.example.com/{name}")),
        2 => card.item("X-ABRELATEDNAMES;type=pref:Robin Example", "_$!<Spouse>!$_"),
        3 => card.item("X-ABRELATEDNAMES:Alex O'Hara", "Trauzeuge"),
        4 => card.line("X-LOYALTY-TIER;X-SINCE=2019;X-NOTE=\"a;b:c,d\":Gold\\; Plus"),
        5 => card.line("VND-63-SENSITIVE-CONTENT-CONFIG:cHJpdmF0ZQ=="),
        6 => card.line("X-IMAGEHASH:2jmj7l5rSw0yVb/vlWAYkK/YBwk="),
        7 => card.line("X-ABUID:5AD380FD-B2DE-4261-BA99-DE1D1DB52FBE\\:ABPerson"),
        8 => card.line("CATEGORIES:Friends,Work\\, Old"),
        9 => card.line("item9.X-CUSTOM-THING;X-Foo=^n^^:a value with a group and no label"),
        10 => card.line("NOTE:A second note\\, which is legal."),
        11 => card.line("X-EMPTY:"),
        12 => card.line(&format!("X-LONG:{}", "0123456789abcdef ".repeat(40))),
        13 => card.line("X-MAIDENNAME:Müller-Lüdenscheidt"),
        14 => card.line("TZ:+01:00"),
        15 => card.line("GEO:52.516272;13.377722"),
        _ => {}
    }
}
