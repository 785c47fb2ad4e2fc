//! The PPPoE session header (RFC 2516) with the PPP protocol behind it.

use super::{Packet, length16};

/// EtherType of a session's packets.
pub const SESSION: u16 = 0x8864;

impl Packet {
    /// Puts a session header in front.
    #[must_use]
    pub fn pppoe(self) -> Self {
        let protocol = if self.kind == 0x86dd { 0x0057 } else { 0x0021 };
        self.pppoe_as([0x11, 0x00], protocol)
    }

    /// Puts a header in front with version, type and code, and a PPP protocol of the caller's.
    #[must_use]
    pub fn pppoe_as(self, version_code: [u8; 2], protocol: u16) -> Self {
        let length = length16(self.octets.len() + 2);
        let words = [0x0042, length, protocol].map(u16::to_be_bytes).concat();
        self.behind(SESSION, &[&version_code[..], &words].concat())
    }
}
