//! Contact groups.

use serde_json::{Value, json};

use crate::lab::{Lab, encode, named, text};

async fn create(lab: &Lab, name: &str) -> Value {
    lab.post("contactGroups", json!({"contactGroup": {"name": name}})).await.good()
}

#[tokio::test]
async fn lists_come_in_thirties_without_members() {
    let lab = Lab::new().await;
    for at in 0..40 {
        lab.account.add_group(&format!("Group {at}"));
    }
    let first = lab.get("contactGroups").await.good();
    assert_eq!((first["contactGroups"].as_array().unwrap().len(), &first["totalItems"]), (30, &json!(48)));
    assert_eq!(first.get("nextSyncToken"), None);
    let next = encode(text(&first["nextPageToken"]));
    let second = lab.get(&format!("contactGroups?pageToken={next}")).await.good();
    assert_eq!(second["contactGroups"].as_array().unwrap().len(), 18);
    let system = &first["contactGroups"][0];
    assert_eq!(
        (&system["resourceName"], &system["groupType"]),
        (&json!("contactGroups/myContacts"), &json!("SYSTEM_CONTACT_GROUP"))
    );
    assert_eq!((&system["name"], &system["formattedName"]), (&json!("myContacts"), &json!("My Contacts")));

    let since = encode(text(&second["nextSyncToken"]));
    let group = create(&lab, "New").await;
    let old = lab.account.groups()[0].0.clone();
    lab.account.delete_group(&old, false).unwrap();
    let changes = lab.get(&format!("contactGroups?syncToken={since}")).await.good();
    let rows = changes["contactGroups"].as_array().unwrap();
    assert_eq!((rows.len(), &rows[0]["resourceName"]), (2, &group["resourceName"]));
    assert_eq!(rows[1], json!({"resourceName": old, "metadata": {"deleted": true}}));
    lab.account.expire_tokens();
    let expired = lab.get(&format!("contactGroups?syncToken={since}")).await;
    assert!(expired.message().starts_with("Sync token is expired."));
    assert_eq!(lab.get("contactGroups?groupFields=members").await.status, 400);
}

#[tokio::test]
async fn names_are_taken_once_and_etags_grow_old() {
    let lab = Lab::new().await;
    let group = create(&lab, "CRM").await;
    assert_eq!((&group["groupType"], group.get("memberCount")), (&json!("USER_CONTACT_GROUP"), None));
    let twice = lab.post("contactGroups", json!({"contactGroup": {"name": "CRM"}})).await;
    assert_eq!((twice.error(), twice.message()), ((409, "ALREADY_EXISTS"), "Contact group name already exists."));
    let path = text(&group["resourceName"]).to_owned();
    let put = async |group: Value, mask: &str| {
        lab.call(
            "PUT",
            &path,
            &json!({"contactGroup": group, "updateGroupFields": mask, "readGroupFields": "name,clientData"}),
        )
        .await
    };
    let data = json!([{"key": "contactd", "value": "1"}]);
    let changed =
        put(json!({"etag": group["etag"], "name": "Sales", "clientData": data}), "name,clientData").await.good();
    assert_eq!((&changed["name"], &changed["clientData"]), (&json!("Sales"), &data));
    let stale = put(json!({"etag": group["etag"], "name": "Else"}), "name").await;
    assert_eq!((stale.error(), stale.message()), ((409, "ABORTED"), "Contact group etag is outdated."));
    assert_eq!(put(json!({"name": "Else"}), "name").await.status, 400);
    create(&lab, "Other").await;
    assert_eq!(put(json!({"etag": changed["etag"], "name": "Other"}), "name").await.error(), (409, "ALREADY_EXISTS"));
    lab.google.settings(|settings| settings.writes.group_names_fold_case = true);
    assert_eq!(lab.post("contactGroups", json!({"contactGroup": {"name": "SALES"}})).await.status, 409);
    let system = json!({"contactGroup": {"etag": "x", "name": "y"}});
    assert_eq!(lab.call("PUT", "contactGroups/starred", &system).await.status, 400);
    assert_eq!(lab.post("contactGroups", json!({"contactGroup": {"title": "x"}})).await.status, 400);
}

#[tokio::test]
async fn members_come_and_go_but_for_the_last_group() {
    let lab = Lab::new().await;
    let group = lab.account.add_group("CRM");
    let [a, b] = ["Ada", "Robin"].map(|given| lab.account.add(&named(given, "Example")).unwrap());
    let (_, token) = lab.sync(None).await;
    let modify = async |group: &str, add: Value, remove: Value| {
        let body = json!({"resourceNamesToAdd": add, "resourceNamesToRemove": remove});
        lab.post(&format!("{group}/members:modify"), body).await
    };
    let done = modify(&group, json!([a, b, "people/c1"]), json!([])).await.good();
    assert_eq!(done, json!({"notFoundResourceNames": ["people/c1"]}));
    assert_eq!(modify(&group, json!([a]), json!([])).await.good(), json!({}), "again is harmless");
    let (people, token) = lab.sync(Some(&token)).await;
    assert_eq!(people.len(), 2, "a label is a change of the contact");
    assert_eq!(modify("contactGroups/myContacts", json!([]), json!([a])).await.good(), json!({}));
    let last = modify(&group, json!([]), json!([a])).await.good();
    assert_eq!(last, json!({"canNotRemoveLastContactGroupResourceNames": [a]}));
    let shown = lab.get(&format!("{group}?maxMembers=1")).await.good();
    assert_eq!((&shown["memberCount"], shown["memberResourceNames"].as_array().unwrap().len()), (&json!(2), 1));
    assert_eq!(lab.get(&group).await.good().get("memberResourceNames"), None);
    assert_eq!(modify("contactGroups/family", json!([a]), json!([])).await.status, 400);
    assert_eq!(modify("contactGroups/family", json!([]), json!([a])).await.status, 200);
    assert_eq!(modify("contactGroups/none", json!([a]), json!([])).await.status, 404);
    let many: Vec<String> = (0..1001).map(|at| format!("people/c{at}")).collect();
    assert_eq!(modify(&group, json!(many), json!([])).await.status, 400);
    // Where a label is no change, nobody hears of it.
    let (_, token) = lab.sync(Some(&token)).await;
    lab.google.settings(|settings| settings.writes.labels_touch = false);
    modify(&group, json!([]), json!([b])).await.good();
    assert_eq!(lab.sync(Some(&token)).await.0.len(), 0);
    assert_eq!(lab.get(&group).await.good()["memberCount"], 1);
    let got = lab
        .get(&format!("contactGroups:batchGet?resourceNames={group}&resourceNames=contactGroups/x&maxMembers=5"))
        .await
        .good();
    assert_eq!(got["responses"][0]["contactGroup"]["memberResourceNames"], json!([a]));
    assert_eq!(got["responses"][1]["status"]["code"], 5);
}

#[tokio::test]
async fn a_deleted_group_leaves_its_members_or_takes_them_along() {
    let lab = Lab::new().await;
    let [keep, take] = ["Keep", "Take"].map(|name| lab.account.add_group(name));
    let member = |group: &str| json!([{"contactGroupMembership": {"contactGroupResourceName": group}}]);
    let mut person = named("Ada", "Example");
    person["memberships"] = member(&keep);
    let a = lab.account.add(&person).unwrap();
    person["memberships"] = member(&take);
    let b = lab.account.add(&person).unwrap();
    let (_, token) = lab.sync(None).await;
    assert_eq!(lab.call("DELETE", &keep, &Value::Null).await.good(), json!({}));
    let fallen = lab.account.person(&a).unwrap();
    assert_eq!(fallen["memberships"][0]["contactGroupMembership"]["contactGroupId"], "myContacts");
    assert_eq!(lab.sync(Some(&token)).await.0.len(), 1);
    assert_eq!(lab.call("DELETE", &format!("{take}?deleteContacts=true"), &Value::Null).await.status, 200);
    assert_eq!(lab.account.person(&b), None);
    assert_eq!(lab.call("DELETE", &take, &Value::Null).await.status, 404);
    assert_eq!(lab.call("DELETE", "contactGroups/myContacts", &Value::Null).await.status, 400);
    // Without the fall-back they are in no group, and no longer among the contacts.
    let third = lab.account.add_group("Third");
    lab.account.label(&a, &third, true).unwrap();
    lab.account.label(&a, "contactGroups/myContacts", false).unwrap();
    lab.google.settings(|settings| settings.writes.fall_back = false);
    let (_, token) = lab.sync(None).await;
    lab.account.delete_group(&third, false).unwrap();
    let (people, _) = lab.sync(Some(&token)).await;
    assert_eq!((people.len(), &people[0]["metadata"]["deleted"]), (1, &json!(true)));
    assert_eq!(lab.sync(None).await.0.len(), 0);
}
