//! Counting calls by class, in minutes of the mock's clock (`google.md` 7.1).
//!
//! Owns: the counts. Must not: know what a call does.

use std::collections::BTreeMap;

use super::settings::Quotas;

/// The classes of calls, by the names that the journal uses.
pub(super) const CRITICAL_READ: &str = "critical_read";
pub(super) const CRITICAL_WRITE: &str = "critical_write";
pub(super) const READ: &str = "read";
pub(super) const WRITE: &str = "write";
pub(super) const FULL_SYNC: &str = "full_sync";

/// What one user has used up.
#[derive(Clone, Debug, Default)]
pub(super) struct Used(BTreeMap<&'static str, (u64, u32)>);

impl Used {
    /// Charges a call, or says which class has too many. A call that is refused is not charged at all.
    pub(super) fn charge(
        &mut self,
        quotas: &Quotas,
        costs: &[(&'static str, u32)],
        now: u64,
    ) -> Result<(), &'static str> {
        let limit = |class: &str| match class {
            CRITICAL_READ => (60_000, quotas.critical_read),
            CRITICAL_WRITE => (60_000, quotas.critical_write),
            READ => (60_000, quotas.read),
            WRITE => (60_000, quotas.write),
            _ => (3_600_000, quotas.full_syncs_per_hour),
        };
        let used = |used: &Self, class: &'static str, span: u64| match used.0.get(class) {
            Some((window, count)) if *window == now / span => *count,
            _ => 0,
        };
        for (class, cost) in costs {
            let (span, most) = limit(class);
            if most.is_some_and(|most| used(self, class, span) + cost > most) {
                return Err(class);
            }
        }
        for (class, cost) in costs {
            let (span, _) = limit(class);
            let count = used(self, class, span) + cost;
            self.0.insert(class, (now / span, count));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{CRITICAL_READ, CRITICAL_WRITE, Used};
    use crate::google::settings::Quotas;

    #[test]
    fn a_minute_holds_so_many_calls() {
        let quotas = Quotas { critical_write: Some(2), ..Quotas::default() };
        let (mut used, costs) = (Used::default(), [(CRITICAL_READ, 1), (CRITICAL_WRITE, 1)]);
        assert_eq!(used.charge(&quotas, &costs, 60_000), Ok(()));
        assert_eq!(used.charge(&quotas, &costs, 60_001), Ok(()));
        assert_eq!(used.charge(&quotas, &costs, 119_999), Err(CRITICAL_WRITE));
        assert_eq!(used.charge(&quotas, &costs, 120_000), Ok(()));
    }
}
