//! A CardDAV server in memory: iCloud with its quirks, or one of the common kind, on real sockets.
//!
//! Owns: the protocol over [`Book`](crate::book::Book), built from `icloud-carddav.md` (checklist 11.1) and RFC 6352.
//! Must not: know who asks. Start reading at [`Icloud`] for how to use it, at `world.rs` for the way of a request.

mod answer;
mod body;
mod control;
mod device;
mod lines;
mod names;
mod photos;
mod propfind;
mod report;
mod rewrite;
mod server;
pub mod settings;
mod world;
mod write;

pub use device::{Device, NoSuch};
pub use names::device_name;
pub use server::{Icloud, ServiceRecord};
pub use settings::Settings;
pub use world::Moved;
