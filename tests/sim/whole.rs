//! I3, the other half: nobody was forgotten. What takes part there is somebody here, and who belongs there is there.

use std::collections::BTreeSet;

use contactd::store::Store;
use contactd::sync::caps::Membership;
use contactd::sync::settings::{Direction, Push, Scope};

use super::fake::Server;
use super::history::Play;
use super::world::{GROUP, now};

/// Whether everybody has arrived.
pub fn check(play: &Play) -> Result<(), String> {
    let world = &play.world;
    let people = world.people();
    let mut linked = BTreeSet::new();
    let mut known = BTreeSet::new();
    for person in &people {
        for link in now(world.store.links_of(person.id)).unwrap() {
            linked.insert((link.account, person.id));
            known.extend(link.remote.map(|remote| (link.account, remote.to_string())));
        }
    }
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
            let here = known.contains(&(site.id, entry.id.clone())) || waiting.contains(&entry.id);
            if takes_part && !ours && !here {
                return Err(format!("I3: nobody here is {} of site {n}", entry.id));
            }
        }
        if settings.direction != Direction::TwoWay || settings.push != Push::Owned {
            continue;
        }
        let owned = people.iter().filter(|person| person.is_live() && person.owner == site.user);
        for person in owned.filter(|person| !in_question.contains(&person.id)) {
            if !linked.contains(&(site.id, person.id)) {
                return Err(format!("I3: {} was never brought to site {n}", person.id));
            }
        }
    }
    Ok(())
}
