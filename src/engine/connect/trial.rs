//! A trial of an account at its real provider, for `contactd doctor --live`.
//!
//! Owns: what is looked at and in which order, and that the contact which a trial makes is removed again whatever happens in
//! between. Must not: touch the store (but for a refresh token that the provider replaces), know which provider it is, or
//! wait. Whoever calls holds the account, so that no run of this daemon is under way.
//!
//! The contact carries [`Token::TRIAL`]: a run that sees it, of whichever daemon and however late a listing shows it, takes it
//! for outside of what takes part, so that it never becomes a person; and a trial begins by removing what another one left.

use std::collections::BTreeSet;

use super::super::Handle;
use super::{ConnectError, Connector};
use crate::card::Card;
use crate::card::Item;
use crate::card::field::{Field, FieldSet};
use crate::ids::{CollectionId, GroupId, Timestamp, Token};
use crate::provider::registry::NotRenewed;
use crate::provider::{
    Collection, Fetched, Found, From, Group, Next, Outcome, Provider, ProviderError, Write, WriteKind,
};
use crate::store::Account;
use crate::sync::caps::{Capabilities, Membership, TokenPlace};
use crate::sync::settings::{Direction, Scope};
use crate::sync::view::{Groups, RemoteRecord, RemoteRef, Seen};
use crate::telemetry::fields;

/// The contact's given and family name, by which a person finds it.
const NAME: (&str, &str) = ("Contactd", "Trial");
const NOTE: &str =
    "Made by `contactd doctor --live` and removed again at once. If it is still here, it can be deleted.";
const NEW_NOTE: &str = "Changed by `contactd doctor --live`. If it is still here, it can be deleted.";
/// What must never be written.
const LATE_NOTE: &str = "Overwritten by `contactd doctor --live`, which must not happen.";
/// What the contact has, and what a provider must keep of it.
const WRITTEN: [Field; 4] = [Field::Given, Field::Family, Field::Note, Field::Emails];
/// How long a request may take to begin, in ms.
const PATIENCE: i64 = 60_000;
/// How often it is tried to remove the contact.
const TRIES: usize = 3;
/// So many contacts are read where a listing tells only their versions.
const SOME: usize = 20;

/// What of the looks is of no matter to writing.
const PICTURE: &str = "picture";

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub name: &'static str,
    /// Whether it is well.
    pub ok: bool,
    /// What was found, and what to do about it.
    pub says: String,
}

/// What was found so far, and who hears of each as it comes.
struct Findings<'a> {
    all: Vec<Finding>,
    tell: &'a (dyn Fn(&Finding) + Send + Sync),
}

impl Findings<'_> {
    fn say(&mut self, name: &'static str, found: Result<String, String>) {
        let (ok, says) = match found {
            Ok(says) => (true, says),
            Err(says) => (false, says),
        };
        let finding = Finding { name, ok, says };
        (self.tell)(&finding);
        self.all.push(finding);
    }

    /// Whether there is any use in going on. A picture that can't be had keeps nobody from writing.
    fn is_well(&self) -> bool {
        self.all.iter().all(|finding| finding.ok || finding.name == PICTURE)
    }
}

impl Connector {
    /// Tries the account at its provider: signs in anew and reads a little of everything; with `writes` makes a contact,
    /// changes it and removes it again. `handle` ends that early; what was made is removed all the same. `tell` hears of each
    /// finding as it comes.
    pub async fn trial(
        &self,
        account: &Account,
        writes: bool,
        handle: &Handle,
        tell: &(dyn Fn(&Finding) + Send + Sync),
    ) -> Vec<Finding> {
        let mut found = Findings { all: Vec::new(), tell };
        let provider = match self.signed_in(account, &mut found).await {
            Ok(provider) => provider,
            Err(error) => {
                found.say("sign-in", Err(error.to_string()));
                return found.all;
            }
        };
        let mut trial = Trial { account, provider: &*provider, handle, now: &|| self.engine.now(), found, group: None };
        let book = Box::pin(trial.read()).await;
        match book {
            Some(book) if writes && trial.found.is_well() => Box::pin(trial.write(&book)).await,
            _ if writes => {
                let says = "not tried, because of what is wrong above; nothing was written";
                trial.found.say("writing", Err(says.to_owned()));
            }
            _ => {}
        }
        trial.found.all
    }

    /// Signs in, by a token fetched anew where there are tokens.
    async fn signed_in(&self, account: &Account, found: &mut Findings<'_>) -> Result<Box<dyn Provider>, ConnectError> {
        let (stored, secret) = self.stored(account.id).await?;
        let write = account.settings.direction == Direction::TwoWay;
        let lacks = self.registry.not_allowed(account.id, &stored.provider, write, &secret, &self.vault).await;
        let lacks = lacks.map_err(|error| match error {
            NotRenewed::Registry(error) => ConnectError::Registry(error),
            NotRenewed::Provider(error) => ConnectError::Provider(error),
        })?;
        let provider = self.registry.open(account.id, &stored.provider, &stored.connection, &secret, &self.vault)?;
        let mailbox = provider.check().await?;
        let shown = mailbox.address.clone().unwrap_or_else(|| account.address.clone());
        let notice = self.registry.notice(&stored.provider, &secret);
        let signed_in = if (&mailbox.tenant, &mailbox.subject) != (&account.tenant, &account.subject) {
            Err(format!(
                "leads to another mailbox ({shown}) than the one that was connected; sign in again: `contactd account add`"
            ))
        } else {
            match notice {
                None => Ok(format!("as {shown}")),
                Some(notice) if notice.urgent => Err(notice.says),
                Some(notice) => Ok(format!("as {shown}; {}", notice.says)),
            }
        };
        found.say("sign-in", signed_in);
        if let Some(lacks) = lacks {
            let name = self.registry.client(&stored.provider).map_or("the provider", |client| client.dialect.name);
            let allowed = match (lacks.is_empty(), write) {
                (true, true) => Ok("reading and writing, as a two-way sync needs".to_owned()),
                (true, false) => Ok("reading, which is all that a one-way sync needs".to_owned()),
                (false, true) => Err(ConnectError::ReadOnly(name).to_string()),
                (false, false) => Err(format!(
                    "{name} was not told to let contacts be read ({}); sign in again: `contactd account add`",
                    lacks.join(", ")
                )),
            };
            found.say("what is allowed", allowed);
        }
        Ok(provider)
    }
}

/// A trial under way.
struct Trial<'a> {
    account: &'a Account,
    provider: &'a dyn Provider,
    handle: &'a Handle,
    now: &'a (dyn Fn() -> Timestamp + Send + Sync),
    found: Findings<'a>,
    /// The sync group, if one is chosen and there.
    group: Option<Group>,
}

/// The contact that the trial made.
struct Made {
    at: RemoteRef,
    /// As it was last shown.
    last: Option<RemoteRecord>,
    /// The group that it may be in.
    joined: Option<GroupId>,
}

impl Trial<'_> {
    /// Everything that only reads. The address book to write to.
    async fn read(&mut self) -> Option<Collection> {
        let books = match self.provider.collections().await {
            Ok(books) => books,
            Err(error) => {
                self.found.say("address book", Err(error.to_string()));
                return None;
            }
        };
        let two_way = self.account.settings.direction == Direction::TwoWay;
        let home = books.iter().find(|book| book.writable).or(books.first()).cloned();
        let names = books.iter().map(|book| book.name.as_str()).collect::<Vec<_>>().join(", ");
        self.found.say(
            "address book",
            match &home {
                None => Err("the account has none; make one there".to_owned()),
                Some(home) if two_way && !home.writable => Err(format!("{names}; none of them may be written to")),
                Some(_) => Ok(names),
            },
        );
        let groups = self.provider.groups().await;
        let groups = groups.map_err(|error| error.to_string()).and_then(|groups| self.groups(groups));
        self.found.say("groups", groups);
        if let Some(home) = &home {
            self.page(&home.id).await;
        }
        self.found.say("can do", Ok(can_do(self.provider.capabilities())));
        home
    }

    fn groups(&mut self, groups: Vec<Group>) -> Result<String, String> {
        let number = counted(groups.len(), "group", "groups");
        let Scope::Group(chosen) = &self.account.settings.scope else {
            return Ok(format!("{number}; everything is synced, whatever group it is in"));
        };
        let gone = || {
            format!(
                "{number}, and the sync group is not among them; choose one again: `contactd account set` with --group"
            )
        };
        let group = groups.into_iter().find(|group| group.id == *chosen).ok_or_else(gone)?;
        let size = group.size.map_or(String::new(), |size| format!(" with {size} in it"));
        let says = format!("{number}; the sync group is '{}'{size}", group.name);
        self.group = Some(group);
        Ok(says)
    }

    /// The first page of the contacts, and a picture of one of them.
    async fn page(&mut self, book: &CollectionId) {
        let (mut records, more) = match self.first_page(book).await {
            Ok(page) => page,
            Err(error) => return self.found.say("contacts", Err(error.to_string())),
        };
        let unreadable = records.iter().filter(|seen| matches!(seen, Seen::Unreadable(..))).count();
        let people = records.iter().filter(|seen| matches!(seen, Seen::Present(_))).count();
        let number = counted(people, "contact", "contacts");
        let more = if more { "read, and there are more" } else { "read, and those are all" };
        let odd = match unreadable {
            0 => String::new(),
            n => format!("; {n} can't be read, which `contactd verify` names"),
        };
        self.found.say("contacts", Ok(format!("{number} {more}{odd}")));
        records.retain(|seen| matches!(seen, Seen::Present(record) if record.body.photo.is_some()));
        let Some(Seen::Present(pictured)) = records.first() else {
            return self.found.say(PICTURE, Ok("none of these contacts has one".to_owned()));
        };
        let picture = match self.provider.photo(pictured).await {
            Ok(Some(blob)) => Ok(format!("one was read ({} KiB)", blob.bytes.len().div_ceil(1024))),
            Ok(None) => Ok("one was named, and is not there any more".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        self.found.say(PICTURE, picture);
    }

    /// What the first page shows, and whether there is more.
    async fn first_page(&self, book: &CollectionId) -> Result<(Vec<Seen>, bool), ProviderError> {
        let page = self.provider.changes(book, From::Start).await?;
        let mut more = matches!(page.next, Next::Page(_)) || page.listed.len() > SOME;
        let mut seen = page.seen;
        let refs: Vec<RemoteRef> = page.listed.into_iter().take(SOME).map(|row| row.at).collect();
        if !refs.is_empty() {
            for fetched in self.provider.fetch(&refs).await? {
                match fetched {
                    Fetched::There(record, _) => seen.push(record),
                    Fetched::Gone => {}
                    Fetched::Unknown => more = true,
                }
            }
        }
        seen.retain(|seen| !matches!(seen, Seen::Present(record) if record.token == Some(Token::TRIAL)));
        Ok((seen, more))
    }

    /// Makes a contact, changes it, and removes it again.
    async fn write(&mut self, book: &Collection) {
        if let Err(why) = self.clear(&book.id).await {
            return self.found.say("create", Err(format!("not tried: {why}")));
        }
        let Some(mut made) = self.create(&book.id).await else { return };
        Box::pin(self.change(&mut made)).await;
        let removed = Box::pin(self.remove(&mut made)).await;
        if let Err(why) = &removed {
            tracing::warn!({ fields::ACCOUNT } = %self.account.id, id = %made.at.id, why, "the contact of a trial is left");
        }
        let says = removed.map_err(|why| {
            format!(
                "the contact '{} {}' (id {}) could not be removed: {why}; delete it there, or try again: what is left is removed \
                 first. No sync takes it for a person",
                NAME.0, NAME.1, made.at.id
            )
        });
        self.found.say("remove", says);
    }

    /// Removes what another trial left.
    async fn clear(&mut self, book: &CollectionId) -> Result<(), String> {
        let found = self.provider.find(book, &[Token::TRIAL]).await.map_err(|error| error.to_string())?;
        let Some(Found::Records(left, _)) = found.into_iter().next() else { return Ok(()) };
        for seen in left {
            let Some(at) = seen.at().cloned() else { continue };
            let last = if let Seen::Present(record) = seen { Some(record) } else { None };
            let mut made = Made { at, last, joined: None };
            let id = made.at.id.clone();
            let removed = Box::pin(self.remove(&mut made)).await;
            removed.map_err(|why| {
                format!("what an earlier trial left (id {id}) could not be removed: {why}; delete it there")
            })?;
            self.found.say("left over", Ok("what an earlier trial left was removed".to_owned()));
        }
        Ok(())
    }

    /// Makes the contact; `None` = there surely is none, or none that we know of, and it was said so.
    async fn create(&mut self, book: &CollectionId) -> Option<Made> {
        let create = WriteKind::Create { card: card(), groups: Groups::new() };
        let outcome = self.send(create, book, None).await;
        let made = match &outcome {
            Outcome::Stored(record) => Made { at: record.at.clone(), last: Some(record.clone()), joined: None },
            Outcome::Landed(at) => Made { at: at.clone(), last: None, joined: None },
            Outcome::Unknown => match self.provider.find(book, &[Token::TRIAL]).await.as_deref() {
                Ok([Found::Records(there, _)]) if !there.is_empty() => {
                    let (at, last) = match &there[0] {
                        Seen::Present(record) => (record.at.clone(), Some(record.clone())),
                        other => (other.at().cloned()?, None),
                    };
                    Made { at, last, joined: None }
                }
                _ => {
                    self.found.say("create", Err(format!(
                        "the answer was lost, and no contact is found; if '{} {}' shows up there, delete it, or try again: what is \
                         left is removed first. No sync takes it for a person",
                        NAME.0, NAME.1
                    )));
                    return None;
                }
            },
            other => {
                let says = format!("{}; nothing was written", words(other));
                self.found.say("create", Err(says));
                return None;
            }
        };
        let mut made = made;
        let stored = match &made.last {
            Some(record) => kept(&card(), record),
            None => Ok(()),
        };
        let says = match (&outcome, stored) {
            (Outcome::Unknown, _) => Err("the answer was lost; the contact was found by its token".to_owned()),
            (_, Ok(())) => Ok(format!("the contact '{} {}' was made (id {})", NAME.0, NAME.1, made.at.id)),
            (_, Err(why)) => Err(why),
        };
        self.found.say("create", says);
        self.look("read", &card(), &mut made).await;
        Some(made)
    }

    /// What happens to the contact between its first day and its last.
    async fn change(&mut self, made: &mut Made) {
        if self.handle.is_stopped() {
            return;
        }
        let Some(first) = made.last.clone() else {
            return self.found.say("update", Err("not tried, since the contact is not shown".to_owned()));
        };
        let (mut mask, changed) = (FieldSet::NONE, Card { note: Some(NEW_NOTE.to_owned()), ..first.body.clone() });
        mask.insert(Field::Note);
        let book = first.at.collection.clone();
        let update = WriteKind::Update { card: changed.clone(), mask };
        let updated = match self.send(update, &book, Some(first.clone())).await {
            Outcome::Stored(record) => {
                let says = kept(&Card { note: Some(NEW_NOTE.to_owned()), ..card() }, &record);
                made.at = record.at.clone();
                made.last = Some(record);
                says
            }
            Outcome::Landed(at) => {
                made.at = at;
                Ok(())
            }
            other => Err(words(&other)),
        };
        let went = updated.is_ok();
        self.found.say("update", updated.map(|()| "the version that was read was changed".to_owned()));
        if went {
            self.look("read again", &Card { note: Some(NEW_NOTE.to_owned()), ..card() }, made).await;
        }
        if went && self.provider.capabilities().guards_update && !self.handle.is_stopped() {
            let late =
                WriteKind::Update { card: Card { note: Some(LATE_NOTE.to_owned()), ..first.body.clone() }, mask };
            let guarded = match self.send(late, &book, Some(first)).await {
                Outcome::Stale => Ok("an update of an outdated version was refused, as it must be".to_owned()),
                Outcome::Stored(_) | Outcome::Landed(_) => Err(
                    "an update of an outdated version was taken: what somebody changes there meanwhile could be lost"
                        .to_owned(),
                ),
                other => Err(words(&other)),
            };
            self.found.say("guard", guarded);
        }
        if let Some(group) = self.group.clone()
            && !self.handle.is_stopped()
        {
            self.join(&group, made).await;
        }
    }

    /// Puts the contact into the sync group and takes it out again.
    async fn join(&mut self, group: &Group, made: &mut Made) {
        made.joined = Some(group.id.clone());
        let joined = match self.member(&group.id, true, made).await {
            Ok(true) => Ok(format!("the contact was put into '{}'", group.name)),
            Ok(false) => Err(format!("the contact was put into '{}', and is not shown there", group.name)),
            Err(why) => Err(why),
        };
        self.found.say("join", joined);
        let left = match self.member(&group.id, false, made).await {
            Ok(false) => {
                made.joined = None;
                Ok(format!("the contact was taken out of '{}'", group.name))
            }
            Ok(true) => Err(format!("the contact was taken out of '{}', and is still shown there", group.name)),
            Err(why) => Err(why),
        };
        self.found.say("leave", left);
    }

    /// Changes the membership; whether it is a member then.
    async fn member(&self, group: &GroupId, join: bool, made: &mut Made) -> Result<bool, String> {
        let what = if join { WriteKind::Join(group.clone()) } else { WriteKind::Leave(group.clone()) };
        let Some(before) = self.now_there(made).await? else {
            return Err("the contact is not there any more".to_owned());
        };
        let uid = before.uid.clone().unwrap_or_default();
        let book = before.at.collection.clone();
        match self.send(what, &book, Some(before)).await {
            Outcome::Stored(record) => {
                let member = record.groups.contains(group);
                made.at = record.at.clone();
                made.last = Some(record);
                Ok(member)
            }
            // On the contact, or on the card of the group.
            Outcome::Landed(at) => match self.fetch(&at).await? {
                Some(Seen::Present(record)) => {
                    let member = record.groups.contains(group);
                    made.at = record.at.clone();
                    made.last = Some(record);
                    Ok(member)
                }
                Some(Seen::Roster(roster)) => Ok(roster.members.iter().any(|member| member.eq_ignore_ascii_case(&uid))),
                _ => Err("what was written is not shown".to_owned()),
            },
            other => Err(words(&other)),
        }
    }

    /// Reads the contact and compares it with what was written.
    async fn look(&mut self, name: &'static str, written: &Card, made: &mut Made) {
        let says = match self.fetch(&made.at).await {
            Ok(Some(Seen::Present(record))) => {
                let same = kept(written, &record);
                let lags = same.is_err() && made.last.as_ref().is_some_and(|last| kept(written, last).is_ok());
                if !lags {
                    made.at = record.at.clone();
                    made.last = Some(record);
                }
                match same {
                    Ok(()) => Ok("the contact is there as it was written".to_owned()),
                    // Told by the answer to the write already, and known of this provider.
                    Err(_) if lags && self.provider.capabilities().settle > 0 => {
                        Ok("the contact is still shown as it was before; it takes some minutes there".to_owned())
                    }
                    Err(why) => Err(why),
                }
            }
            Ok(Some(Seen::Unreadable(_, why))) => Err(why),
            Ok(_) if made.last.is_some() && self.provider.capabilities().settle > 0 => {
                Ok("the contact is not shown yet; it takes some minutes there".to_owned())
            }
            Ok(_) => Err("the contact is not there".to_owned()),
            Err(why) => Err(why),
        };
        self.found.say(name, says);
    }

    /// Removes the contact, and says how sure that is.
    async fn remove(&mut self, made: &mut Made) -> Result<String, String> {
        let mut why = String::new();
        for _ in 0..TRIES {
            match self.removed(made).await {
                Ok(()) => {
                    let gone = matches!(self.fetch(&made.at).await, Ok(None));
                    let says = if gone {
                        "the contact is gone"
                    } else {
                        "the contact was deleted; it may be shown for some minutes"
                    };
                    return Ok(says.to_owned());
                }
                Err(says) => why = says,
            }
        }
        Err(why)
    }

    async fn removed(&self, made: &mut Made) -> Result<(), String> {
        // A roster would keep the name of whoever is deleted without having left.
        if let Some(group) = made.joined.clone()
            && self.member(&group, false, made).await == Ok(false)
        {
            made.joined = None;
        }
        let Some(before) = self.now_there(made).await? else { return Ok(()) };
        let book = before.at.collection.clone();
        match self.send(WriteKind::Delete, &book, Some(before)).await {
            Outcome::Deleted | Outcome::Missing => Ok(()),
            other => Err(words(&other)),
        }
    }

    /// The contact as it is now, or as it was last shown where the provider may not show it yet.
    async fn now_there(&self, made: &mut Made) -> Result<Option<RemoteRecord>, String> {
        match self.fetch(&made.at).await {
            Ok(Some(Seen::Present(record))) => {
                made.at = record.at.clone();
                made.last = Some(record.clone());
                Ok(Some(record))
            }
            Ok(None) if self.provider.capabilities().settle == 0 => Ok(None),
            Ok(_) if made.last.is_some() => Ok(made.last.clone()),
            Ok(None) => Ok(None),
            Ok(Some(_)) => Err("the contact can't be read any more".to_owned()),
            Err(why) => made.last.clone().map(Some).ok_or(why),
        }
    }

    /// What is there under that id.
    async fn fetch(&self, at: &RemoteRef) -> Result<Option<Seen>, String> {
        let fetched = self.provider.fetch(std::slice::from_ref(at)).await.map_err(|error| error.to_string())?;
        match fetched.into_iter().next() {
            Some(Fetched::There(seen, _)) => Ok(Some(seen)),
            Some(Fetched::Gone) => Ok(None),
            Some(Fetched::Unknown) | None => Err("the provider does not say whether the contact is there".to_owned()),
        }
    }

    async fn send(&self, what: WriteKind, book: &CollectionId, before: Option<RemoteRecord>) -> Outcome {
        let (token, by) = (Token::TRIAL, (self.now)().plus(PATIENCE));
        let write = Write { what, token, collection: book.clone(), before, photo: None, by };
        match self.provider.write(std::slice::from_ref(&write)).await.pop() {
            // What lacks shows when it is compared.
            Some(Outcome::Partly { record, .. } | Outcome::Without { record, .. }) => Outcome::Stored(record),
            Some(outcome) => outcome,
            None => Outcome::NotTried,
        }
    }
}

/// The contact that is made.
fn card() -> Card {
    let text = |text: &str| Some(text.to_owned());
    Card {
        given: text(NAME.0),
        family: text(NAME.1),
        display: Some(format!("{} {}", NAME.0, NAME.1)),
        emails: vec![Item::new("contactd-trial@example.com").labelled("work")],
        note: text(NOTE),
        ..Card::default()
    }
}

/// Whether the record has what was written.
fn kept(written: &Card, record: &RemoteRecord) -> Result<(), String> {
    let values = |card: &Card, field| -> Vec<_> {
        card.get(field).into_elements().into_iter().map(|element| element.value).collect()
    };
    let other: BTreeSet<&str> = WRITTEN
        .into_iter()
        .filter(|field| values(written, *field) != values(&record.body, *field))
        .map(Field::name)
        .collect();
    if other.is_empty() {
        return Ok(());
    }
    let names = other.into_iter().collect::<Vec<_>>().join(", ");
    Err(format!("what was written comes back otherwise: {names}; please report it"))
}

/// What became of a write, where that is not what was wanted.
fn words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Refused(why) => format!("refused: {why}"),
        Outcome::Stale => "refused, since the contact has changed meanwhile".to_owned(),
        Outcome::Missing => "the contact is not there".to_owned(),
        Outcome::NotTried => "the provider did not take it for the moment; try again later".to_owned(),
        Outcome::Unknown => "the answer was lost".to_owned(),
        Outcome::Stored(_)
        | Outcome::Partly { .. }
        | Outcome::Without { .. }
        | Outcome::Landed(_)
        | Outcome::Deleted => "done, and not as it was meant".to_owned(),
    }
}

/// What the adapter believes of the provider.
fn can_do(caps: &Capabilities) -> String {
    let but = |fields: FieldSet| {
        let lacks = FieldSet::all().without(fields).iter().map(Field::name).collect::<Vec<_>>().join(", ");
        if lacks.is_empty() { "everything".to_owned() } else { format!("everything but {lacks}") }
    };
    let mut says = vec![format!("shows {}", but(caps.reads)), format!("takes {}", but(caps.writes))];
    says.push(
        match (caps.guards_update, caps.guards_delete) {
            (true, true) => "changes and deletions are guarded by versions",
            (true, false) => "changes are guarded by versions, deletions are not",
            (false, true) => "deletions are guarded by versions, changes are not",
            (false, false) => "neither changes nor deletions are guarded by versions",
        }
        .to_owned(),
    );
    says.push(
        match caps.membership {
            Membership::InRecord => "a contact names its groups",
            Membership::Joined => "a contact names its groups, and joins them by a change of its own",
            Membership::Roster => "a group lists its members",
        }
        .to_owned(),
    );
    says.push(
        match caps.token {
            TokenPlace::Name => "a contact that we make is known by its name",
            TokenPlace::Listed => "a contact that we make is known by a mark that listings show",
            TokenPlace::Hidden => "a contact that we make is known by a mark that has to be looked for",
        }
        .to_owned(),
    );
    if caps.settle > 0 {
        says.push(format!("a change may take {} min to show", (caps.settle + 59_999) / 60_000));
    }
    says.join("; ")
}

fn counted(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}
