//! The inspector: payloads of flows become verdicts, and a few packets are held while a message is incomplete.

use std::net::IpAddr;

use flowxdp_common::copy::{DNS, is_service};

use super::{
    dns,
    generations::Generations,
    hello, http,
    quic::{self, Client},
    records,
    stream::Stream,
    verdict::{Names, Reason, Verdict},
};

/// Flows of which packets are held, at most.
pub const FLOWS: usize = 1024;

/// Octets that are held of a flow, at most: a ClientHello with post-quantum key shares has about 2,000.
pub const OCTETS: usize = 12 << 10;

/// TCP segments that are held of a flow.
pub(super) const SEGMENTS: usize = 3;

const TCP: u8 = 6;
const UDP: u8 = 17;

/// One direction of a flow: packets from a source to a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Direction {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// IANA protocol number.
    pub protocol: u8,
    /// Source and destination port.
    pub ports: [u16; 2],
}

/// The payload of a packet.
#[derive(Clone, Copy, Debug)]
pub struct Payload<'a> {
    /// Sequence number of its first octet, over TCP alone.
    pub sequence: u32,
    /// The octets behind the transport header.
    pub octets: &'a [u8],
    /// The packet has more payload than `octets`, which no later packet brings.
    pub is_cut: bool,
}

/// Payloads of many flows.
#[derive(Debug)]
pub struct Inspector {
    streams: Generations<Direction, Stream>,
    clients: Generations<Direction, Client>,
}

impl Default for Inspector {
    fn default() -> Self {
        Self { streams: Generations::new(FLOWS / 2), clients: Generations::new(FLOWS / 2) }
    }
}

impl Inspector {
    /// The names that a packet says, with the packets of its flow that are held.
    pub fn inspect(&mut self, flow: &Direction, payload: &Payload<'_>) -> Verdict {
        if payload.octets.is_empty() {
            return Verdict::Unnamed(Reason::Nameless);
        }
        let result = match flow.protocol {
            TCP => self.segment(flow, payload),
            UDP => self.datagram(flow, payload),
            _ => Err(Reason::Unknown),
        };
        result.map_or_else(Verdict::Unnamed, Verdict::Named)
    }

    fn segment(&mut self, flow: &Direction, payload: &Payload<'_>) -> Result<Names, Reason> {
        let Some(mut stream) = self.streams.take(flow) else {
            // A segment that begins as no message may have overtaken the first.
            let is_expected = flow.ports.into_iter().any(is_service);
            return match message(payload.octets, flow) {
                Err(Reason::Incomplete) => self.hold(flow, Stream::default(), payload, Reason::Incomplete),
                Err(reason) if is_expected && may_overtake(payload.octets, flow, reason) => {
                    self.hold(flow, Stream::default(), payload, reason)
                }
                result => result,
            };
        };
        stream.add(payload.sequence, payload.octets);
        match message(&stream.prefix(), flow) {
            Err(Reason::Incomplete) => self.hold(flow, stream, payload, Reason::Incomplete),
            Err(reason) if may_overtake(&stream.prefix(), flow, reason) => {
                self.hold(flow, stream, payload, reason)
            }
            result => result,
        }
    }

    /// Holds a segment for those that follow. The reason stands, but for a message that outgrows the room.
    fn hold(
        &mut self,
        flow: &Direction,
        mut stream: Stream,
        payload: &Payload<'_>,
        reason: Reason,
    ) -> Result<Names, Reason> {
        if payload.is_cut {
            return Err(Reason::Truncated);
        }
        stream.add(payload.sequence, payload.octets);
        if stream.is_full() {
            return Err(if reason == Reason::Incomplete { Reason::TooLong } else { reason });
        }
        self.streams.insert(*flow, stream);
        Err(reason)
    }

    fn datagram(&mut self, flow: &Direction, payload: &Payload<'_>) -> Result<Names, Reason> {
        if flow.ports.contains(&DNS) {
            return dns::read(payload.octets).map(Names::Dns).map_err(|reason| match reason {
                Reason::Incomplete | Reason::Malformed if payload.is_cut => Reason::Truncated,
                Reason::Incomplete => Reason::Malformed,
                other => other,
            });
        }
        if !quic::begins(payload.octets) {
            return Err(if quic::is_short(payload.octets, flow.ports) {
                Reason::Encrypted
            } else {
                Reason::Unknown
            });
        }
        if payload.is_cut {
            return Err(Reason::Truncated);
        }
        let mut client = self.clients.take(flow);
        let result = quic::read(payload.octets, &mut client);
        if let (Err(Reason::Incomplete | Reason::Encrypted), Some(client)) = (&result, client) {
            self.clients.insert(*flow, client);
        }
        result.map(Names::Quic)
    }
}

/// Whether octets that are no message may stand behind the first segment of one: any octets that are unknown, and a
/// client's later handshake record, which begins with octets of the ClientHello in place of a type and a length.
fn may_overtake(octets: &[u8], flow: &Direction, reason: Reason) -> bool {
    match reason {
        Reason::Unknown => true,
        Reason::Encrypted | Reason::TooLong | Reason::Nameless | Reason::Malformed => {
            octets.first() == Some(&records::HANDSHAKE) && is_service(flow.ports[1])
        }
        _ => false,
    }
}

/// The message that a stream begins with.
fn message(octets: &[u8], flow: &Direction) -> Result<Names, Reason> {
    if flow.ports.contains(&DNS) {
        dns::stream(octets).map(Names::Dns)
    } else if records::begins(octets) {
        let (kind, body) = records::handshake(octets)?;
        hello::read(kind, &body).map(Names::Tls)
    } else if http::begins(octets) {
        http::read(octets).map(Names::Http)
    } else {
        Err(Reason::Unknown)
    }
}
