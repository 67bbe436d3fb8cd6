//! What is not edited stays, to the byte; what is edited is read again.

use proptest::prelude::*;

use super::*;
use crate::card::normalize::display_name;
use crate::card::vcard::line::Line;
use crate::card::vcard::tests::{as_radicale, cards, parse};
use crate::card::vcard::write;
use crate::card::{Item, PartialDate};

fn set(fields: &[Field]) -> FieldSet {
    fields.iter().copied().collect()
}

fn crlf(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    sheet::push_crlf(&mut out, raw);
    out
}

/// With lines that we don't know, folded by somebody else.
fn with_unknown(raw: &[u8]) -> Vec<u8> {
    let text = String::from_utf8(raw.to_vec()).unwrap();
    text.replacen("\r\nFN:", "\r\nX-UNKNOWN;X-a=\"b;c\":v,a;l\\u\r\n  e\r\nitem77.X-FOO:bar\r\nFN:", 1).into_bytes()
}

/// With another line for `FN`.
fn with_shown(raw: &[u8], line: &str) -> Vec<u8> {
    let (lines, _) = Lines::parse(raw).unwrap();
    let lines_of = |line: &Line<'_>| line.raw.to_vec();
    let rest = lines.lines.iter().filter(|line| line.prop != Prop::Fn).flat_map(lines_of);
    lines.head.iter().copied().chain(line.bytes()).chain(rest).chain(lines.tail.iter().copied()).collect()
}

fn sorted(value: FieldValue) -> FieldValue {
    match value {
        FieldValue::Many(mut elements) => {
            elements.sort();
            FieldValue::Many(elements)
        }
        one @ FieldValue::One(_) => one,
    }
}

proptest! {
    #[test]
    fn an_edit_changes_its_field_and_nothing_else(
        before in cards(), after in cards(), mixed in any::<u32>(), at in 0..Field::ALL.len(), style in 0..5_u8
    ) {
        let field = Field::ALL[at];
        let version = if style == 1 { Version::V4 } else { Version::V3 };
        let mut raw = with_unknown(&write(&before, "u", None, version));
        match style {
            2 => raw = as_radicale(&raw),
            3 => raw = with_shown(&raw, ""),
            4 => raw = with_shown(&raw, "FN:\r\n"),
            _ => {}
        }
        let before = parse(&raw);
        let places = vcard::read_places(&Lines::parse(&raw).unwrap().0).1;
        // Some elements stay, some change their labels, some go.
        let mut after = after;
        if let FieldValue::Many(mut elements) = after.get(field) {
            for (n, old) in before.card.get(field).into_elements().into_iter().enumerate() {
                if mixed & (1 << n) != 0 {
                    let mut old = old;
                    if let Some(other) = elements.first().filter(|_| mixed & (256 << n) != 0) {
                        old.labels = other.labels.clone();
                    }
                    elements.insert(0, old);
                }
            }
            after.set(field, FieldValue::Many(elements));
            tidy(&mut after);
        }
        let edited = edit(&raw, &after, set(&[field]), None, None).unwrap();
        let reading = parse(&edited);
        let text = String::from_utf8(edited.clone()).unwrap();
        for other in Field::ALL {
            let expected = if *other == field { &after } else { &before.card };
            let mut expected = expected.get(*other);
            if *other == Field::Photo { continue; }
            if *other == Field::Display && field == Field::Display && after.display.is_none() {
                // It never goes.
                let unnamed = Card { display: None, ..before.card.clone() };
                expected = FieldValue::One(display_name(&unnamed).map(Value::Text));
            }
            if *other == Field::Languages {
                // PREF tells their order: the preferred ones come first.
                if let FieldValue::Many(elements) = &mut expected { elements.sort_by_key(|one| !one.preferred) }
            }
            prop_assert_eq!(sorted(reading.card.get(*other)), sorted(expected), "{}\n{}\n->\n{}", other, String::from_utf8_lossy(&raw), text);
        }
        let (lines, _) = Lines::parse(&raw).unwrap();
        let concerned: Vec<usize> = places.iter().filter(|found| found.field == field || (NAME.contains(&field) && NAME.contains(&found.field))).flat_map(lines_of).collect();
        for (at, line) in lines.lines.iter().enumerate() {
            let named = NAME.contains(&field) && line.prop == Prop::N;
            let unsaid = line.prop == Prop::Fn && line.value.is_empty();
            if !concerned.contains(&at) && !line.prop.is_detail() && !named && !unsaid {
                prop_assert!(text.contains(std::str::from_utf8(line.raw).unwrap()), "{:?} is gone from\n{}", String::from_utf8_lossy(line.raw), text);
            }
        }
        prop_assert!(text.split("\r\n").all(|line| line.len() <= 75));
        let again = edit(&edited, &after, set(&[field]), None, Some(Timestamp(0))).unwrap();
        prop_assert_eq!(String::from_utf8(again).unwrap(), text, "a second edit finds nothing to do");
    }

    #[test]
    fn nothing_asked_is_nothing_done(card in cards(), other in cards(), four in any::<bool>()) {
        let raw = with_unknown(&write(&card, "u", None, if four { Version::V4 } else { Version::V3 }));
        prop_assert_eq!(&edit(&raw, &other, FieldSet::NONE, None, Some(Timestamp(0))).unwrap(), &raw);
        let lf = String::from_utf8(raw.clone()).unwrap().replace("\r\n", "\n");
        prop_assert_eq!(&edit(lf.as_bytes(), &parse(&raw).card, FieldSet::all(), None, Some(Timestamp(0))).unwrap(), &raw);
    }

    #[test]
    fn whole_cards_can_be_edited(before in cards(), after in cards()) {
        let raw = with_unknown(&write(&before, "u", None, Version::V3));
        let edited = edit(&raw, &after, FieldSet::all(), None, None).unwrap();
        for field in Field::ALL {
            prop_assert_eq!(sorted(parse(&edited).card.get(*field)), sorted(after.get(*field)), "{}", field);
        }
    }

    #[test]
    fn nothing_panics(text in "BEGIN:VCARD\r\n(([A-Z]{1,4};?|item1.TEL|N|FN|item1.ORG|item1.TITLE|ADR|item1.X-ABLabel|NICKNAME|X-SOCIALPROFILE;type)[:=;, \t\r\na-z\"]{0,20}\r?\n){0,8}", card in cards()) {
        let edited = edit(text.as_bytes(), &card, FieldSet::all().without(set(&[Field::Photo])), None, None);
        prop_assert!(matches!(edited, Ok(_) | Err(EditError::Opaque(_))));
        let none = edit(text.as_bytes(), &card, FieldSet::NONE, None, None).unwrap();
        prop_assert!(none.starts_with(&crlf(text.as_bytes())));
    }
}

const APPLE: &str = "BEGIN:VCARD\r\nVERSION:3.0\r\nPRODID:-//Apple Inc.//iOS 18//EN\r\nN:Lee;Ann;;;\r\nFN:Ann Lee\r\n\
ORG:Example Inc;\r\nTITLE:Buyer\r\n\
item1.EMAIL;type=INTERNET;type=pref:ann@example.com\r\nitem1.X-ABLabel:_$!<Other>!$_\r\n\
EMAIL;type=INTERNET;type=WORK;X-OWN=1:ann@work.example.com\r\n\
TEL;type=IPHONE;type=CELL;type=VOICE:+1 555-0102\r\n\
item3.ADR;type=HOME;type=pref:;;1 Main St\\nApt 2;Springfield;IL;62701;USA\r\nitem3.X-ABADR:us\r\nitem3.X-APPLE-SUBLOCALITY:North\r\n\
item4.X-ABDATE;type=pref:2010-06-01\r\nitem4.X-ABLabel:_$!<Anniversary>!$_\r\n\
BDAY;X-APPLE-OMIT-YEAR=1604:1604-04-15\r\nNOTE:one\r\nNOTE:two\r\n\
PHOTO;X-ABCROP-RECTANGLE=ABClipRect_1&0&0&9&9&ab==;VALUE=uri:https://gateway.ex\r\n ample.com/1\r\nX-IMAGEHASH:abc=\r\n\
REV:2024-02-28T22:04:34Z\r\nUID:u\r\nX-ABUID:u:ABPerson\r\nEND:VCARD\r\n";

/// The lines that an edit took out and put in.
fn diff(
    raw: &str,
    change: impl FnOnce(&mut Card),
    fields: &[Field],
    photo: Option<&Blob>,
) -> (Vec<String>, Vec<String>) {
    let mut card = parse(raw.as_bytes()).card;
    change(&mut card);
    let edited = String::from_utf8(edit(raw.as_bytes(), &card, set(fields), photo, None).unwrap()).unwrap();
    let lines = |text: &str| text.replace("\r\n ", "").lines().map(str::to_owned).collect::<Vec<_>>();
    let (old, new) = (lines(raw), lines(&edited));
    (
        old.iter().filter(|line| !new.contains(line)).cloned().collect(),
        new.iter().filter(|line| !old.contains(line)).cloned().collect(),
    )
}

#[test]
fn edits_are_small() {
    type Change = fn(&mut Card);
    type Row = (&'static str, Change, &'static [Field], &'static [&'static str], &'static [&'static str]);
    let rows: &[Row] = &[
        (
            "a digit",
            |card| card.phones[0].value = "+1 555-0103".into(),
            &[Field::Phones],
            &["TEL;type=IPHONE;type=CELL;type=VOICE:+1 555-0102"],
            &["TEL;type=IPHONE;type=CELL;type=VOICE:+1 555-0103"],
        ),
        (
            "a label that has a type",
            |card| card.emails[0].labels = ["home"].into_iter().collect(),
            &[Field::Emails],
            &["item1.EMAIL;type=INTERNET;type=pref:ann@example.com", "item1.X-ABLabel:_$!<Other>!$_"],
            &["item1.EMAIL;type=INTERNET;type=pref;type=HOME:ann@example.com"],
        ),
        (
            "a label of the user's",
            |card| card.emails[1].labels = ["Club, old"].into_iter().collect(),
            &[Field::Emails],
            &["EMAIL;type=INTERNET;type=WORK;X-OWN=1:ann@work.example.com"],
            &["item5.EMAIL;type=INTERNET;X-OWN=1:ann@work.example.com", "item5.X-ABLabel:Club\\, old"],
        ),
        (
            "an element gone with its group",
            |card| {
                card.addresses.clear();
                card.emails.remove(0);
            },
            &[Field::Addresses, Field::Emails],
            &[
                "item1.EMAIL;type=INTERNET;type=pref:ann@example.com",
                "item1.X-ABLabel:_$!<Other>!$_",
                "item3.ADR;type=HOME;type=pref:;;1 Main St\\nApt 2;Springfield;IL;62701;USA",
                "item3.X-ABADR:us",
                "item3.X-APPLE-SUBLOCALITY:North",
            ],
            &[],
        ),
        (
            "a street",
            |card| card.addresses[0].value.street = Some("2 Main St".into()),
            &[Field::Addresses],
            &["item3.ADR;type=HOME;type=pref:;;1 Main St\\nApt 2;Springfield;IL;62701;USA"],
            &["item3.ADR;type=HOME;type=pref:;;2 Main St;Springfield;IL;62701;USA"],
        ),
        (
            "a country's code",
            |card| card.addresses[0].value.country_code = Some("ca".into()),
            &[Field::Addresses],
            &["item3.X-ABADR:us"],
            &["item3.X-ABADR:ca"],
        ),
        (
            "a name's part",
            |card| card.given = Some("Anna".into()),
            &[Field::Given],
            &["N:Lee;Ann;;;"],
            &["N:Lee;Anna;;;"],
        ),
        (
            "a birthday with its year",
            |card| card.birthday = PartialDate::new(Some(1980), 4, 15),
            &[Field::Birthday],
            &["BDAY;X-APPLE-OMIT-YEAR=1604:1604-04-15"],
            &["BDAY:1980-04-15"],
        ),
        (
            "an anniversary",
            |card| card.anniversary = PartialDate::new(None, 6, 2),
            &[Field::Anniversary],
            &["item4.X-ABDATE;type=pref:2010-06-01"],
            &["item4.X-ABDATE;type=pref;X-APPLE-OMIT-YEAR=1604:1604-06-02"],
        ),
        ("a note cleared leaves the other alone", |card| card.note = None, &[Field::Note], &["NOTE:one"], &["NOTE:"]),
        (
            "a title, and a role beside it",
            |card| {
                card.organizations[0].value.title = Some("Seller".into());
                card.organizations[0].value.role = Some("Sales".into());
            },
            &[Field::Organizations],
            &["TITLE:Buyer"],
            &["TITLE:Seller", "ROLE:Sales"],
        ),
        (
            "a department",
            |card| card.organizations[0].value.department = Some("Sales; North".into()),
            &[Field::Organizations],
            &["ORG:Example Inc;"],
            &["ORG:Example Inc;Sales;North"],
        ),
        (
            "a second employer sets both apart",
            |card| {
                card.organizations
                    .push(Item::new(crate::card::Organization { title: Some("Owner".into()), ..Default::default() }));
            },
            &[Field::Organizations],
            &["ORG:Example Inc;", "TITLE:Buyer"],
            &["item5.ORG:Example Inc;", "item5.TITLE:Buyer", "item6.TITLE:Owner"],
        ),
        (
            "the preferred one",
            |card| {
                card.emails[0].preferred = false;
                card.emails[1].preferred = true;
            },
            &[Field::Emails],
            &[
                "item1.EMAIL;type=INTERNET;type=pref:ann@example.com",
                "EMAIL;type=INTERNET;type=WORK;X-OWN=1:ann@work.example.com",
            ],
            &[
                "item1.EMAIL;type=INTERNET:ann@example.com",
                "EMAIL;type=INTERNET;type=WORK;X-OWN=1;type=pref:ann@work.example.com",
            ],
        ),
        (
            "a picture taken away",
            |card| card.photo = None,
            &[Field::Photo],
            &[
                "PHOTO;X-ABCROP-RECTANGLE=ABClipRect_1&0&0&9&9&ab==;VALUE=uri:https://gateway.example.com/1",
                "X-IMAGEHASH:abc=",
            ],
            &[],
        ),
        ("order alone", |card| card.emails.reverse(), &[Field::Emails], &[], &[]),
        ("a field out of the mask", |card| card.emails.clear(), &[Field::Phones], &[], &[]),
        (
            "new ones",
            |card| {
                card.phones.push(Item::<String>::new("555-0199").labelled("work"));
                card.relations.push(Item::<String>::new("John").labelled("spouse"));
                card.categories.push(Item::new("a, b"));
            },
            &[Field::Phones, Field::Relations, Field::Categories],
            &[],
            &[
                "TEL;type=WORK;type=VOICE:555-0199",
                "item5.X-ABRELATEDNAMES:John",
                "item5.X-ABLabel:_$!<Spouse>!$_",
                "CATEGORIES:a\\, b",
            ],
        ),
    ];
    for (name, change, fields, gone, new) in rows {
        let (was, is) = diff(APPLE, change, fields, None);
        assert_eq!(
            (was, is),
            (gone.iter().map(|s| (*s).to_owned()).collect(), new.iter().map(|s| (*s).to_owned()).collect()),
            "{name}"
        );
    }
}

#[test]
fn a_new_picture_replaces_all_that_was_about_the_old_one() {
    let blob = Blob::new("image/gif", b"GIF89a".to_vec());
    let photo = crate::card::Photo { hash: blob.hash.clone(), media_type: "image/gif".into() };
    let (was, is) = diff(APPLE, |card| card.photo = Some(photo.clone()), &[Field::Photo], Some(&blob));
    assert_eq!(was.len(), 2);
    assert_eq!(is, ["PHOTO;ENCODING=b;TYPE=GIF:R0lGODlh"]);
    let card = Card { photo: Some(photo), ..Card::default() };
    assert_eq!(edit(APPLE.as_bytes(), &card, set(&[Field::Photo]), None, None), Err(EditError::NoPicture));
}

#[test]
fn times_follow_where_there_are_some() {
    let card = Card::default();
    let now = Some(Timestamp(1_795_293_632_123));
    for (old, new) in
        [("2024-02-28T22:04:34Z", "REV:2026-11-21T20:40:32Z\r\n"), ("20240228T220434Z", "REV:20261121T204032Z\r\n")]
    {
        let raw = format!("BEGIN:VCARD\r\nVERSION:3.0\r\nN:;;;;\r\nFN:x\r\nNOTE:a\r\nREV:{old}\r\nEND:VCARD\r\n");
        let edited = String::from_utf8(edit(raw.as_bytes(), &card, set(&[Field::Note]), None, now).unwrap()).unwrap();
        assert!(edited.contains(new), "{edited}");
    }
    let edited = edit(b"BEGIN:VCARD\nVERSION:3.0\nNOTE:a\nEND:VCARD\n", &card, set(&[Field::Note]), None, now).unwrap();
    assert_eq!(
        String::from_utf8(edited).unwrap(),
        "BEGIN:VCARD\r\nVERSION:3.0\r\nN:;;;;\r\nFN:Unnamed\r\nEND:VCARD\r\n"
    );
}

#[test]
fn a_shared_group_outlives_its_member() {
    let raw = "BEGIN:VCARD\r\nVERSION:3.0\r\nN:;;;;\r\nFN:x\r\nitem1.TEL:555-0100\r\nitem1.EMAIL:a@example.com\r\nitem1.X-ABLabel:Both\r\nEND:VCARD\r\n";
    let (was, is) = diff(raw, |card| card.phones.clear(), &[Field::Phones], None);
    assert_eq!((was, is), (vec!["item1.TEL:555-0100".to_owned()], vec![]));
    let (was, is) = diff(raw, |card| card.phones[0].labels = ["Own"].into_iter().collect(), &[Field::Phones], None);
    assert_eq!(was, ["item1.TEL:555-0100"]);
    assert_eq!(is, ["item2.TEL:555-0100", "item2.X-ABLabel:Own"]);
}

#[test]
fn a_service_called_home_is_no_label() {
    let raw = "BEGIN:VCARD\r\nVERSION:3.0\r\nN:;;;;\r\nFN:x\r\nX-SOCIALPROFILE;type=HOME;X-SERVICE-TYPE=home:x-apple:\r\nX-SOCIALPROFILE;type=twitter;type=WORK;x-userid=7;x-user=a:x-apple:a\r\nEND:VCARD\r\n";
    let (_, is) = diff(
        raw,
        |card| {
            card.profiles[0].value =
                crate::card::Handle { uri: Some("https://example.com/a".into()), ..Default::default() };
            card.profiles[1].value.service = Some("Mastodon".into());
        },
        &[Field::Profiles],
        None,
    );
    assert_eq!(
        is,
        [
            "X-SOCIALPROFILE;type=HOME:https://example.com/a",
            "X-SOCIALPROFILE;type=WORK;type=Mastodon;x-user=a:x-apple:a"
        ]
    );
}

#[test]
fn numbers_of_preference_give_way() {
    let raw = "BEGIN:VCARD\r\nVERSION:4.0\r\nN:;;;;\r\nFN:x\r\nEMAIL;PREF=2:a@example.com\r\nEMAIL;PREF=3:b@example.com\r\nEND:VCARD\r\n";
    let (was, is) = diff(raw, |card| card.emails[0].preferred = false, &[Field::Emails], None);
    assert_eq!(was.len(), 2);
    assert_eq!(is, ["EMAIL:a@example.com", "EMAIL:b@example.com"]);
}

#[test]
fn old_cards_are_edited_in_their_own_way() {
    let raw = "BEGIN:VCARD\r\nVERSION:2.1\r\nN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:M=C3=BCller;J=C3=B6rg\r\nFN:x\r\nTEL;CELL;HOME:555-0100\r\nEND:VCARD\r\n";
    let (_, is) = diff(
        raw,
        |card| {
            card.given = Some("Jürgen".into());
            card.phones[0].labels = ["home"].into_iter().collect();
        },
        &[Field::Given, Field::Phones],
        None,
    );
    assert_eq!(is, ["N;ENCODING=QUOTED-PRINTABLE;CHARSET=UTF-8:M=C3=BCller;J=C3=BCrgen;;;", "TEL;HOME:555-0100"]);
}

#[test]
fn members_are_a_set() {
    let raw = b"BEGIN:VCARD\nVERSION:3.0\nN:Board\nFN:Board\nX-ADDRESSBOOKSERVER-KIND:group\nX-ADDRESSBOOKSERVER-MEMBER:urn:uuid:AA\nX-ADDRESSBOOKSERVER-MEMBER:urn:uuid:kontakt-12\nUID:g\nEND:VCARD\n";
    let edited =
        set_members(raw, &["bb".into(), "aa".into(), "urn:uuid:BB".into()], &["KONTAKT-12".into(), "zz".into()], None)
            .unwrap();
    assert_eq!(parse(&edited).members, ["AA", "bb"]);
    assert_eq!(set_members(&edited, &[], &[], None).unwrap(), edited);
    assert_eq!(edit(raw, &Card::default(), FieldSet::all(), None, None), Err(EditError::IsGroup));
    assert_eq!(set_members(APPLE.as_bytes(), &[], &[], None), Err(EditError::NotAGroup));
    let four =
        set_members(b"BEGIN:VCARD\r\nVERSION:4.0\r\nKIND:group\r\nFN:x\r\nEND:VCARD\r\n", &["AA".into()], &[], None)
            .unwrap();
    assert!(String::from_utf8(four).unwrap().contains("\r\nMEMBER:urn:uuid:AA\r\n"));
}

#[test]
fn categories_are_a_set() {
    let raw = b"BEGIN:VCARD\r\nVERSION:3.0\r\nN:;;;;\r\nFN:x\r\nCATEGORIES:a,b\\, c,d\r\nEND:VCARD\r\n";
    let edited = set_categories(raw, &["e; f".into(), "a".into()], &["d".into(), "zz".into()], None).unwrap();
    assert!(String::from_utf8(edited).unwrap().contains("\r\nCATEGORIES:a,b\\, c,e\\; f\r\n"));
}

#[test]
fn what_is_no_card_is_not_edited() {
    assert!(matches!(edit(b"<html>", &Card::default(), FieldSet::all(), None, None), Err(EditError::Opaque(_))));
}

/// Without `FN` a card is called what the rest of it says, before and after the line is put there.
#[test]
fn a_name_that_is_put_there_is_no_news() {
    for (lines, shown, written) in [
        ("N:Lee;Ann;;;\r\n", Some("Ann Lee"), "Ann Lee"),
        ("N:;;;;\r\nORG:Example Inc;\r\n", Some("Example Inc"), "Example Inc"),
        ("EMAIL:ann@example.com\r\nTEL:+1 555-0102\r\n", Some("ann@example.com"), "ann@example.com"),
        ("TEL:+1 555-0102\r\n", Some("+1 555-0102"), "+1 555-0102"),
        ("ADR:;;1 Main St;;;;\r\n", None, "Unnamed"),
    ] {
        let raw = format!("BEGIN:VCARD\r\nVERSION:3.0\r\n{lines}END:VCARD\r\n");
        let before = parse(raw.as_bytes()).card;
        assert_eq!(before.display.as_deref(), shown, "{lines}");
        let mut wanted = Card { note: Some("likes tea".into()), ..before.clone() };
        let edited = edit(raw.as_bytes(), &wanted, set(&[Field::Note]), None, None).unwrap();
        assert_eq!(parse(&edited).card, wanted);
        assert!(String::from_utf8_lossy(&edited).contains(&format!("\r\nFN:{written}\r\n")), "{lines}");
        // What it was made of may change: who is called so goes on being called so.
        wanted.phones = vec![Item::<String>::new("+1 555-0199")];
        for raw in [raw.clone().into_bytes(), with_shown(raw.as_bytes(), "FN:\r\n"), edited] {
            let edited = edit(&raw, &wanted, set(&[Field::Phones, Field::Note]), None, None).unwrap();
            assert_eq!(parse(&edited).card, wanted, "{lines}");
        }
    }
}

/// A card that was cut short, and another one behind it: what is new goes into the first, not into the second.
#[test]
fn a_card_that_does_not_end_can_be_edited() {
    let half = "BEGIN:VCARD\r\nVERSION:3.0\r\nN:Lee;Ann;;;\r\nFN:Ann Lee\r\n";
    for rest in
        ["BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Bob\r\nEND:VCARD\r\n", "BEGIN:VCARD\r\nX-A:1", "NOTE:a\r\nBEGIN:VCARD\r\n"]
    {
        let raw = format!("{half}{rest}");
        let wanted = Card { note: Some("likes tea".into()), ..Card::default() };
        let edited = edit(raw.as_bytes(), &wanted, set(&[Field::Note]), None, None).unwrap();
        let card = parse(&edited).card;
        assert_eq!((card.note.as_deref(), card.display.as_deref()), (Some("likes tea"), Some("Ann Lee")), "{rest}");
    }
}

/// What follows a soft line break too many is no property, and must not continue the line that is written in its place.
#[test]
fn the_rest_of_a_line_goes_with_it() {
    let head = "BEGIN:VCARD\r\nVERSION:2.1\r\nN:Lee;Ann;;;\r\nFN:Ann Lee\r\n";
    for rest in [" third\r\n", "\tthird\r\n", " TEL:+1 555-0102\r\n", " \r\n", ""] {
        let raw = format!(
            "{head}NOTE;ENCODING=QUOTED-PRINTABLE:first=\r\n second\r\n{rest}EMAIL:ann@example.com\r\nEND:VCARD\r\n"
        );
        let before = parse(raw.as_bytes()).card;
        for note in [Some("call back"), None] {
            let wanted = Card { note: note.map(str::to_owned), ..before.clone() };
            let edited = edit(raw.as_bytes(), &wanted, set(&[Field::Note]), None, None).unwrap();
            assert_eq!(parse(&edited).card, wanted, "{}", String::from_utf8_lossy(&edited));
        }
    }
    for end in [" END:VCARD\r\n", " BEGIN:VCARD\r\nX-A:1\r\n"] {
        let raw = format!("{head}NOTE;ENCODING=QUOTED-PRINTABLE:first=\r\n second\r\n{end}");
        let wanted = Card { emails: vec![Item::<String>::new("ann@example.com")], ..parse(raw.as_bytes()).card };
        let edited = edit(raw.as_bytes(), &wanted, set(&[Field::Emails]), None, None).unwrap();
        let text = String::from_utf8_lossy(&edited);
        assert_eq!(parse(&edited).card, wanted, "{text}");
        // Nothing comes in between, though it says what would begin or end a card.
        let line = end.lines().next().unwrap_or_default();
        assert!(text.contains(&format!(":first=\r\n second\r\n{line}\r\n")), "{text}");
    }
}

#[test]
fn a_parameter_that_only_looks_like_an_encoding_breaks_no_lines() {
    let long = "L".repeat(70);
    let raw = format!("BEGIN:VCARD\r\nVERSION:2.1\r\nFN:x\r\nNOTE;X-{long}=QUOTED-PRINTABLE:a\r\nEND:VCARD\r\n");
    let wanted = Card { note: Some("call back".into()), ..Card::default() };
    let edited = edit(raw.as_bytes(), &wanted, set(&[Field::Note]), None, None).unwrap();
    assert_eq!(parse(&edited).card.note, wanted.note, "{}", String::from_utf8_lossy(&edited));
}

#[test]
fn a_card_that_is_cut_off_within_a_value_takes_nothing_into_it() {
    for end in ["=", "=\r", "=\r\n", "==", "=\r\n=\r\n", "\r", ""] {
        let raw = format!("BEGIN:VCARD\r\nVERSION:2.1\r\nFN:Ann\r\nN;ENCODING=QUOTED-PRINTABLE:M=C3=BCller;Ann{end}");
        let before = parse(raw.as_bytes()).card;
        assert_eq!(before.given.as_deref(), Some("Ann"), "{end:?}");
        for wanted in [before.clone(), Card { note: Some("call back".into()), ..before.clone() }] {
            let edited = edit(raw.as_bytes(), &wanted, set(&[Field::Note]), None, None).unwrap();
            assert_eq!(parse(&edited).card, wanted, "{end:?}: {}", String::from_utf8_lossy(&edited));
        }
    }
}

/// A reader goes on behind a property that is only called so.
#[test]
fn a_property_by_the_name_of_an_encoding_takes_nothing_into_it() {
    let raw = "BEGIN:VCARD\r\nVERSION:2.1\r\nFN:Ann\r\nQUOTED-PRINTABLE:H=C3=B6rg=";
    let wanted = Card { note: Some("call back".into()), ..parse(raw.as_bytes()).card };
    let edited = edit(raw.as_bytes(), &wanted, set(&[Field::Note]), None, None).unwrap();
    assert_eq!(parse(&edited).card, wanted, "{}", String::from_utf8_lossy(&edited));
}
