//! IO. The control API: HTTP with JSON, over the Unix socket; on TCP for now only health, metrics and a user's way through a
//! sign-in.
//!
//! Owns: the routers, who may call ([`caller`]), and answers that come while something is done ([`live`]). Must not: know a
//! provider; decide what a rule or the access policy decides. A resource is one file here and its lines in [`router`].

mod accounts;
pub mod caller;
mod conflicts;
mod duplicates;
mod error;
mod history;
mod live;
mod people;
mod runs;
mod show;
mod sign_in;
mod status;
mod trash;
pub mod types;
mod undo;
mod users;
mod why;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn;
use axum::routing::{get, patch, post, put};

pub use error::ApiError;

use crate::crm::edition::Edition;
use crate::engine::Engine;
use crate::engine::connect::Connector;
use crate::engine::connect::browser::START;
use crate::engine::connect::sign_in::CALLBACK;
use crate::engine::schedule::{Schedule, Turn};
use crate::ids::AccountId;
use crate::store::AccountState;
use crate::sync::settings::GuardSettings;

/// No form that is sent here is larger.
const LARGEST_FORM: usize = 4096;

/// What all handlers share.
pub struct App {
    /// The engine, and by it the store.
    pub engine: Arc<Engine>,
    /// Accounts come and go by it.
    pub connector: Arc<Connector>,
    /// Runs are asked of it.
    pub schedule: Schedule,
    /// What the company may choose.
    pub edition: Edition,
    /// When deletions are held, for new accounts.
    pub guard: GuardSettings,
    /// Whether the daemon is up and not about to stop.
    pub ready: AtomicBool,
}

/// Everything, for the control socket: the listener must give [`caller::Peer`] as connect info.
pub fn router(app: Arc<App>) -> Router {
    let v1 = Router::new()
        .route("/users", get(users::list).post(users::add))
        .route("/users/{user}", get(users::show).patch(users::edit))
        .route("/roles", get(users::roles).post(users::add_role))
        .route("/accounts", get(accounts::list).post(accounts::add))
        .route("/accounts/{account}", get(accounts::show).patch(accounts::set).delete(accounts::remove))
        .route("/accounts/{account}/start", post(accounts::start))
        .route("/accounts/{account}/pause", post(accounts::pause))
        .route("/accounts/{account}/resume", post(accounts::resume))
        .route("/accounts/{account}/groups", get(accounts::groups))
        .route("/accounts/{account}/mapping", get(accounts::mapping))
        .route("/accounts/{account}/preview", post(accounts::preview))
        .route("/accounts/{account}/refresh", post(accounts::refresh))
        .route("/accounts/{account}/verify", post(accounts::verify))
        .route("/accounts/{account}/trial", post(status::trial))
        .route("/sign-ins", post(sign_in::begin))
        .route("/sign-ins/{id}", get(sign_in::outcome).post(sign_in::finish))
        .route("/refresh", post(accounts::refresh_all))
        .route("/status", get(status::status))
        .route("/doctor", get(status::doctor))
        .route("/keys/rotate", post(status::rotate))
        .route("/runs", get(runs::list))
        .route("/runs/{run}", get(runs::show))
        .route("/held", get(runs::held).post(runs::answer))
        .route("/conflicts", get(conflicts::list))
        .route("/conflicts/{conflict}", get(conflicts::show))
        .route("/conflicts/{conflict}/resolve", post(conflicts::resolve))
        .route("/duplicates", get(duplicates::list))
        .route("/duplicates/merge", post(duplicates::merge))
        .route("/duplicates/dismiss", post(duplicates::dismiss))
        .route("/undo", post(undo::undo))
        .route("/why/{subject}", get(why::why))
        .route("/trash", get(trash::list))
        .route("/trash/restore", post(trash::restore))
        .route("/trash/purge", post(trash::purge))
        .route("/people", get(people::list).post(people::add))
        .route("/people/{person}", patch(people::edit).get(people::show).delete(people::trash))
        .route("/people/{person}/restore", post(people::restore))
        .route("/people/{person}/history", get(history::of_person))
        .route("/people/{person}/merge", post(undo::merge))
        .route("/people/{person}/resume", post(people::resume))
        .route("/people/{person}/followers/{user}", put(people::follow).delete(people::unfollow))
        .fallback(nothing_there);
    Router::new().nest("/api/v1", v1).layer(from_fn(caller::only_root_or_us)).merge(health()).with_state(app)
}

/// What may be asked over TCP: whether we live, whether we are ready, and counts; and where users go and come back to
/// who sign in at a provider.
pub fn open_router(app: Arc<App>) -> Router {
    health()
        .route(CALLBACK, get(sign_in::callback))
        .route(&format!("{START}{{ticket}}"), get(sign_in::start).post(sign_in::go_on))
        .layer(DefaultBodyLimit::max(LARGEST_FORM))
        .with_state(app)
}

fn health() -> Router<Arc<App>> {
    Router::new()
        .route("/healthz", get(status::healthz))
        .route("/readyz", get(status::readyz))
        .route("/metrics", get(status::metrics))
}

/// Waits until none of these accounts runs, and holds them.
async fn turns(app: &App, accounts: &BTreeSet<AccountId>) -> Result<Vec<Turn>, ApiError> {
    let mut held = Vec::with_capacity(accounts.len());
    // In order, so that two who want the same ones don't wait for each other.
    for account in accounts {
        held.push(app.schedule.turn(*account, false).await?);
    }
    Ok(held)
}

/// Syncs those of these accounts that are active, so that what was done by hand goes on from there.
async fn sync_soon(
    app: &App,
    accounts: impl IntoIterator<Item = AccountId>,
    trigger: &'static str,
) -> Result<(), ApiError> {
    for account in accounts {
        if app.engine.store().account(account).await?.is_some_and(|account| account.state == AccountState::Active) {
            app.schedule.sync_soon(account, trigger);
        }
    }
    Ok(())
}

async fn nothing_there() -> ApiError {
    ApiError::NotFound("there is nothing at this address; the daemon may be older than this command".to_owned())
}
