//! Elements of a list: which one of one list is which of another.
//!
//! Owns: [`follow`] (the same side, earlier and later) and [`align`] (two sides that should say the same). Nothing here
//! collapses two elements because their keys are equal (rule 3): each element is matched at most once.

use std::borrow::Borrow;

use crate::card::field::{Element, Field, Kind};
use crate::card::normalize::{self, Key};
use crate::card::{Labels, field::Value};

/// Which element of a first list is which of a second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matching {
    /// For each element of the first, its place in the second.
    pub to: Vec<Option<usize>>,
    /// For each element of the second, its place in the first.
    pub from: Vec<Option<usize>>,
}

impl Matching {
    fn new(before: usize, after: usize) -> Self {
        Self { to: vec![None; before], from: vec![None; after] }
    }
    fn join(&mut self, b: usize, a: usize) {
        self.to[b] = Some(a);
        self.from[a] = Some(b);
    }
    /// Joins free elements for which `same` holds: first those in the same place, then in order of the first list.
    fn join_where(&mut self, same: impl Fn(usize, usize) -> bool) {
        for i in 0..self.to.len().min(self.from.len()) {
            if self.to[i].is_none() && self.from[i].is_none() && same(i, i) {
                self.join(i, i);
            }
        }
        for b in 0..self.to.len() {
            if self.to[b].is_none()
                && let Some(a) = (0..self.from.len()).find(|a| self.from[*a].is_none() && same(b, *a))
            {
                self.join(b, a);
            }
        }
    }
    /// The same, both lists taken in the given orders.
    fn join_in(&mut self, before: &[usize], after: &[usize], same: impl Fn(usize, usize) -> bool) {
        for b in before.iter().copied() {
            if self.to[b].is_none()
                && let Some(a) = after.iter().copied().find(|a| self.from[*a].is_none() && same(b, *a))
            {
                self.join(b, a);
            }
        }
    }
    fn free(side: &[Option<usize>]) -> Vec<usize> {
        (0..side.len()).filter(|i| side[*i].is_none()).collect()
    }
}

/// One side's list, earlier and later: which element became which. An element is followed by its content, by its key, and
/// last, where exactly one removal and one addition carry the same label, as a change of that element.
pub fn follow(field: Field, before: &[Element], after: &[Element]) -> Matching {
    let mut matching = by_key(field, before, after);
    // Only now: what has a key of its own to follow is no candidate for having been changed into something else.
    let (gone, new) = (Matching::free(&matching.to), Matching::free(&matching.from));
    for b in &gone {
        let labels = &before[*b].labels;
        let alone = gone.iter().filter(|i| before[**i].labels == *labels).count() == 1;
        let mut partners = new.iter().filter(|i| after[**i].labels == *labels);
        if let (true, Some(a), None) = (alone, partners.next(), partners.next()) {
            matching.join(*b, *a);
        }
    }
    matching
}

/// Two lists that should say the same, one of them rewritten by a provider: by key, then by label and place, then by
/// place where as many are left on both sides. An e-mail address that is another one was not rewritten.
pub fn align(field: Field, ours: &[Element], theirs: &[Element]) -> Matching {
    let mut matching = by_key(field, ours, theirs);
    if field.kind() == Kind::Email {
        return matching;
    }
    matching.join_where(|o, t| ours[o].labels == theirs[t].labels);
    let (left, right) = (Matching::free(&matching.to), Matching::free(&matching.from));
    if left.len() == right.len() {
        for (o, t) in left.into_iter().zip(right) {
            matching.join(o, t);
        }
    }
    matching
}

/// Two lists met for the first time: what has one key is one element, equal labels first.
pub fn meet(field: Field, ours: &[&Element], theirs: &[&Element]) -> Matching {
    by_key(field, ours, theirs)
}

fn by_key<E: Borrow<Element>>(field: Field, before: &[E], after: &[E]) -> Matching {
    let mut matching = Matching::new(before.len(), after.len());
    matching.join_where(|b, a| before[b].borrow() == after[a].borrow());
    if matching.to.iter().all(Option::is_some) || matching.from.iter().all(Option::is_some) {
        return matching;
    }
    // Keys are dear (phones are parsed): only for what is still alone.
    let keys = |list: &[E], joined: &[Option<usize>]| -> Vec<Option<Key>> {
        let each = list.iter().zip(joined);
        each.map(|(e, to)| to.is_none().then(|| normalize::key(field, &e.borrow().value))).collect()
    };
    let (kb, ka) = (keys(before, &matching.to), keys(after, &matching.from));
    let (ob, oa) = (by_content(before), by_content(after));
    matching.join_in(&ob, &oa, |b, a| kb[b] == ka[a] && before[b].borrow().labels == after[a].borrow().labels);
    matching.join_in(&ob, &oa, |b, a| kb[b] == ka[a]);
    matching
}

/// Which of several with one key is which goes by what they say: their order is not to be relied on.
fn by_content<E: Borrow<Element>>(list: &[E]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..list.len()).collect();
    order.sort_by_key(|i| {
        let Element { value, labels, preferred } = list[*i].borrow();
        (labels, value, preferred)
    });
    order
}

/// An element that stands for a scalar's value.
pub fn scalar(value: Value) -> Element {
    Element { value, labels: Labels::default(), preferred: false }
}
