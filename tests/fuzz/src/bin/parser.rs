//! The fuzzer of the parser.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flowxdp_fuzz::parser::target(data));
