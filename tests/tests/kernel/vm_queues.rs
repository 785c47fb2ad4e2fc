//! A virtio NIC with several queues, and one whose offloads are in the way of XDP.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flowxdp_tests::agent::{Live, program};
use flowxdp_tests::books::Count;
use flowxdp_tests::compare::{Columns, equal};
use flowxdp_tests::failures::tell;
use flowxdp_tests::flows::Flows;
use flowxdp_tests::generator::cpus;
use flowxdp_tests::judge::nfcapd::Nfcapd;
use flowxdp_tests::netns::Netns;
use flowxdp_tests::nic;
use flowxdp_tests::process::Program;
use flowxdp_tests::traffic::{TCP, Tcpreplay, Traffic, UDP};

const LIMIT: Duration = Duration::from_secs(30);
const MULTI: &str = "multi0";
const FIXED: &str = "fixed0";
/// The NIC's own address, and that of the router behind it, which sends everything back.
const NIC: [u8; 6] = [0x52, 0x54, 0, 0, 1, 0];
const PEER: [u8; 6] = [0x52, 0x54, 0, 0, 0x0f, 0];
const RATE: u32 = 2_000;

#[test]
fn packets_on_several_queues() -> Result<()> {
    let netns = Netns::new("queues")?;
    nic::take(&netns, MULTI)?;
    let nfcapd = Nfcapd::start(Some(&netns))?;
    let url = nfcapd.url();
    let mut live = Live::start(&netns, &["--interface", MULTI, "--mode", "native", "--collector", &url])?;
    let before = nic::by_queue(&netns, MULTI)?;
    let (mut sent, mut truth) = (Count::default(), Flows::default());
    // Packets that a CPU sends by its queue come back by the same.
    for (cpu, (protocol, length)) in
        cpus::online()?.into_iter().zip([(UDP, 100), (TCP, 100), (UDP, 1_400), (TCP, 1_400)])
    {
        let traffic = Traffic { flows: 250, packets: 5_000, ipv6: false, protocol, length };
        let frames = (0..traffic.flows).map(|flow| traffic.routed(flow, NIC, PEER));
        Tcpreplay { rate: RATE, cpu: Some(cpu) }.send_frames(frames, &traffic, &netns, MULTI)?;
        sent = sent + Count { packets: traffic.packets, octets: traffic.octets() };
        truth.merge(&traffic.truth());
    }
    live.until(LIMIT, "done with the packets", |books| books.seen.packets >= sent.packets)?;
    let books = live.status()?;
    books.balance()?;
    ensure!(books.seen == sent, "seen {:?}, sent {sent:?}", books.seen);
    let after = nic::by_queue(&netns, MULTI)?;
    let queues: Vec<u64> = after.iter().zip(&before).map(|(after, before)| after - before).collect();
    ensure!(queues.iter().sum::<u64>() == sent.packets, "the driver counted {queues:?}");
    ensure!(queues.iter().filter(|packets| **packets > 0).count() > 1, "on one queue: {queues:?}");
    tell(&format!("by queue: {queues:?}"));
    live.stop()?.success()?;
    netns.expect_clean(MULTI)?;
    equal(&truth, &Flows::by_tuple(&nfcapd.stop()?.clean()?), Columns::WITHOUT_TTL)
}

/// Every packet of a tap is counted on each queue, and none is in the kernel's stack.
#[test]
fn packets_of_a_tap_on_several_queues() -> Result<()> {
    let netns = Netns::new("queues")?;
    nic::take(&netns, MULTI)?;
    let before = (nic::by_queue(&netns, MULTI)?, netns.arrived(MULTI)?);
    let arguments = ["--interface", MULTI, "--tap", "--mode", "native", "--collector", "udp://127.0.0.1:9"];
    let mut live = Live::start(&netns, &arguments)?;
    let mut sent = Count::default();
    for cpu in cpus::online()?.into_iter().take(4) {
        let traffic = Traffic { flows: 250, packets: 2_000, ipv6: false, protocol: UDP, length: 100 };
        let frames = (0..traffic.flows).map(|flow| traffic.routed(flow, NIC, PEER));
        Tcpreplay { rate: RATE, cpu: Some(cpu) }.send_frames(frames, &traffic, &netns, MULTI)?;
        sent = sent + Count { packets: traffic.packets, octets: traffic.octets() };
    }
    live.until(LIMIT, "done with the packets", |books| books.seen.packets >= sent.packets)?;
    let books = live.status()?;
    books.balance()?;
    ensure!(books.seen == sent, "seen {:?}, sent {sent:?}", books.seen);
    let after = nic::by_queue(&netns, MULTI)?;
    // A driver may begin anew to count at each attachment.
    ensure!(after.iter().filter(|packets| **packets > 0).count() > 1, "{before:?}, {after:?}");
    // Their addresses are the NIC's: a stack would count each as received. Messages to the collector are on the loopback.
    let (stack, loopback) = (received_by_ip(&netns)?, netns.counter("lo", "rx_packets")?);
    ensure!(stack <= loopback, "{stack} packets are in the stack, and {loopback} came by the loopback");
    live.stop()?.success()?;
    netns.expect_clean(MULTI)
}

/// IPv4 packets that the namespace's stack received.
fn received_by_ip(netns: &Netns) -> Result<u64> {
    let text = Program::find("cat")?.arg("/proc/net/snmp").netns(netns).run(LIMIT)?.success()?.stdout;
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Ip: "));
    let (names, values) = lines.next().zip(lines.next()).context("no counters of IPv4")?;
    let place = names.split(' ').position(|name| name == "InReceives").context("no InReceives")?;
    Ok(values.split(' ').nth(place).context("no value")?.parse()?)
}

#[test]
fn offloads_that_are_in_the_way_are_named() -> Result<()> {
    let (netns, directory) = (Netns::new("queues")?, tempfile::tempdir()?);
    nic::take(&netns, FIXED)?;
    let run = program()?.args(["run", "--interface", FIXED, "--mode", "native", "--collector"]);
    let run = run.args(["udp://127.0.0.1:9", "--socket"]).arg(directory.path().join("socket"));
    let ended = run.netns(&netns).run(LIMIT)?;
    ensure!(ended.code == Some(1), "it ended with {:?}: {}", ended.code, ended.stderr);
    for word in [FIXED, "GRO_HW", "CSUM", "ethtool -K fixed0", "guest_csum=off", "--mode generic"] {
        ensure!(ended.stderr.contains(word), "no {word} in: {}", ended.stderr);
    }
    tell(&ended.stderr);
    netns.expect_clean(FIXED)?;
    let live = Live::start(&netns, &["--interface", FIXED, "--collector", "udp://127.0.0.1:9"])?;
    ensure!(netns.ip("link show fixed0")?.contains("xdpgeneric"), "not in generic mode");
    ensure!(live.log().contains("GRO_HW"), "the log does not say why: {}", live.log());
    live.stop()?.success()?;
    netns.expect_clean(FIXED)
}
