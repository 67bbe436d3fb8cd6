//! What a book promises, one promise a test.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::{Book, Change, Condition, CursorError, EtagStyle, Lag, Refused};
use crate::people::Dice;

fn ids(book: &Book) -> Vec<String> {
    book.list_all().map(|entry| entry.id.clone()).collect()
}

fn filled(n: u64) -> Book {
    let mut book = Book::default();
    for i in 0..n {
        book.put(&format!("c{i:03}"), format!("card {i}"), Condition::IfAbsent, 1000 + i).unwrap();
    }
    book
}

fn since(book: &Book, from: super::Cursor) -> Vec<String> {
    let changes = book.changes(from, usize::MAX).unwrap().changes;
    let row = |change: &Change<'_>| match change {
        Change::Upsert(entry) => format!("+{}", entry.id),
        Change::Delete(gone) => format!("-{}", gone.id),
    };
    changes.iter().map(row).collect()
}

#[test]
fn preconditions() {
    let mut book = filled(1);
    let etag = book.get("c000").unwrap().etag.clone();
    let refused = book.put("c000", "x", Condition::IfAbsent, 2000);
    assert_eq!(refused, Err(Refused::Exists { etag: etag.clone() }));
    assert_eq!(book.put("new", "x", Condition::IfMatch(&etag), 2000), Err(Refused::Missing));
    assert_eq!(book.put("c000", "x", Condition::IfMatch("no"), 2000), Err(Refused::Stale { current: etag.clone() }));
    assert_eq!(book.get("c000").unwrap().content, "card 0");
    let written = book.put("c000", "x", Condition::IfMatch(&etag), 2000).unwrap();
    assert!(!written.created);
    assert_eq!(book.delete("c000", Condition::IfMatch(&etag), 2000), Err(Refused::Stale { current: written.etag }));
    assert!(book.delete("c000", Condition::None, 2000).is_ok());
    assert_eq!(book.delete("c000", Condition::None, 2000), Err(Refused::Missing));
}

#[test]
fn etags_grow_even_when_time_stands_still() {
    let mut book = Book::default();
    let one = book.put("a", "1", Condition::None, 1_708_862_724_967).unwrap().etag;
    let two = book.put("a", "2", Condition::None, 1_708_862_724_967).unwrap().etag;
    let three = book.put("a", "3", Condition::None, 5).unwrap().etag;
    assert_eq!(one, "lt1gqtev");
    assert_eq!(two, "lt1gqtew");
    assert_eq!(three, "lt1gqtex");
}

#[test]
fn content_etags_are_equal_for_equal_bytes() {
    let mut book = Book::new(EtagStyle::Content);
    let one = book.put("a", "same", Condition::None, 1).unwrap().etag;
    assert_eq!(book.put("b", "same", Condition::None, 2).unwrap().etag, one);
    assert_ne!(book.put("a", "other", Condition::None, 3).unwrap().etag, one);
}

#[test]
fn listing_in_pages() {
    let mut book = filled(5);
    let first = book.list(None, 2);
    assert_eq!(first.next.as_deref(), Some("c001"));
    book.delete("c001", Condition::None, 2000).unwrap();
    let second = book.list(Some("c001"), 2);
    assert_eq!(second.entries.iter().map(|entry| entry.id.as_str()).collect::<Vec<_>>(), ["c002", "c003"]);
    let last = book.list(second.next.as_deref(), 2);
    assert_eq!((last.entries.len(), last.next), (1, None));
}

#[test]
fn changes_name_each_id_once_with_its_newest_state() {
    let mut book = filled(3);
    let start = book.cursor();
    assert!(since(&book, start).is_empty());
    book.put("c000", "x", Condition::None, 2000).unwrap();
    book.put("c000", "y", Condition::None, 2001).unwrap();
    book.delete("c001", Condition::None, 2002).unwrap();
    book.put("new", "z", Condition::None, 2003).unwrap();
    book.put("short", "z", Condition::None, 2004).unwrap();
    book.delete("short", Condition::None, 2005).unwrap();
    assert_eq!(since(&book, start), ["+c000", "-c001", "+new", "-short"]);
    book.put("c001", "again", Condition::IfAbsent, 2006).unwrap();
    assert_eq!(since(&book, start), ["+c000", "+new", "-short", "+c001"]);
}

#[test]
fn changes_in_pages_miss_nothing_that_happens_between_them() {
    let mut book = filled(5);
    let mut cursor = book.beginning();
    let mut seen = BTreeSet::new();
    for round in 0.. {
        let page = book.changes(cursor, 2).unwrap();
        seen.extend(page.changes.iter().map(|change| change.id().to_owned()));
        cursor = page.cursor;
        if !page.more {
            break;
        }
        book.put(&format!("between{round}"), "x", Condition::None, 3000).unwrap();
        assert!(round < 10);
    }
    assert_eq!(seen.len(), book.len());
}

#[test]
fn refused_cursors_say_why() {
    let mut book = filled(3);
    let old = book.cursor();
    let snapshot = book.snapshot();
    book.put("x", "x", Condition::None, 2000).unwrap();
    let newer = book.cursor();
    book.restore(&snapshot);
    assert_eq!(book.changes(newer, 9), Err(CursorError::Future));
    book.expire_cursors();
    assert_eq!(book.changes(old, 9), Err(CursorError::Expired));
    let never = super::Cursor { generation: 7, revision: 1 };
    assert_eq!(book.changes(never, 9), Err(CursorError::Unknown));
    assert!(book.changes(book.cursor(), 9).is_ok());
}

#[test]
fn forgotten_tombstones_expire_only_older_cursors() {
    let mut book = filled(3);
    let old = book.cursor();
    book.delete("c000", Condition::None, 2000).unwrap();
    let newer = book.cursor();
    book.forget_before(newer.revision);
    assert_eq!(book.changes(old, 9), Err(CursorError::Expired));
    assert!(since(&book, newer).is_empty());
    assert!(book.tombstone("c000").is_none());
}

#[test]
fn a_restored_book_does_not_repeat_etags() {
    let mut book = filled(1);
    let snapshot = book.snapshot();
    let lost = book.put("c000", "lost", Condition::None, 1000).unwrap();
    book.restore(&snapshot);
    assert_eq!(book.get("c000").unwrap().content, "card 0");
    let written = book.put("c000", "other", Condition::None, 1000).unwrap();
    assert_ne!(written.etag, lost.etag);
    assert_eq!(written.revision, lost.revision);
}

#[test]
fn renaming_keeps_content_and_can_be_followed() {
    let mut book = filled(2);
    let start = book.cursor();
    book.set_groups("c000", BTreeSet::from(["friends".to_owned()]), 2000).unwrap();
    book.rename("c000", "moved", true, 2001).unwrap();
    assert_eq!(book.rename("c001", "moved", true, 2001).unwrap_err().to_string()[..8], *"an entry");
    let entry = book.resolve("c000").unwrap();
    assert_eq!((entry.id.as_str(), &entry.content[..]), ("moved", b"card 0".as_slice()));
    assert!(entry.groups.contains("friends"));
    assert_eq!(since(&book, start), ["-c000", "+moved"]);
    book.delete("moved", Condition::None, 2002).unwrap();
    assert!(book.resolve("c000").is_none());
}

#[test]
fn marks_are_found_and_follow_their_entry() {
    let mut book = filled(1);
    let mark = |entry: &mut super::Entry| {
        entry.marks.insert("token".to_owned(), "t1".to_owned());
    };
    book.put_with("made", "x", Condition::IfAbsent, 2000, mark).unwrap();
    book.put("made", "y", Condition::None, 2001).unwrap();
    book.rename("made", "made2", false, 2002).unwrap();
    assert_eq!(book.find_mark("token", "t1").map(|entry| entry.id.as_str()).collect::<Vec<_>>(), ["made2"]);
    book.edit("made2", Condition::None, 2003, |entry| entry.marks.clear()).unwrap();
    assert_eq!(book.find_mark("token", "t1").count(), 0);
}

#[test]
fn removing_a_group_changes_its_members() {
    let mut book = filled(2);
    book.define_group("g", "Friends");
    book.set_groups("c001", BTreeSet::from(["g".to_owned()]), 2000).unwrap();
    let start = book.cursor();
    assert_eq!(book.remove_group("g", 2001), 1);
    assert_eq!(since(&book, start), ["+c001"]);
    assert!(book.groups().is_empty());
}

#[test]
fn groups_can_be_set_without_a_change() {
    let mut book = filled(2);
    let (start, etag) = (book.cursor(), book.get("c001").unwrap().etag.clone());
    assert!(book.set_groups_silently("c001", BTreeSet::from(["g".to_owned()])));
    assert!(!book.set_groups_silently("c009", BTreeSet::new()));
    assert!(since(&book, start).is_empty());
    let entry = book.get("c001").unwrap();
    assert_eq!((entry.groups.contains("g"), &entry.etag), (true, &etag));
}

#[test]
fn reads_lag_by_operations() {
    let mut book = filled(2);
    let start = book.cursor();
    book.set_lag(Lag::Operations(2));
    book.put("c000", "new text", Condition::None, 2000).unwrap();
    book.delete("c001", Condition::None, 2000).unwrap();
    let shown: Vec<&[u8]> = book.list_all().map(|entry| &entry.content[..]).collect();
    assert_eq!(shown, [b"card 0".as_slice(), b"card 1"]);
    assert_eq!(book.get("c000").unwrap().content, "new text");
    assert_eq!(book.cursor(), start);
    assert!(since(&book, start).is_empty());
    book.tick(2001);
    assert_eq!(since(&book, start), ["+c000"]);
    assert_eq!(ids(&book), ["c000", "c001"]);
    book.tick(2001);
    assert_eq!(since(&book, start), ["+c000", "-c001"]);
    assert_eq!(ids(&book), ["c000"]);
}

#[test]
fn reads_lag_by_time_and_show_each_step() {
    let mut book = Book::default();
    book.set_lag(Lag::Millis(100));
    book.put("a", "one", Condition::None, 1000).unwrap();
    book.put("a", "two", Condition::None, 1060).unwrap();
    assert!(ids(&book).is_empty());
    book.tick(1100);
    assert_eq!(book.list_all().next().unwrap().content, "one");
    book.tick(1160);
    assert_eq!(book.list_all().next().unwrap().content, "two");
    book.set_lag(Lag::Forever);
    book.delete("a", Condition::None, 1170).unwrap();
    book.tick(1_000_000);
    assert_eq!(ids(&book), ["a"]);
    book.set_lag(Lag::None);
    assert!(ids(&book).is_empty());
}

#[test]
fn many_deletions_at_once() {
    let mut book = filled(10);
    let start = book.cursor();
    assert_eq!(book.delete_many(["c001", "c002", "nobody", "c002"], 2000), 2);
    assert_eq!(book.len(), 8);
    assert_eq!(since(&book, start).len(), 2);
}

#[test]
fn equal_calls_make_equal_books() {
    let (mut one, mut two) = (filled(20), filled(20));
    assert_eq!(one, two);
    assert_eq!(one.mint("people/c"), two.mint("people/c"));
    one.touch("c003", 5000).unwrap();
    assert_ne!(one, two);
    two.touch("c003", 5000).unwrap();
    assert_eq!(one, two);
}

/// A client that knows a book only by listings and changes.
#[derive(Default)]
struct Reader {
    known: BTreeMap<String, Bytes>,
    cursor: Option<super::Cursor>,
}

impl Reader {
    /// Follows a page of changes, or lists everything when there is no good cursor. Says whether there is more.
    fn read(&mut self, book: &Book, limit: usize) -> bool {
        let page = self.cursor.map(|cursor| book.changes(cursor, limit));
        let Some(Ok(page)) = page else {
            self.cursor = Some(book.cursor());
            self.known.clear();
            let mut token = None;
            loop {
                let listing = book.list(token.as_deref(), limit);
                self.known.extend(listing.entries.iter().map(|entry| (entry.id.clone(), entry.content.clone())));
                token = listing.next;
                if token.is_none() {
                    return true;
                }
            }
        };
        for change in page.changes {
            match change {
                Change::Upsert(entry) => self.known.insert(entry.id.clone(), entry.content.clone()),
                Change::Delete(gone) => self.known.remove(&gone.id),
            };
        }
        self.cursor = Some(page.cursor);
        page.more
    }
}

/// One random operation.
fn disturb(book: &mut Book, dice: &mut Dice, now: u64) {
    let id = format!("c{}", dice.below(12));
    let other = format!("c{}", dice.below(12));
    // Refusals are part of it.
    match dice.below(20) {
        0..8 => drop(book.put(&id, format!("{now}"), Condition::None, now)),
        8 => drop(book.put(&id, format!("{now}"), Condition::IfAbsent, now)),
        9..13 => drop(book.delete(&id, Condition::None, now)),
        13 => drop(book.rename(&id, &other, true, now)),
        14 => drop(book.edit(&id, Condition::None, now, |entry| {
            entry.marks.insert("token".to_owned(), format!("t{}", now % 3));
        })),
        15 => drop(book.touch(&id, now)),
        16 => book.set_lag(Lag::Operations(dice.below(4) as u64)),
        17 => book.set_lag(Lag::Millis(dice.below(30) as u64)),
        18 if dice.chance(20) => book.expire_cursors(),
        18 if dice.chance(30) => book.forget_before(book.revision() / 2),
        _ => book.tick(now),
    }
}

#[test]
fn whoever_follows_the_changes_knows_the_book() {
    for seed in 0..400 {
        let mut dice = Dice::new(seed);
        let (mut book, mut reader) = (Book::default(), Reader::default());
        let mut kept = book.snapshot();
        for now in 1000..1120 {
            disturb(&mut book, &mut dice, now);
            if dice.chance(30) {
                reader.read(&book, 1 + dice.below(4));
            }
            match dice.below(60) {
                0 => kept = book.snapshot(),
                // A cursor taken after the snapshot may come to life again when the book has grown as far: as on a real
                // server, only a reader that was refused meanwhile is safe.
                1 => {
                    book.restore(&kept);
                    reader.cursor = None;
                }
                _ => {}
            }
        }
        book.set_lag(Lag::None);
        while reader.read(&book, 3) {}
        let stored: BTreeMap<String, Bytes> = book.entries().map(|one| (one.id.clone(), one.content.clone())).collect();
        assert_eq!(reader.known, stored, "seed {seed}");
        assert_eq!(ids(&book), stored.keys().cloned().collect::<Vec<_>>(), "seed {seed}");
        let marked = |value: &str| book.find_mark("token", value).map(|one| one.id.clone()).collect::<Vec<_>>();
        for value in ["t0", "t1", "t2"] {
            let scanned = book.entries().filter(|one| one.marks.get("token").is_some_and(|mark| mark == value));
            assert_eq!(marked(value), scanned.map(|one| one.id.clone()).collect::<Vec<_>>(), "seed {seed}");
        }
        assert!(book.entries().flat_map(|one| &one.former).all(|former| book.resolve(former).is_some()), "seed {seed}");
        assert_eq!(book.log.len(), book.entries.len() + book.tombstones.len(), "seed {seed}");
    }
}
