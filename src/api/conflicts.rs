//! Conflicts: what both sides say, and the choice of one of both values, or one typed in.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};

use super::caller::Caller;
use super::runs::{Of, accounts, name_of};
use super::types::{ConflictShown, Keep, PersonShown, Resolve};
use super::{ApiError, App, show, sync_soon, turns};
use crate::ids::ConflictId;
use crate::store::{Account, Conflict};
use crate::sync::conflict;
use crate::sync::merge::Choice;
use crate::sync::plan::About;

pub(super) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(of): Query<Of>,
) -> Result<Json<Vec<ConflictShown>>, ApiError> {
    let (one, all) = accounts(&app, &caller, of.account.as_deref()).await?;
    let mut rows = Vec::new();
    for conflict in app.engine.store().conflicts(one, of.limit.unwrap_or(200).clamp(1, 1000)).await? {
        let Some(account) = all.get(&conflict.account) else { continue };
        rows.push(shown(&app, &caller, conflict, account).await?);
    }
    Ok(Json(rows))
}

pub(super) async fn shown(
    app: &App,
    caller: &Caller,
    conflict: Conflict,
    account: &Account,
) -> Result<ConflictShown, ApiError> {
    Ok(ConflictShown {
        id: conflict.id,
        account: conflict.account,
        address: account.address.clone(),
        person: conflict.person,
        name: name_of(app, caller, conflict.person).await?,
        at: conflict.at,
        clash: conflict.clash,
    })
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(conflict): Path<String>,
) -> Result<Json<ConflictShown>, ApiError> {
    let (conflict, account) = find(&app, &caller, &conflict).await?;
    Ok(Json(shown(&app, &caller, conflict, &account).await?))
}

pub(super) async fn resolve(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(conflict): Path<String>,
    Json(resolve): Json<Resolve>,
) -> Result<Json<PersonShown>, ApiError> {
    let (conflict, account) = find(&app, &caller, &conflict).await?;
    let choice = match (resolve.keep, resolve.value, conflict.clash.about) {
        (Some(Keep::Crm), None, _) => Choice::Ours,
        (Some(Keep::Provider), None, _) => Choice::Theirs,
        (None, Some(text), About::Field(field)) => {
            Choice::Value(conflict::value(field, &text).map_err(|error| ApiError::Invalid(error.to_string()))?)
        }
        (None, Some(_), _) => Choice::Value(None),
        _ => return Err(ApiError::Invalid("say either --keep provider, --keep crm or --value VALUE".to_owned())),
    };
    let provider = app.connector.open(account.id).await?;
    let held = [account.id].into();
    let turn = turns(&app, &held).await?;
    let caps = provider.capabilities();
    let resolved = app.engine.resolve_conflict(conflict.id, &choice, caps, caller.actor(), &held);
    let person = Box::pin(resolved).await?;
    drop(turn);
    sync_soon(&app, [account.id], "conflict resolved").await?;
    Ok(Json(show::person(person, &caller)))
}

/// A conflict over a person whom the caller may see, in an account of the caller's.
async fn find(app: &App, caller: &Caller, id: &str) -> Result<(Conflict, Account), ApiError> {
    let missing = || ApiError::NotFound(format!("there is no conflict '{id}'; see `contactd conflicts list`"));
    let id: ConflictId = id.parse().map_err(|error| ApiError::Invalid(format!("{error}")))?;
    let conflict = app.engine.store().conflict(id).await?.ok_or_else(missing)?;
    let account = app.engine.store().account(conflict.account).await?.ok_or_else(missing)?;
    let person = app.engine.store().person(conflict.person).await?.ok_or_else(missing)?;
    if caller.sees_account(&account) && caller.sees(&person) { Ok((conflict, account)) } else { Err(missing()) }
}
