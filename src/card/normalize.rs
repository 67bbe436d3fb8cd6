//! Normal forms: when two values are the same to a person.
//!
//! Owns: [`tidy`], [`key`], [`alike`]; phones in [`phone`], names and pairing in [`names`]. Must not: depend on an
//! account, a region setting or anything but the value.

pub mod names;
pub mod phone;
mod text;

use super::field::{Field, Kind, Value};
use super::{Address, Card, Handle, Item, Labels, Organization};

pub use names::{MatchKey, Strength, display_name, keep_display, match_keys, name_key, same_name};
pub use text::STANDARD_LABELS;

use text::{bare, block, fold_case, label, line};

/// The identity of a value within its field. Depends on the value alone. Equal keys are numbered by their users, never
/// collapsed (rule 3).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub String);

/// Parts the parts of a composite value; no text has it, since control characters are tidied away.
const SEPARATOR: char = '\u{1f}';

/// Brings a card into normal form: Unicode NFC, white space trimmed and folded, control characters, empty texts and
/// empty elements gone, LF line ends, standard labels in lower case. Idempotent.
pub fn tidy(card: &mut Card) {
    let Card {
        prefix,
        given,
        middle,
        family,
        suffix,
        phonetic_given,
        phonetic_middle,
        phonetic_family,
        display,
        nicknames,
        organizations,
        emails,
        phones,
        addresses,
        urls,
        messaging,
        profiles,
        relations,
        birthday: _,
        anniversary: _,
        dates,
        note,
        gender,
        pronouns,
        languages,
        categories,
        photo,
    } = card;
    for text in [
        prefix,
        given,
        middle,
        family,
        suffix,
        phonetic_given,
        phonetic_middle,
        phonetic_family,
        display,
        gender,
        pronouns,
    ] {
        tidy_text(text, line);
    }
    tidy_text(note, block);
    for list in [nicknames, relations, languages, categories] {
        tidy_list(list, |text| tidy_one(text, line));
    }
    for list in [emails, phones, urls] {
        tidy_list(list, |text| tidy_one(text, bare));
    }
    tidy_list(organizations, tidy_organization);
    tidy_list(addresses, tidy_address);
    tidy_list(messaging, tidy_handle);
    tidy_list(profiles, tidy_handle);
    tidy_list(dates, |_| true);
    if photo.as_ref().is_some_and(|photo| photo.hash.is_empty()) {
        *photo = None;
    }
}

/// Brings one value into normal form, as [`tidy`] would; `None` if nothing is left of it.
pub fn tidy_value(field: Field, value: Value) -> Option<Value> {
    let mut value = value;
    let kept = match &mut value {
        Value::Text(text) => match (field, field.kind()) {
            (Field::Note, _) => tidy_one(text, block),
            (_, Kind::Email | Kind::Phone | Kind::Url) => tidy_one(text, bare),
            _ => tidy_one(text, line),
        },
        Value::Organization(organization) => tidy_organization(organization),
        Value::Address(address) => tidy_address(address),
        Value::Handle(handle) => tidy_handle(handle),
        Value::Photo(photo) => !photo.hash.is_empty(),
        Value::Date(_) => true,
    };
    kept.then_some(value)
}

/// Rewrites the text by `form`, without a copy where it has that form; false if nothing is left.
fn tidy_one(text: &mut String, form: fn(&str) -> Option<String>) -> bool {
    if let Some(better) = form(text) {
        *text = better;
    }
    !text.is_empty()
}

fn tidy_text(text: &mut Option<String>, form: fn(&str) -> Option<String>) -> bool {
    if text.as_mut().is_some_and(|text| !tidy_one(text, form)) {
        *text = None;
    }
    text.is_some()
}

fn tidy_list<T>(list: &mut Vec<Item<T>>, mut tidy: impl FnMut(&mut T) -> bool) {
    list.retain_mut(|item| {
        tidy_labels(&mut item.labels);
        tidy(&mut item.value)
    });
}

fn tidy_labels(labels: &mut Labels) {
    if labels.iter().any(|text| label(text).is_some()) {
        let better: Vec<String> = labels.iter().map(|text| label(text).unwrap_or_else(|| text.to_owned())).collect();
        *labels = better.iter().map(String::as_str).collect();
    }
}

/// A label in normal form, as [`tidy`] leaves it.
pub fn tidy_label(text: &str) -> String {
    label(text).unwrap_or_else(|| text.to_owned())
}

fn tidy_organization(organization: &mut Organization) -> bool {
    let Organization { company, department, title, role, phonetic } = organization;
    [company, department, title, role, phonetic].into_iter().fold(false, |any, part| tidy_text(part, line) | any)
}

fn tidy_address(address: &mut Address) -> bool {
    let Address { po_box, extended, street, locality, region, postcode, country, country_code } = address;
    let any = [po_box, extended, street, locality, region, postcode, country]
        .into_iter()
        .fold(false, |any, part| tidy_text(part, block) | any);
    let coded = tidy_text(country_code, |text| {
        let better = line(text);
        let now = better.as_deref().unwrap_or(text);
        if now.bytes().any(|b| b.is_ascii_uppercase()) { Some(now.to_ascii_lowercase()) } else { better }
    });
    any | coded
}

fn tidy_handle(handle: &mut Handle) -> bool {
    let Handle { service, user, uri } = handle;
    let serviced = tidy_text(service, line);
    let named = tidy_text(user, line);
    tidy_text(uri, bare) | named | serviced
}

/// The key by which a value is recognised within its field. `key(tidy(value)) == key(value)`.
pub fn key(field: Field, value: &Value) -> Key {
    Key(match value {
        Value::Text(text) => text_key(field, text),
        Value::Date(date) => date.to_string(),
        Value::Photo(photo) => photo.hash.clone(),
        Value::Organization(Organization { company, department, title, role, phonetic }) => {
            // The spoken form is no part of who it is, unless there is nothing else.
            let key = joined(&[company, department, title, role]);
            if key.chars().all(|c| c == SEPARATOR) { joined(&[phonetic]) } else { key }
        }
        Value::Address(Address { po_box, extended, street, locality, region, postcode, country, country_code }) => {
            // The code says what the country says; not every place keeps both.
            let country = if one_line(country).is_empty() { country_code } else { country };
            joined(&[po_box, extended, street, locality, region, postcode, country])
        }
        Value::Handle(Handle { service, user, uri }) => {
            let user = fold_case(&one_line(user));
            let uri = uri.as_deref().map(url_key).unwrap_or_default();
            match user.trim_start_matches('@') {
                "" if !uri.is_empty() => uri,
                name => format!("{}{SEPARATOR}{name}", fold_case(&one_line(service))),
            }
        }
    })
}

fn text_key(field: Field, text: &str) -> String {
    match field.kind() {
        Kind::Email => {
            let text = fold_case(&bare_text(text));
            text.strip_prefix("mailto:").map(str::to_owned).unwrap_or(text)
        }
        Kind::Phone => phone::key(text),
        Kind::Url => url_key(text),
        Kind::Text | Kind::Organization | Kind::Address | Kind::Handle | Kind::Date | Kind::Photo => {
            fold_case(&single(text))
        }
    }
}

fn single(text: &str) -> String {
    line(text).unwrap_or_else(|| text.to_owned())
}

fn one_line(part: &Option<String>) -> String {
    part.as_deref().map(single).unwrap_or_default()
}

fn bare_text(text: &str) -> String {
    bare(text).unwrap_or_else(|| text.to_owned())
}

fn joined(parts: &[&Option<String>]) -> String {
    let mut key = String::new();
    for (n, part) in parts.iter().enumerate() {
        if n > 0 {
            key.push(SEPARATOR);
        }
        key.push_str(&fold_case(&one_line(part)));
    }
    key
}

/// Scheme and host without case (RFC 3986 §6.2.2.1), no slash at the end of a path (§6.2.3, and what people see).
fn url_key(text: &str) -> String {
    let text = bare_text(text);
    let (scheme, rest) = match text.split_once(':') {
        Some((scheme, rest)) if !scheme.is_empty() && scheme.bytes().all(is_scheme_byte) => (Some(scheme), rest),
        _ => (None, text.as_str()),
    };
    let (slashes, rest) = match rest.strip_prefix("//") {
        Some(rest) => ("//", rest),
        None => ("", rest),
    };
    let hosted = !slashes.is_empty() || scheme.is_none();
    let (host, tail) = match rest.find(['/', '?', '#']) {
        Some(at) if hosted => rest.split_at(at),
        None if hosted => (rest, ""),
        _ => ("", rest),
    };
    let tail = if tail.contains(['?', '#']) { tail } else { tail.trim_end_matches('/') };
    let mut key = String::with_capacity(text.len());
    if let Some(scheme) = scheme {
        key.push_str(&scheme.to_ascii_lowercase());
        key.push(':');
    }
    key.push_str(slashes);
    key.push_str(&fold_case(host));
    key.push_str(tail);
    key
}

fn is_scheme_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}

/// Whether a provider that shows `b` where it showed `a` has changed nothing that a person would call a change: the case
/// of an e-mail address, the formatting of a phone number, white space, Unicode composition. In free text case counts.
pub fn alike(field: Field, a: &Value, b: &Value) -> bool {
    a == b
        || match (a, b) {
            (Value::Text(a), Value::Text(b)) => match field.kind() {
                Kind::Email | Kind::Phone | Kind::Url => text_key(field, a) == text_key(field, b),
                _ if field == Field::Languages => fold_case(&single(a)) == fold_case(&single(b)),
                _ if field == Field::Note => looks(a) == looks(b),
                _ => single(a) == single(b),
            },
            (Value::Date(a), Value::Date(b)) => a == b,
            (Value::Photo(a), Value::Photo(b)) => a.hash == b.hash,
            (Value::Organization(_), Value::Organization(_)) => {
                tidy_value(field, a.clone()) == tidy_value(field, b.clone())
            }
            (Value::Address(a), Value::Address(b)) => same_address(a, b),
            (Value::Handle(a), Value::Handle(b)) => {
                let [uri_a, uri_b] = [a, b].map(|handle| handle.uri.as_deref().map(url_key).unwrap_or_default());
                fold_case(&one_line(&a.service)) == fold_case(&one_line(&b.service))
                    && fold_case(&one_line(&a.user)) == fold_case(&one_line(&b.user))
                    && uri_a == uri_b
            }
            _ => false,
        }
}

/// A longer text as a person sees it: blanks at line ends and around the whole don't show.
fn looks(text: &str) -> String {
    let text = block(text).unwrap_or_else(|| text.to_owned());
    let mut seen = String::with_capacity(text.len());
    for line in text.lines() {
        seen.push_str(line.trim_end());
        seen.push('\n');
    }
    seen
}

fn same_address(a: &Address, b: &Address) -> bool {
    let Address { po_box, extended, street, locality, region, postcode, country, country_code } = a;
    [
        (po_box, &b.po_box),
        (extended, &b.extended),
        (street, &b.street),
        (locality, &b.locality),
        (region, &b.region),
        (postcode, &b.postcode),
        (country, &b.country),
    ]
    .into_iter()
    .all(|(a, b)| a == b || lines_of(a) == lines_of(b))
        && one_line(country_code).eq_ignore_ascii_case(&one_line(&b.country_code))
}

/// The lines of an address part that have something on them.
fn lines_of(part: &Option<String>) -> Vec<String> {
    let text = part.as_deref().map(|text| block(text).unwrap_or_else(|| text.to_owned())).unwrap_or_default();
    text.lines().map(single).filter(|line| !line.is_empty()).collect()
}

#[cfg(test)]
mod tests;
