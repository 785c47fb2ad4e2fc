//! The agent's own flow table: packets that found their window of the kernel's table full.

use std::collections::{HashMap, hash_map::Entry};

use foldhash::fast::RandomState;

use crate::{
    record::{EndReason, FlowKey, Total},
    retire::Timeouts,
    slots::{FIN_OR_RST, Part},
};

/// Flows that live in the agent, at most so many.
#[derive(Debug)]
pub struct Overflow {
    flows: HashMap<FlowKey, Flow, RandomState>,
    most: usize,
    total: Total,
    earliest: u64,
    closing: bool,
}

#[derive(Debug)]
struct Flow {
    part: Part,
    closing: bool,
}

impl Overflow {
    /// A table of at most `most` flows.
    pub fn new(most: usize) -> Self {
        Self { flows: HashMap::default(), most, total: Total::default(), earliest: 0, closing: false }
    }

    /// Flows in it.
    pub fn len(&self) -> usize {
        self.flows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }

    /// Packets and octets in it.
    pub fn total(&self) -> Total {
        self.total
    }

    /// When a flow can be due at the earliest; 0 while one closes.
    pub fn next_due(&self) -> u64 {
        match self.flows.is_empty() {
            true => u64::MAX,
            false if self.closing => 0,
            false => self.earliest,
        }
    }

    /// Adds a packet. Gives it back when the table is full of other flows: it is to be exported as it is.
    pub fn push(&mut self, part: Part, timeouts: Timeouts) -> Result<(), Part> {
        let full = self.flows.len() >= self.most;
        match self.flows.entry(part.key) {
            Entry::Occupied(mut flow) => flow.get_mut().part.absorb(&part),
            Entry::Vacant(_) if full => return Err(part),
            Entry::Vacant(place) => {
                place.insert(Flow { part, closing: false });
            }
        }
        self.earliest = self.earliest.min(timeouts.due(part.first, part.last).0);
        self.closing |= part.tcp_flags & FIN_OR_RST != 0;
        self.total += Total { packets: part.packets, octets: part.octets };
        Ok(())
    }

    /// Hands every due flow to `sink`, at most `room`; the rules of [`crate::retire::Retirement::mark`].
    pub fn retire(
        &mut self,
        now: u64,
        timeouts: Timeouts,
        forced: Option<EndReason>,
        room: usize,
        mut sink: impl FnMut(Part, EndReason),
    ) {
        if forced.is_none() && now < self.earliest && !self.closing {
            return;
        }
        let (mut earliest, mut closing, mut left) = (u64::MAX, false, room);
        let total = &mut self.total;
        self.flows.retain(|_, flow| {
            let (due, reason) = timeouts.due(flow.part.first, flow.part.last);
            let end = match forced {
                Some(reason) => Some(reason),
                None if flow.closing => Some(EndReason::EndOfFlow),
                None if now >= due => Some(reason),
                None => None,
            };
            if let Some(end) = end.filter(|_| left > 0) {
                left -= 1;
                total.packets -= flow.part.packets;
                total.octets -= flow.part.octets;
                sink(flow.part, end);
                return false;
            }
            flow.closing |= flow.part.tcp_flags & FIN_OR_RST != 0;
            closing |= flow.closing;
            earliest = earliest.min(due);
            true
        });
        (self.earliest, self.closing) = (earliest, closing);
    }
}
