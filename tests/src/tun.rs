//! A tun device and the program at its far side: packets that begin with the IP header.

use anyhow::{Result, ensure};
use tappers::{Interface, linux};

use crate::netns::Netns;
use crate::workload::Traffic;

/// Octets of the header in front of a packet of [`Traffic`].
const ETHERNET: usize = 14;

/// `ARPHRD_NONE`.
const NONE: u32 = 65_534;

/// The far side. The device goes with it.
pub struct Tun(linux::Tun);

impl Tun {
    /// Makes a device in a namespace, and sets it up.
    ///
    /// # Errors
    ///
    /// The kernel has no tun devices.
    pub fn new(netns: &Netns, name: &str) -> Result<Self> {
        Self::with_type(netns, name, NONE)
    }

    /// The same with a type of device, an `ARPHRD` number of the kernel's `uapi/linux/if_arp.h`.
    ///
    /// # Errors
    ///
    /// The kernel has no tun devices.
    pub fn with_type(netns: &Netns, name: &str, device_type: u32) -> Result<Self> {
        let tun = netns.inside(|| Ok(linux::Tun::new_named(Interface::new(name)?)?))?;
        tun.set_linktype(device_type)?;
        netns.sysctl(&format!("ipv6/conf/{name}/disable_ipv6"), "1")?;
        netns.ip(&format!("link set {name} up"))?;
        Ok(Self(tun))
    }

    /// Hands a packet to the device, which receives the packet.
    ///
    /// # Errors
    ///
    /// The device is down, or the packet is none of IP.
    pub fn send(&self, packet: &[u8]) -> Result<()> {
        let sent = self.0.send(packet)?;
        ensure!(sent == packet.len(), "{sent} octets of {} went", packet.len());
        Ok(())
    }

    /// Sends the packets of a traffic without their Ethernet headers.
    ///
    /// # Errors
    ///
    /// As of [`Tun::send`].
    pub fn send_all(&self, traffic: &Traffic) -> Result<()> {
        let flows: Vec<Vec<u8>> = (0..traffic.flows).map(|flow| traffic.frame(flow)).collect();
        let packets = flows.iter().cycle().filter_map(|frame| frame.get(ETHERNET..));
        packets.zip(0..traffic.packets).try_for_each(|(packet, _)| self.send(packet))
    }
}
