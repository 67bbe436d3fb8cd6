//! The program from outside: commands in, the mock iCloud's journal and the daemon's answers out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "tests fail by it")]

#[path = "../common/app.rs"]
mod app;
#[path = "../common/ran.rs"]
mod ran;

mod accounts;
mod doctor;
mod people;
mod status;
mod sync;

use std::time::Duration;

/// Ann's mailbox.
const ICLOUD: &str = "ann@icloud.com";

/// Asks again and again until it holds; each question is a whole command, so that nothing is hammered.
async fn until(mut holds: impl FnMut() -> bool) {
    let since = std::time::Instant::now();
    while !holds() {
        assert!(since.elapsed() < Duration::from_secs(30), "it never came to hold");
        tokio::task::yield_now().await;
    }
}
