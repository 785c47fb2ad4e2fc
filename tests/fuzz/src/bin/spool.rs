//! The fuzzer of the spool's files.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flowxdp_fuzz::spool::target(data));
