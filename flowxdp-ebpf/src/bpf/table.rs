//! The flow table: open addressing over a short window of slots, one look-up touches one line.
//!
//! The whole window is searched for the flow before a slot is opened: a slot that was freed earlier in
//! the window must not give a live flow a second one. Only this CPU writes the slots of its partition,
//! and the agent only ever takes a live one away (`RETIRED`) or frees it.

use core::ptr::addr_of_mut;

use flowxdp_common::{
    counter::{PENDING_JOIN_V6, PENDING_OPEN_V4, PENDING_OPEN_V6},
    slot::{FREE, LIVE, SlotV4, SlotV6, WINDOW},
};
use flowxdp_ebpf::verdict::{Facts, WordsV4, WordsV6};

use crate::bpf::{atomic, cold, maps, tick::Clock};

/// Where the packet went.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// Into its flow's slot.
    Slot,
    /// The window is full of other flows.
    Nowhere,
}

/// Slots of a partition with `homes` home slots: a window that starts at the last one fits.
#[inline(always)]
pub const fn size(homes: u32) -> u32 {
    homes + WINDOW - 1
}

#[inline(always)]
fn saturate(octets: u32) -> u16 {
    if octets > u16::MAX as u32 { u16::MAX } else { octets as u16 }
}

#[inline(always)]
const fn same_v4(one: &u64, other: &u64) -> bool {
    *one == *other
}

/// In words: `==` on arrays becomes a loop over octets.
#[inline(always)]
const fn same_v6(one: &[u64; 4], other: &[u64; 4]) -> bool {
    one[0] == other[0] && one[1] == other[1] && one[2] == other[2] && one[3] == other[3]
}

/// Look-up, hit and insertion for one IP version: the slots differ in their key words alone.
macro_rules! table {
    ($find:ident, $hit:ident, $open:ident, $slot:ty, $map:ident, $cold:ident, $words:ty, $addresses:ty, $same:ident, $version:literal, $opened:ident) => {
        /// Adds the packets of `facts` to their flow, which has its window at `first`. The segment is compared behind an
        /// equal hot key, where the packet may have been in a tunnel.
        #[inline(always)]
        pub fn $find<const TUNNELLED: bool>(
            first: u32,
            words: &$words,
            (ingress, segment): (u32, u32),
            facts: &Facts,
            clock: &mut Clock<'_>,
            extended: bool,
        ) -> Placed {
            let mut free = u32::MAX;
            for step in 0..WINDOW {
                let Some(slot) = maps::$map.get_ptr_mut(first + step) else { return Placed::Nowhere };
                // SAFETY: `slot` is a map element; the agent may change its state at any time.
                let state = unsafe { (&raw const (*slot).state).read_volatile() };
                if state == LIVE {
                    // SAFETY: the key's words start at the slot's first octet, which is aligned to eight.
                    let addresses = unsafe { &*slot.cast::<$addresses>() };
                    // SAFETY: the eight octets behind the addresses are the first part of the rest.
                    let rest = unsafe { *slot.byte_add(size_of::<$addresses>()).cast::<u64>() };
                    // SAFETY: `slot` is a map element.
                    let here = unsafe { (*slot).key.rest.ingress };
                    if rest == words.rest
                        && here == ingress
                        && $same(addresses, &words.addresses)
                        && (!TUNNELLED || cold::has_segment(&maps::$cold, first + step, words.rest, segment))
                    {
                        #[cfg(feature = "slow")]
                        wait();
                        $hit(slot, facts, clock);
                        clock.placed($version, first + step);
                        if extended {
                            clock.owes(PENDING_JOIN_V6, first + step);
                        }
                        return Placed::Slot;
                    }
                } else if state == FREE && free == u32::MAX {
                    free = first + step;
                }
            }
            if free == u32::MAX {
                return Placed::Nowhere;
            }
            let Some(slot) = maps::$map.get_ptr_mut(free) else { return Placed::Nowhere };
            $open(slot, words, ingress, facts, clock);
            clock.counted(u64::from(facts.packets));
            clock.owes($opened, free);
            clock.placed($version, free);
            Placed::Slot
        }

        /// More packets of a flow that is in the table.
        #[inline(always)]
        fn $hit(slot: *mut $slot, facts: &Facts, clock: &mut Clock<'_>) {
            let time = clock.cheap();
            // SAFETY: `slot` is a map element that this CPU alone writes.
            let slot = unsafe { &mut *slot };
            let packets = addr_of_mut!(slot.packets);
            let octets = addr_of_mut!(slot.octets);
            // SAFETY: fields of the slot; volatile, since the agent reads them meanwhile.
            let count = unsafe { packets.read_volatile() } + u64::from(facts.packets);
            // SAFETY: as above.
            unsafe { packets.write_volatile(count) };
            // SAFETY: as above.
            unsafe { octets.write_volatile(octets.read_volatile() + u64::from(facts.octets)) };
            if clock.is_replayed() {
                if time < slot.first {
                    slot.first = time;
                }
                if time > slot.last {
                    slot.last = time;
                }
            } else {
                slot.last = time;
                clock.counted(count);
            }
            slot.tcp_flags |= facts.tcp_flags;
            if facts.ttl < slot.ttl_min {
                slot.ttl_min = facts.ttl;
            }
            if facts.ttl > slot.ttl_max {
                slot.ttl_max = facts.ttl;
            }
            let (shortest, longest) = (saturate(facts.shortest), saturate(facts.longest));
            if shortest < slot.length_min {
                slot.length_min = shortest;
            }
            if longest > slot.length_max {
                slot.length_max = longest;
            }
        }

        /// The first packets of a flow: key and counters first, the state last.
        #[inline(always)]
        fn $open(slot: *mut $slot, words: &$words, ingress: u32, facts: &Facts, clock: &mut Clock<'_>) {
            let time = clock.exact();
            // SAFETY: as in the look-up; a free slot is this CPU's to write.
            unsafe { *slot.cast::<$addresses>() = words.addresses };
            // SAFETY: as in the look-up.
            unsafe { *slot.byte_add(size_of::<$addresses>()).cast::<u64>() = words.rest };
            // SAFETY: `slot` is a map element that nobody else touches while it is free.
            let slot = unsafe { &mut *slot };
            slot.key.rest.ingress = ingress;
            slot.tcp_flags = facts.tcp_flags;
            slot.ttl_min = facts.ttl;
            slot.ttl_max = facts.ttl;
            slot.packets = u64::from(facts.packets);
            slot.octets = u64::from(facts.octets);
            slot.first = time;
            slot.last = time;
            let (shortest, longest) = (saturate(facts.shortest), saturate(facts.longest));
            let last_word = u64::from(shortest) | u64::from(longest) << 16 | u64::from(LIVE) << 32;
            // SAFETY: the lengths and the state are the slot's last word, aligned to eight; BPF exchanges
            // words only, and that orders all of the above before it on every CPU.
            unsafe { atomic::exchange(addr_of_mut!(slot.length_min).cast(), last_word) };
        }
    };
}

table!(v4, hit_v4, open_v4, SlotV4, FLOWS_V4, COLD_V4, WordsV4, u64, same_v4, 4, PENDING_OPEN_V4);
table!(v6, hit_v6, open_v6, SlotV6, FLOWS_V6, COLD_V6, WordsV6, [u64; 4], same_v6, 6, PENDING_OPEN_V6);

/// Some microseconds in which an agent may retire the slot, and read it too early.
#[cfg(feature = "slow")]
#[inline(never)]
fn wait() {
    for _ in 0..300 {
        // SAFETY: the helper has no preconditions.
        unsafe { aya_ebpf::helpers::generated::bpf_ktime_get_ns() };
    }
}

// The last word as `open` writes it.
const _: () = {
    use core::mem::offset_of;
    assert!(offset_of!(SlotV4, length_min) % 8 == 0 && offset_of!(SlotV6, length_min) % 8 == 0);
    assert!(offset_of!(SlotV4, state) == offset_of!(SlotV4, length_min) + 4);
    assert!(offset_of!(SlotV6, state) == offset_of!(SlotV6, length_min) + 4);
};
