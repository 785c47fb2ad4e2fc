//! The spill table and the ring buffer as shared memory has them: words, and an agent that dies between two.

use std::collections::VecDeque;

use bytemuck::{Zeroable, cast, cast_mut};
use flowxdp_common::{
    field::{self, ColdRow, Group, Groups, WIDEST},
    key::{FLOW, SpillKey},
    overflow::{Event, Intent},
    slot::{FREE, LIVE, RETIRED, SpillSlot},
};
use flowxdp_core::{
    metering::retire::{Peek, Table},
    metering::slots,
    metering::spill::SpillTable,
};

/// The groups that have cold fields here.
pub(crate) const GROUPS: Groups = Groups::BASE.with(Group::Mac).with(Group::Ipv6);

/// Octets that an event takes in the ring.
const STEP: u64 = 72;

/// The memory that outlives an agent, and how many words it may still write.
pub(crate) struct Memory {
    pub(crate) slots: Vec<SpillSlot>,
    cold: Vec<ColdRow>,
    intent: Intent,
    /// Events that were not consumed, and where the first of them is.
    pub(crate) ring: VecDeque<Event>,
    pub(crate) position: u64,
    /// Words that the agent writes before it dies.
    pub(crate) life: usize,
}

impl Memory {
    pub(crate) fn new(slots: usize) -> Self {
        let (slots, cold) = (vec![SpillSlot::zeroed(); slots], vec![[0; WIDEST]; slots]);
        Self { slots, cold, intent: Intent::zeroed(), ring: VecDeque::new(), position: 0, life: usize::MAX }
    }

    /// Whether the agent lives to write a word more.
    fn lives(&mut self) -> bool {
        let lives = self.life > 0;
        self.life = self.life.saturating_sub(1);
        lives
    }

    /// The first event in the ring, as the agent reads it.
    pub(crate) fn event(&self) -> Option<SpillSlot> {
        self.ring.front().and_then(slots::event)
    }

    /// One store: the first event is no more.
    pub(crate) fn consume(&mut self) {
        if self.lives() {
            self.ring.pop_front();
            self.position += STEP;
        }
    }
}

impl Table for Memory {
    type Slot = SpillSlot;

    fn len(&self) -> usize {
        self.slots.len()
    }

    fn state(&self, index: usize) -> u32 {
        self.slots[index].state
    }

    fn peek(&self, index: usize) -> Peek {
        let slot = &self.slots[index];
        Peek { first: slot.first, last: slot.last, tcp_flags: slot.tcp_flags }
    }

    fn closes(&self, index: usize) -> bool {
        self.key(index).level == FLOW
    }

    fn copy(&self, index: usize) -> SpillSlot {
        self.slots[index]
    }

    fn cold<'row>(&self, index: usize, row: &'row mut ColdRow) -> &'row [u8] {
        *row = self.cold[index];
        &row[..field::width(GROUPS)]
    }

    fn set_state(&mut self, index: usize, state: u32) {
        if self.lives() {
            let before = std::mem::replace(&mut self.slots[index].state, state);
            let allowed = matches!(
                (before, state),
                (FREE, LIVE) | (LIVE, RETIRED) | (RETIRED, FREE) | (LIVE | FREE, FREE)
            );
            assert!(allowed, "{before} to {state}");
        }
    }
}

impl SpillTable for Memory {
    fn key(&self, index: usize) -> SpillKey {
        self.slots[index].key
    }

    fn write(&mut self, index: usize, slot: &SpillSlot) {
        let new: [u64; 16] = cast(*slot);
        // Backwards: no order within one call is promised.
        for (place, word) in new.into_iter().enumerate().rev() {
            if self.lives() {
                cast_mut::<SpillSlot, [u64; 16]>(&mut self.slots[index])[place] = word;
            }
        }
    }

    fn groups(&self) -> Groups {
        GROUPS
    }

    fn write_cold(&mut self, index: usize, row: &[u8]) {
        for (place, octets) in self.cold[index].chunks_exact_mut(8).zip(row.chunks_exact(8)) {
            if self.life > 0 {
                place.copy_from_slice(octets);
            }
        }
    }

    fn intent(&self) -> Intent {
        self.intent
    }

    fn note(&mut self, intent: &Intent) {
        let armed = self.intent.armed;
        let new: [u64; 5] = cast(Intent { armed, ..*intent });
        for (place, word) in new.into_iter().enumerate() {
            if self.lives() {
                cast_mut::<Intent, [u64; 5]>(&mut self.intent)[place] = word;
            }
        }
    }

    fn arm(&mut self, armed: bool) {
        if self.lives() {
            self.intent.armed = u64::from(armed);
        }
    }
}
