//! From a card to lines: whole cards, and the single lines that an edit in place needs.

use super::labels::{label_of, noise_of, type_of};
use super::line::Version;
use super::prop::Prop;
use super::text::{escape, escape_param, escape_uri, push_folded, push_soft, quote};
use super::values::{messaging_uri, sex_of, write_date, write_picture};
use crate::card::field::{Element, Field, Value};
use crate::card::normalize::{display_name, tidy};
use crate::card::{Address, Card, Handle, Labels, Organization};

/// Says who wrote a card. Short: a folded one makes iCloud refuse the card.
const PRODID: &str = "-//contactd//contactd//EN";

/// What stands in `FN`, which must not be empty, where nothing in a card could name it. Read as no name.
pub const UNNAMED: &str = "Unnamed";

/// A line to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    /// The group, `item1`.
    pub group: Option<String>,
    /// The name.
    pub name: String,
    /// Parameters as written, each with its name.
    pub params: Vec<String>,
    /// The value, escaped and encoded.
    pub value: String,
}

impl Draft {
    /// A line of a name and a value.
    pub fn new(name: &str, value: impl Into<String>) -> Self {
        Self { name: name.to_owned(), value: value.into(), ..Self::default() }
    }

    /// Appends its bytes: folded, CRLF at the end.
    pub fn push_to(&self, out: &mut Vec<u8>) {
        let mut line = String::with_capacity(self.value.len() + 64);
        if let Some(group) = &self.group {
            line.push_str(group);
            line.push('.');
        }
        line.push_str(&self.name);
        for param in &self.params {
            line.push(';');
            line.push_str(param);
        }
        line.push(':');
        line.push_str(&self.value);
        // As it will be read: another parameter may have the same value.
        let quoted = |param: &String| {
            let (name, value) = param.split_once('=').unwrap_or(("ENCODING", param.as_str()));
            name.eq_ignore_ascii_case("ENCODING") && value.eq_ignore_ascii_case("QUOTED-PRINTABLE")
        };
        if self.params.iter().any(quoted) {
            push_soft(out, &line);
        } else {
            push_folded(out, line.as_bytes());
        }
    }
}

/// A value as it goes on a line, with the parameters that belong to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoded {
    /// Parameters as written.
    pub params: Vec<String>,
    /// The value.
    pub value: String,
}

impl Encoded {
    fn plain(value: String) -> Self {
        Self { params: Vec::new(), value }
    }

    /// Quoted-printable where 2.1 needs it.
    fn for_version(mut self, version: Version) -> Self {
        if version == Version::V2 && !self.value.bytes().all(|b| (0x20..0x7f).contains(&b)) {
            self.value = quote(&self.value);
            self.params.extend(["ENCODING=QUOTED-PRINTABLE".to_owned(), "CHARSET=UTF-8".to_owned()]);
        }
        self
    }
}

/// Writes lines for one version; gives out the groups of one card.
#[derive(Clone, Debug)]
pub struct Writer {
    /// The version.
    pub version: Version,
    /// The highest `itemN` in use.
    pub last_group: usize,
}

impl Writer {
    /// A group that is not in use.
    pub fn next_group(&mut self) -> String {
        self.last_group += 1;
        format!("item{}", self.last_group)
    }

    /// The property and its name under which a new value of that field is written.
    pub fn home_of(&self, field: Field) -> (Prop, &'static str) {
        let four = self.version == Version::V4;
        match field {
            Field::Prefix | Field::Given | Field::Middle | Field::Family | Field::Suffix => (Prop::N, "N"),
            Field::PhoneticGiven => (Prop::PhoneticFirst, "X-PHONETIC-FIRST-NAME"),
            Field::PhoneticMiddle => (Prop::PhoneticMiddle, "X-PHONETIC-MIDDLE-NAME"),
            Field::PhoneticFamily => (Prop::PhoneticLast, "X-PHONETIC-LAST-NAME"),
            Field::Display => (Prop::Fn, "FN"),
            Field::Nicknames => (Prop::Nickname, "NICKNAME"),
            Field::Organizations => (Prop::Org, "ORG"),
            Field::Emails => (Prop::Email, "EMAIL"),
            Field::Phones => (Prop::Tel, "TEL"),
            Field::Addresses => (Prop::Adr, "ADR"),
            Field::Urls => (Prop::Url, "URL"),
            Field::Messaging => (Prop::Impp, "IMPP"),
            Field::Profiles if four => (Prop::SocialProfile, "SOCIALPROFILE"),
            Field::Profiles => (Prop::AppleSocialProfile, "X-SOCIALPROFILE"),
            Field::Relations if four => (Prop::Related, "RELATED"),
            Field::Relations => (Prop::AppleRelated, "X-ABRELATEDNAMES"),
            Field::Birthday => (Prop::Bday, "BDAY"),
            Field::Anniversary if four => (Prop::Anniversary, "ANNIVERSARY"),
            Field::Anniversary | Field::Dates => (Prop::AppleDate, "X-ABDATE"),
            Field::Note => (Prop::Note, "NOTE"),
            Field::Gender if four => (Prop::Gender, "GENDER"),
            Field::Gender => (Prop::Gender, "X-GENDER"),
            Field::Pronouns if four => (Prop::Pronouns, "PRONOUNS"),
            Field::Pronouns => (Prop::Pronouns, "X-PRONOUNS"),
            Field::Languages => (Prop::Lang, "LANG"),
            Field::Categories => (Prop::Categories, "CATEGORIES"),
            Field::Photo => (Prop::Photo, "PHOTO"),
        }
    }

    /// A value for a line of that property. `name` is the line's, which for gender tells the form.
    pub fn encode(&self, prop: Prop, name: &str, value: &Value) -> Encoded {
        let version = self.version;
        let encoded = match value {
            Value::Text(text) => match prop {
                Prop::Url => Encoded::plain(escape_uri(text)),
                Prop::Gender if name.eq_ignore_ascii_case("GENDER") => {
                    let sex = sex_of(text);
                    let rest = if text.len() == 1 && !sex.is_empty() { "" } else { text };
                    let parted = if rest.is_empty() { String::new() } else { format!(";{}", escape(rest, version)) };
                    Encoded::plain(format!("{sex}{parted}"))
                }
                Prop::Related => Encoded { params: vec!["VALUE=text".into()], value: escape(text, version) },
                _ => Encoded::plain(escape(text, version)),
            },
            Value::Date(date) => {
                let version = if prop == Prop::AppleDate { Version::V3 } else { version };
                let (param, value) = write_date(*date, version);
                Encoded { params: param.map(str::to_owned).into_iter().collect(), value }
            }
            Value::Address(address) => self.encode_address(address),
            Value::Handle(handle) => self.encode_handle(prop, handle),
            Value::Organization(organization) => Encoded::plain(self.org(organization)),
            // Pictures are written from their bytes, not from here.
            Value::Photo(_) => Encoded::default(),
        };
        encoded.for_version(version)
    }

    fn encode_address(&self, address: &Address) -> Encoded {
        let Address { po_box, extended, street, locality, region, postcode, country, country_code } = address;
        let parts = [po_box, extended, street, locality, region, postcode, country];
        let parts: Vec<String> =
            parts.iter().map(|part| escape(part.as_deref().unwrap_or_default(), self.version)).collect();
        let code = country_code.as_ref().filter(|_| self.version == Version::V4);
        Encoded {
            params: code.map(|code| format!("CC={}", escape_param(code))).into_iter().collect(),
            value: parts.join(";"),
        }
    }

    fn encode_handle(&self, prop: Prop, handle: &Handle) -> Encoded {
        let Handle { service, user, uri } = handle;
        let four = self.version == Version::V4;
        let mut params = Vec::new();
        if let Some(service) = service.as_ref() {
            let name = match prop {
                Prop::AppleSocialProfile if is_type(service) => "type",
                Prop::AppleSocialProfile => "X-SERVICE-TYPE",
                Prop::OldIm(_) => "",
                _ if four => "SERVICE-TYPE",
                _ => "X-SERVICE-TYPE",
            };
            if !name.is_empty() {
                params.push(format!("{name}={}", escape_param(service)));
            }
        }
        let user_param = |name: &str| user.as_ref().map(|user| format!("{name}={}", escape_param(user)));
        let value = match (prop, uri, user) {
            (Prop::OldIm(_), uri, user) => {
                escape(user.as_ref().or(uri.as_ref()).map(String::as_str).unwrap_or_default(), self.version)
            }
            (Prop::SocialProfile, None, user) => {
                params.push("VALUE=text".into());
                escape(user.as_deref().unwrap_or_default(), self.version)
            }
            (Prop::SocialProfile | Prop::AppleSocialProfile, uri, user) => {
                params.extend(user_param(if prop == Prop::SocialProfile { "USERNAME" } else { "x-user" }));
                match uri {
                    Some(uri) => escape_uri(uri),
                    None => messaging_uri(None, user.as_deref().unwrap_or_default()),
                }
            }
            (_, Some(uri), _) => {
                params.extend(user_param(if four { "USERNAME" } else { "X-USER" }));
                escape_uri(uri)
            }
            (_, None, user) => messaging_uri(service.as_deref(), user.as_deref().unwrap_or_default()),
        };
        Encoded { params, value }
    }

    /// `ORG:Company;Department`; Apple always writes the semicolon.
    fn org(&self, organization: &Organization) -> String {
        let text = |part: &Option<String>| escape(part.as_deref().unwrap_or_default(), self.version);
        let mut value = text(&organization.company);
        value.push(';');
        if let Some(department) = &organization.department {
            let units: Vec<String> = department.split("; ").map(|unit| escape(unit, self.version)).collect();
            value.push_str(&units.join(";"));
        }
        value
    }

    /// The lines of an organization, without group and labels.
    pub fn organization(&self, organization: &Organization) -> Vec<(Prop, Draft)> {
        let Organization { company, department, title, role, phonetic } = organization;
        let mut lines = Vec::new();
        let mut push = |prop, name: &str, encoded: Encoded| {
            let encoded = encoded.for_version(self.version);
            lines.push((
                prop,
                Draft { group: None, name: name.to_owned(), params: encoded.params, value: encoded.value },
            ));
        };
        if company.is_some() || department.is_some() {
            push(Prop::Org, "ORG", Encoded::plain(self.org(organization)));
        }
        for (prop, name, part) in
            [(Prop::Title, "TITLE", title), (Prop::Role, "ROLE", role), (Prop::PhoneticOrg, "X-PHONETIC-ORG", phonetic)]
        {
            if let Some(part) = part {
                push(prop, name, Encoded::plain(escape(part, self.version)));
            }
        }
        lines
    }

    /// How labels and the mark are said on a line of that property: parameters, and texts for `X-ABLabel`s.
    pub fn labelling(&self, prop: Prop, labels: &Labels, preferred: bool) -> (Vec<String>, Vec<String>) {
        let mut types = Vec::new();
        let mut texts = Vec::new();
        for label in labels.iter() {
            match type_of(prop, label, self.version) {
                Some(word) => types.push(word),
                None => texts.push(label_of(label, self.version)),
            }
        }
        // As Apple has them: `INTERNET` first, `VOICE` last.
        if let Some(noise) = noise_of(prop, &types, self.version) {
            types.insert(if prop == Prop::Email { 0 } else { types.len() }, noise);
        }
        let params = types.into_iter().map(|word| self.type_param(word));
        (params.chain(preferred.then(|| self.pref_param())).collect(), texts)
    }

    /// `type=HOME` as Apple writes it, `TYPE=home` in 4.0.
    pub fn type_param(&self, word: &str) -> String {
        match self.version {
            Version::V4 => format!("TYPE={}", word.to_ascii_lowercase()),
            Version::V3 | Version::V2 => format!("type={word}"),
        }
    }

    /// `type=pref`, `PREF=1` in 4.0.
    pub fn pref_param(&self) -> String {
        if self.version == Version::V4 { "PREF=1".into() } else { "type=pref".into() }
    }

    /// A line for an `X-ABLabel`.
    pub fn label_line(&self, group: &str, text: &str) -> Draft {
        let encoded = Encoded::plain(escape(text, self.version)).for_version(self.version);
        Draft { group: Some(group.to_owned()), name: "X-ABLabel".into(), params: encoded.params, value: encoded.value }
    }

    /// A line for an `X-ABADR`: Apple's place for the code of a country.
    pub fn country_line(&self, group: &str, code: &str) -> Draft {
        Draft { group: Some(group.to_owned()), ..Draft::new("X-ABADR", escape(code, self.version)) }
    }

    /// The lines of a new element. `crowded`: whether the card has several organizations, which only groups tell apart.
    pub fn element(&mut self, field: Field, element: &Element, crowded: bool) -> Vec<Draft> {
        let (prop, name) = self.home_of(field);
        let mut lines = match &element.value {
            Value::Organization(organization) => self.organization(organization),
            value => {
                let encoded = self.encode(prop, name, value);
                vec![(prop, Draft { group: None, name: name.to_owned(), params: encoded.params, value: encoded.value })]
            }
        };
        let Some((prop, first)) = lines.first_mut() else { return Vec::new() };
        let (params, mut texts) = self.labelling(*prop, &element.labels, element.preferred);
        if matches!(*prop, Prop::AppleSocialProfile | Prop::Impp) {
            first.params.extend(params);
        } else {
            first.params.splice(0..0, params);
        }
        if field == Field::Anniversary && *prop == Prop::AppleDate {
            texts = vec![label_of("anniversary", self.version)];
        }
        let apple = self.version != Version::V4;
        let code = match &element.value {
            Value::Address(address) if apple => address.country_code.as_deref(),
            _ => None,
        };
        let grouped = !texts.is_empty()
            || (crowded && field == Field::Organizations)
            || (apple && matches!(field, Field::Addresses | Field::Relations | Field::Dates));
        let mut drafts: Vec<Draft> = lines.into_iter().map(|(_, draft)| draft).collect();
        if grouped {
            let group = self.next_group();
            drafts.iter_mut().for_each(|draft| draft.group = Some(group.clone()));
            drafts.extend(texts.iter().map(|text| self.label_line(&group, text)));
            drafts.extend(code.map(|code| self.country_line(&group, code)));
        }
        drafts
    }

    /// The `N` line (RFC 6350 §6.2.2), always with five parts.
    pub fn name(&self, card: &Card) -> Draft {
        let parts = [&card.family, &card.given, &card.middle, &card.prefix, &card.suffix];
        let parts: Vec<String> =
            parts.iter().map(|part| escape(part.as_deref().unwrap_or_default(), self.version)).collect();
        let encoded = Encoded::plain(parts.join(";")).for_version(self.version);
        Draft { group: None, name: "N".into(), params: encoded.params, value: encoded.value }
    }

    /// The `FN` line; derived where the card has none, since it must not be empty.
    pub fn shown(&self, card: &Card) -> Draft {
        let derived = || display_name(card);
        self.formatted(card.display.clone().or_else(derived).as_deref().unwrap_or(UNNAMED))
    }

    /// An `FN` line that says this.
    pub fn formatted(&self, shown: &str) -> Draft {
        let encoded = Encoded::plain(escape(shown, self.version)).for_version(self.version);
        Draft { group: None, name: "FN".into(), params: encoded.params, value: encoded.value }
    }

    /// A `PHOTO` line of these bytes.
    pub fn picture(&self, media_type: &str, bytes: &[u8]) -> Draft {
        let (params, value) = write_picture(media_type, bytes, self.version);
        Draft { group: None, name: "PHOTO".into(), params, value }
    }

    /// Lines of a list in which commas part the values: those without labels on one line.
    pub fn commas(&mut self, field: Field, elements: &[Element]) -> Vec<Draft> {
        let (prop, name) = self.home_of(field);
        let plain = |element: &&Element| element.labels.is_empty() && !element.preferred;
        let texts: Vec<String> =
            elements.iter().filter(plain).map(|e| self.encode(prop, name, &e.value).value).collect();
        let mut drafts = Vec::new();
        if !texts.is_empty() {
            let value = Encoded { params: Vec::new(), value: texts.join(",") }.for_version(self.version);
            drafts.push(Draft { group: None, name: name.to_owned(), params: value.params, value: value.value });
        }
        for element in elements.iter().filter(|element| !plain(element)) {
            drafts.extend(self.element(field, element, false));
        }
        drafts
    }
}

/// Whether a service's name can stand as a `TYPE`, as Apple has it.
fn is_type(service: &str) -> bool {
    service.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b' '))
        && !["home", "work", "pref"].iter().any(|word| service.eq_ignore_ascii_case(word))
}

/// A whole new card. The picture stands only if its bytes are given.
pub fn write(card: &Card, uid: &str, picture: Option<(&str, &[u8])>, version: Version) -> Vec<u8> {
    let mut card = card.clone();
    tidy(&mut card);
    let mut writer = Writer { version, last_group: 0 };
    let mut out = Vec::with_capacity(1024);
    begin(&mut out, version);
    writer.name(&card).push_to(&mut out);
    writer.shown(&card).push_to(&mut out);
    let Card {
        prefix,
        given,
        middle,
        family,
        suffix,
        phonetic_given: _,
        phonetic_middle: _,
        phonetic_family: _,
        display: _,
        nicknames: _,
        organizations,
        emails: _,
        phones: _,
        addresses: _,
        urls: _,
        messaging: _,
        profiles: _,
        relations: _,
        birthday: _,
        anniversary: _,
        dates: _,
        note: _,
        gender: _,
        pronouns: _,
        languages: _,
        categories: _,
        photo: _,
    } = &card;
    let unnamed = [prefix, given, middle, family, suffix].iter().all(|part| part.is_none());
    let crowded = organizations.len() > 1;
    if unnamed && organizations.iter().any(|item| item.value.company.is_some()) {
        let flag = if version == Version::V4 { Draft::new("KIND", "org") } else { Draft::new("X-ABShowAs", "COMPANY") };
        flag.push_to(&mut out);
    }
    for field in Field::ALL {
        let drafts = match field {
            Field::Prefix | Field::Given | Field::Middle | Field::Family | Field::Suffix | Field::Display => continue,
            Field::Photo => picture.iter().map(|(media_type, bytes)| writer.picture(media_type, bytes)).collect(),
            Field::Nicknames | Field::Categories => writer.commas(*field, &card.get(*field).into_elements()),
            _ if !card.has(*field) => continue,
            _ => card.get(*field).into_elements().iter().flat_map(|one| writer.element(*field, one, crowded)).collect(),
        };
        for draft in drafts {
            draft.push_to(&mut out);
        }
    }
    end(&mut out, uid, version);
    out
}

/// A whole new group card: Apple's in 3.0 (its `N` is the name alone, or Apple shows semicolons), `KIND:group` in 4.0.
pub fn write_group(name: &str, uid: &str, members: &[String], version: Version) -> Vec<u8> {
    let mut out = Vec::with_capacity(256 + 60 * members.len());
    let four = version == Version::V4;
    begin(&mut out, version);
    let name = escape(name, version);
    Draft::new("N", if four { format!("{name};;;;") } else { name.clone() }).push_to(&mut out);
    Draft::new("FN", name).push_to(&mut out);
    Draft::new(if four { "KIND" } else { "X-ADDRESSBOOKSERVER-KIND" }, "group").push_to(&mut out);
    for member in members {
        member_line(member, version).push_to(&mut out);
    }
    end(&mut out, uid, version);
    out
}

/// The line of a group's member.
pub fn member_line(uid: &str, version: Version) -> Draft {
    let name = if version == Version::V4 { "MEMBER" } else { "X-ADDRESSBOOKSERVER-MEMBER" };
    Draft::new(name, format!("urn:uuid:{}", escape_uri(uid)))
}

fn begin(out: &mut Vec<u8>, version: Version) {
    let number = match version {
        Version::V2 => "2.1",
        Version::V3 => "3.0",
        Version::V4 => "4.0",
    };
    for draft in [Draft::new("BEGIN", "VCARD"), Draft::new("VERSION", number), Draft::new("PRODID", PRODID)] {
        draft.push_to(out);
    }
}

fn end(out: &mut Vec<u8>, uid: &str, version: Version) {
    if !uid.is_empty() {
        let urn = version == Version::V4 && uuid::Uuid::try_parse(uid).is_ok();
        let scheme = if urn { "urn:uuid:" } else { "" };
        Draft::new("UID", format!("{scheme}{}", escape(uid, version))).push_to(out);
    }
    Draft::new("END", "VCARD").push_to(out);
}
