//! Values that go round between two address books by way of somebody else's bridge (rule 18).
//!
//! Owns: [`goes_round`], which tells it from the log. Nothing in one run looks wrong there: each side has a new value, and
//! the next run brings the old one back, for ever.

use crate::card::Card;
use crate::card::field::Field;
use crate::ids::{LinkId, Timestamp};
use crate::sync::operation::{self, Actor, Effect, Operation, PersonChange};

/// How often the same link may bring the same change of the same field before it is a circle.
pub const TURNS: usize = 4;
/// How far back turns are counted, in ms: whoever means it changes a value to and fro less often.
pub const WINDOW: i64 = 7 * 24 * 60 * 60 * 1000;
/// How many entries of a person's log are looked at: two links, each with a turn and its answer, and room for others.
pub const LOOK_BACK: usize = 16 * TURNS;

/// The field, if there is one, of which this change over that link is a turn of a circle: the link brought the very same
/// change [`TURNS`] times within [`WINDOW`], and no person did anything about it in between. `history` is that of the
/// person, newest first.
pub fn goes_round(history: &[Operation], link: LinkId, before: &Card, after: &Card, now: Timestamp) -> Option<Field> {
    let by_runs = history
        .iter()
        .take_while(|o| matches!(o.actor, Actor::Run { .. } | Actor::Daemon) && now.since(o.at) <= WINDOW)
        .flat_map(|o| &o.effects);
    let brought: Vec<_> = by_runs
        .filter_map(|effect| match effect {
            Effect::Person { link: Some(over), change: PersonChange::Edited(diffs), .. } if *over == link => {
                Some(diffs)
            }
            _ => None,
        })
        .collect();
    let mut changes = operation::diff(before, after).into_iter();
    changes.find(|change| brought.iter().filter(|diffs| diffs.contains(change)).count() >= TURNS).map(|c| c.field)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::ids::{AccountId, OpId, PersonId, RunId, UserId};

    const HOUR: i64 = 60 * 60 * 1000;

    fn note(text: &str) -> Card {
        Card { note: Some(text.to_owned()), ..Card::default() }
    }

    fn entry(hour: i64, actor: Actor, over: u128, from: &str, to: &str) -> Operation {
        let change = PersonChange::Edited(operation::diff(&note(from), &note(to)));
        let link = Some(LinkId(Uuid::from_u128(over)));
        Operation {
            id: OpId(Uuid::from_u128(hour.unsigned_abs().into())),
            at: Timestamp(hour * HOUR),
            actor,
            why: "schedule".to_owned(),
            effects: vec![Effect::Person { person: PersonId(Uuid::nil()), link, change }],
        }
    }

    /// Two links that answer one another, every hour since the first; newest first.
    fn circle(turns: i64) -> Vec<Operation> {
        let run = Actor::Run { run: RunId(Uuid::nil()), account: AccountId(Uuid::nil()) };
        let turn = |h: i64| if h % 2 == 0 { entry(h, run, 1, "b", "a") } else { entry(h, run, 2, "a", "b") };
        (0..2 * turns).rev().map(turn).collect()
    }

    #[test]
    fn the_same_change_over_the_same_link_again_and_again() {
        let one = LinkId(Uuid::from_u128(1));
        let (a, b, now) = (note("a"), note("b"), Timestamp(9 * HOUR));
        assert_eq!(goes_round(&circle(3), one, &b, &a, now), None, "not often enough");
        assert_eq!(goes_round(&circle(4), one, &b, &a, now), Some(Field::Note));
        assert_eq!(goes_round(&circle(4), one, &b, &note("c"), now), None, "another value");
        assert_eq!(goes_round(&circle(4), LinkId(Uuid::from_u128(2)), &b, &a, now), None, "another link");
        assert_eq!(goes_round(&circle(4), one, &b, &a, Timestamp(WINDOW + 9 * HOUR)), None, "long ago");
    }

    #[test]
    fn what_a_person_does_in_between_begins_the_count_anew() {
        let mut history = circle(4);
        history.insert(3, entry(5, Actor::User(UserId(Uuid::nil())), 9, "x", "y"));
        let one = LinkId(Uuid::from_u128(1));
        assert_eq!(goes_round(&history, one, &note("b"), &note("a"), Timestamp(9 * HOUR)), None);
    }
}
