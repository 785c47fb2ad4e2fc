//! CPUs that go and come while packets are metered. In a test VM, whose CPUs nobody else needs.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use flowxdp_tests::agent::Live;
use flowxdp_tests::books::Count;
use flowxdp_tests::compare::{Columns, equal};
use flowxdp_tests::flows::Flows;
use flowxdp_tests::generator::cpus::{self, Way};
use flowxdp_tests::judge::nfcapd::Nfcapd;
use flowxdp_tests::netns::Netns;
use flowxdp_tests::process::patient;
use flowxdp_tests::traffic::{Traffic, UDP};

const SENDER: &str = "gen0";
const METERED: &str = "met0";
const LIMIT: Duration = Duration::from_secs(30);

/// A CPU that is switched off and on; on again when the test ends.
struct Switch(usize);

impl Switch {
    /// The last CPU.
    fn new() -> Result<Self> {
        let cpus = cpus::online()?;
        ensure!(cpus.len() > 2, "three CPUs are needed, here are {}", cpus.len());
        Ok(Self(*cpus.last().context("no CPU")?))
    }

    fn set(&self, online: bool) -> Result<()> {
        let file = format!("/sys/devices/system/cpu/cpu{}/online", self.0);
        fs::write(&file, if online { "1" } else { "0" }).with_context(|| format!("{file}: {online}"))
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        // The CPU may be on already, and a failure here must not hide the test's own.
        let _ = self.set(true);
    }
}

fn stage(cpus: usize) -> Result<(Netns, Nfcapd)> {
    let netns = Netns::new("hotplug")?;
    netns.veth_with_queues(SENDER, METERED, cpus)?;
    let nfcapd = Nfcapd::start(Some(&netns))?;
    Ok((netns, nfcapd))
}

fn agent(netns: &Netns, nfcapd: &Nfcapd) -> Result<Live> {
    let url = nfcapd.url();
    let arguments = ["--interface", METERED, "--mode", "native", "--collector", &url];
    Live::start(netns, &[&arguments[..], &["--idle-timeout", "1s", "--active-timeout", "1s"]].concat())
}

fn close(live: Live, nfcapd: Nfcapd, sent: &Traffic) -> Result<()> {
    let books = live.status()?;
    books.balance()?;
    let sum = Count { packets: sent.packets, octets: sent.octets() };
    ensure!(books.seen == sum, "seen {:?}, sent {sum:?}", books.seen);
    live.stop()?.success()?;
    equal(&sent.truth(), &Flows::by_tuple(&nfcapd.stop()?.clean()?), Columns::WITHOUT_TTL)
}

#[test]
fn a_cpu_goes_away_and_comes_back() -> Result<()> {
    let (switch, cpus) = (Switch::new()?, cpus::online()?);
    let (netns, nfcapd) = stage(cpus.len())?;
    let live = agent(&netns, &nfcapd)?;
    let share = Traffic { flows: 1_000, packets: 300_000, ipv6: false, protocol: UDP, length: 100 };
    let shares: Vec<_> = cpus.iter().map(|&cpu| (cpu, share)).collect();
    // The first round, during which the CPU comes and goes, and a second with all of them.
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| cpus::send(&netns, SENDER, &shares));
        let mut switched = 0;
        while !sending.is_finished() {
            std::thread::sleep(Duration::from_millis(300));
            switch.set(switched % 2 == 1)?;
            switched += 1;
            live.status()?.balance()?;
        }
        sending.join().map_err(|_| anyhow::anyhow!("the generator panicked"))??;
        ensure!(switched > 1, "all was sent before the CPU came back");
        anyhow::Ok(())
    })?;
    switch.set(true)?;
    cpus::send(&netns, SENDER, &shares)?;
    close(live, nfcapd, &Traffic { packets: 2 * share.packets * u64::try_from(cpus.len())?, ..share })
}

#[test]
fn a_cpu_that_comes_later_gets_the_partition_of_an_idle_one() -> Result<()> {
    let (switch, cpus) = (Switch::new()?, cpus::online()?);
    let (netns, nfcapd) = stage(cpus.len())?;
    switch.set(false)?;
    let live = agent(&netns, &nfcapd)?;
    switch.set(true)?;
    // Little enough for the ring buffer, which is all that the last CPU has.
    let share = Traffic { flows: 1_000, packets: 20_000, ipv6: false, protocol: UDP, length: 100 };
    let shares: Vec<_> = cpus.iter().map(|&cpu| (cpu, share)).collect();
    cpus::send(&netns, SENDER, &shares)?;
    let mut packets = share.packets * u64::try_from(cpus.len())?;
    let begun = Instant::now();
    while live.status()?.partition_of(switch.0).is_none() {
        ensure!(begun.elapsed() < patient(LIMIT), "the CPU has no partition yet: {}", live.log());
        let way = Way { rate: Some(10_000), ..Way::default() };
        packets += cpus::spread(&netns, SENDER, &share, &[switch.0], way)?.packets;
    }
    let before = live.status()?.by_ring_buffer();
    cpus::send(&netns, SENDER, &[(switch.0, share)])?;
    packets += share.packets;
    let more = live.status()?.by_ring_buffer() - before;
    ensure!(more == 0, "{more} packets by the ring buffer: {}", live.log());
    close(live, nfcapd, &Traffic { packets, ..share })
}
