//! Users and the tree of roles.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::ids::{RoleId, UserId};

/// Someone who signs in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// The name as shown.
    pub name: String,
    /// The address to sign in with; unique.
    pub email: String,
    /// Where it stands in the tree of roles, if anywhere.
    #[serde(default)]
    pub role: Option<RoleId>,
    /// Sees and edits everything, but nobody's credentials.
    #[serde(default)]
    pub admin: bool,
    /// Sees only what it owns or follows.
    #[serde(default)]
    pub restricted: bool,
    /// Has the permission "see all items of other users they are following".
    #[serde(default)]
    pub sees_followed_users: bool,
    /// The users whom it follows.
    #[serde(default)]
    pub follows: BTreeSet<UserId>,
    /// Can sign in and own accounts; a deactivated user's accounts do not sync.
    pub active: bool,
}

/// A place in the tree of roles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// Its id.
    pub id: RoleId,
    /// Its name as shown; unique.
    pub name: String,
    /// The role above, if any.
    #[serde(default)]
    pub parent: Option<RoleId>,
}

/// All users and roles: what the access policy looks things up in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directory {
    /// Users by id.
    pub users: BTreeMap<UserId, User>,
    /// Roles by id.
    pub roles: BTreeMap<RoleId, Role>,
}
