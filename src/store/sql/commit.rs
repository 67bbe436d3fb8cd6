//! The one door for writes: a [`Commit`] becomes one batch.
//!
//! First, what the changes build upon is read (older versions of people and rows, answers to held deletions). Then all
//! statements are made at once. What was read can't change unnoticed: the statements name the versions that they build
//! upon, and the batch is stale if one is not there any more.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::super::driver::{Driver, Row, Rows, Stmt};
use super::super::{Account, Change, CollectionState, Commit, Conflict, Expect, HeldDeletion, Lease, Run};
use super::super::{StoreError, SubjectKey};
use super::access::{may_see, roles_above};
use super::derive::{add_keys, add_words, difference, hash, keys_of};
use super::in_sync::{self, InSync};
use super::log::{self, Confirmed};
use super::observe::{self, Old, Page};
use super::rows::{intent_doc, json, parse};
use super::words::{
    Word, about_word, answer_word, deletion_word, fields_column, of_person, origin_word, person_word, rank, side_word,
    state_word,
};
use super::{SqlStore, args, mark};
use crate::card::photo::Blob;
use crate::crm::person::Person;
use crate::crm::users::{Role, User};
use crate::ids::{AccountId, Fence, LinkId, OpId, PersonId, RemoteId, Revision, Timestamp};
use crate::sync::operation::Effect;
use crate::sync::plan::Deletion;
use crate::sync::view::{Answer, Base, Intent, Link, Send};

/// Makes the commit.
pub(super) async fn commit(store: &SqlStore<impl Driver>, commit: Commit) -> Result<(), StoreError> {
    let reads = Reads::of(&commit);
    let (stmts, wanted): (Vec<_>, Vec<_>) = reads.0.into_iter().unzip();
    let answers = store.run(stmts).await?;
    let before = Before::read(wanted, &answers)?;
    drop(answers);
    let batch = Batch::of(commit, before)?;
    store.run(batch).await.map(drop)
}

/// What a commit builds upon.
enum Wanted {
    Person(PersonId),
    Row(AccountId, RemoteId),
    Linked(AccountId, RemoteId),
    Confirmed(LinkId, Deletion),
    /// The link and side of a held deletion that this commit confirms.
    Answered,
    /// What stands in the log of a person.
    Logged(PersonId),
    /// Which links there are, of those that are put.
    Links,
}

struct Reads(Vec<(Stmt, Wanted)>);

const OLD_PERSON: &str = "SELECT p.doc FROM persons p WHERE p.id = $1";
const CONFIRMED: &str = "SELECT 1 FROM held h WHERE h.link = $1 AND h.side = $2 AND h.answer = 'confirmed'";
const LOGGED: &str = "SELECT e.op, e.doc FROM effects e WHERE e.person = $1";
const ANSWERED: &str = "SELECT h.link, h.side FROM held h WHERE h.id = $1";

impl Reads {
    fn of(commit: &Commit) -> Self {
        let mut reads = Vec::new();
        let mut links = BTreeSet::new();
        for change in &commit.changes {
            match change {
                Change::PutLink(link) => drop(links.insert(link.id)),
                Change::PutPerson(person) if person.revision.0 > 1 => {
                    reads.push((Stmt::new(OLD_PERSON, args![person.id]), Wanted::Person(person.id)));
                }
                Change::Observe { account, rows, .. } => {
                    for (seen, _) in rows {
                        let id = seen.id();
                        reads.push((observe::old(*account, id), Wanted::Row(*account, id.clone())));
                        if seen.at().is_none() {
                            reads.push((observe::linked(*account, id), Wanted::Linked(*account, id.clone())));
                        }
                    }
                }
                Change::Scrub(person) => reads.push((Stmt::new(LOGGED, args![*person]), Wanted::Logged(*person))),
                Change::AnswerHeld(id, Answer::Confirmed) => {
                    reads.push((Stmt::new(ANSWERED, args![*id]), Wanted::Answered));
                }
                _ => {}
            }
        }
        for (link, side) in commit.operation.iter().flat_map(log::deletions) {
            let stmt = Stmt::new(CONFIRMED, args![link, deletion_word(side)]);
            reads.push((stmt, Wanted::Confirmed(link, side)));
        }
        reads.extend(in_sync::known(&links).into_iter().map(|stmt| (stmt, Wanted::Links)));
        Self(reads)
    }
}

/// What was read; kept in step with the statements made so far.
#[derive(Default)]
struct Before {
    persons: HashMap<PersonId, Person>,
    rows: HashMap<(AccountId, RemoteId), Old>,
    linked: BTreeSet<(AccountId, RemoteId)>,
    confirmed: Confirmed,
    logged: HashMap<PersonId, Vec<(OpId, String)>>,
    in_sync: InSync,
}

impl Before {
    fn read(wanted: Vec<Wanted>, answers: &[Rows]) -> Result<Self, StoreError> {
        let mut before = Self::default();
        for (wanted, rows) in wanted.into_iter().zip(answers) {
            if let Wanted::Logged(person) = wanted {
                let read = |mut row: Row<'_>| Ok((row.id()?, row.text()?.to_owned()));
                before.logged.insert(person, rows.iter().map(read).collect::<Result<_, StoreError>>()?);
                continue;
            }
            if matches!(wanted, Wanted::Links) {
                before.in_sync.read(rows)?;
                continue;
            }
            let Some(mut row) = rows.first() else { continue };
            match wanted {
                Wanted::Logged(_) | Wanted::Links => {}
                Wanted::Person(id) => drop(before.persons.insert(id, row.json()?)),
                Wanted::Row(account, id) => drop(before.rows.insert((account, id), Old::read(&mut row)?)),
                Wanted::Linked(account, id) => drop(before.linked.insert((account, id))),
                Wanted::Confirmed(link, side) => drop(before.confirmed.insert((link, side))),
                Wanted::Answered => drop(before.confirmed.insert((row.id()?, Deletion::of(row.text()?)?))),
            }
        }
        Ok(before)
    }
}

/// The statements of a commit in the making.
struct Batch {
    now: Timestamp,
    /// The account whose run commits, and its fence.
    run: Option<(AccountId, Fence)>,
    before: Before,
    /// People to whom a link was put by this commit.
    linked: HashSet<PersonId>,
    /// New people who are settled by this commit, and where.
    settled: HashMap<PersonId, AccountId>,
    stmts: Vec<Stmt>,
}

const LEASED: &str = "SELECT 1 FROM leases le WHERE le.account = $1 AND le.fence = $2 AND le.until > $3";

impl Batch {
    fn of(commit: Commit, before: Before) -> Result<Vec<Stmt>, StoreError> {
        let Commit { lease, now, expect, changes, operation } = commit;
        let run = lease.as_ref().map(|lease| (lease.account, lease.fence));
        let settled = mark::settled_at_once(&changes);
        let stmts = Vec::with_capacity(changes.len() * 4);
        let mut batch = Self { now, run, before, linked: HashSet::new(), settled, stmts };
        if let Some(lease) = &lease
            && !crate::mutant::on("store.ignore_the_fence")
        {
            batch.push(Stmt::new(LEASED, args![lease.account, lease.fence, now]).must("the lease has ended"));
        }
        batch.stmts.extend(expect.iter().map(expectation));
        let before = batch.before.in_sync.before();
        batch.stmts.extend(before);
        for change in changes {
            batch.change(change)?;
        }
        if let Some(operation) = operation {
            let stmts = log::store(&operation, &batch.before.confirmed)?;
            batch.stmts.extend(stmts);
        }
        let after = std::mem::take(&mut batch.before.in_sync).after();
        batch.stmts.extend(after);
        Ok(batch.stmts)
    }

    fn push(&mut self, stmt: Stmt) {
        self.stmts.push(stmt);
    }

    fn marker(&self) -> mark::By {
        self.run.map(|(account, _)| account)
    }

    fn change(&mut self, change: Change) -> Result<(), StoreError> {
        match change {
            Change::PutUser(user) => self.put_user(&user)?,
            Change::PutRole(role) => self.put_role(&role)?,
            Change::PutPerson(person) => self.put_person(*person)?,
            Change::PutBlob(blob) => self.put_blob(&blob),
            Change::PutPhotoAlias { address, hash } => self.push(Stmt::new(PUT_ALIAS, args![address, hash])),
            Change::PutAccount(account) => self.put_account(&account)?,
            Change::PutSecret(account, Some(sealed)) => self.push(Stmt::new(PUT_SECRET, args![account, sealed])),
            Change::PutSecret(account, None) => self.push(Stmt::new(DROP_SECRET, args![account])),
            Change::PutCollection(account, state) => self.put_collection(account, &state),
            Change::Observe { account, collection, generation, rows, echo } => {
                let page = Page { account, collection: &collection, generation, written: echo.then_some(self.now) };
                for (seen, times) in rows {
                    let key = (account, seen.id().clone());
                    let linked = self.before.linked.contains(&key);
                    let old = self.before.rows.get(&key);
                    if let Some(now) = page.row(&seen, &times, old, linked, &mut self.stmts)? {
                        let was = old.is_some_and(|old| old.present);
                        self.before.in_sync.record(account, &key.1, was, now.present);
                        self.before.rows.insert(key, now);
                    }
                }
            }
            Change::Touch { account, ids, generation } => {
                self.stmts.extend(ids.iter().map(|id| observe::touch(account, id, generation)));
            }
            Change::SettleRecord(account, id, _) if crate::mutant::on("store.settle_any_version") => {
                self.push(Stmt::new(
                    "UPDATE seen SET unsettled = FALSE WHERE account = $1 AND remote = $2",
                    args![account, &id],
                ));
            }
            Change::SettleRecord(account, id, version) => self.push(mark::settle_record(account, &id, version)),
            Change::SettlePerson(account, person, _) if self.settled.get(&person) == Some(&account) => {}
            Change::SettlePerson(account, person, revision) => {
                let fence = self.run.map(|(_, fence)| fence);
                self.push(mark::settle_person(fence, account, person, revision));
            }
            Change::UnsettleRecord(account, id) => {
                self.before.rows.get_mut(&(account, id.clone())).into_iter().for_each(Old::grow);
                self.push(mark::record(account, &id));
            }
            Change::UnsettlePerson(account, person) => self.push(mark::person(self.marker(), account, person)),
            Change::UnsettleAccount(account) => {
                self.before.rows.iter_mut().filter(|((of, _), _)| *of == account).for_each(|(_, old)| old.grow());
                self.stmts.extend(mark::account(self.marker(), account));
            }
            Change::PutLink(link) => self.put_link(&link)?,
            Change::OpenIntent(intent) => self.open_intent(*intent)?,
            Change::MoveIntent(intent) => self.move_intent(*intent)?,
            Change::CloseIntent(id) => {
                self.push(Stmt::new(CLOSE_INTENT, args![id]).must("the intent was closed"));
            }
            Change::MissIntent(id) => self.push(Stmt::new(MISS_INTENT, args![id]).must("the intent was closed")),
            Change::PutConflict(conflict) => self.put_conflict(&conflict)?,
            Change::ResolveConflict(id) => {
                self.push(Stmt::new(RESOLVE, args![id]));
                self.marked_from_outside(|by| mark::conflict(by, id));
            }
            Change::PutHeld(held) => self.put_held(&held),
            Change::AnswerHeld(id, answer) => {
                self.push(Stmt::new(ANSWER, args![answer_word(answer), id]).must("the held deletion is done with"));
                self.marked_from_outside(|by| mark::held(by, id));
            }
            Change::DropHeld(id) => self.push(Stmt::new(DROP_HELD, args![id])),
            Change::Fail { account, key, reason, retry_at } => {
                let (what, id) = key_columns(&key);
                self.push(Stmt::new(FAIL, args![account, what, id, reason, retry_at]));
            }
            Change::Unfail(account, key) => {
                let (what, id) = key_columns(&key);
                self.push(Stmt::new(UNFAIL, args![account, what, id]));
            }
            Change::PutDuplicates(account, id, persons) if persons.is_empty() => {
                self.push(Stmt::new(DROP_DUPLICATES, args![account, &id]));
            }
            Change::PutDuplicates(account, id, persons) => {
                self.push(Stmt::new(PUT_DUPLICATES, args![account, &id, json(&persons)?]));
            }
            Change::Dismiss(account, id, persons) => {
                self.stmts.extend(persons.into_iter().map(|person| Stmt::new(DISMISS, args![account, &id, person])));
            }
            Change::Scrub(person) => self.scrub(person)?,
            Change::DropBlob(hash) => {
                self.push(Stmt::new(DROP_BLOB, args![hash.as_str()]));
                self.push(Stmt::new(DROP_ALIASES, args![hash]));
            }
            Change::PutRun(run) => self.put_run(&run)?,
            Change::Synced(account, at) => self.push(Stmt::new(SYNCED, args![at, account])),
        }
        Ok(())
    }

    /// A run that answers or resolves knows what it does; a person who does wants the run to look again.
    fn marked_from_outside(&mut self, mark: impl FnOnce(mark::By) -> Stmt) {
        if self.run.is_none() {
            self.push(mark(None));
        }
    }

    fn put_user(&mut self, user: &User) -> Result<(), StoreError> {
        let role = user.role;
        let User { id, email, admin, restricted, sees_followed_users, active, .. } = user;
        let doc = json(user)?;
        self.push(Stmt::new(
            PUT_USER,
            args![*id, email.as_str(), role, *admin, *restricted, *sees_followed_users, *active, doc],
        ));
        self.push(Stmt::new("DELETE FROM user_follows WHERE follower = $1", args![*id]));
        let follow = "INSERT INTO user_follows (follower, followed) VALUES ($1, $2)";
        self.stmts.extend(user.follows.iter().map(|other| Stmt::new(follow, args![*id, *other])));
        if !crate::mutant::on("store.forget_who_lost_access") {
            self.push(mark::user(self.marker(), *id));
        }
        Ok(())
    }

    fn put_role(&mut self, role: &Role) -> Result<(), StoreError> {
        // Before and after: those above and below its old place, and those above and below its new one.
        self.push(mark::role(self.marker(), role.id));
        self.push(Stmt::new(PUT_ROLE, args![role.id, role.parent, json(role)?]));
        self.push(mark::role(self.marker(), role.id));
        Ok(())
    }

    fn put_person(&mut self, person: Person) -> Result<(), StoreError> {
        const STALE: &str = "the person has changed";
        let Person { id, revision, owner, visible_to, state, .. } = &person;
        let doc = json(&person)?;
        let visible_to = visible_to.as_str();
        let state_word = person_word(*state);
        let old = self.before.persons.get(id);
        if revision.0 <= 1 {
            self.push(
                Stmt::new(ADD_PERSON, args![*id, *revision, *owner, visible_to, state_word, doc])
                    .must("the person exists already"),
            );
        } else if old.is_none_or(|old| old.revision.0 + 1 != revision.0) {
            return Err(StoreError::Stale(STALE));
        } else {
            self.push(
                Stmt::new(CHANGE_PERSON, args![*revision, *owner, visible_to, state_word, doc, *id, revision.0 - 1])
                    .must(STALE),
            );
        }
        let old = self.before.persons.get(id);
        let (added, removed) = difference(&old.map(keys_of).unwrap_or_default(), &keys_of(&person));
        let drop_key = "DELETE FROM person_keys WHERE hash = $1 AND strength = $2 AND person = $3";
        let (added_words, removed_words) = difference(&old.map(of_person).unwrap_or_default(), &of_person(&person));
        let drop_word = "DELETE FROM words WHERE word = $1 AND person = $2";
        let sorted = |person: &Person| person.followers.iter().copied().collect::<BTreeSet<_>>();
        let (old_followers, new_followers) = (old.map(sorted).unwrap_or_default(), sorted(&person));
        let follow = "INSERT INTO followers (person, follower) VALUES ($1, $2)";
        let unfollow = "DELETE FROM followers WHERE person = $1 AND follower = $2";
        let stmts = &mut self.stmts;
        stmts.extend(removed.iter().map(|key| Stmt::new(drop_key, args![key.0, key.1, *id])));
        stmts.extend(add_keys(*id, &added));
        stmts.extend(removed_words.into_iter().map(|word| Stmt::new(drop_word, args![word, *id])));
        stmts.extend(add_words(*id, added_words));
        stmts.extend(old_followers.difference(&new_followers).map(|one| Stmt::new(unfollow, args![*id, *one])));
        stmts.extend(new_followers.difference(&old_followers).map(|one| Stmt::new(follow, args![*id, *one])));
        // Somebody new has no links but those of this very commit.
        let linked = revision.0 > 1 || self.linked.contains(id);
        stmts.extend(mark::changed(&person, linked, self.settled.get(id).copied()));
        self.before.persons.insert(person.id, person);
        Ok(())
    }

    fn put_blob(&mut self, blob: &Blob) {
        let Blob { hash, media_type, bytes } = blob;
        self.push(Stmt::new(PUT_BLOB, args![hash.as_str(), media_type.as_str(), bytes.to_vec()]));
    }

    fn put_account(&mut self, account: &Account) -> Result<(), StoreError> {
        let Account {
            id, user, provider, tenant, subject, address, state, settings, connection, created, synced, ..
        } = account;
        self.push(Stmt::new(
            PUT_ACCOUNT,
            args![
                *id,
                *user,
                provider.as_str(),
                tenant.as_str(),
                subject.as_str(),
                address.as_str(),
                state.word(),
                json(state)?,
                json(settings)?,
                json(connection)?,
                *created,
                *synced
            ],
        ));
        Ok(())
    }

    fn put_collection(&mut self, account: AccountId, state: &CollectionState) {
        let CollectionState { id, name, writable, cursor, generation, listing, listed, doubted } = state;
        let since = listing.as_ref().map(|(since, _)| *since);
        let page = listing.as_ref().and_then(|(_, page)| page.as_ref());
        let cursor = cursor.as_ref();
        self.push(Stmt::new(
            PUT_COLLECTION,
            args![account, id, name.as_str(), *writable, cursor, *generation, since, page, *listed, *doubted],
        ));
    }

    fn put_link(&mut self, link: &Link) -> Result<(), StoreError> {
        let Link { id, account, person, remote, origin, state, token, base, revision } = link;
        let theirs = if base.theirs == base.ours { None } else { Some(json(&base.theirs)?) };
        self.linked.insert(*person);
        self.before.in_sync.link(link);
        self.push(Stmt::new(
            PUT_LINK,
            args![
                *id,
                *account,
                *person,
                remote.as_ref(),
                origin_word(*origin),
                state_word(*state),
                rank(*state),
                *token,
                *revision,
                i64::from(base.converter),
                fields_column(base.mapped),
                json(&base.pairs)?,
                json(&base.ours)?,
                theirs
            ],
        ));
        Ok(())
    }

    fn open_intent(&mut self, intent: Intent) -> Result<(), StoreError> {
        let Intent { id, link, account, person, token, opened, missed, .. } = intent;
        let creates = intent.what == Send::Create;
        if creates {
            self.push(Stmt::new(NO_CREATE, args![account, person]).must("a create is open for this person"));
            self.push(Stmt::new(PUT_TOKEN, args![token, account, link]).must("the token belongs to another link"));
        }
        let (doc, raw) = intent_doc(intent)?;
        self.push(Stmt::new(
            OPEN_INTENT,
            args![id, link, account, person, token, creates, opened, i64::from(missed), doc, raw],
        ));
        Ok(())
    }

    fn move_intent(&mut self, intent: Intent) -> Result<(), StoreError> {
        // No revision of its new person was sent with it: nothing of that one is settled by its end.
        let intent = Intent { revision: Revision(0), ..intent };
        let (id, person) = (intent.id, intent.person);
        let (doc, raw) = intent_doc(intent)?;
        self.push(Stmt::new(MOVE_INTENT, args![person, doc, raw, id]).must("the intent was closed"));
        Ok(())
    }

    fn scrub(&mut self, person: PersonId) -> Result<(), StoreError> {
        let Base { ours, pairs, mapped, .. } = Base::default();
        self.push(Stmt::new(EMPTY_BASES, args![json(&ours)?, json(&pairs)?, fields_column(mapped), person]));
        self.push(Stmt::new("DELETE FROM conflicts WHERE person = $1", args![person]));
        self.push(Stmt::new("DELETE FROM failures WHERE what = 'person' AND id = $1", args![person]));
        for (op, doc) in self.before.logged.remove(&person).unwrap_or_default() {
            let effects: Vec<(usize, Effect)> = parse(&doc)?;
            let emptied: Vec<_> = effects.into_iter().map(|(place, e)| (place, e.without_content())).collect();
            self.push(Stmt::new(REWRITE_EFFECTS, args![json(&emptied)?, op, person]));
        }
        Ok(())
    }

    fn put_conflict(&mut self, conflict: &Conflict) -> Result<(), StoreError> {
        let Conflict { id, link, account, person, at, clash, resolved } = conflict;
        let (ours, theirs) = (json(&clash.ours)?, json(&clash.theirs)?);
        let same = hash([about_word(clash.about).as_str(), &ours, &theirs]);
        let stands = side_word(clash.stands);
        self.push(Stmt::new(
            PUT_CONFLICT,
            args![*id, *link, *account, *person, *at, same, stands, *resolved, json(clash)?],
        ));
        Ok(())
    }

    fn put_held(&mut self, held: &HeldDeletion) {
        let HeldDeletion { id, link, account, person, deletion, revision, etag, at, why, answer } = held;
        let answer = answer.map(answer_word);
        self.push(Stmt::new(
            PUT_HELD,
            args![
                *id,
                *link,
                *account,
                *person,
                deletion_word(*deletion),
                *revision,
                etag.as_ref(),
                *at,
                why.as_str(),
                answer
            ],
        ));
    }

    fn put_run(&mut self, run: &Run) -> Result<(), StoreError> {
        let Run { id, account, started, ended, trigger, tally, error } = run;
        self.push(Stmt::new(
            PUT_RUN,
            args![*id, *account, *started, *ended, trigger.as_str(), json(tally)?, error.as_deref()],
        ));
        Ok(())
    }
}

/// A key as it stands in the columns of a failure.
fn key_columns(key: &SubjectKey) -> (&'static str, String) {
    match key {
        SubjectKey::Record(id) => ("record", id.0.clone()),
        SubjectKey::Person(id) => ("person", id.to_string()),
    }
}

/// What must still hold, as a query that finds it.
fn expectation(expect: &Expect) -> Stmt {
    match expect {
        Expect::Person(id, revision) => {
            let sql = "SELECT 1 FROM persons p WHERE p.id = $1 AND p.revision = $2";
            Stmt::new(sql, args![*id, *revision]).must("the person has changed")
        }
        Expect::Seen(account, id, 0) => {
            let sql = "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM seen s WHERE s.account = $1 AND s.remote = $2)";
            Stmt::new(sql, args![*account, id]).must("the record was observed meanwhile")
        }
        Expect::Seen(account, id, version) => {
            let sql = "SELECT 1 FROM seen s WHERE s.account = $1 AND s.remote = $2 AND s.version = $3";
            Stmt::new(sql, args![*account, id, *version]).must("the record was observed anew")
        }
        Expect::Access(user, person) => {
            let sql = concat!(roles_above!("$1"), " SELECT 1 FROM persons p WHERE p.id = $2 AND ", may_see!("$1"));
            Stmt::new(sql, args![*user, *person]).must("the user has no access to the person")
        }
        Expect::Link(id, state) => {
            let sql = "SELECT 1 FROM links l WHERE l.id = $1 AND l.state = $2";
            Stmt::new(sql, args![*id, state_word(*state)]).must("the link has another state")
        }
        Expect::NoOpenLink(account, person) => {
            let sql = "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM links l WHERE l.account = $1 AND l.person = $2 \
                 AND l.rank < 2) AND NOT EXISTS (SELECT 1 FROM intents i WHERE i.account = $1 AND i.person = $2)";
            Stmt::new(sql, args![*account, *person]).must("the person was linked meanwhile")
        }
        Expect::Unlinked(account, id) => {
            let sql = "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM links l WHERE l.account = $1 AND l.remote = $2 \
                 AND l.rank < 2)";
            Stmt::new(sql, args![*account, id]).must("the record was linked meanwhile")
        }
        Expect::IntentOpen(id) => {
            Stmt::new("SELECT 1 FROM intents i WHERE i.id = $1", args![*id]).must("the intent was closed")
        }
        Expect::Account(id, Revision(0)) => {
            let sql = "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM accounts a WHERE a.id = $1)";
            Stmt::new(sql, args![*id]).must("the account is there already")
        }
        Expect::Account(id, revision) => {
            let sql = "SELECT 1 FROM accounts a WHERE a.id = $1 AND a.revision = $2";
            Stmt::new(sql, args![*id, *revision]).must("the account has changed")
        }
        Expect::Secret(account, sealed) => {
            let sql = "SELECT 1 FROM secrets s WHERE s.account = $1 AND s.sealed = $2";
            Stmt::new(sql, args![*account, sealed.clone()]).must("the account's credentials have changed")
        }
        Expect::Active(account) => {
            let sql = "SELECT 1 FROM accounts a WHERE a.id = $1 AND a.state_word = 'active'";
            Stmt::new(sql, args![*account]).must("the account is not active any more")
        }
    }
}

/// Takes or renews a lease. Its fence grows whenever it is taken anew, by whomever.
pub(super) async fn lease(
    store: &SqlStore<impl Driver>,
    account: AccountId,
    holder: &str,
    now: Timestamp,
    ttl: i64,
) -> Result<Option<Lease>, StoreError> {
    const SQL: &str = "INSERT INTO leases (account, holder, fence, until) VALUES ($1, $2, 1, $3) \
         ON CONFLICT (account) DO UPDATE SET holder = excluded.holder, until = excluded.until, \
         fence = CASE WHEN leases.holder = excluded.holder AND leases.until > $4 THEN leases.fence \
         ELSE leases.fence + 1 END \
         WHERE leases.holder = excluded.holder OR leases.until <= $4 RETURNING fence";
    let until = now.plus(ttl);
    let rows = store.one(Stmt::new(SQL, args![account, holder, until, now])).await?;
    rows.first().map(|mut row| Ok(Lease { account, fence: Fence(row.int()?), until })).transpose()
}

/// Gives all leases back, whoever held them.
pub(super) async fn free_leases(store: &SqlStore<impl Driver>) -> Result<(), StoreError> {
    store.one(Stmt::new("UPDATE leases SET holder = '', until = 0", Vec::new())).await.map(drop)
}

/// Gives a lease back; one that has changed hands is left alone.
pub(super) async fn release(store: &SqlStore<impl Driver>, lease: &Lease) -> Result<(), StoreError> {
    let sql = "UPDATE leases SET holder = '', until = 0 WHERE account = $1 AND fence = $2";
    store.one(Stmt::new(sql, args![lease.account, lease.fence])).await.map(drop)
}

const PUT_ALIAS: &str = "INSERT INTO photo_aliases (address, hash) VALUES ($1, $2) \
     ON CONFLICT (address) DO UPDATE SET hash = excluded.hash";
const PUT_BLOB: &str = "INSERT INTO blobs (hash, media_type, bytes) VALUES ($1, $2, $3) ON CONFLICT (hash) DO NOTHING";
const PUT_SECRET: &str = "INSERT INTO secrets (account, sealed) VALUES ($1, $2) \
     ON CONFLICT (account) DO UPDATE SET sealed = excluded.sealed";
const DROP_SECRET: &str = "DELETE FROM secrets WHERE account = $1";
const PUT_USER: &str = "INSERT INTO users (id, email, role, admin, restricted, sees_followed, active, doc) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO UPDATE SET email = excluded.email, \
     role = excluded.role, admin = excluded.admin, restricted = excluded.restricted, \
     sees_followed = excluded.sees_followed, active = excluded.active, doc = excluded.doc";
const PUT_ROLE: &str = "INSERT INTO roles (id, parent, doc) VALUES ($1, $2, $3) \
     ON CONFLICT (id) DO UPDATE SET parent = excluded.parent, doc = excluded.doc";
const ADD_PERSON: &str = "INSERT INTO persons (id, revision, owner, visible_to, state, doc) \
     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO NOTHING";
const CHANGE_PERSON: &str = "UPDATE persons SET revision = $1, owner = $2, visible_to = $3, state = $4, doc = $5 \
     WHERE id = $6 AND revision = $7";
/// The end of a run is told by `Synced` too: whichever is later stands.
const PUT_ACCOUNT: &str = "INSERT INTO accounts (id, user_id, provider, tenant, subject, address, state_word, state, \
     settings, connection, created, synced) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
     ON CONFLICT (id) DO UPDATE SET user_id = excluded.user_id, provider = excluded.provider, \
     tenant = excluded.tenant, subject = excluded.subject, address = excluded.address, \
     state_word = excluded.state_word, state = excluded.state, settings = excluded.settings, \
     connection = excluded.connection, created = excluded.created, revision = accounts.revision + 1, synced = CASE WHEN accounts.synced IS NULL \
     OR excluded.synced > accounts.synced THEN excluded.synced ELSE accounts.synced END";
const PUT_COLLECTION: &str = "INSERT INTO collections (account, id, name, writable, cursor_text, generation, \
     listing_since, listing_page, listed, doubted) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
     ON CONFLICT (account, id) DO UPDATE SET name = excluded.name, writable = excluded.writable, \
     cursor_text = excluded.cursor_text, generation = excluded.generation, listing_since = excluded.listing_since, \
     listing_page = excluded.listing_page, listed = excluded.listed, doubted = excluded.doubted";
const PUT_LINK: &str = "INSERT INTO links (id, account, person, remote, origin, state, rank, token, revision, \
     converter, mapped, pairs, base_ours, base_theirs) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) \
     ON CONFLICT (id) DO UPDATE SET account = excluded.account, person = excluded.person, remote = excluded.remote, \
     origin = excluded.origin, state = excluded.state, rank = excluded.rank, token = excluded.token, revision = excluded.revision, \
     converter = excluded.converter, mapped = excluded.mapped, pairs = excluded.pairs, \
     base_ours = excluded.base_ours, base_theirs = excluded.base_theirs";
const NO_CREATE: &str =
    "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM intents i WHERE i.account = $1 AND i.person = $2 AND i.creates)";
const PUT_TOKEN: &str = "INSERT INTO tokens (token, account, link) VALUES ($1, $2, $3) \
     ON CONFLICT (token) DO UPDATE SET link = excluded.link \
     WHERE tokens.link = excluded.link AND tokens.account = excluded.account";
const OPEN_INTENT: &str = "INSERT INTO intents (id, link, account, person, token, creates, opened, missed, doc, raw) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
const MOVE_INTENT: &str = "UPDATE intents SET person = $1, doc = $2, raw = $3 WHERE id = $4";
const CLOSE_INTENT: &str = "DELETE FROM intents WHERE id = $1";
const MISS_INTENT: &str = "UPDATE intents SET missed = missed + 1 WHERE id = $1";
/// One that comes up again after a person has dealt with it is open again.
const PUT_CONFLICT: &str = "INSERT INTO conflicts (id, link, account, person, at, same, stands, resolved, clash) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (link, same) DO UPDATE SET stands = excluded.stands, \
     at = CASE WHEN conflicts.resolved THEN excluded.at ELSE conflicts.at END, resolved = excluded.resolved, \
     clash = excluded.clash, person = excluded.person";
const RESOLVE: &str = "UPDATE conflicts SET resolved = TRUE WHERE id = $1";
/// What was answered stays answered.
const PUT_HELD: &str = "INSERT INTO held (id, link, account, person, side, revision, etag, at, why, answer) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (link, side) DO UPDATE SET \
     revision = excluded.revision, etag = excluded.etag, person = excluded.person, answer = excluded.answer \
     WHERE held.answer IS NULL";
const ANSWER: &str = "UPDATE held SET answer = $1 WHERE id = $2";
const DROP_HELD: &str = "DELETE FROM held WHERE link = $1";
const FAIL: &str = "INSERT INTO failures (account, what, id, reason, attempts, retry_at) \
     VALUES ($1, $2, $3, $4, 1, $5) ON CONFLICT (account, what, id) DO UPDATE SET reason = excluded.reason, \
     attempts = failures.attempts + 1, retry_at = excluded.retry_at";
const UNFAIL: &str = "DELETE FROM failures WHERE account = $1 AND what = $2 AND id = $3";
const PUT_DUPLICATES: &str = "INSERT INTO duplicates (account, remote, persons) VALUES ($1, $2, $3) \
     ON CONFLICT (account, remote) DO UPDATE SET persons = excluded.persons";
const DISMISS: &str = "INSERT INTO dismissed (account, remote, person) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
const EMPTY_BASES: &str =
    "UPDATE links SET base_ours = $1, base_theirs = NULL, pairs = $2, mapped = $3 WHERE person = $4";
const REWRITE_EFFECTS: &str = "UPDATE effects SET doc = $1 WHERE op = $2 AND person = $3";
/// Nothing points to a picture but its hash, wherever that stands. The log alone keeps no bytes alive.
const DROP_BLOB: &str = "DELETE FROM blobs WHERE hash = $1 \
     AND NOT EXISTS (SELECT 1 FROM persons p WHERE replace(p.doc, $1, '') <> p.doc) \
     AND NOT EXISTS (SELECT 1 FROM links l WHERE replace(l.base_ours, $1, '') <> l.base_ours \
     OR replace(l.base_theirs, $1, '') <> l.base_theirs) \
     AND NOT EXISTS (SELECT 1 FROM seen s WHERE replace(s.body, $1, '') <> s.body) \
     AND NOT EXISTS (SELECT 1 FROM intents i WHERE replace(i.doc, $1, '') <> i.doc) \
     AND NOT EXISTS (SELECT 1 FROM photo_aliases a JOIN seen s ON replace(s.body, a.address, '') <> s.body \
     WHERE a.hash = $1)";
const DROP_ALIASES: &str =
    "DELETE FROM photo_aliases WHERE hash = $1 AND NOT EXISTS (SELECT 1 FROM blobs b WHERE b.hash = $1)";
const DROP_DUPLICATES: &str = "DELETE FROM duplicates WHERE account = $1 AND remote = $2";
const PUT_RUN: &str = "INSERT INTO runs (id, account, started, ended, cause, tally, error) \
     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO UPDATE SET ended = excluded.ended, \
     tally = excluded.tally, error = excluded.error";
const SYNCED: &str = "UPDATE accounts SET synced = $1 WHERE id = $2 AND (synced IS NULL OR synced < $1)";
