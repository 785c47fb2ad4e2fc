//! The XDP program's way with one packet: `flowxdp-ebpf`'s `meter.rs`, `partition.rs` and `table.rs`, store
//! by store.
//!
//! These files compile for BPF alone, so this is a copy with their names. [`window`](crate::window) has the
//! decisions, and is compared with the program in the kernel. A CPU's reads of words that it alone writes are
//! no steps: their time cannot be observed.

use flowxdp_common::{counter::NO_PARTITION, slot::LIVE};

use crate::{
    cell::{Cell, Op},
    process::{Access, Go, Stop},
    scenario::{Broken, Packet, Scenario},
    window::{Slots, place},
};

/// A packet's octets are a power of 16 of its own, so that sums tell which packets are in them.
pub(crate) const fn octets(packet: usize) -> u64 {
    1 << (4 * packet)
}

/// Meters packet `number` on CPU `cpu`.
pub(crate) fn packet(
    scenario: &Scenario,
    cpu: usize,
    packet: Packet,
    number: usize,
    more: bool,
    access: &mut Access<'_>,
) -> Go<()> {
    access.step(Op::Enter)?;
    access.step(Op::Add(Cell::SeenPackets(cpu), 1))?;
    access.step(Op::Add(Cell::SeenOctets(cpu), octets(number)))?;
    let partition = if scenario.hand_over { claimed(cpu, access)? } else { Some(cpu) };
    let mut steps = Steps { scenario, access: &mut *access, cpu, flow: packet.flow, octets: octets(number) };
    let placed = match partition.map(|partition| scenario.base(partition) + packet.home) {
        Some(first) => place(&mut steps, first..first + scenario.window, scenario.is(Broken::FirstFreeSlot))?,
        None => false,
    };
    if !placed {
        access.step(Op::Submit(octets(number) << 8 | packet.flow))?;
    }
    access.step(Op::Exit(more))?;
    Ok(())
}

/// The CPU's partition, if it has one: the first CPU that asks takes the only one.
fn claimed(cpu: usize, access: &mut Access<'_>) -> Go<Option<usize>> {
    let mut claim = access.step(Op::Load(Cell::Claim(cpu)))?;
    if claim == 0 {
        claim = if access.step(Op::Take)? == 0 { 1 } else { NO_PARTITION.into() };
        access.step(Op::Store(Cell::Claim(cpu), claim))?;
    }
    Ok((claim == 1).then_some(0))
}

/// The window of one packet, each access a step.
struct Steps<'a, 'b> {
    scenario: &'a Scenario,
    access: &'a mut Access<'b>,
    cpu: usize,
    flow: u64,
    octets: u64,
}

impl Slots for Steps<'_, '_> {
    type Stop = Stop;

    fn state(&mut self, slot: usize) -> Go<u32> {
        Ok(u32::try_from(self.access.step(Op::Load(Cell::State(slot)))?).expect("a state"))
    }

    fn is_flow(&mut self, slot: usize) -> Go<bool> {
        // Where CPUs share a partition, another may have written it.
        let key = match self.scenario.hand_over {
            true => self.access.step(Op::Load(Cell::Key(slot)))?,
            false => self.access.memory.own(self.cpu, Cell::Key(slot)),
        };
        Ok(key == self.flow)
    }

    fn hit(&mut self, slot: usize) -> Go<()> {
        self.access.step(Op::Add(Cell::Packets(slot), 1))?;
        self.access.step(Op::Add(Cell::Octets(slot), self.octets))?;
        if self.scenario.is(Broken::HitWritesState) {
            self.access.step(Op::Store(Cell::State(slot), LIVE.into()))?;
        }
        Ok(())
    }

    fn open(&mut self, slot: usize) -> Go<()> {
        if self.scenario.is(Broken::StateFirst) {
            self.access.step(Op::Release(Cell::State(slot), LIVE.into()))?;
        }
        self.access.step(Op::Store(Cell::Key(slot), self.flow))?;
        self.access.step(Op::Store(Cell::Packets(slot), 1))?;
        self.access.step(Op::Store(Cell::Octets(slot), self.octets))?;
        if self.scenario.is(Broken::PlainState) {
            self.access.step(Op::Store(Cell::State(slot), LIVE.into()))?;
        } else if !self.scenario.is(Broken::StateFirst) {
            self.access.step(Op::Release(Cell::State(slot), LIVE.into()))?;
        }
        Ok(())
    }
}
