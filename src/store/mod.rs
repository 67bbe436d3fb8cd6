//! IO. Everything that we remember, behind one door for writes.
//!
//! Owns: the trait [`Store`], what it takes ([`Commit`]) and what it gives. Must not: know a provider, or decide anything
//! that a rule decides. Start reading at [`Store`], then [`Change`].

pub mod copy;
pub mod driver;
mod error;
pub mod postgres;
pub mod sql;
pub mod sqlite;

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

pub use self::error::StoreError;
use crate::card::Card;
use crate::card::field::Field;
use crate::card::photo::Blob;
use crate::crm::person::Person;
use crate::crm::users::{Directory, Role, User};
use crate::ids::{
    AccountId, CollectionId, ConflictId, Cursor, Etag, Fence, HeldId, IntentId, LinkId, OpId, PageToken, PersonId,
    RemoteId, Revision, RunId, Timestamp, Token, UserId,
};
use crate::sync::operation::Operation;
pub use crate::sync::pairing::Candidate;
use crate::sync::plan::{Clash, Deletion};
use crate::sync::settings::Settings;
use crate::sync::view::{Answer, Intent, Link, LinkState, Roster, Seen, StoredSeen, Subject};

/// An account as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// Whose it is.
    pub user: UserId,
    /// Which kind of provider: `carddav`, `icloud`.
    pub provider: String,
    /// Where subjects are unique (see [`crate::provider::Mailbox`]).
    pub tenant: String,
    /// The mailbox itself. Unique among accounts that are not removed, with provider and tenant.
    pub subject: String,
    /// The address, for people.
    pub address: String,
    /// Whether it syncs, and if not, why.
    pub state: AccountState,
    /// What the user chose.
    pub settings: Settings,
    /// How to reach it: the adapter's own settings; never a secret.
    pub connection: serde_json::Value,
    /// When it was added.
    pub created: Timestamp,
    /// When its last successful run ended.
    pub synced: Option<Timestamp>,
    /// Grows with each [`Change::PutAccount`]; 0 = not stored yet. Not for writing: what is stored counts it.
    pub revision: Revision,
}

/// Whether an account syncs, and if not, why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum AccountState {
    /// Not started: is listed for the preview, changes nothing.
    Setup,
    /// Syncs.
    Active,
    /// Stopped by a person or by a rule; says why.
    Paused {
        /// Why.
        reason: String,
    },
    /// Needs a person to sign in again; says why and what mends it.
    Reconnect {
        /// Why, and the remedy.
        reason: String,
    },
    /// Something implausible was met (another mailbox, an emptied server); says what. Waits for a person.
    Error {
        /// What.
        reason: String,
    },
    /// Removed: credentials forgotten, people kept, links dormant (rule 15).
    Removed,
}

impl AccountState {
    /// The word for it in settings, tables and SQL.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::Active => "active",
            Self::Paused { .. } => "paused",
            Self::Reconnect { .. } => "reconnect",
            Self::Error { .. } => "error",
            Self::Removed => "removed",
        }
    }
}

/// An address book of an account, and how far it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectionState {
    /// Its id.
    pub id: CollectionId,
    /// Its name, for people.
    pub name: String,
    /// Whether we may write to it.
    pub writable: bool,
    /// Where the next delta starts; `None` = never listed in full, or the cursor expired.
    pub cursor: Option<Cursor>,
    /// Counts the full listings of this collection. Rows of an older one were not named by the newest.
    pub generation: i64,
    /// A full listing under way: when it started, and its next page.
    pub listing: Option<(Timestamp, Option<PageToken>)>,
    /// Whether a full listing was ever completed.
    pub listed: bool,
    /// Since when full listings have been empty although we know records. An empty answer is not believed at once (rule 9).
    pub doubted: Option<Timestamp>,
}

/// A lease on an account: whoever holds it may run it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Which account.
    pub account: AccountId,
    /// Grows with each change of hands; a commit under an older one is refused.
    pub fence: Fence,
    /// Until when, by the wall clock of the store's users.
    pub until: Timestamp,
}

/// Which subject, for paging and for reading it again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SubjectKey {
    /// A remote record, and its person if it is linked.
    Record(RemoteId),
    /// A person without a record that is unsettled itself.
    Person(PersonId),
}

/// What is known of a row without loading its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its id.
    pub id: RemoteId,
    /// Its version at the provider; `None` for a row that is gone.
    pub etag: Option<Etag>,
    /// What was seen: `present`, `outside`, `unreadable`, `roster`, `gone`.
    pub kind: Kind,
    /// The listing that last named it.
    pub generation: i64,
    /// When we last wrote it ourselves.
    pub written: Option<Timestamp>,
}

/// What was seen, without its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// [`Seen::Present`].
    Present,
    /// [`Seen::Outside`].
    Outside,
    /// [`Seen::Unreadable`].
    Unreadable,
    /// [`Seen::Roster`].
    Roster,
    /// [`Seen::Gone`].
    Gone,
}

/// What a record carries in itself and keeps when it moves. The store remembers it of a record that is gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// A token in the place where ours would stand.
    pub token: Option<Token>,
    /// Its UID.
    pub uid: Option<String>,
}

/// A conflict as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Its id.
    pub id: ConflictId,
    /// Over which link.
    pub link: LinkId,
    /// In which account.
    pub account: AccountId,
    /// Of which person.
    pub person: PersonId,
    /// Since when.
    pub at: Timestamp,
    /// The two values, and which one stands.
    pub clash: Clash,
    /// Whether a person has dealt with it.
    pub resolved: bool,
}

/// A deletion that waits for a yes or no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldDeletion {
    /// Its id.
    pub id: HeldId,
    /// Over which link.
    pub link: LinkId,
    /// In which account.
    pub account: AccountId,
    /// Of which person.
    pub person: PersonId,
    /// Which side would lose something.
    pub deletion: Deletion,
    /// The person's revision when it was held.
    pub revision: Revision,
    /// The record's version when it was held.
    pub etag: Option<Etag>,
    /// Since when.
    pub at: Timestamp,
    /// Why: `guard` or `policy`.
    pub why: String,
    /// The answer, if there is one.
    pub answer: Option<Answer>,
}

/// One execution of a sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// Of which account.
    pub account: AccountId,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// What started it: `schedule`, `refresh`, `start`.
    pub trigger: String,
    /// What it counted.
    pub tally: Tally,
    /// Why it ended early, if it did.
    pub error: Option<String>,
}

/// Counts per side, and of what was left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// In the CRM.
    pub local: Counts,
    /// In the address book.
    pub remote: Counts,
    /// Looked at and left as they were.
    pub skipped: u64,
    /// Conflicts found.
    pub conflicts: u64,
    /// Deletions put to a person.
    pub held: u64,
    /// Records and writes that failed.
    pub failed: u64,
}

/// How many records changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Created, or restored from the trash.
    pub added: u64,
    /// Changed.
    pub updated: u64,
    /// Deleted, or put into the trash.
    pub deleted: u64,
}

impl Tally {
    /// Whether nothing was changed and nothing is to be told.
    pub fn is_quiet(&self) -> bool {
        *self == Self { skipped: self.skipped, ..Self::default() }
    }
}

/// What the dashboard shows of one account, or of all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Live links whose record is present.
    pub in_sync: u64,
    /// Changes in the last 24 hours, 7 days and 30 days.
    pub recent: [Recent; 3],
    /// Conflicts that no person has dealt with.
    pub conflicts: u64,
    /// Deletions that wait for an answer.
    pub held: u64,
    /// Records and writes that failed and will be tried again.
    pub failures: u64,
    /// Records that wait with several candidates.
    pub duplicates: u64,
}

/// Changes per side in a span of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recent {
    /// In the CRM.
    pub local: Counts,
    /// In address books.
    pub remote: Counts,
}

/// What the guard asks (rule 10).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GuardFacts {
    /// Links that are live now, plus those whose end is counted below.
    pub live: u64,
    /// People trashed by this account's syncs since then, but for those that a person confirmed.
    pub local: u64,
    /// Records that we deleted in this account since then, but for those that a person confirmed.
    pub remote: u64,
}

/// Something that failed and will be tried again (rule 21).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What failed.
    pub key: SubjectKey,
    /// Why, for a person.
    pub reason: String,
    /// How often, up to now.
    pub attempts: u32,
    /// Not before then.
    pub retry_at: Timestamp,
}

/// A query for people.
#[derive(Clone, Debug, Default)]
pub struct PersonQuery {
    /// Only those whom this user may see; `None` = all (admin).
    pub viewer: Option<UserId>,
    /// Words that must stand at the beginning of words of name, company, e-mail or phone.
    pub text: Option<String>,
    /// Only those owned by.
    pub owner: Option<UserId>,
    /// Those in the trash instead of those in use.
    pub trashed: bool,
    /// After this id, for paging.
    pub after: Option<PersonId>,
    /// At most so many.
    pub limit: usize,
}

/// All changes that belong together: either all of them are stored, or none.
#[derive(Clone, Debug)]
pub struct Commit {
    /// The lease under which it is made; refused if it has changed hands.
    pub lease: Option<Lease>,
    /// The time, for what is stamped.
    pub now: Timestamp,
    /// What must still hold.
    pub expect: Vec<Expect>,
    /// What changes, in this order.
    pub changes: Vec<Change>,
    /// What is to be logged; tallies are derived from it and stored with it.
    pub operation: Option<Operation>,
}

impl Commit {
    /// With nothing in it yet.
    pub fn new(lease: Option<&Lease>, now: Timestamp) -> Self {
        Self { lease: lease.cloned(), now, expect: Vec::new(), changes: Vec::new(), operation: None }
    }

    /// Stores an account as it was read and then changed: stale if somebody else has changed it meanwhile.
    pub fn put_account(&mut self, account: Account) {
        self.expect.push(Expect::Account(account.id, account.revision));
        self.changes.push(Change::PutAccount(Box::new(account)));
    }
}

/// What must still hold when a commit is made; otherwise it is [`StoreError::Stale`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The person has this revision.
    Person(PersonId, Revision),
    /// The observation has this version.
    Seen(AccountId, RemoteId, i64),
    /// The user may see and edit the person (rule 22), by the SQL predicate.
    Access(UserId, PersonId),
    /// The link has this state.
    Link(LinkId, LinkState),
    /// The person has no open link and no open intent in the account (rule 12).
    NoOpenLink(AccountId, PersonId),
    /// No open link speaks for the record.
    Unlinked(AccountId, RemoteId),
    /// The intent is still open.
    IntentOpen(IntentId),
    /// The account has this revision; 0 = it is not there yet.
    Account(AccountId, Revision),
    /// The account's sealed credentials are these bytes.
    Secret(AccountId, Vec<u8>),
    /// The account is active (not paused or removed meanwhile).
    Active(AccountId),
}

/// One change.
///
/// A link, intent, conflict or held deletion may stand before what it refers to, as long as that is in the same commit.
#[derive(Clone, Debug)]
pub enum Change {
    /// A user, new or changed. Marks as unsettled the links in its accounts and those of its people.
    PutUser(User),
    /// A role, new or changed. Marks as unsettled every link of every user with that role or one above or below it.
    PutRole(Role),
    /// A new person (revision 1), or the next version of one (stale if its revision is not the next one). Marks it unsettled
    /// in every account with a link to it (of any state) or of its owner, and keeps its match keys and search text.
    PutPerson(Box<Person>),
    /// A picture's bytes, once per hash.
    PutBlob(Blob),
    /// The picture behind an address (`Photo::hash` of the form `url:…`) is the one with this hash.
    PutPhotoAlias {
        /// `url:…`.
        address: String,
        /// The hash of the bytes.
        hash: String,
    },
    /// An account, new or changed; see [`Commit::put_account`].
    PutAccount(Box<Account>),
    /// The account's sealed credentials; `None` forgets them.
    PutSecret(AccountId, Option<Vec<u8>>),
    /// An address book, new or changed (name, writable, cursor, generation, listing).
    PutCollection(AccountId, CollectionState),
    /// What a page showed: rows are inserted or replaced, stamped with the generation, and unsettled if what they say
    /// changed: what kind of row it is, content, groups, collection, token, UID, former ids, a group's members. A new row
    /// has version 1, and a change makes the next; a new etag, time or spelling of the original bytes changes nothing.
    /// `Gone` leaves a tombstone without content; of a row that is unknown and that no link names it is not kept.
    Observe {
        /// In which account.
        account: AccountId,
        /// In which collection.
        collection: CollectionId,
        /// Under which generation.
        generation: i64,
        /// The rows, with the times of their fields.
        rows: Vec<(Seen, BTreeMap<Field, Timestamp>)>,
        /// Whether this is the echo of our own write: stamped as written now. It is unsettled like any other row that
        /// changed; who knows that the echo leaves nothing to do puts a [`Change::SettleRecord`] of its next version
        /// behind it, which does nothing where the version did not change.
        echo: bool,
    },
    /// These rows are still as they were: stamped with the generation.
    Touch {
        /// In which account.
        account: AccountId,
        /// Which rows.
        ids: Vec<RemoteId>,
        /// With which generation.
        generation: i64,
    },
    /// The observation of that version needs nothing more. Does nothing if there is a later one.
    SettleRecord(AccountId, RemoteId, i64),
    /// The person of that revision needs nothing more in that account. A mark of a later revision stays. So does one that
    /// was made from outside ([`Change::UnsettlePerson`] and the like, in a commit without this account's lease) since
    /// this lease was taken: the run may have looked before, so the next one looks again. Hence a run gives its lease back
    /// ([`Store::release`]), and pages through [`Store::unsettled`] with `after` instead of asking until nothing is left.
    SettlePerson(AccountId, PersonId, Revision),
    /// The record is to be looked at again. Its version grows, so that who looked before doesn't settle it.
    UnsettleRecord(AccountId, RemoteId),
    /// The person is to be looked at again in that account.
    UnsettlePerson(AccountId, PersonId),
    /// Everything of that account is to be looked at again (its settings changed, or it starts to sync): its records, the
    /// people of its links, and those whom its user owns.
    UnsettleAccount(AccountId),
    /// A link, new or changed.
    PutLink(Box<Link>),
    /// An intent is stored before it is sent. The token of a create is remembered for ever, with its link. Stale if another
    /// create is open for the same person and account, or if the token was made for another link.
    OpenIntent(Box<Intent>),
    /// An open intent follows its link to another person, as of no revision of that. Stale if it is not open.
    MoveIntent(Box<Intent>),
    /// It is known what became of it. Stale if it is not open.
    CloseIntent(IntentId),
    /// It was looked for and not found, once more. Stale if it is not open.
    MissIntent(IntentId),
    /// A conflict. The same link, subject and values are one conflict, with its first id; open again if it comes up again.
    PutConflict(Box<Conflict>),
    /// A person has dealt with it, or it no longer exists. Without a lease it also unsettles the person in that account.
    ResolveConflict(ConflictId),
    /// A deletion waits for an answer. One of the same link and side is the same one, newer in revision and etag until answered.
    PutHeld(Box<HeldDeletion>),
    /// The answer. Stale if it is done with. Without a lease it also unsettles the person in that account.
    AnswerHeld(HeldId, Answer),
    /// What was held of this link is done with, or moot. A confirmed one counts as confirmed while its row is there
    /// ([`Store::guard_facts`]): it is dropped in the commit whose operation tells of the deletion, or later.
    DropHeld(LinkId),
    /// Something failed. Attempts are counted; not shown by [`Store::unsettled`] before `retry_at`.
    Fail {
        /// In which account.
        account: AccountId,
        /// What.
        key: SubjectKey,
        /// Why, for a person.
        reason: String,
        /// Not before then.
        retry_at: Timestamp,
    },
    /// It no longer fails.
    Unfail(AccountId, SubjectKey),
    /// These candidates were found for a record that waits (shown as possible duplicates); empty = none any more.
    PutDuplicates(AccountId, RemoteId, Vec<PersonId>),
    /// The record is none of these people, says a person: they are no candidates for it any more ([`Store::candidates`]).
    Dismiss(AccountId, RemoteId, Vec<PersonId>),
    /// The person's content goes out of everything that is remembered besides the person itself: the bases of its links,
    /// its conflicts, what failed, and the values in its operations. That something was changed, by whom and when, stays.
    Scrub(PersonId),
    /// A picture's bytes are not needed any more, unless somebody else has the same one.
    DropBlob(String),
    /// A run, new or changed.
    PutRun(Box<Run>),
    /// The account was synced at that time.
    Synced(AccountId, Timestamp),
}

/// Everything that we remember.
///
/// What [`Subject`] holds where its own words leave it open: a subject by its record has the open link of that record, else
/// the latest ended one, with its person; a subject by its person has the open link of that person (rather one that is not
/// redundant), else the latest ended one, with the record that it names, unless another open link speaks for that. A record
/// that no link speaks for is `blocked` while an intent is open for the person whose token it carries. `token_of` knows the
/// tokens of the same account only. `held` is the latest of the link.
///
/// Reads are consistent in themselves; what was read may be stale when a commit is made, which is what [`Expect`] is for.
#[async_trait]
pub trait Store: Send + Sync {
    /// The only door for writes.
    async fn commit(&self, commit: Commit) -> Result<(), StoreError>;
    /// Takes or renews the lease on an account; `None` = another holder has it. The fence stays the same only while one
    /// holder renews a lease that has not ended; whoever takes it anew gets a higher one.
    async fn lease(
        &self,
        account: AccountId,
        holder: &str,
        now: Timestamp,
        ttl: i64,
    ) -> Result<Option<Lease>, StoreError>;
    /// Gives the lease back.
    async fn release(&self, lease: &Lease) -> Result<(), StoreError>;
    /// Gives all leases back, whoever held them: only for who knows that no other daemon uses the store.
    async fn free_leases(&self) -> Result<(), StoreError>;

    /// All users and roles.
    async fn directory(&self) -> Result<Directory, StoreError>;
    /// One account.
    async fn account(&self, id: AccountId) -> Result<Option<Account>, StoreError>;
    /// All accounts, removed ones included.
    async fn accounts(&self) -> Result<Vec<Account>, StoreError>;
    /// The account's sealed credentials.
    async fn secret(&self, id: AccountId) -> Result<Option<Vec<u8>>, StoreError>;
    /// The account's address books.
    async fn collections(&self, account: AccountId) -> Result<Vec<CollectionState>, StoreError>;

    /// What is known of these records, in order.
    async fn known(&self, account: AccountId, ids: &[RemoteId]) -> Result<Vec<Option<Known>>, StoreError>;
    /// What is known of a collection's records, in order of id, gone ones left out, for comparing with a full listing.
    async fn listing(
        &self,
        account: AccountId,
        collection: &CollectionId,
        after: Option<&RemoteId>,
        limit: usize,
    ) -> Result<Vec<Known>, StoreError>;
    /// Rows of a collection that are not gone, of an older generation, and not written by us since `written_before`.
    async fn unnamed(
        &self,
        account: AccountId,
        collection: &CollectionId,
        generation: i64,
        written_before: Timestamp,
        after: Option<&RemoteId>,
        limit: usize,
    ) -> Result<Vec<Known>, StoreError>;
    /// The observations themselves, in order.
    async fn seen(&self, account: AccountId, ids: &[RemoteId]) -> Result<Vec<Option<StoredSeen>>, StoreError>;
    /// The account's groups that list their members.
    async fn rosters(&self, account: AccountId) -> Result<Vec<Roster>, StoreError>;
    /// The records with these UIDs that are gone: one of them may have come back under another id. Without regard to case.
    async fn gone_by_uid(&self, account: AccountId, uids: &[String]) -> Result<Vec<(String, RemoteId)>, StoreError>;
    /// The records with these UIDs, without regard to case, whatever was seen of them but gone.
    async fn by_uid(&self, account: AccountId, uids: &[String]) -> Result<Vec<(String, RemoteId)>, StoreError>;
    /// What these records carry in themselves, or carried when they were last there; for [`Store::refind`]. In order.
    async fn identities(&self, account: AccountId, ids: &[RemoteId]) -> Result<Vec<Option<Identity>>, StoreError>;
    /// Records that no open link speaks for and that could be where a lost record went: same token, same UID (of one
    /// outside the sync group nothing else is known), or same content, in this order.
    async fn refind(
        &self,
        account: AccountId,
        token: Option<Token>,
        uid: Option<&str>,
        content: &Card,
    ) -> Result<Vec<RemoteId>, StoreError>;

    /// What is unsettled: records in order, then people in order; at most `limit`. What failed is left out until its time.
    async fn unsettled(
        &self,
        account: AccountId,
        now: Timestamp,
        after: Option<&SubjectKey>,
        limit: usize,
    ) -> Result<Vec<(SubjectKey, Subject)>, StoreError>;
    /// These subjects, settled or not.
    async fn subjects(&self, account: AccountId, keys: &[SubjectKey]) -> Result<Vec<Subject>, StoreError>;
    /// The subjects of these links, by the record where the link names one, else by the person.
    async fn subjects_of_links(
        &self,
        account: AccountId,
        links: &[LinkId],
    ) -> Result<Vec<(SubjectKey, Subject)>, StoreError>;
    /// For every present, unsettled record that no link speaks for: the people who could be the same, whom the account's
    /// user may see and edit, who are in use and have no open, unlinked or undone link there. Keys that more than
    /// `popular` people or records share are no keys. Sorted.
    async fn candidates(&self, account: AccountId, popular: usize) -> Result<Vec<Candidate>, StoreError>;
    /// Present, unsettled records that no link ever spoke for and that equal a record which we made, here or in another
    /// account of the same user, for a person who has records in both: somebody else seems to carry ours over. With that
    /// person. Sorted.
    async fn copies(&self, account: AccountId) -> Result<Vec<(RemoteId, PersonId)>, StoreError>;
    /// Open intents of an account, oldest first.
    async fn intents(&self, account: AccountId) -> Result<Vec<Intent>, StoreError>;
    /// Which of these tokens are ours, with the link that each was made for.
    async fn tokens(&self, account: AccountId, tokens: &[Token]) -> Result<Vec<(Token, LinkId)>, StoreError>;
    /// Open links whose record is gone and unsettled, and those without a record whose token an unlinked one carries.
    async fn lost(&self, account: AccountId) -> Result<Vec<Link>, StoreError>;
    /// A link.
    async fn link(&self, id: LinkId) -> Result<Option<Link>, StoreError>;
    /// What the guard asks.
    async fn guard_facts(&self, account: AccountId, since: Timestamp) -> Result<GuardFacts, StoreError>;
    /// Pictures.
    async fn blob(&self, hash: &str) -> Result<Option<Blob>, StoreError>;
    /// The hashes behind addresses of pictures, as far as known.
    async fn photo_aliases(&self, addresses: &[String]) -> Result<BTreeMap<String, String>, StoreError>;

    /// A person, whoever asks.
    async fn person(&self, id: PersonId) -> Result<Option<Person>, StoreError>;
    /// People, in order of id.
    async fn people(&self, query: &PersonQuery) -> Result<Vec<Person>, StoreError>;
    /// All links of a person.
    async fn links_of(&self, person: PersonId) -> Result<Vec<Link>, StoreError>;
    /// All operations that concern a person, newest first, each with the effects on that person alone: what it did to
    /// others is not for whoever may see this one.
    async fn history(&self, person: PersonId, limit: usize) -> Result<Vec<Operation>, StoreError>;
    /// The operations of a run, oldest first, in pages.
    async fn operations(&self, run: RunId, after: Option<OpId>, limit: usize) -> Result<Vec<Operation>, StoreError>;
    /// One operation, with all its effects.
    async fn operation(&self, id: OpId) -> Result<Option<Operation>, StoreError>;
    /// All operations with an id of that time or later, oldest first, in pages.
    async fn operations_since(
        &self,
        since: Timestamp,
        after: Option<OpId>,
        limit: usize,
    ) -> Result<Vec<Operation>, StoreError>;
    /// Runs, newest first.
    async fn runs(
        &self,
        account: Option<AccountId>,
        before: Option<RunId>,
        limit: usize,
    ) -> Result<Vec<Run>, StoreError>;
    /// Conflicts that no person has dealt with; all accounts or one.
    async fn conflicts(&self, account: Option<AccountId>, limit: usize) -> Result<Vec<Conflict>, StoreError>;
    /// One conflict, dealt with or not.
    async fn conflict(&self, id: ConflictId) -> Result<Option<Conflict>, StoreError>;
    /// Held deletions without an answer, or with one that was not carried out yet.
    async fn held(&self, account: Option<AccountId>) -> Result<Vec<HeldDeletion>, StoreError>;
    /// Failures of an account.
    async fn failures(&self, account: AccountId, limit: usize) -> Result<Vec<Failure>, StoreError>;
    /// Records that wait with several candidates, and who these are ([`Change::PutDuplicates`]), in order.
    async fn duplicates(&self, account: AccountId) -> Result<Vec<(RemoteId, Vec<PersonId>)>, StoreError>;
    /// What the dashboard shows; all accounts or one.
    async fn counted(&self, account: Option<AccountId>, now: Timestamp) -> Result<Counted, StoreError>;
    /// The same of each of these accounts of which there is anything to tell, at once.
    async fn counted_each(
        &self,
        accounts: &[AccountId],
        now: Timestamp,
    ) -> Result<BTreeMap<AccountId, Counted>, StoreError>;
    /// Adds up what was counted in hours that have passed, so that a month of all accounts is told at once. To be called
    /// once an hour; late or never, what is counted is the same and takes longer to tell.
    async fn add_up(&self, now: Timestamp) -> Result<(), StoreError>;
    /// Recounts what is stored twice (tallies, match keys, unsettled marks) and says what does not agree; empty = all does.
    async fn check(&self) -> Result<Vec<String>, StoreError>;
    /// Sees to it, as far as the database can, that what was deleted is not to be found in its files any more.
    async fn wipe(&self) -> Result<(), StoreError>;
    /// Whether the database answers; for the watchdog.
    async fn ping(&self) -> Result<(), StoreError>;
}
