//! A company of so many people in a store: a thousand to an account and to its user, with what a month of syncs leaves.
//!
//! Owns: what is in it and in which order it came. Must not: write anything but by [`Store::commit`], as the engine does.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use contactd::card::Card;
use contactd::card::field::{Field, FieldSet};
use contactd::crm::person::{Person, PersonState, VisibleTo};
use contactd::crm::users::{Role, User};
use contactd::ids::{
    AccountId, CollectionId, Etag, LinkId, OpId, PersonId, RemoteId, Revision, RoleId, RunId, Timestamp, UserId,
};
use contactd::store::{
    Account, AccountState, Change, CollectionState, Commit, Conflict, Counts, HeldDeletion, Run, Store, SubjectKey,
    Tally,
};
use contactd::sync::operation::{self, Actor, Effect, Operation, PersonChange};
use contactd::sync::plan::{About, Clash, Deletion, Side};
use contactd::sync::settings::Settings;
use contactd::sync::view::{Base, Groups, Link, LinkState, Origin, RemoteRecord, RemoteRef, Seen};

use crate::people::{card, id, mixed};

/// People to an account.
pub(crate) const EACH: u64 = 1000;
/// People to a commit, as the engine has it.
const PAGE: u64 = 200;
/// Runs of an account that changed something, in a month: two a day.
const RUNS: u64 = 60;
/// Users to a role.
const TEAM: u64 = 20;
const DAY: i64 = 24 * 3_600_000;

/// Where everything is.
#[derive(Clone, Copy)]
pub(crate) struct Company {
    pub(crate) people: u64,
    /// When it was filled: all times are told from there.
    pub(crate) now: Timestamp,
}

impl Company {
    pub(crate) fn accounts(self) -> u64 {
        (self.people / EACH).max(1)
    }
    fn each(self) -> u64 {
        self.people / self.accounts()
    }
    /// The month before the last: when the people were imported.
    fn first(self) -> i64 {
        self.now.0 - 60 * DAY
    }
    pub(crate) fn user<T: From<uuid::Uuid>>(self, n: u64) -> T {
        id(0, 10_000_000 + n)
    }
    pub(crate) fn account(self, n: u64) -> AccountId {
        id(0, 20_000_000 + n)
    }
    fn role(n: u64) -> RoleId {
        id(0, 30_000_000 + n)
    }
    /// The k-th person of account n. They came in pages, an account after the other.
    pub(crate) fn person(self, n: u64, k: u64) -> PersonId {
        let place = (k / PAGE * self.accounts() + n) * PAGE + k % PAGE;
        id(self.first() + i64::try_from(place).unwrap(), place)
    }
    pub(crate) fn link(self, n: u64, k: u64) -> LinkId {
        LinkId(self.person(n, k).0)
    }
    /// The r-th run of account n.
    pub(crate) fn run(self, n: u64, r: u64) -> RunId {
        let at = self.run_at(n, r);
        id(at.0, n * RUNS + r)
    }
    fn run_at(self, n: u64, r: u64) -> Timestamp {
        let span = 30 * DAY / i64::try_from(RUNS).unwrap();
        let within = i64::try_from(mixed(n * RUNS + r)).unwrap_or(i64::MAX).rem_euclid(span);
        Timestamp(self.now.0 - 30 * DAY + i64::try_from(r).unwrap() * span + within)
    }
}

/// The number of somebody's card.
fn number(n: u64, k: u64) -> u64 {
    n * EACH + k
}

/// Fills the store, with so many at once.
pub(crate) async fn fill(store: Arc<dyn Store>, company: Company, at_once: u64) {
    let begun = Instant::now();
    let accounts = company.accounts();
    people_who_sync(&*store, company).await;
    for page in 0..company.each().div_ceil(PAGE) {
        all(&store, at_once, accounts, move |store, n| async move { import(&*store, company, n, page).await }).await;
        eprintln!(
            "{} people after {:.0} s",
            accounts * ((page + 1) * PAGE).min(company.each()),
            begun.elapsed().as_secs_f64()
        );
    }
    all(&store, at_once, accounts, move |store, n| async move { a_month(&*store, company, n).await }).await;
    eprintln!("and a month of syncs, after {:.0} s", begun.elapsed().as_secs_f64());
}

async fn all<F: Future<Output = ()> + Send + 'static>(
    store: &Arc<dyn Store>,
    at_once: u64,
    accounts: u64,
    what: impl Fn(Arc<dyn Store>, u64) -> F + Copy + Send + Sync + 'static,
) {
    let some = |first: u64| {
        let store = Arc::clone(store);
        tokio::spawn(async move {
            for n in (first..accounts).step_by(usize::try_from(at_once).unwrap()) {
                what(Arc::clone(&store), n).await;
            }
        })
    };
    for task in (0..at_once).map(some).collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

fn note(text: &str) -> Card {
    Card { note: Some(text.to_owned()), ..Card::default() }
}

/// Users in teams, each with an account; user 0 is the administrator, user 1 sees but its own.
async fn people_who_sync(store: &dyn Store, company: Company) {
    let accounts = company.accounts();
    let teams = accounts.div_ceil(TEAM);
    let role = |n: u64| Role {
        id: Company::role(n),
        name: format!("Team {n}"),
        parent: (n > 0).then(|| Company::role((n - 1) / 4)),
    };
    let mut changes: Vec<Change> = (0..teams).map(|n| Change::PutRole(role(n))).collect();
    for n in 0..accounts {
        let followed =
            (1..=3).map(|by| company.user((n + by * 7) % accounts)).filter(|other| *other != company.user(n));
        changes.push(Change::PutUser(User {
            id: company.user(n),
            name: format!("User {n}"),
            email: format!("user{n}@example.com"),
            role: Some(Company::role(n % teams)),
            admin: n == 0,
            restricted: n == 1,
            sees_followed_users: n % 2 == 0,
            follows: followed.collect::<BTreeSet<UserId>>(),
            active: true,
        }));
        changes.push(Change::PutAccount(Box::new(Account {
            id: company.account(n),
            user: company.user(n),
            provider: "carddav".to_owned(),
            tenant: "dav.example.com".to_owned(),
            subject: format!("mailbox{n}"),
            address: format!("user{n}@example.com"),
            state: AccountState::Active,
            settings: Settings::default(),
            connection: serde_json::json!({ "url": "https://dav.example.com" }),
            created: Timestamp(company.first()),
            synced: None,
            revision: Revision(0),
        })));
        changes.push(Change::PutCollection(
            company.account(n),
            CollectionState {
                id: CollectionId::from("book"),
                name: "Contacts".to_owned(),
                writable: true,
                cursor: None,
                generation: 1,
                listing: None,
                listed: true,
                doubted: None,
            },
        ));
    }
    let mut changes = changes.into_iter().peekable();
    while changes.peek().is_some() {
        put(store, company, changes.by_ref().take(500).collect(), None).await;
    }
}

async fn put(store: &dyn Store, company: Company, changes: Vec<Change>, operation: Option<Operation>) {
    store.commit(Commit { changes, operation, ..Commit::new(None, company.now) }).await.unwrap();
}

/// A page of a first sync: what was seen, and what was made of it.
async fn import(store: &dyn Store, company: Company, n: u64, page: u64) {
    let account = company.account(n);
    let some = || page * PAGE..((page + 1) * PAGE).min(company.each());
    let remote = |k: u64| RemoteId::from(format!("/books/{n}/{k}.vcf").as_str());
    let row = |k: u64| {
        let card = card(number(n, k));
        let raw = Some(format!("{card:?}").into_bytes());
        let at = RemoteRef { collection: CollectionId::from("book"), id: remote(k), etag: Some(Etag::from("1")) };
        let uid = Some(format!("uid-{n}-{k}"));
        let record = RemoteRecord {
            at,
            body: card,
            groups: Groups::new(),
            modified: None,
            token: None,
            uid,
            formerly: Vec::new(),
            raw,
        };
        (Seen::Present(record), Default::default())
    };
    let rows = some().map(row).collect();
    let observe = Change::Observe { account, collection: CollectionId::from("book"), generation: 1, rows, echo: false };
    put(store, company, vec![observe], None).await;

    let (mut changes, mut effects) = (Vec::new(), Vec::new());
    for k in some() {
        let by = mixed(number(n, k)) >> 20;
        let card = card(number(n, k));
        let at = Timestamp(company.first());
        let visible_to = match by % 100 {
            0 => VisibleTo::Company,
            1 => VisibleTo::OwnerRole,
            2 => VisibleTo::OwnerRoleAndBelow,
            _ => VisibleTo::Owner,
        };
        let trashed = PersonState::Trashed { at: company.now, by: Some(company.user(n)) };
        changes.push(Change::PutPerson(Box::new(Person {
            id: company.person(n, k),
            revision: Revision(1),
            card: card.clone(),
            times: Default::default(),
            custom: Default::default(),
            owner: company.user(n),
            visible_to,
            followers: if by % 100 == 3 { vec![company.user(by / 100 % company.accounts())] } else { Vec::new() },
            state: if by % 100 == 4 { trashed } else { PersonState::Live },
            created: at,
            updated: at,
        })));
        changes.push(Change::PutLink(Box::new(Link {
            id: company.link(n, k),
            account,
            person: company.person(n, k),
            remote: Some(remote(k)),
            origin: Origin::Theirs,
            state: LinkState::Live,
            token: None,
            base: Base::shared(&card, FieldSet::all()),
            revision: Revision(1),
        })));
        changes.push(Change::SettleRecord(account, remote(k), 1));
        changes.push(Change::SettlePerson(account, company.person(n, k), Revision(1)));
        let change = PersonChange::Created(card);
        effects.push(Effect::Person { person: company.person(n, k), link: Some(company.link(n, k)), change });
    }
    let run = RunId(company.account(n).0);
    let operation = Operation {
        id: id::<OpId>(company.first(), page * company.accounts() + n),
        at: Timestamp(company.first()),
        actor: Actor::Run { run, account },
        why: "start".to_owned(),
        effects,
    };
    put(store, company, changes, Some(operation)).await;
}

/// What a month leaves: runs, most of which changed a person, and what waits for somebody.
async fn a_month(store: &dyn Store, company: Company, n: u64) {
    let account = company.account(n);
    for r in 0..RUNS {
        let at = company.run_at(n, r);
        let local = Counts { updated: 1, ..Counts::default() };
        let run = Run {
            id: company.run(n, r),
            account,
            started: at,
            ended: Some(at.plus(900)),
            trigger: "schedule".to_owned(),
            tally: Tally { local, ..Tally::default() },
            error: None,
        };
        let k = mixed(r) % company.each();
        let change = PersonChange::Edited(operation::diff(&note("before"), &note("after")));
        let operation = Operation {
            id: id::<OpId>(at.0, n * RUNS + r),
            at,
            actor: Actor::Run { run: run.id, account },
            why: "schedule".to_owned(),
            effects: vec![Effect::Person { person: company.person(n, k), link: Some(company.link(n, k)), change }],
        };
        put(store, company, vec![Change::PutRun(Box::new(run))], Some(operation)).await;
    }
    let mut changes = vec![Change::Synced(account, company.now)];
    for k in 0..10.min(company.each()) {
        let conflict = |id, clash| Conflict {
            id,
            link: company.link(n, k),
            account,
            person: company.person(n, k),
            at: company.now,
            clash,
            resolved: k % 2 == 0,
        };
        let clash = Clash {
            about: About::Field(Field::Note),
            ours: note("here").get(Field::Note),
            theirs: note("there").get(Field::Note),
            stands: Side::Ours,
            ours_at: None,
            theirs_at: None,
        };
        changes.push(Change::PutConflict(Box::new(conflict(id(company.first(), n * 10 + k), clash))));
        let remote = RemoteId::from(format!("/books/{n}/{k}.vcf").as_str());
        match k {
            0 => changes.push(Change::PutHeld(Box::new(HeldDeletion {
                id: id(company.first(), n),
                link: company.link(n, k),
                account,
                person: company.person(n, k),
                deletion: Deletion::Local,
                revision: Revision(1),
                etag: None,
                at: company.now,
                why: "guard".to_owned(),
                answer: None,
            }))),
            1 | 2 => changes.push(Change::Fail {
                account,
                key: SubjectKey::Record(remote),
                reason: "the server refused it".to_owned(),
                retry_at: company.now,
            }),
            3 | 4 => {
                let two = vec![company.person(n, k), company.person(n, k + 1)];
                changes.push(Change::PutDuplicates(account, remote, two));
            }
            _ => {}
        }
    }
    put(store, company, changes, None).await;
}
