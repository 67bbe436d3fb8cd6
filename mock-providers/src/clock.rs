//! The time of a mock: the system's, or one that only moves when somebody asks.
//!
//! Owns: what "now" is. Must not: wait.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Where time comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// The system's clock, for hand use.
    System,
    /// A clock that starts here, in milliseconds since 1970, and goes on by one with each request or back-door call.
    Ticking(u64),
}

/// A clock with a hand that can be pushed forward.
#[derive(Clone, Debug)]
pub(crate) struct Time {
    clock: Clock,
    now: u64,
    /// How far the system's clock was pushed.
    ahead: u64,
}

impl Time {
    pub(crate) fn new(clock: Clock) -> Self {
        let now = if let Clock::Ticking(start) = clock { start } else { 0 };
        Self { clock, now, ahead: 0 }
    }

    /// The time of the next thing that happens, in milliseconds since 1970.
    pub(crate) fn tick(&mut self) -> u64 {
        self.now = match self.clock {
            Clock::Ticking(_) => self.now + 1,
            Clock::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                u64::try_from(since.as_millis()).unwrap_or(u64::MAX).saturating_add(self.ahead)
            }
        };
        self.now
    }

    /// Pushes the clock forward.
    pub(crate) fn advance(&mut self, millis: u64) {
        match self.clock {
            Clock::Ticking(_) => self.now += millis,
            Clock::System => self.ahead += millis,
        }
    }
}

/// A time as RFC 3339 writes it, with six digits after the second as Google does (`google.md` 2.1).
pub(crate) fn rfc3339(millis: u64) -> String {
    let instant = i64::try_from(millis).ok().and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
    instant.map(|instant| format!("{instant:.6}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Clock, Time, rfc3339};

    #[test]
    fn a_ticking_clock_moves_by_itself_and_when_pushed() {
        let mut time = Time::new(Clock::Ticking(10));
        assert_eq!((time.tick(), time.tick()), (11, 12));
        time.advance(100);
        assert_eq!(time.tick(), 113);
        let mut system = Time::new(Clock::System);
        let before = system.tick();
        system.advance(1_000_000);
        assert!(system.tick() >= before + 1_000_000);
    }

    #[test]
    fn times_have_six_digits() {
        assert_eq!(rfc3339(1_795_162_530_123), "2026-11-20T08:15:30.123000Z");
    }
}
