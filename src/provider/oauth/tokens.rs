//! Access tokens of one account, from its grant in the vault.
//!
//! Owns: that there is one fetch at a time for all who wait, that a rotated refresh token is stored before anything is done
//! with what came along with it, and what of a token is still good. Must not: keep a refresh token longer than one request.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::Mutex;
use uuid::Uuid;

use super::Bearer;
use super::client::{Client, Given};
use super::fault::OauthError;
use super::grant::{Grant, UserGrant};
use super::service::ServiceAccount;
use crate::clock::World;
use crate::ids::{AccountId, Timestamp};
use crate::provider::ProviderError;
use crate::secret::Secret;

/// So long before its end a token is not handed out any more, in ms; less for one that is short-lived.
const MARGIN: i64 = 60 * 1000;

/// Where grants are kept.
#[async_trait]
pub trait Vault: Send + Sync {
    /// The account's grant as it is stored now.
    ///
    /// # Errors
    /// When it can't be read.
    async fn load(&self, account: AccountId) -> Result<Option<Secret>, VaultError>;
    /// Stores a grant in place of that one, durably, if that one is what is stored.
    ///
    /// # Errors
    /// When it can't be stored.
    async fn replace(&self, account: AccountId, was: &Secret, now: &Secret) -> Result<Replaced, VaultError>;
}

/// What became of a replacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// It is stored.
    Done,
    /// Somebody else has stored another one, or removed the account; that stands.
    Changed,
}

/// The vault does not open.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{says}")]
pub struct VaultError {
    /// What is wrong, and what to do.
    pub says: String,
    /// Whether it is of no use to try again until a person has done something.
    pub needs_person: bool,
}

impl From<VaultError> for OauthError {
    fn from(error: VaultError) -> Self {
        if error.needs_person { Self::Broken(error.says) } else { Self::Away(error.says) }
    }
}

/// The tokens of one account, shared by its runs and whoever else asks.
pub struct Tokens(Arc<Inner>);

struct Inner {
    account: AccountId,
    client: Client,
    service: Option<Arc<ServiceAccount>>,
    vault: Arc<dyn Vault>,
    world: Arc<dyn World>,
    state: Mutex<State>,
    /// How many fetches have ended.
    fetched: AtomicU64,
    /// Which consent holds, as far as is known.
    holds: std::sync::Mutex<Option<Uuid>>,
}

#[derive(Default)]
struct State {
    access: Option<Access>,
    /// What the issuer said at the last fetch that it allows.
    allows: Option<BTreeSet<String>>,
    /// A rotated grant that could not be stored yet, and the one it came from.
    unsaved: Option<(Secret, Secret)>,
    /// What the last fetch came to, for those who waited for it.
    failed: Option<OauthError>,
}

struct Access {
    token: Secret,
    until: Timestamp,
    /// Of which consent.
    of: Uuid,
}

impl Tokens {
    /// Of that account.
    pub fn new(
        account: AccountId,
        client: &Client,
        service: Option<Arc<ServiceAccount>>,
        vault: Arc<dyn Vault>,
        world: Arc<dyn World>,
    ) -> Self {
        Self(Arc::new(Inner {
            account,
            client: client.apart(),
            service,
            vault,
            world,
            state: Mutex::default(),
            fetched: AtomicU64::new(0),
            holds: std::sync::Mutex::default(),
        }))
    }

    /// The account's grant is that one now: tokens of another consent are not handed out any more.
    pub fn granted(&self, grant: &Grant) {
        *self.0.holds() = Some(grant.id());
    }

    /// Fetches a token anew, whatever is still good, and tells what the issuer says that it allows; `None` = it doesn't say.
    ///
    /// # Errors
    /// When there is none to be had.
    pub async fn renew(&self) -> Result<Option<BTreeSet<String>>, ProviderError> {
        self.0.state.lock().await.access = None;
        self.token().await?;
        Ok(self.0.state.lock().await.allows.clone())
    }
}

#[async_trait]
impl Bearer for Tokens {
    async fn token(&self) -> Result<Secret, ProviderError> {
        let inner = Arc::clone(&self.0);
        let before = inner.fetched.load(Ordering::Acquire);
        // A task of its own: a run that is broken off must not take a rotated token with it.
        let fetch = tokio::spawn(async move {
            let mut state = inner.state.lock().await;
            if let Some(access) = &state.access
                && inner.world.now() < access.until
                && inner.holds().is_none_or(|holds| holds == access.of)
            {
                return Ok(access.token.clone());
            }
            // Somebody fetched while we waited, and it came to nothing: for us, too.
            if inner.fetched.load(Ordering::Acquire) != before
                && let Some(failed) = &state.failed
            {
                return Err(failed.clone());
            }
            let fetched = inner.fetch(&mut state).await;
            state.failed = fetched.as_ref().err().cloned();
            inner.fetched.fetch_add(1, Ordering::Release);
            fetched
        });
        let fetched = fetch.await.unwrap_or_else(|_| Err(OauthError::Away("the sign-in was broken off".to_owned())));
        fetched.map_err(ProviderError::from)
    }

    async fn refused(&self, token: &Secret) {
        let mut state = self.0.state.lock().await;
        state.access.take_if(|access| access.token.expose() == token.expose());
    }
}

impl Inner {
    fn holds(&self) -> MutexGuard<'_, Option<Uuid>> {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fetch(&self, state: &mut State) -> Result<Secret, OauthError> {
        state.access = None;
        if let Some((was, now)) = state.unsaved.clone() {
            // Whatever it says, what is stored then is what holds.
            self.vault.replace(self.account, &was, &now).await?;
            state.unsaved = None;
        }
        let mut refused: Option<Secret> = None;
        loop {
            let stored = self.vault.load(self.account).await?.ok_or(OauthError::Gone)?;
            let grant = Grant::of_secret(&stored)?;
            let given = match &grant {
                Grant::Delegated { address, write } => self.assert(address, *write).await?,
                Grant::User(user) => match self.client.refresh(&user.refresh).await {
                    Ok(given) => {
                        self.keep(state, stored, user, &given).await?;
                        given
                    }
                    // Another daemon may have replaced it while we asked; if nobody has, it is dead.
                    Err(ended @ OauthError::Ended { .. }) => {
                        if refused.is_some_and(|refused| refused.expose() == user.refresh.expose()) {
                            return Err(ended);
                        }
                        let again = self.vault.load(self.account).await?;
                        if again.is_none_or(|again| again.expose() == stored.expose()) {
                            return Err(ended);
                        }
                        refused = Some(user.refresh.clone());
                        continue;
                    }
                    Err(error) => return Err(error),
                },
            };
            let margin = MARGIN.min(given.lifetime / 10);
            let until = self.world.now().plus(given.lifetime.saturating_sub(margin));
            *self.holds() = Some(grant.id());
            state.allows = given.scopes;
            state.access = Some(Access { token: given.access.clone(), until, of: grant.id() });
            return Ok(given.access);
        }
    }

    /// Stores the refresh token that came, if it is another one.
    async fn keep(&self, state: &mut State, stored: Secret, user: &UserGrant, given: &Given) -> Result<(), OauthError> {
        let Some(new) = given.refresh.as_ref().filter(|new| new.expose() != user.refresh.expose()) else {
            return Ok(());
        };
        let expires = given.refresh_lifetime.map(|lasts| self.world.now().plus(lasts)).or(user.expires);
        let rotated = Grant::User(UserGrant { refresh: new.clone(), expires, ..user.clone() }).to_secret();
        state.unsaved = Some((stored, rotated));
        let Some((was, now)) = &state.unsaved else { return Ok(()) };
        self.vault.replace(self.account, was, now).await?;
        state.unsaved = None;
        Ok(())
    }

    async fn assert(&self, address: &str, write: bool) -> Result<Given, OauthError> {
        let service = self.service.as_ref().ok_or_else(|| {
            let section = self.client.dialect.section;
            OauthError::Broken(format!(
                "the account is reached by a service account, and {section}.service_account_file is empty; set it again, \
                 and restart contactd"
            ))
        })?;
        service.token(&self.client, address, write, self.world.now()).await
    }
}

/// One token, as it was just given: for looking at an account that is not stored yet.
pub struct Once(pub Secret);

#[async_trait]
impl Bearer for Once {
    async fn token(&self) -> Result<Secret, ProviderError> {
        Ok(self.0.clone())
    }

    async fn refused(&self, _: &Secret) {}
}
