//! Groups, which Google calls labels (google.md §5).
//!
//! Owns: which of them can be chosen, and getting into one and out of it. A contact stays in one group at least: out of
//! its last one it goes by way of "Contacts".

use std::collections::HashSet;

use super::Client;
use super::edit::MY_CONTACTS;
use super::fault::{ApiError, Fault};
use super::wire::{self, ContactGroup, Groups, Modified};
use crate::ids::GroupId;
use crate::provider::Group;
use crate::sync::retry::Resend;

/// System groups that people see and can put contacts into, and their names if Google tells none.
const SYSTEM: &[(&str, &str)] = &[(MY_CONTACTS, "My Contacts"), ("contactGroups/starred", "Starred")];

/// What became of a change of members, for each of them.
#[derive(Debug, Default)]
pub(super) struct Membership {
    /// Contacts that are not there.
    pub missing: HashSet<String>,
    /// Contacts that can't leave: it is the one group that every contact may be in.
    pub stuck: HashSet<String>,
}

impl Client {
    /// The groups that can be chosen, by name.
    pub(super) async fn groups(&self) -> Result<Vec<Group>, Fault> {
        let mut all = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let answer = self.ask(&self.api.groups(token.as_deref())).await?;
            let page: Groups = wire::read(&answer.body).ok_or(Fault::Implausible("groups that can't be read"))?;
            all.extend(page.contact_groups.into_iter().filter_map(shown));
            match page.next_page_token.filter(|next| !next.is_empty()) {
                Some(next) if token.as_ref() == Some(&next) => return Err(Fault::Implausible("the same page twice")),
                Some(next) => token = Some(next),
                None => break,
            }
        }
        all.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.id.cmp(&b.id)));
        Ok(all)
    }

    /// Puts contacts into a group, or takes them out of it. Harmless however often it is done.
    pub(super) async fn change_members(
        &self,
        group: &GroupId,
        names: &[&str],
        join: bool,
    ) -> Result<Membership, Fault> {
        let first = self.modify(group.as_str(), names, join).await?;
        let mut result =
            Membership { missing: first.not_found_resource_names.into_iter().collect(), ..Membership::default() };
        let last = first.can_not_remove_last_contact_group_resource_names;
        if last.is_empty() {
            return Ok(result);
        }
        if group.as_str() == MY_CONTACTS {
            result.stuck.extend(last);
            return Ok(result);
        }
        let last: Vec<&str> = last.iter().map(String::as_str).collect();
        self.modify(MY_CONTACTS, &last, true).await?;
        let second = self.modify(group.as_str(), &last, false).await?;
        result.missing.extend(second.not_found_resource_names);
        result.stuck.extend(second.can_not_remove_last_contact_group_resource_names);
        Ok(result)
    }

    async fn modify(&self, group: &str, names: &[&str], join: bool) -> Result<Modified, Fault> {
        let request = if join { self.api.modify(group, names, &[]) } else { self.api.modify(group, &[], names) };
        let answer = self.call(&request, Resend::Guarded).await?;
        if !answer.status.is_success() {
            return Err(Fault::Api(ApiError::of(&answer)));
        }
        wire::read(&answer.body).ok_or(Fault::Implausible("an answer that can't be read"))
    }
}

/// A group as people see it; `None` for those that they don't.
fn shown(group: ContactGroup) -> Option<Group> {
    if group.metadata["deleted"] == true || !wire::is_name(&group.resource_name, "contactGroups") {
        return None;
    }
    let system = SYSTEM.iter().find(|(id, _)| *id == group.resource_name);
    let usual = match (group.group_type.as_str(), system) {
        ("USER_CONTACT_GROUP", _) => group.name.as_str(),
        (_, Some((_, usual))) => usual,
        _ => return None,
    };
    let name = [group.formatted_name.as_str(), usual].into_iter().find(|name| !name.trim().is_empty())?.to_owned();
    Some(Group { id: GroupId(group.resource_name), name, size: Some(group.member_count.unwrap_or(0)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_as_people_see_them() {
        let answer: Groups = wire::read(
            br#"{"contactGroups":[
            {"resourceName":"contactGroups/3a5c0e8f","groupType":"USER_CONTACT_GROUP","name":"CRM","formattedName":"CRM","memberCount":42},
            {"resourceName":"contactGroups/myContacts","groupType":"SYSTEM_CONTACT_GROUP","name":"myContacts","formattedName":"My Contacts","memberCount":3},
            {"resourceName":"contactGroups/starred","groupType":"SYSTEM_CONTACT_GROUP","name":"starred"},
            {"resourceName":"contactGroups/friends","groupType":"SYSTEM_CONTACT_GROUP","name":"friends","formattedName":"Friends"},
            {"resourceName":"contactGroups/0b","groupType":"USER_CONTACT_GROUP","metadata":{"deleted":true},"name":"Old"}]}"#,
        )
        .unwrap();
        let groups: Vec<Group> = answer.contact_groups.into_iter().filter_map(shown).collect();
        let told: Vec<(&str, &str, Option<u64>)> =
            groups.iter().map(|group| (group.id.as_str(), group.name.as_str(), group.size)).collect();
        let expected = [
            ("contactGroups/3a5c0e8f", "CRM", Some(42)),
            ("contactGroups/myContacts", "My Contacts", Some(3)),
            ("contactGroups/starred", "Starred", Some(0)),
        ];
        assert_eq!(told, expected);
    }
}
