//! PURE. The normal form of a contact: the same for every provider and for the CRM.
//!
//! Owns: [`Card`] and its parts, and the table of fields that merge, masks, mapping and pages walk ([`field`]).
//! Must not: know a provider, an id or an etag; look at a clock. Start reading at [`Card`], then [`field::Field`].

pub mod field;
pub mod normalize;
pub mod photo;
pub mod vcard;

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The content of a contact as a plain value: comparable, diffable, mergeable.
///
/// Scalars are `Option`s; an empty text is never stored, it is `None` (see [`normalize::tidy`]). Lists keep their order.
/// Member names follow JSContact (RFC 9553) where it has the notion.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Card {
    /// Honorific before the name ("Dr.").
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Given name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given: Option<String>,
    /// Additional or middle names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub middle: Option<String>,
    /// Family name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    /// Generation or honours after the name ("Jr.", "PhD").
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suffix: Option<String>,
    /// How the given name is spoken or spelt phonetically.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phonetic_given: Option<String>,
    /// How the middle name is spoken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phonetic_middle: Option<String>,
    /// How the family name is spoken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phonetic_family: Option<String>,
    /// The name as it is shown (vCard `FN`, Graph `displayName`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display: Option<String>,
    /// Nicknames.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nicknames: Vec<Item<String>>,
    /// Employers and the person's place there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub organizations: Vec<Item<Organization>>,
    /// E-mail addresses, spelling kept.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub emails: Vec<Item<String>>,
    /// Telephone numbers as the user formats them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub phones: Vec<Item<String>>,
    /// Postal addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<Item<Address>>,
    /// Web addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<Item<String>>,
    /// Messaging handles (Signal, Skype, XMPP …).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub messaging: Vec<Item<Handle>>,
    /// Social profiles.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<Item<Handle>>,
    /// Names of related people; the label says which relation.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub relations: Vec<Item<String>>,
    /// Birthday, with or without a year.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub birthday: Option<PartialDate>,
    /// Wedding anniversary, with or without a year.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anniversary: Option<PartialDate>,
    /// Other dates; the label says which.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dates: Vec<Item<PartialDate>>,
    /// Free text; line ends are LF.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Gender as free text (vCard 4 `GENDER`, sex component as its letter in lower case when nothing else is given).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gender: Option<String>,
    /// Pronouns (RFC 9554 §4.4).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pronouns: Option<String>,
    /// Languages as BCP 47 tags, best first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub languages: Vec<Item<String>>,
    /// Free tags. Unlike the groups of a remote record they scope nothing, unless a provider has no other groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<Item<String>>,
    /// The picture, by the hash of its bytes; the bytes live once in the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub photo: Option<Photo>,
}

/// One element of a list: a value, what the user calls it, and whether it is the preferred one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item<T> {
    /// The value.
    pub value: T,
    /// What it is called: `home`, `work`, `mobile`, or any words of the user's.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// Marked as the one to use first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub preferred: bool,
}

impl<T> Item<T> {
    /// An element without label or mark.
    pub fn new(value: impl Into<T>) -> Self {
        Self { value: value.into(), labels: Labels::default(), preferred: false }
    }

    /// The same with one more label.
    #[must_use]
    pub fn labelled(mut self, label: &str) -> Self {
        self.labels.insert(label);
        self
    }

    /// The same, marked as preferred.
    #[must_use]
    pub fn preferred(mut self) -> Self {
        self.preferred = true;
        self
    }
}

/// The labels of one element, as a set. Standard words stand in lower case (`home`, `work`, `mobile`, `fax`, `pager`,
/// `main`, `other`, `anniversary`, `spouse` …); a user's own words keep their spelling.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Labels(BTreeSet<String>);

impl Labels {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// Adds one; an empty text is none.
    pub fn insert(&mut self, label: &str) {
        let label = label.trim();
        if !label.is_empty() {
            self.0.insert(label.to_owned());
        }
    }
    /// Whether it is among them, to the letter.
    pub fn contains(&self, label: &str) -> bool {
        self.0.contains(label)
    }
    /// All of them, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl<'a> FromIterator<&'a str> for Labels {
    fn from_iter<I: IntoIterator<Item = &'a str>>(labels: I) -> Self {
        let mut all = Self::default();
        for label in labels {
            all.insert(label);
        }
        all
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(&self.0).finish()
    }
}

/// An employer and the person's place there.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Organization {
    /// The company's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub company: Option<String>,
    /// Department or unit; several levels are joined by `; `.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub department: Option<String>,
    /// Job title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Function or role (vCard `ROLE`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// How the company's name is spoken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phonetic: Option<String>,
}

/// A postal address (vCard `ADR`, RFC 6350 §6.3.1). Lines within a part are separated by LF.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Address {
    /// Post office box.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub po_box: Option<String>,
    /// Apartment, suite, building.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extended: Option<String>,
    /// Street and house number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub street: Option<String>,
    /// City or town.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locality: Option<String>,
    /// State, province, region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Postal code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postcode: Option<String>,
    /// Country by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// Country by ISO 3166-1 alpha-2 code, lower case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country_code: Option<String>,
}

/// A handle at a service: messaging or social.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Handle {
    /// The service, as the provider or user names it (`Skype`, `Mastodon`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The user name there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The address of the profile or the messaging URI.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
}

/// A date whose year may be unknown (vCard 4 `--0415`). Not checked against the calendar: what an address book says is
/// kept; [`PartialDate::new`] refuses only what no calendar has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PartialDate {
    /// Year, if known.
    pub year: Option<i16>,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day of the month, 1 to 31.
    pub day: u8,
}

impl PartialDate {
    /// The date, unless month or day can't be.
    pub fn new(year: Option<i16>, month: u8, day: u8) -> Option<Self> {
        let most = match month {
            2 => 29,
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return None,
        };
        ((1..=most).contains(&day) && year.is_none_or(|y| (1..=9999).contains(&y))).then_some(Self { year, month, day })
    }
}

impl fmt::Display for PartialDate {
    /// `1980-04-15`, or `--04-15` without a year.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.year {
            Some(year) => write!(f, "{year:04}-{:02}-{:02}", self.month, self.day),
            None => write!(f, "--{:02}-{:02}", self.month, self.day),
        }
    }
}

impl fmt::Debug for PartialDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not a date of the forms `1980-04-15` or `--04-15`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a date: expected 1980-04-15, or --04-15 without a year")]
pub struct BadDate(String);

impl std::str::FromStr for PartialDate {
    type Err = BadDate;
    fn from_str(text: &str) -> Result<Self, BadDate> {
        let bad = || BadDate(text.to_owned());
        let (year, rest) = match text.strip_prefix("--") {
            Some(rest) => (None, rest),
            None => {
                let (year, rest) = text.split_once('-').ok_or_else(bad)?;
                (Some(year.parse::<i16>().map_err(|_| bad())?), rest)
            }
        };
        let (month, day) = rest.split_once('-').ok_or_else(bad)?;
        let number = |part: &str| part.parse::<u8>().map_err(|_| bad());
        Self::new(year, number(month)?, number(day)?).ok_or_else(bad)
    }
}

impl TryFrom<String> for PartialDate {
    type Error = BadDate;
    fn try_from(text: String) -> Result<Self, BadDate> {
        text.parse()
    }
}

impl From<PartialDate> for String {
    fn from(date: PartialDate) -> Self {
        date.to_string()
    }
}

/// A picture by reference. Two with the same hash are the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Photo {
    /// BLAKE3 of the bytes in hex; or, where a provider gives only an address and the bytes have not been fetched,
    /// `url:` and the BLAKE3 of that address.
    pub hash: String,
    /// Media type, `image/jpeg`.
    pub media_type: String,
}
