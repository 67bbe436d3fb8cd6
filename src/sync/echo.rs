//! After a send: what the echo means for the base, and whether a send has landed at all.
//!
//! Owns: [`settle`], [`landed`], [`as_landed`], and what counts as an edit on either side ([`edited_here`], [`edited_there`]).

use crate::card::Card;
use crate::card::field::{Element, Field, FieldSet, FieldValue, Shape};
use crate::card::normalize;
use crate::sync::caps::Capabilities;
use crate::sync::view::{Base, Pairs, Withheld};
use crate::sync::{elements, lossy};

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
/// differs in the echo is a remote change for the next plan. What we sent and the echo lacks was refused; a field that the
/// provider takes and never shows was kept as sent. What only went along, because it stood there and nobody here ever took it
/// in, is not agreed on: should the field begin to come in, it is new.
pub fn settle(base: &Base, landed: &Landed<'_>, echo: &Card, caps: &Capabilities) -> Base {
    let Landed { ours, sent, before, mask, pairs } = *landed;
    let mut next = Base { converter: caps.converter, ..base.clone() };
    for field in mask.iter() {
        next.mapped.insert(field);
        next.ours.set(field, ours.get(field));
        let echo = if caps.reads.contains(field) { echo } else { sent };
        if field.shape() == Shape::One {
            next.theirs.set(field, echo.get(field));
            continue;
        }
        let list = |card: &Card| card.get(field).into_elements();
        let (sent, echo) = (list(sent), list(echo));
        let before = before.map(list).unwrap_or_default();
        let mut stored = elements::align(field, &sent, &echo);
        let untouched = elements::follow(field, &before, &sent);
        let agreed = elements::follow(field, &list(&base.theirs), &before);
        let both = pairs.both.get(&field).map_or(&[][..], Vec::as_slice);
        let went_along = |i: usize| {
            untouched.from[i].is_some_and(|b| agreed.from[b].is_none())
                && both.iter().all(|(_, s)| usize::from(*s) != i)
        };
        for (i, was) in untouched.from.iter().enumerate() {
            // A change that was refused: it still shows what was there before.
            if let (None, Some(b)) = (stored.to[i], *was)
                && let Some(e) = (0..echo.len()).find(|e| stored.from[*e].is_none() && echo[*e] == before[b])
            {
                (stored.to[i], stored.from[e]) = (Some(e), Some(i));
            }
        }
        let mut theirs = Vec::new();
        let mut place = vec![None; sent.len()];
        for (i, element) in sent.iter().enumerate() {
            let kept = untouched.from[i].is_some_and(|b| before[b] == *element);
            let shown = match (kept, stored.to[i]) {
                (true, _) if went_along(i) => None,
                // Two with one key made one: that is no removal of ours to follow (rule 3).
                (true, None) if twin(field, &sent, i) => None,
                (true, _) => Some(element.clone()),
                (false, Some(e)) => Some(echo[e].clone()),
                (false, None) => None,
            };
            if let Some(shown) = shown {
                place[i] = u16::try_from(theirs.len()).ok();
                theirs.push(shown);
            }
        }
        let mut partners = Vec::new();
        let mut withheld = pairs.withheld.get(&field).cloned().unwrap_or_default();
        for (o, s) in both {
            match place.get(usize::from(*s)).copied().flatten() {
                Some(t) => partners.push((*o, t)),
                None => {
                    withheld.insert(*o, Withheld::Refused);
                }
            }
        }
        next.theirs.set(field, FieldValue::Many(theirs));
        next.pairs.set(field, partners, withheld);
    }
    next
}

/// Whether another element of the list has the same key.
fn twin(field: Field, list: &[Element], i: usize) -> bool {
    let key = normalize::key(field, &list[i].value);
    list.iter().enumerate().any(|(j, e)| j != i && normalize::key(field, &e.value) == key)
}

/// Whether the provider shows `sent` in the masked fields, as far as a person can tell.
pub fn landed(sent: &Card, mask: FieldSet, shown: &Card) -> bool {
    mask.iter().all(|field| alike_lists(field, &sent.get(field).into_elements(), &shown.get(field).into_elements()))
}

/// Whether a send whose answer was lost has landed, told by what the provider shows some time later. A write lands whole or
/// not at all: one value that only the send can have brought says that it did, unless another one that was to come with it has
/// no place there: then somebody else may have written the same, and what is missing is sent again rather than taken as
/// refused. Else one that the send would have replaced, or one that it would have brought and that is missing, says that it
/// did not: had it landed and been edited over since, then what was sent stands as a conflict beside the edit, and nothing is
/// lost. That something is missing which the send would have removed says nothing: somebody else may have removed the same.
/// Nor does another picture than the one before: it may be ours, shrunk, or somebody's own.
pub fn has_landed(sent: &Card, before: &Card, mask: FieldSet, shown: &Card) -> bool {
    let (mut brought, mut replaced, mut lacks) = (false, false, false);
    for field in mask.iter().filter(|f| !sent.same(before, *f)) {
        let list = |card: &Card| card.get(field).into_elements();
        let (sent, before, shown) = (list(sent), list(before), list(shown));
        let shows = |e: &Element| shown.iter().any(|s| s.labels == e.labels && lossy::shows(field, &e.value, &s.value));
        let among = |e: &Element, all: &[Element]| {
            all.iter().any(|a| a.labels == e.labels && normalize::alike(field, &a.value, &e.value))
        };
        let new: Vec<bool> = sent.iter().filter(|e| !among(e, &before)).map(shows).collect();
        let old: Vec<bool> = before.iter().filter(|e| !among(e, &sent)).map(|e| among(e, &shown)).collect();
        brought |= new.contains(&true) && (field != Field::Photo || sent.iter().all(|e| among(e, &shown)));
        replaced |= old.contains(&true) || new.contains(&false);
        let place = elements::align(field, &sent, &shown).to;
        // A picture may have been refused, or still be made into another, whatever became of the rest.
        lacks |=
            field != Field::Photo && sent.iter().zip(place).any(|(e, place)| place.is_none() && !among(e, &before));
    }
    (brought && !lacks) || !replaced
}

/// What the provider must have shown right after a send whose answer was lost, if it has landed: what it shows now, as far
/// as that may be what it made of `sent`, cut short or refused included; else `sent`, so that the difference counts as
/// somebody's change. For [`settle`] as its echo.
pub fn as_landed(sent: &Card, before: &Card, mask: FieldSet, shown: &Card) -> Card {
    let mut card = shown.clone();
    for field in mask.iter() {
        let list = |card: &Card| card.get(field).into_elements();
        let (sent, before, shown) = (list(sent), list(before), list(shown));
        let stored = elements::align(field, &sent, &shown);
        let untouched = elements::follow(field, &before, &sent);
        let mut then = Vec::new();
        for (i, element) in sent.into_iter().enumerate() {
            let kept = untouched.from[i].is_some_and(|b| before[b] == element);
            match stored.to[i].map(|e| &shown[e]) {
                // What we did not send stood there before.
                _ if kept => then.push(element),
                Some(now) if lossy::shows(field, &element.value, &now.value) => then.push(now.clone()),
                Some(_) => then.push(element),
                None => {}
            }
        }
        match field.shape() {
            Shape::One => card.set(field, FieldValue::One(then.into_iter().next().map(|e| e.value))),
            Shape::Many => card.set(field, FieldValue::Many(then)),
        }
    }
    card
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
