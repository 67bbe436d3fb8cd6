//! Plays histories: one, or ranges of seeds on several threads; shrinks what fails.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::cover::{self, Counts};
use super::history::{History, Play, Setup};
use super::oracle;

/// Engine futures are deep in debug builds.
const STACK: usize = 64 * 1024 * 1024;

/// Plays it and checks what must hold; with `traced`, a hash of all that was written.
fn play(history: &History, traced: bool) -> Result<Option<u64>, String> {
    let mut play = Play::begin(history);
    if traced {
        play.world.driver.set_traced();
    }
    for step in &history.steps {
        play.step(step);
    }
    play.settle()?;
    oracle::check(&mut play)?;
    Ok(play.world.driver.trace())
}

/// Plays it aloud: what stands where after each step, for whoever looks for the cause of a failure.
#[allow(dead_code, reason = "the program's; the tests don't")]
#[allow(clippy::print_stdout, reason = "that is what it is for")]
pub fn narrate(history: &History) -> Result<(), String> {
    let mut play = Play::begin(history);
    println!("--- begin\n{}", play.picture());
    for step in &history.steps {
        play.step(step);
        println!("--- {step:?}\n{}", play.picture());
    }
    let settled = play.settle();
    println!("--- settled\n{}", play.picture());
    let log = "SELECT CAST(o.at AS TEXT) || ' ' || o.actor || ' ' || o.why || ' ' || e.doc FROM operations o JOIN effects e \
               ON e.op = o.id ORDER BY o.at";
    for line in play.world.driver.inner().texts(log) {
        println!("  {line}");
    }
    settled?;
    oracle::check(&mut play)
}

/// The same, with a panic told as a failure.
fn caught(history: &History, traced: bool) -> Result<Option<u64>, String> {
    std::panic::catch_unwind(|| play(history, traced)).unwrap_or_else(|panic| {
        let text =
            panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
        Err(format!("panicked: {}", text.unwrap_or_default()))
    })
}

/// What comes of a history.
pub fn outcome(history: &History) -> Result<(), String> {
    caught(history, false).map(drop)
}

/// I11: the same history twice does the same, to the last id and time.
pub fn twice(history: &History) -> Result<(), String> {
    let (one, other) = (caught(history, true)?, caught(history, true)?);
    if one == other { Ok(()) } else { Err(format!("I11: the same history wrote {one:?} and {other:?}")) }
}

/// Leaves out steps as long as it still fails.
pub fn shrink(mut history: History) -> History {
    let mut before = usize::MAX;
    while history.steps.len() < before {
        before = history.steps.len();
        let mut size = history.steps.len().div_ceil(2);
        while size > 0 {
            let mut at = 0;
            while at < history.steps.len() {
                let mut smaller = history.clone();
                smaller.steps.drain(at..(at + size).min(smaller.steps.len()));
                if outcome(&smaller).is_err() { history = smaller } else { at += size }
            }
            size /= 2;
        }
        for part in [
            |s: &mut Setup| s.here = 0,
            |s: &mut Setup| s.there = 0,
            |s: &mut Setup| s.twins = 0,
            |s: &mut Setup| s.here /= 2,
            |s: &mut Setup| s.there /= 2,
            |s: &mut Setup| s.rights.clear(),
            |s: &mut Setup| drop(if s.sites.len() > 1 { s.sites.pop() } else { None }),
        ] {
            let mut smaller = history.clone();
            part(&mut smaller.setup);
            if outcome(&smaller).is_err() {
                history = smaller;
            }
        }
    }
    history
}

/// A history that failed, made small.
pub struct Failed {
    pub seed: u64,
    pub why: String,
    pub history: History,
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { seed, why, history } = self;
        let kept = serde_json::to_string(history).unwrap();
        let last = history.steps.last();
        write!(
            f,
            "seed {seed}: {why}\nsetup: {:#?}\nsteps: {:#?}\nlast step: {last:?}\nto keep: {kept}",
            history.setup, history.steps
        )
    }
}

/// What came of a range of seeds.
#[allow(dead_code, reason = "the program tells how long it took and what was reached; the tests don't")]
pub struct Played {
    pub histories: u64,
    pub seconds: f64,
    pub counts: Counts,
    pub failed: Vec<Failed>,
}

/// How a range of seeds is played.
pub struct Ranges {
    pub seeds: std::ops::Range<u64>,
    pub of: fn(u64) -> History,
    pub jobs: usize,
    /// Goes on after so many failures.
    pub most_failures: usize,
    /// Each so manieth seed is played twice more, and compared (I11); 0 = none.
    pub twice: u64,
    pub shrink: bool,
    /// Says how far it is every so many histories; 0 = not.
    pub tell: u64,
}

/// Plays them all.
pub fn play_range(ranges: &Ranges) -> Played {
    let (next, stop) = (AtomicU64::new(ranges.seeds.start), AtomicBool::new(false));
    let all = Mutex::new((Counts::new(), Vec::<Failed>::new()));
    let done = AtomicU64::new(0);
    let begun = Instant::now();
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= ranges.seeds.end || stop.load(Ordering::Relaxed) {
                break;
            }
            let history = (ranges.of)(seed);
            let mut came = outcome(&history);
            if came.is_ok() && ranges.twice > 0 && seed.is_multiple_of(ranges.twice) {
                came = twice(&history);
            }
            let played = done.fetch_add(1, Ordering::Relaxed) + 1;
            if ranges.tell > 0 && played.is_multiple_of(ranges.tell) {
                let rate = played as f64 / begun.elapsed().as_secs_f64();
                tell(&format!("{played} played, {rate:.1} histories/s"));
            }
            let Err(mut why) = came else { continue };
            let mut small = history;
            if ranges.shrink {
                small = shrink(small);
                why = outcome(&small).err().unwrap_or(why);
            }
            if ranges.tell > 0 {
                // Told as soon as it is known: who waits for a million may begin with the first.
                let kept = serde_json::to_string(&small).unwrap_or_default();
                tell(&format!("seed {seed}: {why}\nto keep: {kept}"));
            }
            let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
            all.1.push(Failed { seed, why, history: small });
            if all.1.len() >= ranges.most_failures {
                stop.store(true, Ordering::Relaxed);
            }
        }
        cover::add(&mut all.lock().unwrap_or_else(PoisonError::into_inner).0, &cover::take());
    };
    std::thread::scope(|scope| {
        for _ in 0..ranges.jobs.max(1) {
            std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work).unwrap();
        }
    });
    let (counts, failed) = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    Played { histories: done.into_inner(), seconds: begun.elapsed().as_secs_f64(), counts, failed }
}

#[allow(clippy::print_stderr, reason = "a long run says how far it is")]
fn tell(text: &str) {
    eprintln!("{text}");
}

/// The histories that failed once, by the names of their files.
pub fn bugs() -> Vec<(String, History)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sim/bugs");
    let files: BTreeSet<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let named = |path: &std::path::PathBuf| path.extension().is_some_and(|ending| ending == "json");
    let read = |path: std::path::PathBuf| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        (name, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    };
    files.into_iter().filter(named).map(read).collect()
}

impl Play {
    /// What stands where, in few words.
    #[allow(dead_code, reason = "the program's; the tests don't")]
    pub fn picture(&self) -> String {
        use std::fmt::Write;

        use contactd::store::Store;

        use super::world::now;
        let (world, mut out) = (&self.world, String::new());
        let short = |id: String| id[id.len() - 6..].to_owned();
        let marks = |card: &contactd::card::Card| {
            let marks: Vec<_> = oracle::marks(card).into_iter().map(|m| m.replace("+1212555", "+")).collect();
            marks.join(" ")
        };
        for person in world.people() {
            let (id, owner) = (short(person.id.to_string()), short(person.owner.to_string()));
            let _ = writeln!(
                out,
                "  {id} of {owner} rev {} {:?}: {}",
                person.revision.0,
                person.state,
                marks(&person.card)
            );
            for link in now(world.store.links_of(person.id)).unwrap() {
                let site = world.sites.iter().position(|site| site.id == link.account);
                let (id, token) = (short(link.id.to_string()), link.token.map(|t| short(t.to_string())));
                let _ = writeln!(
                    out,
                    "     link {id} site {site:?} {:?} {:?} {:?} token {token:?} base: {} | {}",
                    link.remote.as_ref().map(ToString::to_string),
                    link.state,
                    link.origin,
                    marks(&link.base.ours),
                    marks(&link.base.theirs)
                );
            }
        }
        for (n, site) in world.sites.iter().enumerate() {
            let account = now(world.store.account(site.id)).unwrap().unwrap();
            let caps = site.fake.server.lock().unwrap().caps.clone();
            let people = world.people().into_iter().map(|p| contactd::store::SubjectKey::Person(p.id));
            let there = world.cards_there(n).into_keys().map(|id| contactd::store::SubjectKey::Record(id.into()));
            for key in people.chain(there) {
                for why in now(world.engine.why(&account, &caps, std::slice::from_ref(&key))).unwrap() {
                    if why.waits.is_some() || !why.does.is_empty() || why.failed.is_some() {
                        let failed = why.failed.map(|f| f.reason);
                        let _ = writeln!(out, "     {key:?}: {:?} {:?} {failed:?}", why.does, why.waits);
                    }
                }
            }
            let _ = writeln!(out, "  site {n} of {}: {:?}", short(site.user.to_string()), world.last.get(&site.id));
            let server = site.fake.server.lock().unwrap();
            for entry in server.live() {
                let card = super::fake::Server::card(entry);
                let _ = writeln!(out, "     {} {:?} {:?}: {}", entry.id, entry.marks, entry.groups, marks(&card));
            }
            drop(server);
            for i in now(world.store.intents(site.id)).unwrap() {
                let before = i.before.as_ref().map(|b| b.at.id.to_string());
                let (link, token) = (short(i.link.to_string()), short(i.token.to_string()));
                let _ = writeln!(
                    out,
                    "     intent {:?} link {link} token {token} before {before:?} missed {}",
                    i.what, i.missed
                );
            }
            let dirty = format!("SELECT person || ' ' || revision FROM dirty WHERE account = '{}'", site.id);
            for person in world.driver.inner().texts(&dirty) {
                let _ = writeln!(out, "     unsettled {}", &person[person.len().min(30)..]);
            }
            for held in now(world.store.held(Some(site.id))).unwrap() {
                let _ = writeln!(out, "     held {held:?}");
            }
            for (record, people) in now(world.store.duplicates(site.id)).unwrap() {
                let _ = writeln!(out, "     in question {record}: {people:?}");
            }
        }
        out
    }
}
