//! Three namespaces in a row: the sender's, the router's, and the host's behind it.

use anyhow::{Result, ensure};
use flowxdp_tests::bpffs::Bpffs;
use flowxdp_tests::neighbour::{How, Neighbour};
use flowxdp_tests::netns::Netns;
use flowxdp_tests::traffic::{Traffic, generator};

use crate::export::receiver::Receiver;

/// The sender's end, and the router's, where packets are metered.
const SENDER: &str = "gen0";
pub(super) const METERED: &str = "in0";
/// The router's other interface, and the host's.
const OUT: &str = "out0";
const FAR: &str = "far0";

/// Where the generator's packets go to: as a station, and as a host.
const STATION: &str = "02:00:00:00:ff:02";
const HOST: &str = "fd00:0:0:2::1";

/// See the [module](self).
pub(super) struct Road {
    sender: Netns,
    router: Netns,
    far: Netns,
    bpffs: Bpffs,
}

impl Road {
    pub(super) fn new() -> Result<Self> {
        let road = Self {
            sender: Netns::new("sender")?,
            router: Netns::new("gateway")?,
            far: Netns::new("far")?,
            bpffs: Bpffs::new()?,
        };
        let (router, far) = (road.router.name(), road.far.name());
        road.sender.ip(&format!(
            "link add {SENDER} type veth peer name {METERED} address {STATION} netns {router}"
        ))?;
        road.router.ip(&format!("link add {OUT} type veth peer name {FAR} netns {far}"))?;
        // They only carry the generator's packets.
        for (netns, silent) in [(&road.sender, SENDER), (&road.far, FAR)] {
            netns.sysctl(&format!("ipv6/conf/{silent}/disable_ipv6"), "1")?;
            netns.ip(&format!("link set {silent} up"))?;
        }
        road.router.sysctl("ipv6/conf/all/forwarding", "1")?;
        for link in [METERED, OUT] {
            road.router.sysctl(&format!("ipv6/conf/{link}/router_solicitations"), "0")?;
            road.router.ip(&format!("link set {link} up"))?;
        }
        road.router.ip(&format!("-6 route add {HOST}/128 dev {OUT}"))?;
        road.router.ip(&format!("-6 neigh add {HOST} lladdr 02:00:00:00:ff:09 dev {OUT} nud permanent"))?;
        Ok(road)
    }

    pub(super) const fn router(&self) -> &Netns {
        &self.router
    }

    /// A program that passes everything, until it is dropped.
    pub(super) fn pass(&self) -> Result<Neighbour> {
        let mut program = Neighbour::without_opinion()?;
        program.attach(&self.router, METERED, How::Link, true, &self.bpffs)?;
        Ok(program)
    }

    /// Sends, and fails unless all packets came out at the other side.
    pub(super) fn forward(&self, traffic: &Traffic) -> Result<()> {
        let before = self.far.counter(FAR, "rx_packets")?;
        generator().send(traffic, &self.sender, SENDER)?;
        let came = self.far.counter(FAR, "rx_packets")? - before;
        // The router's own word about its neighbours may be among them.
        ensure!(came >= traffic.packets, "{came} of {} packets were forwarded", traffic.packets);
        Ok(())
    }

    /// A collector in the router.
    pub(super) fn receiver(&self) -> Result<Receiver> {
        Receiver::start_in(&self.router)
    }
}
