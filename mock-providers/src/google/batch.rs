//! Writing contacts in batches (`google.md` 4 and 4.1).
//!
//! Owns: limits, all or nothing, errors item by item. Must not: know the rules of a single write.

use serde_json::{Map, Value, json};

use super::clean::unknown;
use super::error::Error;
use super::fields::Mask;
use super::read::{id_of, response, sources};
use super::render::{View, shuffle};
use super::world::Desk;
use super::write::{Plan, check_room, plan_create, plan_update, store, store_new};
use crate::journal::Effect;

/// How many contacts a batch creates or updates.
const WRITES: usize = 200;
/// How many it deletes.
const DELETES: usize = 500;

/// The view that the body of a batch asks for; none when the read mask is empty, and so nothing is read back.
fn view(desk: &Desk<'_>) -> Result<Option<View>, Error> {
    let text = desk.body["readMask"].as_str().unwrap_or_default();
    let mask = Mask::to_read("readMask", text)?;
    let named = desk.body["sources"].as_array().map(Vec::as_slice).unwrap_or_default();
    let (contact, profile) = sources(named.iter().filter_map(Value::as_str))?;
    Ok((!mask.is_empty()).then_some(View { mask, contact, profile, german: desk.german, list: false, sync: false }))
}

/// Refuses members that the body of this request does not have.
fn known(body: &Value, names: &[&str]) -> Result<(), Error> {
    let members = body.as_object().ok_or_else(|| Error::argument("Invalid JSON payload received."))?;
    members.keys().find(|name| !names.contains(&name.as_str())).map_or(Ok(()), |name| Err(unknown(name, "request")))
}

/// The error of a batch, item by item (4.1). The type's name is UNVERIFIED.
fn errors(kind: &str, failed: &Map<String, Value>) -> Error {
    let kind = format!("type.googleapis.com/google.people.v1.{kind}");
    Error::argument("Request contains an invalid argument.").with(json!({"@type": kind, "contactErrors": failed}))
}

/// After a fault that lets a batch stop in the middle.
fn interrupted() -> Error {
    Error::of_status(503)
}

/// `people.batchCreateContacts`.
pub(super) fn create(desk: &mut Desk<'_>) -> Result<Value, Error> {
    known(&desk.body, &["contacts", "readMask", "sources"])?;
    let view = view(desk)?;
    let contacts = desk.body["contacts"].as_array().cloned();
    let contacts = contacts.ok_or_else(|| Error::field("contacts", "Invalid value at 'contacts': not a list."))?;
    check_size(contacts.len(), WRITES, "contacts")?;
    let (mut plans, mut failed): (Vec<Plan>, Map<String, Value>) = (Vec::new(), Map::new());
    for (at, contact) in contacts.iter().enumerate() {
        known(contact, &["contactPerson"])?;
        match plan_create(desk.settings, desk.owner, &contact["contactPerson"]) {
            Ok(plan) => plans.push(plan),
            Err(error) => {
                failed.insert(at.to_string(), error.as_status());
            }
        }
    }
    if !failed.is_empty() && desk.settings.writes.batches_are_atomic {
        return Err(errors("BatchCreateContactsErrorDetails", &failed));
    }
    check_room(desk.settings, desk.owner, plans.len(), desk.now)?;
    let mut ids = Vec::new();
    for plan in plans {
        if desk.play.partial == Some(ids.len()) {
            return Err(interrupted());
        }
        ids.push(store_new(desk, plan));
    }
    if !failed.is_empty() {
        return Err(errors("BatchCreateContactsErrorDetails", &failed));
    }
    if desk.play.partial.is_some() {
        return Err(interrupted());
    }
    let Some(view) = view else { return Ok(json!({})) };
    if desk.settings.writes.shuffle_created {
        shuffle(&mut ids, desk.now);
    }
    let created: Vec<Value> =
        ids.iter().map(|id| response(desk, &format!("people/{id}"), desk.owner.book.get(id), &view)).collect();
    Ok(json!({"createdPeople": created}))
}

/// `people.batchUpdateContacts`.
pub(super) fn update(desk: &mut Desk<'_>) -> Result<Value, Error> {
    known(&desk.body, &["contacts", "readMask", "sources", "updateMask"])?;
    let mask = Mask::to_write("updateMask", desk.body["updateMask"].as_str().unwrap_or_default())?;
    let view = view(desk)?;
    let contacts = match &desk.body["contacts"] {
        Value::Object(contacts) => contacts.clone(),
        // Several clients have sent a list (4).
        _ => {
            return Err(Error::field(
                "contacts",
                "Invalid value at 'contacts': Proto field is a map, cannot bind a list to map.",
            ));
        }
    };
    check_size(contacts.len(), WRITES, "contacts")?;
    let (mut plans, mut failed): (Vec<(String, Plan)>, Map<String, Value>) = (Vec::new(), Map::new());
    for (name, person) in &contacts {
        let id = id_of(name).ok_or_else(|| Error::field("contacts", format!("Invalid resource name: {name}")))?;
        match plan_update(desk.settings, desk.owner, id, &mask, person) {
            Ok(plan) => plans.push((id.to_owned(), plan)),
            Err(error) => {
                failed.insert(name.clone(), error.as_status());
            }
        }
    }
    if !failed.is_empty() && desk.settings.writes.batches_are_atomic {
        return Err(errors("BatchUpdateContactsErrorDetails", &failed));
    }
    let mut ids = Vec::new();
    for (id, plan) in plans {
        if desk.play.partial == Some(ids.len()) {
            return Err(interrupted());
        }
        store(desk, &id, plan);
        ids.push(id);
    }
    if !failed.is_empty() {
        return Err(errors("BatchUpdateContactsErrorDetails", &failed));
    }
    if desk.play.partial.is_some() {
        return Err(interrupted());
    }
    let Some(view) = view else { return Ok(json!({})) };
    let mut result = Map::new();
    for id in ids {
        let name = format!("people/{id}");
        let one = response(desk, &name, desk.owner.book.get(&id), &view);
        result.insert(name, one);
    }
    Ok(json!({"updateResult": result}))
}

/// `people.batchDeleteContacts`.
pub(super) fn delete(desk: &mut Desk<'_>) -> Result<Value, Error> {
    known(&desk.body, &["resourceNames"])?;
    let names = desk.body["resourceNames"].as_array().cloned().unwrap_or_default();
    check_size(names.len(), DELETES, "resourceNames")?;
    let ids: Option<Vec<String>> = names.iter().map(|name| id_of(name.as_str()?).map(str::to_owned)).collect();
    let ids = ids.ok_or_else(|| Error::field("resourceNames", "Invalid resource name."))?;
    if desk.settings.writes.unknown_delete_refused && ids.iter().any(|id| desk.owner.book.get(id).is_none()) {
        return Err(Error::not_found());
    }
    for (at, id) in ids.iter().enumerate() {
        if desk.play.partial == Some(at) {
            return Err(interrupted());
        }
        if desk.owner.remove(id, desk.now).is_some() {
            desk.effects.push(Effect::Deleted(format!("people/{id}")));
        }
    }
    Ok(json!({}))
}

fn check_size(size: usize, most: usize, field: &str) -> Result<(), Error> {
    if (1..=most).contains(&size) {
        return Ok(());
    }
    Err(Error::field(field, format!("The number of {field} must be between 1 and {most}, and was {size}.")))
}
