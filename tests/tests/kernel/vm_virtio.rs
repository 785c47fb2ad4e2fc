//! Native XDP in a real driver: two virtio NICs of a test VM on one cable.
//!
//! tcpreplay sends an exact number through a packet socket, the NIC counts the received packets, nfcapd the
//! exported ones.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use flowxdp_tests::agent::{Live, program};
use flowxdp_tests::books::Count;
use flowxdp_tests::compare::{Columns, equal};
use flowxdp_tests::failures::{Failures, tell};
use flowxdp_tests::flows::Flows;
use flowxdp_tests::generator::cpus;
use flowxdp_tests::judge::nfcapd::Nfcapd;
use flowxdp_tests::netns::Netns;
use flowxdp_tests::nic;
use flowxdp_tests::process::patient;
use flowxdp_tests::traffic::{Generator, TCP, Tcpreplay, Traffic, UDP};

const METERED: &str = "hub0";
const SENDER: &str = "hub1";
const LIMIT: Duration = Duration::from_secs(30);
/// Packets per second that an emulated NIC keeps up with.
const RATE: u32 = 4_000;
const JUMBO: u16 = 9_000;

struct Stage {
    netns: Netns,
    nfcapd: Nfcapd,
    virtio: String,
}

fn stage() -> Result<Stage> {
    let netns = Netns::new("virtio")?;
    let virtio = nic::take(&netns, METERED)?;
    nic::take(&netns, SENDER)?;
    let nfcapd = Nfcapd::start(Some(&netns))?;
    Ok(Stage { netns, nfcapd, virtio })
}

impl Stage {
    fn agent(&self, mode: &str) -> Result<Live> {
        let url = self.nfcapd.url();
        Live::start(&self.netns, &["--interface", METERED, "--mode", mode, "--collector", &url])
    }

    /// Sends, and waits until the NIC and the books have all of it, and no more.
    fn send(&self, live: &mut Live, traffic: &Traffic) -> Result<()> {
        let (before, counted) = (live.status()?.seen, self.netns.counter(METERED, "rx_packets")?);
        Tcpreplay { rate: RATE, cpu: None }.send(traffic, &self.netns, SENDER)?;
        let sent = before + Count { packets: traffic.packets, octets: traffic.octets() };
        live.until(LIMIT, "done with the packets", |books| books.seen.packets >= sent.packets)?;
        let books = live.status()?;
        books.balance()?;
        ensure!(books.seen == sent, "seen {:?}, sent {sent:?}", books.seen);
        let came = self.netns.counter(METERED, "rx_packets")? - counted;
        ensure!(came == traffic.packets, "{METERED} received {came} of {} packets", traffic.packets);
        Ok(())
    }

    fn close(self, live: Live, sent: &Traffic) -> Result<()> {
        live.stop()?.success()?;
        self.netns.expect_clean(METERED)?;
        equal(&sent.truth(), &Flows::by_tuple(&self.nfcapd.stop()?.clean()?), Columns::WITHOUT_TTL)
    }

    fn is_native(&self) -> Result<bool> {
        let shown = self.netns.ip(&format!("-d link show {METERED}"))?;
        ensure!(shown.contains("xdp"), "nothing is attached:\n{shown}");
        Ok(!shown.contains("xdpgeneric"))
    }
}

#[test]
fn every_packet_of_a_real_driver_is_counted() -> Result<()> {
    let mut failures = Failures::default();
    for (ipv6, protocol, length) in [(false, UDP, 60), (false, TCP, 1500), (true, UDP, 1280)] {
        let traffic = Traffic { flows: 500, packets: 10_000, ipv6, protocol, length };
        failures.check(&format!("{traffic:?}"), || {
            let stage = stage()?;
            let mut live = stage.agent("native")?;
            ensure!(stage.is_native()?, "not attached in the driver");
            stage.send(&mut live, &traffic)?;
            stage.close(live, &traffic)
        });
    }
    failures.end()
}

/// Whether the driver takes programs for packets of several buffers, which it does since 6.3.
fn has_frags() -> Result<bool> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    Ok(!release.starts_with("6.1."))
}

#[test]
fn packets_of_several_buffers() -> Result<()> {
    let stage = stage()?;
    for nic in [METERED, SENDER] {
        stage.netns.ip(&format!("link set {nic} mtu {JUMBO}"))?;
    }
    let native = has_frags()?;
    if !native {
        let directory = tempfile::tempdir()?;
        let run = program()?.args(["run", "--interface", METERED, "--mode", "native", "--collector"]);
        let run = run.arg(stage.nfcapd.url()).arg("--socket").arg(directory.path().join("socket"));
        let ended = run.netns(&stage.netns).run(LIMIT)?;
        ensure!(ended.code == Some(1), "it ended with {:?}: {}", ended.code, ended.stderr);
        for word in [METERED, "MTU", "ip link set"] {
            ensure!(ended.stderr.contains(word), "no {word} in: {}", ended.stderr);
        }
        tell(&ended.stderr);
    }
    let mut live = stage.agent("auto")?;
    ensure!(stage.is_native()? == native, "native is {}, not {native}: {}", !native, live.log());
    ensure!(native || live.log().contains("MTU"), "the log does not say why: {}", live.log());
    let traffic = Traffic { flows: 50, packets: 1_000, ipv6: false, protocol: UDP, length: 8_000 };
    stage.send(&mut live, &traffic)?;
    stage.close(live, &traffic)
}

#[test]
fn an_interrupt_that_moves_takes_the_partition_with_it() -> Result<()> {
    let stage = stage()?;
    let mut live = stage.agent("native")?;
    let cpus = cpus::online()?;
    ensure!(cpus.len() > 1, "the VM has one CPU");
    let share = Traffic { flows: 200, packets: 2_000, ipv6: false, protocol: UDP, length: 100 };
    let mut packets = 0;
    for cpu in &cpus {
        nic::receive_on(&stage.virtio, *cpu)?;
        let begun = Instant::now();
        // The NIC has one queue, so one CPU was foreseen.
        while live.status()?.partition_of(*cpu) != Some(1) {
            ensure!(begun.elapsed() < patient(LIMIT), "CPU {cpu} has no partition yet: {}", live.log());
            stage.send(&mut live, &share)?;
            packets += share.packets;
        }
        let before = live.status()?.by_ring_buffer();
        stage.send(&mut live, &share)?;
        packets += share.packets;
        let more = live.status()?.by_ring_buffer() - before;
        ensure!(more == 0, "CPU {cpu}: {more} packets by the ring buffer: {}", live.log());
    }
    tell(&format!("{packets} packets, {} of them by the ring buffer", live.status()?.by_ring_buffer()));
    stage.close(live, &Traffic { packets, ..share })
}
