//! PURE. Whether a request whose answer was bad or missing may be sent again, and when.
//!
//! Owns: the decision, the waiting times, and the reading of `Retry-After`. Must not: wait, send, or look at a clock;
//! time and chance come in as numbers. Start reading at [`decide`].

use crate::ids::Timestamp;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;

/// The shortest wait that a server can ask for.
pub const SHORTEST_WAIT: i64 = SECOND;
/// The longest wait that a server can ask for; what asks for more is taken as this.
pub const LONGEST_WAIT: i64 = 120 * MINUTE;
/// How often a request is sent at most.
pub const MOST_ATTEMPTS: u32 = 4;

/// What kind of resend a request allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resend {
    /// It changes nothing: send it as often as you like.
    Safe,
    /// A guard (etag, `If-None-Match`) makes a second one fail if the first was carried out.
    Guarded,
    /// A second one could do it twice: never again once its first byte may have left.
    Once,
}

/// What went wrong with one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// Not a byte left: no address, no connection, no TLS.
    NotSent,
    /// The server asked us to slow down and did nothing (429, RFC 6585 §4).
    Wait,
    /// The server, or something before it, is busy (503, RFC 9110 §15.6.4). It may have been carried out.
    Busy,
    /// The server stumbled (500, 502, 504 …). It may have been carried out.
    Server,
    /// The answer never came, or broke off. It may have been carried out.
    Lost,
}

impl Failure {
    /// Whether the request may have been carried out all the same.
    pub fn leaves_doubt(self) -> bool {
        match self {
            Self::NotSent | Self::Wait => false,
            Self::Busy | Self::Server | Self::Lost => true,
        }
    }

    /// Whether all requests of the account should wait, not only this one.
    pub fn concerns_account(self) -> bool {
        matches!(self, Self::Wait | Self::Busy)
    }
}

/// One attempt that failed.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// What its request allows.
    pub resend: Resend,
    /// Which one it was, from 1.
    pub number: u32,
    /// What went wrong.
    pub failure: Failure,
    /// Whether an earlier attempt of the same request may have been carried out.
    pub doubt: bool,
    /// How long the server asked us to wait.
    pub retry_after: Option<RetryAfter>,
    /// The time now.
    pub now: Timestamp,
    /// A random number, evenly spread over its range: keeps many accounts from coming back at the same moment.
    pub jitter: u32,
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Send it again then, not before.
    RetryAt(Timestamp),
    /// It surely was not carried out, and it has been tried often enough.
    GiveUp,
    /// It may have been carried out: look at the record, then decide.
    LookThenDecide,
}

/// Decides about one failed attempt.
pub fn decide(attempt: &Attempt) -> Decision {
    let doubt = attempt.doubt || attempt.failure.leaves_doubt();
    let may_resend = match attempt.resend {
        Resend::Safe | Resend::Guarded => true,
        Resend::Once => !doubt,
    };
    if may_resend && attempt.number < MOST_ATTEMPTS {
        return Decision::RetryAt(attempt.now.plus(delay(attempt)));
    }
    if doubt && attempt.resend != Resend::Safe { Decision::LookThenDecide } else { Decision::GiveUp }
}

/// How long to wait after this attempt, in ms: what the server asks, else a back-off that doubles.
pub fn delay(attempt: &Attempt) -> i64 {
    if let Some(asked) = attempt.retry_after {
        let asked = asked.millis(attempt.now);
        // Never earlier than asked, up to a tenth later.
        return asked + share(asked / 10, attempt.jitter);
    }
    let (first, most) = if attempt.failure.concerns_account() {
        (MINUTE, 15 * MINUTE) // icloud-carddav.md §9, policy
    } else {
        (SECOND / 2, 30 * SECOND)
    };
    let doublings = attempt.number.saturating_sub(1).min(10);
    let whole = (first << doublings).min(most);
    whole / 2 + share(whole / 2, attempt.jitter)
}

/// The part of `whole` that the random number stands for.
fn share(whole: i64, jitter: u32) -> i64 {
    let part = i128::from(whole) * i128::from(jitter) / i128::from(u32::MAX);
    i64::try_from(part).unwrap_or(whole)
}

/// What a `Retry-After` header says (RFC 9110 §10.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// So many seconds from now.
    Seconds(u64),
    /// Not before then.
    At(Timestamp),
}

impl RetryAfter {
    /// Reads the header's value, seconds or a date; anything else is as if it were not there.
    pub fn parse(value: &str) -> Option<Self> {
        let value = value.trim();
        if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
            return Some(Self::Seconds(value.parse().unwrap_or(u64::MAX)));
        }
        let time = jiff::fmt::rfc2822::parse(value).ok()?;
        Some(Self::At(Timestamp(time.timestamp().as_millisecond())))
    }

    /// Milliseconds from now, not less than [`SHORTEST_WAIT`] and not more than [`LONGEST_WAIT`].
    pub fn millis(self, now: Timestamp) -> i64 {
        let asked = match self {
            Self::Seconds(seconds) => i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(SECOND),
            Self::At(time) => time.since(now),
        };
        asked.clamp(SHORTEST_WAIT, LONGEST_WAIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_795_293_632_000); // 2026-11-21T20:40:32Z

    fn attempt(resend: Resend, number: u32, failure: Failure) -> Attempt {
        Attempt { resend, number, failure, doubt: false, retry_after: None, now: NOW, jitter: 0 }
    }

    #[test]
    fn what_may_have_happened_is_never_sent_twice_without_a_guard() {
        use Decision::{GiveUp, LookThenDecide, RetryAt};
        use Failure::{Busy, Lost, NotSent, Server, Wait};
        use Resend::{Guarded, Once, Safe};
        let at = |millis| RetryAt(NOW.plus(millis));
        let table = [
            // (allowed, attempt, failure) -> decision, without jitter half of the back-off
            (Safe, 1, NotSent, at(250)),
            (Safe, 2, NotSent, at(500)),
            (Safe, 3, Lost, at(1_000)),
            (Safe, 4, Lost, GiveUp),
            (Safe, 4, Server, GiveUp),
            (Safe, 1, Wait, at(30_000)),
            (Safe, 2, Busy, at(60_000)),
            (Guarded, 1, NotSent, at(250)),
            (Guarded, 4, NotSent, GiveUp),
            (Guarded, 1, Lost, at(250)),
            (Guarded, 1, Server, at(250)),
            (Guarded, 4, Lost, LookThenDecide),
            (Guarded, 4, Server, LookThenDecide),
            (Guarded, 4, Wait, GiveUp),
            (Once, 1, NotSent, at(250)),
            (Once, 1, Wait, at(30_000)),
            (Once, 1, Lost, LookThenDecide),
            (Once, 1, Server, LookThenDecide),
            (Once, 1, Busy, LookThenDecide),
            (Once, 4, NotSent, GiveUp),
        ];
        for (resend, number, failure, expected) in table {
            assert_eq!(decide(&attempt(resend, number, failure)), expected, "{resend:?} {number} {failure:?}");
        }
    }

    #[test]
    fn an_earlier_doubt_stays() {
        let last = Attempt { doubt: true, ..attempt(Resend::Guarded, MOST_ATTEMPTS, Failure::NotSent) };
        assert_eq!(decide(&last), Decision::LookThenDecide);
        let once = Attempt { doubt: true, ..attempt(Resend::Once, 1, Failure::NotSent) };
        assert_eq!(decide(&once), Decision::LookThenDecide);
    }

    #[test]
    fn a_servers_wait_is_kept_and_bounded() {
        for (asked, least, most) in [
            (RetryAfter::Seconds(0), 1_000, 1_100),
            (RetryAfter::Seconds(30), 30_000, 33_000),
            (RetryAfter::Seconds(u64::MAX), LONGEST_WAIT, LONGEST_WAIT + LONGEST_WAIT / 10),
            (RetryAfter::At(NOW.plus(90_000)), 90_000, 99_000),
            (RetryAfter::At(NOW.plus(-90_000)), 1_000, 1_100),
        ] {
            let first = Attempt { retry_after: Some(asked), ..attempt(Resend::Safe, 1, Failure::Wait) };
            assert_eq!(delay(&first), least, "{asked:?}");
            assert_eq!(delay(&Attempt { jitter: u32::MAX, ..first }), most, "{asked:?}");
        }
    }

    #[test]
    fn back_off_doubles_and_ends() {
        let waits: Vec<i64> = (1..=12)
            .map(|number| delay(&Attempt { jitter: u32::MAX, ..attempt(Resend::Safe, number, Failure::Wait) }))
            .collect();
        assert_eq!(waits[..5], [60_000, 120_000, 240_000, 480_000, 900_000]);
        assert!(waits[5..].iter().all(|wait| *wait == 900_000));
    }

    #[test]
    fn retry_after_comes_in_two_forms() {
        assert_eq!(RetryAfter::parse(" 120 "), Some(RetryAfter::Seconds(120)));
        assert_eq!(RetryAfter::parse("Sat, 21 Nov 2026 20:40:32 GMT"), Some(RetryAfter::At(NOW)));
        assert_eq!(RetryAfter::parse("99999999999999999999999"), Some(RetryAfter::Seconds(u64::MAX)));
        for nonsense in ["", "soon", "-1", "1.5"] {
            assert_eq!(RetryAfter::parse(nonsense), None, "{nonsense}");
        }
    }
}
