//! Signing in at a provider itself: beginning, the answer that a command brings, and the address that browsers come back to.
//!
//! Who begins it is checked like who adds an account. Who comes to [`start`] and back to [`callback`] is not: they are nobody
//! here. The ticket and the state in the addresses say which sign-in it is, and a cookie that it is the same browser.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use super::accounts::{self, added};
use super::caller::Caller;
use super::types::{AccountAdded, CameBack, NewSignIn, SignInShown};
use super::{ApiError, App};
use crate::engine::connect::browser::Opened;
use crate::engine::connect::sign_in::{Ask, Begun, Sent, SignInError};
use crate::engine::connect::{Added, ConnectError, Wanted};
use crate::secret::Secret;

pub(super) async fn begin(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(new): Json<NewSignIn>,
) -> Result<Json<SignInShown>, ApiError> {
    let user = accounts::new_owner(&caller, &new.user)?;
    let NewSignIn { email, provider, redirect, direction, .. } = new;
    let mut defaults = accounts::defaults(&app);
    defaults.direction = direction.unwrap_or(defaults.direction);
    let wanted = Wanted { address: email, kind: provider, ..Wanted::default() };
    Ok(Json(match Box::pin(app.connector.begin(Ask { user, wanted, redirect, defaults })).await? {
        Begun::Password => SignInShown::Password,
        Begun::Browser(Sent { id, url, redirect, until }) => SignInShown::Browser { id, url, redirect, until },
        Begun::Added(done) => SignInShown::Added { added: added(&app, &caller, *done).await },
    }))
}

pub(super) async fn finish(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Json(back): Json<CameBack>,
) -> Result<Json<AccountAdded>, ApiError> {
    may(&app, &caller, id)?;
    let done = Box::pin(app.connector.finish(id, &back.redirected)).await?;
    Ok(Json(added(&app, &caller, done).await))
}

/// Waits until it has ended, wherever the user comes back.
pub(super) async fn outcome(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<Json<AccountAdded>, ApiError> {
    may(&app, &caller, id)?;
    let done: Added = app.connector.outcome(id).await?.map_err(ApiError::NeedsPerson)?;
    Ok(Json(added(&app, &caller, done).await))
}

/// Whose sign-in it is, or an administrator.
fn may(app: &App, caller: &Caller, id: Uuid) -> Result<(), ApiError> {
    match app.connector.asked_by(id) {
        Some(user) if caller.is_admin() || caller.user == Some(user) => Ok(()),
        _ => Err(ConnectError::SignIn(SignInError::Unknown).into()),
    }
}

/// Where the link leads that a sign-in begins by: says what it is about, and gives the browser the cookie by which it is known
/// again. Looking alone takes nothing up, since what shows previews of links looks, too.
pub(super) async fn start(State(app): State<Arc<App>>, Path(ticket): Path<String>, headers: HeaderMap) -> Response {
    let opened = match app.connector.opened(&ticket, |id, secure| kept(&headers, &cookie(id, secure))).await {
        Ok(opened) => opened,
        Err(error) => return not_signed_in(&error),
    };
    let Opened { id, browser, proof, secure, lasts, issuer, address, user, write } = opened;
    let does = if write { "read them, and write changes to them" } else { "read them" };
    let (address, user) = (safe(&address), safe(&user));
    let body = format!(
        "<p>The contacts of <b>{address}</b> at {issuer} are about to be connected for <b>{user}</b>. contactd will {does}.</p>\n\
         <p>If that is not you, or you did not ask for it, close this window.</p>\n\
         <form method=\"post\"><input type=\"hidden\" name=\"shown\" value=\"{proof}\">\
         <button>Sign in at {issuer}</button></form>"
    );
    let mut page = html(StatusCode::OK, "Connect a mailbox", &body);
    // For this sign-in alone. Lax: it is wanted when the provider sends the browser back. The name's prefix keeps neighbours
    // under the same domain from setting it (RFC 6265bis, section 4.1.3), and wants this path.
    let (name, value, tls) = (cookie(id, secure), browser.expose(), if secure { "; Secure" } else { "" });
    let set = format!("{name}={value}; Path=/; Max-Age={}; HttpOnly; SameSite=Lax{tls}", lasts / 1000);
    if let Ok(mut set) = HeaderValue::try_from(set) {
        set.set_sensitive(true);
        page.headers_mut().insert(header::SET_COOKIE, set);
    }
    page
}

/// Its user goes on to the provider.
pub(super) async fn go_on(
    State(app): State<Arc<App>>,
    Path(ticket): Path<String>,
    headers: HeaderMap,
    form: Bytes,
) -> Response {
    let shown =
        url::form_urlencoded::parse(&form).find(|(name, _)| name == "shown").map(|(_, shown)| shown.into_owned());
    let shown = shown.unwrap_or_default();
    match app.connector.went_on(&ticket, &shown, |id, secure| kept(&headers, &cookie(id, secure))) {
        Ok(to) => {
            let mut page = html(StatusCode::SEE_OTHER, "Sign in", "");
            if let Ok(to) = HeaderValue::try_from(to.as_str()) {
                page.headers_mut().insert(header::LOCATION, to);
            }
            page
        }
        Err(error) => not_signed_in(&error),
    }
}

/// Where a browser comes back to the daemon's own address.
pub(super) async fn callback(State(app): State<Arc<App>>, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    let kept = |id, secure| kept(&headers, &cookie(id, secure));
    match Box::pin(app.connector.came_back(&query.unwrap_or_default(), kept)).await {
        Ok(added) => {
            app.schedule.changed();
            let says = format!("{} is connected. You can close this window.", added.account.address);
            html(StatusCode::OK, "Signed in", &format!("<p>{}</p>", safe(&says)))
        }
        Err(error) => not_signed_in(&error),
    }
}

/// The cookie by which the browser is known again that a sign-in was begun in.
fn cookie(id: Uuid, secure: bool) -> String {
    format!("{}contactd-{}", if secure { "__Host-" } else { "" }, id.simple())
}

/// What the browser keeps under that name. Two of them are none: one is not from us.
fn kept(headers: &HeaderMap, name: &str) -> Option<Secret> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
    let pairs = all.flat_map(|cookies| cookies.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
    let mut ours = pairs.filter(|(other, _)| *other == name).map(|(_, value)| Secret::from(value));
    let kept = ours.next()?;
    ours.next().is_none().then_some(kept)
}

fn not_signed_in(error: &ConnectError) -> Response {
    // Whoever loads the last page again has not lost anything.
    let title = match error {
        ConnectError::SignIn(SignInError::Ended) => "Nothing to sign in to",
        _ => "Not signed in",
    };
    html(StatusCode::BAD_REQUEST, title, &format!("<p>{}.</p>", safe(&error.to_string())))
}

fn safe(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A page without anything that could be loaded, kept, framed, or told on. Where its form may lead is not said: browsers would
/// hold the whole way to the provider, and on to a domain's own sign-in, against it.
fn html(status: StatusCode, title: &str, body: &str) -> Response {
    let html = format!("<!doctype html><meta charset=\"utf-8\"><title>{title}</title><h1>{title}</h1>{body}\n");
    let headers: [(HeaderName, &str); 5] = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, html).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_the_one_of_that_name() {
        let table: [(&[&str], Option<&str>); 7] = [
            (&[], None),
            (&["a=b"], None),
            (&["a=b; ours=geheim;c=d"], Some("geheim")),
            (&["a=b", "ours=geheim"], Some("geheim")),
            (&["notours=x; ours=geheim=="], Some("geheim==")),
            (&["ours=geheim; ours=other"], None),
            (&["ours=geheim", "ours=geheim"], None),
        ];
        for (lines, expected) in table {
            let lines = lines.iter().map(|line| (header::COOKIE, HeaderValue::from_static(line)));
            let headers: HeaderMap = lines.collect();
            let all = headers.get_all(header::COOKIE).iter().count();
            assert_eq!(kept(&headers, "ours").as_ref().map(Secret::expose), expected, "{all} {expected:?}");
        }
    }
}
