//! The real program on a folder of its own, next to a mock iCloud: for tests from outside.
//!
//! Owns: starting, waiting for readiness by systemd's own protocol, running commands, signals. Must not: look inside.

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use mock_providers::carddav::settings::Account;
use mock_providers::carddav::{Device, Icloud, Settings};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) use crate::ran::Ran;

/// The password of every mock account; no file and no log may ever hold it.
pub(crate) const PASSWORD: &str = "abcd-efgh-ijkl-mnop";

/// A running daemon, a mock iCloud, and the folder that both know.
pub(crate) struct TestApp {
    pub(crate) dir: TempDir,
    pub(crate) icloud: Icloud,
    child: Option<Child>,
    notify: UnixDatagram,
    starts: u32,
}

impl TestApp {
    /// A daemon with one user, Ann, and a mock iCloud with two mailboxes of hers.
    pub(crate) async fn new() -> Self {
        let mut settings = Settings::icloud();
        settings.accounts =
            vec![Account::new("ann@icloud.com", PASSWORD, "1001"), Account::new("ann@me.com", PASSWORD, "1002")];
        let icloud = Icloud::start(settings).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let notify = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        notify.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut app = Self { dir, icloud, child: None, notify, starts: 0 };
        app.configure("24h");
        app.start();
        app.cli(&["users", "add", "ann@example.com", "--name", "Ann Example", "--admin"]).json();
        app
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes the configuration, with that interval.
    pub(crate) fn configure(&self, interval: &str) {
        let at = |name: &str| self.path(name).display().to_string();
        let text = format!(
            "[store]\nurl = \"sqlite:{}\"\n[control]\nsocket = \"{}\"\n[secrets]\nkey_file = \"{}\"\n\
             [net]\nallow_private = true\n[sync]\ninterval = \"{interval}\"\njitter = \"0s\"\nafter_edit = \"0s\"\n\
             [log]\nformat = \"json\"\nfilter = \"debug\"\n",
            at("contactd.db"),
            at("control.sock"),
            at("key"),
        );
        std::fs::write(self.path("contactd.toml"), text).unwrap();
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_contactd"));
        command.env_clear().env("CONTACTD_CONFIG", self.path("contactd.toml")).stdin(Stdio::null());
        command
    }

    /// Starts the daemon and waits until it says that it is ready.
    pub(crate) fn start(&mut self) {
        self.starts += 1;
        let log = std::fs::File::create(self.path(&format!("log{}", self.starts))).unwrap();
        let child = self.command().arg("serve").env("NOTIFY_SOCKET", self.path("notify")).stderr(log).spawn();
        self.child = Some(child.unwrap());
        self.wait_for("READY=1");
    }

    /// A daemon that is expected to end by itself.
    pub(crate) fn start_another(&self) -> Output {
        self.command().arg("serve").output().unwrap()
    }

    /// Waits until the daemon tells systemd that.
    pub(crate) fn wait_for(&self, what: &str) {
        let mut buffer = [0; 4096];
        loop {
            let n = self.notify.recv(&mut buffer).unwrap_or_else(|error| panic!("{what}: {error}\n{}", self.log()));
            if String::from_utf8_lossy(&buffer[..n]).lines().any(|line| line == what) {
                return;
            }
        }
    }

    /// Sends the daemon a signal, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// Asks the daemon to end; how it ended and how long it took.
    pub(crate) fn stop(&mut self) -> (ExitStatus, Duration) {
        let since = Instant::now();
        self.signal("TERM");
        let status = self.child.take().unwrap().wait().unwrap();
        (status, since.elapsed())
    }

    /// Ends the daemon at once, as a power cut would.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// All that was logged.
    pub(crate) fn log(&self) -> String {
        (1..=self.starts).map(|n| std::fs::read_to_string(self.path(&format!("log{n}"))).unwrap_or_default()).collect()
    }

    /// Runs a command with `--json`.
    pub(crate) fn cli(&self, args: &[&str]) -> Ran {
        self.plain(&[args, &["--json"]].concat())
    }

    /// Runs a command as it is.
    pub(crate) fn plain(&self, args: &[&str]) -> Ran {
        ran(&self.command().args(args).output().unwrap())
    }

    /// Runs a command in the background.
    pub(crate) fn spawn(&self, args: &[&str]) -> Child {
        self.command().args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    pub(crate) fn device(&self, address: &str) -> Device {
        self.icloud.device(address).unwrap()
    }

    /// Adds a mailbox of Ann's.
    pub(crate) fn add(&self, address: &str) -> Ran {
        std::fs::write(self.path("password"), format!("{PASSWORD}\n")).unwrap();
        let (server, partition, photo) = (self.icloud.url(), self.icloud.partition_url(), self.icloud.photo_url());
        let (partition, photo) = (partition.replace("http://", ""), photo.replace("http://", ""));
        let file = self.path("password").display().to_string();
        let ran = self.cli(&[
            "account",
            "add",
            address,
            "--user",
            "ann@example.com",
            "--provider",
            "icloud",
            "--server",
            &server,
            "--trust",
            &partition,
            "--trust",
            &photo,
            "--password-file",
            &file,
        ]);
        std::fs::remove_file(&file).unwrap();
        ran
    }

    /// Adds a mailbox with the settings, and starts it.
    pub(crate) fn connect(&self, address: &str, settings: &[&str]) -> Value {
        self.add(address).json();
        if !settings.is_empty() {
            self.cli(&[&["account", "set", address, "--yes"], settings].concat()).json();
        }
        self.cli(&["account", "start", address, "--yes"]).json()
    }

    /// Syncs and waits; what was counted.
    pub(crate) fn refresh(&self, address: &str) -> Value {
        self.cli(&["refresh", address, "--wait"]).json()[0]["tally"].clone()
    }

    pub(crate) fn people(&self) -> Vec<Value> {
        self.cli(&["people", "list", "--limit", "1000"]).json().as_array().unwrap().clone()
    }

    /// The person's id, by the name as shown.
    pub(crate) fn person(&self, name: &str) -> String {
        let people = self.people();
        let found = people.iter().find(|p| p["person"]["card"]["display"] == name);
        found.unwrap_or_else(|| panic!("nobody is called {name}"))["person"]["id"].as_str().unwrap().to_owned()
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            let from = log.len().saturating_sub(6000);
            println!("--- the daemon's log\n{}", log.get(from..).unwrap_or(&log));
        }
    }
}

pub(crate) fn ran(output: &Output) -> Ran {
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A small card.
pub(crate) fn card(uid: &str, given: &str, family: &str) -> String {
    format!(
        "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{uid}\r\nN:{family};{given};;;\r\nFN:{given} {family}\r\n\
         EMAIL;type=INTERNET;type=WORK:{uid}@example.com\r\nEND:VCARD\r\n"
    )
}
