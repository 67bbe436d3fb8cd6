//! Secrets at rest: sealed by XChaCha20-Poly1305 under a key that is not in the store.
//!
//! Owns: the envelope ([`Keyring::seal`], [`Keyring::open`], [`Keyring::reseal`]); the keys themselves come and go in
//! `keys`. Must not: know what is sealed, or for whom: what an envelope belongs to comes in as bytes.
//!
//! An envelope is: version (one byte, 1), key id (4 bytes), nonce (24 bytes, random), sealed text with its tag (16 bytes
//! more than the text). Version and key id are authenticated with what the envelope is bound to, so that no envelope
//! opens in another's place.

use std::fmt;

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use zeroize::{Zeroize, Zeroizing};

pub use crate::secret::Secret;
pub use keys::KeyError;

mod keys;

/// The version of the envelope.
const VERSION: u8 = 1;
const NONCE: usize = 24;
/// Version and key id.
const HEAD: usize = 1 + 4;
/// Says that it is our envelope which is authenticated, and not somebody else's use of the same key.
const DOMAIN: &[u8] = b"contactd envelope";

/// Which key; random, so that two keyrings never mean different keys by one id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 4]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One key.
#[derive(Clone)]
struct Key {
    id: KeyId,
    bytes: Zeroizing<[u8; 32]>,
}

/// The active key, which seals, and older ones, which still open what they sealed.
#[derive(Clone)]
pub struct Keyring {
    active: Key,
    older: Vec<Key>,
}

impl fmt::Debug for Keyring {
    /// Ids only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let older: Vec<_> = self.older.iter().map(|key| key.id).collect();
        f.debug_struct("Keyring").field("active", &self.active.id).field("older", &older).finish()
    }
}

impl Keyring {
    /// Seals a secret under the active key. `bound_to` names what it belongs to (the account's id): it is not stored,
    /// and the envelope opens only when the same is given again.
    ///
    /// # Errors
    /// When the machine has no random bytes to give.
    pub fn seal(&self, secret: &Secret, bound_to: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(|_| SealError::NoRandomness)?;
        let mut envelope = Vec::with_capacity(HEAD + NONCE + secret.expose().len() + 16);
        envelope.push(VERSION);
        envelope.extend(self.active.id.0);
        let payload = Payload { msg: secret.expose().as_bytes(), aad: &associated(&envelope, bound_to) };
        // Fails only for texts of more than 256 GiB.
        let sealed = cipher(&self.active).encrypt(&XNonce::from(nonce), payload).map_err(|_| SealError::Damaged)?;
        envelope.extend(nonce);
        envelope.extend(sealed);
        Ok(envelope)
    }

    /// Opens an envelope that was sealed for the same `bound_to`.
    ///
    /// # Errors
    /// When it was sealed under a key that is not here or by a later version, is damaged, or belongs to something else.
    pub fn open(&self, envelope: &[u8], bound_to: &[u8]) -> Result<Secret, SealError> {
        let key = self.key_of(envelope)?;
        let (head, rest) = envelope.split_at_checked(HEAD).ok_or(SealError::Damaged)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE>().ok_or(SealError::Damaged)?;
        let payload = Payload { msg: sealed, aad: &associated(head, bound_to) };
        let bytes = cipher(key).decrypt(&XNonce::from(*nonce), payload).map_err(|_| SealError::Damaged)?;
        String::from_utf8(bytes).map(Secret::from).map_err(|not_text| {
            not_text.into_bytes().zeroize();
            SealError::Damaged
        })
    }

    /// The same secret under the active key; `None` where it is so already.
    ///
    /// # Errors
    /// As [`Keyring::open`] and [`Keyring::seal`].
    pub fn reseal(&self, envelope: &[u8], bound_to: &[u8]) -> Result<Option<Vec<u8>>, SealError> {
        let secret = self.open(envelope, bound_to)?;
        if self.key_of(envelope)?.id == self.active.id {
            return Ok(None);
        }
        self.seal(&secret, bound_to).map(Some)
    }

    /// The key that seals.
    pub fn active(&self) -> KeyId {
        self.active.id
    }

    /// All keys, the active one first.
    pub fn ids(&self) -> Vec<KeyId> {
        self.keys().map(|key| key.id).collect()
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.active).chain(&self.older)
    }

    fn key_of(&self, envelope: &[u8]) -> Result<&Key, SealError> {
        let (version, rest) = envelope.split_first().ok_or(SealError::Damaged)?;
        if *version != VERSION {
            return Err(SealError::Version { found: *version });
        }
        let id = KeyId(*rest.first_chunk().ok_or(SealError::Damaged)?);
        self.keys().find(|key| key.id == id).ok_or(SealError::NoKey { id })
    }
}

fn cipher(key: &Key) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new((&*key.bytes).into())
}

fn associated(head: &[u8], bound_to: &[u8]) -> Vec<u8> {
    // The head has a fixed length, so nothing can move from one part into the next.
    [DOMAIN, head, bound_to].concat()
}

/// A secret can't be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The machine gave no random bytes.
    #[error("the operating system gives no random bytes")]
    NoRandomness,
    /// Sealed by a later version of contactd.
    #[error("this secret was sealed by a later version of contactd (envelope version {found}, known is {VERSION})")]
    Version {
        /// The version of the envelope.
        found: u8,
    },
    /// Sealed under a key that is not in the keyring.
    #[error(
        "this secret was sealed under key {id}, which is not in the key file; restore the key file from its backup, or sign in again"
    )]
    NoKey {
        /// Which key.
        id: KeyId,
    },
    /// Cut short, changed, or moved here from another account.
    #[error("this secret is damaged or belongs to another account; sign in again")]
    Damaged,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ring() -> Keyring {
        Keyring::generate().unwrap()
    }

    #[test]
    fn an_envelope_opens_for_the_same_account_only() {
        let ring = ring();
        let envelope = ring.seal(&Secret::from("geheim"), b"account 1").unwrap();
        assert_eq!(ring.open(&envelope, b"account 1").unwrap().expose(), "geheim");
        for other in [&b"account 2"[..], b"account 1 ", b"account", b""] {
            assert_eq!(ring.open(&envelope, other).unwrap_err(), SealError::Damaged);
        }
        assert!(!envelope.windows(6).any(|window| window == b"geheim"));
        assert_eq!(envelope.len(), HEAD + NONCE + 6 + 16);
    }

    #[test]
    fn the_same_secret_never_looks_the_same() {
        let ring = ring();
        let seal = || ring.seal(&Secret::from("geheim"), b"a").unwrap();
        assert_ne!(seal(), seal());
    }

    #[test]
    fn every_changed_bit_is_noticed() {
        let ring = ring();
        let envelope = ring.seal(&Secret::from("geheim"), b"a").unwrap();
        for bit in 0..envelope.len() * 8 {
            let mut bent = envelope.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            let expected = match bit / 8 {
                0 => SealError::Version { found: bent[0] },
                1..HEAD => SealError::NoKey { id: KeyId([bent[1], bent[2], bent[3], bent[4]]) },
                _ => SealError::Damaged,
            };
            assert_eq!(ring.open(&bent, b"a").unwrap_err(), expected, "bit {bit}");
        }
    }

    #[test]
    fn every_cut_is_noticed() {
        let ring = ring();
        let envelope = ring.seal(&Secret::from("geheim"), b"a").unwrap();
        for length in 0..envelope.len() {
            assert_eq!(ring.open(&envelope[..length], b"a").unwrap_err(), SealError::Damaged, "{length} bytes");
        }
        assert_eq!(ring.open(&[&envelope[..], b"x"].concat(), b"a").unwrap_err(), SealError::Damaged);
    }

    #[test]
    fn another_keyring_says_which_key_is_missing() {
        let (ours, theirs) = (ring(), ring());
        let envelope = theirs.seal(&Secret::from("geheim"), b"a").unwrap();
        let error = ours.open(&envelope, b"a").unwrap_err();
        assert_eq!(error, SealError::NoKey { id: theirs.active() });
        assert!(error.to_string().contains("restore the key file from its backup"));
    }

    #[test]
    fn nothing_prints_a_key() {
        let ring = ring();
        let hex: String = ring.active.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let shown = format!("{ring:?} {ring:#?}");
        assert!(shown.contains(&ring.active().to_string()) && !shown.contains(&hex[..8]), "{shown}");
    }

    #[test]
    fn resealing_moves_to_the_active_key_and_then_rests() {
        let old = ring();
        let envelope = old.seal(&Secret::from("geheim"), b"a").unwrap();
        let new = ring();
        let both = Keyring { active: new.active.clone(), older: vec![old.active] };
        assert_eq!(both.open(&envelope, b"a").unwrap().expose(), "geheim");
        assert_eq!(both.reseal(&envelope, b"b").unwrap_err(), SealError::Damaged);
        let moved = both.reseal(&envelope, b"a").unwrap().unwrap();
        assert_eq!(new.open(&moved, b"a").unwrap().expose(), "geheim");
        assert_eq!(both.reseal(&moved, b"a"), Ok(None));
    }

    proptest! {
        #[test]
        fn whatever_is_sealed_comes_out(text in ".{0,200}", bound_to in prop::collection::vec(any::<u8>(), 0..40)) {
            let ring = ring();
            let envelope = ring.seal(&Secret::from(text.as_str()), &bound_to).unwrap();
            let opened = ring.open(&envelope, &bound_to).unwrap();
            prop_assert_eq!(opened.expose(), text.as_str());
        }

        #[test]
        fn rubbish_is_an_error(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(ring().open(&bytes, b"a").is_err());
        }
    }
}
