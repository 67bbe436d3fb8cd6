//! The simulator: random histories of edits on all sides, faults and crashes, each from one seed; then what must hold
//! (`guarantees.md` I1 to I5 and I7).
//!
//! `cargo test --test sim` plays a few hundred. `CONTACTD_SIM_SEEDS=0..100000` plays those; a failing one is shrunk and
//! printed, and its seed belongs into [`BUGS`].

// Helpers of tests stand outside test functions here; where they fail, the test fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub, missing_docs)]

#[path = "sim/circles.rs"]
mod circles;
#[path = "sim/cover.rs"]
#[allow(dead_code)]
mod cover;
#[path = "common/crash.rs"]
mod crash;
#[path = "sim/database.rs"]
mod database;
#[path = "sim/exec.rs"]
mod exec;
#[path = "sim/fake.rs"]
mod fake;
#[path = "sim/histories.rs"]
mod histories;
#[path = "sim/history.rs"]
mod history;
#[path = "sim/interrupted.rs"]
mod interrupted;
#[path = "sim/oracle.rs"]
mod oracle;
#[path = "common/postgres.rs"]
mod postgres;
#[path = "sim/purge.rs"]
mod purge;
#[path = "sim/rng.rs"]
mod rng;
#[path = "sim/world.rs"]
mod world;

use history::{History, Play};

/// Seeds that failed once.
const BUGS: &[u64] = &[4827, 11_357, 13_442, 21_869, 27_467, 27_593];

fn play(history: &History) -> Result<(), String> {
    let mut play = Play::begin(history);
    for step in &history.steps {
        play.step(step);
    }
    play.settle()?;
    oracle::check(&mut play)
}

/// The same, with a panic told as a failure.
fn outcome(history: &History) -> Result<(), String> {
    std::panic::catch_unwind(|| play(history)).unwrap_or_else(|panic| {
        let text =
            panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
        Err(format!("panicked: {}", text.unwrap_or_default()))
    })
}

/// Leaves out steps as long as it still fails.
fn shrink(mut history: History) -> History {
    let mut size = history.steps.len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        while at < history.steps.len() {
            let mut smaller = history.clone();
            smaller.steps.drain(at..(at + size).min(smaller.steps.len()));
            if outcome(&smaller).is_err() { history = smaller } else { at += size }
        }
        size /= 2;
    }
    for part in [
        |s: &mut history::Setup| s.here = 0,
        |s: &mut history::Setup| s.there = 0,
        |s: &mut history::Setup| s.twins = 0,
    ] {
        let mut smaller = history.clone();
        part(&mut smaller.setup);
        if outcome(&smaller).is_err() {
            history = smaller;
        }
    }
    history
}

fn play_all(seeds: impl Iterator<Item = u64>) {
    let mut played = 0u64;
    for seed in seeds {
        let history = History::of(seed);
        if outcome(&history).is_err() {
            let small = shrink(history);
            let why = outcome(&small).unwrap_err();
            panic!("seed {seed} after {played} others: {why}\nsetup: {:#?}\nsteps: {:#?}", small.setup, small.steps);
        }
        played += 1;
    }
    assert!(played > 0, "no history was played");
}

#[test]
fn random_histories() {
    let range = std::env::var("CONTACTD_SIM_SEEDS").unwrap_or_else(|_| "0..300".to_owned());
    let (from, to) = range.split_once("..").expect("CONTACTD_SIM_SEEDS=FROM..TO");
    play_all(from.parse().unwrap()..to.parse().unwrap());
}

#[test]
fn seeds_that_failed_once() {
    for seed in BUGS {
        play_all(std::iter::once(*seed));
    }
}

/// I11: the same seed twice does the same, to the last id and time.
#[test]
fn a_seed_decides_everything() {
    for seed in 0..10 {
        let trace = || {
            let mut play = Play::begin(&History::of(seed));
            for step in &History::of(seed).steps {
                play.step(step);
            }
            let rested = play.settle();
            format!("{rested:?} {:?} {:?}", play.world.people(), play.world.last)
        };
        assert_eq!(trace(), trace(), "seed {seed}");
    }
}
