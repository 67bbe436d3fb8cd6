//! The few questions that discovery asks of DNS, behind a trait so that a test can answer them.

use async_trait::async_trait;
use hickory_resolver::TokioResolver;
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::NetError;
use hickory_resolver::proto::rr::RData;

/// A service record (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Srv {
    /// Lower is asked first.
    pub priority: u16,
    /// Among equals, higher gets more.
    pub weight: u16,
    /// At which port.
    pub port: u16,
    /// At which host, without a dot at its end; empty = the service is not offered.
    pub target: String,
}

/// DNS gave no answer, not even that there is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("DNS does not answer: {0}")]
pub struct DnsError(pub String);

/// Asks DNS. No record is an empty answer, not an error.
#[async_trait]
pub trait Resolver: Send + Sync {
    /// The service records of a name such as `_carddavs._tcp.example.com`, best first.
    async fn srv(&self, name: &str) -> Result<Vec<Srv>, DnsError>;
    /// The texts of a name.
    async fn txt(&self, name: &str) -> Result<Vec<String>, DnsError>;
}

/// Asks the name servers that the system is configured with.
pub struct SystemResolver(TokioResolver);

impl std::fmt::Debug for SystemResolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SystemResolver")
    }
}

impl SystemResolver {
    /// With the system's configuration (`/etc/resolv.conf`).
    pub fn new() -> Result<Self, DnsError> {
        let failed = |error: NetError| DnsError(error.to_string());
        let resolver = TokioResolver::builder_tokio().map_err(failed)?.build().map_err(failed)?;
        Ok(Self(resolver))
    }
}

fn answered(result: Result<Lookup, NetError>) -> Result<Option<Lookup>, DnsError> {
    match result {
        Ok(lookup) => Ok(Some(lookup)),
        Err(error) if error.is_no_records_found() => Ok(None),
        Err(error) => Err(DnsError(error.to_string())),
    }
}

#[async_trait]
impl Resolver for SystemResolver {
    async fn srv(&self, name: &str) -> Result<Vec<Srv>, DnsError> {
        let Some(lookup) = answered(self.0.srv_lookup(format!("{name}.")).await)? else { return Ok(Vec::new()) };
        let mut all: Vec<Srv> = lookup
            .answers()
            .iter()
            .filter_map(|record| match &record.data {
                RData::SRV(srv) => Some(Srv {
                    priority: srv.priority,
                    weight: srv.weight,
                    port: srv.port,
                    target: srv.target.to_ascii().trim_end_matches('.').to_ascii_lowercase(),
                }),
                _ => None,
            })
            .collect();
        sort(&mut all);
        Ok(all)
    }

    async fn txt(&self, name: &str) -> Result<Vec<String>, DnsError> {
        let Some(lookup) = answered(self.0.txt_lookup(format!("{name}.")).await)? else { return Ok(Vec::new()) };
        let texts = lookup.answers().iter().filter_map(|record| match &record.data {
            RData::TXT(txt) => Some(txt.txt_data.iter().map(|part| String::from_utf8_lossy(part)).collect()),
            _ => None,
        });
        Ok(texts.collect())
    }
}

/// Best first: by priority, then by weight. RFC 2782 would draw lots among equals to spread load; one account asks once.
pub fn sort(records: &mut [Srv]) {
    records.sort_by_key(|srv| (srv.priority, std::cmp::Reverse(srv.weight), srv.target.clone()));
}

/// The path that a TXT record of a service names (RFC 6764 §4).
pub fn path_of(texts: &[String]) -> Option<&str> {
    texts.iter().find_map(|text| text.strip_prefix("path=")).map(str::trim).filter(|path| path.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn best_first() {
        let srv = |priority, weight, target: &str| Srv { priority, weight, port: 443, target: target.into() };
        let mut all = vec![srv(10, 1, "c"), srv(0, 1, "b"), srv(0, 5, "a")];
        sort(&mut all);
        assert_eq!(all.iter().map(|srv| srv.target.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    }

    #[test]
    fn a_path_in_a_text() {
        assert_eq!(path_of(&["v=1".into(), "path=/dav/".into()]), Some("/dav/"));
        assert_eq!(path_of(&["path=dav".into()]), None);
    }
}
