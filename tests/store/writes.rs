//! Commits: what they store, what they expect, what they refuse.

use std::collections::{BTreeMap, BTreeSet};

use contactd::card::field::{Field, FieldSet, FieldValue, Value};
use contactd::card::photo::Blob;
use contactd::crm::person::{PersonState, VisibleTo};
use contactd::crm::users::{Role, User};
use contactd::ids::{
    ConflictId, Cursor, Etag, GroupId, HeldId, IntentId, PageToken, Revision, RoleId, RunId, Timestamp, Token,
};
use contactd::store::sql::SqlStore;
use contactd::store::sqlite::Sqlite;
use contactd::store::{
    Account, AccountState, Change, CollectionState, Conflict, Counts, Expect, HeldDeletion, Run, Store, StoreError,
    SubjectKey, Tally,
};
use contactd::sync::plan::{About, Clash, Deletion, Side};
use contactd::sync::view::{
    Answer, Base, Intent, Link, LinkState, Origin, Pairs, RemoteRecord, RemoteRef, Roster, Seen, Send, Withheld,
};

use crate::fixture::*;

fn is_stale(result: Result<(), StoreError>) -> bool {
    matches!(result, Err(StoreError::Stale(_)))
}

pub(crate) async fn everything_is_given_back(db: Db) {
    let boss = Role { id: id::<RoleId>(1), name: "Boss".into(), parent: None };
    let clerk = Role { id: id::<RoleId>(2), name: "Clerk".into(), parent: Some(boss.id) };
    let ann = User { role: Some(boss.id), follows: BTreeSet::from([usr(2)]), admin: true, ..user(1) };
    let bob = User { role: Some(clerk.id), restricted: true, sees_followed_users: true, active: false, ..user(2) };
    let put_role = |role: &Role| Change::PutRole(role.clone());
    db.put([put_role(&boss), put_role(&clerk), Change::PutUser(ann.clone()), Change::PutUser(bob.clone())]).await;
    let directory = db.store.directory().await.unwrap();
    assert_eq!(directory.users, BTreeMap::from([(usr(1), ann.clone()), (usr(2), bob)]));
    assert_eq!(directory.roles, BTreeMap::from([(boss.id, boss), (clerk.id, clerk)]));
    let ann = User { follows: BTreeSet::new(), role: None, ..ann };
    db.put([Change::PutUser(ann.clone())]).await;
    assert_eq!(db.store.directory().await.unwrap().users[&usr(1)], ann);

    let first = Account { state: AccountState::Paused { reason: "asked".into() }, synced: Some(NOW), ..account(1, 1) };
    db.put([put(first.clone()), put(account(2, 1))]).await;
    assert_eq!(db.store.accounts().await.unwrap(), [first.clone(), account(2, 1)]);
    let first = Account { state: AccountState::Active, synced: None, ..first };
    db.put([put(first.clone()), Change::Synced(acc(1), NOW.plus(-5)), Change::Synced(acc(2), NOW)]).await;
    let stored = db.store.account(acc(1)).await.unwrap().unwrap();
    assert_eq!(stored, Account { synced: Some(NOW), revision: Revision(2), ..first }, "the later end of a run stands");
    assert_eq!(db.store.account(acc(2)).await.unwrap().unwrap().synced, Some(NOW));
    assert_eq!(db.store.account(acc(9)).await.unwrap(), None);

    db.put([Change::PutSecret(acc(1), Some(vec![1, 2, 0]))]).await;
    assert_eq!(db.store.secret(acc(1)).await.unwrap(), Some(vec![1, 2, 0]));
    db.put([Change::PutSecret(acc(1), Some(vec![3]))]).await;
    assert_eq!(db.store.secret(acc(1)).await.unwrap(), Some(vec![3]));
    db.put([Change::PutSecret(acc(1), None)]).await;
    assert_eq!(db.store.secret(acc(1)).await.unwrap(), None);

    let state = CollectionState {
        id: book(),
        name: "Contacts".into(),
        writable: false,
        cursor: Some(Cursor::from("c1")),
        generation: 3,
        listing: Some((NOW, Some(PageToken::from("p2")))),
        listed: true,
        doubted: None,
    };
    db.put([put_book(1), Change::PutCollection(acc(1), state.clone())]).await;
    assert_eq!(db.store.collections(acc(1)).await.unwrap(), [state.clone()]);
    let state = CollectionState { listing: Some((NOW, None)), cursor: None, ..state };
    db.put([Change::PutCollection(acc(1), state.clone())]).await;
    assert_eq!(db.store.collections(acc(1)).await.unwrap(), [state]);

    let mut full = person(1, 1, card("Ann", "Lee"));
    full.times.insert(Field::Given, NOW);
    full.custom.insert("Tier".into(), "gold".into());
    full.visible_to = VisibleTo::OwnerRoleAndBelow;
    full.followers = vec![usr(3), usr(2)];
    db.put([put_person(full.clone())]).await;
    assert_eq!(db.store.person(per(1)).await.unwrap(), Some(full.clone()));
    full = next(&full);
    full.followers = vec![usr(2)];
    full.state = PersonState::Trashed { at: NOW, by: Some(usr(1)) };
    db.put([put_person(full.clone())]).await;
    assert_eq!(db.store.person(per(1)).await.unwrap(), Some(full));
    assert_eq!(db.store.person(per(2)).await.unwrap(), None);

    let blob = Blob::new("image/png", vec![0_u8, 255, 7]);
    let alias = |hash: &str| Change::PutPhotoAlias { address: "url:a".into(), hash: hash.into() };
    db.put([Change::PutBlob(blob.clone()), Change::PutBlob(blob.clone()), alias("1"), alias("2")]).await;
    assert_eq!(db.store.blob(&blob.hash).await.unwrap(), Some(blob));
    assert_eq!(db.store.blob("none").await.unwrap(), None);
    let known = db.store.photo_aliases(&["url:a".into(), "url:b".into()]).await.unwrap();
    assert_eq!(known, BTreeMap::from([("url:a".to_owned(), "2".to_owned())]));

    let record = RemoteRecord {
        at: RemoteRef { collection: book(), id: rec("/a"), etag: None },
        groups: BTreeSet::from([GroupId::from("g")]),
        modified: Some(NOW),
        token: Some(id::<Token>(7)),
        formerly: vec![rec("/old")],
        raw: None,
        ..remote_record("/a", card("Ann", "Lee"))
    };
    let at = |name: &str| RemoteRef { collection: book(), id: rec(name), etag: Some(Etag::from("e")) };
    let roster = Roster {
        at: at("/r"),
        group: GroupId::from("g"),
        name: "Friends".into(),
        uid: Some("u".into()),
        members: BTreeSet::from(["m".to_owned()]),
    };
    let all = [
        Seen::Present(record),
        Seen::Present(remote_record("/b", card("Bo", "Li"))),
        Seen::Outside { at: at("/o"), groups: BTreeSet::from([GroupId::from("h")]), uid: Some("ou".into()) },
        Seen::Unreadable(at("/u"), "not a card".into()),
        Seen::Roster(roster.clone()),
    ];
    let times = BTreeMap::from([(Field::Given, NOW), (Field::Emails, Timestamp(5))]);
    let rows = all.iter().map(|seen| (seen.clone(), times.clone())).collect();
    let page = Change::Observe { account: acc(1), collection: book(), generation: 1, rows, echo: false };
    db.put([page]).await;
    let ids: Vec<_> = all.iter().map(|seen| seen.id().clone()).chain([rec("/none")]).collect();
    let stored = db.store.seen(acc(1), &ids).await.unwrap();
    assert_eq!(stored.len(), 6);
    for (stored, seen) in stored.iter().zip(&all) {
        let stored = stored.as_ref().unwrap();
        assert_eq!((&stored.seen, &stored.times, stored.version), (seen, &times, 1));
    }
    assert_eq!(stored[5], None);
    assert_eq!(db.store.rosters(acc(1)).await.unwrap(), [roster]);

    let pairs = Pairs {
        both: BTreeMap::from([(Field::Emails, vec![(0, 1)])]),
        withheld: BTreeMap::from([(Field::Phones, BTreeMap::from([(2, Withheld::Room)]))]),
    };
    let base = Base {
        ours: card("Ann", "Lee"),
        theirs: card("Ann", "Leigh"),
        pairs: pairs.clone(),
        mapped: [Field::Given, Field::Photo].into_iter().collect(),
        converter: 3,
    };
    let linked = Link { base, origin: Origin::Ours, ..link(1, 1, 1, Some("/a")) };
    db.put([put_link(linked.clone())]).await;
    assert_eq!(db.store.link(lnk(1)).await.unwrap(), Some(linked.clone()));
    let linked = Link { state: LinkState::Left, remote: None, revision: Revision(2), ..linked };
    db.put([put_link(linked.clone())]).await;
    assert_eq!(db.store.links_of(per(1)).await.unwrap(), [linked.clone()]);
    assert_eq!(db.store.link(lnk(2)).await.unwrap(), None);

    let sent = Intent {
        before: Some(remote_record("/a", card("Ann", "Lee"))),
        pairs,
        mask: [Field::Note].into_iter().collect(),
        missed: 2,
        ..intent(1, &linked, Send::Join(GroupId::from("g")), 7)
    };
    let older = Intent { opened: NOW.plus(-1), ..intent(2, &linked, Send::Update, 7) };
    db.put([Change::OpenIntent(Box::new(sent.clone())), Change::OpenIntent(Box::new(older.clone()))]).await;
    assert_eq!(db.store.intents(acc(1)).await.unwrap(), [older, sent]);

    let run = Run {
        id: id::<RunId>(1),
        account: acc(1),
        started: NOW,
        ended: None,
        trigger: "schedule".into(),
        tally: Tally::default(),
        error: None,
    };
    db.put([Change::PutRun(Box::new(run.clone()))]).await;
    let local = Counts { added: 3, ..Counts::default() };
    let run = Run { ended: Some(NOW), tally: Tally { local, ..Tally::default() }, error: Some("x".into()), ..run };
    db.put([Change::PutRun(Box::new(run.clone()))]).await;
    assert_eq!(db.store.runs(None, None, 9).await.unwrap(), [run]);
    db.store.ping().await.unwrap();
    assert_eq!(db.store.check().await.unwrap(), Vec::<String>::new());
}

pub(crate) async fn all_or_nothing(db: Db) {
    let db = db.with_account().await;
    let mut two = commit([put_person(person(1, 1, card("Ann", "Lee"))), put_person(person(1, 1, card("Bo", "Li")))]);
    assert!(is_stale(db.store.commit(two.clone()).await));
    assert_eq!(db.store.person(per(1)).await.unwrap(), None);
    two.changes.truncate(1);
    two.expect.push(Expect::Person(per(1), Revision(1)));
    assert!(is_stale(db.store.commit(two.clone()).await), "expectations are judged before the changes");
    assert_eq!(db.store.person(per(1)).await.unwrap(), None);
    // A link to nobody is a mistake, not a race.
    let orphan = db.try_put([put_person(person(2, 1, card("Cy", "Ng"))), put_link(link(1, 1, 3, None))]).await;
    assert!(matches!(orphan, Err(StoreError::Broken(_))), "{orphan:?}");
    assert_eq!(db.store.person(per(2)).await.unwrap(), None);
    assert_eq!(db.store.check().await.unwrap(), Vec::<String>::new());
}

pub(crate) async fn what_is_expected_must_hold(db: Db) {
    let db = db.with_account().await;
    db.put([Change::PutUser(user(2)), put_person(person(1, 1, card("Ann", "Lee"))), put(account(2, 2))]).await;
    db.put([put_person(person(2, 1, card("Bo", "Li"))), put_link(link(1, 1, 1, Some("/a")))]).await;
    db.put([observe(1, [Seen::Present(remote_record("/a", card("Ann", "Lee")))])]).await;
    let linked = link(2, 1, 2, None);
    let update = intent(1, &linked, Send::Update, 1);
    let ended = Link { state: LinkState::Unlinked, ..linked };
    db.put([put_link(ended), Change::OpenIntent(Box::new(update))]).await;
    let idle = Account { state: AccountState::Setup, ..account(2, 2) };
    db.put([put(idle), Change::PutSecret(acc(1), Some(vec![0, 1, 255]))]).await;
    let cases = [
        (Expect::Secret(acc(1), vec![0, 1, 255]), true),
        (Expect::Secret(acc(1), vec![0, 1]), false),
        (Expect::Secret(acc(1), Vec::new()), false),
        (Expect::Secret(acc(2), vec![0, 1, 255]), false),
        (Expect::Person(per(1), Revision(1)), true),
        (Expect::Person(per(1), Revision(2)), false),
        (Expect::Person(per(9), Revision(1)), false),
        (Expect::Seen(acc(1), rec("/a"), 1), true),
        (Expect::Seen(acc(1), rec("/a"), 2), false),
        (Expect::Seen(acc(1), rec("/a"), 0), false),
        (Expect::Seen(acc(1), rec("/b"), 0), true),
        (Expect::Seen(acc(2), rec("/a"), 1), false),
        (Expect::Access(usr(1), per(1)), true),
        (Expect::Access(usr(2), per(1)), false),
        (Expect::Access(usr(1), per(9)), false),
        (Expect::Link(lnk(1), LinkState::Live), true),
        (Expect::Link(lnk(1), LinkState::Left), false),
        (Expect::Link(lnk(9), LinkState::Live), false),
        (Expect::NoOpenLink(acc(2), per(1)), true),
        (Expect::NoOpenLink(acc(1), per(1)), false),
        (Expect::NoOpenLink(acc(1), per(2)), false),
        (Expect::Unlinked(acc(1), rec("/a")), false),
        (Expect::Unlinked(acc(2), rec("/a")), true),
        (Expect::Unlinked(acc(1), rec("/b")), true),
        (Expect::IntentOpen(id::<IntentId>(1)), true),
        (Expect::IntentOpen(id::<IntentId>(2)), false),
        (Expect::Active(acc(1)), true),
        (Expect::Active(acc(2)), false),
        (Expect::Active(acc(9)), false),
    ];
    for (expect, holds) in cases {
        let mut commit = commit([]);
        commit.expect.push(expect.clone());
        let done = db.store.commit(commit).await;
        assert_eq!(done.is_ok(), holds, "{expect:?}: {done:?}");
        assert_eq!(is_stale(done), !holds, "{expect:?}");
    }
}

pub(crate) async fn a_lease_changes_hands(db: Db) {
    let db = db.with_account().await;
    let lease = |holder: &'static str, at: i64| db.store.lease(acc(1), holder, NOW.plus(at), 1000);
    let first = lease("one", 0).await.unwrap().unwrap();
    assert_eq!((first.fence.0, first.until), (1, NOW.plus(1000)));
    assert_eq!(lease("two", 999).await.unwrap(), None, "it is held");
    let renewed = lease("one", 500).await.unwrap().unwrap();
    assert_eq!((renewed.fence, renewed.until), (first.fence, NOW.plus(1500)));
    db.store.commit(commit_under(&first, [put_person(person(1, 1, card("Ann", "Lee")))])).await.unwrap();

    let second = lease("two", 1500).await.unwrap().unwrap();
    assert!(second.fence > first.fence, "it ended, and another took it");
    let late = commit_under(&first, [put_person(person(2, 1, card("Bo", "Li")))]);
    assert!(is_stale(db.store.commit(late).await), "the old holder can't commit");
    assert_eq!(db.store.person(per(2)).await.unwrap(), None);
    db.store.release(&first).await.unwrap();
    assert_eq!(lease("one", 1600).await.unwrap(), None, "the old holder can't give back what it has not");

    let mut ended = commit_under(&second, [put_person(person(2, 1, card("Bo", "Li")))]);
    ended.now = NOW.plus(2500);
    assert!(is_stale(db.store.commit(ended).await), "it has run out");
    db.store.release(&second).await.unwrap();
    assert!(is_stale(db.store.commit(commit_under(&second, [])).await), "it was given back");
    let third = lease("two", 1700).await.unwrap().unwrap();
    assert!(third.fence > second.fence, "taken anew is not renewed");
    let other = db.store.lease(acc(2), "one", NOW, 1000).await.unwrap();
    assert!(other.is_some(), "each account has its own");
}

pub(crate) async fn people_have_versions(db: Db) {
    let db = db.with_account().await;
    let ann = person(1, 1, card("Ann", "Lee"));
    db.put([put_person(ann.clone())]).await;
    assert!(is_stale(db.try_put([put_person(ann.clone())]).await), "there already");
    let skipped = next(&next(&ann));
    assert!(is_stale(db.try_put([put_person(skipped.clone())]).await), "not the next");
    db.put([put_person(next(&ann)), put_person(skipped.clone())]).await;
    assert!(is_stale(db.try_put([put_person(skipped)]).await), "someone was first");
    assert_eq!(db.store.person(per(1)).await.unwrap().unwrap().revision, Revision(3));
    assert!(is_stale(db.try_put([put_person(next(&person(2, 1, card("Bo", "Li"))))]).await), "of nobody");
    assert_eq!(db.store.check().await.unwrap(), Vec::<String>::new());
}

pub(crate) async fn intents_open_once_and_tokens_stay(db: Db) {
    let db = db.with_account().await;
    let created = Link { origin: Origin::Ours, ..link(1, 1, 1, None) };
    let create = intent(1, &created, Send::Create, 7);
    let open = |intent: &Intent| Change::OpenIntent(Box::new(intent.clone()));
    db.put([put_person(person(1, 1, card("Ann", "Lee"))), put_link(created.clone()), open(&create)]).await;
    let again = Intent { id: id(2), token: id(8), ..create.clone() };
    assert!(is_stale(db.try_put([open(&again)]).await), "a create is open for this person");
    let photo = Intent { id: id(3), what: Send::SetPhoto, ..create.clone() };
    db.put([open(&photo)]).await;
    let ours = db.store.tokens(acc(1), &[id(7), id(8), id(9)]).await.unwrap();
    assert_eq!(ours, [(id(7), created.id)]);
    assert_eq!(db.store.tokens(acc(2), &[id(7)]).await.unwrap(), [], "of another account");

    db.put([Change::MissIntent(create.id)]).await;
    assert_eq!(db.store.intents(acc(1)).await.unwrap()[0], Intent { missed: 1, ..create.clone() });
    db.put([Change::CloseIntent(create.id), Change::CloseIntent(photo.id)]).await;
    assert!(is_stale(db.try_put([Change::CloseIntent(create.id)]).await), "someone closed it");
    assert!(is_stale(db.try_put([Change::MissIntent(create.id)]).await));
    assert_eq!(db.store.intents(acc(1)).await.unwrap(), []);
    assert_eq!(db.store.tokens(acc(1), &[id(7)]).await.unwrap(), [(id(7), created.id)], "for ever");

    let resent = Intent { id: id(4), ..create.clone() };
    db.put([open(&resent)]).await;
    let other = Link { person: per(2), id: lnk(2), ..created.clone() };
    let stolen = Intent { id: id(5), ..intent(5, &other, Send::Create, 7) };
    let put = [put_person(person(2, 1, card("Bo", "Li"))), put_link(other), open(&stolen)];
    assert!(is_stale(db.try_put(put).await), "a token belongs to one link");
    assert_eq!(db.store.check().await.unwrap(), Vec::<String>::new());
}

pub(crate) async fn conflicts_and_held_deletions_stand_once(db: Db) {
    let db = db.with_account().await;
    db.put([put_person(person(1, 1, card("Ann", "Lee"))), put_link(link(1, 1, 1, Some("/a")))]).await;
    let text = |text: &str| FieldValue::One(Some(Value::Text(text.into())));
    let clash = |ours: &str, stands| Clash {
        about: About::Field(Field::Note),
        ours: text(ours),
        theirs: text("there"),
        stands,
        ours_at: None,
        theirs_at: Some(NOW),
    };
    let conflict = |n: u64, clash: Clash| Conflict {
        id: id::<ConflictId>(n),
        link: lnk(1),
        account: acc(1),
        person: per(1),
        at: NOW.plus(n as i64),
        clash,
        resolved: false,
    };
    let put = |conflict: Conflict| Change::PutConflict(Box::new(conflict));
    let first = conflict(1, clash("here", Side::Undecided));
    db.put([put(first.clone()), put(conflict(2, clash("here", Side::Undecided)))]).await;
    assert_eq!(db.store.conflicts(None, 9).await.unwrap(), [first.clone()], "seen again, it is the same");
    db.put([put(conflict(3, clash("elsewhere", Side::Ours)))]).await;
    assert_eq!(db.store.conflicts(Some(acc(1)), 9).await.unwrap().len(), 2);
    assert_eq!(db.store.conflicts(Some(acc(1)), 1).await.unwrap().len(), 1);
    assert_eq!(db.store.conflicts(Some(acc(2)), 9).await.unwrap(), []);
    assert_eq!(db.subject(person_key(1)).await.asked(), [Field::Note].into_iter().collect::<FieldSet>());
    db.put([Change::ResolveConflict(first.id)]).await;
    assert_eq!(db.store.conflicts(None, 9).await.unwrap()[0].id, id(3));
    assert_eq!(db.subject(person_key(1)).await.asked(), FieldSet::NONE);
    db.put([put(conflict(4, clash("here", Side::Undecided)))]).await;
    let again = db.store.conflicts(None, 9).await.unwrap();
    assert_eq!((again[0].id, again[0].at), (first.id, NOW.plus(4)), "it came up again");

    let held = |n: u64, deletion, revision| HeldDeletion {
        id: id::<HeldId>(n),
        link: lnk(1),
        account: acc(1),
        person: per(1),
        deletion,
        revision: Revision(revision),
        etag: Some(Etag::from("e")),
        at: NOW.plus(n as i64),
        why: "guard".into(),
        answer: None,
    };
    let put = |held: HeldDeletion| Change::PutHeld(Box::new(held));
    db.put([put(held(1, Deletion::Local, 1)), put(held(2, Deletion::Local, 2))]).await;
    let newer = HeldDeletion { id: id(1), at: NOW.plus(1), ..held(2, Deletion::Local, 2) };
    assert_eq!(db.store.held(None).await.unwrap(), [newer.clone()], "the same one, as it is now");
    assert_eq!(db.subject(person_key(1)).await.held, Some(None));
    db.settle_all().await;
    db.put([Change::AnswerHeld(id(1), Answer::Rejected)]).await;
    assert_eq!(db.unsettled().await, [person_key(1)], "an answer is to be carried out");
    db.put([put(held(3, Deletion::Local, 3))]).await;
    let answered = HeldDeletion { answer: Some(Answer::Rejected), ..newer };
    assert_eq!(db.store.held(Some(acc(1))).await.unwrap(), [answered], "an answer stays");
    assert_eq!(db.subject(person_key(1)).await.held, Some(Some(Answer::Rejected)));
    db.put([Change::DropHeld(id(1)), Change::DropHeld(id(1))]).await;
    assert_eq!(db.store.held(None).await.unwrap(), []);
    assert!(is_stale(db.try_put([Change::AnswerHeld(id(1), Answer::Confirmed)]).await), "it is done with");
}

pub(crate) async fn failures_are_counted(db: Db) {
    let db = db.with_account().await;
    let key = |n: u64| if n == 0 { record_key("/a") } else { person_key(n) };
    let fail = |n: u64, at: i64| Change::Fail {
        account: acc(1),
        key: key(n),
        reason: "refused".into(),
        retry_at: NOW.plus(at),
    };
    db.put([observe(1, [Seen::Present(remote_record("/a", card("Ann", "Lee")))])]).await;
    db.put([put_person(person(1, 1, card("Bo", "Li"))), fail(0, 1), fail(1, 5), fail(0, 10)]).await;
    let failures = db.store.failures(acc(1), 9).await.unwrap();
    let short: Vec<_> = failures.iter().map(|one| (one.key.clone(), one.attempts, one.retry_at)).collect();
    assert_eq!(short, [(key(1), 1, NOW.plus(5)), (key(0), 2, NOW.plus(10))]);
    assert_eq!(db.unsettled().await, [], "they wait");
    let later = db.store.unsettled(acc(1), NOW.plus(5), None, 9).await.unwrap();
    assert_eq!(later.into_iter().map(|(key, _)| key).collect::<Vec<SubjectKey>>(), [key(1)]);
    db.put([Change::Unfail(acc(1), key(0)), Change::Unfail(acc(1), key(1))]).await;
    assert_eq!(db.unsettled().await, [key(0), key(1)]);
    assert_eq!(db.store.failures(acc(1), 9).await.unwrap(), []);
}

pub(crate) async fn one_open_link_per_record_and_person(db: Db) {
    let db = db.with_account().await;
    db.put([1, 2].map(|n| put_person(person(n, 1, card("Ann", "Lee"))))).await;
    db.put([put_link(link(1, 1, 1, Some("/a")))]).await;
    assert!(is_stale(db.try_put([put_link(link(2, 1, 2, Some("/a")))]).await), "one per record");
    assert!(is_stale(db.try_put([put_link(link(2, 1, 1, Some("/b")))]).await), "one per person");
    let redundant = Link { state: LinkState::Redundant, ..link(2, 1, 1, Some("/b")) };
    db.put([put_link(redundant.clone())]).await;
    assert!(
        is_stale(db.try_put([put_link(link(3, 1, 2, Some("/b")))]).await),
        "a redundant link speaks for its record"
    );
    let ended = Link { state: LinkState::Deleted, ..link(1, 1, 1, Some("/a")) };
    db.put([put_link(ended), put_link(link(3, 1, 2, Some("/a"))), put_link(link(4, 1, 1, None))]).await;
    assert_eq!(db.subject(person_key(1)).await.link.unwrap().id, lnk(4));
    assert_eq!(db.subject(record_key("/a")).await.link.unwrap().id, lnk(3));
}

pub(crate) async fn two_who_change_an_account_do_not_lose_one_another(db: Db) {
    let db = db.with_account().await;
    let read = db.store.account(acc(1)).await.unwrap().unwrap();
    let put = |account: Account| {
        let mut commit = commit([]);
        commit.put_account(account);
        db.store.commit(commit)
    };
    put(Account { address: "one@example.com".into(), ..read.clone() }).await.unwrap();
    assert!(is_stale(put(Account { state: AccountState::Setup, ..read.clone() }).await), "from what is past");
    let now = db.store.account(acc(1)).await.unwrap().unwrap();
    assert_eq!((now.address.as_str(), &now.state), ("one@example.com", &read.state));
    put(Account { state: AccountState::Setup, ..now.clone() }).await.unwrap();
    assert_eq!(db.store.account(acc(1)).await.unwrap().unwrap().revision, Revision(now.revision.0 + 1));
    // The end of a run changes nothing that people change.
    db.put([Change::Synced(acc(1), NOW)]).await;
    let now = db.store.account(acc(1)).await.unwrap().unwrap();
    put(now).await.unwrap();
    // A new one is new once.
    let new = Account { revision: Revision(0), subject: "mailbox2".into(), ..account(2, 1) };
    put(new.clone()).await.unwrap();
    assert!(is_stale(put(new).await));
}

pub(crate) async fn leases_of_the_dead_are_freed(db: Db) {
    let db = db.with_account().await;
    let theirs = db.store.lease(acc(1), "theirs", NOW, 60_000).await.unwrap().unwrap();
    assert!(db.store.lease(acc(1), "ours", NOW, 60_000).await.unwrap().is_none());
    db.store.free_leases().await.unwrap();
    let ours = db.store.lease(acc(1), "ours", NOW, 60_000).await.unwrap().unwrap();
    assert!(ours.fence > theirs.fence, "what the dead one was about to store is refused");
}

pub(crate) async fn accounts_are_unique(db: Db) {
    let db = db.with_account().await;
    let twin = Account { subject: "mailbox1".into(), ..account(2, 1) };
    assert!(is_stale(db.try_put([put(twin.clone())]).await), "the same mailbox is live only once");
    db.put([put(Account { state: AccountState::Removed, ..account(1, 1) }), put(twin)]).await;
    assert_eq!(db.store.accounts().await.unwrap().len(), 2);
    assert!(is_stale(db.try_put([put(account(1, 1))]).await), "nor by coming back");
}

#[tokio::test]
async fn a_file_has_one_daemon_and_outlives_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let store = SqlStore::open(Sqlite::open(&path).unwrap()).await.unwrap();
    let second = Sqlite::open(&path).unwrap_err().to_string();
    assert!(second.contains("store.db") && second.contains("in use by another contactd"), "{second}");
    assert!(Sqlite::inline(&path).is_err());
    store.commit(commit([Change::PutUser(user(1)), put_person(person(1, 1, card("Ann", "Lee")))])).await.unwrap();
    // A commit that is never polled leaves nothing behind.
    drop(store.commit(commit([put_person(person(2, 1, card("Bo", "Li")))])));
    drop(store);
    let store = SqlStore::open(Sqlite::inline(&path).unwrap()).await.unwrap();
    assert!(store.person(per(1)).await.unwrap().is_some());
    assert_eq!(store.person(per(2)).await.unwrap(), None);
    assert_eq!(store.check().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_store_of_a_later_version_is_refused() {
    use contactd::store::driver::{Driver, Stmt};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let store = SqlStore::open(Sqlite::inline(&path).unwrap()).await.unwrap();
    let later = Stmt::new("INSERT INTO schema_version (version) VALUES (999)", Vec::new());
    store.driver().run(vec![later]).await.unwrap();
    drop(store);
    let refused = SqlStore::open(Sqlite::inline(&path).unwrap()).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Broken(why) if why.contains("version 999")), "{refused}");
}

#[tokio::test]
async fn a_file_that_is_no_store_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    std::fs::write(&path, "these bytes are not a database, and they are more than a hundred bytes long, so that they are read as a header").unwrap();
    let refused = Sqlite::open(&path).unwrap_err().to_string();
    assert!(refused.contains("store.db") && refused.contains("damaged"), "{refused}");
    let nowhere = Sqlite::open(&dir.path().join("none/store.db")).unwrap_err().to_string();
    assert!(nowhere.contains("does its folder exist"), "{nowhere}");
}

/// Links and records that come, go and change hands in any order, several in a commit: the count goes along.
pub(crate) async fn people_in_sync_are_counted_along(db: Db) {
    let db = db.with_account().await;
    db.put((1..=4).map(|n| put_person(person(n, 1, card("Ann", "Lee"))))).await;
    let mut chance = 7_u64;
    let mut next = |most: u64| {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (chance >> 33) % most
    };
    let mut live = 0;
    for _ in 0..400 {
        let mut changes = Vec::new();
        for _ in 0..=next(3) {
            let (n, remote) = (1 + next(4), format!("/{}", next(4)));
            let state = [LinkState::Live, LinkState::Live, LinkState::Deleted, LinkState::Redundant, LinkState::Left];
            let state = state[usize::try_from(next(5)).unwrap()];
            changes.push(match next(6) {
                0..3 => put_link(Link { state, ..link(n, 1, n, (next(5) > 0).then_some(&remote)) }),
                3 => observe(1, [Seen::Gone(rec(&remote))]),
                4 => observe(1, [Seen::Unreadable(remote_record(&remote, card("Ann", "Lee")).at, "?".into())]),
                _ => observe(1, [Seen::Present(remote_record(&remote, card("Ann", "Lee")))]),
            });
        }
        // Two links for one record, as it may come by chance, are refused, and count nothing.
        let _ = db.try_put(changes).await;
        assert_eq!(db.store.check().await.unwrap(), Vec::<String>::new());
        live += db.store.counted(None, NOW).await.unwrap().in_sync;
    }
    assert!(live > 100, "{live}");
}
