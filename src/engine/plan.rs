//! From what is unsettled to decisions: pairing over the whole set, pictures behind addresses, then `sync::reconcile`.
//!
//! Used by the run and by the preview alike, so that what was shown is what is done.

use std::collections::{BTreeMap, BTreeSet};

use super::{Running, SyncError};
use crate::card::{Card, Photo};
use crate::ids::{PersonId, RemoteId};
use crate::store::{Change, SubjectKey};
use crate::sync::caps::TokenPlace;
use crate::sync::circle;
use crate::sync::pairing::{self, Pairing};
use crate::sync::plan::{Decision, Step, Waits};
use crate::sync::reconcile::{Meeting, reconcile};
use crate::sync::view::{Base, LinkState, Seen, Subject};

/// How many bytes of pictures are stored in one commit: each is flushed to the disk, which takes longer than the pictures
/// themselves, and none is worth a commit of its own.
const PICTURES: usize = 2 * 1024 * 1024;

/// What is decided for one subject.
pub(super) struct Decided {
    pub(super) key: SubjectKey,
    pub(super) subject: Subject,
    pub(super) decision: Decision,
}

/// What pairing found for a whole round.
pub(super) struct Met {
    pairing: Pairing,
    /// Who is not pushed beside a record that is, or could be, theirs.
    people: BTreeSet<PersonId>,
    /// Whose record is theirs.
    matched: BTreeSet<PersonId>,
}

impl Met {
    /// Whether that is a person whose record is about to be linked: they wait for nobody.
    pub(super) fn is_matched(&self, key: &SubjectKey) -> bool {
        matches!(key, SubjectKey::Person(id) if self.matched.contains(id))
    }

    /// Records that wait, with the people who could be the same.
    pub(super) fn in_question(&self) -> &BTreeMap<RemoteId, BTreeSet<PersonId>> {
        &self.pairing.in_question
    }
}

impl Running<'_> {
    /// Pairs what is unlinked, over the whole account.
    pub(super) async fn meet(&self) -> Result<Met, SyncError> {
        if !self.complete {
            return Ok(self.meet_none());
        }
        let candidates = self.store().candidates(self.account.id, self.engine.options.popular).await?;
        let mut pairing = pairing::pair(&candidates);
        for (remote, person) in self.store().copies(self.account.id).await? {
            if !pairing.same.contains_key(&remote) {
                pairing.in_question.entry(remote).or_default().insert(person);
            }
        }
        // A person who is about to be matched is not pushed beside its record either.
        let matched: BTreeSet<PersonId> = pairing.same.values().copied().collect();
        let people = pairing.people_in_question().into_iter().chain(matched.iter().copied()).collect();
        Ok(Met { pairing, people, matched })
    }

    /// No pairing: for subjects that are linked.
    pub(super) fn meet_none(&self) -> Met {
        Met { pairing: Pairing::default(), people: BTreeSet::new(), matched: BTreeSet::new() }
    }

    /// Decides a page of subjects.
    pub(super) async fn decide(
        &mut self,
        page: Vec<(SubjectKey, Subject)>,
        met: &Met,
    ) -> Result<Vec<Decided>, SyncError> {
        let mut page = page;
        for (key, subject) in &mut page {
            if let SubjectKey::Record(_) = key
                && subject.link.is_none()
                && self.may_be_ours(subject)
            {
                subject.blocked = true;
            }
        }
        self.fill_matches(&mut page, met).await?;
        let aliases = self.photos(&mut page).await?;
        let facts = self.facts();
        let decide = |(key, subject): (SubjectKey, Subject)| {
            let meeting = match &key {
                SubjectKey::Record(id) if self.hidden.like.contains(id) => Meeting::Hidden,
                SubjectKey::Record(id) if met.pairing.in_question.contains_key(id) => Meeting::InQuestion,
                SubjectKey::Record(id) if met.pairing.same.contains_key(id) => Meeting::Same,
                SubjectKey::Person(id) if met.people.contains(id) => Meeting::InQuestion,
                SubjectKey::Record(_) | SubjectKey::Person(_) => Meeting::Alone,
            };
            let mut decision = reconcile(&subject, meeting, &facts);
            if !aliases.is_empty() {
                with_photos(&mut decision, &aliases);
            }
            crate::mutant::reached(&decision);
            Decided { key, subject, decision }
        };
        let mut decided: Vec<Decided> = page.into_iter().map(decide).collect();
        for one in &mut decided {
            self.stop_circle(one).await?;
        }
        Ok(decided)
    }

    /// A change that goes round is not made once more: its link is paused, until a person has looked (rule 18).
    async fn stop_circle(&self, one: &mut Decided) -> Result<(), SyncError> {
        let (Some(link), Some(person)) = (&one.subject.link, &one.subject.person) else { return Ok(()) };
        let person = &person.person;
        // Whoever was not changed often, or not lately, is in no circle; of them the log is not read.
        let often = person.revision.0 > i64::try_from(circle::TURNS).unwrap_or(i64::MAX);
        if !often || self.now().since(person.updated) > circle::WINDOW {
            return Ok(());
        }
        let Some(after) = one.decision.steps.iter().find_map(|step| match step {
            Step::UpdateLocal { card, .. } => Some(card),
            _ => None,
        }) else {
            return Ok(());
        };
        let history = self.store().history(person.id, circle::LOOK_BACK).await?;
        if let Some(field) = circle::goes_round(&history, link.id, &person.card, after, self.now()) {
            tracing::warn!(account = %self.account.id, person = %person.id, field = field.name(),
                "the same values go round between address books; this person is not synced with this account any more \
                 until somebody has looked");
            one.decision = Decision { steps: vec![Step::State(LinkState::Paused)], waits: Some(Waits::Paused) };
        }
        Ok(())
    }

    /// Whether an unlinked record may be one that we are just creating: its token says so, or can't be seen here.
    fn may_be_ours(&self, subject: &Subject) -> bool {
        let Some(Seen::Present(record)) = subject.seen.as_ref().map(|s| &s.seen) else { return false };
        match self.provider.capabilities().token {
            TokenPlace::Hidden => !self.creating.is_empty(),
            TokenPlace::Name | TokenPlace::Listed => record.token.is_some_and(|t| self.creating.contains(&t)),
        }
    }

    /// Puts the matched person into the subject of its record.
    async fn fill_matches(&self, page: &mut [(SubjectKey, Subject)], met: &Met) -> Result<(), SyncError> {
        let wanted: Vec<(usize, SubjectKey)> = page
            .iter()
            .enumerate()
            .filter_map(|(i, (key, subject))| match key {
                SubjectKey::Record(id) if subject.link.is_none() => {
                    met.pairing.same.get(id).map(|p| (i, SubjectKey::Person(*p)))
                }
                _ => None,
            })
            .collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let keys: Vec<SubjectKey> = wanted.iter().map(|(_, key)| key.clone()).collect();
        for ((i, _), found) in wanted.iter().zip(self.store().subjects(self.account.id, &keys).await?) {
            let usable = found.link.as_ref().is_none_or(|l| !l.state.is_open()) && !found.blocked;
            page[*i].1.person = found.person.filter(|p| usable && p.access && p.person.is_live());
        }
        Ok(())
    }

    /// Pictures that the provider shows by address: the bytes are fetched once per address. Where that fails, the picture is
    /// unknown for now: it looks as it did at the base, so that nothing is taken or removed.
    async fn photos(&mut self, page: &mut [(SubjectKey, Subject)]) -> Result<BTreeMap<String, String>, SyncError> {
        let mut wanted = BTreeSet::new();
        for (_, subject) in page.iter() {
            if let Some((shown, agreed)) = photo_by_address(subject)
                && agreed.as_ref() != Some(&shown)
            {
                wanted.insert(shown.hash);
            }
            if let Some(photo) = subject.link.as_ref().and_then(|l| l.base.theirs.photo.as_ref()) {
                wanted.insert(photo.hash.clone());
            }
        }
        wanted.retain(|hash| hash.starts_with("url:"));
        if wanted.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut aliases = self.store().photo_aliases(&wanted.into_iter().collect::<Vec<_>>()).await?;
        let (mut commit, mut held) = (self.commit(), 0);
        for (key, subject) in page.iter_mut() {
            let Some((shown, agreed)) = photo_by_address(subject) else { continue };
            if aliases.contains_key(&shown.hash) || agreed.as_ref() == Some(&shown) {
                continue;
            }
            let Some(Seen::Present(record)) = subject.seen.as_mut().map(|s| &mut s.seen) else { continue };
            match self.provider.photo(record).await {
                Ok(Some(blob)) => {
                    held += blob.bytes.len();
                    aliases.insert(shown.hash.clone(), blob.hash.clone());
                    commit.changes.push(Change::PutPhotoAlias { address: shown.hash, hash: blob.hash.clone() });
                    commit.changes.push(Change::PutBlob(blob));
                }
                Ok(None) | Err(_) => {
                    record.body.photo = agreed;
                    let reason = "its picture could not be fetched; the rest is in sync".to_owned();
                    let change = self.failed(key.clone(), reason);
                    commit.changes.push(change);
                }
            }
            if held >= PICTURES {
                held = 0;
                let full = std::mem::replace(&mut commit, self.commit());
                self.store_all(full, Vec::new()).await?;
            }
        }
        self.store_all(commit, Vec::new()).await?;
        Ok(aliases)
    }
}

/// The picture that the record shows by address, and the one agreed on.
fn photo_by_address(subject: &Subject) -> Option<(Photo, Option<Photo>)> {
    let Some(Seen::Present(record)) = subject.seen.as_ref().map(|s| &s.seen) else { return None };
    let shown = record.body.photo.clone().filter(|p| p.hash.starts_with("url:"))?;
    Some((shown, subject.link.as_ref().and_then(|l| l.base.theirs.photo.clone())))
}

/// On our side a picture is its bytes, never an address of somebody else's.
fn with_photos(decision: &mut Decision, aliases: &BTreeMap<String, String>) {
    let ours = |card: &mut Card| {
        if let Some(photo) = &mut card.photo
            && let Some(hash) = aliases.get(&photo.hash)
        {
            photo.hash.clone_from(hash);
        }
    };
    let base = |b: &mut Base| ours(&mut b.ours);
    for step in &mut decision.steps {
        match step {
            Step::CreateLocal { card, base: b } => {
                ours(card);
                base(b);
            }
            Step::Match(b) | Step::Rebase(b) => base(b),
            Step::UpdateLocal { card, .. } => ours(card),
            Step::CreateRemote(out) | Step::UpdateRemote(out) => ours(&mut out.ours),
            Step::TrashLocal
            | Step::RestoreLocal
            | Step::DeleteRemote
            | Step::State(_)
            | Step::Conflict(_)
            | Step::Moot(_)
            | Step::Forget
            | Step::AskDeletion(_)
            | Step::Tag => {}
        }
    }
}
