//! A generator: each run makes its frame the next packet of the next flow, or of one at random, and sends it.
//!
//! For BPF_PROG_TEST_RUN with live frames. The kernel reuses frames as they were left, so each run writes the
//! flow's number, and in IPv6 the octets that a router changes; the rest of the frame stays, checksums too.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
mod program {
    use aya_ebpf::{
        bindings::xdp_action::XDP_ABORTED,
        helpers::generated::bpf_redirect,
        macros::{map, xdp},
        maps::Array,
        programs::XdpContext,
    };
    use flowxdp_ebpf::{constant::Constant, lab::mix};

    /// Different flows.
    #[unsafe(no_mangle)]
    static FLOWS: Constant = Constant::new(1);
    /// The first flow's four octets, as a number.
    #[unsafe(no_mangle)]
    static FIRST: Constant = Constant::new(0);
    /// Where in the frame these octets are.
    #[unsafe(no_mangle)]
    static PLACE: Constant = Constant::new(0);
    /// 0 to take flows in turn, else where to begin with taking them at random.
    #[unsafe(no_mangle)]
    static RANDOM: Constant = Constant::new(0);
    /// ifIndex of the interface to send from.
    #[unsafe(no_mangle)]
    static INTERFACE: Constant = Constant::new(0);

    /// Whether it is IPv6, of which a router changes the station and the hop limit alone.
    #[unsafe(no_mangle)]
    static IPV6: Constant = Constant::new(0);

    /// The station of every frame, as words in memory: 02:00:00:00:ff:02.
    const STATION: (u32, u16) = (u32::from_ne_bytes([2, 0, 0, 0]), u16::from_ne_bytes([0xff, 2]));
    /// Where IPv6 has its hop limit in the frame, and the one of every packet.
    const HOPS: (usize, u8) = (14 + 7, 64);

    /// The flow of the next packet; at random, the packets so far.
    #[map]
    static NEXT: Array<u32> = Array::with_max_entries(1, 0);

    #[xdp]
    pub fn lab_send(ctx: XdpContext) -> u32 {
        let Some(next) = NEXT.get_ptr_mut(0) else { return XDP_ABORTED };
        // SAFETY: a map element that one test run at a time uses.
        let number = unsafe { next.read() };
        let (flows, random) = (FLOWS.get(), RANDOM.get());
        let again = random == 0 && number + 1 >= flows;
        // SAFETY: as above.
        unsafe { next.write(if again { 0 } else { number.wrapping_add(1) }) };
        let flow = if random == 0 {
            number
        } else {
            let mixed = mix(u64::from(random) << 32 | u64::from(number)) >> 32;
            (mixed * u64::from(flows) >> 32) as u32
        };
        // The mask is for the verifier, which wants a bound.
        let place = ctx.data() + (PLACE.get() & 0xff) as usize;
        if place + 4 > ctx.data_end() {
            return XDP_ABORTED;
        }
        // SAFETY: four octets of the frame, as just compared; BPF stores where it is told to.
        unsafe { (place as *mut u32).write((FIRST.get() + flow).to_be()) };
        if IPV6.get() != 0 {
            let start = ctx.data();
            if start + HOPS.0 + 1 > ctx.data_end() {
                return XDP_ABORTED;
            }
            // SAFETY: the first six octets of the frame, and one that is in bounds as just compared.
            unsafe { (start as *mut u32).write(STATION.0) };
            // SAFETY: as above.
            unsafe { ((start + 4) as *mut u16).write(STATION.1) };
            // SAFETY: as above.
            unsafe { ((start + HOPS.0) as *mut u8).write(HOPS.1) };
        }
        // SAFETY: the helper has no preconditions.
        (unsafe { bpf_redirect(INTERFACE.get(), 0) }) as u32
    }
}

/// Programs for BPF have no `main`.
#[cfg(not(target_arch = "bpf"))]
fn main() {}
