//! Users and roles.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};

use super::caller::Caller;
use super::types::{NewRole, NewUser, RoleShown, UserPatch, UserShown};
use super::{ApiError, App, show};
use crate::crm::users::{Role, User};
use crate::ids::UserId;
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
    check(&caller, None, &name, &email)?;
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

/// Whether a user can be called that.
fn check(caller: &Caller, of: Option<UserId>, name: &str, email: &str) -> Result<(), ApiError> {
    if name.is_empty() || !email.contains('@') {
        return Err(ApiError::Invalid("a user needs a name and an e-mail address".to_owned()));
    }
    let taken = |user: &User| Some(user.id) != of && user.email.eq_ignore_ascii_case(email);
    if caller.directory.users.values().any(taken) {
        return Err(ApiError::Conflict(format!("there is a user with the address {email} already")));
    }
    Ok(())
}

pub(super) async fn edit(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(user): Path<String>,
    Json(patch): Json<UserPatch>,
) -> Result<Json<UserShown>, ApiError> {
    caller.must_be_admin()?;
    let before = caller.find_user(&user)?.clone();
    let UserPatch { name, email, role, admin, restricted, sees_followed_users, active } = patch;
    let role = match role.as_deref() {
        None => before.role,
        Some("") => None,
        Some(role) => Some(caller.find_role(role)?.id),
    };
    let after = User {
        name: name.map_or_else(|| before.name.clone(), |name| name.trim().to_owned()),
        email: email.map_or_else(|| before.email.clone(), |email| email.trim().to_owned()),
        role,
        admin: admin.unwrap_or(before.admin),
        restricted: restricted.unwrap_or(before.restricted),
        sees_followed_users: sees_followed_users.unwrap_or(before.sees_followed_users),
        active: active.unwrap_or(before.active),
        ..before.clone()
    };
    check(&caller, Some(before.id), &after.name, &after.email)?;
    // By a slip nobody locks itself out; whoever may open the control socket can still do it.
    if caller.user == Some(before.id) && !(after.active && after.admin) {
        return Err(ApiError::Conflict("nobody takes the administrator from itself; let another one do it".to_owned()));
    }
    if after != before {
        let mut commit = Commit::new(None, app.engine.now());
        commit.changes.push(Change::PutUser(after.clone()));
        app.engine.store().commit(commit).await?;
        app.schedule.changed();
    }
    Ok(Json(show::user(&after, &caller)))
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
