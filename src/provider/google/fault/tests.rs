//! Error bodies, as they are documented or were reported, and what they mean here.

use super::*;
use crate::ids::CollectionId;

fn read(http: u16, body: &str) -> ApiError {
    ApiError::read(http, body.as_bytes())
}

const EXPIRED: &str = r#"{"error":{"code":400,"message":"Sync token is expired. Clear local cache and retry call without the sync token.","status":"STATUS",DETAILS}}"#;

#[test]
fn an_expired_token_is_known_by_reason_or_words() {
    let details = r#""details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"EXPIRED_SYNC_TOKEN"}]"#;
    for status in ["INVALID_ARGUMENT", "FAILED_PRECONDITION"] {
        for details in [details, r#""details":[]"#] {
            assert!(read(400, &EXPIRED.replace("STATUS", status).replace("DETAILS", details)).is_expired());
        }
    }
    assert!(!read(400, r#"{"error":{"code":400,"status":"INVALID_ARGUMENT"}}"#).is_expired());
    assert!(!read(502, "<html>Bad gateway</html>").is_expired());
}

#[test]
fn stale_etags_in_all_their_forms() {
    for body in [
        r#"{"error":{"code":400,"status":"FAILED_PRECONDITION","message":"x"}}"#,
        r#"{"error":{"code":400,"errors":[{"domain":"global","reason":"failedPrecondition"}]}}"#,
        r#"{"error":{"code":400,"message":"Request person.metadata.sources.etag is different than the current person.metadata.sources.etag. Clear local cache and get the latest person."}}"#,
    ] {
        assert_eq!(read(400, body).cause(), Cause::Stale, "{body}");
    }
    let unset = r#"{"error":{"code":400,"status":"INVALID_ARGUMENT","message":"Request must set person.etag or person.metadata.sources.etag for the source that is being updated."}}"#;
    assert_eq!(read(400, unset).cause(), Cause::Invalid);
    assert_eq!(read(404, r#"{"error":{"code":404,"status":"NOT_FOUND"}}"#).cause(), Cause::Missing);
    assert_eq!(read(400, r#"{"error":{"message":"MY_CONTACTS_OVERFLOW_COUNT"}}"#).cause(), Cause::Full);
    assert_eq!(read(400, "").cause(), Cause::Invalid);
}

#[test]
fn a_batch_names_those_that_were_not_taken() {
    let error = read(
        400,
        r#"{"error":{"code":400,"status":"INVALID_ARGUMENT","details":[
        {"@type":"type.googleapis.com/google.people.v1.BatchCreateContactsErrorDetails","contactErrors":{
            "3":{"code":3,"message":"Cannot have more than one person.names per source."},
            "people/c5":{"code":9},"people/c6":{"code":5},"people/c7":{"code":13},"8":{"code":8,"message":"MY_CONTACTS_OVERFLOW_COUNT"}}}]}}"#,
    );
    let named: Vec<(&str, Cause)> = error.items.iter().map(|(name, cause)| (name.as_str(), *cause)).collect();
    let expected = [
        ("3", Cause::Invalid),
        ("8", Cause::Full),
        ("people/c5", Cause::Stale),
        ("people/c6", Cause::Missing),
        ("people/c7", Cause::Later),
    ];
    assert_eq!(named, expected);
}

#[test]
fn quotas_in_all_their_forms_and_how_long_they_are_waited_for() {
    let minute = r#"{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"Quota exceeded for quota metric 'x'.","details":[{"reason":"RATE_LIMIT_EXCEEDED"}]}}"#;
    let backend = r#"{"error":{"code":429,"message":"Resource has been exhausted (e.g. check quota).","status":"RESOURCE_EXHAUSTED","details":[{"violations":[{"subject":"QUOTA_EXCEEDED","description":"FBS quota limit exceeded"}]}]}}"#;
    for (http, body, long) in [
        (429, minute, false),
        (429, backend, true),
        (429, "", false),
        (403, r#"{"error":{"code":403,"message":"Quota exceeded for quota metric 'x'."}}"#, false),
        (403, r#"{"error":{"errors":[{"reason":"userRateLimitExceeded"}]}}"#, false),
        (403, r#"{"error":{"errors":[{"reason":"dailyLimitExceeded"}]}}"#, true),
    ] {
        let error = read(http, body);
        assert!(error.is_quota(), "{body}");
        assert_eq!(error.wait() > MINUTE, long, "{body}");
    }
    assert!(!read(403, r#"{"error":{"code":403,"status":"PERMISSION_DENIED"}}"#).is_quota());
    assert_eq!(told_to_wait(minute.as_bytes()), Told::Nothing);
    assert_eq!(told_to_wait(backend.as_bytes()), Told::Wait(RetryAfter::Seconds(3_600)));
    // That the account is full is no matter of waiting.
    let full = r#"{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"MY_CONTACTS_OVERFLOW_COUNT"}}"#;
    assert_eq!(told_to_wait(full.as_bytes()), Told::Otherwise);
    assert!(!read(429, full).is_quota() && !read(429, full).concerns_account());
    assert_eq!(read(429, full).cause(), Cause::Full);
}

#[test]
fn a_403_says_what_to_do() {
    for (body, words) in [
        (r#"{"error":{"details":[{"reason":"ACCESS_TOKEN_SCOPE_INSUFFICIENT"}]}}"#, "tick the box"),
        (r#"{"error":{"details":[{"reason":"SERVICE_DISABLED"}]}}"#, "switch it on"),
        (r#"{"error":{"errors":[{"reason":"accessNotConfigured"}]}}"#, "switch it on"),
        (r#"{"error":{"message":"The authenticated user cannot access this service"}}"#, "administrator can switch"),
        ("<html>", "sign in again"),
    ] {
        assert!(read(403, body).forbidden().contains(words), "{body}");
    }
}

#[test]
fn each_fault_has_its_scope_and_time() {
    let book = || Scope::Collection(CollectionId::from("people/me"));
    let until = Timestamp(5);
    for (fault, scope, retry) in [
        (Fault::SignIn, Scope::Account, Retry::AfterHuman),
        (Fault::Wait(until), Scope::Account, Retry::At(until)),
        (Fault::Http(HttpError::Wait { until, doubt: false }), Scope::Account, Retry::At(until)),
        (Fault::Relist("x"), book(), Retry::Relist),
        (Fault::Api(read(403, "")), Scope::Account, Retry::AfterHuman),
        (Fault::Api(read(500, "")), book(), Retry::Soon),
        (Fault::Implausible("x"), book(), Retry::Soon),
        (Fault::Settings("x".into()), Scope::Account, Retry::AfterHuman),
    ] {
        let named = format!("{fault:?}");
        let error = classify(fault, "listing the contacts", book());
        assert_eq!((error.scope, error.retry), (scope, retry), "{named}");
    }
}

#[test]
fn members_that_google_names_are_told_and_nothing_else() {
    let body = r#"{"error":{"details":[{"fieldViolations":[{"field":"person.birthdays[0].date"},{"field":"ann@example.com"}]}]}}"#;
    assert_eq!(read(400, body).fields, ["person.birthdays[0].date"]);
}

#[test]
fn nothing_that_a_message_quotes_is_shown() {
    let body = r#"{"error":{"code":400,"status":"ann@example.com","message":"Invalid value ann@example.com","errors":[{"reason":"invalid ann@example.com"},{"reason":"badRequest"}]}}"#;
    let error = read(400, body);
    let shown = classify(Fault::Api(error), "listing the contacts", Scope::Account).to_string();
    assert!(!shown.contains("ann@") && shown.contains("400") && shown.contains("badRequest"), "{shown}");
}
