//! NICs with several queues: taps in a namespace of their own, whose kernel sends received packets back.
//!
//! Only a tap gives a VM's NIC several queues. The namespace routes every packet from the tap back into it,
//! so that packets that the VM sends through such a NIC come in by it again, spread over its queues.

use anyhow::Result;

use crate::netns::Namespace;

/// Receive queues of the NIC that has several.
const QUEUES: u32 = 4;
/// The addresses of the VM's NIC and of its peer; the VM's side has the same.
const PEER: &str = "52:54:00:00:0f:00";
const NIC: &str = "52:54:00:00:01:00";

/// The namespace and its taps; dropped, they are gone.
pub(crate) struct Cable {
    namespace: Namespace,
}

impl Cable {
    /// Makes it, as root.
    pub(crate) fn new() -> Result<Self> {
        let namespace = Namespace::new("test VM")?;
        namespace.ip("tuntap add mode tap multi_queue name multi0")?;
        namespace.ip("tuntap add mode tap name fixed0")?;
        for tap in ["multi0", "fixed0"] {
            namespace.set(&format!("ipv6/conf/{tap}/disable_ipv6"), "1")?;
        }
        namespace.ip(&format!("link set multi0 address {PEER} up"))?;
        namespace.ip("link set fixed0 up")?;
        for (key, value) in [
            ("ipv4/ip_forward", "1"),
            ("ipv4/conf/all/rp_filter", "0"),
            ("ipv4/conf/multi0/rp_filter", "0"),
            ("ipv4/conf/all/send_redirects", "0"),
            ("ipv4/conf/multi0/send_redirects", "0"),
        ] {
            namespace.set(key, value)?;
        }
        // Addresses of documentation; every packet goes back to the one neighbour.
        namespace.ip("address add 198.51.100.1/24 dev multi0")?;
        namespace.ip(&format!("neighbour add 198.51.100.2 lladdr {NIC} dev multi0 nud permanent"))?;
        namespace.ip("route add 192.0.2.0/24 via 198.51.100.2 dev multi0")?;
        Ok(Self { namespace })
    }

    /// Does something where the taps are.
    pub(crate) fn inside<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.namespace.inside(job)
    }

    /// qemu's arguments for the NICs at the taps: one with several queues, and one whose offloads the
    /// driver cannot switch off.
    pub(crate) fn nics() -> Vec<String> {
        let tap =
            |name: &str, more: &str| format!("tap,id={name},ifname={name},script=no,downscript=no{more}");
        let vectors = 2 * QUEUES + 2;
        vec![
            "-netdev".to_owned(),
            tap("multi0", &format!(",queues={QUEUES}")),
            "-device".to_owned(),
            format!("virtio-net-pci,netdev=multi0,mac={NIC},mq=on,vectors={vectors},romfile="),
            "-netdev".to_owned(),
            tap("fixed0", ""),
            "-device".to_owned(),
            "virtio-net-pci,netdev=fixed0,mac=52:54:00:00:02:00,ctrl_guest_offloads=off,romfile=".to_owned(),
        ]
    }
}
