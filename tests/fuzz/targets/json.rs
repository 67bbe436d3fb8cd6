//! What a program sends to the control API, and what stands in the store: a card out of any JSON survives its own JSON, and
//! its normal form is one.
#![no_main]

use contactd::api::types::{NewPerson, PersonPatch};
use contactd::card::Card;
use contactd::card::field::Field;
use contactd::card::normalize::{display_name, key, match_keys, tidy};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|raw: &[u8]| {
    let _ = serde_json::from_slice::<PersonPatch>(raw);
    let _ = serde_json::from_slice::<NewPerson>(raw);
    let Ok(mut card) = serde_json::from_slice::<Card>(raw) else { return };
    let text = serde_json::to_string(&card).expect("a card can be stored");
    assert_eq!(serde_json::from_str::<Card>(&text).expect("a stored card can be read"), card);
    tidy(&mut card);
    let once = card.clone();
    tidy(&mut card);
    assert_eq!(card, once, "its normal form has another");
    let _ = (match_keys(&card), display_name(&card));
    for field in Field::ALL {
        for element in card.get(*field).into_elements() {
            let _ = key(*field, &element.value);
        }
    }
});
