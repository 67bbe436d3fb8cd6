//! The back door over HTTP, and the program.

use serde_json::{Value, json};

use crate::lab::{Lab, named};

async fn ask(lab: &Lab, method: &str, path: &str, body: Value) -> (u16, Value) {
    let url = format!("{}/_control/{path}", lab.google.url());
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let got = lab.try_send(method, &url, &[("content-type", "application/json")], body).await.unwrap();
    (got.status, if got.body.is_null() { Value::String(got.text) } else { got.body })
}

#[tokio::test]
async fn acts_change_the_account() {
    let lab = Lab::new().await;
    let act = async |what: Value| ask(&lab, "POST", "act", what).await;
    let seeded = act(json!({"seed": {"seed": 1, "n": 10}})).await.1["names"].clone();
    assert_eq!((seeded.as_array().unwrap().len(), lab.account.len()), (10, 10));
    let name = act(json!({"add": named("Ada", "Example")})).await.1["name"].clone();
    assert_eq!(act(json!({"edit": {"name": name, "changes": {"nicknames": [{"value": "A"}]}}})).await.0, 200);
    let people = ask(&lab, "GET", "people", Value::Null).await.1;
    assert!(people.as_array().unwrap().iter().any(|one| one["nicknames"][0]["value"] == "A"));
    act(json!("keep_state")).await;
    assert_eq!(act(json!({"delete": [name]})).await.1, json!({"deleted": 1}));
    act(json!("roll_back")).await;
    assert_eq!(lab.account.len(), 11);
    let group = act(json!({"add_group": "CRM"})).await.1["name"].clone();
    assert_eq!(act(json!({"label": {"name": name, "group": group, "on": true}})).await.0, 200);
    assert_eq!(ask(&lab, "GET", "groups?user=robin.example@example.com", Value::Null).await.1, json!([]));
    let token = act(json!({"access_token": ["contacts.readonly"]})).await.1["token"].clone();
    assert!(token.is_string());
    act(json!("revoke")).await;
    assert_eq!(lab.list("").await.status, 401);
    assert_eq!(act(json!("dance")).await.0, 422);
    assert_eq!(act(json!({"add": {"notes": []}})).await.0, 422);
    assert_eq!(act(json!({"edit": {"name": "people/c1", "changes": {}}})).await.0, 404);
}

#[tokio::test]
async fn settings_faults_and_the_journal() {
    let lab = Lab::new().await;
    assert_eq!(ask(&lab, "PATCH", "settings", json!({"quotas": {"critical_read": 0}})).await.0, 204);
    assert_eq!(lab.list("").await.status, 429);
    assert_eq!(ask(&lab, "PATCH", "settings", json!({"quotas": {"critical_read": null}})).await.0, 204);
    assert_eq!(lab.list("").await.status, 200);
    assert_eq!(ask(&lab, "PATCH", "settings", json!({"quota": 1})).await.0, 422);
    assert_eq!(ask(&lab, "GET", "settings", Value::Null).await.1["writes"]["contacts"], 25_000);
    let rule = json!({"on": {"method": "GET"}, "fault": {"html_status": 502}});
    assert_eq!(ask(&lab, "POST", "faults", rule).await.0, 204);
    assert_eq!(ask(&lab, "GET", "faults", Value::Null).await.1[0]["times"], 1);
    assert_eq!(lab.list("").await.status, 502);
    assert_eq!(ask(&lab, "DELETE", "faults", Value::Null).await.0, 204);
    let journal = ask(&lab, "GET", "journal?since=1", Value::Null).await.1;
    assert_eq!((journal.as_array().unwrap().len(), &journal[0]["charged"]), (2, &json!([["critical_read", 1]])));
    let state = ask(&lab, "GET", "state", Value::Null).await.1;
    assert_eq!(state["accounts"][0]["contacts"], 0);
    assert!(ask(&lab, "GET", "", Value::Null).await.1.as_str().unwrap().contains("/_control/act"));
}
