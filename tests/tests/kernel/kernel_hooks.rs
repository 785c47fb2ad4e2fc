//! Hooks: a device without Ethernet frames is metered by a classifier, exact to the packet and octet, as it comes and
//! goes, under a killed agent, and beside another's classifier.

use std::time::Duration;

use anyhow::{Result, ensure};
use aya::programs::{SchedClassifier, TcAttachType};
use flowxdp_tests::agent::{Live, program};
use flowxdp_tests::books::Count;
use flowxdp_tests::bpffs::Bpffs;
use flowxdp_tests::compare::{Columns, equal};
use flowxdp_tests::failures::left_out;
use flowxdp_tests::flows::Flows;
use flowxdp_tests::foreign;
use flowxdp_tests::judge::nfcapd::Nfcapd;
use flowxdp_tests::netns::Netns;
use flowxdp_tests::process::Program;
use flowxdp_tests::traffic::{TCP, Traffic, UDP};
use flowxdp_tests::tun::Tun;

const LIMIT: Duration = Duration::from_secs(60);
const METERED: &str = "tun0";

const fn traffic(packets: u64, ipv6: bool, protocol: u8) -> Traffic {
    Traffic { flows: 20, packets, ipv6, protocol, length: 200 }
}

fn count(traffic: &Traffic) -> Count {
    Count { packets: traffic.packets, octets: traffic.octets() }
}

/// A namespace with a tun device; `None` where the kernel has none.
fn stage() -> Result<Option<(Netns, Tun)>> {
    let netns = Netns::new("hooks")?;
    match Tun::new(&netns, METERED) {
        Ok(tun) => Ok(Some((netns, tun))),
        Err(error) => {
            left_out(&format!("this kernel has no tun devices: {error:#}"));
            Ok(None)
        }
    }
}

fn tc(netns: &Netns, words: &str) -> Result<String> {
    Ok(Program::find("tc")?.args(words.split_whitespace()).netns(netns).run(LIMIT)?.success()?.stdout)
}

/// Classifiers of ours at the ingress of an interface, in tcx or in a filter.
fn classifiers(netns: &Netns, interface: &str) -> Result<usize> {
    let tcx = netns.inside(|| {
        let queried = SchedClassifier::query_tcx(interface, TcAttachType::Ingress);
        // Before Linux 6.6 there is no tcx.
        let programs = queried.map_or_else(|_| Vec::new(), |(_, programs)| programs);
        Ok(programs
            .iter()
            .filter(|it| it.name_as_str().is_some_and(|name| name.starts_with("flowxdp")))
            .count())
    })?;
    let filters = tc(netns, &format!("filter show dev {interface} ingress")).unwrap_or_default();
    Ok(tcx + filters.matches("flowxdp_in_ip").count())
}

/// Waits until so much was seen on an interface; the books must balance then.
fn until_seen(live: &mut Live, interface: &str, seen: Count) -> Result<()> {
    live.until(LIMIT, "all seen", |books| {
        books.interfaces.get(interface).is_some_and(|its| its.seen.packets >= seen.packets)
    })?;
    let books = live.status()?;
    books.balance()?;
    ensure!(books.interfaces[interface].seen == seen, "{seen:?} sent: {books:?}");
    Ok(())
}

/// Octets and packets that the kernel's device received.
fn received(netns: &Netns) -> Result<Count> {
    let counter = |name| netns.counter(METERED, name);
    Ok(Count { packets: counter("rx_packets")?, octets: counter("rx_bytes")? })
}

#[test]
fn a_device_without_ethernet_frames_is_metered_to_the_octet() -> Result<()> {
    let Some((netns, tun)) = stage()? else { return Ok(()) };
    let nfcapd = Nfcapd::start(Some(&netns))?;
    let mut live = Live::start(
        &netns,
        &["--interface", METERED, "--collector", &nfcapd.url(), "--collect", "mac,vlan,ipv6"],
    )?;
    ensure!(live.log().contains("tun0: metering by a classifier at ingress ("), "{}", live.log());
    let sent = [traffic(4_000, false, UDP), traffic(2_000, true, UDP), traffic(1_000, false, TCP)];
    let mut truth = Flows::default();
    for traffic in &sent {
        tun.send_all(traffic)?;
        truth.merge(&traffic.truth());
    }
    let all = sent.iter().map(count).sum();
    until_seen(&mut live, METERED, all)?;
    ensure!(received(&netns)? == all, "the device received {:?}", received(&netns)?);
    let shown = program()?.args(["status", "--json", "--socket"]).arg(live.socket()).run(LIMIT)?.success()?;
    ensure!(["\"tcx\"", "\"clsact\""].iter().any(|hook| shown.stdout.contains(hook)), "{}", shown.stdout);
    live.stop()?.success()?;
    ensure!(classifiers(&netns, METERED)? == 0, "a classifier is left");
    equal(&truth, &Flows::by_tuple(&nfcapd.stop()?.clean()?), Columns::WITHOUT_TTL)
}

#[test]
fn a_killed_agent_leaves_no_gap_and_the_next_one_no_classifier() -> Result<()> {
    let Some((netns, tun)) = stage()? else { return Ok(()) };
    let (bpffs, nfcapd) = (Bpffs::new()?, Nfcapd::start(Some(&netns))?);
    let (pins, url) = (bpffs.pins().display().to_string(), nfcapd.url());
    let start = || Live::start(&netns, &["--interface", METERED, "--collector", &url, "--pin", &pins]);
    let round = traffic(3_000, false, UDP);
    let live = start()?;
    tun.send_all(&round)?;
    live.kill()?;
    ensure!(classifiers(&netns, METERED)? == 1, "the classifier went with its agent");
    tun.send_all(&round)?;
    let mut live = start()?;
    ensure!(classifiers(&netns, METERED)? == 1, "two classifiers count each packet twice");
    tun.send_all(&round)?;
    let thrice = Count { packets: 3 * round.packets, octets: 3 * round.octets() };
    until_seen(&mut live, METERED, thrice)?;
    live.stop()?.success()?;
    ensure!(classifiers(&netns, METERED)? == 0, "a classifier is left");
    bpffs.expect_clean()?;
    let mut truth = Flows::default();
    (0..3).for_each(|_| truth.merge(&round.truth()));
    equal(&truth, &Flows::by_tuple(&nfcapd.stop()?.clean()?), Columns::COUNTS)
}

#[test]
fn detach_takes_a_killed_agents_classifier_away() -> Result<()> {
    let Some((netns, _tun)) = stage()? else { return Ok(()) };
    let bpffs = Bpffs::new()?;
    let pins = bpffs.pins().display().to_string();
    let live =
        Live::start(&netns, &["--interface", METERED, "--collector", "udp://127.0.0.1:9", "--pin", &pins])?;
    live.kill()?;
    let detach = |arguments: &[&str]| program()?.arg("detach").args(arguments).netns(&netns).run(LIMIT);
    let done = detach(&["--interface", METERED, "--pin", &pins])?.success()?;
    ensure!(done.stdout.contains("tun0: flowxdp is taken away"), "{}", done.stdout);
    ensure!(classifiers(&netns, METERED)? == 0, "a classifier is left");
    bpffs.expect_clean()?;
    let again = detach(&["--interface", METERED])?;
    ensure!(again.code == Some(1) && again.stderr.contains("tun0"), "{}", again.stderr);
    Ok(())
}

#[test]
fn a_device_that_comes_again_is_metered_by_its_name_or_a_pattern() -> Result<()> {
    for wanted in [METERED, "tun*"] {
        let Some((netns, tun)) = stage()? else { return Ok(()) };
        let mut live = Live::start(&netns, &["--interface", wanted, "--collector", "udp://127.0.0.1:9"])?;
        let round = traffic(500, false, UDP);
        tun.send_all(&round)?;
        until_seen(&mut live, METERED, count(&round))?;
        drop(tun);
        live.until_log(LIMIT, "gone", |log| log.contains("tun0: the interface is gone"))?;
        let tun = Tun::new(&netns, METERED)?;
        live.until_log(LIMIT, "metered", |log| log.matches("tun0: metering by a classifier").count() == 2)?;
        tun.send_all(&round)?;
        until_seen(&mut live, METERED, count(&round) + count(&round))?;
        live.stop()?.success()?;
        ensure!(classifiers(&netns, METERED)? == 0, "a classifier is left");
    }
    Ok(())
}

#[test]
fn anothers_classifier_stays_and_still_runs() -> Result<()> {
    let Some((netns, tun)) = stage()? else { return Ok(()) };
    tc(&netns, "qdisc add dev tun0 clsact")?;
    if foreign::filter(&netns, METERED, "ingress").is_err() {
        left_out("this kernel has no filters with programs");
        return Ok(());
    }
    let before = tc(&netns, "filter show dev tun0 ingress")?;
    let mut live = Live::start(&netns, &["--interface", METERED, "--collector", "udp://127.0.0.1:9"])?;
    let round = traffic(500, false, UDP);
    tun.send_all(&round)?;
    until_seen(&mut live, METERED, count(&round))?;
    live.stop()?.success()?;
    ensure!(tc(&netns, "filter show dev tun0 ingress")? == before, "the other filter was touched");
    Ok(())
}
