//! CardDAV (RFC 6352), iCloud included.

pub mod convert;
pub mod edit;
mod discovery;
mod fault;
pub mod href;
mod fetch;
mod report;
mod requests;
pub mod settings;
mod xml;
