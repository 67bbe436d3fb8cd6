//! Signing in with OAuth 2.0, for every provider that speaks it.
//!
//! Owns: what an adapter may ask of a sign-in: a token that is good now. Must not: know which provider asks, nor the
//! store: tokens come in and go out through what it is given.

use async_trait::async_trait;

use super::ProviderError;
use crate::secret::Secret;

/// Hands out access tokens of one account (RFC 6749, section 1.4).
#[async_trait]
pub trait Bearer: Send + Sync {
    /// A token that is believed to be good: the one at hand, or a fresh one, fetched once for all who wait for it.
    ///
    /// # Errors
    /// When there is none to be had: [`super::Retry::AfterHuman`] where the user has to sign in again.
    async fn token(&self) -> Result<Secret, ProviderError>;
    /// The server did not take that token (401): it is not handed out again.
    async fn refused(&self, token: &Secret);
}
