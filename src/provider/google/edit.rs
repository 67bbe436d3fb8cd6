//! Cards as Google takes them (google.md §3, §4): a new person, or the lists of a person that an edit changes.
//!
//! Owns: what is sent. An edit starts from the stored raw: an item that stays keeps what no card can say, an item that no
//! card can hold stays, and a list that comes out as it was is not sent. Must not: send anything. Reading is
//! [`super::convert`].
//!
//! Order is Google's own: what stays keeps its place, so that the primary one stays primary; what is new comes behind.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json, json};

use super::convert::{self, ANNIVERSARY, LISTS, TOKEN_KEY, text};
use super::labels;
use crate::card::field::{Element, Field, FieldSet, Value};
use crate::card::normalize::{display_name, key};
use crate::card::{Address, Card, Handle, Item, Organization, PartialDate};
use crate::ids::{GroupId, Token};
use crate::sync::view::Groups;

/// The group that every contact belongs in that people see under "Contacts".
pub const MY_CONTACTS: &str = "contactGroups/myContacts";

/// Lists of a person, by Google's name; an empty one is to be cleared.
pub type Lists = BTreeMap<&'static str, Vec<Json>>;

/// Parts of a name, and whether they are what people call the name itself.
const NAME_PARTS: &[(Field, &str, bool)] = &[
    (Field::Prefix, "honorificPrefix", false),
    (Field::Given, "givenName", true),
    (Field::Middle, "middleName", true),
    (Field::Family, "familyName", true),
    (Field::Suffix, "honorificSuffix", false),
    (Field::PhoneticGiven, "phoneticGivenName", false),
    (Field::PhoneticMiddle, "phoneticMiddleName", false),
    (Field::PhoneticFamily, "phoneticFamilyName", false),
];

/// Parts of an address.
const ADDRESS_PARTS: &[&str] =
    &["poBox", "extendedAddress", "streetAddress", "city", "region", "postalCode", "country", "countryCode"];

/// A new person, in those groups and in "Contacts", marked with the token.
pub fn create(card: &Card, token: Token, groups: &Groups) -> Json {
    let mut person = Map::new();
    for (name, items) in update(&Json::Null, card, FieldSet::all()) {
        person.insert(name.to_owned(), Json::Array(items));
    }
    let mine = GroupId::from(MY_CONTACTS);
    let all: BTreeSet<&GroupId> = groups.iter().chain([&mine]).collect();
    let membership = |group: &&GroupId| json!({ "contactGroupMembership": { "contactGroupResourceName": group } });
    person.insert("memberships".to_owned(), all.iter().map(membership).collect());
    person.insert("clientData".to_owned(), json!([{ "key": TOKEN_KEY, "value": token }]));
    Json::Object(person)
}

/// The lists that differ once the person shows the card in these fields. The picture is written apart.
pub fn update(raw: &Json, card: &Card, mask: FieldSet) -> Lists {
    let before = convert::card_of(raw);
    let mut lists = Lists::new();
    let mut put = |name: &'static str, items: Vec<Json>| {
        if !same_items(convert::list(raw, name), &items) {
            lists.insert(name, items);
        }
    };
    if mask.contains(Field::Display) || NAME_PARTS.iter().any(|(field, ..)| mask.contains(*field)) {
        put("names", name(&raw["names"][0], card, mask));
    }
    if mask.contains(Field::Birthday) && card.birthday != before.birthday {
        put("birthdays", card.birthday.map(|date| json!({ "date": date_of(date) })).into_iter().collect());
    }
    if mask.contains(Field::Note) && card.note != before.note {
        let note = card.note.as_ref().map(|note| json!({ "value": note, "contentType": "TEXT_PLAIN" }));
        put("biographies", note.into_iter().collect());
    }
    if mask.contains(Field::Gender) || mask.contains(Field::Pronouns) {
        put("genders", gender(&raw["genders"][0], card, &before, mask));
    }
    for (name, field) in LISTS {
        let masked = mask.contains(*field) || *field == Field::Dates && mask.contains(Field::Anniversary);
        if masked {
            let wanted =
                if *field == Field::Dates { dates(card, &before, mask) } else { card.get(*field).into_elements() };
            put(name, merged(*field, convert::list(raw, name), wanted));
        }
    }
    lists
}

/// Whether two lists hold the same, in whatever order.
pub(super) fn same_items(before: &[Json], after: &[Json]) -> bool {
    let sorted = |items: &[Json]| {
        let mut texts: Vec<String> = items.iter().map(Json::to_string).collect();
        texts.sort_unstable();
        texts
    };
    before.len() == after.len() && sorted(before) == sorted(after)
}

/// Google wants a name in parts or as a whole, never both (google.md §9, 25); the name as shown it makes itself.
fn name(raw: &Json, card: &Card, mask: FieldSet) -> Vec<Json> {
    let mut name = object(raw);
    let mut edited = false;
    for (field, member, _) in NAME_PARTS.iter().filter(|(field, ..)| mask.contains(*field)) {
        let wanted = scalar(card, *field);
        edited |= wanted.as_deref() != text(raw, member);
        set(&mut name, member, wanted);
    }
    let itself = NAME_PARTS.iter().any(|(_, member, itself)| *itself && name.contains_key(*member));
    let shown = card.display.clone().filter(|_| mask.contains(Field::Display));
    // Google also makes a whole of the parts; only without them is it what somebody said.
    let in_parts = NAME_PARTS.iter().any(|(_, member, itself)| *itself && text(raw, member).is_some());
    let said = text(raw, "unstructuredName").filter(|_| !in_parts);
    let whole = if itself {
        None
    } else if mask.contains(Field::Display) {
        // What only repeats the company or an address is no name.
        let derived = display_name(&Card { prefix: None, suffix: None, ..card.clone() });
        shown.filter(|shown| said.is_some() || derived.is_none_or(|derived| !derived.eq_ignore_ascii_case(shown)))
    } else {
        said.map(str::to_owned)
    };
    if !edited && (itself || whole.as_deref() == said) {
        return convert_back(raw);
    }
    name.remove("displayName");
    set(&mut name, "unstructuredName", whole);
    if name.is_empty() { Vec::new() } else { vec![Json::Object(name)] }
}

fn convert_back(raw: &Json) -> Vec<Json> {
    if raw.is_object() { vec![raw.clone()] } else { Vec::new() }
}

fn gender(raw: &Json, card: &Card, before: &Card, mask: FieldSet) -> Vec<Json> {
    let mut gender = object(raw);
    if mask.contains(Field::Gender) && card.gender != before.gender {
        set(&mut gender, "value", card.gender.as_deref().map(|gender| convert::gender_of(gender).to_owned()));
    }
    if mask.contains(Field::Pronouns) && card.pronouns != before.pronouns {
        set(&mut gender, "addressMeAs", card.pronouns.clone());
    }
    if gender.is_empty() { Vec::new() } else { vec![Json::Object(gender)] }
}

/// All dates that Google keeps in one list: those of the card in the fields sent, the others as they were.
fn dates(card: &Card, before: &Card, mask: FieldSet) -> Vec<Element> {
    let of = |field: Field| if mask.contains(field) { card } else { before };
    let anniversary = of(Field::Anniversary).anniversary.map(|date| Item {
        value: Value::Date(date),
        labels: [ANNIVERSARY].into_iter().collect(),
        preferred: false,
    });
    let rest = of(Field::Dates).get(Field::Dates).into_elements();
    anniversary.into_iter().chain(rest).collect()
}

/// The items as they are to be: those that stay in their places and with what no card can say, then the new ones.
fn merged(field: Field, raw: &[Json], mut wanted: Vec<Element>) -> Vec<Json> {
    let had = convert::elements(field, raw);
    if raw.is_empty() {
        wanted.sort_by_key(|element| !element.preferred); // the first becomes the primary one
    }
    let places: Vec<usize> = (0..had.len()).filter(|place| had[*place].is_some()).collect();
    let before: Vec<&Element> = had.iter().flatten().collect();
    let paired = pair(field, &before, &wanted);
    let mut taken = BTreeSet::new();
    let mut items = Vec::with_capacity(wanted.len());
    for (place, item) in raw.iter().enumerate() {
        let Ok(n) = places.binary_search(&place) else {
            items.push(item.clone()); // nothing that a card could hold
            continue;
        };
        if let Some(a) = paired[n] {
            taken.insert(a);
            items.push(changed(field, item, Some(before[n]), &wanted[a]));
        }
    }
    let new = wanted.iter().enumerate().filter(|(a, _)| !taken.contains(a));
    items.extend(new.map(|(_, element)| changed(field, &Json::Null, None, element)));
    items.retain(|item| item.as_object().is_some_and(|item| !item.is_empty()));
    items
}

/// For each element before, which one it is afterwards; none = it goes. First what is equal, then by key; last, where as
/// many go as come, by label: then it was changed, not replaced.
fn pair(field: Field, before: &[&Element], after: &[Element]) -> Vec<Option<usize>> {
    let mut pairs = vec![None; before.len()];
    let mut free: Vec<usize> = (0..after.len()).collect();
    let old: Vec<_> = before.iter().map(|one| key(field, &one.value)).collect();
    let new: Vec<_> = after.iter().map(|one| key(field, &one.value)).collect();
    let alike = |b: usize, a: usize| before[b].value == after[a].value && before[b].labels == after[a].labels;
    let rules: [&dyn Fn(usize, usize) -> bool; 4] =
        [&alike, &|b, a| old[b] == new[a] && before[b].labels == after[a].labels, &|b, a| old[b] == new[a], &|b, a| {
            before[b].labels == after[a].labels
        }];
    for (n, same) in rules.iter().enumerate() {
        // What goes and what comes are different things where their numbers differ.
        if n >= 3 && pairs.iter().filter(|to| to.is_none()).count() != free.len() {
            break;
        }
        for (b, to) in pairs.iter_mut().enumerate().filter(|(_, to)| to.is_none()) {
            *to = free.iter().position(|a| same(b, *a)).map(|at| free.remove(at));
        }
    }
    pairs
}

/// The item, saying what the element says; members that did not change keep Google's own text.
fn changed(field: Field, raw: &Json, was: Option<&Element>, now: &Element) -> Json {
    if was.is_some_and(|was| was.value == now.value && was.labels == now.labels) {
        return raw.clone();
    }
    let mut item = object(raw);
    match &now.value {
        Value::Text(value) => {
            let member = if field == Field::Relations { "person" } else { "value" };
            if was.is_none_or(|was| was.value != now.value) {
                set(&mut item, member, Some(value.clone()));
            }
        }
        Value::Date(date) => {
            if was.is_none_or(|was| was.value != now.value) {
                item.insert("date".to_owned(), date_of(*date));
            }
        }
        Value::Handle(handle) => {
            let old = match was.map(|was| &was.value) {
                Some(Value::Handle(old)) => old.clone(),
                _ => Handle::default(),
            };
            if old.service != handle.service {
                let protocol = handle.service.as_deref().map(|service| convert::protocol_of(service).to_owned());
                set(&mut item, "protocol", protocol);
            }
            let user = handle.user.clone().or_else(|| handle.uri.clone());
            if old.user != user {
                set(&mut item, "username", user);
            }
        }
        Value::Organization(organization) => {
            let old = match was.map(|was| &was.value) {
                Some(Value::Organization(old)) => old.clone(),
                _ => Organization::default(),
            };
            let Organization { company, department, title, role, phonetic } = organization;
            for (member, old, now) in [
                ("name", old.company, company),
                ("department", old.department, department),
                ("title", old.title, title),
                ("jobDescription", old.role, role),
                ("phoneticName", old.phonetic, phonetic),
            ] {
                if old != *now {
                    set(&mut item, member, now.clone());
                }
            }
        }
        Value::Address(now) => {
            // Where Google had only the whole, there are parts now, and it makes the whole of them anew.
            let whole_only = ADDRESS_PARTS.iter().all(|part| text(raw, part).is_none());
            let old = match was.map(|was| &was.value) {
                Some(Value::Address(old)) if !whole_only => old.clone(),
                _ => Address::default(),
            };
            let was_whole = was.is_some_and(|was| was.value == Value::Address(now.clone())) && whole_only;
            if !was_whole {
                set_address(&mut item, old, now);
            }
        }
        Value::Photo(_) => {}
    }
    let typed = !matches!(field, Field::Nicknames | Field::Languages);
    if typed && was.is_none_or(|was| was.labels != now.labels) {
        set(&mut item, "type", labels::type_of(field, &now.labels));
    }
    // A type alone says nothing.
    if was.is_none() && item.keys().all(|member| member == "type") {
        item.clear();
    }
    Json::Object(item)
}

fn set_address(item: &mut Map<String, Json>, old: Address, now: &Address) {
    let Address { po_box, extended, street, locality, region, postcode, country, country_code } = now;
    let upper = |code: &Option<String>| code.as_ref().map(|code| code.to_ascii_uppercase());
    for (member, old, now) in [
        ("poBox", old.po_box, po_box.clone()),
        ("extendedAddress", old.extended, extended.clone()),
        ("streetAddress", old.street, street.clone()),
        ("city", old.locality, locality.clone()),
        ("region", old.region, region.clone()),
        ("postalCode", old.postcode, postcode.clone()),
        ("country", old.country, country.clone()),
        ("countryCode", upper(&old.country_code), upper(country_code)),
    ] {
        if old != now {
            item.remove("formattedValue"); // made anew from the parts
            set(item, member, now);
        }
    }
}

fn object(raw: &Json) -> Map<String, Json> {
    raw.as_object().cloned().unwrap_or_default()
}

fn set(item: &mut Map<String, Json>, member: &str, value: Option<String>) {
    match value.filter(|value| !value.is_empty()) {
        Some(value) => item.insert(member.to_owned(), Json::String(value)),
        None => item.remove(member),
    };
}

fn scalar(card: &Card, field: Field) -> Option<String> {
    match card.get(field).into_elements().pop()?.value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

fn date_of(date: PartialDate) -> Json {
    match date.year {
        Some(year) => json!({ "year": year, "month": date.month, "day": date.day }),
        None => json!({ "month": date.month, "day": date.day }),
    }
}

#[cfg(test)]
mod tests;
