//! The one policy: may this user see and edit this item, and why.
//!
//! Owns: the decision of design section 6. The store's SQL predicate must say the same; property tests hold the two
//! together.

use crate::crm::person::VisibleTo;
use crate::crm::users::Directory;
use crate::ids::UserId;

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

/// May this user see and edit this item, and why.
pub fn decide(user: UserId, item: Item<'_>, directory: &Directory) -> Because {
    let _ = (item, directory, user);
    Because::NoSuchUser
}
