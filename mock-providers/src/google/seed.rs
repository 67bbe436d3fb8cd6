//! The made-up people of [`crate::people`] as Google would hold them, with what only Google has strewn in.
//!
//! Owns: turning our own cards into fields. Must not: be mistaken for a reader of vCards; it knows how ours are written.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::people::vcards;

/// Somebody to be stored.
#[derive(Debug)]
pub(super) struct Seedling {
    pub(super) uid: String,
    pub(super) person: Value,
    pub(super) photo: Option<Vec<u8>>,
}

/// So many people, and groups with the UIDs of their members.
pub(super) fn people(seed: u64, n: usize) -> (Vec<Seedling>, BTreeMap<String, Vec<String>>) {
    let (mut people, mut groups): (Vec<Seedling>, BTreeMap<String, Vec<String>>) = (Vec::new(), BTreeMap::new());
    for (uid, card) in vcards(seed, n + n / 59 + 1) {
        let lines = lines(&card);
        let all = |name: &str| lines.iter().filter(|line| line.name == name).cloned().collect::<Vec<_>>();
        if lines.iter().any(|line| line.name == "X-ADDRESSBOOKSERVER-KIND") {
            let title = all("FN").first().map(|line| text(&line.value)).unwrap_or_default();
            let member = |line: &Line| line.value.trim_start_matches("urn:uuid:").to_owned();
            groups.entry(title).or_default().extend(all("X-ADDRESSBOOKSERVER-MEMBER").iter().map(member));
        } else if people.len() < n {
            let photo = all("PHOTO").first().and_then(|line| STANDARD.decode(&line.value).ok());
            let person = person(&lines, people.len());
            people.push(Seedling { uid, person, photo });
        }
    }
    (people, groups)
}

/// A line of a card.
#[derive(Clone, Debug)]
struct Line {
    group: String,
    name: String,
    /// The parameters, in capitals.
    parameters: String,
    value: String,
}

fn lines(card: &[u8]) -> Vec<Line> {
    let mut whole = Vec::with_capacity(card.len());
    let mut rest = card;
    while let Some(at) = rest.windows(3).position(|three| three == b"\r\n ") {
        whole.extend_from_slice(&rest[..at]);
        rest = &rest[at + 3..];
    }
    whole.extend_from_slice(rest);
    let line = |line: &str| {
        let mut quoted = false;
        let colon = line.find(|letter| {
            quoted ^= letter == '"';
            letter == ':' && !quoted
        })?;
        let (head, value) = (&line[..colon], line[colon + 1..].to_owned());
        let (name, parameters) = head.split_once(';').unwrap_or((head, ""));
        let (group, name) = name.rsplit_once('.').unwrap_or(("", name));
        Some(Line {
            group: group.to_owned(),
            name: name.to_ascii_uppercase(),
            parameters: parameters.to_ascii_uppercase(),
            value,
        })
    };
    String::from_utf8_lossy(&whole).split("\r\n").filter_map(line).collect()
}

/// A value without escapes.
fn text(value: &str) -> String {
    let mut out = String::new();
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some('n' | 'N') => out.push('\n'),
                Some(other) => out.push(other),
                None => {}
            },
            other => out.push(other),
        }
    }
    out
}

/// The parts of a structured value, without escapes.
fn parts(value: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut escaped = false;
    for letter in value.chars() {
        if letter == ';' && !escaped {
            parts.push(String::new());
        } else if let Some(last) = parts.last_mut() {
            last.push(letter);
        }
        escaped = letter == '\\' && !escaped;
    }
    parts.iter().map(|part| text(part)).collect()
}

/// What the label of an item says in Google's words; one of the user's own stays as it is.
fn label(lines: &[Line], line: &Line) -> Option<String> {
    let said = lines.iter().find(|one| one.name == "X-ABLABEL" && !line.group.is_empty() && one.group == line.group)?;
    let inner = said.value.strip_prefix("_$!<").and_then(|rest| rest.strip_suffix(">!$_"));
    Some(match inner {
        Some(word) => word[..1].to_lowercase() + &word[1..],
        None => text(&said.value),
    })
    .filter(|label| !label.is_empty())
}

fn kind(lines: &[Line], line: &Line) -> Option<String> {
    let has = |word: &str| line.parameters.contains(word);
    label(lines, line).or_else(|| {
        let known = match () {
            () if has("WORK") && has("FAX") => "workFax",
            () if has("CELL") => "mobile",
            () if has("MAIN") => "main",
            () if has("WORK") => "work",
            () if has("HOME") => "home",
            () => return None,
        };
        Some(known.to_owned())
    })
}

/// An object of what is not empty.
fn object<'a>(members: impl IntoIterator<Item = (&'a str, String)>) -> Map<String, Value> {
    members
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(name, text)| (name.to_owned(), text.into()))
        .collect()
}

fn date(line: &Line) -> Option<Value> {
    let mut numbers = line.value.split('-').map(|part| part.parse::<u16>().ok());
    let (year, month, day) = (numbers.next()??, numbers.next()??, numbers.next()??);
    let date = json!({"year": year, "month": month, "day": day});
    Some(if year == 1604 { json!({"month": month, "day": day}) } else { date })
}

fn person(lines: &[Line], at: usize) -> Value {
    let mut person: Map<String, Value> = Map::new();
    let mut push = |field: &str, item: Map<String, Value>| {
        if !item.is_empty() {
            let items = person.entry(field).or_insert_with(|| json!([]));
            if let Some(items) = items.as_array_mut() {
                items.push(item.into());
            }
        }
    };
    let phonetic = |name: &str| lines.iter().find(|line| line.name == name).map(|line| text(&line.value));
    for line in lines {
        let typed =
            |member: &str, value: String| object([(member, value), ("type", kind(lines, line).unwrap_or_default())]);
        match line.name.as_str() {
            "N" => {
                let mut parts = parts(&line.value).into_iter();
                let mut part = || parts.next().unwrap_or_default();
                let (family, given, middle, prefix, suffix) = (part(), part(), part(), part(), part());
                push(
                    "names",
                    object([
                        ("familyName", family),
                        ("givenName", given),
                        ("middleName", middle),
                        ("honorificPrefix", prefix),
                        ("honorificSuffix", suffix),
                        ("phoneticGivenName", phonetic("X-PHONETIC-FIRST-NAME").unwrap_or_default()),
                        ("phoneticFamilyName", phonetic("X-PHONETIC-LAST-NAME").unwrap_or_default()),
                    ]),
                );
            }
            "NICKNAME" => push("nicknames", object([("value", text(&line.value))])),
            "EMAIL" => push("emailAddresses", typed("value", line.value.clone())),
            "TEL" => push("phoneNumbers", typed("value", line.value.clone())),
            "URL" => push("urls", typed("value", text(&line.value))),
            "X-ABRELATEDNAMES" => push("relations", typed("person", text(&line.value))),
            "ORG" => {
                let mut parts = parts(&line.value).into_iter();
                let (name, department) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
                let title = lines.iter().find(|line| line.name == "TITLE").map(|line| text(&line.value));
                let title = title.unwrap_or_default();
                push("organizations", object([("name", name), ("department", department), ("title", title)]));
            }
            "ADR" => {
                let parts = parts(&line.value);
                let part = |at: usize| parts.get(at).cloned().unwrap_or_default();
                let code = lines.iter().find(|one| one.name == "X-ABADR" && one.group == line.group);
                let code = code.map(|line| line.value.to_ascii_uppercase()).unwrap_or_default();
                push(
                    "addresses",
                    object([
                        ("type", kind(lines, line).unwrap_or_default()),
                        ("streetAddress", part(2)),
                        ("city", part(3)),
                        ("region", part(4)),
                        ("postalCode", part(5)),
                        ("country", part(6)),
                        ("countryCode", code),
                    ]),
                );
            }
            "BDAY" => {
                // Incomplete dates typed into the web interface come as text (3.1).
                let item = if at % 40 == 7 {
                    object([("text", "Spring 1970".to_owned())])
                } else {
                    date(line).map(|date| Map::from_iter([("date".to_owned(), date)])).unwrap_or_default()
                };
                push("birthdays", item);
            }
            "X-ABDATE" => {
                let mut item = typed("type", String::new());
                if let Some(date) = date(line) {
                    item.insert("date".to_owned(), date);
                    push("events", item);
                }
            }
            _ => {}
        }
    }
    let notes = lines.iter().find(|line| line.name == "NOTE").map(|line| text(&line.value));
    if let Some(note) = notes {
        let mut item = object([("value", note)]);
        if at % 50 == 11 {
            item = object([("value", "<b>Met</b> at the fair".to_owned()), ("contentType", "TEXT_HTML".to_owned())]);
        }
        push("biographies", item);
    }
    match at % 35 {
        3 => push("clientData", object([("key", "other-app".to_owned()), ("value", format!("row-{at}"))])),
        9 => push("userDefined", object([("key", "Shoe size".to_owned()), ("value", "43".to_owned())])),
        15 => push(
            "imClients",
            object([("username", format!("user{at}")), ("protocol", "jabber".to_owned()), ("type", "home".to_owned())]),
        ),
        _ => {}
    }
    Value::Object(person)
}

#[cfg(test)]
mod tests {
    use super::people;
    use crate::google::clean::clean;
    use crate::google::fields::Mask;
    use crate::google::settings::Writes;

    #[test]
    fn seedlings_are_people_as_a_client_may_send_them() {
        let (people, groups) = people(3, 400);
        assert_eq!(people.len(), 400);
        assert!(!groups.is_empty());
        for seedling in &people {
            let cleaned = clean(&seedling.person, &Mask::all(), &Writes::default()).unwrap();
            assert!(!cleaned.fields.is_empty(), "{}", seedling.person);
        }
        let with = |field: &str| people.iter().filter(|one| one.person.get(field).is_some()).count();
        for field in
            ["names", "emailAddresses", "phoneNumbers", "addresses", "organizations", "birthdays", "biographies"]
        {
            assert!(with(field) > 40, "{field}: {}", with(field));
        }
        assert!(with("names") < 400, "some are companies");
        assert!(people.iter().any(|one| one.photo.is_some()));
        assert!(people.iter().any(|one| one.person["birthdays"][0]["text"].is_string()));
    }
}
