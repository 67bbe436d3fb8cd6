//! The listeners, and the handle that tests hold.
//!
//! Owns: sockets and tasks, and how an answer or the lack of one goes out. Must not: know what a request means.

use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{Request as HttpRequest, Response};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::control;
use super::device::{Device, NoSuch};
use super::settings::Settings;
use super::world::{Answer, Cut, Moved, Origin, Partition, Request, World};
use crate::faults::{Fault, Faults, Match, Rule};
use crate::journal::{Journal, Mark};
use crate::net::{self, accept, bind, url};

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

/// What a resolver would say of `_carddavs._tcp.<domain>`, for tests that fake DNS (RFC 6764 §3 and §4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceRecord {
    /// The SRV target.
    pub host: String,
    /// The SRV port.
    pub port: u16,
    /// The `path=` of the TXT record.
    pub path: String,
}

/// A running server. It stops, and its connections close, when this is dropped.
#[derive(Debug)]
pub struct Icloud {
    shared: Arc<Shared>,
}

impl Drop for Icloud {
    fn drop(&mut self) {
        let tasks = self.shared.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        // Each task owns its connections in a set that is aborted with it.
        tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Icloud {
    /// Starts the three origins on 127.0.0.1, over plain http.
    ///
    /// # Errors
    /// When a port cannot be had.
    pub async fn start(settings: Settings) -> io::Result<Self> {
        let ports = settings.ports;
        let (entry, partition, photo) =
            (bind(ports.entry).await?, bind(ports.partition).await?, bind(ports.photo).await?);
        let first = Partition { number: settings.discovery.partition, url: url(&partition)? };
        let world = World::new(settings, url(&entry)?, url(&photo)?, first);
        let shared = Arc::new(Shared { world: Mutex::new(world), tasks: Mutex::default() });
        listen(&shared, entry, Origin::Entry);
        listen(&shared, partition, Origin::Partition(0));
        listen(&shared, photo, Origin::Photo);
        Ok(Self { shared })
    }

    /// The origin that a user would type in, without a last slash.
    #[must_use]
    pub fn url(&self) -> String {
        self.shared.lock().entry_url.clone()
    }

    /// The origin of the newest partition.
    #[must_use]
    pub fn partition_url(&self) -> String {
        self.shared.lock().partitions.last().map(|partition| partition.url.clone()).unwrap_or_default()
    }

    /// The origin of the photos.
    #[must_use]
    pub fn photo_url(&self) -> String {
        self.shared.lock().photo_url.clone()
    }

    /// What a resolver would say of the domain.
    #[must_use]
    pub fn service_record(&self) -> ServiceRecord {
        let url = self.url();
        let port = url.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or_default();
        ServiceRecord { host: Ipv4Addr::LOCALHOST.to_string(), port, path: "/".to_owned() }
    }

    /// The back door to an account.
    ///
    /// # Errors
    /// When nobody of that name may sign in.
    pub fn device(&self, user: &str) -> Result<Device, NoSuch> {
        Device::new(Arc::clone(&self.shared), user)
    }

    /// The back door to the first account.
    ///
    /// # Errors
    /// When the settings name no account.
    pub fn first_device(&self) -> Result<Device, NoSuch> {
        let user = self.shared.lock().owners.first().map(|owner| owner.login.user.clone());
        self.device(&user.ok_or(NoSuch::User)?)
    }

    /// Looks at the settings or changes them while the server runs. Ports, accounts and
    /// what etags are made of stay as they were at the start.
    pub fn settings<T>(&self, change: impl FnOnce(&mut Settings) -> T) -> T {
        change(&mut self.shared.lock().settings)
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

    /// Moves the ticking clock forward.
    pub fn advance(&self, millis: u64) {
        self.shared.lock().time += millis;
    }

    /// Moves an account to a new partition, on a new port; the old one then says `moved` of it.
    ///
    /// # Errors
    /// When no port can be had, or nobody of that name may sign in.
    pub async fn move_partition(&self, user: &str, moved: Moved) -> io::Result<String> {
        move_partition(&self.shared, user, moved).await
    }
}

/// See [`Icloud::move_partition`].
pub(super) async fn move_partition(shared: &Arc<Shared>, user: &str, moved: Moved) -> io::Result<String> {
    let device = Device::new(Arc::clone(shared), user).map_err(io::Error::other)?;
    let listener = bind(0).await?;
    let url = url(&listener)?;
    let index = {
        let mut world = shared.lock();
        let index = world.partitions.len();
        let number = world.settings.discovery.partition + u16::try_from(index).unwrap_or_default();
        world.partitions.push(Partition { number, url: url.clone() });
        device.owner(&mut world, |owner| (owner.partition, owner.moved) = (index, moved));
        index
    };
    listen(shared, listener, Origin::Partition(index));
    Ok(url)
}

/// Serves an origin until the handle is dropped.
fn listen(shared: &Arc<Shared>, listener: TcpListener, origin: Origin) {
    let router = Router::new().fallback(answer).with_state((Arc::clone(shared), origin));
    let router = match origin {
        Origin::Entry => router.merge(control::router(Arc::clone(shared))),
        Origin::Partition(_) | Origin::Photo => router,
    };
    let task = tokio::spawn(accept(listener, router));
    shared.tasks.lock().unwrap_or_else(PoisonError::into_inner).push(task);
}

/// The one handler: reads the body, asks the world, waits if told to, answers.
async fn answer(State((shared, origin)): State<(Arc<Shared>, Origin)>, request: HttpRequest<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let limit = shared.lock().settings.limits.request_bytes;
    let Ok(body) = to_bytes(body, limit).await else {
        return respond(Answer { reply: super::answer::Reply::empty(413), delay: 0, cut: Cut::Whole });
    };
    let answer = shared.lock().serve(&Request {
        origin,
        method: parts.method.as_str(),
        path: parts.uri.path(),
        headers: &parts.headers,
        body: &body,
    });
    if answer.delay > 0 {
        tokio::time::sleep(Duration::from_millis(answer.delay)).await;
    }
    respond(answer)
}

fn respond(answer: Answer) -> Response<Body> {
    let Answer { reply: super::answer::Reply { status, headers, body }, cut, .. } = answer;
    net::respond(net::Reply { status, headers, body }, cut)
}
