//! Parts of one flow that retire together become one record.
//!
//! A flow that was met on two CPUs has two slots, and packets that found no slot are in the agent's own
//! table. Exported apart they would be legal too: a collector adds them up.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::{
    clock::WallClock,
    record::{EndReason, FlowKey, FlowRecord, Total},
    slots::Part,
};

/// Collects what retires at one look.
#[derive(Debug, Default)]
pub struct Merge {
    parts: Vec<(Part, EndReason)>,
    places: HashMap<FlowKey, usize, RandomState>,
}

impl Merge {
    /// Takes a part. With `alone`, no other part of this flow can come, and none is looked for.
    pub fn push(&mut self, part: Part, reason: EndReason, alone: bool) {
        if !alone {
            if let Some((known, end)) =
                self.places.get(&part.key).and_then(|&place| self.parts.get_mut(place))
            {
                known.absorb(&part);
                *end = (*end).max(reason);
                return;
            }
            self.places.insert(part.key, self.parts.len());
        }
        self.parts.push((part, reason));
    }

    /// Whether nothing retired.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Packets and octets in it.
    pub fn total(&self) -> Total {
        let mut total = Total::default();
        for (part, _) in &self.parts {
            total += Total { packets: part.packets, octets: part.octets };
        }
        total
    }

    /// Takes the records out, with times of day.
    pub fn records(&mut self, clock: WallClock) -> impl Iterator<Item = FlowRecord> {
        self.places.clear();
        self.parts.drain(..).map(move |(part, end_reason)| record(&part, end_reason, clock))
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
        ticket: crate::record::Ticket::NONE,
    }
}
