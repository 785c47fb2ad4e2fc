//! The programs of `flowxdp explain`: each packet's walk is observed and logged, and every packet passes.
//!
//! aya-log formats on the agent's side. An observation is one argument of one log call, so that it arrives whole or
//! not at all, whatever other CPUs log meanwhile.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
mod program {
    use aya_ebpf::{
        bindings::{TC_ACT_UNSPEC, xdp_action::XDP_PASS},
        helpers::generated::{bpf_ktime_get_ns, bpf_xdp_get_buff_len},
        macros::{classifier, map, xdp},
        maps::{Array, PerCpuArray},
        programs::{TcContext, XdpContext},
    };
    use flowxdp_common::{
        counter::CpuState,
        observation::{ANY, FILTER_WORDS, LINES, Observation, TALLIES, VERDICTS, passes},
    };
    use flowxdp_ebpf::{
        frame::{Skb, Whole},
        observe::observe,
    };

    /// The packet that this CPU works on.
    #[map]
    static OBSERVATION: PerCpuArray<Observation> = PerCpuArray::with_max_entries(1, 0);

    /// The parser's scratch word.
    #[map]
    static STATE: PerCpuArray<CpuState> = PerCpuArray::with_max_entries(1, 0);

    /// Packets by verdict, and packets that passed the filter.
    #[map]
    static TALLY: PerCpuArray<[u64; TALLIES]> = PerCpuArray::with_max_entries(1, 0);

    /// The second that runs, and the lines logged in it.
    #[map]
    static WINDOW: Array<[u64; 2]> = Array::with_max_entries(1, 0);

    #[unsafe(no_mangle)]
    static FILTER: [u32; FILTER_WORDS] = [ANY; FILTER_WORDS];

    const SECOND: u64 = 1_000_000_000;

    #[xdp]
    pub fn explain_xdp(ctx: XdpContext) -> u32 {
        explain_buffers(&ctx);
        XDP_PASS
    }

    #[xdp(frags)]
    pub fn explain_frags(ctx: XdpContext) -> u32 {
        explain_buffers(&ctx);
        XDP_PASS
    }

    /// Later classifiers still run.
    #[classifier]
    pub fn flowxdp_explain(ctx: TcContext) -> i32 {
        if let Some((observation, state)) = places() {
            let frame = Skb::new(&ctx, state);
            // SAFETY: the context that the kernel gave, whose field it reads in place of this load.
            observation.interface = unsafe { (*ctx.skb.skb).ifindex };
            observation.tag_beside = u8::from(frame.is_tagged_beside());
            observe(&frame, observation);
            report(observation);
        }
        TC_ACT_UNSPEC
    }

    #[inline(always)]
    fn explain_buffers(ctx: &XdpContext) {
        if let Some((observation, state)) = places() {
            // SAFETY: the helper reads the context that the kernel gave.
            let length = unsafe { bpf_xdp_get_buff_len(ctx.ctx) } as u32;
            observation.interface = ctx.ingress_ifindex() as u32;
            observation.tag_beside = 0;
            observe(&Whole::new(ctx, length, length, state), observation);
            report(observation);
        }
    }

    /// This CPU's observation and scratch word.
    #[inline(always)]
    fn places() -> Option<(&'static mut Observation, *mut CpuState)> {
        let observation = OBSERVATION.get_ptr_mut(0)?;
        // SAFETY: both hooks run with bottom halves disabled, so that no other packet uses this CPU's element.
        Some((unsafe { &mut *observation }, STATE.get_ptr_mut(0)?))
    }

    /// Counts the packet, and logs it if it passes the filter and the second has room for it.
    #[inline(never)]
    fn report(observation: &mut Observation) {
        let Some(tally) = TALLY.get_ptr_mut(0) else { return };
        // SAFETY: as in `places`.
        let tally = unsafe { &mut *tally };
        if let Some(packets) = tally.get_mut(usize::from(observation.verdict)) {
            *packets += 1;
        }
        if !passes(observation, word) {
            return;
        }
        tally[VERDICTS] += 1;
        // SAFETY: the helper has no preconditions.
        observation.time = unsafe { bpf_ktime_get_ns() };
        if has_room(observation.time / SECOND) {
            log(observation);
        }
    }

    #[inline(always)]
    fn word(place: usize) -> u32 {
        // SAFETY: `passes` asks for words below `FILTER_WORDS`, by constants.
        unsafe { (&raw const FILTER).cast::<u32>().add(place).read_volatile() }
    }

    /// Whether another line may be logged in this second. CPUs do not wait for one another, so that a few lines more
    /// may be.
    #[inline(always)]
    fn has_room(second: u64) -> bool {
        let Some(window) = WINDOW.get_ptr_mut(0) else { return false };
        // SAFETY: other CPUs write these two words as well; each is read and written whole.
        let [its, lines] = unsafe { &mut *window };
        if *its != second {
            *its = second;
            *lines = 0;
        }
        let is_free = *lines < LINES;
        *lines += u64::from(is_free);
        is_free
    }

    #[inline(always)]
    fn log(observation: &Observation) {
        let start: *const u8 = (&raw const *observation).cast();
        // SAFETY: all octets of the observation, which has no padding.
        let octets = unsafe { core::slice::from_raw_parts(start, size_of::<Observation>()) };
        aya_log_ebpf::info!(&(), "{:x}", octets);
    }
}

/// Programs for BPF have no `main`.
#[cfg(not(target_arch = "bpf"))]
fn main() {}
