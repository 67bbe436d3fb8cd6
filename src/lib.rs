//! contactd keeps a CRM's people and its users' address books the same, both ways.
//!
//! The way of the data: a provider's page becomes remote records, stored as [`sync::view::Seen`]; people are edited in
//! the CRM; [`sync`] compares both with what they last agreed on and says what to do, as a plan; the engine applies the
//! plan through the store and the provider. The middle (`card`, `crm`, `sync`) is pure: no clock, no randomness, no IO.

pub mod api;
pub mod card;
pub mod cli;
pub mod clock;
pub mod config;
pub mod crm;
pub mod daemon;
pub mod engine;
pub mod ids;
pub mod maintenance;
#[doc(hidden)]
pub mod mutant;
pub mod provider;
pub mod seal;
pub mod secret;
pub mod store;
pub mod sync;
pub mod telemetry;
