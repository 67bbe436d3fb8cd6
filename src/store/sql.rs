//! IO. The store in SQL: every statement once, for whatever database the driver speaks to.
//!
//! Owns: [`SqlStore`] and, below it, one module per concern. Must not: hold state of its own; whatever is to be remembered
//! is in the database. Statements use only what SQLite and PostgreSQL both have, with placeholders in order of first
//! appearance. Start reading at `commit`, then `view`.

mod access;
mod candidates;
mod check;
mod commit;
mod dashboard;
mod derive;
mod find;
mod in_sync;
mod log;
mod mark;
mod migrate;
mod observe;
mod people;
mod pull;
mod rows;
mod view;
mod words;

use std::collections::BTreeMap;

use async_trait::async_trait;

pub use self::log::counts;
pub(super) use self::migrate::{FINISHED, UNFINISHED, is_current, migrate as make};

use super::driver::{Driver, Rows, Stmt};
use super::{
    Account, Candidate, CollectionState, Commit, Conflict, Counted, Failure, GuardFacts, HeldDeletion, Identity, Known,
    Lease, PersonQuery, Run, Store, StoreError, SubjectKey,
};
use crate::card::Card;
use crate::card::photo::Blob;
use crate::crm::person::Person;
use crate::crm::users::Directory;
use crate::ids::{AccountId, CollectionId, ConflictId, LinkId, OpId, PersonId, RemoteId, RunId, Timestamp, Token};
use crate::sync::operation::Operation;
use crate::sync::view::{Intent, Link, Roster, StoredSeen, Subject};

/// Makes the arguments of a statement.
macro_rules! args {
    ($($value:expr),* $(,)?) => { vec![$($crate::store::driver::Value::from($value)),*] };
}
use args;

/// The store, over a database.
#[derive(Debug)]
pub struct SqlStore<D> {
    driver: D,
}

impl<D: Driver> SqlStore<D> {
    /// Opens the store: brings the schema up to date, and refuses one that a later version of contactd has made.
    pub async fn open(driver: D) -> Result<Self, StoreError> {
        let alone = driver.alone().await?;
        migrate::migrate(&driver).await?;
        let store = Self { driver };
        derive::refresh(&store).await?;
        drop(alone);
        Ok(store)
    }

    /// The store as it is, for reading: nothing is brought up to date.
    ///
    /// # Errors
    /// When it was made by another version, or is not whole.
    pub async fn as_it_is(driver: D) -> Result<Self, StoreError> {
        is_current(&driver).await?;
        Ok(Self { driver })
    }

    /// The database below.
    pub fn driver(&self) -> &D {
        &self.driver
    }

    async fn run(&self, batch: Vec<Stmt>) -> Result<Vec<Rows>, StoreError> {
        if batch.is_empty() { Ok(Vec::new()) } else { self.driver.run(batch).await }
    }

    async fn one(&self, stmt: Stmt) -> Result<Rows, StoreError> {
        let mut answers = self.driver.run(vec![stmt]).await?;
        answers.pop().ok_or_else(|| StoreError::Broken("a statement without an answer".to_owned()))
    }
}

/// How many rows a query may give, as the database counts.
fn at_most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

#[async_trait]
impl<D: Driver> Store for SqlStore<D> {
    async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        commit::commit(self, commit).await
    }
    async fn lease(
        &self,
        account: AccountId,
        holder: &str,
        now: Timestamp,
        ttl: i64,
    ) -> Result<Option<Lease>, StoreError> {
        commit::lease(self, account, holder, now, ttl).await
    }
    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        commit::release(self, lease).await
    }
    async fn free_leases(&self) -> Result<(), StoreError> {
        commit::free_leases(self).await
    }

    async fn directory(&self) -> Result<Directory, StoreError> {
        people::directory(self).await
    }
    async fn account(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        people::account(self, id).await
    }
    async fn accounts(&self) -> Result<Vec<Account>, StoreError> {
        people::accounts(self).await
    }
    async fn secret(&self, id: AccountId) -> Result<Option<Vec<u8>>, StoreError> {
        people::secret(self, id).await
    }
    async fn collections(&self, account: AccountId) -> Result<Vec<CollectionState>, StoreError> {
        pull::collections(self, account).await
    }

    async fn known(&self, account: AccountId, ids: &[RemoteId]) -> Result<Vec<Option<Known>>, StoreError> {
        pull::known(self, account, ids).await
    }
    async fn listing(
        &self,
        account: AccountId,
        collection: &CollectionId,
        after: Option<&RemoteId>,
        limit: usize,
    ) -> Result<Vec<Known>, StoreError> {
        pull::listing(self, account, collection, after, limit).await
    }
    async fn unnamed(
        &self,
        account: AccountId,
        collection: &CollectionId,
        generation: i64,
        written_before: Timestamp,
        after: Option<&RemoteId>,
        limit: usize,
    ) -> Result<Vec<Known>, StoreError> {
        pull::unnamed(self, account, collection, generation, written_before, after, limit).await
    }
    async fn seen(&self, account: AccountId, ids: &[RemoteId]) -> Result<Vec<Option<StoredSeen>>, StoreError> {
        pull::seen(self, account, ids).await
    }
    async fn rosters(&self, account: AccountId) -> Result<Vec<Roster>, StoreError> {
        pull::rosters(self, account).await
    }
    async fn gone_by_uid(&self, account: AccountId, uids: &[String]) -> Result<Vec<(String, RemoteId)>, StoreError> {
        pull::gone_by_uid(self, account, uids).await
    }
    async fn by_uid(&self, account: AccountId, uids: &[String]) -> Result<Vec<(String, RemoteId)>, StoreError> {
        pull::by_uid(self, account, uids).await
    }
    async fn identities(&self, account: AccountId, ids: &[RemoteId]) -> Result<Vec<Option<Identity>>, StoreError> {
        pull::identities(self, account, ids).await
    }
    async fn refind(
        &self,
        account: AccountId,
        token: Option<Token>,
        uid: Option<&str>,
        content: &Card,
    ) -> Result<Vec<RemoteId>, StoreError> {
        pull::refind(self, account, token, uid, content).await
    }

    async fn unsettled(
        &self,
        account: AccountId,
        now: Timestamp,
        after: Option<&SubjectKey>,
        limit: usize,
    ) -> Result<Vec<(SubjectKey, Subject)>, StoreError> {
        view::unsettled(self, account, now, after, limit).await
    }
    async fn subjects(&self, account: AccountId, keys: &[SubjectKey]) -> Result<Vec<Subject>, StoreError> {
        view::subjects(self, account, keys).await
    }
    async fn subjects_of_links(
        &self,
        account: AccountId,
        links: &[LinkId],
    ) -> Result<Vec<(SubjectKey, Subject)>, StoreError> {
        view::subjects_of_links(self, account, links).await
    }
    async fn candidates(&self, account: AccountId, popular: usize) -> Result<Vec<Candidate>, StoreError> {
        candidates::candidates(self, account, popular).await
    }
    async fn copies(&self, account: AccountId) -> Result<Vec<(RemoteId, PersonId)>, StoreError> {
        candidates::copies(self, account).await
    }
    async fn intents(&self, account: AccountId) -> Result<Vec<Intent>, StoreError> {
        view::intents(self, account).await
    }
    async fn tokens(&self, account: AccountId, tokens: &[Token]) -> Result<Vec<(Token, LinkId)>, StoreError> {
        view::tokens(self, account, tokens).await
    }
    async fn lost(&self, account: AccountId) -> Result<Vec<Link>, StoreError> {
        view::lost(self, account).await
    }
    async fn link(&self, id: LinkId) -> Result<Option<Link>, StoreError> {
        view::link(self, id).await
    }
    async fn guard_facts(&self, account: AccountId, since: Timestamp) -> Result<GuardFacts, StoreError> {
        dashboard::guard_facts(self, account, since).await
    }
    async fn blob(&self, hash: &str) -> Result<Option<Blob>, StoreError> {
        people::blob(self, hash).await
    }
    async fn photo_aliases(&self, addresses: &[String]) -> Result<BTreeMap<String, String>, StoreError> {
        people::photo_aliases(self, addresses).await
    }

    async fn person(&self, id: PersonId) -> Result<Option<Person>, StoreError> {
        people::person(self, id).await
    }
    async fn people(&self, query: &PersonQuery) -> Result<Vec<Person>, StoreError> {
        people::people(self, query).await
    }
    async fn links_of(&self, person: PersonId) -> Result<Vec<Link>, StoreError> {
        people::links_of(self, person).await
    }
    async fn history(&self, person: PersonId, limit: usize) -> Result<Vec<Operation>, StoreError> {
        log::history(self, person, limit).await
    }
    async fn operations(&self, run: RunId, after: Option<OpId>, limit: usize) -> Result<Vec<Operation>, StoreError> {
        log::operations(self, run, after, limit).await
    }
    async fn operation(&self, id: OpId) -> Result<Option<Operation>, StoreError> {
        log::operation(self, id).await
    }
    async fn operations_since(
        &self,
        since: Timestamp,
        after: Option<OpId>,
        limit: usize,
    ) -> Result<Vec<Operation>, StoreError> {
        log::since(self, since, after, limit).await
    }
    async fn runs(
        &self,
        account: Option<AccountId>,
        before: Option<RunId>,
        limit: usize,
    ) -> Result<Vec<Run>, StoreError> {
        dashboard::runs(self, account, before, limit).await
    }
    async fn conflicts(&self, account: Option<AccountId>, limit: usize) -> Result<Vec<Conflict>, StoreError> {
        dashboard::conflicts(self, account, limit).await
    }
    async fn conflict(&self, id: ConflictId) -> Result<Option<Conflict>, StoreError> {
        dashboard::conflict(self, id).await
    }
    async fn held(&self, account: Option<AccountId>) -> Result<Vec<HeldDeletion>, StoreError> {
        dashboard::held(self, account).await
    }
    async fn failures(&self, account: AccountId, limit: usize) -> Result<Vec<Failure>, StoreError> {
        dashboard::failures(self, account, limit).await
    }
    async fn duplicates(&self, account: AccountId) -> Result<Vec<(RemoteId, Vec<PersonId>)>, StoreError> {
        dashboard::duplicates(self, account).await
    }
    async fn counted(&self, account: Option<AccountId>, now: Timestamp) -> Result<Counted, StoreError> {
        dashboard::counted(self, account, now).await
    }
    async fn counted_each(
        &self,
        accounts: &[AccountId],
        now: Timestamp,
    ) -> Result<BTreeMap<AccountId, Counted>, StoreError> {
        dashboard::counted_each(self, accounts, now).await
    }
    async fn add_up(&self, now: Timestamp) -> Result<(), StoreError> {
        dashboard::add_up(self, now).await
    }
    async fn check(&self) -> Result<Vec<String>, StoreError> {
        check::check(self).await
    }
    async fn wipe(&self) -> Result<(), StoreError> {
        self.driver.wipe().await
    }
    async fn ping(&self) -> Result<(), StoreError> {
        self.one(Stmt::new("SELECT 1", Vec::new()).must("the database")).await.map(drop)
    }
}
