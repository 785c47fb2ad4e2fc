//! What a NIC does to packets before XDP sees them.

use std::os::fd::AsRawFd;

use super::link::Link;

/// `ETHTOOL_GFLAGS` and `ETH_FLAG_RXVLAN`, from the kernel's `uapi/linux/ethtool.h`.
const GET_FLAGS: u32 = 0x25;
const RX_VLAN: u32 = 1 << 8;

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// Warns of a NIC that takes VLAN tags off: the flows then have none.
///
/// Virtual interfaces are left out: their tags are never on the packet.
pub fn warn_of_vlan_offload(link: &Link) {
    if link.kind.is_none() && flags(&link.name).is_some_and(|flags| flags & RX_VLAN != 0) {
        log::warn!(
            "{0}: the NIC takes VLAN tags off before packets are metered: `ethtool -K {0} rxvlan off` keeps them",
            link.name
        );
    }
}

/// The offload flags of an interface, if it has any.
fn flags(name: &str) -> Option<u32> {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").ok()?;
    let mut value = Value { command: GET_FLAGS, data: 0 };
    // SAFETY: plain integers, characters and pointers, for which zeros are valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.len() >= request.ifr_name.len() {
        return None;
    }
    for (place, octet) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *place = octet.cast_signed();
    }
    request.ifr_ifru.ifru_data = (&raw mut value).cast();
    // SAFETY: the request is complete, and the kernel writes into `value`, which outlives the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) };
    (result == 0).then_some(value.data)
}
