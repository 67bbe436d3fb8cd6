//! `doctor --live`: what it says of an account that is well and of one that isn't, and that nothing is left of it anywhere.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};

use mock_providers::faults::{Fault, Faults, Match};
use serde_json::json;

use crate::lab::{ANN, ICLOUD, Lab, MINUTE, USER, contact, nothing};
use crate::parts::{Ran, ended};

/// What was said of each thing that was looked at.
type Said = BTreeMap<String, (bool, String)>;

fn said(ran: &Ran) -> Said {
    let checks: serde_json::Value = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let checks = checks.as_array().unwrap().iter();
    checks.map(|check| (text(&check["name"]), (check["ok"].as_bool().unwrap(), text(&check["says"])))).collect()
}

fn live(lab: &Lab, account: &str, more: &[&str], code: i32) -> Said {
    let ran = lab.cli(&[&["doctor", "--live", account], more].concat());
    assert_eq!(ran.code, code, "{ran:?}");
    said(&ran)
}

const WRITE: &[&str] = &["--write", "--yes"];

/// The one thing that is not well says so.
fn wrong(said: &Said, name: &str, part: &str) {
    let (ok, says) = said.get(name).unwrap_or_else(|| panic!("{name}: {said:?}"));
    assert!(!ok && says.contains(part), "{name}, {part}: {said:?}");
}

fn runs(lab: &Lab) -> usize {
    lab.cli(&["runs", "list"]).json().as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_reads_a_little_of_everything_and_writes_nothing() {
    let lab = Lab::new().await;
    let ann = lab.ann();
    let group = ann.add_group("Customers");
    let robin = ann.add(&contact("Robin", Some(&group))).unwrap();
    ann.set_photo(&robin, &[0xFF, 0xD8, 0xFF, 0xE0, 1, 2, 3]).unwrap();
    lab.connect(&["--group", "Customers"]);
    let (mark, before) = (lab.google.mark(), runs(&lab));
    let said = live(&lab, ANN, &[], 0);
    let part = |name: &str, part: &str| assert!(said[name].0 && said[name].1.contains(part), "{part}: {said:?}");
    part("sign-in", ANN);
    part("what is allowed", "reading and writing");
    part("address book", "Google Contacts");
    part("groups", "'Customers' with 1 in it");
    part("contacts", "1 contact read");
    part("picture", "one was read (1 KiB)");
    part("can do", "everything but profiles, categories");
    assert!(!said.contains_key("create"), "{said:?}");
    let paths = lab.paths(mark);
    assert!(paths.iter().any(|path| path.ends_with("/token")), "the refresh token is used: {paths:?}");
    assert_eq!((lab.since(mark).1, runs(&lab)), (0, before), "{paths:?}");
    let plain = lab.plain(&["doctor", "--live", ANN]).out;
    assert_eq!(plain.lines().count(), said.len(), "each once: {plain}");
    assert!(plain.lines().all(|line| line.starts_with("ok   ")) && plain.contains("ok   sign-in: "), "{plain}");
    lab.nothing_leaked(&[&plain]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_finding_is_shown_as_it_comes() {
    let lab = Lab::new().await;
    lab.connect(&[]);
    // The listing does not come while anybody looks here.
    lab.google.fault(Match::method("GET").path("/connections"), Fault::Delay(600_000));
    let mut child = lab.spawn(&["doctor", "--live", ANN]);
    let mut shown = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("ok   groups: ") {
        line.clear();
        assert!(shown.read_line(&mut line).unwrap() > 0, "it ended before");
        assert!(line.starts_with("ok   "), "{line}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    line.clear();
    shown.read_to_string(&mut line).unwrap();
    assert_eq!(line, "", "what was not looked at was not said");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_writes_and_leaves_nothing_here_or_there() {
    for grouped in [true, false] {
        let lab = Lab::with(|settings| {
            settings.reads.propagation = 120_000;
            settings.reads.older_states = grouped;
        })
        .await;
        let ann = lab.ann();
        let group = ann.add_group("Customers");
        ann.add(&contact("Robin", Some(&group))).unwrap();
        lab.later(5 * MINUTE);
        lab.connect(if grouped { &["--group", "Customers"] } else { &[] });
        // Nobody is there to say yes.
        let (mark, before) = (lab.google.mark(), runs(&lab));
        let ran = lab.plain(&["doctor", "--live", ANN, "--write"]);
        assert!(ran.code == 3 && ran.err.contains("--yes"), "{ran:?}");
        assert_eq!(lab.since(mark).0, 0);

        let said = live(&lab, ANN, WRITE, 0);
        let mut names = vec!["create", "read", "update", "read again", "guard", "remove"];
        names.extend(if grouped { &["join", "leave"][..] } else { &[] });
        for name in names {
            assert!(said[name].0, "{name}: {said:?}");
        }
        let count = |mark| lab.google.ask(|journal| (journal.creates(mark), journal.deletes(mark)));
        assert_eq!((count(mark), ann.len(), runs(&lab)), ((1, 1), 1, before));
        // A listing may show it for a while: no run takes it for a person.
        for minutes in [0, 1, 2, 30] {
            lab.later(minutes * MINUTE);
            assert_eq!(lab.refresh(), nothing(), "{minutes}");
            assert_eq!((lab.people().len(), ann.len()), (1, 1));
        }
        lab.assert_quiet();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_removed_is_told_and_never_becomes_a_person() {
    let lab = Lab::new().await;
    let ann = lab.ann();
    lab.connect(&[]);
    lab.google.faults(|faults| faults.times(99, Match::method("DELETE"), Fault::Refuse(400)));
    let said = live(&lab, ANN, WRITE, 1);
    wrong(&said, "remove", "Google does not delete this contact");
    let left = ann.names();
    assert!(left.len() == 1 && said["remove"].1.contains(&left[0]) && said["remove"].1.contains("Contactd Trial"));
    assert!(said["update"].0, "{said:?}");
    // Whatever is looked at, in parts or in full, it is nobody; nor is it one more thing to verify.
    lab.refresh();
    ann.expire_tokens();
    assert_eq!(lab.refresh(), nothing());
    assert_eq!((lab.people().len(), ann.len()), (0, 1));
    assert_eq!(lab.cli(&["verify", ANN]).json()["differences"], json!([]));
    // The next trial begins with it.
    lab.google.faults(Faults::heal);
    let said = live(&lab, ANN, WRITE, 0);
    assert!(said["left over"].0 && said["remove"].0, "{said:?}");
    assert_eq!((lab.refresh(), ann.len()), (nothing(), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_in_which_something_fails_removes_its_contact_all_the_same() {
    let lab = Lab::new().await;
    lab.connect(&[]);
    let (creates, updates) =
        (Match::method("POST").path(":batchCreateContacts"), Match::method("POST").path(":batchUpdateContacts"));
    let forbidden = Fault::Says {
        status: 403,
        name: "PERMISSION_DENIED".to_owned(),
        reason: Some("ACCESS_TOKEN_SCOPE_INSUFFICIENT".to_owned()),
        message: "Request had insufficient authentication scopes.".to_owned(),
    };
    let table = [
        (creates.clone(), Fault::CutAfter, "create", "the answer was lost"),
        (creates.clone(), Fault::CutBefore, "create", "no contact is found"),
        (creates, forbidden.clone(), "create", "tick the box"),
        (updates.clone(), forbidden, "update", "tick the box"),
        (updates, Fault::CutAfter, "update", "the answer was lost"),
        (Match::method("DELETE"), Fault::HtmlStatus(502), "", ""),
    ];
    for (on, fault, name, part) in table {
        lab.google.faults(|faults| faults.times(1, on, fault));
        let said = live(&lab, ANN, WRITE, i32::from(!name.is_empty()));
        if !name.is_empty() {
            wrong(&said, name, part);
        }
        assert_eq!(lab.ann().len(), 0, "{said:?}");
        lab.google.faults(Faults::heal);
    }
    assert_eq!((lab.refresh(), lab.people().len()), (nothing(), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_that_is_broken_off_is_ended_by_the_daemon() {
    let lab = Lab::new().await;
    lab.connect(&[]);
    lab.fresh_token();
    let mark = lab.google.mark();
    lab.google.fault(Match::method("POST").path(":batchUpdateContacts"), Fault::Delay(300));
    let child = lab.spawn(&["doctor", "--live", ANN, "--write", "--yes"]);
    while lab.ann().is_empty() {
        tokio::task::yield_now().await;
    }
    let id = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-s", "INT", &id]).status().unwrap().success());
    let ran = ended(child, String::new());
    assert!(ran.code == 1 && ran.err.contains("removes the contact"), "{ran:?}");
    // A run waits until the trial has ended.
    assert_eq!(lab.refresh(), nothing());
    let count = lab.google.ask(|journal| (journal.creates(mark), journal.deletes(mark)));
    assert_eq!((count, lab.ann().len(), lab.people().len()), ((1, 1), 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_sign_in_is_said() {
    let lab = Lab::new().await;
    lab.signs_in(ANN, USER, &["--direction", "one_way"]).json();
    lab.cli(&["account", "start", ANN, "--yes"]).json();
    assert!(live(&lab, ANN, &[], 0)["what is allowed"].1.contains("one-way"));
    let ran = lab.cli(&[&["doctor", "--live", ANN], WRITE].concat());
    assert!(ran.code == 1 && ran.err.contains("syncs one way"), "{ran:?}");
    // It is to be written to, and that was never allowed.
    lab.cli(&["account", "set", ANN, "--direction", "two_way", "--push-edits", "--yes"]);
    let mark = lab.google.mark();
    let said = live(&lab, ANN, WRITE, 1);
    wrong(&said, "what is allowed", &format!("`contactd account add {ANN} --user {USER}`"));
    wrong(&said, "writing", "nothing was written");
    assert_eq!(lab.since(mark).1, 0);

    let userinfo = Match::method("GET").path("/userinfo");
    lab.google.faults(|faults| faults.times(9, userinfo, Fault::CutBefore));
    let said = live(&lab, ANN, &[], 1);
    assert!(said.len() == 1 && !said["sign-in"].0, "{said:?}");
    lab.google.faults(Faults::heal);
    lab.ann().revoke();
    wrong(&live(&lab, ANN, &[], 1), "sign-in", "sign in again: `contactd account add");
    assert_eq!(lab.plain(&["doctor", "--live", "nobody@example.com"]).code, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_at_icloud_is_tried_the_same_way() {
    let lab = Lab::new().await;
    let device = lab.device();
    let card = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:u1\r\nN:Example;Robin;;;\r\nFN:Robin Example\r\nEND:VCARD\r\n";
    device.add(card);
    let group = device.add_group("g1", "Customers", &["u1"]);
    lab.connect_icloud();
    lab.cli(&["account", "set", ICLOUD, "--group", "Customers", "--yes"]).json();
    lab.refresh_of(ICLOUD);
    let (cards, people) = (device.len(), lab.people().len());
    let said = live(&lab, ICLOUD, WRITE, 0);
    assert!(!said.contains_key("what is allowed"), "{said:?}");
    for name in ["create", "read", "update", "read again", "guard", "join", "leave", "remove"] {
        assert!(said[name].0, "{name}: {said:?}");
    }
    assert_eq!((device.len(), device.members(&group)), (cards, vec!["u1".to_owned()]));

    // One that is left is in nobody's way, and is found again.
    lab.icloud.faults(|faults| faults.times(99, Match::method("DELETE"), Fault::Refuse(403)));
    wrong(&live(&lab, ICLOUD, WRITE, 1), "remove", "Contactd Trial");
    assert_eq!((lab.refresh_of(ICLOUD), lab.people().len(), device.len()), (nothing(), people, cards + 1));
    lab.icloud.faults(Faults::heal);
    lab.icloud.faults(|faults| faults.times(9, Match::method("PUT"), Fault::Refuse(403)));
    let said = live(&lab, ICLOUD, WRITE, 1);
    assert!(said["left over"].0, "{said:?}");
    wrong(&said, "create", "nothing was written");
    assert_eq!(device.len(), cards);
    assert_eq!((lab.refresh_of(ICLOUD), lab.people().len()), (nothing(), people));

    device.revoke_password();
    wrong(&live(&lab, ICLOUD, WRITE, 1), "sign-in", "password");
}
