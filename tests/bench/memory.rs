//! A provider in memory: an address book that answers at once, so that the engine and the store alone are measured.
//!
//! Owns: made-up contacts by number. Must not: cost anything that counts, or be written to.

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use contactd::ids::{CollectionId, Cursor, Etag, PageToken, RemoteId, Token};
use contactd::provider::{
    Blob, Changes, Collection, Fetched, Found, From, Group, Mailbox, Next, Outcome, Provider, ProviderError, Write,
};
use contactd::sync::caps::Capabilities;
use contactd::sync::view::{Groups, RemoteRecord, RemoteRef, Seen};

use crate::people::card;

/// Contacts to a page of a listing.
const PAGE: u64 = 500;

/// An address book of contacts whose numbers begin there.
pub(crate) struct Memory {
    pub(crate) first: u64,
    pub(crate) contacts: u64,
    pub(crate) subject: String,
    caps: Capabilities,
    pub(crate) requests: AtomicU64,
}

impl Memory {
    pub(crate) fn new(first: u64, contacts: u64, subject: String) -> Self {
        Self { first, contacts, subject, caps: Capabilities::everything(), requests: AtomicU64::new(0) }
    }

    fn seen(&self, n: u64) -> Seen {
        let collection = CollectionId::from("book");
        let id = RemoteId::from(format!("/books/contacts/{n:08x}.vcf").as_str());
        let body = card(n);
        let uid = Some(format!("uid-{n:08x}-0000-4000-8000-000000000000"));
        // As many bytes as its vCard would have.
        let raw = Some(vec![b'x'; 280]);
        let at = RemoteRef { collection, id, etag: Some(Etag::from("1")) };
        let (groups, formerly) = (Groups::new(), Vec::new());
        Seen::Present(RemoteRecord { at, body, groups, modified: None, token: None, uid, formerly, raw })
    }

    fn page(&self, from: u64) -> Changes {
        let end = (from + PAGE).min(self.contacts);
        let seen = (from..end).map(|n| self.seen(self.first + n)).collect();
        let next = if end < self.contacts {
            Next::Page(PageToken::from(end.to_string().as_str()))
        } else {
            Next::Done(Cursor::from("now"))
        };
        Changes { full: true, seen, listed: Vec::new(), blobs: Vec::new(), next }
    }
}

#[async_trait]
impl Provider for Memory {
    fn capabilities(&self) -> &Capabilities {
        &self.caps
    }
    async fn check(&self) -> Result<Mailbox, ProviderError> {
        Ok(Mailbox { tenant: "memory".to_owned(), subject: self.subject.clone(), address: None })
    }
    async fn collections(&self) -> Result<Vec<Collection>, ProviderError> {
        Ok(vec![Collection { id: CollectionId::from("book"), name: "Contacts".to_owned(), writable: true }])
    }
    async fn groups(&self) -> Result<Vec<Group>, ProviderError> {
        Ok(Vec::new())
    }
    async fn changes(&self, _: &CollectionId, from: From<'_>) -> Result<Changes, ProviderError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        Ok(match from {
            From::Start => self.page(0),
            From::Page(token) => self.page(token.as_str().parse().unwrap()),
            From::Cursor(cursor) => {
                let next = Next::Done(cursor.clone());
                Changes { full: false, seen: Vec::new(), listed: Vec::new(), blobs: Vec::new(), next }
            }
        })
    }
    async fn fetch(&self, of: &[RemoteRef]) -> Result<Vec<Fetched>, ProviderError> {
        Ok(of.iter().map(|_| Fetched::Unknown).collect())
    }
    async fn find(&self, _: &CollectionId, tokens: &[Token]) -> Result<Vec<Found>, ProviderError> {
        Ok(tokens.iter().map(|_| Found::NotThere).collect())
    }
    async fn photo(&self, _: &RemoteRecord) -> Result<Option<Blob>, ProviderError> {
        Ok(None)
    }
    async fn write(&self, batch: &[Write]) -> Vec<Outcome> {
        panic!("nothing is to be written, and {} are", batch.len())
    }
}
