//! Why a driver does not take an XDP program: its own words, and the remedy.
//!
//! A refused attachment of a bpf link gives a number only. The same request over rtnetlink comes back with
//! the driver's words (NLMSGERR_ATTR_MSG), where it has any.

use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_bindings::rt_link::{Ifinfomsg, Request};
use netlink_socket2::{NetlinkSocket, ReplyError};

use super::link::Link;

/// `XDP_FLAGS_UPDATE_IF_NOEXIST` and `XDP_FLAGS_DRV_MODE`, from the kernel's `uapi/linux/if_link.h`.
const ONLY_IF_NONE: u32 = 1;
const IN_DRIVER: u32 = 4;

/// The driver's answer when it is asked to take the program; empty if it is silent, or takes the program now.
pub(super) fn words(link: &Link, program: BorrowedFd<'_>) -> Option<String> {
    match set(link.index, program.as_raw_fd()) {
        Ok(()) => {
            // Not how programs are attached here: this one would outlive the agent.
            if let Err(error) = set(link.index, -1) {
                log::warn!("{}: cannot take the XDP program off again: {error}", link.name);
            }
            None
        }
        Err(error) => {
            let words = error.ext_ack()?.get_msg().ok()?.to_string_lossy().trim().to_owned();
            (!words.is_empty()).then_some(words)
        }
    }
}

/// Puts a program on an interface, or with -1 takes it off.
fn set(index: u32, program: i32) -> Result<(), ReplyError> {
    let header = Ifinfomsg { ifi_index: index.cast_signed(), ..Ifinfomsg::default() };
    let mut request = Request::new().op_setlink_do(&header);
    request.encode().nested_xdp().push_fd(program).push_flags(IN_DRIVER | ONLY_IF_NONE).end_nested();
    let mut socket = NetlinkSocket::new();
    // An acknowledgement has no data, which `recv_one` would take for a failure.
    socket.request(&request)?.recv_ack()
}

/// The operator's remedy for a refusal in these words.
pub(super) fn remedy(name: &str, words: &str) -> Option<String> {
    let has = |word: &str| words.to_ascii_uppercase().contains(word);
    if has("GRO_HW") || has("LRO") || has("CSUM") {
        return Some(format!(
            "`ethtool -K {name} lro off rx-gro-hw off` switches these offloads off; where they are fixed, the \
             virtual machine's host must not offer them (qemu: guest_csum=off,guest_tso4=off,guest_tso6=off,\
             guest_ecn=off,guest_ufo=off)"
        ));
    }
    if has("MTU") {
        return Some(format!("`ip link set dev {name} mtu 1500` makes a packet fit into one buffer"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::remedy;

    #[test]
    fn offloads_and_mtu_have_a_remedy() {
        let offloads =
            "virtio_net: Can't set XDP while host is implementing GRO_HW/CSUM, disable GRO_HW/CSUM first";
        assert!(remedy("eth0", offloads).unwrap().contains("ethtool -K eth0"));
        let mtu = "virtio_net: MTU too large to enable XDP";
        assert!(remedy("eth0", mtu).unwrap().contains("ip link set dev eth0 mtu"));
        assert_eq!(remedy("eth0", "out of queues"), None);
    }
}
