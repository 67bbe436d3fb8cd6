//! Who is in which group, where groups list their members (Apple's group cards).
//!
//! Owns: the index from a member's UID to its groups, nested groups included.

use std::collections::{BTreeMap, BTreeSet};

use super::{Running, SyncError};
use crate::ids::{GroupId, RemoteId};
use crate::sync::caps;
use crate::sync::settings::Scope;
use crate::sync::view::{Groups, Roster, Seen};

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
        let groups = rosters.iter().map(|r| r.group.clone()).collect();
        let rosters = rosters.into_iter().map(|r| (r.at.id.clone(), r)).collect();
        let mut new = Self { rosters, groups_of: BTreeMap::new() };
        for (group, member) in new.members(&groups) {
            new.groups_of.entry(member).or_default().insert(group);
        }
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
    pub(super) fn of_group(&self, group: &GroupId) -> Option<&Roster> {
        self.rosters.values().find(|r| r.group == *group)
    }

    /// Takes over a roster, or its end; says whose groups changed by it. Only its own group can change, and those that
    /// have it within them.
    pub(super) fn change(&mut self, id: &RemoteId, roster: Option<Roster>) -> BTreeSet<String> {
        let mut groups = Groups::new();
        for one in self.rosters.get(id).into_iter().chain(&roster) {
            groups.insert(one.group.clone());
            groups.append(&mut self.of(one.uid.as_deref()));
        }
        let before = self.members(&groups);
        match roster {
            Some(roster) => self.rosters.insert(id.clone(), roster),
            None => self.rosters.remove(id),
        };
        let after = self.members(&groups);
        let mut changed = BTreeSet::new();
        for (group, member) in before.difference(&after) {
            if let Some(of) = self.groups_of.get_mut(member) {
                of.remove(group);
                if of.is_empty() {
                    self.groups_of.remove(member);
                }
            }
            changed.insert(member.clone());
        }
        for (group, member) in after.difference(&before) {
            self.groups_of.entry(member.clone()).or_default().insert(group.clone());
            changed.insert(member.clone());
        }
        changed
    }

    /// The members of these groups and of the groups within them, each with its group.
    fn members(&self, groups: &Groups) -> BTreeSet<(GroupId, String)> {
        let by_uid: BTreeMap<String, &Roster> =
            self.rosters.values().filter_map(|r| Some((folded(r.uid.as_ref()?), r))).collect();
        let mut members = BTreeSet::new();
        for roster in self.rosters.values().filter(|r| groups.contains(&r.group)) {
            // Each group is walked once, so that circles end.
            let mut walked = BTreeSet::new();
            let mut open = vec![roster];
            while let Some(inner) = open.pop() {
                if !walked.insert(&inner.at.id) {
                    continue;
                }
                for member in inner.members.iter().map(|m| folded(m)) {
                    open.extend(by_uid.get(&member));
                    members.insert((roster.group.clone(), member));
                }
            }
        }
        members
    }
}

impl Running<'_> {
    pub(super) async fn load_membership(&mut self) -> Result<(), SyncError> {
        if self.provider.capabilities().membership == caps::Membership::Roster {
            self.membership = Membership::new(self.store().rosters(self.account.id).await?);
        }
        Ok(())
    }

    /// Whether the sync group has a card of its own which no listing has shown yet.
    pub(super) fn lacks_group(&self) -> bool {
        let Scope::Group(group) = &self.account.settings.scope else { return false };
        let due = |seen: &Seen| matches!(seen, Seen::Roster(roster) if roster.group == *group);
        self.provider.capabilities().membership == caps::Membership::Roster
            && self.membership.of_group(group).is_none()
            && !self.rosters_due.iter().any(due)
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

    /// What is changed step by step is what would be read anew.
    #[test]
    fn a_change_leaves_what_a_new_index_would_say() {
        let members = ["x", "y", "A", "b", "C"];
        let mut all = Membership::default();
        let mut state = 7_usize;
        for _ in 0..500 {
            state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345) & 0x7fff_ffff;
            let (id, uid) = (["a", "b", "c"][state / 8 % 3], ["A", "B", "c"][state / 32 % 3]);
            let named: Vec<&str> = (0..5).filter(|n| state >> (10 + n) & 1 == 1).map(|n| members[n]).collect();
            let before = all.groups_of.clone();
            let changed = all.change(&id.into(), (!(state / 128).is_multiple_of(4)).then(|| roster(id, uid, &named)));
            let anew = Membership::new(all.rosters.values().cloned().collect());
            assert_eq!(all.groups_of, anew.groups_of, "{state}");
            let uids: BTreeSet<&String> = before.keys().chain(anew.groups_of.keys()).collect();
            let differ = uids.into_iter().filter(|uid| before.get(*uid) != anew.groups_of.get(*uid)).cloned();
            assert_eq!(changed, differ.collect(), "{state}");
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
