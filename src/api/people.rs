//! People: listing, adding, editing, the trash, owners and followers.
//!
//! Every change is one commit with its Operation, made from the revision that was read: who was first wins, and the other
//! is told.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Deserialize;

use super::caller::Caller;
use super::types::{LinkShown, NewPerson, PersonPatch, PersonShown, Resume};
use super::{ApiError, App, history, show};
use crate::card::Card;
use crate::card::field::Field;
use crate::card::normalize::{display_name, keep_display, tidy};
use crate::crm::access;
use crate::crm::followers;
use crate::crm::person::{Person, PersonState};
use crate::engine::Undo;
use crate::ids::{PersonId, Revision, UserId};
use crate::store::{Account, Change, Commit, Expect, PersonQuery};
use crate::sync::diff::Diff;
use crate::sync::operation::{self, Effect, Operation, PersonChange};
use crate::sync::settings::Direction;
use crate::sync::view::LinkState;

/// Which people.
#[derive(Deserialize)]
pub(super) struct Wanted {
    /// Words at the beginning of name, company, e-mail or phone.
    text: Option<String>,
    /// Only those owned by.
    owner: Option<String>,
    /// Those in the trash instead.
    #[serde(default)]
    pub(super) trashed: bool,
    after: Option<PersonId>,
    limit: Option<usize>,
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Vec<PersonShown>>, ApiError> {
    list_people(&app, &caller, wanted).await
}

pub(super) async fn list_people(
    app: &App,
    caller: &Caller,
    wanted: Wanted,
) -> Result<Json<Vec<PersonShown>>, ApiError> {
    let query = PersonQuery {
        viewer: caller.viewer(),
        text: wanted.text,
        owner: wanted.owner.map(|owner| caller.find_user(&owner).map(|user| user.id)).transpose()?,
        trashed: wanted.trashed,
        after: wanted.after,
        limit: wanted.limit.unwrap_or(100).clamp(1, 1000),
    };
    let people = app.engine.store().people(&query).await?;
    Ok(Json(people.into_iter().map(|person| show::person(person, caller)).collect()))
}

/// What of a person is asked for.
#[derive(Default, Deserialize)]
pub(super) struct How {
    /// Where each value comes from.
    #[serde(default)]
    provenance: bool,
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(person): Path<String>,
    Query(how): Query<How>,
) -> Result<Json<PersonShown>, ApiError> {
    let person = caller.find_person(&app, &person).await?;
    let mut links = Vec::new();
    for link in app.engine.store().links_of(person.id).await? {
        let Some(account) = app.engine.store().account(link.account).await? else { continue };
        // In whose other address books somebody is, is their owners' business.
        if !caller.sees_account(&account) {
            continue;
        }
        links.push(LinkShown {
            id: link.id,
            account: link.account,
            address: account.address,
            state: link.state,
            origin: link.origin,
            remote: link.remote,
        });
    }
    let who = access::who((&person).into(), &caller.directory);
    let seen_by = who.into_iter().map(|(user, because)| format!("{}: {because}", caller.name_of(user))).collect();
    let provenance = if how.provenance { history::provenance(&app, &caller, &person).await? } else { Vec::new() };
    Ok(Json(PersonShown { links, seen_by, provenance, ..show::person(person, &caller) }))
}

pub(super) async fn add(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(new): Json<NewPerson>,
) -> Result<Json<PersonShown>, ApiError> {
    let owner = match new.owner {
        Some(owner) => caller.find_user(&owner)?.id,
        None => caller.user.ok_or_else(|| {
            ApiError::Invalid("say who owns the person (--owner), or for whom you act (--as)".to_owned())
        })?,
    };
    if caller.directory.active(owner).is_none() {
        return Err(ApiError::Conflict(format!("{} is deactivated", caller.name_of(owner))));
    }
    let visible_to = match new.visible_to {
        Some(wanted) => {
            app.edition.check(wanted).map_err(|error| ApiError::Invalid(error.to_string()))?;
            wanted
        }
        None => app.edition.narrowest(),
    };
    let mut card = new.card;
    tidy(&mut card);
    refuse_photo(None, &card)?;
    if card.display.is_none() {
        card.display = display_name(&card);
    }
    if card.display.is_none() {
        return Err(ApiError::Invalid(
            "a person needs at least a name, a company, an e-mail or a phone number".to_owned(),
        ));
    }
    let now = app.engine.now();
    let times = Field::ALL.iter().copied().filter(|field| card.has(*field)).map(|field| (field, now)).collect();
    let person = Person {
        id: app.engine.new_id(),
        revision: Revision(1),
        card: card.clone(),
        times,
        custom: Default::default(),
        owner,
        visible_to,
        followers: Vec::new(),
        state: PersonState::Live,
        created: now,
        updated: now,
    };
    let mut commit = Commit::new(None, now);
    commit.changes.push(Change::PutPerson(Box::new(person.clone())));
    commit.operation = Some(Operation {
        id: app.engine.new_id(),
        at: now,
        actor: caller.actor(),
        why: "person added".to_owned(),
        effects: vec![Effect::Person { person: person.id, link: None, change: PersonChange::Created(card) }],
    });
    app.engine.store().commit(commit).await?;
    concerns(&app, &person).await;
    Ok(Json(show::person(person, &caller)))
}

pub(super) async fn edit(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(person): Path<String>,
    Json(patch): Json<PersonPatch>,
) -> Result<Json<PersonShown>, ApiError> {
    let before = caller.find_person(&app, &person).await?;
    if !before.is_live() {
        return Err(ApiError::Conflict("the person is in the trash; restore it first".to_owned()));
    }
    if patch.revision.is_some_and(|revision| Revision(revision) != before.revision) {
        return Err(ApiError::Conflict(format!(
            "somebody else has changed this person meanwhile (revision {} now); look at it again and repeat",
            before.revision.0
        )));
    }
    let mut after = before.clone();
    let mut changes = Vec::new();

    after.card = patched(&before.card, patch.card)?;
    tidy(&mut after.card);
    keep_display(&before.card, &mut after.card);
    refuse_photo(Some(&before.card), &after.card)?;
    let edited = operation::diff(&before.card, &after.card);
    let now = app.engine.now();
    for diff in &edited {
        after.times.insert(diff.field, now);
    }
    if !edited.is_empty() {
        changes.push(PersonChange::Edited(edited));
    }
    for (name, value) in patch.custom {
        let was = match &value {
            Some(value) => after.custom.insert(name.clone(), value.clone()),
            None => after.custom.remove(&name),
        };
        if was != value {
            changes.push(PersonChange::Custom { name, value: Diff::new(was, value) });
        }
    }
    if let Some(visible_to) = patch.visible_to.filter(|wanted| *wanted != before.visible_to) {
        app.edition.check(visible_to).map_err(|error| ApiError::Invalid(error.to_string()))?;
        after.visible_to = visible_to;
        changes.push(PersonChange::VisibleTo(Diff::new(before.visible_to, visible_to)));
    }
    if let Some(owner) = patch.owner {
        let to = caller.find_user(&owner)?.id;
        if to != before.owner {
            let by = acting(&caller, &before)?;
            let left = followers::change_owner((&before).into(), to, by, &caller.directory)
                .map_err(|error| ApiError::Conflict(error.to_string()))?;
            changes.push(PersonChange::Owner(Diff::new(before.owner, to)));
            after.owner = to;
            if left != before.followers {
                changes.push(PersonChange::Followers(Diff::new(before.followers.clone(), left.clone())));
                after.followers = left;
            }
        }
    }
    put(&app, &caller, &before, after, changes, "person edited").await
}

/// The card with the given fields replaced; each must be as in a [`Card`].
fn patched(card: &Card, fields: serde_json::Map<String, serde_json::Value>) -> Result<Card, ApiError> {
    let broken = |error: serde_json::Error| ApiError::Broken(error.to_string());
    let mut json = serde_json::to_value(card).map_err(broken)?;
    let Some(members) = json.as_object_mut() else { return Ok(card.clone()) };
    for (name, value) in fields {
        let field: Field = name.parse().map_err(|error| ApiError::Invalid(format!("{error}")))?;
        if value.is_null() {
            members.remove(field.name());
        } else {
            let alone = serde_json::json!({ field.name(): value.clone() });
            serde_json::from_value::<Card>(alone)
                .map_err(|error| ApiError::Invalid(format!("{field} can't be that: {error}")))?;
            members.insert(field.name().to_owned(), value);
        }
    }
    serde_json::from_value(json).map_err(|error| ApiError::Invalid(error.to_string()))
}

/// Pictures come from address books; by the API one can only be removed, since its bytes would be missing.
fn refuse_photo(before: Option<&Card>, after: &Card) -> Result<(), ApiError> {
    let known = before.and_then(|card| card.photo.as_ref());
    match &after.photo {
        Some(photo) if Some(photo) != known => {
            Err(ApiError::Invalid("a picture can't be set here yet; it comes from the address book".to_owned()))
        }
        _ => Ok(()),
    }
}

pub(super) async fn trash(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(person): Path<String>,
) -> Result<Json<PersonShown>, ApiError> {
    let before = caller.find_person(&app, &person).await?;
    if !before.is_live() {
        return Ok(Json(show::person(before, &caller)));
    }
    let mut after = before.clone();
    after.state = PersonState::Trashed { at: app.engine.now(), by: Some(acting(&caller, &before)?) };
    put(&app, &caller, &before, after, vec![PersonChange::Trashed], "person deleted").await
}

pub(super) async fn restore(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(person): Path<String>,
) -> Result<Json<PersonShown>, ApiError> {
    restored(&app, &caller, &person).await.map(Json)
}

/// Takes a person out of the trash.
pub(super) async fn restored(app: &App, caller: &Caller, person: &str) -> Result<PersonShown, ApiError> {
    let before = caller.find_person(app, person).await?;
    match before.state {
        PersonState::Live => return Ok(show::person(before, caller)),
        PersonState::Purged { .. } => {
            return Err(ApiError::Conflict("its content was removed for good and can't be restored".to_owned()));
        }
        PersonState::Trashed { .. } => {}
    }
    if let Some(merge) = app.engine.merge_of(before.id).await? {
        let what = Undo::Operations(vec![merge]);
        let touches = app.engine.preview_undo(&what, caller.actor()).await?.touches;
        super::undo::carry_out(app, caller, &what, touches).await?;
        return Ok(show::person(caller.find_person(app, person).await?, caller));
    }
    let after = Person { state: PersonState::Live, ..before.clone() };
    let Json(shown) = put(app, caller, &before, after, vec![PersonChange::Restored], "person restored").await?;
    Ok(shown)
}

/// Paused links go on (rule 18).
pub(super) async fn resume(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(person): Path<String>,
    Json(asked): Json<Resume>,
) -> Result<Json<PersonShown>, ApiError> {
    let person = caller.find_person(&app, &person).await?;
    let account = match &asked.account {
        Some(name) => Some(caller.find_account(&app, name).await?.id),
        None => None,
    };
    let links = app.engine.store().links_of(person.id).await?;
    let paused = links.iter().filter(|l| l.state == LinkState::Paused);
    // Others' accounts are their owners' business.
    let mut mine = Vec::new();
    for link in paused.filter(|l| account.is_none_or(|account| l.account == account)) {
        let of = app.engine.store().account(link.account).await?;
        if of.is_some_and(|account| caller.sees_account(&account)) {
            mine.push(link.account);
        }
    }
    if mine.is_empty() {
        return Err(ApiError::Conflict("nothing of this person is paused there".to_owned()));
    }
    for account in mine {
        app.engine.resume_links(person.id, Some(account), caller.actor()).await?;
    }
    show(State(app), caller, Path(person.id.to_string()), Query(How::default())).await
}

pub(super) async fn follow(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((person, user)): Path<(String, String)>,
) -> Result<Json<PersonShown>, ApiError> {
    let before = caller.find_person(&app, &person).await?;
    let who = caller.find_user(&user)?.id;
    let by = acting(&caller, &before)?;
    let left = followers::add((&before).into(), who, by, &caller.directory);
    set_followers(&app, &caller, before, left.map_err(|error| ApiError::Conflict(error.to_string()))?).await
}

pub(super) async fn unfollow(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((person, user)): Path<(String, String)>,
) -> Result<Json<PersonShown>, ApiError> {
    let before = caller.find_person(&app, &person).await?;
    let who = caller.find_user(&user)?.id;
    let by = acting(&caller, &before)?;
    let left = followers::remove((&before).into(), who, by, &caller.directory);
    set_followers(&app, &caller, before, left.map_err(|error| ApiError::Conflict(error.to_string()))?).await
}

async fn set_followers(
    app: &App,
    caller: &Caller,
    before: Person,
    after: Vec<UserId>,
) -> Result<Json<PersonShown>, ApiError> {
    let mut changes = Vec::new();
    if after != before.followers {
        changes.push(PersonChange::Followers(Diff::new(before.followers.clone(), after.clone())));
    }
    let person = Person { followers: after, ..before.clone() };
    put(app, caller, &before, person, changes, "followers changed").await
}

/// In whose name: the user's, or for the operator that of somebody who may do it, an administrator first.
fn acting(caller: &Caller, person: &Person) -> Result<UserId, ApiError> {
    if let Some(user) = caller.user {
        return Ok(user);
    }
    let who = access::who(person.into(), &caller.directory);
    let admin = who.iter().find(|(_, because)| *because == access::Because::Admin);
    let owner = who.iter().find(|(_, because)| *because == access::Because::Owner);
    admin.or(owner).map(|(user, _)| *user).ok_or_else(|| {
        ApiError::Conflict("its owner is deactivated and there is no administrator; add one first".to_owned())
    })
}

/// Stores the next revision, if anything changed.
async fn put(
    app: &App,
    caller: &Caller,
    before: &Person,
    mut after: Person,
    changes: Vec<PersonChange>,
    why: &str,
) -> Result<Json<PersonShown>, ApiError> {
    if changes.is_empty() {
        return Ok(Json(show::person(before.clone(), caller)));
    }
    let now = app.engine.now();
    after.revision = Revision(before.revision.0 + 1);
    after.updated = now;
    let mut commit = Commit::new(None, now);
    commit.expect.push(Expect::Person(before.id, before.revision));
    if let Some(user) = caller.user.filter(|_| !caller.is_admin()) {
        commit.expect.push(Expect::Access(user, before.id));
    }
    commit.changes.push(Change::PutPerson(Box::new(after.clone())));
    let effects = changes.into_iter().map(|change| Effect::Person { person: before.id, link: None, change }).collect();
    let (id, why) = (app.engine.new_id(), why.to_owned());
    commit.operation = Some(Operation { id, at: now, actor: caller.actor(), why, effects });
    app.engine.store().commit(commit).await?;
    concerns(app, &after).await;
    Ok(Json(show::person(after, caller)))
}

/// The accounts that an edit concerns, those that have a link to the person and those of its owner, are synced soon.
async fn concerns(app: &App, person: &Person) {
    let store = app.engine.store();
    // If that can't be told now, the next interval does it.
    let (Ok(accounts), Ok(links)) = (store.accounts().await, store.links_of(person.id).await) else { return };
    let concerned = |account: &Account| {
        account.settings.direction == Direction::TwoWay
            && (account.user == person.owner || links.iter().any(|link| link.account == account.id))
    };
    app.schedule.edited(accounts.into_iter().filter(concerned).map(|account| account.id).collect());
}
