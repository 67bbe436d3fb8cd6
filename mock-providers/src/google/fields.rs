//! The fields of a person: which there are, what they hold, who may write them (`google.md` 3.1).
//!
//! Owns: the table, and masks over it. Must not: store anything.

use std::collections::BTreeSet;

use super::error::Error;

/// What a member of a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    Text,
    Flag,
    Number,
    Date,
    /// One of these.
    Word(&'static [&'static str]),
    /// Only Google sets it.
    Output,
    /// A `contactGroupMembership`.
    Group,
}

/// A field of a person.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    /// Whether it may stand in an update mask.
    pub(super) writable: bool,
    /// Whether it may stand in a read mask.
    pub(super) readable: bool,
    /// Whether a contact has at most one.
    pub(super) single: bool,
    pub(super) members: &'static [(&'static str, Holds)],
}

use Holds::{Date, Flag, Group, Number, Output, Text, Word};

const NICKNAMES: Holds =
    Word(&["DEFAULT", "MAIDEN_NAME", "INITIALS", "GPLUS", "OTHER_NAME", "ALTERNATE_NAME", "SHORT_NAME"]);
const NOTES: Holds = Word(&["CONTENT_TYPE_UNSPECIFIED", "TEXT_PLAIN", "TEXT_HTML"]);
const KEYWORDS: Holds = Word(&[
    "TYPE_UNSPECIFIED",
    "OUTLOOK_BILLING_INFORMATION",
    "OUTLOOK_DIRECTORY_SERVER",
    "OUTLOOK_KEYWORD",
    "OUTLOOK_MILEAGE",
    "OUTLOOK_PRIORITY",
    "OUTLOOK_SENSITIVITY",
    "OUTLOOK_SUBJECT",
    "OUTLOOK_USER",
    "HOME",
    "WORK",
    "OTHER",
]);
const VALUE: &[(&str, Holds)] = &[("value", Text)];
const TYPED_VALUE: &[(&str, Holds)] = &[("value", Text), ("type", Text), ("formattedType", Output)];
const PAIR: &[(&str, Holds)] = &[("key", Text), ("value", Text)];

const fn writable(name: &'static str, members: &'static [(&'static str, Holds)]) -> Field {
    Field { name, writable: true, readable: true, single: false, members }
}

const fn single(name: &'static str, members: &'static [(&'static str, Holds)]) -> Field {
    Field { single: true, ..writable(name, members) }
}

const fn read_only(name: &'static str) -> Field {
    Field { writable: false, ..writable(name, &[]) }
}

const fn dead(name: &'static str) -> Field {
    Field { readable: false, ..read_only(name) }
}

/// All of them.
pub(super) const FIELDS: &[Field] = &[
    writable(
        "addresses",
        &[
            ("formattedValue", Text),
            ("type", Text),
            ("formattedType", Output),
            ("poBox", Text),
            ("streetAddress", Text),
            ("extendedAddress", Text),
            ("city", Text),
            ("region", Text),
            ("postalCode", Text),
            ("country", Text),
            ("countryCode", Text),
        ],
    ),
    read_only("ageRanges"),
    single("biographies", &[("value", Text), ("contentType", NOTES)]),
    single("birthdays", &[("date", Date), ("text", Text)]),
    writable("calendarUrls", &[("url", Text), ("type", Text), ("formattedType", Output)]),
    writable("clientData", PAIR),
    read_only("coverPhotos"),
    writable("emailAddresses", &[("value", Text), ("type", Text), ("formattedType", Output), ("displayName", Text)]),
    writable("events", &[("date", Date), ("type", Text), ("formattedType", Output)]),
    writable("externalIds", TYPED_VALUE),
    single("genders", &[("value", Text), ("formattedValue", Output), ("addressMeAs", Text)]),
    writable(
        "imClients",
        &[
            ("username", Text),
            ("type", Text),
            ("formattedType", Output),
            ("protocol", Text),
            ("formattedProtocol", Output),
        ],
    ),
    writable("interests", VALUE),
    writable("locales", VALUE),
    writable(
        "locations",
        &[
            ("value", Text),
            ("type", Text),
            ("current", Flag),
            ("buildingId", Text),
            ("floor", Text),
            ("floorSection", Text),
            ("deskCode", Text),
        ],
    ),
    writable("memberships", &[("contactGroupMembership", Group), ("domainMembership", Output)]),
    read_only("metadata"),
    writable("miscKeywords", &[("value", Text), ("type", KEYWORDS), ("formattedType", Output)]),
    single(
        "names",
        &[
            ("displayName", Output),
            ("displayNameLastFirst", Output),
            ("unstructuredName", Text),
            ("familyName", Text),
            ("givenName", Text),
            ("middleName", Text),
            ("honorificPrefix", Text),
            ("honorificSuffix", Text),
            ("phoneticFullName", Text),
            ("phoneticFamilyName", Text),
            ("phoneticGivenName", Text),
            ("phoneticMiddleName", Text),
            ("phoneticHonorificPrefix", Text),
            ("phoneticHonorificSuffix", Text),
        ],
    ),
    writable("nicknames", &[("value", Text), ("type", NICKNAMES)]),
    writable("occupations", VALUE),
    writable(
        "organizations",
        &[
            ("type", Text),
            ("formattedType", Output),
            ("startDate", Date),
            ("endDate", Date),
            ("current", Flag),
            ("name", Text),
            ("phoneticName", Text),
            ("department", Text),
            ("title", Text),
            ("jobDescription", Text),
            ("symbol", Text),
            ("domain", Text),
            ("location", Text),
            ("costCenter", Text),
            ("fullTimeEquivalentMillipercent", Number),
        ],
    ),
    writable("phoneNumbers", &[("value", Text), ("canonicalForm", Output), ("type", Text), ("formattedType", Output)]),
    read_only("photos"),
    writable("relations", &[("person", Text), ("type", Text), ("formattedType", Output)]),
    writable("sipAddresses", TYPED_VALUE),
    read_only("skills"),
    writable("urls", TYPED_VALUE),
    writable("userDefined", PAIR),
    dead("ageRange"),
    dead("braggingRights"),
    dead("fileAses"),
    dead("relationshipInterests"),
    dead("relationshipStatuses"),
    dead("residences"),
    dead("taglines"),
];

/// The field of that name.
pub(super) fn field(name: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| field.name == name)
}

/// A set of fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mask(BTreeSet<&'static str>);

impl Mask {
    /// Every field that can be read.
    pub(super) fn all() -> Self {
        Self(FIELDS.iter().filter(|field| field.readable).map(|field| field.name).collect())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The fields, in alphabetical order.
    pub(super) fn fields(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().copied()
    }

    /// The fields with commas between them.
    pub(super) fn text(&self) -> String {
        self.fields().collect::<Vec<_>>().join(",")
    }

    /// Reads a mask of fields to read. The text of the error is known (2); it says `path` where the parameter is named.
    pub(super) fn to_read(parameter: &str, text: &str) -> Result<Self, Error> {
        let known = |path: &&str| field(path).filter(|field| field.readable).map(|field| field.name);
        Self::parse(text, known).map_err(|path| {
            Error::argument(format!(
                "Invalid {parameter} mask path: \"{path}\". Valid paths are documented at \
                 https://developers.google.com/people/api/rest/v1/people/get."
            ))
        })
    }

    /// Reads a mask of fields to write (4).
    pub(super) fn to_write(parameter: &str, text: &str) -> Result<Self, Error> {
        if text.is_empty() {
            let text = format!("{parameter} mask is required. Please specify one or more valid paths.");
            return Err(Error::field(parameter, text));
        }
        let known = |path: &&str| field(path).filter(|field| field.writable).map(|field| field.name);
        Self::parse(text, known).map_err(|path| {
            let text = format!(
                "Invalid {parameter} mask path: \"{path}\". Valid paths are documented at \
                 https://developers.google.com/people/api/rest/v1/people/updateContact."
            );
            Error::field(parameter, text)
        })
    }

    fn parse<'a>(text: &'a str, known: impl Fn(&&'a str) -> Option<&'static str>) -> Result<Self, &'a str> {
        let paths = text.split(',').filter(|_| !text.is_empty());
        paths.map(|path| known(&path).ok_or(path)).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::{FIELDS, Mask};

    #[test]
    fn the_table_says_who_may_write_what() {
        let names = |of: fn(&super::Field) -> bool| -> Vec<_> {
            FIELDS.iter().filter(|field| of(field)).map(|field| field.name).collect()
        };
        assert_eq!(names(|field| field.single), ["biographies", "birthdays", "genders", "names"]);
        let read_only = ["ageRanges", "coverPhotos", "metadata", "photos", "skills"];
        assert_eq!(names(|field| field.readable && !field.writable), read_only);
        assert_eq!(names(|field| field.readable).len(), 29);
    }

    #[test]
    fn masks_are_bare_names_with_commas() {
        assert_eq!(Mask::to_read("personFields", "names,metadata").unwrap().text(), "metadata,names");
        let error = Mask::to_read("personFields", "names,notes").unwrap_err();
        assert!(error.message.starts_with("Invalid personFields mask path: \"notes\". Valid paths are documented at "));
        for bad in ["names, urls", "names.givenName", "photos", "metadata", "fileAses", "names,"] {
            let error = Mask::to_write("updatePersonFields", bad).unwrap_err();
            assert!(error.details[0]["fieldViolations"][0]["field"] == "updatePersonFields", "{bad}");
        }
    }
}
