//! Flows that there is no room to keep apart become one: aggregation as RFC 7015 has it.
//!
//! An aggregate has all flows to one destination address and port that came in on one interface; where there
//! is no room for more of those, all of one protocol; and where there is none for that, all of an IP version.
//! Source, type of service and VLAN are zero. Each packet of an aggregate counts as one flow, since its flow
//! would have been a record of its own.

use flowxdp_common::key::{BY_DESTINATION, BY_PROTOCOL, BY_VERSION, FLOW, KeyTail, SpillKey};

use crate::record::EndReason;

/// Levels of [`SpillKey::level`].
pub(crate) const LEVELS: usize = 4;

/// IP versions: each has one live aggregate of the last level at most.
pub(crate) const VERSIONS: [u8; 2] = [4, 6];

/// IANA's reserved protocol number: no packet's.
const ANY_PROTOCOL: u8 = 255;

/// Slots of each level in a table of so many: an eighth for the aggregates.
///
/// Of the last level one for each of [`VERSIONS`] is live, and others may wait to be exported.
pub(crate) const fn room(slots: usize) -> [usize; LEVELS] {
    let (by_protocol, by_version) = (slots.div_ceil(16), slots.div_ceil(32));
    let by_destination = slots / 32;
    [slots - by_destination - by_protocol - by_version, by_destination, by_protocol, by_version]
}

/// Slots that only flows which go on may take, of so many for flows.
pub(crate) const fn reserve(flows: usize) -> usize {
    flows / 8
}

/// The level of a key as an index.
pub(crate) fn level(key: &SpillKey) -> usize {
    usize::from(key.level.min(BY_VERSION))
}

/// The keys under which a packet can be counted, the finest first.
pub(crate) fn keys(key: &SpillKey) -> impl Iterator<Item = SpillKey> {
    let flow = *key;
    [FLOW, BY_DESTINATION, BY_PROTOCOL, BY_VERSION].into_iter().filter_map(move |level| match level {
        FLOW => Some(flow),
        BY_DESTINATION => by_destination(&flow),
        BY_PROTOCOL => Some(by_protocol(&flow)),
        _ => Some(by_version(flow.version)),
    })
}

/// None for the unspecified address: without a destination an aggregate is of all of them.
fn by_destination(flow: &SpillKey) -> Option<SpillKey> {
    let length = if flow.version == 4 { 4 } else { 16 };
    let mut addresses = [0; 32];
    let destination = flow.addresses.get(length..2 * length)?;
    addresses.get_mut(length..2 * length)?.copy_from_slice(destination);
    let [.., high, low] = flow.rest.ports;
    let rest = KeyTail { ports: [0, 0, high, low], tos: 0, vlan: 0, ..flow.rest };
    let aggregate = SpillKey { addresses, rest, level: BY_DESTINATION, ..*flow };
    (addresses != [0; 32]).then_some(aggregate)
}

fn by_protocol(flow: &SpillKey) -> SpillKey {
    let rest = KeyTail { ports: [0; 4], tos: 0, vlan: 0, ..flow.rest };
    SpillKey { addresses: [0; 32], rest, level: BY_PROTOCOL, ..*flow }
}

/// The key of all flows of an IP version.
pub(crate) fn by_version(version: u8) -> SpillKey {
    let rest = KeyTail { protocol: ANY_PROTOCOL, ..KeyTail::default() };
    SpillKey { rest, version, level: BY_VERSION, ..SpillKey::default() }
}

/// Why a record ended; aggregates have an end reason of their own.
pub fn reason(key: &SpillKey, reason: EndReason) -> EndReason {
    if key.level == FLOW { reason } else { EndReason::Aggregated }
}
