//! The adapter against a server that says exactly what a test tells it to.

#![allow(clippy::needless_pass_by_value, reason = "literals of JSON read better without a reference")]

use std::sync::Mutex;

use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::convert::TOKEN_KEY;
use super::*;
use crate::card::field::FieldSet;
use crate::card::photo::Blob;
use crate::card::{Card, Photo};
use crate::clock::{Clock, Entropy};
use crate::ids::{GroupId, RemoteId, Timestamp};
use crate::provider::http::HttpSettings;
use crate::provider::http::address::AddressPolicy;
use crate::provider::{Next, WriteKind};
use crate::secret::Secret;
use crate::sync::view::{Groups, Seen};

const DAY: i64 = 86_400_000;

struct World(Mutex<i64>);
impl Clock for World {
    fn now(&self) -> Timestamp {
        Timestamp(*self.0.lock().unwrap())
    }
}
impl Entropy for World {
    fn bytes(&self) -> [u8; 16] {
        [7; 16]
    }
}

/// Hands out `one`, and after a refusal `two`.
#[derive(Default)]
struct Tokens(Mutex<Vec<String>>);
#[async_trait]
impl Bearer for Tokens {
    async fn token(&self) -> Result<Secret, ProviderError> {
        Ok(Secret::from(if self.0.lock().unwrap().is_empty() { "one" } else { "two" }))
    }
    async fn refused(&self, token: &Secret) {
        self.0.lock().unwrap().push(token.expose().to_owned());
    }
}

/// One request as it came.
#[derive(Clone, Debug)]
struct Asked {
    head: String,
    body: Json,
}

struct Lab {
    google: Google,
    world: Arc<World>,
    asked: Arc<Mutex<Vec<Asked>>>,
    tokens: Arc<Tokens>,
}

impl Lab {
    /// A server that answers with these, one after the other.
    async fn new(script: Vec<(u16, Json)>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        tokio::spawn(async move {
            for (status, answer) in script {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                let mut buffer = [0u8; 16_384];
                loop {
                    let n = socket.read(&mut buffer).await.unwrap();
                    request.extend_from_slice(&buffer[..n]);
                    let text = String::from_utf8_lossy(&request).into_owned();
                    let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                    let length = head
                        .lines()
                        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned))
                        .map_or(0, |length| length.parse::<usize>().unwrap());
                    if body.len() >= length || n == 0 {
                        let body = serde_json::from_str(body).unwrap_or_default();
                        seen.lock().unwrap().push(Asked { head: head.to_owned(), body });
                        break;
                    }
                }
                let text = answer.to_string();
                let head =
                    format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", text.len());
                socket.write_all(format!("{head}{text}").as_bytes()).await.unwrap();
                socket.shutdown().await.ok();
            }
        });
        let settings = GoogleSettings {
            base: format!("http://127.0.0.1:{port}/"),
            plain_loopback: true,
            write_gap: Some(0),
            ..GoogleSettings::new("ann@example.com")
        };
        let world = Arc::new(World(Mutex::new(0)));
        let addresses = AddressPolicy { allow_private: true, ..AddressPolicy::default() };
        let http = HttpSettings { addresses, patience: Duration::from_secs(1), ..HttpSettings::default() };
        let http = Http::new(http, Arc::clone(&world) as _).unwrap();
        let (gate, tokens) = (Arc::new(Gate::new(settings.pace())), Arc::new(Tokens::default()));
        let google = Google::new(settings, Arc::clone(&tokens) as _, http, gate, Arc::clone(&world) as _);
        Self { google, world, asked, tokens }
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    fn at(&self, now: i64) {
        *self.world.0.lock().unwrap() = now;
    }
}

fn person(n: u32, etag: &str, more: Json) -> Json {
    let mut person = json!({
        "resourceName": format!("people/c{n}"), "etag": "%x",
        "metadata": { "sources": [{ "type": "CONTACT", "id": format!("{n:x}"), "etag": etag, "updateTime": "2026-11-20T08:15:30Z" }] },
    });
    person.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    person
}

fn record(person: &Json) -> RemoteRecord {
    match convert::observe(person, &book()) {
        Some(Seen::Present(record)) => record,
        other => panic!("{other:?}"),
    }
}

fn book() -> CollectionId {
    CollectionId::from(BOOK)
}

fn write(n: u32, what: WriteKind, before: Option<&Json>) -> Write {
    Write {
        what,
        token: token(n),
        collection: book(),
        before: before.map(record),
        photo: None,
        by: Timestamp(i64::MAX),
    }
}

fn token(n: u32) -> Token {
    Token(uuid::Uuid::from_u128(u128::from(n)))
}

fn named(given: &str) -> Card {
    Card { given: Some(given.to_owned()), ..Card::default() }
}

fn create(n: u32) -> Write {
    write(n, WriteKind::Create { card: named("Ann"), groups: Groups::new() }, None)
}

fn rename(n: u32) -> Write {
    let before = person(n, "#1", json!({ "names": [{ "givenName": "Ann" }] }));
    let mask: FieldSet = [Field::Given].into_iter().collect();
    write(n, WriteKind::Update { card: named("Bea"), mask }, Some(&before))
}

fn created(n: u32) -> Json {
    json!({ "person": person(n, "#1", json!({ "clientData": [{ "key": TOKEN_KEY, "value": token(n) }] })) })
}

fn shown(outcomes: &[Outcome]) -> Vec<String> {
    let one = |outcome: &Outcome| match outcome {
        Outcome::Stored(record) => format!("stored {} {}", record.at.id, record.at.etag.as_ref().unwrap()),
        Outcome::Without { record, fields, why } => {
            let names: Vec<_> = fields.iter().map(Field::name).collect();
            format!("stored {} {} without {}: {why}", record.at.id, record.at.etag.as_ref().unwrap(), names.join(" "))
        }
        Outcome::Landed(at) => format!("landed {}", at.id),
        Outcome::Refused(why) => format!("refused {}", &why[..12]),
        other => format!("{other:?}"),
    };
    outcomes.iter().map(one).collect()
}

fn error(http: u16, status: &str, details: Json) -> (u16, Json) {
    (http, json!({ "error": { "code": http, "status": status, "details": details } }))
}

#[tokio::test]
async fn a_listing_in_pages_and_then_what_changed() {
    let lab = Lab::new(vec![
        (200, json!({ "connections": [person(1, "#1", json!({})), { "odd": true }], "nextPageToken": "p+/=" })),
        (200, json!({ "nextSyncToken": "s1" })),
        (
            200,
            json!({ "connections": [
            { "resourceName": "people/c1", "metadata": { "deleted": true, "sources": [{ "type": "CONTACT" }] } },
            person(2, "#2", json!({})),
        ], "nextSyncToken": "s2" }),
        ),
    ])
    .await;
    lab.at(DAY);
    let first = lab.google.changes(&book(), From::Start).await.unwrap();
    assert!(first.full && first.seen.len() == 1);
    let Next::Page(page) = first.next else { panic!() };
    let second = lab.google.changes(&book(), From::Page(&page)).await.unwrap();
    assert!(second.full && second.seen.is_empty());
    let Next::Done(cursor) = second.next else { panic!() };
    lab.at(7 * DAY - 1);
    let third = lab.google.changes(&book(), From::Cursor(&cursor)).await.unwrap();
    assert!(!third.full);
    let ids: Vec<_> = third.seen.iter().map(|seen| (seen.id().as_str(), matches!(seen, Seen::Gone(_)))).collect();
    assert_eq!(ids, [("people/c2", false), ("people/c1", true)], "what came is told before what went");
    let Next::Done(cursor) = third.next else { panic!() };
    // Six days after the full listing, whatever was asked since: no request, everything anew.
    lab.at(7 * DAY);
    let old = lab.google.changes(&book(), From::Cursor(&cursor)).await.unwrap_err();
    assert_eq!(old.retry, Retry::Relist);
    let asked = lab.asked();
    assert_eq!(asked.len(), 3);
    assert!(asked[0].head.contains("requestSyncToken=true") && !asked[0].head.contains("pageToken"));
    assert!(asked[0].head.contains("authorization: Bearer one") && asked[0].head.contains("accept-language: en"));
    assert!(asked[1].head.contains("pageToken=p%2B%2F%3D") && !asked[1].head.contains("syncToken="));
    assert!(asked[2].head.contains("syncToken=s1"));
    let same = |n: usize| {
        let line = asked[n].head.split(' ').nth(1).unwrap();
        line.split_once('?').unwrap().1.split('&').take(4).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(same(0), same(2), "all other parameters are the same");
}

#[tokio::test]
async fn a_refused_token_means_everything_anew_and_a_refused_start_does_not() {
    let expired = error(400, "INVALID_ARGUMENT", json!([{ "reason": "EXPIRED_SYNC_TOKEN" }]));
    let plain = error(400, "INVALID_ARGUMENT", json!([]));
    let lab = Lab::new(vec![expired, plain.clone(), plain]).await;
    let cursor = wire::Place::start(Timestamp(0)).done("s".into());
    for _ in 0..2 {
        assert_eq!(lab.google.changes(&book(), From::Cursor(&cursor)).await.unwrap_err().retry, Retry::Relist);
    }
    assert_eq!(lab.google.changes(&book(), From::Start).await.unwrap_err().retry, Retry::Soon);
    let foreign = crate::ids::Cursor::from("not ours");
    assert_eq!(lab.google.changes(&book(), From::Cursor(&foreign)).await.unwrap_err().retry, Retry::Relist);
    assert_eq!(lab.asked().len(), 3);
}

#[tokio::test]
async fn lists_that_were_cut_short_are_read_in_full() {
    let phones = |n: usize| json!({ "phoneNumbers": vec![json!({ "value": "555-0100" }); n] });
    let lab = Lab::new(vec![
        (
            200,
            json!({ "connections": [person(1, "#1", phones(100)), person(2, "#2", phones(99))], "nextSyncToken": "s" }),
        ),
        (
            200,
            json!({ "responses": [{ "requestedResourceName": "people/c1", "person": person(1, "#1", phones(130)) }] }),
        ),
    ])
    .await;
    let changes = lab.google.changes(&book(), From::Start).await.unwrap();
    let sizes: Vec<usize> = changes
        .seen
        .iter()
        .map(|seen| if let Seen::Present(record) = seen { record.body.phones.len() } else { 0 })
        .collect();
    assert_eq!(sizes, [130, 99]);
}

#[tokio::test]
async fn each_id_has_its_answer() {
    let lab = Lab::new(vec![(
        200,
        json!({ "responses": [
            { "requestedResourceName": "people/c2", "status": { "code": 5 } },
            { "requestedResourceName": "people/c1", "person": person(9, "#9", json!({})) },
            { "requestedResourceName": "people/c3", "status": { "code": 13 } },
        ]}),
    )])
    .await;
    let refs: Vec<RemoteRef> = ["people/c1", "people/c2", "people/c3", "people/c4", "../x"]
        .iter()
        .map(|id| RemoteRef { collection: book(), id: RemoteId::from(*id), etag: None })
        .collect();
    let fetched = lab.google.fetch(&refs).await.unwrap();
    let Fetched::There(Seen::Present(moved), _) = &fetched[0] else { panic!() };
    assert_eq!((moved.at.id.as_str(), &moved.formerly[..]), ("people/c9", &[RemoteId::from("people/c1")][..]));
    assert!(matches!(fetched[1], Fetched::Gone));
    assert!(fetched[2..].iter().all(|fetched| matches!(fetched, Fetched::Unknown)));
    assert!(!lab.asked()[0].head.contains("..%2Fx"));
}

#[tokio::test]
async fn tokens_are_found_by_looking_through_everybody() {
    let marked = |n: u32, of: u32| {
        json!({ "resourceName": format!("people/c{n}"), "clientData": [
        { "key": "other", "value": token(of) }, { "key": TOKEN_KEY, "value": token(of) }] })
    };
    let lab = Lab::new(vec![
        (200, json!({ "connections": [marked(1, 1)], "nextPageToken": "p" })),
        (200, json!({ "connections": [marked(2, 3), { "resourceName": "people/c5" }] })),
        (
            200,
            json!({ "responses": [
                { "requestedResourceName": "people/c1", "person": person(1, "#1", json!({})) },
                { "requestedResourceName": "people/c2", "status": { "code": 5 } },
            ]}),
        ),
    ])
    .await;
    let found = lab.google.find(&book(), &[token(1), token(2), token(3)]).await.unwrap();
    assert!(matches!(&found[0], Found::Records(seen, _) if seen.len() == 1));
    assert!(matches!(found[1], Found::NotThere));
    assert!(matches!(found[2], Found::Unknown), "listed and gone since: it is asked again");
    let asked = lab.asked();
    assert!(asked.iter().all(|asked| !asked.head.contains("requestSyncToken")));
}

#[tokio::test]
async fn creates_are_told_apart_by_their_tokens() {
    let lab =
        Lab::new(vec![(200, json!({ "createdPeople": [created(2), created(1), { "status": { "code": 13 } }] }))]).await;
    let outcomes = lab.google.write(&[create(1), create(2), create(3)]).await;
    assert_eq!(shown(&outcomes), ["stored people/c1 #1", "stored people/c2 #1", "Unknown"]);
    let body = &lab.asked()[0].body;
    assert_eq!(body["contacts"][0]["contactPerson"]["clientData"][0]["value"], json!(token(1)));
    assert_eq!(body["contacts"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_poisoned_batch_of_creates_costs_only_the_bad_one() {
    let named = json!([{ "contactErrors": { "1": { "code": 3, "message": "x" } } }]);
    let full = (400, json!({ "error": { "code": 400, "message": "MY_CONTACTS_OVERFLOW_COUNT" } }));
    let lab = Lab::new(vec![
        error(400, "INVALID_ARGUMENT", named),
        (200, json!({ "createdPeople": [created(1), created(3)] })),
        full,
    ])
    .await;
    let outcomes = lab.google.write(&[create(1), create(2), create(3)]).await;
    assert_eq!(shown(&outcomes), ["stored people/c1 #1", "refused Google does ", "stored people/c3 #1"]);
    let outcomes = lab.google.write(&[create(4), create(5)]).await;
    assert!(matches!(&outcomes[..], [Outcome::Refused(a), Outcome::Refused(b)] if a == b && a.contains("25,000")));
    assert_eq!(lab.asked().len(), 3);
}

#[tokio::test]
async fn a_batch_refused_without_names_is_halved() {
    let bad = error(400, "FAILED_PRECONDITION", json!([]));
    let updated =
        |n: u32| (200, json!({ "updateResult": { format!("people/c{n}"): { "person": person(n, "#2", json!({})) } } }));
    let lab = Lab::new(vec![bad.clone(), updated(1), bad, updated(3), error(404, "NOT_FOUND", json!([]))]).await;
    let outcomes = lab.google.write(&[rename(1), rename(2)]).await;
    assert_eq!(shown(&outcomes), ["stored people/c1 #2", "Stale"]);
    let outcomes = lab.google.write(&[rename(3)]).await;
    assert_eq!(shown(&outcomes), ["stored people/c3 #2"]);
    assert_eq!(shown(&lab.google.write(&[rename(4)]).await), ["Missing"]);
    let body = &lab.asked()[0].body;
    assert_eq!(body["updateMask"], "names");
    assert_eq!(
        body["contacts"]["people/c1"],
        json!({ "resourceName": "people/c1", "names": [{ "givenName": "Bea" }],
            "metadata": { "sources": [{ "type": "CONTACT", "id": "1", "etag": "#1" }] } })
    );
}

#[tokio::test]
async fn one_mask_for_each_batch_and_nothing_to_send_is_no_request() {
    let before = person(1, "#1", json!({ "emailAddresses": [{ "value": "a@example.com" }] }));
    let emails: FieldSet = [Field::Emails].into_iter().collect();
    let clear = write(1, WriteKind::Update { card: Card::default(), mask: emails }, Some(&before));
    let same = write(2, WriteKind::Update { card: Card::default(), mask: emails }, Some(&person(2, "#7", json!({}))));
    let lab = Lab::new(vec![
        (200, json!({ "updateResult": { "people/c1": { "person": person(1, "#2", json!({})) } } })),
        (200, json!({ "updateResult": { "people/c3": { "status": { "code": 13 } } } })),
    ])
    .await;
    let outcomes = lab.google.write(&[clear, same, rename(3)]).await;
    assert_eq!(shown(&outcomes), ["stored people/c1 #2", "stored people/c2 #7", "landed people/c3"]);
    let masks: Vec<Json> = lab.asked().iter().map(|asked| asked.body["updateMask"].clone()).collect();
    assert_eq!(masks, [json!("emailAddresses"), json!("names")]);
    assert!(lab.asked()[0].body["contacts"]["people/c1"].get("emailAddresses").is_none(), "absent = cleared");
}

#[tokio::test]
async fn a_create_whose_answer_is_lost_is_unknown_and_an_account_without_rights_is_told_so() {
    let forbidden = error(403, "PERMISSION_DENIED", json!([{ "reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT" }]));
    let lab = Lab::new(vec![(500, json!({})), forbidden.clone(), forbidden]).await;
    assert_eq!(shown(&lab.google.write(&[create(1), create(2)]).await), ["Unknown", "Unknown"]);
    let outcomes = lab.google.write(&[create(1)]).await;
    assert!(matches!(&outcomes[0], Outcome::Refused(why) if why.contains("sign in again")));
    let error = lab.google.groups().await.unwrap_err();
    assert_eq!((error.scope, error.retry), (Scope::Account, Retry::AfterHuman));
    assert_eq!(lab.asked().len(), 3, "a create is never sent twice");
}

#[tokio::test]
async fn a_change_that_our_own_first_attempt_may_have_made_is_not_called_stale() {
    let stale = error(400, "FAILED_PRECONDITION", json!([]));
    let lab = Lab::new(vec![(500, json!({})), stale.clone(), stale]).await;
    assert_eq!(shown(&lab.google.write(&[rename(1)]).await), ["Unknown"]);
    assert_eq!(shown(&lab.google.write(&[rename(1)]).await), ["Stale"]);
}

#[tokio::test]
async fn a_refused_token_is_renewed_once() {
    let no = error(401, "UNAUTHENTICATED", json!([]));
    let lab =
        Lab::new(vec![no.clone(), (200, json!({ "sub": "1077", "email": "ann@example.com" })), no.clone(), no]).await;
    let mailbox = lab.google.check().await.unwrap();
    assert_eq!((mailbox.tenant.as_str(), mailbox.subject.as_str()), ("google.com", "1077"));
    assert!(lab.asked()[1].head.contains("authorization: Bearer two"));
    assert_eq!(*lab.tokens.0.lock().unwrap(), ["one"]);
    assert_eq!(lab.google.check().await.unwrap_err().retry, Retry::AfterHuman);
}

#[tokio::test]
async fn quotas_close_the_gate() {
    let backend = json!([{ "violations": [{ "description": "FBS quota limit exceeded" }] }]);
    let lab = Lab::new(vec![error(429, "RESOURCE_EXHAUSTED", backend)]).await;
    let Retry::At(until) = lab.google.groups().await.unwrap_err().retry else { panic!() };
    assert!(until >= Timestamp(3_599_000), "{until:?}");
    // Writes don't even begin, and nothing is said to have happened.
    assert_eq!(shown(&lab.google.write(&[create(1)]).await), ["NotTried"]);
    let lab = Lab::new(vec![(403, json!({ "error": { "errors": [{ "reason": "userRateLimitExceeded" }] } }))]).await;
    assert_eq!(lab.google.groups().await.unwrap_err().retry, Retry::At(Timestamp(60_000)));
    assert!(matches!(lab.google.groups().await.unwrap_err().retry, Retry::At(_)));
    assert_eq!(lab.asked().len(), 1);
}

#[tokio::test]
async fn out_of_its_last_label_a_contact_goes_by_way_of_contacts() {
    let group = GroupId::from("contactGroups/c0ffee");
    let in_it = json!({ "memberships": [{ "contactGroupMembership": { "contactGroupResourceName": group } }] });
    let leave = |n: u32| write(n, WriteKind::Leave(group.clone()), Some(&person(n, "#1", in_it.clone())));
    let lab = Lab::new(vec![
        (200, json!({ "canNotRemoveLastContactGroupResourceNames": ["people/c1"], "notFoundResourceNames": ["people/c2"] })),
        (200, json!({})),
        (200, json!({})),
        // A read that still shows the state before.
        (200, json!({ "responses": [
            { "requestedResourceName": "people/c1", "person": person(1, "#2", in_it.clone()) },
            { "requestedResourceName": "people/c2", "status": { "code": 5 } }] })),
        error(404, "NOT_FOUND", json!([])),
    ])
    .await;
    let outcomes = lab.google.write(&[leave(1), leave(2)]).await;
    assert_eq!(shown(&outcomes), ["stored people/c1 #2", "Missing"]);
    assert!(matches!(&outcomes[0], Outcome::Stored(record) if record.groups.is_empty()));
    let bodies: Vec<Json> = lab.asked().iter().take(3).map(|asked| asked.body.clone()).collect();
    assert_eq!(bodies[0]["resourceNamesToRemove"], json!(["people/c1", "people/c2"]));
    assert_eq!(bodies[1]["resourceNamesToAdd"], json!(["people/c1"]));
    assert!(lab.asked()[1].head.starts_with("POST /v1/contactGroups/myContacts/members:modify"));
    let outcomes = lab.google.write(&[leave(3)]).await;
    assert!(matches!(&outcomes[0], Outcome::Refused(why) if why.contains("choose the sync group again")));
}

#[tokio::test]
async fn deletes_go_at_once_or_else_one_by_one() {
    let delete = |n: u32| write(n, WriteKind::Delete, Some(&person(n, "#1", json!({}))));
    let gone = error(404, "NOT_FOUND", json!([]));
    let lab = Lab::new(vec![(200, json!({})), gone.clone(), (200, json!({})), gone]).await;
    assert_eq!(shown(&lab.google.write(&[delete(1), delete(2)]).await), ["Deleted", "Deleted"]);
    assert_eq!(shown(&lab.google.write(&[delete(1), delete(2)]).await), ["Deleted", "Deleted"]);
    let heads: Vec<String> = lab.asked().iter().map(|asked| asked.head.lines().next().unwrap().to_owned()).collect();
    assert!(heads[0].starts_with("POST /v1/people:batchDeleteContacts"), "{heads:?}");
    assert!(heads[3].starts_with("DELETE /v1/people/c2:deleteContact"), "{heads:?}");
}

#[tokio::test]
async fn a_picture_goes_before_the_fields_and_only_what_we_know_is_overwritten() {
    let blob = Blob::new("image/png", [0x89, b'P', b'N', b'G', 1].to_vec());
    let photo = Some(Photo { hash: blob.hash.clone(), media_type: blob.media_type.clone() });
    let both: FieldSet = [Field::Given, Field::Photo].into_iter().collect();
    let update = |n: u32| {
        let before = person(n, "#1", json!({ "names": [{ "givenName": "Ann" }] }));
        let what = WriteKind::Update { card: Card { photo: photo.clone(), ..named("Bea") }, mask: both };
        Write { photo: Some(blob.clone()), ..write(n, what, Some(&before)) }
    };
    let now = |n: u32, given: &str| json!({ "person": person(n, "#2", json!({ "names": [{ "givenName": given }] })) });
    let lab = Lab::new(vec![
        (200, now(1, "Ann")),
        (200, json!({ "updateResult": { "people/c1": { "person": person(1, "#3", json!({})) } } })),
        (200, now(2, "Somebody else was here")),
        (400, json!({})),
        (200, json!({ "updateResult": { "people/c3": { "person": person(3, "#3", json!({})) } } })),
    ])
    .await;
    assert_eq!(shown(&lab.google.write(&[update(1)]).await), ["stored people/c1 #3"]);
    let asked = lab.asked();
    assert!(asked[0].head.starts_with("PATCH /v1/people/c1:updateContactPhoto"));
    assert_eq!(asked[0].body["photoBytes"], "iVBORwE=");
    assert_eq!(asked[1].body["contacts"]["people/c1"]["metadata"]["sources"][0]["etag"], "#2");
    assert_eq!(shown(&lab.google.write(&[update(2)]).await), ["Stale"]);
    assert_eq!(
        shown(&lab.google.write(&[update(3)]).await),
        ["stored people/c3 #3 without photo: Google can't make use of it as a picture"],
        "a picture that Google won't have"
    );
}

#[tokio::test]
async fn a_new_record_gets_its_picture_after_it_and_other_kinds_stay_here() {
    let blob = Blob::new("image/jpeg", [0xFF, 0xD8, 0xFF, 1].to_vec());
    let with = |n: u32, blob: &Blob| {
        let photo = Some(Photo { hash: blob.hash.clone(), media_type: blob.media_type.clone() });
        let what = WriteKind::Create { card: Card { photo, ..named("Ann") }, groups: Groups::new() };
        Write { photo: Some(blob.clone()), ..write(n, what, None) }
    };
    let pictured = json!({ "photos": [{ "url": "https://photos.example.net/1=s100" }] });
    let lab = Lab::new(vec![
        (200, json!({ "createdPeople": [created(1), created(2)] })),
        (200, json!({ "person": person(1, "#2", pictured) })),
    ])
    .await;
    let other = Blob::new("image/webp", *b"RIFF....WEBP");
    let outcomes = lab.google.write(&[with(1, &blob), with(2, &other)]).await;
    let other = "stored people/c2 #1 without photo: Google takes JPEG and PNG, and it is image/webp";
    assert_eq!(shown(&outcomes), ["stored people/c1 #2", other]);
    assert!(matches!(&outcomes[0], Outcome::Stored(record) if record.body.photo.is_some()));
    assert_eq!(lab.asked().len(), 2);
}

#[tokio::test]
async fn a_picture_is_fetched_without_a_token_and_known_by_its_bytes() {
    let lab = Lab::new(vec![(200, json!("no picture")), (404, json!({}))]).await;
    let base = lab.google.client.as_ref().unwrap().api.0.to_string();
    let of = |url: String| record(&person(1, "#1", json!({ "photos": [{ "url": url }] })));
    let error = lab.google.photo(&of(format!("{base}p=s100"))).await.unwrap_err();
    assert_eq!((error.scope, error.retry), (Scope::Record(RemoteId::from("people/c1")), Retry::Soon));
    assert!(lab.google.photo(&of(format!("{base}p"))).await.unwrap().is_none());
    assert!(lab.google.photo(&record(&person(1, "#1", json!({})))).await.unwrap().is_none());
    // An address in somebody's data leads to no machine of ours.
    assert!(lab.google.photo(&of("http://127.0.0.1:1/p".into())).await.is_err());
    let asked = lab.asked();
    assert_eq!(asked.len(), 2);
    assert!(asked.iter().all(|asked| !asked.head.contains("authorization") && asked.head.contains("sz=720")));
}

#[tokio::test]
async fn what_comes_too_late_is_not_begun() {
    let lab = Lab::new(vec![]).await;
    lab.at(10);
    assert_eq!(shown(&lab.google.write(&[Write { by: Timestamp(9), ..create(1) }]).await), ["NotTried"]);
    assert!(lab.asked().is_empty());
}
