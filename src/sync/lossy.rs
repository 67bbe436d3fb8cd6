//! Values that a provider can show only in part: a note cut short, a birthday without its year, an address flattened.
//!
//! Owns: how a change of such an image is carried over to the full value (reconciliation C, R2), and how a change of the
//! full value is carried over to the image. Where the first can't be done without guessing, it says so.

use crate::card::field::{Field, Value};
use crate::card::{Address, Handle, Organization, PartialDate, normalize};

/// What a change of the image means for the full value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lifted {
    /// The full value, with the change.
    Value(Value),
    /// It can't be told which part of the full value was meant: a conflict, never a plain take.
    Unclear,
}

/// `full` was agreed to be shown as `image`; now `changed` is shown. What does that make of `full`?
pub fn lift(field: Field, full: &Value, image: &Value, changed: &Value) -> Lifted {
    if normalize::alike(field, full, image) {
        return Lifted::Value(changed.clone());
    }
    match (full, image, changed) {
        (Value::Text(full), Value::Text(image), Value::Text(changed)) => {
            // Cut short: the part never shown is kept.
            match cut(full, image) {
                Some("") => Lifted::Value(Value::Text(changed.clone())),
                Some(rest) => Lifted::Value(Value::Text(format!("{}{rest}", shown(changed)))),
                None if image.len() < full.len() => Lifted::Unclear,
                None => Lifted::Value(Value::Text(changed.clone())),
            }
        }
        (Value::Date(full), Value::Date(image), Value::Date(changed)) => {
            let year = if image.year.is_none() { changed.year.or(full.year) } else { changed.year };
            Lifted::Value(Value::Date(PartialDate { year, ..*changed }))
        }
        (Value::Organization(full), Value::Organization(image), Value::Organization(changed)) => {
            parts(organization(full), organization(image), organization(changed))
                .map_or(Lifted::Unclear, |p| Lifted::Value(Value::Organization(into_organization(p))))
        }
        (Value::Address(full), Value::Address(image), Value::Address(changed)) => {
            parts(address(full), address(image), address(changed))
                .map_or(Lifted::Unclear, |p| Lifted::Value(Value::Address(into_address(p))))
        }
        (Value::Handle(full), Value::Handle(image), Value::Handle(changed)) => {
            parts(handle(full), handle(image), handle(changed))
                .map_or(Lifted::Unclear, |p| Lifted::Value(Value::Handle(into_handle(p))))
        }
        _ => Lifted::Value(changed.clone()),
    }
}

/// Whether a provider that was sent `full` and shows `image` may have kept all of it that it can hold.
pub fn shows(field: Field, full: &Value, image: &Value) -> bool {
    fn within<const N: usize>(full: [Option<&String>; N], image: [Option<&String>; N]) -> bool {
        (0..N).all(|i| image[i].is_none() || image[i] == full[i]) && image.iter().any(Option::is_some)
    }
    normalize::alike(field, full, image)
        || match (full, image) {
            (Value::Text(full), Value::Text(image)) => cut(full, image).is_some(),
            (Value::Date(full), Value::Date(image)) => {
                image.year.is_none() && PartialDate { year: None, ..*full } == *image
            }
            // Providers shrink pictures and say nothing.
            (Value::Photo(_), Value::Photo(_)) => true,
            (Value::Organization(full), Value::Organization(image)) => within(organization(full), organization(image)),
            (Value::Address(full), Value::Address(image)) => within(address(full), address(image)),
            (Value::Handle(full), Value::Handle(image)) => within(handle(full), handle(image)),
            _ => false,
        }
}

/// What is left of a text beyond an image that was cut short; white space and an ellipsis at the cut don't count.
fn cut<'a>(full: &'a str, image: &str) -> Option<&'a str> {
    let image = shown(image);
    let rest = full.strip_prefix(image).filter(|_| !image.is_empty())?;
    Some(if rest.trim().is_empty() { "" } else { rest })
}

fn shown(image: &str) -> &str {
    let image = image.trim_end();
    image.strip_suffix('…').or_else(|| image.strip_suffix("...")).unwrap_or(image).trim_end()
}

/// `before` became `after` in the CRM; the provider shows `image`. What should it show? Parts that did not change stay as
/// the provider wrote them.
pub fn lower(before: &Value, after: &Value, image: &Value) -> Value {
    fn over<const N: usize>(
        before: [Option<&String>; N],
        after: [Option<&String>; N],
        image: [Option<&String>; N],
    ) -> [Option<String>; N] {
        std::array::from_fn(|i| if before[i] == after[i] { image[i].cloned() } else { after[i].cloned() })
    }
    match (before, after, image) {
        (Value::Organization(b), Value::Organization(a), Value::Organization(i)) => {
            Value::Organization(into_organization(over(organization(b), organization(a), organization(i))))
        }
        (Value::Address(b), Value::Address(a), Value::Address(i)) => {
            Value::Address(into_address(over(address(b), address(a), address(i))))
        }
        (Value::Handle(b), Value::Handle(a), Value::Handle(i)) => {
            Value::Handle(into_handle(over(handle(b), handle(a), handle(i))))
        }
        _ => after.clone(),
    }
}

/// Carries the changed parts over; `None` where parts of `full` were never shown and a changed part was not shown as it is,
/// since then it may hold what belongs to the others (a flattened address).
fn parts<const N: usize>(
    full: [Option<&String>; N],
    image: [Option<&String>; N],
    changed: [Option<&String>; N],
) -> Option<[Option<String>; N]> {
    let hidden = (0..N).any(|i| full[i].is_some() && image[i].is_none());
    let rewritten = (0..N).any(|i| image[i] != changed[i] && full[i] != image[i]);
    if hidden && rewritten {
        return None;
    }
    Some(std::array::from_fn(|i| if image[i] == changed[i] { full[i].cloned() } else { changed[i].cloned() }))
}

fn organization(o: &Organization) -> [Option<&String>; 5] {
    let Organization { company, department, title, role, phonetic } = o;
    [company.as_ref(), department.as_ref(), title.as_ref(), role.as_ref(), phonetic.as_ref()]
}

fn into_organization([company, department, title, role, phonetic]: [Option<String>; 5]) -> Organization {
    Organization { company, department, title, role, phonetic }
}

fn address(a: &Address) -> [Option<&String>; 8] {
    let Address { po_box, extended, street, locality, region, postcode, country, country_code } = a;
    [po_box, extended, street, locality, region, postcode, country, country_code].map(Option::as_ref)
}

fn into_address(
    [po_box, extended, street, locality, region, postcode, country, country_code]: [Option<String>; 8],
) -> Address {
    Address { po_box, extended, street, locality, region, postcode, country, country_code }
}

fn handle(h: &Handle) -> [Option<&String>; 3] {
    let Handle { service, user, uri } = h;
    [service.as_ref(), user.as_ref(), uri.as_ref()]
}

fn into_handle([service, user, uri]: [Option<String>; 3]) -> Handle {
    Handle { service, user, uri }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(s: &str) -> Value {
        Value::Text(s.to_owned())
    }

    #[test]
    fn a_cut_note_keeps_what_was_never_shown() {
        let lifted = lift(Field::Note, &text("helo world, and much more"), &text("helo world"), &text("hello world"));
        assert_eq!(lifted, Lifted::Value(text("hello world, and much more")));
    }

    #[test]
    fn a_rewritten_text_is_taken_as_it_is() {
        let lifted = lift(Field::Phones, &text("555-0100 x5"), &text("5550100;5"), &text("5550101;5"));
        assert_eq!(lifted, Lifted::Value(text("5550101;5")));
    }

    #[test]
    fn a_birthday_shown_without_its_year_keeps_it() {
        let date = |y, d| Value::Date(PartialDate { year: y, month: 4, day: d });
        assert_eq!(
            lift(Field::Birthday, &date(Some(1980), 15), &date(None, 15), &date(None, 16)),
            Lifted::Value(date(Some(1980), 16))
        );
        assert_eq!(
            lift(Field::Birthday, &date(Some(1980), 15), &date(None, 15), &date(Some(1981), 15)),
            Lifted::Value(date(Some(1981), 15))
        );
    }

    #[test]
    fn an_address_changes_part_by_part_and_a_flattened_one_is_unclear() {
        let full = Address {
            street: Some("Main 1".into()),
            locality: Some("Springfield".into()),
            country: Some("USA".into()),
            ..Address::default()
        };
        let held = Address { country: None, ..full.clone() };
        let moved = Address { locality: Some("Shelbyville".into()), ..held.clone() };
        let expected = Address { country: Some("USA".into()), ..moved.clone() };
        let value = |a: &Address| Value::Address(a.clone());
        assert_eq!(
            lift(Field::Addresses, &value(&full), &value(&held), &value(&moved)),
            Lifted::Value(value(&expected))
        );
        let flat = Address { street: Some("Main 1, Springfield, USA".into()), ..Address::default() };
        let edited = Address { street: Some("Main 2, Springfield, USA".into()), ..Address::default() };
        assert_eq!(lift(Field::Addresses, &value(&full), &value(&flat), &value(&edited)), Lifted::Unclear);
        assert_eq!(lower(&value(&full), &value(&expected), &value(&held)), value(&moved));
    }
}
