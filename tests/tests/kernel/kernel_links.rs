//! Interfaces that come, go and change while a live agent meters them: exact counts throughout, under the
//! name that each has, and a program left behind nowhere.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flowxdp_tests::agent::{Live, program};
use flowxdp_tests::books::Count;
use flowxdp_tests::bpffs::Bpffs;
use flowxdp_tests::compare::{Columns, equal};
use flowxdp_tests::failures::tell;
use flowxdp_tests::flows::{Flows, Record};
use flowxdp_tests::foreign;
use flowxdp_tests::judge::nfcapd::Nfcapd;
use flowxdp_tests::judge::tshark;
use flowxdp_tests::netns::Netns;
use flowxdp_tests::process::Program;
use flowxdp_tests::sniff::Sniffer;
use flowxdp_tests::stack;
use flowxdp_tests::tagger::Tagger;
use flowxdp_tests::traffic::{Traffic, UDP, generator};
use flowxdp_tests::tun::Tun;

const LIMIT: Duration = Duration::from_secs(30);

/// Different for each number of packets, so that interfaces are told apart.
const fn traffic(packets: u64) -> Traffic {
    Traffic { flows: 10, packets, ipv6: false, protocol: UDP, length: 100 }
}

fn count(traffic: &Traffic) -> Count {
    Count { packets: traffic.packets, octets: traffic.octets() }
}

/// A running agent, and nfcapd, in a namespace where links may come.
struct Stage {
    netns: Netns,
    nfcapd: Nfcapd,
    live: Live,
}

impl Stage {
    fn new(netns: Netns, interfaces: &str, more: &[&str]) -> Result<Self> {
        let nfcapd = Nfcapd::start(Some(&netns))?;
        let url = nfcapd.url();
        let arguments = ["--interface", interfaces, "--idle-timeout", "1s", "--collector", &url];
        let live = Live::start(&netns, &[&arguments[..], more].concat())?;
        Ok(Self { netns, nfcapd, live })
    }

    /// Waits until its log has a line so many times.
    fn said(&mut self, line: &str, times: usize) -> Result<()> {
        self.live.until_log(LIMIT, line, |log| log.matches(line).count() >= times)
    }

    /// The same for the line that says that an interface is metered.
    fn metered(&mut self, interface: &str, times: usize) -> Result<()> {
        self.said(&format!("{interface}: metering in native mode"), times)
    }

    fn send(&self, packets: u64, from: &str) -> Result<()> {
        generator().send(&traffic(packets), &self.netns, from)
    }

    /// Waits until so many packets were seen in all, and gives each interface's share.
    fn seen(&mut self, interfaces: &[(&str, u64)]) -> Result<()> {
        let all = interfaces.iter().map(|(_, packets)| packets).sum::<u64>();
        self.live.until(LIMIT, "done with all", |books| books.seen.packets >= all)?;
        let books = self.live.status()?;
        books.balance()?;
        let seen = books.interfaces.iter().map(|(name, books)| (name.as_str(), books.seen));
        let wanted = interfaces.iter().map(|&(name, packets)| (name, count(&traffic(packets))));
        ensure!(seen.eq(wanted), "not {interfaces:?}: {books:?}");
        Ok(())
    }

    /// Ends the agent: all packets must have been exported, and no program may be attached any more.
    fn close(self, left: &[&str]) -> Result<(Netns, Vec<Record>, String)> {
        let log = self.live.stop()?.success()?.stderr;
        left.iter().try_for_each(|interface| self.netns.expect_clean(interface))?;
        Ok((self.netns, self.nfcapd.stop()?.clean()?, log))
    }
}

/// The records of one ifIndex must be this traffic.
fn exact(records: &[Record], index: u32, packets: u64) -> Result<()> {
    let its = records.iter().filter(|record| record.ingress == Some(index));
    equal(&traffic(packets).truth(), &Flows::by_tuple(its), Columns::WITHOUT_TTL)
        .with_context(|| format!("interface {index}"))
}

#[test]
fn links_that_come_later_are_metered_if_a_pattern_matches() -> Result<()> {
    let mut stage = Stage::new(Netns::new("links")?, "met*,up?", &[])?;
    stage.said("matches met*: waiting for one", 1)?;
    stage.said("matches up?: waiting for one", 1)?;
    stage.netns.veth("gen0", "met0")?;
    stage.metered("met0", 1)?;
    stage.send(1_000, "gen0")?;
    stage.netns.veth("gen1", "up1")?;
    stage.netns.veth("gen2", "up22")?;
    stage.metered("up1", 1)?;
    stage.send(2_000, "gen1")?;
    stage.send(3_000, "gen0")?;
    stage.seen(&[("met0", 4_000), ("up1", 2_000)])?;
    stage.netns.expect_clean("up22")?;
    let indices = [stage.netns.index("met0")?, stage.netns.index("up1")?];
    let (_, records, _) = stage.close(&["met0", "up1"])?;
    exact(&records, indices[0], 4_000)?;
    exact(&records, indices[1], 2_000)
}

#[test]
fn a_star_takes_every_ethernet_interface_and_not_the_loopback() -> Result<()> {
    let netns = Netns::new("links")?;
    netns.veth("gen0", "met0")?;
    let mut stage = Stage::new(netns, "*", &[])?;
    stage.metered("gen0", 1)?;
    stage.send(1_000, "gen0")?;
    stage.seen(&[("gen0", 0), ("met0", 1_000)])?;
    stage.netns.expect_clean("lo")?;
    stage.close(&["gen0", "met0"])?;
    Ok(())
}

#[test]
fn a_link_that_is_removed_and_made_again_goes_on_under_its_name() -> Result<()> {
    let netns = Netns::new("links")?;
    netns.veth("gen0", "met0")?;
    let mut stage = Stage::new(netns, "met0", &[])?;
    let mut indices = Vec::new();
    for round in 1..=3 {
        stage.metered("met0", round)?;
        indices.push(stage.netns.index("met0")?);
        stage.send(1_000 * round as u64, "gen0")?;
        if round < 3 {
            stage.netns.ip("link del met0")?;
            stage.said("met0: the interface is gone", round)?;
            // Its counts stay while the interface is gone.
            stage.seen(&[("met0", [1_000, 3_000][round - 1])])?;
            stage.netns.veth("gen0", "met0")?;
        }
    }
    stage.seen(&[("met0", 6_000)])?;
    let (_, records, log) = stage.close(&["met0"])?;
    ensure!(log.matches("is gone").count() == 2, "not said once each time: {log}");
    for (index, packets) in indices.iter().zip([1_000, 2_000, 3_000]) {
        exact(&records, *index, packets)?;
    }
    Ok(())
}

#[test]
fn an_ifindex_that_another_link_has_now_is_counted_under_the_other_name() -> Result<()> {
    let netns = Netns::new("links")?;
    netns.ip("link add index 77 name met0 type veth peer name gen0")?;
    for end in ["gen0", "met0"] {
        netns.sysctl(&format!("ipv6/conf/{end}/disable_ipv6"), "1")?;
        netns.ip(&format!("link set {end} up"))?;
    }
    let mut stage = Stage::new(netns, "met*", &[])?;
    stage.metered("met0", 1)?;
    stage.send(1_000, "gen0")?;
    stage.netns.ip("link del met0")?;
    stage.netns.ip("link add index 77 name met7 type veth peer name gen0")?;
    for end in ["gen0", "met7"] {
        stage.netns.sysctl(&format!("ipv6/conf/{end}/disable_ipv6"), "1")?;
        stage.netns.ip(&format!("link set {end} up"))?;
    }
    stage.metered("met7", 1)?;
    stage.send(2_000, "gen0")?;
    stage.seen(&[("met0", 1_000), ("met7", 2_000)])?;
    let (_, records, _) = stage.close(&["met7"])?;
    exact(&records, 77, 3_000)
}

#[test]
fn a_link_that_is_renamed_is_metered_on_under_its_new_name() -> Result<()> {
    let netns = Netns::new("links")?;
    netns.veth("gen0", "met0")?;
    let sniffer = Sniffer::start_with("udp", Some(&netns))?;
    // With nfdump's preset IPFIX has no names of interfaces.
    let mut stage = Stage::new(netns, "met*", &["--protocol", "v9"])?;
    let port = stage.nfcapd.port();
    stage.send(1_000, "gen0")?;
    // To a name that the pattern does not match.
    rename(&stage.netns, "met0", "wan0")?;
    stage.said("met0 is wan0 now", 1)?;
    stage.send(2_000, "gen0")?;
    stage.seen(&[("wan0", 3_000)])?;
    // And one from such a name.
    stage.netns.veth("gen1", "other1")?;
    stage.netns.expect_clean("other1")?;
    rename(&stage.netns, "other1", "met1")?;
    stage.metered("met1", 1)?;
    stage.send(4_000, "gen1")?;
    stage.seen(&[("met1", 4_000), ("wan0", 3_000)])?;
    let indices = [stage.netns.index("wan0")?, stage.netns.index("met1")?];
    // The recording ends in the namespace, which is kept until then.
    let (_netns, records, _) = stage.close(&["wan0", "met1"])?;
    exact(&records, indices[0], 3_000)?;
    exact(&records, indices[1], 4_000)?;
    // The interfaces' options data, one after the other.
    let sniffed = sniffer.stop()?;
    let mut told = Vec::new();
    for record in tshark::options(sniffed.file(), &[port])?.iter().filter(|record| record.has("if_name")) {
        told.push((u32::try_from(record.number("inputint")?)?, record.text("if_name")?));
    }
    let [first, second] = indices;
    let wanted = [(first, "met0"), (first, "wan0"), (first, "wan0"), (second, "met1")];
    let wanted = wanted.map(|(index, name)| (index, name.to_owned()));
    ensure!(told.starts_with(&wanted), "told {told:?}");
    Ok(())
}

/// Older kernels rename only interfaces that are down.
fn rename(netns: &Netns, from: &str, to: &str) -> Result<()> {
    netns.ip(&format!("link set {from} down"))?;
    netns.ip(&format!("link set {from} name {to}"))?;
    netns.ip(&format!("link set {to} up"))?;
    Ok(())
}

#[test]
fn an_alternative_name_is_a_name() -> Result<()> {
    const LONG: &str = "enp129s0f0np0-to-the-provider";
    let mut netns = Netns::new("links")?;
    netns.veth("gen0", "met0")?;
    netns.ip(&format!("link property add dev met0 altname {LONG}"))?;
    for wanted in [LONG, "enp129*"] {
        let mut stage = Stage::new(netns, wanted, &[])?;
        stage.metered("met0", 1)?;
        stage.send(1_000, "gen0")?;
        stage.seen(&[("met0", 1_000)])?;
        netns = stage.close(&["met0"])?.0;
    }
    // One that a link has later.
    let mut stage = Stage::new(netns, "uplink*", &[])?;
    stage.said("matches uplink*: waiting for one", 1)?;
    stage.netns.ip("link property add dev met0 altname uplink-of-the-first-floor")?;
    stage.metered("met0", 1)?;
    let twice = program()?.args(["run", "--collector", "udp://127.0.0.1:9", "--interface"]);
    let twice = twice.arg(format!("met0,{LONG}")).netns(&stage.netns).run(LIMIT)?;
    ensure!(twice.code == Some(1) && twice.stderr.contains("met0 is named twice"), "{twice:?}");
    stage.close(&["met0"])?;
    Ok(())
}

#[test]
fn an_ifindex_that_a_protocol_cannot_hold_is_said_once_and_is_0_there() -> Result<()> {
    let netns = Netns::new("links")?;
    let (make, remove) = ("link add met0 up index 70002 type veth peer name gen0", "link del met0");
    netns.sysctl("ipv6/conf/default/disable_ipv6", "1")?;
    netns.ip(make)?;
    netns.ip("link set gen0 up")?;
    let (v5, v9) = (Nfcapd::start(Some(&netns))?, Nfcapd::start(Some(&netns))?);
    let urls = [v5.url_of("v5"), v9.url_of("v9")];
    let arguments =
        ["--interface", "met0", "--idle-timeout", "1s", "--collector", &urls[0], "--collector", &urls[1]];
    let live = Live::start(&netns, &arguments)?;
    let mut stage = Stage { netns, nfcapd: v5, live };
    stage.said("met0: NetFlow v5 cannot hold its ifIndex 70002", 1)?;
    stage.send(1_000, "gen0")?;
    // The same interface once more.
    stage.netns.ip(remove)?;
    stage.said("met0: the interface is gone", 1)?;
    stage.netns.ip(make)?;
    stage.metered("met0", 2)?;
    stage.seen(&[("met0", 1_000)])?;
    let (_netns, records, log) = stage.close(&["met0"])?;
    ensure!(log.matches("cannot hold its ifIndex").count() == 1, "not said once: {log}");
    exact(&records, 0, 1_000)?;
    exact(&v9.stop()?.clean()?, 70_002, 1_000)
}

#[test]
fn a_link_that_moves_to_another_namespace_is_let_go() -> Result<()> {
    let (netns, other) = (Netns::new("links")?, Netns::new("other")?);
    netns.veth("gen0", "met0")?;
    let mut stage = Stage::new(netns, "met0", &[])?;
    stage.send(1_000, "gen0")?;
    stage.netns.ip(&format!("link set met0 netns {}", other.name()))?;
    stage.said("met0: the interface is gone", 1)?;
    stage.seen(&[("met0", 1_000)])?;
    other.expect_clean("met0")?;
    // And back.
    other.ip(&format!("link set met0 netns {}", stage.netns.name()))?;
    stage.metered("met0", 2)?;
    stage.netns.sysctl("ipv6/conf/met0/disable_ipv6", "1")?;
    stage.netns.ip("link set met0 up")?;
    stage.send(2_000, "gen0")?;
    stage.seen(&[("met0", 3_000)])?;
    stage.close(&["met0"])?;
    Ok(())
}

#[test]
fn metered_links_that_come_to_carry_the_same_packets_count_each_once() -> Result<()> {
    let netns = Netns::new("links")?;
    netns.veth("gen0", "met0")?;
    netns.ip("link add br0 type bridge forward_delay 0")?;
    netns.sysctl("ipv6/conf/br0/disable_ipv6", "1")?;
    // The bridge takes all packets of its ports, whoever they are for and whatever netfilter says of them.
    if std::path::Path::new("/proc/sys/net/bridge").exists() {
        netns.sysctl("bridge/bridge-nf-call-iptables", "0")?;
    }
    netns.ip("link set br0 up promisc on")?;
    let mut stage = Stage::new(netns, "met0,br0", &[])?;
    stage.send(1_000, "gen0")?;
    stage.netns.ip("link set met0 master br0")?;
    stage.said("br0: each packet would count twice, on met0 and on br0 above it, and met0 is metered", 1)?;
    stage.send(2_000, "gen0")?;
    let received = stage.netns.counter("br0", "rx_packets")?;
    ensure!(received == 2_000, "the bridge received {received} packets");
    // An interface that is not metered any more and never counted is in no books.
    stage.seen(&[("met0", 3_000)])?;
    stage.netns.expect_clean("br0")?;
    stage.netns.ip("link set met0 alias changed")?;
    stage.netns.ip("link set met0 nomaster")?;
    stage.said("br0: metering in generic mode", 2)?;
    stage.send(4_000, "gen0")?;
    stage.seen(&[("br0", 0), ("met0", 7_000)])?;
    let (_, records, log) = stage.close(&["met0", "br0"])?;
    ensure!(log.matches("each packet would count twice").count() == 1, "not said once: {log}");
    ensure!(Flows::by_tuple(&records).totals().0 == 7_000, "{records:?}");
    Ok(())
}

#[test]
fn a_name_that_comes_back_without_ethernet_frames_is_metered_by_the_other_hook() -> Result<()> {
    let netns = Netns::new("links")?;
    netns.veth("gen0", "met0")?;
    netns.veth("gen1", "met1")?;
    let mut stage = Stage::new(netns, "met0,met1", &[])?;
    stage.netns.ip("link del met0")?;
    stage.said("met0: the interface is gone", 1)?;
    let tun = Tun::new(&stage.netns, "met0")?;
    stage.said("met0: metering by a classifier at ingress", 1)?;
    tun.send_all(&traffic(500))?;
    stage.send(1_000, "gen1")?;
    stage.seen(&[("met0", 500), ("met1", 1_000)])?;
    drop(tun);
    stage.said("met0: the interface is gone", 2)?;
    stage.netns.veth("gen0", "met0")?;
    stage.metered("met0", 2)?;
    stage.send(2_000, "gen0")?;
    stage.seen(&[("met0", 2_500), ("met1", 1_000)])?;
    stage.close(&["met0", "met1"])?;
    Ok(())
}

#[test]
fn a_link_that_goes_down_and_up_under_traffic_loses_nothing_that_it_received() -> Result<()> {
    const PAYLOAD: u64 = 200;
    let netns = Netns::new("links")?;
    netns.veth("gen0", "met0")?;
    stack::prepare(&netns, "gen0")?;
    let mut stage = Stage::new(netns, "met0", &["--active-timeout", "1s"])?;
    let before = stage.netns.counter("met0", "rx_packets")?;
    let (netns, done) = (&stage.netns, AtomicBool::new(false));
    let sent = std::thread::scope(|scope| {
        let sending = scope.spawn(|| stack::send(netns, usize::try_from(PAYLOAD)?, u64::MAX, &done));
        let flap = || {
            for _ in 0..5 {
                std::thread::sleep(Duration::from_millis(300));
                netns.ip("link set met0 down")?;
                std::thread::sleep(Duration::from_millis(100));
                netns.ip("link set met0 up")?;
            }
            anyhow::Ok(())
        };
        let flapped = flap();
        std::thread::sleep(Duration::from_millis(300));
        done.store(true, Ordering::Relaxed);
        let sent = sending.join().map_err(|_| anyhow::anyhow!("the sender panicked"))??;
        flapped.map(|()| sent)
    })?;
    let received = stage.netns.counter("met0", "rx_packets")? - before;
    ensure!(received > 1_000, "only {received} of {sent} arrived");
    stage.live.until(LIMIT, "done with all", |books| books.seen.packets >= received)?;
    let books = stage.live.status()?;
    books.balance()?;
    let wanted = Count { packets: received, octets: received * (PAYLOAD + stack::HEADERS) };
    ensure!(books.seen == wanted, "seen {:?}, the interface received {wanted:?}", books.seen);
    let (_, records, log) = stage.close(&["met0"])?;
    let (packets, octets) = Flows::by_tuple(&records).totals();
    ensure!(Count { packets, octets } == wanted, "{packets} packets, {octets} octets exported of {wanted:?}");
    ensure!(log.matches("metering in").count() == 1, "attached more than once: {log}");
    tell(&format!("five times down and up: {received} of {sent} packets arrived, all are in the records"));
    Ok(())
}

#[test]
fn a_link_that_cannot_be_metered_stops_nothing_and_is_tried_again() -> Result<()> {
    let netns = Netns::new("links")?;
    netns.veth("gen0", "met0")?;
    netns.veth("gen1", "other1")?;
    foreign::attach(&netns, "other1")?;
    let mut stage = Stage::new(netns, "met*", &[])?;
    rename(&stage.netns, "other1", "met1")?;
    stage.said("met1: another XDP program", 1)?;
    stage.said("ip link set dev met1 xdp off", 1)?;
    stage.send(1_000, "gen0")?;
    // The interface changes while the obstacle stays: no further line is logged.
    stage.netns.ip("link set met1 alias changed")?;
    stage.netns.ip("link set gen0 alias changed")?;
    stage.seen(&[("met0", 1_000)])?;
    ensure!(
        stage.live.log().matches("another XDP program").count() == 1,
        "said more than once: {}",
        stage.live.log()
    );
    foreign::detach(&stage.netns, "met1")?;
    stage.metered("met1", 1)?;
    stage.send(2_000, "gen1")?;
    stage.seen(&[("met0", 1_000), ("met1", 2_000)])?;
    stage.close(&["met0", "met1"])?;
    Ok(())
}

#[test]
fn a_link_that_a_pattern_matches_and_cannot_be_metered_does_not_stop_the_start() -> Result<()> {
    let netns = Netns::new("links")?;
    netns.veth("gen0", "met0")?;
    netns.veth("gen1", "met1")?;
    foreign::attach(&netns, "met1")?;
    let mut stage = Stage::new(netns, "met*", &[])?;
    stage.said("met1: another XDP program, foreign", 1)?;
    stage.send(1_000, "gen0")?;
    stage.seen(&[("met0", 1_000)])?;
    foreign::detach(&stage.netns, "met1")?;
    stage.metered("met1", 1)?;
    stage.close(&["met0", "met1"])?;
    Ok(())
}

/// Octets of UDP payload in a packet of 9,000 octets.
const JUMBO: u64 = 9_000 - stack::HEADERS;

/// Sends datagrams of the kernel's stack and waits until all have reached the other end.
fn send_datagrams(netns: &Netns, payload: u64, packets: u64) -> Result<()> {
    let before = netns.counter("met0", "rx_packets")?;
    let sent = stack::send(netns, usize::try_from(payload)?, packets, &AtomicBool::new(false))?;
    ensure!(sent == packets, "the stack took {sent} of {packets}");
    let received = netns.counter("met0", "rx_packets")? - before;
    ensure!(received == packets, "{received} of {packets} datagrams of {payload} octets arrived");
    Ok(())
}

#[test]
fn packets_in_several_buffers_count_all_their_octets() -> Result<()> {
    let netns = Netns::new("links")?;
    netns.veth("gen0", "met0")?;
    for end in ["gen0", "met0"] {
        netns.ip(&format!("link set {end} mtu 9000"))?;
    }
    stack::prepare(&netns, "gen0")?;
    let mut stage = Stage::new(netns, "met0", &["--mode", "native"])?;
    stage.metered("met0", 1)?;
    send_datagrams(&stage.netns, JUMBO, 1_000)?;
    stage.live.until(LIMIT, "done with all", |books| books.seen.packets >= 1_000)?;
    let seen = stage.live.status()?.seen;
    ensure!(seen == Count { packets: 1_000, octets: 9_000_000 }, "seen {seen:?}");
    let (_, records, _) = stage.close(&["met0"])?;
    ensure!(Flows::by_tuple(&records).totals() == (1_000, 9_000_000), "{records:?}");
    Ok(())
}

#[test]
fn an_mtu_that_is_raised_under_traffic_is_followed_without_a_gap() -> Result<()> {
    const SMALL: u64 = 1_000 - stack::HEADERS;
    let netns = Netns::new("links")?;
    netns.veth("gen0", "met0")?;
    stack::prepare(&netns, "gen0")?;
    let mut stage = Stage::new(netns, "met0", &["--mode", "native"])?;
    stage.metered("met0", 1)?;
    let done = AtomicBool::new(false);
    let before = stage.netns.counter("met0", "rx_packets")?;
    let namespace = stage.netns.name().to_owned();
    std::thread::scope(|scope| {
        let netns = &stage.netns;
        let sending = scope.spawn(|| stack::send(netns, usize::try_from(SMALL)?, u64::MAX, &done));
        std::thread::sleep(Duration::from_millis(300));
        let raised = netns.ip("link set met0 mtu 9000");
        let live = &mut stage.live;
        let said = live.until_log(LIMIT, "the larger MTU", |log| log.contains("met0: an MTU of 9000"));
        std::thread::sleep(Duration::from_millis(300));
        done.store(true, Ordering::Relaxed);
        sending.join().map_err(|_| anyhow::anyhow!("the sender panicked"))??;
        raised.and(said).context(namespace)
    })?;
    let small = stage.netns.counter("met0", "rx_packets")? - before;
    // The driver still limits the other end to one page.
    stage.netns.ip("link set gen0 mtu 3400")?;
    send_datagrams(&stage.netns, 3_400 - stack::HEADERS, 1_000)?;
    let wanted = Count { packets: small + 1_000, octets: small * 1_000 + 3_400_000 };
    stage.live.until(LIMIT, "done with all", |books| books.seen.packets >= wanted.packets)?;
    let seen = stage.live.status()?.seen;
    ensure!(seen == wanted, "seen {seen:?}, the interface received {wanted:?}");
    let (_, records, log) = stage.close(&["met0"])?;
    let (packets, octets) = Flows::by_tuple(&records).totals();
    ensure!(Count { packets, octets } == wanted, "{packets} packets, {octets} octets exported of {wanted:?}");
    ensure!(log.matches("metering in native mode").count() == 1, "attached more than once: {log}");
    Ok(())
}

#[test]
fn links_that_change_while_no_agent_runs_are_those_that_the_next_one_meters() -> Result<()> {
    let (netns, bpffs) = (Netns::new("links")?, Bpffs::new()?);
    for number in 0..4_u64 {
        netns.veth(&format!("gen{number}"), &format!("met{number}"))?;
    }
    let pins = bpffs.pins().display().to_string();
    let mut stage = Stage::new(netns, "met*", &["--pin", &pins])?;
    stage.metered("met3", 1)?;
    for number in 0..4_u64 {
        stage.send(1_000 + number * 100, &format!("gen{number}"))?;
    }
    stage.seen(&[("met0", 1_000), ("met1", 1_100), ("met2", 1_200), ("met3", 1_300)])?;
    let Stage { netns, nfcapd, live } = stage;
    live.kill()?;
    // One is gone, one made again, one renamed, and one is new.
    netns.ip("link del met0")?;
    netns.ip("link del met1")?;
    netns.veth("gen1", "met1")?;
    rename(&netns, "met2", "met9")?;
    netns.veth("gen7", "met7")?;
    let arguments =
        ["--interface", "met*", "--idle-timeout", "1s", "--collector", &nfcapd.url(), "--pin", &pins];
    let live = Live::start(&netns, &arguments)?;
    let mut stage = Stage { netns, nfcapd, live };
    for (interface, packets) in [("gen1", 10), ("gen2", 20), ("gen3", 30), ("gen7", 40)] {
        stage.send(packets, interface)?;
    }
    let wanted = [("met0", 1_000), ("met1", 1_110), ("met3", 1_330), ("met7", 40), ("met9", 1_220)];
    stage.seen(&wanted)?;
    let (packets, left) = (wanted.iter().map(|(_, packets)| packets).sum(), ["met1", "met3", "met7", "met9"]);
    // Later ones are pinned as well.
    stage.netns.veth("gen8", "met8")?;
    stage.metered("met8", 1)?;
    let links = |pins: &str| -> Result<usize> {
        let names = std::fs::read_dir(pins)?.map(|entry| Ok(entry?.file_name()));
        let names = names.collect::<Result<Vec<_>>>()?;
        Ok(names.iter().filter(|name| name.to_string_lossy().starts_with("link-")).count())
    };
    ensure!(links(&pins)? == 5, "{} attachments are pinned", links(&pins)?);
    stage.netns.ip("link del met7")?;
    stage.said("met7: the interface is gone", 1)?;
    ensure!(links(&pins)? == 4, "{} attachments are pinned", links(&pins)?);
    let (_netns, records, _) = stage.close(&left.map(|name| if name == "met7" { "met8" } else { name }))?;
    bpffs.expect_clean()?;
    let sent = traffic(packets);
    ensure!(Flows::by_tuple(&records).totals() == (packets, sent.octets()), "{packets} sent: {records:?}");
    Ok(())
}

/// The VLAN that [`Tagger`] puts packets into.
const VLAN: u16 = 7;

/// The command in the line of the log about an interface's VLAN tags; nothing where there is no such line.
fn command<'a>(log: &'a str, interface: &str) -> Option<&'a str> {
    let about = format!("{interface}: ");
    let mut lines = log.lines().filter(|line| line.contains(&about) && line.contains("VLAN tags"));
    let command = lines.next()?.split('`').nth(1)?;
    // Once, and no more.
    lines.next().is_none().then_some(command)
}

#[test]
fn a_tag_beside_the_packet_is_said_with_the_command_that_keeps_it() -> Result<()> {
    let netns = Netns::new("links")?;
    netns.veth("gen0", "met0")?;
    stack::prepare(&netns, "gen0")?;
    let _tagger = Tagger::attach(&netns, "gen0", VLAN)?;
    let sniffer = Sniffer::start_with("udp", Some(&netns))?;
    let mut stage = Stage::new(netns, "met0", &[])?;
    let port = stage.nfcapd.port();
    stage.metered("met0", 1)?;
    let send = |stage: &mut Stage, packets, all| {
        stack::send(&stage.netns, 100, packets, &AtomicBool::new(false))?;
        stage.live.until(LIMIT, "done with all", |books| books.seen.packets >= all)
    };
    send(&mut stage, 100, 100)?;
    let log = stage.live.log();
    let command = command(&log, "met0").with_context(|| log.clone())?;
    let mut words = command.split_whitespace();
    let program = Program::find(words.next().context("no command")?)?;
    program.args(words).netns(&stage.netns).run(LIMIT)?.success().context(command.to_owned())?;
    send(&mut stage, 200, 300)?;
    // The recording ends in the namespace, which is kept until then.
    let (_netns, _, _) = stage.close(&["met0"])?;
    let records = tshark::judge(sniffer.stop()?.file(), port)?.clean()?;
    let of =
        |vlan| records.iter().filter(|record| record.key.vlan == Some(vlan)).map(|it| it.sums.packets).sum();
    let packets: [u64; 2] = [of(0), of(VLAN)];
    ensure!(packets == [100, 200], "without and with the tag {packets:?}, after `{command}`: {records:?}");
    Ok(())
}

#[test]
fn vlan_tags_are_said_of_links_that_come_later_and_only_where_they_are_not_in_the_packet() -> Result<()> {
    let (netns, other) = (Netns::new("links")?, Netns::new("other")?);
    netns.ip(&format!("link add met0 type veth peer name far0 netns {}", other.name()))?;
    let mut stage = Stage::new(netns, "met*", &[])?;
    stage.metered("met0", 1)?;
    stage.netns.veth("gen1", "met1")?;
    stage.metered("met1", 1)?;
    stage.netns.veth("gen2", "other2")?;
    let ethtool = Program::find("ethtool")?.args(["-K", "gen2", "txvlan", "off"]).netns(&stage.netns);
    ethtool.run(LIMIT)?.success()?;
    rename(&stage.netns, "other2", "met2")?;
    stage.metered("met2", 1)?;
    let log = stage.live.log();
    let said = ["met0", "met1", "met2"].map(|interface| command(&log, interface));
    let [Some(far), Some(near), None] = said else { anyhow::bail!("{said:?}: {log}") };
    ensure!(far.starts_with("ethtool -K far0 txvlan off"), "{far}");
    ensure!(near.starts_with("ethtool -K gen1 txvlan off"), "{near}");
    stage.close(&["met0", "met1", "met2"])?;
    Ok(())
}
