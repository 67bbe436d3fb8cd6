//! Accounts: adding, settings, start and pause, groups, preview, refresh.
//!
//! What changes an account takes its turn first, so that no run works with half of the change.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::caller::Caller;
use super::live;
use super::types::{
    AccountAdded, AccountShown, DifferenceShown, Event, GroupShown, GuardPatch, MappingRow, NewAccount, PresentChoice,
    PreviewShown, SettingsAnswer, SettingsPatch, VerifiedShown,
};
use super::{ApiError, App, show};
use crate::card::field::Field;
use crate::engine::change::{Present, asks_about_present};
use crate::engine::connect::{Added, ConnectError, How, Wanted};
use crate::engine::schedule::Outcome;
use crate::engine::verify::Difference;
use crate::ids::UserId;
use crate::secret::Secret;
use crate::store::{Account, AccountState, Commit};
use crate::sync::settings::{Direction, Flow, Scope, Settings};

pub(super) async fn shown(app: &App, account: &Account, caller: &Caller) -> AccountShown {
    let group = match &account.settings.scope {
        Scope::All => None,
        Scope::Group(group) => {
            let rosters = app.engine.store().rosters(account.id).await.unwrap_or_default();
            let named = rosters.into_iter().find(|roster| roster.group == *group).map(|roster| roster.name);
            Some(named.unwrap_or_else(|| group.to_string()))
        }
    };
    let mut shown = AccountShown { group, ..show::account(account, app.schedule.next(account.id).await, caller) };
    // One that is in use says so when it does not get through: nobody looks at its runs otherwise.
    if let (AccountState::Active, Err(error)) = (&account.state, user_active(caller, account)) {
        shown.reason = Some(error.to_string());
    } else if account.state == AccountState::Active {
        let last = app.engine.store().runs(Some(account.id), None, 1).await.unwrap_or_default().pop();
        let last = last.filter(|run| run.ended > account.synced);
        shown.reason = last.and_then(|run| run.error).map(|error| format!("the last run failed: {error}"));
    }
    if let AccountState::Active | AccountState::Setup = &account.state {
        let urgent = || async { app.connector.notice(account).await.filter(|n| n.urgent).map(|n| n.says) };
        shown.reason = match (app.connector.lacks(account).await, shown.reason) {
            (None, None) => urgent().await,
            (lacks, reason) => lacks.or(reason),
        };
    }
    shown.reason = shown.reason.map(|reason| complete(&reason, account, caller));
    shown
}

/// The commands in a reason as they are to be typed for that account.
pub(super) fn complete(reason: &str, account: &Account, caller: &Caller) -> String {
    let address = &account.address;
    let user = caller.directory.users.get(&account.user).map_or_else(|| account.user.to_string(), |u| u.email.clone());
    reason
        .replace("`contactd account add`", &format!("`contactd account add {address} --user {user}`"))
        .replace("`contactd account resume`", &format!("`contactd account resume {address}`"))
        .replace("`contactd account set` with", &format!("`contactd account set {address}` with"))
}

/// Whose account it is to be, if the caller may add one for them.
pub(super) fn new_owner(caller: &Caller, user: &str) -> Result<UserId, ApiError> {
    let user = caller.find_user(user)?;
    if !caller.is_admin() && caller.user != Some(user.id) {
        return Err(ApiError::Forbidden("only an administrator may add an account for somebody else".to_owned()));
    }
    if !user.active {
        return Err(ApiError::Conflict(format!("{} is deactivated and can't have accounts", user.name)));
    }
    Ok(user.id)
}

/// What a new account starts with.
pub(super) fn defaults(app: &App) -> Settings {
    Settings { visible_to: app.edition.narrowest(), guard: app.guard, ..Settings::default() }
}

/// What adding came to.
pub(super) async fn added(app: &App, caller: &Caller, added: Added) -> AccountAdded {
    app.schedule.changed();
    let how = match added.how {
        How::New => "new",
        How::Returned => "returned",
        How::SignedIn => "signed_in",
    };
    let groups = added.groups.into_iter().map(|g| show::group(g.id, g.name, g.size)).collect();
    let account = shown(app, &added.account, caller).await;
    AccountAdded { account, how: how.to_owned(), groups }
}

pub(super) async fn list(State(app): State<Arc<App>>, caller: Caller) -> Result<Json<Vec<AccountShown>>, ApiError> {
    let mut all = Vec::new();
    for account in app.engine.store().accounts().await? {
        if caller.sees_account(&account) {
            all.push(shown(&app, &account, &caller).await);
        }
    }
    Ok(Json(all))
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(account): Path<String>,
) -> Result<Json<AccountShown>, ApiError> {
    let account = caller.find_account(&app, &account).await?;
    Ok(Json(shown(&app, &account, &caller).await))
}

pub(super) async fn add(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(new): Json<NewAccount>,
) -> Result<Json<AccountAdded>, ApiError> {
    let user = new_owner(&caller, &new.user)?;
    let NewAccount { email, provider, server, trust, direction, password, .. } = new;
    let wanted = Wanted { address: email, kind: provider, server, trust };
    let mut settings = defaults(&app);
    settings.direction = direction.unwrap_or(settings.direction);
    let done = Box::pin(app.connector.add(user, &wanted, &Secret::from(password), settings)).await?;
    Ok(Json(added(&app, &caller, done).await))
}

pub(super) async fn groups(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(account): Path<String>,
) -> Result<Json<Vec<GroupShown>>, ApiError> {
    let account = caller.find_account(&app, &account).await?;
    let groups = Box::pin(app.connector.groups(account.id)).await?;
    Ok(Json(groups.into_iter().map(|g| show::group(g.id, g.name, g.size)).collect()))
}

pub(super) async fn mapping(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(account): Path<String>,
) -> Result<Json<Vec<MappingRow>>, ApiError> {
    let account = caller.find_account(&app, &account).await?;
    let provider = app.connector.look(account.id).await?;
    let caps = provider.capabilities();
    let two_way = account.settings.direction == Direction::TwoWay;
    let row = |field: &Field| {
        let flow = account.settings.mapping.flow(*field);
        let comes = matches!(flow, Flow::Both | Flow::In) && caps.reads.contains(*field);
        let goes = matches!(flow, Flow::Both | Flow::Out) && caps.writes.contains(*field) && two_way;
        let says = match (comes, goes) {
            (true, true) => "both ways",
            (true, false) => "from the address book only",
            (false, true) => "to the address book only",
            (false, false) if flow == Flow::Off => "off",
            (false, false) => "stays here",
        };
        let most = caps.most.get(field).map_or(String::new(), |most| format!(", at most {most} there"));
        MappingRow { field: *field, flow, says: format!("{says}{most}") }
    };
    Ok(Json(Field::ALL.iter().map(row).collect()))
}

pub(super) async fn set(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(account): Path<String>,
    Json(patch): Json<SettingsPatch>,
) -> Result<Json<SettingsAnswer>, ApiError> {
    let account = caller.find_account(&app, &account).await?;
    if account.state == AccountState::Removed {
        return Err(ApiError::Conflict("the account was removed; add it again first".to_owned()));
    }
    let group = match &patch.group {
        Some(name) if name != "all" => Some(find_group(&app, &account, name).await?),
        Some(_) => Some(Scope::All),
        None => None,
    };
    let (confirm, choice) = (patch.confirm, patch.present);
    let turn = app.schedule.turn(account.id, confirm).await?;
    // As it is now that no run is under way.
    let account = caller.find_account(&app, &account.id.to_string()).await?;
    let settings = patched(&account.settings, patch, group);
    if settings.guard.percent > 100 {
        return Err(ApiError::Invalid("the guard's share is a number from 0 to 100 per cent".to_owned()));
    }
    if settings.visible_to != account.settings.visible_to {
        app.edition.check(settings.visible_to).map_err(|error| ApiError::Invalid(error.to_string()))?;
    }
    let provider = app.connector.look(account.id).await?;
    let caps = provider.capabilities();
    let lacked = app.connector.lacks(&account).await.is_some();
    let asks = asks_about_present(&account.settings, &settings) && account.synced.is_some();
    let present = choice.map(|choice| match choice {
        PresentChoice::Push => Present::Push,
        PresentChoice::Agree => Present::Agree,
    });
    let preview = match (settings == account.settings, account.synced) {
        (false, Some(_)) => {
            let preview = app.engine.preview_change(&account, caps, &settings, present, turn.handle());
            show::preview(Box::pin(preview).await?)
        }
        _ => PreviewShown::default(),
    };
    let mut unanswered = Vec::new();
    if asks && choice.is_none() {
        unanswered.push(
            "what was edited here while the account was one-way: send it (--push-edits), or take the present of both \
             sides as agreed (--agree-present)"
                .to_owned(),
        );
    }
    let changed = confirm && unanswered.is_empty() && settings != account.settings;
    if confirm && !unanswered.is_empty() {
        return Err(ApiError::NeedsPerson(unanswered.concat()));
    }
    let account = if changed {
        let change = app.engine.change_settings(&account, caps, settings, present, caller.actor());
        let changed = Box::pin(change).await?;
        let mut account = app.engine.store().account(changed.id).await?.unwrap_or(changed);
        match (&account.state, app.connector.lacks(&account).await) {
            // What has to be done shows at once, and not at the next run.
            (AccountState::Active, Some(reason)) => {
                put_state(&app, &mut account, AccountState::Reconnect { reason }).await?;
            }
            // It waited for what it does not need any more.
            (AccountState::Reconnect { .. }, None) if lacked => {
                put_state(&app, &mut account, AccountState::Active).await?;
            }
            _ => {}
        }
        account
    } else {
        account
    };
    drop(turn);
    if changed {
        app.schedule.changed();
        if account.state == AccountState::Active {
            app.schedule.sync_soon(account.id, "settings");
        }
    }
    Ok(Json(SettingsAnswer { changed, account: shown(&app, &account, &caller).await, preview, asks: unanswered }))
}

async fn find_group(app: &App, account: &Account, name: &str) -> Result<Scope, ApiError> {
    let groups = Box::pin(app.connector.groups(account.id)).await?;
    let found = groups.iter().find(|g| g.id.as_str() == name).or_else(|| groups.iter().find(|g| g.name == name));
    match found {
        Some(group) => Ok(Scope::Group(group.id.clone())),
        None => {
            let names: Vec<_> = groups.iter().map(|g| g.name.as_str()).collect();
            let there =
                if names.is_empty() { "it has none".to_owned() } else { format!("it has {}", names.join(", ")) };
            Err(ApiError::NotFound(format!("the account has no group '{name}'; {there}; 'all' means everything")))
        }
    }
}

fn patched(settings: &Settings, patch: SettingsPatch, scope: Option<Scope>) -> Settings {
    let SettingsPatch { group: _, direction, visible_to, push, conflicts, deletes, on_leave, mapping, guard, .. } =
        patch;
    let mut new = settings.clone();
    new.scope = scope.unwrap_or(new.scope);
    new.direction = direction.unwrap_or(new.direction);
    new.visible_to = visible_to.unwrap_or(new.visible_to);
    new.push = push.unwrap_or(new.push);
    new.conflicts = conflicts.unwrap_or(new.conflicts);
    new.deletes = deletes.unwrap_or(new.deletes);
    new.on_leave = on_leave.unwrap_or(new.on_leave);
    let GuardPatch { on, at_least, percent } = guard;
    new.guard.on = on.unwrap_or(new.guard.on);
    new.guard.at_least = at_least.unwrap_or(new.guard.at_least);
    new.guard.percent = percent.unwrap_or(new.guard.percent);
    for (field, flow) in mapping {
        match flow {
            Flow::Both => drop(new.mapping.0.remove(&field)),
            flow => drop(new.mapping.0.insert(field, flow)),
        }
    }
    new
}

pub(super) async fn start(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(account): Path<String>,
    Query(how): Query<RefreshQuery>,
) -> Result<Response, ApiError> {
    let mut account = caller.find_account(&app, &account).await?;
    match &account.state {
        AccountState::Setup => {}
        AccountState::Active => return refreshed(app, &caller, account, how.wait).await,
        other => return Err(not_from(other)),
    }
    user_active(&caller, &account)?;
    let turn = app.schedule.turn(account.id, true).await?;
    account = app.engine.store().account(account.id).await?.unwrap_or(account);
    match &account.state {
        AccountState::Setup => put_state(&app, &mut account, AccountState::Active).await?,
        AccountState::Active => {}
        other => return Err(not_from(other)),
    }
    // Its first run is this one: it is asked for before the schedule learns of the account.
    let answer = refreshed(Arc::clone(&app), &caller, account, how.wait).await;
    drop(turn);
    app.schedule.changed();
    answer
}

pub(super) async fn resume(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(account): Path<String>,
) -> Result<Json<AccountShown>, ApiError> {
    let account = caller.find_account(&app, &account).await?;
    match &account.state {
        AccountState::Paused { .. } | AccountState::Error { .. } => {
            // One that was paused before it was ever started goes back to where it was. A preview leaves no run.
            let started =
                account.synced.is_some() || !app.engine.store().runs(Some(account.id), None, 1).await?.is_empty();
            let state = if started { AccountState::Active } else { AccountState::Setup };
            change_state(&app, &caller, account, state).await
        }
        // What was wrong may have been mended elsewhere: a setting, an administrator's leave.
        AccountState::Reconnect { .. } => {
            let provider = app.connector.open(account.id).await?;
            provider.check().await.map_err(ConnectError::Provider)?;
            change_state(&app, &caller, account, AccountState::Active).await
        }
        AccountState::Active => Ok(Json(shown(&app, &account, &caller).await)),
        other => Err(not_from(other)),
    }
}

pub(super) async fn pause(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(account): Path<String>,
) -> Result<Json<AccountShown>, ApiError> {
    let account = caller.find_account(&app, &account).await?;
    match &account.state {
        AccountState::Removed => Err(not_from(&account.state)),
        AccountState::Paused { .. } => Ok(Json(shown(&app, &account, &caller).await)),
        _ => {
            let reason = "paused by a person; `contactd account resume` goes on".to_owned();
            change_state(&app, &caller, account, AccountState::Paused { reason }).await
        }
    }
}

pub(super) fn not_from(state: &AccountState) -> ApiError {
    ApiError::Conflict(match state {
        AccountState::Removed => "the account was removed; add it again with `contactd account add`".to_owned(),
        AccountState::Setup => {
            "the account was never started; see `contactd preview`, then `contactd account start`".to_owned()
        }
        AccountState::Reconnect { reason } if reason.contains("`contactd account") => reason.clone(),
        AccountState::Reconnect { reason } => format!("{reason}; sign in again with `contactd account add`"),
        AccountState::Paused { .. } | AccountState::Error { .. } => {
            "the account is stopped; `contactd account resume` goes on".to_owned()
        }
        AccountState::Active => "the account is active".to_owned(),
    })
}

async fn change_state(
    app: &App,
    caller: &Caller,
    account: Account,
    state: AccountState,
) -> Result<Json<AccountShown>, ApiError> {
    let turn = app.schedule.turn(account.id, true).await?;
    let mut account = app.engine.store().account(account.id).await?.unwrap_or(account);
    put_state(app, &mut account, state).await?;
    drop(turn);
    app.schedule.changed();
    Ok(Json(shown(app, &account, caller).await))
}

async fn put_state(app: &App, account: &mut Account, state: AccountState) -> Result<(), ApiError> {
    account.state = state;
    let mut commit = Commit::new(None, app.engine.now());
    commit.put_account(account.clone());
    Ok(app.engine.store().commit(commit).await?)
}

pub(super) async fn remove(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(account): Path<String>,
) -> Result<Json<AccountShown>, ApiError> {
    let account = caller.find_account(&app, &account).await?;
    let turn = app.schedule.turn(account.id, true).await?;
    let account = app.engine.store().account(account.id).await?.unwrap_or(account);
    let told = Box::pin(app.connector.remove(account.clone())).await?;
    drop(turn);
    app.schedule.changed();
    let account = app.engine.store().account(account.id).await?.unwrap_or(account);
    Ok(Json(AccountShown { reason: told, ..shown(&app, &account, &caller).await }))
}

pub(super) async fn preview(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(account): Path<String>,
) -> Result<Response, ApiError> {
    let account = caller.find_account(&app, &account).await?;
    match &account.state {
        AccountState::Setup | AccountState::Active => {}
        other => return Err(not_from(other)),
    }
    let turn = app.schedule.turn(account.id, false).await?;
    let handle = turn.handle().clone();
    let preview = async move {
        let provider = app.connector.open(account.id).await?;
        let preview = Box::pin(app.engine.preview(account.id, &*provider, turn.handle())).await;
        app.engine.keep_learnt(account.id, &*provider).await?;
        drop(turn);
        Ok(Event::Previewed(show::preview(preview?)))
    };
    Ok(live::events(handle, true, preview))
}

pub(super) async fn verify(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(account): Path<String>,
    Query(how): Query<VerifyQuery>,
) -> Result<Response, ApiError> {
    let account = caller.find_account(&app, &account).await?;
    if account.state == AccountState::Removed {
        return Err(not_from(&account.state));
    }
    let turn = app.schedule.turn(account.id, false).await?;
    let handle = turn.handle().clone();
    let verify = async move {
        let provider = app.connector.open(account.id).await?;
        let verified = Box::pin(app.engine.verify(&account, &*provider, turn.handle())).await?;
        let repaired = how.repair && !verified.differences.is_empty();
        if repaired {
            app.engine.repair(&account, &verified).await?;
        }
        drop(turn);
        if repaired && account.state == AccountState::Active {
            app.schedule.sync_soon(account.id, "repair");
        }
        let shown = |d: Difference| {
            let Difference { remote, person, says, there, here } = d;
            DifferenceShown { remote, person, says, there, here }
        };
        let differences = verified.differences.into_iter().map(shown).collect();
        Ok(Event::Verified(VerifiedShown { compared: verified.compared, differences, repaired }))
    };
    Ok(live::events(handle, true, verify))
}

/// How a comparison is asked for.
#[derive(Deserialize)]
pub(super) struct VerifyQuery {
    /// Have the next run read and judge anew what differs.
    #[serde(default)]
    repair: bool,
}

/// How a refresh is asked for.
#[derive(Deserialize)]
pub(super) struct RefreshQuery {
    #[serde(default)]
    wait: bool,
}

pub(super) async fn refresh(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(account): Path<String>,
    Query(how): Query<RefreshQuery>,
) -> Result<Response, ApiError> {
    let account = caller.find_account(&app, &account).await?;
    if account.state != AccountState::Active {
        return Err(not_from(&account.state));
    }
    refreshed(app, &caller, account, how.wait).await
}

/// Whose user is deactivated does not sync, whoever asks.
fn user_active(caller: &Caller, account: &Account) -> Result<(), ApiError> {
    match caller.directory.active(account.user) {
        Some(_) => Ok(()),
        None => Err(ApiError::Conflict(format!(
            "{} is deactivated, and so the account does not sync; `contactd users activate` changes that",
            caller.name_of(account.user)
        ))),
    }
}

/// Syncs it now: at once the account as it is, or with `wait` how the run goes and what it comes to.
async fn refreshed(app: Arc<App>, caller: &Caller, account: Account, wait: bool) -> Result<Response, ApiError> {
    user_active(caller, &account)?;
    if !wait {
        app.schedule.sync_soon(account.id, "refresh");
        return Ok(Json(shown(&app, &account, caller).await).into_response());
    }
    let waiting = app.schedule.sync(account.id, "refresh").await?;
    let outcome = async move {
        match waiting.outcome.await {
            Ok(Outcome::Done(report)) => {
                let tally = show::tally(report.tally);
                Ok(Event::Done { run: report.run, tally, unfinished: report.unfinished })
            }
            Ok(Outcome::Failed { reason, needs_person: true, .. }) => Err(ApiError::NeedsPerson(reason)),
            Ok(Outcome::Failed { reason, .. }) => Err(ApiError::Provider(format!("{reason}; it is tried again"))),
            Ok(Outcome::Elsewhere { .. }) => Err(ApiError::Conflict(
                "another daemon syncs the account at this moment; what it did shows in `contactd runs`, or try again"
                    .to_owned(),
            )),
            Ok(Outcome::Stopped) | Err(_) => Err(ApiError::Stopping("the run was interrupted; try again".to_owned())),
        }
    };
    Ok(live::events(waiting.handle, false, outcome))
}

pub(super) async fn refresh_all(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<Json<Vec<AccountShown>>, ApiError> {
    let mut all = Vec::new();
    for account in app.engine.store().accounts().await? {
        if account.state == AccountState::Active
            && caller.sees_account(&account)
            && user_active(&caller, &account).is_ok()
        {
            app.schedule.sync_soon(account.id, "refresh");
            all.push(shown(&app, &account, &caller).await);
        }
    }
    Ok(Json(all))
}
