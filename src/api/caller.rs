//! Who calls, and for whom.
//!
//! Owns: the check of the caller's user id, the header that narrows, and finding users and accounts by what people call
//! them. Must not: decide who may see a person: that is [`crate::crm::access`].

use std::sync::Arc;

use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::serve::IncomingStream;
use tokio::net::{UnixListener, UnixStream};

use super::types::AS_HEADER;
use super::{ApiError, App};
use crate::crm::access;
use crate::crm::person::Person;
use crate::crm::users::{Directory, Role, User};
use crate::ids::{AccountId, PersonId, UserId};
use crate::store::{Account, AccountState};
use crate::sync::operation::Actor;

/// The user id of the process at the other end of the socket; `None` = it can't be told.
#[derive(Clone, Copy, Debug)]
pub struct Peer(Option<u32>);

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self(stream.io().peer_cred().ok().map(|cred| cred.uid()))
    }
}

/// Our own user id.
fn own_uid() -> Option<u32> {
    let (one, _other) = UnixStream::pair().ok()?;
    one.peer_cred().ok().map(|cred| cred.uid())
}

/// Lets only root and the daemon's own user in.
pub(super) async fn only_root_or_us(
    ConnectInfo(Peer(uid)): ConnectInfo<Peer>,
    request: Request,
    next: Next,
) -> Response {
    match uid {
        Some(0) => next.run(request).await,
        Some(uid) if Some(uid) == own_uid() => next.run(request).await,
        _ => {
            let says = "only root and the daemon's own user may use this socket; run the command by sudo";
            ApiError::Forbidden(says.to_owned()).into_response()
        }
    }
}

/// For whom the caller acts, with everybody there is.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// Everybody, and the tree of roles.
    pub(super) directory: Directory,
    /// The user; `None` = the operator, who may do everything.
    pub(super) user: Option<UserId>,
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let directory = app.engine.store().directory().await?;
        let user = match parts.headers.get(AS_HEADER) {
            None => None,
            Some(name) => {
                let name = name.to_str().map_err(|_| ApiError::Invalid("--as is not readable".to_owned()))?;
                let user = find_user(&directory, name)?;
                if !user.active {
                    return Err(ApiError::Forbidden(format!("{} is deactivated", user.name)));
                }
                Some(user.id)
            }
        };
        Ok(Self { directory, user })
    }
}

impl Caller {
    /// Whether everything is allowed.
    pub(super) fn is_admin(&self) -> bool {
        self.user.is_none_or(|user| self.directory.active(user).is_some_and(|user| user.admin))
    }

    /// Refuses whoever is no administrator.
    pub(super) fn must_be_admin(&self) -> Result<(), ApiError> {
        if self.is_admin() { Ok(()) } else { Err(ApiError::Forbidden("only an administrator may do that".to_owned())) }
    }

    /// Who did it, for the log.
    pub(super) fn actor(&self) -> Actor {
        self.user.map_or(Actor::Operator, Actor::User)
    }

    /// Whether the person may be seen, and so edited.
    pub(super) fn sees(&self, person: &Person) -> bool {
        self.user.is_none_or(|user| access::decide(user, person.into(), &self.directory).allows())
    }

    /// The viewer for a query: none = everybody's.
    pub(super) fn viewer(&self) -> Option<UserId> {
        if self.is_admin() { None } else { self.user }
    }

    /// Whether the account may be seen: it is the user's own, or the user is an administrator.
    pub(super) fn sees_account(&self, account: &Account) -> bool {
        self.is_admin() || self.user == Some(account.user)
    }

    /// A name to show for a user.
    pub(super) fn name_of(&self, user: UserId) -> String {
        self.directory.users.get(&user).map_or_else(|| user.to_string(), |user| user.name.clone())
    }

    /// A user by id, e-mail or name.
    pub(super) fn find_user(&self, name: &str) -> Result<&User, ApiError> {
        find_user(&self.directory, name)
    }

    /// A role by id or name.
    pub(super) fn find_role(&self, name: &str) -> Result<&Role, ApiError> {
        let all = self.directory.roles.values();
        let found = all.into_iter().find(|r| r.id.to_string() == name || r.name.eq_ignore_ascii_case(name));
        found.ok_or_else(|| ApiError::NotFound(format!("there is no role '{name}'; see `contactd roles list`")))
    }

    /// An account by id or address, if the user may see it. One in use goes before a removed one.
    pub(super) async fn find_account(&self, app: &App, name: &str) -> Result<Account, ApiError> {
        let missing = || ApiError::NotFound(format!("there is no account '{name}'; see `contactd account list`"));
        if let Ok(id) = name.parse::<AccountId>() {
            let account = app.engine.store().account(id).await?.ok_or_else(missing)?;
            return if self.sees_account(&account) { Ok(account) } else { Err(missing()) };
        }
        let all = app.engine.store().accounts().await?;
        let mut found: Vec<Account> =
            all.into_iter().filter(|a| a.address.eq_ignore_ascii_case(name) && self.sees_account(a)).collect();
        if found.iter().any(|a| a.state != AccountState::Removed) {
            found.retain(|a| a.state != AccountState::Removed);
        }
        match found.len() {
            0 => Err(missing()),
            1 => Ok(found.swap_remove(0)),
            _ => Err(ApiError::Invalid(format!("there are several accounts '{name}'; say which by its id"))),
        }
    }

    /// A person, if the user may see it.
    pub(super) async fn find_person(&self, app: &App, id: &str) -> Result<Person, ApiError> {
        let missing = || ApiError::NotFound(format!("there is no person '{id}', or you may not see it"));
        let id: PersonId = id.parse().map_err(|error| ApiError::Invalid(format!("{error}")))?;
        let person = app.engine.store().person(id).await?.ok_or_else(missing)?;
        if self.sees(&person) { Ok(person) } else { Err(missing()) }
    }
}

fn find_user<'a>(directory: &'a Directory, name: &str) -> Result<&'a User, ApiError> {
    let by = |same: &dyn Fn(&User) -> bool| directory.users.values().filter(|user| same(user)).collect::<Vec<_>>();
    let mut found = by(&|user| user.id.to_string() == name || user.email.eq_ignore_ascii_case(name));
    if found.is_empty() {
        found = by(&|user| user.name.eq_ignore_ascii_case(name));
    }
    match found.as_slice() {
        [] => Err(ApiError::NotFound(format!("there is no user '{name}'; see `contactd users list`"))),
        [user] => Ok(user),
        _ => Err(ApiError::Invalid(format!("there are several users '{name}'; say which by e-mail address"))),
    }
}
