//! Photos of contacts, and the origin that serves them without a token (`google.md` 4.3).
//!
//! Owns: what is taken for a photo, and what becomes of its bytes. Must not: know the other fields.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use bytes::Bytes;
use serde_json::{Value, json};

use super::error::Error;
use super::fields::Mask;
use super::read::{show, sources, view};
use super::render::View;
use super::world::{Desk, Photo, World};
use crate::book::content_hash;
use crate::journal::Effect;
use crate::net::Reply;
use crate::people;

/// A photo as Google keeps it: the bytes are never those that came.
pub(super) fn recoded(bytes: &[u8]) -> Option<Photo> {
    let hash = content_hash(bytes);
    let key = format!("{hash:016x}");
    if bytes.starts_with(b"\xff\xd8\xff") {
        // A comment after the start of the image, which every reader skips.
        let comment = b"\xff\xfe\x00\x0arecoded!";
        let bytes = [&bytes[..2], comment.as_slice(), &bytes[2..]].concat();
        return Some(Photo { key, kind: "image/jpeg", bytes: bytes.into() });
    }
    // A PNG comes back as a JPEG, whose pixels are not the point here.
    bytes.starts_with(b"\x89PNG\r\n\x1a\n").then(|| Photo { key, kind: "image/jpeg", bytes: people::jpeg(hash).into() })
}

/// The bytes of a member of type `bytes`: both alphabets, with or without padding.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let both = [&STANDARD, &URL_SAFE, &STANDARD_NO_PAD, &URL_SAFE_NO_PAD];
    both.into_iter().find_map(|engine| engine.decode(text).ok())
}

/// Gives the contact a new version, as every write of a photo does.
fn bump(desk: &mut Desk<'_>, id: &str) -> Result<(), Error> {
    desk.owner.remember(id, desk.now);
    desk.owner.book.touch(id, desk.now).map_err(|_| Error::not_found())?;
    desk.effects.push(Effect::Updated(format!("people/{id}")));
    Ok(())
}

fn answer(desk: &Desk<'_>, id: &str, view: Option<View>) -> Value {
    match (desk.owner.book.get(id), view) {
        (Some(entry), Some(view)) => json!({"person": show(desk, entry, &view)}),
        _ => json!({}),
    }
}

/// `people.updateContactPhoto`.
pub(super) fn set(desk: &mut Desk<'_>, id: &str) -> Result<Value, Error> {
    let view = match desk.body["personFields"].as_str() {
        Some(text) if !text.is_empty() => {
            let named = desk.body["sources"].as_array().map(Vec::as_slice).unwrap_or_default();
            let (contact, profile) = sources(named.iter().filter_map(Value::as_str))?;
            let mask = Mask::to_read("personFields", text)?;
            Some(View { mask, contact, profile, german: desk.german, list: false, sync: false })
        }
        _ => None,
    };
    if desk.owner.book.get(id).is_none() {
        return Err(Error::not_found());
    }
    let text = desk.body["photoBytes"].as_str().filter(|text| !text.is_empty());
    let bytes = text.and_then(decoded).ok_or_else(|| {
        Error::field("photo_bytes", "Invalid value at 'photo_bytes' (TYPE_BYTES), Base64 decoding failed.")
    })?;
    if bytes.len() > desk.settings.writes.photo_bytes {
        return Err(Error::new(413, "INVALID_ARGUMENT", "The photo is too large."));
    }
    let photo = recoded(&bytes).ok_or_else(|| Error::argument("The photo must be a JPEG or a PNG."))?;
    desk.owner.photos.insert(id.to_owned(), photo);
    bump(desk, id)?;
    Ok(answer(desk, id, view))
}

/// `people.deleteContactPhoto`.
pub(super) fn remove(desk: &mut Desk<'_>, id: &str) -> Result<Value, Error> {
    let view = match desk.query.one("personFields") {
        Some(_) => Some(view(desk, "personFields", None)?),
        None => None,
    };
    if desk.owner.book.get(id).is_none() {
        return Err(Error::not_found());
    }
    match desk.owner.photos.remove(id) {
        Some(_) => bump(desk, id)?,
        None if desk.settings.writes.absent_photo_is_error => {
            return Err(Error::new(404, "NOT_FOUND", "Contact photo was not found."));
        }
        None => {}
    }
    Ok(answer(desk, id, view))
}

/// The origin of the photos. Who asks does not matter, and a token that comes along is to be seen in the journal.
pub(super) fn serve(world: &World, method: &str, path: &str, effects: &mut Vec<Effect>) -> Reply {
    let key = |kind: &str| path.strip_prefix(kind).and_then(|rest| rest.split('=').next());
    let contact = key("/contacts/")
        .and_then(|key| world.owners.iter().flat_map(|owner| owner.photos.values()).find(|photo| photo.key == key));
    let found: Option<(&str, Bytes)> = match (method, contact, key("/default/")) {
        ("GET", Some(photo), _) => Some((photo.kind, photo.bytes.clone())),
        ("GET", None, Some(letter)) => Some(("image/png", people::png(content_hash(letter.as_bytes())).into())),
        _ => None,
    };
    match found {
        Some((kind, bytes)) => {
            effects.push(Effect::Read(1));
            Reply::content(200, kind, bytes).with("cache-control", "public, max-age=86400")
        }
        None => Reply::html(404, "Error 404 (Not Found)", "The requested URL was not found."),
    }
}
