//! The fuzzer of what `flowxdp status` reads.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flowxdp_fuzz::status::target(data));
