//! Segmentation offload: one buffer of the kernel counts as the packets that it is on the wire.

use aya_ebpf::programs::TcContext;
use flowxdp_common::reason::Ignored;
use flowxdp_ebpf::{
    frame::{Frame, Header, Packet, Skb},
    layer::Layer,
    verdict::{Facts, Sink, WordsV4, WordsV6},
};

use crate::bpf::{kernel, meter::Meter};

/// IANA protocol numbers, and the octets of UDP's header.
const TCP: u8 = 6;
const UDP: u8 = 17;
const UDP_HEADER: u32 = 8;

/// Where a TCP header has its own length, in the upper half of the octet.
const DATA_OFFSET: u32 = 12;

/// The kernel's description of a buffer's segments.
#[derive(Clone, Copy)]
pub struct Segments {
    /// Packets on the wire; 0 where the kernel does not know.
    count: u32,
    /// Octets of payload of each but the last; 0 without offload.
    size: u32,
}

impl Segments {
    /// Of a classifier's packet.
    #[inline(always)]
    pub fn of(ctx: &TcContext) -> Self {
        let (count, size) = kernel::skb_segments(ctx);
        Self { count, size }
    }

    /// Packets of a frame that is not metered.
    #[inline(always)]
    pub const fn ignored(self) -> u32 {
        if self.count == 0 { 1 } else { self.count }
    }

    /// The facts of the packets on the wire, for a buffer whose IP header is at `packet` and whose header of `protocol`
    /// behind it at `at`.
    #[inline(always)]
    pub fn on_wire(self, frame: &Skb<'_>, (packet, at, protocol): (u32, u32, u8), facts: Facts) -> Facts {
        if self.size == 0 {
            return facts;
        }
        let headers = at - packet + own_header(frame, at, protocol);
        let packets = self.packets(facts.octets - headers);
        if packets < 2 {
            return facts;
        }
        let full = (packets - 1) * self.size;
        Facts {
            octets: facts.octets + (packets - 1) * headers,
            packets,
            shortest: facts.octets - full,
            longest: headers + self.size,
            ..facts
        }
    }

    /// Packets of a buffer with so many octets of payload, for a guest's buffer has no count (`SKB_GSO_DODGY`).
    #[inline(always)]
    const fn packets(self, payload: u32) -> u32 {
        if self.count != 0 || self.size == 0 { self.ignored() } else { (payload + self.size - 1) / self.size }
    }
}

/// Meters a classifier's packet with its segments.
pub struct Segmented<'a> {
    /// Takes the packets.
    pub meter: Meter<'a>,
    /// The buffer.
    pub frame: &'a Skb<'a>,
    /// Its segments.
    pub segments: Segments,
    /// Start of the IP header and of the transport header, and the protocol of that.
    transport: (u32, u32, u8),
}

impl<'a> Segmented<'a> {
    /// For one buffer.
    #[inline(always)]
    pub const fn new(mut meter: Meter<'a>, frame: &'a Skb<'a>, segments: Segments) -> Self {
        meter.segments = segments.ignored();
        Self { meter, frame, segments, transport: (0, 0, 0) }
    }

    #[inline(always)]
    fn on_wire(&self, facts: Facts) -> Facts {
        self.segments.on_wire(self.frame, self.transport, facts)
    }
}

/// Octets of a transport header with a length that offload knows.
#[inline(always)]
fn own_header(frame: &Skb<'_>, at: u32, protocol: u8) -> u32 {
    match protocol {
        TCP => match frame.header::<1>(at + DATA_OFFSET) {
            Some(header) => u32::from(header.octet(0) >> 4) * 4,
            None => 0,
        },
        UDP => UDP_HEADER,
        _ => 0,
    }
}

impl Sink for Segmented<'_> {
    #[inline(always)]
    fn v4(&mut self, words: WordsV4, facts: Facts) {
        let facts = self.on_wire(facts);
        self.meter.v4(words, facts);
    }

    #[inline(always)]
    fn v6(&mut self, words: WordsV6, facts: Facts) {
        let facts = self.on_wire(facts);
        self.meter.v6(words, facts);
    }

    #[inline(always)]
    fn extension(&mut self, kind: u8, header: &impl Header) {
        self.meter.extension(kind, header);
    }

    #[inline(always)]
    fn reads_inside(&mut self, layer: Layer, kind: u8, packet: Packet, from: u32) {
        if layer as u8 == Layer::Transport as u8 {
            self.transport = (packet.at, packet.at + from, kind);
        }
    }

    #[inline(always)]
    fn ignored(&mut self, reason: Ignored) {
        self.meter.ignored(reason);
    }
}
