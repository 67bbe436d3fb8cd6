//! A proxy on loopback that counts: requests by method, and the bytes each way.
//!
//! Owns: forwarding HTTP/1.1 as it comes. Must not: change anything, or know what is asked.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use serde::Serialize;

/// What has passed so far.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Passed {
    /// Requests, by method.
    pub methods: BTreeMap<String, u64>,
    /// Bytes from the client to the server, heads included.
    pub sent: u64,
    /// Bytes from the server to the client.
    pub received: u64,
}

/// A proxy that runs until the program ends.
pub(crate) struct Proxy {
    address: SocketAddr,
    passed: Arc<Mutex<Passed>>,
}

impl Proxy {
    /// In front of that server.
    pub(crate) fn start(server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let (address, passed) = (listener.local_addr()?, Arc::new(Mutex::new(Passed::default())));
        let counted = Arc::clone(&passed);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let passed = Arc::clone(&counted);
                // A connection that breaks is the client's to notice.
                thread::spawn(move || forward(client, server, &passed));
            }
        });
        Ok(Self { address, passed })
    }

    /// Where clients reach it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What has passed since this was asked last.
    pub(crate) fn take(&self) -> Passed {
        std::mem::take(&mut *lock(&self.passed))
    }
}

fn lock(passed: &Mutex<Passed>) -> MutexGuard<'_, Passed> {
    passed.lock().unwrap_or_else(PoisonError::into_inner)
}

fn forward(client: TcpStream, server: SocketAddr, passed: &Arc<Mutex<Passed>>) -> Result<()> {
    let server = TcpStream::connect(server)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut answers, mut back, counted) = (server.try_clone()?, client.try_clone()?, Arc::clone(passed));
    thread::spawn(move || -> Result<()> {
        let mut part = vec![0; 64 * 1024];
        loop {
            let read = answers.read(&mut part)?;
            if read == 0 {
                return back.shutdown(Shutdown::Both);
            }
            lock(&counted).received += read as u64;
            back.write_all(&part[..read])?;
        }
    });
    let ended = requests(&mut BufReader::new(client), &mut &server, passed);
    server.shutdown(Shutdown::Write)?;
    ended
}

/// Forwards requests one by one until there are no more.
fn requests(from: &mut impl BufRead, to: &mut impl Write, passed: &Mutex<Passed>) -> Result<()> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if from.read_until(b'\n', &mut head)? == 0 {
                return if head.is_empty() { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) };
            }
        }
        let text = String::from_utf8_lossy(&head);
        let method = text.split(' ').next().unwrap_or_default().to_owned();
        let header = |name: &str| {
            text.lines().find_map(|line| {
                let (found, value) = line.split_once(':')?;
                found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            })
        };
        if header("Transfer-Encoding").is_some() {
            return Err(Error::new(ErrorKind::Unsupported, "a body in chunks"));
        }
        let length = header("Content-Length").map_or(Ok(0), |text| text.parse::<u64>().map_err(Error::other))?;
        {
            let mut passed = lock(passed);
            *passed.methods.entry(method).or_default() += 1;
            passed.sent += head.len() as u64 + length;
        }
        to.write_all(&head)?;
        std::io::copy(&mut from.by_ref().take(length), to)?;
    }
}
