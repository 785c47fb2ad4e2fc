//! The mapped flow table, as [`flowxdp_core::retire`] scans it: no system call for an entry.

use std::{
    ops::{Deref, DerefMut},
    sync::atomic::{AtomicU32, Ordering},
};

use flowxdp_common::{
    field::ColdRow,
    slot::{SlotV4, SlotV6, SpillSlot},
};
use flowxdp_core::retire::{Peek, Table};

use super::{cold::ColdSlots, map::Mapped};

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
            fn peek(&self, index: usize) -> Peek {
                let slot = self.element(index);
                // SAFETY: `slot` is in bounds; aligned words do not tear.
                let first = unsafe { (&raw const (*slot).first).read_volatile() };
                // SAFETY: as above.
                let last = unsafe { (&raw const (*slot).last).read_volatile() };
                // SAFETY: as above.
                let tcp_flags = unsafe { (&raw const (*slot).tcp_flags).read_volatile() };
                Peek { first, last, tcp_flags }
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

/// One of the kernel's tables: slots, and their cold slots beside them.
#[derive(Debug)]
pub struct Flows<S> {
    slots: Mapped<S>,
    cold: ColdSlots,
}

impl<S> Flows<S> {
    /// Both maps together; the cold slots have the same index.
    pub const fn new(slots: Mapped<S>, cold: ColdSlots) -> Self {
        Self { slots, cold }
    }
}

impl<S> Deref for Flows<S> {
    type Target = Mapped<S>;

    fn deref(&self) -> &Mapped<S> {
        &self.slots
    }
}

impl<S> DerefMut for Flows<S> {
    fn deref_mut(&mut self) -> &mut Mapped<S> {
        &mut self.slots
    }
}

impl<S> Table for Flows<S>
where
    Mapped<S>: Table,
{
    type Slot = <Mapped<S> as Table>::Slot;

    #[inline]
    fn len(&self) -> usize {
        Table::len(&self.slots)
    }

    #[inline]
    fn state(&self, index: usize) -> u32 {
        self.slots.state(index)
    }

    #[inline]
    fn peek(&self, index: usize) -> Peek {
        self.slots.peek(index)
    }

    #[inline]
    fn copy(&self, index: usize) -> Self::Slot {
        self.slots.copy(index)
    }

    #[inline]
    fn cold<'row>(&self, index: usize, row: &'row mut ColdRow) -> &'row [u8] {
        self.cold.read(index, row)
    }

    #[inline]
    fn set_state(&mut self, index: usize, state: u32) {
        self.slots.set_state(index, state);
    }

    #[inline]
    fn prefetch(&self, index: usize) {
        Table::prefetch(&self.slots, index);
    }

    #[inline]
    fn prefetch_cold(&self, index: usize) {
        self.cold.prefetch(index);
    }
}

table!(SlotV4);
table!(SlotV6);
table!(SpillSlot);
