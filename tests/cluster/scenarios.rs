//! What may befall daemons that share a store.
//!
//! Judged by the mock's journal, which knows who asked what in which order, and by the store's own check.

use std::process::Command;
use std::time::Instant;

use mock_providers::faults::{Fault, Faults, Match};
use mock_providers::journal::{Effect, Mark, Record};

use crate::host::{Host, Site, address, until};

const ANN: &[&str] = &["users", "add", "ann@example.com", "--name", "Ann Example", "--admin"];

/// People whom a run will have to create at the provider.
fn add_people(host: &Host, from: usize, to: usize) {
    for n in from..to {
        let given = format!("Given{n}");
        host.ok(&["people", "add", "--given", &given, "--family", "Example", "--owner", "ann@example.com"]);
    }
}

fn puts(records: &[Record]) -> usize {
    records.iter().filter(|record| record.method == "PUT").count()
}

/// Every record was created once.
fn nothing_is_doubled(site: &Site, accounts: usize, each: usize) {
    for n in 0..accounts {
        let device = site.device(n);
        assert_eq!(device.len() - device.groups().len(), each, "{}", address(n));
    }
    let mut created: Vec<String> = site.icloud.ask(|journal| {
        let created = |effect: &Effect| if let Effect::Created(id) = effect { Some(id.clone()) } else { None };
        journal.effects(Mark::default()).filter_map(created).collect()
    });
    let all = created.len();
    created.sort();
    created.dedup();
    assert_eq!(created.len(), all, "a record was created twice");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: tests/e2e/run postgres"]
async fn three_daemons_share_the_work() {
    const ACCOUNTS: usize = 3;
    let site = Site::new(ACCOUNTS).await;
    // Nothing is run by itself meanwhile: such a run is not listed if it finds nothing to do, and runs are counted below.
    let hosts = ["a", "b", "c"].map(|name| site.host_at_rest(name));
    hosts[0].ok(ANN);
    for (n, host) in hosts.iter().enumerate() {
        site.device(n).seed(n as u64, 20);
        site.add(host, n);
        host.ok(&["account", "start", &address(n), "--yes"]);
    }
    let people = hosts[0].people().len();
    for round in 0..4 {
        // Each answer is late, so that all three want the same account while one of them runs it.
        site.icloud.faults(|faults| faults.times(30, Match::default(), Fault::Delay(100)));
        add_people(&hosts[round % 3], round * 5, round * 5 + 5);
        let mut asked = Vec::new();
        for host in &hosts {
            asked.extend((0..ACCOUNTS).map(|n| host.spawn(&["refresh", &address(n), "--wait"])));
        }
        for mut child in asked {
            child.wait().unwrap();
        }
    }
    site.icloud.faults(Faults::heal);
    for (n, host) in hosts.iter().enumerate() {
        host.refresh(n);
        host.refresh((n + 1) % ACCOUNTS);
    }
    for n in 0..ACCOUNTS {
        hosts[0].refresh(n);
    }
    assert_eq!(hosts[1].people().len(), people + 20);
    nothing_is_doubled(&site, ACCOUNTS, people + 20);
    site.sound(&hosts[2], ACCOUNTS);
    for n in 0..ACCOUNTS {
        // Of two that ran it together, the requests would alternate within a run.
        let runs = hosts[0].ok(&["runs", "list", &address(n), "--limit", "500"]).as_array().unwrap().len();
        let turns = site.turns(n);
        assert!(turns.len() <= runs + 2, "{runs} runs, and {turns:?}");
    }
    for host in &hosts {
        assert!(!host.log().contains("\"level\":\"ERROR\""), "{}: {}", host.name, host.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: tests/e2e/run postgres"]
async fn a_stalled_daemon_does_no_harm_when_it_wakes() {
    let site = Site::new(1).await;
    let (a, b) = (site.host("a"), site.host("b"));
    a.ok(ANN);
    site.add(&a, 0);
    a.ok(&["account", "start", &address(0), "--yes"]);
    add_people(&a, 0, 30);
    // Some records are made; then an answer is late, and the daemon stalls while it waits.
    site.icloud.faults(|faults| {
        faults.times(30, Match::method("PUT"), Fault::Delay(150));
    });
    let mark = site.icloud.mark();
    let mut asked = a.spawn(&["refresh", &address(0), "--wait"]);
    until("a has sent some", || puts(&site.asked("a", 0, mark)) >= 3);
    a.signal("STOP");
    let stalled = site.icloud.mark();
    let since = Instant::now();
    b.refresh(0);
    println!("taken over and done {:.1} s after the stall, with a lease of 6 s", since.elapsed().as_secs_f64());
    let before: Vec<_> = site.asked("b", 0, mark);
    assert!(puts(&before) > 0, "b went on");
    // Its requests that were in flight when it stalled had been sent before; from now on there are none.
    let woken = site.icloud.mark();
    a.signal("CONT");
    asked.wait().unwrap();
    // It can run the account again like any other, which shows that it has seen the end of the run that stalled.
    assert_eq!(puts(&site.asked("a", 0, woken)), 0, "a send after the lease");
    b.refresh(0);
    a.refresh(0);
    assert_eq!(puts(&site.asked("a", 0, stalled)), 0, "everything was done by b");
    nothing_is_doubled(&site, 1, 30);
    assert_eq!(b.people().len(), 30);
    site.sound(&b, 1);
    let log = a.log();
    assert!(log.contains("lease"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: tests/e2e/run postgres"]
async fn the_work_of_a_killed_daemon_is_taken_over() {
    let site = Site::new(2).await;
    let (mut a, b, c) = (site.host("a"), site.host("b"), site.host("c"));
    a.ok(ANN);
    for n in 0..2 {
        site.add(&a, n);
        a.ok(&["account", "start", &address(n), "--yes"]);
    }
    add_people(&a, 0, 30);
    site.icloud.faults(|faults| faults.times(60, Match::method("PUT"), Fault::Delay(150)));
    let mark = site.icloud.mark();
    let mut asked = [a.spawn(&["refresh", &address(0), "--wait"]), a.spawn(&["refresh", &address(1), "--wait"])];
    until("a has sent some", || (0..2).all(|n| puts(&site.asked("a", n, mark)) >= 3));
    a.kill();
    let since = Instant::now();
    for child in &mut asked {
        child.wait().unwrap();
    }
    // Nobody asks for it: whoever of the others is first takes it over.
    b.signal("USR1");
    c.signal("USR1");
    let other = |n| site.asked("b", n, mark).len() + site.asked("c", n, mark).len() > 0;
    until("somebody goes on", || other(0) && other(1));
    println!("taken over {:.1} s after the end, with a lease of 6 s", since.elapsed().as_secs_f64());
    until("all are there", || (0..2).all(|n| site.device(n).len() == 30));
    site.icloud.faults(Faults::heal);
    a.start();
    for n in 0..2 {
        a.refresh(n);
    }
    nothing_is_doubled(&site, 2, 30);
    assert_eq!(c.people().len(), 30);
    site.sound(&b, 2);
}

/// Starts the database again, in that mode.
fn restart_database(mode: &str) {
    let command = std::env::var("CONTACTD_TEST_POSTGRES_RESTART").unwrap_or_else(|_| {
        panic!("CONTACTD_TEST_POSTGRES_RESTART must name a command that starts the database again")
    });
    assert!(Command::new(command).arg(mode).stdout(std::process::Stdio::null()).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL that may be restarted: tests/e2e/run postgres"]
async fn restart_of_the_database_in_mid_run() {
    let site = Site::new(2).await;
    let (a, b) = (site.host("a"), site.host("b"));
    a.ok(ANN);
    for n in 0..2 {
        site.device(n).seed(n as u64, 40);
        site.add(&a, n);
        a.ok(&["account", "start", &address(n), "--yes"]);
    }
    for n in 0..2 {
        a.refresh(n);
        a.refresh(1 - n);
    }
    let people = a.people().len();
    for (round, mode) in ["fast", "immediate", "fast"].into_iter().enumerate() {
        add_people(&a, round * 20, round * 20 + 20);
        site.icloud.faults(|faults| faults.times(40, Match::method("PUT"), Fault::Delay(100)));
        let mark = site.icloud.mark();
        let mut asked = [a.spawn(&["refresh", &address(0), "--wait"]), b.spawn(&["refresh", &address(1), "--wait"])];
        until("both have sent some", || puts(&site.asked("a", 0, mark)) >= 2 && puts(&site.asked("b", 1, mark)) >= 2);
        restart_database(mode);
        for child in &mut asked {
            child.wait().unwrap();
        }
        site.icloud.faults(Faults::heal);
        b.refresh(0);
        a.refresh(1);
        b.refresh(0);
    }
    nothing_is_doubled(&site, 2, people + 60);
    assert_eq!(a.people().len(), people + 60);
    site.sound(&a, 2);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: tests/e2e/run postgres"]
async fn a_store_moves_between_databases() {
    let site = Site::new(1).await;
    let mut a = site.host("a");
    a.ok(ANN);
    site.device(0).seed(5, 150);
    site.add(&a, 0);
    a.ok(&["account", "start", &address(0), "--yes"]);
    let people = a.people().len();
    let file = |name: &str| format!("sqlite:{}", site.dir.path().join(name).display());
    // A backup and a check while the daemon works; a move only without it.
    let backup = site.dir.path().join("backup.db").display().to_string();
    let backed_up = a.ok(&["store", "backup", &backup]);
    assert_eq!(a.plain(&["store", "check", "--url", &file("backup.db")]).code, 0);
    assert_eq!(a.plain(&["store", "check"]).code, 0);
    let out = ["store", "migrate", "--from", &site.schema.url(), "--to", &file("out.db"), "--json"];
    let refused = a.plain(&out);
    assert!(refused.code == 1 && refused.err.contains("a daemon uses this store"), "{refused:?}");
    a.kill();
    until("the store is free", || !a.plain(&out).err.contains("a daemon uses this store"));
    let moved_out = a.plain(&["store", "migrate", "--from", &site.schema.url(), "--to", &file("again.db"), "--json"]);
    let moved_out: serde_json::Value = serde_json::from_str(&moved_out.out).unwrap();
    // Into another schema, and back again: the same rows, by count and hash.
    let other = crate::postgres::Schema::new().await;
    let moved_in = a.ok(&["store", "migrate", "--from", &file("again.db"), "--to", &other.url()]);
    assert_eq!(moved_in["tables"], moved_out["tables"]);
    let across = crate::postgres::Schema::new().await;
    let moved = a.ok(&["store", "migrate", "--from", &other.url(), "--to", &across.url()]);
    assert_eq!(moved["tables"], moved_out["tables"]);
    let rows = |told: &serde_json::Value, table: &str| {
        let all = told["tables"].as_array().unwrap();
        all.iter().find(|one| one["table"] == table).unwrap()["rows"].as_u64().unwrap()
    };
    assert_eq!(rows(&moved, "persons"), people as u64);
    assert_eq!(rows(&backed_up, "persons"), people as u64);
    // The daemon goes on there as if nothing had been.
    a.move_to(&across.url());
    a.start();
    assert_eq!(a.people().len(), people);
    let mark = site.icloud.mark();
    a.refresh(0);
    assert_eq!(site.icloud.ask(|journal| journal.writes(mark)), 0);
    site.sound(&a, 1);
}
