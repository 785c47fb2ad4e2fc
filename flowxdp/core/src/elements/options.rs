//! The information elements of options data, by template.
//!
//! The order of the rows of a template is the order of its fields, scopes first.

use crate::elements::data_type::DataType::{
    self, DateTimeMilliseconds, Float64, OctetArray, String, Unsigned8, Unsigned16, Unsigned32, Unsigned64,
};
use crate::elements::{Choice, Source};
use crate::exporting::wire::Protocol;

mod item;
mod subjects;

pub use item::Item;
pub use subjects::{Subject, Subjects};

/// The length that stands for "in front of the value" (RFC 7011 section 7); IPFIX alone has it.
pub const VARIABLE: u16 = 65_535;

/// Scope field type "System" of NetFlow v9 (RFC 3954 section 6.1).
const V9_SYSTEM: u16 = 1;

/// An options template.
#[derive(Clone, Copy, Debug)]
pub struct OptionsTemplate {
    /// Template id.
    pub id: u16,
    /// The subject of its records.
    pub kind: Kind,
    /// A line for the manual.
    pub manual: &'static str,
    /// Its fields, scopes first.
    pub fields: &'static [OptionsField],
}

/// A kind of options record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Records exported so far.
    Statistics,
    /// Packets that the metering process ignored.
    MeteringReliability,
    /// Records that the exporting process did not send.
    ExportingReliability,
    /// Which fields of a template make the flow key.
    FlowKeys,
    /// An interface.
    Interface,
    /// The exporter.
    Exporter,
    /// How packets are selected.
    Sampler,
    /// Names of applications.
    Applications,
    /// Types of elements that are an enterprise's.
    Types,
}

impl Kind {
    /// The subject of its records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Statistics => "statistics",
            Self::MeteringReliability => "metering reliability",
            Self::ExportingReliability => "exporting reliability",
            Self::FlowKeys => "flow keys",
            Self::Interface => "interfaces",
            Self::Exporter => "exporter",
            Self::Sampler => "sampler",
            Self::Applications => "applications",
            Self::Types => "types",
        }
    }
}

/// A field of an options template.
#[derive(Clone, Copy, Debug)]
pub struct OptionsField {
    /// Number in IANA's registry, or v9's scope field type.
    pub id: u16,
    /// Name in IANA's registry, or of v9's scope.
    pub name: &'static str,
    /// Abstract data type in IANA's registry.
    pub data_type: DataType,
    /// The source of its value.
    pub item: Item,
    /// The protocols that carry it, and its length there.
    pub length: Length,
    /// The protocols where it is a scope.
    scope: Scope,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    None,
    /// In IPFIX; in v9, where it is there, it is a plain field.
    Ipfix,
    /// In v9, by its own scope field types.
    V9,
}

/// The length of an options field, octets, in the protocols that carry it.
///
/// Shorter than the data type where a reduced size (RFC 7011 section 6.2) holds every value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// The same in IPFIX and v9.
    Both(u16),
    /// In IPFIX, then in v9.
    Each(u16, u16),
    /// Carried by IPFIX alone: v9 says the same by another element.
    Ipfix(u16),
    /// Carried by v9 alone: IPFIX says the same by another element.
    V9(u16),
}

impl Length {
    /// The usual length in `protocol`, octets; `None` if it does not carry the element.
    pub const fn of(self, protocol: Protocol) -> Option<u16> {
        match (self, protocol) {
            (Self::Both(n) | Self::Each(n, _) | Self::Ipfix(n), Protocol::Ipfix)
            | (Self::Both(n) | Self::Each(_, n) | Self::V9(n), Protocol::V9) => Some(n),
            (Self::Ipfix(_), Protocol::V9) | (Self::V9(_), Protocol::Ipfix) => None,
        }
    }
}

impl OptionsField {
    /// Whether it is a scope field.
    pub const fn is_scope(&self, protocol: Protocol) -> bool {
        matches!((self.scope, protocol), (Scope::Ipfix, Protocol::Ipfix) | (Scope::V9, Protocol::V9))
    }
}

impl OptionsTemplate {
    /// The fields in a protocol; none where it has no form for these records.
    pub fn fields(&self, protocol: Protocol) -> impl Iterator<Item = (&'static OptionsField, u16)> + Clone {
        self.fields.iter().filter_map(move |field| Some((field, field.length.of(protocol)?)))
    }

    /// Whether the protocol has these records.
    pub fn is_in(&self, protocol: Protocol) -> bool {
        self.fields(protocol).next().is_some()
    }

    /// Whether they tell flow keys, which go with the templates that they speak of.
    pub const fn is_of_keys(&self) -> bool {
        matches!(self.kind, Kind::FlowKeys)
    }

    /// Whether they belong to the flows' observation domain; all others are process-wide.
    ///
    /// Collectors look a sampler up by version, domain and id: one that finds none shows a rate of 0, or
    /// drops the flows.
    pub const fn is_of_flows(&self) -> bool {
        !matches!(
            self.kind,
            Kind::Statistics | Kind::MeteringReliability | Kind::ExportingReliability | Kind::Exporter
        )
    }

    /// Whether records with these elements need them.
    pub fn is_for(&self, choice: &Choice) -> bool {
        match self.kind {
            Kind::Applications => {
                choice.elements().any(|element| matches!(element.source, Source::Application))
            }
            Kind::Types => choice.elements().any(|element| element.enterprise != 0),
            _ => true,
        }
    }
}

/// All options templates, in the order in which they go out.
///
/// Templates with an element twice come last: a decoder that cannot read them drops the rest of the message.
#[rustfmt::skip]
pub const OPTIONS: [OptionsTemplate; 9] = [
    template(280, Kind::Statistics,
        "Metering process statistics (RFC 7011 section 4.1): totals sent to this collector so far.", &[
        scope(149, "observationDomainId", Unsigned32, Item::Process, Length::Ipfix(4)),
        scope(143, "meteringProcessId", Unsigned32, Item::Process, Length::Ipfix(4)),
        v9_scope(),
        row(143, "meteringProcessId", Unsigned32, Item::Process, Length::V9(4)),
        row(41, "exportedMessageTotalCount", Unsigned64, Item::ExportedMessages, Length::Both(8)),
        row(42, "exportedFlowRecordTotalCount", Unsigned64, Item::ExportedFlowRecords, Length::Both(8)),
        row(40, "exportedOctetTotalCount", Unsigned64, Item::ExportedOctets, Length::Both(8)),
    ]),
    template(277, Kind::Exporter,
        "The exporter: its name, when its clock of the system began, and how it speaks to this collector.", &[
        scope(144, "exportingProcessId", Unsigned32, Item::Process, Length::Ipfix(4)),
        row(300, "observationDomainName", String, Item::ExporterName, Length::Ipfix(VARIABLE)),
        row(160, "systemInitTimeMilliseconds", DateTimeMilliseconds, Item::SystemInitTime, Length::Ipfix(8)),
        row(214, "exportProtocolVersion", Unsigned8, Item::ProtocolVersion, Length::Ipfix(1)),
        row(215, "exportTransportProtocol", Unsigned8, Item::TransportProtocol, Length::Ipfix(1)),
        row(217, "exporterTransportPort", Unsigned16, Item::ExporterPort, Length::Ipfix(2)),
    ]),
    template(279, Kind::Sampler,
        "The selector of packets: uniform, each packet with the probability of one, which is every packet.", &[
        v9_scope(),
        scope(302, "selectorId", Unsigned64, Item::SelectorId, Length::Ipfix(4)),
        row(304, "selectorAlgorithm", Unsigned16, Item::SelectorAlgorithm, Length::Ipfix(2)),
        row(311, "samplingProbability", Float64, Item::SamplingProbability, Length::Ipfix(8)),
        // In front of the packet space: nfdump takes the later of the two for it.
        row(34, "samplingInterval", Unsigned32, Item::SamplingInterval, Length::Both(4)),
        row(305, "samplingPacketInterval", Unsigned32, Item::SampledPackets, Length::Ipfix(4)),
        row(306, "samplingPacketSpace", Unsigned32, Item::SamplingSpace, Length::Ipfix(4)),
        row(48, "samplerId", Unsigned8, Item::SelectorId, Length::V9(1)),
        row(49, "samplerMode", Unsigned8, Item::SamplerMode, Length::V9(1)),
        row(50, "samplerRandomInterval", Unsigned32, Item::SamplingInterval, Length::V9(4)),
    ]),
    template(276, Kind::Interface,
        "Interfaces, again when one changes.", &[
        v9_scope(),
        scope(10, "ingressInterface", Unsigned32, Item::InterfaceIndex, Length::Both(4)),
        row(82, "interfaceName", String, Item::InterfaceName, Length::Each(VARIABLE, 16)),
        row(83, "interfaceDescription", String, Item::InterfaceDescription, Length::Each(VARIABLE, 64)),
    ]),
    template(283, Kind::Applications,
        "Names of applications (RFC 6759), where records have applicationId.", &[
        v9_scope(),
        scope(95, "applicationId", OctetArray, Item::ApplicationId, Length::Both(4)),
        row(96, "applicationName", String, Item::ApplicationName, Length::Each(VARIABLE, 24)),
    ]),
    template(284, Kind::Types,
        "Types of elements that are an enterprise's (RFC 5610), where records have them.", &[
        scope(346, "privateEnterpriseNumber", Unsigned32, Item::Enterprise, Length::Ipfix(4)),
        scope(303, "informationElementId", Unsigned16, Item::ElementId, Length::Ipfix(2)),
        row(339, "informationElementDataType", Unsigned8, Item::ElementDataType, Length::Ipfix(1)),
        row(344, "informationElementSemantics", Unsigned8, Item::ElementSemantics, Length::Ipfix(1)),
        row(341, "informationElementName", String, Item::ElementName, Length::Ipfix(VARIABLE)),
    ]),
    template(275, Kind::FlowKeys,
        "Flow keys (section 4.4), in the flows' own observation domain: bit n for field n of the template.", &[
        scope(145, "templateId", Unsigned16, Item::TemplateId, Length::Ipfix(2)),
        row(173, "flowKeyIndicator", Unsigned64, Item::FlowKeyIndicator, Length::Ipfix(8)),
    ]),
    template(281, Kind::MeteringReliability,
        "Metering process reliability (section 4.2): packets that were ignored, and when first and last.", &[
        scope(149, "observationDomainId", Unsigned32, Item::Process, Length::Ipfix(4)),
        scope(143, "meteringProcessId", Unsigned32, Item::Process, Length::Ipfix(4)),
        v9_scope(),
        row(143, "meteringProcessId", Unsigned32, Item::Process, Length::V9(4)),
        row(164, "ignoredPacketTotalCount", Unsigned64, Item::IgnoredPackets, Length::Both(8)),
        row(165, "ignoredOctetTotalCount", Unsigned64, Item::IgnoredOctets, Length::Both(8)),
        row(323, "observationTimeMilliseconds", DateTimeMilliseconds, Item::FirstIgnored, Length::Both(8)),
        row(323, "observationTimeMilliseconds", DateTimeMilliseconds, Item::LastIgnored, Length::Both(8)),
    ]),
    template(282, Kind::ExportingReliability,
        "Exporting process reliability (section 4.3): records that were not sent, and when first and last.", &[
        scope(144, "exportingProcessId", Unsigned32, Item::Process, Length::Ipfix(4)),
        v9_scope(),
        row(144, "exportingProcessId", Unsigned32, Item::Process, Length::V9(4)),
        row(166, "notSentFlowTotalCount", Unsigned64, Item::NotSentFlows, Length::Both(8)),
        row(167, "notSentPacketTotalCount", Unsigned64, Item::NotSentPackets, Length::Both(8)),
        row(168, "notSentOctetTotalCount", Unsigned64, Item::NotSentOctets, Length::Both(8)),
        row(323, "observationTimeMilliseconds", DateTimeMilliseconds, Item::FirstNotSent, Length::Both(8)),
        row(323, "observationTimeMilliseconds", DateTimeMilliseconds, Item::LastNotSent, Length::Both(8)),
    ]),
];

const fn template(
    id: u16,
    kind: Kind,
    manual: &'static str,
    fields: &'static [OptionsField],
) -> OptionsTemplate {
    OptionsTemplate { id, kind, manual, fields }
}

const fn row(id: u16, name: &'static str, data_type: DataType, item: Item, length: Length) -> OptionsField {
    OptionsField { id, name, data_type, item, length, scope: Scope::None }
}

const fn scope(id: u16, name: &'static str, data_type: DataType, item: Item, length: Length) -> OptionsField {
    OptionsField { id, name, data_type, item, length, scope: Scope::Ipfix }
}

/// The system, which RFC 3954 gives no number. Here it has 0: decoders that take a scope's type for an
/// element number (1: octets) add nothing up by it. A plain field names the process, so that a record whose
/// counters are all 0 is not taken for padding.
const fn v9_scope() -> OptionsField {
    let (name, length) = ("System", Length::V9(4));
    OptionsField { id: V9_SYSTEM, name, data_type: Unsigned32, item: Item::System, length, scope: Scope::V9 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elements::registry;

    #[test]
    fn every_row_agrees_with_the_registry() {
        // A scope field of v9 has a number of its own there.
        let fields = OPTIONS.iter().flat_map(|template| template.fields);
        for field in fields.filter(|field| field.scope != Scope::V9) {
            let entry = registry::get(field.id).unwrap();
            assert_eq!((field.name, field.data_type), (entry.name, entry.data_type), "{}", field.id);
        }
    }

    #[test]
    fn scopes_come_first() {
        for protocol in [Protocol::Ipfix, Protocol::V9] {
            for template in OPTIONS.iter().filter(|template| template.is_in(protocol)) {
                let scopes: Vec<bool> =
                    template.fields(protocol).map(|(field, _)| field.is_scope(protocol)).collect();
                let ordered = scopes.is_sorted_by_key(|scope| !scope);
                assert!(scopes[0] && !scopes.ends_with(&[true]) && ordered, "{protocol} {:?}", template.kind);
            }
        }
    }

    #[test]
    fn only_ipfix_has_variable_lengths() {
        for template in &OPTIONS {
            assert!(template.fields(Protocol::V9).all(|(_, length)| length < VARIABLE));
            for (field, length) in template.fields(Protocol::Ipfix) {
                assert_eq!(length == VARIABLE, field.data_type == String, "{}", field.name);
            }
        }
    }

    #[test]
    fn what_says_an_element_twice_comes_last() {
        for protocol in [Protocol::Ipfix, Protocol::V9] {
            let twice = OPTIONS.map(|template| {
                let ids = template.fields(protocol).map(|(field, _)| field.id);
                ids.collect::<std::collections::BTreeSet<u16>>().len() < template.fields(protocol).count()
            });
            assert!(twice.is_sorted() && twice.contains(&true));
        }
    }

    #[test]
    fn ids_are_apart_from_those_of_flow_records() {
        let ids: std::collections::BTreeSet<u16> = OPTIONS.iter().map(|template| template.id).collect();
        assert_eq!(ids.len(), OPTIONS.len());
        assert!(ids.iter().all(|id| *id >= 272));
    }
}
