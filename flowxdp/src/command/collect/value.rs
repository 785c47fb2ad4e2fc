//! A field's octets as the value that its type says they are.

use std::fmt;
use std::net::IpAddr;

use flowxdp_core::elements::data_type::DataType;
use serde::{Serialize, Serializer};

/// Seconds from 1900, where NTP timestamps begin, to 1970.
const NTP_TO_UNIX: u64 = 2_208_988_800;

/// A value, as a reader wants it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// A number without sign.
    Unsigned(u64),
    /// A number with sign.
    Signed(i64),
    /// A floating-point number, and a time with parts of milliseconds.
    Float(f64),
    /// A truth value.
    Boolean(bool),
    /// An IPv4 or IPv6 address.
    Address(IpAddr),
    /// A MAC address.
    Mac([u8; 6]),
    /// Text.
    Text(String),
    /// Anything else.
    Octets(Vec<u8>),
}

impl Value {
    /// Reads `octets`, which may be fewer than the type has at full size (RFC 7011 section 6.2).
    ///
    /// Octets that do not fit their type stay octets.
    pub(super) fn read(data_type: Option<DataType>, octets: &[u8]) -> Self {
        use DataType as D;
        let value = match data_type {
            Some(D::Unsigned8 | D::Unsigned16 | D::Unsigned32 | D::Unsigned64 | D::Unsigned256) => {
                unsigned(octets).map(Self::Unsigned)
            }
            Some(D::Signed8 | D::Signed16 | D::Signed32 | D::Signed64) => signed(octets).map(Self::Signed),
            Some(D::Float32 | D::Float64) => float(octets).map(Self::Float),
            Some(D::Boolean) => match octets {
                [1] => Some(Self::Boolean(true)),
                [2] => Some(Self::Boolean(false)),
                _ => None,
            },
            Some(D::MacAddress) => octets.try_into().ok().map(Self::Mac),
            Some(D::String) => Some(Self::Text(text(octets))),
            Some(D::DateTimeSeconds) => {
                unsigned(octets).and_then(|s| s.checked_mul(1000)).map(Self::Unsigned)
            }
            Some(D::DateTimeMilliseconds) => unsigned(octets).map(Self::Unsigned),
            Some(D::DateTimeMicroseconds | D::DateTimeNanoseconds) => ntp(octets),
            Some(D::Ipv4Address) => {
                <[u8; 4]>::try_from(octets).ok().map(|octets| Self::Address(octets.into()))
            }
            Some(D::Ipv6Address) => {
                <[u8; 16]>::try_from(octets).ok().map(|octets| Self::Address(octets.into()))
            }
            Some(D::OctetArray | D::BasicList | D::SubTemplateList | D::SubTemplateMultiList) | None => None,
        };
        value.unwrap_or_else(|| Self::Octets(octets.to_vec()))
    }
}

fn unsigned(octets: &[u8]) -> Option<u64> {
    let whole = (1..=8).contains(&octets.len());
    whole.then(|| octets.iter().fold(0, |number, octet| number << 8 | u64::from(*octet)))
}

fn signed(octets: &[u8]) -> Option<i64> {
    let shift = 8_usize.checked_sub(octets.len())? * 8;
    unsigned(octets).map(|number| (number << shift).cast_signed() >> shift)
}

fn float(octets: &[u8]) -> Option<f64> {
    match octets.len() {
        4 => octets.try_into().ok().map(|octets| f64::from(f32::from_be_bytes(octets))),
        8 => octets.try_into().ok().map(f64::from_be_bytes),
        _ => None,
    }
}

/// Text, without the zeros that fill a field of fixed length.
fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).trim_end_matches('\0').to_owned()
}

/// Milliseconds since 1970 of an NTP timestamp.
fn ntp(octets: &[u8]) -> Option<Value> {
    let stamp = u64::from_be_bytes(octets.try_into().ok()?);
    let seconds = stamp >> 32;
    // The 32-bit seconds start anew in 2036; nothing was exported before 1970.
    let seconds = if seconds < NTP_TO_UNIX { seconds + (1 << 32) } else { seconds } - NTP_TO_UNIX;
    let microseconds = ((stamp & 0xffff_ffff) * 1_000_000) >> 32;
    let total = seconds * 1_000_000 + microseconds;
    if total.is_multiple_of(1000) {
        return Some(Value::Unsigned(total / 1000));
    }
    // Below 2^53 until the year 2255.
    Some(Value::Float(total as f64 / 1000.0))
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned(number) => number.fmt(f),
            Self::Signed(number) => number.fmt(f),
            Self::Float(number) => number.fmt(f),
            Self::Boolean(truth) => truth.fmt(f),
            Self::Address(address) => address.fmt(f),
            Self::Mac([a, b, c, d, e, g]) => write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}"),
            Self::Text(text) => f.write_str(text),
            Self::Octets(octets) => octets.iter().try_for_each(|octet| write!(f, "{octet:02x}")),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Unsigned(number) => serializer.serialize_u64(*number),
            Self::Signed(number) => serializer.serialize_i64(*number),
            Self::Float(number) => serializer.serialize_f64(*number),
            Self::Boolean(truth) => serializer.serialize_bool(*truth),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Address(_) | Self::Mac(_) | Self::Octets(_) => serializer.collect_str(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(data_type: DataType, octets: &[u8]) -> String {
        serde_json::to_string(&Value::read(Some(data_type), octets)).unwrap()
    }

    #[test]
    fn numbers_may_be_shorter_than_their_type() {
        assert_eq!(shown(DataType::Unsigned64, &[0, 1, 0, 0]), "65536");
        assert_eq!(shown(DataType::Unsigned32, &[1, 0, 0]), "65536");
        assert_eq!(shown(DataType::Unsigned64, &[0xff; 8]), "18446744073709551615");
        assert_eq!(shown(DataType::Signed32, &[0xff, 0xfe]), "-2");
        assert_eq!(shown(DataType::Signed64, &[0x80, 0, 0, 0, 0, 0, 0, 0]), "-9223372036854775808");
        assert_eq!(shown(DataType::Float64, &1.5f32.to_be_bytes()), "1.5");
    }

    #[test]
    fn times_are_milliseconds() {
        assert_eq!(shown(DataType::DateTimeSeconds, &[0, 0, 0, 2]), "2000");
        assert_eq!(shown(DataType::DateTimeMilliseconds, &[0, 0, 0, 0, 0, 0, 1, 0]), "256");
        let ntp = |seconds: u64, fraction: u64| {
            shown(DataType::DateTimeMicroseconds, &(seconds << 32 | fraction).to_be_bytes())
        };
        assert_eq!(ntp(NTP_TO_UNIX + 3, 1 << 31), "3500");
        assert_eq!(ntp(NTP_TO_UNIX, 1 << 22), "0.976");
        assert_eq!(ntp(0, 0), "2085978496000");
    }

    #[test]
    fn addresses_and_text_are_text() {
        assert_eq!(shown(DataType::Ipv4Address, &[192, 0, 2, 1]), r#""192.0.2.1""#);
        assert_eq!(shown(DataType::Ipv6Address, &[0; 16]), r#""::""#);
        assert_eq!(shown(DataType::MacAddress, &[2, 0, 0, 0, 0, 0xfe]), r#""02:00:00:00:00:fe""#);
        assert_eq!(shown(DataType::String, b"eth0\0\0\0\0"), r#""eth0""#);
        assert_eq!(shown(DataType::Boolean, &[2]), "false");
    }

    #[test]
    fn what_does_not_fit_stays_octets() {
        assert_eq!(shown(DataType::Ipv4Address, &[1, 2, 3]), r#""010203""#);
        assert_eq!(shown(DataType::MacAddress, &[1]), r#""01""#);
        assert_eq!(shown(DataType::Unsigned64, &[0; 9]), r#""000000000000000000""#);
        assert_eq!(shown(DataType::Signed8, &[]), r#""""#);
        assert_eq!(shown(DataType::Signed8, &[0; 300]).len(), 602);
        assert_eq!(serde_json::to_string(&Value::read(None, &[0xab, 0xcd])).unwrap(), r#""abcd""#);
    }
}
