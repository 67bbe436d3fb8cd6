//! The back door over HTTP does what the handle does.

mod common;

use common::{Lab, card};
use serde_json::{Value, json};

async fn ask(lab: &Lab, method: &str, path: &str, body: &str) -> (u16, Value) {
    let url = format!("{}/_control/{path}", lab.icloud.url());
    let kind = if body.starts_with("BEGIN") { "text/vcard" } else { "application/json" };
    let got = lab.send(method, &url, &[("content-type", kind)], body.to_owned()).await;
    (got.status, serde_json::from_str(&got.body).unwrap_or(Value::String(got.body)))
}

#[tokio::test]
async fn cards_come_and_go() {
    let lab = Lab::icloud().await;
    let added = ask(&lab, "POST", "cards", &card("abc", "A")).await;
    assert_eq!(added, (200, json!({"name": "YWJj.vcf"})));
    let rows = ask(&lab, "GET", "cards", "").await.1;
    assert_eq!((&rows[0]["uid"], &rows[0]["fn"], &rows[0]["group"]), (&json!("abc"), &json!("A"), &json!(false)));
    assert_eq!(ask(&lab, "PUT", "cards/YWJj.vcf", &card("abc", "B")).await.0, 204);
    let text = ask(&lab, "GET", "cards/YWJj.vcf?user=jane.appleseed@example.com", "").await.1;
    assert!(text.as_str().unwrap().contains("FN:B"));
    assert_eq!(ask(&lab, "DELETE", "cards/YWJj.vcf", "").await.0, 204);
    assert_eq!(ask(&lab, "DELETE", "cards/YWJj.vcf", "").await.0, 404);
    assert_eq!(ask(&lab, "GET", "cards?user=nobody", "").await.0, 404);
}

#[tokio::test]
async fn acts_change_the_account() {
    let lab = Lab::icloud().await;
    let act = async |what: Value| ask(&lab, "POST", "act", &what.to_string()).await;
    let names = act(json!({"seed": {"seed": 1, "n": 10}})).await.1["names"].clone();
    assert_eq!((names.as_array().unwrap().len(), lab.device.len()), (10, 10));
    let token = lab.current_token().await;
    act(json!("keep_state")).await;
    assert_eq!(act(json!({"delete_many": names})).await.1, json!({"deleted": 10}));
    act(json!("roll_back")).await;
    assert_eq!(lab.device.len(), 10);
    act(json!({"group": {"uid": "g", "title": "G", "members": ["a"]}})).await;
    assert_eq!(lab.device.groups().len(), 1);
    act(json!("expire_tokens")).await;
    assert_eq!(lab.sync(&token).await.status, 403);
    let moved = act(json!({"move_partition": "not_found"})).await.1;
    assert_eq!(moved["partition"], lab.icloud.partition_url());
    act(json!("revoke_password")).await;
    assert_eq!(lab.listing().await.status, 401);
    act(json!({"password": lab.password})).await;
    assert_eq!(lab.listing().await.status, 207);
    assert_eq!(act(json!("dance")).await.0, 422);
}

#[tokio::test]
async fn faults_and_the_journal() {
    let lab = Lab::icloud().await;
    let rule = json!({"on": {"method": "PUT"}, "times": 2, "fault": {"refuse": 503}});
    assert_eq!(ask(&lab, "POST", "faults", &rule.to_string()).await.0, 204);
    assert_eq!(ask(&lab, "GET", "faults", "").await.1[0]["fault"], json!({"refuse": 503}));
    assert_eq!(lab.create("a.vcf", &card("a", "A")).await.status, 503);
    assert_eq!(ask(&lab, "DELETE", "faults", "").await.0, 204);
    assert_eq!(lab.create("a.vcf", &card("a", "A")).await.status, 201);
    let state = ask(&lab, "GET", "state", "").await.1;
    assert_eq!((&state["requests"], &state["accounts"][0]["cards"]), (&json!(2), &json!(1)));
    let journal = ask(&lab, "GET", "journal?since=1", "").await.1;
    assert_eq!((journal.as_array().unwrap().len(), &journal[0]["effects"]), (1, &json!([{"created": "a.vcf"}])));
    assert!(!journal.to_string().to_lowercase().contains("authorization"));
    assert!(ask(&lab, "GET", "", "").await.1.as_str().unwrap().contains("/_control/faults"));
}
