//! When which account runs: ticks and "sync now" go into one queue.
//!
//! Owns: the clock, the channels and the tasks around [`agenda`], which decides; and the end of all runs when the daemon
//! stops. Must not: know what a run does. What can wake it is one enum, [`Wake`]; start reading there.

mod agenda;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio_cron_scheduler::{Job as CronJob, JobScheduler, JobSchedulerError};
use tracing::{debug, error, info, warn};

use self::agenda::{Agenda, End, What};
use super::connect::Connector;
use super::{Engine, Handle, Report, SyncError};
use crate::clock::Entropy;
use crate::ids::{AccountId, Timestamp};
use crate::provider::{ProviderError, Retry};
use crate::store::{Account, AccountState, StoreError};
use crate::telemetry::fields;

/// When accounts sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// From the end of one run to the start of the next.
    pub interval: Duration,
    /// The most that is added to it, at random.
    pub jitter: Duration,
    /// How many accounts at once.
    pub concurrency: usize,
    /// How long after an edit in the CRM the accounts concerned are synced; zero = when their interval is over.
    pub after_edit: Duration,
    /// How long the trash keeps people.
    pub trash: Duration,
}

/// How long a person who wants an account waits for the run of another daemon, which nobody here can end.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked whether that run has ended.
const LOOK: Duration = Duration::from_millis(250);
/// How long after one purge of the trash the next one comes, in ms.
const PURGE_EVERY: i64 = 24 * 60 * 60 * 1000;
/// How often the store adds up what was counted, in ms.
const ADD_UP_EVERY: i64 = 60 * 60 * 1000;

/// Everything that can wake the scheduler.
enum Wake {
    /// Time has passed.
    Tick,
    /// Somebody wants an account synced now.
    Sync(AccountId, &'static str, Option<Waiter>),
    /// People were edited who are, or are to be, in these accounts.
    Edited(Vec<AccountId>),
    /// Everything is to be synced now.
    SyncAll(&'static str),
    /// Somebody wants to do something to an account while it doesn't run; `true` = what runs is to end for it.
    Turn(AccountId, bool, oneshot::Sender<Turn>),
    /// A run, or a turn, has ended.
    Ended(AccountId, Option<Outcome>),
    /// An account was added, started or changed: what is known of it is read anew.
    Changed,
    /// The configuration was read again.
    Settings(Settings),
    /// When does the account run next?
    Next(AccountId, oneshot::Sender<Option<Timestamp>>),
    /// End all runs after their batch in flight, and then yourself.
    Stop,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It came to its end.
    Done(Report),
    /// It did not; why, and when it may be tried again.
    Failed {
        /// Why, for a person.
        reason: String,
        /// Whether a person has to do something before it can go on.
        needs_person: bool,
        /// Not before then, if the provider said so.
        not_before: Option<Timestamp>,
    },
    /// Another daemon that shares the store has the account.
    Elsewhere {
        /// Whether somebody had asked for it.
        asked: bool,
    },
    /// It was asked to end, or never began, since the daemon stops or somebody wanted the account.
    Stopped,
}

/// Who waits for a run: told its handle when it is queued, and its outcome.
struct Waiter {
    handle: oneshot::Sender<Handle>,
    outcome: oneshot::Sender<Outcome>,
}

/// A run that somebody waits for.
#[derive(Debug)]
pub struct Waiting {
    /// How far it is.
    pub handle: Handle,
    /// How it ended; an error = the daemon stops.
    pub outcome: oneshot::Receiver<Outcome>,
}

/// The account is held: no run of it begins until this is dropped.
#[derive(Debug)]
pub struct Turn {
    account: AccountId,
    handle: Handle,
    wake: mpsc::UnboundedSender<Wake>,
}

impl Turn {
    /// For what is done in this turn, so that it ends when the daemon stops.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let _ = self.wake.send(Wake::Ended(self.account, None));
    }
}

impl std::fmt::Debug for Wake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wake")
    }
}

/// The daemon stops, and takes no more work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the daemon is stopping; try again when it runs")]
pub struct Stopping;

/// The way to the scheduler; cheap to clone.
#[derive(Clone, Debug)]
pub struct Schedule {
    wake: mpsc::UnboundedSender<Wake>,
}

impl Schedule {
    /// Syncs an account now; a run that is under way may have missed what changed, so that another one follows it.
    pub async fn sync(&self, account: AccountId, trigger: &'static str) -> Result<Waiting, Stopping> {
        let ((handle, of), (outcome, comes)) = (oneshot::channel(), oneshot::channel());
        self.send(Wake::Sync(account, trigger, Some(Waiter { handle, outcome })))?;
        Ok(Waiting { handle: of.await.map_err(|_| Stopping)?, outcome: comes })
    }

    /// The same, without waiting.
    pub fn sync_soon(&self, account: AccountId, trigger: &'static str) {
        let _ = self.wake.send(Wake::Sync(account, trigger, None));
    }

    /// People were edited who are, or are to be, in these accounts: they are synced soon, once for all edits of a short while.
    pub fn edited(&self, accounts: Vec<AccountId>) {
        let _ = self.wake.send(Wake::Edited(accounts));
    }

    /// Syncs every active account now.
    pub fn sync_all(&self, trigger: &'static str) {
        let _ = self.wake.send(Wake::SyncAll(trigger));
    }

    /// Waits until the account doesn't run and holds it. With `interrupt` a run under way is asked to end.
    pub async fn turn(&self, account: AccountId, interrupt: bool) -> Result<Turn, Stopping> {
        let (give, take) = oneshot::channel();
        self.send(Wake::Turn(account, interrupt, give))?;
        take.await.map_err(|_| Stopping)
    }

    /// An account was added, started or changed.
    pub fn changed(&self) {
        let _ = self.wake.send(Wake::Changed);
    }

    /// The configuration was read again.
    pub fn reload(&self, settings: Settings) {
        let _ = self.wake.send(Wake::Settings(settings));
    }

    /// When the account runs next, if it does.
    pub async fn next(&self, account: AccountId) -> Option<Timestamp> {
        let (give, take) = oneshot::channel();
        self.send(Wake::Next(account, give)).ok()?;
        take.await.ok()?
    }

    /// Asks all runs to end after their batch in flight.
    pub fn stop(&self) {
        let _ = self.wake.send(Wake::Stop);
    }

    fn send(&self, wake: Wake) -> Result<(), Stopping> {
        self.wake.send(wake).map_err(|_| Stopping)
    }
}

/// The scheduler itself; see [`Scheduler::run`].
pub struct Scheduler {
    engine: Arc<Engine>,
    connector: Arc<Connector>,
    settings: Settings,
    agenda: Agenda<oneshot::Sender<Outcome>, oneshot::Sender<Turn>>,
    wake: mpsc::UnboundedSender<Wake>,
    woken: mpsc::UnboundedReceiver<Wake>,
    /// When what is stored of accounts was last read.
    read: Option<Timestamp>,
    /// When the trash was last purged.
    purged: Option<Timestamp>,
    /// When the store last added up what was counted.
    added_up: Option<Timestamp>,
    /// Becomes true when runs must end at once.
    cut: watch::Receiver<bool>,
}

impl Scheduler {
    /// A scheduler and the way to it. When `cut` becomes true, runs are broken off where they are.
    pub fn new(
        engine: Arc<Engine>,
        connector: Arc<Connector>,
        entropy: Arc<dyn Entropy>,
        settings: Settings,
        cut: watch::Receiver<bool>,
    ) -> (Self, Schedule) {
        let (wake, woken) = mpsc::unbounded_channel();
        let schedule = Schedule { wake: wake.clone() };
        let new = Self {
            engine,
            connector,
            settings,
            agenda: Agenda::new(settings, entropy),
            wake,
            woken,
            read: None,
            purged: None,
            added_up: None,
            cut,
        };
        (new, schedule)
    }

    /// Runs until it is asked to stop and everything has ended.
    ///
    /// # Errors
    /// When ticks can't be set up.
    pub async fn run(mut self) -> Result<(), JobSchedulerError> {
        let mut ticks = self.ticks().await?;
        let _ = self.wake.send(Wake::Tick);
        while let Some(wake) = self.wait().await {
            let before = self.settings;
            self.take(wake).await;
            if before.interval != self.settings.interval {
                ticks.shutdown().await?;
                ticks = self.ticks().await?;
            }
            self.dispatch();
            if self.agenda.is_stopping() && self.agenda.is_idle() {
                break;
            }
        }
        ticks.shutdown().await
    }

    /// The next thing that wakes it: what is sent, or that the short while after an edit is over.
    async fn wait(&mut self) -> Option<Wake> {
        let Some(at) = self.agenda.next_edit() else { return self.woken.recv().await };
        let left = u64::try_from(at.since(self.engine.now())).unwrap_or(0);
        tokio::select! {
            biased;
            wake = self.woken.recv() => wake,
            () = tokio::time::sleep(Duration::from_millis(left)) => Some(Wake::Tick),
        }
    }

    async fn ticks(&self) -> Result<JobScheduler, JobSchedulerError> {
        let ticks = JobScheduler::new().await?;
        // Often enough for the interval to be kept within a twentieth, seldom enough to let the machine sleep.
        let every = (self.settings.interval / 20).clamp(Duration::from_secs(1), Duration::from_secs(15));
        let wake = self.wake.clone();
        let tick = CronJob::new_repeated_async(every, move |_, _| {
            let _ = wake.send(Wake::Tick);
            Box::pin(async {})
        })?;
        ticks.add(tick).await?;
        ticks.start().await?;
        Ok(ticks)
    }

    async fn take(&mut self, wake: Wake) {
        match wake {
            Wake::Tick => {
                self.purge();
                self.add_up();
                self.tick(false).await;
            }
            Wake::Changed => self.tick(true).await,
            Wake::Sync(account, trigger, None) => drop(self.agenda.ask(account, trigger, None)),
            Wake::Sync(account, trigger, Some(Waiter { handle, outcome })) => {
                if let Some(of) = self.agenda.ask(account, trigger, Some(outcome)) {
                    let _ = handle.send(of);
                }
            }
            Wake::Edited(accounts) => {
                let now = self.engine.now();
                accounts.into_iter().for_each(|account| self.agenda.edited(account, now));
            }
            Wake::SyncAll(trigger) => {
                self.read_accounts().await;
                for account in self.agenda.active() {
                    let _ = self.agenda.ask(account, trigger, None);
                }
            }
            Wake::Turn(account, interrupt, give) => self.agenda.turn(account, interrupt, give),
            Wake::Ended(account, outcome) => self.ended(account, outcome).await,
            Wake::Settings(settings) => {
                self.settings = settings;
                self.agenda.set(settings);
                self.tick(true).await;
            }
            Wake::Next(account, give) => {
                let _ = give.send(self.agenda.next(account));
            }
            Wake::Stop => self.agenda.stop(),
        }
    }

    /// Once at start, and then daily: who was in the trash for long enough is purged. Beside the runs, which it does not hold
    /// up; if it is broken off, the next one goes on.
    fn purge(&mut self) {
        let now = self.engine.now();
        if self.agenda.is_stopping() || self.purged.is_some_and(|at| now.since(at) < PURGE_EVERY) {
            return;
        }
        self.purged = Some(now);
        let (engine, before) = (Arc::clone(&self.engine), now.plus(-millis(self.settings.trash)));
        tokio::spawn(async move {
            match engine.purge(before).await {
                Ok(0) => {}
                Ok(people) => info!(people, "the trash was purged"),
                Err(error) => warn!({ fields::ERROR } = %error, "the trash was not purged; tried again tomorrow"),
            }
        });
    }

    /// Once at start, and then hourly, beside the runs: the dashboard need not go through a month of operations.
    fn add_up(&mut self) {
        let now = self.engine.now();
        if self.agenda.is_stopping() || self.added_up.is_some_and(|at| now.since(at) < ADD_UP_EVERY) {
            return;
        }
        self.added_up = Some(now);
        let engine = Arc::clone(&self.engine);
        tokio::spawn(async move {
            if let Err(error) = engine.store().add_up(now).await {
                warn!({ fields::ERROR } = %error, "what was counted was not added up; tried again in an hour");
            }
        });
    }

    /// Queues what is due. What is stored of accounts is read when something is due, and once a minute.
    async fn tick(&mut self, read: bool) {
        let now = self.engine.now();
        let stale = self.read.is_none_or(|read| now.since(read) >= 60_000);
        if read || stale || self.agenda.is_due(now) {
            self.read_accounts().await;
        }
        self.agenda.tick(now);
    }

    async fn read_accounts(&mut self) {
        let store = self.engine.store();
        let (accounts, directory) = match (store.accounts().await, store.directory().await) {
            (Ok(accounts), Ok(directory)) => (accounts, directory),
            (Err(error), _) | (_, Err(error)) => {
                error!({ fields::ERROR } = %error, "the accounts can't be read");
                return;
            }
        };
        let now = self.engine.now();
        self.read = Some(now);
        let active =
            |account: &Account| account.state == AccountState::Active && directory.active(account.user).is_some();
        let accounts = accounts.into_iter().filter(active).map(|account| (account.id, account.synced));
        self.agenda.accounts(accounts, now);
    }

    /// Starts what may start, in order.
    fn dispatch(&mut self) {
        while let Some(job) = self.agenda.start() {
            let (account, handle) = (job.account, job.handle);
            match job.what {
                What::Sync { trigger, .. } => drop(tokio::spawn(self.one_run(account, trigger, handle))),
                What::Turn(give) => {
                    let turn = Turn { account, handle, wake: self.wake.clone() };
                    drop(tokio::spawn(hand_over(Arc::clone(&self.engine), turn, give)));
                }
            }
        }
    }

    fn one_run(
        &self,
        account: AccountId,
        trigger: &'static str,
        handle: Handle,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (engine, connector) = (Arc::clone(&self.engine), Arc::clone(&self.connector));
        let (wake, mut cut) = (self.wake.clone(), self.cut.clone());
        async move {
            let run = Box::pin(run(&engine, &connector, account, trigger, &handle));
            let outcome = tokio::select! {
                outcome = run => outcome,
                () = async { drop(cut.wait_for(|cut| *cut).await) } => {
                    // What was in flight is known by its intents; only the lease has to be given back.
                    engine.let_go(account).await;
                    Outcome::Stopped
                }
            };
            let _ = wake.send(Wake::Ended(account, Some(outcome)));
        }
    }

    async fn ended(&mut self, account: AccountId, outcome: Option<Outcome>) {
        let end = match &outcome {
            Some(Outcome::Done(_)) => End::Done,
            Some(Outcome::Failed { not_before, needs_person, .. }) => {
                End::Failed { needs_person: *needs_person, not_before: *not_before }
            }
            // Its run may end at any time, or its lease if it has died.
            Some(Outcome::Elsewhere { asked }) => {
                End::Elsewhere { asked: *asked, wait: (self.engine.lease() / 4).clamp(1_000, agenda::BACK_OFF) }
            }
            Some(Outcome::Stopped) => End::Stopped,
            None => {
                self.engine.let_go(account).await;
                End::Stopped
            }
        };
        let waiters = self.agenda.ended(account, end, self.engine.now());
        if matches!(end, End::Failed { needs_person: true, .. }) {
            self.read_accounts().await;
        }
        if let Some(outcome) = outcome {
            for waiter in waiters {
                let _ = waiter.send(outcome.clone());
            }
        }
        if self.agenda.is_stopping() {
            return;
        }
        if self.agenda.next(account).is_none() {
            self.tick(true).await;
        } else {
            self.agenda.tick(self.engine.now());
        }
    }
}

/// Gives the turn to whoever waits for it, once no other daemon has the account.
async fn hand_over(engine: Arc<Engine>, turn: Turn, give: oneshot::Sender<Turn>) {
    let patience = tokio::time::Instant::now() + PATIENCE;
    // If the store fails, whoever has the turn learns so by what it does then.
    while matches!(engine.hold(turn.account).await, Ok(false)) {
        if tokio::time::Instant::now() > patience || give.is_closed() {
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    // If nobody waits any more, the turn ends by being dropped here.
    drop(give.send(turn));
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// One run of one account, from what is stored of it to what became of it; one line in the log.
async fn run(
    engine: &Engine,
    connector: &Connector,
    account: AccountId,
    trigger: &'static str,
    handle: &Handle,
) -> Outcome {
    let result = match connector.open(account).await {
        Ok(provider) => {
            let result = Box::pin(engine.sync_watched(account, &*provider, trigger, handle)).await;
            if let Err(error) = engine.keep_learnt(account, &*provider).await {
                warn!({ fields::ACCOUNT } = %account, { fields::ERROR } = %error, "what was found was not stored");
            }
            result
        }
        Err(error) => return unopened(engine, account, &error).await,
    };
    match result {
        Ok(report) => {
            let tally = report.tally;
            if !tally.is_quiet() || trigger != "schedule" {
                info!(
                    { fields::ACCOUNT } = %account, { fields::RUN } = %report.run, { fields::TRIGGER } = trigger,
                    here_added = tally.local.added, here_updated = tally.local.updated,
                    here_deleted = tally.local.deleted, there_added = tally.remote.added,
                    there_updated = tally.remote.updated, there_deleted = tally.remote.deleted,
                    conflicts = tally.conflicts, held = tally.held, failed = tally.failed, "synced"
                );
            }
            Outcome::Done(report)
        }
        Err(SyncError::Stopped) => Outcome::Stopped,
        Err(SyncError::Busy) => {
            debug!({ fields::ACCOUNT } = %account, { fields::TRIGGER } = trigger, "another daemon has the account");
            Outcome::Elsewhere { asked: trigger != "schedule" }
        }
        Err(error) => {
            let (needs_person, not_before) = match &error {
                SyncError::Halted(_) | SyncError::NotActive(_) => (true, None),
                SyncError::Provider(ProviderError { retry, .. }) => match retry {
                    Retry::At(at) => (false, Some(*at)),
                    Retry::AfterHuman => (true, None),
                    Retry::Soon | Retry::Relist | Retry::Never => (false, None),
                },
                SyncError::Busy
                | SyncError::Doubted(_)
                | SyncError::LeaseLost
                | SyncError::Stopped
                | SyncError::Store(_) => (false, None),
            };
            let reason = error.to_string();
            match error {
                SyncError::Store(StoreError::Broken(_)) => {
                    error!({ fields::ACCOUNT } = %account, { fields::ERROR } = reason, "not synced");
                }
                _ => warn!({ fields::ACCOUNT } = %account, { fields::ERROR } = reason, "not synced"),
            }
            Outcome::Failed { reason, needs_person, not_before }
        }
    }
}

/// The account can't be reached with what we have; a person has to sign in again.
async fn unopened(engine: &Engine, account: AccountId, error: &super::connect::ConnectError) -> Outcome {
    let reason = error.to_string();
    warn!({ fields::ACCOUNT } = %account, { fields::ERROR } = reason, "not synced");
    let needs_person = error.needs_person();
    if needs_person && let Err(error) = engine.needs_sign_in(account, &reason).await {
        warn!({ fields::ACCOUNT } = %account, { fields::ERROR } = %error, "the account's state was not stored");
    }
    Outcome::Failed { reason, needs_person, not_before: None }
}
