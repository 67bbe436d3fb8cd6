//! The commands about people.

use hyper::Method;
use serde_json::{Map, Value};

use super::args::{Fields, PeopleCommand};
use super::client::{Client, part};
use super::{CliError, Exit, Style, handles, note, show};
use crate::api::types::{NewPerson, PersonPatch, PersonShown, Resume};
use crate::card::field::Field;
use crate::card::{Card, Item, Organization};

/// How many people the daemon gives at once.
const PAGE: usize = 1000;

pub(super) async fn run(command: PeopleCommand, client: &Client, style: Style) -> Result<Exit, CliError> {
    let path = |person: &str| format!("/people/{}", part(person));
    let person: PersonShown = match command {
        PeopleCommand::List { text, owner, trash, mut after, limit } => {
            let text = text.map(|text| format!("&text={}", part(&text))).unwrap_or_default();
            let owner = owner.map(|owner| format!("&owner={}", part(&owner))).unwrap_or_default();
            // One more than asked for, to know whether there are more.
            let mut people: Vec<PersonShown> = Vec::new();
            while people.len() <= limit {
                let page = (limit + 1 - people.len()).min(PAGE);
                let from = after.map(|after| format!("&after={}", part(&after))).unwrap_or_default();
                let asked = format!("/people?limit={page}&trashed={trash}{text}{owner}{from}");
                let more: Vec<PersonShown> = client.get(&asked).await?;
                let last = more.len() < page;
                after = more.last().map(|person| person.person.id.to_string());
                people.extend(more);
                if last {
                    break;
                }
            }
            let more = people.len() > limit;
            people.truncate(limit);
            style.answer(&people, |people| show::people(people));
            if let Some(last) = people.last().filter(|_| more) {
                note(&format!("there are more; go on with --after {}", last.person.id));
            }
            return Ok(Exit::Ok);
        }
        PeopleCommand::Show { person, provenance } => {
            client.get(&format!("{}?provenance={provenance}", path(&person))).await?
        }
        PeopleCommand::History { person, limit } => return handles::history(&person, limit, client, style).await,
        PeopleCommand::Merge(args) => return handles::merge(args, client, style).await,
        PeopleCommand::Add { owner, visible_to, fields } => {
            let changed = changed(&Card::default(), fields)?;
            let card = serde_json::from_value(Value::Object(changed))
                .map_err(|error| CliError::usage(format!("that is no person: {error}")))?;
            let new = NewPerson { card, owner, visible_to: visible_to.map(Into::into) };
            client.post("/people", Some(&new)).await?
        }
        PeopleCommand::Edit { person, fields } => {
            let now: PersonShown = client.get(&path(&person)).await?;
            let card = changed(&now.person.card, fields)?;
            if card.is_empty() {
                return Err(CliError::usage("say what changes; see `contactd people edit --help`"));
            }
            let patch = PersonPatch { revision: Some(now.person.revision.0), card, ..PersonPatch::default() };
            client.ask(Method::PATCH, &path(&person), Some(&patch)).await?
        }
        PeopleCommand::Set { person, owner, visible_to } => {
            if owner.is_none() && visible_to.is_none() {
                return Err(CliError::usage("say what changes; see `contactd people set --help`"));
            }
            let patch = PersonPatch { owner, visible_to: visible_to.map(Into::into), ..PersonPatch::default() };
            client.ask(Method::PATCH, &path(&person), Some(&patch)).await?
        }
        PeopleCommand::Delete { people } => {
            let mut all: Vec<PersonShown> = Vec::new();
            for person in &people {
                all.push(client.ask(Method::DELETE, &path(person), None::<&()>).await?);
            }
            style.answer(&all, |all| format!("{} in the trash", show::number(all.len(), "person is", "people are")));
            return Ok(Exit::Ok);
        }
        PeopleCommand::Restore { people } => {
            let mut all: Vec<PersonShown> = Vec::new();
            for person in &people {
                all.push(client.post(&format!("{}/restore", path(person)), None::<&()>).await?);
            }
            style.answer(&all, |all| show::people(all));
            return Ok(Exit::Ok);
        }
        PeopleCommand::Resume { person, account } => {
            client.post(&format!("{}/resume", path(&person)), Some(&Resume { account })).await?
        }
        PeopleCommand::Follow { person, user } => {
            client.ask(Method::PUT, &format!("{}/followers/{}", path(&person), part(&user)), None::<&()>).await?
        }
        PeopleCommand::Unfollow { person, user } => {
            client.ask(Method::DELETE, &format!("{}/followers/{}", path(&person), part(&user)), None::<&()>).await?
        }
    };
    style.answer(&person, show::person);
    Ok(Exit::Ok)
}

/// The fields that the arguments change, each as a whole.
fn changed(before: &Card, fields: Fields) -> Result<Map<String, Value>, CliError> {
    let mut after = before.clone();
    let Fields { given, family, display, company, title, note, birthday, .. } = fields;
    let set = |slot: &mut Option<String>, value: Option<String>| {
        if let Some(value) = value {
            *slot = Some(value);
        }
    };
    set(&mut after.given, given);
    set(&mut after.family, family);
    set(&mut after.display, display);
    set(&mut after.note, note);
    if company.is_some() || title.is_some() {
        if after.organizations.is_empty() {
            after.organizations.push(Item::<Organization>::new(Organization::default()));
        }
        if let Some(first) = after.organizations.first_mut() {
            set(&mut first.value.company, company);
            set(&mut first.value.title, title);
        }
    }
    if let Some(birthday) = birthday {
        after.birthday = Some(birthday.parse().map_err(|error| CliError::usage(format!("{error}")))?);
    }
    remove(&mut after.emails, &fields.remove_email)?;
    remove(&mut after.phones, &fields.remove_phone)?;
    after.emails.extend(fields.email.iter().map(|text| labelled(text)));
    after.phones.extend(fields.phone.iter().map(|text| labelled(text)));

    let json = |card: &Card| serde_json::to_value(card).map_err(|error| CliError::usage(error.to_string()));
    let (before_json, after_json) = (json(before)?, json(&after)?);
    let mut changed = Map::new();
    for field in Field::ALL {
        let value = &after_json[field.name()];
        if value != &before_json[field.name()] {
            changed.insert(field.name().to_owned(), value.clone());
        }
    }
    for field in fields.clear {
        changed.insert(field.name().to_owned(), Value::Null);
    }
    for text in &fields.field {
        let (field, value) =
            text.split_once('=').ok_or_else(|| CliError::usage(format!("'{text}' is not FIELD=JSON")))?;
        let field: Field = field.parse().map_err(|error| CliError::usage(format!("{error}")))?;
        // A plain text needs no quotes.
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
        changed.insert(field.name().to_owned(), value);
    }
    Ok(changed)
}

fn labelled(text: &str) -> Item<String> {
    match text.split_once('=') {
        Some((label, value)) => Item::<String>::new(value).labelled(label),
        None => Item::<String>::new(text),
    }
}

fn remove(list: &mut Vec<Item<String>>, values: &[String]) -> Result<(), CliError> {
    for value in values {
        let at = list.iter().position(|item| item.value.eq_ignore_ascii_case(value));
        let at = at.ok_or_else(|| CliError::usage(format!("there is no '{value}' to remove")))?;
        list.remove(at);
    }
    Ok(())
}
