//! A vCard as a list of lines over its own bytes. The one place that knows the library which takes lines apart.
//!
//! Owns: where a line starts and ends, its group, name, parameters and value. Must not: know what a property means.

use std::borrow::Cow;

use vcard::tree::line::VcardLine;

use super::prop::Prop;

/// The versions that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// vCard 2.1 (versit, 1996). Read and edited, never made anew.
    V2,
    /// RFC 2426.
    V3,
    /// RFC 6350.
    V4,
}

/// One card over its bytes: everything between `BEGIN` and `END`, line by line.
#[derive(Clone, Debug)]
pub struct Lines<'a> {
    /// The version it says; 3.0 if none.
    pub version: Version,
    /// Up to and with its `BEGIN`.
    pub head: &'a [u8],
    /// Its lines.
    pub lines: Vec<Line<'a>>,
    /// Its `END` and all that follows, or a card within that never ends; empty if there is neither.
    pub tail: &'a [u8],
}

/// One line with its continuations.
#[derive(Clone, Debug)]
pub struct Line<'a> {
    /// Its bytes, line end included.
    pub raw: &'a [u8],
    /// What it is.
    pub prop: Prop,
    /// The value, unfolded, still escaped and encoded.
    pub value: Cow<'a, [u8]>,
    /// Taken apart; `None` for what is no property: broken lines, nested cards.
    parsed: Option<VcardLine<'a>>,
}

/// Why bytes are no vCard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoCard {
    /// Nothing there.
    #[error("the card is empty")]
    Empty,
    /// No `BEGIN:VCARD`.
    #[error("it does not start with BEGIN:VCARD")]
    NoBegin,
}

impl<'a> Lines<'a> {
    /// The first card of the text, and what follows its `END`.
    pub fn parse(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), NoCard> {
        let (start, mut rest) = begin(bytes)?;
        let head = &bytes[..start];
        let mut lines: Vec<Line<'a>> = Vec::with_capacity(32);
        let mut version = None;
        let mut nested = 0_usize;
        // Where the outermost of the cards within began, and after how many lines.
        let mut opened = (0, bytes);
        let mut tail: &[u8] = &[];
        let mut behind: &[u8] = &[];
        while !rest.is_empty() {
            let (line, after) = Line::take(rest);
            // What is left of a line after its soft line breaks, whatever it says: it goes where that line goes, or whatever
            // stands in its place would be continued by it.
            if let Some(last) = lines.last_mut().filter(|_| nested == 0 && line.is_rest()) {
                last.extend(bytes, rest, &line);
                rest = after;
                continue;
            }
            match line.prop {
                Prop::Begin => {
                    if nested == 0 {
                        opened = (lines.len(), rest);
                    }
                    nested += 1;
                }
                Prop::End if nested == 0 => {
                    tail = rest;
                    behind = after;
                    break;
                }
                Prop::End => nested -= 1,
                Prop::Version if nested == 0 => version = version.or(Some(version_of(&line.value))),
                _ => {}
            }
            let at = rest;
            rest = after;
            if nested > 0 || matches!(line.prop, Prop::Begin | Prop::End) {
                lines.push(Line { prop: Prop::Other, parsed: None, ..line });
                continue;
            }
            // A base64 value without the blanks that mark continuations (2.1 writers).
            match lines.last_mut().filter(|last| line.parsed.is_none() && last.is_base64()) {
                Some(last) => last.extend(bytes, at, &line),
                None => lines.push(line),
            }
        }
        if nested > 0 {
            // What was put in now would be put into that one.
            let (count, at) = opened;
            lines.truncate(count);
            tail = at;
        }
        Ok((Self { version: version.unwrap_or(Version::V3), head, lines, tail }, behind))
    }
}

/// Where the line after `BEGIN:VCARD` starts.
fn begin(bytes: &[u8]) -> Result<(usize, &[u8]), NoCard> {
    let mut rest = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    while !rest.is_empty() {
        let end = rest.iter().position(|b| *b == b'\n').map_or(rest.len(), |at| at + 1);
        let (line, after) = rest.split_at(end);
        let line = line.trim_ascii();
        if line.is_empty() {
            rest = after;
        } else if line.eq_ignore_ascii_case(b"BEGIN:VCARD") {
            return Ok((bytes.len() - after.len(), after));
        } else {
            return Err(NoCard::NoBegin);
        }
    }
    Err(NoCard::Empty)
}

fn version_of(value: &[u8]) -> Version {
    match value.trim_ascii() {
        b"2.1" | b"2.0" => Version::V2,
        v if v.starts_with(b"3") => Version::V3,
        _ => Version::V4,
    }
}

impl<'a> Line<'a> {
    fn take(bytes: &'a [u8]) -> (Self, &'a [u8]) {
        match VcardLine::take(bytes) {
            Ok((parsed, after)) => {
                let raw = &bytes[..bytes.len() - after.len()];
                let head = parsed.name.get().len() + parsed.params.iter().map(param_len).sum::<usize>() + 1;
                let value = if parsed.wire.is_empty() {
                    let mut value = &raw[head.min(raw.len())..raw.len().saturating_sub(parsed.eol.get().len())];
                    if let Some(cut) = value.strip_suffix(b"\r").filter(|_| parsed.eol.get().is_empty()) {
                        // Cut off within its line end, which may be that of a soft line break.
                        value = cut;
                        while value.ends_with(b"=") && is_quoted_printable(raw) {
                            value = &value[..value.len() - 1];
                        }
                    }
                    Cow::Borrowed(value)
                } else {
                    let mut logical = unfold(raw);
                    logical.drain(..head.min(logical.len()));
                    Cow::Owned(logical)
                };
                let line = Self { raw, prop: Prop::of(parsed.bare_name()), value, parsed: Some(parsed) };
                (line, after)
            }
            Err(_) => {
                let end = bytes.iter().position(|b| *b == b'\n').map_or(bytes.len(), |at| at + 1);
                let (raw, after) = bytes.split_at(end);
                (Self { raw, prop: Prop::Other, value: Cow::Borrowed(&[]), parsed: None }, after)
            }
        }
    }

    /// Takes that line along, which stands behind this one in `all`, where `rest` begins.
    fn extend(&mut self, all: &'a [u8], rest: &'a [u8], line: &Self) {
        let at = all.len() - rest.len();
        self.raw = &all[at - self.raw.len()..at + line.raw.len()];
        if self.is_base64() {
            self.value.to_mut().extend_from_slice(line.raw.trim_ascii());
        }
    }

    /// The group in front of the name: `item1`.
    pub fn group(&self) -> Option<&str> {
        self.parsed.as_ref().and_then(VcardLine::group)
    }

    /// Whether it would be read as the continuation of whatever stands in front of it.
    pub fn is_rest(&self) -> bool {
        self.raw.starts_with(b" ") || self.raw.starts_with(b"\t")
    }

    /// Its bytes without a soft line break of quoted-printable (RFC 2045 §6.7) that nothing follows.
    pub fn without_soft_break(&self) -> &'a [u8] {
        let mut text = self.raw.trim_ascii_end();
        // Whatever makes a reader go on, be it a property of that name.
        if !text.ends_with(b"=") || !(self.encoded(&["QUOTED-PRINTABLE"]) || is_quoted_printable(self.raw)) {
            return self.raw;
        }
        while let Some(rest) = text.strip_suffix(b"=") {
            text = rest.trim_ascii_end();
        }
        text
    }

    /// Whether it is a property at all.
    pub fn is_property(&self) -> bool {
        self.parsed.is_some()
    }

    /// Group and name as written.
    pub fn name(&self) -> &str {
        self.parsed.as_ref().map(|line| line.name.get()).unwrap_or_default()
    }

    /// Its parameters as written, each with its name.
    pub fn raw_params(&self) -> impl Iterator<Item = String> {
        self.parsed.iter().flat_map(|line| line.params.iter().map(ToString::to_string))
    }

    /// The first value of the parameter, without quotes and carets (RFC 6868).
    pub fn param(&self, name: &str) -> Option<Cow<'_, str>> {
        let line = self.parsed.as_ref()?;
        let param = line.params.iter().find(|param| param.name.get().eq_ignore_ascii_case(name))?;
        param.values.first().map(|value| super::text::unescape_param(value.get()))
    }

    /// Each word of its types: `type=HOME;type=pref`, `TYPE="voice,home"` and the bare words of 2.1.
    pub fn types(&self) -> impl Iterator<Item = &str> {
        let params = self.parsed.iter().flat_map(|line| line.params.iter());
        params.flat_map(|param| {
            let bare = param.values.is_empty() && !is_encoding(param.name.get());
            let typed = param.name.get().eq_ignore_ascii_case("TYPE");
            let values =
                param.values.iter().filter(move |_| typed).flat_map(|value| value.get().trim_matches('"').split(','));
            bare.then(|| param.name.get()).into_iter().chain(values).map(str::trim).filter(|word| !word.is_empty())
        })
    }

    /// Whether the line says so by its `ENCODING`, or bare as in 2.1.
    pub fn encoded(&self, names: &[&str]) -> bool {
        let any = |text: &str| text.split(',').any(|text| names.iter().any(|name| text.eq_ignore_ascii_case(name)));
        self.parsed.iter().flat_map(|line| line.params.iter()).any(|param| {
            if param.values.is_empty() {
                any(param.name.get())
            } else {
                param.name.get().eq_ignore_ascii_case("ENCODING") && param.values.iter().any(|value| any(value.get()))
            }
        })
    }

    /// Whether the value is base64.
    pub fn is_base64(&self) -> bool {
        self.encoded(&["b", "base64"])
    }

    /// Whether the value is of that kind by its `VALUE`.
    pub fn is_value(&self, kind: &str) -> bool {
        self.param("VALUE").is_some_and(|value| value.eq_ignore_ascii_case(kind))
    }
}

fn param_len(param: &vcard::tree::param::node::VcardParamNode<'_>) -> usize {
    // ";NAME" and "=a,b".
    1 + param.name.get().len() + param.values.iter().map(|value| value.get().len() + 1).sum::<usize>()
}

fn is_encoding(word: &str) -> bool {
    ["QUOTED-PRINTABLE", "BASE64", "B", "7BIT", "8BIT"].iter().any(|name| word.eq_ignore_ascii_case(name))
}

/// The logical line: continuations joined (RFC 6350 §3.2, on bytes, since a fold may split a character), and the soft
/// line breaks of quoted-printable (RFC 2045 §6.7).
fn unfold(raw: &[u8]) -> Vec<u8> {
    let mut logical = Vec::with_capacity(raw.len());
    let mut soft = false;
    for physical in raw.split_inclusive(|b| *b == b'\n') {
        let content = physical.strip_suffix(b"\n").unwrap_or(physical);
        let content = content.strip_suffix(b"\r").unwrap_or(content);
        let content = if logical.is_empty() {
            content.trim_ascii_start()
        } else if soft {
            content
        } else {
            content.get(1..).unwrap_or_default()
        };
        logical.extend_from_slice(content);
        soft = logical.ends_with(b"=") && is_quoted_printable(&logical);
        if soft {
            logical.pop();
        }
    }
    while logical.ends_with(b"=") && is_quoted_printable(&logical) {
        logical.pop();
    }
    logical
}

fn is_quoted_printable(line: &[u8]) -> bool {
    let head = line.split(|b| *b == b':').next().unwrap_or_default();
    head.split(|b| *b == b';').any(|part| {
        part.eq_ignore_ascii_case(b"QUOTED-PRINTABLE") || part.eq_ignore_ascii_case(b"ENCODING=QUOTED-PRINTABLE")
    })
}
