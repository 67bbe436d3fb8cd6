//! The merge of a whole Card: field by field, element by element, each side judged against its own base only.
//!
//! Owns: rules 1, 2, 3 and 5. In: what both sides agreed on, what they hold now, which way each field flows. Out: what each
//! side should hold, what both agree on once the local part is stored, and the clashes. Start reading at [`merge`].

use crate::card::Card;
use crate::card::field::{Element, Field, FieldSet, FieldValue, Shape, Value};
use crate::card::normalize;
use crate::ids::Timestamp;
use crate::sync::caps::Capabilities;
use crate::sync::elements;
use crate::sync::lossy::{self, Lifted};
use crate::sync::plan::{About, Clash, Side};
use crate::sync::view::{Base, Pairs, Withheld};

/// Which way fields flow, and who wins.
#[derive(Clone, Copy)]
pub struct Rules<'a> {
    /// Fields that may flow into the CRM.
    pub incoming: FieldSet,
    /// Fields that may flow to the provider.
    pub outgoing: FieldSet,
    /// Fields with a clash that waits for a person's choice: they flow nowhere.
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
    let mut out = Merged {
        ours: ours.clone(),
        theirs: theirs.clone(),
        take: FieldSet::NONE,
        send: FieldSet::NONE,
        pairs: Pairs::default(),
        base: Base { converter: rules.caps.converter, ..base.clone() },
        clashes: Vec::new(),
    };
    for field in rules.incoming.or(rules.outgoing).iter() {
        let known = base.mapped.contains(field);
        let untouched = known && base.ours.same(ours, field) && base.theirs.same(theirs, field);
        if rules.asked.contains(field) || (untouched && !may_fill(base, field, rules)) {
            carry_pairs(base, field, &mut out);
            continue;
        }
        merge_field(field, known.then_some(base), ours, theirs, rules, &mut out);
    }
    out
}

/// Whether an element waits for room, so that even without any change there may be something to send.
fn may_fill(base: &Base, field: Field, rules: &Rules<'_>) -> bool {
    rules.outgoing.contains(field)
        && base.pairs.withheld.get(&field).is_some_and(|w| w.values().any(|why| *why == Withheld::Room))
}

/// A field that is left as it is keeps its pairs; they also hold for what would be sent, as far as both lists are those of
/// the base.
fn carry_pairs(base: &Base, field: Field, out: &mut Merged) {
    if let Some(pairs) = base.pairs.both.get(&field) {
        out.pairs.both.insert(field, pairs.clone());
    }
    if let Some(withheld) = base.pairs.withheld.get(&field) {
        out.pairs.withheld.insert(field, withheld.clone());
    }
}

/// One element as both bases and both sides have it, and what becomes of it.
#[derive(Debug, Default)]
struct Slot {
    /// Base ours, base theirs, ours, theirs: place and content.
    bo: Option<(usize, Element)>,
    bt: Option<(usize, Element)>,
    o: Option<(usize, Element)>,
    t: Option<(usize, Element)>,
    withheld: Option<Withheld>,
    /// Results: ours, theirs, and what both agree on before anything is sent.
    ro: Option<Element>,
    rt: Option<Element>,
    nbo: Option<Element>,
    nbt: Option<Element>,
    /// What was clashed over, if anything: the two sides' elements.
    clash: Option<(Option<Element>, Option<Element>)>,
}

fn merge_field(field: Field, base: Option<&Base>, ours: &Card, theirs: &Card, rules: &Rules<'_>, out: &mut Merged) {
    let flow = Flow { field, inn: rules.incoming.contains(field), out: rules.outgoing.contains(field), rules };
    let mut slots = slots(field, base, ours, theirs);
    for slot in &mut slots {
        decide(slot, &flow);
    }
    let judged = (rules.winner)(field);
    let clashes: Vec<Clash> = slots
        .iter()
        .filter_map(|s| s.clash.as_ref())
        .map(|(o, t)| clash(field, o.as_ref(), t.as_ref(), judged, &flow))
        .collect();
    let undecided = clashes.iter().any(|c| c.stands == Side::Undecided);
    out.clashes.extend(clashes);
    if undecided {
        // The field flows nowhere until a person has chosen; a base that knows nothing of it must not seem to.
        if let Some(base) = base {
            carry_pairs(base, field, out);
        }
        return;
    }
    if flow.out {
        make_room(field, &mut slots, rules);
    }
    write_back(field, slots, out);
    if !out.ours.same(ours, field) {
        out.take.insert(field);
    }
    if flow.out && !out.theirs.same(theirs, field) {
        out.send.insert(field);
    } else {
        out.theirs.set(field, theirs.get(field));
    }
    out.base.mapped.insert(field);
}

struct Flow<'a> {
    field: Field,
    inn: bool,
    out: bool,
    rules: &'a Rules<'a>,
}

fn slots(field: Field, base: Option<&Base>, ours: &Card, theirs: &Card) -> Vec<Slot> {
    let list = |card: &Card| card.get(field).into_elements();
    let empty = Card::default();
    let (bo, bt) = base.map_or((&empty, &empty), |b| (&b.ours, &b.theirs));
    let (bo, bt, o, t) = (list(bo), list(bt), list(ours), list(theirs));
    if field.shape() == Shape::One {
        let first = |list: Vec<Element>| list.into_iter().next().map(|e| (0, e));
        return vec![Slot { bo: first(bo), bt: first(bt), o: first(o), t: first(t), ..Slot::default() }];
    }
    let ours_now = elements::follow(field, &bo, &o);
    let theirs_now = elements::follow(field, &bt, &t);
    let pairs = base.and_then(|b| b.pairs.both.get(&field)).map_or(&[][..], Vec::as_slice);
    let withheld = base.and_then(|b| b.pairs.withheld.get(&field));
    let take = |list: &[Element], place: Option<usize>| place.and_then(|i| list.get(i).map(|e| (i, e.clone())));
    let mut slots = Vec::new();
    let mut paired = vec![false; bt.len()];
    for (i, element) in bo.iter().enumerate() {
        let partner = pairs
            .iter()
            .find(|(x, _)| usize::from(*x) == i)
            .map(|(_, y)| usize::from(*y))
            .filter(|y| *y < bt.len() && !paired[*y]);
        if let Some(y) = partner {
            paired[y] = true;
        }
        slots.push(Slot {
            bo: Some((i, element.clone())),
            bt: take(&bt, partner),
            o: take(&o, ours_now.to[i]),
            t: partner.and_then(|y| take(&t, theirs_now.to[y])),
            withheld: withheld.and_then(|w| u16::try_from(i).ok().and_then(|i| w.get(&i).copied())),
            ..Slot::default()
        });
    }
    for (y, element) in bt.iter().enumerate().filter(|(y, _)| !paired[*y]) {
        slots.push(Slot { bt: Some((y, element.clone())), t: take(&t, theirs_now.to[y]), ..Slot::default() });
    }
    // What is new on both sides with one key is one element; so is what is new there and was withheld here.
    let new_ours: Vec<usize> = (0..o.len()).filter(|i| ours_now.from[*i].is_none()).collect();
    let mut new_theirs: Vec<usize> = (0..t.len()).filter(|i| theirs_now.from[*i].is_none()).collect();
    let key = |e: &Element| normalize::key(field, &e.value);
    let claim = |element: &Element, new_theirs: &mut Vec<usize>| -> Option<usize> {
        let wanted = key(element);
        let exact = new_theirs.iter().position(|y| key(&t[*y]) == wanted && t[*y].labels == element.labels);
        let found = exact.or_else(|| new_theirs.iter().position(|y| key(&t[*y]) == wanted))?;
        Some(new_theirs.remove(found))
    };
    for i in new_ours {
        let partner = claim(&o[i], &mut new_theirs);
        slots.push(Slot { o: take(&o, Some(i)), t: take(&t, partner), ..Slot::default() });
    }
    for slot in slots.iter_mut().filter(|s| s.bt.is_none() && s.t.is_none() && s.bo.is_some()) {
        if let Some((_, element)) = &slot.o {
            slot.t = claim(element, &mut new_theirs).and_then(|y| take(&t, Some(y)));
        }
    }
    slots.extend(new_theirs.into_iter().map(|y| Slot { t: take(&t, Some(y)), ..Slot::default() }));
    slots
}

/// Whether a provider that shows `b` where it showed `a` has changed something.
fn changed_there(flow: &Flow<'_>, a: Option<&Element>, b: Option<&Element>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => {
            !normalize::alike(flow.field, &a.value, &b.value)
                || a.labels != b.labels
                || (flow.rules.caps.keeps_preferred.contains(flow.field) && a.preferred != b.preferred)
        }
        (a, b) => a.is_some() != b.is_some(),
    }
}

fn decide(slot: &mut Slot, flow: &Flow<'_>) {
    let get = |x: &Option<(usize, Element)>| x.as_ref().map(|(_, e)| e.clone());
    let (bo, bt, o, t) = (get(&slot.bo), get(&slot.bt), get(&slot.o), get(&slot.t));
    let here = bo != o;
    let there = changed_there(flow, bt.as_ref(), t.as_ref());
    // Until decided otherwise: both sides stay, and what was agreed on stays agreed.
    (slot.ro, slot.rt, slot.nbo, slot.nbt) = (o.clone(), t.clone(), bo.clone(), bt.clone());
    match (here, there) {
        (false, false) => {
            // White space and case as the provider has them now; nothing that a person would call a change.
            if t.is_some() && bt.is_some() {
                slot.nbt = t;
            }
        }
        (true, false) if flow.out => {
            slot.rt = match (&bo, &o, &bt, &t) {
                (_, None, _, _) => None,
                (Some(bo), Some(o), Some(_), Some(t)) => Some(cross(flow, bo, o, t)),
                (_, Some(o), _, _) => Some(o.clone()),
            };
            if slot.rt == t {
                (slot.nbo, slot.nbt) = (o, t);
            }
        }
        (false, true) if flow.inn => match (&bo, &bt, &t) {
            (_, _, None) => agree(slot, None, None),
            (Some(bo), Some(bt), Some(new)) => match raise(flow, bo, bt, bo, new) {
                Some(lifted) => agree(slot, Some(lifted), t.clone()),
                None => fight(slot, flow, &bo.clone(), o, t.clone()),
            },
            (Some(_), None, Some(new)) => {
                // The provider could not hold it, and now shows something: equal in meaning, or a clash.
                let same = o
                    .as_ref()
                    .is_some_and(|o| normalize::key(flow.field, &o.value) == normalize::key(flow.field, &new.value));
                if same { agree(slot, o, t.clone()) } else { clash_over(slot, flow, o, t.clone()) }
            }
            (None, _, Some(new)) => agree(slot, Some(new.clone()), t.clone()),
        },
        (true, true) => both(slot, flow, bo, bt, o, t),
        (true, false) | (false, true) => {}
    }
}

/// Both sides stand as these, and have agreed on it.
fn agree(slot: &mut Slot, ours: Option<Element>, theirs: Option<Element>) {
    (slot.ro, slot.rt) = (ours.clone(), theirs.clone());
    (slot.nbo, slot.nbt) = (ours, theirs);
}

fn both(
    slot: &mut Slot,
    flow: &Flow<'_>,
    bo: Option<Element>,
    bt: Option<Element>,
    o: Option<Element>,
    t: Option<Element>,
) {
    match (bo, bt, o, t) {
        (_, _, None, None) => agree(slot, None, None),
        // A change beats a removal (R3); in one-way the provider's word stands, and ours is kept as a clash.
        (bo, bt, None, Some(t)) if flow.inn => {
            let lifted = match (&bo, &bt) {
                (Some(bo), Some(bt)) => raise(flow, bo, bt, bo, &t).unwrap_or_else(|| t.clone()),
                _ => t.clone(),
            };
            if !flow.out {
                slot.clash = Some((None, Some(t.clone())));
            }
            agree(slot, Some(lifted), Some(t));
        }
        (bo, _, Some(o), None) if flow.out => {
            // Theirs is dealt with; ours is still to be sent.
            (slot.ro, slot.rt) = (Some(o.clone()), Some(o));
            (slot.nbo, slot.nbt) = (bo, None);
        }
        (_, _, Some(o), None) if flow.inn => {
            slot.clash = Some((Some(o), None));
            agree(slot, None, None);
        }
        (Some(bo), Some(bt), Some(o), Some(t)) => parts(slot, flow, &bo, &bt, o, t),
        (_, _, Some(o), Some(t)) => {
            // New on both sides with one key, or the same scalar filled in twice.
            let same = normalize::key(flow.field, &o.value) == normalize::key(flow.field, &t.value);
            if !same {
                clash_over(slot, flow, Some(o), Some(t));
            } else if o.labels == t.labels || o.labels.is_empty() || t.labels.is_empty() {
                meet(slot, flow, &o, &t);
            } else {
                clash_over(slot, flow, Some(o), Some(t));
            }
        }
        _ => {}
    }
}

/// The same element, first met on both sides: what one side says of it and the other doesn't is taken over.
fn meet(slot: &mut Slot, flow: &Flow<'_>, o: &Element, t: &Element) {
    let (mut ro, mut rt) = (o.clone(), t.clone());
    if o.labels.is_empty() && flow.inn {
        ro.labels = t.labels.clone();
    } else if t.labels.is_empty() && flow.out {
        rt.labels = o.labels.clone();
    }
    if flow.rules.caps.keeps_preferred.contains(flow.field) && flow.out {
        rt.preferred = o.preferred;
    }
    if rt == *t {
        agree(slot, Some(ro), Some(rt));
    } else {
        // Ours is agreed on but for what is still to be sent.
        let unsent = Element { labels: t.labels.clone(), preferred: t.preferred, ..ro.clone() };
        (slot.ro, slot.rt, slot.nbo, slot.nbt) = (Some(ro), Some(rt), Some(unsent), Some(t.clone()));
    }
}

/// Both sides changed the same element: value, labels and mark are judged apart.
fn parts(slot: &mut Slot, flow: &Flow<'_>, bo: &Element, bt: &Element, o: Element, t: Element) {
    let keeps_mark = flow.rules.caps.keeps_preferred.contains(flow.field);
    let (v_here, v_there) = (bo.value != o.value, !normalize::alike(flow.field, &bt.value, &t.value));
    let (l_here, l_there) = (bo.labels != o.labels, bt.labels != t.labels);
    let (p_here, p_there) = (bo.preferred != o.preferred, keeps_mark && bt.preferred != t.preferred);
    let same_value = normalize::key(flow.field, &o.value) == normalize::key(flow.field, &t.value);
    if (v_here && v_there && !same_value) || (l_here && l_there && o.labels != t.labels) {
        return fight(slot, flow, bo, Some(o), Some(t));
    }
    let (mut ro, mut rt, mut nbo, mut nbt) = (o.clone(), t.clone(), bo.clone(), bt.clone());
    if v_there && !v_here && flow.inn {
        match lossy::lift(flow.field, &bo.value, &bt.value, &t.value) {
            Lifted::Value(value) => (ro.value, nbo.value, nbt.value) = (value.clone(), value, t.value.clone()),
            Lifted::Unclear => return fight(slot, flow, bo, Some(o), Some(t)),
        }
    } else if v_here && !v_there && flow.out {
        rt.value = lossy::lower(&bo.value, &o.value, &t.value);
    } else if v_here && v_there {
        (nbo.value, nbt.value) = (o.value.clone(), t.value.clone());
    }
    if l_there && !l_here && flow.inn {
        (ro.labels, nbo.labels, nbt.labels) = (t.labels.clone(), t.labels.clone(), t.labels.clone());
    } else if l_here && !l_there && flow.out {
        rt.labels = o.labels.clone();
    } else if l_here && l_there {
        (nbo.labels, nbt.labels) = (o.labels.clone(), t.labels.clone());
    }
    if p_there && !p_here && flow.inn {
        (ro.preferred, nbo.preferred, nbt.preferred) = (t.preferred, t.preferred, t.preferred);
    } else if p_here && !p_there && flow.out && keeps_mark {
        rt.preferred = o.preferred;
    } else if p_here && p_there {
        (nbo.preferred, nbt.preferred) = (o.preferred, t.preferred);
    }
    (slot.ro, slot.rt, slot.nbo, slot.nbt) = (Some(ro), Some(rt), Some(nbo), Some(nbt));
}

/// A change of ours carried over to the provider's element: what we did not change stays as the provider wrote it.
fn cross(flow: &Flow<'_>, bo: &Element, o: &Element, t: &Element) -> Element {
    let mut result = t.clone();
    if bo.value != o.value {
        result.value = lossy::lower(&bo.value, &o.value, &t.value);
    }
    if bo.labels != o.labels {
        result.labels = o.labels.clone();
    }
    if bo.preferred != o.preferred && flow.rules.caps.keeps_preferred.contains(flow.field) {
        result.preferred = o.preferred;
    }
    result
}

/// A change of theirs carried over to our element; `None` where it can't be told what it means.
fn raise(flow: &Flow<'_>, bo: &Element, bt: &Element, onto: &Element, t: &Element) -> Option<Element> {
    let mut result = onto.clone();
    if !normalize::alike(flow.field, &bt.value, &t.value) {
        match lossy::lift(flow.field, &bo.value, &bt.value, &t.value) {
            Lifted::Value(value) => result.value = value,
            Lifted::Unclear => return None,
        }
    }
    if bt.labels != t.labels {
        result.labels = t.labels.clone();
    }
    if flow.rules.caps.keeps_preferred.contains(flow.field) && bt.preferred != t.preferred {
        result.preferred = t.preferred;
    }
    Some(result)
}

/// A clash over an element that both sides had agreed on.
fn fight(slot: &mut Slot, flow: &Flow<'_>, bo: &Element, o: Option<Element>, t: Option<Element>) {
    clash_over(slot, flow, o.clone(), t.clone());
    if slot.rt != t
        && let (Some(o), Some(t)) = (o, t)
    {
        // Ours stands: sent as a change of their element, so that its other parts stay.
        slot.rt = Some(cross(flow, bo, &o, &t));
        slot.nbo = Some(bo.clone());
    }
}

/// A clash: the winner stands on both sides as far as it may flow, the loser is kept in the list.
fn clash_over(slot: &mut Slot, flow: &Flow<'_>, o: Option<Element>, t: Option<Element>) {
    slot.clash = Some((o.clone(), t.clone()));
    let side = (flow.rules.winner)(flow.field).side;
    match stands(side, flow) {
        Side::Theirs => agree(slot, t.clone(), t),
        Side::Ours => {
            // Theirs is dealt with, so that a crash before the send doesn't let it win later; ours is still to be sent.
            slot.ro = o.clone();
            slot.rt = o;
            slot.nbt = t;
        }
        Side::Undecided => {}
    }
}

/// Who stands, given where the field may flow: in one-way the provider, whatever the policy says (rule 11).
fn stands(side: Side, flow: &Flow<'_>) -> Side {
    match (flow.inn, flow.out) {
        (true, false) => Side::Theirs,
        (false, true) => Side::Ours,
        _ => side,
    }
}

fn clash(field: Field, o: Option<&Element>, t: Option<&Element>, judged: Judged, flow: &Flow<'_>) -> Clash {
    let shape = |e: Option<&Element>| match field.shape() {
        Shape::One => FieldValue::One(e.map(|e| e.value.clone())),
        Shape::Many => FieldValue::Many(e.cloned().into_iter().collect()),
    };
    Clash {
        about: About::Field(field),
        ours: shape(o),
        theirs: shape(t),
        stands: stands(judged.side, flow),
        ours_at: judged.ours_at,
        theirs_at: judged.theirs_at,
    }
}

/// Chooses which elements are shown where only so many fit: preferred first, then those already there, then by place
/// (R2). Records that we know nothing of are never displaced.
fn make_room(field: Field, slots: &mut [Slot], rules: &Rules<'_>) {
    for slot in slots.iter_mut() {
        // Waiting for room and not shown: a candidate again.
        if slot.withheld == Some(Withheld::Room) && slot.rt.is_none() && slot.t.is_none() && slot.bt.is_none() {
            slot.rt = slot.ro.clone();
        }
    }
    let most = rules.caps.most.get(&field).map_or(usize::MAX, |n| usize::from(*n));
    let mut shown: Vec<usize> = (0..slots.len()).filter(|i| slots[*i].rt.is_some()).collect();
    if shown.len() <= most {
        return;
    }
    shown.sort_by_key(|i| {
        let slot = &slots[*i];
        let foreign = slot.ro.is_none();
        let preferred = slot.ro.as_ref().is_some_and(|e| e.preferred);
        let rank = if foreign {
            0
        } else if preferred {
            1
        } else if slot.t.is_some() {
            2
        } else {
            3
        };
        (rank, slot.o.as_ref().map_or(usize::MAX, |(place, _)| *place), *i)
    });
    for i in shown.into_iter().skip(most) {
        let slot = &mut slots[i];
        if slot.t.is_none() {
            // Never shown: agreed on as staying here.
            slot.nbo = slot.ro.clone();
            slot.nbt = None;
        }
        slot.rt = None;
        slot.withheld = Some(Withheld::Room);
    }
}

/// Puts the slots' results back into lists, each side in its own order, new elements last.
fn write_back(field: Field, mut slots: Vec<Slot>, out: &mut Merged) {
    let place = |x: &Option<(usize, Element)>| x.as_ref().map_or(usize::MAX, |(i, _)| *i);
    let number = |i: usize| u16::try_from(i).unwrap_or(u16::MAX);

    slots.sort_by_key(|s| (place(&s.bo), place(&s.o), place(&s.bt), place(&s.t)));
    let (mut nbo, mut nbt, mut both, mut withheld) =
        (Vec::new(), Vec::new(), Vec::new(), std::collections::BTreeMap::new());
    for slot in &slots {
        match (&slot.nbo, &slot.nbt) {
            (Some(o), Some(t)) => {
                both.push((number(nbo.len()), number(nbt.len())));
                nbo.push(o.clone());
                nbt.push(t.clone());
            }
            (Some(o), None) => {
                withheld.insert(number(nbo.len()), slot.withheld.unwrap_or(Withheld::Refused));
                nbo.push(o.clone());
            }
            (None, Some(t)) => nbt.push(t.clone()),
            (None, None) => {}
        }
    }
    set(&mut out.base.ours, field, nbo);
    set(&mut out.base.theirs, field, nbt);
    put(&mut out.base.pairs, field, both, withheld);

    // Ours in our order, theirs in theirs; the pairs between the two results by slot.
    let mut by_ours: Vec<usize> = (0..slots.len()).filter(|i| slots[*i].ro.is_some()).collect();
    by_ours.sort_by_key(|i| (place(&slots[*i].o), place(&slots[*i].t), *i));
    let mut by_theirs: Vec<usize> = (0..slots.len()).filter(|i| slots[*i].rt.is_some()).collect();
    by_theirs.sort_by_key(|i| (place(&slots[*i].t), place(&slots[*i].o), *i));
    let (mut both, mut withheld) = (Vec::new(), std::collections::BTreeMap::new());
    for (x, i) in by_ours.iter().enumerate() {
        match by_theirs.iter().position(|j| j == i) {
            Some(y) => both.push((number(x), number(y))),
            None => {
                withheld.insert(number(x), slots[*i].withheld.unwrap_or(Withheld::Refused));
            }
        }
    }
    set(&mut out.ours, field, by_ours.iter().filter_map(|i| slots[*i].ro.clone()).collect());
    set(&mut out.theirs, field, by_theirs.iter().filter_map(|i| slots[*i].rt.clone()).collect());
    put(&mut out.pairs, field, both, withheld);
}

fn set(card: &mut Card, field: Field, elements: Vec<Element>) {
    let value = match field.shape() {
        Shape::One => FieldValue::One(elements.into_iter().next().map(|e| e.value)),
        Shape::Many => FieldValue::Many(elements),
    };
    card.set(field, value);
}

pub(super) fn put(
    pairs: &mut Pairs,
    field: Field,
    both: Vec<(u16, u16)>,
    withheld: std::collections::BTreeMap<u16, Withheld>,
) {
    pairs.both.remove(&field);
    pairs.withheld.remove(&field);
    if field.shape() == Shape::One {
        return; // a scalar is its own pair
    }
    if !both.is_empty() {
        pairs.both.insert(field, both);
    }
    if !withheld.is_empty() {
        pairs.withheld.insert(field, withheld);
    }
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
