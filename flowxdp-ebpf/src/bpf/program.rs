//! The two entry points: the same program for packets in one buffer and in several.

use aya_ebpf::{bindings::xdp_action::XDP_PASS, macros::xdp, maps::ProgramArray, programs::XdpContext};
use flowxdp_common::{reason::Ignored, switch::BEHIND_CHAIN};
use flowxdp_ebpf::{
    frame::{Cut, Header, Linear, Whole},
    verdict::{Facts, Sink, WordsV4, WordsV6},
    walk::walk,
};

use crate::bpf::{
    cold, copy, kernel, maps,
    meter::Meter,
    packet::{Cpu, Packet},
};

/// Kernels and drivers that give XDP packets in one buffer.
#[xdp]
#[inline(always)]
pub fn flowxdp(ctx: XdpContext) -> u32 {
    if let Some(cpu) = Cpu::current() {
        let packet = Packet::of(&ctx, linear_length(&ctx));
        walk_linear(&ctx, cpu, &packet, &mut Meter::new(cpu, &packet));
        if cold::is_owed(cpu) {
            linear_facts(&ctx, cpu, &packet);
        }
        if copy::is_due(cpu) {
            offer(&ctx, cpu, &packet);
        }
    }
    behind(&ctx, &maps::CHAIN)
}

/// Packets in several buffers too (Linux 5.18): jumbo frames.
#[xdp(frags)]
#[inline(always)]
pub fn flowxdp_frags(ctx: XdpContext) -> u32 {
    if let Some(cpu) = Cpu::current() {
        let length = kernel::length(&ctx);
        let packet = Packet::of(&ctx, length);
        if first_buffer(&ctx, cpu, &packet, length > linear_length(&ctx)) {
            all_buffers(&ctx, cpu, &packet);
            if cold::is_owed(cpu) {
                all_facts(&ctx, cpu, &packet);
            }
        } else if cold::is_owed(cpu) {
            linear_facts(&ctx, cpu, &packet);
        }
        if copy::is_due(cpu) {
            offer(&ctx, cpu, &packet);
        }
    }
    behind(&ctx, &maps::CHAIN_FRAGS)
}

/// The verdict behind the meter: to the stack, or dropped on a tap, or that of the other program on the interface,
/// which a tail call runs. The load-time constant is the verdict itself, so that the verifier leaves one load of it.
#[inline(always)]
fn behind(ctx: &XdpContext, chain: &ProgramArray) -> u32 {
    let verdict = maps::BEHIND.get();
    if verdict != BEHIND_CHAIN {
        return verdict;
    }
    if let Some(place) = maps::beside(ctx.ingress_ifindex() as u32) {
        kernel::tail_call(ctx, chain, place);
    }
    XDP_PASS
}

#[inline(always)]
fn linear_length(ctx: &XdpContext) -> u32 {
    (ctx.data_end() - ctx.data()) as u32
}

/// Walks the octets that can be read directly.
#[inline(always)]
fn walk_linear(ctx: &XdpContext, cpu: Cpu, packet: &Packet, sink: &mut impl Sink) {
    let frame = Linear::new(ctx, packet.wire, cpu.state.pointer());
    if maps::is_replay() {
        walk(&Cut::new(frame, packet.captured), sink);
    } else {
        walk(&frame, sink);
    }
}

/// Meters by the first buffer; `true` if the others have to be read first.
///
/// This and [`all_buffers`] are functions of their own, so that each has the stack for itself.
#[inline(never)]
fn first_buffer(ctx: &XdpContext, cpu: Cpu, packet: &Packet, more: bool) -> bool {
    let mut sink = FirstBuffer { meter: Meter::new(cpu, packet), more, undecided: false };
    walk_linear(ctx, cpu, packet, &mut sink);
    sink.undecided
}

#[inline(never)]
fn all_buffers(ctx: &XdpContext, cpu: Cpu, packet: &Packet) {
    walk(&Whole::new(ctx, packet.captured, packet.wire, cpu.state.pointer()), &mut Meter::new(cpu, packet));
}

/// Cold facts of a packet whose headers can be read directly.
#[inline(never)]
fn linear_facts(ctx: &XdpContext, cpu: Cpu, packet: &Packet) {
    let frame = Linear::new(ctx, packet.wire, cpu.state.pointer());
    if maps::is_replay() {
        cold::collect(&Cut::new(frame, packet.captured), cpu, packet);
    } else {
        cold::collect(&frame, cpu, packet);
    }
}

/// Cold facts of a packet whose headers lie in several buffers.
#[inline(never)]
fn all_facts(ctx: &XdpContext, cpu: Cpu, packet: &Packet) {
    cold::collect(&Whole::new(ctx, packet.captured, packet.wire, cpu.state.pointer()), cpu, packet);
}

/// Offers a packet whose headers can be read directly to the inspector.
#[inline(never)]
fn offer(ctx: &XdpContext, cpu: Cpu, packet: &Packet) {
    copy::offer(&Linear::new(ctx, packet.wire, cpu.state.pointer()), ctx, cpu, packet);
}

/// Takes the verdict, unless other buffers could change it: a header or TCP flags that are not in the first.
struct FirstBuffer<'a> {
    meter: Meter<'a>,
    /// The packet has other buffers.
    more: bool,
    undecided: bool,
}

impl Sink for FirstBuffer<'_> {
    #[inline(always)]
    fn v4(&mut self, words: WordsV4, facts: Facts) {
        self.undecided = self.more && facts.tcp_flags == 0;
        if !self.undecided {
            self.meter.v4(words, facts);
        }
    }

    #[inline(always)]
    fn v6(&mut self, words: WordsV6, facts: Facts) {
        self.undecided = self.more && facts.tcp_flags == 0;
        if !self.undecided {
            self.meter.v6(words, facts);
        }
    }

    #[inline(always)]
    fn extension(&mut self, kind: u8, header: &impl Header) {
        self.meter.extension(kind, header);
    }

    #[inline(always)]
    fn ignored(&mut self, reason: Ignored) {
        self.undecided = self.more && reason == Ignored::Truncated;
        if !self.undecided {
            self.meter.ignored(reason);
        }
    }
}

impl Packet {
    /// Lengths, interface and, in a replay, time of the packet, `length` octets of which are here.
    #[inline(always)]
    fn of(ctx: &XdpContext, length: u32) -> Self {
        if !maps::is_replay() {
            return Self { wire: length, captured: length, ingress: ctx.ingress_ifindex() as u32, time: 0 };
        }
        let Some(meta) = kernel::metadata(ctx) else {
            return Self { wire: length, captured: length, ingress: 0, time: 0 };
        };
        Self {
            wire: if meta.wire > meta.captured { meta.wire } else { meta.captured },
            captured: if meta.captured < length { meta.captured } else { length },
            ingress: meta.ingress,
            time: u64::from(meta.time_high) << 32 | u64::from(meta.time_low),
        }
    }
}
