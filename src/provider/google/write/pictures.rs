//! Pictures: a request each (google.md §4.3).
//!
//! Owns: their order among the other writes. Before the fields of an update, so that a write which is cut short is planned
//! again as a whole; after a create, since there is no record before it. A picture that Google does not take
//! stays here, and it is said why.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;

use super::super::convert::{self, list, photo_url};
use super::super::edit::{Lists, same_items};
use super::super::fault::{ApiError, Fault};
use super::super::wire::{self, Pictured};
use super::Run;
use crate::card::Card;
use crate::card::field::{Field, FieldSet};
use crate::provider::{Blob, Fetched, Outcome, Write, WriteKind};
use crate::sync::retry::Resend;
use crate::sync::view::{RemoteRecord, RemoteRef, Seen};

/// What a picture's request came to.
enum Pictures {
    /// The record as it is now, where the answer shows it.
    Now(Option<Box<RemoteRecord>>),
    /// There was nothing to do, or Google won't have it, which was noted: the rest goes on.
    NotKept,
    /// The write ends here.
    End,
}

impl Run<'_> {
    /// Writes the pictures of records that have just been created.
    pub(super) async fn picture_new(&mut self) {
        let batch = self.batch;
        for (n, write) in batch.iter().enumerate() {
            let (WriteKind::Create { card, .. }, Some(Outcome::Stored(record))) = (&write.what, &self.outcomes[n])
            else {
                continue;
            };
            let record = record.clone();
            let (photo, mask) = (write.photo.as_ref(), FieldSet::all());
            if wanted(card, mask, None, photo) == Picture::Keep {
                continue;
            }
            if self.too_late(n) {
                self.end(n, without_picture(record, None));
                continue;
            }
            match self.picture(n, &record.at, card, mask, None, photo).await {
                Pictures::Now(Some(now)) => self.end(n, Outcome::Stored(*now)),
                // Its etag has moved on.
                Pictures::Now(None) => self.end(n, Outcome::Landed(RemoteRef { etag: None, ..record.at })),
                // It is there without its picture, and will be.
                Pictures::NotKept => self.end(n, Outcome::Stored(record)),
                Pictures::End => {
                    let why = match self.outcomes[n].take() {
                        Some(Outcome::Refused(why)) => Some(why),
                        _ => None,
                    };
                    self.end(n, without_picture(record, why));
                }
            }
        }
    }

    /// The record to start an update from, its picture written; `None` = the write has ended.
    pub(super) async fn pictured(
        &mut self,
        n: usize,
        write: &Write,
        card: &Card,
        mask: FieldSet,
        before: &RemoteRecord,
        lists: &Lists,
    ) -> Option<RemoteRecord> {
        let raw: Option<Json> = before.raw.as_deref().and_then(wire::read);
        let photo = write.photo.as_ref();
        if wanted(card, mask, raw.as_ref(), photo) == Picture::Keep {
            return Some(before.clone());
        }
        if !self.due(n) {
            return None;
        }
        let now = match self.picture(n, &before.at, card, mask, raw.as_ref(), photo).await {
            Pictures::NotKept => return Some(before.clone()),
            Pictures::End => return None,
            Pictures::Now(Some(now)) => *now,
            Pictures::Now(None) if lists.is_empty() => {
                self.end(n, Outcome::Landed(RemoteRef { etag: None, ..before.at.clone() }));
                return None;
            }
            Pictures::Now(None) => {
                match self.client.fetch(std::slice::from_ref(&before.at)).await.map(|mut got| got.pop()) {
                    Ok(Some(Fetched::There(Seen::Present(now), _))) => now,
                    _ => {
                        self.end(n, Outcome::NotTried);
                        return None;
                    }
                }
            }
        };
        // A picture has no guard: what is written next must still start from what we know.
        let after: Json = now.raw.as_deref().and_then(wire::read).unwrap_or_default();
        let raw = raw.unwrap_or_default();
        if lists.keys().any(|name| !same_items(list(&raw, name), list(&after, name))) {
            self.end(n, Outcome::Stale);
            return None;
        }
        Some(now)
    }

    /// Writes or removes the picture.
    async fn picture(
        &mut self,
        n: usize,
        at: &RemoteRef,
        card: &Card,
        mask: FieldSet,
        raw: Option<&Json>,
        photo: Option<&Blob>,
    ) -> Pictures {
        let id = at.id.as_str();
        if !wire::is_name(id, "people") {
            return Pictures::NotKept;
        }
        let removes = wanted(card, mask, raw, photo) == Picture::Remove;
        let request = match photo {
            _ if removes => self.client.api.delete_photo(id),
            Some(blob) if !is_taken(blob) => {
                self.unpictured.insert(n, format!("Google takes JPEG and PNG, and it is {}", blob.media_type));
                return Pictures::NotKept;
            }
            Some(blob) => self.client.api.set_photo(id, &STANDARD.encode(&blob.bytes)),
            None => return Pictures::NotKept,
        };
        // The same picture once more is the same picture.
        let answer = match self.client.call(&request, Resend::Guarded).await {
            Ok(answer) => answer,
            Err(fault) => {
                self.lost(std::iter::once(n), &fault);
                return Pictures::End;
            }
        };
        match answer.status.as_u16() {
            200..=299 => {
                self.clear_answer();
                let told: Pictured = wire::read(&answer.body).unwrap_or_default();
                match told.person.as_ref().and_then(|person| convert::observe(person, &at.collection)) {
                    Some(Seen::Present(now)) => Pictures::Now(Some(Box::new(now))),
                    _ => Pictures::Now(None),
                }
            }
            // No picture to remove; or no contact, which the next request says.
            404 if removes => Pictures::NotKept,
            404 => {
                self.end(n, Outcome::Missing);
                Pictures::End
            }
            status @ (400 | 413 | 415) => {
                let why = if status == 413 {
                    "it is too large for Google"
                } else {
                    "Google can't make use of it as a picture"
                };
                self.unpictured.insert(n, why.to_owned());
                Pictures::NotKept
            }
            _ => {
                self.lost(std::iter::once(n), &Fault::Api(ApiError::of(&answer)));
                Pictures::End
            }
        }
    }
}

/// It was created, and its picture is still to be sent.
fn without_picture(record: RemoteRecord, why: Option<String>) -> Outcome {
    let mut lacks = FieldSet::NONE;
    lacks.insert(Field::Photo);
    Outcome::Partly { record, lacks, why }
}

/// It was written, and its picture was not taken.
pub(super) fn not_taken(outcome: Outcome, why: String) -> Outcome {
    match outcome {
        Outcome::Stored(record) => {
            let mut fields = FieldSet::NONE;
            fields.insert(Field::Photo);
            Outcome::Without { record, fields, why }
        }
        // It is tried again, or read: that is told first.
        other => other,
    }
}

/// What is to be done about the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Picture {
    Keep,
    Set,
    Remove,
}

/// Google takes JPEG and PNG.
fn is_taken(blob: &Blob) -> bool {
    matches!(&blob.bytes[..], [0xFF, 0xD8, 0xFF, ..] | [0x89, b'P', b'N', b'G', ..])
}

fn wanted(card: &Card, mask: FieldSet, raw: Option<&Json>, photo: Option<&Blob>) -> Picture {
    if !mask.contains(Field::Photo) {
        return Picture::Keep;
    }
    match (&card.photo, photo) {
        (None, _) if raw.and_then(photo_url).is_some() => Picture::Remove,
        (Some(_), Some(_)) => Picture::Set,
        _ => Picture::Keep,
    }
}
