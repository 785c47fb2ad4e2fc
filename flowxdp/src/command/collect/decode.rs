//! From one message to records, by the crate netflow_parser.
//!
//! The crate finds templates and cuts records into fields; names, types and times come from here, out of each
//! field's octets. The crate skips unreadable octets in silence, so [`leftover`] checks for them. Of
//! tcpControlBits in two octets it keeps the low nine bits.

use std::collections::HashMap;
use std::sync::LazyLock;

use anyhow::Context as _;
use netflow_parser::variable_versions::ipfix::lookup::{
    CiscoIPFixField, IANAIPFixField, NatIPFixField, NetscalerIPFixField, ReverseInformationElement,
    VMWareIPFixField, YafIPFixField,
};
use netflow_parser::variable_versions::{ipfix, v9};
use netflow_parser::{FieldValue, IpfixField, NetflowPacket, NetflowParser, NetflowParserBuilder};

use super::header::Header;
use super::legacy;
use super::record::{Key, Record};
use super::templates::{self, Templates};

/// A decoded message.
#[derive(Debug, Default)]
pub(super) struct Message {
    /// Its data records, those of options templates among them.
    pub(super) records: Vec<Record>,
    /// Data sets of templates that never came.
    pub(super) unknown_sets: usize,
    /// The fault of a malformed message.
    pub(super) fault: Option<String>,
}

/// The state of one exporter's observation domain, in bounded memory.
#[derive(Debug)]
pub(super) struct Decoder {
    parser: NetflowParser,
    /// How many fields are scope, by id of the options template: IPFIX alone, as the crate keeps it to itself.
    scopes: HashMap<u16, usize>,
    templates: Templates,
    /// Memory of templates that malformed messages may have brought.
    uncounted: usize,
}

impl Decoder {
    pub(super) fn new() -> anyhow::Result<Self> {
        let parser = parser().build().context("cannot make a parser")?;
        Ok(Self { parser, scopes: HashMap::new(), templates: Templates::default(), uncounted: 0 })
    }

    /// Octets of memory that the templates of this stream take at most.
    pub(super) const fn octets(&self) -> usize {
        self.templates.octets().saturating_add(self.uncounted)
    }
}

fn parser() -> NetflowParserBuilder {
    NetflowParser::builder()
        .with_cache_size(templates::MOST)
        .with_max_field_count(512)
        .with_max_error_sample_size(1)
        // A message of 65,535 octets cannot hold more.
        .with_max_records_per_flowset(65_535)
        .with_max_decoded_field_values_per_message(65_535)
}

/// Decodes `octets`, one message with `header`.
pub(super) fn decode(decoder: &mut Decoder, header: &Header, octets: &[u8]) -> Message {
    let mut message = Message::default();
    if header.version == 10 && usize::from(header.count) != octets.len() {
        message.fault = Some(format!("it says {} octets and has {}", header.count, octets.len()));
        return message;
    }
    if header.version == 1 {
        match legacy::from_v1(header, octets) {
            Some(records) => message.records = records,
            None => message.fail("it is not as long as its count of records says"),
        }
        return message;
    }
    let result = decoder.parser.parse_bytes(octets);
    message.fault = result.error.map(|error| error.to_string());
    for packet in result.packets {
        match packet {
            NetflowPacket::V5(v5) => {
                message.records.extend(v5.flowsets.iter().map(|flow| legacy::from_v5(header, flow)));
            }
            NetflowPacket::V7(v7) => {
                message.records.extend(v7.flowsets.iter().map(|flow| legacy::from_v7(header, flow)));
            }
            NetflowPacket::V9(v9) => {
                v9.flowsets.iter().for_each(|set| decoder.templates.v9(&set.body));
                message.v9(header, &v9, octets);
            }
            NetflowPacket::IPFix(ipfix) => {
                ipfix.flowsets.iter().for_each(|set| decoder.templates.ipfix(&set.body));
                message.ipfix(header, &ipfix, octets, &mut decoder.scopes);
            }
            _ => {}
        }
    }
    if message.fault.is_some() {
        // Sets in front of the faulty one may have left templates in the parser.
        decoder.uncounted = decoder.uncounted.saturating_add(templates::octets_at_most(octets.len()));
    }
    message
}

impl Message {
    fn v9(&mut self, header: &Header, packet: &v9::V9, octets: &[u8]) {
        let mut at = 20;
        for set in &packet.flowsets {
            let body = octets.get(at + 4..at + usize::from(set.header.length)).unwrap_or_default();
            at += usize::from(set.header.length);
            match &set.body {
                v9::FlowSetBody::Data(data) => self.v9_data(header, data, body),
                v9::FlowSetBody::OptionsData(data) => self.v9_options(header, data, body),
                v9::FlowSetBody::NoTemplate(_) => self.unknown_sets += 1,
                _ => {}
            }
        }
    }

    fn ipfix(
        &mut self,
        header: &Header,
        packet: &ipfix::IPFix,
        octets: &[u8],
        scopes: &mut HashMap<u16, usize>,
    ) {
        let mut at = 16;
        for set in &packet.flowsets {
            let body = octets.get(at + 4..at + usize::from(set.header.length)).unwrap_or_default();
            at += usize::from(set.header.length);
            match &set.body {
                ipfix::FlowSetBody::Data(data) => {
                    let variable = data.has_varlen_metadata();
                    self.ipfix_data(header, &data.fields, None, variable, body);
                }
                ipfix::FlowSetBody::OptionsData(data) => {
                    let scope = scopes.get(&set.header.header_id).copied().unwrap_or_default();
                    // The parsed options data do not say whether a field is of variable length.
                    self.ipfix_data(header, &data.fields, Some(scope), true, body);
                }
                ipfix::FlowSetBody::OptionsTemplate(template) => keep(scopes, std::slice::from_ref(template)),
                ipfix::FlowSetBody::OptionsTemplates(templates) => keep(scopes, templates),
                ipfix::FlowSetBody::V9Data(data) => self.v9_data(header, data, body),
                ipfix::FlowSetBody::V9OptionsData(data) => self.v9_options(header, data, body),
                ipfix::FlowSetBody::NoTemplate(_) => self.unknown_sets += 1,
                _ => {}
            }
        }
        if at != octets.len() {
            self.fail("a set has a wrong length or cannot be read");
        }
    }

    fn ipfix_data(
        &mut self,
        header: &Header,
        rows: &[Vec<(IpfixField, FieldValue)>],
        options: Option<usize>,
        variable: bool,
        body: &[u8],
    ) {
        for row in rows {
            self.add(header, options, row.iter().map(|(field, value)| (element(*field), value)));
        }
        let size = |row: &Vec<(_, FieldValue)>| row.iter().map(|(_, value)| value.byte_len()).sum::<usize>();
        if rows.is_empty() || !variable && leftover(body, rows.iter().map(size)) {
            self.fail("a data set is not whole records of its template");
        }
    }

    fn v9_data(&mut self, header: &Header, data: &v9::Data, body: &[u8]) {
        for row in &data.fields {
            let fields = row.iter().map(|(field, value)| (Key::of_v9((*field).into()), value));
            self.add(header, None, fields);
        }
        let size = |row: &Vec<(_, FieldValue)>| row.iter().map(|(_, value)| value.byte_len()).sum::<usize>();
        if leftover(body, data.fields.iter().map(size)) {
            self.fail("a data set is not whole records of its template");
        }
    }

    fn v9_options(&mut self, header: &Header, data: &v9::OptionsData, body: &[u8]) {
        let mut size = Vec::with_capacity(data.fields.len());
        for row in &data.fields {
            let options = row.options_fields.iter();
            let fields = options.map(|(field, value)| (Key::of_v9((*field).into()), value));
            self.add(header, Some(row.scope_fields.len()), fields);
            let scopes: Vec<(Key, &[u8])> = row.scope_fields.iter().map(scope).collect();
            size.push(
                scopes.iter().map(|(_, octets)| octets.len()).sum::<usize>()
                    + row.options_fields.iter().map(|(_, value)| value.byte_len()).sum::<usize>(),
            );
            if let Some(record) = self.records.last_mut() {
                record.fields.splice(0..0, scopes.into_iter().map(|(key, octets)| key.field(octets)));
            }
        }
        if leftover(body, size.into_iter()) {
            self.fail("a data set is not whole records of its template");
        }
    }

    fn add<'a>(
        &mut self,
        header: &Header,
        options: Option<usize>,
        fields: impl Iterator<Item = (Key, &'a FieldValue)>,
    ) {
        let mut octets = Vec::new();
        let fields = fields
            .map(|(key, value)| {
                octets.clear();
                // Writing to memory fails for no width that the parser gives.
                let _ = value.write_be_bytes(&mut octets);
                key.field(&octets)
            })
            .collect();
        let scopes = options.unwrap_or_default();
        let mut record = Record { options: options.is_some(), scopes, fields };
        record.complete_times(|uptime| header.wall_ms(uptime));
        self.records.push(record);
    }

    fn fail(&mut self, why: &str) {
        self.fault.get_or_insert_with(|| why.to_owned());
    }
}

/// Remembers how many fields of these templates are scope.
fn keep(scopes: &mut HashMap<u16, usize>, templates: &[ipfix::OptionsTemplate]) {
    for template in templates {
        // The crate forgets templates beyond that number too.
        if scopes.len() >= templates::MOST && !scopes.contains_key(&template.template_id) {
            scopes.clear();
        }
        scopes.insert(template.template_id, template.scope_field_count.into());
    }
}

/// Whether more than padding stands behind the records: zeros, fewer than a record has octets.
fn leftover(body: &[u8], records: impl Iterator<Item = usize>) -> bool {
    let (mut used, mut smallest) = (0, 0);
    for size in records {
        used += size;
        smallest = size;
    }
    body.get(used..).is_none_or(|rest| rest.len() >= smallest || rest.iter().any(|octet| *octet != 0))
}

fn scope(field: &v9::ScopeDataField) -> (Key, &[u8]) {
    use v9::ScopeDataField as Scope;
    let (number, octets) = match field {
        Scope::System(octets) => (1, octets),
        Scope::Interface(octets) => (2, octets),
        Scope::LineCard(octets) => (3, octets),
        Scope::NetFlowCache(octets) => (4, octets),
        Scope::Template(octets) => (5, octets),
        Scope::Unknown(number, octets) => (*number, octets),
    };
    (Key::V9Scope(number), octets)
}

/// The number of an element that the crate gives by its own name.
fn element(field: IpfixField) -> Key {
    let (enterprise, id) = unnamed(field).or_else(|| NUMBERS.get(&field).copied()).unwrap_or_default();
    Key::Element(enterprise, id)
}

/// Enterprise number and number of an element that the crate has no name for.
fn unnamed(field: IpfixField) -> Option<(u32, u16)> {
    Some(match field {
        IpfixField::IANA(IANAIPFixField::Unknown(id)) => (0, id),
        IpfixField::Cisco(CiscoIPFixField::Unknown(id)) => (9, id),
        IpfixField::Nat(NatIPFixField::Unknown(id)) => (637, id),
        IpfixField::Netscaler(NetscalerIPFixField::Unknown(id)) => (5951, id),
        IpfixField::Yaf(YafIPFixField::Unknown(id)) => (6871, id),
        IpfixField::VMWare(VMWareIPFixField::Unknown(id)) => (6876, id),
        IpfixField::ReverseInformationElement(ReverseInformationElement::Unknown(id)) => (29305, id),
        IpfixField::Enterprise { enterprise_number, field_number } => (enterprise_number, field_number),
        _ => return None,
    })
}

/// Numbers by name. The crate has only the way from number to name.
static NUMBERS: LazyLock<HashMap<IpfixField, (u32, u16)>> = LazyLock::new(|| {
    let enterprises = [None, Some(9), Some(637), Some(5951), Some(6871), Some(6876), Some(29305)];
    let numbers = |enterprise: Option<u32>| {
        (0..=0x7fff).map(move |id| (IpfixField::new(id, enterprise), (enterprise.unwrap_or(0), id)))
    };
    enterprises.into_iter().flat_map(numbers).filter(|(field, _)| unnamed(*field).is_none()).collect()
});
