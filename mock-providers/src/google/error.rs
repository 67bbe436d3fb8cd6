//! Errors of the People API in their envelope (`google.md` 7.2).
//!
//! Owns: statuses, names, texts. Must not: decide when they are due.

use serde_json::{Value, json};

use super::settings::{Errors, QuotaShape, Quotas};
use crate::net::Reply;

/// An error before it is put into its envelope.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Error {
    pub(super) code: u16,
    pub(super) status: &'static str,
    pub(super) message: String,
    pub(super) details: Vec<Value>,
    /// The reason of the old style.
    reason: &'static str,
    retry_after: Option<u64>,
}

impl Error {
    pub(super) fn new(code: u16, status: &'static str, message: impl Into<String>) -> Self {
        let reason = match status {
            "FAILED_PRECONDITION" => "failedPrecondition",
            "UNAUTHENTICATED" => "authError",
            "PERMISSION_DENIED" => "forbidden",
            "NOT_FOUND" => "notFound",
            "ALREADY_EXISTS" | "ABORTED" => "conflict",
            "RESOURCE_EXHAUSTED" => "rateLimitExceeded",
            "INTERNAL" | "UNAVAILABLE" => "backendError",
            _ => "badRequest",
        };
        Self { code, status, message: message.into(), details: Vec::new(), reason, retry_after: None }
    }

    pub(super) fn argument(message: impl Into<String>) -> Self {
        Self::new(400, "INVALID_ARGUMENT", message)
    }

    /// A field of the request is wrong, said in a `BadRequest` too.
    pub(super) fn field(field: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        let violations = json!([{"field": field, "description": message}]);
        Self::argument(message)
            .with(json!({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations}))
    }

    pub(super) fn not_found() -> Self {
        Self::new(404, "NOT_FOUND", "Requested entity was not found.")
    }

    /// Stale: `what` is the path of the etag (3.3).
    pub(super) fn stale(what: &str) -> Self {
        let text = format!(
            "Request {what} is different than the current {what}. Clear local cache and get the latest person."
        );
        Self::new(400, "FAILED_PRECONDITION", text)
    }

    pub(super) fn expired_token(errors: Errors) -> Self {
        let status = if errors.expired_is_precondition { "FAILED_PRECONDITION" } else { "INVALID_ARGUMENT" };
        let text = "Sync token is expired. Clear local cache and retry call without the sync token.";
        Self::new(400, status, text).info("EXPIRED_SYNC_TOKEN", "people.googleapis.com", &json!(null))
    }

    pub(super) fn unauthenticated(errors: Errors, missing: bool) -> Self {
        let text = if missing {
            "Request is missing required authentication credential. Expected OAuth 2 access token."
        } else {
            "Request had invalid authentication credentials. Expected OAuth 2 access token."
        };
        let error = Self::new(401, "UNAUTHENTICATED", text);
        let reason = if missing { "CREDENTIALS_MISSING" } else { "ACCESS_TOKEN_EXPIRED" };
        let metadata = json!({"service": "people.googleapis.com"});
        if errors.info_on_401 { error.info(reason, "googleapis.com", &metadata) } else { error }
    }

    pub(super) fn scope(method: &str) -> Self {
        let method = format!("google.people.v1.PeopleService.{method}");
        Self::new(403, "PERMISSION_DENIED", "Request had insufficient authentication scopes.").info(
            "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
            "googleapis.com",
            &json!({"service": "people.googleapis.com", "method": method}),
        )
    }

    /// A limit is reached (7.1).
    pub(super) fn quota(quotas: &Quotas, class: &str, project: &str) -> Self {
        let (metric, limit) = match class {
            "critical_read" => ("Critical read requests (Contact and Profile Reads)", "CriticalReads"),
            "critical_write" => ("Critical write requests", "CriticalWrites"),
            "read" => ("Read requests", "Reads"),
            "write" => ("Write requests", "Writes"),
            _ => ("Full sync requests", "FullSyncs"),
        };
        let text = format!(
            "Quota exceeded for quota metric '{metric}' and limit '{metric} per minute per user' of service \
             'people.googleapis.com' for consumer 'project_number:{project}'."
        );
        let metadata = json!({
            "service": "people.googleapis.com", "quota_metric": format!("people.googleapis.com/{class}_requests"),
            "quota_limit": format!("{limit}PerMinutePerProjectPerUser"), "consumer": format!("projects/{project}"),
        });
        let mut error = match quotas.shape {
            QuotaShape::PerMinute => {
                Self::new(429, "RESOURCE_EXHAUSTED", text).info("RATE_LIMIT_EXCEEDED", "googleapis.com", &metadata)
            }
            QuotaShape::Backend => Self::exhausted(),
            QuotaShape::Forbidden => Self::new(403, "PERMISSION_DENIED", text),
            QuotaShape::Legacy => {
                Self { reason: "rateLimitExceeded", ..Self::new(403, "PERMISSION_DENIED", "Rate Limit Exceeded") }
            }
        };
        error.retry_after = quotas.retry_after;
        error
    }

    /// The quota of the backend, which is not tied to the minute (7.1).
    pub(super) fn exhausted() -> Self {
        let violation = json!({"subject": "QUOTA_EXCEEDED", "description": "FBS quota limit exceeded"});
        Self::new(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota).")
            .with(json!({"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]}))
    }

    /// What Google says with a status of which nothing else is known (7.2).
    pub(super) fn of_status(code: u16) -> Self {
        let (status, text) = match code {
            400 => ("INVALID_ARGUMENT", "Request contains an invalid argument."),
            401 => ("UNAUTHENTICATED", "Request had invalid authentication credentials."),
            403 => ("PERMISSION_DENIED", "The caller does not have permission"),
            404 => ("NOT_FOUND", "Requested entity was not found."),
            409 => ("ABORTED", "The operation was aborted."),
            429 => ("RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."),
            500 => ("INTERNAL", "Internal error encountered."),
            504 => ("DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
            _ => ("UNAVAILABLE", "The service is currently unavailable."),
        };
        Self::new(code, status, text)
    }

    pub(super) fn with(mut self, detail: Value) -> Self {
        self.details.push(detail);
        self
    }

    pub(super) fn info(self, reason: &str, domain: &str, metadata: &Value) -> Self {
        let kind = "type.googleapis.com/google.rpc.ErrorInfo";
        let mut info = json!({"@type": kind, "reason": reason, "domain": domain});
        if !metadata.is_null() {
            info["metadata"] = metadata.clone();
        }
        self.with(info)
    }

    /// The error as a `google.rpc.Status`, as it stands inside other answers.
    pub(super) fn as_status(&self) -> Value {
        let code = match self.status {
            "INVALID_ARGUMENT" => 3,
            "NOT_FOUND" => 5,
            "ALREADY_EXISTS" => 6,
            "PERMISSION_DENIED" => 7,
            "RESOURCE_EXHAUSTED" => 8,
            "FAILED_PRECONDITION" => 9,
            "ABORTED" => 10,
            "INTERNAL" => 13,
            "UNAVAILABLE" => 14,
            "UNAUTHENTICATED" => 16,
            _ => 2,
        };
        json!({"code": code, "message": self.message})
    }

    /// The answer.
    pub(super) fn reply(&self, errors: Errors) -> Reply {
        let mut error = json!({"code": self.code, "message": self.message, "status": self.status});
        let mut details = self.details.clone();
        if errors.debug_info {
            details.push(json!({
                "@type": "type.googleapis.com/google.rpc.DebugInfo",
                "detail": format!("[ORIGINAL ERROR] generic::{}: {}", self.status.to_lowercase(), self.message),
            }));
        }
        if !details.is_empty() {
            error["details"] = details.into();
        }
        // The legacy reasons have no other place to stand.
        if errors.old_style || (self.code == 403 && self.reason == "rateLimitExceeded") {
            error["errors"] = json!([{"message": self.message, "domain": "global", "reason": self.reason}]);
        }
        let reply = Reply::json(self.code, &json!({"error": error}));
        match self.retry_after {
            Some(seconds) => reply.with("retry-after", seconds.to_string()),
            None => reply,
        }
    }
}
