//! What the dashboard and the lists ask of the store: how long each takes, and by which way through the indexes.
//!
//! Owns: the list of questions, their times and their plans. Must not: ask by another way than the API does.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use async_trait::async_trait;
use contactd::ids::{AccountId, PersonId, UserId};
use contactd::store::driver::{Alone, Driver, Rows, Stmt};
use contactd::store::sql::SqlStore;
use contactd::store::{PersonQuery, Store, StoreError};
use serde_json::json;

use crate::fill::Company;
use crate::syncs::cpu_seconds;

/// How often each is asked.
const TIMES: usize = 41;
/// What a page shows, as the API has it unless asked for another number.
const SHOWN: usize = 100;
/// The limit that is kept at a million people, in ms.
pub(crate) const LIMIT: f64 = 10.0;

/// A driver that remembers what it was asked, while it is told to.
pub(crate) struct Spy {
    pub(crate) inner: Arc<dyn Driver>,
    asked: Mutex<Option<Vec<Stmt>>>,
}

impl Spy {
    pub(crate) fn over(inner: Arc<dyn Driver>) -> Arc<Self> {
        Arc::new(Self { inner, asked: Mutex::new(None) })
    }
}

#[async_trait]
impl Driver for Spy {
    async fn run(&self, batch: Vec<Stmt>) -> Result<Vec<Rows>, StoreError> {
        if let Some(asked) = &mut *self.asked.lock().unwrap() {
            asked.extend(batch.iter().cloned());
        }
        self.inner.run(batch).await
    }
    async fn wipe(&self) -> Result<(), StoreError> {
        self.inner.wipe().await
    }
    async fn alone(&self) -> Result<Alone, StoreError> {
        self.inner.alone().await
    }
}

/// One question, and what it took.
pub(crate) struct Answer {
    pub(crate) name: &'static str,
    rows: usize,
    pub(crate) median: f64,
    /// So long took nineteen of twenty at most.
    late: f64,
    /// Of this process, for one of them, in ms.
    cpu: f64,
    asked: Vec<Stmt>,
}

/// Asks everything.
pub(crate) async fn ask_all(spy: &Arc<Spy>, store: &SqlStore<Arc<Spy>>, company: Company) -> Vec<Answer> {
    let mut answers = Vec::new();
    macro_rules! ask {
        ($name:literal, $rows:expr) => {{
            *spy.asked.lock().unwrap() = Some(Vec::new());
            let rows: usize = $rows;
            let asked = spy.asked.lock().unwrap().take().unwrap();
            let mut took = Vec::new();
            let cpu = cpu_seconds();
            for _ in 0..TIMES {
                let begun = Instant::now();
                let again: usize = $rows;
                took.push(begun.elapsed().as_secs_f64() * 1000.0);
                assert_eq!(rows, again);
            }
            let cpu = (cpu_seconds() - cpu) * 1000.0 / TIMES as f64;
            took.sort_by(f64::total_cmp);
            let late = took[TIMES * 95 / 100];
            answers.push(Answer { name: $name, rows, median: took[TIMES / 2], late, cpu, asked });
        }};
    }
    let (n, now) = (company.accounts() / 2, company.now);
    let (account, owner) = (company.account(n), company.user(n));
    let late: PersonId = company.person(company.accounts() - 1, 700);
    let person = company.person(n, 7);
    let viewers: [UserId; 2] = [company.user(company.accounts() / 3 * 2), company.user(1)];
    let people =
        |query: PersonQuery| async move { store.people(&PersonQuery { limit: SHOWN, ..query }).await.unwrap().len() };
    let all = PersonQuery::default;

    ask!("dashboard, one account", store.counted(Some(account), now).await.map(|_| 1).unwrap());
    ask!("dashboard, all accounts", store.counted(None, now).await.map(|_| 1).unwrap());
    let page: Vec<AccountId> = (0..company.accounts().min(50)).map(|n| company.account(n)).collect();
    ask!("dashboard, a page of accounts", store.counted_each(&page, now).await.unwrap().len());
    ask!("accounts", store.accounts().await.unwrap().len());
    ask!("users and roles", store.directory().await.unwrap().users.len());
    ask!("people, first page", people(all()).await);
    ask!("people, late page", people(PersonQuery { after: Some(late), ..all() }).await);
    ask!("people of an owner", people(PersonQuery { owner: Some(owner), ..all() }).await);
    ask!(
        "people of an owner, late page",
        people(PersonQuery { owner: Some(owner), after: Some(company.person(n, 800)), ..all() }).await
    );
    ask!("trash, first page", people(PersonQuery { trashed: true, ..all() }).await);
    ask!("trash, late page", people(PersonQuery { trashed: true, after: Some(late), ..all() }).await);
    ask!("people, for a user", people(PersonQuery { viewer: Some(viewers[0]), ..all() }).await);
    ask!(
        "people, for a user, late page",
        people(PersonQuery { viewer: Some(viewers[0]), after: Some(late), ..all() }).await
    );
    ask!("people, for a restricted user", people(PersonQuery { viewer: Some(viewers[1]), ..all() }).await);
    ask!(
        "people, restricted, late page",
        people(PersonQuery { viewer: Some(viewers[1]), after: Some(late), ..all() }).await
    );
    ask!(
        "people of an owner, for a user",
        people(PersonQuery { viewer: Some(viewers[0]), owner: Some(owner), ..all() }).await
    );
    ask!("trash, for a user", people(PersonQuery { viewer: Some(viewers[0]), trashed: true, ..all() }).await);
    let find = |text: &str, viewer| PersonQuery { text: Some(text.to_owned()), viewer, ..all() };
    let whole = store.person(person).await.unwrap().unwrap().card;
    let (given, family) = (whole.given.clone().unwrap(), whole.family.clone().unwrap());
    let name = format!("{given} {family}");
    let started = format!("{} {}", given.chars().next().unwrap(), family.chars().take(4).collect::<String>());
    ask!("search, whole name", people(find(&name, None)).await);
    ask!("search, whole name, for a user", people(find(&name, Some(viewers[0]))).await);
    ask!("search, address", people(find(&whole.emails[0].value, None)).await);
    ask!("search, number", people(find(&whole.phones[0].value, None)).await);
    ask!("search, family name", people(find(&family, None)).await);
    ask!("search, four letters and one", people(find(&started, None)).await);
    ask!("search, given name", people(find(&given, None)).await);
    ask!("search, given name, late page", people(PersonQuery { after: Some(late), ..find(&given, None) }).await);
    ask!("search, given name, for a user", people(find(&given, Some(viewers[0]))).await);
    ask!("search, one letter", people(find("s", None)).await);
    ask!("a person's links", store.links_of(person).await.unwrap().len());
    ask!("a person's history", store.history(person, SHOWN).await.unwrap().len());
    ask!("runs, first page", store.runs(None, None, SHOWN).await.unwrap().len());
    ask!("runs, late page", store.runs(None, Some(company.run(n, 2)), SHOWN).await.unwrap().len());
    ask!("runs of an account", store.runs(Some(account), None, SHOWN).await.unwrap().len());
    ask!("a run's operations", store.operations(company.run(n, 3), None, SHOWN).await.unwrap().len());
    ask!("conflicts, all accounts", store.conflicts(None, SHOWN).await.unwrap().len());
    ask!("conflicts of an account", store.conflicts(Some(account), SHOWN).await.unwrap().len());
    ask!("held deletions of an account", store.held(Some(account)).await.unwrap().len());
    ask!("held deletions, all accounts", store.held(None).await.unwrap().len());
    ask!("failures of an account", store.failures(account, SHOWN).await.unwrap().len());
    ask!("duplicates of an account", store.duplicates(account).await.unwrap().len());
    ask!("what the guard asks", store.guard_facts(account, now.plus(-24 * 3_600_000)).await.map(|_| 1).unwrap());
    ask!("a quiet run's looks", {
        let nothing = store.unsettled(account, now, None, 200).await.unwrap().len();
        nothing + store.intents(account).await.unwrap().len() + store.lost(account).await.unwrap().len()
    });
    answers
}

/// Prints what was asked and what it took, and with `plans` by which way.
pub(crate) async fn show(answers: &[Answer], spy: &Spy, sqlite: bool, plans: bool, as_json: bool) {
    if as_json {
        let row = |a: &Answer| json!({ "query": a.name, "rows": a.rows, "median_ms": a.median, "p95_ms": a.late, "cpu_ms": a.cpu });
        println!("{}", serde_json::to_string_pretty(&answers.iter().map(row).collect::<Vec<_>>()).unwrap());
        return;
    }
    println!("| query | rows | median | p95 of {TIMES} | own CPU |\n| --- | --- | --- | --- | --- |");
    for Answer { name, rows, median, late, cpu, .. } in answers {
        println!("| {name} | {rows} | {median:.2} ms | {late:.2} ms | {cpu:.2} ms |");
    }
    if !plans {
        return;
    }
    for answer in answers {
        println!("\n{} ({:.2} ms)", answer.name, answer.median);
        let mut shown: Vec<&'static str> = Vec::new();
        for stmt in &answer.asked {
            if shown.contains(&stmt.sql) {
                continue;
            }
            shown.push(stmt.sql);
            println!("  {}", stmt.sql);
            for line in plan(spy, stmt, sqlite).await {
                println!("      {line}");
            }
        }
    }
}

/// The way through the indexes. Text lives as long as the program, as statements do everywhere.
async fn plan(spy: &Spy, stmt: &Stmt, sqlite: bool) -> Vec<String> {
    if stmt.args.is_empty() {
        return vec!["the whole table".to_owned()];
    }
    let head = if sqlite { "EXPLAIN QUERY PLAN" } else { "EXPLAIN (ANALYZE, BUFFERS)" };
    let sql: &'static str = Box::leak(format!("{head} {}", stmt.sql).into_boxed_str());
    let answers = spy.inner.run(vec![Stmt::new(sql, stmt.args.clone())]).await.unwrap();
    let line = |mut row: contactd::store::driver::Row<'_>| {
        if sqlite {
            row.skip(3);
        }
        row.text().unwrap().to_owned()
    };
    answers[0].iter().map(line).collect()
}
