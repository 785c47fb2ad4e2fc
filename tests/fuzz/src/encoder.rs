//! The target `encoder`: any octets as a session, records, options data and a sequence of calls.
//!
//! Every message is read back, most of it by a crate that shares no code with ours; every record must come,
//! equal in every field, and no other.

mod awaited;
mod input;
mod legacy;
mod options;
mod run;
mod templated;

use flowxdp_core::exporting::protocol::Protocol;
use flowxdp_core::record::Flow;

/// One input of the fuzzer.
///
/// # Panics
///
/// If something does not hold.
pub fn target(data: &[u8]) {
    drop(export(data));
}

/// The messages exported for an input.
#[derive(Debug)]
pub struct Export {
    /// The protocol.
    pub protocol: Protocol,
    /// Transport sessions; over UDP it is one.
    pub sessions: Vec<Delivered>,
}

/// The messages delivered in a transport session.
#[derive(Debug, Default)]
pub struct Delivered {
    /// The messages in their order.
    pub messages: Vec<Vec<u8>>,
    /// The records as they were read in them.
    pub records: Vec<Flow>,
    /// Milliseconds since 1970 of the last export time.
    pub export_ms: u64,
}

/// Drives a session as an input says, and reads everything back.
///
/// # Panics
///
/// If something does not hold.
#[must_use]
pub fn export(data: &[u8]) -> Export {
    run::Run::new(&mut input::Octets(data)).all()
}

/// A message as it was read.
#[derive(Debug, Default)]
struct Read {
    /// Milliseconds since 1970.
    export_ms: u64,
    uptime: u32,
    sequence: Option<u32>,
    /// v9: records that the header counts.
    count: Option<u16>,
    /// v5: engine type and id.
    engine: Option<u64>,
    records: Vec<Flow>,
    options: Vec<Options>,
}

/// An options record as it was read.
#[derive(Debug)]
struct Options {
    template: u16,
    /// Element and octets of each field.
    values: Vec<(u16, Vec<u8>)>,
}

/// A number in network byte order.
fn number(octets: &[u8]) -> u64 {
    octets.iter().fold(0, |number, octet| number << 8 | u64::from(*octet))
}
