//! Adding accounts: by a password, or by signing in at the provider itself.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::AccountAdded;
use crate::ids::Timestamp;
use crate::sync::settings::Direction;

/// An account to be added.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewAccount {
    /// The address to sign in with.
    pub email: String,
    /// Whose account it is: by id, e-mail or name.
    pub user: String,
    /// The provider, if it isn't to be found by the address: `icloud`, `carddav`, `google`.
    #[serde(default)]
    pub provider: Option<String>,
    /// The server's address.
    #[serde(default)]
    pub server: Option<String>,
    /// Further hosts that may be given the password.
    #[serde(default)]
    pub trust: Vec<String>,
    /// The direction of a new account.
    #[serde(default)]
    pub direction: Option<Direction>,
    /// The password. At iCloud one for this app alone.
    pub password: String,
}

impl fmt::Debug for NewAccount {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewAccount").field("provider", &self.provider).finish_non_exhaustive()
    }
}

/// A mailbox to be connected, of which it is to be found out how it is signed in to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewSignIn {
    /// The address to sign in with.
    pub email: String,
    /// Whose account it is: by id, e-mail or name.
    pub user: String,
    /// The provider, if it isn't to be found by the address: `icloud`, `carddav`, `google`.
    #[serde(default)]
    pub provider: Option<String>,
    /// Where the caller waits for the user to come back: `http://127.0.0.1` with a port. Not looked at where users come back
    /// to the daemon's own address.
    #[serde(default)]
    pub redirect: Option<String>,
    /// The direction of a new account: no more is asked for than that needs.
    #[serde(default)]
    pub direction: Option<Direction>,
}

/// How it goes on.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "made once, and taken apart where it arrives")]
pub enum SignInShown {
    /// With a password, which is sent with the account.
    Password,
    /// The user opens this address, and comes back.
    Browser {
        /// Which sign-in.
        id: Uuid,
        /// Where to go.
        url: String,
        /// Where they come back to.
        redirect: String,
        /// Until when.
        until: Timestamp,
    },
    /// Nothing is left to do: an administrator has allowed it for the whole domain.
    Added {
        /// What it came to.
        added: AccountAdded,
    },
}

impl fmt::Debug for SignInShown {
    /// Without the address: whoever knows it can end the sign-in.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password => "Password",
            Self::Browser { .. } => "Browser(…)",
            Self::Added { .. } => "Added(…)",
        })
    }
}

/// The address by which a user came back.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CameBack {
    /// As the browser shows it, or what stands behind its `?`.
    pub redirected: String,
}

impl fmt::Debug for CameBack {
    /// Without the code in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CameBack(…)")
    }
}
