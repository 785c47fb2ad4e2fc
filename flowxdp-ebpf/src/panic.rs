//! What BPF programs do when they panic: nothing, for the verifier proves that they never do.

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
