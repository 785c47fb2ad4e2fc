//! Templates: for each kind of flow record, its fields and how they are copied from a record.

pub(crate) mod copies;
mod tail;

use std::ops::Range;

use self::copies::{Copies, Rows};
use self::tail::Tail;
pub use crate::elements::Kind;
use crate::elements::{Choice, Element, Source};
use crate::exporting::wire::{Protocol, low_16};
use crate::record::tail::Text;
use crate::record::{Slice, row};

/// Which records of a kind a template is for.
///
/// A layout that differs has an id that differs, in one protocol and for good: a collector that kept the
/// template of an earlier run, or of an earlier release, must not read data by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RecordFormat {
    /// Aggregates (RFC 7015): flows that there was no room to keep apart.
    pub aggregates: bool,
    /// Records with a value that the usual templates have no room for: in IPFIX TCP flags above the low
    /// eight; in v9 times that the 32 bits of sysUptime cannot place, which are times of day here.
    ///
    /// NetFlow v9 shares IANA's element numbers, and collectors read 152 and 153 there as in IPFIX.
    pub wide: bool,
    /// Records with this text. Of variable length, none is empty: decoders exist that refuse a length of 0.
    pub text: Option<Text>,
}

impl RecordFormat {
    /// Flows, as nearly all are.
    pub const USUAL: Self = Self { aggregates: false, wide: false, text: None };
    /// All formats of records without a text.
    pub const ALL: [Self; 4] = [
        Self::USUAL,
        Self { wide: true, ..Self::USUAL },
        Self { aggregates: true, ..Self::USUAL },
        Self { aggregates: true, wide: true, text: None },
    ];

    /// All formats of records with these elements.
    pub fn all(choice: &Choice) -> impl Iterator<Item = Self> + use<> {
        let texts = choice.texts().into_iter().map(Some);
        let with_text = texts.flat_map(|text| [false, true].map(|wide| Self { wide, text, ..Self::USUAL }));
        Self::ALL.into_iter().chain(with_text)
    }

    /// Its ids behind the first one of a layout: one for each kind.
    const fn offset(self, protocol: Protocol) -> u16 {
        let offset = match (self.aggregates, self.wide, protocol) {
            (false, true, Protocol::Ipfix) | (false, false, Protocol::V9) => 0,
            (false, false, Protocol::Ipfix) | (false, true, Protocol::V9) => 4,
            (true, true, _) => 8,
            (true, false, _) => 12,
        };
        match self.text {
            None => offset,
            Some(text) => offset + IDS * (1 + text as u16),
        }
    }

    /// Octets of an element in data records of this kind; `None` if they do not have it.
    fn length(self, protocol: Protocol, kind: Kind, element: &Element) -> Option<usize> {
        // Times of day are a wide v9 record's, by the numbers that IPFIX has for them.
        let of = if self.wide && element.is_time() { Protocol::Ipfix } else { protocol };
        let has = match &element.source {
            Source::Text(text) if self.text != Some(*text) => false,
            _ => element.within.holds(kind) && element.is_of(self.aggregates),
        };
        if has { element.length(of, self.wide) } else { None }
    }
}

/// Ids of a layout's templates: one for each format without a text and kind.
const IDS: u16 = 16;
/// The same with the formats of each text.
const IDS_WITH_TEXTS: u16 = IDS * 4;
const _: () = assert!(1 + Text::ALL.len() == 4, "no text and each text have ids of their own");
/// The first id of the layout that all elements of the base group make. Below 256 are the ids of sets (RFC 7011
/// section 3.4.1, RFC 3954 section 5.2); 256 to 271 had layouts without 60 and 61, and options have 272 to 287.
const BASE_IDS: u16 = 288;
/// The first id of the layouts that a configuration makes.
const CHOSEN_IDS: u16 = 512;

/// The first template id of a choice in a protocol.
///
/// A choice that is not the default one has ids that follow from its fields: the same in each run, and for another
/// choice the same in one of 4,064 cases only, or 1,016 for records with names. All templates go out before the first data of a session, so that such
/// a pair would meet at a collector that missed them over UDP, until they are repeated.
fn first_id(protocol: Protocol, choice: &Choice) -> u16 {
    if choice.is_base() {
        return BASE_IDS;
    }
    // FNV-1a, over number and length of each field.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for element in choice.elements() {
        let length = element.length(protocol, false).map_or(0, low_16);
        let (id, enterprise) = element.number(protocol);
        // 0 changes no hash of fields that IANA registered.
        hash ^= u64::from(enterprise);
        for octet in [id.to_be_bytes(), length.to_be_bytes()].as_flattened() {
            hash = (hash ^ u64::from(*octet)).wrapping_mul(0x100_0000_01b3);
        }
    }
    let ids = if choice.texts().is_empty() { IDS } else { IDS_WITH_TEXTS };
    let chosen = u64::from((u16::MAX - CHOSEN_IDS) / ids + 1);
    CHOSEN_IDS + u16::try_from((hash ^ hash >> 32) % chosen * u64::from(ids)).unwrap_or(0)
}

/// One field specifier: an element and its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Element number.
    pub id: u16,
    /// Private enterprise number, 0 for IANA.
    pub enterprise: u32,
    /// Octets, or [`VARIABLE`](crate::elements::options::VARIABLE).
    pub length: u16,
    /// The element's name.
    pub name: &'static str,
}

/// The bit of an element number that the number of an enterprise follows (RFC 7011 section 3.2).
const ENTERPRISE: u16 = 0x8000;

/// The template of one kind of record in one protocol.
#[derive(Clone, Debug)]
pub struct Template {
    id: u16,
    fields: Vec<Field>,
    /// A bit for each field of the flow key: the first field is the lowest.
    keys: u64,
    /// Octets of the shortest data record.
    length: usize,
    /// Octets of the extension row beside a record.
    width: usize,
    copies: Copies,
    /// Octets of a data record that the copies write.
    fixed: usize,
    /// The fields behind them.
    tail: Tail,
    /// Where a data record has its packets and its octets.
    counters: [Range<usize>; 2],
}

impl Template {
    /// The template that the element table gives for these elements.
    pub fn new(protocol: Protocol, format: RecordFormat, kind: Kind, choice: &Choice) -> Self {
        let mut template = Self {
            id: first_id(protocol, choice) + format.offset(protocol) + kind as u16,
            fields: Vec::new(),
            keys: 0,
            length: 0,
            width: choice.width(),
            copies: Copies::default(),
            fixed: 0,
            tail: Tail::default(),
            counters: [0..0, 0..0],
        };
        for element in choice.elements() {
            let Some(length) = format.length(protocol, kind, element) else { continue };
            let start = template.fixed;
            if element.source.is_of_tail() {
                // The table has them last.
                template.length += template.tail.add(&element.source, length);
            } else {
                template.copies.add(&element.source, start, length, choice.groups());
                template.fixed += length;
                template.length += length;
            }
            template.keys |= u64::from(element.is_key(format.aggregates)) << template.fields.len();
            for (column, place) in [row::PACKETS, row::OCTETS].into_iter().zip(&mut template.counters) {
                if element.source.is(column) {
                    *place = start..start + length;
                }
            }
            let (id, enterprise) = element.number(protocol);
            template.fields.push(Field { id, enterprise, length: low_16(length), name: element.name });
        }
        template
    }

    /// Template id.
    pub const fn id(&self) -> u16 {
        self.id
    }

    /// The field specifiers, in order.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Octets of one data record; of the shortest one, where they differ in length.
    pub const fn record_length(&self) -> usize {
        self.length
    }

    /// Octets of the longest data record.
    pub(crate) fn longest(&self) -> usize {
        self.length + self.tail.most_beyond_shortest()
    }

    /// Whether data records have fields of the tail.
    pub(crate) const fn has_tail(&self) -> bool {
        !self.tail.is_empty()
    }

    /// Octets of the data record of this tail.
    pub(crate) fn length_with(&self, tail: &[u8]) -> usize {
        self.fixed + self.tail.length(tail)
    }

    /// The data record that `octets` begin with, and the octets behind it; `None` where it is cut.
    pub(crate) fn split<'a>(&self, octets: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let behind = self.tail.read(octets.get(self.fixed..)?)?;
        octets.split_at_checked(self.fixed + behind)
    }

    /// The template id, and the bits of the fields that make the flow key: the first field is the lowest
    /// (flowKeyIndicator, RFC 7011 section 4.4).
    pub(crate) const fn flow_keys(&self) -> (u16, u64) {
        (self.id, self.keys)
    }

    /// Octets of the template record: id and field count, then each specifier.
    pub(crate) fn described_length(&self) -> usize {
        4 + self.fields.iter().map(|field| if field.enterprise == 0 { 4 } else { 8 }).sum::<usize>()
    }

    /// Writes the template record.
    ///
    /// ```text
    ///  0                   1                   2                   3
    ///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    /// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    /// |      Template ID (> 255)      |         Field Count           |
    /// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    /// |E|  Information Element id     |         Field Length          |
    /// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    /// |              Enterprise Number, if E is 1: IPFIX              |
    /// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    /// |                              ...                              |
    /// ```
    ///
    /// RFC 7011 sections 3.4.1 and 3.2, RFC 3954 section 5.2.
    pub(crate) fn describe(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.id().to_be_bytes());
        bytes.extend(low_16(self.fields.len()).to_be_bytes());
        for field in &self.fields {
            let bit = if field.enterprise == 0 { 0 } else { ENTERPRISE };
            bytes.extend((field.id | bit).to_be_bytes());
            bytes.extend(field.length.to_be_bytes());
            if field.enterprise != 0 {
                bytes.extend(field.enterprise.to_be_bytes());
            }
        }
    }

    /// Packets and octets of one data record.
    pub(crate) fn counters(&self, record: &[u8]) -> [u64; 2] {
        self.counters.clone().map(|place| {
            let octets = record.get(place).unwrap_or_default();
            octets.iter().fold(0, |value, octet| value << 8 | u64::from(*octet))
        })
    }

    /// Writes data records of this template's kind (RFC 7011 section 3.4.3, RFC 3954 section 5.3) over the zeros
    /// in `octets`, which has room for them; gives their octets. `system_start_ms` is the zero of uptimes, milliseconds
    /// since 1970.
    pub(crate) fn encode(&self, slice: Slice<'_>, system_start_ms: u64, octets: &mut [u8]) -> usize {
        let Slice { records, more, tails } = slice;
        let rows = Rows { records, more, width: self.width, system_start_ms };
        if !self.has_tail() {
            self.copies.write(rows, octets, self.length);
            return records.len() * self.length;
        }
        let mut fixed = vec![0; records.len() * self.fixed];
        self.copies.write(rows, &mut fixed, self.fixed);
        let mut written = 0;
        for (fixed, tail) in fixed.chunks_exact(self.fixed.max(1)).zip(tails.iter()) {
            let Some((front, behind)) = octets[written..].split_at_mut_checked(fixed.len()) else { break };
            front.copy_from_slice(fixed);
            written += fixed.len() + self.tail.write(tail, behind);
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use flowxdp_common::field::{Group, Groups};

    use super::*;

    const AGGREGATES: RecordFormat = RecordFormat { aggregates: true, wide: false, text: None };

    fn template(protocol: Protocol, format: RecordFormat, kind: Kind) -> Template {
        Template::new(protocol, format, kind, &Choice::default())
    }

    fn every() -> impl Iterator<Item = (Protocol, RecordFormat, Template)> {
        Protocol::ALL.into_iter().flat_map(|protocol| {
            RecordFormat::ALL.into_iter().flat_map(move |format| {
                Kind::ALL.map(|kind| (protocol, format, template(protocol, format, kind)))
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
            assert!(ids.into_iter().eq(288..304));
        }
    }

    /// A default layout that changes needs other ids, and this number too.
    #[test]
    fn ids_keep_the_layouts_that_they_had() {
        #[derive(Debug)]
        #[expect(dead_code, reason = "the text of a specifier")]
        struct Field {
            id: u16,
            length: u16,
        }
        let layouts = every().map(|(protocol, _, it)| {
            let fields = it.fields().iter().map(|it| Field { id: it.id, length: it.length });
            (protocol, it.id(), fields.collect::<Vec<_>>())
        });
        let text = format!("{:?}", layouts.collect::<Vec<_>>());
        let sum = text.bytes().fold(0_u32, |sum, octet| sum.wrapping_mul(31).wrapping_add(octet.into()));
        assert_eq!((BASE_IDS, sum), (288, 338_529_820));
    }

    #[test]
    fn a_record_has_its_text_alone_and_each_format_has_ids_of_its_own() {
        let choice = Choice::of(Groups::BASE.with(Group::Names));
        for protocol in Protocol::ALL {
            let first = first_id(protocol, &choice);
            assert!(first >= 512 && first.is_multiple_of(64), "{first}");
            let mut ids = std::collections::BTreeSet::new();
            for format in RecordFormat::all(&choice) {
                for kind in Kind::ALL {
                    let template = Template::new(protocol, format, kind, &choice);
                    assert!((first..=first + 63).contains(&template.id()) && ids.insert(template.id()));
                    let names: Vec<&str> =
                        template.fields().iter().rev().map(|field| field.name).take(2).collect();
                    match (format.aggregates, format.text) {
                        (true, _) => assert!(!names.contains(&"applicationId")),
                        (false, None) => assert_eq!(names[0], "applicationId"),
                        (false, Some(text)) => {
                            let name = ["tlsServerName", "httpHost", "dnsQuery"][text as usize];
                            assert_eq!(names, [name, "applicationId"]);
                        }
                    }
                }
            }
            assert_eq!(ids.len(), 40);
        }
    }

    #[test]
    fn another_choice_has_other_ids_and_the_same_choice_the_same() {
        let chosen = |terms: &[&str]| {
            let terms: Vec<String> = terms.iter().map(|term| (*term).to_owned()).collect();
            Choice::parse(Groups::BASE.with(Group::Duration), &terms).unwrap().0
        };
        let choices = [
            chosen(&["default"]),
            chosen(&["default", "-minimumTTL"]),
            chosen(&["default", "-minimumTTL", "-flowDurationMilliseconds"]),
            chosen(&["packetDeltaCount", "octetDeltaCount"]),
        ];
        for protocol in Protocol::ALL {
            let firsts: Vec<u16> = choices.iter().map(|choice| first_id(protocol, choice)).collect();
            let apart: std::collections::BTreeSet<u16> = firsts.iter().copied().collect();
            assert!(
                apart.len() == firsts.len() && apart.iter().all(|id| *id >= 512 && id % 16 == 0),
                "{firsts:?}"
            );
            assert_eq!(first_id(protocol, &chosen(&["default", "-flowDurationMilliseconds"])), 288);
        }
    }

    #[test]
    fn flags_have_one_octet_but_where_ipfix_needs_two_and_v9_times_the_width_of_their_form() {
        for (protocol, format, template) in every() {
            let length = |element| template.fields().iter().find(|it| it.id == element).map(|it| it.length);
            let wide_flags = protocol == Protocol::Ipfix && format.wide;
            assert_eq!(length(6), Some(if wide_flags { 2 } else { 1 }));
            let uptimes = protocol == Protocol::V9 && !format.wide;
            let times = if uptimes { [Some(4), None] } else { [None, Some(8)] };
            assert_eq!([22, 152].map(length), times);
            assert_eq!([21, 153].map(length), times);
        }
    }

    #[test]
    fn templates_hold_the_elements_in_order() {
        let ids = |protocol, format, kind| -> Vec<u16> {
            template(protocol, format, kind).fields().iter().map(|field| field.id).collect()
        };
        assert_eq!(
            ids(Protocol::Ipfix, RecordFormat::USUAL, Kind::Ipv4),
            [8, 12, 7, 11, 4, 5, 58, 10, 2, 1, 152, 153, 6, 52, 53, 25, 26, 136, 60, 61]
        );
        assert_eq!(
            ids(Protocol::Ipfix, RecordFormat::USUAL, Kind::IcmpIpv6),
            [27, 28, 7, 11, 4, 5, 58, 10, 2, 1, 152, 153, 6, 52, 53, 25, 26, 136, 60, 61, 139]
        );
        assert_eq!(
            ids(Protocol::V9, RecordFormat::USUAL, Kind::IcmpIpv4),
            [8, 12, 7, 11, 4, 5, 58, 10, 2, 1, 22, 21, 6, 52, 53, 25, 26, 136, 60, 61, 32]
        );
        assert_eq!(
            ids(Protocol::V9, RecordFormat::USUAL, Kind::IcmpIpv6),
            [27, 28, 7, 11, 4, 5, 58, 10, 2, 1, 22, 21, 6, 52, 53, 25, 26, 136, 60, 61, 178, 179]
        );
        let ipv4 =
            |first, last| [8, 12, 11, 4, 10, 2, 1, first, last, 6, 52, 53, 25, 26, 136, 60, 61, 9, 13, 3];
        assert_eq!(ids(Protocol::Ipfix, AGGREGATES, Kind::Ipv4), ipv4(152, 153));
        assert_eq!(ids(Protocol::V9, AGGREGATES, Kind::Ipv4), ipv4(22, 21));
        assert_eq!(
            ids(Protocol::V9, RecordFormat { aggregates: true, wide: true, text: None }, Kind::IcmpIpv6),
            [27, 28, 11, 4, 10, 2, 1, 152, 153, 6, 52, 53, 25, 26, 136, 60, 61, 178, 179, 29, 30, 3]
        );
    }

    #[test]
    fn the_key_of_an_aggregate_has_no_source() {
        let (id, keys) = template(Protocol::Ipfix, AGGREGATES, Kind::Ipv4).flow_keys();
        assert_eq!((id, keys), (300, 1 << 16 | 0b11110));
    }
}
