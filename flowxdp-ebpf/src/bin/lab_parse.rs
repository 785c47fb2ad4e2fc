//! The cost that every program has: an XDP program that does nothing, and one that parses the packet and
//! passes.
#![cfg_attr(target_arch = "bpf", no_std, no_main, feature(asm_experimental_arch))]

#[cfg(target_arch = "bpf")]
mod program {
    use aya_ebpf::{
        bindings::xdp_action::XDP_PASS,
        macros::{map, xdp},
        maps::Array,
        programs::XdpContext,
    };
    use flowxdp_common::{counter::CpuState, reason::Ignored};
    use flowxdp_ebpf::{
        lab,
        verdict::{Facts, Sink, WordsV4, WordsV6},
    };

    /// The parser's scratch words; the loader sets its size.
    #[map]
    static CPUS: Array<CpuState> = Array::with_max_entries(1, 0);

    #[xdp]
    pub fn lab_empty(_: XdpContext) -> u32 {
        XDP_PASS
    }

    #[xdp]
    pub fn lab_parse(ctx: XdpContext) -> u32 {
        lab::parse(&ctx, &CPUS, &mut Answer);
        XDP_PASS
    }

    struct Answer;

    impl Answer {
        /// One word made of everything that was found.
        #[inline(always)]
        fn keep(&self, words: u64, facts: Facts) {
            let facts =
                u64::from(facts.octets) << 32 | u64::from(facts.tcp_flags) << 8 | u64::from(facts.ttl);
            // One instruction that the compiler knows nothing of, so that it cannot drop the code before it.
            // SAFETY: the instruction changes nothing.
            unsafe { core::arch::asm!("{0} += 0", inout(reg) words ^ facts => _, options(nomem, nostack)) };
        }
    }

    impl Sink for Answer {
        #[inline(always)]
        fn v4(&mut self, words: WordsV4, facts: Facts) {
            self.keep(words.addresses ^ words.rest, facts);
        }

        #[inline(always)]
        fn v6(&mut self, words: WordsV6, facts: Facts) {
            let [a, b, c, d] = words.addresses;
            self.keep(a ^ b ^ c ^ d ^ words.rest, facts);
        }

        #[inline(always)]
        fn ignored(&mut self, reason: Ignored) {
            self.keep(reason as u64, Facts::of_one(0, 0, 0));
        }
    }
}

/// Programs for BPF have no `main`.
#[cfg(not(target_arch = "bpf"))]
fn main() {}
