//! What goes wrong at Google, and that nothing is lost or doubled by it.

use mock_providers::faults::{Fault, Match, Rule};
use mock_providers::journal::Mark;
use serde_json::json;

use crate::lab::{ANN, Lab, MINUTE, contact};

fn creates() -> Match {
    Match::method("POST").path(":batchCreateContacts")
}

#[tokio::test(flavor = "multi_thread")]
async fn creates_whose_answer_is_lost_are_found_by_their_tokens() {
    // Each answer is lost otherwise: cut, an error after the deed, half of it, torn, not begun at all.
    let faults = [Fault::CutAfter, Fault::ErrorAfter(503), Fault::Torn, Fault::CutBefore, Fault::HtmlStatus(502)];
    let lab = Lab::new().await;
    lab.connect(&[]);
    for (round, fault) in faults.into_iter().enumerate() {
        for n in 0..5 {
            lab.add(&format!("New{round}x{n}"));
        }
        lab.google.fault(creates(), fault.clone());
        lab.cli(&["refresh", ANN, "--wait"]);
        // A create that surely never shows up is sent again, once a write would show by now.
        for _ in 0..3 {
            lab.later(11 * MINUTE);
            lab.cli(&["refresh", ANN, "--wait"]);
        }
        let all = 5 * (round + 1);
        assert_eq!((lab.ann().len(), lab.people().len()), (all, all), "{fault:?}");
        assert_eq!(lab.google.ask(|journal| journal.creates(Mark::default())), all, "{fault:?}");
        lab.assert_quiet();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn creates_that_do_not_show_yet_are_not_sent_again() {
    let lab = Lab::with(|settings| settings.reads.propagation = 120_000).await;
    lab.connect(&[]);
    for n in 0..5 {
        lab.add(&format!("New{n}"));
    }
    lab.google.fault(creates(), Fault::CutAfter);
    let made = || lab.google.ask(|journal| journal.creates(Mark::default()));
    // Before a write must show, that it doesn't says nothing.
    for _ in 0..4 {
        lab.cli(&["refresh", ANN, "--wait"]);
        assert_eq!((lab.ann().len(), made()), (5, 5));
        lab.later(20_000);
    }
    for _ in 0..3 {
        lab.later(11 * MINUTE);
        lab.cli(&["refresh", ANN, "--wait"]);
    }
    assert_eq!((lab.ann().len(), lab.people().len(), made()), (5, 5, 5));
    lab.assert_quiet();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_expires_while_creates_are_in_doubt_doubles_nothing() {
    for settled in [false, true] {
        let lab = Lab::new().await;
        lab.ann().add(&contact("Robin", None)).unwrap();
        lab.connect(&[]);
        for n in 0..3 {
            lab.add(&format!("New{n}"));
        }
        lab.google.fault(creates(), Fault::CutAfter);
        // Nor can it look for them at once.
        lab.google.lay(Rule {
            on: Match::method("GET").path("/connections"),
            after: 1,
            times: 1,
            fault: Fault::HtmlStatus(502),
        });
        lab.cli(&["refresh", ANN, "--wait"]);
        lab.ann().expire_tokens();
        if settled {
            lab.later(30 * MINUTE);
        }
        for _ in 0..3 {
            lab.cli(&["refresh", ANN, "--wait"]);
            lab.later(11 * MINUTE);
        }
        assert_eq!((lab.ann().len(), lab.people().len()), (4, 4), "{settled}");
        assert_eq!(lab.google.ask(|journal| journal.creates(Mark::default())), 3);
        lab.assert_quiet();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_with_one_bad_record_costs_only_that_one() {
    let lab = Lab::new().await;
    lab.connect(&[]);
    for n in 0..11 {
        lab.add(&format!("New{n}"));
    }
    lab.add("Poison");
    let says = Fault::Says {
        status: 400,
        name: "INVALID_ARGUMENT".to_owned(),
        reason: None,
        message: "Invalid person.".to_owned(),
    };
    lab.google.faults(|faults| faults.times(99, creates().body("Poison"), says));
    lab.cli(&["refresh", ANN, "--wait"]);
    assert_eq!(lab.ann().len(), 11);
    let why = lab.plain(&["why", &lab.person("Poison Example").0]).out;
    assert!(why.contains("does not take what the record holds"), "{why}");
    // It is not tried with every run, and goes when it is mended.
    let mark = lab.google.mark();
    lab.refresh();
    assert_eq!(lab.since(mark), (1, 0), "{:?}", lab.paths(mark));
    lab.google.faults(mock_providers::faults::Faults::heal);
    lab.later(24 * 60 * MINUTE);
    lab.refresh();
    assert_eq!(lab.ann().len(), 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_google_holds_is_refused_with_words() {
    let lab = Lab::with(|settings| settings.writes.contacts = 4).await;
    lab.connect(&[]);
    for n in 0..4 {
        lab.add(&format!("New{n}"));
    }
    lab.refresh();
    assert_eq!(lab.ann().len(), 4);
    lab.add("Fifth");
    let ran = lab.cli(&["refresh", ANN, "--wait"]);
    assert_eq!(ran.json()[0]["tally"]["failed"], 1, "{ran:?}");
    let why = lab.plain(&["why", &lab.person("Fifth Example").0]).out;
    assert!(why.contains("25,000"), "{why}");
    assert_eq!((lab.ann().len(), lab.people().len()), (4, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_quotas_passes_without_loss() {
    use mock_providers::google::settings::{QuotaShape, Quotas};
    for shape in [QuotaShape::PerMinute, QuotaShape::Backend, QuotaShape::Forbidden, QuotaShape::Legacy] {
        let lab = Lab::with(|settings| {
            settings.quotas = Quotas { critical_read: Some(20), critical_write: Some(7), shape, ..Quotas::default() };
        })
        .await;
        for n in 0..6 {
            lab.ann().add(&contact(&format!("Given{n}"), None)).unwrap();
        }
        lab.connect(&[]);
        // Each needs a request of its own: another mask.
        let edits: [&[&str]; 3] =
            [&["--note", "a"], &["--phone", "mobile=+1 212 555 0105"], &["--email", "home=x@example.com"]];
        for (n, edit) in edits.iter().enumerate() {
            lab.edit(&format!("Given{n} Example"), edit);
        }
        lab.add("New");
        for _ in 0..8 {
            lab.cli(&["refresh", ANN, "--wait"]);
            lab.later(2 * MINUTE);
        }
        assert_eq!(
            (lab.ann().len(), lab.people().len(), &lab.account(ANN)["state"]),
            (7, 7, &json!("active")),
            "{shape:?}"
        );
        let notes = lab.ann().people().iter().filter(|person| person["biographies"][0]["value"] == "a").count();
        assert_eq!(notes, 1, "{shape:?}");
        assert_eq!(lab.google.ask(|journal| journal.creates(Mark::default())), 1, "{shape:?}");
        lab.assert_quiet();
    }
}
