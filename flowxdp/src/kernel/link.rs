//! An interface's properties, over netlink.

use std::io;

use anyhow::Context;
use netlink_bindings::rt_link::{self, Ifinfomsg, IterableLinkAttrs};
use netlink_socket2::NetlinkSocket;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

/// `XDP_ATTACHED_SKB` of the kernel's `uapi/linux/if_link.h`.
const GENERIC: u8 = 2;

/// `IFF_LOOPBACK`, from the kernel's `uapi/linux/if.h`.
const LOOPBACK: u32 = 1 << 3;

/// `ARPHRD_ETHER` and `ARPHRD_LOOPBACK`, from the kernel's `uapi/linux/if_arp.h`: devices whose frames begin
/// with an Ethernet header.
const ETHERNET: [u16; 2] = [1, 772];

/// `ARPHRD_SLIP`, `ARPHRD_PPP`, `ARPHRD_RAWIP`, `ARPHRD_TUNNEL`, `ARPHRD_TUNNEL6`, `ARPHRD_SIT`, `ARPHRD_IPGRE`,
/// `ARPHRD_IP6GRE` and `ARPHRD_NONE` (tun, WireGuard), from the same file: devices whose packets are IP's.
const IP: [u16; 9] = [256, 512, 519, 768, 769, 776, 778, 823, 65_534];

/// Kinds of interfaces that stand upon another one and get its packets; a tunnel's are others.
const STACKED: [&str; 6] = ["vlan", "macvlan", "macvtap", "ipvlan", "ipvtap", MACSEC];

/// The exception among them: below it the packets are encrypted.
const MACSEC: &str = "macsec";

/// Kinds of interfaces that come in pairs: packets sent at one end are received at the other.
const PAIRS: [&str; 2] = ["veth", "netkit"];

/// The other end of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// In this network namespace: its ifIndex.
    Here(u32),
    /// In another one.
    Elsewhere {
        /// Its ifIndex there.
        index: u32,
        /// The number that this namespace has for that one.
        namespace: i32,
    },
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// Other names that stand for it (`ip link property add … altname`, Linux 5.5).
    pub alternatives: Vec<String>,
    /// Its ifIndex.
    pub index: u32,
    /// The operator's name for it (`ip link set alias`), empty for none.
    pub alias: String,
    /// Octets of the largest packet behind the Ethernet header.
    pub mtu: u32,
    /// Octets of the largest packet that GRO joins on it: above 65,536 for BIG TCP alone.
    pub gro_max: u32,
    /// Receive queues that it can have.
    pub rx_queues: u32,
    /// Kind of a virtual interface (veth, vlan, bond…).
    pub kind: Option<String>,
    /// The interface is the loopback.
    pub is_loopback: bool,
    /// The type of the device: an `ARPHRD` number of the kernel's `uapi/linux/if_arp.h`.
    pub device_type: u16,
    /// The XDP program on it, if any.
    pub xdp: Option<u32>,
    /// That program runs in the kernel's stack, not in the driver.
    pub generic: bool,
    /// The interface below, that brings this one its packets.
    pub below: Option<u32>,
    /// The other end, whose sent packets this one receives.
    pub peer: Option<Peer>,
    /// The bond, bridge or VRF above, that takes this one's packets.
    pub above: Option<u32>,
}

impl Link {
    /// Its name, and then the others that stand for it.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.name).chain(&self.alternatives).map(String::as_str)
    }

    /// Whether its frames begin with an Ethernet header.
    pub fn has_ethernet_frames(&self) -> bool {
        ETHERNET.contains(&self.device_type)
    }

    /// Whether its packets have no Ethernet header and are those of IP.
    pub fn carries_ip(&self) -> bool {
        IP.contains(&self.device_type)
    }

    /// Whether it stands directly above `other`.
    pub fn is_upon(&self, other: &Self) -> bool {
        self.below == Some(other.index) || other.above == Some(self.index)
    }

    /// Whether packets of `other`, directly below, come in here once more as they were there.
    pub fn repeats(&self, other: &Self) -> bool {
        self.is_upon(other) && (self.kind.as_deref() != Some(MACSEC) || other.above == Some(self.index))
    }

    fn read(header: &Ifinfomsg, attributes: &IterableLinkAttrs<'_>) -> Option<Self> {
        let name = attributes.get_ifname().ok()?.to_string_lossy().into_owned();
        let kind = attributes.get_linkinfo().and_then(|info| info.get_kind()).ok();
        let kind = kind.map(|kind| kind.to_string_lossy().into_owned());
        // A link into another namespace is no interface of this one.
        let elsewhere = attributes.get_link_netnsid();
        let is_here = elsewhere.is_err();
        let stacked = is_here && kind.as_deref().is_some_and(|kind| STACKED.contains(&kind));
        let alias = attributes.get_ifalias().map(|alias| alias.to_string_lossy().trim().to_owned());
        let some = |index: u32| Some(index).filter(|&index| index != 0);
        let is_paired = kind.as_deref().is_some_and(|kind| PAIRS.contains(&kind));
        let other = attributes.get_link().ok().filter(|_| is_paired).and_then(some);
        let peer = other.map(|index| match elsewhere {
            Ok(namespace) => Peer::Elsewhere { index, namespace },
            Err(_) => Peer::Here(index),
        });
        let properties = attributes.get_prop_list().ok();
        let alternatives = properties.iter().flat_map(|list| list.get_alt_ifname());
        Some(Self {
            name,
            alternatives: alternatives.map(|name| name.to_string_lossy().into_owned()).collect(),
            index: header.ifi_index.cast_unsigned(),
            alias: alias.unwrap_or_default(),
            mtu: attributes.get_mtu().unwrap_or(0),
            gro_max: attributes
                .get_gro_max_size()
                .into_iter()
                .chain(attributes.get_gro_ipv4_max_size())
                .max()
                .unwrap_or(0),
            rx_queues: attributes.get_num_rx_queues().unwrap_or(1),
            is_loopback: header.ifi_flags & LOOPBACK != 0,
            device_type: header.ifi_type,
            xdp: attributes.get_xdp().and_then(|xdp| xdp.get_prog_id()).ok().and_then(some),
            generic: attributes.get_xdp().and_then(|it| it.get_attached()).is_ok_and(|mode| mode == GENERIC),
            below: attributes.get_link().ok().filter(|_| stacked).and_then(some),
            peer,
            above: attributes.get_master().ok().and_then(some),
            kind,
        })
    }
}

/// All interfaces of this network namespace.
///
/// # Errors
///
/// Netlink's.
pub fn all() -> anyhow::Result<Vec<Link>> {
    dump().context("cannot list the interfaces")
}

fn dump() -> io::Result<Vec<Link>> {
    // netlink-socket2 names every refusal of a socket "Operation not permitted": the true one is found here.
    drop(socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?);
    let mut socket = NetlinkSocket::new();
    let request = rt_link::Request::new().op_getlink_dump(&Ifinfomsg::default());
    let mut replies = socket.request(&request)?;
    let mut links = Vec::new();
    while let Some((header, attributes)) = replies.recv().transpose()? {
        links.extend(Link::read(&header, &attributes));
    }
    Ok(links)
}

/// Whether there is an interface of this ifIndex in this network namespace: one that changed while it was
/// being listed may be missing from the list.
///
/// # Errors
///
/// Netlink's.
pub fn is_there(index: u32) -> io::Result<bool> {
    let header = Ifinfomsg { ifi_index: index.cast_signed(), ..Ifinfomsg::default() };
    let mut socket = NetlinkSocket::new();
    let request = rt_link::Request::new().op_getlink_do(&header);
    let mut reply = socket.request(&request)?;
    let answer = reply.recv_one().map(drop).map_err(io::Error::from);
    match answer {
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(false),
        answer => answer.map(|()| true),
    }
}

/// The name of an interface in another network namespace, by the number that this one has for it.
///
/// # Errors
///
/// Netlink's: EACCES without CAP_NET_ADMIN there.
pub(super) fn name_elsewhere(namespace: i32, index: u32) -> io::Result<String> {
    let header = Ifinfomsg { ifi_index: index.cast_signed(), ..Ifinfomsg::default() };
    let mut request = rt_link::Request::new().op_getlink_do(&header);
    request.encode().push_target_netnsid(namespace);
    let mut socket = NetlinkSocket::new();
    let mut replies = socket.request(&request)?;
    let (_, attributes) = replies.recv_one().map_err(io::Error::from)?;
    Ok(attributes.get_ifname()?.to_string_lossy().into_owned())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::Link;

    /// A physical interface.
    pub(crate) fn link(index: u32, name: &str) -> Link {
        Link {
            name: name.to_owned(),
            alternatives: Vec::new(),
            index,
            alias: String::new(),
            mtu: 1500,
            gro_max: 65_536,
            rx_queues: 1,
            kind: None,
            is_loopback: false,
            device_type: 1,
            xdp: None,
            generic: false,
            below: None,
            peer: None,
            above: None,
        }
    }
}
