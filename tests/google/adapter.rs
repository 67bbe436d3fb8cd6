//! The adapter alone, against the mock Google: what no run asks of it by itself.

use std::sync::Arc;

use contactd::clock::{Clock as _, System};
use contactd::ids::{GroupId, RemoteId, Token};
use contactd::provider::google::Google as Contacts;
use contactd::provider::google::settings::GoogleSettings;
use contactd::provider::http::address::AddressPolicy;
use contactd::provider::http::gate::Gate;
use contactd::provider::http::{Http, HttpSettings};
use contactd::provider::oauth::tokens::Once;
use contactd::provider::{Fetched, Outcome, Provider as _, Write, WriteKind};
use contactd::secret::Secret;
use contactd::sync::view::{RemoteRecord, RemoteRef, Seen};
use mock_providers::google::{Account, Google, Settings};
use serde_json::json;
use uuid::Uuid;

const CONTACTS: &str = "people/me";
const MY_CONTACTS: &str = "contactGroups/myContacts";

struct Lab {
    google: Google,
    ann: Account,
    contacts: Contacts,
}

async fn lab() -> Lab {
    let google = Google::start(Settings::without_quotas()).await.unwrap();
    let ann = google.first_account().unwrap();
    let addresses = AddressPolicy { allow_private: true, ..AddressPolicy::default() };
    let http = HttpSettings { addresses, ..HttpSettings::default() };
    let at = google.endpoints();
    let settings = GoogleSettings {
        base: at.people,
        userinfo: at.userinfo,
        plain_loopback: true,
        write_gap: Some(0),
        ..GoogleSettings::default()
    };
    let gate = Arc::new(Gate::new(settings.pace()));
    let bearer = Arc::new(Once(Secret::from(ann.access_token(&["contacts"]))));
    let http = Http::new(http, Arc::new(System)).unwrap();
    let contacts = Contacts::new(settings, bearer, http, gate, Arc::new(System));
    Lab { google, ann, contacts }
}

impl Lab {
    async fn record(&self, name: &str) -> RemoteRecord {
        let at = RemoteRef { collection: CONTACTS.into(), id: RemoteId::from(name), etag: None };
        match self.contacts.fetch(&[at]).await.unwrap().remove(0) {
            Fetched::There(Seen::Present(record), _) => record,
            other => panic!("{other:?}"),
        }
    }

    async fn leave(&self, record: &RemoteRecord, group: &str) -> Outcome {
        let write = Write {
            what: WriteKind::Leave(GroupId::from(group)),
            token: Token(Uuid::nil()),
            collection: CONTACTS.into(),
            before: Some(record.clone()),
            photo: None,
            by: System.now().plus(60_000),
        };
        self.contacts.write(&[write]).await.remove(0)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_falls_out_of_all_labels() {
    let lab = lab().await;
    let group = lab.ann.add_group("Customers");
    let member = json!([{"contactGroupMembership": {"contactGroupResourceName": group}}]);
    let robin = lab.ann.add(&json!({"names": [{"givenName": "Robin"}], "memberships": member})).unwrap();
    let record = lab.record(&robin).await;
    assert_eq!(record.groups.iter().map(GroupId::as_str).collect::<Vec<_>>(), [group.as_str()]);
    // Google refuses to take it out of its last label: it goes by way of "My Contacts".
    let mark = lab.google.mark();
    let Outcome::Stored(record) = lab.leave(&record, &group).await else { panic!("it left") };
    assert_eq!(record.groups.iter().map(GroupId::as_str).collect::<Vec<_>>(), [MY_CONTACTS]);
    let there = lab.ann.person(&robin).unwrap()["memberships"].to_string();
    assert!(there.contains(MY_CONTACTS) && !there.contains(&group), "{there}");
    assert_eq!(lab.google.ask(|journal| journal.asked(mark, "POST").count()), 3, "refused, in, out");
    // And out of that it does not go, which is said.
    let Outcome::Refused(why) = lab.leave(&record, MY_CONTACTS).await else { panic!("it stays") };
    assert!(why.contains("at least one"), "{why}");
    assert_eq!(lab.ann.len(), 1);
}
