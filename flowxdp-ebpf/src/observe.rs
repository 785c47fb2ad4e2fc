//! A sink that observes the walk: the headers that the parser asked for, and how the packet ended.

use flowxdp_common::{
    observation::{METERED, Observation, Step},
    reason::Ignored,
};

#[cfg(not(target_arch = "bpf"))]
use crate::candidate::{Candidate, walk_inside};
use crate::{
    frame::{Frame, Header, Packet},
    layer::Layer,
    verdict::{Facts, Sink, WordsV4, WordsV6},
    walk::walk,
};

/// Walks the headers of `frame` and leaves them, with the verdict, in `observation`. Time, interface and the
/// place of the tag are the caller's to set.
#[inline(always)]
pub fn observe(frame: &impl Frame, observation: &mut Observation) {
    observation.captured = frame.captured();
    observation.wire = frame.wire();
    observation.octets = 0;
    observation.ports = [0; 4];
    observation.tcp_flags = 0;
    observation.vlan = 0;
    observation.version = 0;
    observation.protocol = 0;
    observation.tags = 0;
    observation.count = 0;
    observation.tunnels = 0;
    walk(frame, &mut Observer { observation });
}

/// The same with tunnels opened, VXLAN on these `ports` too.
#[cfg(not(target_arch = "bpf"))]
pub fn observe_inside(frame: &impl Frame, ports: &[u16], observation: &mut Observation) {
    *observation = Observation { captured: frame.captured(), wire: frame.wire(), ..Observation::default() };
    let mut candidate = Candidate::default();
    walk_inside(frame, ports, &mut candidate, &mut Observer { observation });
    observation.tunnels = candidate.depth();
}

struct Observer<'a> {
    observation: &'a mut Observation,
}

impl Observer<'_> {
    /// A header is asked for.
    #[inline(always)]
    fn push(&mut self, layer: Layer, kind: u8, at: u32) {
        let count = self.observation.count;
        if let Some(step) = self.observation.steps.get_mut(usize::from(count)) {
            *step = Step { at, layer: layer as u8, kind, was_read: 0, pad: 0, octets: [0; 8] };
            self.observation.count = count + 1;
        }
    }

    /// The header that was asked for last is there.
    #[inline(always)]
    fn read(&mut self, octets: u64) {
        let count = usize::from(self.observation.count);
        if let Some(step) = self.observation.steps.get_mut(count.wrapping_sub(1)) {
            step.was_read = 1;
            step.octets = octets.to_ne_bytes();
        }
    }

    #[inline(always)]
    fn metered(&mut self, rest: u64, facts: Facts) {
        let [a, b, c, d, protocol, ..] = rest.to_ne_bytes();
        self.observation.ports = [a, b, c, d];
        self.observation.protocol = protocol;
        self.observation.octets = facts.octets;
        self.observation.tcp_flags = facts.tcp_flags;
        self.observation.verdict = METERED;
    }
}

/// The words of four octets in a word of eight, as they lie there.
#[inline(always)]
fn halves(word: u64) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = word.to_ne_bytes();
    [u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h])]
}

/// The first octets of a header that has four, as on the wire.
#[inline(always)]
fn four(header: &impl Header) -> u64 {
    let [a, b, c, d] = header.raw32(0).to_ne_bytes();
    u64::from_ne_bytes([a, b, c, d, 0, 0, 0, 0])
}

impl Sink for Observer<'_> {
    #[inline(always)]
    fn v4(&mut self, words: WordsV4, facts: Facts) {
        let [source, destination] = halves(words.addresses);
        self.observation.version = 4;
        self.observation.addresses = [source, 0, 0, 0, destination, 0, 0, 0];
        self.metered(words.rest, facts);
    }

    #[inline(always)]
    fn v6(&mut self, words: WordsV6, facts: Facts) {
        let [[a, b], [c, d], [e, f], [g, h]] = words.addresses.map(halves);
        self.observation.version = 6;
        self.observation.addresses = [a, b, c, d, e, f, g, h];
        self.metered(words.rest, facts);
    }

    #[inline(always)]
    fn ignored(&mut self, reason: Ignored) {
        self.observation.verdict = reason as u8 + 1;
    }

    #[inline(always)]
    fn reads(&mut self, layer: Layer, at: u32) {
        self.push(layer, 0, at);
    }

    #[inline(always)]
    fn reads_inside(&mut self, layer: Layer, kind: u8, packet: Packet, from: u32) {
        self.observation.octets = packet.octets;
        self.observation.protocol = kind;
        self.push(layer, kind, packet.at + from);
    }

    #[inline(always)]
    fn link(&mut self, header: &impl Header) {
        for (place, word) in [0, 4, 8].into_iter().enumerate() {
            if let Some(octets) = self.observation.macs.get_mut(place * 4..place * 4 + 4) {
                octets.copy_from_slice(&header.raw32(word).to_ne_bytes());
            }
        }
        let [a, b] = header.be16(12).to_be_bytes();
        self.read(u64::from_ne_bytes([a, b, 0, 0, 0, 0, 0, 0]));
    }

    #[inline(always)]
    fn tag(&mut self, tag: &impl Header) {
        if self.observation.tags == 0 {
            self.observation.vlan = tag.be16(0) & 0x0fff;
        }
        self.observation.tags += 1;
        self.read(four(tag));
    }

    #[inline(always)]
    fn session(&mut self, header: &impl Header) {
        self.read(header.raw64(0));
    }

    #[inline(always)]
    fn label(&mut self, entry: &impl Header) {
        self.read(four(entry));
    }

    #[inline(always)]
    fn ipv4(&mut self, header: &impl Header) {
        self.observation.version = 4;
        self.observation.protocol = header.octet(9);
        self.observation.addresses = [header.raw32(12), 0, 0, 0, header.raw32(16), 0, 0, 0];
        self.read(header.raw64(0));
    }

    #[inline(always)]
    fn ipv6(&mut self, header: &impl Header) {
        self.observation.version = 6;
        self.observation.protocol = header.octet(6);
        self.observation.addresses = [
            header.raw32(8),
            header.raw32(12),
            header.raw32(16),
            header.raw32(20),
            header.raw32(24),
            header.raw32(28),
            header.raw32(32),
            header.raw32(36),
        ];
        self.read(header.raw64(0));
    }

    #[inline(always)]
    fn extension(&mut self, _kind: u8, header: &impl Header) {
        self.observation.protocol = header.octet(0);
        self.read(header.raw64(0));
    }

    #[inline(always)]
    fn tunnel(&mut self, octets: u64) {
        self.read(octets);
    }

    #[inline(always)]
    fn bridged(&mut self, header: &impl Header) {
        let [a, b] = header.be16(12).to_be_bytes();
        self.read(u64::from_ne_bytes([a, b, 0, 0, 0, 0, 0, 0]));
    }

    #[inline(always)]
    fn bridged_tag(&mut self, tag: &impl Header) {
        self.read(four(tag));
    }
}
