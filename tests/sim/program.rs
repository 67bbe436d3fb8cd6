//! The simulator as a program: plays ranges of seeds, says how fast and what was reached, and shrinks what fails.
//!
//! `docs/simulator.md` says how it is run.

// A tool for developers: where it can't go on it says so and ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]
// The tests use more of these modules than the program does.
#![allow(dead_code, unused_imports, unreachable_pub, missing_docs)]

#[path = "access.rs"]
mod access;
#[path = "cover.rs"]
mod cover;
#[path = "../common/crash.rs"]
mod crash;
#[path = "database.rs"]
mod database;
#[path = "exec.rs"]
mod exec;
#[path = "fake.rs"]
mod fake;
#[path = "handles_play.rs"]
mod handles_play;
#[path = "history.rs"]
mod history;
#[path = "kinds.rs"]
mod kinds;
#[path = "manner.rs"]
mod manner;
#[path = "mutants.rs"]
mod mutants;
#[path = "oracle.rs"]
mod oracle;
#[path = "../common/postgres.rs"]
mod postgres;
#[path = "reached.rs"]
mod reached;
#[path = "rng.rs"]
mod rng;
#[path = "runner.rs"]
mod runner;
#[path = "whole.rs"]
mod whole;
#[path = "wide.rs"]
mod wide;
#[path = "wide_play.rs"]
mod wide_play;
#[path = "world.rs"]
mod world;
#[path = "writes.rs"]
mod writes;

use std::process::ExitCode;

use clap::Parser;

use history::History;
use runner::{Ranges, play_range};

/// Plays random histories and checks what must hold.
#[derive(Parser)]
struct Args {
    /// Which seeds, FROM..TO.
    #[arg(long, default_value = "0..10000")]
    seeds: String,
    /// On how many threads.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Which generator: wide or narrow.
    #[arg(long, default_value = "wide")]
    generator: String,
    /// Goes on until so many have failed.
    #[arg(long, default_value_t = 1)]
    failures: usize,
    /// Leaves what failed as long as it is.
    #[arg(long)]
    no_shrink: bool,
    /// Each so manieth seed is played twice more, and must write the same.
    #[arg(long, default_value_t = 100)]
    twice: u64,
    /// Lists how often everything was reached; what was never reached fails the run.
    #[arg(long)]
    coverage: bool,
    /// Plays one kept history instead, step by step.
    #[arg(long)]
    file: Option<std::path::PathBuf>,
    /// With `--file`: says after each step what stands where.
    #[arg(long)]
    trace: bool,
    /// Prints the history of the first seed, as it would be kept, instead of playing it.
    #[arg(long)]
    show: bool,
    /// Runs the mutation check instead: every deliberate bug, each in a process of its own, up to so many histories.
    #[arg(long)]
    mutants: Option<u64>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    // Failures are told as such; the panics that some of them are need not be told twice.
    std::panic::set_hook(Box::new(|_| {}));
    if let Some(most) = args.mutants {
        return mutants::check_all(most, args.jobs);
    }
    if let Some(file) = &args.file {
        let text = std::fs::read_to_string(file).expect("the file can be read");
        let history: History = serde_json::from_str(&text).expect("a kept history");
        return match if args.trace { runner::narrate(&history) } else { runner::outcome(&history) } {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => {
                println!("{why}");
                ExitCode::FAILURE
            }
        };
    }
    let (from, to) = args.seeds.split_once("..").expect("--seeds FROM..TO");
    let of: fn(u64) -> History = match args.generator.as_str() {
        "wide" => History::wide,
        "narrow" => History::narrow,
        other => panic!("there is no generator {other}"),
    };
    if args.show {
        let history = of(from.parse().expect("a number"));
        println!("{}", serde_json::to_string(&history).expect("a history is data"));
        return ExitCode::SUCCESS;
    }
    let played = play_range(&Ranges {
        seeds: from.parse().expect("a number")..to.parse().expect("a number"),
        of,
        jobs: args.jobs,
        most_failures: args.failures,
        twice: args.twice,
        shrink: !args.no_shrink,
        tell: 5000,
    });
    for failed in &played.failed {
        println!("{failed}\n");
    }
    let rate = played.histories as f64 / played.seconds;
    println!(
        "{} histories in {:.1} s: {rate:.1} histories/s on {} threads",
        played.histories, played.seconds, args.jobs
    );
    let mut good = played.failed.is_empty();
    println!("{} failed", played.failed.len());
    if args.coverage {
        good &= reached::tell(&played.counts);
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
