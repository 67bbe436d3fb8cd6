//! The back door over HTTP, under `/_control/` on the origin of the People API, for use by hand and by other languages.
//!
//! Owns: JSON in and out. Must not: do more than the handle and [`Account`] can. No password is asked for: it is a mock.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::account::{Account, NoSuch};
use super::server::{Shared, endpoints};
use crate::faults::Rule;
use crate::journal::{Mark, Record};

type Back = State<Arc<Shared>>;

/// What one can ask for.
const HELP: &str = "\
GET    /_control/                        this page
GET    /_control/state                   endpoints, clients, accounts
GET    /_control/people?user=            all contacts with all fields
GET    /_control/groups?user=            the labels: resource name and name
POST   /_control/act?user=               one of
         {\"seed\": {\"seed\": 1, \"n\": 100}}
         {\"fill\": 25000}
         {\"add\": {\"names\": [{\"givenName\": \"Ada\"}]}}
         {\"edit\": {\"name\": \"people/c1\", \"changes\": {\"nicknames\": []}}}
         {\"delete\": [\"people/c1\"]}   {\"restore\": \"people/c1\"}   \"empty_trash\"
         {\"merge\": {\"keep\": \"people/c1\", \"lose\": \"people/c2\"}}   {\"rename\": \"people/c1\"}
         {\"photo\": {\"name\": \"people/c1\", \"bytes\": \"base64\"}}
         {\"link_profile\": {\"name\": \"people/c1\", \"profile\": \"10123\", \"fields\": {}}}
         {\"add_group\": \"Friends\"}   {\"rename_group\": {\"group\": \"contactGroups/1\", \"name\": \"x\"}}
         {\"delete_group\": {\"group\": \"contactGroups/1\", \"with_contacts\": false}}
         {\"label\": {\"name\": \"people/c1\", \"group\": \"contactGroups/1\", \"on\": true}}
         {\"access_token\": [\"contacts\"]}   {\"refresh_token\": [\"contacts\"]}   \"revoke\"   \"change_password\"
         \"expire_tokens\"   \"expire_access_tokens\"   {\"advance\": ms}   \"keep_state\"   \"roll_back\"
GET    /_control/settings                all switches
PATCH  /_control/settings                some of them, as {\"reads\": {\"aging\": \"lenient\"}}; lists as a whole
GET    /_control/faults                  rules that wait
POST   /_control/faults                  {\"on\": {\"method\": \"POST\", \"path\": \":createContact\"}, \"fault\": \"cut_after\"}
         faults: cut_before cut_after {error_after: 500} {delay: ms} {refuse: 403} unauthorized html {html_status: 502}
         empty exhausted torn {partial: n} {throttle: {status: 429, retry_after: none | {seconds: 5}}}
         {says: {status: 403, name: PERMISSION_DENIED, reason: SERVICE_DISABLED, message: \"…\"}}
         {redirect: {status: 302, location: url}} no_rows {truncate: n} duplicate_rows omit_rows {row_status: 500}
         no_groups stale_etags no_etags drop_write
DELETE /_control/faults                  heal
GET    /_control/journal?since=n         requests and what they did
Without user= the first account is meant.
";

/// The routes.
pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/_control/", get(|| async { HELP }))
        .route("/_control/state", get(state))
        .route("/_control/people", get(people))
        .route("/_control/groups", get(groups))
        .route("/_control/act", post(act))
        .route("/_control/settings", get(settings).patch(set))
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
    Fill(usize),
    Add(Value),
    Edit { name: String, changes: Value },
    Delete(Vec<String>),
    Restore(String),
    EmptyTrash,
    Merge { keep: String, lose: String },
    Rename(String),
    Photo { name: String, bytes: String },
    LinkProfile { name: String, profile: String, fields: Value },
    AddGroup(String),
    RenameGroup { group: String, name: String },
    DeleteGroup { group: String, with_contacts: bool },
    Label { name: String, group: String, on: bool },
    AccessToken(Vec<String>),
    RefreshToken(Vec<String>),
    Revoke,
    ChangePassword,
    ExpireTokens,
    ExpireAccessTokens,
    Advance(u64),
    KeepState,
    RollBack,
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
        let status = match error {
            NoSuch::Person(_) | NoSuch::Photo => StatusCode::UNPROCESSABLE_ENTITY,
            _ => StatusCode::NOT_FOUND,
        };
        Self(status, error.to_string())
    }
}

fn account(shared: &Arc<Shared>, who: Who) -> Result<Account, Failed> {
    let first = || shared.lock().owners.first().map(|owner| owner.email.clone());
    let user = who.user.or_else(first).ok_or(NoSuch::User)?;
    Ok(Account::new(Arc::clone(shared), &user)?)
}

async fn state(State(shared): Back) -> Json<Value> {
    let mut world = shared.lock();
    let now = world.time.tick();
    let owner = |owner: &super::world::Owner| {
        json!({
            "user": owner.email, "sub": owner.sub, "contacts": owner.book.len(), "groups": owner.groups.len(),
            "revision": owner.book.revision(),
        })
    };
    Json(json!({
        "endpoints": endpoints(&world), "photos": world.photo_url, "requests": world.journal.len(), "now": now,
        "clients": world.oauth.settings.clients, "accounts": world.owners.iter().map(owner).collect::<Vec<_>>(),
    }))
}

async fn people(State(shared): Back, Query(who): Query<Who>) -> Result<Json<Vec<Value>>, Failed> {
    Ok(Json(account(&shared, who)?.people()))
}

async fn groups(State(shared): Back, Query(who): Query<Who>) -> Result<Json<Vec<(String, String)>>, Failed> {
    Ok(Json(account(&shared, who)?.groups()))
}

async fn act(State(shared): Back, Query(who): Query<Who>, Json(act): Json<Act>) -> Result<Json<Value>, Failed> {
    let account = account(&shared, who)?;
    let done = match act {
        Act::Seed { seed, n } => json!({"names": account.seed(seed, n)}),
        Act::Fill(n) => json!({"names": account.fill(n)}),
        Act::Add(person) => json!({"name": account.add(&person)?}),
        Act::Edit { name, changes } => json!(account.edit(&name, &changes)?),
        Act::Delete(names) => json!({"deleted": account.delete_many(names.iter().map(String::as_str))}),
        Act::Restore(name) => json!(account.restore(&name)?),
        Act::EmptyTrash => json!(account.empty_trash()),
        Act::Merge { keep, lose } => json!(account.merge(&keep, &lose)?),
        Act::Rename(name) => json!({"name": account.rename(&name)?}),
        Act::Photo { name, bytes } => {
            let bytes = STANDARD.decode(bytes).map_err(|_| NoSuch::Photo)?;
            json!(account.set_photo(&name, &bytes)?)
        }
        Act::LinkProfile { name, profile, fields } => json!(account.link_profile(&name, &profile, &fields)?),
        Act::AddGroup(name) => json!({"name": account.add_group(&name)}),
        Act::RenameGroup { group, name } => json!(account.rename_group(&group, &name)?),
        Act::DeleteGroup { group, with_contacts } => json!(account.delete_group(&group, with_contacts)?),
        Act::Label { name, group, on } => json!(account.label(&name, &group, on)?),
        Act::AccessToken(scopes) => json!({"token": account.access_token(&words(&scopes))}),
        Act::RefreshToken(scopes) => json!({"token": account.refresh_token(&words(&scopes))}),
        Act::Revoke => json!(account.revoke()),
        Act::ChangePassword => json!(account.change_password()),
        Act::ExpireTokens => json!(account.expire_tokens()),
        Act::ExpireAccessTokens => json!(shared.lock().oauth.expire_access()),
        Act::Advance(millis) => json!(shared.lock().time.advance(millis)),
        Act::KeepState => json!(account.keep_state()),
        Act::RollBack => json!(account.roll_back()?),
    };
    Ok(Json(done))
}

async fn settings(State(shared): Back) -> Json<super::Settings> {
    Json(shared.lock().settings.clone())
}

async fn set(State(shared): Back, Json(changes): Json<Value>) -> Result<StatusCode, Failed> {
    let failed = |error: serde_json::Error| Failed(StatusCode::UNPROCESSABLE_ENTITY, error.to_string());
    let mut world = shared.lock();
    let mut whole = serde_json::to_value(&world.settings).map_err(failed)?;
    lay_over(&mut whole, changes);
    world.settings = serde_json::from_value(whole).map_err(failed)?;
    world.oauth.settings = world.settings.oauth.clone();
    Ok(StatusCode::NO_CONTENT)
}

fn words(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

/// Lays changes over settings: objects member by member, everything else as a whole.
fn lay_over(whole: &mut Value, changes: Value) {
    match (whole, changes) {
        (Value::Object(members), Value::Object(changes)) => {
            for (name, change) in changes {
                lay_over(members.entry(name).or_insert(Value::Null), change);
            }
        }
        (whole, change) => *whole = change,
    }
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
