//! A person decides a clash that nobody has decided (policy `ask`).
//!
//! Owns: what the choice makes of the person and of what both sides agree on. Only the one element, or the scalar, moves:
//! what else differs in the same field waits on. What is to be sent follows from the next plan.

use super::decide::{self, Flow};
use super::slots::slots;
use super::{Rules, shown, write_back};
use crate::card::Card;
use crate::card::field::{Element, FieldSet, Value};
use crate::sync::plan::{About, Clash, Side};
use crate::sync::view::{Base, Pairs};

/// What a person chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The CRM's value.
    Ours,
    /// The provider's value.
    Theirs,
    /// One typed in; `None` = nothing at all.
    Value(Option<Value>),
}

/// What the choice comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The person's card afterwards.
    pub ours: Card,
    /// What both sides agree on then. Where the CRM's value or a typed one was chosen it differs from `ours`, so that the
    /// next plan sends it.
    pub base: Base,
}

/// Decides one clash. `None` = the two sides do not clash over these values any more.
pub fn choose(
    base: &Base,
    ours: &Card,
    theirs: &Card,
    clash: &Clash,
    choice: &Choice,
    rules: &Rules<'_>,
) -> Option<Chosen> {
    let About::Field(field) = clash.about else { return None };
    let known = base.mapped.contains(field).then_some(base);
    let mut slots = slots(field, known, ours, theirs);
    let marked_here = slots.iter().any(|s| s.o.as_ref().is_some_and(|(_, e)| e.preferred));
    let flow = |stands| Flow {
        field,
        inn: rules.incoming.contains(field),
        out: rules.outgoing.contains(field),
        keeps_mark: rules.caps.keeps_preferred.contains(field),
        marked_here,
        stands,
    };
    let get = |x: &Option<(usize, Element)>| x.as_ref().map(|(_, e)| e.clone());
    let mut found = false;
    for slot in &mut slots {
        decide::decide(slot, &flow(Side::Undecided));
        let over = slot.clash.take();
        let same = over
            .is_some_and(|(o, t)| shown(field, o.as_ref()) == clash.ours && shown(field, t.as_ref()) == clash.theirs);
        if found || !same {
            (slot.ro, slot.rt, slot.nbo, slot.nbt) = (get(&slot.o), get(&slot.t), get(&slot.bo), get(&slot.bt));
            continue;
        }
        found = true;
        let side = if *choice == Choice::Ours { Side::Ours } else { Side::Theirs };
        decide::decide(slot, &flow(side));
        if let Choice::Value(value) = choice {
            let like = slot.ro.take().or_else(|| get(&slot.o));
            slot.ro = value.clone().map(|value| match like {
                Some(like) => Element { value, ..like },
                None => crate::sync::elements::scalar(value),
            });
        }
    }
    if !found {
        return None;
    }
    let mut out = super::Merged {
        ours: ours.clone(),
        theirs: theirs.clone(),
        take: FieldSet::NONE,
        send: FieldSet::NONE,
        pairs: Pairs::default(),
        base: base.clone(),
        clashes: Vec::new(),
    };
    write_back(field, slots, &mut out);
    out.base.mapped.insert(field);
    Some(Chosen { ours: out.ours, base: out.base })
}
