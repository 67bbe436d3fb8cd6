//! What each command does: requests, and what is made of the answers. Those about people stand in `people`.

use std::io::{IsTerminal, Read, Write};
use std::path::Path;

use clap::CommandFactory;
use hyper::Method;
use indicatif::{ProgressBar, ProgressStyle};

use super::args::{
    AccountAdd, AccountCommand, AccountSet, Cli, Command, ConfigCommand, Doctor, HeldCommand, HeldWhich,
    MappingCommand, RolesCommand, RunsCommand, UserSet, UsersCommand,
};
use super::client::{Client, part};
use super::{CliError, Exit, Style, handles, note, people, print, show, sign_in};
use crate::api::types::{
    AccountShown, Check, Event, GroupShown, GuardPatch, HeldAnswer, HeldShown, MappingRow, NewAccount, NewRole,
    NewUser, PresentChoice, PreviewShown, RoleShown, Rotated, RunShown, SettingsAnswer, SettingsPatch, StatusShown,
    TallyShown, UserPatch, UserShown, WhyShown,
};
use crate::ids::HeldId;
use crate::secret::Secret;
use crate::sync::view::Answer;

pub(super) async fn run(command: Command, client: &Client, style: Style) -> Result<Exit, CliError> {
    match command {
        Command::Doctor(Doctor { live: Some(account), write, yes }) => live(&account, write, yes, client, style).await,
        Command::Serve | Command::Doctor(_) | Command::Config(ConfigCommand::Check | ConfigCommand::Show) => {
            Err(CliError::usage("this command is not for the socket"))
        }
        Command::Status => {
            let mut status: StatusShown = client.get("/status").await?;
            while let Some(after) = status.more_after {
                let page: StatusShown = client.get(&format!("/status?after={after}")).await?;
                status.accounts.extend(page.accounts);
                status.more_after = page.more_after;
            }
            style.answer(&status, show::status);
            Ok(Exit::Ok)
        }
        Command::Users(command) => users(command, client, style).await,
        Command::Roles(command) => roles(command, client, style).await,
        Command::Account(command) => Box::pin(account(command, client, style)).await,
        Command::Groups { account } => {
            let groups: Vec<GroupShown> = client.get(&format!("/accounts/{}/groups", part(&account))).await?;
            style.answer(&groups, |groups| show::groups(groups));
            Ok(Exit::Ok)
        }
        Command::Mapping(MappingCommand::Show { account }) => {
            let rows: Vec<MappingRow> = client.get(&format!("/accounts/{}/mapping", part(&account))).await?;
            style.answer(&rows, |rows| show::mapping(rows));
            Ok(Exit::Ok)
        }
        Command::Preview { account, fields } => {
            let preview = preview(&account, client, style).await?;
            style.answer(&preview, |preview| show::preview(preview, fields));
            Ok(if preview.held || preview.undecided > 0 { Exit::Waits } else { Exit::Ok })
        }
        Command::Refresh { account, wait } => refresh(account, wait, client, style).await,
        Command::Verify { account, repair } => {
            let path = format!("/accounts/{}/verify?repair={repair}", part(&account));
            let Event::Verified(verified) = follow(&path, client, style).await? else {
                return Err(CliError::new(Exit::Failed, "the daemon gave no comparison"));
            };
            style.answer(&verified, show::verified);
            Ok(if verified.differences.is_empty() || verified.repaired { Exit::Ok } else { Exit::Failed })
        }
        Command::Why { subject } => {
            let rows: Vec<WhyShown> = client.get(&format!("/why/{}", part(&subject))).await?;
            style.answer(&rows, |rows| show::why(rows));
            Ok(Exit::Ok)
        }
        Command::Runs(RunsCommand::List { account, limit }) => {
            let of = account.map(|account| format!("&account={}", part(&account))).unwrap_or_default();
            let runs: Vec<RunShown> = client.get(&format!("/runs?limit={limit}{of}")).await?;
            style.answer(&runs, |runs| show::runs(runs));
            Ok(Exit::Ok)
        }
        Command::Runs(RunsCommand::Show { run, after, limit }) => {
            let after = after.map(|after| format!("&after={}", part(&after))).unwrap_or_default();
            let run: RunShown = client.get(&format!("/runs/{}?limit={limit}{after}", part(&run))).await?;
            style.answer(&run, show::run);
            if let Some(after) = run.more_after {
                note(&format!("it did more; go on with --after {after}"));
            }
            Ok(Exit::Ok)
        }
        Command::Held(command) => held(command, client, style).await,
        Command::Undo(args) => handles::undo(args, client, style).await,
        Command::Conflicts(command) => handles::conflicts(command, client, style).await,
        Command::Duplicates(command) => handles::duplicates(command, client, style).await,
        Command::Trash(command) => handles::trash(command, client, style).await,
        Command::People(command) => people::run(command, client, style).await,
        Command::Config(ConfigCommand::RotateKey) => {
            let rotated: Rotated = client.post("/keys/rotate", None::<&()>).await?;
            style.answer(&rotated, |rotated| {
                format!("{} stored passwords are sealed under the new key {}", rotated.sealed, rotated.key)
            });
            Ok(Exit::Ok)
        }
        // Done without the daemon, before this.
        Command::Store(_) => Err(CliError::usage("`contactd store` does not ask the daemon")),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "contactd", &mut text);
            print(&String::from_utf8_lossy(&text));
            Ok(Exit::Ok)
        }
        Command::Man { command } => man(&command),
    }
}

/// Looks at everything that can be wrong: `config` is what was found about the configuration, and the rest comes from the
/// daemon, or where that can't be reached, from what can be seen from here.
pub(super) async fn doctor(
    config: Check,
    client: Option<&Client>,
    from_here: impl FnOnce(bool) -> Vec<Check>,
    style: Style,
) -> Result<Exit, CliError> {
    let mut checks = vec![config];
    let asked: Option<Result<Vec<Check>, CliError>> = match client {
        Some(client) => Some(client.get("/doctor").await),
        None => None,
    };
    let mut exit = None;
    match asked {
        Some(Ok(told)) => {
            checks.extend(told);
            checks.extend(from_here(true));
        }
        Some(Err(error)) if error.exit == Exit::Unreachable => {
            exit = Some(Exit::Unreachable);
            checks.push(Check { name: "daemon".to_owned(), ok: false, says: error.says });
            checks.extend(from_here(false));
        }
        Some(Err(error)) => return Err(error),
        None => checks.extend(from_here(false)),
    }
    style.answer(&checks, |checks| show::checks(checks));
    let well = checks.iter().all(|check| check.ok);
    Ok(exit.unwrap_or(if well { Exit::Ok } else { Exit::Failed }))
}

/// Tries an account at its real provider. Who breaks it off does not break off the daemon, which ends what it has begun.
async fn live(account: &str, write: bool, yes: bool, client: &Client, style: Style) -> Result<Exit, CliError> {
    if write && !yes && !agreed(&format!("Make a contact in {account}, change it, and remove it again?"))? {
        return Ok(Exit::Waits);
    }
    let path = format!("/accounts/{}/trial?write={write}", part(account));
    let broken_off = async {
        // Where signals can't be heard, the process ends by them, which is the same but for the words.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    // Each line as it comes; JSON is one value, and comes in the end.
    let mut told = 0;
    let tell = |check: &Check| {
        if !style.json {
            print(&show::checks(std::slice::from_ref(check)));
            told += 1;
        }
    };
    let event = tokio::select! {
        event = follow_telling(&path, client, style, tell) => event?,
        () = broken_off => {
            let says = if write {
                "broken off here; the daemon goes on, and removes the contact that it has made"
            } else {
                "broken off"
            };
            return Err(CliError::new(Exit::Failed, says));
        }
    };
    let Event::Tried { checks } = event else {
        return Err(CliError::new(Exit::Failed, "the daemon gave no answer to that"));
    };
    let rest = checks.get(told..).unwrap_or_default();
    if style.json {
        style.answer(&checks, |_| String::new());
    } else if !rest.is_empty() {
        print(&show::checks(rest));
    }
    Ok(if checks.iter().all(|check| check.ok) { Exit::Ok } else { Exit::Failed })
}

impl Style {
    /// Prints an answer, for programs or for people.
    pub(super) fn answer<T: serde::Serialize>(self, answer: &T, words: impl FnOnce(&T) -> String) {
        if self.json {
            // What was read from JSON can be written as such.
            print(&serde_json::to_string_pretty(answer).unwrap_or_default());
        } else {
            print(&words(answer));
        }
    }
}

async fn users(command: UsersCommand, client: &Client, style: Style) -> Result<Exit, CliError> {
    let user: UserShown = match command {
        UsersCommand::List => {
            let users: Vec<UserShown> = client.get("/users").await?;
            style.answer(&users, |users| show::users(users));
            return Ok(Exit::Ok);
        }
        UsersCommand::Show { user } => client.get(&format!("/users/{}", part(&user))).await?,
        UsersCommand::Set(set) => {
            let UserSet { user, name, email, role, no_role, admin, restricted, sees_followed_users } = set;
            let role = if no_role { Some(String::new()) } else { role };
            let patch = UserPatch { name, email, role, admin, restricted, sees_followed_users, active: None };
            if patch == UserPatch::default() {
                return Err(CliError::usage("say what changes; see `contactd users set --help`"));
            }
            client.ask(Method::PATCH, &format!("/users/{}", part(&user)), Some(&patch)).await?
        }
        UsersCommand::Deactivate { user } => set_active(&user, false, client).await?,
        UsersCommand::Activate { user } => set_active(&user, true, client).await?,
        UsersCommand::Add { email, name, role, admin, restricted, sees_followed_users } => {
            let new = NewUser { name, email, role, admin, restricted, sees_followed_users };
            client.post("/users", Some(&new)).await?
        }
    };
    style.answer(&user, |user| show::users(std::slice::from_ref(user)));
    Ok(Exit::Ok)
}

async fn set_active(user: &str, active: bool, client: &Client) -> Result<UserShown, CliError> {
    let patch = UserPatch { active: Some(active), ..UserPatch::default() };
    client.ask(Method::PATCH, &format!("/users/{}", part(user)), Some(&patch)).await
}

async fn roles(command: RolesCommand, client: &Client, style: Style) -> Result<Exit, CliError> {
    let roles: Vec<RoleShown> = match command {
        RolesCommand::List => client.get("/roles").await?,
        RolesCommand::Add { name, parent } => vec![client.post("/roles", Some(&NewRole { name, parent })).await?],
    };
    style.answer(&roles, |roles| show::roles(roles));
    Ok(Exit::Ok)
}

async fn account(command: AccountCommand, client: &Client, style: Style) -> Result<Exit, CliError> {
    let shown: AccountShown = match command {
        AccountCommand::List => {
            let all: Vec<AccountShown> = client.get("/accounts").await?;
            style.answer(&all, |all| show::accounts(all));
            return Ok(Exit::Ok);
        }
        AccountCommand::AddDomain(all) => return sign_in::add_domain(&all, client, style).await,
        AccountCommand::Add(new) => return account_add(new, client, style).await,
        AccountCommand::Show { account } => client.get(&format!("/accounts/{}", part(&account))).await?,
        AccountCommand::Set(set) => return account_set(set, client, style).await,
        AccountCommand::Start { account, yes } => return start(&account, yes, client, style).await,
        AccountCommand::Pause { account } => {
            client.post(&format!("/accounts/{}/pause", part(&account)), None::<&()>).await?
        }
        AccountCommand::Resume { account } => {
            client.post(&format!("/accounts/{}/resume", part(&account)), None::<&()>).await?
        }
        AccountCommand::Remove { account, yes } => {
            if !yes && !agreed(&format!("Forget the credentials of {account}? Its people are kept."))? {
                return Ok(Exit::Waits);
            }
            client.ask(Method::DELETE, &format!("/accounts/{}", part(&account)), None::<&()>).await?
        }
    };
    style.answer(&shown, show::account);
    Ok(Exit::Ok)
}

async fn account_add(new: AccountAdd, client: &Client, style: Style) -> Result<Exit, CliError> {
    // Who says how to sign in by a password means that; otherwise the provider decides.
    let by_password = new.password_file.is_some() || new.server.is_some() || !new.trust.is_empty();
    let added = if by_password { None } else { Box::pin(sign_in::add(&new, client)).await? };
    let added = match added {
        Some(added) => added,
        None => {
            let password = password(new.password_file.as_deref(), &new.email)?.expose().to_owned();
            let AccountAdd { email, user, provider, server, trust, direction, .. } = new;
            let direction = direction.map(Into::into);
            let new = NewAccount { email, user, provider, server, trust, direction, password };
            client.post("/accounts", Some(&new)).await?
        }
    };
    style.answer(&added, show::added);
    Ok(Exit::Ok)
}

async fn account_set(set: AccountSet, client: &Client, style: Style) -> Result<Exit, CliError> {
    let path = format!("/accounts/{}", part(&set.account));
    let present = match (set.push_edits, set.agree_present) {
        (true, _) => Some(PresentChoice::Push),
        (_, true) => Some(PresentChoice::Agree),
        _ => None,
    };
    let mut patch = SettingsPatch {
        group: set.group,
        direction: set.direction.map(Into::into),
        visible_to: set.visible_to.map(Into::into),
        push: set.push.map(Into::into),
        conflicts: set.conflicts.map(Into::into),
        deletes: set.deletes.map(Into::into),
        on_leave: set.on_leave.map(Into::into),
        mapping: set.map.into_iter().collect(),
        guard: GuardPatch { on: set.guard, at_least: set.guard_at_least, percent: set.guard_percent },
        present,
        confirm: set.yes,
    };
    if patch == (SettingsPatch { confirm: set.yes, ..SettingsPatch::default() }) {
        return Err(CliError::usage("say what changes; see `contactd account set --help`"));
    }
    let mut answer: SettingsAnswer = client.ask(Method::PATCH, &path, Some(&patch)).await?;
    let nothing_follows = answer.preview == PreviewShown::default();
    if !set.yes && answer.asks.is_empty() {
        let asks = !nothing_follows;
        if asks && !style.json {
            print(&show::preview(&answer.preview, false));
        }
        if !asks || agreed("Make this change?")? {
            patch.confirm = true;
            answer = client.ask(Method::PATCH, &path, Some(&patch)).await?;
        }
    }
    let waits = !answer.asks.is_empty() || !set.yes && !answer.changed && !nothing_follows;
    style.answer(&answer, show::settings);
    Ok(if waits { Exit::Waits } else { Exit::Ok })
}

/// Shows what the first sync would do, does it, and shows what came otherwise.
async fn start(account: &str, yes: bool, client: &Client, style: Style) -> Result<Exit, CliError> {
    let path = format!("/accounts/{}", part(account));
    let before: AccountShown = client.get(&path).await?;
    let mut expected = None;
    if before.state == "setup" {
        let preview = preview(account, client, style).await?;
        if !style.json {
            print(&show::preview(&preview, false));
        }
        if !yes && !agreed("Start syncing?")? {
            return Ok(Exit::Waits);
        }
        expected = Some(preview);
    }
    let event = follow(&format!("{path}/start?wait=true"), client, style).await?;
    style.answer(&event, |event| match (event, &expected) {
        (Event::Done { tally, .. }, Some(expected)) => show::done(tally) + &show::otherwise(expected, tally),
        (Event::Done { tally, .. }, None) => show::done(tally),
        _ => String::new(),
    });
    Ok(waits(&event))
}

async fn preview(account: &str, client: &Client, style: Style) -> Result<PreviewShown, CliError> {
    match follow(&format!("/accounts/{}/preview", part(account)), client, style).await? {
        Event::Previewed(preview) => Ok(preview),
        _ => Err(CliError::new(Exit::Failed, "the daemon gave no preview")),
    }
}

const NONE_ACTIVE: &str = "no account is active; see `contactd account list`, then `contactd account start`";

async fn refresh(account: Option<String>, wait: bool, client: &Client, style: Style) -> Result<Exit, CliError> {
    let accounts: Vec<AccountShown> = match (account, wait) {
        (Some(account), true) => vec![client.get(&format!("/accounts/{}", part(&account))).await?],
        (Some(account), false) => {
            vec![client.post(&format!("/accounts/{}/refresh", part(&account)), None::<&()>).await?]
        }
        (None, false) => client.post("/refresh", None::<&()>).await?,
        (None, true) => {
            let all: Vec<AccountShown> = client.get("/accounts").await?;
            all.into_iter().filter(|account| account.state == "active").collect()
        }
    };
    if !wait {
        style.answer(&accounts, |accounts| match accounts.len() {
            0 => NONE_ACTIVE.to_owned(),
            n => format!("{} now", show::number(n, "account is synced", "accounts are synced")),
        });
        return Ok(Exit::Ok);
    }
    let mut events = Vec::new();
    for account in &accounts {
        events.push(follow(&format!("/accounts/{}/refresh?wait=true", account.id), client, style).await?);
    }
    style.answer(&events, |events| {
        let line = |(account, event): (&AccountShown, &Event)| match event {
            Event::Done { tally, .. } => format!("{}: {}", account.address, show::done(tally)),
            _ => account.address.clone(),
        };
        let lines = accounts.iter().zip(events).map(line).collect::<Vec<_>>().join("");
        if lines.is_empty() { NONE_ACTIVE.to_owned() } else { lines }
    });
    Ok(if events.iter().all(|event| waits(event) == Exit::Ok) { Exit::Ok } else { Exit::Waits })
}

fn waits(event: &Event) -> Exit {
    match event {
        Event::Done { tally: TallyShown { held: 1.., .. }, .. } => Exit::Waits,
        _ => Exit::Ok,
    }
}

/// Follows something long with a bar, if somebody looks.
async fn follow(path: &str, client: &Client, style: Style) -> Result<Event, CliError> {
    follow_telling(path, client, style, |_| ()).await
}

/// The same; `tell` hears of each thing that a trial has looked at, while no bar stands in its way.
async fn follow_telling(
    path: &str,
    client: &Client,
    style: Style,
    mut tell: impl FnMut(&Check),
) -> Result<Event, CliError> {
    let bar = if style.bars { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(std::time::Duration::from_millis(120));
    let outcome = client
        .follow(path, |event| {
            if let Event::Looked(check) = event {
                bar.suspend(|| tell(check));
            }
            if let Event::Progress { phase, read, tally } = event {
                let changed = |c: &crate::api::types::CountsShown| c.added + c.updated + c.deleted;
                let (here, there) = (changed(&tally.here), changed(&tally.there));
                bar.set_message(format!("{phase}: {read} read, {here} changed here, {there} there"));
            }
        })
        .await;
    bar.finish_and_clear();
    outcome
}

async fn held(command: HeldCommand, client: &Client, style: Style) -> Result<Exit, CliError> {
    let (which, answer) = match command {
        HeldCommand::List { account } => {
            let rows = list_held(account.as_deref(), client).await?;
            style.answer(&rows, |rows| show::held(rows));
            return Ok(if rows.iter().any(|row| row.answer.is_none()) { Exit::Waits } else { Exit::Ok });
        }
        HeldCommand::Confirm(which) => (which, Answer::Confirmed),
        HeldCommand::Reject(which) => (which, Answer::Rejected),
    };
    let HeldWhich { ids, all } = which;
    let ids: Vec<HeldId> = match all {
        Some(account) => {
            let rows = list_held(Some(&account), client).await?;
            rows.into_iter().filter(|row| row.answer.is_none()).map(|row| row.id).collect()
        }
        None => {
            let read = |id: &String| id.parse().map_err(|error| CliError::usage(format!("{error}")));
            ids.iter().map(read).collect::<Result<_, _>>()?
        }
    };
    if ids.is_empty() {
        style.answer(&0, |_| "no deletions wait".to_owned());
        return Ok(Exit::Ok);
    }
    let answered: usize = client.post("/held", Some(&HeldAnswer { ids, answer })).await?;
    style.answer(&answered, |n| {
        format!("{} answered; they are carried out now", show::number(*n, "deletion is", "deletions are"))
    });
    Ok(Exit::Ok)
}

async fn list_held(account: Option<&str>, client: &Client) -> Result<Vec<HeldShown>, CliError> {
    let of = account.map(|account| format!("?account={}", part(account))).unwrap_or_default();
    client.get(&format!("/held{of}")).await
}

/// Asks yes or no. Where nobody can answer, the answer is no, and it says how to say yes.
pub(super) fn agreed(question: &str) -> Result<bool, CliError> {
    if !std::io::stdin().is_terminal() {
        return Err(CliError::new(Exit::Waits, format!("{question} Nothing was changed; say --yes to do it")));
    }
    let mut out = std::io::stderr();
    let mut line = String::new();
    let asked = write!(out, "{question} [y/N] ").and_then(|()| out.flush());
    asked.and_then(|()| std::io::stdin().read_line(&mut line)).map_err(|e| CliError::usage(e.to_string()))?;
    Ok(matches!(line.trim().to_lowercase().as_str(), "y" | "yes"))
}

fn password(file: Option<&Path>, address: &str) -> Result<Secret, CliError> {
    let text = match file {
        Some(path) if path == Path::new("-") => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map(|_| text)
        }
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| std::io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
        None if std::io::stdin().is_terminal() => rpassword::prompt_password(format!("Password for {address}: ")),
        None => return Err(CliError::usage("give the password by --password-file FILE, or `-` for standard input")),
    };
    let text = text.map_err(|error| CliError::usage(format!("the password can't be read: {error}")))?;
    let first = text.lines().next().unwrap_or_default().trim_end_matches('\r');
    if first.is_empty() {
        return Err(CliError::usage("the password is empty"));
    }
    Ok(Secret::from(first))
}

fn man(command: &[String]) -> Result<Exit, CliError> {
    let mut of = Cli::command();
    of.build();
    let mut found = &of;
    for name in command {
        found = found
            .find_subcommand(name)
            .ok_or_else(|| CliError::usage(format!("there is no command '{}'", command.join(" "))))?;
    }
    let page = clap_mangen::Man::new(found.clone()).source(concat!("contactd ", env!("CARGO_PKG_VERSION")));
    let mut text = Vec::new();
    page.render(&mut text).map_err(|error| CliError::new(Exit::Failed, error.to_string()))?;
    print(&String::from_utf8_lossy(&text));
    Ok(Exit::Ok)
}
