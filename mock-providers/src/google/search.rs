//! Searching contacts by the beginnings of words, in an index that lags behind (`google.md` 4.2).
//!
//! Owns: the index and what it matches. Must not: be mistaken for a way to find something just written.

use serde_json::{Value, json};

use super::error::Error;
use super::read::{show, view};
use super::world::{Desk, Owner};
use crate::book::Entry;
use crate::journal::Effect;

/// The most results there are.
const MOST: usize = 30;

/// `people.searchContacts`. An empty query finds nothing and brings the index up to date.
pub(super) fn search(desk: &mut Desk<'_>) -> Result<Value, Error> {
    let view = view(desk, "readMask", None)?;
    let size = match desk.query.number("pageSize")? {
        None | Some(0) => 10,
        Some(size) => size.min(MOST),
    };
    let asked = desk.query.one("query").unwrap_or_default().to_lowercase();
    if asked.is_empty() || !desk.settings.reads.search_needs_warming {
        desk.owner.index = desk.owner.book.entries().cloned().collect();
    }
    if asked.is_empty() {
        return Ok(json!({}));
    }
    let hits = desk.owner.index.iter().filter(|entry| matches(entry, &asked)).take(size);
    let results: Vec<Value> = hits.map(|entry| json!({"person": show(desk, entry, &view)})).collect();
    desk.effects.push(Effect::Read(results.len()));
    Ok(if results.is_empty() { json!({}) } else { json!({"results": results}) })
}

/// Whether a word of the contact begins like this.
fn matches(entry: &Entry, asked: &str) -> bool {
    let fields = Owner::fields(entry);
    let texts = [
        ("names", "displayName"),
        ("nicknames", "value"),
        ("emailAddresses", "value"),
        ("phoneNumbers", "value"),
        ("organizations", "name"),
    ];
    texts.into_iter().any(|(field, member)| {
        let items = fields.get(field).and_then(Value::as_array).into_iter().flatten();
        items.filter_map(|item| item[member].as_str()).any(|text| {
            let text = text.to_lowercase();
            text.starts_with(asked) || text.split_whitespace().any(|word| word.starts_with(asked))
        })
    })
}
