//! A live agent, natively on one end of a veth pair, and a known number of packets from the other end.
//!
//! The records at nfcapd must add up to the packets sent, flow by flow and to the last octet, while slots
//! retire all the time; and the books must balance at each question.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use flowxdp_tests::agent::{Live, PROTOCOLS, program};
use flowxdp_tests::books::{Books, Count};
use flowxdp_tests::bpffs::Bpffs;
use flowxdp_tests::bulk::{self, Bulk};
use flowxdp_tests::compare::{Columns, equal};
use flowxdp_tests::failures::{Failures, left_out, tell};
use flowxdp_tests::flows::Flows;
use flowxdp_tests::judge::Verdict;
use flowxdp_tests::judge::nfcapd::Nfcapd;
use flowxdp_tests::netns::Netns;
use flowxdp_tests::process::{Program, Running, bounded};
use flowxdp_tests::traffic::{TCP, Traffic, UDP, generator};
use flowxdp_tests::udp;
use rustix::process::Signal;

const SENDER: &str = "gen0";
const METERED: &str = "met0";
/// Short timeouts: slots are retired and opened again while the traffic goes on.
const TIMEOUTS: [&str; 2] = ["--idle-timeout", "1s"];
const LIMIT: Duration = Duration::from_secs(60);

/// A namespace with a veth pair, and nfcapd in it.
fn stage() -> Result<(Netns, Nfcapd)> {
    let netns = Netns::new("live")?;
    netns.veth(SENDER, METERED)?;
    let nfcapd = Nfcapd::start(Some(&netns))?;
    Ok((netns, nfcapd))
}

fn agent(netns: &Netns, nfcapd: &Nfcapd, protocol: &str, more: &[&str]) -> Result<Live> {
    let url = nfcapd.url();
    let mut arguments = vec!["--interface", METERED, "--mode", "native", "--collector", &url];
    arguments.extend(["--protocol", protocol]);
    arguments.extend(TIMEOUTS);
    arguments.extend(more);
    Live::start(netns, &arguments)
}

/// Sends, and asks for the books again and again meanwhile; all of them must balance.
fn send_and_watch(traffic: &Traffic, netns: &Netns, live: &mut Live) -> Result<u32> {
    let generator = generator();
    let sent = Count { packets: traffic.packets, octets: traffic.octets() };
    let asked = std::thread::scope(|scope| {
        let sending = scope.spawn(|| generator.send(traffic, netns, SENDER));
        let mut asked = 0;
        loop {
            // Looked at first, so that the books are asked for at least once after the last packet.
            let done = sending.is_finished();
            live.status()?.balance().context("while packets come in")?;
            asked += 1;
            if done {
                break;
            }
        }
        sending.join().map_err(|_| anyhow::anyhow!("the generator panicked"))??;
        anyhow::Ok(asked)
    })?;
    let metered = live.status()?;
    metered.at_rest()?;
    ensure!(metered.seen == sent, "seen {:?}, sent {sent:?}", metered.seen);
    let received = netns.counter(METERED, "rx_packets")?;
    ensure!(received >= sent.packets, "the interface itself received {received} of {} packets", sent.packets);
    Ok(asked)
}

/// Ends the agent and the collector; nfcapd's sequence must be clean, and no program may be left attached.
fn close(netns: &Netns, nfcapd: Nfcapd, live: Live) -> Result<Verdict> {
    live.stop()?.success()?;
    netns.expect_clean(METERED)?;
    nfcapd.stop()
}

fn exact(traffic: Traffic, protocol: &str) -> Result<()> {
    let start = now_ms()?;
    let (netns, nfcapd) = stage()?;
    let mut live = agent(&netns, &nfcapd, protocol, &[])?;
    let asked = send_and_watch(&traffic, &netns, &mut live)?;
    let records = close(&netns, nfcapd, live)?.clean()?;
    let end = now_ms()?;
    equal(&traffic.truth(), &Flows::by_tuple(&records), Columns::WITHOUT_TTL)?;
    let index = netns.index(METERED)?;
    for record in &records {
        let (first, last) = record.sums.first_ms.zip(record.sums.last_ms).context("no times")?;
        ensure!(start <= first && first <= last && last <= end, "not between {start} and {end}: {record:?}");
        ensure!(record.ingress == Some(index), "not by interface {index}: {record:?}");
    }
    tell(&format!("{protocol} {traffic:?}: {} records, books asked for {asked} times", records.len()));
    Ok(())
}

/// One flow count, both address families and transports, lengths from the shortest to the longest.
fn all_kinds(flows: u32, packets: u64) -> Result<()> {
    let mut failures = Failures::default();
    for protocol in PROTOCOLS {
        for (ipv6, transport, length) in
            [(false, UDP, 60), (false, TCP, 1500), (true, UDP, 1280), (true, TCP, 60)]
        {
            // The files that traffic is sent from would be large.
            let length = if flows > 10_000 { length.min(200) } else { length };
            let traffic = Traffic { flows, packets, ipv6, protocol: transport, length };
            failures.check(&format!("{protocol} {traffic:?}"), || exact(traffic, protocol));
        }
    }
    failures.end()
}

#[test]
fn one_flow_is_exact() -> Result<()> {
    all_kinds(1, 100_000)
}

#[test]
fn a_thousand_flows_are_exact() -> Result<()> {
    all_kinds(1_000, 200_000)
}

#[test]
fn a_hundred_thousand_flows_are_exact() -> Result<()> {
    all_kinds(100_000, 300_000)
}

#[test]
fn slots_are_retired_and_opened_again_while_packets_come_in() -> Result<()> {
    let mut failures = Failures::default();
    for (protocol, ipv6) in PROTOCOLS.into_iter().zip([false, true]) {
        let packets = u64::from(bounded(12_000_000));
        let traffic = Traffic { flows: 10_000, packets, ipv6, protocol: UDP, length: 100 };
        failures.check(protocol, || {
            let (netns, nfcapd) = stage()?;
            let mut live = agent(&netns, &nfcapd, protocol, &["--active-timeout", "1s"])?;
            send_and_watch(&traffic, &netns, &mut live)?;
            let records = close(&netns, nfcapd, live)?.clean()?;
            equal(&traffic.truth(), &Flows::by_tuple(&records), Columns::WITHOUT_TTL)?;
            ensure!(records.len() > 10_000, "no slot was retired before the end: {} records", records.len());
            tell(&format!("{protocol}: {} records of 10,000 flows", records.len()));
            Ok(())
        });
    }
    failures.end()
}

#[test]
fn a_table_too_small_loses_nothing_that_is_not_counted() -> Result<()> {
    let traffic = Traffic { flows: 50_000, packets: 200_000, ipv6: false, protocol: UDP, length: 100 };
    let (netns, nfcapd) = stage()?;
    let mut live = agent(&netns, &nfcapd, "ipfix", &["--flows", "4K"])?;
    send_and_watch(&traffic, &netns, &mut live)?;
    live.until(LIMIT, "out of queued packets", |books| {
        books.queued.packets == 0 && books.in_table.packets == 0
    })?;
    let books = live.status()?;
    let flows = Flows::by_tuple(&close(&netns, nfcapd, live)?.clean()?);
    let (packets, octets) = flows.totals();
    ensure!(
        books.exported == Count { packets, octets },
        "{packets} packets, {octets} octets arrived: {books:?}"
    );
    ensure!(packets + books.lost_total().packets == traffic.packets, "{packets} arrived: {books:?}");
    tell(&format!(
        "a table of 4,000 for 50,000 flows: {packets} packets exported, {:?} lost",
        books.lost_total()
    ));
    Ok(())
}

#[test]
fn interfaces_are_told_apart() -> Result<()> {
    let (netns, nfcapd) = stage()?;
    netns.veth("gen1", "met1")?;
    let url = nfcapd.url();
    let mut live = Live::start(&netns, &["--interface", "met0,met1", "--collector", &url])?;
    let traffic = |packets| Traffic { flows: 10, packets, ipv6: false, protocol: UDP, length: 100 };
    generator().send(&traffic(1_000), &netns, SENDER)?;
    generator().send(&traffic(2_000), &netns, "gen1")?;
    let both = |packets| move |books: &Books| books.seen.packets == packets;
    live.until(LIMIT, "done with both", both(3_000))?;
    let books = live.status()?;
    books.balance()?;
    let records = close(&netns, nfcapd, live)?.clean()?;
    netns.expect_clean("met1")?;
    for (interface, packets) in [("met0", 1_000), ("met1", 2_000)] {
        let seen =
            books.interfaces.get(interface).with_context(|| format!("no {interface}: {books:?}"))?.seen;
        ensure!(seen.packets == packets, "{interface} has seen {seen:?}");
        let index = netns.index(interface)?;
        let its = records.iter().filter(|record| record.ingress == Some(index));
        equal(&traffic(packets).truth(), &Flows::by_tuple(its), Columns::WITHOUT_TTL).context(interface)?;
    }
    Ok(())
}

#[test]
fn a_sigint_flushes_as_a_sigterm_does() -> Result<()> {
    let traffic = Traffic { flows: 100, packets: 1_000, ipv6: true, protocol: TCP, length: 100 };
    let (netns, nfcapd) = stage()?;
    let url = nfcapd.url();
    let mut live = Live::start(&netns, &["--interface", METERED, "--collector", &url])?;
    send_and_watch(&traffic, &netns, &mut live)?;
    let in_table = live.status()?.in_table;
    ensure!(in_table.packets == 1_000, "the default timeouts have passed already? {in_table:?}");
    live.interrupt()?.success()?;
    let records = nfcapd.stop()?.clean()?;
    equal(&traffic.truth(), &Flows::by_tuple(&records), Columns::WITHOUT_TTL)
}

fn now_ms() -> Result<u64> {
    Ok(u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?)
}

/// Octets that go through the gateway in each IP version.
const BULK: usize = 32 << 20;

/// How often the books are read until nothing comes in.
const LOOKS: usize = 100;

/// Octets of an Ethernet header.
const ETHERNET: u64 = 14;

/// The octets of a gateway's packets as its kernel counts them before and behind the program, and in between.
#[derive(Debug, PartialEq, Eq)]
struct Passed {
    /// Octets received by the interfaces, less frames without IP and the Ethernet header of the others.
    received: u64,
    metered: u64,
    /// Taken by the IP stack.
    taken: u64,
}

impl Passed {
    fn now(bulk: &Bulk, books: &Books) -> Result<Self> {
        let not_ip = books.ignored.get("not_ip").copied().unwrap_or_default();
        let packets = books.seen.packets - not_ip.packets;
        let frames = bulk::METERED.map(|link| bulk.gateway.counter(link, "rx_bytes"));
        let frames = frames.into_iter().sum::<Result<u64>>()?;
        Ok(Self {
            received: frames.saturating_sub(not_ip.octets + packets * ETHERNET),
            metered: books.seen.octets - not_ip.octets,
            taken: bulk.octets_in()?,
        })
    }

    /// The same twice in a row: nothing was on its way from one count to the next.
    fn at_rest(bulk: &Bulk, live: &Live) -> Result<Self> {
        let mut before = Self::now(bulk, &live.status()?)?;
        for _ in 0..LOOKS {
            let now = Self::now(bulk, &live.status()?)?;
            if now == before {
                return Ok(now);
            }
            before = now;
        }
        bail!("packets come in all the time: {before:?}")
    }

    /// All three grew by as much, at least by `least`.
    fn is_whole_since(&self, before: &Self, least: u64) -> bool {
        let metered = self.metered - before.metered;
        metered >= least && self.received - before.received == metered && self.taken - before.taken == metered
    }
}

/// Sends in bulk, and gives the books once they have all packets.
fn send_bulk(bulk: &Bulk, live: &mut Live, to: &str) -> Result<Books> {
    let before = Passed::at_rest(bulk, live)?;
    bulk.send(to, BULK).context(to.to_owned())?;
    let whole =
        |books: &Books| Passed::now(bulk, books).is_ok_and(|now| now.is_whole_since(&before, BULK as u64));
    let waited = live.until(LIMIT, "done with all", whole);
    let books = live.status()?;
    waited.with_context(|| format!("{to}: {before:?}, then {:?}: {books:?}", Passed::now(bulk, &books)))?;
    books.balance()?;
    let faults =
        ["truncated", "malformed"].map(|reason| books.ignored.get(reason).map_or(0, |it| it.packets));
    ensure!(faults == [0, 0], "{to}: truncated and malformed {faults:?}");
    Ok(books)
}

/// In generic mode packets arrive as large as GRO, or a veth's sender, made them; above 65,535 octets no
/// length field of IP has their length. The kernel's counters give the packets received and those that the
/// stack took.
#[test]
fn packets_above_65535_octets_are_metered_in_generic_mode_and_none_is_dropped() -> Result<()> {
    let bulk = Bulk::new()?;
    let (listen, url) = ("udp://0.0.0.0:4739", format!("udp://{}:4739", bulk::SERVER[0]));
    let collect = program()?.args(["collect", "--listen", listen, "--json"]).netns(&bulk.server);
    let mut collector = collect.start()?;
    udp::until_bound(&mut collector, 4739)?;
    let interfaces = bulk::METERED.join(",");
    let arguments = ["--interface", &interfaces, "--mode", "generic", "--collector", &url];
    let mut live = Live::start(&bulk.gateway, &arguments)?;
    for link in bulk::METERED {
        let attached = bulk.gateway.xdp(link)?.map(|(_, name)| name);
        ensure!(attached.as_deref() == Some("flowxdp_frags"), "{link} has {attached:?}");
    }
    let large = if bulk.is_large_in_ipv4()? { &bulk::SERVER[..] } else { &bulk::SERVER[1..] };
    for to in large {
        let seen = send_bulk(&bulk, &mut live, to)?.seen;
        tell(&format!("{BULK} octets to {to}: {seen:?} seen since the start"));
    }
    let log = live.stop()?.success()?.stderr;
    // Packets above 17 pages are copied into one buffer after all, which is logged with the remedy.
    let warnings = log.lines().filter(|line| line.contains("WARN"));
    let remedies =
        warnings.filter(|line| line.contains("gro_max_size 65536 gro_ipv4_max_size 65536")).count();
    ensure!(remedies == 2 && log.matches("WARN").count() == 2, "{log}");
    udp::until_read(&mut collector, 4739)?;
    let flows = collector.stop(Signal::TERM, LIMIT)?.success()?.stdout;
    let flows = flows.lines().map(serde_json::from_str).collect::<Result<Vec<serde_json::Value>, _>>()?;
    let number = |flow: &serde_json::Value, name: &str| flow.get(name).and_then(serde_json::Value::as_u64);
    for to in large {
        let is_to = |flow: &&serde_json::Value| {
            let address = |name: &str| flow.get(name).and_then(serde_json::Value::as_str);
            address("destinationIPv4Address").or(address("destinationIPv6Address")) == Some(*to)
        };
        let longest =
            flows.iter().filter(is_to).filter_map(|flow| number(flow, "maximumIpTotalLength")).max();
        ensure!(longest == Some(65_535), "{to}: no packet was above 65,535 octets: {longest:?}");
    }
    Ok(())
}

/// A time namespace whose processes see CLOCK_MONOTONIC and CLOCK_BOOTTIME by so many seconds ahead.
struct TimeNamespace(Running);

impl TimeNamespace {
    fn new(ahead: &str) -> Result<Self> {
        let clocks = ["--time", "--kill-child=KILL", "--monotonic", ahead, "--boottime", ahead];
        let mut holder = Program::find("unshare")?.args(clocks).args(["sleep", "600"]).start()?;
        holder.until(LIMIT, "in a time namespace", |holder| {
            let offsets = std::fs::read_to_string(format!("/proc/{}/timens_offsets", holder.pid()))?;
            Ok(offsets.split_whitespace().filter(|word| *word == ahead).count() == 2)
        })?;
        Ok(Self(holder))
    }

    /// A live agent in it.
    fn agent(&self, netns: &Netns, arguments: &[&str]) -> Result<Live> {
        let namespace = format!("--time=/proc/{}/ns/time_for_children", self.0.pid());
        Live::start_by(&["nsenter", &namespace], 0, netns, arguments)
    }
}

/// Flows retire on time, and their records have the times of day, by an agent in a time namespace; by one
/// that goes on with the table of an agent outside, too.
fn shifted(protocol: &str, ahead: &str, adopts: bool) -> Result<()> {
    const IDLE: Duration = Duration::from_secs(1);
    let (start, namespace) = (now_ms()?, TimeNamespace::new(ahead)?);
    let ((netns, nfcapd), bpffs) = (stage()?, Bpffs::new()?);
    let (url, pins) = (nfcapd.url(), bpffs.pins().display().to_string());
    let arguments = ["--interface", METERED, "--collector", &url, "--protocol", protocol, "--pin", &pins];
    let arguments = [&arguments[..], &TIMEOUTS].concat();
    let traffic = Traffic { flows: 100, packets: 1_000, ipv6: false, protocol: UDP, length: 100 };
    let inside = || namespace.agent(&netns, &arguments);
    let send = || -> Result<(Instant, u64)> {
        let before = Instant::now();
        generator().send(&traffic, &netns, SENDER)?;
        Ok((before, now_ms()?))
    };
    let (sent, end, mut live) = if adopts {
        let before = Live::start(&netns, &[&arguments[..], &["--keep"]].concat())?;
        let (sent, end) = send()?;
        before.stop()?.success()?;
        (sent, end, inside()?)
    } else {
        let live = inside()?;
        let (sent, end) = send()?;
        (sent, end, live)
    };
    live.until(LIMIT, "done with all", |books| books.exported.packets == traffic.packets)?;
    let took = sent.elapsed();
    ensure!(took >= IDLE - Duration::from_millis(100), "idle for {IDLE:?} after {took:?}");
    let records = close(&netns, nfcapd, live)?.clean()?;
    equal(&traffic.truth(), &Flows::by_tuple(&records), Columns::WITHOUT_TTL)?;
    for record in &records {
        let (first, last) = record.sums.first_ms.zip(record.sums.last_ms).context("no times")?;
        // Rounded by the exporter, and by the collector from the uptimes of NetFlow.
        ensure!(start <= first && first <= last && last <= end + 2, "not from {start} to {end}: {record:?}");
    }
    bpffs.expect_clean()
}

#[test]
fn in_a_time_namespace_flows_retire_on_time_and_records_have_the_time_of_day() -> Result<()> {
    if !std::path::Path::new("/proc/self/timens_offsets").exists() {
        left_out("this kernel was built without time namespaces");
        return Ok(());
    }
    let mut failures = Failures::default();
    for (protocol, ahead, adopts) in [("ipfix", "100000", false), ("v9", "-5", false), ("v5", "100000", true)]
    {
        failures.check(&format!("{protocol} {ahead} {adopts}"), || shifted(protocol, ahead, adopts));
    }
    failures.end()
}
