//! MPLS label stacks (RFC 3032).

use super::Packet;

/// EtherType of a label stack.
pub const UNICAST: u16 = 0x8847;
/// EtherType of one whose label is assigned upstream (RFC 5332).
pub const UPSTREAM: u16 = 0x8848;

/// Label stack entries 16, 17, …, outermost first; the last has the bottom-of-stack bit if `bottom`.
#[must_use]
pub fn stack(labels: u8, bottom: bool) -> Vec<u8> {
    let entry = |number: u8| {
        let last = bottom && number + 1 == labels;
        [0, 1, number << 4 | u8::from(last), 200 + number]
    };
    (0..labels).flat_map(entry).collect()
}

impl Packet {
    /// Puts a label stack in front.
    #[must_use]
    pub fn mpls(self, labels: u8) -> Self {
        self.behind(UNICAST, &stack(labels, true))
    }
}
