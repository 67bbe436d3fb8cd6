//! One account of one user, kept the same by the real engine, adapter and store, as the daemon does it; asked by lines of
//! JSON, so that a scenario can be written in any language and our own CPU time and memory stand alone.
//!
//! Owns: the account, edits of people as a person of the CRM makes them, and what a sync cost. Must not: know the server.
//! Start reading at [`Ask`].

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use contactd::card::Item;
use contactd::clock::{Clock as _, System, new_id};
use contactd::crm::person::{Person, PersonState};
use contactd::crm::users::User;
use contactd::engine::{Engine, Options};
use contactd::ids::{AccountId, PersonId, Revision, UserId};
use contactd::provider::Provider;
use contactd::provider::carddav::Carddav;
use contactd::provider::carddav::settings::{CarddavSettings, Flavour, GroupMode};
use contactd::provider::dns::{DnsError, Mx, Resolver, Srv};
use contactd::provider::google::Google;
use contactd::provider::google::settings::GoogleSettings;
use contactd::provider::http::address::AddressPolicy;
use contactd::provider::http::gate::{Gate, Pace};
use contactd::provider::http::{Http, HttpSettings};
use contactd::provider::oauth::tokens::Once;
use contactd::secret::Secret;
use contactd::store::sql::SqlStore;
use contactd::store::sqlite::Sqlite;
use contactd::store::{Account, AccountState, Change, Commit, Expect, PersonQuery, Store};
use contactd::sync::operation::{self, Actor, Effect, Operation, PersonChange};
use contactd::sync::settings::Settings;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How many people are read or changed at once.
const PAGE: usize = 500;

/// Where the account is.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Place {
    /// The file of the store; made if it is not there.
    pub store: PathBuf,
    pub url: String,
    pub user: String,
    pub password: String,
    /// Whether the server is iCloud, or plays it.
    #[serde(default)]
    pub icloud: bool,
    /// Hosts that may have the password besides the one in `url`.
    #[serde(default)]
    pub trust: Vec<String>,
    /// Who says whose account it is, where the server is Google or plays it; the password is then an access token.
    #[serde(default)]
    pub userinfo: Option<String>,
}

/// How the account is reached.
enum Way {
    Dav(CarddavSettings),
    Google(GoogleSettings),
}

/// What can be asked for, one line each; each gets one line as its answer.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", tag = "do", deny_unknown_fields)]
enum Ask {
    /// One run. Says what it did and what it cost.
    Sync,
    /// Changes a note, and adds a phone number where one is given, in people of the CRM.
    Edit { people: Vec<Edit> },
    /// Puts people into the trash.
    Trash { people: Vec<PersonId> },
    /// Writes everybody into a file, one JSON object a line.
    Dump { to: PathBuf },
    /// Recounts the store.
    Check,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    id: PersonId,
    note: String,
    #[serde(default)]
    phone: Option<String>,
}

/// DNS is not asked in these tests.
struct NoDns;

#[async_trait::async_trait]
impl Resolver for NoDns {
    async fn srv(&self, _: &str) -> Result<Vec<Srv>, DnsError> {
        Ok(Vec::new())
    }
    async fn mx(&self, _: &str) -> Result<Vec<Mx>, DnsError> {
        Ok(Vec::new())
    }
    async fn txt(&self, _: &str) -> Result<Vec<String>, DnsError> {
        Ok(Vec::new())
    }
}

/// Answers until the questions end.
pub(crate) fn serve(place: &Place) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut worker = runtime.block_on(Worker::open(place));
    println!("{}", json!({ "ready": true }));
    for line in std::io::stdin().lines() {
        let ask = serde_json::from_str(&line.unwrap()).unwrap();
        println!("{}", runtime.block_on(worker.answer(ask)));
    }
}

struct Worker {
    store: Arc<SqlStore<Sqlite>>,
    engine: Engine,
    user: UserId,
    account: AccountId,
    way: Way,
    password: Secret,
    http: Http,
    gate: Arc<Gate>,
}

impl Worker {
    /// With a store that has one user and one account in it, at that place.
    async fn open(place: &Place) -> Self {
        let store = Arc::new(SqlStore::open(Sqlite::open(&place.store).unwrap()).await.unwrap());
        let addresses = AddressPolicy { allow_private: true, ..AddressPolicy::default() };
        let http = HttpSettings { addresses, patience: Duration::from_secs(120), ..HttpSettings::default() };
        let dav = || CarddavSettings {
            url: place.url.clone(),
            user: place.user.clone(),
            flavour: if place.icloud { Flavour::ICloud } else { Flavour::Generic },
            groups: Some(GroupMode::Cards),
            trust: place.trust.clone(),
            plain_loopback: true,
            ..CarddavSettings::default()
        };
        // Google's quota is nothing of ours to measure, nor is there one at a server that plays Google.
        let google = |userinfo: &String| GoogleSettings {
            address: place.user.clone(),
            base: place.url.clone(),
            userinfo: userinfo.clone(),
            plain_loopback: true,
            write_gap: Some(0),
            ..GoogleSettings::default()
        };
        let way = place.userinfo.as_ref().map_or_else(|| Way::Dav(dav()), |userinfo| Way::Google(google(userinfo)));
        let mut worker = Self {
            engine: Engine::new(Arc::clone(&store) as Arc<dyn Store>, Arc::new(System), "book", Options::default()),
            store,
            user: new_id(&System),
            account: new_id(&System),
            way,
            password: Secret::from(place.password.as_str()),
            http: Http::new(http, Arc::new(System)).unwrap(),
            gate: Arc::new(Gate::new(Pace::FREE)),
        };
        worker.settle(&place.user).await;
        worker
    }

    /// The user and the account, made if the store is new.
    async fn settle(&mut self, address: &str) {
        if let Some(known) = self.store.accounts().await.unwrap().pop() {
            (self.user, self.account) = (known.user, known.id);
            return;
        }
        let provider = self.adapter();
        let mailbox = provider.check().await.unwrap();
        self.keep(&*provider);
        let user = User {
            id: self.user,
            name: "Jane".to_owned(),
            email: "jane@example.com".to_owned(),
            role: None,
            admin: false,
            restricted: false,
            sees_followed_users: false,
            follows: BTreeSet::new(),
            active: true,
        };
        let account = Account {
            id: self.account,
            user: self.user,
            provider: if matches!(self.way, Way::Google(_)) { "google" } else { "carddav" }.to_owned(),
            tenant: mailbox.tenant,
            subject: mailbox.subject,
            address: address.to_owned(),
            state: AccountState::Active,
            settings: Settings::default(),
            connection: Value::Null,
            created: System.now(),
            synced: None,
            revision: Revision(0),
        };
        self.commit(Vec::new(), vec![Change::PutUser(user), Change::PutAccount(Box::new(account))], Vec::new()).await;
    }

    fn adapter(&self) -> Box<dyn Provider> {
        let (http, gate, password) = (self.http.clone(), Arc::clone(&self.gate), self.password.clone());
        match &self.way {
            Way::Dav(dav) => {
                Box::new(Carddav::new(dav.clone(), password, http, gate, Arc::new(NoDns), Arc::new(System)))
            }
            Way::Google(google) => {
                Box::new(Google::new(google.clone(), Arc::new(Once(password)), http, gate, Arc::new(System)))
            }
        }
    }

    /// What the adapter has found is not looked for again.
    fn keep(&mut self, provider: &dyn Provider) {
        if let (Way::Dav(dav), Some(learnt)) = (&mut self.way, provider.learnt()) {
            *dav = serde_json::from_value(learnt).unwrap();
        }
    }

    async fn answer(&mut self, ask: Ask) -> Value {
        match ask {
            Ask::Sync => self.sync().await,
            Ask::Edit { people } => self.edit(people).await,
            Ask::Trash { people } => self.trash(people).await,
            Ask::Dump { to } => self.dump(&to.clone()).await,
            Ask::Check => json!({ "wrong": self.store.check().await.unwrap() }),
        }
    }

    async fn sync(&mut self) -> Value {
        forget_peak();
        let (begun, cpu) = (Instant::now(), cpu_nanos());
        let provider = self.adapter();
        let done = self.engine.sync(self.account, &*provider, "schedule").await;
        self.keep(&*provider);
        let (cpu_ms, wall_ms) = (millis(cpu_nanos() - cpu), millis(begun.elapsed().as_nanos()));
        let mut answer =
            json!({ "cpu_ms": cpu_ms, "wall_ms": wall_ms, "peak_kb": peak_kb(), "cpu_whole_ms": millis(cpu_nanos()) });
        match done {
            Ok(report) => {
                answer["tally"] = serde_json::to_value(report.tally).unwrap();
                answer["unfinished"] = report.unfinished.into();
            }
            Err(error) => answer["error"] = error.to_string().into(),
        }
        answer
    }

    async fn edit(&self, edits: Vec<Edit>) -> Value {
        let number = edits.len();
        for Edit { id, note, phone } in edits {
            let mut person = self.store.person(id).await.unwrap().unwrap();
            let before = person.card.clone();
            person.card.note = Some(note);
            person.card.phones.extend(phone.map(|phone| Item::<String>::new(phone).labelled("work")));
            let diffs = operation::diff(&before, &person.card);
            let at = System.now();
            person.times.extend(diffs.iter().map(|diff| (diff.field, at)));
            self.put(person, PersonChange::Edited(diffs)).await;
        }
        json!({ "edited": number })
    }

    async fn trash(&self, people: Vec<PersonId>) -> Value {
        let number = people.len();
        for id in people {
            let mut person = self.store.person(id).await.unwrap().unwrap();
            person.state = PersonState::Trashed { at: System.now(), by: Some(self.user) };
            self.put(person, PersonChange::Trashed).await;
        }
        json!({ "trashed": number })
    }

    /// The next version of a person, as an edit by its owner.
    async fn put(&self, mut person: Person, change: PersonChange) {
        let before = person.revision;
        person.revision = Revision(before.0 + 1);
        person.updated = System.now();
        let effect = Effect::Person { person: person.id, link: None, change };
        let expect = vec![Expect::Person(person.id, before)];
        self.commit(expect, vec![Change::PutPerson(Box::new(person))], vec![effect]).await;
    }

    async fn commit(&self, expect: Vec<Expect>, changes: Vec<Change>, effects: Vec<Effect>) {
        let mut commit = Commit { expect, changes, ..Commit::new(None, System.now()) };
        if !effects.is_empty() {
            let (id, at, actor) = (new_id(&System), commit.now, Actor::User(self.user));
            commit.operation = Some(Operation { id, at, actor, why: "people edit".to_owned(), effects });
        }
        self.store.commit(commit).await.unwrap();
    }

    /// Everybody, with the record that each is linked to.
    async fn dump(&self, to: &std::path::Path) -> Value {
        let mut out = BufWriter::new(File::create(to).unwrap());
        let mut number = 0;
        for trashed in [false, true] {
            let mut query = PersonQuery { trashed, limit: PAGE, ..PersonQuery::default() };
            loop {
                let people = self.store.people(&query).await.unwrap();
                let Some(last) = people.last() else { break };
                query.after = Some(last.id);
                for Person { id, card, .. } in &people {
                    let links = self.store.links_of(*id).await.unwrap();
                    let link = |link: &contactd::sync::view::Link| {
                        let remote = link.remote.as_ref().map(|remote| remote.0.clone());
                        json!({ "remote": remote, "state": link.state })
                    };
                    let links: Vec<Value> = links.iter().map(link).collect();
                    writeln!(out, "{}", json!({ "id": id, "card": card, "trashed": trashed, "links": links })).unwrap();
                }
                number += people.len();
            }
        }
        out.flush().unwrap();
        json!({ "people": number })
    }
}

fn millis(nanos: u128) -> f64 {
    // Hundredths of a millisecond are fine enough.
    (nanos / 10_000) as f64 / 100.0
}

/// CPU time of this process, of all its threads, in and below the kernel's door.
fn cpu_nanos() -> u128 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    u128::try_from(time.tv_sec).unwrap() * 1_000_000_000 + u128::try_from(time.tv_nsec).unwrap()
}

/// From here on the peak is counted anew, where the kernel allows that.
fn forget_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// The most memory that this process had in use.
fn peak_kb() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}
