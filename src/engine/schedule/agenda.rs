//! Which account runs next: the scheduler's decisions, without its clock, its channels and its tasks.
//!
//! Owns: the queue and its fairness, one run per account at a time, when the next run is due, back-off, and the short wait
//! after an edit. Must not: wait, start anything, or ask the store; time comes in with every call, so that a test can play
//! a month in a moment. Start reading at [`Agenda::tick`] and [`Agenda::start`].

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use super::{Handle, Settings, millis};
use crate::clock::Entropy;
use crate::ids::{AccountId, Timestamp};

/// The first wait after a failure, in ms; doubles with each further one.
pub(super) const BACK_OFF: i64 = 30_000;
/// The longest wait after failures, in ms, unless the provider asks for a longer one.
pub(super) const BACK_OFF_MOST: i64 = 60 * 60 * 1000;
/// So many runs that people asked for may begin one after the other while one that is due waits.
const URGENT_IN_A_ROW: u32 = 2;

/// What is to be done with an account. `W` is told how a run ended, `T` is given the account for a while.
pub(super) enum What<W, T> {
    Sync { trigger: &'static str, waiters: Vec<W> },
    Turn(T),
}

/// What stands in the queue, or is to begin now.
pub(super) struct Job<W, T> {
    pub(super) account: AccountId,
    pub(super) what: What<W, T>,
    pub(super) handle: Handle,
    /// Asked for by a person: goes before what the schedule brings.
    urgent: bool,
    /// Changes the account, and so is not broken off by who wants to change it too.
    firm: bool,
}

/// What is under way.
struct Busy<W> {
    handle: Handle,
    waiters: Vec<W>,
    firm: bool,
}

/// How a run ended, as far as it matters for the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Done,
    Failed {
        needs_person: bool,
        not_before: Option<Timestamp>,
    },
    /// Another daemon that shares the store has the account.
    Elsewhere {
        /// Whether somebody had asked for this run.
        asked: bool,
        /// When it is tried again, in ms.
        wait: i64,
    },
    /// It was asked to end, or was no run at all.
    Stopped,
}

/// All that is to be done, and when.
pub(super) struct Agenda<W, T> {
    settings: Settings,
    entropy: Arc<dyn Entropy>,
    queue: VecDeque<Job<W, T>>,
    busy: HashMap<AccountId, Busy<W>>,
    /// The accounts that sync, each with the end of its last run as it is stored, whoever ran it.
    active: BTreeMap<AccountId, Option<Timestamp>>,
    /// Accounts that somebody wanted to be synced while another daemon had them: they are, however lately they were.
    insisting: BTreeSet<AccountId>,
    next: BTreeMap<AccountId, Timestamp>,
    /// Accounts in which people were edited, and when that is to be synced.
    edited: BTreeMap<AccountId, Timestamp>,
    /// How often an account has failed in a row.
    failures: HashMap<AccountId, u32>,
    urgent_in_a_row: u32,
    stopping: bool,
}

impl<W, T> Agenda<W, T> {
    pub(super) fn new(settings: Settings, entropy: Arc<dyn Entropy>) -> Self {
        Self {
            settings,
            entropy,
            queue: VecDeque::new(),
            busy: HashMap::new(),
            active: BTreeMap::new(),
            insisting: BTreeSet::new(),
            next: BTreeMap::new(),
            edited: BTreeMap::new(),
            failures: HashMap::new(),
            urgent_in_a_row: 0,
            stopping: false,
        }
    }

    /// From now on by these settings: all times are counted anew.
    pub(super) fn set(&mut self, settings: Settings) {
        self.settings = settings;
        self.next.clear();
    }

    /// The accounts that sync, each with the end of its last run. A new one is due at once; after a restart the old rhythm
    /// goes on.
    pub(super) fn accounts(
        &mut self,
        active: impl IntoIterator<Item = (AccountId, Option<Timestamp>)>,
        now: Timestamp,
    ) {
        let active: BTreeMap<AccountId, Option<Timestamp>> = active.into_iter().collect();
        self.active.clone_from(&active);
        self.insisting.retain(|account| active.contains_key(account));
        self.next.retain(|account, _| active.contains_key(account));
        self.edited.retain(|account, _| active.contains_key(account));
        self.failures.retain(|account, _| active.contains_key(account));
        for (account, synced) in active {
            if !self.next.contains_key(&account) && !self.busy.contains_key(&account) {
                let due = synced.map_or(now, |synced| synced.plus(self.interval()));
                self.next.insert(account, due);
            }
        }
    }

    /// All accounts that sync, in order.
    pub(super) fn active(&self) -> Vec<AccountId> {
        self.active.keys().copied().collect()
    }

    /// When the account runs next, as far as it is known.
    pub(super) fn next(&self, account: AccountId) -> Option<Timestamp> {
        self.next.get(&account).copied()
    }

    /// Whether a run is due by the schedule.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.next.values().any(|due| *due <= now)
    }

    /// Whether nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.busy.is_empty()
    }

    /// The interval with its jitter, in ms.
    fn interval(&self) -> i64 {
        let [a, b, c, d, ..] = self.entropy.bytes();
        let share = f64::from(u32::from_be_bytes([a, b, c, d])) / f64::from(u32::MAX);
        millis(self.settings.interval + self.settings.jitter.mul_f64(share))
    }

    /// Queues what is due.
    pub(super) fn tick(&mut self, now: Timestamp) {
        let due: Vec<AccountId> =
            self.next.iter().filter(|(_, due)| **due <= now).map(|(account, _)| *account).collect();
        for account in due {
            self.next.remove(&account);
            // Of daemons that share a store, each knows when the account is due; one that was first is enough.
            let synced = self.active.get(&account).copied().flatten();
            let again = synced.map(|synced| synced.plus(millis(self.settings.interval))).filter(|again| *again > now);
            if let Some(again) = again
                && !self.insisting.contains(&account)
                && !self.failures.contains_key(&account)
            {
                let jitter = self.interval() - millis(self.settings.interval);
                self.next.insert(account, again.plus(jitter));
                continue;
            }
            self.queue_once(account, "schedule");
        }
        let settled: Vec<AccountId> = self.edited_free().filter(|(_, at)| *at <= now).map(|(id, _)| id).collect();
        for account in settled {
            self.edited.remove(&account);
            self.queue_once(account, "edit");
        }
    }

    fn queue_once(&mut self, account: AccountId, trigger: &'static str) {
        if !self.busy.contains_key(&account) && !self.queue.iter().any(|job| job.account == account) {
            let what = What::Sync { trigger, waiters: Vec::new() };
            self.push(Job { account, what, urgent: false, firm: false, handle: Handle::default() });
        }
    }

    /// A person who is, or is to be, in that account was edited: it is synced soon, once for all edits of that short while.
    /// One that waits because it fails goes on waiting, or edits would undo its back-off.
    pub(super) fn edited(&mut self, account: AccountId, now: Timestamp) {
        let wait = millis(self.settings.after_edit);
        if wait > 0 && self.active.contains_key(&account) && !self.failures.contains_key(&account) {
            self.edited.entry(account).or_insert_with(|| now.plus(wait));
        }
    }

    /// A run that is under way may have missed the edit, so that one follows it.
    fn edited_free(&self) -> impl Iterator<Item = (AccountId, Timestamp)> {
        self.edited.iter().filter(|(id, _)| !self.busy.contains_key(id)).map(|(id, at)| (*id, *at))
    }

    /// When the next edit is to be synced.
    pub(super) fn next_edit(&self) -> Option<Timestamp> {
        self.edited_free().map(|(_, at)| at).min()
    }

    /// Queues a run that somebody asked for, together with one that is queued already; by its handle it can be watched.
    pub(super) fn ask(&mut self, account: AccountId, trigger: &'static str, waiter: Option<W>) -> Option<Handle> {
        if self.stopping {
            return None;
        }
        let is_sync = |job: &Job<W, T>| job.account == account && matches!(job.what, What::Sync { .. });
        let queued = self.queue.iter().position(is_sync).and_then(|at| self.queue.remove(at));
        let mut job = queued.unwrap_or_else(|| Job {
            account,
            what: What::Sync { trigger, waiters: Vec::new() },
            urgent: true,
            firm: false,
            handle: Handle::default(),
        });
        job.urgent = true;
        if let What::Sync { trigger: of, waiters } = &mut job.what {
            *of = trigger;
            waiters.extend(waiter);
        }
        let handle = job.handle.clone();
        self.push(job);
        Some(handle)
    }

    /// Queues a turn; with `interrupt` what is under way is asked to end for it, unless that is such a turn itself.
    pub(super) fn turn(&mut self, account: AccountId, interrupt: bool, give: T) {
        if interrupt && let Some(busy) = self.busy.get(&account).filter(|busy| !busy.firm) {
            busy.handle.stop();
        }
        self.push(Job { account, what: What::Turn(give), urgent: true, firm: interrupt, handle: Handle::default() });
    }

    fn push(&mut self, job: Job<W, T>) {
        if self.stopping {
            return; // whoever waits learns it by the end of the channel
        }
        let place =
            if job.urgent { self.queue.iter().take_while(|queued| queued.urgent).count() } else { self.queue.len() };
        self.queue.insert(place, job);
    }

    /// What may begin now, if anything; it counts as under way from here on. The queue is in order of time, what people ask
    /// for first, but people who ask without end don't keep the schedule from its turn.
    pub(super) fn start(&mut self) -> Option<Job<W, T>> {
        if self.busy.len() >= self.settings.concurrency.max(1) {
            return None;
        }
        let free = |job: &Job<W, T>| !self.busy.contains_key(&job.account);
        let by_schedule = || self.queue.iter().position(|job| free(job) && !job.urgent);
        let first = if self.urgent_in_a_row >= URGENT_IN_A_ROW { by_schedule() } else { None };
        let at = first.or_else(|| self.queue.iter().position(free))?;
        let mut job = self.queue.remove(at)?;
        self.urgent_in_a_row = if job.urgent { self.urgent_in_a_row + 1 } else { 0 };
        let mut waiting = Vec::new();
        if let What::Sync { waiters, .. } = &mut job.what {
            waiting = std::mem::take(waiters);
            self.next.remove(&job.account);
            self.edited.remove(&job.account); // what was edited until now is seen by this run
        }
        self.busy.insert(job.account, Busy { handle: job.handle.clone(), waiters: waiting, firm: job.firm });
        Some(job)
    }

    /// What was under way has ended; who waits for it.
    pub(super) fn ended(&mut self, account: AccountId, end: End, now: Timestamp) -> Vec<W> {
        let Some(Busy { waiters, .. }) = self.busy.remove(&account) else { return Vec::new() };
        if matches!(end, End::Done | End::Failed { .. }) {
            self.insisting.remove(&account);
        }
        match end {
            End::Done => {
                self.failures.remove(&account);
                let due = now.plus(self.interval());
                self.next.insert(account, due);
            }
            End::Failed { needs_person, not_before } => {
                let failures = self.failures.entry(account).or_insert(0);
                let wait = BACK_OFF.saturating_mul(1 << (*failures).min(16)).min(BACK_OFF_MOST);
                *failures += 1;
                self.edited.remove(&account);
                // Where only a person can help the account has left its active state, as a rule. If it is one address book
                // alone that is closed to us, it is looked at now and then.
                let wait = if needs_person { BACK_OFF_MOST.max(self.interval()) } else { wait };
                // Of many accounts of one provider that is down, not all come back in the same second.
                let due = now.plus(wait.saturating_add(self.interval() - millis(self.settings.interval)));
                self.next.insert(account, not_before.map_or(due, |told| told.max(due)));
            }
            End::Elsewhere { asked, wait } => {
                if asked {
                    self.insisting.insert(account);
                }
                self.next.insert(account, now.plus(wait));
            }
            End::Stopped => {}
        }
        waiters
    }

    /// Takes no more, and asks all that is under way to end.
    pub(super) fn stop(&mut self) {
        self.stopping = true;
        self.queue.clear();
        self.busy.values().for_each(|busy| busy.handle.stop());
    }

    /// Whether it takes no more.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
