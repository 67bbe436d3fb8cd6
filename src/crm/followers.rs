//! Followers of an item: how many, who may add whom, what a change of owner or a merge keeps.
//!
//! Owns: the rules for the list of followers, as functions from what stands to what shall stand. Must not: tell anybody
//! of a change (access and notification are separate switches), or know what kind of item it is.

use std::collections::BTreeSet;

use crate::crm::access::{Because, Item, decide};
use crate::crm::users::Directory;
use crate::ids::UserId;

/// The most followers that an item may have besides its owner (design section 6).
pub const MOST: usize = 10;

/// The followers of the item after `by` has added `who`. Whoever may edit the item may add any active user but its
/// owner. Adding a follower again changes nothing.
///
/// # Errors
/// When `by` may not edit the item, `who` can't follow it, or it has [`MOST`] followers.
pub fn add(item: Item<'_>, who: UserId, by: UserId, directory: &Directory) -> Result<Vec<UserId>, FollowerError> {
    may_edit(item, by, directory)?;
    if who == item.owner {
        return Err(FollowerError::OwnsIt { user: name(who, directory) });
    }
    if item.followers.contains(&who) {
        return Ok(item.followers.to_vec());
    }
    active(who, directory)?;
    if item.followers.len() >= MOST {
        let idle = item.followers.iter().filter(|user| directory.active(**user).is_none()).count();
        return Err(FollowerError::Full { idle });
    }
    Ok(item.followers.iter().copied().chain([who]).collect())
}

/// The followers of the item after `by` has removed `who`. Whoever may edit the item may remove any follower, so a
/// follower may remove itself. Removing somebody who doesn't follow it changes nothing.
///
/// # Errors
/// When `by` may not edit the item.
pub fn remove(item: Item<'_>, who: UserId, by: UserId, directory: &Directory) -> Result<Vec<UserId>, FollowerError> {
    may_edit(item, by, directory)?;
    Ok(item.followers.iter().copied().filter(|user| *user != who).collect())
}

/// The followers of the item after `by` has given it to `to`. Everybody who follows it goes on doing so; the new owner
/// leaves the list, since owners are never on it. The former owner does **not** become a follower: who gives an item
/// away gives its access away, unless visible-to grants it (history 28), and can be added by hand.
///
/// # Errors
/// When `by` may not edit the item, or `to` is no active user.
pub fn change_owner(
    item: Item<'_>,
    to: UserId,
    by: UserId,
    directory: &Directory,
) -> Result<Vec<UserId>, FollowerError> {
    may_edit(item, by, directory)?;
    active(to, directory)?;
    Ok(item.followers.iter().copied().filter(|user| *user != to).collect())
}

/// What a merge keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// The survivor's followers.
    pub followers: Vec<UserId>,
    /// Those for whom there was no room: to be shown before the merge, and kept in its history.
    pub dropped: Vec<UserId>,
}

/// The followers of the item that survives a merge. First the owners of the others, who would else lose what was
/// theirs; then those who follow the survivor; then those who follow the others; each in the order in which they stand.
/// Where that makes more than [`MOST`], deactivated users are dropped first, then the last in that order.
pub fn merge(survivor: Item<'_>, others: &[Item<'_>], directory: &Directory) -> Kept {
    let mut met = BTreeSet::from([survivor.owner]);
    let mut followers: Vec<UserId> = others
        .iter()
        .map(|item| item.owner)
        .chain(survivor.followers.iter().copied())
        .chain(others.iter().flat_map(|item| item.followers.iter().copied()))
        .filter(|user| met.insert(*user))
        .collect();
    if followers.len() > MOST {
        // Stable: within both halves the order stands.
        followers.sort_by_key(|user| directory.active(*user).is_none());
    }
    let dropped = followers.split_off(followers.len().min(MOST));
    Kept { followers, dropped }
}

fn may_edit(item: Item<'_>, by: UserId, directory: &Directory) -> Result<(), FollowerError> {
    let because = decide(by, item, directory);
    if because.allows() { Ok(()) } else { Err(FollowerError::NotAllowed { because }) }
}

fn active(user: UserId, directory: &Directory) -> Result<(), FollowerError> {
    match directory.users.get(&user) {
        None => Err(FollowerError::NoSuchUser { user }),
        Some(found) if !found.active => Err(FollowerError::Deactivated { user: found.name.clone() }),
        Some(_) => Ok(()),
    }
}

fn name(user: UserId, directory: &Directory) -> String {
    directory.users.get(&user).map_or_else(|| user.to_string(), |user| user.name.clone())
}

/// The list of followers can't be changed so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FollowerError {
    /// Who asked may not edit the item. To be answered like an item that is not there, for not to tell that it is.
    #[error("you may not change who follows this ({because}); ask its owner or an administrator")]
    NotAllowed {
        /// Why not.
        because: Because,
    },
    /// Nobody has that id.
    #[error("there is no user {user}; choose one from the list of users")]
    NoSuchUser {
        /// Who was named.
        user: UserId,
    },
    /// The user is deactivated.
    #[error("{user} is deactivated; choose somebody else, or have an administrator activate the user first")]
    Deactivated {
        /// The user's name.
        user: String,
    },
    /// The owner has all access anyway.
    #[error("{user} owns this and needn't follow it; to make {user} a follower, first give it another owner")]
    OwnsIt {
        /// The owner's name.
        user: String,
    },
    /// There is no room.
    #[error(
        "this has {MOST} followers, and more are not possible; remove one first{}, or make it visible to more people",
        if *.idle > 0 { format!(" ({} of them deactivated)", .idle) } else { String::new() }
    )]
    Full {
        /// How many of them are deactivated, and so the first to remove.
        idle: usize,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::crm::access::tests::{company, user};
    use crate::crm::person::VisibleTo;

    const OWNER: u8 = 1;
    const OTHER: u8 = 2;
    const IDLE: u8 = 13;
    const NOBODY: u8 = 99;

    /// Fourteen users without roles; the thirteenth is deactivated.
    fn crowd() -> Directory {
        company((1..=14).map(|n| user(n, |user| user.active = n != IDLE)))
    }

    fn id(n: u8) -> UserId {
        user(n, |_| {}).id
    }

    fn ids(of: impl IntoIterator<Item = u8>) -> Vec<UserId> {
        of.into_iter().map(id).collect()
    }

    fn item(followers: &[UserId]) -> Item<'_> {
        Item { owner: id(OWNER), visible_to: VisibleTo::Owner, followers }
    }

    #[test]
    fn adding_a_follower() {
        let none = ids([]);
        let three = ids([3, 4, 5]);
        let full = ids(3..13);
        let idle = ids([3, 4, 5, 6, 7, 8, 9, 10, 11, IDLE]);
        // (case, followers, who, by, expected).
        type Row<'a> = (&'a str, &'a [UserId], u8, u8, Result<Vec<UserId>, &'a str>);
        let table: &[Row<'_>] = &[
            ("the owner adds", &none, 3, OWNER, Ok(ids([3]))),
            ("at the end", &three, 2, OWNER, Ok(ids([3, 4, 5, 2]))),
            ("a follower adds", &three, 6, 3, Ok(ids([3, 4, 5, 6]))),
            ("again", &three, 4, OWNER, Ok(three.clone())),
            ("again where full", &full, 4, OWNER, Ok(full.clone())),
            ("a stranger adds", &three, 6, OTHER, Err("you may not change who follows this")),
            ("a stranger adds itself", &three, OTHER, OTHER, Err("you may not change who follows this")),
            ("nobody adds", &three, 6, NOBODY, Err("you may not change who follows this")),
            ("the owner itself", &three, OWNER, 3, Err("user 1 owns this and needn't follow it")),
            ("nobody", &three, NOBODY, OWNER, Err("there is no user")),
            ("deactivated", &three, IDLE, OWNER, Err("user 13 is deactivated")),
            ("the eleventh", &full, OTHER, OWNER, Err("remove one first, or")),
            ("the eleventh, one idle", &idle, OTHER, OWNER, Err("remove one first (1 of them deactivated), or")),
        ];
        for (case, followers, who, by, expected) in table {
            let got = add(item(followers), id(*who), id(*by), &crowd());
            match expected {
                Ok(after) => assert_eq!(got.as_ref(), Ok(after), "{case}"),
                Err(part) => {
                    let said = got.unwrap_err().to_string();
                    assert!(said.contains(part), "{case}: {said}");
                }
            }
        }
    }

    #[test]
    fn removing_a_follower() {
        let three = ids([3, IDLE, 5]);
        let removed = |who, by| remove(item(&three), id(who), id(by), &crowd());
        assert_eq!(removed(IDLE, OWNER), Ok(ids([3, 5])));
        assert_eq!(removed(3, 3), Ok(ids([IDLE, 5])));
        assert_eq!(removed(5, 3), Ok(ids([3, IDLE])));
        assert_eq!(removed(OTHER, OWNER), Ok(three.clone()));
        assert!(matches!(removed(3, OTHER), Err(FollowerError::NotAllowed { .. })));
    }

    #[test]
    fn a_new_owner_leaves_the_list_and_the_former_does_not_join_it() {
        let three = ids([3, 4, 5]);
        let given = |to, by| change_owner(item(&three), id(to), id(by), &crowd());
        assert_eq!(given(4, OWNER), Ok(ids([3, 5])));
        assert_eq!(given(OTHER, 3), Ok(three.clone()));
        assert!(matches!(given(IDLE, OWNER), Err(FollowerError::Deactivated { .. })));
        assert!(matches!(given(NOBODY, OWNER), Err(FollowerError::NoSuchUser { .. })));
        assert!(matches!(given(OTHER, OTHER), Err(FollowerError::NotAllowed { .. })));
    }

    #[test]
    fn a_merge_keeps_former_owners_first() {
        let (ours, theirs) = (ids([3, IDLE, 4]), ids([OWNER, 4, 5]));
        let other = Item { owner: id(OTHER), visible_to: VisibleTo::Company, followers: &theirs };
        let kept = merge(item(&ours), &[other], &crowd());
        assert_eq!(kept, Kept { followers: ids([OTHER, 3, IDLE, 4, 5]), dropped: vec![] });

        let ours = ids([3, 4, 5, 6, 7, 8, 9, 10, IDLE]);
        let theirs = ids([11, 12]);
        let other = Item { owner: id(OTHER), visible_to: VisibleTo::Company, followers: &theirs };
        let kept = merge(item(&ours), &[other], &crowd());
        assert_eq!(kept.followers, ids([OTHER, 3, 4, 5, 6, 7, 8, 9, 10, 11]));
        assert_eq!(kept.dropped, ids([12, IDLE]));
    }

    proptest! {
        /// Whatever is asked of it: at most ten, nobody twice, never the owner, nobody unknown.
        #[test]
        fn the_list_stays_sound(steps in prop::collection::vec((0u8..3, 0u8..16, 0u8..16), 0..60)) {
            let crowd = crowd();
            let (mut owner, mut followers) = (id(OWNER), Vec::new());
            for (what, who, by) in steps {
                let item = Item { owner, visible_to: VisibleTo::Owner, followers: &followers };
                let after = match what {
                    0 => add(item, id(who), id(by), &crowd),
                    1 => remove(item, id(who), id(by), &crowd),
                    _ => change_owner(item, id(who), id(by), &crowd),
                };
                let Ok(after) = after else { continue };
                prop_assert!(decide(id(by), item, &crowd).allows());
                if what == 2 {
                    owner = id(who);
                }
                followers = after;
                prop_assert!(followers.len() <= MOST);
                prop_assert!(!followers.contains(&owner));
                prop_assert_eq!(followers.iter().collect::<BTreeSet<_>>().len(), followers.len());
                prop_assert!(followers.iter().all(|user| crowd.users.contains_key(user)));
                for follower in &followers {
                    let item = Item { owner, visible_to: VisibleTo::Owner, followers: &followers };
                    prop_assert_eq!(decide(*follower, item, &crowd).allows(), crowd.active(*follower).is_some());
                }
            }
        }
    }
}
