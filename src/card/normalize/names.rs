//! Names as a person compares them, and the keys by which two cards are taken for the same person (rule 13).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::text::fold_case;
use super::{key, phone, single};
use crate::card::Card;
use crate::card::field::{Field, Value};

/// How much a shared [`MatchKey`] says; the strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strength {
    /// The same e-mail address and the same name.
    EmailName,
    /// The same e-mail address.
    Email,
    /// The same phone number and the same name. A phone number alone never suffices.
    PhoneName,
}

/// Two cards that share one may be the same person. Stable over releases and machines, so that it can be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MatchKey {
    /// How much it says.
    pub strength: Strength,
    /// The first eight bytes, little-endian, of the BLAKE3 of what is shared.
    pub hash: u64,
}

impl MatchKey {
    fn new(strength: Strength, parts: [&str; 2]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(match strength {
            Strength::EmailName => b"email+name",
            Strength::Email => b"email",
            Strength::PhoneName => b"phone+name",
        });
        for part in parts {
            hasher.update(&[0]);
            hasher.update(part.as_bytes());
        }
        let [a, b, c, d, e, f, g, h, ..] = *hasher.finalize().as_bytes();
        Self { strength, hash: u64::from_le_bytes([a, b, c, d, e, f, g, h]) }
    }
}

/// The keys by which the card may be paired with another, each once, the strongest first. Empty names agree with nothing.
pub fn match_keys(card: &Card) -> Vec<MatchKey> {
    let name = name_key(card);
    let mut keys = BTreeSet::new();
    for email in &card.emails {
        let address = key(Field::Emails, &Value::Text(email.value.clone())).0;
        if !address.contains('@') {
            continue;
        }
        keys.insert(MatchKey::new(Strength::Email, [&address, ""]));
        if let Some(name) = &name {
            keys.insert(MatchKey::new(Strength::EmailName, [&address, name]));
        }
    }
    if let Some(name) = &name {
        for phone in &card.phones {
            if let Some(tail) = phone::tail(&phone.value) {
                keys.insert(MatchKey::new(Strength::PhoneName, [&tail, name]));
            }
        }
    }
    keys.into_iter().collect()
}

/// Whether both have the same name, whichever way it is split, ordered, cased and accented. Two without a name don't.
pub fn same_name(a: &Card, b: &Card) -> bool {
    name_key(a).is_some_and(|name| Some(name) == name_key(b))
}

/// What stands around names and doesn't tell people apart.
const TITLES: &[&str] = &[
    "dr", "dipl", "frau", "herr", "hon", "ing", "jr", "mag", "mba", "md", "miss", "mr", "mrs", "ms", "mx", "phd",
    "prof", "rev", "sir", "sr",
];

/// The words of the name without case, accents and punctuation, in alphabetical order: of the name's parts, else of the
/// name as shown, else of the company. `None` without a name.
pub fn name_key(card: &Card) -> Option<String> {
    let parts = [&card.given, &card.middle, &card.family];
    let mut words: Vec<String> = parts.iter().filter_map(|part| part.as_deref()).flat_map(words_of).collect();
    if words.is_empty() {
        let shown = card.display.as_deref().unwrap_or_default();
        words = words_of(shown).collect();
        if words.iter().any(|word| !TITLES.contains(&word.as_str())) {
            words.retain(|word| !TITLES.contains(&word.as_str()));
        }
    }
    if words.is_empty() {
        let company = card.organizations.iter().find_map(|item| item.value.company.as_deref());
        words = words_of(company.unwrap_or_default()).collect();
    }
    words.sort_unstable();
    (!words.is_empty()).then(|| words.join(" "))
}

fn words_of(text: &str) -> impl Iterator<Item = String> {
    let plain: String =
        if text.is_ascii() { text.to_owned() } else { text.nfkd().filter(|c| !is_combining_mark(*c)).nfc().collect() };
    let folded = fold_case(&plain).replace(['\'', '\u{2019}'], "");
    let words: Vec<String> =
        folded.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect();
    words.into_iter()
}

/// A name to show, made of the rest of the card: the parts of the name, else the company, a nickname, an e-mail address, a
/// phone number. Doesn't look at `display`.
pub fn display_name(card: &Card) -> Option<String> {
    fn first<'a>(texts: impl IntoIterator<Item = &'a str>) -> Option<String> {
        texts.into_iter().map(single).find(|text| !text.is_empty())
    }
    let parts = [&card.prefix, &card.given, &card.middle, &card.family, &card.suffix];
    let words: Vec<String> =
        parts.iter().filter_map(|part| part.as_deref()).map(single).filter(|word| !word.is_empty()).collect();
    if !words.is_empty() {
        return Some(words.join(" "));
    }
    first(card.organizations.iter().filter_map(|item| item.value.company.as_deref()))
        .or_else(|| first(card.nicknames.iter().map(|item| item.value.as_str())))
        .or_else(|| first(card.emails.iter().map(|item| item.value.as_str())))
        .or_else(|| first(card.phones.iter().map(|item| item.value.as_str())))
}

/// Keeps the name as shown in step: where an edit changed what it was made of and left it alone, it is made anew. A name
/// that somebody chose (one that couldn't be derived before) stays.
pub fn keep_display(before: &Card, after: &mut Card) {
    let (was, now) = (display_name(before), display_name(after));
    let untouched = before.display == after.display;
    let derived = match (&before.display, &was) {
        (None, _) => true,
        (Some(shown), Some(was)) => fold_case(&single(shown)) == fold_case(was),
        (Some(_), None) => false,
    };
    if untouched && derived && was != now && now.is_some() {
        after.display = now;
    }
}
