//! The state behind the origins: accounts with their books and photos, faults, the journal, the time.
//!
//! Owns: what is stored, and the way of a request from signing in to the journal. Must not: open sockets or wait.
//! Start reading at [`World::serve`].

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::answer::{Ns, Reply, Writer};
use super::lines::{Facts, facts, unfold};
use super::names::{self, Target};
use super::settings::{Account, Clock, EtagForm, Settings, WellKnown};
use super::{photos, propfind, report, write};
use crate::book::{Book, Condition, Entry, Refused, Snapshot, Written};
use crate::faults::{Asked, Fault, Faults, RetryAfter};
use crate::journal::{Effect, Journal, Record};
pub(super) use crate::net::Cut;

/// Which of the listeners was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Entry,
    Partition(usize),
    Photo,
}

/// What a partition says about an account that has moved away. UNVERIFIED which of them iCloud says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moved {
    /// 421 (RFC 9110 §15.5.20).
    #[default]
    Misdirected,
    /// 301 to the new partition.
    Redirect,
    /// 404, as if there had never been such an account.
    NotFound,
    /// The connection is closed without an answer.
    Closed,
}

/// A partition origin.
#[derive(Clone, Debug)]
pub(super) struct Partition {
    pub(super) number: u16,
    pub(super) url: String,
}

/// A stored photo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Photo {
    pub(super) hash: String,
    pub(super) kind: &'static str,
    pub(super) bytes: Bytes,
}

/// The photos of an account: at most one a card.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shelf {
    pub(super) by_card: HashMap<String, Photo>,
    pub(super) card_of: HashMap<String, String>,
}

impl Shelf {
    /// Makes this the card's only photo.
    pub(super) fn set(&mut self, card: &str, photo: Option<Photo>) {
        if let Some(old) = self.by_card.remove(card) {
            self.card_of.remove(&old.hash);
        }
        if let Some(photo) = photo {
            self.card_of.insert(photo.hash.clone(), card.to_owned());
            self.by_card.insert(card.to_owned(), photo);
        }
    }

    /// The photo behind a URL's last segment.
    pub(super) fn find(&self, hash: &str) -> Option<&Photo> {
        self.by_card.get(self.card_of.get(hash)?)
    }
}

/// An account and what it owns.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    pub(super) login: Account,
    pub(super) book: Book,
    pub(super) shelf: Shelf,
    pub(super) partition: usize,
    pub(super) moved: Moved,
    pub(super) kept: Option<(Snapshot, Shelf)>,
}

impl Owner {
    /// Stores a card, with the marks by which it is found.
    pub(super) fn store(
        &mut self,
        name: &str,
        content: Vec<u8>,
        known: &Facts,
        condition: Condition<'_>,
        now: u64,
    ) -> Result<Written, Refused> {
        self.book.put_with(name, content, condition, now, |entry| {
            entry.marks.clear();
            if !known.uid.is_empty() {
                entry.marks.insert("uid".to_owned(), known.uid.clone());
            }
            if known.is_group {
                entry.marks.insert("kind".to_owned(), "group".to_owned());
            }
        })
    }

    /// Removes a card and its photo.
    pub(super) fn remove(&mut self, name: &str, condition: Condition<'_>, now: u64) -> Result<Entry, Refused> {
        let gone = self.book.delete(name, condition, now)?;
        self.shelf.set(name, None);
        Ok(gone)
    }
}

/// Whether a stored card is a group.
pub(super) fn is_group(entry: &Entry) -> bool {
    entry.marks.contains_key("kind")
}

/// How an answer is changed by the faults that hit its request.
#[derive(Clone, Debug, Default)]
pub(super) struct Play {
    pub(super) no_rows: bool,
    pub(super) truncate: Option<usize>,
    pub(super) twice: bool,
    pub(super) omit_missing: bool,
    pub(super) omit_rows: bool,
    pub(super) no_groups: bool,
    pub(super) stale_etags: bool,
    pub(super) no_etags: bool,
    pub(super) drop_write: bool,
    pub(super) row_status: Option<u16>,
    pub(super) stray_row: bool,
    form: EtagForm,
}

impl Play {
    fn of(faults: &[Fault], form: EtagForm) -> Self {
        let has = |fault: &Fault| faults.contains(fault);
        Self {
            no_rows: has(&Fault::NoRows),
            truncate: faults
                .iter()
                .find_map(|fault| if let Fault::Truncate(rows) = fault { Some(*rows) } else { None }),
            twice: has(&Fault::DuplicateRows),
            omit_missing: has(&Fault::OmitMissing),
            omit_rows: has(&Fault::OmitRows),
            no_groups: has(&Fault::NoGroups),
            stale_etags: has(&Fault::StaleEtags),
            no_etags: has(&Fault::NoEtags),
            drop_write: has(&Fault::DropWrite),
            row_status: faults
                .iter()
                .find_map(|fault| if let Fault::RowStatus(code) = fault { Some(*code) } else { None }),
            stray_row: has(&Fault::StrayRow),
            form,
        }
    }

    /// The etag as the answer shows it.
    pub(super) fn etag(&self, etag: &str) -> Option<String> {
        let stale = if self.stale_etags { "0" } else { "" };
        (!self.no_etags).then(|| match self.form {
            EtagForm::Strong => format!("\"{etag}{stale}\""),
            EtagForm::Weak => format!("W/\"{etag}{stale}\""),
            EtagForm::Unquoted => format!("{etag}{stale}"),
        })
    }
}

/// A request as the handlers see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub(super) origin: Origin,
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a [u8],
}

impl<'a> Request<'a> {
    /// A header as text.
    pub(super) fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
    }
}

/// What becomes of a request.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) reply: Reply,
    pub(super) delay: u64,
    pub(super) cut: Cut,
}

/// What a handler made of a request.
pub(super) type Done = (Reply, Vec<Effect>);

/// A reply that changed and read nothing.
pub(super) fn plain(reply: Reply) -> Done {
    (reply, Vec::new())
}

/// Everything.
#[derive(Debug)]
pub(super) struct World {
    pub(super) settings: Settings,
    pub(super) owners: Vec<Owner>,
    pub(super) entry_url: String,
    pub(super) photo_url: String,
    pub(super) partitions: Vec<Partition>,
    pub(super) faults: Faults,
    pub(super) journal: Journal,
    pub(super) time: u64,
}

impl World {
    pub(super) fn new(settings: Settings, entry_url: String, photo_url: String, partition: Partition) -> Self {
        let owner = |login: &Account| Owner {
            login: login.clone(),
            book: Book::new(settings.etags),
            shelf: Shelf::default(),
            partition: 0,
            moved: Moved::default(),
            kept: None,
        };
        let time = if let Clock::Ticking(start) = settings.clock { start } else { 0 };
        Self {
            owners: settings.accounts.iter().map(owner).collect(),
            settings,
            entry_url,
            photo_url,
            partitions: vec![partition],
            faults: Faults::default(),
            journal: Journal::default(),
            time,
        }
    }

    /// The time, in milliseconds since 1970.
    pub(super) fn now(&mut self) -> u64 {
        match self.settings.clock {
            Clock::Ticking(_) => self.time += 1,
            Clock::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                self.time = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
            }
        }
        self.time
    }

    /// Answers a request and writes it into the journal.
    pub(super) fn serve(&mut self, request: &Request<'_>) -> Answer {
        let now = self.now();
        let origin = match request.origin {
            Origin::Entry => "entry",
            Origin::Partition(_) => "partition",
            Origin::Photo => "photo",
        };
        let headers = request.headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let mut record = Record::new(origin, request.method, request.path, headers, request.body);
        let who = self.sign_in(request);
        if let Ok(who) = &who {
            record.user.clone_from(&self.owners[*who].login.user);
            self.owners[*who].book.tick(now);
        }
        let target = names::target(self.settings.discovery.layout, request.path);
        let creating = request.method == "PUT"
            && matches!((&target, &who), (Target::Card(_, name), Ok(who)) if self.owners[*who].book.get(name).is_none());
        let path = names::decode(request.path);
        let body = std::str::from_utf8(request.body).unwrap_or_default();
        let faults =
            self.faults.take(&Asked { method: request.method, path: &path, body, user: &record.user, creating });
        record.faults = faults.iter().map(|fault| format!("{fault:?}")).collect();

        let (reply, effects) = match self.fail_before(&faults, now, &who) {
            Some(reply) => plain(reply),
            None => match who {
                Err(ref refused) => plain(refused.clone()),
                Ok(who) => self.dispatch(request, who, &target, &Play::of(&faults, self.settings.xml.etags), now),
            },
        };
        let mut answer = Answer { reply, delay: 0, cut: Cut::Whole };
        record.effects = effects;
        fail_after(&faults, &mut answer);
        // A captive portal does not pretend to be Apple.
        if self.settings.auth.apple_headers && !faults.contains(&Fault::Html) {
            let number = who.as_ref().ok().map(|who| self.partitions[self.owners[*who].partition].number);
            apple(&mut answer.reply, number, now);
        }
        // A status of 0 stands for a connection that is closed without an answer.
        if answer.reply.status == 0 {
            answer.cut = Cut::Nothing;
        }
        record.status = (answer.cut != Cut::Nothing).then_some(answer.reply.status);
        self.journal.add(record);
        answer
    }

    /// The account that a request signs in to, or its refusal (`icloud-carddav.md` 1.2).
    fn sign_in(&self, request: &Request<'_>) -> Result<usize, Reply> {
        let basic = request.header("authorization").and_then(|value| {
            let (scheme, encoded) = value.split_once(' ')?;
            let decoded = STANDARD.decode(encoded.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
            let text = String::from_utf8(decoded).ok()?;
            text.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
        });
        let located = basic
            .as_ref()
            .and_then(|(user, _)| self.owners.iter().position(|owner| owner.login.user.eq_ignore_ascii_case(user)));
        match (located, basic) {
            (Some(who), Some((_, password))) if self.owners[who].login.password == password => Ok(who),
            (located, _) => Err(self.challenge(located)),
        }
    }

    /// 401 with the challenges. It carries the partition when the account was located, so that the pair is wrong (S:27).
    pub(super) fn challenge(&self, located: Option<usize>) -> Reply {
        let auth = self.settings.auth;
        let basic = format!("Basic realm=\"{}\"", auth.realm);
        let apple = format!("X-MobileMe-AuthToken realm=\"{}\"", auth.realm);
        let reply = match (auth.mobile_me, auth.one_header) {
            (true, true) => Reply::empty(401).with("www-authenticate", format!("{apple}, {basic}")),
            (true, false) => Reply::empty(401).with("www-authenticate", apple).with("www-authenticate", basic),
            (false, _) => Reply::empty(401).with("www-authenticate", basic),
        };
        match located.filter(|_| auth.apple_headers) {
            Some(who) => {
                reply.with("x-apple-user-partition", self.partitions[self.owners[who].partition].number.to_string())
            }
            None => reply,
        }
    }

    /// The answer of a fault that lets nothing happen.
    fn fail_before(&self, faults: &[Fault], now: u64, who: &Result<usize, Reply>) -> Option<Reply> {
        faults.iter().find_map(|fault| match fault {
            Fault::CutBefore => Some(Reply::empty(0)),
            Fault::Throttle { status, retry_after } => {
                let reply = Reply::empty(*status);
                Some(match retry_after {
                    RetryAfter::None => reply,
                    RetryAfter::Seconds(seconds) => reply.with("retry-after", seconds.to_string()),
                    RetryAfter::Date(seconds) => reply.with("retry-after", http_date(now + seconds * 1000)),
                })
            }
            Fault::Refuse(status) => Some(Reply::empty(*status)),
            Fault::Redirect { status, location } => Some(Reply::empty(*status).with("location", location)),
            Fault::Unauthorized => Some(self.challenge(who.as_ref().ok().copied())),
            Fault::Html => {
                let page = "<!doctype html><html><head><title>Welcome</title></head><body><p>Sign in to the network.";
                Some(Reply::content(200, "text/html; charset=utf-8", page))
            }
            Fault::Empty => {
                let mut xml = Writer::new(self.settings.xml);
                xml.open(Ns::Dav, "multistatus");
                Some(xml.reply(207))
            }
            _ => None,
        })
    }

    /// Finds the handler.
    fn dispatch(&mut self, request: &Request<'_>, who: usize, target: &Target, play: &Play, now: u64) -> Done {
        if request.origin == Origin::Photo {
            return photos::serve(self, request, who);
        }
        if let Some(reply) = self.elsewhere(request, who, target) {
            return plain(reply);
        }
        if target.dsid().is_some_and(|dsid| dsid != self.owners[who].login.dsid) {
            return plain(Reply::empty(403));
        }
        if let Target::WellKnown = target {
            let to_root = |status: u16| plain(Reply::empty(status).with("location", "/"));
            match self.settings.discovery.well_known {
                WellKnown::Direct => {}
                WellKnown::Redirect(status) => return to_root(status),
                WellKnown::RedirectGetOnly(status) if request.method == "GET" => return to_root(status),
                WellKnown::RedirectGetOnly(_) | WellKnown::NotFound => return plain(Reply::empty(404)),
            }
        }
        match request.method {
            "PROPFIND" => propfind::serve(self, request, who, target, play),
            "REPORT" => report::serve(self, request, who, target, play),
            "OPTIONS" => plain(self.options(target)),
            "GET" | "HEAD" => write::get(self, request, who, target, play),
            "PUT" => write::put(self, request, who, target, play, now),
            "DELETE" => write::delete(self, request, who, target, play, now),
            "PROPPATCH" => plain(propfind::patch(self, request, target)),
            "MKCOL" | "MKCALENDAR" => plain(Reply::empty(403)),
            _ => plain(Reply::empty(405).with("allow", ALLOW)),
        }
    }

    /// The answer of an origin that does not hold what is asked.
    fn elsewhere(&self, request: &Request<'_>, who: usize, target: &Target) -> Option<Reply> {
        let owner = &self.owners[who];
        let home = &self.partitions[owner.partition].url;
        let there = |status: u16| Reply::empty(status).with("location", format!("{home}{}", request.path));
        match request.origin {
            Origin::Entry => match self.settings.discovery.entry_redirect {
                Some(status) => Some(there(status)),
                None => {
                    let data = matches!(target, Target::Home(_) | Target::Book(_) | Target::Card(..));
                    (data && !self.settings.discovery.data_on_entry).then(|| Reply::empty(404))
                }
            },
            Origin::Partition(at) if at != owner.partition => Some(match owner.moved {
                Moved::Misdirected => Reply::empty(421),
                Moved::Redirect => there(301),
                Moved::NotFound => Reply::empty(404),
                Moved::Closed => Reply::empty(0),
            }),
            Origin::Partition(_) | Origin::Photo => None,
        }
    }

    /// OPTIONS (`icloud-carddav.md` 1.1; the list of compliance classes is UNVERIFIED for iCloud).
    fn options(&self, target: &Target) -> Reply {
        let on_book = self.settings.discovery.options_on_book;
        match target {
            Target::Book(_) | Target::Card(..) if !on_book => Reply::empty(404),
            Target::Nothing => Reply::empty(404),
            _ => {
                let classes = "1, 2, 3, access-control, addressbook, extended-mkcol";
                Reply::empty(200).with("dav", classes).with("allow", ALLOW)
            }
        }
    }

    /// Reads a card as the back door and PUT do.
    pub(super) fn read(card: &[u8]) -> Facts {
        facts(card, &unfold(card))
    }
}

const ALLOW: &str = "OPTIONS, GET, HEAD, PUT, DELETE, PROPFIND, PROPPATCH, REPORT";

/// Plays the faults that come after a request has taken effect.
fn fail_after(faults: &[Fault], answer: &mut Answer) {
    for fault in faults {
        match fault {
            Fault::CutAfter => answer.cut = Cut::Nothing,
            Fault::Torn => answer.cut = Cut::Torn,
            Fault::ErrorAfter(status) => answer.reply = Reply::empty(*status),
            Fault::Delay(wait) => answer.delay += wait,
            Fault::Doctype => {
                let declared = b"?>\n<!DOCTYPE multistatus [<!ENTITY e \"x\">]>\n";
                let body = answer.reply.body.as_ref();
                if let Some(at) = body.windows(2).position(|two| two == b"?>") {
                    answer.reply.body = [&body[..at], declared, &body[at + 2..]].concat().into();
                }
            }
            _ => {}
        }
    }
}

/// The headers of Apple's edge (S:26).
fn apple(reply: &mut Reply, partition: Option<u16>, now: u64) {
    reply.headers.push(("server", "AppleHttpServer/78689afb4479".to_owned()));
    reply.headers.push(("x-apple-request-uuid", format!("00000000-0000-4000-8000-{now:012x}")));
    if let Some(number) = partition.filter(|_| reply.status != 401) {
        reply.headers.push(("x-apple-user-partition", number.to_string()));
    }
}

/// A time as HTTP writes it (RFC 9110 §5.6.7).
pub(super) fn http_date(millis: u64) -> String {
    let instant = i64::try_from(millis).ok().and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
    let printer = jiff::fmt::rfc2822::DateTimePrinter::new();
    instant.and_then(|instant| printer.timestamp_to_rfc9110_string(&instant).ok()).unwrap_or_default()
}
