//! The adapter against a real server, whose address comes from the environment: `CONTACTD_DAV_URL`, `CONTACTD_DAV_USER`,
//! `CONTACTD_DAV_PASSWORD`; `CONTACTD_DAV_OPEN` if it asks for no password. The account must have an empty address book that may be written to. Started by
//! `tests/e2e/suite_servers.sh`; a server that we did not write can't share our misreadings.

use contactd::card::field::Field;
use contactd::card::{Card, Item, PartialDate};
use contactd::ids::{CollectionId, GroupId, RemoteId, Timestamp};
use contactd::provider::carddav::Carddav;
use contactd::provider::carddav::settings::{CarddavSettings, GroupMode};
use contactd::provider::{Changes, Fetched, Found, From, Next, Outcome, Provider as _, Retry, Write, WriteKind};
use contactd::sync::view::{RemoteRecord, RemoteRef, Seen};

use super::lab::{adapter, token};

struct Real {
    dav: Carddav,
    book: CollectionId,
}

fn settings() -> (CarddavSettings, String) {
    let read = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
    let settings = CarddavSettings {
        url: read("CONTACTD_DAV_URL"),
        user: read("CONTACTD_DAV_USER"),
        plain_loopback: true,
        groups: Some(GroupMode::Cards),
        ..CarddavSettings::default()
    };
    (settings, read("CONTACTD_DAV_PASSWORD"))
}

impl Real {
    async fn all(&self) -> Changes {
        self.dav.changes(&self.book, From::Start).await.unwrap()
    }

    async fn since(&self, changes: &Changes) -> Changes {
        let Next::Done(cursor) = &changes.next else { panic!("{changes:?}") };
        self.dav.changes(&self.book, From::Cursor(cursor)).await.unwrap()
    }

    fn write(&self, n: u128, what: WriteKind, before: Option<RemoteRecord>) -> Write {
        Write { what, token: token(n), collection: self.book.clone(), before, photo: None, by: Timestamp(i64::MAX) }
    }

    async fn one(&self, write: Write) -> Outcome {
        self.dav.write(&[write]).await.remove(0)
    }

    async fn record(&self, id: &RemoteId) -> RemoteRecord {
        let at = RemoteRef { collection: self.book.clone(), id: id.clone(), etag: None };
        match self.dav.fetch(&[at]).await.unwrap().remove(0) {
            Fetched::There(Seen::Present(record), _) => record,
            other => panic!("{other:?}"),
        }
    }
}

fn person(n: u128) -> Card {
    Card {
        given: Some(format!("Zoë {n}")),
        family: Some("Müller; Sohn".into()),
        display: Some(format!("Zoë {n} Müller")),
        emails: vec![Item::<String>::new(format!("zoe{n}@example.com")).labelled("work").preferred()],
        phones: vec![Item::<String>::new("+44 20 7946 0958").labelled("mobile")],
        birthday: PartialDate::new(Some(1980), 4, 15),
        note: Some("one\ntwo, three; four\\five".into()),
        ..Card::default()
    }
}

#[tokio::test]
#[ignore = "needs a real server, see the head of this file"]
async fn a_real_server_agrees() {
    let (settings, password) = settings();
    let dav = adapter(&settings, &password);
    dav.check().await.unwrap();
    let book = dav.collections().await.unwrap().into_iter().find(|book| book.writable).unwrap().id;
    let real = Real { dav, book };
    if std::env::var_os("CONTACTD_DAV_OPEN").is_none() {
        let wrong = adapter(&settings, "wrong").check().await.unwrap_err();
        assert_eq!(wrong.retry, Retry::AfterHuman);
    }

    // Many creates, found again one by one and all together.
    let start = real.all().await;
    assert!(start.full && start.listed.is_empty(), "the address book must be empty: {start:?}");
    let create = |n| real.write(n, WriteKind::Create { card: person(n), groups: Default::default() }, None);
    let outcomes = real.dav.write(&(0..150).map(create).collect::<Vec<_>>()).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Landed(_))), "{outcomes:?}");
    assert!(matches!(real.one(create(3)).await, Outcome::Landed(_)));
    let found = real.dav.find(&real.book, &[token(0), token(9_999)]).await.unwrap();
    assert!(matches!(found[..], [Found::Records(..), Found::NotThere]), "{found:?}");
    let delta = real.since(&start).await;
    assert_eq!(delta.listed.len(), 150);
    let all = real.all().await;
    assert_eq!(all.listed.len(), 150);
    let refs: Vec<_> = all.listed.iter().map(|row| row.at.clone()).collect();
    let fetched = real.dav.fetch(&refs).await.unwrap();
    for (at, fetched) in refs.iter().zip(fetched) {
        let Fetched::There(Seen::Present(record), _) = fetched else { panic!("{fetched:?}") };
        assert_eq!((&record.at.etag, &record.at.id), (&at.etag, &at.id));
        let n = record.token.unwrap().0.as_u128() - token(0).0.as_u128();
        assert_eq!(record.body, person(n));
    }
    let quiet = real.since(&all).await;
    assert!(quiet.listed.is_empty() && quiet.seen.is_empty());

    // An update, guarded.
    let before = real.record(&refs[0].id).await;
    let card = Card { note: Some("changed".into()), ..before.body.clone() };
    let update = || WriteKind::Update { card: card.clone(), mask: [Field::Note].into_iter().collect() };
    assert!(matches!(real.one(real.write(0, update(), Some(before.clone()))).await, Outcome::Landed(_)));
    let after = real.record(&refs[0].id).await;
    assert_eq!(after.body, card);
    assert!(matches!(real.one(real.write(0, update(), Some(before.clone()))).await, Outcome::Stale));
    assert!(matches!(real.one(real.write(0, WriteKind::Delete, Some(before))).await, Outcome::Stale));
    let delta = real.since(&quiet).await;
    assert!(matches!(&delta.listed[..], [row] if row.at == after.at), "{delta:?}");

    // A delete.
    assert!(matches!(real.one(real.write(0, WriteKind::Delete, Some(after.clone()))).await, Outcome::Deleted));
    assert!(matches!(real.one(real.write(0, WriteKind::Delete, Some(after.clone()))).await, Outcome::Deleted));
    assert!(matches!(real.one(real.write(0, update(), Some(after.clone()))).await, Outcome::Missing | Outcome::Stale));
    let last = real.since(&delta).await;
    assert_eq!(last.seen, [Seen::Gone(after.at.id.clone())]);
    let gone = real.dav.fetch(&[after.at.clone(), refs[1].clone()]).await.unwrap();
    assert!(matches!(gone[..], [Fetched::Gone, Fetched::There(..)]), "{gone:?}");

    // A token that nobody gave out.
    let nonsense = r#"{"v":1,"token":"http://radicale.org/ns/sync/00","audit":99999999999999}"#;
    let now = nonsense.replace("99999999999999", &now().to_string());
    let error = real.dav.changes(&real.book, From::Cursor(&now.as_str().into())).await.unwrap_err();
    assert_eq!(error.retry, Retry::Relist, "{error}");

    // A group card made by another client, and members by one write.
    groups(&real, &settings, &refs[1].id).await;
}

/// A group as another client makes it; then members come and go.
async fn groups(real: &Real, settings: &CarddavSettings, member: &RemoteId) {
    let raw = "BEGIN:VCARD\r\nVERSION:3.0\r\nN:Board\r\nFN:Board\r\nX-ADDRESSBOOKSERVER-KIND:group\r\n\
        X-ADDRESSBOOKSERVER-MEMBER:urn:uuid:kontakt-12\r\nUID:board-1\r\nEND:VCARD\r\n";
    let url = url::Url::parse(&settings.url).unwrap().join(&format!("{}board-1.vcf", real.book)).unwrap();
    let password = std::env::var("CONTACTD_DAV_PASSWORD").unwrap();
    super::lab::put(&url, &settings.user, &password, raw).await;
    let shown = real.dav.groups().await.unwrap();
    assert_eq!((shown.len(), shown[0].name.as_str(), shown[0].size), (1, "Board", Some(1)));
    let group: GroupId = shown[0].id.clone();
    let before = real.record(member).await;
    let join =
        |what| vec![real.write(1, what, Some(before.clone())), real.write(2, WriteKind::Join(group.clone()), None)];
    let joined = real.dav.write(&join(WriteKind::Join(group.clone()))).await;
    assert!(joined.iter().all(|outcome| matches!(outcome, Outcome::Landed(_))), "{joined:?}");
    assert_eq!(real.dav.groups().await.unwrap()[0].size, Some(3));
    real.dav.write(&join(WriteKind::Leave(group.clone()))).await;
    assert_eq!(real.dav.groups().await.unwrap()[0].size, Some(2));
}

fn now() -> i64 {
    use contactd::clock::Clock as _;
    contactd::clock::System.now().0
}
