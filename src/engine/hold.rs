//! What a person does by hand to links of several accounts, while none of them runs.
//!
//! Owns: the leases that are held meanwhile ([`Engine::holding`]), and why it can't be done ([`Refusal`]). A hand holds an
//! account under a name of its own, so that no run, of this daemon or another, is under way or begins until it is done. Who
//! has an account's turn (`schedule::Turn`) holds it already, and says so.

use std::collections::BTreeSet;

use super::Engine;
use crate::clock::new_id;
use crate::crm::access;
use crate::crm::person::Person;
use crate::crm::users::Directory;
use crate::ids::{AccountId, OpId, UserId};
use crate::store::{Lease, StoreError};
use crate::sync::operation::Actor;

/// How long a hand may hold an account, in ms: it makes one commit. After a crash the account waits as long.
const HOLD: i64 = 60_000;

/// Why something that a person asked for can't be done. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// There is no such thing, or the user may not see it.
    #[error("{0}")]
    Missing(String),
    /// It can't be done as things are; says what to do.
    #[error("{0}")]
    Cannot(String),
    /// An account that it concerns is being synced.
    #[error("an account that this concerns is being synced; try again when it is done")]
    Busy,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Engine {
    /// Does something while no run of these accounts is under way. Those that the caller holds already are left as they are.
    pub(super) async fn holding<T>(
        &self,
        accounts: BTreeSet<AccountId>,
        turns: &BTreeSet<AccountId>,
        done: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<T, Refusal> {
        let hand: OpId = new_id(&*self.world);
        let holder = format!("{} {hand}", self.holder);
        let mut held: Vec<Lease> = Vec::new();
        let mut taken = Ok(());
        for account in accounts.difference(turns).copied() {
            match self.store.lease(account, &holder, self.world.now(), HOLD).await {
                Ok(Some(lease)) => held.push(lease),
                Ok(None) => taken = Err(Refusal::Busy),
                Err(error) => taken = Err(error.into()),
            }
            if taken.is_err() {
                break;
            }
        }
        let done = match taken {
            Ok(()) => done.await,
            Err(refusal) => Err(refusal),
        };
        for lease in &held {
            // One that can't be given back ends by itself.
            let _ = self.store.release(lease).await;
        }
        done
    }
}

/// Who does it: the user, for whom access is asked; the operator and the daemon may do everything.
pub(super) fn user_of(actor: Actor) -> Option<UserId> {
    match actor {
        Actor::User(user) => Some(user),
        Actor::Operator | Actor::Run { .. } | Actor::Daemon => None,
    }
}

/// In whose name somebody goes into the trash: the user's, else its owner's.
pub(super) fn in_name_of(actor: Actor, person: &Person) -> UserId {
    user_of(actor).unwrap_or(person.owner)
}

/// Whether the actor may see, and so edit, the person.
pub(super) fn may(actor: Actor, person: &Person, directory: &Directory) -> bool {
    user_of(actor).is_none_or(|user| access::decide(user, person.into(), directory).allows())
}
