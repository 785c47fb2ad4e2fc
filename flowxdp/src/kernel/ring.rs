//! The ring buffer of packets that found no slot.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
};

use aya::maps::{MapData, RingBuf};
use flowxdp_common::overflow::Event;
use flowxdp_core::slots::{self, Part};
use tokio::io::{Interest, unix::AsyncFd};

/// Hands what lies in the ring to `sink`, at most `most` packets; gives the number taken.
pub fn drain(ring: &mut RingBuf<MapData>, most: usize, mut sink: impl FnMut(Part)) -> usize {
    let mut taken = 0;
    while taken < most
        && let Some(item) = ring.next()
    {
        taken += 1;
        match bytemuck::try_pod_read_unaligned::<Event>(&item).ok().as_ref().and_then(slots::event) {
            Some(part) => sink(part),
            None => {
                log::error!("the ring buffer holds an event of {} octets that is none of ours", item.len())
            }
        }
    }
    taken
}

/// A descriptor that becomes readable when something lies in the ring.
///
/// # Errors
///
/// The process has too many descriptors open.
pub fn readiness(ring: &RingBuf<MapData>) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the descriptor lives as long as `ring`, which outlives this call.
    let fd = unsafe { BorrowedFd::borrow_raw(ring.as_raw_fd()) };
    // SAFETY: an open descriptor of its own, which `AsyncFd` owns from now on.
    let registered = unsafe { AsyncFd::register_with_interest(fd.try_clone_to_owned()?, Interest::READABLE) };
    registered.map_err(io::Error::other)
}
