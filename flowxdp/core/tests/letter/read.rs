//! A reader of IPFIX and NetFlow v9 with options, variable lengths and withdrawals, as a collector is.

use std::collections::HashMap;

/// The length that stands for "in front of the value".
pub(crate) const VARIABLE: u16 = 65_535;

/// A field specifier: element, enterprise if any, length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Specifier {
    pub(crate) id: u16,
    pub(crate) enterprise: Option<u32>,
    pub(crate) length: u16,
}

/// A template as it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    pub(crate) id: u16,
    /// How many of the fields are scopes; `None` for a template of flow records.
    pub(crate) scopes: Option<usize>,
    pub(crate) fields: Vec<Specifier>,
}

/// A data record: element and octets of each field, in order.
pub(crate) type Data = Vec<(u16, Vec<u8>)>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    Template(Template),
    /// A template record without fields.
    Withdrawal(u16),
    Data(Data),
}

#[derive(Clone, Debug)]
pub(crate) struct Set {
    pub(crate) id: u16,
    /// As the header says.
    pub(crate) length: usize,
    pub(crate) records: Vec<Record>,
    pub(crate) padding: Vec<u8>,
}

#[derive(Clone, Debug)]
pub(crate) struct Read {
    pub(crate) version: u16,
    /// IPFIX: octets; v9: records.
    pub(crate) length_or_count: u16,
    /// v9 alone.
    pub(crate) uptime: u32,
    pub(crate) time: u32,
    pub(crate) sequence: u32,
    pub(crate) domain: u32,
    pub(crate) sets: Vec<Set>,
}

impl Read {
    pub(crate) fn records(&self) -> impl Iterator<Item = &Record> {
        self.sets.iter().flat_map(|set| &set.records)
    }

    pub(crate) fn templates(&self) -> impl Iterator<Item = &Template> {
        self.records().filter_map(|record| match record {
            Record::Template(template) => Some(template),
            _ => None,
        })
    }

    /// Data records with the id of their set.
    pub(crate) fn data(&self) -> impl Iterator<Item = (u16, &Data)> {
        let records = self.sets.iter().flat_map(|set| set.records.iter().map(move |record| (set.id, record)));
        records.filter_map(|(id, record)| match record {
            Record::Data(data) => Some((id, data)),
            _ => None,
        })
    }

    pub(crate) fn withdrawals(&self) -> Vec<u16> {
        let ids = self.records().filter_map(|record| match record {
            Record::Withdrawal(id) => Some(*id),
            _ => None,
        });
        ids.collect()
    }
}

/// A number in network byte order.
pub(crate) fn number(octets: &[u8]) -> u64 {
    octets.iter().fold(0, |number, octet| number << 8 | u64::from(*octet))
}

/// The values of an element in a data record.
pub(crate) fn values(data: &Data, id: u16) -> Vec<u64> {
    data.iter().filter(|(element, _)| *element == id).map(|(_, octets)| number(octets)).collect()
}

/// Takes octets off the front.
fn take<'a>(rest: &mut &'a [u8], count: usize) -> &'a [u8] {
    assert!(count <= rest.len(), "{count} octets wanted, {} left", rest.len());
    let (taken, left) = rest.split_at(count);
    *rest = left;
    taken
}

fn short(rest: &mut &[u8]) -> u16 {
    number(take(rest, 2)) as u16
}

fn word(rest: &mut &[u8]) -> u32 {
    number(take(rest, 4)) as u32
}

/// A collector's state of one transport session.
#[derive(Default)]
pub(crate) struct Collector {
    pub(crate) templates: HashMap<(u32, u16), Template>,
}

impl Collector {
    /// Reads several messages of one session.
    pub(crate) fn all<'a>(
        messages: impl IntoIterator<Item = &'a flowxdp_core::exporting::session::Message>,
    ) -> Vec<Read> {
        let mut collector = Self::default();
        messages.into_iter().map(|message| collector.read(&message.bytes)).collect()
    }

    /// Reads one message; panics when its structure does not hold.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Read {
        let rest = &mut &*bytes;
        let version = short(rest);
        let ipfix = match version {
            10 => true,
            9 => false,
            other => panic!("version {other}"),
        };
        let length_or_count = short(rest);
        let uptime = if ipfix { 0 } else { word(rest) };
        let (time, sequence, domain) = (word(rest), word(rest), word(rest));
        let mut sets = Vec::new();
        while !rest.is_empty() {
            let (id, length) = (short(rest), usize::from(short(rest)));
            let body = take(rest, length - 4);
            sets.push(self.set(ipfix, domain, id, length, body));
        }
        Read { version, length_or_count, uptime, time, sequence, domain, sets }
    }

    fn set(&mut self, ipfix: bool, domain: u32, id: u16, length: usize, body: &[u8]) -> Set {
        let (plain, options) = if ipfix { (2, 3) } else { (0, 1) };
        let rest = &mut &*body;
        let mut records = Vec::new();
        if id == plain || id == options {
            while rest.len() >= 4 {
                let record = template(rest, ipfix, id == options);
                match &record {
                    Record::Template(template) => {
                        let old = self.templates.insert((domain, template.id), template.clone());
                        assert!(old.is_none_or(|old| old == *template), "template {} changed", template.id);
                    }
                    Record::Withdrawal(id) => {
                        let old = self.templates.remove(&(domain, *id));
                        assert!(old.is_some(), "template {id} was never told");
                    }
                    Record::Data(_) => {}
                }
                records.push(record);
            }
        } else {
            let template =
                self.templates.get(&(domain, id)).unwrap_or_else(|| panic!("no template before set {id}"));
            let shortest =
                |field: &Specifier| if field.length == VARIABLE { 1 } else { usize::from(field.length) };
            let shortest: usize = template.fields.iter().map(shortest).sum();
            while rest.len() >= shortest {
                records.push(Record::Data(template.fields.iter().map(|field| value(rest, field)).collect()));
            }
        }
        Set { id, length, records, padding: rest.to_vec() }
    }
}

fn template(rest: &mut &[u8], ipfix: bool, options: bool) -> Record {
    let (id, first) = (short(rest), short(rest));
    if ipfix && first == 0 {
        return Record::Withdrawal(id);
    }
    let (count, scopes) = match (options, ipfix) {
        (false, _) => (first, None),
        (true, true) => (first, Some(usize::from(short(rest)))),
        // NetFlow v9 gives the octets of scopes and of the others.
        (true, false) => {
            let others = short(rest);
            assert_eq!((first % 4, others % 4), (0, 0));
            ((first + others) / 4, Some(usize::from(first / 4)))
        }
    };
    let fields = (0..count).map(|_| {
        let (id, length) = (short(rest), short(rest));
        let enterprise = (ipfix && id & 0x8000 != 0).then(|| word(rest));
        Specifier { id: if enterprise.is_some() { id & 0x7fff } else { id }, enterprise, length }
    });
    Record::Template(Template { id, scopes, fields: fields.collect() })
}

fn value(rest: &mut &[u8], field: &Specifier) -> (u16, Vec<u8>) {
    let length = match field.length {
        VARIABLE => match take(rest, 1) {
            [255] => usize::from(short(rest)),
            octet => usize::from(octet[0]),
        },
        length => usize::from(length),
    };
    (field.id, take(rest, length).to_vec())
}
