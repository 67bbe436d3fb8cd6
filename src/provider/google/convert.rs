//! People as Google tells them, as cards (google.md §3).
//!
//! Owns: which member means what, for reading; [`strip`], which makes of an answer the raw that an edit starts from.
//! Must not: send anything. Values of other sources than the contact itself are never looked at. Writing is [`super::edit`].
//!
//! Of a list, an item that holds nothing a card could say is left where it is: it has no element, and edits keep it.

use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use super::{html, labels};
use crate::card::field::{Element, Field, FieldValue, Value};
use crate::card::normalize::{tidy, tidy_value};
use crate::card::{Address, Card, Handle, Organization, PartialDate, Photo};
use crate::ids::{CollectionId, Etag, GroupId, RemoteId, Timestamp, Token};
use crate::sync::view::{Groups, RemoteRecord, RemoteRef, Seen};

/// The version of this converter.
pub const CONVERTER: u16 = 1;

/// The key under which a record that we create carries its token.
pub const TOKEN_KEY: &str = "contactd.uid";

/// Google's lists that stand for a list of a card each.
pub(super) const LISTS: &[(&str, Field)] = &[
    ("addresses", Field::Addresses),
    ("emailAddresses", Field::Emails),
    ("events", Field::Dates),
    ("imClients", Field::Messaging),
    ("locales", Field::Languages),
    ("nicknames", Field::Nicknames),
    ("organizations", Field::Organizations),
    ("phoneNumbers", Field::Phones),
    ("relations", Field::Relations),
    ("urls", Field::Urls),
];

/// Of these Google holds one at most.
pub(super) const SINGLES: &[&str] = &["biographies", "birthdays", "genders", "names"];

/// The label that makes a date the anniversary.
pub(super) const ANNIVERSARY: &str = "anniversary";

/// Members that Google makes itself: never sent, and never a change.
const READ_ONLY: &[(&str, &[&str])] = &[
    ("names", &["displayNameLastFirst"]),
    ("phoneNumbers", &["canonicalForm"]),
    ("genders", &["formattedValue"]),
    ("imClients", &["formattedProtocol"]),
];

/// Google's services, and how we call them.
const SERVICES: &[(&str, &str)] = &[
    ("aim", "AIM"),
    ("googleTalk", "GoogleTalk"),
    ("icq", "ICQ"),
    ("jabber", "Jabber"),
    ("msn", "MSN"),
    ("netMeeting", "NetMeeting"),
    ("qq", "QQ"),
    ("skype", "Skype"),
    ("yahoo", "Yahoo"),
];

/// Google's words for genders, and ours.
const GENDERS: &[(&str, &str)] = &[("male", "m"), ("female", "f"), ("other", "o"), ("unspecified", "u")];

/// What an answer says about one person; `None` where it does not even say which.
pub fn observe(person: &Json, collection: &CollectionId) -> Option<Seen> {
    let id = RemoteId(text(person, "resourceName")?.to_owned());
    let metadata = &person["metadata"];
    if metadata["deleted"] == true {
        return Some(Seen::Gone(id));
    }
    let source = source(person);
    let etag = source.and_then(|source| text(source, "etag")).map(Etag::from);
    let at = RemoteRef { collection: collection.clone(), id, etag };
    let Some(source) = source else {
        return Some(Seen::Unreadable(at, "Google shows a profile here and no contact".to_owned()));
    };
    let raw = strip(person);
    let formerly = list(metadata, "previousResourceNames").iter().filter_map(Json::as_str).map(RemoteId::from);
    Some(Seen::Present(RemoteRecord {
        at,
        body: card_of(&raw),
        groups: groups_of(person),
        modified: text(source, "updateTime").and_then(|time| time.parse::<Timestamp>().ok()),
        token: tokens_of(person).next(),
        uid: text(source, "id").map(str::to_owned),
        formerly: formerly.collect(),
        raw: serde_json::to_vec(&raw).ok(),
    }))
}

/// The contact among the sources of a person.
fn source(person: &Json) -> Option<&Json> {
    list(&person["metadata"], "sources").iter().find(|source| source["type"] == "CONTACT")
}

/// The tokens that a person carries: more than one after a user merged two records of ours.
pub(super) fn tokens_of(person: &Json) -> impl Iterator<Item = Token> {
    let ours = list(person, "clientData").iter().filter(|entry| entry["key"] == TOKEN_KEY);
    ours.filter_map(|entry| Uuid::try_parse(text(entry, "value")?.trim()).ok().map(Token))
}

fn groups_of(person: &Json) -> Groups {
    let memberships = list(person, "memberships").iter().map(|one| &one["contactGroupMembership"]);
    let named = memberships.filter_map(|group| match text(group, "contactGroupResourceName") {
        Some(name) => Some(GroupId::from(name)),
        None => text(group, "contactGroupId").map(|id| GroupId(format!("contactGroups/{id}"))),
    });
    named.collect()
}

/// What an edit starts from: the contact's own values, the primary of each list first, without what Google makes itself.
pub fn strip(person: &Json) -> Json {
    let mut raw = Map::new();
    if let Some(name) = text(person, "resourceName") {
        raw.insert("resourceName".to_owned(), json!(name));
    }
    if let Some(source) = source(person) {
        let parts =
            ["type", "id", "etag"].iter().filter_map(|part| Some(((*part).to_owned(), source.get(part)?.clone())));
        raw.insert("metadata".to_owned(), json!({ "sources": [Json::Object(parts.collect())] }));
    }
    for name in LISTS.iter().map(|(name, _)| *name).chain(SINGLES.iter().copied()) {
        let mut items: Vec<&Json> = list(person, name).iter().filter(|item| of_contact(item)).collect();
        items.sort_by_key(|item| item["metadata"]["primary"] != true);
        if SINGLES.contains(&name) {
            items.truncate(1);
        }
        if !items.is_empty() {
            raw.insert(name.to_owned(), items.into_iter().map(|item| stripped(name, item)).collect());
        }
    }
    let shown = |photo: &&Json| photo["default"] != true && of_contact(photo) && text(photo, "url").is_some();
    if let Some(photo) = list(person, "photos").iter().find(shown) {
        raw.insert("photos".to_owned(), json!([{ "url": photo["url"] }]));
    }
    Json::Object(raw)
}

/// Whether an item is the contact's own. One that does not say is.
fn of_contact(item: &Json) -> bool {
    match &item["metadata"]["source"]["type"] {
        Json::String(kind) => kind == "CONTACT",
        _ => item.is_object(),
    }
}

fn stripped(name: &str, item: &Json) -> Json {
    let mut item = item.clone();
    if let Some(members) = item.as_object_mut() {
        members.remove("metadata");
        members.remove("formattedType");
        let read_only = READ_ONLY.iter().find(|(of, _)| *of == name).map_or(&[][..], |(_, members)| members);
        for member in read_only {
            members.remove(*member);
        }
    }
    item
}

/// The card of a raw, tidy.
pub fn card_of(raw: &Json) -> Card {
    let mut card = Card::default();
    let own = |item: &Json, member: &str| text(item, member).map(str::to_owned);
    let name = &raw["names"][0];
    card.prefix = own(name, "honorificPrefix");
    card.given = own(name, "givenName");
    card.middle = own(name, "middleName");
    card.family = own(name, "familyName");
    card.suffix = own(name, "honorificSuffix");
    card.phonetic_given = own(name, "phoneticGivenName");
    card.phonetic_middle = own(name, "phoneticMiddleName");
    card.phonetic_family = own(name, "phoneticFamilyName");
    card.display = own(name, "displayName").or_else(|| own(name, "unstructuredName"));
    card.birthday = date(&raw["birthdays"][0]["date"]);
    card.note = note(&raw["biographies"][0]);
    let gender = &raw["genders"][0];
    card.gender = text(gender, "value").map(|value| {
        let known = GENDERS.iter().find(|(google, _)| google.eq_ignore_ascii_case(value));
        known.map_or(value, |(_, ours)| ours).to_owned()
    });
    card.pronouns = own(gender, "addressMeAs");
    for (name, field) in LISTS {
        let elements = elements(*field, list(raw, name)).into_iter().flatten();
        if *field == Field::Dates {
            let (mut dates, mut rest) = (None, Vec::new());
            for element in elements {
                match element.value {
                    Value::Date(date) if dates.is_none() && is_anniversary(&element) => dates = Some(date),
                    _ => rest.push(element),
                }
            }
            card.anniversary = dates;
            card.set(Field::Dates, FieldValue::Many(rest));
        } else {
            card.set(*field, FieldValue::Many(elements.collect()));
        }
    }
    card.photo = photo_url(raw).map(|url| Photo { hash: photo_hash(url), media_type: "image/jpeg".to_owned() });
    tidy(&mut card);
    card
}

/// Whether that date is the anniversary.
pub(super) fn is_anniversary(element: &Element) -> bool {
    element.labels.iter().eq([ANNIVERSARY])
}

/// Where the contact's own picture is.
pub(super) fn photo_url(raw: &Json) -> Option<&str> {
    text(&raw["photos"][0], "url")
}

/// Stands for a picture by its address; the size at its end (`=s100`, `?sz=50`) makes no other picture.
fn photo_hash(url: &str) -> String {
    let plain = url.split_once('?').map_or(url, |(plain, _)| plain);
    let plain = match plain.rsplit_once('=') {
        Some((before, size)) if size.starts_with('s') && size[1..].starts_with(|c: char| c.is_ascii_digit()) => before,
        _ => plain,
    };
    format!("url:{}", blake3::hash(plain.as_bytes()).to_hex())
}

/// One element for each item of a list, tidy; none for an item that holds nothing a card could say.
pub(super) fn elements(field: Field, items: &[Json]) -> Vec<Option<Element>> {
    items.iter().map(|item| element(field, item)).collect()
}

fn element(field: Field, item: &Json) -> Option<Element> {
    let own = |member: &str| text(item, member).map(str::to_owned);
    let value = match field {
        Field::Emails | Field::Phones | Field::Urls | Field::Nicknames | Field::Languages => Value::Text(own("value")?),
        Field::Relations => Value::Text(own("person")?),
        Field::Dates => Value::Date(date(&item["date"])?),
        Field::Messaging => {
            let service = text(item, "protocol").map(|protocol| {
                let known = SERVICES.iter().find(|(google, _)| google.eq_ignore_ascii_case(protocol));
                known.map_or(protocol, |(_, ours)| ours).to_owned()
            });
            Value::Handle(Handle { service, user: Some(own("username")?), uri: None })
        }
        Field::Organizations => Value::Organization(Organization {
            company: own("name"),
            department: own("department"),
            title: own("title"),
            role: own("jobDescription"),
            phonetic: own("phoneticName"),
        }),
        Field::Addresses => Value::Address(address(item)),
        _ => return None,
    };
    let value = tidy_value(field, value)?;
    // The type of a nickname is an enum that people don't see.
    let kind = text(item, "type").filter(|_| !matches!(field, Field::Nicknames | Field::Languages));
    let labels = kind.map(|kind| labels::of_type(field, kind)).unwrap_or_default();
    Some(Element { value, labels, preferred: false })
}

fn address(item: &Json) -> Address {
    let own = |member: &str| text(item, member).map(str::to_owned);
    let address = Address {
        po_box: own("poBox"),
        extended: own("extendedAddress"),
        street: own("streetAddress"),
        locality: own("city"),
        region: own("region"),
        postcode: own("postalCode"),
        country: own("country"),
        country_code: own("countryCode"),
    };
    // An address that was only ever typed in as a whole.
    if address == Address::default() { Address { street: own("formattedValue"), ..address } } else { address }
}

/// A date with month and day; zero or absent is unknown. What has less (a year alone) no card can hold.
fn date(date: &Json) -> Option<PartialDate> {
    let part = |member: &str| date[member].as_i64().filter(|n| *n != 0);
    let year = match part("year") {
        Some(year) => Some(i16::try_from(year).ok()?),
        None => None,
    };
    PartialDate::new(year, u8::try_from(part("month")?).ok()?, u8::try_from(part("day")?).ok()?)
}

fn note(biography: &Json) -> Option<String> {
    let value = text(biography, "value")?;
    Some(if biography["contentType"] == "TEXT_HTML" { html::to_text(value) } else { value.to_owned() })
}

/// Google's word for a service.
pub(super) fn protocol_of(service: &str) -> &str {
    let plain: String = service.chars().filter(|c| c.is_alphanumeric()).collect();
    SERVICES.iter().find(|(_, ours)| ours.eq_ignore_ascii_case(&plain)).map_or(service, |(google, _)| google)
}

/// Google's word for a gender.
pub(super) fn gender_of(gender: &str) -> &str {
    GENDERS.iter().find(|(google, ours)| gender == *ours || gender == *google).map_or(gender, |(google, _)| google)
}

/// A member that is a text and not empty.
pub(super) fn text<'a>(item: &'a Json, member: &str) -> Option<&'a str> {
    item[member].as_str().filter(|text| !text.is_empty())
}

/// A member that is a list; an absent one is empty.
pub(super) fn list<'a>(item: &'a Json, member: &str) -> &'a [Json] {
    item[member].as_array().map_or(&[], Vec::as_slice)
}
