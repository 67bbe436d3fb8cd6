//! The agenda in virtual time: days pass in a moment, and every run takes as long and ends as a test says.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use uuid::Uuid;

use super::*;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

/// Numbers that follow from a seed.
struct Seeded(Mutex<u64>);

impl Entropy for Seeded {
    fn bytes(&self) -> [u8; 16] {
        let mut state = self.0.lock().unwrap();
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&state.to_be_bytes());
        bytes
    }
}

fn id(n: u128) -> AccountId {
    AccountId(Uuid::from_u128(n))
}

fn settings(concurrency: usize) -> Settings {
    Settings {
        interval: Duration::from_secs(5 * 60),
        jitter: Duration::from_secs(30),
        concurrency,
        after_edit: Duration::from_secs(5),
        trash: Duration::from_secs(1),
    }
}

/// A day in the life of an agenda.
struct Play {
    agenda: Agenda<u32, u32>,
    now: Timestamp,
    /// What is under way, and when it ends.
    running: BTreeMap<AccountId, Timestamp>,
    /// When which account began to run, by what.
    begun: Vec<(AccountId, i64, &'static str)>,
}

impl Play {
    fn new(settings: Settings, accounts: u128) -> Self {
        let mut agenda = Agenda::new(settings, Arc::new(Seeded(Mutex::new(7))));
        agenda.accounts((1..=accounts).map(|n| (id(n), None)), Timestamp(0));
        Self { agenda, now: Timestamp(0), running: BTreeMap::new(), begun: Vec::new() }
    }

    /// Plays until then, second by second. `takes` says how long a run takes, in ms, `ends` how it ends.
    fn until(
        &mut self,
        then: i64,
        takes: impl Fn(AccountId) -> i64,
        mut ends: impl FnMut(AccountId, Timestamp) -> End,
        mut meanwhile: impl FnMut(&mut Agenda<u32, u32>, Timestamp),
    ) {
        while self.now.0 < then {
            self.now = self.now.plus(1_000);
            let over: Vec<AccountId> =
                self.running.iter().filter(|(_, end)| **end <= self.now).map(|(account, _)| *account).collect();
            for account in over {
                self.running.remove(&account);
                let end = ends(account, self.now);
                self.agenda.ended(account, end, self.now);
            }
            meanwhile(&mut self.agenda, self.now);
            self.agenda.tick(self.now);
            while let Some(job) = self.agenda.start() {
                let What::Sync { trigger, .. } = job.what else { panic!("nobody takes a turn here") };
                assert!(!self.running.contains_key(&job.account), "one run per account at a time");
                self.running.insert(job.account, self.now.plus(takes(job.account)));
                self.begun.push((job.account, self.now.0, trigger));
            }
        }
    }

    fn begun(&self, account: AccountId) -> Vec<i64> {
        self.begun.iter().filter(|(of, ..)| *of == account).map(|(_, at, _)| *at).collect()
    }

    /// From each begin to the next.
    fn gaps(&self, account: AccountId) -> Vec<i64> {
        self.begun(account).windows(2).map(|pair| pair[1] - pair[0]).collect()
    }
}

fn nothing(_: &mut Agenda<u32, u32>, _: Timestamp) {}

#[test]
fn the_interval_is_kept_and_the_jitter_stays_within_bounds() {
    let mut play = Play::new(settings(8), 5);
    play.until(24 * HOUR, |_| 1_000, |_, _| End::Done, nothing);
    let gaps: Vec<i64> = (1..=5).flat_map(|n| play.gaps(id(n))).collect();
    assert!(gaps.len() > 5 * 250);
    // An interval from end to begin, the run itself, and the tick of a second.
    assert!(gaps.iter().all(|gap| (5 * MINUTE + 1_000..=5 * MINUTE + 30_000 + 2_000).contains(gap)));
    assert!(gaps.iter().max() > gaps.iter().min(), "not all in the same second");
}

#[test]
fn a_slow_account_starves_nobody() {
    let mut play = Play::new(settings(2), 6);
    // One that takes hours holds one of two places; five share the other.
    play.until(24 * HOUR, |account| if account == id(1) { 5 * HOUR } else { 10_000 }, |_, _| End::Done, nothing);
    assert!(play.begun(id(1)).len() >= 4);
    for n in 2..=6 {
        assert!(play.gaps(id(n)).iter().all(|gap| *gap <= 7 * MINUTE), "{n}: {:?}", play.gaps(id(n)));
    }
}

#[test]
fn everybody_has_a_turn_where_there_is_too_much_to_do() {
    let mut play = Play::new(settings(1), 10);
    // Ten accounts of a minute each on one place: more than the interval holds, so that all of them wait, in turn.
    play.until(24 * HOUR, |_| MINUTE, |_, _| End::Done, nothing);
    let counts: Vec<usize> = (1..=10).map(|n| play.begun(id(n)).len()).collect();
    assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 2, "{counts:?}");
}

#[test]
fn who_asks_without_end_keeps_nobody_from_a_turn() {
    let mut play = Play::new(settings(1), 4);
    let ask = |agenda: &mut Agenda<u32, u32>, _| {
        agenda.ask(id(1), "refresh", None);
        agenda.ask(id(2), "refresh", None);
    };
    play.until(2 * HOUR, |_| 10_000, |_, _| End::Done, ask);
    for n in 3..=4 {
        assert!(play.gaps(id(n)).iter().all(|gap| *gap <= 7 * MINUTE), "{n}: {:?}", play.gaps(id(n)));
    }
    assert!(play.begun(id(1)).len() > 100, "and who asks is served");
}

#[test]
fn a_failing_account_waits_ever_longer_and_starves_nobody() {
    let mut play = Play::new(settings(1), 3);
    let healed = 12 * HOUR;
    let ends = |account, now: Timestamp| match account == id(1) && now.0 < healed {
        true => End::Failed { needs_person: false, not_before: None },
        false => End::Done,
    };
    play.until(24 * HOUR, |_| 1_000, ends, nothing);
    let failing: Vec<i64> = play.begun(id(1)).into_iter().filter(|at| *at < healed).collect();
    let gaps: Vec<i64> = failing.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (n, gap) in gaps.iter().enumerate() {
        let wait = (BACK_OFF << n.min(16)).min(BACK_OFF_MOST);
        assert!((wait..=wait + 40_000).contains(gap), "after failure {n}: {gap} instead of {wait}");
    }
    assert_eq!(gaps.iter().filter(|gap| **gap >= BACK_OFF_MOST).count(), gaps.len() - 7, "it is capped: {gaps:?}");
    // Once it works the interval holds again, and after a later failure the first wait is the short one.
    let after: Vec<i64> = play.gaps(id(1)).split_off(failing.len());
    assert!(after.iter().all(|gap| *gap <= 6 * MINUTE), "{after:?}");
    for n in 2..=3 {
        assert!(play.gaps(id(n)).iter().all(|gap| *gap <= 6 * MINUTE));
    }
    let now = play.now;
    play.agenda.ask(id(1), "refresh", None);
    assert!(play.agenda.start().is_some());
    play.agenda.ended(id(1), End::Failed { needs_person: false, not_before: None }, now);
    assert!(play.agenda.next(id(1)).unwrap().since(now) <= BACK_OFF + 30_000);
}

#[test]
fn what_the_server_asked_for_is_kept_however_long() {
    for asked in [10_000, 3 * HOUR] {
        let mut play = Play::new(settings(4), 2);
        let told = std::cell::Cell::new(None);
        let ends = |account, now: Timestamp| {
            if account != id(1) || told.get().is_some() {
                return End::Done;
            }
            told.set(Some(now.plus(asked)));
            End::Failed { needs_person: false, not_before: Some(now.plus(asked)) }
        };
        play.until(6 * HOUR, |_| 1_000, ends, nothing);
        let told = told.get().unwrap().0;
        let second = play.begun(id(1))[1];
        assert!(second >= told && second <= told.max(BACK_OFF) + 70_000, "asked until {told}, came at {second}");
    }
}

#[test]
fn one_that_needs_a_person_is_looked_at_now_and_then() {
    let mut play = Play::new(settings(4), 1);
    play.until(24 * HOUR, |_| 1_000, |_, _| End::Failed { needs_person: true, not_before: None }, nothing);
    assert!((20..=24).contains(&play.begun(id(1)).len()), "{:?}", play.begun(id(1)));
}

#[test]
fn ten_edits_make_one_run_and_soon() {
    let mut play = Play::new(settings(4), 2);
    play.until(MINUTE, |_| 1_000, |_, _| End::Done, nothing);
    let before = play.begun.len();
    let edits = |agenda: &mut Agenda<u32, u32>, now: Timestamp| {
        if (61_000..64_000).contains(&now.0) {
            (0..4).for_each(|_| agenda.edited(id(1), now));
        }
    };
    play.until(2 * MINUTE, |_| 1_000, |_, _| End::Done, edits);
    let more = &play.begun[before..];
    assert_eq!(more, [(id(1), 66_000, "edit")], "one run, five seconds after the first edit");
}

#[test]
fn an_edit_during_a_run_is_followed_by_another() {
    let mut play = Play::new(settings(4), 1);
    // The first run goes on until 30 s; the edit comes in its middle.
    let edit = |agenda: &mut Agenda<u32, u32>, now: Timestamp| {
        if now.0 == 10_000 {
            agenda.edited(id(1), now);
        }
    };
    play.until(MINUTE, |_| 30_000, |_, _| End::Done, edit);
    assert_eq!(play.begun, [(id(1), 1_000, "schedule"), (id(1), 31_000, "edit")]);
}

#[test]
fn edits_do_not_undo_a_back_off_nor_start_what_does_not_sync() {
    let mut play = Play::new(settings(4), 1);
    let edit = |agenda: &mut Agenda<u32, u32>, now: Timestamp| {
        agenda.edited(id(1), now);
        agenda.edited(id(9), now);
    };
    let fails = |_, _| End::Failed { needs_person: false, not_before: None };
    play.until(10 * MINUTE, |_| 1_000, fails, edit);
    assert!(play.begun(id(1)).len() <= 5, "{:?}", play.begun);
    assert!(play.begun(id(9)).is_empty());
    let mut off = Play::new(Settings { after_edit: Duration::ZERO, ..settings(4) }, 1);
    off.until(4 * MINUTE, |_| 1_000, |_, _| End::Done, edit);
    assert_eq!(off.begun(id(1)).len(), 1, "zero is never");
}

#[test]
fn what_is_asked_for_twice_runs_once_and_both_are_told() {
    let mut play = Play::new(settings(1), 1);
    play.agenda.ask(id(1), "refresh", Some(1));
    play.agenda.ask(id(1), "refresh", Some(2));
    assert!(play.agenda.start().is_some() && play.agenda.start().is_none());
    // While it runs a third asks: that is another run, since this one may have missed what changed.
    play.agenda.ask(id(1), "refresh", Some(3));
    assert!(play.agenda.start().is_none());
    assert_eq!(play.agenda.ended(id(1), End::Done, Timestamp(1)), [1, 2]);
    assert!(play.agenda.start().is_some());
    assert_eq!(play.agenda.ended(id(1), End::Done, Timestamp(2)), [3]);
    play.agenda.stop();
    assert!(play.agenda.ask(id(1), "refresh", Some(4)).is_none() && play.agenda.start().is_none());
}

#[test]
fn who_changes_an_account_breaks_off_runs_and_looks_but_no_change() {
    let mut play = Play::new(settings(4), 1);
    play.agenda.ask(id(1), "refresh", None);
    let run = play.agenda.start().unwrap();
    play.agenda.turn(id(1), true, 1);
    assert!(run.handle.is_stopped(), "a run ends for it");
    play.agenda.ended(id(1), End::Stopped, Timestamp(1));
    let change = play.agenda.start().unwrap();
    play.agenda.turn(id(1), true, 2);
    play.agenda.turn(id(1), false, 3);
    assert!(!change.handle.is_stopped(), "another change waits for it");
    play.agenda.ended(id(1), End::Stopped, Timestamp(2));
    assert!(matches!(play.agenda.start().unwrap().what, What::Turn(2)));
    play.agenda.ended(id(1), End::Stopped, Timestamp(3));
    let look = play.agenda.start().unwrap();
    play.agenda.turn(id(1), true, 4);
    assert!(look.handle.is_stopped(), "who only looks gives way");
}
