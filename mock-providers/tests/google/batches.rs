//! Writing in batches: limits, all or nothing, errors item by item.

use mock_providers::faults::{Fault, Match};
use serde_json::{Map, Value, json};

use crate::lab::{Lab, named, text};

fn creates(n: usize) -> Vec<Value> {
    (0..n).map(|at| json!({"contactPerson": named(&format!("Given{at}"), "Example")})).collect()
}

async fn create(lab: &Lab, contacts: Vec<Value>) -> Value {
    lab.post("people:batchCreateContacts", json!({"contacts": contacts, "readMask": "names,metadata"})).await.good()
}

#[tokio::test]
async fn batches_have_limits() {
    let lab = Lab::new().await;
    assert_eq!(lab.post("people:batchCreateContacts", json!({"contacts": creates(201)})).await.status, 400);
    let created = create(&lab, creates(200)).await;
    let people = created["createdPeople"].as_array().unwrap();
    assert_eq!((people.len(), &people[7]["person"]["names"][0]["givenName"]), (200, &json!("Given7")));
    let names: Vec<&Value> = people.iter().map(|one| &one["person"]["resourceName"]).collect();
    let query = |n: usize| {
        names.iter().cycle().take(n).map(|name| format!("resourceNames={}&", text(name))).collect::<String>()
    };
    assert_eq!(lab.get(&format!("people:batchGet?{}personFields=names", query(200))).await.status, 200);
    assert_eq!(lab.get(&format!("people:batchGet?{}personFields=names", query(201))).await.status, 400);
    let many: Vec<String> = (0..501).map(|at| format!("people/c{at}")).collect();
    assert_eq!(lab.post("people:batchDeleteContacts", json!({"resourceNames": many})).await.status, 400);
    let deleted = lab.post("people:batchDeleteContacts", json!({"resourceNames": names})).await;
    assert_eq!((deleted.good(), lab.account.len()), (json!({}), 0));
    let contacts: Map<String, Value> = (0..201).map(|at| (format!("people/c{at}"), json!({"etag": "%"}))).collect();
    let update = json!({"contacts": contacts, "updateMask": "names"});
    assert_eq!(lab.post("people:batchUpdateContacts", update).await.error(), (400, "INVALID_ARGUMENT"));
}

#[tokio::test]
async fn one_bad_contact_spoils_a_batch() {
    let lab = Lab::new().await;
    let mut contacts = creates(5);
    contacts[3] = json!({"contactPerson": {"names": [{"givenName": "A"}, {"givenName": "B"}]}});
    let body = json!({"contacts": contacts, "readMask": "names"});
    let refused = lab.post("people:batchCreateContacts", body.clone()).await;
    assert_eq!(
        refused.body["error"]["details"][0],
        json!({
            "@type": "type.googleapis.com/google.people.v1.BatchCreateContactsErrorDetails",
            "contactErrors": {"3": {"code": 3, "message": "Cannot have more than one person.names per source."}},
        })
    );
    assert!(lab.account.is_empty());
    lab.google.settings(|settings| settings.writes.batches_are_atomic = false);
    assert_eq!(lab.post("people:batchCreateContacts", body).await.status, 400);
    assert_eq!(lab.account.len(), 4);
}

#[tokio::test]
async fn updates_are_a_map_and_fail_by_name() {
    let lab = Lab::new().await;
    let created = create(&lab, creates(3)).await;
    let people: Vec<&Value> = created["createdPeople"].as_array().unwrap().iter().map(|one| &one["person"]).collect();
    let change = |person: &Value| json!({"etag": person["etag"], "nicknames": [{"value": "n"}]});
    let mut contacts: Map<String, Value> =
        people.iter().map(|person| (text(&person["resourceName"]).to_owned(), change(person))).collect();
    let list: Vec<Value> = contacts.values().cloned().collect();
    let refused = lab.post("people:batchUpdateContacts", json!({"contacts": list, "updateMask": "nicknames"})).await;
    assert!(refused.message().contains("cannot bind a list to map"));
    let stale = text(&people[1]["resourceName"]).to_owned();
    lab.account.edit(&stale, &named("Else", "Where")).unwrap();
    let body = |contacts: &Map<String, Value>| json!({"contacts": contacts, "updateMask": "nicknames", "readMask": "metadata"});
    let refused = lab.post("people:batchUpdateContacts", body(&contacts)).await;
    let errors = &refused.body["error"]["details"][0]["contactErrors"];
    assert_eq!((errors.as_object().unwrap().len(), &errors[&stale]["code"]), (1, &json!(9)));
    assert!(lab.account.people().iter().all(|person| person.get("nicknames").is_none()));
    contacts.remove(&stale);
    let updated = lab.post("people:batchUpdateContacts", body(&contacts)).await.good();
    let result = updated["updateResult"].as_object().unwrap();
    assert_eq!(result.len(), 2);
    for (name, response) in result {
        assert_eq!((&response["requestedResourceName"], &response["httpStatusCode"]), (&json!(name), &json!(200)));
        assert!(response["person"]["metadata"]["sources"][0]["etag"].is_string());
    }
}

#[tokio::test]
async fn an_empty_read_mask_brings_nobody_back() {
    let lab = Lab::new().await;
    let got = lab.post("people:batchCreateContacts", json!({"contacts": creates(2)})).await.good();
    assert_eq!((got, lab.account.len()), (json!({}), 2));
    lab.google.settings(|settings| settings.writes.shuffle_created = true);
    let got = create(&lab, creates(20)).await;
    let given: Vec<&str> = got["createdPeople"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| text(&one["person"]["names"][0]["givenName"]))
        .collect();
    assert_ne!(given, (0..20).map(|at| format!("Given{at}")).collect::<Vec<_>>());
    lab.google.fault(Match::method("POST"), Fault::RowStatus(500));
    let got = create(&lab, creates(1)).await;
    assert_eq!(got["createdPeople"][0]["status"]["code"], 13);
    assert_eq!(got["createdPeople"][0].get("person"), None);
}

#[tokio::test]
async fn a_batch_can_stop_in_the_middle() {
    let lab = Lab::new().await;
    lab.google.fault(Match::method("POST").path("batchCreate"), Fault::Partial(3));
    let mark = lab.google.mark();
    let got = lab.post("people:batchCreateContacts", json!({"contacts": creates(5), "readMask": "names"})).await;
    assert_eq!((got.error(), lab.account.len()), ((503, "UNAVAILABLE"), 3));
    assert_eq!(lab.google.ask(|journal| journal.creates(mark)), 3);
}

#[tokio::test]
async fn unknown_names_in_deletes_and_gets() {
    let lab = Lab::new().await;
    let name = lab.account.add(&named("Ada", "Example")).unwrap();
    let both = json!({"resourceNames": [name, "people/c1"]});
    assert_eq!(lab.post("people:batchDeleteContacts", both.clone()).await.error(), (404, "NOT_FOUND"));
    assert_eq!(lab.account.len(), 1);
    let got = lab
        .get(&format!("people:batchGet?resourceNames={name}&resourceNames=people/c1&personFields=names"))
        .await
        .good();
    assert_eq!(
        got["responses"][1],
        json!({
            "requestedResourceName": "people/c1", "httpStatusCode": 404,
            "status": {"code": 5, "message": "Requested entity was not found."},
        })
    );
    lab.google.settings(|settings| settings.writes.unknown_delete_refused = false);
    assert_eq!((lab.post("people:batchDeleteContacts", both).await.status, lab.account.len()), (200, 0));
}
