//! CardDAV (RFC 6352), iCloud included.
//!
//! Owns: the [`Provider`] over [`crate::provider::http`]; what is found and learnt during a run. Must not: wait, resend
//! or decide what a rule decides. Facts are those of `icloud-carddav.md`. Start reading at [`Carddav`], then `report`
//! (what changed), `fetch` (the cards), `write` (outcomes), `discovery`.
//!
//! Ids: see [`href`]. A group's id is the id of its card, or where groups are `CATEGORIES` their very text. Records'
//! pictures come with the card when they stand in it, else by [`Provider::photo`].

mod compose;
pub mod convert;
mod discovery;
pub mod edit;
mod fault;
mod fetch;
pub mod href;
mod photo;
mod report;
mod requests;
pub mod settings;
mod write;
mod xml;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use self::fault::{Fault, SIGNING_IN, classify};
use self::fetch::{Batch, Reader};
use self::report::Audit;
use self::settings::{Book, CarddavSettings, Flavour, Found, GroupMode};
use super::dns::Resolver;
use super::http::auth::Auth;
use super::http::gate::Gate;
use super::http::{Door, Http};
use super::{
    Blob, Changes, Collection, Fetched, Found as FoundToken, From, Group, Mailbox, Outcome, Provider, ProviderError,
    Scope, Write,
};
use crate::card::field::{Field, FieldSet};
use crate::clock::World;
use crate::ids::{CollectionId, GroupId, RemoteId, Token};
use crate::secret::Secret;
use crate::sync::caps::{Capabilities, Ids, TokenPlace};
use crate::sync::view::{RemoteRecord, RemoteRef, Seen};

/// Reads the body of a multistatus that is there as a whole, and says how many responses it holds: for whoever wants to
/// know whether an answer can be read at all (the fuzz targets do).
///
/// # Errors
/// A text for people, when it is no multistatus.
pub async fn count_rows(body: &bytes::Bytes) -> Result<usize, String> {
    let mut rows = 0;
    xml::read_whole(body, |_| rows += 1).await.map(|_| rows).map_err(|fault| fault.to_string())
}

/// How many records `groups` asks for at once: only the groups among them stay in memory.
const GROUP_PAGE: usize = 1_000;

/// An account at a CardDAV server. Cheap to make for each run.
pub struct Carddav {
    settings: CarddavSettings,
    password: Secret,
    mode: GroupMode,
    caps: Capabilities,
    resolver: Arc<dyn Resolver>,
    world: Arc<dyn World>,
    state: Mutex<State>,
}

/// What was found and learnt so far.
struct State {
    door: Door,
    found: Option<Arc<Found>>,
    /// The name to sign in by, where it is another than the settings say.
    login: Option<String>,
    /// Whether `found` was found in this run, so that looking again gains nothing.
    fresh: bool,
    batch: Batch,
}

impl std::fmt::Debug for Carddav {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Carddav({:?})", self.settings.flavour)
    }
}

impl Carddav {
    /// From stored settings. `gate` is the account's own, kept from run to run, made with [`CarddavSettings::pace`].
    pub fn new(
        settings: CarddavSettings,
        password: Secret,
        http: Http,
        gate: Arc<Gate>,
        resolver: Arc<dyn Resolver>,
        world: Arc<dyn World>,
    ) -> Self {
        let auth = Auth::Basic { user: settings.login().to_owned(), password: password.clone() };
        let mut trust = settings.trust_set();
        for url in settings.found.iter().flat_map(Found::urls) {
            trust.add_url(&url); // reached before, under the same rules
        }
        let mode = settings.group_mode();
        let state = State {
            door: Door::new(http, gate, auth, trust),
            found: settings.found.clone().map(Arc::new),
            login: settings.login.clone(),
            fresh: false,
            batch: Batch::default(),
        };
        let caps = capabilities(mode, settings.flavour);
        Self { caps, mode, settings, password, resolver, world, state: Mutex::new(state) }
    }

    /// The settings with what was found in this run: to be stored, so that the next run need not look again. A changed
    /// [`Found::groups`] takes effect with the next [`Carddav::new`].
    pub fn settings(&self) -> CarddavSettings {
        let state = self.state();
        let (found, login) = (state.found.as_deref().cloned(), state.login.clone());
        CarddavSettings { found, login, ..self.settings.clone() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn door(&self) -> Door {
        self.state().door.clone()
    }

    fn failed(&self, fault: Fault, doing: &'static str, scope: Scope) -> ProviderError {
        classify(fault, doing, scope, self.settings.flavour)
    }

    /// Looks for the address books, now.
    async fn rediscover(&self) -> Result<Arc<Found>, Fault> {
        let door = self.door();
        let mut discovered = discovery::discover(&door, &self.settings, &*self.resolver).await?;
        let mut state = self.state();
        if let Some(known) = &state.found {
            discovered.found.groups = known.groups;
        }
        let found = Arc::new(discovered.found);
        (state.door, state.found, state.fresh) = (discovered.door, Some(Arc::clone(&found)), true);
        Ok(found)
    }

    /// Signs in for the first time: by the whole address, and where the server refuses that, by what stands before the `@`.
    async fn sign_in(&self) -> Result<Arc<Found>, Fault> {
        let refused = match self.rediscover().await {
            Err(Fault::SignIn) => Fault::SignIn,
            outcome => return outcome,
        };
        let Some(login) = self.settings.other_login() else { return Err(refused) };
        let before = self.door();
        let auth = Auth::Basic { user: login.to_owned(), password: self.password.clone() };
        self.state().door = before.signing_in(auth);
        let outcome = self.rediscover().await;
        let mut state = self.state();
        match outcome {
            Ok(found) => {
                state.login = Some(login.to_owned());
                Ok(found)
            }
            Err(_) => {
                state.door = before;
                Err(refused)
            }
        }
    }

    /// The address books, as found before or else now.
    async fn found(&self) -> Result<Arc<Found>, Fault> {
        let known = self.state().found.clone();
        match known {
            Some(found) if !found.books.is_empty() => Ok(found),
            _ => self.rediscover().await,
        }
    }

    /// One address book.
    async fn book(&self, id: &CollectionId) -> Result<Book, Fault> {
        let in_it = |found: &Found| found.books.iter().find(|book| book.id == *id).cloned();
        if let Some(book) = in_it(&*self.found().await?) {
            return Ok(book);
        }
        let fresh = self.state().fresh;
        let again = if fresh { None } else { in_it(&*self.rediscover().await?) };
        again.ok_or(Fault::Status { status: 404, conditions: Vec::new() })
    }

    /// Whether the book may have moved, and looking again has found it elsewhere.
    async fn moved(&self, fault: &Fault, book: &Book) -> Option<Book> {
        if !fault.may_have_moved() || self.state().fresh {
            return None;
        }
        let found = self.rediscover().await.ok()?;
        found.books.iter().find(|other| other.id == book.id).cloned()
    }

    fn reader<'a>(&'a self, door: &'a Door, book: &'a Book) -> Reader<'a> {
        Reader { door, book, mode: self.mode, flavour: self.settings.flavour, clock: &*self.world }
    }

    /// The next page, looking for the book elsewhere if it is not where it was.
    async fn page(&self, of: &CollectionId, from: From<'_>) -> Result<Changes, Fault> {
        let audit = Audit { now: self.world.now(), every: self.settings.audit_millis() };
        let book = self.book(of).await?;
        let told = match report::changes(&self.door(), &book, from, audit).await {
            Ok(told) => told,
            Err(fault) => match self.moved(&fault, &book).await {
                Some(book) => report::changes(&self.door(), &book, from, audit).await?,
                None => return Err(fault),
            },
        };
        self.learn(of, &told.spelling);
        Ok(told.changes)
    }

    /// Remembers how the server spells names.
    fn learn(&self, of: &CollectionId, spelling: &href::Spelling) {
        let mut state = self.state();
        if let Some(found) = &mut state.found
            && found.books.iter().any(|book| book.id == *of && book.spelling != *spelling)
        {
            let mut copy = Found::clone(found);
            for book in copy.books.iter_mut().filter(|book| book.id == *of) {
                book.spelling = spelling.clone();
            }
            *found = Arc::new(copy);
        }
    }

    async fn fetch_from(&self, of: &CollectionId, ids: &[RemoteId]) -> Result<HashMap<RemoteId, Fetched>, Fault> {
        let mut batch = self.state().batch;
        let mut book = self.book(of).await?;
        let mut door = self.door();
        let mut result = self.reader(&door, &book).fetch(ids, &mut batch).await;
        if let Err(fault) = &result
            && let Some(elsewhere) = self.moved(fault, &book).await
        {
            (book, door) = (elsewhere, self.door());
            result = self.reader(&door, &book).fetch(ids, &mut batch).await;
        }
        self.state().batch = batch;
        result
    }

    /// All groups of one address book, and whether any is a card.
    async fn groups_of(&self, book: &Book) -> Result<(Vec<Group>, BTreeMap<String, u64>), Fault> {
        let mut ids = Vec::new();
        let mut page = self.page(&book.id, From::Start).await?;
        loop {
            ids.extend(page.listed.into_iter().map(|row| row.at.id));
            let super::Next::Page(token) = page.next else { break };
            page = self.page(&book.id, From::Page(&token)).await?;
        }
        let (mut cards, mut categories) = (Vec::new(), BTreeMap::new());
        for ids in ids.chunks(GROUP_PAGE) {
            for (_, fetched) in self.fetch_from(&book.id, ids).await? {
                match fetched {
                    Fetched::There(Seen::Roster(roster), _) => {
                        let size = Some(roster.members.len() as u64);
                        cards.push(Group { id: roster.group, name: roster.name, size });
                    }
                    Fetched::There(Seen::Present(record), _) => {
                        for item in record.body.categories {
                            *categories.entry(item.value).or_insert(0) += 1;
                        }
                    }
                    _ => {}
                }
            }
        }
        Ok((cards, categories))
    }

    async fn all_groups(&self) -> Result<Vec<Group>, Fault> {
        let found = self.found().await?;
        let (mut cards, mut categories) = (Vec::new(), BTreeMap::new());
        for book in &found.books {
            let (more, named) = self.groups_of(book).await?;
            cards.extend(more);
            for (name, size) in named {
                *categories.entry(name).or_insert(0) += size;
            }
        }
        let seen = if cards.is_empty() { GroupMode::Categories } else { GroupMode::Cards };
        let mode = self.remember_mode(seen);
        let mut groups = match mode {
            GroupMode::Cards => cards,
            GroupMode::Categories => categories
                .into_iter()
                .map(|(name, size)| Group { id: GroupId(name.clone()), name, size: Some(size) })
                .collect(),
        };
        groups.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.id.cmp(&b.id)));
        Ok(groups)
    }

    /// Keeps how the server was seen to keep groups; says how they are kept from the next run on.
    fn remember_mode(&self, seen: GroupMode) -> GroupMode {
        {
            let mut state = self.state();
            if let Some(found) = &mut state.found {
                *found = Arc::new(Found { groups: Some(seen), ..Found::clone(found) });
            }
        }
        self.settings().group_mode()
    }
}

/// What CardDAV can do. vCard holds every field that we know; iCloud takes no gender (icloud-carddav.md §6.3), and
/// pronouns and languages are 4.0's.
fn capabilities(mode: GroupMode, flavour: Flavour) -> Capabilities {
    let icloud = flavour == Flavour::ICloud;
    let mut writes = FieldSet::all();
    if icloud {
        for field in [Field::Gender, Field::Pronouns, Field::Languages] {
            writes.remove(field);
        }
    }
    Capabilities {
        reads: FieldSet::all(),
        writes,
        most: BTreeMap::new(),
        keeps_preferred: FieldSet::all(),
        ids: Ids::Stable,
        guards_update: true,
        guards_delete: true,
        token: TokenPlace::Name,
        membership: mode.membership(),
        settle: 0,
        write_batch: 200,
        // Pictures come by address from iCloud and within the card from others: memory must bear a full batch.
        fetch_batch: if icloud { 2_000 } else { 500 },
        converter: convert::CONVERTER,
    }
}

#[async_trait]
impl Provider for Carddav {
    fn capabilities(&self) -> &Capabilities {
        &self.caps
    }

    fn learnt(&self) -> Option<serde_json::Value> {
        serde_json::to_value(self.settings()).ok()
    }

    async fn check(&self) -> Result<Mailbox, ProviderError> {
        let found = self.sign_in().await;
        let found = found.map_err(|fault| self.failed(fault, SIGNING_IN, Scope::Account))?;
        Ok(found.mailbox(&self.settings))
    }

    async fn collections(&self) -> Result<Vec<Collection>, ProviderError> {
        let found = self.rediscover().await;
        let found = found.map_err(|fault| self.failed(fault, "looking for address books", Scope::Account))?;
        let shown = |book: &Book| Collection { id: book.id.clone(), name: book.name.clone(), writable: book.writable };
        Ok(found.books.iter().map(shown).collect())
    }

    async fn groups(&self) -> Result<Vec<Group>, ProviderError> {
        self.all_groups().await.map_err(|fault| self.failed(fault, "looking for groups", Scope::Account))
    }

    async fn changes(&self, of: &CollectionId, from: From<'_>) -> Result<Changes, ProviderError> {
        let page = self.page(of, from).await;
        page.map_err(|fault| self.failed(fault, "listing the address book", Scope::Collection(of.clone())))
    }

    async fn fetch(&self, of: &[RemoteRef]) -> Result<Vec<Fetched>, ProviderError> {
        let mut by_book: BTreeMap<&CollectionId, Vec<RemoteId>> = BTreeMap::new();
        for at in of {
            by_book.entry(&at.collection).or_default().push(at.id.clone());
        }
        let mut answers: HashMap<RemoteId, Fetched> = HashMap::with_capacity(of.len());
        for (book, mut ids) in by_book {
            ids.sort();
            ids.dedup();
            let fetched = self.fetch_from(book, &ids).await;
            let failed = |fault| self.failed(fault, "reading records", Scope::Collection(book.clone()));
            answers.extend(fetched.map_err(failed)?);
        }
        // The same record asked for twice gets its answer twice.
        let mut times: HashMap<&RemoteId, usize> = HashMap::new();
        for at in of {
            *times.entry(&at.id).or_default() += 1;
        }
        let answer = |at: &RemoteRef| {
            let left = times.get_mut(&at.id).map_or(0, |left| {
                *left -= 1;
                *left
            });
            let answer = if left == 0 { answers.remove(&at.id) } else { answers.get(&at.id).cloned() };
            answer.unwrap_or(Fetched::Unknown)
        };
        Ok(of.iter().map(answer).collect())
    }

    async fn find(&self, of: &CollectionId, tokens: &[Token]) -> Result<Vec<FoundToken>, ProviderError> {
        let ids: Vec<RemoteId> = tokens.iter().map(|token| write::id_of(of.as_str(), *token)).collect();
        let fetched = self.fetch_from(of, &ids).await;
        let failed = |fault| self.failed(fault, "looking for records of ours", Scope::Collection(of.clone()));
        let mut fetched = fetched.map_err(failed)?;
        Ok(ids
            .iter()
            .map(|id| match fetched.remove(id) {
                Some(Fetched::There(seen @ (Seen::Present(_) | Seen::Unreadable(..)), blobs)) => {
                    FoundToken::Records(vec![seen], blobs)
                }
                Some(Fetched::Gone) => FoundToken::NotThere,
                _ => FoundToken::Unknown,
            })
            .collect())
    }

    async fn photo(&self, of: &RemoteRecord) -> Result<Option<Blob>, ProviderError> {
        let home = self.state().found.as_ref().and_then(|found| found.urls().next());
        let photo = photo::photo(&self.door(), self.settings.flavour, home.as_ref(), of).await;
        photo.map_err(|fault| photo::classify(fault, of.at.id.clone()))
    }

    async fn write(&self, batch: &[Write]) -> Vec<Outcome> {
        let mut outcomes: Vec<Option<Outcome>> = batch.iter().map(|_| None).collect();
        for n in 0..batch.len() {
            if outcomes[n].is_some() {
                continue;
            }
            let collection = &batch[n].collection;
            let (places, writes): (Vec<usize>, Vec<&Write>) =
                batch.iter().enumerate().filter(|(_, write)| write.collection == *collection).unzip();
            let done = match self.book(collection).await {
                Ok(book) => {
                    let door = self.door();
                    self.reader(&door, &book).write(&writes).await
                }
                Err(_) => {
                    // The next listing says why.
                    tracing::debug!("no address book to write to");
                    writes.iter().map(|_| Outcome::NotTried).collect()
                }
            };
            for (place, outcome) in places.into_iter().zip(done) {
                outcomes[place] = Some(outcome);
            }
        }
        outcomes.into_iter().map(|outcome| outcome.unwrap_or(Outcome::NotTried)).collect()
    }
}
