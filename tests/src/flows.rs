//! Flow records as judges read them, and the sums that tests compare.
//!
//! A judge gives [`Record`]s. Several records of one key are one row of [`Flows`]: packets and octets added
//! up, flags or-ed, the earliest start, the latest end. Truth and export are compared row by row.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

/// Five-tuple; for ICMP the destination port is type × 256 + code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tuple {
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// IANA protocol number.
    pub proto: u8,
    /// Source port.
    pub sport: u16,
    /// Destination port.
    pub dport: u16,
}

/// A five-tuple with the other values that split flows; none where a judge cannot know them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The five-tuple.
    pub tuple: Tuple,
    /// Outer VLAN identifier.
    pub vlan: Option<u16>,
    /// Type of service or traffic class.
    pub tos: Option<u8>,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tuple { src, dst, proto, sport, dport } = self.tuple;
        write!(f, "proto {proto} {src} {sport} -> {dst} {dport}")?;
        if let Some(vlan) = self.vlan {
            write!(f, " vlan {vlan}")?;
        }
        if let Some(tos) = self.tos {
            write!(f, " tos {tos:#04x}")?;
        }
        Ok(())
    }
}

/// Sums of a flow; none where a judge cannot know one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Packets.
    pub packets: u64,
    /// IP octets.
    pub octets: u64,
    /// Low eight TCP flag bits, or-ed.
    pub flags: Option<u8>,
    /// Start, milliseconds since 1970.
    pub first_ms: Option<u64>,
    /// End, milliseconds since 1970.
    pub last_ms: Option<u64>,
    /// Smallest TTL or hop limit.
    pub min_ttl: Option<u8>,
    /// Largest TTL or hop limit.
    pub max_ttl: Option<u8>,
}

impl Sums {
    fn add(&mut self, other: &Self) {
        self.packets += other.packets;
        self.octets += other.octets;
        self.flags = both(self.flags, other.flags, |a, b| a | b);
        self.first_ms = both(self.first_ms, other.first_ms, u64::min);
        self.last_ms = both(self.last_ms, other.last_ms, u64::max);
        self.min_ttl = both(self.min_ttl, other.min_ttl, u8::min);
        self.max_ttl = both(self.max_ttl, other.max_ttl, u8::max);
    }
}

/// A value that only one side knows is that side's.
fn both<T>(a: Option<T>, b: Option<T>, join: impl Fn(T, T) -> T) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(join(a, b)),
        (a, b) => a.or(b),
    }
}

/// One record, as one judge read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its key.
    pub key: Key,
    /// Its counts.
    pub sums: Sums,
    /// flowEndReason, where the judge shows it.
    pub end_reason: Option<u8>,
    /// ingressInterface, where the judge shows it.
    pub ingress: Option<u32>,
    /// Export time of its message in whole seconds, where the judge shows it.
    pub exported_s: Option<u64>,
}

/// Rows by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flows {
    rows: BTreeMap<Key, Sums>,
}

impl Flows {
    /// Sums records by five-tuple.
    pub fn by_tuple<'a>(records: impl IntoIterator<Item = &'a Record>) -> Self {
        let mut flows = Self::default();
        for Record { key, sums, .. } in records {
            flows.add(Key { vlan: None, tos: None, ..*key }, sums);
        }
        flows
    }

    /// Sums records by five-tuple, VLAN and type of service.
    pub fn by_vlan<'a>(records: impl IntoIterator<Item = &'a Record>) -> Self {
        let mut flows = Self::default();
        for Record { key, sums, .. } in records {
            flows.add(*key, sums);
        }
        flows
    }

    /// Adds counts to the row of a key.
    pub fn add(&mut self, key: Key, sums: &Sums) {
        self.rows.entry(key).and_modify(|row| row.add(sums)).or_insert(*sums);
    }

    /// Adds all rows of another table.
    pub fn merge(&mut self, other: &Self) {
        for (key, sums) in &other.rows {
            self.add(*key, sums);
        }
    }

    /// The rows in order of their keys.
    pub fn rows(&self) -> impl Iterator<Item = (&Key, &Sums)> {
        self.rows.iter()
    }

    /// The number of keys.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Packets and octets of all rows.
    pub fn totals(&self) -> (u64, u64) {
        self.rows.values().fold((0, 0), |(p, o), row| (p + row.packets, o + row.octets))
    }

    /// The same rows without values that some judge cannot know, so that they can be compared with its rows.
    pub fn map(&self, change: impl Fn(&mut Sums)) -> Self {
        let mut flows = self.clone();
        flows.rows.values_mut().for_each(change);
        flows
    }
}
