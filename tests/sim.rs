//! The simulator: random histories of edits on all sides, faults and crashes, each from one seed; then what must hold
//! (`guarantees.md` I1 to I5 and I7).
//!
//! `cargo test --test sim` plays some; `docs/simulator.md` says how millions are played. A history that failed is kept in
//! `tests/sim/bugs`.

// Helpers of tests stand outside test functions here; where they fail, the test fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub, missing_docs)]

#[path = "sim/access.rs"]
mod access;
#[path = "sim/circles.rs"]
mod circles;
#[path = "sim/cover.rs"]
mod cover;
#[path = "common/crash.rs"]
mod crash;
#[path = "sim/database.rs"]
mod database;
#[path = "sim/exec.rs"]
mod exec;
#[path = "sim/fake.rs"]
mod fake;
#[path = "sim/handles_play.rs"]
mod handles_play;
#[path = "sim/histories.rs"]
mod histories;
#[path = "sim/history.rs"]
mod history;
#[path = "sim/interrupted.rs"]
mod interrupted;
#[path = "sim/kinds.rs"]
mod kinds;
#[path = "sim/manner.rs"]
mod manner;
#[path = "sim/oracle.rs"]
mod oracle;
#[path = "common/postgres.rs"]
mod postgres;
#[path = "sim/purge.rs"]
mod purge;
#[path = "sim/rng.rs"]
mod rng;
#[path = "sim/runner.rs"]
mod runner;
#[path = "sim/whole.rs"]
mod whole;
#[path = "sim/wide.rs"]
mod wide;
#[path = "sim/wide_play.rs"]
mod wide_play;
#[path = "sim/world.rs"]
mod world;
#[path = "sim/writes.rs"]
mod writes;

use history::History;
use runner::{Ranges, play_range};

/// Plays a range, by default a small one; the environment may name another.
fn play_all(of: fn(u64) -> History, by_default: &str) {
    let range = std::env::var("CONTACTD_SIM_SEEDS").unwrap_or_else(|_| by_default.to_owned());
    let (from, to) = range.split_once("..").expect("CONTACTD_SIM_SEEDS=FROM..TO");
    let seeds = from.parse().unwrap()..to.parse().unwrap();
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let played = play_range(&Ranges { seeds, of, jobs, most_failures: 1, twice: 50, shrink: true, tell: 0 });
    if let Some(failed) = played.failed.first() {
        panic!("after {} others: {failed}", played.histories);
    }
    assert!(played.histories > 0, "no history was played");
}

#[test]
fn random_histories() {
    play_all(History::narrow, "0..1000");
}

#[test]
fn random_histories_of_many_kinds() {
    play_all(History::wide, "0..1000");
}

#[test]
fn histories_that_failed_once() {
    let bugs = runner::bugs();
    assert!(!bugs.is_empty(), "they are kept in tests/sim/bugs");
    for (name, history) in bugs {
        if let Err(why) = runner::outcome(&history) {
            panic!("{name}: {why}");
        }
    }
}
