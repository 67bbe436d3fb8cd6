//! Writing single contacts and photos: etags, masks, singletons, memberships, computed fields.

use mock_providers::journal::Effect;
use mock_providers::people;
use serde_json::{Value, json};

use crate::lab::{FIELDS, Lab, SOURCES, named, text};

const STALE: &str =
    "Request person.etag is different than the current person.etag. Clear local cache and get the latest person.";

#[tokio::test]
async fn a_create_is_completed_and_never_deduplicated() {
    let lab = Lab::new().await;
    let sent = json!({
        "names": [{"givenName": "Ada", "familyName": "Example", "displayName": "ignored"}],
        "addresses": [{"streetAddress": "Main St 1", "city": "Springfield", "type": "home"}],
        "phoneNumbers": [{"value": "(202) 555-0100"}, {"value": "+1 202 555 0101", "metadata": {"sourcePrimary": true}}],
        "clientData": [{"key": "k", "value": "2"}, {"key": "k", "value": "1"}],
    });
    let mark = lab.google.mark();
    let got = lab.create(sent.clone()).await;
    let name = text(&got["resourceName"]);
    let number: u64 = name.strip_prefix("people/c").unwrap().parse().unwrap();
    let source = &got["metadata"]["sources"][0];
    assert_eq!(source["id"], format!("{number:x}"));
    assert!(text(&source["etag"]).starts_with('#') && text(&got["etag"]).starts_with('%'));
    assert_eq!(got["names"][0]["displayName"], "Ada Example");
    assert_eq!(got["names"][0]["displayNameLastFirst"], "Example, Ada");
    assert_eq!(got["addresses"][0]["formattedValue"], "Main St 1\nSpringfield");
    assert_eq!(
        got["memberships"][0]["contactGroupMembership"],
        json!({
            "contactGroupId": "myContacts", "contactGroupResourceName": "contactGroups/myContacts",
        })
    );
    let values: Vec<&Value> = got["clientData"].as_array().unwrap().iter().map(|item| &item["value"]).collect();
    assert_eq!(values, ["2", "1"]);
    let phones = got["phoneNumbers"].as_array().unwrap();
    let primary = phones.iter().find(|phone| phone["metadata"]["primary"] == true).unwrap();
    assert_eq!((&primary["value"], &primary["canonicalForm"]), (&json!("+1 202 555 0101"), &json!("+12025550101")));
    let again = lab.create(sent).await;
    assert_ne!(again["resourceName"], got["resourceName"]);
    let effects = lab.google.ask(|journal| journal.effects(mark).cloned().collect::<Vec<_>>());
    assert_eq!(effects[0], Effect::Created(name.to_owned()));
    assert_eq!(effects.len(), 2);
    // What the schema does not have is refused, not ignored.
    let bad = lab.post("people:createContact", json!({"notes": [{"value": "x"}]})).await;
    assert_eq!(bad.error(), (400, "INVALID_ARGUMENT"));
    assert!(bad.message().contains("Unknown name \"notes\""));
}

#[tokio::test]
async fn an_update_replaces_what_its_mask_names() {
    let lab = Lab::new().await;
    let created = lab
        .create(json!({
            "names": [{"givenName": "Ada"}], "emailAddresses": [{"value": "a@example.com"}, {"value": "b@example.com"}],
            "phoneNumbers": [{"value": "1"}], "nicknames": [{"value": "A"}],
        }))
        .await;
    let name = text(&created["resourceName"]).to_owned();
    let sent = json!({
        "etag": created["etag"], "emailAddresses": [{"value": "c@example.com"}], "nicknames": [{"value": "B"}],
    });
    let got = lab.update(&name, "emailAddresses,phoneNumbers", sent).await.good();
    assert_eq!(got["emailAddresses"].as_array().unwrap().len(), 1);
    assert_eq!(got.get("phoneNumbers"), None, "named and absent: cleared");
    let kept = lab.account.person(&name).unwrap();
    assert_eq!((&kept["nicknames"][0]["value"], &kept["names"][0]["givenName"]), (&json!("A"), &json!("Ada")));
    assert_ne!(got["metadata"]["sources"][0]["etag"], created["metadata"]["sources"][0]["etag"]);
    for mask in ["", "photos", "metadata", "skills", "fileAses", "notes", "names.givenName", "names,%20urls"] {
        let refused = lab.update(&name, mask, json!({"etag": got["etag"]})).await;
        assert_eq!(refused.error(), (400, "INVALID_ARGUMENT"), "{mask}");
        assert!(refused.body["error"]["details"][0]["fieldViolations"].is_array(), "{mask}");
    }
    let two = json!({"etag": got["etag"], "biographies": [{"value": "a"}, {"value": "b"}]});
    let refused = lab.update(&name, "biographies", two).await;
    assert_eq!(refused.message(), "Cannot have more than one person.biographies per source.");
}

#[tokio::test]
async fn etags_are_compared_by_their_source() {
    let lab = Lab::new().await;
    let created = lab.create(named("Ada", "Example")).await;
    let name = text(&created["resourceName"]).to_owned();
    let bare = lab.get(&format!("{name}?personFields=urls")).await.good();
    assert_ne!(bare["etag"], created["etag"]);
    // Made with another mask, and good.
    let body = |etag: &Value| json!({"etag": etag, "nicknames": [{"value": "x"}]});
    let first = lab.update(&name, "nicknames", body(&bare["etag"])).await.good();
    let stale = lab.update(&name, "nicknames", body(&created["etag"])).await;
    assert_eq!((stale.error(), stale.message()), ((400, "FAILED_PRECONDITION"), STALE));
    assert_eq!(stale.body["error"].get("errors"), None);
    lab.google.settings(|settings| (settings.errors.old_style, settings.errors.debug_info) = (true, true));
    let dressed = lab.update(&name, "nicknames", body(&created["etag"])).await.body;
    assert_eq!(dressed["error"]["errors"][0]["reason"], "failedPrecondition");
    assert_eq!(dressed["error"]["details"][0]["@type"], "type.googleapis.com/google.rpc.DebugInfo");

    let source = first["metadata"]["sources"][0].clone();
    let by_source = json!({"metadata": {"sources": [source]}, "nicknames": [{"value": "y"}]});
    let second = lab.update(&name, "nicknames", by_source.clone()).await.good();
    let stale = lab.update(&name, "nicknames", by_source).await;
    assert!(
        stale.message().starts_with("Request person.metadata.sources.etag is different than"),
        "{}",
        stale.message()
    );
    let mixed = lab.update(&name, "nicknames", body(&second["metadata"]["sources"][0]["etag"])).await;
    assert_eq!(mixed.message(), STALE, "the etag of a source is none of a person");
    let none = lab.update(&name, "nicknames", json!({"nicknames": []})).await;
    assert_eq!(
        none.message(),
        "Request must set person.etag or person.metadata.sources.etag for the source that is being updated."
    );
    assert_eq!(lab.update("people/c1", "names", json!({"etag": "%x"})).await.error(), (404, "NOT_FOUND"));
}

#[tokio::test]
async fn memberships_follow_the_rules() {
    let lab = Lab::new().await;
    let group = lab.account.add_group("CRM");
    let member = |group: &str| json!({"contactGroupMembership": {"contactGroupResourceName": group}});
    let created = lab.create(json!({"memberships": [member(&group), member("contactGroups/myContacts")]})).await;
    assert_eq!(created["memberships"].as_array().unwrap().len(), 2);
    let name = text(&created["resourceName"]).to_owned();
    let none = lab.update(&name, "memberships", json!({"etag": created["etag"]})).await;
    assert_eq!(none.error(), (400, "INVALID_ARGUMENT"));
    let closed = json!({"etag": created["etag"], "memberships": [member("contactGroups/family")]});
    assert!(lab.update(&name, "memberships", closed).await.message().contains("system group"));
    let unknown = json!({"etag": created["etag"], "memberships": [member("contactGroups/nothing")]});
    assert_eq!(lab.update(&name, "memberships", unknown.clone()).await.status, 400);
    lab.google.settings(|settings| settings.writes.unknown_group_status = 404);
    assert_eq!(lab.update(&name, "memberships", unknown).await.status, 404);
    let starred = json!({"etag": created["etag"], "memberships": [member("contactGroups/starred")]});
    assert_eq!(lab.update(&name, "memberships", starred).await.good()["memberships"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_deleted_contact_is_gone_from_everywhere() {
    let lab = Lab::new().await;
    let group = lab.account.add_group("CRM");
    let name = lab.account.add(&named("Ada", "Example")).unwrap();
    lab.account.label(&name, &group, true).unwrap();
    assert_eq!(lab.call("DELETE", &format!("{name}:deleteContact"), &Value::Null).await.good(), json!({}));
    assert_eq!(lab.get(&format!("{name}?personFields=names")).await.status, 404);
    let again = lab.call("DELETE", &format!("{name}:deleteContact"), &Value::Null).await;
    assert_eq!((again.error(), again.message()), ((404, "NOT_FOUND"), "Requested entity was not found."));
    let shown = lab.get(&format!("{group}?maxMembers=10")).await.good();
    assert_eq!((shown.get("memberCount"), shown.get("memberResourceNames")), (None, None));
}

#[tokio::test]
async fn read_only_members_are_refused_when_told_so() {
    let lab = Lab::new().await;
    lab.google.settings(|settings| settings.writes.refuse_read_only = true);
    let refused = lab.post("people:createContact", json!({"names": [{"displayName": "Ada"}]})).await;
    assert_eq!(refused.error(), (400, "INVALID_ARGUMENT"));
}

#[tokio::test]
async fn photos_are_recoded_and_served_without_a_token() {
    let lab = Lab::new().await;
    let created = lab.create(named("Ada", "Example")).await;
    let name = text(&created["resourceName"]).to_owned();
    let set = async |bytes: &str| {
        let body =
            json!({"photoBytes": bytes, "personFields": "photos,metadata", "sources": ["READ_SOURCE_TYPE_CONTACT"]});
        lab.call("PATCH", &format!("{name}:updateContactPhoto"), &body).await
    };
    let picture = people::jpeg(4);
    let standard = base64(&picture);
    let got = set(&standard).await.good();
    let photo = &got["person"]["photos"][0];
    assert_eq!((photo.get("default"), &photo["metadata"]["source"]["type"]), (None, &json!("CONTACT")));
    assert_ne!(got["person"]["metadata"]["sources"][0]["etag"], created["metadata"]["sources"][0]["etag"]);
    assert_ne!(lab.account.photo(&name).unwrap(), picture);
    let served = lab.try_send("GET", text(&photo["url"]), &[], String::new()).await.unwrap();
    assert_eq!((served.status, served.header("content-type")), (200, "image/jpeg"));
    let url_safe = standard.replace('+', "-").replace('/', "_");
    assert_eq!(set(url_safe.trim_end_matches('=')).await.status, 200);
    assert_eq!(set(&base64(&people::png(2))).await.status, 200);
    assert_eq!(set(&base64(b"GIF89a")).await.error(), (400, "INVALID_ARGUMENT"));
    assert_eq!(set("&&&").await.error(), (400, "INVALID_ARGUMENT"));
    lab.google.settings(|settings| settings.writes.photo_bytes = 10);
    assert_eq!(set(&standard).await.status, 413);
    let remove = format!("{name}:deleteContactPhoto?personFields=photos&{SOURCES}");
    let without = lab.call("DELETE", &remove, &Value::Null).await.good();
    assert_eq!(without["person"]["photos"][0]["default"], true);
    assert_eq!(lab.call("DELETE", &remove, &Value::Null).await.error(), (404, "NOT_FOUND"));
    assert_eq!(lab.get(&format!("{name}?personFields={FIELDS}")).await.status, 200);
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let number = three
            .iter()
            .chain([0, 0].iter().take(3 - three.len()))
            .fold(0_usize, |sum, byte| sum << 8 | *byte as usize);
        for at in 0..4 {
            let letter = char::from(LETTERS[number >> (18 - 6 * at) & 63]);
            out.push(if at <= three.len() { letter } else { '=' });
        }
    }
    out
}
