//! Signing in at a provider, from the command line and the API: what is connected, what is refused, what is told.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by it")]

#[path = "../common/browser.rs"]
mod browser;
mod lab;
#[path = "../common/parts.rs"]
mod parts;
#[path = "../common/ran.rs"]
mod ran;
mod web;

use std::io::Write;
use std::sync::atomic::Ordering;

use browser::get;
use lab::{ANN, Consent, How, Lab, READ, WRITE};
use parts::ended;
use serde_json::json;

const GMAIL: &str = "ann@gmail.com";
const USER: &str = "ann@example.com";
const COMMAND: &str = "contactd account add ann@gmail.com --user ann@example.com";

#[tokio::test(flavor = "multi_thread")]
async fn a_user_signs_in_in_a_browser_and_nothing_secret_is_left_anywhere() {
    let lab = Lab::new().await;
    let (child, url, said) = lab.sent(GMAIL, &[]);
    assert!(url.query_pairs().any(|(name, value)| name == "scope" && value == format!("{WRITE} openid email")));
    let back = lab.issuer.consent(&url, ANN);
    // What others send to that port is not taken for the answer.
    for path in ["/favicon.ico", "/?code=x&state=other", "/?code=x"] {
        assert!(get(&back.join(path).unwrap()).starts_with("HTTP/1.1 404"), "{path}");
    }
    let page = get(&back);
    assert!(page.contains("ann@gmail.com is connected") && page.contains("no-store"), "{page}");
    let ran = ended(child, said);
    let added = ran.json();
    assert_eq!((&added["how"], &added["account"]["state"]), (&json!("new"), &json!("setup")));
    assert_eq!(added["account"]["provider"], "google");
    // From then on by the refresh token.
    lab.cli(&["account", "start", GMAIL, "--yes"]).json();
    lab.cli(&["refresh", GMAIL, "--wait"]).json();
    assert_eq!(lab.account(GMAIL)["state"], "active");
    let shown = lab.account(GMAIL).to_string();
    lab.nothing_leaked(&[&ran.out, &page, &shown, &lab.plain(&["doctor"]).out, &lab.plain(&["status"]).out]);
    lab.cli(&["config", "rotate-key"]).json();
    lab.cli(&["refresh", GMAIL, "--wait"]).json();
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_browser_is_elsewhere_the_address_is_pasted() {
    let lab = Lab::new().await;
    let (mut child, url, said) = lab.sent("a.nn@googlemail.com", &["--provider", "google", "--direction", "one_way"]);
    assert!(url.query_pairs().any(|(name, value)| name == "scope" && value == format!("{READ} openid email")));
    let back = lab.issuer.consent(&url, Consent { id_token: false, ..ANN });
    let stdin = child.stdin.as_mut().unwrap();
    writeln!(stdin, "what?\nhttp://127.0.0.1/?code=x&state=other\n{back}").unwrap();
    let ran = ended(child, said);
    assert_eq!(ran.json()["account"]["settings"]["direction"], "one_way", "{ran:?}");
    assert_eq!(ran.err.matches("That is not the address").count(), 2, "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_that_is_not_what_is_needed_connects_nothing() {
    let lab = Lab::new().await;
    let email = "https://www.googleapis.com/auth/userinfo.email openid";
    let reading = "https://www.googleapis.com/auth/contacts.readonly openid";
    let table = [
        (Consent { email: "bob@gmail.com", ..ANN }, "you signed in as bob@gmail.com", true),
        (Consent { scopes: Some(email), ..ANN }, "leave every box ticked", true),
        (Consent { scopes: Some(reading), ..ANN }, WRITE, true),
        (Consent { refresh: false, ..ANN }, "gave no refresh token", true),
    ];
    for (n, (who, part, given_back)) in (1..).zip(table) {
        let ran = lab.signs_in(GMAIL, &[], who);
        assert!(ran.code == 3 && ran.err.contains(part) && ran.err.contains("nothing was connected"), "{ran:?}");
        assert_eq!((lab.accounts(), lab.issuer.live()), (0, 0), "{part}");
        assert_eq!(lab.issuer.revoked().len() >= n, given_back, "{part}");
        lab.nothing_leaked(&[&ran.out]);
    }
    // The user says no.
    let (child, url, said) = lab.sent(GMAIL, &[]);
    let mut back = lab.issuer.consent(&url, ANN);
    let state = back.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    back.set_query(Some(&format!("error=access_denied&state={state}")));
    let page = get(&back);
    let ran = ended(child, said);
    assert!(page.contains("said no") && ran.err.contains("said no") && ran.code == 3, "{page} {ran:?}");
    assert_eq!(lab.accounts(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_good_for_its_own_question_once() {
    let lab = Lab::new().await;
    let begin = || {
        let new = json!({"email": GMAIL, "user": USER, "redirect": "http://127.0.0.1:9/"});
        let (status, body) = lab.api("POST", "/sign-ins", &new);
        assert_eq!((status, &body["how"]), (200, &json!("browser")), "{body}");
        (format!("/sign-ins/{}", body["id"].as_str().unwrap()), body["url"].as_str().unwrap().parse().unwrap())
    };
    let ((one, one_url), (other, _)) = (begin(), begin());
    let back = lab.issuer.consent(&one_url, ANN);
    let answer = json!({"redirected": back});
    let finish = |path: &str, answer: &serde_json::Value| {
        let (status, body) = lab.api("POST", path, answer);
        (status, body["error"].as_str().unwrap_or_default().to_owned())
    };
    let (status, says) = finish(&other, &answer);
    assert!(status == 422 && says.contains("another sign-in"), "{status} {says}");
    let (status, says) = finish(&one, &json!({"redirected": "http://127.0.0.1:9/?code=x"}));
    assert!(status == 422 && says.contains("there is no answer in that"), "{status} {says}");
    assert_eq!(finish("/sign-ins/00000000-0000-4000-8000-000000000000", &answer).0, 404);
    assert_eq!(finish(&one, &answer).0, 200);
    let (status, says) = finish(&one, &answer);
    assert!(status == 404 && says.contains("has ended"), "{status} {says}");
    assert_eq!(lab.api("GET", &one, &json!(null)).1["how"], "new", "whoever asks later learns what came of it");
    // Nobody else's business, and not for ever.
    lab.cli(&["users", "add", "bob@example.com", "--name", "Bob Example"]).json();
    let add = ["account", "add", GMAIL, "--user", USER, "--as", "bob@example.com"];
    assert!(lab.plain(&add).err.contains("administrator"));
    lab.time.days(1);
    assert_eq!(finish(&other, &answer).0, 404);
    let redirect = json!({"email": GMAIL, "user": USER, "redirect": "http://example.com:9/"});
    assert_eq!(lab.api("POST", "/sign-ins", &redirect).0, 422, "only to this machine");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_revoked_waits_for_its_user_and_says_how() {
    let lab = Lab::new().await;
    lab.signs_in(GMAIL, &[], ANN).json();
    lab.cli(&["account", "start", GMAIL, "--yes"]).json();
    lab.issuer.take_back();
    assert_eq!(lab.cli(&["refresh", GMAIL, "--wait"]).code, 3);
    let account = lab.account(GMAIL);
    assert_eq!(account["state"], "reconnect");
    assert!(account["reason"].as_str().unwrap().contains(COMMAND), "{account}");
    assert!(lab.plain(&["doctor"]).out.contains(COMMAND) && lab.plain(&["status"]).out.contains(COMMAND));
    let resumed = lab.plain(&["account", "resume", GMAIL]);
    assert!(resumed.code == 3 && resumed.err.contains("account add"), "{resumed:?}");
    // Another mailbox that has the address now is not what was connected.
    let ran = lab.signs_in(GMAIL, &[], Consent { subject: "2002", ..ANN });
    assert!(ran.code == 3 && ran.err.contains("another mailbox"), "{ran:?}");
    assert_eq!((lab.account(GMAIL)["state"].clone(), lab.issuer.live()), (json!("reconnect"), 0));
    assert_eq!(lab.signs_in(GMAIL, &[], ANN).json()["how"], "signed_in");
    assert_eq!(lab.account(GMAIL)["state"], "active");
    lab.cli(&["refresh", GMAIL, "--wait"]).json();
    // At Google giving the old one back would take the new one along.
    let revoked = lab.issuer.revoked().len();
    lab.signs_in(GMAIL, &[], ANN).json();
    lab.cli(&["refresh", GMAIL, "--wait"]).json();
    assert_eq!(lab.issuer.revoked().len(), revoked);
    // Nor does a wrong try under another address end what is connected.
    let ran = lab.signs_in("bob@gmail.com", &[], ANN);
    assert!(ran.err.contains("you signed in as ann@gmail.com"), "{ran:?}");
    lab.cli(&["refresh", GMAIL, "--wait"]).json();
    assert_eq!(lab.issuer.revoked().len(), revoked);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_tokens_are_given_back_one_by_one_the_old_one_is() {
    let lab = Lab::with(How { one_by_one: true, ..How::default() }).await;
    lab.signs_in(GMAIL, &[], ANN).json();
    lab.cli(&["account", "start", GMAIL, "--yes"]).json();
    lab.signs_in(GMAIL, &[], ANN).json();
    assert_eq!((lab.issuer.revoked().len(), lab.issuer.live()), (1, 1));
    lab.cli(&["refresh", GMAIL, "--wait"]).json();
    // Nor is anything left of one that is refused.
    lab.signs_in("bob@gmail.com", &[], ANN);
    assert_eq!((lab.issuer.revoked().len(), lab.issuer.live()), (2, 1));
    lab.issuer.deaf.store(true, Ordering::Relaxed);
    assert_eq!(lab.signs_in(GMAIL, &[], ANN).json()["how"], "signed_in", "whether or not that works");
}

#[tokio::test(flavor = "multi_thread")]
async fn writing_is_asked_for_when_it_is_wanted() {
    let lab = Lab::new().await;
    lab.signs_in(GMAIL, &["--direction", "one_way"], ANN).json();
    // Before it is started it says so, and can't be.
    let set =
        |direction: &str| lab.cli(&["account", "set", GMAIL, "--direction", direction, "--agree-present", "--yes"]);
    let says = |account: &serde_json::Value| account["reason"].as_str().unwrap_or_default().to_owned();
    set("two_way").json();
    let account = lab.account(GMAIL);
    assert!(account["state"] == "setup" && says(&account).contains("reconnect to allow writing"), "{account}");
    assert!(lab.plain(&["preview", GMAIL]).err.contains("reconnect to allow writing"));
    set("one_way").json();
    assert_eq!(lab.account(GMAIL)["reason"], json!(null));
    lab.cli(&["account", "start", GMAIL, "--yes"]).json();
    lab.cli(&["refresh", GMAIL, "--wait"]).json();
    // Afterwards it waits, until it is allowed, or not wanted any more.
    set("two_way").json();
    let account = lab.account(GMAIL);
    assert!(account["state"] == "reconnect" && says(&account).contains(COMMAND), "{account}");
    set("one_way").json();
    assert_eq!(lab.account(GMAIL)["state"], "active");
    set("two_way").json();
    let (child, url, said) = lab.sent(GMAIL, &[]);
    assert!(url.query_pairs().any(|(name, value)| name == "scope" && value.contains(&format!("{WRITE} "))));
    get(&lab.issuer.consent(&url, ANN));
    assert_eq!(ended(child, said).json()["account"]["state"], "active");
    lab.cli(&["refresh", GMAIL, "--wait"]).json();
    assert_eq!(lab.account(GMAIL)["reason"], json!(null));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_removed_is_given_back_and_never_waits_for_it() {
    let lab = Lab::new().await;
    lab.signs_in(GMAIL, &[], ANN).json();
    let removed = lab.cli(&["account", "remove", GMAIL, "--yes"]).json();
    assert!(removed["reason"].as_str().unwrap().contains("Google was told"), "{removed}");
    assert_eq!((lab.issuer.revoked().len(), lab.issuer.live()), (1, 0));
    assert_eq!(lab.signs_in(GMAIL, &[], ANN).json()["how"], "returned");
    lab.issuer.deaf.store(true, Ordering::Relaxed);
    let removed = lab.cli(&["account", "remove", GMAIL, "--yes"]).json();
    assert_eq!(removed["state"], "removed");
    assert!(removed["reason"].as_str().unwrap().contains("myaccount.google.com"), "{removed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_sign_in_is_told_before_it_comes() {
    let lab = Lab::with(How { testing: true, ..How::default() }).await;
    lab.signs_in(GMAIL, &[], ANN).json();
    let reason = || lab.account(GMAIL)["reason"].clone();
    assert_eq!(reason(), json!(null));
    assert!(lab.plain(&["doctor"]).out.contains("ends at"));
    lab.time.days(6);
    assert!(reason().as_str().unwrap().contains("in testing") && reason().as_str().unwrap().contains(COMMAND));
    assert!(lab.plain(&["status"]).out.contains("in testing") && lab.plain(&["doctor"]).code != 0);
    lab.signs_in(GMAIL, &[], ANN).json();
    assert_eq!(reason(), json!(null));
    // The issuer's own word goes before.
    let lab = Lab::new().await;
    lab.signs_in(GMAIL, &[], Consent { lasts: Some(3600), ..ANN }).json();
    assert!(lab.account(GMAIL)["reason"].as_str().unwrap().contains("ends at"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_with_a_delegation_needs_no_browser() {
    let lab = Lab::with(How { domains: vec!["example.org".to_owned()], no_client: true, ..How::default() }).await;
    let add = |address: &str| lab.cli(&["account", "add", address, "--user", USER]);
    let ran = add("ann@example.org");
    let told = ran.err.contains("1122334455") && ran.err.contains(WRITE) && ran.err.contains("Domain-wide delegation");
    assert!(ran.code == 3 && told, "{ran:?}");
    assert_eq!(lab.accounts(), 0);
    lab.issuer.delegated.store(true, Ordering::Relaxed);
    for address in ["ann@example.org", "bob@example.org"] {
        assert_eq!(add(address).json()["how"], "new", "{address}");
        lab.cli(&["account", "start", address, "--yes"]).json();
        lab.cli(&["refresh", address, "--wait"]).json();
    }
    // The administrator takes it back, and gives it again: nobody has to sign in.
    lab.issuer.delegated.store(false, Ordering::Relaxed);
    lab.issuer.take_back();
    assert_eq!(lab.cli(&["refresh", "ann@example.org", "--wait"]).code, 3);
    let account = lab.account("ann@example.org");
    assert!(account["reason"].as_str().unwrap().contains("contactd account resume ann@example.org"), "{account}");
    assert_eq!(lab.plain(&["account", "resume", "ann@example.org"]).code, 3);
    lab.issuer.delegated.store(true, Ordering::Relaxed);
    assert_eq!(lab.cli(&["account", "resume", "ann@example.org"]).json()["state"], "active");
    let removed = lab.cli(&["account", "remove", "ann@example.org", "--yes"]).json();
    assert_eq!(removed["reason"], json!(null), "there is nothing to give back");
    // Others would need a client.
    let ran = add(GMAIL);
    assert!(ran.code == 1 && ran.err.contains("Google is not set up here"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mailboxes_of_a_whole_domain_are_connected_at_once() {
    let lab = Lab::with(How { domains: vec!["example.org".to_owned()], no_client: true, ..How::default() }).await;
    let add = |domain: &str| lab.cli(&["account", "add-domain", domain, "--direction", "one_way"]);
    let nobody = add("example.org");
    assert!(nobody.code == 1 && nobody.err.contains("no active user has an address"), "{nobody:?}");
    for address in ["kim@example.org", "Lee@Example.org", "gone@example.org", "kim@another.org", "kim@sub.example.org"]
    {
        lab.cli(&["users", "add", address, "--name", address]).json();
    }
    lab.cli(&["users", "deactivate", "gone@example.org"]).json();
    let early = add("example.org");
    assert!(early.code == 3 && lab.accounts() == 0, "{early:?}");
    let told = early.json();
    assert!(told[1]["error"].as_str().unwrap().contains("Domain-wide delegation"), "{told}");

    lab.issuer.delegated.store(true, Ordering::Relaxed);
    lab.cli(&["account", "add", "kim@example.org", "--user", "kim@example.org"]).json();
    let told = add("@Example.org").json();
    assert_eq!(told, json!([{ "address": "Lee@Example.org", "how": "new", "state": "setup", "error": null }]));
    assert_eq!(lab.account("Lee@Example.org")["settings"]["direction"], "one_way");
    let again = lab.plain(&["account", "add-domain", "example.org"]);
    assert!(again.code == 0 && again.out.contains("0 connected, 0 failed, 2 connected before"), "{again:?}");
    // A domain for which nobody has given leave.
    let other = add("another.org");
    assert!(other.code == 1 && lab.accounts() == 2, "{other:?}");
    let lab = Lab::new().await;
    let ran = lab.cli(&["account", "add-domain", USER.split_once('@').unwrap().1]);
    assert!(ran.code == 1 && ran.err.contains("is not among google.delegated_domains"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_of_no_use_there() {
    let lab = Lab::new().await;
    std::fs::write(lab.dir.path().join("password"), "secret\n").unwrap();
    let file = lab.dir.path().join("password").display().to_string();
    let ran = lab.plain(&["account", "add", GMAIL, "--user", USER, "--password-file", &file]);
    assert!(ran.code == 1 && ran.err.contains("takes no password"), "{ran:?}");
}
