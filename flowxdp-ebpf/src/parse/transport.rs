//! The transport header's part of the key: ports, or the ICMP type and code; and the TCP flags.

use flowxdp_common::reason::Ignored;

use crate::{
    frame::{Frame, Header, Packet},
    layer::Layer,
    verdict::Sink,
};

/// IANA protocol number of TCP, whose packets alone may have an IP length of 0.
pub const TCP: u8 = 6;

/// IANA protocol number of UDP, whose destination port tells tunnels.
pub const UDP: u8 = 17;

/// IANA protocol numbers of the other protocols whose header is read.
mod protocol {
    pub(super) const ICMP: u8 = 1;
    pub(super) const DCCP: u8 = 33;
    pub(super) const ICMPV6: u8 = 58;
    pub(super) const SCTP: u8 = 132;
    pub(super) const UDP_LITE: u8 = 136;
}

/// Ports as they lie in the key, and TCP flags.
#[derive(Clone, Copy)]
pub struct Transport {
    /// [`flowxdp_common::key::KeyTail::ports`].
    pub ports: [u8; 4],
    /// 12 flag bits, 0 for all but TCP.
    pub tcp_flags: u16,
}

/// A packet without ports: a later fragment, or a protocol that has none.
pub const NONE: Transport = Transport { ports: [0; 4], tcp_flags: 0 };

/// Reads the header of `protocol`, `from` octets behind the start of `packet`.
#[inline(always)]
pub fn transport(
    frame: &impl Frame,
    packet: Packet,
    from: u32,
    protocol: u8,
    sink: &mut impl Sink,
) -> Result<Transport, Ignored> {
    sink.reads_inside(Layer::Transport, protocol, packet, from);
    match protocol {
        TCP | UDP | protocol::DCCP | protocol::SCTP | protocol::UDP_LITE => {
            if !packet.holds(frame, from + 4) {
                return Err(Ignored::Truncated);
            }
            let header = frame.header::<4>(packet.at + from).ok_or(Ignored::Truncated)?;
            let tcp_flags = if protocol == TCP { tcp_flags(frame, packet, from) } else { 0 };
            Ok(Transport { ports: header.raw32(0).to_ne_bytes(), tcp_flags })
        }
        protocol::ICMP | protocol::ICMPV6 => {
            if !packet.holds(frame, from + 2) {
                return Err(Ignored::Truncated);
            }
            let header = frame.header::<2>(packet.at + from).ok_or(Ignored::Truncated)?;
            Ok(Transport { ports: [0, 0, header.octet(0), header.octet(1)], tcp_flags: 0 })
        }
        _ => Ok(NONE),
    }
}

/// The 12 bits behind the data offset (RFC 9293 section 3.1); 0 where they are not there.
#[inline(always)]
fn tcp_flags(frame: &impl Frame, packet: Packet, from: u32) -> u16 {
    if !packet.holds(frame, from + 14) {
        return 0;
    }
    frame.header::<2>(packet.at + from + 12).map_or(0, |header| header.be16(0) & 0x0fff)
}
