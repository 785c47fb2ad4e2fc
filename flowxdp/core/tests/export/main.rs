//! The exporting process as a collector sees it: records in, messages out, read back by readers that
//! share no code with the encoder.
#![allow(
    clippy::cast_possible_truncation,
    clippy::panic,
    clippy::unwrap_used,
    reason = "every function here is part of a test"
)]

mod aggregates;
mod collector;
#[expect(unreachable_pub, reason = "the same file is a public module of the tests' harness")]
#[path = "../../../../tests/src/committed.rs"]
mod committed;
mod golden;
mod manual;
mod parser;
mod properties;
mod samples;
mod timing;
mod uptime;

use committed::compare as compare_with_file;
