//! Signing in, refreshing, and what the API says of tokens.

use mock_providers::faults::{Fault, Match, RetryAfter};
use mock_providers::google::Settings;
use mock_providers::oauth::settings::{Client, Kind, Rotation};
use mock_providers::oauth::{PublishedKey, Server};
use serde_json::{Value, json};

use crate::lab::{DAY, FIELDS, Got, Lab, encode};

const CLIENT: &str = "mock-desktop.apps.googleusercontent.com";
const WEB: &str = "mock-web.apps.googleusercontent.com";
const REDIRECT: &str = "http://127.0.0.1:49152/cb";
const CONTACTS: &str = "https://www.googleapis.com/auth/contacts";
// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

impl Lab {
    async fn form(&self, url: &str, pairs: &[(&str, &str)]) -> Got {
        let form: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        self.try_send("POST", url, &headers, form.join("&")).await.unwrap()
    }

    async fn token(&self, pairs: &[(&str, &str)]) -> Got {
        self.form(&self.google.endpoints().token, pairs).await
    }

    /// The browser's way: the `Location`, or the page when there is none.
    async fn authorize(&self, client: &str, redirect: &str, scope: &str, more: &str) -> String {
        let url = format!(
            "{}?response_type=code&client_id={client}&redirect_uri={}&scope={}&state=a%2Bb&{more}",
            self.google.endpoints().authorize,
            encode(redirect),
            encode(scope)
        );
        let got = self.try_send("GET", &url, &[], String::new()).await.unwrap();
        if got.status == 302 { got.header("location").to_owned() } else { got.text }
    }

    async fn code(&self, client: &str, redirect: &str, scope: &str, more: &str) -> String {
        let location = self.authorize(client, redirect, scope, more).await;
        let code = location.split_once("code=").unwrap_or_else(|| panic!("{location}")).1;
        // It holds a slash, which arrives encoded.
        code.split('&').next().unwrap().replace("%2F", "/")
    }

    async fn exchange(&self, code: &str, more: &[(&str, &str)]) -> Got {
        let mut pairs = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("client_id", CLIENT),
            ("client_secret", "mock-desktop-secret"),
            ("redirect_uri", REDIRECT),
        ];
        pairs.retain(|(name, _)| more.iter().all(|(other, _)| other != name));
        pairs.extend(more);
        self.token(&pairs).await
    }

    async fn refresh(&self, token: &str) -> Got {
        let pairs = [
            ("grant_type", "refresh_token"),
            ("refresh_token", token),
            ("client_id", CLIENT),
            ("client_secret", "mock-desktop-secret"),
        ];
        self.token(&pairs).await
    }
}

fn pkce() -> String {
    format!("code_challenge={CHALLENGE}&code_challenge_method=S256&access_type=offline&prompt=consent")
}

fn error(got: &Got) -> (u16, &str) {
    (got.status, got.body["error"].as_str().unwrap_or_default())
}

#[tokio::test]
async fn a_code_is_exchanged_once_by_whoever_has_the_verifier() {
    let lab = Lab::new().await;
    let scope = format!("{CONTACTS} openid email");
    let location = lab.authorize(CLIENT, REDIRECT, &scope, &pkce()).await;
    assert!(location.starts_with(&format!("{REDIRECT}?code=4%2F0")), "{location}");
    assert!(location.ends_with("&state=a%2Bb"), "{location}");
    let code = lab.code(CLIENT, REDIRECT, &scope, &pkce()).await;
    let got = lab.exchange(&code, &[("code_verifier", VERIFIER)]).await.good();
    assert_eq!((&got["expires_in"], &got["token_type"]), (&json!(3599), &json!("Bearer")));
    assert!(got["refresh_token"].as_str().unwrap().starts_with("1//0"));
    assert_eq!(got["scope"], format!("{CONTACTS} https://www.googleapis.com/auth/userinfo.email openid"));
    assert_eq!(error(&lab.exchange(&code, &[("code_verifier", VERIFIER)]).await), (400, "invalid_grant"));

    let url = lab.google.endpoints().userinfo;
    let bearer = format!("Bearer {}", got["access_token"].as_str().unwrap());
    let info = lab.try_send("GET", &url, &[("authorization", &bearer)], String::new()).await.unwrap().good();
    assert_eq!(info["sub"], lab.account.sub());
    assert_eq!(info["email"], lab.account.email());
    assert_eq!(got["id_token"].as_str().unwrap().split('.').count(), 3);
    let keys = lab.try_send("GET", &lab.google.endpoints().jwks, &[], String::new()).await.unwrap().good();
    assert_eq!(keys["keys"][0]["e"], "AQAB");
}

#[tokio::test]
async fn whoever_has_not_all_of_it_gets_nothing() {
    let lab = Lab::new().await;
    let code = || async { lab.code(CLIENT, REDIRECT, CONTACTS, &pkce()).await };
    let good = ("code_verifier", VERIFIER);
    for (more, expected) in [
        (vec![], (400, "invalid_grant")),
        (vec![("code_verifier", "wrong")], (400, "invalid_grant")),
        (vec![good, ("redirect_uri", "http://127.0.0.1:1/cb")], (400, "redirect_uri_mismatch")),
        (vec![good, ("client_secret", "wrong")], (401, "invalid_client")),
        (vec![good, ("client_secret", "mock-web-secret"), ("client_id", WEB)], (400, "invalid_grant")),
        (vec![good, ("client_id", "nobody")], (401, "invalid_client")),
        (vec![good, ("grant_type", "password")], (400, "unsupported_grant_type")),
    ] {
        let code = code().await;
        assert_eq!(error(&lab.exchange(&code, &more).await), expected, "{more:?}");
    }
    let late = code().await;
    lab.google.advance(600_000);
    assert_eq!(error(&lab.exchange(&late, &[good]).await), (400, "invalid_grant"));
    assert_eq!(error(&lab.token(&[("grant_type", "refresh_token")]).await), (400, "invalid_request"));
}

#[tokio::test]
async fn redirects_go_to_loopback_or_to_what_is_registered() {
    let lab = Lab::new().await;
    for (client, redirect, good) in [
        (CLIENT, "http://127.0.0.1:1234/x", true),
        (CLIENT, "http://[::1]:9/", true),
        (CLIENT, "https://contactd.example.com/oauth/callback", false),
        (WEB, "https://contactd.example.com/oauth/callback", true),
        (WEB, "https://contactd.example.com/oauth/callback/", false),
        (WEB, "http://127.0.0.1:1234/x", false),
    ] {
        let went = lab.authorize(client, redirect, CONTACTS, "").await;
        assert_eq!(went.contains("code="), good, "{client} {redirect}: {went}");
        assert_eq!(went.contains("redirect_uri_mismatch"), !good);
    }
    assert!(lab.authorize(CLIENT, REDIRECT, "https://example.com/scope", "").await.contains("invalid_scope"));
    assert!(lab.authorize("nobody", REDIRECT, CONTACTS, "").await.contains("invalid_client"));
}

#[tokio::test]
async fn users_refuse_and_untick() {
    let lab = Lab::new().await;
    lab.google.consent(|consent| consent.deny = Some("access_denied".to_owned()));
    assert_eq!(
        lab.authorize(CLIENT, REDIRECT, CONTACTS, "").await,
        format!("{REDIRECT}?error=access_denied&state=a%2Bb")
    );
    lab.google.consent(|consent| (consent.deny, consent.page_error) = (None, Some("org_internal".to_owned())));
    assert!(lab.authorize(CLIENT, REDIRECT, CONTACTS, "").await.contains("Error 403: org_internal"));
    lab.google.consent(|consent| {
        consent.page_error = None;
        consent.auto_approve = false;
    });
    let page = lab.authorize(CLIENT, REDIRECT, CONTACTS, "").await;
    assert!(page.contains("mock_answer=allow") && page.contains("mock_answer=deny"));
    assert!(lab.authorize(CLIENT, REDIRECT, CONTACTS, "mock_answer=deny").await.contains("error=access_denied"));
    assert!(lab.authorize(CLIENT, REDIRECT, CONTACTS, "mock_answer=allow").await.contains("code="));

    lab.google.consent(|consent| {
        consent.auto_approve = true;
        consent.grant_only = Some(vec!["openid".to_owned()]);
        consent.user = Some("robin.example@example.com".to_owned());
    });
    let code = lab.code(CLIENT, REDIRECT, &format!("{CONTACTS} openid"), &pkce()).await;
    let got = lab.exchange(&code, &[("code_verifier", VERIFIER)]).await.good();
    assert_eq!(got["scope"], "openid");
}

#[tokio::test]
async fn a_second_consent_gives_a_refresh_token_only_when_asked_for_again() {
    let lab = Lab::new().await;
    let redirect = "https://contactd.example.com/oauth/callback";
    let mut has = Vec::new();
    for more in ["access_type=offline", "access_type=offline", "access_type=offline&prompt=consent", ""] {
        let code = lab.code(WEB, redirect, CONTACTS, more).await;
        let web = [("client_id", WEB), ("client_secret", "mock-web-secret"), ("redirect_uri", redirect)];
        let got = lab.exchange(&code, &web).await.good();
        has.push(got.get("refresh_token").is_some());
    }
    assert_eq!(has, [true, false, true, false]);
    lab.google.settings(|settings| settings.oauth.withhold_refresh = true);
    let code = lab.code(CLIENT, REDIRECT, CONTACTS, &pkce()).await;
    let got = lab.exchange(&code, &[("code_verifier", VERIFIER)]).await.good();
    assert_eq!(got.get("refresh_token"), None);
}

#[tokio::test]
async fn refresh_tokens_stay_until_they_die() {
    let lab = Lab::new().await;
    let token = lab.account.refresh_token(&["contacts"]);
    let got = lab.refresh(&token).await.good();
    assert_eq!(got.get("refresh_token"), None);
    assert!(got["access_token"].is_string());
    lab.account.revoke();
    let dead = lab.refresh(&token).await;
    assert_eq!(
        dead.body,
        json!({
            "error": "invalid_grant", "error_description": "Token has been expired or revoked.",
        })
    );

    let idle = lab.account.refresh_token(&["contacts"]);
    lab.google.advance(181 * DAY);
    assert_eq!(lab.refresh(&idle).await.status, 200);
    lab.google.advance(183 * DAY);
    assert_eq!(error(&lab.refresh(&idle).await), (400, "invalid_grant"));

    let testing = lab.account.refresh_token(&["contacts"]);
    lab.google.settings(|settings| settings.oauth.testing_days = Some(7));
    lab.google.advance(7 * DAY);
    assert_eq!(error(&lab.refresh(&testing).await), (400, "invalid_grant"));
    lab.google.settings(|settings| settings.oauth.testing_days = None);

    let mail = lab.account.refresh_token(&["gmail.readonly"]);
    let contacts = lab.account.refresh_token(&["contacts"]);
    lab.account.change_password();
    assert_eq!((lab.refresh(&mail).await.status, lab.refresh(&contacts).await.status), (400, 200));

    lab.google.settings(|settings| settings.oauth.refresh_tokens_per_user = 2);
    for _ in 0..2 {
        let _ = lab.account.refresh_token(&["contacts"]);
    }
    assert_eq!(lab.refresh(&contacts).await.status, 400);
    assert_eq!(lab.google.live_refresh_tokens(&lab.account.email()), 2);
    lab.google.settings(|settings| settings.oauth.clients[0].deleted = true);
    assert_eq!(error(&lab.refresh(&contacts).await), (401, "deleted_client"));
}

#[tokio::test]
async fn refresh_tokens_can_rotate() {
    let lab = Lab::new().await;
    let first = lab.account.refresh_token(&["contacts"]);
    lab.google.settings(|settings| settings.oauth.rotation = Rotation::Replace);
    let second = lab.refresh(&first).await.good()["refresh_token"].as_str().unwrap().to_owned();
    assert_eq!(error(&lab.refresh(&first).await), (400, "invalid_grant"));
    lab.google.settings(|settings| settings.oauth.rotation = Rotation::Keep);
    assert!(lab.refresh(&second).await.good()["refresh_token"].is_string());
    assert_eq!(lab.refresh(&second).await.status, 200);
}

#[tokio::test]
async fn revoking_takes_everything_back() {
    let lab = Lab::new().await;
    let token = lab.account.refresh_token(&["contacts"]);
    let url = lab.google.endpoints().revoke;
    assert_eq!(lab.form(&url, &[("token", &token)]).await.status, 200);
    assert_eq!(lab.list("").await.error(), (401, "UNAUTHENTICATED"));
    assert_eq!(error(&lab.form(&url, &[("token", &token)]).await), (400, "invalid_token"));
}

#[tokio::test]
async fn the_api_tells_old_tokens_from_narrow_ones() {
    let mut lab = Lab::new().await;
    let narrow = lab.account.access_token(&["contacts.readonly"]);
    lab.google.settings(|settings| settings.oauth.access_seconds = 60);
    let short = lab.account.access_token(&["contacts"]);
    let url = format!("{}/v1/people/me/connections?personFields={FIELDS}", lab.google.url());
    let missing = lab.try_send("GET", &url, &[], String::new()).await.unwrap();
    assert_eq!(missing.error(), (401, "UNAUTHENTICATED"));
    lab.token = short;
    assert_eq!(lab.list("").await.status, 200);
    lab.google.advance(60_000);
    let old = lab.list("").await;
    assert_eq!(old.error(), (401, "UNAUTHENTICATED"));
    assert!(old.message().starts_with("Request had invalid authentication credentials."));

    lab.token = narrow;
    assert_eq!(lab.list("").await.status, 200);
    let refused = lab.post("people:createContact", json!({})).await;
    assert_eq!(refused.error(), (403, "PERMISSION_DENIED"));
    assert_eq!(refused.message(), "Request had insufficient authentication scopes.");
    let info = &refused.body["error"]["details"][0];
    assert_eq!(info["reason"], "ACCESS_TOKEN_SCOPE_INSUFFICIENT");
    assert_eq!(info["metadata"]["method"], "google.people.v1.PeopleService.CreateContact");
    assert!(lab.account.is_empty());
    lab.token = lab.account.access_token(&["openid"]);
    assert_eq!(lab.list("").await.error(), (403, "PERMISSION_DENIED"));
}

#[tokio::test]
async fn service_accounts_act_for_users_who_were_delegated() {
    let key = PublishedKey::new();
    let email = "robot@project.iam.gserviceaccount.com";
    let mut settings = Settings::without_quotas();
    settings.oauth.clients.push(Client::service(email, &key.public_pem(), &[CONTACTS]));
    let lab = Lab::start(settings).await;
    let now = 1_795_161_600;
    let claims = |change: &dyn Fn(&mut Value)| {
        let mut claims = json!({
            "iss": email, "sub": lab.account.email(), "scope": CONTACTS, "aud": "https://oauth2.googleapis.com/token",
            "iat": now, "exp": now + 3600,
        });
        change(&mut claims);
        claims
    };
    let ask = async |assertion: String| {
        lab.token(&[("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", &assertion)]).await
    };
    let good = ask(key.sign(&claims(&|_| {}))).await.good();
    assert_eq!((good.get("refresh_token"), &good["token_type"]), (None, &json!("Bearer")));
    for (change, expected) in [
        ((|claims| claims["sub"] = "nobody@example.com".into()) as fn(&mut Value), (400, "invalid_grant")),
        (
            |claims| claims["scope"] = "https://www.googleapis.com/auth/gmail.readonly".into(),
            (401, "unauthorized_client"),
        ),
        (|claims| claims["aud"] = "https://example.com".into(), (400, "invalid_grant")),
        (|claims| claims["exp"] = json!(1_795_165_201_u64), (400, "invalid_grant")),
        (|claims| claims["iat"] = json!(1_795_161_000_u64), (400, "invalid_grant")),
    ] {
        let claims = claims(&change);
        assert_eq!(error(&ask(key.sign(&claims)).await), expected, "{claims}");
    }
    let forged = key.sign(&claims(&|_| {})) + "AAAA";
    assert_eq!(error(&ask(forged).await), (400, "invalid_grant"));
    lab.google.settings(|settings| {
        for client in &mut settings.oauth.clients {
            if let Kind::Service { scopes, .. } = &mut client.kind {
                scopes.clear();
            }
        }
    });
    let refused = ask(key.sign(&claims(&|_| {}))).await;
    assert_eq!(error(&refused), (401, "unauthorized_client"));
    assert!(refused.text.contains("Client is unauthorized to retrieve access tokens using this method"));
}

#[tokio::test]
async fn the_token_endpoint_fails_in_its_own_words() {
    let lab = Lab::new().await;
    let token = lab.account.refresh_token(&["contacts"]);
    for (fault, expected) in [
        (Fault::Refuse(503), (503, "internal_failure")),
        (Fault::Throttle { status: 429, retry_after: RetryAfter::None }, (429, "rate_limit_exceeded")),
        (Fault::Refuse(400), (400, "invalid_grant")),
    ] {
        lab.google.fault(Match::method("POST").path("/token"), fault);
        assert_eq!(error(&lab.refresh(&token).await), expected);
    }
    lab.google.settings(|settings| settings.oauth.error_subtype = Some("invalid_rapt".to_owned()));
    lab.account.revoke();
    assert_eq!(lab.refresh(&token).await.body["error_subtype"], "invalid_rapt");
}

#[test]
fn the_server_can_be_used_without_sockets() {
    let mut server = Server::new(mock_providers::oauth::Settings::default(), 1);
    let token = server.mint_access("client", "ada.example@gmail.com", &["openid"], 0);
    assert!(server.bearer(&token, 3_599_999).is_some());
    assert!(server.bearer(&token, 3_600_000).is_none());
}
