//! Kinds of providers: what they can do, and how they behave. Odd combinations that nobody sells are among them.

use contactd::card::field::{Field, FieldSet};
use contactd::sync::caps::{Capabilities, Membership, TokenPlace};

use super::fake::Manner;
use super::world::HOUR;

/// As the first generator of histories knows them.
pub const NARROW: usize = 3;
/// All of them, by number.
pub const ALL: [fn() -> (Capabilities, Manner); 9] =
    [carddav, odd, plain, lagging, hidden, lossless, forgetful, nameless, google];

/// Whether records carry an identity of their own, so that they need not say what they were called.
pub fn has_uid(kind: usize) -> bool {
    ALL[kind]().0.membership == Membership::Roster
}

/// Whether it holds whatever a person has.
pub fn holds_all(kind: usize) -> bool {
    let (caps, manner) = ALL[kind]();
    caps.most.is_empty() && caps.writes == FieldSet::all() && manner.note > 1000
}

/// How long reads may lag behind writes, in ms.
pub fn lag(kind: usize) -> i64 {
    ALL[kind]().0.settle / 2
}

/// Capabilities as CardDAV has them.
pub fn carddav() -> (Capabilities, Manner) {
    let caps = Capabilities { membership: Membership::Roster, fetch_batch: 50, ..Capabilities::everything() };
    let manner =
        Manner { lists_only: true, page: 1000, reorders: true, echoes: false, tells_time: false, ..Manner::PLAIN };
    (caps, manner)
}

/// A provider at which nearly everything is different.
pub fn odd() -> (Capabilities, Manner) {
    let mut writes = FieldSet::all();
    writes.remove(Field::Nicknames);
    let mut caps = Capabilities {
        writes,
        reads: writes,
        keeps_preferred: FieldSet::NONE,
        token: TokenPlace::Hidden,
        membership: Membership::Joined,
        guards_update: false,
        guards_delete: false,
        write_batch: 3,
        ..Capabilities::everything()
    };
    caps.most.insert(Field::Emails, 3);
    caps.most.insert(Field::Phones, 2);
    let manner = Manner { page: 3, note: 24, rewrites: true, reorders: true, ..Manner::PLAIN };
    (caps, manner)
}

/// Something between the two.
pub fn plain() -> (Capabilities, Manner) {
    let mut caps = Capabilities { token: TokenPlace::Listed, write_batch: 10, ..Capabilities::everything() };
    caps.most.insert(Field::Emails, 3);
    (caps, Manner::PLAIN)
}

/// Reads lag behind writes by an hour.
pub fn lagging() -> (Capabilities, Manner) {
    let (caps, manner) = plain();
    (Capabilities { settle: 2 * HOUR, ..caps }, Manner { page: 4, ..manner })
}

/// Reads lag, listings don't show tokens, nothing is guarded, and times are told in whole seconds.
pub fn hidden() -> (Capabilities, Manner) {
    let mut caps = Capabilities {
        token: TokenPlace::Hidden,
        guards_update: false,
        guards_delete: false,
        settle: HOUR,
        write_batch: 4,
        ..Capabilities::everything()
    };
    caps.most.insert(Field::Emails, 3);
    (caps, Manner { seconds: true, rewrites: true, ..Manner::PLAIN })
}

/// Holds everything, with ids of its own, and keeps cursors for a day and a half.
pub fn lossless() -> (Capabilities, Manner) {
    let caps = Capabilities { token: TokenPlace::Listed, membership: Membership::Joined, ..Capabilities::everything() };
    (caps, Manner { cursor_life: Some(36 * HOUR as u64), recodes: true, ..Manner::PLAIN })
}

/// CardDAV that writes what it is asked to store anew, and forgets its cursors.
pub fn forgetful() -> (Capabilities, Manner) {
    let (caps, manner) = carddav();
    let manner = Manner { recodes: true, rewrites: true, page: 4, cursor_life: Some(3 * HOUR as u64), ..manner };
    (caps, manner)
}

/// Tells no versions, so that nothing can be guarded.
pub fn nameless() -> (Capabilities, Manner) {
    let (caps, manner) = plain();
    (Capabilities { guards_update: false, guards_delete: false, ..caps }, Manner { no_etags: true, ..manner })
}

/// As Google's adapter says of itself: lists tell tokens and lag some minutes, groups stand in the record, updates are
/// guarded and deletions are not, no profiles and tags, one of each list is the preferred one whoever chose it.
pub fn google() -> (Capabilities, Manner) {
    let mut fields = FieldSet::all();
    for field in [Field::Profiles, Field::Categories] {
        fields.remove(field);
    }
    let caps = Capabilities {
        reads: fields,
        writes: fields,
        keeps_preferred: FieldSet::NONE,
        guards_delete: false,
        token: TokenPlace::Listed,
        membership: Membership::InRecord,
        settle: HOUR / 6,
        write_batch: 200,
        fetch_batch: 200,
        ..Capabilities::everything()
    };
    let manner =
        Manner { page: 5, reorders: true, recodes: true, cursor_life: Some(7 * 24 * HOUR as u64), ..Manner::PLAIN };
    (caps, manner)
}
