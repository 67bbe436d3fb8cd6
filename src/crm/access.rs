//! The one policy: may this user see and edit this item, and why.
//!
//! Owns: the decision of design section 6, and its opposite question: who may see this. The store's SQL predicate must
//! say the same; property tests hold the two together. Must not: know what kind of item it decides about.

use std::fmt;

use uuid::Uuid;

use crate::crm::person::{Person, VisibleTo};
use crate::crm::users::{Directory, User};
use crate::ids::{RoleId, UserId};

#[cfg(test)]
pub(crate) mod tests;

/// What the policy asks of an item, of whatever kind.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    /// Who owns it.
    pub owner: UserId,
    /// Who else may see it.
    pub visible_to: VisibleTo,
    /// Who follows it.
    pub followers: &'a [UserId],
}

impl<'a> From<&'a Person> for Item<'a> {
    fn from(person: &'a Person) -> Self {
        Self { owner: person.owner, visible_to: person.visible_to, followers: &person.followers }
    }
}

/// Why a user may, or may not, see and edit an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Because {
    /// The user doesn't exist or is deactivated.
    NoSuchUser,
    /// Admins see everything.
    Admin,
    /// It is the user's own.
    Owner,
    /// The user follows it.
    Follower,
    /// The user is restricted to own and followed items.
    Restricted,
    /// The user follows the owner and may see all items of followed users.
    FollowsOwner,
    /// The item's visible-to includes the user.
    VisibleTo(VisibleTo),
    /// The item's visible-to does not include the user.
    NotVisibleTo(VisibleTo),
}

impl Because {
    /// Whether it is a yes.
    pub fn allows(self) -> bool {
        matches!(self, Self::Admin | Self::Owner | Self::Follower | Self::FollowsOwner | Self::VisibleTo(_))
    }
}

impl fmt::Display for Because {
    /// The rest of a sentence about the user: `may see and edit this: …`, `may not see this: …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchUser => f.write_str("there is no such user, or it is deactivated"),
            Self::Admin => f.write_str("an administrator sees everything"),
            Self::Owner => f.write_str("owns it"),
            Self::Follower => f.write_str("follows it"),
            Self::Restricted => f.write_str("is restricted to what it owns or follows, and does neither here"),
            Self::FollowsOwner => f.write_str("follows its owner, and may see all items of users it follows"),
            Self::VisibleTo(who) => write!(f, "it is visible to {}", who.words()),
            Self::NotVisibleTo(who) => write!(f, "it is visible to {}", who.words()),
        }
    }
}

/// May this user see and edit this item, and why. The first reason that applies, in the order of design section 6.
pub fn decide(user: UserId, item: Item<'_>, directory: &Directory) -> Because {
    directory.active(user).map_or(Because::NoSuchUser, |user| judge(user, item, directory))
}

/// Everybody who may see and edit the item, and why; by user id.
pub fn who(item: Item<'_>, directory: &Directory) -> Vec<(UserId, Because)> {
    directory
        .users
        .keys()
        .map(|user| (*user, decide(*user, item, directory)))
        .filter(|(_, because)| because.allows())
        .collect()
}

/// A sentence about one user: `Ann may see and edit this: follows it`.
pub fn explain(user: UserId, item: Item<'_>, directory: &Directory) -> String {
    let because = decide(user, item, directory);
    let name = directory.users.get(&user).map_or_else(|| user.to_string(), |user| user.name.clone());
    let may = if because.allows() { "may see and edit this" } else { "may not see this" };
    format!("{name} {may}: {because}")
}

/// Whether nobody sees the item who wouldn't see a person that the account itself brought in: one owned by the
/// account's user, visible to the account's default, followed by nobody (rule 13, history 29). Only then may a record
/// of that account be matched with the item without being asked, since a match shows the record to all who see the item.
///
/// The two audiences are compared as sets of users, by [`decide`] itself, and not by the names of the two visible-to
/// values, which say nothing when the owners differ. Followers of the item count: they too would read the record. So
/// that the answer doesn't hang on who happens to be here today,
/// - deactivated users count as if they were active, and
/// - for each role, and for none, somebody is imagined who might join: in a company of one, `company` is wider than
///   `owner` all the same.
///
/// What it can't foresee is a later change of roles, owners or permissions; that is for rule 22. A "no" is never a
/// refusal: the pair is shown in the preview, for a person to decide.
pub fn no_wider(item: Item<'_>, account_user: UserId, default: VisibleTo, directory: &Directory) -> bool {
    let Some(account_user) = directory.users.get(&account_user) else { return false };
    if item.owner == account_user.id && item.visible_to == default && item.followers.is_empty() {
        return true;
    }
    let own = Item { owner: account_user.id, visible_to: default, followers: &[] };
    let fits = |user: &User| !judge(user, item, directory).allows() || judge(user, own, directory).allows();
    let roles = directory.roles.keys().copied().chain(directory.users.values().filter_map(|user| user.role));
    directory.users.values().all(fits) && roles.map(Some).chain([None]).all(|role| fits(&newcomer(role)))
}

/// Somebody who might join: regular, following nobody.
fn newcomer(role: Option<RoleId>) -> User {
    User {
        // Never one of ours: they are of version 7 (RFC 9562 §5.10).
        id: UserId(Uuid::max()),
        name: String::new(),
        email: String::new(),
        role,
        admin: false,
        restricted: false,
        sees_followed_users: false,
        follows: std::collections::BTreeSet::new(),
        active: true,
    }
}

/// The decision about a user who may act.
fn judge(user: &User, item: Item<'_>, directory: &Directory) -> Because {
    if user.admin {
        Because::Admin
    } else if user.id == item.owner {
        Because::Owner
    } else if item.followers.contains(&user.id) {
        Because::Follower
    } else if user.restricted {
        Because::Restricted
    } else if user.sees_followed_users && user.follows.contains(&item.owner) {
        Because::FollowsOwner
    } else if includes(user, item, directory) {
        Because::VisibleTo(item.visible_to)
    } else {
        Because::NotVisibleTo(item.visible_to)
    }
}

/// Whether the item's visible-to alone includes the user. Somebody without a role shares it with nobody.
fn includes(user: &User, item: Item<'_>, directory: &Directory) -> bool {
    let role_of_owner = || directory.users.get(&item.owner).and_then(|owner| owner.role);
    match item.visible_to {
        VisibleTo::Owner | VisibleTo::OwnerAndFollowers => false,
        VisibleTo::OwnerRole => user.role.is_some() && user.role == role_of_owner(),
        VisibleTo::OwnerRoleAndBelow => {
            user.role.zip(role_of_owner()).is_some_and(|(role, top)| directory.is_at_or_below(role, top))
        }
        VisibleTo::Company => true,
    }
}
