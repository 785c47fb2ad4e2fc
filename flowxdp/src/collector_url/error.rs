//! Why a URL is refused, and the remedy.

use std::net::IpAddr;

use flowxdp_core::exporting::protocol::Protocol;

use super::{Scheme, parameters};

/// Why a URL is refused, and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message is its documentation")]
pub enum UrlError {
    #[error("\"{0}\" has no scheme: write udp://HOST:PORT")]
    NoScheme(String),
    #[error("unknown scheme \"{0}\": the known ones are {known}", known = Scheme::known())]
    UnknownScheme(String),
    #[error("collect listens on UDP alone: write udp://HOST:PORT")]
    Listen,
    #[error("unknown protocol \"{0}\": use {known}", known = parameters::known_protocols())]
    UnknownProtocol(String),
    #[error("unknown preset \"{0}\": the known ones are {known}", known = parameters::known_presets())]
    UnknownPreset(String),
    #[error("{0} goes over UDP alone: write udp://, or protocol=ipfix to stay with {1}://")]
    UdpAlone(Protocol, Scheme),
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
    #[error("a fragment has no meaning here: take what stands behind the # away, or write %23")]
    Fragment,
    #[error("a listening address takes no parameters: take what stands behind the ? away")]
    NoParameters,
    #[error(
        "unknown parameter \"{0}\": the known ones are protocol, preset, fields, mtu, source, for tcp:// and tls:// \
         resend-after-end, and for tls:// ca, cert, key, name, peer, peers"
    )]
    UnknownParameter(String),
    #[error("{0}= says something of TLS, and {1}:// has none: take it away, or write tls://")]
    NoTls(String, Scheme),
    #[error("{0} says something of a connection's end, and udp:// has none: take it away, or write tcp://")]
    NoConnection(String),
    #[error("{0}={1} is neither true nor false: write {0}=true or {0}=false")]
    Switch(String, String),
    #[error("the parameter {0} is given twice: keep one")]
    Duplicate(String),
    #[error("the parameter {0} has no value")]
    Empty(String),
    #[error("\"{0}\" has a % without two hexadecimal digits, or not UTF-8: write a % itself as %25")]
    Percent(String),
    #[error("mtu={0} is not a message size: use 512 to {1} octets")]
    Mtu(String, u16),
    #[error("source={0} is not an address to send from: write it like source=192.0.2.1")]
    Source(String),
    #[error("source={0} and the collector's address {1} are not of the same IP version")]
    SourceFamily(IpAddr, IpAddr),
    #[error("\"{0}\" is no name that a certificate can have: write it like collector.example.net")]
    Name(String),
    #[error("\"{0}\" is not the SHA-256 of a certificate: write sha256: and 64 hexadecimal digits")]
    Peer(String),
    #[error("there is a certificate and no key: name its file by key= or --tls-key")]
    NoKey,
    #[error("there is a key and no certificate: name its file by cert= or --tls-cert")]
    NoCertificate,
}
