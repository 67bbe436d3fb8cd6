//! As much of a browser as signing in needs: it gets pages, keeps cookies as it is told, and sends forms.
//!
//! Owns: one user's cookies. Must not: judge, follow where it is not told to.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;

use url::Url;

/// A browser with cookies of its own.
#[derive(Default)]
pub(crate) struct Browser {
    cookies: RefCell<BTreeMap<String, String>>,
}

impl Browser {
    /// What it gets from that address, heads and all.
    pub(crate) fn get(&self, url: &Url) -> String {
        self.ask("GET", url, "")
    }

    /// Sends a form to that address.
    pub(crate) fn post(&self, url: &Url, form: &[(&str, &str)]) -> String {
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        self.ask("POST", url, &form)
    }

    /// Forgets its cookies.
    pub(crate) fn forget(&self) {
        self.cookies.borrow_mut().clear();
    }

    /// Its cookies' names and values.
    pub(crate) fn cookies(&self) -> BTreeMap<String, String> {
        self.cookies.borrow().clone()
    }

    /// Keeps a cookie, whoever it is from.
    pub(crate) fn keep(&self, name: &str, value: &str) {
        self.cookies.borrow_mut().insert(name.to_owned(), value.to_owned());
    }

    fn ask(&self, method: &str, url: &Url, body: &str) -> String {
        let host = url.host_str().unwrap();
        let mut server = TcpStream::connect((host, url.port().unwrap())).unwrap();
        let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let kept: Vec<String> = self.cookies().iter().map(|(name, value)| format!("{name}={value}")).collect();
        let kept = if kept.is_empty() { String::new() } else { format!("Cookie: {}\r\n", kept.join("; ")) };
        let form = if method == "POST" { "Content-Type: application/x-www-form-urlencoded\r\n" } else { "" };
        let length = body.len();
        write!(
            server,
            "{method} {target} HTTP/1.1\r\nHost: {host}\r\n{kept}{form}Content-Length: {length}\r\n\
             Connection: close\r\n\r\n{body}"
        )
        .unwrap();
        let mut page = String::new();
        server.read_to_string(&mut page).unwrap();
        if let Some((name, value)) =
            head(&page, "set-cookie").and_then(|cookie| cookie.split(';').next()?.split_once('='))
        {
            self.keep(name, value);
        }
        page
    }
}

/// A head of an answer.
pub(crate) fn head<'a>(page: &'a str, name: &str) -> Option<&'a str> {
    let heads = page.split("\r\n\r\n").next()?.lines().filter_map(|line| line.split_once(": "));
    heads.into_iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// Where the browser is sent to.
pub(crate) fn location(page: &str) -> Url {
    Url::parse(head(page, "location").unwrap_or_else(|| panic!("{page}"))).unwrap()
}

/// What a browser without a cookie gets from that address.
pub(crate) fn get(url: &Url) -> String {
    Browser::default().get(url)
}

/// What a page's form has in a hidden field.
pub(crate) fn hidden<'a>(page: &'a str, name: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("name=\"{name}\" value=\"")).unwrap_or_else(|| panic!("{page}"));
    rest.split('"').next().unwrap_or_default()
}
