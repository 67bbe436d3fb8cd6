//! The client against a server that says exactly what a test tells it to.

use std::sync::Mutex;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::gate::Pace;
use super::*;
use crate::clock::System;
use crate::secret::Secret;

/// What the server does with the next request: the raw answer, or to hang up without one.
type Script = Vec<&'static str>;
const HANG_UP: &str = "";

struct Server {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(script: Script) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            for answer in script {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                let mut buffer = [0u8; 4096];
                loop {
                    let n = socket.read(&mut buffer).await.unwrap();
                    request.extend_from_slice(&buffer[..n]);
                    let text = String::from_utf8_lossy(&request).into_owned();
                    let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                    let length = head
                        .lines()
                        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned))
                        .map_or(0, |length| length.parse::<usize>().unwrap());
                    if body.len() >= length || n == 0 {
                        break;
                    }
                }
                seen.lock().unwrap().push(String::from_utf8_lossy(&request).into_owned());
                if answer != HANG_UP {
                    socket.write_all(answer.as_bytes()).await.unwrap();
                }
                socket.shutdown().await.ok();
            }
        });
        Self { port, requests }
    }

    fn url(&self, path: &str) -> Url {
        Url::parse(&format!("http://127.0.0.1:{}{path}", self.port)).unwrap()
    }

    fn seen(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn settings() -> HttpSettings {
    let addresses = AddressPolicy { allow_private: true, ..AddressPolicy::default() };
    HttpSettings { addresses, patience: Duration::from_secs(4), ..HttpSettings::default() }
}

fn door_with(settings: HttpSettings, trusted: &[&Server]) -> Door {
    let mut trust = TrustSet::new(true);
    for server in trusted {
        trust.add_url(&server.url("/"));
    }
    let auth = Auth::Basic { user: "ann".into(), password: Secret::from("secret") };
    let http = Http::new(settings, Arc::new(System)).unwrap();
    Door::new(http, Arc::new(Gate::new(Pace::FREE)), auth, trust)
}

fn door(trusted: &[&Server]) -> Door {
    door_with(settings(), trusted)
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
const STUMBLE: &str = "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const CUT: &str = "HTTP/1.1 200 OK\r\nContent-Length: 20\r\nConnection: close\r\n\r\nonly so much";

fn put(server: &Server) -> Request {
    Request::new(Method::PUT, server.url("/card/a.vcf")).body("text/vcard; charset=utf-8", "BEGIN:VCARD")
}

#[tokio::test]
async fn reads_are_tried_again_until_they_come() {
    let server = Server::start(vec![HANG_UP, STUMBLE, CUT, OK]).await;
    let answer = door(&[&server]).send(&Request::new(Method::GET, server.url("/")), Resend::Safe).await.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &b"ok"[..]));
    assert_eq!(server.seen().len(), 4);
    assert!(server.seen()[0].contains("user-agent: contactd/"));
    assert!(server.seen()[0].contains("accept-encoding: gzip"));
}

#[tokio::test]
async fn the_settings_say_who_we_are_and_how_much_is_read() {
    let server = Server::start(vec![OK, OK]).await;
    let settings = HttpSettings { user_agent: "example-crm/7 (ops)".to_owned(), max_body: 1, ..settings() };
    let door = door_with(settings.clone(), &[&server]);
    let error = door.send(&Request::new(Method::GET, server.url("/")), Resend::Safe).await.unwrap_err();
    assert!(matches!(error, HttpError::TooBig { limit: 1, .. }), "{error:?}");
    assert!(server.seen()[0].contains("user-agent: example-crm/7 (ops)"), "{:?}", server.seen());
    let door = door_with(HttpSettings { max_body: 2, ..settings }, &[&server]);
    let answer = door.send(&Request::new(Method::GET, server.url("/")), Resend::Safe).await.unwrap();
    assert_eq!(&answer.body[..], b"ok");
}

#[tokio::test]
async fn what_may_have_happened_is_not_sent_again() {
    let server = Server::start(vec![HANG_UP, OK]).await;
    let error = door(&[&server]).send(&put(&server), Resend::Once).await.unwrap_err();
    assert!(error.doubt(), "{error}");
    assert_eq!(server.seen().len(), 1);
    let server = Server::start(vec![STUMBLE, OK]).await;
    let answer = door(&[&server]).send(&put(&server), Resend::Once).await.unwrap();
    assert_eq!(answer.status.as_u16(), 500);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_guarded_write_is_sent_again_and_says_so() {
    let conflict = "HTTP/1.1 412 Precondition Failed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let server = Server::start(vec![HANG_UP, conflict]).await;
    let answer = door(&[&server]).send(&put(&server), Resend::Guarded).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.resent), (412, true));
    let server = Server::start(vec![HANG_UP; 4]).await;
    let error = door(&[&server]).send(&put(&server), Resend::Guarded).await.unwrap_err();
    assert!(error.doubt());
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn no_connection_is_no_doubt() {
    let closed = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let server = Server { port: closed.local_addr().unwrap().port(), requests: Arc::default() };
    drop(closed);
    let error = door(&[&server]).send(&put(&server), Resend::Once).await.unwrap_err();
    assert!(matches!(error, HttpError::Connect { .. }) && !error.doubt(), "{error:?}");
}

#[tokio::test]
async fn redirects_keep_method_and_body_and_credentials_at_home() {
    let home = Server::start(vec![OK]).await;
    let moved = format!(
        "HTTP/1.1 302 Found\r\nLocation: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        home.url("/new/a.vcf")
    );
    let entry = Server::start(vec![Box::leak(moved.clone().into_boxed_str())]).await;
    door(&[&entry, &home]).send(&put(&entry), Resend::Guarded).await.unwrap();
    let request = home.seen().remove(0);
    assert!(request.starts_with("PUT /new/a.vcf ") && request.ends_with("BEGIN:VCARD"), "{request}");
    assert!(request.contains("authorization: Basic YW5uOnNlY3JldA=="));

    let elsewhere = Server::start(vec![OK]).await;
    let moved = moved.replace(&home.port.to_string(), &elsewhere.port.to_string());
    let moved: &'static str = Box::leak(moved.into_boxed_str());
    let entry = Server::start(vec![moved, moved]).await;
    let door = door(&[&entry]);
    let error = door.send(&put(&entry), Resend::Guarded).await.unwrap_err();
    assert!(matches!(error, HttpError::Untrusted { .. }), "{error:?}");
    assert_eq!(elsewhere.seen().len(), 0);
    // What needs no credentials goes on without them.
    let picture = Request::new(Method::GET, entry.url("/a.jpg")).credentials(Credentials::WhereTrusted);
    door.send(&picture, Resend::Safe).await.unwrap();
    assert!(!elsewhere.seen()[0].contains("authorization"));
}

#[tokio::test]
async fn redirects_in_a_circle_end() {
    let round: &str = "HTTP/1.1 301 Moved\r\nLocation: /again\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let server = Server::start(vec![round; 10]).await;
    let error = door(&[&server]).send(&Request::new(Method::GET, server.url("/")), Resend::Safe).await.unwrap_err();
    assert!(matches!(error, HttpError::Redirect { why: BadRedirect::TooMany, .. }));
    assert_eq!(server.seen().len(), 6);
}

#[tokio::test]
async fn a_servers_wait_is_kept_by_all() {
    let slow_down = "HTTP/1.1 429 Slow\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let server = Server::start(vec![slow_down, OK]).await;
    let begun = std::time::Instant::now();
    door(&[&server]).send(&put(&server), Resend::Once).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1));

    let busy = "HTTP/1.1 503 Busy\r\nRetry-After: 3600\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let server = Server::start(vec![busy, OK]).await;
    let door = door(&[&server]);
    let before = crate::clock::Clock::now(&System);
    for _ in 0..2 {
        // The second one is not even sent.
        let error = door.send(&Request::new(Method::GET, server.url("/")), Resend::Safe).await.unwrap_err();
        let HttpError::Wait { until, .. } = error else { panic!("{error:?}") };
        assert!(until.since(before) >= 3_590_000 && until.since(before) <= 4_000_000);
    }
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn bodies_have_a_limit() {
    let server = Server::start(vec![OK]).await;
    let request = Request::new(Method::GET, server.url("/")).limit(1);
    let error = door(&[&server]).send(&request, Resend::Safe).await.unwrap_err();
    assert!(matches!(error, HttpError::TooBig { limit: 1, .. }), "{error:?}");
}

#[tokio::test]
async fn private_addresses_are_refused() {
    let server = Server::start(vec![OK, OK]).await;
    let strict = door_with(HttpSettings { addresses: AddressPolicy::default(), ..settings() }, &[&server]);
    let number = Request::new(Method::GET, server.url("/"));
    let mut name = server.url("/");
    name.set_host(Some("localhost")).unwrap();
    let name = Request::new(Method::GET, name).credentials(Credentials::None);
    for request in [&number, &name] {
        let error = strict.send(request, Resend::Safe).await.unwrap_err();
        assert!(matches!(error, HttpError::PrivateAddress(_)), "{error:?}");
    }
    // An address out of somebody's data is refused even where private ones are allowed.
    let lenient = door(&[]);
    let error = lenient.send(&name.foreign(), Resend::Safe).await.unwrap_err();
    assert!(matches!(error, HttpError::PrivateAddress(_)), "{error:?}");
    assert_eq!(server.seen().len(), 0);
}

#[tokio::test]
async fn nothing_personal_is_shown() {
    let server = Server::start(vec![HANG_UP]).await;
    let door = door(&[&server]);
    let request = Request::new(Method::PUT, server.url("/ann@example.com/card/ann.vcf")).body("text/vcard", "FN:Ann");
    let error = door.send(&request, Resend::Once).await.unwrap_err();
    for shown in [format!("{door:?}"), format!("{request:?}"), format!("{error:?} {error}")] {
        assert!(!shown.contains("ann") && !shown.contains("Ann") && !shown.contains("secret"), "{shown}");
    }
}

#[tokio::test]
async fn a_digest_where_nothing_else_is_offered() {
    let wants = "HTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n1\", qop=\"auth\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let stale = "HTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n2\", qop=\"auth\", stale=true\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let server = Server::start(vec![wants, OK, OK, stale, OK, wants]).await;
    let door = door(&[&server]);
    for _ in 0..3 {
        assert_eq!(door.send(&put(&server), Resend::Once).await.unwrap().status.as_u16(), 200);
    }
    // A digest that is refused with a fresh nonce is a wrong password: no further try.
    assert_eq!(door.send(&put(&server), Resend::Once).await.unwrap().status.as_u16(), 401);
    let seen = server.seen();
    let said: Vec<_> = seen
        .iter()
        .map(|r| (r.contains("nonce=\"n1\""), r.contains("nonce=\"n2\""), r.contains("nc=00000002")))
        .collect();
    assert_eq!(
        said,
        [
            (false, false, false),
            (true, false, false),
            (true, false, true),
            (true, false, false),
            (false, true, false),
            (false, true, true)
        ]
    );
    assert!(seen.iter().all(|request| request.ends_with("BEGIN:VCARD")));
    // Where Basic is offered it was the password that was refused.
    let both = "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=\"r\", Digest realm=\"r\", nonce=\"n\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let server = Server::start(vec![both, OK]).await;
    assert_eq!(self::door(&[&server]).send(&put(&server), Resend::Once).await.unwrap().status.as_u16(), 401);
}

#[tokio::test]
async fn a_write_that_gets_no_turn_was_not_sent() {
    let server = Server::start(vec![OK]).await;
    let door = door_with(HttpSettings { patience: Duration::from_millis(200), ..settings() }, &[&server]);
    let _other = door.gate.enter(true, Duration::from_secs(1)).await.unwrap();
    let error = door.send(&put(&server), Resend::Once).await.unwrap_err();
    assert!(matches!(error, HttpError::Wait { doubt: false, .. }), "{error:?}");
    assert_eq!(server.seen().len(), 0);
    assert!(door.http.longest_send() > settings().whole);
}
