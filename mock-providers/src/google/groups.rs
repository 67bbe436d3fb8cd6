//! Contact groups, which the web interface calls labels (`google.md` 5).
//!
//! Owns: the groups' calls and rules. Must not: change a contact otherwise than in its memberships.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::clean::unknown;
use super::error::Error;
use super::read::id_of;
use super::tokens::Token;
use super::world::{Desk, Owner};
use super::write::{CLOSED, MY_CONTACTS, OPEN};
use crate::book::{Change, Condition, Entry, content_hash};
use crate::clock::rfc3339;
use crate::journal::Effect;
use crate::people::Dice;

/// The parts of a group that can be asked for.
const FIELDS: [&str; 5] = ["clientData", "groupType", "memberCount", "metadata", "name"];
const DEFAULT: [&str; 4] = ["groupType", "memberCount", "metadata", "name"];

/// Reads a mask of parts of a group.
fn mask(parameter: &str, text: Option<&str>) -> Result<BTreeSet<String>, Error> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(DEFAULT.map(str::to_owned).into());
    };
    let known = |path: &str| FIELDS.contains(&path).then(|| path.to_owned());
    text.split(',')
        .map(|path| known(path).ok_or_else(|| Error::argument(format!("Invalid {parameter} mask path: \"{path}\"."))))
        .collect()
}

/// The etag of a group, without the sign that contacts' etags have.
pub(super) fn etag(entry: &Entry) -> String {
    let seed = content_hash(entry.id.as_bytes()) ^ entry.revision.rotate_left(24) ^ entry.modified;
    STANDARD.encode(Dice::new(seed).roll().to_be_bytes())
}

/// Name and client data of a group.
pub(super) fn parts(entry: &Entry) -> Map<String, Value> {
    serde_json::from_slice(&entry.content).unwrap_or_default()
}

pub(super) fn name_of(entry: &Entry) -> String {
    parts(entry).get("name").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// How many members each group has.
fn counts(owner: &Owner) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for group in owner.book.entries().flat_map(|entry| &entry.groups) {
        *counts.entry(group.as_str()).or_default() += 1;
    }
    counts
}

fn system_name(id: &str, german: bool) -> &'static str {
    let (english, translated) = match id {
        MY_CONTACTS => ("My Contacts", "Meine Kontakte"),
        "starred" => ("Starred", "Markiert"),
        "all" => ("All Contacts", "Alle Kontakte"),
        "blocked" => ("Blocked", "Blockiert"),
        "chatBuddies" => ("Chat contacts", "Chatkontakte"),
        "coworkers" => ("Coworkers", "Kollegen"),
        "family" => ("Family", "Familie"),
        _ => ("Friends", "Freunde"),
    };
    if german { translated } else { english }
}

/// A group as an answer shows it.
fn show(desk: &Desk<'_>, id: &str, mask: &BTreeSet<String>, counts: &BTreeMap<&str, usize>) -> Option<Value> {
    let has = |name: &str| mask.contains(name);
    let mut out = json!({"resourceName": format!("contactGroups/{id}")});
    let entry = desk.owner.groups.get(id);
    match entry {
        Some(entry) => {
            let parts = parts(entry);
            out["etag"] = etag(entry).into();
            if has("metadata") {
                out["metadata"] = json!({"updateTime": rfc3339(entry.modified)});
            }
            if has("name") {
                out["name"] = parts.get("name").cloned().unwrap_or_default();
                out["formattedName"] = out["name"].clone();
            }
            if let Some(data) = parts.get("clientData").filter(|_| has("clientData")) {
                out["clientData"] = data.clone();
            }
        }
        None if OPEN.contains(&id) || CLOSED.contains(&id) => {
            if has("name") {
                out["name"] = id.into();
                out["formattedName"] = system_name(id, desk.german).into();
            }
        }
        None => return None,
    }
    if has("groupType") {
        out["groupType"] = if entry.is_some() { "USER_CONTACT_GROUP" } else { "SYSTEM_CONTACT_GROUP" }.into();
    }
    if let Some(count) = counts.get(id).filter(|_| has("memberCount")) {
        out["memberCount"] = (*count).into();
    }
    Some(out)
}

/// `contactGroups.list`. Members are never filled here.
pub(super) fn list(desk: &mut Desk<'_>) -> Result<Value, Error> {
    let text = desk.query.one("groupFields").map(str::to_owned);
    let mask = mask("groupFields", text.as_deref())?;
    let size = desk.query.page_size(30, 1000)?;
    let sync = desk.query.one("syncToken").map(str::to_owned);
    let bound = format!("{mask:?}");
    let sync_bound = content_hash(bound.as_bytes());
    let page_bound = content_hash(format!("{bound}|{size}|{}", sync.as_deref().unwrap_or_default()).as_bytes());
    let read = |text: &str, bound: u64, page: bool| Token::of(text, "contactGroups", desk.who, bound, page);
    let page = desk.query.one("pageToken").map(|text| read(text, page_bound, true)).transpose()?;
    let since = sync.as_deref().map(|text| read(text, sync_bound, false)).transpose()?;
    let here = desk.owner.groups.cursor();
    if let Some(since) = &since {
        since.check_age(desk.settings, desk.now)?;
    }
    let counts = counts(desk.owner);
    let all: Vec<Value> = match &since {
        None => {
            let mut user: Vec<&Entry> = desk.owner.groups.entries().collect();
            user.sort_by_key(|entry| entry.revision);
            let ids = OPEN.into_iter().chain(CLOSED).chain(user.iter().map(|entry| entry.id.as_str()));
            ids.filter_map(|id| show(desk, id, &mask, &counts)).collect()
        }
        Some(since) => {
            let changes = desk.owner.groups.changes(since.cursor(), usize::MAX);
            let changes = changes.map_err(|_| Error::expired_token(desk.settings.errors))?.changes;
            let row = |change: &Change<'_>| match change {
                Change::Upsert(entry) => show(desk, &entry.id, &mask, &counts),
                Change::Delete(gone) => Some(json!({
                    "resourceName": format!("contactGroups/{}", gone.id), "metadata": {"deleted": true},
                })),
            };
            changes.iter().filter_map(row).collect()
        }
    };
    let start = page.as_ref().and_then(|page| page.page).and_then(|at| usize::try_from(at).ok()).unwrap_or_default();
    let total = all.len();
    let mut shown: Vec<Value> = all.into_iter().skip(start).take(size).collect();
    let end = start + shown.len();
    if desk.play.no_rows || desk.play.no_groups {
        shown.clear();
    }
    desk.effects.push(Effect::Listed(shown.len()));
    let first = Token {
        of: "contactGroups".to_owned(),
        user: desk.who,
        bound: sync_bound,
        revision: here.revision,
        line: here.generation,
        full: since.as_ref().map_or(desk.now, |since| since.full),
        given: desk.now,
        page: None,
    };
    let base = page.unwrap_or(first);
    let mut out = json!({});
    if !shown.is_empty() {
        out["contactGroups"] = shown.into();
        out["totalItems"] = total.into();
    }
    if end < total {
        out["nextPageToken"] = Token { bound: page_bound, page: Some(end as u64), ..base }.text().into();
    } else {
        out["nextSyncToken"] = Token { bound: sync_bound, given: desk.now, page: None, ..base }.text().into();
    }
    Ok(out)
}

/// A group with so many of its members.
fn with_members(desk: &Desk<'_>, id: &str, mask: &BTreeSet<String>, most: usize) -> Result<Value, Error> {
    let mut out = show(desk, id, mask, &counts(desk.owner)).ok_or_else(Error::not_found)?;
    let members = desk.owner.book.entries().filter(|entry| entry.groups.contains(id)).take(most);
    let members: Vec<String> = members.map(|entry| format!("people/{}", entry.id)).collect();
    if !members.is_empty() {
        out["memberResourceNames"] = members.into();
    }
    Ok(out)
}

/// `contactGroups.get`.
pub(super) fn get(desk: &mut Desk<'_>, id: &str) -> Result<Value, Error> {
    let mask = mask("groupFields", desk.query.one("groupFields"))?;
    let most = desk.query.number("maxMembers")?.unwrap_or_default();
    let found = with_members(desk, id, &mask, most)?;
    desk.effects.push(Effect::Read(1));
    Ok(found)
}

/// `contactGroups.batchGet`.
pub(super) fn batch_get(desk: &mut Desk<'_>) -> Result<Value, Error> {
    let mask = mask("groupFields", desk.query.one("groupFields"))?;
    let most = desk.query.number("maxMembers")?.unwrap_or_default();
    let names: Vec<String> = desk.query.many("resourceNames").map(str::to_owned).collect();
    if names.is_empty() || names.len() > 200 {
        return Err(Error::field("resourceNames", "Between 1 and 200 resource names must be given."));
    }
    let respond = |name: &String| {
        let found = name.strip_prefix("contactGroups/").ok_or_else(Error::not_found);
        match found.and_then(|id| with_members(desk, id, &mask, most)) {
            Ok(group) => json!({"requestedResourceName": name, "status": {}, "contactGroup": group}),
            Err(error) => json!({"requestedResourceName": name, "status": error.as_status()}),
        }
    };
    let responses: Vec<Value> = names.iter().map(respond).collect();
    desk.effects.push(Effect::Read(responses.len()));
    Ok(json!({"responses": responses}))
}

/// Name and client data that a request sets.
fn sent(body: &Value, extra: &str) -> Result<(Option<String>, Option<Value>), Error> {
    let allowed = ["contactGroup", "readGroupFields", extra];
    let members = body.as_object().ok_or_else(|| Error::argument("Invalid JSON payload received."))?;
    if let Some(name) = members.keys().find(|name| !allowed.contains(&name.as_str())) {
        return Err(unknown(name, "request"));
    }
    let known = [
        "resourceName",
        "etag",
        "metadata",
        "groupType",
        "name",
        "formattedName",
        "memberResourceNames",
        "memberCount",
        "clientData",
    ];
    let group =
        body["contactGroup"].as_object().ok_or_else(|| Error::field("contact_group", "The group is missing."))?;
    if let Some(name) = group.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(unknown(name, "contact_group"));
    }
    let name = group.get("name").and_then(Value::as_str).filter(|name| !name.is_empty()).map(str::to_owned);
    let data = group.get("clientData").filter(|data| data.as_array().is_some_and(|items| !items.is_empty()));
    Ok((name, data.cloned()))
}

/// Whether the name is free (5).
fn check_name(desk: &Desk<'_>, name: &str, except: &str) -> Result<(), Error> {
    let fold =
        |name: &str| if desk.settings.writes.group_names_fold_case { name.to_lowercase() } else { name.to_owned() };
    let mut taken = desk.owner.groups.entries().filter(|entry| entry.id != except);
    if taken.any(|entry| fold(&name_of(entry)) == fold(name)) {
        return Err(Error::new(409, "ALREADY_EXISTS", "Contact group name already exists."));
    }
    Ok(())
}

/// A group as the body's mask asks for it.
fn answer(desk: &Desk<'_>, id: &str) -> Result<Value, Error> {
    let mask = mask("readGroupFields", desk.body["readGroupFields"].as_str())?;
    show(desk, id, &mask, &counts(desk.owner)).ok_or_else(Error::not_found)
}

/// `contactGroups.create`.
pub(super) fn create(desk: &mut Desk<'_>) -> Result<Value, Error> {
    let (name, data) = sent(&desk.body, "")?;
    mask("readGroupFields", desk.body["readGroupFields"].as_str())?;
    let name = name.ok_or_else(|| Error::field("contact_group.name", "The name of a contact group must be set."))?;
    check_name(desk, &name, "")?;
    let mut parts = json!({"name": name});
    if let Some(data) = data {
        parts["clientData"] = data;
    }
    let id = desk.owner.new_group_id();
    let stored = desk.owner.groups.put(&id, parts.to_string(), Condition::IfAbsent, desk.now);
    stored.map_err(|_| Error::of_status(409))?;
    desk.effects.push(Effect::Created(format!("contactGroups/{id}")));
    answer(desk, &id)
}

/// `contactGroups.update`.
pub(super) fn update(desk: &mut Desk<'_>, id: &str) -> Result<Value, Error> {
    let (name, data) = sent(&desk.body, "updateGroupFields")?;
    mask("readGroupFields", desk.body["readGroupFields"].as_str())?;
    let entry = match desk.owner.groups.get(id) {
        Some(entry) => entry,
        None if OPEN.contains(&id) || CLOSED.contains(&id) => {
            return Err(Error::argument("Cannot modify a system contact group."));
        }
        None => return Err(Error::not_found()),
    };
    match desk.body["contactGroup"]["etag"].as_str().filter(|etag| !etag.is_empty()) {
        None => return Err(Error::field("contact_group.etag", "Request must set contact_group.etag.")),
        Some(sent) if sent != etag(entry) => return Err(Error::new(409, "ABORTED", "Contact group etag is outdated.")),
        Some(_) => {}
    }
    let mut parts = parts(entry);
    let paths = desk.body["updateGroupFields"].as_str().filter(|text| !text.is_empty()).unwrap_or("name");
    for path in paths.split(',') {
        match path {
            "name" => {
                let name = name.clone();
                let name =
                    name.ok_or_else(|| Error::field("contact_group.name", "The name of a contact group must be set."))?;
                check_name(desk, &name, id)?;
                parts.insert("name".to_owned(), name.into());
            }
            "clientData" => {
                match data.clone() {
                    Some(data) => parts.insert("clientData".to_owned(), data),
                    None => parts.remove("clientData"),
                };
            }
            other => return Err(Error::argument(format!("Invalid updateGroupFields mask path: \"{other}\"."))),
        }
    }
    let stored = desk.owner.groups.put(id, Value::Object(parts).to_string(), Condition::IfPresent, desk.now);
    stored.map_err(|_| Error::not_found())?;
    desk.effects.push(Effect::Updated(format!("contactGroups/{id}")));
    answer(desk, id)
}

/// `contactGroups.delete`.
pub(super) fn delete(desk: &mut Desk<'_>, id: &str) -> Result<Value, Error> {
    let with_contacts = desk.query.flag("deleteContacts")?;
    if OPEN.contains(&id) || CLOSED.contains(&id) {
        return Err(Error::argument("Cannot delete a system contact group."));
    }
    let gone = remove(desk.owner, desk.settings.writes, id, with_contacts, desk.now).ok_or_else(Error::not_found)?;
    desk.effects.push(Effect::Deleted(format!("contactGroups/{id}")));
    desk.effects.extend(gone.into_iter().map(|id| Effect::Deleted(format!("people/{id}"))));
    Ok(json!({}))
}

/// Removes a group, with its members or from them. Returns the contacts that went too; none when there is no such group.
pub(super) fn remove(
    owner: &mut Owner,
    writes: super::settings::Writes,
    id: &str,
    with_contacts: bool,
    now: u64,
) -> Option<Vec<String>> {
    owner.groups.delete(id, Condition::IfPresent, now).ok()?;
    let members = owner.book.entries().filter(|entry| entry.groups.contains(id));
    let members: Vec<(String, BTreeSet<String>)> =
        members.map(|entry| (entry.id.clone(), entry.groups.clone())).collect();
    let mut gone = Vec::new();
    for (member, mut groups) in members {
        if with_contacts {
            owner.remove(&member, now);
            gone.push(member);
            continue;
        }
        groups.remove(id);
        if groups.is_empty() && writes.fall_back {
            groups.insert(MY_CONTACTS.to_owned());
        }
        set_groups(owner, &member, groups, writes.group_delete_touches, now);
    }
    Some(gone)
}

/// Puts a contact into exactly these groups, with or without a new version of it.
pub(super) fn set_groups(owner: &mut Owner, id: &str, groups: BTreeSet<String>, touches: bool, now: u64) {
    if touches {
        owner.remember(id, now);
        let stored = owner.book.set_groups(id, groups, now);
        debug_assert!(stored.is_ok(), "the contact was there a moment ago");
    } else {
        owner.book.set_groups_silently(id, groups);
    }
}

/// `contactGroups.members.modify`.
pub(super) fn modify(desk: &mut Desk<'_>, id: &str) -> Result<Value, Error> {
    let names = |key: &str| -> Result<Vec<String>, Error> {
        let text = |name: &Value| name.as_str().map(str::to_owned);
        let named = desk.body[key].as_array().map(Vec::as_slice).unwrap_or_default();
        let found: Option<Vec<String>> = named.iter().map(text).collect();
        found.ok_or_else(|| Error::field(key, format!("Invalid value at '{key}'.")))
    };
    let (add, leave) = (names("resourceNamesToAdd")?, names("resourceNamesToRemove")?);
    let allowed = ["resourceNamesToAdd", "resourceNamesToRemove"];
    if let Some(name) =
        desk.body.as_object().and_then(|body| body.keys().find(|name| !allowed.contains(&name.as_str())))
    {
        return Err(unknown(name, "request"));
    }
    if add.len() + leave.len() > 1000 {
        return Err(Error::argument("At most 1000 resource names can be added and removed at once."));
    }
    if desk.owner.groups.get(id).is_none() && !OPEN.contains(&id) {
        if !CLOSED.contains(&id) {
            return Err(Error::not_found());
        }
        if !add.is_empty() {
            return Err(Error::argument(format!("Cannot add contacts to the system group contactGroups/{id}.")));
        }
    }
    let touches = desk.settings.writes.labels_touch;
    let (mut missing, mut last) = (Vec::new(), Vec::new());
    for (name, adds) in add.iter().map(|name| (name, true)).chain(leave.iter().map(|name| (name, false))) {
        let Some(entry) = id_of(name).and_then(|contact| desk.owner.book.get(contact)) else {
            missing.push(name.clone());
            continue;
        };
        let (contact, mut groups) = (entry.id.clone(), entry.groups.clone());
        let changed = if adds { groups.insert(id.to_owned()) } else { groups.remove(id) };
        if !changed {
            continue;
        }
        if groups.is_empty() {
            last.push(name.clone());
            continue;
        }
        set_groups(desk.owner, &contact, groups, touches, desk.now);
        desk.effects.push(Effect::Updated(name.clone()));
    }
    let mut out = json!({});
    if !missing.is_empty() {
        out["notFoundResourceNames"] = missing.into();
    }
    if !last.is_empty() {
        out["canNotRemoveLastContactGroupResourceNames"] = last.into();
    }
    Ok(out)
}
