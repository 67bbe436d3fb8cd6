//! What goes over the wire at Google (google.md §2, §4, §5): addresses, masks, envelopes, and where a listing stands.
//!
//! Owns: the constant parameters, and the cursor that remembers under which of them it was made. Must not: know a card.

use std::collections::BTreeMap;

use reqwest::{Method, Url};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::ids::{Cursor, PageToken, Timestamp};
use crate::provider::http::message::Request;

/// All that is read of a person. Every change of it makes old cursors worthless (google.md §2.2, 3).
const PERSON_FIELDS: &str = "addresses,biographies,birthdays,clientData,emailAddresses,events,genders,imClients,locales,\
memberships,metadata,names,nicknames,organizations,phoneNumbers,photos,relations,urls";
/// What is read to find records of ours by their tokens.
const TOKEN_FIELDS: &str = "clientData,metadata";
/// The most that a page of a listing holds.
const PAGE_SIZE: &str = "1000";
/// Without the profiles of the people themselves, whose values can't be written back (google.md §2).
const SOURCE: &str = "READ_SOURCE_TYPE_CONTACT";
/// Labels and names of Google's own making come in this language whatever the account's is (google.md §3.1).
pub(super) const LANGUAGE: &str = "en";
/// The most people that one request reads or writes.
pub(super) const MOST_PEOPLE: usize = 200;
/// The most people that one request deletes.
pub(super) const MOST_DELETED: usize = 500;
/// The most people that one request puts into a group or out of it.
pub(super) const MOST_MEMBERS: usize = 1_000;
/// Lists of people show no more e-mail addresses and phone numbers than this of one.
pub(super) const CUT_AT: usize = 100;

/// A page of a listing.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Listing {
    pub connections: Vec<Json>,
    pub next_page_token: Option<String>,
    pub next_sync_token: Option<String>,
}

/// What became of one person in a batch.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PersonResponse {
    pub requested_resource_name: Option<String>,
    pub person: Option<Json>,
    pub status: Json,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Got {
    pub responses: Vec<PersonResponse>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Created {
    pub created_people: Vec<PersonResponse>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Updated {
    pub update_result: BTreeMap<String, PersonResponse>,
}

/// The answer to a change of a picture.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Pictured {
    pub person: Option<Json>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Groups {
    pub contact_groups: Vec<ContactGroup>,
    pub next_page_token: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ContactGroup {
    pub resource_name: String,
    pub group_type: String,
    pub name: String,
    pub formatted_name: String,
    pub member_count: Option<u64>,
    pub metadata: Json,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Modified {
    pub not_found_resource_names: Vec<String>,
    pub can_not_remove_last_contact_group_resource_names: Vec<String>,
}

/// Who signed in.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Userinfo {
    pub sub: String,
    pub email: Option<String>,
}

/// Where a listing goes on, or what a sync starts from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// The next page of this listing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub page: Option<String>,
    /// What changed since then is listed; none = everything.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sync: Option<String>,
    /// Under which parameters it was begun.
    pub under: String,
    /// When the last full listing was begun: its tokens die some days later.
    pub full: Timestamp,
}

impl Place {
    /// A full listing that begins now.
    pub(super) fn start(now: Timestamp) -> Self {
        Self { page: None, sync: None, under: parameters(), full: now }
    }

    /// As it stands in a cursor or page token; `None` if that is none of ours, or was made under other parameters.
    pub(super) fn read(text: &str) -> Option<Self> {
        serde_json::from_str::<Self>(text).ok().filter(|place| place.under == parameters())
    }

    fn text(&self) -> String {
        // A struct of texts and numbers can always be written.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The next page.
    pub(super) fn turned(&self, page: String) -> PageToken {
        PageToken(Self { page: Some(page), ..self.clone() }.text())
    }

    /// The end: what the next sync starts from.
    pub(super) fn done(&self, sync: String) -> Cursor {
        Cursor(Self { page: None, sync: Some(sync), ..self.clone() }.text())
    }

    /// Whether it is time to list everything again. A clock that was set back by more than an hour says nothing.
    pub(super) fn is_old(&self, now: Timestamp, most: i64) -> bool {
        !(-3_600_000..most).contains(&now.since(self.full))
    }
}

/// Stands for all that must be the same in every request of a listing.
fn parameters() -> String {
    let all = [PERSON_FIELDS, PAGE_SIZE, SOURCE, LANGUAGE].join("|");
    blake3::hash(all.as_bytes()).to_hex()[..16].to_owned()
}

/// Requests to the People API.
#[derive(Clone, Debug)]
pub(super) struct Api(pub(super) Url);

impl Api {
    fn url(&self, path: &str, query: &[(&str, &str)]) -> Url {
        let mut url = self.0.clone();
        url.set_path(&format!("{}v1/{path}", self.0.path()));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    fn get(&self, path: &str, query: &[(&str, &str)]) -> Request {
        Request::new(Method::GET, self.url(path, query))
    }

    fn post(&self, path: &str, body: &Json) -> Request {
        Request::new(Method::POST, self.url(path, &[])).body("application/json", body.to_string())
    }

    /// A page of the listing.
    pub(super) fn list(&self, place: &Place) -> Request {
        let mut query = vec![
            ("personFields", PERSON_FIELDS),
            ("pageSize", PAGE_SIZE),
            ("sources", SOURCE),
            ("requestSyncToken", "true"),
        ];
        query.extend(place.sync.as_deref().map(|token| ("syncToken", token)));
        query.extend(place.page.as_deref().map(|token| ("pageToken", token)));
        self.get("people/me/connections", &query)
    }

    /// A page of the tokens that people carry.
    pub(super) fn list_tokens(&self, page: Option<&str>) -> Request {
        let mut query = vec![("personFields", TOKEN_FIELDS), ("pageSize", PAGE_SIZE), ("sources", SOURCE)];
        query.extend(page.map(|token| ("pageToken", token)));
        self.get("people/me/connections", &query)
    }

    /// Some people.
    pub(super) fn batch_get<'a>(&self, names: impl Iterator<Item = &'a str>) -> Request {
        let mut query: Vec<(&str, &str)> = names.map(|name| ("resourceNames", name)).collect();
        query.extend([("personFields", PERSON_FIELDS), ("sources", SOURCE)]);
        self.get("people:batchGet", &query)
    }

    pub(super) fn create(&self, people: &[&Json]) -> Request {
        let contacts: Vec<Json> = people.iter().map(|person| json!({ "contactPerson": person })).collect();
        self.post(
            "people:batchCreateContacts",
            &json!({ "contacts": contacts, "readMask": PERSON_FIELDS, "sources": [SOURCE] }),
        )
    }

    /// People by their resource names, as a map (google.md §4).
    pub(super) fn update(&self, people: &BTreeMap<&str, &Json>, mask: &str) -> Request {
        self.post(
            "people:batchUpdateContacts",
            &json!({ "contacts": people, "updateMask": mask, "readMask": PERSON_FIELDS, "sources": [SOURCE] }),
        )
    }

    pub(super) fn batch_delete(&self, names: &[&str]) -> Request {
        self.post("people:batchDeleteContacts", &json!({ "resourceNames": names }))
    }

    pub(super) fn delete(&self, name: &str) -> Request {
        Request::new(Method::DELETE, self.url(&format!("{name}:deleteContact"), &[]))
    }

    pub(super) fn set_photo(&self, name: &str, base64: &str) -> Request {
        let body = json!({ "photoBytes": base64, "personFields": PERSON_FIELDS, "sources": [SOURCE] });
        let url = self.url(&format!("{name}:updateContactPhoto"), &[]);
        Request::new(Method::PATCH, url).body("application/json", body.to_string())
    }

    pub(super) fn delete_photo(&self, name: &str) -> Request {
        let query = [("personFields", PERSON_FIELDS), ("sources", SOURCE)];
        Request::new(Method::DELETE, self.url(&format!("{name}:deleteContactPhoto"), &query))
    }

    pub(super) fn groups(&self, page: Option<&str>) -> Request {
        let mut query = vec![("pageSize", PAGE_SIZE), ("groupFields", "groupType,memberCount,metadata,name")];
        query.extend(page.map(|token| ("pageToken", token)));
        self.get("contactGroups", &query)
    }

    pub(super) fn modify(&self, group: &str, add: &[&str], remove: &[&str]) -> Request {
        let body = json!({ "resourceNamesToAdd": add, "resourceNamesToRemove": remove });
        self.post(&format!("{group}/members:modify"), &body)
    }
}

/// Whether an id is a resource's name of that kind: it becomes a path, and must not lead anywhere else.
pub(super) fn is_name(id: &str, kind: &str) -> bool {
    id.strip_prefix(kind).and_then(|rest| rest.strip_prefix('/')).is_some_and(|rest| {
        !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
    })
}

/// An answer's body; `None` if it is not what it should be.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    serde_json::from_slice(body).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_remember_what_they_were_made_under() {
        let start = Place::start(Timestamp(5));
        let page = start.turned("a+/=".into());
        let read = Place::read(page.as_str()).unwrap();
        assert_eq!((read.page.as_deref(), read.sync.as_deref(), read.full), (Some("a+/="), None, Timestamp(5)));
        let cursor = read.done("s".into());
        let read = Place::read(cursor.as_str()).unwrap();
        assert_eq!((read.page.as_deref(), read.sync.as_deref(), read.full), (None, Some("s"), Timestamp(5)));
        assert!(Place::read(&cursor.as_str().replace(&parameters(), "0123456789abcdef")).is_none());
        assert!(Place::read("CAISB").is_none());
    }

    #[test]
    fn a_listing_grows_old() {
        let place = Place::start(Timestamp(10_000_000));
        for (now, old) in [(10_000_000, false), (10_000_999, false), (10_001_000, true), (9_000_000, false), (0, true)]
        {
            assert_eq!(place.is_old(Timestamp(now), 1_000), old, "{now}");
        }
    }

    #[test]
    fn tokens_are_escaped_and_paths_stay_below_the_base() {
        let api = Api(Url::parse("http://127.0.0.1/google/").unwrap());
        let place = Place { page: Some("a+/=&b".into()), sync: Some("s t".into()), ..Place::start(Timestamp(0)) };
        let url = api.list(&place).url().to_string();
        assert!(url.starts_with("http://127.0.0.1/google/v1/people/me/connections?personFields=addresses%2C"), "{url}");
        assert!(url.ends_with("&requestSyncToken=true&syncToken=s+t&pageToken=a%2B%2F%3D%26b"), "{url}");
        let url = api.batch_get(["people/c1", "people/c2"].into_iter()).url().to_string();
        assert!(url.contains("/v1/people:batchGet?resourceNames=people%2Fc1&resourceNames=people%2Fc2&"), "{url}");
        assert_eq!(api.delete("people/c1").url().path(), "/google/v1/people/c1:deleteContact");
    }

    #[test]
    fn names_lead_nowhere_else() {
        assert!(is_name("people/c2237775801835219320", "people"));
        assert!(is_name("contactGroups/myContacts", "contactGroups"));
        for other in ["people/", "people/../me", "people/c1:deleteContact", "otherContacts/c1", "people/c1?x", ""] {
            assert!(!is_name(other, "people"), "{other}");
        }
    }
}
