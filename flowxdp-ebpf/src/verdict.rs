//! The parser's verdict on one packet, and the sink that takes it.

use flowxdp_common::reason::Ignored;

use crate::{
    frame::{Header, Packet},
    layer::Layer,
};

/// The words of an IPv4 key, as they lie in a slot. The parser does not know the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WordsV4 {
    /// Source and destination address, octets as on the wire.
    pub addresses: u64,
    /// Ports, protocol, type of service and VLAN: the first 8 octets of [`flowxdp_common::key::KeyTail`].
    pub rest: u64,
}

/// The words of an IPv6 key, as they lie in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WordsV6 {
    /// Source and destination address, octets as on the wire.
    pub addresses: [u64; 4],
    /// Ports, protocol, traffic class and VLAN, as in [`WordsV4`].
    pub rest: u64,
}

/// The facts that a metered packet adds to its flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// IP octets of all packets.
    pub octets: u32,
    /// Packets: more than one where segmentation offload holds several in one buffer.
    pub packets: u32,
    /// IP octets of the shortest packet.
    pub shortest: u32,
    /// IP octets of the longest packet.
    pub longest: u32,
    /// TCP flags, 12 bits; 0 for other protocols.
    pub tcp_flags: u16,
    /// IPv4 TTL or IPv6 hop limit.
    pub ttl: u8,
}

impl Facts {
    /// The facts of one packet with so many IP octets.
    #[inline(always)]
    pub const fn of_one(octets: u32, tcp_flags: u16, ttl: u8) -> Self {
        Self { octets, packets: 1, shortest: octets, longest: octets, tcp_flags, ttl }
    }
}

/// The packet is whole: no fragment.
pub const WHOLE: u8 = 0;
/// The packet is the first fragment of several.
pub const FIRST_FRAGMENT: u8 = 1;
/// The packet is a fragment behind the first.
pub const LATER_FRAGMENT: u8 = 2;

/// The place of a metered packet in its frame, and its part in a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upper {
    /// The IP packet.
    pub packet: Packet,
    /// Start of the header behind the IP headers, octets from the start of the packet.
    pub from: u32,
    /// [`WHOLE`], [`FIRST_FRAGMENT`] or [`LATER_FRAGMENT`].
    pub fragment: u8,
    /// Identification of a fragment, octets as on the wire: two in IPv4, four in IPv6.
    pub identification: u32,
}

/// A packet's part in a datagram, by its offset and by the bit for more fragments.
#[inline(always)]
pub(crate) const fn fragment(is_later: bool, has_more: bool) -> u8 {
    match (is_later, has_more) {
        (true, _) => LATER_FRAGMENT,
        (false, true) => FIRST_FRAGMENT,
        (false, false) => WHOLE,
    }
}

/// The receiver of the parser's verdict, exactly one for each packet.
///
/// The parser calls the sink where it finds the verdict, and returns none: an enum's fields that one variant leaves
/// unset would be reads of uninitialised memory to the verifier.
pub trait Sink {
    /// An IPv4 packet to be metered.
    fn v4(&mut self, words: WordsV4, facts: Facts);
    /// An IPv6 packet to be metered.
    fn v6(&mut self, words: WordsV6, facts: Facts);
    /// A packet that is not metered.
    fn ignored(&mut self, reason: Ignored);

    /// The place of the packet that [`Sink::v4`] or [`Sink::v6`] gets at once.
    #[inline(always)]
    fn upper(&mut self, _upper: Upper) {}

    /// The parser asks for a header of `layer` at octet `at` of the frame. The last call of this method or of
    /// [`Sink::reads_inside`] before [`Sink::ignored`] names the header at which the parser stopped.
    ///
    /// This method and the ones below are for sinks that observe the walk: they do nothing by default and
    /// leave no instruction in a program whose sink does without.
    #[inline(always)]
    fn reads(&mut self, _layer: Layer, _at: u32) {}

    /// The parser asks for a header of `layer` with protocol number `kind`, `from` octets behind the start of
    /// the IP packet. The sum of both offsets is left to the sink: here it would change the metering program.
    #[inline(always)]
    fn reads_inside(&mut self, _layer: Layer, _kind: u8, _packet: Packet, _from: u32) {}

    /// The Ethernet header, 14 octets.
    #[inline(always)]
    fn link(&mut self, _header: &impl Header) {}

    /// An 802.1Q or 802.1ad tag, 4 octets: control information and the EtherType behind it; outer one first.
    #[inline(always)]
    fn tag(&mut self, _tag: &impl Header) {}

    /// The PPPoE session header with the PPP protocol, 8 octets.
    #[inline(always)]
    fn session(&mut self, _header: &impl Header) {}

    /// An entry of the MPLS label stack, 4 octets; top one first.
    #[inline(always)]
    fn label(&mut self, _entry: &impl Header) {}

    /// The fixed IPv4 header, 20 octets, before it is judged.
    #[inline(always)]
    fn ipv4(&mut self, _header: &impl Header) {}

    /// The fixed IPv6 header, 40 octets, before it is judged.
    #[inline(always)]
    fn ipv6(&mut self, _header: &impl Header) {}

    /// The first 8 octets of an IPv6 extension header with protocol number `kind`.
    #[inline(always)]
    fn extension(&mut self, _kind: u8, _header: &impl Header) {}

    /// The first octets of a tunnel's header, or of an extension header of GTP-U, as on the wire: as many as were
    /// asked for, and zeros behind.
    #[inline(always)]
    fn tunnel(&mut self, _octets: u64) {}

    /// The Ethernet header inside a tunnel, 14 octets.
    #[inline(always)]
    fn bridged(&mut self, _header: &impl Header) {}

    /// An 802.1Q or 802.1ad tag inside a tunnel, 4 octets.
    #[inline(always)]
    fn bridged_tag(&mut self, _tag: &impl Header) {}
}

/// The verdict as a value, for the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// An IPv4 packet to be metered.
    V4(WordsV4, Facts),
    /// An IPv6 packet to be metered.
    V6(WordsV6, Facts),
    /// Not metered.
    Ignored(Ignored),
}

impl Sink for Option<Verdict> {
    fn v4(&mut self, words: WordsV4, facts: Facts) {
        *self = Some(Verdict::V4(words, facts));
    }

    fn v6(&mut self, words: WordsV6, facts: Facts) {
        *self = Some(Verdict::V6(words, facts));
    }

    fn ignored(&mut self, reason: Ignored) {
        *self = Some(Verdict::Ignored(reason));
    }
}

/// The first 8 octets of [`flowxdp_common::key::KeyTail`] as one word.
#[inline(always)]
pub(crate) fn rest_word(ports: [u8; 4], protocol: u8, tos: u8, vlan: u16) -> u64 {
    let [a, b, c, d] = ports;
    let [v, w] = vlan.to_ne_bytes();
    u64::from_ne_bytes([a, b, c, d, protocol, tos, v, w])
}
