//! Tables and properties of the access policy, and the small companies that they and others are told with.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::crm::users::Role;

/// User `n` of a company: regular, active, without a role; then as told.
pub(crate) fn user(n: u8, told: impl FnOnce(&mut User)) -> User {
    let id = UserId(Uuid::from_u128(u128::from(n)));
    let mut user = User { id, active: true, name: format!("user {n}"), ..newcomer(None) };
    told(&mut user);
    user
}

/// A company of these users, without roles.
pub(crate) fn company(users: impl IntoIterator<Item = User>) -> Directory {
    Directory { users: users.into_iter().map(|user| (user.id, user)).collect(), ..Directory::default() }
}

fn id(n: u8) -> UserId {
    user(n, |_| {}).id
}

fn role(n: u8) -> RoleId {
    RoleId(Uuid::from_u128(u128::from(n)))
}

fn put(directory: &mut Directory, n: u8, parent: Option<u8>) {
    directory.roles.insert(role(n), Role { id: role(n), name: format!("role {n}"), parent: parent.map(role) });
}

const OWNER: u8 = 1;

/// The owner has role 2 of 1 ── 2 ── 3 and 1 ── 4; one user for each case.
fn office() -> Directory {
    let follows = BTreeSet::from([id(OWNER)]);
    let mut office = company([
        user(OWNER, |u| u.role = Some(role(2))),
        user(2, |u| u.admin = true),
        user(3, |u| (u.admin, u.restricted) = (true, true)),
        user(4, |_| {}),
        user(5, |u| u.role = Some(role(2))),
        user(6, |u| u.role = Some(role(3))),
        user(7, |u| u.role = Some(role(1))),
        user(8, |u| u.role = Some(role(4))),
        user(9, |u| (u.restricted, u.role) = (true, Some(role(2)))),
        user(10, |u| u.follows = follows.clone()),
        user(11, |u| (u.follows, u.sees_followed_users) = (follows.clone(), true)),
        user(12, |u| (u.follows, u.sees_followed_users, u.restricted) = (follows.clone(), true, true)),
        user(13, |u| u.sees_followed_users = true),
        user(14, |u| (u.admin, u.active) = (true, false)),
    ]);
    put(&mut office, 1, None);
    put(&mut office, 2, Some(1));
    put(&mut office, 3, Some(2));
    put(&mut office, 4, Some(1));
    office
}

/// Every kind of user at every visible-to, written out.
#[test]
fn every_user_at_every_visible_to() {
    // One letter for each visible-to, from narrow to wide: Owner, OwnerAndFollowers, OwnerRole, OwnerRoleAndBelow,
    // Company. A admin, O owner, F follower, P follows the owner with the permission, V visible, - not visible,
    // R restricted, N no such user.
    let table = [
        (OWNER, "OOOOO", "the owner"),
        (2, "AAAAA", "an admin"),
        (3, "AAAAA", "a restricted admin"),
        (4, "----V", "without a role"),
        (5, "--VVV", "of the same role"),
        (6, "---VV", "of the role below"),
        (7, "----V", "of the role above"),
        (8, "----V", "of another branch"),
        (9, "RRRRR", "restricted, of the same role"),
        (10, "----V", "follows the owner without the permission"),
        (11, "PPPPP", "follows the owner with the permission"),
        (12, "RRRRR", "the same, restricted"),
        (13, "----V", "has the permission, follows nobody"),
        (14, "NNNNN", "a deactivated admin"),
        (99, "NNNNN", "nobody"),
    ];
    let office = office();
    for (n, row, case) in table {
        let got = |followers: &[UserId]| -> String {
            VisibleTo::ALL
                .map(|visible_to| {
                    let because = decide(id(n), Item { owner: id(OWNER), visible_to, followers }, &office);
                    if let Because::VisibleTo(said) | Because::NotVisibleTo(said) = because {
                        assert_eq!(said, visible_to);
                    }
                    match because {
                        Because::NoSuchUser => 'N',
                        Because::Admin => 'A',
                        Because::Owner => 'O',
                        Because::Follower => 'F',
                        Because::Restricted => 'R',
                        Because::FollowsOwner => 'P',
                        Because::VisibleTo(_) => 'V',
                        Because::NotVisibleTo(_) => '-',
                    }
                })
                .iter()
                .collect()
        };
        assert_eq!(got(&[]), row, "{case}");
        assert_eq!(got(&[id(98)]), row, "{case}, somebody else follows the item");
        let following = if matches!(row, "OOOOO" | "AAAAA" | "NNNNN") { row } else { "FFFFF" };
        assert_eq!(got(&[id(98), id(n)]), following, "{case}, follows the item");
    }
}

#[test]
fn an_owner_who_is_gone_keeps_the_role_only_while_known() {
    let mut office = office();
    let item = Item { owner: id(OWNER), visible_to: VisibleTo::OwnerRole, followers: &[] };
    office.users.get_mut(&id(OWNER)).unwrap().active = false;
    assert_eq!(decide(id(OWNER), item, &office), Because::NoSuchUser);
    assert_eq!(decide(id(5), item, &office), Because::VisibleTo(VisibleTo::OwnerRole));
    office.users.remove(&id(OWNER));
    assert_eq!(decide(id(5), item, &office), Because::NotVisibleTo(VisibleTo::OwnerRole));
    assert_eq!(decide(id(4), item, &office), Because::NotVisibleTo(VisibleTo::OwnerRole), "no role is no shared role");
}

#[test]
fn who_can_see_this_and_why() {
    let office = office();
    let item = Item { owner: id(OWNER), visible_to: VisibleTo::OwnerRole, followers: &[id(9)] };
    let said: Vec<_> = who(item, &office).into_iter().map(|(user, because)| (user, because.to_string())).collect();
    let words = |n, words: &str| (id(n), words.to_owned());
    assert_eq!(
        said,
        [
            words(1, "owns it"),
            words(2, "an administrator sees everything"),
            words(3, "an administrator sees everything"),
            words(5, "it is visible to everybody with the owner's role"),
            words(9, "follows it"),
            words(11, "follows its owner, and may see all items of users it follows"),
        ]
    );
    assert_eq!(
        explain(id(6), item, &office),
        "user 6 may not see this: it is visible to everybody with the owner's role"
    );
    assert_eq!(explain(id(9), item, &office), "user 9 may see and edit this: follows it");
}

#[test]
fn h29_what_is_visible_to_more_people_is_no_candidate() {
    use VisibleTo::{Company, Owner, OwnerAndFollowers, OwnerRole, OwnerRoleAndBelow};
    // (the person's owner, visible-to, followers), (the account's user, default), expected.
    type Row<'a> = (u8, VisibleTo, &'a [u8], u8, VisibleTo, bool, &'a str);
    let table: &[Row<'_>] = &[
        (1, Owner, &[], 1, Owner, true, "the same"),
        (1, Owner, &[], 1, OwnerAndFollowers, true, "two words for one thing"),
        (1, OwnerAndFollowers, &[], 1, Owner, true, "and back"),
        (1, Owner, &[], 1, Company, true, "narrower"),
        (1, Company, &[], 1, Owner, false, "wider"),
        (1, OwnerRole, &[], 1, Owner, false, "the role sees it"),
        (1, OwnerRole, &[], 1, OwnerRoleAndBelow, true, "those below are added"),
        (1, OwnerRoleAndBelow, &[], 1, OwnerRole, false, "those below are lost"),
        (6, OwnerRoleAndBelow, &[], 6, OwnerRole, true, "nothing is below that role"),
        (1, Owner, &[4], 1, Owner, false, "a follower would read it"),
        (1, Owner, &[2], 1, Owner, true, "an admin reads it anyway"),
        (1, Owner, &[11], 1, Owner, true, "who follows the owner reads it anyway"),
        (1, Owner, &[4], 1, Company, true, "the follower is in the company"),
        (1, Owner, &[9], 1, Company, false, "the restricted follower isn't, in that sense"),
        (5, Company, &[], 1, Owner, false, "history 29"),
        (5, Owner, &[1], 1, Owner, false, "its owner would read it"),
        (5, OwnerRole, &[], 1, OwnerRole, true, "the same role from two sides"),
        (6, OwnerRole, &[], 1, OwnerRole, false, "another role"),
        (6, OwnerRole, &[], 1, OwnerRoleAndBelow, true, "a role below"),
        (5, Company, &[], 1, Company, true, "company is company"),
        (9, Company, &[], 1, Company, false, "a restricted owner sees only its own"),
        (2, Owner, &[1], 1, Owner, true, "an admin's own"),
        (14, Owner, &[], 1, Owner, true, "a deactivated admin's own"),
        (99, Company, &[], 1, Company, true, "an owner whom nobody knows"),
        (1, Owner, &[], 99, Company, false, "an account whose user nobody knows"),
    ];
    for (owner, visible_to, followers, account_user, default, expected, case) in table {
        let followers: Vec<_> = followers.iter().copied().map(id).collect();
        let item = Item { owner: id(*owner), visible_to: *visible_to, followers: &followers };
        assert_eq!(no_wider(item, id(*account_user), *default, &office()), *expected, "{case}");
    }
}

#[test]
fn in_a_company_of_one_company_is_still_wider() {
    let mut alone = company([user(1, |u| u.role = Some(role(1)))]);
    put(&mut alone, 1, None);
    let item = |visible_to| Item { owner: id(1), visible_to, followers: &[] };
    assert!(!no_wider(item(VisibleTo::Company), id(1), VisibleTo::Owner, &alone));
    assert!(!no_wider(item(VisibleTo::OwnerRole), id(1), VisibleTo::Owner, &alone));
    assert!(!no_wider(item(VisibleTo::Company), id(1), VisibleTo::OwnerRoleAndBelow, &alone));
    let pair = company([user(1, |_| {}), user(2, |u| u.active = false)]);
    let followed = Item { owner: id(1), visible_to: VisibleTo::Owner, followers: &[id(2)] };
    assert!(!no_wider(followed, id(1), VisibleTo::Owner, &pair), "the deactivated may come back");
}

prop_compose! {
    /// Users 0 to 5, roles 0 to 3, in any state, broken trees and dangling ids included.
    fn any_company()(
        users in prop::collection::vec(
            (prop::option::of(0u8..5), any::<(bool, bool, bool)>(), 0u8..8, prop::collection::btree_set(0u8..7, 0..4)), 1..6),
        parents in prop::collection::vec(prop::option::of(0u8..5), 4),
    ) -> Directory {
        let users = users.into_iter().zip(0u8..).map(|((at, (admin, restricted, sees), active, follows), n)| user(n, |u| {
            u.role = at.map(role);
            // Admins and the deactivated decide themselves: fewer of them leave more to the rest.
            u.admin = admin && active < 2;
            u.active = active != 0;
            u.restricted = restricted;
            u.sees_followed_users = sees;
            u.follows = follows.into_iter().map(id).collect();
        }));
        let mut company = company(users);
        for (parent, n) in parents.into_iter().zip(0u8..) {
            put(&mut company, n, parent);
        }
        company
    }
}

fn any_visible_to() -> impl Strategy<Value = VisibleTo> {
    prop::sample::select(VisibleTo::ALL.to_vec())
}

/// An item by owner, visible-to and followers.
fn any_item() -> impl Strategy<Value = (UserId, VisibleTo, Vec<UserId>)> {
    let followers = prop::collection::btree_set(0u8..7, 0..4).prop_map(|set| set.into_iter().map(id).collect());
    ((0u8..7).prop_map(id), any_visible_to(), followers)
}

fn item(of: &(UserId, VisibleTo, Vec<UserId>)) -> Item<'_> {
    Item { owner: of.0, visible_to: of.1, followers: &of.2 }
}

fn seen_by(item: Item<'_>, company: &Directory) -> BTreeSet<UserId> {
    who(item, company).into_iter().map(|(user, _)| user).collect()
}

proptest! {
    #[test]
    fn a_wider_visible_to_never_takes_access(company in any_company(), of in any_item()) {
        let audiences = VisibleTo::ALL.map(|visible_to| seen_by(Item { visible_to, ..item(&of) }, &company));
        for pair in audiences.windows(2) {
            prop_assert!(pair[0].is_subset(&pair[1]));
        }
    }

    #[test]
    fn a_follower_more_is_an_access_more_and_nobodys_less(company in any_company(), of in any_item(), n in 0u8..7) {
        let before = seen_by(item(&of), &company);
        let followers: Vec<_> = of.2.iter().copied().chain([id(n)]).collect();
        let after = seen_by(Item { followers: &followers, ..item(&of) }, &company);
        let mut expected = before;
        if company.active(id(n)).is_some() {
            expected.insert(id(n));
        }
        prop_assert_eq!(after, expected);
    }

    #[test]
    fn the_restricted_see_only_what_they_own_or_follow(company in any_company(), of in any_item()) {
        for user in company.users.values().filter(|user| user.restricted && !user.admin && user.active) {
            let expected = of.0 == user.id || of.2.contains(&user.id);
            prop_assert_eq!(decide(user.id, item(&of), &company).allows(), expected);
        }
    }

    #[test]
    fn nobody_inactive_or_unknown_sees_anything(company in any_company(), of in any_item(), n in 0u8..9) {
        prop_assume!(company.active(id(n)).is_none());
        prop_assert_eq!(decide(id(n), item(&of), &company), Because::NoSuchUser);
    }

    #[test]
    fn owners_and_admins_are_never_shut_out(company in any_company(), of in any_item()) {
        for user in company.users.values().filter(|user| user.active && (user.admin || user.id == of.0)) {
            prop_assert!(decide(user.id, item(&of), &company).allows());
        }
    }

    /// The permission shows all items of the followed, or none: visible-to and the owner's role don't matter.
    #[test]
    fn who_follows_the_owner_with_the_permission_sees_all(company in any_company(), of in any_item()) {
        for user in company.users.values().filter(|user| user.active && !user.restricted && user.sees_followed_users) {
            if user.follows.contains(&of.0) {
                prop_assert!(decide(user.id, item(&of), &company).allows());
            }
        }
    }

    /// The same, told another way: a record of the account that is matched shows itself to nobody new.
    #[test]
    fn a_candidate_shows_an_accounts_record_to_nobody_else(
        company in any_company(), of in any_item(), by in 0u8..6, default in any_visible_to(),
    ) {
        let own = Item { owner: id(by), visible_to: default, followers: &[] };
        if no_wider(item(&of), id(by), default, &company) {
            prop_assert!(seen_by(item(&of), &company).is_subset(&seen_by(own, &company)));
            // Nor to anybody who joins, whatever the role.
            let mut grown = company;
            for (n, at) in (20u8..).zip([None, Some(0), Some(1), Some(2), Some(3)]) {
                grown.users.insert(id(n), user(n, |user| user.role = at.map(role)));
            }
            for user in grown.users.values_mut() {
                user.active = true;
            }
            prop_assert!(seen_by(item(&of), &grown).is_subset(&seen_by(own, &grown)));
        }
    }

    #[test]
    fn what_an_account_brings_in_is_no_wider_than_itself(company in any_company(), by in 0u8..6, default in any_visible_to()) {
        let own = Item { owner: id(by), visible_to: default, followers: &[] };
        prop_assert_eq!(no_wider(own, id(by), default, &company), company.users.contains_key(&id(by)));
        for wider in VisibleTo::ALL.into_iter().filter(|visible_to| *visible_to >= default) {
            prop_assert_eq!(no_wider(own, id(by), wider, &company), company.users.contains_key(&id(by)));
        }
    }
}
