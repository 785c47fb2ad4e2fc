//! A table as the agent's own code sees it: each of its accesses is a step of the model.

use std::{
    cell::{Cell as Flag, RefCell},
    ops::Range,
};

use flowxdp_common::{
    key::SpillKey,
    overflow::Intent,
    slot::{FREE, LIVE, SpillSlot},
};
use flowxdp_core::{
    metering::retire::{Peek, Table, Timeouts},
    metering::spill::SpillTable,
};

use crate::{
    cell::{Cell, Op},
    journal::has,
    process::{Access, Go, Stop},
    scenario::{Broken, Scenario},
};

/// By these timeouts a [`Shared::peek`] is due at [`NOW`], or not.
pub(crate) const TIMEOUTS: Timeouts = Timeouts::new(10, 10);
pub(crate) const NOW: u64 = 100;

/// The kernel's table, or the spill table.
///
/// The traits have no way to stop their user. So after the run's step, the rest of the run sees a table
/// without a flow and its stores go nowhere; [`Shared::end`] then tells that nothing of it counts.
pub(crate) struct Shared<'a, 'b> {
    scenario: &'a Scenario,
    access: RefCell<&'a mut Access<'b>>,
    slots: Range<usize>,
    /// Slots that this collector has are not shown.
    pub(crate) collector: Option<usize>,
    /// Stores of a note that comes too late, by [`Broken::IntentLater`].
    late: Vec<Op>,
    stopped: Flag<bool>,
}

impl<'a, 'b> Shared<'a, 'b> {
    pub(crate) fn kernel(scenario: &'a Scenario, access: &'a mut Access<'b>) -> Self {
        Self::of(scenario, access, 0..scenario.spill_base())
    }

    pub(crate) fn spill(scenario: &'a Scenario, access: &'a mut Access<'b>) -> Self {
        Self::of(scenario, access, scenario.spill_base()..scenario.slots())
    }

    fn of(scenario: &'a Scenario, access: &'a mut Access<'b>, slots: Range<usize>) -> Self {
        let (access, late) = (RefCell::new(access), Vec::new());
        Self { scenario, access, slots, collector: None, late, stopped: Flag::new(false) }
    }

    /// A step, unless the run was stopped.
    pub(crate) fn step(&self, op: Op) -> Option<u64> {
        if self.stopped.get() {
            return None;
        }
        let value = self.access.borrow_mut().step(op).ok();
        self.stopped.set(value.is_none());
        value
    }

    /// The slot's number in the model.
    pub(crate) const fn number(&self, index: usize) -> usize {
        self.slots.start + index
    }

    fn load(&self, cell: Cell) -> u64 {
        self.step(Op::Load(cell)).unwrap_or_default()
    }

    /// A store of a note.
    fn store(&mut self, cell: Cell, value: u64) {
        let op = Op::Store(cell, value);
        if self.scenario.is(Broken::IntentLater) {
            self.late.push(op);
        } else {
            self.step(op);
        }
    }

    /// The event is about to be consumed.
    pub(crate) fn settle(&mut self) {
        for op in std::mem::take(&mut self.late) {
            self.step(op);
        }
    }

    /// Whether the run was stopped.
    pub(crate) fn end(self) -> Go<()> {
        if self.stopped.get() { Err(Stop) } else { Ok(()) }
    }
}

impl Table for Shared<'_, '_> {
    type Slot = SpillSlot;

    fn len(&self) -> usize {
        self.slots.len()
    }

    fn state(&self, index: usize) -> u32 {
        let state = u32::try_from(self.load(Cell::State(self.number(index)))).expect("a state");
        if self.collector.is_some_and(|collector| has(state, collector)) { FREE } else { state }
    }

    fn peek(&self, _: usize) -> Peek {
        // The times do not matter, only the agent's decision does.
        let due = !self.scenario.undecided || self.step(Op::Choose(2)) == Some(1);
        let time = if due { 0 } else { NOW };
        Peek { first: time, last: time, tcp_flags: 0 }
    }

    fn copy(&self, index: usize) -> SpillSlot {
        let slot = self.number(index);
        let (packets, octets) = (self.load(Cell::Packets(slot)), self.load(Cell::Octets(slot)));
        SpillSlot { packets, octets, state: LIVE, ..SpillSlot::default() }
    }

    fn set_state(&mut self, index: usize, state: u32) {
        self.step(Op::Store(Cell::State(self.number(index)), state.into()));
    }
}

impl SpillTable for Shared<'_, '_> {
    fn key(&self, index: usize) -> SpillKey {
        // No step: how often a hash table asks is a matter of chance, and only the agent writes this.
        key(self.access.borrow().memory.word(Cell::Key(self.number(index))))
    }

    fn write(&mut self, index: usize, slot: &SpillSlot) {
        let number = self.number(index);
        // A slot that is known keeps its key, which `copy` did not read.
        if slot.key.version != 0 {
            self.step(Op::Store(Cell::Key(number), slot.key.addresses[0].into()));
        }
        self.step(Op::Store(Cell::Packets(number), slot.packets));
        self.step(Op::Store(Cell::Octets(number), slot.octets));
        self.step(Op::Store(Cell::State(number), slot.state.into()));
    }

    fn intent(&self) -> Intent {
        let [position, index, packets, octets, armed] = [
            Cell::IntentPosition,
            Cell::IntentIndex,
            Cell::IntentPackets,
            Cell::IntentOctets,
            Cell::IntentArmed,
        ]
        .map(|cell| self.load(cell));
        let armed = if self.scenario.is(Broken::UndoNothing) { 0 } else { armed };
        Intent { position, index, packets, octets, armed }
    }

    fn note(&mut self, intent: &Intent) {
        self.store(Cell::IntentPosition, intent.position);
        self.store(Cell::IntentIndex, intent.index);
        self.store(Cell::IntentPackets, intent.packets);
        self.store(Cell::IntentOctets, intent.octets);
    }

    fn arm(&mut self, armed: bool) {
        if armed || !self.scenario.is(Broken::AlwaysArmed) {
            self.store(Cell::IntentArmed, armed.into());
        }
    }
}

/// The key of a flow of the model.
pub(crate) fn key(flow: u64) -> SpillKey {
    let mut addresses = [0; 32];
    addresses[0] = u8::try_from(flow).expect("few flows");
    SpillKey { addresses, version: 4, ..SpillKey::default() }
}
