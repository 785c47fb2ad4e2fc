//! The IPv4 header (RFC 791).

use std::net::Ipv4Addr;

use super::transport::{TCP, TCP_FLAGS_END, Upper};
use super::{Metered, Packet, length16, length32};

/// Don't Fragment.
pub const DF: u16 = 0x4000;
/// More Fragments.
pub const MF: u16 = 0x2000;

/// An IPv4 header in the making.
#[derive(Clone, Debug)]
pub struct Ipv4 {
    /// Source address.
    pub source: Ipv4Addr,
    /// Destination address.
    pub destination: Ipv4Addr,
    /// Type of service.
    pub tos: u8,
    /// Time to live.
    pub ttl: u8,
    /// Flags, and the fragment offset in units of 8 octets.
    pub fragment: u16,
    /// Options: a multiple of 4 octets, at most 40.
    pub options: Vec<u8>,
}

/// A header whose source address is made from `host`, so that each case is a flow of its own.
#[must_use]
pub fn ipv4(host: u16) -> Ipv4 {
    let [high, low] = host.to_be_bytes();
    Ipv4 {
        source: Ipv4Addr::new(10, 0, high, low),
        destination: Ipv4Addr::new(192, 0, 2, 1),
        tos: 0,
        ttl: 64,
        fragment: DF,
        options: Vec::new(),
    }
}

impl Ipv4 {
    /// Sets the type of service.
    #[must_use]
    pub fn tos(mut self, tos: u8) -> Self {
        self.tos = tos;
        self
    }

    /// Sets the time to live.
    #[must_use]
    pub fn ttl(mut self, ttl: u8) -> Self {
        self.ttl = ttl;
        self
    }

    /// Sets flags and offset; the latter in units of 8 octets.
    #[must_use]
    pub fn fragment(mut self, fragment: u16) -> Self {
        self.fragment = fragment;
        self
    }

    /// Sets the options.
    #[must_use]
    pub fn options(mut self, options: &[u8]) -> Self {
        self.options = options.to_vec();
        self
    }

    /// The packet with this payload, of the length that it has.
    #[must_use]
    pub fn carry(&self, upper: &Upper) -> Packet {
        let length = 20 + self.options.len() + upper.octets.len();
        self.carry_as(upper, length16(length))
    }

    /// The packet with this payload and a total length of the caller's choice.
    ///
    /// TCP flags behind that length are not the packet's. Whether the ports are is left to the
    /// caller, as any other fault; so is a frame longer than the packet where the total length of TCP is 0,
    /// which stands for all that is there.
    #[must_use]
    pub fn carry_as(&self, upper: &Upper, total: u16) -> Packet {
        let header = self.header(upper.protocol, total);
        let total = match total {
            0 if upper.protocol == TCP => header.len() + upper.octets.len(),
            total => usize::from(total),
        };
        let later = self.fragment & 0x1fff != 0;
        let ports = if later { (0, 0) } else { upper.ports };
        let flags_end = header.len() + TCP_FLAGS_END;
        let flags = upper.flags.filter(|_| !later && total >= flags_end);
        Packet {
            kind: 0x0800,
            needed: header.len() + if later { 0 } else { upper.needed },
            flags_end: flags.map(|_| flags_end),
            octets: [header, upper.octets.clone()].concat(),
            metered: Metered {
                source: self.source.into(),
                destination: self.destination.into(),
                protocol: upper.protocol,
                source_port: ports.0,
                destination_port: ports.1,
                vlan: 0,
                tos: self.tos,
                octets: length32(total),
                tcp_flags: flags.unwrap_or(0),
                ttl: self.ttl,
            },
        }
    }

    fn header(&self, protocol: u8, total: u16) -> Vec<u8> {
        let words = u8::try_from(5 + self.options.len() / 4).expect("at most 40 octets of options");
        let mut header = vec![0x40 | words, self.tos];
        header.extend(total.to_be_bytes());
        header.extend([0x12, 0x34]);
        header.extend(self.fragment.to_be_bytes());
        header.extend([self.ttl, protocol, 0, 0]);
        header.extend(self.source.octets());
        header.extend(self.destination.octets());
        header.extend(&self.options);
        let sum = checksum(&header).to_be_bytes();
        header.splice(10..12, sum);
        header
    }
}

/// The Internet checksum (RFC 1071) of an even number of octets.
fn checksum(octets: &[u8]) -> u16 {
    let words = octets.as_chunks::<2>().0.iter().map(|word| u32::from(u16::from_be_bytes(*word)));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    u16::try_from(folded).map_or(0, |folded| !folded)
}
