//! A small world: users, people, accounts at fake providers, one engine over the real store; and a clock in the hand.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use contactd::card::Card;
use contactd::clock::{Clock, Entropy, new_id};
use contactd::crm::person::{Person, PersonState, VisibleTo};
use contactd::crm::users::User;
use contactd::engine::{Engine, Options, Report, SyncError};
use contactd::ids::{AccountId, GroupId, PersonId, Revision, Timestamp, UserId};
use contactd::store::sql::SqlStore;
use contactd::store::{Account, AccountState, Change, Commit, Expect, PersonQuery, Store, StoreError};
use contactd::sync::caps::{Capabilities, Membership};
use contactd::sync::operation::{self, Actor, Effect, Operation, PersonChange};
use contactd::sync::settings::{Scope, Settings};
use contactd::sync::view::{RemoteRef, Roster};

use super::database::Memory;
pub use super::exec::now;
use super::exec::poll;
use super::fake::{COLLECTION, Fake, Manner, Server};
use super::rng::Rng;
use crate::crash::Crashing;

/// The day on which every history begins.
pub const BEGIN: i64 = 1_795_000_000_000;
pub const MINUTE: i64 = 60_000;
pub const HOUR: i64 = 60 * MINUTE;
pub const GROUP: &str = "crm";

/// Time and randomness that follow from the seed.
pub struct Hand {
    now: AtomicI64,
    seed: Mutex<Rng>,
    pub made: AtomicU64,
}

impl Hand {
    fn new(seed: u64) -> Self {
        Self { now: AtomicI64::new(BEGIN), seed: Mutex::new(Rng::new(seed ^ 0xc0ff_ee00)), made: AtomicU64::new(0) }
    }
    pub fn pass(&self, millis: i64) {
        self.now.fetch_add(millis, Ordering::Relaxed);
    }
    /// The time, without any passing.
    fn peek(&self) -> i64 {
        self.now.load(Ordering::Relaxed)
    }
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        // Each look takes a moment, so that times differ and their order is that of what happened.
        Timestamp(self.now.fetch_add(1, Ordering::Relaxed))
    }
}

impl Entropy for Hand {
    fn bytes(&self) -> [u8; 16] {
        self.made.fetch_add(1, Ordering::Relaxed);
        let mut seed = self.seed.lock().unwrap();
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&seed.next().to_le_bytes());
        bytes[8..].copy_from_slice(&seed.next().to_le_bytes());
        bytes
    }
}

pub type TestStore = SqlStore<Crashing<Memory>>;

/// An account and what it reaches.
pub struct Site {
    pub id: AccountId,
    pub user: UserId,
    pub fake: Fake,
}

pub struct World {
    pub hand: Arc<Hand>,
    pub driver: Crashing<Memory>,
    pub store: Arc<TestStore>,
    pub engine: Arc<Engine>,
    /// Another daemon over the same store.
    pub second: Arc<Engine>,
    /// Runs that stand somewhere in their middle.
    pub under_way: Vec<UnderWay>,
    /// Whether runs can be stepped through; servers then have the clock of the world.
    pub wide: bool,
    runs: u64,
    pub users: Vec<UserId>,
    pub sites: Vec<Site>,
    /// Remote records that somebody other than us has deleted.
    pub deleted_there: BTreeSet<(usize, String)>,
    /// Remote records that somebody has taken out of the group.
    pub left_there: BTreeSet<(usize, String)>,
    /// Remote records that somebody has made one with another.
    pub merged_away: BTreeSet<(usize, String)>,
    /// Remote records that a device has put back.
    pub put_back: BTreeSet<(usize, String)>,
    /// What a record was called before, by site and present name.
    pub renamed: BTreeMap<(usize, String), String>,
    /// People whom somebody has put into the trash.
    pub trashed_here: BTreeSet<PersonId>,
    /// What a run said last, per account.
    pub last: BTreeMap<AccountId, Result<Report, String>>,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let hand = Arc::new(Hand::new(seed));
        let driver = Crashing::new(Memory::new());
        let store = Arc::new(now(SqlStore::open(driver.clone())).unwrap());
        let options = Options { page: 7, ..Options::default() };
        let engine = Arc::new(Engine::new(store.clone(), hand.clone(), "sim", options.clone()));
        let second = Arc::new(Engine::new(store.clone(), hand.clone(), "second", options));
        Self {
            hand,
            driver,
            store,
            engine,
            second,
            under_way: Vec::new(),
            wide: false,
            runs: 0,
            users: Vec::new(),
            sites: Vec::new(),
            deleted_there: BTreeSet::new(),
            left_there: BTreeSet::new(),
            merged_away: BTreeSet::new(),
            put_back: BTreeSet::new(),
            renamed: BTreeMap::new(),
            trashed_here: BTreeSet::new(),
            last: BTreeMap::new(),
        }
    }

    pub fn time(&self) -> Timestamp {
        self.hand.now()
    }

    pub fn commit(&self, changes: Vec<Change>, effects: Vec<Effect>) -> Result<(), StoreError> {
        self.commit_if(Vec::new(), changes, effects, Actor::Operator)
    }

    pub fn commit_if(
        &self,
        expect: Vec<Expect>,
        changes: Vec<Change>,
        effects: Vec<Effect>,
        actor: Actor,
    ) -> Result<(), StoreError> {
        let mut commit = Commit::new(None, self.time());
        commit.expect = expect;
        commit.changes = changes;
        if !effects.is_empty() {
            commit.operation =
                Some(Operation { id: new_id(&*self.hand), at: commit.now, actor, why: "edit".into(), effects });
        }
        now(self.store.commit(commit))
    }

    pub fn user(&mut self, name: &str) -> UserId {
        let id = new_id(&*self.hand);
        let user = User {
            id,
            name: name.to_owned(),
            email: format!("{name}@example.com"),
            role: None,
            admin: false,
            restricted: false,
            sees_followed_users: false,
            follows: BTreeSet::new(),
            active: true,
        };
        self.commit(vec![Change::PutUser(user)], Vec::new()).unwrap();
        self.users.push(id);
        id
    }

    pub fn account(&mut self, user: UserId, caps: Capabilities, manner: Manner, settings: Settings) -> usize {
        let id: AccountId = new_id(&*self.hand);
        let subject = format!("box{}", self.sites.len());
        let fake = Fake::new(caps, manner, &subject);
        {
            let mut server = fake.server.lock().unwrap();
            if server.caps.membership == Membership::Roster {
                // The group card exists from the start; it is an entry of the book as any other.
                let at = RemoteRef { collection: COLLECTION.into(), id: "group.vcf".into(), etag: None };
                let roster = Roster {
                    at,
                    group: GroupId(GROUP.into()),
                    name: "CRM".into(),
                    uid: Some("GROUP".into()),
                    members: BTreeSet::new(),
                };
                server.rosters.insert("group.vcf".into(), roster);
                server.store("group.vcf", &Card::default(), None);
            }
        }
        let account = Account {
            id,
            user,
            provider: "fake".into(),
            tenant: "fake".into(),
            subject,
            address: format!("box{}@example.com", self.sites.len()),
            state: AccountState::Active,
            settings,
            connection: serde_json::Value::Null,
            created: self.time(),
            synced: None,
            revision: Revision(0),
        };
        self.commit(vec![Change::PutAccount(Box::new(account))], Vec::new()).unwrap();
        self.sites.push(Site { id, user, fake });
        self.sites.len() - 1
    }

    pub fn settings(&self, site: usize) -> Settings {
        now(self.store.account(self.sites[site].id)).unwrap().unwrap().settings
    }

    /// One run, with the server's clock set. A run that the machine's stop has cut short leaves the machine stopped.
    pub fn sync(&mut self, site: usize) -> Result<Report, SyncError> {
        let provider = self.reach(site);
        let id = self.sites[site].id;
        let result = now(self.engine.sync(id, &provider, "schedule"));
        self.ended(site, &result);
        result
    }

    fn reach(&mut self, site: usize) -> SiteProvider {
        let now_ms = self.time().0;
        self.runs += 1;
        let fake = self.sites[site].fake.clone();
        fake.server.lock().unwrap().tell_time(now_ms as u64);
        let clock = self.wide.then(|| self.hand.clone());
        SiteProvider { fake, driver: self.driver.clone(), clock, run: self.runs }
    }

    fn ended(&mut self, site: usize, result: &Result<Report, SyncError>) {
        let kept = match result {
            Ok(report) => Ok(report.clone()),
            Err(error) => Err(error.to_string()),
        };
        self.last.insert(self.sites[site].id, kept);
    }

    /// Begins a run and leaves it where it stands after so many polls. One daemon runs an account once at a time.
    pub fn start(&mut self, site: usize, second: bool, polls: usize) {
        if self.under_way.iter().any(|run| run.site == site && run.second == second) {
            return;
        }
        let provider = self.reach(site);
        let id = self.sites[site].id;
        let engine = if second { self.second.clone() } else { self.engine.clone() };
        let future = Box::pin(async move { engine.sync(id, &provider, "schedule").await });
        self.under_way.push(UnderWay { site, second, future });
        self.go_on(self.under_way.len() - 1, polls);
    }

    /// Goes on with a run; says whether it has ended.
    pub fn go_on(&mut self, which: usize, polls: usize) -> bool {
        let Some(run) = self.under_way.get_mut(which) else { return true };
        let Some(result) = poll(run.future.as_mut(), polls) else { return false };
        let site = self.under_way.remove(which).site;
        self.ended(site, &result);
        true
    }

    /// Brings to their ends the runs of a site.
    pub fn finish(&mut self, site: usize) {
        while let Some(which) = self.under_way.iter().position(|run| run.site == site) {
            assert!(self.go_on(which, usize::MAX));
        }
    }

    /// Brings all runs to their ends.
    pub fn finish_all(&mut self) {
        for site in 0..self.sites.len() {
            self.finish(site);
        }
    }

    /// A daemon dies wherever it stands, and is started again.
    pub fn crash(&mut self, second: bool) {
        self.under_way.retain(|run| run.second != second);
        let (engine, name) = if second { (&mut self.second, "second") } else { (&mut self.engine, "sim") };
        let options = Options { page: 7, ..Options::default() };
        *engine = Arc::new(Engine::new(self.store.clone(), self.hand.clone(), name, options));
    }

    /// The machine is started again after a stop, wherever it happened.
    pub fn restart(&mut self) {
        self.under_way.clear();
        self.driver.restart();
        for site in &self.sites {
            site.fake.server.lock().unwrap().crashed = false;
        }
        // The lease of the run that was cut short must end before another holder may go on; the same holder may at once.
        self.hand.pass(MINUTE);
    }

    pub fn people(&self) -> Vec<Person> {
        let mut all = Vec::new();
        for trashed in [false, true] {
            let query = PersonQuery { trashed, limit: 100_000, ..PersonQuery::default() };
            all.extend(now(self.store.people(&query)).unwrap());
        }
        all.sort_by_key(|p| p.id);
        all
    }

    pub fn create_person(&mut self, owner: UserId, card: Card) -> PersonId {
        let at = self.time();
        let times = contactd::card::field::Field::ALL.iter().filter(|f| card.has(**f)).map(|f| (*f, at)).collect();
        let person = Person {
            id: new_id(&*self.hand),
            revision: Revision(1),
            card: card.clone(),
            times,
            custom: BTreeMap::new(),
            owner,
            visible_to: VisibleTo::Company,
            followers: Vec::new(),
            state: PersonState::Live,
            created: at,
            updated: at,
        };
        let id = person.id;
        let effect = Effect::Person { person: id, link: None, change: PersonChange::Created(card) };
        self.commit_if(Vec::new(), vec![Change::PutPerson(Box::new(person))], vec![effect], Actor::User(owner))
            .unwrap();
        id
    }

    /// A person of the CRM is edited by hand.
    pub fn edit_person(&mut self, id: PersonId, edit: impl FnOnce(&mut Card)) {
        let mut person = now(self.store.person(id)).unwrap().unwrap();
        let before = person.card.clone();
        edit(&mut person.card);
        let diffs = operation::diff(&before, &person.card);
        if diffs.is_empty() {
            return;
        }
        let at = self.time();
        for diff in &diffs {
            person.times.insert(diff.field, at);
        }
        let effect = Effect::Person { person: id, link: None, change: PersonChange::Edited(diffs) };
        self.put_person(person, effect);
    }

    pub fn trash_person(&mut self, id: PersonId, by: UserId) {
        let mut person = now(self.store.person(id)).unwrap().unwrap();
        person.state = PersonState::Trashed { at: self.time(), by: Some(by) };
        self.trashed_here.insert(id);
        self.put_person(person, Effect::Person { person: id, link: None, change: PersonChange::Trashed });
    }

    pub fn restore_person(&mut self, id: PersonId) {
        let mut person = now(self.store.person(id)).unwrap().unwrap();
        person.state = PersonState::Live;
        self.put_person(person, Effect::Person { person: id, link: None, change: PersonChange::Restored });
    }

    pub fn put_person(&mut self, mut person: Person, effect: Effect) {
        let before = person.revision;
        person.revision = Revision(before.0 + 1);
        person.updated = self.time();
        self.commit_if(
            vec![Expect::Person(person.id, before)],
            vec![Change::PutPerson(Box::new(person))],
            vec![effect],
            Actor::Operator,
        )
        .unwrap();
    }

    /// A record made at the provider by its user.
    pub fn create_there(&mut self, site: usize, card: &Card) -> String {
        let in_group = matches!(self.settings(site).scope, Scope::Group(_));
        let now_ms = self.time().0 as u64;
        let mut server = self.sites[site].fake.server.lock().unwrap();
        server.tell_time(now_ms);
        let id = server.book.mint("u");
        server.store(&id, card, None);
        drop(server);
        if in_group {
            self.set_member(site, &id, true);
        }
        id
    }

    pub fn edit_there(&mut self, site: usize, id: &str, edit: impl FnOnce(&mut Card)) {
        let now_ms = self.time().0 as u64;
        let mut server = self.sites[site].fake.server.lock().unwrap();
        server.tell_time(now_ms);
        let Some(entry) = server.book.get(id) else { return };
        let mut card = Server::card(entry);
        let before = card.clone();
        edit(&mut card);
        if card != before {
            server.store(id, &card, None);
        }
    }

    pub fn delete_there(&mut self, site: usize, id: &str) {
        let now_ms = self.time().0 as u64;
        self.note_deleted(site, id);
        let mut server = self.sites[site].fake.server.lock().unwrap();
        let now_ms = server.tell_time(now_ms);
        if let Ok(entry) = server.book.delete(id, mock_providers::book::Condition::None, now_ms) {
            server.thrown_away.push(entry);
        }
    }

    /// A device that was off the net puts back what was deleted there last, under its old name; but not what was deleted before
    /// we knew that it was made, so that it is to be made again under its mark.
    pub fn return_there(&mut self, site: usize) -> Option<String> {
        let now_ms = self.time().0 as u64;
        let in_group = matches!(self.settings(site).scope, Scope::Group(_));
        let mut server = self.sites[site].fake.server.lock().unwrap();
        server.tell_time(now_ms);
        let entry = server.thrown_away.pop().filter(|entry| server.book.get(&entry.id).is_none())?;
        if let Some(token) = Server::token(&entry) {
            let unmade = format!("SELECT id FROM links WHERE token = '{token}' AND remote IS NULL");
            if !self.driver.inner().texts(&unmade).is_empty() {
                return None;
            }
        }
        server.bring_back(&entry);
        drop(server);
        super::cover::hit("a record came back");
        self.put_back.insert((site, entry.id.clone()));
        if in_group {
            self.set_member(site, &entry.id, true);
        }
        Some(entry.id)
    }

    /// Somebody deleted the record, under whatever name we know it.
    fn note_deleted(&mut self, site: usize, id: &str) {
        self.deleted_there.extend(self.names_of(site, id).into_iter().map(|name| (site, name)));
    }

    /// What a record is called, and was called before.
    fn names_of(&self, site: usize, id: &str) -> Vec<String> {
        let before = |name: &String| self.renamed.get(&(site, name.clone())).cloned();
        std::iter::successors(Some(id.to_owned()), before).collect()
    }

    /// The provider gives the record another id.
    pub fn rename_there(&mut self, site: usize, id: &str, tells: bool) {
        let now_ms = self.time().0 as u64;
        let mut server = self.sites[site].fake.server.lock().unwrap();
        let now_ms = server.tell_time(now_ms);
        if server.book.get(id).is_none() {
            return;
        }
        let uid = Server::uid(server.book.get(id).unwrap());
        let new = server.book.mint("n");
        self.renamed.insert((site, new.clone()), id.to_owned());
        for set in [&mut self.deleted_there, &mut self.left_there, &mut self.put_back] {
            if set.contains(&(site, id.to_owned())) {
                set.insert((site, new.clone()));
            }
        }
        server.book.rename(id, &new, tells, now_ms).unwrap();
        let _ = server.book.edit(&new, mock_providers::book::Condition::None, now_ms, |e| {
            e.marks.insert("uid".to_owned(), uid);
        });
    }

    pub fn set_member(&mut self, site: usize, id: &str, member: bool) {
        let now_ms = self.time().0 as u64;
        if !member {
            self.left_there.extend(self.names_of(site, id).into_iter().map(|name| (site, name)));
        }
        let mut server = self.sites[site].fake.server.lock().unwrap();
        let now_ms = server.tell_time(now_ms);
        let Some(entry) = server.book.get(id) else { return };
        let uid = Server::uid(entry);
        if server.caps.membership == Membership::Roster {
            let roster = server.rosters.get_mut("group.vcf").unwrap();
            if if member { roster.members.insert(uid) } else { roster.members.remove(&uid) } {
                server.book.touch("group.vcf", now_ms).unwrap();
            }
        } else {
            let mut groups = entry.groups.clone();
            if if member { groups.insert(GROUP.to_owned()) } else { groups.remove(GROUP) } {
                server.book.set_groups(id, groups, now_ms).unwrap();
            }
        }
    }

    pub fn cards_there(&self, site: usize) -> BTreeMap<String, Card> {
        let server = self.sites[site].fake.server.lock().unwrap();
        server.live().map(|e| (e.id.clone(), Server::card(e))).collect()
    }
}

/// A run that stands somewhere in its middle.
pub struct UnderWay {
    pub site: usize,
    pub second: bool,
    future: Pin<Box<dyn Future<Output = Result<Report, SyncError>>>>,
}

/// The fake, which stops the machine when the test asked for a stop in the middle of a send, and yields before and after
/// each request if runs are stepped through.
struct SiteProvider {
    fake: Fake,
    driver: Crashing<Memory>,
    clock: Option<Arc<Hand>>,
    run: u64,
}

impl SiteProvider {
    async fn before(&self) {
        self.driver.step().await;
        let mut server = self.fake.server.lock().unwrap();
        server.run = self.run;
        if let Some(clock) = &self.clock {
            server.tell_time(clock.peek() as u64);
        }
    }
}

mod provider {
    use super::SiteProvider;
    use async_trait::async_trait;
    use contactd::ids::{CollectionId, Token};
    use contactd::provider::{
        Blob, Changes, Collection, Fetched, Found, From, Group, Mailbox, Outcome, Provider, ProviderError, Write,
    };
    use contactd::sync::caps::Capabilities;
    use contactd::sync::view::{RemoteRecord, RemoteRef};

    #[async_trait]
    impl Provider for SiteProvider {
        fn capabilities(&self) -> &Capabilities {
            self.fake.capabilities()
        }
        async fn check(&self) -> Result<Mailbox, ProviderError> {
            self.before().await;
            let answer = self.fake.check().await;
            self.driver.step().await;
            answer
        }
        async fn collections(&self) -> Result<Vec<Collection>, ProviderError> {
            self.before().await;
            let answer = self.fake.collections().await;
            self.driver.step().await;
            answer
        }
        async fn groups(&self) -> Result<Vec<Group>, ProviderError> {
            self.before().await;
            let answer = self.fake.groups().await;
            self.driver.step().await;
            answer
        }
        async fn changes(&self, of: &CollectionId, from: From<'_>) -> Result<Changes, ProviderError> {
            self.before().await;
            let answer = self.fake.changes(of, from).await;
            self.driver.step().await;
            answer
        }
        async fn fetch(&self, of: &[RemoteRef]) -> Result<Vec<Fetched>, ProviderError> {
            self.before().await;
            let answer = self.fake.fetch(of).await;
            self.driver.step().await;
            answer
        }
        async fn find(&self, of: &CollectionId, tokens: &[Token]) -> Result<Vec<Found>, ProviderError> {
            self.before().await;
            let answer = self.fake.find(of, tokens).await;
            self.driver.step().await;
            answer
        }
        async fn photo(&self, of: &RemoteRecord) -> Result<Option<Blob>, ProviderError> {
            self.before().await;
            let answer = self.fake.photo(of).await;
            self.driver.step().await;
            answer
        }
        async fn write(&self, batch: &[Write]) -> Vec<Outcome> {
            self.before().await;
            let outcomes = self.fake.write(batch).await;
            if self.fake.server.lock().unwrap().crashed {
                self.driver.kill();
            }
            self.driver.step().await;
            outcomes
        }
    }
}
