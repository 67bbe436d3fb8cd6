//! Telephone numbers: one key for one line, however it is written. Never guesses a country.

use std::borrow::Cow;

use super::bare_text;
use super::text::fold_case;

/// A number taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Parts {
    /// `+4420…` if it says its country, else digits (and letters, `*`, `#`) as dialled.
    number: String,
    /// What is dialled afterwards.
    extension: String,
}

/// The key of a number: the international form if it starts with `+` or `00`, else what is dialled; then `;` and the
/// extension, if any. A text without digits is its own key.
pub(super) fn key(text: &str) -> String {
    match parts(text) {
        Some(Parts { number, extension }) if extension.is_empty() => number,
        Some(Parts { number, extension }) => format!("{number};{extension}"),
        None => fold_case(&bare_text(text)),
    }
}

/// The last eight digits of a number that has at least seven: the same with and without the country's code and the
/// trunk zero. Only for pairing, together with a name.
pub(super) fn tail(text: &str) -> Option<String> {
    let digits: String = parts(text)?.number.chars().filter(char::is_ascii_digit).collect();
    (digits.len() >= 7).then(|| digits[digits.len().saturating_sub(8)..].to_owned())
}

fn parts(text: &str) -> Option<Parts> {
    // In its normal form: a letter whose accent stands alone, or behind something unseen, is one letter.
    let bare = bare_text(text);
    let text = plain(&bare);
    let mut text = text.trim();
    if text.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("tel:")) {
        text = text[4..].trim_start();
    }
    let (main, extension) = split_extension(text);
    let dialled = dialled_of(main);
    if !dialled.contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let abroad = main.trim_start_matches(|c: char| !c.is_alphanumeric() && !matches!(c, '+' | '*' | '#'));
    let number = if abroad.starts_with('+') {
        // "+49 (0)30 …": written by people, dialled by nobody.
        international(&if main.contains("(0)") { dialled_of(&main.replace("(0)", "")) } else { dialled })
    } else if dialled.starts_with("00") && dialled.len() > 8 && dialled.bytes().all(|b| b.is_ascii_digit()) {
        international(&dialled[2..])
    } else {
        dialled
    };
    Some(Parts { number, extension })
}

/// What is left without formatting: digits, letters, `*` and `#`.
fn dialled_of(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric() || matches!(c, '*' | '#')).flat_map(char::to_lowercase).collect()
}

/// E.164 with the library's knowledge of trunk prefixes; else the digits with a `+`. It is given digits only, so that the
/// formatting can't matter.
fn international(digits: &str) -> String {
    let plus = format!("+{digits}");
    if is_north_american(digits) {
        return plus;
    }
    match phonenumber::parse(None, &plus) {
        Ok(number) => format!("+{}{}", number.code().value(), number.national()),
        Err(_) => plus,
    }
}

/// A number of the North American plan without its trunk prefix: nothing is there for the library to take off, and asking it
/// takes longer than all else that is derived from a contact.
fn is_north_american(digits: &str) -> bool {
    let [b'1', b'2'..=b'9', rest @ ..] = digits.as_bytes() else { return false };
    rest.len() == 9 && rest.iter().all(u8::is_ascii_digit)
}

/// ASCII digits and signs for those of other scripts.
fn plain(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let zeros = ['\u{660}', '\u{6f0}', '\u{966}', '\u{ff10}'];
    let plain = text.chars().map(|c| {
        let digit = zeros.iter().find_map(|zero| (u32::from(c)).checked_sub(u32::from(*zero)).filter(|n| *n < 10));
        match (digit.and_then(|n| char::from_digit(n, 10)), c) {
            (Some(digit), _) => digit,
            (None, '\u{ff0b}' | '\u{207a}') => '+',
            (None, _) => c,
        }
    });
    Cow::Owned(plain.collect())
}

/// Parts the number from what is dialled afterwards: `x5`, `ext. 5`, `;ext=5` (RFC 3966 §3), `;5`, `,,5` and `#5`.
fn split_extension(text: &str) -> (&str, String) {
    let digits = |text: &str| text.chars().filter(|c| c.is_ascii_digit() || matches!(c, '*' | '#')).collect::<String>();
    // A pause or a parameter: everything behind is no part of the number.
    if let Some(at) = text.find([',', ';'])
        && text[..at].bytes().filter(u8::is_ascii_digit).count() >= 3
    {
        let behind = text[at..].to_ascii_lowercase();
        let extension = match behind.find("ext=") {
            Some(from) => behind[from..].split(';').next().unwrap_or_default().to_owned(),
            None if behind.contains('=') => String::new(),
            None => behind,
        };
        return (&text[..at], digits(&extension).trim_end_matches('#').to_owned());
    }
    // A word before the last run of digits.
    let head = text.trim_end_matches(|c: char| c.is_ascii_digit());
    let extension = &text[head.len()..];
    if extension.is_empty() || extension.len() > 9 {
        return (text, String::new());
    }
    let head = head.trim_end_matches([' ', '.', ':', '\u{a0}']);
    let lower = head.to_ascii_lowercase();
    let word = ["extension", "extn", "ext", "dw", "x", "#", "~"].into_iter().find(|word| lower.ends_with(word));
    let Some(word) = word else { return (text, String::new()) };
    let main = &head[..head.len() - word.len()];
    let glued = main.ends_with(|c: char| c.is_alphabetic());
    if glued || main.bytes().filter(u8::is_ascii_digit).count() < 3 || main.trim_start().starts_with(['*', '#']) {
        return (text, String::new());
    }
    (main, extension.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_says_the_same_of_north_american_numbers() {
        // A few thousand numbers over all area codes and exchanges, those that are not given out among them.
        let numbers = (200..1000_u32).flat_map(|area| [0, 11, 555, 200, 988].map(|exchange| (area, exchange)));
        for (area, exchange) in numbers {
            let digits = format!("1{area}{exchange:03}{:04}", (area * 7 + exchange * 31) % 10_000);
            assert!(is_north_american(&digits), "{digits}");
            let library = match phonenumber::parse(None, format!("+{digits}")) {
                Ok(number) => format!("+{}{}", number.code().value(), number.national()),
                Err(_) => format!("+{digits}"),
            };
            assert_eq!(international(&digits), library);
        }
        for other in ["11125550100", "1212555010", "121255501000", "442079460100", "1212555010a"] {
            assert!(!is_north_american(other), "{other}");
        }
    }
}
