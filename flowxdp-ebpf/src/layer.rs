//! The layers of headers that the parser reads, for sinks that observe the walk.

/// A kind of header. The numbers are shared between the kernel's program and the agent.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// The Ethernet header.
    Ethernet = 1,
    /// An 802.1Q or 802.1ad tag.
    Tag = 2,
    /// A PPPoE session header with its PPP protocol.
    Pppoe = 3,
    /// An entry of an MPLS label stack.
    Label = 4,
    /// The octet behind the last label, whose upper half is the IP version.
    Version = 5,
    /// The fixed IPv4 header.
    Ipv4 = 6,
    /// The fixed IPv6 header.
    Ipv6 = 7,
    /// An IPv6 extension header.
    Extension = 8,
    /// Ports, or the ICMP type and code.
    Transport = 9,
    /// A GRE header.
    Gre = 10,
    /// A VXLAN header.
    Vxlan = 11,
    /// A Geneve header.
    Geneve = 12,
    /// A GTP-U header.
    Gtp = 13,
    /// An extension header of GTP-U.
    GtpExtension = 14,
}

impl Layer {
    /// The layer with a number, if there is one.
    pub const fn of(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Ethernet,
            2 => Self::Tag,
            3 => Self::Pppoe,
            4 => Self::Label,
            5 => Self::Version,
            6 => Self::Ipv4,
            7 => Self::Ipv6,
            8 => Self::Extension,
            9 => Self::Transport,
            10 => Self::Gre,
            11 => Self::Vxlan,
            12 => Self::Geneve,
            13 => Self::Gtp,
            14 => Self::GtpExtension,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Layer;

    #[test]
    fn each_layer_is_found_by_its_number() {
        let layers: Vec<Layer> = (0..=u8::MAX).filter_map(Layer::of).collect();
        assert_eq!(layers.len(), 14);
        assert!(layers.iter().all(|layer| Layer::of(*layer as u8) == Some(*layer)));
    }
}
