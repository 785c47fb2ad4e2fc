//! The table of presets: settings that a kind of collector needs. A kind more is a row more.

use crate::clock::SECOND;
use crate::elements::options::{Kind, OptionsTemplate, Subjects};
use crate::exporting::protocol::Protocol as AnyProtocol;
use crate::exporting::wire::Protocol;

/// A kind of collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Preset {
    /// nfdump's nfcapd.
    Nfdump,
    /// Akvorado.
    Akvorado,
    /// goflow2, and the programs around it.
    Goflow2,
    /// The NetFlow input of Elastic's Filebeat.
    Elastic,
    /// SolarWinds NetFlow Traffic Analyzer.
    Solarwinds,
    /// ntopng, behind nProbe.
    Ntopng,
    /// A collector that reads the record of the first routers alone.
    NetflowOriginal,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The kind.
    pub preset: Preset,
    /// Its name in URLs and files.
    pub name: &'static str,
    /// The protocol of a collector whose URL has none; `None` for the common one.
    pub protocol: Option<AnyProtocol>,
    /// In IPFIX all options data go in domain 0, without flow keys and interfaces.
    pub options_apart: bool,
    /// Over UDP templates go out again after so many nanoseconds at most.
    pub template_interval: Option<u64>,
    /// The terms of its fields, where its URL has none; empty for all that are collected.
    pub fields: &'static [&'static str],
    /// The longest active timeout that it shows rightly, seconds.
    pub active_timeout_s: Option<u64>,
}

/// The record of NetFlow's first routers: no TTL, lengths, VLAN or end reason.
const ORIGINAL: &[&str] = &[
    "sourceIPv4Address",
    "destinationIPv4Address",
    "sourceIPv6Address",
    "destinationIPv6Address",
    "sourceTransportPort",
    "destinationTransportPort",
    "protocolIdentifier",
    "ipClassOfService",
    "ingressInterface",
    "packetDeltaCount",
    "octetDeltaCount",
    "flowStartMilliseconds",
    "flowEndMilliseconds",
    "flowStartSysUpTime",
    "flowEndSysUpTime",
    "tcpControlBits",
    "icmpTypeCodeIPv4",
    "icmpTypeCodeIPv6",
    "icmpTypeIPv6",
    "icmpCodeIPv6",
];

/// A collector that needs nothing but its protocol.
const PLAIN: Row = Row {
    preset: Preset::Goflow2,
    name: "goflow2",
    protocol: Some(AnyProtocol::Ipfix),
    options_apart: false,
    template_interval: None,
    fields: &[],
    active_timeout_s: None,
};

const MINUTE: Option<u64> = Some(60 * SECOND);

/// All presets.
const PRESETS: [Row; 7] = [
    // nfcapd counts no options data in an IPFIX domain, takes options data among flows for lost records, and
    // reads no names of variable length.
    Row { preset: Preset::Nfdump, name: "nfdump", protocol: None, options_apart: true, ..PLAIN },
    // A flow is dropped until the sampler of its domain is known.
    Row {
        preset: Preset::Akvorado,
        name: "akvorado",
        template_interval: MINUTE,
        active_timeout_s: Some(60),
        ..PLAIN
    },
    PLAIN,
    // Start, end and duration follow from the uptimes of v9, and in IPFIX from 161 alone.
    Row {
        preset: Preset::Elastic,
        name: "elastic",
        protocol: Some(AnyProtocol::V9),
        template_interval: MINUTE,
        ..PLAIN
    },
    // IPFIX is read of a few makers' exporters alone.
    Row {
        preset: Preset::Solarwinds,
        name: "solarwinds",
        protocol: Some(AnyProtocol::V9),
        template_interval: MINUTE,
        active_timeout_s: Some(60),
        ..PLAIN
    },
    Row { preset: Preset::Ntopng, name: "ntopng", active_timeout_s: Some(60), ..PLAIN },
    Row {
        preset: Preset::NetflowOriginal,
        name: "netflow-original",
        protocol: Some(AnyProtocol::V9),
        fields: ORIGINAL,
        ..PLAIN
    },
];

impl Preset {
    /// Every preset.
    pub const ALL: [Self; PRESETS.len()] = {
        let mut all = [Self::Nfdump; PRESETS.len()];
        let mut at = 0;
        while at < all.len() {
            all[at] = PRESETS[at].preset;
            at += 1;
        }
        all
    };

    /// Its row.
    pub const fn row(self) -> &'static Row {
        // The rows stand in the order of the kinds.
        &PRESETS[self as usize]
    }

    /// The name, as people type it.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// The preset with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.name().eq_ignore_ascii_case(name))
    }
}

/// The observation domain of a collector's options data: the flows' domain, or 0 for data about the whole
/// process (RFC 7011 section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Flows,
    Process,
}

/// Where the data of an options template go; `None` if this collector gets none.
pub(super) fn place(
    template: &OptionsTemplate,
    protocol: Protocol,
    preset: Option<Preset>,
    flow_keys: bool,
    subjects: Subjects,
) -> Option<Place> {
    let apart = protocol == Protocol::Ipfix && preset.is_some_and(|preset| preset.row().options_apart);
    let wanted = match template.kind {
        // Keys of templates that are not told in domain 0 would mean nothing there.
        Kind::FlowKeys => flow_keys && !apart,
        Kind::Interface | Kind::Applications | Kind::Types => !apart,
        _ => true,
    };
    let place = if template.is_of_flows() && !apart { Place::Flows } else { Place::Process };
    (template.is_in(protocol) && wanted && subjects.have(template.kind)).then_some(place)
}

#[cfg(test)]
mod tests {
    use flowxdp_common::field::Groups;

    use super::*;
    use crate::elements::Choice;

    #[test]
    fn each_row_stands_at_its_kind_and_its_fields_are_collected() {
        for preset in Preset::ALL {
            let row = preset.row();
            assert_eq!((row.preset, Preset::named(row.name)), (preset, Some(preset)));
            let fields: Vec<String> = row.fields.iter().map(|term| (*term).to_owned()).collect();
            assert!(
                fields.is_empty()
                    || Choice::parse(Groups::BASE, &fields).is_ok_and(|(_, absent)| absent.is_empty())
            );
        }
    }
}
