//! The fuzzer of the capture reader.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flowxdp_fuzz::capture::target(data));
