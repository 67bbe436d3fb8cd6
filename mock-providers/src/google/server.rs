//! The listeners, and the handle that tests hold.
//!
//! Owns: sockets and tasks, and that a change is under way from its first octet to its answer. Must not: know what a request
//! means.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{Request as HttpRequest, Response};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::account::{Account, NoSuch};
use super::control;
use super::settings::Settings;
use super::world::{Origin, Request, World};
use crate::faults::{Fault, Faults, Match, Rule};
use crate::journal::{Journal, Mark, Record};
use crate::net::{Cut, Reply, accept, bind, respond, url};
use crate::oauth::Consent;

/// What the tasks and handles share: the world behind a lock that is never held while waiting, and the listeners.
#[derive(Debug)]
pub(super) struct Shared {
    world: Mutex<World>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where everything is: what a client must be able to configure (`google.md` 1.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Endpoints {
    /// Where the browser goes.
    pub authorize: String,
    /// Where codes and tokens are exchanged.
    pub token: String,
    /// Where tokens are taken back.
    pub revoke: String,
    /// Who the user is.
    pub userinfo: String,
    /// The keys of ID tokens.
    pub jwks: String,
    /// What ID tokens name as their issuer.
    pub issuer: String,
    /// The People API, without a last slash: `/v1/…` follows.
    pub people: String,
}

/// A running server. It stops, and its connections close, when this is dropped.
///
/// ```
/// use mock_providers::faults::{Fault, Match};
/// use mock_providers::google::{Google, Settings};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let google = Google::start(Settings::without_quotas()).await?;
/// let account = google.first_account()?;
/// let people = account.seed(1, 50);
/// let (token, endpoints) = (account.access_token(&["contacts"]), google.endpoints());
///
/// // What a client is to live through: the next create happens, and nobody hears of it.
/// google.fault(Match::method("POST").path(":createContact"), Fault::CutAfter);
/// let mark = google.mark();
/// // … a client works at `endpoints` with `token` …
/// # let _ = (token, endpoints);
/// account.delete(&people[0])?;
/// google.advance(60_000);
///
/// // What it did, heard of or not.
/// assert_eq!(google.ask(|journal| journal.creates(mark)), 0);
/// assert!(google.overlaps(mark).is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Google {
    shared: Arc<Shared>,
}

impl Drop for Google {
    fn drop(&mut self) {
        let tasks = self.shared.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        // Each task owns its connections in a set that is aborted with it.
        tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Google {
    /// Starts the three origins on 127.0.0.1, over plain http.
    ///
    /// # Errors
    /// When a port cannot be had.
    pub async fn start(settings: Settings) -> io::Result<Self> {
        let ports = settings.ports;
        let (accounts, people, photos) =
            (bind(ports.accounts).await?, bind(ports.people).await?, bind(ports.photos).await?);
        let world = World::new(settings, url(&accounts)?, url(&people)?, url(&photos)?);
        let shared = Arc::new(Shared { world: Mutex::new(world), tasks: Mutex::default() });
        listen(&shared, accounts, Origin::Accounts);
        listen(&shared, people, Origin::People);
        listen(&shared, photos, Origin::Photos);
        Ok(Self { shared })
    }

    /// Where everything is.
    #[must_use]
    pub fn endpoints(&self) -> Endpoints {
        endpoints(&self.shared.lock())
    }

    /// The origin of the People API, without a last slash.
    #[must_use]
    pub fn url(&self) -> String {
        self.shared.lock().people_url.clone()
    }

    /// The origin of the photos.
    #[must_use]
    pub fn photo_url(&self) -> String {
        self.shared.lock().photo_url.clone()
    }

    /// The back door to an account.
    ///
    /// # Errors
    /// When nobody of that address has one.
    pub fn account(&self, email: &str) -> Result<Account, NoSuch> {
        Account::new(Arc::clone(&self.shared), email)
    }

    /// The back door to the first account.
    ///
    /// # Errors
    /// When the settings name no user.
    pub fn first_account(&self) -> Result<Account, NoSuch> {
        let email = self.shared.lock().owners.first().map(|owner| owner.email.clone());
        self.account(&email.ok_or(NoSuch::User)?)
    }

    /// Looks at the settings or changes them while the server runs, those of the authorization server among them.
    pub fn settings<T>(&self, change: impl FnOnce(&mut Settings) -> T) -> T {
        let mut world = self.shared.lock();
        let told = change(&mut world.settings);
        world.oauth.settings = world.settings.oauth.clone();
        told
    }

    /// Says what the person in front of the browser does from now on.
    pub fn consent(&self, change: impl FnOnce(&mut Consent)) {
        self.settings(|settings| change(&mut settings.oauth.consent));
    }

    /// Ends every access token; refresh tokens live on.
    pub fn expire_access_tokens(&self) {
        self.shared.lock().oauth.expire_access();
    }

    /// How many refresh tokens of a user are alive.
    #[must_use]
    pub fn live_refresh_tokens(&self, email: &str) -> usize {
        self.shared.lock().oauth.live_refresh_tokens(email)
    }

    /// Looks at the switchboard of faults or changes it.
    pub fn faults<T>(&self, change: impl FnOnce(&mut Faults) -> T) -> T {
        change(&mut self.shared.lock().faults)
    }

    /// Lays a fault for the next request that matches.
    pub fn fault(&self, on: Match, fault: Fault) {
        self.faults(|faults| faults.next(on, fault));
    }

    /// Lays a rule for faults.
    pub fn lay(&self, rule: Rule) {
        self.faults(|faults| faults.lay(rule));
    }

    /// A copy of the journal.
    #[must_use]
    pub fn journal(&self) -> Journal {
        self.shared.lock().journal.clone()
    }

    /// Asks the journal something without copying it.
    pub fn ask<T>(&self, question: impl FnOnce(&Journal) -> T) -> T {
        question(&self.shared.lock().journal)
    }

    /// The place in the journal after the last request.
    #[must_use]
    pub fn mark(&self) -> Mark {
        self.ask(Journal::mark)
    }

    /// The changes after a mark that came while another change of the same user was under way. There must be none.
    #[must_use]
    pub fn overlaps(&self, mark: Mark) -> Vec<Record> {
        self.ask(|journal| journal.overlaps(mark).cloned().collect())
    }

    /// The time by the mock's clock, in milliseconds since 1970.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.shared.lock().time.tick()
    }

    /// Moves the clock forward.
    pub fn advance(&self, millis: u64) {
        self.shared.lock().time.advance(millis);
    }
}

pub(super) fn endpoints(world: &World) -> Endpoints {
    let at = |path: &str| format!("{}{path}", world.accounts_url);
    Endpoints {
        authorize: at("/o/oauth2/v2/auth"),
        token: at("/token"),
        revoke: at("/revoke"),
        userinfo: at("/v1/userinfo"),
        jwks: at("/oauth2/v3/certs"),
        issuer: world.oauth.settings.issuer.clone(),
        people: world.people_url.clone(),
    }
}

/// Serves an origin until the handle is dropped.
fn listen(shared: &Arc<Shared>, listener: TcpListener, origin: Origin) {
    let router = Router::new().fallback(answer).with_state((Arc::clone(shared), origin));
    let router = match origin {
        Origin::People => router.merge(control::router(Arc::clone(shared))),
        Origin::Accounts | Origin::Photos => router,
    };
    let task = tokio::spawn(accept(listener, router));
    shared.tasks.lock().unwrap_or_else(PoisonError::into_inner).push(task);
}

/// A change that is under way, until this is dropped: also when the client hangs up in the middle.
struct UnderWay {
    shared: Arc<Shared>,
    who: usize,
}

impl UnderWay {
    /// Notes the change, and says whether there was another one.
    fn begin(shared: &Arc<Shared>, who: usize) -> (Self, bool) {
        let mut world = shared.lock();
        let count = world.under_way.entry(who).or_default();
        *count += 1;
        let overlapped = *count > 1;
        (Self { shared: Arc::clone(shared), who }, overlapped)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(count) = self.shared.lock().under_way.get_mut(&self.who) {
            *count = count.saturating_sub(1);
        }
    }
}

/// The one handler: reads the body, asks the world, waits if told to, answers.
async fn answer(State((shared, origin)): State<(Arc<Shared>, Origin)>, request: HttpRequest<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let request = Request {
        origin,
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        headers: &parts.headers,
        body: &[],
    };
    let (who, limit, takes) = {
        let mut world = shared.lock();
        (world.mutating(&request), world.settings.request_bytes, world.settings.writes.takes)
    };
    let under_way = who.map(|who| UnderWay::begin(&shared, who));
    let Ok(body) = to_bytes(body, limit).await else {
        return respond(Reply::empty(413), Cut::Whole);
    };
    let overlapped = under_way.as_ref().is_some_and(|(_, overlapped)| *overlapped);
    let answer = shared.lock().serve(&Request { body: &body, ..request }, overlapped);
    let wait = answer.delay + if under_way.is_some() { takes } else { 0 };
    if wait > 0 {
        tokio::time::sleep(Duration::from_millis(wait)).await;
    }
    drop(under_way);
    respond(answer.reply, answer.cut)
}
