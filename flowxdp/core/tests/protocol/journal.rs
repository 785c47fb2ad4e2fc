//! The journal: how a message is delivered so that the agent's successor knows each step it took before a
//! kill.
//!
//! A copy of the agent's `deliveries/page.rs` and `exporter/books.rs`, store by store, with the agent's own
//! [`Deliveries`] for the states of slots. [`flowxdp_common::journal`] defines the words.

use flowxdp_common::{
    journal::{IDLE, RELEASING, SENDING, TAKING_BACK},
    slot::{is_retired, retired},
};
use flowxdp_core::{
    metering::deliveries::{Deliveries, Place, SlotRef},
    record::DeliveryId,
};

use crate::{
    cell::{Cell, Op, REFS, Sum},
    process::{Access, Go},
    scenario::{Broken, Scenario},
};

const fn word(phase: u64, copy: usize, slots: usize) -> u64 {
    flowxdp_common::journal::word(phase, copy as u64, slots as u64)
}

fn unfold(word: u64) -> (u64, usize, usize) {
    let small = |number: u64| usize::try_from(number).expect("a small number");
    let (phase, copy, slots) = flowxdp_common::journal::unfold(word);
    (phase, small(copy), small(slots))
}

/// A retired slot that some collector waits for, and its counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) slot: usize,
    pub(crate) packets: u64,
    pub(crate) octets: u64,
    /// Collectors that have it, a bit each.
    pub(crate) has: u32,
}

/// The bits of all collectors.
pub(crate) const fn all(scenario: &Scenario) -> u32 {
    (1 << scenario.collectors) - 1
}

fn sums(access: &mut Access<'_>, collector: usize, copy: usize) -> Go<[u64; 4]> {
    let mut sums = [0; 4];
    for sum in Sum::ALL {
        sums[sum as usize] = access.step(Op::Load(Cell::Terms(collector, copy, sum)))?;
    }
    Ok(sums)
}

fn write(access: &mut Access<'_>, collector: usize, copy: usize, sums: [u64; 4]) -> Go<()> {
    for sum in Sum::ALL {
        access.step(Op::Store(Cell::Terms(collector, copy, sum), sums[sum as usize]))?;
    }
    Ok(())
}

/// Packets and octets that a collector's page says it was given.
pub(crate) fn exported(access: &mut Access<'_>, collector: usize) -> Go<[u64; 2]> {
    let (_, copy, _) = unfold(access.step(Op::Load(Cell::Word(collector)))?);
    let [packets, octets, ..] = sums(access, collector, copy)?;
    Ok([packets, octets])
}

/// The page's final sums: exported, and named as perhaps twice.
pub(crate) fn terms(memory: &crate::memory::Memory, collector: usize) -> [u64; 4] {
    let (_, copy, _) = unfold(memory.word(Cell::Word(collector)));
    Sum::ALL.map(|sum| memory.word(Cell::Terms(collector, copy, sum)))
}

fn and(sums: [u64; 4], kept: &[Kept]) -> [u64; 4] {
    let [packets, octets, twice_packets, twice_octets] = sums;
    let more = |sum: u64, of: fn(&Kept) -> u64| sum + kept.iter().map(of).sum::<u64>();
    [more(packets, |kept| kept.packets), more(octets, |kept| kept.octets), twice_packets, twice_octets]
}

/// The outcome of the records that a collector waits for.
pub(crate) enum Handed {
    /// There are none.
    None,
    Some,
    /// They were refused, and are there again.
    Refused,
}

/// Hands the first records that `collector` waits for to it and lets go of their slots; with `may_refuse`,
/// once it has not refused them.
pub(crate) fn hand_over(
    scenario: &Scenario,
    collector: usize,
    kept: &mut [Kept],
    may_refuse: bool,
    access: &mut Access<'_>,
) -> Go<Handed> {
    let bit = 1 << collector;
    let mut batch: Vec<&mut Kept> = kept.iter_mut().filter(|kept| kept.has & bit == 0).take(REFS).collect();
    if batch.is_empty() {
        return Ok(Handed::None);
    }
    let records: Vec<Kept> = batch.iter().map(|kept| **kept).collect();
    let (_, copy, _) = unfold(access.step(Op::Load(Cell::Word(collector)))?);
    let other = if scenario.is(Broken::OneCopy) { copy } else { 1 - copy };
    let before = sums(access, collector, copy)?;
    list(access, collector, &records)?;
    write(access, collector, other, and(before, &records))?;
    if scenario.is(Broken::SendFirst) {
        send(collector, &records, access)?;
    }
    access.step(Op::Store(Cell::Word(collector), word(SENDING, copy, records.len())))?;
    let mut sent = records.len();
    if scenario.partial && sent > 1 {
        sent -= usize::try_from(access.step(Op::Choose(2))?).expect("one or none");
    }
    let sent = &records[..sent];
    if !scenario.is(Broken::SendFirst) {
        send(collector, sent, access)?;
    }
    batch.truncate(sent.len());
    list(access, collector, sent)?;
    write(access, collector, other, and(before, sent))?;
    if scenario.is(Broken::FreeFirst) {
        let_go(scenario, bit, &mut batch, access)?;
    }
    access.step(Op::Store(Cell::Word(collector), word(RELEASING, other, sent.len())))?;
    if may_refuse && !scenario.is(Broken::FreeUnsure) {
        note(&mut batch, |pending, delivery, set| pending.deliver(delivery, bit, set), access)?;
    } else if !scenario.is(Broken::FreeFirst) {
        let_go(scenario, bit, &mut batch, access)?;
    }
    access.step(Op::Store(Cell::Word(collector), word(IDLE, other, 0)))?;
    if !may_refuse {
        return Ok(Handed::Some);
    }
    if access.step(Op::Choose(2))? == 0 {
        let_go(scenario, bit, &mut batch, access)?;
        return Ok(Handed::Some);
    }
    list(access, collector, sent)?;
    write(access, collector, copy, before)?;
    let [packets, octets, ..] = and([0; 4], sent);
    let taking = word(TAKING_BACK, copy, sent.len());
    access.step(Op::Refused(collector, packets, octets, Cell::Word(collector), taking))?;
    if !scenario.is(Broken::FreeUnsure) {
        note(&mut batch, |pending, delivery, set| pending.revoke(delivery, bit, set), access)?;
    }
    access.step(Op::Store(Cell::Word(collector), word(IDLE, copy, 0)))?;
    Ok(Handed::Refused)
}

/// Notes in slots who has them, by the agent's own code.
fn note(
    batch: &mut [&mut Kept],
    change: impl Fn(&mut Deliveries, DeliveryId, &mut dyn FnMut(SlotRef, u32)),
    access: &mut Access<'_>,
) -> Go<()> {
    for kept in batch {
        let (mut pending, mut state) = (Deliveries::default(), 0);
        let delivery = pending.keep(&[SlotRef::new(Place::SPILL, kept.slot)], kept.has);
        change(&mut pending, delivery, &mut |_, new| state = new);
        kept.has = flowxdp_common::slot::has(state);
        access.step(Op::Store(Cell::State(kept.slot), state.into()))?;
    }
    Ok(())
}

fn list(access: &mut Access<'_>, collector: usize, records: &[Kept]) -> Go<()> {
    for (place, record) in records.iter().enumerate() {
        access.step(Op::Store(Cell::Ref(collector, place), record.slot as u64))?;
    }
    Ok(())
}

fn send(collector: usize, records: &[Kept], access: &mut Access<'_>) -> Go<()> {
    let [packets, octets, ..] = and([0; 4], records);
    access.step(Op::Send(collector, packets, octets)).map(drop)
}

/// These collectors have the records: their slots are noted or, after the last one, free.
pub(crate) fn let_go(
    scenario: &Scenario,
    bits: u32,
    batch: &mut [&mut Kept],
    access: &mut Access<'_>,
) -> Go<()> {
    for kept in batch {
        let (mut pending, mut state) = (Deliveries::default(), 0);
        let delivery = pending.keep(&[SlotRef::new(Place::SPILL, kept.slot)], kept.has);
        pending.expect(delivery, all(scenario) & !kept.has);
        pending.release(delivery, bits, |_, new| state = new);
        kept.has |= bits;
        access.step(Op::Store(Cell::State(kept.slot), state.into()))?;
    }
    Ok(())
}

/// The next agent's recovery of a page.
pub(crate) fn recover(scenario: &Scenario, collector: usize, access: &mut Access<'_>) -> Go<()> {
    let (phase, copy, count) = unfold(access.step(Op::Load(Cell::Word(collector)))?);
    let mut now = sums(access, collector, copy)?;
    let mut slots = Vec::new();
    for place in 0..count {
        let slot = access.step(Op::Load(Cell::Ref(collector, place)))?;
        slots.push(usize::try_from(slot).expect("a slot"));
    }
    match phase {
        RELEASING => {
            release(scenario, collector, &slots, access)?;
            access.step(Op::Store(Cell::Word(collector), word(IDLE, copy, 0)))?;
        }
        TAKING_BACK if !scenario.is(Broken::ForgetRefusal) => {
            demand(collector, &slots, access)?;
            access.step(Op::Store(Cell::Word(collector), word(IDLE, copy, 0)))?;
        }
        SENDING if !scenario.is(Broken::NameNothing) => {
            for slot in slots {
                let state = state(slot, access)?;
                if is_retired(state) && !has(state, collector) {
                    now[Sum::TwicePackets as usize] += access.step(Op::Load(Cell::Packets(slot)))?;
                    now[Sum::TwiceOctets as usize] += access.step(Op::Load(Cell::Octets(slot)))?;
                }
            }
        }
        _ => {}
    }
    write(access, collector, 1 - copy, now)?;
    access.step(Op::Store(Cell::Word(collector), word(RELEASING, 1 - copy, 0)))?;
    access.step(Op::Store(Cell::Word(collector), word(IDLE, 1 - copy, 0)))?;
    Ok(())
}

fn state(slot: usize, access: &mut Access<'_>) -> Go<u32> {
    Ok(u32::try_from(access.step(Op::Load(Cell::State(slot)))?).expect("a state"))
}

/// Whether a collector has a retired slot's record.
pub(crate) const fn has(state: u32, collector: usize) -> bool {
    flowxdp_common::slot::has(state) >> collector & 1 == 1
}

/// Notes in the slots that are still retired that the collector has them.
fn release(scenario: &Scenario, collector: usize, slots: &[usize], access: &mut Access<'_>) -> Go<()> {
    for &slot in slots {
        let state = state(slot, access)?;
        if is_retired(state) || scenario.is(Broken::ReleaseAnything) {
            let has = flowxdp_common::slot::has(state) | 1 << collector;
            access.step(Op::Store(Cell::State(slot), retired(has).into()))?;
        }
    }
    Ok(())
}

/// Notes in these slots that the collector has them not.
fn demand(collector: usize, slots: &[usize], access: &mut Access<'_>) -> Go<()> {
    for &slot in slots {
        let has = flowxdp_common::slot::has(state(slot, access)?) & !(1 << collector);
        access.step(Op::Store(Cell::State(slot), retired(has).into()))?;
    }
    Ok(())
}
