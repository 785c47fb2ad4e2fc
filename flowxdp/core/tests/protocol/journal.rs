//! The journal: how a message is handed over so that whoever finds the agent killed knows what it did.
//!
//! A page belongs to one collector. Two copies of its sums take turns, and one word says which of them
//! holds, and what is under way: `SENDING`, then `RELEASING`, then `IDLE`.

use flowxdp_common::slot::{FREE, RETIRED};

use crate::{
    cell::{Cell, Op, REFS, Sum},
    process::{Access, Go},
    scenario::{Broken, Scenario},
};

const IDLE: u64 = 0;
/// The slots of the list are in messages that may have left; the other copy would hold then.
const SENDING: u64 = 1;
/// The messages were handed over; the slots of the list are let go of.
const RELEASING: u64 = 2;

const fn word(phase: u64, copy: usize, slots: usize) -> u64 {
    phase | (copy as u64) << 2 | (slots as u64) << 3
}

fn unfold(word: u64) -> (u64, usize, usize) {
    let small = |number: u64| usize::try_from(number).expect("a small number");
    (word & 3, small(word >> 2 & 1), small(word >> 3))
}

/// A retired slot that somebody waits for, and what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub slot: usize,
    pub packets: u64,
    pub octets: u64,
    /// Collectors that have it, a bit each.
    pub has: u32,
}

/// Whether a collector has what is in a retired slot.
pub(crate) const fn has(state: u32, collector: usize) -> bool {
    state >> 8 >> collector & 1 == 1
}

/// The state of a slot that these collectors have.
const fn state(scenario: &Scenario, has: u32) -> u64 {
    if has + 1 == 1 << scenario.collectors { FREE as u64 } else { (RETIRED | has << 8) as u64 }
}

fn sums(access: &mut Access<'_>, collector: usize, copy: usize) -> Go<[u64; 4]> {
    let mut sums = [0; 4];
    for sum in Sum::ALL {
        sums[sum as usize] = access.step(Op::Load(Cell::Account(collector, copy, sum)))?;
    }
    Ok(sums)
}

fn write(access: &mut Access<'_>, collector: usize, copy: usize, sums: [u64; 4]) -> Go<()> {
    for sum in Sum::ALL {
        access.step(Op::Store(Cell::Account(collector, copy, sum), sums[sum as usize]))?;
    }
    Ok(())
}

/// Packets and octets that a collector's page says it was given.
pub(crate) fn exported(access: &mut Access<'_>, collector: usize) -> Go<[u64; 2]> {
    let (_, copy, _) = unfold(access.step(Op::Load(Cell::Word(collector)))?);
    let [packets, octets, ..] = sums(access, collector, copy)?;
    Ok([packets, octets])
}

/// What the page says in the end: exported and named as perhaps twice.
pub(crate) fn account(memory: &crate::memory::Memory, collector: usize) -> [u64; 4] {
    let (_, copy, _) = unfold(memory.word(Cell::Word(collector)));
    Sum::ALL.map(|sum| memory.word(Cell::Account(collector, copy, sum)))
}

fn and(sums: [u64; 4], kept: &[Kept]) -> [u64; 4] {
    let [packets, octets, twice_packets, twice_octets] = sums;
    let more = |sum: u64, of: fn(&Kept) -> u64| sum + kept.iter().map(of).sum::<u64>();
    [more(packets, |kept| kept.packets), more(octets, |kept| kept.octets), twice_packets, twice_octets]
}

/// Hands the first records that `collector` waits for to it and lets go of their slots.
pub(crate) fn hand_over(
    scenario: &Scenario,
    collector: usize,
    kept: &mut [Kept],
    access: &mut Access<'_>,
) -> Go<bool> {
    let bit = 1 << collector;
    let mut batch: Vec<&mut Kept> = kept.iter_mut().filter(|kept| kept.has & bit == 0).take(REFS).collect();
    if batch.is_empty() {
        return Ok(false);
    }
    let records: Vec<Kept> = batch.iter().map(|kept| **kept).collect();
    let (_, copy, _) = unfold(access.step(Op::Load(Cell::Word(collector)))?);
    let other = if scenario.is(Broken::OneCopy) { copy } else { 1 - copy };
    let before = sums(access, collector, copy)?;
    write(access, collector, other, and(before, &records))?;
    for (place, record) in records.iter().enumerate() {
        access.step(Op::Store(Cell::Ref(collector, place), record.slot as u64))?;
    }
    if scenario.is(Broken::SendFirst) {
        send(collector, &records, access)?;
    }
    access.step(Op::Store(Cell::Word(collector), word(SENDING, copy, records.len())))?;
    let mut sent = records.len();
    if scenario.partial && sent > 1 {
        sent -= usize::try_from(access.step(Op::Choose(2))?).expect("one or none");
    }
    if !scenario.is(Broken::SendFirst) {
        send(collector, &records[..sent], access)?;
    }
    if sent < records.len() {
        write(access, collector, other, and(before, &records[..sent]))?;
    }
    batch.truncate(sent);
    if scenario.is(Broken::FreeFirst) {
        release(scenario, bit, &mut batch, access)?;
        access.step(Op::Store(Cell::Word(collector), word(RELEASING, other, sent)))?;
    } else {
        access.step(Op::Store(Cell::Word(collector), word(RELEASING, other, sent)))?;
        release(scenario, bit, &mut batch, access)?;
    }
    access.step(Op::Store(Cell::Word(collector), word(IDLE, other, 0)))?;
    Ok(true)
}

fn send(collector: usize, records: &[Kept], access: &mut Access<'_>) -> Go<()> {
    let [packets, octets, ..] = and([0; 4], records);
    access.step(Op::Send(collector, packets, octets)).map(drop)
}

fn release(scenario: &Scenario, bit: u32, batch: &mut [&mut Kept], access: &mut Access<'_>) -> Go<()> {
    for kept in batch {
        kept.has |= bit;
        access.step(Op::Store(Cell::State(kept.slot), state(scenario, kept.has)))?;
    }
    Ok(())
}

/// What the next agent does with a page that it finds.
pub(crate) fn adopt(scenario: &Scenario, collector: usize, access: &mut Access<'_>) -> Go<()> {
    let (phase, copy, slots) = unfold(access.step(Op::Load(Cell::Word(collector)))?);
    match phase {
        SENDING if !scenario.is(Broken::NameNothing) => {
            let mut named = sums(access, collector, copy)?;
            for place in 0..slots {
                let slot = listed(access, collector, place)?;
                named[Sum::TwicePackets as usize] += access.step(Op::Load(Cell::Packets(slot)))?;
                named[Sum::TwiceOctets as usize] += access.step(Op::Load(Cell::Octets(slot)))?;
            }
            write(access, collector, 1 - copy, named)?;
            access.step(Op::Store(Cell::Word(collector), word(IDLE, 1 - copy, 0)))?;
        }
        RELEASING => {
            for place in 0..slots {
                let slot = listed(access, collector, place)?;
                let found = access.step(Op::Load(Cell::State(slot)))?;
                if found & 0xff == u64::from(RETIRED) || scenario.is(Broken::ReleaseAnything) {
                    let has = u32::try_from(found >> 8).expect("few collectors") | 1 << collector;
                    access.step(Op::Store(Cell::State(slot), state(scenario, has)))?;
                }
            }
            access.step(Op::Store(Cell::Word(collector), word(IDLE, copy, 0)))?;
        }
        _ => {}
    }
    Ok(())
}

fn listed(access: &mut Access<'_>, collector: usize, place: usize) -> Go<usize> {
    let slot = access.step(Op::Load(Cell::Ref(collector, place)))?;
    Ok(usize::try_from(slot).expect("a slot"))
}
