//! Kinds of flow record, and which of them carry an element.

use crate::record::FlowRecord;

/// A kind of flow record: each has a template of its own.
///
/// ICMP is apart because an ICMP element beside a transport port makes some collectors overwrite the
/// port of other protocols; the IP versions are apart because some keep one pair of addresses only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// IPv4, any protocol but ICMP.
    Ipv4,
    /// IPv6, any protocol but ICMPv6.
    Ipv6,
    /// ICMP in IPv4.
    IcmpIpv4,
    /// ICMPv6 in IPv6.
    IcmpIpv6,
}

impl Kind {
    /// All kinds, in the order of their templates' ids.
    pub const ALL: [Self; 4] = [Self::Ipv4, Self::Ipv6, Self::IcmpIpv4, Self::IcmpIpv6];

    /// The kind of a record.
    pub fn of(record: &FlowRecord) -> Self {
        match (record.is_ipv6(), matches!(record.protocol(), 1 | 58)) {
            (false, false) => Self::Ipv4,
            (true, false) => Self::Ipv6,
            (false, true) => Self::IcmpIpv4,
            (true, true) => Self::IcmpIpv6,
        }
    }
}

/// The kinds of flow record that carry an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Within {
    /// Every flow record.
    All,
    /// Records of IPv4 packets.
    Ipv4,
    /// Records of IPv6 packets.
    Ipv6,
    /// Records of ICMP in IPv4.
    IcmpIpv4,
    /// Records of ICMPv6 in IPv6.
    IcmpIpv6,
}

impl Within {
    /// Whether a record of this kind carries the element.
    pub const fn holds(self, kind: Kind) -> bool {
        match self {
            Self::All => true,
            Self::Ipv4 => matches!(kind, Kind::Ipv4 | Kind::IcmpIpv4),
            Self::Ipv6 => matches!(kind, Kind::Ipv6 | Kind::IcmpIpv6),
            Self::IcmpIpv4 => matches!(kind, Kind::IcmpIpv4),
            Self::IcmpIpv6 => matches!(kind, Kind::IcmpIpv6),
        }
    }
}
