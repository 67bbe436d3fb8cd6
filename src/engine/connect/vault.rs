//! The vault of grants over the store: sealed under the keyring, and replaced only from what was read.
//!
//! Owns: that two who replace a grant at once do not undo one another, be they tasks or daemons. Must not: know what a
//! grant says.

use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;

use crate::engine::Engine;
use crate::ids::AccountId;
use crate::provider::oauth::tokens::{Replaced, Vault, VaultError};
use crate::seal::{Keyring, SealError, Secret};
use crate::store::{Change, Commit, Expect, StoreError};

/// How often it is tried, where the envelope was sealed anew (under another key) in between.
const TRIES: usize = 4;

pub(super) struct StoreVault {
    pub(super) engine: Arc<Engine>,
    pub(super) keys: Arc<RwLock<Keyring>>,
}

impl From<StoreError> for VaultError {
    fn from(error: StoreError) -> Self {
        Self { says: error.to_string(), needs_person: false }
    }
}

impl From<SealError> for VaultError {
    fn from(error: SealError) -> Self {
        Self { says: error.to_string(), needs_person: true }
    }
}

impl StoreVault {
    fn keys(&self) -> Keyring {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Vault for StoreVault {
    async fn load(&self, account: AccountId) -> Result<Option<Secret>, VaultError> {
        let sealed = self.engine.store().secret(account).await?;
        Ok(sealed.map(|sealed| self.keys().open(&sealed, account.0.as_bytes())).transpose()?)
    }

    async fn replace(&self, account: AccountId, was: &Secret, now: &Secret) -> Result<Replaced, VaultError> {
        for _ in 0..TRIES {
            let Some(sealed) = self.engine.store().secret(account).await? else { return Ok(Replaced::Changed) };
            let stored = self.keys().open(&sealed, account.0.as_bytes())?;
            // An earlier attempt of ours whose answer was lost.
            if stored.expose() == now.expose() {
                return Ok(Replaced::Done);
            }
            if stored.expose() != was.expose() {
                return Ok(Replaced::Changed);
            }
            let anew = self.keys().seal(now, account.0.as_bytes())?;
            let mut commit = Commit::new(None, self.engine.now());
            commit.expect.push(Expect::Secret(account, sealed));
            commit.changes.push(Change::PutSecret(account, Some(anew)));
            match self.engine.store().commit(commit).await {
                Ok(()) => return Ok(Replaced::Done),
                Err(StoreError::Stale(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(VaultError {
            says: "the account's credentials change all the time; try again".to_owned(),
            needs_person: false,
        })
    }
}
