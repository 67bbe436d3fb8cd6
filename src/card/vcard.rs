//! vCard 3.0 and 4.0 (RFC 2426, RFC 6350), Apple's dialect included: a card from its text and back; 2.1 is read.
//!
//! Owns: the syntax ([`mod@line`], [`text`]), what properties mean ([`mod@read`], [`labels`], [`values`]) and how they are
//! written ([`mod@write`]). Must not: know a server. Start reading at [`read_all`], then [`read::read`].

pub mod labels;
pub mod line;
pub mod prop;
pub mod read;
pub mod text;
pub mod values;
pub mod write;

pub use line::{Lines, NoCard, Version};
pub use read::{Reading, read, read_places};
pub use values::Picture;
pub use write::{write, write_group};

/// The cards of a file, one after the other. What stands between cards is passed over.
pub fn read_all(file: &[u8]) -> impl Iterator<Item = Reading> {
    let mut rest = file;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            match Lines::parse(rest) {
                Ok((lines, behind)) => {
                    rest = behind;
                    return Some(read(&lines));
                }
                Err(NoCard::Empty) => return None,
                Err(NoCard::NoBegin) => {
                    let end = rest.iter().position(|b| *b == b'\n').map_or(rest.len(), |at| at + 1);
                    rest = &rest[end..];
                }
            }
        }
        None
    })
}

/// The text of a file with these cards, each with its UID and its picture's media type and bytes.
pub fn write_all<'a>(
    cards: impl IntoIterator<Item = (&'a crate::card::Card, &'a str, Option<(&'a str, &'a [u8])>)>,
    version: Version,
) -> Vec<u8> {
    cards.into_iter().flat_map(|(card, uid, picture)| write(card, uid, picture, version)).collect()
}

#[cfg(test)]
pub(crate) mod tests;
