//! pcap: one file header, then packet records; micro- or nanoseconds, either byte order.

use std::io::Read;

use super::source::{Order, Source};
use super::{Fault, Packet, in_range};

/// The file header, which holds for all packets.
pub(super) struct Header {
    link: u32,
    /// Nanoseconds of one unit of a record's second time field.
    unit: u64,
    exchanged: Exchanged,
}

/// Whether the length on the wire stands in front of the captured one, by libpcap's rules for each version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exchanged {
    /// From 2.4 on.
    No,
    /// Before 2.3, and DG/UX.
    Yes,
    /// In 2.3, of which there were writers of both kinds: the captured length is the smaller one.
    Perhaps,
}

impl Exchanged {
    /// `None` for a version that libpcap does not read either.
    const fn of(major: u16, minor: u16) -> Option<Self> {
        match (major, minor) {
            (2, 0..=2) | (543, 0) => Some(Self::Yes),
            (2, 3) => Some(Self::Perhaps),
            (2, 4) => Some(Self::No),
            _ => None,
        }
    }
}

impl Header {
    /// Reads the file header behind its magic number; `None` when that is not one of pcap.
    pub(super) fn open<R: Read>(magic: [u8; 4], source: &mut Source<R>) -> Result<Option<Self>, Fault> {
        let (order, unit) = match magic {
            [0xd4, 0xc3, 0xb2, 0xa1] => (Order::Little, 1000),
            [0xa1, 0xb2, 0xc3, 0xd4] => (Order::Big, 1000),
            [0x4d, 0x3c, 0xb2, 0xa1] => (Order::Little, 1),
            [0xa1, 0xb2, 0x3c, 0x4d] => (Order::Big, 1),
            _ => return Ok(None),
        };
        source.order = order;
        let (major, minor) = (source.u16()?, source.u16()?);
        let Some(exchanged) = Exchanged::of(major, minor) else {
            return Err(Fault::Version { format: "pcap", major, minor });
        };
        // Time zone, accuracy and snap length: nothing that a packet record does not say better.
        source.skip(12)?;
        // The upper half of the link type tells of a frame check sequence, which is padding to IP.
        let link = source.u32()? & 0xffff;
        Ok(Some(Self { link, unit, exchanged }))
    }

    /// Reads the next packet record, its octets into `data`.
    pub(super) fn next<R: Read>(
        &mut self,
        source: &mut Source<R>,
        data: &mut Vec<u8>,
    ) -> Result<Option<Packet>, Fault> {
        source.begin("packet record");
        let Some(seconds) = source.first()? else { return Ok(None) };
        let seconds = u64::from(source.order.u32(seconds));
        let fraction = u64::from(source.u32()?);
        let (mut captured, mut wire) = (source.u32()?, source.u32()?);
        if self.exchanged == Exchanged::Yes || self.exchanged == Exchanged::Perhaps && captured > wire {
            (captured, wire) = (wire, captured);
        }
        source.packet(captured, data)?;
        let time_ns = in_range(seconds * 1_000_000_000 + fraction * self.unit);
        Ok(Some(Packet { time_ns, wire, link: self.link }))
    }
}
