//! What must hold, told without the engine's help: values are followed by marks that they carry, identities by names.

use std::collections::{BTreeMap, BTreeSet};

use contactd::card::field::FieldSet;
use contactd::card::{Card, Item, Photo};
use contactd::crm::person::PersonState;
use contactd::ids::RemoteId;
use contactd::store::Store;
use contactd::sync::settings::{Direction, Scope};
use contactd::sync::view::LinkState;

use super::history::Play;
use super::world::now;

/// Every value that anybody ever wrote carries a mark of its own (`m17x`), so that it can be found wherever it went.
#[derive(Default)]
pub struct Markers {
    next: usize,
    /// Marks that must be somewhere.
    alive: BTreeSet<String>,
    /// Marks of names, one per contact that somebody made.
    names: BTreeSet<String>,
    /// Contacts that were made on two sides: whether they are one is for pairing to say.
    twins: BTreeSet<String>,
}

impl Markers {
    /// A value typed in somewhere.
    pub fn fresh_mark(&mut self) -> String {
        self.mark()
    }

    /// Whether the mark is that of a contact's name.
    pub fn is_name(&self, mark: &str) -> bool {
        self.names.contains(mark)
    }

    fn mark(&mut self) -> String {
        self.next += 1;
        let mark = format!("m{}x", self.next);
        self.alive.insert(mark.clone());
        mark
    }

    /// A new contact.
    pub fn fresh(&mut self) -> Card {
        let name = self.mark();
        self.names.insert(name.clone());
        let mut card = Card {
            display: Some(format!("Name {name}")),
            given: Some("Name".into()),
            family: Some(name),
            ..Card::default()
        };
        card.emails.push(self.email().labelled("home"));
        card.phones.push(self.phone());
        card
    }

    pub fn twin(&mut self, card: &Card) {
        self.twins.extend(marks(card));
    }

    fn email(&mut self) -> Item<String> {
        let mark = self.mark();
        Item::new(format!("{mark}@example.com"))
    }

    fn phone(&mut self) -> Item<String> {
        // A phone number can't carry a mark in letters; its extension-free digits are made from the mark's number.
        self.next += 1;
        let number = format!("+1 212 555 {:04}", self.next % 10_000);
        self.alive.insert(number.replace(' ', ""));
        Item::new(number)
    }

    /// One edit, of which kind the number says. What it overwrites or removes need not be anywhere any more.
    pub fn edit(&mut self, card: &mut Card, what: usize) {
        let before = marks(card);
        match what % 12 {
            0 => card.note = Some(format!("{} and more words than fit", self.mark())),
            1 => card.note = None,
            2 => card.emails.push(self.email().labelled("work")),
            3 => {
                let new = self.email();
                match card.emails.first_mut() {
                    Some(first) => first.value = new.value,
                    None => card.emails.push(new),
                }
            }
            4 => {
                card.emails.pop();
            }
            5 => card.phones.push(self.phone().labelled(["mobile", "work"][what / 12 % 2])),
            6 => {
                let new = self.phone();
                match card.phones.last_mut() {
                    Some(last) => last.value = new.value,
                    None => card.phones.push(new),
                }
            }
            7 => {
                if !card.phones.is_empty() {
                    card.phones.remove(0);
                }
            }
            8 => {
                if let Some(first) = card.emails.first_mut() {
                    first.labels = [["home"], ["work"]][what / 12 % 2].into_iter().collect();
                }
            }
            9 => card.nicknames.push(Item::new(self.mark())),
            10 => card.suffix = Some(self.mark()),
            _ => card.emails.reverse(),
        }
        let after = marks(card);
        for gone in before.difference(&after) {
            self.alive.remove(gone);
        }
    }

    /// The same, with pictures.
    pub fn edit_more(&mut self, card: &mut Card, what: usize) {
        let before = marks(card);
        match what % 15 {
            12 | 13 => card.photo = Some(Photo { hash: self.mark(), media_type: "image/jpeg".into() }),
            14 => card.photo = None,
            _ => return self.edit(card, what),
        }
        let after = marks(card);
        for gone in before.difference(&after) {
            self.alive.remove(gone);
        }
    }

    pub fn retire(&mut self, card: &Card) {
        self.retire_all(&marks(card));
    }

    /// Nobody can say any more where these are.
    pub fn retire_all(&mut self, marks: &BTreeSet<String>) {
        for mark in marks {
            self.alive.remove(mark);
        }
    }

    /// Nothing but these is known any more.
    pub fn keep(&mut self, found: &BTreeSet<String>) {
        self.alive.retain(|mark| found.contains(mark));
    }

    /// Whether it must be somewhere.
    pub fn is_alive(&self, mark: &str) -> bool {
        self.alive.contains(mark)
    }

    /// Whether the card is of a contact that was made on two sides.
    pub fn is_twin(&self, card: &Card) -> bool {
        marks(card).iter().any(|mark| self.twins.contains(mark))
    }

    /// Which contact a card is of.
    pub fn name_of(&self, card: &Card) -> Option<String> {
        marks(card).into_iter().find(|mark| self.names.contains(mark))
    }
}

/// The marks in some text.
fn marks_in(text: &str, into: &mut BTreeSet<String>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(found) = text[at..].find('m') {
        let start = at + found;
        let digits = bytes[start + 1..].iter().take_while(|b| b.is_ascii_digit()).count();
        let end = start + 1 + digits;
        if digits > 0 && bytes.get(end) == Some(&b'x') {
            into.insert(text[start..=end].to_owned());
        }
        at = start + 1;
    }
}

/// All marks in a text, phone numbers included.
pub fn marks_of_text(text: &str) -> BTreeSet<String> {
    let mut found: BTreeSet<String> = phones_in(text).into_iter().collect();
    marks_in(text, &mut found);
    found
}

/// All marks of a card, phone numbers included.
pub fn marks(card: &Card) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    marks_in(&serde_json::to_string(card).unwrap(), &mut found);
    found.extend(card.phones.iter().map(|p| p.value.replace(' ', "")));
    found
}

/// The marks in some fields of a card.
fn mapped_marks(card: &Card, fields: FieldSet) -> BTreeSet<String> {
    let mut only = Card::default();
    for field in fields.iter() {
        only.set(field, card.get(field));
    }
    marks(&only)
}

/// Checks a world at rest; the first thing that doesn't hold.
pub fn check(play: &mut Play) -> Result<(), String> {
    if let Some(wrong) = play.wrong.first() {
        return Err(wrong.clone());
    }
    quiet(play)?;
    no_duplicates(play)?;
    no_loss(play)?;
    agreement(play)?;
    deletions_had_reasons(play)?;
    super::whole::twins(play)?;
    if play.setup.wide {
        super::access::check(play)?;
        super::access::guard(play)?;
        super::access::colleagues(play)?;
        super::access::edits(play)?;
        super::whole::check(play)?;
    }
    for (number, site) in play.world.sites.iter().enumerate() {
        let server = site.fake.server.lock().unwrap();
        // That a create has landed of which the backup knows only that it was refused can be seen by nobody where tokens are
        // hidden.
        let known = |violation: &&String| !(play.restored && violation.starts_with("rule 14: created again"));
        if let Some(violation) = server.violations.iter().find(known) {
            return Err(format!("rule 11: {violation}"));
        }
        if play.restored {
            continue;
        }
        // A second create of one token is right where a user deleted the first before anybody learned of it, also if a device
        // puts that one back.
        let mut tokens = BTreeSet::new();
        let put_back = |id: &String| play.world.put_back.contains(&(number, id.clone()));
        if let Some(entry) = server
            .live()
            .filter(|e| !put_back(&e.id))
            .find(|e| e.marks.get("token").is_some_and(|t| !tokens.insert(t.clone())))
        {
            return Err(format!("rule 14: two records carry the token of {}", entry.id));
        }
    }
    let wrong = now(play.world.store.check()).unwrap();
    if !wrong.is_empty() {
        return Err(format!("the store does not agree with itself: {wrong:?}"));
    }
    Ok(())
}

/// I4: one more sync of each account writes nothing, there or here.
fn quiet(play: &mut Play) -> Result<(), String> {
    let people = play.world.people();
    for site in 0..play.world.sites.len() {
        let before = play.world.sites[site].fake.server.lock().unwrap().writes;
        let report = play.world.sync(site).map_err(|e| format!("I4: {e}"))?;
        let after = play.world.sites[site].fake.server.lock().unwrap().writes;
        if before != after || !report.tally.is_quiet() {
            return Err(format!("I4: at rest, site {site} still did something: {report:?}, {} writes", after - before));
        }
    }
    if people != play.world.people() {
        return Err("I4: a quiet sync changed people".to_owned());
    }
    Ok(())
}

/// I2: one open link per record and per person; nobody is there twice.
fn no_duplicates(play: &Play) -> Result<(), String> {
    let world = &play.world;
    let mut of_record = BTreeSet::new();
    let mut of_person = BTreeSet::new();
    for person in world.people() {
        for link in now(world.store.links_of(person.id)).unwrap().into_iter().filter(|l| l.state.is_open()) {
            // Where two people became one, one link speaks for both, and the others only listen.
            if link.state != LinkState::Redundant && !of_person.insert((link.account, link.person)) {
                return Err(format!("I2: {} has two open links in one account", link.person));
            }
            if let Some(remote) = link.remote
                && !of_record.insert((link.account, remote.clone()))
            {
                return Err(format!("I2: two open links speak for {remote}"));
            }
        }
    }
    // Whose record was unlinked, and made another person's there since, says the same as that one, here and wherever it goes.
    let taken = "SELECT l.person FROM links l WHERE l.state IN ('unlinked', 'undone') AND EXISTS (SELECT 1 FROM links o \
                 WHERE o.account = l.account AND o.remote = l.remote AND o.rank = 0)";
    let taken: BTreeSet<String> = world.driver.inner().texts(taken).into_iter().collect();
    let people = world.people();
    let taken = people.iter().filter(|person| taken.contains(&person.id.to_string()));
    let shared: BTreeSet<String> = taken.flat_map(|person| marks(&person.card)).collect();
    let once = |cards: Vec<Card>, place: &str| {
        let mut seen = BTreeSet::new();
        for card in cards {
            for mark in
                marks(&card).into_iter().filter(|m| play.markers.names.contains(m) && !play.markers.twins.contains(m))
            {
                if shared.contains(&mark) {
                    continue;
                }
                if !seen.insert(mark.clone()) {
                    return Err(format!("I2: the contact {mark} is {place} twice"));
                }
            }
        }
        Ok(())
    };
    // After a backup was put back, what was made in the lost time under a token that no store knows is met as anybody's: where
    // its person has another record by then, or where the listing did not show it, it counts as somebody new.
    if play.restored {
        return Ok(());
    }
    // Whose record was undone, and made another person's there since, says the same as that one.
    let undone = "SELECT person FROM links WHERE state = 'undone'";
    let undone: BTreeSet<String> = world.driver.inner().texts(undone).into_iter().collect();
    let live = people.into_iter().filter(|p| p.is_live() && !undone.contains(&p.id.to_string()));
    once(live.map(|p| p.card).collect(), "in the CRM")?;
    for site in 0..world.sites.len() {
        // After a backup was restored, what is not shown yet is not known yet.
        if play.restored && super::kinds::lag(play.setup.sites[site].1) > 0 {
            continue;
        }
        once(ours_or_theirs(play, site), &format!("at site {site}"))?;
    }
    Ok(())
}

/// The cards at a site, but for those of which nothing is to be told: what a run made of which the backup that was put back
/// knows nothing, and whose joining of the group is lost with it (a record outside the group is not looked at, so that nobody
/// can know it again); what is left there of an import that was undone, or of somebody who was removed for good; and the other
/// record of somebody who was two people.
fn ours_or_theirs(play: &Play, site: usize) -> Vec<Card> {
    let mut cards = play.world.cards_there(site);
    let account = play.world.sites[site].id;
    let undone = format!(
        "SELECT l.remote FROM links l JOIN persons p ON p.id = l.person WHERE l.account = '{account}' \
         AND l.remote IS NOT NULL AND (l.state IN ('undone', 'redundant') OR p.state = 'purged')"
    );
    for record in play.world.driver.inner().texts(&undone) {
        cards.remove(&record);
    }
    // Nor of the record that was left to one of both when the person went into the trash, before two became one; nor of one
    // that left the sync group while they were one, so that nothing is taken back there when they are two again.
    if !play.united.is_empty() {
        let left = format!("SELECT remote FROM links WHERE account = '{account}' AND state = 'left'");
        for record in play.world.driver.inner().texts(&left) {
            cards.remove(&record);
        }
    }
    let left = format!(
        "SELECT l.person || ' ' || l.remote FROM links l WHERE l.account = '{account}' AND l.state = 'unlinked' \
         AND EXISTS (SELECT 1 FROM links o WHERE o.account = l.account AND o.person = l.person AND o.rank = 0)"
    );
    for both in play.world.driver.inner().texts(&left) {
        if let Some((person, record)) = both.split_once(' ')
            && play.united.iter().any(|(survivor, _)| survivor.to_string() == person)
        {
            cards.remove(record);
        }
    }
    if play.restored && play.world.settings(site).scope != Scope::All {
        let known = "SELECT token FROM tokens";
        let known: BTreeSet<String> = play.world.driver.inner().texts(known).into_iter().collect();
        let server = play.world.sites[site].fake.server.lock().unwrap();
        let lost = |id: &String| {
            let token = server.book.get(id).and_then(|entry| entry.marks.get("token"));
            token.is_some_and(|token| !known.contains(token))
        };
        cards.retain(|id, _| !lost(id));
    }
    cards.into_values().collect()
}

/// I1: every value that nobody overwrote or deleted is in the CRM, at a provider, or in the list of conflicts.
fn no_loss(play: &Play) -> Result<(), String> {
    match play.markers.alive.difference(&found(play)).next() {
        Some(lost) => Err(format!("I1: the value {lost} is nowhere")),
        None => Ok(()),
    }
}

/// Every value that is somewhere.
pub fn found(play: &Play) -> BTreeSet<String> {
    let world = &play.world;
    let mut found = BTreeSet::new();
    for person in world.people() {
        found.extend(marks(&person.card));
    }
    for site in 0..world.sites.len() {
        for card in world.cards_there(site).values() {
            found.extend(marks(card));
        }
    }
    for conflict in now(world.store.conflicts(None, 100_000)).unwrap() {
        let text = serde_json::to_string(&conflict.clash).unwrap();
        marks_in(&text, &mut found);
        found.extend(phones_in(&text));
    }
    if play.setup.wide {
        // What we deleted is kept in the log, whole; so is what a mapping had us overwrite without ever taking it in.
        let sql = if play.mapped {
            "SELECT doc FROM effects WHERE doc LIKE '%\"deleted\"%' OR doc LIKE '%\"remote\"%'"
        } else {
            "SELECT doc FROM effects WHERE doc LIKE '%\"deleted\"%'"
        };
        for text in world.driver.inner().texts(sql) {
            marks_in(&text, &mut found);
            found.extend(phones_in(&text));
        }
    }
    found
}

/// Telephone numbers of the form that markers have, wherever they stand in a text.
fn phones_in(text: &str) -> BTreeSet<String> {
    let flat = text.replace(' ', "");
    flat.match_indices("+1212555").map(|(i, _)| flat[i..].chars().take(12).collect()).collect()
}

/// I3: linked sides say the same, as far as both can hold it.
fn agreement(play: &Play) -> Result<(), String> {
    let world = &play.world;
    let conflicts = now(world.store.conflicts(None, 100_000)).unwrap();
    let mut disputed = BTreeSet::new();
    for conflict in &conflicts {
        let text = serde_json::to_string(&conflict.clash).unwrap();
        marks_in(&text, &mut disputed);
        disputed.extend(phones_in(&text));
    }
    let held: BTreeSet<_> = now(world.store.held(None)).unwrap().into_iter().map(|h| h.link).collect();
    let asked: BTreeSet<_> = conflicts
        .iter()
        .filter(|c| c.clash.stands == contactd::sync::plan::Side::Undecided)
        .map(|c| c.person)
        .collect();
    let ids: BTreeMap<_, _> = world.sites.iter().enumerate().map(|(i, s)| (s.id, i)).collect();
    let people = world.people();
    for person in people.iter().filter(|p| p.state == PersonState::Live && !asked.contains(&p.id)) {
        for link in now(world.store.links_of(person.id)).unwrap() {
            let site = ids[&link.account];
            let Some(card) = link.remote.as_ref().and_then(|r| world.cards_there(site).get(r.as_str()).cloned()) else {
                // One that was never made is not made in one-way either, nor for a user who may not look any more.
                let shown = || {
                    let directory = now(world.store.directory()).unwrap();
                    super::access::may(world.sites[site].user, person, &directory)
                };
                let two_way = world.settings(site).direction == Direction::TwoWay;
                let wanted = link.remote.is_some() || (two_way && shown());
                let gone = matches!(link.state, LinkState::Live) && !held.contains(&link.id) && wanted;
                if gone {
                    let site_id = world.sites[site].id;
                    let subject =
                        now(world.store.subjects(site_id, &[contactd::store::SubjectKey::Person(person.id)])).unwrap();
                    let intents = now(world.store.intents(site_id)).unwrap();
                    return Err(format!(
                        "I3: {} is linked at site {site} to a record that is not there: {link:?}\n{subject:?}\n{intents:?}",
                        person.id
                    ));
                }
                continue;
            };
            if link.state != LinkState::Live || held.contains(&link.id) {
                continue;
            }
            let settings = world.settings(site);
            let (here, there) = (marks(&person.card), mapped_marks(&card, settings.mapping.incoming()));
            let others =
                |mark: &String| people.iter().any(|other| other.id != person.id && marks(&other.card).contains(mark));
            // A picture that was changed there while our own was on its way looks like our own, shrunk.
            let recoded = |mark: &String| {
                let base = &link.base;
                let agreed = base.ours.photo == person.card.photo && base.theirs.photo == card.photo;
                agreed && card.photo.as_ref().is_some_and(|photo| photo.hash.contains(mark.as_str()))
            };
            // Of what was taken back from somebody here, as by the undoing of a merge, one-way tells nobody; nor is it told
            // where that field is not sent.
            let sent = mapped_marks(&card, settings.mapping.outgoing());
            let kept = |mark: &String| {
                (settings.direction == Direction::OneWay || !sent.contains(mark))
                    && marks(&link.base.theirs).contains(mark)
                    && others(mark)
            };
            let missing = there
                .difference(&here)
                .find(|m| play.markers.alive.contains(*m) && !disputed.contains(*m) && !recoded(m) && !kept(m));
            if let Some(missing) = missing {
                return Err(format!("I3: {missing} is at site {site} and not in the CRM ({})", person.id));
            }
            let holds_all = super::kinds::holds_all(play.setup.sites[site].1) && !play.agreed.contains(&site);
            if settings.direction == Direction::TwoWay && holds_all {
                let here = mapped_marks(&person.card, settings.mapping.outgoing());
                let there = marks(&card);
                let ours = |mark: &String| person.card.photo.as_ref().is_some_and(|p| p.hash.contains(mark.as_str()));
                let agreed = link.base.ours.photo == person.card.photo && link.base.theirs.photo == card.photo;
                let missing = here.difference(&there).find(|m| play.markers.alive.contains(*m) && !(agreed && ours(m)));
                if let Some(missing) = missing {
                    return Err(format!("I3: {missing} is in the CRM ({}) and not at site {site}", person.id));
                }
            }
        }
    }
    Ok(())
}

/// I7: nobody is in the trash unless somebody put them there, or deleted them in an address book.
fn deletions_had_reasons(play: &Play) -> Result<(), String> {
    let world = &play.world;
    let ids: BTreeMap<_, _> = world.sites.iter().enumerate().map(|(i, s)| (s.id, i)).collect();
    for person in world.people() {
        let links = now(world.store.links_of(person.id)).unwrap();
        let deleted_at = |site: usize, record: &str| {
            let key = (site, record.to_owned());
            world.deleted_there.contains(&key)
                || (world.left_there.contains(&key) && play.leaving_deletes.contains(&site))
        };
        let named = links.iter().any(|l| l.remote.as_ref().is_some_and(|r| deleted_at(ids[&l.account], r.as_str())));
        let trashed_by_sync = matches!(person.state, PersonState::Trashed { by: None, .. });
        if trashed_by_sync && !named {
            return Err(format!("I7: {} went into the trash, and nobody had deleted it", person.id));
        }
        let by_owner = links.iter().any(|l| {
            let site = ids[&l.account];
            let gone = |r: &RemoteId| deleted_at(site, r.as_str());
            world.sites[site].user == person.owner && l.remote.as_ref().is_some_and(gone)
        });
        if trashed_by_sync && !by_owner {
            return Err(format!("R7: {} went into the trash, and its owner had not deleted it", person.id));
        }
        for link in &links {
            let there = link.remote.as_ref().map(|r| world.cards_there(ids[&link.account]).contains_key(r.as_str()));
            let we_deleted = link.state == LinkState::Deleted && there == Some(false);
            if we_deleted && !named && !world.trashed_here.contains(&person.id) {
                return Err(format!("I7: the record of {} was deleted, and nobody had deleted either", person.id));
            }
        }
    }
    Ok(())
}
