//! [`Secret`]: a password or token in memory.
//!
//! Owns: that a secret is never printed by accident and doesn't outlive its use. Must not: be given a way into JSON or
//! a log; whoever needs the text says so by [`Secret::expose`], which can be searched for.

use std::fmt;

use zeroize::Zeroizing;

/// A password or token. Shows as `(hidden)`, is wiped from memory when dropped, and can't be serialised.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The text itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let secret = Secret::from("geheim");
        let all = format!("{secret} {secret:?} {secret:#?} {:>40} {:?}", secret, Some(&secret));
        assert!(!all.contains("geheim") && all.contains("(hidden)"), "{all}");
        assert_eq!(secret.expose(), "geheim");
    }
}
