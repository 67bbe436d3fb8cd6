//! What was done, for people to read: a person's history, a run's, and where each value comes from.
//!
//! Owns: how an operation is told to whom. A caller reads nothing of people whom it may not see, and nothing of the address
//! books of others.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};

use super::caller::Caller;
use super::runs::Of;
use super::types::{ChangeShown, HistoryRow, ProvenanceRow};
use super::{ApiError, App, show};
use crate::card::Card;
use crate::card::field::{Field, FieldValue, Value};
use crate::crm::person::Person;
use crate::ids::{AccountId, PersonId, RunId};
use crate::store::Account;
use crate::sync::diff::Diff;
use crate::sync::operation::{self, Actor, Effect, FieldDiff, Operation, PersonChange, RemoteChange};

/// So much of a history is looked through.
const MOST: usize = 10_000;

/// What was done to a person, newest first; of those that were merged into it too.
pub(super) async fn of_person(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(person): Path<String>,
    Query(of): Query<Of>,
) -> Result<Json<Vec<HistoryRow>>, ApiError> {
    let person = caller.find_person(&app, &person).await?;
    let limit = of.limit.unwrap_or(100).clamp(1, MOST);
    let mut told = Told::new(&app, &caller).await?;
    let mut rows = Vec::new();
    for operation in with_absorbed(&app, &caller, person.id, limit).await? {
        let operation = told.visible(operation).await?;
        if !operation.effects.is_empty() {
            rows.push(told.row(&operation).await?);
        }
    }
    Ok(Json(rows))
}

/// The person's operations and those of whom it absorbed, newest first.
async fn with_absorbed(app: &App, caller: &Caller, person: PersonId, limit: usize) -> Result<Vec<Operation>, ApiError> {
    let mut all: Vec<Operation> = Vec::new();
    let (mut todo, mut done) = (vec![person], Vec::new());
    while let Some(next) = todo.pop() {
        if done.contains(&next) {
            continue;
        }
        done.push(next);
        for operation in app.engine.store().history(next, limit).await? {
            for effect in &operation.effects {
                if let Effect::Person { change: PersonChange::Absorbed(other), .. } = effect
                    && app.engine.store().person(*other).await?.is_some_and(|other| caller.sees(&other))
                {
                    todo.push(*other);
                }
            }
            match all.iter_mut().find(|known| known.id == operation.id) {
                Some(known) => known.effects.extend(operation.effects),
                None => all.push(operation),
            }
        }
    }
    all.sort_by_key(|operation| std::cmp::Reverse(operation.id));
    all.truncate(limit);
    Ok(all)
}

/// Where each value of the person comes from.
pub(super) async fn provenance(app: &App, caller: &Caller, person: &Person) -> Result<Vec<ProvenanceRow>, ApiError> {
    let history = with_absorbed(app, caller, person.id, MOST).await?;
    let told = Told::new(app, caller).await?;
    let mut rows = Vec::new();
    let mut row = |field: String, value: FieldValue, found: Option<&Operation>| {
        rows.push(ProvenanceRow {
            field,
            value,
            by: found.map(|operation| told.by(operation.actor)),
            run: found.and_then(|operation| run_of(operation.actor)),
            at: found.map(|operation| operation.at),
            operation: found.map(|operation| operation.id),
        });
    };
    let newest = |says: &dyn Fn(&PersonChange) -> bool| {
        let says = |effect: &Effect| matches!(effect, Effect::Person { change, .. } if says(change));
        history.iter().find(|operation| operation.effects.iter().any(says))
    };
    for field in Field::ALL.iter().copied().filter(|field| person.card.has(*field)) {
        let said = |change: &PersonChange| match change {
            PersonChange::Created(card) => card.has(field),
            PersonChange::Edited(diffs) => diffs.iter().any(|diff| diff.field == field),
            _ => false,
        };
        row(field.name().to_owned(), person.card.get(field), newest(&said));
    }
    for (name, value) in &person.custom {
        let said = |change: &PersonChange| matches!(change, PersonChange::Custom { name: of, .. } if of == name);
        row(name.clone(), FieldValue::One(Some(Value::Text(value.clone()))), newest(&said));
    }
    Ok(rows)
}

fn run_of(actor: Actor) -> Option<RunId> {
    match actor {
        Actor::Run { run, .. } => Some(run),
        Actor::User(_) | Actor::Operator | Actor::Daemon => None,
    }
}

/// What a caller may be told, with the names that it takes.
pub(super) struct Told<'a> {
    app: &'a App,
    caller: &'a Caller,
    accounts: BTreeMap<AccountId, Account>,
    /// The name of each person; `None` = the caller may not see it.
    people: BTreeMap<PersonId, Option<String>>,
}

impl<'a> Told<'a> {
    pub(super) async fn new(app: &'a App, caller: &'a Caller) -> Result<Self, ApiError> {
        let all = app.engine.store().accounts().await?;
        let accounts = all.into_iter().filter(|a| caller.sees_account(a)).map(|a| (a.id, a)).collect();
        Ok(Self { app, caller, accounts, people: BTreeMap::new() })
    }

    /// The operation with those effects that the caller may know.
    pub(super) async fn visible(&mut self, mut operation: Operation) -> Result<Operation, ApiError> {
        let mut left = Vec::with_capacity(operation.effects.len());
        for effect in operation.effects {
            let own = match &effect {
                Effect::Person { .. } => true,
                Effect::Remote { account, .. } | Effect::Link { account, .. } | Effect::Relinked { account, .. } => {
                    self.accounts.contains_key(account)
                }
            };
            if own && self.name(effect.person()).await?.is_some() {
                left.push(effect);
            }
        }
        operation.effects = left;
        Ok(operation)
    }

    async fn name(&mut self, person: PersonId) -> Result<Option<String>, ApiError> {
        if let Some(name) = self.people.get(&person) {
            return Ok(name.clone());
        }
        let found = self.app.engine.store().person(person).await?.filter(|person| self.caller.sees(person));
        let name = found.map(|person| show::name(&person));
        self.people.insert(person, name.clone());
        Ok(name)
    }

    /// Who did it, in words.
    pub(super) fn by(&self, actor: Actor) -> String {
        match actor {
            Actor::User(user) => self.caller.name_of(user),
            Actor::Operator => "the operator".to_owned(),
            Actor::Daemon => "contactd".to_owned(),
            Actor::Run { account, .. } => match self.accounts.get(&account) {
                Some(account) => account.address.clone(),
                None => "an address book of somebody else".to_owned(),
            },
        }
    }

    /// The operation as it is told.
    pub(super) async fn row(&mut self, operation: &Operation) -> Result<HistoryRow, ApiError> {
        let mut changes = Vec::with_capacity(operation.effects.len());
        for effect in &operation.effects {
            let name = self.name(effect.person()).await?.unwrap_or_default();
            changes.push(self.change(effect, name));
        }
        Ok(HistoryRow {
            operation: operation.id,
            at: operation.at,
            by: self.by(operation.actor),
            run: run_of(operation.actor),
            why: operation.why.clone(),
            changes,
        })
    }

    fn change(&self, effect: &Effect, name: String) -> ChangeShown {
        let address = |account: &AccountId| self.accounts.get(account).map(|account| account.address.clone());
        let (side, account, remote, does, fields) = match effect {
            Effect::Person { change, .. } => {
                let (does, fields) = self.of_person(change);
                ("here", None, None, does, fields)
            }
            Effect::Remote { account, remote, change, .. } => {
                let nothing = Card::default();
                let (does, fields) = match change {
                    RemoteChange::Created(card) => ("added".to_owned(), operation::diff(&nothing, card)),
                    RemoteChange::Updated(diffs) => ("changed".to_owned(), diffs.clone()),
                    RemoteChange::Deleted { card, .. } => ("deleted".to_owned(), operation::diff(card, &nothing)),
                    RemoteChange::Joined(_) => ("put into the group".to_owned(), Vec::new()),
                    RemoteChange::Left(_) => ("taken out of the group".to_owned(), Vec::new()),
                    RemoteChange::NotTaken { fields, why } => {
                        let names: Vec<_> = fields.iter().map(|field| field.name()).collect();
                        (format!("{} not taken: {why}", names.join(", ")), Vec::new())
                    }
                };
                ("there", address(account), remote.clone(), does, fields)
            }
            Effect::Link { account, state: Diff { before, after }, .. } => {
                let word = |state: &Option<_>| state.as_ref().map(word);
                let does = match (word(before), word(after)) {
                    (None, Some(after)) => format!("linked ({after})"),
                    (Some(before), Some(after)) => format!("{before} to {after}"),
                    (_, None) => "unlinked".to_owned(),
                };
                ("link", address(account), None, does, Vec::new())
            }
            Effect::Relinked { account, state: Diff { before, after }, person, .. } => {
                let moved = if person.before == person.after { "" } else { "moved here, " };
                ("link", address(account), None, format!("{moved}{} to {}", word(before), word(after)), Vec::new())
            }
        };
        ChangeShown { person: effect.person(), name, side: side.to_owned(), account, remote, does, fields }
    }

    fn of_person(&self, change: &PersonChange) -> (String, Vec<FieldDiff>) {
        let nothing = Card::default();
        let does = match change {
            PersonChange::Created(card) => return ("added".to_owned(), operation::diff(&nothing, card)),
            PersonChange::Edited(diffs) => return ("changed".to_owned(), diffs.clone()),
            PersonChange::Trashed => "deleted".to_owned(),
            PersonChange::Restored => "restored".to_owned(),
            PersonChange::Purged => "removed for good".to_owned(),
            PersonChange::Owner(Diff { before, after }) => {
                format!("owner: {} -> {}", self.caller.name_of(*before), self.caller.name_of(*after))
            }
            PersonChange::VisibleTo(Diff { before, after }) => {
                format!("visible to: {} -> {}", before.words(), after.words())
            }
            PersonChange::Followers(Diff { before, after }) => {
                let names = |users: &[crate::ids::UserId]| {
                    users.iter().map(|user| self.caller.name_of(*user)).collect::<Vec<_>>().join(", ")
                };
                format!("followers: {} -> {}", names(before), names(after))
            }
            PersonChange::MergedInto(other) => format!("merged into {other}"),
            PersonChange::Absorbed(other) => format!("merged with {other}"),
            PersonChange::Custom { name, value: Diff { before, after } } => {
                let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "(nothing)".to_owned());
                format!("{name}: {} -> {}", shown(before), shown(after))
            }
        };
        (does, Vec::new())
    }
}

fn word<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
