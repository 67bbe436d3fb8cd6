//! GET, PUT and DELETE of a card.
//!
//! Owns: preconditions and which cards are refused (`icloud-carddav.md` 4). Must not: change a card's lines (`rewrite.rs`).

use super::answer::{Ns, Reply, Writer};
use super::lines::{Facts, facts, unfold};
use super::names::{Target, encode_onto};
use super::propfind::Rows;
use super::rewrite::{self, Stored};
use super::settings::{EtagForm, PutEtag};
use super::world::{Done, Play, Request, World, http_date, is_group, plain};
use crate::book::{Condition, Entry};
use crate::journal::Effect;

/// GET and HEAD.
pub(super) fn get(world: &World, request: &Request<'_>, who: usize, target: &Target, play: &Play) -> Done {
    let name = match target {
        Target::Card(_, name) => name,
        Target::Nothing => return plain(Reply::empty(404)),
        _ if world.settings.listing.cut_collection_get => return plain(Reply::empty(0)),
        _ => return plain(Reply::empty(501)),
    };
    let Some(entry) = world.owners[who].book.get(name) else { return plain(Reply::empty(404)) };
    let etag = play.etag(&entry.etag);
    if etag.is_some() && request.header("if-none-match") == etag.as_deref() {
        return plain(Reply::empty(304));
    }
    let reply = Reply::content(200, "text/vcard; charset=utf-8", entry.content.clone())
        .with("last-modified", http_date(entry.modified));
    let reply = match etag {
        Some(etag) => reply.with("etag", etag),
        None => reply,
    };
    (reply, vec![Effect::Read(1)])
}

/// PUT (RFC 6352 §6.3.2).
pub(super) fn put(
    world: &mut World,
    request: &Request<'_>,
    who: usize,
    target: &Target,
    play: &Play,
    now: u64,
) -> Done {
    let Target::Card(_, name) = target else {
        return plain(Reply::empty(if *target == Target::Nothing { 409 } else { 403 }));
    };
    let (rules, limits) = (world.settings.write, world.settings.limits);
    if let Some(refused) = read_only(world) {
        return plain(refused);
    }
    let odd = |letter: char| letter == '@' || letter.is_whitespace() || !letter.is_ascii();
    if rules.refuse_odd_names && name.contains(odd) {
        return plain(Reply::empty(rules.refused));
    }
    let stored = world.owners[who].book.get(name);
    if let Err(refused) = precondition(world, request, stored) {
        return plain(refused);
    }
    if request.body.len() > limits.card_bytes {
        return plain(too_big(world));
    }
    let lines = unfold(request.body);
    let known = facts(request.body, &lines);
    if unacceptable(world, &known) {
        return plain(Reply::empty(rules.refused));
    }
    if let Some(refused) = conflict(world, who, name, stored, &known) {
        return plain(refused);
    }
    let created = stored.is_none();
    if created && world.owners[who].book.len() >= limits.cards {
        return plain(Reply::empty(507));
    }
    let own_name = if created && rules.rename_creates {
        let minted = world.owners[who].book.mint("c");
        format!("{minted}.vcf")
    } else {
        name.clone()
    };
    let stored = rewrite::rewrite(world, who, &own_name, request.body, lines, now);
    if stored.photo.as_ref().is_some_and(|photo| photo.bytes.len() > limits.photo_bytes) {
        return plain(too_big(world));
    }
    let status = if created { 201 } else { 204 };
    if play.drop_write {
        return plain(Reply::empty(status).with("etag", format!("\"{now}\"")));
    }
    keep(world, who, &own_name, stored, &known, created, request, play, now)
}

/// Stores what a PUT has come to and says so.
#[allow(clippy::too_many_arguments, reason = "the last step of PUT, split off for its length")]
fn keep(
    world: &mut World,
    who: usize,
    name: &str,
    stored: Stored,
    known: &Facts,
    created: bool,
    request: &Request<'_>,
    play: &Play,
    now: u64,
) -> Done {
    let kept = stored.content == request.body;
    let owner = &mut world.owners[who];
    // The preconditions have been looked at; the book itself is not asked again.
    let Ok(written) = owner.store(name, stored.content, known, Condition::None, now) else {
        return plain(Reply::empty(412));
    };
    owner.shelf.set(name, stored.photo);
    let mut reply = Reply::empty(if created { 201 } else { 204 });
    let says_etag = match world.settings.write.etag {
        PutEtag::Always => true,
        PutEtag::WhenKept => kept,
        PutEtag::Never => false,
    };
    if let Some(etag) = play.etag(&written.etag).filter(|_| says_etag) {
        reply = reply.with("etag", etag);
    }
    if world.settings.write.rename_creates && created {
        reply = reply.with("location", Rows::new(world, who, play).href(name));
    }
    let effect = if created { Effect::Created(name.to_owned()) } else { Effect::Updated(name.to_owned()) };
    (reply, vec![effect])
}

/// DELETE (RFC 4918 §9.6).
pub(super) fn delete(
    world: &mut World,
    request: &Request<'_>,
    who: usize,
    target: &Target,
    play: &Play,
    now: u64,
) -> Done {
    let Target::Card(_, name) = target else {
        return plain(Reply::empty(if *target == Target::Nothing { 404 } else { 403 }));
    };
    if let Some(refused) = read_only(world) {
        return plain(refused);
    }
    if world.settings.write.refuse_delete_depth && request.header("depth").is_some() {
        return plain(Reply::empty(400));
    }
    let Some(entry) = world.owners[who].book.get(name) else { return plain(Reply::empty(404)) };
    if let Err(refused) = precondition(world, request, Some(entry)) {
        return plain(refused);
    }
    let mut effects = Vec::new();
    if !play.drop_write && world.owners[who].remove(name, Condition::None, now).is_ok() {
        effects.push(Effect::Deleted(name.clone()));
    }
    if world.settings.write.delete_multistatus {
        let mut xml = Writer::new(world.settings.xml);
        xml.open(Ns::Dav, "multistatus");
        xml.status_row(request.path, 200);
        return (xml.reply(200), effects);
    }
    (Reply::empty(204), effects)
}

fn read_only(world: &World) -> Option<Reply> {
    let refused = || Reply::condition(403, world.settings.xml, Ns::Dav, "need-privileges");
    world.settings.listing.read_only.then(refused)
}

fn too_big(world: &World) -> Reply {
    Reply::condition(world.settings.limits.too_big, world.settings.xml, Ns::Card, "max-resource-size")
}

/// If-Match and If-None-Match (RFC 9110 §13.1).
fn precondition(world: &World, request: &Request<'_>, stored: Option<&Entry>) -> Result<(), Reply> {
    let rules = world.settings.write;
    let etags = |value: &str| value.split(',').map(|one| one.trim().to_owned()).collect::<Vec<_>>();
    let current = stored.map(|entry| format!("\"{}\"", entry.etag));
    // A weak etag never matches (RFC 9110 §8.8.3.2): it isn't equal to the strong one as text.
    let form = world.settings.xml.etags;
    let loose = |current: &String| current.trim_matches('"').to_owned();
    let matches = |value: &str| {
        let (sent, current) = (etags(value), current.as_ref().filter(|_| form != EtagForm::Weak));
        let bare = current.map(loose).filter(|_| form == EtagForm::Unquoted);
        current.is_some_and(|current| sent.contains(current)) || bare.is_some_and(|bare| sent.contains(&bare))
    };
    let refused = || {
        let reply = Reply::empty(412);
        Err(match current.clone().filter(|_| rules.etag_on_412) {
            Some(etag) => reply.with("etag", etag),
            None => reply,
        })
    };
    match request.header("if-none-match") {
        Some("*") if stored.is_some() => return refused(),
        Some(value) if value != "*" && matches(value) => return refused(),
        _ => {}
    }
    match request.header("if-match") {
        Some("*") if stored.is_none() || rules.if_match_star_fails => refused(),
        Some(value) if value != "*" && rules.heed_if_match && !matches(value) => refused(),
        _ => Ok(()),
    }
}

/// Whether a card is refused for what it lacks (`icloud-carddav.md` 4.4).
fn unacceptable(world: &World, known: &Facts) -> bool {
    let rules = world.settings.write;
    (rules.need_syntax && !known.well_formed)
        || (rules.need_n && !known.has_n)
        || (rules.need_fn && known.formatted.is_none())
        || (rules.need_uid && known.uid.is_empty())
        || (rules.only_version_3 && known.version != "3.0")
        || (rules.refuse_folded_prodid && known.prodid_folded)
}

/// Whether a card clashes with what is stored: its UID, its own former UID, its kind.
fn conflict(world: &World, who: usize, name: &str, stored: Option<&Entry>, known: &Facts) -> Option<Reply> {
    let rules = world.settings.write;
    let uid_of = |entry: &Entry| entry.marks.get("uid").cloned().unwrap_or_default();
    let clash = |status: u16, other: &str| {
        let mut xml = Writer::new(world.settings.xml);
        xml.open(Ns::Dav, "error");
        xml.open(Ns::Card, "no-uid-conflict");
        let mut href = super::names::book_path(world.settings.discovery.layout, &world.owners[who].login.dsid);
        encode_onto(&mut href, other, world.settings.xml.encode_at);
        xml.leaf(Ns::Dav, "href", &href);
        xml.reply(status)
    };
    if let Some(entry) = stored {
        let before = uid_of(entry);
        if rules.refuse_uid_change && !before.is_empty() && before != known.uid {
            return Some(clash(403, name));
        }
        if rules.refuse_kind_change && is_group(entry) != known.is_group {
            return Some(Reply::empty(rules.refused));
        }
    }
    let status = rules.uid_conflict?;
    let other = world.owners[who].book.find_mark("uid", &known.uid).find(|entry| entry.id != name)?;
    Some(clash(status, &other.id))
}
