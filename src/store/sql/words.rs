//! The words of the store: how values of small enums stand in columns, and by which words a person is found.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::super::{Kind, StoreError};
use super::derive::hash;
use crate::card::field::{Field, FieldSet};
use crate::crm::person::{Person, PersonState, VisibleTo};
use crate::sync::plan::{About, Deletion, Side};
use crate::sync::view::{Answer, LinkState, Origin};

/// A small enum whose values stand in columns as words.
pub(super) trait Word: Copy + Sized + 'static {
    /// Every value with its word.
    const ALL: &'static [(Self, &'static str)];

    /// The value of that word.
    fn of(word: &str) -> Result<Self, StoreError> {
        let found = Self::ALL.iter().find(|(_, name)| *name == word).map(|(value, _)| *value);
        found.ok_or_else(|| StoreError::Broken(format!("'{word}' is not a {}", std::any::type_name::<Self>())))
    }
}

impl Word for LinkState {
    const ALL: &'static [(Self, &'static str)] = &[
        (Self::Live, "live"),
        (Self::Left, "left"),
        (Self::Unlinked, "unlinked"),
        (Self::Frozen, "frozen"),
        (Self::Paused, "paused"),
        (Self::Redundant, "redundant"),
        (Self::Undone, "undone"),
        (Self::Deleted, "deleted"),
    ];
}

/// The word of a link's state.
pub(super) fn state_word(state: LinkState) -> &'static str {
    match state {
        LinkState::Live => "live",
        LinkState::Left => "left",
        LinkState::Unlinked => "unlinked",
        LinkState::Frozen => "frozen",
        LinkState::Paused => "paused",
        LinkState::Redundant => "redundant",
        LinkState::Undone => "undone",
        LinkState::Deleted => "deleted",
    }
}

/// 0 = open and the only one of its person in the account, 1 = redundant, 2 = ended.
pub(super) fn rank(state: LinkState) -> i64 {
    match state {
        LinkState::Redundant => 1,
        state if state.is_open() => 0,
        _ => 2,
    }
}

impl Word for Origin {
    const ALL: &'static [(Self, &'static str)] = &[(Self::Ours, "ours"), (Self::Theirs, "theirs")];
}

/// The word of a link's origin.
pub(super) fn origin_word(origin: Origin) -> &'static str {
    match origin {
        Origin::Ours => "ours",
        Origin::Theirs => "theirs",
    }
}

impl Word for Kind {
    const ALL: &'static [(Self, &'static str)] = &[
        (Self::Present, "present"),
        (Self::Outside, "outside"),
        (Self::Unreadable, "unreadable"),
        (Self::Roster, "roster"),
        (Self::Gone, "gone"),
    ];
}

/// The word of a kind of observation.
pub(super) fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Present => "present",
        Kind::Outside => "outside",
        Kind::Unreadable => "unreadable",
        Kind::Roster => "roster",
        Kind::Gone => "gone",
    }
}

impl Word for Deletion {
    const ALL: &'static [(Self, &'static str)] = &[(Self::Local, "local"), (Self::Remote, "remote")];
}

/// The word of a side that would lose something.
pub(super) fn deletion_word(side: Deletion) -> &'static str {
    match side {
        Deletion::Local => "local",
        Deletion::Remote => "remote",
    }
}

impl Word for Answer {
    const ALL: &'static [(Self, &'static str)] = &[(Self::Confirmed, "confirmed"), (Self::Rejected, "rejected")];
}

/// The word of an answer.
pub(super) fn answer_word(answer: Answer) -> &'static str {
    match answer {
        Answer::Confirmed => "confirmed",
        Answer::Rejected => "rejected",
    }
}

/// The subject that a conflict is about, as text for keys.
pub(super) fn about_word(about: About) -> String {
    match about {
        About::Field(field) => field.name().to_owned(),
        About::TrashedHere => "trashed_here".to_owned(),
        About::DeletedThere => "deleted_there".to_owned(),
    }
}

/// The word of the side that stands.
pub(super) fn side_word(side: Side) -> &'static str {
    match side {
        Side::Ours => "ours",
        Side::Theirs => "theirs",
        Side::Undecided => "undecided",
    }
}

/// The word of where a person stands in life.
pub(super) fn person_word(state: PersonState) -> &'static str {
    match state {
        PersonState::Live => "live",
        PersonState::Trashed { .. } => "trashed",
        PersonState::Purged { .. } => "purged",
    }
}

/// Longer words are cut: what stands behind that tells nobody apart, and an index has its limits.
const LONGEST: usize = 32;
/// A person with more words than that is found by the first ones.
const MOST: usize = 64;

/// Where a person is come upon by those who may see some people only. A word of somebody's stands once for all who ask, and
/// once more for each place, so that whoever sees few is led to them by place and word.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place<'a> {
    /// Among all people of this user.
    Of(&'a str),
    /// Among those whom this user shows to the own role.
    Role(&'a str),
    /// Among those whom this user shows to the own role and below.
    Below(&'a str),
    /// Among those who are shown to everybody.
    Company,
    /// Among those whom this user follows, each by itself.
    Followed(&'a str),
}

impl Place<'_> {
    /// What stands in front of a word in that place. No word has a blank, so that none of a place is taken for one of all.
    /// Two places that begin alike, if that ever happens, cost a look: who is shown is decided elsewhere.
    pub(super) fn start(self) -> String {
        let (kind, user) = match self {
            Self::Of(user) => ("of", user),
            Self::Role(user) => ("role", user),
            Self::Below(user) => ("below", user),
            Self::Company => ("company", ""),
            Self::Followed(user) => ("followed", user),
        };
        let place = hash([kind, user]).cast_unsigned() >> 32;
        format!(" {place:08x}")
    }
}

/// All words that stand for a person: by themselves and in each of its places; sorted, each once.
pub(super) fn of_person(person: &Person) -> Vec<String> {
    let words = said_of(person);
    let owner = person.owner.to_string();
    let followers: Vec<String> = person.followers.iter().map(ToString::to_string).collect();
    let shown = match person.visible_to {
        VisibleTo::OwnerRole => Some(Place::Role(&owner)),
        VisibleTo::OwnerRoleAndBelow => Some(Place::Below(&owner)),
        VisibleTo::Company => Some(Place::Company),
        VisibleTo::Owner | VisibleTo::OwnerAndFollowers => None,
    };
    let followed = followers.iter().map(|user| Place::Followed(user));
    let places: Vec<Place<'_>> = [Place::Of(&owner)].into_iter().chain(shown).chain(followed).collect();
    let of_place = |place: Place<'_>| {
        let start = place.start();
        words.iter().map(|word| format!("{start}{word}")).collect::<Vec<_>>()
    };
    let mut all: Vec<String> = places.into_iter().flat_map(of_place).collect();
    all.extend(words);
    all.sort_unstable();
    all.dedup();
    all
}

/// The words by which a person is found: of name, company, e-mail and phone; sorted, each once. One whose content was
/// removed for good has none.
pub(super) fn said_of(person: &Person) -> Vec<String> {
    let card = &person.card;
    let mut words = Vec::new();
    if matches!(person.state, PersonState::Purged { .. }) {
        return words;
    }
    let names = [&card.given, &card.middle, &card.family, &card.display];
    names.into_iter().flatten().for_each(|name| split(name, &mut words));
    card.nicknames.iter().for_each(|name| split(&name.value, &mut words));
    let companies = card.organizations.iter().filter_map(|item| item.value.company.as_ref());
    companies.for_each(|company| split(company, &mut words));
    // Not the last part of the domain: half the world is found by it.
    let without_end = |email: &str| email.rsplit_once('.').map_or(email.len(), |(before, _)| before.len());
    card.emails.iter().for_each(|email| split(&email.value[..without_end(&email.value)], &mut words));
    card.phones.iter().for_each(|phone| phone_tails(&phone.value, &mut words));
    words.truncate(MOST);
    words.sort_unstable();
    words.dedup();
    words
}

/// What to look for: the words of a query, the longest first, since it finds the fewest.
pub(super) fn of_query(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let digits = |part: &str| part.chars().filter(char::is_ascii_digit).count();
    let phone = |part: &str| digits(part) > 0 && part.chars().all(|c| c.is_ascii_digit() || "+-()./ ".contains(c));
    if phone(text) && digits(text) >= 3 {
        words.push(text.chars().filter(char::is_ascii_digit).take(LONGEST).collect());
        return words;
    }
    for part in text.split_whitespace() {
        // As in what people are found by: without the last part of the domain.
        let part = match part.rsplit_once('.') {
            Some((before, _)) if before.contains('@') => before,
            _ => part,
        };
        if phone(part) {
            words.push(part.chars().filter(char::is_ascii_digit).take(LONGEST).collect());
        } else {
            split(part, &mut words);
        }
    }
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    words.dedup();
    words
}

/// The bit of each field in a column that holds a set of them: its place here, for ever. A new field goes to the end.
const FIELD_BITS: &[Field] = &[
    Field::Prefix,
    Field::Given,
    Field::Middle,
    Field::Family,
    Field::Suffix,
    Field::PhoneticGiven,
    Field::PhoneticMiddle,
    Field::PhoneticFamily,
    Field::Display,
    Field::Nicknames,
    Field::Organizations,
    Field::Emails,
    Field::Phones,
    Field::Addresses,
    Field::Urls,
    Field::Messaging,
    Field::Profiles,
    Field::Relations,
    Field::Birthday,
    Field::Anniversary,
    Field::Dates,
    Field::Note,
    Field::Gender,
    Field::Pronouns,
    Field::Languages,
    Field::Categories,
    Field::Photo,
];

/// A set of fields as it stands in a column.
pub(super) fn fields_column(fields: FieldSet) -> i64 {
    let bits = FIELD_BITS.iter().enumerate().filter(|(_, field)| fields.contains(**field));
    bits.fold(0, |column, (place, _)| column | 1 << place)
}

/// The set of fields in a column.
pub(super) fn fields_of_column(column: i64) -> FieldSet {
    let bits = FIELD_BITS.iter().enumerate().filter(|(place, _)| column & (1 << place) != 0);
    bits.map(|(_, field)| *field).collect()
}

/// The first text that no word with that beginning reaches.
pub(super) fn end_of(prefix: &str) -> String {
    format!("{prefix}\u{10ffff}")
}

/// Letters without case and accents, and digits.
fn split(text: &str, into: &mut Vec<String>) {
    let mut take = |folded: &str| {
        let words = folded.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        into.extend(words.map(|word| word.chars().take(LONGEST).collect::<String>()));
    };
    if text.is_ascii() {
        take(&text.to_ascii_lowercase());
    } else {
        take(&text.nfkd().filter(|c| !is_combining_mark(*c)).collect::<String>().to_lowercase());
    }
}

/// The number's digits, from each of its groups to the end: it is found with and without country and area.
fn phone_tails(text: &str, into: &mut Vec<String>) {
    let mut tails: Vec<String> = Vec::new();
    let groups = text.split(|c: char| !c.is_ascii_digit()).filter(|group| !group.is_empty());
    for group in groups {
        tails.iter_mut().for_each(|tail| tail.push_str(group));
        if tails.len() < 3 {
            tails.push(group.to_owned());
        }
    }
    into.extend(tails.into_iter().map(|tail| tail.chars().take(LONGEST).collect::<String>()).filter(|t| t.len() >= 3));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_states_agree() {
        for (state, word) in LinkState::ALL {
            assert_eq!((state_word(*state), LinkState::of(word).unwrap()), (*word, *state));
            assert_eq!(rank(*state) < 2, state.is_open());
        }
        for (kind, word) in Kind::ALL {
            assert_eq!((kind_word(*kind), Kind::of(word).unwrap()), (*word, *kind));
        }
    }

    #[test]
    fn every_field_has_a_bit_of_its_own() {
        for field in Field::ALL.iter().copied() {
            let only: FieldSet = [field].into_iter().collect();
            assert_eq!(fields_column(only).count_ones(), 1, "{field:?}");
            assert_eq!(fields_of_column(fields_column(only)), only);
        }
        assert_eq!(fields_of_column(fields_column(FieldSet::all())), FieldSet::all());
        let column = fields_column([Field::Given, Field::Photo].into_iter().collect());
        assert_eq!(column, 1 << 1 | 1 << 26, "what is stored keeps its meaning");
    }

    #[test]
    fn text_becomes_words() {
        let words = |text: &str| {
            let mut words = Vec::new();
            split(text, &mut words);
            words
        };
        assert_eq!(words("Zoë O'Neil-Müller"), ["zoe", "o", "neil", "muller"]);
        assert_eq!(words("Ann.Lee@example.com"), ["ann", "lee", "example", "com"]);
        assert_eq!(of_query("(555) 01-00"), ["5550100"]);
        assert_eq!(of_query("ann 555-01"), ["55501", "ann"]);
        assert_eq!(of_query("ann.lee@example.com"), ["example", "ann", "lee"]);
        let mut tails = Vec::new();
        phone_tails("+1 555-0100", &mut tails);
        assert_eq!(tails, ["15550100", "5550100", "0100"]);
    }
}
