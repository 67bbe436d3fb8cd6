//! Signing in where users come back to the daemon's own address: which browser may, and what the others are told.

use std::io::Write;

use serde_json::json;
use url::Url;

use crate::browser::{Browser, get, head, hidden, location};
use crate::lab::{ANN, How, Lab, led_on};
use crate::parts::ended;
use crate::{GMAIL, USER};

async fn web() -> Lab {
    Lab::with(How { web: true, ..How::default() }).await
}

/// Begins a sign-in over the API; its path there, and the link.
fn begin(lab: &Lab) -> (String, Url) {
    let (status, body) = lab.api("POST", "/sign-ins", &json!({"email": GMAIL, "user": USER}));
    assert_eq!((status, &body["how"]), (200, &json!("browser")), "{body}");
    (format!("/sign-ins/{}", body["id"].as_str().unwrap()), body["url"].as_str().unwrap().parse().unwrap())
}

fn is_refused(page: &str, says: &str) {
    assert!(page.starts_with("HTTP/1.1 400") && page.contains(says), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_client_is_come_back_to_at_the_public_address() {
    let lab = web().await;
    let (child, link, said) = lab.sent(GMAIL, &[]);
    assert!(!said.contains("/authorize?"), "the provider's address is for the browser alone: {said}");
    let browser = Browser::default();
    let start = browser.get(&link);
    assert!(
        start.starts_with("HTTP/1.1 200") && start.contains("no-store") && start.contains("no-referrer"),
        "{start}"
    );
    assert!(start.contains("frame-ancestors 'none'") && start.contains("default-src 'none'"), "{start}");
    // It says whose it is to be, so that nobody brings in their mailbox for somebody else unknowingly.
    for part in [GMAIL, "Ann Example", USER, "write changes"] {
        assert!(start.contains(part), "{part}: {start}");
    }
    let back = lab.issuer.consent(&led_on(&browser, &link), ANN);
    assert_eq!(back.path(), "/oauth/callback");
    is_refused(&browser.get(&back.join("?state=other&code=x").unwrap()), "not known here");
    let page = browser.get(&back);
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("ann@gmail.com is connected"), "{page}");
    assert!(page.contains("no-referrer") && page.contains("default-src 'none'"), "{page}");
    is_refused(&browser.get(&back), "has ended");
    is_refused(&browser.get(&link), "has ended");
    let ran = ended(child, said);
    assert_eq!(ran.json()["how"], "new", "the command has waited for it: {ran:?}");
    let kept: Vec<String> = browser.cookies().into_values().collect();
    assert_eq!(kept.len(), 1);
    lab.nothing_leaked(&[&ran.out, &page]);
    lab.nothing_of(&[&kept[0]], &[]);
    // What was refused is told to the command, too, and shown as text.
    let ran = lab.signs_in("b&b@gmail.com", &[], ANN);
    assert!(ran.code == 3 && ran.err.contains("you signed in as ann@gmail.com"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_browser_that_went_comes_back() {
    let lab = web().await;
    let (path, link) = begin(&lab);
    let (ours, other) = (Browser::default(), Browser::default());
    // The one who began it goes on in a browser of theirs, and hands the provider's address to somebody else.
    let to = led_on(&ours, &link);
    let back = lab.issuer.consent(&to, ANN);
    is_refused(&other.get(&back), "not begun in this browser");
    is_refused(&get(&back), "not begun in this browser");
    // Nor does the link, opened afterwards, make theirs the one; nor a cookie that is made up, or another sign-in's.
    is_refused(&other.get(&link), "another browser before");
    let name = ours.cookies().into_keys().next().unwrap();
    let (_, second) = begin(&lab);
    led_on(&other, &second);
    is_refused(&other.get(&back), "not begun in this browser");
    other.keep(&name, other.cookies().values().next().unwrap());
    is_refused(&other.get(&back), "not begun in this browser");
    assert_eq!((lab.accounts(), lab.issuer.live()), (0, 0), "the code was not even exchanged");
    // Whoever was refused ended nothing: the right one still can, once.
    let page = ours.get(&back);
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    assert_eq!(lab.api("GET", &path, &json!(null)).1["how"], "new");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_never_opened_the_link_does_not_come_back() {
    let lab = web().await;
    let (_, link) = begin(&lab);
    let browser = Browser::default();
    // Looking takes nothing up: previews of links look, too.
    let shown = browser.get(&link);
    let looked = Browser::default();
    looked.get(&link);
    // Another site can have the form sent, but can't know what stands in it, nor can it make the browser bring the cookie.
    is_refused(&browser.post(&link, &[("shown", hidden(&looked.get(&link), "shown"))]), "not open in this browser");
    is_refused(&browser.post(&link, &[]), "not open in this browser");
    is_refused(&Browser::default().post(&link, &[("shown", hidden(&shown, "shown"))]), "not open in this browser");
    // Opening it twice goes on by the second page.
    let again = browser.get(&link);
    is_refused(&browser.post(&link, &[("shown", hidden(&shown, "shown"))]), "not open in this browser");
    let to = location(&browser.post(&link, &[("shown", hidden(&again, "shown"))]));
    // And once it has gone on, as often as it likes.
    let again = browser.get(&link);
    assert_eq!(location(&browser.post(&link, &[("shown", hidden(&again, "shown"))])), to);
    is_refused(&looked.post(&link, &[("shown", hidden(&again, "shown"))]), "not open in this browser");
    let back = lab.issuer.consent(&to, ANN);
    browser.forget();
    is_refused(&browser.get(&back), "not begun in this browser");
    for path in ["/oauth/start/0123456789abcdef0123456789abcdef", "/oauth/start/x"] {
        is_refused(&get(&link.join(path).unwrap()), "not known here");
    }
    lab.time.days(1);
    is_refused(&get(&link), "not known here");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cookie_is_for_the_browser_alone() {
    let lab = web().await;
    let cookie = |lab: &Lab, public: &str| {
        let (_, link) = begin(lab);
        assert!(link.as_str().starts_with(&format!("{public}/oauth/start/")), "{link}");
        // The proxy in front takes the folder off.
        let link: Url = link.as_str().replace(public, &format!("http://{}", lab.listens)).parse().unwrap();
        head(&get(&link), "set-cookie").unwrap().to_owned()
    };
    let set = cookie(&lab, &format!("http://{}", lab.listens));
    assert!(set.starts_with("contactd-") && !set.contains("Secure"), "{set}");
    assert!(set.contains("; HttpOnly; SameSite=Lax") && set.contains("; Path=/;"), "{set}");
    let lasts: i64 = set.split_once("Max-Age=").unwrap().1.split(';').next().unwrap().parse().unwrap();
    assert!((1..=15 * 60).contains(&lasts), "{set}");
    let public = "https://example.com/crm";
    let lab = Lab::with(How { web: true, public: Some(public), ..How::default() }).await;
    let set = cookie(&lab, public);
    assert!(set.starts_with("__Host-contactd-") && set.contains("; Path=/;") && set.ends_with("; Secure"), "{set}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pasted_goes_by_the_command_that_began_it() {
    let lab = web().await;
    let (mut child, link, said) = lab.sent(GMAIL, &[]);
    let back = lab.issuer.consent(&led_on(&Browser::default(), &link), ANN);
    let stdin = child.stdin.as_mut().unwrap();
    writeln!(stdin, "what?\nhttp://127.0.0.1/?code=x&state=other\n{back}").unwrap();
    let ran = ended(child, said);
    assert_eq!(ran.json()["how"], "new", "{ran:?}");
    assert!(ran.err.contains("no answer in that") && ran.err.contains("another sign-in"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_ins_at_a_command_do_not_come_back_to_the_daemon() {
    let lab = Lab::new().await;
    let (_, url, _) = lab.sent(GMAIL, &[]);
    let back = lab.issuer.consent(&url, ANN);
    let daemon: Url = format!("http://{}/oauth/callback?{}", lab.listens, back.query().unwrap()).parse().unwrap();
    is_refused(&get(&daemon), "not known here");
    assert_eq!(lab.accounts(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_keeps_all_the_others_from_signing_in() {
    let lab = web().await;
    lab.cli(&["users", "add", "bob@example.com", "--name", "Bob Example"]).json();
    let add = |user: &str| lab.api("POST", "/sign-ins", &json!({"email": GMAIL, "user": user}));
    for _ in 0..20 {
        assert_eq!(add(USER).0, 200);
    }
    let (status, body) = add(USER);
    assert!(status == 503 && body["error"].as_str().unwrap().contains("wait some minutes"), "{status} {body}");
    assert_eq!(add("bob@example.com").0, 200);
    lab.time.days(1);
    assert_eq!(add(USER).0, 200);
}
