//! Addresses and routes of interfaces, over netlink.

use std::{fmt, io, net::IpAddr, os::fd::OwnedFd};

use anyhow::Context;
use netlink_bindings::{
    rt_addr::{self, Ifaddrmsg},
    rt_route::{OpGetrouteDump, Request, Rtmsg},
    traits::NetlinkRequest,
};
use netlink_socket2::NetlinkSocket;
use nix::sys::socket::{setsockopt, sockopt::SetBool};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};

#[derive(Clone, Copy)]
struct Strict;

nix::setsockopt_impl!(Strict, libc::SOL_NETLINK, libc::NETLINK_GET_STRICT_CHK, bool, SetBool);

/// Octets of a netlink message's header.
const HEADER: usize = 16;

/// Octets of one datagram of a dump: the kernel fills at most 32 KiB.
const DATAGRAM: usize = 1 << 15;

/// `NLM_F_REQUEST` and `NLM_F_DUMP`.
const DUMP: u16 = 0x301;

/// `RTM_GETROUTE`.
const GET_ROUTE: u16 = 26;

/// The destination of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The network; none for a default route.
    pub network: Option<IpAddr>,
    /// Bits of its prefix.
    pub length: u8,
}

impl Route {
    /// Whether the kernel makes such a route by itself for an interface that is up: IPv6 link-local and multicast.
    pub fn is_link_local(&self) -> bool {
        match self.network {
            Some(IpAddr::V6(network)) => {
                (network.is_unicast_link_local() && self.length >= 10)
                    || (network.is_multicast() && self.length >= 8)
            }
            _ => false,
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.network {
            Some(network) => write!(f, "{network}/{}", self.length),
            None => f.write_str("default"),
        }
    }
}

/// Whether the kernel gives an interface such an address by itself.
pub const fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

/// Addresses of this network namespace, each with its ifIndex.
///
/// # Errors
///
/// Netlink's.
pub fn addresses() -> anyhow::Result<Vec<(u32, IpAddr)>> {
    let list = || -> io::Result<_> {
        let mut socket = NetlinkSocket::new();
        let request = rt_addr::Request::new().op_getaddr_dump(&Ifaddrmsg::default());
        let mut replies = socket.request(&request)?;
        let mut addresses = Vec::new();
        while let Some((header, attributes)) = replies.recv().transpose()? {
            // The local end of a point-to-point address; others have the one of the two.
            let address = attributes.get_local().or_else(|_| attributes.get_address());
            addresses.extend(address.ok().map(|address| (header.ifa_index, address)));
        }
        Ok(addresses)
    };
    list().context("cannot list the addresses")
}

/// Routes of all tables that leave by an interface. The kernel filters them (`NETLINK_GET_STRICT_CHK`, Linux 4.20):
/// a gateway may have a million others.
///
/// # Errors
///
/// Netlink's; ENODEV where the interface is gone.
pub fn routes(index: u32) -> anyhow::Result<Vec<Route>> {
    let list = || -> io::Result<_> {
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
        setsockopt(&socket, Strict, &true)?;
        let mut routes = Vec::new();
        for family in [AddressFamily::INET, AddressFamily::INET6] {
            dump(&socket, family, index, &mut routes)?;
        }
        Ok(routes)
    };
    list().context("cannot list the routes")
}

fn dump(socket: &OwnedFd, family: AddressFamily, index: u32, routes: &mut Vec<Route>) -> io::Result<()> {
    let rtm_family = u8::try_from(family.as_raw()).unwrap_or_default();
    let mut request = Request::new().op_getroute_dump(&Rtmsg { rtm_family, ..Rtmsg::default() });
    request.encode().push_oif(index);
    send(socket, &message(request.payload()), SendFlags::empty())?;
    let mut datagram = vec![0; DATAGRAM];
    loop {
        let (length, _) = recv(socket, &mut datagram[..], RecvFlags::empty())?;
        let mut rest = datagram.get(..length).unwrap_or_default();
        while let Some((kind, body, behind)) = first(rest) {
            match i32::from(kind) {
                libc::NLMSG_DONE => return Ok(()),
                libc::NLMSG_ERROR => return Err(refusal(body)),
                _ => routes.push(route(body)),
            }
            rest = behind;
        }
    }
}

/// A request with its header.
fn message(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER + payload.len()).unwrap_or_default();
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(GET_ROUTE.to_ne_bytes());
    message.extend(DUMP.to_ne_bytes());
    // One request at a time is on this socket, so sequence and port are 0.
    message.extend([0; 8]);
    message.extend(payload);
    message
}

/// Kind and body of the first message, and the octets behind it.
fn first(octets: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = u32::from_ne_bytes(octets.first_chunk().copied()?) as usize;
    let kind = u16::from_ne_bytes(octets.get(4..6)?.try_into().ok()?);
    let body = octets.get(HEADER..length)?;
    Some((kind, body, octets.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

fn refusal(body: &[u8]) -> io::Error {
    let errno = body.first_chunk().copied().map_or(0, i32::from_ne_bytes);
    io::Error::from_raw_os_error(errno.saturating_neg())
}

fn route(body: &[u8]) -> Route {
    let (header, attributes) = OpGetrouteDump::decode_reply(body);
    Route { network: attributes.get_dst().ok(), length: header.rtm_dst_len }
}

#[cfg(test)]
mod tests {
    use super::{Route, first, message};

    fn route(text: &str) -> Route {
        let (network, length) = text.split_once('/').unwrap();
        Route { network: Some(network.parse().unwrap()), length: length.parse().unwrap() }
    }

    #[test]
    fn routes_that_the_kernel_makes_by_itself_are_known() {
        for own in ["fe80::/64", "fe80::1/128", "fe80::/10", "ff00::/8", "ff02::1/128"] {
            assert!(route(own).is_link_local(), "{own}");
        }
        for other in
            ["fe00::/8", "fe80::/9", "2001:db8::/64", "::/0", "169.254.0.0/16", "224.0.0.0/4", "ff00::/7"]
        {
            assert!(!route(other).is_link_local(), "{other}");
        }
        let default = Route { network: None, length: 0 };
        assert!(!default.is_link_local());
        assert_eq!(default.to_string(), "default");
        assert_eq!(route("192.0.2.0/24").to_string(), "192.0.2.0/24");
    }

    #[test]
    fn messages_of_a_datagram_come_one_by_one_and_no_octets_panic() {
        let datagram = [message(&[1; 5]), vec![0; 3], message(&[2; 8])].concat();
        let (kind, body, rest) = first(&datagram).unwrap();
        assert_eq!((kind, body), (26, &[1; 5][..]));
        let (_, body, rest) = first(rest).unwrap();
        assert_eq!((body, rest.len()), (&[2; 8][..], 0));
        for length in 0..datagram.len() {
            let _ = first(&datagram[..length]);
        }
        // A length below that of the header, and one beyond the datagram.
        assert_eq!(first(&[0; 32]), None);
        assert_eq!(first(&[255; 32]), None);
    }
}
