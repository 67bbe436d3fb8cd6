//! A stored vCard's bytes and what they mean: the only place that knows both.

use crate::card::Card;
use crate::provider::Blob;

/// What a stored vCard turned out to be.
#[derive(Clone, Debug)]
pub enum Read {
    /// A person or an organisation.
    Contact(Contact),
    /// A group that lists its members.
    Group(GroupCard),
    /// Nothing that we can read without risk of losing something; why. Kept opaque, never written.
    Opaque(String),
}

/// A contact as read.
#[derive(Clone, Debug)]
pub struct Contact {
    /// Its content.
    pub card: Card,
    /// Its `UID`, verbatim but for a `urn:uuid:` in front.
    pub uid: Option<String>,
    /// Its `CATEGORIES`, which on servers without group cards are its groups.
    pub categories: Vec<String>,
    /// The picture, if it came inline.
    pub photo: Option<Blob>,
    /// Where the picture is, if it came as an address. The card's photo hash is then `url:` and the BLAKE3 of it.
    pub photo_url: Option<String>,
}

/// A group card as read.
#[derive(Clone, Debug)]
pub struct GroupCard {
    /// Its name.
    pub name: String,
    /// Its `UID`, verbatim but for a `urn:uuid:` in front.
    pub uid: Option<String>,
    /// UIDs of its members, verbatim but for a `urn:uuid:` in front.
    pub members: Vec<String>,
}

/// Reads a stored vCard: 2.1, 3.0 or 4.0, Apple's dialect, broken ones as far as possible.
pub fn read(raw: &[u8]) -> Read {
    let _ = raw;
    Read::Opaque(String::new())
}
