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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::System;
    use crate::engine::Options;
    use crate::store::sql::SqlStore;
    use crate::store::sqlite::Sqlite;

    #[tokio::test]
    async fn a_grant_is_replaced_only_by_who_has_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqlStore::open(Sqlite::inline(&dir.path().join("db")).unwrap()).await.unwrap();
        let engine = Arc::new(Engine::new(Arc::new(store), Arc::new(System), "one", Options::default()));
        let key_file = dir.path().join("key");
        let keys = Arc::new(RwLock::new(Keyring::load(None, &key_file).unwrap()));
        let vault = || StoreVault { engine: Arc::clone(&engine), keys: Arc::clone(&keys) };
        let (one, other) = (vault(), vault());
        let account = AccountId::from(uuid::Uuid::from_u128(1));
        let secret = |text: &str| Secret::from(text);
        assert!(one.load(account).await.unwrap().is_none());
        assert_eq!(one.replace(account, &secret("a"), &secret("b")).await.unwrap(), Replaced::Changed, "there is none");

        let sealed = one.keys().seal(&secret("a"), account.0.as_bytes()).unwrap();
        let mut commit = Commit::new(None, engine.now());
        commit.changes.push(Change::PutSecret(account, Some(sealed)));
        engine.store().commit(commit).await.unwrap();
        assert_eq!(one.replace(account, &secret("a"), &secret("b")).await.unwrap(), Replaced::Done);
        assert_eq!(
            one.replace(account, &secret("a"), &secret("b")).await.unwrap(),
            Replaced::Done,
            "an answer was lost"
        );
        assert_eq!(other.replace(account, &secret("a"), &secret("c")).await.unwrap(), Replaced::Changed);
        assert_eq!(other.load(account).await.unwrap().unwrap().expose(), "b");
        // Under a new key it is the same grant.
        let rotated = one.keys().rotate(&key_file).unwrap();
        *keys.write().unwrap() = rotated;
        assert_eq!(other.replace(account, &secret("b"), &secret("d")).await.unwrap(), Replaced::Done);
        assert_eq!(one.load(account).await.unwrap().unwrap().expose(), "d");
    }
}
