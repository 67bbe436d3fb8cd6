//! The commands of what people do by hand: conflicts, undo, merging, duplicates, the trash.

use super::args::{
    ConflictsCommand, DuplicatesCommand, KeepArg, PeopleMerge, ResolveArgs, TrashCommand, UndoArgs, WhichTrash,
};
use super::client::{Client, part};
use super::commands::agreed;
use super::{CliError, Exit, Style, print, show};
use crate::api::types::{
    ConflictShown, DuplicateAnswer, DuplicateShown, HistoryRow, Keep, MergeAnswer, MergeRequest, PersonShown,
    PurgeAnswer, Resolve, TrashRequest, UndoAnswer, UndoRequest,
};
use crate::ids::{PersonId, RemoteId};

fn person(text: &str) -> Result<PersonId, CliError> {
    text.parse().map_err(|error| CliError::usage(format!("{error}")))
}

pub(super) async fn conflicts(command: ConflictsCommand, client: &Client, style: Style) -> Result<Exit, CliError> {
    match command {
        ConflictsCommand::List { account } => {
            let of = account.map(|account| format!("?account={}", part(&account))).unwrap_or_default();
            let rows: Vec<ConflictShown> = client.get(&format!("/conflicts{of}")).await?;
            style.answer(&rows, |rows| show::conflicts(rows));
        }
        ConflictsCommand::Show { conflict } => {
            let row: ConflictShown = client.get(&format!("/conflicts/{}", part(&conflict))).await?;
            style.answer(&row, show::conflict);
        }
        ConflictsCommand::Resolve(ResolveArgs { conflict, keep, value }) => {
            let keep = keep.map(|keep| match keep {
                KeepArg::Provider => Keep::Provider,
                KeepArg::Crm => Keep::Crm,
            });
            let path = format!("/conflicts/{}/resolve", part(&conflict));
            let now: PersonShown = client.post(&path, Some(&Resolve { keep, value })).await?;
            style.answer(&now, show::person);
        }
    }
    Ok(Exit::Ok)
}

pub(super) async fn undo(args: UndoArgs, client: &Client, style: Style) -> Result<Exit, CliError> {
    let UndoArgs { ids, account, since, person: of, field, preview, yes } = args;
    let of = of.as_deref().map(person).transpose()?;
    let mut request = UndoRequest { ids, account, since, person: of, field, confirm: yes };
    let mut answer: UndoAnswer = client.post("/undo", Some(&request)).await?;
    if !yes && !preview {
        if !style.json {
            print(&show::undo(&answer));
        }
        if !agreed("Undo this?")? {
            return Ok(Exit::Waits);
        }
        request.confirm = true;
        answer = client.post("/undo", Some(&request)).await?;
    }
    style.answer(&answer, show::undo);
    Ok(Exit::Ok)
}

pub(super) async fn merge(args: PeopleMerge, client: &Client, style: Style) -> Result<Exit, CliError> {
    let PeopleMerge { survivor, other, preview, yes } = args;
    let path = format!("/people/{}/merge", part(&survivor));
    let mut request = MergeRequest { other: person(&other)?, confirm: yes };
    let mut answer: MergeAnswer = client.post(&path, Some(&request)).await?;
    if !yes && !preview {
        if !style.json {
            print(&show::merge(&answer));
        }
        if !agreed("Merge them?")? {
            return Ok(Exit::Waits);
        }
        request.confirm = true;
        answer = client.post(&path, Some(&request)).await?;
    }
    style.answer(&answer, show::merge);
    Ok(Exit::Ok)
}

pub(super) async fn history(of: &str, limit: usize, client: &Client, style: Style) -> Result<Exit, CliError> {
    let rows: Vec<HistoryRow> = client.get(&format!("/people/{}/history?limit={limit}", part(of))).await?;
    style.answer(&rows, |rows| show::history(rows));
    Ok(Exit::Ok)
}

pub(super) async fn duplicates(command: DuplicatesCommand, client: &Client, style: Style) -> Result<Exit, CliError> {
    match command {
        DuplicatesCommand::List { account } => {
            let of = account.map(|account| format!("?account={}", part(&account))).unwrap_or_default();
            let rows: Vec<DuplicateShown> = client.get(&format!("/duplicates{of}")).await?;
            style.answer(&rows, |rows| show::duplicates(rows));
            return Ok(if rows.is_empty() { Exit::Ok } else { Exit::Waits });
        }
        DuplicatesCommand::Merge { account, remote, person: of } => {
            let answer = DuplicateAnswer { account, remote: RemoteId(remote), person: Some(person(&of)?) };
            let done: DuplicateAnswer = client.post("/duplicates/merge", Some(&answer)).await?;
            style.answer(&done, |_| {
                "the record and the person are one from the next sync on, which begins now".to_owned()
            });
        }
        DuplicatesCommand::Dismiss { account, remote, person: of } => {
            let of = of.as_deref().map(person).transpose()?;
            let answer = DuplicateAnswer { account, remote: RemoteId(remote), person: of };
            let done: DuplicateAnswer = client.post("/duplicates/dismiss", Some(&answer)).await?;
            style.answer(&done, |_| "this is remembered; who is nobody's duplicate any more is synced now".to_owned());
        }
    }
    Ok(Exit::Ok)
}

pub(super) async fn trash(command: TrashCommand, client: &Client, style: Style) -> Result<Exit, CliError> {
    match command {
        TrashCommand::List { limit } => {
            let people: Vec<PersonShown> = client.get(&format!("/trash?limit={limit}")).await?;
            style.answer(&people, |people| show::people(people));
        }
        TrashCommand::Restore { people } => {
            let people = people.iter().map(|id| person(id)).collect::<Result<_, _>>()?;
            let back: Vec<PersonShown> = client.post("/trash/restore", Some(&TrashRequest { people })).await?;
            style.answer(&back, |back| show::people(back));
        }
        TrashCommand::Purge(WhichTrash { people, all, yes }) => {
            let people: Vec<PersonId> = if all {
                everybody(client).await?
            } else {
                people.iter().map(|id| person(id)).collect::<Result<_, _>>()?
            };
            let question = format!("Remove the content of {} people for good?", people.len());
            if !yes && !agreed(&question)? {
                return Ok(Exit::Waits);
            }
            let answer: PurgeAnswer = client.post("/trash/purge", Some(&TrashRequest { people })).await?;
            style.answer(&answer, show::purged);
            return Ok(if answer.waiting.is_empty() { Exit::Ok } else { Exit::Waits });
        }
    }
    Ok(Exit::Ok)
}

/// Everybody in the trash, in pages.
async fn everybody(client: &Client) -> Result<Vec<PersonId>, CliError> {
    let mut all: Vec<PersonId> = Vec::new();
    loop {
        let after = all.last().map(|id| format!("&after={id}")).unwrap_or_default();
        let page: Vec<PersonShown> = client.get(&format!("/trash?limit=1000{after}")).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page.iter().map(|shown| shown.person.id));
    }
}
