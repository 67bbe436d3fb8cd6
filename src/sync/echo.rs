//! After a send: what the echo means for the base, and whether a send has landed at all.
//!
//! Owns: [`settle`], [`landed`], and what counts as an edit on either side ([`edited_here`], [`edited_there`]).

use crate::card::Card;
use crate::card::field::{Element, Field, FieldSet, FieldValue, Shape};
use crate::card::normalize;
use crate::sync::view::{Base, Pairs, Withheld};
use crate::sync::{elements, merge};

/// What was sent, and with what it went.
#[derive(Clone, Copy, Debug)]
pub struct Landed<'a> {
    /// The person's card that went with it.
    pub ours: &'a Card,
    /// What the provider was to show.
    pub sent: &'a Card,
    /// What it showed before; `None` for a create.
    pub before: Option<&'a Card>,
    /// The fields that were sent.
    pub mask: FieldSet,
    /// Which element of `ours` is which of `sent`.
    pub pairs: &'a Pairs,
}

/// What both sides agree on once a send has landed and the provider shows `echo` (rule 1; reconciliation B, closing).
///
/// Only what was sent moves: an element that we did not change keeps what was agreed on before, so that whatever else
/// differs in the echo is a remote change for the next plan. What we sent and the echo lacks was refused.
pub fn settle(base: &Base, landed: &Landed<'_>, echo: &Card, converter: u16) -> Base {
    let Landed { ours, sent, before, mask, pairs } = *landed;
    let mut next = Base { converter, ..base.clone() };
    for field in mask.iter() {
        next.mapped.insert(field);
        next.ours.set(field, ours.get(field));
        if field.shape() == Shape::One {
            next.theirs.set(field, echo.get(field));
            continue;
        }
        let list = |card: &Card| card.get(field).into_elements();
        let (sent, echo) = (list(sent), list(echo));
        let before = before.map(list).unwrap_or_default();
        let stored = elements::align(field, &sent, &echo);
        let untouched = elements::follow(field, &before, &sent);
        let mut theirs = Vec::new();
        let mut place = vec![None; sent.len()];
        for (i, element) in sent.iter().enumerate() {
            let kept = untouched.from[i].is_some_and(|b| before[b] == *element);
            let shown = match (kept, stored.to[i]) {
                (true, _) => Some(element.clone()),
                (false, Some(e)) => Some(echo[e].clone()),
                (false, None) => None,
            };
            if let Some(shown) = shown {
                place[i] = u16::try_from(theirs.len()).ok();
                theirs.push(shown);
            }
        }
        let mut both = Vec::new();
        let mut withheld = pairs.withheld.get(&field).cloned().unwrap_or_default();
        for (o, s) in pairs.both.get(&field).map_or(&[][..], Vec::as_slice) {
            match place.get(usize::from(*s)).copied().flatten() {
                Some(t) => both.push((*o, t)),
                None => {
                    withheld.insert(*o, Withheld::Refused);
                }
            }
        }
        next.theirs.set(field, FieldValue::Many(theirs));
        merge::put(&mut next.pairs, field, both, withheld);
    }
    next
}

/// Whether the provider shows `sent` in the masked fields, as far as a person can tell: the send has landed.
pub fn landed(sent: &Card, mask: FieldSet, shown: &Card) -> bool {
    mask.iter().all(|field| alike_lists(field, &sent.get(field).into_elements(), &shown.get(field).into_elements()))
}

/// Whether the provider's record differs from the base in a field that flows in, as far as a person can tell.
pub fn edited_there(base: &Base, theirs: &Card, fields: FieldSet) -> bool {
    fields.and(base.mapped).iter().any(|field| {
        !base.theirs.same(theirs, field)
            && !alike_lists(field, &base.theirs.get(field).into_elements(), &theirs.get(field).into_elements())
    })
}

/// Whether the person differs from the base in a field that flows out (R6: an edit).
pub fn edited_here(base: &Base, ours: &Card, fields: FieldSet) -> bool {
    fields.and(base.mapped).iter().any(|field| !base.ours.same(ours, field))
}

fn alike_lists(field: Field, a: &[Element], b: &[Element]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let matching = elements::follow(field, a, b);
    matching.to.iter().enumerate().all(|(i, to)| {
        to.is_some_and(|j| normalize::alike(field, &a[i].value, &b[j].value) && a[i].labels == b[j].labels)
    })
}
