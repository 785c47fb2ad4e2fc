//! Writes pcap files.

use super::{CaptureFile, Frame, file, length32};

/// Byte order of a file's integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Least significant octet first.
    Little,
    /// Most significant octet first.
    Big,
}

impl Order {
    /// An integer of 16 bits.
    #[must_use]
    pub fn u16(self, value: u16) -> [u8; 2] {
        if self == Self::Big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    /// An integer of 32 bits.
    #[must_use]
    pub fn u32(self, value: u32) -> [u8; 4] {
        if self == Self::Big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    /// Integers of 32 bits, one behind the other.
    #[must_use]
    pub fn words(self, values: &[u32]) -> Vec<u8> {
        values.iter().flat_map(|value| self.u32(*value)).collect()
    }

    /// Seconds, microseconds or nanoseconds: a number that fits its field.
    pub(super) fn low(value: u64) -> u32 {
        u32::try_from(value).expect("a number of 32 bits")
    }
}

/// The unit of a file's second time field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Microseconds.
    Micro,
    /// Nanoseconds.
    Nano,
}

/// An Ethernet capture as tools on x86 write it.
#[must_use]
pub fn ethernet(name: &'static str, frames: Vec<Frame>) -> CaptureFile {
    write(name, Order::Little, Unit::Micro, frames)
}

/// A capture of the link type of its first frame.
///
/// Times are rounded down to the file's unit, in the returned frames too.
#[must_use]
pub fn write(name: &'static str, order: Order, unit: Unit, frames: Vec<Frame>) -> CaptureFile {
    let mut frames = file::timed(frames);
    let (magic, nanoseconds) = match unit {
        Unit::Micro => (0xa1b2_c3d4, 1000),
        Unit::Nano => (0xa1b2_3c4d, 1),
    };
    let link = frames.first().map_or(1, |frame| frame.link);
    let mut octets = order.u32(magic).to_vec();
    octets.extend([order.u16(2), order.u16(4)].concat());
    octets.extend(order.words(&[0, 0, 262_144, link]));
    for frame in &mut frames {
        let units = frame.time() / nanoseconds;
        frame.time_ns = Some(units * nanoseconds);
        let second = 1_000_000_000 / nanoseconds;
        octets.extend(order.words(&[
            Order::low(units / second),
            Order::low(units % second),
            length32(frame.data.len()),
            frame.wire,
        ]));
        octets.extend(&frame.data);
    }
    CaptureFile { name, octets, frames }
}
