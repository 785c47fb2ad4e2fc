//! The table of first fragments: a set of a few entries for each home of the hash, shared by all CPUs.
//!
//! The program that works on a set has its lock, for some dozens of instructions. No other program runs on this CPU
//! meanwhile, so a lock is free again soon; a packet that does not get it is metered without the table.

use flowxdp_common::fragment::{FirstFragment, FragmentSet, LONGEST, NAME, WAYS};
use flowxdp_ebpf::{
    candidate::Candidate,
    hash::home_fragment,
    verdict::{FIRST_FRAGMENT, WHOLE},
};

use crate::bpf::{
    atomic, count, maps,
    packet::{Cpu, Packet},
    tick::Clock,
};

/// Attempts at a lock.
const ATTEMPTS: u32 = 256;

/// Keeps the ports of a first fragment, or gives a later one those of its first.
#[inline(never)]
pub fn join(mut cpu: Cpu, packet: &Packet) {
    let Some(candidate) = maps::candidate(cpu.number) else { return };
    if candidate.fragment() == WHOLE {
        return;
    }
    let name = name(candidate, packet.ingress);
    let home = home_fragment(&name, &maps::LoadedSeed, maps::FRAGMENT_SETS.get());
    let Some(set) = maps::fragments(home) else { return };
    let state = cpu.state.get();
    let time = Clock::new(state, packet.time).exact();
    let is_first = candidate.fragment() == FIRST_FRAGMENT;
    let is_locked = lock(set);
    let is_forgotten = if !is_locked {
        is_first
    } else if is_first {
        keep(set, &name, time, candidate)
    } else {
        find(set, &name, time, candidate);
        false
    };
    if is_locked {
        unlock(set);
    }
    if is_forgotten && let Some(counters) = count::counters(cpu.number, state, packet.ingress) {
        count::forgotten(counters, candidate.facts().octets);
    }
}

/// The words of [`FirstFragment::name`].
#[inline(always)]
fn name(candidate: &Candidate, ingress: u32) -> [u64; NAME] {
    let words = candidate.words_v6();
    let [a, b, c, d] = words.addresses;
    let [_, _, _, _, protocol, _, low, high] = words.rest.to_ne_bytes();
    let version = candidate.version();
    // The fragments of an IPv6 packet need not name the same protocol.
    let protocol = if version == 4 { protocol } else { 0 };
    let datagram = u64::from(candidate.identification()) | u64::from(ingress) << 32;
    let [e, f, g, h] = candidate.segment().to_ne_bytes();
    [a, b, c, d, datagram, u64::from_ne_bytes([low, high, protocol, version as u8, e, f, g, h])]
}

/// Takes the lock of a set; `false` where other CPUs have it all the time.
#[inline(always)]
fn lock(set: &mut FragmentSet) -> bool {
    for _ in 0..ATTEMPTS {
        if atomic::swap(&mut set.lock, 1) == 0 {
            return true;
        }
    }
    false
}

/// Gives the lock back; the exchange orders the writes before it.
#[inline(always)]
fn unlock(set: &mut FragmentSet) {
    atomic::swap(&mut set.lock, 0);
}

/// Whether an entry is of this datagram.
#[inline(always)]
fn is_of(entry: &FirstFragment, name: &[u64; NAME]) -> bool {
    let [a, b, c, d, e, f] = entry.name;
    entry.used != 0
        && a == name[0]
        && b == name[1]
        && c == name[2]
        && d == name[3]
        && e == name[4]
        && f == name[5]
}

/// The later fragment joins a first one that is young enough.
#[inline(always)]
fn find(set: &FragmentSet, name: &[u64; NAME], time: u64, candidate: &mut Candidate) {
    for entry in &set.ways {
        if is_of(entry, name) {
            if time <= entry.time.wrapping_add(LONGEST) {
                candidate.join(entry.ports, entry.protocol);
            }
            return;
        }
    }
}

/// Keeps a first fragment in the place of its datagram's, in an unused one, or in that of the oldest. `true` if that one
/// is young enough to be joined still.
#[inline(always)]
fn keep(set: &mut FragmentSet, name: &[u64; NAME], time: u64, candidate: &Candidate) -> bool {
    let (mut oldest, mut its_time) = (0, u64::MAX);
    for (way, entry) in set.ways.iter_mut().enumerate() {
        if is_of(entry, name) {
            write(entry, name, time, candidate);
            return false;
        }
        let at = if entry.used == 0 { 0 } else { entry.time };
        if at < its_time {
            oldest = way;
            its_time = at;
        }
    }
    let Some(entry) = set.ways.get_mut(atomic::masked::<{ WAYS - 1 }>(oldest)) else { return false };
    let is_used = entry.used != 0;
    write(entry, name, time, candidate);
    is_used && time <= its_time.wrapping_add(LONGEST)
}

#[inline(always)]
fn write(entry: &mut FirstFragment, name: &[u64; NAME], time: u64, candidate: &Candidate) {
    let [a, b, c, d, protocol, ..] = candidate.words_v6().rest.to_ne_bytes();
    entry.name = *name;
    entry.time = time;
    entry.ports = [a, b, c, d];
    entry.protocol = protocol;
    entry.used = 1;
}
