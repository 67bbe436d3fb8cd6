//! Deliberate bugs, and counters of what was decided: what the simulator is tested with.
//!
//! Owns: [`on`] and [`reached`]. Without the feature `mutations`, which nothing that is released has, both are nothing: no
//! bug can be chosen, and nothing is counted. Must not: be used for anything but a bug of one line.

/// The names of all of them, in the order of the code that they spoil.
pub const ALL: &[&str] = &[
    "reconcile.delete_beats_edit",
    "reconcile.trash_a_colleagues_person",
    "reconcile.ignore_access",
    "reconcile.push_in_question",
    "reconcile.write_in_one_way",
    "reconcile.leaving_is_deletion",
    "reconcile.delete_without_authority",
    "merge.forget_the_loser",
    "merge.send_nothing",
    "merge.take_it_twice",
    "guard.off",
    "apply.settle_what_waits",
    "apply.ignore_access_at_the_intent",
    "deletions.no_second_look",
    "send.forget_what_was_not_answered",
    "send.settle_whatever_was_edited",
    "send.after_the_lease",
    "settle.send_again_without_a_look",
    "settle.an_unknown_update_landed",
    "pull.believe_an_empty_listing",
    "pull.unnamed_is_gone",
    "pull.go_on_under_the_old_generation",
    "pull.skip_what_is_not_shown",
    "store.ignore_the_fence",
    "store.settle_any_version",
    "store.forget_who_lost_access",
    "membership.store_the_roster_first",
];

/// Whether this bug was chosen (`CONTACTD_MUTANT`).
#[cfg(feature = "mutations")]
pub fn on(name: &str) -> bool {
    use std::sync::OnceLock;
    static CHOSEN: OnceLock<Option<String>> = OnceLock::new();
    debug_assert!(ALL.contains(&name), "a bug has a row in the list");
    CHOSEN.get_or_init(|| std::env::var("CONTACTD_MUTANT").ok()).as_deref() == Some(name)
}

/// Whether this bug was chosen: never.
#[cfg(not(feature = "mutations"))]
#[inline(always)]
pub const fn on(_: &str) -> bool {
    false
}

#[cfg(feature = "mutations")]
mod counted {
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    thread_local! {
        static COUNTS: RefCell<BTreeMap<String, u64>> = const { RefCell::new(BTreeMap::new()) };
    }

    /// A decision was made: its steps are counted, and what it waits for.
    pub fn reached(decision: &crate::sync::plan::Decision) {
        use crate::sync::plan::Step;
        let mut names: Vec<String> = Vec::new();
        for step in &decision.steps {
            names.push(match step {
                Step::State(state) => format!("plan: link {}", format!("{state:?}").to_lowercase()),
                Step::Conflict(clash) => {
                    format!("plan: conflict stands {}", format!("{:?}", clash.stands).to_lowercase())
                }
                Step::AskDeletion(side) => format!("plan: ask about deletion {}", format!("{side:?}").to_lowercase()),
                other => {
                    let name = format!("{other:?}");
                    let end = name.find(|c: char| !c.is_alphanumeric()).unwrap_or(name.len());
                    format!("plan: {}", &name[..end])
                }
            });
        }
        names.extend(decision.waits.map(|waits| format!("plan: waits {}", format!("{waits:?}").to_lowercase())));
        COUNTS.with_borrow_mut(|counts| {
            for name in names {
                *counts.entry(name).or_default() += 1;
            }
        });
    }

    /// What this thread decided since it was last asked, by name.
    pub fn take() -> BTreeMap<String, u64> {
        COUNTS.with_borrow_mut(std::mem::take)
    }
}
#[cfg(feature = "mutations")]
pub use counted::{reached, take};

/// A decision was made.
#[cfg(not(feature = "mutations"))]
#[inline(always)]
pub const fn reached(_: &crate::sync::plan::Decision) {}
