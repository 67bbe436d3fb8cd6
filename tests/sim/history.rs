//! A history: where it begins, and its steps. One seed makes one history; leaving steps out of it makes a smaller one.

use std::collections::{BTreeMap, BTreeSet};

use contactd::card::field::Field;
use contactd::card::{Card, Item};
use contactd::crm::person::PersonState;
use contactd::engine::Undo;
use contactd::ids::{GroupId, PersonId, UserId};
use contactd::store::{Change, Store};
use contactd::sync::settings::{ConflictPolicy, DeletePolicy, Direction, GuardSettings, OnLeave, Scope, Settings};
use contactd::sync::view::{Intent, Send};

use serde::{Deserialize, Serialize};

use super::cover::hit;
use super::database::Copy;
use super::fake::picture;
use super::kinds;
use super::oracle::{Markers, marks};
use super::rng::Rng;
use super::whole;
use super::wide::Wide;
use super::world::{GROUP, HOUR, MINUTE, World, now};
use crate::crash::Stop;

/// One thing that happens. Targets are numbers that are taken modulo what is there, so that any step makes sense anywhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Step {
    CreateHere {
        user: usize,
    },
    EditHere {
        who: usize,
        what: usize,
    },
    TrashHere {
        who: usize,
    },
    RestoreHere {
        who: usize,
    },
    CreateThere {
        site: usize,
    },
    /// The same contact is made on both sides.
    Twin {
        site: usize,
    },
    EditThere {
        site: usize,
        which: usize,
        what: usize,
    },
    DeleteThere {
        site: usize,
        which: usize,
    },
    RenameThere {
        site: usize,
        which: usize,
    },
    Member {
        site: usize,
        which: usize,
        member: bool,
    },
    Sync {
        site: usize,
    },
    SyncStopped {
        site: usize,
        stop: Stop,
    },
    SyncCutInSend {
        site: usize,
        after: u32,
        stored: bool,
    },
    LoseBefore {
        site: usize,
    },
    LoseAfter {
        site: usize,
    },
    ExpireCursors {
        site: usize,
    },
    EmptyListing {
        site: usize,
    },
    FetchUnknown {
        site: usize,
    },
    FailChanges {
        site: usize,
    },
    RefusePage {
        site: usize,
    },
    RefuseWrite {
        site: usize,
    },
    Pass {
        minutes: i64,
    },
    /// One of those that only the second generator makes.
    Wide(Wide),
}

impl Step {
    /// Its name, for counting.
    pub fn name(&self) -> &'static str {
        match self {
            Self::CreateHere { .. } => "step: create here",
            Self::EditHere { .. } => "step: edit here",
            Self::TrashHere { .. } => "step: trash here",
            Self::RestoreHere { .. } => "step: restore here",
            Self::CreateThere { .. } => "step: create there",
            Self::Twin { .. } => "step: twin",
            Self::EditThere { .. } => "step: edit there",
            Self::DeleteThere { .. } => "step: delete there",
            Self::RenameThere { .. } => "step: rename there",
            Self::Member { .. } => "step: member",
            Self::Sync { .. } => "step: sync",
            Self::SyncStopped { .. } => "step: sync stopped at a commit",
            Self::SyncCutInSend { .. } => "step: sync stopped in a send",
            Self::LoseBefore { .. } => "step: lose a write",
            Self::LoseAfter { .. } => "step: lose an answer",
            Self::ExpireCursors { .. } => "step: expire cursors",
            Self::EmptyListing { .. } => "step: empty listing",
            Self::FetchUnknown { .. } => "step: fetch answers nothing",
            Self::FailChanges { .. } => "step: changes fail",
            Self::RefusePage { .. } => "step: refuse a page",
            Self::RefuseWrite { .. } => "step: refuse a write",
            Self::Pass { .. } => "step: time passes",
            Self::Wide(wide) => wide.name(),
        }
    }
}

/// How a world begins.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Setup {
    /// Whether runs can be stepped through, and all that the second generator knows.
    #[serde(default)]
    pub wide: bool,
    /// Per user: role, and rights as bits.
    #[serde(default)]
    pub rights: Vec<(usize, usize)>,
    pub users: usize,
    /// Per site: user, kind of provider, settings.
    pub sites: Vec<(usize, usize, Settings)>,
    pub here: usize,
    pub there: usize,
    pub twins: usize,
}

/// A seed's history.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct History {
    pub seed: u64,
    pub setup: Setup,
    pub steps: Vec<Step>,
}

impl History {
    /// As the first generator makes it: one daemon, runs in one piece.
    pub fn narrow(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let users = 1 + rng.below(2);
        let sites = (0..1 + rng.below(3))
            .map(|_| (rng.below(users), rng.below(kinds::NARROW), settings(&mut rng)))
            .collect::<Vec<_>>();
        let (here, there, twins) = (rng.below(5), rng.below(5), rng.below(3));
        let setup = Setup { wide: false, rights: Vec::new(), users, here, there, twins, sites };
        let steps = (0..8 + rng.below(40)).map(|_| step(&mut rng)).collect();
        Self { seed, setup, steps }
    }
}

pub fn settings(rng: &mut Rng) -> Settings {
    Settings {
        scope: if rng.one_in(3) { Scope::Group(GroupId(GROUP.into())) } else { Scope::All },
        direction: if rng.one_in(5) { Direction::OneWay } else { Direction::TwoWay },
        conflicts: [
            ConflictPolicy::Latest,
            ConflictPolicy::Latest,
            ConflictPolicy::Provider,
            ConflictPolicy::Crm,
            ConflictPolicy::Ask,
        ][rng.below(5)],
        deletes: [
            DeletePolicy::Propagate,
            DeletePolicy::Propagate,
            DeletePolicy::Propagate,
            DeletePolicy::Unlink,
            DeletePolicy::Tag,
        ][rng.below(5)],
        on_leave: if rng.one_in(4) { OnLeave::Delete } else { OnLeave::Keep },
        guard: GuardSettings { on: rng.one_in(3), ..GuardSettings::default() },
        ..Settings::default()
    }
}

pub fn step(rng: &mut Rng) -> Step {
    let (site, which, what) = (rng.below(8), rng.below(64), rng.below(64));
    match rng.below(60) {
        0..=2 => Step::CreateHere { user: which },
        3..=10 => Step::EditHere { who: which, what },
        11..=12 => Step::TrashHere { who: which },
        13 => Step::RestoreHere { who: which },
        14..=16 => Step::CreateThere { site },
        17 => Step::Twin { site },
        18..=25 => Step::EditThere { site, which, what },
        26..=28 => Step::DeleteThere { site, which },
        29 => Step::RenameThere { site, which },
        30..=32 => Step::Member { site, which, member: rng.one_in(2) },
        33..=43 => Step::Sync { site },
        44..=46 => {
            let n = rng.below(12) as u32;
            Step::SyncStopped { site, stop: if rng.one_in(2) { Stop::Before(n) } else { Stop::After(n) } }
        }
        47..=48 => Step::SyncCutInSend { site, after: rng.below(3) as u32, stored: rng.one_in(2) },
        49 => Step::LoseBefore { site },
        50..=51 => Step::LoseAfter { site },
        52 => Step::ExpireCursors { site },
        53 => Step::EmptyListing { site },
        54 => Step::FetchUnknown { site },
        55 => Step::FailChanges { site },
        56 => Step::RefusePage { site },
        57 => Step::RefuseWrite { site },
        _ => Step::Pass { minutes: [1, 10, 100, 1500][rng.below(4)] },
    }
}

/// The world of a history under way, with what its people have said.
pub struct Play {
    pub world: World,
    pub markers: Markers,
    pub setup: Setup,
    /// Values that were written where this user may not look, into this person: they must not come to the user's books.
    pub hidden_from: BTreeSet<(UserId, PersonId, String)>,
    /// Values that this user wrote into a record of this person without access to it: they must not come to the person.
    pub kept_out: BTreeSet<(UserId, PersonId, String)>,
    /// Records in which a trashing by this user must not end: their site, their name, their person.
    pub spared: BTreeSet<(UserId, usize, String, PersonId)>,
    /// Who was made twice on purpose, here and there, before anything else happened: where, who, and under which name there.
    pub twinned: Vec<(usize, PersonId, String)>,
    /// Nothing has happened so far after which twins may rightly both be there.
    pub plain: bool,
    pub backup: Option<Copy>,
    /// A backup was restored.
    pub restored: bool,
    /// Sites at which a leaving of the group was once to count as a deletion.
    pub leaving_deletes: BTreeSet<usize>,
    /// Sites that once showed an empty listing.
    pub emptied: BTreeSet<usize>,
    /// Sites at which a search has missed something.
    pub missed: BTreeSet<usize>,
    /// People who became one, the survivor first; they may be two again.
    pub united: BTreeSet<(PersonId, PersonId)>,
    /// What was found to be wrong on the way.
    pub wrong: Vec<String>,
    /// A field has not flown both ways all the time.
    pub mapped: bool,
    /// A held deletion was confirmed.
    pub confirmed: bool,
    /// Sites whose guard was on all the time.
    pub guarded: BTreeSet<usize>,
    /// Sites where both sides were once taken as agreed, whatever they said.
    pub agreed: BTreeSet<usize>,
    /// What a foreign syncer between two sites saw last, per contact.
    pub bridges: BTreeMap<(usize, usize, String), (String, String)>,
}

impl Play {
    pub fn begin(history: &History) -> Self {
        let setup = history.setup.clone();
        let mut play = Self {
            world: World::new(history.seed),
            markers: Markers::default(),
            setup: setup.clone(),
            hidden_from: BTreeSet::new(),
            kept_out: BTreeSet::new(),
            spared: BTreeSet::new(),
            twinned: Vec::new(),
            plain: true,
            backup: None,
            restored: false,
            leaving_deletes: BTreeSet::new(),
            emptied: BTreeSet::new(),
            missed: BTreeSet::new(),
            united: BTreeSet::new(),
            wrong: Vec::new(),
            mapped: setup.sites.iter().any(|(_, _, settings)| !settings.mapping.0.is_empty()),
            confirmed: false,
            guarded: BTreeSet::new(),
            agreed: BTreeSet::new(),
            bridges: BTreeMap::new(),
        };
        if setup.wide {
            play.world.wide = true;
            play.world.driver.set_stepwise();
        }
        for i in 0..setup.users {
            play.world.user(["ann", "bob", "carl", "dora"][i]);
        }
        play.set_rights();
        for (i, (user, kind, settings)) in setup.sites.iter().enumerate() {
            let (caps, manner) = kinds::ALL[*kind]();
            if settings.guard.on {
                play.guarded.insert(i);
            }
            if settings.on_leave == OnLeave::Delete {
                play.leaving_deletes.insert(i);
            }
            let one_way = settings.direction == Direction::OneWay;
            let site = play.world.account(play.world.users[*user], caps, manner, settings.clone());
            play.world.sites[site].fake.server.lock().unwrap().forbid_writes = one_way;
        }
        for i in 0..setup.here {
            play.step(&Step::CreateHere { user: i });
        }
        for i in 0..setup.there {
            play.step(&Step::CreateThere { site: i });
        }
        for i in 0..setup.twins {
            let twin = play.twin(i);
            play.twinned.push(twin);
        }
        play
    }

    /// The same contact on both sides: where, who, and under which name there.
    fn twin(&mut self, site: usize) -> (usize, PersonId, String) {
        let site = self.site(site);
        let card = self.markers.fresh();
        self.markers.twin(&card);
        let person = self.world.create_person(self.world.sites[site].user, card.clone());
        (site, person, self.world.create_there(site, &card))
    }

    pub fn site(&self, n: usize) -> usize {
        n % self.world.sites.len()
    }

    pub fn person(&self, n: usize, live: bool) -> Option<PersonId> {
        let people: Vec<_> =
            self.world.people().into_iter().filter(|p| (p.state == PersonState::Live) == live).collect();
        (!people.is_empty()).then(|| people[n % people.len()].id)
    }

    pub fn record(&self, site: usize, n: usize) -> Option<String> {
        let ids: Vec<String> = self.world.cards_there(site).into_keys().collect();
        (!ids.is_empty()).then(|| ids[n % ids.len()].clone())
    }

    pub fn step(&mut self, step: &Step) {
        hit(step.name());
        self.plain &= whole::is_plain(step);
        match step {
            Step::Wide(wide) => self.wide(wide),
            Step::CreateHere { user } => {
                let owner = self.world.users[user % self.world.users.len()];
                let card = self.markers.fresh();
                self.world.create_person(owner, card);
            }
            Step::Twin { site } => drop(self.twin(*site)),
            Step::EditHere { who, what } => {
                let Some(id) = self.person(*who, true) else { return };
                let (markers, wide) = (&mut self.markers, self.setup.wide);
                let mut new = BTreeSet::new();
                let before = now(self.world.store.person(id)).unwrap().unwrap().card;
                let mut after = before.clone();
                if wide {
                    markers.edit_more(&mut after, *what);
                } else {
                    markers.edit(&mut after, *what);
                }
                new.extend(marks(&after).difference(&marks(&before)).cloned());
                if after.photo != before.photo
                    && let Some(photo) = &after.photo
                {
                    self.world.commit(vec![Change::PutBlob(picture(photo))], Vec::new()).unwrap();
                }
                self.world.edit_person(id, |card| *card = after);
                self.note_hidden(id, &new);
            }
            Step::TrashHere { who } => {
                let Some(id) = self.person(*who, true) else { return };
                let person = self.world.people().into_iter().find(|p| p.id == id).unwrap();
                self.markers.retire(&person.card);
                self.world.trash_person(id, person.owner);
            }
            Step::RestoreHere { who } => {
                let Some(id) = self.person(*who, false) else { return };
                match now(self.world.engine.merge_of(id)).unwrap() {
                    Some(merge) => self.undo(&Undo::Operations(vec![merge]), false),
                    None => self.world.restore_person(id),
                }
            }
            Step::CreateThere { site } => {
                let site = self.site(*site);
                let card = self.markers.fresh();
                self.world.create_there(site, &card);
            }
            Step::EditThere { site, which, what } => {
                let site = self.site(*site);
                let Some(id) = self.record(site, *which) else { return };
                // A user of that provider can't fill in what it doesn't have, nor more than it holds.
                let caps = self.world.sites[site].fake.server.lock().unwrap().caps.clone();
                let card = &self.world.cards_there(site)[&id];
                let full = |field: Field| {
                    caps.most
                        .get(&field)
                        .is_some_and(|most| card.get(field).into_elements().len() >= usize::from(*most))
                };
                let what = match what % 12 {
                    2 if full(Field::Emails) => 3,
                    5 if full(Field::Phones) => 6,
                    9 if !caps.writes.contains(Field::Nicknames) => 10,
                    _ => *what,
                };
                let (markers, wide) = (&mut self.markers, self.setup.wide);
                let mut new = BTreeSet::new();
                self.world.edit_there(site, &id, |card| {
                    let before = marks(card);
                    if wide {
                        markers.edit_more(card, what);
                    } else {
                        markers.edit(card, what);
                    }
                    new.extend(marks(card).difference(&before).cloned());
                });
                self.note_kept_out(site, &id, &new);
                let unlooked = self.world.sites[site].fake.server.lock().unwrap().unlooked.contains(&id);
                if unlooked || wide && what % 15 >= 12 && self.picture_under_way(site, &id) {
                    self.markers.retire_all(&new);
                }
            }
            Step::DeleteThere { site, which } => {
                let site = self.site(*site);
                let Some(id) = self.record(site, *which) else { return };
                self.markers.retire(&self.world.cards_there(site)[&id]);
                self.world.delete_there(site, &id);
            }
            Step::RenameThere { site, which } => {
                let site = self.site(*site);
                let Some(id) = self.record(site, *which) else { return };
                let has_uid = kinds::has_uid(self.setup.sites[site].1);
                // Under a name of our choosing a record stays; others move, and say so unless they carry their identity.
                self.world.rename_there(site, &id, !has_uid);
            }
            Step::Member { site, which, member } => {
                let site = self.site(*site);
                let Some(id) = self.record(site, *which) else { return };
                if !member && self.world.settings(site).on_leave == OnLeave::Delete {
                    self.markers.retire(&self.world.cards_there(site)[&id]);
                }
                self.world.set_member(site, &id, *member);
            }
            Step::Sync { site } => {
                let site = self.site(*site);
                self.world.finish(site);
                let _ = self.world.sync(site);
                self.world.hand.pass(MINUTE);
            }
            Step::SyncStopped { site, stop } => {
                let site = self.site(*site);
                self.world.finish(site);
                self.world.driver.stop(*stop);
                let _ = self.world.sync(site);
                self.world.restart();
            }
            Step::SyncCutInSend { site, after, stored } => {
                let site = self.site(*site);
                self.world.finish(site);
                self.faults(site).crash_at_send = Some((*after, *stored));
                let _ = self.world.sync(site);
                self.faults(site).crash_at_send = None;
                self.world.restart();
            }
            Step::LoseBefore { site } => self.faults(*site).lose_before += 1,
            Step::LoseAfter { site } => self.faults(*site).lose_after += 1,
            Step::ExpireCursors { site } => {
                let site = self.site(*site);
                self.world.sites[site].fake.server.lock().unwrap().book.expire_cursors();
            }
            Step::EmptyListing { site } => {
                let site = self.site(*site);
                self.emptied.insert(site);
                let mut server = self.world.sites[site].fake.server.lock().unwrap();
                server.book.expire_cursors();
                server.faults.empty_listing += 1;
            }
            Step::FetchUnknown { site } => self.faults(*site).fetch_unknown += 1,
            Step::FailChanges { site } => self.faults(*site).fail_changes += 1,
            Step::RefusePage { site } => self.faults(*site).refuse_page += 1,
            Step::RefuseWrite { site } => self.faults(*site).refuse_write += 1,
            Step::Pass { minutes } => self.world.hand.pass(minutes * MINUTE),
        }
        if self.setup.wide {
            self.after_step();
        }
    }

    pub fn faults(&self, site: usize) -> Faults<'_> {
        Faults(self.world.sites[self.site(site)].fake.server.lock().unwrap())
    }

    /// Whether a picture is on its way to this record: nobody can tell then whether another one there is what the provider
    /// made of ours.
    fn picture_under_way(&self, site: usize, id: &str) -> bool {
        let open = now(self.world.store.intents(self.world.account_of(site).id)).unwrap();
        let names = |intent: &Intent| intent.before.as_ref().is_some_and(|before| before.at.id.as_str() == id);
        open.iter().any(|intent| names(intent) && (intent.mask.contains(Field::Photo) || intent.what == Send::SetPhoto))
    }

    /// How many operations there have been.
    fn operations(&self) -> Vec<String> {
        self.world.driver.inner().texts("SELECT CAST(COUNT(*) AS TEXT) FROM operations")
    }

    /// All faults end; everything is synced until nothing is left to do. Says how many rounds it took, or who would not rest.
    pub fn settle(&mut self) -> Result<usize, String> {
        if self.setup.wide {
            self.heal();
        }
        self.world.restart();
        for site in &self.world.sites {
            site.fake.server.lock().unwrap().faults = Default::default();
        }
        const ROUNDS: usize = 20;
        let mut restless = String::new();
        for round in 0..ROUNDS {
            restless.clear();
            let done = self.operations();
            for site in 0..self.world.sites.len() {
                self.world.hand.pass(25 * HOUR);
                match self.world.sync(site) {
                    Ok(report) if report.tally.is_quiet() && !report.unfinished => {}
                    Ok(report) => restless.push_str(&format!("site {site}: {report:?}; ")),
                    Err(error) => restless.push_str(&format!("site {site}: {error}; ")),
                }
            }
            // What one account has done, quietly too, may be for another to go on with.
            if restless.is_empty() && done == self.operations() {
                return Ok(round);
            }
        }
        Err(format!("not at rest after {ROUNDS} rounds: {restless}"))
    }
}

pub struct Faults<'a>(std::sync::MutexGuard<'a, super::fake::Server>);
impl std::ops::Deref for Faults<'_> {
    type Target = super::fake::Faults;
    fn deref(&self) -> &Self::Target {
        &self.0.faults
    }
}
impl std::ops::DerefMut for Faults<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0.faults
    }
}

/// A card with nothing but a name and an address; for steps that need no markers.
pub fn card(name: &str) -> Card {
    let email = format!("{}@example.com", name.to_lowercase());
    Card {
        display: Some(name.to_owned()),
        given: Some(name.to_owned()),
        emails: vec![Item::new(email)],
        ..Card::default()
    }
}
