//! PURE. People, users, roles, and who may see what.
//!
//! Owns: the CRM's own records and the one access policy ([`access`]). Must not: know a provider or a store.

pub mod access;
pub mod edition;
pub mod followers;
pub mod person;
pub mod users;
