//! The ring buffer of packets that found no slot.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::atomic::{Ordering, compiler_fence},
};

use anyhow::Context;
use aya::maps::{MapData, RingBuf};
use flowxdp_common::{
    field::{self, ColdRow, Groups},
    slot::SpillSlot,
};
use flowxdp_core::metering::slots;
use tokio::io::unix::AsyncFd;

use super::map::Mapped;
use crate::system;

/// The ring buffer, read from where its last reader, perhaps another process, had consumed it to.
pub struct Ring {
    buffer: RingBuf<MapData>,
    /// The first word of the ring's first page: octets consumed so far.
    consumed: Mapped<u64>,
    /// The groups in whose layout cold facts are handed on.
    groups: Groups,
}

impl Ring {
    /// Maps the ring.
    ///
    /// # Errors
    ///
    /// The error of mmap(2).
    pub fn new(buffer: RingBuf<MapData>, groups: Groups) -> anyhow::Result<Self> {
        let consumed = Mapped::new(buffer.as_fd(), 1).context("cannot map the ring buffer's position")?;
        Ok(Self { buffer, consumed, groups })
    }

    /// Cold facts are handed on in the layout of these groups from now on.
    pub const fn read_cold(&mut self, groups: Groups) {
        self.groups = groups;
    }

    /// Octets consumed so far: where the next event is.
    pub fn position(&self) -> u64 {
        position(&self.consumed)
    }

    /// Hands the ring's events to `sink`, at most `most` packets, with cold facts and position of each.
    ///
    /// An event is consumed when `sink` has returned true. False ends it: the event is to be had again.
    /// Gives the number taken.
    pub fn drain(&mut self, most: usize, mut sink: impl FnMut(&SpillSlot, &[u8], u64) -> bool) -> usize {
        let mut taken = 0;
        while taken < most
            && let Some(item) = self.buffer.next()
        {
            let packet = slots::event_octets(&item, self.groups);
            let taken_by = |(packet, cold): (SpillSlot, ColdRow)| {
                let cold = cold.get(..field::width(self.groups)).unwrap_or_default();
                sink(&packet, cold, position(&self.consumed))
            };
            match packet.map(taken_by) {
                Some(true) => {}
                // Dropping the event consumes it.
                Some(false) => {
                    std::mem::forget(item);
                    break;
                }
                None => {
                    log::error!(
                        "the ring buffer holds an event of {} octets that is none of ours",
                        item.len()
                    )
                }
            }
            taken += 1;
        }
        taken
    }

    /// A descriptor that becomes readable when something lies in the ring.
    ///
    /// # Errors
    ///
    /// The process has too many descriptors open.
    pub fn readiness(&self) -> io::Result<AsyncFd<OwnedFd>> {
        readiness(self.buffer.as_fd())
    }
}

/// A descriptor of its own for a ring buffer's, that becomes readable when something lies in the ring.
///
/// # Errors
///
/// The process has too many descriptors open.
pub(super) fn readiness(buffer: BorrowedFd<'_>) -> io::Result<AsyncFd<OwnedFd>> {
    system::readable(buffer.try_clone_to_owned()?)
}

fn position(consumed: &Mapped<u64>) -> u64 {
    // The reader's store of the event before is through another mapping of the same page.
    compiler_fence(Ordering::SeqCst);
    consumed.read(0)
}
