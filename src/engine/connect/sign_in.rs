//! Signing in at the provider itself: sending the user there, and what they come back with (google.md §1).
//!
//! Owns: the sign-ins under way, and what a grant must be for an account to be connected by it. Must not: store anything of
//! a sign-in that was refused. What is remembered between the two ends is in memory: it is of use for minutes only, and holds
//! what must not be stored in clear. Hence a user has to come back to the daemon that sent them; another one says so.
//!
//! A sign-in connects the mailbox of the address that it was begun for and no other, so that nobody's consent under somebody
//! else's sign-in brings in a mailbox that was not meant. Which browser may come back to the daemon's own address:
//! [`super::browser`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tracing::warn;
use url::Url;
use uuid::Uuid;

use super::browser::Entry;
use super::{Added, ConnectError, Connector, Wanted};
use crate::clock::new_token;
use crate::ids::{AccountId, Timestamp, UserId};
use crate::provider::ProviderError;
use crate::provider::oauth::Bearer;
use crate::provider::oauth::client::{Asked, Client, Given};
use crate::provider::oauth::fault::OauthError;
use crate::provider::oauth::grant::{Grant, UserGrant, missing};
use crate::provider::oauth::identity::{self, Identity};
use crate::provider::oauth::service::ServiceAccount;
use crate::provider::oauth::tokens::Once;
use crate::provider::registry::{Reached, SignIn};
use crate::seal::Secret;
use crate::store::{Account, AccountState};
use crate::sync::settings::{Direction, Settings};
use crate::telemetry::fields;

/// Where users come back to at the daemon's own address.
pub const CALLBACK: &str = "/oauth/callback";
/// How long a user has, in ms.
const PATIENCE: i64 = 15 * 60 * 1000;
/// How many may be under way: altogether, and of one user.
const MOST: usize = 1000;
const EACH: usize = 20;
/// How long giving a token back may take: nobody waits for longer.
const REVOKING: Duration = Duration::from_secs(10);

/// What a user wants to connect by signing in at the provider.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Whose account it is to be.
    pub user: UserId,
    /// Which mailbox.
    pub wanted: Wanted,
    /// Where the command waits for the user to come back: an address of its own machine.
    pub redirect: Option<String>,
    /// The settings of a new account.
    pub defaults: Settings,
}

/// How it goes on.
#[derive(Debug)]
pub enum Begun {
    /// The provider wants a password.
    Password,
    /// The user has to go there.
    Browser(Sent),
    /// It is done, by a service account.
    Added(Box<Added>),
}

/// A user who was sent to the provider.
#[derive(Clone)]
pub struct Sent {
    /// Which sign-in.
    pub id: Uuid,
    /// Where to go: the provider's address; where users come back to the daemon's own, the link to its page that leads on.
    pub url: String,
    /// Where they come back to.
    pub redirect: String,
    /// Until when.
    pub until: Timestamp,
}

impl std::fmt::Debug for Sent {
    /// Without the address: whoever knows it can end the sign-in.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sent").field("id", &self.id).field("until", &self.until).finish_non_exhaustive()
    }
}

/// A sign-in came to nothing, and nothing was connected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignInError {
    /// There is none.
    #[error(
        "this sign-in is not known here: it was begun more than a quarter of an hour ago, before a restart, or at another \
         daemon; begin again: `contactd account add`"
    )]
    Unknown,
    /// It has ended.
    #[error(
        "this sign-in has ended already: if it said that the mailbox is connected, it is (see `contactd account list`); else \
         begin again: `contactd account add`"
    )]
    Ended,
    /// Somebody came back who did not go.
    #[error(
        "this sign-in was not begun in this browser, and nothing was connected. Open the link that `contactd account add` \
         shows in the browser in which you sign in; if you came here by an address that somebody else gave you, close this \
         window"
    )]
    NotBegunHere,
    /// Another browser went.
    #[error("this link was opened in another browser before; go on there, or begin again: `contactd account add`")]
    BegunElsewhere,
    /// The page that leads on was not shown in this browser.
    #[error(
        "this page was not open in this browser, or it takes no cookies from us; allow them, and open the link again"
    )]
    NotShown,
    /// Too many are under way.
    #[error("too many sign-ins are under way; wait some minutes, and try again")]
    TooMany,
    /// The command's own address is none of its machine.
    #[error("users can come back to this machine only: http://127.0.0.1 with a port")]
    BadRedirect,
    /// Our own address is none.
    #[error("http.public_url is no address that users could come back to; put it right, and restart the daemon")]
    NoAddress,
    /// What was pasted has no answer in it.
    #[error("there is no answer in that: paste the whole address that the browser shows in the end, with code= in it")]
    NoAnswer,
    /// It is the answer to another question.
    #[error("that is the answer to another sign-in; paste the address that followed on this one, or begin again")]
    OtherState,
    /// The user or an administrator said no.
    #[error("{issuer} did not allow it ({why}); nothing was connected")]
    Denied {
        /// Who says so.
        issuer: &'static str,
        /// Why, as far as is known.
        why: &'static str,
    },
    /// There would be no way to stay signed in.
    #[error(
        "{issuer} gave no refresh token, so that contactd could not stay signed in; nothing was connected. Take back what \
         contactd was allowed before at {permissions}, and sign in again"
    )]
    NoRefresh {
        /// Who.
        issuer: &'static str,
        /// Where a user can take back what was allowed.
        permissions: &'static str,
    },
    /// Less was allowed than is needed.
    #[error(
        "not everything was allowed that is needed (missing: {missing}); nothing was connected. Sign in again, and leave \
         every box ticked"
    )]
    Fewer {
        /// Which scopes.
        missing: String,
    },
    /// It can't be told who signed in.
    #[error("{0}, so that it is not known whose account was signed in to; nothing was connected. Try again")]
    NoIdentity(String),
    /// Another account was signed in to.
    #[error(
        "you signed in as {signed}, and the account is to be {wanted}; nothing was connected. Sign in again and choose \
         {wanted} there, or add {signed} by that address"
    )]
    OtherAddress {
        /// Who signed in.
        signed: String,
        /// Who should have.
        wanted: String,
    },
    /// The address is now another account's.
    #[error(
        "{0} is now another mailbox than the one that was connected; nothing was changed. If that is meant, remove the account \
         and add it again"
    )]
    OtherMailbox(String),
}

/// What a user came back with, to be shown to them.
pub(super) type Outcome = Option<Result<Added, String>>;

/// The sign-ins under way.
#[derive(Default)]
pub(super) struct Waiting(Mutex<BTreeMap<Uuid, Arc<One>>>);

pub(super) struct One {
    pub(super) user: UserId,
    pub(super) wanted: Wanted,
    reached: Reached,
    pub(super) client: Client,
    pub(super) asked: Asked,
    /// Where users come back to the daemon's own address.
    pub(super) entry: Option<Entry>,
    pub(super) write: bool,
    defaults: Settings,
    /// Whose grant there is already.
    subject: Option<String>,
    pub(super) until: Timestamp,
    taken: AtomicBool,
    outcome: watch::Sender<Outcome>,
}

impl One {
    /// Whether somebody has come back.
    pub(super) fn is_taken(&self) -> bool {
        self.taken.load(Ordering::Acquire)
    }
}

impl Waiting {
    fn all(&self, now: Timestamp) -> MutexGuard<'_, BTreeMap<Uuid, Arc<One>>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, one| now < one.until);
        all
    }

    pub(super) fn find(&self, now: Timestamp, is: impl Fn(&One) -> bool) -> Option<(Uuid, Arc<One>)> {
        self.all(now).iter().find(|(_, one)| is(one)).map(|(id, one)| (*id, Arc::clone(one)))
    }

    /// Whether that user may begin another one.
    fn has_room(all: &BTreeMap<Uuid, Arc<One>>, user: UserId) -> bool {
        let theirs = all.values().filter(|one| one.user == user && !one.is_taken()).count();
        all.len() < MOST && theirs < EACH
    }
}

/// What stands in the address that a user comes back by.
struct Answer {
    state: Secret,
    says: Result<Secret, String>,
}

/// Reads the address, or what was pasted of it.
fn answer(text: &str) -> Result<Answer, SignInError> {
    let text = text.trim();
    let query = Url::parse(text).ok().and_then(|url| url.query().map(str::to_owned));
    let query = query.unwrap_or_else(|| text.trim_start_matches('?').to_owned());
    let all: BTreeMap<String, String> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let get = |name: &str| all.get(name).filter(|value| !value.is_empty());
    let says = match (get("error"), get("code")) {
        (Some(error), _) => Err(error.clone()),
        (None, Some(code)) => Ok(Secret::from(code.clone())),
        (None, None) => return Err(SignInError::NoAnswer),
    };
    let state = get("state").ok_or(SignInError::NoAnswer)?;
    Ok(Answer { state: Secret::from(state.clone()), says })
}

/// Whether it is the state that was sent. By their hashes, so that how long it takes tells nothing.
pub(super) fn same(a: &Secret, b: &Secret) -> bool {
    blake3::hash(a.expose().as_bytes()) == blake3::hash(b.expose().as_bytes())
}

fn denied(issuer: &'static str, error: &str) -> SignInError {
    let why = match error {
        "access_denied" => "you, or an administrator, said no",
        "admin_policy_enforced" | "org_internal" => "an administrator of the domain does not allow contactd",
        "redirect_uri_mismatch" => "the address to come back to is not registered with our client",
        "invalid_scope" => "the scopes are not allowed for our client",
        _ => "it gave no reason that we know",
    };
    SignInError::Denied { issuer, why }
}

/// The address to come back to at a command: this machine, a port, nothing else (RFC 8252, section 7.3).
fn loopback(redirect: &str) -> Result<String, SignInError> {
    let url = Url::parse(redirect).map_err(|_| SignInError::BadRedirect)?;
    let here = matches!(url.host_str(), Some("127.0.0.1" | "[::1]"));
    let plain =
        url.scheme() == "http" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    if here && plain && url.port().is_some() { Ok(url.to_string()) } else { Err(SignInError::BadRedirect) }
}

impl Connector {
    /// Begins a sign-in: finds the provider, and says how it goes on.
    ///
    /// # Errors
    /// When the provider is not known or not set up; where a service account does it, as [`Connector::add`].
    pub async fn begin(&self, ask: Ask) -> Result<Begun, ConnectError> {
        let Ask { user, wanted, redirect, defaults } = ask;
        let reached = match self.reached_before(user, &wanted).await? {
            Some(reached) => reached,
            None => self.registry.reach(&wanted).await?,
        };
        let before = self.connected(user, &reached.kind, &wanted.address).await?;
        let direction = before.as_ref().map_or(defaults.direction, |account| account.settings.direction);
        let write = direction == Direction::TwoWay;
        let (client, public) = match self.registry.sign_in(&reached.kind, &wanted.address)? {
            SignIn::Password => return Ok(Begun::Password),
            SignIn::Delegated(client, service) => {
                let added = self.delegate(user, &wanted, &reached, write, defaults, (&client, &service)).await?;
                return Ok(Begun::Added(Box::new(added)));
            }
            SignIn::Browser(client, public) => (client, public),
        };
        let (redirect, entry) = match public {
            Some(public) => {
                let entry = Entry::new(self.engine.world(), &public).ok_or(SignInError::NoAddress)?;
                (public, Some(entry))
            }
            None => (loopback(redirect.as_deref().unwrap_or_default())?, None),
        };
        let subject = match &before {
            Some(account) => self.grant(account.id).await?.map(|grant| grant.subject),
            None => None,
        };
        let asked = client.ask(&redirect, write, &wanted.address).map_err(ProviderError::from)?;
        let (id, now) = (new_token::<Uuid>(self.engine.world()), self.engine.now());
        let until = now.plus(PATIENCE);
        let (entry, link) = entry.unzip();
        let sent = Sent { id, url: link.unwrap_or_else(|| asked.url.to_string()), redirect, until };
        let (taken, outcome) = (AtomicBool::new(false), watch::Sender::new(None));
        let one = One { user, wanted, reached, client, asked, entry, write, defaults, subject, until, taken, outcome };
        let mut all = self.waiting.all(now);
        if !Waiting::has_room(&all, user) {
            return Err(SignInError::TooMany.into());
        }
        all.insert(id, Arc::new(one));
        Ok(Begun::Browser(sent))
    }

    /// Ends a sign-in with the address that the user came back by.
    ///
    /// # Errors
    /// When it is not the answer to this sign-in, or does not allow what is needed; nothing is connected then.
    pub async fn finish(&self, id: Uuid, redirected: &str) -> Result<Added, ConnectError> {
        let answer = answer(redirected)?;
        let one = self.waiting.all(self.engine.now()).get(&id).cloned().ok_or(SignInError::Unknown)?;
        if !same(&one.asked.state, &answer.state) {
            return Err(SignInError::OtherState.into());
        }
        self.end(&one, answer).await
    }

    /// The same for a browser that comes back to the daemon's own address, which alone says which sign-in it is. `held`: the
    /// secret that it keeps for a sign-in, and whether that came by TLS.
    ///
    /// # Errors
    /// As [`Connector::finish`]; and when it is not the browser in which the sign-in was begun, which goes on then.
    pub async fn came_back(
        &self,
        redirected: &str,
        held: impl Fn(Uuid, bool) -> Option<Secret> + Send,
    ) -> Result<Added, ConnectError> {
        let answer = answer(redirected)?;
        let found = self.waiting.find(self.engine.now(), |one| same(&one.asked.state, &answer.state));
        let (id, one) = found.ok_or(SignInError::Unknown)?;
        let entry = one.entry.as_ref().ok_or(SignInError::Unknown)?;
        entry.came_back(entry.held(id, held).as_ref())?;
        self.end(&one, answer).await
    }

    /// Whose sign-in that is.
    pub fn asked_by(&self, id: Uuid) -> Option<UserId> {
        self.waiting.all(self.engine.now()).get(&id).map(|one| one.user)
    }

    /// Waits until a sign-in has ended, wherever the user comes back.
    ///
    /// # Errors
    /// When there is none, or it came to nothing, in words.
    pub async fn outcome(&self, id: Uuid) -> Result<Result<Added, String>, ConnectError> {
        let now = self.engine.now();
        let one = self.waiting.all(now).get(&id).cloned().ok_or(SignInError::Unknown)?;
        let left = Duration::from_millis(u64::try_from(one.until.since(now)).unwrap_or(0));
        let mut outcome = one.outcome.subscribe();
        let ended = tokio::time::timeout(left, outcome.wait_for(Option::is_some)).await;
        let ended = ended.ok().and_then(Result::ok).and_then(|ended| ended.clone());
        Ok(ended.ok_or(SignInError::Unknown)?)
    }

    async fn end(&self, one: &One, answer: Answer) -> Result<Added, ConnectError> {
        if one.taken.swap(true, Ordering::AcqRel) {
            return Err(SignInError::Ended.into());
        }
        let ended = match answer.says {
            Ok(code) => Box::pin(self.exchanged(one, &code)).await,
            Err(error) => Err(denied(one.client.dialect.name, &error).into()),
        };
        one.outcome.send_replace(Some(ended.as_ref().map(Added::clone).map_err(ToString::to_string)));
        ended
    }

    async fn exchanged(&self, one: &One, code: &Secret) -> Result<Added, ConnectError> {
        let given = one.client.exchange(&one.asked, code).await.map_err(ProviderError::from)?;
        let who = who(&one.client, &given).await;
        let connected = match self.judge(one, &given, &who) {
            Ok(grant) => self.connect_by(one, grant, &given).await,
            Err(error) => Err(error.into()),
        };
        if connected.is_err() {
            self.give_back(one, &given, who.ok().as_ref()).await;
        }
        connected
    }

    /// Whether what was granted is what the account needs.
    fn judge(&self, one: &One, given: &Given, who: &Result<Identity, SignInError>) -> Result<UserGrant, SignInError> {
        let dialect = one.client.dialect;
        let who = who.as_ref().map_err(SignInError::clone)?;
        let wanted = &one.wanted.address;
        let signed = who.email.clone().unwrap_or_else(|| "somebody else".to_owned());
        if !(dialect.same_address)(&signed, wanted) {
            return Err(SignInError::OtherAddress { signed, wanted: wanted.clone() });
        }
        if one.subject.as_ref().is_some_and(|subject| *subject != who.subject) {
            return Err(SignInError::OtherMailbox(wanted.clone()));
        }
        // Where nothing is said, it is what was asked for (RFC 6749, section 5.1).
        let scopes: BTreeSet<String> =
            given.scopes.clone().unwrap_or_else(|| one.asked.scopes.iter().cloned().collect());
        let missing = missing(dialect, one.write, &scopes);
        if !missing.is_empty() {
            return Err(SignInError::Fewer { missing: missing.join(" ") });
        }
        let Some(refresh) = given.refresh.clone() else {
            return Err(SignInError::NoRefresh { issuer: dialect.name, permissions: dialect.permissions });
        };
        let (id, consented) = (new_token(self.engine.world()), self.engine.now());
        let expires = given.refresh_lifetime.map(|lasts| consented.plus(lasts));
        Ok(UserGrant { id, refresh, scopes, subject: who.subject.clone(), consented, expires })
    }

    async fn connect_by(&self, one: &One, grant: UserGrant, given: &Given) -> Result<Added, ConnectError> {
        let bearer: Arc<dyn Bearer> = Arc::new(Once(given.access.clone()));
        let secret = Grant::User(grant).to_secret();
        let (added, old) =
            self.connect(one.user, &one.wanted, &one.reached, bearer, &secret, one.defaults.clone()).await?;
        // Where giving the old one back would take the new one along, it is left to end by itself.
        if !one.client.dialect.revokes_all
            && let Some(Ok(Grant::User(old))) = old.as_ref().map(Grant::of_secret)
            && let Err(error) = revoke(&one.client, &old.refresh).await
        {
            warn!({ fields::ERROR } = error, "the sign-in before was not given back");
        }
        Ok(added)
    }

    /// The adapter is looked at, and the account stored. Gives back what was sealed for it before.
    async fn connect(
        &self,
        user: UserId,
        wanted: &Wanted,
        reached: &Reached,
        bearer: Arc<dyn Bearer>,
        secret: &Secret,
        defaults: Settings,
    ) -> Result<(Added, Option<Secret>), ConnectError> {
        let id = self.engine.new_id();
        let provider = self.registry.open_by(id, &reached.kind, &reached.connection, bearer)?;
        let before = self.connected(user, &reached.kind, &wanted.address).await?;
        let old = match &before {
            Some(account) => self.vault.load(account.id).await.ok().flatten(),
            None => None,
        };
        let added = self.store_new(id, user, wanted, reached, &*provider, secret, defaults, before.as_ref()).await;
        self.registry.forget(id);
        Ok((added?, old))
    }

    async fn delegate(
        &self,
        user: UserId,
        wanted: &Wanted,
        reached: &Reached,
        write: bool,
        defaults: Settings,
        (client, service): (&Client, &ServiceAccount),
    ) -> Result<Added, ConnectError> {
        let address = wanted.address.clone();
        let given = service.token(client, &address, write, self.engine.now()).await.map_err(ProviderError::from)?;
        let secret = Grant::Delegated { address, write }.to_secret();
        let connected = self.connect(user, wanted, reached, Arc::new(Once(given.access)), &secret, defaults);
        Ok(Box::pin(connected).await?.0)
    }

    /// The account that this user has connected under that address.
    async fn connected(&self, user: UserId, kind: &str, address: &str) -> Result<Option<Account>, ConnectError> {
        let all = self.engine.store().accounts().await?;
        let ours = |account: &Account| {
            account.user == user
                && account.provider == kind
                && account.state != AccountState::Removed
                && account.address.eq_ignore_ascii_case(address)
        };
        Ok(all.into_iter().find(ours))
    }

    /// What the user granted for that account, if it can be read.
    async fn grant(&self, account: AccountId) -> Result<Option<UserGrant>, ConnectError> {
        let secret = match self.vault.load(account).await {
            Ok(secret) => secret,
            // Whoever signs in again makes it good.
            Err(error) if error.needs_person => None,
            Err(error) => return Err(ConnectError::Provider(OauthError::from(error).into())),
        };
        Ok(match secret.as_ref().map(Grant::of_secret) {
            Some(Ok(Grant::User(grant))) => Some(grant),
            _ => None,
        })
    }

    /// Gives back what a sign-in gave that is not used; never what an account that is connected lives on.
    async fn give_back(&self, one: &One, given: &Given, who: Option<&Identity>) {
        if one.client.dialect.revokes_all {
            let Some(who) = who else { return };
            let Ok(all) = self.engine.store().accounts().await else { return };
            for account in all.iter().filter(|account| account.state != AccountState::Removed) {
                match self.grant(account.id).await {
                    Ok(Some(grant)) if grant.subject == who.subject => return,
                    Ok(_) => {}
                    Err(_) => return,
                }
            }
        }
        if let Err(error) = revoke(&one.client, given.refresh.as_ref().unwrap_or(&given.access)).await {
            warn!({ fields::ERROR } = error, "what a refused sign-in gave was not given back");
        }
    }

    /// Gives back what an account lived on; what is to be told of it.
    pub(super) async fn given_back(&self, account: &Account, secret: &Secret) -> Option<String> {
        let client = self.registry.client(&account.provider)?;
        let Ok(Grant::User(grant)) = Grant::of_secret(secret) else { return None };
        let name = client.dialect.name;
        Some(match revoke(client, &grant.refresh).await {
            Ok(()) => format!("{name} was told to forget the sign-in"),
            Err(error) => {
                warn!({ fields::ACCOUNT } = %account.id, { fields::ERROR } = error, "the sign-in was not given back");
                let permissions = client.dialect.permissions;
                format!(
                    "{name} could not be told to forget the sign-in ({error}); its user can do that at {permissions}"
                )
            }
        })
    }
}

/// Gives a token back, within a time that somebody can wait.
async fn revoke(client: &Client, token: &Secret) -> Result<(), String> {
    match tokio::time::timeout(REVOKING, client.revoke(token)).await {
        Ok(revoked) => revoked.map_err(|error| error.to_string()),
        Err(_) => Err("it did not answer in time".to_owned()),
    }
}

/// Who signed in: by the ID token, else by what the issuer says when asked.
async fn who(client: &Client, given: &Given) -> Result<Identity, SignInError> {
    let told = match &given.id_token {
        Some(token) => identity::of_id_token(token, &client.settings.id),
        None => {
            let told = client.userinfo(&given.access).await;
            identity::of_userinfo(&told.map_err(|error| SignInError::NoIdentity(error.to_string()))?)
        }
    };
    told.map_err(|error| SignInError::NoIdentity(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_however_it_was_pasted() {
        let read = |text: &str| {
            answer(text).map(|answer| {
                let says = answer.says.map(|code| code.expose().to_owned());
                (answer.state.expose().to_owned(), says)
            })
        };
        let good = Ok(("s t".to_owned(), Ok("4/0A".to_owned())));
        for text in [
            "http://127.0.0.1:4711/?state=s+t&code=4%2F0A&scope=email",
            "  http://127.0.0.1:4711/?code=4/0A&state=s%20t \n",
            "?state=s+t&code=4%2F0A",
            "state=s+t&code=4%2F0A",
        ] {
            assert_eq!(read(text), good, "{text}");
        }
        let denied = Ok(("s".to_owned(), Err("access_denied".to_owned())));
        assert_eq!(read("http://127.0.0.1:1/?state=s&error=access_denied&code="), denied);
        for text in ["", "4/0A", "http://127.0.0.1:1/", "http://127.0.0.1:1/?state=s", "code=4/0A", "state=&code=x"] {
            assert_eq!(read(text), Err(SignInError::NoAnswer), "{text}");
        }
    }

    #[test]
    fn commands_are_come_back_to_on_this_machine_alone() {
        for (redirect, good) in [
            ("http://127.0.0.1:4711", true),
            ("http://127.0.0.1:4711/", true),
            ("http://[::1]:4711/", true),
            ("http://127.0.0.1/", false),
            ("http://localhost:4711/", false),
            ("https://127.0.0.1:4711/", false),
            ("http://127.0.0.1.example.com:4711/", false),
            ("http://example.com@127.0.0.1:4711/", false),
            ("http://127.0.0.1:4711/?x=y", false),
            ("http://example.com:4711/", false),
            ("", false),
        ] {
            assert_eq!(loopback(redirect).is_ok(), good, "{redirect}");
        }
    }
}
