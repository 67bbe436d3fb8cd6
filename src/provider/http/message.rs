//! What goes out and what comes back.
//!
//! Owns: [`Request`], [`Answer`], [`Incoming`] with its capped body, and [`HttpError`]. Must not: send anything.

use std::io;
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{Stream, StreamExt};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode, Url};

use super::address::PrivateAddress;
use super::trust::BadRedirect;
use crate::ids::Timestamp;
use crate::provider::{Retry, Scope};
use crate::sync::retry::RetryAfter;

/// Bodies of answers are cut off as too big above this, unless a request says otherwise: inflated bytes.
pub const USUAL_LIMIT: u64 = 64 * 1024 * 1024;

/// Whether a request carries the account's credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// Yes; it fails rather than go to a host outside the trust set.
    Account,
    /// Where the host is in the trust set; elsewhere it goes without.
    WhereTrusted,
    /// Never.
    None,
}

/// A request.
#[derive(Clone)]
pub struct Request {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Bytes>,
    pub(super) credentials: Credentials,
    pub(super) limit: u64,
    pub(super) foreign: bool,
    pub(super) quick: bool,
    pub(super) told: Option<ToldToWait>,
}

/// What the body of an answer says whose status asks us to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Nothing of how long.
    Nothing,
    /// That long, unless its `Retry-After` says otherwise.
    Wait(RetryAfter),
    /// That it is about something else: waiting would not help.
    Otherwise,
}

/// Reads that from the body.
pub type ToldToWait = fn(&[u8]) -> Told;

impl Request {
    /// With the account's credentials, no body and the usual limits.
    pub fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: None,
            credentials: Credentials::Account,
            limit: USUAL_LIMIT,
            foreign: false,
            quick: false,
            told: None,
        }
    }

    /// Where it goes.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// With a header. A value that no header can hold is left out.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// With a body.
    #[must_use]
    pub fn body(mut self, media_type: &'static str, body: impl Into<Bytes>) -> Self {
        self.headers.insert(reqwest::header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        self.body = Some(body.into());
        self
    }

    /// With other rules for credentials.
    #[must_use]
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = credentials;
        self
    }

    /// With another limit for the answer's body, in inflated bytes.
    #[must_use]
    pub fn limit(mut self, bytes: u64) -> Self {
        self.limit = bytes;
        self
    }

    /// To an address that came out of somebody's data: private addresses are refused whatever the configuration allows.
    #[must_use]
    pub fn foreign(mut self) -> Self {
        self.foreign = true;
        self
    }

    /// Given up at the first stumble of the server: for a caller who would rather ask for less than ask again.
    #[must_use]
    pub fn quick(mut self) -> Self {
        self.quick = true;
        self
    }

    /// For a server that says only in the body whether, and how long, we should wait.
    #[must_use]
    pub fn told_to_wait(mut self, told: ToldToWait) -> Self {
        self.told = Some(told);
        self
    }

    /// What the body of an answer to it says of waiting.
    pub(super) fn told(&self, answer: &Answer) -> Told {
        self.told.map_or(Told::Nothing, |told| told(&answer.body))
    }

    /// Whether it may change something: such requests go one at a time per account.
    pub(super) fn is_write(&self) -> bool {
        !matches!(self.method.as_str(), "GET" | "HEAD" | "OPTIONS" | "PROPFIND" | "REPORT")
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let size = self.body.as_ref().map_or(0, Bytes::len);
        write!(f, "{} {} ({size} bytes)", self.method, shown(&self.url))
    }
}

/// An address for logs and errors: the path, which can hold names, is only told apart, not told.
pub fn shown(url: &Url) -> String {
    let hash = blake3::hash(url.path().as_bytes()).to_hex();
    format!("{}://{}/#{}", url.scheme(), url.host_str().unwrap_or(""), &hash[..8])
}

/// An answer that was read to its end.
#[derive(Clone)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Where it came from in the end, redirects followed.
    pub url: Url,
    /// Its body; cut short if the status is an error and the body is long.
    pub body: Bytes,
    /// Whether an earlier attempt of the same request may have been carried out: a failed precondition then says
    /// "look, then decide".
    pub resent: bool,
}

impl Answer {
    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| std::str::from_utf8(value.as_bytes()).ok()).map(str::trim)
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Answer({} from {}, {} bytes)", self.status.as_u16(), shown(&self.url), self.body.len())
    }
}

type ByteStream = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// A good answer whose body is still coming.
pub struct Incoming {
    /// Its status, 2xx.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Where it comes from in the end.
    pub url: Url,
    body: ByteStream,
}

/// The body is bigger than the request allows.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the answer is bigger than {0} bytes")]
struct TooBig(u64);

impl Incoming {
    /// Of a response. Counts inflated bytes, so that a small answer can't unfold without end.
    pub(super) fn new(response: reqwest::Response, limit: u64) -> Self {
        let (status, headers, url) = (response.status(), response.headers().clone(), response.url().clone());
        let mut left = Some(limit);
        let body = response.bytes_stream().map(move |piece| {
            let piece = piece.map_err(|error| io::Error::other(error.without_url()))?;
            left = left.and_then(|left| left.checked_sub(piece.len() as u64));
            if left.is_none() { Err(io::Error::other(TooBig(limit))) } else { Ok(piece) }
        });
        Self { status, headers, url, body: Box::pin(body) }
    }

    /// The pieces of the body as they come.
    pub fn pieces(self) -> impl Stream<Item = io::Result<Bytes>> + Send + Unpin {
        self.body
    }

    /// The whole body.
    pub(super) async fn collect(mut self) -> Result<Bytes, ReadFault> {
        let mut whole = BytesMut::new();
        while let Some(piece) = self.body.next().await {
            whole.extend_from_slice(&piece?);
        }
        Ok(whole.freeze())
    }

    /// The start of the body, as much as comes and no more than the limit; never fails.
    pub(super) async fn start(mut self) -> Bytes {
        let mut whole = BytesMut::new();
        while let Some(Ok(piece)) = self.body.next().await {
            whole.extend_from_slice(&piece);
        }
        whole.freeze()
    }
}

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadFault {
    /// It broke off, or is too big.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It came, and is not what it should be.
    #[error("{0}")]
    Content(String),
}

impl ReadFault {
    pub(super) fn too_big(&self) -> Option<u64> {
        match self {
            Self::Io(error) => {
                error.get_ref().and_then(|inner| inner.downcast_ref::<TooBig>()).map(|too_big| too_big.0)
            }
            Self::Content(_) => None,
        }
    }
}

/// Why there is no answer. Texts say what a person can do; none holds a path, a name or a secret.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Leads into a private network.
    #[error(transparent)]
    PrivateAddress(#[from] PrivateAddress),
    /// Credentials would go where others can read along.
    #[error("{host} is not reached by https; use an address that starts with https://")]
    Plain {
        /// Which host.
        host: String,
    },
    /// Credentials would go to a host that the account doesn't trust.
    #[error(
        "{host} asks for the password of this account; if that host is right, confirm it: add the account with --trust {host}"
    )]
    Untrusted {
        /// Which host.
        host: String,
    },
    /// A redirect that is not followed.
    #[error("{host} redirects, but {why}")]
    Redirect {
        /// Which host.
        host: String,
        /// Why not.
        why: BadRedirect,
    },
    /// No connection; not a byte of the request left.
    #[error("{host} can't be reached: {why}")]
    Connect {
        /// Which host.
        host: String,
        /// What the system says.
        why: String,
    },
    /// No answer, or one that broke off.
    #[error("{host} did not answer: {why}")]
    Lost {
        /// Which host.
        host: String,
        /// What happened.
        why: String,
    },
    /// The answer is too big.
    #[error("{host} sent more than {limit} bytes")]
    TooBig {
        /// Which host.
        host: String,
        /// How much was allowed.
        limit: u64,
    },
    /// The answer is not what it should be.
    #[error("{host} sent something that we can't read: {why}")]
    Content {
        /// Which host.
        host: String,
        /// What is wrong with it.
        why: String,
    },
    /// The server asked us to wait for longer than we can here.
    #[error("the server asks us to wait until {until}")]
    Wait {
        /// Until when.
        until: Timestamp,
        /// Whether the request may have been carried out all the same.
        doubt: bool,
    },
    /// The request can't be written down: a bug here or a broken secret.
    #[error("the request can't be made: {0}")]
    Unsendable(String),
    /// The request may have been carried out: look, then decide.
    #[error("{0}; whether it was carried out is not known")]
    InDoubt(Box<HttpError>),
}

impl HttpError {
    /// How much is broken where `scope` was asked for, and when to try again: the same whoever asked.
    pub fn judged(&self, scope: Scope) -> (Scope, Retry) {
        match self {
            Self::Wait { until, .. } => (Scope::Account, Retry::At(*until)),
            Self::Connect { .. } | Self::Lost { .. } => (Scope::Account, Retry::Soon),
            Self::TooBig { .. } | Self::Content { .. } | Self::InDoubt(_) => (scope, Retry::Soon),
            Self::PrivateAddress(_)
            | Self::Plain { .. }
            | Self::Untrusted { .. }
            | Self::Redirect { .. }
            | Self::Unsendable(_) => (Scope::Account, Retry::AfterHuman),
        }
    }

    /// Whether the request may have been carried out.
    pub fn doubt(&self) -> bool {
        match self {
            Self::InDoubt(_) | Self::Wait { doubt: true, .. } => true,
            Self::Lost { .. } | Self::TooBig { .. } | Self::Content { .. } => true,
            Self::Wait { doubt: false, .. }
            | Self::PrivateAddress(_)
            | Self::Plain { .. }
            | Self::Untrusted { .. }
            | Self::Redirect { .. }
            | Self::Connect { .. }
            | Self::Unsendable(_) => false,
        }
    }
}
