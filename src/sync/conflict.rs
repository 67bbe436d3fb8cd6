//! A person deals with a conflict in which one side stands already: the other value, or one typed in, is an ordinary edit.
//!
//! Owns: [`edited`] and what a typed text means ([`value`]). Clashes that nobody has decided are decided by
//! [`super::merge::choose`].

use crate::card::field::{Element, Field, Kind, Shape, Value};
use crate::card::normalize;
use crate::card::{Card, Organization};
use crate::sync::elements;
use crate::sync::merge::Choice;
use crate::sync::plan::{About, Clash, Side};

/// The person's card after the choice. Whatever else was edited since stays: only the one value, or element, is replaced,
/// as far as it is still there.
#[must_use]
pub fn edited(card: &Card, clash: &Clash, choice: &Choice) -> Card {
    let mut card = card.clone();
    let About::Field(field) = clash.about else { return card };
    let first = |side: Side| {
        let value = if side == Side::Ours { &clash.ours } else { &clash.theirs };
        value.clone().into_elements().into_iter().next()
    };
    let standing = first(clash.stands);
    let wanted = match choice {
        Choice::Ours if clash.stands == Side::Ours => return card,
        Choice::Theirs if clash.stands == Side::Theirs => return card,
        Choice::Ours => first(Side::Ours),
        Choice::Theirs => first(Side::Theirs),
        Choice::Value(value) => value.clone().map(|value| match &standing {
            Some(like) => Element { value, ..like.clone() },
            None => elements::scalar(value),
        }),
    };
    let mut list = card.get(field).into_elements();
    if field.shape() == Shape::One {
        list = wanted.into_iter().collect();
    } else {
        let same = |a: &Element, b: &Element| normalize::key(field, &a.value) == normalize::key(field, &b.value);
        let place = standing.and_then(|standing| {
            let exact = list.iter().position(|e| *e == standing);
            exact.or_else(|| list.iter().position(|e| same(e, &standing)))
        });
        match (wanted, place) {
            (Some(wanted), Some(place)) => list[place] = wanted,
            (Some(wanted), None) if !list.iter().any(|e| same(e, &wanted)) => list.push(wanted),
            (None, Some(place)) => drop(list.remove(place)),
            _ => {}
        }
    }
    let value = match field.shape() {
        Shape::One => crate::card::field::FieldValue::One(list.into_iter().next().map(|e| e.value)),
        Shape::Many => crate::card::field::FieldValue::Many(list),
    };
    card.set(field, value);
    card
}

/// The text is no value of that field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} can't be '{text}': expected {expected}")]
pub struct NoValue {
    field: Field,
    text: String,
    expected: &'static str,
}

/// What a typed text means in that field; nothing typed = nothing there. What has parts is written as JSON, as in a card.
///
/// # Errors
/// When it means nothing there.
pub fn value(field: Field, text: &str) -> Result<Option<Value>, NoValue> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let no = |expected| NoValue { field, text: text.to_owned(), expected };
    let value = match field.kind() {
        Kind::Text | Kind::Email | Kind::Phone | Kind::Url => Value::Text(text.to_owned()),
        Kind::Date => Value::Date(text.parse().map_err(|_| no("a date such as 1980-04-15 or --04-15"))?),
        Kind::Organization if !text.starts_with('{') => {
            Value::Organization(Organization { company: Some(text.to_owned()), ..Organization::default() })
        }
        Kind::Organization => {
            Value::Organization(serde_json::from_str(text).map_err(|_| no("a company, or JSON as in a person's card"))?)
        }
        Kind::Address => Value::Address(serde_json::from_str(text).map_err(|_| no("JSON as in a person's card"))?),
        Kind::Handle => Value::Handle(serde_json::from_str(text).map_err(|_| no("JSON as in a person's card"))?),
        Kind::Photo => return Err(no("one of the two pictures; a picture can't be typed in")),
    };
    Ok(normalize::tidy_value(field, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::Item;
    use crate::card::field::FieldValue;

    fn phones(list: &[&str]) -> Card {
        Card { phones: list.iter().map(|p| Item::<String>::new(*p)).collect(), ..Card::default() }
    }

    fn text(text: &str) -> Option<Value> {
        Some(Value::Text(text.to_owned()))
    }

    fn clash(field: Field, ours: FieldValue, theirs: FieldValue, stands: Side) -> Clash {
        Clash { about: About::Field(field), ours, theirs, stands, ours_at: None, theirs_at: None }
    }

    #[test]
    fn the_other_value_of_a_scalar_or_a_typed_one() {
        let card = Card { note: Some("theirs".into()), given: Some("Ann".into()), ..Card::default() };
        let over = clash(Field::Note, FieldValue::One(text("ours")), FieldValue::One(text("theirs")), Side::Theirs);
        let note = |choice| edited(&card, &over, &choice).note;
        assert_eq!(note(Choice::Ours).as_deref(), Some("ours"));
        assert_eq!(note(Choice::Theirs).as_deref(), Some("theirs"));
        assert_eq!(note(Choice::Value(text("third"))).as_deref(), Some("third"));
        assert_eq!(note(Choice::Value(None)), None);
        assert_eq!(edited(&card, &over, &Choice::Ours).given.as_deref(), Some("Ann"));
    }

    #[test]
    fn one_element_is_replaced_and_the_others_stay() {
        let one = |value: &str| FieldValue::Many(phones(&[value]).get(Field::Phones).into_elements());
        let over = clash(Field::Phones, one("555 0100"), one("555 0200"), Side::Theirs);
        let list = |card: &Card, choice| -> Vec<String> {
            edited(card, &over, &choice).phones.into_iter().map(|p| p.value).collect()
        };
        let card = phones(&["555 0900", "555 0200"]);
        assert_eq!(list(&card, Choice::Ours), ["555 0900", "555 0100"]);
        assert_eq!(list(&card, Choice::Value(None)), ["555 0900"]);
        assert_eq!(list(&card, Choice::Value(text("555 0300"))), ["555 0900", "555 0300"]);
        // It was edited since: the chosen one is added, and nothing is lost.
        assert_eq!(list(&phones(&["555 0400"]), Choice::Ours), ["555 0400", "555 0100"]);
        // Their side removed it, and that stands: choosing ours brings it back.
        let over = clash(Field::Phones, one("555 0100"), FieldValue::Many(Vec::new()), Side::Theirs);
        assert_eq!(edited(&phones(&[]), &over, &Choice::Ours).phones.len(), 1);
        assert_eq!(edited(&phones(&["555 0100"]), &over, &Choice::Ours).phones.len(), 1);
    }

    #[test]
    fn typed_texts() {
        assert_eq!(value(Field::Note, " hello "), Ok(text("hello")));
        assert_eq!(value(Field::Note, ""), Ok(None));
        assert!(matches!(value(Field::Birthday, "--04-15"), Ok(Some(Value::Date(_)))));
        assert!(value(Field::Birthday, "soon").unwrap_err().to_string().contains("1980-04-15"));
        assert!(matches!(value(Field::Organizations, "Example Ltd"), Ok(Some(Value::Organization(_)))));
        assert!(matches!(value(Field::Addresses, r#"{"locality":"Example Town"}"#), Ok(Some(Value::Address(_)))));
        assert!(value(Field::Addresses, "Example Town").is_err());
        assert!(value(Field::Photo, "me.jpg").is_err());
    }
}
