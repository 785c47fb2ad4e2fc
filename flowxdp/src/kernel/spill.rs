//! The spill table in shared memory: only the agent writes it, and its successor reads it.

use std::mem::offset_of;

use flowxdp_common::{
    field::{self, ColdRow, Groups, WIDEST},
    key::{FLOW, SpillKey},
    names,
    overflow::Intent,
    slot::{FREE, SpillSlot},
};
use flowxdp_core::{
    metering::retire::{Peek, Table},
    metering::spill::SpillTable,
};

use super::{cold::ColdSlots, map::Mapped, other_layout, pin::Generation};

/// The slots, and the note of a change to one of them.
#[derive(Debug)]
pub struct SpillSlots {
    slots: Mapped<SpillSlot>,
    cold: ColdSlots,
    groups: Groups,
    intent: Mapped<Intent>,
}

impl SpillSlots {
    /// The maps together; `cold` has words laid out for `groups`, `intent` has one element.
    pub const fn new(
        slots: Mapped<SpillSlot>,
        cold: Mapped<u64>,
        groups: Groups,
        intent: Mapped<Intent>,
    ) -> Self {
        Self { slots, cold: ColdSlots::new(cold, groups), groups, intent }
    }
}

impl SpillSlots {
    /// Takes the cold slots of another generation with the same slots but other groups of fields. The next
    /// agent repeats the step if this one dies meanwhile.
    ///
    /// # Errors
    ///
    /// The cold slots cannot be mapped.
    pub(super) fn take_cold(&mut self, last: &Generation) -> anyhow::Result<()> {
        let same = last.descriptor.groups == u64::from(self.groups.bits());
        if same || field::width(self.groups) == 0 {
            return Ok(());
        }
        let from = match last.descriptor.groups {
            0 => None,
            _ => Some(other_layout::cold_slots(last, names::COLD_SPILL, self.slots.len())?),
        };
        for index in (0..self.slots.len()).filter(|&index| self.slots.state(index) != FREE) {
            let mut there = [0; WIDEST];
            let octets = from.as_ref().map_or(&[][..], |from| from.read(index, &mut there));
            let row = field::convert(&last.descriptor.cold, octets, self.groups);
            self.cold.write(index, row.get(..field::width(self.groups)).unwrap_or_default());
        }
        Ok(())
    }
}

impl Table for SpillSlots {
    type Slot = SpillSlot;

    fn len(&self) -> usize {
        self.slots.len()
    }

    fn state(&self, index: usize) -> u32 {
        self.slots.state(index)
    }

    fn peek(&self, index: usize) -> Peek {
        self.slots.peek(index)
    }

    fn closes(&self, index: usize) -> bool {
        self.key(index).level == FLOW
    }

    fn copy(&self, index: usize) -> SpillSlot {
        self.slots.read(index)
    }

    fn cold<'row>(&self, index: usize, row: &'row mut ColdRow) -> &'row [u8] {
        self.cold.read(index, row)
    }

    fn set_state(&mut self, index: usize, state: u32) {
        self.slots.set_state(index, state);
    }
}

impl SpillTable for SpillSlots {
    fn key(&self, index: usize) -> SpillKey {
        self.slots.load(index, offset_of!(SpillSlot, key))
    }

    fn write(&mut self, index: usize, slot: &SpillSlot) {
        self.slots.write(index, slot);
    }

    fn groups(&self) -> Groups {
        self.groups
    }

    fn write_cold(&mut self, index: usize, row: &[u8]) {
        self.cold.write(index, row);
    }

    fn intent(&self) -> Intent {
        self.intent.read(0)
    }

    fn note(&mut self, intent: &Intent) {
        let armed = self.intent.read(0).armed;
        self.intent.write(0, &Intent { armed, ..*intent });
    }

    fn arm(&mut self, armed: bool) {
        self.intent.store(0, offset_of!(Intent, armed), u64::from(armed));
    }
}
