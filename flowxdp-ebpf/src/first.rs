//! The choice of packets that may say a name.
//!
//! TCP: a client's payloads, as a message may continue in any octets, without TLS records behind the handshake; of a
//! service's stream DNS alone, since an answer names no server. UDP: DNS by port, QUIC by its long header.

use flowxdp_common::{
    copy::{DNS, is_service},
    reason::Ignored,
};

use crate::{
    frame::{Frame, Header, Packet},
    layer::Layer,
    parse::transport::{TCP, UDP},
    verdict::{Facts, Sink, WordsV4, WordsV6},
};

/// Octets of a UDP header.
const UDP_HEADER: u32 = 8;

/// Where a packet's transport header is, and its key: a sink for a second walk.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place {
    /// Octets in front of the transport header; 0: none was read.
    at: u32,
    /// Octets in front of the end of the IP packet.
    end: u32,
    /// [`WordsV4::rest`].
    rest: u64,
}

impl Sink for Place {
    #[inline(always)]
    fn v4(&mut self, words: WordsV4, _facts: Facts) {
        self.rest = words.rest;
    }

    #[inline(always)]
    fn v6(&mut self, words: WordsV6, _facts: Facts) {
        self.rest = words.rest;
    }

    #[inline(always)]
    fn ignored(&mut self, _reason: Ignored) {
        self.at = 0;
    }

    #[inline(always)]
    fn reads_inside(&mut self, layer: Layer, _kind: u8, packet: Packet, from: u32) {
        if layer as u8 == Layer::Transport as u8 {
            self.at = packet.at + from;
            self.end = packet.at + packet.octets;
        }
    }
}

impl Place {
    /// Whether the packet has a payload that may begin or continue a message with a name.
    #[inline(always)]
    pub fn may_name(&self, frame: &impl Frame) -> bool {
        if self.at == 0 {
            return false;
        }
        let [a, b, c, d, protocol, ..] = self.rest.to_ne_bytes();
        let ports = [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])];
        // So that the paths of the walk merge in the verifier.
        let (at, end) = (frame.forget(self.at), self.end);
        match protocol {
            TCP => segment(frame, at, end, ports),
            UDP => datagram(frame, at, end, ports),
            _ => false,
        }
    }
}

#[inline(always)]
fn segment(frame: &impl Frame, at: u32, end: u32, [source, destination]: [u16; 2]) -> bool {
    if source != DNS && is_service(source) && !is_service(destination) {
        return false;
    }
    let Some(header) = frame.header::<2>(at + 12) else { return false };
    let start = frame.forget(at + (u32::from(header.octet(0) >> 4) << 2));
    if start >= end {
        return false;
    }
    let Some(record) = frame.header::<2>(start) else { return true };
    !is_later_record(record.octet(0), record.octet(1))
}

/// Whether a TLS record other than a handshake begins so (RFC 8446 section 5.1).
#[inline(always)]
fn is_later_record(kind: u8, major: u8) -> bool {
    matches!(kind, 20 | 21 | 23) && major == 3
}

#[inline(always)]
fn datagram(frame: &impl Frame, at: u32, end: u32, [source, destination]: [u16; 2]) -> bool {
    let start = at + UDP_HEADER;
    if start >= end {
        return false;
    }
    if source == DNS || destination == DNS {
        return true;
    }
    let Some(header) = frame.header::<5>(start) else { return false };
    header.octet(0) & 0x80 != 0 && is_known(header.be16(1), header.be16(3))
}

/// Whether the inspector reads this version of QUIC: 1 (RFC 9000), 2 (RFC 9369), drafts.
#[inline(always)]
fn is_known(high: u16, low: u16) -> bool {
    matches!((high, low), (0, 1) | (0x6b33, 0x43cf) | (0xff00, 0x001d..=0x0022))
}
