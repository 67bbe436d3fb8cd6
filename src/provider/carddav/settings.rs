//! What is stored about an account so that a run can start without asking around again.

use reqwest::Url;
use serde::{Deserialize, Serialize};

use super::href::{self, Spelling};
use super::photo::account_number;
use crate::ids::CollectionId;
use crate::provider::Mailbox;
use crate::provider::http::gate::Pace;
use crate::provider::http::trust::TrustSet;
use crate::sync::caps::Membership;

/// An account's settings. Never holds a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CarddavSettings {
    /// The address that the user gave: of a server, a principal, a home or an address book; empty = find it from `user`
    /// by DNS (RFC 6764 §6). For iCloud only to override the usual one.
    pub url: String,
    /// The user name, or the e-mail address.
    pub user: String,
    /// The name that the server knows the user by, where it turned out to be another one: what stands before the `@`.
    pub login: Option<String>,
    /// Which kind of server.
    pub flavour: Flavour,
    /// How groups are told, if the user said so; else it is found out.
    pub groups: Option<GroupMode>,
    /// Hosts that the user confirmed besides the one in `url`: `dav.example.com`, `dav.example.com:8443`,
    /// `*.example.com`.
    pub trust: Vec<String>,
    /// Whether `http` to this machine itself is safe enough for the password.
    pub plain_loopback: bool,
    /// After how many days everything is listed again though the server says what changed; 0 = the usual 7.
    pub audit_days: u16,
    /// What was found, so that it need not be looked for again.
    pub found: Option<Found>,
}

/// Which kind of server: decides presets only, never the protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flavour {
    /// Any CardDAV server.
    #[default]
    Generic,
    /// Apple's (icloud-carddav.md).
    ICloud,
    /// Fastmail: has its address books below `/dav/` and keeps groups as cards (icloud-carddav.md §7).
    Fastmail,
}

/// How a server keeps groups (icloud-carddav.md §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupMode {
    /// As cards that list their members.
    Cards,
    /// As `CATEGORIES` of each contact.
    Categories,
}

impl GroupMode {
    /// How that looks to the engine.
    pub fn membership(self) -> Membership {
        match self {
            Self::Cards => Membership::Roster,
            Self::Categories => Membership::InRecord,
        }
    }
}

/// What discovery found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Found {
    /// The principal's address; empty if the server has none.
    pub principal: String,
    /// The address books.
    pub books: Vec<Book>,
    /// How groups are kept, once a group card or its absence was seen.
    pub groups: Option<GroupMode>,
}

/// An address book as it was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Book {
    /// Its id: the canonical path, with a slash at its end.
    pub id: CollectionId,
    /// Its address, in the server's spelling.
    pub url: Url,
    /// Its name, for people.
    pub name: String,
    /// Whether we may write to it, as far as the server tells.
    pub writable: bool,
    /// How the server spells names.
    #[serde(default)]
    pub spelling: Spelling,
}

impl Found {
    /// All addresses in it.
    pub(super) fn urls(&self) -> impl Iterator<Item = Url> {
        Url::parse(&self.principal).into_iter().chain(self.books.iter().map(|book| book.url.clone()))
    }

    /// Whose mailbox it is. At iCloud the account's number; elsewhere the principal's path at its host, or the book's
    /// where there is no principal. Hosts that only share the load (iCloud's partitions) make no difference.
    pub(super) fn mailbox(&self, settings: &CarddavSettings) -> Mailbox {
        let address = Some(settings.user.clone()).filter(|user| !user.is_empty());
        let url = self.urls().next();
        if settings.flavour == Flavour::ICloud
            && let Some(number) = url.as_ref().and_then(account_number)
        {
            return Mailbox { tenant: "icloud.com".to_owned(), subject: number, address };
        }
        let tenant = url.as_ref().and_then(|url| Some((url.host_str()?, url.port())));
        let tenant = tenant.map(|(host, port)| port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")));
        let subject = url.as_ref().map(|url| href::collection(url.path()));
        Mailbox { tenant: tenant.unwrap_or_default(), subject: subject.unwrap_or_default(), address }
    }
}

impl CarddavSettings {
    /// For iCloud, with the Apple Account's main address (icloud-carddav.md §1.2).
    pub fn icloud(user: &str) -> Self {
        Self { user: user.to_owned(), flavour: Flavour::ICloud, ..Self::default() }
    }

    /// For a server whose address the user gives.
    pub fn generic(url: &str, user: &str) -> Self {
        Self { url: url.to_owned(), user: user.to_owned(), ..Self::default() }
    }

    /// The name to sign in by.
    pub(super) fn login(&self) -> &str {
        self.login.as_deref().unwrap_or(&self.user)
    }

    /// Another name to sign in by, for a server that refuses the address: what stands before the `@` (RFC 6764 §6). Not at
    /// the providers whose names are known to be addresses, and not once anything was found under a name.
    pub(super) fn other_login(&self) -> Option<&str> {
        let (local, _) = self.user.rsplit_once('@')?;
        let open = self.flavour == Flavour::Generic && self.login.is_none() && self.found.is_none();
        Some(local).filter(|local| open && !local.is_empty())
    }

    /// The address to start from; `None` = DNS knows. A host without scheme is meant as https.
    pub(super) fn start(&self) -> Result<Option<Url>, String> {
        let text = match (self.url.trim(), self.flavour) {
            ("", Flavour::ICloud) => "https://contacts.icloud.com/",
            ("", Flavour::Fastmail) => "https://carddav.fastmail.com/dav/",
            ("", Flavour::Generic) => return Ok(None),
            (text, _) => text,
        };
        let with_scheme = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
        match Url::parse(&with_scheme) {
            Ok(mut url) if matches!(url.scheme(), "https" | "http") && url.host_str().is_some() => {
                // A name in the address is not for the wire; the settings have it.
                let _ = (url.set_username(""), url.set_password(None));
                url.set_fragment(None);
                Ok(Some(url))
            }
            _ => Err(format!("'{text}' is not an address of a server; it should look like https://dav.example.com/")),
        }
    }

    /// Who may be given the password (icloud-carddav.md §1.4).
    pub(super) fn trust_set(&self) -> TrustSet {
        let mut trust = TrustSet::new(self.plain_loopback);
        if let Ok(Some(url)) = self.start() {
            trust.add_url(&url);
        }
        if self.flavour == Flavour::ICloud {
            trust.add_pattern("*.icloud.com");
            trust.add_pattern("*.icloud.com.cn");
        }
        for host in &self.trust {
            trust.add_pattern(host);
        }
        trust
    }

    /// How fast requests may follow each other.
    pub fn pace(&self) -> Pace {
        match self.flavour {
            Flavour::ICloud => Pace::ICLOUD,
            Flavour::Generic | Flavour::Fastmail => Pace::FREE,
        }
    }

    /// How groups are kept: what the user said, what the server is known for, or what was seen.
    pub fn group_mode(&self) -> GroupMode {
        let known = match self.flavour {
            Flavour::ICloud | Flavour::Fastmail => Some(GroupMode::Cards),
            Flavour::Generic => self.found.as_ref().and_then(|found| found.groups),
        };
        self.groups.or(known).unwrap_or(GroupMode::Categories)
    }

    /// After how many milliseconds everything is listed again.
    pub(super) fn audit_millis(&self) -> i64 {
        let days = if self.audit_days == 0 { 7 } else { self.audit_days };
        i64::from(days) * 86_400_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_users_write_them() {
        let start = |url: &str| CarddavSettings::generic(url, "ann").start().map(|url| url.map(String::from));
        let ok = |text: &str| Ok(Some(text.to_owned()));
        assert_eq!(start("dav.example.com"), ok("https://dav.example.com/"));
        assert_eq!(start(" https://ann:x@dav.example.com/ann/ "), ok("https://dav.example.com/ann/"));
        assert_eq!(start("http://localhost:5232"), ok("http://localhost:5232/"));
        assert_eq!(start(""), Ok(None));
        assert!(start("ftp://dav.example.com/").is_err());
        assert!(start("https://").is_err());
        assert_eq!(
            CarddavSettings::icloud("a@icloud.com").start().unwrap().unwrap().host_str(),
            Some("contacts.icloud.com")
        );
    }

    #[test]
    fn groups_are_kept_as_the_server_is_known_to() {
        assert_eq!(CarddavSettings::icloud("a").group_mode(), GroupMode::Cards);
        let mut settings = CarddavSettings::generic("https://dav.example.com/", "a");
        assert_eq!(settings.group_mode(), GroupMode::Categories);
        settings.found = Some(Found { groups: Some(GroupMode::Cards), ..Found::default() });
        assert_eq!(settings.group_mode(), GroupMode::Cards);
        settings.groups = Some(GroupMode::Categories);
        assert_eq!(settings.group_mode(), GroupMode::Categories);
    }

    #[test]
    fn settings_survive_their_json_without_secrets() {
        let mut settings = CarddavSettings::icloud("ann@example.com");
        settings.found = Some(Found {
            principal: "https://contacts.icloud.com/1/principal/".into(),
            books: vec![Book {
                id: CollectionId::from("/1/carddavhome/card/"),
                url: Url::parse("https://p42-contacts.icloud.com/1/carddavhome/card/").unwrap(),
                name: "card".into(),
                writable: true,
                spelling: Spelling::default(),
            }],
            groups: None,
        });
        let json = serde_json::to_string(&settings).unwrap();
        assert_eq!(serde_json::from_str::<CarddavSettings>(&json).unwrap(), settings);
        assert!(serde_json::from_str::<CarddavSettings>("{}").is_ok());
    }
}
