//! The back door to an account: what its owner does in the web interface, and what happens to the server behind it.
//!
//! Owns: changes that come from elsewhere, so that a test need not speak the protocol to make them. They are not in the
//! journal, cost no quota and wait for nobody, but reach lists as late as any other write. Start reading at [`Account`].

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::clean::clean;
use super::fields::Mask;
use super::groups::{name_of, remove, set_groups};
use super::photos::recoded;
use super::read::id_of;
use super::render::{View, person};
use super::seed;
use super::server::Shared;
use super::world::{Owner, World};
use super::write::{MY_CONTACTS, OPEN, plan_create};
use crate::book::{Book, Condition};

/// What the back door was asked for and cannot do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSuch {
    /// Nobody of that address has an account.
    #[error("there is no such user")]
    User,
    /// There is no such contact.
    #[error("there is no such contact")]
    Contact,
    /// There is no such group.
    #[error("there is no such group")]
    Group,
    /// The bytes are no JPEG and no PNG.
    #[error("that is no photo")]
    Photo,
    /// Nothing was kept to go back to.
    #[error("no state was kept to go back to")]
    State,
    /// The JSON is no person; the text says why.
    #[error("that is no person: {0}")]
    Person(String),
}

/// A user's account, as its owner sees it in the browser. Cheap to clone. Contacts are named `people/c…` here, groups
/// `contactGroups/…`, as in the API.
#[derive(Clone, Debug)]
pub struct Account {
    shared: Arc<Shared>,
    who: usize,
}

impl Account {
    pub(super) fn new(shared: Arc<Shared>, email: &str) -> Result<Self, NoSuch> {
        let found = shared.lock().owners.iter().position(|owner| owner.email.eq_ignore_ascii_case(email));
        found.map(|who| Self { shared, who }).ok_or(NoSuch::User)
    }

    fn world<T>(&self, change: impl FnOnce(&mut World, usize) -> T) -> T {
        change(&mut self.shared.lock(), self.who)
    }

    /// Changes the account, at a new moment.
    fn with<T>(&self, change: impl FnOnce(&mut Owner, &super::Settings, u64) -> T) -> T {
        self.world(|world, who| {
            let now = world.time.tick();
            world.owners[who].settle(&world.settings, now);
            change(&mut world.owners[who], &world.settings, now)
        })
    }

    /// The e-mail address.
    #[must_use]
    pub fn email(&self) -> String {
        self.with(|owner, _, _| owner.email.clone())
    }

    /// The number of the account, `sub` in an ID token.
    #[must_use]
    pub fn sub(&self) -> String {
        self.with(|owner, _, _| owner.sub.clone())
    }

    /// Adds so many made-up people, with photos and labels. The same seed gives the same people, though never the same ids.
    /// For many thousands [`Account::fill`] is cheaper.
    pub fn seed(&self, seed: u64, n: usize) -> Vec<String> {
        self.with(|owner, settings, now| {
            let (people, groups) = seed::people(seed, n);
            let mut by_uid = std::collections::HashMap::new();
            let mut names = Vec::new();
            for seedling in people {
                // What cannot be stored is not seeded; a test of the seedlings says that there is none such.
                let Ok(cleaned) = clean(&seedling.person, &Mask::all(), &settings.writes) else { continue };
                let id = owner.new_id();
                owner.put(&id, &cleaned.fields, [MY_CONTACTS.to_owned()].into(), now);
                if let Some(photo) = seedling.photo.as_deref().and_then(recoded) {
                    owner.photos.insert(id.clone(), photo);
                }
                names.push(format!("people/{id}"));
                by_uid.insert(seedling.uid, id);
            }
            for (title, members) in groups {
                let found = owner.groups.entries().find(|entry| name_of(entry) == title).map(|entry| entry.id.clone());
                let group = found.unwrap_or_else(|| add_group(owner, &title, now));
                for id in members.iter().filter_map(|uid| by_uid.get(uid)) {
                    let groups = owner.book.get(id).map(|entry| entry.groups.clone()).unwrap_or_default();
                    set_groups(owner, id, groups.into_iter().chain([group.clone()]).collect(), true, now);
                }
            }
            names
        })
    }

    /// Adds so many contacts of which each has a name and an e-mail address and nothing else: a large book at little cost.
    pub fn fill(&self, n: usize) -> Vec<String> {
        self.with(|owner, _, now| {
            let one = |at: usize| {
                let id = owner.new_id();
                let whole = format!("Robin Example{at}");
                let name = json!([{
                    "givenName": "Robin", "familyName": format!("Example{at}"), "displayName": whole,
                    "displayNameLastFirst": format!("Example{at}, Robin"), "unstructuredName": whole,
                }]);
                let mail = json!([{"value": format!("robin.example{at}@example.com")}]);
                let fields = Map::from_iter([("names".to_owned(), name), ("emailAddresses".to_owned(), mail)]);
                owner.put(&id, &fields, [MY_CONTACTS.to_owned()].into(), now);
                format!("people/{id}")
            };
            (0..n).map(one).collect()
        })
    }

    /// Adds a contact, given as the API takes one, memberships included.
    ///
    /// # Errors
    /// When that is no person.
    pub fn add(&self, person: &Value) -> Result<String, NoSuch> {
        self.with(|owner, settings, now| {
            plan_create(settings, owner, person).map_err(|error| NoSuch::Person(error.message))?;
            let cleaned =
                clean(person, &Mask::all(), &settings.writes).map_err(|error| NoSuch::Person(error.message))?;
            let id = owner.new_id();
            let groups = cleaned.groups.unwrap_or_else(|| [MY_CONTACTS.to_owned()].into());
            owner.put(&id, &cleaned.fields, groups, now);
            Ok(format!("people/{id}"))
        })
    }

    /// Replaces those fields that `changes` names, each as a whole; an empty list clears one.
    ///
    /// # Errors
    /// When there is no such contact, or that is no person.
    pub fn edit(&self, name: &str, changes: &Value) -> Result<(), NoSuch> {
        self.with(|owner, settings, now| {
            let cleaned =
                clean(changes, &Mask::all(), &settings.writes).map_err(|error| NoSuch::Person(error.message))?;
            let id = id_of(name).ok_or(NoSuch::Contact)?;
            let entry = owner.book.get(id).ok_or(NoSuch::Contact)?;
            let mut fields = Owner::fields(entry);
            for name in changes.as_object().into_iter().flat_map(Map::keys) {
                fields.remove(name);
            }
            fields.extend(cleaned.fields);
            let groups = cleaned.groups.unwrap_or_else(|| entry.groups.clone());
            owner.put(id, &fields, groups, now);
            Ok(())
        })
    }

    /// Deletes a contact: into the trash.
    ///
    /// # Errors
    /// When there is no such contact.
    pub fn delete(&self, name: &str) -> Result<(), NoSuch> {
        self.with(|owner, _, now| {
            let gone = id_of(name).and_then(|id| owner.remove(id, now));
            gone.map(|_| ()).ok_or(NoSuch::Contact)
        })
    }

    /// Deletes several contacts; those that are not there do not count. Returns how many went.
    pub fn delete_many<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> usize {
        let names: Vec<&str> = names.into_iter().collect();
        names.into_iter().filter(|name| self.delete(name).is_ok()).count()
    }

    /// Takes a contact back from the trash, under its old name. UNVERIFIED that the name is the same (9, trap 29).
    ///
    /// # Errors
    /// When it is not in the trash.
    pub fn restore(&self, name: &str) -> Result<(), NoSuch> {
        self.with(|owner, _, now| {
            let id = id_of(name).ok_or(NoSuch::Contact)?;
            let (_, entry) = owner.trash.remove(id).ok_or(NoSuch::Contact)?;
            owner.put(id, &Owner::fields(&entry), entry.groups, now);
            Ok(())
        })
    }

    /// Empties the trash, so that nothing in it counts any more.
    pub fn empty_trash(&self) {
        self.with(|owner, _, _| owner.trash.clear());
    }

    /// Merges two contacts as the web interface does with duplicates: `keep` gets what `lose` has and it has not, and all
    /// values of lists; `lose` is gone. UNVERIFIED (2.2; 9, trap 28).
    ///
    /// # Errors
    /// When one of them is not there.
    pub fn merge(&self, keep: &str, lose: &str) -> Result<(), NoSuch> {
        self.with(|owner, _, now| {
            let stays = id_of(keep).ok_or(NoSuch::Contact)?;
            let kept = owner.book.get(stays).cloned().ok_or(NoSuch::Contact)?;
            let goes = id_of(lose).filter(|id| *id != stays).ok_or(NoSuch::Contact)?;
            let lost = owner.remove(goes, now).ok_or(NoSuch::Contact)?;
            let mut fields = Owner::fields(&kept);
            for (name, more) in Owner::fields(&lost) {
                let single = super::fields::field(&name).is_some_and(|field| field.single);
                let items = fields.entry(name).or_insert_with(|| json!([]));
                if let (Some(items), Value::Array(more)) = (items.as_array_mut(), more) {
                    let room = if single { usize::from(items.is_empty()) } else { more.len() };
                    let new: Vec<Value> = more.into_iter().filter(|item| !items.contains(item)).take(room).collect();
                    items.extend(new);
                }
            }
            owner.put(stays, &fields, kept.groups.union(&lost.groups).cloned().collect(), now);
            Ok(())
        })
    }

    /// Gives a contact another name, as happens when it is linked to a profile (2.2). Returns the new one.
    ///
    /// # Errors
    /// When there is no such contact.
    pub fn rename(&self, name: &str) -> Result<String, NoSuch> {
        self.with(|owner, _, now| {
            let old = id_of(name).ok_or(NoSuch::Contact)?;
            let new = owner.new_id();
            owner.book.rename(old, &new, true, now).map_err(|_| NoSuch::Contact)?;
            if let Some(photo) = owner.photos.remove(old) {
                owner.photos.insert(new.clone(), photo);
            }
            Ok(format!("people/{new}"))
        })
    }

    /// Links a profile to a contact: whoever asks for more than the contact's source sees its values too.
    ///
    /// # Errors
    /// When there is no such contact.
    pub fn link_profile(&self, name: &str, profile: &str, fields: &Value) -> Result<(), NoSuch> {
        self.with(|owner, _, now| {
            let id = id_of(name).ok_or(NoSuch::Contact)?;
            owner.book.touch(id, now).map_err(|_| NoSuch::Contact)?;
            let fields = fields.as_object().cloned().unwrap_or_default();
            owner.profiles.insert(id.to_owned(), (profile.to_owned(), fields));
            Ok(())
        })
    }

    /// A contact with all its fields, from the contact's source alone, as it is now and in no other order than it was written.
    #[must_use]
    pub fn person(&self, name: &str) -> Option<Value> {
        self.world(|world, who| {
            let owner = &world.owners[who];
            let entry = id_of(name).and_then(|id| owner.book.get(id))?;
            Some(person(owner, entry, &whole(), &unshuffled(world), &world.photo_url))
        })
    }

    /// All contacts, as [`Account::person`] shows them.
    #[must_use]
    pub fn people(&self) -> Vec<Value> {
        self.world(|world, who| {
            let (owner, settings) = (&world.owners[who], unshuffled(world));
            let show = |entry| person(owner, entry, &whole(), &settings, &world.photo_url);
            owner.book.entries().map(show).collect()
        })
    }

    /// The names of all contacts.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.book(|book| book.entries().map(|entry| format!("people/{}", entry.id)).collect())
    }

    /// How many contacts there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.book(Book::len)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Gives a contact a photo.
    ///
    /// # Errors
    /// When there is no such contact, or that is no photo.
    pub fn set_photo(&self, name: &str, bytes: &[u8]) -> Result<(), NoSuch> {
        let photo = recoded(bytes).ok_or(NoSuch::Photo)?;
        self.with(|owner, _, now| {
            let id = id_of(name).ok_or(NoSuch::Contact)?;
            owner.book.touch(id, now).map_err(|_| NoSuch::Contact)?;
            owner.photos.insert(id.to_owned(), photo);
            Ok(())
        })
    }

    /// The bytes of a contact's photo.
    #[must_use]
    pub fn photo(&self, name: &str) -> Option<Bytes> {
        self.with(|owner, _, _| owner.photos.get(id_of(name)?).map(|photo| photo.bytes.clone()))
    }

    /// Makes a label. Returns its resource name.
    pub fn add_group(&self, name: &str) -> String {
        self.with(|owner, _, now| format!("contactGroups/{}", add_group(owner, name, now)))
    }

    /// Renames a label.
    ///
    /// # Errors
    /// When there is no such group.
    pub fn rename_group(&self, group: &str, name: &str) -> Result<(), NoSuch> {
        self.with(|owner, _, now| {
            let id = group.strip_prefix("contactGroups/").ok_or(NoSuch::Group)?;
            let mut parts = super::groups::parts(owner.groups.get(id).ok_or(NoSuch::Group)?);
            parts.insert("name".to_owned(), name.into());
            let stored = owner.groups.put(id, Value::Object(parts).to_string(), Condition::IfPresent, now);
            stored.map(|_| ()).map_err(|_| NoSuch::Group)
        })
    }

    /// Deletes a label, with those who wear it or from them.
    ///
    /// # Errors
    /// When there is no such group.
    pub fn delete_group(&self, group: &str, with_contacts: bool) -> Result<(), NoSuch> {
        self.with(|owner, settings, now| {
            let id = group.strip_prefix("contactGroups/").ok_or(NoSuch::Group)?;
            remove(owner, settings.writes, id, with_contacts, now).map(|_| ()).ok_or(NoSuch::Group)
        })
    }

    /// The labels: resource names and names.
    #[must_use]
    pub fn groups(&self) -> Vec<(String, String)> {
        self.with(|owner, _, _| {
            let row = |entry: &crate::book::Entry| (format!("contactGroups/{}", entry.id), name_of(entry));
            owner.groups.entries().map(row).collect()
        })
    }

    /// Puts a label on a contact, or takes it off. Whoever wears none is no longer among the contacts.
    ///
    /// # Errors
    /// When there is no such contact or group.
    pub fn label(&self, name: &str, group: &str, on: bool) -> Result<(), NoSuch> {
        self.with(|owner, settings, now| {
            let group = group.strip_prefix("contactGroups/").ok_or(NoSuch::Group)?;
            if owner.groups.get(group).is_none() && !OPEN.contains(&group) {
                return Err(NoSuch::Group);
            }
            let entry = id_of(name).and_then(|id| owner.book.get(id)).ok_or(NoSuch::Contact)?;
            let (id, mut groups) = (entry.id.clone(), entry.groups.clone());
            if on {
                groups.insert(group.to_owned());
            } else {
                groups.remove(group);
            }
            set_groups(owner, &id, groups, settings.writes.labels_touch, now);
            Ok(())
        })
    }

    /// Makes every sync and page token given out so far unusable.
    pub fn expire_tokens(&self) {
        self.with(|owner, _, _| {
            owner.book.expire_cursors();
            owner.groups.expire_cursors();
        });
    }

    /// An access token without any ceremony, for the scopes named, such as `contacts`; for the first client.
    #[must_use]
    pub fn access_token(&self, scopes: &[&str]) -> String {
        self.world(|world, who| {
            let now = world.time.tick();
            let (user, client) = (world.owners[who].email.clone(), first_client(world));
            let scopes = full(scopes);
            let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
            world.oauth.mint_access(&client, &user, &scopes, now)
        })
    }

    /// A refresh token without any ceremony, for the first client.
    #[must_use]
    pub fn refresh_token(&self, scopes: &[&str]) -> String {
        self.world(|world, who| {
            let now = world.time.tick();
            let (user, client) = (world.owners[who].email.clone(), first_client(world));
            let scopes = full(scopes);
            let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
            world.oauth.mint_refresh(&client, &user, &scopes, now)
        })
    }

    /// Takes back what the user has granted to whichever client.
    pub fn revoke(&self) {
        self.world(|world, who| {
            let user = world.owners[who].email.clone();
            world.oauth.revoke_user(&user);
        });
    }

    /// Changes the password: tokens with scopes of mail die.
    pub fn change_password(&self) {
        self.world(|world, who| {
            let user = world.owners[who].email.clone();
            world.oauth.change_password(&user);
        });
    }

    /// Keeps the state for [`Account::roll_back`].
    pub fn keep_state(&self) {
        self.with(|owner, _, _| {
            owner.kept = Some((owner.book.snapshot(), owner.groups.snapshot(), owner.photos.clone()));
        });
    }

    /// Goes back to the kept state, as a server does that was restored from a backup.
    ///
    /// # Errors
    /// When none was kept.
    pub fn roll_back(&self) -> Result<(), NoSuch> {
        self.with(|owner, _, _| {
            let (book, groups, photos) = owner.kept.clone().ok_or(NoSuch::State)?;
            owner.book.restore(&book);
            owner.groups.restore(&groups);
            owner.photos = photos;
            Ok(())
        })
    }

    /// Looks at the book behind the contacts.
    pub fn book<T>(&self, look: impl FnOnce(&Book) -> T) -> T {
        self.with(|owner, _, _| look(&owner.book))
    }
}

fn add_group(owner: &mut Owner, name: &str, now: u64) -> String {
    let id = owner.new_group_id();
    let stored = owner.groups.put(&id, json!({"name": name}).to_string(), Condition::None, now);
    debug_assert!(stored.is_ok(), "a write without a condition");
    id
}

/// Everything that can be read of a contact, and nothing of a profile.
fn whole() -> View {
    View { mask: Mask::all(), contact: true, profile: false, german: false, list: false, sync: false }
}

fn unshuffled(world: &World) -> super::Settings {
    let mut settings = world.settings.clone();
    settings.reads.shuffle = None;
    settings
}

fn first_client(world: &World) -> String {
    world.oauth.settings.clients.first().map(|client| client.id.clone()).unwrap_or_default()
}

/// Short names of scopes in full.
fn full(scopes: &[&str]) -> Vec<String> {
    let full = |scope: &&str| match *scope {
        "openid" | "email" | "profile" => (*scope).to_owned(),
        other if other.starts_with("https://") => other.to_owned(),
        other => format!("https://www.googleapis.com/auth/{other}"),
    };
    scopes.iter().map(full).collect()
}
