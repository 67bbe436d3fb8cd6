//! The back door over HTTP, under `/_control/` on the entry origin, for use by hand and by other languages.
//!
//! Owns: JSON in and out. Must not: do more than the handle and [`Device`] can. No password is asked for: it is a mock.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::device::{Device, NoSuch};
use super::server::{Shared, move_partition};
use super::world::{Moved, World};
use crate::faults::Rule;
use crate::journal::{Mark, Record};

type Back = State<Arc<Shared>>;

/// What one can ask for.
const HELP: &str = "\
GET    /_control/                        this page
GET    /_control/state                   origins, accounts, number of cards
GET    /_control/cards?user=             names, UIDs, etags
POST   /_control/cards?user=             a vCard as body: add as a device
GET    /_control/cards/{name}?user=      one card
PUT    /_control/cards/{name}?user=      a vCard as body: add or replace
DELETE /_control/cards/{name}?user=      remove
POST   /_control/act?user=               one of
         {\"seed\": {\"seed\": 1, \"n\": 100}}
         {\"group\": {\"uid\": \"…\", \"title\": \"…\", \"members\": [\"uid\"]}}
         {\"delete_many\": [\"name\"]}
         {\"password\": \"new\"}   \"revoke_password\"
         \"expire_tokens\"   \"forget_deletions\"   \"keep_state\"   \"roll_back\"
         {\"move_partition\": \"misdirected\" | \"redirect\" | \"not_found\" | \"closed\"}
GET    /_control/faults                  rules that wait
POST   /_control/faults                  {\"on\": {\"method\": \"PUT\", \"path\": \"/card/\"}, \"times\": 1, \"fault\": \"cut_after\"}
         faults: cut_before cut_after {error_after: 500} {delay: ms} {refuse: 403} unauthorized html empty no_rows
         {redirect: {status: 302, location: url}} {row_status: 500} stray_row doctype
         {throttle: {status: 503, retry_after: none | {seconds: 5} | {date: 5}}} {truncate: n} duplicate_rows
         omit_missing omit_rows no_groups stale_etags no_etags drop_write torn
DELETE /_control/faults                  heal
GET    /_control/journal?since=n         requests and what they did
Without user= the first account is meant.
";

/// The routes.
pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/_control/", get(|| async { HELP }))
        .route("/_control/state", get(state))
        .route("/_control/cards", get(list).post(add))
        .route("/_control/cards/{name}", get(show).put(store).delete(remove))
        .route("/_control/act", post(act))
        .route("/_control/faults", get(waiting).post(lay).delete(heal))
        .route("/_control/journal", get(journal))
        .with_state(shared)
}

#[derive(Debug, Deserialize)]
struct Who {
    user: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Since {
    #[serde(default)]
    since: usize,
}

/// What can be done by one POST.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Act {
    Seed { seed: u64, n: usize },
    Group { uid: String, title: String, members: Vec<String> },
    DeleteMany(Vec<String>),
    Password(String),
    RevokePassword,
    ExpireTokens,
    ForgetDeletions,
    KeepState,
    RollBack,
    MovePartition(Moved),
}

/// An error of the back door, as text.
struct Failed(StatusCode, String);

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        (self.0, self.1 + "\n").into_response()
    }
}

impl From<NoSuch> for Failed {
    fn from(error: NoSuch) -> Self {
        Self(StatusCode::NOT_FOUND, error.to_string())
    }
}

fn device(shared: &Arc<Shared>, who: Who) -> Result<Device, Failed> {
    let first = || shared.lock().owners.first().map(|owner| owner.login.user.clone());
    let user = who.user.or_else(first).ok_or(NoSuch::User)?;
    Ok(Device::new(Arc::clone(shared), &user)?)
}

async fn state(State(shared): Back) -> Json<Value> {
    let world = shared.lock();
    let account = |owner: &super::world::Owner| {
        let partition = &world.partitions[owner.partition];
        json!({
            "user": owner.login.user, "dsid": owner.login.dsid, "cards": owner.book.len(),
            "revision": owner.book.revision(), "partition": partition.url, "partition_number": partition.number,
        })
    };
    Json(json!({
        "entry": world.entry_url, "photo": world.photo_url, "requests": world.journal.len(),
        "accounts": world.owners.iter().map(account).collect::<Vec<_>>(),
    }))
}

async fn list(State(shared): Back, Query(who): Query<Who>) -> Result<Json<Value>, Failed> {
    let device = device(&shared, who)?;
    let row = |entry: &crate::book::Entry| {
        let known = World::read(&entry.content);
        json!({"name": entry.id, "uid": known.uid, "fn": known.formatted, "group": known.is_group, "etag": entry.etag})
    };
    Ok(Json(device.book(|book| book.entries().map(row).collect())))
}

async fn add(State(shared): Back, Query(who): Query<Who>, card: bytes::Bytes) -> Result<Json<Value>, Failed> {
    Ok(Json(json!({"name": device(&shared, who)?.add(card)})))
}

async fn show(
    State(shared): Back,
    Path(name): Path<String>,
    Query(who): Query<Who>,
) -> Result<impl IntoResponse, Failed> {
    Ok(device(&shared, who)?.card(&name).ok_or(NoSuch::Card)?)
}

async fn store(
    State(shared): Back,
    Path(name): Path<String>,
    Query(who): Query<Who>,
    card: bytes::Bytes,
) -> Result<StatusCode, Failed> {
    device(&shared, who)?.add_as(&name, card);
    Ok(StatusCode::NO_CONTENT)
}

async fn remove(State(shared): Back, Path(name): Path<String>, Query(who): Query<Who>) -> Result<StatusCode, Failed> {
    device(&shared, who)?.delete(&name)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn act(State(shared): Back, Query(who): Query<Who>, Json(act): Json<Act>) -> Result<Json<Value>, Failed> {
    let device = device(&shared, who)?;
    let done = match act {
        Act::Seed { seed, n } => json!({"names": device.seed(seed, n)}),
        Act::Group { uid, title, members } => {
            let members: Vec<&str> = members.iter().map(String::as_str).collect();
            json!({"name": device.add_group(&uid, &title, &members)})
        }
        Act::DeleteMany(names) => json!({"deleted": device.delete_many(names)}),
        Act::Password(password) => {
            device.set_password(&password);
            Value::Null
        }
        Act::RevokePassword => {
            device.revoke_password();
            Value::Null
        }
        Act::ExpireTokens => {
            device.expire_tokens();
            Value::Null
        }
        Act::ForgetDeletions => {
            device.forget_deletions();
            Value::Null
        }
        Act::KeepState => {
            device.keep_state();
            Value::Null
        }
        Act::RollBack => {
            device.roll_back()?;
            Value::Null
        }
        Act::MovePartition(moved) => {
            let url = move_partition(&shared, &device.user(), moved).await;
            let failed = |error: std::io::Error| Failed(StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
            json!({"partition": url.map_err(failed)?})
        }
    };
    Ok(Json(done))
}

async fn waiting(State(shared): Back) -> Json<Vec<Rule>> {
    Json(shared.lock().faults.waiting().cloned().collect())
}

async fn lay(State(shared): Back, Json(rule): Json<Rule>) -> StatusCode {
    shared.lock().faults.lay(rule);
    StatusCode::NO_CONTENT
}

async fn heal(State(shared): Back) -> StatusCode {
    shared.lock().faults.heal();
    StatusCode::NO_CONTENT
}

async fn journal(State(shared): Back, Query(Since { since }): Query<Since>) -> Json<Vec<Record>> {
    Json(shared.lock().journal.since(Mark::from(since)).cloned().collect())
}
