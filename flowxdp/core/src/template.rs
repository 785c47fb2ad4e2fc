//! Templates: for each kind of flow record, its fields and how they are copied from a record.

use std::ops::Range;

use crate::elements::{self, ELEMENTS, Element};
use crate::facts::{Fact, Image};
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
    /// What makes up a data record, in order; fields that follow each other in the image are joined.
    copies: Vec<Range<usize>>,
}

impl Template {
    /// The template that the element table gives.
    pub fn new(protocol: Protocol, kind: Kind) -> Self {
        Self::with(kind, kind.id(), |element| element.length.of(protocol))
    }

    /// The v9 template with times of day, for records that sysUptime's 32 bits cannot place.
    ///
    /// NetFlow v9 shares IANA's element numbers, and collectors read 152 and 153 there as in IPFIX.
    pub fn v9_with_times_of_day(kind: Kind) -> Self {
        let kinds = low_16(Kind::ALL.len());
        Self::with(kind, kind.id() + kinds, |element| {
            let is_time =
                matches!(element.fact, Fact::StartMs | Fact::EndMs | Fact::StartUptime | Fact::EndUptime);
            element.length.of(if is_time { Protocol::Ipfix } else { Protocol::V9 })
        })
    }

    fn with(kind: Kind, id: u16, length: impl Fn(&Element) -> Option<u16>) -> Self {
        let mut template = Self { id, fields: Vec::new(), length: 0, copies: Vec::new() };
        for element in ELEMENTS.iter().filter(|element| element.within.holds(kind)) {
            let Some(length) = length(element) else { continue };
            template.fields.push(Field { id: element.id, length });
            let octets = usize::from(length);
            template.length += octets;
            // Reduced size keeps the low octets, which come last (RFC 7011 section 6.2).
            let end = element.fact.place().end;
            template.copy(end - octets..end);
        }
        template
    }

    fn copy(&mut self, place: Range<usize>) {
        match self.copies.last_mut() {
            Some(last) if last.end == place.start => last.end = place.end,
            _ => self.copies.push(place),
        }
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
        let keys = fields.filter(|(_, field)| elements::is_key(field.id)).map(|(place, _)| 1 << place);
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

    /// Writes one data record of this template's kind (RFC 7011 section 3.4.3, RFC 3954 section 5.3).
    #[inline]
    pub(crate) fn encode(&self, record: &FlowRecord, system_start_ms: u64, bytes: &mut Vec<u8>) {
        let image = Image::new(record, system_start_ms);
        for place in &self.copies {
            bytes.extend_from_slice(image.get(place));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_record_is_few_copies() {
        assert_eq!(Template::new(Protocol::Ipfix, Kind::Ipv4).copies.len(), 1);
        assert_eq!(Template::new(Protocol::Ipfix, Kind::Ipv6).copies.len(), 1);
        assert!(Template::new(Protocol::V9, Kind::IcmpIpv6).copies.len() <= 5);
    }

    #[test]
    fn lengths_are_the_sums_of_the_fields() {
        for protocol in [Protocol::Ipfix, Protocol::V9] {
            for kind in Kind::ALL {
                let template = Template::new(protocol, kind);
                let fields: usize = template.fields().iter().map(|field| usize::from(field.length)).sum();
                let copies: usize = template.copies.iter().map(|place| place.len()).sum();
                assert_eq!((fields, copies), (template.record_length(), template.record_length()));
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
    }
}
