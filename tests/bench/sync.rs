//! The benchmark: what a sync costs us, against the mock iCloud, the mock Google and Radicale, and vdirsyncer on the same
//! Radicale.
//!
//!   cargo bench --bench sync -- [--contacts N] [--against mock|google|radicale|all] [--large] [--json]
//!
//! Owns: the arguments, the scenario (first sync, 1 % changed, nothing changed) and the table. Must not: count the
//! servers: they run in processes of their own, and so does what is measured. docs/benchmarks.md explains the figures.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program: it prints what it measured")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a figure that is not one should not stand")]

#[path = "../e2e/book/proxy.rs"]
mod proxy;
mod race;
#[path = "../e2e/book/seed.rs"]
mod seed;
mod server;
mod table;
#[path = "../e2e/book/worker.rs"]
mod worker;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use proxy::Proxy;
use server::Server;
use table::{Figures, Row};

const USAGE: &str = "cargo bench --bench sync -- [--contacts N] [--against mock|google|radicale|all] [--large] [--json]
  --contacts N   how many contacts the server holds; 10000 unless told
  --against      which server; all unless told
  --large        once more with 50000 contacts
  --json         rows as JSON instead of a table";

const AGAINST: [&str; 4] = ["mock", "google", "radicale", "all"];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        // The processes that the benchmark starts.
        ["work", settings] => return worker::serve(&serde_json::from_str(settings).expect("settings")),
        ["mock", number] => return server::serve_mock(number.parse().expect("a number")),
        ["google", number] => return server::serve_google(number.parse().expect("a number")),
        _ => {}
    }
    if !arguments.iter().any(|argument| argument == "--bench") {
        // Built and started by `cargo test --all-targets`, which is not meant.
        println!("{USAGE}");
        return;
    }
    let (mut sizes, mut against, mut as_json) = (vec![10_000], "all".to_owned(), false);
    let mut rest = arguments.into_iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--bench" => {}
            "--contacts" => sizes = vec![rest.next().and_then(|n| n.parse().ok()).expect(USAGE)],
            "--against" => against = rest.next().filter(|a| AGAINST.contains(&&**a)).expect(USAGE),
            "--large" => sizes.push(50_000),
            "--json" => as_json = true,
            _ => panic!("{USAGE}"),
        }
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut rows = Vec::new();
    for contacts in sizes {
        if ["mock", "all"].contains(&&*against) {
            let server = Server::mock(contacts);
            rows.extend(ours(&server, contacts, &folder.path().join(format!("mock-{contacts}"))));
        }
        if ["google", "all"].contains(&&*against) {
            let server = Server::google(contacts);
            rows.extend(ours(&server, contacts, &folder.path().join(format!("google-{contacts}"))));
        }
        if ["radicale", "all"].contains(&&*against) {
            match server::programs() {
                Ok(programs) => {
                    let place = folder.path().join(format!("radicale-{contacts}"));
                    let server = Server::radicale(&programs, contacts, &place);
                    rows.extend(race::vdirsyncer(&programs, &server, contacts, &place.join("vdirsyncer")));
                    rows.extend(ours(&server, contacts, &place.join("contactd")));
                }
                Err(why) => eprintln!("without Radicale and vdirsyncer: {why}"),
            }
        }
    }
    if as_json {
        println!("{}", serde_json::to_string_pretty(&rows).unwrap());
    } else {
        print!("{}", table::shown(&rows));
    }
}

/// How many contacts are 1 %, half of them changed on each side.
fn half_a_percent(contacts: usize) -> usize {
    (contacts / 200).max(1)
}

/// What contactd costs.
fn ours(server: &Server, contacts: usize, folder: &Path) -> Vec<Row> {
    std::fs::create_dir_all(folder).unwrap();
    let proxy = Proxy::start(server.address).unwrap();
    let place = worker::Place {
        store: folder.join("contactd.db"),
        url: format!("{}/", proxy.url()),
        user: server.user.clone(),
        password: server.password.clone(),
        icloud: server.is_icloud(),
        trust: server.trust.clone(),
        userinfo: server.userinfo.clone(),
    };
    let mut worker = Worker::start(&place);
    proxy.take();
    let mut rows = Vec::new();
    let mut sync = |worker: &mut Worker, phase: &'static str| {
        let before = server.requests();
        let cost = worker.ask(&json!({ "do": "sync" }));
        assert!(cost["error"].is_null(), "{phase}: {cost}");
        let passed = proxy.take();
        if let (FIRST, Some(pages)) = (phase, server.pages(contacts)) {
            // What passes the proxy is the API alone: pictures, and whose account it is, are asked for elsewhere.
            assert_eq!(total(&passed), pages, "no more than the pages of a listing");
        }
        let requests = before.map_or(total(&passed), |before| server.requests().unwrap_or(before) - before);
        let figures = Figures {
            wall_ms: cost["wall_ms"].as_f64().unwrap(),
            // The first sync pays for the start of the process too.
            cpu_ms: if phase == FIRST { cost["cpu_whole_ms"].as_f64() } else { cost["cpu_ms"].as_f64() },
            peak_kb: cost["peak_kb"].as_u64(),
        };
        eprintln!("contactd, {}, {contacts}, {phase}: {figures:?} {passed:?} {}", server.name, cost["tally"]);
        rows.push(Row::new("contactd", server.name, contacts, phase, &figures, requests, &passed));
        requests
    };
    sync(&mut worker, FIRST);

    let changes = half_a_percent(contacts);
    server.change(0, changes);
    let to = folder.join("people");
    worker.ask(&json!({ "do": "dump", "to": to }));
    let here = changed_here(&to, server, changes);
    worker.ask(&json!({ "do": "edit", "people": here }));
    sync(&mut worker, CHANGED);
    // What we wrote is listed once more; after that the server has nothing to tell.
    worker.ask(&json!({ "do": "sync" }));
    proxy.take();
    let requests = sync(&mut worker, QUIET);
    assert_eq!(requests, 1, "nothing changed costs one request");
    rows
}

/// Requests of all methods.
fn total(passed: &proxy::Passed) -> u64 {
    passed.methods.values().sum()
}

const FIRST: &str = "first sync";
const CHANGED: &str = "1 % changed";
const QUIET: &str = "nothing changed";

/// Edits of people whose cards nobody changes at the server.
fn changed_here(dump: &Path, server: &Server, number: usize) -> Vec<Value> {
    let there: Vec<&str> = server.cards.iter().take(number).map(|(name, _)| name.as_str()).collect();
    let people = std::fs::read_to_string(dump).unwrap();
    let ours = people.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).filter(|person| {
        let remote = person["links"][0]["remote"].as_str().unwrap_or_default();
        !there.iter().any(|name| remote.ends_with(name))
    });
    let edit = |(n, person): (usize, Value)| json!({ "id": person["id"], "note": format!("Changed here, {n}") });
    ours.take(number).enumerate().map(edit).collect()
}

/// A process of this same program that does nothing but sync.
struct Worker {
    child: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Worker {
    fn start(place: &worker::Place) -> Self {
        let (child, asks, mut answers) = start(&["work", &serde_json::to_string(place).unwrap()]);
        read(&mut answers);
        Self { child, asks, answers }
    }

    fn ask(&mut self, what: &Value) -> Value {
        writeln!(self.asks, "{what}").unwrap();
        read(&mut self.answers)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts this program in another role.
fn start(arguments: &[&str]) -> (Child, ChildStdin, BufReader<ChildStdout>) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (asks, answers) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    (child, asks, BufReader::new(answers))
}

fn read(answers: &mut BufReader<ChildStdout>) -> Value {
    let mut line = String::new();
    assert_ne!(answers.read_line(&mut line).unwrap(), 0, "the process has ended");
    serde_json::from_str(&line).unwrap()
}
