//! Properties for any input: the fuzz targets, without the fuzzer.
//!
//! [`parser`], [`capture`], [`spool`], [`encoder`], [`status`] and [`names`] take the octets of one input and panic
//! where a property fails. The fuzzers in `bin/` call them (`cargo xtask fuzz`), and so do the tests, with
//! every input of [`corpus`].
//!
//! - [`outcome`]: the parser's answer as names and numbers, to be compared with others.
//! - [`reference`]: the same answer, found by other code.
//! - [`input`]: how the octets of an input become a frame.
//! - [`mutate`]: random frames that are nearly right, for tests that cannot wait for a fuzzer.
//!
//! Nothing here is unsafe, and neither is the parser on the host nor the capture reader, but for the libraries
//! that unpack captures: a read out of bounds is a panic.
#![forbid(unsafe_code)]

pub mod capture;
pub mod corpus;
pub mod encoder;
pub mod input;
pub mod mutate;
pub mod names;
pub mod outcome;
pub mod parser;
pub mod reference;
pub mod spool;
pub mod status;

/// The function called with the octets of an input.
pub type Target = fn(&[u8]);

/// The fuzz targets by name.
pub const TARGETS: [(&str, Target); 6] = [
    ("parser", parser::target),
    ("capture", capture::target),
    ("spool", spool::target),
    ("encoder", encoder::target),
    ("status", status::target),
    ("names", names::target),
];
