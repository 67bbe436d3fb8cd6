//! One clock for all daemons that share a database: the database's.
//!
//! Owns: [`SharedClock`]. Must not: be asked by the pure middle.
//!
//! A lease says until when it lasts, and whoever wants it asks whether that time has come. By clocks of different
//! machines two could hold one lease at once; so every daemon goes by the database's clock. It is not asked for each time:
//! it is read now and then, and from there on this machine's own steady clock counts, which does not jump, and goes on
//! while the machine sleeps. What is left is how long the answer took, and how far two quartzes drift apart between two
//! readings; [`SharedClock::MARGIN`] is more than both, and no send starts that its lease does not outlast by it.

use std::sync::atomic::{AtomicI64, Ordering};

use super::super::StoreError;
use super::Postgres;
use crate::clock::{Clock, Entropy, System};
use crate::ids::Timestamp;

/// How long an answer may take for its time to be believed, in ms.
const QUICK: i64 = 500;
/// How often the time is asked for before a slow answer is an error.
const TRIES: usize = 8;

/// The database's time, carried on by the machine's steady clock.
#[derive(Debug)]
pub struct SharedClock {
    database: Postgres,
    /// What is to be added to the steady clock, in ms.
    ahead: AtomicI64,
    /// The latest time that was told: a new reading that corrects the last one does not make time go back.
    told: AtomicI64,
}

impl SharedClock {
    /// How often [`SharedClock::set`] is to be called.
    pub const EVERY: std::time::Duration = std::time::Duration::from_secs(30);

    /// By how much two of them can differ, in ms; with much to spare.
    pub const MARGIN: i64 = 1_000;

    /// Reads the database's clock for the first time.
    ///
    /// # Errors
    /// When the database does not answer, or too slowly.
    pub async fn new(database: Postgres) -> Result<Self, StoreError> {
        let clock = Self { database, ahead: AtomicI64::new(0), told: AtomicI64::new(0) };
        clock.set().await?;
        Ok(clock)
    }

    /// Reads the database's clock again.
    ///
    /// # Errors
    /// When the database does not answer, or too slowly; the time goes on as it was.
    pub async fn set(&self) -> Result<(), StoreError> {
        let mut best: Option<(i64, i64)> = None;
        for _ in 0..TRIES {
            let before = steady();
            let time = self.database.time().await?;
            let after = steady();
            let took = after - before;
            // The answer was made somewhere between; the middle is wrong by half of it at most.
            let ahead = time - (before + took / 2);
            if best.is_none_or(|(best, _)| took < best) {
                best = Some((took, ahead));
            }
            if took <= QUICK / 10 {
                break;
            }
        }
        match best {
            Some((took, ahead)) if took <= QUICK => {
                self.ahead.store(ahead, Ordering::Relaxed);
                Ok(())
            }
            _ => Err(StoreError::Busy(
                "the database is too slow to tell the time; see whether it or the network is overloaded".to_owned(),
            )),
        }
    }
}

impl Clock for SharedClock {
    fn now(&self) -> Timestamp {
        let now = steady() + self.ahead.load(Ordering::Relaxed);
        let told = self.told.fetch_max(now, Ordering::Relaxed);
        if told - now < Self::MARGIN {
            return Timestamp(told.max(now));
        }
        // Somebody has set the database's clock back: waiting for the old time would stop everything meanwhile.
        self.told.store(now, Ordering::Relaxed);
        Timestamp(now)
    }
}

impl Entropy for SharedClock {
    fn bytes(&self) -> [u8; 16] {
        System.bytes()
    }
}

/// Milliseconds of a clock that nobody sets, and that goes on while the machine sleeps.
fn steady() -> i64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    time.tv_sec.saturating_mul(1000).saturating_add(time.tv_nsec / 1_000_000)
}
