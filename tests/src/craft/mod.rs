//! Crafted captures: packets built header by header, with the expected verdict noted as each is built.
//!
//! Nothing here knows the parser. A [`Packet`] is built from the inside out (transport, IP, labels, PPPoE,
//! tags, link header), and every layer knows its part of the flow key and how many octets a metering process
//! must see. A [`Frame`] is the packet with its link header, as captured; faults and their expected verdicts
//! are put in by hand.
//!
//! [`catalogue`] is all of it, as capture files; [`truth`] gives the flow records and the books
//! that an exact exporter reports for one.

mod cases;
pub mod ethernet;
pub mod extension;
mod file;
mod frame;
pub mod ipv4;
pub mod ipv6;
pub mod link;
pub mod mpls;
mod packet;
pub mod pcap;
pub mod pcapng;
pub mod pppoe;
pub mod transport;
pub mod truth;
pub mod tunnel;
mod verdict;
pub mod vlan;

pub use cases::catalogue;
pub use file::CaptureFile;
pub use frame::Frame;
pub use packet::Packet;
pub use verdict::{Ignored, Metered, Verdict};

/// A length as a 16-bit field of a header has it; crafted packets are built to fit.
fn length16(octets: usize) -> u16 {
    u16::try_from(octets).expect("a length of 16 bits")
}

/// A length as a field of a capture file has it.
fn length32(octets: usize) -> u32 {
    u32::try_from(octets).expect("a length of 32 bits")
}
