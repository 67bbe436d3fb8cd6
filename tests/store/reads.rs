//! Reads that compare, search and count.

use contactd::card::{Card, Item, Organization};
use contactd::crm::access::{self, decide};
use contactd::crm::person::{Person, PersonState, VisibleTo};
use contactd::crm::users::{Directory, Role, User};
use contactd::ids::{HeldId, OpId, PersonId, Revision, RoleId, RunId, Token};
use contactd::store::driver::Stmt;
use contactd::store::sql::counts;
use contactd::store::{
    Change, Counts, Expect, GuardFacts, HeldDeletion, Identity, Kind, PersonQuery, Recent, Run, SubjectKey, Tally,
};
use contactd::sync::diff::Diff;
use contactd::sync::operation::{Actor, Effect, PersonChange, RemoteChange};
use contactd::sync::plan::Deletion;
use contactd::sync::view::{Answer, LinkState, RemoteRecord, RemoteRef, Seen};
use proptest::prelude::*;

use crate::fixture::*;

fn present(name: &str) -> Seen {
    Seen::Present(remote_record(name, card("Ann", name)))
}

pub(crate) async fn listings_and_what_they_lack(db: Db) {
    let db = db.with_account().await;
    db.put([observe_in(1, 1, ["/a", "/b", "/c", "/d"].map(present))]).await;
    db.put([observe_in(1, 2, [present("/b"), Seen::Gone(rec("/d"))])]).await;
    let mut echo = observe_in(1, 1, [present("/e")]);
    let Change::Observe { echo: flag, .. } = &mut echo else { unreachable!() };
    *flag = true;
    let elsewhere = Seen::Unreadable(RemoteRef { collection: "other".into(), id: rec("/o"), etag: None }, "?".into());
    db.put([echo, observe(1, [elsewhere])]).await;

    let known = db.store.known(acc(1), &[rec("/e"), rec("/d"), rec("/x"), rec("/o")]).await.unwrap();
    let kinds: Vec<_> = known.iter().map(|known| known.as_ref().map(|known| known.kind)).collect();
    assert_eq!(kinds, [Some(Kind::Present), Some(Kind::Gone), None, Some(Kind::Unreadable)]);
    assert_eq!(known[0].as_ref().unwrap().written, Some(NOW));
    assert_eq!(known[1].as_ref().map(|known| (known.etag.clone(), known.generation)), Some((None, 2)));

    let names = |known: Vec<contactd::store::Known>| known.into_iter().map(|one| one.id.0).collect::<Vec<_>>();
    let listing = |after: Option<&'static str>, limit| {
        let db = &db;
        async move { db.store.listing(acc(1), &book(), after.map(rec).as_ref(), limit).await.unwrap() }
    };
    assert_eq!(names(listing(None, 9).await), ["/a", "/b", "/c", "/e"]);
    assert_eq!(names(listing(None, 2).await), ["/a", "/b"]);
    assert_eq!(names(listing(Some("/b"), 9).await), ["/c", "/e"]);

    let unnamed = |before: i64, after: Option<&'static str>| {
        let db = &db;
        let after = after.map(rec);
        async move { db.store.unnamed(acc(1), &book(), 2, NOW.plus(before), after.as_ref(), 9).await.unwrap() }
    };
    assert_eq!(names(unnamed(0, None).await), ["/a", "/c"], "what we wrote just now may not be listed yet");
    assert_eq!(names(unnamed(1, None).await), ["/a", "/c", "/e"]);
    assert_eq!(names(unnamed(1, Some("/a")).await), ["/c", "/e"]);
    db.put([Change::Touch { account: acc(1), ids: vec![rec("/a"), rec("/none")], generation: 2 }]).await;
    assert_eq!(names(unnamed(1, None).await), ["/c", "/e"]);

    let uids = ["uid-/a", "uid-/d", "none"].map(str::to_owned);
    assert_eq!(db.store.by_uid(acc(1), &uids).await.unwrap(), [("uid-/a".to_owned(), rec("/a"))]);
}

pub(crate) async fn identities_and_refinding(db: Db) {
    let db = db.with_account().await;
    let token = id::<Token>(7);
    let lost = RemoteRecord { token: Some(token), ..remote_record("/lost", card("Ann", "Lee")) };
    let with = |name: &str, token: Option<Token>, uid: &str, body: Card| {
        let uid = Some(uid.to_owned());
        Seen::Present(RemoteRecord { token, uid, ..remote_record(name, body) })
    };
    db.put([observe(1, [Seen::Present(lost.clone())])]).await;
    db.put([observe(1, [Seen::Gone(rec("/lost"))])]).await;
    let identity = Identity { token: Some(token), uid: Some("uid-/lost".to_owned()) };
    assert_eq!(db.store.identities(acc(1), &[rec("/lost"), rec("/x")]).await.unwrap(), [Some(identity), None]);

    db.put([observe(
        1,
        [
            with("/content", None, "other", card("Ann", "Lee")),
            with("/linked", Some(token), "uid-/lost", card("Ann", "Lee")),
            with("/token", Some(token), "other", card("Bo", "Li")),
            with("/uid", None, "uid-/lost", card("Ann", "Lee")),
            with("/none", None, "other", card("Cy", "Ng")),
            with("/empty", None, "other", Card::default()),
        ],
    )])
    .await;
    db.put([put_person(person(1, 1, card("Ann", "Lee"))), put_link(link(1, 1, 1, Some("/linked")))]).await;
    let refind = |token, uid: Option<&'static str>, content: Card| {
        let db = &db;
        async move { db.store.refind(acc(1), token, uid, &content).await.unwrap() }
    };
    let found = refind(Some(token), Some("uid-/lost"), card("Ann", "Lee")).await;
    assert_eq!(found, ["/token", "/uid", "/content"].map(rec), "token, then UID, then content; linked ones never");
    assert_eq!(refind(None, None, card("Ann", "Lee")).await, ["/content", "/uid"].map(rec));
    assert_eq!(refind(None, None, Card::default()).await, [], "empty cards are alike and say nothing");
}

pub(crate) async fn people_are_searched(db: Db) {
    let db = db.with_account().await;
    db.put([Change::PutUser(user(2))]).await;
    let mut ann = person(1, 1, card("Zoë", "O'Neil-Müller"));
    ann.card.phones.push(Item::new("+49 (30) 555-0100"));
    let company = Organization { company: Some("Ümlaut GmbH & Co. KG".to_owned()), ..Organization::default() };
    ann.card.organizations.push(Item::new(company));
    let mut bob = person(2, 2, card("Zoltan", "Muller"));
    bob.visible_to = VisibleTo::Company;
    let gone = Person { state: PersonState::Trashed { at: NOW, by: None }, ..person(3, 1, card("Zoe", "Gone")) };
    db.put([ann.clone(), bob.clone(), gone.clone()].map(put_person)).await;
    let find = |text: &'static str, viewer: Option<u64>, trashed: bool| {
        let db = &db;
        let viewer = viewer.map(usr);
        let query = PersonQuery { viewer, text: Some(text.to_owned()), trashed, limit: 9, ..PersonQuery::default() };
        async move { db.store.people(&query).await.unwrap().iter().map(|one| one.id).collect::<Vec<_>>() }
    };
    for (text, found) in [
        ("zo", vec![per(1), per(2)]),
        ("ZOË", vec![per(1)]),
        ("zoe müll", vec![per(1)]),
        ("mull z", vec![per(1), per(2)]),
        ("umlaut", vec![per(1)]),
        ("zoltan.muller@ex", vec![per(2)]),
        ("zoltan.muller@example.com", vec![per(2)]),
        ("555-01", vec![per(1)]),
        ("+49 30 555 0100", vec![per(1)]),
        ("zoe 5550100", vec![per(1)]),
        ("oe", vec![]),
        ("zoe zoltan", vec![]),
        ("--", vec![]),
        ("%", vec![]),
    ] {
        assert_eq!(find(text, None, false).await, found, "{text}");
    }
    assert_eq!(find("zo", Some(1), false).await, [per(1), per(2)]);
    assert_eq!(find("zo", Some(2), false).await, [per(2)]);
    assert_eq!(find("zo", None, true).await, [per(3)]);
    assert_eq!(find("zo", Some(2), true).await, []);

    let people = |query: PersonQuery| {
        let db = &db;
        async move { db.store.people(&query).await.unwrap().iter().map(|one| one.id).collect::<Vec<_>>() }
    };
    let all = PersonQuery { limit: 9, ..PersonQuery::default() };
    assert_eq!(people(all.clone()).await, [per(1), per(2)]);
    assert_eq!(people(PersonQuery { after: Some(per(1)), ..all.clone() }).await, [per(2)]);
    assert_eq!(people(PersonQuery { limit: 1, ..all.clone() }).await, [per(1)]);
    assert_eq!(people(PersonQuery { owner: Some(usr(1)), ..all.clone() }).await, [per(1)]);
    assert_eq!(people(PersonQuery { owner: Some(usr(1)), trashed: true, ..all.clone() }).await, [per(3)]);
    assert_eq!(people(PersonQuery { owner: Some(usr(1)), viewer: Some(usr(2)), ..all.clone() }).await, []);
    assert_eq!(people(PersonQuery { viewer: Some(usr(9)), ..all.clone() }).await, [], "nobody");

    let renamed = Person { card: card("Yann", "Lee"), ..next(&ann) };
    let purged = Person { card: Card::default(), state: PersonState::Purged { at: NOW }, ..next(&gone) };
    db.put([renamed, purged].map(put_person)).await;
    assert_eq!((find("zo", None, false).await, find("yan", None, false).await), (vec![per(2)], vec![per(1)]));
    assert_eq!(find("zo", None, true).await, []);
    assert_eq!(db.store.check().await.unwrap(), Vec::<String>::new());
}

pub(crate) async fn words_that_many_have_find_them_all(db: Db) {
    const ALL: u64 = 1700;
    let db = db.with_account().await;
    db.put([Change::PutUser(user(2))]).await;
    // Every second one is of user 2, every seventh in the trash, and one in a hundred has another name besides.
    let one = |n: u64| {
        let mut one = person(n, 1 + n % 2, card("Ann", &format!("Lee{n}")));
        one.card.middle = n.is_multiple_of(100).then(|| "Rare".to_owned());
        if n.is_multiple_of(7) {
            one.state = PersonState::Trashed { at: NOW, by: None };
        }
        one
    };
    let all: Vec<_> = (1..=ALL).map(one).collect();
    for some in all.chunks(500) {
        db.put(some.iter().cloned().map(put_person)).await;
    }
    for text in ["ann", "lee", "a l", "ann rare", "rare", "lee17", "ann ann lee99"] {
        for viewer in [None, Some(usr(1))] {
            for trashed in [false, true] {
                let words: Vec<&str> = text.split(' ').collect();
                let has = |n: u64, word: &str| {
                    let name = format!("lee{n}");
                    "ann".starts_with(word) || name.starts_with(word) || (n.is_multiple_of(100) && word == "rare")
                };
                let expected = all.iter().zip(1..).filter(|(_, n)| {
                    let (n, mine): (u64, bool) = (*n, viewer.is_none() || n % 2 == 0);
                    mine && n.is_multiple_of(7) == trashed && words.iter().all(|word| has(n, word))
                });
                let expected: Vec<PersonId> = expected.map(|(person, _)| person.id).collect();
                let text = Some(text.to_owned());
                let mut query = PersonQuery { viewer, text, trashed, limit: 90, ..PersonQuery::default() };
                let mut found = Vec::new();
                loop {
                    let page = db.store.people(&query).await.unwrap();
                    query.after = page.last().map(|last| last.id);
                    found.extend(page.iter().map(|person| person.id));
                    if page.len() < query.limit {
                        break;
                    }
                }
                assert_eq!(found, expected, "{query:?}");
            }
        }
    }
}

fn trashed(n: u64, link: Option<u64>) -> Effect {
    Effect::Person { person: per(n), link: link.map(lnk), change: PersonChange::Trashed }
}

fn remote(n: u64, change: RemoteChange) -> Effect {
    Effect::Remote { link: lnk(n), account: acc(1), person: per(n), remote: Some(rec("/a")), change }
}

fn deleted(n: u64) -> Effect {
    remote(n, RemoteChange::Deleted { card: Card::default(), raw: None })
}

pub(crate) async fn runs_operations_and_history(db: Db) {
    let db = db.with_account().await;
    let run = |n: u64, account: u64| Run {
        id: id::<RunId>(n),
        account: acc(account),
        started: NOW,
        ended: None,
        trigger: "refresh".into(),
        tally: Tally::default(),
        error: None,
    };
    db.put([1, 2, 3].map(|n| Change::PutRun(Box::new(run(n, 1 + n % 2))))).await;
    assert_eq!(db.store.runs(None, None, 9).await.unwrap(), [run(3, 2), run(2, 1), run(1, 2)]);
    assert_eq!(db.store.runs(None, None, 1).await.unwrap(), [run(3, 2)]);
    assert_eq!(db.store.runs(Some(acc(2)), Some(id(3)), 9).await.unwrap(), [run(1, 2)]);

    let note = |text: &str| Effect::Person {
        person: per(1),
        link: None,
        change: PersonChange::Custom { name: text.into(), value: Diff::new(None, Some("x".into())) },
    };
    db.log(1, 0, vec![trashed(2, None), note("a"), trashed(3, None), note("b")]).await;
    db.log(2, 0, vec![note("c")]).await;
    db.log(3, 0, Vec::new()).await;
    let mut by_hand = commit([]);
    by_hand.operation = Some(contactd::sync::operation::Operation {
        actor: Actor::User(usr(1)),
        ..operation(4, 0, vec![note("d"), trashed(2, None)])
    });
    db.store.commit(by_hand).await.unwrap();

    let all = db.store.operations(id(1), None, 9).await.unwrap();
    let first = operation(1, 0, vec![trashed(2, None), note("a"), trashed(3, None), note("b")]);
    assert_eq!(all, [first, operation(2, 0, vec![note("c")])], "as they were; those without effects are not kept");
    assert_eq!(db.store.operations(id(1), Some(id::<OpId>(1)), 9).await.unwrap(), all[1..]);
    assert_eq!(db.store.operations(id(1), None, 1).await.unwrap(), all[..1]);
    let history = db.store.history(per(1), 9).await.unwrap();
    let effects: Vec<_> = history.iter().map(|operation| operation.effects.clone()).collect();
    assert_eq!(effects, [vec![note("d")], vec![note("c")], vec![note("a"), note("b")]], "its own effects alone");
    assert_eq!(history[0].actor, Actor::User(usr(1)));
    assert_eq!(db.store.history(per(1), 1).await.unwrap().len(), 1);
    assert_eq!(db.store.history(per(9), 1).await.unwrap(), []);
    assert_eq!(db.store.check().await.unwrap(), Vec::<String>::new());
}

pub(crate) async fn counts_and_guard(db: Db) {
    const HOUR: i64 = 3_600_000;
    let db = db.with_account().await;
    db.put([put(account(2, 1)), put_book(2)]).await;
    for n in 1..=6 {
        db.put([put_person(person(n, 1, card("Ann", "Lee"))), put_link(link(n, 1, n, Some(&format!("/{n}"))))]).await;
    }
    db.put([observe(
        1,
        [present("/1"), present("/2"), Seen::Unreadable(remote_record("/3", Card::default()).at, "?".into())],
    )])
    .await;
    let created = |n: u64| Effect::Person {
        person: per(n),
        link: Some(lnk(n)),
        change: PersonChange::Created(card("Ann", "Lee")),
    };
    let edited = |n: u64| Effect::Person { person: per(n), link: None, change: PersonChange::Edited(Vec::new()) };
    let link_effect =
        Effect::Link { link: lnk(1), account: acc(1), person: per(1), state: Diff::new(None, Some(LinkState::Live)) };
    let op = operation(1, -HOUR, vec![created(1), edited(1), created(2), edited(3), link_effect]);
    let local = Counts { added: 2, updated: 1, deleted: 0 };
    assert_eq!(counts(&op)[&acc(1)], Recent { local, ..Recent::default() }, "each person once");
    db.log(1, -HOUR, op.effects).await;
    let joined = |n: u64| remote(n, RemoteChange::Joined("g".into()));
    let made = |n: u64| remote(n, RemoteChange::Created(Card::default()));
    db.log(2, -25 * HOUR, vec![joined(1), made(1), joined(2), deleted(4), trashed(5, Some(5))]).await;
    db.log(3, -8 * 24 * HOUR, vec![deleted(4)]).await;
    db.log(4, -31 * 24 * HOUR, vec![deleted(4)]).await;
    db.put([Change::PutDuplicates(acc(1), rec("/1"), vec![per(1), per(2)])]).await;
    db.put([Change::PutDuplicates(acc(1), rec("/2"), vec![per(1)]), Change::PutDuplicates(acc(1), rec("/2"), vec![])])
        .await;
    assert_eq!(db.store.duplicates(acc(1)).await.unwrap(), [(rec("/1"), vec![per(1), per(2)])]);
    let reason = "no".to_owned();
    db.put([Change::Fail { account: acc(1), key: SubjectKey::Record(rec("/3")), reason, retry_at: NOW }]).await;
    let held = |n: u64, deletion| HeldDeletion {
        id: id::<HeldId>(n),
        link: lnk(n),
        account: acc(1),
        person: per(n),
        deletion,
        revision: Revision(1),
        etag: None,
        at: NOW,
        why: "guard".into(),
        answer: None,
    };
    let hold = |n: u64, deletion| Change::PutHeld(Box::new(held(n, deletion)));
    db.put([hold(1, Deletion::Local), hold(2, Deletion::Remote), hold(3, Deletion::Local)]).await;
    db.put([Change::AnswerHeld(id(1), Answer::Confirmed), Change::AnswerHeld(id(2), Answer::Confirmed)]).await;

    let counted = db.store.counted(Some(acc(1)), NOW).await.unwrap();
    assert_eq!((counted.in_sync, counted.held, counted.failures, counted.duplicates), (2, 1, 1, 1));
    let recent = |local: [u64; 3], remote: [u64; 3]| {
        let counts = |[added, updated, deleted]: [u64; 3]| Counts { added, updated, deleted };
        Recent { local: counts(local), remote: counts(remote) }
    };
    let expected = [recent([2, 1, 0], [0, 0, 0]), recent([2, 1, 1], [1, 1, 1]), recent([2, 1, 1], [1, 1, 2])];
    assert_eq!(counted.recent, expected);
    assert_eq!(db.store.counted(None, NOW).await.unwrap(), counted);
    assert_eq!(db.store.counted(Some(acc(2)), NOW).await.unwrap(), contactd::store::Counted::default());

    // Added up by the hour, and with what comes late, it is the same.
    db.store.add_up(NOW).await.unwrap();
    assert_eq!(db.store.counted(None, NOW).await.unwrap(), counted);
    assert_eq!(db.store.counted_each(&[acc(1), acc(2)], NOW).await.unwrap(), [(acc(1), counted)].into());
    db.log(10, -5 * HOUR, vec![made(9)]).await;
    db.log(11, -25 * HOUR, vec![made(9)]).await;
    let counted = db.store.counted(Some(acc(1)), NOW).await.unwrap();
    assert_eq!((counted.recent[0].remote.added, counted.recent[1].remote.added), (1, 3));
    assert_eq!(db.store.counted(None, NOW).await.unwrap(), counted);
    for (minutes, added) in [(0, [1, 3, 3]), (19 * 60, [0, 3, 3]), (19 * 60 - 1, [1, 3, 3])] {
        let later = NOW.plus(minutes * 60_000);
        db.store.add_up(later).await.unwrap();
        let one = db.store.counted(Some(acc(1)), later).await.unwrap();
        assert_eq!(one.recent.map(|recent| recent.remote.added), added, "{minutes}");
        assert_eq!(db.store.counted(None, later).await.unwrap(), one, "{minutes}");
        assert_eq!(db.store.counted_each(&[acc(1)], later).await.unwrap(), [(acc(1), one)].into(), "{minutes}");
    }

    let guard = |hours: i64| db.store.guard_facts(acc(1), NOW.plus(-hours * HOUR));
    assert_eq!(guard(24).await.unwrap(), GuardFacts { live: 6, local: 0, remote: 0 });
    assert_eq!(guard(26).await.unwrap(), GuardFacts { live: 8, local: 1, remote: 1 });
    // Confirmed ones: dropped in the same commit, dropped later, and one whose link's other side was confirmed.
    let mut confirmed = commit([Change::DropHeld(id(1))]);
    confirmed.operation = Some(operation(5, 0, vec![trashed(1, Some(1)), deleted(2), deleted(3)]));
    db.store.commit(confirmed).await.unwrap();
    assert_eq!(guard(24).await.unwrap(), GuardFacts { live: 7, local: 0, remote: 1 });
    db.put([Change::DropHeld(id(2))]).await;
    db.log(6, 0, vec![deleted(2)]).await;
    assert_eq!(guard(24).await.unwrap(), GuardFacts { live: 8, local: 0, remote: 2 }, "nobody confirms it twice");
    let mut at_once = commit([Change::AnswerHeld(id(3), Answer::Confirmed), Change::DropHeld(id(3))]);
    at_once.operation = Some(operation(7, 0, vec![trashed(3, Some(3))]));
    db.store.commit(at_once).await.unwrap();
    assert_eq!(guard(24).await.unwrap(), GuardFacts { live: 8, local: 0, remote: 2 });
    assert_eq!(db.store.check().await.unwrap(), Vec::<String>::new());
}

pub(crate) async fn the_check_finds_what_does_not_agree(db: Db) {
    // Damage can't be done through the store: a database of its own, to which a statement is put by hand.
    let damages = [
        ("UPDATE persons SET owner = 'x'", "its columns differ"),
        ("DELETE FROM words WHERE word = 'ann'", "a word is missing"),
        ("INSERT INTO words (word, person) VALUES ('y', 'x')", "words of a person that is not there"),
        ("UPDATE person_keys SET hash = hash + 1", "a match key is missing"),
        ("DELETE FROM seen_keys", "a record's match keys differ"),
        ("UPDATE seen SET body_hash = 1", "a record's hash differs"),
        ("UPDATE dirty SET revision = 9", "a mark for a person"),
        ("UPDATE tallies SET n = 2", "its tallies differ"),
        ("DELETE FROM followers", "its followers differ"),
        ("INSERT INTO hours (hour, side, kind, n) VALUES (0, 'local', 'added', 1)", "an hour whose sum"),
        ("UPDATE in_sync SET people = 7", "people in sync that is not theirs"),
    ];
    for (damage, finding) in damages {
        let Db { store, driver, .. } = &db.another().await;
        let followed = Person { followers: vec![usr(2)], ..person(1, 1, card("Ann", "Lee")) };
        let mut sound =
            commit([Change::PutUser(user(1)), put(account(1, 1)), put_person(followed), observe(1, [present("/a")])]);
        sound.operation = Some(operation(1, 0, vec![trashed(1, None)]));
        store.commit(sound).await.unwrap();
        assert_eq!(store.check().await.unwrap(), Vec::<String>::new());
        driver.run(vec![Stmt::new(damage, Vec::new())]).await.unwrap();
        let found = store.check().await.unwrap();
        assert!(found.iter().any(|one| one.contains(finding)), "{damage}: {found:?}");
        assert!(found.iter().all(|one| !one.contains("Ann") && !one.contains("example.com")), "{found:?}");
    }
}

/// A company: few users and roles, so that they meet often.
fn company() -> impl Strategy<Value = (Directory, Vec<Person>)> {
    let role = (0_u64..5).prop_map(|n| (n > 0).then(|| id::<RoleId>(n)));
    let roles = proptest::collection::vec(role.clone(), 4);
    let bits = proptest::collection::vec(proptest::bool::weighted(0.3), 4);
    let one = (role, bits, proptest::collection::btree_set(1_u64..7, 0..3));
    let users = proptest::collection::vec(one, 5);
    let visible = proptest::sample::select(VisibleTo::ALL.to_vec());
    let item = (1_u64..7, visible, proptest::collection::vec(1_u64..7, 0..3));
    (roles, users, proptest::collection::vec(item, 8), 0_usize..5).prop_map(|(roles, users, items, missing)| {
        let mut directory = Directory::default();
        for (n, parent) in (1_u64..).zip(roles) {
            // One role is not there, though users and roles may name it; and roles may stand above themselves.
            if n as usize != missing {
                directory.roles.insert(id(n), Role { id: id(n), name: format!("Role {n}"), parent });
            }
        }
        for (n, (role, bits, follows)) in (1_u64..).zip(users) {
            let follows = follows.into_iter().map(usr).collect();
            let [admin, restricted, sees_followed_users, inactive] = bits[..] else { unreachable!() };
            let admin = admin && n % 2 == 0;
            let user = User { role, admin, restricted, sees_followed_users, follows, active: !inactive, ..user(n) };
            directory.users.insert(user.id, user);
        }
        let person = |(n, (owner, visible_to, followers)): (u64, (u64, VisibleTo, Vec<u64>))| {
            let followers = followers.into_iter().map(usr).collect();
            Person { visible_to, followers, ..person(n, owner, card("Ann", "Lee")) }
        };
        (directory, (1_u64..).zip(items).map(person).collect())
    })
}

pub(crate) async fn access_in_sql_is_the_policy(db: Db) {
    let handle = tokio::runtime::Handle::current();
    let work = move || {
        let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(64));
        let rounds = std::cell::Cell::new(0_u64);
        let agreed = runner.run(&company(), |(directory, people)| {
            rounds.set(rounds.get() + 1);
            handle.block_on(agree(&db, rounds.get(), &directory, &people))
        });
        agreed.unwrap();
    };
    tokio::task::spawn_blocking(work).await.unwrap();
}

/// Each round puts its people beside those of earlier rounds, and its directory in the place of the earlier one.
async fn agree(db: &Db, round: u64, directory: &Directory, people: &[Person]) -> Result<(), TestCaseError> {
    let people: Vec<Person> =
        people.iter().map(|one| Person { id: id((round << 8) | one.id.0.as_u128() as u64), ..one.clone() }).collect();
    let mut changes: Vec<Change> = directory.roles.values().cloned().map(Change::PutRole).collect();
    // A role can't be taken away again: one that is not there is one that has no parent and is nobody's place.
    let missing = (1..5).map(id::<RoleId>).filter(|role| !directory.roles.contains_key(role));
    changes.extend(missing.map(|id| Change::PutRole(Role { id, name: String::new(), parent: None })));
    changes.extend(directory.users.values().cloned().map(Change::PutUser));
    changes.extend(people.iter().cloned().map(put_person));
    changes.extend((1..8).filter(|_| round == 1).map(|n| put(account(n, n))));
    db.put(changes).await;
    let from: PersonId = id(round << 8);
    for n in 1..8 {
        // What a run of the user's account is told of the people.
        let keys: Vec<_> = people.iter().map(|one| SubjectKey::Person(one.id)).collect();
        let facts = db.store.subjects(acc(n), &keys).await.unwrap();
        let access: Vec<bool> = facts.iter().map(|subject| subject.person.as_ref().unwrap().access).collect();
        let expected: Vec<bool> = people.iter().map(|one| decide(usr(n), item(one), directory).allows()).collect();
        prop_assert_eq!(access, expected, "account of user {}", n);
    }
    for viewer in (1..8).map(usr) {
        let query = PersonQuery { viewer: Some(viewer), after: Some(from), limit: 1000, ..PersonQuery::default() };
        let seen: Vec<PersonId> = db.store.people(&query).await.unwrap().iter().map(|one| one.id).collect();
        let may = |one: &&Person| decide(viewer, item(one), directory).allows();
        let expected: Vec<PersonId> = people.iter().filter(may).map(|one| one.id).collect();
        prop_assert_eq!(&seen, &expected, "user {}", viewer);
        // The same by a word that all have: once enough have it, by the places where the user may find somebody.
        let (mut found, mut after) = (Vec::new(), from);
        loop {
            let query = PersonQuery { text: Some("an".into()), after: Some(after), limit: 3, ..query.clone() };
            let page = db.store.people(&query).await.unwrap();
            found.extend(page.iter().map(|one| one.id));
            match page.last() {
                Some(last) if page.len() == 3 => after = last.id,
                _ => break,
            }
        }
        prop_assert_eq!(&found, &expected, "user {}", viewer);
        for owner in (1..4).map(usr) {
            let query = PersonQuery { text: Some("an".into()), owner: Some(owner), ..query.clone() };
            let found: Vec<PersonId> = db.store.people(&query).await.unwrap().iter().map(|one| one.id).collect();
            let owned = |one: &&Person| one.owner == owner && expected.contains(&one.id);
            let expected: Vec<PersonId> = people.iter().filter(owned).map(|one| one.id).collect();
            prop_assert_eq!(found, expected, "of {} for {}", owner, viewer);
        }
        for one in people.iter().take(3) {
            let mut asked = commit([]);
            asked.expect.push(Expect::Access(viewer, one.id));
            prop_assert_eq!(db.store.commit(asked).await.is_ok(), seen.contains(&one.id));
        }
    }
    Ok(())
}

fn item(person: &Person) -> access::Item<'_> {
    access::Item { owner: person.owner, visible_to: person.visible_to, followers: &person.followers }
}
