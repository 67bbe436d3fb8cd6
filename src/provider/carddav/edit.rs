//! In-place edits of a stored vCard (rule 4): what is not edited stays as it was, to the byte.
//!
//! Owns: which lines an edit of a field concerns (icloud-carddav 6.5). Must not: know a clock; build a card anew. Lines and
//! groups are [`sheet`]'s, single elements [`elements`]'s, who is who [`pairing`]'s. Start reading at [`edit`].

mod elements;
mod pairing;
mod sheet;

use std::borrow::Cow;
use std::collections::HashSet;

use crate::card::Card;
use crate::card::field::{Element, Field, FieldSet, FieldValue, Shape, Value};
use crate::card::normalize::{display_name, tidy};
use crate::card::vcard::line::Lines;
use crate::card::vcard::prop::Prop;
use crate::card::vcard::read::{Found, bare_uid};
use crate::card::vcard::text::escape;
use crate::card::vcard::write::{Draft, UNNAMED, member_line};
use crate::card::vcard::{self, Reading, Version};
use crate::ids::Timestamp;
use crate::provider::Blob;
use pairing::pair;
use sheet::{Sheet, drop_params, replace_parts};

/// Why a stored card was not edited.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// It can't be read; why.
    #[error("the stored entry can't be edited: {0}")]
    Opaque(String),
    /// It is a group, and was to be edited as a contact.
    #[error("the stored entry is a group, not a contact")]
    IsGroup,
    /// It is a contact, and was to be edited as a group.
    #[error("the stored entry is a contact, not a group")]
    NotAGroup,
    /// The picture was to be changed and its bytes are not given.
    #[error("the new picture has not been fetched yet")]
    NoPicture,
}

/// Makes the stored card say `after` in the fields of `mask`. Only the lines concerned change; what the card says now is
/// read from `raw` itself. Lists keep the order of their lines; new elements stand last. `FN` never goes: cleared, it is
/// derived. `photo` are the bytes of `after`'s picture, needed where the mask has it and it changes. `now`, if given, goes
/// into `REV`, if there is one and anything changed. Line ends become CRLF.
pub fn edit(
    raw: &[u8],
    after: &Card,
    mask: FieldSet,
    photo: Option<&Blob>,
    now: Option<Timestamp>,
) -> Result<Vec<u8>, EditError> {
    let (lines, _) = Lines::parse(raw).map_err(|why| EditError::Opaque(why.to_string()))?;
    let (Reading { card: before, is_group, .. }, found) = vcard::read_places(&lines);
    if is_group {
        return Err(EditError::IsGroup);
    }
    let mut target = before.clone();
    let mut wanted = after.clone();
    tidy(&mut wanted);
    mask.iter().for_each(|field| target.set(field, wanted.get(field)));
    let changed: FieldSet = mask.iter().filter(|field| !before.same(&target, *field)).collect();
    let mut editor = Editor { sheet: Sheet::new(&lines), found, before, target };
    if changed.iter().any(|field| NAME.contains(&field)) {
        editor.name();
    }
    for field in changed.iter() {
        match field {
            Field::Prefix | Field::Given | Field::Middle | Field::Family | Field::Suffix => {}
            Field::Display => editor.shown(),
            Field::Organizations => editor.organizations(),
            Field::Nicknames | Field::Categories => editor.commas(field),
            Field::Photo => editor.photo(photo)?,
            _ if field.shape() == Shape::One => editor.scalar(field),
            _ => editor.list(field),
        }
    }
    Ok(editor.finish(now))
}

/// Takes UIDs into a group card and out of it, as a set: members that it doesn't know, and that lead nowhere, stay.
pub fn set_members(
    raw: &[u8],
    add: &[String],
    remove: &[String],
    now: Option<Timestamp>,
) -> Result<Vec<u8>, EditError> {
    let (lines, _) = Lines::parse(raw).map_err(|why| EditError::Opaque(why.to_string()))?;
    if !vcard::read(&lines).is_group {
        return Err(EditError::NotAGroup);
    }
    let mut sheet = Sheet::new(&lines);
    // UIDs are told apart without case: Apple writes its own in capitals here and in small letters there.
    let plain = |uid: &str| bare_uid(uid).to_ascii_lowercase();
    let wanted: HashSet<String> = add.iter().map(|uid| plain(uid)).collect();
    let unwanted: HashSet<String> = remove.iter().map(|uid| plain(uid)).filter(|uid| !wanted.contains(uid)).collect();
    let mut members = sheet.of(Prop::Member);
    members.extend(sheet.of(Prop::AppleMember));
    members.sort_unstable();
    let mut present = HashSet::new();
    for at in &members {
        let uid = plain(&lines.lines[*at].text(lines.version));
        if unwanted.contains(&uid) {
            sheet.remove(*at);
        } else {
            present.insert(uid);
        }
    }
    // In the manner of those that are there, else of the card.
    let apple = members.last().map(|at| lines.lines[*at].prop == Prop::AppleMember);
    let apple = apple.unwrap_or_else(|| !sheet.of(Prop::AppleKind).is_empty());
    let version = if apple { Version::V3 } else { Version::V4 };
    let new = add.iter().filter(|uid| present.insert(plain(uid)));
    let drafts: Vec<Draft> = new.map(|uid| member_line(&bare_uid(uid), version)).collect();
    sheet.insert(members.last().copied(), drafts);
    Ok(finish(sheet, now))
}

/// Takes categories into a contact and out of it, as a set; others stay. For servers whose groups they are.
pub fn set_categories(
    raw: &[u8],
    add: &[String],
    remove: &[String],
    now: Option<Timestamp>,
) -> Result<Vec<u8>, EditError> {
    let (lines, _) = Lines::parse(raw).map_err(|why| EditError::Opaque(why.to_string()))?;
    let mut card = vcard::read(&lines).card;
    card.categories.retain(|item| !remove.contains(&item.value) || add.contains(&item.value));
    for new in add {
        if !card.categories.iter().any(|item| item.value == *new) {
            card.categories.push(crate::card::Item::new(new.as_str()));
        }
    }
    edit(raw, &card, [Field::Categories].into_iter().collect(), None, now)
}

/// The fields that share the `N` line, in its order.
const NAME: [Field; 5] = [Field::Family, Field::Given, Field::Middle, Field::Prefix, Field::Suffix];

struct Editor<'r, 'a> {
    sheet: Sheet<'r, 'a>,
    found: Vec<Found>,
    before: Card,
    target: Card,
}

impl Editor<'_, '_> {
    fn found(&self, field: Field) -> Vec<Found> {
        self.found.iter().filter(|found| found.field == field).cloned().collect()
    }

    fn name(&mut self) {
        let draft = self.sheet.writer.name(&self.target);
        let Some(at) = self.name_line() else {
            self.sheet.insert(None, [draft]);
            return;
        };
        let version = self.sheet.writer.version;
        let (before, target) = (&self.before, &self.target);
        let parts: Vec<Option<Cow<'_, str>>> = NAME
            .iter()
            .map(|field| {
                (!before.same(target, *field)).then(|| match target.get(*field) {
                    FieldValue::One(Some(Value::Text(text))) => Cow::Owned(escape(&text, version)),
                    _ => Cow::Borrowed(""),
                })
            })
            .collect();
        let whole = self.sheet.line(at).encoded(&["quoted-printable"]) || version == Version::V2;
        let line = self.sheet.draft(at);
        drop_params(line, &["SORT-AS"]);
        if whole {
            drop_params(line, &["ENCODING", "CHARSET"]);
            line.params.extend(draft.params);
            line.value = draft.value;
        } else {
            line.value = replace_parts(&line.value, &parts);
        }
    }

    fn name_line(&self) -> Option<usize> {
        self.sheet.of(Prop::N).into_iter().find(|at| self.sheet.line(*at).param("PHONETIC").is_none())
    }

    fn shown(&mut self) {
        let draft = self.sheet.writer.shown(&self.target);
        let at = self.found(Field::Display).first().map(|found| found.line);
        match at.or_else(|| self.sheet.of(Prop::Fn).first().copied()) {
            Some(at) => self.rewrite(at, draft.params, draft.value, &["SORT-AS"]),
            None => self.sheet.insert(None, [draft]),
        }
    }

    /// A card without `FN`, or with an empty one, is called what the rest of it says: where the edit was not about the name
    /// as shown, it goes on being called that.
    fn keep_shown(&mut self) {
        if !self.before.same(&self.target, Field::Display) || !self.found(Field::Display).is_empty() {
            return;
        }
        let shown = self.target.display.as_deref();
        match self.sheet.of(Prop::Fn).first().copied() {
            Some(_) if display_name(&self.target).as_deref() == shown => {}
            at => {
                let draft = self.sheet.writer.formatted(shown.unwrap_or(UNNAMED));
                match at {
                    Some(at) => self.rewrite(at, draft.params, draft.value, &[]),
                    None => self.sheet.insert(None, [draft]),
                }
            }
        }
    }

    /// Gives a line another value and the parameters that belong to it.
    fn rewrite(&mut self, at: usize, params: Vec<String>, value: String, gone: &[&str]) {
        let line = self.sheet.draft(at);
        drop_params(line, &["ENCODING", "CHARSET"]);
        drop_params(line, gone);
        line.params.extend(params);
        line.value = value;
    }

    fn scalar(&mut self, field: Field) {
        let (prop, _) = self.sheet.writer.home_of(field);
        let new = self.target.get(field).into_elements().into_iter().next();
        let old = self.found(field).into_iter().next();
        // A line that says nothing we could read (an empty one, "circa 1800") gives its place.
        let spare = || match prop {
            Prop::AppleDate => None,
            _ => self.sheet.of(prop).into_iter().find(|at| self.found.iter().all(|found| found.line != *at)),
        };
        match (old.as_ref().map(|old| old.line).or_else(spare), new) {
            (Some(at), Some(new)) => {
                let line = self.sheet.line(at);
                let encoded = self.sheet.writer.encode(line.prop, bare(line.name()), &new.value);
                self.rewrite(at, encoded.params, encoded.value, elements::own_params(line.prop));
            }
            (None, Some(new)) => {
                let drafts = self.sheet.writer.element(field, &new, false);
                self.sheet.insert(None, drafts);
            }
            (Some(at), None) => {
                let prop = self.sheet.line(at).prop;
                let others = self.sheet.of(prop);
                if prop == Prop::Note && others.len() > 1 {
                    // Its place stays, or the next note would take it.
                    self.rewrite(at, Vec::new(), String::new(), &[]);
                } else if prop == Prop::AppleDate {
                    self.sheet.remove_element(&[at]);
                } else {
                    others.into_iter().for_each(|at| self.sheet.remove_element(&[at]));
                }
            }
            (None, None) => {}
        }
    }

    fn photo(&mut self, photo: Option<&Blob>) -> Result<(), EditError> {
        let lines = self.sheet.of(Prop::Photo);
        if let Some(wanted) = &self.target.photo {
            if self.before.photo.as_ref().is_some_and(|now| now.hash == wanted.hash) {
                return Ok(());
            }
            let blob = photo.ok_or(EditError::NoPicture)?;
            let draft = self.sheet.writer.picture(&blob.media_type, &blob.bytes);
            match lines.first() {
                // Nothing of the old line fits the new picture: not its crop, nor its type.
                Some(at) => {
                    let group = self.sheet.group(*at);
                    *self.sheet.draft(*at) = Draft { group, ..draft };
                }
                None => self.sheet.insert(None, [draft]),
            }
            lines.iter().skip(1).for_each(|at| self.sheet.remove_element(&[*at]));
        } else {
            lines.iter().for_each(|at| self.sheet.remove_element(&[*at]));
        }
        self.sheet.of(Prop::ImageDetail).into_iter().for_each(|at| self.sheet.remove(at));
        Ok(())
    }

    fn list(&mut self, field: Field) {
        let old = self.found(field);
        let new = self.target.get(field).into_elements();
        let before: Vec<Element> = old.iter().map(|found| found.element.clone()).collect();
        let pairs = pair(field, &before, &new);
        for (found, to) in old.iter().zip(&pairs) {
            match to {
                Some(to) => self.change(found, &new[*to]),
                None => self.sheet.remove_element(&lines_of(found)),
            }
        }
        self.settle_marks(&old, &new);
        let behind = old.last().and_then(|last| self.sheet.end_of(&lines_of(last)));
        for (at, element) in new.iter().enumerate() {
            if !pairs.contains(&Some(at)) {
                let drafts = self.sheet.writer.element(field, element, false);
                self.sheet.insert(behind, drafts);
            }
        }
    }

    /// A mark is relative (`PREF=50` is preferred if nothing is below): where nothing is to be marked, no number may stay.
    fn settle_marks(&mut self, old: &[Found], new: &[Element]) {
        if old.iter().any(|found| found.element.preferred) && !new.iter().any(|element| element.preferred) {
            for found in
                old.iter().filter(|found| self.sheet.is_there(found.line)).map(|found| found.line).collect::<Vec<_>>()
            {
                if elements::is_marked(&self.sheet.params(found)) {
                    elements::unmark(self.sheet.draft(found));
                }
            }
        }
    }

    /// Values that commas part: those that stay keep their spelling, the others go from their line or are put on it.
    fn commas(&mut self, field: Field) {
        let old = self.found(field);
        let new = self.target.get(field).into_elements();
        let before: Vec<Element> = old.iter().map(|found| found.element.clone()).collect();
        let mut pairs = pair(field, &before, &new);
        for (found, to) in old.iter().zip(&mut pairs) {
            // Labels belong to the line; a value with others needs another line.
            let fits =
                |to: &usize| new[*to].labels == found.element.labels && new[*to].preferred == found.element.preferred;
            *to = to.filter(fits);
        }
        let (prop, name) = self.sheet.writer.home_of(field);
        let mut added: Vec<Element> =
            (0..new.len()).filter(|at| !pairs.contains(&Some(*at))).map(|at| new[at].clone()).collect();
        let mut lines: Vec<usize> = old.iter().map(|found| found.line).collect();
        lines.dedup();
        for at in lines.iter().copied() {
            let here: Vec<_> = old.iter().zip(&pairs).filter(|(found, _)| found.line == at).collect();
            let plain = here.iter().all(|(found, _)| found.element.labels.is_empty() && !found.element.preferred);
            let takes = plain && added.iter().any(|element| element.labels.is_empty() && !element.preferred);
            if !takes && here.iter().all(|(found, to)| to.is_some_and(|to| new[to].value == found.element.value)) {
                continue;
            }
            let line = self.sheet.line(at);
            let quoted = line.encoded(&["quoted-printable"]);
            let text = line.raw_text();
            let tokens = vcard::text::split(text.as_bytes(), b',');
            let mut values: Vec<String> = Vec::new();
            for (found, to) in here.iter().filter_map(|(found, to)| to.map(|to| (found, to))) {
                if new[to].value == found.element.value && !quoted {
                    values.push(
                        tokens.get(found.part).map(|t| String::from_utf8_lossy(t).into_owned()).unwrap_or_default(),
                    );
                } else {
                    values.push(self.sheet.writer.encode(prop, name, &new[to].value).value);
                }
            }
            if plain {
                let mine: fn(&Element) -> bool = |one| one.labels.is_empty() && !one.preferred;
                let (mine, rest): (Vec<_>, Vec<_>) = added.into_iter().partition(mine);
                values.extend(mine.iter().map(|one| self.sheet.writer.encode(prop, name, &one.value).value));
                added = rest;
            }
            if values.is_empty() {
                self.sheet.remove_element(&[at]);
            } else {
                self.rewrite(at, Vec::new(), values.join(","), &[]);
            }
        }
        let drafts = self.sheet.writer.commas(field, &added);
        self.sheet.insert(lines.last().copied(), drafts);
    }

    fn finish(mut self, now: Option<Timestamp>) -> Vec<u8> {
        if self.sheet.is_changed() {
            // Both are required; iCloud refuses cards without N.
            if self.name_line().is_none() {
                let draft = self.sheet.writer.name(&self.target);
                self.sheet.insert(None, [draft]);
            }
            self.keep_shown();
        }
        finish(self.sheet, now)
    }
}

/// All lines of an element.
fn lines_of(found: &Found) -> Vec<usize> {
    std::iter::once(found.line).chain(found.also.iter().copied()).collect()
}

fn bare(name: &str) -> &str {
    name.split_once('.').map_or(name, |(_, name)| name)
}

fn finish(mut sheet: Sheet<'_, '_>, now: Option<Timestamp>) -> Vec<u8> {
    if let (true, Some(now)) = (sheet.is_changed(), now) {
        let text = Timestamp(now.0 - now.0.rem_euclid(1000)).to_string();
        for at in sheet.of(Prop::Rev) {
            let dashed = sheet.line(at).value.contains(&b'-');
            sheet.draft(at).value = if dashed { text.clone() } else { text.replace(['-', ':'], "") };
        }
    }
    sheet.write()
}

#[cfg(test)]
mod tests;
