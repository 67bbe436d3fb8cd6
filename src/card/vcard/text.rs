//! Values between bytes and text: escapes, encodings, lists, folding, both ways.

use std::borrow::Cow;

use super::line::{Line, Version};

/// The parts between separators that are not escaped.
pub fn split(value: &[u8], separator: u8) -> Vec<&[u8]> {
    let mut parts = Vec::with_capacity(8);
    let (mut start, mut escaped) = (0, false);
    for (at, byte) in value.iter().enumerate() {
        if escaped {
            escaped = false;
        } else if *byte == b'\\' {
            escaped = true;
        } else if *byte == separator {
            parts.push(&value[start..at]);
            start = at + 1;
        }
    }
    parts.push(&value[start..]);
    parts
}

impl Line<'_> {
    /// The whole value as text.
    pub fn text(&self, version: Version) -> String {
        self.decode(&self.value, version)
    }

    /// A part of the value as text: transfer encoding, character set and escapes undone, in that order.
    pub fn decode(&self, part: &[u8], version: Version) -> String {
        let plain: Cow<'_, [u8]> = if self.encoded(&["quoted-printable"]) { unquote(part).into() } else { part.into() };
        unescape(&self.characters(&plain), version).into_owned()
    }

    /// The value in characters, still escaped and encoded.
    pub fn raw_text(&self) -> String {
        self.characters(&self.value).into_owned()
    }

    /// UTF-8, else by the line's own `CHARSET`, else Windows-1252.
    fn characters<'b>(&self, bytes: &'b [u8]) -> Cow<'b, str> {
        let named = || {
            let name = self.param("CHARSET")?;
            encoding_rs::Encoding::for_label(name.as_bytes()).filter(|set| *set != encoding_rs::UTF_8)
        };
        match std::str::from_utf8(bytes) {
            // ISO-2022 sets look like ASCII and aren't.
            Ok(text) if !bytes.contains(&0x1b) => Cow::Borrowed(text),
            Ok(text) => named().map_or(Cow::Borrowed(text), |set| set.decode(bytes).0),
            Err(_) => named().unwrap_or(encoding_rs::WINDOWS_1252).decode(bytes).0,
        }
    }
}

/// Undoes the escapes of RFC 6350 §3.4 and, more kindly, any other backslash in front of anything (Apple's `http\://`).
/// 2.1 escapes the semicolon only.
fn unescape(text: &str, version: Version) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('\\', Some(next)) if version != Version::V2 || matches!(next, ';' | ',' | ':' | '\\') => {
                plain.push(if matches!(next, 'n' | 'N') { '\n' } else { *next });
                chars.next();
            }
            _ => plain.push(c),
        }
    }
    Cow::Owned(plain)
}

/// Undoes RFC 6868 and the quotes around a parameter's value.
pub fn unescape_param(value: &str) -> Cow<'_, str> {
    let value = value.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(value);
    if !value.contains('^') {
        return Cow::Borrowed(value);
    }
    let mut plain = String::with_capacity(value.len());
    let mut chars = value.chars().peekable();
    while let Some(c) = chars.next() {
        let meant = match (c, chars.peek()) {
            ('^', Some('n' | 'N')) => '\n',
            ('^', Some('^')) => '^',
            ('^', Some('\'')) => '"',
            _ => {
                plain.push(c);
                continue;
            }
        };
        plain.push(meant);
        chars.next();
    }
    Cow::Owned(plain)
}

/// Undoes quoted-printable (RFC 2045 §6.7); what isn't it, stays.
fn unquote(bytes: &[u8]) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|b| char::from(*b).to_digit(16)).and_then(|n| u8::try_from(n).ok());
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match (byte, digit(bytes.get(at + 1)), digit(bytes.get(at + 2))) {
            (b'=', Some(high), Some(low)) => {
                plain.push(high * 16 + low);
                at += 3;
            }
            _ => {
                plain.push(*byte);
                at += 1;
            }
        }
    }
    plain
}

/// Escapes a text (RFC 6350 §3.4, RFC 2426 §5), the same in 3.0 and 4.0; 2.1 has no line breaks but in quoted-printable, and
/// a backslash only where it would be read as an escape.
pub fn escape(text: &str, version: Version) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    let mut chars = text.chars().filter(|c| matches!(c, '\n' | '\t') || !c.is_control()).peekable();
    while let Some(c) = chars.next() {
        match c {
            ';' => escaped.push_str("\\;"),
            '\\' if version == Version::V2 && matches!(chars.peek(), None | Some(';' | ',' | ':' | '\\')) => {
                escaped.push_str("\\\\");
            }
            '\\' | ',' if version != Version::V2 => escaped.extend(['\\', c]),
            '\n' if version != Version::V2 => escaped.push_str("\\n"),
            '\n' => escaped.push_str("\r\n"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A URI as a value: separators are its own; only what unescaping would take for an escape is guarded.
pub fn escape_uri(uri: &str) -> String {
    uri.chars().filter(|c| !c.is_control()).collect::<String>().replace('\\', "\\\\")
}

/// A parameter's value: RFC 6868, in quotes where it has to be.
pub fn escape_param(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    let mut quoted = false;
    for c in value.chars() {
        match c {
            '^' => escaped.push_str("^^"),
            '"' => escaped.push_str("^'"),
            '\n' => escaped.push_str("^n"),
            c if c.is_control() => {}
            c => {
                quoted |= matches!(c, ':' | ';' | ',');
                escaped.push(c);
            }
        }
    }
    if quoted { format!("\"{escaped}\"") } else { escaped }
}

/// Quoted-printable on one line, for 2.1.
pub fn quote(text: &str) -> String {
    use std::fmt::Write;
    let mut quoted = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'=' | 0..=0x1f | 0x7f.. => {
                // Writing to a String can't fail.
                let _ = write!(quoted, "={byte:02X}");
            }
            _ => quoted.push(char::from(byte)),
        }
    }
    quoted
}

/// Appends a line folded at 75 octets, never within a character (RFC 6350 §3.2), with its line end.
pub fn push_folded(out: &mut Vec<u8>, line: &[u8]) {
    let mut rest = line;
    let mut room = 75;
    while rest.len() > room {
        let mut at = room;
        while at > 1 && rest[at] & 0xc0 == 0x80 {
            at -= 1;
        }
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(b"\r\n ");
        rest = &rest[at..];
        room = 74;
    }
    out.extend_from_slice(rest);
    out.extend_from_slice(b"\r\n");
}

/// Appends a line in quoted-printable with soft line breaks (RFC 2045 §6.7), never within a code.
pub fn push_soft(out: &mut Vec<u8>, line: &str) {
    let colon = line.find(':').map_or(line.len(), |at| at + 1);
    let (head, value) = line.split_at(colon);
    out.extend_from_slice(head.as_bytes());
    let mut column = head.len();
    let bytes = value.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let unit = if bytes[at] == b'=' { 3 } else { 1 };
        let end = (at + unit).min(bytes.len());
        if column + unit > 75 {
            out.extend_from_slice(b"=\r\n");
            column = 0;
        }
        out.extend_from_slice(&bytes[at..end]);
        column += unit;
        at = end;
    }
    out.extend_from_slice(b"\r\n");
}
