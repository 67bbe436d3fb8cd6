//! The daemon: start order, readiness, signals, watchdog, and its end.
//!
//! Owns: putting the parts together and the order in which they begin and end. Must not: decide anything that a part
//! decides. Start order: key, store (which refuses a second daemon), client, scheduler, listeners, readiness. What can wake
//! the scheduler is one enum in [`crate::engine::schedule`]; signals become those.

pub mod doctor;
mod google;
mod listen;
pub(crate) mod store;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

use crate::api::App;
use crate::clock::System;
use crate::config::{self, Config};
use crate::engine::connect::Connector;
use crate::engine::schedule::{Schedule, Scheduler, Settings as ScheduleSettings};
use crate::engine::{Engine, Options};
use crate::provider::dns::{Resolver, SystemResolver};
use crate::provider::http::address::AddressPolicy;
use crate::provider::http::{Http, HttpSettings, TlsError};
use crate::provider::registry::Registry;
use crate::seal::{KeyError, Keyring};
use crate::store::{Store, StoreError};
use crate::telemetry::{self, fields};

/// How long runs have to finish their batch in flight once the daemon is asked to stop.
const GRACE: Duration = Duration::from_secs(7);
/// How long they then have to be broken off and give back their leases.
const CUT: Duration = Duration::from_secs(2);

/// The daemon can't run.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The key file can't be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The store can't be used, or another daemon uses it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Signing in at Google is set up wrongly.
    #[error("Google is not set up rightly: {0}")]
    Google(String),
    /// Requests can't be sent.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// DNS can't be asked.
    #[error("names can't be looked up: {0}; look at /etc/resolv.conf")]
    Dns(String),
    /// A socket can't be had.
    #[error("can't listen on {at}: {why}")]
    Listen {
        /// Where.
        at: String,
        /// Why.
        why: String,
    },
    /// The machine refuses something else.
    #[error("can't {doing}: {error}")]
    System {
        /// What was being done.
        doing: &'static str,
        /// What was said.
        error: std::io::Error,
    },
}

/// Runs until a signal says stop.
///
/// # Errors
/// When a part can't be started.
pub async fn run(config: Config, path: Option<PathBuf>, log: telemetry::Reload) -> Result<(), DaemonError> {
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let keys = Keyring::load(credentials.as_deref(), &config.secrets.key_file)?;
    let store::Opened { store, world, holder, margin, keeper } = store::open(&config, credentials.as_deref()).await?;
    let http = Http::new(http_settings(&config), Arc::clone(&world))?;
    let lease = i64::try_from(config.sync.lease.0.as_millis()).unwrap_or(i64::MAX / 2);
    let options = Options { page: config.sync.page_size, lease, ..Options::default() };
    // Where clocks can differ, a send must be over before the lease is by anybody's clock.
    let options = options.outlasting(http.longest_send() + margin);
    let engine = Arc::new(Engine::new(Arc::clone(&store), Arc::clone(&world), holder, options));
    let resolver: Arc<dyn Resolver> =
        Arc::new(SystemResolver::new(Arc::new(System)).map_err(|error| DaemonError::Dns(error.to_string()))?);
    let google = google::setup(&config, credentials.as_deref()).map_err(DaemonError::Google)?;
    let registry = Registry::new(http, resolver, Arc::clone(&world), config.net.allow_private).with_google(google);
    let connector =
        Arc::new(Connector::new(Arc::clone(&engine), registry, keys, &config.secrets.key_file, credentials));
    let unopened = connector.unopened().await?.len();
    if unopened > 0 {
        error!(
            accounts = unopened,
            "the key does not open the passwords of these accounts, which wait for a person: restore the key file from its \
             backup and restart, or sign in again"
        );
    }
    let (cut_now, cut) = watch::channel(false);
    let (scheduler, schedule) =
        Scheduler::new(Arc::clone(&engine), Arc::clone(&connector), Arc::new(System), when(&config), cut);
    let app = Arc::new(App {
        engine,
        connector,
        schedule: schedule.clone(),
        edition: config.crm.edition,
        guard: config.guard,
        ready: AtomicBool::new(false),
    });
    let mut signals = Signals::new()?;
    let (close, closed) = watch::channel(false);
    let listeners = listen::all(&config, &app, &closed)?;
    let mut running = tokio::spawn(scheduler.run());
    app.ready.store(true, Ordering::Relaxed);
    info!(version = env!("CARGO_PKG_VERSION"), "ready");
    tell(&[NotifyState::Ready]);
    let watchdog = watchdog(store);

    let outcome = tokio::select! {
        () = until_stop(&mut signals, &schedule, path, &log) => Ok(()),
        ended = &mut running => Err(ended.map_or_else(|error| error.to_string(), |ended| {
            ended.map_or_else(|error| error.to_string(), |()| "its queue was closed".to_owned())
        })),
    };
    app.ready.store(false, Ordering::Relaxed);
    tell(&[NotifyState::Stopping]);
    match outcome {
        Ok(()) => {
            info!("stopping");
            schedule.stop();
            if tokio::time::timeout(GRACE, &mut running).await.is_err() {
                warn!("a request did not end in time; its run is broken off and goes on at the next start");
                cut_now.send_replace(true);
                let _ = tokio::time::timeout(CUT, &mut running).await;
            }
        }
        Err(why) => error!({ fields::ERROR } = why, "the scheduler has ended"),
    }
    close.send_replace(true);
    for task in watchdog.into_iter().chain(keeper) {
        task.abort();
    }
    // Answers under way get a moment; the store is closed when the last of them is gone.
    for listener in listeners {
        let _ = tokio::time::timeout(Duration::from_millis(500), listener).await;
    }
    info!("stopped");
    Ok(())
}

fn http_settings(config: &Config) -> HttpSettings {
    let addresses = AddressPolicy { allow_private: config.net.allow_private, ..AddressPolicy::default() };
    HttpSettings {
        addresses,
        user_agent: config.net.user_agent(),
        max_body: config.net.max_body.0,
        connect: config.net.connect_timeout.0,
        whole: config.net.request_timeout.0,
        silence: config.net.request_timeout.0,
        patience: HttpSettings::default().patience.min(config.net.request_timeout.0),
    }
}

fn when(config: &Config) -> ScheduleSettings {
    ScheduleSettings {
        interval: config.sync.interval.0,
        jitter: config.sync.jitter.0,
        concurrency: config.sync.concurrency,
        after_edit: config.sync.after_edit.0,
        trash: Duration::from_secs(u64::from(config.crm.trash_days) * 24 * 60 * 60),
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    reload: Signal,
    refresh: Signal,
}

impl Signals {
    fn new() -> Result<Self, DaemonError> {
        let listen = |kind| signal(kind).map_err(|error| DaemonError::System { doing: "listen for signals", error });
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            reload: listen(SignalKind::hangup())?,
            refresh: listen(SignalKind::user_defined1())?,
        })
    }
}

/// Turns signals into what the scheduler understands, until one says stop.
async fn until_stop(signals: &mut Signals, schedule: &Schedule, path: Option<PathBuf>, log: &telemetry::Reload) {
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => return,
            _ = signals.interrupt.recv() => return,
            _ = signals.refresh.recv() => schedule.sync_all("signal"),
            _ = signals.reload.recv() => reload(schedule, path.as_ref(), log),
        }
    }
}

/// Reads the configuration again. What can change while the daemon runs changes; one that can't be read changes nothing.
fn reload(schedule: &Schedule, path: Option<&PathBuf>, log: &telemetry::Reload) {
    let mut say = vec![NotifyState::Reloading];
    say.extend(NotifyState::monotonic_usec_now().ok());
    tell(&say);
    match config::load(path.map(PathBuf::as_path), std::env::vars_os()) {
        Ok(config) => {
            schedule.reload(when(&config));
            match telemetry::parse(&config.log.filter).map(|filter| log.reload(filter)) {
                Ok(_) => {
                    info!("the configuration was read again; what is not about sync, trash or log needs a restart");
                }
                Err(error) => error!({ fields::ERROR } = %error, "the log's filter stays as it was"),
            }
        }
        Err(error) => error!({ fields::ERROR } = %error, "the configuration stays as it was"),
    }
    tell(&[NotifyState::Ready]);
}

/// Tells systemd that we live, as long as the store answers.
fn watchdog(store: Arc<dyn Store>) -> Option<JoinHandle<()>> {
    let every = sd_notify::watchdog_enabled()? / 2;
    Some(tokio::spawn(async move {
        loop {
            match tokio::time::timeout(every, store.ping()).await {
                Ok(Ok(())) => tell(&[NotifyState::Watchdog]),
                Ok(Err(error)) => error!({ fields::ERROR } = %error, "the store does not answer"),
                Err(_) => error!("the store does not answer in time"),
            }
            tokio::time::sleep(every).await;
        }
    }))
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!({ fields::ERROR } = %error, "systemd could not be told");
    }
}
