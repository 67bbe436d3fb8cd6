//! People who do not exist.
use base64::Engine as _;
/// A group card.
pub fn group<'a>(uid: &str, title: &str, members: impl Iterator<Item = &'a str>) -> Vec<u8> {
    let mut card = format!(
        "BEGIN:VCARD\r\nVERSION:3.0\r\nPRODID:-//Apple Inc.//iOS 18.0//EN\r\nN:{title}\r\nFN:{title}\r\nX-ADDRESSBOOKSERVER-KIND:group\r\n"
    );
    for m in members {
        card += &format!("X-ADDRESSBOOKSERVER-MEMBER:urn:uuid:{m}\r\n");
    }
    card += &format!("REV:2026-01-01T00:00:00Z\r\nUID:{uid}\r\nEND:VCARD\r\n");
    card.into_bytes()
}
/// An inline photo.
pub fn photo_line(bytes: &[u8]) -> String {
    format!("PHOTO;ENCODING=b;TYPE=JPEG:{}", base64::engine::general_purpose::STANDARD.encode(bytes))
}
/// Cards.
pub fn vcards(_seed: u64, n: usize) -> impl Iterator<Item = (String, Vec<u8>)> {
    (0..n).map(|i| {
        (
            format!("{i}"),
            format!("BEGIN:VCARD\r\nVERSION:3.0\r\nN:{i};;;;\r\nFN:{i}\r\nUID:{i}\r\nEND:VCARD\r\n").into_bytes(),
        )
    })
}
