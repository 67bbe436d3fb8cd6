//! Made-up people: varied, and the same for every run.
//!
//! Owns: cards and ids by number. Must not: know a store or a provider.

use contactd::card::{Card, Item, Organization};
use uuid::Uuid;

const GIVEN: [&str; 40] = [
    "Ada", "Amir", "Anna", "Ben", "Carla", "Chen", "Dana", "Elif", "Emil", "Eva", "Fatima", "Felix", "Greta", "Hana",
    "Ines", "Ivan", "Jana", "João", "Jonas", "Karim", "Lena", "Li", "Lucía", "Marek", "Maya", "Mehmet", "Nina", "Noah",
    "Olga", "Omar", "Petra", "Quentin", "Rosa", "Sami", "Søren", "Tara", "Uma", "Viktor", "Yusuf", "Zoë",
];
const SYLLABLES: [&str; 24] = [
    "an", "bel", "cor", "dim", "er", "fal", "gar", "hol", "in", "jor", "kes", "lun", "mar", "nov", "or", "pet", "ri",
    "sel", "tom", "ul", "van", "wes", "yar", "zim",
];

/// A number that follows from another and looks like chance.
pub(crate) fn mixed(n: u64) -> u64 {
    let mut x = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn pick<'a>(from: &[&'a str], by: u64) -> &'a str {
    from[usize::try_from(by % from.len() as u64).unwrap()]
}

/// One of some fourteen thousand family names.
fn family(by: u64) -> String {
    let name = format!("{}{}{}", pick(&SYLLABLES, by), pick(&SYLLABLES, by / 24), pick(&SYLLABLES, by / 576));
    let (first, rest) = name.split_at(1);
    format!("{}{rest}", first.to_uppercase())
}

/// The n-th person: a name, most with an address, a number and a company, some with more.
pub(crate) fn card(n: u64) -> Card {
    let by = mixed(n);
    let given = pick(&GIVEN, by);
    let family = family(by >> 8);
    let company = format!("{} {}", self::family(by >> 24), pick(&["GmbH", "Ltd", "Inc", "AG", "SARL"], by >> 40));
    let mut card = Card {
        display: Some(format!("{given} {family}")),
        emails: vec![
            Item::new(format!("{}.{}{n}@example.com", given.to_lowercase(), family.to_lowercase())).labelled("work"),
        ],
        phones: vec![Item::new(format!("+49 30 {:03} {:04}", by % 900 + 100, n % 10_000)).labelled("cell")],
        organizations: vec![Item::new(Organization { company: Some(company), ..Organization::default() })],
        given: Some(given.to_owned()),
        family: Some(family),
        ..Card::default()
    };
    if by.is_multiple_of(3) {
        card.phones.push(Item::new(format!("+49 40 {:07}", (by >> 12) % 10_000_000)).labelled("work"));
    }
    if by.is_multiple_of(5) {
        card.note = Some(format!("Met in {} at the fair, number {n}.", 2000 + by % 25));
    }
    card
}

/// A time-ordered id: the n-th of those that were made at that time.
pub(crate) fn id<T: From<Uuid>>(millis: i64, n: u64) -> T {
    let mut random = [0; 10];
    random[..8].copy_from_slice(&mixed(n).to_be_bytes());
    T::from(uuid::Builder::from_unix_timestamp_millis(u64::try_from(millis).unwrap(), &random).into_uuid())
}
