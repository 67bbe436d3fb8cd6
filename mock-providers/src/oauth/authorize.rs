//! The page where a user consents (`google.md` 1.2 and 1.3).
//!
//! Owns: what the browser gets. Must not: give a token.

use std::collections::BTreeSet;

use super::{Client, Code, Kind, Method, Server, full_names, one};
use crate::net::{Reply, encode};

impl Server {
    /// Answers the browser: a redirect with a code or an error, or a page.
    pub(crate) fn authorize(&mut self, query: &[(String, String)], now: u64) -> Reply {
        let page = |error: &str, text: &str| Reply::html(400, &format!("Error 400: {error}"), text);
        let Some(client) = one(query, "client_id").and_then(|id| self.client(id)).cloned() else {
            return Reply::html(401, "Error 401: invalid_client", "The OAuth client was not found.");
        };
        if client.deleted {
            return Reply::html(401, "Error 401: deleted_client", "The OAuth client was deleted.");
        }
        let Some(redirect) = one(query, "redirect_uri").filter(|uri| may_redirect(&client, uri)) else {
            return page("redirect_uri_mismatch", "The redirect URI in the request does not match a registered one.");
        };
        if one(query, "response_type") != Some("code") {
            return page("unsupported_response_type", "Only response_type=code is served.");
        }
        let asked = full_names(one(query, "scope").unwrap_or_default().split_whitespace());
        if asked.is_empty() {
            return page("invalid_request", "Missing required parameter: scope");
        }
        if let Some(unknown) = asked.iter().find(|scope| !self.settings.scopes.contains(*scope)) {
            return page("invalid_scope", &format!("Some requested scopes were invalid: {unknown}"));
        }
        let challenge = match (one(query, "code_challenge"), one(query, "code_challenge_method")) {
            (None, _) if self.settings.require_pkce => return page("invalid_request", "Missing code_challenge"),
            (None, _) => None,
            // 43 letters are the 32 octets of the hash (RFC 7636 §4.2).
            (Some(code), Some("S256")) if code.len() == 43 => Some((Method::S256, code.to_owned())),
            (Some(code), None | Some("plain")) => Some((Method::Plain, code.to_owned())),
            (Some(_), _) => return page("invalid_request", "Invalid code_challenge or code_challenge_method"),
        };
        let consent = &self.settings.consent;
        if let Some(error) = &consent.page_error {
            return Reply::html(403, &format!("Error 403: {error}"), "Access blocked.");
        }
        let answer = one(query, "mock_answer");
        if !consent.auto_approve && answer.is_none() {
            return ask(query);
        }
        let state = one(query, "state").map(|state| format!("&state={}", encode(state))).unwrap_or_default();
        let joint = if redirect.contains('?') { '&' } else { '?' };
        let back = |text: String| Reply::empty(302).with("location", format!("{redirect}{joint}{text}{state}"));
        let refused = consent.deny.clone().or_else(|| (answer == Some("deny")).then(|| "access_denied".to_owned()));
        if let Some(error) = refused {
            return back(format!("error={}", encode(&error)));
        }
        let who = consent.user.as_deref().or_else(|| one(query, "login_hint"));
        let user = match who {
            Some(email) => self.user(email),
            None => self.settings.users.first(),
        };
        let Some(user) = user.map(|user| user.email.clone()) else {
            return page("invalid_request", "There is no such user.");
        };
        let mut scopes: BTreeSet<String> = match &consent.grant_only {
            Some(only) => asked.intersection(&full_names(only.iter().map(String::as_str))).cloned().collect(),
            None => asked,
        };
        let before = self.granted.entry((client.id.clone(), user.clone())).or_default();
        let first = before.is_empty();
        before.extend(scopes.iter().cloned());
        if one(query, "include_granted_scopes") == Some("true") {
            scopes.extend(before.iter().cloned());
        }
        let offline = one(query, "access_type") == Some("offline");
        let again = one(query, "prompt").is_some_and(|prompt| prompt.split(' ').any(|word| word == "consent"));
        let desktop = client.kind == Kind::Desktop && self.settings.desktop_always_refreshes;
        let refresh = (desktop || (offline && (first || again))) && !self.settings.withhold_refresh;
        let listed = encode(&scopes.iter().cloned().collect::<Vec<_>>().join(" "));
        let code = self.random("4/0", 4);
        let until = now + self.settings.code_seconds * 1000;
        let (redirect_uri, nonce) = (redirect.to_owned(), one(query, "nonce").map(str::to_owned));
        let grant = Code { client: client.id, user, redirect_uri, scopes, challenge, nonce, refresh, until };
        self.codes.insert(code.clone(), grant);
        back(format!("code={}&scope={listed}", encode(&code)))
    }

    pub(super) fn client(&self, id: &str) -> Option<&Client> {
        self.settings.clients.iter().find(|client| client.id == id)
    }
}

/// The page with the two links.
fn ask(query: &[(String, String)]) -> Reply {
    let asked: Vec<String> = query.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    let link = |answer: &str| format!("<a href=\"?{}&amp;mock_answer={answer}\">{answer}</a>", asked.join("&amp;"));
    Reply::html(200, "Consent", &format!("An application wants access. {} {}", link("allow"), link("deny")))
}

/// Whether a client may be redirected there: an installed one to any port of the loopback addresses, another one exactly
/// to what it has registered.
fn may_redirect(client: &Client, uri: &str) -> bool {
    match client.kind {
        Kind::Desktop => loopback(uri),
        Kind::Web => client.redirect_uris.iter().any(|known| known == uri),
        Kind::Service { .. } => false,
    }
}

/// Whether an address is `http` on a loopback address, with or without a port (RFC 8252 §7.3).
fn loopback(uri: &str) -> bool {
    let Some(rest) = uri.strip_prefix("http://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    ["127.0.0.1", "[::1]", "localhost"].iter().any(|host| {
        authority.strip_prefix(host).is_some_and(|port| {
            port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::loopback;

    #[test]
    fn only_loopback_addresses_are_loopback() {
        for good in ["http://127.0.0.1:8080/cb", "http://[::1]:1/", "http://127.0.0.1", "http://localhost:9?x"] {
            assert!(loopback(good), "{good}");
        }
        for bad in ["https://127.0.0.1/", "http://127.0.0.1.example.com/", "http://127.0.0.1:x/", "http://10.0.0.1/"] {
            assert!(!loopback(bad), "{bad}");
        }
    }
}
