//! The three reports: `icloud-carddav.md` 3.

mod common;

use common::{Lab, NS, card, multiget, query, sync};
use mock_providers::book::Lag;
use mock_providers::carddav::Settings;
use mock_providers::carddav::settings::{EmptyToken, MissingHref, Nresults};

async fn filled(settings: Settings, n: usize) -> Lab {
    let lab = Lab::start(settings).await;
    for at in 0..n {
        lab.device.add_as(&format!("c{at:03}.vcf"), card(&format!("c{at:03}"), &format!("Card {at}")));
    }
    lab
}

fn names(got: &common::Got) -> Vec<String> {
    let own = |row: &&common::Row| row.name() != "card" && !row.href.ends_with('/');
    got.rows()
        .iter()
        .filter(own)
        .map(|row| format!("{}{}", if row.status == Some(404) { "-" } else { "" }, row.name()))
        .collect()
}

#[tokio::test]
async fn changes_come_since_a_token() {
    let lab = filled(Settings::icloud(), 3).await;
    let first = lab.sync("").await;
    assert_eq!(names(&first), ["c000.vcf", "c001.vcf", "c002.vcf"]);
    let quiet = lab.sync(&first.token()).await;
    assert!(names(&quiet).is_empty());
    assert_eq!(quiet.token(), first.token());
    lab.device.replace("c001.vcf", "Card 1", "Changed").unwrap();
    lab.device.delete("c000.vcf").unwrap();
    lab.device.add_as("new.vcf", card("new", "New"));
    let delta = lab.sync(&first.token()).await;
    assert_eq!(names(&delta), ["c001.vcf", "-c000.vcf", "new.vcf"]);
    assert_eq!(delta.by_name()["new.vcf"].etag(), lab.device.etag("new.vcf").unwrap());
    // The token of a PROPFIND is as good.
    assert_eq!(lab.current_token().await, delta.token());
}

#[tokio::test]
async fn the_body_may_come_in_any_order_and_depth() {
    let lab = filled(Settings::icloud(), 1).await;
    let swapped = String::from(
        "<sync-collection xmlns=\"DAV:\"><sync-level>1</sync-level><sync-token/><prop><getetag/></prop></sync-collection>",
    );
    for headers in [&[("depth", "0")][..], &[("depth", "1")], &[]] {
        let got = lab.send("REPORT", &lab.book(), headers, swapped.clone()).await;
        assert_eq!(names(&got), ["c000.vcf"]);
    }
    assert_eq!(lab.send("REPORT", &lab.book(), &[("depth", "infinity")], swapped).await.status, 400);
    assert_eq!(lab.report("<not-xml").await.status, 400);
    assert_eq!(lab.report("").await.status, 400);
    let other = lab.report(format!("<D:expand-property {NS}/>")).await;
    assert_eq!((other.status, other.body.contains("supported-report")), (403, true));
}

#[tokio::test]
async fn an_empty_token_is_taken_or_refused() {
    let lab = filled(Settings::icloud(), 2).await;
    lab.device.delete("c000.vcf").unwrap();
    assert_eq!(names(&lab.sync("").await), ["c001.vcf"]);
    let set = |to| lab.icloud.settings(|settings| settings.sync.empty_token = to);
    set(EmptyToken::MembersAndTombstones);
    assert_eq!(names(&lab.sync("").await), ["c001.vcf", "-c000.vcf"]);
    set(EmptyToken::Refused(403));
    let refused = lab.sync("").await;
    assert_eq!((refused.status, refused.body.contains("valid-sync-token")), (403, true));
    set(EmptyToken::Refused(400));
    assert_eq!((lab.sync("").await.status, lab.sync("").await.body.as_str()), (400, ""));
}

#[tokio::test]
async fn tokens_that_are_no_good_say_so() {
    let lab = filled(Settings::icloud(), 2).await;
    let old = lab.current_token().await;
    lab.device.keep_state();
    lab.device.add(card("later", "Later"));
    let future = lab.current_token().await;
    lab.device.roll_back().unwrap();
    assert_eq!(lab.device.len(), 2);
    for token in [future.as_str(), "nonsense", "/1234567890/card/@G=9@S=1", "data:,3172"] {
        let refused = lab.sync(token).await;
        assert_eq!((refused.status, refused.body.contains("valid-sync-token")), (403, true), "{token}");
    }
    assert_eq!(lab.sync(&old).await.status, 207);
    lab.icloud.settings(|settings| settings.sync.accept_future = true);
    let lulled = lab.sync(&future).await;
    assert!(names(&lulled).is_empty() && lulled.token() == old);
    lab.device.expire_tokens();
    lab.icloud.settings(|settings| settings.sync.bad_token = 412);
    assert_eq!(lab.sync(&old).await.status, 412);
    assert_eq!(lab.sync(&lab.current_token().await).await.status, 207);
}

#[tokio::test]
async fn forgotten_deletions_spoil_older_tokens_only() {
    let lab = filled(Settings::icloud(), 2).await;
    let old = lab.current_token().await;
    lab.device.delete("c000.vcf").unwrap();
    let newer = lab.current_token().await;
    lab.device.forget_deletions();
    assert_eq!(lab.sync(&old).await.status, 403);
    assert_eq!(lab.sync(&newer).await.status, 207);
    assert_eq!(names(&lab.sync("").await), ["c001.vcf"]);
}

#[tokio::test]
async fn a_long_answer_is_cut_with_507_and_goes_on() {
    let lab = filled(Settings::icloud(), 7).await;
    lab.icloud.settings(|settings| settings.sync.page = Some(3));
    let (mut token, mut seen, mut rounds) = (String::new(), Vec::new(), 0);
    loop {
        let page = lab.sync(&token).await;
        let cut = page.rows().iter().any(|row| row.status == Some(507) && row.href == lab.device.book_path());
        seen.extend(names(&page));
        assert_ne!(page.token(), token);
        token = page.token();
        rounds += 1;
        if !cut {
            break;
        }
        assert!(page.body.contains("number-of-matches-within-limits"));
    }
    assert_eq!((rounds, seen.len()), (3, 7));
}

#[tokio::test]
async fn a_clients_own_limit_does_what_servers_do() {
    let lab = filled(Settings::icloud(), 5).await;
    let token = "/1234567890/card/@G=0@S=1";
    let limited = || sync(token, "<D:limit><D:nresults>2</D:nresults></D:limit>");
    assert_eq!(names(&lab.report(limited()).await).len(), 4);
    lab.icloud.settings(|settings| settings.sync.nresults = Nresults::SilentLoss);
    let lossy = lab.report(limited()).await;
    assert_eq!((names(&lossy).len(), lossy.token()), (2, lab.current_token().await));
    assert!(!lossy.body.contains("507"));
    lab.icloud.settings(|settings| settings.sync.nresults = Nresults::Refused);
    assert_eq!(lab.report(limited()).await.status, 507);
}

#[tokio::test]
async fn address_data_in_a_sync_is_a_missing_property() {
    let lab = filled(Settings::icloud(), 1).await;
    let body = sync("", "").replace("<D:getetag/>", "<D:getetag/><C:address-data/>");
    assert_eq!(lab.report(body.clone()).await.by_name()["c000.vcf"].missing, ["address-data"]);
    lab.icloud.settings(|settings| settings.sync.address_data = true);
    assert!(lab.report(body).await.by_name()["c000.vcf"].card().contains("FN:Card 0"));
    lab.icloud.settings(|settings| settings.sync.supported = false);
    assert_eq!(lab.sync("").await.status, 403);
}

#[tokio::test]
async fn listings_lag_and_catch_up() {
    let lab = filled(Settings::icloud(), 1).await;
    let token = lab.current_token().await;
    lab.device.set_lag(Lag::Operations(3));
    assert_eq!(lab.create("late.vcf", &card("late", "Late")).await.status, 201);
    assert_eq!(lab.get("late.vcf").await.status, 200);
    assert!(names(&lab.sync(&token).await).is_empty());
    assert_eq!(names(&lab.sync(&token).await), ["late.vcf"]);
}

#[tokio::test]
async fn a_multiget_takes_paths_only() {
    let lab = filled(Settings::icloud(), 3).await;
    lab.device.add_as("u 2@x.vcf", card("odd", "Odd"));
    let book = lab.device.book_path();
    let got = lab
        .multiget([
            format!("{book}c001.vcf").as_str(),
            format!("{book}gone.vcf").as_str(),
            format!("{book}u%202%40x.vcf").as_str(),
            "/9/carddavhome/card/c001.vcf",
        ])
        .await;
    let rows = got.rows();
    assert!(rows[0].card().contains("UID:c001\r\n") && rows[0].etag().starts_with('"'));
    assert_eq!((rows[1].name(), rows[1].status), ("gone.vcf", Some(404)));
    assert_eq!((rows[2].name(), rows[2].card().contains("UID:odd")), ("u%202@x.vcf", true));
    assert_eq!(rows[3].status, Some(404));
    assert!(got.body.contains("BEGIN:VCARD&#13;\n"));

    let absolute = format!("{}{book}c001.vcf", lab.icloud.partition_url());
    for href in [absolute.as_str(), "c001.vcf"] {
        assert_eq!(lab.multiget([href]).await.status, 400, "{href}");
    }
    lab.icloud.settings(|settings| settings.report.path_hrefs_only = false);
    assert!(lab.multiget([absolute.as_str()]).await.rows()[0].card().contains("UID:c001"));
}

#[tokio::test]
async fn hrefs_that_lead_nowhere_are_told_or_left_out() {
    let lab = filled(Settings::icloud(), 1).await;
    let gone = format!("{}gone.vcf", lab.device.book_path());
    lab.icloud.settings(|settings| settings.report.missing = MissingHref::Omitted);
    assert!(lab.multiget([gone.as_str()]).await.rows().is_empty());
    lab.icloud.settings(|settings| settings.report.missing = MissingHref::WholeReport);
    assert_eq!(lab.multiget([gone.as_str()]).await.status, 404);
    lab.icloud.settings(|settings| settings.report.max_hrefs = Some(1));
    let refused = lab.multiget([gone.as_str(), gone.as_str()]).await;
    assert_eq!((refused.status, refused.body.contains("number-of-matches-within-limits")), (403, true));
}

#[tokio::test]
async fn mixed_namespaces_are_refused_when_strict() {
    let lab = filled(Settings::icloud(), 1).await;
    let href = format!("{}c000.vcf", lab.device.book_path());
    let mixed = format!(
        "<C:addressbook-multiget xmlns=\"DAV:\" xmlns:C=\"urn:ietf:params:xml:ns:carddav\"><prop><getetag/></prop>\
         <href>{href}</href></C:addressbook-multiget>"
    );
    assert_eq!(lab.report(mixed.clone()).await.status, 207);
    lab.icloud.settings(|settings| settings.listing.strict_namespaces = true);
    assert_eq!(lab.report(mixed).await.status, 400);
    assert_eq!(lab.multiget([href.as_str()]).await.status, 207);
}

#[tokio::test]
async fn queries_filter_by_what_a_property_holds() {
    let lab = filled(Settings::icloud(), 12).await;
    let filter = |test: &str, inside: &str| query(&format!("<C:filter{test}>{inside}</C:filter>"));
    let text = |name: &str, kind: &str, text: &str| {
        format!("<C:prop-filter name=\"{name}\"><C:text-match{kind}>{text}</C:text-match></C:prop-filter>")
    };
    let count = async |body: String| names(&lab.report(body).await).len();
    assert_eq!(count(query("")).await, 12);
    assert_eq!(count(filter("", "")).await, 12);
    assert_eq!(count(filter("", "<C:prop-filter name=\"FN\"/>")).await, 12);
    assert_eq!(count(filter("", "<C:prop-filter name=\"NOTE\"/>")).await, 0);
    assert_eq!(count(filter("", "<C:prop-filter name=\"NOTE\"><C:is-not-defined/></C:prop-filter>")).await, 12);
    assert_eq!(count(filter("", &text("FN", "", "card 1"))).await, 3);
    assert_eq!(count(filter("", &text("FN", " match-type=\"equals\"", "Card 1"))).await, 1);
    assert_eq!(count(filter("", &text("FN", " collation=\"i;octet\"", "card 1"))).await, 0);
    assert_eq!(count(filter("", &text("UID", " match-type=\"ends-with\"", "11"))).await, 1);
    assert_eq!(count(filter("", &text("EMAIL", " match-type=\"starts-with\"", "C003@"))).await, 1);
    assert_eq!(count(filter("", &text("FN", " negate-condition=\"yes\"", "Card 1"))).await, 9);
    // There is no allof at iCloud, and names are case-sensitive.
    let both = text("UID", "", "c001") + &text("UID", "", "c002");
    assert_eq!(count(filter(" test=\"allof\"", &both)).await, 2);
    assert_eq!(count(filter("", "<C:prop-filter name=\"fn\"/>")).await, 0);
    lab.icloud.settings(|settings| {
        settings.report.allof = true;
        settings.report.filter_required = true;
    });
    assert_eq!(count(filter(" test=\"allof\"", &both)).await, 0);
    assert_eq!(lab.report(query("")).await.status, 403);
}

#[tokio::test]
async fn fifty_thousand_cards_are_listed_and_fetched() {
    let lab = Lab::icloud().await;
    let n = 50_000;
    for at in 0..n {
        lab.device.add_as(&format!("c{at}.vcf"), card(&format!("c{at}"), "Somebody"));
    }
    assert_eq!(lab.listing().await.body.matches("<response>").count(), n + 1);
    let book = lab.device.book_path();
    let hrefs: Vec<String> = (0..n).map(|at| format!("{book}c{at}.vcf")).collect();
    let body = multiget(hrefs.iter().map(String::as_str));
    assert!(body.len() > 2_000_000);
    assert_eq!(lab.report(body).await.body.matches("END:VCARD").count(), n);
    let token = lab.current_token().await;
    assert_eq!(lab.device.delete_many(lab.device.names()), n);
    assert_eq!(lab.sync(&token).await.body.matches(" 404 ").count(), n);
}
