//! Three cards out of any bytes, merged: what only one side touched stands, both sides come to rest, and nothing is lost.
#![no_main]

use contactd::card::field::{Element, Field, FieldSet};
use contactd::card::normalize::{Key, key, tidy};
use contactd::card::{Card, Item, Labels};
use contactd::sync::caps::Capabilities;
use contactd::sync::merge::{Judged, Rules, merge};
use contactd::sync::plan::Side;
use contactd::sync::view::Base;
use libfuzzer_sys::fuzz_target;

/// Few values, so that they meet: four names, e-mails, numbers and labels.
fn card(bytes: &mut impl Iterator<Item = u8>) -> Card {
    let mut card = Card::default();
    let mut next = || bytes.next().unwrap_or(0);
    let name = |n: u8| (n % 4 > 0).then(|| format!("Name{}", n % 4));
    card.given = name(next());
    card.note = name(next());
    let label = |n: u8| ["", "work", "home", "Lake"][usize::from(n / 64)];
    for _ in 0..next() % 4 {
        let n = next();
        card.emails.push(Item::new(format!("{}{}@example.com", ["a", "A", "b", "c"][usize::from(n % 4)], n / 4 % 2)).labelled(label(n)));
    }
    for _ in 0..next() % 4 {
        let n = next();
        card.phones.push(Item::new(["+1 212 555 0100", "+12125550100", "+1 212 555 0199", "2125550100"][usize::from(n % 4)]).labelled(label(n)));
    }
    tidy(&mut card);
    card
}

/// What the card says: which of two elements stands first, and how an address or a number is written, is nobody's edit.
fn said(card: &Card) -> Vec<(Field, Vec<(Key, Labels)>)> {
    let fields = [Field::Given, Field::Note, Field::Emails, Field::Phones];
    let said = |field: Field| {
        let one = |element: Element| (key(field, &element.value), element.labels);
        let mut all: Vec<_> = card.get(field).into_elements().into_iter().map(one).collect();
        all.sort();
        (field, all)
    };
    fields.into_iter().map(said).collect()
}

fuzz_target!(|raw: &[u8]| {
    let mut bytes = raw.iter().copied();
    let most = bytes.next().unwrap_or(0) % 4;
    let side = if bytes.next().unwrap_or(0) % 2 == 0 { Side::Ours } else { Side::Theirs };
    let (base, ours, theirs) = (card(&mut bytes), card(&mut bytes), card(&mut bytes));
    let fields: FieldSet = [Field::Given, Field::Note, Field::Emails, Field::Phones].into_iter().collect();
    let mut caps = Capabilities::everything();
    if most > 0 {
        caps.most.insert(Field::Emails, most.into());
    }
    let winner = |_| Judged { side, ours_at: None, theirs_at: None };
    let rules = Rules { incoming: fields, outgoing: fields, asked: FieldSet::NONE, caps: &caps, winner: &winner };
    let shared = Base::shared(&base, fields);
    let merged = merge(&shared, &ours, &theirs, &rules);
    if most == 0 {
        if ours == base {
            assert_eq!(said(&merged.ours), said(&theirs), "only they changed something");
        }
        if theirs == base {
            assert_eq!(said(&merged.ours), said(&ours), "only we changed something");
        }
    }
    // Where the provider takes what it is sent, the next merge has nothing to do.
    let settled = Base { ours: merged.ours.clone(), theirs: merged.theirs.clone(), pairs: merged.pairs.clone(), ..merged.base.clone() };
    let after = merge(&settled, &merged.ours, &merged.theirs, &rules);
    assert!(after.take.is_empty() && after.send.is_empty() && after.clashes.is_empty(), "it does not rest: {after:?}");
});
