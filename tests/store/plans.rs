//! What a run asks in every round is found by an index, however many accounts and people there are.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use contactd::ids::Token;
use contactd::store::driver::{Alone, Driver, Rows, Stmt};
use contactd::store::sql::SqlStore;
use contactd::store::sqlite::Sqlite;
use contactd::store::{Change, Store, StoreError};
use contactd::sync::view::Seen;

use crate::fixture::*;

/// A driver that remembers what it was asked.
struct Asked {
    inner: Arc<dyn Driver>,
    asked: Mutex<Vec<Stmt>>,
}

#[async_trait]
impl Driver for Asked {
    async fn run(&self, batch: Vec<Stmt>) -> Result<Vec<Rows>, StoreError> {
        self.asked.lock().unwrap().extend(batch.iter().cloned());
        self.inner.run(batch).await
    }
    async fn alone(&self) -> Result<Alone, StoreError> {
        self.inner.alone().await
    }
}

/// Tables that grow with people and their records, and how they are called in this statement.
fn large(sql: &str) -> BTreeSet<&str> {
    const LARGE: [&str; 11] = [
        "persons",
        "links",
        "seen",
        "words",
        "person_keys",
        "seen_keys",
        "effects",
        "operations",
        "tallies",
        "followers",
        "dirty",
    ];
    let words: Vec<&str> = sql.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    words.windows(2).filter(|two| LARGE.contains(&two[0])).flat_map(|two| [two[0], two[1]]).collect()
}

#[tokio::test]
async fn no_round_of_a_run_reads_a_whole_table() {
    let asked = Arc::new(Asked { inner: Arc::new(Sqlite::memory().unwrap()), asked: Mutex::default() });
    let store = SqlStore::open(Arc::clone(&asked)).await.unwrap();
    let gone = [Seen::Gone(rec("/b")), Seen::Present(remote_record("/a", card("Ann", "Lee")))];
    let changes = [
        Change::PutUser(user(1)),
        put(account(1, 1)),
        put(account(2, 1)),
        put_book(1),
        put_person(person(1, 1, card("Ann", "Lee"))),
        put_link(link(1, 1, 1, Some("/b"))),
        observe(1, [Seen::Present(remote_record("/b", card("Ann", "Lee")))]),
    ];
    store.commit(commit(changes)).await.unwrap();
    store.commit(commit([observe(1, gone)])).await.unwrap();

    asked.asked.lock().unwrap().clear();
    let account = acc(1);
    store.account(account).await.unwrap();
    let lease = store.lease(account, "run", NOW, 60_000).await.unwrap().unwrap();
    store.failures(account, 9).await.unwrap();
    store.intents(account).await.unwrap();
    store.collections(account).await.unwrap();
    store.rosters(account).await.unwrap();
    assert_eq!(store.lost(account).await.unwrap().len(), 1);
    assert_eq!(store.unsettled(account, NOW, None, 9).await.unwrap().len(), 2);
    store.subjects(account, &[person_key(1), record_key("/a")]).await.unwrap();
    store.subjects_of_links(account, &[lnk(1)]).await.unwrap();
    store.known(account, &[rec("/a")]).await.unwrap();
    store.tokens(account, &[id::<Token>(1)]).await.unwrap();
    store.guard_facts(account, NOW).await.unwrap();
    store.counted(Some(account), NOW).await.unwrap();
    store.links_of(per(1)).await.unwrap();
    store.candidates(account, 9).await.unwrap();
    store.copies(account).await.unwrap();
    let settle = [Change::SettleRecord(account, rec("/a"), 1), Change::Synced(account, NOW)];
    store.commit(commit_under(&lease, settle)).await.unwrap();
    store.release(&lease).await.unwrap();

    let all: Vec<Stmt> = std::mem::take(&mut *asked.asked.lock().unwrap());
    let mut seen = BTreeSet::new();
    for stmt in all.into_iter().filter(|stmt| !stmt.args.is_empty() && seen.insert(stmt.sql)) {
        // Statements live as long as the program, as everywhere.
        let sql: &'static str = Box::leak(format!("EXPLAIN QUERY PLAN {}", stmt.sql).into_boxed_str());
        let plan = asked.inner.run(vec![Stmt::new(sql, stmt.args.clone())]).await.unwrap();
        let large = large(stmt.sql);
        for mut row in plan[0].iter() {
            row.skip(3);
            let line = row.text().unwrap();
            let scanned = line.strip_prefix("SCAN ").and_then(|what| what.split(' ').next());
            assert!(scanned.is_none_or(|table| !large.contains(table)), "{line}: {}", stmt.sql);
        }
    }
    assert!(seen.len() > 25, "{}", seen.len());
}
