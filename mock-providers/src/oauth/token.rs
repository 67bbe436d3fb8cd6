//! The endpoints that clients talk to themselves: token, revoke, userinfo, keys (`google.md` 1.5 and 1.6).
//!
//! Owns: the checks, and what the answers hold. Must not: put an answer into a provider's envelope.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::settings::Rotation;
use super::{Client, DAY, Kind, Method, Refusal, Server, full_names, jwt, one};

const DEAD: Refusal = Refusal::Grant("Token has been expired or revoked.");

impl Server {
    /// The token endpoint. `basic` is what an `Authorization: Basic` header said, `address` where this endpoint is.
    ///
    /// # Errors
    /// With the reason, for the provider to put into its own words.
    pub fn token(
        &mut self,
        form: &[(String, String)],
        basic: Option<(String, String)>,
        address: &str,
        now: u64,
    ) -> Result<Value, Refusal> {
        let need = |name: &str| {
            let found = one(form, name).filter(|value| !value.is_empty());
            found.ok_or_else(|| Refusal::Request(format!("Missing required parameter: {name}")))
        };
        match need("grant_type")? {
            "authorization_code" => {
                let client = self.authenticate(form, basic)?;
                self.exchange(&client, need("code")?, need("redirect_uri")?, one(form, "code_verifier"), now)
            }
            "refresh_token" => {
                let client = self.authenticate(form, basic)?;
                self.renew(&client, need("refresh_token")?, one(form, "scope"), now)
            }
            "urn:ietf:params:oauth:grant-type:jwt-bearer" => self.assert(need("assertion")?, address, now),
            other => Err(Refusal::GrantType(other.to_owned())),
        }
    }

    /// The client that is asking, by its id and secret.
    fn authenticate(&self, form: &[(String, String)], basic: Option<(String, String)>) -> Result<Client, Refusal> {
        let (id, secret) = match basic {
            Some((id, secret)) => (Some(id), Some(secret)),
            None => (one(form, "client_id").map(str::to_owned), one(form, "client_secret").map(str::to_owned)),
        };
        let id = id.ok_or_else(|| Refusal::Request("Could not determine client ID from request.".to_owned()))?;
        let client = self.client(&id).ok_or(Refusal::Client("The OAuth client was not found."))?;
        match (&client.secret, secret) {
            _ if client.deleted => Err(Refusal::Deleted),
            (Some(_), None) => Err(Refusal::Request("client_secret is missing.".to_owned())),
            (Some(known), Some(said)) if *known != said => {
                Err(Refusal::Client("The provided client secret is invalid."))
            }
            _ => Ok(client.clone()),
        }
    }

    /// Gives tokens for a code, once.
    fn exchange(
        &mut self,
        client: &Client,
        code: &str,
        redirect: &str,
        verifier: Option<&str>,
        now: u64,
    ) -> Result<Value, Refusal> {
        // A code is spent by the first try, whatever becomes of it.
        let grant = self.codes.remove(code).ok_or(Refusal::Grant("Malformed auth code."))?;
        if grant.client != client.id || grant.until <= now {
            return Err(Refusal::Grant("Bad Request"));
        }
        if grant.redirect_uri != redirect {
            return Err(Refusal::Redirect);
        }
        let fits = match (&grant.challenge, verifier) {
            (None, None) => Ok(()),
            (Some(_), None) => Err(Refusal::Grant("Missing code verifier.")),
            (None, Some(_)) => Err(Refusal::Grant("Unexpected code verifier.")),
            (Some((Method::Plain, challenge)), Some(said)) if challenge == said => Ok(()),
            (Some((Method::S256, challenge)), Some(said)) if *challenge == s256(said) => Ok(()),
            (Some(_), Some(_)) => Err(Refusal::Grant("Invalid code verifier.")),
        };
        fits?;
        let refresh = grant.refresh.then(|| self.issue_refresh(&client.id, &grant.user, &grant.scopes, now));
        Ok(self.answer(client, &grant.user, &grant.scopes, refresh, grant.nonce, now))
    }

    /// Gives a new access token for a refresh token.
    fn renew(&mut self, client: &Client, token: &str, scope: Option<&str>, now: u64) -> Result<Value, Refusal> {
        let known = self.refresh.get_mut(token).ok_or(DEAD)?;
        let settings = &self.settings;
        let old = settings.testing_days.is_some_and(|days| now >= known.issued + days * DAY)
            || settings.consent_seconds.is_some_and(|seconds| now >= known.issued + seconds * 1000)
            || now >= known.used + settings.idle_days * DAY;
        if old || known.client != client.id {
            if old {
                self.refresh.remove(token);
            }
            return Err(DEAD);
        }
        known.used = now;
        let (user, granted) = (known.user.clone(), known.scopes.clone());
        let scopes = match scope.map(|scope| full_names(scope.split_whitespace())) {
            Some(asked) if !asked.is_subset(&granted) => return Err(Refusal::Scope(format!("{asked:?}"))),
            Some(asked) if !asked.is_empty() => asked,
            _ => granted.clone(),
        };
        let next = match self.settings.rotation {
            Rotation::Never => None,
            Rotation::Keep => Some(self.issue_refresh(&client.id, &user, &granted, now)),
            Rotation::Replace => {
                self.refresh.remove(token);
                Some(self.issue_refresh(&client.id, &user, &granted, now))
            }
        };
        Ok(self.answer(client, &user, &scopes, next, None, now))
    }

    /// Gives an access token for an assertion of a service account (1.6).
    fn assert(&mut self, assertion: &str, address: &str, now: u64) -> Result<Value, Refusal> {
        const WINDOW: Refusal = Refusal::Grant(
            "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. \
             Check your iat and exp values in the JWT claim.",
        );
        let issuer = jwt::claims(assertion).ok_or(Refusal::Grant("Invalid JWT."))?;
        let issuer = issuer["iss"].as_str().unwrap_or_default();
        let account = self.settings.clients.iter().find_map(|client| match &client.kind {
            Kind::Service { email, public_key, scopes } if email == issuer => {
                Some((client.clone(), public_key.clone(), full_names(scopes.iter().map(String::as_str))))
            }
            _ => None,
        });
        let (client, key, delegated) = account.ok_or(Refusal::Grant("Invalid grant: account not found"))?;
        let claims = jwt::verified(assertion, &key).ok_or(Refusal::Grant("Invalid JWT Signature."))?;
        let audience = claims["aud"].as_str().unwrap_or_default();
        if audience != address && !self.settings.audiences.iter().any(|known| known == audience) {
            return Err(Refusal::Grant("Invalid JWT: Failed audience check."));
        }
        let second = |name: &str| claims[name].as_u64().ok_or(WINDOW);
        let (from, until) = (second("iat")?, second("exp")?);
        // Five minutes for clocks that differ.
        if until > from + 3600 || until * 1000 <= now || from * 1000 > now + 300_000 {
            return Err(WINDOW);
        }
        let scopes = full_names(claims["scope"].as_str().unwrap_or_default().split_whitespace());
        let Some(user) = claims["sub"].as_str() else { return Err(Refusal::Delegation) };
        if scopes.is_empty() || !scopes.is_subset(&delegated) {
            return Err(Refusal::Delegation);
        }
        let user = self.user(user).ok_or(Refusal::Grant("Invalid email or User ID"))?.email.clone();
        let token = self.issue_access(&client.id, &user, &scopes, now);
        Ok(json!({"access_token": token, "expires_in": self.expires_in(), "token_type": "Bearer"}))
    }

    fn expires_in(&self) -> u64 {
        self.settings.access_seconds.saturating_sub(self.settings.expires_in_less)
    }

    fn answer(
        &mut self,
        client: &Client,
        user: &str,
        scopes: &BTreeSet<String>,
        refresh: Option<String>,
        nonce: Option<String>,
        now: u64,
    ) -> Value {
        let token = self.issue_access(&client.id, user, scopes, now);
        let listed = scopes.iter().cloned().collect::<Vec<_>>().join(" ");
        let mut body = json!({
            "access_token": token, "expires_in": self.expires_in(), "scope": listed, "token_type": "Bearer",
        });
        if let Some(refresh) = refresh {
            body["refresh_token"] = refresh.into();
        }
        if let Some(seconds) = self.settings.consent_seconds {
            body["refresh_token_expires_in"] = seconds.into();
        }
        if scopes.contains("openid") {
            body["id_token"] = self.id_token(client, user, scopes, nonce, now).into();
        }
        body
    }

    /// An ID token (OpenID Connect Core §2).
    fn id_token(
        &self,
        client: &Client,
        user: &str,
        scopes: &BTreeSet<String>,
        nonce: Option<String>,
        now: u64,
    ) -> String {
        let seconds = now / 1000;
        let mut claims = json!({
            "iss": self.settings.issuer, "azp": client.id, "aud": client.id,
            "iat": seconds, "exp": seconds + self.settings.access_seconds,
        });
        if let (Some(claims), Value::Object(person)) = (claims.as_object_mut(), self.person(user, scopes)) {
            claims.extend(person);
            claims.extend(nonce.map(|nonce| ("nonce".to_owned(), nonce.into())));
        }
        self.key.sign(&claims)
    }

    /// What a user has agreed to tell of themselves.
    fn person(&self, user: &str, scopes: &BTreeSet<String>) -> Value {
        let Some(user) = self.user(user) else { return json!({}) };
        let has = |name: &str| scopes.contains(&format!("https://www.googleapis.com/auth/userinfo.{name}"));
        let mut claims = json!({"sub": user.sub});
        if has("email") {
            claims["email"] = user.email.as_str().into();
            claims["email_verified"] = true.into();
        }
        if has("profile") {
            claims["name"] = user.name.as_str().into();
        }
        claims
    }

    /// Takes a token back, and with it everything that its user has granted to any client here: they are of one project (1.5).
    ///
    /// # Errors
    /// When there is no such token.
    pub fn revoke(&mut self, form: &[(String, String)]) -> Result<(), Refusal> {
        let token = one(form, "token").unwrap_or_default();
        let user = self.access.get(token).map(|access| access.user.clone());
        let user = user.or_else(|| self.refresh.get(token).map(|refresh| refresh.user.clone()));
        let user = user.ok_or_else(|| Refusal::Request("Token is not revocable.".to_owned()))?;
        self.revoke_user(&user);
        Ok(())
    }

    /// Who has granted this access token; none when it is not good, or nothing may be told of its user
    /// (`googleapis/google-api-nodejs-client#3900`: 401, as for no token at all).
    #[must_use]
    pub fn userinfo(&self, token: &str, now: u64) -> Option<Value> {
        let tells = |scope: &String| scope == "openid" || scope.contains("/auth/userinfo.");
        let access = self.bearer(token, now).filter(|access| access.scopes.iter().any(tells))?;
        Some(self.person(&access.user, &access.scopes))
    }

    /// The keys that ID tokens are checked with.
    #[must_use]
    pub fn keys(&self) -> Value {
        self.key.set()
    }

    /// Signs claims with the key that everybody may know, for tests that need a service account.
    #[must_use]
    pub fn sign(&self, claims: &Value) -> String {
        self.key.sign(claims)
    }
}

/// What a verifier is compared with (RFC 7636 §4.6).
fn s256(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, verifier.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::s256;

    #[test]
    fn the_example_of_the_standard_fits() {
        // RFC 7636, appendix B.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(s256(verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
