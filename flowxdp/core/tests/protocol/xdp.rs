//! The XDP program's way with one packet: `flowxdp-ebpf`'s `meter.rs` and `table.rs`, store by store.
//!
//! Those compile for BPF alone, so this is a copy; the names are theirs. What a CPU reads of what it alone
//! writes is no step: nobody can tell when.

use flowxdp_common::slot::{FREE, LIVE};

use crate::{
    cell::{Cell, Op},
    process::{Access, Go},
    scenario::{Broken, Packet, Scenario},
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
    let first = scenario.base(cpu) + packet.home;
    if !place(scenario, cpu, first, packet.flow, octets(number), access)? {
        access.step(Op::Submit(octets(number) << 8 | packet.flow))?;
    }
    access.step(Op::Exit(more))?;
    Ok(())
}

/// Look-up, hit and insertion; `false` where the window is full.
fn place(
    scenario: &Scenario,
    cpu: usize,
    first: usize,
    flow: u64,
    octets: u64,
    access: &mut Access<'_>,
) -> Go<bool> {
    let mut free = None;
    for slot in first..first + scenario.window {
        let state = access.step(Op::Load(Cell::State(slot)))?;
        if state == u64::from(LIVE) {
            if access.memory.own(cpu, Cell::Key(slot)) == flow {
                hit(scenario, slot, octets, access)?;
                return Ok(true);
            }
        } else if state == u64::from(FREE) && free.is_none() {
            free = Some(slot);
            if scenario.is(Broken::FirstFreeSlot) {
                break;
            }
        }
    }
    let Some(slot) = free else { return Ok(false) };
    open(scenario, slot, flow, octets, access)?;
    Ok(true)
}

fn hit(scenario: &Scenario, slot: usize, octets: u64, access: &mut Access<'_>) -> Go<()> {
    access.step(Op::Add(Cell::Packets(slot), 1))?;
    access.step(Op::Add(Cell::Octets(slot), octets))?;
    if scenario.is(Broken::HitWritesState) {
        access.step(Op::Store(Cell::State(slot), LIVE.into()))?;
    }
    Ok(())
}

fn open(scenario: &Scenario, slot: usize, flow: u64, octets: u64, access: &mut Access<'_>) -> Go<()> {
    if scenario.is(Broken::StateFirst) {
        access.step(Op::Release(Cell::State(slot), LIVE.into()))?;
    }
    access.step(Op::Store(Cell::Key(slot), flow))?;
    access.step(Op::Store(Cell::Packets(slot), 1))?;
    access.step(Op::Store(Cell::Octets(slot), octets))?;
    if scenario.is(Broken::PlainState) {
        access.step(Op::Store(Cell::State(slot), LIVE.into()))?;
    } else if !scenario.is(Broken::StateFirst) {
        access.step(Op::Release(Cell::State(slot), LIVE.into()))?;
    }
    Ok(())
}
