//! Traffic on every CPU at once: each CPU counts in a partition of its own, and nothing shows of it outside.
//!
//! The generator's own counts and the interface's say what was sent; nfcapd says what was exported.

use anyhow::{Result, ensure};
use flowxdp_tests::agent::Live;
use flowxdp_tests::books::Count;
use flowxdp_tests::compare::{Columns, equal};
use flowxdp_tests::failures::{Failures, tell};
use flowxdp_tests::flows::Flows;
use flowxdp_tests::generator::cpus;
use flowxdp_tests::judge::nfcapd::Nfcapd;
use flowxdp_tests::netns::Netns;
use flowxdp_tests::traffic::{Generator, TCP, Tcpreplay, Traffic, UDP};

const SENDER: &str = "gen0";
const METERED: &str = "met0";
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

/// What all the shares come to: the same flows from each CPU are the same flows.
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
