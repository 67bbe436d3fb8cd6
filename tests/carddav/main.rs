//! The CardDAV adapter against the mock servers, from the outside: what it asks, what it concludes, what it never does.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on should say where")]

mod discovery;
mod lab;
mod reading;
mod real;
mod writing;
