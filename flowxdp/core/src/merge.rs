//! Parts of one flow that retire together become one record.
//!
//! A flow that was met on two CPUs has two slots, and packets that found no slot are in the agent's own
//! table. Exported apart they would be legal too: a collector adds them up.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::{
    clock::WallClock,
    hold::SlotRef,
    record::{EndReason, FlowKey, FlowRecord, Ticket, Total},
    slots::Part,
};

/// Collects what retires at one look.
#[derive(Debug, Default)]
pub struct Merge {
    parts: Vec<(Part, EndReason, Option<SlotRef>)>,
    /// Further slots of a part, by its place.
    more: HashMap<usize, Vec<SlotRef>, RandomState>,
    places: HashMap<FlowKey, usize, RandomState>,
}

impl Merge {
    /// Takes a part, and the slot that it is in. With `alone`, no other part of this flow can come, and none is looked for.
    pub fn push(&mut self, part: Part, reason: EndReason, alone: bool, slot: Option<SlotRef>) {
        if !alone {
            if let Some(&place) = self.places.get(&part.key)
                && let Some((known, end, _)) = self.parts.get_mut(place)
            {
                known.absorb(&part);
                *end = (*end).max(reason);
                if let Some(slot) = slot {
                    self.more.entry(place).or_default().push(slot);
                }
                return;
            }
            self.places.insert(part.key, self.parts.len());
        }
        self.parts.push((part, reason, slot));
    }

    /// Whether nothing retired.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Packets and octets in it.
    pub fn total(&self) -> Total {
        let mut total = Total::default();
        for (part, ..) in &self.parts {
            total += Total { packets: part.packets, octets: part.octets };
        }
        total
    }

    /// Takes the records out, with times of day; `keep` gives a ticket for the slots of each.
    pub fn records(
        &mut self,
        clock: WallClock,
        mut keep: impl FnMut(&[SlotRef]) -> Ticket,
    ) -> impl Iterator<Item = FlowRecord> {
        self.places.clear();
        let Self { parts, more, .. } = self;
        parts.drain(..).enumerate().map(move |(place, (part, end_reason, slot))| {
            let further = if more.is_empty() { None } else { more.remove(&place) };
            let ticket = match (slot, further) {
                (None, None) => Ticket::NONE,
                (Some(slot), None) => keep(&[slot]),
                (slot, Some(further)) => keep(&slot.into_iter().chain(further).collect::<Vec<_>>()),
            };
            FlowRecord { ticket, ..record(&part, end_reason, clock) }
        })
    }
}

/// The record of one part.
pub fn record(part: &Part, end_reason: EndReason, clock: WallClock) -> FlowRecord {
    let start_ms = clock.wall_ms(part.first);
    FlowRecord {
        key: part.key,
        packets: part.packets,
        octets: part.octets,
        start_ms,
        end_ms: clock.wall_ms(part.last).max(start_ms),
        tcp_flags: part.tcp_flags,
        ttl_min: part.ttl_min,
        ttl_max: part.ttl_max,
        length_min: part.length_min,
        length_max: part.length_max,
        end_reason,
        ticket: Ticket::NONE,
    }
}
