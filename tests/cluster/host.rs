//! Several real daemons on one database, next to a mock iCloud that tells them apart by their User-Agent.
//!
//! Owns: starting them, stopping them in every way, commands, waiting. Must not: look inside.

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use mock_providers::carddav::settings::Account;
use mock_providers::carddav::{Device, Icloud, Settings};
use mock_providers::journal::{Mark, Record};
use serde_json::Value;
use tempfile::TempDir;

use crate::postgres::Schema;

const PASSWORD: &str = "abcd-efgh-ijkl-mnop";
/// Long enough for anything that is to happen at all.
const PATIENCE: Duration = Duration::from_secs(90);

/// A database, a mock iCloud, and a folder for what daemons write.
pub(crate) struct Site {
    pub(crate) schema: Schema,
    pub(crate) icloud: Icloud,
    pub(crate) dir: TempDir,
}

/// A daemon.
pub(crate) struct Host {
    pub(crate) name: &'static str,
    dir: PathBuf,
    child: Option<Child>,
    notify: UnixDatagram,
}

impl Site {
    /// With so many mailboxes of Ann's.
    pub(crate) async fn new(accounts: usize) -> Self {
        let mut settings = Settings::icloud();
        settings.accounts =
            (0..accounts).map(|n| Account::new(&address(n), PASSWORD, &format!("{}", 1001 + n))).collect();
        let icloud = Icloud::start(settings).await.unwrap();
        Self { schema: Schema::new().await, icloud, dir: tempfile::tempdir().unwrap() }
    }

    /// Starts a daemon with that name.
    pub(crate) fn host(&self, name: &'static str) -> Host {
        self.host_with("interval = \"30s\"", name)
    }

    /// The same, and nothing is run but what is asked for: neither by schedule nor after an edit.
    pub(crate) fn host_at_rest(&self, name: &'static str) -> Host {
        self.host_with("interval = \"1h\"\nafter_edit = \"1h\"", name)
    }

    fn host_with(&self, sync: &str, name: &'static str) -> Host {
        let dir = self.dir.path().join(name);
        std::fs::create_dir(&dir).unwrap();
        let notify = UnixDatagram::bind(dir.join("notify")).unwrap();
        notify.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut host = Host { name, dir, child: None, notify };
        // A request takes 2 s at most, so that a lease of 6 s outlasts two, with what clocks may differ.
        let text = format!(
            "[store]\nurl = \"{}\"\nconnections = 5\n[control]\nsocket = \"{}\"\n[secrets]\nkey_file = \"{}\"\n\
             [net]\nallow_private = true\nuser_agent = \"contactd/{name}\"\nrequest_timeout = \"1s\"\n\
             connect_timeout = \"1s\"\n[sync]\n{sync}\njitter = \"0s\"\nlease = \"6s\"\npage_size = 10\n\
             [log]\nformat = \"json\"\nfilter = \"info,contactd=debug\"\n",
            self.schema.url(),
            host.dir.join("control.sock").display(),
            self.dir.path().join("key").display(),
        );
        std::fs::write(host.dir.join("contactd.toml"), text).unwrap();
        host.start();
        host
    }

    pub(crate) fn device(&self, n: usize) -> Device {
        self.icloud.device(&address(n)).unwrap()
    }

    /// Adds a mailbox of Ann's through that daemon, and starts it if asked to.
    pub(crate) fn add(&self, host: &Host, n: usize) {
        let file = self.dir.path().join("password");
        std::fs::write(&file, format!("{PASSWORD}\n")).unwrap();
        let (server, partition, photo) = (self.icloud.url(), self.icloud.partition_url(), self.icloud.photo_url());
        let (partition, photo) = (partition.replace("http://", ""), photo.replace("http://", ""));
        let file = file.display().to_string();
        let of = address(n);
        let mut args = vec!["account", "add", &of, "--user", "ann@example.com", "--provider", "icloud"];
        args.extend(["--server", &server, "--trust", &partition, "--trust", &photo, "--password-file", &file]);
        host.ok(&args);
    }

    /// What that daemon asked of that mailbox since then.
    pub(crate) fn asked(&self, name: &str, n: usize, mark: Mark) -> Vec<Record> {
        let agent = format!("contactd/{name}");
        let ours = |record: &&Record| record.user == address(n) && record.header("user-agent") == Some(&agent);
        self.icloud.ask(|journal| journal.since(mark).filter(ours).cloned().collect())
    }

    /// The daemons that asked for that mailbox, one after the other.
    pub(crate) fn turns(&self, n: usize) -> Vec<String> {
        let agents = |record: &Record| record.header("user-agent").unwrap_or_default().to_owned();
        let of = address(n);
        let mut turns: Vec<String> =
            self.icloud.ask(|journal| journal.records().filter(|record| record.user == of).map(agents).collect());
        turns.dedup();
        turns
    }

    /// Nothing in the store disagrees with itself, and every record of the mailbox has its person.
    pub(crate) fn sound(&self, host: &Host, accounts: usize) {
        for n in 0..accounts {
            let verified = host.ok(&["verify", &address(n)]);
            assert_eq!(verified["differences"], serde_json::json!([]), "{verified}");
        }
        let checked = host.plain(&["store", "check"]);
        assert_eq!(checked.code, 0, "{checked:?}");
    }
}

pub(crate) fn address(n: usize) -> String {
    format!("ann{n}@icloud.com")
}

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    #[allow(dead_code, reason = "shown where a test fails")]
    pub(crate) err: String,
}

impl Host {
    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_contactd"));
        command.env_clear().env("CONTACTD_CONFIG", self.dir.join("contactd.toml")).stdin(Stdio::null());
        command
    }

    /// Starts the daemon and waits until it says that it is ready.
    pub(crate) fn start(&mut self) {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.dir.join("log")).unwrap();
        let child = self.command().arg("serve").env("NOTIFY_SOCKET", self.dir.join("notify")).stderr(log).spawn();
        self.child = Some(child.unwrap());
        let mut buffer = [0; 4096];
        loop {
            let n = self.notify.recv(&mut buffer).unwrap_or_else(|error| panic!("{error}\n{}", self.log()));
            if String::from_utf8_lossy(&buffer[..n]).lines().any(|line| line == "READY=1") {
                return;
            }
        }
    }

    /// The next start is on that store.
    pub(crate) fn move_to(&self, url: &str) {
        let path = self.dir.join("contactd.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        let lines =
            text.lines().map(|line| if line.starts_with("url") { format!("url = \"{url}\"") } else { line.to_owned() });
        std::fs::write(path, lines.collect::<Vec<_>>().join("\n")).unwrap();
    }

    /// `STOP` stalls it, `CONT` wakes it.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// Ends it at once, as a power cut would.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub(crate) fn plain(&self, args: &[&str]) -> Ran {
        ran(&self.command().args(args).output().unwrap())
    }

    /// Runs a command that must not fail.
    pub(crate) fn ok(&self, args: &[&str]) -> Value {
        let ran = self.plain(&[args, &["--json"]].concat());
        assert!(ran.code == 0 || ran.code == 3, "{}: {args:?}: {ran:?}", self.name);
        serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
    }

    /// Runs a command in the background.
    pub(crate) fn spawn(&self, args: &[&str]) -> Child {
        self.command().args(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Syncs, and waits until it has come to its end, whoever is in the way meanwhile.
    pub(crate) fn refresh(&self, n: usize) {
        let of = address(n);
        until(&format!("{} syncs {of}", self.name), || self.plain(&["refresh", &of, "--wait", "--json"]).code == 0);
    }

    pub(crate) fn people(&self) -> Vec<Value> {
        self.ok(&["people", "list", "--limit", "1000"]).as_array().unwrap().clone()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log: Vec<_> = self.log().lines().map(str::to_owned).collect();
            let from = log.len().saturating_sub(40);
            println!("--- the log of {}\n{}", self.name, log[from..].join("\n"));
        }
    }
}

fn ran(output: &Output) -> Ran {
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Waits until that holds; fails the test if it never does.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        std::thread::yield_now();
    }
}
