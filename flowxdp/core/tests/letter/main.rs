//! The RFCs' rules for an exporter, one by one: each test is named in the ledger (tests/ledger) beside the
//! rule that it proves. Messages are read by a reader that shares no code with the encoder.
#![allow(
    clippy::cast_possible_truncation,
    clippy::panic,
    clippy::unwrap_used,
    reason = "every function here is part of a test"
)]

mod foreign;
mod model;
mod read;
mod samples;
mod section_10;
mod section_3;
mod section_4;
mod section_6;
mod section_7;
mod section_8;
mod v9;
