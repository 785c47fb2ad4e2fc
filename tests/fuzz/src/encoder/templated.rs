//! Messages of IPFIX and NetFlow v9 as the crate netflow_parser reads them, which shares no code with ours.
//!
//! Values that the crate does not keep are read from the octets: it has nine bits of the TCP flags, and no
//! number of protocols without a name.

use std::collections::BTreeMap;

use flowxdp_core::record::tail::Text;
use flowxdp_core::record::{Addresses, EndReason, Flow, FlowKey};
use netflow_parser::variable_versions::field_value::FieldValue;
use netflow_parser::variable_versions::v9::ScopeDataField;
use netflow_parser::variable_versions::{ipfix, v9};
use netflow_parser::{NetflowPacket, NetflowParser};

use super::{Options, Read, input, number};

/// The length of a field that has its length in front of it.
const VARIABLE: u16 = 65_535;

/// Element number and length of each field of a template.
type Fields = Vec<(u16, u16)>;
/// Element number and octets of each field of a record.
type Values = Vec<(u16, Vec<u8>)>;

/// The state of one domain.
#[derive(Default)]
pub(super) struct Domain {
    parser: NetflowParser,
    templates: BTreeMap<u16, Fields>,
}

/// A set as the crate understood it.
enum Set {
    Templates(Vec<(u16, Fields)>),
    Flows(Vec<Vec<FieldValue>>),
    Options(Vec<Vec<Vec<u8>>>),
}

impl Domain {
    pub(super) fn read(&mut self, bytes: &[u8]) -> Read {
        let result = self.parser.parse_bytes(bytes);
        assert!(result.error.is_none(), "{:?}", result.error);
        let (mut read, sets) = match <[NetflowPacket; 1]>::try_from(result.packets) {
            Ok([NetflowPacket::IPFix(packet)]) => {
                let header = packet.header;
                assert_eq!(usize::from(header.length), bytes.len());
                let export_ms = u64::from(header.export_time) * 1000;
                let read = Read { export_ms, sequence: Some(header.sequence_number), ..Read::default() };
                (read, packet.flowsets.into_iter().map(|set| ipfix_set(set.body)).collect::<Vec<_>>())
            }
            Ok([NetflowPacket::V9(packet)]) => {
                let header = packet.header;
                let (export_ms, uptime) = (u64::from(header.unix_secs) * 1000, header.sys_up_time);
                let sequence = Some(header.sequence_number);
                let read = Read { export_ms, uptime, sequence, count: Some(header.count), ..Read::default() };
                (read, packet.flowsets.into_iter().map(|set| v9_set(set.body)).collect())
            }
            other => unreachable!("no one message: {other:?}"),
        };
        let octets = split(bytes, if read.count.is_some() { 20 } else { 16 });
        assert_eq!(octets.len(), sets.len());
        let mut all = 0;
        for ((id, body), set) in octets.into_iter().zip(sets) {
            all += self.set(id, body, set, &mut read);
        }
        assert!(read.count.is_none_or(|count| usize::from(count) == all), "{:?} of {all}", read.count);
        read
    }

    /// Gives the number of records of any kind.
    fn set(&mut self, id: u16, body: &[u8], set: Set, read: &mut Read) -> usize {
        match set {
            Set::Templates(templates) => {
                let count = templates.len();
                for (id, fields) in templates {
                    assert!(id > 255 && !fields.is_empty());
                    let before = self.templates.insert(id, fields.clone());
                    assert!(before.is_none_or(|before| before == fields), "template {id} changes");
                }
                count
            }
            Set::Flows(records) => {
                let fields = &self.templates[&id];
                let mut rest = body;
                for values in &records {
                    let (values, behind) = same(fields, values, rest);
                    rest = behind;
                    read.records.push(flow(read.export_ms, read.uptime, &values));
                }
                assert!(rest.len() < 4 && rest.iter().all(|octet| *octet == 0));
                records.len()
            }
            Set::Options(records) => {
                let fields = &self.templates[&id];
                for values in &records {
                    assert_eq!(fields.len(), values.len());
                    let values = fields.iter().map(|(id, _)| *id).zip(values.iter().cloned()).collect();
                    read.options.push(Options { template: id, values });
                }
                records.len()
            }
        }
    }

    /// The bits of the flow key of a template.
    pub(super) fn flow_key(&self, template: u16) -> u64 {
        const KEY: [u16; 15] = [8, 12, 27, 28, 7, 11, 4, 5, 58, 10, 61, 32, 139, 178, 179];
        let fields = self.templates[&template].iter().enumerate();
        fields.filter(|(_, (id, _))| KEY.contains(id)).map(|(place, _)| 1 << place).sum()
    }
}

/// The fields of the record that octets begin with, and the octets behind it: the crate's fields must be those in it.
fn same<'a>(fields: &Fields, values: &[FieldValue], octets: &'a [u8]) -> (Values, &'a [u8]) {
    assert_eq!(fields.len(), values.len());
    let (mut rest, mut read) = (octets, Values::new());
    for ((id, length), value) in fields.iter().zip(values) {
        let length = match (*length, rest) {
            (VARIABLE, [255, high, low, behind @ ..]) => {
                rest = behind;
                u16::from_be_bytes([*high, *low])
            }
            (VARIABLE, [length, behind @ ..]) => {
                rest = behind;
                (*length).into()
            }
            (length, _) => length,
        };
        let (field, behind) = rest.split_at(length.into());
        rest = behind;
        match (id, field) {
            (6, [high, low]) => assert_eq!(octets_of(value), [high & 1, *low]),
            (4, _) => assert_eq!(octets_of(value).len(), 1),
            _ => assert_eq!(octets_of(value), field, "field {id}"),
        }
        read.push((*id, field.to_vec()));
    }
    (read, rest)
}

fn octets_of(value: &FieldValue) -> Vec<u8> {
    let mut octets = Vec::new();
    assert!(value.write_be_bytes(&mut octets).is_ok(), "{value:?}");
    octets
}

/// Id and body of each set.
fn split(bytes: &[u8], header: usize) -> Vec<(u16, &[u8])> {
    let (mut sets, mut rest) = (Vec::new(), &bytes[header..]);
    while let [a, b, c, d, ..] = *rest {
        let length = usize::from(u16::from_be_bytes([c, d]));
        assert!(length > 4 && (header == 16 || length.is_multiple_of(4)), "a set of {length} octets");
        sets.push((u16::from_be_bytes([a, b]), &rest[4..length]));
        rest = &rest[length..];
    }
    assert!(rest.is_empty() && !sets.is_empty());
    sets
}

fn ipfix_set(body: ipfix::FlowSetBody) -> Set {
    let flow = |it: ipfix::Template| {
        (it.template_id, it.fields.iter().map(|it| (it.field_type_number, it.field_length)).collect())
    };
    let options = |it: ipfix::OptionsTemplate| {
        assert_eq!(it.scope_field_count, if matches!(it.template_id, 280 | 281 | 284) { 2 } else { 1 });
        (it.template_id, it.fields.iter().map(|it| (it.field_type_number, it.field_length)).collect())
    };
    match body {
        ipfix::FlowSetBody::Template(one) => Set::Templates(vec![flow(one)]),
        ipfix::FlowSetBody::Templates(all) => Set::Templates(all.into_iter().map(flow).collect()),
        ipfix::FlowSetBody::OptionsTemplate(one) => Set::Templates(vec![options(one)]),
        ipfix::FlowSetBody::OptionsTemplates(all) => Set::Templates(all.into_iter().map(options).collect()),
        ipfix::FlowSetBody::Data(data) => {
            let records = data.fields.into_iter();
            Set::Flows(records.map(|fields| fields.into_iter().map(|it| it.1).collect()).collect())
        }
        ipfix::FlowSetBody::OptionsData(data) => {
            let records = data.fields.into_iter();
            Set::Options(records.map(|it| it.iter().map(|it| octets_of(&it.1)).collect()).collect())
        }
        other => unreachable!("{other:?}"),
    }
}

fn v9_set(body: v9::FlowSetBody) -> Set {
    let field = |it: &v9::TemplateField| (it.field_type_number, it.field_length);
    match body {
        v9::FlowSetBody::Template(all) => Set::Templates(
            all.templates.iter().map(|it| (it.template_id, it.fields.iter().map(field).collect())).collect(),
        ),
        v9::FlowSetBody::OptionsTemplate(all) => {
            let options = all.templates.iter().map(|it| {
                let scopes = it.scope_fields.iter().map(|it| (it.field_type_number, it.field_length));
                (it.template_id, scopes.chain(it.option_fields.iter().map(field)).collect())
            });
            Set::Templates(options.collect())
        }
        v9::FlowSetBody::Data(data) => {
            let records = data.fields.into_iter();
            Set::Flows(records.map(|fields| fields.into_iter().map(|it| it.1).collect()).collect())
        }
        v9::FlowSetBody::OptionsData(data) => {
            let records = data.fields.into_iter().map(|it| {
                let scopes = it.scope_fields.into_iter().map(|scope| match scope {
                    ScopeDataField::System(octets) => octets,
                    other => unreachable!("{other:?}"),
                });
                scopes.chain(it.options_fields.iter().map(|it| octets_of(&it.1))).collect()
            });
            Set::Options(records.collect())
        }
        other => unreachable!("{other:?}"),
    }
}

/// The flow record that a collector makes of these fields.
fn flow(export_ms: u64, uptime: u32, values: &Values) -> Flow {
    let get = |id: u16| values.iter().find(|it| it.0 == id).map(|it| it.1.as_slice());
    let small = |id| get(id).map_or(0, |octets| octets[octets.len() - 1]);
    let short = |id| get(id).map_or(0, |octets| u16::try_from(number(octets)).unwrap_or(u16::MAX));
    let large = |id| get(id).map_or(0, number);
    let time = |ms: u16, in_uptime: u16| match get(in_uptime).and_then(|it| it.first_chunk()) {
        // Milliseconds before the export, in 32 bits that wrap.
        Some(octets) => export_ms - u64::from(uptime.wrapping_sub(u32::from_be_bytes(*octets))),
        None => large(ms),
    };
    let four = |id| get(id).and_then(|octets| octets.try_into().ok());
    let sixteen = |id| get(id).and_then(|octets| octets.try_into().ok());
    let addresses = match (four(8), four(12), sixteen(27), sixteen(28)) {
        (Some(source), Some(destination), None, None) => Addresses::V4 { source, destination },
        (None, None, Some(source), Some(destination)) => Addresses::V6 { source, destination },
        _ => unreachable!("addresses of no version, or of two: {values:?}"),
    };
    let key = FlowKey {
        addresses,
        source_port: short(7),
        destination_port: short(11),
        protocol: small(4),
        tos: small(5),
        vlan: short(58),
        ingress: u32::try_from(large(10)).unwrap_or(u32::MAX),
    };
    let icmp = get(32).or(get(139)).map(number).or(get(178).map(|it| number(it) << 8 | large(179)));
    assert_eq!(icmp, key.is_icmp().then_some(key.destination_port.into()));
    let version = if matches!(addresses, Addresses::V4 { .. }) { 4 } else { 6 };
    assert_eq!((get(60), get(61)), (Some(&[version][..]), Some(&[0][..])));
    let end_reason = match small(136) {
        1 => EndReason::IdleTimeout,
        2 => EndReason::ActiveTimeout,
        3 => EndReason::EndOfFlow,
        4 => EndReason::Forced,
        5 => EndReason::LackOfResources,
        other => unreachable!("reason {other}"),
    };
    let flow = Flow {
        key,
        packets: large(2),
        octets: large(1),
        start_ms: time(152, 22),
        end_ms: time(153, 21),
        tcp_flags: short(6),
        ttl_min: small(52),
        ttl_max: small(53),
        length_min: short(25),
        length_max: short(26),
        end_reason,
    };
    if let Some(application) = get(95) {
        assert_eq!(application, flow.key.ingress.to_be_bytes());
        named(&flow, values);
    }
    flow
}

/// A record has the name that it was given, cut where it is too long, and no other.
fn named(flow: &Flow, values: &Values) {
    let expected = input::name(flow);
    for (column, id, in_v9) in
        [(Text::Server, 188, 57_660), (Text::Host, 187, 57_659), (Text::Dns, 205, 57_677)]
    {
        let found = values.iter().find(|it| it.0 == id || it.0 == in_v9);
        let text = expected.as_ref().filter(|(of, _)| *of == column).map(|(_, text)| text.as_bytes());
        let (Some((element, octets)), Some(text)) = (found, text) else {
            assert!(found.is_none() && text.is_none(), "{found:?}, given {expected:?}");
            continue;
        };
        let most = if *element == id { 255 } else { 64 };
        let end =
            if *element == id { octets.len() } else { octets.iter().take_while(|it| **it != 0).count() };
        assert_eq!(octets[..end], text[..text.len().min(most)]);
        assert!(*element == id || octets.len() == most);
    }
}
