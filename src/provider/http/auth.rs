//! What proves who we are: kept out of `Debug`, logs and errors.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderValue;

use crate::secret::Secret;

/// How an account signs in.
#[derive(Clone)]
pub enum Auth {
    /// Not at all.
    None,
    /// User name and password with every request (RFC 7617), without waiting for a challenge; as a digest (RFC 7616)
    /// where the server offers only that.
    Basic {
        /// The user name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A token (RFC 6750).
    Bearer(Secret),
}

impl Auth {
    /// The value of `Authorization`; `None` without sign-in, or if the secret can't stand in a header.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        let text = match self {
            Self::None => return None,
            Self::Basic { user, password } => {
                format!("Basic {}", STANDARD.encode(format!("{user}:{}", password.expose())))
            }
            Self::Bearer(token) => format!("Bearer {}", token.expose()),
        };
        let mut value = HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "Auth::None",
            Self::Basic { .. } => "Auth::Basic(…)",
            Self::Bearer(_) => "Auth::Bearer(…)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_sent_and_never_shown() {
        let auth = Auth::Basic { user: "ann@example.com".into(), password: Secret::from("xyzzy") };
        let header = auth.header().unwrap();
        assert_eq!(header.to_str().unwrap(), "Basic YW5uQGV4YW1wbGUuY29tOnh5enp5");
        for shown in [format!("{auth:?}"), format!("{:?}", Secret::from("xyzzy")), format!("{header:?}")] {
            assert!(!shown.contains("xyzzy") && !shown.contains("ann") && !shown.contains("YW5u"), "{shown}");
        }
        assert!(Auth::Bearer(Secret::from("line\nbreak")).header().is_none());
    }
}
