//! Names of packets: where a frame's payload is, and the names that the inspector and the flows' names know for it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use flowxdp_common::observation::{METERED, Observation, Step, has_ports};
use flowxdp_core::{
    enrich::names::{
        flows::{FlowName, FlowNames},
        inspector::{Direction, Inspector, Payload},
        verdict::{Names, Verdict},
    },
    record::{FlowRecord, tail},
};
use flowxdp_ebpf::{frame::Slice, layer::Layer, observe::observe};

const TCP: u8 = 6;
const UDP: u8 = 17;

/// Names of the packets of one capture after another, and of the records that they make.
#[derive(Debug, Default)]
pub struct Namer {
    inspector: Inspector,
    flows: FlowNames,
    /// The row and tail of one record.
    row: Vec<u8>,
}

/// The names that are known for a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The names in its payload.
    pub verdict: Verdict,
    /// The name that one end had resolved to the other's address.
    pub resolved: Option<Box<str>>,
}

impl Said {
    /// Whether a message with names was read, also one that leaves its name out.
    #[must_use]
    pub const fn is_named(&self) -> bool {
        matches!(self.verdict, Verdict::Named(_))
    }
}

impl Namer {
    /// As [`Namer::packet`], of an Ethernet frame that had `wire` octets.
    pub fn frame(&mut self, frame: &[u8], wire: u32, now: u64) -> Option<Said> {
        let mut observation = Observation::default();
        observe(&Slice::new(frame, wire), &mut observation);
        self.packet(frame, &observation, now)
    }

    /// The extension row of a record, cut or filled up with zeros to `width`, and behind it the tail with its names.
    pub fn row(&mut self, record: &FlowRecord, row: &[u8], width: usize) -> &[u8] {
        let names = self.flows.names(record);
        self.row.clear();
        self.row.extend(row.iter().take(width));
        self.row.resize(width, 0);
        let application = names.map_or(0, |names| names.application.number());
        tail::write(application, names.and_then(FlowName::text), &mut self.row);
        &self.row
    }

    /// The names of a packet of TCP or UDP, by the observation that the parser made of its frame; none of another
    /// packet or a later fragment. `now` is the packet's time in milliseconds since 1970.
    pub fn packet(&mut self, frame: &[u8], observation: &Observation, now: u64) -> Option<Said> {
        let (flow, payload) = payload(frame, observation)?;
        let verdict = self.inspector.inspect(&flow, &payload);
        self.flows.learn(&flow, &verdict, now);
        let is_dns = matches!(&verdict, Verdict::Named(Names::Dns(_)));
        let resolved = if is_dns {
            None
        } else {
            self.flows.resolved(flow.source, flow.destination, now).map(Into::into)
        };
        Some(Said { verdict, resolved })
    }
}

/// Source and destination address, where an IP header was read.
#[must_use]
pub fn addresses(observation: &Observation) -> Option<(IpAddr, IpAddr)> {
    let [a, b, c, d, e, f, g, h] = observation.addresses;
    let (source, destination) = ([a, b, c, d], [e, f, g, h]);
    match observation.version {
        4 => Some((Ipv4Addr::from(a.to_ne_bytes()).into(), Ipv4Addr::from(e.to_ne_bytes()).into())),
        6 => {
            let address = |words: [u32; 4]| Ipv6Addr::from(bytemuck::cast::<_, [u8; 16]>(words)).into();
            Some((address(source), address(destination)))
        }
        _ => None,
    }
}

fn is_ip(step: &&Step) -> bool {
    matches!(Layer::of(step.layer), Some(Layer::Ipv4 | Layer::Ipv6))
}

/// The direction and the payload of a metered packet of TCP or UDP. The payload ends with its IP packet: octets behind
/// it fill the Ethernet frame.
fn payload<'a>(frame: &'a [u8], observation: &Observation) -> Option<(Direction, Payload<'a>)> {
    let transport = observation.steps().last()?;
    if observation.verdict != METERED
        || Layer::of(transport.layer) != Some(Layer::Transport)
        || !has_ports(transport.kind)
    {
        return None;
    }
    let (source, destination) = addresses(observation)?;
    let [a, b, c, d] = observation.ports;
    let ports = [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])];
    let flow = Direction { source, destination, protocol: observation.protocol, ports };
    let ip = observation.steps().iter().find(is_ip)?.at;
    let end = usize::try_from(ip.checked_add(observation.octets)?).ok()?;
    let start = usize::try_from(transport.at).ok()?;
    let segment = frame.get(start..end.min(frame.len()))?;
    let (sequence, header, length) = match observation.protocol {
        TCP => {
            let [e, f, g, h] = *segment.get(4..)?.first_chunk()?;
            let header = usize::from(segment.get(12)? >> 4) * 4;
            (u32::from_be_bytes([e, f, g, h]), header, end.checked_sub(start)?)
        }
        // A datagram's own length: the first fragment of a longer one has less.
        UDP => (0, 8, usize::from(u16::from_be_bytes(*segment.get(4..)?.first_chunk()?))),
        _ => return None,
    };
    let octets = segment.get(header..length.min(segment.len()))?;
    Some((flow, Payload { sequence, octets, is_cut: length > segment.len() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An Ethernet frame with an IPv4 packet: its length, fragment field and protocol, and the octets behind its header.
    fn frame(length: u16, fragment: u16, protocol: u8, rest: &[u8]) -> Vec<u8> {
        let [a, b] = length.to_be_bytes();
        let [c, d] = fragment.to_be_bytes();
        let header = [0x45, 0, a, b, 0, 0, c, d, 64, protocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
        [&[2; 12][..], &[8, 0], &header, rest].concat()
    }

    /// Sequence number, payload and cut of a frame.
    fn read(frame: &[u8]) -> Option<(u32, Vec<u8>, bool)> {
        let mut observation = Observation::default();
        observe(&Slice::new(frame, u32::try_from(frame.len()).unwrap()), &mut observation);
        let (flow, payload) = payload(frame, &observation)?;
        assert_eq!((flow.source, flow.ports), ([192, 0, 2, 1].into(), [258, 53]));
        Some((payload.sequence, payload.octets.to_vec(), payload.is_cut))
    }

    #[test]
    fn a_payload_ends_with_its_packet_and_says_whether_it_is_cut() {
        let udp = |length: u8, octets: &[u8]| [&[1, 2, 0, 53, 0, length, 0, 0], octets].concat();
        let whole = frame(31, 0, UDP, &udp(11, b"abcpadding"));
        assert_eq!(read(&whole), Some((0, b"abc".to_vec(), false)));
        let fragment = frame(31, 0x2000, UDP, &udp(90, b"abcpadding"));
        assert_eq!(read(&fragment), Some((0, b"abc".to_vec(), true)));
        assert_eq!(read(&frame(31, 0x0007, UDP, &udp(11, b"abc"))), None, "a later fragment has no payload");
        let tcp = |words: u8, octets: &[u8]| {
            [&[1, 2, 0, 53, 0, 0, 0, 9, 0, 0, 0, 0, words << 4, 0, 0, 0, 0, 0, 0, 0], octets].concat()
        };
        assert_eq!(read(&frame(47, 0, TCP, &tcp(6, b"optsabcpadding"))), Some((9, b"abc".to_vec(), false)));
        assert_eq!(
            read(&frame(47, 0, TCP, &tcp(15, b"optsabcpadding"))),
            None,
            "a header longer than its packet"
        );
        assert_eq!(read(&frame(31, 0, 132, &udp(11, b"abc"))), None, "SCTP");
    }
}
