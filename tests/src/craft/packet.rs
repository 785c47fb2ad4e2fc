//! An IP packet and the headers in front of it, before the link header.

use super::{Frame, Metered, Verdict, length32};

/// A packet in the making.
#[derive(Clone, Debug)]
pub struct Packet {
    /// EtherType of its first header.
    pub kind: u16,
    /// Its octets.
    pub octets: Vec<u8>,
    /// The key and the facts of the packet where all of it is captured.
    pub metered: Metered,
    /// Octets from the front that must be seen for it to be metered.
    pub(super) needed: usize,
    /// Octets from the front up to and with the TCP flags, where there are any.
    pub(super) flags_end: Option<usize>,
}

impl Packet {
    /// Puts a header in front, whose EtherType is `kind`.
    #[must_use]
    pub fn behind(mut self, kind: u16, header: &[u8]) -> Self {
        self.octets.splice(..0, header.iter().copied());
        self.kind = kind;
        self.needed += header.len();
        self.flags_end = self.flags_end.map(|end| end + header.len());
        self
    }

    /// Overwrites the octets at `at`.
    #[must_use]
    pub fn patch(mut self, at: usize, octets: &[u8]) -> Self {
        self.octets.splice(at..at + octets.len(), octets.iter().copied());
        self
    }

    /// Appends octets that do not belong to the IP packet: padding or a trailer.
    #[must_use]
    pub fn trailed(mut self, octets: &[u8]) -> Self {
        self.octets.extend(octets);
        self
    }

    /// Puts the link header in front; `link` is its LINKTYPE.
    #[must_use]
    pub fn frame(self, link: u32, header: &[u8]) -> Frame {
        let Self { octets, metered, needed, flags_end, .. } = self.behind(0, header);
        Frame {
            story: String::new(),
            time_ns: None,
            link,
            wire: length32(octets.len()),
            data: octets,
            verdict: Verdict::Metered(metered),
            needed,
            flags_end,
        }
    }
}
