//! Which edition the company has bought, and what it may choose.
//!
//! Owns: which [`VisibleTo`] each edition offers. Must not: change what stands already. An item that was given a wider
//! or finer value under another edition keeps it and is decided by it; only a new choice is refused.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::crm::person::VisibleTo;

/// What the company has bought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edition {
    /// `owner_and_followers` and `company`.
    Silver,
    /// The same choices as Silver.
    Gold,
    /// `owner`, `owner_role`, `owner_role_and_below` and `company`.
    #[default]
    Platinum,
}

impl Edition {
    /// What may be chosen, from narrow to wide.
    pub fn choices(self) -> &'static [VisibleTo] {
        use VisibleTo::{Company, Owner, OwnerAndFollowers, OwnerRole, OwnerRoleAndBelow};
        match self {
            Self::Silver | Self::Gold => &[OwnerAndFollowers, Company],
            Self::Platinum => &[Owner, OwnerRole, OwnerRoleAndBelow, Company],
        }
    }

    /// What a new account starts with: the narrowest choice, since a sync never widens and a person can.
    pub fn narrowest(self) -> VisibleTo {
        match self {
            Self::Silver | Self::Gold => VisibleTo::OwnerAndFollowers,
            Self::Platinum => VisibleTo::Owner,
        }
    }

    /// Whether that may be chosen.
    ///
    /// # Errors
    /// When this edition doesn't offer it.
    pub fn check(self, wanted: VisibleTo) -> Result<(), NotOffered> {
        if self.choices().contains(&wanted) { Ok(()) } else { Err(NotOffered { edition: self, wanted }) }
    }
}

impl fmt::Display for Edition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Silver => "Silver",
            Self::Gold => "Gold",
            Self::Platinum => "Platinum",
        })
    }
}

/// The edition doesn't offer that choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("visible to '{}' can't be chosen in the {edition} edition; choose {}", .wanted.as_str(), offered(*.edition))]
pub struct NotOffered {
    /// The company's edition.
    pub edition: Edition,
    /// What was asked for.
    pub wanted: VisibleTo,
}

fn offered(edition: Edition) -> String {
    let names: Vec<_> = edition.choices().iter().map(|choice| format!("'{}'", choice.as_str())).collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => names.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_edition_offers_its_own_choices() {
        use VisibleTo::{Company, Owner, OwnerAndFollowers, OwnerRole, OwnerRoleAndBelow};
        let table = [
            (Edition::Silver, [false, true, false, false, true]),
            (Edition::Gold, [false, true, false, false, true]),
            (Edition::Platinum, [true, false, true, true, true]),
        ];
        let columns = [Owner, OwnerAndFollowers, OwnerRole, OwnerRoleAndBelow, Company];
        assert_eq!(columns, VisibleTo::ALL);
        for (edition, row) in table {
            assert_eq!(columns.map(|wanted| edition.check(wanted).is_ok()), row, "{edition}");
            assert_eq!(Some(&edition.narrowest()), edition.choices().iter().min());
        }
    }

    #[test]
    fn the_refusal_says_what_to_choose() {
        assert_eq!(
            Edition::Gold.check(VisibleTo::OwnerRole).unwrap_err().to_string(),
            "visible to 'owner_role' can't be chosen in the Gold edition; choose 'owner_and_followers' or 'company'"
        );
    }
}
