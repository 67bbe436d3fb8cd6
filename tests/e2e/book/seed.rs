//! Made-up contacts for a server's store on disk.
//!
//! Owns: which of the made-up cards a real server can read. Must not: know where a server keeps them.

use std::fs;
use std::path::Path;

use mock_providers::people;

/// So many cards, each with its file's name: groups among them, and letters of all the world, but whole ones (a fold in
/// the middle of a letter makes a file that Radicale cannot read).
pub(crate) fn cards(number: usize) -> impl Iterator<Item = (String, Vec<u8>)> {
    let readable = |(_, card): &(String, Vec<u8>)| std::str::from_utf8(card).is_ok();
    let cards = people::vcards(20_261_121, number + number / 5 + 50).filter(readable).take(number);
    cards.map(|(uid, card)| (format!("{uid}.vcf"), card))
}

/// Writes them into a folder, which is made.
pub(crate) fn write(folder: &Path, number: usize) {
    fs::create_dir_all(folder).unwrap();
    for (name, card) in cards(number) {
        fs::write(folder.join(name), card).unwrap();
    }
}
