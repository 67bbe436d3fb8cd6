//! What the live suite of another client library asserts against real iCloud (`icloud-carddav.md` 8), asserted here.

mod common;

use common::{Lab, card, query};

#[tokio::test]
async fn a_card_goes_through_its_life() {
    let lab = Lab::icloud().await;
    let name = "card-4711.vcf";
    // Depth 0 yields a sync token.
    let before = lab.current_token().await;
    assert!(!before.is_empty() && !before.contains("://"));

    // A non-UUID UID and only VERSION, UID, FN, N and EMAIL.
    let created = lab.create(name, &card("test-4711", "Live Suite")).await;
    assert_eq!((created.status, created.body.as_str()), (201, ""));

    let filter = |uid: &str| {
        let text = format!("<C:text-match match-type=\"equals\">{uid}</C:text-match>");
        query(&format!("<C:filter><C:prop-filter name=\"UID\">{text}</C:prop-filter></C:filter>"))
    };
    lab.device.add(card("other", "Somebody Else"));
    let found = lab.report(filter("test-4711")).await.rows();
    assert_eq!(found.iter().map(|row| row.name()).collect::<Vec<_>>(), [name]);
    assert!(found[0].card().contains("FN:Live Suite\r\n"));

    assert!(lab.listing().await.by_name().contains_key(name));
    let path = lab.device.book_path() + name;
    assert!(lab.multiget([path.as_str()]).await.rows()[0].card().contains("UID:test-4711\r\n"));
    let delta = lab.sync(&before).await;
    assert_eq!(delta.by_name()[name].status, None);

    // An unknown token is refused, never an empty delta.
    let refused = lab.sync("no-such-token").await;
    assert_eq!(refused.status, 403);
    assert!(refused.body.contains("valid-sync-token"));

    let got = lab.get(name).await;
    let etag = got.header("etag").to_owned();
    assert!(etag.starts_with('"') && etag.len() > 6);
    let updated = lab.put(name, &[("if-match", &etag)], &card("test-4711", "Live Two")).await;
    assert_eq!(updated.status, 204);
    let stale = lab.put(name, &[("if-match", &etag)], &card("test-4711", "Live Three")).await;
    assert_eq!(stale.status, 412);
    assert!(lab.get(name).await.body.contains("FN:Live Two\r\n"));

    let between = lab.sync(&delta.token()).await;
    assert_eq!(lab.delete(name, &[]).await.status, 204);
    let last = lab.sync(&between.token()).await;
    assert_eq!(last.by_name()[name].status, Some(404));
}
