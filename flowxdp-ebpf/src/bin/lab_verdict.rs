//! Another XDP program: one that drops UDP, bounces IPv6, passes the rest and counts each; and one that
//! passes all.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
mod program {
    use aya_ebpf::{
        bindings::xdp_action::{XDP_DROP, XDP_PASS, XDP_TX},
        macros::{map, xdp},
        maps::PerCpuArray,
        programs::XdpContext,
    };
    use flowxdp_ebpf::lab;

    /// ETH_P_IPV6 as it is read from the wire.
    const IPV6: u16 = 0x86dd_u16.to_be();
    /// ETH_P_IP.
    const IPV4: u16 = 0x0800_u16.to_be();
    const UDP: u8 = 17;

    /// Packets, by verdict.
    #[map]
    static VERDICTS: PerCpuArray<u64> = PerCpuArray::with_max_entries(8, 0);

    #[xdp]
    pub fn lab_verdict(ctx: XdpContext) -> u32 {
        judge(&ctx)
    }

    #[xdp(frags)]
    pub fn lab_verdict_big(ctx: XdpContext) -> u32 {
        judge(&ctx)
    }

    #[xdp(frags)]
    pub fn lab_pass(_: XdpContext) -> u32 {
        XDP_PASS
    }

    #[inline(always)]
    fn judge(ctx: &XdpContext) -> u32 {
        let verdict = verdict(ctx);
        if let Some(count) = VERDICTS.get_ptr_mut(verdict) {
            // SAFETY: this CPU's own.
            unsafe { lab::add(count, 1) };
        }
        verdict
    }

    #[inline(always)]
    fn verdict(ctx: &XdpContext) -> u32 {
        let (start, end) = (ctx.data(), ctx.data_end());
        if start + 34 > end {
            return XDP_PASS;
        }
        // SAFETY: within the frame, as just compared.
        let kind = unsafe { ((start + 12) as *const u16).read_unaligned() };
        // SAFETY: as above.
        let protocol = unsafe { ((start + 23) as *const u8).read() };
        match kind {
            IPV6 => XDP_TX,
            IPV4 if protocol == UDP => XDP_DROP,
            _ => XDP_PASS,
        }
    }
}

/// Programs for BPF have no `main`.
#[cfg(not(target_arch = "bpf"))]
fn main() {}
