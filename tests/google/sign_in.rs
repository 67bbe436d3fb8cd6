//! Signing in by the mock's own pages, and what becomes of a sign-in.

use mock_providers::faults::{Fault, Match};
use serde_json::json;

use crate::browser::get;
use crate::lab::{ANN, DELEGATED, Lab, USER, contact, nothing, redirected};
use crate::parts::ended;

const READ: &str = "https://www.googleapis.com/auth/contacts.readonly";
const WRITE: &str = "https://www.googleapis.com/auth/contacts";

#[tokio::test(flavor = "multi_thread")]
async fn a_user_consents_and_nothing_secret_is_left_anywhere() {
    let lab = Lab::new().await;
    lab.ann().add(&contact("Robin", None)).unwrap();
    let (child, url, said) = lab.sent(ANN, USER, &[]);
    let back = redirected(&url);
    // Somebody else's answer is not taken for this one.
    let mut other = back.clone();
    let pairs: Vec<(String, String)> = back.query_pairs().into_owned().collect();
    other.query_pairs_mut().clear().extend_pairs(
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), if name == "state" { "other".to_owned() } else { value.clone() })),
    );
    assert!(get(&other).starts_with("HTTP/1.1 404"));
    let page = get(&back);
    assert!(page.contains("is connected"), "{page}");
    let ran = ended(child, said);
    let added = ran.json();
    assert_eq!((&added["how"], &added["account"]["state"]), (&json!("new"), &json!("setup")), "{ran:?}");
    assert_eq!(lab.cli(&["preview", ANN]).json()["here"]["added"], 1);
    lab.cli(&["account", "start", ANN, "--yes"]).json();
    // From then on by the refresh token, also when the access token has ended.
    lab.google.expire_access_tokens();
    lab.add("New");
    assert_eq!(lab.refresh()["there"]["added"], 1);
    assert_eq!(lab.account(ANN)["state"], "active");
    let (shown, status) = (lab.account(ANN).to_string(), lab.plain(&["status"]).out);
    lab.nothing_leaked(&[&ran.out, &page, &shown, &status]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_is_asked_for_than_reading_where_nothing_is_written() {
    let lab = Lab::new().await;
    let group = lab.ann().add_group("Customers");
    lab.ann().add(&contact("Robin", Some(&group))).unwrap();
    lab.ann().add(&contact("Kim", None)).unwrap();
    let (child, url, said) = lab.sent(ANN, USER, &["--direction", "one_way"]);
    let asked = url.query_pairs().find(|(name, _)| name == "scope").unwrap().1.into_owned();
    assert_eq!(asked, format!("{READ} openid email"));
    get(&redirected(&url));
    assert_eq!(ended(child, said).json()["how"], "new");
    lab.cli(&["account", "set", ANN, "--group", "Customers", "--yes"]).json();
    lab.cli(&["account", "start", ANN, "--yes"]).json();
    assert_eq!(lab.people().len(), 1);
    let mark = lab.google.mark();
    lab.edit("Robin Example", &["--note", "likes tea"]);
    lab.add("New");
    lab.refresh();
    assert_eq!((lab.since(mark).1, lab.ann().len()), (0, 2), "one way is one way");
}

#[tokio::test(flavor = "multi_thread")]
async fn less_than_is_needed_connects_nothing() {
    let lab = Lab::new().await;
    let email = "https://www.googleapis.com/auth/userinfo.email";
    for granted in [vec!["openid", email], vec!["openid", email, READ]] {
        lab.google.consent(|consent| consent.grant_only = Some(granted.iter().map(|s| (*s).to_owned()).collect()));
        let ran = lab.signs_in(ANN, USER, &[]);
        assert!(ran.code == 3 && ran.err.contains("leave every box ticked") && ran.err.contains(WRITE), "{ran:?}");
        assert_eq!((lab.accounts(), lab.google.live_refresh_tokens(ANN)), (0, 0), "what was given is given back");
    }
    lab.google.consent(|consent| (consent.grant_only, consent.deny) = (None, Some("access_denied".to_owned())));
    let ran = lab.signs_in(ANN, USER, &[]);
    assert!(ran.code == 3 && ran.err.contains("said no"), "{ran:?}");
    assert_eq!(lab.accounts(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_taken_back_in_mid_run_waits_for_its_user_and_deletes_nothing() {
    let lab = Lab::new().await;
    for n in 0..5 {
        lab.ann().add(&contact(&format!("Given{n}"), None)).unwrap();
    }
    lab.connect(&[]);
    lab.add("New");
    // While the listing is on its way, its user takes everything back: the write that follows is refused.
    lab.fresh_token();
    let mark = lab.google.mark();
    lab.google.fault(Match::method("GET").path("/connections"), Fault::Delay(5_000));
    let running = lab.spawn(&["refresh", ANN, "--wait", "--json"]);
    while lab.since(mark).0 == 0 {
        tokio::task::yield_now().await;
    }
    lab.ann().revoke();
    ended(running, String::new());
    assert!(lab.paths(mark).iter().any(|path| path.ends_with(":batchCreateContacts")), "{:?}", lab.paths(mark));
    // The next run says why, whatever the first one could.
    lab.cli(&["refresh", ANN, "--wait"]);
    let account = lab.account(ANN);
    assert_eq!(account["state"], "reconnect", "{account}");
    let command = format!("contactd account add {ANN}");
    assert!(account["reason"].as_str().unwrap().contains(&command), "{account}");
    assert_eq!((lab.people().len(), lab.ann().len()), (6, 5));
    // The same user signs in again, and it goes on where it was.
    assert_eq!(lab.signs_in(ANN, USER, &[]).json()["how"], "signed_in");
    assert_eq!(lab.account(ANN)["state"], "active");
    lab.refresh();
    assert_eq!((lab.people().len(), lab.ann().len()), (6, 6));
    lab.assert_quiet();
}

#[tokio::test(flavor = "multi_thread")]
async fn scopes_that_were_reduced_are_said_so() {
    let lab = Lab::new().await;
    lab.ann().add(&contact("Robin", None)).unwrap();
    lab.connect(&[]);
    let says = Fault::Says {
        status: 403,
        name: "PERMISSION_DENIED".to_owned(),
        reason: Some("ACCESS_TOKEN_SCOPE_INSUFFICIENT".to_owned()),
        message: "Request had insufficient authentication scopes.".to_owned(),
    };
    lab.google.fault(Match::method("GET").path("/connections"), says);
    assert_eq!(lab.cli(&["refresh", ANN, "--wait"]).code, 3);
    let account = lab.account(ANN);
    assert_eq!(account["state"], "reconnect", "{account}");
    assert!(account["reason"].as_str().unwrap().contains("sign in again"), "{account}");
    assert_eq!(lab.people().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_removed_is_given_back_and_coming_back_doubles_nothing() {
    let lab = Lab::new().await;
    lab.ann().add(&contact("Robin", None)).unwrap();
    lab.connect(&[]);
    lab.add("New");
    lab.refresh();
    assert_eq!(lab.google.live_refresh_tokens(ANN), 1);
    let said = lab.plain(&["account", "remove", ANN, "--yes"]);
    assert!(said.out.contains("Google was told to forget the sign-in"), "{said:?}");
    assert_eq!(lab.google.live_refresh_tokens(ANN), 0);
    assert_eq!((lab.people().len(), lab.ann().len()), (2, 2));
    assert_eq!(lab.signs_in(ANN, USER, &[]).json()["how"], "returned");
    let tally = lab.cli(&["account", "start", ANN, "--yes"]).json()["tally"].clone();
    assert_eq!(tally, nothing());
    assert_eq!((lab.people().len(), lab.ann().len()), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_account_needs_no_user_and_says_what_to_delegate() {
    let (email, openid) = ("https://www.googleapis.com/auth/userinfo.email", "openid");
    for too_few in [&[][..], &[WRITE], &[READ, openid, email]] {
        let lab = Lab::delegated(too_few).await;
        let ran = lab.cli(&["account", "add", DELEGATED, "--user", USER]);
        let told = [WRITE, openid, email].iter().all(|scope| ran.err.contains(scope));
        assert!(ran.code == 3 && told && lab.accounts() == 0, "{too_few:?}: {ran:?}");
    }
    for (direction, scope) in [("two_way", WRITE), ("one_way", READ)] {
        let lab = Lab::delegated(&[scope, openid, email]).await;
        let kim = lab.google.account(DELEGATED).unwrap();
        kim.add(&contact("Robin", None)).unwrap();
        let added = lab.cli(&["account", "add", DELEGATED, "--user", USER, "--direction", direction]).json();
        assert_eq!(added["how"], "new");
        assert_eq!(lab.cli(&["account", "start", DELEGATED, "--yes"]).json()["tally"]["here"]["added"], 1);
        lab.add("New");
        lab.refresh_of(DELEGATED);
        assert_eq!(kim.len(), if direction == "two_way" { 2 } else { 1 });
        let ran = lab.plain(&["doctor", "--live", DELEGATED]);
        assert!(ran.code == 0 && ran.out.contains(&format!("ok   sign-in: as {DELEGATED}")), "{ran:?}");
    }
}
