//! Deletions come last, over the whole account, under the guard.
//!
//! Owns: rule 10 as it is carried out: counted together with those of the last day, held or done, each decided anew from
//! what is there when its turn comes.

use super::apply::{confirmed, deletes, deletion};
use super::plan::Decided;
use super::{Running, SyncError};
use crate::store::{Change, SubjectKey};
use crate::sync::guard::{Toll, Verdict, judge};
use crate::sync::plan::Deletion;

/// How far back deletions are counted together.
const DAY: i64 = 24 * 60 * 60 * 1000;

impl Running<'_> {
    pub(super) async fn delete_last(&mut self, deferred: Vec<SubjectKey>) -> Result<(), SyncError> {
        if deferred.is_empty() {
            return Ok(());
        }
        let (mut local, mut remote) = (0u64, 0u64);
        let page = self.engine.options.page.max(1);
        for keys in deferred.chunks(page) {
            for one in self.decide_again(keys).await? {
                if confirmed(&one.subject) {
                    continue;
                }
                match one.decision.steps.iter().find_map(|s| deletion(&one.subject, s)) {
                    Some(Deletion::Local) => local += 1,
                    Some(Deletion::Remote) => remote += 1,
                    None => {}
                }
            }
        }
        let done = self.store().guard_facts(self.account.id, self.now().plus(-DAY)).await?;
        let settings = self.account.settings.guard;
        let local = judge(Toll { live: done.live, done: done.local, planned: local }, settings);
        let remote = judge(Toll { live: done.live, done: done.remote, planned: remote }, settings);
        for keys in deferred.chunks(page) {
            self.keep_lease().await?;
            let mut pass = Vec::new();
            let mut commit = self.commit();
            let mut held = 0;
            for one in self.decide_again(keys).await? {
                let side = one.decision.steps.iter().find_map(|s| deletion(&one.subject, s));
                let verdict = match side {
                    Some(Deletion::Local) => local,
                    Some(Deletion::Remote) => remote,
                    None => Verdict::Pass,
                };
                match (side, verdict) {
                    (Some(side), Verdict::TooMany { .. } | Verdict::WouldLeaveNone) if !confirmed(&one.subject) => {
                        held += 1;
                        commit.changes.extend(
                            self.held(&one.subject, side, "guard", commit.now).map(|h| Change::PutHeld(Box::new(h))),
                        );
                        self.settle_held(&one, &mut commit.changes);
                    }
                    _ => pass.push(one),
                }
            }
            self.store_all(commit, Vec::new()).await?;
            self.tally.held += held;
            self.confirm_unguarded(&mut pass).await?;
            Box::pin(self.apply(pass)).await?;
        }
        Ok(())
    }

    async fn decide_again(&mut self, keys: &[SubjectKey]) -> Result<Vec<Decided>, SyncError> {
        let subjects = self.store().subjects(self.account.id, keys).await?;
        let met = self.meet_none();
        let decided = self.decide(keys.iter().cloned().zip(subjects).collect(), &met).await?;
        Ok(decided.into_iter().filter(|d| deletes(&d.subject, &d.decision.steps)).collect())
    }

    /// What is held waits for its answer, not for the next run.
    fn settle_held(&self, one: &Decided, changes: &mut Vec<Change>) {
        if let Some(seen) = &one.subject.seen {
            changes.push(Change::SettleRecord(self.account.id, seen.seen.id().clone(), seen.version));
        }
        if let Some(person) = one.subject.person.as_ref().filter(|_| !Self::of_the_past(one)) {
            changes.push(Change::SettlePerson(self.account.id, person.person.id, person.person.revision));
        }
    }

    /// Where a provider's delete can't be made to fail, the record is looked at right before it (R7): one that has changed
    /// since is not deleted; the next round decides from what it is now.
    async fn confirm_unguarded(&mut self, pass: &mut Vec<Decided>) -> Result<(), SyncError> {
        if self.provider.capabilities().guards_delete || crate::mutant::on("deletions.no_second_look") {
            return Ok(());
        }
        let is_remote =
            |d: &Decided| d.decision.steps.iter().any(|s| deletion(&d.subject, s) == Some(Deletion::Remote));
        let refs: Vec<_> = pass
            .iter()
            .filter(|d| is_remote(d))
            .filter_map(|d| super::apply::present(&d.subject))
            .map(|r| r.at.clone())
            .collect();
        if refs.is_empty() {
            return Ok(());
        }
        let fetched = self.provider.fetch(&refs).await?;
        let mut changed = Vec::new();
        for (at, fetched) in refs.iter().zip(fetched) {
            let same = match &fetched {
                crate::provider::Fetched::There(seen, _) => {
                    let before =
                        pass.iter().filter_map(|d| super::apply::present(&d.subject)).find(|r| r.at.id == at.id);
                    match (seen, before) {
                        (crate::sync::view::Seen::Present(now), Some(before)) => {
                            let all = crate::card::field::FieldSet::all();
                            crate::sync::echo::landed(&before.body, all, &now.body)
                        }
                        _ => false,
                    }
                }
                _ => false,
            };
            if !same {
                changed.push(at.clone());
            }
        }
        pass.retain(|d| !super::apply::present(&d.subject).is_some_and(|r| changed.iter().any(|c| c.id == r.at.id)));
        if !changed.is_empty() {
            self.unfinished = true;
            self.look_again(changed, super::fetch::Gone::MayHaveMoved).await?;
        }
        Ok(())
    }
}
