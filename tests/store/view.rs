//! What reconcile looks at: marks, pages, subjects, candidates.

use std::collections::BTreeMap;

use contactd::card::field::Field;
use contactd::card::{Card, Item};
use contactd::crm::person::{Person, PersonState, VisibleTo};
use contactd::crm::users::{Role, User};
use contactd::ids::{Etag, HeldId, Revision, RoleId, Token};
use contactd::store::{Account, Candidate, Change, HeldDeletion, SubjectKey};
use contactd::sync::plan::Deletion;
use contactd::sync::settings::Settings;
use contactd::sync::view::{Elsewhere, Link, LinkState, Origin, RemoteRecord, RemoteRef, Roster, Seen, Send};

use crate::fixture::*;

fn present(name: &str) -> RemoteRecord {
    remote_record(name, card("Ann", "Lee"))
}

async fn version(db: &Db, name: &str) -> i64 {
    db.store.seen(acc(1), &[rec(name)]).await.unwrap().remove(0).map_or(0, |seen| seen.version)
}

pub(crate) async fn observing_unsettles_what_changed(db: Db) {
    let db = db.with_account().await;
    let first = present("/a");
    db.put([observe(1, [Seen::Present(first.clone())])]).await;
    assert_eq!((db.unsettled().await, version(&db, "/a").await), (vec![record_key("/a")], 1));
    db.put([Change::SettleRecord(acc(1), rec("/a"), 2)]).await;
    assert_eq!(db.unsettled().await, [record_key("/a")], "of another version");
    db.put([Change::SettleRecord(acc(1), rec("/a"), 1)]).await;
    assert_eq!(db.unsettled().await, []);

    // What changes nothing that matters is stored all the same.
    let etag = Some(Etag::from("2"));
    let same = RemoteRecord {
        at: RemoteRef { etag, ..first.at.clone() },
        modified: Some(NOW),
        raw: Some(b"other".to_vec()),
        ..first.clone()
    };
    let times = BTreeMap::from([(Field::Given, NOW)]);
    let rows = vec![(Seen::Present(same.clone()), times.clone())];
    db.put([Change::Observe { account: acc(1), collection: book(), generation: 7, rows, echo: true }]).await;
    assert_eq!((db.unsettled().await, version(&db, "/a").await), (vec![], 1));
    let stored = db.store.seen(acc(1), &[rec("/a")]).await.unwrap().remove(0).unwrap();
    assert_eq!((stored.seen, stored.times), (Seen::Present(same.clone()), times));
    let known = db.store.known(acc(1), &[rec("/a")]).await.unwrap().remove(0).unwrap();
    assert_eq!((known.generation, known.written, known.etag), (7, Some(NOW), Some(Etag::from("2"))));

    let elsewhere = RemoteRef { collection: "other".into(), ..first.at.clone() };
    let roster = |members: &[&str]| Roster {
        at: first.at.clone(),
        group: "g".into(),
        name: "Friends".into(),
        uid: None,
        members: members.iter().map(|member| (*member).to_owned()).collect(),
    };
    let changes = [
        Seen::Present(remote_record("/a", card("Ann", "Leigh"))),
        Seen::Present(RemoteRecord { groups: ["g".into()].into(), ..first.clone() }),
        Seen::Present(RemoteRecord { token: Some(id::<Token>(1)), ..first.clone() }),
        Seen::Present(RemoteRecord { uid: None, ..first.clone() }),
        Seen::Present(RemoteRecord { formerly: vec![rec("/z")], ..first.clone() }),
        Seen::Present(RemoteRecord { at: elsewhere, ..first.clone() }),
        Seen::Outside { at: first.at.clone(), groups: Default::default(), uid: None },
        Seen::Outside { at: first.at.clone(), groups: ["h".into()].into(), uid: None },
        Seen::Unreadable(first.at.clone(), "no".into()),
        Seen::Unreadable(first.at.clone(), "still no".into()),
        Seen::Roster(roster(&["m"])),
        Seen::Roster(roster(&["m", "n"])),
        Seen::Gone(rec("/a")),
        Seen::Present(first.clone()),
    ];
    for (changes, seen) in (2..).zip(changes) {
        db.put([observe(1, [seen.clone()])]).await;
        assert_eq!(version(&db, "/a").await, changes, "{seen:?}");
        assert_eq!(db.unsettled().await, [record_key("/a")], "{seen:?}");
        db.put([observe(1, [seen.clone(), seen.clone()])]).await;
        assert_eq!(version(&db, "/a").await, changes, "the same again: {seen:?}");
        db.put([Change::SettleRecord(acc(1), rec("/a"), changes)]).await;
        assert_eq!(db.unsettled().await, []);
    }
    // Twice in one commit, and marked in between.
    let changed = |name: &str| Seen::Present(remote_record("/a", card("Ann", name)));
    db.put([
        observe(1, [changed("One"), changed("Two")]),
        Change::UnsettleRecord(acc(1), rec("/a")),
        observe(1, [changed("Three")]),
        Change::UnsettleAccount(acc(1)),
        observe(1, [changed("Three")]),
    ])
    .await;
    assert_eq!(version(&db, "/a").await, 20);
    assert_eq!(db.store.check().await.unwrap(), Vec::<String>::new());
}

pub(crate) async fn gone_records_stay_as_tombstones(db: Db) {
    let db = db.with_account().await;
    db.put([put_person(person(1, 1, card("Ann", "Lee"))), put_link(link(1, 1, 1, Some("/linked")))]).await;
    db.put([observe(1, [Seen::Present(present("/a"))])]).await;
    db.settle_all().await;
    db.put([observe(1, ["/a", "/linked", "/unknown"].map(|name| Seen::Gone(rec(name))))]).await;
    let stored = db.store.seen(acc(1), &["/a", "/linked", "/unknown"].map(rec)).await.unwrap();
    let seen: Vec<_> = stored.iter().map(|one| one.as_ref().map(|one| (&one.seen, one.version))).collect();
    assert_eq!(seen, [Some((&Seen::Gone(rec("/a")), 2)), Some((&Seen::Gone(rec("/linked")), 1)), None]);
    assert_eq!(db.unsettled().await, [record_key("/a"), record_key("/linked")]);
    assert_eq!(db.store.check().await.unwrap(), Vec::<String>::new());
}

pub(crate) async fn people_are_marked_where_they_matter(db: Db) {
    let db = db.with_account().await;
    db.put([2, 3].map(|n| Change::PutUser(user(n)))).await;
    db.put([put(account(2, 1)), put(account(3, 2)), put(account(4, 3))]).await;
    let ann = person(1, 1, card("Ann", "Lee"));
    db.put([put_person(ann.clone())]).await;
    let marked = |account: u64| {
        let db = &db;
        async move {
            db.store
                .unsettled(acc(account), NOW, None, 9)
                .await
                .unwrap()
                .into_iter()
                .map(|(key, _)| key)
                .collect::<Vec<_>>()
        }
    };
    assert_eq!(marked(1).await, [person_key(1)]);
    assert_eq!(marked(2).await, [person_key(1)], "wherever its owner has an account");
    assert_eq!((marked(3).await, marked(4).await), (vec![], vec![]));
    let ended = Link { state: LinkState::Deleted, ..link(1, 3, 1, Some("/a")) };
    db.put([put_link(ended), put_person(next(&ann))]).await;
    assert_eq!(marked(3).await, [person_key(1)], "and where it has a link of any state");
    db.put([Change::SettlePerson(acc(1), per(1), Revision(1)), Change::SettlePerson(acc(2), per(1), Revision(2))])
        .await;
    assert_eq!(marked(1).await, [person_key(1)], "a later revision is not settled by an earlier one");
    assert_eq!(marked(2).await, []);
    db.put([Change::SettlePerson(acc(1), per(1), Revision(3))]).await;
    assert_eq!(marked(1).await, []);

    // A record that is unsettled brings its person with it.
    db.put([put_link(link(2, 1, 1, Some("/b"))), put_person(next(&next(&ann)))]).await;
    assert_eq!(marked(1).await, [person_key(1)]);
    db.put([observe(1, [Seen::Present(present("/b"))])]).await;
    assert_eq!(marked(1).await, [record_key("/b")]);
    db.put([Change::SettleRecord(acc(1), rec("/b"), 1)]).await;
    assert_eq!(marked(1).await, [person_key(1)]);
}

/// Marks that a commit would make and take off again are not made at all; whatever else it says about the person counts.
pub(crate) async fn who_is_made_and_settled_at_once_is_marked_elsewhere_only(db: Db) {
    let db = db.with_account().await;
    db.put([put(account(2, 1))]).await;
    let ann = |n: u64| person(n, 1, card("Ann", "Lee"));
    let settle = |n: u64, revision: i64| Change::SettlePerson(acc(1), per(n), Revision(revision));
    let all: [(Vec<Change>, bool); 8] = [
        (vec![put_person(ann(1)), settle(1, 1)], false),
        (vec![put_link(link(2, 1, 2, None)), put_person(ann(2)), settle(2, 1)], false),
        (vec![settle(3, 1), put_person(ann(3))], true),
        (vec![put_person(ann(4)), settle(4, 0)], true),
        (vec![put_person(ann(5)), settle(5, 1), Change::UnsettlePerson(acc(1), per(5))], true),
        (vec![put_person(ann(6)), Change::UnsettlePerson(acc(1), per(6)), settle(6, 1)], false),
        (vec![put_person(ann(7)), settle(7, 1), Change::UnsettleAccount(acc(1))], true),
        (vec![put_person(ann(8)), Change::SettlePerson(acc(2), per(8), Revision(1)), settle(8, 1)], false),
    ];
    for (n, (changes, marked)) in (1..).zip(all) {
        db.put(changes).await;
        let here = db.unsettled().await.contains(&person_key(n));
        assert_eq!(here, marked, "{n}");
        let there = db.store.unsettled(acc(2), NOW, None, 9).await.unwrap();
        assert_eq!(there.iter().any(|(key, _)| *key == person_key(n)), n != 8, "{n}, in the owner's other account");
        let both = [settle(n, 9), Change::SettlePerson(acc(2), per(n), Revision(9))];
        db.put(both).await;
        // All that the account has was marked by the seventh.
        db.settle_all().await;
    }
    assert_eq!(db.store.check().await.unwrap(), Vec::<String>::new());
}

pub(crate) async fn marks_are_lifted_by_who_saw_them(db: Db) {
    let db = db.with_account().await;
    db.put([put_person(person(1, 1, card("Ann", "Lee"))), observe(1, [Seen::Present(present("/a"))])]).await;
    db.settle_all().await;
    let run = db.store.lease(acc(1), "run", NOW, 1000).await.unwrap().unwrap();
    let settle = || [Change::SettlePerson(acc(1), per(1), Revision(1)), Change::SettleRecord(acc(1), rec("/a"), 1)];
    let under = |lease: &contactd::store::Lease, changes: [Change; 2]| {
        let commit = commit_under(lease, changes);
        let db = &db;
        async move { db.store.commit(commit).await.unwrap() }
    };
    // The run has read everything; now someone changes the settings; then the run settles what it has read.
    db.put([Change::UnsettleAccount(acc(1))]).await;
    under(&run, settle()).await;
    assert_eq!(db.unsettled().await, [record_key("/a"), person_key(1)], "it had looked before");
    db.store.release(&run).await.unwrap();
    let run = db.store.lease(acc(1), "run", NOW, 1000).await.unwrap().unwrap();
    under(&run, [Change::SettlePerson(acc(1), per(1), Revision(1)), Change::SettleRecord(acc(1), rec("/a"), 2)]).await;
    assert_eq!(db.unsettled().await, [], "the next run looks after");
    // What the run marks itself, it settles itself.
    under(&run, [Change::UnsettlePerson(acc(1), per(1)), Change::UnsettleRecord(acc(1), rec("/a"))]).await;
    assert_eq!(db.unsettled().await, [record_key("/a"), person_key(1)]);
    under(&run, [Change::SettlePerson(acc(1), per(1), Revision(1)), Change::SettleRecord(acc(1), rec("/a"), 3)]).await;
    assert_eq!(db.unsettled().await, []);
    // A new revision while the run is under way is a later revision; the run may settle that.
    db.put([put_person(next(&person(1, 1, card("Ann", "Lee"))))]).await;
    under(&run, settle()).await;
    assert_eq!(db.unsettled().await, [person_key(1)]);
    under(&run, [Change::SettlePerson(acc(1), per(1), Revision(2)), Change::UnsettlePerson(acc(2), per(1))]).await;
    assert_eq!(db.unsettled().await, []);
    db.put([Change::UnsettlePerson(acc(1), per(9)), Change::UnsettleRecord(acc(1), rec("/none"))]).await;
    assert_eq!(db.unsettled().await, [], "of nobody");
}

pub(crate) async fn unsettled_comes_in_pages(db: Db) {
    let db = db.with_account().await;
    let records = (0..7).map(|n| Seen::Present(remote_record(&format!("/{n}"), Card::default())));
    db.put([observe(1, records)]).await;
    db.put((1..6).map(|n| put_person(person(n, 1, Card::default())))).await;
    db.put([put_link(link(1, 1, 1, Some("/3")))]).await;
    let mut keys: Vec<SubjectKey> = (0..7).map(|n| record_key(&format!("/{n}"))).collect();
    keys.extend((2..6).map(person_key));
    for limit in [1, 3, 7, 8, 100] {
        let mut found: Vec<SubjectKey> = Vec::new();
        loop {
            let page = db.store.unsettled(acc(1), NOW, found.last(), limit).await.unwrap();
            assert!(page.len() <= limit);
            if page.is_empty() {
                break;
            }
            found.extend(page.into_iter().map(|(key, _)| key));
        }
        assert_eq!(found, keys, "in pages of {limit}");
    }
}

pub(crate) async fn subjects_are_complete(db: Db) {
    let db = db.with_account().await;
    let admin = User { admin: true, ..user(3) };
    db.put([Change::PutUser(user(2)), Change::PutUser(admin), put(account(2, 2))]).await;
    let ann = person(1, 1, card("Ann", "Lee"));
    let bob = Person { visible_to: VisibleTo::Owner, ..person(2, 2, card("Bo", "Li")) };
    db.put([put_person(ann.clone()), put_person(bob.clone())]).await;
    assert_eq!(db.subject(record_key("/none")).await, Default::default());
    assert_eq!(db.subject(person_key(9)).await, Default::default());

    // A person of another user, whom the account's user has lost.
    let lost = Link { state: LinkState::Frozen, ..link(1, 1, 2, Some("/b")) };
    db.put([put_link(lost.clone()), observe(1, [Seen::Present(present("/b"))])]).await;
    let subject = db.subject(record_key("/b")).await;
    assert_eq!(subject.link, Some(lost));
    let facts = subject.person.unwrap();
    assert_eq!((facts.person, facts.access, facts.trashed_with_authority), (bob.clone(), false, false));
    assert!(db.subject(person_key(1)).await.person.unwrap().access);

    // Links elsewhere.
    let there = Link { origin: Origin::Ours, state: LinkState::Left, ..link(2, 2, 1, Some("/x")) };
    db.put([put_link(link(3, 1, 1, Some("/a"))), put_link(there), observe(1, [Seen::Present(present("/a"))])]).await;
    let subject = db.subject(record_key("/a")).await;
    let elsewhere = Elsewhere { account: acc(2), user: usr(2), state: LinkState::Left, origin: Origin::Ours };
    assert_eq!(subject.person.as_ref().unwrap().elsewhere, [elsewhere]);
    assert_eq!(subject, db.subject(person_key(1)).await, "by record or by person");
    let by_link = db.store.subjects_of_links(acc(1), &[lnk(3), lnk(9), lnk(2)]).await.unwrap();
    assert_eq!(by_link, [(record_key("/a"), subject)], "links of this account only");

    // The latest of several ended links, and no record that another link speaks for now.
    let ended = |n: u64, name: &str| Link { state: LinkState::Deleted, ..link(n, 1, 1, Some(name)) };
    db.put([put_link(Link { state: LinkState::Unlinked, ..link(1, 1, 2, Some("/b")) })]).await;
    db.put([put_link(ended(3, "/a")), put_link(ended(4, "/c")), put_link(link(5, 1, 2, Some("/c")))]).await;
    db.put([observe(1, [Seen::Present(present("/c"))])]).await;
    let subject = db.subject(person_key(1)).await;
    assert_eq!((subject.link.unwrap().id, subject.seen), (lnk(4), None));
    let subject = db.subject(record_key("/c")).await;
    assert_eq!((subject.link.unwrap().id, subject.person.unwrap().person.id), (lnk(5), per(2)));
    let subject = db.subject(record_key("/a")).await;
    assert_eq!((subject.link.unwrap().id, subject.seen.is_some()), (lnk(3), true));

    // An open intent blocks the person, and a record that carries its token.
    let created = Link { origin: Origin::Ours, ..link(6, 1, 1, None) };
    let create = intent(1, &created, Send::Create, 7);
    db.put([put_link(created.clone()), Change::OpenIntent(Box::new(create.clone()))]).await;
    let carrier = RemoteRecord { token: Some(id::<Token>(7)), ..present("/new") };
    let stranger = RemoteRecord { token: Some(id::<Token>(8)), ..present("/other") };
    db.put([observe(1, [Seen::Present(carrier), Seen::Present(stranger)])]).await;
    let subject = db.subject(person_key(1)).await;
    assert_eq!((subject.blocked, subject.link.unwrap().id, subject.token_of), (true, lnk(6), None));
    let subject = db.subject(record_key("/new")).await;
    assert_eq!((subject.blocked, subject.link), (true, None));
    assert_eq!(subject.token_of, Some((lnk(6), LinkState::Live, per(1))));
    let subject = db.subject(record_key("/other")).await;
    assert_eq!((subject.blocked, subject.token_of), (false, None));
    db.put([Change::CloseIntent(create.id)]).await;
    let subject = db.subject(record_key("/new")).await;
    assert_eq!((subject.blocked, subject.token_of), (false, Some((lnk(6), LinkState::Live, per(1)))));

    // Who trashed it.
    let held = HeldDeletion {
        id: id::<HeldId>(1),
        link: lnk(6),
        account: acc(1),
        person: per(1),
        deletion: Deletion::Remote,
        revision: Revision(1),
        etag: None,
        at: NOW,
        why: "policy".into(),
        answer: None,
    };
    db.put([Change::PutHeld(Box::new(held))]).await;
    let mut trashed = ann;
    for (by, authority) in [(None, false), (Some(1), true), (Some(2), false), (Some(3), true)] {
        trashed = Person { state: PersonState::Trashed { at: NOW, by: by.map(usr) }, ..next(&trashed) };
        db.put([put_person(trashed.clone())]).await;
        let subject = db.subject(person_key(1)).await;
        assert_eq!(subject.person.unwrap().trashed_with_authority, authority, "{by:?}");
        assert_eq!(subject.held, Some(None));
    }
}

pub(crate) async fn users_and_roles_unsettle_links(db: Db) {
    let db = db.with_account().await;
    let role = |n: u64, parent: Option<u64>| {
        Change::PutRole(Role { id: id::<RoleId>(n), name: format!("Role {n}"), parent: parent.map(id::<RoleId>) })
    };
    db.put([role(1, None), role(2, Some(1)), role(3, Some(2)), role(4, None)]).await;
    for n in 1..=4 {
        db.put([Change::PutUser(User { role: Some(id::<RoleId>(n)), ..user(n) }), put(account(n, n))]).await;
        db.put([put_person(person(n, n, Card::default())), put_link(link(n, n, n, None))]).await;
    }
    // Person 4 is linked in account 1, too.
    db.put([put_link(link(5, 1, 4, None))]).await;
    let marked = || {
        let db = &db;
        async move {
            let mut all = Vec::new();
            for n in 1..=4 {
                for (key, _) in db.store.unsettled(acc(n), NOW, None, 9).await.unwrap() {
                    let SubjectKey::Person(person) = key else { unreachable!() };
                    db.put([Change::SettlePerson(acc(n), person, Revision(1))]).await;
                    all.push((n, person.0.as_u128() as u64));
                }
            }
            all
        }
    };
    marked().await;
    db.put([Change::PutUser(user(2))]).await;
    assert_eq!(marked().await, [(2, 2)]);
    db.put([Change::PutUser(User { role: Some(id::<RoleId>(2)), ..user(2) })]).await;
    marked().await;
    db.put([Change::PutUser(User { role: Some(id::<RoleId>(4)), ..user(4) })]).await;
    assert_eq!(marked().await, [(1, 4), (4, 4)], "of its people wherever they are");
    db.put([Change::PutUser(User { role: Some(id::<RoleId>(1)), ..user(1) })]).await;
    assert_eq!(marked().await, [(1, 1), (1, 4)], "in its accounts whosever they are");
    db.put([role(2, Some(1))]).await;
    assert_eq!(marked().await, [(1, 1), (1, 4), (2, 2), (3, 3)], "its own, those above and below");
    db.put([role(2, Some(4))]).await;
    assert_eq!(marked().await, [(1, 1), (1, 4), (2, 2), (3, 3), (4, 4)], "and where it stood and stands");
}

pub(crate) async fn candidates_are_judged(db: Db) {
    let db = db.with_account().await;
    db.put([Change::PutUser(user(2)), put(account(2, 1))]).await;
    let settings = Settings { visible_to: VisibleTo::Owner, ..Settings::default() };
    db.put([put(Account { settings, ..account(1, 1) })]).await;
    let named = |given: &str| card(given, "Lee");
    let shared = |given: &str| Card { emails: vec![Item::new("info@example.com")], ..named(given) };
    let company = |person: Person| Person { visible_to: VisibleTo::Company, ..person };
    db.put(
        [
            person(1, 1, named("Ann")),
            person(2, 2, named("Ann")),
            company(person(3, 2, named("Bo"))),
            Person { state: PersonState::Trashed { at: NOW, by: None }, ..person(4, 1, named("Cy")) },
            person(5, 1, named("Di")),
            person(6, 1, named("Ed")),
            person(7, 1, named("Flo")),
            person(8, 1, shared("Gus")),
            person(9, 1, shared("Hal")),
            Person { followers: vec![usr(2)], ..person(10, 1, named("Ida")) },
        ]
        .map(put_person),
    )
    .await;
    let state = |n: u64, person: u64, state: LinkState| Link { state, ..link(n, 1, person, Some(&format!("/old{n}"))) };
    db.put([put_link(state(5, 5, LinkState::Undone)), put_link(state(6, 6, LinkState::Deleted))]).await;
    db.put([put_link(link(7, 2, 7, Some("/flo")))]).await;
    let record = |name: &str, body: Card| Seen::Present(remote_record(name, body));
    db.put([observe(
        1,
        [
            record("/ann", named("Ann")),
            record("/ann2", named("Ann")),
            record("/bo", named("Bo")),
            record("/cy", named("Cy")),
            record("/di", named("Di")),
            record("/ed", named("Ed")),
            record("/flo", named("Flo")),
            record("/gus", shared("Gus")),
            record("/ida", named("Ida")),
            record("/linked", named("Ann")),
            record("/settled", named("Ann")),
            record("/undone", named("Ann")),
        ],
    )])
    .await;
    let undone = Link { state: LinkState::Unlinked, ..link(20, 1, 9, Some("/undone")) };
    db.put([put_link(link(21, 1, 8, Some("/linked"))), put_link(undone)]).await;
    db.put([Change::SettleRecord(acc(1), rec("/settled"), 1)]).await;
    let found = |popular: usize| {
        let db = &db;
        async move {
            let short = |one: Candidate| (one.remote.0, one.person.0.as_u128() as u64, one.strength, one.narrow);
            db.store.candidates(acc(1), popular).await.unwrap().into_iter().map(short).collect::<Vec<_>>()
        }
    };
    let one = |name: &str, person: u64, narrow: bool| (name.to_owned(), person, 0_u8, narrow);
    let expected = [
        one("/ann", 1, true),
        one("/ann2", 1, true),
        one("/bo", 3, false),
        one("/ed", 6, true),
        one("/flo", 7, true),
        one("/ida", 10, false),
    ];
    assert_eq!(found(9).await, expected, "all that may be matched, at the strongest key that they share");
    assert_eq!(found(4).await, &expected[2..], "five records share Ann's keys");
    assert_eq!(found(0).await, []);
    assert_eq!(db.store.candidates(acc(9), 9).await.unwrap(), []);
    // Only the address is the same: a weaker key.
    db.put([put_person(next(&person(7, 1, Card { given: Some("Florence".into()), ..named("Flo") })))]).await;
    assert_eq!(found(9).await[4], ("/flo".to_owned(), 7, 1, true));
    // Whoever was unlinked is not matched again by itself; whose record was made one with another's there is.
    let di = one("/di", 5, true);
    db.put([put_link(state(5, 5, LinkState::Unlinked))]).await;
    assert!(!found(9).await.contains(&di));
    db.put([put_link(Link { remote: Some(rec("/linked")), ..state(5, 5, LinkState::Unlinked) })]).await;
    assert!(found(9).await.contains(&di));
}
