//! The CardDAV adapter against the mock servers, from the outside: what it asks, what it concludes, what it never does.

mod discovery;
mod lab;
mod reading;
mod writing;
