//! Reading: masks, paging, sync tokens, tombstones, lag.

use mock_providers::google::Settings;
use mock_providers::google::settings::Aging;
use serde_json::{Value, json};

use crate::lab::{DAY, FIELDS, Lab, SOURCES, encode, named, text};

const EXPIRED: &str = "Sync token is expired. Clear local cache and retry call without the sync token.";

async fn expired(lab: &Lab, token: &str) -> bool {
    let got = lab.list(&format!("&pageSize=1000&requestSyncToken=true&syncToken={}", encode(token))).await;
    if got.status == 200 {
        return false;
    }
    assert_eq!((got.error(), got.message()), ((400, "INVALID_ARGUMENT"), EXPIRED));
    assert_eq!(
        got.body["error"]["details"][0],
        json!({
            "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "EXPIRED_SYNC_TOKEN",
            "domain": "people.googleapis.com",
        })
    );
    true
}

fn names(people: &[Value]) -> Vec<&str> {
    people.iter().map(|person| text(&person["resourceName"])).collect()
}

#[tokio::test]
async fn bad_parameters_are_refused() {
    let lab = Lab::new().await;
    for (query, said) in [
        ("", "personFields mask is required"),
        (
            "personFields=names,notes",
            "Invalid personFields mask path: \"notes\". Valid paths are documented at https://developers.google.com/people/api/rest/v1/people/get.",
        ),
        ("personFields=names&pageSize=1001", "Page size must be between 1 and 1000."),
        ("personFields=names&pageSize=x", "Invalid value at 'pageSize'"),
        ("personFields=names&sources=CONTACT", "Invalid value at 'sources'"),
        ("personFields=names&sortOrder=NAME", "Invalid value at 'sort_order'"),
        ("personFields=names&requestSyncToken=yes", "Invalid value at 'requestSyncToken'"),
        ("personFields=names&requestSyncToken=true&sortOrder=LAST_MODIFIED_DESCENDING", "sort order"),
        ("personFields=names&group=x", "Unknown name \"group\""),
        ("personFields=names&pageToken=x", "Request contains an invalid argument."),
        ("personFields=names&fields=connections", "partial responses"),
    ] {
        let got = lab.get(&format!("people/me/connections?{query}")).await;
        assert_eq!(got.error(), (400, "INVALID_ARGUMENT"), "{query}");
        assert!(got.message().contains(said), "{query}: {}", got.message());
    }
    let lost = lab.get("people/c1/connections?personFields=names").await;
    assert_eq!((lost.status, lost.header("content-type")), (404, "text/html; charset=UTF-8"));
}

#[tokio::test]
async fn masks_hide_what_they_do_not_name() {
    let lab = Lab::new().await;
    let person =
        json!({"names": [{"givenName": "Ada"}], "phoneNumbers": [{"value": "+44 7700 900123", "type": "home"}]});
    let name = lab.account.add(&person).unwrap();
    let shown = lab.get(&format!("{name}?personFields=phoneNumbers,photos")).await.good();
    let keys: Vec<&String> = shown.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["etag", "phoneNumbers", "photos", "resourceName"]);
    let phone = &shown["phoneNumbers"][0];
    assert_eq!((&phone["canonicalForm"], &phone["formattedType"]), (&json!("+447700900123"), &json!("Home")));
    assert_eq!(shown["photos"][0]["default"], true);
    let bare = lab.get(&format!("{name}?personFields=urls")).await.good();
    assert_eq!(bare.as_object().unwrap().len(), 2);
    assert_ne!(bare["etag"], shown["etag"], "it varies with the mask");
    let url = format!("{}/v1/{name}?personFields=phoneNumbers", lab.google.url());
    let bearer = format!("Bearer {}", lab.token);
    let headers = [("authorization", bearer.as_str()), ("accept-language", "de-DE,de;q=0.9")];
    let german = lab.try_send("GET", &url, &headers, String::new()).await.unwrap().good();
    assert_eq!(german["phoneNumbers"][0]["formattedType"], "Privat");
    assert_eq!(lab.list("").await.good()["connections"][0]["metadata"]["objectType"], "PERSON");
    assert_eq!(lab.get("people/c1?personFields=names").await.error(), (404, "NOT_FOUND"));
    assert_eq!(lab.get("people/me?personFields=names").await.good()["names"][0]["displayName"], "Ada Example");
}

#[tokio::test]
async fn pages_follow_each_other_and_the_last_has_the_token() {
    let lab = Lab::new().await;
    let all = lab.account.seed(1, 45);
    let (mut seen, mut page, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let got = lab.list(&format!("&pageSize=20&requestSyncToken=true{page}")).await.good();
        pages += 1;
        assert_eq!((&got["totalItems"], &got["totalPeople"]), (&json!(45), &json!(45)));
        seen.extend(got["connections"].as_array().unwrap().clone());
        let Some(next) = got["nextPageToken"].as_str() else {
            assert!(got["nextSyncToken"].is_string());
            break;
        };
        assert_eq!(got.get("nextSyncToken"), None);
        assert!(["+", "/", "="].iter().all(|letter| next.contains(letter)));
        page = format!("&pageToken={}", encode(next));
        // Bound to the parameters, and spoiled without percent-encoding.
        assert_eq!(lab.list(&format!("&pageSize=21&requestSyncToken=true{page}")).await.status, 400);
        assert_eq!(lab.list(&format!("&pageSize=20&requestSyncToken=true&pageToken={next}")).await.status, 400);
    }
    assert_eq!((pages, seen.len()), (3, 45));
    let mut found: Vec<String> = names(&seen).into_iter().map(str::to_owned).collect();
    let times: Vec<&str> = seen.iter().map(|one| text(&one["metadata"]["sources"][0]["updateTime"])).collect();
    assert!(times.is_sorted(), "oldest change first");
    found.sort();
    let mut all = all;
    all.sort();
    assert_eq!(found, all);
    assert_eq!(lab.list("").await.good().get("nextSyncToken"), None);
    let by_name = lab.list("&sortOrder=FIRST_NAME_ASCENDING&pageSize=1000").await.good();
    let given = |one: &Value| one["names"][0]["givenName"].as_str().unwrap_or_default().to_lowercase();
    assert!(by_name["connections"].as_array().unwrap().iter().map(given).is_sorted());
    let latest = lab.list("&sortOrder=LAST_MODIFIED_DESCENDING&pageSize=1").await.good();
    assert_eq!(latest["connections"][0]["resourceName"], seen[44]["resourceName"]);
}

#[tokio::test]
async fn an_empty_book_has_no_members_in_its_answer() {
    let lab = Lab::new().await;
    assert_eq!(lab.list("").await.good(), json!({}));
}

#[tokio::test]
async fn a_token_brings_what_has_changed_once() {
    let lab = Lab::new().await;
    let [a, b, c] = ["Ada", "Robin", "Kim"].map(|given| lab.account.add(&named(given, "Example")).unwrap());
    let (people, token) = lab.sync(None).await;
    assert_eq!(people.len(), 3);
    let (none, token) = lab.sync(Some(&token)).await;
    assert_eq!(none.len(), 0);
    for turn in 0..3 {
        lab.account.edit(&a, &json!({"nicknames": [{"value": format!("turn {turn}")}]})).unwrap();
    }
    lab.account.delete(&b).unwrap();
    let fleeting = lab.account.add(&named("Brief", "Example")).unwrap();
    lab.account.delete(&fleeting).unwrap();
    let (people, next) = lab.sync(Some(&token)).await;
    assert_eq!(names(&people), [&a, &b, &fleeting]);
    let gone = &people[1];
    let id = format!("{:x}", b.trim_start_matches("people/c").parse::<u64>().unwrap());
    assert_eq!(
        gone["metadata"],
        json!({
            "sources": [{"type": "CONTACT", "id": id}], "deleted": true, "objectType": "PERSON",
        })
    );
    assert!(gone["etag"].is_string() && gone.get("names").is_none());
    // The same token answers the same; a full list has no tombstones.
    assert_eq!(lab.sync(Some(&token)).await.0.len(), 3);
    assert_eq!(lab.sync(Some(&next)).await.0.len(), 0);
    assert_eq!(lab.sync(None).await.0.len(), 2);
    lab.account.restore(&b).unwrap();
    assert_eq!(names(&lab.sync(Some(&next)).await.0), [&b]);
    let _ = c;
    // Without `metadata` in the mask nobody sees that it is a tombstone.
    let got = lab.get("people/me/connections?personFields=names&requestSyncToken=true").await.good();
    lab.account.delete(&a).unwrap();
    let since = encode(text(&got["nextSyncToken"]));
    let got = lab.get(&format!("people/me/connections?personFields=names&syncToken={since}")).await.good();
    assert_eq!(got["connections"][0].as_object().unwrap().len(), 2);
}

#[tokio::test]
async fn what_happens_between_the_pages_is_not_lost() {
    let lab = Lab::new().await;
    let all = lab.account.seed(1, 30);
    let first = lab.list("&pageSize=20&requestSyncToken=true").await.good();
    // One that was already shown goes, one that was not is edited.
    lab.account.delete(&all[0]).unwrap();
    lab.account.edit(&all[25], &named("Late", "Example")).unwrap();
    let page = encode(text(&first["nextPageToken"]));
    let second = lab.list(&format!("&pageSize=20&requestSyncToken=true&pageToken={page}")).await.good();
    let since = encode(text(&second["nextSyncToken"]));
    let changes = lab.list(&format!("&pageSize=20&requestSyncToken=true&syncToken={since}")).await.good();
    let changes = names(changes["connections"].as_array().unwrap()).join(" ");
    assert!(changes.contains(&all[0]) || !first.to_string().contains(&all[0]), "{changes}");
    assert!(changes.contains(&all[25]));
}

#[tokio::test]
async fn tokens_are_bound_to_user_and_parameters() {
    let mut lab = Lab::new().await;
    lab.account.seed(1, 3);
    let (_, token) = lab.sync(None).await;
    let since = format!("&requestSyncToken=true&syncToken={}", encode(&token));
    let other_mask = format!("people/me/connections?personFields=names&{SOURCES}&pageSize=1000{since}");
    let other_sources = format!("people/me/connections?personFields={FIELDS}&pageSize=1000{since}");
    for path in [other_mask, other_sources] {
        let got = lab.get(&path).await;
        assert_eq!((got.status, got.message()), (400, "Request contains an invalid argument."));
    }
    assert_eq!(lab.list(&format!("&pageSize=999{since}")).await.status, 400);
    lab.token = lab.google.account("robin.example@example.com").unwrap().access_token(&["contacts"]);
    assert_eq!(lab.list(&format!("&pageSize=1000{since}")).await.status, 400);
    lab.token = lab.account.access_token(&["contacts"]);
    assert_eq!(lab.list(&format!("&pageSize=1000{since}")).await.status, 200);
}

#[tokio::test]
async fn tokens_grow_old_in_two_ways() {
    let mut lab = Lab::new().await;
    lab.google.settings(|settings| settings.oauth.access_seconds = 100 * 86_400);
    lab.token = lab.account.access_token(&["contacts"]);
    let (_, first) = lab.sync(None).await;
    lab.google.advance(6 * DAY);
    let (_, second) = lab.sync(Some(&first)).await;
    lab.google.advance(2 * DAY);
    assert!(expired(&lab, &second).await, "seven days after the full sync");
    lab.google.settings(|settings| settings.reads.aging = Aging::Lenient);
    assert!(expired(&lab, &first).await);
    assert!(!expired(&lab, &second).await, "two days after it was given out");
    lab.account.expire_tokens();
    assert!(expired(&lab, &second).await);
    lab.google.settings(|settings| settings.errors.expired_is_precondition = true);
    let got = lab.list(&format!("&pageSize=1000&syncToken={}", encode(&second))).await;
    assert_eq!(got.error(), (400, "FAILED_PRECONDITION"));
}

#[tokio::test]
async fn writes_reach_sync_lists_late_when_told_so() {
    let mut settings = Settings::without_quotas();
    settings.reads.propagation = 180_000;
    let lab = Lab::start(settings).await;
    let (_, token) = lab.sync(None).await;
    let name = text(&lab.create(named("Ada", "Example")).await["resourceName"]).to_owned();
    assert_eq!(lab.list("").await.good()["connections"].as_array().unwrap().len(), 1, "plain lists show it at once");
    let (people, token) = lab.sync(Some(&token)).await;
    assert_eq!(people.len(), 0);
    // A full sync gives a token that has not passed by what is still hidden.
    let (people, full) = lab.sync(None).await;
    assert_eq!(people.len(), 1);
    lab.google.advance(180_000);
    assert_eq!(names(&lab.sync(Some(&token)).await.0), [&name]);
    assert_eq!(names(&lab.sync(Some(&full)).await.0), [&name]);
}

#[tokio::test]
async fn a_list_that_is_behind_shows_an_older_state() {
    let mut settings = Settings::without_quotas();
    settings.reads.propagation = 60_000;
    let lab = Lab::start(settings).await;
    let name = lab.account.add(&named("Ada", "Example")).unwrap();
    lab.google.advance(60_000);
    let (_, token) = lab.sync(None).await;
    let given =
        |people: &[Value]| people.iter().map(|one| text(&one["names"][0]["givenName"]).to_owned()).collect::<Vec<_>>();
    lab.account.edit(&name, &named("One", "Example")).unwrap();
    lab.google.advance(60_000);
    lab.account.edit(&name, &named("Two", "Example")).unwrap();
    let (older, behind) = lab.sync(Some(&token)).await;
    assert_eq!(given(&older), ["One"]);
    assert_eq!(given(&[lab.get(&format!("{name}?personFields=names&{SOURCES}")).await.good()]), ["Two"]);
    lab.google.settings(|settings| settings.reads.older_states = false);
    assert_eq!(lab.sync(Some(&token)).await.0.len(), 0);
    lab.google.advance(60_000);
    assert_eq!(given(&lab.sync(Some(&behind)).await.0), ["Two"], "it comes later");
}

#[tokio::test]
async fn a_get_can_show_the_state_before_a_write() {
    let lab = Lab::new().await;
    let person = lab.create(named("Ada", "Example")).await;
    let name = text(&person["resourceName"]);
    lab.google.settings(|settings| settings.reads.stale_get = 5_000);
    let path = format!("{name}?personFields={FIELDS}&{SOURCES}");
    let mut changed = named("Robin", "Example");
    changed["etag"] = lab.get(&path).await.good()["etag"].clone();
    let written = lab.update(name, "names", changed).await.good();
    let stale = lab.get(&path).await.good();
    assert_eq!(stale["names"][0]["givenName"], "Ada");
    assert_ne!(stale["etag"], written["etag"]);
    lab.google.advance(5_000);
    assert_eq!(lab.get(&path).await.good()["etag"], written["etag"]);
}

#[tokio::test]
async fn renames_profiles_and_merges() {
    let lab = Lab::new().await;
    let [a, b, c] = ["Ada", "Robin", "Kim"].map(|given| lab.account.add(&named(given, "Example")).unwrap());
    let (_, token) = lab.sync(None).await;
    let new = lab.account.rename(&a).unwrap();
    let (people, token) = lab.sync(Some(&token)).await;
    let renamed = people.iter().find(|one| one["resourceName"] == *new).unwrap();
    assert_eq!(renamed["metadata"]["previousResourceNames"], json!([a]));
    assert!(people.iter().any(|one| one["resourceName"] == *a && one["metadata"]["deleted"] == true));
    let found = lab.get(&format!("people:batchGet?resourceNames={a}&personFields=names")).await.good();
    let response = &found["responses"][0];
    assert_eq!((&response["requestedResourceName"], &response["person"]["resourceName"]), (&json!(a), &json!(new)));

    let profile = json!({"names": [{"displayName": "R. E."}], "genders": [{"value": "female"}]});
    lab.account.link_profile(&b, "101234567890123456789", &profile).unwrap();
    let merged = lab.get(&format!("{b}?personFields=names,genders,metadata")).await.good();
    assert_eq!(merged["names"].as_array().unwrap().len(), 2);
    assert_eq!(merged["metadata"]["sources"][1]["type"], "PROFILE");
    let alone = lab.get(&format!("{b}?personFields=names,genders,metadata&{SOURCES}")).await.good();
    assert_eq!((alone["names"].as_array().unwrap().len(), alone.get("genders")), (1, None));
    // Echoed without its metadata, the merged person has two names.
    let two: Vec<Value> = merged["names"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| json!({"givenName": one["givenName"].as_str().unwrap_or("R.")}))
        .collect();
    let echoed = lab.update(&b, "names", json!({"etag": merged["etag"], "names": two})).await;
    assert_eq!(echoed.message(), "Cannot have more than one person.names per source.");

    lab.account.edit(&c, &json!({"emailAddresses": [{"value": "kim@example.com"}]})).unwrap();
    let (_, token) = lab.sync(Some(&token)).await;
    lab.account.merge(&b, &c).unwrap();
    let (people, _) = lab.sync(Some(&token)).await;
    assert_eq!(people.len(), 2);
    assert!(
        people.iter().any(|one| one["resourceName"] == *b && one["emailAddresses"][0]["value"] == "kim@example.com")
    );
    assert!(people.iter().any(|one| one["resourceName"] == *c && one["metadata"]["deleted"] == true));
}

#[tokio::test]
async fn lists_cut_long_fields_and_shuffle_items() {
    let lab = Lab::new().await;
    let mails: Vec<Value> = (0..120).map(|at| json!({"value": format!("m{at}@example.com")})).collect();
    let name = lab.account.add(&json!({"emailAddresses": mails})).unwrap();
    let listed = lab.list("").await.good()["connections"][0]["emailAddresses"].clone();
    assert_eq!(listed.as_array().unwrap().len(), 100);
    let path = format!("{name}?personFields=emailAddresses");
    let got = lab.get(&path).await.good();
    let items = got["emailAddresses"].as_array().unwrap();
    assert_eq!(items.len(), 120);
    let primary: Vec<&Value> = items.iter().filter(|item| item["metadata"]["primary"] == true).collect();
    assert_eq!((primary.len(), &primary[0]["value"]), (1, &json!("m0@example.com")));
    assert_ne!(items[0]["value"], "m0@example.com", "the first one is not the primary");
    lab.google.settings(|settings| settings.reads.shuffle = None);
    assert_eq!(lab.get(&path).await.good()["emailAddresses"][0]["value"], "m0@example.com");
}

#[tokio::test]
async fn searching_needs_a_warm_up_and_lags() {
    let lab = Lab::new().await;
    lab.account.add(&named("Ada", "Example")).unwrap();
    let search = async |query: &str| {
        let got = lab.get(&format!("people:searchContacts?query={query}&readMask=names")).await.good();
        got["results"].as_array().map_or(0, Vec::len)
    };
    assert_eq!(search("ada").await, 0, "nobody has warmed it up");
    assert_eq!(search("").await, 0);
    assert_eq!((search("ada").await, search("exam").await, search("da").await), (1, 1, 0));
    lab.account.add(&named("Adam", "Example")).unwrap();
    assert_eq!(search("ada").await, 1);
    assert_eq!((search("").await, search("ada").await), (0, 2));
}

#[tokio::test]
async fn twenty_five_thousand_are_listed_in_pages_of_a_thousand() {
    let lab = Lab::new().await;
    assert_eq!(lab.account.fill(25_000).len(), 25_000);
    let mark = lab.google.mark();
    let (people, token) = lab.sync(None).await;
    assert_eq!(people.len(), 25_000);
    assert_eq!(lab.google.ask(|journal| journal.charged(mark, "critical_read")), 25);
    assert_eq!(lab.sync(Some(&token)).await.0.len(), 0);
    let full = lab.post("people:createContact", named("One", "More")).await;
    assert_eq!((full.status, full.message()), (429, "MY_CONTACTS_OVERFLOW_COUNT"));
    // The trash counts until it is emptied or thirty days have passed.
    lab.account.delete(text(&people[0]["resourceName"])).unwrap();
    assert_eq!(lab.post("people:createContact", named("One", "More")).await.status, 429);
    lab.account.empty_trash();
    assert_eq!(lab.post("people:createContact", named("One", "More")).await.status, 200);
}
