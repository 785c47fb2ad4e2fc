//! The fuzzer of payloads that names are read from.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flowxdp_fuzz::names::target(data));
