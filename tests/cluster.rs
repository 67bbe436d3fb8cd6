//! Several daemons on one PostgreSQL, from outside: each account is run by one of them at a time, whatever is stopped,
//! killed or started again, and nothing is lost or doubled.
//!
//! Owns: the scenarios. They need a database (`CONTACTD_TEST_POSTGRES`) and a command that starts it again
//! (`CONTACTD_TEST_POSTGRES_RESTART`), and are run by `tests/e2e/run postgres`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests fail by it")]

#[path = "cluster/host.rs"]
mod host;
#[path = "common/postgres.rs"]
mod postgres;
#[path = "cluster/scenarios.rs"]
mod scenarios;
