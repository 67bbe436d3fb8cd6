//! Tables and properties of the normal forms.

use proptest::prelude::*;

use super::*;
use crate::card::field::{Element, FieldValue};
use crate::card::{PartialDate, Photo};

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// Each row: same key or not.
#[test]
fn keys_tell_what_is_the_same() {
    let rows: &[(Field, &str, &str, bool)] = &[
        (Field::Emails, "Ann@Example.com", " ann@example.COM ", true),
        (Field::Emails, "mailto:ann@example.com", "ann@example.com", true),
        (Field::Emails, "ann@example.com", "ann.lee@example.com", false),
        (Field::Phones, "(555) 0100", "555-0100", true),
        (Field::Phones, "555-0100 x5", "5550100;5", true),
        (Field::Phones, "555-0100 ext. 5", "555 0100;ext=5", true),
        (Field::Phones, "555-0100,,5", "555.0100 #5", true),
        (Field::Phones, "555-0100", "555-0100 x5", false),
        (Field::Phones, "+1 212-555-0100", "001 (212) 555 0100", true),
        (Field::Phones, "tel:+1-212-555-0100", "+12125550100", true),
        (Field::Phones, "tel:+1-212-555-0100;ext=5", "+1 212 555 0100 Ext 5", true),
        (Field::Phones, "+44 (0)20 7946 0958", "+44 20 7946 0958", true),
        (Field::Phones, "+44 020 7946 0958", "+44 20 7946 0958", true),
        (Field::Phones, "+39 06 698 0100", "+39 6 698 0100", false),
        (Field::Phones, "(212) 555-0100", "+1 (212) 555-0100", false),
        (Field::Phones, "\u{202a}+1 212 555 0100\u{202c}", "+1\u{a0}212\u{a0}555\u{a0}0100", true),
        (Field::Phones, "+４９ ３０ ９０１８２０", "+49 30 901820", true),
        (Field::Phones, "*#06#", "06", false),
        (Field::Phones, "1-800-FLOWERS", "1800 flowers", true),
        (Field::Phones, "ask reception", "Ask  Reception", true),
        (Field::Urls, "HTTP://Example.COM/", "http://example.com", true),
        (Field::Urls, "http://example.com/Ann", "http://example.com/ann", false),
        (Field::Urls, "http://example.com/ann/", "http://example.com/ann", true),
        (Field::Urls, "Example.com/", "example.com", true),
        (Field::Nicknames, " Caf\u{65}\u{301}  Ann", "café ann", true),
        (Field::Nicknames, "ΟΔΟΣ", "οδος", true),
        (Field::Relations, "Ann", "Anna", false),
    ];
    for (field, a, b, same) in rows {
        assert_eq!(key(*field, &text(a)) == key(*field, &text(b)), *same, "{field} {a:?} {b:?}");
    }
}

/// Each row: no change to a person, or one.
#[test]
fn alike_is_what_a_person_calls_no_change() {
    let rows: &[(Field, &str, &str, bool)] = &[
        (Field::Emails, "Ann@example.com", "ann@example.com", true),
        (Field::Phones, "+1 (212) 555-0100", "+12125550100", true),
        (Field::Phones, "555-0100", "555-0101", false),
        (Field::Given, "Ann", "ANN", false),
        (Field::Given, "Zoe\u{308}", "Zoë ", true),
        (Field::Note, "a\r\nb", "a\nb  \n\n", true),
        (Field::Note, "a\nb", "a b", false),
        (Field::Note, "a  b", "a b", false),
        (Field::Categories, "Board", "board", false),
        (Field::Languages, "de-CH", "de-ch", true),
    ];
    for (field, a, b, same) in rows {
        assert_eq!(alike(*field, &text(a), &text(b)), *same, "{field} {a:?} {b:?}");
    }
    let photo = |hash: &str, kind: &str| Value::Photo(Photo { hash: hash.into(), media_type: kind.into() });
    assert!(alike(Field::Photo, &photo("aa", "image/jpeg"), &photo("aa", "image/jpg")));
    assert!(!alike(Field::Photo, &photo("aa", "image/jpeg"), &photo("ab", "image/jpeg")));
    let date = |year| Value::Date(PartialDate { year, month: 4, day: 15 });
    assert!(!alike(Field::Birthday, &date(None), &date(Some(1980))));
}

#[test]
fn composite_keys_join_their_parts() {
    let company = |name: &str, title: Option<&str>| {
        Value::Organization(Organization {
            company: Some(name.into()),
            title: title.map(Into::into),
            ..Organization::default()
        })
    };
    assert_eq!(
        key(Field::Organizations, &company("Example  Inc", None)),
        key(Field::Organizations, &company("example inc", Some(" ")))
    );
    assert_ne!(
        key(Field::Organizations, &company("Example", None)),
        key(Field::Organizations, &company("Example", Some("CEO")))
    );
    let address = |street: &str, code: Option<&str>| {
        Value::Address(Address {
            street: Some(street.into()),
            country: Some("USA".into()),
            country_code: code.map(Into::into),
            ..Address::default()
        })
    };
    let (two, one) = (address("1 Main St\nApt 2", Some("us")), address("1 Main St Apt 2", None));
    assert_eq!(key(Field::Addresses, &two), key(Field::Addresses, &one));
    assert!(!alike(Field::Addresses, &two, &one));
    assert!(alike(Field::Addresses, &two, &address("1 Main St \r\n\r\nApt 2", Some("US"))));
    let handle = |service: &str, user: Option<&str>, uri: Option<&str>| {
        Value::Handle(Handle { service: Some(service.into()), user: user.map(Into::into), uri: uri.map(Into::into) })
    };
    assert_eq!(
        key(Field::Messaging, &handle("Skype", Some("jane"), Some("skype:jane"))),
        key(Field::Messaging, &handle("skype", Some("@Jane"), None))
    );
    assert_eq!(
        key(Field::Profiles, &handle("x", None, Some("https://Example.com/jane/"))),
        key(Field::Profiles, &handle("y", None, Some("https://example.com/jane")))
    );
}

#[test]
fn tidy_cleans_without_losing() {
    let mut card = Card {
        given: Some("  Zoe\u{308}\u{7} ".into()),
        family: Some(" \t ".into()),
        note: Some("\r\n one\r\ttwo\u{0}\r\n\r\nthree \n".into()),
        ..Card::default()
    };
    card.emails.push(Item::<String>::new(" Ann@Example.com\u{200b}").labelled("WORK").labelled("My Own"));
    card.emails.push(Item::<String>::new("  "));
    card.addresses.push(Item::new(Address {
        street: Some("1 Main St\r\nApt 2".into()),
        country_code: Some("US".into()),
        ..Address::default()
    }));
    card.addresses.push(Item::new(Address { region: Some(String::new()), ..Address::default() }));
    card.organizations.push(Item::new(Organization::default()));
    tidy(&mut card);
    assert_eq!(card.given.as_deref(), Some("Zoë"));
    assert_eq!(card.family, None);
    assert_eq!(card.note.as_deref(), Some("one\n\ttwo\n\nthree"));
    assert_eq!(card.emails, [Item::<String>::new("Ann@Example.com").labelled("work").labelled("My Own")]);
    assert_eq!(card.addresses.len(), 1);
    assert_eq!(card.addresses[0].value.street.as_deref(), Some("1 Main St\nApt 2"));
    assert_eq!(card.addresses[0].value.country_code.as_deref(), Some("us"));
    assert!(card.organizations.is_empty());
}

#[test]
fn names_are_compared_as_people_do() {
    let shown = |name: &str| Card { display: Some(name.into()), ..Card::default() };
    let split =
        Card { given: Some("Ann".into()), family: Some("Lee".into()), prefix: Some("Dr.".into()), ..Card::default() };
    for name in ["Ann Lee", "Lee, Ann", "ANN LEE", "Dr. Ann Lee", "Ann  Lée"] {
        assert!(same_name(&split, &shown(name)), "{name}");
    }
    assert!(!same_name(&split, &shown("Ann")));
    assert!(!same_name(&Card::default(), &Card::default()));
    assert!(same_name(&shown("O’Neil Pat"), &shown("Pat O'Neil")));
}

#[test]
fn pairing_keys_stand_strongest_first() {
    let mut a = Card { given: Some("Ann".into()), family: Some("Lee".into()), ..Card::default() };
    a.emails.push(Item::new("Ann@example.com"));
    a.phones.push(Item::new("+1 212 555 0100"));
    let mut b = Card { display: Some("Ann Lee".into()), ..Card::default() };
    b.emails.push(Item::new("ann@EXAMPLE.com"));
    b.phones.push(Item::new("(212) 555-0100"));
    let keys = match_keys(&a);
    assert_eq!(keys, match_keys(&b));
    assert_eq!(
        keys.iter().map(|k| k.strength).collect::<Vec<_>>(),
        [Strength::EmailName, Strength::Email, Strength::PhoneName]
    );
    b.display = None;
    assert_eq!(match_keys(&b), keys[1..2], "without a name only the address counts, and no phone");
    // Stored in databases: must never change.
    assert_eq!(keys[1].hash, 11_150_189_692_631_971_690, "stable");
}

#[test]
fn a_name_to_show_is_derived_in_order() {
    let mut card = Card::default();
    assert_eq!(display_name(&card), None);
    card.phones.push(Item::new("555-0100"));
    assert_eq!(display_name(&card).as_deref(), Some("555-0100"));
    card.emails.push(Item::new("ann@example.com"));
    assert_eq!(display_name(&card).as_deref(), Some("ann@example.com"));
    card.nicknames.push(Item::new("Annie"));
    assert_eq!(display_name(&card).as_deref(), Some("Annie"));
    card.organizations.push(Item::new(Organization { company: Some("Example Inc".into()), ..Organization::default() }));
    assert_eq!(display_name(&card).as_deref(), Some("Example Inc"));
    card.family = Some("Lee".into());
    card.prefix = Some("Dr.".into());
    card.given = Some("Ann".into());
    assert_eq!(display_name(&card).as_deref(), Some("Dr. Ann Lee"));
}

#[test]
fn the_shown_name_follows_the_parts_unless_chosen() {
    let before = Card { given: Some("Ann".into()), display: Some("Ann".into()), ..Card::default() };
    let mut after = Card { family: Some("Lee".into()), ..before.clone() };
    keep_display(&before, &mut after);
    assert_eq!(after.display.as_deref(), Some("Ann Lee"));
    let before = Card { display: Some("Mum".into()), ..before };
    let mut after = Card { family: Some("Lee".into()), ..before.clone() };
    keep_display(&before, &mut after);
    assert_eq!(after.display.as_deref(), Some("Mum"));
}

/// Texts of the sort that break normal forms.
pub(crate) fn odd_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ a-zA-Z0-9@./:+()x;,#*-]{0,14}",
        proptest::collection::vec(
            prop_oneof![
                Just('\r'),
                Just('\n'),
                Just('\t'),
                Just(' '),
                Just('\u{a0}'),
                Just('\u{2000}'),
                Just('e'),
                Just('\u{301}'),
                Just('\u{308}'),
                Just('\u{200b}'),
                Just('\u{202a}'),
                Just('\u{0}'),
                Just('Σ'),
                Just('ß'),
                Just('İ'),
                Just('１'),
                Just('가'),
                Just('\u{1f600}'),
                Just('\\'),
                any::<char>()
            ],
            0..9
        )
        .prop_map(|chars| chars.into_iter().collect()),
    ]
}

fn value() -> impl Strategy<Value = (Field, Value)> {
    let part = || proptest::option::of(odd_text());
    prop_oneof![
        (proptest::sample::select(Field::ALL), odd_text()).prop_map(|(field, text)| (field, Value::Text(text))),
        (part(), part(), part(), part(), part()).prop_map(|(company, department, title, role, phonetic)| (
            Field::Organizations,
            Value::Organization(Organization { company, department, title, role, phonetic })
        )),
        (part(), part(), part(), part()).prop_map(|(street, country, country_code, postcode)| (
            Field::Addresses,
            Value::Address(Address { street, country, country_code, postcode, ..Address::default() })
        )),
        (part(), part(), part())
            .prop_map(|(service, user, uri)| (Field::Messaging, Value::Handle(Handle { service, user, uri }))),
    ]
}

#[test]
fn an_accent_that_stands_alone_makes_no_other_number() {
    let apart = Value::Text("\u{ff11}e\u{301}".to_owned());
    let tidied = tidy_value(Field::Phones, apart.clone()).unwrap();
    assert_eq!(key(Field::Phones, &tidied), key(Field::Phones, &apart));
}

proptest! {
    #[test]
    fn tidy_is_idempotent((field, value) in value(), label in odd_text()) {
        let mut card = Card::default();
        card.set(field, FieldValue::Many(vec![Element { value: value.clone(), labels: [label.as_str()].into_iter().collect(), preferred: false }]));
        tidy(&mut card);
        let once = card.clone();
        tidy(&mut card);
        prop_assert_eq!(&once, &card);
        let alone = tidy_value(field, value);
        if once.has(field) {
            prop_assert_eq!(once.get(field).into_elements()[0].value.clone(), alone.unwrap());
        }
    }

    #[test]
    fn keys_are_those_of_the_normal_form((field, value) in value()) {
        if let Some(tidied) = tidy_value(field, value.clone()) {
            prop_assert_eq!(key(field, &tidied), key(field, &value));
            prop_assert!(alike(field, &tidied, &value), "{:?} {:?}", tidied, value);
        }
    }

    #[test]
    fn alike_is_an_equivalence_finer_than_the_key((field, a) in value(), (_, b) in value()) {
        prop_assert!(alike(field, &a, &a));
        prop_assert_eq!(alike(field, &a, &b), alike(field, &b, &a));
        if alike(field, &a, &b) {
            prop_assert_eq!(key(field, &a), key(field, &b));
        }
    }

    #[test]
    fn nothing_panics(text in any::<String>()) {
        for field in Field::ALL {
            let _ = key(*field, &Value::Text(text.clone()));
        }
        let mut card = Card { display: Some(text.clone()), ..Card::default() };
        card.phones.push(Item::new(text));
        let _ = (match_keys(&card), display_name(&card));
    }
}
