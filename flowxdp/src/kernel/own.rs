//! The agent's own flow table in shared memory: only the agent writes it, and its successor reads it.

use flowxdp_common::{
    key::{FLOW, KeyOwn},
    overflow::Intent,
    slot::SlotOwn,
};
use flowxdp_core::{
    overflow::Own,
    retire::{Glance, Table},
};

use super::map::Mapped;

/// The slots, and the note of what is about to happen to one of them.
#[derive(Debug)]
pub struct OwnTable {
    slots: Mapped<SlotOwn>,
    intent: Mapped<Intent>,
}

impl OwnTable {
    /// The two maps together; `intent` has one element.
    pub const fn new(slots: Mapped<SlotOwn>, intent: Mapped<Intent>) -> Self {
        Self { slots, intent }
    }
}

impl Table for OwnTable {
    type Slot = SlotOwn;

    fn len(&self) -> usize {
        self.slots.len()
    }

    fn state(&self, index: usize) -> u32 {
        self.slots.state(index)
    }

    fn glance(&self, index: usize) -> Glance {
        self.slots.glance(index)
    }

    fn closes(&self, index: usize) -> bool {
        self.key(index).level == FLOW
    }

    fn copy(&self, index: usize) -> SlotOwn {
        self.slots.read(index)
    }

    fn set_state(&mut self, index: usize, state: u32) {
        self.slots.set_state(index, state);
    }
}

impl Own for OwnTable {
    fn key(&self, index: usize) -> KeyOwn {
        let key = self.slots.element(index).cast::<KeyOwn>();
        // SAFETY: the key is at the slot's first octet, and `element` is in bounds.
        unsafe { key.read_volatile() }
    }

    fn write(&mut self, index: usize, slot: &SlotOwn) {
        self.slots.write(index, slot);
    }

    fn intent(&self) -> Intent {
        self.intent.read(0)
    }

    fn note(&mut self, intent: &Intent) {
        let armed = self.intent.read(0).armed;
        self.intent.write(0, &Intent { armed, ..*intent });
    }

    fn arm(&mut self, armed: bool) {
        // SAFETY: `element` is in bounds.
        let place = unsafe { &raw mut (*self.intent.element(0)).armed };
        // SAFETY: an aligned word of the mapping.
        unsafe { place.write_volatile(u64::from(armed)) };
    }
}

const _: () = assert!(std::mem::offset_of!(SlotOwn, key) == 0);
