//! Texts in normal form. Each function answers `None` where the text has it already.

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// The labels that stand in lower case: what vCard, Google, Graph and Apple have words of their own for.
pub const STANDARD_LABELS: &[&str] = &[
    "anniversary",
    "assistant",
    "birthday",
    "blog",
    "brother",
    "callback",
    "car",
    "child",
    "colleague",
    "co-worker",
    "daughter",
    "domestic-partner",
    "emergency",
    "father",
    "fax",
    "friend",
    "home",
    "homepage",
    "iphone",
    "isdn",
    "main",
    "manager",
    "mobile",
    "modem",
    "mother",
    "neighbor",
    "other",
    "pager",
    "parent",
    "partner",
    "profile",
    "radio",
    "referred-by",
    "relative",
    "school",
    "sibling",
    "sister",
    "son",
    "spouse",
    "telex",
    "text",
    "tty",
    "video",
    "work",
];

/// On one line: white space folded to single blanks, none around, no control characters, NFC.
pub(super) fn line(text: &str) -> Option<String> {
    let plain = text.bytes().all(|b| (0x20..0x7f).contains(&b));
    if plain && !text.starts_with(' ') && !text.ends_with(' ') && !text.contains("  ") {
        return None;
    }
    let mut folded = String::with_capacity(text.len());
    for c in composed(text, |c| c.is_control() && !c.is_whitespace()).chars() {
        if !c.is_whitespace() {
            folded.push(c);
        } else if !folded.is_empty() && !folded.ends_with(' ') {
            folded.push(' ');
        }
    }
    folded.truncate(folded.trim_end().len());
    changed(text, folded)
}

/// On several lines: LF line ends, nothing blank around, no control characters but LF and TAB, NFC.
pub(super) fn block(text: &str) -> Option<String> {
    let plain = text.bytes().all(|b| (0x20..0x7f).contains(&b) || b == b'\n');
    if plain && text.trim().len() == text.len() {
        return None;
    }
    let text_lf = text.replace("\r\n", "\n").replace(['\r', '\u{b}', '\u{c}', '\u{85}'], "\n");
    let lined = composed(&text_lf, |c| c.is_control() && !matches!(c, '\n' | '\t'));
    changed(text, lined.trim().to_owned())
}

/// On one line, without characters that can't be seen: for addresses and numbers that people copy from somewhere.
pub(super) fn bare(text: &str) -> Option<String> {
    if text.is_ascii() || !text.contains(is_invisible) {
        return line(text);
    }
    let seen: String = text.chars().filter(|c| !is_invisible(*c)).collect();
    Some(line(&seen).unwrap_or(seen))
}

/// A label: on one line; in lower case if it is a standard one.
pub(super) fn label(text: &str) -> Option<String> {
    let better = line(text);
    let now = better.as_deref().unwrap_or(text);
    if now.bytes().any(|b| b.is_ascii_uppercase()) {
        let lower = now.to_ascii_lowercase();
        if STANDARD_LABELS.contains(&lower.as_str()) {
            return Some(lower);
        }
    }
    better
}

/// Without case, for comparing: letter by letter, so that it does not depend on the neighbours; both sigmas are one.
pub(super) fn fold_case(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let lower = text.chars().flat_map(char::to_lowercase).map(|c| if c == 'ς' { 'σ' } else { c });
    lower.nfc().collect()
}

/// Marks that steer direction or joining of text and have no place in numbers and addresses (Apple wraps phone numbers
/// in U+202A … U+202C).
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// NFC of the text without some characters.
fn composed(text: &str, without: impl Fn(char) -> bool) -> String {
    let kept = text.chars().filter(|c| !without(*c));
    if text.is_ascii() { kept.collect() } else { nfc(kept) }
}

fn nfc(text: impl Iterator<Item = char> + Clone) -> String {
    match is_nfc_quick(text.clone()) {
        IsNormalized::Yes => text.collect(),
        IsNormalized::No | IsNormalized::Maybe => text.nfc().collect(),
    }
}

fn changed(before: &str, after: String) -> Option<String> {
    (before != after).then_some(after)
}
