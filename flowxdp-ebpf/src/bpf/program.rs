//! The two entry points: the same program for packets in one buffer and in several.

use aya_ebpf::{bindings::xdp_action::XDP_PASS, macros::xdp, maps::ProgramArray, programs::XdpContext};
use flowxdp_common::{
    reason::Ignored,
    switch::{BEHIND_CHAIN, WALK_OUTER, WALK_REPLAY},
};
use flowxdp_ebpf::{
    frame::{Cut, Header, Linear, Whole},
    verdict::{Facts, Sink, WordsV4, WordsV6},
    walk::walk,
};

use crate::bpf::{
    candidates, cold, copy, kernel, maps,
    meter::Meter,
    packet::{Cpu, Packet},
};

/// Kernels and drivers that give XDP packets in one buffer.
#[xdp]
#[inline(always)]
pub fn flowxdp(ctx: XdpContext) -> u32 {
    if let Some(cpu) = Cpu::current() {
        let packet = Packet::of(&ctx, linear_length(&ctx));
        if walk_linear(&ctx, cpu, &packet, &mut Meter::new(cpu, &packet)) == Way::Candidates {
            candidates::linear(&ctx, cpu, &packet);
        } else if cold::is_owed(cpu) {
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
        let more = length > linear_length(&ctx);
        match first_buffer(&ctx, cpu, &packet, more) {
            METERED => {
                if cold::is_owed(cpu) {
                    linear_facts(&ctx, cpu, &packet);
                }
            }
            UNDECIDED => {
                all_buffers(&ctx, cpu, &packet);
                if cold::is_owed(cpu) {
                    all_facts(&ctx, cpu, &packet);
                }
            }
            _ if more => candidates::whole(&ctx, cpu, &packet),
            _ => candidates::linear(&ctx, cpu, &packet),
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

/// Whether the packet was walked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The sink has the verdict on the outermost packet.
    Outer,
    /// [`candidates`] has to meter it.
    Candidates,
}

/// Walks the octets that can be read directly, unless tunnels are opened or fragments joined.
#[inline(always)]
fn walk_linear(ctx: &XdpContext, cpu: Cpu, packet: &Packet, sink: &mut impl Sink) -> Way {
    let frame = Linear::new(ctx, packet.wire, cpu.state.pointer());
    match maps::WALK.get() {
        WALK_OUTER => walk(&frame, sink),
        WALK_REPLAY => walk(&Cut::new(frame, packet.captured), sink),
        _ => return Way::Candidates,
    }
    Way::Outer
}

/// The packet is metered.
const METERED: u32 = 0;
/// The other buffers have to be read first.
const UNDECIDED: u32 = 1;
/// [`candidates`] has to meter the packet.
const CANDIDATES: u32 = 2;

/// Meters by the first buffer, if that decides; gives one of the three above.
///
/// This and [`all_buffers`] are functions of their own, so that each has the stack for itself.
#[inline(never)]
fn first_buffer(ctx: &XdpContext, cpu: Cpu, packet: &Packet, more: bool) -> u32 {
    let mut sink = FirstBuffer { meter: Meter::new(cpu, packet), more, undecided: false };
    match walk_linear(ctx, cpu, packet, &mut sink) {
        Way::Candidates => CANDIDATES,
        Way::Outer => u32::from(sink.undecided),
    }
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
        cold::collect::<false>(&Cut::new(frame, packet.captured), cpu, packet);
    } else {
        cold::collect::<false>(&frame, cpu, packet);
    }
}

/// Cold facts of a packet whose headers lie in several buffers.
#[inline(never)]
fn all_facts(ctx: &XdpContext, cpu: Cpu, packet: &Packet) {
    cold::collect::<false>(&Whole::new(ctx, packet.captured, packet.wire, cpu.state.pointer()), cpu, packet);
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
