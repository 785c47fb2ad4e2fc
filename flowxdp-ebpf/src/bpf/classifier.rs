//! The entry points of classifiers (tcx, clsact), for packets that no XDP program sees.
//!
//! A classifier's verdict is "next" (`TC_ACT_UNSPEC`, the same number as `TCX_NEXT`): classifiers behind it still run.

use aya_ebpf::{bindings::TC_ACT_UNSPEC, macros::classifier, programs::TcContext};
use flowxdp_common::switch::WALK_CANDIDATES;
use flowxdp_ebpf::{frame::Skb, walk::walk};

use crate::bpf::{
    candidates, cold, copy, kernel, maps,
    meter::Meter,
    packet::{Cpu, Packet, without_ethernet},
    segments::{Segmented, Segments},
};

/// Ingress of a device whose frames have no Ethernet header.
#[classifier]
pub fn flowxdp_in_ip(ctx: TcContext) -> i32 {
    if let Some(cpu) = Cpu::current() {
        let packet = Packet::received(&ctx);
        if maps::WALK.get() == WALK_CANDIDATES {
            candidates::in_ip(&ctx, cpu, &packet);
            copy::is_due(cpu);
        } else {
            meter(&ctx, cpu, &packet, &without_ethernet(&ctx, cpu));
            if cold::is_owed(cpu) {
                facts_without_ethernet(&ctx, cpu, &packet);
            }
        }
    }
    TC_ACT_UNSPEC
}

#[inline(always)]
fn meter(ctx: &TcContext, cpu: Cpu, packet: &Packet, frame: &Skb<'_>) {
    walk(frame, &mut Segmented::new(Meter::new(cpu, packet), frame, Segments::of(ctx)));
    // A program on another interface of this CPU must not take the note for its packet's.
    copy::is_due(cpu);
}

/// Cold facts, in a function of its own for the sake of the stack.
#[inline(never)]
fn facts_without_ethernet(ctx: &TcContext, cpu: Cpu, packet: &Packet) {
    cold::collect::<false>(&without_ethernet(ctx, cpu), cpu, packet);
}

impl Packet {
    /// Lengths and interface of a packet at ingress.
    #[inline(always)]
    fn received(ctx: &TcContext) -> Self {
        let length = kernel::skb_length(ctx);
        Self { wire: length, captured: length, ingress: kernel::skb_interface(ctx), time: 0 }
    }
}
