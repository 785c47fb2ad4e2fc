//! The part of a URL that collectors and listeners share: scheme, host and port.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::UrlError;

/// How messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `udp://`: a datagram each.
    Udp,
    /// `tcp://`: one stream.
    Tcp,
    /// `tls://`: one stream, encrypted, both ends known.
    Tls,
}

/// A scheme's row.
struct Row {
    scheme: Scheme,
    /// The part in front of the `://`.
    name: &'static str,
    /// The usual port; `None` for that of the export protocol.
    port: Option<u16>,
    /// Octets of the largest message.
    largest_message: u16,
    /// Messages arrive in order, or the connection breaks.
    is_reliable: bool,
    /// Both ends are known by certificates.
    is_encrypted: bool,
    /// IANA's number of the transport protocol.
    protocol_number: u8,
}

/// The table of schemes, in the order of the type.
const ROWS: [Row; 3] = [
    Row {
        scheme: Scheme::Udp,
        name: "udp",
        port: None,
        // The most that a datagram over IPv4 carries.
        largest_message: 65_507,
        is_reliable: false,
        is_encrypted: false,
        protocol_number: 17,
    },
    Row {
        scheme: Scheme::Tcp,
        name: "tcp",
        port: None,
        largest_message: u16::MAX,
        is_reliable: true,
        is_encrypted: false,
        protocol_number: 6,
    },
    Row {
        scheme: Scheme::Tls,
        name: "tls",
        // IANA: ipfixs.
        port: Some(4740),
        largest_message: u16::MAX,
        is_reliable: true,
        is_encrypted: true,
        protocol_number: 6,
    },
];

impl Scheme {
    const fn row(self) -> &'static Row {
        &ROWS[self as usize]
    }

    /// The part in front of the `://`.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// The port of a collector whose URL has none; `None` for that of the export protocol.
    pub const fn port(self) -> Option<u16> {
        self.row().port
    }

    /// Largest message, octets.
    pub const fn largest_message(self) -> u16 {
        self.row().largest_message
    }

    /// Whether messages arrive in order or the connection breaks: templates are sent once, a spool takes records
    /// while the collector is away, and NetFlow has no such transport.
    pub const fn is_reliable(self) -> bool {
        self.row().is_reliable
    }

    /// Whether both ends are known by certificates: the parameters and the files of TLS are for such transports.
    pub const fn is_encrypted(self) -> bool {
        self.row().is_encrypted
    }

    /// IANA's number of the transport protocol.
    pub const fn protocol_number(self) -> u8 {
        self.row().protocol_number
    }

    fn named(name: &str) -> Option<Self> {
        ROWS.iter().find(|row| row.name.eq_ignore_ascii_case(name)).map(|row| row.scheme)
    }

    /// All of them, for people.
    pub(super) fn known() -> String {
        ROWS.map(|row| format!("{}://", row.name)).join(", ")
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A host: a name to resolve, or an address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// A name, for the resolver.
    Name(String),
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address with its zone (an interface's name or index), if it has one.
    V6 {
        /// The address.
        address: Ipv6Addr,
        /// The text behind the `%`.
        zone: Option<String>,
    },
}

impl Host {
    /// The address, unless the host is a name.
    pub const fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Name(_) => None,
            Self::V4(address) => Some(IpAddr::V4(*address)),
            Self::V6 { address, .. } => Some(IpAddr::V6(*address)),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::V4(address) => address.fmt(f),
            Self::V6 { address, zone: None } => write!(f, "[{address}]"),
            Self::V6 { address, zone: Some(zone) } => write!(f, "[{address}%{zone}]"),
        }
    }
}

/// A URL taken apart as far as collectors and listeners agree.
pub(crate) struct Parts<'a> {
    pub(crate) scheme: Scheme,
    pub(crate) host: Host,
    pub(crate) port: Option<u16>,
    /// The text behind the `?`.
    pub(crate) query: Option<&'a str>,
}

/// Takes `SCHEME://HOST[:PORT][?QUERY]` apart.
pub(crate) fn split(text: &str) -> Result<Parts<'_>, UrlError> {
    let (scheme, rest) = text.split_once("://").ok_or_else(|| UrlError::NoScheme(text.to_owned()))?;
    let scheme = Scheme::named(scheme).ok_or_else(|| UrlError::UnknownScheme(scheme.to_owned()))?;
    if rest.contains('#') {
        return Err(UrlError::Fragment);
    }
    let (before, query) = match rest.split_once('?') {
        Some((before, query)) => (before, Some(query)),
        None => (rest, None),
    };
    if let Some((_, path)) = before.split_once('/') {
        return Err(UrlError::Path(format!("/{path}")));
    }
    if before.contains('@') {
        return Err(UrlError::UserInfo);
    }
    let (host, port) = host_and_port(before)?;
    Ok(Parts { scheme, host, port, query })
}

fn host_and_port(text: &str) -> Result<(Host, Option<u16>), UrlError> {
    if let Some(rest) = text.strip_prefix('[') {
        let (inside, after) = rest.split_once(']').ok_or(UrlError::Bracket)?;
        let port = match after.strip_prefix(':') {
            Some(digits) => Some(port(digits)?),
            None if after.is_empty() => None,
            None => return Err(UrlError::Bracket),
        };
        return Ok((v6(inside)?, port));
    }
    let (name, port) = match text.split_once(':') {
        Some((_, rest)) if rest.contains(':') => return Err(UrlError::BareIpv6(text.to_owned())),
        Some((name, digits)) => (name, Some(port(digits)?)),
        None => (text, None),
    };
    Ok((name_or_v4(name)?, port))
}

fn port(digits: &str) -> Result<u16, UrlError> {
    // parse alone would take a plus sign.
    match digits.parse::<u16>() {
        Ok(port) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Ok(port),
        _ => Err(UrlError::Port(digits.to_owned())),
    }
}

fn v6(inside: &str) -> Result<Host, UrlError> {
    let (address, zone) = match inside.split_once('%') {
        Some((address, zone)) => (address, Some(zone_of(zone))),
        None => (inside, None),
    };
    if let Some(zone) = zone {
        // An interface's name has at most 15 octets.
        if zone.is_empty() || zone.len() > 15 || !zone.chars().all(|c| c.is_ascii_graphic()) {
            return Err(UrlError::Zone(zone.to_owned()));
        }
    }
    let address = address.parse().map_err(|_| UrlError::Ipv6(address.to_owned()))?;
    Ok(Host::V6 { address, zone: zone.map(str::to_owned) })
}

/// RFC 6874 wants the `%` written as `%25`. Behind a digit it stays: `%253` is interface 253.
fn zone_of(zone: &str) -> &str {
    match zone.strip_prefix("25") {
        Some(rest) if rest.starts_with(|c: char| !c.is_ascii_digit()) => rest,
        _ => zone,
    }
}

fn name_or_v4(name: &str) -> Result<Host, UrlError> {
    if name.is_empty() {
        return Err(UrlError::NoHost);
    }
    if let Ok(address) = name.parse() {
        return Ok(Host::V4(address));
    }
    let labels = name.strip_suffix('.').unwrap_or(name);
    let valid = labels.len() <= 253
        && labels.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        });
    // No top-level domain is a number: this is an address with a slip.
    let number = labels.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    if !valid || number {
        return Err(UrlError::Host(name.to_owned()));
    }
    Ok(Host::Name(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheme_has_the_row_of_its_name() {
        for (number, row) in ROWS.iter().enumerate() {
            assert_eq!((row.scheme as usize, row.scheme.name()), (number, row.name));
            assert_eq!(Scheme::named(&row.name.to_uppercase()), Some(row.scheme));
        }
        assert_eq!(Scheme::known(), "udp://, tcp://, tls://");
    }
}
