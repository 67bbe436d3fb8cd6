//! Signing in at a provider itself: beginning, the answer that a command brings, and the address that browsers come back to.
//!
//! Who begins it is checked like who adds an account. Who comes back to [`callback`] is not: there the state in the address,
//! which only whoever was sent can know, says which sign-in it is.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use super::accounts::{self, added};
use super::caller::Caller;
use super::types::{AccountAdded, CameBack, NewSignIn, SignInShown};
use super::{ApiError, App};
use crate::engine::connect::sign_in::{Ask, Begun, Sent, SignInError};
use crate::engine::connect::{Added, ConnectError, Wanted};

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

/// Where a browser comes back to the daemon's own address.
pub(super) async fn callback(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> Response {
    match Box::pin(app.connector.came_back(&query.unwrap_or_default())).await {
        Ok(added) => {
            app.schedule.changed();
            let says = format!("{} is connected. You can close this window.", added.account.address);
            page(StatusCode::OK, "Signed in", &says)
        }
        Err(error) => page(StatusCode::BAD_REQUEST, "Not signed in", &format!("{error}.")),
    }
}

/// A page without anything that could be loaded, kept, or told on.
fn page(status: StatusCode, title: &str, says: &str) -> Response {
    let safe = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    let (title, says) = (safe(title), safe(says));
    let html = format!("<!doctype html><meta charset=\"utf-8\"><title>{title}</title><h1>{title}</h1><p>{says}</p>\n");
    let headers: [(HeaderName, &str); 5] = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, html).into_response()
}
