//! `cargo demo`: a mock iCloud and a mock Google with made-up people, a daemon, users and accounts, and edits that travel.
//!
//! Owns: the show. Must not: do anything that a user could not do by the command line: it runs the real commands.
//! `--once` ends it after the show.

#![allow(clippy::print_stdout, reason = "this is a show: it prints")]

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mock_providers::carddav::settings::{Account, Clock};
use mock_providers::carddav::{Icloud, Settings};
use mock_providers::google::{self, Google};
use mock_providers::oauth::User;
use serde_json::{Value, json};

type Shown<T> = Result<T, Box<dyn Error>>;

const ANN: &str = "ann@icloud.com";
const BOB: &str = "bob@me.com";
const GMAIL: &str = "ann.example@gmail.com";
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

    let mut settings = google::Settings { clock: Clock::System, ..google::Settings::default() };
    settings.oauth.users = vec![User::new(GMAIL, "100000000000000000001", "Ann Example")];
    let google = Google::start(settings).await?;
    let contacts = google.account(GMAIL)?;
    contacts.seed(3, 30);
    let label = contacts.add_group("Customers");
    let nora = contacts.add(&contact("Nora", "Quist", &label))?;
    contacts.add(&contact("Ivo", "Sand", &label))?;

    let folder = std::env::temp_dir().join(format!("contactd-demo-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let daemon = start(&folder, &google)?;
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

    title("Ann signs in at a mock Google too, where one of her customers is as well; her browser says yes by itself");
    daemon.sign_in(GMAIL, "ann@example.com")?;
    daemon.run(&["account", "set", GMAIL, "--group", "Customers", "--yes"])?;
    daemon.run(&["preview", GMAIL])?;
    daemon.run(&["account", "start", GMAIL, "--yes"])?;

    title("She notes something at Google; it arrives in the CRM, and from there on her phone");
    contacts.edit(&nora, &json!({ "biographies": [{ "value": "likes tea", "contentType": "TEXT_PLAIN" }] }))?;
    daemon.run(&["refresh", GMAIL, "--wait"])?;
    daemon.run(&["refresh", ANN, "--wait"])?;
    let text = ann.find("customer-0").first().and_then(|name| ann.text(name)).unwrap_or_default();
    println!("{text}");
    let there = contacts.person(&nora).unwrap_or_default();
    println!("At Google she is called {} by now, as on the phone.", there["names"][0]["displayName"]);
    if !text.contains("likes tea") || there["names"][0]["familyName"] != "Quist-Berg" {
        return Err("an edit did not arrive".into());
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
         {program} preview {BOB}\n  {program} groups {GMAIL}\n  {program} why {id}\n  {program} --help\n\n\
         Change something at Google, and see it arrive:\n\n  \
         curl -s -d '{{\"add_group\": \"Friends\"}}' -H 'Content-Type: application/json' {}/_control/act\n  \
         curl -s {}/_control/   # what else it can be told\n  {program} refresh {GMAIL} --wait\n\n\
         The mock iCloud is at {} (user {ANN}, password {PASSWORD}).\nCtrl-C ends it.",
        folder.join("contactd.toml").display(),
        google.url(),
        google.url(),
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

fn contact(given: &str, family: &str, label: &str) -> Value {
    let member = |group: &str| json!({ "contactGroupMembership": { "contactGroupResourceName": group } });
    json!({
        "names": [{ "givenName": given, "familyName": family }],
        "emailAddresses": [{ "value": format!("{}@example.com", given.to_lowercase()), "type": "work" }],
        "memberships": [member("contactGroups/myContacts"), member(label)],
    })
}

/// What a browser gets from that address.
fn browse(url: &str) -> Shown<String> {
    let rest = url.strip_prefix("http://").ok_or("this is a show: everything is on this machine")?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut browser = TcpStream::connect(host)?;
    write!(browser, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut page = String::new();
    browser.read_to_string(&mut page)?;
    Ok(page)
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

fn start(folder: &Path, google: &Google) -> Shown<Daemon> {
    let at = |name: &str| folder.join(name).display().to_string();
    std::fs::write(folder.join("google-secret"), "mock-desktop-secret\n")?;
    std::fs::set_permissions(folder.join("google-secret"), std::fs::Permissions::from_mode(0o600))?;
    let there = google.endpoints();
    std::fs::write(
        folder.join("contactd.toml"),
        format!(
            "[store]\nurl = \"sqlite:{}\"\n[control]\nsocket = \"{}\"\n[secrets]\nkey_file = \"{}\"\n\
             [net]\nallow_private = true\n[sync]\ninterval = \"30s\"\njitter = \"2s\"\n[log]\nformat = \"json\"\n\
             [google]\nclient_id = \"mock-desktop.apps.googleusercontent.com\"\nclient_secret_file = \"{}\"\n\
             authorize_url = \"{}\"\ntoken_url = \"{}\"\nrevoke_url = \"{}\"\nuserinfo_url = \"{}\"\napi_url = \"{}\"\n",
            at("contactd.db"),
            at("control.sock"),
            at("key"),
            at("google-secret"),
            there.authorize,
            there.token,
            there.revoke,
            there.userinfo,
            there.people,
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

    /// Signs in at Google, as a browser would: it goes where it is sent.
    fn sign_in(&self, address: &str, user: &str) -> Shown<()> {
        let args = ["account", "add", address, "--user", user, "--no-browser"];
        println!("$ contactd {}", args.join(" "));
        let mut child = self.command(&args).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let said = child.stderr.take().ok_or("the command says nothing")?;
        for line in BufReader::new(said).lines() {
            let line = line?;
            println!("{line}");
            let url = line.trim();
            if url.starts_with("http://") && url.contains("client_id=") {
                let page = browse(url)?;
                let mut heads = page.lines().filter_map(|line| line.split_once(": "));
                let back = heads.find(|(name, _)| name.eq_ignore_ascii_case("location")).ok_or("Google said no")?.1;
                browse(back)?;
            }
        }
        if child.wait()?.success() { Ok(()) } else { Err("the sign-in came to nothing".into()) }
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
