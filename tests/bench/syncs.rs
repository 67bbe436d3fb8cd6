//! Syncs by the real engine from a provider in memory: how many accounts a second of which nothing comes, and how many
//! contacts a second when all of them are new.
//!
//! Owns: accounts, workers, and what they took. Must not: count the making of the accounts.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use contactd::clock::{Clock as _, System, new_id};
use contactd::crm::users::User;
use contactd::engine::{Engine, Options};
use contactd::ids::{AccountId, Revision};
use contactd::store::sql::SqlStore;
use contactd::store::{Account, AccountState, Change, Commit, Store};
use contactd::sync::settings::Settings;

use crate::memory::Memory;
use crate::{Arguments, Place};

/// Accounts that nothing happens in, each run once to have something to be quiet about, and then measured.
pub(crate) async fn quiet(arguments: &Arguments) -> bool {
    let accounts = arguments.accounts.unwrap_or(10_000);
    // The few contacts of each are imported for the sake of a store that is not empty.
    let each = arguments.people.unwrap_or(accounts * 10) / accounts;
    let bench = Bench::new(arguments, "quiet", accounts, each).await;
    bench.all_once(2, "start").await;
    println!(
        "| store | accounts, contacts of each | workers | accounts a second | CPU an account | peak | made again |\n\
         | --- | --- | --- | --- | --- | --- | --- |"
    );
    for workers in &arguments.workers {
        let took = bench.all_once(*workers, "schedule").await;
        println!(
            "| {} | {accounts}, {each} | {workers} | {:.0} | {:.2} ms | {} MB | {} |",
            name(arguments),
            accounts as f64 / took.wall,
            took.cpu * 1000.0 / accounts as f64,
            peak_mb(),
            took.made_again
        );
    }
    bench.end().await;
    true
}

/// First syncs.
pub(crate) async fn first(arguments: &Arguments) -> bool {
    let accounts = arguments.accounts.unwrap_or(1);
    let each = arguments.people.unwrap_or(10_000) / accounts;
    println!(
        "| store | accounts, contacts of each | workers | contacts a second | CPU a contact | peak | made again |\n\
         | --- | --- | --- | --- | --- | --- | --- |"
    );
    for workers in &arguments.workers {
        if *workers > accounts {
            continue;
        }
        let bench = Bench::new(arguments, "first", accounts, each).await;
        let took = bench.all_once(*workers, "start").await;
        let contacts = (accounts * each) as f64;
        println!(
            "| {} | {accounts}, {each} | {workers} | {:.0} | {:.3} ms | {} MB | {} |",
            name(arguments),
            contacts / took.wall,
            took.cpu * 1000.0 / contacts,
            peak_mb(),
            took.made_again
        );
        assert_eq!(bench.store.counted(None, System.now()).await.unwrap().in_sync, accounts * each, "everybody came");
        bench.end().await;
    }
    true
}

fn name(arguments: &Arguments) -> &'static str {
    if arguments.sqlite { "SQLite" } else { "PostgreSQL" }
}

/// What something took, in seconds.
struct Took {
    wall: f64,
    /// Of this process: that of a database server is its own.
    cpu: f64,
    /// Commits that were in another one's way.
    made_again: u64,
}

struct Bench {
    place: Place,
    store: Arc<dyn Store>,
    engine: Arc<Engine>,
    accounts: Arc<Vec<(AccountId, Memory)>>,
}

impl Bench {
    async fn new(arguments: &Arguments, name: &str, accounts: u64, each: u64) -> Self {
        let place = Place::new(arguments.sqlite, name);
        place.drop().await;
        let store: Arc<dyn Store> = Arc::new(SqlStore::open(place.open().await).await.unwrap());
        let mut all = Vec::new();
        let mut changes = Vec::new();
        for n in 0..accounts {
            let user = User {
                id: new_id(&System),
                name: format!("User {n}"),
                email: format!("user{n}@example.com"),
                role: None,
                admin: false,
                restricted: false,
                sees_followed_users: false,
                follows: BTreeSet::new(),
                active: true,
            };
            let account = Account {
                id: new_id(&System),
                user: user.id,
                provider: "carddav".to_owned(),
                tenant: "memory".to_owned(),
                subject: format!("mailbox{n}"),
                address: format!("user{n}@example.com"),
                state: AccountState::Active,
                settings: Settings::default(),
                connection: serde_json::Value::Null,
                created: System.now(),
                synced: None,
                revision: Revision(0),
            };
            all.push((account.id, Memory::new(n * each, each, account.subject.clone())));
            changes.extend([Change::PutUser(user), Change::PutAccount(Box::new(account))]);
            if changes.len() >= 1000 || n + 1 == accounts {
                let changes = std::mem::take(&mut changes);
                store.commit(Commit { changes, ..Commit::new(None, System.now()) }).await.unwrap();
            }
        }
        let engine = Engine::new(Arc::clone(&store), Arc::new(System), "bench", Options::default());
        Self { place, store, engine: Arc::new(engine), accounts: Arc::new(all) }
    }

    /// Every account is run once, so many at a time.
    async fn all_once(&self, workers: u64, trigger: &'static str) -> Took {
        let (begun, cpu, crossed) = (Instant::now(), cpu_seconds(), self.place.made_again());
        let next = Arc::new(AtomicUsize::new(0));
        let work = |_| {
            let (engine, accounts, next) = (Arc::clone(&self.engine), Arc::clone(&self.accounts), Arc::clone(&next));
            tokio::spawn(async move {
                while let Some((account, provider)) = accounts.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let report = Box::pin(engine.sync(*account, provider, trigger)).await.unwrap();
                    let expected = if trigger == "start" { provider.contacts } else { 0 };
                    assert_eq!((report.tally.local.added, report.unfinished), (expected, false));
                }
            })
        };
        for task in (0..workers).map(work).collect::<Vec<_>>() {
            task.await.unwrap();
        }
        let made_again = self.place.made_again() - crossed;
        Took { wall: begun.elapsed().as_secs_f64(), cpu: cpu_seconds() - cpu, made_again }
    }

    async fn end(self) {
        let Self { place, store, engine, accounts } = self;
        drop((store, engine, accounts));
        place.drop().await;
    }
}

/// CPU time of this process, of all its threads, in and below the kernel's door.
pub(crate) fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The most memory that this process had in use until now.
fn peak_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kb = peak.and_then(|line| line.split_whitespace().next()).and_then(|kb| kb.parse::<u64>().ok());
    kb.unwrap_or_default().div_ceil(1024)
}
