//! Who may see what, told without the engine's help (design 6), and what follows from it (I10, rules 10 and 22).

use contactd::card::Card;
use contactd::crm::person::{Person, PersonState, VisibleTo};
use contactd::crm::users::{Directory, User};
use contactd::ids::{LinkId, RoleId, UserId};
use contactd::store::Store;
use contactd::sync::plan::{About, Side};
use contactd::sync::settings::{Direction, Settings};
use contactd::sync::view::{Link, LinkState, Origin};

use super::history::Play;
use super::world::now;

/// Whether the user may see and edit the person.
pub fn may(user: UserId, person: &Person, directory: &Directory) -> bool {
    let Some(user) = directory.users.get(&user).filter(|user| user.active) else { return false };
    if user.admin || user.id == person.owner || person.followers.contains(&user.id) {
        return true;
    }
    if user.restricted {
        return false;
    }
    (user.sees_followed_users && user.follows.contains(&person.owner)) || is_shown(user, person, directory)
}

fn is_shown(user: &User, person: &Person, directory: &Directory) -> bool {
    let of_owner = directory.users.get(&person.owner).and_then(|owner| owner.role);
    let (Some(mine), Some(theirs)) = (user.role, of_owner) else { return person.visible_to == VisibleTo::Company };
    match person.visible_to {
        VisibleTo::Company => true,
        VisibleTo::OwnerRole => mine == theirs,
        VisibleTo::OwnerRoleAndBelow => path(mine, directory).contains(&theirs),
        VisibleTo::Owner | VisibleTo::OwnerAndFollowers => false,
    }
}

/// The role and those above it.
fn path(from: RoleId, directory: &Directory) -> Vec<RoleId> {
    let mut path = vec![from];
    while let Some(above) = path.last().and_then(|role| directory.roles.get(role)).and_then(|role| role.parent) {
        if path.contains(&above) {
            break;
        }
        path.push(above);
    }
    path
}

impl Play {
    /// A user who may see somebody puts them into the trash. What their own users had made in other books, and did not trash
    /// themselves, is not to be deleted there (rule 7), but by the owner's word or an admin's in the owner's book.
    pub fn trash_by(&mut self, who: usize, user: usize) {
        let Some(id) = self.person(who, true) else { return };
        let user = self.world.users[user % self.world.users.len()];
        let directory = now(self.world.store.directory()).unwrap();
        let person = now(self.world.store.person(id)).unwrap().unwrap();
        if !may(user, &person, &directory) {
            return;
        }
        self.markers.retire(&person.card);
        self.world.trash_person(id, user);
        self.spared.retain(|(_, _, _, of)| *of != id);
        let admin = directory.users[&user].admin;
        for link in now(self.world.store.links_of(id)).unwrap() {
            let site = self.world.sites.iter().position(|site| site.id == link.account).unwrap();
            let of = self.world.sites[site].user;
            let entitled = of == user || (of == person.owner && admin) || link.origin == Origin::Ours;
            if let Some(record) = link.remote.filter(|_| !entitled && link.state.is_open()) {
                self.spared.insert((user, site, record.as_str().to_owned(), id));
            }
        }
    }
}

/// Rule 7: whoever was put into the trash by a colleague keeps the records that others made of them.
pub fn colleagues(play: &Play) -> Result<(), String> {
    let world = &play.world;
    if play.restored {
        return Ok(());
    }
    for (user, site, record, id) in &play.spared {
        let Some(person) = now(world.store.person(*id)).unwrap() else { continue };
        let still = matches!(person.state, PersonState::Trashed { by: Some(by), .. } if by == *user);
        let links = now(world.store.links_of(*id)).unwrap();
        let ended = |link: &Link| {
            link.account == world.sites[*site].id
                && link.state == LinkState::Deleted
                && link.remote.as_ref().is_some_and(|remote| remote.as_str() == record)
        };
        let key = (*site, record.clone());
        let there = world.cards_there(*site).contains_key(record);
        if still && !there && links.iter().any(ended) && !world.deleted_there.contains(&key) {
            return Err(format!("rule 7: {record} of site {site} was deleted since a colleague trashed {id}"));
        }
    }
    Ok(())
}

/// I10, rule 22: over no live link does a user get a person whom it may not see, and what a user wrote without access to
/// the person has not come to the person.
pub fn check(play: &Play) -> Result<(), String> {
    let world = &play.world;
    let directory = now(world.store.directory()).unwrap();
    for person in world.people() {
        for link in now(world.store.links_of(person.id)).unwrap() {
            let Some(site) = world.sites.iter().find(|site| site.id == link.account) else { continue };
            let live = link.state == LinkState::Live && link.remote.is_some() && person.is_live();
            if live && !may(site.user, &person, &directory) {
                return Err(format!("rule 22: {} flows to a user who may not see it: {link:?}", person.id));
            }
        }
        for (user, of, mark) in &play.kept_out {
            if *of == person.id && super::oracle::marks(&person.card).contains(mark) {
                return Err(format!("rule 22: {mark} came to {of} from {user}, who may not see it"));
            }
        }
    }
    Ok(())
}

/// Rule 10: where the guard was on all the time and nobody confirmed anything, no day saw more deletions than may be.
pub fn guard(play: &Play) -> Result<(), String> {
    if play.confirmed || play.restored {
        return Ok(());
    }
    let world = &play.world;
    for site in &play.guarded {
        let account = world.sites[*site].id;
        let sql = format!(
            "SELECT CAST(o.at AS TEXT) FROM operations o JOIN effects e ON e.op = o.id \
             WHERE o.actor LIKE '%{account}%' AND e.doc LIKE '%\"trashed\"%'"
        );
        let here: Vec<u64> = world.driver.inner().texts(&sql).iter().map(|at| at.parse().unwrap()).collect();
        let there = world.sites[*site].fake.server.lock().unwrap().deletes.clone();
        let all = world.people().len() + world.cards_there(*site).len() + there.len();
        // As it stood from the beginning to the end.
        let settings = play.setup.sites[*site].2.guard;
        let most = (all * usize::from(settings.percent) / 100).max(settings.at_least as usize);
        for (side, times) in [("here", here), ("there", there)] {
            let worst =
                times.iter().map(|from| times.iter().filter(|at| (*from..from + 86_000_000).contains(at)).count());
            if let Some(worst) = worst.max().filter(|worst| *worst > most) {
                return Err(format!("rule 10: {worst} were deleted {side} within a day, of {all}, at site {site}"));
            }
        }
    }
    Ok(())
}

/// R6: who was edited is not in the trash because a record was deleted. Told only of people all of whose records stand where
/// everything is held and flows both ways, and always did.
pub fn edits(play: &Play) -> Result<(), String> {
    if play.confirmed || play.restored {
        return Ok(());
    }
    let world = &play.world;
    let plain = |site: usize| {
        let (_, kind, before) = &play.setup.sites[site];
        let now = world.settings(site);
        let both = |s: &Settings| s.direction == Direction::TwoWay && s.mapping.0.is_empty();
        super::kinds::holds_all(*kind) && both(before) && both(&now) && !play.agreed.contains(&site)
    };
    for person in world.people() {
        if !matches!(person.state, PersonState::Trashed { by: None, .. }) {
            continue;
        }
        let links = now(world.store.links_of(person.id)).unwrap();
        let site = |link: &Link| world.sites.iter().position(|site| site.id == link.account);
        if !links.iter().filter_map(site).all(plain) {
            continue;
        }
        let mut card = person.card.clone();
        // A picture that went there and was not taken was no edit since.
        let not_taken = |link: &Link| link.base.ours.photo == person.card.photo && link.base.theirs.photo.is_none();
        if links.iter().any(not_taken) {
            card.photo = None;
        }
        // What waits for an answer since their first meeting, and was not touched since, was never agreed on: no edit.
        let asked = now(world.store.conflicts(None, 100_000)).unwrap();
        for clash in asked.iter().filter(|c| c.person == person.id && c.clash.stands == Side::Undecided) {
            let About::Field(field) = clash.clash.about else { continue };
            let met = links.iter().find(|link| link.id == clash.link);
            let written = person.times.get(&field).copied().unwrap_or_default();
            if met.is_some_and(|link| !link.base.mapped.contains(field) && written.0 <= made(link.id)) {
                card.set(field, Card::default().get(field));
            }
        }
        let edited = super::oracle::marks(&card);
        if let Some(edit) = edited.iter().find(|mark| play.markers.is_alive(mark)) {
            return Err(format!("R6: {edit} went into the trash with {}", person.id));
        }
    }
    Ok(())
}

/// When the link was made, in ms: its id says so.
fn made(link: LinkId) -> i64 {
    let (seconds, nanos) = link.0.get_timestamp().map(|at| at.to_unix()).unwrap_or_default();
    i64::try_from(seconds * 1000).unwrap_or(i64::MAX) + i64::from(nanos / 1_000_000)
}
