//! A picture's bytes, apart from the card that refers to them.

use std::sync::Arc;

/// A picture's bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Blob {
    /// BLAKE3 of the bytes in hex.
    pub hash: String,
    /// Media type.
    pub media_type: String,
    /// The bytes.
    pub bytes: Arc<[u8]>,
}

impl Blob {
    /// Of these bytes.
    pub fn new(media_type: &str, bytes: impl Into<Arc<[u8]>>) -> Self {
        let bytes = bytes.into();
        Self { hash: blake3::hash(&bytes).to_hex().to_string(), media_type: media_type.to_owned(), bytes }
    }
}

impl std::fmt::Debug for Blob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Blob({} {} bytes)", self.media_type, self.bytes.len())
    }
}
