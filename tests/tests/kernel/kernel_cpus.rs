//! Traffic on every CPU at once: each CPU counts in a partition of its own, and records do not show it.
//!
//! The generator's and the interface's own counts give the packets sent, nfcapd the records exported.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aya::maps::MapData;
use flowxdp::kernel::map::Mapped;
use flowxdp_common::counter::{CpuState, NO_PARTITION};
use flowxdp_tests::agent::Live;
use flowxdp_tests::books::{Books, Count};
use flowxdp_tests::bpffs::Bpffs;
use flowxdp_tests::compare::{Columns, equal};
use flowxdp_tests::failures::{Failures, tell};
use flowxdp_tests::flows::Flows;
use flowxdp_tests::generator::cpus::{self, Way};
use flowxdp_tests::judge::nfcapd::Nfcapd;
use flowxdp_tests::netns::Netns;
use flowxdp_tests::process::patient;
use flowxdp_tests::traffic::{Generator, TCP, Tcpreplay, Traffic, UDP};

const SENDER: &str = "gen0";
const METERED: &str = "met0";
/// Time for a partition to change its CPU: a fraction of a second on an idle machine.
const LIMIT: Duration = Duration::from_secs(60);
/// Packets a second of a CPU without a partition.
const RATE: u32 = 20_000;
/// Retired all the time.
const SHORT: [&str; 4] = ["--idle-timeout", "1s", "--active-timeout", "1s"];
/// Retired only by the flush at the end.
const LONG: [&str; 4] = ["--idle-timeout", "1h", "--active-timeout", "1h"];

/// A namespace with a veth pair that has a queue for each CPU, nfcapd in it, and the CPUs.
fn stage() -> Result<(Netns, Nfcapd, Vec<usize>)> {
    let cpus = cpus::online()?;
    ensure!(cpus.len() > 1, "this machine has one CPU: nothing can happen on several");
    let netns = Netns::new("cpus")?;
    netns.veth_with_queues(SENDER, METERED, cpus.len())?;
    let nfcapd = Nfcapd::start(Some(&netns))?;
    Ok((netns, nfcapd, cpus))
}

fn agent(netns: &Netns, nfcapd: &Nfcapd, mode: &str, timeouts: &[&str]) -> Result<Live> {
    let url = nfcapd.url();
    let arguments = [&["--interface", METERED, "--mode", mode, "--collector", &url], timeouts].concat();
    Live::start(netns, &arguments)
}

/// The sum of all shares: equal keys from each CPU are the same flows.
fn together(share: Traffic, cpus: usize) -> Result<Traffic> {
    Ok(Traffic { packets: share.packets * u64::try_from(cpus)?, ..share })
}

fn check_seen(live: &Live, sent: &[Traffic]) -> Result<()> {
    let books = live.status()?;
    books.balance()?;
    let sum = Count {
        packets: sent.iter().map(|traffic| traffic.packets).sum(),
        octets: sent.iter().map(Traffic::octets).sum(),
    };
    ensure!(books.seen == sum, "seen {:?}, sent {sum:?}", books.seen);
    Ok(())
}

#[test]
fn the_same_flows_on_every_cpu_at_once() -> Result<()> {
    let mut failures = Failures::default();
    for ipv6 in [false, true] {
        let share = Traffic { flows: 1_000, packets: 200_000, ipv6, protocol: UDP, length: 100 };
        failures.check(&format!("{share:?}"), || {
            let (netns, nfcapd, cpus) = stage()?;
            let live = agent(&netns, &nfcapd, "native", &SHORT)?;
            let shares: Vec<_> = cpus.iter().map(|&cpu| (cpu, share)).collect();
            cpus::send(&netns, SENDER, &shares)?;
            let all = together(share, cpus.len())?;
            check_seen(&live, &[all])?;
            live.stop()?.success()?;
            let records = nfcapd.stop()?.clean()?;
            equal(&all.truth(), &Flows::by_tuple(&records), Columns::WITHOUT_TTL)?;
            tell(&format!("{} CPUs, {} packets, {} records", cpus.len(), all.packets, records.len()));
            Ok(())
        });
    }
    failures.end()
}

#[test]
fn slots_that_retire_together_are_one_record() -> Result<()> {
    let share = Traffic { flows: 5_000, packets: 50_000, ipv6: false, protocol: TCP, length: 60 };
    let (netns, nfcapd, cpus) = stage()?;
    let live = agent(&netns, &nfcapd, "native", &LONG)?;
    // At once, and then one CPU after the other.
    let shares: Vec<_> = cpus.iter().map(|&cpu| (cpu, share)).collect();
    cpus::send(&netns, SENDER, &shares)?;
    for one in &shares {
        cpus::send(&netns, SENDER, std::slice::from_ref(one))?;
    }
    let all = together(share, 2 * cpus.len())?;
    check_seen(&live, &[all])?;
    live.stop()?.success()?;
    let records = nfcapd.stop()?.clean()?;
    ensure!(records.len() == 5_000, "{} records of 5000 flows", records.len());
    equal(&all.truth(), &Flows::by_tuple(&records), Columns::WITHOUT_TTL)
}

#[test]
fn flows_of_one_cpu_each_are_kept_apart() -> Result<()> {
    let (netns, nfcapd, cpus) = stage()?;
    let live = agent(&netns, &nfcapd, "native", &LONG)?;
    let share = |cpu: usize| {
        let (ipv6, protocol) = (cpu / 2 % 2 == 1, if cpu.is_multiple_of(2) { UDP } else { TCP });
        Traffic { flows: 2_000, packets: 100_000, ipv6, protocol, length: 100 }
    };
    // More CPUs than kinds of traffic would make some flows the same.
    let shares: Vec<_> = cpus.iter().take(4).map(|&cpu| (cpu, share(cpu))).collect();
    cpus::send(&netns, SENDER, &shares)?;
    let sent: Vec<_> = shares.iter().map(|(_, share)| *share).collect();
    check_seen(&live, &sent)?;
    live.stop()?.success()?;
    let mut truth = Flows::default();
    sent.iter().for_each(|traffic| truth.merge(&traffic.truth()));
    equal(&truth, &Flows::by_tuple(&nfcapd.stop()?.clean()?), Columns::WITHOUT_TTL)
}

#[test]
fn generic_mode_on_every_cpu() -> Result<()> {
    let share = Traffic { flows: 500, packets: 20_000, ipv6: false, protocol: UDP, length: 100 };
    let (netns, nfcapd, cpus) = stage()?;
    let live = agent(&netns, &nfcapd, "generic", &LONG)?;
    // In generic mode a packet is metered on the CPU that sends it.
    std::thread::scope(|scope| {
        let send = |cpu| Tcpreplay { rate: 20_000, cpu: Some(cpu) }.send(&share, &netns, SENDER);
        let threads: Vec<_> = cpus.iter().map(|&cpu| scope.spawn(move || send(cpu))).collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().map_err(|_| anyhow::anyhow!("a thread that sends panicked"))?
        })
    })?;
    let all = together(share, cpus.len())?;
    check_seen(&live, &[all])?;
    live.stop()?.success()?;
    let records = nfcapd.stop()?.clean()?;
    ensure!(records.len() == 500, "{} records of 500 flows", records.len());
    equal(&all.truth(), &Flows::by_tuple(&records), Columns::WITHOUT_TTL)
}

/// Sends at a rate from one CPU until it has the partition, and then more packets for it; gives the number
/// sent.
fn moves_to(netns: &Netns, live: &mut Live, cpu: usize, share: &Traffic) -> Result<Traffic> {
    let (mut packets, rest) = (0, Traffic { packets: 100_000, ..*share });
    let handed_over = |books: &Books| books.partition_of(cpu) == Some(1);
    // Some tenths of a second each.
    let some = Traffic { packets: u64::from(RATE) / 4, ..*share };
    let begun = Instant::now();
    while !handed_over(&live.status()?) {
        ensure!(begun.elapsed() < patient(LIMIT), "CPU {cpu} has no partition yet: {}", live.log());
        cpus::spread(netns, SENDER, &some, &[cpu], Way { rate: Some(RATE), ..Way::default() })?;
        packets += some.packets;
    }
    tell(&format!("CPU {cpu} had the partition after {packets} packets and {:?}", begun.elapsed()));
    let before = live.status()?;
    before.balance()?;
    let partitions = before.partitions.as_ref().context("no partitions")?;
    ensure!(partitions.total == 1 && partitions.by_cpu.len() == 1, "in one hand: {partitions:?}");
    cpus::send(netns, SENDER, &[(cpu, rest)])?;
    let after = live.status()?;
    after.balance()?;
    let more = after.by_ring_buffer() - before.by_ring_buffer();
    ensure!(more == 0, "{more} of {} packets by the ring buffer", rest.packets);
    Ok(Traffic { packets: packets + rest.packets, ..*share })
}

#[test]
fn a_cpu_that_begins_to_receive_gets_the_partition_of_an_idle_one() -> Result<()> {
    let (netns, nfcapd, cpus) = stage()?;
    let url = nfcapd.url();
    let arguments = [&["--interface", METERED, "--mode", "native", "--collector", &url], &LONG[..]].concat();
    let mut live = Live::start_with_cpus("0", &netns, &arguments)?;
    let share = Traffic { flows: 1_000, packets: 100_000, ipv6: false, protocol: UDP, length: 100 };
    cpus::send(&netns, SENDER, &[(cpus[0], share)])?;
    ensure!(live.status()?.partition_of(cpus[0]) == Some(1), "CPU {} took none: {}", cpus[0], live.log());
    let mut packets = share.packets;
    // There and back again.
    for cpu in [cpus[1], cpus[0]] {
        packets += moves_to(&netns, &mut live, cpu, &share)?.packets;
        let said = format!("CPU {cpu} has partition 1 of the flow table now");
        ensure!(live.log().contains(&said), "the log does not say so: {}", live.log());
    }
    let all = Traffic { packets, ..share };
    check_seen(&live, &[all])?;
    live.stop()?.success()?;
    let records = nfcapd.stop()?.clean()?;
    // Flows that came to another CPU went on in their slots.
    ensure!(records.len() == 1_000, "{} records of 1000 flows", records.len());
    equal(&all.truth(), &Flows::by_tuple(&records), Columns::WITHOUT_TTL)
}

/// An agent for which only the first CPU was foreseen, with pins.
fn pinned(netns: &Netns, nfcapd: &Nfcapd, bpffs: &Bpffs) -> Result<Live> {
    let (url, pins) = (nfcapd.url(), bpffs.pins().display().to_string());
    let arguments = ["--interface", METERED, "--mode", "native", "--collector", &url, "--pin", &pins];
    Live::start_with_cpus("0", netns, &[&arguments[..], &LONG].concat())
}

#[test]
fn a_partition_that_a_killed_agent_had_withdrawn_is_given_by_the_next() -> Result<()> {
    let ((netns, nfcapd, cpus), bpffs) = (stage()?, Bpffs::new()?);
    let live = pinned(&netns, &nfcapd, &bpffs)?;
    let share = Traffic { flows: 1_000, packets: 50_000, ipv6: true, protocol: UDP, length: 100 };
    cpus::send(&netns, SENDER, &[(cpus[0], share)])?;
    live.kill()?;
    // As it is between the two steps of a hand-over.
    let map = MapData::from_pin(bpffs.pins().join("1/CPUS"))?;
    let states = Mapped::<CpuState>::new(map.fd(), map.info()?.max_entries() as usize)?;
    let before = states.claim(cpus[0]).swap(NO_PARTITION, Ordering::SeqCst);
    ensure!(before == 1, "CPU {} had {before}", cpus[0]);
    let mut live = pinned(&netns, &nfcapd, &bpffs)?;
    let more = moves_to(&netns, &mut live, cpus[1], &share)?;
    ensure!(live.log().contains("which no CPU had"), "it was withdrawn once more: {}", live.log());
    let all = Traffic { packets: share.packets + more.packets, ..share };
    check_seen(&live, &[all])?;
    live.stop()?.success()?;
    let records = nfcapd.stop()?.clean()?;
    ensure!(records.len() == 1_000, "{} records of 1000 flows", records.len());
    equal(&all.truth(), &Flows::by_tuple(&records), Columns::WITHOUT_TTL)?;
    bpffs.expect_clean()
}

#[test]
fn agents_that_are_killed_while_a_partition_changes_hands_lose_nothing() -> Result<()> {
    let ((netns, nfcapd, cpus), bpffs) = (stage()?, Bpffs::new()?);
    let (mut packets, mut handed_over) = (0, Vec::new());
    // Few enough for the ring buffer, whenever the next agent comes.
    let share = Traffic { flows: 1_000, packets: 10_000, ipv6: false, protocol: UDP, length: 100 };
    // Before, during and after the hand-over, which takes some milliseconds and comes 50 ms after the move.
    for (round, delay) in [100, 130, 145, 160, 250].into_iter().enumerate() {
        let (cpu, live) = (cpus[round % 2], pinned(&netns, &nfcapd, &bpffs)?);
        let way = Way { rate: Some(RATE * 2), ..Way::default() };
        std::thread::scope(|scope| {
            let sending = scope.spawn(|| cpus::spread(&netns, SENDER, &share, &[cpu], way));
            std::thread::sleep(Duration::from_millis(delay));
            let killed = live.kill();
            packets += share.packets;
            let sent = sending.join().map_err(|_| anyhow::anyhow!("the generator panicked"));
            handed_over.push(killed?.stderr.contains("of the flow table now"));
            sent?.map(drop)
        })?;
    }
    tell(&format!("handed over before the kill: {handed_over:?}"));
    let (live, all) = (pinned(&netns, &nfcapd, &bpffs)?, Traffic { packets, ..share });
    check_seen(&live, &[all])?;
    live.stop()?.success()?;
    equal(&all.truth(), &Flows::by_tuple(&nfcapd.stop()?.clean()?), Columns::WITHOUT_TTL)?;
    bpffs.expect_clean()
}
