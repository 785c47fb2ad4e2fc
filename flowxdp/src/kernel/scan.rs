//! The mapped flow table, as [`flowxdp_core::metering::retire`] scans it: no system call for an entry.

use std::{
    mem::offset_of,
    ops::{Deref, DerefMut},
    sync::atomic::Ordering,
};

use flowxdp_common::{
    field::ColdRow,
    slot::{SlotV4, SlotV6, SpillSlot},
};
use flowxdp_core::metering::retire::{Peek, Table};

use super::{cold::ColdSlots, map::Mapped};

/// The scan of slots of any kind, by the offsets of their fields.
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
                self.word(index, offset_of!($slot, state)).load(Ordering::Acquire)
            }

            #[inline]
            fn peek(&self, index: usize) -> Peek {
                Peek {
                    first: self.load(index, offset_of!($slot, first)),
                    last: self.load(index, offset_of!($slot, last)),
                    tcp_flags: self.load(index, offset_of!($slot, tcp_flags)),
                }
            }

            #[inline]
            fn protocol(&self, index: usize) -> u8 {
                self.load(index, offset_of!($slot, key.rest.protocol))
            }

            #[inline]
            fn copy(&self, index: usize) -> $slot {
                bytemuck::cast(self.words::<{ size_of::<$slot>() / 8 }>(index))
            }

            #[inline]
            fn set_state(&mut self, index: usize, state: u32) {
                self.word(index, offset_of!($slot, state)).store(state, Ordering::Release);
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
    fn protocol(&self, index: usize) -> u8 {
        self.slots.protocol(index)
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
