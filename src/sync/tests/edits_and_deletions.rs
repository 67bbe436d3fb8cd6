//! Rule 6, as a table: an edit beats a deletion, on either side.

use super::rules::{check, one_way, trash};
use super::*;
use crate::card::field::{FieldValue, Value};
use crate::ids::ConflictId;
use crate::sync::plan::{About, Side, Waits};
use crate::sync::settings::Flow;
use crate::sync::view::Standing;

#[test]
fn rule_06_edit_beats_delete() {
    check(
        "edited here, gone there",
        |w| {
            w.card().note = Some("x".into());
            w.see(gone());
        },
        &["deleted", "conflict", "create remote"],
        None,
    );
    check(
        "edited there, trashed here",
        |w| {
            w.body().note = Some("x".into());
            trash(w, Some(BOB));
        },
        &["restore", "conflict", "rebase", "update local"],
        None,
    );
    check("not edited, gone there", |w| w.see(gone()), &["trash", "deleted"], None);
    // Linked by hand, and nothing agreed on yet.
    let by_hand = |edited| {
        move |w: &mut World| {
            w.subject.link.as_mut().unwrap().base = Base::default();
            w.subject.person.as_mut().unwrap().person.revision.0 += edited;
            w.see(gone());
        }
    };
    check("linked by hand, gone there", by_hand(0), &["deleted", "conflict", "create remote"], None);
    let one_way_by_hand = |w: &mut World| {
        by_hand(0)(w);
        one_way(w);
    };
    check("linked by hand one way, gone there", one_way_by_hand, &["unlinked"], None);
    check("linked by hand, edited here, gone there", by_hand(1), &["deleted", "conflict", "create remote"], None);
    // Both said something of a field when they met, nobody has answered yet, and the one that goes on was edited since.
    let disputed = |w: &mut World, here: &str, there: &str| {
        let note = |text: &str| FieldValue::One(Some(Value::Text(text.into())));
        let (about, stands) = (About::Field(Field::Note), Side::Undecided);
        let clash = Clash { about, ours: note("ours"), theirs: note("theirs"), stands, ours_at: None, theirs_at: None };
        w.subject.open = vec![Standing { id: ConflictId(Uuid::from_u128(1)), clash }];
        w.subject.link.as_mut().unwrap().base.mapped.remove(Field::Note);
        w.card().note = Some(here.into());
        w.body().note = Some(there.into());
    };
    for (here, steps) in [("ours", &["trash", "deleted"][..]), ("later", &["deleted", "conflict", "create remote"])] {
        let set = |w: &mut World| {
            disputed(w, here, "theirs");
            w.see(gone());
        };
        check("disputed, gone there", set, steps, None);
    }
    for (there, steps, waits) in [
        ("theirs", &["delete remote"][..], None),
        ("later", &["restore", "conflict", "moot", "conflict"], Some(Waits::Asked)),
    ] {
        let set = |w: &mut World| {
            disputed(w, "ours", there);
            trash(w, Some(BOB));
        };
        check("disputed, trashed here", set, steps, waits);
    }

    check("not edited, trashed here", |w| trash(w, Some(BOB)), &["delete remote"], None);
    check(
        "rewritten there, trashed here",
        |w| {
            w.body().given = Some("Ann ".into());
            trash(w, Some(BOB));
        },
        &["delete remote"],
        None,
    );
    check(
        "edited here in a field that isn't mapped",
        |w| {
            w.settings.mapping.0.insert(Field::Note, Flow::Off);
            w.card().note = Some("x".into());
            w.see(gone());
        },
        &["trash", "deleted"],
        None,
    );
    check(
        "edited there in a field that doesn't flow in",
        |w| {
            w.settings.mapping.0.insert(Field::Note, Flow::Out);
            w.body().note = Some("x".into());
            trash(w, Some(BOB));
        },
        &["delete remote"],
        None,
    );
    check(
        "restored after its record was deleted",
        |w| {
            w.subject.link.as_mut().unwrap().state = LinkState::Deleted;
            w.see(gone());
        },
        &["create remote"],
        None,
    );
    check(
        "the record is back",
        |w| {
            w.subject.link.as_mut().unwrap().state = LinkState::Deleted;
            trash(w, None);
        },
        &["live", "restore"],
        None,
    );
}
