//! Digest sign-in (RFC 7616), for servers that offer nothing else (Baikal as it is installed).
//!
//! Owns: the reading of challenges and the making of answers. MD5 is broken as a hash and still what such servers ask
//! for; where SHA-256 is offered too, that is taken.

use md5::{Digest as _, Md5};
use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use sha2::Sha256;

/// One offer of a server (RFC 9110 §11.6.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Challenge {
    /// Its scheme in lower case.
    pub scheme: String,
    params: Vec<(String, String)>,
}

impl Challenge {
    fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// All offers in all headers; a server may put several into one.
pub(super) fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    let texts = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
    let mut all: Vec<Challenge> = Vec::new();
    for item in texts.flat_map(items) {
        let (head, value) = match item.split_once('=') {
            Some((head, value)) => (head.trim(), Some(value.trim())),
            None => (item.trim(), None),
        };
        // `Digest realm` begins an offer, `realm` goes on with it; a scheme can also stand alone.
        let (scheme, key) = match (head.split_once(' '), value) {
            (Some((scheme, key)), _) => (Some(scheme), key.trim()),
            (None, None) => (Some(head), ""),
            (None, Some(_)) => (None, head),
        };
        if let Some(scheme) = scheme.filter(|scheme| !scheme.is_empty()) {
            all.push(Challenge { scheme: scheme.to_ascii_lowercase(), params: Vec::new() });
        }
        if let (Some(last), Some(value)) = (all.last_mut(), value)
            && !key.is_empty()
        {
            last.params.push((key.to_ascii_lowercase(), unquoted(value)));
        }
    }
    all
}

/// What stands between commas, quoted commas aside.
fn items(text: &str) -> Vec<&str> {
    let (mut all, mut begin, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, char) in text.char_indices() {
        match char {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => {
                all.push(&text[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    all.push(&text[begin..]);
    all
}

fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').map(|rest| rest.strip_suffix('"').unwrap_or(rest)) else {
        return value.to_owned();
    };
    let (mut out, mut chars) = (String::new(), inner.chars());
    while let Some(char) = chars.next() {
        out.extend(if char == '\\' { chars.next() } else { Some(char) });
    }
    out
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hash {
    Md5,
    Sha256,
}

impl Hash {
    fn hex(self, text: &str) -> String {
        let bytes = match self {
            Self::Md5 => Md5::digest(text).to_vec(),
            Self::Sha256 => Sha256::digest(text).to_vec(),
        };
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A server's nonce and how often it was used.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Session {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    hash: Hash,
    /// As the server names it, to be said back; `None` = not named.
    algorithm: Option<String>,
    with_session: bool,
    qop: bool,
    used: u32,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Session(used {} times)", self.used)
    }
}

/// The best digest among the offers that we can answer, and whether only the last nonce was too old.
pub(super) fn begin(offers: &[Challenge]) -> Option<(Session, bool)> {
    let mut best: Option<(Session, bool)> = None;
    for offer in offers.iter().filter(|offer| offer.scheme == "digest") {
        let algorithm = offer.param("algorithm").map(str::to_owned);
        let (hash, with_session) = match algorithm.as_deref().unwrap_or("MD5").to_ascii_uppercase().as_str() {
            "MD5" => (Hash::Md5, false),
            "MD5-SESS" => (Hash::Md5, true),
            "SHA-256" => (Hash::Sha256, false),
            "SHA-256-SESS" => (Hash::Sha256, true),
            _ => continue,
        };
        let qop = offer.param("qop");
        // `auth-int` alone would need the body's hash; nobody offers that.
        let auth = qop.is_some_and(|list| list.split(',').any(|one| one.trim().eq_ignore_ascii_case("auth")));
        let (Some(realm), Some(nonce)) = (offer.param("realm"), offer.param("nonce")) else { continue };
        if qop.is_some() && !auth || best.as_ref().is_some_and(|(session, _)| session.hash == Hash::Sha256) {
            continue;
        }
        let stale = offer.param("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true"));
        let session = Session {
            realm: realm.to_owned(),
            nonce: nonce.to_owned(),
            opaque: offer.param("opaque").map(str::to_owned),
            hash,
            algorithm,
            with_session,
            qop: auth,
            used: 0,
        };
        best = Some((session, stale));
    }
    best
}

impl Session {
    /// The value of `Authorization` for one request (RFC 7616 §3.4).
    pub(super) fn header(
        &mut self,
        user: &str,
        password: &str,
        method: &str,
        uri: &str,
        cnonce: &str,
    ) -> Option<HeaderValue> {
        self.used += 1;
        let Self { realm, nonce, hash, qop, used, .. } = &*self;
        let mut ha1 = hash.hex(&format!("{user}:{realm}:{password}"));
        if self.with_session {
            ha1 = hash.hex(&format!("{ha1}:{nonce}:{cnonce}"));
        }
        let ha2 = hash.hex(&format!("{method}:{uri}"));
        let response = if *qop {
            hash.hex(&format!("{ha1}:{nonce}:{used:08x}:{cnonce}:auth:{ha2}"))
        } else {
            hash.hex(&format!("{ha1}:{nonce}:{ha2}"))
        };
        let mut text = format!(
            "Digest username={}, realm={}, nonce={}, uri={}, response=\"{response}\"",
            quoted(user),
            quoted(realm),
            quoted(nonce),
            quoted(uri)
        );
        if let Some(algorithm) = &self.algorithm {
            text.push_str(&format!(", algorithm={algorithm}"));
        }
        if *qop {
            text.push_str(&format!(", qop=auth, nc={used:08x}, cnonce={}", quoted(cnonce)));
        }
        if let Some(opaque) = &self.opaque {
            text.push_str(&format!(", opaque={}", quoted(opaque)));
        }
        let mut value = HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (WWW_AUTHENTICATE, HeaderValue::from_static(value))).collect()
    }

    proptest::proptest! {
        #[test]
        fn any_challenge_can_be_read(text in "[ -~]{0,60}") {
            let headers: HeaderMap =
                HeaderValue::from_str(&text).into_iter().map(|value| (WWW_AUTHENTICATE, value)).collect();
            let _ = begin(&challenges(&headers));
        }
    }

    const RFC: &str = "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm=SHA-256, \
        nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"";

    #[test]
    fn the_examples_of_the_standard() {
        // RFC 7616 §3.9.1.
        let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        for (challenge, response) in [
            (RFC.to_owned(), "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
            (RFC.replace("SHA-256", "MD5"), "8ca523f5e9506fed4657c9700eebdbec"),
        ] {
            let offers = challenges(&headers(&[Box::leak(challenge.into_boxed_str())]));
            let (mut session, stale) = begin(&offers).unwrap();
            assert!(!stale);
            let value = session.header("Mufasa", "Circle of Life", "GET", "/dir/index.html", cnonce).unwrap();
            assert!(value.is_sensitive());
            let value = value.to_str().unwrap();
            assert!(value.contains(&format!("response=\"{response}\"")), "{value}");
            assert!(value.contains("nc=00000001") && value.contains("opaque="));
            assert!(!format!("{session:?}").contains("Mufasa"));
        }
    }

    #[test]
    fn offers_in_one_header_or_several() {
        let schemes = |values: &[&'static str]| {
            challenges(&headers(values)).into_iter().map(|offer| offer.scheme).collect::<Vec<_>>()
        };
        assert_eq!(
            schemes(&["X-MobileMe-AuthToken realm=\"MMCalDav\", Basic realm=\"MM, CalDav\""]),
            ["x-mobileme-authtoken", "basic"]
        );
        assert_eq!(schemes(&["Negotiate", "NTLM, Basic realm=\"x\\\"y, z\""]), ["negotiate", "ntlm", "basic"]);
        assert_eq!(schemes(&[]), Vec::<String>::new());
    }

    #[test]
    fn the_stronger_hash_is_taken_and_the_unknown_passed_over() {
        let both = headers(&[
            "Digest realm=\"r\", nonce=\"a\", algorithm=MD5, qop=\"auth\"",
            "Digest realm=\"r\", nonce=\"b\", algorithm=SHA-256, qop=\"auth\", stale=TRUE",
        ]);
        let (session, stale) = begin(&challenges(&both)).unwrap();
        assert_eq!((session.hash, session.nonce.as_str(), stale), (Hash::Sha256, "b", true));
        for unknown in [
            "Digest realm=\"r\", nonce=\"a\", algorithm=SHA-512-256",
            "Digest realm=\"r\", nonce=\"a\", qop=\"auth-int\"",
            "Basic realm=\"r\"",
            "Digest realm=\"r\"",
        ] {
            assert!(begin(&challenges(&headers(&[unknown]))).is_none(), "{unknown}");
        }
        // The old form without qop (RFC 2069).
        let (mut old, _) = begin(&challenges(&headers(&["Digest realm=\"r\", nonce=\"a\""]))).unwrap();
        assert!(!old.header("u", "p", "GET", "/", "c").unwrap().to_str().unwrap().contains("qop"));
    }
}
