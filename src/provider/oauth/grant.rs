//! A grant: what a user, or a domain's administrator, allowed us, as it is sealed in the vault.
//!
//! Owns: its form at rest, which scopes are enough, and when it ends. Must not: send anything, or be shown: it holds the
//! refresh token.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::client::Dialect;
use super::fault::OauthError;
use crate::ids::Timestamp;
use crate::secret::Secret;

/// How long a sign-in lasts at an app in testing, in ms (google.md §1.5).
const TESTING: i64 = 7 * 24 * 60 * 60 * 1000;
/// How long before its end it is told, in ms.
pub const WARN_BEFORE: i64 = 2 * 24 * 60 * 60 * 1000;

/// What was allowed.
#[derive(Clone)]
pub enum Grant {
    /// By a user.
    User(UserGrant),
    /// By an administrator, for every mailbox of a domain: nothing is stored but for whom we act.
    Delegated {
        /// The mailbox.
        address: String,
        /// Whether it may be written to.
        write: bool,
    },
}

/// What a user allowed.
#[derive(Clone)]
pub struct UserGrant {
    /// Which consent; stays when the refresh token is replaced by the issuer.
    pub id: Uuid,
    /// The refresh token.
    pub refresh: Secret,
    /// What was granted.
    pub scopes: BTreeSet<String>,
    /// Whose account it is, by the issuer's id.
    pub subject: String,
    /// When the user consented.
    pub consented: Timestamp,
    /// When it ends, where the issuer said so.
    pub expires: Option<Timestamp>,
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(grant) => fmt::Debug::fmt(grant, f),
            Self::Delegated { write, .. } => f.debug_struct("Delegated").field("write", write).finish_non_exhaustive(),
        }
    }
}

impl fmt::Debug for UserGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserGrant").field("id", &self.id).field("scopes", &self.scopes).finish_non_exhaustive()
    }
}

/// As it stands in the envelope.
#[derive(Serialize, Deserialize)]
#[serde(tag = "grant", rename_all = "snake_case")]
enum Sealed<'a> {
    User {
        id: Uuid,
        refresh_token: std::borrow::Cow<'a, str>,
        scopes: BTreeSet<String>,
        subject: String,
        consented: Timestamp,
        expires: Option<Timestamp>,
    },
    Delegated {
        address: String,
        write: bool,
    },
}

impl Grant {
    /// What goes into the vault.
    pub fn to_secret(&self) -> Secret {
        let sealed = match self {
            Self::User(grant) => Sealed::User {
                id: grant.id,
                refresh_token: grant.refresh.expose().into(),
                scopes: grant.scopes.clone(),
                subject: grant.subject.clone(),
                consented: grant.consented,
                expires: grant.expires,
            },
            Self::Delegated { address, write } => Sealed::Delegated { address: address.clone(), write: *write },
        };
        // Texts, numbers and lists of them can always be written as JSON.
        Secret::from(serde_json::to_string(&sealed).unwrap_or_default())
    }

    /// What came out of the vault.
    ///
    /// # Errors
    /// When it is no grant: a password, or one of a later version.
    pub fn of_secret(secret: &Secret) -> Result<Self, OauthError> {
        // Its own error would repeat what it could not read.
        let read = serde_json::from_str(secret.expose()).map_err(|_| {
            OauthError::Broken(
                "what is stored is no sign-in by OAuth; sign in again: `contactd account add`".to_owned(),
            )
        })?;
        Ok(match read {
            Sealed::User { id, refresh_token, scopes, subject, consented, expires } => {
                let refresh = Secret::from(refresh_token.into_owned());
                Self::User(UserGrant { id, refresh, scopes, subject, consented, expires })
            }
            Sealed::Delegated { address, write } => Self::Delegated { address, write },
        })
    }

    /// Whether it allows writing.
    pub fn may_write(&self, dialect: &Dialect) -> bool {
        match self {
            Self::User(grant) => missing(dialect, true, &grant.scopes).is_empty(),
            Self::Delegated { write, .. } => *write,
        }
    }

    /// When it ends, if it does by itself. `testing`: the app is in testing at the issuer.
    pub fn ends(&self, testing: bool) -> Option<Timestamp> {
        match self {
            Self::User(grant) => grant.expires.or(testing.then(|| grant.consented.plus(TESTING))),
            Self::Delegated { .. } => None,
        }
    }

    /// Which consent it came from; tokens of another one are not of use any more.
    pub(super) fn id(&self) -> Uuid {
        match self {
            Self::User(grant) => grant.id,
            Self::Delegated { write, .. } => Uuid::from_u128(u128::from(*write)),
        }
    }
}

/// What of the contacts is not allowed by what was granted. Whoever may write may read. The scopes of identity are not
/// looked for: who was given none does not learn whose account it is, and says so then.
pub fn missing(dialect: &Dialect, write: bool, granted: &BTreeSet<String>) -> Vec<&'static str> {
    let has = |scope: &str| {
        granted.contains(scope)
            || dialect.aliases.iter().any(|(name, alias)| *name == scope && granted.contains(*alias))
    };
    match write {
        true if !has(dialect.write) => vec![dialect.write],
        false if !has(dialect.read) && !has(dialect.write) => vec![dialect.read],
        _ => Vec::new(),
    }
}
