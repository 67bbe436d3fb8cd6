//! `contactd account add`, where the provider signs its users in itself.
//!
//! Owns: sending the user there, and waiting for them to come back: to a port of this machine, by an address that they paste,
//! or to the daemon's own address. Must not: keep or print what they come back with; the daemon alone makes use of it.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use url::Url;

use super::args::{AccountAdd, AccountAddDomain};
use super::client::Client;
use super::{CliError, Exit, Style, note};
use crate::api::types::{AccountAdded, AccountShown, CameBack, NewSignIn, SignInShown, UserShown};

/// How much of a request is read.
const LONGEST: usize = 16 * 1024;
/// How long a browser has for it.
const READING: Duration = Duration::from_secs(20);
/// How long a user has at most; the daemon may give up before.
const PATIENCE: Duration = Duration::from_secs(16 * 60);

/// A user who came back, and the browser that waits for a page, if there is one.
struct Back {
    redirected: String,
    browser: Option<TcpStream>,
}

/// Asks the daemon how the mailbox is signed in to, and does so; `None` = by a password, which is still to be asked for.
pub(super) async fn add(new: &AccountAdd, client: &Client) -> Result<Option<AccountAdded>, CliError> {
    let failed = |error: std::io::Error| CliError::new(Exit::Failed, format!("no port to come back to: {error}"));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed)?;
    let ours = format!("http://127.0.0.1:{}/", listener.local_addr().map_err(failed)?.port());
    let ask = NewSignIn {
        email: new.email.clone(),
        user: new.user.clone(),
        provider: new.provider.clone(),
        redirect: Some(ours.clone()),
        direction: new.direction.map(Into::into),
    };
    let (id, url, redirect) = match client.post("/sign-ins", Some(&ask)).await? {
        SignInShown::Password => return Ok(None),
        SignInShown::Added { added } => return Ok(Some(added)),
        SignInShown::Browser { id, url, redirect, .. } => (id, url, redirect),
    };
    note(&format!("Sign in as {} at\n\n  {url}\n", new.email));
    if let Some(program) = browser(new.no_browser, |name| std::env::var_os(name).is_some()) {
        open(program, &url);
    }
    let path = format!("/sign-ins/{id}");
    let state = parameter(&url, "state").unwrap_or_default();
    let (give, mut come) = mpsc::channel(4);
    if redirect == ours {
        note(
            "Waiting for you to come back to this machine. If your browser is on another one, it will show an error in the end:\n\
              paste the address at which it does so here.",
        );
        tokio::spawn(listen(listener, state.clone(), give.clone()));
    } else {
        note(&format!("Waiting for you to come back to {redirect}."));
    }
    // `give` stays here, too, so that the other end never hears that nobody is left.
    read_lines(give.clone());
    let waiting = async {
        let mut outcome = std::pin::pin!(client.get::<AccountAdded>(&path));
        loop {
            tokio::select! {
                ended = &mut outcome, if redirect != ours => return ended,
                Some(back) = come.recv() => {
                    // Where users come back to the daemon, it alone knows what follows.
                    if redirect == ours && parameter(&back.redirected, "state").as_deref() != Some(&state) {
                        note("That is not the address that follows on this sign-in; it has code= and state= in it.");
                        continue;
                    }
                    let answer = CameBack { redirected: back.redirected };
                    let ended: Result<AccountAdded, CliError> = client.post(&path, Some(&answer)).await;
                    if redirect != ours && let Err(error) = &ended && error.exit == Exit::Failed {
                        note(&error.says);
                        continue;
                    }
                    if let Some(browser) = back.browser {
                        match &ended {
                            Ok(added) => tell(browser, "200 OK", &format!("{} is connected. You can close this window.", added.account.address)).await,
                            Err(error) => tell(browser, "400 Bad Request", &error.says).await,
                        }
                    }
                    return ended;
                }
            }
        }
    };
    let ended = tokio::time::timeout(PATIENCE, waiting).await;
    drop(give);
    match ended {
        Ok(ended) => ended.map(Some),
        Err(_) => Err(CliError::new(Exit::Waits, "nobody came back in time; nothing was connected. Try again")),
    }
}

/// Connects the mailboxes of all active users with an address in the domain; those that are connected are left alone. Each is
/// told as it comes, and one that fails keeps none of the others.
pub(super) async fn add_domain(all: &AccountAddDomain, client: &Client, style: Style) -> Result<Exit, CliError> {
    let end = format!("@{}", all.domain.trim_start_matches('@').to_ascii_lowercase());
    let users: Vec<UserShown> = client.get("/users").await?;
    let accounts: Vec<AccountShown> = client.get("/accounts").await?;
    let here = |email: &str| accounts.iter().any(|a| a.state != "removed" && a.address.eq_ignore_ascii_case(email));
    let theirs = |user: &UserShown| user.active && user.email.to_ascii_lowercase().ends_with(&end);
    let (known, new): (Vec<UserShown>, Vec<UserShown>) =
        users.into_iter().filter(theirs).partition(|user| here(&user.email));
    if known.is_empty() && new.is_empty() {
        let says = format!("no active user has an address that ends with {end}; see `contactd users list`");
        return Err(CliError::new(Exit::Failed, says));
    }
    let (mut rows, mut failed, mut exit) = (Vec::new(), 0, Exit::Ok);
    for user in new {
        let ask = NewSignIn {
            email: user.email.clone(),
            user: user.id.to_string(),
            provider: Some("google".to_owned()),
            // Nobody is sent anywhere: where a browser would be needed, it ends here.
            redirect: Some("http://127.0.0.1:9/".to_owned()),
            direction: all.direction.map(Into::into),
        };
        let row = match client.post("/sign-ins", Some(&ask)).await {
            Ok(SignInShown::Added { added }) => {
                json!({ "address": user.email, "how": added.how, "state": added.account.state, "error": null })
            }
            Ok(SignInShown::Password | SignInShown::Browser { .. }) => return Err(not_delegated(&all.domain)),
            // Nobody else's would do better.
            Err(error) if error.exit == Exit::Unreachable => return Err(error),
            Err(error) => {
                failed += 1;
                // What waits for a person is told as that only where nothing else is wrong.
                exit = match exit {
                    Exit::Ok | Exit::Waits if error.exit == Exit::Waits => Exit::Waits,
                    _ => Exit::Failed,
                };
                json!({ "address": user.email, "how": null, "state": null, "error": error.says })
            }
        };
        if !style.json {
            match row["error"].as_str() {
                Some(error) => note(&format!("{}: {error}", user.email)),
                None => note(&format!("{}: connected", user.email)),
            }
        }
        rows.push(row);
    }
    let (done, known) = (rows.len() - failed, known.len());
    style.answer(&rows, |_| {
        format!(
            "{done} connected, {failed} failed, {known} connected before. Nothing is synced yet; for each of them:\n  \
             contactd preview ADDRESS         what a sync would do\n  \
             contactd account start ADDRESS   do it, and go on\n"
        )
    });
    Ok(exit)
}

fn not_delegated(domain: &str) -> CliError {
    let says = format!(
        "{domain} is not among google.delegated_domains, so that each of its users has to sign in: \
         `contactd account add ADDRESS --user USER`"
    );
    CliError::new(Exit::Failed, says)
}

/// Waits for browsers, each by itself: some connect ahead and say nothing for a while.
async fn listen(listener: TcpListener, state: String, give: mpsc::Sender<Back>) {
    while let Ok((browser, _)) = listener.accept().await {
        let (state, give) = (state.clone(), give.clone());
        tokio::spawn(async move {
            if let Ok(Some(back)) = tokio::time::timeout(READING, came(browser, &state)).await {
                let _ = give.send(back).await;
            }
        });
    }
}

/// A browser's request, if it brings the answer that is waited for.
async fn came(mut browser: TcpStream, state: &str) -> Option<Back> {
    let mut request = Vec::new();
    let mut buffer = [0; 2048];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") && request.len() < LONGEST {
        match browser.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => request.extend_from_slice(&buffer[..read]),
        }
    }
    match answer(&String::from_utf8_lossy(&request), state) {
        Some(redirected) => Some(Back { redirected, browser: Some(browser) }),
        None => {
            tell(browser, "404 Not Found", "There is nothing here.").await;
            None
        }
    }
}

/// What stands in the first line of a request, if it is the answer to our question.
fn answer(request: &str, state: &str) -> Option<String> {
    let target = request.strip_prefix("GET /?")?.split(' ').next()?;
    let ours = parameter(target, "state").as_deref() == Some(state) && !state.is_empty();
    ours.then(|| target.to_owned())
}

/// A parameter of an address, or of what stands behind its `?`.
fn parameter(address: &str, name: &str) -> Option<String> {
    let query = Url::parse(address.trim()).ok().and_then(|url| url.query().map(str::to_owned));
    let query = query.unwrap_or_else(|| address.trim().trim_start_matches('?').to_owned());
    url::form_urlencoded::parse(query.as_bytes()).into_owned().collect::<BTreeMap<_, _>>().remove(name)
}

/// A page for the browser. Whether it arrives changes nothing.
async fn tell(mut browser: TcpStream, status: &str, says: &str) {
    let says = says.replace('&', "&amp;").replace('<', "&lt;");
    let page = format!("<!doctype html><meta charset=\"utf-8\"><title>contactd</title><p>{says}</p>\n");
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
         Referrer-Policy: no-referrer\r\nContent-Security-Policy: default-src 'none'\r\nConnection: close\r\n\r\n{page}",
        page.len()
    );
    let _ = browser.write_all(answer.as_bytes()).await;
    let _ = browser.shutdown().await;
}

/// Hands on what is pasted. A thread of its own, which holds up nothing when the command ends.
fn read_lines(give: mpsc::Sender<Back>) {
    std::thread::spawn(move || {
        let pasted = std::io::stdin().lock().lines().map_while(Result::ok).filter(|line| !line.trim().is_empty());
        for redirected in pasted {
            if give.blocking_send(Back { redirected, browser: None }).is_err() {
                return;
            }
        }
    });
}

/// What opens a browser here, if somebody sits in front of one. Not by way of sudo: it would be root's.
fn browser(unwanted: bool, is_set: impl Fn(&str) -> bool) -> Option<&'static str> {
    if unwanted || is_set("SUDO_USER") {
        None
    } else if cfg!(target_os = "macos") {
        Some("open")
    } else {
        (is_set("DISPLAY") || is_set("WAYLAND_DISPLAY")).then_some("xdg-open")
    }
}

/// Opens it. If that fails, the address has been shown.
fn open(program: &str, url: &str) {
    let quiet = Command::new(program).arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    drop(quiet);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_answer_that_is_waited_for_is_taken() {
        let table = [
            ("GET /?state=s&code=c HTTP/1.1\r\n", Some("state=s&code=c")),
            ("GET /?code=c&state=s&scope=a%20b HTTP/1.1\r\n", Some("code=c&state=s&scope=a%20b")),
            ("GET /?error=access_denied&state=s HTTP/1.1\r\n", Some("error=access_denied&state=s")),
            ("GET /?state=other&code=c HTTP/1.1\r\n", None),
            ("GET /?code=c HTTP/1.1\r\n", None),
            ("GET /favicon.ico HTTP/1.1\r\n", None),
            ("POST /?state=s&code=c HTTP/1.1\r\n", None),
            ("", None),
        ];
        for (request, expected) in table {
            assert_eq!(answer(request, "s").as_deref(), expected, "{request}");
        }
        assert_eq!(answer("GET /?state=&code=c HTTP/1.1\r\n", ""), None);
    }

    #[test]
    fn a_browser_is_opened_where_somebody_sees_it() {
        let with = |set: &'static [&'static str]| move |name: &str| set.contains(&name);
        if cfg!(not(target_os = "macos")) {
            assert_eq!(browser(false, with(&["DISPLAY"])), Some("xdg-open"));
            assert_eq!(browser(false, with(&["WAYLAND_DISPLAY"])), Some("xdg-open"));
            assert_eq!(browser(false, with(&[])), None);
        }
        assert_eq!(browser(false, with(&["DISPLAY", "SUDO_USER"])), None);
        assert_eq!(browser(true, with(&["DISPLAY"])), None);
    }
}
