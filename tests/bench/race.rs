//! vdirsyncer in the same race: the same Radicale, the same changes, through the same kind of proxy.
//!
//! Owns: its configuration and what its processes cost. Must not: tune it, for better or worse.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::proxy::Proxy;
use super::server::{Programs, Server, with_note};
use super::table::{Figures, Row};
use super::{CHANGED, FIRST, QUIET, half_a_percent, total};

/// Runs a program and says what it and its children cost: that is asked of the kernel by the parent.
const MEASURE: &str = "
import json, resource, subprocess, sys, time
begun = time.monotonic()
done = subprocess.run(sys.argv[1:], stdout=sys.stderr)
cost = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps({'wall_ms': (time.monotonic() - begun) * 1000, 'cpu_ms': (cost.ru_utime + cost.ru_stime) * 1000,
                  'peak_kb': cost.ru_maxrss, 'status': done.returncode}))
";

/// What vdirsyncer costs.
pub(crate) fn vdirsyncer(programs: &Programs, server: &Server, contacts: usize, folder: &Path) -> Vec<Row> {
    fs::create_dir_all(folder).unwrap();
    let proxy = Proxy::start(server.address).unwrap();
    let config = folder.join("config");
    let (place, url, user, password) = (folder.display(), proxy.url(), &server.user, &server.password);
    let text = format!(
        "[general]\nstatus_path = \"{place}/status/\"\n\n\
         [pair book]\na = \"local\"\nb = \"remote\"\ncollections = [\"from b\"]\nconflict_resolution = \"b wins\"\n\n\
         [storage local]\ntype = \"filesystem\"\npath = \"{place}/cards/\"\nfileext = \".vcf\"\n\n\
         [storage remote]\ntype = \"carddav\"\nurl = \"{url}/\"\nusername = \"{user}\"\npassword = \"{password}\"\n"
    );
    fs::write(&config, text).unwrap();
    let run = |command: &str| {
        let program = programs.program("vdirsyncer");
        let mut child = Command::new(programs.program("python3"))
            .args(["-c", MEASURE])
            .arg(program)
            .args(["-v", "ERROR", "-c"])
            .arg(&config)
            .arg(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // It asks whether to make folders.
        child.stdin.take().unwrap().write_all(b"y\ny\ny\n").unwrap();
        let told: Value = serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap();
        assert_eq!(told["status"], 0, "vdirsyncer {command} failed");
        told
    };
    let mut rows = Vec::new();
    let mut sync = |phase: &'static str| {
        let cost = run("sync");
        let passed = proxy.take();
        let figures = Figures {
            wall_ms: cost["wall_ms"].as_f64().unwrap(),
            cpu_ms: cost["cpu_ms"].as_f64(),
            peak_kb: cost["peak_kb"].as_u64(),
        };
        eprintln!("vdirsyncer, {}, {contacts}, {phase}: {figures:?} {passed:?}", server.name);
        rows.push(Row::new("vdirsyncer", server.name, contacts, phase, &figures, total(&passed), &passed));
    };
    // Discovery is a command of its own there; it is not counted.
    run("discover");
    proxy.take();
    sync(FIRST);

    // The server's half of the changes are other cards than those that change for us later.
    let changes = half_a_percent(contacts);
    server.change(changes, changes);
    let cards = fs::read_dir(folder.join("cards")).unwrap().next().unwrap().unwrap().path();
    let mut names: Vec<_> = fs::read_dir(cards).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let free = |text: &str| {
        !text.contains("\nNOTE") && !server.cards.iter().any(|(name, _)| text.contains(&name[..name.len() - 4]))
    };
    let mut left = changes;
    for name in names {
        let text = fs::read_to_string(&name).unwrap();
        if left > 0 && free(&text) {
            fs::write(&name, with_note(text.as_bytes(), "Changed here")).unwrap();
            left -= 1;
        }
    }
    sync(CHANGED);
    run("sync");
    proxy.take();
    sync(QUIET);
    rows
}
