//! Writes, and what became of them (icloud-carddav.md §4).
//!
//! Owns: the guards (`If-None-Match: *` for what is new, the very etag for what is there), the meaning of each answer,
//! and group membership as one write for many members. Must not: read back what it wrote: the server may have changed
//! it, so a write that landed is [`Outcome::Landed`] and the engine reads it, many at once.
//!
//! A join or leave lands on the *group's* card, so its outcome names that card: reading it shows the membership. Where
//! groups are `CATEGORIES` it lands on the record itself.

use reqwest::header::{CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH, LOCATION};
use reqwest::{Method, Url};

use super::compose::{self, Membership};
use super::fault::Fault;
use super::fetch::Reader;
use super::href;
use super::report::is_alive;
use super::requests::query_uid;
use super::settings::GroupMode;
use super::xml::{self, Tail};
use crate::card::Card;
use crate::card::field::FieldSet;
use crate::ids::{Etag, GroupId, RemoteId, Token};
use crate::provider::http::message::{Answer, HttpError, Request};
use crate::provider::{Blob, Fetched, Outcome, Write, WriteKind};
use crate::sync::retry::Resend;
use crate::sync::view::{Groups, RemoteRecord, RemoteRef, Roster, Seen};

const VCARD: &str = "text/vcard; charset=utf-8";
/// How often a group card is read, changed and written while others change it too.
const MOST_ROUNDS: u32 = 4;

/// After so many writes in a row without a clear answer the rest of a batch is left for later.
const MOST_SHOCKS: u32 = 2;

/// Whether the rest of a batch is worth trying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    /// Yes.
    GoOn,
    /// No answer, or the server stumbled: yes, unless it goes on like that.
    Shaken,
    /// No: sign-in refused, told to wait, or the book is gone.
    Stop,
}

/// What became of one write.
type Done = (Outcome, Mood);

/// The name that a record gets with us, and its UID (icloud-carddav.md §4.1): what a token is here.
pub(super) fn uid_of(token: Token) -> String {
    token.0.hyphenated().to_string().to_ascii_uppercase()
}

/// Where a record with that token stands.
pub(super) fn id_of(collection: &str, token: Token) -> RemoteId {
    RemoteId(format!("{collection}{}.vcf", uid_of(token)))
}

/// A precondition as it is sent.
#[derive(Clone, Copy, Debug)]
enum Guard<'a> {
    /// Only if there is nothing yet.
    New,
    /// Only if it is still this version.
    Is(&'a str),
    /// The server gives no version that can be asked for: what was read just before must do.
    None,
}

impl Reader<'_> {
    /// Writes all of them, one outcome each, in order. All are in this reader's book.
    pub(super) async fn write(&self, batch: &[&Write]) -> Vec<Outcome> {
        let mut outcomes: Vec<Option<Outcome>> = batch.iter().map(|_| None).collect();
        let mut shaken = 0;
        for (n, write) in batch.iter().enumerate() {
            if self.clock.now() > write.by {
                break;
            }
            let mood = if let Some(group) = roster_of(write, self.mode) {
                // All of a group's at the last of them: one write, and the records of the earlier ones stand by then.
                let same = |m: &usize| roster_of(batch[*m], self.mode) == Some(group);
                let waiting: Vec<usize> = (0..batch.len()).filter(same).collect();
                if waiting.last() != Some(&n) {
                    continue;
                }
                // Whose record is not surely there is not joined yet.
                let (waiting, early): (Vec<usize>, Vec<usize>) =
                    waiting.into_iter().partition(|m| !waits_for_create(batch, &outcomes, *m));
                for m in early {
                    outcomes[m] = Some(Outcome::NotTried);
                }
                if waiting.is_empty() {
                    continue;
                }
                let members: Vec<Membership> = waiting.iter().map(|m| membership(batch[*m])).collect();
                let (outcome, mood) = self.change_group(group, &members).await;
                for m in waiting {
                    outcomes[m] = Some(outcome.clone());
                }
                mood
            } else {
                let (outcome, mood) = self.write_one(write).await;
                outcomes[n] = Some(outcome);
                mood
            };
            match mood {
                Mood::GoOn => shaken = 0,
                Mood::Shaken => shaken += 1,
                Mood::Stop => break,
            }
            if shaken >= MOST_SHOCKS {
                break;
            }
        }
        outcomes.into_iter().map(|outcome| outcome.unwrap_or(Outcome::NotTried)).collect()
    }

    async fn write_one(&self, write: &Write) -> Done {
        let before = write.before.as_ref();
        match (&write.what, before) {
            (WriteKind::Create { card, groups }, _) => {
                self.create(write.token, card, groups, write.photo.as_ref()).await
            }
            (WriteKind::Update { card, mask }, Some(before)) => {
                self.update(before, card, *mask, write.photo.as_ref()).await
            }
            (WriteKind::Delete, Some(before)) => self.delete(before).await,
            (WriteKind::Join(group), Some(before)) => self.categorise(before, group, true).await,
            (WriteKind::Leave(group), Some(before)) => self.categorise(before, group, false).await,
            (_, None) => (refused("the record as last seen is missing"), Mood::GoOn),
        }
    }

    async fn create(&self, token: Token, card: &Card, groups: &Groups, photo: Option<&Blob>) -> Done {
        let uid = uid_of(token);
        let categories: Vec<&str> = match self.mode {
            GroupMode::Categories => groups.iter().map(GroupId::as_str).collect(),
            GroupMode::Cards => Vec::new(),
        };
        let body = match compose::create(card, &uid, &categories, photo) {
            Ok(body) => body,
            Err(why) => return (refused(&why), Mood::GoOn),
        };
        let id = id_of(self.book.id.as_str(), token);
        let answer = match self.put(&id, &body, Guard::New).await {
            Ok(answer) => answer,
            Err(error) => return lost(&error),
        };
        let tail = xml::read_error(&answer.body).await;
        match answer.status.as_u16() {
            200..=299 => self.created(&id, &answer),
            412 => (self.adopt(&id, &uid).await, Mood::GoOn),
            _ if is_uid_conflict(&answer, &tail) => (self.holder_of(&uid, &tail, &answer).await, Mood::GoOn),
            // The book itself is gone (icloud-carddav.md §4.4); the next listing says so.
            404 | 409 | 410 => (Outcome::NotTried, Mood::Stop),
            _ => self.rejected(&answer, &tail),
        }
    }

    /// It landed; under our name unless the server chose its own (Google).
    fn created(&self, id: &RemoteId, answer: &Answer) -> Done {
        let renamed = answer
            .header(LOCATION.as_str())
            .and_then(|location| href::resolve(&answer.url, location))
            .map(|url| href::canonical(url.path()))
            .filter(|path| href::is_member(self.book.id.as_str(), path));
        (self.landed_as(renamed.map_or_else(|| id.clone(), RemoteId), answer), Mood::GoOn)
    }

    /// Something stands under our name: our own earlier attempt, if it has our UID.
    async fn adopt(&self, id: &RemoteId, uid: &str) -> Outcome {
        match self.single(id).await {
            Ok(Fetched::There(Seen::Present(record), _))
                if record.uid.as_deref().is_some_and(|other| other.eq_ignore_ascii_case(uid)) =>
            {
                self.landed(id.clone())
            }
            Ok(Fetched::There(..)) => refused("another record already stands under the name of the new one"),
            // Refused because it was there, and then not there: someone deleted it in between.
            Ok(Fetched::Gone | Fetched::Unknown) | Err(_) => Outcome::Unknown,
        }
    }

    /// Another record has our UID: ours, stored by an earlier attempt under another name.
    async fn holder_of(&self, uid: &str, tail: &Tail, answer: &Answer) -> Outcome {
        let told = tail.conflict.as_deref().and_then(|href| href::resolve(&answer.url, href));
        let mut candidates: Vec<RemoteId> = told.into_iter().map(|url| RemoteId(href::canonical(url.path()))).collect();
        if candidates.is_empty() {
            let Ok(found) = self.query(uid).await else { return Outcome::Unknown };
            candidates = found;
        }
        for id in candidates.iter().filter(|id| href::is_member(self.book.id.as_str(), id.as_str())) {
            if let landed @ Outcome::Landed(_) = self.adopt(id, uid).await {
                return landed;
            }
        }
        refused("the server says that another record has the same UID, and does not show which")
    }

    async fn query(&self, uid: &str) -> Result<Vec<RemoteId>, Fault> {
        let answer = self.door.send(&query_uid(self.book.url.clone(), uid), Resend::Safe).await?;
        if answer.status.as_u16() != 207 {
            return Err(Fault::of(&answer).await);
        }
        let mut found = Vec::new();
        let read = xml::read_whole(&answer.body, |row| {
            found.extend(href::resolve(&answer.url, &row.href).map(|url| RemoteId(href::canonical(url.path()))));
        });
        read.await.map_err(|_| Fault::Implausible("an answer that can't be read"))?;
        Ok(found)
    }

    async fn update(&self, before: &RemoteRecord, card: &Card, mask: FieldSet, photo: Option<&Blob>) -> Done {
        let Some(raw) = before.raw.as_deref() else {
            return (
                refused("the record's original is missing; it is read again at the next full listing"),
                Mood::GoOn,
            );
        };
        match compose::update(raw, card, mask, photo, self.clock.now()) {
            Ok(body) => self.replace(before, raw, &body).await,
            Err(why) => (refused(&why), Mood::GoOn),
        }
    }

    async fn categorise(&self, before: &RemoteRecord, group: &GroupId, join: bool) -> Done {
        let Some(raw) = before.raw.as_deref() else {
            return (
                refused("the record's original is missing; it is read again at the next full listing"),
                Mood::GoOn,
            );
        };
        match compose::categories(raw, group.as_str(), join, self.clock.now()) {
            Ok(Some(body)) => self.replace(before, raw, &body).await,
            Ok(None) => (self.landed(before.at.id.clone()), Mood::GoOn), // it is so already
            Err(why) => (refused(&why), Mood::GoOn),
        }
    }

    /// Puts a new version in the place of the one last seen.
    async fn replace(&self, before: &RemoteRecord, raw: &[u8], body: &[u8]) -> Done {
        let id = &before.at.id;
        let etag = match self.guard(before.at.etag.as_ref(), id, raw).await {
            Ok(etag) => etag,
            Err(done) => return done,
        };
        let answer = match self.put_guarded(id, body, etag.as_deref()).await {
            Ok(answer) => answer,
            Err(error) => return lost(&error),
        };
        let tail = xml::read_error(&answer.body).await;
        match answer.status.as_u16() {
            207 => (self.many(&answer, id).await, Mood::GoOn),
            200..=299 => (self.landed_as(id.clone(), &answer), Mood::GoOn),
            // Our own first attempt may be what changed it.
            412 if answer.resent => (Outcome::Unknown, Mood::GoOn),
            412 => (Outcome::Stale, Mood::GoOn),
            404 | 410 => self.gone(Outcome::Missing).await,
            403 if answer.body.is_empty() => {
                // iCloud's bare 403 (§4.4): once more with what it is known to insist on, if that was missing.
                let Some(better) = compose::sanitised(body) else { return self.rejected(&answer, &tail) };
                match self.put_guarded(id, &better, etag.as_deref()).await {
                    Ok(again) if again.status.is_success() => (self.landed_as(id.clone(), &again), Mood::GoOn),
                    Ok(again) if again.status.as_u16() == 412 => (Outcome::Unknown, Mood::GoOn),
                    Ok(again) => self.rejected(&again, &Tail::default()),
                    Err(error) => lost(&error),
                }
            }
            _ => self.rejected(&answer, &tail),
        }
    }

    /// The etag to guard with. Where there is none that may be used (weak, or none at all), the record is read and must
    /// be what it was (§2.1); then `None`: the short time until the write is the risk that such a server leaves.
    async fn guard(&self, etag: Option<&Etag>, id: &RemoteId, raw: &[u8]) -> Result<Option<String>, Done> {
        if let Some(etag) = etag.map(Etag::as_str).filter(|etag| is_strong(etag)) {
            return Ok(Some(etag.to_owned()));
        }
        let answer = match self.get(&self.book.spelling.of(id.as_str())).await {
            Ok(answer) => answer,
            Err(Fault::Http(error)) if !error.doubt() => return Err((Outcome::NotTried, lost(&error).1)),
            Err(_) => return Err((Outcome::NotTried, Mood::Shaken)),
        };
        match answer.status.as_u16() {
            200..=299 if super::fetch::with_crlf(&answer.body) == raw => {
                Ok(answer.header("etag").filter(|etag| is_strong(etag)).map(str::to_owned))
            }
            200..=299 => Err((Outcome::Stale, Mood::GoOn)),
            404 | 410 => Err(self.gone(Outcome::Missing).await),
            401 => Err((Outcome::NotTried, Mood::Stop)),
            _ => Err((Outcome::NotTried, Mood::Shaken)),
        }
    }

    async fn put_guarded(&self, id: &RemoteId, body: &[u8], etag: Option<&str>) -> Result<Answer, HttpError> {
        let Some(etag) = etag else { return self.put(id, body, Guard::None).await };
        let answer = self.put(id, body, Guard::Is(&quoted(etag))).await?;
        // A server that tells etags without quotes may also want them so (Group-Office).
        if answer.status.as_u16() == 412 && !etag.starts_with('"') && !answer.resent {
            return self.put(id, body, Guard::Is(etag)).await;
        }
        Ok(answer)
    }

    async fn delete(&self, before: &RemoteRecord) -> Done {
        let id = &before.at.id;
        let raw = before.raw.as_deref().unwrap_or_default();
        let etag = match self.guard(before.at.etag.as_ref(), id, raw).await {
            Ok(etag) => etag,
            Err((Outcome::Missing, _)) => return (Outcome::Deleted, Mood::GoOn),
            Err(done) => return done,
        };
        // No body, no Depth, no content type (§4.2).
        let send = |guard: Option<String>| {
            let mut request = Request::new(Method::DELETE, self.url(id));
            // Without a guard it is sent once and never again (reconciliation R7).
            let resend = if guard.is_some() { Resend::Guarded } else { Resend::Once };
            if let Some(guard) = guard {
                request = request.header(IF_MATCH, &guard);
            }
            async move { self.door.send(&request, resend).await }
        };
        let mut answer = send(etag.as_deref().map(quoted)).await;
        if let (Ok(first), Some(etag)) = (&answer, &etag)
            && first.status.as_u16() == 412
            && !first.resent
            && !etag.starts_with('"')
        {
            answer = send(Some(etag.clone())).await;
        }
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return lost(&error),
        };
        match answer.status.as_u16() {
            200..=299 => (Outcome::Deleted, Mood::GoOn),
            404 | 410 => self.gone(Outcome::Deleted).await,
            412 => (Outcome::Stale, Mood::GoOn),
            _ => self.rejected(&answer, &xml::read_error(&answer.body).await),
        }
    }

    /// Reads the group's card, changes its members as a set and writes it; again if someone was faster (§5.1). One
    /// write for all of them.
    async fn change_group(&self, group: &GroupId, changes: &[Membership]) -> Done {
        let id = RemoteId(group.0.clone());
        if changes.iter().any(|change| change.uid.is_empty()) {
            return (refused("the record has no UID, which is what a group lists its members by"), Mood::GoOn);
        }
        let mut doubt = false;
        for _ in 0..MOST_ROUNDS {
            let answer = match self.get(&self.book.spelling.of(id.as_str())).await {
                Ok(answer) => answer,
                Err(Fault::Http(error)) => return (unknown_if(doubt, Outcome::NotTried), lost(&error).1),
                Err(_) => return (unknown_if(doubt, Outcome::NotTried), Mood::Shaken),
            };
            match answer.status.as_u16() {
                200..=299 => {}
                404 | 410 => return self.gone(Outcome::Missing).await,
                401 => return (unknown_if(doubt, Outcome::NotTried), Mood::Stop),
                _ => return (unknown_if(doubt, Outcome::NotTried), Mood::Shaken),
            }
            let raw = super::fetch::with_crlf(&answer.body);
            let (seen, _) = self.observe(id.clone(), None, None, &raw);
            if !matches!(seen, Seen::Roster(Roster { .. })) {
                return (refused("the group is not a group any more; choose the sync group again"), Mood::GoOn);
            }
            let body = match compose::members(&raw, changes, self.clock.now()) {
                Ok(Some(body)) => body,
                Ok(None) => return (self.landed(id), Mood::GoOn), // it is so already
                Err(why) => return (refused(&why), Mood::GoOn),
            };
            let etag = answer.header("etag").filter(|etag| is_strong(etag)).map(str::to_owned);
            let answer = match self.put_guarded(&id, &body, etag.as_deref()).await {
                Ok(answer) => answer,
                Err(error) => return lost(&error),
            };
            match answer.status.as_u16() {
                200..=299 => return (self.landed(id), Mood::GoOn),
                // Read again: either someone was faster, or an attempt of ours landed and nothing is left to do.
                412 => doubt |= answer.resent,
                404 | 410 => return self.gone(Outcome::Missing).await,
                _ => return self.rejected(&answer, &xml::read_error(&answer.body).await),
            }
        }
        (Outcome::Stale, Mood::GoOn)
    }

    /// "Not found" says something about a record only while the book itself is there (icloud-carddav.md fact 18).
    async fn gone(&self, outcome: Outcome) -> Done {
        match is_alive(self.door, self.book).await {
            Ok(()) => (outcome, Mood::GoOn),
            Err(_) => (Outcome::NotTried, Mood::Stop),
        }
    }

    fn url(&self, id: &RemoteId) -> Url {
        let mut url = self.book.url.clone();
        url.set_path(&self.book.spelling.of(id.as_str()));
        url
    }

    async fn put(&self, id: &RemoteId, body: &[u8], guard: Guard<'_>) -> Result<Answer, HttpError> {
        let request = Request::new(Method::PUT, self.url(id)).body(VCARD, body.to_vec());
        let (request, resend) = match guard {
            Guard::New => (request.header(IF_NONE_MATCH, "*"), Resend::Guarded),
            Guard::Is(etag) => (request.header(IF_MATCH, etag), Resend::Guarded),
            Guard::None => (request, Resend::Once),
        };
        self.door.send(&request.header(CONTENT_TYPE, VCARD), resend).await
    }

    fn landed(&self, id: RemoteId) -> Outcome {
        Outcome::Landed(RemoteRef { collection: self.book.id.clone(), id, etag: None })
    }

    /// It landed, as the version that the answer names: the stored card may differ from what was sent all the same (§4.3),
    /// and another version that is read afterwards is somebody's edit.
    fn landed_as(&self, id: RemoteId, answer: &Answer) -> Outcome {
        let etag = answer.header("etag").map(str::trim).filter(|etag| is_strong(etag)).map(|etag| Etag(etag.into()));
        Outcome::Landed(RemoteRef { collection: self.book.id.clone(), id, etag })
    }

    /// A 207 to a PUT (Xandikos, §4.2): the inner status counts.
    async fn many(&self, answer: &Answer, id: &RemoteId) -> Outcome {
        let mut statuses = Vec::new();
        let read = xml::read_whole(&answer.body, |row| statuses.extend(row.status.or(row.bad)));
        match read.await {
            Ok(_) if statuses.iter().all(|status| (200..300).contains(status)) => self.landed(id.clone()),
            Ok(_) if statuses.contains(&412) => Outcome::Stale,
            _ => Outcome::Unknown,
        }
    }

    /// What is left of the table in §4.4.
    fn rejected(&self, answer: &Answer, tail: &Tail) -> Done {
        let has = |name: &str| tail.conditions.iter().any(|condition| condition == name);
        let outcome = match answer.status.as_u16() {
            // Sign-in refused, or the book has moved: the next listing says so.
            300..=399 | 401 | 421 => return (Outcome::NotTried, Mood::Stop),
            423 | 429 => Outcome::NotTried,
            408 | 500 | 502..=506 => return (Outcome::Unknown, Mood::Shaken),
            _ if has("need-privileges") => refused("the address book is read-only for this account"),
            413 | 507 => {
                refused("the server has no room for it, or it is too big; make the picture or the note smaller")
            }
            _ if has("max-resource-size") => {
                refused("it is too big for the server; make the picture or the note smaller")
            }
            _ if has("supported-address-data") => refused("the server does not take this version of vCard"),
            _ if has("valid-address-data") => refused("the server can't read the record"),
            415 => refused("the server does not take the record's format"),
            403 => refused("the server refuses the record's content and does not say why"),
            status => Outcome::Refused(format!("the server refuses it (status {status})")),
        };
        (outcome, Mood::GoOn)
    }
}

/// The group whose card a join or leave changes, if that is how groups are kept.
fn roster_of(write: &Write, mode: GroupMode) -> Option<&GroupId> {
    match (&write.what, mode) {
        (WriteKind::Join(group) | WriteKind::Leave(group), GroupMode::Cards) => Some(group),
        _ => None,
    }
}

/// Whether the record of a join is created in the same batch, and that did not surely land.
fn waits_for_create(batch: &[&Write], outcomes: &[Option<Outcome>], join: usize) -> bool {
    batch.iter().zip(outcomes).any(|(other, outcome)| {
        other.token == batch[join].token
            && matches!(other.what, WriteKind::Create { .. })
            && !matches!(outcome, Some(Outcome::Landed(_) | Outcome::Stored(_)))
    })
}

fn membership(write: &Write) -> Membership {
    let own = || uid_of(write.token);
    let uid = write.before.as_ref().map_or_else(|| Some(own()), |before| before.uid.clone()).unwrap_or_default();
    Membership { uid, join: matches!(write.what, WriteKind::Join(_)) }
}

fn unknown_if(doubt: bool, otherwise: Outcome) -> Outcome {
    if doubt { Outcome::Unknown } else { otherwise }
}

fn refused(why: &str) -> Outcome {
    Outcome::Refused(why.to_owned())
}

/// A write without an answer.
fn lost(error: &HttpError) -> Done {
    let outcome = if error.doubt() { Outcome::Unknown } else { Outcome::NotTried };
    let mood = match error {
        HttpError::Lost { .. } | HttpError::InDoubt(_) | HttpError::TooBig { .. } | HttpError::Content { .. } => {
            Mood::Shaken
        }
        _ => Mood::Stop,
    };
    (outcome, mood)
}

/// Whether an etag may stand in `If-Match` (RFC 9110 §13.1.1).
fn is_strong(etag: &str) -> bool {
    !etag.is_empty() && !etag.starts_with("W/")
}

/// An etag as `If-Match` wants it, verbatim but for missing quotes.
fn quoted(etag: &str) -> String {
    if etag.starts_with('"') { etag.to_owned() } else { format!("\"{etag}\"") }
}

/// The condition anywhere in the answer, whatever its status; Nextcloud says it in words (§4.1, 5).
fn is_uid_conflict(answer: &Answer, tail: &Tail) -> bool {
    tail.conditions.iter().any(|name| name == "no-uid-conflict")
        || answer.status.as_u16() == 400
            && answer.body.windows(14).any(|part| part.eq_ignore_ascii_case(b"already exists"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_uids_are_the_token_in_capitals() {
        let token = Token(uuid::Uuid::from_u128(0x6f96_19ff_8b86_4d01_b42d_00cf_4fc9_64ff));
        assert_eq!(id_of("/1/card/", token).as_str(), "/1/card/6F9619FF-8B86-4D01-B42D-00CF4FC964FF.vcf");
    }

    #[test]
    fn etags_as_guards() {
        for (etag, strong, sent) in
            [("\"lt1gqtev\"", true, "\"lt1gqtev\""), ("abc", true, "\"abc\""), ("W/\"x\"", false, ""), ("", false, "")]
        {
            assert_eq!(is_strong(etag), strong, "{etag}");
            if strong {
                assert_eq!(quoted(etag), sent);
            }
        }
    }
}
