//! Faults as values, and the switchboard that says which request they hit.
//!
//! Owns: what can go wrong and when. Must not: know a protocol; each mock plays the faults in its own words.
//! The list follows `guarantees.md`, part 2, item 10, and `icloud-carddav.md` 11.1. Start reading at [`Fault`].

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// How a throttled answer says when to come back (RFC 9110 §10.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryAfter {
    /// Not at all.
    None,
    /// In seconds from now.
    Seconds(u64),
    /// As a date, this many seconds after the mock's now.
    Date(u64),
}

/// One thing that goes wrong with one request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The connection is cut before the request has any effect.
    CutBefore,
    /// The request takes effect, then the connection is cut with no answer.
    CutAfter,
    /// The request takes effect, then an empty answer with this status is given (owncloud-archive #867).
    ErrorAfter(u16),
    /// The answer comes this many milliseconds late, after the request has taken effect.
    Delay(u64),
    /// 429 or 503 without any effect.
    Throttle {
        /// The status.
        status: u16,
        /// What the `Retry-After` header says.
        retry_after: RetryAfter,
    },
    /// This status, an empty body, no effect: 403 for a valid card, 404 for a book that is there, 507 and so on.
    Refuse(u16),
    /// Refused like a wrong or revoked password or token.
    Unauthorized,
    /// A redirect to anywhere, no effect; whether a client takes its credentials along is seen in the journal of whoever is
    /// there.
    Redirect {
        /// The status, 301 to 308.
        status: u16,
        /// The `Location`.
        location: String,
    },
    /// A page of HTML with status 200, as from a captive portal; no effect.
    Html,
    /// A well-formed answer that names nothing at all, not even the collection.
    Empty,
    /// A well-formed listing of a healthy collection that is, alas, empty.
    NoRows,
    /// A listing that stops after so many rows and does not say so.
    Truncate(usize),
    /// Every row comes twice (Zimbra and DavMail do so, `icloud-carddav.md` 2.1).
    DuplicateRows,
    /// Rows that should say "not found" are left out (sabre, `icloud-carddav.md` fact 9).
    OmitMissing,
    /// Rows of things that are there are left out of an answer to a request for just these.
    OmitRows,
    /// Rows of members say this status in place of their properties: 403 or 500 for things that are there.
    RowStatus(u16),
    /// A row comes that belongs to another collection (vdirsyncer #88, `icloud-carddav.md` 2.1).
    StrayRow,
    /// Groups are left out of the answer (zero groups for one cycle, then all of them).
    NoGroups,
    /// The answer carries outdated etags.
    StaleEtags,
    /// The answer carries no etags.
    NoEtags,
    /// A write is answered like any other and not stored.
    DropWrite,
    /// The answer declares a document type with an entity, which a reader of XML should refuse.
    Doctype,
    /// The answer body stops in the middle and the connection is cut.
    Torn,
    /// A page of HTML with this status, as from a proxy in between; no effect.
    HtmlStatus(u16),
    /// An error in the provider's own words; no effect.
    Says {
        /// The status.
        status: u16,
        /// What the provider calls that status, such as `PERMISSION_DENIED`.
        name: String,
        /// The reason that a machine should look at, such as `SERVICE_DISABLED`.
        reason: Option<String>,
        /// The text.
        message: String,
    },
    /// The quota behind the one that counts calls is used up; no effect.
    Exhausted,
    /// A batch is carried out for so many of its items, then the answer is 503.
    Partial(usize),
}

/// Which requests a fault hits. What is not set matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Match {
    /// The method, in capitals.
    pub method: Option<String>,
    /// Text that the path contains, compared without percent-encoding.
    pub path: Option<String>,
    /// Text that the body contains, such as the name of a report.
    pub body: Option<String>,
    /// The user who asks.
    pub user: Option<String>,
    /// Only writes that would create something (`true`) or would not (`false`).
    pub creating: Option<bool>,
}

impl Match {
    /// Matches a method.
    #[must_use]
    pub fn method(method: &str) -> Self {
        Self { method: Some(method.to_owned()), ..Self::default() }
    }

    /// Narrows to paths that contain this text.
    #[must_use]
    pub fn path(self, path: &str) -> Self {
        Self { path: Some(path.to_owned()), ..self }
    }

    /// Narrows to bodies that contain this text.
    #[must_use]
    pub fn body(self, body: &str) -> Self {
        Self { body: Some(body.to_owned()), ..self }
    }

    /// Narrows to one user's requests.
    #[must_use]
    pub fn user(self, user: &str) -> Self {
        Self { user: Some(user.to_owned()), ..self }
    }

    /// Narrows to writes that would create something.
    #[must_use]
    pub fn creating(self) -> Self {
        Self { creating: Some(true), ..self }
    }

    fn hits(&self, asked: &Asked<'_>) -> bool {
        let has = |want: &Option<String>, text: &str| want.as_deref().is_none_or(|want| text.contains(want));
        self.method.as_deref().is_none_or(|method| method.eq_ignore_ascii_case(asked.method))
            && has(&self.path, asked.path)
            && has(&self.body, asked.body)
            && self.user.as_deref().is_none_or(|user| user.eq_ignore_ascii_case(asked.user))
            && self.creating.is_none_or(|creating| creating == asked.creating)
    }
}

/// What a switchboard is asked about a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked<'a> {
    /// The method.
    pub method: &'a str,
    /// The path, decoded.
    pub path: &'a str,
    /// The body.
    pub body: &'a str,
    /// Who asks; empty when nobody has signed in.
    pub user: &'a str,
    /// Whether it would create something.
    pub creating: bool,
}

/// A fault waiting for its requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Which requests it hits.
    #[serde(default)]
    pub on: Match,
    /// How many such requests pass unharmed first.
    #[serde(default)]
    pub after: u32,
    /// How many it hits then.
    #[serde(default = "once")]
    pub times: u32,
    /// What happens to them.
    pub fault: Fault,
}

fn once() -> u32 {
    1
}

/// The switchboard: rules in the order in which they were laid.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    rules: VecDeque<Rule>,
}

impl Faults {
    /// Lays a rule.
    pub fn lay(&mut self, rule: Rule) {
        self.rules.push_back(rule);
    }

    /// Lays a fault for the next request that matches.
    pub fn next(&mut self, on: Match, fault: Fault) {
        self.times(1, on, fault);
    }

    /// Lays a fault for the next so many requests that match.
    pub fn times(&mut self, times: u32, on: Match, fault: Fault) {
        self.lay(Rule { on, after: 0, times, fault });
    }

    /// The faults that hit this request, which counts against their rules. Every matching rule hits, in the order laid, so
    /// two rules for one request both happen.
    pub fn take(&mut self, asked: &Asked<'_>) -> Vec<Fault> {
        let mut hit = Vec::new();
        for rule in &mut self.rules {
            if rule.times == 0 || !rule.on.hits(asked) {
                continue;
            }
            if rule.after > 0 {
                rule.after -= 1;
            } else {
                rule.times -= 1;
                hit.push(rule.fault.clone());
            }
        }
        self.rules.retain(|rule| rule.times > 0);
        hit
    }

    /// The rules that still wait.
    pub fn waiting(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }

    /// Takes all rules away.
    pub fn heal(&mut self) {
        self.rules.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::{Asked, Fault, Faults, Match, Rule};

    fn put(path: &str) -> Asked<'_> {
        Asked { method: "PUT", path, ..Asked::default() }
    }

    #[test]
    fn a_rule_hits_what_matches_and_is_used_up() {
        let mut faults = Faults::default();
        faults.times(2, Match::method("PUT").path("/card/"), Fault::CutAfter);
        assert!(faults.take(&Asked { method: "GET", path: "/card/a", ..Asked::default() }).is_empty());
        assert!(faults.take(&put("/other")).is_empty());
        assert_eq!(faults.take(&put("/card/a")), [Fault::CutAfter]);
        assert_eq!(faults.take(&put("/card/b")), [Fault::CutAfter]);
        assert!(faults.take(&put("/card/c")).is_empty());
        assert_eq!(faults.waiting().count(), 0);
    }

    #[test]
    fn a_rule_can_let_some_pass_first() {
        let mut faults = Faults::default();
        faults.lay(Rule { on: Match::default(), after: 2, times: 1, fault: Fault::Html });
        let hits: Vec<usize> = (0..4).map(|_| faults.take(&put("/")).len()).collect();
        assert_eq!(hits, [0, 0, 1, 0]);
    }

    #[test]
    fn two_rules_for_one_request_both_happen() {
        let mut faults = Faults::default();
        faults.next(Match::default(), Fault::Delay(5));
        faults.next(Match::method("PUT").creating(), Fault::Refuse(403));
        assert_eq!(faults.take(&Asked { creating: true, ..put("/") }), [Fault::Delay(5), Fault::Refuse(403)]);
    }

    #[test]
    fn rules_are_read_from_json() {
        let text =
            r#"{"on":{"method":"PUT"},"times":3,"fault":{"throttle":{"status":503,"retry_after":{"seconds":7}}}}"#;
        let rule: Rule = serde_json::from_str(text).unwrap();
        assert_eq!(rule.times, 3);
        assert!(serde_json::from_str::<Rule>(r#"{"fault":"cut_after","sometimes":1}"#).is_err());
        assert_eq!(serde_json::from_str::<Rule>(r#"{"fault":"cut_after"}"#).unwrap().times, 1);
    }
}
