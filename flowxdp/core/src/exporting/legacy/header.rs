//! The headers of the fixed layouts (Cisco's "NetFlow Export Datagram Format", tables B-1, B-3 and B-5).

use super::{MS, Version};
use crate::clock::uptime;

/// Nanoseconds in one millisecond.
const NANOSECONDS: u64 = 1_000_000;

/// A header's values beside version and count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    /// The one instant of SysUptime, unix_secs and unix_nsecs, milliseconds since 1970.
    pub(super) export_ms: u64,
    /// Milliseconds since 1970 of system start.
    pub(super) system_start_ms: u64,
    /// v5 and v7: records sent before.
    pub(super) sequence: u32,
    /// v5: engine type and id, in the low 16 bits.
    pub(super) domain: u32,
}

/// Writes the header of the message in `bytes`, which is complete behind it; `count` is its records.
///
/// All versions begin with the same 16 octets:
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |            version            |             count             |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |              SysUptime: milliseconds since start              |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                 unix_secs: seconds since 1970                 |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |               unix_nsecs: nanoseconds behind it               |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
///
/// That is all of v1. v5 goes on, without sampling:
///
/// ```text
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |             flow_sequence: records before these               |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |  engine_type  |   engine_id   |     sampling_interval = 0     |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
///
/// And v7:
///
/// ```text
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |             flow_sequence: records before these               |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                         reserved = 0                          |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
pub(super) fn write(version: Version, bytes: &mut [u8], count: u16, header: &Header) {
    bytes[0..2].copy_from_slice(&version.number().to_be_bytes());
    bytes[2..4].copy_from_slice(&count.to_be_bytes());
    stamp(version, bytes, header);
}

/// Gives a finished message another header: the count stays.
pub(super) fn stamp(version: Version, bytes: &mut [u8], header: &Header) {
    let uptime_ms = uptime(header.export_ms, header.system_start_ms);
    bytes[4..8].copy_from_slice(&uptime_ms.to_be_bytes());
    bytes[8..12].copy_from_slice(&seconds(header.export_ms).to_be_bytes());
    bytes[12..16].copy_from_slice(&nanoseconds(header.export_ms).to_be_bytes());
    if let Some(last) = version.last_word(header) {
        bytes[16..20].copy_from_slice(&header.sequence.to_be_bytes());
        bytes[20..24].copy_from_slice(&last);
    }
}

/// Export time of a finished message, milliseconds since 1970, at most `latest_ms`; and its SysUptime.
pub(super) fn times(bytes: &[u8], latest_ms: u64) -> (u64, u32) {
    let word = |at: usize| bytes[at..at + 4].iter().fold(0, |value, octet| value << 8 | u32::from(*octet));
    // Seconds have 32 bits, and collectors take the latest second that fits.
    let secs = (latest_ms / MS).saturating_sub(seconds(latest_ms).wrapping_sub(word(8)).into());
    (secs * MS + u64::from(word(12)) / NANOSECONDS, word(4))
}

/// Whole seconds, modulo 2^32.
#[expect(clippy::cast_possible_truncation, reason = "the field has 32 bits, until 2106")]
const fn seconds(ms: u64) -> u32 {
    (ms / MS) as u32
}

/// The fraction of the second, nanoseconds.
#[expect(clippy::cast_possible_truncation, reason = "below 10^9")]
const fn nanoseconds(ms: u64) -> u32 {
    (ms % MS * NANOSECONDS) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_message_comes_back_from_its_header() {
        for (export_ms, latest_ms) in
            [(1_700_000_000_123, 1_700_000_000_123), (999, 5_000), (4_294_967_295_999, 4_294_967_296_001)]
        {
            let mut bytes = [0; 24];
            let header = Header { export_ms, system_start_ms: 1_000, sequence: 0, domain: 0 };
            stamp(Version::V5, &mut bytes, &header);
            assert_eq!(times(&bytes, latest_ms), (export_ms, uptime(export_ms, 1_000)));
        }
    }
}
