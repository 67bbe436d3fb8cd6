//! Why a person or a record is, or is not, in sync, in each account; and what can be done about it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};

use super::caller::Caller;
use super::conflicts;
use super::runs::{Of, accounts};
use super::types::{StaysShown, WhyShown};
use super::{ApiError, App};
use crate::engine::why::Why;
use crate::ids::{LinkId, PersonId, RemoteId, Timestamp};
use crate::store::{Account, AccountState, Conflict, SubjectKey};
use crate::sync::plan::Waits;
use crate::sync::view::{LinkState, Send};

/// For a person, each of its links in each account; for a record, that one.
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
        let here: Vec<LinkId> = links.iter().filter(|link| link.account == account.id).map(|link| link.id).collect();
        let key = match &person {
            Some(person) if here.is_empty() && person.owner == account.user => Some(SubjectKey::Person(person.id)),
            Some(_) if here.is_empty() => continue,
            Some(_) => None,
            None => {
                let id = RemoteId(subject.clone());
                let known = app.engine.store().known(account.id, std::slice::from_ref(&id)).await?;
                if known.first().is_none_or(Option::is_none) {
                    continue;
                }
                Some(SubjectKey::Record(id))
            }
        };
        let provider = match app.connector.open(account.id).await {
            Ok(provider) => provider,
            Err(error) => {
                let nothing = Why { person: person.as_ref().map(|p| p.id), ..Why::default() };
                rows.push(told(&app, &caller, account, nothing, error.to_string()).await?);
                continue;
            }
        };
        let found = match key {
            Some(key) => app.engine.why(account, provider.capabilities(), &[key]).await?,
            None => app.engine.why_links(account, provider.capabilities(), &here).await?,
        };
        for why in found {
            let says = sentence(account, &why, app.engine.now());
            rows.push(told(&app, &caller, account, why, says).await?);
        }
    }
    if rows.is_empty() && person.is_none() {
        return Err(ApiError::NotFound(format!("no account knows a record '{subject}', and it is no person's id")));
    }
    Ok(Json(rows))
}

async fn told(app: &App, caller: &Caller, account: &Account, why: Why, says: String) -> Result<WhyShown, ApiError> {
    let mut shown = WhyShown {
        account: account.id,
        address: account.address.clone(),
        state: account.state.word().to_owned(),
        todo: todo(account, &why),
        remote: why.remote,
        person: why.person,
        link: why.link.map(|(state, _)| state),
        origin: why.link.map(|(_, origin)| origin),
        says,
        does: why.does,
        intents: why.intents.into_iter().map(|(what, since)| format!("{}, since {since}", send(&what))).collect(),
        conflicts: Vec::new(),
        held: why.held.map(|held| held.id),
        stays: Vec::new(),
    };
    for standing in why.conflicts {
        // As it is stored, for its time.
        let stored: Option<Conflict> = app.engine.store().conflict(standing.id).await?;
        if let Some(conflict) = stored {
            shown.conflicts.push(conflicts::shown(app, caller, conflict, account).await?);
        }
    }
    let stays = why.stays.into_iter();
    shown.stays = stays.map(|s| StaysShown { field: s.field, value: s.value, why: s.why.words().to_owned() }).collect();
    Ok(shown)
}

fn send(what: &Send) -> &'static str {
    match what {
        Send::Create => "it was being created there",
        Send::Update => "it was being changed there",
        Send::Delete => "it was being deleted there",
        Send::Join(_) => "it was being put into the group there",
        Send::Leave(_) => "it was being taken out of the group there",
        Send::SetPhoto => "its picture was being sent there",
    }
}

/// What a person can do about it.
fn todo(account: &Account, why: &Why) -> Vec<String> {
    let mut all = Vec::new();
    let address = &account.address;
    match &account.state {
        AccountState::Active | AccountState::Removed => {}
        AccountState::Setup => all.push(format!("contactd preview {address}, then contactd account start {address}")),
        AccountState::Paused { .. } | AccountState::Error { .. } => {
            all.push(format!("contactd account resume {address}"));
        }
        AccountState::Reconnect { .. } => all.push(format!("contactd account add {address}, to sign in again")),
    }
    all.extend(why.conflicts.iter().map(|s| format!("contactd conflicts show {}", s.id)));
    if let Some(held) = why.held.as_ref().filter(|held| held.answer.is_none()) {
        all.push(format!("contactd held confirm {0}, or contactd held reject {0}", held.id));
    }
    if !why.intents.is_empty() || why.failed.is_some() {
        all.push(format!("contactd refresh {address}"));
    }
    match why.waits {
        Some(Waits::Ambiguous) => all.push(format!("contactd duplicates list {address}")),
        Some(Waits::Paused) => all.extend(why.person.map(|person| format!("contactd people resume {person}"))),
        Some(Waits::Left) => all.push("put the record back into the sync group".to_owned()),
        Some(Waits::OneWay) => all.push(format!("contactd account set {address} --direction two_way")),
        Some(Waits::Ended(LinkState::Undone)) => {
            all.push("undo the undo; `contactd people history` has its id".to_owned());
        }
        _ => {}
    }
    all
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
        Waits::Hidden => {
            "it may be a record that the server lists under another name and does not show, or that can't be read now; that \
             is asked for again, for about a week"
        }
        Waits::Left => "the record is outside the sync group; put it back into the group to go on",
        Waits::Frozen => "the account's user may not see this person; it goes on when access is given",
        Waits::Paused => {
            "the same values went round in a circle; find the other program that syncs this address book, stop it, then \
             `contactd people resume` the person"
        }
        Waits::Ended(LinkState::Redundant) => {
            "its person was merged into one that has another record here: what is edited in this one still comes in"
        }
        Waits::Ended(LinkState::Undone) => {
            "what made the link was undone: the record is neither synced nor imported again"
        }
        Waits::Ended(_) => "the link between them was ended",
        Waits::Asked => "a conflict waits for a choice; see `contactd conflicts list`",
        Waits::Held => "a deletion waits for an answer; see `contactd held list`",
        Waits::OneWay => "the account is one-way: what is changed here stays here",
        Waits::FirstListing => "the account's first listing is not complete yet",
        Waits::Ambiguous => "several could be the same; see `contactd duplicates list`",
        Waits::NotPushed => {
            "it is not sent to this account: another user owns it, the account only keeps linked people, or it has \
             nothing in any field that is sent there"
        }
        Waits::Purged => "the person was removed for good; the record is not imported again by itself",
        Waits::Outside => "the record is outside the sync group",
    }
}
