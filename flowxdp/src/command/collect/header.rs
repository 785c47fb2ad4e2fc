//! The header of every message: enough to find its stream before the message is decoded.

/// The part of a message header that all versions share, in one shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// 1, 5, 7, 9, or 10 for IPFIX.
    pub(super) version: u16,
    /// Observation domain id, v9 source id, or v5 engine type × 256 + engine id.
    pub(super) domain: u32,
    /// Sequence number, in the units of the version; v1 has none.
    pub(super) sequence: u32,
    /// Octets of the message (IPFIX), or how many records it says it has (the others).
    pub(super) count: u16,
    /// Export time, milliseconds since 1970.
    pub(super) export_ms: u64,
    /// Milliseconds since the exporter's start, modulo 2^32; IPFIX has none.
    pub(super) uptime: Option<u32>,
}

impl Header {
    /// Reads the header of `message`; `None` when it is too short or of no known version.
    pub(super) fn read(message: &[u8]) -> Option<Self> {
        let version = u16_at(message, 0)?;
        let count = u16_at(message, 2)?;
        let long = |at| u32_at(message, at);
        let header = match version {
            10 => Self {
                version,
                count,
                domain: long(12)?,
                sequence: long(8)?,
                export_ms: u64::from(long(4)?) * 1000,
                uptime: None,
            },
            9 => Self {
                version,
                count,
                domain: long(16)?,
                sequence: long(12)?,
                export_ms: u64::from(long(8)?) * 1000,
                uptime: long(4),
            },
            1 => Self {
                version,
                count,
                domain: 0,
                sequence: 0,
                export_ms: u64::from(long(8)?) * 1000 + u64::from(long(12)? / 1_000_000),
                uptime: long(4),
            },
            5 | 7 => {
                // The last four octets: engine and sampling in v5, reserved in v7.
                let tail = long(20)?;
                Self {
                    version,
                    count,
                    domain: if version == 5 { tail >> 16 } else { 0 },
                    sequence: long(16)?,
                    export_ms: u64::from(long(8)?) * 1000 + u64::from(long(12)? / 1_000_000),
                    uptime: long(4),
                }
            }
            _ => return None,
        };
        Some(header)
    }

    /// When the exporter's uptime was `uptime`, milliseconds since 1970.
    ///
    /// Right across a wrap, and for a flow that ends a little after its message says it was sent:
    /// whichever of the possible times is nearest to the message's.
    pub(super) fn wall_ms(&self, uptime: u32) -> Option<u64> {
        let age = self.uptime?.wrapping_sub(uptime).cast_signed();
        self.export_ms.checked_add_signed(-i64::from(age))
    }
}

fn u16_at(message: &[u8], at: usize) -> Option<u16> {
    message.get(at..)?.first_chunk().map(|octets| u16::from_be_bytes(*octets))
}

fn u32_at(message: &[u8], at: usize) -> Option<u32> {
    message.get(at..)?.first_chunk().map(|octets| u32::from_be_bytes(*octets))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v9(uptime: u32) -> Header {
        Header {
            version: 9,
            domain: 1,
            sequence: 0,
            count: 1,
            export_ms: 1_000_000_000,
            uptime: Some(uptime),
        }
    }

    #[test]
    fn uptime_becomes_time_of_day() {
        assert_eq!(v9(60_000).wall_ms(58_500), Some(999_998_500));
        assert_eq!(v9(60_000).wall_ms(60_003), Some(1_000_000_003));
        assert_eq!(Header { uptime: None, ..v9(0) }.wall_ms(0), None);
    }

    #[test]
    fn uptime_may_have_wrapped_since() {
        assert_eq!(v9(1_000).wall_ms(u32::MAX - 999), Some(999_998_000));
        assert_eq!(v9(u32::MAX).wall_ms(4), Some(1_000_000_005));
    }

    #[test]
    fn short_and_foreign_messages_have_no_header() {
        assert_eq!(Header::read(&[]), None);
        for (version, length) in [(5u16, 24), (7, 24), (9, 20), (10, 16)] {
            let mut message = version.to_be_bytes().to_vec();
            message.resize(length, 0);
            assert_eq!(Header::read(&message).map(|header| header.version), Some(version));
            assert_eq!(Header::read(&message[..length - 1]), None);
        }
        assert_eq!(
            Header::read(&[0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            None
        );
    }
}
