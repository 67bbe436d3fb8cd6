//! Signing in with OAuth 2.0, for every provider that speaks it.
//!
//! Owns: what an adapter may ask of a sign-in ([`Bearer`]: a token that is good now), the way to a grant ([`client`]), how
//! it is kept ([`grant`], [`tokens`]) and whose it is ([`identity`]). What differs between those who speak OAuth is a
//! [`client::Dialect`]. Must not: know the store: grants come in and go out through a [`tokens::Vault`].
//!
//! Two daemons on one store hold access tokens of their own, which does no harm. The refresh token is read from the vault
//! before each use, so a sign-in or a rotation by the other daemon is seen; a rotated one replaces only the one that it came
//! from, and whoever comes second leaves what stands there.

pub mod client;
pub mod fault;
pub mod google;
pub mod grant;
pub mod identity;
pub mod service;
#[cfg(test)]
mod tests;
pub mod tokens;

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
