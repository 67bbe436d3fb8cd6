//! The photo origin: `/contacts/<dsid>/ck/card/<hash>`.
//!
//! Owns: the form of photo URLs and who may fetch them (`icloud-carddav.md` 6.4). Must not: read cards.

use bytes::Bytes;

use super::answer::Reply;
use super::world::{Done, Photo, Request, World, plain};
use crate::book::content_hash;
use crate::journal::Effect;

/// A photo ready to be stored; its hash depends on the account, the card and the bytes.
pub(super) fn develop(dsid: &str, card: &str, bytes: Bytes) -> Photo {
    let place = content_hash(format!("{dsid}/{card}").as_bytes());
    let hash = format!("{place:016x}{:016x}", content_hash(&bytes));
    let kind = match bytes.as_ref() {
        [0x89, b'P', b'N', b'G', ..] => "image/png",
        [b'G', b'I', b'F', ..] => "image/gif",
        [b'B', b'M', ..] => "image/bmp",
        _ => "image/jpeg",
    };
    Photo { hash, kind, bytes }
}

/// The URL of a photo.
pub(super) fn url(world: &World, who: usize, hash: &str) -> String {
    format!("{}/contacts/{}/ck/card/{hash}", world.photo_url, world.owners[who].login.dsid)
}

/// Answers a request on the photo origin.
pub(super) fn serve(world: &World, request: &Request<'_>, who: usize) -> Done {
    let owner = &world.owners[who];
    let segments: Vec<&str> = request.path.split('/').collect();
    let ["", "contacts", dsid, "ck", "card", hash] = segments.as_slice() else { return plain(Reply::empty(404)) };
    if request.method != "GET" && request.method != "HEAD" {
        return plain(Reply::empty(405));
    }
    if *dsid != owner.login.dsid {
        return plain(Reply::empty(403));
    }
    match owner.shelf.find(hash) {
        Some(photo) => (Reply::content(200, photo.kind, photo.bytes.clone()), vec![Effect::Read(1)]),
        None => plain(Reply::empty(404)),
    }
}
