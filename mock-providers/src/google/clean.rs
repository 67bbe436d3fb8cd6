//! What becomes of a person that a client sends: checked, stripped of what only Google sets, completed (`google.md` 3 and 4).
//!
//! Owns: the rules for a person on its way in. Must not: know what is stored already.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::error::Error;
use super::fields::{FIELDS, Field, Holds, Mask};
use super::settings::Writes;

/// A person as it is going to be stored.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Cleaned {
    /// The fields that the mask names and that hold something.
    pub(super) fields: Map<String, Value>,
    /// The groups that were named; none when there was no membership at all.
    pub(super) groups: Option<BTreeSet<String>>,
}

/// Checks a person and strips it. Only the fields of the mask are kept, but what is no JSON of a person is refused anyway.
pub(super) fn clean(person: &Value, mask: &Mask, writes: &Writes) -> Result<Cleaned, Error> {
    let Value::Object(members) = person else {
        return Err(Error::argument("Invalid JSON payload received. A person is an object."));
    };
    let mut cleaned = Cleaned::default();
    for (name, value) in members {
        if matches!(name.as_str(), "resourceName" | "etag" | "metadata") || value.is_null() {
            continue;
        }
        let Some(field) = FIELDS.iter().find(|field| field.name == name) else {
            return Err(unknown(name, "person"));
        };
        if !field.writable {
            refuse_output(name, writes)?;
            continue;
        }
        let items = value.as_array().ok_or_else(|| wrong(&format!("person.{name}"), value))?;
        let mut kept = Vec::new();
        for (at, item) in items.iter().enumerate() {
            let item = clean_item(field, at, item, writes)?;
            kept.extend(item.filter(|_| mask.has(name)));
        }
        if field.single && kept.len() > 1 {
            return Err(Error::argument(format!("Cannot have more than one person.{name} per source.")));
        }
        if name == "memberships" {
            let groups: BTreeSet<String> = kept.iter().filter_map(group_of).collect();
            cleaned.groups = (!groups.is_empty()).then_some(groups);
        } else if !kept.is_empty() {
            cleaned.fields.insert(name.clone(), complete(name, kept, writes).into());
        }
    }
    Ok(cleaned)
}

/// One item of a field; none when it says nothing, or belongs to another source than the contact.
fn clean_item(field: &Field, at: usize, item: &Value, writes: &Writes) -> Result<Option<Value>, Error> {
    let path = format!("person.{}[{at}]", field.name);
    let members = item.as_object().ok_or_else(|| wrong(&path, item))?;
    let (mut kept, mut primary, mut foreign) = (Map::new(), false, false);
    for (name, value) in members.iter().filter(|(_, value)| !value.is_null()) {
        if name == "metadata" {
            let metadata = value.as_object().ok_or_else(|| wrong(&path, value))?;
            if let Some(name) = metadata.keys().find(|name| !METADATA.contains(&name.as_str())) {
                return Err(unknown(name, &format!("{path}.metadata")));
            }
            primary = metadata.get("sourcePrimary") == Some(&Value::Bool(true));
            foreign = value["source"]["type"].as_str().is_some_and(|kind| kind != "CONTACT");
            continue;
        }
        let path_of_member = format!("{path}.{name}");
        let Some((_, holds)) = field.members.iter().find(|(member, _)| member == name) else {
            return Err(unknown(name, &path));
        };
        let value = match (holds, value) {
            (Holds::Output, _) => {
                refuse_output(&path_of_member, writes)?;
                continue;
            }
            (Holds::Text, Value::String(text)) => {
                let text = if writes.trim { text.trim() } else { text.as_str() };
                if text.is_empty() {
                    continue;
                }
                text.into()
            }
            // JSON of a message leaves out what is the default: the first word, false and 0.
            (Holds::Word(words), Value::String(word)) if words.first() == Some(&word.as_str()) => continue,
            (Holds::Word(words), Value::String(word)) if words.contains(&word.as_str()) => value.clone(),
            (Holds::Flag, Value::Bool(false)) => continue,
            (Holds::Flag, Value::Bool(true)) => value.clone(),
            (Holds::Number, Value::Number(number)) if number.as_i64() == Some(0) => continue,
            (Holds::Number, Value::Number(number)) if number.is_i64() => value.clone(),
            (Holds::Date, Value::Object(date)) => match clean_date(date, &path_of_member)? {
                Some(date) => date,
                None => continue,
            },
            (Holds::Group, Value::Object(group)) => clean_group(group, &path_of_member, writes)?,
            _ => return Err(wrong(&path_of_member, value)),
        };
        kept.insert(name.clone(), value);
    }
    // A type alone, or a flag, is not worth an item.
    let says = kept.iter().any(|(name, value)| name != "type" && name != "contentType" && !value.is_boolean());
    if primary {
        kept.insert("metadata".to_owned(), json!({"sourcePrimary": true}));
    }
    Ok((says && !foreign).then_some(Value::Object(kept)))
}

/// The members of `FieldMetadata`.
const METADATA: [&str; 4] = ["primary", "sourcePrimary", "verified", "source"];

/// A date without its zeros; none when it has nothing else.
fn clean_date(date: &Map<String, Value>, path: &str) -> Result<Option<Value>, Error> {
    let mut kept = Map::new();
    for (name, value) in date {
        let most = match name.as_str() {
            "year" => 9999,
            "month" => 12,
            "day" => 31,
            _ => return Err(unknown(name, path)),
        };
        match value.as_u64() {
            Some(0) => {}
            Some(number) if number <= most => {
                kept.insert(name.clone(), number.into());
            }
            _ => return Err(Error::argument(format!("Invalid value at '{path}.{name}': {value}"))),
        }
    }
    Ok((!kept.is_empty()).then_some(Value::Object(kept)))
}

fn clean_group(group: &Map<String, Value>, path: &str, writes: &Writes) -> Result<Value, Error> {
    for name in group.keys() {
        match name.as_str() {
            "contactGroupResourceName" => {}
            "contactGroupId" => refuse_output(&format!("{path}.{name}"), writes)?,
            _ => return Err(unknown(name, path)),
        }
    }
    let named = group.get("contactGroupResourceName").and_then(Value::as_str);
    let id = named.and_then(|name| name.strip_prefix("contactGroups/")).filter(|id| !id.is_empty());
    let id = id.ok_or_else(|| Error::argument(format!("Invalid value at '{path}.contact_group_resource_name'.")))?;
    Ok(id.into())
}

fn group_of(item: &Value) -> Option<String> {
    item["contactGroupMembership"].as_str().map(str::to_owned)
}

fn refuse_output(path: &str, writes: &Writes) -> Result<(), Error> {
    if writes.refuse_read_only {
        return Err(Error::argument(format!("{path} is output only.")));
    }
    Ok(())
}

pub(super) fn unknown(name: &str, path: &str) -> Error {
    let text = format!("Invalid JSON payload received. Unknown name \"{name}\" at '{path}': Cannot find field.");
    Error::field(path, text)
}

fn wrong(path: &str, value: &Value) -> Error {
    // Only the kind of value is said: the value may be personal.
    let kind = match value {
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
        Value::Number(_) => "a number",
        Value::Bool(_) | Value::Null => "a literal",
    };
    Error::field(path, format!("Invalid value at '{path}': {kind} does not fit."))
}

/// Adds what Google makes of the parts that came (11).
fn complete(name: &str, mut items: Vec<Value>, writes: &Writes) -> Vec<Value> {
    match name {
        "names" => items.iter_mut().for_each(|item| complete_name(item, writes)),
        "addresses" => items.iter_mut().for_each(complete_address),
        "biographies" => items.iter_mut().for_each(|item| {
            if item.get("contentType").is_none() {
                item["contentType"] = "TEXT_PLAIN".into();
            }
        }),
        _ => {}
    }
    items
}

const PARTS: [&str; 5] = ["honorificPrefix", "givenName", "middleName", "familyName", "honorificSuffix"];

fn complete_name(name: &mut Value, writes: &Writes) {
    let has_parts = PARTS.iter().any(|part| name.get(*part).is_some());
    if let Some(whole) = name["unstructuredName"].as_str().map(str::to_owned)
        && (!has_parts || writes.unstructured_wins)
    {
        if writes.split_names {
            let (given, family) = whole.trim().rsplit_once(' ').unwrap_or((whole.trim(), ""));
            if let Some(name) = name.as_object_mut() {
                name.retain(|part, _| !PARTS.contains(&part.as_str()));
            }
            for (part, value) in [("givenName", given), ("familyName", family)] {
                if !value.is_empty() {
                    name[part] = value.trim().into();
                }
            }
        }
        name["displayName"] = whole.into();
        return;
    }
    let part = |part: &str| name[part].as_str().filter(|text| !text.is_empty());
    let join = |parts: &[&str]| parts.iter().filter_map(|one| part(one)).collect::<Vec<_>>().join(" ");
    let suffix = part("honorificSuffix").map(|suffix| format!(", {suffix}")).unwrap_or_default();
    let whole = join(&["honorificPrefix", "givenName", "middleName", "familyName"]) + &suffix;
    let whole = whole.trim_start_matches(", ").to_owned();
    if whole.is_empty() {
        return;
    }
    let rest = join(&["givenName", "middleName"]) + &suffix;
    let last_first = match part("familyName") {
        Some(family) if !rest.is_empty() => format!("{family}, {}", rest.trim_start_matches(", ")),
        _ => whole.clone(),
    };
    name["displayNameLastFirst"] = last_first.into();
    name["displayName"] = whole.as_str().into();
    if name.get("unstructuredName").is_none() {
        name["unstructuredName"] = whole.into();
    }
}

/// Lines of an address in the order of an envelope in Europe or America; which order Google takes is not known.
fn complete_address(address: &mut Value) {
    if address.get("formattedValue").is_some() {
        return;
    }
    let part = |part: &str| address[part].as_str().unwrap_or_default();
    let place = [part("city"), part("region"), part("postalCode")];
    let place = place.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ");
    let lines = [part("poBox"), part("streetAddress"), part("extendedAddress"), &place, part("country")];
    let whole = lines.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n");
    if !whole.is_empty() {
        address["formattedValue"] = whole.into();
    }
}

#[cfg(test)]
mod tests {
    use super::{Cleaned, clean};
    use crate::google::fields::Mask;
    use crate::google::settings::Writes;
    use serde_json::{Value, json};

    fn all(person: &Value) -> Cleaned {
        clean(person, &Mask::all(), &Writes::default()).unwrap()
    }

    fn error(person: &Value) -> String {
        clean(person, &Mask::all(), &Writes::default()).unwrap_err().message
    }

    #[test]
    fn names_are_completed_from_their_parts() {
        let parts = json!({"names": [{"givenName": "Ada", "familyName": "Example", "honorificSuffix": "Jr.",
                                      "displayName": "ignored"}]});
        let name = &all(&parts).fields["names"][0];
        assert_eq!(name["displayName"], "Ada Example, Jr.");
        assert_eq!(name["unstructuredName"], "Ada Example, Jr.");
        assert_eq!(name["displayNameLastFirst"], "Example, Ada, Jr.");
        let whole = all(&json!({"names": [{"unstructuredName": "Ada B. Example"}]}));
        assert_eq!(whole.fields["names"][0]["familyName"], "Example");
        assert_eq!(whole.fields["names"][0]["givenName"], "Ada B.");
        assert_eq!(all(&json!({"names": [{"displayName": "Ada"}]})), Cleaned::default());
    }

    #[test]
    fn what_says_nothing_is_not_kept() {
        let person = json!({
            "phoneNumbers": [{"value": ""}, {"type": "home"}, {"value": "1", "canonicalForm": "+1"}, null_item()],
            "birthdays": [{"date": {"year": 0, "month": 7, "day": 4}}], "urls": null,
            "organizations": [{"name": "Example Ltd", "current": false, "fullTimeEquivalentMillipercent": 0}],
            "nicknames": [{"value": "x", "type": "DEFAULT"}],
            "emailAddresses": [{"value": "a@example.com", "metadata": {"source": {"type": "PROFILE"}}}],
        });
        let fields = all(&person).fields;
        assert_eq!(
            Value::from(fields),
            json!({
                "organizations": [{"name": "Example Ltd"}], "nicknames": [{"value": "x"}],
                "phoneNumbers": [{"value": "1"}], "birthdays": [{"date": {"month": 7, "day": 4}}],
            })
        );
    }

    fn null_item() -> Value {
        json!({"value": null})
    }

    #[test]
    fn what_is_no_person_is_refused() {
        let two = json!({"names": [{"givenName": "A"}, {"givenName": "B"}]});
        assert_eq!(error(&two), "Cannot have more than one person.names per source.");
        assert!(error(&json!({"notes": []})).contains("Unknown name \"notes\" at 'person'"));
        assert!(error(&json!({"urls": [{"href": "x"}]})).contains("Unknown name \"href\" at 'person.urls[0]'"));
        assert!(error(&json!({"urls": [{"value": 1}]})).contains("person.urls[0].value"));
        assert!(error(&json!({"nicknames": [{"value": "x", "type": "nick"}]})).contains("nicknames[0].type"));
        assert!(error(&json!({"events": [{"date": {"month": 13}}]})).contains("events[0].date.month"));
        assert!(error(&json!({"urls": {}})).contains("person.urls"));
        let strict = Writes { refuse_read_only: true, ..Writes::default() };
        let sent = json!({"names": [{"displayName": "A"}]});
        assert!(clean(&sent, &Mask::all(), &strict).unwrap_err().message.contains("output only"));
    }

    #[test]
    fn addresses_get_lines_and_groups_are_named() {
        let address = json!({"streetAddress": "Main St 1", "city": "Springfield", "region": "IL", "country": "USA"});
        let membership = json!({"contactGroupMembership": {"contactGroupResourceName": "contactGroups/abc"}});
        let cleaned = all(&json!({"addresses": [address], "memberships": [membership]}));
        assert_eq!(cleaned.fields["addresses"][0]["formattedValue"], "Main St 1\nSpringfield IL\nUSA");
        assert_eq!(cleaned.groups, Some(["abc".to_owned()].into()));
    }
}
