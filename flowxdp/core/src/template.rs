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
}

/// Which records of a kind a template is for.
///
/// A layout that differs has an id that differs, in one protocol and for good: a collector that kept the
/// template of an earlier run, or of an earlier release, must not read data by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Form {
    /// Aggregates (RFC 7015): flows that there was no room to keep apart.
    pub aggregates: bool,
    /// Records with a value that the usual templates have no room for: in IPFIX TCP flags above the low
    /// eight; in v9 times that the 32 bits of sysUptime cannot place, which are times of day here.
    ///
    /// NetFlow v9 shares IANA's element numbers, and collectors read 152 and 153 there as in IPFIX.
    pub wide: bool,
}

impl Form {
    /// Flows, as nearly all are.
    pub const USUAL: Self = Self { aggregates: false, wide: false };
    /// All forms.
    pub const ALL: [Self; 4] = [
        Self::USUAL,
        Self { aggregates: false, wide: true },
        Self { aggregates: true, wide: false },
        Self { aggregates: true, wide: true },
    ];

    /// Its place in [`Form::ALL`].
    const fn place(self) -> usize {
        self.aggregates as usize * 2 + self.wide as usize
    }

    /// Template id of the first kind; those of the others follow. Ids below 256 are those of sets (RFC 7011
    /// section 3.4.1, RFC 3954 section 5.2).
    const fn first_id(self, protocol: Protocol) -> u16 {
        match (self.aggregates, self.wide, protocol) {
            (false, true, Protocol::Ipfix) | (false, false, Protocol::V9) => 256,
            (false, false, Protocol::Ipfix) | (false, true, Protocol::V9) => 260,
            (true, true, _) => 264,
            (true, false, _) => 268,
        }
    }

    /// Octets of an element in data records of this kind; `None` if they do not have it.
    const fn length(self, protocol: Protocol, kind: Kind, element: &Element) -> Option<u16> {
        let is_time =
            matches!(element.fact, Fact::StartMs | Fact::EndMs | Fact::StartUptime | Fact::EndUptime);
        let has = element.within.holds(kind) && element.fact.is_of(self.aggregates);
        match (has, self.wide) {
            (false, _) => None,
            (true, true) if is_time => element.length.of(Protocol::Ipfix),
            (true, true) => element.length.wide(protocol),
            (true, false) => element.length.of(protocol),
        }
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
    pub fn new(protocol: Protocol, form: Form, kind: Kind) -> Self {
        let fields = ELEMENTS.iter().filter_map(|element| {
            let length = form.length(protocol, kind, element)?;
            Some(Field { id: element.id, length })
        });
        let (length, _) = places(protocol, form, kind);
        let encode = ENCODE[protocol as usize][form.place()][kind as usize];
        let id = form.first_id(protocol) + kind as u16;
        Self { id, fields: fields.collect(), length, encode, of_aggregates: form.aggregates }
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

    /// The value of a fact in one data record, 0 where the template does not have it.
    pub(crate) fn number(&self, fact: Fact, record: &[u8]) -> u64 {
        let is_it = |field: &Field| ELEMENTS.iter().any(|it| it.id == field.id && it.fact == fact);
        let mut start = 0;
        for field in &self.fields {
            let end = start + usize::from(field.length);
            if is_it(field) {
                let octets = record.get(start..end).unwrap_or_default();
                return octets.iter().fold(0, |value, octet| value << 8 | u64::from(*octet));
            }
            start = end;
        }
        0
    }

    /// Writes data records of this template's kind (RFC 7011 section 3.4.3, RFC 3954 section 5.3) into
    /// `octets`, which has [`Template::record_length`] for each.
    pub(crate) fn encode(&self, records: &[FlowRecord], system_start_ms: u64, octets: &mut [u8]) {
        (self.encode)(records, system_start_ms, octets);
    }
}

/// The octets of a data record, and where the facts are in it, in the order of the element table.
const fn places(protocol: Protocol, form: Form, kind: Kind) -> (usize, Places) {
    let (mut start, mut places, mut at) = (0, Places::NONE, 0);
    while at < ELEMENTS.len() {
        let element = &ELEMENTS[at];
        if let Some(length) = form.length(protocol, kind, element) {
            places = places.with(element.fact, start, length as usize);
            start += length as usize;
        }
        at += 1;
    }
    (start, places)
}

/// The data records of one protocol, form and kind, by their places in `ALL`.
struct Of<const PROTOCOL: usize, const FORM: usize, const KIND: usize>;

impl<const PROTOCOL: usize, const FORM: usize, const KIND: usize> Of<PROTOCOL, FORM, KIND> {
    const BOTH: (usize, Places) = places(Protocol::ALL[PROTOCOL], Form::ALL[FORM], Kind::ALL[KIND]);
}

impl<const PROTOCOL: usize, const FORM: usize, const KIND: usize> Shape for Of<PROTOCOL, FORM, KIND> {
    const LENGTH: usize = Self::BOTH.0;
    const PLACES: Places = Self::BOTH.1;
}

/// By protocol, form and kind.
const ENCODE: [[[Encode; Kind::ALL.len()]; Form::ALL.len()]; Protocol::ALL.len()] =
    [forms::<0>(), forms::<1>()];

const fn forms<const PROTOCOL: usize>() -> [[Encode; Kind::ALL.len()]; Form::ALL.len()] {
    [kinds::<PROTOCOL, 0>(), kinds::<PROTOCOL, 1>(), kinds::<PROTOCOL, 2>(), kinds::<PROTOCOL, 3>()]
}

const fn kinds<const PROTOCOL: usize, const FORM: usize>() -> [Encode; Kind::ALL.len()] {
    [
        encode::<Of<PROTOCOL, FORM, 0>>,
        encode::<Of<PROTOCOL, FORM, 1>>,
        encode::<Of<PROTOCOL, FORM, 2>>,
        encode::<Of<PROTOCOL, FORM, 3>>,
    ]
}

fn encode<S: Shape>(records: &[FlowRecord], system_start_ms: u64, octets: &mut [u8]) {
    for (record, octets) in records.iter().zip(octets.chunks_exact_mut(S::LENGTH)) {
        shape::write::<S>(record, system_start_ms, octets);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGGREGATES: Form = Form { aggregates: true, wide: false };

    fn every() -> impl Iterator<Item = (Protocol, Form, Template)> {
        Protocol::ALL.into_iter().flat_map(|protocol| {
            Form::ALL.into_iter().flat_map(move |form| {
                Kind::ALL.map(|kind| (protocol, form, Template::new(protocol, form, kind)))
            })
        })
    }

    #[test]
    fn lengths_are_the_sums_of_the_fields() {
        for (_, _, template) in every() {
            let fields: usize = template.fields().iter().map(|field| usize::from(field.length)).sum();
            assert_eq!(fields, template.record_length());
            let mut bytes = Vec::new();
            template.describe(&mut bytes);
            assert_eq!(bytes.len(), template.described_length());
        }
    }

    #[test]
    fn no_id_has_two_layouts_in_a_protocol() {
        for protocol in Protocol::ALL {
            let of = every().filter(|(its, ..)| *its == protocol);
            let ids: std::collections::BTreeSet<u16> = of.map(|(.., template)| template.id()).collect();
            assert!(ids.into_iter().eq(256..272));
        }
    }

    /// The layouts that earlier releases had under these ids.
    #[test]
    fn ids_keep_the_layouts_that_they_had() {
        let of = |protocol, id| every().find(|(its, _, it)| *its == protocol && it.id() == id).unwrap().2;
        let length = |protocol, id, element| {
            of(protocol, id).fields().iter().find(|it| it.id == element).map(|it| it.length)
        };
        assert_eq!(length(Protocol::Ipfix, 256, 6), Some(2));
        assert_eq!(length(Protocol::Ipfix, 264, 6), Some(2));
        assert_eq!((length(Protocol::V9, 256, 22), length(Protocol::V9, 260, 152)), (Some(4), Some(8)));
        assert_eq!(length(Protocol::V9, 264, 152), Some(8));
    }

    #[test]
    fn flags_have_one_octet_but_where_ipfix_needs_two_and_v9_times_the_width_of_their_form() {
        for (protocol, form, template) in every() {
            let length = |element| template.fields().iter().find(|it| it.id == element).map(|it| it.length);
            let wide_flags = protocol == Protocol::Ipfix && form.wide;
            assert_eq!(length(6), Some(if wide_flags { 2 } else { 1 }));
            let uptimes = protocol == Protocol::V9 && !form.wide;
            let times = if uptimes { [Some(4), None] } else { [None, Some(8)] };
            assert_eq!([22, 152].map(length), times);
            assert_eq!([21, 153].map(length), times);
        }
    }

    #[test]
    fn templates_hold_the_elements_in_order() {
        let ids = |protocol, form, kind| -> Vec<u16> {
            Template::new(protocol, form, kind).fields().iter().map(|field| field.id).collect()
        };
        assert_eq!(
            ids(Protocol::Ipfix, Form::USUAL, Kind::Ipv4),
            [8, 12, 7, 11, 4, 5, 58, 10, 2, 1, 152, 153, 6, 52, 53, 25, 26, 136]
        );
        assert_eq!(
            ids(Protocol::Ipfix, Form::USUAL, Kind::IcmpIpv6),
            [27, 28, 7, 11, 4, 5, 58, 10, 2, 1, 152, 153, 6, 52, 53, 25, 26, 136, 139]
        );
        assert_eq!(
            ids(Protocol::V9, Form::USUAL, Kind::IcmpIpv4),
            [8, 12, 7, 11, 4, 5, 58, 10, 2, 1, 22, 21, 6, 52, 53, 25, 26, 136, 32]
        );
        assert_eq!(
            ids(Protocol::V9, Form::USUAL, Kind::IcmpIpv6),
            [27, 28, 7, 11, 4, 5, 58, 10, 2, 1, 22, 21, 6, 52, 53, 25, 26, 136, 178, 179]
        );
        let ipv4 = |first, last| [8, 12, 11, 4, 10, 2, 1, first, last, 6, 52, 53, 25, 26, 136, 9, 13, 3];
        assert_eq!(ids(Protocol::Ipfix, AGGREGATES, Kind::Ipv4), ipv4(152, 153));
        assert_eq!(ids(Protocol::V9, AGGREGATES, Kind::Ipv4), ipv4(22, 21));
        assert_eq!(
            ids(Protocol::V9, Form { aggregates: true, wide: true }, Kind::IcmpIpv6),
            [27, 28, 11, 4, 10, 2, 1, 152, 153, 6, 52, 53, 25, 26, 136, 178, 179, 29, 30, 3]
        );
    }

    #[test]
    fn the_key_of_an_aggregate_has_no_source() {
        let (id, keys) = Template::new(Protocol::Ipfix, AGGREGATES, Kind::Ipv4).flow_keys();
        assert_eq!((id, keys), (268, 0b11110));
    }
}
