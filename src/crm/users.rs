//! Users and the tree of roles.
//!
//! Owns: who there is, what each may, and which role stands below which. Must not: decide who sees what, see
//! [`super::access`].

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

impl Directory {
    /// The user with that id, if it may act at all.
    pub fn active(&self, user: UserId) -> Option<&User> {
        self.users.get(&user).filter(|user| user.active)
    }

    /// That role and all above it. Ends at a role that is not there and at one already met, so that a broken tree
    /// costs nobody more than its own branch.
    pub fn upward(&self, role: RoleId) -> BTreeSet<RoleId> {
        let mut above = BTreeSet::new();
        let mut next = Some(role);
        while let Some(role) = next.filter(|role| above.insert(*role)) {
            next = self.roles.get(&role).and_then(|role| role.parent);
        }
        above
    }

    /// Whether `role` is `top` or stands below it.
    pub fn is_at_or_below(&self, role: RoleId, top: RoleId) -> bool {
        self.upward(role).contains(&top)
    }

    /// Adds a role, or changes one: its name or its place in the tree.
    ///
    /// # Errors
    /// When its name is taken, the role above is not there, or it would come to stand below itself; nothing is
    /// changed then.
    pub fn put_role(&mut self, role: Role) -> Result<(), RoleError> {
        self.check_role(&role)?;
        self.roles.insert(role.id, role);
        Ok(())
    }

    /// Whether [`Directory::put_role`] would take that role.
    ///
    /// # Errors
    /// As [`Directory::put_role`].
    pub fn check_role(&self, role: &Role) -> Result<(), RoleError> {
        if self.roles.values().any(|other| other.id != role.id && other.name == role.name) {
            return Err(RoleError::NameTaken { name: role.name.clone() });
        }
        let Some(parent) = role.parent else { return Ok(()) };
        if parent == role.id {
            return Err(RoleError::BelowItself { name: role.name.clone() });
        }
        let above = self.roles.get(&parent).ok_or_else(|| RoleError::NoParent { name: role.name.clone(), parent })?;
        if self.is_at_or_below(parent, role.id) {
            return Err(RoleError::Cycle { name: role.name.clone(), parent: above.name.clone() });
        }
        Ok(())
    }
}

/// A role can't be put there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoleError {
    /// Two roles can't have the same name.
    #[error("there is a role '{name}' already; choose another name, or change that role")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// The role above is not there.
    #[error("'{name}' can't be placed below role {parent}: there is no such role; add it first, or choose another")]
    NoParent {
        /// The role to be placed.
        name: String,
        /// The role that is missing.
        parent: RoleId,
    },
    /// A role can't be its own parent.
    #[error("'{name}' can't be placed below itself; choose another role, or none to put it at the top")]
    BelowItself {
        /// The role to be placed.
        name: String,
    },
    /// The role above stands below the role to be placed.
    #[error(
        "'{name}' can't be placed below '{parent}', which stands below '{name}' itself; \
         move '{parent}' elsewhere first, or choose another role"
    )]
    Cycle {
        /// The role to be placed.
        name: String,
        /// The role that it was to stand below.
        parent: String,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn id(n: u8) -> RoleId {
        RoleId(Uuid::from_u128(u128::from(n)))
    }

    fn role(n: u8, parent: Option<u8>) -> Role {
        Role { id: id(n), name: format!("role {n}"), parent: parent.map(id) }
    }

    /// Put past the checks, as a broken store might hold it.
    fn tree(roles: &[(u8, Option<u8>)]) -> Directory {
        let roles = roles.iter().map(|(n, parent)| (id(*n), role(*n, *parent))).collect();
        Directory { users: BTreeMap::new(), roles }
    }

    #[test]
    fn below_means_further_down_the_same_branch() {
        // 1 ── 2 ── 4
        //   └─ 3        5 ── (9, which is not there)     6 ⇄ 7     8 ⇄ 8
        let tree = tree(&[
            (1, None),
            (2, Some(1)),
            (3, Some(1)),
            (4, Some(2)),
            (5, Some(9)),
            (6, Some(7)),
            (7, Some(6)),
            (8, Some(8)),
        ]);
        let table = [
            (1, 1, true),
            (2, 1, true),
            (4, 1, true),
            (1, 2, false),
            (3, 2, false),
            (4, 3, false),
            (2, 4, false),
            (5, 5, true),
            (5, 9, true),
            (5, 1, false),
            (9, 9, true),
            (9, 5, false),
            (6, 7, true),
            (7, 6, true),
            (6, 1, false),
            (8, 8, true),
            (8, 6, false),
        ];
        for (role, top, expected) in table {
            assert_eq!(tree.is_at_or_below(id(role), id(top)), expected, "{role} at or below {top}");
        }
    }

    #[test]
    fn a_role_is_refused_where_it_cannot_stand() {
        let mut tree = tree(&[(1, None), (2, Some(1)), (3, Some(2))]);
        let before = tree.clone();
        let said = |tree: &mut Directory, role: Role| tree.put_role(role).unwrap_err().to_string();
        assert!(said(&mut tree, role(1, Some(3))).contains("move 'role 3' elsewhere first"));
        assert!(said(&mut tree, role(1, Some(1))).contains("below itself"));
        assert!(said(&mut tree, role(3, Some(7))).contains("no such role"));
        assert!(said(&mut tree, Role { name: "role 2".into(), ..role(4, None) }).contains("choose another name"));
        assert_eq!(tree, before);
        tree.put_role(role(3, Some(1))).unwrap();
        tree.put_role(role(2, Some(3))).unwrap();
        assert!(tree.is_at_or_below(id(2), id(3)));
    }

    proptest! {
        /// Whatever is asked for, in whatever order: the tree stays one.
        #[test]
        fn no_sequence_of_changes_makes_a_cycle(moves in prop::collection::vec((0u8..6, prop::option::of(0u8..6)), 0..40)) {
            let mut tree = Directory::default();
            for (n, parent) in moves {
                let before = tree.clone();
                if tree.put_role(role(n, parent)).is_err() {
                    prop_assert_eq!(&tree, &before);
                }
                for (a, b) in (0u8..6).flat_map(|a| (0u8..6).map(move |b| (a, b))).filter(|(a, b)| a != b) {
                    prop_assert!(!(tree.is_at_or_below(id(a), id(b)) && tree.is_at_or_below(id(b), id(a))));
                }
            }
        }
    }
}
