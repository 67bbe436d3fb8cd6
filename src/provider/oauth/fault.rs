//! What can go wrong with a sign-in, in words, and the one place where it becomes a [`ProviderError`].
//!
//! Owns: reading the token endpoint's errors (RFC 6749, section 5.2; google.md §1.5). Must not: repeat what a server said
//! beyond the words that its documents list: what else it says could hold anything.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::Timestamp;
use crate::provider::http::message::HttpError;
use crate::provider::{ProviderError, Retry, Scope};

/// What is done when a token is fetched.
const SIGNING_IN: &str = "signing in";

/// There is no token to be had. Texts hold neither a secret nor an address; `contactd account add` in them is completed by
/// who knows the account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OauthError {
    /// The grant is dead: revoked, expired, or unused for too long.
    #[error("{issuer} does not accept the sign-in any more ({why}); sign in again: `contactd account add`")]
    Ended {
        /// Who says so.
        issuer: &'static str,
        /// Why, as far as is told.
        why: &'static str,
    },
    /// Our client is not set up as the provider knows it: it concerns all of its accounts.
    #[error("{issuer} refuses contactd itself ({code}): {remedy}; then `contactd account resume`")]
    Client {
        /// Who says so.
        issuer: &'static str,
        /// The error's name.
        code: &'static str,
        /// What to do.
        remedy: String,
    },
    /// An administrator of the domain does not allow it.
    #[error("an administrator does not allow contactd there ({code}): {remedy}; then `contactd account resume`")]
    Policy {
        /// The error's name.
        code: &'static str,
        /// What to do.
        remedy: String,
    },
    /// The account was removed, or its credentials are gone.
    #[error("no sign-in is stored for this account; sign in: `contactd account add`")]
    Gone,
    /// Something here needs a person: the seal, a key file.
    #[error("{0}")]
    Broken(String),
    /// The server, the network or our store is away for the moment.
    #[error("{0}")]
    Away(String),
    /// The server asks us to wait.
    #[error("the server asks us to wait until {0}")]
    Wait(Timestamp),
    /// What came is no answer of a token endpoint.
    #[error("{issuer} sent something that we can't read as an answer to a sign-in ({what}); it is tried again")]
    Unreadable {
        /// Who.
        issuer: &'static str,
        /// What is wrong with it.
        what: &'static str,
    },
}

impl From<HttpError> for OauthError {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Wait { until, .. } => Self::Wait(until),
            HttpError::Plain { .. } | HttpError::Untrusted { .. } | HttpError::Redirect { .. } => Self::Broken(
                "the address for signing in leads to another host; check the addresses in the configuration".to_owned(),
            ),
            HttpError::PrivateAddress(_) | HttpError::Unsendable(_) => Self::Broken(error.to_string()),
            HttpError::Connect { .. }
            | HttpError::Lost { .. }
            | HttpError::TooBig { .. }
            | HttpError::Content { .. }
            | HttpError::InDoubt(_) => Self::Away(error.to_string()),
        }
    }
}

impl From<OauthError> for ProviderError {
    fn from(error: OauthError) -> Self {
        let retry = match &error {
            OauthError::Ended { .. }
            | OauthError::Client { .. }
            | OauthError::Policy { .. }
            | OauthError::Gone
            | OauthError::Broken(_) => Retry::AfterHuman,
            OauthError::Away(_) | OauthError::Unreadable { .. } => Retry::Soon,
            OauthError::Wait(until) => Retry::At(*until),
        };
        Self { scope: Scope::Account, retry, doing: SIGNING_IN, source: Box::new(error) }
    }
}

/// An error as a token endpoint writes it. What it says in its own words is not shown.
#[derive(Clone, Deserialize, Serialize)]
pub(super) struct Refusal {
    error: String,
    #[serde(default)]
    error_subtype: Option<String>,
    #[serde(default)]
    error_description: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(known(&self.error))
    }
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Refusal({self})")
    }
}

impl oauth2::ErrorResponse for Refusal {}

/// The error's name, if it is one that is written down somewhere.
fn known(code: &str) -> &'static str {
    const KNOWN: [&str; 15] = [
        "invalid_grant",
        "invalid_client",
        "deleted_client",
        "disabled_client",
        "unauthorized_client",
        "invalid_request",
        "unsupported_grant_type",
        "redirect_uri_mismatch",
        "invalid_scope",
        "access_denied",
        "org_internal",
        "admin_policy_enforced",
        "disallowed_useragent",
        "temporarily_unavailable",
        "server_error",
    ];
    KNOWN.into_iter().find(|known| *known == code).unwrap_or("an error that we don't know")
}

/// Who refuses, and what for: words are made from it.
#[derive(Clone, Debug)]
pub(super) struct Of<'a> {
    /// `Google`.
    pub(super) issuer: &'static str,
    /// The section of the configuration with our client's settings.
    pub(super) section: &'static str,
    /// Under a delegation: the client id to be allowed, and the scopes.
    pub(super) delegation: Option<(&'a str, String)>,
}

impl Refusal {
    /// What it means, by the table of google.md §1.5.
    pub(super) fn means(&self, of: &Of<'_>) -> OauthError {
        let Of { issuer, section, delegation } = of;
        let code = known(&self.error);
        let client = |remedy: String| OauthError::Client { issuer, code, remedy };
        let settings =
            || format!("check {section}.client_id and its secret in the configuration, and restart contactd");
        match (self.error.as_str(), delegation) {
            ("invalid_grant", Some(_)) => OauthError::Broken(format!(
                "{issuer} knows no such user in the domain, or this machine's clock is wrong; check both, then `contactd \
                 account resume`"
            )),
            ("unauthorized_client" | "access_denied", Some((id, scopes))) => OauthError::Policy {
                code,
                remedy: format!(
                    "in the admin console of the domain, under Security, API controls, Domain-wide delegation, enter client \
                     id {id} with the scopes {}; it can take up to a day until that holds",
                    scopes.replace(' ', ",")
                ),
            },
            ("invalid_grant", None) => OauthError::Ended { issuer, why: self.why_ended() },
            ("admin_policy_enforced" | "org_internal", _) => OauthError::Policy {
                code,
                remedy: "have the administrator of the domain allow contactd under API controls".to_owned(),
            },
            ("deleted_client" | "disabled_client", _) => client(format!(
                "the client was deleted there (one that nobody uses for six months is); make a new one, put it into \
                 {section}.client_id, and restart contactd"
            )),
            ("redirect_uri_mismatch", _) => client(format!(
                "the address to come back to is not registered with the client; compare http.public_url and \
                 {section}.client_type with it"
            )),
            ("temporarily_unavailable" | "server_error", _) => {
                OauthError::Away(format!("{issuer} is not able to sign anybody in at the moment"))
            }
            ("access_denied", None) => OauthError::Ended { issuer, why: "access was denied" },
            _ => client(settings()),
        }
    }

    fn why_ended(&self) -> &'static str {
        match (self.error_subtype.as_deref(), self.error_description.as_deref()) {
            (Some(_), _) => "the domain's session control asks for a new sign-in",
            (_, Some(text)) if text.contains("expired or revoked") => "it was revoked, or its time is over",
            _ => "it was revoked, its time is over, or it was not used for too long",
        }
    }
}
