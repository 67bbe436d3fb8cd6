//! What people do by hand, as the store keeps it: moved intents, dismissed pairs, and content that goes for good.

use std::collections::BTreeMap;

use contactd::card::field::Field;
use contactd::card::photo::Blob;
use contactd::card::{Card, Photo};
use contactd::crm::person::{Person, PersonState};
use contactd::ids::{ConflictId, OpId, Revision};
use contactd::store::{Change, Conflict, StoreError};
use contactd::sync::operation::{self as log, Effect, Operation, PersonChange, RemoteChange};
use contactd::sync::plan::{About, Clash, Side};
use contactd::sync::view::{Base, Seen, Send};

use crate::fixture::*;

fn created(n: u64, card: Card) -> Effect {
    Effect::Person { person: per(n), link: None, change: PersonChange::Created(card) }
}

pub(crate) async fn an_open_intent_follows_its_link(db: Db) {
    let db = db.with_account().await;
    let open = intent(1, &link(1, 1, 1, None), Send::Create, 5);
    db.put([
        put_person(person(1, 1, card("Ann", "Lee"))),
        put_person(person(2, 1, card("Bob", "Lee"))),
        put_link(link(1, 1, 1, None)),
        Change::OpenIntent(Box::new(open.clone())),
    ])
    .await;
    let mut moved = open.clone();
    moved.person = per(2);
    db.put([put_link(link(1, 1, 2, None)), Change::MoveIntent(Box::new(moved))]).await;
    let stored = db.store.intents(acc(1)).await.unwrap().remove(0);
    assert_eq!((stored.person, stored.revision), (per(2), Revision(0)), "no revision of its new person was sent");
    assert!(db.subject(person_key(2)).await.blocked && !db.subject(person_key(1)).await.blocked);
    assert_eq!(db.store.check().await.unwrap(), [""; 0]);
    db.put([Change::CloseIntent(open.id)]).await;
    let gone = db.try_put([Change::MoveIntent(Box::new(open))]).await;
    assert!(matches!(gone, Err(StoreError::Stale(_))));
}

pub(crate) async fn dismissed_pairs_are_no_candidates(db: Db) {
    let db = db.with_account().await;
    let twin = card("Ann", "Lee");
    db.put([
        put_person(person(1, 1, twin.clone())),
        put_person(person(2, 1, twin.clone())),
        observe(1, [Seen::Present(remote_record("/1", twin))]),
    ])
    .await;
    let people = async || -> Vec<_> {
        db.store.candidates(acc(1), 3).await.unwrap().into_iter().map(|c| (c.remote, c.person)).collect()
    };
    assert_eq!(people().await, [(rec("/1"), per(1)), (rec("/1"), per(2))]);
    db.put([Change::Dismiss(acc(1), rec("/1"), vec![per(1)])]).await;
    db.put([Change::Dismiss(acc(1), rec("/1"), vec![per(1)])]).await;
    assert_eq!(people().await, [(rec("/1"), per(2))]);
}

pub(crate) async fn operations_are_found_by_id_and_since_a_time(db: Db) {
    let db = db.with_account().await;
    db.put([put_person(person(1, 1, card("Ann", "Lee")))]).await;
    let of = |millis: u64| OpId(uuid::Uuid::from_u128(u128::from(millis) << 80 | 7));
    for at in [1_000, 2_000, 3_000] {
        let mut one = commit([]);
        let effects = vec![created(1, card("Ann", "Lee"))];
        one.operation = Some(Operation { id: of(at), ..operation(1, 0, effects) });
        db.store.commit(one).await.unwrap();
    }
    let since = async |at: i64, after| -> Vec<OpId> {
        let found = db.store.operations_since(contactd::ids::Timestamp(at), after, 10).await.unwrap();
        found.into_iter().map(|operation| operation.id).collect()
    };
    assert_eq!(since(0, None).await, [of(1_000), of(2_000), of(3_000)]);
    assert_eq!(since(1_500, None).await, [of(2_000), of(3_000)]);
    assert_eq!(since(1_500, Some(of(2_000))).await, [of(3_000)]);
    assert_eq!(db.store.operation(of(2_000)).await.unwrap().unwrap().effects.len(), 1);
    assert_eq!(db.store.operation(of(4_000)).await.unwrap(), None);
}

pub(crate) async fn scrubbed_content_is_gone_and_that_it_was_stays(db: Db) {
    let db = db.with_account().await;
    let (ann, bob) = (person(1, 1, card("Ann", "Lee")), person(2, 1, card("Bob", "Lee")));
    let clash = Clash {
        about: About::Field(Field::Given),
        ours: card("Ann", "Lee").get(Field::Given),
        theirs: card("Anna", "Lee").get(Field::Given),
        stands: Side::Undecided,
        ours_at: None,
        theirs_at: None,
    };
    let conflict = Conflict {
        id: id::<ConflictId>(1),
        link: lnk(1),
        account: acc(1),
        person: per(1),
        at: NOW,
        clash,
        resolved: false,
    };
    db.put([
        put_person(ann.clone()),
        put_person(bob),
        put_link(link(1, 1, 1, Some("/1"))),
        Change::PutConflict(Box::new(conflict.clone())),
    ])
    .await;
    let edited = PersonChange::Edited(log::diff(&card("Ann", "Lee"), &card("Anna", "Lee")));
    let deleted = RemoteChange::Deleted { card: card("Ann", "Lee"), raw: Some("QW5u".into()) };
    let remote = Some(rec("/1"));
    db.log(
        1,
        0,
        vec![
            created(1, card("Ann", "Lee")),
            created(2, card("Bob", "Lee")),
            Effect::Person { person: per(1), link: None, change: edited },
            Effect::Remote { link: lnk(1), account: acc(1), person: per(1), remote, change: deleted },
        ],
    )
    .await;
    assert_eq!(db.store.conflict(conflict.id).await.unwrap(), Some(conflict.clone()));
    let counted = db.store.counted(None, NOW).await.unwrap();
    let state = PersonState::Purged { at: NOW };
    let purged = Person { state, card: Card::default(), times: BTreeMap::new(), ..next(&ann) };
    db.put([Change::Scrub(per(1)), put_person(purged)]).await;

    let history = db.store.history(per(1), 10).await.unwrap();
    let said = format!("{history:?}");
    assert_eq!(history[0].effects.len(), 3, "what was done is known");
    assert!(!said.contains("Ann") && !said.contains("QW5u") && said.contains("given"), "{said}");
    assert!(format!("{:?}", db.store.history(per(2), 10).await.unwrap()).contains("Bob"), "others keep theirs");
    let base = db.store.link(lnk(1)).await.unwrap().unwrap().base;
    assert_eq!((base.ours, base.theirs, base.mapped), (Card::default(), Card::default(), Base::default().mapped));
    assert_eq!(db.store.conflict(conflict.id).await.unwrap(), None);
    let now = db.store.counted(None, NOW).await.unwrap();
    assert_eq!((now.recent, now.conflicts), (counted.recent, 0));
    assert_eq!(db.store.check().await.unwrap(), [""; 0]);
    db.store.wipe().await.unwrap();
}

pub(crate) async fn a_picture_goes_when_nobody_has_it_any_more(db: Db) {
    let db = db.with_account().await;
    let blob = |hash: &str| Blob { hash: hash.into(), media_type: "image/jpeg".into(), bytes: vec![1, 2].into() };
    let with = |hash: &str| {
        let photo = Some(Photo { hash: hash.into(), media_type: "image/jpeg".into() });
        Card { photo, ..card("Ann", "Lee") }
    };
    let mut linked = link(1, 1, 1, Some("/1"));
    linked.base.theirs = with("in-base");
    db.put([
        put_person(person(1, 1, with("of-person"))),
        put_link(linked),
        observe(1, [Seen::Present(remote_record("/1", with("url:seen")))]),
        Change::PutPhotoAlias { address: "url:seen".into(), hash: "by-address".into() },
        Change::PutPhotoAlias { address: "url:old".into(), hash: "nobodys".into() },
    ])
    .await;
    let all = ["of-person", "in-base", "by-address", "nobodys"];
    db.put(all.map(|hash| Change::PutBlob(blob(hash)))).await;
    db.put(all.map(|hash| Change::DropBlob(hash.into()))).await;
    for hash in all {
        let kept = db.store.blob(hash).await.unwrap().is_some();
        assert_eq!(kept, hash != "nobodys", "{hash}");
    }
    assert_eq!(db.store.check().await.unwrap(), [""; 0]);
    let known = db.store.photo_aliases(&["url:seen".into(), "url:old".into()]).await.unwrap();
    assert_eq!(known.into_keys().collect::<Vec<_>>(), ["url:seen"]);
}
