//! Where the facts of a flow record are in data records, and how they get there.
//!
//! Every abstract data type that we export is its value in network byte order (RFC 7011 section 6.1),
//! and a reduced-size encoding is its low octets (section 6.2). So a data record is a list of places: this
//! fact, so many octets of it, there. The places of every template are worked out from the element table
//! when the agent is compiled, and [`write`] becomes one run of stores for each template.

use super::{Fact, uptime};
use crate::record::{Addresses, FlowRecord};

/// Where a fact lies in a data record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Octets before it.
    pub(crate) start: usize,
    /// Its octets; 0 where the data record does not have it.
    pub(crate) length: usize,
}

/// How often a data record can have the same fact: a transport port is the type and code of ICMP too.
const TWICE: usize = 2;

/// Where each fact lies in a data record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places([[Place; TWICE]; Fact::COUNT]);

impl Places {
    /// A data record without facts.
    pub(crate) const NONE: Self = Self([[Place { start: 0, length: 0 }; TWICE]; Fact::COUNT]);

    /// The same, and `fact` in the `length` octets behind `start`.
    pub(crate) const fn with(mut self, fact: Fact, start: usize, length: usize) -> Self {
        assert!(length > 0 && length <= fact.length());
        let places = &mut self.0[fact as usize];
        let nth = if places[0].length == 0 { 0 } else { 1 };
        assert!(places[nth].length == 0);
        places[nth] = Place { start, length };
        self
    }

    /// The first or second place of a fact.
    pub(crate) const fn get(&self, fact: Fact, nth: usize) -> Place {
        self.0[fact as usize][nth]
    }
}

/// What the data records of one template look like.
pub(crate) trait Shape {
    /// Octets of one.
    const LENGTH: usize;
    /// Where its facts are.
    const PLACES: Places;
}

/// Stores the low octets of a value wherever a shape has the fact.
macro_rules! put {
    ($shape:ident, $octets:ident, $fact:ident, $value:expr) => {
        let value = $value;
        let first = const { $shape::PLACES.get(Fact::$fact, 0) };
        if first.length > 0 {
            $octets[first.start..first.start + first.length]
                .copy_from_slice(&value[value.len() - first.length..]);
        }
        let second = const { $shape::PLACES.get(Fact::$fact, 1) };
        if second.length > 0 {
            $octets[second.start..second.start + second.length]
                .copy_from_slice(&value[value.len() - second.length..]);
        }
    };
}

/// Writes one data record into the first octets of `octets`, which has [`Shape::LENGTH`] of them or more.
/// Octets that no fact has stay as they are.
///
/// `system_start_ms`, milliseconds since 1970, is the zero of the two uptimes. An ifIndex that its field
/// cannot hold is 0, unknown: half of a number would be another interface.
#[inline(always)]
pub(crate) fn write<S: Shape>(record: &FlowRecord, system_start_ms: u64, octets: &mut [u8]) {
    let octets = &mut octets[..S::LENGTH];
    let key = &record.key;
    match key.addresses {
        Addresses::V4 { source, destination } => {
            put!(S, octets, SourceIpv4, source);
            put!(S, octets, DestinationIpv4, destination);
        }
        Addresses::V6 { source, destination } => {
            put!(S, octets, SourceIpv6, source);
            put!(S, octets, DestinationIpv6, destination);
        }
    }
    let [icmp_type, icmp_code] = key.destination_port.to_be_bytes();
    let short = const { S::PLACES.get(Fact::Ingress, 0).length == 2 };
    let ingress = if short && key.ingress > 0xffff { 0 } else { key.ingress };
    put!(S, octets, SourcePort, key.source_port.to_be_bytes());
    put!(S, octets, DestinationPort, [icmp_type, icmp_code]);
    put!(S, octets, IcmpType, [icmp_type]);
    put!(S, octets, IcmpCode, [icmp_code]);
    put!(S, octets, Protocol, [key.protocol]);
    put!(S, octets, Tos, [key.tos]);
    put!(S, octets, Vlan, key.vlan.to_be_bytes());
    put!(S, octets, Ingress, ingress.to_be_bytes());
    put!(S, octets, Packets, record.packets.to_be_bytes());
    put!(S, octets, Octets, record.octets.to_be_bytes());
    put!(S, octets, StartMs, record.start_ms.to_be_bytes());
    put!(S, octets, EndMs, record.end_ms.to_be_bytes());
    put!(S, octets, TcpFlags, record.tcp_flags.to_be_bytes());
    put!(S, octets, TtlMin, [record.ttl_min]);
    put!(S, octets, TtlMax, [record.ttl_max]);
    put!(S, octets, LengthMin, record.length_min.to_be_bytes());
    put!(S, octets, LengthMax, record.length_max.to_be_bytes());
    put!(S, octets, EndReason, [record.end_reason.number()]);
    put!(S, octets, StartUptime, uptime(record.start_ms, system_start_ms).to_be_bytes());
    put!(S, octets, EndUptime, uptime(record.end_ms, system_start_ms).to_be_bytes());
    put!(S, octets, SourcePrefix, [0]);
    put!(S, octets, DestinationPrefix, [key.addresses.destination_prefix()]);
    // Each packet in an aggregate would have been a record of its own.
    put!(S, octets, Flows, record.packets.to_be_bytes());
}
