//! The handles for people, from outside: conflicts, undo, merging, duplicates, history, the trash, why, verify. Commands in,
//! the mock iCloud's journal and the daemon's answers out. Tests of histories of `reconciliation.md` carry their number.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "tests fail by it")]

#[allow(dead_code, reason = "what other tests use of it")]
#[path = "common/app.rs"]
mod app;
#[path = "handles/conflicts.rs"]
mod conflicts;
#[path = "handles/looking.rs"]
mod looking;
#[path = "handles/merging.rs"]
mod merging;
#[path = "common/ran.rs"]
mod ran;
#[path = "handles/trash.rs"]
mod trash;
#[path = "handles/undo.rs"]
mod undo;

use app::TestApp;
use serde_json::Value;

pub(crate) const ICLOUD: &str = "ann@icloud.com";
pub(crate) const ME: &str = "ann@me.com";

/// A text of an answer.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

/// The run that added so many people, or changed or deleted them, as the counts say.
pub(crate) fn run_with(app: &TestApp, what: &str, n: u64) -> String {
    let runs = app.cli(&["runs", "list", "--limit", "100"]).json();
    let found = runs.as_array().unwrap().iter().find(|run| run["tally"]["here"][what] == n);
    text(&found.unwrap_or_else(|| panic!("no run with {n} {what}: {runs}"))["id"]).to_owned()
}

pub(crate) fn card_of(app: &TestApp, person: &str) -> Value {
    app.cli(&["people", "show", person]).json()["person"]["card"].clone()
}

/// Syncs until nothing is done any more.
pub(crate) fn rest(app: &TestApp, accounts: &[&str]) {
    for _ in 0..8 {
        let quiet = |account: &&str| {
            let tally = app.refresh(account);
            let none = |side: &str| ["added", "updated", "deleted"].iter().all(|what| tally[side][what] == 0);
            none("here") && none("there")
        };
        if accounts.iter().map(quiet).fold(true, |all, one| all & one) {
            return;
        }
    }
    panic!("it never came to rest");
}
