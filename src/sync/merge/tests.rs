//! Elements: clashes, labels, marks, limits and what is refused, one case each.

use super::*;
use crate::card::{Item, Organization};

fn base(card: &Card) -> Base {
    Base::shared(card, FieldSet::all())
}

fn emails(list: &[(&str, &[&str])]) -> Card {
    let item = |(value, labels): &(&str, &[&str])| Item {
        value: (*value).to_owned(),
        labels: labels.iter().copied().collect(),
        preferred: false,
    };
    Card { emails: list.iter().map(item).collect(), ..Card::default() }
}

fn run(base: &Base, ours: &Card, theirs: &Card, side: Side, caps: &Capabilities) -> Merged {
    let winner = |_| Judged { side, ours_at: None, theirs_at: None };
    let all = FieldSet::all();
    let rules = Rules {
        incoming: all.and(caps.reads),
        outgoing: all.and(caps.writes),
        asked: FieldSet::NONE,
        caps,
        winner: &winner,
    };
    let merged = merge(base, ours, theirs, &rules);
    // A crash before the send: the same send, and nothing new.
    let again = merge(&merged.base, &merged.ours, theirs, &rules);
    if side != Side::Undecided {
        assert_eq!((again.take, again.clashes.len()), (FieldSet::NONE, 0));
    }
    assert_eq!((again.send, &again.theirs), (merged.send, &merged.theirs));
    merged
}

fn plain(base: &Base, ours: &Card, theirs: &Card, side: Side) -> Merged {
    run(base, ours, theirs, side, &Capabilities::everything())
}

#[test]
fn a_clash_over_labels_is_about_labels_only() {
    let card = |name: &str, label: &str| Card {
        nicknames: vec![Item::<String>::new(name).labelled(label)],
        ..Card::default()
    };
    let (was, ours, theirs) = (card("annie", "home"), card("annie", "work"), card("Annie", "school"));
    for (side, label) in [(Side::Ours, "work"), (Side::Theirs, "school")] {
        let merged = plain(&base(&was), &ours, &theirs, side);
        assert_eq!(merged.clashes.len(), 1);
        assert_eq!((&merged.ours, &merged.theirs), (&card("Annie", label), &card("Annie", label)));
    }
}

#[test]
fn added_on_both_sides_under_different_labels_is_one_element() {
    let (ours, theirs) = (emails(&[("a@x.org", &["home"])]), emails(&[("A@x.org", &["work"])]));
    for (side, label) in [(Side::Ours, "home"), (Side::Theirs, "work")] {
        let merged = plain(&base(&Card::default()), &ours, &theirs, side);
        assert_eq!(merged.clashes.len(), 1);
        assert_eq!(merged.ours, emails(&[("a@x.org", &[label])]));
        assert_eq!(merged.theirs, emails(&[("A@x.org", &[label])]));
    }
}

#[test]
fn whose_employer_stands_stands_on_both_sides() {
    let card = |company: &str, title: &str| Card {
        organizations: vec![Item::new(Organization {
            company: Some(company.into()),
            title: Some(title.into()),
            ..Organization::default()
        })],
        ..Card::default()
    };
    let (was, ours, theirs) = (card("Acme", "Clerk"), card("Acme", "Boss"), card("Beta", "Clerk"));
    for (side, stands) in [(Side::Ours, &ours), (Side::Theirs, &theirs)] {
        let merged = plain(&base(&was), &ours, &theirs, side);
        assert_eq!((&merged.ours, &merged.theirs, merged.clashes.len()), (stands, stands, 1));
    }
}

#[test]
fn what_waits_for_a_choice_flows_nowhere() {
    let was = emails(&[("a@x.org", &[]), ("b@x.org", &["work"])]);
    let ours = emails(&[("ours@x.org", &[]), ("b@x.org", &["work"])]);
    let theirs = emails(&[("theirs@x.org", &[]), ("b@x.org", &["work"]), ("new@x.org", &["home"])]);
    let merged = plain(&base(&was), &ours, &theirs, Side::Undecided);
    assert_eq!((&merged.ours, &merged.theirs), (&ours, &theirs));
    assert_eq!((merged.take, merged.send, merged.clashes.len()), (FieldSet::NONE, FieldSet::NONE, 1));
    assert_eq!(merged.base, base(&was));
}

#[test]
fn a_list_that_is_longer_than_it_should_be_is_not_cut() {
    let mut caps = Capabilities::everything();
    caps.most.insert(Field::Emails, 1);
    let card = emails(&[("a@x.org", &[]), ("b@x.org", &[])]);
    let merged = run(&base(&card), &card, &card, Side::Theirs, &caps);
    assert_eq!(merged.send, FieldSet::NONE);
    let more = emails(&[("a@x.org", &[]), ("b@x.org", &[]), ("c@x.org", &[])]);
    let merged = run(&base(&card), &more, &card, Side::Theirs, &caps);
    assert_eq!(merged.send, FieldSet::NONE);
    assert_eq!(merged.ours, more);
}

#[test]
fn labels_that_were_never_shown_are_kept() {
    let ours = emails(&[("a@x.org", &["home", "fax"])]);
    let shown = emails(&[("a@x.org", &["fax"])]);
    let agreed = Base { theirs: shown, ..base(&ours) };
    let merged = plain(&agreed, &ours, &emails(&[("a@x.org", &["pager"])]), Side::Theirs);
    assert_eq!(merged.ours, emails(&[("a@x.org", &["home", "pager"])]));
    let renamed = Base { theirs: emails(&[("a@x.org", &["cell"])]), ..base(&emails(&[("a@x.org", &["mobile"])])) };
    let merged =
        plain(&renamed, &emails(&[("a@x.org", &["mobile"])]), &emails(&[("a@x.org", &["work"])]), Side::Theirs);
    assert_eq!(merged.ours, emails(&[("a@x.org", &["work"])]));
}

#[test]
fn a_mark_that_only_they_have_is_taken_unless_we_have_marked_another() {
    let marked = |list: &[(&str, bool)]| Card {
        emails: list.iter().map(|(e, p)| Item { preferred: *p, ..Item::<String>::new(*e) }).collect(),
        ..Card::default()
    };
    let theirs = marked(&[("a@x.org", true), ("b@x.org", false)]);
    let merged = plain(&Base::default(), &marked(&[("a@x.org", false)]), &theirs, Side::Theirs);
    assert_eq!(merged.ours, theirs);
    let ours = marked(&[("a@x.org", false), ("b@x.org", true)]);
    let merged = plain(&Base::default(), &ours, &theirs, Side::Theirs);
    assert_eq!((&merged.ours, &merged.theirs), (&ours, &ours));
}

#[test]
fn a_field_that_is_taken_and_never_shown_is_sent_once() {
    let mut caps = Capabilities::everything();
    caps.reads = FieldSet::all().without([Field::Emails].into_iter().collect());
    let ours = emails(&[("a@x.org", &[]), ("b@x.org", &[])]);
    let merged = run(&Base::default(), &ours, &Card::default(), Side::Theirs, &caps);
    assert_eq!(merged.theirs, ours);
    let landed = crate::sync::echo::Landed {
        ours: &merged.ours,
        sent: &merged.theirs,
        before: None,
        mask: merged.send,
        pairs: &merged.pairs,
    };
    let agreed = crate::sync::echo::settle(&merged.base, &landed, &Card::default(), &caps);
    let merged = run(&agreed, &ours, &Card::default(), Side::Theirs, &caps);
    assert_eq!((merged.take, merged.send), (FieldSet::NONE, FieldSet::NONE));
    let fewer = emails(&[("b@x.org", &[])]);
    assert_eq!(run(&agreed, &fewer, &Card::default(), Side::Theirs, &caps).theirs, fewer);
}

#[test]
fn a_change_of_an_address_that_is_refused_does_not_come_back_as_a_second_one() {
    let (was, ours) = (emails(&[("a@x.org", &["home"])]), emails(&[("bad", &["home"])]));
    let caps = Capabilities::everything();
    let merged = plain(&base(&was), &ours, &was, Side::Theirs);
    let landed = crate::sync::echo::Landed {
        ours: &merged.ours,
        sent: &merged.theirs,
        before: Some(&was),
        mask: merged.send,
        pairs: &merged.pairs,
    };
    let agreed = crate::sync::echo::settle(&merged.base, &landed, &was, &caps);
    let merged = plain(&agreed, &ours, &was, Side::Theirs);
    assert_eq!((merged.take, merged.send), (FieldSet::NONE, FieldSet::NONE));
}

#[test]
fn a_provider_that_makes_one_of_two_removes_neither() {
    let was = emails(&[("a@x.org", &["home"]), ("a@x.org", &["work"])]);
    let ours = emails(&[("a@x.org", &["home"]), ("a@x.org", &["work"]), ("b@x.org", &[])]);
    let caps = Capabilities::everything();
    let merged = plain(&base(&was), &ours, &was, Side::Theirs);
    let landed = crate::sync::echo::Landed {
        ours: &merged.ours,
        sent: &merged.theirs,
        before: Some(&was),
        mask: merged.send,
        pairs: &merged.pairs,
    };
    let echo = emails(&[("a@x.org", &["home"]), ("b@x.org", &[])]);
    let agreed = crate::sync::echo::settle(&merged.base, &landed, &echo, &caps);
    let merged = plain(&agreed, &ours, &echo, Side::Theirs);
    assert_eq!((merged.take, merged.send), (FieldSet::NONE, FieldSet::NONE));
}

#[test]
fn what_only_went_along_is_new_once_the_field_comes_in() {
    let caps = Capabilities::everything();
    let (ours, theirs) = (emails(&[("a@x.org", &[])]), emails(&[("b@x.org", &[])]));
    let winner = |_| Judged { side: Side::Theirs, ours_at: None, theirs_at: None };
    let (incoming, outgoing) = (FieldSet::NONE, FieldSet::all());
    let rules = Rules { incoming, outgoing, asked: FieldSet::NONE, caps: &caps, winner: &winner };
    let none = Base::shared(&Card::default(), FieldSet::all());
    let merged = merge(&none, &ours, &theirs, &rules);
    let both = emails(&[("b@x.org", &[]), ("a@x.org", &[])]);
    assert_eq!((merged.take, &merged.theirs), (FieldSet::NONE, &both));
    let landed = crate::sync::echo::Landed {
        ours: &merged.ours,
        sent: &merged.theirs,
        before: Some(&theirs),
        mask: merged.send,
        pairs: &merged.pairs,
    };
    let agreed = crate::sync::echo::settle(&merged.base, &landed, &both, &caps);
    let again = merge(&agreed, &ours, &both, &rules);
    assert_eq!((again.take, again.send), (FieldSet::NONE, FieldSet::NONE));
    let merged = plain(&agreed, &ours, &both, Side::Theirs);
    assert_eq!((merged.ours.emails.len(), merged.send), (2, FieldSet::NONE));
}

#[test]
fn of_two_twins_the_one_that_is_shown_stays() {
    let twice = emails(&[("a@x.org", &[]), ("a@x.org", &[])]);
    let once = emails(&[("a@x.org", &[])]);
    let mut agreed = Base { theirs: once.clone(), ..base(&twice) };
    for shown in [0, 1] {
        agreed.pairs.set(Field::Emails, vec![(shown, 0)], [(1 - shown, Withheld::Refused)].into());
        let merged = plain(&agreed, &once, &once, Side::Theirs);
        assert_eq!((merged.take, merged.send), (FieldSet::NONE, FieldSet::NONE));
        assert_eq!(merged.base.pairs.both[&Field::Emails], [(0, 0)]);
    }
}
