//! The way around a full window: the packet's facts go to the agent through the ring buffer.

use flowxdp_common::{key::KeyTail, overflow::Event};
use flowxdp_ebpf::verdict::Facts;

use crate::bpf::{atomic, maps};

/// Addresses of either IP version, as words.
pub enum Addresses {
    /// IPv4: source and destination.
    V4(u64),
    /// IPv6: source and destination.
    V6([u64; 4]),
}

/// The words of an [`Event`].
pub type Words = [u64; size_of::<Event>() / 8];

/// The facts of packets of one buffer as an event.
#[inline(always)]
pub fn event(addresses: &Addresses, rest: u64, ingress: u32, facts: &Facts, time: u64) -> Words {
    let ([a, b, c, d], version) = match *addresses {
        Addresses::V4(word) => ([word, 0, 0, 0], 4),
        Addresses::V6(words) => (words, 6),
    };
    let lengths = u64::from(ingress) | u64::from(facts.octets) << 32;
    let rest_of_facts = u64::from(facts.tcp_flags)
        | u64::from(facts.ttl) << 16
        | (version as u64) << 24
        | u64::from(maps::GROUPS.get()) << 32
        | u64::from(facts.packets - 1) << 48;
    [a, b, c, d, rest, lengths, time, rest_of_facts]
}

/// Sends an event without cold facts; `false` when the ring buffer is full.
#[inline(always)]
pub fn send(words: Words) -> bool {
    let Some(mut entry) = maps::OVERFLOW.reserve::<Words>(0) else { return false };
    atomic::store_words(&mut entry, words);
    entry.submit(0);
    true
}

// The words above are the event's fields: little-endian order, as BPF objects here are built for it.
const _: () = {
    use core::mem::offset_of;
    assert!(cfg!(target_endian = "little"));
    assert!(offset_of!(Event, rest) == 32);
    assert!(offset_of!(KeyTail, ingress) == 8);
    assert!(offset_of!(Event, octets) == 44);
    assert!(offset_of!(Event, time) == 48);
    assert!(offset_of!(Event, tcp_flags) == 56);
    assert!(offset_of!(Event, ttl) == 58);
    assert!(offset_of!(Event, version) == 59);
    assert!(offset_of!(Event, groups) == 60);
    assert!(offset_of!(Event, further) == 62);
};
