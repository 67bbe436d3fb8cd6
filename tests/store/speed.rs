//! How long things take. Not a promise that a busy machine could break: run by hand, in release, and read.
//! `cargo test --release --test store -- --ignored --nocapture speed`

use std::time::Instant;

use contactd::crm::person::{Person, PersonState, VisibleTo};
use contactd::ids::Revision;
use contactd::store::sql::SqlStore;
use contactd::store::sqlite::Sqlite;
use contactd::store::{Change, Commit, PersonQuery, Store};
use contactd::sync::diff::Diff;
use contactd::sync::operation::{Effect, PersonChange};
use contactd::sync::view::{LinkState, Seen};

use crate::fixture::*;

const MANY: u64 = 10_000;
const BATCH: u64 = 500;

/// A contact as they are: a name, two addresses, a phone, a company, a note.
fn full(n: u64) -> contactd::card::Card {
    use contactd::card::{Item, Organization};
    let mut full = card(&format!("Given{}", n % 700), &format!("Family{n}"));
    full.display = Some(format!("Given{} Family{n}", n % 700));
    full.emails.push(Item::<String>::new(format!("private{n}@mail.example.org")).labelled("home"));
    full.phones.push(Item::<String>::new(format!("+49 30 {:07}", n * 17 % 10_000_000)).labelled("mobile"));
    let company = Organization { company: Some(format!("Company {}", n % 90)), ..Organization::default() };
    full.organizations.push(Item::new(company));
    full.note = Some("Met at the fair. ".repeat(4));
    full
}

/// Persons, links, rows and operations of a first sync, as the engine commits them.
fn import(from: u64) -> Commit {
    let mut commit = commit([]);
    let mut effects = Vec::new();
    for n in from..from + BATCH {
        let name = format!("/dav/addressbooks/users/ann/contacts/0193a5b2-7c1e-7000-8000-{n:012}.vcf");
        let created = person(n + 1, 1, full(n));
        let mut linked = link(n + 1, 1, n + 1, Some(&name));
        linked.base.ours = created.card.clone();
        linked.base.theirs = created.card.clone();
        effects.push(Effect::Person {
            person: created.id,
            link: Some(linked.id),
            change: PersonChange::Created(created.card.clone()),
        });
        effects.push(Effect::Link {
            link: linked.id,
            account: acc(1),
            person: created.id,
            state: Diff::new(None, Some(LinkState::Live)),
        });
        commit.changes.push(Change::SettleRecord(acc(1), rec(&name), 1));
        commit.changes.push(put_person(created));
        commit.changes.push(put_link(linked));
        commit.changes.push(Change::SettlePerson(acc(1), per(n + 1), Revision(1)));
    }
    commit.operation = Some(operation(from + 1, 0, effects));
    commit
}

fn page(from: u64) -> Commit {
    let record = |n: u64| {
        let name = format!("/dav/addressbooks/users/ann/contacts/0193a5b2-7c1e-7000-8000-{n:012}.vcf");
        let mut record = remote_record(&name, full(n));
        record.raw = Some(vec![b'x'; 600]);
        Seen::Present(record)
    };
    commit([observe(1, (from..from + BATCH).map(record))])
}

/// Time of this process on the processor, its own and the system's for it, in ms.
fn cpu() -> [f64; 2] {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or_default();
    [ticks(11) * 10.0, ticks(12) * 10.0]
}

#[tokio::test]
#[ignore = "measures"]
async fn speed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let store = SqlStore::open(Sqlite::open(&path).unwrap()).await.unwrap();
    store.commit(commit([Change::PutUser(user(1)), put(account(1, 1)), put_book(1)])).await.unwrap();
    let timed = |what: &'static str, start: Instant, used: [f64; 2]| {
        let (took, now) = (start.elapsed().as_secs_f64() * 1e3, cpu());
        println!("{what:42} {took:8.2} ms, {:5.0} ms own, {:5.0} ms system", now[0] - used[0], now[1] - used[1]);
    };
    let pages: Vec<Commit> = (0..MANY).step_by(BATCH as usize).map(page).collect();
    let again = pages.clone();
    let imports: Vec<Commit> = (0..MANY).step_by(BATCH as usize).map(import).collect();
    let (start, used) = (Instant::now(), cpu());
    for page in pages {
        store.commit(page).await.unwrap();
    }
    timed("10,000 rows observed", start, used);

    let (start, used) = (Instant::now(), cpu());
    assert_eq!(store.candidates(acc(1), 5).await.unwrap(), []);
    timed("candidates of 10,000 records, none", start, used);

    // Another user's people of the same names, whom everybody sees.
    let twins = (0..MANY).map(|n| {
        let mut twin = person(MANY * 10 + n, 2, full(n));
        twin.visible_to = VisibleTo::Company;
        put_person(twin)
    });
    store.commit(commit(twins)).await.unwrap();
    let (start, used) = (Instant::now(), cpu());
    assert_eq!(store.candidates(acc(1), 5).await.unwrap().len(), MANY as usize);
    timed("candidates of 10,000 records, one each", start, used);
    let purge = |n: u64| {
        let twin = person(MANY * 10 + n, 2, contactd::card::Card::default());
        put_person(Person { state: PersonState::Purged { at: NOW }, ..next(&twin) })
    };
    store.commit(commit((0..MANY).map(purge))).await.unwrap();

    let (start, used) = (Instant::now(), cpu());
    let first = store.unsettled(acc(1), NOW, None, 500).await.unwrap();
    assert_eq!(first.len(), 500);
    timed("500 unsettled records without people", start, used);

    let (start, used) = (Instant::now(), cpu());
    for import in imports {
        store.commit(import).await.unwrap();
    }
    timed("10,000 people, links, operations", start, used);
    if std::env::var("STOP").is_ok() {
        return;
    }

    let (start, used) = (Instant::now(), cpu());
    for page in again {
        store.commit(page).await.unwrap();
    }
    timed("the same 10,000 rows observed again", start, used);

    let (start, used) = (Instant::now(), cpu());
    let known = store.listing(acc(1), &book(), None, 20_000).await.unwrap();
    let ids: Vec<_> = known.into_iter().map(|known| known.id).collect();
    timed("what is known of 10,000 rows", start, used);
    let (start, used) = (Instant::now(), cpu());
    store.commit(commit([Change::Touch { account: acc(1), ids, generation: 2 }])).await.unwrap();
    timed("10,000 rows touched", start, used);

    let (start, used) = (Instant::now(), cpu());
    let lease = store.lease(acc(1), "me", NOW, 1000).await.unwrap().unwrap();
    store.account(acc(1)).await.unwrap();
    store.directory().await.unwrap();
    store.collections(acc(1)).await.unwrap();
    store.intents(acc(1)).await.unwrap();
    store.unsettled(acc(1), NOW, None, 500).await.unwrap();
    store.held(Some(acc(1))).await.unwrap();
    timed("the reads and the lease of a quiet run", start, used);
    let (start, used) = (Instant::now(), cpu());
    for _ in 0..100 {
        store.account(acc(1)).await.unwrap();
        store.directory().await.unwrap();
        store.collections(acc(1)).await.unwrap();
        store.intents(acc(1)).await.unwrap();
        store.unsettled(acc(1), NOW, None, 500).await.unwrap();
        store.held(Some(acc(1))).await.unwrap();
    }
    timed("the reads of a hundred quiet runs", start, used);
    store.release(&lease).await.unwrap();

    let (start, used) = (Instant::now(), cpu());
    store.commit(commit([Change::UnsettleAccount(acc(1))])).await.unwrap();
    timed("10,000 subjects unsettled", start, used);
    let (start, used) = (Instant::now(), cpu());
    let mut after = None;
    let mut all = 0;
    loop {
        let subjects = store.unsettled(acc(1), NOW, after.as_ref(), 500).await.unwrap();
        let Some((last, _)) = subjects.last() else { break };
        after = Some(last.clone());
        all += subjects.len();
    }
    assert_eq!(all, MANY as usize);
    timed("10,000 subjects in pages of 500", start, used);
    let (start, used) = (Instant::now(), cpu());
    store.counted(None, NOW).await.unwrap();
    timed("the dashboard's counts", start, used);
    let query =
        PersonQuery { viewer: Some(usr(1)), text: Some("family77 comp".into()), limit: 50, ..PersonQuery::default() };
    let (start, used) = (Instant::now(), cpu());
    assert_eq!(store.people(&query).await.unwrap().len(), 50);
    timed("a search of two words", start, used);
    let (start, used) = (Instant::now(), cpu());
    assert_eq!(store.check().await.unwrap(), Vec::<String>::new());
    timed("the check", start, used);
    let size = std::fs::metadata(&path).unwrap().len();
    println!("{size} bytes, {} per person", size / MANY);
}
