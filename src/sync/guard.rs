//! The mass-deletion guard (rule 10): a brake, on by default.
//!
//! Owns: [`judge`]. Counts what is planned and what was done in the last day together, so that many small steps are braked
//! as one large one is.

use crate::sync::settings::GuardSettings;

/// What is counted on one side of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Toll {
    /// Live links before the run.
    pub live: u64,
    /// Deletions done in the last 24 hours that no person confirmed.
    pub done: u64,
    /// Deletions planned now that no person confirmed.
    pub planned: u64,
}

/// Whether the planned deletions may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They may.
    Pass,
    /// They are held: so many at the most may go in a day.
    TooMany {
        /// The limit.
        limit: u64,
    },
    /// They are held: nothing would be left.
    WouldLeaveNone,
}

/// Judges the deletions planned on one side.
pub fn judge(toll: Toll, settings: GuardSettings) -> Verdict {
    if !settings.on || toll.planned == 0 || crate::mutant::on("guard.off") {
        return Verdict::Pass;
    }
    let limit = u64::from(settings.at_least).max(toll.live.saturating_mul(u64::from(settings.percent)) / 100);
    if toll.planned.saturating_add(toll.done) > limit {
        Verdict::TooMany { limit }
    } else if toll.planned >= toll.live {
        Verdict::WouldLeaveNone
    } else {
        Verdict::Pass
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_10_mass_deletions_are_held() {
        let guard = GuardSettings::default();
        let cases = [
            // live, done, planned, verdict
            (1000, 0, 0, Verdict::Pass),
            (1000, 0, 200, Verdict::Pass),
            (1000, 0, 201, Verdict::TooMany { limit: 200 }),
            (1000, 150, 51, Verdict::TooMany { limit: 200 }),
            (10, 0, 5, Verdict::Pass),
            (10, 0, 6, Verdict::TooMany { limit: 5 }),
            (3, 0, 3, Verdict::WouldLeaveNone),
            (3, 0, 2, Verdict::Pass),
            (1, 0, 1, Verdict::WouldLeaveNone),
        ];
        for (live, done, planned, verdict) in cases {
            assert_eq!(
                judge(Toll { live, done, planned }, guard),
                verdict,
                "live {live} done {done} planned {planned}"
            );
        }
        let off = GuardSettings { on: false, ..guard };
        assert_eq!(judge(Toll { live: 3, done: 0, planned: 3 }, off), Verdict::Pass);
    }
}
