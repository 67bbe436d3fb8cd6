//! What is written is read again, in any version; what the wild sends is understood.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::card::field::{Field, FieldValue, Shape};
use crate::card::normalize::{display_name, tidy};
use crate::card::{Address, Card, Handle, Item, Organization, PartialDate, Photo};

/// A text with all that has to be escaped, folded or quoted.
fn words() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[A-Za-z][A-Za-z0-9 .'-]{0,12}",
        1 => vec(select(vec!['a', 'Z', ' ', ',', ';', '\\', ':', '"', '^', 'n', '=', 'é', '漢', '\u{1f600}', '.', '|', '%']), 1..40)
            .prop_map(|chars| chars.into_iter().collect::<String>()),
        1 => "[a-z ]{60,100}",
    ]
}

fn dates() -> impl Strategy<Value = PartialDate> {
    (option::of(1605_i16..2100), 1_u8..13, 1_u8..29).prop_map(|(year, month, day)| PartialDate { year, month, day })
}

fn item<T: std::fmt::Debug + Clone>(
    value: impl Strategy<Value = T>,
    labels: &'static [&'static str],
) -> impl Strategy<Value = Item<T>> {
    let mut all = labels.to_vec();
    all.extend(["Beach house", "büro; 2, left", "My Own"]);
    (value, vec(select(all), 0..3), proptest::bool::weighted(0.2)).prop_map(|(value, labels, preferred)| Item {
        value,
        labels: labels.into_iter().collect(),
        preferred,
    })
}

/// Cards that a vCard can hold: tidy, a display name where any name can be derived, no year 1604, no second anniversary,
/// handles in their shortest form.
pub(crate) fn cards() -> impl Strategy<Value = Card> {
    let part = || option::of(words());
    let plain = || option::weighted(0.3, words());
    let names = (part(), part(), plain(), plain(), plain(), plain(), plain(), plain(), part());
    let places: &[&str] = &["home", "work", "other"];
    let phones: &[&str] = &["home", "work", "mobile", "fax", "pager", "main", "other", "iphone"];
    let organization = (part(), option::of(vec(words(), 1..3)), part(), plain(), plain()).prop_map(
        |(company, department, title, role, phonetic)| Organization {
            company,
            department: department.map(|units| units.join("; ")),
            title,
            role,
            phonetic,
        },
    );
    let address =
        (
            plain(),
            plain(),
            option::of("[a-z]{1,9}\n[a-z ,;]{1,9}"),
            part(),
            plain(),
            plain(),
            part(),
            option::of("[a-z]{2}"),
        )
            .prop_map(|(po_box, extended, street, locality, region, postcode, country, country_code)| {
                Address { po_box, extended, street, locality, region, postcode, country, country_code }
            });
    let service = || option::of(select(vec!["Skype", "Jabber", "GoogleTalk", "Signal", "home", "a, b:c"]));
    let handle = || {
        (service(), option::of(words()), any::<bool>()).prop_map(|(service, user, address)| Handle {
            service: service.map(str::to_owned),
            uri: (address || (user.is_none() && service.is_none()))
                .then(|| "https://example.com/u?x=1;y=2,3".to_owned()),
            user,
        })
    };
    let lists = (
        vec(item(words(), places), 0..3),
        vec(item(organization, &["work"]), 0..3),
        vec(item("[A-Za-z.]{1,8}@[a-z]{1,40}\\.example\\.com", places), 0..4),
        vec(item("[+0-9][0-9() -]{3,12}[0-9]( x5|;ext=7)?", phones), 0..4),
        vec(item(address, places), 0..3),
        vec(item("https?://[a-z]{1,60}\\.example\\.com/[a-z,;=&?]{0,9}", &["home", "homepage"]), 0..3),
        vec(item(handle(), places), 0..3),
        vec(item(handle(), places), 0..3),
        vec(item(words(), &["spouse", "mother", "friend"]), 0..3),
    );
    let rest = (
        option::of(dates()),
        option::of(dates()),
        vec(item(dates(), &["other", "birthday"]), 0..3),
        option::of(vec(words(), 1..4)),
        option::of(select(vec!["m", "f", "female", "non-binary; he, or"])),
        plain(),
        vec(item("[a-z]{2}(-[A-Z]{2})?", &[]), 0..3),
        vec(item(words(), &[]), 0..3),
    );
    (names, lists, rest).prop_map(|(names, lists, rest)| {
        let (given, family, prefix, middle, suffix, phonetic_given, phonetic_middle, phonetic_family, display) = names;
        let (nicknames, organizations, emails, phones, addresses, urls, messaging, profiles, relations) = lists;
        let (birthday, anniversary, dates, note, gender, pronouns, mut languages, mut categories) = rest;
        // The best language stands first; tags have no labels.
        languages.iter_mut().skip(1).for_each(|item| item.preferred = false);
        categories.iter_mut().for_each(|item| *item = Item::new(item.value.clone()));
        let mut card = Card {
            prefix,
            given,
            middle,
            family,
            suffix,
            phonetic_given,
            phonetic_middle,
            phonetic_family,
            display,
            nicknames,
            organizations,
            emails,
            phones,
            addresses,
            urls,
            messaging,
            profiles,
            relations,
            birthday,
            anniversary,
            dates,
            note: note.map(|lines| lines.join("\n")),
            gender: gender.map(str::to_owned),
            pronouns,
            languages,
            categories,
            photo: None,
        };
        tidy(&mut card);
        card.nicknames.sort_by_key(|item| !item.labels.is_empty() || item.preferred);
        card.display = card.display.clone().or_else(|| display_name(&card));
        card
    })
}

pub(crate) fn parse(raw: &[u8]) -> Reading {
    read(&Lines::parse(raw).unwrap().0)
}

/// Handles come back in their shortest form; languages in the order of preference.
pub(crate) fn assert_same(read: &Card, wrote: &Card) {
    for field in Field::ALL {
        assert_eq!(read.get(*field), wrote.get(*field), "{field}");
    }
}

/// As Radicale stores it: lines sorted by name (stable), names and parameter names in upper case, `TYPE`s merged.
pub(crate) fn as_radicale(raw: &[u8]) -> Vec<u8> {
    let (lines, _) = Lines::parse(raw).unwrap();
    let mut stored: Vec<(String, Vec<u8>)> = Vec::new();
    for line in &lines.lines {
        let (group, name) =
            line.name().split_once('.').map_or((None, line.name()), |(group, name)| (Some(group), name));
        let name = name.to_ascii_uppercase();
        let mut params: Vec<(String, Vec<String>)> = Vec::new();
        for param in line.raw_params() {
            let (name, value) = param.split_once('=').unwrap();
            let name = name.to_ascii_uppercase();
            match params.iter_mut().find(|(known, _)| *known == name) {
                Some((_, values)) => values.push(value.to_owned()),
                None => params.push((name, vec![value.to_owned()])),
            }
        }
        params.sort();
        let mut text = group.map(|group| format!("{group}.")).unwrap_or_default() + &name;
        for (name, values) in params {
            text.push_str(&format!(";{name}={}", values.join(",")));
        }
        let mut bytes = text.into_bytes();
        bytes.push(b':');
        bytes.extend_from_slice(&line.value);
        let mut folded = Vec::new();
        text::push_folded(&mut folded, &bytes);
        stored.push((name, folded));
    }
    stored.sort_by(|a, b| a.0.cmp(&b.0));
    let mut out = b"BEGIN:VCARD\r\n".to_vec();
    stored.into_iter().for_each(|(_, line)| out.extend(line));
    out.extend_from_slice(b"END:VCARD\r\n");
    out
}

/// The card with its lists in one order, for comparing after somebody re-ordered them.
fn sorted(card: &Card) -> Card {
    let mut sorted = card.clone();
    for field in Field::ALL.iter().filter(|field| field.shape() == Shape::Many) {
        let mut elements = card.get(*field).into_elements();
        elements.sort();
        sorted.set(*field, FieldValue::Many(elements));
    }
    sorted
}

proptest! {
    #[test]
    fn what_is_written_is_read(card in cards(), four in any::<bool>()) {
        let version = if four { Version::V4 } else { Version::V3 };
        let raw = write(&card, "0efc819a-536a-4d77-8070-733ebf12b49c", None, version);
        let reading = parse(&raw);
        assert_same(&reading.card, &card);
        prop_assert_eq!(reading.uid.as_deref(), Some("0efc819a-536a-4d77-8070-733ebf12b49c"));
        prop_assert!(raw.split(|b| *b == b'\n').all(|line| line.len() <= 76), "{}", String::from_utf8_lossy(&raw));
        prop_assert!(std::str::from_utf8(&raw).is_ok());
        prop_assert_eq!(sorted(&parse(&as_radicale(&raw)).card), sorted(&card));
    }

    #[test]
    fn edits_of_old_cards_are_understood(card in cards()) {
        // 2.1 can't say a backslash, nor a comma within a list.
        let mut card = Card { nicknames: Vec::new(), categories: Vec::new(), ..card };
        if serde_json::to_string(&card).unwrap().contains("\\\\") {
            card = Card::default();
        }
        let reading = parse(&write(&card, "u", None, Version::V2));
        assert_same(&reading.card, &card);
    }

    #[test]
    fn nothing_panics(bytes in vec(any::<u8>(), 0..200), text in "(BEGIN:VCARD\r\n)?([A-Za-z.;=\":\\\\, \t\r\n0-9^-]{0,60}\r\n){0,5}") {
        for raw in [bytes, text.into_bytes()] {
            let _ = read_all(&raw).count();
            let mut wrapped = b"BEGIN:VCARD\r\n".to_vec();
            wrapped.extend(raw);
            let _ = read_all(&wrapped).count();
        }
    }

    #[test]
    fn bytes_are_kept(text in "(([A-Z]{1,4};?|item1.TEL|PHOTO;ENCODING=b)[:=;, \t\r\na-z\"]{0,30}\r?\n){0,8}") {
        let mut raw = b"BEGIN:VCARD\r\n".to_vec();
        raw.extend(text.bytes());
        raw.extend(b"END:VCARD\r\n");
        let (lines, _) = Lines::parse(&raw).unwrap();
        let mut again = lines.head.to_vec();
        lines.lines.iter().for_each(|line| again.extend(line.raw));
        again.extend(lines.tail);
        prop_assert_eq!(again, raw);
    }
}

fn card_of(lines: &str) -> Card {
    parse(format!("BEGIN:VCARD\r\nVERSION:3.0\r\n{}\r\nEND:VCARD\r\n", lines.replace('\n', "\r\n")).as_bytes()).card
}

#[test]
fn apples_labels_are_ours() {
    let card = card_of(
        "item1.EMAIL;type=INTERNET;type=pref:jane@example.com\nitem1.X-ABLabel:_$!<Other>!$_\n\
         EMAIL;type=INTERNET;type=WORK:jane@work.example.com\nTEL;type=IPHONE;type=CELL;type=VOICE:+1 555-0102\n\
         item2.TEL:555-0103\nitem2.X-ABLabel:_$!<HomeFAX>!$_\nTEL;TYPE=\"voice,home\":555-0104\n\
         item3.X-ABRELATEDNAMES;type=pref:John Doe\nitem3.X-ABLabel:_$!<Spouse>!$_\n\
         item4.URL;type=pref:http\\://example.com/\nitem4.X-ABLabel:_$!<HomePage>!$_\n\
         item5.X-ABDATE;type=pref:2010-06-01\nitem5.X-ABLabel:_$!<Anniversary>!$_\n\
         item6.X-ABDATE;X-APPLE-OMIT-YEAR=1604:1604-03-02\nitem6.X-ABLabel:First met\n\
         item7.ADR;type=HOME;type=pref:;;1 Main St\\nApt 2;Springfield;IL;62701;USA\nitem7.X-ABADR:US",
    );
    assert_eq!(card.emails[0], Item::<String>::new("jane@example.com").labelled("other").preferred());
    assert_eq!(card.emails[1], Item::<String>::new("jane@work.example.com").labelled("work"));
    assert_eq!(card.phones[0], Item::<String>::new("+1 555-0102").labelled("iphone").labelled("mobile"));
    assert_eq!(card.phones[1], Item::<String>::new("555-0103").labelled("home").labelled("fax"));
    assert_eq!(card.phones[2], Item::<String>::new("555-0104").labelled("home"));
    assert_eq!(card.relations, [Item::<String>::new("John Doe").labelled("spouse").preferred()]);
    assert_eq!(card.urls, [Item::<String>::new("http://example.com/").labelled("homepage").preferred()]);
    assert_eq!(card.anniversary, PartialDate::new(Some(2010), 6, 1));
    assert_eq!(
        card.dates,
        [Item { value: PartialDate::new(None, 3, 2).unwrap(), ..Item::new(PartialDate::new(None, 3, 2).unwrap()) }
            .labelled("First met")]
    );
    assert_eq!(card.addresses[0].value.street.as_deref(), Some("1 Main St\nApt 2"));
    assert_eq!(card.addresses[0].value.country_code.as_deref(), Some("us"));
}

#[test]
fn old_cards_are_understood() {
    let raw = b"BEGIN:VCARD\r\nVERSION:2.1\r\nN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:M=C3=BCller;J=C3=B6rg;;;\r\n\
        TEL;CELL;PREF:555-0100\r\nTEL;HOME;VOICE:555-0101\r\n\
        NOTE;ENCODING=QUOTED-PRINTABLE:first=0D=0Asecond line that goes on=\r\n and on\r\n\
        ADR;WORK;ENCODING=QUOTED-PRINTABLE;CHARSET=ISO-8859-1:;;Stra=DFe 1;K=F6ln;;;\r\nEND:VCARD\r\n";
    let card = parse(raw).card;
    assert_eq!((card.family.as_deref(), card.given.as_deref()), (Some("Müller"), Some("Jörg")));
    assert_eq!(
        card.phones,
        [
            Item::<String>::new("555-0100").labelled("mobile").preferred(),
            Item::<String>::new("555-0101").labelled("home")
        ]
    );
    assert_eq!(card.note.as_deref(), Some("first\nsecond line that goes on and on"));
    assert_eq!(card.addresses[0].value.street.as_deref(), Some("Straße 1"));
    assert_eq!(card.addresses[0].value.locality.as_deref(), Some("Köln"));
}

#[test]
fn wrong_bytes_are_taken_for_windows_1252() {
    let card = parse(b"BEGIN:VCARD\nFN:J\xf6rg \x80\nEND:VCARD").card;
    assert_eq!(card.display.as_deref(), Some("Jörg €"));
}

#[test]
fn a_fold_may_split_a_character() {
    let card = parse(b"BEGIN:VCARD\r\nFN:J\xc3\r\n \xb6rg\r\nEND:VCARD\r\n").card;
    assert_eq!(card.display.as_deref(), Some("Jörg"));
}

#[test]
fn dates_of_all_kinds() {
    type Row = (&'static str, Option<(Option<i16>, u8, u8)>);
    let rows: &[Row] = &[
        ("BDAY:1980-04-15", Some((Some(1980), 4, 15))),
        ("BDAY;value=date:1980-04-15", Some((Some(1980), 4, 15))),
        ("BDAY:19800415T000000Z", Some((Some(1980), 4, 15))),
        ("BDAY:1604-04-15", Some((None, 4, 15))),
        ("BDAY;X-APPLE-OMIT-YEAR=1804:1804-04-15", Some((None, 4, 15))),
        ("BDAY:--0415", Some((None, 4, 15))),
        ("BDAY:--04-15", Some((None, 4, 15))),
        ("BDAY:0000-13-45", None),
        ("BDAY;VALUE=text:circa 1800", None),
        ("BDAY:1980", None),
    ];
    for (line, date) in rows {
        let expected = date.and_then(|(year, month, day)| PartialDate::new(year, month, day));
        assert_eq!(card_of(line).birthday, expected, "{line}");
    }
}

#[test]
fn handles_of_all_kinds() {
    let handle = |service: Option<&str>, user: Option<&str>, uri: Option<&str>| Handle {
        service: service.map(Into::into),
        user: user.map(Into::into),
        uri: uri.map(Into::into),
    };
    let card = card_of(
        "IMPP;X-SERVICE-TYPE=Skype;type=HOME;type=pref:skype:jane\nIMPP:xmpp:jane@example.com\n\
         X-AIM;type=WORK:jane55\nIMPP;X-SERVICE-TYPE=AIM:aim:jane55\n\
         IMPP;X-SERVICE-TYPE=Signal:x-apple:+1555\n\
         X-SOCIALPROFILE;type=twitter;x-user=jane:http://twitter.example.com/jane\n\
         X-SOCIALPROFILE;type=home;type=Mastodon;x-user=jane:x-apple:jane",
    );
    let values: Vec<_> = card.messaging.iter().map(|item| item.value.clone()).collect();
    assert_eq!(
        values,
        [
            handle(Some("Skype"), Some("jane"), None),
            handle(None, None, Some("xmpp:jane@example.com")),
            handle(Some("AIM"), Some("jane55"), None),
            handle(Some("Signal"), Some("+1555"), None),
        ]
    );
    assert!(card.messaging[0].preferred && card.messaging[0].labels.contains("home"));
    assert_eq!(card.profiles[0].value, handle(Some("twitter"), Some("jane"), Some("http://twitter.example.com/jane")));
    assert_eq!(card.profiles[1], Item::<Handle>::new(handle(Some("Mastodon"), Some("jane"), None)).labelled("home"));
}

#[test]
fn pictures_come_inline_or_by_address() {
    let inline =
        parse(b"BEGIN:VCARD\r\nVERSION:3.0\r\nPHOTO;ENCODING=b,b;TYPE=JPEG,jpeg:/9j/\r\n 4AAQ\r\nEND:VCARD\r\n");
    assert_eq!(
        inline.picture,
        Some(Picture::Inline { media_type: "image/jpeg".into(), bytes: vec![0xff, 0xd8, 0xff, 0xe0, 0, 0x10] })
    );
    let address = parse(b"BEGIN:VCARD\r\nVERSION:3.0\r\nPHOTO;X-ABCROP-RECTANGLE=ABClipRect_1&0&0&1&1&ab==;VALUE=uri:https\r\n ://gateway.example.com/ck/card/81\r\n 4c47\r\nEND:VCARD\r\n");
    let url = "https://gateway.example.com/ck/card/814c47";
    assert_eq!(address.picture, Some(Picture::Address(url.into())));
    assert_eq!(
        address.card.photo,
        Some(Photo { hash: format!("url:{}", blake3::hash(url.as_bytes()).to_hex()), media_type: "image/*".into() })
    );
    for version in [Version::V3, Version::V4] {
        let raw = write(&Card::default(), "u", Some(("image/gif", b"GIF89a...")), version);
        assert_eq!(
            parse(&raw).picture,
            Some(Picture::Inline { media_type: "image/gif".into(), bytes: b"GIF89a...".to_vec() })
        );
    }
    assert_eq!(parse(b"BEGIN:VCARD\r\nVERSION:4.0\r\nPHOTO:data:image/png\\;base64\r\nEND:VCARD\r\n").picture, None);
}

#[test]
fn broken_cards_are_read_as_far_as_possible() {
    let card = parse(b"\xef\xbb\xbf\r\nbegin:vcard\nthis is no property\n\nfn:Ann\\, Lee\n\xff\xfe:x\nADR:;;1 Main St, Apt 2;;;;\nTEL:\nVERSION:3.0\n").card;
    assert_eq!(card.display.as_deref(), Some("Ann, Lee"));
    assert_eq!(card.addresses[0].value.street.as_deref(), Some("1 Main St, Apt 2"));
    assert!(card.phones.is_empty());
    assert_eq!(Lines::parse(b"").unwrap_err(), NoCard::Empty);
    assert_eq!(Lines::parse(b"<html>").unwrap_err(), NoCard::NoBegin);
    let nested = card_of("AGENT:\nBEGIN:VCARD\nFN:Somebody Else\nEND:VCARD\nFN:Ann");
    assert_eq!(nested.display.as_deref(), Some("Ann"));
}

#[test]
fn organizations_find_their_titles() {
    let card = card_of("ORG:Example Inc;Sales;North;\nitem1.ORG:Other Ltd\nitem1.TITLE:Owner\nTITLE:Buyer\nROLE:r");
    assert_eq!(card.organizations.len(), 2);
    let first = &card.organizations[0].value;
    assert_eq!(
        (first.company.as_deref(), first.department.as_deref(), first.title.as_deref()),
        (Some("Example Inc"), Some("Sales; North"), Some("Buyer"))
    );
    assert_eq!(card.organizations[1].value.title.as_deref(), Some("Owner"));
}

#[test]
fn a_file_of_many_cards_is_read() {
    let file = write_all([(&Card::default(), "a", None), (&Card::default(), "b", None)], Version::V4);
    let uids: Vec<_> = read_all(&file).map(|reading| reading.uid).collect();
    assert_eq!(uids, [Some("a".to_owned()), Some("b".to_owned())]);
    assert_eq!(read_all(b"\r\njunk\r\n").count(), 0);
}

#[test]
fn group_cards_are_what_apple_writes() {
    let raw = write_group("Board", "7d3b1c55", &["0EFC819A".into(), "kontakt-12".into()], Version::V3);
    assert_eq!(
        String::from_utf8(raw.clone()).unwrap(),
        "BEGIN:VCARD\r\nVERSION:3.0\r\nPRODID:-//contactd//contactd//EN\r\nN:Board\r\nFN:Board\r\n\
         X-ADDRESSBOOKSERVER-KIND:group\r\nX-ADDRESSBOOKSERVER-MEMBER:urn:uuid:0EFC819A\r\n\
         X-ADDRESSBOOKSERVER-MEMBER:urn:uuid:kontakt-12\r\nUID:7d3b1c55\r\nEND:VCARD\r\n"
    );
    let reading = parse(&raw);
    assert!(reading.is_group);
    assert_eq!(reading.members, ["0EFC819A", "kontakt-12"]);
}

#[test]
fn what_has_no_name_has_none_after_being_written() {
    let card = Card { note: Some("likes tea".into()), ..Card::default() };
    for version in [Version::V2, Version::V3, Version::V4] {
        let raw = write(&card, "u", None, version);
        assert!(String::from_utf8_lossy(&raw).contains("\r\nFN:Unnamed\r\n"), "FN is required");
        assert_eq!(parse(&raw).card, card);
    }
    // One that somebody called so stays without a name; a name beside it is a name.
    let named = card_of("N:Lee;Ann;;;\nFN:Unnamed");
    assert_eq!((named.given.as_deref(), named.display.as_deref()), (Some("Ann"), None));
}

#[test]
fn a_card_without_fn_is_called_what_everybody_would_call_it() {
    for (lines, shown) in [
        ("N:Lee;Ann;;;", Some("Ann Lee")),
        ("FN:\nORG:Example Inc;", Some("Example Inc")),
        ("FN: \nTEL:+1 555-0102", Some("+1 555-0102")),
        ("NOTE:x", None),
    ] {
        assert_eq!(card_of(lines).display.as_deref(), shown, "{lines}");
    }
}

/// In 2.1 a backslash is one, but in front of what it would escape: what is read is written so that it is read again.
#[test]
fn backslashes_are_read_as_they_were_written() {
    for name in ["C:\\dir", "a\\", "a\\\\b", "a\\;b", "\\\\\\", "a\\,\\:", "a\\\u{1};b", "a;b,c:d"] {
        for version in [Version::V2, Version::V3, Version::V4] {
            let card = Card { given: Some(name.to_owned()), family: Some("Lee".to_owned()), ..Card::default() };
            let card = Card { note: Some(name.to_owned()), ..card };
            let read = parse(&write(&card, "u", None, version)).card;
            let wanted = Some(name.replace('\u{1}', ""));
            assert_eq!((read.given, read.note), (wanted.clone(), wanted), "{name:?} in {version:?}");
        }
    }
}
