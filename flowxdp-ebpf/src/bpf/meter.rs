//! From the parser's verdict to the flow's slot and the interface's counters.

use flowxdp_common::{
    counter::{Counters, CpuState, PENDING_EVENT},
    field::Group,
    reason::{Ignored, Lost},
};
use flowxdp_ebpf::{
    frame::Header,
    hash,
    verdict::{Facts, Sink, WordsV4, WordsV6},
};

use crate::bpf::{
    cold, count, maps,
    overflow::{self, Addresses},
    packet::{Cpu, Packet},
    partition,
    table::{self, Placed},
    tick::Clock,
};

/// Counts the packet, as metered, ignored or lost.
///
/// With `TUNNELLED` the packet may have been in a tunnel, whose segment is part of the key.
pub struct Meter<'a, const TUNNELLED: bool = false> {
    /// Where.
    pub cpu: Cpu,
    /// The packet's facts beside the headers.
    pub packet: &'a Packet,
    /// Packets that an ignored frame counts as.
    pub segments: u32,
    /// The packet has IPv6 extension headers, and their group is on.
    pub extended: bool,
    /// The tunnel's segment.
    pub segment: u32,
}

impl<'a> Meter<'a> {
    /// For one packet on this CPU.
    #[inline(always)]
    pub const fn new(cpu: Cpu, packet: &'a Packet) -> Self {
        Self { cpu, packet, segments: 1, extended: false, segment: 0 }
    }
}

impl<const TUNNELLED: bool> Meter<'_, TUNNELLED> {
    /// The packet has IPv6 extension headers. Other packets of the flow need not have had the same ones.
    #[inline(always)]
    pub fn extend(&mut self) {
        if maps::cold_offset(Group::Ipv6).is_some() {
            self.extended = true;
        }
    }

    /// The counters of the packet's interface.
    #[inline(always)]
    pub fn counters(&mut self) -> Option<&'static mut Counters> {
        self.places().map(|(_, counters)| counters)
    }

    /// This CPU's memory, and its counters for the packet's interface.
    #[inline(always)]
    fn places(&mut self) -> Option<(&mut CpuState, &'static mut Counters)> {
        let state = self.cpu.state.get();
        let counters = count::counters(self.cpu.number, state, self.packet.ingress)?;
        Some((state, counters))
    }
}

/// The two IP versions differ in their table and hash alone.
macro_rules! metered {
    ($name:ident, $words:ty, $homes:path, $home:path, $addresses:path) => {
        #[inline(always)]
        fn $name(&mut self, words: $words, facts: Facts) {
            let (packet, extended, cpu, segment) = (self.packet, self.extended, self.cpu, self.segment);
            let Some((state, counters)) = self.places() else { return };
            count::seen(counters, facts.packets, facts.octets);
            let (homes, ingress) = ($homes.get(), packet.ingress);
            let segment = if TUNNELLED { segment } else { 0 };
            let observed = u64::from(ingress) | u64::from(segment) << 32;
            let home = $home(&words, observed, &maps::LoadedSeed, homes);
            let mut clock = Clock::new(state, packet.time);
            if let Some(base) = partition::base(clock.state(), table::size(homes))
                && table::$name::<TUNNELLED>(
                    base + home,
                    &words,
                    (ingress, segment),
                    &facts,
                    &mut clock,
                    extended,
                ) == Placed::Slot
            {
                clock.closing(facts.tcp_flags);
                return;
            }
            let addresses = $addresses(words.addresses);
            let event = overflow::event(&addresses, words.rest, ingress, &facts, clock.exact());
            overflow(counters, cpu, event, &facts, &mut clock);
        }
    };
}

impl<const TUNNELLED: bool> Sink for Meter<'_, TUNNELLED> {
    metered!(v4, WordsV4, maps::HOMES_V4, hash::home_v4, Addresses::V4);
    metered!(v6, WordsV6, maps::HOMES_V6, hash::home_v6, Addresses::V6);

    #[inline(always)]
    fn extension(&mut self, _kind: u8, _header: &impl Header) {
        self.extend();
    }

    #[inline(always)]
    fn ignored(&mut self, reason: Ignored) {
        let (segments, wire) = (self.segments, self.packet.wire);
        let Some((_, counters)) = self.places() else { return };
        count::seen(counters, segments, wire);
        count::ignored(counters, reason, segments, wire);
    }
}

/// The way of a packet that found no slot.
#[inline(always)]
fn overflow(counters: &mut Counters, cpu: Cpu, event: overflow::Words, facts: &Facts, clock: &mut Clock<'_>) {
    if maps::COLD_WORDS.get() != 0 {
        cold::keep_event(cpu, event);
        clock.owes(PENDING_EVENT, 0);
    } else if overflow::send(event) {
        count::overflow(counters, facts.packets, facts.octets);
    } else {
        count::lost(counters, Lost::RingBufferFull, facts.packets, facts.octets);
    }
}
