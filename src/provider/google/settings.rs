//! What is stored about an account at Google.

use std::time::Duration;

use reqwest::Url;
use serde::{Deserialize, Serialize};

use crate::provider::http::gate::Pace;
use crate::provider::http::trust::TrustSet;

/// The People API.
const BASE: &str = "https://people.googleapis.com/";
/// Who signed in (OpenID Connect; google.md §1.1).
const USERINFO: &str = "https://openidconnect.googleapis.com/v1/userinfo";
/// Sync tokens die seven days after the full listing (google.md §2.2); a day is left for a daemon that was off.
const RELIST_HOURS: u16 = 144;
/// At most some 85 writes a minute: Google takes 90 (google.md §7.1).
const WRITE_GAP: u16 = 700;

/// An account's settings. Never holds a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GoogleSettings {
    /// The e-mail address, for people.
    pub address: String,
    /// Where the People API is; empty = at Google.
    pub base: String,
    /// Who tells whose account it is; empty = Google, or `v1/userinfo` below `base` where that is given.
    pub userinfo: String,
    /// Whether `http` to this machine itself is safe enough for a token.
    pub plain_loopback: bool,
    /// After how many hours everything is listed again though changes could be told; 0 = 144, six days.
    pub relist_hours: u16,
    /// The least time between two writes, in ms; none = 700.
    pub write_gap: Option<u16>,
}

/// An address in the settings is none.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is not an address of a server; it should look like https://people.googleapis.com/")]
pub(super) struct BadAddress(String);

impl GoogleSettings {
    /// For the account with that address, at Google.
    pub fn new(address: &str) -> Self {
        Self { address: address.to_owned(), ..Self::default() }
    }

    /// Where the People API is, with a slash at its end.
    pub(super) fn base(&self) -> Result<Url, BadAddress> {
        let text = match self.base.trim() {
            "" => BASE,
            text => text,
        };
        let slashed = if text.ends_with('/') { text.to_owned() } else { format!("{text}/") };
        address(&slashed)
    }

    /// Who tells whose account it is.
    pub(super) fn userinfo(&self) -> Result<Url, BadAddress> {
        match (self.userinfo.trim(), self.base.trim()) {
            ("", "") => address(USERINFO),
            ("", _) => self.base()?.join("v1/userinfo").map_err(|_| BadAddress(self.base.clone())),
            (text, _) => address(text),
        }
    }

    /// Who may be given a token: these two addresses.
    pub(super) fn trust(&self) -> TrustSet {
        let mut trust = TrustSet::new(self.plain_loopback);
        for url in [self.base(), self.userinfo()].into_iter().flatten() {
            trust.add_url(&url);
        }
        trust
    }

    /// How fast requests may follow each other.
    pub fn pace(&self) -> Pace {
        let gap = Duration::from_millis(u64::from(self.write_gap.unwrap_or(WRITE_GAP)));
        Pace { at_once: Some(4), per_second: None, write_gap: gap }
    }

    /// After how many milliseconds everything is listed again.
    pub(super) fn relist_millis(&self) -> i64 {
        let hours = if self.relist_hours == 0 { RELIST_HOURS } else { self.relist_hours };
        i64::from(hours) * 3_600_000
    }
}

fn address(text: &str) -> Result<Url, BadAddress> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "https" | "http") && url.host_str().is_some());
    url.ok_or_else(|| BadAddress(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_googles_unless_the_settings_say_otherwise() {
        let urls = |settings: &GoogleSettings| {
            (settings.base().unwrap().to_string(), settings.userinfo().unwrap().to_string())
        };
        let google = GoogleSettings::new("ann@example.com");
        assert_eq!(urls(&google), (BASE.to_owned(), USERINFO.to_owned()));
        assert!(google.trust().allows(&Url::parse("https://people.googleapis.com/v1/x").unwrap()));
        assert!(!google.trust().allows(&Url::parse("https://lh3.googleusercontent.com/x").unwrap()));
        let own = GoogleSettings { base: "http://127.0.0.1:80/google".into(), plain_loopback: true, ..google };
        let expected = ("http://127.0.0.1/google/".to_owned(), "http://127.0.0.1/google/v1/userinfo".to_owned());
        assert_eq!(urls(&own), expected);
        assert!(GoogleSettings { base: "ftp://x/".into(), ..own }.base().is_err());
    }

    #[test]
    fn settings_survive_their_json() {
        let settings = GoogleSettings::new("ann@example.com");
        let json = serde_json::to_string(&settings).unwrap();
        assert_eq!(serde_json::from_str::<GoogleSettings>(&json).unwrap(), settings);
        assert_eq!(serde_json::from_str::<GoogleSettings>("{}").unwrap().relist_millis(), 6 * 86_400_000);
    }
}
