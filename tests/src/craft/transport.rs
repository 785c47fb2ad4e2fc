//! The content of an IP packet: the headers with ports, ICMP, and protocols without either.

/// Payload of an IP packet.
#[derive(Clone, Debug)]
pub struct Upper {
    /// IANA protocol number.
    pub protocol: u8,
    /// Its octets.
    pub octets: Vec<u8>,
    /// The values for the flow key.
    pub ports: (u16, u16),
    /// Octets that hold the values for the flow key.
    pub needed: usize,
    /// TCP flags.
    pub flags: Option<u8>,
}

/// IANA protocol number of TCP.
pub const TCP: u8 = 6;

/// Octets of a TCP header up to and with the flags.
pub const TCP_FLAGS_END: usize = 14;

impl Upper {
    /// Appends `octets` octets of payload.
    #[must_use]
    pub fn payload(mut self, octets: usize) -> Self {
        self.octets.resize(self.octets.len() + octets, b'.');
        self
    }
}

/// A header that begins with two ports, filled up with `rest`.
fn with_ports(protocol: u8, source: u16, destination: u16, rest: &[u8]) -> Upper {
    let octets = [&source.to_be_bytes()[..], &destination.to_be_bytes(), rest].concat();
    Upper { protocol, octets, ports: (source, destination), needed: 4, flags: None }
}

/// TCP (RFC 9293).
#[must_use]
pub fn tcp(source: u16, destination: u16, flags: u8) -> Upper {
    let rest = [0, 0, 0, 1, 0, 0, 0, 2, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0];
    Upper { flags: Some(flags), ..with_ports(TCP, source, destination, &rest) }
}

/// UDP (RFC 768) without payload.
#[must_use]
pub fn udp(source: u16, destination: u16) -> Upper {
    with_ports(17, source, destination, &[0, 8, 0, 0])
}

/// UDP-Lite (RFC 3828), the whole packet covered by its checksum.
#[must_use]
pub fn udp_lite(source: u16, destination: u16) -> Upper {
    with_ports(136, source, destination, &[0, 0, 0, 0])
}

/// SCTP (RFC 9260): the common header.
#[must_use]
pub fn sctp(source: u16, destination: u16) -> Upper {
    with_ports(132, source, destination, &[0; 8])
}

/// DCCP (RFC 4340): the short generic header.
#[must_use]
pub fn dccp(source: u16, destination: u16) -> Upper {
    with_ports(33, source, destination, &[3, 0, 0, 0, 0, 0, 0, 1])
}

/// ICMP (RFC 792).
#[must_use]
pub fn icmp(kind: u8, code: u8) -> Upper {
    icmp_as(1, kind, code)
}

/// ICMPv6 (RFC 4443).
#[must_use]
pub fn icmpv6(kind: u8, code: u8) -> Upper {
    icmp_as(58, kind, code)
}

fn icmp_as(protocol: u8, kind: u8, code: u8) -> Upper {
    let octets = vec![kind, code, 0, 0, 0, 1, 0, 1];
    Upper { protocol, octets, ports: (0, u16::from_be_bytes([kind, code])), needed: 2, flags: None }
}

/// A protocol without ports; its octets would be telling ones if they were read as such.
#[must_use]
pub fn other(protocol: u8) -> Upper {
    let octets = vec![0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88];
    Upper { protocol, octets, ports: (0, 0), needed: 0, flags: None }
}
