//! The few questions that discovery asks of DNS, behind a trait so that a test can answer them.

use std::sync::Arc;

use async_trait::async_trait;
use hickory_resolver::TokioResolver;
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::NetError;
use hickory_resolver::proto::rr::RData;

use crate::clock::Entropy;

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

/// A mail exchanger (RFC 5321 §5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mx {
    /// Lower is asked first.
    pub preference: u16,
    /// The host, in lower case and without a dot at its end; empty = the domain takes no mail.
    pub exchange: String,
}

/// DNS gave no answer, not even that there is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("DNS does not answer: {0}")]
pub struct DnsError(pub String);

/// Asks DNS. No record is an empty answer, not an error.
#[async_trait]
pub trait Resolver: Send + Sync {
    /// The service records of a name such as `_carddavs._tcp.example.com`, in the order in which to try them.
    async fn srv(&self, name: &str) -> Result<Vec<Srv>, DnsError>;
    /// The mail exchangers of a domain, best first.
    async fn mx(&self, domain: &str) -> Result<Vec<Mx>, DnsError>;
    /// The texts of a name.
    async fn txt(&self, name: &str) -> Result<Vec<String>, DnsError>;
}

/// Asks the name servers that the system is configured with.
pub struct SystemResolver {
    resolver: TokioResolver,
    entropy: Arc<dyn Entropy>,
}

impl std::fmt::Debug for SystemResolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SystemResolver")
    }
}

impl SystemResolver {
    /// With the system's configuration (`/etc/resolv.conf`). The entropy draws lots among services of equal priority.
    pub fn new(entropy: Arc<dyn Entropy>) -> Result<Self, DnsError> {
        let failed = |error: NetError| DnsError(error.to_string());
        let resolver = TokioResolver::builder_tokio().map_err(failed)?.build().map_err(failed)?;
        Ok(Self { resolver, entropy })
    }

    /// A number below `below`, near enough to fair for sharing load.
    fn draw(&self, below: u32) -> u32 {
        let [a, b, c, d, ..] = self.entropy.bytes();
        u32::from_be_bytes([a, b, c, d]) % below.max(1)
    }
}

fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
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
        let Some(lookup) = answered(self.resolver.srv_lookup(format!("{name}.")).await)? else { return Ok(Vec::new()) };
        let all = lookup
            .answers()
            .iter()
            .filter_map(|record| match &record.data {
                RData::SRV(srv) => Some(Srv {
                    priority: srv.priority,
                    weight: srv.weight,
                    port: srv.port,
                    target: plain(&srv.target.to_ascii()),
                }),
                _ => None,
            })
            .collect();
        Ok(in_order(all, |below| self.draw(below)))
    }

    async fn mx(&self, domain: &str) -> Result<Vec<Mx>, DnsError> {
        let Some(lookup) = answered(self.resolver.mx_lookup(format!("{domain}.")).await)? else {
            return Ok(Vec::new());
        };
        let exchangers = lookup.answers().iter().filter_map(|record| match &record.data {
            RData::MX(mx) => Some(Mx { preference: mx.preference, exchange: plain(&mx.exchange.to_ascii()) }),
            _ => None,
        });
        let mut all: Vec<Mx> = exchangers.collect();
        all.sort_by(|a, b| a.preference.cmp(&b.preference).then_with(|| a.exchange.cmp(&b.exchange)));
        Ok(all)
    }

    async fn txt(&self, name: &str) -> Result<Vec<String>, DnsError> {
        let Some(lookup) = answered(self.resolver.txt_lookup(format!("{name}.")).await)? else { return Ok(Vec::new()) };
        let texts = lookup.answers().iter().filter_map(|record| match &record.data {
            RData::TXT(txt) => Some(txt.txt_data.iter().map(|part| String::from_utf8_lossy(part)).collect()),
            _ => None,
        });
        Ok(texts.collect())
    }
}

/// In the order in which to try them (RFC 2782): by priority, and among equals by lots, each as likely as its weight says.
/// `draw(n)` gives a number below `n`.
pub fn in_order(mut records: Vec<Srv>, mut draw: impl FnMut(u32) -> u32) -> Vec<Srv> {
    // Those of weight 0 first, so that they have their small chance; the name makes the order of the rest a fixed one.
    records.sort_by(|a, b| (a.priority, a.weight, &a.target).cmp(&(b.priority, b.weight, &b.target)));
    let mut order = Vec::with_capacity(records.len());
    while let Some(first) = records.first() {
        let equals = records.iter().take_while(|srv| srv.priority == first.priority);
        let sum: u32 = equals.clone().map(|srv| u32::from(srv.weight)).sum();
        let lot = draw(sum + 1);
        let mut reached = 0;
        let chosen = equals.take_while(|srv| {
            reached += u32::from(srv.weight);
            reached < lot
        });
        let chosen = chosen.count();
        order.push(records.remove(chosen));
    }
    order
}

/// The path that a TXT record of a service names (RFC 6764 §4).
pub fn path_of(texts: &[String]) -> Option<&str> {
    texts.iter().find_map(|text| text.strip_prefix("path=")).map(str::trim).filter(|path| path.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn srv(priority: u16, weight: u16, target: &str) -> Srv {
        Srv { priority, weight, port: 443, target: target.into() }
    }

    fn names(all: &[Srv]) -> String {
        all.iter().map(|srv| srv.target.as_str()).collect()
    }

    #[test]
    fn priority_first_and_lots_among_equals() {
        let all = || vec![srv(10, 1, "d"), srv(0, 1, "b"), srv(0, 5, "c"), srv(0, 0, "a")];
        // The lots, one for each choice, out of the sum of weights that are left and one.
        for (lots, order) in
            [([0, 0, 0, 0], "abcd"), ([1, 0, 0, 0], "bacd"), ([6, 0, 0, 0], "cabd"), ([2, 1, 0, 0], "cbad")]
        {
            let mut lots = lots.into_iter();
            assert_eq!(names(&in_order(all(), |_| lots.next().unwrap())), order);
        }
        assert_eq!(names(&in_order(Vec::new(), |_| 0)), "");
    }

    #[test]
    fn each_comes_first_as_often_as_its_weight_says() {
        // Every lot once: 0..=60 of weights 10, 20 and 30.
        let mut first = std::collections::BTreeMap::new();
        for lot in 0..=60 {
            let mut lots = std::iter::once(lot).chain(std::iter::repeat(0));
            let order = in_order(vec![srv(0, 10, "a"), srv(0, 20, "b"), srv(0, 30, "c")], |below| {
                assert!(below > 0);
                lots.next().unwrap()
            });
            *first.entry(order[0].target.clone()).or_insert(0) += 1;
        }
        assert_eq!(first.into_values().collect::<Vec<_>>(), [11, 20, 30]);
    }

    #[test]
    fn a_path_in_a_text() {
        assert_eq!(path_of(&["v=1".into(), "path=/dav/".into()]), Some("/dav/"));
        assert_eq!(path_of(&["path=dav".into()]), None);
    }
}
