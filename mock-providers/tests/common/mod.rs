//! A client over real sockets that shares no code with the mock: it asks, and reads a multistatus into rows.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test helper fails the test")]

use std::collections::BTreeMap;

use mock_providers::carddav::{Device, Icloud, Settings};
use quick_xml::NsReader;
use quick_xml::events::Event;
use reqwest::Method;
use reqwest::header::HeaderMap;

/// An answer.
#[derive(Debug)]
pub struct Got {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Got {
    /// A header, or the empty text.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The rows of a multistatus.
    pub fn rows(&self) -> Vec<Row> {
        assert_eq!(self.status, 207, "{}", self.body);
        rows(&self.body)
    }

    /// The rows by the last segment of their hrefs; a collection with a slash has an empty one.
    pub fn by_name(&self) -> BTreeMap<String, Row> {
        self.rows().into_iter().map(|row| (row.name().to_owned(), row)).collect()
    }

    /// The sync token of the answer.
    pub fn token(&self) -> String {
        let (_, rest) = self.body.split_once("sync-token>").expect("a token");
        rest.split('<').next().unwrap().to_owned()
    }
}

/// A `response` of a multistatus.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    pub href: String,
    /// The status of the row itself, if it has one.
    pub status: Option<u16>,
    /// Properties of 2xx propstats: `local name -> text of everything inside, element names in <>`.
    pub props: BTreeMap<String, String>,
    /// Properties of other propstats.
    pub missing: Vec<String>,
}

impl Row {
    pub fn name(&self) -> &str {
        self.href.rsplit('/').next().unwrap()
    }

    pub fn etag(&self) -> &str {
        self.props.get("getetag").map_or("", String::as_str)
    }

    pub fn card(&self) -> &str {
        self.props.get("address-data").map_or("", String::as_str)
    }
}

fn code(line: &str) -> u16 {
    line.split(' ').nth(1).unwrap().parse().unwrap()
}

fn rows(body: &str) -> Vec<Row> {
    let mut reader = NsReader::from_str(body);
    reader.config_mut().expand_empty_elements = true;
    let (mut path, mut rows): (Vec<String>, Vec<Row>) = (Vec::new(), Vec::new());
    let (mut stat, mut values): (u16, Vec<(String, String)>) = (0, Vec::new());
    loop {
        let (_, event) = reader.read_resolved_event().unwrap_or_else(|error| panic!("{error}: {body}"));
        let mut text = String::new();
        match event {
            Event::Start(start) => {
                let name = start.local_name().into_inner().to_owned();
                let inside_prop = path.len() == 4 && path[3] == "prop";
                match name.as_str() {
                    "response" => rows.push(Row::default()),
                    "propstat" => stat = 0,
                    _ if inside_prop => values.push((name.clone(), String::new())),
                    _ if path.len() > 4 => values.last_mut().unwrap().1.push_str(&format!("<{name}>")),
                    _ => {}
                }
                path.push(name);
            }
            Event::End(_) => {
                let closed = path.pop();
                let props =
                    if closed.as_deref() == Some("propstat") { std::mem::take(&mut values) } else { Vec::new() };
                for (name, value) in props {
                    let row = rows.last_mut().unwrap();
                    match stat {
                        200..300 => assert!(row.props.insert(name, value).is_none(), "a property twice: {body}"),
                        _ => row.missing.push(name),
                    }
                }
            }
            Event::Text(bytes) => text = bytes.into_inner().into_owned(),
            Event::GeneralRef(entity) => {
                text = match entity.resolve_char_ref().unwrap() {
                    Some(letter) => letter.to_string(),
                    None => quick_xml::escape::resolve_predefined_entity(&entity).unwrap().to_owned(),
                }
            }
            Event::Eof => break,
            _ => {}
        }
        if text.is_empty() {
            continue;
        }
        match path.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["multistatus", "response", "href"] => rows.last_mut().unwrap().href.push_str(&text),
            ["multistatus", "response", "status"] => rows.last_mut().unwrap().status = Some(code(&text)),
            ["multistatus", "response", "propstat", "status"] => stat = code(&text),
            ["multistatus", "response", "propstat", "prop", _, ..] => values.last_mut().unwrap().1.push_str(&text),
            _ => {}
        }
    }
    rows
}

/// A mock and somebody who speaks to it.
pub struct Lab {
    pub icloud: Icloud,
    pub device: Device,
    pub http: reqwest::Client,
    pub user: String,
    pub password: String,
}

impl Lab {
    pub async fn start(settings: Settings) -> Self {
        let icloud = Icloud::start(settings).await.unwrap();
        let device = icloud.first_device().unwrap();
        // Built together with contactd, reqwest speaks TLS and wants to know by whose ciphers, though nothing here uses it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let (user, password) = (device.user(), device.password());
        Self { icloud, device, http, user, password }
    }

    pub async fn icloud() -> Self {
        Self::start(Settings::icloud()).await
    }

    /// The URL of the book on the partition.
    pub fn book(&self) -> String {
        self.icloud.partition_url() + &self.device.book_path()
    }

    pub async fn try_send(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Result<Got, reqwest::Error> {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.http.request(method, url).basic_auth(&self.user, Some(&self.password)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Got { status, headers, body: String::from_utf8_lossy(&response.bytes().await?).into_owned() })
    }

    pub async fn send(&self, method: &str, url: &str, headers: &[(&str, &str)], body: impl Into<reqwest::Body>) -> Got {
        self.try_send(method, url, headers, body).await.unwrap()
    }

    pub async fn get(&self, name: &str) -> Got {
        self.send("GET", &format!("{}{name}", self.book()), &[], "").await
    }

    pub async fn put(&self, name: &str, headers: &[(&str, &str)], card: &str) -> Got {
        self.send("PUT", &format!("{}{name}", self.book()), headers, card.to_owned()).await
    }

    pub async fn create(&self, name: &str, card: &str) -> Got {
        self.put(name, &[("if-none-match", "*")], card).await
    }

    pub async fn delete(&self, name: &str, headers: &[(&str, &str)]) -> Got {
        self.send("DELETE", &format!("{}{name}", self.book()), headers, "").await
    }

    pub async fn propfind(&self, url: &str, depth: &str, props: &str) -> Got {
        self.send("PROPFIND", url, &[("depth", depth)], propfind(props)).await
    }

    /// The etags of the book.
    pub async fn listing(&self) -> Got {
        self.propfind(&self.book(), "1", "<D:getetag/><D:resourcetype/>").await
    }

    /// The token and the tag of the book.
    pub async fn current_token(&self) -> String {
        self.propfind(&self.book(), "0", "<D:sync-token/>").await.token()
    }

    pub async fn report(&self, body: impl Into<reqwest::Body>) -> Got {
        self.send("REPORT", &self.book(), &[("depth", "1"), ("content-type", "text/xml")], body).await
    }

    pub async fn sync(&self, token: &str) -> Got {
        self.report(sync(token, "")).await
    }

    pub async fn multiget<'a>(&self, hrefs: impl IntoIterator<Item = &'a str>) -> Got {
        self.report(multiget(hrefs)).await
    }
}

pub const NS: &str =
    r#"xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:carddav" xmlns:CS="http://calendarserver.org/ns/""#;

pub fn propfind(props: &str) -> String {
    format!("<D:propfind {NS}><D:prop>{props}</D:prop></D:propfind>")
}

pub fn sync(token: &str, more: &str) -> String {
    let token = format!("<D:sync-token>{token}</D:sync-token><D:sync-level>1</D:sync-level>");
    format!("<D:sync-collection {NS}>{token}{more}<D:prop><D:getetag/></D:prop></D:sync-collection>")
}

pub fn multiget<'a>(hrefs: impl IntoIterator<Item = &'a str>) -> String {
    let hrefs: String = hrefs.into_iter().map(|href| format!("<D:href>{href}</D:href>")).collect();
    let prop = "<D:prop><D:getetag/><C:address-data/></D:prop>";
    format!("<C:addressbook-multiget {NS}>{prop}{hrefs}</C:addressbook-multiget>")
}

pub fn query(filter: &str) -> String {
    let prop = "<D:prop><D:getetag/><C:address-data/></D:prop>";
    format!("<C:addressbook-query {NS}>{prop}{filter}</C:addressbook-query>")
}

/// A small card that iCloud takes.
pub fn card(uid: &str, name: &str) -> String {
    format!(
        "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{uid}\r\nFN:{name}\r\nN:{name};;;;\r\nEMAIL:{uid}@example.com\r\nEND:VCARD\r\n"
    )
}
