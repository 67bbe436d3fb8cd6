//! JSON web tokens with RS256 (RFC 7515, RFC 7518 §3.3), as much as is needed.
//!
//! Owns: signing with a key that everybody may know, checking with a key that was configured. Must not: judge claims.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{
    KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde_json::{Value, json};

/// A private key that is no secret: it was made for this file and signs nothing but what mocks say.
const PUBLISHED: &str = include_str!("published_key.txt");

/// What a `SubjectPublicKeyInfo` of an RSA key says before the bits of the key: the algorithm's identifier, no parameters.
const RSA: [u8; 15] = [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];

/// The key that signs ID tokens.
#[derive(Debug)]
pub struct PublishedKey(Option<RsaKeyPair>);

impl Default for PublishedKey {
    fn default() -> Self {
        Self::new()
    }
}

impl PublishedKey {
    /// The key.
    #[must_use]
    pub fn new() -> Self {
        let text: String = PUBLISHED.split_whitespace().collect();
        Self(STANDARD.decode(text).ok().and_then(|der| RsaKeyPair::from_pkcs8(&der).ok()))
    }

    /// Signs claims.
    #[must_use]
    pub fn sign(&self, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let head = json!({"alg": "RS256", "kid": "mock-1", "typ": "JWT"});
        let text = format!("{}.{}", part(&head), part(claims));
        let Some(key) = &self.0 else { return text };
        let mut signature = vec![0; key.public().modulus_len()];
        let signed = key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature);
        if signed.is_err() {
            signature.clear();
        }
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// The public half as a set of keys (RFC 7517).
    #[must_use]
    pub fn set(&self) -> Value {
        let Some(key) = &self.0 else { return json!({"keys": []}) };
        let public = RsaPublicKeyComponents::<Vec<u8>>::from(key.public());
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({"keys": [{
            "kid": "mock-1", "kty": "RSA", "alg": "RS256", "use": "sig", "n": part(&public.n), "e": part(&public.e),
        }]})
    }

    /// The public half as PEM, to be configured for a service account.
    #[must_use]
    pub fn public_pem(&self) -> String {
        self.0.as_ref().map(|key| public_key_pem(key.public_key().as_ref())).unwrap_or_default()
    }
}

/// A public key in PKCS #1 form as PEM.
#[must_use]
pub fn public_key_pem(pkcs1: &[u8]) -> String {
    format!("-----BEGIN RSA PUBLIC KEY-----\n{}\n-----END RSA PUBLIC KEY-----\n", STANDARD.encode(pkcs1))
}

/// The claims of a token whose signature fits the key; none when it does not, or is no token at all.
pub(super) fn verified(token: &str, public_key_pem: &str) -> Option<Value> {
    let (text, signature) = token.rsplit_once('.')?;
    let (head, claims) = text.split_once('.')?;
    if json_part(head)?.get("alg")? != "RS256" {
        return None;
    }
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pkcs1(public_key_pem)?);
    key.verify(text.as_bytes(), &bytes(signature)?).ok()?;
    json_part(claims)
}

/// The claims of a token, not verified: enough to find out whose key to use.
pub(super) fn claims(token: &str) -> Option<Value> {
    json_part(token.split('.').nth(1)?)
}

fn bytes(part: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(part).or_else(|_| URL_SAFE.decode(part)).ok()
}

fn json_part(part: &str) -> Option<Value> {
    serde_json::from_slice(&bytes(part)?).ok()
}

/// The bytes of the key inside a PEM, without the wrapping that says that it is one for RSA.
fn pkcs1(pem: &str) -> Option<Vec<u8>> {
    let body: String = pem.lines().map(str::trim).filter(|line| !line.starts_with("-----")).collect();
    let der = STANDARD.decode(body).ok()?;
    match der.windows(RSA.len()).take(8).position(|window| window == RSA) {
        None => Some(der),
        // Then comes a bit string: its tag, its length in one to three octets, and the number of unused bits, which is 0.
        Some(at) => {
            let rest = der.get(at + RSA.len()..)?;
            let length = match rest.get(1)? {
                0x82 => 3,
                0x81 => 2,
                _ => 1,
            };
            rest.get(1 + length + 1..).map(<[u8]>::to_vec)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{PublishedKey, RSA, STANDARD, pkcs1, verified};
    use base64::Engine as _;
    use serde_json::json;

    #[test]
    fn what_was_signed_is_verified_and_nothing_else() {
        let key = PublishedKey::new();
        let claims = json!({"iss": "robot@example.com"});
        let token = key.sign(&claims);
        assert_eq!(verified(&token, &key.public_pem()), Some(claims));
        let bent = token.replacen('.', ".e30", 1);
        assert_eq!(verified(&bent, &key.public_pem()), None);
        assert_eq!(verified("a.b.c", &key.public_pem()), None);
    }

    #[test]
    fn both_forms_of_a_public_key_are_read() {
        let plain = pkcs1(&PublishedKey::new().public_pem()).unwrap();
        let length = plain.len() + 1;
        let mut der = vec![0x30, 0x82, 0x01, 0x22];
        der.extend(RSA);
        der.extend([0x03, 0x82, (length >> 8) as u8, (length & 0xff) as u8, 0]);
        der.extend(&plain);
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der));
        assert_eq!(pkcs1(&pem), Some(plain));
    }
}
