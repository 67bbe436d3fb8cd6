//! Which kinds of accounts there are, and how one is opened.
//!
//! Owns: the one match from a kind to its adapter, the shared client, the gates of accounts, and which kind an address
//! belongs to. Must not: know the store: settings and secrets come in, what was learnt goes out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::carddav::Carddav;
use super::carddav::settings::{CarddavSettings, Flavour};
use super::dns::{Mx, Resolver};
use super::google::Google as GoogleContacts;
use super::google::settings::GoogleSettings;
use super::http::Http;
use super::http::gate::Gate;
use super::http::trust::{is_loopback, is_under};
use super::oauth::Bearer;
use super::oauth::client::Client;
use super::oauth::google::{Google, Setup};
use super::oauth::grant::{Grant, WARN_BEFORE, missing};
use super::oauth::service::ServiceAccount;
use super::oauth::tokens::{Tokens, Vault};
use super::{Provider, ProviderError};
use crate::clock::World;
use crate::ids::AccountId;
use crate::secret::Secret;

/// iCloud.
pub const ICLOUD: &str = "icloud";
/// Any CardDAV server.
pub const CARDDAV: &str = "carddav";
/// Google.
pub const GOOGLE: &str = "google";
/// All kinds.
pub const KINDS: [&str; 3] = [ICLOUD, CARDDAV, GOOGLE];

/// What an adapter for Google is made from.
pub struct GoogleParts {
    /// What is stored of the account's connection, with the addresses as they are set up here.
    pub settings: GoogleSettings,
    /// Its tokens.
    pub bearer: Arc<dyn Bearer>,
    /// The client.
    pub http: Http,
    /// The account's gate.
    pub gate: Arc<Gate>,
    /// Time and randomness.
    pub world: Arc<dyn World>,
}

/// Makes an adapter for Google.
pub type OpenGoogle = Arc<dyn Fn(GoogleParts) -> Box<dyn Provider> + Send + Sync>;

/// The adapter for Google.
fn google_adapter(parts: GoogleParts) -> Box<dyn Provider> {
    let GoogleParts { settings, bearer, http, gate, world } = parts;
    Box::new(GoogleContacts::new(settings, bearer, http, gate, world))
}

/// How an account is signed in to.
#[derive(Debug)]
pub enum SignIn {
    /// By a password.
    Password,
    /// By its user, at the provider, in a browser. Where users come back to; `None` = to the machine of the command.
    Browser(Client, Option<String>),
    /// By a service account.
    Delegated(Client, Arc<ServiceAccount>),
}

/// What there is to be said about a sign-in that works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What.
    pub says: String,
    /// Whether it wants to be seen to soon.
    pub urgent: bool,
}

/// Opens accounts: one for the whole daemon.
pub struct Registry {
    http: Http,
    resolver: Arc<dyn Resolver>,
    world: Arc<dyn World>,
    /// Whether servers on this machine may be reached without TLS.
    plain_loopback: bool,
    /// An account's gate outlives its runs: a server's "wait" holds for the next run too.
    gates: Mutex<HashMap<AccountId, Arc<Gate>>>,
    google: Option<Google>,
    google_adapter: OpenGoogle,
    /// So do its tokens: one fetch serves all of its runs.
    tokens: Mutex<HashMap<AccountId, Arc<Tokens>>>,
}

/// What a user says about an account to be added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The address to sign in with.
    pub address: String,
    /// The kind, if the user said so.
    pub kind: Option<String>,
    /// The server, if the user said so.
    pub server: Option<String>,
    /// Further hosts that may be given the password.
    pub trust: Vec<String>,
}

/// How an account is to be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// The kind.
    pub kind: String,
    /// The adapter's settings.
    pub connection: serde_json::Value,
    /// Whether the server is only guessed from the address's domain, since nobody said which one it is.
    pub guessed: bool,
}

/// An account can't be reached as it is described.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// No such kind.
    #[error("there is no provider '{0}'; choose icloud, carddav or google")]
    UnknownKind(String),
    /// The provider is known, and not supported yet.
    #[error(
        "{0} is not supported yet; this version syncs iCloud, Google and CardDAV servers (if the contacts are on one of those, say \
         which: --provider icloud, or --server with its address)"
    )]
    NotYet(&'static str),
    /// Our client at that provider is not set up.
    #[error(
        "{issuer} is not set up here: register contactd there as README.md says, put the client's id and secret into \
         [{section}] of the configuration, and restart contactd (if the contacts are elsewhere, say where: --provider icloud, \
         or --server with its address)"
    )]
    NotSetUp {
        /// Who.
        issuer: &'static str,
        /// Where it is set up.
        section: &'static str,
    },
    /// Its users sign in at the provider itself.
    #[error(
        "{0} takes no password from programs; leave the password out: `contactd account add` then shows where to sign in"
    )]
    NoPassword(&'static str),
    /// Its users sign in by a password.
    #[error("this account is signed in to by its password: `contactd account add` asks for it")]
    TakesPassword,
    /// What is sealed can't be read.
    #[error("{0}")]
    Grant(String),
    /// The address is none.
    #[error("'{0}' is not an e-mail address; give --server with the address of the CardDAV server")]
    NoAddress(String),
    /// What is stored of the account can't be read.
    #[error("the account's stored connection can't be read ({0}); remove the account and add it again")]
    Damaged(String),
}

/// There is no new token.
#[derive(Debug, thiserror::Error)]
pub enum NotRenewed {
    /// There is nothing to ask with, or nobody to ask.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The provider refuses, or is away.
    #[error(transparent)]
    Provider(#[from] ProviderError),
}

impl Registry {
    /// Over that client.
    pub fn new(http: Http, resolver: Arc<dyn Resolver>, world: Arc<dyn World>, plain_loopback: bool) -> Self {
        Self {
            http,
            resolver,
            world,
            plain_loopback,
            gates: Mutex::default(),
            google: None,
            google_adapter: Arc::new(google_adapter),
            tokens: Mutex::default(),
        }
    }

    /// The same with Google, as it is set up.
    #[must_use]
    pub fn with_google(mut self, setup: Setup) -> Self {
        self.google = Some(Google::new(setup, self.http.clone(), Arc::clone(&self.world)));
        self
    }

    /// The same with another adapter for Google.
    #[must_use]
    pub fn with_google_adapter(mut self, open: OpenGoogle) -> Self {
        self.google_adapter = open;
        self
    }

    /// An account's adapter, for one run.
    ///
    /// # Errors
    /// When the kind is unknown or the connection can't be read.
    pub fn open(
        &self,
        account: AccountId,
        kind: &str,
        connection: &serde_json::Value,
        secret: &Secret,
        vault: &Arc<dyn Vault>,
    ) -> Result<Box<dyn Provider>, RegistryError> {
        match kind {
            GOOGLE => {
                let tokens = self.tokens(account, vault)?;
                tokens.granted(&grant(secret)?);
                self.open_by(account, kind, connection, tokens)
            }
            ICLOUD | CARDDAV => {
                let settings: CarddavSettings = serde_json::from_value(connection.clone())
                    .map_err(|error| RegistryError::Damaged(error.to_string()))?;
                let gate = self.gate(account, || Gate::new(settings.pace()));
                let (resolver, world) = (Arc::clone(&self.resolver), Arc::clone(&self.world));
                Ok(Box::new(Carddav::new(settings, secret.clone(), self.http.clone(), gate, resolver, world)))
            }
            _ => Err(RegistryError::UnknownKind(kind.to_owned())),
        }
    }

    /// An account's adapter, with tokens that come from elsewhere.
    ///
    /// # Errors
    /// When the kind takes no tokens.
    pub fn open_by(
        &self,
        account: AccountId,
        kind: &str,
        connection: &serde_json::Value,
        bearer: Arc<dyn Bearer>,
    ) -> Result<Box<dyn Provider>, RegistryError> {
        if kind != GOOGLE {
            return Err(RegistryError::TakesPassword);
        }
        let mut settings: GoogleSettings =
            serde_json::from_value(connection.clone()).map_err(|error| RegistryError::Damaged(error.to_string()))?;
        // Where Google is, the configuration says; an account keeps its own word only where it has one.
        let setup = &self.google()?.setup;
        if settings.base.is_empty() {
            settings.base = setup.api.to_string();
            settings.userinfo = setup.client.userinfo.to_string();
            settings.plain_loopback = setup.client.plain_loopback;
        }
        let gate = self.gate(account, || Gate::new(settings.pace()));
        let (http, world) = (self.http.clone(), Arc::clone(&self.world));
        Ok((self.google_adapter)(GoogleParts { settings, bearer, http, gate, world }))
    }

    /// How an account of that kind and address is signed in to.
    ///
    /// # Errors
    /// When the provider is not set up here.
    pub fn sign_in(&self, kind: &str, address: &str) -> Result<SignIn, RegistryError> {
        if kind != GOOGLE {
            return Ok(SignIn::Password);
        }
        let google = self.google()?;
        let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain);
        match google.delegated(domain) {
            Some(service) => Ok(SignIn::Delegated(google.client.clone(), Arc::clone(service))),
            None if google.has_client() => Ok(SignIn::Browser(google.client.clone(), google.setup.redirect.clone())),
            None => Err(not_set_up()),
        }
    }

    /// Who allowed us to read only, if somebody did.
    ///
    /// # Errors
    /// When what is sealed can't be read, or the provider is not set up here.
    pub fn read_only(&self, kind: &str, secret: &Secret) -> Result<Option<&'static str>, RegistryError> {
        if kind != GOOGLE {
            return Ok(None);
        }
        let dialect = self.google()?.client.dialect;
        Ok(if grant(secret)?.may_write(dialect) { None } else { Some(dialect.name) })
    }

    /// Signs in anew, and says what of reading, or of writing too, is not allowed by what the provider then tells; `None` = it is
    /// signed in to by a password.
    ///
    /// # Errors
    /// When the provider refuses or is away, or is not set up here.
    pub async fn not_allowed(
        &self,
        account: AccountId,
        kind: &str,
        write: bool,
        secret: &Secret,
        vault: &Arc<dyn Vault>,
    ) -> Result<Option<Vec<&'static str>>, NotRenewed> {
        if kind != GOOGLE {
            return Ok(None);
        }
        let dialect = self.google()?.client.dialect;
        let tokens = self.tokens(account, vault)?;
        let stored = grant(secret)?;
        tokens.granted(&stored);
        let told = tokens.renew().await?;
        Ok(Some(match told {
            Some(scopes) => missing(dialect, write, &scopes),
            None if write && !stored.may_write(dialect) => vec![dialect.write],
            None => Vec::new(),
        }))
    }

    /// What there is to be said about a sign-in that works: that it will end.
    pub fn notice(&self, kind: &str, secret: &Secret) -> Option<Notice> {
        let google = self.google.as_ref().filter(|_| kind == GOOGLE)?;
        let ends = Grant::of_secret(secret).ok()?.ends(google.setup.testing)?;
        let urgent = ends.since(self.world.now()) <= WARN_BEFORE;
        let name = google.client.dialect.name;
        let why = if google.setup.testing { ", since the app is in testing there" } else { "" };
        let says = format!("the sign-in at {name} ends at {ends}{why}; sign in again before: `contactd account add`");
        Some(Notice { says, urgent })
    }

    /// The client by which a grant of that kind is given back.
    pub fn client(&self, kind: &str) -> Option<&Client> {
        self.google.as_ref().filter(|_| kind == GOOGLE).map(|google| &google.client)
    }

    fn google(&self) -> Result<&Google, RegistryError> {
        self.google.as_ref().ok_or_else(not_set_up)
    }

    fn tokens(&self, account: AccountId, vault: &Arc<dyn Vault>) -> Result<Arc<Tokens>, RegistryError> {
        let google = self.google()?;
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || {
            let (service, world) = (google.setup.service.clone(), Arc::clone(&self.world));
            Arc::new(Tokens::new(account, &google.client, service, Arc::clone(vault), world))
        };
        Ok(Arc::clone(tokens.entry(account).or_insert_with(make)))
    }

    fn gate(&self, account: AccountId, make: impl FnOnce() -> Gate) -> Arc<Gate> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(gates.entry(account).or_insert_with(|| Arc::new(make())))
    }

    /// Forgets what it keeps of an account.
    pub fn forget(&self, account: AccountId) {
        self.gates.lock().unwrap_or_else(PoisonError::into_inner).remove(&account);
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).remove(&account);
    }

    /// Which provider that is, and how to reach it: as the user says, else by the address's domain, else by who takes the
    /// domain's mail. For what is then still nobody's we know, the adapter asks DNS for a CardDAV server when it signs in
    /// (RFC 6764 §6).
    ///
    /// # Errors
    /// When the kind is unknown or not supported yet, or there is no telling from what was given.
    pub async fn reach(&self, wanted: &Wanted) -> Result<Reached, RegistryError> {
        let domain = wanted.address.rsplit_once('@').map(|(_, domain)| domain.to_lowercase()).unwrap_or_default();
        let server = wanted.server.clone().unwrap_or_default();
        let said = wanted.kind.is_some() || !server.is_empty();
        let delegated = self.google.as_ref().is_some_and(|google| google.delegated(&domain).is_some());
        let known = match known(&domain) {
            None if delegated => Some(Known::Google),
            None if !said && !domain.is_empty() => self.by_mail(&domain).await,
            known => known,
        };
        if wanted.kind.as_deref() == Some(GOOGLE) || !said && matches!(known, Some(Known::Google)) {
            if domain.is_empty() {
                return Err(RegistryError::NoAddress(wanted.address.clone()));
            }
            return Ok(Reached { kind: GOOGLE.to_owned(), connection: serde_json::json!({}), guessed: false });
        }
        let flavour = match (wanted.kind.as_deref(), known) {
            (Some(ICLOUD), _) => Flavour::ICloud,
            (Some(CARDDAV), Some(Known::Fastmail)) if server.is_empty() => Flavour::Fastmail,
            (Some(CARDDAV), _) => Flavour::Generic,
            (Some(other), _) => return Err(RegistryError::UnknownKind(other.to_owned())),
            (None, _) if server.contains("icloud.com") => Flavour::ICloud,
            (None, _) if !server.is_empty() => Flavour::Generic,
            (None, Some(Known::Icloud)) => Flavour::ICloud,
            (None, Some(Known::Fastmail)) => Flavour::Fastmail,
            (None, Some(Known::NotYet(name))) => return Err(RegistryError::NotYet(name)),
            (None, Some(Known::Google) | None) => Flavour::Generic,
        };
        if server.is_empty() && domain.is_empty() && flavour == Flavour::Generic {
            return Err(RegistryError::NoAddress(wanted.address.clone()));
        }
        let at_home = url::Url::parse(&server).is_ok_and(|url| url.scheme() == "http" && is_loopback(&url));
        let settings = CarddavSettings {
            url: server,
            user: wanted.address.clone(),
            flavour,
            trust: wanted.trust.clone(),
            plain_loopback: self.plain_loopback && at_home,
            ..CarddavSettings::default()
        };
        let kind = if flavour == Flavour::ICloud { ICLOUD } else { CARDDAV };
        let connection = serde_json::to_value(settings).map_err(|error| RegistryError::Damaged(error.to_string()))?;
        let guessed = !said && flavour == Flavour::Generic;
        Ok(Reached { kind: kind.to_owned(), connection, guessed })
    }

    /// Whose mailboxes a domain of somebody's own has: who takes its mail, as a rule keeps its contacts. A domain that names
    /// a CardDAV server of its own has its contacts there, when its mail goes to a provider that we don't sync yet.
    async fn by_mail(&self, domain: &str) -> Option<Known> {
        // If DNS does not answer, the adapter's own question says so.
        let exchangers = self.resolver.mx(domain).await.unwrap_or_default();
        let known = exchangers.first().and_then(takes_mail);
        if matches!(known, Some(Known::NotYet(_) | Known::Google)) {
            let services = self.resolver.srv(&format!("_carddavs._tcp.{domain}")).await.unwrap_or_default();
            if services.iter().any(|service| !service.target.is_empty()) {
                return None;
            }
        }
        known
    }
}

fn grant(secret: &Secret) -> Result<Grant, RegistryError> {
    Grant::of_secret(secret).map_err(|error| RegistryError::Grant(error.to_string()))
}

fn not_set_up() -> RegistryError {
    let dialect = &super::oauth::google::GOOGLE;
    RegistryError::NotSetUp { issuer: dialect.name, section: dialect.section }
}

enum Known {
    Icloud,
    Fastmail,
    Google,
    NotYet(&'static str),
}

/// Whose domain that is, if it is one of the large providers'.
fn known(domain: &str) -> Option<Known> {
    Some(match domain {
        "icloud.com" | "me.com" | "mac.com" => Known::Icloud,
        "fastmail.com" | "fastmail.fm" => Known::Fastmail,
        "gmail.com" | "googlemail.com" => Known::Google,
        "outlook.com" | "hotmail.com" | "live.com" | "msn.com" => Known::NotYet("Outlook.com"),
        _ => return None,
    })
}

/// Whose host that takes mail is, if it is one of the large providers'.
fn takes_mail(mx: &Mx) -> Option<Known> {
    let table = [
        // Apple's custom domains: mx01.mail.icloud.com, mx02.mail.icloud.com.
        ("mail.icloud.com", Known::Icloud),
        ("messagingengine.com", Known::Fastmail),
        ("google.com", Known::Google),
        ("googlemail.com", Known::Google),
        ("olc.protection.outlook.com", Known::NotYet("Outlook.com")),
        ("mail.protection.outlook.com", Known::NotYet("Microsoft 365")),
        ("mx.microsoft", Known::NotYet("Microsoft 365")),
    ];
    table.into_iter().find(|(domain, _)| is_under(&mx.exchange, domain)).map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::System;
    use crate::provider::dns::{DnsError, Srv};
    use crate::provider::http::HttpSettings;

    /// DNS with one domain's mail and, if it has one, its CardDAV server.
    #[derive(Default)]
    struct Dns {
        mail: &'static str,
        dav: &'static str,
    }

    #[async_trait::async_trait]
    impl Resolver for Dns {
        async fn srv(&self, _: &str) -> Result<Vec<Srv>, DnsError> {
            let some = |target: &str| Srv { priority: 0, weight: 0, port: 443, target: target.to_owned() };
            Ok(Some(self.dav).filter(|dav| !dav.is_empty()).map(some).into_iter().collect())
        }
        async fn mx(&self, domain: &str) -> Result<Vec<Mx>, DnsError> {
            assert_eq!(domain, "example.com", "nobody else is asked about");
            let some = |exchange: &str| Mx { preference: 10, exchange: exchange.to_owned() };
            Ok(Some(self.mail).filter(|mail| !mail.is_empty()).map(some).into_iter().collect())
        }
        async fn txt(&self, _: &str) -> Result<Vec<String>, DnsError> {
            Ok(Vec::new())
        }
    }

    fn registry(dns: Dns, plain_loopback: bool) -> Registry {
        let http = Http::new(HttpSettings::default(), Arc::new(System)).unwrap();
        Registry::new(http, Arc::new(dns), Arc::new(System), plain_loopback)
    }

    async fn reach(dns: Dns, address: &str, kind: Option<&str>, server: Option<&str>) -> String {
        let wanted = Wanted {
            address: address.to_owned(),
            kind: kind.map(str::to_owned),
            server: server.map(str::to_owned),
            trust: Vec::new(),
        };
        match registry(dns, true).reach(&wanted).await {
            Ok(reached) => {
                let how = if reached.guessed { ", guessed" } else { "" };
                let flavour = reached.connection["flavour"].as_str().unwrap_or_default();
                format!("{} {flavour}{how}", reached.kind)
            }
            Err(error) => error.to_string(),
        }
    }

    #[tokio::test]
    async fn the_provider_is_found_by_the_address_unless_the_user_says_it() {
        let table = [
            ("ann@icloud.com", None, None, "icloud i_cloud"),
            ("ann@ME.com", None, None, "icloud i_cloud"),
            ("ann@example.com", None, None, "carddav generic, guessed"),
            ("ann@example.com", Some("icloud"), None, "icloud i_cloud"),
            ("ann@icloud.com", Some("carddav"), Some("https://dav.example.com"), "carddav generic"),
            ("ann", None, Some("https://dav.example.com"), "carddav generic"),
            ("ann", None, Some("https://contacts.icloud.com"), "icloud i_cloud"),
        ];
        for (address, kind, server, expected) in table {
            assert_eq!(reach(Dns::default(), address, kind, server).await, expected, "{address} {kind:?} {server:?}");
        }
        assert!(reach(Dns::default(), "ann", None, None).await.contains("--server"));
        for address in ["ann@gmail.com", "ann@googlemail.com"] {
            assert_eq!(reach(Dns::default(), address, None, None).await, "google ");
            assert_eq!(reach(Dns::default(), address, Some("carddav"), None).await, "carddav generic");
        }
        assert!(reach(Dns::default(), "ann", Some("google"), None).await.contains("not an e-mail address"));
        assert!(
            reach(Dns::default(), "ann@outlook.com", None, None).await.contains("Outlook.com is not supported yet")
        );
        let said = registry(Dns::default(), true).sign_in(GOOGLE, "ann@gmail.com").unwrap_err().to_string();
        assert!(said.contains("Google is not set up here"), "{said}");
        assert!(
            reach(Dns::default(), "a@example.com", Some("pigeon"), None)
                .await
                .contains("choose icloud, carddav or google")
        );
    }

    #[tokio::test]
    async fn a_domain_of_ones_own_is_known_by_who_takes_its_mail() {
        let table = [
            ("mx01.mail.icloud.com", "", "icloud i_cloud"),
            ("mx02.mail.icloud.com", "", "icloud i_cloud"),
            ("in1-smtp.messagingengine.com", "", "carddav fastmail"),
            ("aspmx.l.google.com", "", "google "),
            ("smtp.google.com", "", "google "),
            ("example-com.mail.protection.outlook.com", "", "Microsoft 365 is not supported yet"),
            ("example-com.olc.protection.outlook.com", "", "Outlook.com is not supported yet"),
            ("mail.example.com", "", "carddav generic, guessed"),
            ("mail.icloud.com.example.com", "", "carddav generic, guessed"),
            // The mail is at Google, the contacts at a server of their own.
            ("aspmx.l.google.com", "dav.example.com", "carddav generic, guessed"),
            ("mx01.mail.icloud.com", "dav.example.com", "icloud i_cloud"),
        ];
        for (mail, dav, expected) in table {
            let found = reach(Dns { mail, dav }, "ann@example.com", None, None).await;
            assert!(found.starts_with(expected), "{mail} {dav}: {found}");
        }
        // What the user says goes before.
        let dns = || Dns { mail: "aspmx.l.google.com", dav: "" };
        assert_eq!(reach(dns(), "ann@example.com", Some("icloud"), None).await, "icloud i_cloud");
        let server = Some("https://dav.example.com");
        assert_eq!(reach(dns(), "ann@example.com", None, server).await, "carddav generic");
    }

    #[tokio::test]
    async fn plain_http_only_to_this_machine_and_only_if_allowed() {
        for (allowed, server, expected) in [
            (true, "http://127.0.0.1:8008", true),
            (true, "http://dav.example.com", false),
            (false, "http://127.0.0.1:8008", false),
        ] {
            let wanted = Wanted { server: Some(server.to_owned()), ..Wanted::default() };
            let reached = registry(Dns::default(), allowed).reach(&wanted).await.unwrap();
            assert_eq!(reached.connection["plain_loopback"], expected, "{server}");
        }
    }
}
