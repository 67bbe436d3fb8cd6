//! What an element is called: Google's types (google.md §3.1), to and from labels.
//!
//! Owns: the tables. A type that no table knows is the user's own word and goes through as it is, both ways.

use crate::card::Labels;
use crate::card::field::Field;
use crate::card::normalize::{STANDARD_LABELS, tidy_label};

/// Types that mean other labels than their own text, per field.
fn table(field: Field) -> &'static [(&'static str, &'static [&'static str])] {
    match field {
        Field::Phones => &[
            ("homeFax", &["fax", "home"]),
            ("workFax", &["fax", "work"]),
            ("otherFax", &["fax"]),
            ("workMobile", &["mobile", "work"]),
            ("workPager", &["pager", "work"]),
            ("googleVoice", &["Google Voice"]),
        ],
        Field::Urls => &[("homePage", &["homepage"])],
        Field::Relations => &[("domesticPartner", &["domestic-partner"]), ("referredBy", &["referred-by"])],
        _ => &[],
    }
}

/// Which label says most, where only one of several can be told.
const TELLING: &[&str] = &["mobile", "fax", "pager", "main", "work", "home"];

/// What a type says. An enum's default (`DEFAULT` of nicknames) is no type.
pub(super) fn of_type(field: Field, kind: &str) -> Labels {
    match table(field).iter().find(|(google, _)| google.eq_ignore_ascii_case(kind)) {
        Some((_, labels)) => labels.iter().copied().collect(),
        None => [tidy_label(kind).as_str()].into_iter().collect(),
    }
}

/// The type that says these labels, or as many of them as one type can; `None` = no label.
pub(super) fn type_of(field: Field, labels: &Labels) -> Option<String> {
    let all: Vec<&str> = labels.iter().collect();
    // Google knows a fax that is neither at home nor at work only as "other".
    let fax = field == Field::Phones && all == ["fax", "other"];
    let all = if fax { vec!["fax"] } else { all };
    let known = |labels: &[&str]| table(field).iter().find(|(_, ours)| *ours == labels).map(|(kind, _)| *kind);
    if let Some(kind) = known(&all) {
        return Some(kind.to_owned());
    }
    let own = || all.iter().find(|label| !STANDARD_LABELS.contains(label));
    let telling = || TELLING.iter().find(|label| all.contains(label));
    let one = *own().or_else(telling).or(all.first())?;
    Some(known(&[one]).unwrap_or(one).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPES: &[(Field, &[&str])] = &[
        (
            Field::Phones,
            &[
                "home",
                "work",
                "mobile",
                "homeFax",
                "workFax",
                "otherFax",
                "pager",
                "workMobile",
                "workPager",
                "main",
                "googleVoice",
                "other",
                "Beach house",
            ],
        ),
        (Field::Emails, &["home", "work", "other", "Beach house"]),
        (Field::Addresses, &["home", "work", "other"]),
        (Field::Organizations, &["work", "school"]),
        (
            Field::Urls,
            &["home", "work", "blog", "profile", "homePage", "ftp", "reservations", "appInstallPage", "other"],
        ),
        (
            Field::Relations,
            &[
                "spouse",
                "child",
                "mother",
                "father",
                "parent",
                "brother",
                "sister",
                "friend",
                "relative",
                "domesticPartner",
                "manager",
                "assistant",
                "referredBy",
                "partner",
            ],
        ),
        (Field::Dates, &["anniversary", "other", "First day"]),
    ];

    #[test]
    fn every_type_of_theirs_comes_back() {
        for (field, types) in TYPES {
            for kind in *types {
                let labels = of_type(*field, kind);
                assert_eq!(type_of(*field, &labels).as_deref(), Some(*kind), "{field} {labels:?}");
            }
        }
    }

    #[test]
    fn several_labels_become_the_type_that_says_most() {
        let of = |labels: &[&str]| type_of(Field::Phones, &labels.iter().copied().collect());
        assert_eq!(of(&["home", "fax"]).as_deref(), Some("homeFax"));
        assert_eq!(of(&["other", "fax"]).as_deref(), Some("otherFax"));
        assert_eq!(of(&["home", "mobile"]).as_deref(), Some("mobile"));
        assert_eq!(of(&["work", "Yacht"]).as_deref(), Some("Yacht"));
        assert_eq!(of(&[]), None);
        assert_eq!(of_type(Field::Phones, "WORKFAX"), ["work", "fax"].into_iter().collect());
    }
}
