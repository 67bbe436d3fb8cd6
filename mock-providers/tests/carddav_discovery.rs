//! Finding the book and signing in: `icloud-carddav.md` 1 and 2.2, and the first half of checklist 11.1.

mod common;

use std::collections::BTreeSet;

use common::{Lab, NS, card, propfind};
use mock_providers::carddav::settings::{Account, Namespaces, SelfRow, WellKnown};
use mock_providers::carddav::{Moved, Settings};

const PRINCIPAL: &str = "<D:current-user-principal/>";
const HOME: &str = "<C:addressbook-home-set/>";

#[tokio::test]
async fn the_chain_leads_from_the_entry_to_another_origin() {
    let lab = Lab::icloud().await;
    let entry = lab.icloud.url();
    let root = lab.propfind(&format!("{entry}/"), "0", PRINCIPAL).await.rows();
    assert_eq!(root[0].props["current-user-principal"], "<href>/1234567890/principal/");

    let principal = lab.propfind(&format!("{entry}/1234567890/principal/"), "0", HOME).await;
    let home = principal.rows()[0].props["addressbook-home-set"].replace("<href>", "");
    assert_eq!(home, format!("{}/1234567890/carddavhome/", lab.icloud.partition_url()));
    assert_ne!(lab.icloud.partition_url(), entry);
    // The namespace is declared anew inside, as was seen at iCloud.
    assert!(
        principal.body.contains("<addressbook-home-set xmlns=\"urn:ietf:params:xml:ns:carddav\"><href xmlns=\"DAV:\">")
    );

    let rows = lab.propfind(&home, "1", "<D:resourcetype/><D:displayname/>").await.rows();
    assert_eq!(
        rows.iter().map(|row| row.href.as_str()).collect::<Vec<_>>(),
        ["/1234567890/carddavhome/", "/1234567890/carddavhome/card/"]
    );
    assert_eq!(rows[1].props["resourcetype"], "<collection><addressbook>");
    assert_eq!(rows[1].props["displayname"], "card");
    // The home alone at depth 0.
    assert_eq!(lab.propfind(&home, "0", "<D:resourcetype/>").await.rows().len(), 1);
    assert_eq!(lab.icloud.service_record().path, "/");
    assert!(entry.ends_with(&lab.icloud.service_record().port.to_string()));
}

#[tokio::test]
async fn the_data_is_served_on_the_entry_too_unless_switched_off() {
    let lab = Lab::icloud().await;
    let name = lab.device.add(card("abc", "A"));
    let url = format!("{}{}{name}", lab.icloud.url(), lab.device.book_path());
    assert_eq!(lab.send("GET", &url, &[], "").await.status, 200);
    lab.icloud.settings(|settings| settings.discovery.data_on_entry = false);
    assert_eq!(lab.send("GET", &url, &[], "").await.status, 404);
    assert_eq!(lab.get(&name).await.status, 200);
}

#[tokio::test]
async fn the_entry_may_send_everything_to_the_partition() {
    let lab = Lab::icloud().await;
    for status in [301, 302, 307, 308] {
        lab.icloud.settings(|settings| settings.discovery.entry_redirect = Some(status));
        let got = lab.propfind(&format!("{}/", lab.icloud.url()), "0", PRINCIPAL).await;
        assert_eq!((got.status, got.header("location")), (status, format!("{}/", lab.icloud.partition_url()).as_str()));
    }
}

#[tokio::test]
async fn the_well_known_uri_can_be_anything() {
    let lab = Lab::icloud().await;
    let url = format!("{}/.well-known/carddav", lab.icloud.url());
    let direct = lab.propfind(&url, "0", PRINCIPAL).await;
    assert_eq!(direct.rows()[0].props["current-user-principal"], "<href>/1234567890/principal/");
    let set = |to| lab.icloud.settings(|settings| settings.discovery.well_known = to);
    set(WellKnown::Redirect(302));
    let got = lab.propfind(&url, "0", PRINCIPAL).await;
    assert_eq!((got.status, got.header("location")), (302, "/"));
    set(WellKnown::RedirectGetOnly(301));
    assert_eq!(lab.propfind(&url, "0", PRINCIPAL).await.status, 404);
    assert_eq!(lab.send("GET", &url, &[], "").await.status, 301);
    set(WellKnown::NotFound);
    assert_eq!(lab.propfind(&url, "0", PRINCIPAL).await.status, 404);
}

#[tokio::test]
async fn a_wrong_password_gets_two_challenges() {
    let mut lab = Lab::icloud().await;
    lab.password = "wrong".to_owned();
    let got = lab.propfind(&lab.book(), "0", PRINCIPAL).await;
    assert_eq!((got.status, got.body.as_str()), (401, ""));
    let challenges: Vec<&str> =
        got.headers.get_all("www-authenticate").iter().map(|one| one.to_str().unwrap()).collect();
    assert_eq!(challenges, ["X-MobileMe-AuthToken realm=\"MMCalDav\"", "Basic realm=\"MMCalDav\""]);
    assert!(got.header("server").starts_with("AppleHttpServer/"));
    assert_eq!(got.header("x-apple-user-partition"), "42");

    // Somebody unknown is not located.
    lab.user = "nobody@example.com".to_owned();
    let got = lab.propfind(&lab.book(), "0", PRINCIPAL).await;
    assert_eq!((got.status, got.header("x-apple-user-partition")), (401, ""));

    lab.icloud.settings(|settings| settings.auth.one_header = true);
    let got = lab.http.get(lab.book()).send().await.unwrap();
    assert_eq!(got.headers().get_all("www-authenticate").iter().count(), 1);
}

#[tokio::test]
async fn a_revoked_password_is_refused_until_another_is_set() {
    let mut lab = Lab::icloud().await;
    lab.device.revoke_password();
    assert_eq!(lab.listing().await.status, 401);
    lab.device.set_password("new");
    assert_eq!(lab.listing().await.status, 401);
    lab.password = "new".to_owned();
    assert_eq!(lab.listing().await.status, 207);
}

#[tokio::test]
async fn accounts_do_not_see_each_other() {
    let accounts = [Account::new("a@example.com", "pa", "1"), Account::new("b@example.com", "pb", "2")];
    let lab = Lab::start(Settings::icloud().with_accounts(accounts)).await;
    let other = lab.icloud.device("B@example.com").unwrap();
    other.add(card("x", "X"));
    assert!(lab.device.is_empty() && other.len() == 1);
    let url = format!("{}{}", lab.icloud.partition_url(), other.book_path());
    assert_eq!(lab.propfind(&url, "1", "<D:getetag/>").await.status, 403);
    assert!(lab.icloud.device("nobody").is_err());
    // Tokens belong to an account.
    let own = lab.current_token().await;
    let other = own.replacen("/1/", "/2/", 1);
    assert_ne!(own, other);
    assert_eq!(lab.sync(&other).await.status, 403);
}

#[tokio::test]
async fn depth_decides_how_far_a_listing_goes() {
    let lab = Lab::icloud().await;
    lab.device.add(card("abc", "A"));
    let refused = lab.propfind(&lab.book(), "infinity", "<D:getetag/>").await;
    assert_eq!(refused.status, 403);
    assert!(refused.body.contains("propfind-finite-depth"));
    assert_eq!(lab.propfind(&lab.book(), "0", "<D:getetag/>").await.rows().len(), 1);
    assert_eq!(lab.propfind(&lab.book(), "1", "<D:getetag/>").await.rows().len(), 2);
    let none = lab.send("PROPFIND", &lab.book(), &[], propfind("<D:getetag/>")).await;
    assert_eq!(none.rows().len(), 1);
    assert_eq!(lab.propfind(&lab.book(), "2", "<D:getetag/>").await.status, 400);
}

#[tokio::test]
async fn the_listing_names_the_collection_without_its_slash() {
    let lab = Lab::icloud().await;
    let name = lab.device.add(card("abc", "A"));
    let rows = lab.listing().await.rows();
    assert_eq!(rows[0].href, "/1234567890/carddavhome/card");
    assert!(rows[0].etag().starts_with('"') && rows[0].props["resourcetype"].contains("<addressbook>"));
    assert_eq!(rows[1].href, format!("/1234567890/carddavhome/card/{name}"));
    assert_eq!(rows[1].props["resourcetype"], "");
    let changes = lab.sync("").await.rows();
    assert_eq!(changes[0].href, "/1234567890/carddavhome/card");
    assert!(!changes[0].etag().is_empty());

    lab.icloud.settings(|settings| settings.listing.self_row = SelfRow::Absent);
    assert_eq!(lab.listing().await.rows().len(), 1);
}

#[tokio::test]
async fn the_book_has_its_properties_and_says_what_it_lacks() {
    let lab = Lab::icloud().await;
    let props = "<D:resourcetype/><D:displayname/><CS:getctag/><D:sync-token/><D:supported-report-set/>\
                 <D:current-user-privilege-set/><C:supported-address-data/><C:max-resource-size/>\
                 <D:quota-available-bytes/><x:colour xmlns:x=\"urn:x\"/>";
    let row = lab.propfind(&lab.book(), "0", props).await.rows().remove(0);
    let report = |name: &str| row.props["supported-report-set"].contains(name);
    assert!(report("<sync-collection>") && report("<addressbook-multiget>") && report("<addressbook-query>"));
    assert!(row.props["current-user-privilege-set"].contains("<privilege><write>"));
    assert_eq!(row.props["supported-address-data"], "<address-data-type>");
    assert_eq!(row.props["max-resource-size"], "262144");
    assert!(!row.props["getctag"].is_empty() && !row.props["sync-token"].contains("://"));
    assert_eq!(row.missing, ["quota-available-bytes", "colour"]);

    let before = (row.props["getctag"].clone(), row.props["sync-token"].clone());
    lab.device.add(card("abc", "A"));
    let row = lab.propfind(&lab.book(), "0", props).await.rows().remove(0);
    assert!(row.props["getctag"] != before.0 && row.props["sync-token"] != before.1);

    let card = "<D:getcontenttype/><D:getlastmodified/><D:getcontentlength/><C:address-data/><D:sync-token/>";
    let row = lab.propfind(&lab.book(), "1", card).await.rows().remove(1);
    assert_eq!(row.props["getcontenttype"], "text/vcard; charset=utf-8");
    assert!(row.props["getlastmodified"].ends_with(" GMT"));
    assert_eq!(row.missing, ["address-data", "sync-token"]);
}

#[tokio::test]
async fn allprop_and_propname_are_answered() {
    let lab = Lab::icloud().await;
    let ask = async |body: String| lab.send("PROPFIND", &lab.book(), &[("depth", "0")], body).await.rows();
    let all = ask(format!("<D:propfind {NS}><D:allprop/></D:propfind>")).await;
    assert!(all[0].props.contains_key("sync-token"));
    assert_eq!(ask(String::new()).await, all);
    let names = ask(format!("<D:propfind {NS}><D:propname/></D:propfind>")).await;
    assert_eq!(names[0].props["sync-token"], "");
    let keys = |row: &common::Row| row.props.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(keys(&names[0]), keys(&all[0]));
}

#[tokio::test]
async fn options_answers_on_the_home_and_not_on_the_book() {
    let lab = Lab::icloud().await;
    let home = lab.book().trim_end_matches("card/").to_owned();
    let got = lab.send("OPTIONS", &home, &[], "").await;
    assert!(got.status == 200 && got.header("dav").split(", ").any(|class| class == "addressbook"));
    assert_eq!(lab.send("OPTIONS", &lab.book(), &[], "").await.status, 404);
    lab.icloud.settings(|settings| settings.discovery.options_on_book = true);
    assert_eq!(lab.send("OPTIONS", &lab.book(), &[], "").await.status, 200);
}

#[tokio::test]
async fn collections_are_not_made_nor_read() {
    let lab = Lab::icloud().await;
    let other = lab.book().replace("/card/", "/other/");
    for method in ["MKCOL", "MKCALENDAR"] {
        assert_eq!(lab.send(method, &other, &[], "").await.status, 403);
    }
    // A GET of the book closes the connection.
    assert!(lab.try_send("GET", &lab.book(), &[], "").await.is_err());
    lab.icloud.settings(|settings| settings.listing.cut_collection_get = false);
    assert_eq!(lab.send("GET", &lab.book(), &[], "").await.status, 501);
    assert_eq!(lab.send("POST", &lab.book(), &[], "").await.status, 405);
    assert_eq!(lab.propfind(&other, "0", "<D:getetag/>").await.status, 404);
    let patch = format!(
        "<D:propertyupdate {NS}><D:set><D:prop><D:displayname>x</D:displayname></D:prop></D:set></D:propertyupdate>"
    );
    assert_eq!(lab.send("PROPPATCH", &lab.book(), &[], patch.clone()).await.rows()[0].missing, ["displayname"]);
    let nowhere = lab.send("PROPPATCH", &other, &[], patch).await.rows();
    assert!(nowhere[0].props.is_empty() && nowhere[0].missing.is_empty());
}

#[tokio::test]
async fn an_account_moves_to_another_partition() {
    let lab = Lab::icloud().await;
    let name = lab.device.add(card("abc", "A"));
    let old = format!("{}{name}", lab.book());
    let user = lab.user.clone();
    let url = lab.icloud.move_partition(&user, Moved::Misdirected).await.unwrap();
    assert_eq!(lab.icloud.partition_url(), url);
    assert_eq!(lab.send("GET", &old, &[], "").await.status, 421);
    assert_eq!(lab.get(&name).await.status, 200);
    assert_eq!(lab.get(&name).await.header("x-apple-user-partition"), "43");
    let principal = format!("{}/1234567890/principal/", lab.icloud.url());
    assert!(lab.propfind(&principal, "0", HOME).await.body.contains(&url));

    let second = lab.icloud.move_partition(&user, Moved::Redirect).await.unwrap();
    let got = lab.send("GET", &old, &[], "").await;
    assert_eq!((got.status, got.header("location").starts_with(&second)), (301, true));
    lab.icloud.move_partition(&user, Moved::Closed).await.unwrap();
    assert!(lab.try_send("GET", &old, &[], "").await.is_err());
}

#[tokio::test]
async fn the_generic_server_speaks_with_prefixes_on_one_origin() {
    let lab = Lab::start(Settings::generic()).await;
    let entry = lab.icloud.url();
    let well_known = lab.propfind(&format!("{entry}/.well-known/carddav"), "0", PRINCIPAL).await;
    assert_eq!((well_known.status, well_known.header("location")), (301, "/"));
    let root = lab.propfind(&format!("{entry}/"), "0", PRINCIPAL).await;
    assert!(root.body.contains("<D:multistatus xmlns:D=\"DAV:\""));
    assert_eq!(root.rows()[0].props["current-user-principal"], "<href>/principals/jane/");
    let home = lab.propfind(&format!("{entry}/principals/jane/"), "0", HOME).await.rows();
    assert_eq!(home[0].props["addressbook-home-set"], "<href>/addressbooks/jane/");
    let book = format!("{entry}/addressbooks/jane/contacts/");
    let rows = lab.propfind(&book, "1", "<D:getetag/><D:sync-token/>").await.rows();
    assert_eq!((rows[0].href.as_str(), rows[0].etag()), ("/addressbooks/jane/contacts/", ""));
    assert!(rows[0].props["sync-token"].starts_with("http://"));
    assert_eq!(lab.http.get(&book).send().await.unwrap().headers()["www-authenticate"], "Basic realm=\"contacts\"");
}

#[tokio::test]
async fn answers_come_in_other_styles() {
    let lab = Lab::icloud().await;
    let plain = lab.device.add(card("abc", "A"));
    lab.device.add_as("u 2@x.vcf", card("b", "B"));
    lab.icloud.settings(|settings| {
        settings.xml.namespaces = Namespaces::Prefixed;
        settings.xml.status_first = true;
        settings.xml.token_first = true;
        settings.xml.encode_at = true;
    });
    let got = lab.sync("").await;
    assert!(got.body.find("sync-token").unwrap() < got.body.find("response").unwrap());
    assert!(got.body.contains("<D:propstat><D:status>"));
    assert!(got.by_name().contains_key("u%202%40x.vcf"));
    lab.icloud.settings(|settings| settings.xml.absolute_hrefs = true);
    assert!(lab.listing().await.rows()[1].href.starts_with(&lab.icloud.partition_url()));
    assert!(lab.listing().await.by_name().contains_key(&plain));
    lab.icloud.settings(|settings| settings.listing.xml_content_type = true);
    assert_eq!(lab.listing().await.status, 415);
}

#[tokio::test]
async fn the_server_stops_when_it_is_dropped() {
    let lab = Lab::icloud().await;
    let book = lab.book();
    assert_eq!(lab.listing().await.status, 207);
    let Lab { icloud, http, .. } = lab;
    drop(icloud);
    // The tasks are aborted when they are next looked at: until then a connection may still be taken, but not answered.
    assert!(http.get(book).send().await.is_err());
}
