//! Writing single contacts (`google.md` 3.3 and 4). Planning is apart from storing, so that a batch can be refused as a whole.
//!
//! Owns: etag rules, membership rules, what an update replaces. Must not: answer for several contacts at once.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::clean::clean;
use super::error::Error;
use super::fields::Mask;
use super::read::{show, view};
use super::render::{etag_fits, source_etag};
use super::settings::Settings;
use super::world::{Desk, Owner};
use crate::journal::Effect;

/// The group that everybody is in who was put into no other.
pub(super) const MY_CONTACTS: &str = "myContacts";
/// Groups of the system, to which contacts can be added.
pub(super) const OPEN: [&str; 2] = [MY_CONTACTS, "starred"];
/// The others: only to be left (5).
pub(super) const CLOSED: [&str; 6] = ["all", "blocked", "chatBuddies", "coworkers", "family", "friends"];

/// A contact as it will be stored.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    fields: Map<String, Value>,
    groups: BTreeSet<String>,
}

/// What a create would store.
pub(super) fn plan_create(settings: &Settings, owner: &Owner, person: &Value) -> Result<Plan, Error> {
    let cleaned = clean(person, &Mask::all(), &settings.writes)?;
    let groups = cleaned.groups.unwrap_or_else(|| BTreeSet::from([MY_CONTACTS.to_owned()]));
    check_groups(settings, owner, &groups, &BTreeSet::new())?;
    Ok(Plan { fields: cleaned.fields, groups })
}

/// What an update would store: each field of the mask is replaced as a whole, or cleared when it is absent.
pub(super) fn plan_update(
    settings: &Settings,
    owner: &Owner,
    id: &str,
    mask: &Mask,
    person: &Value,
) -> Result<Plan, Error> {
    let mut cleaned = clean(person, mask, &settings.writes)?;
    let entry = owner.book.get(id).ok_or_else(Error::not_found)?;
    match etag_of(person) {
        (Some(etag), _) if !etag_fits(entry, etag) => return Err(Error::stale("person.etag")),
        (None, Some(etag)) if etag != source_etag(entry) => {
            return Err(Error::stale("person.metadata.sources.etag"));
        }
        (None, None) => {
            return Err(Error::argument(
                "Request must set person.etag or person.metadata.sources.etag for the source that is being updated.",
            ));
        }
        _ => {}
    }
    let mut fields = Owner::fields(entry);
    for name in mask.fields() {
        match cleaned.fields.remove(name) {
            Some(items) => fields.insert(name.to_owned(), items),
            None => fields.remove(name),
        };
    }
    let groups = if mask.has("memberships") {
        let groups = cleaned.groups.ok_or_else(|| {
            Error::field("person.memberships", "A contact must have at least one contact group membership.")
        })?;
        check_groups(settings, owner, &groups, &entry.groups)?;
        groups
    } else {
        entry.groups.clone()
    };
    Ok(Plan { fields, groups })
}

/// The etag of the person, and that of its contact's source.
fn etag_of(person: &Value) -> (Option<&str>, Option<&str>) {
    let sources = person["metadata"]["sources"].as_array().into_iter().flatten();
    let source = sources.filter(|source| source["type"] == "CONTACT").find_map(|source| source["etag"].as_str());
    (person["etag"].as_str().filter(|etag| !etag.is_empty()), source.filter(|etag| !etag.is_empty()))
}

/// Whether a contact that is in `now` may be put into `groups`.
fn check_groups(
    settings: &Settings,
    owner: &Owner,
    groups: &BTreeSet<String>,
    now: &BTreeSet<String>,
) -> Result<(), Error> {
    for id in groups.difference(now) {
        if OPEN.contains(&id.as_str()) || owner.groups.get(id).is_some() {
            continue;
        }
        if CLOSED.contains(&id.as_str()) {
            let text = format!("Cannot add contacts to the system group contactGroups/{id}.");
            return Err(Error::field("person.memberships", text));
        }
        return Err(match settings.writes.unknown_group_status {
            404 => Error::not_found(),
            _ => Error::field("person.memberships", format!("Contact group contactGroups/{id} does not exist.")),
        });
    }
    Ok(())
}

/// Whether there is room for so many more contacts (3.4).
pub(super) fn check_room(settings: &Settings, owner: &Owner, more: usize, now: u64) -> Result<(), Error> {
    if owner.count(settings.writes.trash_counts, now) + more <= settings.writes.contacts {
        return Ok(());
    }
    let status = match settings.writes.overflow_status {
        429 => "RESOURCE_EXHAUSTED",
        403 => "PERMISSION_DENIED",
        _ => "FAILED_PRECONDITION",
    };
    Err(Error::new(settings.writes.overflow_status, status, "MY_CONTACTS_OVERFLOW_COUNT"))
}

/// Stores a new contact and says its id.
pub(super) fn store_new(desk: &mut Desk<'_>, plan: Plan) -> String {
    let id = desk.owner.new_id();
    desk.owner.put(&id, &plan.fields, plan.groups, desk.now);
    desk.effects.push(Effect::Created(format!("people/{id}")));
    id
}

/// Stores a contact that was there.
pub(super) fn store(desk: &mut Desk<'_>, id: &str, plan: Plan) {
    desk.owner.put(id, &plan.fields, plan.groups, desk.now);
    desk.effects.push(Effect::Updated(format!("people/{id}")));
}

/// The contact as it was just stored: never stale.
fn written(desk: &Desk<'_>, id: &str, view: &super::render::View) -> Result<Value, Error> {
    desk.owner.book.get(id).map(|entry| show(desk, entry, view)).ok_or_else(Error::not_found)
}

/// `people.createContact`.
pub(super) fn create(desk: &mut Desk<'_>) -> Result<Value, Error> {
    let view = view(desk, "personFields", Some(Mask::all()))?;
    let plan = plan_create(desk.settings, desk.owner, &desk.body)?;
    check_room(desk.settings, desk.owner, 1, desk.now)?;
    let id = store_new(desk, plan);
    written(desk, &id, &view)
}

/// `people.updateContact`.
pub(super) fn update(desk: &mut Desk<'_>, id: &str) -> Result<Value, Error> {
    let mask = Mask::to_write("updatePersonFields", desk.query.one("updatePersonFields").unwrap_or_default())?;
    let view = view(desk, "personFields", Some(Mask::all()))?;
    let plan = plan_update(desk.settings, desk.owner, id, &mask, &desk.body)?;
    store(desk, id, plan);
    written(desk, id, &view)
}

/// `people.deleteContact`.
pub(super) fn delete(desk: &mut Desk<'_>, id: &str) -> Result<Value, Error> {
    desk.owner.remove(id, desk.now).ok_or_else(Error::not_found)?;
    desk.effects.push(Effect::Deleted(format!("people/{id}")));
    Ok(json!({}))
}
