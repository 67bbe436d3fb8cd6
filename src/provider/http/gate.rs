//! One gate per account: how many requests at once, how fast, and the server's "wait", which closes it for all tasks.
//!
//! Owns: pacing. Must not: know what is sent. Waits by `tokio::time`, so that tests can hold the time.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until};

/// How fast an account's requests may follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// The most requests at once.
    pub at_once: Option<u16>,
    /// The most requests per second over a longer time; as many may come in a burst.
    pub per_second: Option<u16>,
    /// The least time between two writes.
    pub write_gap: Duration,
}

impl Pace {
    /// No limits of our own. Writes still go one at a time.
    pub const FREE: Self = Self { at_once: None, per_second: None, write_gap: Duration::ZERO };
    /// What iCloud is known to bear (icloud-carddav.md §9, policy).
    pub const ICLOUD: Self = Self { at_once: Some(2), per_second: Some(4), write_gap: Duration::from_millis(200) };
}

/// An account's gate, shared by its tasks.
#[derive(Debug)]
pub struct Gate {
    pace: Pace,
    slots: Option<Semaphore>,
    writes: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Closed until then: the server asked us to wait.
    closed: Option<Instant>,
    /// When the next request could start if all so far had kept the exact pace.
    due: Option<Instant>,
    /// When the next write may start.
    write_due: Option<Instant>,
    /// How often in a row the server asked us to wait.
    waits: u32,
}

/// The right to have one request under way.
#[derive(Debug)]
pub struct Pass<'a> {
    _slot: Option<SemaphorePermit<'a>>,
    _write: Option<tokio::sync::MutexGuard<'a, ()>>,
}

/// The gate stays closed for longer than the caller can wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// For how long yet.
    pub remaining: Duration,
}

impl Gate {
    /// An open gate.
    pub fn new(pace: Pace) -> Self {
        Self {
            slots: pace.at_once.map(|most| Semaphore::new(usize::from(most.max(1)))),
            pace,
            writes: tokio::sync::Mutex::new(()),
            state: Mutex::new(State::default()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a turn. Writes go one at a time. Fails at once if the gate stays closed for longer than `patience`.
    pub async fn enter(&self, write: bool, patience: Duration) -> Result<Pass<'_>, Closed> {
        self.check(patience)?;
        let write_turn = if write { Some(self.writes.lock().await) } else { None };
        let slot = match &self.slots {
            Some(slots) => slots.acquire().await.ok(), // never closed
            None => None,
        };
        let turn = self.turn(write);
        if turn > Instant::now() {
            sleep_until(turn).await;
        }
        // Someone else's answer may have closed it meanwhile, and again while we wait for that.
        while let Some(opens) = self.check(patience)? {
            sleep_until(opens).await;
        }
        Ok(Pass { _slot: slot, _write: write_turn })
    }

    /// When the gate opens, if it is closed.
    fn check(&self, patience: Duration) -> Result<Option<Instant>, Closed> {
        let now = Instant::now();
        match self.state().closed {
            Some(opens) if opens > now => {
                let remaining = opens - now;
                if remaining > patience { Err(Closed { remaining }) } else { Ok(Some(opens)) }
            }
            _ => Ok(None),
        }
    }

    /// Takes a place in the row and says when it comes.
    fn turn(&self, write: bool) -> Instant {
        let now = Instant::now();
        let mut state = self.state();
        let mut turn = now;
        if let Some(rate) = self.pace.per_second {
            let step = Duration::from_secs(1) / u32::from(rate.max(1));
            let due = state.due.map_or(now, |due| due.max(now));
            // A quiet account may start with a second's worth at once.
            turn = due.checked_sub(step * u32::from(rate.saturating_sub(1))).map_or(now, |early| early.max(now));
            state.due = Some(due + step);
        }
        if write {
            turn = state.write_due.map_or(turn, |due| due.max(turn));
            state.write_due = Some(turn + self.pace.write_gap);
        }
        turn
    }

    /// Closes the gate for all of the account's tasks; never shortens an earlier wait.
    pub fn close(&self, wait: Duration) {
        let until = Instant::now() + wait;
        let mut state = self.state();
        state.closed = Some(state.closed.map_or(until, |closed| closed.max(until)));
    }

    /// Counts the server's "wait" and says how many came in a row with it.
    pub fn asked_to_wait(&self) -> u32 {
        let mut state = self.state();
        state.waits = state.waits.saturating_add(1);
        state.waits
    }

    /// The server answers as it should again.
    pub fn answered(&self) {
        self.state().waits = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3_600);

    #[tokio::test(start_paused = true)]
    async fn a_burst_and_then_the_pace() {
        let gate = Gate::new(Pace::ICLOUD);
        let start = Instant::now();
        let mut starts = Vec::new();
        for _ in 0..12 {
            drop(gate.enter(false, LONG).await.unwrap());
            starts.push(start.elapsed().as_millis());
        }
        assert_eq!(starts[..4], [0, 0, 0, 0]);
        assert_eq!(starts[4..8], [250, 500, 750, 1_000]);
        assert_eq!(starts[11], 2_000);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_than_two_at_once_and_one_write() {
        let gate = Gate::new(Pace::ICLOUD);
        let first = gate.enter(false, LONG).await.unwrap();
        let _second = gate.enter(false, LONG).await.unwrap();
        assert!(tokio::time::timeout(Duration::from_secs(5), gate.enter(false, LONG)).await.is_err());
        drop(first);
        let _write = gate.enter(true, LONG).await.unwrap();
        let free = Gate::new(Pace::FREE);
        let _writing = free.enter(true, LONG).await.unwrap();
        let _reading = free.enter(false, LONG).await.unwrap();
        assert!(tokio::time::timeout(Duration::from_secs(5), free.enter(true, LONG)).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_closes_it_for_all() {
        let gate = Gate::new(Pace::FREE);
        gate.close(Duration::from_secs(30));
        gate.close(Duration::from_secs(5));
        let closed = gate.enter(false, Duration::from_secs(10)).await.unwrap_err();
        assert_eq!(closed.remaining, Duration::from_secs(30));
        let start = Instant::now();
        let (a, b) = tokio::join!(gate.enter(false, LONG), gate.enter(false, LONG));
        assert!(a.is_ok() && b.is_ok());
        assert_eq!(start.elapsed(), Duration::from_secs(30));
    }

    #[tokio::test(start_paused = true)]
    async fn writes_keep_their_distance() {
        let gate = Gate::new(Pace::ICLOUD);
        let start = Instant::now();
        for _ in 0..3 {
            drop(gate.enter(true, LONG).await.unwrap());
        }
        assert_eq!(start.elapsed(), Duration::from_millis(400));
    }

    #[test]
    fn waits_in_a_row_are_counted() {
        let gate = Gate::new(Pace::FREE);
        assert_eq!((gate.asked_to_wait(), gate.asked_to_wait()), (1, 2));
        gate.answered();
        assert_eq!(gate.asked_to_wait(), 1);
    }
}
