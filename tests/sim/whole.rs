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
