//! The trash: who is in it, who comes back, and who goes for good.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};

use super::caller::Caller;
use super::people::{Wanted, list_people, restored};
use super::types::{PersonShown, PurgeAnswer, TrashRequest};
use super::{ApiError, App};

pub(super) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(mut wanted): Query<Wanted>,
) -> Result<Json<Vec<PersonShown>>, ApiError> {
    wanted.trashed = true;
    list_people(&app, &caller, wanted).await
}

pub(super) async fn restore(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(request): Json<TrashRequest>,
) -> Result<Json<Vec<PersonShown>>, ApiError> {
    let mut all = Vec::with_capacity(request.people.len());
    for person in &request.people {
        all.push(restored(&app, &caller, &person.to_string()).await?);
    }
    Ok(Json(all))
}

/// Exactly the listed ones.
pub(super) async fn purge(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(request): Json<TrashRequest>,
) -> Result<Json<PurgeAnswer>, ApiError> {
    let waiting = app.engine.purge_people(&request.people, caller.actor()).await?;
    Ok(Json(PurgeAnswer { purged: request.people.len() - waiting.len(), waiting }))
}
