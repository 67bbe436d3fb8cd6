//! How the fake provider behaves beyond its capabilities, and what goes wrong there.

/// What goes wrong at the next opportunity.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// The next write is not stored and its answer is lost.
    pub lose_before: u32,
    /// The next write is stored and its answer is lost.
    pub lose_after: u32,
    /// The next listing is empty, though it says that it is complete.
    pub empty_listing: u32,
    /// The next fetches answer nothing.
    pub fetch_unknown: u32,
    /// The next request for changes fails.
    pub fail_changes: u32,
    /// The next page token is refused.
    pub refuse_page: u32,
    /// The next write is refused by its content.
    pub refuse_write: u32,
    /// The next create is refused, as by a book that may be changed and not added to.
    pub refuse_create: u32,
    /// The picture of the next write that has one is not taken; true: for now.
    pub refuse_picture: Option<bool>,
    /// The next write comes twice, as whatever stands between may repeat what is the same however often it is done; the second
    /// answer is ours.
    pub repeat: u32,
    /// The next further page of a listing fails, with more to come.
    pub cut_listing: u32,
    /// The next requests fail: the sign-in was revoked, and a person has to come.
    pub revoked: bool,
    /// So many requests fail: the server is away, and says when to come back.
    pub away: u32,
    /// The group cards are left out of the next listings.
    pub hide_groups: u32,
    /// The next search for tokens misses what is there.
    pub miss_find: u32,
    /// The n-th write from now: the machine stops, after (true) or before (false) it is stored.
    pub crash_at_send: Option<(u32, bool)>,
}

/// How the fake behaves beyond its capabilities.
#[derive(Clone, Debug)]
pub struct Manner {
    /// Answers `changes` with versions only, as CardDAV does.
    pub lists_only: bool,
    /// Pages of so many.
    pub page: usize,
    /// Notes are cut after so many characters.
    pub note: usize,
    /// E-mail addresses are stored in lower case and phones without blanks.
    pub rewrites: bool,
    /// Reverses the order of lists that it stores.
    pub reorders: bool,
    /// Writes answer with the record, not only with its version.
    pub echoes: bool,
    /// Tells when a record was changed.
    pub tells_time: bool,
    /// Tells it in whole seconds.
    pub seconds: bool,
    /// Pictures are stored as other ones than were sent.
    pub recodes: bool,
    /// Versions are not told.
    pub no_etags: bool,
    /// Cursors are refused after so many ms.
    pub cursor_life: Option<u64>,
}

impl Manner {
    /// Nothing out of the ordinary.
    pub const PLAIN: Self = Self {
        lists_only: false,
        page: 5,
        note: 10_000,
        rewrites: false,
        reorders: false,
        echoes: true,
        tells_time: true,
        seconds: false,
        recodes: false,
        no_etags: false,
        cursor_life: None,
    };
}
