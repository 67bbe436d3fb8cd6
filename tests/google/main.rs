//! Google from sign-in to removal: contactd's own parts and commands, against the mock Google and, beside it, the mock iCloud.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by it")]

mod faults;
mod lab;
mod live;
mod sign_in;
mod sync;
mod together;
