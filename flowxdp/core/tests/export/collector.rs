//! A strict little collector: reads messages by the RFCs and refuses messages that break them.

use std::collections::HashMap;

/// A data record: the id of its set and, for each field, the element number and the octets.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DataRecord {
    pub(crate) set: u16,
    pub(crate) fields: Vec<(u16, Vec<u8>)>,
}

/// A message that was read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Read {
    pub(crate) version: u64,
    pub(crate) export_secs: u64,
    /// v9: sysUptime.
    pub(crate) uptime: u64,
    pub(crate) sequence: u64,
    pub(crate) domain: u64,
    /// Ids of the templates in it.
    pub(crate) templates: Vec<u16>,
    pub(crate) records: Vec<DataRecord>,
    /// Every octet in order, in parts with depth and name.
    pub(crate) parts: Vec<(usize, Vec<u8>, String)>,
}

/// A collector's state of one exporter and domain.
#[derive(Default)]
pub(crate) struct Collector {
    templates: HashMap<u16, Vec<(u16, usize)>>,
    sequence: u64,
    export_secs: u64,
}

/// The octets that are still to be read.
struct Cursor<'a> {
    rest: &'a [u8],
    parts: &'a mut Vec<(usize, Vec<u8>, String)>,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize, depth: usize, name: &str) -> &'a [u8] {
        assert!(count <= self.rest.len(), "{name}: {count} octets wanted, {} left", self.rest.len());
        let (taken, rest) = self.rest.split_at(count);
        self.rest = rest;
        self.parts.push((depth, taken.to_vec(), name.to_owned()));
        taken
    }

    fn number(&mut self, count: usize, depth: usize, name: &str) -> u64 {
        number(self.take(count, depth, name))
    }
}

/// A number in network byte order.
pub(crate) fn number(octets: &[u8]) -> u64 {
    octets.iter().fold(0, |number, octet| number << 8 | u64::from(*octet))
}

fn name(element: u16) -> &'static str {
    flowxdp_core::elements::registry::get(element).unwrap().name
}

impl Collector {
    /// Reads one message; panics with the reason if it is not as it must be.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Read {
        let mut read = Read::default();
        let mut parts = Vec::new();
        let mut cursor = Cursor { rest: bytes, parts: &mut parts };
        read.version = cursor.number(2, 0, "Version Number");
        let ipfix = match read.version {
            10 => true,
            9 => false,
            other => panic!("version {other}"),
        };
        let length_or_count = cursor.number(2, 0, if ipfix { "Length" } else { "Count" });
        if !ipfix {
            read.uptime = cursor.number(4, 0, "sysUpTime");
        }
        read.export_secs = cursor.number(4, 0, if ipfix { "Export Time" } else { "UNIX Secs" });
        read.sequence = cursor.number(4, 0, "Sequence Number");
        read.domain = cursor.number(4, 0, if ipfix { "Observation Domain ID" } else { "Source ID" });
        assert!(!cursor.rest.is_empty(), "no set at all");
        while !cursor.rest.is_empty() {
            self.set(ipfix, &mut cursor, &mut read);
        }
        read.parts = parts;
        let all = read.templates.len() + read.records.len();
        assert_eq!(length_or_count, if ipfix { bytes.len() as u64 } else { all as u64 });
        assert_eq!(read.sequence, self.sequence, "sequence");
        let counted = if ipfix { read.records.len() as u64 } else { 1 };
        self.sequence = (self.sequence + counted) % (1 << 32);
        assert!(read.export_secs >= self.export_secs, "export time goes back");
        self.export_secs = read.export_secs;
        read
    }

    fn set(&mut self, ipfix: bool, cursor: &mut Cursor<'_>, read: &mut Read) {
        let id = cursor.number(2, 1, "Set ID") as u16;
        let length = cursor.number(2, 1, "Length") as usize;
        assert!(length > 4, "an empty set");
        assert!(length - 4 <= cursor.rest.len(), "a set longer than its message");
        let (body, rest) = cursor.rest.split_at(length - 4);
        let mut set = Cursor { rest: body, parts: cursor.parts };
        if id == if ipfix { 2 } else { 0 } {
            while set.rest.len() > 3 {
                self.template(&mut set, read);
            }
        } else {
            let fields = self.templates.get(&id).unwrap_or_else(|| panic!("no template before set {id}"));
            let octets: usize = fields.iter().map(|(_, length)| length).sum();
            while set.rest.len() >= octets {
                let fields = fields.iter().map(|&(id, length)| {
                    let label = format!("{}{}", if id == fields[0].0 { "* " } else { "  " }, name(id));
                    (id, set.take(length, 2, &label).to_vec())
                });
                let fields = fields.collect();
                read.records.push(DataRecord { set: id, fields });
            }
        }
        if ipfix {
            assert!(set.rest.is_empty(), "{} octets too many in set {id}", set.rest.len());
        } else {
            assert_eq!(length % 4, 0, "a set of {length} octets");
            assert!(set.rest.len() < 4 && set.rest.iter().all(|octet| *octet == 0), "{:?}", set.rest);
            if !set.rest.is_empty() {
                set.take(set.rest.len(), 1, "Padding");
            }
        }
        cursor.rest = rest;
    }

    fn template(&mut self, set: &mut Cursor<'_>, read: &mut Read) {
        let id = set.number(2, 2, "Template ID") as u16;
        let count = set.number(2, 2, "Field Count");
        assert!(id >= 256 && count > 0);
        let fields: Vec<_> = (0..count)
            .map(|_| {
                let element = number(&set.rest[..2]) as u16;
                let specifier = set.take(4, 3, name(element));
                (element, number(&specifier[2..]) as usize)
            })
            .collect();
        if let Some(old) = self.templates.insert(id, fields.clone()) {
            assert_eq!(old, fields, "template {id} changed in place");
        }
        read.templates.push(id);
    }
}
