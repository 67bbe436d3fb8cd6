//! Laws that merge and echo keep for any cards: properties, tried on cards that are biased to collide.

mod convergence;
mod merging;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::card::field::{Element, Field, FieldSet};
use crate::card::normalize::{self, Key};
use crate::card::{Card, Item, Organization, PartialDate};
use crate::sync::merge::Judged;
use crate::sync::plan::Side;

/// What proptest tries where nobody says how many.
const STANDARD: u32 = 256;

/// So many cases, the same every time; `PROPTEST_CASES=100000` tries that many others. Nothing is written into the tree.
pub(super) fn cases(cases: u32) -> ProptestConfig {
    let asked = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if asked.cases == STANDARD { ProptestConfig { cases, rng_seed: RngSeed::Fixed(1), ..asked } } else { asked }
}

/// The fields that the laws try: every shape, every kind of rewriting.
pub(super) const FIELDS: [Field; 6] =
    [Field::Given, Field::Note, Field::Birthday, Field::Emails, Field::Phones, Field::Organizations];

pub(super) fn fields() -> FieldSet {
    FIELDS.into_iter().collect()
}

pub(super) fn judged(side: Side) -> impl Fn(Field) -> Judged {
    move |_| Judged { side, ours_at: None, theirs_at: None }
}

/// Values that are alike under another spelling are among them.
pub(super) const EMAILS: &[&str] = &["a@x.org", "A@x.org", "b@x.org", "c@x.org", "d@x.org", "e@x.org"];
pub(super) const PHONES: &[&str] = &["555-0100", "5550100", "+49 30 1234567", "+49301234567", "555 0200", "555 0300"];
pub(super) const NOTES: &[&str] = &["short", "a long note that goes on", "another long note of some length"];

fn item(values: &'static [&'static str]) -> impl Strategy<Value = Item<String>> {
    (prop::sample::select(values), labels(), prop::bool::weighted(0.2)).prop_map(|(value, labels, preferred)| {
        let mut item = Item::<String>::new(value);
        for label in labels {
            item = item.labelled(label);
        }
        Item { preferred, ..item }
    })
}

fn labels() -> impl Strategy<Value = Vec<&'static str>> {
    prop::sample::subsequence(vec!["home", "work"], 0..=2)
}

fn organization() -> impl Strategy<Value = Item<Organization>> {
    let part = |values: &'static [&'static str]| prop::option::of(prop::sample::select(values));
    (part(&["Acme", "ACME", "Beta"]), part(&["Boss", "Clerk"]), labels()).prop_filter_map(
        "something of it",
        |(company, title, labels)| {
            let of = |part: Option<&str>| part.map(str::to_owned);
            let value = Organization { company: of(company), title: of(title), ..Organization::default() };
            let mut item = Item { value, labels: crate::card::Labels::default(), preferred: false };
            for label in labels {
                item = item.labelled(label);
            }
            (item.value != Organization::default()).then_some(item)
        },
    )
}

/// Any card over the small alphabets; equal keys in one list are likely.
pub(super) fn card() -> impl Strategy<Value = Card> {
    let text = |values: &'static [&'static str]| prop::option::of(prop::sample::select(values));
    (
        text(&["Ann", "ANN", "Bea"]),
        text(NOTES),
        prop::option::of((prop::option::of(1980_i16..1982), 4_u8..5, 1_u8..3)),
        prop::collection::vec(item(EMAILS), 0..5),
        prop::collection::vec(item(PHONES), 0..3),
        prop::collection::vec(organization(), 0..2),
    )
        .prop_map(|(given, note, birthday, emails, phones, organizations)| Card {
            given: given.map(str::to_owned),
            note: note.map(str::to_owned),
            birthday: birthday.and_then(|(year, month, day)| PartialDate::new(year, month, day)),
            emails,
            phones,
            organizations,
            ..Card::default()
        })
}

/// A card in which no list has two elements with one key, and no two spellings of one value exist.
pub(super) fn plain() -> impl Strategy<Value = Card> {
    card().prop_map(|card| unique(spell(card)))
}

/// Two cards made from one by editing, which is what happens; unrelated ones would hardly ever meet.
pub(super) fn edited(of: impl Strategy<Value = Card>) -> impl Strategy<Value = (Card, Card, Card)> {
    (of, card(), card(), prop::collection::vec(any::<u8>(), 12))
        .prop_map(|(base, x, y, pick)| (edit(&base, &x, &pick[..6]), edit(&base, &y, &pick[6..]), base))
        .prop_map(|(x, y, base)| (base, x, y))
}

/// Takes some fields, and some elements, of another card.
pub(super) fn edit(base: &Card, other: &Card, pick: &[u8]) -> Card {
    let mut card = base.clone();
    for (field, pick) in FIELDS.into_iter().zip(pick) {
        let mut list = base.get(field).into_elements();
        let new = other.get(field).into_elements();
        match pick % 8 {
            0 => list = new,
            1 if !list.is_empty() => {
                list.remove(usize::from(pick / 8) % list.len());
            }
            2 if field.shape() == crate::card::field::Shape::Many => list.extend(new.into_iter().take(1)),
            3 => list.reverse(),
            4 => {
                if let (Some(e), Some(n)) = (list.first_mut(), new.into_iter().next()) {
                    e.value = n.value;
                }
            }
            5 => {
                if let (Some(e), Some(n)) = (list.last_mut(), new.into_iter().next()) {
                    (e.labels, e.preferred) = (n.labels, n.preferred);
                }
            }
            _ => {}
        }
        put(&mut card, field, list);
    }
    card
}

pub(super) fn put(card: &mut Card, field: Field, list: Vec<Element>) {
    match field.shape() {
        crate::card::field::Shape::One => {
            card.set(field, crate::card::field::FieldValue::One(list.into_iter().next().map(|e| e.value)));
        }
        crate::card::field::Shape::Many => card.set(field, crate::card::field::FieldValue::Many(list)),
    }
}

/// The keys of what a card says in a field, sorted.
pub(super) fn keys(card: &Card, field: Field) -> Vec<Key> {
    let mut keys: Vec<Key> = card.get(field).into_elements().iter().map(|e| normalize::key(field, &e.value)).collect();
    keys.sort();
    keys
}

/// What a card says in a field, without its order.
pub(super) fn bag(card: &Card, field: Field) -> Vec<Element> {
    let mut list = card.get(field).into_elements();
    list.sort();
    list
}

/// One spelling of each value, so that no change is one of spelling alone.
pub(super) fn spell(mut card: Card) -> Card {
    card.given = card.given.map(|g| g.replace("ANN", "Ann"));
    for email in &mut card.emails {
        email.value = email.value.to_lowercase();
    }
    for phone in &mut card.phones {
        phone.value.retain(|c| c != ' ' && c != '-');
    }
    for organization in &mut card.organizations {
        organization.value.company = organization.value.company.take().map(|c| c.replace("ACME", "Acme"));
    }
    card
}

/// The first of each key in a list.
pub(super) fn unique(mut card: Card) -> Card {
    for field in FIELDS {
        let mut seen = Vec::new();
        let mut list = card.get(field).into_elements();
        list.retain(|e| {
            let key = normalize::key(field, &e.value);
            let new = !seen.contains(&key);
            seen.push(key);
            new
        });
        put(&mut card, field, list);
    }
    card
}
