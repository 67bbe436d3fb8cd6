//! Coverage: how often something was reached, per thread, by name.

use std::cell::RefCell;
use std::collections::BTreeMap;

/// How often, by name.
pub type Counts = BTreeMap<&'static str, u64>;

thread_local! {
    static COUNTS: RefCell<Counts> = const { RefCell::new(Counts::new()) };
}

/// It was reached.
pub fn hit(name: &'static str) {
    COUNTS.with_borrow_mut(|counts| *counts.entry(name).or_default() += 1);
}

/// What this thread reached since it was last asked.
pub fn take() -> Counts {
    COUNTS.with_borrow_mut(std::mem::take)
}

/// Adds up.
pub fn add(to: &mut Counts, more: &Counts) {
    for (name, n) in more {
        *to.entry(name).or_default() += n;
    }
}
