//! Golden files: what an address book's bytes mean, as JSON beside them. `tests/golden/carddav/<case>.in.vcf` is a stored
//! card, `<case>.out.json` what is read from it. `tests/golden/google/<case>.in.json` is a person as Google tells it, with
//! `<case>.create.json` as it would be created. `UPDATE_GOLDEN=1 cargo test --test convert` writes them anew.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a golden file that can't be read is a failed test")]

use std::fs;
use std::path::Path;

use contactd::card::field::FieldSet;
use contactd::provider::carddav::convert::{Read, Version, read, write_new};
use contactd::provider::carddav::edit::edit;
use contactd::provider::google::convert as google;
use contactd::provider::google::edit::{create, update};
use contactd::sync::view::Seen;
use serde_json::{Value, json};

fn seen(raw: &[u8]) -> Value {
    match read(raw) {
        Read::Contact(contact) => json!({
            "contact": contact.card,
            "uid": contact.uid,
            "categories": contact.categories,
            "photo": contact.photo.map(|blob| json!({ "media_type": blob.media_type, "bytes": blob.bytes.len() })),
            "photo_url": contact.photo_url,
        }),
        Read::Group(group) => json!({ "group": group.name, "uid": group.uid, "members": group.members }),
        Read::Opaque(why) => json!({ "opaque": why }),
    }
}

#[test]
fn stored_cards_mean_what_stands_beside_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/carddav");
    let mut cases = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let Some(case) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".in.vcf")) else { continue };
        let raw = fs::read(&path).unwrap();
        let seen = seen(&raw);
        let golden = folder.join(format!("{case}.out.json"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&golden, serde_json::to_string_pretty(&seen).unwrap() + "\n").unwrap();
        }
        let expected: Value = serde_json::from_slice(&fs::read(&golden).unwrap()).unwrap();
        assert_eq!(seen, expected, "{case}");
        cases += 1;

        // Whatever it is: an edit of nothing keeps it, and what was read can be written anew and is read the same.
        if let Read::Contact(contact) = read(&raw) {
            let kept = edit(&raw, &contact.card, FieldSet::all(), None, None).unwrap();
            assert!(kept.starts_with(&crlf(&raw)), "{case}: {}", String::from_utf8_lossy(&kept));
            for version in [Version::V3, Version::V4] {
                let Read::Contact(again) = read(&write_new(&contact.card, "u", contact.photo.as_ref(), version)) else {
                    panic!("{case}")
                };
                let mut card = contact.card.clone();
                if contact.photo.is_none() {
                    card.photo = None;
                }
                assert_eq!(json!(again.card), json!(card), "{case} {version:?}");
            }
        }
    }
    assert!(cases >= 9, "only {cases} cases found");
}

fn crlf(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for byte in raw {
        if *byte == b'\n' && out.last() != Some(&b'\r') {
            out.push(b'\r');
        }
        out.push(*byte);
    }
    out
}

fn observed(person: &Value) -> Value {
    let Some(seen) = google::observe(person, &"people/me".into()) else { return json!("nobody") };
    match seen {
        Seen::Present(record) => json!({
            "id": record.at.id,
            "etag": record.at.etag,
            "card": record.body,
            "groups": record.groups,
            "modified": record.modified.map(|time| time.to_string()),
            "token": record.token,
            "uid": record.uid,
            "formerly": record.formerly,
        }),
        Seen::Gone(id) => json!({ "gone": id }),
        Seen::Unreadable(at, why) => json!({ "unreadable": at.id, "why": why }),
        other => panic!("{other:?}"),
    }
}

#[test]
fn people_at_google_mean_what_stands_beside_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/google");
    let mut cases = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let Some(case) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".in.json")) else { continue };
        let person: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        golden(&folder.join(format!("{case}.out.json")), &observed(&person), case);
        cases += 1;

        let Some(Seen::Present(record)) = google::observe(&person, &"people/me".into()) else { continue };
        let raw: Value = serde_json::from_slice(&record.raw.unwrap()).unwrap();
        // An edit of nothing sends nothing, and what was read can be written anew and is read the same.
        let lists = update(&raw, &record.body, FieldSet::all());
        assert!(lists.is_empty(), "{case}: {lists:?}");
        let token = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff".parse().unwrap();
        let created = create(&record.body, token, &record.groups);
        golden(&folder.join(format!("{case}.create.json")), &created, case);
        let mut again = google::card_of(&google::strip(&created));
        // Google makes the name as shown, and keeps pictures elsewhere.
        again.display.clone_from(&record.body.display);
        again.photo.clone_from(&record.body.photo);
        assert_eq!(json!(again), json!(record.body), "{case}");
    }
    assert!(cases >= 5, "only {cases} cases found");
}

fn golden(file: &Path, shown: &Value, case: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(file, serde_json::to_string_pretty(shown).unwrap() + "\n").unwrap();
    }
    let expected: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    assert_eq!(*shown, expected, "{case}");
}
