//! Many at once on PostgreSQL: what is expected holds, leases have one holder, and what the network does stores nothing
//! twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use contactd::ids::Revision;
use contactd::store::postgres::{Postgres, PostgresSettings, Purpose};
use contactd::store::sql::SqlStore;
use contactd::store::{Change, Expect, Store, StoreError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

use crate::fixture::*;
use crate::postgres_of_ones_own::{Schema, sql, url};

async fn two() -> (Schema, Arc<SqlStore<Postgres>>, Arc<SqlStore<Postgres>>) {
    let schema = Schema::new().await;
    // Both start at once on an empty database: one of them makes the schema.
    let (one, two) = tokio::join!(async { SqlStore::open(schema.open().await).await.unwrap() }, async {
        SqlStore::open(schema.open().await).await.unwrap()
    });
    (schema, Arc::new(one), Arc::new(two))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs a PostgreSQL: tests/e2e/run postgres"]
async fn changes_of_one_person_are_never_lost() {
    let (_schema, one, two) = two().await;
    one.commit(commit([Change::PutUser(user(1)), put_person(person(1, 1, card("Ann", "Lee")))])).await.unwrap();
    let edit = |store: Arc<SqlStore<Postgres>>, by: usize| async move {
        for n in 0..25 {
            loop {
                let before = store.person(per(1)).await.unwrap().unwrap();
                let mut after = next(&before);
                let note = after.card.note.unwrap_or_default();
                after.card.note = Some(format!("{note}{by}.{n} "));
                let mut commit = commit([put_person(after)]);
                commit.expect.push(Expect::Person(per(1), before.revision));
                match store.commit(commit).await {
                    Ok(()) => break,
                    Err(StoreError::Stale(_)) => {}
                    Err(other) => panic!("{other}"),
                }
            }
        }
    };
    let all: Vec<_> =
        (0..4).map(|by| tokio::spawn(edit(Arc::clone(if by % 2 == 0 { &one } else { &two }), by))).collect();
    for one in all {
        one.await.unwrap();
    }
    let after = two.person(per(1)).await.unwrap().unwrap();
    assert_eq!(after.revision, Revision(101));
    assert_eq!(after.card.note.unwrap().split_whitespace().count(), 100);
    assert_eq!(one.check().await.unwrap(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs a PostgreSQL: tests/e2e/run postgres"]
async fn of_many_who_want_an_account_one_has_it() {
    let (_schema, one, two) = two().await;
    one.commit(commit([Change::PutUser(user(1)), put(account(1, 1)), put_book(1)])).await.unwrap();
    for round in 0..20 {
        let now = NOW.plus(round * 200_000);
        let want = |n: usize| {
            let store = Arc::clone(if n.is_multiple_of(2) { &one } else { &two });
            tokio::spawn(async move { store.lease(acc(1), &format!("d{n}"), now, 60_000).await.unwrap() })
        };
        let mut held = Vec::new();
        for wanted in (0..8).map(want).collect::<Vec<_>>() {
            held.extend(wanted.await.unwrap());
        }
        assert_eq!(held.len(), 1, "{held:?}");
        // Who had it before, and has slept meanwhile, stores nothing any more.
        let lease = held.remove(0);
        let later = two.lease(acc(1), "later", now.plus(60_001), 60_000).await.unwrap().unwrap();
        assert!(later.fence > lease.fence);
        let late = one.commit(commit_under(&lease, [Change::UnsettleAccount(acc(1))])).await;
        assert!(matches!(late, Err(StoreError::Stale(_))), "{late:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs a PostgreSQL: tests/e2e/run postgres"]
async fn accounts_that_run_side_by_side_come_to_their_end() {
    let (_schema, one, two) = two().await;
    let mut changes = vec![Change::PutUser(user(1))];
    changes.extend((1..=8).flat_map(|n| [put(account(n, 1)), put_book(n)]));
    one.commit(commit(changes)).await.unwrap();
    let import = |store: Arc<SqlStore<Postgres>>, n: u64| async move {
        let lease = store.lease(acc(n), &format!("d{n}"), NOW, 60_000).await.unwrap().unwrap();
        for page in 0..4 {
            let rows = (0..50).map(|row| {
                let name = format!("/{n}/{page}/{row}");
                remote_record(&name, card(&format!("Given{row}"), &format!("Family{n}{page}")))
            });
            let rows: Vec<_> = rows.map(contactd::sync::view::Seen::Present).collect();
            store.commit(commit_under(&lease, [observe(n, rows)])).await.unwrap();
            let mut changes = Vec::new();
            for row in 0..50 {
                let id = n * 1000 + page * 50 + row;
                let mut created = person(id, 1, card(&format!("Given{row}"), &format!("Family{n}{page}")));
                created.revision = Revision(1);
                changes.push(put_person(created));
                changes.push(put_link(link(id, n, id, Some(&format!("/{n}/{page}/{row}")))));
                changes.push(Change::SettlePerson(acc(n), per(id), Revision(1)));
            }
            store.commit(commit_under(&lease, changes)).await.unwrap();
        }
    };
    let all: Vec<_> = (1_u64..=8)
        .map(|n| tokio::spawn(import(Arc::clone(if n.is_multiple_of(2) { &one } else { &two }), n)))
        .collect();
    for one in all {
        one.await.unwrap();
    }
    println!("64 commits of 50 rows by 8 accounts; run again: {}", one.driver().crossed() + two.driver().crossed());
    assert_eq!(one.check().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
#[ignore = "needs a PostgreSQL: tests/e2e/run postgres"]
async fn a_long_answer_does_not_hold_up_what_is_asked_next() {
    let schema = Schema::new().await;
    let store = SqlStore::open(schema.open().await).await.unwrap();
    let named = |n| contactd::crm::users::User { name: "Ann ".repeat(500), ..user(n) };
    store.commit(commit((1..=2000).map(|n| Change::PutUser(named(n))))).await.unwrap();
    // On a connection that knows neither of the two statements yet.
    let fresh = SqlStore::as_it_is(Postgres::open(&schema.settings, 1, Purpose::Share).await.unwrap()).await.unwrap();
    let all = tokio::time::timeout(std::time::Duration::from_secs(60), fresh.directory()).await;
    assert_eq!(all.expect("it comes to its end").unwrap().users.len(), 2000);
}

/// What the network does to a connection.
#[derive(Clone, Copy, PartialEq)]
enum Cut {
    Nothing,
    /// Everything is cut before this word reaches the server.
    Before(&'static str),
    /// The word reaches the server, and its answer never comes back.
    After(&'static str),
}

/// A way to the database that can be cut once.
struct Wire {
    cut: Arc<Mutex<Cut>>,
    used: Arc<AtomicBool>,
    settings: PostgresSettings,
}

impl Wire {
    async fn new(schema: &Schema) -> Self {
        let direct = url::Url::parse(&url()).unwrap();
        let target = format!("{}:{}", direct.host_str().unwrap(), direct.port().unwrap_or(5432));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut through = direct.clone();
        through.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        let settings: PostgresSettings = through.as_str().parse().unwrap();
        let cut = Arc::new(Mutex::new(Cut::Nothing));
        let used = Arc::new(AtomicBool::new(false));
        let (asks, tells) = (Arc::clone(&cut), Arc::clone(&used));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&target).await.unwrap();
                tokio::spawn(carry(client, server, Arc::clone(&asks), Arc::clone(&tells)));
            }
        });
        Self { cut, used, settings: settings.in_schema(&schema.name) }
    }

    async fn cut(&self, cut: Cut) {
        *self.cut.lock().await = cut;
        self.used.store(false, Ordering::SeqCst);
    }

    fn used(&self) -> bool {
        self.used.load(Ordering::SeqCst)
    }
}

async fn carry(client: TcpStream, server: TcpStream, cut: Arc<Mutex<Cut>>, used: Arc<AtomicBool>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let back = tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    let mut buffer = vec![0; 65_536];
    while let Ok(n @ 1..) = from_client.read(&mut buffer).await {
        let has = |word: &str| buffer[..n].windows(word.len()).any(|part| part == word.as_bytes());
        let mut cut = cut.lock().await;
        match *cut {
            Cut::Before(word) if has(word) => {
                (*cut, _) = (Cut::Nothing, used.store(true, Ordering::SeqCst));
                break;
            }
            Cut::After(word) if has(word) => {
                (*cut, _) = (Cut::Nothing, used.store(true, Ordering::SeqCst));
                // The answers stop first, so that this one is surely lost.
                back.abort();
                let _ = back.await;
                to_server.write_all(&buffer[..n]).await.unwrap();
                // The server has done what it was asked when it says goodbye.
                let _ = to_server.write_all(&[b'X', 0, 0, 0, 4]).await;
                return;
            }
            Cut::Nothing | Cut::Before(_) | Cut::After(_) => {}
        }
        drop(cut);
        if to_server.write_all(&buffer[..n]).await.is_err() {
            break;
        }
    }
    back.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a PostgreSQL: tests/e2e/run postgres"]
async fn a_commit_without_an_answer_is_not_repeated_and_all_else_is() {
    let schema = Schema::new().await;
    let direct = SqlStore::open(schema.open().await).await.unwrap();
    let wire = Wire::new(&schema).await;
    let store = SqlStore::open(Postgres::open(&wire.settings, 2, Purpose::Share).await.unwrap()).await.unwrap();
    store.commit(commit([Change::PutUser(user(1))])).await.unwrap();

    // Before the server was asked to commit nothing was stored, and the batch is run again.
    wire.cut(Cut::Before("BEGIN")).await;
    store.commit(commit([put_person(person(1, 1, card("Ann", "Lee")))])).await.unwrap();
    assert!(wire.used() && direct.person(per(1)).await.unwrap().is_some());

    // After that only the answer tells. It was stored, nobody learnt so, and it was not stored again.
    for (n, cut) in [(2, Cut::After("COMMIT")), (3, Cut::Before("COMMIT"))] {
        wire.cut(cut).await;
        let said = store.commit(commit([put_person(person(n, 1, card("Bo", "Li")))])).await.unwrap_err();
        assert!(wire.used());
        assert!(matches!(&said, StoreError::Busy(why) if why.contains("may have been stored or not")), "{said}");
    }
    while direct.person(per(2)).await.unwrap().is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(direct.person(per(3)).await.unwrap(), None);
    // And the next one is as any other.
    store.commit(commit([put_person(person(4, 1, card("Cy", "Lo")))])).await.unwrap();
    // Connections that were ended meanwhile are noticed, and made anew.
    let name = &schema.name;
    sql(format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%{name}%' AND pid <> pg_backend_pid()"
    ))
    .await;
    store.commit(commit([put_person(person(5, 1, card("Di", "Ma")))])).await.unwrap();
    assert_eq!(direct.check().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
#[ignore = "needs a PostgreSQL: tests/e2e/run postgres"]
async fn a_store_is_shared_or_had_alone() {
    let schema = Schema::new().await;
    let daemon = SqlStore::open(schema.open().await).await.unwrap();
    let refused = Postgres::open(&schema.settings, 1, Purpose::Alone).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Busy(why) if why.contains("a daemon uses this store")), "{refused}");
    drop(daemon);
    let alone = loop {
        // The connections of a daemon that has ended are closed soon.
        match Postgres::open(&schema.settings, 1, Purpose::Alone).await {
            Ok(alone) => break alone,
            Err(StoreError::Busy(_)) => tokio::task::yield_now().await,
            Err(other) => panic!("{other}"),
        }
    };
    let refused = Postgres::open(&schema.settings, 1, Purpose::Share).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Busy(why) if why.contains("being moved")), "{refused}");
    drop(alone);
}

#[tokio::test]
#[ignore = "needs a PostgreSQL: tests/e2e/run postgres"]
async fn a_database_that_can_not_be_used_says_what_to_do() {
    let here: url::Url = url().parse().unwrap();
    let open = |change: &dyn Fn(&mut url::Url)| {
        let mut url = here.clone();
        change(&mut url);
        let settings: PostgresSettings = url.as_str().parse().unwrap();
        async move { Postgres::open(&settings, 1, Purpose::Share).await.unwrap_err().to_string() }
    };
    let said = open(&|url| url.set_path("/nowhere")).await;
    assert!(said.contains("create the database first"), "{said}");
    let said = open(&|url| url.set_query(Some("options=-c%20search_path%3Dnowhere"))).await;
    assert!(said.contains("no schema for us"), "{said}");
    let said = open(&|url| {
        url.set_password(Some("geheim")).unwrap();
        url.set_port(Some(1)).unwrap();
    })
    .await;
    assert!(said.contains("look whether it runs") && !said.contains("geheim"), "{said}");
    sql("DROP DATABASE IF EXISTS sorted".to_owned()).await;
    sql("CREATE DATABASE sorted TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8'".to_owned()).await;
    let said = open(&|url| url.set_path("/sorted")).await;
    assert!(said.contains("--locale=C"), "{said}");
    sql("DROP DATABASE sorted".to_owned()).await;
}
