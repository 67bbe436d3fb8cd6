//! The tree keeps its own rules: who may import whom, what the pure middle must not touch, which SQL is spoken, how
//! long a file may be.
//!
//! Owns: the tables of what is allowed. Must not: judge what the compiler judges already. A new module needs a row in
//! [`MAY_USE`]; an exception needs a row in one of the other tables, with its reason.

#![allow(clippy::expect_used, reason = "a tree that can't be read is a failed test")]

#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/sql.rs"]
mod sql;

use source::{Source, Tree};

/// The pure middle, and what it stands on.
const PURE: &[&str] = &["ids", "card", "crm", "sync"];
/// Small things that whoever talks to the outside may use.
const LEAVES: &[&str] = &["secret", "telemetry::fields", "mutant"];

/// Who may import whom: a module and the modules that it may use, besides itself. The row with the longest name that
/// fits a module holds for it.
const MAY_USE: &[(&str, &[&[&str]])] = &[
    ("ids", &[]),
    ("secret", &[]),
    ("telemetry", &[]),
    ("clock", &[&["ids"]]),
    ("card", &[&["ids"]]),
    ("crm", &[&["ids", "card"]]),
    ("mutant", &[&["sync"]]),
    ("sync", &[&["ids", "card", "crm", "mutant"]]),
    ("seal", &[&["secret"]]),
    // Never each other.
    ("provider", &[PURE, LEAVES, &["clock"]]),
    ("store", &[PURE, LEAVES, &["clock"]]),
    ("outbox", &[PURE, LEAVES, &["clock"]]),
    ("engine", &[PURE, LEAVES, &["clock", "provider", "store", "seal", "outbox"]]),
    // Never a provider.
    ("api", &[PURE, LEAVES, &["engine", "store"]]),
    ("api::types", &[PURE]),
    ("web", &[PURE, LEAVES, &["api"]]),
    ("cli", &[PURE, LEAVES, &["api::types"]]),
    ("config", &[PURE, SETTINGS]),
    ("maintenance", &[EVERYTHING]),
    ("daemon", &[EVERYTHING]),
    ("main", &[EVERYTHING]),
];
const EVERYTHING: &[&str] = &["*"];
/// Of any module, but only what it declares to be its settings.
const SETTINGS: &[&str] = &["*::Settings"];

/// What the pure middle must not know: time, randomness, the network, files, threads, and logging.
const PURE_MODULES: &[&str] = &["card", "crm", "sync"];
const NOT_IN_PURE: &[&str] = &[
    "tokio",
    "reqwest",
    "rusqlite",
    "tracing",
    "SystemTime",
    "Instant",
    "rand",
    "getrandom",
    "async",
    "await",
    "std::fs",
    "std::net",
    "std::env",
    "std::thread",
    "println",
    "eprintln",
];

/// Never finished, or not meant to stay.
const UNFINISHED: &[&str] = &["todo", "unimplemented", "dbg"];

/// Who may sleep. Everybody else waits for something to happen.
const MAY_SLEEP: &[(&str, &str)] = &[
    ("src/provider/http/", "waits for a gate to open, or before it tries again"),
    ("src/provider/http.rs", "waits for a gate to open, or before it tries again"),
    ("src/engine/schedule.rs", "waits for the next interval"),
    ("src/store/postgres.rs", "waits before a batch that was in another's way is run again"),
    ("src/daemon.rs", "pings the watchdog"),
    ("src/daemon/", "pings the watchdog"),
];

/// The longest file, tests included. Past that there is a second concept in it.
const LONGEST: usize = 700;

/// Says what is wrong, all of it, or nothing.
fn report(rule: &str, found: &[String]) {
    assert!(found.is_empty(), "{rule}\n  {}\n", found.join("\n  "));
}

#[test]
fn modules_import_only_whom_they_may() {
    let tree = Tree::of_this_package();
    let known: Vec<_> = tree.sources("src/").map(|source| source.module[0].clone()).collect();
    let mut found = Vec::new();
    for source in tree.sources("src/").filter(|source| source.path != "src/lib.rs") {
        let Some((row, may)) = row_of(&source.module) else {
            found.push(format!("{}: module '{}' has no row in tests/tidy.rs", source.path, source.module[0]));
            continue;
        };
        for (line, path) in source.crate_paths() {
            let Some(target) = path.first() else { continue };
            let itself = path.starts_with(&row) || *target == row[0] && row.len() == 1;
            if !itself
                && known.contains(target)
                && !may.iter().flat_map(|part| part.iter()).any(|rule| fits(rule, &path))
            {
                found.push(format!("{}:{line}: {} may not use {}", source.path, row.join("::"), path.join("::")));
            }
        }
    }
    report("A module uses another that it must not know (style: who may import whom):", &found);
}

/// The row for that module, by the longest name.
fn row_of(module: &[String]) -> Option<(Vec<String>, &'static [&'static [&'static str]])> {
    let rows = MAY_USE.iter().map(|(name, may)| (name.split("::").map(str::to_owned).collect::<Vec<_>>(), *may));
    rows.filter(|(name, _)| module.starts_with(name)).max_by_key(|(name, _)| name.len())
}

fn fits(rule: &str, path: &[String]) -> bool {
    match rule.strip_prefix("*::") {
        _ if rule == "*" => true,
        Some(last) => path.last().is_some_and(|name| name.ends_with(last)),
        None => rule.split("::").zip(path.iter().map(String::as_str).chain(std::iter::repeat(""))).all(|(a, b)| a == b),
    }
}

#[test]
fn the_table_of_imports_decides_as_it_is_meant() {
    let allowed = |module: &str, path: &str| {
        let split = |text: &str| text.split("::").map(str::to_owned).collect::<Vec<_>>();
        let (_, may) = row_of(&split(module)).unwrap();
        may.iter().flat_map(|part| part.iter()).any(|rule| fits(rule, &split(path)))
    };
    let table = [
        ("sync::merge", "card::Card", true),
        ("card::field", "sync::diff::Diff", false),
        ("provider::carddav", "store::Store", false),
        ("store::sql", "provider::Mailbox", false),
        ("provider::http", "telemetry::fields::ACCOUNT", true),
        ("provider::http", "telemetry::init", false),
        ("engine::pull", "store::Store", true),
        ("api::people", "provider::Mailbox", false),
        ("api::types", "store::Account", false),
        ("api::types", "ids::UserId", true),
        ("cli::people", "api::types::Person", true),
        ("cli::people", "api::Router", false),
        ("config::settings", "provider::HttpSettings", true),
        ("config", "provider::Mailbox", false),
        ("daemon", "web::router", true),
    ];
    for (module, path, expected) in table {
        assert_eq!(allowed(module, path), expected, "{module} uses {path}");
    }
}

#[test]
fn the_mock_providers_do_not_know_us() {
    let tree = Tree::of_this_package();
    let knows = |source: &&Source| source.path.starts_with("mock-providers/");
    let found = lines_with(tree.sources("").filter(knows), &["contactd"]);
    report("A misreading must not be shared, so the mock providers never import contactd:", &found);
}

#[test]
fn the_middle_is_pure() {
    let tree = Tree::of_this_package();
    let pure = |source: &&Source| PURE_MODULES.contains(&source.module[0].as_str());
    let found = lines_with(tree.sources("src/").filter(pure), NOT_IN_PURE);
    report("The pure middle has no clock, randomness, IO, async or logging:", &found);
}

#[test]
fn nothing_is_left_unfinished() {
    let tree = Tree::of_this_package();
    let found: Vec<_> = tree
        .sources("")
        .flat_map(|source| {
            UNFINISHED.iter().flat_map(move |word| {
                let calls = source.find(word).into_iter().filter(|(_, rest)| rest.starts_with('!'));
                calls.map(move |(line, _)| format!("{}:{line}: {word}!", source.path))
            })
        })
        .collect();
    report("Left for later:", &found);
}

#[test]
fn nobody_sleeps_who_could_wait() {
    let tree = Tree::of_this_package();
    let awake = |source: &&Source| !MAY_SLEEP.iter().any(|(path, _)| source.path.starts_with(path));
    let ours = tree.sources("").filter(|source| !source.path.starts_with("mock-providers/")).filter(awake);
    let found = lines_with_tests(ours, &["sleep", "sleep_until"]);
    report("Wait for what is to happen; a test that sleeps is slow, and still fails on a slower machine:", &found);
}

#[test]
fn every_module_says_what_it_owns() {
    let tree = Tree::of_this_package();
    let found: Vec<_> = tree
        .sources("")
        .filter(|source| !source.text.trim_start().starts_with("//!"))
        .map(|source| source.path.clone())
        .collect();
    report("A module starts with `//!`: what it owns, what it must not do:", &found);
}

#[test]
fn no_file_is_too_long() {
    let tree = Tree::of_this_package();
    let found: Vec<_> = tree
        .sources("")
        .map(|source| (source.text.lines().count(), &source.path))
        .filter(|(lines, _)| *lines > LONGEST)
        .map(|(lines, path)| format!("{path}: {lines} lines"))
        .collect();
    report(&format!("Over {LONGEST} lines there is a second concept in a file:"), &found);
}

#[test]
fn sql_keeps_to_the_common_dialect() {
    let tree = Tree::of_this_package();
    let mut found = Vec::new();
    for source in tree.sources("src/store/") {
        let ours = source.strings.iter().filter(|(_, text)| sql::is_sql(text));
        found.extend(ours.flat_map(|(line, text)| at(&source.path, *line, sql::faults(text, &source.path))));
    }
    for (path, text) in tree.texts().filter(|(path, _)| path.ends_with(".sql")) {
        for (line, statement) in sql::statements(text) {
            found.extend(at(path, line, sql::faults(&statement, path)));
        }
    }
    report("SQL that one of the two databases reads otherwise, or not at all:", &found);
}

fn at(path: &str, line: usize, faults: Vec<String>) -> impl Iterator<Item = String> {
    faults.into_iter().map(move |fault| format!("{path}:{line}: {fault}"))
}

#[test]
fn no_file_names_a_machine() {
    // Put together here, for this file to be clean itself.
    let places = [["/wo", "rk"], ["/ro", "ot"], ["/fa", "rm"]].map(|parts| parts.concat());
    let tree = Tree::of_this_package();
    let mut found = Vec::new();
    for (path, text) in tree.texts() {
        for (number, line) in (1..).zip(text.lines()) {
            for place in &places {
                let named = line.match_indices(place.as_str()).any(|(start, _)| {
                    let before = line[..start].chars().next_back();
                    let after = line[start + place.len()..].chars().next();
                    // Not the end of a longer path, a closing tag, or the start of a longer word.
                    !before.is_some_and(|c| c.is_alphanumeric() || "._-}<*".contains(c))
                        && !after.is_some_and(|c| c.is_alphanumeric() || "_-*".contains(c))
                });
                if named {
                    found.push(format!("{path}:{number}: {place}"));
                }
            }
        }
    }
    report("Paths of one machine:", &found);
}

/// Where the code of these, tests left out, has one of the words.
fn lines_with<'a>(sources: impl Iterator<Item = &'a Source>, words: &[&str]) -> Vec<String> {
    let all = sources.flat_map(|source| words.iter().map(move |word| (source, *word)));
    all.flat_map(|(source, word)| {
        source.find(word).into_iter().map(move |(line, _)| format!("{}:{line}: {word}", source.path))
    })
    .collect()
}

/// The same, tests included.
fn lines_with_tests<'a>(sources: impl Iterator<Item = &'a Source>, words: &[&str]) -> Vec<String> {
    let all = sources.flat_map(|source| words.iter().map(move |word| (source, *word)));
    all.flat_map(|(source, word)| {
        source.find_in_all(word).into_iter().map(move |(line, _)| format!("{}:{line}: {word}", source.path))
    })
    .collect()
}
