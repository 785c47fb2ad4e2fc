//! The fuzzer of the sessions that make messages.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flowxdp_fuzz::encoder::target(data));
