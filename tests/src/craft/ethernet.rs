//! The Ethernet header.

use super::{Frame, Packet};

/// LINKTYPE_ETHERNET.
pub const LINK: u32 = 1;

const ADDRESSES: [u8; 12] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];

/// A header with this EtherType.
#[must_use]
pub fn header(kind: u16) -> Vec<u8> {
    [&ADDRESSES[..], &kind.to_be_bytes()].concat()
}

/// A frame that is no IP packet: any payload behind an EtherType or length.
#[must_use]
pub fn not_ip(kind: u16, payload: &[u8]) -> Frame {
    Frame::not_ip(LINK, [&header(kind), payload].concat())
}

impl Packet {
    /// Puts an Ethernet header in front.
    #[must_use]
    pub fn ethernet(self) -> Frame {
        let header = header(self.kind);
        self.frame(LINK, &header)
    }
}
