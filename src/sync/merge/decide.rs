//! What becomes of one element, or of a scalar: value, labels and mark are judged apart.
//!
//! Each arm says what both sides should hold (`ro`, `rt`) and what both have agreed on before anything is sent (`nbo`,
//! `nbt`): what is still to be sent stays a difference between `nbo` and `ro`, so that a crash in between changes nothing;
//! what came from there is dealt with, so that it can't win a second time.

use crate::card::Labels;
use crate::card::field::{Element, Field, Value};
use crate::card::normalize;
use crate::sync::lossy::{self, Lifted};
use crate::sync::plan::Side;

use super::slots::Slot;

/// How one field flows.
pub(super) struct Flow {
    pub(super) field: Field,
    /// Into the CRM.
    pub(super) inn: bool,
    /// To the provider.
    pub(super) out: bool,
    /// Whether the provider keeps preferred marks here.
    pub(super) keeps_mark: bool,
    /// Whether one of ours is marked.
    pub(super) marked_here: bool,
    /// Who stands in a clash.
    pub(super) stands: Side,
}

impl Flow {
    /// Whether a provider that shows `b` where it showed `a` has changed something.
    fn changed_there(&self, a: Option<&Element>, b: Option<&Element>) -> bool {
        match (a, b) {
            (Some(a), Some(b)) => {
                !normalize::alike(self.field, &a.value, &b.value)
                    || a.labels != b.labels
                    || (self.keeps_mark && a.preferred != b.preferred)
            }
            (a, b) => a.is_some() != b.is_some(),
        }
    }
    /// Ours as a new element there; a mark that is not kept is not sent.
    fn sent(&self, o: &Element) -> Element {
        Element { preferred: o.preferred && self.keeps_mark, ..o.clone() }
    }
    fn same_key(&self, a: &Value, b: &Value) -> bool {
        a == b || normalize::key(self.field, a) == normalize::key(self.field, b)
    }
}

pub(super) fn decide(slot: &mut Slot, flow: &Flow) {
    let get = |x: &Option<(usize, Element)>| x.as_ref().map(|(_, e)| e.clone());
    let (bo, bt, o, t) = (get(&slot.bo), get(&slot.bt), get(&slot.o), get(&slot.t));
    let here = bo != o;
    let there = flow.changed_there(bt.as_ref(), t.as_ref());
    // Until decided otherwise: both sides stay, and what was agreed on stays agreed.
    (slot.ro, slot.rt, slot.nbo, slot.nbt) = (o.clone(), t.clone(), bo.clone(), bt.clone());
    if !here && !there {
        if t.is_some() && bt.is_some() {
            slot.nbt = t; // White space and case as the provider has them now.
        }
        return;
    }
    match (bo, bt, o, t) {
        (Some(bo), Some(bt), Some(o), Some(t)) => parts(slot, flow, &bo, &bt, &o, &t),
        // First met, or without a partner so far.
        (bo, _, Some(o), Some(t)) if there => met(slot, flow, bo.as_ref(), &o, &t),
        (_, _, Some(o), Some(_)) if flow.out => slot.rt = Some(flow.sent(&o)),
        (_, _, Some(_), Some(_)) => {}
        (bo, bt, None, Some(t)) => removed_here(slot, flow, bo.as_ref(), bt.as_ref(), t, here, there),
        (_, _, Some(o), None) => removed_there(slot, flow, o, here, there),
        (_, _, None, None) => agree(slot, None, None),
    }
}

/// Both sides stand as these, and have agreed on it.
fn agree(slot: &mut Slot, ours: Option<Element>, theirs: Option<Element>) {
    (slot.ro, slot.rt) = (ours.clone(), theirs.clone());
    (slot.nbo, slot.nbt) = (ours, theirs);
}

/// They have it and we don't: it is new there, or removed here.
fn removed_here(
    slot: &mut Slot,
    flow: &Flow,
    bo: Option<&Element>,
    bt: Option<&Element>,
    t: Element,
    here: bool,
    there: bool,
) {
    if there && flow.inn {
        // New, or changed; a change beats a removal (R3). In one-way that shows.
        if here && !flow.out {
            slot.clash = Some((None, Some(t.clone())));
        }
        let lifted = match (bo, bt) {
            (Some(bo), Some(bt)) => raise(flow, bo, bt, &t),
            _ => t.clone(),
        };
        agree(slot, Some(lifted), Some(t));
    } else if here && flow.out {
        // Still to be removed there. What changed there can't flow in: it is kept in the list.
        if there {
            slot.clash = Some((None, Some(t.clone())));
        }
        (slot.rt, slot.nbt) = (None, Some(t));
    }
}

/// We have it and they don't: it is new here, removed there, or never was there.
fn removed_there(slot: &mut Slot, flow: &Flow, o: Element, here: bool, there: bool) {
    match (here, there) {
        (true, _) if flow.out => {
            // New, or changed; a change beats a removal (R3), and is sent as something new.
            slot.rt = Some(flow.sent(&o));
            if there {
                (slot.nbo, slot.nbt) = (None, None);
            }
        }
        (true, true) => {
            slot.clash = Some((Some(o), None));
            agree(slot, None, None);
        }
        (false, true) if flow.inn => agree(slot, None, None),
        _ => {}
    }
}

/// The same element, first met on both sides: what one side says of it and the other doesn't is taken over.
fn met(slot: &mut Slot, flow: &Flow, bo: Option<&Element>, o: &Element, t: &Element) {
    if !flow.same_key(&o.value, &t.value) {
        slot.clash = Some((Some(o.clone()), Some(t.clone())));
        match flow.stands {
            Side::Theirs => agree(slot, Some(t.clone()), Some(t.clone())),
            Side::Ours => {
                slot.rt = Some(o.clone());
                (slot.nbo, slot.nbt) = (bo.filter(|bo| *bo != o).or(bo.and(Some(t))).cloned(), Some(t.clone()));
            }
            Side::Undecided => {}
        }
        return;
    }
    let (mut ro, mut rt) = (o.clone(), t.clone());
    if o.labels.is_empty() {
        if flow.inn {
            ro.labels = t.labels.clone();
        }
    } else if t.labels.is_empty() {
        if flow.out {
            rt.labels = o.labels.clone();
        }
    } else if o.labels != t.labels {
        slot.clash = Some((Some(o.clone()), Some(t.clone())));
        match flow.stands {
            Side::Theirs => ro.labels = t.labels.clone(),
            Side::Ours => rt.labels = o.labels.clone(),
            Side::Undecided => return,
        }
    }
    if flow.keeps_mark && o.preferred != t.preferred {
        if t.preferred && flow.inn && !flow.marked_here {
            ro.preferred = true;
        } else if flow.out {
            rt.preferred = o.preferred;
        }
    }
    let mut agreed = ro.clone();
    if rt.labels != t.labels {
        agreed.labels = t.labels.clone();
    }
    if rt.preferred != t.preferred {
        agreed.preferred = t.preferred;
    }
    (slot.ro, slot.rt, slot.nbo, slot.nbt) = (Some(ro), Some(rt), Some(agreed), Some(t.clone()));
}

/// Both sides have it and had it.
fn parts(slot: &mut Slot, flow: &Flow, bo: &Element, bt: &Element, o: &Element, t: &Element) {
    let mut to = Parts { ro: o.clone(), rt: t.clone(), nbo: bo.clone(), nbt: bt.clone() };
    let clashed = [value(&mut to, flow, bo, bt, o, t), labels(&mut to, flow, bo, bt, o, t)].contains(&true);
    mark(&mut to, flow, bo, bt, o, t);
    if clashed {
        slot.clash = Some((Some(o.clone()), Some(t.clone())));
        if flow.stands == Side::Undecided {
            return;
        }
    }
    if flow.out && to.rt == *t {
        // Nothing is left to be sent.
        (to.nbo, to.nbt) = (to.ro.clone(), t.clone());
    }
    (slot.ro, slot.rt, slot.nbo, slot.nbt) = (Some(to.ro), Some(to.rt), Some(to.nbo), Some(to.nbt));
}

struct Parts {
    ro: Element,
    rt: Element,
    nbo: Element,
    nbt: Element,
}

/// True if both sides changed the value, to different ones; or if it can't be told what the change there means.
fn value(to: &mut Parts, flow: &Flow, bo: &Element, bt: &Element, o: &Element, t: &Element) -> bool {
    let here = bo.value != o.value;
    let there = !normalize::alike(flow.field, &bt.value, &t.value);
    if !there {
        if here && flow.out {
            to.rt.value = lossy::lower(&bo.value, &o.value, &t.value);
        }
        if flow.out || !here {
            to.nbt.value = t.value.clone();
        }
        return false;
    }
    if here && flow.same_key(&o.value, &t.value) {
        (to.nbo.value, to.nbt.value) = (o.value.clone(), t.value.clone());
        return false;
    }
    if !here && !flow.inn {
        return false;
    }
    let lifted = lossy::lift(flow.field, &bo.value, &bt.value, &t.value);
    let clash = here || lifted == Lifted::Unclear;
    match if clash { flow.stands } else { Side::Theirs } {
        Side::Theirs => {
            let taken = match lifted {
                Lifted::Value(value) => value,
                Lifted::Unclear => t.value.clone(),
            };
            (to.ro.value, to.nbo.value, to.nbt.value) = (taken.clone(), taken, t.value.clone());
        }
        Side::Ours => {
            (to.rt.value, to.nbt.value) = (o.value.clone(), t.value.clone());
            if !here || lossy::lower(&bo.value, &o.value, &t.value) != o.value {
                // The base must differ from ours in all that is still to be sent.
                to.nbo.value = t.value.clone();
            }
        }
        Side::Undecided => {}
    }
    clash
}

/// True if both sides changed the labels, to different ones.
fn labels(to: &mut Parts, flow: &Flow, bo: &Element, bt: &Element, o: &Element, t: &Element) -> bool {
    let (here, there) = (bo.labels != o.labels, bt.labels != t.labels);
    match (here, there) {
        (false, true) if flow.inn => {
            let taken = raise_labels(&bo.labels, &bt.labels, &t.labels);
            (to.ro.labels, to.nbo.labels, to.nbt.labels) = (taken.clone(), taken, t.labels.clone());
        }
        (true, false) if flow.out => to.rt.labels = o.labels.clone(),
        (true, true) if o.labels == t.labels => {
            (to.nbo.labels, to.nbt.labels) = (o.labels.clone(), t.labels.clone());
        }
        (true, true) => {
            match flow.stands {
                Side::Theirs => {
                    let taken = t.labels.clone();
                    (to.ro.labels, to.nbo.labels, to.nbt.labels) = (taken.clone(), taken, t.labels.clone());
                }
                Side::Ours => (to.rt.labels, to.nbt.labels) = (o.labels.clone(), t.labels.clone()),
                Side::Undecided => {}
            }
            return true;
        }
        _ => {}
    }
    false
}

fn mark(to: &mut Parts, flow: &Flow, bo: &Element, bt: &Element, o: &Element, t: &Element) {
    let (here, there) = (bo.preferred != o.preferred, flow.keeps_mark && bt.preferred != t.preferred);
    if !flow.keeps_mark {
        to.nbt.preferred = t.preferred;
    }
    match (here, there) {
        (false, true) if flow.inn => {
            (to.ro.preferred, to.nbo.preferred, to.nbt.preferred) = (t.preferred, t.preferred, t.preferred);
        }
        (true, false) if flow.out && flow.keeps_mark => to.rt.preferred = o.preferred,
        (true, true) => (to.nbo.preferred, to.nbt.preferred) = (o.preferred, t.preferred),
        _ => {}
    }
}

/// A change of theirs carried over to an element that we have removed.
fn raise(flow: &Flow, bo: &Element, bt: &Element, t: &Element) -> Element {
    let mut result = t.clone();
    if normalize::alike(flow.field, &bt.value, &t.value) {
        result.value = bo.value.clone();
    } else if let Lifted::Value(value) = lossy::lift(flow.field, &bo.value, &bt.value, &t.value) {
        result.value = value;
    }
    result.labels = raise_labels(&bo.labels, &bt.labels, &t.labels);
    if !flow.keeps_mark || bt.preferred == t.preferred {
        result.preferred = bo.preferred;
    }
    result
}

/// Where a provider shows only some of an element's labels, those that it never showed are kept.
fn raise_labels(full: &Labels, image: &Labels, changed: &Labels) -> Labels {
    if image == changed {
        return full.clone();
    }
    if image.is_empty() || image.iter().any(|label| !full.contains(label)) {
        return changed.clone();
    }
    let hidden = full.iter().filter(|label| !image.contains(label));
    hidden.chain(changed.iter()).collect()
}
