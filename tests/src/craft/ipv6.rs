//! The IPv6 header (RFC 8200) and its chain of extension headers.

use std::net::Ipv6Addr;

use super::extension::Extension;
use super::transport::{TCP, TCP_FLAGS_END, Upper};
use super::{Metered, Packet, length16, length32};

/// An IPv6 header in the making.
#[derive(Clone, Debug)]
pub struct Ipv6 {
    /// Source address.
    pub source: Ipv6Addr,
    /// Destination address.
    pub destination: Ipv6Addr,
    /// Traffic class.
    pub class: u8,
    /// Hop limit.
    pub hop_limit: u8,
    /// Extension headers, first to last.
    pub extensions: Vec<Extension>,
}

/// A header whose source address is made from `host`, so that each case is a flow of its own.
#[must_use]
pub fn ipv6(host: u16) -> Ipv6 {
    Ipv6 {
        source: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, host),
        destination: Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1),
        class: 0,
        hop_limit: 64,
        extensions: Vec::new(),
    }
}

impl Ipv6 {
    /// Sets the traffic class.
    #[must_use]
    pub fn class(mut self, class: u8) -> Self {
        self.class = class;
        self
    }

    /// Sets the hop limit.
    #[must_use]
    pub fn hop_limit(mut self, hop_limit: u8) -> Self {
        self.hop_limit = hop_limit;
        self
    }

    /// Appends an extension header.
    #[must_use]
    pub fn with(mut self, extension: Extension) -> Self {
        self.extensions.push(extension);
        self
    }

    /// The packet with this payload, of the length that it has.
    #[must_use]
    pub fn carry(&self, upper: &Upper) -> Packet {
        let chain: usize = self.extensions.iter().map(|extension| extension.octets.len()).sum();
        self.carry_as(upper, length16(chain + upper.octets.len()))
    }

    /// The packet with this payload and a payload length of the caller's choice.
    ///
    /// TCP flags behind that length are not the packet's. Whether the extension headers and the
    /// ports are is left to the caller, as any other fault; so is a frame longer than the packet where the
    /// payload length is 0 and TCP follows at once, which stands for all that is there. Where a jumbo
    /// payload option comes first, 0 stands for its length.
    #[must_use]
    pub fn carry_as(&self, upper: &Upper, payload: u16) -> Packet {
        let kinds: Vec<u8> =
            self.extensions.iter().map(|extension| extension.kind).chain([upper.protocol]).collect();
        let mut octets = self.header(kinds[0], payload);
        // The end of the walk, and the header found there.
        let mut end = octets.len();
        let mut found = None;
        for (extension, next) in self.extensions.iter().zip(&kinds[1..]) {
            octets.push(*next);
            octets.extend(&extension.octets[1..]);
            if found.is_none() {
                end = octets.len();
                found = extension.later.then_some(*next);
            }
        }
        octets.extend(&upper.octets);
        let ports = if found.is_some() { (0, 0) } else { upper.ports };
        let jumbo = self.extensions.first().and_then(|first| first.jumbo).filter(|_| payload == 0);
        let total = match (payload, jumbo) {
            (_, Some(jumbo)) => jumbo.saturating_add(40),
            (0, None) if kinds[0] == TCP => length32(octets.len()),
            _ => 40 + u32::from(payload),
        };
        let flags_end = end + TCP_FLAGS_END;
        let flags = upper.flags.filter(|_| found.is_none() && total as usize >= flags_end);
        Packet {
            kind: 0x86dd,
            octets,
            needed: end + if found.is_some() { 0 } else { upper.needed },
            flags_end: flags.map(|_| flags_end),
            metered: Metered {
                source: self.source.into(),
                destination: self.destination.into(),
                protocol: found.unwrap_or(upper.protocol),
                source_port: ports.0,
                destination_port: ports.1,
                vlan: 0,
                tos: self.class,
                octets: total,
                tcp_flags: flags.unwrap_or(0),
                ttl: self.hop_limit,
            },
        }
    }

    /// The fixed header; the flow label is one that a wrong shift would mix into the class.
    fn header(&self, next: u8, payload: u16) -> Vec<u8> {
        let mut header = vec![0x60 | self.class >> 4, self.class << 4 | 0x0a, 0xbc, 0xde];
        header.extend(payload.to_be_bytes());
        header.extend([next, self.hop_limit]);
        header.extend(self.source.octets());
        header.extend(self.destination.octets());
        header
    }
}
