//! Makes the one frame of a test run a packet of another flow each time, and hands it to a program.
//!
//! BPF_PROG_TEST_RUN repeats one frame. This program comes before every program that is measured, that
//! which only passes included, so its own cost is in all of them.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
mod program {
    use aya_ebpf::{
        bindings::{BPF_F_MMAPABLE, xdp_action::XDP_ABORTED},
        helpers::generated::bpf_ktime_get_ns,
        macros::{map, xdp},
        maps::{Array, ProgramArray},
        programs::XdpContext,
    };
    use flowxdp_ebpf::{constant::Constant, lab::mix};

    /// Different flows.
    #[unsafe(no_mangle)]
    static FLOWS: Constant = Constant::new(1);
    /// Where in the frame the eight octets are that tell flows apart.
    #[unsafe(no_mangle)]
    static PLACE: Constant = Constant::new(0);

    /// 1 to let no packet's work begin before the one before is done, as a driver's work between them would.
    #[unsafe(no_mangle)]
    static APART: Constant = Constant::new(0);

    /// Elements of [`SEQUENCE`], less one; 0 to take flows at random.
    #[unsafe(no_mangle)]
    static MASK: Constant = Constant::new(0);

    /// Flows in the order in which their packets come, again and again; the loader sets its size, a power of two.
    #[map]
    static SEQUENCE: Array<u64> = Array::with_max_entries(1, BPF_F_MMAPABLE);

    /// Packets so far.
    #[map]
    static COUNT: Array<u64> = Array::with_max_entries(1, 0);

    /// The program that is measured.
    #[map]
    static NEXT: ProgramArray = ProgramArray::with_max_entries(1, 0);

    #[xdp]
    pub fn lab_vary(ctx: XdpContext) -> u32 {
        let Some(count) = COUNT.get_ptr_mut(0) else { return XDP_ABORTED };
        // SAFETY: a map element that one test run at a time uses.
        let number = unsafe { count.read() };
        // SAFETY: as above.
        unsafe { count.write(number + 1) };
        let flows = u64::from(FLOWS.get());
        // Each flow once, in order, so that there are as many as wanted; then as they are measured.
        let flow = if number < flows {
            number
        } else if MASK.get() == 0 {
            ((mix(number) >> 32) * flows) >> 32
        } else {
            let Some(flow) = SEQUENCE.get_ptr(number as u32 & MASK.get()) else { return XDP_ABORTED };
            // SAFETY: a map element that nobody writes while packets come.
            unsafe { flow.read() }
        };
        // The mask is for the verifier, which wants a bound.
        let place = ctx.data() + (PLACE.get() & 0xff) as usize;
        if place + 8 > ctx.data_end() {
            return XDP_ABORTED;
        }
        // SAFETY: eight octets of the frame, as just compared; BPF stores where it is told to.
        unsafe { (place as *mut u64).write(mix(flow + 1)) };
        if APART.get() != 0 {
            // Reading the clock waits for every read of memory that came before.
            // SAFETY: the helper has no preconditions.
            unsafe { bpf_ktime_get_ns() };
        }
        // SAFETY: the context is the kernel's; nothing here waits to be dropped.
        unsafe { NEXT.tail_call(&ctx, 0) };
        XDP_ABORTED
    }
}

/// Programs for BPF have no `main`.
#[cfg(not(target_arch = "bpf"))]
fn main() {}
