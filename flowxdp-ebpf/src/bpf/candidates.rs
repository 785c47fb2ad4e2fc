//! The meter where tunnels are opened or fragments joined.
//!
//! A packet that is neither in a tunnel nor a fragment is metered at once, as elsewhere. Any other one becomes the
//! candidate in this CPU's memory, and functions of their own continue with it: so each has the stack for itself.

use aya_ebpf::programs::{TcContext, XdpContext};
use flowxdp_common::reason::Ignored;
use flowxdp_ebpf::{
    candidate::{Candidate, MOST, NOWHERE, Words},
    frame::{self, Cut, Frame, Header, Linear, Whole},
    layer::Layer,
    parse::tunnel::may_be,
    verdict::{Facts, Sink, Upper, WHOLE, WordsV4, WordsV6},
    walk::walk,
};

use crate::bpf::{
    cold, count, fragments, maps,
    meter::Meter,
    packet::{Cpu, Packet, without_ethernet},
    segments::{Segmented, Segments},
};

/// Functions of their own for one kind of frame, and the order of all steps.
macro_rules! steps {
    ($(#[$doc:meta])* $all:ident, $ctx:ty, $with:ident, $outer:ident, $open:ident, $take:ident, $meter:ident, $facts:ident) => {
        $(#[$doc])*
        #[inline(always)]
        pub fn $all(ctx: &$ctx, cpu: Cpu, packet: &Packet) {
            let is_candidate = $outer(ctx, cpu, packet);
            if is_candidate {
                if maps::TUNNELS.get() != 0 {
                    for _ in 0..MOST {
                        if !$open(ctx, cpu, packet) || !$take(ctx, cpu, packet) {
                            break;
                        }
                    }
                }
                if maps::FRAGMENT_SETS.get() != 0 {
                    fragments::join(cpu, packet);
                }
                $meter(ctx, cpu, packet);
            }
            if cold::is_owed(cpu) {
                $facts(ctx, cpu, packet, is_candidate);
            }
        }

        #[inline(never)]
        fn $open(ctx: &$ctx, cpu: Cpu, packet: &Packet) -> bool {
            $with(ctx, cpu, packet, Open)
        }

        #[inline(never)]
        fn $take(ctx: &$ctx, cpu: Cpu, packet: &Packet) -> bool {
            $with(ctx, cpu, packet, Inner)
        }

        #[inline(never)]
        fn $facts(ctx: &$ctx, cpu: Cpu, packet: &Packet, is_candidate: bool) -> bool {
            $with(ctx, cpu, packet, AllFacts { is_candidate })
        }
    };
}

steps! {
    /// Meters a packet whose headers can be read directly, with its cold facts.
    linear, XdpContext, with_linear, linear_outer, linear_open, linear_take, meter, linear_facts
}
steps! {
    /// The same of a packet in several buffers.
    whole, XdpContext, with_whole, whole_outer, whole_open, whole_take, meter, whole_facts
}
steps! {
    /// The same at ingress of a device whose frames have no Ethernet header.
    in_ip, TcContext, with_in_ip, in_ip_outer, in_ip_open, in_ip_take, in_ip_meter, in_ip_facts
}

#[inline(never)]
fn linear_outer(ctx: &XdpContext, cpu: Cpu, packet: &Packet) -> bool {
    with_linear(ctx, cpu, packet, Outer)
}

#[inline(never)]
fn whole_outer(ctx: &XdpContext, cpu: Cpu, packet: &Packet) -> bool {
    with_whole(ctx, cpu, packet, Outer)
}

/// Step 1 with the segments of an offload.
#[inline(never)]
fn in_ip_outer(ctx: &TcContext, cpu: Cpu, packet: &Packet) -> bool {
    let frame = without_ethernet(ctx, cpu);
    let segmented = Segmented::new(Meter::new(cpu, packet), &frame, Segments::of(ctx));
    outermost(&frame, cpu, packet, segmented)
}

/// One step with a frame.
trait Step {
    fn run(self, frame: &impl Frame, cpu: Cpu, packet: &Packet) -> bool;
}

#[inline(always)]
fn with_linear(ctx: &XdpContext, cpu: Cpu, packet: &Packet, step: impl Step) -> bool {
    let frame = Linear::new(ctx, packet.wire, cpu.state.pointer());
    if maps::is_replay() {
        step.run(&Cut::new(frame, packet.captured), cpu, packet)
    } else {
        step.run(&frame, cpu, packet)
    }
}

#[inline(always)]
fn with_whole(ctx: &XdpContext, cpu: Cpu, packet: &Packet, step: impl Step) -> bool {
    step.run(&Whole::new(ctx, packet.captured, packet.wire, cpu.state.pointer()), cpu, packet)
}

#[inline(always)]
fn with_in_ip(ctx: &TcContext, cpu: Cpu, packet: &Packet, step: impl Step) -> bool {
    step.run(&without_ethernet(ctx, cpu), cpu, packet)
}

/// Step 1: the outermost packet.
struct Outer;

impl Step for Outer {
    #[inline(always)]
    fn run(self, frame: &impl Frame, cpu: Cpu, packet: &Packet) -> bool {
        outermost(frame, cpu, packet, Meter::new(cpu, packet))
    }
}

/// Walks to the outermost packet, which `meter` takes, unless it becomes the candidate: then `true`.
#[inline(always)]
fn outermost(frame: &impl Frame, cpu: Cpu, packet: &Packet, meter: impl Sink) -> bool {
    let (is_candidate, is_extended) = (false, false);
    let mut sink = Outermost { meter, cpu, wire: packet.wire, upper: NOWHERE, is_candidate, is_extended };
    walk(frame, &mut sink);
    sink.is_candidate
}

/// Step 2: the tunnel in the candidate.
struct Open;

impl Step for Open {
    #[inline(always)]
    fn run(self, frame: &impl Frame, cpu: Cpu, _packet: &Packet) -> bool {
        maps::candidate(cpu.number)
            .is_some_and(|it| it.open_tunnel(frame, &maps::LoadedPorts, &mut Unwatched))
    }
}

/// Step 3: the packet inside.
struct Inner;

impl Step for Inner {
    #[inline(always)]
    fn run(self, frame: &impl Frame, cpu: Cpu, _packet: &Packet) -> bool {
        maps::candidate(cpu.number).is_some_and(|it| it.take_inside(frame, &mut Unwatched))
    }
}

/// Step 4: cold facts.
struct AllFacts {
    is_candidate: bool,
}

impl Step for AllFacts {
    #[inline(always)]
    fn run(self, frame: &impl Frame, cpu: Cpu, packet: &Packet) -> bool {
        if self.is_candidate {
            cold::collect::<true>(frame, cpu, packet);
        } else {
            cold::collect::<false>(frame, cpu, packet);
        }
        true
    }
}

/// Meters the candidate.
#[inline(never)]
fn meter<C>(_ctx: &C, cpu: Cpu, packet: &Packet) {
    if let Some(candidate) = maps::candidate(cpu.number) {
        metered(cpu, packet, candidate, candidate.facts());
    }
}

/// The same with the segments of an offload, which have the headers inside and outside alike.
#[inline(never)]
fn in_ip_meter(ctx: &TcContext, cpu: Cpu, packet: &Packet) {
    if let Some(candidate) = maps::candidate(cpu.number) {
        let frame = without_ethernet(ctx, cpu);
        let facts = Segments::of(ctx).on_wire(&frame, candidate.transport(), candidate.facts());
        metered(cpu, packet, candidate, facts);
    }
}

#[inline(always)]
fn metered(cpu: Cpu, packet: &Packet, candidate: &Candidate, facts: Facts) {
    let mut meter = Meter::<true> { cpu, packet, segments: 1, extended: false, segment: candidate.segment() };
    if candidate.is_extended() {
        meter.extend();
    }
    if candidate.version() == 4 {
        meter.v4(candidate.words_v4(), facts);
    } else {
        meter.v6(candidate.words_v6(), facts);
    }
    if candidate.kind() != 0
        && let Some(counters) = meter.counters()
    {
        count::unwrapped(counters, facts.packets, candidate.unwrapped() * facts.packets);
    }
}

/// Takes the verdict on the outermost packet.
struct Outermost<M> {
    meter: M,
    cpu: Cpu,
    /// Octets of the frame.
    wire: u32,
    upper: Upper,
    is_candidate: bool,
    is_extended: bool,
}

impl<M> Outermost<M> {
    /// Whether the packet may carry a tunnel, or is a fragment whose datagram is looked for.
    #[inline(always)]
    fn is_more(&self, rest: u64) -> bool {
        if self.upper.fragment != WHOLE {
            return maps::FRAGMENT_SETS.get() != 0;
        }
        let [_, _, high, low, protocol, ..] = rest.to_ne_bytes();
        maps::TUNNELS.get() != 0 && may_be(protocol, u16::from_be_bytes([high, low]), &maps::LoadedPorts)
    }

    #[inline(always)]
    fn begin(&mut self, words: Words, facts: Facts) {
        if let Some(candidate) = maps::candidate(self.cpu.number) {
            candidate.begin(words, facts, self.upper, self.wire, self.is_extended);
            self.is_candidate = true;
        }
    }
}

impl<M: Sink> Sink for Outermost<M> {
    #[inline(always)]
    fn upper(&mut self, upper: Upper) {
        self.upper = upper;
    }

    #[inline(always)]
    fn v4(&mut self, words: WordsV4, facts: Facts) {
        if self.is_more(words.rest) {
            self.begin(Words::V4(words), facts);
        } else {
            self.meter.v4(words, facts);
        }
    }

    #[inline(always)]
    fn v6(&mut self, words: WordsV6, facts: Facts) {
        if self.is_more(words.rest) {
            self.begin(Words::V6(words), facts);
        } else {
            self.meter.v6(words, facts);
        }
    }

    #[inline(always)]
    fn reads_inside(&mut self, layer: Layer, kind: u8, packet: frame::Packet, from: u32) {
        self.meter.reads_inside(layer, kind, packet, from);
    }

    #[inline(always)]
    fn extension(&mut self, kind: u8, header: &impl Header) {
        self.is_extended = true;
        self.meter.extension(kind, header);
    }

    #[inline(always)]
    fn ignored(&mut self, reason: Ignored) {
        self.meter.ignored(reason);
    }
}

/// No sink watches the headers inside.
struct Unwatched;

impl Sink for Unwatched {
    fn v4(&mut self, _words: WordsV4, _facts: Facts) {}
    fn v6(&mut self, _words: WordsV6, _facts: Facts) {}
    fn ignored(&mut self, _reason: Ignored) {}
}
