//! What can go wrong, and the one place where it becomes a [`ProviderError`].

use reqwest::StatusCode;

use super::settings::Flavour;
use super::xml::{Tail, read_error};
use crate::provider::http::message::{Answer, HttpError};
use crate::provider::{ProviderError, Retry, Scope};

/// What went wrong, as this adapter sees it.
#[derive(Debug)]
pub(super) enum Fault {
    /// No answer.
    Http(HttpError),
    /// 401: user name or password.
    SignIn,
    /// An answer that says no.
    Status { status: u16, conditions: Vec<String> },
    /// The cursor or page token is of no use any more, or it is time to look at everything again.
    Relist(&'static str),
    /// An answer that can't be true: nothing may be concluded from it.
    Implausible(&'static str),
    /// No address book was found.
    NoBook,
    /// The user's address can't be read.
    BadAddress(String),
}

impl From<HttpError> for Fault {
    fn from(error: HttpError) -> Self {
        Self::Http(error)
    }
}

impl Fault {
    /// Of an answer that says no.
    pub(super) async fn of(answer: &Answer) -> Self {
        Self::with(answer, read_error(&answer.body).await)
    }

    /// Of an answer that says no, whose body has been read.
    pub(super) fn with(answer: &Answer, tail: Tail) -> Self {
        match answer.status {
            StatusCode::UNAUTHORIZED => Self::SignIn,
            status => Self::Status { status: status.as_u16(), conditions: tail.conditions },
        }
    }

    /// Whether the address book may have moved, so that looking for it again can help (icloud-carddav.md §1.1).
    pub(super) fn may_have_moved(&self) -> bool {
        match self {
            Self::Http(HttpError::Connect { .. } | HttpError::Redirect { .. } | HttpError::Untrusted { .. }) => true,
            Self::Status { status, .. } => matches!(status, 300..=399 | 404 | 410 | 421),
            Self::Implausible(_) => true,
            _ => false,
        }
    }

    /// Whether it is that host's trouble alone, so that another that serves the same can help (icloud-carddav.md §1.1).
    pub(super) fn is_of_the_host(&self) -> bool {
        match self {
            Self::Http(HttpError::Connect { .. } | HttpError::Lost { .. }) => true,
            Self::Status { status, .. } => matches!(status, 421 | 500..),
            _ => false,
        }
    }

    /// Whether asking for fewer records at once can help (icloud-carddav.md §3.3).
    pub(super) fn may_be_too_much(&self) -> bool {
        match self {
            Self::Http(HttpError::Lost { .. } | HttpError::TooBig { .. } | HttpError::Content { .. }) => true,
            Self::Status { status, .. } => matches!(status, 400 | 403 | 404 | 413 | 414 | 500..),
            _ => false,
        }
    }
}

/// A fault in words for a person: what happened, and what to do.
#[derive(Debug, thiserror::Error)]
enum Told {
    #[error(transparent)]
    Http(HttpError),
    #[error(
        "iCloud refuses the sign-in. It takes the Apple Account's main address and an app-specific password (made at \
         account.apple.com under Sign-In and Security), not the account's own password; changing that one revokes all \
         app-specific passwords. Contacts must be switched on for iCloud"
    )]
    ICloudSignIn,
    #[error("the server refuses the sign-in; check user name and password")]
    SignIn,
    #[error("the address book is not there any more (status {0}); choose one again")]
    Missing(u16),
    #[error("the server does not allow it (status 403); check that the account may use this address book")]
    Forbidden,
    #[error("the server answers with status {status}{}", listed(.conditions))]
    Status { status: u16, conditions: Vec<String> },
    #[error(
        "the server answers with status {0}: at this address there seems to be none that speaks CardDAV; check the address"
    )]
    NoDav(u16),
    #[error("{0}; everything is listed again")]
    Relist(&'static str),
    #[error("{0}; nothing was concluded from it")]
    Implausible(&'static str),
    #[error("no address book was found there; check the address, or give the address of the address book itself")]
    NoBook,
    #[error("{0}")]
    BadAddress(String),
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) }
}

/// What is done when an account is added, or looked at by `doctor`.
pub(super) const SIGNING_IN: &str = "signing in";

/// How much is broken and when to try again.
pub(super) fn classify(fault: Fault, doing: &'static str, scope: Scope, flavour: Flavour) -> ProviderError {
    let (scope, retry, told) = match fault {
        Fault::Http(error) => {
            let (scope, retry) = error.judged(scope);
            (scope, retry, Told::Http(error))
        }
        Fault::SignIn if flavour == Flavour::ICloud => (Scope::Account, Retry::AfterHuman, Told::ICloudSignIn),
        Fault::SignIn => (Scope::Account, Retry::AfterHuman, Told::SignIn),
        Fault::Status { status, .. } if doing == SIGNING_IN && matches!(status, 300..=402 | 404..=499 | 501) => {
            (Scope::Account, Retry::AfterHuman, Told::NoDav(status))
        }
        Fault::Status { status: status @ (404 | 410), .. } => (scope, Retry::AfterHuman, Told::Missing(status)),
        Fault::Status { status: 403, conditions } if conditions.is_empty() => {
            (scope, Retry::AfterHuman, Told::Forbidden)
        }
        Fault::Status { status, conditions } => {
            // 402, 405, 451, 501 and the like do not pass by themselves.
            let lasting = matches!(status, 402 | 403 | 405 | 406 | 415 | 451 | 501 | 505 | 511);
            let retry = if lasting { Retry::AfterHuman } else { Retry::Soon };
            (scope, retry, Told::Status { status, conditions })
        }
        Fault::Relist(why) => (scope, Retry::Relist, Told::Relist(why)),
        Fault::Implausible(what) => (scope, Retry::Soon, Told::Implausible(what)),
        Fault::NoBook => (Scope::Account, Retry::AfterHuman, Told::NoBook),
        Fault::BadAddress(why) => (Scope::Account, Retry::AfterHuman, Told::BadAddress(why)),
    };
    ProviderError { scope, retry, doing, source: Box::new(told) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{CollectionId, Timestamp};

    #[test]
    fn each_fault_has_its_scope_and_time() {
        let book = || Scope::Collection(CollectionId::from("/card/"));
        let host = || "dav.example.com".to_owned();
        let status = |status| Fault::Status { status, conditions: vec!["x".into()] };
        let until = Timestamp(5);
        let table = [
            (Fault::SignIn, Scope::Account, Retry::AfterHuman),
            (Fault::Http(HttpError::Wait { until, doubt: false }), Scope::Account, Retry::At(until)),
            (Fault::Http(HttpError::Connect { host: host(), why: String::new() }), Scope::Account, Retry::Soon),
            (Fault::Http(HttpError::Lost { host: host(), why: String::new() }), Scope::Account, Retry::Soon),
            (Fault::Http(HttpError::TooBig { host: host(), limit: 1 }), book(), Retry::Soon),
            (Fault::Http(HttpError::Untrusted { host: host() }), Scope::Account, Retry::AfterHuman),
            (Fault::Http(HttpError::Plain { host: host() }), Scope::Account, Retry::AfterHuman),
            (status(404), book(), Retry::AfterHuman),
            (status(403), book(), Retry::AfterHuman),
            (status(500), book(), Retry::Soon),
            (status(507), book(), Retry::Soon),
            (status(501), book(), Retry::AfterHuman),
            (status(400), book(), Retry::Soon),
            (Fault::Relist("the token has expired"), book(), Retry::Relist),
            (Fault::Implausible("an empty answer"), book(), Retry::Soon),
            (Fault::NoBook, Scope::Account, Retry::AfterHuman),
        ];
        for (fault, scope, retry) in table {
            let named = format!("{fault:?}");
            let error = classify(fault, "listing the address book", book(), Flavour::Generic);
            assert_eq!((error.scope, error.retry), (scope, retry), "{named}");
        }
        let error = classify(Fault::SignIn, "signing in", Scope::Account, Flavour::ICloud);
        assert!(error.to_string().contains("app-specific password"));
    }
}
