//! From an address to the book, and no password to strangers (icloud-carddav.md §1).

use contactd::provider::carddav::settings::{CarddavSettings, Flavour};
use contactd::provider::dns::Srv;
use contactd::provider::{From, Provider as _, Retry, Scope};
use mock_providers::carddav::Settings;
use mock_providers::carddav::settings::{Account, WellKnown};

use super::lab::{FakeDns, Fault, Lab, Match, adapter, adapter_with};

#[tokio::test]
async fn icloud_over_two_origins() {
    let mut lab = Lab::icloud().await;
    let mailbox = lab.dav.check().await.unwrap();
    assert_eq!((mailbox.tenant.as_str(), mailbox.subject), ("icloud.com", lab.device.dsid()));
    let books = lab.dav.collections().await.unwrap();
    assert_eq!(books.iter().map(|book| book.id.clone()).collect::<Vec<_>>(), [lab.book()]);
    assert!(books[0].writable);
    // The next run starts without asking around.
    lab.next_run();
    let mark = lab.server.mark();
    let listing = lab.list().await;
    assert!(listing.full && listing.listed.is_empty());
    assert_eq!(lab.asked(mark, ""), 2);
}

#[tokio::test]
async fn the_entry_may_redirect_everything() {
    for status in [301, 302, 307, 308] {
        let mut settings = Settings::icloud();
        settings.discovery.entry_redirect = Some(status);
        settings.discovery.data_on_entry = false;
        let lab = Lab::new(settings).await;
        lab.dav.check().await.unwrap();
        assert!(lab.list().await.full, "{status}");
    }
}

#[tokio::test]
async fn a_generic_server_by_any_of_its_addresses() {
    let lab = Lab::generic().await;
    let home = lab.device.book_path().trim_end_matches("contacts/").to_owned();
    for path in ["", "/", "/.well-known/carddav", &lab.device.book_path(), &home] {
        let dav = lab.with(|settings| settings.url.push_str(path));
        let mailbox = dav.check().await.unwrap();
        assert!(mailbox.subject.contains("jane"), "{path}: {mailbox:?}");
        assert_eq!(dav.collections().await.unwrap()[0].id, lab.book(), "{path}");
    }
}

#[tokio::test]
async fn well_known_in_all_its_forms() {
    for well_known in [
        WellKnown::Direct,
        WellKnown::Redirect(301),
        WellKnown::Redirect(302),
        WellKnown::Redirect(307),
        WellKnown::RedirectGetOnly(301),
        WellKnown::NotFound,
    ] {
        let mut settings = Settings::generic();
        settings.discovery.well_known = well_known;
        let lab = Lab::new(settings).await;
        let dav = lab.with(|settings| settings.url.push_str("/.well-known/carddav"));
        assert_eq!(dav.collections().await.unwrap()[0].id, lab.book(), "{well_known:?}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_said_once_and_not_tried_again() {
    let lab = Lab::icloud().await;
    lab.device.revoke_password();
    let dav = adapter(&lab.settings, "abcd-efgh-ijkl-mnop");
    let mark = lab.server.mark();
    let error = dav.check().await.unwrap_err();
    assert_eq!((error.scope.clone(), error.retry), (Scope::Account, Retry::AfterHuman));
    assert!(error.to_string().contains("app-specific password"), "{error}");
    assert_eq!(lab.asked(mark, ""), 1);
    assert!(!error.to_string().contains("jane"));
}

#[tokio::test]
async fn the_password_goes_to_no_stranger() {
    let lab = Lab::icloud().await;
    let stranger = Lab::new(Settings::icloud().with_accounts([Account::new("x", "y", "1")])).await;
    // Not by a home on another host …
    let dav = lab.with(|settings| settings.trust.clear());
    let mark = lab.server.mark();
    let error = dav.check().await.unwrap_err();
    assert_eq!(error.retry, Retry::AfterHuman);
    assert!(error.to_string().contains("confirm"), "{error}");
    let asked = lab.server.ask(|journal| journal.since(mark).map(|r| r.path.clone()).collect::<Vec<_>>());
    assert!(asked.iter().all(|path| !path.contains("carddavhome")), "{asked:?}");
    // … nor by a redirect, at discovery or later.
    lab.dav.check().await.unwrap();
    for path in ["/", "/card"] {
        let to = Fault::Redirect { status: 307, location: format!("{}/steal", stranger.server.url()) };
        lab.server.faults(|faults| faults.times(8, Match::default().path(path), to));
        assert!(lab.dav.changes(&lab.book(), From::Start).await.is_err());
        lab.server.faults(|faults| faults.heal());
    }
    assert_eq!(stranger.asked(stranger.server.mark(), ""), 0);
    assert_eq!(stranger.server.ask(|journal| journal.len()), 0);
}

#[tokio::test]
async fn dns_leads_the_way_but_not_to_strangers() {
    let srv = |target: &str| Srv { priority: 0, weight: 1, port: 443, target: target.to_owned() };
    let settings = CarddavSettings { user: "ann@example.test".into(), ..CarddavSettings::default() };
    let dns = FakeDns { srv: vec![srv("dav.elsewhere.test")], txt: vec!["path=/dav/".into()] };
    let error = adapter_with(&settings, "x", dns).check().await.unwrap_err();
    assert!(error.to_string().contains("dav.elsewhere.test") && error.to_string().contains("confirm"), "{error}");
    // Within the domain it goes on, and fails only because there is no such host.
    let dns = FakeDns { srv: vec![srv("dav.example.test")], txt: vec![] };
    let error = adapter_with(&settings, "x", dns).check().await.unwrap_err();
    assert!(error.to_string().contains("can't be reached"), "{error}");
    let nobody = CarddavSettings { user: "ann".into(), ..CarddavSettings::default() };
    let error = adapter_with(&nobody, "x", FakeDns::default()).check().await.unwrap_err();
    assert!(error.to_string().contains("e-mail address"), "{error}");
}

#[tokio::test]
async fn a_moved_partition_is_found_again() {
    let mut lab = Lab::icloud().await;
    lab.device.add(super::lab::card("a", "Ann", ""));
    lab.dav.check().await.unwrap();
    let first = lab.list().await;
    let moved =
        lab.server.move_partition(&lab.device.user(), mock_providers::carddav::Moved::Misdirected).await.unwrap();
    lab.next_run();
    lab.settings.trust.push(moved.trim_start_matches("http://").to_owned());
    lab.dav = adapter(&lab.settings, &lab.device.password());
    let delta = lab.since(&first).await;
    assert!(delta.listed.is_empty() && delta.seen.is_empty() && !delta.full);
    assert_eq!(lab.settings.flavour, Flavour::ICloud);
}

#[tokio::test]
async fn a_server_that_is_none_deletes_nothing() {
    let lab = Lab::generic().await;
    lab.device.add(super::lab::card("a", "Ann", ""));
    lab.dav.check().await.unwrap();
    lab.list().await;
    for fault in [Fault::Html, Fault::Empty, Fault::Doctype, Fault::Refuse(404), Fault::Refuse(502)] {
        lab.server.faults(|faults| faults.times(40, Match::default(), fault.clone()));
        let result = lab.dav.changes(&lab.book(), From::Start).await;
        assert!(result.is_err(), "{fault:?}: {result:?}");
        let fetched = lab.dav.fetch(&[lab.at("x.vcf")]).await;
        assert!(
            !matches!(&fetched, Ok(all) if matches!(all[0], contactd::provider::Fetched::Gone)),
            "{fault:?}: {fetched:?}"
        );
        lab.server.faults(|faults| faults.heal());
    }
}

#[tokio::test]
async fn a_partition_that_is_down_is_gone_round_by_the_entry() {
    let mut lab = Lab::icloud().await;
    lab.device.add(super::lab::card("a", "Ann", ""));
    lab.server.settings(|settings| settings.discovery.partition_dead = true);
    lab.settings.trust.push("127.0.0.1:1".to_owned());
    lab.dav = adapter(&lab.settings, &lab.device.password());
    lab.dav.check().await.unwrap();
    assert_eq!(lab.list().await.listed.len(), 1);
    let at = |lab: &Lab| lab.dav.settings().found.unwrap().books[0].url.origin().ascii_serialization();
    assert_eq!(at(&lab), lab.server.url().trim_end_matches('/'));
    // And back again, as soon as it answers.
    lab.server.settings(|settings| settings.discovery.partition_dead = false);
    lab.next_run();
    lab.dav.collections().await.unwrap();
    assert_eq!(at(&lab), lab.server.partition_url().trim_end_matches('/'));
    // A run that knows the book at a partition that has died since goes round it too.
    lab.next_run();
    lab.server.settings(|settings| settings.discovery.partition_dead = true);
    let mut known = lab.settings.found.clone().unwrap();
    known.books[0].url.set_port(Some(1)).unwrap();
    let dav = lab.with(|settings| settings.found = Some(known));
    assert_eq!(dav.changes(&lab.book(), From::Start).await.unwrap().listed.len(), 1);
}

#[tokio::test]
async fn a_server_that_knows_only_the_name_before_the_at() {
    let settings = Settings::generic().with_accounts([Account::new("ann", "xyzzy", "7")]);
    let mut lab = Lab::new(settings).await;
    lab.settings.user = "ann@example.com".to_owned();
    lab.dav = adapter(&lab.settings, "xyzzy");
    lab.dav.check().await.unwrap();
    let stored = lab.dav.settings();
    assert_eq!((stored.user.as_str(), stored.login.as_deref()), ("ann@example.com", Some("ann")));
    // From then on by that name, at once.
    lab.next_run();
    lab.list().await;
    assert_eq!(lab.server.ask(|journal| journal.records().filter(|r| r.status == Some(401)).count()), 1);
    // A wrong password is wrong under both names, and is said as it was for the first.
    let mark = lab.server.mark();
    let error =
        adapter(&CarddavSettings { user: "ann@example.com".into(), found: None, login: None, ..lab.settings }, "no")
            .check()
            .await
            .unwrap_err();
    assert_eq!(error.retry, Retry::AfterHuman);
    assert!(lab.server.ask(|journal| journal.since(mark).count()) <= 2);
}
