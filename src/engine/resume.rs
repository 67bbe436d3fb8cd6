//! Links that a rule has paused go on when a person says so.

use super::{Engine, SyncError};
use crate::ids::{AccountId, PersonId};
use crate::store::{Change, Commit, Expect};
use crate::sync::diff::Diff;
use crate::sync::operation::{Actor, Effect, Operation};
use crate::sync::view::{Link, LinkState};

impl Engine {
    /// Lets the paused links of a person go on (rule 18), in one account or in all, and says how many. What differs is
    /// merged by the next runs; turns of a circle are counted anew from here.
    ///
    /// # Errors
    /// When the store fails, or somebody else changed one of the links first: then nothing was changed.
    pub async fn resume_links(
        &self,
        person: PersonId,
        account: Option<AccountId>,
        actor: Actor,
    ) -> Result<usize, SyncError> {
        let links = self.store.links_of(person).await?;
        let paused: Vec<Link> = links
            .into_iter()
            .filter(|l| l.state == LinkState::Paused && account.is_none_or(|account| l.account == account))
            .collect();
        if paused.is_empty() {
            return Ok(0);
        }
        let mut commit = Commit::new(None, self.now());
        let mut effects = Vec::new();
        for link in &paused {
            commit.expect.push(Expect::Link(link.id, link.state));
            commit.changes.push(Change::PutLink(Box::new(Link { state: LinkState::Live, ..link.clone() })));
            commit.changes.push(Change::UnsettlePerson(link.account, person));
            effects.push(Effect::Link {
                link: link.id,
                account: link.account,
                person,
                state: Diff::new(Some(link.state), Some(LinkState::Live)),
            });
        }
        let why = "people resume".to_owned();
        commit.operation = Some(Operation { id: self.new_id(), at: commit.now, actor, why, effects });
        self.store.commit(commit).await?;
        Ok(paused.len())
    }
}
