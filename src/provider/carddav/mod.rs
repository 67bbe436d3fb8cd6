//! CardDAV (RFC 6352), iCloud included.

pub mod convert;
pub mod edit;
mod href;
mod xml;
