//! Templates: for each kind of flow record, its fields and how they are copied from a record.

use crate::elements::{self, ELEMENTS, Element};
use crate::facts::Fact;
use crate::facts::shape::{self, Places, Shape};
use crate::record::{Addresses, FlowRecord};
use crate::wire::{Protocol, low_16};

/// A kind of flow record: each has a template of its own.
///
/// ICMP is apart because an ICMP element beside a transport port makes some collectors overwrite the
/// port of other protocols; the IP versions are apart because some keep one pair of addresses only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// IPv4, any protocol but ICMP.
    Ipv4,
    /// IPv6, any protocol but ICMPv6.
    Ipv6,
    /// ICMP in IPv4.
    IcmpIpv4,
    /// ICMPv6 in IPv6.
    IcmpIpv6,
}

impl Kind {
    /// All kinds, in the order of their templates' ids.
    pub const ALL: [Self; 4] = [Self::Ipv4, Self::Ipv6, Self::IcmpIpv4, Self::IcmpIpv6];

    /// The kind of a record.
    pub const fn of(record: &FlowRecord) -> Self {
        match (&record.key.addresses, record.key.is_icmp()) {
            (Addresses::V4 { .. }, false) => Self::Ipv4,
            (Addresses::V6 { .. }, false) => Self::Ipv6,
            (Addresses::V4 { .. }, true) => Self::IcmpIpv4,
            (Addresses::V6 { .. }, true) => Self::IcmpIpv6,
        }
    }

    /// Template id. Ids below 256 are those of sets (RFC 7011 section 3.4.1, RFC 3954 section 5.2).
    pub const fn id(self) -> u16 {
        256 + self as u16
    }
}

/// One field specifier: an element and its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Element number.
    pub id: u16,
    /// Octets.
    pub length: u16,
}

/// The template of one kind of record in one protocol.
#[derive(Clone, Debug)]
pub struct Template {
    id: u16,
    fields: Vec<Field>,
    /// Octets of one data record.
    length: usize,
    encode: Encode,
    of_aggregates: bool,
}

/// Writes data records one behind the other: records of the template's kind, milliseconds since 1970 of
/// system start, and as many octets as the data records have.
type Encode = fn(&[FlowRecord], u64, &mut [u8]);

impl Template {
    /// The template that the element table gives.
    pub fn new(protocol: Protocol, kind: Kind) -> Self {
        Self::with(
            kind,
            kind.id(),
            match protocol {
                Protocol::Ipfix => Form::Ipfix,
                Protocol::V9 => Form::V9,
            },
        )
    }

    /// The v9 template with times of day, for records that sysUptime's 32 bits cannot place.
    ///
    /// NetFlow v9 shares IANA's element numbers, and collectors read 152 and 153 there as in IPFIX.
    pub fn v9_with_times_of_day(kind: Kind) -> Self {
        let kinds = low_16(Kind::ALL.len());
        Self::with(kind, kind.id() + kinds, Form::V9TimesOfDay)
    }

    /// The template of aggregates (RFC 7015): of flows that there was no room to keep apart.
    ///
    /// In v9 with times of day, so that one set serves whenever they are.
    pub fn of_aggregates(protocol: Protocol, kind: Kind) -> Self {
        let kinds = low_16(Kind::ALL.len());
        let form = match protocol {
            Protocol::Ipfix => Form::IpfixAggregates,
            Protocol::V9 => Form::V9Aggregates,
        };
        Self::with(kind, kind.id() + 2 * kinds, form)
    }

    fn with(kind: Kind, id: u16, form: Form) -> Self {
        let fields = ELEMENTS.iter().filter_map(|element| {
            let length = form.length(kind, element)?;
            Some(Field { id: element.id, length })
        });
        let (length, _) = places(form, kind);
        let encode = ENCODE[form as usize][kind as usize];
        Self { id, fields: fields.collect(), length, encode, of_aggregates: form.is_of_aggregates() }
    }

    /// Template id.
    pub const fn id(&self) -> u16 {
        self.id
    }

    /// The field specifiers, in order.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Octets of one data record.
    pub const fn record_length(&self) -> usize {
        self.length
    }

    /// The template id, and the bits of the fields that make the flow key: the first field is the lowest
    /// (flowKeyIndicator, RFC 7011 section 4.4).
    pub(crate) fn flow_keys(&self) -> (u16, u64) {
        let fields = self.fields.iter().enumerate();
        let is_key = |id| elements::is_key(id) && !(self.of_aggregates && elements::is_source(id));
        let keys = fields.filter(|(_, field)| is_key(field.id)).map(|(place, _)| 1 << place);
        (self.id, keys.fold(0, |all, bit: u64| all | bit))
    }

    /// Octets of the template record: id and field count, then each specifier.
    pub(crate) fn described_length(&self) -> usize {
        4 + 4 * self.fields.len()
    }

    /// Writes the template record, the same in both protocols while no element is an enterprise's.
    ///
    /// ```text
    ///  0                   1                   2                   3
    ///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    /// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    /// |      Template ID (> 255)      |         Field Count           |
    /// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    /// |0|  Information Element id     |         Field Length          |
    /// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    /// |                              ...                              |
    /// ```
    ///
    /// RFC 7011 sections 3.4.1 and 3.2, RFC 3954 section 5.2.
    pub(crate) fn describe(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.id().to_be_bytes());
        bytes.extend(low_16(self.fields.len()).to_be_bytes());
        for field in &self.fields {
            bytes.extend(field.id.to_be_bytes());
            bytes.extend(field.length.to_be_bytes());
        }
    }

    /// Writes data records of this template's kind (RFC 7011 section 3.4.3, RFC 3954 section 5.3) into
    /// `octets`, which has [`Template::record_length`] for each.
    pub(crate) fn encode(&self, records: &[FlowRecord], system_start_ms: u64, octets: &mut [u8]) {
        (self.encode)(records, system_start_ms, octets);
    }
}

/// How templates say things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Ipfix,
    V9,
    V9TimesOfDay,
    IpfixAggregates,
    V9Aggregates,
}

impl Form {
    const ALL: [Self; 5] =
        [Self::Ipfix, Self::V9, Self::V9TimesOfDay, Self::IpfixAggregates, Self::V9Aggregates];

    const fn is_of_aggregates(self) -> bool {
        matches!(self, Self::IpfixAggregates | Self::V9Aggregates)
    }

    /// Octets of an element in data records of this kind; `None` if they do not have it.
    const fn length(self, kind: Kind, element: &Element) -> Option<u16> {
        let is_time =
            matches!(element.fact, Fact::StartMs | Fact::EndMs | Fact::StartUptime | Fact::EndUptime);
        let protocol = match self {
            Self::Ipfix | Self::IpfixAggregates => Protocol::Ipfix,
            Self::V9TimesOfDay | Self::V9Aggregates if is_time => Protocol::Ipfix,
            Self::V9 | Self::V9TimesOfDay | Self::V9Aggregates => Protocol::V9,
        };
        let has = element.within.holds(kind) && element.fact.is_of(self.is_of_aggregates());
        if has { element.length.of(protocol) } else { None }
    }
}

/// The octets of a data record, and where the facts are in it, in the order of the element table.
const fn places(form: Form, kind: Kind) -> (usize, Places) {
    let (mut start, mut places, mut at) = (0, Places::NONE, 0);
    while at < ELEMENTS.len() {
        let element = &ELEMENTS[at];
        if let Some(length) = form.length(kind, element) {
            places = places.with(element.fact, start, length as usize);
            start += length as usize;
        }
        at += 1;
    }
    (start, places)
}

/// The data records of one form and kind, by their places in `ALL`.
struct Of<const FORM: usize, const KIND: usize>;

impl<const FORM: usize, const KIND: usize> Shape for Of<FORM, KIND> {
    const LENGTH: usize = places(Form::ALL[FORM], Kind::ALL[KIND]).0;
    const PLACES: Places = places(Form::ALL[FORM], Kind::ALL[KIND]).1;
}

/// By form and kind.
const ENCODE: [[Encode; Kind::ALL.len()]; Form::ALL.len()] =
    [of::<0>(), of::<1>(), of::<2>(), of::<3>(), of::<4>()];

const fn of<const FORM: usize>() -> [Encode; Kind::ALL.len()] {
    [encode::<Of<FORM, 0>>, encode::<Of<FORM, 1>>, encode::<Of<FORM, 2>>, encode::<Of<FORM, 3>>]
}

fn encode<S: Shape>(records: &[FlowRecord], system_start_ms: u64, octets: &mut [u8]) {
    for (record, octets) in records.iter().zip(octets.chunks_exact_mut(S::LENGTH)) {
        shape::write::<S>(record, system_start_ms, octets);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_the_sums_of_the_fields() {
        for kind in Kind::ALL {
            for template in [
                Template::new(Protocol::Ipfix, kind),
                Template::new(Protocol::V9, kind),
                Template::v9_with_times_of_day(kind),
                Template::of_aggregates(Protocol::Ipfix, kind),
                Template::of_aggregates(Protocol::V9, kind),
            ] {
                let fields: usize = template.fields().iter().map(|field| usize::from(field.length)).sum();
                assert_eq!(fields, template.record_length());
                let mut bytes = Vec::new();
                template.describe(&mut bytes);
                assert_eq!(bytes.len(), template.described_length());
            }
        }
    }

    #[test]
    fn templates_hold_the_elements_in_order() {
        let ids = |protocol, kind| -> Vec<u16> {
            Template::new(protocol, kind).fields().iter().map(|field| field.id).collect()
        };
        assert_eq!(
            ids(Protocol::Ipfix, Kind::Ipv4),
            [8, 12, 7, 11, 4, 5, 58, 10, 2, 1, 152, 153, 6, 52, 53, 25, 26, 136]
        );
        assert_eq!(
            ids(Protocol::Ipfix, Kind::IcmpIpv6),
            [27, 28, 7, 11, 4, 5, 58, 10, 2, 1, 152, 153, 6, 52, 53, 25, 26, 136, 139]
        );
        assert_eq!(
            ids(Protocol::V9, Kind::IcmpIpv4),
            [8, 12, 7, 11, 4, 5, 58, 10, 2, 1, 22, 21, 6, 52, 53, 25, 26, 136, 32]
        );
        assert_eq!(
            ids(Protocol::V9, Kind::IcmpIpv6),
            [27, 28, 7, 11, 4, 5, 58, 10, 2, 1, 22, 21, 6, 52, 53, 25, 26, 136, 178, 179]
        );
        let aggregates = |protocol, kind| -> Vec<u16> {
            Template::of_aggregates(protocol, kind).fields().iter().map(|field| field.id).collect()
        };
        let ipv4 = [8, 12, 11, 4, 10, 2, 1, 152, 153, 6, 52, 53, 25, 26, 136, 9, 13, 3];
        assert_eq!(aggregates(Protocol::Ipfix, Kind::Ipv4), ipv4);
        assert_eq!(aggregates(Protocol::V9, Kind::Ipv4), ipv4);
        assert_eq!(
            aggregates(Protocol::V9, Kind::IcmpIpv6),
            [27, 28, 11, 4, 10, 2, 1, 152, 153, 6, 52, 53, 25, 26, 136, 178, 179, 29, 30, 3]
        );
    }

    #[test]
    fn the_key_of_an_aggregate_has_no_source() {
        let (id, keys) = Template::of_aggregates(Protocol::Ipfix, Kind::Ipv4).flow_keys();
        assert_eq!((id, keys), (264, 0b11110));
    }
}
