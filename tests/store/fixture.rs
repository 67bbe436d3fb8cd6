//! A new store per test, and short ways of saying what goes into it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use contactd::card::field::FieldSet;
use contactd::card::{Card, Item};
use contactd::crm::person::{Person, PersonState, VisibleTo};
use contactd::crm::users::User;
use contactd::ids::{
    AccountId, CollectionId, Etag, Fence, IntentId, LinkId, OpId, PersonId, RemoteId, Revision, RunId, Timestamp,
    Token, UserId,
};
use contactd::store::driver::Driver;
use contactd::store::sql::SqlStore;
use contactd::store::sqlite::Sqlite;
use contactd::store::{Account, AccountState, Change, CollectionState, Commit, Lease, Store, StoreError, SubjectKey};
use contactd::sync::operation::{Actor, Effect, Operation};
use contactd::sync::settings::Settings;
use contactd::sync::view::{
    Base, Groups, Intent, Link, LinkState, Origin, Pairs, RemoteRecord, RemoteRef, Seen, Send, Subject,
};
use uuid::Uuid;

use crate::postgres_of_ones_own::Schema;

/// A new database.
pub(crate) struct Db {
    pub(crate) store: Arc<dyn Store>,
    /// What lies below it, to do damage.
    pub(crate) driver: Arc<dyn Driver>,
    kind: Kind,
    _dir: Option<tempfile::TempDir>,
    _schema: Option<Schema>,
}

#[derive(Clone, Copy)]
enum Kind {
    Inline,
    Threads,
    Postgres,
}

impl Db {
    pub(crate) async fn inline() -> Self {
        Self::new(Kind::Inline).await
    }

    pub(crate) async fn threads() -> Self {
        Self::new(Kind::Threads).await
    }

    pub(crate) async fn postgres() -> Self {
        Self::new(Kind::Postgres).await
    }

    /// Another new one of the same kind.
    pub(crate) async fn another(&self) -> Self {
        Self::new(self.kind).await
    }

    async fn new(kind: Kind) -> Self {
        let (mut dir, mut schema) = (None, None);
        let driver: Arc<dyn Driver> = match kind {
            Kind::Inline => Arc::new(Sqlite::memory().unwrap()),
            Kind::Threads => {
                let dir = dir.insert(tempfile::tempdir().unwrap());
                Arc::new(Sqlite::open(&dir.path().join("contactd.db")).unwrap())
            }
            Kind::Postgres => Arc::new(schema.insert(Schema::new().await).open().await),
        };
        let store = SqlStore::open(Arc::clone(&driver)).await.unwrap();
        Self { store: Arc::new(store), driver, kind, _dir: dir, _schema: schema }
    }

    /// Commits these changes, without a lease, and must succeed.
    pub(crate) async fn put(&self, changes: impl IntoIterator<Item = Change>) {
        self.try_put(changes).await.unwrap();
    }

    /// Commits these changes, without a lease.
    pub(crate) async fn try_put(&self, changes: impl IntoIterator<Item = Change>) -> Result<(), StoreError> {
        self.store.commit(commit(changes)).await
    }

    /// Commits what was done by a run of account 1.
    pub(crate) async fn log(&self, op: u64, at: i64, effects: Vec<Effect>) {
        let mut commit = commit([]);
        commit.operation = Some(operation(op, at, effects));
        self.store.commit(commit).await.unwrap();
    }

    /// User 1 with account 1, which is active.
    pub(crate) async fn with_account(self) -> Self {
        self.put([Change::PutUser(user(1)), put(account(1, 1)), put_book(1)]).await;
        self
    }

    /// The keys of what is unsettled in account 1.
    pub(crate) async fn unsettled(&self) -> Vec<SubjectKey> {
        let all = self.store.unsettled(acc(1), NOW, None, 1000).await.unwrap();
        all.into_iter().map(|(key, _)| key).collect()
    }

    /// One subject of account 1.
    pub(crate) async fn subject(&self, key: SubjectKey) -> Subject {
        self.store.subjects(acc(1), &[key]).await.unwrap().remove(0)
    }

    /// Nothing is unsettled in account 1 any more.
    pub(crate) async fn settle_all(&self) {
        for (key, subject) in self.store.unsettled(acc(1), NOW, None, 1000).await.unwrap() {
            let mut changes = Vec::new();
            if let (SubjectKey::Record(id), Some(seen)) = (key, &subject.seen) {
                changes.push(Change::SettleRecord(acc(1), id, seen.version));
            }
            if let Some(facts) = &subject.person {
                changes.push(Change::SettlePerson(acc(1), facts.person.id, facts.person.revision));
            }
            self.put(changes).await;
        }
        assert_eq!(self.unsettled().await, []);
    }
}

pub(crate) const NOW: Timestamp = Timestamp(1_800_000_000_000);

/// The n-th id of its kind.
pub(crate) fn id<T: From<Uuid>>(n: u64) -> T {
    T::from(Uuid::from_u128(u128::from(n)))
}
pub(crate) fn acc(n: u64) -> AccountId {
    id(n)
}
pub(crate) fn per(n: u64) -> PersonId {
    id(n)
}
pub(crate) fn usr(n: u64) -> UserId {
    id(n)
}
pub(crate) fn lnk(n: u64) -> LinkId {
    id(n)
}
pub(crate) fn rec(name: &str) -> RemoteId {
    RemoteId::from(name)
}
pub(crate) fn record_key(name: &str) -> SubjectKey {
    SubjectKey::Record(rec(name))
}
pub(crate) fn person_key(n: u64) -> SubjectKey {
    SubjectKey::Person(per(n))
}
pub(crate) fn book() -> CollectionId {
    CollectionId::from("book")
}

pub(crate) fn commit(changes: impl IntoIterator<Item = Change>) -> Commit {
    let mut commit = Commit::new(None, NOW);
    commit.changes.extend(changes);
    commit
}

pub(crate) fn commit_under(lease: &Lease, changes: impl IntoIterator<Item = Change>) -> Commit {
    Commit { lease: Some(lease.clone()), ..commit(changes) }
}

pub(crate) fn user(n: u64) -> User {
    User {
        id: id(n),
        name: format!("User {n}"),
        email: format!("user{n}@example.com"),
        role: None,
        admin: false,
        restricted: false,
        sees_followed_users: false,
        follows: BTreeSet::new(),
        active: true,
    }
}

pub(crate) fn account(n: u64, user: u64) -> Account {
    Account {
        id: id(n),
        user: id(user),
        provider: "carddav".to_owned(),
        tenant: "dav.example.com".to_owned(),
        subject: format!("mailbox{n}"),
        address: format!("mailbox{n}@example.com"),
        state: AccountState::Active,
        settings: Settings::default(),
        connection: serde_json::json!({ "url": "https://dav.example.com" }),
        created: NOW,
        synced: None,
        revision: Revision(1),
    }
}

pub(crate) fn put(account: Account) -> Change {
    Change::PutAccount(Box::new(account))
}

pub(crate) fn put_book(account: u64) -> Change {
    let state = CollectionState {
        id: book(),
        name: "Contacts".to_owned(),
        writable: true,
        cursor: None,
        generation: 1,
        listing: None,
        listed: false,
        doubted: None,
    };
    Change::PutCollection(id(account), state)
}

/// A card with a name and an address of its own.
pub(crate) fn card(given: &str, family: &str) -> Card {
    let email = format!("{}.{}@example.com", given.to_lowercase(), family.to_lowercase());
    Card {
        given: Some(given.to_owned()),
        family: Some(family.to_owned()),
        emails: vec![Item::new(email)],
        ..Card::default()
    }
}

/// A person of user `owner`, in its first version.
pub(crate) fn person(n: u64, owner: u64, card: Card) -> Person {
    Person {
        id: id(n),
        revision: Revision(1),
        card,
        times: BTreeMap::new(),
        custom: BTreeMap::new(),
        owner: id(owner),
        visible_to: VisibleTo::Owner,
        followers: Vec::new(),
        state: PersonState::Live,
        created: NOW,
        updated: NOW,
    }
}

pub(crate) fn put_person(person: Person) -> Change {
    Change::PutPerson(Box::new(person))
}

/// Its next version.
pub(crate) fn next(person: &Person) -> Person {
    Person { revision: Revision(person.revision.0 + 1), ..person.clone() }
}

pub(crate) fn remote_record(name: &str, body: Card) -> RemoteRecord {
    RemoteRecord {
        at: RemoteRef { collection: book(), id: rec(name), etag: Some(Etag::from("1")) },
        body,
        groups: Groups::new(),
        modified: None,
        token: None,
        uid: Some(format!("uid-{name}")),
        formerly: Vec::new(),
        raw: Some(b"raw".to_vec()),
    }
}

pub(crate) fn observe(account: u64, rows: impl IntoIterator<Item = Seen>) -> Change {
    observe_in(account, 1, rows)
}

pub(crate) fn observe_in(account: u64, generation: i64, rows: impl IntoIterator<Item = Seen>) -> Change {
    let rows = rows.into_iter().map(|seen| (seen, BTreeMap::new())).collect();
    Change::Observe { account: id(account), collection: book(), generation, rows, echo: false }
}

pub(crate) fn link(n: u64, account: u64, person: u64, remote: Option<&str>) -> Link {
    let card = card("Ann", "Lee");
    Link {
        id: id(n),
        account: id(account),
        person: id(person),
        remote: remote.map(rec),
        origin: Origin::Theirs,
        state: LinkState::Live,
        token: None,
        base: Base { ours: card.clone(), theirs: card, mapped: FieldSet::all(), converter: 1, ..Base::default() },
        revision: Revision(1),
    }
}

pub(crate) fn put_link(link: Link) -> Change {
    Change::PutLink(Box::new(link))
}

pub(crate) fn intent(n: u64, link: &Link, what: Send, token: u64) -> Intent {
    Intent {
        id: id::<IntentId>(n),
        link: link.id,
        account: link.account,
        person: link.person,
        token: id::<Token>(token),
        what,
        collection: book(),
        ours: card("Ann", "Lee"),
        revision: Revision(1),
        sent: card("Ann", "Lee"),
        mask: FieldSet::all(),
        pairs: Pairs::default(),
        before: None,
        opened: NOW,
        fence: Fence(1),
        missed: 0,
    }
}

/// Done by run 1 of account 1.
pub(crate) fn operation(n: u64, at: i64, effects: Vec<Effect>) -> Operation {
    let actor = Actor::Run { run: id::<RunId>(1), account: acc(1) };
    Operation { id: id::<OpId>(n), at: NOW.plus(at), actor, why: "sync".to_owned(), effects }
}
