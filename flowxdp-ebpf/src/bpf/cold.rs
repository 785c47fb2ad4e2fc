//! Cold facts: the headers of a packet that opened a slot, walked once more and stored in its cold slot.
//!
//! The walk comes after the packet was placed, so that a hit costs nothing and the verifier sees it once. An
//! agent that retires the slot meanwhile reads it after a grace period, when this program has returned.

use aya_ebpf::{helpers::generated::bpf_ringbuf_output, maps::Array};
use flowxdp_common::{
    counter::{CpuState, PENDING_EVENT, PENDING_JOIN_V6, PENDING_NONE, PENDING_OPEN_V4, PENDING_OPEN_V6},
    field::Group,
    overflow::Event,
    reason::Lost,
    tunnel,
};
use flowxdp_ebpf::{
    detail::{Detail, Row},
    frame::Frame,
    walk::walk,
};

use crate::bpf::{
    count,
    maps::{self, EVENT, Memory, ROW},
    packet::{Cpu, Packet},
};

/// Whether the packet that was just placed needs its cold facts.
#[inline(always)]
pub fn is_owed(mut cpu: Cpu) -> bool {
    maps::COLD_WORDS.get() != 0 && cpu.state.get().pending[0] != PENDING_NONE
}

/// Whether the slot of this index is of the tunnel with this segment. The kind of the tunnel is in the key's word
/// `rest` and was equal; without a tunnel there is nothing to compare.
#[inline(always)]
pub fn has_segment(slots: &Array<u64>, index: u32, rest: u64, segment: u32) -> bool {
    if tunnel::kind((rest >> 48) as u16) == tunnel::NONE {
        return true;
    }
    let Some(word) = slots.get_ptr(index * maps::COLD_WORDS.get()) else { return false };
    // SAFETY: an aligned word of this CPU's slot; its first octets are the segment in network byte order.
    u32::from_be(unsafe { *word } as u32) == segment
}

/// Collects the cold facts of the packet in `frame` and stores them. `IS_CANDIDATE`: those of the candidate in it.
#[inline(always)]
pub fn collect<const IS_CANDIDATE: bool>(frame: &impl Frame, mut cpu: Cpu, packet: &Packet) {
    let Some(memory) = maps::DETAIL.get_ptr_mut(cpu.number) else { return };
    // SAFETY: this CPU's own element.
    let row = unsafe { (&raw mut (*memory).row).cast::<u64>() };
    for word in 0..ROW {
        // SAFETY: in bounds. Volatile, or the loop becomes a call of `memset`.
        unsafe { row.add(word).write_volatile(0) };
    }
    let detail = Detail::new(Loaded(row.cast()));
    if IS_CANDIDATE {
        let Some(candidate) = maps::candidate(cpu.number) else { return };
        detail.of(frame, candidate);
    } else {
        walk(frame, &mut { detail });
    }
    let number = cpu.number;
    let state = cpu.state.get();
    let [what, index] = state.pending;
    state.pending = [PENDING_NONE, 0];
    match what {
        PENDING_OPEN_V4 => store(&maps::COLD_V4, index, row),
        PENDING_OPEN_V6 => store(&maps::COLD_V6, index, row),
        PENDING_JOIN_V6 => join_extensions(index, row),
        PENDING_EVENT => send(memory, number, state, packet),
        _ => {}
    }
}

/// Keeps an event until its cold facts are there: the words of [`Event`].
#[inline(always)]
pub fn keep_event(cpu: Cpu, words: [u64; EVENT]) {
    let Some(memory) = maps::DETAIL.get_ptr_mut(cpu.number) else { return };
    // SAFETY: this CPU's own element.
    let event = unsafe { (&raw mut (*memory).event).cast::<u64>() };
    for (index, word) in words.into_iter().enumerate() {
        // SAFETY: in bounds; volatile as in `collect`.
        unsafe { event.add(index).write_volatile(word) };
    }
}

/// Writes the row into the cold slot of this index.
#[inline(always)]
fn store(slots: &Array<u64>, index: u32, row: *const u64) {
    let words = maps::COLD_WORDS.get();
    for word in 0..ROW as u32 {
        if word < words
            && let Some(place) = slots.get_ptr_mut(index * words + word)
        {
            // SAFETY: both are in bounds; the slot belongs to this CPU.
            unsafe { *place = row.add(word as usize).read_volatile() };
        }
    }
}

/// Adds the row's extension headers to the slot of this index.
#[inline(always)]
fn join_extensions(index: u32, row: *const u64) {
    let Some(group) = maps::cold_offset(Group::Ipv6) else { return };
    let at = group + 4;
    let Some(word) = maps::COLD_V6.get_ptr_mut(index * maps::COLD_WORDS.get() + at / 8) else { return };
    // The field lies in one half of a word: its offset is a multiple of four.
    let half = (at % 8 / 4) as usize;
    // SAFETY: a half of the word that was found, and one of the row.
    let (place, more) = unsafe { (word.cast::<u32>().add(half), row.cast::<u32>().add((at / 4) as usize)) };
    // SAFETY: as above.
    unsafe { *place |= more.read_volatile() };
}

/// Hands the event with its facts to the ring buffer.
#[inline(always)]
fn send(memory: *mut Memory, cpu: u32, state: &mut CpuState, packet: &Packet) {
    let Some(counters) = count::counters(cpu, state, packet.ingress) else { return };
    let length = size_of::<Event>() as u64 + u64::from(maps::COLD_WORDS.get()) * 8;
    let ring = &raw const maps::OVERFLOW;
    // SAFETY: the ring buffer's definition, and memory of at least this length.
    let full = unsafe { bpf_ringbuf_output(ring.cast_mut().cast(), memory.cast(), length, 0) } != 0;
    // SAFETY: this CPU's own element.
    let (octets, packets) =
        unsafe { (((*memory).event[5] >> 32) as u32, ((*memory).event[7] >> 48) as u32 + 1) };
    if full {
        count::lost(counters, Lost::RingBufferFull, packets, octets);
    } else {
        count::overflow(counters, packets, octets);
    }
}

/// The row in this CPU's memory, laid out by the loader's constants.
struct Loaded(*mut u8);

impl Row for Loaded {
    #[inline(always)]
    fn offset(&self, group: Group) -> Option<u32> {
        maps::cold_offset(group)
    }

    #[inline(always)]
    fn put8(&mut self, at: u32, value: u8) {
        // SAFETY: the loader's offsets and the fields' widths stay inside the row.
        unsafe { self.0.add(at as usize).write_volatile(value) };
    }

    #[inline(always)]
    fn put16(&mut self, at: u32, value: u16) {
        // SAFETY: as in `put8`; aligned to two octets.
        unsafe { self.0.add(at as usize).cast::<u16>().write_volatile(value.to_be()) };
    }

    #[inline(always)]
    fn put32(&mut self, at: u32, value: u32) {
        // SAFETY: as in `put8`; aligned to four octets.
        unsafe { self.0.add(at as usize).cast::<u32>().write_volatile(value) };
    }

    #[inline(always)]
    fn set_bits(&mut self, at: u32, bits: u32) {
        // SAFETY: as in `put32`.
        let place = unsafe { self.0.add(at as usize).cast::<u32>() };
        // SAFETY: as above.
        unsafe { place.write_volatile(place.read_volatile() | bits.to_be()) };
    }
}

// The length in an event's sixth word and the packets in the last one, as `send` reads them.
const _: () =
    assert!(core::mem::offset_of!(Event, octets) == 44 && core::mem::offset_of!(Event, further) == 62);
