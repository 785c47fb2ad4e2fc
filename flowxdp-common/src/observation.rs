//! One packet as the parser saw it: which headers it asked for, at which octets, and how it ended.
//!
//! `flowxdp explain` makes such an observation of each packet, in the kernel or on the host, and turns it
//! into text. The metering program makes none.

use bytemuck::{Pod, Zeroable};

use crate::reason::IGNORED;

/// Headers that an observation holds: Ethernet, two tags, eight labels with the octet behind them, an IP
/// header, eight extension headers and a transport header are 22.
pub const STEPS: usize = 24;

/// Verdicts: metered, and each reason for ignoring.
pub const VERDICTS: usize = 1 + IGNORED.len();

/// [`Observation::verdict`] of a metered packet; that of an ignored one is 1 and its reason's number.
pub const METERED: u8 = 0;

/// A header that the parser asked for.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Step {
    /// Where it starts, octets from the start of the frame.
    pub at: u32,
    /// Its layer, a number of the parser's table of layers.
    pub layer: u8,
    /// Protocol number of an extension header or a transport header, else 0.
    pub kind: u8,
    /// 1 if its octets were there to be read.
    pub was_read: u8,
    /// Zero.
    pub pad: u8,
    /// Its first octets as on the wire: the EtherType of an Ethernet header, 4 octets of a tag or a label, 8
    /// of any other.
    pub octets: [u8; 8],
}

/// The headers of a packet as the parser read them, and its verdict.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Observation {
    /// Nanoseconds of CLOCK_MONOTONIC; 0 for a packet of a capture.
    pub time: u64,
    /// Source and destination address, four words each in network byte order; an IPv4 address is the first.
    pub addresses: [u32; 8],
    /// ifIndex of the ingress interface.
    pub interface: u32,
    /// Octets of the frame that can be read.
    pub captured: u32,
    /// Octets of the frame on the wire.
    pub wire: u32,
    /// Octets of the IP packet, as its header has them; 0 where that header was not judged.
    pub octets: u32,
    /// Destination and source MAC address, as on the wire.
    pub macs: [u8; 12],
    /// Ports as on the wire, or zeros and the ICMP type and code; of a metered packet.
    pub ports: [u8; 4],
    /// TCP flags, 12 bits; of a metered packet.
    pub tcp_flags: u16,
    /// Identifier of the outer VLAN tag, 12 bits; 0 for none.
    pub vlan: u16,
    /// [`METERED`], or 1 and the number of the reason for ignoring.
    pub verdict: u8,
    /// IP version whose header was read, or 0.
    pub version: u8,
    /// The last protocol number that a header named, where an IP header was read.
    pub protocol: u8,
    /// 1 if the outer VLAN tag stood beside the packet; offsets count it as if it stood in the frame.
    pub tag_beside: u8,
    /// Tags read.
    pub tags: u8,
    /// Steps in use.
    pub count: u8,
    /// Tunnels that were opened: so many IP headers stand in front of the one that is metered.
    pub tunnels: u8,
    /// Zero.
    pub pad: [u8; 5],
    /// The headers in the order in which the parser asked for them; headers behind `count` mean nothing.
    pub steps: [Step; STEPS],
}

impl Observation {
    /// The headers that the parser asked for.
    pub fn steps(&self) -> &[Step] {
        self.steps.get(..usize::from(self.count)).unwrap_or(&self.steps)
    }
}

/// Lines a second that the programs of `explain` log at most, over all CPUs: about, since CPUs that begin a new
/// second at once may each log one more.
pub const LINES: u64 = 100;

/// Counters of the programs: packets by verdict, and packets that passed the filter.
pub const TALLIES: usize = VERDICTS + 1;

/// Words of a filter, which the loader sets as one constant: see [`passes`].
pub const FILTER_WORDS: usize = 9;

/// A word of a filter that every packet passes.
pub const ANY: u32 = u32::MAX;

/// The places of a filter's words.
pub mod word {
    /// Bit N is set where verdict N passes.
    pub const VERDICTS: usize = 0;
    /// IP version of the host, or [`super::ANY`] without a host.
    pub const VERSION: usize = 1;
    /// First of the four words of the host's address, in network byte order.
    pub const HOST: usize = 2;
    /// A port at either end of a metered packet, in the order of the machine, or [`super::ANY`].
    pub const PORT: usize = 6;
    /// A protocol number, or [`super::ANY`].
    pub const PROTOCOL: usize = 7;
    /// An outer VLAN identifier, 0 for none, or [`super::ANY`].
    pub const VLAN: usize = 8;
}

/// Whether a packet passes the filter whose words `filter` gives by their places.
#[inline(always)]
pub fn passes(observation: &Observation, filter: impl Fn(usize) -> u32) -> bool {
    let is = |place, value| filter(place) == ANY || filter(place) == value;
    filter(word::VERDICTS) & 1 << (observation.verdict & 31) != 0
        && is(word::VLAN, u32::from(observation.vlan))
        && (filter(word::PROTOCOL) == ANY
            || (observation.version != 0 && filter(word::PROTOCOL) == u32::from(observation.protocol)))
        && has_port(observation, filter(word::PORT))
        && (filter(word::VERSION) == ANY
            || (filter(word::VERSION) == u32::from(observation.version) && has_host(observation, &filter)))
}

#[inline(always)]
fn has_port(observation: &Observation, port: u32) -> bool {
    let [a, b, c, d] = observation.ports;
    let is = |high: u8, low: u8| u32::from(high) << 8 | u32::from(low) == port;
    port == ANY
        || (observation.verdict == METERED && has_ports(observation.protocol) && (is(a, b) || is(c, d)))
}

#[inline(always)]
fn has_host(observation: &Observation, filter: &impl Fn(usize) -> u32) -> bool {
    let [a, b, c, d, e, f, g, h] = observation.addresses;
    let is = |words: [u32; 4]| {
        let [a, b, c, d] = words;
        a == filter(word::HOST)
            && b == filter(word::HOST + 1)
            && c == filter(word::HOST + 2)
            && d == filter(word::HOST + 3)
    };
    is([a, b, c, d]) || is([e, f, g, h])
}

/// Whether packets of a protocol have ports that are read: TCP, UDP, DCCP, SCTP and UDP-Lite.
#[inline(always)]
pub const fn has_ports(protocol: u8) -> bool {
    matches!(protocol, 6 | 17 | 33 | 132 | 136)
}

const _: () = assert!(size_of::<Step>() == 16);
const _: () = assert!(size_of::<Observation>() == 88 + 16 * STEPS);
