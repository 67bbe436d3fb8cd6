//! Which browser a sign-in belongs to, where users come back to the daemon's own address (RFC 6749, section 10.12; RFC 9700,
//! section 4.7).
//!
//! Owns: the link by which such a sign-in begins, and the browser that took it up. Must not: exchange anything, know cookies.
//!
//! Such a sign-in is begun by a command, at which there is no browser to remember, and its user may sit elsewhere. If the
//! command gave out the provider's address, whoever begins a sign-in could send that to somebody else, whose consent would
//! then bring their mailbox in as the beginner's own. Hence it gives out a link to a page of ours: that says whose account it
//! is to be, and hands the browser a secret. The browser that goes on from there is the one that can come back, alone.

use std::sync::{Mutex, PoisonError};

use url::Url;
use uuid::Uuid;

use super::sign_in::{One, SignInError, same};
use super::{ConnectError, Connector};
use crate::clock::{World, new_token};
use crate::seal::Secret;

/// Beside [`super::sign_in::CALLBACK`]: where the links lead, with a ticket behind it.
pub const START: &str = "/oauth/start/";

/// The way in.
pub(super) struct Entry {
    ticket: Secret,
    /// Whether browsers reach us by TLS.
    secure: bool,
    /// The hash of the secret of the browser that took it up.
    browser: Mutex<Option<blake3::Hash>>,
}

/// What a page shows of a sign-in before its user goes on.
pub struct Opened {
    /// Which sign-in.
    pub id: Uuid,
    /// The secret that the browser is to keep, and nobody else to see.
    pub browser: Secret,
    /// What the page sends back, so that it is known to have been shown in the browser that goes on.
    pub proof: String,
    /// Whether browsers reach us by TLS.
    pub secure: bool,
    /// How long it is of use, in ms.
    pub lasts: i64,
    /// Where the user signs in.
    pub issuer: &'static str,
    /// The mailbox.
    pub address: String,
    /// Whose account it is to be, by name and address.
    pub user: String,
    /// Whether it is to be written to.
    pub write: bool,
}

impl Entry {
    /// A new way in; with the link to it, beside the address to come back to.
    pub(super) fn new(world: &dyn World, callback: &str) -> Option<(Self, String)> {
        let ticket = new_token::<Uuid>(world).simple().to_string();
        let callback = Url::parse(callback).ok()?;
        let link = callback.join(&format!("start/{ticket}")).ok()?;
        let secure = callback.scheme() == "https";
        Some((Self { ticket: Secret::from(ticket), secure, browser: Mutex::default() }, link.into()))
    }

    /// Whether it is the browser that took it up; `None` = none has.
    fn is_taken_by(&self, browser: Option<&Secret>) -> Option<bool> {
        let taken = *self.browser.lock().unwrap_or_else(PoisonError::into_inner);
        taken.map(|taken| browser.is_some_and(|browser| hash(browser) == taken))
    }

    /// The first one takes it up.
    fn take(&self, browser: &Secret) -> Result<(), SignInError> {
        let mut taken = self.browser.lock().unwrap_or_else(PoisonError::into_inner);
        if *taken.get_or_insert_with(|| hash(browser)) == hash(browser) {
            Ok(())
        } else {
            Err(SignInError::BegunElsewhere)
        }
    }

    /// Whether whoever comes back is who went.
    pub(super) fn came_back(&self, browser: Option<&Secret>) -> Result<(), SignInError> {
        if self.is_taken_by(browser) == Some(true) { Ok(()) } else { Err(SignInError::NotBegunHere) }
    }

    /// What the browser keeps for it, by how `held` finds that.
    pub(super) fn held(&self, id: Uuid, held: impl Fn(Uuid, bool) -> Option<Secret>) -> Option<Secret> {
        held(id, self.secure)
    }
}

/// Two of them take the same time to compare, whatever they are.
fn hash(browser: &Secret) -> blake3::Hash {
    blake3::hash(browser.expose().as_bytes())
}

fn proof(browser: &Secret) -> blake3::Hash {
    blake3::Hash::from_bytes(blake3::derive_key("contactd sign-in page 1", browser.expose().as_bytes()))
}

fn way_in(one: &One) -> Result<&Entry, SignInError> {
    if one.is_taken() { Err(SignInError::Ended) } else { one.entry.as_ref().ok_or(SignInError::Unknown) }
}

impl Connector {
    /// A browser opens the link. `held`: the secret that it keeps for a sign-in, and whether that came by TLS.
    ///
    /// # Errors
    /// When there is no such sign-in, or another browser has taken it up.
    pub async fn opened(
        &self,
        ticket: &str,
        held: impl Fn(Uuid, bool) -> Option<Secret> + Send,
    ) -> Result<Opened, ConnectError> {
        let (id, one) = self.of_ticket(ticket)?;
        let entry = way_in(&one)?;
        let held = entry.held(id, held);
        let browser = match (entry.is_taken_by(held.as_ref()), held) {
            (Some(true), Some(browser)) => browser,
            (Some(_), _) => return Err(SignInError::BegunElsewhere.into()),
            // A new one whatever it keeps: that may be from somebody else.
            (None, _) => {
                let world = self.engine.world();
                Secret::from(format!("{}{}", new_token::<Uuid>(world).simple(), new_token::<Uuid>(world).simple()))
            }
        };
        let directory = self.engine.store().directory().await?;
        let user = directory.users.get(&one.user);
        let user = user.map_or_else(|| one.user.to_string(), |user| format!("{} ({})", user.name, user.email));
        Ok(Opened {
            id,
            proof: proof(&browser).to_string(),
            browser,
            secure: entry.secure,
            lasts: one.until.since(self.engine.now()),
            issuer: one.client.dialect.name,
            address: one.wanted.address.clone(),
            user,
            write: one.write,
        })
    }

    /// Its user goes on: where to. From then on it belongs to that browser.
    ///
    /// # Errors
    /// When the page was not shown in this browser, or another one has taken the sign-in up.
    pub fn went_on(
        &self,
        ticket: &str,
        shown: &str,
        held: impl Fn(Uuid, bool) -> Option<Secret>,
    ) -> Result<Url, ConnectError> {
        let (id, one) = self.of_ticket(ticket)?;
        let entry = way_in(&one)?;
        // The page sends what only it was told: another site can make the browser send the cookie, but not that.
        let held = entry.held(id, held).filter(|held| blake3::Hash::from_hex(shown).is_ok_and(|p| p == proof(held)));
        entry.take(&held.ok_or(SignInError::NotShown)?)?;
        Ok(one.asked.url.clone())
    }

    fn of_ticket(&self, ticket: &str) -> Result<(Uuid, std::sync::Arc<One>), SignInError> {
        let ticket = Secret::from(ticket);
        self.waiting
            .find(self.engine.now(), |one| one.entry.as_ref().is_some_and(|entry| same(&entry.ticket, &ticket)))
            .ok_or(SignInError::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::System;

    #[test]
    fn the_link_stands_beside_the_address_to_come_back_to() {
        for (callback, start, tls) in [
            ("https://crm.example.com/oauth/callback", "https://crm.example.com/oauth/start/", true),
            ("https://example.com/crm/oauth/callback", "https://example.com/crm/oauth/start/", true),
            ("http://127.0.0.1:8080/oauth/callback", "http://127.0.0.1:8080/oauth/start/", false),
        ] {
            let (entry, link) = Entry::new(&System, callback).unwrap();
            let ticket = link.strip_prefix(start).unwrap();
            assert!(ticket.len() == 32 && entry.ticket.expose() == ticket && entry.secure == tls, "{link}");
            assert!(start.contains(START) && callback.ends_with(super::super::sign_in::CALLBACK));
        }
    }

    #[test]
    fn the_first_browser_that_goes_on_is_the_one_that_comes_back() {
        let (entry, _) = Entry::new(&System, "https://crm.example.com/oauth/callback").unwrap();
        let (ours, other) = (Secret::from("ours"), Secret::from("other"));
        for browser in [None, Some(&ours)] {
            assert_eq!(entry.came_back(browser), Err(SignInError::NotBegunHere), "nobody went");
        }
        assert_eq!((entry.take(&ours), entry.take(&other)), (Ok(()), Err(SignInError::BegunElsewhere)));
        assert_eq!(entry.take(&ours), Ok(()), "going on twice is going on");
        for (browser, good) in [(None, false), (Some(&other), false), (Some(&ours), true)] {
            assert_eq!(entry.came_back(browser).is_ok(), good);
        }
    }
}
