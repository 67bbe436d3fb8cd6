//! Every fault, played over a real connection.

mod common;

use std::time::{Duration, Instant};

use common::{Lab, card, query};
use mock_providers::faults::{Fault, Match, RetryAfter, Rule};
use mock_providers::journal::Mark;

async fn filled() -> Lab {
    let lab = Lab::icloud().await;
    for at in 0..4 {
        lab.device.add_as(&format!("c{at}.vcf"), card(&format!("c{at}"), "Somebody"));
    }
    lab
}

fn cards(got: &common::Got) -> usize {
    got.rows().iter().filter(|row| row.name() != "card").count()
}

#[tokio::test]
async fn a_connection_cut_before_the_commit_leaves_nothing() {
    let lab = filled().await;
    lab.icloud.fault(Match::method("PUT"), Fault::CutBefore);
    let put = lab.try_send("PUT", &format!("{}new.vcf", lab.book()), &[], card("new", "New")).await;
    assert!(put.is_err());
    assert!(lab.device.card("new.vcf").is_none());
    let journal = lab.icloud.journal();
    let record = journal.asked(Mark::default(), "PUT").next().unwrap();
    assert_eq!((record.status, record.effects.len(), record.faults[0].as_str()), (None, 0, "CutBefore"));
    assert_eq!(lab.create("new.vcf", &card("new", "New")).await.status, 201);
}

#[tokio::test]
async fn a_connection_cut_after_the_commit_leaves_a_card_that_nobody_was_told_of() {
    let lab = filled().await;
    lab.icloud.fault(Match::method("PUT").path("/card/").creating(), Fault::CutAfter);
    // A change is no create: it passes.
    assert_eq!(lab.put("c0.vcf", &[], &card("c0", "Changed")).await.status, 204);
    let url = format!("{}new.vcf", lab.book());
    assert!(lab.try_send("PUT", &url, &[("if-none-match", "*")], card("new", "New")).await.is_err());
    assert_eq!(lab.create("new.vcf", &card("new", "New")).await.status, 412);
    assert_eq!(lab.icloud.ask(|journal| journal.creates(Mark::default())), 1);

    lab.icloud.fault(Match::method("DELETE"), Fault::CutAfter);
    assert!(lab.try_send("DELETE", &url, &[], "").await.is_err());
    assert_eq!(lab.delete("new.vcf", &[]).await.status, 404);
}

#[tokio::test]
async fn a_write_is_stored_and_answered_with_an_error() {
    let lab = filled().await;
    lab.icloud.fault(Match::method("PUT"), Fault::ErrorAfter(500));
    let got = lab.create("new.vcf", &card("new", "New")).await;
    assert_eq!((got.status, got.body.as_str()), (500, ""));
    assert!(lab.device.card("new.vcf").is_some());
}

#[tokio::test]
async fn throttling_says_when_to_come_back_or_not() {
    let lab = filled().await;
    for (status, retry_after) in [(503, RetryAfter::None), (429, RetryAfter::Seconds(7)), (503, RetryAfter::Date(60))] {
        lab.icloud.faults(|faults| faults.times(2, Match::default(), Fault::Throttle { status, retry_after }));
        for _ in 0..2 {
            let got = lab.listing().await;
            assert_eq!(got.status, status);
            match retry_after {
                RetryAfter::None => assert_eq!(got.header("retry-after"), ""),
                RetryAfter::Seconds(_) => assert_eq!(got.header("retry-after"), "7"),
                RetryAfter::Date(_) => assert_eq!(got.header("retry-after"), "Thu, 01 Jan 2026 00:01:00 GMT"),
            }
        }
        assert_eq!(lab.listing().await.status, 207);
    }
}

#[tokio::test]
async fn refusals_have_no_effect() {
    let lab = filled().await;
    lab.icloud.fault(Match::method("PUT").creating(), Fault::Refuse(403));
    let got = lab.create("new.vcf", &card("new", "New")).await;
    assert_eq!((got.status, got.body.as_str(), lab.device.len()), (403, "", 4));
    lab.icloud.fault(Match::method("PROPFIND").path("/card/"), Fault::Refuse(404));
    assert_eq!(lab.listing().await.status, 404);
    lab.icloud.fault(Match::default().user(&lab.user), Fault::Unauthorized);
    let got = lab.listing().await;
    assert_eq!((got.status, got.headers.get_all("www-authenticate").iter().count()), (401, 2));
}

#[tokio::test]
async fn the_photo_host_can_be_in_a_mood() {
    let lab = filled().await;
    lab.icloud.faults(|faults| faults.times(2, Match::method("GET").path("/ck/card/"), Fault::Refuse(403)));
    let url = format!("{}/contacts/1234567890/ck/card/x", lab.icloud.photo_url());
    assert_eq!(lab.send("GET", &url, &[], "").await.status, 403);
    assert_eq!(lab.get("c0.vcf").await.status, 200);
    assert_eq!(lab.send("GET", &url, &[], "").await.status, 403);
    assert_eq!(lab.send("GET", &url, &[], "").await.status, 404);
}

#[tokio::test]
async fn wrong_answers_with_good_statuses() {
    let lab = filled().await;
    lab.icloud.fault(Match::default(), Fault::Html);
    let page = lab.listing().await;
    assert!(page.status == 200 && page.header("content-type").starts_with("text/html"));
    lab.icloud.fault(Match::default(), Fault::Empty);
    assert!(lab.listing().await.rows().is_empty());
    lab.icloud.fault(Match::default(), Fault::NoRows);
    let empty = lab.listing().await.rows();
    assert_eq!((empty.len(), empty[0].name()), (1, "card"));
    lab.icloud.fault(Match::default(), Fault::Torn);
    assert!(lab.try_send("PROPFIND", &lab.book(), &[("depth", "1")], "").await.is_err());
    assert_eq!(cards(&lab.listing().await), 4);
}

#[tokio::test]
async fn listings_and_deltas_are_cut_short_without_a_word() {
    let lab = filled().await;
    for body in [common::sync("", ""), query(""), common::multiget(["/1234567890/carddavhome/card/c0.vcf"; 3])] {
        lab.icloud.fault(Match::method("REPORT"), Fault::Truncate(2));
        assert_eq!(cards(&lab.report(body).await), 2);
    }
    lab.icloud.fault(Match::method("PROPFIND"), Fault::Truncate(3));
    assert_eq!(cards(&lab.listing().await), 3);
    lab.icloud.fault(Match::method("REPORT"), Fault::NoRows);
    let lost = lab.sync("").await;
    assert_eq!((cards(&lost), lost.token()), (0, lab.current_token().await));
}

#[tokio::test]
async fn rows_come_twice_or_not_at_all() {
    let lab = filled().await;
    let hrefs = ["/1234567890/carddavhome/card/c0.vcf", "/1234567890/carddavhome/card/gone.vcf"];
    lab.icloud.fault(Match::default(), Fault::DuplicateRows);
    assert_eq!(lab.listing().await.rows().len(), 10);
    lab.icloud.fault(Match::default().body("multiget"), Fault::OmitMissing);
    let known = lab.multiget(hrefs).await.rows();
    assert_eq!(known.iter().map(|row| row.name()).collect::<Vec<_>>(), ["c0.vcf"]);
    lab.icloud.fault(Match::default().body("multiget"), Fault::OmitRows);
    let unknown = lab.multiget(hrefs).await.rows();
    assert_eq!(unknown.iter().map(|row| row.name()).collect::<Vec<_>>(), ["gone.vcf"]);
}

#[tokio::test]
async fn groups_vanish_for_one_cycle() {
    let lab = filled().await;
    lab.device.add_group("g", "Group", &["c0"]);
    for body in [common::sync("", ""), query("")] {
        lab.icloud.fault(Match::method("REPORT"), Fault::NoGroups);
        assert_eq!(cards(&lab.report(body.clone()).await), 4);
        assert_eq!(cards(&lab.report(body).await), 5);
    }
    lab.icloud.fault(Match::method("PROPFIND"), Fault::NoGroups);
    assert_eq!((cards(&lab.listing().await), cards(&lab.listing().await)), (4, 5));
}

#[tokio::test]
async fn etags_are_stale_or_missing() {
    let lab = filled().await;
    lab.icloud.fault(Match::method("GET"), Fault::StaleEtags);
    let stale = lab.get("c0.vcf").await.header("etag").to_owned();
    assert_eq!(lab.put("c0.vcf", &[("if-match", &stale)], &card("c0", "New")).await.status, 412);
    lab.icloud.fault(Match::method("PROPFIND"), Fault::StaleEtags);
    assert_ne!(lab.listing().await.by_name()["c0.vcf"].etag(), lab.device.etag("c0.vcf").unwrap());
    lab.icloud.fault(Match::default(), Fault::NoEtags);
    assert_eq!(lab.listing().await.by_name()["c0.vcf"].etag(), "");
    lab.icloud.fault(Match::default(), Fault::NoEtags);
    assert_eq!(lab.get("c0.vcf").await.header("etag"), "");
}

#[tokio::test]
async fn writes_are_dropped_in_silence() {
    let lab = filled().await;
    lab.icloud.faults(|faults| faults.times(2, Match::default(), Fault::DropWrite));
    assert_eq!(lab.create("new.vcf", &card("new", "New")).await.status, 201);
    assert_eq!(lab.delete("c0.vcf", &[]).await.status, 204);
    assert_eq!(lab.device.names(), ["c0.vcf", "c1.vcf", "c2.vcf", "c3.vcf"]);
    assert_eq!(lab.icloud.ask(|journal| journal.writes(Mark::default())), 0);
}

#[tokio::test]
async fn answers_come_late() {
    let lab = filled().await;
    lab.icloud.fault(Match::default(), Fault::Delay(120));
    let start = Instant::now();
    assert_eq!(lab.listing().await.status, 207);
    assert!(start.elapsed() >= Duration::from_millis(120));
}

#[tokio::test]
async fn a_fault_can_wait_for_the_third_request() {
    let lab = filled().await;
    lab.icloud.lay(Rule { on: Match::method("PUT"), after: 2, times: 1, fault: Fault::Refuse(507) });
    let mut statuses = Vec::new();
    for at in 0..4 {
        statuses.push(lab.create(&format!("n{at}.vcf"), &card(&format!("n{at}"), "N")).await.status);
    }
    assert_eq!(statuses, [201, 201, 507, 201]);
    lab.icloud.fault(Match::default(), Fault::Html);
    lab.icloud.faults(|faults| faults.heal());
    assert_eq!(lab.listing().await.status, 207);
}

#[tokio::test]
async fn rows_say_other_things_than_they_should() {
    let lab = filled().await;
    lab.icloud.fault(Match::default(), Fault::RowStatus(500));
    let rows = lab.multiget(["/1234567890/carddavhome/card/c0.vcf"]).await.rows();
    assert_eq!((rows[0].status, rows[0].card()), (Some(500), ""));
    for _ in 0..2 {
        lab.icloud.fault(Match::method("PROPFIND"), Fault::StrayRow);
        assert!(lab.listing().await.rows().iter().any(|row| row.href.starts_with("/elsewhere/")));
    }
    lab.icloud.fault(Match::default(), Fault::Doctype);
    let odd = lab.listing().await;
    assert!(odd.body.contains("<!DOCTYPE multistatus [<!ENTITY") && odd.body.ends_with("</multistatus>"));
    lab.icloud.settings(|settings| settings.xml.row_status = true);
    assert_eq!(lab.listing().await.by_name()["c0.vcf"].status, Some(201));
}

#[tokio::test]
async fn a_redirect_shows_who_takes_credentials_along() {
    let (lab, other) = (filled().await, Lab::icloud().await);
    let location = format!("{}/trap", other.icloud.url());
    lab.icloud.fault(Match::default(), Fault::Redirect { status: 302, location: location.clone() });
    let got = lab.listing().await;
    assert_eq!((got.status, got.header("location")), (302, location.as_str()));
    other.http.get(&location).send().await.unwrap();
    other.send("GET", &location, &[], "").await;
    let sent: Vec<bool> = other.icloud.journal().records().map(|record| record.credentials).collect();
    assert_eq!(sent, [false, true]);
}
