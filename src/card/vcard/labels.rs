//! What an element is called: `TYPE` words and Apple's `X-ABLabel`, to and from labels.

use std::borrow::Cow;

use super::line::Version;
use super::prop::Prop;

/// Apple's words for built-in labels, which it wraps as `_$!<Home>!$_`, and ours.
const BUILT_IN: &[(&str, &str)] = &[
    ("anniversary", "Anniversary"),
    ("assistant", "Assistant"),
    ("brother", "Brother"),
    ("child", "Child"),
    ("daughter", "Daughter"),
    ("father", "Father"),
    ("friend", "Friend"),
    ("home", "Home"),
    ("homepage", "HomePage"),
    ("main", "Main"),
    ("manager", "Manager"),
    ("mobile", "Mobile"),
    ("mother", "Mother"),
    ("other", "Other"),
    ("pager", "Pager"),
    ("parent", "Parent"),
    ("partner", "Partner"),
    ("school", "School"),
    ("sister", "Sister"),
    ("son", "Son"),
    ("spouse", "Spouse"),
    ("work", "Work"),
];

/// What a `TYPE` word says.
#[derive(Debug, PartialEq, Eq)]
pub enum Word {
    /// The preferred one.
    Preferred,
    /// Nothing that people see (`INTERNET`, `VOICE`).
    Nothing,
    /// A label, tidy.
    Label(Cow<'static, str>),
}

/// What a `TYPE` word says on that property.
pub fn of_type(prop: Prop, word: &str) -> Word {
    let is = |words: &[&str]| words.iter().any(|one| word.eq_ignore_ascii_case(one));
    let nothing: &[&str] = match prop {
        Prop::Email => &["internet"],
        Prop::Tel => &["voice"],
        Prop::Adr => &["dom", "intl", "postal", "parcel"],
        _ => &[],
    };
    if is(&["pref"]) {
        Word::Preferred
    } else if is(nothing) {
        Word::Nothing
    } else if prop == Prop::Tel && is(&["cell"]) {
        Word::Label(Cow::Borrowed("mobile"))
    } else if let Some(known) = ["home", "work", "iphone", "fax", "main"].iter().find(|one| is(&[one])) {
        Word::Label(Cow::Borrowed(known))
    } else {
        Word::Label(Cow::Owned(word.to_ascii_lowercase()))
    }
}

/// The `TYPE` word for a label on that property, if the version has one for it.
pub fn type_of(prop: Prop, label: &str, version: Version) -> Option<&'static str> {
    let word = match (prop, label) {
        (Prop::AppleDate | Prop::AppleRelated | Prop::OldIm(_) | Prop::Anniversary | Prop::Categories, _) => {
            return None;
        }
        (Prop::Org | Prop::Title | Prop::Role | Prop::Nickname | Prop::Lang, _) if version != Version::V4 => {
            return None;
        }
        (_, "home") => "HOME",
        (_, "work") => "WORK",
        (Prop::Tel, "mobile") => "CELL",
        (Prop::Tel, "fax") => "FAX",
        (Prop::Tel, "pager") => "PAGER",
        (Prop::Tel, "video") => "VIDEO",
        (Prop::Tel, "text") if version == Version::V4 => "TEXT",
        (Prop::Tel, _) if version != Version::V4 => match label {
            "main" => "MAIN",
            "other" => "OTHER",
            "iphone" => "IPHONE",
            "car" => "CAR",
            "isdn" => "ISDN",
            "modem" => "MODEM",
            _ => return None,
        },
        (Prop::Related, _) => match label {
            "child" => "CHILD",
            "colleague" => "COLLEAGUE",
            "co-worker" => "CO-WORKER",
            "emergency" => "EMERGENCY",
            "friend" => "FRIEND",
            "neighbor" => "NEIGHBOR",
            "parent" => "PARENT",
            "sibling" => "SIBLING",
            "spouse" => "SPOUSE",
            _ => return None,
        },
        _ => return None,
    };
    Some(word)
}

/// Words that belong on a line of ours though they label nothing, as Apple writes them.
pub fn noise_of(prop: Prop, types: &[&str], version: Version) -> Option<&'static str> {
    match prop {
        Prop::Email if version == Version::V3 => Some("INTERNET"),
        Prop::Tel if version == Version::V3 && !types.contains(&"FAX") && !types.contains(&"PAGER") => Some("VOICE"),
        _ => None,
    }
}

/// The labels that an `X-ABLabel` means: `_$!<HomeFAX>!$_` means two, a text of the user's one.
pub fn of_label(text: &str) -> Vec<String> {
    let Some(inner) = text.trim().strip_prefix("_$!<").and_then(|rest| rest.strip_suffix(">!$_")) else {
        return vec![text.to_owned()];
    };
    let lower = inner.to_ascii_lowercase();
    if let Some(place) = lower.strip_suffix("fax").filter(|place| matches!(*place, "home" | "work" | "other")) {
        return vec![place.to_owned(), "fax".into()];
    }
    vec![inner.to_owned()]
}

/// The `X-ABLabel` for a label: wrapped in 3.0 if it is one of Apple's own.
pub fn label_of(label: &str, version: Version) -> String {
    match BUILT_IN.iter().find(|(ours, _)| *ours == label) {
        Some((_, theirs)) if version != Version::V4 => format!("_$!<{theirs}>!$_"),
        _ => label.to_owned(),
    }
}
