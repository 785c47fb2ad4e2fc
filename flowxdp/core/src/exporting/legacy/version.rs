//! The versions of NetFlow that have a fixed layout, and the sizes that each has.

use super::header::Header;
use crate::exporting::protocol::Protocol;

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

/// A version's row.
struct Row {
    version: Version,
    /// The first field of a header.
    number: u16,
    protocol: Protocol,
    /// Octets of a header.
    header: usize,
    /// Octets of a record.
    record: usize,
    /// Records of a message below 1,472 octets.
    most_records: usize,
    /// The last word of a header with a sequence; `None` without one.
    last_word: Option<fn(&Header) -> [u8; 4]>,
}

/// The table of versions, in the order of the type.
const ROWS: [Row; 3] = [
    // v1 is described with 48, 49 and 52 octets a record; the collectors that are around (nfcapd, tshark) read 48.
    Row {
        version: Version::V1,
        number: 1,
        protocol: Protocol::V1,
        header: 16,
        record: 48,
        most_records: 24,
        last_word: None,
    },
    Row {
        version: Version::V5,
        number: 5,
        protocol: Protocol::V5,
        header: 24,
        record: 48,
        most_records: 30,
        last_word: Some(engine),
    },
    Row {
        version: Version::V7,
        number: 7,
        protocol: Protocol::V7,
        header: 24,
        record: 52,
        most_records: 27,
        last_word: Some(|_| [0; 4]),
    },
];

/// Engine type and id, and no sampling.
fn engine(header: &Header) -> [u8; 4] {
    let [.., engine_type, engine_id] = header.domain.to_be_bytes();
    [engine_type, engine_id, 0, 0]
}

impl Version {
    /// All of them, by number.
    pub const ALL: [Self; 3] = [Self::V1, Self::V5, Self::V7];

    const fn row(self) -> &'static Row {
        &ROWS[self as usize]
    }

    /// The version of an export protocol; `None` for a protocol with templates.
    pub fn of(protocol: Protocol) -> Option<Self> {
        ROWS.iter().find(|row| row.protocol == protocol).map(|row| row.version)
    }

    /// The first field of a header.
    pub const fn number(self) -> u16 {
        self.row().number
    }

    /// The protocol by its name in flags and URLs.
    pub const fn protocol(self) -> Protocol {
        self.row().protocol
    }

    /// Octets of a header.
    pub const fn header(self) -> usize {
        self.row().header
    }

    /// Octets of a record.
    pub const fn record(self) -> usize {
        self.row().record
    }

    /// The most records of one message, which leave it below 1,472 octets.
    pub const fn most_records(self) -> usize {
        self.row().most_records
    }

    /// The part of the sequence that a message of so many records has: 0 in a version without a sequence.
    pub(super) const fn counted(self, records: u16) -> u32 {
        if self.row().last_word.is_some() { records as u32 } else { 0 }
    }

    /// The last word of a header with a sequence.
    pub(super) fn last_word(self, header: &Header) -> Option<[u8; 4]> {
        self.row().last_word.map(|word| word(header))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exporting::wire;

    #[test]
    fn each_row_stands_at_its_version_and_each_protocol_without_templates_has_one() {
        assert!(Version::ALL.iter().all(|version| version.row().version == *version));
        let is_legacy = |protocol| Version::of(protocol).is_some();
        assert!(Protocol::ALL.into_iter().all(|it| is_legacy(it) != wire::Protocol::of(it).is_some()));
    }
}
