//! What a sync would do, without doing it (rule 20).

use serde::{Deserialize, Serialize};

use super::apply::{confirmed, deletion};
use super::{Running, SyncError};
use crate::card::Card;
use crate::ids::{PersonId, RemoteId};
use crate::store::SubjectKey;
use crate::sync::guard::{Toll, Verdict, judge};
use crate::sync::operation::{self, FieldDiff};
use crate::sync::plan::{Clash, Deletion, Step, Waits};
use crate::sync::view::LinkState;

/// What a sync would do: counts of everything, and each record with its fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    /// People that would be added to the CRM.
    pub added_here: u64,
    /// Records that would be linked to people who are there already.
    pub linked: u64,
    /// People that would be changed.
    pub updated_here: u64,
    /// People that would go into the trash.
    pub deleted_here: u64,
    /// Records that would be added to the address book.
    pub added_there: u64,
    /// Records that would be changed.
    pub updated_there: u64,
    /// Records that would be deleted.
    pub deleted_there: u64,
    /// Conflicts.
    pub conflicts: u64,
    /// What needs a person's decision: possible duplicates.
    pub undecided: u64,
    /// Whether the deletions would be held by the guard.
    pub held: bool,
    /// Each subject for which something would be done, or that waits for a person.
    pub rows: Vec<Previewed>,
}

/// What would be done for one subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previewed {
    /// The name to show.
    pub name: String,
    /// The person, if there is one already.
    pub person: Option<PersonId>,
    /// The record, if there is one already.
    pub remote: Option<RemoteId>,
    /// What would be done, in words of the plan: `create here`, `update there`.
    pub does: Vec<String>,
    /// What would change of the person.
    pub here: Vec<FieldDiff>,
    /// What would change of the record.
    pub there: Vec<FieldDiff>,
    /// Conflicts, with who would win.
    pub clashes: Vec<Clash>,
    /// Why it waits, if it does.
    pub waits: Option<Waits>,
}

impl Running<'_> {
    /// Decides everything that is unsettled, and applies nothing.
    pub(super) async fn preview(&mut self) -> Result<Preview, SyncError> {
        let mut preview = Preview::default();
        let mut after: Option<SubjectKey> = None;
        let met = self.meet().await?;
        let (mut local, mut remote) = (0, 0);
        loop {
            self.keep_lease().await?;
            let page =
                self.store().unsettled(self.account.id, self.now(), after.as_ref(), self.engine.options.page).await?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for one in self.decide(page, &met).await? {
                // Where their record is linked, that is said with it; they are only kept from being pushed beside it.
                if one.decision.waits == Some(Waits::Ambiguous) && met.is_matched(&one.key) {
                    continue;
                }
                for side in one.decision.steps.iter().filter_map(|s| deletion(&one.subject, s)) {
                    match (side, confirmed(&one.subject)) {
                        (Deletion::Local, false) => local += 1,
                        (Deletion::Remote, false) => remote += 1,
                        (_, true) => {}
                    }
                }
                preview.add(one);
            }
        }
        let done = self.store().guard_facts(self.account.id, self.now().plus(-24 * 60 * 60 * 1000)).await?;
        let verdict = |done_there, planned| {
            judge(Toll { live: done.live, done: done_there, planned }, self.account.settings.guard)
        };
        preview.held = verdict(done.local, local) != Verdict::Pass || verdict(done.remote, remote) != Verdict::Pass;
        Ok(preview)
    }
}

impl Preview {
    pub(super) fn add(&mut self, one: super::plan::Decided) {
        let super::plan::Decided { subject, decision, .. } = one;
        let nothing = Card::default();
        let here = subject.person.as_ref().map_or(&nothing, |p| &p.person.card);
        let record = super::apply::present(&subject);
        let there = record.map_or(&nothing, |r| &r.body);
        let mut row = Previewed {
            name: [here, there].iter().find_map(|c| crate::card::normalize::display_name(c)).unwrap_or_default(),
            person: subject.person.as_ref().map(|p| p.person.id),
            remote: record.map(|r| r.at.id.clone()),
            does: Vec::new(),
            here: Vec::new(),
            there: Vec::new(),
            clashes: Vec::new(),
            waits: decision.waits,
        };
        // Whoever it could be waits with it, and is shown; it is one decision all the same.
        if decision.waits == Some(Waits::Ambiguous) && row.remote.is_some() {
            self.undecided += 1;
        }
        for step in decision.steps {
            let word = match step {
                Step::CreateLocal { card, .. } => {
                    self.added_here += 1;
                    row.here = operation::diff(&nothing, &card);
                    "create here"
                }
                Step::Match(_) => {
                    self.linked += 1;
                    "link"
                }
                Step::UpdateLocal { card, .. } => {
                    self.updated_here += 1;
                    row.here = operation::diff(here, &card);
                    "update here"
                }
                Step::TrashLocal => {
                    self.deleted_here += 1;
                    "delete here"
                }
                Step::RestoreLocal => "restore here",
                Step::CreateRemote(out) => {
                    self.added_there += 1;
                    row.there = operation::diff(&nothing, &out.sent);
                    "create there"
                }
                Step::UpdateRemote(out) => {
                    self.updated_there += 1;
                    row.there = operation::diff(there, &out.sent);
                    "update there"
                }
                Step::DeleteRemote => {
                    self.deleted_there += 1;
                    "delete there"
                }
                Step::Conflict(clash) => {
                    self.conflicts += 1;
                    row.clashes.push(clash);
                    "conflict"
                }
                Step::AskDeletion(_) => "ask",
                Step::Tag => "tag",
                Step::State(LinkState::Left) => "leave",
                Step::State(LinkState::Frozen) => "freeze",
                Step::State(LinkState::Live) => "resume",
                Step::State(_) => "unlink",
                Step::Rebase(_) | Step::Moot(_) | Step::Forget => continue,
            };
            row.does.push(word.to_owned());
        }
        let asks = matches!(
            row.waits,
            Some(Waits::Ambiguous | Waits::Asked | Waits::Held | Waits::Unreadable | Waits::Hidden)
        );
        if !row.does.is_empty() || asks {
            self.rows.push(row);
        }
    }
}
