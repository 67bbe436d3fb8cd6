//! `cargo demo`: a mock iCloud with made-up people, a daemon, users and accounts, and edits that travel both ways.
//!
//! Owns: the show. Must not: do anything that a user could not do by the command line: it runs the real commands.
//! `--once` ends it after the show.

#![allow(clippy::print_stdout, reason = "this is a show: it prints")]

use std::error::Error;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mock_providers::carddav::settings::{Account, Clock};
use mock_providers::carddav::{Icloud, Settings};
use serde_json::Value;

type Shown<T> = Result<T, Box<dyn Error>>;

const ANN: &str = "ann@icloud.com";
const BOB: &str = "bob@me.com";
const PASSWORD: &str = "demo-demo-demo-demo";

fn main() -> Shown<()> {
    let once = std::env::args().any(|argument| argument == "--once");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(show(once))
}

/// The daemon of the show; it ends with it.
struct Daemon {
    program: PathBuf,
    folder: PathBuf,
    child: Child,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-s", "TERM", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

async fn show(once: bool) -> Shown<()> {
    let mut settings = Settings::icloud();
    settings.clock = Clock::System;
    settings.accounts = vec![Account::new(ANN, PASSWORD, "1001"), Account::new(BOB, PASSWORD, "1002")];
    let icloud = Icloud::start(settings).await?;
    let (ann, bob) = (icloud.device(ANN)?, icloud.device(BOB)?);
    ann.seed(1, 40);
    bob.seed(2, 25);
    for (n, (given, family)) in [("Nora", "Quist"), ("Emil", "Falk"), ("Rosa", "Lind")].into_iter().enumerate() {
        ann.add(card(&format!("customer-{n}"), given, family));
    }
    ann.add_group("group-customers", "Customers", &["customer-0", "customer-1", "customer-2"]);

    let folder = std::env::temp_dir().join(format!("contactd-demo-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let daemon = start(&folder)?;
    title("Two users, and a mailbox of each at a mock iCloud");
    daemon.run(&["users", "add", "ann@example.com", "--name", "Ann Example", "--admin"])?;
    daemon.run(&["users", "add", "bob@example.com", "--name", "Bob Example"])?;
    std::fs::write(folder.join("password"), PASSWORD)?;
    daemon.add(ANN, "ann@example.com", &icloud)?;
    daemon.add(BOB, "bob@example.com", &icloud)?;
    std::fs::remove_file(folder.join("password"))?;
    daemon.run(&["account", "set", ANN, "--group", "Customers", "--yes"])?;
    daemon.run(&["account", "set", BOB, "--direction", "one_way", "--visible-to", "company", "--yes"])?;

    title("What the first sync would do, and then the first sync");
    daemon.run(&["preview", ANN])?;
    daemon.run(&["account", "start", ANN, "--yes"])?;
    daemon.run(&["account", "start", BOB, "--yes"])?;

    title("Somebody corrects a name on Ann's phone; it arrives in the CRM");
    let name = ann.find("customer-0").into_iter().next().ok_or("the card is gone")?;
    ann.replace(&name, "Quist", "Quist-Berg")?;
    daemon.run(&["refresh", ANN, "--wait"])?;
    daemon.run(&["people", "list", "Nora"])?;

    title("Somebody adds a phone number in the CRM; it arrives on Ann's phone");
    let people = daemon.json(&["people", "list", "Emil"])?;
    let id = people[0]["person"]["id"].as_str().ok_or("Emil is gone")?.to_owned();
    daemon.run(&["people", "edit", &id, "--phone", "mobile=+1 212 555 0142"])?;
    daemon.run(&["refresh", ANN, "--wait"])?;
    let text = ann.find("customer-1").first().and_then(|name| ann.text(name)).unwrap_or_default();
    println!("{text}");
    if !text.contains("555") {
        return Err("the number did not arrive".into());
    }

    title("The dashboard");
    daemon.run(&["status"])?;
    if once {
        drop(daemon);
        std::fs::remove_dir_all(&folder)?;
        return Ok(());
    }
    let program = daemon.program.display();
    println!(
        "\nIt keeps running. In another terminal:\n\n  export CONTACTD_CONFIG={}\n  {program} status\n  {program} people list\n  \
         {program} preview {BOB}\n  {program} why {id}\n  {program} --help\n\nThe mock iCloud is at {} (user {ANN}, \
         password {PASSWORD}).\nCtrl-C ends it.",
        folder.join("contactd.toml").display(),
        icloud.url(),
    );
    tokio::signal::ctrl_c().await?;
    drop(daemon);
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

fn title(text: &str) {
    println!("\n=== {text}\n");
}

fn card(uid: &str, given: &str, family: &str) -> String {
    format!(
        "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{uid}\r\nN:{family};{given};;;\r\nFN:{given} {family}\r\n\
         EMAIL;type=INTERNET;type=WORK:{}@example.com\r\nEND:VCARD\r\n",
        given.to_lowercase()
    )
}

/// The program, which cargo puts next to the folder of examples; built now if it isn't there.
fn program() -> Shown<PathBuf> {
    let me = std::env::current_exe()?;
    let folder = me.parent().and_then(Path::parent).ok_or("the demo has no folder")?;
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // Together with this example, so that what it was built from serves the program too: alone, the program would be built
    // without the features that tests want of a library, and with it half of everything once more.
    build.args(["build", "--quiet", "--bin", "contactd", "--example", "demo"]);
    if folder.ends_with("release") {
        build.arg("--release");
    }
    println!("Building the program itself; the first time that takes a minute or two.");
    if !build.status()?.success() {
        return Err("contactd can't be built".into());
    }
    Ok(folder.join("contactd"))
}

fn start(folder: &Path) -> Shown<Daemon> {
    let at = |name: &str| folder.join(name).display().to_string();
    std::fs::write(
        folder.join("contactd.toml"),
        format!(
            "[store]\nurl = \"sqlite:{}\"\n[control]\nsocket = \"{}\"\n[secrets]\nkey_file = \"{}\"\n\
             [net]\nallow_private = true\n[sync]\ninterval = \"30s\"\njitter = \"2s\"\n[log]\nformat = \"json\"\n",
            at("contactd.db"),
            at("control.sock"),
            at("key")
        ),
    )?;
    let notify = UnixDatagram::bind(folder.join("notify"))?;
    notify.set_read_timeout(Some(Duration::from_secs(60)))?;
    let program = program()?;
    let child = Command::new(&program)
        .args(["serve", "--config", &at("contactd.toml")])
        .env("NOTIFY_SOCKET", folder.join("notify"))
        .stderr(std::fs::File::create(folder.join("log"))?)
        .spawn()?;
    let daemon = Daemon { program, folder: folder.to_path_buf(), child };
    let mut buffer = [0; 1024];
    loop {
        let n = notify.recv(&mut buffer).map_err(|_| format!("the daemon did not start; see {}", at("log")))?;
        if String::from_utf8_lossy(&buffer[..n]).lines().any(|line| line == "READY=1") {
            return Ok(daemon);
        }
    }
}

impl Daemon {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.env("CONTACTD_CONFIG", self.folder.join("contactd.toml")).args(args).stdin(Stdio::null());
        command
    }

    /// Shows a command and what it prints.
    fn run(&self, args: &[&str]) -> Shown<()> {
        println!("$ contactd {}", args.join(" "));
        let status = self.command(args).status()?;
        match status.code() {
            Some(0 | 3) => Ok(()),
            _ => Err(format!("`contactd {}` failed: {status}", args.join(" ")).into()),
        }
    }

    fn json(&self, args: &[&str]) -> Shown<Value> {
        let output = self.command(args).arg("--json").output()?;
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    fn add(&self, address: &str, user: &str, icloud: &Icloud) -> Shown<()> {
        let host = |url: String| url.replace("http://", "");
        let (server, partition, photo) = (icloud.url(), host(icloud.partition_url()), host(icloud.photo_url()));
        let password = self.folder.join("password").display().to_string();
        self.run(&[
            "account",
            "add",
            address,
            "--user",
            user,
            "--provider",
            "icloud",
            "--server",
            &server,
            "--trust",
            &partition,
            "--trust",
            &photo,
            "--password-file",
            &password,
        ])
    }
}
