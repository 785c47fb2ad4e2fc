//! The columns of a record's base row: where each lies, in network byte order.
//!
//! The columns stand in the order of the default IPFIX template, so that fields which are neighbours there
//! are neighbours here and one copy moves them all.

/// Octets of a row that are one value, in network byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Column {
    /// Octets of the row in front of it.
    at: usize,
    /// Its octets.
    length: usize,
}

impl Column {
    /// The column of `length` octets behind this one.
    const fn then(self, length: usize) -> Self {
        Self { at: self.end(), length }
    }

    /// Octets of the row in front of it.
    pub const fn at(self) -> usize {
        self.at
    }

    /// Its octets.
    pub const fn length(self) -> usize {
        self.length
    }

    /// Octets of the row up to its end.
    pub const fn end(self) -> usize {
        self.at + self.length
    }

    /// Its last `length` octets: the same number in a reduced size (RFC 7011 section 6.2).
    pub(crate) const fn low(self, length: usize) -> Self {
        assert!(length <= self.length, "a field is no longer than its column");
        Self { at: self.end() - length, length }
    }
}

/// IPv6 source address; zeros in front of the IPv4 pair.
pub const SOURCE_IPV6: Column = Column { at: 0, length: 16 };
/// IPv6 destination address; its last octets are the IPv4 pair, which so ends in front of the ports as well.
pub const DESTINATION_IPV6: Column = SOURCE_IPV6.then(16);
/// IPv4 destination address.
pub const DESTINATION_IPV4: Column = DESTINATION_IPV6.low(4);
/// IPv4 source address.
pub const SOURCE_IPV4: Column = Column { at: DESTINATION_IPV4.at - 4, length: 4 };
/// Source port; 0 for ICMP.
pub const SOURCE_PORT: Column = DESTINATION_IPV6.then(2);
/// Destination port, or ICMP type × 256 + code.
pub const DESTINATION_PORT: Column = SOURCE_PORT.then(2);
/// ICMP type: the high octet of [`DESTINATION_PORT`].
pub const ICMP_TYPE: Column = SOURCE_PORT.then(1);
/// ICMP code: the low octet of [`DESTINATION_PORT`].
pub const ICMP_CODE: Column = ICMP_TYPE.then(1);
/// IANA protocol number.
pub const PROTOCOL: Column = DESTINATION_PORT.then(1);
/// Type of service or traffic class.
pub const TOS: Column = PROTOCOL.then(1);
/// Outer VLAN identifier, 0 for none.
pub const VLAN: Column = TOS.then(2);
/// ifIndex of the ingress interface.
pub const INGRESS: Column = VLAN.then(4);
/// Packets.
pub const PACKETS: Column = INGRESS.then(8);
/// IP octets.
pub const OCTETS: Column = PACKETS.then(8);
/// First packet, milliseconds since 1970.
pub const START_MS: Column = OCTETS.then(8);
/// Last packet, milliseconds since 1970.
pub const END_MS: Column = START_MS.then(8);
/// OR of the TCP flags, 12 bits.
pub const TCP_FLAGS: Column = END_MS.then(2);
/// Smallest TTL or hop limit.
pub const TTL_MIN: Column = TCP_FLAGS.then(1);
/// Largest TTL or hop limit.
pub const TTL_MAX: Column = TTL_MIN.then(1);
/// Smallest IP length, octets, at most 65,535.
pub const LENGTH_MIN: Column = TTL_MAX.then(2);
/// Largest IP length, octets, at most 65,535.
pub const LENGTH_MAX: Column = LENGTH_MIN.then(2);
/// flowEndReason (IANA 136).
pub const END_REASON: Column = LENGTH_MAX.then(1);
/// IP version: 4 or 6.
pub const VERSION: Column = END_REASON.then(1);
/// flowDirection (IANA 61): 0 for ingress.
pub const DIRECTION: Column = VERSION.then(1);

/// Octets of a row.
pub const ROW: usize = DIRECTION.end();

/// A base row.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Row([u8; ROW]);

impl Row {
    /// A row of zeros.
    pub(super) const ZERO: Self = Self([0; ROW]);

    /// The octets.
    #[inline]
    pub(super) const fn octets(&self) -> &[u8; ROW] {
        &self.0
    }

    /// Writes a column of `N` octets.
    #[inline]
    pub(super) fn set<const N: usize>(&mut self, column: Column, value: [u8; N]) {
        self.0[column.at..column.at + N].copy_from_slice(&value);
    }

    /// A column of `N` octets.
    #[inline]
    pub(super) fn get<const N: usize>(&self, column: Column) -> [u8; N] {
        let mut value = [0; N];
        value.copy_from_slice(&self.0[column.at..column.at + N]);
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ipv4_pair_ends_where_the_ports_begin() {
        assert_eq!(SOURCE_IPV4.end(), DESTINATION_IPV4.at());
        assert_eq!((DESTINATION_IPV4.end(), DESTINATION_IPV6.end()), (SOURCE_PORT.at(), SOURCE_PORT.at()));
        assert_eq!(ICMP_CODE.end(), DESTINATION_PORT.end());
    }
}
