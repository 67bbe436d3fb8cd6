//! What is special about signing in at Google (google.md §1), and how it is set up here.
//!
//! Owns: scopes, parameters, which spellings are one address, and [`Setup`]. Must not: know the People API.

use std::sync::Arc;

use reqwest::Url;

use super::client::{Client, ClientSettings, Dialect};
use super::service::ServiceAccount;
use crate::clock::World;
use crate::provider::http::Http;

/// Google.
pub static GOOGLE: Dialect = Dialect {
    name: "Google",
    section: "google",
    read: "https://www.googleapis.com/auth/contacts.readonly",
    write: "https://www.googleapis.com/auth/contacts",
    identity: &["openid", "email"],
    // Without both, a refresh token comes at the first consent only.
    parameters: &[("access_type", "offline"), ("prompt", "consent"), ("include_granted_scopes", "true")],
    aliases: &[("email", "https://www.googleapis.com/auth/userinfo.email")],
    revokes_all: true,
    permissions: "https://myaccount.google.com/permissions",
    same_address,
};

/// How Google is set up here.
#[derive(Clone, Debug)]
pub struct Setup {
    /// What is special there.
    pub dialect: &'static Dialect,
    /// Our client; its id is empty where there is none.
    pub client: ClientSettings,
    /// The service account, where there is one.
    pub service: Option<Arc<ServiceAccount>>,
    /// The domains over which that has a delegation.
    pub domains: Vec<String>,
    /// Whether the app is in testing at Google.
    pub testing: bool,
    /// Where users come back to; `None` = to a port of the machine on which the command runs.
    pub redirect: Option<String>,
    /// Where the People API is.
    pub api: Url,
}

/// Google, as the registry has it.
#[derive(Clone, Debug)]
pub struct Google {
    /// As it is set up.
    pub setup: Arc<Setup>,
    /// Our client.
    pub client: Client,
}

impl Google {
    /// As it is set up.
    pub fn new(setup: Setup, http: Http, world: Arc<dyn World>) -> Self {
        let client = Client::new(setup.dialect, setup.client.clone(), http, world);
        Self { setup: Arc::new(setup), client }
    }

    /// The service account by which a mailbox of that domain is reached, if it is.
    pub fn delegated(&self, domain: &str) -> Option<&Arc<ServiceAccount>> {
        let ours = self.setup.domains.iter().any(|ours| ours.eq_ignore_ascii_case(domain));
        self.setup.service.as_ref().filter(|_| ours)
    }

    /// Whether a user can sign in.
    pub fn has_client(&self) -> bool {
        !self.setup.client.id.is_empty()
    }
}

/// Whether two spellings are one address: without regard to case, and at Gmail to dots, what stands behind a plus, and which
/// of its two names the domain has.
fn same_address(a: &str, b: &str) -> bool {
    normal(a) == normal(b)
}

fn normal(address: &str) -> String {
    let address = address.trim().to_lowercase();
    match address.rsplit_once('@') {
        Some((name, "gmail.com" | "googlemail.com")) => {
            let name = name.split('+').next().unwrap_or_default().replace('.', "");
            format!("{name}@gmail.com")
        }
        _ => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_address() {
        let table = [
            ("ann@gmail.com", "Ann@GMAIL.com", true),
            ("ann.example+crm@googlemail.com", "annexample@gmail.com", true),
            ("ann.example@example.com", "annexample@example.com", false),
            ("ann+a@example.com", "ann@example.com", false),
            ("ann@example.com", "ANN@example.com ", true),
            ("ann@gmail.com", "bob@gmail.com", false),
        ];
        for (a, b, same) in table {
            assert_eq!(same_address(a, b), same, "{a} {b}");
        }
    }
}
