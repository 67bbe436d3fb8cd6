//! Whose account a sign-in was for.
//!
//! Owns: reading an ID token and what the userinfo address says (OpenID Connect Core 1.0, sections 2 and 5.3). Must not:
//! send anything. An ID token is read without looking at its signature: it came from the token endpoint itself over TLS,
//! which proves as much (section 3.1.3.7, item 6); one from anywhere else must never come here.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use crate::secret::Secret;

/// Who signed in.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// The issuer's own id of the account, which stays when the address changes.
    pub subject: String,
    /// The account's address.
    pub email: Option<String>,
}

impl fmt::Debug for Identity {
    /// Without the address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

/// It can't be told who signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoIdentity {
    /// It is no JWT with claims, or lacks the subject.
    #[error("what came about the account can't be read")]
    Unreadable,
    /// It was made for another client.
    #[error("what came about the account was made for another client than ours")]
    OtherClient,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    aud: Option<Audience>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    fn has(&self, client: &str) -> bool {
        match self {
            Self::One(one) => one == client,
            Self::Many(all) => all.iter().any(|one| one == client),
        }
    }
}

/// Out of an ID token that was made for that client.
///
/// # Errors
/// When it can't be read, or was made for another.
pub fn of_id_token(token: &Secret, client: &str) -> Result<Identity, NoIdentity> {
    let mut parts = token.expose().split('.');
    let (Some(_), Some(claims), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(NoIdentity::Unreadable);
    };
    let claims = URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).map_err(|_| NoIdentity::Unreadable)?;
    let claims: Claims = serde_json::from_slice(&claims).map_err(|_| NoIdentity::Unreadable)?;
    if !claims.aud.as_ref().is_some_and(|audience| audience.has(client)) {
        return Err(NoIdentity::OtherClient);
    }
    of(claims)
}

/// Out of what the userinfo address says.
///
/// # Errors
/// When it can't be read.
pub fn of_userinfo(body: &[u8]) -> Result<Identity, NoIdentity> {
    of(serde_json::from_slice(body).map_err(|_| NoIdentity::Unreadable)?)
}

fn of(claims: Claims) -> Result<Identity, NoIdentity> {
    if claims.sub.is_empty() {
        return Err(NoIdentity::Unreadable);
    }
    Ok(Identity { subject: claims.sub, email: claims.email.filter(|email| !email.is_empty()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_token_is_read_for_our_client_alone() {
        let jwt = |claims: &str| Secret::from(format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims)));
        let ann = Ok(Identity { subject: "1001".to_owned(), email: Some("ann@example.com".to_owned()) });
        let nobody = Ok(Identity { subject: "1001".to_owned(), email: None });
        let table = [
            (r#"{"sub":"1001","email":"ann@example.com","aud":"us"}"#, ann.clone()),
            (r#"{"sub":"1001","email":"ann@example.com","aud":["them","us"],"iss":"x"}"#, ann),
            (r#"{"sub":"1001","email":"","aud":"us"}"#, nobody.clone()),
            (r#"{"sub":"1001","aud":"us"}"#, nobody),
            (r#"{"sub":"1001","aud":"them"}"#, Err(NoIdentity::OtherClient)),
            (r#"{"sub":"1001"}"#, Err(NoIdentity::OtherClient)),
            (r#"{"sub":"","aud":"us"}"#, Err(NoIdentity::Unreadable)),
            (r#"{"aud":"us"}"#, Err(NoIdentity::Unreadable)),
            ("no json", Err(NoIdentity::Unreadable)),
        ];
        for (claims, expected) in table {
            assert_eq!(of_id_token(&jwt(claims), "us"), expected, "{claims}");
        }
        for token in ["", "a.b", "a.!.c", "a.b.c.d"] {
            assert_eq!(of_id_token(&Secret::from(token), "us"), Err(NoIdentity::Unreadable), "{token}");
        }
        assert_eq!(of_userinfo(br#"{"sub":"7"}"#).unwrap().subject, "7");
        assert_eq!(of_userinfo(b"[]"), Err(NoIdentity::Unreadable));
    }
}
