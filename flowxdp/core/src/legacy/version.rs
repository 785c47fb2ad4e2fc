//! The versions of NetFlow that have a fixed layout, and the sizes that each has.

use crate::protocol::Protocol;

/// A protocol of fixed layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// NetFlow version 1: no sequence.
    V1,
    /// NetFlow version 5.
    V5,
    /// NetFlow version 7.
    V7,
}

impl Version {
    /// All of them, by number.
    pub const ALL: [Self; 3] = [Self::V1, Self::V5, Self::V7];

    /// The version number in a header's first field.
    pub const fn number(self) -> u16 {
        match self {
            Self::V1 => 1,
            Self::V5 => 5,
            Self::V7 => 7,
        }
    }

    /// The protocol by the name that options give it.
    pub const fn protocol(self) -> Protocol {
        match self {
            Self::V1 => Protocol::V1,
            Self::V5 => Protocol::V5,
            Self::V7 => Protocol::V7,
        }
    }

    /// Octets of a header.
    pub const fn header(self) -> usize {
        match self {
            Self::V1 => 16,
            Self::V5 | Self::V7 => 24,
        }
    }

    /// Octets of a record.
    ///
    /// v1 is described with 48, 49 and 52; the collectors that are around (nfcapd, tshark) read 48.
    pub const fn record(self) -> usize {
        match self {
            Self::V1 | Self::V5 => 48,
            Self::V7 => 52,
        }
    }

    /// The most records of one message, which leave it below 1,472 octets.
    pub const fn most_records(self) -> usize {
        match self {
            Self::V1 => 24,
            Self::V5 => 30,
            Self::V7 => 27,
        }
    }
}
