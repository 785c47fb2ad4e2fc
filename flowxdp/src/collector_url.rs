//! Where flow records go, as typed: `udp://HOST[:PORT][?protocol=…&mtu=…&source=ADDR]`.

mod authority;
mod listen;

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use flowxdp_core::protocol::Protocol;

pub use authority::Host;
pub use listen::ListenUrl;

/// Smallest message size that `mtu=` takes, octets: what RFC 7011, 10.3.3 falls back to.
pub const SMALLEST_MESSAGE: u16 = 512;
/// Largest message size that `mtu=` takes, octets: what one UDP datagram over IPv4 can carry.
pub const LARGEST_MESSAGE: u16 = 65_507;

/// Parameters that a collector's URL takes.
const PARAMETERS: &str = "protocol, mtu, source";

/// A collector's URL.
///
/// Its `Display` is the text as it was typed: the collector's name in the books.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CollectorUrl {
    text: String,
    host: Host,
    port: Option<u16>,
    protocol: Option<Protocol>,
    mtu: Option<u16>,
    source: Option<IpAddr>,
}

/// Why a URL is not taken, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message is its documentation")]
pub enum UrlError {
    #[error("\"{0}\" has no scheme: write udp://HOST:PORT")]
    NoScheme(String),
    #[error("unknown scheme \"{0}\": the known ones are {1}")]
    UnknownScheme(String, String),
    #[error("the scheme {0}:// is not built yet: use udp://")]
    SchemeNotBuilt(&'static str),
    #[error("the protocol {0} is not built yet: use ipfix or v9")]
    ProtocolNotBuilt(String),
    #[error("unknown protocol \"{0}\": use ipfix or v9")]
    UnknownProtocol(String),
    #[error("there is no host: write udp://HOST:PORT")]
    NoHost,
    #[error("\"{0}\" is neither a host name nor an IPv4 address")]
    Host(String),
    #[error("\"{0}\" is not an IPv6 address")]
    Ipv6(String),
    #[error("\"{0}\" is not an interface: write the zone as its name or index, like [fe80::1%eth0]")]
    Zone(String),
    #[error("\"{0}\": put an IPv6 address in brackets, like udp://[2001:db8::1]:4739")]
    BareIpv6(String),
    #[error("the brackets do not match: write udp://[2001:db8::1]:4739")]
    Bracket,
    #[error("\"{0}\" is not a port: use 1 to 65535")]
    Port(String),
    #[error("a user name has no meaning here: take what stands before the @ away")]
    UserInfo,
    #[error("a path has no meaning here: take \"{0}\" away")]
    Path(String),
    #[error("a fragment has no meaning here: take what stands behind the # away")]
    Fragment,
    #[error("a listening address takes no parameters: take what stands behind the ? away")]
    NoParameters,
    #[error("unknown parameter \"{0}\": the known ones are {PARAMETERS}")]
    UnknownParameter(String),
    #[error("the parameter {0} is given twice: keep one")]
    Duplicate(String),
    #[error(
        "mtu={0} is not a message size: use {SMALLEST_MESSAGE} to {LARGEST_MESSAGE} octets of UDP payload"
    )]
    Mtu(String),
    #[error("source={0} is not an address to send from: write it like source=192.0.2.1")]
    Source(String),
    #[error("source={0} and the collector's address {1} are not of the same IP version")]
    SourceFamily(IpAddr, IpAddr),
}

impl CollectorUrl {
    /// The host to send to.
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// The port: the one typed, or the usual one of the protocol in effect.
    pub fn port(&self, default_protocol: Protocol) -> u16 {
        self.port.unwrap_or_else(|| self.protocol(default_protocol).port())
    }

    /// The protocol: the one typed here, or the given one.
    pub fn protocol(&self, default_protocol: Protocol) -> Protocol {
        self.protocol.unwrap_or(default_protocol)
    }

    /// Largest message, octets of UDP payload, where the URL says so.
    pub const fn mtu(&self) -> Option<u16> {
        self.mtu
    }

    /// The local address to send from, where the URL says so.
    pub const fn source(&self) -> Option<IpAddr> {
        self.source
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), UrlError> {
        let duplicate = match name {
            "protocol" => self.protocol.replace(protocol(value)?).is_some(),
            "mtu" => self.mtu.replace(mtu(value)?).is_some(),
            "source" => self.source.replace(source(value)?).is_some(),
            _ => return Err(UrlError::UnknownParameter(name.to_owned())),
        };
        if duplicate { Err(UrlError::Duplicate(name.to_owned())) } else { Ok(()) }
    }
}

impl FromStr for CollectorUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let parts = authority::split(text)?;
        if parts.port == Some(0) {
            return Err(UrlError::Port("0".to_owned()));
        }
        let text = text.to_owned();
        let mut url =
            Self { text, host: parts.host, port: parts.port, protocol: None, mtu: None, source: None };
        for parameter in parts.query.unwrap_or_default().split('&').filter(|part| !part.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            url.take(name, value)?;
        }
        match (url.source, url.host.address()) {
            (Some(source), Some(host)) if source.is_ipv4() != host.is_ipv4() => {
                Err(UrlError::SourceFamily(source, host))
            }
            _ => Ok(url),
        }
    }
}

impl fmt::Display for CollectorUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn protocol(value: &str) -> Result<Protocol, UrlError> {
    match value.to_ascii_lowercase().as_str() {
        "ipfix" => Ok(Protocol::Ipfix),
        "v9" => Ok(Protocol::V9),
        name @ ("v1" | "v5" | "v7") => Err(UrlError::ProtocolNotBuilt(name.to_owned())),
        _ => Err(UrlError::UnknownProtocol(value.to_owned())),
    }
}

fn mtu(value: &str) -> Result<u16, UrlError> {
    match value.parse() {
        Ok(mtu @ SMALLEST_MESSAGE..=LARGEST_MESSAGE) => Ok(mtu),
        _ => Err(UrlError::Mtu(value.to_owned())),
    }
}

fn source(value: &str) -> Result<IpAddr, UrlError> {
    let bare = value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(value);
    match bare.parse::<IpAddr>() {
        Ok(address) if !address.is_unspecified() && !address.is_multicast() => Ok(address),
        _ => Err(UrlError::Source(value.to_owned())),
    }
}

#[cfg(test)]
mod tests;
