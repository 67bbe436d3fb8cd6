//! What was done: by whom or by which run, in diffs, so that it can be shown and turned round (rule 19).

use serde::{Deserialize, Serialize};

use crate::card::Card;
use crate::card::field::{Field, FieldSet, FieldValue};
use crate::crm::person::VisibleTo;
use crate::ids::{AccountId, GroupId, LinkId, OpId, PersonId, RemoteId, RunId, Timestamp, UserId};
use crate::sync::diff::Diff;
use crate::sync::view::LinkState;

/// An entry in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Its id.
    pub id: OpId,
    /// When.
    pub at: Timestamp,
    /// Who or what did it.
    pub actor: Actor,
    /// In a few words, for people: `first sync`, `people edit`.
    pub why: String,
    /// What changed. Empty = bookkeeping only; such an operation is not stored.
    pub effects: Vec<Effect>,
}

/// Who or what did something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// A user of the CRM.
    User(UserId),
    /// Whoever may open the control socket.
    Operator,
    /// A sync.
    Run {
        /// Which run.
        run: RunId,
        /// Of which account.
        account: AccountId,
    },
    /// The daemon by itself (purging the trash).
    Daemon,
}

/// One thing that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// A person changed.
    Person {
        /// Which.
        person: PersonId,
        /// Over which link it came, if by a sync.
        link: Option<LinkId>,
        /// How.
        change: PersonChange,
    },
    /// A remote record changed, by our doing.
    Remote {
        /// Over which link.
        link: LinkId,
        /// In which account.
        account: AccountId,
        /// Of which person.
        person: PersonId,
        /// Which record; `None` while nobody knows (an intent given up).
        remote: Option<RemoteId>,
        /// How.
        change: RemoteChange,
    },
    /// A link changed its state.
    Link {
        /// Which.
        link: LinkId,
        /// In which account.
        account: AccountId,
        /// Of which person.
        person: PersonId,
        /// From which state (`None` = it is new) to which.
        state: Diff<Option<LinkState>>,
    },
    /// Two people became one, or two again: a link speaks for another one of them, or for the same one otherwise.
    Relinked {
        /// Which.
        link: LinkId,
        /// In which account.
        account: AccountId,
        /// From whom to whom; the same one where only its state changed.
        person: Diff<PersonId>,
        /// From which state to which.
        state: Diff<LinkState>,
    },
}

impl Effect {
    /// Whom it concerns.
    pub fn person(&self) -> PersonId {
        match self {
            Self::Person { person, .. } | Self::Remote { person, .. } | Self::Link { person, .. } => *person,
            Self::Relinked { person, .. } => person.after,
        }
    }

    /// The same without any content: what was changed, by whom and when stays known, and no value.
    #[must_use]
    pub fn without_content(self) -> Self {
        let emptied = |diffs: Vec<FieldDiff>| {
            let nothing = || FieldValue::One(None);
            diffs.into_iter().map(|d| FieldDiff { field: d.field, value: Diff::new(nothing(), nothing()) }).collect()
        };
        match self {
            Self::Person { person, link, change } => {
                let change = match change {
                    PersonChange::Created(_) => PersonChange::Created(Card::default()),
                    PersonChange::Edited(diffs) => PersonChange::Edited(emptied(diffs)),
                    PersonChange::Custom { name, .. } => PersonChange::Custom { name, value: Diff::new(None, None) },
                    other => other,
                };
                Self::Person { person, link, change }
            }
            Self::Remote { link, account, person, remote, change } => {
                let change = match change {
                    RemoteChange::Created(_) => RemoteChange::Created(Card::default()),
                    RemoteChange::Updated(diffs) => RemoteChange::Updated(emptied(diffs)),
                    RemoteChange::Deleted { .. } => RemoteChange::Deleted { card: Card::default(), raw: None },
                    other => other,
                };
                Self::Remote { link, account, person, remote, change }
            }
            other => other,
        }
    }
}

/// How a person changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PersonChange {
    /// It came to be, with this content.
    Created(Card),
    /// Its content changed.
    Edited(Vec<FieldDiff>),
    /// It went into the trash.
    Trashed,
    /// It came back from the trash.
    Restored,
    /// Its content was removed for good.
    Purged,
    /// It went to another owner.
    Owner(Diff<UserId>),
    /// Others may see it now.
    VisibleTo(Diff<VisibleTo>),
    /// Its followers changed.
    Followers(Diff<Vec<UserId>>),
    /// It was merged into another person, and went into the trash.
    MergedInto(PersonId),
    /// Another person was merged into it.
    Absorbed(PersonId),
    /// One of the company's own fields changed.
    Custom {
        /// Which.
        name: String,
        /// From what to what.
        value: Diff<Option<String>>,
    },
}

/// How a remote record changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemoteChange {
    /// We created it, as this.
    Created(Card),
    /// We changed it.
    Updated(Vec<FieldDiff>),
    /// We deleted it; it was this.
    Deleted {
        /// Its content, as far as we model it.
        card: Card,
        /// Its original bytes in base64, where the adapter keeps them.
        raw: Option<String>,
    },
    /// We put it into a group.
    Joined(GroupId),
    /// We took it out of a group.
    Left(GroupId),
    /// It did not take these fields of what was sent; why.
    NotTaken {
        /// Which.
        fields: Vec<Field>,
        /// Why, for a person.
        why: String,
    },
}

/// From the effect at `first` on, records did not change in these fields.
pub fn not_taken(effects: &mut Vec<Effect>, first: usize, fields: FieldSet) {
    let mut new = effects.split_off(first.min(effects.len()));
    new.retain_mut(|effect| match effect {
        Effect::Remote { change: RemoteChange::Created(card), .. } => {
            fields.iter().for_each(|field| card.set(field, Card::default().get(field)));
            true
        }
        Effect::Remote { change: RemoteChange::Updated(diffs), .. } => {
            diffs.retain(|diff| !fields.contains(diff.field));
            !diffs.is_empty()
        }
        _ => true,
    });
    effects.append(&mut new);
}

/// The change of one field as a whole; for lists the elements are found again by `sync::elements`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldDiff {
    /// Which field.
    pub field: Field,
    /// From what to what.
    pub value: Diff<FieldValue>,
}

/// What changed from one card to another, field by field.
pub fn diff(before: &Card, after: &Card) -> Vec<FieldDiff> {
    let changed = Field::ALL.iter().copied().filter(|f| !before.same(after, *f));
    changed.map(|field| FieldDiff { field, value: Diff::new(before.get(field), after.get(field)) }).collect()
}

/// Makes a card say what the diffs say. `apply(a, diff(a, b)) == b`.
#[must_use]
pub fn apply(mut card: Card, diffs: &[FieldDiff]) -> Card {
    for diff in diffs {
        card.set(diff.field, diff.value.after.clone());
    }
    card
}
