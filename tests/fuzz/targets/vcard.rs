//! Whatever bytes a server calls a card: reading them ends, and what was understood survives being written anew.
#![no_main]

use contactd::card::{Card, field::Field};
use contactd::provider::carddav::convert::{Read, Version, read, write_new};
use libfuzzer_sys::fuzz_target;

/// The card without its picture, which travels apart.
fn plain(mut card: Card) -> Card {
    card.set(Field::Photo, Card::default().get(Field::Photo));
    card
}

fn again(card: &Card, version: Version) -> Card {
    let raw = write_new(card, "u", None, version);
    match read(&raw) {
        Read::Contact(contact) => plain(contact.card),
        other => panic!("what we wrote is no contact: {other:?}\n{}", String::from_utf8_lossy(&raw)),
    }
}

fuzz_target!(|raw: &[u8]| {
    let Read::Contact(contact) = read(raw) else { return };
    let card = plain(contact.card);
    for version in [Version::V3, Version::V4] {
        // The first writing may drop what this version has no word for; the second must change nothing.
        let once = again(&card, version);
        assert_eq!(once, again(&once, version), "{version:?}");
    }
});
