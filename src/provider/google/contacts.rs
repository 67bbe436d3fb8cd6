//! Reading people (google.md §2): listings, single records, and those that carry our tokens.
//!
//! Owns: the way a listing goes, and what counts as gone. Nothing that a listing leaves out is ever told as removed.

use std::collections::{BTreeMap, HashMap, HashSet};

use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, Url};
use serde_json::Value as Json;

use super::convert::{self, list, photo_url, text};
use super::fault::{ApiError, Fault};
use super::wire::{self, CUT_AT, Got, Listing, MOST_PEOPLE, Place};
use super::{Client, fault};
use crate::ids::{CollectionId, RemoteId, Timestamp, Token};
use crate::provider::http::message::{Credentials, Request};
use crate::provider::{Blob, Changes, Fetched, Found, From, Listed, Next};
use crate::sync::retry::Resend;
use crate::sync::view::{RemoteRecord, RemoteRef, Seen};

/// Bigger pictures are not read.
const PICTURE_LIMIT: u64 = 8 * 1024 * 1024;
/// The size that pictures are asked for in, in pixels: without it Google hands out thumbnails.
const PICTURE_SIZE: &str = "720";

impl Client {
    /// The next page of what changed. `most`: after how many ms everything is listed again.
    pub(super) async fn changes(&self, of: &CollectionId, from: From<'_>, most: i64) -> Result<Changes, Fault> {
        let now = self.world.now();
        let place = place(from, now, most)?;
        let answer = match self.ask(&self.api.list(&place)).await {
            Err(Fault::Api(error)) => return Err(refused(error, &place)),
            answer => answer?,
        };
        let page: Listing = wire::read(&answer.body).ok_or(Fault::Implausible("a listing that can't be read"))?;
        let next = match (page.next_page_token.filter(|token| !token.is_empty()), page.next_sync_token) {
            // A listing that stays on its page would never end (google.md §9, 3).
            (Some(token), _) if place.page.as_ref() == Some(&token) => {
                return Err(Fault::Implausible("the same page twice"));
            }
            (Some(token), _) => Next::Page(place.turned(token)),
            (None, Some(token)) if !token.is_empty() => Next::Done(place.done(token)),
            _ => return Err(Fault::Implausible("the end of a listing without a sync token")),
        };
        let whole = self.whole(of, &page.connections).await?;
        let mut seen: Vec<Seen> = page.connections.iter().filter_map(|person| convert::observe(person, of)).collect();
        let mut listed = Vec::new();
        seen.retain_mut(|seen| match whole.get(seen.id()) {
            None => true,
            Some(Some(full)) => {
                *seen = full.clone();
                true
            }
            // It is not believed, nor forgotten: the engine asks for it again.
            Some(None) => {
                listed.extend(seen.at().map(|at| Listed { at: at.clone(), modified: None }));
                false
            }
        });
        // New names come before the old ones are told as gone (google.md §2.2).
        seen.sort_by_key(|seen| match seen {
            Seen::Present(record) => record.formerly.is_empty(),
            Seen::Gone(_) => true,
            _ => false,
        });
        seen.sort_by_key(|seen| matches!(seen, Seen::Gone(_)));
        Ok(Changes { full: place.sync.is_none(), seen, listed, blobs: Vec::new(), next })
    }

    /// Those of a page whose lists were cut short, in full (google.md §2.1); `None` where Google did not answer for one. Seldom any.
    async fn whole(&self, of: &CollectionId, people: &[Json]) -> Result<HashMap<RemoteId, Option<Seen>>, Fault> {
        let cut =
            |person: &&Json| ["emailAddresses", "phoneNumbers"].iter().any(|name| list(person, name).len() >= CUT_AT);
        let names = people.iter().filter(cut).filter_map(|person| text(person, "resourceName"));
        let refs: Vec<RemoteRef> =
            names.map(|name| RemoteRef { collection: of.clone(), id: RemoteId::from(name), etag: None }).collect();
        let mut whole = HashMap::new();
        for (at, fetched) in refs.iter().zip(self.fetch(&refs).await?) {
            let seen = match fetched {
                Fetched::There(seen, _) => Some(seen),
                Fetched::Gone => Some(Seen::Gone(at.id.clone())),
                Fetched::Unknown => None,
            };
            whole.insert(at.id.clone(), seen);
        }
        Ok(whole)
    }

    /// One answer for each, in order.
    pub(super) async fn fetch(&self, of: &[RemoteRef]) -> Result<Vec<Fetched>, Fault> {
        let mut answers: HashMap<&RemoteId, Fetched> = HashMap::with_capacity(of.len());
        let mut once = HashSet::new();
        let asked: Vec<&RemoteRef> =
            of.iter().filter(|at| wire::is_name(at.id.as_str(), "people") && once.insert(&at.id)).collect();
        let mut parts: Vec<&[&RemoteRef]> = asked.chunks(MOST_PEOPLE).collect();
        parts.reverse();
        while let Some(part) = parts.pop() {
            match self.batch_get(part).await {
                Ok(got) => answers.extend(got),
                // Which of them the answer is about can only be told by asking for fewer.
                Err(Fault::Api(error)) if matches!(error.http, 400 | 404) => match part {
                    [one] if error.http == 404 => drop(answers.insert(&one.id, Fetched::Gone)),
                    [_] | [] => {}
                    many => {
                        let (left, right) = many.split_at(many.len() / 2);
                        parts.extend([right, left]);
                    }
                },
                Err(fault) => return Err(fault),
            }
        }
        Ok(of.iter().map(|at| answers.get(&at.id).cloned().unwrap_or(Fetched::Unknown)).collect())
    }

    async fn batch_get<'a>(&self, part: &[&'a RemoteRef]) -> Result<Vec<(&'a RemoteId, Fetched)>, Fault> {
        let request = self.api.batch_get(part.iter().map(|at| at.id.as_str()));
        let answer = self.ask(&request).await?;
        let got: Got = wire::read(&answer.body).ok_or(Fault::Implausible("people that can't be read"))?;
        let mut by_name = BTreeMap::new();
        for response in got.responses {
            let own = response.person.as_ref().and_then(|person| text(person, "resourceName"));
            if let Some(name) = response.requested_resource_name.as_deref().or(own) {
                by_name.insert(name.to_owned(), response);
            }
        }
        let mut answers = Vec::with_capacity(part.len());
        for at in part {
            let Some(response) = by_name.get(at.id.as_str()) else { continue };
            let seen = response.person.as_ref().and_then(|person| convert::observe(person, &at.collection));
            let fetched = match seen {
                Some(Seen::Gone(_)) => Fetched::Gone,
                Some(Seen::Present(mut record)) => {
                    // It has another name by now (google.md §2.2).
                    if record.at.id != at.id && !record.formerly.contains(&at.id) {
                        record.formerly.push(at.id.clone());
                    }
                    Fetched::There(Seen::Present(record), Vec::new())
                }
                Some(seen) => Fetched::There(seen, Vec::new()),
                None if fault::cause(&response.status) == fault::Cause::Missing => Fetched::Gone,
                None => Fetched::Unknown,
            };
            answers.push((&at.id, fetched));
        }
        Ok(answers)
    }

    /// Looks through everybody for tokens: there is no search for them (google.md §4.2). In full, since one may be there
    /// twice.
    pub(super) async fn find(&self, of: &CollectionId, tokens: &[Token]) -> Result<Vec<Found>, Fault> {
        if tokens.is_empty() {
            return Ok(Vec::new());
        }
        let wanted: HashSet<Token> = tokens.iter().copied().collect();
        let mut carriers: HashMap<Token, Vec<RemoteRef>> = HashMap::new();
        let mut token: Option<String> = None;
        loop {
            let answer = self.ask(&self.api.list_tokens(token.as_deref())).await?;
            let page: Listing = wire::read(&answer.body).ok_or(Fault::Implausible("a listing that can't be read"))?;
            for person in &page.connections {
                let Some(name) = text(person, "resourceName") else { continue };
                let at = || RemoteRef { collection: of.clone(), id: RemoteId::from(name), etag: None };
                for carried in convert::tokens_of(person).filter(|carried| wanted.contains(carried)) {
                    carriers.entry(carried).or_default().push(at());
                }
            }
            match page.next_page_token.filter(|next| !next.is_empty()) {
                Some(next) if token.as_ref() == Some(&next) => return Err(Fault::Implausible("the same page twice")),
                Some(next) => token = Some(next),
                None => break,
            }
        }
        let refs: Vec<RemoteRef> = carriers.values().flatten().cloned().collect();
        let fetched: HashMap<RemoteId, Fetched> =
            refs.iter().map(|at| at.id.clone()).zip(self.fetch(&refs).await?).collect();
        let found = |token: &Token| {
            let Some(carriers) = carriers.get(token) else { return Found::NotThere };
            let there = carriers.iter().filter_map(|at| match fetched.get(&at.id) {
                Some(Fetched::There(seen, _)) => Some(seen.clone()),
                _ => None,
            });
            let there: Vec<Seen> = there.collect();
            // Listed and not shown, or gone since: it is asked again.
            if there.is_empty() { Found::Unknown } else { Found::Records(there, Vec::new()) }
        };
        Ok(tokens.iter().map(found).collect())
    }

    /// The record's picture, from where Google keeps it: no token goes there (google.md §4.3).
    pub(super) async fn photo(&self, of: &RemoteRecord) -> Result<Option<Blob>, Fault> {
        let raw: Json = of.raw.as_deref().and_then(wire::read).unwrap_or_default();
        let Some(address) = photo_url(&raw) else { return Ok(None) };
        let mut url = Url::parse(address).map_err(|_| Fault::Implausible("an address of a picture that is none"))?;
        url.query_pairs_mut().append_pair("sz", PICTURE_SIZE);
        // Where Google itself is this machine (a test's, a demo's), so are its pictures.
        let at_home = url.scheme() == "http" && self.door.trust().is_safe(&url);
        let request = Request::new(Method::GET, url).credentials(Credentials::None).limit(PICTURE_LIMIT).quick();
        let request = if at_home { request } else { request.foreign() };
        let answer = self.door.send(&request, Resend::Safe).await?;
        match answer.status.as_u16() {
            200..=299 => {
                let told = answer.header(CONTENT_TYPE.as_str()).unwrap_or_default();
                let kind = media_type(&answer.body, told).ok_or(Fault::Implausible("a picture that is none"))?;
                Ok(Some(Blob::new(&kind, answer.body.to_vec())))
            }
            404 | 410 => Ok(None),
            _ => Err(Fault::Api(ApiError::of(&answer))),
        }
    }
}

/// Where to go on; an error where there is nothing to go on from.
fn place(from: From<'_>, now: Timestamp, most: i64) -> Result<Place, Fault> {
    let known = match from {
        From::Start => return Ok(Place::start(now)),
        From::Page(page) => Place::read(page.as_str()).filter(|place| place.page.is_some()),
        From::Cursor(cursor) => {
            Place::read(cursor.as_str()).filter(|place| place.sync.is_some() && place.page.is_none())
        }
    };
    let place = known.ok_or(Fault::Relist("what is asked of Google has changed"))?;
    if place.page.is_none() && place.is_old(now, most) {
        return Err(Fault::Relist("the sync token will soon be too old"));
    }
    Ok(place)
}

/// A listing was refused. Whatever is said of one that carried a token, the token may be why (google.md §2.2, 3).
fn refused(error: ApiError, place: &Place) -> Fault {
    let carried = place.sync.is_some() || place.page.is_some();
    if error.is_expired() || error.http == 410 && carried {
        Fault::Relist("Google's sync token has expired")
    } else if error.http == 400 && carried {
        Fault::Relist("Google does not know the sync token any more")
    } else {
        Fault::Api(error)
    }
}

/// What the bytes are, by themselves or else by what the server says, if that is a picture.
fn media_type(bytes: &[u8], told: &str) -> Option<String> {
    let known = match bytes {
        [0xFF, 0xD8, 0xFF, ..] => "image/jpeg",
        [0x89, b'P', b'N', b'G', ..] => "image/png",
        [b'G', b'I', b'F', b'8', ..] => "image/gif",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "image/webp",
        _ => "",
    };
    if !known.is_empty() {
        return Some(known.to_owned());
    }
    let told = told.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    (!bytes.is_empty() && told.starts_with("image/")).then_some(told)
}
