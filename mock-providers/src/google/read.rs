//! Reading contacts: the list, in full or since a token, and single ones (`google.md` 2).
//!
//! Owns: paging, sync tokens, what a list holds. Must not: change what is stored.

use serde_json::{Value, json};

use super::error::Error;
use super::fields::Mask;
use super::render::{View, person, tombstone};
use super::tokens::Token;
use super::world::{Desk, Owner, Play};
use crate::book::{Change, Entry, Tombstone, content_hash};
use crate::journal::Effect;

/// Which sources a request wants: of the contact, of a profile (2).
pub(super) fn sources<'a>(named: impl Iterator<Item = &'a str>) -> Result<(bool, bool), Error> {
    let (mut contact, mut profile, mut any) = (false, false, false);
    for source in named {
        any = true;
        match source {
            "READ_SOURCE_TYPE_CONTACT" => contact = true,
            "READ_SOURCE_TYPE_PROFILE" => profile = true,
            "READ_SOURCE_TYPE_DOMAIN_CONTACT" | "READ_SOURCE_TYPE_OTHER_CONTACT" => {}
            other => {
                return Err(Error::field(
                    "sources",
                    format!("Invalid value at 'sources' (ReadSourceType), \"{other}\""),
                ));
            }
        }
    }
    Ok(if any { (contact, profile) } else { (true, true) })
}

/// The view that a query asks for; without a mask, `default`.
pub(super) fn view(desk: &Desk<'_>, parameter: &str, default: Option<Mask>) -> Result<View, Error> {
    let mask = match (desk.query.one(parameter), desk.query.one("requestMask.includeField"), default) {
        (Some(text), _, _) => Mask::to_read(parameter, text)?,
        (None, Some(text), _) => {
            let paths: Vec<&str> = text.split(',').map(|path| path.trim_start_matches("person.")).collect();
            Mask::to_read("requestMask.includeField", &paths.join(","))?
        }
        (None, None, Some(mask)) => mask,
        (None, None, None) => {
            let text = format!(
                "{parameter} mask is required. Please specify one or more valid paths. Valid paths are documented at \
                 https://developers.google.com/people/api/rest/v1/people/get."
            );
            return Err(Error::argument(text));
        }
    };
    let (contact, profile) = sources(desk.query.many("sources"))?;
    Ok(View { mask, contact, profile, german: desk.german, list: false, sync: false })
}

/// A contact as this desk shows it, bent by faults.
pub(super) fn show(desk: &Desk<'_>, entry: &Entry, view: &View) -> Value {
    spoil(person(desk.owner, entry, view, desk.settings, desk.photo_url), desk.play)
}

fn spoil(mut person: Value, play: Play) -> Value {
    if play.no_groups {
        person.as_object_mut().and_then(|members| members.remove("memberships"));
    }
    if play.stale_etags || play.no_etags {
        let bend = |members: &mut Value, stale: &str| {
            if let Some(members) = members.as_object_mut().filter(|members| members.contains_key("etag")) {
                members.remove("etag");
                if play.stale_etags {
                    members.insert("etag".to_owned(), stale.into());
                }
            }
        };
        bend(&mut person, "%c3RhbGUrL3N0YWxl");
        if person.get("metadata").is_some() {
            let sources = person["metadata"]["sources"].as_array_mut();
            sources.into_iter().flatten().for_each(|source| bend(source, "#c3RhbGUrLw=="));
        }
    }
    person
}

const ORDERS: [&str; 4] =
    ["LAST_MODIFIED_ASCENDING", "LAST_MODIFIED_DESCENDING", "FIRST_NAME_ASCENDING", "LAST_NAME_ASCENDING"];

/// `people.connections.list`.
pub(super) fn list(desk: &mut Desk<'_>) -> Result<Value, Error> {
    let mut view = View { list: true, ..view(desk, "personFields", None)? };
    let size = desk.query.page_size(100, 1000)?;
    let wants_token = desk.query.flag("requestSyncToken")?;
    let sync = desk.query.one("syncToken").map(str::to_owned);
    let order = desk.query.one("sortOrder").unwrap_or(ORDERS[0]).to_owned();
    if !ORDERS.contains(&order.as_str()) {
        return Err(Error::field("sortOrder", format!("Invalid value at 'sort_order' (SortOrder), \"{order}\"")));
    }
    if (wants_token || sync.is_some()) && order != ORDERS[0] {
        return Err(Error::argument("A sort order can't be given with a sync token or a request for one."));
    }
    let mut bound = format!("{}|{}|{}", view.mask.text(), view.contact, view.profile);
    if desk.settings.reads.token_binds_page_size {
        bound += &format!("|{size}");
    }
    let sync_bound = content_hash(bound.as_bytes());
    bound += &format!("|{size}|{wants_token}|{order}|{}", sync.as_deref().unwrap_or_default());
    let page_bound = content_hash(bound.as_bytes());

    let here = desk.owner.book.cursor();
    let read = |text: &str, bound: u64, page: bool| Token::of(text, "connections", desk.who, bound, page);
    let page = desk.query.one("pageToken").map(|text| read(text, page_bound, true)).transpose()?;
    let since = sync.as_deref().map(|text| read(text, sync_bound, false)).transpose()?;
    if let Some(since) = &since {
        since.check_age(desk.settings, desk.now)?;
        if since.line != here.generation {
            return Err(Error::expired_token(desk.settings.errors));
        }
    }
    if page.as_ref().is_some_and(|page| page.line != here.generation) {
        return Err(Error::argument("Request contains an invalid argument."));
    }
    view.sync = since.is_some();

    let first = Token {
        of: "connections".to_owned(),
        user: desk.who,
        bound: sync_bound,
        revision: here.revision,
        line: here.generation,
        full: since.as_ref().map_or(desk.now, |since| since.full),
        given: desk.now,
        page: None,
    };
    // Later pages lead to the state that was there at the first, so that nothing which happens in between is lost.
    let base = page.clone().unwrap_or(first);
    let rows = match &since {
        Some(since) => changes(desk, since, page.as_ref(), &view, size)?,
        None => contacts(desk, page.as_ref().and_then(|page| page.page).unwrap_or_default(), &order, &view, size),
    };
    let mut out = json!({});
    let mut shown = rows.people;
    if desk.play.no_rows {
        shown.clear();
    }
    if desk.play.omit_rows {
        let mut at = 0;
        shown.retain(|_| {
            at += 1;
            at % 2 == 0
        });
    }
    shown.truncate(desk.play.truncate.unwrap_or(usize::MAX));
    if desk.play.twice {
        shown = shown.into_iter().flat_map(|one| [one.clone(), one]).collect();
    }
    desk.effects.push(Effect::Listed(shown.len()));
    if !shown.is_empty() {
        out["connections"] = shown.into();
    }
    if let Some(next) = rows.next {
        out["nextPageToken"] = Token { bound: page_bound, page: Some(next), ..base }.text().into();
    } else if wants_token {
        let revision = rows.reached.unwrap_or(base.revision);
        let (bound, given) = (sync_bound, desk.now);
        out["nextSyncToken"] = Token { bound, revision, given, page: None, ..base }.text().into();
    }
    if let Some(total) = rows.total.filter(|total| *total > 0) {
        out["totalPeople"] = total.into();
        out["totalItems"] = total.into();
    }
    Ok(out)
}

/// A page of either listing.
struct Rows {
    people: Vec<Value>,
    /// Where the next page begins.
    next: Option<u64>,
    /// What a list of changes has come to.
    reached: Option<u64>,
    total: Option<usize>,
}

/// A page of all contacts. Those in no group are not among them (2).
fn contacts(desk: &Desk<'_>, from: u64, order: &str, view: &View, size: usize) -> Rows {
    let mut all: Vec<&Entry> = desk.owner.book.entries().filter(|entry| !entry.groups.is_empty()).collect();
    let total = Some(all.len());
    let page: Vec<&Entry>;
    let next;
    if order == ORDERS[0] {
        all.sort_by_key(|entry| entry.revision);
        let start = all.partition_point(|entry| entry.revision <= from);
        page = all[start..].iter().take(size).copied().collect();
        next = page.last().map(|last| last.revision).filter(|_| start + page.len() < all.len());
    } else {
        let name = |entry: &&Entry, part: &str| {
            let fields = Owner::fields(entry);
            let name = fields.get("names").map(|names| names[0][part].as_str().unwrap_or_default().to_lowercase());
            (name.unwrap_or_default(), entry.revision)
        };
        match order {
            "LAST_MODIFIED_DESCENDING" => all.sort_by_key(|entry| std::cmp::Reverse(entry.revision)),
            "FIRST_NAME_ASCENDING" => all.sort_by_cached_key(|entry| name(entry, "givenName")),
            _ => all.sort_by_cached_key(|entry| name(entry, "familyName")),
        }
        let start = usize::try_from(from).unwrap_or(usize::MAX).min(all.len());
        page = all[start..].iter().take(size).copied().collect();
        let end = start + page.len();
        next = (end < all.len()).then_some(end as u64);
    }
    let people = page.into_iter().map(|entry| show(desk, entry, view)).collect();
    Rows { people, next, reached: None, total }
}

/// A page of what has changed since a token.
fn changes(desk: &Desk<'_>, since: &Token, page: Option<&Token>, view: &View, size: usize) -> Result<Rows, Error> {
    let book = &desk.owner.book;
    let mut cursor = since.cursor();
    let expired = |_| Error::expired_token(desk.settings.errors);
    let total = match desk.settings.reads.totals_of_changes {
        true => Some(book.changes(cursor, usize::MAX).map_err(expired)?.changes.len()),
        false => None,
    };
    if let Some(at) = page.and_then(|page| page.page) {
        cursor.revision = at;
    }
    let found = book.changes(cursor, size).map_err(expired)?;
    let gone = |tombstone_of: &Tombstone| tombstone(tombstone_of, &view.mask);
    let renamed = |gone: &Tombstone| book.resolve(&gone.id).is_some();
    let keep = desk.settings.reads.rename_leaves_tombstone;
    let row = |change: &Change<'_>| match change {
        // Whoever is in no group is no longer among the contacts.
        Change::Upsert(entry) if entry.groups.is_empty() => {
            let (id, revision, modified) = (entry.id.clone(), entry.revision, entry.modified);
            Some(gone(&Tombstone { id, revision, modified }))
        }
        Change::Upsert(entry) => Some(show(desk, entry, view)),
        Change::Delete(tombstone) if renamed(tombstone) && !keep => None,
        Change::Delete(tombstone) => Some(gone(tombstone)),
    };
    let mut people: Vec<Value> = found.changes.iter().filter_map(row).collect();
    if desk.settings.reads.older_states && !found.more {
        // A list that is behind a write shows what was there before it (2.2), if there is room on the page.
        let room = size.saturating_sub(people.len());
        let older = book.older_since(since.cursor()).filter(|entry| !entry.groups.is_empty()).take(room);
        people.extend(older.map(|entry| show(desk, entry, view)));
    }
    Ok(Rows { people, next: found.more.then_some(found.cursor.revision), reached: Some(found.cursor.revision), total })
}

/// The id in a resource name.
pub(super) fn id_of(name: &str) -> Option<&str> {
    name.strip_prefix("people/").filter(|id| !id.is_empty())
}

/// `people.get`. A former name finds the contact too (2.2).
pub(super) fn get(desk: &mut Desk<'_>, id: &str) -> Result<Value, Error> {
    let view = view(desk, "personFields", None)?;
    if id == "me" {
        return Ok(myself(desk, &view));
    }
    let entry = desk.owner.seen(id, desk.now).ok_or_else(Error::not_found)?;
    let shown = show(desk, entry, &view);
    desk.effects.push(Effect::Read(1));
    Ok(shown)
}

/// The user's own profile, as far as a client for contacts may ask for it.
fn myself(desk: &Desk<'_>, view: &View) -> Value {
    let owner = &desk.owner;
    let metadata = json!({"primary": true, "source": {"type": "PROFILE", "id": owner.sub}});
    let mut out = json!({"resourceName": format!("people/{}", owner.sub), "etag": "%cHJvZmlsZQ=="});
    if view.mask.has("names") {
        out["names"] = json!([{"metadata": metadata, "displayName": owner.name, "unstructuredName": owner.name}]);
    }
    if view.mask.has("emailAddresses") {
        out["emailAddresses"] = json!([{"metadata": metadata, "value": owner.email}]);
    }
    out
}

/// `people.getBatchGet`.
pub(super) fn batch_get(desk: &mut Desk<'_>) -> Result<Value, Error> {
    let view = view(desk, "personFields", None)?;
    let names: Vec<String> = desk.query.many("resourceNames").map(str::to_owned).collect();
    if names.is_empty() || names.len() > 200 {
        return Err(Error::field("resourceNames", "Between 1 and 200 resource names must be given."));
    }
    let respond = |name: &String| {
        let entry = id_of(name).and_then(|id| desk.owner.seen(id, desk.now));
        response(desk, name, entry, &view)
    };
    let mut responses: Vec<Value> = names.iter().map(respond).collect();
    if desk.play.omit_rows {
        responses.pop();
    }
    desk.effects.push(Effect::Read(responses.len()));
    Ok(json!({"responses": responses}))
}

/// A `PersonResponse` (4). A missing contact has a status and no person. UNVERIFIED shape (4.1).
pub(super) fn response(desk: &Desk<'_>, name: &str, entry: Option<&Entry>, view: &View) -> Value {
    let failed = |error: &Error| json!({"requestedResourceName": name, "status": error.as_status(), "httpStatusCode": error.code});
    match (entry, desk.play.row_status) {
        (Some(_), Some(status)) => failed(&Error::of_status(status)),
        (None, _) => failed(&Error::not_found()),
        (Some(entry), None) => json!({
            "requestedResourceName": name, "httpStatusCode": 200, "status": {}, "person": show(desk, entry, view),
        }),
    }
}
