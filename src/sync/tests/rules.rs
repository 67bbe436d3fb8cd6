//! One table per rule.

use super::*;
use crate::ids::ConflictId;
use crate::sync::plan::{About, Deletion, Side, Waits};
use crate::sync::settings::{ConflictPolicy, DeletePolicy, Direction, Flow, Mapping, OnLeave, Push};
use crate::sync::view::{Answer, Standing};

fn with_note(note: &str) -> Card {
    Card { note: Some(note.into()), ..named("Ann") }
}

fn kinds(decision: &Decision) -> Vec<&'static str> {
    let kind = |step: &Step| match step {
        Step::CreateLocal { .. } => "create local",
        Step::Match(_) => "match",
        Step::UpdateLocal { .. } => "update local",
        Step::TrashLocal => "trash",
        Step::RestoreLocal => "restore",
        Step::CreateRemote(_) => "create remote",
        Step::UpdateRemote(_) => "update remote",
        Step::DeleteRemote => "delete remote",
        Step::Rebase(_) => "rebase",
        Step::State(LinkState::Live) => "live",
        Step::State(LinkState::Left) => "left",
        Step::State(LinkState::Unlinked) => "unlinked",
        Step::State(LinkState::Frozen) => "frozen",
        Step::State(LinkState::Deleted) => "deleted",
        Step::State(_) => "other",
        Step::Conflict(_) => "conflict",
        Step::AskDeletion(Deletion::Local) => "ask local",
        Step::AskDeletion(Deletion::Remote) => "ask remote",
        Step::Tag => "tag",
        Step::Moot(_) => "moot",
        Step::Forget => "forget",
    };
    decision.steps.iter().map(kind).collect()
}

/// A linked pair, changed by `set`, comes to these steps and this reason.
pub(super) fn check(name: &str, set: impl FnOnce(&mut World), steps: &[&str], waits: Option<Waits>) {
    let mut world = World::new(agreed(&named("Ann")));
    set(&mut world);
    let decision = world.decide();
    assert_eq!(kinds(&decision), steps, "{name}");
    assert_eq!(decision.waits, waits, "{name}");
    world.run();
}

pub(super) fn trash(world: &mut World, by: Option<UserId>) {
    world.subject.person.as_mut().unwrap().person.state = trashed(by);
}

pub(super) fn one_way(world: &mut World) {
    world.settings.direction = Direction::OneWay;
}

#[test]
fn rule_05_a_conflict_goes_by_the_policy_and_the_loser_is_kept() {
    let cases = [
        // policy, ours at, theirs at, who stands
        (ConflictPolicy::Provider, Some(2), Some(1), Side::Theirs),
        (ConflictPolicy::Crm, Some(1), Some(2), Side::Ours),
        (ConflictPolicy::Latest, Some(2), Some(1), Side::Ours),
        (ConflictPolicy::Latest, Some(1), Some(2), Side::Theirs),
        (ConflictPolicy::Latest, Some(1), Some(1), Side::Theirs),
        (ConflictPolicy::Latest, None, Some(1), Side::Theirs),
        (ConflictPolicy::Latest, Some(1), None, Side::Theirs),
        (ConflictPolicy::Latest, None, None, Side::Theirs),
        (ConflictPolicy::Ask, Some(1), Some(2), Side::Undecided),
    ];
    for (policy, ours_at, theirs_at, stands) in cases {
        let mut world = World::new(agreed(&with_note("base")));
        world.settings.conflicts = policy;
        world.card().note = Some("ours".into());
        world.body().note = Some("theirs".into());
        world.card().family = Some("Lee".into());
        let times = |at: Option<i64>| at.map(|at| (Field::Note, Timestamp(at))).into_iter().collect();
        world.subject.person.as_mut().unwrap().person.times = times(ours_at);
        world.subject.seen.as_mut().unwrap().times = times(theirs_at);
        let before = world.subject.link.as_ref().unwrap().base.clone();
        let decision = world.decide();
        world.apply(&decision, true);
        let clash = world.conflicts.first().cloned().unwrap();
        assert_eq!((clash.stands, clash.about), (stands, About::Field(Field::Note)), "{policy:?}");
        assert_eq!((clash.ours_at, clash.theirs_at), (ours_at.map(Timestamp), theirs_at.map(Timestamp)));
        let (ours, theirs) = match stands {
            Side::Ours => ("ours", "ours"),
            Side::Theirs => ("theirs", "theirs"),
            Side::Undecided => ("ours", "theirs"),
        };
        assert_eq!(world.card().note.as_deref(), Some(ours));
        assert_eq!(world.body().note.as_deref(), Some(theirs));
        assert_eq!(world.body().family.as_deref(), Some("Lee"), "everything else syncs");
        if stands == Side::Undecided {
            assert_eq!(decision.waits, Some(Waits::Asked));
            let base = &world.subject.link.as_ref().unwrap().base;
            assert_eq!((&base.ours.note, &base.theirs.note), (&before.ours.note, &before.theirs.note));
            // While it waits it is noted once, whatever the policy says by then; and a later edit takes its side's place.
            let id = ConflictId(Uuid::from_u128(1));
            world.subject.open = vec![Standing { id, clash }];
            world.settings.conflicts = ConflictPolicy::Latest;
            assert_eq!(kinds(&world.decide()), [""; 0]);
            world.card().note = Some("ours, later".into());
            let decision = world.decide();
            assert_eq!((kinds(&decision), decision.waits), (vec!["moot", "conflict"], Some(Waits::Asked)));
            // Both sides came to say the same: nothing waits any more.
            world.card().note = Some("theirs".into());
            let decision = world.decide();
            assert_eq!((kinds(&decision), decision.waits), (vec!["rebase", "moot"], None));
        } else {
            assert!(world.run().is_empty(), "quiet");
        }
    }
}

#[test]
fn rule_05_the_latest_wins_is_a_total_order() {
    // A circle of values, each of which beats the next, would have to alternate between the sides.
    let times = [None, Some(1), Some(2), Some(3)];
    let wins = |ours: Option<i64>, theirs: Option<i64>| {
        let mut world = World::new(agreed(&with_note("base")));
        world.card().note = Some("ours".into());
        world.body().note = Some("theirs".into());
        let at = |t: Option<i64>| t.map(|t| (Field::Note, Timestamp(t))).into_iter().collect();
        world.subject.person.as_mut().unwrap().person.times = at(ours);
        world.subject.seen.as_mut().unwrap().times = at(theirs);
        let decision = world.decide();
        world.apply(&decision, false);
        world.conflicts[0].stands == Side::Ours
    };
    let table: Vec<Vec<bool>> = times.iter().map(|o| times.iter().map(|t| wins(*o, *t)).collect()).collect();
    let each = || 0..times.len();
    for (o1, t1, o2, t2) in
        each().flat_map(|a| each().flat_map(move |b| each().flat_map(move |c| each().map(move |d| (a, b, c, d)))))
    {
        // o1 beats t1, t1 beats o2, o2 beats t2, t2 beats o1: a circle.
        let circle = table[o1][t1] && !table[o2][t1] && table[o2][t2] && !table[o1][t2];
        assert!(!circle, "{:?}", (times[o1], times[t1], times[o2], times[t2]));
    }
}

#[test]
fn rule_06_an_order_changed_by_hand_is_no_edit_once_it_was_seen() {
    let mut world = World::new(agreed(&emails(&["a@x.org", "b@x.org"])));
    world.card().emails.reverse();
    assert!(!writes(&world.run()));
    world.see(gone());
    assert_eq!(kinds(&world.decide()), ["trash", "deleted"]);
}

#[test]
fn rule_07_a_deletion_there_trashes_only_what_is_the_users_alone() {
    let own = |user, state| elsewhere(user, state);
    check("his own", |w| w.see(gone()), &["trash", "deleted"], None);
    let with = |e: Elsewhere| {
        move |w: &mut World| {
            w.see(gone());
            w.subject.person.as_mut().unwrap().elsewhere.push(e);
        }
    };
    check("in another account of his", with(own(BOB, LinkState::Live)), &["trash", "deleted"], None);
    check("in a colleague's account", with(own(ALICE, LinkState::Live)), &["unlinked"], None);
    check("frozen in a colleague's account", with(own(ALICE, LinkState::Frozen)), &["unlinked"], None);
    check("ended in a colleague's account", with(own(ALICE, LinkState::Unlinked)), &["trash", "deleted"], None);
    check(
        "a colleague's",
        |w| {
            w.see(gone());
            w.subject.person.as_mut().unwrap().person.owner = ALICE;
        },
        &["unlinked"],
        None,
    );
    let policy = |p| {
        move |w: &mut World| {
            w.see(gone());
            w.settings.deletes = p;
        }
    };
    check("unlink", policy(DeletePolicy::Unlink), &["unlinked"], None);
    check("tag", policy(DeletePolicy::Tag), &["tag", "unlinked"], None);
    check("ask", policy(DeletePolicy::Ask), &["ask local"], Some(Waits::Held));
    let answered = |held| {
        move |w: &mut World| {
            policy(DeletePolicy::Ask)(w);
            w.subject.held = Some(held);
        }
    };
    check("asked", answered(None), &[], Some(Waits::Held));
    check("yes", answered(Some(Answer::Confirmed)), &["trash", "deleted"], None);
    check("no", answered(Some(Answer::Rejected)), &["deleted", "create remote"], None);
    check(
        "no, one-way",
        |w| {
            answered(Some(Answer::Rejected))(w);
            one_way(w);
        },
        &["unlinked"],
        None,
    );
}

#[test]
fn rule_07_trashing_deletes_what_the_deleter_may_delete() {
    // Whose person, who trashed it, with an owner's or admin's word, who made the record -> deleted or unlinked.
    let cases = [
        (BOB, Some(BOB), true, Origin::Theirs, true),
        (BOB, Some(ALICE), false, Origin::Theirs, false),
        (BOB, Some(ALICE), false, Origin::Ours, true),
        (BOB, Some(ALICE), true, Origin::Theirs, true),
        (BOB, None, false, Origin::Theirs, true),
        (ALICE, Some(ALICE), true, Origin::Theirs, false),
        (ALICE, Some(ALICE), true, Origin::Ours, true),
        (ALICE, Some(BOB), false, Origin::Theirs, true),
        (ALICE, None, false, Origin::Theirs, false),
    ];
    for (owner, by, authority, origin, deletes) in cases {
        let name = format!("{owner:?} {by:?} {authority} {origin:?}");
        check(
            &name,
            |w| {
                trash(w, by);
                let who = w.subject.person.as_mut().unwrap();
                (who.person.owner, who.trashed_with_authority) = (owner, authority);
                w.subject.link.as_mut().unwrap().origin = origin;
            },
            if deletes { &["delete remote"] } else { &["unlinked"] },
            None,
        );
    }
    let policy = |p| {
        move |w: &mut World| {
            trash(w, Some(BOB));
            w.settings.deletes = p;
        }
    };
    check("unlink", policy(DeletePolicy::Unlink), &["unlinked"], None);
    check("ask", policy(DeletePolicy::Ask), &["ask remote"], Some(Waits::Held));
    check(
        "yes",
        |w| {
            policy(DeletePolicy::Ask)(w);
            w.subject.held = Some(Some(Answer::Confirmed));
        },
        &["delete remote"],
        None,
    );
    check(
        "no",
        |w| {
            policy(DeletePolicy::Ask)(w);
            w.subject.held = Some(Some(Answer::Rejected));
        },
        &["restore"],
        None,
    );
    check(
        "both",
        |w| {
            trash(w, Some(BOB));
            w.see(gone());
        },
        &["deleted"],
        None,
    );
}

#[test]
fn rule_08_leaving_keeps_and_coming_back_resumes() {
    let leave = |policy| {
        move |w: &mut World| {
            w.see(outside());
            w.settings.on_leave = policy;
        }
    };
    check("keep", leave(OnLeave::Keep), &["left"], Some(Waits::Left));
    check("delete", leave(OnLeave::Delete), &["trash", "left"], None);
    check(
        "delete, edited here",
        |w| {
            leave(OnLeave::Delete)(w);
            w.card().note = Some("x".into());
        },
        &["left", "conflict"],
        Some(Waits::Left),
    );
    check(
        "delete, not his alone",
        |w| {
            leave(OnLeave::Delete)(w);
            w.subject.person.as_mut().unwrap().person.owner = ALICE;
        },
        &["left"],
        None,
    );
    let left = |w: &mut World| w.subject.link.as_mut().unwrap().state = LinkState::Left;
    check(
        "still outside",
        |w| {
            left(w);
            w.see(outside());
        },
        &[],
        Some(Waits::Left),
    );
    check(
        "gone from outside",
        |w| {
            left(w);
            w.see(gone());
        },
        &["unlinked"],
        None,
    );
    check(
        "back",
        |w| {
            left(w);
            w.body().note = Some("x".into());
        },
        &["live", "rebase", "update local"],
        None,
    );
    check(
        "back, and it was trashed with the leaving",
        |w| {
            left(w);
            trash(w, None);
        },
        &["live", "restore"],
        None,
    );
    check(
        "back in one-way",
        |w| {
            left(w);
            one_way(w);
            trash(w, None);
        },
        &["live", "restore"],
        None,
    );
    check(
        "back in one-way, trashed by a user",
        |w| {
            left(w);
            one_way(w);
            trash(w, Some(BOB));
        },
        &["live"],
        Some(Waits::OneWay),
    );
}

#[test]
fn rule_09_only_proof_deletes() {
    check("unreadable", |w| w.see(Seen::Unreadable(at("r"), "bad".into())), &[], Some(Waits::Unreadable));
    check("never seen", |w| w.subject.seen = None, &[], Some(Waits::OpenIntent));
    check(
        "gone, while another is listed and not shown",
        |w| {
            w.hides = true;
            w.see(gone());
        },
        &[],
        Some(Waits::Hidden),
    );
    for state in [LinkState::Left, LinkState::Redundant, LinkState::Unlinked, LinkState::Undone, LinkState::Deleted] {
        check(
            "gone after its link had come to rest, while another is listed and not shown",
            |w| {
                w.strange = true;
                w.see(gone());
                w.subject.link.as_mut().unwrap().state = state;
            },
            &[],
            Some(Waits::Hidden),
        );
    }
    check(
        "gone after access was lost, while another is listed and not shown",
        |w| {
            w.strange = true;
            w.see(gone());
            w.subject.person.as_mut().unwrap().access = false;
        },
        &["frozen"],
        Some(Waits::Hidden),
    );
    check(
        "new, while one that it may be can't be read",
        |w| {
            (w.subject.link, w.subject.person) = (None, None);
            w.meeting = Meeting::Hidden;
        },
        &[],
        Some(Waits::Hidden),
    );
    check(
        "frozen and outside",
        |w| {
            w.subject.link.as_mut().unwrap().state = LinkState::Frozen;
            w.see(outside());
        },
        &["left"],
        Some(Waits::Left),
    );
    check("emptied", |w| *w.body() = Card::default(), &["rebase", "update local"], None);
}

#[test]
fn rule_11_one_way_never_writes() {
    let mut world = World::new(agreed(&emails(&["a@x.org", "b@x.org"])));
    one_way(&mut world);
    world.card().note = Some("ours".into());
    world.card().emails[0].value = "ours@x.org".into();
    world.card().emails.push(Item::<String>::new("more@x.org").labelled("work"));
    let decision = world.decide();
    assert_eq!((kinds(&decision), decision.waits), (vec![], Some(Waits::OneWay)), "edits stay");
    // Until that same field changes at the provider: its value stands, the other is kept.
    world.body().emails[0].value = "theirs@x.org".into();
    let steps = world.run();
    assert!(!writes(&steps));
    let list: Vec<_> = world.card().emails.iter().map(|e| e.value.clone()).collect();
    assert_eq!(list, ["theirs@x.org", "b@x.org", "more@x.org"]);
    assert_eq!(world.card().note.as_deref(), Some("ours"));
    assert_eq!(world.conflicts.len(), 1);
    assert_eq!(world.conflicts[0].stands, Side::Theirs);
    // What was removed here and changes there comes back, and shows.
    world.card().emails.remove(1);
    assert!(world.run().is_empty());
    world.body().emails[1].value = "b2@x.org".into();
    assert!(!writes(&world.run()));
    assert!(world.card().emails.iter().any(|e| e.value == "b2@x.org"));

    check(
        "a delete trashes the person, edits or not",
        |w| {
            one_way(w);
            w.card().note = Some("x".into());
            w.see(gone());
        },
        &["trash", "deleted"],
        None,
    );
    check(
        "a person in the trash stays there",
        |w| {
            one_way(w);
            trash(w, Some(BOB));
        },
        &[],
        Some(Waits::OneWay),
    );
    check(
        "an edit there shows",
        |w| {
            one_way(w);
            trash(w, Some(BOB));
            w.body().note = Some("x".into());
        },
        &["conflict"],
        Some(Waits::OneWay),
    );
}

#[test]
fn rule_12_only_the_users_people_are_pushed() {
    let check = |name: &str, set: fn(&mut World), pushed: bool, waits: Option<Waits>| {
        let mut world = World::new(Subject { person: Some(person(named("Ann"))), ..Subject::default() });
        set(&mut world);
        let decision = world.decide();
        assert_eq!(writes(&decision.steps), pushed, "{name}");
        assert_eq!(decision.waits, waits, "{name}");
    };
    check("owned", |_| {}, true, None);
    check("another's", |w| w.subject.person.as_mut().unwrap().person.owner = ALICE, false, Some(Waits::NotPushed));
    check("push = linked", |w| w.settings.push = Push::Linked, false, Some(Waits::NotPushed));
    check("no access", |w| w.subject.person.as_mut().unwrap().access = false, false, Some(Waits::NotPushed));
    check("one-way", one_way, false, Some(Waits::OneWay));
    check("first listing", |w| w.complete = false, false, Some(Waits::FirstListing));
    check("in question", |w| w.meeting = Meeting::InQuestion, false, Some(Waits::Ambiguous));
    check("trashed", |w| trash(w, Some(BOB)), false, None);
    check("nothing in it", |w| *w.card() = Card::default(), false, Some(Waits::NotPushed));
    check(
        "nothing that is sent",
        |w| w.settings.mapping = Mapping([(Field::Given, Flow::In)].into()),
        false,
        Some(Waits::NotPushed),
    );
    check("nothing that is kept", |w| w.caps.writes = only(&[Field::Note]), false, Some(Waits::NotPushed));
    // Emptied here and deleted there, or restored empty: nothing to bring back; once something is in it, it is pushed.
    for state in [LinkState::Live, LinkState::Deleted] {
        let mut world = World::new(agreed(&named("Ann")));
        world.subject.link.as_mut().unwrap().state = state;
        world.see(gone());
        *world.card() = Card::default();
        assert!(!writes(&world.run()), "{state:?}");
        assert_eq!(world.decide().waits, Some(Waits::NotPushed), "{state:?}");
        *world.card() = named("Ann");
        assert!(writes(&world.decide().steps), "{state:?}");
    }
    for state in [LinkState::Unlinked, LinkState::Undone, LinkState::Left, LinkState::Paused, LinkState::Redundant] {
        let mut world = World::new(agreed(&named("Ann")));
        world.subject.link.as_mut().unwrap().state = state;
        world.see(gone());
        assert!(!writes(&world.run()), "a link of any state: {state:?}");
    }
    // A colleague's person, whose record the user deleted, does not come back with a restore; one that we made does.
    for (origin, pushed) in [(Origin::Theirs, false), (Origin::Ours, true)] {
        let mut world = World::new(agreed(&named("Ann")));
        world.subject.person.as_mut().unwrap().person.owner = ALICE;
        *world.subject.link.as_mut().unwrap() = Link { state: LinkState::Deleted, origin, ..link(Base::default()) };
        world.see(gone());
        assert_eq!(writes(&world.decide().steps), pushed);
    }
}

#[test]
fn rule_13_a_first_meeting_waits_for_the_whole_listing() {
    let met = |card: Card, body: Card| {
        World::new(Subject { seen: Some(stored(record(body))), person: Some(person(card)), ..Subject::default() })
    };
    let new = || World::new(Subject { seen: Some(stored(record(named("Ann")))), ..Subject::default() });
    let mut world = new();
    world.complete = false;
    assert_eq!(world.decide(), Decision { steps: Vec::new(), waits: Some(Waits::FirstListing) });
    let mut world = new();
    world.meeting = Meeting::InQuestion;
    assert_eq!(world.decide(), Decision { steps: Vec::new(), waits: Some(Waits::Ambiguous) });
    let mut world = new();
    world.subject.token_of = Some((LinkId(Uuid::from_u128(8)), LinkState::Deleted, PersonId(Uuid::from_u128(9))));
    assert!(world.decide().steps.is_empty(), "a record with a token of ours is never a new person");
    let mut world = new();
    assert_eq!(kinds(&world.decide()), ["create local"]);
    assert!(!writes(&world.run()));

    // Lists unite, a value on one side is taken, differing scalars are conflicts.
    let ours = Card { note: Some("ours".into()), family: Some("Lee".into()), ..emails(&["a@x.org", "b@x.org"]) };
    let theirs = Card { note: Some("theirs".into()), suffix: Some("PhD".into()), ..emails(&["B@x.org", "c@x.org"]) };
    let mut world = met(ours, theirs);
    world.meeting = Meeting::Same;
    let steps = world.run();
    assert!(matches!(steps[0], Step::Match(_)));
    for card in [world.card().clone(), world.body().clone()] {
        assert_eq!(card.emails.len(), 3);
        assert_eq!((card.family.as_deref(), card.suffix.as_deref()), (Some("Lee"), Some("PhD")));
        assert_eq!(card.note.as_deref(), Some("theirs"));
    }
    assert_eq!(world.conflicts.len(), 1);

    for (access, life) in [(false, PersonState::Live), (true, trashed(Some(BOB)))] {
        let mut world = met(named("Ann"), named("Ann"));
        world.meeting = Meeting::Same;
        let who = world.subject.person.as_mut().unwrap();
        (who.access, who.person.state) = (access, life);
        assert!(world.decide().steps.is_empty());
    }
}

#[test]
fn rule_22_without_access_nothing_flows() {
    let lost = |w: &mut World| w.subject.person.as_mut().unwrap().access = false;
    check(
        "edited on both sides",
        |w| {
            lost(w);
            w.card().note = Some("x".into());
            w.body().family = Some("y".into());
        },
        &["frozen"],
        Some(Waits::Frozen),
    );
    check(
        "gone",
        |w| {
            lost(w);
            w.see(gone());
        },
        &["frozen"],
        Some(Waits::Frozen),
    );
    check(
        "frozen already",
        |w| {
            lost(w);
            w.subject.link.as_mut().unwrap().state = LinkState::Frozen;
        },
        &[],
        Some(Waits::Frozen),
    );
    check(
        "left",
        |w| {
            lost(w);
            w.subject.link.as_mut().unwrap().state = LinkState::Left;
            w.see(outside());
        },
        &[],
        Some(Waits::Frozen),
    );
    check(
        "regained",
        |w| {
            w.subject.link.as_mut().unwrap().state = LinkState::Frozen;
            w.body().note = Some("x".into());
        },
        &["live", "rebase", "update local"],
        None,
    );
}

#[test]
fn rule_13_a_person_has_one_live_link_in_an_account() {
    // An edit beat the deletion, another record was made; now the old one is back. Its edits come in, nothing is doubled.
    let replaced = |w: &mut World| {
        let link = w.subject.link.as_mut().unwrap();
        link.state = LinkState::Deleted;
        let other = Elsewhere { account: link.account, ..elsewhere(BOB, LinkState::Live) };
        w.subject.person.as_mut().unwrap().elsewhere.push(other);
    };
    check("back", replaced, &["other"], None);
    let gone = |w: &mut World| {
        replaced(w);
        w.see(gone());
    };
    check("gone", gone, &[], Some(Waits::Ended(LinkState::Deleted)));
}
