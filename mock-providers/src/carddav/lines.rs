//! vCards as lines: unfolding, finding a property, folding again. Not a vCard library.
//!
//! Owns: the little that a server needs to judge and rewrite a card. Must not: interpret values.
//! Rules: `icloud-carddav.md` 6.1; RFC 2426 §2.6 for folding.

/// A content line without its folds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// The bytes, without line end.
    pub(super) text: Vec<u8>,
    /// Whether it was folded.
    pub(super) folded: bool,
}

impl Line {
    /// A line of text.
    pub(super) fn new(text: impl Into<Vec<u8>>) -> Self {
        Self { text: text.into(), folded: false }
    }

    /// The place of the first colon outside quotes.
    fn colon(&self) -> Option<usize> {
        let mut quoted = false;
        self.text.iter().position(|byte| {
            quoted ^= *byte == b'"';
            *byte == b':' && !quoted
        })
    }

    /// What stands before the value: group, name and parameters.
    pub(super) fn head(&self) -> &[u8] {
        &self.text[..self.colon().unwrap_or(self.text.len())]
    }

    /// The value, if there is a colon.
    pub(super) fn value(&self) -> Option<&[u8]> {
        self.colon().map(|at| &self.text[at + 1..])
    }

    /// The value as text.
    pub(super) fn value_text(&self) -> String {
        String::from_utf8_lossy(self.value().unwrap_or_default()).trim().to_owned()
    }

    /// The name with its group, as spelled.
    fn full_name(&self) -> &[u8] {
        let head = self.head();
        &head[..head.iter().position(|byte| *byte == b';').unwrap_or(head.len())]
    }

    /// The group, in capitals; empty when there is none.
    pub(super) fn group(&self) -> String {
        let name = self.full_name();
        let group = name.iter().rposition(|byte| *byte == b'.').map_or(&name[..0], |at| &name[..at]);
        String::from_utf8_lossy(group).to_ascii_uppercase()
    }

    /// The name in capitals, without its group.
    pub(super) fn name(&self) -> String {
        let name = self.full_name();
        let bare = name.iter().rposition(|byte| *byte == b'.').map_or(name, |at| &name[at + 1..]);
        String::from_utf8_lossy(bare).to_ascii_uppercase()
    }

    /// Whether it is this property; the name in capitals.
    pub(super) fn is(&self, name: &str) -> bool {
        let full = self.full_name();
        let bare = full.iter().rposition(|byte| *byte == b'.').map_or(full, |at| &full[at + 1..]);
        bare.eq_ignore_ascii_case(name.as_bytes())
    }

    /// Whether the parameters contain this text, in any case.
    pub(super) fn has_param(&self, param: &str) -> bool {
        let head = String::from_utf8_lossy(self.head()).to_ascii_uppercase();
        head.split(';').skip(1).any(|one| one == param)
    }
}

/// The lines of a card, unfolded on bytes: a fold may split a letter.
pub(super) fn unfold(card: &[u8]) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for raw in card.split(|byte| *byte == b'\n') {
        let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
        match (raw.first(), lines.last_mut()) {
            (Some(b' ' | b'\t'), Some(last)) => {
                last.text.extend_from_slice(&raw[1..]);
                last.folded = true;
            }
            _ => lines.push(Line::new(raw)),
        }
    }
    lines.retain(|line| !line.text.is_empty());
    lines
}

/// Writes lines with CRLF, folded at 75 octets between letters.
pub(super) fn fold(lines: &[Line]) -> Vec<u8> {
    let mut out = Vec::with_capacity(lines.iter().map(|line| line.text.len() + line.text.len() / 24 + 2).sum());
    for line in lines {
        let mut rest = line.text.as_slice();
        let mut room = 75;
        while rest.len() > room {
            let mut cut = room;
            while cut > room - 4 && rest[cut] & 0xC0 == 0x80 {
                cut -= 1;
            }
            out.extend_from_slice(&rest[..cut]);
            out.extend_from_slice(b"\r\n ");
            rest = &rest[cut..];
            room = 74;
        }
        out.extend_from_slice(rest);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// What a server wants to know of a card.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) version: String,
    pub(super) uid: String,
    pub(super) formatted: Option<String>,
    pub(super) has_n: bool,
    pub(super) is_group: bool,
    pub(super) prodid_folded: bool,
    /// Whether the lines are those of one vCard, in UTF-8, without control characters.
    pub(super) well_formed: bool,
}

/// Reads the facts of a card, broken or not.
pub(super) fn facts(card: &[u8], lines: &[Line]) -> Facts {
    let mut facts = Facts::default();
    for line in lines {
        match line.name().as_str() {
            "VERSION" => facts.version = line.value_text(),
            "UID" => facts.uid = line.value_text(),
            "FN" => facts.formatted = facts.formatted.or_else(|| Some(line.value_text())),
            "N" => facts.has_n = true,
            "X-ADDRESSBOOKSERVER-KIND" | "KIND" => facts.is_group |= line.value_text().eq_ignore_ascii_case("group"),
            "PRODID" => facts.prodid_folded |= line.folded,
            _ => {}
        }
    }
    let name_ok = |line: &Line| {
        let name = line.full_name();
        !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(byte))
    };
    let count = |what: &str| lines.iter().filter(|line| line.is(what)).count();
    let control = |byte: &u8| *byte < 0x20 && !b"\t\r\n".contains(byte);
    // Lines, not the card, must be UTF-8: a fold may split a letter.
    facts.well_formed = lines.iter().all(|line| std::str::from_utf8(&line.text).is_ok())
        && !card.iter().any(control)
        && lines.first().is_some_and(|line| line.text.eq_ignore_ascii_case(b"BEGIN:VCARD"))
        && lines.last().is_some_and(|line| line.text.eq_ignore_ascii_case(b"END:VCARD"))
        && (count("BEGIN"), count("END")) == (1, 1)
        && lines.iter().all(|line| line.value().is_some() && name_ok(line));
    facts
}

#[cfg(test)]
mod tests {
    use super::{Line, facts, fold, unfold};

    #[test]
    fn folds_are_undone_on_bytes_and_made_between_letters() {
        let long = format!("NOTE:{}", "ü".repeat(120));
        let folded = fold(&[Line::new(long.as_bytes())]);
        assert!(folded.split(|byte| *byte == b'\n').all(|line| line.len() <= 76 && std::str::from_utf8(line).is_ok()));
        let split = b"NOTE:\xC3\r\n \xBC\n\t!\r\n";
        assert_eq!(unfold(split), [Line { text: "NOTE:ü!".into(), folded: true }]);
        assert_eq!(unfold(&folded)[0].text, long.as_bytes());
    }

    #[test]
    fn a_line_has_group_name_parameters_and_value() {
        let line = Line::new("item1.Photo;X-A=\"b:c;d\";VALUE=uri:https://x/y");
        assert_eq!((line.group().as_str(), line.name().as_str()), ("ITEM1", "PHOTO"));
        assert_eq!(line.value_text(), "https://x/y");
        assert!(line.has_param("VALUE=URI") && line.is("PHOTO"));
    }

    #[test]
    fn facts_say_what_is_broken() {
        let good = b"BEGIN:VCARD\r\nVERSION:3.0\r\nN:A;B;;;\r\nFN:B A\r\nUID:1\r\nEND:VCARD\r\n";
        let read = |card: &[u8]| facts(card, &unfold(card));
        let known = read(good);
        assert!(known.well_formed && known.has_n && !known.is_group);
        assert_eq!((known.uid.as_str(), known.version.as_str()), ("1", "3.0"));
        assert!(!read(b"hello").well_formed);
        assert!(read(b"BEGIN:VCARD\r\nN:\xC3\r\n \xBC\r\nEND:VCARD\r\n").well_formed);
        assert!(!read(b"BEGIN:VCARD\r\nN:\xBC\r\nEND:VCARD\r\n").well_formed);
        assert!(!read(&[good.as_slice(), good].concat()).well_formed);
        assert!(!read(b"BEGIN:VCARD\r\nN:\x01;;;;\r\nEND:VCARD\r\n").well_formed);
        assert!(read(b"BEGIN:VCARD\nX-ADDRESSBOOKSERVER-KIND:group\nEND:VCARD").is_group);
    }
}
