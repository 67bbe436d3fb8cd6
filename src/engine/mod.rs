//! IO. The engine's hands: the only module that knows both the store and the providers.
//!
//! Owns: one run of one account, from the lease to the release ([`Engine::sync`]). Must not: decide what a rule decides;
//! that is `sync`. The order of a run is that of reconciliation B; start reading at [`Engine::sync`].

mod apply;
pub mod change;
pub mod connect;
mod deletions;
mod duplicates;
mod fetch;
mod handle;
mod hold;
mod membership;
mod moved;
mod plan;
mod preview;
mod pull;
mod purge;
mod resolve;
mod resume;
pub mod schedule;
mod scope;
mod send;
mod settle;
mod undo;
mod unite;
pub mod verify;
pub mod why;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{World, new_id};
use crate::ids::{AccountId, CollectionId, RemoteId, RunId, Timestamp, Token};
use crate::provider::{Provider, ProviderError, Retry, Scope};
use crate::store::{Account, AccountState, Change, Commit, Lease, Run, Store, StoreError, SubjectKey, Tally};
use crate::sync::operation::{Actor, Effect, Operation, PersonChange, RemoteChange};
use crate::sync::reconcile::Facts;
use crate::sync::view::{Intent, Seen};
use fetch::Hidden;
use membership::Membership;

pub use duplicates::Duplicate;
pub use handle::{Handle, Phase, Progress};
pub use hold::Refusal;
pub use preview::{Preview, Previewed};
pub use undo::{Undo, UndoPlan, UndoRow};
pub use unite::Merge;

/// What a preview's run is called; it leaves neither a row nor the time of a sync.
const PREVIEW: &str = "preview";

/// How a run behaves; the same for all accounts of a daemon.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many subjects or observations are worked on at a time, and stored in one commit.
    pub page: usize,
    /// How long a lease lasts, in ms.
    pub lease: i64,
    /// How long one send may take at most, in ms. No send starts unless the lease outlasts it.
    pub send_deadline: i64,
    /// How often planning is repeated within a run while there is something new to do; the rest is for the next run.
    pub rounds: usize,
    /// A match key that more people or records than this share is no key.
    pub popular: usize,
    /// How long after a first failure something is tried again, in ms; doubles up to `retry_most`.
    pub retry: i64,
    /// The longest wait before something that fails is tried again, in ms.
    pub retry_most: i64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            page: 200,
            lease: 10 * 60 * 1000,
            send_deadline: 2 * 60 * 1000,
            rounds: 6,
            popular: 3,
            retry: 5 * 60 * 1000,
            retry_most: 24 * 60 * 60 * 1000,
        }
    }
}

impl Options {
    /// The same, where a send may take that long: none starts that the lease would not outlast. A lease is renewed when half
    /// of it is gone, so that half of it must be enough.
    #[must_use]
    pub fn outlasting(self, longest_send: Duration) -> Self {
        let send_deadline = i64::try_from(longest_send.as_millis()).unwrap_or(i64::MAX / 2);
        Self { send_deadline, lease: self.lease.max(send_deadline.saturating_mul(2)), ..self }
    }
}

/// Why a run ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// Another daemon, or another run of this one, has the account.
    #[error("the account is being synced already")]
    Busy,
    /// There is no such account, or it is not in a state to be synced.
    #[error("the account can't be synced: {0}")]
    NotActive(String),
    /// The run met something implausible and stopped the account, so that a person can look.
    #[error("stopped: {0}")]
    Halted(String),
    /// What the address book shows of itself is not believed yet. Nothing was decided; it is looked at again.
    #[error("nothing was changed: {0}")]
    Doubted(String),
    /// The lease ran out or was taken; the other holder goes on from what is stored.
    #[error("the lease on the account was lost")]
    LeaseLost,
    /// It was asked to end; the next run goes on from what is stored.
    #[error(
        "interrupted, since the daemon stops or somebody changes the account; the next run goes on where this one was"
    )]
    Stopped,
    /// The provider could not be read or written to.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a run did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Its id.
    pub run: RunId,
    /// What it counted.
    pub tally: Tally,
    /// Whether something that differs is left for the next run.
    pub unfinished: bool,
}

/// Runs accounts.
pub struct Engine {
    store: Arc<dyn Store>,
    world: Arc<dyn World>,
    holder: String,
    options: Options,
}

impl Engine {
    /// Over that store. `holder` names this daemon among those that share it.
    pub fn new(store: Arc<dyn Store>, world: Arc<dyn World>, holder: impl Into<String>, options: Options) -> Self {
        Self { store, world, holder: holder.into(), options }
    }

    /// One run of one account: settle what is open, pull, reconcile, apply, delete last.
    ///
    /// # Errors
    /// When the run could not be finished; what was done until then is stored, and the next run goes on from there. A
    /// provider that needs a person puts the account into state `reconnect`.
    pub async fn sync(&self, account: AccountId, provider: &dyn Provider, trigger: &str) -> Result<Report, SyncError> {
        self.sync_watched(account, provider, trigger, &Handle::default()).await
    }

    /// The same, watched and stopped by a handle.
    ///
    /// # Errors
    /// As [`Engine::sync`].
    pub async fn sync_watched(
        &self,
        account: AccountId,
        provider: &dyn Provider,
        trigger: &str,
        handle: &Handle,
    ) -> Result<Report, SyncError> {
        let mut run = self.begin(account, provider, trigger, handle).await?;
        let ended = match run.account.state {
            AccountState::Active => Box::pin(run.all()).await,
            _ => Box::pin(run.only_pull()).await,
        };
        run.end(ended).await
    }

    /// Reads everything that changed and says what a sync would do, without doing any of it (rule 20).
    ///
    /// # Errors
    /// As [`Engine::sync`].
    pub async fn preview(
        &self,
        account: AccountId,
        provider: &dyn Provider,
        handle: &Handle,
    ) -> Result<Preview, SyncError> {
        let mut run = self.begin(account, provider, PREVIEW, handle).await?;
        let pulled = Box::pin(run.only_pull()).await;
        let preview = match &pulled {
            Ok(()) => run.preview().await,
            Err(_) => Ok(Preview::default()),
        };
        run.end(pulled).await?;
        preview
    }

    /// What it works on.
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// The time by the engine's clock.
    pub fn now(&self) -> Timestamp {
        self.world.now()
    }

    /// Time and randomness.
    pub(crate) fn world(&self) -> &dyn World {
        &*self.world
    }

    /// How long a lease lasts, in ms.
    pub(crate) fn lease(&self) -> i64 {
        self.options.lease
    }

    /// A new id.
    pub fn new_id<T: From<uuid::Uuid>>(&self) -> T {
        new_id(&*self.world)
    }

    async fn begin<'a>(
        &'a self,
        account: AccountId,
        provider: &'a dyn Provider,
        trigger: &str,
        handle: &Handle,
    ) -> Result<Running<'a>, SyncError> {
        let found = self
            .store
            .account(account)
            .await?
            .ok_or_else(|| SyncError::NotActive("there is no such account".to_owned()))?;
        if !matches!(found.state, AccountState::Active | AccountState::Setup) {
            return Err(SyncError::NotActive(format!("its state is {}", found.state.word())));
        }
        let now = self.world.now();
        let lease = self.store.lease(account, &self.holder, now, self.options.lease).await?.ok_or(SyncError::Busy)?;
        // Read again under the lease: settings are a snapshot for the length of the run (rule 22).
        let found =
            self.store.account(account).await?.ok_or_else(|| SyncError::NotActive("the account is gone".to_owned()))?;
        let failures = self.store.failures(account, FAILURES).await?;
        let due = failures.iter().filter(|failure| failure.retry_at <= now).filter_map(|failure| match &failure.key {
            SubjectKey::Record(id) => Some(id.clone()),
            SubjectKey::Person(_) => None,
        });
        let unshown_due = due.collect();
        let failures = failures.into_iter().map(|failure| (failure.key, failure.attempts)).collect();
        Ok(Running {
            engine: self,
            account: found,
            provider,
            lease,
            id: new_id(&*self.world),
            started: now,
            trigger: trigger.to_owned(),
            handle: handle.clone(),
            tally: Tally::default(),
            unfinished: false,
            doubtful: false,
            doubt: None,
            unshown: false,
            unshown_due,
            group_stood: false,
            complete: false,
            hidden: Hidden::default(),
            failures,
            membership: Membership::default(),
            rosters_due: Vec::new(),
            home: CollectionId::from(""),
            unfound: Vec::new(),
            creating: BTreeSet::new(),
            joining: BTreeSet::new(),
        })
    }
}

/// How many failures of an account are read at a time: more than are ever looked at.
const FAILURES: usize = 10_000;

/// A run under way.
struct Running<'a> {
    engine: &'a Engine,
    account: Account,
    provider: &'a dyn Provider,
    lease: Lease,
    id: RunId,
    started: Timestamp,
    trigger: String,
    handle: Handle,
    tally: Tally,
    unfinished: bool,
    /// Whether a record was listed and not shown: the cursor of its collection stays.
    unshown: bool,
    /// Records that failed before and may be tried again by now: one that was not shown may be among them.
    unshown_due: Vec<RemoteId>,
    /// Whether the sync group was found to exist still, in this run.
    group_stood: bool,
    /// Whether what we see of a book is not to be believed: it shows itself empty although we know records, it has not shown
    /// its sync group, or it lists records that it does not show (rule 9).
    doubtful: bool,
    /// Why, for its user; records that are not shown are told among the failures instead.
    doubt: Option<String>,
    /// Whether every collection was listed in full at least once (rule 13).
    complete: bool,
    /// Whether a record is listed that is not shown, and that nobody here knows: no other that is gone is deleted meanwhile.
    hidden: Hidden,
    failures: BTreeMap<SubjectKey, u32>,
    membership: Membership,
    /// Lists of members that were read and are stored once their members have been looked at again.
    rosters_due: Vec<Seen>,
    /// The collection into which new records go.
    home: CollectionId,
    /// Open creates whose record is not under the name that we chose: decided once the listing was read.
    unfound: Vec<Intent>,
    /// Tokens of creates that are open: a record that could be one of them is neither matched nor imported.
    creating: BTreeSet<Token>,
    /// Records whose joining of the sync group is still open: scope does not apply to them.
    joining: BTreeSet<RemoteId>,
}

impl Running<'_> {
    fn now(&self) -> Timestamp {
        self.engine.world.now()
    }

    fn store(&self) -> &dyn Store {
        &*self.engine.store
    }

    /// How many records are fetched at a time: more than are decided about, since one that was only read takes less memory.
    fn fetch_batch(&self) -> usize {
        usize::from(self.provider.capabilities().fetch_batch)
            .clamp(1, self.engine.options.page.saturating_mul(3).max(1))
    }

    fn facts(&self) -> Facts<'_> {
        Facts {
            user: self.account.user,
            settings: &self.account.settings,
            caps: self.provider.capabilities(),
            complete: self.complete,
            hides: self.hidden.any,
            strange: self.hidden.strange,
        }
    }

    async fn all(&mut self) -> Result<(), SyncError> {
        self.load_membership().await?;
        self.reach(Phase::Settling);
        Box::pin(self.settle_open()).await?;
        self.reach(Phase::Reading);
        self.pull().await?;
        if self.doubtful {
            // What we see of a book is not to be believed: nothing is decided from it.
            return self.doubt.take().map_or(Ok(()), |why| Err(SyncError::Doubted(why)));
        }
        self.find_lost().await?;
        self.note_hidden().await?;
        Box::pin(self.settle_unfound()).await?;
        self.reach(Phase::Applying);
        let mut deferred = Vec::new();
        for _ in 0..self.engine.options.rounds {
            let (progress, deletions) = Box::pin(self.reconcile_all()).await?;
            deferred = deletions;
            if !progress {
                break;
            }
        }
        self.reach(Phase::Deleting);
        self.delete_last(deferred).await
    }

    fn reach(&self, phase: Phase) {
        self.handle.tell(|progress| progress.phase = phase);
    }

    async fn only_pull(&mut self) -> Result<(), SyncError> {
        self.reach(Phase::Reading);
        self.load_membership().await?;
        self.pull().await?;
        self.find_lost().await?;
        self.note_hidden().await
    }

    /// Renews the lease when half of it is gone. Called between pages: none takes as long as half a lease. The place, too,
    /// where a run says how far it is, and where it ends when it was asked to.
    async fn keep_lease(&mut self) -> Result<(), SyncError> {
        self.handle.tell(|progress| progress.tally = self.tally);
        if self.handle.is_stopped() {
            return Err(SyncError::Stopped);
        }
        let now = self.now();
        if self.lease.until.since(now) > self.engine.options.lease / 2 {
            return Ok(());
        }
        let renewed = self.store().lease(self.account.id, &self.engine.holder, now, self.engine.options.lease).await?;
        match renewed {
            Some(lease) if lease.fence == self.lease.fence => {
                self.lease = lease;
                Ok(())
            }
            _ => Err(SyncError::LeaseLost),
        }
    }

    /// Whether a send that starts now is over before the lease is.
    async fn may_send(&mut self) -> Result<(), SyncError> {
        self.keep_lease().await?;
        if self.deadline().since(self.now()) > 0 { Ok(()) } else { Err(SyncError::LeaseLost) }
    }

    /// When the last send may start that is over before the lease is.
    fn deadline(&self) -> Timestamp {
        if crate::mutant::on("send.after_the_lease") {
            return Timestamp(i64::MAX);
        }
        self.lease.until.plus(-self.engine.options.send_deadline)
    }

    fn commit(&self) -> Commit {
        Commit::new(Some(&self.lease), self.now())
    }

    /// Stores a commit with its effects, and counts them.
    async fn store_all(&mut self, mut commit: Commit, effects: Vec<Effect>) -> Result<(), SyncError> {
        if commit.changes.is_empty() && effects.is_empty() {
            return Ok(());
        }
        let counted = count(&effects);
        if !effects.is_empty() {
            let actor = Actor::Run { run: self.id, account: self.account.id };
            let id = new_id(&*self.engine.world);
            commit.operation = Some(Operation { id, at: commit.now, actor, why: self.trigger.clone(), effects });
        }
        self.store().commit(commit).await?;
        add(&mut self.tally, counted);
        Ok(())
    }

    /// A failure of one subject: counted, retried with back-off, shown (rule 21).
    fn failed(&mut self, key: SubjectKey, reason: String) -> Change {
        let attempts = self.failures.entry(key.clone()).or_insert(0);
        let wait =
            self.engine.options.retry.saturating_mul(1 << (*attempts).min(20)).min(self.engine.options.retry_most);
        *attempts += 1;
        self.tally.failed += 1;
        Change::Fail { account: self.account.id, key, reason, retry_at: self.engine.world.now().plus(wait) }
    }

    /// Ends the run: what it counted and how it ended is stored, the lease given back.
    async fn end(self, ended: Result<(), SyncError>) -> Result<Report, SyncError> {
        let mut ended = ended;
        if let Err(SyncError::Store(StoreError::Stale(_))) = &ended
            && self.lease.until.since(self.now()) <= 0
        {
            ended = Err(SyncError::LeaseLost);
        }
        if matches!(ended, Err(SyncError::LeaseLost | SyncError::Store(_))) {
            return Err(ended.err().unwrap_or(SyncError::LeaseLost));
        }
        let now = self.now();
        let mut commit = self.commit();
        let error = ended.as_ref().err().map(ToString::to_string);
        let quiet = self.tally.is_quiet() && error.is_none() && self.trigger == "schedule";
        if !quiet && self.trigger != PREVIEW {
            commit.changes.push(Change::PutRun(Box::new(Run {
                id: self.id,
                account: self.account.id,
                started: self.started,
                ended: Some(now),
                trigger: self.trigger.clone(),
                tally: self.tally,
                error: error.clone(),
            })));
        }
        match &ended {
            // A preview syncs nothing.
            Ok(()) if self.trigger == PREVIEW => {}
            Ok(()) => commit.changes.push(Change::Synced(self.account.id, now)),
            Err(SyncError::Provider(ProviderError { retry: Retry::AfterHuman, scope: Scope::Account, .. })) => {
                self.set_state(&mut commit, AccountState::Reconnect { reason: error.unwrap_or_default() }).await?;
            }
            Err(SyncError::Halted(reason)) => {
                let reason = reason.clone();
                self.set_state(&mut commit, AccountState::Error { reason }).await?;
            }
            Err(_) => {}
        }
        if !commit.changes.is_empty() {
            self.store().commit(commit).await?;
        }
        self.store().release(&self.lease).await?;
        ended.map(|()| Report { run: self.id, tally: self.tally, unfinished: self.unfinished })
    }

    /// Takes the account out of its state, as it is now: what people set meanwhile stays as they set it.
    async fn set_state(&self, commit: &mut Commit, state: AccountState) -> Result<(), StoreError> {
        if let Some(now) = self.store().account(self.account.id).await?
            && now.state == self.account.state
        {
            commit.put_account(Account { state, ..now });
        }
        Ok(())
    }
}

/// What effects come to as counts.
pub(crate) fn count(effects: &[Effect]) -> Tally {
    let mut tally = Tally::default();
    for effect in effects {
        match effect {
            Effect::Person { change, .. } => match change {
                PersonChange::Created(_) | PersonChange::Restored => tally.local.added += 1,
                PersonChange::Edited(_) => tally.local.updated += 1,
                PersonChange::Trashed | PersonChange::Purged => tally.local.deleted += 1,
                PersonChange::Owner(_)
                | PersonChange::VisibleTo(_)
                | PersonChange::Followers(_)
                | PersonChange::MergedInto(_)
                | PersonChange::Absorbed(_)
                | PersonChange::Custom { .. } => {}
            },
            Effect::Remote { change, .. } => match change {
                RemoteChange::Created(_) => tally.remote.added += 1,
                RemoteChange::Updated(_) => tally.remote.updated += 1,
                RemoteChange::Deleted { .. } => tally.remote.deleted += 1,
                RemoteChange::Joined(_) | RemoteChange::Left(_) | RemoteChange::NotTaken { .. } => {}
            },
            Effect::Link { .. } | Effect::Relinked { .. } => {}
        }
    }
    tally
}

fn add(to: &mut Tally, more: Tally) {
    for (to, more) in [(&mut to.local, more.local), (&mut to.remote, more.remote)] {
        to.added += more.added;
        to.updated += more.updated;
        to.deleted += more.deleted;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_lease_outlasts_every_send() {
        for seconds in [25, 80, 320, 620] {
            let options = Options::default().outlasting(Duration::from_secs(seconds));
            assert_eq!(options.send_deadline, i64::try_from(seconds).unwrap() * 1000);
            assert!(options.lease / 2 >= options.send_deadline, "{options:?}");
            assert!(options.lease >= Options::default().lease, "{options:?}");
        }
    }
}
