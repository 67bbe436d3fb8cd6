//! The merge of a whole Card: field by field, element by element, each side judged against its own base only.
//!
//! Owns: rules 1, 2, 3 and 5. In: what both sides agreed on, what they hold now, which way each field flows. Out: what each
//! side should hold, what both agree on once the local part is stored, and the clashes. Start reading at [`merge`]; then
//! `slots` (which element is which) and `decide` (what becomes of it).

mod choose;
mod decide;
mod slots;

use std::collections::BTreeMap;

use crate::card::Card;
use crate::card::field::{Element, Field, FieldSet, FieldValue, Shape, Value};
use crate::ids::Timestamp;
use crate::mutant;
use crate::sync::caps::Capabilities;
use crate::sync::plan::{About, Clash, Side};
use crate::sync::view::{Base, Pairs, Withheld};

pub use choose::{Choice, Chosen, choose};
use decide::Flow;
use slots::Slot;

/// Which way fields flow, and who wins.
#[derive(Clone, Copy)]
pub struct Rules<'a> {
    /// Fields that may flow into the CRM.
    pub incoming: FieldSet,
    /// Fields that may flow to the provider.
    pub outgoing: FieldSet,
    /// Fields with a clash that waits for a person's choice: whatever the policy says now, a clash there is nobody's, and
    /// until it is decided the field flows nowhere.
    pub asked: FieldSet,
    /// What the provider can hold.
    pub caps: &'a Capabilities,
    /// Who wins where both sides changed the same thing to different values: field, ours at, theirs at.
    pub winner: &'a dyn Fn(Field) -> Judged,
}

/// The winner of a clash, with the times that it was judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// Who wins.
    pub side: Side,
    /// The CRM's time of its value.
    pub ours_at: Option<Timestamp>,
    /// The provider's time of its value.
    pub theirs_at: Option<Timestamp>,
}

/// What a merge comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merged {
    /// The person's card afterwards.
    pub ours: Card,
    /// What the provider should show afterwards.
    pub theirs: Card,
    /// Fields of `ours` that differ from the person's card now.
    pub take: FieldSet,
    /// Fields of `theirs` that differ from what the provider shows now.
    pub send: FieldSet,
    /// Which element of `ours` is which of `theirs`.
    pub pairs: Pairs,
    /// What both sides agree on once `ours` is stored and before anything is sent.
    pub base: Base,
    /// Where both sides changed the same thing to different values.
    pub clashes: Vec<Clash>,
}

/// Merges the person's card and what the provider shows, given what they last agreed on.
pub fn merge(base: &Base, ours: &Card, theirs: &Card, rules: &Rules<'_>) -> Merged {
    let unread = rules.outgoing.without(rules.caps.reads);
    if !unread.is_empty() {
        // Taken and never shown: as we last sent it.
        let mut filled = theirs.clone();
        for field in unread.iter() {
            filled.set(field, if base.mapped.contains(field) { base.theirs.get(field) } else { FieldValue::One(None) });
        }
        return merge_shown(base, ours, &filled, rules);
    }
    merge_shown(base, ours, theirs, rules)
}

fn merge_shown(base: &Base, ours: &Card, theirs: &Card, rules: &Rules<'_>) -> Merged {
    let mut out = Merged {
        ours: ours.clone(),
        theirs: theirs.clone(),
        take: FieldSet::NONE,
        send: FieldSet::NONE,
        pairs: Pairs::default(),
        base: Base { converter: rules.caps.converter, ..base.clone() },
        clashes: Vec::new(),
    };
    let flowing = rules.incoming.or(rules.outgoing);
    // A field that does not flow any more has no base: should it flow again, both sides meet anew.
    out.base.mapped = base.mapped.and(flowing);
    for field in flowing.iter() {
        let known = base.mapped.contains(field);
        let untouched = known && base.ours.same(ours, field) && base.theirs.same(theirs, field);
        if untouched && !may_fill(base, field, rules) {
            // The pairs also hold for what would be sent, as far as both lists are those of the base.
            out.pairs.keep(&base.pairs, field);
            continue;
        }
        if says_nothing(field, base, ours, theirs) {
            out.base.mapped.insert(field);
            continue;
        }
        merge_field(field, known.then_some(base), ours, theirs, rules, &mut out);
    }
    out
}

/// Whether nobody says anything in that field, nor did: most fields of most cards. There is nothing to merge.
fn says_nothing(field: Field, base: &Base, ours: &Card, theirs: &Card) -> bool {
    ![ours, theirs, &base.ours, &base.theirs].into_iter().any(|card| card.has(field))
        && !base.pairs.both.contains_key(&field)
        && !base.pairs.withheld.contains_key(&field)
}

/// Whether both sides are to the letter what was agreed on: then a merge would change nothing. Copies nothing.
pub fn quiet(base: &Base, ours: &Card, theirs: &Card, rules: &Rules<'_>) -> bool {
    let flowing = rules.incoming.or(rules.outgoing);
    rules.asked.is_empty()
        && base.converter == rules.caps.converter
        && base.mapped == flowing
        && flowing.iter().all(|field| {
            base.ours.same(ours, field) && base.theirs.same(theirs, field) && !may_fill(base, field, rules)
        })
}

/// Whether an element waits for room, so that even without any change there may be something to send.
fn may_fill(base: &Base, field: Field, rules: &Rules<'_>) -> bool {
    rules.outgoing.contains(field)
        && base.pairs.withheld.get(&field).is_some_and(|w| w.values().any(|why| *why == Withheld::Room))
}

fn merge_field(field: Field, base: Option<&Base>, ours: &Card, theirs: &Card, rules: &Rules<'_>, out: &mut Merged) {
    let (inn, outward) = (rules.incoming.contains(field), rules.outgoing.contains(field));
    let mut judged = (rules.winner)(field);
    if rules.asked.contains(field) {
        judged.side = Side::Undecided;
    }
    // Who stands, given where the field may flow: in one-way the provider, whatever the policy says (rule 11).
    let stands = match (inn, outward) {
        (true, false) => Side::Theirs,
        (false, true) => Side::Ours,
        _ => judged.side,
    };
    let mut slots = slots::slots(field, base, ours, theirs);
    let marked_here = slots.iter().any(|s| s.o.as_ref().is_some_and(|(_, e)| e.preferred));
    let keeps_mark = rules.caps.keeps_preferred.contains(field);
    let flow = Flow { field, inn, out: outward, keeps_mark, marked_here, stands };
    for slot in &mut slots {
        decide::decide(slot, &flow);
    }
    let clashes = out.clashes.len();
    let kept = slots.iter().take(if mutant::on("merge.forget_the_loser") { 0 } else { usize::MAX });
    out.clashes.extend(kept.filter_map(|s| clash(field, s.clash.as_ref()?, stands, judged)));
    if stands == Side::Undecided && out.clashes.len() > clashes {
        // The field flows nowhere until a person has chosen; a base that knows nothing of it must not seem to.
        if let Some(base) = base {
            out.pairs.keep(&base.pairs, field);
        }
        return;
    }
    if outward {
        slots::make_room(&mut slots, rules.caps.most.get(&field).map_or(usize::MAX, |n| usize::from(*n)));
    }
    write_back(field, slots, out);
    if !out.ours.same(ours, field) {
        out.take.insert(field);
    }
    if outward && !out.theirs.same(theirs, field) && !(field == Field::Phones && mutant::on("merge.send_nothing")) {
        out.send.insert(field);
    } else {
        out.theirs.set(field, theirs.get(field));
    }
    out.base.mapped.insert(field);
    if let Some(base) = base
        && !out.take.contains(field)
        && !out.send.contains(field)
        && out.base.ours.same(&base.ours, field)
        && out.base.theirs.same(&base.theirs, field)
    {
        // Nothing came of it: which of two that are the same is which stays as it was.
        out.base.pairs.keep(&base.pairs, field);
    }
}

fn clash(
    field: Field,
    (ours, theirs): &(Option<Element>, Option<Element>),
    stands: Side,
    judged: Judged,
) -> Option<Clash> {
    let Judged { ours_at, theirs_at, .. } = judged;
    let (ours, theirs) = (shown(field, ours.as_ref()), shown(field, theirs.as_ref()));
    Some(Clash { about: About::Field(field), ours, theirs, stands, ours_at, theirs_at })
}

/// One side of a clash: a scalar's value, or an element of a list; empty = removed there.
fn shown(field: Field, element: Option<&Element>) -> FieldValue {
    match field.shape() {
        Shape::One => FieldValue::One(element.map(|e| e.value.clone())),
        Shape::Many => FieldValue::Many(element.into_iter().cloned().collect()),
    }
}

/// Puts the slots' results back into lists. Ours, and what was agreed on of it, stand in our order as it will be; theirs in
/// the provider's; what was agreed on of theirs in the order of the base, so that a provider that shuffles changes nothing.
fn write_back(field: Field, mut slots: Vec<Slot>, out: &mut Merged) {
    fn place(of: &Option<(usize, Element)>) -> usize {
        of.as_ref().map_or(usize::MAX, |(i, _)| *i)
    }
    slots.sort_by_key(|s| (s.ro.is_none(), place(&s.o), place(&s.t), place(&s.bo)));
    let agreed = lay(&slots, |s| s.nbo.as_ref(), |s| Some((s.nbt.as_ref()?, (place(&s.bt), place(&s.t)))));
    set(&mut out.base.ours, field, agreed.ours);
    if !mutant::on("merge.take_it_twice") {
        set(&mut out.base.theirs, field, agreed.theirs);
    }
    out.base.pairs.set(field, agreed.both, agreed.withheld);
    let result = lay(&slots, |s| s.ro.as_ref(), |s| Some((s.rt.as_ref()?, (place(&s.t), place(&s.o)))));
    set(&mut out.ours, field, result.ours);
    set(&mut out.theirs, field, result.theirs);
    out.pairs.set(field, result.both, result.withheld);
}

/// Two lists with the pairs between them.
struct Lists {
    ours: Vec<Element>,
    theirs: Vec<Element>,
    both: Vec<(u16, u16)>,
    withheld: BTreeMap<u16, Withheld>,
}

fn number(i: usize) -> u16 {
    u16::try_from(i).unwrap_or(u16::MAX)
}

/// An element with what it is ordered by.
type Placed<'a> = Option<(&'a Element, (usize, usize))>;

/// Makes two lists of the slots, ours in their order and theirs by what comes with them; an element of ours and one of
/// theirs are a pair if they come from one slot.
fn lay<'a>(slots: &'a [Slot], ours: fn(&'a Slot) -> Option<&'a Element>, theirs: fn(&'a Slot) -> Placed<'a>) -> Lists {
    let mut right: Vec<_> = slots.iter().enumerate().filter_map(|(i, s)| theirs(s).map(|(e, at)| (at, i, e))).collect();
    right.sort_by_key(|(at, i, _)| (*at, *i));
    let mut left = Vec::new();
    let (mut both, mut withheld) = (Vec::new(), BTreeMap::new());
    for (i, slot) in slots.iter().enumerate() {
        let Some(element) = ours(slot) else { continue };
        let x = number(left.len());
        match right.iter().position(|(_, j, _)| *j == i) {
            Some(y) => both.push((x, number(y))),
            None => {
                withheld.insert(x, slot.withheld.unwrap_or(Withheld::Refused));
            }
        }
        left.push(element.clone());
    }
    Lists { ours: left, theirs: right.into_iter().map(|(_, _, e)| e.clone()).collect(), both, withheld }
}

fn set(card: &mut Card, field: Field, elements: Vec<Element>) {
    let value = match field.shape() {
        Shape::One => FieldValue::One(elements.into_iter().next().map(|e| e.value)),
        Shape::Many => FieldValue::Many(elements),
    };
    card.set(field, value);
}

/// The value of a scalar, for those who look at one field only.
pub fn scalar(card: &Card, field: Field) -> Option<Value> {
    card.get(field).into_elements().into_iter().next().map(|e| e.value)
}

/// The plain three-way merge of cards that share one base: what undo and two edits of one person need. Where only one side
/// touched a field, it stands to the letter, order included.
pub fn three_way(base: &Card, ours: &Card, theirs: &Card, winner: &dyn Fn(Field) -> Judged) -> (Card, Vec<Clash>) {
    let caps = Capabilities::everything();
    let mut result = base.clone();
    let mut clashes = Vec::new();
    for field in Field::ALL.iter().copied() {
        if base.same(ours, field) || ours.same(theirs, field) {
            result.set(field, theirs.get(field));
        } else if base.same(theirs, field) {
            result.set(field, ours.get(field));
        } else {
            let only: FieldSet = [field].into_iter().collect();
            let rules = Rules { incoming: only, outgoing: only, asked: FieldSet::NONE, caps: &caps, winner };
            let merged = merge(&Base::shared(base, only), ours, theirs, &rules);
            result.set(field, merged.ours.get(field));
            clashes.extend(merged.clashes);
        }
    }
    (result, clashes)
}

#[cfg(test)]
mod tests;
