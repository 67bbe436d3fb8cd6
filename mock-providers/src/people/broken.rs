//! Cards that are wrong, or only odd, each in one way.
//!
//! Owns: what has been seen in the wild (`icloud-carddav.md` 6.1, 10). Must not: be fixed.

use super::{Dice, photo_line};

/// Cards with the name of what is wrong with them. Each has a UID unless that is what is missing.
#[must_use]
pub fn broken(seed: u64) -> Vec<(&'static str, Vec<u8>)> {
    let mut dice = Dice::new(seed);
    let mut card = |lines: &str| {
        let uid = format!("broken-{:016x}", dice.roll());
        format!("BEGIN:VCARD\r\nVERSION:3.0\r\n{lines}UID:{uid}\r\nEND:VCARD\r\n").into_bytes()
    };
    let name = "N:Example;Robin;;;\r\nFN:Robin Example\r\n";
    let mut cards = vec![
        ("no N", card("FN:Only Formatted\r\n")),
        ("no FN", card("N:Example;Robin;;;\r\n")),
        ("empty FN", card("N:;;;;\r\nFN:\r\n")),
        ("bad folding", card(&format!("{name}NOTE:this line goes on\r\nwithout a space before it\r\n"))),
        ("no colon", card(&format!("{name}NOTE\r\n"))),
        ("blank lines", card(&format!("{name}\r\n\r\nNOTE:after two blank lines\r\n"))),
        ("control characters", card(&format!("{name}NOTE:a\u{1}b\u{b}c\u{1f}\r\n"))),
        (
            "folded PRODID",
            card(&format!("PRODID:-//Example Company//An application with quite a long na\r\n me 1.0//EN\r\n{name}")),
        ),
        ("impossible date", card(&format!("{name}BDAY:0000-13-45\r\n"))),
        ("date in words", card(&format!("{name}BDAY;VALUE=text:circa 1800\r\n"))),
        ("charset parameter", card("N;CHARSET=UTF-8:Müller;Käthe;;;\r\nFN;CHARSET=UTF-8:Käthe Müller\r\n")),
        ("photo that is no base64", card(&format!("{name}PHOTO;ENCODING=b;TYPE=JPEG:***\r\n"))),
        ("version twice", card(&format!("VERSION:3.0\r\n{name}"))),
        (
            "several e-mails preferred",
            card(&format!("{name}EMAIL;type=pref:a@example.com\r\nEMAIL;type=pref:b@example.com\r\n")),
        ),
        ("doubled encoding", card(&format!("{name}PHOTO;ENCODING=b,b;TYPE=JPEG,jpeg:/9j/4AAQ\r\n"))),
    ];
    let two = [card(name), card(name)].concat();
    cards.push(("two cards in one", two));
    cards.push(("no UID", format!("BEGIN:VCARD\r\nVERSION:3.0\r\n{name}END:VCARD\r\n").into_bytes()));
    cards.push(("no END", format!("BEGIN:VCARD\r\nVERSION:3.0\r\n{name}UID:broken-no-end\r\n").into_bytes()));
    cards.push((
        "version last",
        format!("BEGIN:VCARD\r\n{name}UID:broken-version\r\nVERSION:3.0\r\nEND:VCARD\r\n").into(),
    ));
    cards.push((
        "line feeds only",
        format!("BEGIN:VCARD\nVERSION:3.0\n{}UID:broken-lf\nEND:VCARD\n", name.replace('\r', "")).into(),
    ));
    cards.push(("wrong charset", b"BEGIN:VCARD\r\nVERSION:3.0\r\nN:M\xfcller;K\xe4the;;;\r\nFN:K\xe4the M\xfcller\r\nUID:broken-latin-1\r\nEND:VCARD\r\n".to_vec()));
    cards.push((
        "letter split by a fold",
        b"BEGIN:VCARD\r\nVERSION:3.0\r\nN:M\xc3\r\n \xbcller;;;;\r\nFN:M\xc3\xbcller\r\nUID:broken-split\r\nEND:VCARD\r\n".to_vec(),
    ));
    cards.push((
        "version 2.1",
        b"BEGIN:VCARD\r\nVERSION:2.1\r\nN;CHARSET=ISO-8859-1;ENCODING=QUOTED-PRINTABLE:M=FCller;K=E4the\r\n\
          FN;ENCODING=QUOTED-PRINTABLE:K=E4the M=\r\n=FCller\r\nTEL;CELL;PREF:+1 212 555 0142\r\n\
          UID:broken-21\r\nEND:VCARD\r\n"
            .to_vec(),
    ));
    cards.push((
        "version 4.0",
        b"BEGIN:VCARD\r\nVERSION:4.0\r\nKIND:individual\r\nFN:Robin Example\r\nN:Example;Robin;;;\r\n\
          BDAY:--0415\r\nUID:urn:uuid:4fbe8971-0bc3-424c-9c26-36c3e1eff6b1\r\nEND:VCARD\r\n"
            .to_vec(),
    ));
    let mut noise = b"\xff\xd8\xff".to_vec();
    noise.extend((0..300_000).map(|_| dice.roll() as u8));
    let huge =
        format!("BEGIN:VCARD\r\nVERSION:3.0\r\n{name}{}\r\nUID:broken-huge\r\nEND:VCARD\r\n", photo_line(&noise));
    cards.push(("huge photo", huge.into_bytes()));
    cards.push(("no card at all", b"<html>not a card</html>".to_vec()));
    cards.push(("nothing", Vec::new()));
    cards
}
