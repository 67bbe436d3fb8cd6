//! Where credentials may go, and which redirect may be followed.
//!
//! Owns: [`TrustSet`] and [`redirected`]. Must not: send anything.

use reqwest::Url;
use reqwest::header::HeaderValue;

/// The hosts that may be given an account's credentials (icloud-carddav.md §1.4): the one that the user named, those
/// that belong to the same provider, and those that the user confirmed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustSet {
    hosts: Vec<Trusted>,
    plain_loopback: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Trusted {
    /// This host at this port.
    Exactly(String, u16),
    /// This host and all under it, at the port of https.
    Under(String),
}

impl TrustSet {
    /// Trusts nobody. `plain_loopback`: whether `http` to this machine itself counts as safe (for tests and for servers
    /// on the same machine).
    pub fn new(plain_loopback: bool) -> Self {
        Self { hosts: Vec::new(), plain_loopback }
    }

    /// Trusts the host and port of that address.
    pub fn add_url(&mut self, url: &Url) {
        if let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) {
            self.add(Trusted::Exactly(normal(host), port));
        }
    }

    /// Trusts a host as written in settings: `dav.example.com`, `dav.example.com:8443`, or `*.example.com` (that domain
    /// and all under it). What can't be read trusts nobody.
    pub fn add_pattern(&mut self, pattern: &str) {
        let pattern = pattern.trim();
        if let Some(suffix) = pattern.strip_prefix("*.") {
            // A whole top-level domain is never meant.
            if suffix.contains('.') {
                self.add(Trusted::Under(normal(suffix)));
            }
        } else if let Ok(url) = Url::parse(&format!("https://{pattern}/")) {
            self.add_url(&url);
        }
    }

    fn add(&mut self, trusted: Trusted) {
        if !self.hosts.contains(&trusted) {
            self.hosts.push(trusted);
        }
    }

    /// Whether credentials may be sent to that address.
    pub fn allows(&self, url: &Url) -> bool {
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else { return false };
        let host = normal(host);
        self.is_safe(url)
            && self.hosts.iter().any(|trusted| match trusted {
                Trusted::Exactly(name, at) => *name == host && *at == port,
                Trusted::Under(suffix) => port == 443 && is_under(&host, suffix),
            })
    }

    /// Whether nobody on the way can read along: https, or this machine itself where that is allowed.
    pub fn is_safe(&self, url: &Url) -> bool {
        match url.scheme() {
            "https" => true,
            "http" => self.plain_loopback && is_loopback(url),
            _ => false,
        }
    }
}

/// Whether a host is a domain or stands under it.
pub fn is_under(host: &str, domain: &str) -> bool {
    host == domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
}

/// Whether the address is written as one of this machine itself.
pub fn is_loopback(url: &Url) -> bool {
    match url.host_str() {
        Some(host) if host.eq_ignore_ascii_case("localhost") => true,
        Some(host) => host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback()),
        None => false,
    }
}

/// A host as it is written for [`TrustSet::add_pattern`]: with its port, where that is not the one of https.
pub fn host_and_port(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port_or_known_default() {
        Some(port) if port != 443 => format!("{host}:{port}"),
        _ => host.to_owned(),
    }
}

fn normal(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

/// Why a redirect is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRedirect {
    /// No target, or none that can be read.
    #[error("it names no address that we can read")]
    Unreadable,
    /// From https to something that others can read along.
    #[error("it leads from https to an address without encryption")]
    Downgrade,
    /// To something that is not on the web.
    #[error("it leads to something that is not on the web")]
    Scheme,
    /// One after the other.
    #[error("it is the {MOST_REDIRECTS}th in a row")]
    TooMany,
}

/// How many redirects are followed for one request.
pub const MOST_REDIRECTS: u32 = 5;

/// Where a redirect leads (RFC 9110 §10.2.2). Never from https to http, `//host/path` included; never with a user name.
pub fn redirected(from: &Url, location: Option<&HeaderValue>) -> Result<Url, BadRedirect> {
    let location =
        location.and_then(|value| std::str::from_utf8(value.as_bytes()).ok()).ok_or(BadRedirect::Unreadable)?;
    let mut to = from.join(location.trim()).map_err(|_| BadRedirect::Unreadable)?;
    match (from.scheme(), to.scheme()) {
        ("https", "http") => return Err(BadRedirect::Downgrade),
        (_, "https" | "http") => {}
        _ => return Err(BadRedirect::Scheme),
    }
    if to.host_str().is_none() || to.set_username("").is_err() || to.set_password(None).is_err() {
        return Err(BadRedirect::Unreadable);
    }
    to.set_fragment(None);
    Ok(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn credentials_stay_at_home() {
        let mut trust = TrustSet::new(true);
        trust.add_url(&url("https://Contacts.iCloud.com/"));
        trust.add_pattern("*.icloud.com");
        trust.add_pattern("*.icloud.com.cn");
        trust.add_pattern("dav.example.com:8443");
        trust.add_url(&url("http://127.0.0.1:9001/"));
        trust.add_pattern("*.com");
        let table = [
            ("https://contacts.icloud.com/", true),
            ("https://p42-contacts.icloud.com:443/1/carddavhome/", true),
            ("https://p42-contacts.icloud.com./1/", true),
            ("https://gateway.icloud.com/contacts/1/ck/card/a", true),
            ("https://contacts.icloud.com.cn/", true),
            ("http://p42-contacts.icloud.com/", false),
            ("https://p42-contacts.icloud.com:8443/", false),
            ("https://evilicloud.com/", false),
            ("https://icloud.com.evil.example/", false),
            ("https://dav.example.com:8443/", true),
            ("https://dav.example.com/", false),
            ("http://127.0.0.1:9001/card/", true),
            ("http://127.0.0.1:9002/card/", false),
            ("https://example.com/", false),
            ("ftp://contacts.icloud.com/", false),
        ];
        for (address, expected) in table {
            assert_eq!(trust.allows(&url(address)), expected, "{address}");
        }
        let strict = TrustSet { plain_loopback: false, ..trust };
        assert!(!strict.allows(&url("http://127.0.0.1:9001/card/")));
    }

    #[test]
    fn redirects_never_lead_into_the_open() {
        let follow = |from: &str, location: &str| {
            redirected(&url(from), HeaderValue::from_str(location).ok().as_ref()).map(String::from)
        };
        let ok = |text: &str| Ok(text.to_owned());
        assert_eq!(follow("https://a.example/x/y", "/dav/"), ok("https://a.example/dav/"));
        assert_eq!(follow("https://a.example/x/y", "z"), ok("https://a.example/x/z"));
        assert_eq!(follow("https://a.example/", "//b.example/dav/"), ok("https://b.example/dav/"));
        assert_eq!(follow("https://a.example/", "https://p1.example:443/"), ok("https://p1.example/"));
        assert_eq!(follow("https://a.example/", "https://u:p@b.example/#x"), ok("https://b.example/"));
        assert_eq!(follow("http://127.0.0.1/", "http://127.0.0.1:81/"), ok("http://127.0.0.1:81/"));
        assert_eq!(follow("https://a.example/", "http://a.example/dav/"), Err(BadRedirect::Downgrade));
        assert_eq!(follow("https://a.example/", "javascript:alert(1)"), Err(BadRedirect::Scheme));
        assert_eq!(follow("https://a.example/", "https://"), Err(BadRedirect::Unreadable));
        assert_eq!(redirected(&url("https://a.example/"), None), Err(BadRedirect::Unreadable));
    }
}
