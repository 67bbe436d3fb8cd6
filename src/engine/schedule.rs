//! When which account runs: ticks and "sync now" go into one queue.
//!
//! Owns: one run per account at a time, several accounts at once, fairness, jitter, back-off, and the end of all runs when
//! the daemon stops. Must not: know what a run does. What can wake it is one enum, [`Wake`]; start reading there.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio_cron_scheduler::{Job as CronJob, JobScheduler, JobSchedulerError};
use tracing::{debug, error, info, warn};

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
    /// How long the trash keeps people.
    pub trash: Duration,
}

/// The first wait after a failure, in ms; doubles with each further one.
const BACK_OFF: i64 = 30_000;
/// The longest wait after failures, in ms.
const BACK_OFF_MOST: i64 = 60 * 60 * 1000;
/// How long a person who wants an account waits for the run of another daemon, which nobody here can end.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked whether that run has ended.
const LOOK: Duration = Duration::from_millis(250);
/// How long after one purge of the trash the next one comes, in ms.
const PURGE_EVERY: i64 = 24 * 60 * 60 * 1000;

/// Everything that can wake the scheduler.
enum Wake {
    /// Time has passed.
    Tick,
    /// Somebody wants an account synced now.
    Sync(AccountId, &'static str, Option<Waiter>),
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

/// What stands in the queue.
struct Queued {
    account: AccountId,
    what: What,
    /// Asked for by a person: goes before what the schedule brings.
    urgent: bool,
    handle: Handle,
}

enum What {
    Sync { trigger: &'static str, waiters: Vec<oneshot::Sender<Outcome>> },
    Turn(oneshot::Sender<Turn>),
}

/// A run or a turn under way.
struct Busy {
    handle: Handle,
    waiters: Vec<oneshot::Sender<Outcome>>,
}

/// The scheduler itself; see [`Scheduler::run`].
pub struct Scheduler {
    engine: Arc<Engine>,
    connector: Arc<Connector>,
    entropy: Arc<dyn Entropy>,
    settings: Settings,
    wake: mpsc::UnboundedSender<Wake>,
    woken: mpsc::UnboundedReceiver<Wake>,
    queue: VecDeque<Queued>,
    busy: HashMap<AccountId, Busy>,
    next: HashMap<AccountId, Timestamp>,
    failures: HashMap<AccountId, u32>,
    accounts: HashMap<AccountId, Account>,
    /// Accounts that somebody wanted to be synced while another daemon had them: they are synced however lately they were.
    insisting: HashSet<AccountId>,
    read: Option<Timestamp>,
    /// When the trash was last purged.
    purged: Option<Timestamp>,
    stopping: bool,
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
            entropy,
            settings,
            wake,
            woken,
            queue: VecDeque::new(),
            busy: HashMap::new(),
            next: HashMap::new(),
            failures: HashMap::new(),
            accounts: HashMap::new(),
            insisting: HashSet::new(),
            read: None,
            purged: None,
            stopping: false,
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
        while let Some(wake) = self.woken.recv().await {
            let before = self.settings;
            self.take(wake).await;
            if before.interval != self.settings.interval {
                ticks.shutdown().await?;
                ticks = self.ticks().await?;
            }
            self.dispatch();
            if self.stopping && self.busy.is_empty() {
                break;
            }
        }
        ticks.shutdown().await
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
                self.tick(false).await;
            }
            Wake::Changed => self.tick(true).await,
            Wake::Sync(account, trigger, waiter) => self.ask(account, trigger, waiter),
            Wake::SyncAll(trigger) => {
                self.read_accounts().await;
                for account in self.due_accounts() {
                    self.ask(account, trigger, None);
                }
            }
            Wake::Turn(account, interrupt, give) => {
                if interrupt && let Some(busy) = self.busy.get(&account) {
                    busy.handle.stop();
                }
                self.push(Queued { account, what: What::Turn(give), urgent: true, handle: Handle::default() });
            }
            Wake::Ended(account, outcome) => self.ended(account, outcome).await,
            Wake::Settings(settings) => {
                self.settings = settings;
                self.next.clear();
                self.tick(true).await;
            }
            Wake::Next(account, give) => {
                let _ = give.send(self.next.get(&account).copied());
            }
            Wake::Stop => {
                self.stopping = true;
                self.queue.clear();
                self.busy.values().for_each(|busy| busy.handle.stop());
            }
        }
    }

    /// Once at start, and then daily: who was in the trash for long enough is purged. Beside the runs, which it does not hold
    /// up; if it is broken off, the next one goes on.
    fn purge(&mut self) {
        let now = self.engine.now();
        if self.stopping || self.purged.is_some_and(|at| now.since(at) < PURGE_EVERY) {
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

    /// Queues what is due. What is stored of accounts is read when something is due, and once a minute.
    async fn tick(&mut self, read: bool) {
        let now = self.engine.now();
        let stale = self.read.is_none_or(|read| now.since(read) >= 60_000);
        if read || stale || self.next.values().any(|due| *due <= now) {
            self.read_accounts().await;
        }
        let due: Vec<AccountId> =
            self.next.iter().filter(|(_, due)| **due <= now).map(|(account, _)| *account).collect();
        for account in due {
            self.next.remove(&account);
            // Of daemons that share a store, each knows when the account is due; one that was first is enough.
            let synced = self.accounts.get(&account).and_then(|account| account.synced);
            let again = synced.filter(|_| !self.insisting.contains(&account));
            if let Some(again) = again.map(|synced| synced.plus(millis(self.settings.interval))).filter(|at| *at > now)
            {
                self.next.insert(account, again.plus(self.interval() - millis(self.settings.interval)));
                continue;
            }
            if !self.busy.contains_key(&account) && !self.queue.iter().any(|queued| queued.account == account) {
                let what = What::Sync { trigger: "schedule", waiters: Vec::new() };
                self.push(Queued { account, what, urgent: false, handle: Handle::default() });
            }
        }
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
        self.accounts = accounts.into_iter().filter(active).map(|account| (account.id, account)).collect();
        self.next.retain(|account, _| self.accounts.contains_key(account));
        let waiting: Vec<(AccountId, Option<Timestamp>)> = self
            .accounts
            .values()
            .filter(|account| !self.next.contains_key(&account.id) && !self.busy.contains_key(&account.id))
            .map(|account| (account.id, account.synced))
            .collect();
        for (account, synced) in waiting {
            // A new account begins at once; after a restart the old rhythm goes on.
            let due = synced.map_or(now, |synced| synced.plus(self.interval()));
            self.next.insert(account, due);
        }
    }

    fn due_accounts(&self) -> Vec<AccountId> {
        let mut all: Vec<_> = self.accounts.keys().copied().collect();
        all.sort();
        all
    }

    /// The interval with its jitter, in ms.
    fn interval(&self) -> i64 {
        let [a, b, c, d, ..] = self.entropy.bytes();
        let share = f64::from(u32::from_be_bytes([a, b, c, d])) / f64::from(u32::MAX);
        millis(self.settings.interval + self.settings.jitter.mul_f64(share))
    }

    /// Queues a run that somebody asked for, together with one that is queued already.
    fn ask(&mut self, account: AccountId, trigger: &'static str, waiter: Option<Waiter>) {
        if self.stopping {
            return;
        }
        let queued = self
            .queue
            .iter()
            .position(|queued| queued.account == account && matches!(queued.what, What::Sync { .. }))
            .and_then(|at| self.queue.remove(at));
        let mut job = queued.unwrap_or_else(|| Queued {
            account,
            what: What::Sync { trigger, waiters: Vec::new() },
            urgent: true,
            handle: Handle::default(),
        });
        job.urgent = true;
        if let What::Sync { trigger: of, waiters } = &mut job.what {
            *of = trigger;
            if let Some(Waiter { handle, outcome }) = waiter {
                let _ = handle.send(job.handle.clone());
                waiters.push(outcome);
            }
        }
        self.push(job);
    }

    fn push(&mut self, job: Queued) {
        if self.stopping {
            return; // whoever waits learns it by the end of the channel
        }
        let place =
            if job.urgent { self.queue.iter().take_while(|queued| queued.urgent).count() } else { self.queue.len() };
        self.queue.insert(place, job);
    }

    /// Starts what may start, in order.
    fn dispatch(&mut self) {
        while self.busy.len() < self.settings.concurrency.max(1) {
            let free = |queued: &Queued| !self.busy.contains_key(&queued.account);
            let Some(job) = self.queue.iter().position(free).and_then(|at| self.queue.remove(at)) else { return };
            let Queued { account, what, handle, .. } = job;
            match what {
                What::Sync { trigger, waiters } => {
                    self.next.remove(&account);
                    tokio::spawn(self.one_run(account, trigger, handle.clone()));
                    self.busy.insert(account, Busy { handle, waiters });
                }
                What::Turn(give) => {
                    let turn = Turn { account, handle: handle.clone(), wake: self.wake.clone() };
                    self.busy.insert(account, Busy { handle, waiters: Vec::new() });
                    tokio::spawn(hand_over(Arc::clone(&self.engine), turn, give));
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
        let Some(busy) = self.busy.remove(&account) else { return };
        let now = self.engine.now();
        if let Some(Outcome::Done(_) | Outcome::Failed { .. }) = &outcome {
            self.insisting.remove(&account);
        }
        match &outcome {
            Some(Outcome::Done(_)) => {
                self.failures.remove(&account);
                let due = now.plus(self.interval());
                self.next.insert(account, due);
            }
            Some(Outcome::Failed { not_before, needs_person, .. }) => {
                let failures = self.failures.entry(account).or_insert(0);
                let wait = BACK_OFF.saturating_mul(1 << (*failures).min(16)).min(BACK_OFF_MOST);
                *failures += 1;
                // Where only a person can help the account has left its active state, as a rule. If it is one address book
                // alone that is closed to us, it is looked at now and then.
                let wait = if *needs_person { BACK_OFF_MOST.max(self.interval()) } else { wait };
                // Of many accounts of one provider that is down, not all come back in the same second.
                let due = now.plus(wait.saturating_add(self.interval() - millis(self.settings.interval)));
                self.next.insert(account, not_before.map_or(due, |told| told.max(due)));
                if *needs_person {
                    self.read_accounts().await;
                }
            }
            // Its run may end at any time, or its lease if it has died.
            Some(Outcome::Elsewhere { asked }) => {
                if *asked {
                    self.insisting.insert(account);
                }
                let wait = (self.engine.lease() / 4).clamp(1_000, BACK_OFF);
                self.next.insert(account, now.plus(wait));
            }
            Some(Outcome::Stopped) => {}
            None => self.engine.let_go(account).await,
        }
        if let Some(outcome) = outcome {
            for waiter in busy.waiters {
                let _ = waiter.send(outcome.clone());
            }
        }
        if !self.stopping && !self.next.contains_key(&account) {
            self.tick(true).await;
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
                SyncError::Busy | SyncError::LeaseLost | SyncError::Stopped | SyncError::Store(_) => (false, None),
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
