//! Coverage: how often something was reached, per thread, by name.

use std::cell::RefCell;
use std::collections::BTreeMap;

/// How often, by name.
pub type Counts = BTreeMap<String, u64>;

thread_local! {
    static COUNTS: RefCell<BTreeMap<&'static str, u64>> = const { RefCell::new(BTreeMap::new()) };
}

/// It was reached.
pub fn hit(name: &'static str) {
    COUNTS.with_borrow_mut(|counts| *counts.entry(name).or_default() += 1);
}

/// What this thread reached since it was last asked.
pub fn take() -> Counts {
    let counts = COUNTS.with_borrow_mut(std::mem::take);
    #[allow(unused_mut, reason = "decisions are counted only where the feature is built in")]
    let mut counts: Counts = counts.into_iter().map(|(name, n)| (name.to_owned(), n)).collect();
    #[cfg(feature = "mutations")]
    add(&mut counts, &contactd::mutant::take());
    counts
}

/// Adds up.
pub fn add(to: &mut Counts, more: &Counts) {
    for (name, n) in more {
        *to.entry(name.clone()).or_default() += n;
    }
}
