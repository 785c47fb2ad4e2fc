//! A driver's features, as ethtool shows them: which are on, and which can be switched.

use std::{collections::BTreeSet, io};

use netlink_bindings::ethtool::{IterableBitset, Request};
use netlink_socket2::NetlinkSocket;

/// `ETHTOOL_MSG_FEATURES_GET` of the kernel's `uapi/linux/ethtool_netlink.h`.
const FEATURES_GET: u8 = 11;

/// A driver's features by the kernel's names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Features {
    on: BTreeSet<String>,
    /// On or off, as the operator likes.
    switchable: BTreeSet<String>,
}

impl Features {
    /// The features of the interface with an ifIndex in this network namespace.
    ///
    /// # Errors
    ///
    /// Netlink's; a kernel without ethtool's netlink family has none.
    pub(super) fn of(index: u32) -> io::Result<Self> {
        let mut request = Request::new().op_features_get_do();
        // netlink-bindings 0.3.5 counts the replies too, and has another number.
        request.header_mut().cmd = FEATURES_GET;
        request.encode().nested_header().push_dev_index(index).end_nested();
        let mut socket = NetlinkSocket::new();
        let mut replies = socket.request(&request)?;
        let features = replies.recv_one().map_err(io::Error::from)?;
        let mut switchable = features.get_hw().map(names).unwrap_or_default();
        for fixed in features.get_nochange().map(names).unwrap_or_default() {
            switchable.remove(&fixed);
        }
        Ok(Self { on: features.get_active().map(names).unwrap_or_default(), switchable })
    }

    /// Whether a feature is on.
    pub(super) fn is_on(&self, name: &str) -> bool {
        self.on.contains(name)
    }

    /// Whether a feature can be switched.
    pub(super) fn is_switchable(&self, name: &str) -> bool {
        self.switchable.contains(name)
    }
}

/// The names of bits that are set: with a mask, bits are listed that are not.
fn names(bits: IterableBitset<'_>) -> BTreeSet<String> {
    let are_all_set = bits.get_nomask().is_ok();
    let Ok(bits) = bits.get_bits() else { return BTreeSet::new() };
    let set = bits.get_bit().filter(|bit| are_all_set || bit.get_value().is_ok());
    set.filter_map(|bit| Some(bit.get_name().ok()?.to_string_lossy().into_owned())).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::Features;

    /// Features that are on, and those that can be switched.
    pub(crate) fn features(on: &[&str], switchable: &[&str]) -> Features {
        let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Features { on: set(on), switchable: set(switchable) }
    }

    /// A namespace of any kind has a loopback, whose driver always has some features on.
    #[test]
    fn the_loopback_has_features() {
        let features = Features::of(1).unwrap();
        assert!(features.is_on("loopback"), "{features:?}");
        assert!(!features.is_switchable("loopback"), "{features:?}");
        assert!(features.is_switchable("tx-tcp-segmentation"), "{features:?}");
        assert!(Features::of(u32::MAX >> 1).is_err());
    }
}
