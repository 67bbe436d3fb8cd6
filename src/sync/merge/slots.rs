//! Lining up: which element of both bases and of both sides is the same one; and which are shown where only so many fit.

use crate::card::Card;
use crate::card::field::{Element, Field, Shape};
use crate::sync::elements::{self, Matching};
use crate::sync::view::{Base, Withheld};

/// One element as both bases and both sides have it, and what becomes of it.
#[derive(Debug, Default)]
pub(super) struct Slot {
    /// Base ours, base theirs, ours, theirs: place and content.
    pub(super) bo: Option<(usize, Element)>,
    pub(super) bt: Option<(usize, Element)>,
    pub(super) o: Option<(usize, Element)>,
    pub(super) t: Option<(usize, Element)>,
    pub(super) withheld: Option<Withheld>,
    /// Results: ours, theirs, and what both agree on before anything is sent.
    pub(super) ro: Option<Element>,
    pub(super) rt: Option<Element>,
    pub(super) nbo: Option<Element>,
    pub(super) nbt: Option<Element>,
    /// What was clashed over, if anything: the two sides' elements.
    pub(super) clash: Option<(Option<Element>, Option<Element>)>,
}

/// Every element of the field, once. Without a base it is a first meeting.
pub(super) fn slots(field: Field, base: Option<&Base>, ours: &Card, theirs: &Card) -> Vec<Slot> {
    let list = |card: &Card| card.get(field).into_elements();
    let (bo, bt) = base.map_or((Vec::new(), Vec::new()), |b| (list(&b.ours), list(&b.theirs)));
    let (o, t) = (list(ours), list(theirs));
    if field.shape() == Shape::One {
        let first = |list: Vec<Element>| list.into_iter().next().map(|e| (0, e));
        return vec![Slot { bo: first(bo), bt: first(bt), o: first(o), t: first(t), ..Slot::default() }];
    }
    let ours_now = elements::follow(field, &bo, &o);
    let theirs_now = elements::follow(field, &bt, &t);
    let pairs = base.and_then(|b| b.pairs.both.get(&field)).map_or(&[][..], Vec::as_slice);
    let withheld = base.and_then(|b| b.pairs.withheld.get(&field));
    let take = |list: &[Element], place: Option<usize>| place.and_then(|i| list.get(i).map(|e| (i, e.clone())));
    let mut slots = Vec::with_capacity(o.len().max(t.len()));
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
    let new = |of: &Matching| -> Vec<usize> { (0..of.from.len()).filter(|i| of.from[*i].is_none()).collect() };
    slots.extend(new(&ours_now).into_iter().map(|i| Slot { o: take(&o, Some(i)), ..Slot::default() }));
    slots.extend(new(&theirs_now).into_iter().map(|i| Slot { t: take(&t, Some(i)), ..Slot::default() }));
    keep_shown(&mut slots);
    // What is new there with the key of something that has no partner there is that element; so is what is new here with
    // the key of something that only they know.
    join(field, &mut slots, |s| s.bt.is_none(), |s| s.bt.is_none());
    join(field, &mut slots, |s| s.bo.is_none() && s.bt.is_none(), |_| true);
    slots
}

/// Of two that were the same to the letter one was removed here: rather the one that the provider never showed.
fn keep_shown(slots: &mut [Slot]) {
    let content = |slot: &Slot| slot.bo.as_ref().map(|(_, e)| e.clone());
    for i in 0..slots.len() {
        if slots[i].o.is_some() || slots[i].t.is_none() || slots[i].bo.is_none() {
            continue;
        }
        let was = content(&slots[i]);
        if let Some(j) =
            (0..slots.len()).find(|j| slots[*j].o.is_some() && slots[*j].bt.is_none() && content(&slots[*j]) == was)
        {
            slots[i].o = slots[j].o.take();
        }
    }
}

/// Makes one slot of two, where an element of ours without a partner and one of theirs without have the same key.
fn join(field: Field, slots: &mut Vec<Slot>, ours: impl Fn(&Slot) -> bool, theirs: impl Fn(&Slot) -> bool) {
    let alone_here: Vec<usize> =
        (0..slots.len()).filter(|i| slots[*i].o.is_some() && slots[*i].t.is_none() && ours(&slots[*i])).collect();
    let alone_there: Vec<usize> = (0..slots.len())
        .filter(|i| slots[*i].t.is_some() && slots[*i].bo.is_none() && slots[*i].o.is_none() && theirs(&slots[*i]))
        .collect();
    if alone_here.is_empty() || alone_there.is_empty() {
        return;
    }
    let here: Vec<&Element> = alone_here.iter().filter_map(|i| slots[*i].o.as_ref().map(|(_, e)| e)).collect();
    let there: Vec<&Element> = alone_there.iter().filter_map(|i| slots[*i].t.as_ref().map(|(_, e)| e)).collect();
    let same = elements::meet(field, &here, &there);
    let mut gone = Vec::new();
    for (x, y) in same.to.iter().enumerate().filter_map(|(x, y)| Some((x, (*y)?))) {
        let (bt, t) = (slots[alone_there[y]].bt.take(), slots[alone_there[y]].t.take());
        (slots[alone_here[x]].bt, slots[alone_here[x]].t) = (bt, t);
        gone.push(alone_there[y]);
    }
    let mut place = 0;
    slots.retain(|_| {
        place += 1;
        !gone.contains(&(place - 1))
    });
}

/// Chooses which elements are shown where only `most` fit: preferred first, then those already there, then by place
/// (R2). What only the provider knows is never displaced, and a list that is longer than it should be is not cut for it.
pub(super) fn make_room(slots: &mut [Slot], most: usize) {
    for slot in slots.iter_mut() {
        // Waiting for room and not shown: a candidate again.
        if slot.withheld == Some(Withheld::Room) && slot.rt.is_none() && slot.t.is_none() && slot.bt.is_none() {
            slot.rt = slot.ro.clone();
        }
    }
    let most = most.max(slots.iter().filter(|s| s.t.is_some()).count());
    let mut shown: Vec<usize> = (0..slots.len()).filter(|i| slots[*i].rt.is_some()).collect();
    if shown.len() <= most {
        return;
    }
    shown.sort_by_key(|i| {
        let slot = &slots[*i];
        let rank = match &slot.ro {
            None => 0,
            Some(element) if element.preferred => 1,
            Some(_) if slot.t.is_some() => 2,
            Some(_) => 3,
        };
        let place = |of: &Option<(usize, Element)>| of.as_ref().map_or(usize::MAX, |(place, _)| *place);
        (rank, place(&slot.o), place(&slot.t), *i)
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
