//! Google in memory: OAuth 2.0 and the People API v1 with its quirks, on real sockets.
//!
//! Owns: the protocol over [`Book`](crate::book::Book) and [`oauth`](crate::oauth), built from `google.md` (checklist 11) and
//! Google's discovery document of the People API, revision 20251117. Must not: know who asks. What no source confirms is a
//! switch in [`settings`]. Start reading at [`Google`] for how to use it, at `world.rs` for the way of a request.

mod account;
mod batch;
mod clean;
mod control;
mod error;
mod fields;
mod groups;
mod photos;
mod quota;
mod read;
mod render;
mod route;
mod search;
mod seed;
mod server;
pub mod settings;
mod tokens;
mod world;
mod write;

pub use account::{Account, NoSuch};
pub use server::{Endpoints, Google};
pub use settings::Settings;
