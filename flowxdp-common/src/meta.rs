//! The XDP metadata in front of a replayed frame.
//!
//! Trusted only when the program was loaded with the replay switch on.

use bytemuck::{Pod, Zeroable};

/// 24 octets: a multiple of 4 and at most the 32 that Linux 6.1 allows.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Meta {
    /// Low half of the capture time, nanoseconds since 1970.
    ///
    /// In halves, since metadata is only aligned to four octets.
    pub time_low: u32,
    /// High half of the capture time.
    pub time_high: u32,
    /// Octets of the frame on the wire.
    pub wire: u32,
    /// Octets of the frame that were captured.
    pub captured: u32,
    /// ifIndex to meter the packet with.
    pub ingress: u32,
    /// Zero.
    pub pad: u32,
}

const _: () = assert!(size_of::<Meta>() == 24);
