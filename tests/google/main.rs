//! Google from sign-in to removal: contactd's own parts and commands, against the mock Google and, beside it, the mock iCloud.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "tests fail by it")]

mod adapter;
#[allow(dead_code, reason = "what other tests use of it")]
#[path = "../common/app.rs"]
mod app;
#[allow(dead_code, reason = "what other tests use of it")]
#[path = "../common/browser.rs"]
mod browser;
mod faults;
mod killed;
mod lab;
mod live;
#[allow(dead_code, reason = "what other tests use of it")]
#[path = "../common/parts.rs"]
mod parts;
#[path = "../common/ran.rs"]
mod ran;
mod sign_in;
mod sync;
mod together;
