//! One person in several address books: Ann's at Google and at iCloud, and Bob's at Google.

use mock_providers::faults::{Fault, Faults, Match};
use serde_json::{Value, json};

use crate::lab::{ANN, BOB, ICLOUD, Lab, MINUTE, OTHER, USER, contact, nothing};

/// How many rounds of syncs all books may need until nothing moves any more.
const ROUNDS: usize = 4;
/// The smallest JPEG that is one.
const PICTURE: &[u8] =
    &[0xFF, 0xD8, 0xFF, 0xE0, 0, 16, b'J', b'F', b'I', b'F', 0, 1, 1, 0, 0, 1, 0, 1, 0, 0, 0xFF, 0xD9];

/// Syncs all of them until nothing moves, within the bound; then nothing is written anywhere.
fn settle(lab: &Lab, books: &[&str]) {
    for _ in 0..ROUNDS {
        let moved = books.iter().filter(|book| lab.refresh_of(book) != nothing()).count();
        if moved == 0 {
            let (google, icloud) = (lab.google.mark(), lab.icloud.mark());
            for book in books {
                assert_eq!(lab.refresh_of(book), nothing(), "{book}");
            }
            assert_eq!(lab.since(google).1, 0, "an echo goes round");
            assert_eq!(lab.icloud.ask(|journal| journal.writes(icloud)), 0, "an echo goes round");
            return;
        }
    }
    panic!("it has not settled in {ROUNDS} rounds");
}

fn only(people: Vec<Value>) -> Value {
    assert_eq!(people.len(), 1, "{people:?}");
    people.into_iter().next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_and_pictures_travel_between_google_and_icloud() {
    let lab = Lab::new().await;
    let (ann, device) = (lab.ann(), lab.device());
    let robin = ann.add(&contact("Robin", None)).unwrap();
    device.add(
        "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:robin\r\nN:Example;Robin;;;\r\nFN:Robin Example\r\n\
         EMAIL;type=INTERNET;type=WORK:robin@example.com\r\nEND:VCARD\r\n",
    );
    lab.connect(&[]);
    lab.connect_icloud();
    settle(&lab, &[ANN, ICLOUD]);
    only(lab.people());
    // From Google to iCloud.
    ann.edit(&robin, &json!({"phoneNumbers": [{"value": "+1 212 555 0105", "type": "mobile"}]})).unwrap();
    ann.set_photo(&robin, PICTURE).unwrap();
    settle(&lab, &[ANN, ICLOUD]);
    let card = device.text(&device.find("robin")[0]).unwrap();
    assert!(card.contains("555"), "{card}");
    assert!(card.contains("PHOTO"), "{card}");
    // And back.
    let name = device.find("robin").remove(0);
    device.replace(&name, "FN:Robin Example", "FN:Robin Example\r\nNICKNAME:Rob").unwrap();
    settle(&lab, &[ANN, ICLOUD]);
    assert_eq!(ann.person(&robin).unwrap()["nicknames"][0]["value"], "Rob");
    // A new one with a picture at iCloud arrives at Google with it.
    let picture = "PHOTO;ENCODING=b;TYPE=JPEG:/9j/4AAQSkZJRgABAQAAAQABAAD/2Q==";
    device.add(format!(
        "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:kim\r\nN:Example;Kim;;;\r\nFN:Kim Example\r\n{picture}\r\nEND:VCARD\r\n"
    ));
    settle(&lab, &[ICLOUD, ANN]);
    let kim = ann.people().into_iter().find(|person| person["names"][0]["givenName"] == "Kim").unwrap();
    assert!(ann.photo(kim["resourceName"].as_str().unwrap()).is_some(), "{kim}");
    assert_eq!((lab.people().len(), ann.len(), device.len()), (2, 2, 2));
    // Gone at one, gone everywhere: all of them are Ann's.
    ann.delete(&robin).unwrap();
    settle(&lab, &[ANN, ICLOUD]);
    assert_eq!((lab.people().len(), device.len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_person_in_the_books_of_two_users() {
    let lab = Lab::new().await;
    let (ann, bob) = (lab.ann(), lab.google.account(BOB).unwrap());
    let hers = ann.add(&contact("Robin", None)).unwrap();
    let his = bob.add(&contact("Robin", None)).unwrap();
    lab.connect(&["--visible-to", "company"]);
    lab.connect_of(BOB, OTHER, &["--visible-to", "company"]);
    settle(&lab, &[ANN, BOB]);
    only(lab.people());
    ann.edit(&hers, &json!({"nicknames": [{"value": "Rob"}]})).unwrap();
    settle(&lab, &[ANN, BOB]);
    assert_eq!(bob.person(&his).unwrap()["nicknames"][0]["value"], "Rob");
    bob.edit(&his, &json!({"organizations": [{"name": "Example Ltd", "title": "Baker"}]})).unwrap();
    settle(&lab, &[BOB, ANN]);
    assert_eq!(ann.person(&hers).unwrap()["organizations"][0]["title"], "Baker");
    // Both at once, on different fields: both stay.
    ann.edit(&hers, &json!({"biographies": [{"value": "likes tea", "contentType": "TEXT_PLAIN"}]})).unwrap();
    bob.edit(&his, &json!({"phoneNumbers": [{"value": "+1 212 555 0105", "type": "mobile"}]})).unwrap();
    settle(&lab, &[ANN, BOB]);
    for person in [ann.person(&hers).unwrap(), bob.person(&his).unwrap()] {
        assert_eq!(person["biographies"][0]["value"], "likes tea", "{person}");
        assert_eq!(person["phoneNumbers"][0]["value"], "+1 212 555 0105", "{person}");
    }
    // Nobody empties a colleague's phone.
    bob.delete(&his).unwrap();
    settle(&lab, &[BOB, ANN]);
    assert_eq!((lab.people().len(), ann.len(), bob.len()), (1, 1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_fails_after_its_contact_was_made_is_sent_again() {
    let says = Fault::Says {
        status: 403,
        name: "PERMISSION_DENIED".to_owned(),
        reason: None,
        message: "The caller does not have permission".to_owned(),
    };
    for fault in [Fault::HtmlStatus(502), Fault::CutBefore, Fault::CutAfter, says.clone()] {
        let lab = Lab::new().await;
        let (ann, device) = (lab.ann(), lab.device());
        let (uid, more) = ("kim", "PHOTO;ENCODING=b;TYPE=JPEG:/9j/4AAQSkZJRgABAQAAAQABAAD/2Q==\r\n");
        device.add(format!(
            "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{uid}\r\nN:Example;Kim;;;\r\nFN:Kim Example\r\n{more}END:VCARD\r\n"
        ));
        lab.connect_icloud();
        let before = device.text(&device.find("kim")[0]).unwrap();
        lab.google.faults(|faults| faults.times(20, Match::default().path("updateContactPhoto"), fault.clone()));
        let tally = lab.connect(&[]);
        assert_eq!((ann.len(), &tally["there"]["added"]), (1, &json!(1)), "{fault:?}");
        let name = ann.names().remove(0);
        if fault == says {
            assert_eq!(tally["failed"], 1, "{tally}");
            let why = lab.plain(&["why", &lab.person("Kim Example").0]).out;
            assert!(why.contains("Google does not let"), "{why}");
        }
        lab.google.faults(Faults::heal);
        for _ in 0..3 {
            lab.later(11 * MINUTE);
            lab.cli(&["refresh", ANN, "--wait"]);
        }
        assert!(ann.photo(&name).is_some(), "{fault:?}");
        settle(&lab, &[ANN, ICLOUD]);
        assert_eq!((ann.len(), lab.people().len()), (1, 1), "{fault:?}");
        assert_eq!(device.text(&device.find("kim")[0]).unwrap(), before, "{fault:?}: what it had, it has");
        assert_eq!(lab.cli(&["conflicts", "list"]).json(), json!([]), "{fault:?}");
        lab.assert_quiet();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_google_does_not_take_is_told_once_and_not_sent_again() {
    let lab = Lab::with(|settings| settings.writes.photo_bytes = 40).await;
    let (ann, device) = (lab.ann(), lab.device());
    lab.connect(&[]);
    lab.connect_icloud();
    let small = "PHOTO;ENCODING=b;TYPE=JPEG:/9j/4AAQSkZJRgABAQAAAQABAAD/2Q==";
    let large = format!("PHOTO;ENCODING=b;TYPE=JPEG:/9j/{}", "A".repeat(400));
    device.add(format!(
        "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:kim\r\nN:Example;Kim;;;\r\nFN:Kim Example\r\n{large}\r\nEND:VCARD\r\n"
    ));
    let told = |lab: &Lab, counted: Value| {
        lab.refresh_of(ICLOUD);
        let tally = lab.refresh();
        assert_eq!((&tally["there"], &tally["failed"]), (&counted, &json!(1)), "{tally}");
        let runs = lab.cli(&["runs", "list", ANN]).json();
        let shown = lab.plain(&["runs", "show", runs[0]["id"].as_str().unwrap()]).out;
        assert!(shown.contains("photo not taken: it is too large for Google"), "{shown}");
        settle(lab, &[ANN, ICLOUD]);
    };
    // The rest of the contact is there.
    told(&lab, json!({"added": 1, "updated": 0, "deleted": 0}));
    let kim = ann.people().into_iter().find(|person| person["names"][0]["givenName"] == "Kim").unwrap();
    let kim = kim["resourceName"].as_str().unwrap().to_owned();
    assert!(ann.photo(&kim).is_none());
    assert!(device.text(&device.find("kim")[0]).unwrap().contains("PHOTO"), "nor is it lost where it came from");
    let why = lab.plain(&["why", &lab.person("Kim Example").0]).out;
    assert!(why.contains("did not keep it"), "{why}");
    // Not again with the next edit, nor by a full listing.
    let mark = lab.google.mark();
    lab.edit("Kim Example", &["--note", "likes tea"]);
    assert_eq!(lab.refresh()["failed"], 0);
    ann.expire_tokens();
    lab.refresh();
    assert!(!lab.paths(mark).iter().any(|path| path.contains("updateContactPhoto")), "{:?}", lab.paths(mark));
    assert_eq!(ann.person(&kim).unwrap()["biographies"][0]["value"], "likes tea");
    // Another one is tried, and told; one that fits is taken.
    let name = device.find("kim").remove(0);
    let other = format!("PHOTO;ENCODING=b;TYPE=JPEG:/9j/{}", "B".repeat(400));
    let replace = |picture: &str| {
        // iCloud shows a picture by its address.
        let card = device.text(&name).unwrap();
        device.replace(&name, card.lines().find(|line| line.starts_with("PHOTO")).unwrap(), picture).unwrap();
    };
    replace(&other);
    told(&lab, json!({"added": 0, "updated": 0, "deleted": 0}));
    replace(small);
    settle(&lab, &[ICLOUD, ANN]);
    assert!(ann.photo(&kim).is_some());
    lab.assert_quiet();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_says_of_one_who_is_linked_that_and_nothing_else() {
    let lab = Lab::new().await;
    let ann = lab.ann();
    ann.add(&contact("Robin", None)).unwrap();
    let add = |given: &str| {
        let email = format!("work={}@example.com", given.to_lowercase());
        let person = ["people", "add", "--given", given, "--family", "Example", "--owner", USER, "--email", &email];
        lab.cli(&person).json();
    };
    add("Robin");
    lab.signs_in(ANN, USER, &[]).json();
    let ran = lab.cli(&["preview", ANN]);
    let preview = ran.json();
    assert_eq!((&preview["linked"], &preview["undecided"], ran.code), (&json!(1), &json!(0), 0), "{preview}");
    assert_eq!(preview["rows"].as_array().unwrap().len(), 1, "{preview}");
    // One who could really be either of two is said to be.
    add("Kim");
    for _ in 0..2 {
        ann.add(&contact("Kim", None)).unwrap();
    }
    let ran = lab.cli(&["preview", ANN]);
    let preview = ran.json();
    assert_eq!((&preview["linked"], &preview["undecided"], ran.code), (&json!(1), &json!(2), 3), "{preview}");
    lab.cli(&["account", "start", ANN, "--yes"]);
    assert_eq!((lab.people().len(), ann.len()), (2, 3), "as it was shown");
}
