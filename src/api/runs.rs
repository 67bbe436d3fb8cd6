//! What was done and what waits: runs and held deletions.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Deserialize;

use super::caller::Caller;
use super::history::Told;
use super::types::{HeldAnswer, HeldShown, RunShown};
use super::{ApiError, App, show};
use crate::ids::{AccountId, OpId, PersonId, RunId};
use crate::store::{Account, AccountState, Change, Commit, Run};
use crate::sync::view::Answer;

/// Which account, and how many.
#[derive(Deserialize)]
pub(super) struct Of {
    pub(super) account: Option<String>,
    pub(super) limit: Option<usize>,
}

/// After which operation, and how many.
#[derive(Deserialize)]
pub(super) struct Page {
    after: Option<OpId>,
    limit: Option<usize>,
}

/// The accounts that the caller sees, by id: one, or all.
pub(super) async fn accounts(
    app: &App,
    caller: &Caller,
    account: Option<&str>,
) -> Result<(Option<AccountId>, BTreeMap<AccountId, Account>), ApiError> {
    if let Some(name) = account {
        let account = caller.find_account(app, name).await?;
        return Ok((Some(account.id), BTreeMap::from([(account.id, account)])));
    }
    let all = app.engine.store().accounts().await?;
    Ok((None, all.into_iter().filter(|a| caller.sees_account(a)).map(|a| (a.id, a)).collect()))
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(of): Query<Of>,
) -> Result<Json<Vec<RunShown>>, ApiError> {
    let (one, all) = accounts(&app, &caller, of.account.as_deref()).await?;
    let runs = app.engine.store().runs(one, None, of.limit.unwrap_or(20).clamp(1, 1000)).await?;
    Ok(Json(runs.into_iter().filter_map(|run| shown(run, &all)).collect()))
}

fn shown(run: Run, accounts: &BTreeMap<AccountId, Account>) -> Option<RunShown> {
    Some(RunShown {
        address: accounts.get(&run.account)?.address.clone(),
        id: run.id,
        account: run.account,
        started: run.started,
        ended: run.ended,
        trigger: run.trigger,
        tally: show::tally(run.tally),
        error: run.error,
        operations: Vec::new(),
        history: Vec::new(),
        more_after: None,
    })
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(run): Path<String>,
    Query(of): Query<Page>,
) -> Result<Json<RunShown>, ApiError> {
    let id: RunId = run.parse().map_err(|error| ApiError::Invalid(format!("{error}")))?;
    let (_, all) = accounts(&app, &caller, None).await?;
    // Runs are few next to what they do; there is no look-up by id.
    let mut before = None;
    loop {
        let page = app.engine.store().runs(None, before, 500).await?;
        let Some(last) = page.last() else {
            return Err(ApiError::NotFound(format!("there is no run {id}; see `contactd runs list`")));
        };
        before = Some(last.id);
        if let Some(run) = page.into_iter().find(|run| run.id == id).and_then(|run| shown(run, &all)) {
            let limit = of.limit.unwrap_or(1000).clamp(1, 1000);
            let mut operations = app.engine.store().operations(id, of.after, limit + 1).await?;
            let more = operations.len() > limit;
            operations.truncate(limit);
            let more_after = operations.last().map(|operation| operation.id).filter(|_| more);
            let mut told = Told::new(&app, &caller).await?;
            let (mut seen, mut history) = (Vec::new(), Vec::new());
            for operation in operations {
                let operation = told.visible(operation).await?;
                history.push(told.row(&operation).await?);
                seen.push(operation);
            }
            return Ok(Json(RunShown { operations: seen, history, more_after, ..run }));
        }
    }
}

/// The person's name, if the caller may see it.
pub(super) async fn name_of(app: &App, caller: &Caller, person: PersonId) -> Result<String, ApiError> {
    let person = app.engine.store().person(person).await?.filter(|person| caller.sees(person));
    Ok(person.map_or_else(|| "(not visible)".to_owned(), |person| show::name(&person)))
}

pub(super) async fn held(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(of): Query<Of>,
) -> Result<Json<Vec<HeldShown>>, ApiError> {
    let (one, all) = accounts(&app, &caller, of.account.as_deref()).await?;
    let mut rows = Vec::new();
    for held in app.engine.store().held(one).await? {
        let Some(account) = all.get(&held.account) else { continue };
        rows.push(HeldShown {
            id: held.id,
            account: held.account,
            address: account.address.clone(),
            person: held.person,
            name: name_of(&app, &caller, held.person).await?,
            deletion: held.deletion,
            at: held.at,
            why: held.why,
            answer: held.answer,
        });
    }
    Ok(Json(rows))
}

/// Answers exactly the listed ones; all or none.
pub(super) async fn answer(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(answer): Json<HeldAnswer>,
) -> Result<Json<usize>, ApiError> {
    let (_, all) = accounts(&app, &caller, None).await?;
    let waiting = app.engine.store().held(None).await?;
    let mut commit = Commit::new(None, app.engine.now());
    let mut touched = BTreeMap::new();
    for id in &answer.ids {
        let held = waiting.iter().find(|held| held.id == *id && all.contains_key(&held.account));
        let held = held
            .ok_or_else(|| ApiError::NotFound(format!("no deletion {id} waits any more; see `contactd held list`")))?;
        commit.changes.push(Change::AnswerHeld(*id, answer.answer));
        commit.changes.push(Change::UnsettlePerson(held.account, held.person));
        if let Some(remote) = app.engine.store().link(held.link).await?.and_then(|link| link.remote) {
            commit.changes.push(Change::UnsettleRecord(held.account, remote));
        }
        touched.insert(held.account, ());
    }
    if !commit.changes.is_empty() {
        app.engine.store().commit(commit).await?;
    }
    for account in touched.into_keys() {
        if all.get(&account).is_some_and(|account| account.state == AccountState::Active) {
            let trigger = if answer.answer == Answer::Confirmed { "held confirmed" } else { "held rejected" };
            app.schedule.sync_soon(account, trigger);
        }
    }
    Ok(Json(answer.ids.len()))
}
