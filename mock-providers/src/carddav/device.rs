//! The back door to an account: what its owner does on a phone, and what happens to the server behind it.
//!
//! Owns: changes that come from elsewhere, so that a test need not speak the protocol to make them. They are not in the
//! journal. Must not: check what it is given; a device may add a broken card. Start reading at [`Device`].

use std::sync::Arc;

use bytes::Bytes;

use super::lines::{Line, fold, unfold};
use super::names::device_name;
use super::rewrite::of_device;
use super::server::Shared;
use super::world::{Owner, World, is_group};
use crate::book::{Book, Condition, Lag};
use crate::people;

/// What the back door was asked for and does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSuch {
    /// Nobody of that name may sign in.
    #[error("there is no such user")]
    User,
    /// The book has no such card.
    #[error("there is no such card")]
    Card,
    /// Nothing was kept to go back to.
    #[error("no state was kept to go back to")]
    State,
}

/// A device of an account's owner. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Device {
    shared: Arc<Shared>,
    who: usize,
}

impl Device {
    pub(super) fn new(shared: Arc<Shared>, user: &str) -> Result<Self, NoSuch> {
        let found = shared.lock().owners.iter().position(|owner| owner.login.user.eq_ignore_ascii_case(user));
        found.map(|who| Self { shared, who }).ok_or(NoSuch::User)
    }

    pub(super) fn owner<T>(&self, world: &mut World, change: impl FnOnce(&mut Owner) -> T) -> T {
        change(&mut world.owners[self.who])
    }

    fn with<T>(&self, change: impl FnOnce(&mut Owner) -> T) -> T {
        self.owner(&mut self.shared.lock(), change)
    }

    /// The user name.
    #[must_use]
    pub fn user(&self) -> String {
        self.with(|owner| owner.login.user.clone())
    }

    /// The password that is good now.
    #[must_use]
    pub fn password(&self) -> String {
        self.with(|owner| owner.login.password.clone())
    }

    /// The number in the paths.
    #[must_use]
    pub fn dsid(&self) -> String {
        self.with(|owner| owner.login.dsid.clone())
    }

    /// The path of the book.
    #[must_use]
    pub fn book_path(&self) -> String {
        let world = self.shared.lock();
        super::names::book_path(world.settings.discovery.layout, &world.owners[self.who].login.dsid)
    }

    /// Adds a card under the name that an Apple device would give it, base64 of its UID. Returns the name.
    pub fn add(&self, card: impl AsRef<[u8]>) -> String {
        let uid = World::read(card.as_ref()).uid;
        let name = match uid.as_str() {
            "" => self.with(|owner| owner.book.mint("nameless-")) + ".vcf",
            uid => device_name(uid),
        };
        self.add_as(&name, card);
        name
    }

    /// Adds or replaces a card under a name.
    pub fn add_as(&self, name: &str, card: impl AsRef<[u8]>) {
        let mut world = self.shared.lock();
        let now = world.now();
        let known = World::read(card.as_ref());
        let stored = of_device(&world, self.who, name, card.as_ref());
        let owner = &mut world.owners[self.who];
        // Without a condition nothing is refused.
        let _ = owner.store(name, stored.content, &known, Condition::None, now);
        owner.shelf.set(name, stored.photo);
    }

    /// Replaces a card that is there.
    ///
    /// # Errors
    /// When there is no such card.
    pub fn edit(&self, name: &str, card: impl AsRef<[u8]>) -> Result<(), NoSuch> {
        self.card(name).ok_or(NoSuch::Card)?;
        self.add_as(name, card);
        Ok(())
    }

    /// Replaces text in a card that is there.
    ///
    /// # Errors
    /// When there is no such card.
    pub fn replace(&self, name: &str, old: &str, new: &str) -> Result<(), NoSuch> {
        let card = self.text(name).ok_or(NoSuch::Card)?;
        self.edit(name, card.replace(old, new))
    }

    /// Removes a card.
    ///
    /// # Errors
    /// When there is no such card.
    pub fn delete(&self, name: &str) -> Result<(), NoSuch> {
        let mut world = self.shared.lock();
        let now = world.now();
        world.owners[self.who].remove(name, Condition::None, now).map_or(Err(NoSuch::Card), |_| Ok(()))
    }

    /// Removes several cards in one go. Returns how many were there.
    pub fn delete_many(&self, names: impl IntoIterator<Item = impl AsRef<str>>) -> usize {
        names.into_iter().filter(|name| self.delete(name.as_ref()).is_ok()).count()
    }

    /// Gives a card another name, as a server does that renumbers.
    ///
    /// # Errors
    /// When there is no such card, or the new name is taken.
    pub fn rename(&self, name: &str, new: &str) -> Result<(), NoSuch> {
        let mut world = self.shared.lock();
        let now = world.now();
        let owner = &mut world.owners[self.who];
        owner.book.rename(name, new, false, now).map_err(|_| NoSuch::Card)?;
        let photo = owner.shelf.by_card.get(name).cloned();
        owner.shelf.set(name, None);
        owner.shelf.set(new, photo);
        Ok(())
    }

    /// Gives a card a new etag and nothing else.
    ///
    /// # Errors
    /// When there is no such card.
    pub fn touch(&self, name: &str) -> Result<(), NoSuch> {
        let mut world = self.shared.lock();
        let now = world.now();
        world.owners[self.who].book.touch(name, now).map_or(Err(NoSuch::Card), |_| Ok(()))
    }

    /// Adds a group card for these member UIDs (`icloud-carddav.md` 5.1). Returns its name.
    pub fn add_group(&self, uid: &str, title: &str, members: &[&str]) -> String {
        self.add(people::group(uid, title, members.iter().copied()))
    }

    /// Makes these UIDs the members of a group.
    ///
    /// # Errors
    /// When there is no such card.
    pub fn set_members(&self, name: &str, members: &[&str]) -> Result<(), NoSuch> {
        let card = self.card(name).ok_or(NoSuch::Card)?;
        let mut lines = unfold(&card);
        lines.retain(|line| !line.is("X-ADDRESSBOOKSERVER-MEMBER"));
        let end = lines.iter().position(|line| line.is("UID") || line.is("REV") || line.is("END"));
        let new = members.iter().map(|uid| Line::new(format!("X-ADDRESSBOOKSERVER-MEMBER:urn:uuid:{uid}")));
        let at = end.unwrap_or(lines.len());
        lines.splice(at..at, new);
        self.edit(name, fold(&lines))
    }

    /// The UIDs of a group's members.
    #[must_use]
    pub fn members(&self, name: &str) -> Vec<String> {
        let lines = self.card(name).map(|card| unfold(&card)).unwrap_or_default();
        let member = |line: &Line| line.value_text().trim_start_matches("urn:uuid:").to_owned();
        lines.iter().filter(|line| line.is("X-ADDRESSBOOKSERVER-MEMBER")).map(member).collect()
    }

    /// Gives a card this photo, or none.
    ///
    /// # Errors
    /// When there is no such card.
    pub fn set_photo(&self, name: &str, photo: Option<&[u8]>) -> Result<(), NoSuch> {
        let card = self.card(name).ok_or(NoSuch::Card)?;
        let mut lines = unfold(&card);
        lines.retain(|line| !line.is("PHOTO"));
        if let Some(bytes) = photo {
            let at = lines.len().saturating_sub(1);
            lines.insert(at, Line::new(people::photo_line(bytes)));
        }
        self.edit(name, fold(&lines))
    }

    /// The photo behind a card's URL.
    #[must_use]
    pub fn photo(&self, name: &str) -> Option<Bytes> {
        self.with(|owner| owner.shelf.by_card.get(name).map(|photo| photo.bytes.clone()))
    }

    /// The names of all cards, groups included.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.with(|owner| owner.book.entries().map(|entry| entry.id.clone()).collect())
    }

    /// The names of the group cards.
    #[must_use]
    pub fn groups(&self) -> Vec<String> {
        self.with(|owner| owner.book.entries().filter(|entry| is_group(entry)).map(|entry| entry.id.clone()).collect())
    }

    /// The names of the cards with this UID; there may be several.
    #[must_use]
    pub fn find(&self, uid: &str) -> Vec<String> {
        self.with(|owner| owner.book.find_mark("uid", uid).map(|entry| entry.id.clone()).collect())
    }

    /// A card's bytes as stored.
    #[must_use]
    pub fn card(&self, name: &str) -> Option<Bytes> {
        self.with(|owner| owner.book.get(name).map(|entry| entry.content.clone()))
    }

    /// A card's text, unfolded, with CRLF.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        let lines = unfold(&self.card(name)?);
        Some(lines.iter().map(|line| String::from_utf8_lossy(&line.text).into_owned() + "\r\n").collect())
    }

    /// A card's etag, in quotes.
    #[must_use]
    pub fn etag(&self, name: &str) -> Option<String> {
        self.with(|owner| owner.book.get(name).map(|entry| format!("\"{}\"", entry.etag)))
    }

    /// How many cards there are, groups included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.with(|owner| owner.book.len())
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds so many believable cards. Returns their names.
    pub fn seed(&self, seed: u64, n: usize) -> Vec<String> {
        people::vcards(seed, n).map(|(_, card)| self.add(card)).collect()
    }

    /// Makes every sync token given out so far invalid.
    pub fn expire_tokens(&self) {
        self.with(|owner| owner.book.expire_cursors());
    }

    /// Forgets all deletions: tokens from before them are invalid, the newest stays good.
    pub fn forget_deletions(&self) {
        self.with(|owner| owner.book.forget_before(owner.book.revision()));
    }

    /// Changes the password; the old one is refused from now on.
    pub fn set_password(&self, password: &str) {
        self.with(|owner| password.clone_into(&mut owner.login.password));
    }

    /// Revokes the password: nobody can sign in until another is set.
    pub fn revoke_password(&self) {
        self.set_password("\u{0}revoked");
    }

    /// Keeps the state of the book to go back to.
    pub fn keep_state(&self) {
        self.with(|owner| owner.kept = Some((owner.book.snapshot(), owner.shelf.clone())));
    }

    /// Goes back to the state kept last, as a server restored from a backup.
    ///
    /// # Errors
    /// When none was kept.
    pub fn roll_back(&self) -> Result<(), NoSuch> {
        self.with(|owner| {
            let (book, shelf) = owner.kept.clone().ok_or(NoSuch::State)?;
            owner.book.restore(&book);
            owner.shelf = shelf;
            Ok(())
        })
    }

    /// Makes listings and tokens lag behind writes.
    pub fn set_lag(&self, lag: Lag) {
        self.with(|owner| owner.book.set_lag(lag));
    }

    /// Looks at the book itself.
    pub fn book<T>(&self, look: impl FnOnce(&Book) -> T) -> T {
        self.with(|owner| look(&owner.book))
    }
}
