//! From what a user can know (an e-mail address, a host, any address of the server) to the address books.
//!
//! Owns: RFC 6764 §6 and iCloud's chain (icloud-carddav.md §1). Must not: hand credentials to a host that the account
//! doesn't trust; that is the client's rule, and where it stops us the user is asked to confirm the host.

use reqwest::header::ACCEPT;
use reqwest::{Method, StatusCode, Url};

use super::fault::Fault;
use super::href::{self, Spelling};
use super::requests::{BOOK, WHAT_IS_IT, propfind};
use super::settings::{Book, CarddavSettings, Flavour, Found};
use super::xml::{self, Props, Row};
use crate::ids::CollectionId;
use crate::provider::dns::{self, Resolver};
use crate::provider::http::Door;
use crate::provider::http::message::{HttpError, Request};
use crate::provider::http::trust::{host_and_port, is_under};
use crate::sync::retry::Resend;

/// Well-known path (RFC 6764 §5).
const WELL_KNOWN: &str = "/.well-known/carddav";
/// How many collections within a home are looked into when it shows no address book itself.
const MOST_SUBCOLLECTIONS: usize = 20;

/// What was found, and the door through which it can be reached: DNS may have added a host to trust.
pub(super) struct Discovered {
    pub found: Found,
    pub door: Door,
}

/// Looks for the account's address books.
pub(super) async fn discover(
    door: &Door,
    settings: &CarddavSettings,
    resolver: &dyn Resolver,
) -> Result<Discovered, Fault> {
    let start = settings.start().map_err(Fault::BadAddress)?;
    let (door, starts) = match start {
        Some(url) => (door.clone(), with_fallbacks(&url)),
        None => ask_dns(door, settings, resolver).await?,
    };
    let mut obstacle = None;
    // iCloud's own entry serves the data paths too, whichever partition holds them (icloud-carddav.md §1.1).
    let generic = (settings.flavour == Flavour::ICloud).then(|| starts.first().cloned()).flatten();
    for url in starts {
        match explore(&door, &url, generic.as_ref()).await {
            Ok(Some(found)) if !found.books.is_empty() => match only_trusted(found, &door) {
                Ok(found) => return Ok(Discovered { found, door }),
                Err(stranger) => {
                    obstacle.get_or_insert(stranger);
                }
            },
            // iCloud is seen to answer empty when it is asked too fast (S:16 #95): not the user's fault.
            Ok(Some(found)) if settings.flavour == Flavour::ICloud && !found.principal.is_empty() => {
                return Err(Fault::Implausible("iCloud shows the account without its address book"));
            }
            Ok(_) => {}
            // A wrong password is not tried elsewhere: repeated failures lock accounts (icloud-carddav.md §1.2).
            Err(fault @ (Fault::SignIn | Fault::Http(HttpError::Wait { .. }))) => return Err(fault),
            Err(fault) => {
                obstacle.get_or_insert(fault);
            }
        }
    }
    Err(obstacle.unwrap_or(Fault::NoBook))
}

/// What is found is trusted from then on, so nothing may be in it that was only named and never asked.
fn only_trusted(mut found: Found, door: &Door) -> Result<Found, Fault> {
    if !Url::parse(&found.principal).is_ok_and(|url| door.trust().allows(&url)) {
        found.principal.clear();
    }
    let (books, strange): (Vec<Book>, Vec<Book>) =
        found.books.into_iter().partition(|book| door.trust().allows(&book.url));
    match strange.first() {
        Some(book) if books.is_empty() => Err(Fault::Http(HttpError::Untrusted { host: host_and_port(&book.url) })),
        _ => Ok(Found { books, ..found }),
    }
}

/// The address itself, then where its host says that the service is.
fn with_fallbacks(url: &Url) -> Vec<Url> {
    let mut all = vec![url.clone()];
    for path in [WELL_KNOWN, "/"] {
        let mut other = url.clone();
        other.set_path(path);
        other.set_query(None);
        if !all.contains(&other) {
            all.push(other);
        }
    }
    all
}

/// Where the domain of the e-mail address says that the service is (RFC 6764 §6).
async fn ask_dns(door: &Door, settings: &CarddavSettings, resolver: &dyn Resolver) -> Result<(Door, Vec<Url>), Fault> {
    let domain = settings.user.rsplit_once('@').map(|(_, domain)| domain.trim().to_ascii_lowercase());
    let domain = domain.filter(|domain| Url::parse(&format!("https://{domain}/")).is_ok()).ok_or_else(|| {
        Fault::BadAddress("without the server's address an e-mail address is needed to find it".to_owned())
    })?;
    let name = format!("_carddavs._tcp.{domain}");
    let unanswered =
        |error: dns::DnsError| Fault::Http(HttpError::Connect { host: domain.clone(), why: error.to_string() });
    let services = resolver.srv(&name).await.map_err(unanswered)?;
    let mut trust = door.trust().clone();
    let mut starts = Vec::new();
    for service in services.iter().filter(|service| !service.target.is_empty()) {
        let Ok(mut url) = Url::parse(&format!("https://{}:{}/", service.target, service.port)) else { continue };
        // Anyone can answer DNS with any host: outside the domain a person must confirm it (RFC 6764 §8).
        if is_under(&service.target, &domain) {
            trust.add_url(&url);
        }
        let texts = resolver.txt(&name).await.unwrap_or_default();
        for path in dns::path_of(&texts).into_iter().chain([WELL_KNOWN, "/"]) {
            url.set_path(path);
            starts.push(url.clone());
        }
    }
    if services.is_empty()
        && let Ok(url) = Url::parse(&format!("https://{domain}{WELL_KNOWN}"))
    {
        trust.add_url(&url);
        starts = with_fallbacks(&url);
    }
    Ok((door.trusting(trust), starts))
}

/// Finds out what stands at an address, and from there the address books; `None` = nothing of DAV.
async fn explore(door: &Door, url: &Url, generic: Option<&Url>) -> Result<Option<Found>, Fault> {
    let Some((url, what)) = probe(door, url).await? else { return Ok(None) };
    let principal = what.principal.as_deref().and_then(|href| href::resolve(&url, href));
    let named = principal.as_ref().map(Url::to_string).unwrap_or_default();
    if what.is_addressbook {
        let book = book(&url, &what, &url);
        return Ok(Some(Found { principal: named, books: vec![book], groups: None }));
    }
    if !what.homes.is_empty() {
        let principal = if named.is_empty() { url.to_string() } else { named };
        return Ok(Some(Found { principal, books: homes(door, &url, &what.homes, generic).await?, groups: None }));
    }
    if let Some(principal) = principal
        && let Some((at, props)) = probe(door, &principal).await?
        && !props.homes.is_empty()
    {
        let books = homes(door, &at, &props.homes, generic).await?;
        return Ok(Some(Found { principal: named, books, groups: None }));
    }
    // The address of a home itself, or a server without principals.
    let books = if what.is_collection { home(door, &url).await? } else { Vec::new() };
    Ok(Some(Found { principal: named, books, groups: None }))
}

/// Asks what stands at an address; redirects followed. `None` = nothing of DAV.
async fn probe(door: &Door, url: &Url) -> Result<Option<(Url, Props)>, Fault> {
    if let Some(found) = probe_once(door, url).await? {
        return Ok(Some(found));
    }
    if url.path() != WELL_KNOWN {
        return Ok(None);
    }
    // Some servers redirect only GET (icloud-carddav.md §1.3).
    let get = Request::new(Method::GET, url.clone()).header(ACCEPT, "*/*").limit(1 << 20).quick();
    match door.send(&get, Resend::Safe).await {
        Ok(answer) if answer.url != *url => probe_once(door, &answer.url).await,
        Err(error @ (HttpError::Untrusted { .. } | HttpError::Plain { .. })) => Err(error.into()),
        _ => Ok(None),
    }
}

async fn probe_once(door: &Door, url: &Url) -> Result<Option<(Url, Props)>, Fault> {
    let answer = door.send(&propfind(url.clone(), 0, WHAT_IS_IT), Resend::Safe).await?;
    match answer.status {
        StatusCode::MULTI_STATUS => {}
        StatusCode::UNAUTHORIZED => return Err(Fault::SignIn),
        status if status.is_server_error() => return Err(Fault::of(&answer).await),
        _ => return Ok(None),
    }
    let at = href::canonical(answer.url.path());
    let mut best: Option<Row> = None;
    let read = xml::read_whole(&answer.body, |row| {
        let is_self =
            href::resolve(&answer.url, &row.href).is_some_and(|u| href::same(&href::canonical(u.path()), &at));
        if best.is_none() || is_self {
            best = Some(row);
        }
    });
    if read.await.is_err() {
        return Ok(None);
    }
    Ok(best.map(|row| (answer.url, row.props)))
}

/// The address books in all homes; there can be several (icloud-carddav.md §1.3).
async fn homes(door: &Door, base: &Url, hrefs: &[String], generic: Option<&Url>) -> Result<Vec<Book>, Fault> {
    let mut books: Vec<Book> = Vec::new();
    for href in hrefs {
        let Some(url) = href::resolve(base, href) else { continue };
        for found in home_or_generic(door, &url, generic).await? {
            if !books.iter().any(|book| book.id == found.id) {
                books.push(found);
            }
        }
    }
    Ok(books)
}

/// The same home by way of the provider's entry, where the host that it names is down.
async fn home_or_generic(door: &Door, url: &Url, generic: Option<&Url>) -> Result<Vec<Book>, Fault> {
    let fault = match home(door, url).await {
        Err(fault) if fault.is_of_the_host() => fault,
        outcome => return outcome,
    };
    let Some(entry) = generic.filter(|entry| entry.origin() != url.origin()) else { return Err(fault) };
    let mut elsewhere = entry.clone();
    elsewhere.set_path(url.path());
    elsewhere.set_query(None);
    // If that fails too, the first failure says more.
    home(door, &elsewhere).await.map_err(|_| fault)
}

async fn home(door: &Door, url: &Url) -> Result<Vec<Book>, Fault> {
    let (books, inner) = children(door, url).await?;
    if !books.is_empty() {
        return Ok(books);
    }
    let mut books = Vec::new();
    for collection in inner.into_iter().take(MOST_SUBCOLLECTIONS) {
        // A collection that can't be looked into hides only itself.
        if let Ok((found, _)) = children(door, &collection).await {
            books.extend(found);
        }
    }
    Ok(books)
}

/// The address books and the other collections directly in a home.
async fn children(door: &Door, url: &Url) -> Result<(Vec<Book>, Vec<Url>), Fault> {
    let answer = door.send(&propfind(url.clone(), 1, BOOK), Resend::Safe).await?;
    if answer.status != StatusCode::MULTI_STATUS {
        return Err(Fault::of(&answer).await);
    }
    let at = href::canonical(answer.url.path());
    let (mut books, mut inner) = (Vec::new(), Vec::new());
    let read = xml::read_whole(&answer.body, |row| {
        let Some(child) = href::resolve(&answer.url, &row.href) else { return };
        if row.props.is_addressbook {
            books.push(book(&child, &row.props, &answer.url));
        } else if row.props.is_collection && !href::same(&href::canonical(child.path()), &at) {
            inner.push(child);
        }
    });
    read.await.map_err(|_| Fault::Implausible("a home that can't be read"))?;
    Ok((books, inner))
}

fn book(url: &Url, props: &Props, base: &Url) -> Book {
    let mut url = url.clone();
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    let mut spelling = Spelling::default();
    spelling.learn(url.path());
    spelling.learn(base.path());
    let last = url.path().trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
    Book {
        id: CollectionId(href::collection(url.path())),
        name: props.name.clone().unwrap_or(last),
        writable: is_writable(props),
        spelling,
        url,
    }
}

/// Whether the server lets us write, as far as it tells (icloud-carddav.md §2.2); what it doesn't tell a 403 will.
pub(super) fn is_writable(props: &Props) -> bool {
    props
        .privileges
        .as_ref()
        .is_none_or(|all| all.iter().any(|privilege| matches!(privilege.as_str(), "all" | "write" | "write-content")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn privileges_as_servers_tell_them() {
        let with = |names: Option<&[&str]>| Props {
            privileges: names.map(|names| names.iter().map(|name| (*name).to_owned()).collect()),
            ..Props::default()
        };
        assert!(is_writable(&with(None)));
        assert!(is_writable(&with(Some(&["all"]))));
        assert!(is_writable(&with(Some(&["read", "write-content", "bind", "unbind"]))));
        assert!(!is_writable(&with(Some(&["read", "read-current-user-privilege-set"]))));
        assert!(!is_writable(&with(Some(&[]))));
    }

    #[test]
    fn an_address_and_its_fallbacks() {
        let urls =
            |text: &str| with_fallbacks(&Url::parse(text).unwrap()).into_iter().map(String::from).collect::<Vec<_>>();
        assert_eq!(
            urls("https://a.example/x/?y"),
            ["https://a.example/x/?y", "https://a.example/.well-known/carddav", "https://a.example/"]
        );
        assert_eq!(urls("https://a.example/").len(), 2);
    }
}
