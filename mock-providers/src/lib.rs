//! Address book providers that speak the real protocols, to be started in process on port 0 or as a program.
//!
//! Owns: what a provider would answer. Must not: import `contactd`, or be bent to what its adapters happen to send.
//! Every quirk is built from the provider pages (`icloud-carddav.md` and its sisters) and the RFCs, and says where it
//! comes from. [`book`] is what all of them stand on, and what a simulator can use as it is; [`faults`] says what goes
//! wrong, [`journal`] what was asked and what it did, [`people`] who is in the books. [`carddav`] speaks CardDAV, [`google`] the People API
//! behind the authorization server of [`oauth`].

pub mod book;
pub mod carddav;
pub mod clock;
pub mod faults;
pub mod google;
pub mod journal;
mod net;
pub mod oauth;
pub mod people;
