//! The packet to be metered where tunnels are opened or fragments joined: the outermost one first, then the one inside
//! each opened tunnel, two deep at most.
//!
//! A packet inside takes the place of the one around it once all of it was found good. So a tunnel that cannot be
//! opened leaves the packet metered by the last header that could be read, and never ignored.

use flowxdp_common::{reason::Ignored, tunnel};

use crate::{
    constant::Cell,
    frame::{Frame, Header, Inside, Packet},
    layer::Layer,
    parse::{
        ethernet::IPV4,
        ipv4, ipv6,
        tunnel::{Ports, open},
    },
    verdict::{Facts, Sink, Upper, Verdict, WHOLE, WordsV4, WordsV6},
    walk::walk,
};

/// Tunnels that are opened, one in another.
pub const MOST: u32 = 2;

/// The packet that is metered, unless one inside it can be.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Candidate {
    /// As in [`WordsV6`]; an IPv4 packet has the first word.
    addresses: [Cell<u64>; 4],
    rest: Cell<u64>,
    octets: Cell<u32>,
    tcp_flags: Cell<u16>,
    ttl: Cell<u8>,
    version: Cell<u32>,
    /// Octets of the outermost packet.
    outer_octets: Cell<u32>,
    /// VLAN identifier of the frame.
    vlan: Cell<u16>,
    /// As in [`Upper`].
    at: Cell<u32>,
    from: Cell<u32>,
    fragment: Cell<u8>,
    identification: Cell<u32>,
    /// Of the innermost opened tunnel.
    kind: Cell<u16>,
    segment: Cell<u32>,
    /// Tunnels that were opened.
    depth: Cell<u8>,
    /// A packet inside that was found: its start, Ethernet type, and the tunnel's kind and segment.
    next_at: Cell<u32>,
    next_type: Cell<u16>,
    next_kind: Cell<u16>,
    next_segment: Cell<u32>,
    /// End of the packet around this one, octets of the frame; of the frame for the outermost one.
    around: Cell<u32>,
    /// 1 if the packet has IPv6 extension headers.
    is_extended: Cell<u32>,
}

/// The words of a candidate's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Words {
    /// Of an IPv4 packet.
    V4(WordsV4),
    /// Of an IPv6 packet.
    V6(WordsV6),
}

impl Candidate {
    /// Begins with the outermost packet of a frame that has `wire` octets.
    #[inline(always)]
    pub fn begin(&mut self, words: Words, facts: Facts, upper: Upper, wire: u32, is_extended: bool) {
        let rest = self.keep(words, facts, upper, is_extended);
        let [.., low, high] = rest.to_ne_bytes();
        self.vlan.set(u16::from_ne_bytes([low, high]));
        self.outer_octets.set(facts.octets);
        self.kind.set(0);
        self.segment.set(0);
        self.depth.set(0);
        self.around.set(wire);
    }

    /// Takes the words and facts of a packet; gives the words behind the addresses.
    #[inline(always)]
    fn keep(&mut self, words: Words, facts: Facts, upper: Upper, is_extended: bool) -> u64 {
        let ([a, b, c, d], rest, version) = match words {
            Words::V4(words) => ([words.addresses, 0, 0, 0], words.rest, 4),
            Words::V6(words) => (words.addresses, words.rest, 6),
        };
        self.addresses[0].set(a);
        self.addresses[1].set(b);
        self.addresses[2].set(c);
        self.addresses[3].set(d);
        self.rest.set(rest);
        self.version.set(version);
        self.octets.set(facts.octets);
        self.tcp_flags.set(facts.tcp_flags);
        self.ttl.set(facts.ttl);
        self.at.set(upper.packet.at);
        self.from.set(upper.from);
        self.fragment.set(upper.fragment);
        self.identification.set(upper.identification);
        self.is_extended.set(u32::from(is_extended));
        rest
    }

    /// Opens its tunnels; `watch` sees the headers inside.
    #[inline(always)]
    pub fn open(&mut self, frame: &impl Frame, ports: &(impl Ports + ?Sized), watch: &mut impl Sink) {
        for _ in 0..MOST {
            if !self.open_tunnel(frame, ports, watch) || !self.take_inside(frame, watch) {
                return;
            }
        }
    }

    /// Step 1: finds the packet inside the candidate. `false` where the candidate is a fragment, or carries no tunnel
    /// that can be opened.
    ///
    /// Both steps leave their findings in memory alone, so that the verifier follows one path behind each.
    #[inline(always)]
    pub fn open_tunnel(
        &mut self,
        frame: &impl Frame,
        ports: &(impl Ports + ?Sized),
        watch: &mut impl Sink,
    ) -> bool {
        if self.fragment() != WHOLE {
            return false;
        }
        let [_, _, high, low, protocol, ..] = self.rest.get().to_ne_bytes();
        let inside = Inside::new(frame, self.end());
        let (port, at) = (u16::from_be_bytes([high, low]), self.at.get() + self.from.get());
        let Some(opening) = open(&inside, protocol, port, at, ports, watch) else { return false };
        self.next_at.set(opening.at);
        self.next_type.set(opening.ethernet_type);
        self.next_kind.set(opening.kind);
        self.next_segment.set(opening.segment);
        true
    }

    /// Step 2: the packet that was found becomes the candidate, if it is good.
    #[inline(always)]
    pub fn take_inside(&mut self, frame: &impl Frame, watch: &mut impl Sink) -> bool {
        let (at, end) = (self.next_at.get(), self.end());
        let inside = Inside::new(frame, end);
        let vlan = tunnel::word(self.vlan.get(), self.next_kind.get());
        let is_ipv4 = self.next_type.get() == IPV4;
        let mut next =
            Take::<_, false> { candidate: self, watch, wire: end, upper: NOWHERE, is_extended: false };
        let result = if is_ipv4 {
            ipv4::ipv4(&inside, at, vlan, &mut next)
        } else {
            ipv6::ipv6(&inside, at, vlan, &mut next)
        };
        result.is_ok()
    }

    /// The packet inside is good: the tunnel around it is opened.
    #[inline(always)]
    fn advance(&mut self) {
        self.around.set(self.end());
        self.kind.set(self.next_kind.get());
        self.segment.set(self.next_segment.get());
        self.depth.set(self.depth.get() + 1);
    }

    /// End of the packet, octets of the frame.
    #[inline(always)]
    fn end(&self) -> u32 {
        self.at.get() + self.octets.get()
    }

    /// Its headers once more, for a sink that needs them: those of an IPv6 packet.
    #[inline(always)]
    pub fn walk_ipv6(&self, frame: &impl Frame, sink: &mut impl Sink) {
        if self.version.get() == 6 {
            // The packet was found good before.
            let _ = ipv6::ipv6(&Inside::new(frame, self.around.get()), self.at.get(), 0, sink);
        }
    }

    /// IP version, 4 or 6.
    #[inline(always)]
    pub fn version(&self) -> u32 {
        self.version.get()
    }

    /// The key of an IPv4 packet.
    #[inline(always)]
    pub fn words_v4(&self) -> WordsV4 {
        WordsV4 { addresses: self.addresses[0].get(), rest: self.rest.get() }
    }

    /// The key of an IPv6 packet.
    #[inline(always)]
    pub fn words_v6(&self) -> WordsV6 {
        let [a, b, c, d] = &self.addresses;
        WordsV6 { addresses: [a.get(), b.get(), c.get(), d.get()], rest: self.rest.get() }
    }

    /// The packet's share of the counters.
    #[inline(always)]
    pub fn facts(&self) -> Facts {
        let (tcp_flags, ttl) = (self.tcp_flags.get(), self.ttl.get());
        Facts::of_one(self.octets.get(), tcp_flags, ttl)
    }

    /// Start of its IP header and of the header behind that in the frame, and the protocol of the latter.
    #[inline(always)]
    pub fn transport(&self) -> (u32, u32, u8) {
        let [_, _, _, _, protocol, ..] = self.rest.get().to_ne_bytes();
        (self.at.get(), self.at.get() + self.from.get(), protocol)
    }

    /// Its part in a datagram, as [`Upper::fragment`] has it.
    #[inline(always)]
    pub fn fragment(&self) -> u8 {
        self.fragment.get()
    }

    /// Identification of a fragment.
    #[inline(always)]
    pub fn identification(&self) -> u32 {
        self.identification.get()
    }

    /// The first fragment's ports and protocol become those of the key.
    #[inline(always)]
    pub fn join(&mut self, ports: [u8; 4], protocol: u8) {
        let [_, _, _, _, _, tos, low, high] = self.rest.get().to_ne_bytes();
        let [a, b, c, d] = ports;
        self.rest.set(u64::from_ne_bytes([a, b, c, d, protocol, tos, low, high]));
    }

    /// Kind of the innermost opened tunnel; 0 for none.
    #[inline(always)]
    pub fn kind(&self) -> u16 {
        self.kind.get()
    }

    /// Segment of that tunnel.
    #[inline(always)]
    pub fn segment(&self) -> u32 {
        self.segment.get()
    }

    /// Tunnels that were opened, [`MOST`] at most.
    #[inline(always)]
    pub fn depth(&self) -> u8 {
        self.depth.get()
    }

    /// Whether the packet has IPv6 extension headers.
    #[inline(always)]
    pub fn is_extended(&self) -> bool {
        self.is_extended.get() != 0
    }

    /// Octets of the headers outside, and of padding inside them; 0 where no tunnel was opened.
    #[inline(always)]
    pub fn unwrapped(&self) -> u32 {
        self.outer_octets.get().wrapping_sub(self.octets.get())
    }
}

/// The place of no packet.
pub const NOWHERE: Upper =
    Upper { packet: Packet { at: 0, octets: 0 }, from: 0, fragment: WHOLE, identification: 0 };

/// Walks to the packet that is metered with tunnels opened and gives it to `sink`, or the reason for ignoring the
/// frame; `sink` sees all headers that are read on the way.
#[inline(always)]
pub fn walk_inside(
    frame: &impl Frame,
    ports: &(impl Ports + ?Sized),
    candidate: &mut Candidate,
    sink: &mut impl Sink,
) {
    candidate.version.set(0);
    walk(
        frame,
        &mut Take::<_, true> {
            candidate,
            watch: sink,
            wire: frame.wire(),
            upper: NOWHERE,
            is_extended: false,
        },
    );
    if candidate.version() == 0 {
        return;
    }
    candidate.open(frame, ports, sink);
    if candidate.version() == 4 {
        sink.v4(candidate.words_v4(), candidate.facts());
    } else {
        sink.v6(candidate.words_v6(), candidate.facts());
    }
}

/// The verdict with tunnels opened, VXLAN on these `ports` too; behind it the candidate that was metered.
pub fn verdict_inside(frame: &impl Frame, ports: &[u16]) -> (Verdict, Candidate) {
    let (mut verdict, mut candidate) = (None, Candidate::default());
    walk_inside(frame, ports, &mut candidate, &mut verdict);
    (verdict.unwrap_or(Verdict::Ignored(Ignored::NotIp)), candidate)
}

/// Takes the outermost packet, or one inside, as the candidate; `watch` sees its headers.
struct Take<'a, S, const OUTERMOST: bool> {
    candidate: &'a mut Candidate,
    watch: &'a mut S,
    /// Octets of the frame.
    wire: u32,
    upper: Upper,
    is_extended: bool,
}

impl<S, const OUTERMOST: bool> Take<'_, S, OUTERMOST> {
    #[inline(always)]
    fn take(&mut self, words: Words, facts: Facts) {
        if OUTERMOST {
            self.candidate.begin(words, facts, self.upper, self.wire, self.is_extended);
        } else {
            self.candidate.advance();
            self.candidate.keep(words, facts, self.upper, self.is_extended);
        }
    }
}

impl<S: Sink, const OUTERMOST: bool> Sink for Take<'_, S, OUTERMOST> {
    #[inline(always)]
    fn upper(&mut self, upper: Upper) {
        self.upper = upper;
    }

    #[inline(always)]
    fn v4(&mut self, words: WordsV4, facts: Facts) {
        self.take(Words::V4(words), facts);
    }

    #[inline(always)]
    fn v6(&mut self, words: WordsV6, facts: Facts) {
        self.take(Words::V6(words), facts);
    }

    #[inline(always)]
    fn ignored(&mut self, reason: Ignored) {
        if OUTERMOST {
            self.watch.ignored(reason);
        }
    }

    #[inline(always)]
    fn reads(&mut self, layer: Layer, at: u32) {
        self.watch.reads(layer, at);
    }

    #[inline(always)]
    fn reads_inside(&mut self, layer: Layer, kind: u8, packet: Packet, from: u32) {
        self.watch.reads_inside(layer, kind, packet, from);
    }

    #[inline(always)]
    fn link(&mut self, header: &impl Header) {
        self.watch.link(header);
    }

    #[inline(always)]
    fn tag(&mut self, tag: &impl Header) {
        self.watch.tag(tag);
    }

    #[inline(always)]
    fn session(&mut self, header: &impl Header) {
        self.watch.session(header);
    }

    #[inline(always)]
    fn label(&mut self, entry: &impl Header) {
        self.watch.label(entry);
    }

    #[inline(always)]
    fn ipv4(&mut self, header: &impl Header) {
        self.watch.ipv4(header);
    }

    #[inline(always)]
    fn ipv6(&mut self, header: &impl Header) {
        self.watch.ipv6(header);
    }

    #[inline(always)]
    fn extension(&mut self, kind: u8, header: &impl Header) {
        self.is_extended = true;
        self.watch.extension(kind, header);
    }
}
