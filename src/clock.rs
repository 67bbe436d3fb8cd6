//! The only doors to time and randomness, so that a test can hold both in its hand.
//!
//! Owns: [`Clock`], [`Entropy`], and the making of ids from them. Must not: be used by `card`, `crm` or `sync`.

use std::time::{SystemTime, UNIX_EPOCH};

use uuid::Uuid;

use crate::ids::Timestamp;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Wall-clock time now.
    fn now(&self) -> Timestamp;
}

/// Gives random bytes.
pub trait Entropy: Send + Sync {
    /// Sixteen unpredictable bytes (in tests: bytes that follow from a seed).
    fn bytes(&self) -> [u8; 16];
}

/// Time and randomness together, as the engine and the API need them.
pub trait World: Clock + Entropy {}
impl<T: Clock + Entropy> World for T {}

/// A new time-ordered id (RFC 9562 §5.7, version 7).
pub fn new_id<T: From<Uuid>>(world: &(impl World + ?Sized)) -> T {
    let millis = u64::try_from(world.now().0).unwrap_or(0);
    let mut random = [0u8; 10];
    random.copy_from_slice(&world.bytes()[..10]);
    T::from(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
}

/// A new random id (RFC 9562 §5.4, version 4): tells nothing about when it was made, for what travels to others.
pub fn new_token<T: From<Uuid>>(world: &(impl World + ?Sized)) -> T {
    T::from(uuid::Builder::from_random_bytes(world.bytes()).into_uuid())
}

/// The machine's clock and its random source.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

impl Clock for System {
    fn now(&self) -> Timestamp {
        let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis());
        Timestamp(i64::try_from(millis).unwrap_or(i64::MAX))
    }
}

impl Entropy for System {
    fn bytes(&self) -> [u8; 16] {
        *Uuid::new_v4().as_bytes()
    }
}
