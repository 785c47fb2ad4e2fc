//! Cold facts of one packet: a sink that writes them into a cold slot's row while the parser walks.

use flowxdp_common::{field::Group, reason::Ignored, tunnel};

use crate::{
    candidate::Candidate,
    frame::{Frame, Header},
    verdict::{Facts, Sink, WordsV4, WordsV6},
    walk::walk,
};

/// Tags and labels of a packet that have fields.
const TAGS: u32 = 2;
const LABELS: u32 = 3;

/// A cold slot's row, zeros at first, laid out by [`flowxdp_common::field`].
pub trait Row {
    /// Octets before a group's first field; `None` where the group is off.
    fn offset(&self, group: Group) -> Option<u32>;

    /// Writes one octet.
    fn put8(&mut self, at: u32, value: u8);

    /// Writes a number in network byte order.
    fn put16(&mut self, at: u32, value: u16);

    /// Writes four octets as they lie in memory.
    fn put32(&mut self, at: u32, value: u32);

    /// Sets bits of a number in network byte order.
    fn set_bits(&mut self, at: u32, bits: u32);
}

/// Writes the facts of one packet into a row.
#[derive(Debug)]
pub struct Detail<R> {
    row: R,
    tags: u32,
    labels: u32,
    later_fragment: bool,
    /// IP headers are those around the packet that is metered.
    is_outside: bool,
}

impl<R: Row> Detail<R> {
    /// Begins with a row of zeros.
    #[inline(always)]
    pub const fn new(row: R) -> Self {
        Self { row, tags: 0, labels: 0, later_fragment: false, is_outside: false }
    }

    /// Writes the facts of the packet in `frame` that is metered: of its link, its tunnel and its own IP header.
    #[inline(always)]
    pub fn of(mut self, frame: &impl Frame, candidate: &Candidate) {
        self.is_outside = candidate.kind() != 0;
        walk(frame, &mut self);
        if self.is_outside {
            self.is_outside = false;
            self.segment(candidate.kind(), candidate.segment());
            candidate.walk_ipv6(frame, &mut self);
        }
    }

    /// Writes the fields of a tunnel.
    #[inline(always)]
    fn segment(&mut self, kind: u16, segment: u32) {
        if let Some(at) = self.row.offset(Group::Tunnel) {
            let [a, b, c, d, e, f, g, h] = tunnel::layer2_segment_id(kind, segment).to_be_bytes();
            self.row.put32(at, segment.to_be());
            self.row.put32(at + 4, tunnel::gtpu_teid(kind, segment).to_be());
            self.row.put32(at + 8, u32::from_ne_bytes([a, b, c, d]));
            self.row.put32(at + 12, u32::from_ne_bytes([e, f, g, h]));
            self.row.put32(at + 16, tunnel::gre_key(kind, segment).to_be());
        }
    }

    /// Sets the bit of an extension header, or of a protocol that the registry counts among them.
    #[inline(always)]
    fn has(&mut self, bits: u32) {
        if bits != 0
            && !self.is_outside
            && let Some(at) = self.row.offset(Group::Ipv6)
        {
            self.row.set_bits(at + 4, bits);
        }
    }
}

impl<R: Row> Sink for Detail<R> {
    #[inline(always)]
    fn v4(&mut self, _words: WordsV4, _facts: Facts) {}

    /// Behind a later fragment's header no header follows, whatever protocol it names.
    #[inline(always)]
    fn v6(&mut self, words: WordsV6, _facts: Facts) {
        let [_, _, _, _, protocol, ..] = words.rest.to_ne_bytes();
        if !self.later_fragment {
            self.has(bit(protocol));
        }
    }

    #[inline(always)]
    fn ignored(&mut self, _reason: Ignored) {}

    #[inline(always)]
    fn link(&mut self, header: &impl Header) {
        if let Some(at) = self.row.offset(Group::Mac) {
            self.row.put32(at, header.raw32(0));
            self.row.put32(at + 4, header.raw32(4));
            self.row.put32(at + 8, header.raw32(8));
        }
    }

    #[inline(always)]
    fn tag(&mut self, tag: &impl Header) {
        if let Some(at) = self.row.offset(Group::Vlan)
            && self.tags < TAGS
        {
            let control = tag.be16(0);
            self.row.put16(at + 2 * self.tags, control & 0x0fff);
            self.row.put8(at + 2 * TAGS + self.tags, (control >> 13) as u8);
            self.tags += 1;
        }
    }

    #[inline(always)]
    fn label(&mut self, entry: &impl Header) {
        if let Some(at) = self.row.offset(Group::Mpls)
            && self.labels < LABELS
        {
            let at = at + 3 * self.labels;
            self.row.put8(at, entry.octet(0));
            self.row.put8(at + 1, entry.octet(1));
            self.row.put8(at + 2, entry.octet(2));
            self.labels += 1;
        }
    }

    #[inline(always)]
    fn ipv6(&mut self, header: &impl Header) {
        if !self.is_outside
            && let Some(at) = self.row.offset(Group::Ipv6)
        {
            self.row.put32(at, header.raw32(0) & 0x000f_ffff_u32.to_be());
        }
    }

    #[inline(always)]
    fn extension(&mut self, kind: u8, header: &impl Header) {
        self.later_fragment = kind == FRAGMENT && header.be16(2) & 0xfff8 != 0;
        self.has(if self.later_fragment { LATER_FRAGMENT } else { bit(kind) });
    }
}

const FRAGMENT: u8 = 44;

/// "FRA1" of the registry: a fragment that is not the first.
const LATER_FRAGMENT: u32 = 1 << 6;

/// The bit of a protocol number in IANA's registry "IPFIX ipv6ExtensionHeaders Bits" (RFC 9740 section 8.4); 0 for
/// a transport protocol. Bit 3, an unknown header, is never set: the parser takes every other number for a
/// transport protocol.
#[inline(always)]
const fn bit(protocol: u8) -> u32 {
    match protocol {
        // Destination options, hop-by-hop options, no next header, first fragment, routing.
        60 => 1 << 0,
        0 => 1 << 1,
        59 => 1 << 2,
        FRAGMENT => 1 << 4,
        43 => 1 << 5,
        // Mobility, ESP, authentication, HIP, Shim6, experimentation.
        135 => 1 << 7,
        50 => 1 << 8,
        51 => 1 << 9,
        139 => 1 << 10,
        140 => 1 << 11,
        253 => 1 << 12,
        254 => 1 << 13,
        _ => 0,
    }
}

/// Rows for the host.
#[cfg(not(target_arch = "bpf"))]
pub use host::{OwnedRow, facts, facts_inside};

#[cfg(not(target_arch = "bpf"))]
mod host {
    use flowxdp_common::field::{ColdRow, Group, Groups, WIDEST, group_offset};

    use super::{Detail, Row};
    use crate::{candidate::Candidate, frame::Frame, walk::walk};

    /// A row in the host's memory.
    #[derive(Debug)]
    pub struct OwnedRow<'a> {
        groups: Groups,
        octets: &'a mut ColdRow,
    }

    impl OwnedRow<'_> {
        fn place<const N: usize>(&mut self, at: u32) -> Option<&mut [u8; N]> {
            self.octets.get_mut(at as usize..)?.first_chunk_mut()
        }

        fn write<const N: usize>(&mut self, at: u32, value: [u8; N]) {
            if let Some(place) = self.place(at) {
                *place = value;
            }
        }
    }

    impl Row for OwnedRow<'_> {
        fn offset(&self, group: Group) -> Option<u32> {
            group_offset(self.groups, group).map(u32::from)
        }

        fn put8(&mut self, at: u32, value: u8) {
            self.write(at, [value]);
        }

        fn put16(&mut self, at: u32, value: u16) {
            self.write(at, value.to_be_bytes());
        }

        fn put32(&mut self, at: u32, value: u32) {
            self.write(at, value.to_ne_bytes());
        }

        fn set_bits(&mut self, at: u32, bits: u32) {
            if let Some(place) = self.place(at) {
                *place = (u32::from_be_bytes(*place) | bits).to_be_bytes();
            }
        }
    }

    /// The cold facts of a frame in the layout of `groups`, for a frame that is metered.
    pub fn facts(frame: &impl Frame, groups: Groups) -> ColdRow {
        let mut octets = [0; WIDEST];
        walk(frame, &mut Detail::new(OwnedRow { groups, octets: &mut octets }));
        octets
    }

    /// The same of a frame whose tunnels were opened, up to this candidate.
    pub fn facts_inside(frame: &impl Frame, candidate: &Candidate, groups: Groups) -> ColdRow {
        let mut octets = [0; WIDEST];
        Detail::new(OwnedRow { groups, octets: &mut octets }).of(frame, candidate);
        octets
    }
}
