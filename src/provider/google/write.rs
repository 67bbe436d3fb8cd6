//! Writes, and what became of them (google.md §4).
//!
//! Owns: batches under one mask each, the way from a refused batch to the one record that it was refused for, and the
//! meaning of each answer. One request at a time, since Google wants an account's changes one after the other.
//!
//! A batch that Google refuses has changed nothing (google.md §4.1): those that it names are judged, the rest goes again;
//! where it names none, halves go. What a photo needs is a request of its own: it goes before the fields of an update, so
//! that a write which is cut short is planned again as a whole, and after a create.

mod members;
mod pictures;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value as Json, json};

use super::Client;
use super::convert::{self, tokens_of};
use super::edit::{self, Lists};
use super::fault::{ApiError, Cause, Fault, is_ok};
use super::wire::{self, Created, MOST_PEOPLE, PersonResponse, Updated};
use crate::provider::http::message::{Answer, HttpError};
use crate::provider::{Outcome, Write, WriteKind};
use crate::sync::retry::Resend;
use crate::sync::view::{RemoteRecord, RemoteRef, Seen};

/// After so many requests in a row without a clear answer the rest is left for later.
const MOST_SHOCKS: u32 = 2;

const FULL: &str = "Google holds no more contacts in this account (25,000, those in its trash included); delete some there \
and empty the trash";
const INVALID: &str = "Google does not take what the record holds; look for a value that is too long or no such value";
const NO_BEFORE: &str = "the record as last seen is missing; it is read again at the next full listing";
const NO_GROUP: &str = "Google does not put contacts into that label, or it is gone; choose the sync group again";
const LAST_GROUP: &str = "the contact is in no other label, and Google keeps every contact in at least one";

/// What a batch does to people.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verb {
    Create,
    /// These lists of them.
    Update(String),
}

/// One person of a batch.
#[derive(Debug)]
struct Job {
    /// Its place among the writes.
    n: usize,
    /// Its token or resource name.
    key: String,
    body: Json,
    /// Whether an earlier request with it may have been carried out.
    doubt: bool,
}

/// A call of `write`.
pub(super) struct Run<'a> {
    client: &'a Client,
    batch: &'a [Write],
    outcomes: Vec<Option<Outcome>>,
    /// Why Google does not take a write's picture.
    unpictured: BTreeMap<usize, String>,
    shocks: u32,
    stopped: bool,
}

impl<'a> Run<'a> {
    pub(super) fn new(client: &'a Client, batch: &'a [Write]) -> Self {
        let outcomes = batch.iter().map(|_| None).collect();
        Self { client, batch, outcomes, unpictured: BTreeMap::new(), shocks: 0, stopped: false }
    }

    /// Writes all of them, one outcome each, in order.
    pub(super) async fn run(mut self) -> Vec<Outcome> {
        Box::pin(self.create_all()).await;
        Box::pin(self.update_all()).await;
        Box::pin(self.join_all()).await;
        Box::pin(self.delete_all()).await;
        for (n, why) in std::mem::take(&mut self.unpictured) {
            self.outcomes[n] = self.outcomes[n].take().map(|outcome| pictures::not_taken(outcome, why));
        }
        self.outcomes.into_iter().map(|outcome| outcome.unwrap_or(Outcome::NotTried)).collect()
    }

    /// Whether nothing more may be begun for that write.
    fn too_late(&self, n: usize) -> bool {
        self.stopped || self.client.world.now() > self.batch[n].by
    }

    /// Whether that write may still begin.
    fn due(&self, n: usize) -> bool {
        self.outcomes[n].is_none() && !self.too_late(n)
    }

    fn end(&mut self, n: usize, outcome: Outcome) {
        self.outcomes[n] = Some(outcome);
    }

    fn refuse(&mut self, n: usize, why: &str) {
        self.end(n, Outcome::Refused(why.to_owned()));
    }

    fn clear_answer(&mut self) {
        self.shocks = 0;
    }

    fn shock(&mut self) {
        self.shocks += 1;
        self.stopped |= self.shocks >= MOST_SHOCKS;
    }

    /// A request with these writes came to nothing that is theirs alone.
    fn lost(&mut self, of: impl Iterator<Item = usize>, fault: &Fault) {
        let outcome = match fault {
            Fault::Http(error) => {
                match error {
                    HttpError::Lost { .. }
                    | HttpError::InDoubt(_)
                    | HttpError::TooBig { .. }
                    | HttpError::Content { .. } => self.shock(),
                    _ => self.stopped = true,
                }
                if error.doubt() { Outcome::Unknown } else { Outcome::NotTried }
            }
            Fault::Api(error) if error.http == 403 && !error.is_quota() => {
                self.stopped = true;
                Outcome::Refused(error.forbidden().to_owned())
            }
            Fault::Api(error) if error.http == 408 || error.http >= 500 => {
                self.shock();
                Outcome::Unknown
            }
            Fault::Implausible(_) => {
                self.shock();
                Outcome::Unknown
            }
            // The next listing says why.
            Fault::Api(_)
            | Fault::Bearer(_)
            | Fault::SignIn
            | Fault::Wait(_)
            | Fault::Relist(_)
            | Fault::Settings(_) => {
                self.stopped = true;
                Outcome::NotTried
            }
        };
        for n in of {
            self.end(n, outcome.clone());
        }
    }

    async fn create_all(&mut self) {
        let batch = self.batch;
        let mut jobs = Vec::new();
        for (n, write) in batch.iter().enumerate() {
            if let WriteKind::Create { card, groups } = &write.what {
                let (key, body) = (write.token.0.to_string(), edit::create(card, write.token, groups));
                jobs.push(Job { n, key, body, doubt: false });
            }
        }
        self.send(&Verb::Create, jobs).await;
        self.picture_new().await;
    }

    async fn update_all(&mut self) {
        let batch = self.batch;
        let mut by_mask: BTreeMap<String, Vec<Job>> = BTreeMap::new();
        let mut names = BTreeSet::new();
        for (n, write) in batch.iter().enumerate() {
            let WriteKind::Update { card, mask } = &write.what else { continue };
            let Some((before, raw)) = before(write) else {
                self.refuse(n, NO_BEFORE);
                continue;
            };
            // The same record twice: the second starts from what the first makes of it.
            if !names.insert(before.at.id.clone()) {
                continue;
            }
            let lists = edit::update(&raw, card, *mask);
            let Some(now) = self.pictured(n, write, card, *mask, before, &lists).await else { continue };
            if lists.is_empty() {
                self.end(n, Outcome::Stored(now));
                continue;
            }
            let raw = now.raw.as_deref().and_then(wire::read).unwrap_or(raw);
            let masked: Vec<&str> = lists.keys().copied().collect();
            let job = Job { n, key: now.at.id.0.clone(), body: body(&raw, &lists), doubt: false };
            by_mask.entry(masked.join(",")).or_default().push(job);
        }
        for (mask, jobs) in by_mask {
            self.send(&Verb::Update(mask), jobs).await;
        }
    }

    /// Sends people in batches; a batch that is refused becomes smaller ones.
    async fn send(&mut self, verb: &Verb, jobs: Vec<Job>) {
        let mut parts: Vec<Vec<Job>> = Vec::new();
        let mut jobs = jobs.into_iter().peekable();
        while jobs.peek().is_some() {
            parts.push(jobs.by_ref().take(MOST_PEOPLE).collect());
        }
        parts.reverse();
        while let Some(mut part) = parts.pop() {
            part.retain(|job| self.due(job.n));
            if part.is_empty() {
                continue;
            }
            let (request, resend) = match verb {
                Verb::Create => {
                    let people: Vec<&Json> = part.iter().map(|job| &job.body).collect();
                    (self.client.api.create(&people), Resend::Once)
                }
                Verb::Update(mask) => {
                    let people = part.iter().map(|job| (job.key.as_str(), &job.body)).collect();
                    (self.client.api.update(&people, mask), Resend::Guarded)
                }
            };
            let all = |part: &[Job]| part.iter().map(|job| job.n).collect::<Vec<_>>().into_iter();
            let answer = match self.client.call(&request, resend).await {
                Ok(answer) => answer,
                Err(fault) => {
                    self.lost(all(&part), &fault);
                    continue;
                }
            };
            if answer.status.is_success() {
                self.take(verb, &part, &answer);
                continue;
            }
            let error = ApiError::of(&answer);
            if error.http == 409 {
                // Somebody else writes at the same time: surely not carried out.
                self.shock();
                continue;
            }
            if error.concerns_account() || error.http == 408 || error.http >= 500 {
                self.lost(all(&part), &Fault::Api(error));
                continue;
            }
            self.clear_answer();
            self.split(verb, part, &error, answer.resent, &mut parts);
        }
    }

    /// A refused batch: judges what is named, or the only one; the rest goes again.
    fn split(&mut self, verb: &Verb, mut part: Vec<Job>, error: &ApiError, resent: bool, parts: &mut Vec<Vec<Job>>) {
        for job in &mut part {
            job.doubt |= resent;
        }
        let cause_of = |place: usize, job: &Job| match verb {
            Verb::Create => error.items.get(&place.to_string()).copied(),
            Verb::Update(_) => error.items.get(&job.key).copied(),
        };
        let (mut named, mut rest) = (Vec::new(), Vec::new());
        for (place, job) in part.into_iter().enumerate() {
            match cause_of(place, &job) {
                Some(cause) => named.push((job, cause)),
                None => rest.push(job),
            }
        }
        if named.is_empty() && (rest.len() == 1 || error.cause() == Cause::Full) {
            named.extend(rest.drain(..).map(|job| (job, error.cause())));
        }
        if named.is_empty() {
            let right = rest.split_off(rest.len() / 2);
            parts.extend([right, rest]);
        } else if !rest.is_empty() {
            parts.push(rest);
        }
        for (job, cause) in named {
            self.judge(verb, &job, cause, &error.fields);
        }
    }

    fn judge(&mut self, verb: &Verb, job: &Job, cause: Cause, fields: &[String]) {
        let outcome = match (cause, verb) {
            // Our own first attempt may be what changed it.
            (Cause::Stale, Verb::Update(_)) if job.doubt => Outcome::Unknown,
            (Cause::Stale, Verb::Update(_)) => Outcome::Stale,
            (Cause::Missing, Verb::Update(_)) => Outcome::Missing,
            (Cause::Full, _) => Outcome::Refused(FULL.to_owned()),
            (Cause::Later, _) => Outcome::NotTried,
            (Cause::Forbidden, _) => Outcome::Refused("Google does not let this record be changed".to_owned()),
            (Cause::Stale | Cause::Missing | Cause::Invalid, _) if fields.is_empty() => {
                Outcome::Refused(INVALID.to_owned())
            }
            (Cause::Stale | Cause::Missing | Cause::Invalid, _) => {
                Outcome::Refused(format!("{INVALID} (it names {})", fields.join(", ")))
            }
        };
        self.end(job.n, outcome);
    }

    /// A batch was taken: each with its own answer.
    fn take(&mut self, verb: &Verb, part: &[Job], answer: &Answer) {
        let told = match verb {
            Verb::Create => wire::read::<Created>(&answer.body).map(|created| by_token(part, created.created_people)),
            Verb::Update(_) => wire::read::<Updated>(&answer.body).map(|updated| by_name(updated.update_result)),
        };
        let Some(mut told) = told else {
            self.lost(part.iter().map(|job| job.n), &Fault::Implausible("an answer that can't be read"));
            return;
        };
        self.clear_answer();
        for job in part {
            let outcome = match (told.remove(&job.key), verb) {
                (Some(response), _) => self.stored(job, &response, verb),
                // It was not said what became of it.
                (None, _) => Outcome::Unknown,
            };
            self.end(job.n, outcome);
        }
    }

    fn stored(&self, job: &Job, response: &PersonResponse, verb: &Verb) -> Outcome {
        let write = &self.batch[job.n];
        match response.person.as_ref().and_then(|person| convert::observe(person, &write.collection)) {
            Some(Seen::Present(mut record)) => {
                if *verb != Verb::Create && record.at.id.as_str() != job.key {
                    record.formerly.push(job.key.as_str().into());
                }
                Outcome::Stored(record)
            }
            Some(seen) => seen.at().cloned().map_or(Outcome::Unknown, Outcome::Landed),
            // The write went well, the reading after it did not: it is read again.
            None => match (&write.before, verb) {
                (Some(before), Verb::Update(_)) => Outcome::Landed(RemoteRef { etag: None, ..before.at.clone() }),
                _ => {
                    tracing::debug!(ok = is_ok(&response.status), "a record was created and not shown");
                    Outcome::Unknown
                }
            },
        }
    }
}

/// The record as last seen, if it can be written to.
fn before(write: &Write) -> Option<(&RemoteRecord, Json)> {
    let before = write.before.as_ref().filter(|before| wire::is_name(before.at.id.as_str(), "people"))?;
    Some((before, before.raw.as_deref().and_then(wire::read)?))
}

/// An update as it is sent: which version of whom, and the lists; one that is absent is cleared.
fn body(raw: &Json, lists: &Lists) -> Json {
    let mut person = Map::new();
    for member in ["resourceName", "metadata"] {
        person.insert(member.to_owned(), raw[member].clone());
    }
    for (name, items) in lists.iter().filter(|(_, items)| !items.is_empty()) {
        person.insert((*name).to_owned(), json!(items));
    }
    Json::Object(person)
}

/// Created people by the tokens that they carry, since their order is not promised; by their order where they show none.
fn by_token(part: &[Job], created: Vec<PersonResponse>) -> HashMap<String, PersonResponse> {
    let in_order = created.len() == part.len();
    let carries = |response: &PersonResponse| response.person.as_ref().and_then(|person| tokens_of(person).next());
    let blind = created.iter().all(|response| carries(response).is_none());
    let mut told = HashMap::new();
    for (place, response) in created.into_iter().enumerate() {
        match carries(&response) {
            Some(token) => drop(told.insert(token.0.to_string(), response)),
            None if in_order && blind => drop(told.insert(part[place].key.clone(), response)),
            None => {}
        }
    }
    told
}

fn by_name(updated: BTreeMap<String, PersonResponse>) -> HashMap<String, PersonResponse> {
    updated.into_iter().map(|(name, told)| (told.requested_resource_name.clone().unwrap_or(name), told)).collect()
}
