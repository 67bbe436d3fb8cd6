//! Possible duplicates: records that could be one of several people.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};

use super::caller::Caller;
use super::runs::{Of, accounts};
use super::types::{CandidateShown, DuplicateAnswer, DuplicateShown};
use super::{ApiError, App, show, sync_soon, turns};
use crate::card::normalize::display_name;
use crate::store::AccountState;

pub(super) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(of): Query<Of>,
) -> Result<Json<Vec<DuplicateShown>>, ApiError> {
    let (_, all) = accounts(&app, &caller, of.account.as_deref()).await?;
    let mut rows = Vec::new();
    for account in all.values().filter(|account| account.state != AccountState::Removed) {
        for waiting in app.engine.duplicates(account.id, caller.actor()).await? {
            let candidate = |person| CandidateShown { name: show::name(&person), person: person.id };
            let name = waiting.card.as_ref().and_then(|card| card.display.clone().or_else(|| display_name(card)));
            rows.push(DuplicateShown {
                account: account.id,
                address: account.address.clone(),
                remote: waiting.remote,
                name: name.unwrap_or_else(|| "(no name)".to_owned()),
                card: waiting.card,
                people: waiting.people.into_iter().map(candidate).collect(),
            });
        }
    }
    Ok(Json(rows))
}

pub(super) async fn merge(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(answer): Json<DuplicateAnswer>,
) -> Result<Json<DuplicateAnswer>, ApiError> {
    let account = caller.find_account(&app, &answer.account).await?;
    let person = answer.person.ok_or_else(|| ApiError::Invalid("say which person the record is".to_owned()))?;
    let held = [account.id].into();
    let turn = turns(&app, &held).await?;
    app.engine.merge_duplicate(account.id, &answer.remote, person, caller.actor(), &held).await?;
    drop(turn);
    sync_soon(&app, [account.id], "duplicate merged").await?;
    Ok(Json(answer))
}

pub(super) async fn dismiss(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(answer): Json<DuplicateAnswer>,
) -> Result<Json<DuplicateAnswer>, ApiError> {
    let account = caller.find_account(&app, &answer.account).await?;
    let turn = turns(&app, &[account.id].into()).await?;
    app.engine.dismiss_duplicate(account.id, &answer.remote, answer.person).await?;
    drop(turn);
    sync_soon(&app, [account.id], "duplicate dismissed").await?;
    Ok(Json(answer))
}
