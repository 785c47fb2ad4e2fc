//! The cost of memory: parses, then adds to two counters in a line of 64 octets that the flow picks.
//!
//! No key is compared and no time is read, so a flow table cannot cost less.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
mod program {
    use aya_ebpf::{
        bindings::{BPF_F_MMAPABLE, xdp_action::XDP_PASS},
        macros::{map, xdp},
        maps::Array,
        programs::XdpContext,
    };
    use flowxdp_common::{counter::CpuState, reason::Ignored};
    use flowxdp_ebpf::{
        constant::Constant,
        lab,
        verdict::{Facts, Sink, WordsV4, WordsV6},
    };

    /// Lines of [`LINES`].
    #[unsafe(no_mangle)]
    static COUNT: Constant = Constant::new(1);

    /// The parser's scratch words; the loader sets its size.
    #[map]
    static CPUS: Array<CpuState> = Array::with_max_entries(1, 0);

    /// As large as the flow table; the loader sets its size.
    #[map]
    static LINES: Array<[u64; 8]> = Array::with_max_entries(1, BPF_F_MMAPABLE);

    #[xdp]
    pub fn lab_floor(ctx: XdpContext) -> u32 {
        lab::parse(&ctx, &CPUS, &mut Line);
        XDP_PASS
    }

    struct Line;

    impl Line {
        #[inline(always)]
        fn count(&self, words: u64, octets: u32) {
            let mixed = words.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
            let line = (mixed * u64::from(COUNT.get())) >> 32;
            let Some(line) = LINES.get_ptr_mut(line as u32) else { return };
            // SAFETY: a map element has eight words; only this CPU runs the program.
            unsafe { lab::add(line.cast(), 1) };
            // SAFETY: as above.
            let second = unsafe { line.cast::<u64>().add(1) };
            // SAFETY: as above.
            unsafe { lab::add(second, u64::from(octets)) };
        }
    }

    impl Sink for Line {
        #[inline(always)]
        fn v4(&mut self, words: WordsV4, facts: Facts) {
            self.count(words.addresses ^ words.rest, facts.octets);
        }

        #[inline(always)]
        fn v6(&mut self, words: WordsV6, facts: Facts) {
            let [a, b, c, d] = words.addresses;
            self.count(a ^ b ^ c ^ d ^ words.rest, facts.octets);
        }

        #[inline(always)]
        fn ignored(&mut self, _: Ignored) {}
    }
}

/// Programs for BPF have no `main`.
#[cfg(not(target_arch = "bpf"))]
fn main() {}
