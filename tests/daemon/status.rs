//! The dashboard of a company with more accounts than stand on a page.

use contactd::ids::{AccountId, Revision, Timestamp};
use contactd::store::sql::SqlStore;
use contactd::store::sqlite::Sqlite;
use contactd::store::{AccountState, Commit, Store};

use crate::ICLOUD;
use crate::app::{TestApp, card};

/// `n` more accounts, as the store has them after a migration: those of Ann's first one, paused.
async fn more_accounts(app: &TestApp, n: u128) {
    let store = SqlStore::open(Sqlite::open(&app.path("contactd.db")).unwrap()).await.unwrap();
    let first = store.accounts().await.unwrap().remove(0);
    let mut commit = Commit::new(None, Timestamp(first.created.0 + 1));
    for n in 0..n {
        let mut account = first.clone();
        account.id = AccountId::from(uuid::Uuid::from_u128(first.id.0.as_u128() + 1 + n));
        (account.subject, account.address) = (format!("ann{n}@example.com"), format!("ann{n}@example.com"));
        account.state = AccountState::Paused { reason: "paused".to_owned() };
        account.revision = Revision(0);
        commit.put_account(account);
    }
    store.commit(commit).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn more_accounts_than_stand_on_a_page_are_all_told() {
    let mut app = TestApp::new().await;
    app.device(ICLOUD).add(card("u1", "Given1", "Example"));
    app.connect(ICLOUD, &[]);
    app.stop();
    more_accounts(&app, 104).await;
    app.start();
    let status = app.cli(&["status"]).json();
    let accounts = status["accounts"].as_array().unwrap();
    let addresses: std::collections::BTreeSet<&str> =
        accounts.iter().map(|one| one["account"]["address"].as_str().unwrap()).collect();
    assert_eq!((accounts.len(), addresses.len()), (105, 105), "each once");
    assert!(status["more_after"].is_null());
    assert_eq!((&status["all"]["in_sync"], &accounts[0]["counted"]["in_sync"]), (&1.into(), &1.into()));
    assert_eq!(accounts[104]["counted"]["in_sync"], 0);
    assert!(app.plain(&["status"]).out.contains("ann103@example.com"));
}
