//! Our client at an issuer of tokens: asking for a grant, exchanging, refreshing, revoking.
//!
//! Owns: the requests, by way of the one HTTP client, so that its limits, its trust and its silence in logs hold here too.
//! Must not: remember a grant; decide whether one is enough.

use std::collections::BTreeSet;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth2::basic::{BasicRevocationErrorResponse, BasicTokenIntrospectionResponse, BasicTokenType};
use oauth2::{
    AsyncHttpClient, AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet,
    EndpointSet, ExtraTokenFields, HttpRequest, HttpResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl,
    RefreshToken, RequestTokenError, Scope, StandardRevocableToken, StandardTokenResponse, TokenResponse as _,
    TokenUrl,
};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName};
use reqwest::{Method, StatusCode, Url};
use serde::{Deserialize, Serialize};

use super::fault::{OauthError, Of, Refusal};
use crate::clock::World;
use crate::provider::http::auth::Auth;
use crate::provider::http::gate::{Gate, Pace};
use crate::provider::http::message::{Answer, Credentials, HttpError, Request};
use crate::provider::http::trust::TrustSet;
use crate::provider::http::{Door, Http};
use crate::secret::Secret;
use crate::sync::retry::Resend;

/// No answer of a token endpoint is longer than this.
const LIMIT: u64 = 256 * 1024;
const FORM: &str = "application/x-www-form-urlencoded";
/// How long a token lasts of which nothing is said, in ms.
const LIFETIME: i64 = 10 * 60 * 1000;

/// What differs between those who speak OAuth.
#[derive(Debug)]
pub struct Dialect {
    /// What people call it: `Google`.
    pub name: &'static str,
    /// The section of the configuration with our client.
    pub section: &'static str,
    /// The scope for reading.
    pub read: &'static str,
    /// The scope for writing; it includes reading.
    pub write: &'static str,
    /// The scopes by which we learn whose account it is.
    pub identity: &'static [&'static str],
    /// What else stands in the address that the user opens.
    pub parameters: &'static [(&'static str, &'static str)],
    /// Names under which a scope comes back.
    pub aliases: &'static [(&'static str, &'static str)],
    /// Whether revoking one token takes back all that the user ever granted us, tokens of a later sign-in included.
    pub revokes_all: bool,
    /// Where a user can take back what was granted.
    pub permissions: &'static str,
    /// Whether two spellings are one address there.
    pub same_address: fn(&str, &str) -> bool,
}

/// Our client, as registered at the issuer, and where that is.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// The client's id.
    pub id: String,
    /// Its secret.
    pub secret: Option<Secret>,
    /// Where the user goes.
    pub authorize: Url,
    /// Where tokens are given.
    pub token: Url,
    /// Where they are taken back.
    pub revoke: Url,
    /// Where it says whose token that is.
    pub userinfo: Url,
    /// Whether servers on this machine may be reached without TLS.
    pub plain_loopback: bool,
}

/// Our client at an issuer. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    /// What is special there.
    pub dialect: &'static Dialect,
    /// As registered.
    pub settings: Arc<ClientSettings>,
    http: Http,
    door: Door,
    world: Arc<dyn World>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("issuer", &self.dialect.name).finish_non_exhaustive()
    }
}

/// What has to be remembered between sending the user away and their coming back.
pub struct Asked {
    /// The address that the user opens.
    pub url: Url,
    /// What must come back with them.
    pub state: Secret,
    /// What proves that it is we who asked (RFC 7636).
    verifier: Secret,
    redirect: String,
    /// What was asked for.
    pub scopes: Vec<String>,
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").field("scopes", &self.scopes).finish_non_exhaustive()
    }
}

/// What the issuer gave.
#[derive(Clone)]
pub struct Given {
    /// The access token.
    pub access: Secret,
    /// How long that lasts, in ms.
    pub lifetime: i64,
    /// A refresh token, where one came.
    pub refresh: Option<Secret>,
    /// How long that lasts, in ms, where it was said.
    pub refresh_lifetime: Option<i64>,
    /// What was granted, where it was said; otherwise what was asked for.
    pub scopes: Option<BTreeSet<String>>,
    /// Who signed in, as the issuer writes it.
    pub id_token: Option<Secret>,
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Given").field("lifetime", &self.lifetime).field("scopes", &self.scopes).finish_non_exhaustive()
    }
}

/// What an answer holds beside what RFC 6749 knows.
#[derive(Deserialize, Serialize)]
struct Extra {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id_token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refresh_token_expires_in: Option<u64>,
}

impl fmt::Debug for Extra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Extra(…)")
    }
}

impl ExtraTokenFields for Extra {}

type Answered = StandardTokenResponse<Extra, BasicTokenType>;
type Known = oauth2::Client<
    Refusal,
    Answered,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

/// Why no answer came back that the `oauth2` crate could look at.
#[derive(Debug, thiserror::Error)]
enum Carried {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("status {0}")]
    Status(StatusCode),
    #[error("it can't be sent")]
    Unsendable,
}

/// Our client, as the `oauth2` crate sees it.
struct Carrier<'a>(&'a Client);

impl<'c> AsyncHttpClient<'c> for Carrier<'_> {
    type Error = Carried;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, Carried>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.0.carry(request))
    }
}

impl Client {
    /// Our client there.
    pub fn new(dialect: &'static Dialect, settings: ClientSettings, http: Http, world: Arc<dyn World>) -> Self {
        let mut trust = TrustSet::new(settings.plain_loopback);
        for url in [&settings.token, &settings.revoke, &settings.userinfo] {
            trust.add_url(url);
        }
        let door = Door::new(http.clone(), Arc::new(Gate::new(Pace::FREE)), Auth::None, trust);
        Self { dialect, settings: Arc::new(settings), http, door, world }
    }

    /// The same with a gate of its own, so that one account's wait is not another's.
    #[must_use]
    pub fn apart(&self) -> Self {
        let gate = Arc::new(Gate::new(Pace::FREE));
        Self { door: Door::new(self.http.clone(), gate, Auth::None, self.door.trust().clone()), ..self.clone() }
    }

    /// The scopes for that direction.
    pub fn scopes(&self, write: bool) -> Vec<String> {
        let contacts = if write { self.dialect.write } else { self.dialect.read };
        std::iter::once(contacts).chain(self.dialect.identity.iter().copied()).map(str::to_owned).collect()
    }

    /// The address to which a user is sent, with what to remember until they come back. `hint`: whose account it should be.
    ///
    /// # Errors
    /// When the address to come back to can't be one.
    pub fn ask(&self, redirect: &str, write: bool, hint: &str) -> Result<Asked, OauthError> {
        // Three times 122 random bits, of which RFC 7636 wants 256.
        let random: Vec<u8> = (0..3).flat_map(|_| self.world.bytes()).collect();
        let verifier = PkceCodeVerifier::new(URL_SAFE_NO_PAD.encode(random));
        let state: Vec<u8> = (0..2).flat_map(|_| self.world.bytes()).collect();
        let state = URL_SAFE_NO_PAD.encode(state);
        let scopes = self.scopes(write);
        let to = RedirectUrl::new(redirect.to_owned())
            .map_err(|_| OauthError::Broken("the address to come back to is none; check http.public_url".to_owned()))?;
        let known = self.known()?.set_redirect_uri(to);
        let mut request = known
            .authorize_url(|| CsrfToken::new(state.clone()))
            .add_scopes(scopes.iter().cloned().map(Scope::new))
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
        for (name, value) in self.dialect.parameters {
            request = request.add_extra_param(*name, *value);
        }
        if hint.contains('@') {
            request = request.add_extra_param("login_hint", hint);
        }
        let (url, _) = request.url();
        let verifier = Secret::from(verifier.into_secret());
        Ok(Asked { url, state: Secret::from(state), verifier, redirect: redirect.to_owned(), scopes })
    }

    /// Exchanges what the user came back with.
    ///
    /// # Errors
    /// When the issuer refuses or is away.
    pub async fn exchange(&self, asked: &Asked, code: &Secret) -> Result<Given, OauthError> {
        let to = RedirectUrl::new(asked.redirect.clone())
            .map_err(|_| OauthError::Broken("the address to come back to is none".to_owned()))?;
        let known = self.known()?.set_redirect_uri(to);
        let verifier = PkceCodeVerifier::new(asked.verifier.expose().to_owned());
        let request = known.exchange_code(AuthorizationCode::new(code.expose().to_owned())).set_pkce_verifier(verifier);
        match request.request_async(&Carrier(self)).await {
            Ok(answer) => Ok(given(&answer)),
            Err(error) => Err(self.refused(error)),
        }
    }

    /// Gets an access token for a refresh token.
    ///
    /// # Errors
    /// When the issuer refuses or is away.
    pub async fn refresh(&self, token: &Secret) -> Result<Given, OauthError> {
        let known = self.known()?;
        let token = RefreshToken::new(token.expose().to_owned());
        let answer = known.exchange_refresh_token(&token).request_async(&Carrier(self)).await;
        answer.map(|answer| given(&answer)).map_err(|error| self.refused(error))
    }

    /// Gets an access token for an assertion (RFC 7523), signed by who was given a delegation over a domain.
    ///
    /// # Errors
    /// When the issuer refuses or is away.
    pub async fn assert(&self, assertion: &Secret, id: &str, scopes: &str) -> Result<Given, OauthError> {
        let grant = [("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", assertion.expose())];
        let answer = self.post(&self.settings.token, &grant).await?;
        if answer.status == StatusCode::OK {
            let read: Result<Answered, _> = serde_json::from_slice(&answer.body);
            return read.map(|answer| given(&answer)).map_err(|_| self.unreadable("it is no JSON of a token"));
        }
        let read: Refusal = serde_json::from_slice(&answer.body).map_err(|_| self.away(answer.status))?;
        Err(read.means(&Of { delegation: Some((id, scopes.to_owned())), ..self.of() }))
    }

    /// Gives a token back, and with it what it was granted for.
    ///
    /// # Errors
    /// When the issuer refuses or is away. One that it does not know any more is given back.
    pub async fn revoke(&self, token: &Secret) -> Result<(), OauthError> {
        let answer = self.post(&self.settings.revoke, &[("token", token.expose())]).await?;
        match answer.status {
            // 400: it is not valid (any more).
            status if status.is_success() || status == StatusCode::BAD_REQUEST => Ok(()),
            status => Err(self.away(status)),
        }
    }

    /// What the issuer says of the user whose token it is, as JSON.
    ///
    /// # Errors
    /// When it says nothing.
    pub async fn userinfo(&self, access: &Secret) -> Result<Vec<u8>, OauthError> {
        let request = Request::new(Method::GET, self.settings.userinfo.clone()).limit(LIMIT);
        let door = self.door.signing_in(Auth::Bearer(access.clone()));
        let answer = door.send(&request, Resend::Safe).await?;
        if answer.status.is_success() { Ok(answer.body.to_vec()) } else { Err(self.away(answer.status)) }
    }

    async fn post(&self, to: &Url, form: &[(&str, &str)]) -> Result<Answer, OauthError> {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = Request::new(Method::POST, to.clone()).body(FORM, body).limit(LIMIT);
        Ok(self.door.send(&request, Resend::Once).await?)
    }

    /// Sends what the `oauth2` crate has written.
    async fn carry(&self, request: HttpRequest) -> Result<HttpResponse, Carried> {
        let (parts, body) = request.into_parts();
        let url = Url::parse(&parts.uri.to_string()).map_err(|_| Carried::Unsendable)?;
        let mut ours = Request::new(parts.method, url).body(FORM, body).limit(LIMIT).credentials(Credentials::Account);
        for name in [ACCEPT, AUTHORIZATION] {
            let value = parts.headers.get(&name).and_then(|value| value.to_str().ok());
            ours = value.into_iter().fold(ours, |ours, value| ours.header(HeaderName::clone(&name), value));
        }
        let answer = self.door.send(&ours, Resend::Once).await?;
        // These are no answers of the token endpoint itself, whatever stands in them.
        if answer.status == StatusCode::TOO_MANY_REQUESTS || answer.status.is_server_error() {
            return Err(Carried::Status(answer.status));
        }
        let mut response = HttpResponse::new(answer.body.to_vec());
        *response.status_mut() = answer.status;
        if let Some(kind) = answer.headers.get(CONTENT_TYPE) {
            response.headers_mut().insert(CONTENT_TYPE, kind.clone());
        }
        Ok(response)
    }

    fn known(&self) -> Result<Known, OauthError> {
        let settings = &self.settings;
        let bad =
            |_| OauthError::Broken(format!("an address in [{}] of the configuration is none", self.dialect.section));
        let client = oauth2::Client::new(ClientId::new(settings.id.clone()))
            .set_auth_uri(AuthUrl::new(settings.authorize.to_string()).map_err(bad)?)
            .set_token_uri(TokenUrl::new(settings.token.to_string()).map_err(bad)?)
            .set_auth_type(AuthType::RequestBody);
        Ok(match &settings.secret {
            Some(secret) => client.set_client_secret(ClientSecret::new(secret.expose().to_owned())),
            None => client,
        })
    }

    fn of(&self) -> Of<'static> {
        Of { issuer: self.dialect.name, section: self.dialect.section, delegation: None }
    }

    fn refused(&self, error: RequestTokenError<Carried, Refusal>) -> OauthError {
        match error {
            RequestTokenError::ServerResponse(refusal) => refusal.means(&self.of()),
            RequestTokenError::Request(Carried::Http(error)) => error.into(),
            RequestTokenError::Request(Carried::Status(status)) => self.away(status),
            RequestTokenError::Request(Carried::Unsendable) => {
                OauthError::Broken(format!("an address in [{}] of the configuration is none", self.dialect.section))
            }
            // Its text has the answer in it, and that may have a token.
            RequestTokenError::Parse(..) => self.unreadable("it is no JSON of a token"),
            RequestTokenError::Other(_) => self.unreadable("it is no JSON"),
        }
    }

    fn unreadable(&self, what: &'static str) -> OauthError {
        OauthError::Unreadable { issuer: self.dialect.name, what }
    }

    fn away(&self, status: StatusCode) -> OauthError {
        OauthError::Away(format!("{} answers with status {}", self.dialect.name, status.as_u16()))
    }
}

fn given(answer: &Answered) -> Given {
    let millis = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX / 1000).saturating_mul(1000);
    let extra = answer.extra_fields();
    Given {
        access: Secret::from(answer.access_token().secret().clone()),
        lifetime: answer.expires_in().map_or(LIFETIME, |lasts| millis(lasts.as_secs())),
        refresh: answer.refresh_token().map(|token| Secret::from(token.secret().clone())),
        refresh_lifetime: extra.refresh_token_expires_in.map(millis),
        scopes: answer.scopes().map(|scopes| scopes.iter().map(|scope| scope.to_string()).collect()),
        id_token: extra.id_token.clone().map(Secret::from),
    }
}
