//! Why the parser stopped at a header: the rule that the header breaks, with its numbers.
//!
//! The order of the rules is the parser's, so that the first one that is broken is named.

use flowxdp_common::{
    observation::{Observation, Step},
    reason::Ignored,
};
use flowxdp_ebpf::layer::Layer;

use super::{
    names,
    observed::{Link, be16, tag},
};

/// EtherTypes of tags.
const TAGS: [u16; 2] = [0x8100, 0x88a8];

const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;

/// The cause in words.
pub(super) fn cause(observation: &Observation, step: &Step, link: Link) -> String {
    let Some(layer) = Layer::of(step.layer) else { return "no reason given".to_owned() };
    if observation.verdict == Ignored::Truncated as u8 + 1 {
        return truncated(observation, step, layer, link);
    }
    match layer {
        Layer::Ethernet if !link.is_ethernet() => "the link header announces no IP packet".to_owned(),
        Layer::Ethernet => no_ip(be16(step, 0)),
        Layer::Tag => match tag(step) {
            (_, _, number) if TAGS.contains(&number) => format!("a third tag follows (0x{number:04x})"),
            (_, _, number) => no_ip(number),
        },
        Layer::Pppoe => pppoe(observation, step),
        Layer::Label => "more than 8 MPLS labels".to_owned(),
        Layer::Version => "neither version 4 nor version 6 stands behind the last label".to_owned(),
        Layer::Ipv4 => ipv4(observation, step),
        Layer::Ipv6 => ipv6(observation, step),
        Layer::Extension => "more than 8 extension headers".to_owned(),
        Layer::Transport => "no reason given".to_owned(),
        // No tunnel makes a packet ignored.
        Layer::Gre | Layer::Vxlan | Layer::Geneve | Layer::Gtp | Layer::GtpExtension => {
            "no reason given".to_owned()
        }
    }
}

fn no_ip(number: u16) -> String {
    format!("{} is no IP", names::ethernet_type(number))
}

fn pppoe(observation: &Observation, step: &Step) -> String {
    if observation.verdict == Ignored::Malformed as u8 + 1 {
        format!("version, type and code are 0x{:04x}, not 0x1100", be16(step, 0))
    } else {
        format!("{} is no IP", names::ppp(be16(step, 6)))
    }
}

/// Octets that the frame had on the wire from a header on.
fn available(observation: &Observation, step: &Step) -> u32 {
    observation.wire.saturating_sub(step.at)
}

fn ipv4(observation: &Observation, step: &Step) -> String {
    let [first, ..] = step.octets;
    let (version, words) = (first >> 4, first & 0x0f);
    let (total, available) = (u32::from(be16(step, 2)), available(observation, step));
    if version != 4 {
        format!("version is {version}")
    } else if words < 5 {
        format!("header length {words} is below 5 words")
    } else if total == 0 && available < u32::from(words) * 4 {
        format!("header length {words} words is above the {available} octets that the frame has")
    } else if total < u32::from(words) * 4 {
        format!("total length {total} is below the header's {} octets", u32::from(words) * 4)
    } else {
        format!("total length {total} is above the {available} octets that the frame has")
    }
}

fn ipv6(observation: &Observation, step: &Step) -> String {
    let [first, _, _, _, _, _, next, _] = step.octets;
    let (payload, available) = (be16(step, 4), available(observation, step).saturating_sub(40));
    if first >> 4 != 6 {
        format!("version is {}", first >> 4)
    } else if payload == 0 && next == 0 {
        format!("jumbo payload length is above the {available} octets that the frame has")
    } else {
        format!("payload length {payload} is above the {available} octets that the frame has")
    }
}

/// A header that is not wholly captured, or not wholly inside its IP packet.
fn truncated(observation: &Observation, step: &Step, layer: Layer, link: Link) -> String {
    let captured = observation.captured.saturating_sub(step.at);
    if layer == Layer::Ethernet && !link.is_ethernet() {
        return "not all of it is captured".to_owned();
    }
    let needed = needed(step, layer);
    let inside = match layer {
        Layer::Extension | Layer::Transport => ip_start(observation)
            .map(|start| observation.octets.saturating_sub(step.at.saturating_sub(start)))
            .filter(|inside| *inside < needed),
        _ => None,
    };
    match inside {
        Some(inside) => format!("{} needed, the IP packet has {inside}", octets_are(needed)),
        None => format!("{} needed, {captured} captured", octets_are(needed)),
    }
}

fn octets_are(octets: u32) -> String {
    if octets == 1 { "1 octet is".to_owned() } else { format!("{octets} octets are") }
}

/// Octets that the parser asked for; of a header that was read, octets of the whole header.
fn needed(step: &Step, layer: Layer) -> u32 {
    let [first, units, ..] = step.octets.map(u32::from);
    match layer {
        Layer::Ethernet => 14,
        Layer::Tag | Layer::Label | Layer::Gre => 4,
        Layer::Pppoe | Layer::Vxlan | Layer::Geneve | Layer::Gtp => 8,
        Layer::Version | Layer::GtpExtension => 1,
        Layer::Ipv4 if step.was_read != 0 => (first & 0x0f) * 4,
        Layer::Ipv4 => 20,
        Layer::Ipv6 => 40,
        Layer::Extension => match step.kind {
            _ if step.was_read == 0 => 8,
            FRAGMENT => 8,
            AUTHENTICATION => (units + 2) * 4,
            _ => (units + 1) * 8,
        },
        Layer::Transport if matches!(step.kind, 1 | 58) => 2,
        Layer::Transport => 4,
    }
}

/// Where the IP header stands in the frame.
fn ip_start(observation: &Observation) -> Option<u32> {
    let is_ip = |step: &&Step| matches!(Layer::of(step.layer), Some(Layer::Ipv4 | Layer::Ipv6));
    observation.steps().iter().find(is_ip).map(|step| step.at)
}
