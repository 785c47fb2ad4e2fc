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

            fn len(&self) -> usize {
                Mapped::len(self)
            }

            fn state(&self, index: usize) -> u32 {
                // SAFETY: `element` is in bounds.
                let state = unsafe { &raw mut (*self.element(index)).state };
                // SAFETY: aligned, and both sides access it as a whole.
                unsafe { AtomicU32::from_ptr(state) }.load(Ordering::Acquire)
            }

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

            fn copy(&self, index: usize) -> $slot {
                self.read(index)
            }

            fn set_state(&mut self, index: usize, state: u32) {
                // SAFETY: `element` is in bounds.
                let place = unsafe { &raw mut (*self.element(index)).state };
                // SAFETY: aligned, and both sides access it as a whole.
                unsafe { AtomicU32::from_ptr(place) }.store(state, Ordering::Release);
            }

            fn prefetch(&self, index: usize) {
                Mapped::prefetch(self, index);
            }
        }
    };
}

table!(SlotV4);
table!(SlotV6);
table!(SlotOwn);
