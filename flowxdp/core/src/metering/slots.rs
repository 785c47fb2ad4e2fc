//! From the bytes of a slot, or of an overflow event, to the counters of a flow.

use std::hash::{BuildHasher, Hash};

use bytemuck::Pod;
use flowxdp_common::{
    field::{self, ColdRow, Groups},
    key::{FLOW, KeyTail, KeyV4, KeyV6, SpillKey},
    overflow::Event,
    slot::{LIVE, SlotV4, SlotV6, SpillSlot},
    slot_counters, table, tunnel,
};

use crate::{
    metering::aggregate,
    record::{Addresses, EndReason, FlowKey},
};

/// TCP FIN and RST: either ends a flow.
pub const FIN_OR_RST: u16 = 0x01 | 0x04;

/// Joins two values of a counter by a name of [`field::Join`].
macro_rules! join {
    (Sum, $one:expr, $other:expr) => {
        $one + $other
    };
    (Min, $one:expr, $other:expr) => {
        $one.min($other)
    };
    (Max, $one:expr, $other:expr) => {
        $one.max($other)
    };
    (Or, $one:expr, $other:expr) => {
        $one | $other
    };
}

/// The counters and their joins.
macro_rules! flow_counters {
    ({} $($(#[$about:meta])* $field:ident: $type:ty, $join:ident;)+) => {
        /// The counters of a flow in one slot or in the spill table; times on the table's clock.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct FlowCounters {
            /// The flow's key.
            pub key: FlowKey,
            $($(#[$about])* pub $field: $type,)+
        }

        impl FlowCounters {
            /// Joins the counters of another slot of the same flow.
            pub fn absorb(&mut self, other: &Self) {
                *self = Self { $($field: join!($join, self.$field, other.$field),)+ ..*self };
            }
        }

        /// A spill slot with one packet more.
        pub(crate) fn with_packet(slot: &SpillSlot, packet: &SpillSlot) -> SpillSlot {
            SpillSlot { $($field: join!($join, slot.$field, packet.$field),)+ ..*slot }
        }
    };
}

slot_counters!(flow_counters! {});

/// A flow as one slot has it: its counters, and the octets of its cold slot in network byte order.
#[derive(Clone, Copy, Debug)]
pub struct SlotFlow<'a> {
    /// The counters.
    pub counters: &'a FlowCounters,
    /// The cold fields as [`flowxdp_common::field`] lays them out; empty where no group has any.
    pub cold: &'a [u8],
}

impl std::ops::Deref for SlotFlow<'_> {
    type Target = FlowCounters;

    fn deref(&self) -> &FlowCounters {
        self.counters
    }
}

impl SlotFlow<'_> {
    /// The part of the flow's key that is in its cold slot, which is laid out for `groups`.
    pub fn segment(&self, groups: Groups) -> u32 {
        segment(self.key.vlan, groups, self.cold)
    }
}

/// The segment of the tunnel that a flow with this VLAN word was in; 0 for a flow in none.
pub(crate) fn segment(vlan: u16, groups: Groups, cold: &[u8]) -> u32 {
    if tunnel::kind(vlan) == tunnel::NONE { 0 } else { field::segment(groups, cold) }
}

/// The hash of a key, and of a segment where there is one.
pub(crate) fn hash(hasher: &impl BuildHasher, key: impl Hash, segment: u32) -> u64 {
    if segment == 0 { hasher.hash_one(key) } else { hasher.hash_one((key, segment)) }
}

/// Counters without cold fields.
impl<'a> From<&'a FlowCounters> for SlotFlow<'a> {
    fn from(counters: &'a FlowCounters) -> Self {
        Self { counters, cold: &[] }
    }
}

/// A slot of either IP version.
pub trait Slot: Pod {
    /// The slot's state.
    fn state(&self) -> u32;
    /// Packets and octets.
    fn sums(&self) -> (u64, u64);
    /// The flow in it.
    fn counters(&self) -> FlowCounters;
    /// Why its record ends, if it retires for `reason`.
    fn reason(&self, reason: EndReason) -> EndReason;
}

fn key(addresses: Addresses, rest: &KeyTail) -> FlowKey {
    FlowKey {
        addresses,
        source_port: rest.source_port(),
        destination_port: rest.destination_port(),
        protocol: rest.protocol,
        tos: rest.tos,
        vlan: rest.vlan,
        ingress: rest.ingress,
    }
}

fn v4(addresses: [u8; 8]) -> Addresses {
    let [a, b, c, d, e, f, g, h] = addresses;
    Addresses::V4 { source: [a, b, c, d], destination: [e, f, g, h] }
}

fn v6(addresses: &[u8; 32]) -> Addresses {
    let (mut source, mut destination) = ([0; 16], [0; 16]);
    let (left, right) = addresses.split_at(16);
    source.copy_from_slice(left);
    destination.copy_from_slice(right);
    Addresses::V6 { source, destination }
}

/// The key of an IPv4 flow.
pub fn key_v4(words: &KeyV4) -> FlowKey {
    key(v4(words.addresses), &words.rest)
}

/// The key of an IPv6 flow.
pub fn key_v6(words: &KeyV6) -> FlowKey {
    key(v6(&words.addresses), &words.rest)
}

/// The key of a flow in the spill table; an address of no IP version reads as IPv6.
pub fn flow_key(words: &SpillKey) -> FlowKey {
    let [a, b, c, d, e, f, g, h, ..] = words.addresses;
    let addresses = if words.version == 4 { v4([a, b, c, d, e, f, g, h]) } else { v6(&words.addresses) };
    key(addresses, &words.rest)
}

/// The key of the spill table for a flow.
pub fn spill_key(key: &FlowKey) -> SpillKey {
    let mut addresses = [0; 32];
    let (source, destination, version): (&[u8], &[u8], u8) = match &key.addresses {
        Addresses::V4 { source, destination } => (source, destination, 4),
        Addresses::V6 { source, destination } => (source, destination, 6),
    };
    let octets = source.iter().chain(destination);
    addresses.iter_mut().zip(octets).for_each(|(place, octet)| *place = *octet);
    let [a, b] = key.source_port.to_be_bytes();
    let [c, d] = key.destination_port.to_be_bytes();
    let FlowKey { protocol, tos, vlan, ingress, .. } = *key;
    SpillKey {
        addresses,
        rest: KeyTail { ports: [a, b, c, d], protocol, tos, vlan, ingress },
        version,
        level: FLOW,
        pad: [0; 2],
    }
}

/// The kinds of slot differ in their key alone.
macro_rules! slot {
    (
        { $slot:ty, $key:ident, $reason:expr }
        $($(#[$about:meta])* $field:ident: $type:ty, $join:ident;)+
    ) => {
        impl Slot for $slot {
            fn reason(&self, reason: EndReason) -> EndReason {
                $reason(&self.key, reason)
            }

            fn state(&self) -> u32 {
                self.state
            }

            fn sums(&self) -> (u64, u64) {
                (self.packets, self.octets)
            }

            fn counters(&self) -> FlowCounters {
                FlowCounters { key: $key(&self.key), $($field: self.$field,)+ }
            }
        }
    };
}

slot_counters!(slot! { SlotV4, key_v4, |_, reason| reason });
slot_counters!(slot! { SlotV6, key_v6, |_, reason| reason });
slot_counters!(slot! { SpillSlot, flow_key, aggregate::reason });

/// The packet of an event's octets, with its cold facts in the layout of `groups`; `None` for octets that are
/// no event of this layout.
pub fn event_octets(octets: &[u8], groups: Groups) -> Option<(SpillSlot, ColdRow)> {
    let (hot, cold) = octets.split_at_checked(size_of::<Event>())?;
    let hot: Event = bytemuck::try_pod_read_unaligned(hot).ok()?;
    let there = Groups::from_bits(hot.groups.into());
    let packet = (cold.len() == field::width(there)).then(|| event(&hot)).flatten()?;
    Some((packet, field::convert(&table::cold(there), cold, groups)))
}

/// The packets of an overflow event, as a slot of their own, with their mean length; `None` for an event of no IP version.
pub fn event(event: &Event) -> Option<SpillSlot> {
    let packets = u32::from(event.further) + 1;
    let length = u16::try_from(event.octets / packets).unwrap_or(u16::MAX);
    let Event { addresses, rest, version, .. } = *event;
    matches!(version, 4 | 6).then(|| SpillSlot {
        key: SpillKey { addresses, rest, version, level: FLOW, pad: [0; 2] },
        packets: packets.into(),
        octets: u64::from(event.octets),
        first: event.time,
        last: event.time,
        length_min: length,
        length_max: length,
        state: LIVE,
        tcp_flags: event.tcp_flags,
        ttl_min: event.ttl,
        ttl_max: event.ttl,
        ..SpillSlot::default()
    })
}
