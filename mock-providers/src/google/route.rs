//! Which call a request is, what it may say in its query, what it needs and what it costs.
//!
//! Owns: the table of calls (`google.md` 2, 4, 5, 7.1). Must not: carry one out.

use super::error::Error;
use super::quota::{CRITICAL_READ, CRITICAL_WRITE, FULL_SYNC, READ, WRITE};
use super::settings::Quotas;

/// A call, with the id that stands in its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Call {
    List,
    Get(String),
    BatchGet,
    Search,
    Create,
    Update(String),
    Delete(String),
    SetPhoto(String),
    DropPhoto(String),
    BatchCreate,
    BatchUpdate,
    BatchDelete,
    ListGroups,
    GetGroup(String),
    BatchGetGroups,
    CreateGroup,
    UpdateGroup(String),
    DeleteGroup(String),
    Modify(String),
}

impl Call {
    /// The call of a method and a decoded path; none for a path that Google answers with a page of HTML.
    pub(super) fn of(method: &str, path: &str) -> Option<Self> {
        let path = path.strip_prefix("/v1/")?;
        let id = |id: &str| (!id.is_empty() && !id.contains(['/', ':'])).then(|| id.to_owned());
        match (method, path) {
            ("GET", "people/me/connections") => return Some(Self::List),
            ("GET", "people:batchGet") => return Some(Self::BatchGet),
            ("GET", "people:searchContacts") => return Some(Self::Search),
            ("POST", "people:createContact") => return Some(Self::Create),
            ("POST", "people:batchCreateContacts") => return Some(Self::BatchCreate),
            ("POST", "people:batchUpdateContacts") => return Some(Self::BatchUpdate),
            ("POST", "people:batchDeleteContacts") => return Some(Self::BatchDelete),
            ("GET", "contactGroups") => return Some(Self::ListGroups),
            ("POST", "contactGroups") => return Some(Self::CreateGroup),
            ("GET", "contactGroups:batchGet") => return Some(Self::BatchGetGroups),
            _ => {}
        }
        if let Some(rest) = path.strip_prefix("people/") {
            let (name, verb) = rest.split_once(':').unwrap_or((rest, ""));
            return match (method, verb) {
                ("GET", "") => id(name).map(Self::Get),
                ("PATCH", "updateContact") => id(name).map(Self::Update),
                ("DELETE", "deleteContact") => id(name).map(Self::Delete),
                ("PATCH", "updateContactPhoto") => id(name).map(Self::SetPhoto),
                ("DELETE", "deleteContactPhoto") => id(name).map(Self::DropPhoto),
                _ => None,
            };
        }
        let rest = path.strip_prefix("contactGroups/")?;
        match (method, rest.strip_suffix("/members:modify")) {
            ("POST", Some(name)) => id(name).map(Self::Modify),
            ("GET", None) => id(rest).map(Self::GetGroup),
            ("PUT", None) => id(rest).map(Self::UpdateGroup),
            ("DELETE", None) => id(rest).map(Self::DeleteGroup),
            _ => None,
        }
    }

    /// The name of the procedure, as a scope error says it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::List => "ListConnections",
            Self::Get(_) => "GetPerson",
            Self::BatchGet => "GetPeople",
            Self::Search => "SearchContacts",
            Self::Create => "CreateContact",
            Self::Update(_) => "UpdateContact",
            Self::Delete(_) => "DeleteContact",
            Self::SetPhoto(_) => "UpdateContactPhoto",
            Self::DropPhoto(_) => "DeleteContactPhoto",
            Self::BatchCreate => "BatchCreateContacts",
            Self::BatchUpdate => "BatchUpdateContacts",
            Self::BatchDelete => "BatchDeleteContacts",
            Self::ListGroups => "ListContactGroups",
            Self::GetGroup(_) => "GetContactGroup",
            Self::BatchGetGroups => "BatchGetContactGroups",
            Self::CreateGroup => "CreateContactGroup",
            Self::UpdateGroup(_) => "UpdateContactGroup",
            Self::DeleteGroup(_) => "DeleteContactGroup",
            Self::Modify(_) => "ModifyContactGroupMembers",
        }
    }

    /// Whether it changes something.
    pub(super) fn mutates(&self) -> bool {
        !matches!(
            self,
            Self::List
                | Self::Get(_)
                | Self::BatchGet
                | Self::Search
                | Self::ListGroups
                | Self::GetGroup(_)
                | Self::BatchGetGroups
        )
    }

    /// Whether it creates something.
    pub(super) fn creates(&self) -> bool {
        matches!(self, Self::Create | Self::BatchCreate | Self::CreateGroup)
    }

    /// The parameters that its query may have, apart from those that all calls have.
    fn parameters(&self) -> &'static [&'static str] {
        match self {
            Self::List => &[
                "pageSize",
                "pageToken",
                "personFields",
                "requestMask.includeField",
                "requestSyncToken",
                "sortOrder",
                "sources",
                "syncToken",
            ],
            Self::Get(_) => &["personFields", "requestMask.includeField", "sources"],
            Self::BatchGet => &["personFields", "requestMask.includeField", "resourceNames", "sources"],
            Self::Search => &["pageSize", "query", "readMask", "sources"],
            Self::Create | Self::DropPhoto(_) => &["personFields", "sources"],
            Self::Update(_) => &["personFields", "sources", "updatePersonFields"],
            Self::ListGroups => &["groupFields", "pageSize", "pageToken", "syncToken"],
            Self::GetGroup(_) => &["groupFields", "maxMembers"],
            Self::BatchGetGroups => &["groupFields", "maxMembers", "resourceNames"],
            Self::DeleteGroup(_) => &["deleteContacts"],
            _ => &[],
        }
    }

    /// Whether the query says nothing else than it may.
    pub(super) fn check(&self, query: &Query) -> Result<(), Error> {
        const COMMON: [&str; 5] = ["alt", "key", "prettyPrint", "quotaUser", "$.xgafv"];
        for (name, _) in &query.0 {
            if name == "fields" {
                // Better no answer than one that is wider than the real one.
                return Err(Error::argument("The mock serves no partial responses: leave `fields` out."));
            }
            if !COMMON.contains(&name.as_str()) && !self.parameters().contains(&name.as_str()) {
                let text = format!(
                    "Invalid JSON payload received. Unknown name \"{name}\": Cannot bind query parameter. Field '{name}' \
                     could not be found in request message."
                );
                return Err(Error::field(name, text));
            }
        }
        Ok(())
    }

    /// What it costs, by class.
    pub(super) fn costs(&self, query: &Query, reads_back: bool, quotas: &Quotas) -> Vec<(&'static str, u32)> {
        match self {
            Self::List => {
                let first = query.one("pageToken").is_none() && query.one("syncToken").is_none();
                let full = first && query.flag("requestSyncToken").unwrap_or_default();
                let mut costs = vec![(CRITICAL_READ, 1)];
                costs.extend(full.then_some((FULL_SYNC, 1)));
                costs
            }
            Self::Get(_) | Self::BatchGet | Self::Search => vec![(CRITICAL_READ, 1)],
            Self::Create | Self::Update(_) | Self::SetPhoto(_) | Self::DropPhoto(_) => {
                vec![(CRITICAL_WRITE, 1), (CRITICAL_READ, u32::from(reads_back))]
            }
            Self::BatchCreate | Self::BatchUpdate => {
                let read = if reads_back { quotas.batch_cost } else { 0 };
                vec![(CRITICAL_WRITE, quotas.batch_cost), (CRITICAL_READ, read)]
            }
            Self::ListGroups | Self::GetGroup(_) | Self::BatchGetGroups => vec![(READ, 1)],
            _ => vec![(WRITE, 1)],
        }
    }
}

/// A query's pairs.
#[derive(Clone, Debug, Default)]
pub(super) struct Query(pub(super) Vec<(String, String)>);

impl Query {
    /// The value of a parameter, if it is there and not empty.
    pub(super) fn one(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// The values of a parameter that may be repeated.
    pub(super) fn many<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A number; none when it is absent.
    pub(super) fn number(&self, name: &str) -> Result<Option<usize>, Error> {
        let bad = |text| Error::field(name, format!("Invalid value at '{name}' (TYPE_INT32), \"{text}\""));
        self.one(name).map(|text| text.parse().map_err(|_| bad(text))).transpose()
    }

    /// A truth value; false when it is absent.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Error> {
        match self.one(name) {
            None | Some("false" | "False") => Ok(false),
            Some("true" | "True") => Ok(true),
            Some(text) => Err(Error::field(name, format!("Invalid value at '{name}' (TYPE_BOOL), \"{text}\""))),
        }
    }

    /// A page size up to `most`; 0 stands for the default.
    pub(super) fn page_size(&self, default: usize, most: usize) -> Result<usize, Error> {
        match self.number("pageSize")? {
            None | Some(0) => Ok(default),
            Some(size) if size <= most => Ok(size),
            Some(_) => Err(Error::field("pageSize", format!("Page size must be between 1 and {most}."))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Call;

    #[test]
    fn paths_are_calls_or_nothing() {
        let id = || "c1".to_owned();
        assert_eq!(Call::of("GET", "/v1/people/c1"), Some(Call::Get(id())));
        assert_eq!(Call::of("PATCH", "/v1/people/c1:updateContact"), Some(Call::Update(id())));
        assert_eq!(Call::of("POST", "/v1/contactGroups/c1/members:modify"), Some(Call::Modify(id())));
        assert_eq!(Call::of("GET", "/v1/people/me/connections"), Some(Call::List));
        for (method, path) in [
            ("POST", "/v1/people/c1"),
            ("GET", "/v1/people/c1/connections"),
            ("GET", "/v2/people/c1"),
            ("GET", "/v1/people/"),
        ] {
            assert_eq!(Call::of(method, path), None, "{method} {path}");
        }
    }
}
