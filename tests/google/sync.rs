//! What travels, how often Google is asked, and what it costs when nothing has changed.

use serde_json::json;

use crate::lab::{ANN, DAY, Lab, MINUTE, USER, contact};

#[tokio::test(flavor = "multi_thread")]
async fn everything_goes_both_ways_and_then_it_is_quiet() {
    let lab = Lab::new().await;
    let ann = lab.ann();
    let names: Vec<String> = (0..20).map(|n| ann.add(&contact(&format!("Given{n}"), None)).unwrap()).collect();
    assert_eq!(lab.connect(&[])["here"]["added"], 20);
    ann.edit(&names[3], &json!({"biographies": [{"value": "met in Example Town", "contentType": "TEXT_PLAIN"}]}))
        .unwrap();
    lab.edit("Given5 Example", &["--note", "likes tea", "--phone", "mobile=+1 212 555 0105"]);
    lab.add("New");
    let tally = lab.refresh();
    assert_eq!(tally["here"], json!({"added": 0, "updated": 1, "deleted": 0}), "{tally}");
    assert_eq!(tally["there"], json!({"added": 1, "updated": 1, "deleted": 0}), "{tally}");
    assert_eq!(lab.person("Given3 Example").1["note"], "met in Example Town");
    let five = ann.person(&names[5]).unwrap();
    assert_eq!(five["biographies"][0]["value"], "likes tea");
    assert_eq!(
        (&five["phoneNumbers"][0]["value"], &five["phoneNumbers"][0]["type"]),
        (&json!("+1 212 555 0105"), &json!("mobile"))
    );
    assert_eq!(ann.len(), 21);
    // Deletions, each way.
    ann.delete(&names[7]).unwrap();
    lab.cli(&["people", "delete", &lab.person("Given8 Example").0]).json();
    let tally = lab.refresh();
    assert_eq!((&tally["here"]["deleted"], &tally["there"]["deleted"]), (&json!(1), &json!(1)), "{tally}");
    assert_eq!((lab.people().len(), ann.len()), (19, 19));
    lab.refresh();
    lab.assert_quiet();
    assert_eq!(lab.cli(&["verify", ANN]).json(), json!({"compared": 19, "differences": []}));
    assert!(lab.google.overlaps(mock_providers::journal::Mark::default()).is_empty(), "one change at a time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_is_the_boundary_both_ways() {
    let lab = Lab::new().await;
    let ann = lab.ann();
    let group = ann.add_group("Customers");
    let robin = ann.add(&contact("Robin", Some(&group))).unwrap();
    let kim = ann.add(&contact("Kim", None)).unwrap();
    assert_eq!(lab.connect(&["--group", "Customers"])["here"]["added"], 1);
    // Somebody new here is put into the label there, and stays among the contacts.
    lab.add("New");
    assert_eq!(lab.refresh()["there"]["added"], 1);
    let new = ann.people().into_iter().find(|person| person["names"][0]["givenName"] == "New").unwrap();
    let groups = new["memberships"].to_string();
    assert!(groups.contains(&group) && groups.contains("myContacts"), "{groups}");
    // Whoever comes in is imported, whoever goes out is kept and no longer followed.
    ann.label(&kim, &group, true).unwrap();
    assert_eq!(lab.refresh()["here"]["added"], 1);
    ann.label(&robin, &group, false).unwrap();
    let tally = lab.refresh();
    assert_eq!((&tally["here"]["deleted"], lab.people().len()), (&json!(0), 3), "{tally}");
    lab.edit("Robin Example", &["--note", "likes tea"]);
    let mark = lab.google.mark();
    lab.refresh();
    assert_eq!(lab.since(mark).1, 0, "{:?}", lab.paths(mark));
    // Out of the last label, into none but "My Contacts": nobody is lost. Coming back resumes it.
    ann.label(&robin, &group, true).unwrap();
    lab.refresh();
    lab.refresh();
    assert_eq!(ann.person(&robin).unwrap()["biographies"][0]["value"], "likes tea");
    lab.assert_quiet();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_that_is_deleted_stops_the_account_and_empties_nothing() {
    for listing in [false, true] {
        let lab = Lab::new().await;
        let ann = lab.ann();
        let group = ann.add_group("Customers");
        for n in 0..3 {
            ann.add(&contact(&format!("Given{n}"), Some(&group))).unwrap();
        }
        lab.connect(&["--group", "Customers", "--on-leave", "delete", "--guard", "off"]);
        ann.delete_group(&group, false).unwrap();
        if listing {
            ann.expire_tokens();
        }
        assert_ne!(lab.cli(&["refresh", ANN, "--wait"]).code, 0);
        let account = lab.account(ANN);
        assert_eq!(account["state"], "error", "{account}");
        assert!(account["reason"].as_str().unwrap().contains("no longer exists"), "{account}");
        assert_eq!((lab.people().len(), ann.len()), (3, 3), "{listing}");
        // Everything, or another label, and it goes on.
        lab.cli(&["account", "set", ANN, "--group", "all", "--yes"]).json();
        lab.cli(&["account", "resume", ANN]).json();
        lab.refresh();
        assert_eq!((lab.people().len(), ann.len(), &lab.account(ANN)["state"]), (3, 3, &json!("active")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_are_ten_pages_and_nothing_changed_is_one_request() {
    let lab = Lab::new().await;
    lab.ann().fill(10_000);
    lab.signs_in(ANN, USER, &[]).json();
    let mark = lab.google.mark();
    let tally = lab.cli(&["account", "start", ANN, "--yes"]).json()["tally"].clone();
    assert_eq!(tally["here"]["added"], 10_000, "{tally}");
    let paths = lab.paths(mark);
    let pages = paths.iter().filter(|path| path.ends_with("/people/me/connections")).count();
    // Besides: a token, whose mailbox it is, and, by the run that follows the preview, what changed since that.
    assert_eq!((pages, paths.len()), (11, 13), "{paths:?}");
    lab.assert_quiet();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_is_one_listing_that_deletes_nothing() {
    let lab = Lab::new().await;
    let ann = lab.ann();
    let names: Vec<String> = (0..8).map(|n| ann.add(&contact(&format!("Given{n}"), None)).unwrap()).collect();
    lab.connect(&[]);
    lab.add("New");
    lab.refresh();
    ann.expire_tokens();
    let mark = lab.google.mark();
    ann.edit(&names[0], &json!({"nicknames": [{"value": "Zero"}]})).unwrap();
    ann.delete(&names[1]).unwrap();
    let tally = lab.refresh();
    assert_eq!(tally["here"], json!({"added": 0, "updated": 1, "deleted": 1}), "{tally}");
    assert_eq!(lab.since(mark).1, 0);
    // Before it dies of age it is renewed: a listing of everything, six days later.
    lab.later(6 * DAY + MINUTE);
    let mark = lab.google.mark();
    lab.refresh();
    assert!(lab.paths(mark).iter().any(|path| path.ends_with("/userinfo")), "{:?}", lab.paths(mark));
    assert_eq!((lab.people().len(), ann.len()), (8, 8));
    lab.assert_quiet();
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_that_show_late_are_neither_echoed_nor_doubled_nor_taken_back() {
    for older in [false, true] {
        let lab = Lab::with(|settings| {
            settings.reads.propagation = 120_000;
            settings.reads.older_states = older;
        })
        .await;
        let ann = lab.ann();
        let robin = ann.add(&contact("Robin", None)).unwrap();
        for given in ["Kim", "Lou"] {
            ann.add(&contact(given, None)).unwrap();
        }
        lab.later(5 * MINUTE);
        lab.connect(&[]);
        for given in ["Robin", "Kim", "Lou"] {
            lab.edit(&format!("{given} Example"), &["--note", "likes tea"]);
        }
        for n in 0..3 {
            lab.add(&format!("New{n}"));
        }
        lab.refresh();
        // Listings still show what was before, then all of it.
        for minutes in [0, 1, 2, 30] {
            lab.later(minutes * MINUTE);
            let mark = lab.google.mark();
            let tally = lab.refresh();
            assert_eq!(tally, crate::lab::nothing(), "{older} after {minutes}: {:?}", lab.paths(mark));
            assert_eq!(lab.since(mark).1, 0, "{older} {minutes}");
            // What we wrote lately and shows otherwise is asked for, all of it at once.
            let asked = lab.paths(mark).iter().filter(|path| path.contains("batchGet")).count();
            assert!(asked <= 1, "{older} {minutes}: {:?}", lab.paths(mark));
        }
        assert_eq!(ann.person(&robin).unwrap()["biographies"][0]["value"], "likes tea");
        assert_eq!((lab.people().len(), ann.len()), (6, 6));
        // What somebody changes at Google meanwhile is not overwritten: the stale etag is noticed, and both changes stay.
        ann.edit(&robin, &json!({"nicknames": [{"value": "Rob"}]})).unwrap();
        lab.edit("Robin Example", &["--phone", "mobile=+1 212 555 0105"]);
        lab.refresh();
        for _ in 0..3 {
            lab.later(20 * MINUTE);
            lab.refresh();
        }
        let now = ann.person(&robin).unwrap();
        assert_eq!(now["nicknames"][0]["value"], "Rob", "{older} {now}");
        assert_eq!(now["phoneNumbers"][0]["value"], "+1 212 555 0105", "{older} {now}");
        assert!(lab.person("Robin Example").1["nicknames"].to_string().contains("Rob"));
        lab.assert_quiet();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_made_that_is_not_needed() {
    let lab = Lab::new().await;
    let ann = lab.ann();
    let names = ann.fill(2_500);
    lab.signs_in(ANN, USER, &[]).json();
    lab.cli(&["preview", ANN]).json();
    ann.expire_tokens();
    lab.fresh_token();
    // The token is refused; then 2,500 contacts are three pages, and since whoever listens to a full listing must know that
    // it is still the same mailbox, that is asked. The run that follows what was shown asks what has changed since. No label is
    // chosen, so that labels are not asked for.
    let mark = lab.google.mark();
    let tally = lab.cli(&["account", "start", ANN, "--yes"]).json()["tally"].clone();
    assert_eq!(tally["here"]["added"], 2_500, "{tally}");
    let paths = lab.paths(mark);
    let pages = paths.iter().filter(|path| path.ends_with("/people/me/connections")).count();
    assert_eq!((pages, paths.len()), (1 + 3 + 1, 6), "{paths:#?}");
    lab.assert_quiet();
    // What is edited here goes in as few batches as there are kinds of changes, 200 at a time; what is edited there comes
    // with the one listing.
    for name in names.iter().take(10) {
        ann.edit(name, &json!({"nicknames": [{"value": "There"}]})).unwrap();
    }
    let people = lab.people();
    for person in people.iter().rev().take(10) {
        lab.cli(&["people", "edit", person["person"]["id"].as_str().unwrap(), "--note", "here"]).json();
    }
    lab.fresh_token();
    let mark = lab.google.mark();
    let tally = lab.refresh();
    assert_eq!((&tally["here"]["updated"], &tally["there"]["updated"]), (&json!(10), &json!(10)), "{tally}");
    assert_eq!(lab.since(mark), (2, 10), "{:?}", lab.paths(mark));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_same_list_there_that_is_not_shown_yet_is_not_overwritten() {
    let lab = Lab::with(|settings| settings.reads.propagation = 120_000).await;
    let ann = lab.ann();
    let robin = ann.add(&contact("Robin", None)).unwrap();
    lab.later(5 * MINUTE);
    lab.connect(&[]);
    lab.later(15 * MINUTE);
    lab.refresh();
    // Both sides add a number; Google's listing does not show theirs for two minutes.
    ann.edit(&robin, &json!({"phoneNumbers": [{"value": "+1 212 555 0101", "type": "home"}]})).unwrap();
    lab.edit("Robin Example", &["--phone", "mobile=+1 212 555 0102"]);
    let mark = lab.google.mark();
    lab.refresh();
    let refused = lab.google.ask(|journal| {
        let update = |path: &str| path.ends_with(":batchUpdateContacts") || path.contains(":updateContact");
        journal.since(mark).filter(|record| update(&record.path) && record.status == Some(400)).count()
    });
    assert_eq!(refused, 1, "the version that we knew was an old one: {:?}", lab.paths(mark));
    let phones = |text: &str| text.contains("555 0101") && text.contains("555 0102");
    for minutes in [0, 1, 5, 20] {
        lab.later(minutes * MINUTE);
        lab.refresh();
        let there = ann.person(&robin).unwrap()["phoneNumbers"].to_string();
        assert!(phones(&there), "{minutes}: {there}");
    }
    assert!(phones(&lab.person("Robin Example").1["phones"].to_string()));
    lab.assert_quiet();
}
