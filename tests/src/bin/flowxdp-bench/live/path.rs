//! A veth pair in a namespace of its own, and what the kernel says of what went through it.

use std::time::Duration;

use anyhow::{Result, ensure};
use flowxdp_tests::generator::{self, Sent};
use flowxdp_tests::netns::Netns;
use flowxdp_tests::process::Program;
use flowxdp_tests::traffic::Traffic;

/// The generator's end, and the one where packets are metered.
const SENDER: &str = "gen0";
pub(super) const METERED: &str = "met0";

/// What becomes of every packet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It goes to the kernel's stack, which finds that it is for another station.
    Pass,
    Drop,
}

/// See the [module](self).
pub(super) struct Path {
    netns: Netns,
}

/// Counters of the metered end.
struct Came {
    packets: u64,
    octets: u64,
    /// In the kernel's stack.
    arrived: u64,
}

impl Path {
    pub(super) fn new() -> Result<Self> {
        let netns = Netns::new("live")?;
        netns.veth(SENDER, METERED)?;
        // What an XDP program turns on as well: without it, a veth takes no frames of a generator.
        let gro = Program::find("ethtool")?.args(["-K", METERED, "gro", "on"]).netns(&netns);
        gro.run(Duration::from_secs(10))?.success()?;
        Ok(Self { netns })
    }

    pub(super) const fn netns(&self) -> &Netns {
        &self.netns
    }

    /// Sends from this thread, which is in the namespace. Fails unless all packets came, and each was passed or
    /// each dropped.
    pub(super) fn send(&self, traffic: &Traffic, order: u32, verdict: Verdict) -> Result<Duration> {
        let before = self.came()?;
        let (sent, time) = generator::timed(SENDER, traffic, order)?;
        let (packets, octets) = (traffic.packets, traffic.octets());
        ensure!(sent == Sent { packets, octets }, "{SENDER} sent {sent:?} of {traffic:?}");
        let after = self.came()?;
        let came = [after.packets - before.packets, after.octets - before.octets];
        let frames = octets + packets * 14;
        ensure!(
            came == [packets, frames],
            "{METERED} received {came:?} of {packets} packets, {frames} octets"
        );
        let (arrived, wanted) = match verdict {
            Verdict::Pass => (after.arrived - before.arrived, packets),
            Verdict::Drop => (after.arrived - before.arrived, 0),
        };
        ensure!(arrived == wanted, "{arrived} packets of {packets} arrived in the stack, not {wanted}");
        Ok(time)
    }

    fn came(&self) -> Result<Came> {
        let counter = |name| self.netns.counter(METERED, name);
        let arrived = self.netns.arrived(METERED)?;
        Ok(Came { packets: counter("rx_packets")?, octets: counter("rx_bytes")?, arrived })
    }
}
