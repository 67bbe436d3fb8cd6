//! Which network addresses may be reached at all: a user-given URL must not lead into the network behind us.
//!
//! Owns: the classes of addresses, [`AddressPolicy`], and the name resolver that the client connects through; since the
//! addresses that were checked are the very ones connected to, a name that changes its answer in between gains nothing.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Which addresses may be reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressPolicy {
    /// Private, link-local and loopback addresses too.
    pub allow_private: bool,
    /// These names and literal addresses whatever they resolve to (a company's own Exchange server).
    pub private_hosts: BTreeSet<String>,
}

impl AddressPolicy {
    fn allows(&self, host: &str, address: IpAddr) -> bool {
        self.allow_private
            || is_public(address)
            || self.private_hosts.contains(&host.trim_end_matches('.').to_ascii_lowercase())
    }

    /// Checks an address that is written as a number, which no resolver ever sees.
    pub fn check_literal(&self, url: &Url) -> Result<(), PrivateAddress> {
        let Some(host) = url.host_str() else { return Ok(()) };
        match host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            Ok(address) if !self.allows(host, address) => Err(PrivateAddress { host: host.to_owned() }),
            _ => Ok(()),
        }
    }
}

/// A name that leads into a private network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{host} is an address in a private network; if it is meant, allow it in the configuration (private_hosts)")]
pub struct PrivateAddress {
    /// The name or number.
    pub host: String,
}

/// Whether an address belongs to the public internet (the registries of RFC 6890 and what embeds an IPv4 address).
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || a == 0
        || (a == 100 && (64..128).contains(&b)) // shared with the carrier, RFC 6598
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (b == 18 || b == 19)) // benchmarks, RFC 2544
        || a >= 224)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] => embedded(high, low), // mapped and compatible; `::` and `::1` too
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),  // NAT64, RFC 6052
        [0x64, 0xff9b, 1, ..] => false,                                // local NAT64, RFC 8215
        [0x2002, high, low, ..] => embedded(high, low),                // 6to4
        [0x2001, 0, ..] | [0x2001, 0xdb8, ..] | [0x100, 0, 0, 0, ..] => false, // Teredo, documentation, discard
        // Only this block is handed out at all: leaves out fc00::/7, fe80::/10, fec0::/10, ff00::/8.
        [first, ..] => (0x2000..0x4000).contains(&first),
    }
}

/// Resolves names by the system and lets only allowed addresses through.
#[derive(Clone, Debug)]
pub(super) struct GuardedResolver {
    pub(super) policy: Arc<AddressPolicy>,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = Arc::clone(&self.policy);
        Box::pin(async move {
            let host = name.as_str();
            let found: Vec<_> = tokio::net::lookup_host((host, 0)).await?.collect();
            let any = !found.is_empty();
            let allowed: Vec<_> = found.into_iter().filter(|address| policy.allows(host, address.ip())).collect();
            if any && allowed.is_empty() {
                return Err(PrivateAddress { host: host.to_owned() }.into());
            }
            let addresses: Addrs = Box::new(allowed.into_iter());
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_public_internet_is_public() {
        let public =
            ["8.8.8.8", "17.248.1.1", "2620:149:af0::10", "2a00:1450:4001::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"];
        let private = [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "192.0.0.8",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "192.0.2.1",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::10.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:a00:1::",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "100::1",
        ];
        for address in public {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
        for address in private {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn numbers_are_checked_too() {
        let policy = AddressPolicy::default();
        for refused in [
            "http://127.0.0.1/",
            "https://[::1]/",
            "https://169.254.169.254/x",
            "https://0x7f.1/",
            "https://2130706433/",
        ] {
            assert!(policy.check_literal(&Url::parse(refused).unwrap()).is_err(), "{refused}");
        }
        assert!(policy.check_literal(&Url::parse("https://8.8.8.8/").unwrap()).is_ok());
        let mine = AddressPolicy { private_hosts: ["192.168.1.5".to_owned()].into(), ..AddressPolicy::default() };
        assert!(mine.check_literal(&Url::parse("https://192.168.1.5/").unwrap()).is_ok());
        assert!(mine.check_literal(&Url::parse("https://192.168.1.6/").unwrap()).is_err());
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_refused() {
        let guard = |allow_private| GuardedResolver {
            policy: Arc::new(AddressPolicy { allow_private, ..AddressPolicy::default() }),
        };
        let refused = guard(false).resolve("localhost".parse().unwrap()).await.err().unwrap();
        assert!(refused.downcast_ref::<PrivateAddress>().is_some());
        assert!(guard(true).resolve("localhost".parse().unwrap()).await.is_ok());
    }
}
