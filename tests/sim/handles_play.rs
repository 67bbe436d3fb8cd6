//! What people do with the handles they are given: undo, merge, resolve, dismiss, verify; and what follows for the oracles.
//!
//! Such a step is an edit like any other: what it takes out of a person's card need not be anywhere any more, and whom it puts
//! into the trash somebody has put there. What it brings back is not followed: somebody may have replaced it there meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use contactd::card::field::{Kind, Value};
use contactd::crm::person::Person;
use contactd::engine::{Handle, Refusal, Undo};
use contactd::ids::{OpId, PersonId};
use contactd::store::{Conflict, Store};
use contactd::sync::merge::Choice;
use contactd::sync::operation::Actor;
use contactd::sync::plan::About;

use super::cover::hit;
use super::history::Play;
use super::oracle::{marks, marks_of_text};
use super::wide::FIELDS;
use super::world::{MINUTE, now};

/// What a handle gave, or why not.
type Done<T> = Result<T, Refusal>;

impl Play {
    /// Does it with all accounts at rest, as the daemon does, and tells the oracles what became of people.
    fn by_hand<T>(&mut self, done: impl FnOnce(&Self) -> Done<T>) -> Option<T> {
        self.world.finish_all();
        let before = self.world.people();
        let disputed = now(self.world.store.conflicts(None, 100_000)).unwrap();
        let done = done(self);
        let after: BTreeMap<PersonId, Person> = self.world.people().into_iter().map(|p| (p.id, p)).collect();
        let all = |people: &mut dyn Iterator<Item = &Person>| -> BTreeSet<String> {
            people.flat_map(|person| marks(&person.card)).collect()
        };
        // What only went from one person to another has neither come nor gone.
        let (were, are) = (all(&mut before.iter()), all(&mut after.values()));
        let mut gone = &were - &are;
        let mut changed = BTreeSet::new();
        for person in before {
            let Some(now) = after.get(&person.id).filter(|now| now.revision != person.revision) else { continue };
            changed.insert(person.id);
            if person.is_live() && !now.is_live() {
                self.world.trashed_here.insert(person.id);
                gone.extend(marks(&now.card));
            }
        }
        // Of a conflict about somebody who is another by now, the value that did not stand may be moot; so it is where its link
        // was undone.
        let still: BTreeSet<_> = now(self.world.store.conflicts(None, 100_000)).unwrap().iter().map(|c| c.id).collect();
        let moot = |conflict: &&Conflict| changed.contains(&conflict.person) || !still.contains(&conflict.id);
        for conflict in disputed.iter().filter(moot) {
            let text = serde_json::to_string(&conflict.clash).unwrap();
            let kept = after.get(&conflict.person).map(|person| marks(&person.card)).unwrap_or_default();
            gone.extend(marks_of_text(&text).difference(&kept).cloned());
        }
        self.markers.retire_all(&gone);
        // Who may see what was mixed with other people's values is no longer told by who wrote it.
        self.hidden_from.retain(|(_, person, _)| !changed.contains(person));
        self.kept_out.retain(|(_, person, _)| !changed.contains(person));
        self.spared.retain(|(_, _, _, person)| !changed.contains(person));
        match done {
            Ok(done) => Some(done),
            Err(Refusal::Store(error)) => panic!("a handle failed: {error}"),
            Err(_) => None,
        }
    }

    /// Something is undone; with `again`, the undo is undone right after, which must bring everybody back (I12).
    pub fn undo(&mut self, what: &Undo, again: bool) {
        // As far as an undo may tell: the time of a deletion is that of the last one.
        let people = |play: &Self| -> BTreeMap<PersonId, String> {
            let text = |p: Person| {
                let followers: BTreeSet<_> = p.followers.iter().collect();
                let rest = (p.is_live(), p.owner, p.visible_to, followers, &p.custom);
                format!("{} {rest:?}", serde_json::to_string(&p.card).unwrap())
            };
            play.world.people().into_iter().map(|p| (p.id, text(p))).collect()
        };
        self.world.finish_all();
        let before = people(self);
        let undone = |play: &Self| -> BTreeSet<String> {
            let sql = "SELECT id || ' ' || person FROM links WHERE state = 'undone'";
            play.world.driver.inner().texts(sql).into_iter().collect()
        };
        let ended = undone(self);
        let shown = now(self.world.engine.preview_undo(what, Actor::Operator));
        let Some(plan) = self.by_hand(|play| now(play.world.engine.undo(what, Actor::Operator, &BTreeSet::new())))
        else {
            return;
        };
        hit("rule 19: undone");
        let shown = shown.map(|plan| plan.rows).unwrap_or_default();
        if shown != plan.rows {
            self.wrong.push(format!("I12: an undo showed {shown:?} and did {:?}", plan.rows));
        }
        for row in &plan.rows {
            if row.does.iter().any(|does| does == "delete there" || does == "delete here") {
                self.world.trashed_here.insert(row.person);
            }
        }
        // The link that ended may be another's than the plan says: two people became one.
        for both in &undone(self) - &ended {
            let (_, person) = both.split_once(' ').unwrap();
            self.world.trashed_here.insert(person.parse().unwrap());
        }
        let Some(operation) = plan.operation.filter(|_| again) else { return };
        // Whoever was changed again since keeps that, so that coming back is told only where nothing was.
        let clean = plan.rows.iter().all(|row| row.clashes.is_empty() && row.notes.is_empty());
        let what = Undo::Operations(vec![operation]);
        if self.by_hand(|play| now(play.world.engine.undo(&what, Actor::Operator, &BTreeSet::new()))).is_none() {
            return;
        }
        hit("rule 19: an undo undone");
        let after = people(self);
        if clean && before != after {
            let differs = before.iter().find(|(id, person)| after.get(id) != Some(person));
            let became = differs.map(|(id, _)| &after[id]);
            self.wrong.push(format!("I12: an undo that was undone left {differs:?} as {became:?}"));
        }
    }

    /// The n-th latest operation.
    fn operation(&self, n: usize, like: &str) -> Option<OpId> {
        let sql = format!("SELECT id FROM operations WHERE actor LIKE '{like}' ORDER BY at DESC, id DESC LIMIT 12");
        let ids = self.world.driver.inner().texts(&sql);
        (!ids.is_empty()).then(|| ids[n % ids.len()].parse().unwrap())
    }

    pub fn undo_step(&mut self, which: usize, what: usize, again: bool) {
        match what % 5 {
            0 => {
                if let Some(operation) = self.operation(which, "%") {
                    self.undo(&Undo::Operations(vec![operation]), again);
                }
            }
            1 => {
                let Some(operation) = self.operation(which, "%run%") else { return };
                let operation = now(self.world.store.operation(operation)).unwrap().unwrap();
                if let Actor::Run { run, .. } = operation.actor {
                    self.undo(&Undo::Run(run), again);
                }
            }
            2 => {
                let site = self.site(which);
                let since = self.world.time().plus(-(10 + what as i64) * MINUTE);
                self.undo(&Undo::Since(self.world.sites[site].id, since), again);
            }
            3 => {
                let Some(person) = self.person(which, true) else { return };
                self.undo(&Undo::Person(person, None), again);
            }
            _ => {
                let Some(person) = self.person(which, true) else { return };
                self.undo(&Undo::Person(person, Some(FIELDS[what / 5 % FIELDS.len()])), again);
            }
        }
    }

    pub fn merge_here(&mut self, who: usize, other: usize, undone: bool) {
        let (Some(survivor), Some(other)) = (self.person(who, true), self.person(other, true)) else { return };
        let once_trashed = self.world.trashed_here.contains(&other);
        let merge = self
            .by_hand(|play| now(play.world.engine.merge_people(survivor, other, Actor::Operator, &BTreeSet::new())));
        let Some(merge) = merge else { return };
        hit("two people merged");
        self.united.insert((survivor, other));
        if once_trashed {
            // What was deleted for the one is a record of the other by now.
            self.world.trashed_here.insert(survivor);
        }
        // What of the other one has no place stays with it in the trash, and what differs stays in its history.
        let Some(operation) = merge.operation.filter(|_| undone) else { return };
        self.undo(&Undo::Operations(vec![operation]), false);
    }

    pub fn resolve(&mut self, which: usize, how: usize) {
        let all = now(self.world.store.conflicts(None, 100_000)).unwrap();
        if all.is_empty() {
            return;
        }
        let conflict = all[which % all.len()].clone();
        let Some(site) = self.world.sites.iter().position(|site| site.id == conflict.account) else { return };
        let caps = self.world.sites[site].fake.server.lock().unwrap().caps.clone();
        let typed = match conflict.clash.about {
            About::Field(field) if how % 4 == 3 && field.kind() == Kind::Text => {
                Some(Value::Text(self.markers.fresh_mark()))
            }
            _ => None,
        };
        let choice = match how % 4 {
            0 => Choice::Ours,
            1 => Choice::Theirs,
            _ => Choice::Value(typed.clone()),
        };
        let done = self.by_hand(|play| {
            now(play.world.engine.resolve_conflict(conflict.id, &choice, &caps, Actor::Operator, &BTreeSet::new()))
        });
        let mut kept = BTreeSet::new();
        if let Some(person) = &done {
            hit("rule 5: a conflict resolved");
            kept = marks(&person.card);
            // Whichever was not chosen was let go by whoever chose.
            let text = serde_json::to_string(&conflict.clash).unwrap();
            let let_go: BTreeSet<String> = marks_of_text(&text).difference(&kept).cloned().collect();
            self.markers.retire_all(&let_go);
            if !person.is_live() {
                self.world.trashed_here.insert(person.id);
            }
            if conflict.clash.about == About::TrashedHere {
                // Whoever stays in the trash although the record was edited lets go what was edited.
                let links = now(self.world.store.links_of(person.id)).unwrap();
                for link in links.into_iter().filter(|link| link.account == conflict.account) {
                    let card = link.remote.and_then(|id| self.world.cards_there(site).remove(id.as_str()));
                    self.markers.retire_all(&(&card.as_ref().map(marks).unwrap_or_default() - &kept));
                }
            }
        }
        if let Some(Value::Text(mark)) = typed
            && !kept.contains(&mark)
        {
            self.markers.retire_all(&[mark].into());
        }
    }

    pub fn duplicate(&mut self, site: usize, which: usize, merge: bool) {
        let site = self.site(site);
        let account = self.world.sites[site].id;
        let waiting = now(self.world.store.duplicates(account)).unwrap();
        if waiting.is_empty() {
            return;
        }
        let (record, people) = waiting[which % waiting.len()].clone();
        let person = people[which % people.len()];
        if merge {
            let done = self.by_hand(|play| {
                let engine = &play.world.engine;
                now(engine.merge_duplicate(account, &record, person, Actor::Operator, &BTreeSet::new()))
            });
            if done.is_some() {
                hit("rule 13: a possible duplicate merged");
            }
            return;
        }
        // Who says that they are two says that there may be two of them.
        if let Some(card) = self.world.cards_there(site).get(record.as_str()) {
            self.markers.twin(&card.clone());
        }
        let whom = which.is_multiple_of(2).then_some(person);
        let done = self.by_hand(|play| now(play.world.engine.dismiss_duplicate(account, &record, whom)));
        if done.is_some() {
            hit("rule 13: a possible duplicate dismissed");
        }
    }

    /// Everything is compared; what differs is marked, for the ordinary plan.
    pub fn verify(&mut self, site: usize) {
        let site = self.site(site);
        self.world.finish(site);
        let account = now(self.world.store.account(self.world.sites[site].id)).unwrap().unwrap();
        let fake = self.world.sites[site].fake.clone();
        let writes = fake.server.lock().unwrap().writes;
        let verified = now(self.world.engine.verify(&account, &fake, &Handle::default()));
        if fake.server.lock().unwrap().writes != writes {
            self.wrong.push("verify wrote something".to_owned());
        }
        if let Ok(verified) = verified {
            hit(if verified.differences.is_empty() { "verified: the same" } else { "verified: repaired" });
            now(self.world.engine.repair(&account, &verified)).unwrap();
        }
    }

    /// Whoever was paused goes on.
    pub fn resume(&mut self, who: usize) {
        let Some(person) = self.person(who, true) else { return };
        if now(self.world.engine.resume_links(person, None, Actor::Operator)).unwrap() > 0 {
            hit("rule 18: resumed");
        }
    }
}
