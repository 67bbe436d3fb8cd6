//! Why a record or a person is, or is not, in sync: all that is known about it in one account.
//!
//! Owns: [`Why`] and what of a person stays here. Must not: change anything, or ask a provider.

use std::collections::BTreeMap;

use super::plan::Decided;
use super::preview::Preview;
use super::{Engine, SyncError};
use crate::card::field::{Field, FieldValue, Shape};
use crate::ids::{LinkId, PersonId, RemoteId, Timestamp};
use crate::store::{Account, Failure, HeldDeletion, SubjectKey};
use crate::sync::caps::Capabilities;
use crate::sync::plan::Waits;
use crate::sync::reconcile::{Facts, Meeting, reconcile};
use crate::sync::settings::Direction;
use crate::sync::view::{LinkState, Origin, Send, Standing, Subject, Withheld};

/// Why a record or a person is, or is not, in sync.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Why {
    /// The record, if there is one.
    pub remote: Option<RemoteId>,
    /// The person, if there is one.
    pub person: Option<PersonId>,
    /// The state of the link, if there is one, and who created the record.
    pub link: Option<(LinkState, Origin)>,
    /// What the next run would do about it.
    pub does: Vec<String>,
    /// What it waits for.
    pub waits: Option<Waits>,
    /// What failed, and when it is tried again.
    pub failed: Option<Failure>,
    /// Sends of which it is not known whether they landed, and since when.
    pub intents: Vec<(Send, Timestamp)>,
    /// Conflicts that nobody has dealt with.
    pub conflicts: Vec<Standing>,
    /// A deletion that was put to a person.
    pub held: Option<HeldDeletion>,
    /// What of the person is not sent there.
    pub stays: Vec<StaysHere>,
}

/// A value that is not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaysHere {
    /// In which field.
    pub field: Field,
    /// The whole field, or the one element.
    pub value: FieldValue,
    /// Why.
    pub why: StaysBecause,
}

/// Why a value is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StaysBecause {
    /// The account's mapping.
    Mapping,
    /// The provider has no place for it.
    NoPlace,
    /// The provider holds no more of them.
    Room,
    /// The provider did not keep it.
    Refused,
}

impl StaysBecause {
    /// In a sentence, with what to do.
    pub fn words(self) -> &'static str {
        match self {
            Self::Mapping => "the account's mapping keeps it here; change it by `contactd account set --map`",
            Self::NoPlace => "the provider has no place for it",
            Self::Room => "the provider holds no more of these; it is sent when there is room",
            Self::Refused => "the provider did not keep it; it is sent again when it changes",
        }
    }
}

impl Engine {
    /// Why these are, or are not, in sync.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn why(
        &self,
        account: &Account,
        caps: &Capabilities,
        keys: &[SubjectKey],
    ) -> Result<Vec<Why>, SyncError> {
        let subjects = self.store.subjects(account.id, keys).await?;
        self.explain(account, caps, keys.iter().cloned().zip(subjects).collect()).await
    }

    /// The same of links, each by itself.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn why_links(
        &self,
        account: &Account,
        caps: &Capabilities,
        links: &[LinkId],
    ) -> Result<Vec<Why>, SyncError> {
        let subjects = self.store.subjects_of_links(account.id, links).await?;
        self.explain(account, caps, subjects).await
    }

    async fn explain(
        &self,
        account: &Account,
        caps: &Capabilities,
        subjects: Vec<(SubjectKey, Subject)>,
    ) -> Result<Vec<Why>, SyncError> {
        let look = self.look(account, caps).await?;
        let failures: BTreeMap<SubjectKey, Failure> =
            look.failures.iter().map(|f| (f.key.clone(), f.clone())).collect();
        let facts = look.facts(&account.settings);
        let intents = self.store.intents(account.id).await?;
        let held = self.store.held(Some(account.id)).await?;
        let waiting = self.store.duplicates(account.id).await?;
        let in_question = |key: &SubjectKey| match key {
            SubjectKey::Record(id) => waiting.iter().any(|(remote, _)| remote == id),
            SubjectKey::Person(id) => waiting.iter().any(|(_, people)| people.contains(id)),
        };
        let mut all = Vec::new();
        for (key, subject) in subjects {
            let meeting = match &key {
                SubjectKey::Record(id) if look.hidden.like.contains(id) => Meeting::Hidden,
                key if in_question(key) => Meeting::InQuestion,
                _ => Meeting::Alone,
            };
            let decision = reconcile(&subject, meeting, &facts);
            let person = subject.person.as_ref().map(|p| p.person.id);
            let link = subject.link.as_ref().map(|l| l.id);
            let of_person = person.and_then(|person| failures.get(&SubjectKey::Person(person)));
            let mut why = Why {
                remote: subject.seen.as_ref().map(|s| s.seen.id().clone()),
                person,
                link: subject.link.as_ref().map(|l| (l.state, l.origin)),
                does: Vec::new(),
                waits: decision.waits,
                failed: failures.get(&key).or(of_person).cloned(),
                intents: intents.iter().filter(|i| Some(i.link) == link).map(|i| (i.what.clone(), i.opened)).collect(),
                conflicts: subject.open.clone(),
                held: held.iter().find(|h| Some(h.link) == link).cloned(),
                stays: stays(&subject, &facts),
            };
            let mut words = Preview::default();
            words.add(Decided { key, subject, decision });
            why.does = words.rows.pop().map(|row| row.does).unwrap_or_default();
            all.push(why);
        }
        Ok(all)
    }
}

/// What of a person is not sent over its link.
fn stays(subject: &Subject, facts: &Facts<'_>) -> Vec<StaysHere> {
    let (Some(link), Some(person)) = (&subject.link, &subject.person) else { return Vec::new() };
    // In one-way nothing is sent at all, which is said as a whole.
    if link.state != LinkState::Live || facts.settings.direction == Direction::OneWay {
        return Vec::new();
    }
    let mut all = Vec::new();
    for field in Field::ALL.iter().copied().filter(|f| person.person.card.has(*f)) {
        let why = if !facts.settings.mapping.outgoing().contains(field) {
            StaysBecause::Mapping
        } else if !facts.caps.writes.contains(field) {
            StaysBecause::NoPlace
        } else if field.shape() == Shape::One {
            let base = &link.base;
            let agreed = base.mapped.contains(field) && base.ours.same(&person.person.card, field);
            if !agreed || base.theirs.has(field) {
                continue;
            }
            StaysBecause::Refused
        } else {
            let elements = link.base.ours.get(field).into_elements();
            for (place, why) in link.base.pairs.withheld.get(&field).into_iter().flatten() {
                let Some(element) = elements.get(usize::from(*place)) else { continue };
                let why = match why {
                    Withheld::Room => StaysBecause::Room,
                    Withheld::Refused => StaysBecause::Refused,
                };
                all.push(StaysHere { field, value: FieldValue::Many(vec![element.clone()]), why });
            }
            continue;
        };
        all.push(StaysHere { field, value: person.person.card.get(field), why });
    }
    all
}
