//! PURE. The engine's mind: what was seen, what was agreed, and what to do about the difference.
//!
//! No IO, no async, no clock, no randomness and no logging here: what a step needs of the world comes in as data, and
//! reasons go out as data. Start reading at [`view`], then `reconcile`, then [`plan`].

pub mod caps;
pub mod circle;
pub mod conflict;
pub mod diff;
pub mod echo;
pub mod elements;
pub mod guard;
#[cfg(test)]
mod laws;
pub mod lossy;
pub mod merge;
pub mod operation;
pub mod pairing;
pub mod plan;
pub mod reconcile;
pub mod retry;
pub mod settings;
#[cfg(test)]
mod tests;
pub mod undo;
pub mod unite;
pub mod view;
