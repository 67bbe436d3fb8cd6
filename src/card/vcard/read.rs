//! From lines to a card. Remembers for each value where it stands, so that it can be edited in place.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use super::labels::{self, Word};
use super::line::{Line, Lines, Version};
use super::prop::Prop;
use super::text::split;
use super::values::{self, Picture};
use super::write::UNNAMED;
use crate::card::field::{Element, Field, FieldValue, Shape, Value};
use crate::card::normalize::{display_name, key, tidy_label, tidy_value};
use crate::card::{Address, Card, Handle, Labels, Organization};

/// A card as read.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// The content, tidy.
    pub card: Card,
    /// The picture.
    pub picture: Option<Picture>,
    /// `UID` without `urn:uuid:`.
    pub uid: Option<String>,
    /// Whether it is a group, by `KIND` or Apple's property.
    pub is_group: bool,
    /// `MEMBER`s without `urn:uuid:`.
    pub members: Vec<String>,
}

/// A value and its place.
#[derive(Clone, Debug)]
pub struct Found {
    /// The field.
    pub field: Field,
    /// The value, labels and mark.
    pub element: Element,
    /// The line that holds it, by number; for an organization the first.
    pub line: usize,
    /// Which of the line's values it is, where commas part several.
    pub part: usize,
    /// Further lines of the same element: `TITLE` beside `ORG`, `X-AIM` beside `IMPP`.
    pub also: Vec<usize>,
    /// How much it is preferred, 1 most.
    pref: Option<u8>,
}

/// Reads the lines.
pub fn read(lines: &Lines<'_>) -> Reading {
    let (mut reading, found) = collect(lines);
    fill(&mut reading.card, found.into_iter().map(|one| (one.field, one.element)));
    reading
}

/// Reads the lines and says where each value stands: in the order of the fields, and in each of the card's list.
pub fn read_places(lines: &Lines<'_>) -> (Reading, Vec<Found>) {
    let (mut reading, mut found) = collect(lines);
    found.sort_by_key(|one| one.field);
    fill(&mut reading.card, found.iter().map(|one| (one.field, one.element.clone())));
    (reading, found)
}

fn fill(card: &mut Card, elements: impl Iterator<Item = (Field, Element)>) {
    let mut lists: Vec<Vec<Element>> = Field::ALL.iter().map(|_| Vec::new()).collect();
    for (field, element) in elements {
        lists[field as usize].push(element);
    }
    for (field, list) in Field::ALL.iter().zip(lists).filter(|(_, list)| !list.is_empty()) {
        card.set(*field, FieldValue::Many(list));
    }
    // A card without `FN`, which must have one, is called what everybody would call it: what is written there with the
    // next edit is then no news. What we write for want of anything better has been said by nobody.
    match card.display.as_deref() {
        Some(UNNAMED) => card.display = None,
        Some(_) => {}
        None => card.display = display_name(card),
    }
}

fn collect(lines: &Lines<'_>) -> (Reading, Vec<Found>) {
    let mut reader = Reader { lines, found: Vec::with_capacity(32), details: Details::of(lines) };
    let mut reading = Reading::default();
    let mut companies = Vec::new();
    let mut members = HashSet::new();
    for (at, line) in lines.lines.iter().enumerate() {
        let text = || line.text(lines.version);
        match line.prop {
            Prop::Uid if reading.uid.is_none() => reading.uid = Some(bare_uid(&text())).filter(|uid| !uid.is_empty()),
            Prop::Kind | Prop::AppleKind => reading.is_group |= text().trim().eq_ignore_ascii_case("group"),
            Prop::Member | Prop::AppleMember => {
                let uid = bare_uid(&text());
                if !uid.is_empty() && members.insert(uid.clone()) {
                    reading.members.push(uid);
                }
            }
            Prop::Photo if reading.picture.is_none() => {
                reading.picture = values::picture(line, lines.version);
                if let Some(picture) = &reading.picture {
                    reader.push(Field::Photo, Value::Photo(picture.reference()), at, 0);
                }
            }
            Prop::Org | Prop::Title | Prop::Role | Prop::PhoneticOrg => {
                if line.value.iter().any(|b| *b != b';' && !b.is_ascii_whitespace()) {
                    companies.push(at);
                }
            }
            _ => reader.line(at, line),
        }
    }
    reader.organizations(&companies);
    reader.twins();
    (reading, reader.finish())
}

/// Without the `urn:uuid:` in front, which 4.0 writes and 3.0 doesn't.
pub fn bare_uid(text: &str) -> String {
    let text = text.trim();
    match text.get(..9) {
        Some(scheme) if scheme.eq_ignore_ascii_case("urn:uuid:") => text[9..].to_owned(),
        _ => text.to_owned(),
    }
}

/// What details say about their groups, which are told apart without case (RFC 6350 §3.3).
struct Details<'r> {
    labels: BTreeMap<Cow<'r, str>, Vec<String>>,
    countries: BTreeMap<Cow<'r, str>, String>,
}

impl<'r> Details<'r> {
    fn of(lines: &'r Lines<'_>) -> Self {
        let mut details = Self { labels: BTreeMap::new(), countries: BTreeMap::new() };
        for line in &lines.lines {
            let Some(group) = line.group() else { continue };
            let text = || line.text(lines.version);
            match line.prop {
                Prop::Label => {
                    let labels = labels::of_label(&text());
                    details
                        .labels
                        .entry(lower(group))
                        .or_default()
                        .extend(labels.iter().map(|label| tidy_label(label)));
                }
                Prop::CountryCode => {
                    details.countries.entry(lower(group)).or_insert_with(text);
                }
                _ => {}
            }
        }
        details
    }
}

fn lower(group: &str) -> Cow<'_, str> {
    if group.bytes().any(|b| b.is_ascii_uppercase()) { group.to_ascii_lowercase().into() } else { group.into() }
}

struct Reader<'r, 'a> {
    lines: &'r Lines<'a>,
    found: Vec<Found>,
    details: Details<'r>,
}

impl Reader<'_, '_> {
    fn push(&mut self, field: Field, value: Value, line: usize, part: usize) {
        if field.shape() == Shape::One && self.found.iter().any(|found| found.field == field) {
            return;
        }
        let Some(value) = tidy_value(field, value) else { return };
        let (labels, pref) = self.labels_of(&self.lines.lines[line]);
        let element = Element { value, labels, preferred: false };
        self.found.push(Found { field, element, line, part, also: Vec::new(), pref });
    }

    fn labels_of(&self, line: &Line<'_>) -> (Labels, Option<u8>) {
        let mut labels = Labels::default();
        let mut pref = line.param("PREF").and_then(|pref| pref.trim().parse::<u8>().ok());
        let mut service = line.prop == Prop::AppleSocialProfile && line.param("X-SERVICE-TYPE").is_none();
        for word in line.types() {
            match labels::of_type(line.prop, word) {
                Word::Preferred => pref = Some(1),
                Word::Nothing => {}
                Word::Label(label) if service && !matches!(&*label, "home" | "work") => service = false,
                Word::Label(label @ Cow::Borrowed(_)) => labels.insert(&label),
                Word::Label(label) => labels.insert(&tidy_label(&label)),
            }
        }
        if let Some(texts) = line.group().and_then(|group| self.details.labels.get(&lower(group))) {
            texts.iter().for_each(|label| labels.insert(label));
        }
        (labels, pref)
    }

    fn line(&mut self, at: usize, line: &Line<'_>) {
        let version = self.lines.version;
        let text = || line.text(version);
        let filled = |text: String| (!text.trim().is_empty()).then_some(text);
        match line.prop {
            Prop::N if line.param("PHONETIC").is_none() => self.name(at, line),
            Prop::Fn => self.push(Field::Display, Value::Text(text()), at, 0),
            Prop::PhoneticFirst => self.push(Field::PhoneticGiven, Value::Text(text()), at, 0),
            Prop::PhoneticMiddle => self.push(Field::PhoneticMiddle, Value::Text(text()), at, 0),
            Prop::PhoneticLast => self.push(Field::PhoneticFamily, Value::Text(text()), at, 0),
            // The first is the field, even if it is empty; the others are kept as they are.
            Prop::Note if !self.lines.lines[..at].iter().any(|line| line.prop == Prop::Note) => {
                self.push(Field::Note, Value::Text(text()), at, 0);
            }
            Prop::Pronouns => self.push(Field::Pronouns, Value::Text(text()), at, 0),
            Prop::Gender => {
                let parts = split(&line.value, b';');
                let sex = parts.first().map(|part| line.decode(part, version)).unwrap_or_default();
                let rest = parts.get(1).map(|part| line.decode(part, version));
                self.push(Field::Gender, Value::Text(values::gender(&sex, rest.as_deref())), at, 0);
            }
            Prop::Nickname => self.list(Field::Nicknames, at, line),
            Prop::Categories => self.list(Field::Categories, at, line),
            Prop::Email => self.push(Field::Emails, Value::Text(text()), at, 0),
            Prop::Tel => self.push(Field::Phones, Value::Text(values::phone(text())), at, 0),
            Prop::Url => self.push(Field::Urls, Value::Text(text()), at, 0),
            Prop::Lang => self.push(Field::Languages, Value::Text(text()), at, 0),
            Prop::Adr => self.address(at, line),
            Prop::AppleRelated => self.push(Field::Relations, Value::Text(text()), at, 0),
            Prop::Related if names_somebody(line) => self.push(Field::Relations, Value::Text(text()), at, 0),
            Prop::Bday => self.date(Field::Birthday, at, line),
            Prop::Anniversary | Prop::OldAnniversary => self.date(Field::Anniversary, at, line),
            Prop::AppleDate => self.date(Field::Dates, at, line),
            Prop::Impp => {
                let service = line.param("X-SERVICE-TYPE").or_else(|| line.param("SERVICE-TYPE"));
                let user = line.param("X-USER").or_else(|| line.param("USERNAME"));
                let handle = values::handle(service.map(Into::into), user.map(Into::into), text());
                self.push(Field::Messaging, Value::Handle(handle), at, 0);
            }
            Prop::OldIm(service) => {
                if let Some(user) = filled(text()) {
                    let handle = Handle { service: Some(service.to_owned()), user: Some(user), uri: None };
                    self.push(Field::Messaging, Value::Handle(handle), at, 0);
                }
            }
            Prop::AppleSocialProfile | Prop::SocialProfile => {
                let service = line.param("X-SERVICE-TYPE").or_else(|| line.param("SERVICE-TYPE"));
                let service = service.map(Into::into).or_else(|| {
                    let known = |word: &&str| !["pref", "home", "work"].iter().any(|w| word.eq_ignore_ascii_case(w));
                    line.types().find(known).filter(|_| line.prop == Prop::AppleSocialProfile).map(str::to_owned)
                });
                let user = line.param("X-USER").or_else(|| line.param("USERNAME")).map(Into::into);
                let handle = if line.is_value("text") {
                    Handle { service, user: user.or_else(|| filled(text())), uri: None }
                } else {
                    let uri = text();
                    // Only Apple's own scheme repeats the user; a page's address says more.
                    if user.is_some() && !uri.starts_with("x-apple:") {
                        Handle { service, user, uri: filled(uri) }
                    } else if uri.starts_with("x-apple:") {
                        values::handle(service, user, uri)
                    } else {
                        Handle { service, user, uri: filled(uri) }
                    }
                };
                self.push(Field::Profiles, Value::Handle(handle), at, 0);
            }
            _ => {}
        }
    }

    fn name(&mut self, at: usize, line: &Line<'_>) {
        if self.found.iter().any(|found| self.lines.lines[found.line].prop == Prop::N) {
            return;
        }
        let fields = [Field::Family, Field::Given, Field::Middle, Field::Prefix, Field::Suffix];
        for (part, (bytes, field)) in split(&line.value, b';').into_iter().zip(fields).enumerate() {
            if !bytes.is_empty() {
                // 2.1 has no lists within parts.
                let words = if self.lines.version == Version::V2 { vec![bytes] } else { split(bytes, b',') };
                let words: Vec<String> = words.into_iter().map(|word| line.decode(word, self.lines.version)).collect();
                self.push(field, Value::Text(words.join(" ")), at, part);
            }
        }
    }

    fn list(&mut self, field: Field, at: usize, line: &Line<'_>) {
        for (part, bytes) in split(&line.value, b',').into_iter().enumerate() {
            self.push(field, Value::Text(line.decode(bytes, self.lines.version)), at, part);
        }
    }

    fn date(&mut self, field: Field, at: usize, line: &Line<'_>) {
        if line.is_value("text") {
            return;
        }
        let omitted = line.param("X-APPLE-OMIT-YEAR");
        if let Some(date) = values::date(&line.text(self.lines.version), omitted.as_deref()) {
            self.push(field, Value::Date(date), at, 0);
        }
    }

    fn address(&mut self, at: usize, line: &Line<'_>) {
        let version = self.lines.version;
        let mut parts = split(&line.value, b';').into_iter().map(|part| {
            let text = line.decode(part, version);
            (!text.trim().is_empty()).then_some(text)
        });
        let mut next = || parts.next().flatten();
        let mut address = Address {
            po_box: next(),
            extended: next(),
            street: next(),
            locality: next(),
            region: next(),
            postcode: next(),
            country: next(),
            country_code: line.param("CC").map(Into::into),
        };
        if let Some(code) = line.group().and_then(|group| self.details.countries.get(&lower(group))) {
            address.country_code.get_or_insert_with(|| code.clone());
        }
        self.push(Field::Addresses, Value::Address(address), at, 0);
    }

    /// `ORG`, `TITLE`, `ROLE` and Apple's spoken name: those of one group belong together; of those without a group the
    /// first of each, the second of each, and so on.
    fn organizations(&mut self, lines: &[usize]) {
        let mut units: Vec<(Option<String>, Vec<usize>)> = Vec::new();
        for at in lines {
            let line = &self.lines.lines[*at];
            // A group of its own beside lines without one says nothing about togetherness.
            let group = line.group().map(str::to_ascii_lowercase).filter(|group| {
                let of_group =
                    |other: &&usize| self.lines.lines[**other].group().is_some_and(|of| of.eq_ignore_ascii_case(group));
                self.details.labels.contains_key(group.as_str())
                    || lines.iter().filter(of_group).count() > 1
                    || lines.iter().all(|other| self.lines.lines[*other].group().is_some())
            });
            let fits = |unit: &&mut (Option<String>, Vec<usize>)| {
                unit.0 == group && unit.1.iter().all(|other| self.lines.lines[*other].prop != line.prop)
            };
            match units.iter_mut().find(fits) {
                Some(unit) => unit.1.push(*at),
                None => units.push((group, vec![*at])),
            }
        }
        for (_, mut unit) in units {
            let rank = |at: &usize| match self.lines.lines[*at].prop {
                Prop::Org => 0,
                Prop::Title => 1,
                Prop::Role => 2,
                _ => 3,
            };
            unit.sort_by_key(rank);
            let mut organization = Organization::default();
            let mut all = Labels::default();
            let mut pref = None;
            for at in &unit {
                let line = &self.lines.lines[*at];
                self.organization_part(line, &mut organization);
                let (labels, preferred) = self.labels_of(line);
                labels.iter().for_each(|label| all.insert(label));
                pref = pref.or(preferred);
            }
            let Some(value) = tidy_value(Field::Organizations, Value::Organization(organization)) else { continue };
            let Some((first, also)) = unit.split_first() else { continue };
            let element = Element { value, labels: all, preferred: false };
            self.found.push(Found {
                field: Field::Organizations,
                element,
                line: *first,
                part: 0,
                also: also.to_vec(),
                pref,
            });
        }
    }

    fn organization_part(&self, line: &Line<'_>, organization: &mut Organization) {
        let version = self.lines.version;
        match line.prop {
            Prop::Org => {
                let mut parts: Vec<String> =
                    split(&line.value, b';').into_iter().map(|part| line.decode(part, version)).collect();
                while parts.last().is_some_and(|part| part.trim().is_empty()) {
                    parts.pop();
                }
                let mut parts = parts.into_iter();
                organization.company = parts.next();
                let units: Vec<String> = parts.collect();
                organization.department = (!units.is_empty()).then(|| units.join("; "));
            }
            Prop::Title => organization.title = Some(line.text(version)),
            Prop::Role => organization.role = Some(line.text(version)),
            _ => organization.phonetic = Some(line.text(version)),
        }
    }

    /// Apple writes a handle twice, as `IMPP` and as `X-AIM` and its like: that is one element.
    fn twins(&mut self) {
        let mut at = 0;
        while at < self.found.len() {
            let Found { field: Field::Messaging, element, line, .. } = &self.found[at] else {
                at += 1;
                continue;
            };
            let old = matches!(self.lines.lines[*line].prop, Prop::OldIm(_));
            let same = |other: &Found| {
                other.field == Field::Messaging
                    && self.lines.lines[other.line].prop == Prop::Impp
                    && !other.also.iter().any(|also| matches!(self.lines.lines[*also].prop, Prop::OldIm(_)))
                    && key(Field::Messaging, &other.element.value) == key(Field::Messaging, &element.value)
            };
            match self.found.iter().position(same) {
                Some(twin) if old => {
                    let gone = self.found.remove(at);
                    let twin = if twin > at { twin - 1 } else { twin };
                    self.found[twin].also.push(gone.line);
                }
                _ => at += 1,
            }
        }
    }

    /// The anniversary among Apple's dates, preferred marks, the order of languages.
    fn finish(self) -> Vec<Found> {
        let Self { mut found, .. } = self;
        if !found.iter().any(|one| one.field == Field::Anniversary) {
            let is_it = |one: &&mut Found| one.field == Field::Dates && one.element.labels.iter().eq(["anniversary"]);
            if let Some(one) = found.iter_mut().find(is_it) {
                one.field = Field::Anniversary;
            }
        }
        let mut best = [None; Field::ALL.len()];
        for one in found.iter().filter(|one| one.pref.is_some()) {
            let best: &mut Option<u8> = &mut best[one.field as usize];
            *best = best.map_or(one.pref, |best| one.pref.map(|pref| pref.min(best)));
        }
        for one in found.iter_mut().filter(|one| one.pref.is_some()) {
            one.element.preferred = one.pref == best[one.field as usize];
        }
        if found.iter().filter(|one| one.field == Field::Languages).count() > 1 {
            // Stable: the order of lines stays but where PREF tells another.
            found.sort_by_key(|one| if one.field == Field::Languages { one.pref.unwrap_or(101) } else { 0 });
        }
        found
    }
}

/// Whether a `RELATED` (RFC 6350 §6.6.6) says a name; by default it says a URI, which names a card or a page.
fn names_somebody(line: &Line<'_>) -> bool {
    if line.is_value("text") {
        return true;
    }
    let scheme = line.value.iter().position(|b| *b == b':');
    !line.is_value("uri")
        && !scheme.is_some_and(|at| line.value[..at].iter().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(b)))
}
