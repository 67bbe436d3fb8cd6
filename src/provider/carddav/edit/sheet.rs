//! A stored card while it is edited: each line stays, goes or is written anew; new lines stand behind old ones.
//!
//! Owns: lines, groups and parameters. Must not: know fields.

use std::borrow::Cow;

use crate::card::vcard::line::{Line, Lines};
use crate::card::vcard::prop::Prop;
use crate::card::vcard::write::{Draft, Writer};

/// What becomes of a line; by default it stays.
#[derive(Clone, Debug, Default)]
struct Fate {
    goes: bool,
    becomes: Option<Draft>,
}

/// A card under edit.
pub(super) struct Sheet<'r, 'a> {
    lines: &'r Lines<'a>,
    fates: Vec<Fate>,
    behind: Vec<Vec<Draft>>,
    last: Vec<Draft>,
    /// Writes new lines in the card's version.
    pub(super) writer: Writer,
}

impl<'r, 'a> Sheet<'r, 'a> {
    pub(super) fn new(lines: &'r Lines<'a>) -> Self {
        let number = |line: &Line<'_>| {
            let group = line.group()?;
            let digits = group.len().checked_sub(4).filter(|_| group.is_char_boundary(4))?;
            (digits > 0 && group[..4].eq_ignore_ascii_case("item")).then(|| group[4..].parse::<usize>().ok()).flatten()
        };
        let last_group = lines.lines.iter().filter_map(number).max().unwrap_or(0);
        Self {
            lines,
            fates: vec![Fate::default(); lines.lines.len()],
            behind: vec![Vec::new(); lines.lines.len()],
            last: Vec::new(),
            writer: Writer { version: lines.version, last_group },
        }
    }

    pub(super) fn line(&self, at: usize) -> &'r Line<'a> {
        &self.lines.lines[at]
    }

    /// The numbers of the lines of that property that are still there.
    pub(super) fn of(&self, prop: Prop) -> Vec<usize> {
        let there = |at: &usize| self.line(*at).prop == prop && self.is_there(*at);
        (0..self.fates.len()).filter(there).collect()
    }

    pub(super) fn is_there(&self, at: usize) -> bool {
        !self.fates[at].goes
    }

    pub(super) fn is_changed(&self) -> bool {
        !self.last.is_empty()
            || self.fates.iter().any(|fate| fate.goes || fate.becomes.is_some())
            || self.behind.iter().any(|drafts| !drafts.is_empty())
    }

    /// Whether anything but the line itself will stand in its place.
    fn is_touched(&self, at: usize) -> bool {
        let Fate { goes, becomes } = &self.fates[at];
        *goes || becomes.is_some() || !self.behind[at].is_empty()
    }

    /// The line as a draft, to be changed.
    pub(super) fn draft(&mut self, at: usize) -> &mut Draft {
        let line = &self.lines.lines[at];
        self.fates[at].becomes.get_or_insert_with(|| {
            let name = line.name().split_once('.').map_or(line.name(), |(_, name)| name);
            let mut draft = Draft {
                group: line.group().map(str::to_owned),
                params: line.raw_params().collect(),
                ..Draft::new(name, line.raw_text())
            };
            if std::str::from_utf8(&line.value).is_err() {
                drop_params(&mut draft, &["CHARSET"]);
            }
            draft
        })
    }

    /// The parameters of the line as they stand now.
    pub(super) fn params(&self, at: usize) -> Vec<String> {
        match &self.fates[at].becomes {
            Some(draft) => draft.params.clone(),
            None => self.line(at).raw_params().collect(),
        }
    }

    /// The group of the line as it stands now.
    pub(super) fn group(&self, at: usize) -> Option<String> {
        match &self.fates[at].becomes {
            Some(draft) => draft.group.clone(),
            None => self.line(at).group().map(str::to_owned),
        }
    }

    /// Takes the line out, alone.
    pub(super) fn remove(&mut self, at: usize) {
        self.fates[at].goes = true;
    }

    /// Takes an element's lines out, and what only says something about them.
    pub(super) fn remove_element(&mut self, lines: &[usize]) {
        let groups: Vec<String> = lines.iter().filter_map(|at| self.group(*at)).collect();
        lines.iter().for_each(|at| self.remove(*at));
        for group in groups {
            let rest = self.members(&group);
            if rest.iter().all(|at| self.is_detail(*at)) {
                rest.into_iter().for_each(|at| self.remove(at));
            }
        }
    }

    /// Whether other elements share the group of these lines.
    pub(super) fn is_shared(&self, group: &str, lines: &[usize]) -> bool {
        self.members(group).iter().any(|at| !lines.contains(at) && !self.is_detail(*at))
    }

    /// The lines of that property in the group.
    pub(super) fn details(&self, group: &str, prop: Prop) -> Vec<usize> {
        self.members(group).into_iter().filter(|at| self.line(*at).prop == prop).collect()
    }

    fn members(&self, group: &str) -> Vec<usize> {
        let member =
            |at: &usize| self.is_there(*at) && self.group(*at).is_some_and(|of| of.eq_ignore_ascii_case(group));
        (0..self.fates.len()).filter(member).collect()
    }

    /// A label, a country's code, or an extension that we don't know: nothing without the group's own property.
    fn is_detail(&self, at: usize) -> bool {
        let line = self.line(at);
        let name = line.name().split_once('.').map_or(line.name(), |(_, name)| name);
        let extension = name.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("X-"));
        line.prop.is_detail() || (line.prop == Prop::Other && extension)
    }

    /// The last line of an element, details included: new ones of its kind stand behind it.
    pub(super) fn end_of(&self, lines: &[usize]) -> Option<usize> {
        let last = lines.iter().copied().max()?;
        let Some(group) = self.line(last).group() else { return Some(last) };
        let of_group = |at: &usize| self.line(*at).group().is_some_and(|of| of.eq_ignore_ascii_case(group));
        (last..self.fates.len()).filter(of_group).max()
    }

    /// Puts lines behind that one, or before the end.
    pub(super) fn insert(&mut self, behind: Option<usize>, drafts: impl IntoIterator<Item = Draft>) {
        match behind {
            Some(at) => self.behind[at].extend(drafts),
            None => self.last.extend(drafts),
        }
    }

    /// The card's bytes as they stand now, with CRLF line ends.
    pub(super) fn write(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(4096);
        let keep = |out: &mut Vec<u8>, bytes: &[u8]| {
            push_crlf(out, bytes);
            match bytes.last() {
                None | Some(b'\n') => {}
                // Cut off within its line end.
                Some(b'\r') => out.push(b'\n'),
                Some(_) => out.extend_from_slice(b"\r\n"),
            }
        };
        keep(&mut out, self.lines.head);
        for (at, line) in self.lines.lines.iter().enumerate() {
            match &self.fates[at] {
                Fate { goes: true, .. } => {}
                Fate { becomes: Some(draft), .. } => draft.push_to(&mut out),
                // Cut off within a quoted-printable value: whatever comes behind would be read as its rest.
                Fate { becomes: None, .. } if self.lines.tail.is_empty() && at + 1 == self.lines.lines.len() => {
                    keep(&mut out, line.without_soft_break());
                }
                Fate { becomes: None, .. } => keep(&mut out, line.raw),
            }
            self.behind[at].iter().for_each(|draft| draft.push_to(&mut out));
        }
        self.last.iter().for_each(|draft| draft.push_to(&mut out));
        let touched = !self.last.is_empty() || self.fates.len().checked_sub(1).is_some_and(|at| self.is_touched(at));
        if self.lines.tail.is_empty() {
            out.extend_from_slice(b"END:VCARD\r\n");
        } else if touched {
            // Blanks in front would make it continue what is new.
            push_crlf(&mut out, self.lines.tail.trim_ascii_start());
        } else {
            push_crlf(&mut out, self.lines.tail);
        }
        out
    }
}

/// Appends the bytes with CRLF for each LF alone: some servers keep LF, some refuse it.
pub(super) fn push_crlf(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut before = 0;
    for byte in bytes {
        if *byte == b'\n' && before != b'\r' {
            out.push(b'\r');
        }
        out.push(*byte);
        before = *byte;
    }
}

/// Takes out parameters by name; for 2.1 also the bare words of an encoding, if that is among them.
pub(super) fn drop_params(draft: &mut Draft, names: &[&str]) {
    let encoding = names.contains(&"ENCODING");
    draft.params.retain(|param| match param.split_once('=') {
        Some((name, _)) => !names.iter().any(|gone| name.eq_ignore_ascii_case(gone)),
        None => {
            !(encoding
                && ["QUOTED-PRINTABLE", "BASE64", "8BIT", "7BIT"].iter().any(|word| param.eq_ignore_ascii_case(word)))
        }
    });
}

/// The words of all types among the parameters, in order.
pub(super) fn type_words(params: &[String]) -> Vec<&str> {
    let words = params.iter().flat_map(|param| match param.split_once('=') {
        Some((name, values)) if name.eq_ignore_ascii_case("TYPE") => values.split(',').collect(),
        Some(_) => Vec::new(),
        None => vec![param.as_str()],
    });
    words.map(|word| word.trim_matches('"').trim()).filter(|word| !word.is_empty()).collect()
}

/// Takes words out of the types and leaves the other words as they stand.
pub(super) fn drop_types(draft: &mut Draft, mut gone: impl FnMut(&str) -> bool) {
    let mut kept = Vec::with_capacity(draft.params.len());
    for param in std::mem::take(&mut draft.params) {
        match param.split_once('=') {
            Some((name, values)) if name.eq_ignore_ascii_case("TYPE") => {
                let before: Vec<&str> = values.split(',').map(|word| word.trim_matches('"')).collect();
                let after: Vec<&str> = before.iter().copied().filter(|word| !gone(word.trim())).collect();
                if after.len() == before.len() {
                    kept.push(param);
                } else if !after.is_empty() {
                    let quote = if values.starts_with('"') && after.len() > 1 { "\"" } else { "" };
                    kept.push(format!("{name}={quote}{}{quote}", after.join(",")));
                }
            }
            None if gone(param.trim()) => {}
            _ => kept.push(param),
        }
    }
    draft.params = kept;
}

/// The parts of a value with some of them replaced; `None` leaves a part as it stands.
pub(super) fn replace_parts(value: &str, parts: &[Option<Cow<'_, str>>]) -> String {
    let mut all: Vec<&str> = crate::card::vcard::text::split(value.as_bytes(), b';')
        .into_iter()
        // Parted at ASCII, text stays text.
        .map(|part| std::str::from_utf8(part).unwrap_or_default())
        .collect();
    while all.len() < parts.len() {
        all.push("");
    }
    let replaced = all.iter().enumerate().map(|(at, old)| match parts.get(at) {
        Some(Some(new)) => new.as_ref(),
        _ => old,
    });
    replaced.collect::<Vec<_>>().join(";")
}
