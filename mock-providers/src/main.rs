//! The program `mock-providers`: the mock servers for hand use, with made-up people in them, until Ctrl-C.
//!
//! Owns: arguments and what is printed. Must not: do anything that the library cannot.

#![allow(clippy::print_stdout, reason = "this is a program: it says where it listens")]

use std::io::Write as _;

use clap::{Parser, ValueEnum};
use mock_providers::carddav::settings::{Account, Clock, Ports, Rewrite};
use mock_providers::carddav::{Icloud, Settings};
use mock_providers::google::{self, Google};
use mock_providers::oauth::User;

/// A provider of contacts that is not real: iCloud over CardDAV or Google's People API, with everything they do differently.
///
/// Three origins listen on 127.0.0.1, over plain http. iCloud: the one that users type in, the partition that holds the data
/// and the host of the photos. Google: the People API, the authorization server and the host of the photos. Faults are
/// injected and users played under /_control/ on the first; GET it for a list.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Arguments {
    /// Which server to play
    #[arg(long, value_enum, default_value_t = Preset::Icloud)]
    preset: Preset,
    /// Port of the origin that users type in, or of the People API; 0 lets the system choose
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    port: u16,
    /// Port of the partition that holds the data, or of the authorization server
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    partition_port: u16,
    /// Port of the photos
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    photo_port: u16,
    /// An account as USER:PASSWORD:NUMBER, where the number stands in its paths; may be given several times. Google has no
    /// use for the password, and the number is the one in ID tokens
    #[arg(long = "account", value_name = "ACCOUNT", value_parser = account)]
    accounts: Vec<Account>,
    /// How many made-up cards each account starts with
    #[arg(long, default_value_t = 200)]
    cards: usize,
    /// What the made-up people depend on: the same seed, the same people
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Add the collection of broken cards too
    #[arg(long)]
    broken: bool,
    /// Keep the bytes of stored cards as they are sent, even at iCloud
    #[arg(long)]
    keep_bytes: bool,
    /// Print one line of JSON instead of text for people
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Preset {
    /// iCloud, as far as it is known
    Icloud,
    /// A CardDAV server of the common kind
    Generic,
    /// Google: OAuth 2.0 and the People API
    Google,
}

fn account(text: &str) -> Result<Account, String> {
    match text.split(':').collect::<Vec<_>>().as_slice() {
        [user, password, dsid] if !user.is_empty() && !dsid.is_empty() => Ok(Account::new(user, password, dsid)),
        _ => Err("an account is USER:PASSWORD:NUMBER".to_owned()),
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let arguments = Arguments::parse();
    let mut settings = match arguments.preset {
        Preset::Icloud => Settings::icloud(),
        Preset::Generic => Settings::generic(),
        Preset::Google => return google(&arguments).await,
    };
    settings.clock = Clock::System;
    settings.ports = Ports { entry: arguments.port, partition: arguments.partition_port, photo: arguments.photo_port };
    if !arguments.accounts.is_empty() {
        settings.accounts = arguments.accounts;
    }
    if arguments.keep_bytes {
        settings.rewrite = Rewrite { photo_urls: false, ..Settings::generic().rewrite };
    }
    let accounts = settings.accounts.clone();
    let icloud = Icloud::start(settings).await?;
    for (number, account) in accounts.iter().enumerate() {
        let device = icloud.device(&account.user).map_err(std::io::Error::other)?;
        device.seed(arguments.seed.wrapping_add(number as u64), arguments.cards);
        if arguments.broken {
            for (_, card) in mock_providers::people::broken(arguments.seed) {
                device.add(card);
            }
        }
    }
    let told = if arguments.json { in_json(&icloud, &accounts) } else { in_words(&icloud, &accounts) };
    serve(&told).await
}

/// Says where the mock listens, and waits for the end.
async fn serve(told: &str) -> std::io::Result<()> {
    println!("{told}");
    std::io::stdout().flush()?;
    tokio::signal::ctrl_c().await
}

/// Plays Google.
async fn google(arguments: &Arguments) -> std::io::Result<()> {
    let mut settings = google::Settings { clock: Clock::System, ..google::Settings::default() };
    settings.ports = google::settings::Ports {
        people: arguments.port,
        accounts: arguments.partition_port,
        photos: arguments.photo_port,
    };
    if !arguments.accounts.is_empty() {
        let user = |account: &Account| User::new(&account.user, &account.dsid, &account.user);
        settings.oauth.users = arguments.accounts.iter().map(user).collect();
    }
    let (users, clients) = (settings.oauth.users.clone(), settings.oauth.clients.clone());
    let google = Google::start(settings).await?;
    let mut accounts = Vec::new();
    for (number, user) in users.iter().enumerate() {
        let account = google.account(&user.email).map_err(std::io::Error::other)?;
        account.seed(arguments.seed.wrapping_add(number as u64), arguments.cards);
        let token = account.access_token(&["contacts"]);
        accounts.push(serde_json::json!({
            "user": user.email, "sub": user.sub, "contacts": account.len(), "access_token": token,
        }));
    }
    let endpoints = google.endpoints();
    if arguments.json {
        return serve(
            &serde_json::json!({
                "entry": google.url(), "photo": google.photo_url(), "control": google.url() + "/_control/",
                "endpoints": endpoints, "clients": clients, "accounts": accounts,
            })
            .to_string(),
        )
        .await;
    }
    let mut text = format!(
        "people     {}/v1/\nauthorize  {}\ntoken      {}\nphotos     {}/\nback door  {}/_control/\n",
        endpoints.people,
        endpoints.authorize,
        endpoints.token,
        google.photo_url(),
        google.url()
    );
    for client in &clients {
        text += &format!("\nclient     {}\nsecret     {}\n", client.id, client.secret.as_deref().unwrap_or("none"));
    }
    for account in &accounts {
        text += &format!(
            "\nuser       {}\ncontacts   {}\n",
            account["user"].as_str().unwrap_or_default(),
            account["contacts"]
        );
    }
    serve(&(text + "\nCtrl-C stops it.")).await
}

fn in_json(icloud: &Icloud, accounts: &[Account]) -> String {
    let account = |account: &Account| {
        let path = icloud.device(&account.user).map(|device| device.book_path()).unwrap_or_default();
        serde_json::json!({"user": account.user, "password": account.password, "dsid": account.dsid, "book": path})
    };
    serde_json::json!({
        "entry": icloud.url(), "partition": icloud.partition_url(), "photo": icloud.photo_url(),
        "control": icloud.url() + "/_control/", "accounts": accounts.iter().map(account).collect::<Vec<_>>(),
    })
    .to_string()
}

fn in_words(icloud: &Icloud, accounts: &[Account]) -> String {
    let mut text = format!(
        "entry      {}/\npartition  {}/\nphotos     {}/\nback door  {}/_control/\n",
        icloud.url(),
        icloud.partition_url(),
        icloud.photo_url(),
        icloud.url()
    );
    for account in accounts {
        let device = icloud.device(&account.user);
        let (path, cards) = device.map(|device| (device.book_path(), device.len())).unwrap_or_default();
        text += &format!(
            "\nuser       {}\npassword   {}\nbook       {path} ({cards} cards)\n",
            account.user, account.password
        );
    }
    text + "\nCtrl-C stops it."
}
