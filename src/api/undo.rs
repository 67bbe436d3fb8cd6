//! Undo, and merging people: shown first, done when it is confirmed.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};

use super::caller::Caller;
use super::types::{MergeAnswer, MergeRequest, MergedLink, UndoAnswer, UndoRequest, UndoShown};
use super::{ApiError, App, show, sync_soon, turns};
use crate::engine::{Merge, Undo, UndoPlan, UndoRow};
use crate::ids::{AccountId, OpId, RunId, Timestamp};
use crate::sync::operation::Actor;

pub(super) async fn undo(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(request): Json<UndoRequest>,
) -> Result<Json<UndoAnswer>, ApiError> {
    let confirm = request.confirm;
    let what = meant(&app, &caller, request).await?;
    let mut plan = app.engine.preview_undo(&what, caller.actor()).await?;
    if confirm {
        plan = carry_out(&app, &caller, &what, plan.touches).await?;
    }
    Ok(Json(shown(plan, confirm)))
}

/// Undoes it, while no run of the accounts that it touches is under way; they are synced soon.
pub(super) async fn carry_out(
    app: &App,
    caller: &Caller,
    what: &Undo,
    touches: BTreeSet<AccountId>,
) -> Result<UndoPlan, ApiError> {
    let turns = turns(app, &touches).await?;
    let plan = Box::pin(app.engine.undo(what, caller.actor(), &touches)).await?;
    drop(turns);
    sync_soon(app, plan.touches.clone(), "undo").await?;
    Ok(plan)
}

fn shown(plan: UndoPlan, done: bool) -> UndoAnswer {
    let row = |row: UndoRow| {
        let UndoRow { person, name, does, here, clashes, notes } = row;
        UndoShown { person, name, does, here, clashes, notes }
    };
    UndoAnswer { done, operation: plan.operation, rows: plan.rows.into_iter().map(row).collect() }
}

/// What is meant, if the caller may undo it: an account's syncs only whoever sees the account.
async fn meant(app: &App, caller: &Caller, request: UndoRequest) -> Result<Undo, ApiError> {
    let UndoRequest { ids, account, since, person, field, confirm: _ } = request;
    match (ids.as_slice(), account, since, person, field) {
        ([], Some(account), Some(since), None, None) => {
            let account = caller.find_account(app, &account).await?;
            Ok(Undo::Since(account.id, time(&since, app.engine.now())?))
        }
        ([], None, None, Some(person), field) => Ok(Undo::Person(person, field)),
        ([one, rest @ ..], None, None, None, None) => {
            let run: RunId = one.parse().map_err(|error| ApiError::Invalid(format!("{error}")))?;
            if rest.is_empty()
                && let Some(first) = app.engine.store().operations(run, None, 1).await?.first()
            {
                if let Actor::Run { account, .. } = first.actor {
                    caller.find_account(app, &account.to_string()).await?;
                }
                return Ok(Undo::Run(run));
            }
            let id = |text: &String| text.parse::<OpId>().map_err(|error| ApiError::Invalid(format!("{error}")));
            Ok(Undo::Operations(ids.iter().map(id).collect::<Result<_, _>>()?))
        }
        _ => {
            let says = "say a run or operation, or --account with --since, or --person with or without --field";
            Err(ApiError::Invalid(says.to_owned()))
        }
    }
}

/// A point in time, or how long ago.
fn time(text: &str, now: Timestamp) -> Result<Timestamp, ApiError> {
    let units = [('s', 1_000), ('m', 60_000), ('h', 3_600_000), ('d', 24 * 3_600_000)];
    let ago = units.iter().find_map(|(unit, millis)| {
        let count: i64 = text.strip_suffix(*unit)?.parse().ok()?;
        count.checked_mul(*millis).filter(|ago| *ago >= 0)
    });
    let at = ago.map(|ago| now.plus(-ago)).or_else(|| text.parse().ok());
    at.ok_or_else(|| {
        ApiError::Invalid(format!("'{text}' is no time: expected such as 2026-11-21T20:40:00Z, or 90m, 2h or 3d ago"))
    })
}

pub(super) async fn merge(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(survivor): Path<String>,
    Json(request): Json<MergeRequest>,
) -> Result<Json<MergeAnswer>, ApiError> {
    let survivor = caller.find_person(&app, &survivor).await?.id;
    let mut merge = app.engine.preview_merge(survivor, request.other, caller.actor()).await?;
    if request.confirm {
        let held = merge.touches;
        let turns = turns(&app, &held).await?;
        merge = Box::pin(app.engine.merge_people(survivor, request.other, caller.actor(), &held)).await?;
        drop(turns);
        sync_soon(&app, merge.touches.clone(), "people merged").await?;
    }
    let mut links = Vec::with_capacity(merge.links.len());
    let seen: BTreeSet<_> = merge.links.iter().map(|(_, account, _)| *account).collect();
    for id in seen {
        let account = app.engine.store().account(id).await?.filter(|account| caller.sees_account(account));
        let address = account.map(|account| account.address).unwrap_or_default();
        let of = merge.links.iter().filter(|(_, account, _)| *account == id);
        links.extend(of.map(|(_, account, state)| MergedLink {
            account: *account,
            address: address.clone(),
            state: *state,
        }));
    }
    let Merge { survivor, other, fields, clashes, custom, dropped, operation, .. } = merge;
    Ok(Json(MergeAnswer {
        done: operation.is_some(),
        operation,
        survivor: show::person(survivor, &caller),
        other: show::person(other, &caller),
        fields,
        clashes,
        custom: custom.into_iter().collect(),
        dropped: dropped.into_iter().map(|user| caller.name_of(user)).collect(),
        links,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_or_counted_back() {
        let now = Timestamp(1_795_293_632_000);
        assert_eq!(time("2h", now).unwrap(), now.plus(-7_200_000));
        assert_eq!(time("3d", now).unwrap(), now.plus(-3 * 86_400_000));
        assert_eq!(time("2026-11-21T20:40:32Z", now).unwrap(), now);
        for wrong in ["", "h", "-2h", "yesterday", "9999999999999999999d"] {
            assert!(time(wrong, now).is_err(), "{wrong}");
        }
    }
}
