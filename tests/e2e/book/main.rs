//! The program `book`: what the tests with real servers drive (see `worker`), and the maker of their contacts.
//!
//! Owns: its commands. Must not: know a server or a scenario.
//!
//!   book seed FOLDER NUMBER   writes so many made-up contacts, one file each
//!   book work SETTINGS        serves one account; questions and answers are lines of JSON
//!   book count ADDRESS        a proxy that counts

#![allow(clippy::print_stdout, reason = "a program for tests: it answers on its output")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on should say where")]

mod proxy;
mod seed;
mod worker;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["seed", folder, number] => seed::write(folder.as_ref(), number.parse().expect("NUMBER")),
        ["work", settings] => worker::serve(&serde_json::from_str(settings).expect("SETTINGS")),
        ["count", server] => count(server.parse().expect("ADDRESS")),
        _ => panic!("book seed FOLDER NUMBER | book work SETTINGS | book count ADDRESS"),
    }
}

/// Prints the proxy's address, then for each line that comes what has passed since the one before.
fn count(server: std::net::SocketAddr) {
    let proxy = proxy::Proxy::start(server).unwrap();
    println!("{}", serde_json::json!({ "url": proxy.url() }));
    for _ in std::io::stdin().lines() {
        println!("{}", serde_json::to_string(&proxy.take()).unwrap());
    }
}
