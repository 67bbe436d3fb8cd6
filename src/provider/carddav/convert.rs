//! A stored vCard's bytes and what they mean: the only place that knows both.
//!
//! Owns: what a stored card is (a contact, a group, nothing we may touch) and its pictures as [`Blob`]s. Must not: know
//! the syntax, that is [`crate::card::vcard`]'s.

use std::sync::Arc;

use crate::card::Card;
use crate::card::vcard::{self, Lines, Picture};
use crate::provider::Blob;

pub use crate::card::vcard::Version;

/// The generation of this converter. A higher one reads better: bases made by an older one are made anew (reconciliation A).
pub const CONVERTER: u16 = 1;

/// What a stored vCard turned out to be.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "taken apart where it is made; a box would be opened at once")]
pub enum Read {
    /// A person or an organisation.
    Contact(Contact),
    /// A group that lists its members.
    Group(GroupCard),
    /// Nothing that we can read without risk of losing something; why. Kept opaque, never written.
    Opaque(String),
}

/// A contact as read.
#[derive(Clone, Debug)]
pub struct Contact {
    /// Its content.
    pub card: Card,
    /// Its `UID`, verbatim but for a `urn:uuid:` in front.
    pub uid: Option<String>,
    /// Its `CATEGORIES`, which on servers without group cards are its groups.
    pub categories: Vec<String>,
    /// The picture, if it came inline.
    pub photo: Option<Blob>,
    /// Where the picture is, if it came as an address. The card's photo hash is then `url:` and the BLAKE3 of it.
    pub photo_url: Option<String>,
}

/// A group card as read.
#[derive(Clone, Debug)]
pub struct GroupCard {
    /// Its name.
    pub name: String,
    /// Its `UID`, verbatim but for a `urn:uuid:` in front.
    pub uid: Option<String>,
    /// UIDs of its members, verbatim but for a `urn:uuid:` in front.
    pub members: Vec<String>,
}

/// Reads a stored vCard: 2.1, 3.0 or 4.0, Apple's dialect, broken ones as far as possible.
pub fn read(raw: &[u8]) -> Read {
    let lines = match Lines::parse(raw) {
        Ok((lines, _)) => lines,
        Err(why) => return Read::Opaque(format!("this entry is not a contact: {why}")),
    };
    if !lines.lines.iter().any(vcard::line::Line::is_property) {
        return Read::Opaque("this entry is not a contact: nothing in it can be read".to_owned());
    }
    let vcard::Reading { card, picture, uid, is_group, members } = vcard::read(&lines);
    if is_group {
        let parts = [&card.family, &card.given];
        let name = card.display.clone().or_else(|| parts.into_iter().flatten().next().cloned()).unwrap_or_default();
        return Read::Group(GroupCard { name, uid, members });
    }
    let (photo, photo_url) = match picture {
        Some(Picture::Inline { media_type, bytes }) => {
            // The card has the hash already; making it again would cost as much as all the rest.
            let hash = card.photo.as_ref().map(|photo| photo.hash.clone()).unwrap_or_default();
            (Some(Blob { hash, media_type, bytes: Arc::from(bytes) }), None)
        }
        Some(Picture::Address(url)) => (None, Some(url)),
        None => (None, None),
    };
    let categories = card.categories.iter().map(|item| item.value.clone()).collect();
    Read::Contact(Contact { card, uid, categories, photo, photo_url })
}

/// The bytes of a new card, as iCloud takes them (icloud-carddav 4.5): `N` and `FN` always, a short `PRODID`, no control
/// characters. `FN` is derived where the card has none. The picture stands if its bytes are given.
pub fn write_new(card: &Card, uid: &str, photo: Option<&Blob>, version: Version) -> Vec<u8> {
    let photo = photo.filter(|_| card.photo.is_some());
    vcard::write(card, uid, photo.map(|blob| (blob.media_type.as_str(), &*blob.bytes)), version)
}

/// The bytes of a new group card: Apple's in 3.0, `KIND:group` in 4.0.
pub fn write_group(name: &str, uid: &str, members: &[String], version: Version) -> Vec<u8> {
    vcard::write_group(name, uid, members, version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::vcard::tests::cards;
    use proptest::prelude::*;

    fn contact(raw: &[u8]) -> Contact {
        match read(raw) {
            Read::Contact(contact) => contact,
            other => panic!("{other:?}"),
        }
    }

    proptest! {
        #[test]
        fn a_new_card_reads_as_written(card in cards(), picture in proptest::option::of("[a-z]{1,200}"), four in any::<bool>()) {
            let version = if four { Version::V4 } else { Version::V3 };
            let blob = picture.map(|bytes| Blob::new("image/png", bytes.into_bytes()));
            let mut card = card;
            card.photo = blob.as_ref().map(|blob| crate::card::Photo { hash: blob.hash.clone(), media_type: blob.media_type.clone() });
            let raw = write_new(&card, "u", blob.as_ref(), version);
            let contact = contact(&raw);
            prop_assert_eq!(contact.card, card);
            prop_assert_eq!(contact.photo, blob);
        }

        #[test]
        fn reading_never_fails(raw in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&raw);
        }
    }

    #[test]
    fn new_cards_look_as_apple_and_the_rfc_have_them() {
        use crate::card::{Address, Handle, Item, Organization, PartialDate};
        let mut card = Card { given: Some("Ann".into()), family: Some("Lee".into()), ..Card::default() };
        card.organizations
            .push(Item::new(Organization { company: Some("Example Inc".into()), ..Organization::default() }));
        card.emails.push(Item::<String>::new("ann@example.com").labelled("home").preferred());
        card.phones.push(Item::<String>::new("+1 555-0102").labelled("mobile"));
        card.phones.push(Item::<String>::new("+1 555-0103").labelled("Beach house"));
        card.addresses.push(
            Item::new(Address {
                street: Some("1 Main St".into()),
                country_code: Some("us".into()),
                ..Address::default()
            })
            .labelled("work"),
        );
        card.messaging.push(Item::new(Handle { service: Some("Skype".into()), user: Some("ann".into()), uri: None }));
        card.birthday = PartialDate::new(None, 4, 15);
        card.anniversary = PartialDate::new(Some(2010), 6, 1);
        let text = |version| {
            String::from_utf8(write_new(&card, "0efc819a-536a-4d77-8070-733ebf12b49c", None, version)).unwrap()
        };
        assert_eq!(
            text(Version::V3),
            "BEGIN:VCARD\r\nVERSION:3.0\r\nPRODID:-//contactd//contactd//EN\r\nN:Lee;Ann;;;\r\nFN:Ann Lee\r\n\
             ORG:Example Inc;\r\nEMAIL;type=INTERNET;type=HOME;type=pref:ann@example.com\r\n\
             TEL;type=CELL;type=VOICE:+1 555-0102\r\nitem1.TEL;type=VOICE:+1 555-0103\r\nitem1.X-ABLabel:Beach house\r\n\
             item2.ADR;type=WORK:;;1 Main St;;;;\r\nitem2.X-ABADR:us\r\nIMPP;X-SERVICE-TYPE=Skype:skype:ann\r\n\
             BDAY;X-APPLE-OMIT-YEAR=1604:1604-04-15\r\nitem3.X-ABDATE:2010-06-01\r\n\
             item3.X-ABLabel:_$!<Anniversary>!$_\r\nUID:0efc819a-536a-4d77-8070-733ebf12b49c\r\nEND:VCARD\r\n"
        );
        assert_eq!(
            text(Version::V4),
            "BEGIN:VCARD\r\nVERSION:4.0\r\nPRODID:-//contactd//contactd//EN\r\nN:Lee;Ann;;;\r\nFN:Ann Lee\r\n\
             ORG:Example Inc;\r\nEMAIL;TYPE=home;PREF=1:ann@example.com\r\n\
             TEL;TYPE=cell:+1 555-0102\r\nitem1.TEL:+1 555-0103\r\nitem1.X-ABLabel:Beach house\r\n\
             ADR;TYPE=work;CC=us:;;1 Main St;;;;\r\nIMPP;SERVICE-TYPE=Skype:skype:ann\r\n\
             BDAY:--0415\r\nANNIVERSARY:20100601\r\nUID:urn:uuid:0efc819a-536a-4d77-8070-733ebf12b49c\r\nEND:VCARD\r\n"
        );
    }

    #[test]
    fn what_is_no_card_is_opaque_with_a_reason() {
        for raw in [&b""[..], b"<html>", b"BEGIN:VCARD\r\nEND:VCARD\r\n"] {
            let Read::Opaque(why) = read(raw) else { panic!() };
            assert!(why.starts_with("this entry is not a contact: "), "{why}");
        }
    }

    #[test]
    fn groups_are_told_from_people() {
        for version in [Version::V3, Version::V4] {
            let raw = write_group("Board; all", "7D3B", &["0EFC".into(), "kontakt-12".into()], version);
            let Read::Group(group) = read(&raw) else { panic!() };
            assert_eq!((group.name.as_str(), group.uid.as_deref()), ("Board; all", Some("7D3B")));
            assert_eq!(group.members, ["0EFC", "kontakt-12"]);
        }
    }

    #[test]
    fn tags_are_offered_as_groups() {
        let contact =
            contact(b"BEGIN:VCARD\nVERSION:3.0\nUID:urn:uuid:0EFC\nCATEGORIES:Friends,Work\\, Old\nEND:VCARD\n");
        assert_eq!(contact.categories, ["Friends", "Work, Old"]);
        assert_eq!(contact.uid.as_deref(), Some("0EFC"));
    }
}
