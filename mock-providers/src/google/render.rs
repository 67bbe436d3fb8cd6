//! A stored contact as an answer shows it: masked, with metadata, etags and labels in the reader's language (`google.md` 2.1, 3).
//!
//! Owns: the JSON of a person on its way out, and both kinds of etag. Must not: change what is stored.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::fields::Mask;
use super::settings::Settings;
use super::world::Owner;
use crate::book::{Entry, Tombstone, content_hash};
use crate::clock::rfc3339;
use crate::people::Dice;

/// How somebody looks at contacts.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) mask: Mask,
    /// Whether values of the contact are shown.
    pub(super) contact: bool,
    /// Whether values of a linked profile are shown.
    pub(super) profile: bool,
    pub(super) german: bool,
    /// Whether it is a list, which shows only so many values of a field.
    pub(super) list: bool,
    /// Whether it is a list with a sync token, which shows former names.
    pub(super) sync: bool,
}

/// The id of the contact's source: the number in hexadecimal digits (2.2).
pub(super) fn source_id(id: &str) -> String {
    let number: u64 = id.trim_start_matches('c').parse().unwrap_or_default();
    format!("{number:x}")
}

/// The etag of the contact's source: it changes with every write (3.3).
pub(super) fn source_etag(entry: &Entry) -> String {
    format!("#{}", STANDARD.encode(eight(entry)))
}

fn eight(entry: &Entry) -> [u8; 8] {
    let seed = content_hash(entry.id.as_bytes()) ^ entry.revision.rotate_left(40) ^ entry.modified;
    Dice::new(seed).roll().to_be_bytes()
}

/// The person's etag: it holds the mask, and the etag of the source as its last eight octets (3.3).
pub(super) fn person_etag(entry: &Entry, mask: &Mask) -> String {
    let mut bytes = content_hash(mask.text().as_bytes()).to_be_bytes().to_vec();
    bytes.extend(eight(entry));
    format!("%{}", STANDARD.encode(bytes))
}

/// Whether a person's etag, made with whatever mask, is of this version.
pub(super) fn etag_fits(entry: &Entry, etag: &str) -> bool {
    let bytes = etag.strip_prefix('%').and_then(|text| STANDARD.decode(text).ok());
    bytes.is_some_and(|bytes| bytes.len() == 16 && bytes[8..] == eight(entry))
}

/// A contact.
pub(super) fn person(owner: &Owner, entry: &Entry, view: &View, settings: &Settings, photo_url: &str) -> Value {
    let mut out = json!({"resourceName": format!("people/{}", entry.id), "etag": person_etag(entry, &view.mask)});
    let fields: Map<String, Value> = serde_json::from_slice(&entry.content).unwrap_or_default();
    let profile = owner.profiles.get(&entry.id).filter(|_| view.profile);
    let source = json!({"type": "CONTACT", "id": source_id(&entry.id)});
    for name in view.mask.fields() {
        if name == "metadata" {
            out["metadata"] = metadata(owner, entry, view);
            continue;
        }
        let mut items = match name {
            "memberships" if view.contact => memberships(entry),
            "photos" => photo(owner, entry, view, photo_url),
            _ if view.contact => fields.get(name).and_then(Value::as_array).cloned().unwrap_or_default(),
            _ => Vec::new(),
        };
        let chosen = items.iter().position(|item| item["metadata"]["sourcePrimary"] == true);
        let primary = chosen.filter(|_| settings.writes.source_primary).unwrap_or_default();
        for (at, item) in items.iter_mut().enumerate() {
            decorate(name, item, view.german);
            item["metadata"] = json!({"source": source});
            if at == primary && name != "memberships" {
                item["metadata"]["primary"] = true.into();
                item["metadata"]["sourcePrimary"] = true.into();
            }
        }
        if name == "names" {
            items.iter_mut().for_each(show_name);
        }
        if let Some(seed) = settings.reads.shuffle.filter(|_| name != "clientData") {
            shuffle(&mut items, seed ^ content_hash(entry.id.as_bytes()) ^ content_hash(name.as_bytes()));
        }
        if view.list && matches!(name, "emailAddresses" | "phoneNumbers") {
            items.truncate(settings.reads.listed_values);
        }
        if let Some((id, profile)) = profile {
            let foreign = profile.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
            for mut item in foreign {
                item["metadata"] = json!({"source": {"type": "PROFILE", "id": id}});
                if items.is_empty() {
                    item["metadata"]["primary"] = true.into();
                }
                items.push(item);
            }
        }
        if !items.is_empty() {
            out[name] = items.into();
        }
    }
    out
}

/// What remains of a deleted contact (2.2). Without `metadata` in the mask nobody sees that it is one.
pub(super) fn tombstone(gone: &Tombstone, mask: &Mask) -> Value {
    let mut stamp = gone.revision.to_be_bytes().to_vec();
    stamp.extend(content_hash(gone.id.as_bytes()).to_be_bytes());
    let etag = format!("%{}", STANDARD.encode(stamp));
    let mut out = json!({"resourceName": format!("people/{}", gone.id), "etag": etag});
    if mask.has("metadata") {
        let source = json!({"type": "CONTACT", "id": source_id(&gone.id)});
        out["metadata"] = json!({"sources": [source], "deleted": true, "objectType": "PERSON"});
    }
    out
}

fn metadata(owner: &Owner, entry: &Entry, view: &View) -> Value {
    let mut sources = Vec::new();
    if view.contact {
        sources.push(json!({
            "type": "CONTACT", "id": source_id(&entry.id),
            "etag": source_etag(entry), "updateTime": rfc3339(entry.modified),
        }));
    }
    if let Some((id, _)) = owner.profiles.get(&entry.id).filter(|_| view.profile) {
        sources.push(json!({
            "type": "PROFILE", "id": id, "etag": "#cHJvZmlsZQ==",
            "profileMetadata": {"objectType": "PERSON", "userTypes": ["GOOGLE_USER"]},
        }));
    }
    let mut out = json!({"sources": sources, "objectType": "PERSON"});
    if view.sync && !entry.former.is_empty() {
        let former: Vec<String> = entry.former.iter().map(|id| format!("people/{id}")).collect();
        out["previousResourceNames"] = former.into();
    }
    out
}

fn memberships(entry: &Entry) -> Vec<Value> {
    let one = |id: &String| {
        let group = json!({"contactGroupId": id, "contactGroupResourceName": format!("contactGroups/{id}")});
        json!({"contactGroupMembership": group})
    };
    entry.groups.iter().map(one).collect()
}

/// The photo, or the generated one that stands in for it (4.3).
fn photo(owner: &Owner, entry: &Entry, view: &View, photo_url: &str) -> Vec<Value> {
    match owner.photos.get(&entry.id) {
        Some(photo) if view.contact => vec![json!({"url": format!("{photo_url}/contacts/{}=s100", photo.key)})],
        _ => {
            let letter = content_hash(entry.id.as_bytes()) % 16;
            vec![json!({"url": format!("{photo_url}/default/{letter:x}=s100"), "default": true})]
        }
    }
}

/// Adds what Google says of a value: its label in words, its canonical form.
fn decorate(name: &str, item: &mut Value, german: bool) {
    let Some(members) = item.as_object_mut() else { return };
    let said = |members: &Map<String, Value>, key: &str| members.get(key).and_then(Value::as_str).map(str::to_owned);
    if let Some(kind) = said(members, "type").filter(|_| !matches!(name, "nicknames" | "locations")) {
        members.insert("formattedType".to_owned(), label(&kind, german).into());
    }
    if let Some(protocol) = said(members, "protocol") {
        members.insert("formattedProtocol".to_owned(), protocol_name(&protocol).into());
    }
    if name == "genders"
        && let Some(value) = said(members, "value")
    {
        members.insert("formattedValue".to_owned(), label(&value, german).into());
    }
    if name == "phoneNumbers"
        && let Some(canonical) = said(members, "value").and_then(|value| canonical(&value))
    {
        members.insert("canonicalForm".to_owned(), canonical.into());
    }
}

/// A name that came in one piece and was not split has no other display name.
fn show_name(name: &mut Value) {
    if name.get("displayNameLastFirst").is_none()
        && let Some(given) = name["givenName"].as_str().map(str::to_owned)
    {
        let last_first = match name["familyName"].as_str() {
            Some(family) => format!("{family}, {given}"),
            None => given,
        };
        name["displayNameLastFirst"] = last_first.into();
    }
}

/// E.164, for numbers that need no guess at a country (11).
fn canonical(value: &str) -> Option<String> {
    let rest = value.trim().strip_prefix('+')?;
    if rest.contains(|letter: char| !letter.is_ascii_digit() && !" -./()".contains(letter)) || rest.contains("(0)") {
        return None;
    }
    let digits: String = rest.chars().filter(char::is_ascii_digit).collect();
    (8..=15).contains(&digits.len()).then(|| format!("+{digits}"))
}

/// The label of a type; one that nobody has foreseen is its own.
fn label(kind: &str, german: bool) -> String {
    let (english, translated) = match kind {
        "home" | "HOME" => ("Home", "Privat"),
        "work" | "WORK" => ("Work", "Arbeit"),
        "other" | "OTHER" => ("Other", "Sonstige"),
        "mobile" => ("Mobile", "Mobil"),
        "main" => ("Main", "Hauptnummer"),
        "homeFax" => ("Home Fax", "Fax (privat)"),
        "workFax" => ("Work Fax", "Fax (Arbeit)"),
        "otherFax" => ("Other Fax", "Fax (sonstige)"),
        "pager" => ("Pager", "Pager"),
        "workMobile" => ("Work Mobile", "Mobil (Arbeit)"),
        "workPager" => ("Work Pager", "Pager (Arbeit)"),
        "googleVoice" => ("Google Voice", "Google Voice"),
        "homePage" => ("Home Page", "Startseite"),
        "blog" => ("Blog", "Blog"),
        "profile" => ("Profile", "Profil"),
        "anniversary" => ("Anniversary", "Jahrestag"),
        "spouse" => ("Spouse", "Ehepartner"),
        "child" => ("Child", "Kind"),
        "mother" => ("Mother", "Mutter"),
        "father" => ("Father", "Vater"),
        "friend" => ("Friend", "Freund"),
        "assistant" => ("Assistant", "Assistent"),
        "manager" => ("Manager", "Vorgesetzter"),
        "school" => ("School", "Schule"),
        "male" => ("Male", "Männlich"),
        "female" => ("Female", "Weiblich"),
        "unspecified" => ("Unspecified", "Keine Angabe"),
        _ => return kind.to_owned(),
    };
    if german { translated } else { english }.to_owned()
}

fn protocol_name(protocol: &str) -> String {
    match protocol {
        "aim" | "msn" | "icq" => protocol.to_uppercase(),
        "yahoo" => "Yahoo".to_owned(),
        "skype" => "Skype".to_owned(),
        "googleTalk" => "Google Talk".to_owned(),
        "jabber" => "Jabber".to_owned(),
        other => other.to_owned(),
    }
}

/// Another order, the same for the same seed (Fisher and Yates).
pub(super) fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut dice = Dice::new(seed);
    for at in (1..items.len()).rev() {
        items.swap(at, dice.below(at + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::{canonical, label, shuffle, source_id};

    #[test]
    fn the_source_is_the_number_in_hexadecimal_digits() {
        // A published pair (2.2).
        assert_eq!(source_id("c2638222672945904267"), "249cd98b0b527a8b");
    }

    #[test]
    fn only_plain_numbers_have_a_canonical_form() {
        assert_eq!(canonical("+44 7700 900123").as_deref(), Some("+447700900123"));
        assert_eq!(canonical("+49 (0)30/23125-000"), None);
        assert_eq!(canonical("(202) 555-0100"), None);
        assert_eq!(canonical("+1 202 555 0100 ext. 5"), None);
    }

    #[test]
    fn labels_are_translated_and_orders_repeat() {
        assert_eq!((label("home", false).as_str(), label("home", true).as_str()), ("Home", "Privat"));
        assert_eq!(label("Ferienhaus", true), "Ferienhaus");
        let mut one: Vec<usize> = (0..20).collect();
        let mut other = one.clone();
        shuffle(&mut one, 7);
        shuffle(&mut other, 7);
        assert_eq!(one, other);
        assert_ne!(one, (0..20).collect::<Vec<_>>());
    }
}
