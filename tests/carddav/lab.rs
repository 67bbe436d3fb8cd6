//! A mock server, an account on it and an adapter for the account.

use std::sync::Arc;
use std::time::Duration;

use contactd::clock::System;
use contactd::ids::{CollectionId, RemoteId, Timestamp, Token};
use contactd::provider::carddav::Carddav;
use contactd::provider::carddav::settings::{CarddavSettings, Flavour};
use contactd::provider::dns::{DnsError, Mx, Resolver, Srv};
use contactd::provider::http::address::AddressPolicy;
use contactd::provider::http::gate::{Gate, Pace};
use contactd::provider::http::{Http, HttpSettings};
use contactd::provider::{Changes, Fetched, From, Next, Provider as _, Write, WriteKind};
use contactd::secret::Secret;
use contactd::sync::view::{RemoteRecord, RemoteRef, Seen};
use mock_providers::carddav::{Device, Icloud, Settings};
use uuid::Uuid;

pub(crate) use mock_providers::faults::{Fault, Match, RetryAfter};

/// DNS as a test says.
#[derive(Default)]
pub(crate) struct FakeDns {
    pub(crate) srv: Vec<Srv>,
    pub(crate) txt: Vec<String>,
}

#[async_trait::async_trait]
impl Resolver for FakeDns {
    async fn srv(&self, _: &str) -> Result<Vec<Srv>, DnsError> {
        Ok(self.srv.clone())
    }
    async fn mx(&self, _: &str) -> Result<Vec<Mx>, DnsError> {
        Ok(Vec::new())
    }
    async fn txt(&self, _: &str) -> Result<Vec<String>, DnsError> {
        Ok(self.txt.clone())
    }
}

pub(crate) struct Lab {
    pub(crate) server: Icloud,
    pub(crate) device: Device,
    pub(crate) settings: CarddavSettings,
    pub(crate) dav: Carddav,
}

fn host(url: &str) -> String {
    url.trim_start_matches("http://").to_owned()
}

impl Lab {
    pub(crate) async fn new(settings: Settings) -> Self {
        let server = Icloud::start(settings).await.unwrap();
        let device = server.first_device().unwrap();
        let icloud = device.book_path().ends_with("carddavhome/card/");
        let settings = CarddavSettings {
            url: server.url(),
            user: device.user(),
            flavour: if icloud { Flavour::ICloud } else { Flavour::Generic },
            trust: vec![host(&server.partition_url()), host(&server.photo_url())],
            plain_loopback: true,
            ..CarddavSettings::default()
        };
        let dav = adapter(&settings, &device.password());
        Self { server, device, settings, dav }
    }

    pub(crate) async fn icloud() -> Self {
        Self::new(Settings::icloud()).await
    }

    pub(crate) async fn generic() -> Self {
        Self::new(Settings::generic()).await
    }

    /// The same account in its next run.
    pub(crate) fn next_run(&mut self) {
        self.settings = self.dav.settings();
        self.dav = adapter(&self.settings, &self.device.password());
    }

    /// The same account with other settings.
    pub(crate) fn with(&self, change: impl FnOnce(&mut CarddavSettings)) -> Carddav {
        let mut settings = self.settings.clone();
        change(&mut settings);
        adapter(&settings, &self.device.password())
    }

    pub(crate) fn book(&self) -> CollectionId {
        CollectionId(self.device.book_path())
    }

    pub(crate) fn id(&self, name: &str) -> RemoteId {
        RemoteId(format!("{}{name}", self.device.book_path()).replace('=', "%3D").replace('+', "%2B"))
    }

    pub(crate) fn at(&self, name: &str) -> RemoteRef {
        RemoteRef { collection: self.book(), id: self.id(name), etag: None }
    }

    pub(crate) async fn list(&self) -> Changes {
        self.dav.changes(&self.book(), From::Start).await.unwrap()
    }

    /// What changed since, and the page after it.
    pub(crate) async fn since(&self, changes: &Changes) -> Changes {
        let Next::Done(cursor) = &changes.next else { panic!("{changes:?}") };
        self.dav.changes(&self.book(), From::Cursor(cursor)).await.unwrap()
    }

    pub(crate) async fn fetch(&self, name: &str) -> Fetched {
        self.dav.fetch(&[self.at(name)]).await.unwrap().remove(0)
    }

    pub(crate) async fn record(&self, name: &str) -> RemoteRecord {
        match self.fetch(name).await {
            Fetched::There(Seen::Present(record), _) => record,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn write(&self, n: u128, what: WriteKind, before: Option<RemoteRecord>) -> Write {
        Write { what, token: token(n), collection: self.book(), before, photo: None, by: Timestamp(i64::MAX) }
    }

    /// How many requests of a kind were sent since a mark; an empty method counts all.
    pub(crate) fn asked(&self, mark: mock_providers::journal::Mark, method: &str) -> usize {
        self.server.ask(|journal| journal.since(mark).filter(|r| method.is_empty() || r.method == method).count())
    }
}

pub(crate) fn token(n: u128) -> Token {
    Token(Uuid::from_u128(0x6f96_19ff_8b86_4d01_b42d_0000_0000_0000 + n))
}

pub(crate) fn name_of(n: u128) -> String {
    format!("{}.vcf", token(n).0.hyphenated().to_string().to_uppercase())
}

pub(crate) fn http() -> Http {
    let addresses = AddressPolicy { allow_private: true, ..AddressPolicy::default() };
    let patience = Duration::from_secs(6);
    Http::new(HttpSettings { addresses, patience, ..HttpSettings::default() }, Arc::new(System)).unwrap()
}

pub(crate) fn adapter(settings: &CarddavSettings, password: &str) -> Carddav {
    adapter_with(settings, password, FakeDns::default())
}

pub(crate) fn adapter_with(settings: &CarddavSettings, password: &str, dns: FakeDns) -> Carddav {
    let gate = Arc::new(Gate::new(Pace::FREE));
    Carddav::new(settings.clone(), Secret::from(password), http(), gate, Arc::new(dns), Arc::new(System))
}

pub(crate) fn card(uid: &str, name: &str, more: &str) -> String {
    format!(
        "BEGIN:VCARD\r\nVERSION:3.0\r\nPRODID:-//x//EN\r\nN:{name};;;;\r\nFN:{name}\r\n{more}UID:{uid}\r\nEND:VCARD\r\n"
    )
}

/// Stores a card as another client would.
pub(crate) async fn put(url: &url::Url, user: &str, password: &str, card: &str) {
    use contactd::provider::http::Door;
    use contactd::provider::http::auth::Auth;
    use contactd::provider::http::message::Request;
    use contactd::provider::http::trust::TrustSet;
    let mut trust = TrustSet::new(true);
    trust.add_url(url);
    let auth = Auth::Basic { user: user.to_owned(), password: Secret::from(password) };
    let door = Door::new(http(), Arc::new(Gate::new(Pace::FREE)), auth, trust);
    let put = "PUT".parse().unwrap();
    let request = Request::new(put, url.clone()).body("text/vcard", card.to_owned());
    let answer = door.send(&request, contactd::sync::retry::Resend::Once).await.unwrap();
    assert!(answer.status.is_success(), "{answer:?}");
}
