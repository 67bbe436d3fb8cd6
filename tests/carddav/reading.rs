//! Listings, changes, cards, groups and pictures (icloud-carddav.md §2, §3, §5, §6.4).

use contactd::provider::carddav::settings::GroupMode;
use contactd::provider::{Fetched, Found, From, Next, Provider as _, Retry};
use contactd::sync::caps::Membership;
use contactd::sync::view::Seen;
use mock_providers::carddav::Settings;
use mock_providers::carddav::settings::{EmptyToken, EtagForm, MissingHref, Namespaces, SelfRow};

use super::lab::{Fault, Lab, Match, RetryAfter, card, name_of, token};

#[tokio::test]
async fn everything_then_only_what_changed_in_one_request() {
    for settings in [Settings::icloud(), Settings::generic()] {
        let mut lab = Lab::new(settings).await;
        let names = lab.device.seed(1, 120);
        lab.dav.check().await.unwrap();
        let all = lab.list().await;
        assert_eq!((all.full, all.listed.len(), all.seen.len()), (true, 120, 0));
        assert!(all.listed.iter().all(|row| row.at.etag.is_some()));
        let refs: Vec<_> = all.listed.iter().map(|row| row.at.clone()).collect();
        let mark = lab.server.mark();
        let fetched = lab.dav.fetch(&refs).await.unwrap();
        assert_eq!(lab.asked(mark, ""), 3 - 1); // 50, then 70 of 100
        for (at, fetched) in refs.iter().zip(&fetched) {
            let Fetched::There(seen, _) = fetched else { panic!("{fetched:?}") };
            assert_eq!(seen.at().map(|at| &at.etag), Some(&at.etag));
            assert_eq!(seen.id(), &at.id);
        }
        assert!(fetched.iter().any(|one| matches!(one, Fetched::There(Seen::Roster(_), _))));

        lab.next_run();
        let mark = lab.server.mark();
        let quiet = lab.since(&all).await;
        assert_eq!((lab.asked(mark, ""), quiet.full, quiet.listed.len(), quiet.seen.len()), (1, false, 0, 0));

        lab.device.replace(&names[0], "FN:", "FN:X").unwrap();
        lab.device.delete(&names[1]).unwrap();
        let new = lab.device.add(card("new", "New", ""));
        let delta = lab.since(&quiet).await;
        let mut changed: Vec<_> = delta.listed.iter().map(|row| row.at.id.clone()).collect();
        let mut expected = vec![lab.id(&names[0]), lab.id(&new)];
        changed.sort();
        expected.sort();
        assert_eq!((changed, delta.seen), (expected, vec![Seen::Gone(lab.id(&names[1]))]));
        assert!(lab.since(&lab.dav.changes(&lab.book(), From::Start).await.unwrap()).await.listed.is_empty());
    }
}

#[tokio::test]
async fn answers_in_every_shape() {
    type Change = Box<dyn Fn(&mut Settings)>;
    let shapes: Vec<(&str, Change)> = vec![
        (
            "radicale",
            Box::new(|s| {
                s.xml.namespaces = Namespaces::Default;
                s.xml.token_first = true;
                s.xml.cr_as_reference = false;
                s.xml.encode_at = true;
                s.sync.empty_token = EmptyToken::MembersAndTombstones;
            }),
        ),
        (
            "xandikos",
            Box::new(|s| {
                s.xml.status_first = true;
                s.listing.xml_content_type = true;
                s.sync.bad_token = 412;
                s.listing.self_row = SelfRow::Absent;
            }),
        ),
        ("sogo", Box::new(|s| s.xml.row_status = true)),
        ("urls", Box::new(|s| s.xml.absolute_hrefs = true)),
        ("unquoted", Box::new(|s| s.xml.etags = EtagForm::Unquoted)),
        ("controls", Box::new(|s| s.xml.raw_control = true)),
    ];
    for (shape, change) in shapes {
        let mut settings = Settings::generic();
        settings.write.refuse_odd_names = false;
        change(&mut settings);
        let lab = Lab::new(settings).await;
        lab.device.add_as("u 2@x.vcf", card("u2", "Ann", "NOTE:one\\ntwo\r\n"));
        lab.device.add_as("plain.vcf", card("p", "Bob", ""));
        let all = lab.list().await;
        let ids: Vec<_> = all.listed.iter().map(|row| row.at.id.as_str().rsplit('/').next().unwrap()).collect();
        assert_eq!(ids, ["plain.vcf", "u%202%40x.vcf"], "{shape}");
        let refs: Vec<_> = all.listed.iter().map(|row| row.at.clone()).collect();
        for fetched in lab.dav.fetch(&refs).await.unwrap() {
            let Fetched::There(Seen::Present(record), _) = fetched else { panic!("{shape}: {fetched:?}") };
            let raw = String::from_utf8(record.raw.unwrap()).unwrap();
            assert!(raw.contains("\r\nEND:VCARD\r\n") && !raw.contains("\r\r"), "{shape}: {raw:?}");
        }
        assert!(lab.since(&all).await.listed.is_empty(), "{shape}");
        lab.device.delete("u 2@x.vcf").unwrap();
        assert_eq!(lab.since(&all).await.seen.len(), 1, "{shape}");
    }
}

#[tokio::test]
async fn an_expired_token_asks_for_everything() {
    for status in [400, 403, 409, 410, 412] {
        let mut settings = Settings::icloud();
        settings.sync.bad_token = status;
        let lab = Lab::new(settings).await;
        lab.device.seed(2, 3);
        let all = lab.list().await;
        lab.device.expire_tokens();
        let Next::Done(cursor) = &all.next else { panic!() };
        let error = lab.dav.changes(&lab.book(), From::Cursor(cursor)).await.unwrap_err();
        assert_eq!(error.retry, Retry::Relist, "{status}: {error}");
        let again = lab.list().await;
        assert_eq!(again.listed.len(), 3);
    }
    let lab = Lab::icloud().await;
    let error = lab.dav.changes(&lab.book(), From::Cursor(&"nonsense".into())).await.unwrap_err();
    assert_eq!(error.retry, Retry::Relist);
}

#[tokio::test]
async fn a_cut_answer_goes_on_page_by_page() {
    let lab = Lab::icloud().await;
    let all = lab.list().await;
    let names = lab.device.seed(3, 25);
    lab.server.settings(|settings| settings.sync.page = Some(10));
    let (mut seen, mut page, mut pages) = (Vec::new(), lab.since(&all).await, 1);
    loop {
        seen.extend(page.listed.iter().map(|row| row.at.id.clone()));
        assert!(!page.full);
        let Next::Page(next) = &page.next else { break };
        page = lab.dav.changes(&lab.book(), From::Page(next)).await.unwrap();
        pages += 1;
    }
    seen.sort();
    seen.dedup();
    assert_eq!((seen.len(), pages), (names.len(), 3));
    assert!(lab.since(&page).await.listed.is_empty());
}

#[tokio::test]
async fn without_sync_collection_the_tag_tells() {
    let mut settings = Settings::generic();
    settings.sync.supported = false;
    let lab = Lab::new(settings).await;
    lab.device.seed(4, 5);
    let all = lab.list().await;
    let mark = lab.server.mark();
    let quiet = lab.since(&all).await;
    assert_eq!((lab.asked(mark, ""), quiet.full, quiet.listed.len()), (1, false, 0));
    lab.device.add(card("new", "New", ""));
    let Next::Done(cursor) = &quiet.next else { panic!() };
    let error = lab.dav.changes(&lab.book(), From::Cursor(cursor)).await.unwrap_err();
    assert_eq!(error.retry, Retry::Relist);
    assert_eq!(lab.list().await.listed.len(), 6);
}

#[tokio::test]
async fn silence_is_never_gone() {
    for missing in [MissingHref::Row, MissingHref::Omitted, MissingHref::WholeReport] {
        let mut settings = Settings::generic();
        settings.report.missing = missing;
        let lab = Lab::new(settings).await;
        let names = lab.device.seed(5, 6);
        lab.device.delete(&names[2]).unwrap();
        let refs: Vec<_> = names.iter().map(|name| lab.at(name)).collect();
        for (n, fetched) in lab.dav.fetch(&refs).await.unwrap().iter().enumerate() {
            assert_eq!(matches!(fetched, Fetched::Gone), n == 2, "{missing:?} {n}: {fetched:?}");
        }
    }
    // Left out though they are there: asked for singly.
    let lab = Lab::generic().await;
    let names = lab.device.seed(6, 4);
    lab.server.fault(Match::method("REPORT"), Fault::OmitRows);
    for name in &names {
        assert!(matches!(lab.fetch(name).await, Fetched::There(..)));
    }
}

#[tokio::test]
async fn odd_rows_conclude_nothing() {
    for fault in [Fault::RowStatus(403), Fault::RowStatus(500), Fault::StrayRow, Fault::DuplicateRows] {
        let lab = Lab::generic().await;
        let all = lab.list().await;
        lab.device.seed(7, 4);
        lab.server.fault(Match::method("REPORT"), fault.clone());
        let delta = lab.since(&all).await;
        assert!(delta.seen.is_empty(), "{fault:?}");
        let expected = if matches!(fault, Fault::RowStatus(_)) { 0 } else { 4 };
        assert_eq!(delta.listed.len(), expected, "{fault:?}");
    }
    let lab = Lab::generic().await;
    lab.device.seed(7, 4);
    lab.server.fault(Match::method("PROPFIND").body("getetag"), Fault::NoEtags);
    assert!(lab.dav.changes(&lab.book(), From::Start).await.is_err());
}

#[tokio::test]
async fn batches_shrink_until_the_server_can_bear_them() {
    let mut settings = Settings::icloud();
    settings.report.max_hrefs = Some(7);
    let lab = Lab::new(settings).await;
    let names = lab.device.seed(8, 60);
    let refs: Vec<_> = names.iter().map(|name| lab.at(name)).collect();
    let fetched = lab.dav.fetch(&refs).await.unwrap();
    assert!(fetched.iter().all(|one| matches!(one, Fetched::There(..))));
    // A torn answer is asked for again in smaller parts.
    let lab = Lab::icloud().await;
    let names = lab.device.seed(9, 20);
    let refs: Vec<_> = names.iter().map(|name| lab.at(name)).collect();
    lab.server.fault(Match::method("REPORT"), Fault::Torn);
    let fetched = lab.dav.fetch(&refs).await.unwrap();
    assert!(fetched.iter().all(|one| matches!(one, Fetched::There(..))));
}

#[tokio::test]
async fn what_is_no_card_is_shown_as_such() {
    let mut settings = Settings::generic();
    settings.write.need_syntax = false;
    let lab = Lab::new(settings).await;
    lab.device.add_as("broken.vcf", "this is no card");
    lab.device.add_as("good.vcf", card("g", "Ann", ""));
    assert!(matches!(lab.fetch("broken.vcf").await, Fetched::There(Seen::Unreadable(..), _)));
    assert!(matches!(lab.fetch("good.vcf").await, Fetched::There(Seen::Present(_), _)));
    let all = lab.list().await;
    assert_eq!(all.listed.len(), 2);
}

#[tokio::test]
async fn our_own_are_found_by_their_names() {
    let lab = Lab::icloud().await;
    let uid = token(1).0.to_string().to_uppercase();
    lab.device.add_as(&name_of(1), card(&uid, "Ann", ""));
    let found = lab.dav.find(&lab.book(), &[token(1), token(2)]).await.unwrap();
    let Found::Records(records, _) = &found[0] else { panic!("{found:?}") };
    let Seen::Present(record) = &records[0] else { panic!() };
    assert_eq!((record.token, record.uid.as_deref()), (Some(token(1)), Some(uid.as_str())));
    assert!(matches!(found[1], Found::NotThere));
}

#[tokio::test]
async fn groups_are_cards_at_icloud_and_categories_elsewhere() {
    let lab = Lab::icloud().await;
    assert_eq!(lab.dav.capabilities().membership, Membership::Roster);
    lab.device.add(card("a", "Ann", ""));
    let group = lab.device.add_group("board", "Board", &["a", "gone"]);
    let groups = lab.dav.groups().await.unwrap();
    assert_eq!((groups.len(), groups[0].name.as_str(), groups[0].size), (1, "Board", Some(2)));
    assert_eq!(groups[0].id.as_str(), lab.id(&group).as_str());
    let Fetched::There(Seen::Roster(roster), _) = lab.fetch(&group).await else { panic!() };
    assert_eq!(roster.members.iter().map(String::as_str).collect::<Vec<_>>(), ["a", "gone"]);
    assert_eq!((roster.group, roster.uid.as_deref()), (groups[0].id.clone(), Some("board")));

    let mut lab = Lab::generic().await;
    lab.device.add(card("a", "Ann", "CATEGORIES:Friends,Work\\, Old\r\n"));
    let name = lab.device.add(card("b", "Bob", "CATEGORIES:Friends\r\n"));
    let groups = lab.dav.groups().await.unwrap();
    let shown: Vec<_> = groups.iter().map(|group| (group.id.as_str(), group.size)).collect();
    assert_eq!(shown, [("Friends", Some(2)), ("Work, Old", Some(1))]);
    assert_eq!(lab.record(&name).await.groups.len(), 1);
    // A group card appears: from the next run on groups are cards, unless the user said otherwise.
    lab.device.add_group("g", "List", &["a"]);
    assert_eq!(lab.dav.groups().await.unwrap()[0].name, "List");
    lab.next_run();
    assert_eq!(lab.dav.capabilities().membership, Membership::Roster);
    let said = lab.with(|settings| settings.groups = Some(GroupMode::Categories));
    assert_eq!(said.capabilities().membership, Membership::InRecord);
}

#[tokio::test]
async fn pictures_by_address() {
    let lab = Lab::icloud().await;
    let name = lab.device.add(card("a", "Ann", ""));
    let bytes = [&[0xFF, 0xD8, 0xFF, 0xE0][..], &[7; 500]].concat();
    lab.device.set_photo(&name, Some(&bytes)).unwrap();
    lab.dav.check().await.unwrap();
    let record = lab.record(&name).await;
    let photo = lab.dav.photo(&record).await.unwrap().unwrap();
    assert_eq!((&photo.bytes[..], photo.media_type.as_str()), (&bytes[..], "image/jpeg"));
    // The picture host refuses under load: the account is not to blame.
    lab.server.fault(Match::method("GET"), Fault::Unauthorized);
    let error = lab.dav.photo(&record).await.unwrap_err();
    assert_eq!((error.retry, &error.scope), (Retry::Soon, &contactd::provider::Scope::Record(record.at.id.clone())));
    // A stranger's address gets no password, and nothing in the network behind us is asked at all.
    let mut foreign = record.clone();
    foreign.raw =
        Some(card("a", "Ann", "PHOTO;VALUE=uri:http://localhost:1/contacts/1234567890/ck/card/x\r\n").into_bytes());
    assert_eq!(lab.dav.photo(&foreign).await.unwrap_err().retry, Retry::Never);
    lab.device.set_photo(&name, None).unwrap();
    let without = lab.record(&name).await;
    assert_eq!(lab.dav.photo(&without).await.unwrap(), None);
    assert_eq!(lab.dav.photo(&record).await.unwrap(), None);
}

#[tokio::test]
async fn the_servers_wait_is_kept() {
    let lab = Lab::icloud().await;
    lab.dav.check().await.unwrap();
    let throttle = |status, retry_after| Fault::Throttle { status, retry_after };
    lab.server.fault(Match::default(), throttle(429, RetryAfter::Seconds(1)));
    assert!(lab.list().await.full);
    lab.server.fault(Match::default(), throttle(503, RetryAfter::Seconds(900)));
    let mark = lab.server.mark();
    for _ in 0..3 {
        let error = lab.dav.changes(&lab.book(), From::Start).await.unwrap_err();
        assert!(matches!(error.retry, Retry::At(_)), "{error:?}");
    }
    assert_eq!(lab.asked(mark, ""), 1);
}
