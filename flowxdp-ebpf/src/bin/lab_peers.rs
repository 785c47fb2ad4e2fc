//! The usual design: the same parser, metering into the kernel's own hash maps.
//!
//! One look-up by the flow key, packets, octets, times and flags in the value, and a clock read for each
//! packet. The key is the flow table's, without the octets of IPv6 for an IPv4 flow; most others have one
//! key with room for both. Nothing counts packets per interface here.
#![cfg_attr(
    target_arch = "bpf",
    no_std,
    no_main,
    feature(core_intrinsics, asm_experimental_arch),
    allow(internal_features)
)]

#[cfg(target_arch = "bpf")]
#[path = "../bpf/atomic.rs"]
mod atomic;

#[cfg(target_arch = "bpf")]
mod program {
    use aya_ebpf::{
        bindings::xdp_action::XDP_PASS,
        helpers::generated::bpf_ktime_get_ns,
        macros::{map, xdp},
        maps::{Array, HashMap, LruHashMap, LruPerCpuHashMap, PerCpuHashMap},
        programs::XdpContext,
    };
    use flowxdp_common::{counter::CpuState, reason::Ignored};
    use flowxdp_ebpf::{
        lab,
        verdict::{Facts, Sink, WordsV4, WordsV6},
    };

    use crate::atomic;

    /// The words of `flowxdp_common::key::KeyV4`.
    type KeyV4 = [u32; 5];
    /// The words of `flowxdp_common::key::KeyV6`.
    type KeyV6 = [u32; 11];

    /// A flow's counters.
    #[repr(C)]
    struct Value {
        packets: u64,
        octets: u64,
        first: u64,
        last: u64,
        flags: u64,
    }

    /// The parser's scratch words; the loader sets its size.
    #[map]
    static CPUS: Array<CpuState> = Array::with_max_entries(1, 0);

    #[inline(always)]
    fn key_v4(words: &WordsV4, ingress: u32) -> KeyV4 {
        let (addresses, rest) = (words.addresses, words.rest);
        [addresses as u32, (addresses >> 32) as u32, rest as u32, (rest >> 32) as u32, ingress]
    }

    #[inline(always)]
    fn key_v6(words: &WordsV6, ingress: u32) -> KeyV6 {
        let ([a, b, c, d], e) = (words.addresses, words.rest);
        let [a, b, c, d, e] = [a, b, c, d, e].map(|word| [word as u32, (word >> 32) as u32]);
        [a[0], a[1], b[0], b[1], c[0], c[1], d[0], d[1], e[0], e[1], ingress]
    }

    /// A value of this CPU alone.
    #[inline(always)]
    unsafe fn add_alone(word: *mut u64, value: u64) {
        // SAFETY: the caller has it from a map.
        unsafe { lab::add(word, value) };
    }

    /// A value that all CPUs write.
    #[inline(always)]
    unsafe fn add_together(word: *mut u64, value: u64) {
        // SAFETY: the caller has it from a map.
        unsafe { atomic::fetch_add(word, value) };
    }

    macro_rules! peer {
        ($program:ident, $kind:ident, $v4:ident, $v6:ident, $add:ident) => {
            #[map]
            static $v4: $kind<KeyV4, Value> = $kind::with_max_entries(1, 0);
            #[map]
            static $v6: $kind<KeyV6, Value> = $kind::with_max_entries(1, 0);

            #[xdp]
            pub fn $program(ctx: XdpContext) -> u32 {
                struct Peer(u32);

                impl Sink for Peer {
                    #[inline(always)]
                    fn v4(&mut self, words: WordsV4, facts: Facts) {
                        peer!(@meter $v4, key_v4(&words, self.0), facts, $add);
                    }

                    #[inline(always)]
                    fn v6(&mut self, words: WordsV6, facts: Facts) {
                        peer!(@meter $v6, key_v6(&words, self.0), facts, $add);
                    }

                    #[inline(always)]
                    fn ignored(&mut self, _: Ignored) {}
                }

                lab::parse(&ctx, &CPUS, &mut Peer(lab::ingress(&ctx)));
                XDP_PASS
            }
        };
        (@meter $map:ident, $key:expr, $facts:ident, $add:ident) => {
            let key = $key;
            // SAFETY: the helper has no preconditions.
            let now = unsafe { bpf_ktime_get_ns() };
            let (octets, flags) = (u64::from($facts.octets), u64::from($facts.tcp_flags));
            if let Some(value) = $map.get_ptr_mut(&key) {
                // SAFETY: a map's value.
                let value = unsafe { &mut *value };
                // SAFETY: as above.
                unsafe { $add(&raw mut value.packets, 1) };
                // SAFETY: as above.
                unsafe { $add(&raw mut value.octets, octets) };
                value.last = now;
                value.flags |= flags;
            } else {
                let value = Value { packets: 1, octets, first: now, last: now, flags };
                // A full map loses the flow; the benchmark's are large enough.
                let _ = $map.insert(&key, &value, 0);
            }
        };
    }

    peer!(lab_lru_percpu_hash, LruPerCpuHashMap, LRU_PERCPU_V4, LRU_PERCPU_V6, add_alone);
    peer!(lab_percpu_hash, PerCpuHashMap, PERCPU_V4, PERCPU_V6, add_alone);
    peer!(lab_lru_hash, LruHashMap, LRU_V4, LRU_V6, add_together);
    peer!(lab_hash, HashMap, HASH_V4, HASH_V6, add_together);
}

/// Programs for BPF have no `main`.
#[cfg(not(target_arch = "bpf"))]
fn main() {}
