//! What goes wrong at Google, and what that means (google.md §1.7, §7).
//!
//! Owns: the reading of error bodies, and the words for people. Messages of the server are looked at and never shown or
//! kept: they can hold an address of the contact (google.md §9, 23).

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::convert::{list, text};
use crate::ids::Timestamp;
use crate::provider::http::message::{Answer, HttpError, Told};
use crate::provider::{ProviderError, Retry, Scope};
use crate::sync::retry::RetryAfter;

/// How long a quota by the minute is waited for, in ms.
const MINUTE: i64 = 60_000;
/// How long an account's own quota is waited for: each try eats of it (google.md §7.1, shape 2).
const LONG: i64 = 60 * MINUTE;

/// What went wrong.
#[derive(Debug)]
pub(super) enum Fault {
    /// No answer.
    Http(HttpError),
    /// No token.
    Bearer(ProviderError),
    /// A fresh token was refused.
    SignIn,
    /// An answer that says no.
    Api(ApiError),
    /// The quota is used up until then.
    Wait(Timestamp),
    /// The cursor or page token is good for nothing.
    Relist(&'static str),
    /// An answer that can't be.
    Implausible(&'static str),
    /// The settings.
    Settings(String),
}

impl From<HttpError> for Fault {
    fn from(error: HttpError) -> Self {
        Self::Http(error)
    }
}

/// Why one person of a batch was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// It has changed since.
    Stale,
    /// It is not there.
    Missing,
    /// The account is full.
    Full,
    /// Google does not take its content.
    Invalid,
    /// Not now.
    Later,
    /// Not with this sign-in.
    Forbidden,
}

/// An answer that says no, as far as we look at it. Its message is not kept.
#[derive(Debug, Default)]
pub(super) struct ApiError {
    /// The HTTP status.
    pub http: u16,
    /// Google's word for it: `INVALID_ARGUMENT`.
    pub status: String,
    /// All reasons given: `EXPIRED_SYNC_TOKEN`, `rateLimitExceeded`.
    pub reasons: Vec<String>,
    /// By index or resource name: which of a batch were not taken.
    pub items: BTreeMap<String, Cause>,
    /// Which members it is about, where that is told: `person.birthdays[0].date`.
    pub fields: Vec<String>,
    /// What the message was recognised as.
    told: Message,
}

#[derive(Debug, Default)]
struct Message {
    stale: bool,
    expired: bool,
    full: bool,
    quota: bool,
    no_service: bool,
    unavailable_for_user: bool,
}

impl ApiError {
    /// Of an answer; its body may be anything (HTML of a proxy).
    pub(super) fn of(answer: &Answer) -> Self {
        Self::read(answer.status.as_u16(), &answer.body)
    }

    fn read(http: u16, body: &[u8]) -> Self {
        let envelope: Json = serde_json::from_slice(body).unwrap_or_default();
        let error = &envelope["error"];
        let message = text(error, "message").unwrap_or_default();
        let mut reasons = Vec::new();
        let (mut items, mut fields) = (BTreeMap::new(), Vec::new());
        for detail in list(error, "details") {
            reasons.extend(text(detail, "reason").map(str::to_owned));
            let backend = list(detail, "violations").iter().filter_map(|one| text(one, "description"));
            reasons.extend(backend.filter(|told| told.contains("FBS quota")).map(|_| "FBS_QUOTA".to_owned()));
            let violated = list(detail, "fieldViolations").iter().filter_map(|one| text(one, "field"));
            fields.extend(violated.filter(|field| is_path(field)).map(str::to_owned));
            if let Some(named) = detail["contactErrors"].as_object() {
                items.extend(named.iter().map(|(name, status)| (name.clone(), cause(status))));
            }
        }
        reasons.extend(list(error, "errors").iter().filter_map(|one| text(one, "reason")).map(str::to_owned));
        let told = Message {
            stale: is_stale(message),
            expired: message.starts_with("Sync token is expired"),
            full: message.contains(OVERFLOW),
            quota: message.contains("Quota exceeded"),
            no_service: message.contains("has not been used in project") || message.contains("it is disabled"),
            unavailable_for_user: message.contains("authenticated user cannot access this service"),
        };
        let status = text(error, "status").unwrap_or_default().to_owned();
        Self { http, status, reasons, items, fields, told }
    }

    fn has(&self, reasons: &[&str]) -> bool {
        self.reasons.iter().any(|reason| reasons.contains(&reason.as_str()))
    }

    /// Whether a sync token was said to be too old (google.md §2.2).
    pub(super) fn is_expired(&self) -> bool {
        self.has(&["EXPIRED_SYNC_TOKEN"]) || self.told.expired
    }

    /// Whether it is about how much we ask for.
    pub(super) fn is_quota(&self) -> bool {
        let said = self.http == 429
            || self.status == "RESOURCE_EXHAUSTED"
            || self.told.quota
            || self.has(&["rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded", "dailyLimitExceeded"])
            || self.has(&["RATE_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED"]);
        said && !self.told.full
    }

    /// How long to wait then, in ms.
    pub(super) fn wait(&self) -> i64 {
        if self.has(&["FBS_QUOTA", "dailyLimitExceeded", "quotaExceeded"]) { LONG } else { MINUTE }
    }

    /// Why the one person that the request was about was not taken.
    pub(super) fn cause(&self) -> Cause {
        if self.told.full {
            Cause::Full
        } else if self.told.stale || self.status == "FAILED_PRECONDITION" || self.has(&["failedPrecondition"]) {
            Cause::Stale
        } else if self.http == 404 {
            Cause::Missing
        } else if self.http == 409 {
            Cause::Later
        } else if self.http == 403 {
            Cause::Forbidden
        } else {
            Cause::Invalid
        }
    }

    /// Whether the answer is about the account, so that every other request would get it too.
    pub(super) fn concerns_account(&self) -> bool {
        !self.told.full && (self.http == 401 || self.http == 403 || self.is_quota())
    }

    /// What to do about a 403, in words (google.md §1.7).
    pub(super) fn forbidden(&self) -> &'static str {
        if self.has(&["ACCESS_TOKEN_SCOPE_INSUFFICIENT", "insufficientPermissions"]) {
            "the sign-in does not allow this; sign in again, and tick the box that lets contacts be seen, edited and deleted"
        } else if self.has(&["SERVICE_DISABLED", "accessNotConfigured"]) || self.told.no_service {
            "the People API is not switched on in the Google Cloud project of this sign-in; switch it on in the Google Cloud \
             console (APIs & Services, Library, People API), then try again after some minutes"
        } else if self.told.unavailable_for_user {
            "contacts are switched off for this user; the Google Workspace administrator can switch them on"
        } else {
            "Google does not let this account's contacts be reached; sign in again, or ask the Google Workspace administrator"
        }
    }
}

/// Google's word for an account that holds as many contacts as it may.
const OVERFLOW: &str = "MY_CONTACTS_OVERFLOW_COUNT";

fn is_stale(message: &str) -> bool {
    message.contains("is different than the current person")
}

/// Whether it is the path of a member and nothing that a message quotes.
fn is_path(field: &str) -> bool {
    field.len() <= 60 && field.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'[' | b']'))
}

/// Of a `google.rpc.Status`.
pub(super) fn cause(status: &Json) -> Cause {
    let message = text(status, "message").unwrap_or_default();
    match status["code"].as_i64() {
        _ if message.contains(OVERFLOW) => Cause::Full,
        _ if is_stale(message) => Cause::Stale,
        Some(5) => Cause::Missing,
        Some(7 | 16) => Cause::Forbidden,
        Some(9) => Cause::Stale,
        Some(1 | 4 | 8 | 10 | 13 | 14) => Cause::Later,
        _ => Cause::Invalid,
    }
}

/// Whether a status in a batch says that it went well.
pub(super) fn is_ok(status: &Json) -> bool {
    status["code"].as_i64().unwrap_or(0) == 0
}

/// What a 429's body says of waiting: how long, only where that is long (google.md §7.1, shape 2); and that an account is
/// full is no matter of waiting, whatever status it comes with (google.md §3.4).
pub(super) fn told_to_wait(body: &[u8]) -> Told {
    let error = ApiError::read(429, body);
    match error.wait() {
        _ if error.told.full => Told::Otherwise,
        wait if wait > MINUTE => Told::Wait(RetryAfter::Seconds(u64::try_from(wait / 1_000).unwrap_or(0))),
        _ => Told::Nothing,
    }
}

/// What a person is told.
#[derive(Debug, thiserror::Error)]
enum Words {
    #[error(transparent)]
    Http(HttpError),
    #[error("Google does not take the sign-in any more; sign in again")]
    SignIn,
    #[error("{0}")]
    Forbidden(&'static str),
    #[error("Google's quota for this account is used up until {0}")]
    Wait(Timestamp),
    #[error("{0}; everything is listed anew")]
    Relist(&'static str),
    #[error("Google sent {0}")]
    Implausible(&'static str),
    #[error("Google says no (status {http} {status} {reasons})")]
    Status { http: u16, status: String, reasons: String },
    #[error("{0}")]
    Settings(String),
}

/// How much is broken, and when to try again.
pub(super) fn classify(fault: Fault, doing: &'static str, scope: Scope) -> ProviderError {
    let (scope, retry, words) = match fault {
        Fault::Bearer(error) => return error,
        Fault::Http(error) => {
            let (scope, retry) = error.judged(scope);
            (scope, retry, Words::Http(error))
        }
        Fault::SignIn => (Scope::Account, Retry::AfterHuman, Words::SignIn),
        Fault::Wait(until) => (Scope::Account, Retry::At(until), Words::Wait(until)),
        Fault::Relist(why) => (scope, Retry::Relist, Words::Relist(why)),
        Fault::Implausible(what) => (scope, Retry::Soon, Words::Implausible(what)),
        Fault::Settings(why) => (Scope::Account, Retry::AfterHuman, Words::Settings(why)),
        Fault::Api(error) if error.http == 403 => {
            (Scope::Account, Retry::AfterHuman, Words::Forbidden(error.forbidden()))
        }
        Fault::Api(error) => {
            // Words of the protocol only: letters, never what a message may quote.
            let is_word =
                |text: &String| text.len() <= 60 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            let reasons: Vec<String> = error.reasons.into_iter().filter(is_word).collect();
            let status = Some(error.status).filter(is_word).unwrap_or_default();
            (scope, Retry::Soon, Words::Status { http: error.http, status, reasons: reasons.join(" ") })
        }
    };
    ProviderError { scope, retry, doing, source: Box::new(words) }
}

#[cfg(test)]
mod tests;
