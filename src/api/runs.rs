//! What was done and what waits: runs, held deletions, conflicts, and why something is not in sync.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Deserialize;

use super::caller::Caller;
use super::types::{ConflictShown, HeldAnswer, HeldShown, RunShown, WhyShown};
use super::{ApiError, App, show};
use crate::engine::change::Why;
use crate::ids::{AccountId, OpId, PersonId, RemoteId, RunId, Timestamp};
use crate::store::{Account, AccountState, Change, Commit, Run, SubjectKey};
use crate::sync::plan::Waits;
use crate::sync::view::Answer;

/// Which account, and how many.
#[derive(Deserialize)]
pub(super) struct Of {
    account: Option<String>,
    limit: Option<usize>,
}

/// After which operation, and how many.
#[derive(Deserialize)]
pub(super) struct Page {
    after: Option<OpId>,
    limit: Option<usize>,
}

/// The accounts that the caller sees, by id: one, or all.
async fn accounts(
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
            return Ok(Json(RunShown { operations, more_after, ..run }));
        }
    }
}

async fn name_of(app: &App, caller: &Caller, person: PersonId) -> Result<String, ApiError> {
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

pub(super) async fn conflicts(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(of): Query<Of>,
) -> Result<Json<Vec<ConflictShown>>, ApiError> {
    let (one, all) = accounts(&app, &caller, of.account.as_deref()).await?;
    let mut rows = Vec::new();
    for conflict in app.engine.store().conflicts(one, of.limit.unwrap_or(200).clamp(1, 1000)).await? {
        let Some(account) = all.get(&conflict.account) else { continue };
        rows.push(ConflictShown {
            id: conflict.id,
            account: conflict.account,
            address: account.address.clone(),
            person: conflict.person,
            name: name_of(&app, &caller, conflict.person).await?,
            at: conflict.at,
            clash: conflict.clash,
        });
    }
    Ok(Json(rows))
}

/// For a person or a record: in each account what is to be said about it.
pub(super) async fn why(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(subject): Path<String>,
    Query(of): Query<Of>,
) -> Result<Json<Vec<WhyShown>>, ApiError> {
    let (_, all) = accounts(&app, &caller, of.account.as_deref()).await?;
    let person = match subject.parse::<PersonId>() {
        Ok(_) => Some(caller.find_person(&app, &subject).await?),
        Err(_) => None,
    };
    let links = match &person {
        Some(person) => app.engine.store().links_of(person.id).await?,
        None => Vec::new(),
    };
    let mut rows = Vec::new();
    for account in all.values().filter(|account| account.state != AccountState::Removed) {
        let key = match &person {
            Some(person) => {
                let here = links.iter().filter(|link| link.account == account.id);
                match here.filter_map(|link| link.remote.clone()).next_back() {
                    Some(remote) => SubjectKey::Record(remote),
                    None if person.owner == account.user => SubjectKey::Person(person.id),
                    None => continue,
                }
            }
            None => {
                let id = RemoteId(subject.clone());
                let known = app.engine.store().known(account.id, std::slice::from_ref(&id)).await?;
                if known.first().is_none_or(Option::is_none) {
                    continue;
                }
                SubjectKey::Record(id)
            }
        };
        let provider = match app.connector.open(account.id).await {
            Ok(provider) => provider,
            Err(error) => {
                rows.push(told(account, Why { person: person.as_ref().map(|p| p.id), ..nothing() }, error.to_string()));
                continue;
            }
        };
        for why in app.engine.why(account, provider.capabilities(), &[key]).await? {
            let says = sentence(account, &why, app.engine.now());
            rows.push(told(account, why, says));
        }
    }
    if rows.is_empty() && person.is_none() {
        return Err(ApiError::NotFound(format!("no account knows a record '{subject}', and it is no person's id")));
    }
    Ok(Json(rows))
}

fn nothing() -> Why {
    Why { remote: None, person: None, link: None, does: Vec::new(), waits: None, failed: None }
}

fn told(account: &Account, why: Why, says: String) -> WhyShown {
    WhyShown {
        account: account.id,
        address: account.address.clone(),
        state: account.state.word().to_owned(),
        remote: why.remote,
        person: why.person,
        says,
        does: why.does,
    }
}

/// Why it is as it is, and what can be done.
fn sentence(account: &Account, why: &Why, now: Timestamp) -> String {
    let stopped = match &account.state {
        AccountState::Active => String::new(),
        AccountState::Setup => "the account was not started yet; ".to_owned(),
        AccountState::Paused { reason } | AccountState::Reconnect { reason } | AccountState::Error { reason } => {
            format!("the account does not sync ({reason}); ")
        }
        AccountState::Removed => "the account was removed; ".to_owned(),
    };
    let rest = match (&why.failed, why.waits) {
        (Some(failed), _) => {
            let seconds = failed.retry_at.since(now).max(0) / 1000;
            format!(
                "it failed {} times: {}; tried again in {seconds} s at the earliest",
                failed.attempts, failed.reason
            )
        }
        (None, Some(waits)) => waiting(waits).to_owned(),
        (None, None) if !why.does.is_empty() => "it differs, and the next run settles it".to_owned(),
        (None, None) if why.link.is_some() => "it is in sync".to_owned(),
        (None, None) => "nothing is to be done about it".to_owned(),
    };
    stopped + &rest
}

fn waiting(waits: Waits) -> &'static str {
    match waits {
        Waits::OpenIntent => "whether an earlier send landed is not known yet; the next run finds out",
        Waits::Unreadable => "the record can't be read; its person stays as it is until the record is mended there",
        Waits::Left => "the record is outside the sync group; put it back into the group to go on",
        Waits::Frozen => "the account's user may not see this person; it goes on when access is given",
        Waits::Paused => {
            "the same values went round in a circle; find the other program that syncs this address book, stop it, then \
             `contactd people resume` the person"
        }
        Waits::Ended(_) => "the link between them was ended",
        Waits::Asked => "a conflict waits for a choice; see `contactd conflicts list`",
        Waits::Held => "a deletion waits for an answer; see `contactd held list`",
        Waits::OneWay => "the account is one-way: what is changed here stays here",
        Waits::FirstListing => "the account's first listing is not complete yet",
        Waits::Ambiguous => "several could be the same; they wait as possible duplicates",
        Waits::NotPushed => {
            "it is not sent to this account: another user owns it, the account only keeps linked people, or it has \
             nothing in any field that is sent there"
        }
        Waits::Purged => "the person was removed for good; the record is not imported again by itself",
        Waits::Outside => "the record is outside the sync group",
    }
}
