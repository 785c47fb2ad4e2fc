//! Abstract data types, in the words of the registry.

/// An abstract data type (RFC 7012 section 3.1, RFC 6313 for the lists), in the registry's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DataType {
    /// Octets without further meaning.
    OctetArray,
    /// One octet, unsigned.
    Unsigned8,
    /// Two octets, unsigned.
    Unsigned16,
    /// Four octets, unsigned.
    Unsigned32,
    /// Eight octets, unsigned.
    Unsigned64,
    /// 32 octets, unsigned.
    Unsigned256,
    /// One octet, two's complement.
    Signed8,
    /// Two octets, two's complement.
    Signed16,
    /// Four octets, two's complement.
    Signed32,
    /// Eight octets, two's complement.
    Signed64,
    /// IEEE 754 binary32.
    Float32,
    /// IEEE 754 binary64.
    Float64,
    /// 1 is true, 2 is false.
    Boolean,
    /// Six octets.
    MacAddress,
    /// UTF-8.
    String,
    /// Seconds since 1970, four octets.
    DateTimeSeconds,
    /// Milliseconds since 1970, eight octets.
    DateTimeMilliseconds,
    /// NTP timestamp, eight octets.
    DateTimeMicroseconds,
    /// NTP timestamp, eight octets.
    DateTimeNanoseconds,
    /// Four octets.
    Ipv4Address,
    /// Sixteen octets.
    Ipv6Address,
    /// A list of one element.
    BasicList,
    /// A list of records of one template.
    SubTemplateList,
    /// A list of records of several templates.
    SubTemplateMultiList,
}

impl DataType {
    /// Every type with its name in the registry.
    pub const NAMES: [(Self, &str); 24] = [
        (Self::OctetArray, "octetArray"),
        (Self::Unsigned8, "unsigned8"),
        (Self::Unsigned16, "unsigned16"),
        (Self::Unsigned32, "unsigned32"),
        (Self::Unsigned64, "unsigned64"),
        (Self::Unsigned256, "unsigned256"),
        (Self::Signed8, "signed8"),
        (Self::Signed16, "signed16"),
        (Self::Signed32, "signed32"),
        (Self::Signed64, "signed64"),
        (Self::Float32, "float32"),
        (Self::Float64, "float64"),
        (Self::Boolean, "boolean"),
        (Self::MacAddress, "macAddress"),
        (Self::String, "string"),
        (Self::DateTimeSeconds, "dateTimeSeconds"),
        (Self::DateTimeMilliseconds, "dateTimeMilliseconds"),
        (Self::DateTimeMicroseconds, "dateTimeMicroseconds"),
        (Self::DateTimeNanoseconds, "dateTimeNanoseconds"),
        (Self::Ipv4Address, "ipv4Address"),
        (Self::Ipv6Address, "ipv6Address"),
        (Self::BasicList, "basicList"),
        (Self::SubTemplateList, "subTemplateList"),
        (Self::SubTemplateMultiList, "subTemplateMultiList"),
    ];

    /// The name in the registry.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(data_type, _)| *data_type == self).map_or("", |(_, name)| name)
    }
    /// Octets of a value at full size; `None` if values vary in length.
    pub const fn length(self) -> Option<usize> {
        match self {
            Self::Unsigned8 | Self::Signed8 | Self::Boolean => Some(1),
            Self::Unsigned16 | Self::Signed16 => Some(2),
            Self::Unsigned32 | Self::Signed32 | Self::Float32 | Self::DateTimeSeconds | Self::Ipv4Address => {
                Some(4)
            }
            Self::MacAddress => Some(6),
            Self::Unsigned64
            | Self::Signed64
            | Self::Float64
            | Self::DateTimeMilliseconds
            | Self::DateTimeMicroseconds
            | Self::DateTimeNanoseconds => Some(8),
            Self::Ipv6Address => Some(16),
            Self::Unsigned256 => Some(32),
            Self::OctetArray
            | Self::String
            | Self::BasicList
            | Self::SubTemplateList
            | Self::SubTemplateMultiList => None,
        }
    }
}
