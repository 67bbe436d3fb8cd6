//! The access policy as one SQL predicate. It must say what [`crate::crm::access::decide`] says; a property test holds the
//! two together.

/// The roles of the user with that placeholder: its own and all above it; for the head of a statement that uses
/// `may_see!`.
macro_rules! roles_above {
    ($user:literal) => {
        concat!(
            "WITH RECURSIVE above(id) AS (SELECT m.role FROM users m WHERE m.id = ",
            $user,
            " AND m.role IS NOT NULL UNION SELECT r.parent FROM roles r JOIN above b ON r.id = b.id ",
            "WHERE r.parent IS NOT NULL)"
        )
    };
}

/// Whether the user with that placeholder may see and edit person `p`.
macro_rules! may_see {
    ($user:literal) => {
        concat!(
            "EXISTS (SELECT 1 FROM users u WHERE u.id = ",
            $user,
            " AND u.active AND (u.admin OR u.id = p.owner",
            " OR EXISTS (SELECT 1 FROM followers f WHERE f.person = p.id AND f.follower = u.id)",
            " OR (NOT u.restricted AND (",
            "(u.sees_followed AND EXISTS",
            " (SELECT 1 FROM user_follows w WHERE w.follower = u.id AND w.followed = p.owner))",
            " OR p.visible_to = 'company'",
            " OR (p.visible_to = 'owner_role' AND EXISTS",
            " (SELECT 1 FROM users o WHERE o.id = p.owner AND o.role = u.role))",
            " OR (p.visible_to = 'owner_role_and_below' AND EXISTS",
            " (SELECT 1 FROM users o JOIN above b ON b.id = o.role WHERE o.id = p.owner))",
            "))))"
        )
    };
}

pub(super) use {may_see, roles_above};
