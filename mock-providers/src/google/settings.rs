//! Everything about the People API that is not certain, or differs between accounts and days, as typed switches.
//!
//! Owns: the switches and their defaults: what is known, else what clients report. Must not: act on them.
//! Sections are those of `google.md`. Start reading at [`Settings`].

use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::oauth;

/// Where to listen on 127.0.0.1; 0 lets the system choose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ports {
    /// The authorization server, which stands for `accounts.google.com` and `oauth2.googleapis.com`.
    pub accounts: u16,
    /// The People API.
    pub people: u16,
    /// The photos.
    pub photos: u16,
}

/// How a sync token grows old (2.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aging {
    /// Seven days after the full sync that began its line.
    #[default]
    Strict,
    /// Seven days after it was given out. UNVERIFIED, but reported.
    Lenient,
}

/// What becomes of a mutation while another one of the same user is under way (4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Parallel {
    /// 409 `ABORTED`.
    #[default]
    Aborted,
    /// 503 `UNAVAILABLE`.
    Unavailable,
    /// It goes through, and only the journal tells.
    Allowed,
}

/// How an error about a quota looks (7.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuotaShape {
    /// 429 that names the metric and the limit.
    #[default]
    PerMinute,
    /// 429 of the backend, which names neither.
    Backend,
    /// 403 with the text of the first.
    Forbidden,
    /// 403 with the legacy reason `rateLimitExceeded`.
    Legacy,
}

/// Calls that a user may make in a minute, by class (7.1). None stands for no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quotas {
    /// Lists and gets of contacts, and the reading back after a write.
    pub critical_read: Option<u32>,
    /// Creates and updates of contacts.
    pub critical_write: Option<u32>,
    /// Reads of groups; 120 or 180 are reported.
    pub read: Option<u32>,
    /// Writes of groups, and deletes.
    pub write: Option<u32>,
    /// What a batch of creates or updates costs, each in critical reads and critical writes. UNVERIFIED.
    pub batch_cost: u32,
    /// First pages of full syncs in an hour. There is such a limit (2.2); its number is UNVERIFIED.
    pub full_syncs_per_hour: Option<u32>,
    /// What is answered over a limit.
    pub shape: QuotaShape,
    /// Seconds in a `Retry-After`, which no source mentions. UNVERIFIED.
    pub retry_after: Option<u64>,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            critical_read: Some(90),
            critical_write: Some(90),
            read: Some(120),
            write: Some(90),
            batch_cost: 6,
            full_syncs_per_hour: None,
            shape: QuotaShape::PerMinute,
            retry_after: None,
        }
    }
}

impl Quotas {
    /// No limits at all, for tests of something else.
    #[must_use]
    pub fn none() -> Self {
        Self { critical_read: None, critical_write: None, read: None, write: None, ..Self::default() }
    }
}

/// How errors are dressed (7.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Errors {
    /// Whether `errors[]` of the old style comes along.
    pub old_style: bool,
    /// Whether `details[]` holds a `DebugInfo`.
    pub debug_info: bool,
    /// Whether a 401 has an `ErrorInfo`. UNVERIFIED (1.7).
    pub info_on_401: bool,
    /// Whether an expired sync token is `FAILED_PRECONDITION`, not `INVALID_ARGUMENT` (2.2).
    pub expired_is_precondition: bool,
}

/// Listings, tokens and reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reads {
    /// How sync tokens grow old.
    pub aging: Aging,
    /// Whether the page size is bound to a sync token like the other parameters (2.2, rule 3).
    pub token_binds_page_size: bool,
    /// How long a write stays out of lists with a sync token, in milliseconds (2.2). Plain lists and gets show it at once.
    pub propagation: u64,
    /// Whether a list with a sync token shows the state before a write that has not reached it; else it leaves the contact out
    /// until then. What Google does is not known; both must be lived with (2.2).
    pub older_states: bool,
    /// How long a get shows the state before a write, in milliseconds (3.3).
    pub stale_get: u64,
    /// Whether searching asks an index that only an empty query brings up to date (4.2).
    pub search_needs_warming: bool,
    /// Whether a list of changes has `totalItems`. UNVERIFIED (2.1).
    pub totals_of_changes: bool,
    /// The seed by which the items of a field are shuffled, client data apart; none keeps the order of the write (2.1).
    pub shuffle: Option<u64>,
    /// How many e-mail addresses and telephone numbers a list shows (2.1).
    pub listed_values: usize,
    /// Whether a contact whose name has changed leaves a tombstone under the old one. UNVERIFIED (2.2).
    pub rename_leaves_tombstone: bool,
}

impl Default for Reads {
    fn default() -> Self {
        Self {
            aging: Aging::Strict,
            token_binds_page_size: true,
            propagation: 0,
            older_states: true,
            stale_get: 0,
            search_needs_warming: true,
            totals_of_changes: true,
            shuffle: Some(1),
            listed_values: 100,
            rename_leaves_tombstone: true,
        }
    }
}

/// Writes of contacts and groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Writes {
    /// How many contacts an account may have (3.4). UNVERIFIED, well known.
    pub contacts: usize,
    /// Whether those deleted in the last thirty days count too (3.4).
    pub trash_counts: bool,
    /// The status of a create above the limit. UNVERIFIED (3.4).
    pub overflow_status: u16,
    /// Whether members that only Google sets are refused, not ignored (11).
    pub refuse_read_only: bool,
    /// Whether `unstructuredName` wins over the parts of a name. UNVERIFIED (9, trap 25).
    pub unstructured_wins: bool,
    /// Whether a name that came in one piece is split into given and family name. UNVERIFIED.
    pub split_names: bool,
    /// Whether blanks around values are cut off. UNVERIFIED (9, trap 24).
    pub trim: bool,
    /// Whether `metadata.sourcePrimary` of a write chooses the primary item; else it is the first. UNVERIFIED (3.2).
    pub source_primary: bool,
    /// The status of a write that names an unknown group: 400 or 404. UNVERIFIED (11).
    pub unknown_group_status: u16,
    /// Whether one bad contact keeps a batch from changing anything. UNVERIFIED (4.1).
    pub batches_are_atomic: bool,
    /// Whether deleting a batch with an unknown name is refused as a whole; else the rest is deleted. UNVERIFIED (4.1).
    pub unknown_delete_refused: bool,
    /// Whether the created contacts come back in another order. UNVERIFIED (4.1).
    pub shuffle_created: bool,
    /// Whether a change of membership is a change of the contact: etag, next list of changes. UNVERIFIED (5.1).
    pub labels_touch: bool,
    /// Whether the members of a deleted group count as changed. UNVERIFIED (5.1).
    pub group_delete_touches: bool,
    /// Whether those who are in no group any more after a group was deleted fall back to `myContacts`; else they are left in
    /// none, and so not among the contacts. UNVERIFIED (11).
    pub fall_back: bool,
    /// Whether names of groups are compared without regard to case. UNVERIFIED (11).
    pub group_names_fold_case: bool,
    /// Whether deleting a photo that is not there is an error (4.3).
    pub absent_photo_is_error: bool,
    /// The largest photo in bytes. UNVERIFIED (3.4).
    pub photo_bytes: usize,
    /// What becomes of parallel mutations.
    pub parallel: Parallel,
    /// How long a mutation takes in real milliseconds, so that parallel ones meet.
    pub takes: u64,
}

impl Default for Writes {
    fn default() -> Self {
        Self {
            contacts: 25_000,
            trash_counts: true,
            overflow_status: 429,
            refuse_read_only: false,
            unstructured_wins: false,
            split_names: true,
            trim: false,
            source_primary: true,
            unknown_group_status: 400,
            batches_are_atomic: true,
            unknown_delete_refused: true,
            shuffle_created: false,
            labels_touch: true,
            group_delete_touches: true,
            fall_back: true,
            group_names_fold_case: false,
            absent_photo_is_error: true,
            photo_bytes: 5_000_000,
            parallel: Parallel::Aborted,
            takes: 2,
        }
    }
}

/// One mock of Google.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where to listen. Fixed at the start.
    pub ports: Ports,
    /// Where time comes from. Fixed at the start.
    pub clock: Clock,
    /// What numbers of contacts, tokens and so on depend on. Fixed at the start.
    pub seed: u64,
    /// The authorization server, with its users: each of them has contacts. The users are fixed at the start.
    pub oauth: oauth::Settings,
    /// Limits on calls.
    pub quotas: Quotas,
    /// How errors are dressed.
    pub errors: Errors,
    /// Listings, tokens and reads.
    pub reads: Reads,
    /// Writes of contacts and groups.
    pub writes: Writes,
    /// The largest request, in bytes.
    pub request_bytes: usize,
    /// The project that quota errors name.
    pub project: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ports: Ports::default(),
            // 2026-11-20T08:00:00Z.
            clock: Clock::Ticking(1_795_161_600_000),
            seed: 1,
            oauth: oauth::Settings::default(),
            quotas: Quotas::default(),
            errors: Errors::default(),
            reads: Reads::default(),
            writes: Writes::default(),
            request_bytes: 32_000_000,
            project: "123456789012".to_owned(),
        }
    }
}

impl Settings {
    /// The defaults without limits on calls: the ticking clock hardly moves by itself, so a minute of it never ends.
    #[must_use]
    pub fn without_quotas() -> Self {
        Self { quotas: Quotas::none(), ..Self::default() }
    }
}
