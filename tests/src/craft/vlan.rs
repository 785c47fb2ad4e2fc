//! VLAN tags (IEEE 802.1Q).

use super::Packet;

/// TPID of a customer tag.
pub const C_TAG: u16 = 0x8100;
/// TPID of a service tag (802.1ad).
pub const S_TAG: u16 = 0x88a8;

impl Packet {
    /// Puts a tag in front; the outermost gives the VLAN identifier. `control` has the priority
    /// in its upper four bits.
    #[must_use]
    pub fn tag(mut self, identifier: u16, control: u16) -> Self {
        self.metered.vlan = control & 0x0fff;
        let tag = [control.to_be_bytes(), self.kind.to_be_bytes()].concat();
        self.behind(identifier, &tag)
    }
}
