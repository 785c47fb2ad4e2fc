//! When two URLs name one collector, however they are spelled.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use flowxdp_core::exporting::protocol::Protocol;

use super::{CollectorUrl, Host, Scheme};

/// The parts of a URL that identify a collector. Records sent to one collector twice would count twice.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    scheme: Scheme,
    host: Host,
    port: u16,
    protocol: Protocol,
    /// A second address to send from is a second exporter.
    source: Option<IpAddr>,
}

impl CollectorUrl {
    /// The collector that the URL names, for a protocol where it has none.
    pub fn endpoint(&self, default_protocol: Protocol) -> Endpoint {
        Endpoint {
            scheme: self.scheme,
            host: canonical(&self.host),
            port: self.port(default_protocol),
            protocol: self.protocol(default_protocol),
            source: self.source.map(|source| source.to_canonical()),
        }
    }
}

/// One spelling of a host: IPv4 in IPv6 (RFC 4291 section 2.5.5.2) is IPv4, a name has neither capitals nor
/// the dot of the root, `localhost` is 127.0.0.1 (RFC 6761 section 6.3), and so is 0.0.0.0, which Linux
/// connects to it.
fn canonical(host: &Host) -> Host {
    let loopback = Host::V4(Ipv4Addr::LOCALHOST);
    match host {
        Host::V4(Ipv4Addr::UNSPECIFIED) => loopback,
        Host::V4(_) => host.clone(),
        Host::V6 { address, zone } => match address.to_ipv4_mapped() {
            Some(address) => canonical(&Host::V4(address)),
            None if address.is_unspecified() => Host::V6 { address: Ipv6Addr::LOCALHOST, zone: None },
            None => Host::V6 { address: *address, zone: zone.clone() },
        },
        Host::Name(name) => {
            let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
            if name == "localhost" { loopback } else { Host::Name(name) }
        }
    }
}
