//! An observation in words: each header that was read, and where it stands.

use std::cmp::Ordering;

use flowxdp_common::observation::{Observation, Step, has_ports};
use flowxdp_ebpf::layer::Layer;

use super::names;
use crate::names::addresses;

/// Octets of the Ethernet header.
const ETHERNET: u32 = 14;

/// LINKTYPE_ETHERNET.
const LINK_ETHERNET: u32 = 1;

/// The EtherType that a packet of another link type gets where its link header announces no IP packet.
const NO_IP: u16 = 0x88b5;

/// The link header that a packet was captured with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    /// LINKTYPE value.
    pub(super) number: u32,
    /// Octets of the link header that an Ethernet header stands for.
    pub(super) length: u32,
}

impl Link {
    /// An Ethernet header stands for itself.
    pub(super) const ETHERNET: Self = Self { number: LINK_ETHERNET, length: ETHERNET };

    pub(super) const fn is_ethernet(self) -> bool {
        self.number == LINK_ETHERNET
    }

    /// An offset in the packet as it was captured, for one in the frame that the parser read.
    pub(super) const fn octet(self, at: u32) -> u32 {
        if at < ETHERNET { 0 } else { at - ETHERNET + self.length }
    }
}

/// The octets of a tag: priority, identifier, and the EtherType behind it.
pub(super) fn tag(step: &Step) -> (u8, u16, u16) {
    let [a, b, c, d, ..] = step.octets;
    let control = u16::from_be_bytes([a, b]);
    (a >> 5, control & 0x0fff, u16::from_be_bytes([c, d]))
}

/// The two octets of a header from `at`, in network byte order.
pub(super) fn be16(step: &Step, at: usize) -> u16 {
    let octets = step.octets.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default();
    u16::from_be_bytes(octets)
}

/// The value of an MPLS label, 20 bits.
fn label(step: &Step) -> u32 {
    let [a, b, c, ..] = step.octets;
    u32::from_be_bytes([0, a, b, c]) >> 4
}

/// The kind of a header, as the text and JSON call it.
pub(super) fn kind(step: &Step) -> &'static str {
    match Layer::of(step.layer) {
        Some(Layer::Ethernet) => "Ethernet",
        Some(Layer::Tag) => "VLAN tag",
        Some(Layer::Pppoe) => "PPPoE",
        Some(Layer::Label) => "MPLS label",
        Some(Layer::Version) => "IP version",
        Some(Layer::Ipv4) => "IPv4",
        Some(Layer::Ipv6) => "IPv6",
        Some(Layer::Extension) => "IPv6 extension",
        Some(Layer::Transport) => "transport",
        Some(Layer::Gre) => "GRE",
        Some(Layer::Vxlan) => "VXLAN",
        Some(Layer::Geneve) => "Geneve",
        Some(Layer::Gtp) => "GTP-U",
        Some(Layer::GtpExtension) => "GTP-U extension",
        None => "header",
    }
}

/// The header at which the parser stopped, without its content.
pub(super) fn header(step: &Step, link: Link) -> String {
    match Layer::of(step.layer) {
        Some(Layer::Ethernet) if !link.is_ethernet() => format!("header of link type {}", link.number),
        Some(Layer::Extension) => match names::protocol(step.kind) {
            name if name.ends_with("options") => format!("{name} header"),
            name => name,
        },
        Some(Layer::Transport) => format!("{} header", names::protocol(step.kind)),
        Some(Layer::Tag | Layer::Label | Layer::Version) => kind(step).to_owned(),
        _ => format!("{} header", kind(step)),
    }
}

/// A header that was read and held no fault; none for the octet with the IP version.
pub(super) fn read(observation: &Observation, step: &Step, link: Link) -> Option<String> {
    Some(match Layer::of(step.layer)? {
        Layer::Ethernet => ethernet(step, link),
        Layer::Tag => {
            let (priority, identifier, _) = tag(step);
            let is_beside = observation.tag_beside != 0 && step.at == ETHERNET;
            let beside = if is_beside { " (beside the packet)" } else { "" };
            format!("VLAN {identifier} priority {priority}{beside}")
        }
        Layer::Pppoe => format!("PPPoE session 0x{:04x}", be16(step, 2)),
        Layer::Label => format!("MPLS label {}", label(step)),
        Layer::Version => return None,
        Layer::Ipv4 | Layer::Ipv6 => match depth(observation, step).cmp(&observation.tunnels) {
            Ordering::Less => kind(step).to_owned(),
            Ordering::Equal => {
                let (source, destination) = addresses(observation)?;
                format!("{} {source} to {destination}", kind(step))
            }
            Ordering::Greater => format!("{} not to be metered", kind(step)),
        },
        Layer::Extension => names::protocol(step.kind),
        Layer::Transport if depth(observation, step) == observation.tunnels => transport(observation, step),
        Layer::Transport => names::protocol(step.kind),
        Layer::Gre if be16(step, 0) & GRE_KEY != 0 => "GRE with a key".to_owned(),
        Layer::Vxlan | Layer::Geneve => format!("{} {}", kind(step), be32(step) >> 8),
        Layer::Gtp => format!("GTP-U {}", be32(step)),
        Layer::Gre | Layer::GtpExtension => kind(step).to_owned(),
    })
}

/// The bit of a GRE header that announces a key.
const GRE_KEY: u16 = 0x2000;

/// The second four octets of a header, in network byte order.
fn be32(step: &Step) -> u32 {
    let [_, _, _, _, octets @ ..] = step.octets;
    u32::from_be_bytes(octets)
}

/// Tunnels around an IP header, or around the headers behind it.
fn depth(observation: &Observation, step: &Step) -> u8 {
    let is_ip = |step: &&Step| matches!(Layer::of(step.layer), Some(Layer::Ipv4 | Layer::Ipv6));
    let headers = observation.steps().iter().filter(is_ip).filter(|other| other.at <= step.at);
    u8::try_from(headers.count().saturating_sub(1)).unwrap_or(u8::MAX)
}

fn ethernet(step: &Step, link: Link) -> String {
    match (be16(step, 0), link.is_ethernet()) {
        (number, true) => format!("Ethernet 0x{number:04x}"),
        (NO_IP, false) => format!("link type {}", link.number),
        (number, false) => format!("link type {} with EtherType 0x{number:04x}", link.number),
    }
}

/// The transport header of a metered packet.
fn transport(observation: &Observation, step: &Step) -> String {
    let [a, b, c, d] = observation.ports;
    let name = names::protocol(step.kind);
    if has_ports(step.kind) {
        format!("{name} ports {} to {}", u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
    } else if matches!(step.kind, 1 | 58) {
        format!("{name} type {c} code {d}")
    } else {
        name
    }
}
