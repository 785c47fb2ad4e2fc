//! What kinds of collectors want otherwise than the defaults have it.

use crate::elements::options::{Kind, OptionsTemplate};
use crate::wire::Protocol;

/// A kind of collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Preset {
    /// nfdump's nfcapd counts no options data in an IPFIX domain, and takes those among flows for lost
    /// records: it gets none there. Nor can it read names of variable length: it gets no interfaces.
    Nfdump,
}

impl Preset {
    /// Every preset.
    pub const ALL: [Self; 1] = [Self::Nfdump];

    /// The name, as people type it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nfdump => "nfdump",
        }
    }

    /// The preset with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.name().eq_ignore_ascii_case(name))
    }
}

/// The observation domain of options data that a collector gets: that of the flows or 0, which is for what is
/// true of the whole process (RFC 7011 section 3.1).
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
) -> Option<Place> {
    let nfdump = protocol == Protocol::Ipfix && preset == Some(Preset::Nfdump);
    let wanted = match template.kind {
        // Keys of templates that are not told in domain 0 would mean nothing there.
        Kind::FlowKeys => flow_keys && !nfdump,
        Kind::Interface => !nfdump,
        _ => true,
    };
    let place = if template.is_of_flows() && !nfdump { Place::Flows } else { Place::Process };
    (template.is_in(protocol) && wanted).then_some(place)
}
