//! Accounts come and go: signing in, signing in again, being removed.
//!
//! Owns: the way from what is stored of an account to its adapter, rule 15, and the sealing of passwords and grants; signing
//! in at a provider itself is [`sign_in`]. Must not: give a password to anybody but the adapter. Start reading at
//! [`Connector::add`].

pub mod browser;
pub mod sign_in;
pub mod trial;
mod vault;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use self::sign_in::{SignInError, Waiting};
use self::vault::StoreVault;
use super::Engine;
use crate::ids::{AccountId, Revision, UserId};
use crate::provider::oauth::tokens::Vault;
pub use crate::provider::registry::Wanted;
use crate::provider::registry::{Notice, Reached, Registry, RegistryError, SignIn};
use crate::provider::{Group, Provider, ProviderError, Retry};
use crate::seal::{KeyError, KeyId, Keyring, SealError, Secret};
use crate::store::{Account, AccountState, Change, Commit, Expect, StoreError};
use crate::sync::settings::{Direction, Settings};

/// Opens accounts, and adds and removes them.
pub struct Connector {
    engine: Arc<Engine>,
    registry: Registry,
    keys: Arc<RwLock<Keyring>>,
    vault: Arc<dyn Vault>,
    waiting: Waiting,
    key_file: PathBuf,
    /// Where systemd put the key, if it did: then a rotation writes a file that is to be put there.
    credentials: Option<PathBuf>,
}

/// An account can't be reached, added or removed.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// There is no such account.
    #[error("there is no such account")]
    NoAccount,
    /// Its password was forgotten.
    #[error("no password is stored for this account; add it again with `contactd account add`")]
    NoSecret,
    /// Another user has it.
    #[error("this mailbox is connected by another user; it can be live only once: have it removed there first")]
    TakenByOther,
    /// How it is reached is not known.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The provider refuses, or is away.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The provider was guessed from the address, and the guess led nowhere.
    #[error("{0}; if the contacts are on another server, give its address by --server")]
    Guessed(ProviderError),
    /// A sign-in at the provider came to nothing.
    #[error(transparent)]
    SignIn(#[from] SignInError),
    /// It may be read only, and is to be written to.
    #[error(
        "{0} allowed contactd to read, and the account syncs both ways; reconnect to allow writing: `contactd account add`, or \
         have it read only: `contactd account set` with --direction one_way"
    )]
    ReadOnly(&'static str),
    /// The password can't be sealed or opened.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The key file can't be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ConnectError {
    /// Whether trying again is useless until a person has done something.
    pub fn needs_person(&self) -> bool {
        match self {
            Self::NoSecret | Self::Registry(_) | Self::Seal(_) | Self::SignIn(_) | Self::ReadOnly(_) => true,
            Self::Provider(error) | Self::Guessed(error) => error.retry == Retry::AfterHuman,
            Self::NoAccount | Self::TakenByOther | Self::Key(_) | Self::Store(_) => false,
        }
    }
}

/// An account that was added.
#[derive(Clone, Debug)]
pub struct Added {
    /// As it is stored now.
    pub account: Account,
    /// Whether it is new, was removed and is back, or was there and signed in again.
    pub how: How,
    /// Its groups, to choose the sync group from.
    pub groups: Vec<Group>,
}

/// What adding came to (rule 15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// A mailbox that this user never had here.
    New,
    /// It was removed; its links and intents are found again.
    Returned,
    /// It was there; only the password is new.
    SignedIn,
}

impl Connector {
    /// Over that engine's store.
    pub fn new(
        engine: Arc<Engine>,
        registry: Registry,
        keys: Keyring,
        key_file: &Path,
        credentials: Option<PathBuf>,
    ) -> Self {
        let keys = Arc::new(RwLock::new(keys));
        let vault = Arc::new(StoreVault { engine: Arc::clone(&engine), keys: Arc::clone(&keys) });
        let waiting = Waiting::default();
        Self { engine, registry, keys, vault, waiting, key_file: key_file.to_path_buf(), credentials }
    }

    /// The account's adapter, for one run.
    ///
    /// # Errors
    /// When there is no such account, no password, either can't be read, or less was granted than the account is to do.
    pub async fn open(&self, account: AccountId) -> Result<Box<dyn Provider>, ConnectError> {
        let (account, secret) = self.stored(account).await?;
        self.is_enough(&account, &secret)?;
        Ok(self.registry.open(account.id, &account.provider, &account.connection, &secret, &self.vault)?)
    }

    /// The same for looking only, whatever the account is to do.
    ///
    /// # Errors
    /// As [`Connector::open`].
    pub async fn look(&self, account: AccountId) -> Result<Box<dyn Provider>, ConnectError> {
        let (account, secret) = self.stored(account).await?;
        Ok(self.registry.open(account.id, &account.provider, &account.connection, &secret, &self.vault)?)
    }

    async fn stored(&self, account: AccountId) -> Result<(Account, Secret), ConnectError> {
        let account = self.engine.store().account(account).await?.ok_or(ConnectError::NoAccount)?;
        let sealed = self.engine.store().secret(account.id).await?.ok_or(ConnectError::NoSecret)?;
        let secret = self.keys().open(&sealed, account.id.0.as_bytes())?;
        Ok((account, secret))
    }

    fn is_enough(&self, account: &Account, secret: &Secret) -> Result<(), ConnectError> {
        if account.settings.direction == Direction::OneWay {
            return Ok(());
        }
        self.registry.read_only(&account.provider, secret)?.map_or(Ok(()), |name| Err(ConnectError::ReadOnly(name)))
    }

    /// Why the account's sign-in does not allow what the account is to do, if it doesn't.
    pub async fn lacks(&self, account: &Account) -> Option<String> {
        self.registry.client(&account.provider)?;
        let (_, secret) = self.stored(account.id).await.ok()?;
        match self.is_enough(account, &secret) {
            Err(error @ ConnectError::ReadOnly(_)) => Some(error.to_string()),
            _ => None,
        }
    }

    /// What there is to be said of a sign-in that works: that it ends.
    pub async fn notice(&self, account: &Account) -> Option<Notice> {
        self.registry.client(&account.provider)?;
        let (_, secret) = self.stored(account.id).await.ok()?;
        self.registry.notice(&account.provider, &secret)
    }

    /// Adds an account: finds its provider, signs in, lists its groups, and leaves it in `setup`. The same mailbox of the
    /// same user is found again, whether it was removed or not; nothing is created then (rule 15).
    ///
    /// # Errors
    /// When it can't be reached or signed in to, or another user has it.
    pub async fn add(
        &self,
        user: UserId,
        wanted: &Wanted,
        secret: &Secret,
        defaults: Settings,
    ) -> Result<Added, ConnectError> {
        let reached = match self.reached_before(user, wanted).await? {
            Some(reached) => reached,
            None => self.registry.reach(wanted).await?,
        };
        if !matches!(self.registry.sign_in(&reached.kind, &wanted.address)?, SignIn::Password) {
            let name = self.registry.client(&reached.kind).map_or("the provider", |client| client.dialect.name);
            return Err(RegistryError::NoPassword(name).into());
        }
        let id: AccountId = self.engine.new_id();
        let provider = self.registry.open(id, &reached.kind, &reached.connection, secret, &self.vault)?;
        let added = self.store_new(id, user, wanted, &reached, &*provider, secret, defaults, None).await;
        self.registry.forget(id);
        added
    }

    /// Looks whether the sign-in works and whose mailbox it is, and stores the account. `before`: the account that it must
    /// be, if it is known which.
    #[allow(clippy::too_many_arguments, reason = "all that is known of an account before it is one")]
    async fn store_new(
        &self,
        id: AccountId,
        user: UserId,
        wanted: &Wanted,
        reached: &Reached,
        provider: &dyn Provider,
        secret: &Secret,
        defaults: Settings,
        before: Option<&Account>,
    ) -> Result<Added, ConnectError> {
        let Reached { kind, connection, guessed } = reached.clone();
        let mailbox = provider.check().await;
        let groups = match mailbox {
            Ok(_) => provider.groups().await,
            Err(_) => Ok(Vec::new()),
        };
        let failed = |error| if guessed { ConnectError::Guessed(error) } else { ConnectError::Provider(error) };
        let (mailbox, groups) = (mailbox.map_err(failed)?, groups?);
        let connection = provider.learnt().unwrap_or(connection);

        if let Some(before) = before.filter(|b| (&b.tenant, &b.subject) != (&mailbox.tenant, &mailbox.subject)) {
            return Err(SignInError::OtherMailbox(before.address.clone()).into());
        }
        let known = self.engine.store().accounts().await?;
        let same: Vec<&Account> =
            known.iter().filter(|a| a.tenant == mailbox.tenant && a.subject == mailbox.subject).collect();
        if same.iter().any(|a| a.user != user && a.state != AccountState::Removed) {
            return Err(ConnectError::TakenByOther);
        }
        let ours = same.iter().filter(|a| a.user == user).max_by_key(|a| (a.state != AccountState::Removed, a.created));
        let now = self.engine.now();
        let (account, how) = match ours {
            Some(old) if old.state == AccountState::Removed => {
                (Account { state: AccountState::Setup, ..Account::clone(old) }, How::Returned)
            }
            Some(old) => {
                let state = match &old.state {
                    AccountState::Reconnect { .. } => AccountState::Active,
                    other => other.clone(),
                };
                (Account { state, ..Account::clone(old) }, How::SignedIn)
            }
            None => {
                let new = Account {
                    id,
                    user,
                    provider: kind.clone(),
                    tenant: mailbox.tenant,
                    subject: mailbox.subject,
                    address: String::new(),
                    state: AccountState::Setup,
                    settings: defaults,
                    connection: serde_json::Value::Null,
                    created: now,
                    synced: None,
                    revision: Revision(0),
                };
                (new, How::New)
            }
        };
        let account = Account { provider: kind, address: wanted.address.clone(), connection, ..account };
        let sealed = self.keys().seal(secret, account.id.0.as_bytes())?;
        let mut commit = Commit::new(None, now);
        commit.put_account(account.clone());
        commit.changes.push(Change::PutSecret(account.id, Some(sealed)));
        if how == How::New {
            // The people who are here already are part of what it will do, and of what its preview shows.
            commit.changes.push(Change::UnsettleAccount(account.id));
        }
        self.engine.store().commit(commit).await?;
        Ok(Added { account, how, groups })
    }

    /// How the account with that address is reached, if this user has it: who signs in again need not say where once more.
    async fn reached_before(&self, user: UserId, wanted: &Wanted) -> Result<Option<Reached>, ConnectError> {
        let Wanted { address, kind: None, server: None, trust } = wanted else { return Ok(None) };
        if !trust.is_empty() {
            return Ok(None);
        }
        let known = self.engine.store().accounts().await?.into_iter();
        let known = known.filter(|a| a.user == user && a.address.eq_ignore_ascii_case(address));
        let known = known.max_by_key(|a| (a.state != AccountState::Removed, a.created));
        Ok(known.map(|a| Reached { kind: a.provider, connection: a.connection, guessed: false }))
    }

    /// Accounts whose password the keys that we have do not open.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn unopened(&self) -> Result<Vec<AccountId>, StoreError> {
        let (keys, mut unopened) = (self.keys(), Vec::new());
        for account in self.engine.store().accounts().await? {
            let sealed = self.engine.store().secret(account.id).await?;
            if sealed.is_some_and(|sealed| keys.open(&sealed, account.id.0.as_bytes()).is_err()) {
                unopened.push(account.id);
            }
        }
        Ok(unopened)
    }

    /// Signs in and asks whose mailbox it is, without changing anything.
    ///
    /// # Errors
    /// When it can't be reached or signed in to.
    pub async fn check(&self, account: AccountId) -> Result<(), ConnectError> {
        self.look(account).await?.check().await?;
        Ok(())
    }

    /// The account's groups.
    ///
    /// # Errors
    /// When it can't be reached or signed in to.
    pub async fn groups(&self, account: AccountId) -> Result<Vec<Group>, ConnectError> {
        Ok(self.look(account).await?.groups().await?)
    }

    /// Forgets the account's credentials; people are kept, links stay and wait (rule 15). What was granted is given back, once
    /// the account is removed and whether or not that succeeds; what is to be told of that.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn remove(&self, mut account: Account) -> Result<Option<String>, ConnectError> {
        let (was, secret) = (account.clone(), self.vault.load(account.id).await.ok().flatten());
        let mut commit = Commit::new(None, self.engine.now());
        commit.changes.push(Change::PutSecret(account.id, None));
        self.registry.forget(account.id);
        account.state = AccountState::Removed;
        commit.put_account(account);
        self.engine.store().commit(commit).await?;
        Ok(match secret {
            Some(secret) => self.given_back(&was, &secret).await,
            None => None,
        })
    }

    /// Makes a new key, seals every stored secret under it, and then drops the older keys. How many were sealed anew.
    ///
    /// # Errors
    /// When the key file can't be written, or a secret can't be opened; then the older keys stay.
    pub async fn rotate(&self) -> Result<(usize, KeyId), ConnectError> {
        let rotated = self.keys().rotate(&self.key_file)?;
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = rotated.clone();
        let mut moved = 0;
        for account in self.engine.store().accounts().await? {
            // Again, where a token was replaced meanwhile: what is sealed anew must not bring back the one before.
            loop {
                let Some(sealed) = self.engine.store().secret(account.id).await? else { break };
                let Some(anew) = rotated.reseal(&sealed, account.id.0.as_bytes())? else { break };
                let mut commit = Commit::new(None, self.engine.now());
                commit.expect.push(Expect::Secret(account.id, sealed));
                commit.changes.push(Change::PutSecret(account.id, Some(anew)));
                match self.engine.store().commit(commit).await {
                    Ok(()) => moved += 1,
                    Err(StoreError::Stale(_)) => continue,
                    Err(error) => return Err(error.into()),
                }
                break;
            }
        }
        // With a key from systemd the file still has to be put in the credential's place: until then both must open.
        if self.credentials.is_none() {
            let alone = rotated.drop_older(&self.key_file)?;
            *self.keys.write().unwrap_or_else(PoisonError::into_inner) = alone;
        }
        Ok((moved, rotated.active()))
    }

    /// Whether the key file, or systemd's credential, can still be read.
    ///
    /// # Errors
    /// When it can't; says what to do.
    pub fn check_keys(&self) -> Result<(), ConnectError> {
        Keyring::load(self.credentials.as_deref(), &self.key_file).map(drop).map_err(ConnectError::Key)
    }

    fn keys(&self) -> Keyring {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Engine {
    /// Puts an account into state `reconnect`, with the reason.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn needs_sign_in(&self, account: AccountId, reason: &str) -> Result<(), StoreError> {
        let Some(mut account) = self.store.account(account).await? else { return Ok(()) };
        if account.state != AccountState::Active {
            return Ok(());
        }
        account.state = AccountState::Reconnect { reason: reason.to_owned() };
        let mut commit = Commit::new(None, self.now());
        commit.put_account(account);
        self.store.commit(commit).await
    }

    /// Keeps what an adapter has found, so that the next run need not look for it again.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn keep_learnt(&self, account: AccountId, provider: &dyn Provider) -> Result<(), StoreError> {
        let Some(learnt) = provider.learnt() else { return Ok(()) };
        let Some(mut account) = self.store.account(account).await? else { return Ok(()) };
        if account.connection == learnt || account.state == AccountState::Removed {
            return Ok(());
        }
        account.connection = learnt;
        let mut commit = Commit::new(None, self.now());
        commit.put_account(account);
        self.store.commit(commit).await
    }

    /// Takes the lease on an account for something that is no run; whether it could be had. For [`Engine::let_go`].
    pub(super) async fn hold(&self, account: AccountId) -> Result<bool, StoreError> {
        let lease = self.store.lease(account, &self.holder, self.now(), self.options.lease).await?;
        Ok(lease.is_some())
    }

    /// Gives back the lease of a run that was broken off.
    pub async fn let_go(&self, account: AccountId) {
        if let Ok(Some(lease)) = self.store.lease(account, &self.holder, self.now(), self.options.lease).await {
            let _ = self.store.release(&lease).await;
        }
    }
}
