//! The fuzzer of the answers that `flowxdp status` reads.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flowxdp_fuzz::status::target(data));
