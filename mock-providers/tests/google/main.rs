//! The mock of Google over real sockets, line by line of the checklist (`google.md` 11).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod batches;
mod control;
mod faults;
mod groups;
mod lab;
mod lists;
mod oauth;
mod writes;
