//! Users and roles.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};

use super::caller::Caller;
use super::types::{NewRole, NewUser, RoleShown, UserShown};
use super::{ApiError, App, show};
use crate::crm::users::{Role, User};
use crate::store::{Change, Commit};

pub(super) async fn list(caller: Caller) -> Json<Vec<UserShown>> {
    let mut all: Vec<UserShown> = caller.directory.users.values().map(|user| show::user(user, &caller)).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Json(all)
}

pub(super) async fn show(caller: Caller, Path(user): Path<String>) -> Result<Json<UserShown>, ApiError> {
    Ok(Json(show::user(caller.find_user(&user)?, &caller)))
}

pub(super) async fn add(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(new): Json<NewUser>,
) -> Result<Json<UserShown>, ApiError> {
    caller.must_be_admin()?;
    let (name, email) = (new.name.trim().to_owned(), new.email.trim().to_owned());
    if name.is_empty() || !email.contains('@') {
        return Err(ApiError::Invalid("a user needs a name and an e-mail address".to_owned()));
    }
    if caller.directory.users.values().any(|user| user.email.eq_ignore_ascii_case(&email)) {
        return Err(ApiError::Conflict(format!("there is a user with the address {email} already")));
    }
    let role = new.role.map(|role| caller.find_role(&role).map(|role| role.id)).transpose()?;
    let user = User {
        id: app.engine.new_id(),
        name,
        email,
        role,
        admin: new.admin,
        restricted: new.restricted,
        sees_followed_users: new.sees_followed_users,
        follows: BTreeSet::new(),
        active: true,
    };
    let mut commit = Commit::new(None, app.engine.now());
    commit.changes.push(Change::PutUser(user.clone()));
    app.engine.store().commit(commit).await?;
    Ok(Json(show::user(&user, &caller)))
}

pub(super) async fn roles(caller: Caller) -> Json<Vec<RoleShown>> {
    let mut all: Vec<RoleShown> = caller.directory.roles.values().map(|role| shown(role, &caller)).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Json(all)
}

pub(super) async fn add_role(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(new): Json<NewRole>,
) -> Result<Json<RoleShown>, ApiError> {
    caller.must_be_admin()?;
    let parent = new.parent.map(|parent| caller.find_role(&parent).map(|role| role.id)).transpose()?;
    let role = Role { id: app.engine.new_id(), name: new.name.trim().to_owned(), parent };
    if role.name.is_empty() {
        return Err(ApiError::Invalid("a role needs a name".to_owned()));
    }
    caller.directory.check_role(&role).map_err(|error| ApiError::Conflict(error.to_string()))?;
    let mut commit = Commit::new(None, app.engine.now());
    commit.changes.push(Change::PutRole(role.clone()));
    app.engine.store().commit(commit).await?;
    Ok(Json(shown(&role, &caller)))
}

fn shown(role: &Role, caller: &Caller) -> RoleShown {
    let parent = role.parent.and_then(|parent| caller.directory.roles.get(&parent)).map(|role| role.name.clone());
    RoleShown { id: role.id, name: role.name.clone(), parent }
}
