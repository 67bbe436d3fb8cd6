//! Single values between their text in a vCard and the normal form: dates, handles, genders, pictures.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};

use super::line::{Line, Version};
use crate::card::{Handle, PartialDate, Photo};

/// A picture inside a card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Picture {
    /// Its bytes.
    Inline {
        /// Media type.
        media_type: String,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Where it is.
    Address(String),
}

/// A date as 3.0, 4.0 and people write it: `1980-04-15`, `19800415`, `--0415`, `--04-15`, each with a time behind. The
/// year that Apple writes for "none" is 1604, on old data without its parameter.
pub fn date(text: &str, omitted: Option<&str>) -> Option<PartialDate> {
    let text = text.trim();
    let text = text.split(['T', 't', ' ']).next().unwrap_or_default();
    if !text.is_ascii() {
        return None;
    }
    let number = |text: &str| {
        (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse::<i16>().ok()).flatten()
    };
    let (year, rest) = match text.strip_prefix("--") {
        Some(rest) => (None, rest),
        None => (Some(number(text.get(..4)?)?), text.get(4..)?),
    };
    let rest = rest.strip_prefix('-').unwrap_or(rest);
    let (month, day) = match rest.split_once('-') {
        Some(parts) => parts,
        None => (rest.get(..2)?, rest.get(2..)?),
    };
    let small = |text| number(text).and_then(|n| u8::try_from(n).ok());
    let year = year.filter(|year| *year != 1604 && Some(*year) != omitted.and_then(number));
    PartialDate::new(year, small(month)?, small(day)?)
}

/// The value and parameters of a date.
pub fn write_date(date: PartialDate, version: Version) -> (Option<&'static str>, String) {
    let PartialDate { year, month, day } = date;
    match (year, version) {
        (Some(year), Version::V4) => (None, format!("{year:04}{month:02}{day:02}")),
        (None, Version::V4) => (None, format!("--{month:02}{day:02}")),
        (Some(year), _) => (None, format!("{year:04}-{month:02}-{day:02}")),
        (None, _) => (Some("X-APPLE-OMIT-YEAR=1604"), format!("1604-{month:02}-{day:02}")),
    }
}

/// URI schemes of messaging services by the service's name without case and blanks (RFC 4770 §1 for `aim`, `ymsgr`).
const SCHEMES: &[(&str, &str)] = &[
    ("aim", "aim"),
    ("gadugadu", "x-apple"),
    ("googletalk", "xmpp"),
    ("icq", "aim"),
    ("irc", "irc"),
    ("jabber", "xmpp"),
    ("msn", "msnim"),
    ("sip", "sip"),
    ("skype", "skype"),
    ("xmpp", "xmpp"),
    ("yahoo", "ymsgr"),
];

/// The URI of a user whose service has no address for it. Apple's scheme where the service has none.
pub fn messaging_uri(service: Option<&str>, user: &str) -> String {
    let plain: String = service.unwrap_or_default().chars().filter(|c| c.is_alphanumeric()).collect();
    let plain = plain.to_lowercase();
    let scheme = SCHEMES.iter().find(|(name, _)| *name == plain).map_or("x-apple", |(_, scheme)| scheme);
    format!("{scheme}:{}", percent(user))
}

fn percent(text: &str) -> String {
    use std::fmt::Write;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~@+!$&'()*".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String can't fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

fn unpercent(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let hex = |at: usize| bytes.get(at).and_then(|b| char::from(*b).to_digit(16)).and_then(|n| u8::try_from(n).ok());
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match (byte, hex(at + 1), hex(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                plain.push(high * 16 + low);
                at += 3;
            }
            _ => {
                plain.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8(plain).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// A handle from what its line says: a URI that only repeats service and user is left out.
pub fn handle(service: Option<String>, user: Option<String>, uri: String) -> Handle {
    let filled = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let (service, user, uri) = (filled(service), filled(user), Some(uri).filter(|uri| !uri.trim().is_empty()));
    let rest = uri.as_deref().and_then(|uri| uri.split_once(':')).map(|(_, rest)| unpercent(rest).into_owned());
    let named = user
        .clone()
        .or(rest.filter(|_| service.is_some() || uri.as_deref().is_some_and(|uri| uri.starts_with("x-apple:"))));
    let repeated = match (&named, &uri) {
        (Some(user), Some(uri)) => {
            [messaging_uri(service.as_deref(), user), format!("x-apple:{}", percent(user))].iter().any(|made| {
                made.eq_ignore_ascii_case(uri)
                    || !uri.contains('?') && unpercent(made).eq_ignore_ascii_case(&unpercent(uri))
            })
        }
        _ => false,
    };
    if repeated { Handle { service, user: filled(named), uri: None } } else { Handle { service, user, uri } }
}

/// `GENDER:F;text` (RFC 6350 §6.2.7) as free text: the text, else the letter in lower case.
pub fn gender(sex: &str, text: Option<&str>) -> String {
    match text.map(str::trim).filter(|text| !text.is_empty()) {
        Some(text) => text.to_owned(),
        None if sex.trim().len() == 1 => sex.trim().to_ascii_lowercase(),
        None => sex.to_owned(),
    }
}

/// The sex component for a gender as free text; empty if it has none.
pub fn sex_of(gender: &str) -> &'static str {
    match gender {
        "m" | "male" => "M",
        "f" | "female" => "F",
        "o" | "other" => "O",
        "n" => "N",
        "u" => "U",
        _ => "",
    }
}

/// A telephone number as text: `tel:+1-555-0100;ext=5` (RFC 3966) as people write it.
pub fn phone(text: String) -> String {
    if !text.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("tel:")) {
        return text;
    }
    let number = unpercent(&text[4..]);
    match number.split_once(";ext=") {
        Some((number, extension)) => format!("{number} ext. {extension}"),
        None => number.into_owned(),
    }
}

/// Base64 as found in the wild: padded or not.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The picture of a `PHOTO` line, if it is one.
pub fn picture(line: &Line<'_>, version: Version) -> Option<Picture> {
    let decode = |bytes: &[u8]| {
        let dense: Cow<'_, [u8]> = if bytes.iter().any(u8::is_ascii_whitespace) {
            bytes.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect::<Vec<_>>().into()
        } else {
            bytes.into()
        };
        LENIENT.decode(dense).ok().filter(|bytes| !bytes.is_empty())
    };
    let told =
        line.types().map(str::to_ascii_lowercase).find(|word| word != "pref" && word != "work" && word != "home");
    if line.value.len() >= 5 && line.value[..5].eq_ignore_ascii_case(b"data:") {
        let comma = line.value.iter().position(|b| *b == b',')?;
        let head = String::from_utf8_lossy(&line.value[5..comma]).replace('\\', "");
        let media_type = head.split(';').next().unwrap_or_default();
        let bytes = decode(line.value[comma + 1..].trim_ascii())?;
        return Some(Picture::Inline { media_type: media_type_of(&bytes, Some(media_type)), bytes });
    }
    let address = line.is_value("uri") || line.is_value("url") || (version == Version::V4 && !line.is_base64());
    let looks_like = || {
        line.value.windows(3).take(16).any(|at| at == b"://") || line.value.windows(4).take(16).any(|at| at == b"\\://")
    };
    if address || (!line.is_base64() && looks_like()) {
        let text = line.text(version).trim().to_owned();
        return (!text.is_empty()).then_some(Picture::Address(text));
    }
    let bytes = decode(&line.value)?;
    let told = told.map(|word| if word.contains('/') { word } else { format!("image/{word}") });
    Some(Picture::Inline { media_type: media_type_of(&bytes, told.as_deref()), bytes })
}

/// By the first bytes, which don't lie; else as told.
fn media_type_of(bytes: &[u8], told: Option<&str>) -> String {
    let seen = match bytes {
        [0xff, 0xd8, 0xff, ..] => "image/jpeg",
        [0x89, b'P', b'N', b'G', ..] => "image/png",
        [b'G', b'I', b'F', b'8', ..] => "image/gif",
        [b'B', b'M', ..] => "image/bmp",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "image/webp",
        [b'I', b'I', 0x2a, 0, ..] | [b'M', b'M', 0, 0x2a, ..] => "image/tiff",
        [_, _, _, _, b'f', b't', b'y', b'p', b'h', b'e', ..] => "image/heic",
        _ => told.filter(|told| told.contains('/')).unwrap_or("application/octet-stream"),
    };
    if seen == "image/jpg" { "image/jpeg".into() } else { seen.to_ascii_lowercase() }
}

impl Picture {
    /// The picture by reference.
    pub fn reference(&self) -> Photo {
        match self {
            Self::Inline { media_type, bytes } => {
                Photo { hash: blake3::hash(bytes).to_hex().to_string(), media_type: media_type.clone() }
            }
            // What it is, only the fetched bytes tell.
            Self::Address(url) => {
                Photo { hash: format!("url:{}", blake3::hash(url.as_bytes()).to_hex()), media_type: "image/*".into() }
            }
        }
    }
}

/// Parameters and value of an inline picture: 3.0 `ENCODING=b;TYPE=JPEG` (RFC 2426 §3.1.4), 4.0 a `data:` URI.
pub fn write_picture(media_type: &str, bytes: &[u8], version: Version) -> (Vec<String>, String) {
    let data = STANDARD.encode(bytes);
    if version == Version::V4 {
        return (Vec::new(), format!("data:{media_type};base64,{data}"));
    }
    let kind = media_type.split_once('/').map_or(media_type, |(_, kind)| kind).to_ascii_uppercase();
    let encoding = if version == Version::V2 { "ENCODING=BASE64" } else { "ENCODING=b" };
    (vec![encoding.into(), format!("TYPE={kind}")], data)
}
