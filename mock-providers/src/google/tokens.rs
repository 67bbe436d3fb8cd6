//! Page and sync tokens: opaque to clients, bound to the user and the parameters (`google.md` 2 and 2.2).
//!
//! Owns: their form and what they are bound to. Must not: list anything.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};

use super::error::Error;
use super::settings::{Aging, Settings};
use crate::book::Cursor;
use crate::oauth::DAY;

/// What a token says. One for a page has a place in the listing, one for a sync has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Token {
    /// Which listing it belongs to.
    pub(super) of: String,
    /// Whose.
    pub(super) user: usize,
    /// A hash of the parameters.
    pub(super) bound: u64,
    /// Where in the log the state lies that this sync brings about.
    pub(super) revision: u64,
    /// Which line of cursors: [`crate::book::Book::expire_cursors`] begins a new one.
    pub(super) line: u64,
    /// When the full sync took place that began it all.
    pub(super) full: u64,
    /// When it was given out.
    pub(super) given: u64,
    /// Where the page begins: a revision, or a number of rows.
    pub(super) page: Option<u64>,
}

/// Every token has letters that mean something else in a URL.
const HEAD: &str = "Cg+/";
const TAIL: &str = "/+==";

impl Token {
    pub(super) fn text(&self) -> String {
        let json = serde_json::to_vec(self).unwrap_or_default();
        format!("{HEAD}{}{TAIL}", STANDARD_NO_PAD.encode(json))
    }

    pub(super) fn read(text: &str) -> Option<Self> {
        let inner = text.strip_prefix(HEAD)?.strip_suffix(TAIL)?;
        serde_json::from_slice(&STANDARD_NO_PAD.decode(inner).ok()?).ok()
    }

    /// Whether it belongs here, and is one for a page or not.
    ///
    /// # Errors
    /// The generic 400 that foreign tokens are answered with (2.2, rule 3).
    pub(super) fn of(text: &str, of: &str, user: usize, bound: u64, page: bool) -> Result<Self, Error> {
        let foreign = || Error::argument("Request contains an invalid argument.");
        let token = Self::read(text).ok_or_else(foreign)?;
        let fits = token.of == of && token.user == user && token.bound == bound && token.page.is_some() == page;
        if fits { Ok(token) } else { Err(foreign()) }
    }

    /// Whether it has grown too old.
    pub(super) fn check_age(&self, settings: &Settings, now: u64) -> Result<(), Error> {
        let from = match settings.reads.aging {
            Aging::Strict => self.full,
            Aging::Lenient => self.given,
        };
        if now >= from + 7 * DAY { Err(Error::expired_token(settings.errors)) } else { Ok(()) }
    }

    pub(super) fn cursor(&self) -> Cursor {
        Cursor { generation: self.line, revision: self.revision }
    }
}

#[cfg(test)]
mod tests {
    use super::Token;

    #[test]
    fn tokens_need_percent_encoding_and_are_bound() {
        let of = "connections".to_owned();
        let token = Token { of, user: 0, bound: 7, revision: 3, line: 0, full: 1, given: 2, page: None };
        let text = token.text();
        assert!(["+", "/", "="].iter().all(|letter| text.contains(letter)));
        assert_eq!(Token::of(&text, "connections", 0, 7, false), Ok(token));
        for (of, user, bound, page) in [
            ("groups", 0, 7, false),
            ("connections", 1, 7, false),
            ("connections", 0, 8, false),
            ("connections", 0, 7, true),
        ] {
            assert_eq!(Token::of(&text, of, user, bound, page).unwrap_err().code, 400);
        }
        assert!(Token::read(&text.replace('+', " ")).is_none());
    }
}
