//! What the kernel says of an interface, over netlink.

use anyhow::Context;
use netlink_bindings::rt_link;
use netlink_socket2::NetlinkSocket;

/// `XDP_ATTACHED_SKB` of the kernel's `uapi/linux/if_link.h`.
const GENERIC: u8 = 2;

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// Its ifIndex.
    pub index: u32,
    /// Octets of the largest packet behind the Ethernet header.
    pub mtu: u32,
    /// Receive queues that it can have.
    pub rx_queues: u32,
    /// Kind of a virtual interface (veth, vlan, bond…).
    pub kind: Option<String>,
    /// The XDP program on it, if any.
    pub xdp: Option<u32>,
    /// That program runs in the kernel's stack, not in the driver.
    pub generic: bool,
    /// Interfaces that carry the same packets: the one below, and the bond or bridge above.
    pub relatives: Vec<u32>,
}

/// Asks for one interface.
///
/// # Errors
///
/// There is none of that name: the error names it and those that there are.
pub fn find(name: &str) -> anyhow::Result<Link> {
    let all = all().context("cannot list the interfaces")?;
    let names = all.iter().map(|link| link.name.as_str()).collect::<Vec<_>>().join(", ");
    all.iter()
        .find(|link| link.name == name)
        .cloned()
        .with_context(|| format!("there is no interface {name}: name one of {names}"))
}

/// All interfaces of this network namespace.
///
/// # Errors
///
/// Netlink's.
pub fn all() -> anyhow::Result<Vec<Link>> {
    let mut socket = NetlinkSocket::new();
    let request = rt_link::Request::new().op_getlink_dump(&rt_link::Ifinfomsg::default());
    let mut replies = socket.request(&request)?;
    let mut links = Vec::new();
    while let Some((header, attributes)) = replies.recv().transpose()? {
        let Ok(name) = attributes.get_ifname() else { continue };
        let kind = attributes.get_linkinfo().and_then(|info| info.get_kind()).ok();
        links.push(Link {
            name: name.to_string_lossy().into_owned(),
            index: header.ifi_index.cast_unsigned(),
            mtu: attributes.get_mtu().unwrap_or(0),
            rx_queues: attributes.get_num_rx_queues().unwrap_or(1),
            kind: kind.map(|kind| kind.to_string_lossy().into_owned()),
            xdp: attributes.get_xdp().and_then(|xdp| xdp.get_prog_id()).ok().filter(|&id| id != 0),
            generic: attributes
                .get_xdp()
                .and_then(|xdp| xdp.get_attached())
                .is_ok_and(|mode| mode == GENERIC),
            relatives: relatives(
                attributes.get_link().ok().filter(|_| {
                    // A link into another namespace, as a veth has it, is no interface of this one.
                    attributes.get_link_netnsid().is_err() && kind != Some(c"veth")
                }),
                attributes.get_master().ok(),
            ),
        });
    }
    Ok(links)
}

/// The interface below, and the bond or bridge above.
fn relatives(below: Option<u32>, above: Option<u32>) -> Vec<u32> {
    below.into_iter().chain(above).filter(|&index| index != 0).collect()
}
