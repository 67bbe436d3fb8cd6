//! Why the token endpoint says no, and how Google puts it.
//!
//! Owns: the reasons, and their statuses and texts at Google (`google.md` 1.5 and 1.6). Another provider adds its own words.

use serde_json::{Value, json};

/// Why the token endpoint says no.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A parameter is missing or makes no sense.
    #[error("{0}")]
    Request(String),
    /// A code, token or assertion is not good; the text says why.
    #[error("{0}")]
    Grant(&'static str),
    /// The user is unknown or has not been delegated.
    #[error(
        "Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of the scopes requested."
    )]
    Delegation,
    /// The client is unknown or its secret is wrong.
    #[error("{0}")]
    Client(&'static str),
    /// The client was deleted.
    #[error("The OAuth client was deleted.")]
    Deleted,
    /// The kind of grant is unknown.
    #[error("Invalid grant_type: {0}")]
    GrantType(String),
    /// The redirect address is not the one of the authorization request.
    #[error("Bad Request")]
    Redirect,
    /// A scope is unknown, or wider than what was granted.
    #[error("Some requested scopes were invalid. {0}")]
    Scope(String),
}

impl Refusal {
    /// The status and body at Google: flat, not the envelope of the other interfaces.
    #[must_use]
    pub fn google(&self, invalid_client_status: u16, subtype: Option<&str>) -> (u16, Value) {
        let (status, error) = match self {
            Self::Request(_) => (400, "invalid_request"),
            Self::Grant(_) => (400, "invalid_grant"),
            Self::Delegation => (401, "unauthorized_client"),
            Self::Client(_) => (invalid_client_status, "invalid_client"),
            Self::Deleted => (401, "deleted_client"),
            Self::GrantType(_) => (400, "unsupported_grant_type"),
            Self::Redirect => (400, "redirect_uri_mismatch"),
            Self::Scope(_) => (400, "invalid_scope"),
        };
        let mut body = json!({"error": error, "error_description": self.to_string()});
        if let (Self::Grant(_), Some(subtype)) = (self, subtype) {
            body["error_subtype"] = subtype.into();
        }
        (status, body)
    }
}
