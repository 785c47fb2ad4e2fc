//! [`Traffic`]: packets of an exactly known number, of an exactly known number of flows; [`Generator`] sends them.
//!
//! Every generator gives the flows the keys that [`Traffic::key`] names, so that a test can ask for each single flow
//! at the collector.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Result;

use crate::books::Count;
use crate::flows::{Flows, Key, Sums, Tuple};
use crate::netns::Netns;

/// IANA number of TCP.
pub const TCP: u8 = 6;
/// IANA number of UDP.
pub const UDP: u8 = 17;
/// Flags of every TCP packet: neither FIN nor RST, which would end the flow.
const FLAGS: u8 = 0x18;
/// TTL and hop limit of every packet.
const TTL: u8 = 64;

/// Flows and packets to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// Different flows. Packet n belongs to flow n modulo this.
    pub flows: u32,
    /// Packets in all: a multiple of the flows.
    pub packets: u64,
    /// IPv6 instead of IPv4.
    pub ipv6: bool,
    /// [`TCP`] or [`UDP`].
    pub protocol: u8,
    /// IP octets of every packet, 60 to 1500.
    pub length: u16,
}

impl Traffic {
    /// IP octets in all.
    pub fn octets(&self) -> u64 {
        self.packets * u64::from(self.length)
    }

    /// The key of the flow of a number below [`Traffic::flows`].
    pub fn key(&self, flow: u32) -> Tuple {
        let (src, dst): (IpAddr, IpAddr) = if self.ipv6 {
            let base = Ipv6Addr::new(0xfd00, 0, 0, 1, 0, 0, 0, 0).to_bits();
            let dst = Ipv6Addr::new(0xfd00, 0, 0, 2, 0, 0, 0, 1);
            (Ipv6Addr::from_bits(base + u128::from(flow)).into(), dst.into())
        } else {
            (Ipv4Addr::from(0x0a00_0000 + flow).into(), Ipv4Addr::new(192, 0, 2, 1).into())
        };
        Tuple { src, dst, proto: self.protocol, sport: 4_096, dport: 443 }
    }

    /// The rows that an exact exporter must report; without times.
    pub fn truth(&self) -> Flows {
        let packets = self.packets / u64::from(self.flows);
        let sums = Sums {
            packets,
            octets: packets * u64::from(self.length),
            flags: Some(if self.protocol == TCP { FLAGS } else { 0 }),
            min_ttl: Some(TTL),
            max_ttl: Some(TTL),
            ..Sums::default()
        };
        let mut flows = Flows::default();
        for flow in 0..self.flows {
            flows.add(Key { tuple: self.key(flow), vlan: None, tos: None }, &sums);
        }
        flows
    }

    /// A packet of a flow, in an Ethernet frame that no host takes for its own.
    pub fn frame(&self, flow: u32) -> Vec<u8> {
        let key = self.key(flow);
        let mut frame = vec![2, 0, 0, 0, 0xff, 2, 2, 0, 0, 0, 0xff, 1];
        let header = match (key.src, key.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let [high, low] = self.length.to_be_bytes();
                frame.extend([0x08, 0x00, 0x45, 0, high, low, 0, 0, 0x40, 0, TTL, self.protocol, 0, 0]);
                frame.extend([src.octets(), dst.octets()].concat());
                20
            }
            (src, dst) => {
                let [high, low] = (self.length - 40).to_be_bytes();
                frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, high, low, self.protocol, TTL]);
                for address in [src, dst] {
                    if let IpAddr::V6(address) = address {
                        frame.extend(address.octets());
                    }
                }
                40
            }
        };
        frame.extend([key.sport.to_be_bytes(), key.dport.to_be_bytes()].concat());
        if self.protocol == TCP {
            frame.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, FLAGS, 0xff, 0xff, 0, 0, 0, 0]);
        } else {
            frame.extend([(self.length - header).to_be_bytes(), [0, 0]].concat());
        }
        frame.resize(14 + usize::from(self.length), 0);
        frame
    }

    /// The same packet between two stations, for a router that checks the header's checksum. IPv4 only.
    pub fn routed(&self, flow: u32, from: [u8; 6], to: [u8; 6]) -> Vec<u8> {
        let mut frame = self.frame(flow);
        frame.splice(..12, to.into_iter().chain(from));
        let header = frame.get(14..34).unwrap_or_default();
        let words =
            header.chunks(2).map(|pair| pair.iter().fold(0, |word, octet| word << 8 | u32::from(*octet)));
        let sum: u32 = words.sum();
        let folded = (sum & 0xffff) + (sum >> 16);
        let [.., high, low] = (!(folded + (folded >> 16))).to_be_bytes();
        frame.splice(24..26, [high, low]);
        frame
    }

    /// Packets and octets of so many rounds.
    pub fn times(&self, rounds: u64) -> Count {
        Count { packets: self.packets * rounds, octets: self.octets() * rounds }
    }
}

/// A sender that sends exactly the packets of a [`Traffic`], or fails.
pub trait Generator {
    /// Sends out of an interface of a namespace. All packets have reached the other end when it returns.
    fn send(&self, traffic: &Traffic, netns: &Netns, interface: &str) -> Result<()>;
}
