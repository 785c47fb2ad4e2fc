//! The panic handler of BPF programs is empty: the verifier proves that it is never reached.

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
