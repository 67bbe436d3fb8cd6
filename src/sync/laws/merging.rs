//! The plain three-way merge, diffs, and the merge of one round.

use proptest::prelude::*;

use super::{FIELDS, bag, card, edited, fields, judged, keys, plain, put, spell, unique};
use crate::card::Card;
use crate::card::field::{Field, FieldSet};
use crate::card::normalize::{self, Key};
use crate::sync::caps::Capabilities;
use crate::sync::merge::{Merged, Rules, merge, three_way};
use crate::sync::operation::{apply, diff};
use crate::sync::plan::{Clash, Side};
use crate::sync::view::Base;

fn clashed(clashes: &[Clash], field: Field) -> Vec<Key> {
    let sides = clashes.iter().flat_map(|c| [c.ours.clone(), c.theirs.clone()]);
    sides.flat_map(crate::card::field::FieldValue::into_elements).map(|e| normalize::key(field, &e.value)).collect()
}

fn count(keys: &[Key], key: &Key) -> usize {
    keys.iter().filter(|k| *k == key).count()
}

proptest! {
    #![proptest_config(super::cases(500))]

    #[test]
    fn a_diff_applied_is_the_other_card(a in card(), b in card()) {
        prop_assert_eq!(apply(a.clone(), &diff(&a, &b)), b);
        prop_assert!(diff(&a, &a).is_empty());
    }

    #[test]
    fn what_one_side_alone_changed_stands((b, x, _) in edited(card())) {
        for side in [Side::Ours, Side::Theirs, Side::Undecided] {
            let winner = judged(side);
            for (ours, theirs) in [(&b, &x), (&x, &b), (&x, &x)] {
                let (result, clashes) = three_way(&b, ours, theirs, &winner);
                prop_assert_eq!(&result, &x);
                prop_assert!(clashes.is_empty());
            }
        }
    }

    #[test]
    fn merging_is_symmetric_up_to_the_policy((b, x, y) in edited(plain())) {
        let (x, y) = (spell(x), spell(y));
        let (one, clashes) = three_way(&b, &x, &y, &judged(Side::Ours));
        let (other, turned) = three_way(&b, &y, &x, &judged(Side::Theirs));
        prop_assert_eq!(clashes.len(), turned.len());
        for field in FIELDS {
            prop_assert_eq!(without_marks(bag(&one, field)), without_marks(bag(&other, field)), "{:?}", field);
        }
    }

    #[test]
    fn i1_every_value_stands_or_is_in_a_clash((b, x, y) in edited(card())) {
        for side in [Side::Ours, Side::Theirs] {
            let (result, clashes) = three_way(&b, &x, &y, &judged(side));
            for field in FIELDS {
                let (of_b, of_x, of_y, left) =
                    (keys(&b, field), keys(&x, field), keys(&y, field), keys(&result, field));
                let clashed = clashed(&clashes, field);
                for key in of_x.iter().chain(&of_y) {
                    let removed = count(&of_x, key).min(count(&of_y, key)) < count(&of_b, key);
                    prop_assert!(left.contains(key) || clashed.contains(key) || removed, "{key:?} in {field:?}");
                }
            }
        }
    }

    #[test]
    fn what_both_keep_is_never_lost((b, x, y) in edited(plain())) {
        let (x, y) = (spell(x), spell(y));
        let (result, _) = three_way(&b, &x, &y, &judged(Side::Theirs));
        for field in FIELDS {
            let (in_x, in_y) = (bag(&x, field), bag(&y, field));
            for element in bag(&b, field) {
                if in_x.contains(&element) && in_y.contains(&element) {
                    prop_assert!(bag(&result, field).contains(&element), "{element:?} in {field:?}");
                }
            }
        }
    }

    #[test]
    fn what_survives_does_not_depend_on_the_order((b, x, y) in edited(plain())) {
        let (x, y) = (unique(spell(x)), unique(spell(y)));
        let winner = judged(Side::Theirs);
        let (result, clashes) = three_way(&b, &x, &y, &winner);
        let (turned, others) = three_way(&reversed(&b), &reversed(&x), &y, &winner);
        prop_assert_eq!(clashes.len(), others.len());
        for field in FIELDS {
            prop_assert_eq!(without_marks(bag(&result, field)), without_marks(bag(&turned, field)), "{:?}", field);
        }
    }

    #[test]
    fn a_first_meeting_unites(x in card(), y in card(), side in side()) {
        let caps = Capabilities::everything();
        let winner = judged(side);
        let rules =
            Rules { incoming: fields(), outgoing: fields(), asked: FieldSet::NONE, caps: &caps, winner: &winner };
        let merged = merge(&Base::default(), &x, &y, &rules);
        for field in FIELDS {
            let (left, clashed) = (keys(&merged.ours, field), clashed(&merged.clashes, field));
            for key in keys(&x, field).into_iter().chain(keys(&y, field)) {
                prop_assert!(left.contains(&key) || clashed.contains(&key));
            }
            prop_assert_eq!(keys(&merged.theirs, field), left, "both hold the same");
            let most = keys(&x, field).len().max(keys(&y, field).len());
            prop_assert!(keys(&merged.ours, field).len() >= most, "nothing collapses");
        }
        again_is_the_same(&Base::default(), &merged, &y, &rules)?;
    }
}

pub(super) fn side() -> impl Strategy<Value = Side> {
    prop::sample::select(vec![Side::Ours, Side::Theirs])
}

/// The crash between the local part and the send: the same send, and nothing else.
pub(super) fn again_is_the_same(
    base: &Base,
    merged: &Merged,
    theirs: &Card,
    rules: &Rules<'_>,
) -> Result<(), TestCaseError> {
    let again = merge(&merged.base, &merged.ours, theirs, rules);
    prop_assert!(again.take.is_empty(), "takes again: {:?}", again.take);
    prop_assert!(again.clashes.is_empty(), "clashes again: {:?}", again.clashes);
    prop_assert_eq!(&again.ours, &merged.ours);
    let once = |field: &Field| [&base.ours, &merged.ours, theirs].into_iter().all(|card| !twins(card, *field));
    let alone: FieldSet = FIELDS.into_iter().filter(once).collect();
    prop_assert_eq!(again.send.and(alone), merged.send.and(alone));
    prop_assert_eq!(again.base.mapped, merged.base.mapped);
    for field in alone.iter() {
        // Elements with one key may change places, which nobody sees.
        prop_assert_eq!(keys(&again.theirs, field), keys(&merged.theirs, field));
        prop_assert_eq!(bag(&again.base.ours, field), bag(&merged.base.ours, field));
        prop_assert_eq!(bag(&again.base.theirs, field), bag(&merged.base.theirs, field));
    }
    Ok(())
}

/// Whether two elements have one key.
fn twins(card: &Card, field: Field) -> bool {
    keys(card, field).windows(2).any(|pair| pair[0] == pair[1])
}

fn reversed(card: &Card) -> Card {
    let mut turned = card.clone();
    for field in FIELDS {
        let mut list = card.get(field).into_elements();
        list.reverse();
        put(&mut turned, field, list);
    }
    turned
}

fn without_marks(mut list: Vec<crate::card::field::Element>) -> Vec<crate::card::field::Element> {
    for element in &mut list {
        element.preferred = false;
    }
    list.sort();
    list
}
