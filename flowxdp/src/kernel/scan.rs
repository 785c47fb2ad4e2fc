//! The mapped flow table, as [`flowxdp_core::retire`] scans it: no system call for an entry.

use std::sync::atomic::{AtomicU32, Ordering};

use flowxdp_common::slot::{SlotOwn, SlotV4, SlotV6};
use flowxdp_core::retire::{Glance, Table};

use super::map::Mapped;

/// Reading fields of a slot of any kind through its address.
macro_rules! table {
    ($slot:ty) => {
        impl Table for Mapped<$slot> {
            type Slot = $slot;

            #[inline]
            fn len(&self) -> usize {
                Mapped::len(self)
            }

            #[inline]
            fn state(&self, index: usize) -> u32 {
                // SAFETY: `element` is in bounds.
                let state = unsafe { &raw mut (*self.element(index)).state };
                // SAFETY: aligned, and both sides access it as a whole.
                unsafe { AtomicU32::from_ptr(state) }.load(Ordering::Acquire)
            }

            #[inline]
            fn glance(&self, index: usize) -> Glance {
                let slot = self.element(index);
                // SAFETY: `slot` is in bounds; aligned words do not tear.
                let first = unsafe { (&raw const (*slot).first).read_volatile() };
                // SAFETY: as above.
                let last = unsafe { (&raw const (*slot).last).read_volatile() };
                // SAFETY: as above.
                let tcp_flags = unsafe { (&raw const (*slot).tcp_flags).read_volatile() };
                Glance { first, last, tcp_flags }
            }

            #[inline]
            fn copy(&self, index: usize) -> $slot {
                const { assert!(size_of::<$slot>().is_multiple_of(8)) };
                let mut words = [0_u64; size_of::<$slot>() / 8];
                let slot = self.element(index).cast::<u64>();
                for (place, word) in words.iter_mut().enumerate() {
                    // SAFETY: a slot is made of whole words, and `element` is in bounds.
                    let place = unsafe { slot.add(place) };
                    // SAFETY: as above; the mapping is aligned to its page.
                    *word = unsafe { place.read_volatile() };
                }
                bytemuck::cast(words)
            }

            #[inline]
            fn set_state(&mut self, index: usize, state: u32) {
                // SAFETY: `element` is in bounds.
                let place = unsafe { &raw mut (*self.element(index)).state };
                // SAFETY: aligned, and both sides access it as a whole.
                unsafe { AtomicU32::from_ptr(place) }.store(state, Ordering::Release);
            }

            #[inline]
            fn prefetch(&self, index: usize) {
                Mapped::prefetch(self, index);
            }
        }
    };
}

table!(SlotV4);
table!(SlotV6);
table!(SlotOwn);
