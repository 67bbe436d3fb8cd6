//! Quotas, faults, and changes that meet.

use mock_providers::faults::{Fault, Match, RetryAfter, Rule};
use mock_providers::google::Settings;
use mock_providers::google::settings::{Parallel, QuotaShape};
use serde_json::{Value, json};

use crate::lab::{Lab, named};

#[tokio::test]
async fn each_class_has_its_minute() {
    let lab = Lab::start(Settings::default()).await;
    lab.account.add_group("CRM");
    for _ in 0..90 {
        assert_eq!(lab.list("").await.status, 200);
    }
    let over = lab.list("").await;
    assert_eq!(over.error(), (429, "RESOURCE_EXHAUSTED"));
    assert_eq!(
        over.message(),
        "Quota exceeded for quota metric 'Critical read requests (Contact and Profile Reads)' and limit 'Critical read requests (Contact and Profile Reads) per minute per user' of service 'people.googleapis.com' for consumer 'project_number:123456789012'."
    );
    let info = &over.body["error"]["details"][0];
    assert_eq!(
        (&info["reason"], &info["metadata"]["quota_limit"]),
        (&json!("RATE_LIMIT_EXCEEDED"), &json!("CriticalReadsPerMinutePerProjectPerUser"))
    );
    assert_eq!(over.header("retry-after"), "");
    // A create reads back, so it is over the limit too; groups have their own.
    assert_eq!(lab.post("people:createContact", json!({})).await.status, 429);
    assert_eq!(lab.get("contactGroups").await.status, 200);
    lab.google.advance(60_000);
    assert_eq!(lab.list("").await.status, 200);
    let mark = lab.google.mark();
    assert_eq!(lab.post("people:createContact", named("Ada", "Example")).await.status, 200);
    let contacts = json!([{"contactPerson": named("Robin", "Example")}]);
    lab.post("people:batchCreateContacts", json!({"contacts": contacts, "readMask": "names"})).await.good();
    lab.post("people:batchCreateContacts", json!({"contacts": contacts})).await.good();
    let charged = |class: &'static str| lab.google.ask(|journal| journal.charged(mark, class));
    assert_eq!((charged("critical_write"), charged("critical_read"), charged("write")), (13, 7, 0));
    for (shape, expected) in [
        (QuotaShape::Backend, (429, "RESOURCE_EXHAUSTED")),
        (QuotaShape::Forbidden, (403, "PERMISSION_DENIED")),
        (QuotaShape::Legacy, (403, "PERMISSION_DENIED")),
    ] {
        lab.google.settings(|settings| {
            settings.quotas.read = Some(0);
            settings.quotas.shape = shape;
            settings.quotas.retry_after = Some(30);
        });
        let got = lab.get("contactGroups").await;
        assert_eq!((got.error(), got.header("retry-after")), (expected, "30"), "{shape:?}");
        match shape {
            QuotaShape::Backend => {
                let violation = &got.body["error"]["details"][0]["violations"][0];
                assert_eq!(violation["description"], "FBS quota limit exceeded");
            }
            QuotaShape::Legacy => assert_eq!(got.body["error"]["errors"][0]["reason"], "rateLimitExceeded"),
            _ => assert!(got.message().starts_with("Quota exceeded for quota metric 'Read requests'")),
        }
    }
}

#[tokio::test]
async fn full_syncs_have_a_quota_of_their_own() {
    let mut settings = Settings::without_quotas();
    settings.quotas.full_syncs_per_hour = Some(1);
    let mut lab = Lab::start(settings).await;
    let (_, token) = lab.sync(None).await;
    assert_eq!(lab.list("&requestSyncToken=true").await.error(), (429, "RESOURCE_EXHAUSTED"));
    lab.sync(Some(&token)).await;
    assert_eq!(lab.list("").await.status, 200);
    lab.google.advance(3_600_000);
    lab.token = lab.account.access_token(&["contacts"]);
    lab.sync(None).await;
}

#[tokio::test]
async fn an_answer_can_be_lost_before_and_after_the_commit() {
    let lab = Lab::new().await;
    let create = async || lab.try_call("POST", "people:createContact", &named("Ada", "Example")).await;
    lab.google.fault(Match::method("POST").path(":createContact"), Fault::CutBefore);
    assert!(create().await.is_err());
    assert_eq!(lab.account.len(), 0);
    lab.google.fault(Match::default().creating(), Fault::CutAfter);
    let mark = lab.google.mark();
    assert!(create().await.is_err());
    assert_eq!((lab.account.len(), lab.google.ask(|journal| journal.creates(mark))), (1, 1));
    assert_eq!(lab.google.ask(|journal| journal.since(mark).next().unwrap().status), None);
    lab.google.fault(Match::method("POST"), Fault::ErrorAfter(500));
    assert_eq!(create().await.unwrap().error(), (500, "INTERNAL"));
    assert_eq!(lab.account.len(), 2);
    lab.google.fault(Match::method("POST"), Fault::DropWrite);
    assert_eq!((create().await.unwrap().status, lab.account.len()), (200, 2));
    lab.google.fault(Match::method("POST"), Fault::Torn);
    assert!(create().await.is_err());
    assert_eq!(lab.account.len(), 3);
}

#[tokio::test]
async fn errors_come_in_every_dress() {
    let lab = Lab::new().await;
    lab.account.seed(1, 6);
    let next = |fault: Fault| lab.google.fault(Match::default().path("connections"), fault);
    for status in [500, 503, 504, 404, 409] {
        next(Fault::Refuse(status));
        assert_eq!(lab.list("").await.body["error"]["code"], status);
    }
    next(Fault::HtmlStatus(502));
    let html = lab.list("").await;
    assert_eq!((html.status, html.header("content-type")), (502, "text/html; charset=UTF-8"));
    next(Fault::Html);
    assert_eq!(lab.list("").await.body, Value::Null);
    next(Fault::Exhausted);
    assert_eq!(lab.list("").await.message(), "Resource has been exhausted (e.g. check quota).");
    next(Fault::Unauthorized);
    assert_eq!(lab.list("").await.error(), (401, "UNAUTHENTICATED"));
    next(Fault::Throttle { status: 429, retry_after: RetryAfter::Seconds(9) });
    let slow = lab.list("").await;
    assert_eq!((slow.error(), slow.header("retry-after")), ((429, "RESOURCE_EXHAUSTED"), "9"));
    next(Fault::Says {
        status: 403,
        name: "PERMISSION_DENIED".to_owned(),
        reason: Some("SERVICE_DISABLED".to_owned()),
        message: "People API has not been used in this project before or it is disabled.".to_owned(),
    });
    let disabled = lab.list("").await;
    assert_eq!(disabled.body["error"]["details"][0]["reason"], "SERVICE_DISABLED");
    next(Fault::Redirect { status: 302, location: "https://example.com/".to_owned() });
    assert_eq!(lab.list("").await.header("location"), "https://example.com/");
    next(Fault::Empty);
    assert_eq!(lab.list("").await.good(), json!({}));

    let rows = |got: &Value| got["connections"].as_array().map_or(0, Vec::len);
    for (fault, expected) in
        [(Fault::NoRows, 0), (Fault::Truncate(2), 2), (Fault::DuplicateRows, 12), (Fault::OmitRows, 3)]
    {
        next(fault);
        assert_eq!(rows(&lab.list("").await.good()), expected);
    }
    next(Fault::NoGroups);
    assert_eq!(lab.list("").await.good()["connections"][0].get("memberships"), None);
    let real = lab.list("").await.good()["connections"][0]["etag"].clone();
    next(Fault::StaleEtags);
    assert_ne!(lab.list("").await.good()["connections"][0]["etag"], real);
    next(Fault::NoEtags);
    let bare = lab.list("").await.good();
    assert_eq!(
        (bare["connections"][0].get("etag"), bare["connections"][0]["metadata"]["sources"][0].get("etag")),
        (None, None)
    );
    let revoked = Rule { on: Match::method("POST").path("/token"), after: 0, times: 1, fault: Fault::HtmlStatus(503) };
    lab.google.lay(revoked);
    let token = lab.google.endpoints().token;
    assert_eq!(lab.try_send("POST", &token, &[], String::new()).await.unwrap().status, 503);
}

#[tokio::test]
async fn changes_of_one_user_that_meet_are_noticed() {
    let lab = Lab::new().await;
    let create = || lab.try_call("POST", "people:createContact", &Value::Null);
    let body = named("Ada", "Example");
    let send = || lab.try_call("POST", "people:createContact", &body);
    assert!(create().await.is_ok());
    for (parallel, refused, added) in
        [(Parallel::Aborted, 409, 1), (Parallel::Unavailable, 503, 1), (Parallel::Allowed, 200, 2)]
    {
        lab.google.settings(|settings| settings.writes.parallel = parallel);
        // The first to come is answered late, so the second one meets it.
        lab.google.fault(Match::method("POST"), Fault::Delay(300));
        let (before, mark) = (lab.account.len(), lab.google.mark());
        let (one, other) = tokio::join!(send(), send());
        let mut statuses = [one.unwrap().status, other.unwrap().status];
        statuses.sort_unstable();
        assert_eq!((statuses, lab.account.len() - before), ([200, refused], added), "{parallel:?}");
        assert_eq!(lab.google.overlaps(mark).len(), 1);
    }
    // One after the other, or of another user, they do not meet.
    let mark = lab.google.mark();
    send().await.unwrap();
    send().await.unwrap();
    lab.list("").await;
    assert!(lab.google.overlaps(mark).is_empty());
}

#[tokio::test]
async fn the_journal_keeps_queries_and_no_tokens() {
    let lab = Lab::new().await;
    lab.list("&pageSize=7").await;
    let journal = lab.google.journal();
    let record = journal.records().last().unwrap();
    assert!(record.query.contains("pageSize=7"));
    assert_eq!((record.user.as_str(), record.origin, record.credentials), ("ada.example@gmail.com", "people", true));
    assert!(!format!("{journal:?}").contains(&lab.token));
    let url = format!("{}/v1/contactGroups?access_token={}", lab.google.url(), lab.token);
    assert_eq!(lab.try_send("GET", &url, &[], String::new()).await.unwrap().status, 401);
    assert!(!format!("{:?}", lab.google.journal()).contains(&lab.token));
}
