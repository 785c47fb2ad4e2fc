//! Copies of first packets for the inspector of names, through a ring buffer of their own.
//!
//! The choice walks the headers once more: later packets of a flow pay for one comparison alone.

use aya_ebpf::programs::XdpContext;
use flowxdp_common::{
    copy::{CLASSES, Copied, CopyState, MAGIC, MOMENT, MOST},
    counter::COPY_DUE,
    reason::Skipped,
};
use flowxdp_ebpf::{first::Place, frame::Frame, walk::walk};

use crate::bpf::{
    count, kernel, maps,
    packet::{Cpu, Packet},
};

/// Whether the packet that was just placed is one of its flow's first; asked once.
#[inline(always)]
pub fn is_due(mut cpu: Cpu) -> bool {
    if maps::FIRST_PACKETS.get() == 0 {
        return false;
    }
    let [note, _] = &mut cpu.state.get().slot;
    let is_due = *note == COPY_DUE;
    *note = 0;
    is_due
}

/// Offers the packet in `frame` to the inspector, if its payload may say a name.
#[inline(always)]
pub fn offer(frame: &impl Frame, ctx: &XdpContext, mut cpu: Cpu, packet: &Packet) {
    let mut place = Place::default();
    walk(frame, &mut place);
    if !place.may_name(frame) {
        return;
    }
    let Some(mut books) = maps::copier(cpu.number) else { return };
    let books = books.get();
    count::add(&mut books.offered, 1, packet.wire);
    let time = cpu.state.get().now;
    if !has_budget(books, time >> MOMENT) {
        skipped(books, Skipped::Budget, packet.wire);
    } else if !copied(ctx, packet, time) {
        skipped(books, Skipped::RingFull, packet.wire);
    }
}

/// Takes one packet off the budget of the moment.
#[inline(always)]
fn has_budget(books: &mut CopyState, moment: u64) -> bool {
    if books.moment != moment {
        books.moment = moment;
        books.used = 0;
    }
    if books.used >= u64::from(maps::COPY_BUDGET.get()) {
        return false;
    }
    books.used += 1;
    true
}

#[inline(always)]
fn skipped(books: &mut CopyState, reason: Skipped, octets: u32) {
    if let Some(count) = books.skipped.get_mut(reason as usize) {
        count::add(count, 1, octets);
    }
}

/// Copies the packet's first octets; `false` where the ring buffer has no room.
#[inline(always)]
fn copied(ctx: &XdpContext, packet: &Packet, time: u64) -> bool {
    let length = if packet.captured < MOST { packet.captured } else { MOST };
    let header = [
        u64::from(MAGIC) | u64::from(packet.ingress) << 32,
        u64::from(packet.wire) | u64::from(length) << 32,
        time,
    ];
    if length <= CLASSES[0] {
        kernel::copy::<{ CLASSES[0] as usize }>(ctx, &maps::COPIES, header, length)
    } else if length <= CLASSES[1] {
        kernel::copy::<{ CLASSES[1] as usize }>(ctx, &maps::COPIES, header, length)
    } else {
        kernel::copy::<{ CLASSES[2] as usize }>(ctx, &maps::COPIES, header, length)
    }
}

// The header's words as `copied` writes them, and the mask of its length.
const _: () = {
    use core::mem::offset_of;
    assert!(cfg!(target_endian = "little") && MOST < 4096);
    assert!(offset_of!(Copied, ingress) == 4 && offset_of!(Copied, wire) == 8);
    assert!(offset_of!(Copied, captured) == 12 && offset_of!(Copied, time) == 16);
};
