//! Marking people and records as unsettled, and lifting the marks.
//!
//! A person's mark carries the person's revision: a run that looked at an older one does not lift it. Marks that are made
//! from outside a run, because something other than the person changed (settings, roles, an answer), carry the fence of
//! the lease that is in force: only a later run lifts them, since this one may have looked before. A record's mark is
//! made with a new version, which does the same.

use std::collections::{BTreeSet, HashMap};

use super::super::Change;
use super::super::driver::Stmt;
use super::args;
use crate::crm::person::Person;
use crate::ids::{AccountId, ConflictId, Fence, HeldId, PersonId, RemoteId, Revision, RoleId, UserId};

/// Ends a statement that marks people.
macro_rules! marked {
    () => {
        " ON CONFLICT (account, person) DO UPDATE SET revision = excluded.revision, \
         fence = CASE WHEN excluded.fence > dirty.fence THEN excluded.fence ELSE dirty.fence END"
    };
}

/// The fence for a mark in account `x.account`: none in the account of the run that makes it (placeholder `$1`).
macro_rules! fence {
    () => {
        "COALESCE((SELECT le.fence FROM leases le WHERE le.account = x.account AND le.account <> $1), 0)"
    };
}

const CHANGED_OWNED: &str = concat!(
    "INSERT INTO dirty (account, person, revision, fence) SELECT a.id, CAST($1 AS TEXT), CAST($2 AS BIGINT), 0 FROM accounts a WHERE a.user_id = $3 \
     AND a.id <> $4",
    marked!()
);
// Once per account: PostgreSQL changes no row twice in one statement, and a person may have several ended links there.
const CHANGED_LINKED: &str = concat!(
    "INSERT INTO dirty (account, person, revision, fence) SELECT DISTINCT l.account, l.person, CAST($1 AS BIGINT), 0 \
     FROM links l WHERE l.person = $2 AND l.account <> $3",
    marked!()
);

const PERSON: &str = concat!(
    "INSERT INTO dirty (account, person, revision, fence) SELECT x.account, p.id, p.revision, ",
    fence!(),
    " FROM (SELECT CAST($2 AS TEXT) AS account) x JOIN persons p ON p.id = $3 WHERE TRUE",
    marked!()
);

// An account's links are found by two indexes, of those that are open and of those that ended.
const ACCOUNT: &str = concat!(
    "INSERT INTO dirty (account, person, revision, fence) SELECT x.account, p.id, p.revision, ",
    fence!(),
    " FROM (SELECT a.id AS account, q.id AS person FROM accounts a JOIN persons q ON q.owner = a.user_id WHERE a.id = $2 \
     UNION SELECT l.account, l.person FROM links l WHERE l.account = $2 AND l.rank < 2 \
     UNION SELECT l.account, l.person FROM links l WHERE l.account = $2 AND l.rank = 2) x JOIN persons p ON p.id = x.person WHERE TRUE",
    marked!()
);

const USER: &str = concat!(
    "INSERT INTO dirty (account, person, revision, fence) SELECT x.account, p.id, p.revision, ",
    fence!(),
    " FROM (SELECT l.account, l.person FROM accounts a JOIN links l ON l.account = a.id AND l.rank < 2 \
     WHERE a.user_id = $2 \
     UNION SELECT l.account, l.person FROM accounts a JOIN links l ON l.account = a.id AND l.rank = 2 \
     WHERE a.user_id = $2 \
     UNION SELECT l.account, l.person FROM links l JOIN persons q ON q.id = l.person WHERE q.owner = $2) x \
     JOIN persons p ON p.id = x.person WHERE TRUE",
    marked!()
);

const ROLE: &str = concat!(
    "INSERT INTO dirty (account, person, revision, fence) SELECT x.account, p.id, p.revision, ",
    fence!(),
    " FROM (WITH RECURSIVE up(id) AS (SELECT CAST($2 AS TEXT) UNION SELECT r.parent FROM roles r JOIN up ON r.id = up.id \
     WHERE r.parent IS NOT NULL), down(id) AS (SELECT CAST($2 AS TEXT) UNION SELECT r.id FROM roles r \
     JOIN down ON r.parent = down.id), who(id) AS (SELECT u.id FROM users u WHERE u.role IN (SELECT up.id FROM up) \
     OR u.role IN (SELECT down.id FROM down)) \
     SELECT l.account, l.person FROM who JOIN accounts a ON a.user_id = who.id \
     JOIN links l ON l.account = a.id AND l.rank < 2 \
     UNION SELECT l.account, l.person FROM who JOIN accounts a ON a.user_id = who.id \
     JOIN links l ON l.account = a.id AND l.rank = 2 \
     UNION SELECT l.account, l.person FROM links l JOIN persons q ON q.id = l.person JOIN who ON who.id = q.owner) x \
     JOIN persons p ON p.id = x.person WHERE TRUE",
    marked!()
);

const HELD: &str = concat!(
    "INSERT INTO dirty (account, person, revision, fence) SELECT x.account, p.id, p.revision, ",
    fence!(),
    " FROM held x JOIN persons p ON p.id = x.person WHERE x.id = $2",
    marked!()
);

const CONFLICT: &str = concat!(
    "INSERT INTO dirty (account, person, revision, fence) SELECT x.account, p.id, p.revision, ",
    fence!(),
    " FROM conflicts x JOIN persons p ON p.id = x.person WHERE x.id = $2",
    marked!()
);

const RECORD: &str = "UPDATE seen SET unsettled = TRUE, version = version + 1 WHERE account = $1 AND remote = $2";
const RECORDS: &str = "UPDATE seen SET unsettled = TRUE, version = version + 1 WHERE account = $1";
const SETTLE_RECORD: &str =
    "UPDATE seen SET unsettled = FALSE WHERE account = $1 AND remote = $2 AND version = $3 AND unsettled";
const SETTLE_PERSON: &str = "DELETE FROM dirty WHERE account = $1 AND person = $2 AND revision <= $3 AND fence < $4";

/// Who marks: the account whose run does it, if one does.
pub(super) type By = Option<AccountId>;

fn by(by: By) -> String {
    by.map(|account| account.to_string()).unwrap_or_default()
}

/// A new version of the person is stored; `linked` says whether there may be links to it, and `but` in which account the
/// mark would be taken off again.
pub(super) fn changed(person: &Person, linked: bool, but: By) -> impl Iterator<Item = Stmt> {
    let Person { id, revision, owner, .. } = person;
    let owned = Stmt::new(CHANGED_OWNED, args![*id, *revision, *owner, by(but)]);
    let linked = linked.then(|| Stmt::new(CHANGED_LINKED, args![*revision, *id, by(but)]));
    std::iter::once(owned).chain(linked)
}

/// Those who are new with this commit and are settled by it, with the account. No mark can have been there before, so that
/// none needs to be made and taken off: all accounts' marks stand close together, and on PostgreSQL accounts in their first
/// sync would be in each other's way there. Nobody, where the commit may mark people for another reason too.
pub(super) fn settled_at_once(changes: &[Change]) -> HashMap<PersonId, AccountId> {
    let mut new: BTreeSet<PersonId> = BTreeSet::new();
    let mut settled = HashMap::new();
    for change in changes {
        match change {
            Change::PutPerson(person) if person.revision.0 <= 1 => drop(new.insert(person.id)),
            // Its mark is that of another revision.
            Change::PutPerson(person) => {
                new.remove(&person.id);
                settled.remove(&person.id);
            }
            Change::SettlePerson(account, person, revision) if revision.0 >= 1 && new.remove(person) => {
                settled.insert(*person, *account);
            }
            Change::UnsettlePerson(..)
            | Change::UnsettleAccount(_)
            | Change::PutUser(_)
            | Change::PutRole(_)
            | Change::AnswerHeld(..)
            | Change::ResolveConflict(_) => return HashMap::new(),
            _ => {}
        }
    }
    settled
}

/// The person is to be looked at again in that account.
pub(super) fn person(run: By, account: AccountId, person: PersonId) -> Stmt {
    Stmt::new(PERSON, args![by(run), account, person])
}

/// Everything of the account.
pub(super) fn account(run: By, account: AccountId) -> [Stmt; 2] {
    [Stmt::new(ACCOUNT, args![by(run), account]), Stmt::new(RECORDS, args![account])]
}

/// The links in the user's accounts, and those of the user's people.
pub(super) fn user(run: By, user: UserId) -> Stmt {
    Stmt::new(USER, args![by(run), user])
}

/// The same for every user with that role, or one above or below it.
pub(super) fn role(run: By, role: RoleId) -> Stmt {
    Stmt::new(ROLE, args![by(run), role])
}

/// The person of a held deletion, which was answered.
pub(super) fn held(run: By, held: HeldId) -> Stmt {
    Stmt::new(HELD, args![by(run), held])
}

/// The person of a conflict, which was dealt with.
pub(super) fn conflict(run: By, conflict: ConflictId) -> Stmt {
    Stmt::new(CONFLICT, args![by(run), conflict])
}

/// The record is to be looked at again.
pub(super) fn record(account: AccountId, remote: &RemoteId) -> Stmt {
    Stmt::new(RECORD, args![account, remote])
}

/// That version of the record needs nothing more.
pub(super) fn settle_record(account: AccountId, remote: &RemoteId, version: i64) -> Stmt {
    Stmt::new(SETTLE_RECORD, args![account, remote, version])
}

/// That revision of the person needs nothing more, says a run under that fence.
pub(super) fn settle_person(fence: Option<Fence>, account: AccountId, person: PersonId, revision: Revision) -> Stmt {
    let fence = fence.unwrap_or(Fence(i64::MAX));
    Stmt::new(SETTLE_PERSON, args![account, person, revision, fence])
}
