//! Creating, changing and deleting cards, photos and groups: `icloud-carddav.md` 4, 5 and 6.4.

mod common;

use common::{Lab, card};
use mock_providers::book::Condition;
use mock_providers::carddav::settings::{EtagForm, Level, PutEtag};
use mock_providers::carddav::{Settings, device_name};
use mock_providers::journal::{Effect, Mark};
use mock_providers::people;

const UUID: &str = "6F9619FF-8B86-4D01-B42D-00CF4FC964FF";

/// A card with these lines between its UID and its end.
fn with(uid: &str, lines: &str) -> String {
    card(uid, "Robin").replace("END:VCARD", &format!("{lines}END:VCARD"))
}

fn plain(card: &str) -> String {
    card.replace("\r\n ", "")
}

#[tokio::test]
async fn a_create_happens_once() {
    let lab = Lab::icloud().await;
    let name = format!("{UUID}.vcf");
    assert_eq!(lab.create(&name, &card(UUID, "Robin")).await.status, 201);
    let again = lab.create(&name, &card(UUID, "Robin")).await;
    assert_eq!((again.status, again.body.as_str(), again.header("etag")), (412, "", ""));
    assert_eq!(lab.icloud.ask(|journal| (journal.creates(Mark::default()), journal.updates(Mark::default()))), (1, 0));
    let journal = lab.icloud.journal();
    let put = journal.asked(Mark::default(), "PUT").next().unwrap();
    assert_eq!((put.header("if-none-match"), put.status), (Some("*"), Some(201)));
    assert_eq!(put.effects, [Effect::Created(name)]);
    assert!(put.header("authorization").is_none() && put.user == lab.user && put.body_length > 100);
}

#[tokio::test]
async fn a_change_needs_the_concrete_etag() {
    let lab = Lab::icloud().await;
    lab.create("a.vcf", &card("a", "One")).await;
    let etag = lab.get("a.vcf").await.header("etag").to_owned();
    let put = async |value: &str, name: &str| lab.put(name, &[("if-match", value)], &card("a", "Two")).await.status;
    assert_eq!(put("*", "a.vcf").await, 412);
    assert_eq!(put(&format!("W/{etag}"), "a.vcf").await, 412);
    assert_eq!(put(etag.trim_matches('"'), "a.vcf").await, 412);
    assert_eq!(put(&etag, "b.vcf").await, 412);
    assert_eq!(put(&format!("\"x\", {etag}"), "a.vcf").await, 204);
    let newer = lab.get("a.vcf").await.header("etag").to_owned();
    // Base 36 of a millisecond stamp, growing.
    let stamp = |etag: &str| u64::from_str_radix(etag.trim_matches('"'), 36).unwrap();
    assert!(stamp(&newer) > stamp(&etag));
    assert_eq!(lab.delete("a.vcf", &[("if-match", &etag)]).await.status, 412);
    assert_eq!(lab.delete("a.vcf", &[("depth", "0")]).await.status, 400);
    assert_eq!(lab.delete("a.vcf", &[("if-match", &newer)]).await.status, 204);
    assert_eq!(lab.delete("a.vcf", &[]).await.status, 404);
    assert_eq!(lab.get("a.vcf").await.status, 404);
    assert_eq!(lab.delete("", &[]).await.status, 403);

    lab.icloud.settings(|settings| {
        settings.write.if_match_star_fails = false;
        settings.write.etag_on_412 = true;
    });
    lab.create("a.vcf", &card("a", "One")).await;
    assert_eq!(put("*", "a.vcf").await, 204);
    let stale = lab.put("a.vcf", &[("if-match", "\"x\"")], &card("a", "Two")).await;
    assert_eq!((stale.status, stale.header("etag")), (412, lab.device.etag("a.vcf").unwrap().as_str()));
    lab.icloud.settings(|settings| settings.write.heed_if_match = false);
    assert_eq!(put("\"x\"", "a.vcf").await, 204);
}

#[tokio::test]
async fn cards_that_icloud_refuses_get_403_and_nothing_more() {
    let lab = Lab::icloud().await;
    let good = card("a", "Robin");
    let long = "-//Example Corporation//A Product With Quite A Long Name 10.4\r\n  and so on//EN";
    for (why, bad) in [
        ("no N", good.replace("N:Robin;;;;\r\n", "")),
        ("no FN", good.replace("FN:Robin\r\n", "")),
        ("no UID", good.replace("UID:a\r\n", "")),
        ("version 4.0", good.replace("VERSION:3.0", "VERSION:4.0")),
        ("no version", good.replace("VERSION:3.0\r\n", "")),
        ("control characters", good.replace("FN:Robin", "FN:Ro\u{1}bin")),
        ("no card", "hello".to_owned()),
        ("no end", good.replace("END:VCARD\r\n", "")),
        ("two cards", format!("{good}{good}")),
        ("a line without colon", with("a", "NOTE\r\n")),
        ("folded PRODID", with("a", &format!("PRODID:{long}\r\n"))),
    ] {
        let got = lab.create("a.vcf", &bad).await;
        assert_eq!((got.status, got.body.as_str()), (403, ""), "{why}");
    }
    for name in ["a%20b.vcf", "a@b.vcf", "%C3%A4.vcf"] {
        assert_eq!(lab.create(name, &good).await.status, 403, "{name}");
    }
    assert_eq!(lab.icloud.ask(|journal| journal.writes(Mark::default())), 0);
    // An N of nothing but semicolons is enough, and so is an FN of nothing.
    let empty = good.replace("N:Robin;;;;", "N:;;;;").replace("FN:Robin", "FN:");
    assert_eq!(lab.create("a.vcf", &empty).await.status, 201);
}

#[tokio::test]
async fn what_is_too_big_is_refused() {
    let lab = Lab::icloud().await;
    let big = lab.create("a.vcf", &with("a", &format!("NOTE:{}\r\n", "x".repeat(270_000)))).await;
    assert_eq!((big.status, big.body.contains("max-resource-size")), (403, true));
    lab.icloud.settings(|settings| {
        settings.limits.too_big = 413;
        settings.limits.photo_bytes = 100;
        settings.limits.cards = 1;
    });
    let photo = people::photo_line(&people::png(1)) + "\r\n";
    assert_eq!(lab.create("a.vcf", &with("a", &photo)).await.status, 413);
    assert_eq!(lab.create("a.vcf", &card("a", "A")).await.status, 201);
    assert_eq!(lab.create("b.vcf", &card("b", "B")).await.status, 507);
    assert_eq!(lab.put("a.vcf", &[], &card("a", "Again")).await.status, 204);
    lab.icloud.settings(|settings| settings.limits.request_bytes = 1000);
    assert_eq!(lab.put("a.vcf", &[], &"x".repeat(1001)).await.status, 413);
}

#[tokio::test]
async fn uids_and_kinds_stay() {
    let lab = Lab::icloud().await;
    lab.create("a.vcf", &card("a", "A")).await;
    let other = lab.put("a.vcf", &[], &card("b", "A")).await;
    assert_eq!((other.status, other.body.contains("no-uid-conflict")), (403, true));
    let group = String::from_utf8(people::group("a", "A", [])).unwrap();
    assert_eq!(lab.put("a.vcf", &[], &group).await.status, 403);
    // Duplicates are stored unless the switch is on.
    assert_eq!(lab.create("copy.vcf", &card("a", "A")).await.status, 201);
    assert_eq!(lab.device.find("a"), ["a.vcf", "copy.vcf"]);
    lab.icloud.settings(|settings| settings.write.uid_conflict = Some(409));
    let clash = lab.create("third.vcf", &card("a", "A")).await;
    assert_eq!((clash.status, clash.body.contains("/1234567890/carddavhome/card/a.vcf</href>")), (409, true));
}

#[tokio::test]
async fn a_stored_card_is_not_what_was_sent() {
    let lab = Lab::icloud().await;
    let lines = "PRODID:-//Example//EN\r\nitem1.EMAIL:x@example.com\r\nX-LOYALTY;X-A=1:Gold\r\nREV:2001-01-01T00:00:00Z\r\n\
                 item1.X-ABLabel:_$!<Other>!$_\r\n";
    let sent = with("a", lines);
    let put = lab.create("a.vcf", &sent).await;
    assert_eq!(put.header("etag"), "");
    let stored = lab.get("a.vcf").await.body;
    assert!(stored.starts_with("BEGIN:VCARD\r\nVERSION:3.0\r\nPRODID:-//Apple Inc.//"));
    assert!(
        stored.contains("X-LOYALTY;X-A=1:Gold\r\n") && !stored.contains("2001-01-01") && stored.contains("REV:2026-")
    );
    assert!(stored.contains("item1.EMAIL:x@example.com\r\nitem1.X-ABLabel:_$!<Other>!$_\r\n"));
    assert!(stored.ends_with("UID:a\r\nEND:VCARD\r\n"));
    // Stored again, nothing moves but REV.
    lab.put("a.vcf", &[], &stored).await;
    let again = lab.get("a.vcf").await.body;
    let still =
        |card: &str| card.lines().filter(|line| !line.starts_with("REV")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(still(&again), still(&stored));
}

#[tokio::test]
async fn the_levels_of_rewriting_are_switches() {
    let lab = Lab::icloud().await;
    let set = |change: fn(&mut Settings)| lab.icloud.settings(change);
    let long = format!("NOTE:{}\r\nx-custom;x-p=1:kept\r\n", "ü ".repeat(60));
    let sent = with("a", &long);
    set(|settings| settings.rewrite.level = Level::Kept);
    assert!(lab.create("a.vcf", &sent).await.header("etag").starts_with('"'));
    assert_eq!(lab.get("a.vcf").await.body, sent);
    set(|settings| settings.rewrite.level = Level::Folded);
    assert_eq!(lab.put("a.vcf", &[], &sent).await.header("etag"), "");
    let folded = lab.get("a.vcf").await.body;
    assert!(folded != sent && plain(&folded) == sent && folded.lines().all(|line| line.len() <= 76));
    set(|settings| settings.rewrite.level = Level::Sorted);
    set(|settings| settings.write.etag = PutEtag::Always);
    assert!(lab.put("a.vcf", &[], &sent).await.header("etag").starts_with('"'));
    let sorted = lab.get("a.vcf").await.body;
    assert!(sorted.contains("X-CUSTOM;x-p=1:kept\r\n") && sorted.find("EMAIL").unwrap() < sorted.find("FN").unwrap());
    set(|settings| settings.rewrite.drop_unknown = true);
    lab.put("a.vcf", &[], &sent).await;
    assert!(!lab.get("a.vcf").await.body.contains("X-CUSTOM"));
}

#[tokio::test]
async fn photos_come_back_as_urls_on_a_third_origin() {
    let mut lab = Lab::icloud().await;
    let (first, second) = (people::jpeg(1), people::png(2));
    let photo = |bytes: &[u8]| with("a", &(people::photo_line(bytes) + "\r\n"));
    lab.create("a.vcf", &photo(&first)).await;
    let url_of = |card: &str| {
        let text = plain(card);
        let line = text.lines().find(|line| line.starts_with("PHOTO")).map(str::to_owned);
        line.and_then(|line| line.strip_prefix("PHOTO;VALUE=uri:").map(str::to_owned))
    };
    let stored = lab.get("a.vcf").await.body;
    let url = url_of(&stored).unwrap();
    assert!(url.starts_with(&format!("{}/contacts/1234567890/ck/card/", lab.icloud.photo_url())));
    assert!(!url.starts_with(&lab.icloud.partition_url()) && stored.lines().all(|line| line.len() <= 76));

    let response = lab.http.get(&url).basic_auth(&lab.user, Some(&lab.password)).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "image/jpeg");
    assert_eq!(response.bytes().await.unwrap(), first);
    assert_eq!(lab.http.get(&url).send().await.unwrap().status().as_u16(), 401);
    assert_eq!(lab.send("GET", &url.replace("1234567890", "7"), &[], "").await.status, 403);

    // The URL sent back keeps the photo; another photo has another URL; no photo, no URL.
    assert_eq!(lab.put("a.vcf", &[], &stored).await.status, 204);
    assert_eq!(url_of(&lab.get("a.vcf").await.body).as_ref(), Some(&url));
    assert_eq!(lab.device.photo("a.vcf").unwrap(), first);
    lab.put("a.vcf", &[], &photo(&second)).await;
    let newer = url_of(&lab.get("a.vcf").await.body).unwrap();
    assert_ne!(newer, url);
    assert_eq!(lab.send("GET", &url, &[], "").await.status, 404);
    assert_eq!(lab.send("GET", &newer, &[], "").await.header("content-type"), "image/png");
    lab.put("a.vcf", &[], &card("a", "A")).await;
    assert_eq!((url_of(&lab.get("a.vcf").await.body), lab.send("GET", &newer, &[], "").await.status), (None, 404));

    // A device's photo is a URL too.
    let name = lab.device.add(photo(&first).replace("UID:a", "UID:b"));
    assert!(url_of(&lab.get(&name).await.body).is_some());
    lab.device.set_photo(&name, Some(&second)).unwrap();
    assert_eq!(lab.device.photo(&name).unwrap(), second);
    lab.device.set_photo(&name, None).unwrap();
    assert!(lab.device.photo(&name).is_none());
    lab.device.set_photo(&name, Some(&first)).unwrap();
    let url = url_of(&lab.get(&name).await.body).unwrap();
    lab.device.delete(&name).unwrap();
    assert_eq!(lab.send("GET", &url, &[], "").await.status, 404);
    lab.password = "wrong".to_owned();
    assert_eq!(lab.send("GET", &newer, &[], "").await.status, 401);
}

#[tokio::test]
async fn a_device_names_cards_by_their_uid_and_makes_groups() {
    let lab = Lab::icloud().await;
    let name = lab.device.add(card(UUID, "Robin"));
    assert_eq!(name, device_name(UUID));
    let token = lab.current_token().await;
    let group = lab.device.add_group("7D3B1C55-2C4B-4C7C-9C3F-1A2B3C4D5E6F", "Board", &[UUID]);
    assert_eq!(lab.device.groups(), std::slice::from_ref(&group));
    let body = lab.get(&group).await.body;
    assert!(body.contains("\r\nN:Board\r\nFN:Board\r\nX-ADDRESSBOOKSERVER-KIND:group\r\n"));
    lab.device.set_members(&group, &[UUID, "nobody"]).unwrap();
    assert_eq!(lab.device.members(&group), [UUID, "nobody"]);
    // The member itself has not changed.
    let delta = lab.sync(&token).await.by_name();
    assert!(delta.contains_key(&group) && !delta.contains_key(&name));
    lab.device.delete(&name).unwrap();
    assert_eq!(lab.device.members(&group).len(), 2);
}

#[tokio::test]
async fn the_back_door_changes_what_the_front_door_shows() {
    let lab = Lab::icloud().await;
    let names = lab.device.seed(1, 100);
    assert_eq!((lab.device.len(), lab.listing().await.rows().len()), (100, 101));
    let token = lab.current_token().await;
    let etag = lab.device.etag(&names[0]).unwrap();
    lab.device.touch(&names[0]).unwrap();
    assert_ne!(lab.device.etag(&names[0]).unwrap(), etag);
    lab.device.rename(&names[1], "renamed.vcf").unwrap();
    assert_eq!(lab.device.delete_many(&names[2..12]), 10);
    let rows = lab.sync(&token).await.rows();
    assert_eq!(rows.iter().filter(|row| row.status == Some(404)).count(), 11);
    assert_eq!(rows.iter().filter(|row| row.status.is_none()).count(), 3);
    assert!(lab.device.delete("nobody").is_err() && lab.device.edit("nobody", "").is_err());
    assert_eq!(lab.icloud.ask(|journal| journal.writes(Mark::default())), 0);
}

#[tokio::test]
async fn broken_cards_of_devices_are_served_as_they_are() {
    let lab = Lab::icloud().await;
    let broken = people::broken(1);
    let names: Vec<String> = broken.iter().map(|(_, card)| lab.device.add(card)).collect();
    let hrefs: Vec<String> = names.iter().map(|name| format!("{}{name}", lab.device.book_path())).collect();
    // The answer stays well-formed XML, whatever is in it.
    let got = lab.multiget(hrefs.iter().map(String::as_str)).await;
    assert_eq!(got.rows().len(), broken.len());
    let control = |row: &common::Row| row.card().chars().any(|letter| letter < ' ' && !"\r\n\t".contains(letter));
    assert!(!got.rows().iter().any(control));
    lab.icloud.settings(|settings| settings.xml.raw_control = true);
    let raw = lab.multiget(hrefs.iter().map(String::as_str)).await;
    assert!(raw.body.contains('\u{1}'));
    for ((why, card), name) in broken.iter().zip(&names) {
        let stored = lab.device.book(|book| book.get(name).map(|entry| entry.content.clone())).unwrap();
        let has_photo = matches!(*why, "huge photo" | "doubled encoding");
        assert!(has_photo || stored == *card, "{why}");
    }
}

#[tokio::test]
async fn a_read_only_book_says_so() {
    let lab = Lab::icloud().await;
    lab.icloud.settings(|settings| settings.listing.read_only = true);
    let got = lab.create("a.vcf", &card("a", "A")).await;
    assert_eq!((got.status, got.body.contains("need-privileges")), (403, true));
    let row = lab.propfind(&lab.book(), "0", "<D:current-user-privilege-set/>").await.rows().remove(0);
    assert!(!row.props["current-user-privilege-set"].contains("write"));
}

#[tokio::test]
async fn other_servers_answer_otherwise() {
    let lab = Lab::start(Settings::generic()).await;
    let at = |name: &str| format!("{}/addressbooks/jane/contacts/{name}", lab.icloud.url());
    let put = lab.send("PUT", &at("a b.vcf"), &[("if-none-match", "*")], card("a", "A")).await;
    assert_eq!((put.status, put.header("etag")), (201, lab.device.etag("a b.vcf").unwrap().as_str()));
    lab.icloud.settings(|settings| {
        settings.write.rename_creates = true;
        settings.write.delete_multistatus = true;
    });
    let moved = lab.send("PUT", &at("mine.vcf"), &[("if-none-match", "*")], card("b", "B")).await;
    assert_eq!((moved.status, moved.header("location")), (201, "/addressbooks/jane/contacts/c1.vcf"));
    assert!(lab.device.card("mine.vcf").is_none());
    let gone = lab.send("DELETE", &at("c1.vcf"), &[], "").await;
    assert_eq!((gone.status, gone.body.contains("multistatus")), (200, true));
    // Rules of iCloud do not hold here.
    assert_eq!(lab.send("PUT", &at("x@y.vcf"), &[], card("c", "C").replace("N:C;;;;\r\n", "")).await.status, 201);
    assert!(lab.device.book(|book| book.clone()).put("x", "y", Condition::IfAbsent, 0).is_ok());
}

#[tokio::test]
async fn etags_have_other_forms() {
    let lab = Lab::start(Settings::generic()).await;
    let url = format!("{}/addressbooks/jane/contacts/a.vcf", lab.icloud.url());
    let put = async |etag: &str| lab.send("PUT", &url, &[("if-match", etag)], card("a", "A")).await.status;
    lab.send("PUT", &url, &[], card("a", "A")).await;
    let etag = async || lab.send("GET", &url, &[], "").await.header("etag").to_owned();
    // Equal bytes, equal etag.
    let first = etag().await;
    assert_eq!((put(&first).await, etag().await == first), (204, true));
    lab.icloud.settings(|settings| settings.xml.etags = EtagForm::Unquoted);
    assert_eq!(etag().await, first.trim_matches('"'));
    assert_eq!((put(&etag().await).await, put(&first).await), (204, 204));
    lab.icloud.settings(|settings| settings.xml.etags = EtagForm::Weak);
    assert_eq!(etag().await, format!("W/{first}"));
    assert_eq!((put(&etag().await).await, put(&first).await), (412, 412));
}

/// The lines of a card as bytes without folds, sorted, without what a server makes its own.
fn said(card: &[u8]) -> Vec<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = Vec::new();
    for line in card.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match (line.first(), lines.last_mut()) {
            (Some(b' '), Some(last)) => last.extend_from_slice(&line[1..]),
            _ => lines.push(line.to_vec()),
        }
    }
    let own = |line: &[u8]| [b"PRODID".as_slice(), b"REV", b"PHOTO"].iter().any(|name| line.starts_with(name));
    lines.retain(|line| !line.is_empty() && !own(line));
    lines.sort();
    lines
}

#[tokio::test]
async fn everybody_made_up_is_taken_and_loses_nothing() {
    let lab = Lab::icloud().await;
    for (at, (_, card)) in people::vcards(9, 400).enumerate() {
        let url = format!("{}p{at}.vcf", lab.book());
        let put = lab.send("PUT", &url, &[("if-none-match", "*")], card.clone()).await;
        assert_eq!(put.status, 201, "{}", String::from_utf8_lossy(&card));
        let stored = lab.device.card(&format!("p{at}.vcf")).unwrap();
        assert_eq!(said(&stored), said(&card), "{}", String::from_utf8_lossy(&stored));
        // The labels stand by what they label.
        let text = lab.device.text(&format!("p{at}.vcf")).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for (number, line) in
            lines.iter().enumerate().filter(|(_, line)| line.contains(".X-AB") && line.starts_with("item"))
        {
            let group = line.split('.').next().unwrap();
            assert!(
                lines[number - 1].starts_with(&format!("{group}."))
                    || line.contains("X-ABDATE")
                    || line.contains("RELATED"),
                "{text}"
            );
        }
    }
}
