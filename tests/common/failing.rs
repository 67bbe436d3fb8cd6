//! A store that fails on request: what the simulator plays crashes with.
//!
//! Wraps any [`Store`]. A test tells it what becomes of one of the next commits: it fails and nothing was written, or it
//! takes effect and the caller doesn't learn so, as when a connection is cut or the machine dies right after the flush. From
//! a crash on, everything fails with [`StoreError::Busy`] until [`Failing::revive`]; what was stored is still there.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use contactd::card::Card;
use contactd::card::photo::Blob;
use contactd::crm::person::Person;
use contactd::crm::users::Directory;
use contactd::ids::{AccountId, CollectionId, LinkId, OpId, PersonId, RemoteId, RunId, Timestamp, Token};
use contactd::store::{
    Account, Candidate, CollectionState, Commit, Conflict, Counted, Failure, GuardFacts, HeldDeletion, Identity, Known,
    Lease, PersonQuery, Run, Store, StoreError, SubjectKey,
};
use contactd::sync::operation::Operation;
use contactd::sync::view::{Intent, Link, Roster, StoredSeen, Subject};

/// What becomes of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It fails and nothing was written; the next one works.
    Refused,
    /// It takes effect and is reported as failed; the next one works.
    Lost,
    /// The program dies before it: nothing was written, and nothing works until it is revived.
    CrashBefore,
    /// The program dies after it: it was written, nobody learns so, and nothing works until it is revived.
    CrashAfter,
}

/// A store whose commits fail when a test wants them to.
#[derive(Debug)]
pub(crate) struct Failing<S: ?Sized> {
    store: Arc<S>,
    commits: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What becomes of which commit, counted from 1.
    fates: BTreeMap<u64, Fate>,
    crashed: bool,
}

impl<S: Store + ?Sized> Failing<S> {
    /// Nothing fails yet.
    pub(crate) fn new(store: Arc<S>) -> Self {
        Self { store, commits: AtomicU64::new(0), state: Mutex::default() }
    }

    /// The `n`-th commit from now on, counted from 1, meets that fate.
    pub(crate) fn fail(&self, n: u64, fate: Fate) {
        let at = self.commits() + n;
        self.state().fates.insert(at, fate);
    }

    /// How many commits were asked for so far, failed ones included.
    pub(crate) fn commits(&self) -> u64 {
        self.commits.load(Ordering::SeqCst)
    }

    /// Whether it has crashed.
    pub(crate) fn crashed(&self) -> bool {
        self.state().crashed
    }

    /// The program starts again: everything works, and no more fates wait.
    pub(crate) fn revive(&self) {
        *self.state() = State::default();
    }

    /// The store below, which never fails.
    pub(crate) fn below(&self) -> &Arc<S> {
        &self.store
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn alive(&self) -> Result<&S, StoreError> {
        if self.crashed() { Err(StoreError::Busy("crashed by the test".to_owned())) } else { Ok(&self.store) }
    }
}

/// Reads pass through while it lives.
macro_rules! pass {
    ($($name:ident($($arg:ident: $type:ty),*) -> $out:ty;)*) => {
        #[async_trait]
        impl<S: Store + ?Sized> Store for Failing<S> {
            async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
                let store = self.alive()?;
                let n = self.commits.fetch_add(1, Ordering::SeqCst) + 1;
                let fate = self.state().fates.remove(&n);
                let failed = || StoreError::Busy(format!("commit {n} failed by the test"));
                match fate {
                    None => store.commit(commit).await,
                    Some(Fate::Refused) => Err(failed()),
                    Some(Fate::Lost) => store.commit(commit).await.and(Err(failed())),
                    Some(Fate::CrashBefore) => {
                        self.state().crashed = true;
                        Err(failed())
                    }
                    Some(Fate::CrashAfter) => {
                        let done = store.commit(commit).await;
                        self.state().crashed = true;
                        done.and(Err(failed()))
                    }
                }
            }
            $(async fn $name(&self, $($arg: $type),*) -> Result<$out, StoreError> {
                self.alive()?.$name($($arg),*).await
            })*
        }
    };
}

pass! {
    lease(account: AccountId, holder: &str, now: Timestamp, ttl: i64) -> Option<Lease>;
    release(lease: &Lease) -> ();
    directory() -> Directory;
    account(id: AccountId) -> Option<Account>;
    accounts() -> Vec<Account>;
    secret(id: AccountId) -> Option<Vec<u8>>;
    collections(account: AccountId) -> Vec<CollectionState>;
    known(account: AccountId, ids: &[RemoteId]) -> Vec<Option<Known>>;
    listing(account: AccountId, collection: &CollectionId, after: Option<&RemoteId>, limit: usize) -> Vec<Known>;
    unnamed(
        account: AccountId, collection: &CollectionId, generation: i64, written_before: Timestamp,
        after: Option<&RemoteId>, limit: usize
    ) -> Vec<Known>;
    seen(account: AccountId, ids: &[RemoteId]) -> Vec<Option<StoredSeen>>;
    rosters(account: AccountId) -> Vec<Roster>;
    gone_by_uid(account: AccountId, uids: &[String]) -> Vec<(String, RemoteId)>;
    by_uid(account: AccountId, uids: &[String]) -> Vec<(String, RemoteId)>;
    identities(account: AccountId, ids: &[RemoteId]) -> Vec<Option<Identity>>;
    refind(account: AccountId, token: Option<Token>, uid: Option<&str>, content: &Card) -> Vec<RemoteId>;
    unsettled(
        account: AccountId, now: Timestamp, after: Option<&SubjectKey>, limit: usize
    ) -> Vec<(SubjectKey, Subject)>;
    subjects(account: AccountId, keys: &[SubjectKey]) -> Vec<Subject>;
    subjects_of_links(account: AccountId, links: &[LinkId]) -> Vec<(SubjectKey, Subject)>;
    candidates(account: AccountId, popular: usize) -> Vec<Candidate>;
    copies(account: AccountId) -> Vec<(RemoteId, PersonId)>;
    intents(account: AccountId) -> Vec<Intent>;
    tokens(account: AccountId, tokens: &[Token]) -> Vec<(Token, LinkId)>;
    lost(account: AccountId) -> Vec<Link>;
    link(id: LinkId) -> Option<Link>;
    guard_facts(account: AccountId, since: Timestamp) -> GuardFacts;
    blob(hash: &str) -> Option<Blob>;
    photo_aliases(addresses: &[String]) -> BTreeMap<String, String>;
    person(id: PersonId) -> Option<Person>;
    people(query: &PersonQuery) -> Vec<Person>;
    links_of(person: PersonId) -> Vec<Link>;
    history(person: PersonId, limit: usize) -> Vec<Operation>;
    operations(run: RunId, after: Option<OpId>, limit: usize) -> Vec<Operation>;
    runs(account: Option<AccountId>, before: Option<RunId>, limit: usize) -> Vec<Run>;
    conflicts(account: Option<AccountId>, limit: usize) -> Vec<Conflict>;
    held(account: Option<AccountId>) -> Vec<HeldDeletion>;
    failures(account: AccountId, limit: usize) -> Vec<Failure>;
    duplicates(account: AccountId) -> Vec<(RemoteId, Vec<PersonId>)>;
    counted(account: Option<AccountId>, now: Timestamp) -> Counted;
    check() -> Vec<String>;
    ping() -> ();
}
