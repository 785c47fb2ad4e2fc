//! The export protocols, by the names that URLs and options give them.

use std::fmt;

/// An export protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// IPFIX, version 10 (RFC 7011).
    Ipfix,
    /// NetFlow version 9 (RFC 3954).
    V9,
    /// NetFlow version 7: the fixed layout of Catalyst switches.
    V7,
    /// NetFlow version 5: the fixed layout that most old collectors read.
    V5,
    /// NetFlow version 1: the first fixed layout, without a sequence.
    V1,
}

impl Protocol {
    /// All of them, the newest first.
    pub const ALL: [Self; 5] = [Self::Ipfix, Self::V9, Self::V7, Self::V5, Self::V1];

    /// The name in URLs and options.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ipfix => "ipfix",
            Self::V9 => "v9",
            Self::V7 => "v7",
            Self::V5 => "v5",
            Self::V1 => "v1",
        }
    }

    /// The protocol of a name, in any case.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.name().eq_ignore_ascii_case(name))
    }

    /// The largest ifIndex that its records hold.
    pub const fn largest_interface(self) -> u32 {
        match self {
            Self::Ipfix | Self::V9 => u32::MAX,
            Self::V7 | Self::V5 | Self::V1 => u16::MAX as u32,
        }
    }

    /// The port of collectors whose URL has none, over UDP and TCP.
    pub const fn port(self) -> u16 {
        match self {
            Self::Ipfix => 4739,
            Self::V9 | Self::V7 | Self::V5 | Self::V1 => 2055,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipfix => "IPFIX",
            Self::V9 => "NetFlow v9",
            Self::V7 => "NetFlow v7",
            Self::V5 => "NetFlow v5",
            Self::V1 => "NetFlow v1",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Protocol;

    #[test]
    fn each_has_one_name() {
        for protocol in Protocol::ALL {
            assert_eq!(Protocol::named(&protocol.name().to_uppercase()), Some(protocol));
        }
        assert_eq!(Protocol::named("v8"), None);
    }
}
