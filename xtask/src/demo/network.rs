//! The demo's network: client — gateway — server, IPv4 and IPv6.

use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, Result};

use crate::netns::{Namespace, Received};

/// The gateway's interfaces, towards client and server.
pub(crate) const INTERFACES: [&str; 2] = ["gw-c", "gw-s"];

/// The one interface of client and server.
const FAR: &str = "eth0";

pub(crate) struct Network {
    pub(crate) client: Namespace,
    pub(crate) gateway: Namespace,
    pub(crate) server: Namespace,
    /// Whether this kernel has IPv6.
    ipv6: bool,
}

impl Network {
    /// All links but the far ends, which stay down: no packet can come before the agent is there.
    pub(crate) fn new() -> Result<Self> {
        let ipv6 = Path::new("/proc/sys/net/ipv6").exists();
        let [client, gateway, server] = ["client", "gateway", "server"].map(Namespace::new);
        let network = Self { client: client?, gateway: gateway?, server: server?, ipv6 };
        for host in [&network.client, &network.gateway, &network.server] {
            if ipv6 {
                // An address is usable at once: no other host is on these cables.
                host.set("ipv6/conf/default/accept_dad", "0")?;
            }
            // Who may send echo requests through a socket for just that.
            host.set("ipv4/ping_group_range", "0 0")?;
        }
        let gateway = &network.gateway;
        gateway.set("ipv4/ip_forward", "1")?;
        if ipv6 {
            gateway.set("ipv6/conf/all/forwarding", "1")?;
        }
        let [to_client, to_server] = INTERFACES;
        gateway.cable(to_client, &network.client, FAR)?;
        gateway.cable(to_server, &network.server, FAR)?;
        network.address(gateway, to_client, "192.0.2.1/24", "2001:db8:1::1/64")?;
        network.address(gateway, to_server, "198.51.100.1/24", "2001:db8:2::1/64")?;
        Ok(network)
    }

    /// Brings an interface up and gives it its addresses.
    fn address(&self, host: &Namespace, interface: &str, ipv4: &str, ipv6: &str) -> Result<()> {
        host.ip(&format!("link set {interface} up"))?;
        host.ip(&format!("address add {ipv4} dev {interface}"))?;
        if self.ipv6 {
            host.ip(&format!("address add {ipv6} dev {interface} nodad"))?;
        }
        Ok(())
    }

    /// Brings client and server to the network.
    pub(crate) fn connect(&self) -> Result<()> {
        self.address(&self.client, FAR, "192.0.2.2/24", "2001:db8:1::2/64")?;
        self.address(&self.server, FAR, "198.51.100.2/24", "2001:db8:2::2/64")?;
        self.client.ip("route add default via 192.0.2.1")?;
        self.server.ip("route add default via 198.51.100.1")?;
        if self.ipv6 {
            self.client.ip("route add default via 2001:db8:1::1")?;
            self.server.ip("route add default via 2001:db8:2::1")?;
        }
        Ok(())
    }

    /// Takes client and server off the network.
    pub(crate) fn disconnect(&self) -> Result<()> {
        self.client.ip(&format!("link set {FAR} down"))?;
        self.server.ip(&format!("link set {FAR} down"))
    }

    /// The server's addresses, IPv6 only where the kernel has it.
    pub(crate) fn servers(&self) -> Result<Vec<IpAddr>> {
        let addresses: &[&str] =
            if self.ipv6 { &["198.51.100.2", "2001:db8:2::2"] } else { &["198.51.100.2"] };
        addresses.iter().map(|address| address.parse().context("the server's address")).collect()
    }

    /// The kernel's counters of the gateway's interfaces, in the order of [`INTERFACES`].
    pub(crate) fn received(&self) -> Result<[Received; 2]> {
        let [to_client, to_server] = INTERFACES;
        Ok([self.gateway.received(to_client)?, self.gateway.received(to_server)?])
    }
}
