//! Which addresses may be called: what keeps a customer's webhook away from our own network (SSRF).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use url::{Host, Url};

use crate::Error;

/// Characters of an address at most.
const MOST: usize = 2_048;

/// What is allowed beyond https to public addresses. Link-local and metadata addresses are never called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// `http://` too.
    pub allow_http: bool,
    /// Loopback and private networks too.
    pub allow_private: bool,
}

impl Rules {
    /// The address, if its form is allowed. Asks nobody: for when a channel is made. Names are looked at when called.
    pub fn parse(self, text: &str) -> Result<Url, Error> {
        let refuse = |host: &str, reason| Err(Error::Forbidden { host: host.to_owned(), reason });
        if text.len() > MOST {
            return refuse("?", "the address is longer than 2048 characters");
        }
        let Ok(url) = Url::parse(text) else { return refuse("?", "this is no address") };
        let host = host(&url);
        match url.scheme() {
            "https" => {}
            "http" if self.allow_http => {}
            _ => return refuse(&host, "only https is allowed"),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refuse(&host, "an address must not hold credentials");
        }
        if let Some(address) = literal(&url)
            && let Err(reason) = self.check(address)
        {
            return refuse(&host, reason);
        }
        Ok(url)
    }

    /// What the name stands for now; refused if any of it is not allowed.
    pub(super) async fn resolve(self, url: &Url) -> Result<Vec<SocketAddr>, Error> {
        let host = host(url);
        let port = url.port_or_known_default().unwrap_or(443);
        let addresses: Vec<SocketAddr> = match literal(url) {
            Some(address) => vec![SocketAddr::new(address, port)],
            None => tokio::net::lookup_host((host.as_str(), port))
                .await
                .map_err(|error| Error::Unreachable { host: host.clone(), reason: error.to_string() })?
                .collect(),
        };
        for address in &addresses {
            self.check(address.ip()).map_err(|reason| Error::Forbidden { host: host.clone(), reason })?;
        }
        Ok(addresses)
    }

    fn check(self, address: IpAddr) -> Result<(), &'static str> {
        let address = match address {
            IpAddr::V6(six) => six.to_ipv4_mapped().map_or(address, IpAddr::V4),
            IpAddr::V4(_) => address,
        };
        match reach(address) {
            Reach::Public => Ok(()),
            Reach::Private if self.allow_private => Ok(()),
            Reach::Private => Err("the address is in a private network"),
            Reach::Never => Err("the address is reserved, link-local or of a cloud's metadata"),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Reach {
    Public,
    Private,
    Never,
}

fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(four) => reach_v4(four),
        IpAddr::V6(six) => reach_v6(six),
    }
}

fn reach_v4(address: Ipv4Addr) -> Reach {
    let [a, b, c, d] = address.octets();
    match (a, b, c, d) {
        // Alibaba's and Azure's metadata, which lie in no reserved range of their own.
        (100, 100, 100, 200) | (168, 63, 129, 16) => Reach::Never,
        (10 | 127, ..) | (192, 168, ..) | (172, 16..=31, ..) | (100, 64..=127, ..) => Reach::Private,
        // This network, link-local, protocol assignments, documentation, relays, benchmarks, multicast, reserved.
        (0 | 224..=255, ..) | (169, 254, ..) | (192, 0, 0 | 2, _) | (192, 88, 99, _) => Reach::Never,
        (198, 18..=19, ..) | (198, 51, 100, _) | (203, 0, 113, _) => Reach::Never,
        _ => Reach::Public,
    }
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    let [a, b, ..] = address.segments();
    if address == Ipv6Addr::LOCALHOST {
        return Reach::Private;
    }
    match (a, b) {
        // Amazon's metadata lies in a private range.
        (0xfd00, 0x0ec2) => Reach::Never,
        (0xfc00..=0xfdff, _) => Reach::Private,
        // Special purposes and Teredo, documentation, 6to4 (holds any IPv4 address).
        (0x2001, 0x0000..=0x01ff | 0x0db8) | (0x2002, _) | (0x3fff, 0x0000..=0x0fff) => Reach::Never,
        (0x2000..=0x3fff, _) => Reach::Public,
        // Everything else is not given to anybody, or means something else: NAT64, link-local, multicast …
        _ => Reach::Never,
    }
}

/// Host of an address, for messages and look-ups: without port, path and query.
pub(super) fn host(url: &Url) -> String {
    url.host_str().unwrap_or("?").to_owned()
}

/// The IP address that a host spells; `Url` has brought `0x7f.1` and the like to their usual form.
fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
        Host::Domain(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(rules: Rules, text: &str) -> bool {
        matches!(rules.parse(text), Err(Error::Forbidden { .. }))
    }

    #[test]
    fn a_public_https_address_will_do() {
        for good in ["https://hooks.example.org/x?y=1", "https://93.184.216.34:8443/", "https://[2606:4700::1111]/"] {
            Rules::default().parse(good).unwrap();
        }
    }

    #[test]
    fn our_own_network_is_not_called_however_it_is_written() {
        for bad in [
            "http://hooks.example.org/",
            "ftp://hooks.example.org/",
            "file:///etc/passwd",
            "gopher://x/",
            "nonsense",
            "",
            "https://user:secret@hooks.example.org/",
            "https://127.0.0.1/",
            "https://127.1/",
            "https://0x7f000001/",
            "https://2130706433/",
            "https://0177.0.0.1/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[::ffff:7f00:1]/",
            "https://10.1.2.3/",
            "https://172.16.0.1/",
            "https://172.31.255.255/",
            "https://192.168.0.1/",
            "https://100.64.0.1/",
            "https://169.254.169.254/latest/meta-data/",
            "https://[fd00:ec2::254]/",
            "https://168.63.129.16/",
            "https://100.100.100.200/",
            "https://192.0.0.192/",
            "https://0.0.0.0/",
            "https://[::]/",
            "https://255.255.255.255/",
            "https://224.0.0.1/",
            "https://[fe80::1]/",
            "https://[fc00::1]/",
            "https://[ff02::1]/",
            "https://[64:ff9b::7f00:1]/",
            "https://[2002:7f00:1::]/",
            "https://[2001:0:7f00:1::]/",
            "https://[::127.0.0.1]/",
            "https://[2001:db8::1]/",
            "https://198.18.0.1/",
        ] {
            assert!(refused(Rules::default(), bad), "{bad}");
        }
        assert!(refused(Rules::default(), &format!("https://x.example/{}", "a".repeat(3_000))));
        for good in ["https://172.15.0.1/", "https://172.32.0.1/", "https://100.63.0.1/", "https://100.128.0.1/"] {
            assert!(!refused(Rules::default(), good), "{good}");
        }
    }

    #[test]
    fn what_is_allowed_on_request_stops_before_metadata() {
        let all = Rules { allow_http: true, allow_private: true };
        for good in ["http://127.0.0.1:9000/", "http://[::1]/", "http://10.0.0.1/", "https://[fd12::1]/"] {
            assert!(!refused(all, good), "{good}");
        }
        for bad in ["http://169.254.169.254/", "http://[fd00:ec2::254]/", "http://[fe80::1]/", "http://0.0.0.0/"] {
            assert!(refused(all, bad), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_name_is_refused_for_what_it_stands_for() {
        let url = Rules::default().parse("https://localhost:1/").unwrap();
        assert!(matches!(Rules::default().resolve(&url).await, Err(Error::Forbidden { .. })));
        let private = Rules { allow_private: true, ..Rules::default() };
        assert!(!private.resolve(&url).await.unwrap().is_empty());
    }

    #[test]
    fn an_error_names_the_host_alone() {
        let error = Rules::default().parse("https://10.0.0.1/hook?token=secret").unwrap_err();
        assert_eq!(error.to_string(), "refused to call 10.0.0.1: the address is in a private network");
    }
}
