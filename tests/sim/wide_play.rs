//! How the steps of the second generator are played.

use std::collections::BTreeSet;

use contactd::card::Card;
use contactd::crm::person::{Person, VisibleTo};
use contactd::crm::users::{Role, User};
use contactd::engine::change::{Present, asks_about_present};
use contactd::ids::{GroupId, PersonId, RoleId, UserId};
use contactd::store::{Account, AccountState, Change, Store, SubjectKey};
use contactd::sync::diff::Diff;
use contactd::sync::operation::{Actor, Effect, PersonChange};
use contactd::sync::settings::{ConflictPolicy, DeletePolicy, Direction, OnLeave, Push, Scope, Settings};
use contactd::sync::view::Answer;
use mock_providers::book::{Condition, Lag};

use super::access::may;
use super::cover::hit;
use super::fake::Server;
use super::history::{Play, Step};
use super::kinds;
use super::oracle::{found, marks};
use super::wide::{FIELDS, FLOWS, ROLES, Wide};
use super::world::{GROUP, MINUTE, World, now};

/// A day, in ms.
const DAY: i64 = 24 * 60 * MINUTE;

/// The n-th role.
fn role(n: usize) -> RoleId {
    RoleId(uuid::Uuid::from_u128(0x0a01_0000_0000_7000_8000_0000_0000_0000 + n as u128))
}

impl World {
    pub fn account_of(&self, site: usize) -> Account {
        now(self.store.account(self.sites[site].id)).unwrap().unwrap()
    }

    fn set_state(&mut self, site: usize, state: AccountState) {
        let account = self.account_of(site);
        self.commit(vec![Change::PutAccount(Box::new(Account { state, ..account }))], Vec::new()).unwrap();
    }

    fn user_doc(&self, n: usize) -> User {
        let id = self.users[n % self.users.len()];
        now(self.store.directory()).unwrap().users[&id].clone()
    }

    fn put_user(&mut self, user: User) {
        self.commit(vec![Change::PutUser(user)], Vec::new()).unwrap();
    }
}

impl Play {
    /// The roles, and what each user may.
    pub fn set_rights(&mut self) {
        if !self.setup.wide {
            return;
        }
        for n in 0..ROLES {
            let parent = n.checked_sub(1).map(role);
            let new = Role { id: role(n), name: format!("role {n}"), parent };
            self.world.commit(vec![Change::PutRole(new)], Vec::new()).unwrap();
        }
        for (n, (at, bits)) in self.setup.rights.clone().into_iter().enumerate() {
            if n < self.world.users.len() {
                self.give(n, Some(at), Some(bits));
            }
        }
    }

    fn give(&mut self, user: usize, at: Option<usize>, bits: Option<usize>) {
        let mut user = self.world.user_doc(user);
        if let Some(at) = at {
            user.role = (at < ROLES).then(|| role(at));
        }
        if let Some(bits) = bits {
            (user.admin, user.restricted, user.sees_followed_users) = (bits & 1 > 0, bits & 2 > 0, bits & 4 > 0);
            // Who has become an admin trashes for others, too.
            self.spared.retain(|(by, ..)| !user.admin || *by != user.id);
        }
        self.world.put_user(user);
    }

    fn change(&mut self, site: usize, present: Option<Present>, change: impl FnOnce(&mut Settings)) {
        // Whoever changes settings has the account to itself.
        self.world.finish(site);
        let account = self.world.account_of(site);
        let mut settings = account.settings.clone();
        change(&mut settings);
        if settings == account.settings {
            return;
        }
        if settings.guard != account.settings.guard {
            self.guarded.remove(&site);
        }
        if settings.on_leave == OnLeave::Delete {
            self.leaving_deletes.insert(site);
            // Who left before, and has not been missed yet, counts as deleted, too.
            let left = |id: &String| self.world.left_there.contains(&(site, id.clone()));
            for (_, card) in self.world.cards_there(site).into_iter().filter(|(id, _)| left(id)) {
                self.markers.retire(&card);
            }
        }
        let present = asks_about_present(&account.settings, &settings).then_some(present).flatten();
        if present == Some(Present::Agree) {
            self.agreed.insert(site);
            self.give_up_what_differs(site);
        }
        let caps = self.world.sites[site].fake.server.lock().unwrap().caps.clone();
        let one_way = settings.direction == Direction::OneWay;
        now(self.world.engine.change_settings(&account, &caps, settings, present, Actor::Operator)).unwrap();
        self.world.sites[site].fake.server.lock().unwrap().forbid_writes = one_way;
    }

    /// What stands here only is agreed not to be sent: whatever is written there in its place, seen or not yet, is newer.
    fn give_up_what_differs(&mut self, site: usize) {
        let (account, there) = (self.world.sites[site].id, self.world.cards_there(site));
        for person in self.world.people() {
            let links = now(self.world.store.links_of(person.id)).unwrap();
            let record = links.into_iter().filter(|link| link.account == account).find_map(|link| link.remote);
            if let Some(card) = record.and_then(|record| there.get(record.as_str())) {
                self.markers.retire_all(&(&marks(&person.card) - &marks(card)));
            }
        }
    }

    fn change_person(&mut self, who: usize, change: impl FnOnce(&mut Person) -> Option<PersonChange>) {
        let Some(id) = self.person(who, true) else { return };
        let mut person = now(self.world.store.person(id)).unwrap().unwrap();
        let Some(change) = change(&mut person) else { return };
        self.world.put_person(person, Effect::Person { person: id, link: None, change });
    }

    pub fn wide(&mut self, step: &Wide) {
        match step {
            Wide::Start { site, second, polls } => {
                let site = self.site(*site);
                self.world.start(site, *second, *polls);
            }
            Wide::Go { which, polls } => {
                let n = self.world.under_way.len();
                if n > 0 {
                    self.world.go_on(which % n, *polls);
                }
            }
            Wide::Finish { which } => {
                let n = self.world.under_way.len();
                if n > 0 {
                    self.world.go_on(which % n, usize::MAX);
                }
            }
            Wide::Crash { second } => {
                if self.world.under_way.iter().any(|run| run.second == *second) {
                    hit("fault: a daemon died in the middle of a run");
                }
                self.world.crash(*second);
            }
            Wide::Second { site } => {
                let site = self.site(*site);
                self.world.start(site, true, usize::MAX);
                self.world.hand.pass(MINUTE);
            }
            Wide::Settings { site, what } => {
                let site = self.site(*site);
                let of = what / 8;
                self.change(site, None, |s| match what % 8 {
                    0 | 1 => {
                        use ConflictPolicy::{Ask, Crm, Latest, Provider};
                        s.conflicts = [Latest, Provider, Crm, Ask][of % 4];
                    }
                    2 | 3 => {
                        use DeletePolicy::{Ask, Propagate, Tag, Unlink};
                        s.deletes = [Propagate, Unlink, Tag, Ask][of % 4];
                    }
                    4 => s.on_leave = if of % 2 == 0 { OnLeave::Keep } else { OnLeave::Delete },
                    5 => s.push = if of % 2 == 0 { Push::Owned } else { Push::Linked },
                    6 => s.guard.on = of % 2 == 0,
                    _ => s.visible_to = VisibleTo::ALL[of % 5],
                });
            }
            Wide::Direction { site, push } => {
                let site = self.site(*site);
                let present = if *push { Present::Push } else { Present::Agree };
                self.change(site, Some(present), |s| {
                    s.direction = match s.direction {
                        Direction::OneWay => Direction::TwoWay,
                        Direction::TwoWay => Direction::OneWay,
                    }
                });
            }
            Wide::Regroup { site } => {
                let site = self.site(*site);
                self.change(site, None, |s| {
                    s.scope = match s.scope {
                        Scope::All => Scope::Group(GroupId(GROUP.into())),
                        Scope::Group(_) => Scope::All,
                    }
                });
            }
            Wide::Map { site, field, flow } => {
                let site = self.site(*site);
                self.mapped = true;
                self.change(site, None, |s| {
                    s.mapping.0.insert(FIELDS[field % 5], FLOWS[flow % 4]);
                });
            }
            Wide::Account { site, what } => self.account_step(*site, *what),
            Wide::Owner { who, user } => {
                let to = self.world.users[user % self.world.users.len()];
                self.change_person(*who, |p| {
                    let from = std::mem::replace(&mut p.owner, to);
                    p.followers.retain(|f| *f != to);
                    (from != to).then(|| PersonChange::Owner(Diff::new(from, to)))
                });
            }
            Wide::See { who, what } => {
                let to = VisibleTo::ALL[what % 5];
                self.change_person(*who, |p| {
                    let from = std::mem::replace(&mut p.visible_to, to);
                    (from != to).then(|| PersonChange::VisibleTo(Diff::new(from, to)))
                });
            }
            Wide::Follow { who, user } => {
                let user = self.world.users[user % self.world.users.len()];
                self.change_person(*who, |p| {
                    let before = p.followers.clone();
                    match p.followers.iter().position(|f| *f == user) {
                        Some(at) => drop(p.followers.remove(at)),
                        None if p.owner != user => p.followers.push(user),
                        None => return None,
                    }
                    Some(PersonChange::Followers(Diff::new(before, p.followers.clone())))
                });
            }
            Wide::TrashBy { who, user } => self.trash_by(*who, *user),
            Wide::Role { user, role } => self.give(*user, Some(role % (ROLES + 1)), None),
            Wide::Rights { user, bits } => self.give(*user, None, Some(*bits)),
            Wide::FollowUser { user, other } => {
                let mut user = self.world.user_doc(*user);
                let other = self.world.users[other % self.world.users.len()];
                if user.id != other && !user.follows.remove(&other) {
                    user.follows.insert(other);
                }
                self.world.put_user(user);
            }
            Wide::Reorganise { role: at, parent } => {
                // Only upward, so that the tree stays one.
                let (at, parent) = (at % ROLES, parent % ROLES);
                let parent = (parent < at).then(|| role(parent));
                let role = Role { id: role(at), name: format!("role {at}"), parent };
                self.world.commit(vec![Change::PutRole(role)], Vec::new()).unwrap();
            }
            Wide::Purge { days } => {
                let before = self.world.people();
                let _ = now(self.world.engine.purge(self.world.time().plus(-days * DAY)));
                if before != self.world.people() {
                    // With whom is removed for good goes what the log kept of its records.
                    let found = found(self);
                    self.markers.keep(&found);
                }
            }
            Wide::Backup => self.backup = self.world.driver.inner().copy(),
            Wide::Restore => self.restore(),
            Wide::Lag { site, part } => {
                let site = self.site(*site);
                let most = kinds::lag(self.setup.sites[site].1);
                let lag = if part * most == 0 { Lag::None } else { Lag::Millis((part * most / 3) as u64) };
                if lag != Lag::None {
                    hit("fault: reads lag");
                }
                self.world.sites[site].fake.server.lock().unwrap().book.set_lag(lag);
            }
            Wide::Touch { site, which } => {
                let site = self.site(*site);
                let Some(id) = self.record(site, *which) else { return };
                let time = self.world.time().0 as u64;
                let mut server = self.world.sites[site].fake.server.lock().unwrap();
                let time = server.tell_time(time);
                server.book.touch(&id, time).unwrap();
            }
            Wide::MergeThere { site, which, other } => self.merge_there(*site, *which, *other),
            Wide::Mass { site, from, n } => {
                let site = self.site(*site);
                for _ in 0..*n {
                    let Some(id) = self.record(site, *from) else { return };
                    self.markers.retire(&self.world.cards_there(site)[&id]);
                    self.world.delete_there(site, &id);
                }
            }
            Wide::Bridge { one, other } => {
                let (one, other) = (self.site(*one), self.site(*other));
                if one != other {
                    self.bridge(one, other);
                }
            }
            Wide::Answer { which, yes } => {
                let held: Vec<_> =
                    now(self.world.store.held(None)).unwrap().into_iter().filter(|h| h.answer.is_none()).collect();
                if held.is_empty() {
                    return;
                }
                self.confirmed |= *yes;
                let answer = if *yes { Answer::Confirmed } else { Answer::Rejected };
                hit(if *yes { "rule 10: confirmed" } else { "rule 10: rejected" });
                let _ = self.world.commit(vec![Change::AnswerHeld(held[which % held.len()].id, answer)], Vec::new());
            }
            Wide::ClockBack { minutes } => {
                self.world.hand.pass(-minutes * MINUTE);
                // What was deleted before is as long ago as it was.
                for site in &self.world.sites {
                    let mut server = site.fake.server.lock().unwrap();
                    let back = u64::try_from(minutes * MINUTE).unwrap();
                    server.deletes.iter_mut().for_each(|at| *at = at.saturating_sub(back));
                }
            }
            Wide::RefuseCreate { site } => self.faults(*site).refuse_create += 1,
            Wide::CutListing { site } => self.faults(*site).cut_listing += 1,
            Wide::Revoke { site } => {
                let site = self.site(*site);
                let revoked = !std::mem::replace(&mut self.faults(site).revoked, true);
                if !revoked {
                    // A person signs in again.
                    self.faults(site).revoked = false;
                    if matches!(self.world.account_of(site).state, AccountState::Reconnect { .. }) {
                        self.world.set_state(site, AccountState::Active);
                    }
                }
            }
            Wide::Away { site, requests } => self.faults(*site).away += requests,
            Wide::MissFind { site } => {
                // Twice in a row would be more than anybody can tell from "it is not there".
                let site = self.site(*site);
                if self.missed.insert(site) {
                    self.faults(site).miss_find = 1;
                }
            }
            Wide::Stall { site, polls } => {
                let site = self.site(*site);
                self.world.finish(site);
                self.world.start(site, false, *polls);
                if self.world.under_way.iter().any(|run| run.site == site) {
                    hit("fault: a daemon stalled past its lease");
                }
                for _ in 0..2 {
                    self.world.hand.pass(5 * MINUTE);
                    self.world.start(site, true, usize::MAX);
                }
                self.world.finish(site);
            }
            Wide::Race { site, who, polls } => {
                let site = self.site(*site);
                let Some(person) = self.person(*who, true) else { return };
                let account = self.world.sites[site].id;
                let links = now(self.world.store.links_of(person)).unwrap();
                let Some(record) = links.into_iter().find(|l| l.account == account).and_then(|l| l.remote) else {
                    return;
                };
                let there: Vec<String> = self.world.cards_there(site).into_keys().collect();
                let Some(which) = there.iter().position(|id| id == record.as_str()) else { return };
                // Both write the suffix.
                self.world.finish(site);
                self.step(&Step::EditHere { who: *who, what: 10 });
                self.world.start(site, false, *polls);
                self.step(&Step::EditThere { site, which, what: 10 });
                self.world.finish(site);
            }
            Wide::Unshown { site } => {
                // Something is to be asked for, so often that it counts as unreadable.
                self.step(&Step::Wide(Wide::Touch { site: *site, which: 0 }));
                self.faults(*site).fetch_unknown += 5;
                for _ in 0..4 {
                    self.step(&Step::Sync { site: *site });
                }
            }
            Wide::Garble { site, which } => {
                let site = self.site(*site);
                let Some(id) = self.record(site, *which) else { return };
                let time = self.world.time().0 as u64;
                let mut server = self.world.sites[site].fake.server.lock().unwrap();
                server.tell_time(time);
                let garbled = !server.garbled().contains(&id);
                server.garble(&id, garbled);
            }
            Wide::Repeat { site } => self.faults(*site).repeat += 1,
            Wide::RefusePicture { site, late } => self.faults(*site).refuse_picture = Some(*late),
            Wide::Return { site } => {
                let site = self.site(*site);
                let back = self.world.return_there(site);
                // Whose record was made one with another's is that one by now; what comes back may be somebody new. And beside
                // the record that was made anew in its place, or is yet as long as it is not shown, or that its person goes by
                // since two became one, it stands there twice: that is the device's doing.
                if let Some(id) = back {
                    let mut cards = self.world.cards_there(site);
                    let card = cards.remove(&id).unwrap_or_default();
                    let again = cards.values().any(|other| !marks(other).is_disjoint(&marks(&card)));
                    let book = &self.world.sites[site].fake.server.lock().unwrap().book;
                    let late = book.horizon() < book.revision();
                    let beside = format!(
                        "SELECT o.id FROM links l JOIN links o ON o.person = l.person AND o.account = l.account \
                         WHERE l.account = '{}' AND l.remote = '{id}' AND o.rank = 0 AND o.id <> l.id",
                        self.world.sites[site].id
                    );
                    let beside = !self.world.driver.inner().texts(&beside).is_empty();
                    if again || late || beside || self.world.merged_away.contains(&(site, id)) {
                        self.markers.twin(&card);
                    }
                }
            }
            Wide::Copy { site, who } => {
                let site = self.site(*site);
                let Some(id) = self.person(*who, true) else { return };
                let person = now(self.world.store.person(id)).unwrap().unwrap();
                if may(self.world.sites[site].user, &person, &now(self.world.store.directory()).unwrap()) {
                    self.markers.twin(&person.card);
                    // What stands in two people is not told by who may see one of them.
                    let copied = marks(&person.card);
                    self.hidden_from.retain(|(_, _, mark)| !copied.contains(mark));
                    self.kept_out.retain(|(_, _, mark)| !copied.contains(mark));
                    let image = self.world.sites[site].fake.server.lock().unwrap().image(&person.card);
                    self.world.create_there(site, &image);
                }
            }
            Wide::Undo { which, what, again } => self.undo_step(*which, *what, *again),
            Wide::MergeHere { who, other, undone } => self.merge_here(*who, *other, *undone),
            Wide::Resolve { which, how } => self.resolve(*which, *how),
            Wide::Duplicate { site, which, merge } => self.duplicate(*site, *which, *merge),
            Wide::Verify { site } => self.verify(*site),
            Wide::Resume { who } => self.resume(*who),
            Wide::HideGroups { site } => {
                let site = self.site(*site);
                let mut server = self.world.sites[site].fake.server.lock().unwrap();
                server.book.expire_cursors();
                server.faults.hide_groups = 1;
            }
        }
    }

    fn account_step(&mut self, site: usize, what: usize) {
        let site = self.site(site);
        let state = self.world.account_of(site).state;
        let next = match (what % 3, state) {
            (0, AccountState::Active) => AccountState::Paused { reason: "by hand".into() },
            (1, AccountState::Active | AccountState::Paused { .. }) => AccountState::Removed,
            (_, AccountState::Paused { .. }) => AccountState::Active,
            // Added again: it is found, and listed for the preview first.
            (_, AccountState::Removed) => AccountState::Setup,
            (_, AccountState::Setup) => AccountState::Active,
            _ => return,
        };
        hit(match next {
            AccountState::Paused { .. } => "rule 22: account paused",
            AccountState::Removed => "rule 15: account removed",
            AccountState::Setup => "rule 15: account added again",
            _ => "rule 22: account resumed",
        });
        self.world.set_state(site, next);
    }

    fn merge_there(&mut self, site: usize, which: usize, other: usize) {
        let site = self.site(site);
        let (Some(keep), Some(drop)) = (self.record(site, which), self.record(site, other)) else { return };
        if keep == drop {
            return;
        }
        let gone = self.world.cards_there(site)[&drop].clone();
        self.markers.retire(&gone);
        // What stands in two people is not told by who may see one of them.
        let copied = marks(&Card { emails: gone.emails.clone(), ..Card::default() });
        self.hidden_from.retain(|(_, _, mark)| !copied.contains(mark));
        self.kept_out.retain(|(_, _, mark)| !copied.contains(mark));
        // What a device has put back of somebody in the trash gives its name to another.
        let account = self.world.sites[site].id;
        let ended =
            format!("SELECT id FROM links WHERE account = '{account}' AND remote = '{keep}' AND state = 'deleted'");
        if !self.world.driver.inner().texts(&ended).is_empty() {
            let kept = self.world.cards_there(site)[&keep].clone();
            self.markers.twin(&kept);
        }
        let tells = !kinds::has_uid(self.setup.sites[site].1);
        self.world.delete_there(site, &drop);
        self.world.merged_away.insert((site, drop.clone()));
        // What goes on as a record outside the group has left it.
        self.world.left_there.insert((site, keep.clone()));
        self.world.edit_there(site, &keep, |card| card.emails.extend(gone.emails.iter().cloned()));
        if tells {
            let time = self.world.time().0 as u64;
            let mut server = self.world.sites[site].fake.server.lock().unwrap();
            let time = server.tell_time(time);
            let _ = server.book.edit(&keep, Condition::None, time, |entry| entry.former.push(drop.clone()));
        }
    }

    /// A foreign syncer looks at the contacts that both sites have, and copies over what one of them changed.
    fn bridge(&mut self, one: usize, other: usize) {
        let by_name = |play: &Self, site| -> Vec<(String, String, Card)> {
            let all = play.world.cards_there(site).into_iter();
            all.filter_map(|(id, card)| Some((play.markers.name_of(&card)?, id, card))).collect()
        };
        let (here, there) = (by_name(self, one), by_name(self, other));
        for (name, id, card) in &here {
            let mut same = there.iter().filter(|(n, ..)| n == name);
            let (Some((_, other_id, other_card)), None) = (same.next(), same.next()) else { continue };
            if here.iter().filter(|(n, ..)| n == name).count() != 1 {
                continue;
            }
            let text = |card: &Card| serde_json::to_string(card).unwrap();
            let key = (one, other, name.clone());
            let (a, b) = (text(card), text(other_card));
            let (changed, changed_there) = match self.bridges.get(&key) {
                Some((last, last_there)) => (*last != a, *last_there != b),
                None => (false, false),
            };
            self.bridges.insert(key.clone(), (a, b));
            let (to, to_id, from) = match (changed, changed_there) {
                (true, _) => (other, other_id, card),
                (false, true) => (one, id, other_card),
                _ => continue,
            };
            hit("fault: a foreign syncer copied a change");
            let image = self.world.sites[to].fake.server.lock().unwrap().image(from);
            let mut overwritten = BTreeSet::new();
            self.world.edit_there(to, to_id, |card| {
                let before = marks(card);
                for field in FIELDS {
                    card.set(field, image.get(field));
                }
                overwritten.extend(before.difference(&marks(card)).cloned());
            });
            self.markers.retire_all(&overwritten);
            let now_at = |site: usize, id: &String| self.world.cards_there(site).get(id).map(text).unwrap_or_default();
            let pair = (now_at(one, id), now_at(other, other_id));
            self.bridges.insert(key, pair);
        }
    }

    /// The store as it was at the backup; the address books go on.
    fn restore(&mut self) {
        let Some(copy) = self.backup.take() else { return };
        self.world.under_way.clear();
        self.world.driver.inner().restore(&copy);
        self.restored = true;
        hit("rule 15: backup restored");
        // What only the newer store knew is lost with it, and what was deleted there since looks like anybody's deletion.
        let found = found(self);
        self.markers.keep(&found);
        for site in 0..self.world.sites.len() {
            let there = self.world.cards_there(site);
            for person in self.world.people() {
                for link in now(self.world.store.links_of(person.id)).unwrap() {
                    if link.account == self.world.sites[site].id
                        && let Some(remote) = link.remote.filter(|r| !there.contains_key(r.as_str()))
                    {
                        self.world.deleted_there.insert((site, remote.to_string()));
                    }
                }
            }
            let settings = self.world.settings(site);
            if settings.guard.on != self.setup.sites[site].2.guard.on {
                self.guarded.remove(&site);
            }
            let one_way = settings.direction == Direction::OneWay;
            self.world.sites[site].fake.server.lock().unwrap().forbid_writes = one_way;
        }
    }

    /// Who may not see this person must not get what was just written.
    pub fn note_hidden(&mut self, person: PersonId, new: &BTreeSet<String>) {
        if !self.setup.wide || new.is_empty() {
            return;
        }
        let directory = now(self.world.store.directory()).unwrap();
        let doc = now(self.world.store.person(person)).unwrap().unwrap();
        for user in self.world.users.iter().filter(|user| !may(**user, &doc, &directory)) {
            hit("rule 22: written where somebody may not look");
            self.hidden_from.extend(new.iter().map(|mark| (*user, person, mark.clone())));
        }
    }

    /// What was just written into a record whose person its user may not see must not come to the person.
    pub fn note_kept_out(&mut self, site: usize, record: &str, new: &BTreeSet<String>) {
        if !self.setup.wide || new.is_empty() {
            return;
        }
        let (account, user) = (self.world.sites[site].id, self.world.sites[site].user);
        let key = [SubjectKey::Record(record.into())];
        let subject = now(self.world.store.subjects(account, &key)).unwrap().remove(0);
        let Some(link) = subject.link else { return };
        let Some(person) = now(self.world.store.person(link.person)).unwrap() else { return };
        if !may(user, &person, &now(self.world.store.directory()).unwrap()) {
            hit("rule 22: written by somebody who may not look");
            self.kept_out.extend(new.iter().map(|mark| (user, person.id, mark.clone())));
        }
    }

    /// Who has access again is told everything; servers know what must not reach them; what was overwritten blindly is gone.
    pub fn after_step(&mut self) {
        if !self.hidden_from.is_empty() || !self.kept_out.is_empty() {
            let directory = now(self.world.store.directory()).unwrap();
            let store = self.world.store.clone();
            let hidden = |(user, person, _): &(UserId, PersonId, String)| {
                now(store.person(*person)).unwrap().is_some_and(|person| !may(*user, &person, &directory))
            };
            self.hidden_from.retain(hidden);
            self.kept_out.retain(hidden);
        }
        let hidden_people = self.hidden_people();
        for (n, site) in self.world.sites.iter().enumerate() {
            let mut server = site.fake.server.lock().unwrap();
            if self.bridges.is_empty() {
                let forbidden = self.hidden_from.iter().filter(|(user, ..)| *user == site.user);
                server.forbidden = forbidden.map(|(_, _, mark)| mark.clone()).collect();
            } else {
                server.forbidden.clear();
            }
            server.hidden_people.clone_from(&hidden_people[n]);
            let blind = Server::take_blind(&mut server);
            drop(server);
            self.markers.retire_all(&blind);
        }
    }

    /// Per site, the names of those whom its user may not see, and of whom nothing is under way: no run may send them from
    /// now on (rule 22). Names that somebody else carries too say nothing.
    fn hidden_people(&self) -> Vec<BTreeSet<String>> {
        let directory = now(self.world.store.directory()).unwrap();
        let people = self.world.people();
        let of = |site: &super::world::Site| {
            let open: BTreeSet<PersonId> =
                now(self.world.store.intents(site.id)).unwrap().into_iter().map(|intent| intent.person).collect();
            let (mut hidden, mut seen) = (BTreeSet::new(), BTreeSet::new());
            for person in &people {
                // A contact that stands on two sides is told by its user as well as by us.
                let told = open.contains(&person.id) || self.markers.is_twin(&person.card);
                let shown = told || may(site.user, person, &directory);
                let names = marks(&person.card).into_iter().filter(|mark| self.markers.is_name(mark));
                if shown { &mut seen } else { &mut hidden }.extend(names);
            }
            // A backup that was put back has lost whose somebody was; the record in the user's own book has not.
            if self.restored {
                let own = (0..self.world.sites.len()).filter(|n| self.world.sites[*n].user == site.user);
                seen.extend(own.flat_map(|n| self.world.cards_there(n).into_values()).flat_map(|card| marks(&card)));
            }
            &hidden - &seen
        };
        self.world.sites.iter().map(of).collect()
    }

    /// All faults end: runs go on to their ends, accounts are active again, clocks and reads are right.
    pub fn heal(&mut self) {
        while !self.world.under_way.is_empty() {
            self.world.go_on(0, usize::MAX);
        }
        self.after_step();
        for site in 0..self.world.sites.len() {
            {
                let mut server = self.world.sites[site].fake.server.lock().unwrap();
                server.book.set_lag(Lag::None);
                for id in server.garbled() {
                    server.garble(&id, false);
                }
                if self.emptied.contains(&site) {
                    // Whose first listing was empty, and came with a cursor, is told of nothing until that expires.
                    server.book.expire_cursors();
                }
            }
            if self.world.account_of(site).state != AccountState::Active {
                self.world.set_state(site, AccountState::Active);
            }
        }
    }
}
