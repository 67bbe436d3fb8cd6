//! The state behind the origins: users with their contacts, the authorization server, faults, the journal, the time.
//!
//! Owns: what is stored, and the way of a request from signing in to the journal. Must not: open sockets or wait.
//! Start reading at [`World::serve`].

use std::collections::{BTreeMap, BTreeSet, HashMap};

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::error::Error;
use super::quota::Used;
use super::route::{Call, Query};
use super::settings::{Parallel, Settings};
use super::{batch, groups, photos, read, search, write};
use crate::book::{Book, Condition, Entry, EtagStyle, Lag, Snapshot};
use crate::clock::Time;
use crate::faults::{Asked, Fault, Faults, RetryAfter};
use crate::journal::{Effect, Journal, Record};
use crate::net::{Cut, Reply, decode, pairs};
use crate::oauth::{self, Server};
use crate::people::Dice;

/// The longest time that a deleted contact stays in the trash (3.4), in milliseconds.
const TRASH: u64 = 30 * oauth::DAY;

/// Which of the listeners was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Accounts,
    People,
    Photos,
}

/// A stored photo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Photo {
    /// What its URL ends in.
    pub(super) key: String,
    pub(super) kind: &'static str,
    pub(super) bytes: Bytes,
}

/// A user's contacts.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    pub(super) email: String,
    pub(super) sub: String,
    pub(super) name: String,
    /// The contacts, by `c` and number; the content is a JSON object of their fields without memberships and photos.
    pub(super) book: Book,
    /// The user's own groups; the content is a JSON object with name and client data.
    pub(super) groups: Book,
    pub(super) photos: HashMap<String, Photo>,
    /// Profiles linked to contacts: the profile's id and its fields.
    pub(super) profiles: BTreeMap<String, (String, Map<String, Value>)>,
    /// The state before a write, and when that was, for gets that lag behind.
    pub(super) recent: HashMap<String, (u64, Entry)>,
    /// What searching sees.
    pub(super) index: Vec<Entry>,
    pub(super) trash: BTreeMap<String, (u64, Entry)>,
    pub(super) kept: Option<(Snapshot, Snapshot, HashMap<String, Photo>)>,
    used: Used,
    dice: Dice,
    stale_get: u64,
}

impl Owner {
    fn new(user: &oauth::User, seed: u64) -> Self {
        Self {
            email: user.email.clone(),
            sub: user.sub.clone(),
            name: user.name.clone(),
            book: Book::new(EtagStyle::Revision),
            groups: Book::new(EtagStyle::Revision),
            photos: HashMap::new(),
            profiles: BTreeMap::new(),
            recent: HashMap::new(),
            index: Vec::new(),
            trash: BTreeMap::new(),
            kept: None,
            used: Used::default(),
            dice: Dice::new(seed),
            stale_get: 0,
        }
    }

    /// A name that no contact has had.
    pub(super) fn new_id(&mut self) -> String {
        loop {
            // The first digit of an id in hexadecimal digits is never 0 in what was seen.
            let id = format!("c{}", self.dice.roll() | 1 << 60);
            if self.book.get(&id).is_none() && self.book.tombstone(&id).is_none() {
                return id;
            }
        }
    }

    pub(super) fn new_group_id(&mut self) -> String {
        format!("{:x}", self.dice.roll() | 1 << 60)
    }

    /// Stores a contact as it is now.
    pub(super) fn put(&mut self, id: &str, fields: &Map<String, Value>, groups: BTreeSet<String>, now: u64) {
        self.remember(id, now);
        let content = serde_json::to_vec(fields).unwrap_or_default();
        let stored = self.book.put_with(id, content, Condition::None, now, |entry| {
            entry.groups = groups;
            let marks = fields.get("clientData").and_then(Value::as_array).into_iter().flatten();
            let text = |item: &Value, key: &str| item[key].as_str().unwrap_or_default().to_owned();
            entry.marks = marks.map(|item| (text(item, "key"), text(item, "value"))).collect();
        });
        debug_assert!(stored.is_ok(), "a write without a condition");
    }

    /// Notes the state before a write. Of several writes in a row the oldest state is kept while it is still shown.
    pub(super) fn remember(&mut self, id: &str, now: u64) {
        let shown = self.recent.get(id).is_some_and(|(since, _)| now < since + self.stale_get);
        if let Some(before) = self.book.get(id).filter(|_| !shown && self.stale_get > 0) {
            self.recent.insert(id.to_owned(), (now, before.clone()));
        }
    }

    /// A contact as a get shows it.
    pub(super) fn seen(&self, id: &str, now: u64) -> Option<&Entry> {
        let entry = self.book.resolve(id)?;
        let before = self.recent.get(&entry.id).filter(|(since, _)| now < since + self.stale_get);
        Some(before.map_or(entry, |(_, before)| before))
    }

    /// Removes a contact with everything of it, and keeps it in the trash.
    pub(super) fn remove(&mut self, id: &str, now: u64) -> Option<Entry> {
        let entry = self.book.delete(id, Condition::IfPresent, now).ok()?;
        self.photos.remove(id);
        self.profiles.remove(id);
        self.recent.remove(id);
        self.trash.insert(id.to_owned(), (now, entry.clone()));
        Some(entry)
    }

    /// How many contacts count towards the limit.
    pub(super) fn count(&self, trash_counts: bool, now: u64) -> usize {
        let young = |(when, _): &&(u64, Entry)| now < when + TRASH;
        self.book.len() + if trash_counts { self.trash.values().filter(young).count() } else { 0 }
    }

    /// The fields of a contact.
    pub(super) fn fields(entry: &Entry) -> Map<String, Value> {
        serde_json::from_slice(&entry.content).unwrap_or_default()
    }

    /// Takes over settings that act in the book.
    pub(super) fn settle(&mut self, settings: &Settings, now: u64) {
        self.stale_get = settings.reads.stale_get;
        let wait = settings.reads.propagation;
        self.book.set_lag(if wait == 0 { Lag::None } else { Lag::Millis(wait) });
        self.book.tick(now);
    }
}

/// A request as the handlers see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub(super) origin: Origin,
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a [u8],
}

impl<'a> Request<'a> {
    /// A header as text.
    fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
    }

    /// The text after `Bearer` or `Basic`.
    fn credentials(&self, scheme: &str) -> Option<&'a str> {
        let (said, rest) = self.header("authorization")?.split_once(' ')?;
        said.eq_ignore_ascii_case(scheme).then(|| rest.trim())
    }
}

/// How an answer is changed by the faults that hit its request.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Play {
    pub(super) no_rows: bool,
    pub(super) truncate: Option<usize>,
    pub(super) twice: bool,
    pub(super) omit_rows: bool,
    pub(super) no_groups: bool,
    pub(super) stale_etags: bool,
    pub(super) no_etags: bool,
    pub(super) row_status: Option<u16>,
    pub(super) partial: Option<usize>,
}

impl Play {
    fn of(faults: &[Fault]) -> Self {
        let mut play = Self::default();
        for fault in faults {
            match fault {
                Fault::NoRows => play.no_rows = true,
                Fault::Truncate(rows) => play.truncate = Some(*rows),
                Fault::DuplicateRows => play.twice = true,
                Fault::OmitRows => play.omit_rows = true,
                Fault::NoGroups => play.no_groups = true,
                Fault::StaleEtags => play.stale_etags = true,
                Fault::NoEtags => play.no_etags = true,
                Fault::RowStatus(status) => play.row_status = Some(*status),
                Fault::Partial(items) => play.partial = Some(*items),
                _ => {}
            }
        }
        play
    }
}

/// What a handler has at hand.
#[derive(Debug)]
pub(super) struct Desk<'a> {
    pub(super) settings: &'a Settings,
    pub(super) owner: &'a mut Owner,
    pub(super) who: usize,
    pub(super) query: Query,
    pub(super) body: Value,
    pub(super) german: bool,
    pub(super) photo_url: &'a str,
    pub(super) play: Play,
    pub(super) now: u64,
    /// What has happened so far; it stays when an error is answered.
    pub(super) effects: Vec<Effect>,
}

/// What becomes of a request.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) reply: Reply,
    pub(super) delay: u64,
    pub(super) cut: Cut,
}

/// Everything.
#[derive(Debug)]
pub(super) struct World {
    pub(super) settings: Settings,
    pub(super) owners: Vec<Owner>,
    pub(super) oauth: Server,
    pub(super) accounts_url: String,
    pub(super) people_url: String,
    pub(super) photo_url: String,
    pub(super) faults: Faults,
    pub(super) journal: Journal,
    pub(super) time: Time,
    /// How many mutations of each user are under way.
    pub(super) under_way: HashMap<usize, usize>,
}

impl World {
    pub(super) fn new(settings: Settings, accounts_url: String, people_url: String, photo_url: String) -> Self {
        let users = settings.oauth.users.iter().zip(1..);
        Self {
            owners: users.map(|(user, number)| Owner::new(user, settings.seed.wrapping_mul(1000) + number)).collect(),
            oauth: Server::new(settings.oauth.clone(), settings.seed),
            time: Time::new(settings.clock),
            settings,
            accounts_url,
            people_url,
            photo_url,
            faults: Faults::default(),
            journal: Journal::default(),
            under_way: HashMap::new(),
        }
    }

    /// Who is about to change something, before the body is read: then the change is under way.
    pub(super) fn mutating(&mut self, request: &Request<'_>) -> Option<usize> {
        let call = (request.origin == Origin::People).then(|| Call::of(request.method, &decode(request.path)));
        call.flatten().filter(Call::mutates)?;
        let now = self.time.tick();
        let token = request.credentials("bearer")?;
        let user = &self.oauth.bearer(token, now)?.user;
        self.owners.iter().position(|owner| owner.email == *user)
    }

    /// Answers a request and writes it into the journal.
    pub(super) fn serve(&mut self, request: &Request<'_>, overlapped: bool) -> Answer {
        let now = self.time.tick();
        let origin = match request.origin {
            Origin::Accounts => "accounts",
            Origin::People => "people",
            Origin::Photos => "photos",
        };
        let headers = request.headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let mut record = Record::new(origin, request.method, request.path, headers, request.body);
        record.overlapped = overlapped;
        // Queries to the authorization server have states and hints in them; a token in a query is no way to sign in here.
        if request.origin == Origin::People && !request.query.contains("access_token=") {
            request.query.clone_into(&mut record.query);
        }
        let access = request.credentials("bearer").and_then(|token| self.oauth.bearer(token, now)).cloned();
        let who = access.as_ref().and_then(|access| self.owners.iter().position(|owner| owner.email == access.user));
        if let Some(who) = who {
            record.user.clone_from(&self.owners[who].email);
            self.owners[who].settle(&self.settings, now);
        }
        let path = decode(request.path);
        let call = (request.origin == Origin::People).then(|| Call::of(request.method, &path)).flatten();
        let creating = call.as_ref().is_some_and(Call::creates);
        let body = std::str::from_utf8(request.body).unwrap_or_default();
        let faults =
            self.faults.take(&Asked { method: request.method, path: &path, body, user: &record.user, creating });
        record.faults = faults.iter().map(|fault| format!("{fault:?}")).collect();

        let reply = match self.fail_before(request.origin, &faults) {
            Some(reply) => reply,
            None => match (request.origin, call) {
                (Origin::Accounts, _) => self.accounts(request, &path, now),
                (Origin::Photos, _) => photos::serve(self, request.method, &path, &mut record.effects),
                (Origin::People, None) => Reply::html(404, "Error 404 (Not Found)", "The requested URL was not found."),
                (Origin::People, Some(call)) => {
                    let scopes = access.map(|access| access.scopes);
                    let before = faults.contains(&Fault::DropWrite).then(|| self.owners.clone());
                    let done = self.people(request, &call, who, scopes.as_ref(), &faults, &mut record, now);
                    if let Some(before) = before {
                        self.owners = before;
                        record.effects.clear();
                    }
                    match done {
                        Ok(value) => Reply::json(200, &value),
                        Err(error) => error.reply(self.settings.errors),
                    }
                }
            },
        };
        let mut answer = Answer { reply, delay: 0, cut: Cut::Whole };
        self.fail_after(request.origin, &faults, &mut answer);
        // A status of 0 stands for a connection that is closed without an answer.
        if answer.reply.status == 0 {
            answer.cut = Cut::Nothing;
        }
        record.status = (answer.cut != Cut::Nothing).then_some(answer.reply.status);
        self.journal.add(record);
        answer
    }

    /// A call of the People API, past all the doors.
    #[allow(clippy::too_many_arguments, reason = "the one place where everything about a request comes together")]
    fn people(
        &mut self,
        request: &Request<'_>,
        call: &Call,
        who: Option<usize>,
        scopes: Option<&BTreeSet<String>>,
        faults: &[Fault],
        record: &mut Record,
        now: u64,
    ) -> Result<Value, Error> {
        let settings = &self.settings;
        let (Some(who), Some(scopes)) = (who, scopes) else {
            return Err(Error::unauthenticated(settings.errors, request.header("authorization").is_none()));
        };
        let has = |name: &str| scopes.contains(&format!("https://www.googleapis.com/auth/{name}"));
        if !(has("contacts") || has("contacts.readonly") && !call.mutates()) {
            return Err(Error::scope(call.name()));
        }
        if record.overlapped {
            match settings.writes.parallel {
                Parallel::Aborted => return Err(Error::of_status(409)),
                Parallel::Unavailable => return Err(Error::of_status(503)),
                Parallel::Allowed => {}
            }
        }
        let query = Query(pairs(request.query));
        let body = match request.body {
            [] => Value::Null,
            bytes => serde_json::from_slice(bytes).map_err(|_| Error::argument("Invalid JSON payload received."))?,
        };
        let reads_back = match call {
            Call::BatchCreate | Call::BatchUpdate => body["readMask"].as_str().is_some_and(|mask| !mask.is_empty()),
            Call::SetPhoto(_) => body["personFields"].as_str().is_some_and(|mask| !mask.is_empty()),
            Call::DropPhoto(_) => query.one("personFields").is_some(),
            _ => true,
        };
        let costs = call.costs(&query, reads_back, &settings.quotas);
        let owner = &mut self.owners[who];
        let charged = owner.used.charge(&settings.quotas, &costs, now);
        charged.map_err(|class| Error::quota(&settings.quotas, class, &settings.project))?;
        record.charged = costs.into_iter().filter(|(_, cost)| *cost > 0).collect();
        call.check(&query)?;
        let german = request.header("accept-language").is_some_and(|language| language.starts_with("de"));
        let (photo_url, play) = (self.photo_url.as_str(), Play::of(faults));
        let mut desk = Desk { settings, owner, who, query, body, german, photo_url, play, now, effects: Vec::new() };
        let done = match call {
            Call::List => read::list(&mut desk),
            Call::Get(id) => read::get(&mut desk, id),
            Call::BatchGet => read::batch_get(&mut desk),
            Call::Search => search::search(&mut desk),
            Call::Create => write::create(&mut desk),
            Call::Update(id) => write::update(&mut desk, id),
            Call::Delete(id) => write::delete(&mut desk, id),
            Call::SetPhoto(id) => photos::set(&mut desk, id),
            Call::DropPhoto(id) => photos::remove(&mut desk, id),
            Call::BatchCreate => batch::create(&mut desk),
            Call::BatchUpdate => batch::update(&mut desk),
            Call::BatchDelete => batch::delete(&mut desk),
            Call::ListGroups => groups::list(&mut desk),
            Call::GetGroup(id) => groups::get(&mut desk, id),
            Call::BatchGetGroups => groups::batch_get(&mut desk),
            Call::CreateGroup => groups::create(&mut desk),
            Call::UpdateGroup(id) => groups::update(&mut desk, id),
            Call::DeleteGroup(id) => groups::delete(&mut desk, id),
            Call::Modify(id) => groups::modify(&mut desk, id),
        };
        record.effects = desk.effects;
        done
    }

    /// The authorization server (`google.md` 1.1).
    fn accounts(&mut self, request: &Request<'_>, path: &str, now: u64) -> Reply {
        let form = || pairs(std::str::from_utf8(request.body).unwrap_or_default());
        let no_store = |reply: Reply| reply.with("cache-control", "no-store");
        match (request.method, path) {
            ("GET", "/o/oauth2/v2/auth") => self.oauth.authorize(&pairs(request.query), now),
            ("POST", "/token") => {
                let basic = request.credentials("basic").and_then(|text| STANDARD.decode(text).ok());
                let basic = basic.and_then(|bytes| String::from_utf8(bytes).ok());
                let basic =
                    basic.and_then(|text| text.split_once(':').map(|(id, secret)| (decode(id), decode(secret))));
                let address = format!("{}/token", self.accounts_url);
                match self.oauth.token(&form(), basic, &address, now) {
                    Ok(body) => no_store(Reply::json(200, &body)),
                    Err(refusal) => no_store(self.refusal(&refusal)),
                }
            }
            ("POST", "/revoke") => {
                let mut pairs = form();
                pairs.extend(crate::net::pairs(request.query));
                match self.oauth.revoke(&pairs) {
                    Ok(()) => Reply::json(200, &json!({})),
                    Err(_) => Reply::json(
                        400,
                        &json!({
                            "error": "invalid_token", "error_description": "Token expired or revoked",
                        }),
                    ),
                }
            }
            ("GET" | "POST", "/v1/userinfo") => {
                let token = request.credentials("bearer").unwrap_or_default();
                match self.oauth.userinfo(token, now) {
                    Some(body) => Reply::json(200, &body),
                    None => Reply::json(
                        401,
                        &json!({
                            "error": "invalid_request", "error_description": "Invalid Credentials",
                        }),
                    ),
                }
            }
            ("GET", "/oauth2/v3/certs") => Reply::json(200, &self.oauth.keys()),
            ("GET", "/.well-known/openid-configuration") => {
                let at = |path: &str| format!("{}{path}", self.accounts_url);
                Reply::json(
                    200,
                    &json!({
                        "issuer": self.oauth.settings.issuer, "authorization_endpoint": at("/o/oauth2/v2/auth"),
                        "token_endpoint": at("/token"), "revocation_endpoint": at("/revoke"),
                        "userinfo_endpoint": at("/v1/userinfo"), "jwks_uri": at("/oauth2/v3/certs"),
                        "response_types_supported": ["code"], "subject_types_supported": ["public"],
                        "id_token_signing_alg_values_supported": ["RS256"],
                        "code_challenge_methods_supported": ["plain", "S256"],
                    }),
                )
            }
            _ => Reply::html(404, "Error 404 (Not Found)", "The requested URL was not found."),
        }
    }

    fn refusal(&self, refusal: &oauth::Refusal) -> Reply {
        let settings = &self.oauth.settings;
        let (status, body) = refusal.google(settings.invalid_client_status, settings.error_subtype.as_deref());
        Reply::json(status, &body)
    }

    /// An error that was asked for, as this origin puts it: the authorization server's are flat (1.5).
    fn fail(&self, origin: Origin, error: &Error) -> Reply {
        if origin == Origin::People {
            return error.reply(self.settings.errors);
        }
        let name = match error.code {
            400 => "invalid_grant",
            401 => "invalid_client",
            429 => "rate_limit_exceeded",
            500..=599 => "internal_failure",
            _ => "access_denied",
        };
        Reply::json(error.code, &json!({"error": name, "error_description": error.message}))
    }

    /// The answer of a fault that lets nothing happen.
    fn fail_before(&self, origin: Origin, faults: &[Fault]) -> Option<Reply> {
        let html = |status: u16| Reply::html(status, &format!("Error {status} (Server Error)"), "That is an error.");
        faults.iter().find_map(|fault| match fault {
            Fault::CutBefore => Some(Reply::empty(0)),
            Fault::Refuse(status) => Some(self.fail(origin, &Error::of_status(*status))),
            Fault::Unauthorized => Some(self.fail(origin, &Error::unauthenticated(self.settings.errors, false))),
            Fault::Redirect { status, location } => Some(Reply::empty(*status).with("location", location.as_str())),
            Fault::Html => Some(html(200)),
            Fault::HtmlStatus(status) => Some(html(*status)),
            Fault::Empty => Some(Reply::json(200, &json!({}))),
            Fault::Exhausted => Some(self.fail(origin, &Error::exhausted())),
            Fault::Says { status, name, reason, message } => {
                let mut error = json!({"code": status, "message": message, "status": name});
                if let Some(reason) = reason {
                    error["details"] = json!([{
                        "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason,
                        "domain": "googleapis.com", "metadata": {"service": "people.googleapis.com"},
                    }]);
                }
                Some(Reply::json(*status, &json!({"error": error})))
            }
            Fault::Throttle { status, retry_after } => {
                let error = match status {
                    429 => Error::quota(&self.settings.quotas, super::quota::CRITICAL_READ, &self.settings.project),
                    other => Error::of_status(*other),
                };
                let seconds = match retry_after {
                    RetryAfter::None => None,
                    RetryAfter::Seconds(seconds) | RetryAfter::Date(seconds) => Some(*seconds),
                };
                let reply = self.fail(origin, &error);
                Some(match seconds {
                    Some(seconds) => reply.with("retry-after", seconds.to_string()),
                    None => reply,
                })
            }
            _ => None,
        })
    }

    /// Plays the faults that come after a request has taken effect.
    fn fail_after(&self, origin: Origin, faults: &[Fault], answer: &mut Answer) {
        for fault in faults {
            match fault {
                Fault::CutAfter => answer.cut = Cut::Nothing,
                Fault::Torn => answer.cut = Cut::Torn,
                Fault::ErrorAfter(status) => answer.reply = self.fail(origin, &Error::of_status(*status)),
                Fault::Delay(wait) => answer.delay += wait,
                _ => {}
            }
        }
    }
}
