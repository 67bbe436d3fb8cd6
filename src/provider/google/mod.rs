//! Google Contacts (People API v1).
//!
//! Owns: the [`Provider`] over [`crate::provider::http`]. Must not: wait, resend or decide what a rule decides, nor know
//! how a token is come by. Facts are those of `google.md`. Start reading at [`Google`], then `contacts` (what changed),
//! `write` (outcomes), [`convert`] and [`edit`] (what a person is as a card).
//!
//! There is one address book. A record's id is its resource name (`people/c…`), its etag that of the contact among its
//! sources, its own identity that source's id; groups are told by resource name. Our token stands in `clientData`, put
//! there at the create and never written again, since that list belongs to all apps.

mod contacts;
pub mod convert;
pub mod edit;
mod fault;
mod groups;
mod html;
mod labels;
pub mod settings;
mod wire;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::ACCEPT_LANGUAGE;
use reqwest::{Method, Url};

use self::fault::{ApiError, Fault, classify};
use self::settings::GoogleSettings;
use self::wire::{Api, LANGUAGE, Userinfo};
use super::http::auth::Auth;
use super::http::gate::Gate;
use super::http::message::{Answer, Request};
use super::http::{Door, Http};
use super::oauth::Bearer;
use super::{
    Blob, Changes, Collection, Fetched, Found, From, Group, Mailbox, Outcome, Provider, ProviderError, Retry, Scope,
    Write,
};
use crate::card::field::{Field, FieldSet};
use crate::clock::World;
use crate::ids::{CollectionId, GroupId, Token};
use crate::sync::caps::{Capabilities, Ids, Membership, TokenPlace};
use crate::sync::retry::Resend;
use crate::sync::view::{RemoteRecord, RemoteRef};

/// The address book.
const BOOK: &str = "people/me";
/// Where Google's accounts are unique.
const TENANT: &str = "google.com";
/// How long a write may take to show in a listing, in ms: "several minutes" (google.md §2.2, propagation; §4.2).
const SETTLE: i64 = 10 * 60_000;

/// An account at Google. Cheap to make for each run.
pub struct Google {
    settings: GoogleSettings,
    caps: Capabilities,
    client: Result<Client, String>,
}

/// The way to the API.
struct Client {
    api: Api,
    userinfo: Url,
    door: Door,
    gate: Arc<Gate>,
    bearer: Arc<dyn Bearer>,
    world: Arc<dyn World>,
}

impl std::fmt::Debug for Google {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Google")
    }
}

impl Google {
    /// From stored settings. `gate` is the account's own, kept from run to run, made with [`GoogleSettings::pace`];
    /// `bearer` its sign-in, for contacts (reading is enough where nothing is written) and for whose account it is.
    pub fn new(
        settings: GoogleSettings,
        bearer: Arc<dyn Bearer>,
        http: Http,
        gate: Arc<Gate>,
        world: Arc<dyn World>,
    ) -> Self {
        let client = || -> Result<Client, settings::BadAddress> {
            let (base, userinfo) = (settings.base()?, settings.userinfo()?);
            let door = Door::new(http, Arc::clone(&gate), Auth::None, settings.trust());
            Ok(Client { api: Api(base), userinfo, door, gate, bearer, world })
        };
        let client = client().map_err(|bad| bad.to_string());
        Self { settings, caps: capabilities(), client }
    }

    fn client(&self) -> Result<&Client, Fault> {
        self.client.as_ref().map_err(|why| Fault::Settings(why.clone()))
    }
}

impl Client {
    /// Sends a request with a token; a token that is refused is asked for anew, once. An answer that says no is an answer,
    /// unless it says that the account has to wait.
    async fn call(&self, request: &Request, resend: Resend) -> Result<Answer, Fault> {
        let request = request.clone().header(ACCEPT_LANGUAGE, LANGUAGE).told_to_wait(fault::told_to_wait);
        let mut resent = false;
        for _ in 0..2 {
            let token = self.bearer.token().await.map_err(Fault::Bearer)?;
            let door = self.door.signing_in(Auth::Bearer(token.clone()));
            let answer = door.send(&request, resend).await?;
            resent |= answer.resent;
            match answer.status.as_u16() {
                401 => self.bearer.refused(&token).await,
                // Some quotas come as a 403 (google.md §7.1).
                403 => {
                    let error = ApiError::of(&answer);
                    if error.is_quota() {
                        let wait = error.wait();
                        self.gate.close(Duration::from_millis(u64::try_from(wait).unwrap_or(0)));
                        return Err(Fault::Wait(self.world.now().plus(wait)));
                    }
                    return Ok(Answer { resent, ..answer });
                }
                _ => return Ok(Answer { resent, ..answer }),
            }
        }
        Err(Fault::SignIn)
    }

    /// Reads something; an answer that says no is an error.
    async fn ask(&self, request: &Request) -> Result<Answer, Fault> {
        let answer = self.call(request, Resend::Safe).await?;
        if answer.status.is_success() { Ok(answer) } else { Err(Fault::Api(ApiError::of(&answer))) }
    }

    async fn mailbox(&self) -> Result<Mailbox, Fault> {
        let answer = self.ask(&Request::new(Method::GET, self.userinfo.clone())).await?;
        let told: Option<Userinfo> = wire::read(&answer.body);
        let told = told.filter(|told| !told.sub.is_empty());
        let Userinfo { sub, email } = told.ok_or(Fault::Implausible("an account without a number"))?;
        Ok(Mailbox { tenant: TENANT.to_owned(), subject: sub, address: email })
    }
}

/// What Google can do. It has no place for social profiles and free tags; the name as shown it makes of the parts, and
/// takes it only where there are none.
fn capabilities() -> Capabilities {
    let mut fields = FieldSet::all();
    for field in [Field::Profiles, Field::Categories] {
        fields.remove(field);
    }
    Capabilities {
        reads: fields,
        writes: fields,
        most: BTreeMap::new(),
        // One of each list is always the primary one, whether anybody chose it or not.
        keeps_preferred: FieldSet::NONE,
        ids: Ids::Stable,
        guards_update: true,
        guards_delete: false,
        token: TokenPlace::Listed,
        membership: Membership::InRecord,
        settle: SETTLE,
        write_batch: 200,
        fetch_batch: 200,
        converter: convert::CONVERTER,
    }
}

#[async_trait]
impl Provider for Google {
    fn capabilities(&self) -> &Capabilities {
        &self.caps
    }

    async fn check(&self) -> Result<Mailbox, ProviderError> {
        let mailbox = async { self.client()?.mailbox().await }.await;
        let mailbox = mailbox.map_err(|fault| classify(fault, "signing in", Scope::Account))?;
        let address = mailbox.address.or_else(|| Some(self.settings.address.clone()).filter(|text| !text.is_empty()));
        Ok(Mailbox { address, ..mailbox })
    }

    async fn collections(&self) -> Result<Vec<Collection>, ProviderError> {
        Ok(vec![Collection { id: CollectionId::from(BOOK), name: "Google Contacts".to_owned(), writable: true }])
    }

    async fn groups(&self) -> Result<Vec<Group>, ProviderError> {
        let groups = async { self.client()?.groups().await }.await;
        groups.map_err(|fault| classify(fault, "looking for labels", Scope::Account))
    }

    async fn group_exists(&self, group: &GroupId) -> Result<Option<bool>, ProviderError> {
        let all = async {
            let all = self.client()?.groups().await?;
            // "My Contacts" can't be deleted: an answer without any label says nothing.
            if all.is_empty() { Err(Fault::Implausible("no labels at all")) } else { Ok(all) }
        };
        let all = all.await.map_err(|fault| classify(fault, "looking for the sync group", Scope::Account))?;
        Ok(Some(all.iter().any(|one| one.id == *group)))
    }

    async fn changes(&self, of: &CollectionId, from: From<'_>) -> Result<Changes, ProviderError> {
        let changes = async { self.client()?.changes(of, from, self.settings.relist_millis()).await }.await;
        changes.map_err(|fault| classify(fault, "listing the contacts", Scope::Collection(of.clone())))
    }

    async fn fetch(&self, of: &[RemoteRef]) -> Result<Vec<Fetched>, ProviderError> {
        let fetched = async { self.client()?.fetch(of).await }.await;
        fetched.map_err(|fault| classify(fault, "reading contacts", Scope::Collection(CollectionId::from(BOOK))))
    }

    async fn find(&self, of: &CollectionId, tokens: &[Token]) -> Result<Vec<Found>, ProviderError> {
        let found = async { self.client()?.find(of, tokens).await }.await;
        found.map_err(|fault| classify(fault, "looking for contacts of ours", Scope::Collection(of.clone())))
    }

    async fn photo(&self, of: &RemoteRecord) -> Result<Option<Blob>, ProviderError> {
        let photo = async { self.client()?.photo(of).await }.await;
        photo.map_err(|fault| {
            // A picture's trouble is only the record's: where it lies says nothing about the account.
            let id = of.at.id.clone();
            let error = classify(fault, "fetching a picture", Scope::Record(id.clone()));
            let retry = if matches!(error.retry, Retry::At(_)) { error.retry } else { Retry::Soon };
            ProviderError { scope: Scope::Record(id), retry, ..error }
        })
    }

    async fn write(&self, batch: &[Write]) -> Vec<Outcome> {
        match &self.client {
            Ok(client) => Box::pin(write::Run::new(client, batch).run()).await,
            Err(_) => batch.iter().map(|_| Outcome::NotTried).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
