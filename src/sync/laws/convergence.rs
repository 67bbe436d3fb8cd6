//! Rounds of merge, send and echo against a provider that keeps less than it is given, and writes it otherwise.

use proptest::prelude::*;

use super::merging::{again_is_the_same, side};
use super::{FIELDS, card, cases, edit, fields, judged, keys, put};
use crate::card::field::{Element, Field, FieldSet, Value};
use crate::card::normalize::{self, Key};
use crate::card::{Card, Item, PartialDate};
use crate::sync::caps::Capabilities;
use crate::sync::echo::{self, Landed};
use crate::sync::merge::{Merged, Rules, merge};
use crate::sync::plan::Side;
use crate::sync::view::Base;

/// How a provider keeps what it is given.
#[derive(Clone, Debug)]
struct Habits {
    /// Notes are cut here.
    cut: Option<usize>,
    /// E-mails in lower case, phones without signs.
    rewrites: bool,
    /// Lists come back the other way round.
    shuffles: bool,
    /// So many e-mails are kept; whether it says so.
    most: Option<(usize, bool)>,
    /// Birthdays without a year.
    yearless: bool,
    /// Only the first label.
    one_label: bool,
    /// No preferred marks.
    unmarked: bool,
    /// This address is silently dropped.
    refuses: bool,
    /// Fields that it doesn't show, and fields that it doesn't take.
    unread: FieldSet,
    unwritten: FieldSet,
}

fn habits() -> impl Strategy<Value = Habits> {
    let some_fields = || {
        prop::sample::subsequence(FIELDS.to_vec(), 0..=2)
            .prop_flat_map(|list| prop_oneof![3 => Just(FieldSet::NONE), 1 => Just(list.into_iter().collect())])
    };
    (
        prop::option::of(Just(10_usize)),
        any::<[bool; 6]>(),
        prop::option::of((1_usize..4, any::<bool>())),
        some_fields(),
        some_fields(),
    )
        .prop_map(|(cut, flags, most, unread, unwritten)| {
            let [rewrites, shuffles, yearless, one_label, unmarked, refuses] = flags;
            Habits { cut, rewrites, shuffles, most, yearless, one_label, unmarked, refuses, unread, unwritten }
        })
}

impl Habits {
    fn caps(&self) -> Capabilities {
        let mut caps = Capabilities::everything();
        caps.reads = fields().without(self.unread);
        caps.writes = fields().without(self.unwritten);
        if let Some((most, true)) = self.most {
            caps.most.insert(Field::Emails, u16::try_from(most).unwrap());
        }
        if self.unmarked {
            caps.keeps_preferred = FieldSet::NONE;
        }
        caps
    }

    /// What it makes of a list that it is given.
    fn keep(&self, field: Field, mut list: Vec<Element>) -> Vec<Element> {
        if field == Field::Emails {
            list.retain(|e| !(self.refuses && e.value == Value::Text("e@x.org".into())));
            list.truncate(self.most.map_or(usize::MAX, |(most, _)| most));
        }
        for element in &mut list {
            match &mut element.value {
                Value::Text(text) if field == Field::Note => text.truncate(self.cut.unwrap_or(usize::MAX)),
                Value::Text(text) if field == Field::Emails && self.rewrites => *text = text.to_lowercase(),
                Value::Text(text) if field == Field::Phones && self.rewrites => text.retain(|c| c != '-' && c != ' '),
                Value::Date(date) if self.yearless => *date = PartialDate { year: None, ..*date },
                _ => {}
            }
            if self.one_label {
                element.labels = element.labels.iter().take(1).collect();
            }
            element.preferred &= !self.unmarked;
        }
        if self.shuffles {
            list.reverse();
        }
        list
    }

    /// What it shows after a write.
    fn write(&self, stored: &mut Card, sent: &Card, mask: FieldSet) {
        for field in mask.iter() {
            put(stored, field, self.keep(field, sent.get(field).into_elements()));
        }
    }

    fn shows(&self, stored: &Card) -> Card {
        let mut shown = stored.clone();
        for field in self.unread.iter() {
            put(&mut shown, field, Vec::new());
        }
        shown
    }
}

/// A person, a record, and what they agreed on.
struct World<'a> {
    habits: &'a Habits,
    caps: Capabilities,
    winner: Side,
    incoming: FieldSet,
    outgoing: FieldSet,
    person: Card,
    stored: Card,
    base: Base,
    /// Everything that was ever in a clash.
    clashed: Vec<(Field, Key)>,
}

impl<'a> World<'a> {
    fn new(habits: &'a Habits, winner: Side, person: Card, stored: &Card) -> Self {
        let caps = habits.caps();
        let (incoming, outgoing) = (caps.reads.and(fields()), caps.writes.and(fields()));
        // What a provider has, it can hold.
        let mut held = Card::default();
        habits.write(&mut held, stored, fields());
        let (base, clashed) = (Base::default(), Vec::new());
        Self { habits, caps, winner, incoming, outgoing, person, stored: held, base, clashed }
    }

    fn one_way(mut self) -> Self {
        self.outgoing = FieldSet::NONE;
        self
    }

    /// One round; `meanwhile` happens at the provider between our look and our write. Says what was decided.
    fn round(&mut self, meanwhile: impl FnOnce(&mut Card)) -> Result<Merged, TestCaseError> {
        let winner = judged(self.winner);
        let rules = Rules {
            incoming: self.incoming,
            outgoing: self.outgoing,
            asked: FieldSet::NONE,
            caps: &self.caps,
            winner: &winner,
        };
        let seen = self.habits.shows(&self.stored);
        let merged = merge(&self.base, &self.person, &seen, &rules);
        again_is_the_same(&self.base, &merged, &seen, &rules)?;
        for clash in &merged.clashes {
            let crate::sync::plan::About::Field(field) = clash.about else { continue };
            for element in [&clash.ours, &clash.theirs].into_iter().flat_map(|v| v.clone().into_elements()) {
                self.clashed.push((field, normalize::key(field, &element.value)));
            }
        }
        (self.base, self.person) = (merged.base.clone(), merged.ours.clone());
        if !merged.send.is_empty() {
            let mut sent = merged.theirs.clone();
            // Adapters merge into the list as it is right before the write (R4): what came meanwhile stays.
            let mut now = self.stored.clone();
            meanwhile(&mut now);
            let mut added = Vec::new();
            for element in now.get(Field::Emails).into_elements() {
                if !self.stored.get(Field::Emails).into_elements().contains(&element) {
                    added.push(element);
                }
            }
            let mut list = sent.get(Field::Emails).into_elements();
            list.extend(added);
            put(&mut sent, Field::Emails, list);
            self.stored = now;
            self.habits.write(&mut self.stored, &sent, merged.send);
            let landed = Landed {
                ours: &merged.ours,
                sent: &merged.theirs,
                before: Some(&seen),
                mask: merged.send,
                pairs: &merged.pairs,
            };
            self.base = echo::settle(&self.base, &landed, &self.habits.shows(&self.stored), &self.caps);
        }
        Ok(merged)
    }

    fn quiet(merged: &Merged, before: &Base) -> bool {
        merged.take.is_empty() && merged.send.is_empty() && merged.clashes.is_empty() && merged.base == *before
    }

    /// Rounds until nothing is left to do; at most so many, and one for each element that is refused after another.
    fn settle(&mut self, most: usize) -> Result<(), TestCaseError> {
        let most = if self.habits.refuses && self.habits.most.is_some() { most + 4 } else { most };
        for _ in 0..most {
            let before = self.base.clone();
            let merged = self.round(|_| {})?;
            if Self::quiet(&merged, &before) {
                return Ok(());
            }
        }
        let (person, stored, base) = (&self.person, &self.stored, &self.base);
        Err(TestCaseError::fail(format!("never quiet:\n{person:?}\n{stored:?}\n{base:?}")))
    }
}

proptest! {
    #![proptest_config(cases(400))]

    /// Whatever is edited on both sides, three rounds and a quiet one settle it, and no value vanishes.
    #[test]
    fn edits_on_both_sides_settle(
        habits in habits(),
        winner in side(),
        (person, record) in (card(), card()),
        edits in prop::collection::vec((card(), card(), prop::collection::vec(any::<u8>(), 12)), 1..3),
    ) {
        let mut world = World::new(&habits, winner, person, &record);
        world.settle(4)?;
        for (x, y, pick) in edits {
            let (before_ours, before_theirs) = (world.person.clone(), world.stored.clone());
            world.person = edit(&world.person, &x, &pick[..6]);
            let mut edited = edit(&world.stored, &y, &pick[6..]);
            let full = edited.clone();
            habits.write(&mut edited, &full, fields());
            world.stored = edited;
            let (ours, theirs) = (world.person.clone(), habits.shows(&world.stored));
            world.clashed.clear();
            world.settle(4)?;
            for field in FIELDS {
                let (left, clashed) = (keys(&world.person, field), &world.clashed);
                let count = |card: &Card, key: &Key| keys(card, field).iter().filter(|k| *k == key).count();
                // What we hold is ours until they take it away.
                for key in keys(&ours, field) {
                    let taken = count(&theirs, &key) < count(&before_theirs, &key) || changed(&before_theirs, &theirs, field);
                    prop_assert!(
                        left.contains(&key) || clashed.contains(&(field, key.clone())) || taken,
                        "lost {key:?} of ours in {field:?}"
                    );
                }
                // What they add comes in.
                for key in keys(&theirs, field) {
                    let new = count(&before_theirs, &key) < count(&theirs, &key);
                    let comes = new && world.incoming.contains(field) && field != Field::Note && !habits.yearless;
                    prop_assert!(
                        !comes || left.contains(&key) || clashed.contains(&(field, key.clone())) || before_ours != ours,
                        "lost {key:?} of theirs in {field:?}"
                    );
                }
            }
        }
    }

    /// While nobody edits there, whatever the provider makes of what it is sent never comes back.
    #[test]
    fn no_echo_changes_a_person(
        habits in habits(),
        person in card(),
        edits in prop::collection::vec((card(), prop::collection::vec(any::<u8>(), 6)), 1..4),
    ) {
        let mut world = World::new(&habits, Side::Theirs, person.clone(), &Card::default());
        world.settle(3)?;
        prop_assert_eq!(&world.person, &person);
        for (other, pick) in edits {
            world.person = edit(&world.person, &other, &pick);
            let edited = world.person.clone();
            world.settle(3)?;
            prop_assert_eq!(&world.person, &edited);
        }
    }

    /// While nobody edits here, nothing is sent after the first meeting, and what is hidden from the provider stays.
    #[test]
    fn no_edit_there_is_answered(
        habits in habits(),
        person in card(),
        (other, pick) in (card(), prop::collection::vec(any::<u8>(), 6)),
    ) {
        let habits = Habits { most: None, ..habits };
        let mut world = World::new(&habits, Side::Theirs, person, &Card::default());
        world.settle(3)?;
        let before = world.person.clone();
        let mut stored = edit(&world.stored, &other, &pick);
        let full = stored.clone();
        habits.write(&mut stored, &full, fields());
        world.stored = stored;
        let merged = world.round(|_| {})?;
        prop_assert!(merged.send.is_empty(), "{:?}", merged.send);
        world.settle(1)?;
        for field in FIELDS.into_iter().filter(|f| !world.incoming.contains(*f)) {
            prop_assert!(before.same(&world.person, field));
        }
    }

    /// An edit that somebody makes between our look and our write is in the echo first; it comes in with the next round.
    #[test]
    fn an_edit_during_the_send_comes_in(
        habits in habits(),
        person in card(),
        (other, pick) in (card(), prop::collection::vec(any::<u8>(), 6)),
    ) {
        let habits = Habits { most: None, unread: FieldSet::NONE, unwritten: FieldSet::NONE, ..habits };
        let mut world = World::new(&habits, Side::Theirs, person, &Card::default());
        world.settle(3)?;
        world.person = edit(&world.person, &other, &pick);
        let ours = world.person.clone();
        let new = Item::<String>::new("new@x.org").labelled("meanwhile");
        let merged = world.round(|record| record.emails.push(new.clone()))?;
        let wrote = !merged.send.is_empty();
        world.settle(2)?;
        for field in FIELDS {
            for key in keys(&ours, field) {
                prop_assert!(keys(&world.person, field).contains(&key));
            }
        }
        prop_assert_eq!(world.person.emails.iter().any(|e| e.value == new.value), wrote);
    }

    /// One-way never sends, and what the provider changes stands.
    #[test]
    fn one_way_never_sends(
        habits in habits(),
        (person, record) in (card(), card()),
        edits in prop::collection::vec((card(), card(), prop::collection::vec(any::<u8>(), 12)), 1..3),
    ) {
        let mut world = World::new(&habits, Side::Ours, person, &record).one_way();
        world.settle(3)?;
        for (x, y, pick) in edits {
            world.person = edit(&world.person, &x, &pick[..6]);
            let before = world.stored.clone();
            let edited = edit(&world.stored, &y, &pick[6..]);
            habits.write(&mut world.stored, &edited, fields());
            let merged = world.round(|_| {})?;
            prop_assert!(merged.send.is_empty());
            for field in world.incoming.iter() {
                for key in keys(&world.stored, field) {
                    let new = !keys(&before, field).contains(&key);
                    let hidden = field == Field::Note || field == Field::Birthday;
                    prop_assert!(!new || hidden || keys(&world.person, field).contains(&key), "{key:?}");
                }
            }
            world.settle(3)?;
        }
    }
}

fn changed(before: &Card, after: &Card, field: Field) -> bool {
    keys(before, field) != keys(after, field)
}
