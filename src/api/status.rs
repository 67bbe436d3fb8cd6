//! The dashboard's counts, health, metrics, and what `doctor` looks at.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::sync::mpsc;

use super::caller::Caller;
use super::types::{AccountStatus, Check, Event, Rotated, StatusShown};
use super::{ApiError, App, accounts, live, show};
use crate::engine::connect::trial::Finding;
use crate::ids::AccountId;
use crate::store::{Account, AccountState, Counted};
use crate::sync::settings::Direction;

/// Accounts to a page of the dashboard, if no other number is asked for, and at most.
const PAGE: usize = 50;

/// Which accounts.
#[derive(Deserialize)]
pub(super) struct StatusQuery {
    after: Option<AccountId>,
    limit: Option<usize>,
}

pub(super) async fn status(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(wanted): Query<StatusQuery>,
) -> Result<Json<StatusShown>, ApiError> {
    let (store, now) = (app.engine.store(), app.engine.now());
    let mut seen = store.accounts().await?;
    seen.retain(|account| account.state != AccountState::Removed && caller.sees_account(account));
    let ids = |accounts: &[Account]| accounts.iter().map(|account| account.id).collect::<Vec<_>>();
    // What removed accounts did counts too, for those who may see everything.
    let all = if caller.is_admin() {
        store.counted(None, now).await?
    } else {
        let mut all = Counted::default();
        store.counted_each(&ids(&seen), now).await?.values().for_each(|counted| add(&mut all, counted));
        all
    };
    seen.retain(|account| wanted.after.is_none_or(|after| account.id > after));
    let limit = wanted.limit.unwrap_or(PAGE).clamp(1, PAGE);
    let more = seen.len() > limit;
    seen.truncate(limit);
    let mut each = store.counted_each(&ids(&seen), now).await?;
    let more_after = seen.last().map(|account| account.id).filter(|_| more);
    let mut status = StatusShown { accounts: Vec::with_capacity(seen.len()), all: show::counted(&all), more_after };
    for account in seen {
        let counted = show::counted(&each.remove(&account.id).unwrap_or_default());
        let account = accounts::shown(&app, &account, &caller).await;
        status.accounts.push(AccountStatus { account, counted });
    }
    Ok(Json(status))
}

fn add(to: &mut Counted, more: &Counted) {
    to.in_sync += more.in_sync;
    to.conflicts += more.conflicts;
    to.held += more.held;
    to.failures += more.failures;
    to.duplicates += more.duplicates;
    for (to, more) in to.recent.iter_mut().zip(more.recent) {
        for (to, more) in [(&mut to.local, more.local), (&mut to.remote, more.remote)] {
            to.added += more.added;
            to.updated += more.updated;
            to.deleted += more.deleted;
        }
    }
}

/// Whether the process answers at all.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether it is up, and its store answers.
pub(super) async fn readyz(State(app): State<Arc<App>>) -> (StatusCode, &'static str) {
    if !app.ready.load(Ordering::Relaxed) {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    match app.engine.store().ping().await {
        Ok(()) => (StatusCode::OK, "ready\n"),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the store does not answer\n"),
    }
}

/// Counts for Prometheus. Accounts are named by id only.
pub(super) async fn metrics(State(app): State<Arc<App>>) -> Result<impl IntoResponse, ApiError> {
    let (store, now) = (app.engine.store(), app.engine.now());
    let mut text = String::new();
    let mut rows = Vec::new();
    let mut accounts = store.accounts().await?;
    accounts.retain(|account| account.state != AccountState::Removed);
    let ids: Vec<AccountId> = accounts.iter().map(|account| account.id).collect();
    let mut each = store.counted_each(&ids, now).await?;
    for account in accounts {
        let counted = each.remove(&account.id).unwrap_or_default();
        rows.push((account, counted));
    }
    let mut gauge = |name: &str, help: &str, value: &dyn Fn(&Account, &Counted) -> String| {
        let _ = writeln!(text, "# HELP contactd_{name} {help}\n# TYPE contactd_{name} gauge");
        for (account, counted) in &rows {
            let _ = writeln!(text, "contactd_{name}{{account=\"{}\"}} {}", account.id, value(account, counted));
        }
    };
    gauge("account_active", "Whether the account syncs.", &|account, _| {
        u8::from(account.state == AccountState::Active).to_string()
    });
    gauge("account_needs_person", "Whether the account waits for a person.", &|account, _| {
        let waits = matches!(account.state, AccountState::Reconnect { .. } | AccountState::Error { .. });
        u8::from(waits).to_string()
    });
    gauge("last_sync_timestamp_seconds", "When the last successful run ended; 0 = never.", &|account, _| {
        account.synced.map_or(0, |at| at.0 / 1000).to_string()
    });
    gauge("people_in_sync", "People in sync.", &|_, counted| counted.in_sync.to_string());
    gauge("conflicts", "Conflicts that nobody has dealt with.", &|_, counted| counted.conflicts.to_string());
    gauge("held_deletions", "Deletions that wait for an answer.", &|_, counted| counted.held.to_string());
    gauge("failures", "Records and writes that failed and are tried again.", &|_, c| c.failures.to_string());
    gauge("duplicates", "Records that wait as possible duplicates.", &|_, c| c.duplicates.to_string());
    let _ =
        writeln!(text, "# HELP contactd_changes_24h Changes in the last 24 hours.\n# TYPE contactd_changes_24h gauge");
    for (account, counted) in &rows {
        for (side, counts) in [("crm", counted.recent[0].local), ("provider", counted.recent[0].remote)] {
            for (kind, n) in [("added", counts.added), ("updated", counts.updated), ("deleted", counts.deleted)] {
                let id = account.id;
                let _ = writeln!(text, "contactd_changes_24h{{account=\"{id}\",side=\"{side}\",kind=\"{kind}\"}} {n}");
            }
        }
    }
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4")], text))
}

/// Looks at everything that can be wrong, and says what to do.
pub(super) async fn doctor(State(app): State<Arc<App>>, caller: Caller) -> Result<Json<Vec<Check>>, ApiError> {
    caller.must_be_admin()?;
    let mut checks = Vec::new();
    let mut say = |name: String, result: Result<String, String>| {
        let (ok, says) = match result {
            Ok(says) => (true, says),
            Err(says) => (false, says),
        };
        checks.push(Check { name, ok, says });
    };
    let version = format!("contactd {} runs", env!("CARGO_PKG_VERSION"));
    say("daemon".to_owned(), Ok(version));
    let keys = app.connector.check_keys();
    say("key file".to_owned(), keys.map(|()| "can be read by us alone".to_owned()).map_err(|e| e.to_string()));
    let ping = app.engine.store().ping().await;
    say("store".to_owned(), ping.map(|()| "answers".to_owned()).map_err(|e| e.to_string()));
    let check = match app.engine.store().check().await {
        Ok(found) if found.is_empty() => Ok("all counts agree".to_owned()),
        Ok(found) => Err(found.join("; ")),
        Err(error) => Err(error.to_string()),
    };
    say("store check".to_owned(), check);
    for account in app.engine.store().accounts().await? {
        let name = format!("account {}", account.address);
        match &account.state {
            AccountState::Removed => {}
            AccountState::Paused { reason } => say(name, Ok(format!("paused: {reason}"))),
            AccountState::Reconnect { reason } | AccountState::Error { reason } => {
                let reason = accounts::complete(reason, &account, &caller);
                say(name, Err(format!("{}: {reason}", account.state.word())));
            }
            AccountState::Setup | AccountState::Active => {
                let signed_in = Box::pin(app.connector.check(account.id)).await;
                let lacks = app.connector.lacks(&account).await;
                let notice = app.connector.notice(&account).await;
                let said = match (signed_in, lacks, notice) {
                    (Err(error), _, _) => Err(error.to_string()),
                    (Ok(()), Some(lacks), _) => Err(lacks),
                    (Ok(()), None, None) => Ok("signs in".to_owned()),
                    (Ok(()), None, Some(notice)) if notice.urgent => Err(notice.says),
                    (Ok(()), None, Some(notice)) => Ok(format!("signs in; {}", notice.says)),
                };
                let complete = |says: String| accounts::complete(&says, &account, &caller);
                say(name, said.map(complete).map_err(complete));
            }
        }
    }
    Ok(Json(checks))
}

/// How a trial is asked for.
#[derive(Deserialize)]
pub(super) struct TrialQuery {
    /// Make a contact, change it, and remove it again.
    #[serde(default)]
    write: bool,
}

/// Tries an account at its real provider. No run of it begins meanwhile; what is begun is ended, whoever goes away.
pub(super) async fn trial(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(account): Path<String>,
    Query(how): Query<TrialQuery>,
) -> Result<Response, ApiError> {
    let account = caller.find_account(&app, &account).await?;
    if account.state == AccountState::Removed {
        return Err(accounts::not_from(&account.state));
    }
    if how.write && account.settings.direction == Direction::OneWay {
        let says = "the account syncs one way, so that nothing is ever written there, and nothing was tried; leave out --write";
        return Err(ApiError::Conflict(says.to_owned()));
    }
    let turn = app.schedule.turn(account.id, false).await?;
    let handle = turn.handle().clone();
    let (tell, told) = mpsc::unbounded_channel();
    let trial = async move {
        let shown = |Finding { name, ok, says }: &Finding| Check {
            name: (*name).to_owned(),
            ok: *ok,
            says: accounts::complete(says, &account, &caller),
        };
        let tell = |finding: &Finding| {
            let _ = tell.send(Event::Looked(shown(finding)));
        };
        let found = Box::pin(app.connector.trial(&account, how.write, turn.handle(), &tell)).await;
        drop(turn);
        Ok(Event::Tried { checks: found.iter().map(shown).collect() })
    };
    Ok(live::telling(handle, false, told, trial))
}

pub(super) async fn rotate(State(app): State<Arc<App>>, caller: Caller) -> Result<Json<Rotated>, ApiError> {
    caller.must_be_admin()?;
    let (sealed, key) = app.connector.rotate().await?;
    Ok(Json(Rotated { key: key.to_string(), sealed }))
}
