//! PostgreSQL over TLS: the server is the one that was named, or there is no connection; and what `doctor` says of each.
//!
//! `tests/e2e/suite_postgres.sh` makes two authorities with openssl, of which one has signed the server's certificate, for
//! the address 127.0.0.1 alone, and names their folder in `CONTACTD_TEST_POSTGRES_CA`.

use std::path::PathBuf;

use contactd::daemon::doctor;
use contactd::store::driver::{Driver, Stmt};
use contactd::store::postgres::{Postgres, PostgresSettings, Purpose};
use contactd::store::sql::SqlStore;

use crate::postgres_of_ones_own::{Schema, url};

fn authority(name: &str) -> String {
    let folder = std::env::var("CONTACTD_TEST_POSTGRES_CA").unwrap_or_else(|_| panic!("run by tests/e2e/run postgres"));
    PathBuf::from(folder).join(name).display().to_string()
}

/// The store's URL with another host, user and query.
fn url_of(host: &str, user: &str, query: &str) -> String {
    let mut url: url::Url = url().parse().unwrap();
    url.set_host(Some(host)).unwrap();
    url.set_username(user).unwrap();
    url.set_query(Some(query));
    url.to_string()
}

async fn open(url: &str) -> Result<Postgres, String> {
    let settings: PostgresSettings = url.parse().unwrap();
    Postgres::open(&settings, 1, Purpose::Share).await.map_err(|error| error.to_string())
}

/// What `doctor` says of the store at that URL: whether it is well, and in which words.
fn doctor_says(url: &str) -> (bool, String) {
    let dir = tempfile::tempdir().unwrap();
    let (file, key, socket) =
        (dir.path().join("contactd.toml"), dir.path().join("key"), dir.path().join("control.sock"));
    let text = format!("[store]\nurl = {url:?}\n[secrets]\nkey_file = {key:?}\n[control]\nsocket = {socket:?}\n");
    std::fs::write(&file, text).unwrap();
    let (check, config) = doctor::configuration(Some(&file));
    assert!(check.ok, "{}", check.says);
    let checks = doctor::from_here(&config.unwrap(), false);
    let store = checks.into_iter().find(|check| check.name == "store").unwrap();
    (store.ok, store.says)
}

#[tokio::test]
#[ignore = "needs a PostgreSQL without TLS: tests/e2e/run postgres"]
async fn off_a_server_without_it_is_refused() {
    for query in ["sslmode=require", "sslmode=verify-full"] {
        let said = open(&url_of("127.0.0.1", "contactd", query)).await.unwrap_err();
        assert!(said.contains("does not support TLS"), "{said}");
    }
    let (ok, says) = doctor_says(&url_of("127.0.0.1", "contactd", "sslmode=require"));
    assert!(!ok && says.contains("set `ssl = on`"), "{says}");
    // Nothing is in it, then a store, and then it is another one.
    let schema = Schema::new().await;
    let (ok, says) = doctor_says(&schema.url());
    assert!(ok && says.contains("made at the first start"), "{says}");
    SqlStore::open(schema.open().await).await.unwrap();
    let (ok, says) = doctor_says(&schema.url());
    assert!(ok && says.contains("has the store"), "{says}");
    let (ok, says) = doctor_says(&url_of("127.0.0.1", "nobody", ""));
    assert!(!ok && says.contains("pg_hba.conf"), "{says}");
    let mut nowhere: url::Url = url().parse().unwrap();
    nowhere.set_path("/nowhere");
    let (ok, says) = doctor_says(nowhere.as_str());
    assert!(!ok && says.contains("create the database first"), "{says}");
    nowhere.set_port(Some(1)).unwrap();
    nowhere.set_password(Some("geheim")).unwrap();
    let (ok, says) = doctor_says(nowhere.as_str());
    assert!(!ok && says.contains("look whether it runs") && !says.contains("geheim"), "{says}");
}

#[tokio::test]
#[ignore = "needs a PostgreSQL with TLS: tests/e2e/run postgres"]
async fn on_the_server_is_the_one_that_was_named_or_none() {
    let with = |ca: &str| format!("sslmode=require&sslrootcert={}", authority(ca));
    for query in [with("ca.pem"), format!("sslrootcert={}", authority("ca.pem"))] {
        let database = open(&url_of("127.0.0.1", "sealed", &query)).await.unwrap();
        let sql = "SELECT s.ssl FROM pg_stat_ssl s WHERE s.pid = pg_backend_pid()";
        let rows = database.run(vec![Stmt::new(sql, Vec::new())]).await.unwrap();
        assert!(rows[0].first().unwrap().bool().unwrap(), "it is encrypted");
    }
    for (what, url) in [
        ("another authority", url_of("127.0.0.1", "sealed", &with("other.pem"))),
        ("no authority of ours", url_of("127.0.0.1", "sealed", "sslmode=require")),
        ("another name", url_of("localhost", "sealed", &with("ca.pem"))),
    ] {
        let said = open(&url).await.unwrap_err();
        assert!(said.contains("certificate"), "{what}: {said}");
        let (ok, says) = doctor_says(&url);
        assert!(!ok && says.contains("sslrootcert=") && says.contains("as its certificate does"), "{what}: {says}");
    }
    // A server that wants it has the last word about who comes without.
    let said = open(&url_of("127.0.0.1", "sealed", "sslmode=disable")).await.unwrap_err();
    assert!(said.contains("pg_hba.conf"), "{said}");
    let (ok, says) = doctor_says(&url_of("127.0.0.1", "sealed", &with("ca.pem")));
    assert!(ok, "{says}");
}
