//! Parts of one flow that retire together become one record.
//!
//! A flow that was met on two CPUs has two slots, and packets that found no slot are in the spill
//! table. Exported apart they would be legal too: a collector adds them up.

mod sketch;

use std::{collections::HashMap, ops::Range};

use flowxdp_common::{
    field::{self, Groups},
    slot::WINDOW,
};
use foldhash::fast::RandomState;
use hashbrown::HashTable;

use self::sketch::Sketch;
use crate::{
    clock::WallClock,
    metering::deliveries::SlotRef,
    metering::retire::Turn,
    metering::slots::{self, FlowCounters, SlotFlow},
    record::{DeliveryId, EndReason, Flow, FlowKey, FlowRecord, Total},
};

/// The parts of one flow.
#[derive(Debug)]
struct Entry {
    counters: FlowCounters,
    reason: EndReason,
    slot: Option<SlotRef>,
    /// Where in its partition the first of its slots was found.
    offset: usize,
    /// The part of its key that is in the cold slot.
    segment: u32,
}

/// Joins the parts that one sweep retires.
#[derive(Debug, Default)]
pub struct Merge {
    entries: Vec<Entry>,
    /// Entries that others can be joined to, by the hash of their key.
    places: HashTable<usize>,
    hasher: RandomState,
    /// Keys of those that [`Merge::push`] took.
    keys: Sketch,
    /// Slots before this offset have been seen in every partition.
    passed: usize,
    /// Further slots of an entry, by its place.
    more: HashMap<usize, Vec<SlotRef>, RandomState>,
    groups: Groups,
    /// Octets of a cold slot of `groups`.
    width: usize,
    /// Cold octets of each entry, a cold slot each.
    cold: Vec<u8>,
}

impl Merge {
    /// For flows whose cold slots are laid out for `groups`.
    pub fn new(groups: Groups) -> Self {
        Self { groups, width: field::width(groups), ..Self::default() }
    }

    /// Takes a flow, and the slot that it is in.
    pub fn push<'a>(&mut self, flow: impl Into<SlotFlow<'a>>, reason: EndReason, slot: Option<SlotRef>) {
        let flow = flow.into();
        self.keys.insert(&flow.key);
        self.enter(0, &flow, reason, slot);
    }

    /// Takes a flow of which no other part is looked for.
    pub fn push_unmerged<'a>(
        &mut self,
        flow: impl Into<SlotFlow<'a>>,
        reason: EndReason,
        slot: Option<SlotRef>,
    ) {
        self.add(0, &flow.into(), reason, slot);
    }

    /// Takes a part from [`crate::metering::retire::Retirement::collect_in_turns`], and hands flows to `sink` of which no
    /// slot can come any more; the last ones stay until [`Merge::drain`].
    pub fn push_across_cpus(
        &mut self,
        turn: Turn,
        flow: &SlotFlow<'_>,
        reason: EndReason,
        slot: Option<SlotRef>,
        sink: impl FnMut(SlotFlow<'_>, EndReason, &[SlotRef]),
    ) {
        if turn.start > self.passed {
            self.passed = turn.start;
            self.drain_before(turn.start, sink);
        }
        self.enter(turn.offset, flow, reason, slot);
    }

    /// Takes an entry of its own.
    fn add(&mut self, offset: usize, flow: &SlotFlow<'_>, reason: EndReason, slot: Option<SlotRef>) {
        let segment = flow.segment(self.groups);
        self.entries.push(Entry { counters: *flow.counters, reason, slot, offset, segment });
        if self.width > 0 {
            self.cold.extend_from_slice(flow.cold);
            self.cold.resize(self.entries.len() * self.width, 0);
        }
    }

    fn enter(&mut self, offset: usize, flow: &SlotFlow<'_>, reason: EndReason, slot: Option<SlotRef>) {
        let hash = self.hash(flow);
        if self.absorb(hash, flow, reason, slot) {
            return;
        }
        let place = self.entries.len();
        self.add(offset, flow, reason, slot);
        let Self { entries, places, hasher, .. } = self;
        places.insert_unique(hash, place, |&place| rehash(entries, hasher, place));
    }

    /// Adds a part to the parts that [`Merge::push`] took of its flow; `false` if there are none.
    #[inline]
    pub fn join(&mut self, flow: &SlotFlow<'_>, reason: EndReason, slot: Option<SlotRef>) -> bool {
        self.keys.may_have(&flow.key) && self.absorb(self.hash(flow), flow, reason, slot)
    }

    fn hash(&self, flow: &SlotFlow<'_>) -> u64 {
        slots::hash(&self.hasher, flow.key, flow.segment(self.groups))
    }

    fn absorb(&mut self, hash: u64, flow: &SlotFlow<'_>, reason: EndReason, slot: Option<SlotRef>) -> bool {
        let Self { entries, places, more, groups, width, cold, .. } = self;
        let segment = flow.segment(*groups);
        let is_it = |&place: &usize| key(entries, place) == Some((&flow.key, segment));
        let Some(&place) = places.find(hash, is_it) else { return false };
        let Some(known) = entries.get_mut(place) else { return false };
        if let Some(row) = cold.get_mut(row(*width, place)).filter(|row| !row.is_empty()) {
            field::join(*groups, row, flow.cold, flow.first < known.counters.first);
        }
        known.counters.absorb(flow);
        known.reason = known.reason.max(reason);
        if let Some(slot) = slot {
            more.entry(place).or_default().push(slot);
        }
        true
    }

    /// Whether nothing retired.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Packets and octets in it.
    pub fn total(&self) -> Total {
        let mut total = Total::default();
        for Entry { counters, .. } in &self.entries {
            total += Total { packets: counters.packets, octets: counters.octets };
        }
        total
    }

    /// Hands each flow to `sink`, with its slots.
    pub fn drain(&mut self, sink: impl FnMut(SlotFlow<'_>, EndReason, &[SlotRef])) {
        self.drain_before(usize::MAX, sink);
        self.passed = 0;
    }

    /// The same of those flows alone that have no slot at `offset` or behind it in any partition: a flow has
    /// the same window of slots in each.
    fn drain_before(&mut self, offset: usize, mut sink: impl FnMut(SlotFlow<'_>, EndReason, &[SlotRef])) {
        self.places.clear();
        self.keys.clear();
        let mut kept = 0;
        for place in 0..self.entries.len() {
            let Some(entry) = self.entries.get(place) else { break };
            let further = if self.more.is_empty() { None } else { self.more.remove(&place) };
            let cold = row(self.width, place);
            if entry.offset.saturating_add(WINDOW as usize) <= offset {
                let flow =
                    SlotFlow { counters: &entry.counters, cold: self.cold.get(cold).unwrap_or_default() };
                match (entry.slot, further) {
                    (slot, None) => sink(flow, entry.reason, slot.as_slice()),
                    (slot, Some(further)) => {
                        let all: Vec<SlotRef> = slot.into_iter().chain(further).collect();
                        sink(flow, entry.reason, &all);
                    }
                }
                continue;
            }
            let hash = slots::hash(&self.hasher, entry.counters.key, entry.segment);
            self.entries.swap(kept, place);
            self.cold.copy_within(cold, kept * self.width);
            if let Some(further) = further {
                self.more.insert(kept, further);
            }
            let Self { entries, places, hasher, .. } = self;
            places.insert_unique(hash, kept, |&place| rehash(entries, hasher, place));
            kept += 1;
        }
        self.entries.truncate(kept);
        self.cold.truncate(kept * self.width);
    }
}

/// Where the cold octets of an entry are.
const fn row(width: usize, place: usize) -> Range<usize> {
    place * width..(place + 1) * width
}

fn key(entries: &[Entry], place: usize) -> Option<(&FlowKey, u32)> {
    entries.get(place).map(|entry| (&entry.counters.key, entry.segment))
}

fn rehash(entries: &[Entry], hasher: &RandomState, place: usize) -> u64 {
    key(entries, place).map_or(0, |(key, segment)| slots::hash(hasher, key, segment))
}

/// The record of these counters, whose slots the delivery stands for.
#[inline]
pub fn record(
    flow: &FlowCounters,
    end_reason: EndReason,
    clock: WallClock,
    delivery: DeliveryId,
) -> FlowRecord {
    let start_ms = clock.wall_ms(flow.first);
    let values = Flow {
        key: flow.key,
        packets: flow.packets,
        octets: flow.octets,
        start_ms,
        end_ms: clock.wall_ms(flow.last).max(start_ms),
        tcp_flags: flow.tcp_flags,
        ttl_min: flow.ttl_min,
        ttl_max: flow.ttl_max,
        length_min: flow.length_min,
        length_max: flow.length_max,
        end_reason,
    };
    FlowRecord::new(&values, delivery)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Addresses;

    /// Every field of a part has another value, so that none stands in the place of another.
    #[test]
    fn each_field_of_a_part_has_its_place_in_the_record() {
        let addresses = Addresses::V4 { source: [192, 0, 2, 1], destination: [198, 51, 100, 2] };
        let key = FlowKey {
            addresses,
            source_port: 3,
            destination_port: 4,
            protocol: 6,
            tos: 5,
            vlan: 7,
            ingress: 8,
        };
        let counters = FlowCounters {
            key,
            packets: 9,
            octets: 1000,
            first: 2_000_000_000,
            last: 5_999_999_999,
            tcp_flags: 0x12,
            ttl_min: 62,
            ttl_max: 64,
            length_min: 40,
            length_max: 1500,
        };
        let clock = WallClock::new(1_000_000_000, 1_700_000_000_000_000_000);
        let made = record(&counters, EndReason::ActiveTimeout, clock, DeliveryId(11));
        let expected = Flow {
            key,
            packets: 9,
            octets: 1000,
            start_ms: 1_700_000_001_000,
            end_ms: 1_700_000_004_999,
            tcp_flags: 0x12,
            ttl_min: 62,
            ttl_max: 64,
            length_min: 40,
            length_max: 1500,
            end_reason: EndReason::ActiveTimeout,
        };
        assert_eq!((made.flow(), made.delivery), (expected, DeliveryId(11)));
    }

    #[test]
    fn an_end_is_never_before_its_start() {
        let key = FlowKey {
            addresses: Addresses::V6 { source: [1; 16], destination: [2; 16] },
            source_port: 0,
            destination_port: 0,
            protocol: 58,
            tos: 0,
            vlan: 0,
            ingress: 1,
        };
        let counters = FlowCounters {
            key,
            packets: 1,
            octets: 40,
            first: 9_000_000,
            last: 3_000_000,
            tcp_flags: 0,
            ttl_min: 1,
            ttl_max: 1,
            length_min: 40,
            length_max: 40,
        };
        let made = record(&counters, EndReason::Forced, WallClock::default(), DeliveryId::NONE);
        assert_eq!((made.start_ms(), made.end_ms()), (9, 9));
    }
}
