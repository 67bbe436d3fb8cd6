//! I3, the other half: nobody was forgotten. What takes part there is somebody here, and who belongs there is there. And rule
//! 12: nobody is made there beside a record that may be theirs.

use std::collections::BTreeSet;

use contactd::store::Store;
use contactd::sync::caps::Membership;
use contactd::sync::settings::{Direction, Push, Scope};
use contactd::sync::view::{Link, Origin};

use super::fake::Server;
use super::history::{Play, Step};
use super::oracle::marks;
use super::wide::Wide;
use super::world::{GROUP, now};

/// Whether everybody has arrived.
pub fn check(play: &Play) -> Result<(), String> {
    let world = &play.world;
    let people = world.people();
    let mut linked = BTreeSet::new();
    for person in &people {
        linked.extend(now(world.store.links_of(person.id)).unwrap().into_iter().map(|link| (link.account, person.id)));
    }
    // Those of people who were purged among them.
    let known = "SELECT account || ' ' || remote FROM links WHERE remote IS NOT NULL";
    let known: BTreeSet<String> = world.driver.inner().texts(known).into_iter().collect();
    for (n, site) in world.sites.iter().enumerate() {
        let settings = world.settings(n);
        let waiting = now(world.store.duplicates(site.id)).unwrap();
        let in_question: BTreeSet<_> = waiting.iter().flat_map(|(_, people)| people.iter().copied()).collect();
        let waiting: BTreeSet<String> = waiting.iter().map(|(record, _)| record.to_string()).collect();
        let server = site.fake.server.lock().unwrap();
        for entry in server.live() {
            let takes_part = match (&settings.scope, server.caps.membership) {
                (Scope::All, _) => true,
                (_, Membership::Roster) => {
                    let members = server.rosters.values().next().map(|roster| roster.members.clone());
                    members.unwrap_or_default().contains(&Server::uid(entry))
                }
                _ => entry.groups.contains(GROUP),
            };
            let ours = entry.marks.contains_key("token");
            // Whether twins are one is for pairing to say, or for a person.
            let twin = play.markers.is_twin(&Server::card(entry));
            let here = known.contains(&format!("{} {}", site.id, entry.id)) || waiting.contains(&entry.id) || twin;
            if takes_part && !ours && !here && !play.restored {
                return Err(format!("I3: nobody here is {} of site {n}", entry.id));
            }
        }
        // Who may be met again after a backup was restored waits for a person where it is more widely visible.
        if settings.direction != Direction::TwoWay || settings.push != Push::Owned || play.restored {
            continue;
        }
        let owned = people.iter().filter(|person| person.is_live() && person.owner == site.user);
        let in_question = |id| in_question.contains(id);
        for person in owned.filter(|person| !in_question(&person.id) && !play.markers.is_twin(&person.card)) {
            if !linked.contains(&(site.id, person.id)) {
                return Err(format!("I3: {} was never brought to site {n}", person.id));
            }
        }
    }
    Ok(())
}

/// Whether after this nobody who is there twice may be so rightly: nothing is hidden, moved, unlinked, made one or decided.
pub fn is_plain(step: &Step) -> bool {
    match step {
        Step::CreateHere { .. }
        | Step::EditHere { .. }
        | Step::TrashHere { .. }
        | Step::CreateThere { .. }
        | Step::Twin { .. }
        | Step::EditThere { .. }
        | Step::Sync { .. }
        | Step::SyncStopped { .. }
        | Step::SyncCutInSend { .. }
        | Step::LoseBefore { .. }
        | Step::LoseAfter { .. }
        | Step::Pass { .. } => true,
        Step::Wide(wide) => matches!(
            wide,
            Wide::Start { .. }
                | Wide::Go { .. }
                | Wide::Finish { .. }
                | Wide::Crash { .. }
                | Wide::Second { .. }
                | Wide::Stall { .. }
                | Wide::Owner { .. }
                | Wide::See { .. }
                | Wide::Follow { .. }
                | Wide::Role { .. }
                | Wide::Rights { .. }
                | Wide::FollowUser { .. }
                | Wide::Reorganise { .. }
                | Wide::TrashBy { .. }
        ),
        _ => false,
    }
}

/// Rule 12: of whom a record was there from the beginning, and who has not changed since, as it has not, none is made there.
pub fn twins(play: &Play) -> Result<(), String> {
    let world = &play.world;
    for (site, id, record) in play.twinned.iter().filter(|_| play.plain) {
        let Some(person) = now(world.store.person(*id)).unwrap() else { continue };
        let there = world.cards_there(*site);
        let same = there.get(record).is_some_and(|card| marks(card) == marks(&person.card));
        if !same || person.revision.0 > 1 {
            continue;
        }
        let of_site = |link: &Link| link.account == world.sites[*site].id && link.state.is_open();
        if now(world.store.links_of(*id)).unwrap().iter().any(|link| of_site(link) && link.origin == Origin::Ours) {
            return Err(format!("rule 12: {id} was made at site {site} beside {record}, which may be theirs"));
        }
    }
    Ok(())
}
