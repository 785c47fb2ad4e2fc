//! Floods: more flows than the tables hold, at the full rate of the generator, beside flows that last.
//!
//! A flood's packets each belong to a flow of their own. The generator counts them, nfcapd adds up the
//! records, and the books must balance at each question. The flows that last come in over a second interface
//! on the same CPU, so that they share a partition of the table with the flood. On an emulated machine a
//! flood is smaller, and still more than the table holds.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flowxdp_tests::agent::Live;
use flowxdp_tests::books::{Books, Count};
use flowxdp_tests::compare::{Columns, equal};
use flowxdp_tests::failures::tell;
use flowxdp_tests::flows::Flows;
use flowxdp_tests::judge::nfcapd::{Nfcapd, Stored};
use flowxdp_tests::netns::Netns;
use flowxdp_tests::process::bounded;
use flowxdp_tests::traffic::{TCP, Traffic, UDP, generator};
use rustix::thread::{CpuSet, sched_setaffinity};

/// The flood, and the flows that go on.
const SENDERS: [&str; 2] = ["gen0", "gen1"];
const METERED: [&str; 2] = ["met0", "met1"];
const LIMIT: Duration = Duration::from_secs(120);
/// A round of the flows that go on: shorter apart than any of them may be idle.
const PAUSE: Duration = Duration::from_millis(200);

fn steady(packets: u64) -> Traffic {
    Traffic { flows: 1_000, packets, ipv6: false, protocol: TCP, length: 1_500 }
}

fn flood(flows: u32) -> Traffic {
    Traffic { flows, packets: u64::from(flows), ipv6: false, protocol: UDP, length: 60 }
}

fn count(traffic: &Traffic) -> Count {
    Count { packets: traffic.packets, octets: traffic.octets() }
}

/// The flood's destination.
struct Stage {
    netns: Netns,
    nfcapd: Nfcapd,
    live: Live,
}

/// A table of so many flows, and an exporter that can send a part of a flood's records only.
fn stage(flows: &str, protocol: &str, pace: &str) -> Result<Stage> {
    let netns = Netns::new("flood")?;
    SENDERS.into_iter().zip(METERED).try_for_each(|(sender, metered)| netns.veth(sender, metered))?;
    let nfcapd = Nfcapd::start(Some(&netns))?;
    let (url, interfaces) = (nfcapd.url(), METERED.join(","));
    let mut arguments = vec!["--interface", &interfaces, "--collector", &url, "--protocol", protocol];
    arguments.extend(["--flows", flows, "--flows6", "1000", "--pace", pace, "--idle-timeout", "30s"]);
    let live = Live::start(&netns, &arguments)?;
    Ok(Stage { netns, nfcapd, live })
}

/// Sends on one CPU, whoever asks for it.
fn send(traffic: &Traffic, netns: &Netns, interface: &str) -> Result<()> {
    let mut first = CpuSet::new();
    first.set(0);
    sched_setaffinity(None, &first).context("staying on a CPU")?;
    generator().send(traffic, netns, interface)
}

/// Sends a flood and, before, during and after it, rounds of flows that go on. Asks for the books all the
/// time, and gives the packets of those rounds with the largest resident memory that was seen, octets.
fn run(stage: &Stage, flood: &Traffic) -> Result<(u64, u64)> {
    let round = steady(2_000);
    let steady = |rounds: u64| -> Result<u64> {
        for _ in 0..rounds {
            send(&round, &stage.netns, SENDERS[1])?;
            std::thread::sleep(PAUSE);
        }
        Ok(rounds * round.packets)
    };
    std::thread::scope(|scope| {
        let before = scope.spawn(|| steady(5)).join().map_err(|_| anyhow::anyhow!("a panic"))??;
        let flooding = scope.spawn(|| send(flood, &stage.netns, SENDERS[0]));
        let steady = &steady;
        let meanwhile = scope.spawn(move || {
            let mut packets = 0;
            while !flooding.is_finished() {
                packets += steady(1)?;
            }
            flooding.join().map_err(|_| anyhow::anyhow!("a panic"))??;
            anyhow::Ok(packets + steady(5)?)
        });
        let (mut memory, mut asked) = (0, 0);
        while !meanwhile.is_finished() {
            let books = stage.live.status()?;
            books.balance().context("during the flood")?;
            memory = memory.max(resident(&stage.live)?);
            asked += 1;
        }
        let during = meanwhile.join().map_err(|_| anyhow::anyhow!("a panic"))??;
        tell(&format!("{flood:?}: books asked for {asked} times"));
        Ok((before + during, memory))
    })
}

/// Resident memory, octets.
fn resident(live: &Live) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{}/status", live.pid()))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? << 10)
}

/// The agent's memory limit: its mapped tables, a queue of records, and as much again while they are made.
fn bound(flows: u64) -> u64 {
    let slots = |flows: u64| flows + flows / 4 + 4096;
    let own = (flows / 16).clamp(4096, 1 << 20);
    let tables = slots(flows) * 64 + slots(1_000) * 96 + own * 160 + 3 * (16 << 20);
    let (queue, record) = (1 << 18, 128);
    tables + 4 * queue * record + (64 << 20)
}

/// Waits for the rest, ends all, and compares records with packets sent.
fn close(stage: Stage, sent: Count) -> Result<(Books, Stored)> {
    let Stage { netns, nfcapd, mut live } = stage;
    live.until(LIMIT, "at rest", |books| books.in_table.packets == 0 && books.queued.packets == 0)?;
    let books = live.status()?;
    books.at_rest()?;
    ensure!(books.seen == sent, "seen {:?}, sent {sent:?}", books.seen);
    let others = books.lost.iter().filter(|(reason, lost)| *reason != "ring_buffer_full" && lost.packets > 0);
    ensure!(others.count() == 0, "lost by a reason that no flood explains: {:?}", books.lost);
    ensure!(books.exported + books.lost_total() == sent, "{books:?}");
    tell(&live.log());
    live.stop()?.success()?;
    METERED.into_iter().try_for_each(|metered| netns.expect_clean(metered))?;
    let stored = nfcapd.store()?;
    ensure!(stored.findings.is_empty(), "{:?}", stored.findings);
    let total = stored.total()?;
    ensure!(total == books.exported, "nfcapd has {total:?}, exported {:?}", books.exported);
    Ok((books, stored))
}

/// Flows that were there before the flood are in slots of their own, and leave them by their timeouts alone:
/// each has all its packets at the collector.
fn kept(stored: &Stored, packets: u64) -> Result<()> {
    let records = stored.records("proto tcp")?;
    ensure!(records.len() >= 1_000, "{} records of 1000 flows", records.len());
    equal(&steady(packets).truth(), &Flows::by_tuple(&records), Columns::WITHOUT_TTL)
}

/// A flood, and its checks. Gives the books at the end, and nfcapd's aggregates.
fn flooded(flows: u64, name: &str, protocol: &str, pace: &str, packets: u32) -> Result<(Books, Count)> {
    let stage = stage(name, protocol, pace)?;
    let flood = flood(packets);
    let (steady_packets, memory) = run(&stage, &flood)?;
    let log = stage.live.log();
    let (books, stored) = close(stage, count(&flood) + count(&steady(steady_packets)))?;
    ensure!(memory < bound(flows), "{memory} octets resident, {} are the bound", bound(flows));
    ensure!(log.contains("flow table fills"), "pressure was not told: {log}");
    kept(&stored, steady_packets)?;
    let aggregates = stored.records("proto udp and src ip 0.0.0.0")?;
    let aggregated = aggregates
        .iter()
        .map(|record| Count { packets: record.sums.packets, octets: record.sums.octets })
        .sum::<Count>();
    tell(&format!(
        "{protocol}, {packets} flows for a table of {flows}: {} records, {} packets in {} aggregates, {} lost; \
         {} MiB resident of {} at most",
        stored.count,
        aggregated.packets,
        aggregates.len(),
        books.lost_total().packets,
        memory >> 20,
        bound(flows) >> 20
    ));
    Ok((books, aggregated))
}

#[test]
fn a_flow_for_each_packet_at_full_rate() -> Result<()> {
    let (_, aggregated) = flooded(1_000_000, "1M", "ipfix", "4K", bounded(20_000_000))?;
    ensure!(aggregated.packets > 0, "the flood had room: nothing of aggregates is tested");
    Ok(())
}

#[test]
fn a_flood_of_a_small_table() -> Result<()> {
    for protocol in ["ipfix", "v9", "v5"] {
        let (_, aggregated) = flooded(10_000, "10K", protocol, "1K", bounded(2_000_000))?;
        ensure!(aggregated.packets > 0, "{protocol}: nothing was aggregated");
    }
    Ok(())
}

/// Short flows, round after round, that table and ring buffer can hold: nothing is lost or aggregated.
#[test]
fn churn_that_the_table_holds_is_exact() -> Result<()> {
    let stage = stage("200K", "ipfix", "16K")?;
    let round = Traffic { flows: 40_000, packets: 120_000, ipv6: false, protocol: TCP, length: 100 };
    let rounds = u64::from(bounded(20).max(5));
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| (0..rounds).try_for_each(|_| send(&round, &stage.netns, SENDERS[0])));
        while !sending.is_finished() {
            stage.live.status()?.balance()?;
        }
        sending.join().map_err(|_| anyhow::anyhow!("a panic"))?
    })?;
    let all = Traffic { packets: rounds * round.packets, ..round };
    let (books, stored) = close(stage, count(&all))?;
    ensure!(books.lost_total() == Count::default(), "lost: {:?}", books.lost);
    equal(&all.truth(), &Flows::by_tuple(&stored.records("any")?), Columns::WITHOUT_TTL)
}
