//! Service accounts with a delegation over a domain: tokens for any of its mailboxes, without its user (google.md §1.6).
//!
//! Owns: reading the key file, and signing assertions (RFC 7523) as RS256 with the library that does our TLS. Must not:
//! keep a token.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::SignatureScheme;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::SigningKey;
use serde::{Deserialize, Serialize};

use super::client::{Client, Given};
use super::fault::OauthError;
use crate::ids::Timestamp;
use crate::secret::Secret;

/// How long an assertion holds, in s; no more is allowed.
const HOLDS: i64 = 3600;

/// A service account.
pub struct ServiceAccount {
    email: String,
    client_id: String,
    key_id: Option<String>,
    key: Arc<dyn SigningKey>,
}

impl fmt::Debug for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceAccount").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

/// The key file can't be used. Never repeats what stands in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKeyFile {
    /// It is no JSON with what is needed.
    #[error(
        "it is no key of a service account: download it as JSON, with type, client_email, client_id and private_key"
    )]
    NoKey,
    /// Its key can't be read.
    #[error("its private_key is no RSA key in PEM; download it again")]
    BadKey,
}

#[derive(Deserialize)]
struct KeyFile {
    r#type: String,
    client_email: String,
    client_id: String,
    private_key: String,
    #[serde(default)]
    private_key_id: Option<String>,
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    typ: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    scope: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
}

impl ServiceAccount {
    /// Out of the text of a key file.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(text: &Secret) -> Result<Self, BadKeyFile> {
        let file: KeyFile = serde_json::from_str(text.expose()).map_err(|_| BadKeyFile::NoKey)?;
        let key = Secret::from(file.private_key);
        if file.r#type != "service_account" {
            return Err(BadKeyFile::NoKey);
        }
        let der = PrivateKeyDer::from_pem_slice(key.expose().as_bytes()).map_err(|_| BadKeyFile::BadKey)?;
        let key = rustls::crypto::ring::sign::any_supported_type(&der).map_err(|_| BadKeyFile::BadKey)?;
        if key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256]).is_none() {
            return Err(BadKeyFile::BadKey);
        }
        Ok(Self { email: file.client_email, client_id: file.client_id, key_id: file.private_key_id, key })
    }

    /// The id that an administrator enters.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// A token for that mailbox.
    ///
    /// # Errors
    /// When the issuer refuses or is away; a missing delegation is told with what to enter.
    pub async fn token(
        &self,
        client: &Client,
        mailbox: &str,
        write: bool,
        now: Timestamp,
    ) -> Result<Given, OauthError> {
        let dialect = client.dialect;
        // Whose mailbox it is must be told, too; by full names, since an administrator enters those.
        let full = |name: &&'static str| {
            dialect.aliases.iter().find(|(short, _)| short == name).map_or(*name, |(_, full)| full)
        };
        let contacts = if write { dialect.write } else { dialect.read };
        let scopes: Vec<&str> = std::iter::once(contacts).chain(dialect.identity.iter().map(full)).collect();
        let scopes = scopes.join(" ");
        let assertion = self.assertion(mailbox, &scopes, client.settings.token.as_str(), now)?;
        client.assert(&assertion, &self.client_id, &scopes).await
    }

    /// A JWT by which we ask to act for that mailbox.
    pub(super) fn assertion(&self, sub: &str, scope: &str, aud: &str, now: Timestamp) -> Result<Secret, OauthError> {
        let broken = || OauthError::Broken("the service account's key can't sign; download it again".to_owned());
        let iat = now.0 / 1000;
        let header = Header { alg: "RS256", typ: "JWT", kid: self.key_id.as_deref() };
        let claims = Claims { iss: &self.email, sub, scope, aud, iat, exp: iat + HOLDS };
        let part = |json: Result<String, serde_json::Error>| json.map(|json| URL_SAFE_NO_PAD.encode(json));
        let header = part(serde_json::to_string(&header)).map_err(|_| broken())?;
        let claims = part(serde_json::to_string(&claims)).map_err(|_| broken())?;
        let text = format!("{header}.{claims}");
        let signer = self.key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256]).ok_or_else(broken)?;
        let signature = signer.sign(text.as_bytes()).map_err(|_| broken())?;
        Ok(Secret::from(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))))
    }
}
