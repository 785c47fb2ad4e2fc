//! A veth pair in a namespace of its own, and the kernel's counters of its packets.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flowxdp_tests::generator::{self, Sent};
use flowxdp_tests::netns::Netns;
use flowxdp_tests::process::Program;
use flowxdp_tests::traffic::Traffic;
use serde_json::Value;

/// The generator's end, and the one where packets are metered.
const SENDER: &str = "gen0";
pub(super) const METERED: &str = "met0";

/// Octets of a frame's header.
const ETHERNET: u64 = 14;

/// The fate of every packet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The packet goes to the kernel's stack, which drops packets for another station.
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
        // An XDP program turns it on as well: without it, a veth takes no frames of a generator.
        let gro = Program::find("ethtool")?.args(["-K", METERED, "gro", "on"]).netns(&netns);
        gro.run(Duration::from_secs(10))?.success()?;
        Ok(Self { netns })
    }

    pub(super) const fn netns(&self) -> &Netns {
        &self.netns
    }

    /// Sends from this thread, which is in the namespace, in an order of flows; gives the time of the path.
    pub(super) fn send(&self, traffic: &Traffic, order: u32, verdict: Verdict) -> Result<Duration> {
        self.checked(traffic, verdict, || burst(traffic, order))
    }

    /// Fails unless all packets that are sent meanwhile came, and each was passed or each dropped.
    pub(super) fn checked<T>(
        &self,
        sent: &Traffic,
        verdict: Verdict,
        send: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let before = self.came()?;
        let result = send()?;
        let after = self.came()?;
        let (packets, octets) = (sent.packets, sent.octets() + sent.packets * ETHERNET);
        let came = [after.packets - before.packets, after.octets - before.octets];
        ensure!(
            came == [packets, octets],
            "{METERED} received {came:?} of {packets} packets, {octets} octets"
        );
        let arrived = after.arrived - before.arrived;
        let wanted = if verdict == Verdict::Pass { packets } else { 0 };
        ensure!(arrived == wanted, "{arrived} packets of {packets} arrived in the stack, not {wanted}");
        Ok(result)
    }

    fn came(&self) -> Result<Came> {
        let shown = self.netns.ip(&format!("-j -s -s link show {METERED}"))?;
        let json: Value = serde_json::from_str(&shown)?;
        let received = json.pointer("/0/stats64/rx").context("no counters")?;
        let counter = |name: &str| received.get(name).and_then(Value::as_u64);
        Ok(Came {
            packets: counter("packets").context("no packets")?,
            octets: counter("bytes").context("no octets")?,
            // Left out while it is zero.
            arrived: counter("otherhost").unwrap_or(0),
        })
    }
}

/// Sends from this thread; all must have been taken by the other end.
pub(super) fn burst(traffic: &Traffic, order: u32) -> Result<Duration> {
    let (sent, time) = generator::timed(SENDER, traffic, order)?;
    let wanted = Sent { packets: traffic.packets, octets: traffic.octets() };
    ensure!(sent == wanted, "{SENDER} sent {sent:?} of {wanted:?}");
    Ok(time)
}
