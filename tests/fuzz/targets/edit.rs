//! Editing a stored card, whatever it is (rule 4): the field that was edited reads as wanted, the others as before, and a
//! line that nobody understands stays.
#![no_main]

use contactd::card::field::{Field, FieldSet};
use contactd::provider::carddav::convert::{Read, read};
use contactd::provider::carddav::edit::edit;
use libfuzzer_sys::fuzz_target;

/// Lines as they are meant: folds undone, and the soft breaks of quoted-printable.
fn unfolded(raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(raw).replace("\r\n", "\n").replace("\n ", "").replace("\n\t", "");
    let is_quoted = |part: &str| {
        part.eq_ignore_ascii_case("QUOTED-PRINTABLE") || part.eq_ignore_ascii_case("ENCODING=QUOTED-PRINTABLE")
    };
    let goes_on =
        |line: &str| line.ends_with('=') && line.split(':').next().is_some_and(|head| head.split(';').any(is_quoted));
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        match lines.last_mut() {
            Some(last) if goes_on(last) => {
                last.pop();
                last.push_str(line);
            }
            _ => lines.push(line.to_owned()),
        }
    }
    lines.join("\n")
}

fuzz_target!(|raw: &[u8]| {
    let Read::Contact(before) = read(raw) else { return };
    let all = FieldSet::all().without([Field::Photo].into_iter().collect());
    // Nothing asked for is nothing done, but for line ends.
    let same = edit(raw, &before.card, all, None, None).expect("a contact can be edited");
    let Read::Contact(kept) = read(&same) else { panic!("no contact any more") };
    assert_eq!(kept.card, before.card);
    // Another note, and nothing else.
    let mut wanted = before.card.clone();
    wanted.note = Some("call back".to_owned());
    let note = [Field::Note].into_iter().collect();
    let edited = edit(raw, &wanted, note, None, None).expect("a contact can be edited");
    let Read::Contact(after) = read(&edited) else { panic!("no contact any more") };
    assert_eq!(after.card.note.as_deref(), Some("call back"));
    for field in Field::ALL.iter().filter(|f| **f != Field::Note) {
        assert_eq!(after.card.get(*field), before.card.get(*field), "{}", field.name());
    }
    let text = unfolded(&edited);
    for line in unfolded(&same).lines().filter(|line| line.starts_with("X-KEEP")) {
        assert!(text.contains(line), "{line:?} is gone");
    }
});
