//! The table of fields: what merge, masks, mapping, conflicts and pages walk.
//!
//! Owns: [`Field`], [`FieldSet`], and the uniform view of a card's content ([`FieldValue`], [`Value`]).
//! Adding a field: its member in [`Card`], its variant in [`Field`], its row in the macro below; the compiler leads on.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Address, Card, Handle, Item, Labels, Organization, PartialDate, Photo};

/// The value of a scalar field, or of one element of a list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// Plain text.
    Text(String),
    /// A date.
    Date(PartialDate),
    /// A picture.
    Photo(Photo),
    /// An employer.
    Organization(Organization),
    /// A postal address.
    Address(Address),
    /// A handle at a service.
    Handle(Handle),
}

/// One element of a list in uniform shape.
pub type Element = Item<Value>;

/// All that a card says in one field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldValue {
    /// At most one value.
    One(Option<Value>),
    /// Any number of elements, in order.
    Many(Vec<Element>),
}

impl FieldValue {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::One(value) => value.is_none(),
            Self::Many(elements) => elements.is_empty(),
        }
    }
    /// The elements; a scalar counts as a list of at most one unlabelled element.
    pub fn into_elements(self) -> Vec<Element> {
        match self {
            Self::One(value) => {
                value.into_iter().map(|v| Item { value: v, labels: Labels::default(), preferred: false }).collect()
            }
            Self::Many(elements) => elements,
        }
    }
}

/// Whether a field holds one value or a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// At most one value; merges three-way as a whole.
    One,
    /// A list; merges element by element.
    Many,
}

/// What goes in and out of the uniform shape.
trait Uniform: Sized {
    fn wrap(self) -> Value;
    fn unwrap_from(value: Value) -> Option<Self>;
}

macro_rules! uniform {
    ($($type:ty => $variant:ident),* $(,)?) => {$(
        impl Uniform for $type {
            fn wrap(self) -> Value { Value::$variant(self) }
            fn unwrap_from(value: Value) -> Option<Self> {
                match value { Value::$variant(inner) => Some(inner), _ => None }
            }
        }
    )*};
}
uniform!(String => Text, PartialDate => Date, Photo => Photo, Organization => Organization, Address => Address, Handle => Handle);

macro_rules! fields {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $shape:ident $member:ident;)*) => {
        /// A field of a [`Card`]. The order is that in which pages show them.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Field { $($(#[$doc])* $variant,)* }

        impl Field {
            /// Every field, in order.
            pub const ALL: &'static [Field] = &[$(Field::$variant),*];

            /// The field's name in settings, logs and JSON.
            pub const fn name(self) -> &'static str { match self { $(Field::$variant => $name),* } }

            /// One value or a list.
            pub const fn shape(self) -> Shape { match self { $(Field::$variant => Shape::$shape),* } }
        }

        impl Card {
            /// What the card says in that field.
            pub fn get(&self, field: Field) -> FieldValue {
                match field { $(Field::$variant => fields!(@get $shape self.$member)),* }
            }

            /// Makes the card say that in that field. A value of another kind than the field's is left out.
            pub fn set(&mut self, field: Field, value: FieldValue) {
                match field { $(Field::$variant => fields!(@set $shape self.$member, value)),* }
            }

            /// Whether the card says anything in that field; without copying it.
            pub fn has(&self, field: Field) -> bool {
                match field { $(Field::$variant => fields!(@has $shape self.$member)),* }
            }

            /// Whether both say the same in that field, to the letter; without copying it.
            pub fn same(&self, other: &Card, field: Field) -> bool {
                match field { $(Field::$variant => self.$member == other.$member),* }
            }
        }

        #[cfg(test)]
        fn every_member_has_a_row(card: Card) {
            let Card { $($member: _),* } = card;
        }
    };
    (@get One $self:ident . $member:ident) => { FieldValue::One($self.$member.clone().map(Uniform::wrap)) };
    (@get Many $self:ident . $member:ident) => {
        FieldValue::Many($self.$member.iter().cloned().map(|i| Item { value: i.value.wrap(), labels: i.labels, preferred: i.preferred }).collect())
    };
    (@set One $self:ident . $member:ident, $value:ident) => {
        $self.$member = match $value {
            FieldValue::One(value) => value.and_then(Uniform::unwrap_from),
            FieldValue::Many(elements) => elements.into_iter().next().and_then(|e| Uniform::unwrap_from(e.value)),
        }
    };
    (@set Many $self:ident . $member:ident, $value:ident) => {
        $self.$member = $value.into_elements().into_iter().filter_map(|e| {
            Some(Item { value: Uniform::unwrap_from(e.value)?, labels: e.labels, preferred: e.preferred })
        }).collect()
    };
    (@has One $self:ident . $member:ident) => { $self.$member.is_some() };
    (@has Many $self:ident . $member:ident) => { !$self.$member.is_empty() };
}

fields! {
    /// Honorific before the name.
    Prefix = "prefix", One prefix;
    /// Given name.
    Given = "given", One given;
    /// Middle names.
    Middle = "middle", One middle;
    /// Family name.
    Family = "family", One family;
    /// After the name.
    Suffix = "suffix", One suffix;
    /// Spoken given name.
    PhoneticGiven = "phonetic_given", One phonetic_given;
    /// Spoken middle name.
    PhoneticMiddle = "phonetic_middle", One phonetic_middle;
    /// Spoken family name.
    PhoneticFamily = "phonetic_family", One phonetic_family;
    /// The name as shown.
    Display = "display", One display;
    /// Nicknames.
    Nicknames = "nicknames", Many nicknames;
    /// Employers.
    Organizations = "organizations", Many organizations;
    /// E-mail addresses.
    Emails = "emails", Many emails;
    /// Telephone numbers.
    Phones = "phones", Many phones;
    /// Postal addresses.
    Addresses = "addresses", Many addresses;
    /// Web addresses.
    Urls = "urls", Many urls;
    /// Messaging handles.
    Messaging = "messaging", Many messaging;
    /// Social profiles.
    Profiles = "profiles", Many profiles;
    /// Related people.
    Relations = "relations", Many relations;
    /// Birthday.
    Birthday = "birthday", One birthday;
    /// Wedding anniversary.
    Anniversary = "anniversary", One anniversary;
    /// Other dates.
    Dates = "dates", Many dates;
    /// Free text.
    Note = "note", One note;
    /// Gender.
    Gender = "gender", One gender;
    /// Pronouns.
    Pronouns = "pronouns", One pronouns;
    /// Languages.
    Languages = "languages", Many languages;
    /// Tags.
    Categories = "categories", Many categories;
    /// The picture.
    Photo = "photo", One photo;
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Field {
    type Err = UnknownField;
    fn from_str(text: &str) -> Result<Self, UnknownField> {
        Self::ALL.iter().copied().find(|f| f.name() == text).ok_or_else(|| UnknownField(text.to_owned()))
    }
}

/// No field has that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a field; fields are: {list}", list = Field::ALL.iter().map(|f| f.name()).collect::<Vec<_>>().join(", "))]
pub struct UnknownField(pub String);

/// A set of fields.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct FieldSet(u64);

impl FieldSet {
    /// No field.
    pub const NONE: FieldSet = FieldSet(0);

    /// Every field.
    pub const fn all() -> Self {
        Self((1 << Field::ALL.len()) - 1)
    }
    /// Whether the field is in it.
    pub const fn contains(self, field: Field) -> bool {
        self.0 & (1 << field as u8) != 0
    }
    /// Puts the field in.
    pub const fn insert(&mut self, field: Field) {
        self.0 |= 1 << field as u8;
    }
    /// Takes the field out.
    pub const fn remove(&mut self, field: Field) {
        self.0 &= !(1 << field as u8);
    }
    /// What is in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
    /// What is in either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
    /// What is in this and not in the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
    /// Whether no field is in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
    /// Its fields in order.
    pub fn iter(self) -> impl Iterator<Item = Field> {
        Field::ALL.iter().copied().filter(move |f| self.contains(*f))
    }
}

impl FromIterator<Field> for FieldSet {
    fn from_iter<I: IntoIterator<Item = Field>>(fields: I) -> Self {
        let mut set = Self::NONE;
        for field in fields {
            set.insert(field);
        }
        set
    }
}

impl fmt::Debug for FieldSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Serialize for FieldSet {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for FieldSet {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::<Field>::deserialize(deserializer)?.into_iter().collect())
    }
}

/// What a value means, for normal forms and keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Free text.
    Text,
    /// A company and a place in it.
    Organization,
    /// An e-mail address.
    Email,
    /// A telephone number.
    Phone,
    /// A postal address.
    Address,
    /// A web address.
    Url,
    /// A handle at a service.
    Handle,
    /// A date.
    Date,
    /// A picture.
    Photo,
}

impl Field {
    /// What its values mean.
    pub const fn kind(self) -> Kind {
        match self {
            Self::Organizations => Kind::Organization,
            Self::Emails => Kind::Email,
            Self::Phones => Kind::Phone,
            Self::Addresses => Kind::Address,
            Self::Urls => Kind::Url,
            Self::Messaging | Self::Profiles => Kind::Handle,
            Self::Birthday | Self::Anniversary | Self::Dates => Kind::Date,
            Self::Photo => Kind::Photo,
            Self::Prefix
            | Self::Given
            | Self::Middle
            | Self::Family
            | Self::Suffix
            | Self::PhoneticGiven
            | Self::PhoneticMiddle
            | Self::PhoneticFamily
            | Self::Display
            | Self::Nicknames
            | Self::Relations
            | Self::Note
            | Self::Gender
            | Self::Pronouns
            | Self::Languages
            | Self::Categories => Kind::Text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn get_then_set_is_identity() {
        let mut card = Card { given: Some("Ann".into()), ..Card::default() };
        card.emails.push(Item::<String>::new("ann@example.com").labelled("work").preferred());
        card.birthday = PartialDate::new(None, 4, 15);
        let mut copy = Card::default();
        for field in Field::ALL {
            copy.set(*field, card.get(*field));
            assert!(copy.same(&card, *field));
        }
        assert_eq!(copy, card);
        every_member_has_a_row(copy);
    }

    #[test]
    fn names_are_found_again() {
        for field in Field::ALL {
            assert_eq!(field.name().parse(), Ok(*field));
            assert_eq!(serde_json::to_value(field).unwrap(), field.name());
        }
        assert!("shoe_size".parse::<Field>().unwrap_err().to_string().contains("prefix, given"));
    }

    #[test]
    fn sets_behave_as_sets() {
        let mut set: FieldSet = [Field::Note, Field::Photo].into_iter().collect();
        assert!(FieldSet::all().contains(Field::Photo));
        assert_eq!(FieldSet::all().iter().count(), Field::ALL.len());
        set.remove(Field::Note);
        assert_eq!(set.iter().collect::<Vec<_>>(), [Field::Photo]);
        assert!(set.without(FieldSet::all()).is_empty());
    }
}
