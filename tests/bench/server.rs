//! The servers: the mock iCloud and Radicale, each in a process of its own, with contacts in it from the start.
//!
//! Owns: starting, changing and stopping them. Must not: be measured.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mock_providers::carddav::settings::Clock;
use mock_providers::carddav::{Icloud, Settings};
use mock_providers::google::{self, Google};
use serde_json::{Value, json};

use super::{read, seed, start};

/// Which server it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Icloud,
    Google,
    Radicale,
}

/// A server under way.
pub(crate) struct Server {
    pub name: &'static str,
    pub address: SocketAddr,
    pub user: String,
    pub password: String,
    pub trust: Vec<String>,
    /// Contacts that may be changed, by name: single ones without a note.
    pub cards: Vec<(String, Vec<u8>)>,
    /// Who says whose account it is, where that is asked for.
    pub userinfo: Option<String>,
    kind: Kind,
    child: Child,
    _asks: Option<ChildStdin>,
}

/// The programs of the tests' virtual environment.
pub(crate) struct Programs(PathBuf);

impl Programs {
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.0.join("bin").join(name)
    }
}

/// Radicale and vdirsyncer, installed if they are not there.
pub(crate) fn programs() -> Result<Programs, String> {
    let e2e = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e");
    let made = Command::new("bash").arg(e2e.join("venv.sh")).stdout(Stdio::null()).status();
    match made {
        Ok(status) if status.success() => Ok(Programs(e2e.join(".venv"))),
        Ok(status) => Err(format!("tests/e2e/venv.sh failed ({status}); is python3 there, with venv?")),
        Err(error) => Err(error.to_string()),
    }
}

fn changeable(contacts: usize) -> Vec<(String, Vec<u8>)> {
    let most = super::half_a_percent(contacts) * 2;
    let plain = |(_, card): &(String, Vec<u8>)| {
        let text = String::from_utf8_lossy(card);
        !text.contains("\nNOTE") && !text.contains("X-ADDRESSBOOKSERVER-KIND")
    };
    seed::cards(contacts).filter(plain).take(most).collect()
}

impl Server {
    /// The mock iCloud.
    pub(crate) fn mock(contacts: usize) -> Self {
        let (child, asks, mut answers) = start(&["mock", &contacts.to_string()]);
        let told = read(&mut answers);
        let text = |name: &str| told[name].as_str().unwrap().to_owned();
        Self {
            name: "mock iCloud",
            address: text("address").parse().unwrap(),
            user: text("user"),
            password: text("password"),
            trust: vec![text("photos"), text("address")],
            cards: changeable(contacts),
            userinfo: None,
            kind: Kind::Icloud,
            child,
            _asks: Some(asks),
        }
    }

    /// The mock Google.
    pub(crate) fn google(contacts: usize) -> Self {
        let (child, asks, mut answers) = start(&["google", &contacts.to_string()]);
        let told = read(&mut answers);
        let text = |name: &str| told[name].as_str().unwrap().to_owned();
        let names =
            told["names"].as_array().unwrap().iter().map(|name| (name.as_str().unwrap().to_owned(), Vec::new()));
        Self {
            name: "mock Google",
            address: text("address").parse().unwrap(),
            user: text("user"),
            password: text("token"),
            trust: Vec::new(),
            cards: names.collect(),
            userinfo: Some(text("userinfo")),
            kind: Kind::Google,
            child,
            _asks: Some(asks),
        }
    }

    /// Radicale, with everything read once, so that nobody has to wait for that.
    pub(crate) fn radicale(programs: &Programs, contacts: usize, folder: &Path) -> Self {
        let book = folder.join("store/collection-root/jane/contacts");
        seed::write(&book, contacts);
        fs::write(book.join(".Radicale.props"), r#"{"tag": "VADDRESSBOOK", "D:displayname": "Contacts"}"#).unwrap();
        fs::write(folder.join("users"), "jane:correct horse").unwrap();
        let address = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
        let mut child = Command::new(programs.program("radicale"))
            .args(["--server-hosts", &address.to_string(), "--storage-filesystem-folder"])
            .arg(folder.join("store"))
            .args(["--auth-type", "htpasswd", "--auth-htpasswd-encryption", "plain", "--auth-htpasswd-filename"])
            .arg(folder.join("users"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("server ready") {
            line.clear();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "Radicale has ended");
        }
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        let server = Self {
            name: "Radicale",
            address,
            user: "jane".to_owned(),
            password: "correct horse".to_owned(),
            trust: Vec::new(),
            cards: changeable(contacts),
            userinfo: None,
            kind: Kind::Radicale,
            child,
            _asks: None,
        };
        let every = r#"<D:propfind xmlns:D="DAV:"><D:prop><D:getetag/></D:prop></D:propfind>"#;
        server.ask("PROPFIND", "/jane/contacts/", "application/xml", every.as_bytes());
        server
    }

    pub(crate) fn is_icloud(&self) -> bool {
        self.kind == Kind::Icloud
    }

    /// How many requests a listing of so many contacts takes at least, where it comes in pages.
    pub(crate) fn pages(&self, contacts: usize) -> Option<u64> {
        (self.kind == Kind::Google).then(|| contacts.div_ceil(1_000) as u64)
    }

    /// Changes cards as another client would.
    pub(crate) fn change(&self, from: usize, number: usize) {
        for (n, (name, card)) in self.cards.iter().enumerate().skip(from).take(number) {
            let (note, vcard) = (format!("Changed there, {n}"), "text/vcard");
            let card = || with_note(card, &note.replace(',', "\\,"));
            match self.kind {
                Kind::Icloud => self.ask("PUT", &format!("/_control/cards/{name}"), vcard, &card()),
                Kind::Radicale => self.ask("PUT", &format!("/jane/contacts/{name}"), vcard, &card()),
                Kind::Google => {
                    let changes = json!({ "biographies": [{ "value": note, "contentType": "TEXT_PLAIN" }] });
                    let act = json!({ "edit": { "name": name, "changes": changes } }).to_string();
                    self.ask("POST", "/_control/act", "application/json", act.as_bytes())
                }
            };
        }
    }

    /// How many requests a server that counts them itself has had.
    pub(crate) fn requests(&self) -> Option<u64> {
        if self.kind == Kind::Radicale {
            return None;
        }
        let state: Value = serde_json::from_slice(&self.ask("GET", "/_control/state", "", b"")).unwrap();
        state["requests"].as_u64()
    }

    /// One request; the answer's body.
    fn ask(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> Vec<u8> {
        let login = STANDARD.encode(format!("{}:{}", self.user, self.password));
        let mut stream = TcpStream::connect(self.address).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Basic {login}\r\nDepth: 1\r\nContent-Type: {kind}\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            self.address,
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|part| part == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        assert!(head.split(' ').nth(1).is_some_and(|status| status.starts_with('2')), "{method} {path}: {head}");
        answer.split_off(end + 4)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The card with a note.
pub(crate) fn with_note(card: &[u8], note: &str) -> Vec<u8> {
    String::from_utf8_lossy(card).replace("END:VCARD", &format!("NOTE:{note}\r\nEND:VCARD")).into_bytes()
}

/// The mock as a process of its own, until nobody listens any more. It names its places relative to itself, so that a
/// proxy in front of it sees everything but the pictures.
pub(crate) fn serve_mock(contacts: usize) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut settings = Settings::icloud();
        settings.discovery.home_set_absolute = false;
        let server = Icloud::start(settings).await.unwrap();
        let device = server.first_device().unwrap();
        for (name, card) in seed::cards(contacts) {
            device.add_as(&name, card);
        }
        let host = |url: String| url.trim_start_matches("http://").to_owned();
        let told = json!({
            "address": host(server.url()), "photos": host(server.photo_url()), "user": device.user(),
            "password": device.password(),
        });
        println!("{told}");
        tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()))
            .await
            .unwrap()
            .unwrap();
    });
}

/// The mock Google as a process of its own, until nobody listens any more.
pub(crate) fn serve_google(contacts: usize) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let settings = google::Settings { clock: Clock::System, ..google::Settings::without_quotas() };
        let server = Google::start(settings).await.unwrap();
        let account = server.first_account().unwrap();
        // Some that are made up are groups, or could not be stored: a few more, and then exactly so many.
        let names = account.seed(20_261_121, contacts + contacts / 5 + 50);
        account.delete_many(names.iter().skip(contacts).map(String::as_str));
        assert_eq!(account.len(), contacts);
        let plain = |name: &&String| account.person(name).is_some_and(|person| person.get("biographies").is_none());
        let changeable: Vec<&String> = names[..contacts].iter().filter(plain).collect();
        let changeable = &changeable[..changeable.len().min(super::half_a_percent(contacts) * 2)];
        let at = server.endpoints();
        let told = json!({
            "address": at.people.trim_start_matches("http://"), "userinfo": at.userinfo, "user": account.email(),
            "token": account.access_token(&["contacts", "openid", "email"]), "names": changeable,
        });
        println!("{told}");
        tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()))
            .await
            .unwrap()
            .unwrap();
    });
}
