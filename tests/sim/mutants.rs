//! The mutation check: each deliberate bug of `contactd::mutant`, in a process of its own, until a history fails.

use std::process::{Command, ExitCode};
use std::time::Instant;

use contactd::mutant;

/// Plays with each bug up to so many histories; prints how soon each was caught. Fails if one was not.
pub fn check_all(most: u64, jobs: usize) -> ExitCode {
    if !cfg!(feature = "mutations") {
        println!("build with --features mutations");
        return ExitCode::FAILURE;
    }
    let program = std::env::current_exe().expect("this program has a path");
    let mut escaped = 0;
    println!("| bug | caught after | seconds | by |\n| --- | --- | --- | --- |");
    for name in mutant::ALL {
        let begun = Instant::now();
        let mut caught = None;
        // Narrow histories are quick; wide ones find the rest.
        for (generator, part) in [("wide", most)] {
            let output = Command::new(&program)
                .env("CONTACTD_MUTANT", name)
                .args(["--generator", generator, "--seeds", &format!("0..{part}"), "--no-shrink", "--twice", "0"])
                .args(["--jobs", &jobs.to_string()])
                .output()
                .expect("the program runs");
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let by = text.lines().find_map(|line| line.strip_prefix("seed ")).map(str::to_owned);
            let played = text
                .lines()
                .find_map(|line| line.split_once(" histories in ").map(|(n, _)| n.to_owned()))
                .unwrap_or_default();
            if let Some(by) = by {
                let why: String = by.split_once(": ").map_or("", |(_, why)| why).chars().take(60).collect();
                caught = Some((played, why.replace('|', "/")));
                break;
            }
        }
        let seconds = begun.elapsed().as_secs_f64();
        match caught {
            Some((played, why)) => println!("| `{name}` | {played} | {seconds:.1} | {why} |"),
            None => {
                escaped += 1;
                println!("| `{name}` | **not in {most}** | {seconds:.1} | |");
            }
        }
    }
    println!("{} of {} caught", mutant::ALL.len() - escaped, mutant::ALL.len());
    if escaped == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
