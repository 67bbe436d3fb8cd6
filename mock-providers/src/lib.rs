//! Address book providers that speak the real protocols, to be started in process on port 0 or as a program.
//!
//! Owns: what a provider would answer. Must not: import `contactd`, or be bent to what its adapters happen to send.
