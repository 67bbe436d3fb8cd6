//! Who is in which group, where groups list their members (Apple's group cards).
//!
//! Owns: the index from a member's UID to its groups, nested groups included.

use std::collections::{BTreeMap, BTreeSet};

use super::{Running, SyncError};
use crate::ids::RemoteId;
use crate::sync::caps;
use crate::sync::settings::Scope;
use crate::sync::view::{Groups, Roster};

/// The account's groups that list their members.
#[derive(Default)]
pub(super) struct Membership {
    rosters: BTreeMap<RemoteId, Roster>,
    groups_of: BTreeMap<String, Groups>,
}

/// UIDs are compared without case: clients write them both ways (icloud-carddav §5.1).
fn folded(uid: &str) -> String {
    uid.to_ascii_lowercase()
}

impl Membership {
    pub(super) fn new(rosters: Vec<Roster>) -> Self {
        let mut new =
            Self { rosters: rosters.into_iter().map(|r| (r.at.id.clone(), r)).collect(), groups_of: BTreeMap::new() };
        new.index();
        new
    }

    /// The groups that name this member, directly or through a group within a group.
    pub(super) fn of(&self, uid: Option<&str>) -> Groups {
        uid.and_then(|uid| self.groups_of.get(&folded(uid))).cloned().unwrap_or_default()
    }

    /// The roster of that group card, if it is one.
    pub(super) fn roster(&self, id: &RemoteId) -> Option<&Roster> {
        self.rosters.get(id)
    }

    /// The roster of that group.
    pub(super) fn of_group(&self, group: &crate::ids::GroupId) -> Option<&Roster> {
        self.rosters.values().find(|r| r.group == *group)
    }

    /// Takes over a roster, or its end; says whose groups changed by it.
    pub(super) fn change(&mut self, id: &RemoteId, roster: Option<Roster>) -> BTreeSet<String> {
        let before = std::mem::take(&mut self.groups_of);
        match roster {
            Some(roster) => self.rosters.insert(id.clone(), roster),
            None => self.rosters.remove(id),
        };
        self.index();
        let uids: BTreeSet<&String> = before.keys().chain(self.groups_of.keys()).collect();
        uids.into_iter().filter(|uid| before.get(*uid) != self.groups_of.get(*uid)).cloned().collect()
    }

    fn index(&mut self) {
        self.groups_of.clear();
        let by_uid: BTreeMap<String, &Roster> =
            self.rosters.values().filter_map(|r| Some((folded(r.uid.as_ref()?), r))).collect();
        for roster in self.rosters.values() {
            // Each group's members and those of the groups within it; each group is walked once, so that circles end.
            let mut walked = BTreeSet::new();
            let mut open = vec![roster];
            while let Some(inner) = open.pop() {
                if !walked.insert(&inner.at.id) {
                    continue;
                }
                for member in inner.members.iter().map(|m| folded(m)) {
                    open.extend(by_uid.get(&member));
                    self.groups_of.entry(member).or_default().insert(roster.group.clone());
                }
            }
        }
    }
}

impl Running<'_> {
    pub(super) async fn load_membership(&mut self) -> Result<(), SyncError> {
        if self.provider.capabilities().membership == caps::Membership::Roster {
            self.membership = Membership::new(self.store().rosters(self.account.id).await?);
        }
        Ok(())
    }

    /// Whether a record in these groups takes part.
    pub(super) fn in_scope(&self, id: &RemoteId, groups: &Groups) -> bool {
        match &self.account.settings.scope {
            Scope::All => true,
            Scope::Group(group) => groups.contains(group) || self.joining.contains(id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::view::RemoteRef;

    fn roster(id: &str, uid: &str, members: &[&str]) -> Roster {
        Roster {
            at: RemoteRef { collection: "book".into(), id: id.into(), etag: None },
            group: id.into(),
            name: id.to_owned(),
            uid: Some(uid.to_owned()),
            members: members.iter().map(|m| (*m).to_owned()).collect(),
        }
    }

    #[test]
    fn groups_within_groups_and_circles() {
        let mut all = Membership::new(vec![roster("a", "A", &["x", "B"]), roster("b", "B", &["Y", "A"])]);
        let names = |all: &Membership, uid| all.of(Some(uid)).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names(&all, "x"), ["a", "b"]);
        assert_eq!(names(&all, "y"), ["a", "b"]);
        let changed = all.change(&"b".into(), Some(roster("b", "B", &["Y"])));
        assert!(changed.contains("x") && !changed.contains("y"));
        assert_eq!(names(&all, "x"), ["a"]);
        assert_eq!(names(&all, "y"), ["a", "b"]);
        all.change(&"b".into(), None);
        assert!(names(&all, "y").is_empty());
    }
}
