//! Export messages made by hand, right ones and wrong ones, with which the judges themselves are tested.
//!
//! The builder writes any octets and checks none, and shares no code with FlowXDP's encoders.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use anyhow::Result;

use crate::flows::{Flows, Key, Sums, Tuple};
use crate::pcap::{self, Datagram, Recording, Writer};

/// Export time of all messages.
pub const TIME: u32 = 1_700_000_000;
/// The template of [`flow`].
pub const TEMPLATE: u16 = 256;
/// Uptime in the header of NetFlow v9, milliseconds.
pub const UPTIME: u32 = 3_600_000;

/// The fields of [`flow`]: addresses, ports, protocol, ToS, VLAN, flags, packets, octets, times, TTL, reason.
const FIELDS: [(u16, u16); 15] = [
    (8, 4),
    (12, 4),
    (7, 2),
    (11, 2),
    (4, 1),
    (5, 1),
    (58, 2),
    (6, 1),
    (2, 8),
    (1, 8),
    (152, 8),
    (153, 8),
    (52, 1),
    (53, 1),
    (136, 1),
];

/// One message: a version and sets, each as it shall be sent.
#[derive(Clone, Debug)]
pub struct Message {
    /// 9 or 10.
    pub version: u16,
    /// Export time.
    pub time: u32,
    /// Sequence number.
    pub sequence: u32,
    /// Observation domain or source id.
    pub domain: u32,
    /// Records, for the count of NetFlow v9.
    pub count: u16,
    /// Octets that are added to the true length of IPFIX.
    pub length_error: u16,
    /// The sets.
    pub sets: Vec<u8>,
}

impl Message {
    /// A message without sets.
    pub const fn new(version: u16, sequence: u32) -> Self {
        Self { version, time: TIME, sequence, domain: 1, count: 0, length_error: 0, sets: Vec::new() }
    }

    /// Adds a set with its right length.
    pub fn set(self, id: u16, body: &[u8]) -> Self {
        let length = u16::try_from(body.len() + 4).unwrap_or(u16::MAX);
        self.set_of_length(id, length, body)
    }

    /// Adds a set whose header says this length.
    pub fn set_of_length(mut self, id: u16, length: u16, body: &[u8]) -> Self {
        self.sets.extend(id.to_be_bytes());
        self.sets.extend(length.to_be_bytes());
        self.sets.extend(body);
        self
    }

    /// Adds the set with the template of [`flow`].
    pub fn template(mut self) -> Self {
        self.count += 1;
        let id = if self.version == 9 { 0 } else { 2 };
        self.set(id, &template(TEMPLATE, &FIELDS))
    }

    /// Adds a set of flows, padded as the protocol wants it.
    pub fn flows(mut self, numbers: std::ops::Range<u32>) -> Self {
        let mut body: Vec<u8> = Vec::new();
        for number in numbers {
            body.extend(flow(number));
            self.count += 1;
        }
        if self.version == 9 {
            body.resize(body.len().next_multiple_of(4), 0);
        }
        self.set(TEMPLATE, &body)
    }

    /// The octets.
    pub fn build(&self) -> Vec<u8> {
        let mut message = self.version.to_be_bytes().to_vec();
        if self.version == 9 {
            message.extend(self.count.to_be_bytes());
            message.extend(UPTIME.to_be_bytes());
        } else {
            let length = u16::try_from(self.sets.len() + 16).unwrap_or(u16::MAX);
            message.extend(length.wrapping_add(self.length_error).to_be_bytes());
        }
        for word in [self.time, self.sequence, self.domain] {
            message.extend(word.to_be_bytes());
        }
        message.extend(&self.sets);
        message
    }
}

/// A template record.
pub fn template(id: u16, fields: &[(u16, u16)]) -> Vec<u8> {
    let count = u16::try_from(fields.len()).unwrap_or(u16::MAX);
    let mut record = [id.to_be_bytes(), count.to_be_bytes()].concat();
    for (element, length) in fields {
        record.extend(element.to_be_bytes());
        record.extend(length.to_be_bytes());
    }
    record
}

/// The key and the counts of the flow of a number: UDP from 10.0.0.0 + number.
pub fn truth(number: u32) -> (Key, Sums) {
    let tuple = Tuple {
        src: IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + number)),
        dst: Ipv4Addr::new(192, 0, 2, 1).into(),
        proto: 17,
        sport: 1_024,
        dport: 53,
    };
    let at = u64::from(TIME) * 1_000 - 5_000 + u64::from(number);
    let sums = Sums {
        packets: u64::from(number) + 1,
        octets: 100 * (u64::from(number) + 1),
        flags: Some(0),
        first_ms: Some(at),
        last_ms: Some(at + 7),
        min_ttl: Some(63),
        max_ttl: Some(64),
    };
    (Key { tuple, vlan: Some(5), tos: Some(0x28) }, sums)
}

/// The rows of some flows.
pub fn truths(numbers: std::ops::Range<u32>) -> Flows {
    let mut flows = Flows::default();
    for (key, sums) in numbers.map(truth) {
        flows.add(Key { vlan: None, tos: None, ..key }, &sums);
    }
    flows
}

/// The record of the flow of a number.
pub fn flow(number: u32) -> Vec<u8> {
    let (_, sums) = truth(number);
    let mut record = (0x0a00_0000 + number).to_be_bytes().to_vec();
    record.extend([192, 0, 2, 1, 4, 0, 0, 53, 17, 0x28, 0, 5, 0]);
    for value in [sums.packets, sums.octets, sums.first_ms.unwrap_or(0), sums.last_ms.unwrap_or(0)] {
        record.extend(value.to_be_bytes());
    }
    record.extend([63, 64, 1]);
    record
}

/// Two messages of a version that nothing is wrong with: flows 0 to 4, then 5 to 8.
pub fn right(version: u16) -> [Message; 2] {
    let second = if version == 9 { 1 } else { 5 };
    [Message::new(version, 0).template().flows(0..5), Message::new(version, second).flows(5..9)]
}

/// Messages as datagrams from one exporter to a port of the loopback.
pub fn recording(messages: &[Message], port: u16) -> Recording {
    let (from, to) =
        (SocketAddr::from((Ipv4Addr::LOCALHOST, 40_000)), SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let datagrams = messages.iter().map(|message| Datagram { from, to, payload: message.build() });
    Recording { datagrams: datagrams.collect(), fragments: 0 }
}

/// Writes a recording as a pcap file.
pub fn write(recording: &Recording, path: &Path) -> Result<()> {
    let mut writer = Writer::create(path)?;
    for (number, datagram) in (0..).zip(&recording.datagrams) {
        writer.frame(u64::from(TIME) * 1_000_000 + number, &pcap::frame(datagram)?)?;
    }
    writer.finish()
}
