//! Everything that servers do differently, as typed switches, and two presets: iCloud and a generic CardDAV server.
//!
//! Owns: the switches and their defaults. Must not: act on them. Sections are those of `icloud-carddav.md`.
//! Start reading at [`Settings`].

use crate::book::EtagStyle;
pub use crate::clock::Clock;

/// One mock server. [`Settings::icloud`] is also the default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Who may sign in; each has one address book.
    pub accounts: Vec<Account>,
    /// Where to listen on 127.0.0.1.
    pub ports: Ports,
    /// Where time comes from.
    pub clock: Clock,
    /// How the book is found (1.1).
    pub discovery: Discovery,
    /// How signing in is refused (1.2).
    pub auth: Auth,
    /// What etags are made of (2.1).
    pub etags: EtagStyle,
    /// How answers are written (2.1).
    pub xml: Xml,
    /// PROPFIND (2.1, 2.2).
    pub listing: Listing,
    /// REPORT sync-collection (3.1).
    pub sync: Sync,
    /// REPORT addressbook-multiget (3.3) and addressbook-query (3.4).
    pub report: Report,
    /// PUT and DELETE (4).
    pub write: Write,
    /// What becomes of a stored card (4.3, 6.4).
    pub rewrite: Rewrite,
    /// Sizes and numbers (9).
    pub limits: Limits,
}

/// Somebody who may sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The user name: an e-mail address at iCloud.
    pub user: String,
    /// The password: an app-specific one at iCloud.
    pub password: String,
    /// The number in the account's paths.
    pub dsid: String,
}

impl Account {
    /// An account.
    #[must_use]
    pub fn new(user: &str, password: &str, dsid: &str) -> Self {
        Self { user: user.to_owned(), password: password.to_owned(), dsid: dsid.to_owned() }
    }
}

/// The ports of the origins; 0 lets the system choose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    /// The origin that users type in, `contacts.icloud.com`.
    pub entry: u16,
    /// The origin that holds the data, `pNN-contacts.icloud.com`.
    pub partition: u16,
    /// The origin of the photos, `gateway.icloud.com`.
    pub photo: u16,
}

/// Where the paths lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `/<dsid>/principal/`, `/<dsid>/carddavhome/`, `/<dsid>/carddavhome/card/` (1.1).
    Icloud,
    /// `/principals/<dsid>/`, `/addressbooks/<dsid>/`, `/addressbooks/<dsid>/contacts/`.
    Generic,
}

/// What `/.well-known/carddav` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WellKnown {
    /// 207 at once, as iCloud did in a trace of 2020 (S:22).
    Direct,
    /// This status with a `Location` of `/` (RFC 6764 §5).
    Redirect(u16),
    /// The same, but only for GET; other methods get 404 (S:16).
    RedirectGetOnly(u16),
    /// 404.
    NotFound,
}

/// How the book is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Discovery {
    /// Where the paths lie.
    pub layout: Layout,
    /// What the well-known URI answers.
    pub well_known: WellKnown,
    /// Whether the root names the principal at all.
    pub principal_at_root: bool,
    /// The status with which the entry origin sends everything to the partition, if it does: 301, 302, 307 or 308 (S:3).
    pub entry_redirect: Option<u16>,
    /// Whether the home set is an absolute URL on the partition, with its port, or a path.
    pub home_set_absolute: bool,
    /// Whether nobody listens at the partition that the home set names: its machine is down, or its name is gone.
    pub partition_dead: bool,
    /// Whether the entry origin serves the data paths too, by credential (S:5, S:16).
    pub data_on_entry: bool,
    /// The number of the first partition, for `x-apple-user-partition`.
    pub partition: u16,
    /// Whether the homes and the book answer OPTIONS. The book does not at iCloud: 404 (S:9).
    pub options_on_book: bool,
}

/// How signing in is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Auth {
    /// Whether `X-MobileMe-AuthToken` is offered beside `Basic` (S:26).
    pub mobile_me: bool,
    /// Whether both challenges stand in one header or in two.
    pub one_header: bool,
    /// The realm. UNVERIFIED for contacts: `MMCalDav` was seen on a pNN-contacts host.
    pub realm: &'static str,
    /// Whether answers carry the headers of Apple's edge (1.2).
    pub apple_headers: bool,
}

/// How namespaces are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespaces {
    /// A default `xmlns`, declared anew wherever the namespace changes (iCloud, Radicale).
    Default,
    /// Prefixes declared on the root (sabre).
    Prefixed,
}

/// How an etag is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EtagForm {
    /// In quotes (RFC 9110 §8.8.3).
    #[default]
    Strong,
    /// Weak, `W/"…"`: If-Match never holds.
    Weak,
    /// Without quotes (Group-Office); If-Match holds with quotes or without.
    Unquoted,
}

/// How answers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Xml {
    /// How etags are written, in headers too.
    pub etags: EtagForm,
    /// Whether a row has a status of its own beside its properties (SOGo, S:29).
    pub row_status: bool,
    /// How namespaces are written.
    pub namespaces: Namespaces,
    /// Whether `status` stands before `prop` in a propstat (Xandikos).
    pub status_first: bool,
    /// Whether the sync token stands before the rows (Radicale).
    pub token_first: bool,
    /// Whether a carriage return is written as `&#13;` (iCloud, sabre) or as it is, which XML readers drop (Radicale).
    pub cr_as_reference: bool,
    /// Whether quotes are written as `&quot;` (sabre).
    pub escape_quotes: bool,
    /// Whether `@` in names is percent-encoded in hrefs (Radicale) or not (Xandikos).
    pub encode_at: bool,
    /// Whether control characters of a card are written as they are, which makes the answer ill-formed (S:24).
    pub raw_control: bool,
    /// Whether hrefs of answers are absolute URLs.
    pub absolute_hrefs: bool,
}

/// How the collection shows itself among its members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelfRow {
    /// With an etag and without the trailing slash (iCloud, fact 2).
    Slashless,
    /// As the path that was asked, without an etag.
    Slash,
    /// Not at all.
    Absent,
}

/// PROPFIND.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listing {
    /// How the collection shows itself among its members.
    pub self_row: SelfRow,
    /// Whether `Depth: infinity` is refused with 403 `propfind-finite-depth` (RFC 4918 §9.1) or taken as 1.
    pub finite_depth: bool,
    /// Whether a CARDDAV root on a prefix with DAV children in a default namespace is refused with 400 (S:5). UNVERIFIED in
    /// its strictness, and off by default, for vdirsyncer sends just that and is reported to work.
    pub strict_namespaces: bool,
    /// Whether PROPFIND and REPORT need an XML content type, else 415 (Xandikos).
    pub xml_content_type: bool,
    /// Whether the book is read-only in its privileges and refuses writes with 403 `need-privileges`.
    pub read_only: bool,
    /// Whether a GET of a collection closes the connection (iCloud, S:23) or is answered with 501 (sabre without its plugin).
    pub cut_collection_get: bool,
}

/// What a sync-collection without a token gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmptyToken {
    /// All members (S:4, S:9, S:10).
    Members,
    /// All members, and 404 rows for everything that ever was (Radicale).
    MembersAndTombstones,
    /// 403 with `valid-sync-token`, or a bare 400 (S:11 "rejected on real devices"; Google).
    Refused(u16),
}

/// What `limit/nresults` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nresults {
    /// Nothing (Radicale).
    Ignored,
    /// 507 for the whole request (Apple's open server).
    Refused,
    /// Fewer rows with the newest token and no word about it: silent loss (sabre's stock backend, Xandikos).
    SilentLoss,
}

/// REPORT sync-collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sync {
    /// Whether there is that report and a token at all.
    pub supported: bool,
    /// What an empty token gets.
    pub empty_token: EmptyToken,
    /// The status of a refused token, with `valid-sync-token` in the body: 403; 412 at Xandikos; 409 elsewhere.
    pub bad_token: u16,
    /// Whether a token from the future gets an empty answer and the current token (sabre) or is refused. UNVERIFIED for iCloud.
    pub accept_future: bool,
    /// After how many rows the answer is cut, with a 507 row and the token to go on from (RFC 6578 §3.6).
    pub page: Option<usize>,
    /// What a client's own limit does. UNVERIFIED for iCloud.
    pub nresults: Nresults,
    /// Whether `address-data` is answered (sabre, Radicale) or a 404 property (Xandikos; iCloud by inference).
    pub address_data: bool,
    /// Whether tokens look like URIs (RFC 6578 §4) or like a path (iCloud, S:9).
    pub uri_tokens: bool,
}

/// What a multiget does about hrefs that lead nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingHref {
    /// A row that says 404.
    Row,
    /// No row (sabre 4).
    Omitted,
    /// 404 for the whole report (sabre 1.8).
    WholeReport,
}

/// REPORT addressbook-multiget and addressbook-query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Whether hrefs must be absolute paths, else 400 (fact 3).
    pub path_hrefs_only: bool,
    /// What happens to hrefs that lead nowhere.
    pub missing: MissingHref,
    /// More hrefs than this get 403 `number-of-matches-within-limits` (Apple's open server: 5000; iCloud unknown).
    pub max_hrefs: Option<usize>,
    /// Whether a query needs a filter (RFC 6352 §10.3); iCloud returns everything without (S:2, S:3).
    pub filter_required: bool,
    /// Whether `test="allof"` is understood; iCloud has none (S:4).
    pub allof: bool,
}

/// When PUT answers with an etag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutEtag {
    /// Always, even if the card was rewritten (Radicale).
    Always,
    /// When the bytes were kept (RFC 6352 §6.3.2.3).
    WhenKept,
    /// Never.
    Never,
}

/// PUT and DELETE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Write {
    /// When PUT answers with an etag. UNVERIFIED for iCloud.
    pub etag: PutEtag,
    /// Whether `If-Match: *` is 412 even for a resource that exists (S:15).
    pub if_match_star_fails: bool,
    /// Whether If-Match is looked at, at all (Google's does not, S:5).
    pub heed_if_match: bool,
    /// Whether a 412 carries the current etag (sabre).
    pub etag_on_412: bool,
    /// The status of a card that is refused for its content; the body is empty (S:13, S:14).
    pub refused: u16,
    /// Whether `N` must be there (S:14).
    pub need_n: bool,
    /// Whether `FN` must be there, even if empty. UNVERIFIED for iCloud.
    pub need_fn: bool,
    /// Whether `UID` must be there (S:12).
    pub need_uid: bool,
    /// Whether only version 3.0 is taken (S:12).
    pub only_version_3: bool,
    /// Whether the lines must be well-formed UTF-8 without control characters (S:12).
    pub need_syntax: bool,
    /// Whether a folded PRODID is refused. UNVERIFIED cause of a 403 (S:13).
    pub refuse_folded_prodid: bool,
    /// Whether names with spaces, `@` or non-ASCII letters are refused (S:24 leaves such tests out for iCloud).
    pub refuse_odd_names: bool,
    /// The status for a UID that another card has, with `no-uid-conflict`; none stores duplicates (sabre's stock backend).
    /// UNVERIFIED for iCloud.
    pub uid_conflict: Option<u16>,
    /// Whether another UID under the same name is refused with 403 `no-uid-conflict` (RFC 6352 §6.3.2.1).
    pub refuse_uid_change: bool,
    /// Whether a person may not become a group under the same name, and the other way round (S:12).
    pub refuse_kind_change: bool,
    /// Whether a `Depth` header on DELETE is refused with 400 (S:33, seen at iCloud's CalDAV).
    pub refuse_delete_depth: bool,
    /// Whether DELETE answers 200 with a multistatus body (Radicale) or 204.
    pub delete_multistatus: bool,
    /// Whether a card is stored under a name of the server's choice, told by `Location` (Google, S:5).
    pub rename_creates: bool,
}

/// How much a stored card differs from what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Not at all (sabre, Xandikos).
    Kept,
    /// Line ends and folding only.
    Folded,
    /// Properties in Apple's order, PRODID and REV its own, photos behind URLs. UNVERIFIED in detail (4.3).
    Icloud,
    /// Properties sorted, names in capitals (Radicale).
    Sorted,
}

/// What becomes of a stored card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rewrite {
    /// How much it changes.
    pub level: Level,
    /// Whether an inline photo is replaced by a URL on the photo origin (fact 13).
    pub photo_urls: bool,
    /// Whether a `PHOTO;VALUE=uri` line sent back keeps the photo. UNVERIFIED (question 8).
    pub keep_photo_urls: bool,
    /// Whether unknown `X-` properties are dropped, against RFC 6352 §6.3.2.2. iCloud keeps many (4.5, UNVERIFIED).
    pub drop_unknown: bool,
}

/// Sizes and numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Cards in the book; more get 507 (S:19; the status is UNVERIFIED).
    pub cards: usize,
    /// Bytes of a card or group, photo included (S:19).
    pub card_bytes: usize,
    /// Bytes of a photo (S:19).
    pub photo_bytes: usize,
    /// The status for what is too big: 403, 413 or 507, with `max-resource-size`.
    pub too_big: u16,
    /// Whether `max-resource-size` is a property of the book. Its value at iCloud is UNVERIFIED.
    pub advertise: bool,
    /// Bytes of a request body; more get 413. vdirsyncer asks for 10,000 hrefs at once, which is over 1 MB.
    pub request_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self::icloud()
    }
}

impl Settings {
    /// iCloud, as far as it is known.
    #[must_use]
    pub fn icloud() -> Self {
        Self {
            accounts: vec![Account::new("jane.appleseed@example.com", "abcd-efgh-ijkl-mnop", "1234567890")],
            ports: Ports::default(),
            clock: Clock::Ticking(1_767_225_600_000),
            discovery: Discovery {
                layout: Layout::Icloud,
                well_known: WellKnown::Direct,
                principal_at_root: true,
                entry_redirect: None,
                home_set_absolute: true,
                partition_dead: false,
                data_on_entry: true,
                partition: 42,
                options_on_book: false,
            },
            auth: Auth { mobile_me: true, one_header: false, realm: "MMCalDav", apple_headers: true },
            etags: EtagStyle::Millis36,
            xml: Xml {
                etags: EtagForm::Strong,
                row_status: false,
                namespaces: Namespaces::Default,
                status_first: false,
                token_first: false,
                cr_as_reference: true,
                escape_quotes: false,
                encode_at: false,
                raw_control: false,
                absolute_hrefs: false,
            },
            listing: Listing {
                self_row: SelfRow::Slashless,
                finite_depth: true,
                strict_namespaces: false,
                xml_content_type: false,
                read_only: false,
                cut_collection_get: true,
            },
            sync: Sync {
                supported: true,
                empty_token: EmptyToken::Members,
                bad_token: 403,
                accept_future: false,
                page: None,
                nresults: Nresults::Ignored,
                address_data: false,
                uri_tokens: false,
            },
            report: Report {
                path_hrefs_only: true,
                missing: MissingHref::Row,
                max_hrefs: None,
                filter_required: false,
                allof: false,
            },
            write: Write {
                etag: PutEtag::WhenKept,
                if_match_star_fails: true,
                heed_if_match: true,
                etag_on_412: false,
                refused: 403,
                need_n: true,
                need_fn: true,
                need_uid: true,
                only_version_3: true,
                need_syntax: true,
                refuse_folded_prodid: true,
                refuse_odd_names: true,
                uid_conflict: None,
                refuse_uid_change: true,
                refuse_kind_change: true,
                refuse_delete_depth: true,
                delete_multistatus: false,
                rename_creates: false,
            },
            rewrite: Rewrite { level: Level::Icloud, photo_urls: true, keep_photo_urls: true, drop_unknown: false },
            limits: Limits {
                cards: 50_000,
                card_bytes: 262_144,
                photo_bytes: 229_376,
                too_big: 403,
                advertise: true,
                request_bytes: 64 << 20,
            },
        }
    }

    /// A CardDAV server of the common kind: one origin, prefixes, bytes kept, etags always, few refusals.
    #[must_use]
    pub fn generic() -> Self {
        let icloud = Self::icloud();
        Self {
            accounts: vec![Account::new("jane", "correct horse", "jane")],
            discovery: Discovery {
                layout: Layout::Generic,
                well_known: WellKnown::Redirect(301),
                home_set_absolute: false,
                partition_dead: false,
                options_on_book: true,
                ..icloud.discovery
            },
            auth: Auth { mobile_me: false, one_header: false, realm: "contacts", apple_headers: false },
            etags: EtagStyle::Content,
            xml: Xml { namespaces: Namespaces::Prefixed, escape_quotes: true, ..icloud.xml },
            listing: Listing { self_row: SelfRow::Slash, cut_collection_get: false, ..icloud.listing },
            sync: Sync { address_data: true, uri_tokens: true, ..icloud.sync },
            report: Report { path_hrefs_only: false, filter_required: true, allof: true, ..icloud.report },
            write: Write {
                etag: PutEtag::Always,
                if_match_star_fails: false,
                etag_on_412: true,
                need_n: false,
                need_fn: false,
                only_version_3: false,
                need_syntax: false,
                refuse_folded_prodid: false,
                refuse_odd_names: false,
                refuse_kind_change: false,
                refuse_delete_depth: false,
                ..icloud.write
            },
            rewrite: Rewrite { level: Level::Kept, photo_urls: false, ..icloud.rewrite },
            limits: Limits { cards: usize::MAX, card_bytes: 10_000_000, photo_bytes: usize::MAX, ..icloud.limits },
            ..icloud
        }
    }

    /// The same settings with these accounts.
    #[must_use]
    pub fn with_accounts(self, accounts: impl IntoIterator<Item = Account>) -> Self {
        Self { accounts: accounts.into_iter().collect(), ..self }
    }
}
