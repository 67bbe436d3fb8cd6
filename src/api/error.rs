//! What went wrong, as the API says it: the only place with status codes.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::types::ErrorBody;
use crate::engine::connect::ConnectError;
use crate::engine::connect::sign_in::SignInError;
use crate::engine::schedule::Stopping;
use crate::engine::{Refusal, SyncError};
use crate::store::StoreError;

/// What went wrong, by what the caller can do about it. Each says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// There is none, or the user may not see it.
    #[error("{0}")]
    NotFound(String),
    /// The user may not do that.
    #[error("{0}")]
    Forbidden(String),
    /// The request can't be.
    #[error("{0}")]
    Invalid(String),
    /// It doesn't fit what is there now.
    #[error("{0}")]
    Conflict(String),
    /// A person has to do something first.
    #[error("{0}")]
    NeedsPerson(String),
    /// The provider fails.
    #[error("{0}")]
    Provider(String),
    /// The daemon stops, or the store is busy: try again.
    #[error("{0}")]
    Stopping(String),
    /// It is broken here.
    #[error("{0}")]
    Broken(String),
}

impl ApiError {
    /// What the caller gets.
    pub fn body(&self) -> ErrorBody {
        ErrorBody { error: self.to_string(), code: self.kind().1.to_owned() }
    }

    fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "not_found"),
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, "forbidden"),
            Self::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
            Self::Conflict(_) => (StatusCode::CONFLICT, "conflict"),
            Self::NeedsPerson(_) => (StatusCode::CONFLICT, "needs_person"),
            Self::Provider(_) => (StatusCode::BAD_GATEWAY, "provider"),
            Self::Stopping(_) => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
            Self::Broken(_) => (StatusCode::INTERNAL_SERVER_ERROR, "broken"),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.kind().0, Json(self.body())).into_response()
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Stale(what) => Self::Conflict(format!(
                "it was changed by somebody else meanwhile ({what}); look at it again and repeat"
            )),
            StoreError::Busy(_) => Self::Stopping(error.to_string()),
            StoreError::Broken(_) => Self::Broken(error.to_string()),
        }
    }
}

impl From<ConnectError> for ApiError {
    fn from(error: ConnectError) -> Self {
        let says = error.to_string();
        match error {
            ConnectError::Store(error) => error.into(),
            ConnectError::NoAccount => Self::NotFound(says),
            ConnectError::TakenByOther => Self::Conflict(says),
            ConnectError::ReadOnly(_) => Self::NeedsPerson(says),
            ConnectError::Registry(_) => Self::Invalid(says),
            ConnectError::SignIn(error) => match error {
                SignInError::Unknown | SignInError::Ended => Self::NotFound(says),
                SignInError::BadRedirect | SignInError::NoAnswer | SignInError::OtherState => Self::Invalid(says),
                SignInError::TooMany => Self::Stopping(says),
                SignInError::NotBegunHere
                | SignInError::BegunElsewhere
                | SignInError::NotShown
                | SignInError::NoAddress
                | SignInError::Denied { .. }
                | SignInError::NoRefresh { .. }
                | SignInError::Fewer { .. }
                | SignInError::NoIdentity(_)
                | SignInError::OtherAddress { .. }
                | SignInError::OtherMailbox(_) => Self::NeedsPerson(says),
            },
            ConnectError::Provider(_) | ConnectError::Guessed(_) if error.needs_person() => Self::NeedsPerson(says),
            ConnectError::Provider(_) | ConnectError::Guessed(_) => Self::Provider(says),
            ConnectError::NoSecret | ConnectError::Seal(_) => Self::NeedsPerson(says),
            ConnectError::Key(_) => Self::Broken(says),
        }
    }
}

impl From<SyncError> for ApiError {
    fn from(error: SyncError) -> Self {
        let says = error.to_string();
        match error {
            SyncError::Store(error) => error.into(),
            SyncError::Provider(error) => ConnectError::Provider(error).into(),
            SyncError::Busy | SyncError::LeaseLost => Self::Conflict(format!("{says}; try again")),
            SyncError::NotActive(_) => Self::Conflict(says),
            SyncError::Halted(_) => Self::NeedsPerson(says),
            SyncError::Doubted(_) => Self::Provider(says),
            SyncError::Stopped => Self::Stopping(says),
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let says = refusal.to_string();
        match refusal {
            Refusal::Store(error) => error.into(),
            Refusal::Missing(_) => Self::NotFound(says),
            Refusal::Cannot(_) | Refusal::Busy => Self::Conflict(says),
        }
    }
}

impl From<Stopping> for ApiError {
    fn from(stopping: Stopping) -> Self {
        Self::Stopping(stopping.to_string())
    }
}
