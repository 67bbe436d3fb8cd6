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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::field::Field;
    use crate::card::{Card, Item};
    use crate::sync::caps::Capabilities;
    use crate::sync::merge::{Judged, Merged, merge};
    use crate::sync::tests::{named, phones};

    fn undecided(_: Field) -> Judged {
        Judged { side: Side::Undecided, ours_at: None, theirs_at: None }
    }

    /// Merges, and chooses in the clash over that value of ours; then merges again.
    fn chosen(base: &Base, ours: &Card, theirs: &Card, over: usize, choice: &Choice) -> (Chosen, Merged) {
        let caps = Capabilities::everything();
        let all = FieldSet::all();
        let rules = Rules { incoming: all, outgoing: all, asked: FieldSet::NONE, caps: &caps, winner: &undecided };
        let clash = merge(base, ours, theirs, &rules).clashes.remove(over);
        let chosen = choose(base, ours, theirs, &clash, choice, &rules).unwrap();
        let again = merge(&chosen.base, &chosen.ours, theirs, &rules);
        assert_eq!(choose(&chosen.base, &chosen.ours, theirs, &clash, choice, &rules), None, "decided once");
        (chosen, again)
    }

    fn text(value: &str) -> Choice {
        Choice::Value(Some(Value::Text(value.into())))
    }

    #[test]
    fn rule_05_a_scalar_is_chosen_and_the_next_plan_sends_it() {
        let with = |note: &str| Card { note: Some(note.into()), ..named("Ann") };
        let base = Base::shared(&with("old"), FieldSet::all());
        // The last: what was agreed on before is typed in again, and must be sent all the same.
        let table = [
            (Choice::Ours, Some("ours")),
            (Choice::Theirs, Some("theirs")),
            (text("third"), Some("third")),
            (Choice::Value(None), None),
            (text("old"), Some("old")),
        ];
        for (choice, note) in table {
            let (chosen, again) = chosen(&base, &with("ours"), &with("theirs"), 0, &choice);
            assert_eq!(chosen.ours.note.as_deref(), note, "{choice:?}");
            assert_eq!((again.ours.note.as_deref(), again.theirs.note.as_deref()), (note, note), "{choice:?}");
            assert_eq!((again.clashes.len(), again.take.is_empty()), (0, true), "{choice:?}");
            assert_eq!(again.send.is_empty(), note == Some("theirs"), "{choice:?}");
        }
    }

    #[test]
    fn rule_05_a_first_meeting_is_decided_too() {
        let with = |note: &str| Card { note: Some(note.into()), ..named("Ann") };
        for (choice, note) in [(Choice::Ours, "ours"), (Choice::Theirs, "theirs"), (text("third"), "third")] {
            let (_, again) = chosen(&Base::default(), &with("ours"), &with("theirs"), 0, &choice);
            assert_eq!((again.ours.note.as_deref(), again.theirs.note.as_deref()), (Some(note), Some(note)));
            assert!(again.clashes.is_empty());
        }
    }

    #[test]
    fn rule_05_one_element_is_chosen_and_the_others_wait_on() {
        let list = |work: &str, home: &str| Card {
            phones: vec![Item::<String>::new(work).labelled("work"), Item::<String>::new(home).labelled("home")],
            ..phones(&[])
        };
        let base = Base::shared(&list("555 0101", "555 0102"), FieldSet::all());
        let (ours, theirs) = (list("555 0301", "555 0302"), list("555 0201", "555 0202"));
        for (choice, work) in [(Choice::Ours, "555 0301"), (Choice::Theirs, "555 0201"), (text("555 0401"), "555 0401")]
        {
            let (one, again) = chosen(&base, &ours, &theirs, 0, &choice);
            assert_eq!(again.clashes.len(), 1, "{choice:?}");
            assert!(again.send.is_empty(), "the field waits as a whole");
            assert_eq!(one.ours.phones[0].value, work);
            let (two, done) = chosen(&one.base, &one.ours, &theirs, 0, &Choice::Ours);
            assert!(done.clashes.is_empty());
            let values = |card: &Card| card.phones.iter().map(|p| p.value.clone()).collect::<Vec<_>>();
            assert_eq!(values(&two.ours), [work, "555 0302"]);
            assert_eq!(values(&done.theirs), [work, "555 0302"]);
            assert_eq!(done.theirs.phones[0].labels, ours.phones[0].labels);
        }
    }
}
