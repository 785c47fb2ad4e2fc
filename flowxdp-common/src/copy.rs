//! Copies of flows' first packets for the inspector of names, and each CPU's counters of them.
//!
//! A copy is a [`Copied`] and as many octets of the frame as it says; octets behind those are not cleared.

use bytemuck::{Pod, Zeroable};

use crate::{counter::Count, reason::SKIPPED};

/// [`Copied::magic`] of each copy.
pub const MAGIC: u32 = 0x4658_4450;

/// Octets of a frame in an entry of each class: short hellos, an MTU of 1,500, a post-quantum hello.
pub const CLASSES: [u32; 3] = [640, 1536, 2304];

/// Octets that are copied of a frame, at most.
pub const MOST: u32 = CLASSES[2];

/// A budget holds for 2^26 nanoseconds.
pub const MOMENT: u32 = 26;

/// The header of a copy.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Copied {
    /// [`MAGIC`].
    pub magic: u32,
    /// ifIndex of the ingress interface.
    pub ingress: u32,
    /// Octets of the frame on the wire.
    pub wire: u32,
    /// Octets of the frame that follow this header.
    pub captured: u32,
    /// Time of the packet, nanoseconds, the clock of [`crate::slot`].
    pub time: u64,
}

/// One CPU's counters and budget, two cache lines that it alone writes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct CopyState {
    /// Packets for the inspector, with octets of their frames on the wire.
    pub offered: Count,
    /// Packets that were not copied, by [`crate::reason::Skipped`].
    pub skipped: [Count; SKIPPED.len()],
    /// The number of the moment, counted on the clock of [`crate::slot`].
    pub moment: u64,
    /// Packets that were copied in it.
    pub used: u64,
    /// Zero.
    pub pad: [u64; PAD],
}

/// Words that fill two cache lines.
const PAD: usize = 16 - 2 * (1 + SKIPPED.len()) - 2;

/// Port of DNS over UDP and TCP.
pub const DNS: u16 = 53;

/// Whether streams of a port begin with a message that names a server: DNS, HTTP, TLS.
#[inline(always)]
pub const fn is_service(port: u16) -> bool {
    matches!(port, DNS | 80 | 443 | 465 | 636 | 853 | 990 | 993 | 995 | 3128 | 8080 | 8443)
}

const _: () = assert!(size_of::<Copied>() == 24);
const _: () = assert!(size_of::<CopyState>() == 128);
