//! The same seed gives the same people, and they are as varied as promised.

use std::collections::BTreeSet;

use super::{broken, jpeg, png, vcards};

fn text(seed: u64, n: usize) -> String {
    vcards(seed, n).map(|(_, card)| String::from_utf8_lossy(&card).into_owned()).collect()
}

/// The lines without folds.
fn lines(text: &str) -> Vec<String> {
    text.replace("\r\n ", "").lines().map(str::to_owned).collect()
}

#[test]
fn the_same_seed_gives_the_same_people() {
    assert!(vcards(7, 300).eq(vcards(7, 300)));
    assert!(!vcards(7, 3).eq(vcards(8, 3)));
    assert!(vcards(7, 300).zip(vcards(7, 100)).all(|(long, short)| long == short));
}

#[test]
fn every_card_is_one_that_icloud_takes() {
    let mut uids = BTreeSet::new();
    for (uid, card) in vcards(1, 3000) {
        let card = String::from_utf8_lossy(&card).into_owned();
        assert!(uids.insert(uid.clone()), "{uid} twice");
        assert!(card.starts_with("BEGIN:VCARD\r\nVERSION:3.0\r\n") && card.ends_with("END:VCARD\r\n"), "{card}");
        for want in ["\r\nN:", "\r\nFN:", "\r\nREV:"] {
            assert!(card.contains(want), "{want} in {card}");
        }
        assert!(card.contains(&format!("\r\nUID:{uid}\r\n")));
        assert!(card.split("\r\n").all(|line| line.len() <= 75 || line.contains('\u{fffd}')), "{card}");
    }
}

#[test]
fn they_are_varied() {
    let text = text(2, 3000);
    for want in [
        "ü",
        "山田",
        "محمد",
        "김",
        "X-ABShowAs:COMPANY",
        "X-ABLabel:_$!<Other>!$_",
        "X-APPLE-OMIT-YEAR=1604:1604-",
        "_$!<Anniversary>!$_",
        "X-ADDRESSBOOKSERVER-KIND:group",
        "TYPE=PNG",
        "TYPE=JPEG",
        "X-LOYALTY-TIER",
        "item9.X-CUSTOM",
        "555-01",
        "X-PHONETIC-FIRST-NAME",
        "email;TYPE=internet",
        "NICKNAME",
        "X-ABADR:de",
        "\\n",
        "🥜",
        "IMPP",
    ] {
        assert!(text.replace("\r\n ", "").contains(want), "no {want}");
    }
}

#[test]
fn nobody_can_be_reached() {
    for line in lines(&text(3, 3000)) {
        let Some((head, value)) = line.split_once(':') else { continue };
        let name = head.split(';').next().unwrap().rsplit('.').next().unwrap().to_uppercase();
        match name.as_str() {
            "EMAIL" => {
                let domain = value.split('@').nth(1).unwrap();
                assert!(domain.ends_with("example.com") || domain.ends_with("example.org"), "{line}");
            }
            "TEL" => {
                let digits: String = value.split(" ext").next().unwrap().chars().filter(char::is_ascii_digit).collect();
                let fictional = [
                    "55501", "79460", "7700900", "3023125", "3023125", "17139200", "19900", "63998", "3139006",
                    "701740",
                ];
                let digits = digits.replace("49030", "4930");
                assert!(fictional.iter().any(|range| digits.contains(range)), "{line}");
            }
            _ => {}
        }
    }
}

#[test]
fn groups_name_people_who_came_before() {
    let mut before = BTreeSet::new();
    let mut members = 0;
    for (uid, card) in vcards(4, 600) {
        for line in lines(&String::from_utf8_lossy(&card)) {
            if let Some(member) = line.strip_prefix("X-ADDRESSBOOKSERVER-MEMBER:urn:uuid:") {
                assert!(before.contains(member));
                members += 1;
            }
        }
        before.insert(uid);
    }
    assert!(members > 100);
}

#[test]
fn pictures_are_small_and_differ() {
    assert!(png(1).starts_with(b"\x89PNG") && png(1) != png(2) && png(1).len() < 1000);
    assert!(jpeg(1).starts_with(b"\xff\xd8") && jpeg(1).ends_with(b"\xff\xd9") && jpeg(1) != jpeg(2));
    // The checksum of an empty end chunk is known from every PNG.
    assert!(png(1).ends_with(b"IEND\xae\x42\x60\x82"));
}

#[test]
fn broken_cards_have_a_reason_each() {
    let cards = broken(5);
    let reasons: BTreeSet<&str> = cards.iter().map(|(reason, _)| *reason).collect();
    assert!(reasons.len() == cards.len() && cards.len() > 20);
    assert_eq!(cards, broken(5));
}
