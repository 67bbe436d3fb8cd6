//! What an edit sends, and what it leaves alone.

use proptest::prelude::*;

use super::*;
use crate::card::PartialDate;
use crate::card::normalize::tidy;
use crate::provider::google::convert::{card_of, strip};

fn edited(raw: &Json, mask: &[Field], edit: impl FnOnce(&mut Card)) -> Json {
    let mut card = card_of(raw);
    edit(&mut card);
    json!(update(raw, &card, mask.iter().copied().collect()))
}

#[test]
fn only_the_lists_that_changed_are_sent_and_items_keep_what_no_card_can_say() {
    let raw = json!({
        "emailAddresses": [
            { "value": "ann@example.com", "type": "home", "displayName": "Ann" },
            { "value": "ann@example.org", "type": "Club", "displayName": "Club", "future": 1 },
            { "displayName": "an item without an address" },
        ],
        "phoneNumbers": [{ "value": "555-0100" }],
    });
    let sent = edited(&raw, &[Field::Emails, Field::Phones], |card| {
        card.emails[1].value = "ann@example.net".into();
        card.emails.push(Item::<String>::new("new@example.com").labelled("work"));
    });
    assert_eq!(
        sent,
        json!({ "emailAddresses": [
            { "value": "ann@example.com", "type": "home", "displayName": "Ann" },
            { "displayName": "an item without an address" },
            { "value": "ann@example.net", "type": "Club" },
            { "value": "new@example.com", "type": "work" },
        ]}),
        "one went and two came: nothing says that one became another"
    );
    let sent = edited(&raw, &[Field::Emails], |card| card.emails[1].value = "ann@example.net".into());
    assert_eq!(
        sent["emailAddresses"][1],
        json!({ "value": "ann@example.net", "type": "Club", "displayName": "Club", "future": 1 })
    );
    let sent = edited(&raw, &[Field::Emails], |card| card.emails.clear());
    assert_eq!(sent, json!({ "emailAddresses": [{ "displayName": "an item without an address" }] }));
    let sent = edited(&raw, &[Field::Phones], |card| card.phones.clear());
    assert_eq!(sent, json!({ "phoneNumbers": [] }), "an empty list is to be cleared");
    assert_eq!(edited(&raw, &[Field::Emails], |card| card.emails.reverse()), json!({}), "order is Google's own");
}

#[test]
fn an_employer_keeps_its_other_members() {
    let raw =
        json!({ "organizations": [{ "name": "Example Inc", "title": "Engineer", "current": true, "location": "B2" }] });
    let sent = edited(&raw, &[Field::Organizations], |card| card.organizations[0].value.title = Some("Chief".into()));
    assert_eq!(
        sent["organizations"],
        json!([{ "name": "Example Inc", "title": "Chief", "current": true, "location": "B2" }])
    );
    let sent = edited(&raw, &[Field::Organizations], |card| {
        let company = Some("Another Ltd".into());
        card.organizations = vec![Item::new(Organization { company, ..Organization::default() }).labelled("work")];
    });
    assert_eq!(
        sent["organizations"],
        json!([{ "name": "Another Ltd", "type": "work" }]),
        "another job is another item"
    );
}

#[test]
fn names_go_in_parts_or_as_a_whole() {
    let raw = json!({ "names": [{ "displayName": "Ann Lee", "unstructuredName": "Ann Lee", "givenName": "Ann",
        "familyName": "Lee", "phoneticHonorificPrefix": "x" }] });
    let sent = edited(&raw, &[Field::Family], |card| card.family = Some("Ray".into()));
    assert_eq!(sent, json!({ "names": [{ "givenName": "Ann", "familyName": "Ray", "phoneticHonorificPrefix": "x" }] }));
    let sent = edited(&raw, &[Field::Display], |card| card.display = Some("Annie".into()));
    assert_eq!(sent, json!({}), "Google makes the name as shown itself");
    let sent = edited(&raw, &[Field::Given, Field::Family], |card| (card.given, card.family) = (None, None));
    assert_eq!(sent, json!({ "names": [{ "phoneticHonorificPrefix": "x" }] }));

    let whole = json!({ "names": [{ "displayName": "The night porter", "unstructuredName": "The night porter" }] });
    let sent = edited(&whole, &[Field::Display], |card| card.display = Some("The day porter".into()));
    assert_eq!(sent, json!({ "names": [{ "unstructuredName": "The day porter" }] }));
    let sent = edited(&whole, &[Field::Prefix], |card| card.prefix = Some("Mr".into()));
    assert_eq!(sent, json!({ "names": [{ "honorificPrefix": "Mr", "unstructuredName": "The night porter" }] }));
    let sent = edited(&whole, &[Field::Given], |card| card.given = Some("Ann".into()));
    assert_eq!(sent, json!({ "names": [{ "givenName": "Ann" }] }));

    let company = json!({ "organizations": [{ "name": "Example Inc" }] });
    let sent = edited(&company, &[Field::Display], |card| card.display = Some("Example Inc".into()));
    assert_eq!(sent, json!({}), "a company's name is no person's");
}

#[test]
fn what_no_card_can_hold_is_not_cleared() {
    let raw = json!({
        "birthdays": [{ "text": "in spring" }],
        "events": [{ "date": { "year": 2002 } }, { "date": { "year": 2010, "month": 6, "day": 1 }, "type": "anniversary" }],
        "genders": [{ "value": "male", "addressMeAs": "he" }],
    });
    let mask = [Field::Birthday, Field::Anniversary, Field::Dates, Field::Gender, Field::Pronouns];
    assert_eq!(edited(&raw, &mask, |_| {}), json!({}));
    let sent =
        edited(&raw, &[Field::Anniversary, Field::Pronouns], |card| (card.anniversary, card.pronouns) = (None, None));
    assert_eq!(sent, json!({ "events": [{ "date": { "year": 2002 } }], "genders": [{ "value": "male" }] }));
    let sent = edited(&raw, &[Field::Dates], |card| {
        card.dates.push(Item::<PartialDate>::new(PartialDate::new(None, 1, 2).unwrap()).labelled("other"));
        card.anniversary = None; // not sent
    });
    let expected = json!({ "events": [{ "date": { "year": 2002 } },
        { "date": { "year": 2010, "month": 6, "day": 1 }, "type": "anniversary" },
        { "date": { "month": 1, "day": 2 }, "type": "other" }] });
    assert_eq!(sent, expected);
    let sent = edited(&raw, &[Field::Birthday], |card| card.birthday = PartialDate::new(Some(1980), 4, 15));
    assert_eq!(sent, json!({ "birthdays": [{ "date": { "year": 1980, "month": 4, "day": 15 } }] }));
}

#[test]
fn a_note_of_html_is_left_alone_until_it_is_edited() {
    let raw = json!({ "biographies": [{ "value": "<b>one</b>", "contentType": "TEXT_HTML" }] });
    assert_eq!(edited(&raw, &[Field::Note], |_| {}), json!({}));
    let sent = edited(&raw, &[Field::Note], |card| card.note = Some("two".into()));
    assert_eq!(sent, json!({ "biographies": [{ "value": "two", "contentType": "TEXT_PLAIN" }] }));
}

#[test]
fn an_address_is_made_whole_anew_only_where_it_changed() {
    let raw = json!({ "addresses": [
        { "city": "Springfield", "countryCode": "US", "formattedValue": "Springfield" },
        { "formattedValue": "by the sea", "type": "work" },
    ]});
    let sent = edited(&raw, &[Field::Addresses], |card| card.addresses[0].value.street = Some("1 Main St".into()));
    let expected = json!({ "addresses": [
        { "city": "Springfield", "countryCode": "US", "streetAddress": "1 Main St" },
        { "formattedValue": "by the sea", "type": "work" },
    ]});
    assert_eq!(sent, expected);
    let sent = edited(&raw, &[Field::Addresses], |card| card.addresses[1].value.locality = Some("Whitby".into()));
    assert_eq!(sent["addresses"][1], json!({ "streetAddress": "by the sea", "city": "Whitby", "type": "work" }));
    let sent = edited(&raw, &[Field::Addresses], |card| card.addresses[1].labels = ["home"].into_iter().collect());
    assert_eq!(sent["addresses"][1], json!({ "formattedValue": "by the sea", "type": "home" }));
}

#[test]
fn the_preferred_one_comes_first_where_there_is_none_yet() {
    let card = Card {
        phones: vec![Item::<String>::new("555-0100"), Item::<String>::new("555-0101").preferred()],
        ..Card::default()
    };
    let token = Token(uuid::Uuid::from_u128(7));
    let person = create(&card, token, &Groups::from([GroupId::from("contactGroups/c0ffee")]));
    assert_eq!(person["phoneNumbers"], json!([{ "value": "555-0101" }, { "value": "555-0100" }]));
    assert_eq!(person["clientData"], json!([{ "key": TOKEN_KEY, "value": "00000000-0000-0000-0000-000000000007" }]));
    let groups = person["memberships"].as_array().unwrap();
    assert_eq!(groups.len(), 2);
    assert!(person.get("names").is_none());
}

fn item<T: std::fmt::Debug>(
    value: impl Strategy<Value = T>,
    labels: &'static [&'static str],
) -> impl Strategy<Value = Item<T>> {
    let labels = proptest::sample::subsequence(labels, 0..=1);
    (value, labels).prop_map(|(value, labels)| Item { value, labels: labels.into_iter().collect(), preferred: false })
}

fn any_card() -> impl Strategy<Value = Card> {
    let word = || "[a-zA-Zäß ]{1,8}";
    let maybe = || proptest::option::of("[a-zA-Zäß ]{0,8}");
    let list = |labels| proptest::collection::vec(item("[a-z0-9@. ]{0,8}", labels), 0..4);
    let date = || {
        (proptest::option::of(1900i16..2100), 1u8..13, 1u8..29).prop_map(|(y, m, d)| PartialDate::new(y, m, d).unwrap())
    };
    let scalars =
        (maybe(), maybe(), maybe(), maybe(), maybe(), proptest::option::of(date()), proptest::option::of(date()));
    let lists = (
        list(&["home", "work", "Club"]),
        list(&["home", "mobile", "fax", "Yacht"]),
        list(&["homepage", "blog"]),
        list(&["spouse", "domestic-partner"]),
        proptest::collection::vec(item(date(), &["other", "First day"]), 0..3),
        proptest::collection::vec(
            item(
                (maybe(), maybe(), maybe()).prop_map(|(company, title, role)| Organization {
                    company,
                    title,
                    role,
                    ..Organization::default()
                }),
                &["work"],
            ),
            0..3,
        ),
        proptest::collection::vec(
            item(
                (maybe(), maybe()).prop_map(|(street, country_code)| Address {
                    street,
                    country_code,
                    ..Address::default()
                }),
                &["home"],
            ),
            0..3,
        ),
        proptest::collection::vec(
            item(
                (maybe(), word()).prop_map(|(service, user)| Handle { service, user: Some(user), uri: None }),
                &["other"],
            ),
            0..3,
        ),
    );
    (scalars, lists).prop_map(|((given, family, prefix, note, gender, birthday, anniversary), lists)| {
        let (emails, phones, urls, relations, dates, organizations, addresses, messaging) = lists;
        let mut card = Card {
            given,
            family,
            prefix,
            note,
            gender,
            birthday,
            anniversary,
            emails,
            phones,
            urls,
            relations,
            dates,
            organizations,
            addresses,
            messaging,
            ..Card::default()
        };
        tidy(&mut card);
        // Without a user there is no handle at Google; a gender that is a word of Google's comes back as ours.
        card.messaging.retain(|item| item.value.user.is_some());
        card
    })
}

/// What Google shows after an update, as far as it is told.
fn applied(raw: &Json, lists: &Lists) -> Json {
    let mut raw = object(raw);
    for (name, items) in lists {
        raw.insert((*name).to_owned(), json!(items));
    }
    strip(&Json::Object(raw))
}

proptest! {
    #[test]
    fn what_is_created_is_read_the_same(card in any_card()) {
        let created = create(&card, Token(uuid::Uuid::nil()), &Groups::new());
        prop_assert_eq!(card_of(&strip(&created)), card);
    }

    #[test]
    fn after_an_edit_google_shows_the_card(before in any_card(), after in any_card()) {
        let raw = strip(&create(&before, Token(uuid::Uuid::nil()), &Groups::new()));
        let now = applied(&raw, &update(&raw, &after, FieldSet::all()));
        let shown = card_of(&now);
        for field in Field::ALL.iter().copied() {
            let sorted = |card: &Card| { let mut all = card.get(field).into_elements(); all.sort(); all };
            prop_assert_eq!(sorted(&shown), sorted(&after), "{}", field);
        }
        prop_assert!(update(&now, &after, FieldSet::all()).is_empty());
    }

    #[test]
    fn fields_that_are_not_sent_stay_as_they_are(before in any_card(), after in any_card(), n in 0..Field::ALL.len()) {
        let field = Field::ALL[n];
        let raw = strip(&create(&before, Token(uuid::Uuid::nil()), &Groups::new()));
        let shown = card_of(&applied(&raw, &update(&raw, &after, [field].into_iter().collect())));
        for other in Field::ALL.iter().copied().filter(|other| *other != field && *other != Field::Display) {
            prop_assert!(shown.same(&before, other), "{} changed {}", field, other);
        }
    }
}
