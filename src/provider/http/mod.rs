//! The one HTTP client of all adapters.
//!
//! Owns: connections, TLS, timeouts, limits, redirects, pacing, resending and the rule where credentials may go. Must
//! not: know a protocol above HTTP, or the store. This is the only place under `provider` that waits. Start reading at
//! [`Door::send`]; the decision whether to send again is [`crate::sync::retry`].

pub mod address;
pub mod auth;
mod digest;
pub mod gate;
pub mod message;
pub mod trust;

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Client, Method, StatusCode, Url, redirect, retry};
use tokio::time::Instant;
use url::Position;

use self::address::{AddressPolicy, GuardedResolver, PrivateAddress};
use self::auth::Auth;
use self::gate::{Closed, Gate, Pass};
use self::message::{Answer, Credentials, HttpError, Incoming, ReadFault, Request, Told, shown};
use self::trust::{BadRedirect, MOST_REDIRECTS, TrustSet, host_and_port, redirected};
use crate::clock::World;
use crate::sync::retry::{Attempt, Decision, Failure, Resend, RetryAfter, decide, delay};

/// How much is read of the body of an answer that says no.
const ERROR_BODY: u64 = 64 * 1024;

/// What the client is told by the configuration.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// Which network addresses may be reached.
    pub addresses: AddressPolicy,
    /// How we call ourselves: the `User-Agent`.
    pub user_agent: String,
    /// The largest body of an answer that is read, in inflated bytes; a request may allow less.
    pub max_body: u64,
    /// How long a request may take to connect.
    pub connect: Duration,
    /// How long a server may be silent.
    pub silence: Duration,
    /// How long one attempt may take in all.
    pub whole: Duration,
    /// How long a request waits for its turn and for further attempts, in all; a longer wait is the caller's.
    pub patience: Duration,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            addresses: AddressPolicy::default(),
            user_agent: format!("contactd/{}", env!("CARGO_PKG_VERSION")),
            max_body: u64::MAX,
            connect: Duration::from_secs(10),
            silence: Duration::from_secs(90),
            whole: Duration::from_secs(300),
            patience: Duration::from_secs(20),
        }
    }
}

/// The client: one for the whole daemon, cheap to clone.
#[derive(Clone)]
pub struct Http(Arc<Inner>);

struct Inner {
    client: Client,
    /// Refuses private addresses whatever the configuration allows: for addresses out of somebody's data. A client of
    /// its own, since the other one may hold an open connection to such an address.
    strict: Client,
    settings: HttpSettings,
    world: Arc<dyn World>,
}

/// The client can't be set up.
#[derive(Debug, thiserror::Error)]
#[error("TLS can't be set up: {0}; check that the system's certificates (ca-certificates) are installed")]
pub struct TlsError(String);

impl Http {
    /// Sets the client up.
    pub fn new(settings: HttpSettings, world: Arc<dyn World>) -> Result<Self, TlsError> {
        let client = build(&settings, settings.addresses.clone())?;
        let strict = build(&settings, AddressPolicy::default())?;
        Ok(Self(Arc::new(Inner { client, strict, settings, world })))
    }

    /// The longest time from a call of [`Door::send`] with a write until its last byte: a lease must outlast it.
    pub fn longest_send(&self) -> Duration {
        self.0.settings.patience + self.0.settings.whole
    }
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Http").field(&self.0.settings).finish()
    }
}

fn build(settings: &HttpSettings, addresses: AddressPolicy) -> Result<Client, TlsError> {
    use rustls_platform_verifier::BuilderVerifierExt;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(BuilderVerifierExt::with_platform_verifier)
        .map_err(|error| TlsError(error.to_string()))?
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(&settings.user_agent)
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        // A proxy would resolve names itself, past our guard.
        .no_proxy()
        .dns_resolver(GuardedResolver { policy: Arc::new(addresses) })
        .connect_timeout(settings.connect)
        .read_timeout(settings.silence)
        .pool_idle_timeout(Duration::from_secs(30))
        .build()
        .map_err(|error| TlsError(error.to_string()))
}

/// An account's way to its servers: the client, the account's gate, its credentials and whom it trusts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Door {
    http: Http,
    gate: Arc<Gate>,
    auth: Arc<Auth>,
    /// The nonce, where the server wants a digest in place of the password.
    digest: Arc<Mutex<Option<digest::Session>>>,
    trust: Arc<TrustSet>,
}

/// What a reader of a coming body gives back.
pub type Reading<'a, T> = Pin<Box<dyn Future<Output = Result<T, ReadFault>> + Send + 'a>>;

/// The answer to a request whose body was read as it came.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "taken apart where it arrives; a box would be opened at once")]
pub enum Streamed<T> {
    /// A good one, as the reader made it.
    Read(T),
    /// One that says no.
    Other(Answer),
}

/// What one attempt came to, other than a good answer.
enum Fault {
    /// An answer whose status says that it may be tried again.
    Answer(Failure, Answer),
    /// No answer; may be tried again.
    Again(Failure, HttpError),
    /// No use trying again.
    Final(HttpError),
}

impl Door {
    /// Of an account.
    pub fn new(http: Http, gate: Arc<Gate>, auth: Auth, trust: TrustSet) -> Self {
        Self { http, gate, auth: Arc::new(auth), digest: Arc::default(), trust: Arc::new(trust) }
    }

    /// The same with another trust set.
    #[must_use]
    pub fn trusting(&self, trust: TrustSet) -> Self {
        Self { trust: Arc::new(trust), ..self.clone() }
    }

    /// The same with another sign-in.
    #[must_use]
    pub fn signing_in(&self, auth: Auth) -> Self {
        Self { auth: Arc::new(auth), digest: Arc::default(), ..self.clone() }
    }

    /// Whom the account trusts.
    pub fn trust(&self) -> &TrustSet {
        &self.trust
    }

    /// Sends a request and reads the answer to its end; resends as `resend` and [`crate::sync::retry`] allow. An answer
    /// with an error status is an answer, not an error.
    pub async fn send(&self, request: &Request, resend: Resend) -> Result<Answer, HttpError> {
        let read = |incoming: Incoming| -> Reading<'static, Answer> {
            Box::pin(async move {
                let (status, headers, url) = (incoming.status, incoming.headers.clone(), incoming.url.clone());
                Ok(Answer { status, headers, url, body: incoming.collect().await?, resent: false })
            })
        };
        match self.run(request, resend, read).await? {
            (Streamed::Read(answer), resent) => Ok(Answer { resent, ..answer }),
            (Streamed::Other(answer), resent) => Ok(Answer { resent, ..answer }),
        }
    }

    /// Sends a request that changes nothing and hands the body of a good answer to `read` as it comes; begins again
    /// with a new reader if it breaks off.
    pub async fn stream<'a, T: Send>(
        &self,
        request: &Request,
        read: impl Fn(Incoming) -> Reading<'a, T> + Send + Sync,
    ) -> Result<Streamed<T>, HttpError> {
        self.run(request, Resend::Safe, read).await.map(|(streamed, _)| streamed)
    }

    async fn run<'a, T: Send>(
        &self,
        request: &Request,
        resend: Resend,
        read: impl Fn(Incoming) -> Reading<'a, T> + Send + Sync,
    ) -> Result<(Streamed<T>, bool), HttpError> {
        let Inner { settings, world, .. } = &*self.http.0;
        let patience = Instant::now() + settings.patience;
        let (mut number, mut doubt) = (0u32, false);
        loop {
            number += 1;
            let left = patience.saturating_duration_since(Instant::now());
            let pass = self.enter(request, left).await.map_err(|closed| self.wait(closed, doubt))?;
            let begun = Instant::now();
            let result = match tokio::time::timeout(settings.whole, self.attempt(request, &read)).await {
                Ok(result) => result,
                Err(_) => Err(Fault::Again(Failure::Lost, lost(&request.url, "it took too long"))),
            };
            drop(pass);
            log(request, number, begun, &result);
            let (failure, answer, error) = match result {
                Ok(streamed) => {
                    self.gate.answered();
                    return Ok((streamed, doubt));
                }
                Err(Fault::Final(error)) if doubt => return Err(HttpError::InDoubt(Box::new(error))),
                Err(Fault::Final(error)) => return Err(error),
                Err(Fault::Answer(Failure::Wait, answer)) if request.told(&answer) == Told::Otherwise => {
                    self.gate.answered();
                    return Ok((Streamed::Other(answer), doubt));
                }
                Err(Fault::Answer(failure, answer)) => (failure, Some(answer), None),
                Err(Fault::Again(failure, error)) => (failure, None, Some(error)),
            };
            let told = |answer: &Answer| match answer.header(RETRY_AFTER.as_str()).and_then(RetryAfter::parse) {
                Some(told) => Some(told),
                None => match request.told(answer) {
                    Told::Wait(told) if failure.concerns_account() => Some(told),
                    _ => None,
                },
            };
            let retry_after = answer.as_ref().and_then(told);
            let now = world.now();
            let attempt = Attempt { resend, number, failure, doubt, retry_after, now, jitter: self.jitter() };
            doubt |= failure.leaves_doubt();
            if failure.concerns_account() || retry_after.is_some() {
                let in_a_row = self.gate.asked_to_wait();
                self.gate.close(millis(delay(&Attempt { number: in_a_row, ..attempt })));
            }
            let decision = decide(&attempt);
            let hopeless = request.quick && matches!(failure, Failure::Server | Failure::Lost);
            if let Decision::RetryAt(at) = decision
                && !hopeless
            {
                let wait = millis(at.since(now));
                if failure.concerns_account() {
                    continue; // the gate does the waiting, or says that it is too long
                }
                if Instant::now() + wait <= patience {
                    tokio::time::sleep(wait).await;
                    continue;
                }
            }
            let doubt = doubt && resend != Resend::Safe;
            return match (answer, error) {
                (Some(answer), _) if !failure.concerns_account() => Ok((Streamed::Other(answer), doubt)),
                (_, Some(error)) if doubt => Err(HttpError::InDoubt(Box::new(error))),
                (_, Some(error)) => Err(error),
                _ => Err(self.wait(Closed { remaining: millis(delay(&attempt)) }, doubt)),
            };
        }
    }

    /// Waits for a turn: a write no longer than `left`, since leases count on it; a read as long as others are at it.
    async fn enter(&self, request: &Request, left: Duration) -> Result<Pass<'_>, Closed> {
        if !request.is_write() {
            return self.gate.enter(false, left).await;
        }
        let turn = tokio::time::timeout(left, self.gate.enter(true, left)).await;
        turn.unwrap_or(Err(Closed { remaining: Duration::from_secs(1) }))
    }

    fn wait(&self, closed: Closed, doubt: bool) -> HttpError {
        let remaining = i64::try_from(closed.remaining.as_millis()).unwrap_or(i64::MAX);
        HttpError::Wait { until: self.http.0.world.now().plus(remaining), doubt }
    }

    fn jitter(&self) -> u32 {
        let [a, b, c, d, ..] = self.http.0.world.bytes();
        u32::from_be_bytes([a, b, c, d])
    }

    /// Sends once, following redirects.
    async fn attempt<'a, T: Send>(
        &self,
        request: &Request,
        read: &(impl Fn(Incoming) -> Reading<'a, T> + Send + Sync),
    ) -> Result<Streamed<T>, Fault> {
        let mut url = request.url.clone();
        for _ in 0..=MOST_REDIRECTS {
            let response = self.exchange(request, &url).await?;
            let status = response.status();
            if follows(&request.method, status) {
                url = redirected(&url, response.headers().get(LOCATION)).map_err(|why| bad_redirect(&url, why))?;
                continue;
            }
            if status.is_success() {
                let incoming = Incoming::new(response, request.limit.min(self.http.0.settings.max_body));
                return match read(incoming).await {
                    Ok(value) => Ok(Streamed::Read(value)),
                    Err(fault) => Err(unread(&url, &fault)),
                };
            }
            let headers = response.headers().clone();
            let body = Incoming::new(response, ERROR_BODY).start().await;
            let answer = Answer { status, headers, url, body, resent: false };
            return match failure_of(status) {
                Some(failure) => Err(Fault::Answer(failure, answer)),
                None => Ok(Streamed::Other(answer)),
            };
        }
        Err(bad_redirect(&url, BadRedirect::TooMany))
    }

    /// Sends to exactly one address.
    async fn exchange(&self, request: &Request, url: &Url) -> Result<reqwest::Response, Fault> {
        let Inner { client, strict, settings, .. } = &*self.http.0;
        let signed = match request.credentials {
            Credentials::None => false,
            Credentials::WhereTrusted => self.trust.allows(url),
            Credentials::Account if self.trust.allows(url) => true,
            Credentials::Account if !self.trust.is_safe(url) => {
                return Err(Fault::Final(HttpError::Plain { host: host(url) }));
            }
            Credentials::Account => return Err(Fault::Final(HttpError::Untrusted { host: host_and_port(url) })),
        };
        // Whom the account trusts is not foreign, wherever its address was found.
        let foreign = request.foreign && !self.trust.allows(url);
        let (client, policy) =
            if foreign { (strict, &AddressPolicy::default()) } else { (client, &settings.addresses) };
        policy.check_literal(url).map_err(|private| Fault::Final(private.into()))?;
        let mut renewed = false;
        loop {
            let mut builder = client.request(request.method.clone(), url.clone()).headers(request.headers.clone());
            let (mut digested, signed) = (false, signed && !matches!(*self.auth, Auth::None));
            if signed {
                let header;
                (header, digested) = self.sign(&request.method, url);
                let header = header.ok_or_else(|| {
                    let why = "the password holds a character that can't be sent; enter it again";
                    Fault::Final(HttpError::Unsendable(why.to_owned()))
                })?;
                builder = builder.header(AUTHORIZATION, header);
            }
            if let Some(body) = &request.body {
                builder = builder.body(Bytes::clone(body));
            }
            let response = builder.send().await.map_err(|error| unsent(url, error))?;
            // A refusal was not carried out: with the digest that it asks for, the same request goes again, once.
            if signed && !renewed && response.status() == StatusCode::UNAUTHORIZED && self.renew(&response, digested) {
                renewed = true;
                continue;
            }
            return Ok(response);
        }
    }

    /// The value of `Authorization`, and whether it is a digest.
    fn sign(&self, method: &Method, url: &Url) -> (Option<HeaderValue>, bool) {
        if let (Auth::Basic { user, password }, Some(session)) = (&*self.auth, &mut *self.session()) {
            let uri = &url[Position::BeforePath..Position::AfterQuery];
            let cnonce = format!("{:032x}", u128::from_be_bytes(self.http.0.world.bytes()));
            return (session.header(user, password.expose(), method.as_str(), uri, &cnonce), true);
        }
        (self.auth.header(), false)
    }

    /// After a refusal: takes the nonce that the server offers. `false` = it would not help.
    fn renew(&self, response: &reqwest::Response, digested: bool) -> bool {
        if !matches!(*self.auth, Auth::Basic { .. }) {
            return false;
        }
        let offers = digest::challenges(response.headers());
        // Where the password itself was asked for and refused, it is wrong.
        if !digested && offers.iter().any(|offer| offer.scheme == "basic") {
            return false;
        }
        match digest::begin(&offers) {
            Some((session, stale)) if stale || !digested => {
                *self.session() = Some(session);
                true
            }
            _ => false,
        }
    }

    fn session(&self) -> MutexGuard<'_, Option<digest::Session>> {
        self.digest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the answer is a redirect that this request follows, with method and body as they are (icloud-carddav.md
/// §1.3). After a 303 only reads go on: it says that the rest was done.
fn follows(method: &Method, status: StatusCode) -> bool {
    let reads = matches!(method.as_str(), "GET" | "HEAD" | "OPTIONS" | "PROPFIND" | "REPORT");
    match status.as_u16() {
        301 | 302 => reads || method == Method::PUT || method == Method::DELETE,
        303 => reads,
        307 | 308 => true,
        _ => false,
    }
}

/// What a status says about trying again; `None` = it is an answer like any other.
fn failure_of(status: StatusCode) -> Option<Failure> {
    match status.as_u16() {
        429 => Some(Failure::Wait),
        503 => Some(Failure::Busy),
        // Not implemented, version, storage, loop, network sign-in: again would be the same.
        501 | 505 | 507 | 508 | 510 | 511 => None,
        408 | 500.. => Some(Failure::Server),
        _ => None,
    }
}

fn host(url: &Url) -> String {
    url.host_str().unwrap_or("").to_owned()
}

fn lost(url: &Url, why: &str) -> HttpError {
    HttpError::Lost { host: host(url), why: why.to_owned() }
}

fn bad_redirect(url: &Url, why: BadRedirect) -> Fault {
    Fault::Final(HttpError::Redirect { host: host(url), why })
}

fn unread(url: &Url, fault: &ReadFault) -> Fault {
    match (fault.too_big(), fault) {
        (Some(limit), _) => Fault::Final(HttpError::TooBig { host: host(url), limit }),
        (None, ReadFault::Content(why)) => Fault::Final(HttpError::Content { host: host(url), why: why.clone() }),
        (None, ReadFault::Io(_)) => Fault::Again(Failure::Lost, lost(url, "the answer broke off")),
    }
}

fn unsent(url: &Url, error: reqwest::Error) -> Fault {
    let error = error.without_url();
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    let mut deepest = error.to_string();
    while let Some(link) = cause {
        if let Some(private) = link.downcast_ref::<PrivateAddress>() {
            return Fault::Final(private.clone().into());
        }
        deepest = link.to_string();
        cause = link.source();
    }
    if error.is_builder() {
        Fault::Final(HttpError::Unsendable(deepest))
    } else if error.is_connect() {
        Fault::Again(Failure::NotSent, HttpError::Connect { host: host(url), why: deepest })
    } else {
        Fault::Again(Failure::Lost, HttpError::Lost { host: host(url), why: deepest })
    }
}

fn millis(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

fn log<T>(request: &Request, number: u32, begun: Instant, result: &Result<Streamed<T>, Fault>) {
    let status = match result {
        Ok(Streamed::Read(_)) => "ok".to_owned(),
        Ok(Streamed::Other(answer)) | Err(Fault::Answer(_, answer)) => answer.status.as_u16().to_string(),
        Err(Fault::Again(_, error) | Fault::Final(error)) => error.to_string(),
    };
    let took = begun.elapsed().as_millis();
    tracing::debug!(method = %request.method, to = %shown(&request.url), number, %status, took_ms = %took, "request");
}

#[cfg(test)]
mod tests;
